/* Repair: minimality against brute force and against a plain dynamic programme, properties on
 * random traces, datasets on disk, memory that runs out. */
#include "constraints_fixture.h"

#include <stdlib.h>

#include "tracetwin/status.h"

/* ---- minimality ---- */

struct plan_copy {
  struct tt_step steps[ROWS_MAX];
  size_t windows;
  uint64_t regions;
};

static enum tt_status plan(const struct tt_constraints *c, const struct tt_binding *binding,
                           const struct trace *t, struct tt_plan_options options,
                           struct plan_copy *ret) {
  struct tt_rows rows = trace_rows(t);
  struct tt_planner *planner = NULL;
  assert_int_equal(tt_planner_new(c, binding, &rows, &options, &planner), TT_OK);
  size_t n = 0;
  ret->windows = 0;
  ret->regions = 0;
  enum tt_status status = TT_OK;
  for (;;) {
    struct tt_plan part;
    status = tt_planner_next(planner, &part);
    if (status != TT_OK || part.n == 0)
      break;
    assert_int_equal(part.begin, n);
    memcpy(ret->steps + n, part.steps, part.n * sizeof *part.steps);
    n += part.n;
    ret->windows++;
    ret->regions += part.regions;
  }
  assert_true(status != TT_OK || n == t->n);
  tt_planner_free(planner);
  tt_rows_release(&rows);
  return status;
}

/* Every assignment of labels and every set of exchanges. */
static struct cost brute_force(const struct judge *j, size_t i, uint16_t before, bool pending,
                               struct cost so_far, struct cost best) {
  size_t labels = j->c->events.n;
  if (cost_compare(so_far, best) >= 0)
    return best;
  if (i == j->t->n)
    return pending ? best : so_far;
  if (pending) { /* the slot takes the event of the one before */
    uint16_t label = judge_label(j, i - 1);
    return brute_force(j, i + 1, label, false, cost_add(so_far, judge_pair(j, i, before, label)),
                       best);
  }
  for (uint16_t l = 0; l < labels; l++) {
    struct cost cost = cost_add(so_far, judge_single(j, i, l));
    if (i > 0)
      cost = cost_add(cost, judge_pair(j, i, before, l));
    best = brute_force(j, i + 1, l, false, cost, best);
  }
  if (i + 1 < j->t->n) {
    struct cost cost = cost_add(so_far, judge_exchange(j, i));
    if (cost.main != UINT64_MAX && i > 0)
      cost = cost_add(cost, judge_pair(j, i, before, judge_label(j, i + 1)));
    best = brute_force(j, i + 1, judge_label(j, i + 1), true, cost, best);
  }
  return best;
}

/* The same by dynamic programming over all rows and labels, and the steps: of ways of equal cost
 * the one from the lowest label, a completed exchange last. */
