#include <tracetwin/tracetwin.h>

#include "commands.h"
#include "distance_fields.h"
#include "print.h"
#include "shared_options.h"

static const char *constraints;
static struct tt_distance_summary result;

static const struct option_spec options[] = {CONSTRAINTS_OPTION(constraints), END_OPTIONS};

static enum tt_status work(const struct call *call) {
  return tt_job_check(call->operands.items[0], constraints, &result);
}

static void print(bool json) {
  const struct field fields[] = {DISTANCE_FIELDS(result), F_COUNT("events", result.events), F_END};
  print_fields(fields, json);
}

const struct command command_check = {
    .usage = {.name = "check",
              .synopsis = "DATASET --constraints FILE [OPTION...]",
              .brief = "the distances of a dataset from mined constraints",
              .summary =
                  "Measures the four distances of a dataset; exit code 3 when any is above 0.",
              .min_operands = 1,
              .max_operands = 1},
    .options = options,
    .work = work,
    .print = print};
