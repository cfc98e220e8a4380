#include <tracetwin/tracetwin.h>

#include "commands.h"
#include "dataset_fields.h"
#include "print.h"
#include "shared_options.h"

static struct string_list labels;
static struct tt_import_options job = {.labels = labels.items};
static struct tt_dataset_info info;

static const struct option_spec options[] = {
    OUTPUT_OPTION("DATASET", "the dataset's folder", job), FORCE_OPTION(job),
    OPTION(LIST, 0, "label", "NAME", "workload label: once, or once for each TRACE", &labels),
    OPTION(THREADS, 0, "threads", "N", "decoders at a time (default: all CPUs)", &job.threads),
    END_OPTIONS};

static enum tt_status work(const struct call *call) {
  job.inputs = call->operands.items;
  job.n_inputs = call->operands.n;
  job.n_labels = labels.n;
  job.progress = progress_printer(call->quiet);
  return tt_job_import(&job, &info);
}

static void print(bool json) {
  const struct field fields[] = {DATASET_FIELDS(info), F_END};
  print_fields(fields, json);
}

const struct command command_import = {
    .usage = {.name = "import",
              .synopsis = "TRACE... -o DATASET [OPTION...]",
              .brief = "traces to a dataset",
              .summary =
                  "Imports kernel traces (CTF folders of LTTng or perf, any mix) into one dataset.",
              .min_operands = 1,
              .max_operands = MAX_LIST},
    .options = options,
    .work = work,
    .print = print};