static struct cost whole_trace(const struct judge *j, struct tt_step *ret) {
  size_t labels = j->c->events.n, n = j->t->n;
  static uint8_t parents[ROWS_MAX]
                        [LABELS_MAX + 1]; /* labels and, at `labels`, the exchange pending */
  struct cost at[LABELS_MAX], next[LABELS_MAX], pending = COST_NEVER;
  for (size_t i = 0; i < n; i++) {
    struct cost exchange = i + 1 < n ? judge_exchange(j, i) : COST_NEVER;
    struct cost next_pending = COST_NEVER;
    for (uint16_t l = 0; l < labels; l++) {
      struct cost here = judge_single(j, i, l), least = COST_NEVER;
      for (uint16_t a = 0; a < labels && i > 0; a++) {
        struct cost way = cost_add(at[a], judge_pair(j, i, a, l));
        if (cost_compare(way, least) < 0) {
          least = way;
          parents[i][l] = (uint8_t)a;
        }
      }
      next[l] = i == 0 ? here : cost_add(least, here);
      if (exchange.main != UINT64_MAX && l == judge_label(j, i + 1)) {
        next_pending = i == 0 ? exchange : cost_add(least, exchange);
        parents[i][labels] = parents[i][l];
      }
    }
    if (pending.main != UINT64_MAX) {
      uint16_t l = judge_label(j, i - 1);
      struct cost way = cost_add(pending, judge_pair(j, i, judge_label(j, i), l));
      if (cost_compare(way, next[l]) < 0) {
        next[l] = way;
        parents[i][l] = (uint8_t)labels;
      }
    }
    pending = next_pending;
    memcpy(at, next, sizeof at);
  }
  struct cost best = COST_NEVER;
  uint16_t label = 0;
  for (uint16_t l = 0; l < labels; l++)
    if (cost_compare(at[l], best) < 0) {
      best = at[l];
      label = l;
    }
  for (size_t i = n; best.main != UINT64_MAX && i-- > 0;) {
    if (i > 0 && parents[i][label] == labels) {
      ret[i] = (struct tt_step){label, TT_STEP_SECOND};
      i--;
      ret[i] = (struct tt_step){judge_label(j, i + 1), TT_STEP_FIRST};
      label = parents[i][labels];
    } else {
      ret[i] =
          (struct tt_step){label, label == judge_label(j, i) ? TT_STEP_KEEP : TT_STEP_SUBSTITUTE};
      label = parents[i][label];
    }
  }
  return best;
}

static void assert_same_steps(const struct tt_step *a, const struct tt_step *b, size_t n) {
  for (size_t i = 0; i < n; i++) {
    assert_int_equal(a[i].kind, b[i].kind);
    assert_int_equal(a[i].label, b[i].label);
  }
}

static void find_cuts(const struct trace *t, bool *cut) {
  struct tt_rows rows = trace_rows(t);
  size_t cursor = 0;
  cut[0] = true;
  for (size_t i = 1; i < t->n; i++)
    cut[i] = tt_rows_cut(&rows, i, &cursor);
  tt_rows_release(&rows);
}

static void random_gaps(struct tt_rng *rng, struct trace *t, size_t n) {
  for (t->n_gaps = 0; t->n_gaps < n;) {
    int64_t begin = t->ts[tt_rng_below(rng, t->n)] + (int64_t)tt_rng_below(rng, 5);
    t->gaps[t->n_gaps++] = (struct tt_gap){
        .begin = begin, .end = begin + (int64_t)tt_rng_below(rng, 30), .lost = 1, .cpu = 0};
  }
  for (size_t a = 0; a < n; a++)
    for (size_t b = a + 1; b < n; b++)
      if (t->gaps[b].begin < t->gaps[a].begin) {
        struct tt_gap gap = t->gaps[a];
        t->gaps[a] = t->gaps[b];
        t->gaps[b] = gap;
      }
}

static void test_brute_force(void **state) {
  (void)state;
  static struct trace train, t;
  static struct plan_copy copy;
  static struct tt_step steps[ROWS_MAX];
  size_t repaired = 0, exchanged = 0, impossible = 0;
  for (uint64_t seed = 0; seed < 3000; seed++) {
    struct tt_rng rng;
    tt_rng_init(&rng, seed, 1);
    size_t labels = 2 + tt_rng_below(&rng, 3);
    random_trace(&rng, seed % 4 ? 4 + tt_rng_below(&rng, 25) : 1 + seed / 4 % 4, labels, 2, 3,
                 &train);
    random_trace(&rng, 1 + tt_rng_below(&rng, 6), labels + seed % 2, 3, 3, &t);
    if (seed % 5 == 0)
      random_gaps(&rng, &t, 1);
    struct tt_constraints *c = mine(&train);
    struct tt_binding binding = bind(c);
    bool cut[16];
    find_cuts(&t, cut);
    struct judge judge = {c, &binding, &t, cut};
    struct cost best = brute_force(&judge, 0, 0, false, (struct cost){0}, COST_NEVER);
    assert_int_equal(cost_compare(best, whole_trace(&judge, steps)), 0);
    const struct tt_plan_options options = {.history = 1 + seed % 3, .bounded = seed / 2 % 3};
    enum tt_status status = plan(c, &binding, &t, options, &copy);
    if (best.main == UINT64_MAX) {
      assert_int_equal(status, TT_FAILED);
      tt_causes_clear();
      impossible++;
    } else {
      assert_int_equal(status, TT_OK);
      struct cost got = judge_steps(&judge, copy.steps);
      assert_int_equal(cost_compare(got, best), 0);
      assert_same_steps(copy.steps, steps, t.n);
      repaired += best.main > 0;
      for (size_t i = 0; i < t.n; i++)
        exchanged += copy.steps[i].kind == TT_STEP_FIRST;
    }
    tt_binding_release(&binding);
    tt_constraints_free(c);
  }
  print_message("brute force: %zu traces repaired, %zu exchanges, %zu impossible\n", repaired,
                exchanged, impossible);
  assert_true(repaired > 1000 && exchanged > 40 && impossible > 50);
}

