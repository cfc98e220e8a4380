/* generators/masked/fill: what fills a hole is drawn from the model's posterior given both sides;
 * it fits what is around it; nothing else changes. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "dataset_fixture.h"
#include "generators/masked/fill.h"
#include "generators/masked/masked.h"
#include "generators/system/replicas.h"
#include "toy_trace.h"
#include "twin_fixture.h"

static struct tt_generator *train(const char *name, const struct tt_dataset *data, uint64_t steps) {
  static const struct tt_train_option small[] = {{"width", "32"}, {"layers", "2"}, {"heads", "2"}};
  const bool network = strcmp(name, "masked") == 0;
  const struct tt_train_config config = {.train = data,
                                         .context = network ? 32 : 0,
                                         .stream = TT_STREAM_CPU,
                                         .steps = steps,
                                         .seed = 5,
                                         .options = small,
                                         .n_options = network ? 3 : 0};
  struct tt_train_result result;
  struct tt_generator *generator = NULL;
  assert_int_equal(tt_generator_train(name, &config, &result, &generator), TT_OK);
  return generator;
}

/* ---- the posterior ---- */

enum { TYPES = 6, SWITCH = TYPES - 1, LOST = 3, WAYS = TYPES * TYPES * TYPES, DRAWS = 400 };

/* A chain of five kinds of events and switches between two threads. */
static struct tt_event *chain(size_t n, uint64_t seed) {
  struct tt_event *events = tt_alloc(n, sizeof *events);
  struct tt_rng rng;
  int32_t tid = 10;
  uint16_t last = 0;
  tt_rng_init(&rng, seed, 4);
  for (size_t i = 0; i < n; i++) {
    uint16_t event;
    do
      event = (uint16_t)tt_rng_below(&rng, TYPES);
    while (event == last || event == (last + 2) % TYPES || (tid == 10 && event == 3));
    events[i] = (struct tt_event){
        .ts = 100 * (int64_t)i, .ret = TT_RET_NONE, .tid = tid, .comm = 0, .event = event};
    if (event == SWITCH)
      tid = 21 - tid;
    last = event;
  }
  return events;
}

/* The events but for [at, at + lost), whose place is a gap where they are any. */
static struct tt_dataset *chain_dataset(const struct tt_event *events, size_t n, size_t at,
                                        size_t lost) {
  static const char *const names[TYPES] = {"a", "b", "c", "d", "e", "sched_switch"};
  struct tt_dataset_meta meta;
  struct tt_dataset *ret = NULL;
  struct tt_event *left = tt_alloc(n, sizeof *left);
  char *path = fixture_path("chain");
  tt_dataset_meta_init(&meta);
  for (size_t i = 0; i < TYPES; i++)
    tt_names_add(&meta.events, names[i]);
  tt_names_add(&meta.comms, "comm");
  if (lost > 0)
    tt_dataset_meta_add_gap(&meta,
                            &(struct tt_gap){events[at - 1].ts, events[at + lost].ts, lost, 0});
  memcpy(left, events, at * sizeof *left);
  memcpy(left + at, events + at + lost, (n - at - lost) * sizeof *left);
  fixture_write(path, left, n - lost, 2048, &meta);
  assert_int_equal(tt_dataset_open(path, &ret), TT_OK);
  tt_dataset_meta_release(&meta);
  tt_free(left);
  tt_free(path);
  return ret;
}

/* P(event | the past, thread) by counting, worked out anew; what may stand is what followed, here
 * and of this thread. */
static double chance(const struct tt_masked *masked, const struct tt_markov_history *history,
                     uint32_t thread, uint16_t event) {
  const struct tt_system *system = &masked->system;
  const struct tt_place place = {.system = system,
                                 .thread = tt_system_thread_events(system, thread),
                                 .call = TT_MARKOV_CALL_UNKNOWN};
  const struct tt_tally_row row = tt_system_candidates(system, history->events[0]);
  float prior[TYPES];
  double sum = 0, wanted = 0;
  tt_system_event_prior(system, history, thread, TT_MARKOV_CALL_UNKNOWN, UINT32_MAX, prior);
  for (uint16_t v = 0; v < TYPES; v++)
    if (tt_tally_count(&row, v) && tt_place_thread_and_call_had(&place, v)) {
      sum += exp((double)prior[v]);
      wanted += v == event ? exp((double)prior[v]) : 0;
    }
  return wanted / sum;
}

