/* Repair over plain rows (constraints.h has the one over datasets). */
#ifndef CONSTRAINTS_REPAIR_H
#define CONSTRAINTS_REPAIR_H

#include "constraints/plan.h"

/* Where repaired events go, in order. */
struct tt_repair_sink {
  enum tt_status (*append)(void *user, const struct tt_event *events, size_t n);
  void *user;
};

struct tt_repair_job {
  const struct tt_constraints *c;
  const struct tt_rows *rows;
  struct tt_names *events, *comms; /* of the rows; names that repair needs are added */
  struct tt_gap *gaps;             /* [n_gaps] sorted by begin, moved along with the events */
  size_t n_gaps;
  uint64_t seed;
  struct tt_plan_options options;
  struct tt_repair_sink sink;
};
struct tt_repair_log {
  struct tt_repair_edits edits;
  uint64_t regions;
  int64_t shift_ns;
};
enum tt_status tt_repair_rows(const struct tt_repair_job *job, struct tt_repair_log *ret);

#endif