/* Long traces: solving stretches, windows and forgetting must not cost anything. */
static void test_stretches_are_optimal(void **state) {
  (void)state;
  static struct trace train, t;
  static struct plan_copy copy;
  static struct tt_step steps[ROWS_MAX];
  static bool cut[ROWS_MAX];
  static const double rates[] = {0.002, 0.01, 0.05, 0.2, 0.6};
  size_t repaired = 0, windows = 0, impossible = 0;
  for (uint64_t seed = 0; seed < 300; seed++) {
    struct tt_rng rng;
    tt_rng_init(&rng, seed, 2);
    size_t labels = 2 + tt_rng_below(&rng, 9);
    size_t cpus = 1 + tt_rng_below(&rng, 4);
    random_trace(&rng, 50 + tt_rng_below(&rng, 400), labels, 1 + tt_rng_below(&rng, 3), cpus,
                 &train);
    t = train;
    spoil(&rng, rates[seed % 5], labels + seed % 2, &t);
    if (seed % 3 == 0)
      random_gaps(&rng, &t, 1 + seed % 4);
    struct tt_constraints *c = mine(&train);
    struct tt_binding binding = bind(c);
    find_cuts(&t, cut);
    struct judge judge = {c, &binding, &t, cut};
    struct cost best = whole_trace(&judge, steps);
    for (size_t k = 0; k < 2; k++) {
      struct tt_plan_options options = {0};
      if (k)
        options = (struct tt_plan_options){.window = 40, .slack = 64, .history = 16, .bounded = 20};
      enum tt_status status = plan(c, &binding, &t, options, &copy);
      if (best.main == UINT64_MAX) {
        assert_int_equal(status, TT_FAILED);
        tt_causes_clear();
        impossible++;
        continue;
      }
      assert_int_equal(status, TT_OK);
      struct cost got = judge_steps(&judge, copy.steps);
      if (k) { /* a correction that reaches back beyond the slack may be cut off: never seen here */
        windows += copy.windows;
      } else {
        repaired += got.main > 0;
      }
      assert_int_equal(got.main, best.main);
      assert_int_equal(cost_compare(got, best), 0);
      assert_same_steps(copy.steps, steps, t.n);
    }
    tt_binding_release(&binding);
    tt_constraints_free(c);
  }
  print_message("stretches: %zu traces repaired, %zu windows, %zu impossible\n", repaired, windows,
                impossible);
  assert_true(repaired > 150 && windows > 500);
}

/* Two to four violations at every distance from none to beyond what regions start with, so that
 * regions touch, nearly touch and are joined while they widen. */
