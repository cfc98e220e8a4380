/* The cheapest correction of one stretch of events: a shortest path through the transition graph.
 *
 * Every event is either kept, substituted by another label, or exchanged with its neighbour of
 * another CPU (both keep their labels; the two time slots stay where they are, and each event must
 * be within its dt bounds in its new slot). Cost, compared field by field:
 *
 *   1. 3 * substituted + 1 * exchanged events   (an exchange of two costs less than a substitution,
 *                                                two exchanges cost more)
 *   2. events edited in any channel: substituted, exchanged, or kept with an illegal CPU, attribute
 *      or dt
 *   3. 2 * illegal per-CPU pairs (with the original neighbours on the CPU) + further channels that
 *      a substituted event needs changed
 *   4. rarity of the transitions taken: sum of floor(log2(1 / P(next | label))), at most 15 each
 *
 * The fields are packed into one 64-bit number, exact while a stretch is shorter than
 * TT_PATH_EXACT rows (beyond, fields 2-4 may carry into the one above).
 *
 * Of corrections of equal cost in all fields it is the one with the lowest label in the last event
 * in which they differ (a completed exchange counts last).
 *
 * A stretch is solved with its first and last event kept, and the solver reports whether the
 * neighbourhood was wide enough for that to be no restriction (docs/constraints.md has the proof):
 * on the left by optimistic "ghost" states that stand for any correction that begins further left,
 * on the right by demanding that keeping the last event is strictly cheapest in field 1. */
#ifndef CONSTRAINTS_PATH_H
#define CONSTRAINTS_PATH_H

#include "constraints/core.h"

#define TT_PATH_EXACT 7000u
#define TT_PATH_SUBSTITUTE 3u /* field 1 of a substituted event */
#define TT_PATH_EXCHANGE 2u   /* field 1 of an exchanged pair */

/* What happens in a slot of the sequence. */
enum tt_step_kind {
  TT_STEP_KEEP,
  TT_STEP_SUBSTITUTE,
  TT_STEP_FIRST, /* the slot takes the next row; the next slot, TT_STEP_SECOND, takes this one */
  TT_STEP_SECOND,
};
struct tt_step {
  uint16_t label;
  uint8_t kind;
};

struct tt_path_row {
  int64_t dt;     /* ns to the previous row; -1: none (the stretch begins here) */
  uint16_t label; /* TT_LABEL_NONE: unknown, must be substituted */
  uint16_t before_cpu,
      after_cpu; /* labels of the neighbours on its CPU; TT_LABEL_NONE: none near */
  uint16_t cpu;
  uint32_t tid, comm, ret; /* classes */
  bool broken;             /* kept, its CPU, attributes or dt would have to be edited */
};

struct tt_path_problem {
  const struct tt_path_row *rows; /* [n]; rows[-1] is there unless open_left or fixed_left,
                                     rows[n] unless open_right */
  size_t n;
  bool open_left, open_right; /* nothing precedes (follows): no event need be kept there */
  bool fixed_left;            /* the first event is kept by decree: no question asked */
};

/* The transition graph with the rarity of every edge; shared by all threads. */
struct tt_path_edge {
  uint16_t label;
  uint8_t rarity;
};
struct tt_path_graph {
  const struct tt_constraints *c;
  size_t words;               /* 64-bit words of a set of labels: ceil(E / 64) */
  uint8_t *between;           /* [E, E] rarity + 1 of the transition; 0: there is none */
  size_t *start;              /* [E + 1] into edges */
  struct tt_path_edge *edges; /* by label, those that follow it, ascending */
  uint64_t *before;           /* [E, words] the labels that a label follows */
  uint64_t *before_twice;     /* [E, words] the labels that those follow */
  uint64_t *before_any;       /* [words] the labels that any label follows */
};
/* Adds to a set of labels. */
static inline void tt_label_set_join(uint64_t *set, const uint64_t *with, size_t words) {
  for (size_t w = 0; w < words; w++)
    set[w] |= with[w];
}

enum tt_status tt_path_graph_build(const struct tt_constraints *c, struct tt_path_graph *ret);
void tt_path_graph_release(struct tt_path_graph *graph);

/* Room to solve in, one for each thread. */
struct tt_path_solver;
/* history_max: states remembered before what is decided already is let go. bounded_max: rows of the
 * longest stretch that is searched with bounds (path.c; they take memory for every row), at most
 * the default. 0: the default. */
struct tt_path_solver *tt_path_solver_new(const struct tt_path_graph *graph, size_t history_max,
                                          size_t bounded_max);
void tt_path_solver_free(struct tt_path_solver *solver); /* accepts NULL */

enum tt_path_verdict {
  TT_PATH_SOLVED = 0,
  TT_PATH_WIDEN_LEFT = 1, /* bits: solve again with more rows on that side */
  TT_PATH_WIDEN_RIGHT = 2,
  TT_PATH_WIDEN_BOTH = 3,
  TT_PATH_IMPOSSIBLE = 4, /* no legal sequence between these ends */
  TT_PATH_NO_MEMORY = 5,
};
/* steps: [n]. They hold the solution when the verdict is TT_PATH_SOLVED. */
enum tt_path_verdict tt_path_solve(struct tt_path_solver *solver,
                                   const struct tt_path_problem *problem, struct tt_step *steps);

#endif
