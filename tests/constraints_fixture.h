/* Small random traces, a plain restatement of what repair promises, to compare it with, and mining,
 * checking and repair of such traces. */
#ifndef CONSTRAINTS_FIXTURE_H
#define CONSTRAINTS_FIXTURE_H

#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h> /* needs those above */

#include "base/mem.h"
#include "base/output.h"
#include "base/rng.h"
#include "constraints/repair.h"

#define ROWS_MAX 4096
#define LABELS_MAX 150 /* more than two words of a set of labels */

struct trace { /* columns that own their rows */
  size_t n;
  int64_t ts[ROWS_MAX], ret[ROWS_MAX];
  int32_t tid[ROWS_MAX];
  uint32_t comm[ROWS_MAX];
  uint16_t event[ROWS_MAX], cpu[ROWS_MAX];
  struct tt_gap gaps[16];
  size_t n_gaps;
};

static inline struct tt_columns trace_columns(const struct trace *t) {
  return (struct tt_columns){.n = t->n,
                             .ts = t->ts,
                             .ret = t->ret,
                             .tid = t->tid,
                             .comm = t->comm,
                             .event = t->event,
                             .cpu = t->cpu};
}

static inline void trace_add(struct trace *t, int64_t ts, uint16_t event, uint16_t cpu, int32_t tid,
                             uint32_t comm, int64_t ret) {
  assert_true(t->n < ROWS_MAX);
  t->ts[t->n] = ts;
  t->event[t->n] = event;
  t->cpu[t->n] = cpu;
  t->tid[t->n] = tid;
  t->comm[t->n] = comm;
  t->ret[t->n++] = ret;
}

static inline void trace_event(struct trace *t, const struct tt_event *e) {
  trace_add(t, e->ts, e->event, e->cpu, e->tid, e->comm, e->ret);
}

static inline struct tt_rows trace_rows(const struct trace *t) {
  struct tt_columns columns = trace_columns(t);
  struct tt_rows rows;
  assert_int_equal(tt_rows_plain(&columns, t->gaps, t->n_gaps, &rows), TT_OK);
  return rows;
}

static inline void names_numbered(struct tt_names *names, const char *prefix, size_t n) {
  char text[32];
  tt_names_init(names);
  for (size_t i = 0; i < n; i++) {
    snprintf(text, sizeof text, "%s%zu", prefix, i);
    tt_names_add(names, text);
  }
}

/* A random walk over `labels` events with `degree` successors each; attributes depend on the event,
 * so that their sets differ. */
static inline void random_trace(struct tt_rng *rng, size_t n, size_t labels, size_t degree,
                                size_t cpus, struct trace *ret) {
  uint16_t next[LABELS_MAX][8];
  for (size_t a = 0; a < labels; a++)
    for (size_t k = 0; k < degree; k++)
      next[a][k] = (uint16_t)tt_rng_below(rng, labels);
  ret->n = ret->n_gaps = 0;
  int64_t ts = 1000;
  uint16_t event = 0;
  for (size_t i = 0; i < n; i++) {
    event = next[event][tt_rng_below(rng, degree)];
    ts += (int64_t)tt_rng_below(rng, 20 + 10 * (event % 3u)) + event % 2;
    uint16_t cpu = (uint16_t)tt_rng_below(rng, event % 3 == 2 && cpus > 1 ? cpus - 1 : cpus);
    int32_t tid = (int32_t)(100 + cpu + 7 * tt_rng_below(rng, 1 + event % 2u));
    int64_t value = event % 4 == 1 ? (int64_t)tt_rng_below(rng, 3) - 1 : TT_RET_NONE;
    trace_add(ret, ts, event, cpu, tid, (uint32_t)tid % 5, value);
  }
}

/* Spoils each field of each event with probability p; labels up to `labels` (beyond the mined ones:
 * unknown). */
static inline void spoil(struct tt_rng *rng, double p, size_t labels, struct trace *t) {
  int64_t shift = 0;
  for (size_t i = 0; i < t->n; i++) {
    if (tt_rng_uniform(rng) < p)
      t->event[i] = (uint16_t)tt_rng_below(rng, labels);
    if (tt_rng_uniform(rng) < p)
      t->cpu[i] = (uint16_t)tt_rng_below(rng, 6);
    if (tt_rng_uniform(rng) < p)
      t->tid[i] = tt_rng_uniform(rng) < 0.2 ? TT_TID_NONE : (int32_t)tt_rng_below(rng, 400);
    if (tt_rng_uniform(rng) < p)
      t->comm[i] = tt_rng_uniform(rng) < 0.2 ? TT_COMM_NONE : (uint32_t)tt_rng_below(rng, 6);
    if (tt_rng_uniform(rng) < p)
      t->ret[i] = tt_rng_uniform(rng) < 0.3 ? TT_RET_NONE : (int64_t)tt_rng_below(rng, 9) - 4;
    if (tt_rng_uniform(rng) < p)
      shift += (int64_t)tt_rng_below(rng, 100);
    t->ts[i] += shift;
  }
}