static void test_violations_near_each_other(void **state) {
  (void)state;
  static struct trace train, t;
  static struct plan_copy copy;
  static struct tt_step steps[ROWS_MAX];
  static bool cut[ROWS_MAX];
  size_t repaired = 0, regions = 0, wide = 0;
  for (uint64_t seed = 0; seed < 2400; seed++) {
    struct tt_rng rng;
    tt_rng_init(&rng, seed, 4);
    bool many = seed % 150 == 149; /* sets of labels of several words */
    size_t labels = (many ? 60 : 3) + tt_rng_below(&rng, many ? 80 : 10), distance = 1 + seed % 24;
    random_trace(&rng, many ? 1000 : 100, labels, (many ? 5 : 1) + tt_rng_below(&rng, 3),
                 1 + tt_rng_below(&rng, 4), &train);
    t = train;
    t.n = 100;
    size_t n_bad = 2 + seed % 3;
    for (size_t k = 0, at = 5 + tt_rng_below(&rng, 15); k < n_bad; k++, at += distance) {
      if (tt_rng_below(&rng, 3) == 0) { /* early by one event */
        uint16_t event = t.event[at], cpu = t.cpu[at];
        t.event[at] = t.event[at + 1];
        t.cpu[at] = t.cpu[at + 1];
        t.event[at + 1] = event;
        t.cpu[at + 1] = cpu;
      } else {
        t.event[at] = (uint16_t)tt_rng_below(&rng, labels + 1);
      }
    }
    struct tt_constraints *c = mine(&train);
    struct tt_binding binding = bind(c);
    find_cuts(&t, cut);
    struct judge judge = {c, &binding, &t, cut};
    struct cost best = whole_trace(&judge, steps);
    const struct tt_plan_options options = {.bounded = seed % 7 ? 0 : 12};
    assert_int_equal(plan(c, &binding, &t, options, &copy), TT_OK);
    assert_int_equal(cost_compare(judge_steps(&judge, copy.steps), best), 0);
    assert_same_steps(copy.steps, steps, t.n);
    repaired += best.main > 0;
    regions += copy.regions > 1;
    wide += c->events.n > 64 && best.main > 0;
    tt_binding_release(&binding);
    tt_constraints_free(c);
  }
  print_message("near: %zu traces repaired, %zu in several regions, %zu with over 64 events\n",
                repaired, regions, wide);
  assert_true(repaired > 2000 && regions > 300 && wide > 8);
}

/* a b a b ...: one event too many shifts everything behind it; no local repair exists. */
static void test_no_local_repair(void **state) {
  (void)state;
  static struct trace train, t;
  static struct plan_copy copy;
  train.n = train.n_gaps = t.n = t.n_gaps = 0;
  for (uint16_t i = 0; i < 20; i++)
    trace_add(&train, i, i % 2, 0, 1, 1, TT_RET_NONE);
  for (uint16_t i = 0; i < 300; i++)
    trace_add(&t, i, (uint16_t)(i < 100 ? i % 2 : (i + 1) % 2), 0, 1, 1, TT_RET_NONE);
  struct tt_constraints *c = mine(&train);
  struct tt_binding binding = bind(c);
  assert_int_equal(plan(c, &binding, &t, (struct tt_plan_options){0}, &copy), TT_OK);
  size_t substituted = 0;
  for (size_t i = 0; i < t.n; i++)
    substituted += copy.steps[i].kind == TT_STEP_SUBSTITUTE;
  assert_int_equal(substituted, 100); /* those before, not the 200 behind */
  tt_binding_release(&binding);
  tt_constraints_free(c);
}

static void test_impossible(void **state) {
  (void)state;
  static struct trace train, t, out;
  train.n = train.n_gaps = t.n = t.n_gaps = 0;
  trace_add(&train, 0, 0, 0, 1, 1, TT_RET_NONE);
  trace_add(&train, 1, 1, 0, 1, 1, TT_RET_NONE);
  for (uint16_t i = 0; i < 3; i++)
    trace_add(&t, i, 0, 0, 1, 1, TT_RET_NONE);
  struct tt_constraints *c = mine(&train);
  struct tt_repair_log log;
  tt_causes_clear();
  assert_int_equal(repair(c, &t, 1, (struct tt_plan_options){0}, &out, &log), TT_FAILED);
  assert_non_null(strstr(tt_cause(0), "no sequence of 3 events"));
  tt_causes_clear();
  tt_constraints_free(c);
}

