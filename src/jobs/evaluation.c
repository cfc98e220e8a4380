#include "jobs/evaluation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "dataset/channels.h"
#include "jobs/jobs.h"

enum { STRETCHES = 8, MAX_PARTS = STRETCHES + 1 };

static enum tt_status measure_distance(const struct tt_jobs_evaluation_inputs *in, const char *name,
                                       const struct tt_dataset *dataset,
                                       struct tt_jobs_evaluation *e) {
  struct tt_distances d;
  enum tt_status status = tt_constraints_check(in->constraints, dataset, &d);
  if (status == TT_OK)
    e->distances[e->n_distances++] = (struct tt_report_distance){.name = name,
                                                                 .d_trans = d.d_trans,
                                                                 .d_trans_cpu = d.d_trans_cpu,
                                                                 .d_time = d.d_time,
                                                                 .d_cpu = d.d_cpu,
                                                                 .d_attr = d.d_attr,
                                                                 .events = d.events};
  return status;
}

/* n events of a dataset: all of it, or stretches spread evenly. Returns how many parts were set. */
static size_t spread(const struct tt_dataset *dataset, size_t n, struct tt_predictor_part *parts) {
  size_t all = tt_dataset_columns(dataset)->n;
  if (n >= all || n < STRETCHES * 1024) {
    parts[0] = (struct tt_predictor_part){.dataset = dataset, .first = 0, .n = n < all ? n : all};
    return 1;
  }
  for (size_t k = 0; k < STRETCHES; k++) {
    size_t begin = n * k / STRETCHES, end = n * (k + 1) / STRETCHES;
    size_t slack = all - n;
    parts[k] = (struct tt_predictor_part){
        .dataset = dataset, .first = begin + slack * k / (STRETCHES - 1), .n = end - begin};
  }
  return STRETCHES;
}

struct arm_kind {
  enum tt_jobs_arm arm;
  const char *option, *name, *training;
  bool real, synthetic;
};
static const struct arm_kind ARMS[] = {
    {TT_ARM_TRTR, "trtr", "TRTR", "real", true, false},
    {TT_ARM_TSTR, "tstr", "TSTR", "twin", false, true},
    {TT_ARM_COMBINED, "combined", "COMBINED", "half real, half twin", true, true},
};
/* of tt_predictor_result.baselines */
static const char *const BASELINE_NAMES[TT_PREDICTOR_BASELINES] = {
    "successor of 1", "successor of 2", "successor of 5"};
enum { N_ARMS = sizeof ARMS / sizeof *ARMS };

enum tt_status tt_jobs_parse_arms(const char *list, unsigned *ret) {
  unsigned set = list ? TT_ARM_TRTR : TT_ARM_TRTR | TT_ARM_TSTR | TT_ARM_COMBINED;
  for (const char *p = list; p;) {
    const size_t n = strcspn(p, ",");
    size_t k = 0;
    while (k < N_ARMS && (strlen(ARMS[k].option) != n || memcmp(p, ARMS[k].option, n) != 0))
      k++;
    if (k == N_ARMS)
      return tt_fail(TT_USAGE, "no arm \"%.*s\": trtr, tstr, combined", (int)n, p);
    set |= ARMS[k].arm;
    p = p[n] ? p + n + 1 : NULL;
  }
  *ret = set;
  return TT_OK;
}

/* Of each kind of data that an arm uses. */
static size_t arm_events(const struct tt_jobs_evaluation_inputs *in) {
  size_t real = tt_dataset_columns(in->train)->n, synthetic = tt_dataset_columns(in->synthetic)->n;
  return real < synthetic ? real : synthetic;
}

static enum tt_status run_arm(const struct tt_jobs_evaluation_inputs *in,
                              const struct tt_vocabulary *vocabulary, const struct arm_kind *kind,
                              uint64_t steps, struct tt_jobs_evaluation *e,
                              struct tt_predictor_result *ret) {
  size_t n = arm_events(in), n_parts = 0;
  struct tt_predictor_part parts[2 * MAX_PARTS];
  if (kind->real)
    n_parts += spread(in->train, n, parts + n_parts);
  if (kind->synthetic)
    n_parts += spread(in->synthetic, n, parts + n_parts);
  struct tt_predictor_config config;
  tt_predictor_config_init(&config);
  config.channels = in->channels ? in->channels : TT_CHANNELS_ALL;
  config.steps = steps;
  config.seed = in->seed;
  if (in->progress)
    config.progress = *in->progress;
  enum tt_status status =
      tt_predictor_run(&config, vocabulary, parts, n_parts, in->val, in->test, ret);
  if (status != TT_OK)
    return tt_fail(status, "while training the predictor (%s)", kind->name);
  e->arms[e->n_arms++] = (struct tt_report_arm){.name = kind->name,
                                                .training = kind->training,
                                                .equal_steps = steps > 0,
                                                .real_events = kind->real ? n : 0,
                                                .synthetic_events = kind->synthetic ? n : 0,
                                                .scores = ret->scores,
                                                .steps = ret->steps,
                                                .best_step = ret->best_step,
                                                .epochs = ret->epochs,
                                                .seconds = ret->seconds,
                                                .val_loss = ret->val_loss,
                                                .seed = in->seed};
  return TT_OK;
}