/* p[way] of the three events that stand at `at`, given all others; 0: not possible. */
static void enumerate(const struct tt_masked *masked, const struct tt_event *events, size_t n,
                      size_t at, double *p) {
  const struct tt_cast *cast = &tt_system_markov(&masked->system)->cast;
  double sum = 0;
  for (size_t way = 0; way < WAYS; way++) {
    const uint16_t lost[LOST] = {(uint16_t)(way / TYPES / TYPES), (uint16_t)(way / TYPES % TYPES),
                                 (uint16_t)(way % TYPES)};
    struct tt_markov_history history = {.n = 0};
    int32_t tid = events[at].tid;
    p[way] = 1;
    for (size_t i = 0; i < at; i++)
      tt_markov_push(&history, events[i].event);
    for (size_t i = at; i < at + LOST + TT_FILL_RIGHT && i < n; i++) {
      const bool known = i >= at + LOST;
      const uint16_t event = known ? events[i].event : lost[i - at];
      const double x = chance(masked, &history, tt_cast_find(cast, tid, 0), event);
      p[way] *= known ? 0.999 * x + 0.001 / TYPES : x;
      if (known && tid != events[i].tid)
        p[way] = 0;
      if (event == SWITCH)
        tid = 21 - tid;
      tt_markov_push(&history, event);
    }
    sum += p[way];
  }
  for (size_t way = 0; way < WAYS; way++)
    p[way] /= sum;
}

static void draws_follow_the_posterior(void **state) {
  (void)state;
  enum { BEFORE = 40, AFTER = 30, ALL = BEFORE + LOST + AFTER };
  struct tt_event *past = chain(4000, 1), *events = chain(ALL, 2);
  struct tt_dataset *learned = chain_dataset(past, 4000, 1, 0);
  struct tt_dataset *gappy = chain_dataset(events, ALL, BEFORE, LOST);
  struct tt_generator *generator = train("masked", learned, 1);
  double p[WAYS], left[WAYS] = {0}, seen[WAYS] = {0}, chi = 0, cells = 0, rest = 0, others = 0;
  enumerate((const struct tt_masked *)generator, events, ALL, BEFORE, p);
  struct tt_holes holes;
  assert_int_equal(tt_holes_find(gappy, 100, &holes), TT_OK);
  assert_int_equal(holes.n, 1);
  for (uint64_t seed = 0; seed < DRAWS; seed++) {
    struct tt_fill_config config = {.seed = seed, .candidates = 128, .right = true};
    const struct tt_event *e = holes.events;
    assert_int_equal(tt_generator_fill(generator, &holes, &config), TT_OK);
    seen[(e[0].event * TYPES + e[1].event) * TYPES + e[2].event]++;
    config.right = false;
    config.candidates = 1;
    assert_int_equal(tt_generator_fill(generator, &holes, &config), TT_OK);
    left[(e[0].event * TYPES + e[1].event) * TYPES + e[2].event]++;
  }
  double impossible = 0;
  for (size_t i = 0; i < WAYS; i++) {
    assert_true(p[i] > 0 || seen[i] == 0);
    impossible += p[i] > 0 ? 0 : left[i];
    if (p[i] * DRAWS < 5) {
      rest += p[i] * DRAWS;
      others += seen[i];
      continue;
    }
    chi += pow(seen[i] - p[i] * DRAWS, 2) / (p[i] * DRAWS);
    cells++;
  }
  if (rest > 1)
    chi += pow(others - rest, 2) / rest;
  cells += rest > 1;
  print_message(
      "%.0f kinds of fillings, chi-square %.1f; from the left alone %.0f of %d can't be\n", cells,
      chi, impossible, DRAWS);
  assert_true(cells >= 5 && chi < cells + 4 * sqrt(2 * cells));
  assert_true(impossible > DRAWS / 10.0); /* the check above would tell */
  tt_holes_release(&holes);
  tt_generator_free(generator);
  tt_dataset_close(learned);
  tt_dataset_close(gappy);
  tt_free(past);
  tt_free(events);
}

/* ---- what is around a hole ---- */

enum { ROWS = 6000 };

/* The toy's, no two at the same time: who was where first is then a matter of time. */
static struct tt_event *toy_apart(void) {
  struct tt_event *events = toy_events(ROWS, 2);
  for (size_t i = 0; i < ROWS; i++)
    events[i].ts += (int64_t)i;
  return events;
}

