#include <tracetwin/tracetwin.h>

#include "commands.h"
#include "print.h"
#include "shared_options.h"

static struct tt_generate_options job = {.seed = 1};
static struct tt_generate_summary result;

static const struct option_spec options[] = {
    OUTPUT_OPTION("DATASET", "the dataset's folder", job),
    FORCE_OPTION(job),
    REQUIRED_OPTION(COUNT, 0, "events", "N", "how many events", &job.events, "--events N"),
    SEED_OPTION(job),
    THREADS_OPTION(job),
    END_OPTIONS};

static enum tt_status work(const struct call *call) {
  job.model = call->operands.items[0];
  job.progress = progress_printer(call->quiet);
  return tt_job_generate(&job, &result);
}

static void print(bool json) {
  const struct field fields[] = {F_COUNT("events", result.events),
                                 F_NUMBER("events_per_second", result.events_per_second),
                                 F_COUNT("seed", result.seed), F_END};
  print_fields(fields, json);
}

const struct command command_generate = {
    .usage = {.name = "generate",
              .synopsis = "MODEL -o DATASET --events N [OPTION...]",
              .brief = "make a synthetic dataset with a trained generator",
              .summary = "Makes a synthetic dataset of exactly N events.",
              .min_operands = 1,
              .max_operands = 1},
    .options = options,
    .work = work,
    .print = print};
