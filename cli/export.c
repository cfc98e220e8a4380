#include <string.h>

#include <tracetwin/tracetwin.h>

#include "commands.h"
#include "options.h"
#include "print.h"

int command_export(int argc, char **argv) {
  static const struct command_usage usage = {
      "export", "DATASET -o OUT --format ctf|csv [OPTION...]",
      "Writes a dataset as a CTF trace (OUT/kernel) or as CSV.", 1, 1};
  struct common_options common = {0};
  struct tt_export_options job = {0};
  const char *format = NULL;
  const struct option_spec specs[] = {
      COMMON_OPTIONS(common),
      {OPTION_STRING, 'o', "output", "OUT", "a folder (ctf) or a file (csv)", &job.output},
      {OPTION_FLAG, 'f', "force", NULL, "overwrite the output", &job.overwrite},
      {OPTION_STRING, 0, "format", "ctf|csv", "what to write", &format},
      END_OPTIONS};
  struct string_list operands;
  int code = options_parse(argc, argv, &usage, specs, &common, &operands);
  if (code >= 0)
    return code;
  if (!job.output)
    return usage_error(&usage, "-o OUT is missing");
  if (format && strcmp(format, "ctf") == 0)
    job.format = TT_EXPORT_CTF;
  else if (format && strcmp(format, "csv") == 0)
    job.format = TT_EXPORT_CSV;
  else
    return usage_error(&usage, "--format is ctf or csv");
  job.dataset = operands.items[0];
  job.progress = progress_printer(common.quiet);
  struct tt_export_result result;
  enum tt_status status = tt_job_export(&job, &result);
  code = finish("export", status);
  if (status == TT_OK) {
    const struct field fields[] = {F_COUNT("events", result.events), F_COUNT("bytes", result.bytes),
                                   F_END};
    print_fields(fields, common.json);
  }
  return code;
}