/* ---- the promise, restated: cost of a correction, field by field (path.h) ---- */

struct cost {
  uint64_t main, edits, soft, rarity;
};
#define COST_NEVER ((struct cost){UINT64_MAX, 0, 0, 0})

static inline int cost_compare(struct cost a, struct cost b) {
  const uint64_t x[] = {a.main, a.edits, a.soft, a.rarity},
                 y[] = {b.main, b.edits, b.soft, b.rarity};
  for (size_t i = 0; i < 4; i++)
    if (x[i] != y[i])
      return x[i] < y[i] ? -1 : 1;
  return 0;
}

static inline struct cost cost_add(struct cost a, struct cost b) {
  if (a.main == UINT64_MAX || b.main == UINT64_MAX)
    return COST_NEVER;
  return (struct cost){a.main + b.main, a.edits + b.edits, a.soft + b.soft, a.rarity + b.rarity};
}

struct judge {
  const struct tt_constraints *c;
  const struct tt_binding *binding;
  const struct trace *t;
  const bool *cut; /* [n] */
};

static inline uint16_t judge_label(const struct judge *j, size_t i) {
  return tt_label(j->binding, j->t->event[i]);
}

static inline struct cost judge_pair(const struct judge *j, size_t second, uint16_t a, uint16_t b) {
  const struct tt_relation *next = &j->c->next;
  if (second == 0 || j->cut[second])
    return (struct cost){0};
  uint64_t count = tt_relation_count(next, a, b), r = 0;
  if (!count)
    return COST_NEVER;
  while (r < 15 && next->total[a] / ((uint64_t)2 << r) >= count)
    r++;
  return (struct cost){.rarity = r};
}

/* Illegal pairs of `label` with the nearest neighbours on its CPU, no cut between. */
static inline uint64_t judge_cpu_pairs(const struct judge *j, size_t i, uint16_t label) {
  uint64_t bad = 0;
  for (size_t k = i; k > 0 && !j->cut[k] && i - k < 64;)
    if (j->t->cpu[--k] == j->t->cpu[i]) {
      uint16_t other = judge_label(j, k);
      bad += other != TT_LABEL_NONE && !tt_relation_has(&j->c->next_cpu, other, label);
      break;
    }
  for (size_t k = i + 1; k < j->t->n && !j->cut[k] && k - i < 65; k++)
    if (j->t->cpu[k] == j->t->cpu[i]) {
      uint16_t other = judge_label(j, k);
      bad += other != TT_LABEL_NONE && !tt_relation_has(&j->c->next_cpu, label, other);
      break;
    }
  return bad;
}

static inline bool judge_timed(const struct judge *j, size_t slot) {
  return slot > 0 && !j->cut[slot];
}

static inline bool judge_dt_ok(const struct judge *j, size_t slot, uint16_t label) {
  int64_t dt = judge_timed(j, slot) ? j->t->ts[slot] - j->t->ts[slot - 1] : 0;
  return !judge_timed(j, slot) || (dt >= j->c->dt[label].min && dt <= j->c->dt[label].max);
}

static inline unsigned judge_channels(const struct judge *j, size_t i, uint16_t label) {
  const struct tt_constraints *c = j->c;
  return 0u + !tt_relation_has(&c->cpu, label, j->t->cpu[i]) +
         !tt_relation_has(&c->tid, label, tt_constraints_tid_class(j->t->tid[i])) +
         !tt_relation_has(&c->comm, label, tt_binding_comm_class(c, j->binding, j->t->comm[i])) +
         !tt_relation_has(&c->ret, label, tt_constraints_ret_class(c, j->t->ret[i])) +
         !judge_dt_ok(j, i, label);
}

