/* Constraints: mine them from real data, measure a dataset against them, repair it.
 * Definitions: docs/constraints.md (the poster's four classes). */
#ifndef TRACETWIN_CONSTRAINTS_H
#define TRACETWIN_CONSTRAINTS_H

#include <stdbool.h>
#include <stdint.h>

#include <tracetwin/status.h>

/* Shares of violating events (transitions: of consecutive pairs), 0..1. */
struct tt_distance_summary {
  double d_trans;     /* merged stream: the poster's */
  double d_trans_cpu; /* consecutive events of one CPU: stricter, reported beside */
  double d_time, d_cpu, d_attr;
  uint64_t events;
};

struct tt_mine_options {
  const char *dataset, *output;
  bool overwrite;
};

struct tt_mine_result {
  uint64_t transitions, event_types, events;
};

TT_API enum tt_status tt_job_mine(const struct tt_mine_options *options,
                                  struct tt_mine_result *ret);

/* TT_NEGATIVE (with *ret filled and no cause) when one of the poster's four distances is above 0.
 */
TT_API enum tt_status tt_job_check(const char *dataset, const char *constraints,
                                   struct tt_distance_summary *ret);

struct tt_repair_options {
  const char *dataset, *constraints, *output;
  uint64_t seed; /* stored with the output; repair itself draws nothing */
  bool overwrite;
};

struct tt_repair_summary {
  struct tt_distance_summary before, after;
  uint64_t events, edited_events;
  double edit_rate; /* edited_events / events */
  /* edits by class */
  uint64_t retimed_events, event_edits, cpu_edits, dt_edits, tid_edits, comm_edits, ret_edits;
};

TT_API enum tt_status tt_job_repair(const struct tt_repair_options *options,
                                    struct tt_repair_summary *ret);

#endif
