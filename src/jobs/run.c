/* run: the whole way from traces to an evaluated twin; evaluate: the last part of it alone. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/output.h"
#include "dataset/channels.h"
#include "jobs/evaluation.h"
#include "jobs/jobs.h"

/* The results below DIR, one name each. X(id, name, what it is) */
#define RESULT_TABLE(X)                                                                            \
  X(DATASET, "dataset", "the imported trace")                                                      \
  X(SPLIT, "split", "its train, val and test parts")                                               \
  X(CONSTRAINTS, "constraints.json", "constraints mined from train")                               \
  X(MODEL, "model", "the trained generator")                                                       \
  X(RAW, "raw", "the twin before repair")                                                          \
  X(TWIN, "twin", "the twin")                                                                      \
  X(CTF, "ctf", "the twin as a trace: open ctf/kernel")                                            \
  X(REPORT, "report.json", "this report")

enum result {
#define ID(id, name, what) RESULT_##id,
  RESULT_TABLE(ID)
#undef ID
      N_RESULTS
};
static const char *const RESULT_NAMES[] = {
#define NAME(id, name, what) name,
    RESULT_TABLE(NAME)
#undef NAME
};
static const char *const RESULT_TEXTS[] = {
#define TEXT(id, name, what) what,
    RESULT_TABLE(TEXT)
#undef TEXT
};
enum { MAX_TIMES = 12 };

struct run {
  const struct tt_run_options *options;
  struct tt_output output;
  char *paths[N_RESULTS];   /* below the temporary folder */
  char *shown[N_RESULTS];   /* below the final one */
  char *train, *val, *test; /* below split */
  struct tt_dataset_info info;
  struct tt_split_result split;
  struct tt_train_summary training;
  struct tt_generate_summary generated;
  struct tt_repair_summary repair;
  struct tt_export_result exported;
  struct tt_jobs_evaluation evaluation;
  struct tt_report_time times[MAX_TIMES];
  size_t n_times;
};

static enum tt_status make_paths(struct run *run) {
  bool ok = true;
  for (size_t i = 0; i < N_RESULTS; i++) {
    run->paths[i] = tt_format("%s/%s", run->output.temporary, RESULT_NAMES[i]);
    run->shown[i] = tt_format("%s/%s", run->output.target, RESULT_NAMES[i]);
    ok = ok && run->paths[i] && run->shown[i];
  }
  if (ok) {
    run->train = tt_format("%s/train", run->paths[RESULT_SPLIT]);
    run->val = tt_format("%s/val", run->paths[RESULT_SPLIT]);
    run->test = tt_format("%s/test", run->paths[RESULT_SPLIT]);
  }
  ok = ok && run->train && run->val && run->test;
  return ok ? TT_OK : tt_fail(TT_NO_MEMORY, "out of memory");
}

static void add_time(struct run *run, const char *stage, double begin, uint64_t events) {
  TT_ASSERT(run->n_times < MAX_TIMES);
  run->times[run->n_times++] =
      (struct tt_report_time){.stage = stage, .seconds = tt_seconds() - begin, .events = events};
}

static enum tt_status import_stage(struct run *run) {
  const struct tt_run_options *o = run->options;
  double begin = tt_seconds();
  const struct tt_import_options import = {.inputs = o->inputs,
                                           .n_inputs = o->n_inputs,
                                           .output = run->paths[RESULT_DATASET],
                                           .threads = o->threads,
                                           .progress = o->progress};
  enum tt_status status = tt_job_import(&import, &run->info);
  if (status != TT_OK)
    return status;
  add_time(run, "import", begin, run->info.events);
  begin = tt_seconds();
  const struct tt_split_options split = {
      .dataset = run->paths[RESULT_DATASET], .output = run->paths[RESULT_SPLIT], .gap = -1};
  status = tt_job_split(&split, &run->split);
  if (status != TT_OK)
    return status;
  add_time(run, "split", begin, run->info.events);
  begin = tt_seconds();
  const struct tt_mine_options mine = {.dataset = run->train,
                                       .output = run->paths[RESULT_CONSTRAINTS]};
  struct tt_mine_result mined;
  status = tt_job_mine(&mine, &mined);
  if (status == TT_OK)
    add_time(run, "constraints", begin, run->split.train);
  return status;
}