/* Slot i holds its own event as `label`. */
static inline struct cost judge_single(const struct judge *j, size_t i, uint16_t label) {
  if (judge_timed(j, i) && j->c->dt[label].min > j->c->dt[label].max)
    return COST_NEVER;
  unsigned channels = judge_channels(j, i, label);
  uint64_t pairs = 2 * judge_cpu_pairs(j, i, label);
  return label == judge_label(j, i) ? (struct cost){0, channels > 0, pairs, 0}
                                    : (struct cost){3, 1, pairs + channels, 0};
}

/* Slots i and i + 1 hold each other's events. */
static inline struct cost judge_exchange(const struct judge *j, size_t i) {
  uint16_t a = judge_label(j, i), b = judge_label(j, i + 1);
  if (j->cut[i + 1] || j->t->cpu[i] == j->t->cpu[i + 1] || a == b || a == TT_LABEL_NONE ||
      b == TT_LABEL_NONE || !judge_dt_ok(j, i, b) || !judge_dt_ok(j, i + 1, a))
    return COST_NEVER;
  return (struct cost){2, 2, 2 * (judge_cpu_pairs(j, i, a) + judge_cpu_pairs(j, i + 1, b)), 0};
}

/* What a plan costs, and that it is a legal one. */
static inline struct cost judge_steps(const struct judge *j, const struct tt_step *steps) {
  struct cost sum = {0};
  for (size_t i = 0; i < j->t->n; i++) {
    if (i > 0)
      sum = cost_add(sum, judge_pair(j, i, steps[i - 1].label, steps[i].label));
    if (steps[i].kind == TT_STEP_FIRST) {
      assert_true(i + 1 < j->t->n && steps[i + 1].kind == TT_STEP_SECOND);
      assert_int_equal(steps[i].label, judge_label(j, i + 1));
      assert_int_equal(steps[i + 1].label, judge_label(j, i));
      sum = cost_add(sum, judge_exchange(j, i));
    } else if (steps[i].kind != TT_STEP_SECOND) {
      assert_int_equal(steps[i].kind == TT_STEP_KEEP, steps[i].label == judge_label(j, i));
      sum = cost_add(sum, judge_single(j, i, steps[i].label));
    }
  }
  return sum;
}

/* ---- the modules on small traces ---- */

static struct tt_names event_names, comm_names; /* e0.., c0..c9 */

static inline struct tt_constraints *mine(const struct trace *t) {
  struct tt_rows rows = trace_rows(t);
  struct tt_constraints *c = NULL;
  assert_int_equal(tt_mine_rows(&rows, &event_names, &comm_names, &c), TT_OK);
  tt_rows_release(&rows);
  return c;
}

static inline struct tt_binding bind(const struct tt_constraints *c) {
  struct tt_binding binding;
  assert_int_equal(tt_constraints_bind(c, &event_names, &comm_names, &binding), TT_OK);
  return binding;
}

static inline struct tt_distances check(const struct tt_constraints *c, const struct trace *t) {
  struct tt_rows rows = trace_rows(t);
  struct tt_binding binding = bind(c);
  struct tt_distances d;
  assert_int_equal(tt_check_rows(c, &binding, &rows, &d), TT_OK);
  tt_binding_release(&binding);
  tt_rows_release(&rows);
  return d;
}

static inline enum tt_status collect(void *user, const struct tt_event *events, size_t n) {
  for (size_t i = 0; i < n; i++)
    trace_event(user, &events[i]);
  return TT_OK;
}

static inline enum tt_status repair(const struct tt_constraints *c, const struct trace *t,
                                    uint64_t seed, struct tt_plan_options options,
                                    struct trace *ret, struct tt_repair_log *log) {
  struct tt_rows rows = trace_rows(t);
  ret->n = 0;
  ret->n_gaps = t->n_gaps;
  memcpy(ret->gaps, t->gaps, sizeof t->gaps);
  struct tt_repair_job job = {.c = c,
                              .rows = &rows,
                              .events = &event_names,
                              .comms = &comm_names,
                              .gaps = ret->gaps,
                              .n_gaps = ret->n_gaps,
                              .seed = seed,
                              .options = options,
                              .sink = {collect, ret}};
  enum tt_status status = tt_repair_rows(&job, log);
  tt_rows_release(&rows);
  return status;
}

static inline int set_up(void **state) {
  (void)state;
  omp_set_num_threads(1); /* thousands of tiny traces: threads would only wait for each other */
  names_numbered(&event_names, "e", LABELS_MAX);
  names_numbered(&comm_names, "c", 10);
  return 0;
}

static inline int tear_down(void **state) {
  (void)state;
  tt_names_release(&event_names);
  tt_names_release(&comm_names);
  return 0;
}

#endif
