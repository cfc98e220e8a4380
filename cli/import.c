#include <tracetwin/tracetwin.h>

#include "commands.h"
#include "dataset_fields.h"
#include "options.h"
#include "print.h"

int command_import(int argc, char **argv) {
  static const struct command_usage usage = {
      "import", "TRACE... -o DATASET [OPTION...]",
      "Imports kernel traces (CTF folders of LTTng or perf, any mix) into one dataset.", 1,
      MAX_LIST};
  struct common_options common = {0};
  struct tt_import_options job = {0};
  const struct option_spec specs[] = {
      COMMON_OPTIONS(common),
      {OPTION_STRING, 'o', "output", "DATASET", "the dataset's folder", &job.output},
      {OPTION_FLAG, 'f', "force", NULL, "overwrite the output", &job.overwrite},
      {OPTION_STRING, 0, "label", "NAME", "workload label stored with the source", &job.label},
      {OPTION_THREADS, 0, "threads", "N", "decoders at a time (default: all CPUs)", &job.threads},
      END_OPTIONS};
  struct string_list operands;
  int code = options_parse(argc, argv, &usage, specs, &common, &operands);
  if (code >= 0)
    return code;
  if (!job.output)
    return usage_error(&usage, "-o DATASET is missing");
  job.inputs = operands.items;
  job.n_inputs = operands.n;
  job.progress = progress_printer(common.quiet);
  struct tt_dataset_info info;
  enum tt_status status = tt_job_import(&job, &info);
  code = finish("import", status);
  if (status == TT_OK) {
    const struct field fields[] = {DATASET_FIELDS(info), F_END};
    print_fields(fields, common.json);
  }
  return code;
}