static enum tt_status twin_stage(struct run *run) {
  const struct tt_run_options *o = run->options;
  double begin = tt_seconds();
  const struct tt_train_options train = {.dataset = run->train,
                                         .val = run->val,
                                         .output = run->paths[RESULT_MODEL],
                                         .generator = o->generator,
                                         .backbone = o->backbone,
                                         .channels = o->channels,
                                         .stream = o->stream,
                                         .settings = o->settings,
                                         .n_settings = o->n_settings,
                                         .context = o->context,
                                         .minutes = o->minutes > 0 ? o->minutes : 5,
                                         .seed = o->seed,
                                         .threads = o->threads,
                                         .progress = o->progress};
  enum tt_status status = tt_job_train(&train, &run->training);
  if (status != TT_OK)
    return status;
  add_time(run, "train", begin, 0);
  begin = tt_seconds();
  uint64_t events = o->events ? o->events : 100000;
  const struct tt_generate_options generate = {.model = run->paths[RESULT_MODEL],
                                               .output = run->paths[RESULT_RAW],
                                               .events = events,
                                               .seed = o->seed,
                                               .threads = o->threads,
                                               .progress = o->progress};
  status = tt_job_generate(&generate, &run->generated);
  if (status != TT_OK)
    return status;
  add_time(run, "generate", begin, events);
  begin = tt_seconds();
  const struct tt_repair_options repair = {.dataset = run->paths[RESULT_RAW],
                                           .constraints = run->paths[RESULT_CONSTRAINTS],
                                           .output = run->paths[RESULT_TWIN],
                                           .seed = o->seed};
  status = tt_job_repair(&repair, &run->repair);
  if (status != TT_OK)
    return status;
  add_time(run, "repair", begin, events);
  begin = tt_seconds();
  const struct tt_export_options export = {.dataset = run->paths[RESULT_TWIN],
                                           .output = run->paths[RESULT_CTF],
                                           .format = TT_EXPORT_CTF,
                                           .progress = o->progress};
  status = tt_job_export(&export, &run->exported);
  if (status == TT_OK)
    add_time(run, "export", begin, events);
  return status;
}

/* Opens what an evaluation needs, runs it, closes everything. raw may be NULL. `alone` (evaluate,
 * not run): constraints are mined and written, and there is time for the arms at equal steps. */
static enum tt_status evaluate_paths(const char *train, const char *val, const char *test,
                                     const char *synthetic, const char *raw,
                                     const char *constraints_path, bool alone,
                                     const struct tt_evaluate_options *options,
                                     struct tt_jobs_evaluation *ret) {
  struct tt_dataset *datasets[5] = {NULL};
  const char *paths[5] = {train, val, test, synthetic, raw};
  struct tt_constraints *constraints = NULL;
  struct tt_jobs_evaluation_inputs in = {.equal_steps = alone && !options->converged,
                                         .steps = options->steps,
                                         .seed = options->seed,
                                         .trtr = options->trtr,
                                         .progress = &options->progress};
  tt_jobs_use_threads(options->threads);
  enum tt_status status = tt_channel_set_parse(options->channels, &in.channels);
  if (status == TT_OK)
    status = tt_jobs_parse_arms(options->arms, &in.arms);
  for (size_t i = 0; i < 5 && status == TT_OK; i++)
    if (paths[i])
      status = tt_dataset_open(paths[i], &datasets[i]);
  if (status == TT_OK)
    status = alone ? tt_constraints_mine(datasets[0], &constraints)
                   : tt_constraints_load(constraints_path, &constraints);
  if (status == TT_OK && alone)
    status = tt_constraints_save(constraints, constraints_path, false);
  if (status == TT_OK) {
    in.train = datasets[0];
    in.val = datasets[1];
    in.test = datasets[2];
    in.synthetic = datasets[3];
    in.raw = datasets[4];
    in.constraints = constraints;
    status = tt_jobs_evaluate(&in, ret);
  }
  tt_constraints_free(constraints);
  for (size_t i = 0; i < 5; i++)
    tt_dataset_close(datasets[i]);
  return status;
}

static enum tt_status run_report(struct run *run, struct tt_report_text *ret) {
  const struct tt_run_options *o = run->options;
  struct tt_report_file files[N_RESULTS];
  for (size_t i = 0; i < N_RESULTS; i++)
    files[i] = (struct tt_report_file){.what = RESULT_TEXTS[i], .path = run->shown[i]};
  struct tt_dataset *dataset = NULL;
  enum tt_status status = tt_dataset_open(run->paths[RESULT_DATASET], &dataset);
  if (status != TT_OK)
    return status;
  struct tt_report report = {
      .seed = o->seed,
      .threads = tt_jobs_threads(o->threads),
      .trace = {.present = true,
                .paths = o->inputs,
                .n_paths = o->n_inputs,
                .format = tt_dataset_meta(dataset)->sources[0].format,
                .events = run->info.events,
                .event_types = run->info.event_types,
                .comms = run->info.comms,
                .tids = run->info.tids,
                .cpus = run->info.cpus,
                .lost_events = run->info.lost_events,
                .duration_ns = run->info.duration_ns,
                .train_events = run->split.train,
                .val_events = run->split.val,
                .test_events = run->split.test,
                .gap_events =
                    (run->info.events - run->split.train - run->split.val - run->split.test) / 2},
      .generator = {.present = true,
                    .name = run->training.generator,
                    .stream = run->training.stream,
                    .channels = o->channels ? o->channels : "full",
                    .context = run->training.context,
                    .parameters = run->training.parameters,
                    .steps = run->training.steps,
                    .train_events_per_second = run->training.events_per_second,
                    .generate_events_per_second = run->generated.events_per_second,
                    .loss = run->training.loss,
                    .val_loss = run->training.val_loss},
      .repair = {.present = true,
                 .events = run->repair.events,
                 .edited_events = run->repair.edited_events,
                 .edits_event = run->repair.event_edits,
                 .edits_time = run->repair.dt_edits,
                 .edits_cpu = run->repair.cpu_edits,
                 .edits_attr =
                     run->repair.tid_edits + run->repair.comm_edits + run->repair.ret_edits,
                 .edits_order = run->repair.retimed_events},
      .times = run->times,
      .n_times = run->n_times,
      .files = files,
      .n_files = N_RESULTS};
  tt_jobs_report_evaluation(&report, &run->evaluation);
  status = tt_jobs_report_finish(&report, run->paths[RESULT_REPORT], ret);
  tt_dataset_close(dataset);
  return status;
}