/* ---- properties of repair ---- */

static bool same_trace(const struct trace *a, const struct trace *b) {
  size_t n = a->n;
  return n == b->n && a->n_gaps == b->n_gaps && !memcmp(a->ts, b->ts, n * sizeof *a->ts) &&
         !memcmp(a->ret, b->ret, n * sizeof *a->ret) &&
         !memcmp(a->tid, b->tid, n * sizeof *a->tid) &&
         !memcmp(a->comm, b->comm, n * sizeof *a->comm) &&
         !memcmp(a->event, b->event, n * sizeof *a->event) &&
         !memcmp(a->cpu, b->cpu, n * sizeof *a->cpu);
}

static void test_properties(void **state) {
  (void)state;
  static struct trace train, t, once, twice, other;
  static const double rates[] = {0, 0.01, 0.1, 0.5};
  uint64_t classes[6] = {0};
  for (uint64_t seed = 0; seed < 200; seed++) {
    struct tt_rng rng;
    tt_rng_init(&rng, seed, 3);
    size_t labels = 3 + tt_rng_below(&rng, 20);
    random_trace(&rng, 300 + tt_rng_below(&rng, 300), labels, 2 + tt_rng_below(&rng, 3),
                 1 + tt_rng_below(&rng, 5), &train);
    t = train;
    spoil(&rng, rates[seed % 4], labels + 1, &t);
    if (seed % 3 == 0)
      random_gaps(&rng, &t, 2);
    struct tt_constraints *c = mine(&train);
    struct tt_repair_log log, again;
    struct tt_distances before = check(c, &t);
    assert_int_equal(repair(c, &t, seed, (struct tt_plan_options){0}, &once, &log), TT_OK);
    struct tt_distances after = check(c, &once);
    assert_true(tt_distances_zero(&after));
    assert_int_equal(once.n, t.n);
    assert_int_equal(after.pairs, before.pairs); /* gaps still lie where they lay */
    size_t differ = 0, labels_differ = 0, cpus = 0, tids = 0, rets = 0, comms = 0;
    for (size_t i = 0; i < t.n; i++) {
      assert_true(i == 0 || once.ts[i] >= once.ts[i - 1]);
      bool time = i > 0 && once.ts[i] - once.ts[i - 1] != t.ts[i] - t.ts[i - 1];
      differ += time || once.event[i] != t.event[i] || once.cpu[i] != t.cpu[i] ||
                once.tid[i] != t.tid[i] || once.comm[i] != t.comm[i] || once.ret[i] != t.ret[i];
      labels_differ += once.event[i] != t.event[i];
      cpus += once.cpu[i] != t.cpu[i];
      tids += once.tid[i] != t.tid[i];
      comms += once.comm[i] != t.comm[i];
      rets += once.ret[i] != t.ret[i];
    }
    assert_int_equal(log.edits.events, differ);
    assert_int_equal(log.edits.substituted + log.edits.exchanged, labels_differ);
    assert_int_equal(log.edits.exchanged % 2, 0);
    if (log.edits.exchanged == 0) {
      assert_int_equal(log.edits.cpu, cpus);
      assert_int_equal(log.edits.tid, tids);
      assert_int_equal(log.edits.comm, comms);
      assert_int_equal(log.edits.ret, rets);
    }
    assert_int_equal(log.shift_ns, once.ts[t.n - 1] - t.ts[t.n - 1]);
    if (tt_distances_zero(&before))
      assert_true(same_trace(&t, &once) && log.edits.events == 0 && log.regions == 0);
    else
      assert_true(log.edits.events > 0);
    assert_int_equal(repair(c, &once, seed + 1, (struct tt_plan_options){0}, &twice, &again),
                     TT_OK);
    assert_true(same_trace(&once, &twice));
    assert_int_equal(again.edits.events, 0);
    /* Windows and slack change nothing. */
    struct tt_plan_options small = {.window = 32, .slack = 64};
    assert_int_equal(repair(c, &t, seed, small, &other, &again), TT_OK);
    assert_true(same_trace(&once, &other));
    assert_memory_equal(&log, &again, sizeof log);
    const uint64_t counts[] = {log.edits.substituted, log.edits.exchanged, log.edits.time,
                               log.edits.cpu,         log.edits.tid,       log.edits.ret};
    for (size_t k = 0; k < 6; k++)
      classes[k] += counts[k];
    tt_constraints_free(c);
  }
  for (size_t k = 0; k < 6; k++)
    assert_true(classes[k] > 100);
}

