#include <stdio.h>

#include <tracetwin/tracetwin.h>

#include "commands.h"
#include "model_options.h"
#include "options.h"
#include "print.h"

int command_predict(int argc, char **argv) {
  static const struct command_usage usage = {
      "predict", "--train DATASET [--train DATASET...] --val DATASET --test DATASET [OPTION...]",
      "Trains the next-event predictor and scores it on test data.", 0, 0};
  struct common_options common = {0};
  struct tt_predict_options job = {.seed = 1};
  struct string_list train = {.n = 0};
  const struct option_spec specs[] = {
      COMMON_OPTIONS(common),
      {OPTION_LIST, 0, "train", "DATASET", "training data (repeatable)", &train},
      {OPTION_STRING, 0, "val", "DATASET", "validation data (early stopping)", &job.val},
      {OPTION_STRING, 0, "test", "DATASET", "test data", &job.test},
      {OPTION_STRING, 0, "channels", "LIST", "base, system, full (default) or names",
       &job.channels},
      {OPTION_STRING, 0, "stream", "KIND", "'merged' (default) or 'cpu'", &job.stream},
      {OPTION_COUNT, 0, "steps", "N", "exactly N steps instead of early stopping", &job.steps},
      {OPTION_COUNT, 0, "seed", "S", "seed (default 1)", &job.seed},
      {OPTION_THREADS, 0, "threads", "N", "threads (default: all CPUs)", &job.threads},
      END_OPTIONS};
  struct string_list operands;
  int code = options_parse(argc, argv, &usage, specs, &common, &operands);
  if (code >= 0)
    return code;
  if (!train.n || !job.val || !job.test)
    return usage_error(&usage, "--train, --val and --test are needed");
  job.train = train.items;
  job.n_train = train.n;
  job.progress = progress_printer(common.quiet);
  struct tt_predict_result r;
  enum tt_status status = tt_job_predict(&job, &r);
  code = finish("predict", status);
  if (status == TT_OK) {
    const struct field fields[] = {F_NUMBER("macro_f1", r.macro_f1),
                                   F_NUMBER("weighted_f1", r.weighted_f1),
                                   F_NUMBER("accuracy", r.accuracy),
                                   F_NUMBER("top5", r.top5),
                                   F_NUMBER("top10", r.top10),
                                   F_COUNT("classes", r.classes),
                                   F_COUNT("steps", r.steps),
                                   F_COUNT("seed", r.seed),
                                   F_END};
    print_fields(fields, common.json);
  }
  return code;
}

static void print_report(const struct tt_report_text *report, bool json) {
  fputs(json ? report->json : report->text, stdout);
}

int command_evaluate(int argc, char **argv) {
  static const struct command_usage usage = {
      "evaluate", "--train D --val D --test D --synthetic D -o DIR [OPTION...]",
      "Distances, fidelity, utility and memorisation of a synthetic dataset: DIR/report.json.", 0,
      0};
  struct common_options common = {0};
  struct tt_evaluate_options job = {.seed = 1};
  const struct option_spec specs[] = {
      COMMON_OPTIONS(common),
      {OPTION_STRING, 0, "train", "DATASET", "real training data", &job.train},
      {OPTION_STRING, 0, "val", "DATASET", "real validation data", &job.val},
      {OPTION_STRING, 0, "test", "DATASET", "real test data", &job.test},
      {OPTION_STRING, 0, "synthetic", "DATASET", "the twin", &job.synthetic},
      {OPTION_STRING, 'o', "output", "DIR", "the folder of the report", &job.output},
      {OPTION_FLAG, 'f', "force", NULL, "overwrite the output", &job.overwrite},
      {OPTION_STRING, 0, "channels", "LIST", "the predictor's: base, system, full (default)",
       &job.channels},
      {OPTION_COUNT, 0, "steps", "N", "steps of the equal-steps arms", &job.steps},
      {OPTION_COUNT, 0, "seed", "S", "seed (default 1)", &job.seed},
      {OPTION_THREADS, 0, "threads", "N", "threads (default: all CPUs)", &job.threads},
      END_OPTIONS};
  struct string_list operands;
  int code = options_parse(argc, argv, &usage, specs, &common, &operands);
  if (code >= 0)
    return code;
  if (!job.train || !job.val || !job.test || !job.synthetic || !job.output)
    return usage_error(&usage, "--train, --val, --test, --synthetic and -o are needed");
  job.progress = progress_printer(common.quiet);
  struct tt_report_text report = {NULL, NULL};
  enum tt_status status = tt_job_evaluate(&job, &report);
  code = finish("evaluate", status);
  if (status == TT_OK)
    print_report(&report, common.json);
  tt_report_release(&report);
  return code;
}

int command_run(int argc, char **argv) {
  static const struct command_usage usage = {
      "run", "TRACE... -o DIR [OPTION...]",
      "All of it: import, split, constraints, train, generate, repair, export, evaluate.", 1,
      MAX_LIST};
  struct common_options common = {0};
  struct tt_run_options job = {.seed = 1};
  struct string_list settings = {.n = 0};
  const struct option_spec specs[] = {
      COMMON_OPTIONS(common),
      {OPTION_STRING, 'o', "output", "DIR", "the folder of all results", &job.output},
      {OPTION_FLAG, 'f', "force", NULL, "overwrite the output", &job.overwrite},
      MODEL_OPTIONS(job),
      {OPTION_COUNT, 0, "events", "N", "events of the twin (default 100000)", &job.events},
      {OPTION_COUNT, 0, "seed", "S", "seed (default 1)", &job.seed},
      {OPTION_THREADS, 0, "threads", "N", "threads (default: all CPUs)", &job.threads},
      END_OPTIONS};
  struct string_list operands;
  int code = options_parse(argc, argv, &usage, specs, &common, &operands);
  if (code >= 0)
    return code;
  if (!job.output)
    return usage_error(&usage, "-o DIR is missing");
  job.inputs = operands.items;
  job.n_inputs = operands.n;
  job.settings = settings.items;
  job.n_settings = settings.n;
  job.progress = progress_printer(common.quiet);
  struct tt_report_text report = {NULL, NULL};
  enum tt_status status = tt_job_run(&job, &report);
  code = finish("run", status);
  if (status == TT_OK)
    print_report(&report, common.json);
  tt_report_release(&report);
  return code;
}
