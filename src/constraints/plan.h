/* Which events repair substitutes or exchanges so that every transition is legal, at the least cost
 * over the whole trace (path.h has the cost), worked out window by window in bounded memory.
 *
 * Only stretches around violations are searched; each is widened until its ends provably lie on
 * every optimal correction (docs/constraints.md). A window ends at such a place. A correction that
 * reaches further back than `slack` rows before its first violation is cut off there. */
#ifndef CONSTRAINTS_PLAN_H
#define CONSTRAINTS_PLAN_H

#include "constraints/core.h"
#include "constraints/path.h"

enum {                   /* what is wrong with a row as it stands */
       TT_ROW_CUT = 1,   /* the pair with its predecessor is not judged (row 0: there is none) */
       TT_ROW_PAIR = 2,  /* illegal transition from its predecessor */
       TT_ROW_EVENT = 4, /* an event that is legal nowhere, or not with a predecessor */
       TT_ROW_CPU = 8,
       TT_ROW_ATTR = 16,
       TT_ROW_TIME = 32,
};

/* How far the neighbour on the same CPU is looked for, rows. */
#define TT_PLAN_NEAR 64u

struct tt_plan_options { /* 0: the default */
  size_t window;         /* rows examined at once (2^20) */
  size_t slack;          /* rows kept back for corrections that reach to the left (2^16; at least
                            TT_PLAN_NEAR) */
  size_t history;        /* path.h: history_max */
  size_t bounded;        /* path.h: bounded_max */
};

struct tt_planner;
enum tt_status tt_planner_new(const struct tt_constraints *c, const struct tt_binding *binding,
                              const struct tt_rows *rows, const struct tt_plan_options *options,
                              struct tt_planner **ret);
void tt_planner_free(struct tt_planner *planner); /* accepts NULL */

/* The plan of rows begin .. begin + n - 1, valid until the next call. */
struct tt_plan {
  size_t begin, n;
  const uint8_t *flags;        /* [n] TT_ROW_* of each row as it stands */
  const struct tt_step *steps; /* [n] what each slot gets */
  size_t ahead;                /* rows behind them whose flags and steps are there, too */
  uint64_t regions;            /* stretches solved that begin here */
};
/* The next stretch; n = 0 at the end. TT_FAILED: no legal sequence exists. */
enum tt_status tt_planner_next(struct tt_planner *planner, struct tt_plan *ret);

#endif