/* An event between two CPUs' streams came a few ns too early: exchanged, not substituted. */
static void test_exchange_before_substitution(void **state) {
  (void)state;
  static struct trace train, t, out;
  train.n = train.n_gaps = t.n = t.n_gaps = 0;
  for (uint16_t i = 0; i < 30; i++) /* e0 e1 e2 e0 e1 e2; e2 on CPU 1 */
    trace_add(&train, 10 * i, i % 3, i % 3 == 2, 1, 1, TT_RET_NONE);
  t = train;
  t.event[10] = train.event[11]; /* e0 e2 e1 */
  t.cpu[10] = train.cpu[11];
  t.event[11] = train.event[10];
  t.cpu[11] = train.cpu[10];
  struct tt_constraints *c = mine(&train);
  struct tt_repair_log log;
  assert_int_equal(repair(c, &t, 1, (struct tt_plan_options){0}, &out, &log), TT_OK);
  assert_true(same_trace(&train, &out));
  assert_int_equal(log.edits.exchanged, 2);
  assert_int_equal(log.edits.events, 2);
  assert_int_equal(log.edits.substituted, 0);
  tt_constraints_free(c);
}

static void test_nearest_values(void **state) {
  (void)state;
  static struct trace train, t, out;
  train.n = train.n_gaps = t.n = t.n_gaps = 0;
  for (uint16_t i = 0; i < 40; i++)
    trace_add(&train, 10 * i + i % 2, 0, i % 2 ? 1 : 6, i % 2 ? 11 : 16, i % 2 ? 1 : 6,
              TT_RET_NONE);
  for (uint16_t i = 0; i < 6; i++)
    trace_add(&t, 10 * i, 0, 1, 11, 1, TT_RET_NONE);
  t.cpu[2] = 5; /* nearest allowed: 6, but its thread runs on 1 */
  t.cpu[3] = 5;
  t.tid[3] = 16;  /* nowhere yet: 6 */
  t.tid[4] = 99;  /* becomes the thread running there */
  t.ret[5] = 3;   /* never any */
  t.ts[5] += 500; /* too long: 11 at most */
  struct tt_constraints *c = mine(&train);
  struct tt_repair_log log;
  assert_int_equal(repair(c, &t, 1, (struct tt_plan_options){0}, &out, &log), TT_OK);
  assert_int_equal(out.cpu[2], 1);
  assert_int_equal(out.cpu[3], 6);
  assert_int_equal(out.tid[4], 11);
  assert_true(out.ret[5] == TT_RET_NONE);
  assert_int_equal(out.ts[5] - out.ts[4], 11);
  assert_int_equal(log.edits.events, 4);
  assert_int_equal(log.edits.cpu, 2);
  assert_int_equal(log.edits.tid, 1);
  assert_int_equal(log.edits.time, 1);
  tt_constraints_free(c);
}

/* ---- datasets on disk ---- */

