#include <tracetwin/tracetwin.h>

#include "commands.h"
#include "model_options.h"
#include "options.h"
#include "print.h"

int command_train(int argc, char **argv) {
  static const struct command_usage usage = {"train", "DATASET -o MODEL [OPTION...]",
                                             "Trains a generator on a dataset.", 1, 1};
  struct common_options common = {0};
  struct tt_train_options job = {.seed = 1};
  struct string_list settings = {.n = 0};
  const struct option_spec specs[] = {
      COMMON_OPTIONS(common),
      {OPTION_STRING, 'o', "output", "MODEL", "the model's folder", &job.output},
      {OPTION_FLAG, 'f', "force", NULL, "overwrite the output", &job.overwrite},
      {OPTION_STRING, 0, "val", "DATASET", "real validation data", &job.val},
      MODEL_OPTIONS(job),
      {OPTION_COUNT, 0, "steps", "N", "optimiser steps, instead of --minutes", &job.steps},
      {OPTION_COUNT, 0, "seed", "S", "seed (default 1)", &job.seed},
      {OPTION_THREADS, 0, "threads", "N", "threads (default: all CPUs)", &job.threads},
      {OPTION_FLAG, 0, "resume", NULL, "go on from MODEL.checkpoint", &job.resume},
      END_OPTIONS};
  struct string_list operands;
  int code = options_parse(argc, argv, &usage, specs, &common, &operands);
  if (code >= 0)
    return code;
  if (!job.output)
    return usage_error(&usage, "-o MODEL is missing");
  if (job.steps && job.minutes > 0)
    return usage_error(&usage, "--steps and --minutes exclude each other");
  job.dataset = operands.items[0];
  job.settings = settings.items;
  job.n_settings = settings.n;
  job.progress = progress_printer(common.quiet);
  struct tt_train_summary result;
  enum tt_status status = tt_job_train(&job, &result);
  code = finish("train", status);
  if (status == TT_OK) {
    const struct field fields[] = {F_TEXT("generator", result.generator),
                                   F_COUNT("parameters", result.parameters),
                                   F_COUNT("steps", result.steps),
                                   F_NUMBER("events_per_second", result.events_per_second),
                                   F_NUMBER("loss", result.loss),
                                   F_NUMBER("val_loss", result.val_loss),
                                   F_COUNT("seed", result.seed),
                                   F_END};
    print_fields(fields, common.json);
  }
  return code;
}
