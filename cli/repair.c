#include <tracetwin/tracetwin.h>

#include "commands.h"
#include "distance_fields.h"
#include "print.h"
#include "shared_options.h"

static struct tt_repair_options job = {.seed = 1};
static struct tt_repair_summary r;

static const struct option_spec options[] = {
    CONSTRAINTS_OPTION(job.constraints),
    OUTPUT_OPTION("DATASET", "the repaired dataset's folder", job), FORCE_OPTION(job),
    SEED_OPTION(job), END_OPTIONS};

static enum tt_status work(const struct call *call) {
  job.dataset = call->operands.items[0];
  return tt_job_repair(&job, &r);
}

static void print(bool json) {
  const struct field before[] = {DISTANCE_FIELDS(r.before), F_END};
  const struct field after[] = {DISTANCE_FIELDS(r.after), F_END};
  const struct field edits[] = {
      F_COUNT("retimed", r.retimed_events), F_COUNT("event", r.event_edits),
      F_COUNT("cpu", r.cpu_edits),          F_COUNT("dt", r.dt_edits),
      F_COUNT("tid", r.tid_edits),          F_COUNT("comm", r.comm_edits),
      F_COUNT("ret", r.ret_edits),          F_END};
  const struct field fields[] = {
      F_OBJECT("before", before),         F_OBJECT("after", after),
      F_OBJECT("edits", edits),           F_COUNT("edited_events", r.edited_events),
      F_NUMBER("edit_rate", r.edit_rate), F_COUNT("events", r.events),
      F_COUNT("seed", job.seed),          F_END};
  print_fields(fields, json);
}

const struct command command_repair = {
    .usage = {.name = "repair",
              .synopsis = "DATASET --constraints FILE -o DATASET [OPTION...]",
              .brief = "change a dataset, as little as possible, until it obeys",
              .summary = "Brings all four distances to 0 by the least change.",
              .min_operands = 1,
              .max_operands = 1},
    .options = options,
    .work = work,
    .print = print};