static void write_dataset(const char *path, const struct trace *t, const struct tt_gap *gaps,
                          size_t n_gaps) {
  struct tt_dataset_meta meta;
  tt_dataset_meta_init(&meta);
  for (size_t i = 0; i < 20; i++)
    tt_names_add(&meta.events, event_names.names[i]);
  for (size_t i = 0; i < comm_names.n; i++)
    tt_names_add(&meta.comms, comm_names.names[i]);
  for (size_t g = 0; g < n_gaps; g++)
    assert_int_equal(tt_dataset_meta_add_gap(&meta, &gaps[g]), TT_OK);
  assert_int_equal(tt_dataset_meta_add_source(&meta, "a", "synthetic", "", "", 0, t->n / 2), TT_OK);
  assert_int_equal(
      tt_dataset_meta_add_source(&meta, "b", "synthetic", "", "", t->n / 2, t->n - t->n / 2),
      TT_OK);
  struct tt_dataset_writer *writer = NULL;
  assert_int_equal(tt_dataset_writer_begin(path, false, &writer), TT_OK);
  for (size_t i = 0; i < t->n; i++) {
    struct tt_event e = {t->ts[i], t->ret[i], t->tid[i], t->comm[i], t->event[i], t->cpu[i]};
    assert_int_equal(tt_dataset_writer_append(writer, &e, 1), TT_OK);
  }
  assert_int_equal(tt_dataset_writer_finish(writer, &meta), TT_OK);
  tt_dataset_meta_release(&meta);
}

static void assert_same_file(const char *a, const char *b, const char *name) {
  char *x = tt_format("%s/%s", a, name), *y = tt_format("%s/%s", b, name);
  char *p = NULL, *q = NULL;
  size_t n = 0, m = 0;
  assert_int_equal(tt_read_file(x, &p, &n), TT_OK);
  assert_int_equal(tt_read_file(y, &q, &m), TT_OK);
  assert_true(n == m && memcmp(p, q, n) == 0);
  tt_free(p);
  tt_free(q);
  tt_free(x);
  tt_free(y);
}

static void test_datasets(void **state) {
  (void)state;
  static struct trace train, t;
  char folder[] = "/tmp/tt-constraints-XXXXXX";
  assert_non_null(mkdtemp(folder));
  char *paths[4];
  const char *names[] = {"train", "twin", "once", "twice"};
  for (size_t k = 0; k < 4; k++)
    paths[k] = tt_format("%s/%s", folder, names[k]);
  struct tt_rng rng;
  tt_rng_init(&rng, 21, 5);
  random_trace(&rng, 2000, 15, 3, 4, &train);
  t = train;
  spoil(&rng, 0.03, 16, &t);
  const struct tt_gap gaps[] = {{t.ts[300], t.ts[340], 5, 0},
                                {t.ts[900] + 1, t.ts[900] + 2, 0, 2},
                                {t.ts[901], t.ts[950], 0, 1},
                                {t.ts[1999], t.ts[1999] + 50, 1, 3}};
  write_dataset(paths[0], &train, NULL, 0);
  write_dataset(paths[1], &t, gaps, 4);
  struct tt_dataset *real = NULL, *twin = NULL, *once = NULL;
  assert_int_equal(tt_dataset_open(paths[0], &real), TT_OK);
  assert_int_equal(tt_dataset_open(paths[1], &twin), TT_OK);
  struct tt_constraints *c = NULL;
  assert_int_equal(tt_constraints_mine(real, &c), TT_OK);
  /* Our spans are the dataset's cuts. */
  struct tt_rows rows;
  assert_int_equal(tt_rows_of(twin, &rows), TT_OK);
  size_t cursor = 0, cuts = 0;
  for (size_t i = 1; i < t.n; i++) {
    bool cut = tt_rows_cut(&rows, i, &cursor);
    assert_int_equal(cut, tt_dataset_gap_before(twin, i));
    cuts += cut;
  }
  assert_true(cuts > 80 && cuts < 150);
  tt_rows_release(&rows);

  struct tt_distances d;
  assert_int_equal(tt_constraints_check(c, real, &d), TT_OK);
  assert_true(tt_distances_zero(&d));
  assert_int_equal(d.pairs, 1998); /* the sources' border */
  assert_int_equal(tt_constraints_check(c, twin, &d), TT_OK);
  struct tt_repair_result result, again;
  assert_int_equal(tt_constraints_repair(c, twin, 9, paths[2], false, &result), TT_OK);
  assert_memory_equal(&d, &result.before, sizeof d);
  assert_true(tt_distances_zero(&result.after) && result.after.d_trans == 0);
  assert_int_equal(result.after.pairs, result.before.pairs);
  assert_true(result.edit_rate > 0 && result.edit_rate < 0.3);
  assert_true(result.after.bad_trans_cpu <= result.before.bad_trans_cpu);
  assert_int_equal(tt_constraints_repair(c, twin, 9, paths[2], false, &again), TT_EXISTS);
  tt_causes_clear();
  assert_int_equal(tt_dataset_open(paths[2], &once), TT_OK);
  assert_int_equal(tt_constraints_repair(c, once, 10, paths[3], false, &again), TT_OK);
  assert_int_equal(again.edits.events, 0);
  static const char *const files[] = {
      "dataset.json",         "shard-00000/ts.npy",    "shard-00000/ret.npy", "shard-00000/tid.npy",
      "shard-00000/comm.npy", "shard-00000/event.npy", "shard-00000/cpu.npy"};
  for (size_t k = 0; k < sizeof files / sizeof *files; k++)
    assert_same_file(paths[2], paths[3], files[k]);
  tt_dataset_close(real);
  tt_dataset_close(twin);
  tt_dataset_close(once);
  tt_constraints_free(c);
  assert_int_equal(tt_remove_tree(folder), TT_OK);
  for (size_t k = 0; k < 4; k++)
    tt_free(paths[k]);
}