/* Of the toy, with stretches of 1 to 12 events of a CPU lost; *ret_lost: which rows. */
static struct tt_dataset *toy_with_gaps(const struct tt_event *events, bool *ret_lost) {
  struct tt_dataset_meta meta;
  struct tt_event *left = tt_alloc(ROWS, sizeof *left);
  struct tt_rng rng;
  size_t n = 0;
  toy_meta(&meta);
  tt_rng_init(&rng, 3, 3);
  memset(ret_lost, 0, ROWS * sizeof *ret_lost);
  for (size_t i = 50; i + 200 < ROWS; i += 90) {
    const uint64_t lost = 1 + tt_rng_below(&rng, 12);
    struct tt_gap gap = {.lost = lost, .cpu = events[i].cpu};
    size_t row = i;
    for (size_t k = 0; k <= lost;) {
      if (events[++row].cpu != gap.cpu)
        continue;
      ret_lost[row] = k < lost;
      k++;
    }
    gap.begin = events[i].ts;
    gap.end = events[row].ts;
    tt_dataset_meta_add_gap(&meta, &gap);
  }
  for (size_t i = 0; i < ROWS; i++)
    if (!ret_lost[i])
      left[n++] = events[i];
  struct tt_dataset *ret = toy_open(left, n, &meta);
  tt_dataset_meta_release(&meta);
  tt_free(left);
  return ret;
}

static void fillings_fit(void **state) {
  (void)state;
  struct tt_dataset *learned = toy_dataset(8000, 1), *filled = NULL;
  struct tt_event *events = toy_apart();
  bool *lost = tt_alloc(ROWS, sizeof *lost);
  struct tt_dataset *gappy = toy_with_gaps(events, lost);
  struct tt_generator *generator = train("masked", learned, 20);
  struct tt_holes holes;
  assert_int_equal(tt_holes_find(gappy, 100, &holes), TT_OK);
  assert_true(holes.n > 50 && holes.n_gaps == tt_dataset_meta(gappy)->n_gaps);
  for (int variant = 0; variant < 3; variant++) {
    const struct tt_fill_config config = {.seed = 9,
                                          .candidates = variant == 2 ? 1 : 24,
                                          .best = variant == 1,
                                          .network = variant != 1,
                                          .right = true};
    char *path = fixture_path("filled");
    assert_int_equal(tt_generator_fill(generator, &holes, &config), TT_OK);
    assert_int_equal(tt_holes_write(&holes, 9, path, false), TT_OK);
    assert_int_equal(tt_dataset_open(path, &filled), TT_OK);
    assert_int_equal(tt_dataset_columns(filled)->n, ROWS);
    struct tt_event *got = tt_alloc(ROWS, sizeof *got);
    size_t right = 0, all = 0, at[TOY_CPUS] = {0};
    for (size_t i = 0; i < ROWS; i++)
      got[i] = tt_dataset_event(filled, i);
    toy_check_threads(got, ROWS);
    for (size_t i = 0; i < ROWS; i++) { /* each CPU's stream, event for event */
      size_t *k = &at[events[i].cpu];
      while (got[*k].cpu != events[i].cpu)
        ++*k;
      if (lost[i]) {
        all++;
        right += got[*k].event == events[i].event;
      } else {
        assert_true(twin_same(&got[*k], &events[i], 1));
      }
      ++*k;
    }
    print_message("variant %d: %zu of %zu lost events right\n", variant, right, all);
    assert_true(right > all / (variant == 2 ? 3 : 2)); /* a candidate alone is drawn half blind */
    tt_free(got);
    tt_dataset_close(filled);
    tt_free(path);
  }
  tt_holes_release(&holes);
  tt_generator_free(generator);
  tt_dataset_close(gappy);
  tt_dataset_close(learned);
  tt_free(events);
  tt_free(lost);
}

static void same_seed_same_events(void **state) {
  (void)state;
  struct tt_dataset *learned = toy_dataset(4000, 1);
  struct tt_event *events = toy_apart();
  bool *lost = tt_alloc(ROWS, sizeof *lost);
  struct tt_dataset *gappy = toy_with_gaps(events, lost);
  struct tt_generator *generator = train("masked", learned, 2);
  struct tt_holes a, b;
  struct tt_fill_config config = {.seed = 1, .candidates = 8, .network = true, .right = true};
  assert_int_equal(tt_holes_find(gappy, 100, &a), TT_OK);
  assert_int_equal(tt_holes_find(gappy, 100, &b), TT_OK);
  assert_int_equal(tt_generator_fill(generator, &a, &config), TT_OK);
  assert_int_equal(tt_generator_fill(generator, &b, &config), TT_OK);
  assert_true(twin_same(a.events, b.events, a.n_events));
  config.seed = 2;
  assert_int_equal(tt_generator_fill(generator, &b, &config), TT_OK);
  assert_false(twin_same(a.events, b.events, a.n_events));
  config.candidates = 257;
  assert_int_equal(tt_generator_fill(generator, &b, &config), TT_USAGE);
  tt_causes_clear();
  tt_holes_release(&a);
  tt_holes_release(&b);
  tt_generator_free(generator);
  tt_dataset_close(gappy);
  tt_dataset_close(learned);
  tt_free(events);
  tt_free(lost);
}

