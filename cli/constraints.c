#include <tracetwin/tracetwin.h>

#include "commands.h"
#include "print.h"
#include "shared_options.h"

static struct tt_mine_options job;
static struct tt_mine_result result;

static const struct option_spec options[] = {
    OUTPUT_OPTION("FILE", "the constraints file (JSON)", job), FORCE_OPTION(job), END_OPTIONS};

static enum tt_status work(const struct call *call) {
  job.dataset = call->operands.items[0];
  return tt_job_mine(&job, &result);
}

static void print(bool json) {
  const struct field fields[] = {F_COUNT("transitions", result.transitions),
                                 F_COUNT("event_types", result.event_types),
                                 F_COUNT("events", result.events), F_END};
  print_fields(fields, json);
}

const struct command command_constraints = {
    .usage = {.name = "constraints",
              .synopsis = "DATASET -o FILE [OPTION...]",
              .brief = "mine constraints from a dataset",
              .summary = "Mines the constraints that a dataset obeys: transitions, time bounds, "
                         "CPUs, attributes.",
              .min_operands = 1,
              .max_operands = 1},
    .options = options,
    .work = work,
    .print = print};