/* ---- memory ---- */

static void test_out_of_memory(void **state) {
  (void)state;
  static struct trace train, t, out;
  struct tt_rng rng;
  tt_rng_init(&rng, 31, 6);
  random_trace(&rng, 200, 8, 3, 3, &train);
  t = train;
  spoil(&rng, 0.1, 8, &t);
  int before = omp_get_max_threads();
  omp_set_num_threads(1);
  size_t failures = 0;
  for (size_t at = 1;; at++) {
    struct tt_constraints *c = NULL;
    struct tt_repair_log log;
    struct tt_rows rows = trace_rows(&train);
    tt_alloc_fail_at(at);
    enum tt_status status = tt_mine_rows(&rows, &event_names, &comm_names, &c);
    tt_alloc_fail_at(0);
    tt_rows_release(&rows);
    if (status == TT_OK) {
      /* the rows of `repair` themselves are the first allocation */
      struct tt_rows bad_rows = trace_rows(&t);
      out.n = 0;
      struct tt_repair_job job = {.c = c,
                                  .rows = &bad_rows,
                                  .events = &event_names,
                                  .comms = &comm_names,
                                  .seed = 1,
                                  .sink = {collect, &out}};
      for (size_t k = 1;; k++) {
        out.n = 0;
        tt_alloc_fail_at(k);
        status = tt_repair_rows(&job, &log);
        tt_alloc_fail_at(0);
        if (status == TT_OK)
          break;
        assert_int_equal(status, TT_NO_MEMORY);
        failures++;
      }
      tt_rows_release(&bad_rows);
      tt_constraints_free(c);
      break;
    }
    assert_int_equal(status, TT_NO_MEMORY);
    assert_null(c);
    failures++;
  }
  omp_set_num_threads(before);
  tt_causes_clear();
  assert_true(failures > 60);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_brute_force),
      cmocka_unit_test(test_stretches_are_optimal),
      cmocka_unit_test(test_violations_near_each_other),
      cmocka_unit_test(test_no_local_repair),
      cmocka_unit_test(test_impossible),
      cmocka_unit_test(test_properties),
      cmocka_unit_test(test_exchange_before_substitution),
      cmocka_unit_test(test_nearest_values),
      cmocka_unit_test(test_datasets),
      cmocka_unit_test(test_out_of_memory),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