/* Interrupted: what is finished stays. Every step puts its result in place whole or not at all. */
static void leave(struct run *run) {
  char *place = tt_strdup(run->output.temporary);
  if (tt_output_keep(&run->output) && place)
    tt_fail(TT_INTERRUPTED, "stopped; what is finished is in %s", place);
  tt_free(place);
}

enum tt_status tt_job_run(const struct tt_run_options *options, struct tt_report_text *ret) {
  struct run run = {.options = options};
  struct tt_report_text text = {NULL, NULL};
  unsigned arms; /* a wrong name is told now, not after the training */
  enum tt_status status = tt_jobs_parse_arms(options->arms, &arms);
  if (status == TT_OK)
    status = tt_output_begin_partial(options->output, options->overwrite, &run.output);
  if (status != TT_OK)
    return status;
  status = make_paths(&run);
  if (status == TT_OK)
    status = import_stage(&run);
  if (status == TT_OK)
    status = twin_stage(&run);
  if (status == TT_OK) {
    double begin = tt_seconds();
    const struct tt_evaluate_options evaluate = {.seed = options->seed,
                                                 .arms = options->arms,
                                                 .trtr = options->trtr,
                                                 .threads = options->threads,
                                                 .progress = options->progress};
    status =
        evaluate_paths(run.train, run.val, run.test, run.paths[RESULT_TWIN], run.paths[RESULT_RAW],
                       run.paths[RESULT_CONSTRAINTS], false, &evaluate, &run.evaluation);
    if (status == TT_OK)
      add_time(&run, "evaluate", begin, 0);
  }
  if (status == TT_OK)
    status = run_report(&run, &text);
  if (status == TT_OK)
    status = tt_output_commit(&run.output);
  else if (status == TT_INTERRUPTED)
    leave(&run);
  else
    tt_output_abort(&run.output);
  if (status == TT_OK)
    *ret = text;
  else
    tt_report_release(&text);
  for (size_t i = 0; i < N_RESULTS; i++) {
    tt_free(run.paths[i]);
    tt_free(run.shown[i]);
  }
  tt_free(run.train);
  tt_free(run.val);
  tt_free(run.test);
  return status;
}

enum tt_status tt_job_evaluate(const struct tt_evaluate_options *options,
                               struct tt_report_text *ret) {
  struct tt_output output = {0};
  struct tt_jobs_evaluation evaluation;
  struct tt_report_text text = {NULL, NULL};
  char *constraints = NULL, *report_path = NULL, *shown = NULL;
  enum tt_status status = tt_output_begin_folder(options->output, options->overwrite, &output);
  if (status != TT_OK)
    return status;
  constraints = tt_format("%s/constraints.json", output.temporary);
  report_path = tt_format("%s/report.json", output.temporary);
  shown = tt_format("%s/report.json", output.target);
  if (!constraints || !report_path || !shown) {
    status = tt_fail(TT_NO_MEMORY, "out of memory");
    goto cleanup;
  }
  double begin = tt_seconds();
  status = evaluate_paths(options->train, options->val, options->test, options->synthetic, NULL,
                          constraints, true, options, &evaluation);
  if (status != TT_OK)
    goto cleanup;
  const struct tt_report_time time = {.stage = "evaluate", .seconds = tt_seconds() - begin};
  const struct tt_report_file file = {.what = "this report", .path = shown};
  struct tt_report report = {.seed = options->seed,
                             .threads = tt_jobs_threads(options->threads),
                             .times = &time,
                             .n_times = 1,
                             .files = &file,
                             .n_files = 1};
  tt_jobs_report_evaluation(&report, &evaluation);
  status = tt_jobs_report_finish(&report, report_path, &text);
  if (status == TT_OK)
    status = tt_output_commit(&output);
cleanup:
  if (status == TT_OK) {
    *ret = text;
  } else {
    tt_output_abort(&output);
    tt_report_release(&text);
  }
  tt_free(constraints);
  tt_free(report_path);
  tt_free(shown);
  return status;
}
