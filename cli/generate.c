#include <tracetwin/tracetwin.h>

#include "commands.h"
#include "options.h"
#include "print.h"

int command_generate(int argc, char **argv) {
  static const struct command_usage usage = {"generate", "MODEL -o DATASET --events N [OPTION...]",
                                             "Makes a synthetic dataset of exactly N events.", 1,
                                             1};
  struct common_options common = {0};
  struct tt_generate_options job = {.seed = 1};
  const struct option_spec specs[] = {
      COMMON_OPTIONS(common),
      {OPTION_STRING, 'o', "output", "DATASET", "the dataset's folder", &job.output},
      {OPTION_FLAG, 'f', "force", NULL, "overwrite the output", &job.overwrite},
      {OPTION_COUNT, 0, "events", "N", "how many events", &job.events},
      {OPTION_COUNT, 0, "seed", "S", "seed (default 1)", &job.seed},
      {OPTION_THREADS, 0, "threads", "N", "threads (default: all CPUs)", &job.threads},
      END_OPTIONS};
  struct string_list operands;
  int code = options_parse(argc, argv, &usage, specs, &common, &operands);
  if (code >= 0)
    return code;
  if (!job.output)
    return usage_error(&usage, "-o DATASET is missing");
  if (!job.events)
    return usage_error(&usage, "--events N is missing");
  job.model = operands.items[0];
  job.progress = progress_printer(common.quiet);
  struct tt_generate_summary result;
  enum tt_status status = tt_job_generate(&job, &result);
  code = finish("generate", status);
  if (status == TT_OK) {
    const struct field fields[] = {F_COUNT("events", result.events),
                                   F_NUMBER("events_per_second", result.events_per_second),
                                   F_COUNT("seed", result.seed), F_END};
    print_fields(fields, common.json);
  }
  return code;
}