/* Two workloads with threads of their own: each hole is filled with those of its workload. */
static void workloads_keep_apart(void **state) {
  (void)state;
  enum { EACH = 2000, ALL = 2 * EACH, AT = 700, GAP = 8 };
  static const char *const labels[2] = {"one", "two"};
  struct tt_event *events = tt_alloc(ALL, sizeof *events), *left = tt_alloc(ALL, sizeof *left);
  struct tt_dataset *data[2]; /* whole, with gaps */
  for (uint64_t half = 0; half < 2; half++) {
    struct tt_event *part = toy_events(EACH, 1 + half);
    for (size_t i = 0; i < EACH; i++) {
      part[i].ts += half ? events[EACH - 1].ts : 0;
      part[i].tid += half && part[i].tid > 0 ? 50 : 0;
    }
    memcpy(events + half * EACH, part, EACH * sizeof *part);
    tt_free(part);
  }
  for (size_t gaps = 0; gaps < 2; gaps++) {
    struct tt_dataset_meta meta;
    size_t n = 0;
    toy_meta(&meta);
    for (size_t half = 0; half < 2; half++) {
      const size_t first = n, at = half * EACH + AT;
      size_t lost = 0, row = at;
      memcpy(left + n, events + half * EACH, (AT + 1) * sizeof *left);
      for (n += AT + 1; gaps && lost < GAP;) {
        if (events[++row].cpu == events[at].cpu)
          lost++;
        else
          left[n++] = events[row];
      }
      while (++row < (half + 1) * EACH)
        left[n++] = events[row];
      size_t end = n - 1;
      for (size_t i = first; i + 1 < n; i++)
        if (i > first + AT && left[i].cpu == events[at].cpu && end == n - 1)
          end = i;
      if (gaps)
        tt_dataset_meta_add_gap(&meta,
                                &(struct tt_gap){events[at].ts, left[end].ts, GAP, events[at].cpu});
      tt_dataset_meta_add_source(&meta, "toy", "synthetic", "", labels[half], first, n - first);
    }
    data[gaps] = toy_open(left, n, &meta);
    tt_dataset_meta_release(&meta);
  }
  struct tt_generator *generator = train("masked", data[0], 2);
  struct tt_holes holes;
  const struct tt_fill_config config = {.seed = 1, .candidates = 8, .network = true, .right = true};
  assert_int_equal(generator->labels.n, 2);
  assert_int_equal(tt_holes_find(data[1], 100, &holes), TT_OK);
  assert_int_equal(holes.n, 2);
  assert_int_equal(tt_generator_fill(generator, &holes, &config), TT_OK);
  for (size_t half = 0; half < 2; half++)
    for (size_t i = 0; i < GAP; i++) {
      const int32_t tid = holes.list[half].events[i].tid;
      assert_true(tid == 0 || (tid >= 150) == (half == 1));
    }
  tt_holes_release(&holes);
  tt_generator_free(generator);
  tt_dataset_close(data[0]);
  tt_dataset_close(data[1]);
  tt_free(events);
  tt_free(left);
}

static void what_cannot_fill_is_told(void **state) {
  (void)state;
  struct tt_event *events = chain(400, 1);
  struct tt_dataset *learned = chain_dataset(events, 400, 1, 0), *other = toy_dataset(400, 1);
  const struct tt_fill_config config = {.seed = 1, .candidates = 8, .network = true, .right = true};
  struct tt_generator *markov = train("markov", learned, 0), *masked = train("masked", learned, 1);
  struct tt_holes holes, none;
  assert_int_equal(tt_holes_find(other, 100, &holes), TT_OK);
  assert_int_equal(tt_holes_find(learned, 100, &none), TT_OK);
  assert_int_equal(tt_generator_fill(markov, &none, &config), TT_USAGE);
  assert_int_equal(tt_generator_fill(masked, &holes, &config), TT_BAD_INPUT);
  assert_true(tt_cause_count() > 0);
  tt_causes_clear();
  assert_int_equal(tt_generator_fill(masked, &none, &config), TT_OK);
  tt_holes_release(&holes);
  tt_holes_release(&none);
  tt_generator_free(markov);
  tt_generator_free(masked);
  tt_dataset_close(learned);
  tt_dataset_close(other);
  tt_free(events);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(draws_follow_the_posterior), cmocka_unit_test(fillings_fit),
      cmocka_unit_test(same_seed_same_events),      cmocka_unit_test(workloads_keep_apart),
      cmocka_unit_test(what_cannot_fill_is_told),
  };
  return cmocka_run_group_tests_name("fill", tests, fixture_begin, fixture_end);
}
