#include <string.h>

#include <tracetwin/tracetwin.h>

#include "commands.h"
#include "print.h"
#include "shared_options.h"

static struct tt_export_options job;
static const char *format;
static struct tt_export_result result;

static const struct option_spec options[] = {
    OUTPUT_OPTION("OUT", "a folder (ctf) or a file (csv)", job), FORCE_OPTION(job),
    OPTION(STRING, 0, "format", "ctf|csv", "what to write", &format), END_OPTIONS};

static int check(const struct command_usage *usage) {
  if (format && strcmp(format, "ctf") == 0)
    job.format = TT_EXPORT_CTF;
  else if (format && strcmp(format, "csv") == 0)
    job.format = TT_EXPORT_CSV;
  else
    return usage_error(usage, "--format is ctf or csv");
  return -1;
}

static enum tt_status work(const struct call *call) {
  job.dataset = call->operands.items[0];
  job.progress = progress_printer(call->quiet);
  return tt_job_export(&job, &result);
}

static void print(bool json) {
  const struct field fields[] = {F_COUNT("events", result.events), F_COUNT("bytes", result.bytes),
                                 F_END};
  print_fields(fields, json);
}

const struct command command_export = {
    .usage = {.name = "export",
              .synopsis = "DATASET -o OUT --format ctf|csv [OPTION...]",
              .brief = "a dataset as a trace that other tools open",
              .summary = "Writes a dataset as a CTF trace (OUT/kernel) or as CSV.",
              .min_operands = 1,
              .max_operands = 1},
    .options = options,
    .check = check,
    .work = work,
    .print = print};