static void name_baselines(struct tt_jobs_evaluation *e) {
  e->n_baselines = TT_PREDICTOR_BASELINES;
  for (size_t i = 0; i < e->n_baselines; i++)
    e->baselines[i].name = BASELINE_NAMES[i];
}

static enum tt_status take_real_arm(const struct tt_jobs_evaluation_inputs *in,
                                    struct tt_jobs_evaluation *e) {
  name_baselines(e);
  e->arms[0] = (struct tt_report_arm){.name = ARMS[0].name, .training = ARMS[0].training};
  e->n_arms = 1;
  return tt_jobs_read_real_arm(in->trtr, in->seed, arm_events(in), &e->distances[0], &e->arms[0],
                               e->baselines, e->n_baselines);
}

static enum tt_status run_arms(const struct tt_jobs_evaluation_inputs *in,
                               struct tt_jobs_evaluation *e) {
  const struct tt_vocabulary_options options = {.stream = TT_STREAM_MERGED, .unknown_event = true};
  struct tt_vocabulary *vocabulary = NULL;
  struct tt_predictor_result result;
  uint64_t steps = in->steps;
  enum tt_status status = tt_vocabulary_learn(&in->train, 1, &options, &vocabulary);
  for (size_t k = 0; k < N_ARMS && status == TT_OK; k++) {
    if (!(in->arms & ARMS[k].arm))
      continue;
    if (k == 0 && in->trtr) {
      status = take_real_arm(in, e);
      continue;
    }
    status = run_arm(in, vocabulary, &ARMS[k], 0, e, &result);
    if (status == TT_OK && k == 0) {
      name_baselines(e);
      for (size_t i = 0; i < TT_PREDICTOR_BASELINES; i++) {
        e->baselines[i].macro_f1 = result.baselines[i].macro_f1;
        e->baselines[i].accuracy = result.baselines[i].accuracy;
      }
    }
  }
  if (status == TT_OK && !steps)
    steps = e->arms[0].best_step;
  for (size_t k = 0; in->equal_steps && k < N_ARMS && status == TT_OK; k++)
    if (in->arms & ARMS[k].arm)
      status = run_arm(in, vocabulary, &ARMS[k], steps, e, &result);
  tt_vocabulary_free(vocabulary);
  return status;
}

enum tt_status tt_jobs_evaluate(const struct tt_jobs_evaluation_inputs *in,
                                struct tt_jobs_evaluation *ret) {
  struct tt_jobs_evaluation e = {0};
  enum tt_status status = measure_distance(in, "held-out real", in->test, &e);
  if (status == TT_OK && in->raw)
    status = measure_distance(in, "before repair", in->raw, &e);
  if (status == TT_OK)
    status = measure_distance(in, in->raw ? "after repair" : "synthetic", in->synthetic, &e);
  double begin = tt_seconds();
  if (status == TT_OK) {
    const struct tt_fidelity_config config = {.seed = in->seed};
    status = tt_fidelity_compare(&config, in->train, in->test, in->synthetic,
                                 &e.fidelity[0].figures, &e.fidelity[1].figures);
    e.fidelity[0].name = "held-out real";
    e.fidelity[1].name = "synthetic";
    e.n_fidelity = 2;
  }
  e.fidelity_seconds = tt_seconds() - begin;
  begin = tt_seconds();
  if (status == TT_OK)
    status = run_arms(in, &e);
  e.predictor_seconds = tt_seconds() - begin;
  if (status == TT_OK)
    *ret = e;
  return status;
}

void tt_jobs_report_evaluation(struct tt_report *report, const struct tt_jobs_evaluation *e) {
  report->distances = e->distances;
  report->n_distances = e->n_distances;
  report->fidelity = e->fidelity;
  report->n_fidelity = e->n_fidelity;
  report->arms = e->arms;
  report->n_arms = e->n_arms;
  report->baselines = e->baselines;
  report->n_baselines = e->n_baselines;
}

enum tt_status tt_jobs_report_finish(const struct tt_report *report, const char *path,
                                     struct tt_report_text *ret) {
  char *json = NULL, *stream_text = NULL, *text = NULL;
  size_t size = 0;
  FILE *file = NULL;
  enum tt_status status = tt_report_write_json(report, path);
  if (status == TT_OK)
    status = tt_report_json(report, &json);
  if (status == TT_OK) {
    file = open_memstream(&stream_text, &size);
    status = file ? tt_report_write_text(report, file) : tt_fail(TT_NO_MEMORY, "out of memory");
  }
  if (file && fclose(file) != 0 && status == TT_OK)
    status = tt_fail(TT_NO_MEMORY, "out of memory");
  if (status == TT_OK && !(text = tt_strdup(stream_text)))
    status = tt_fail(TT_NO_MEMORY, "out of memory");
  free(stream_text); /* open_memstream's own */
  if (status == TT_OK) {
    *ret = (struct tt_report_text){.json = json, .text = text};
    json = NULL;
  }
  tt_free(json);
  return status;
}

void tt_report_release(struct tt_report_text *report) {
  tt_free(report->json);
  tt_free(report->text);
  *report = (struct tt_report_text){NULL, NULL};
}
