/* Figures against scikit-learn and SciPy (tests/data/scores.json), against hand-counted cases, and
 * against what must hold of any two samples of one source. */
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/output.h"
#include "base/rng.h"
#include "folder_fixture.h"
#include "metrics/conditional.h"
#include "metrics/discriminator.h"
#include "metrics/fidelity.h"
#include "metrics/scores.h"
#include "metrics/syscalls.h"
#include "metrics/table.h"
#include "report/report.h"

#define assert_near(a, b, tolerance)                                                               \
  do {                                                                                             \
    double near_a = (a), near_b = (b);                                                             \
    if (!(fabs(near_a - near_b) <= (tolerance)))                                                   \
      fail_msg("%s = %.12g, expected %.12g", #a, near_a, near_b);                                  \
  } while (0)

static json_t *fixture(void) {
  json_error_t error;
  json_t *json = json_load_file(TT_SOURCE_DIR "/tests/data/scores.json", 0, &error);
  if (!json)
    fail_msg("scores.json: %s", error.text);
  return json;
}

static double number(const json_t *object, const char *key) {
  json_t *value = json_object_get(object, key);
  assert_true(json_is_number(value));
  return json_number_value(value);
}

static void test_scores_as_scikit_learn(void **state) {
  (void)state;
  json_t *json = fixture();
  size_t index;
  json_t *one;
  json_array_foreach(json_object_get(json, "classification"), index, one) {
    size_t classes = (size_t)number(one, "classes");
    json_t *truth = json_object_get(one, "truth"), *rows = json_object_get(one, "scores");
    struct tt_scorer scorer;
    float *row = calloc(classes, sizeof *row);
    assert_int_equal(tt_scorer_init(&scorer, classes), TT_OK);
    for (size_t i = 0; i < json_array_size(truth); i++) {
      size_t t = (size_t)json_integer_value(json_array_get(truth, i)), best = 0;
      for (size_t k = 0; k < classes; k++) {
        row[k] = (float)json_number_value(json_array_get(json_array_get(rows, i), k));
        if (row[k] > row[best])
          best = k;
      }
      tt_scorer_add(&scorer, t, best, tt_rank_of(row, classes, t));
    }
    struct tt_scores scores = tt_scorer_result(&scorer);
    assert_near(scores.macro_f1, number(one, "macro_f1"), 1e-12);
    assert_near(scores.weighted_f1, number(one, "weighted_f1"), 1e-12);
    assert_near(scores.accuracy, number(one, "accuracy"), 1e-12);
    assert_near(scores.top5, number(one, "top5"), 1e-12);
    assert_near(scores.top10, number(one, "top10"), 1e-12);
    assert_int_equal(scores.classes, (size_t)number(one, "present"));
    assert_int_equal(scores.samples, json_array_size(truth));
    tt_scorer_release(&scorer);
    free(row);
  }
  assert_int_equal(index, 3);
  json_decref(json);
}

static void test_scores_of_unknown_classes(void **state) {
  (void)state;
  /* Two known classes always right, one unknown never: macro-F1 averages over all three. */
  struct tt_scorer scorer;
  assert_int_equal(tt_scorer_init(&scorer, 3), TT_OK);
  for (int i = 0; i < 5; i++) {
    tt_scorer_add(&scorer, 0, 0, 0);
    tt_scorer_add(&scorer, 1, 1, 0);
  }
  tt_scorer_add(&scorer, 2, 0, TT_RANK_NEVER);
  struct tt_scores scores = tt_scorer_result(&scorer);
  assert_near(scores.macro_f1, (10.0 / 11 + 1 + 0) / 3, 1e-12);
  assert_near(scores.accuracy, 10.0 / 11, 1e-12);
  assert_near(scores.top10, 10.0 / 11, 1e-12);
  assert_int_equal(scores.classes, 3);
  tt_scorer_release(&scorer);
  const float tied[] = {1, 2, 2, 0};
  assert_int_equal(tt_rank_of(tied, 4, 1), 0);
  assert_int_equal(tt_rank_of(tied, 4, 2), 1);
  assert_int_equal(tt_rank_of(tied, 4, 3), 3);
}

static void test_divergence_as_scipy(void **state) {
  (void)state;
  json_t *json = fixture(), *one;
  size_t index;
  json_array_foreach(json_object_get(json, "divergence"), index, one) {
    json_t *a = json_object_get(one, "a"), *b = json_object_get(one, "b");
    size_t n = json_array_size(a);
    uint64_t *x = calloc(n, sizeof *x), *y = calloc(n, sizeof *y);
    struct tt_table table;
    tt_table_init(&table);
    for (size_t i = 0; i < n; i++) {
      x[i] = (uint64_t)json_integer_value(json_array_get(a, i));
      y[i] = (uint64_t)json_integer_value(json_array_get(b, i));
      struct tt_slot *slot = tt_table_at(&table, i * 977);
      assert_non_null(slot);
      slot->v[0] = x[i];
      slot->v[1] = y[i];
    }
    assert_near(tt_jsd(x, y, n, 1), number(one, "jsd"), 1e-12);
    assert_near(tt_table_jsd(&table), number(one, "jsd"), 1e-12);
    tt_table_release(&table);
    free(x);
    free(y);
  }
  assert_int_equal(index, 3);
  const uint64_t left[] = {3, 0}, right[] = {0, 9}, none[] = {0, 0};
  assert_near(tt_jsd(left, right, 2, 1), 1, 1e-12);
  assert_near(tt_jsd(left, left, 2, 1), 0, 1e-12);
  assert_near(tt_jsd(left, none, 2, 1), 1, 0);
  assert_near(tt_jsd(none, none, 2, 1), 0, 0);
  json_decref(json);
}

static void test_auc_as_scikit_learn(void **state) {
  (void)state;
  json_t *json = fixture(), *one = json_object_get(json, "auc");
  size_t n = json_array_size(json_object_get(one, "label"));
  double *score = calloc(n, sizeof *score), auc;
  uint8_t *label = calloc(n, sizeof *label);
  for (size_t i = 0; i < n; i++) {
    label[i] = (uint8_t)json_integer_value(json_array_get(json_object_get(one, "label"), i));
    score[i] = json_number_value(json_array_get(json_object_get(one, "score"), i));
  }
  assert_int_equal(tt_auc(score, label, n, &auc), TT_OK);
  assert_near(auc, number(one, "auc"), 1e-12);
  memset(label, 1, n);
  assert_int_equal(tt_auc(score, label, n, &auc), TT_OK);
  assert_true(isnan(auc));
  free(score);
  free(label);
  json_decref(json);
}

static void test_table(void **state) {
  (void)state;
  struct tt_table table;
  tt_table_init(&table);
  assert_null(tt_table_find(&table, 5));
  for (uint64_t i = 0; i < 10000; i++) {
    struct tt_slot *slot = tt_table_at(&table, i << 40);
    assert_non_null(slot);
    slot->v[0] = i;
  }
  assert_int_equal(table.n, 10000);
  for (uint64_t i = 0; i < 10000; i++)
    assert_int_equal(tt_table_find(&table, i << 40)->v[0], i);
  assert_null(tt_table_find(&table, 1));
  tt_table_clear(&table);
  assert_int_equal(table.n, 0);
  assert_null(tt_table_find(&table, (uint64_t)1 << 40));
  tt_table_release(&table);
  tt_alloc_fail_at(1);
  assert_null(tt_table_at(&table, 1));
  tt_alloc_fail_at(0);
}

static void test_conditional(void **state) {
  (void)state;
  double jsd;
  /* Two keys, shares 1/2 and 1/2 on both sides; the first agrees, the second is disjoint. */
  const struct tt_observation a[] = {{1, 7}, {1, 7}, {2, 1}, {2, 1}};
  const struct tt_observation b[] = {{1, 7}, {1, 7}, {2, 3}, {2, 3}};
  assert_int_equal(tt_conditional_jsd_categories(a, 4, b, 4, &jsd), TT_OK);
  assert_near(jsd, 0.5, 1e-12);
  /* A key of one side only counts as 1, by its mean share: (0 + 1/2) / 2 + (1/2 + 0) / 2. */
  const struct tt_observation c[] = {{1, 7}, {1, 7}, {3, 1}, {3, 1}};
  assert_int_equal(tt_conditional_jsd_categories(a, 4, c, 4, &jsd), TT_OK);
  assert_near(jsd, 0.5, 1e-12);
  assert_int_equal(tt_conditional_jsd_categories(a, 4, NULL, 0, &jsd), TT_OK);
  assert_near(jsd, 1, 1e-12);
  assert_int_equal(tt_conditional_jsd_categories(NULL, 0, NULL, 0, &jsd), TT_OK);
  assert_true(isnan(jsd));

  /* Numbers: 64 + 64 values of two keys give 8 bins each. */
  struct tt_observation x[128], y[128];
  for (int i = 0; i < 128; i++) {
    x[i] = (struct tt_observation){(uint32_t)(i / 64), 100 * (i % 64)};
    y[127 - i] = (struct tt_observation){(uint32_t)(i / 64), 100 * (i % 64) + 50};
  }
  assert_int_equal(tt_conditional_jsd_numbers(x, 128, x, 128, &jsd), TT_OK);
  assert_near(jsd, 0, 1e-12);
  /* Shifted within its bin but for the maximum: one of 64 falls above the range. */
  assert_int_equal(tt_conditional_jsd_numbers(x, 128, y, 128, &jsd), TT_OK);
  double p = 8.0 / 64, q = 7.0 / 64, r = 1.0 / 64;
  assert_near(jsd, 0.5 * p * log2(2 * p / (p + q)) + 0.5 * q * log2(2 * q / (p + q)) + 0.5 * r,
              1e-12);
  for (int i = 0; i < 128; i++)
    y[i].value += 100000;
  assert_int_equal(tt_conditional_jsd_numbers(x, 128, y, 128, &jsd), TT_OK);
  assert_near(jsd, 1, 1e-12);
  /* A constant is told apart from any other constant. */
  for (int i = 0; i < 128; i++) {
    x[i] = (struct tt_observation){4, 1000};
    y[i] = (struct tt_observation){4, i < 64 ? 999 : 1001};
  }
  assert_int_equal(tt_conditional_jsd_numbers(x, 128, y, 128, &jsd), TT_OK);
  assert_near(jsd, 1, 1e-12);
}

/* ---- whole datasets ---- */

static const char *const event_names[] = {
    "sched_switch",       "syscall_entry_read", "syscall_exit_read", "syscall_entry_write",
    "syscall_exit_write", "irq_handler_entry",  "irq_handler_exit"};
enum { SWITCH, READ, READ_DONE, WRITE, WRITE_DONE, IRQ, IRQ_DONE, N_EVENTS };

/* Ids in reverse order when `reversed`: views must join dictionaries by name. */
static struct tt_dataset *store(const char *name, struct tt_event *events, size_t n, bool reversed,
                                const struct tt_gap *gap) {
  char path[128];
  snprintf(path, sizeof path, "%s/%s", fixture_folder, name);
  struct tt_dataset_meta meta;
  struct tt_dataset_writer *writer;
  struct tt_dataset *dataset;
  tt_dataset_meta_init(&meta);
  for (int i = 0; i < N_EVENTS; i++)
    tt_names_add(&meta.events, event_names[reversed ? N_EVENTS - 1 - i : i]);
  tt_names_add(&meta.comms, reversed ? "b" : "a");
  tt_names_add(&meta.comms, reversed ? "a" : "b");
  for (size_t i = 0; i < n && reversed; i++) {
    events[i].event = (uint16_t)(N_EVENTS - 1 - events[i].event);
    if (events[i].comm != TT_COMM_NONE)
      events[i].comm = 1 - events[i].comm;
  }
  if (gap)
    assert_int_equal(tt_dataset_meta_add_gap(&meta, gap), TT_OK);
  assert_int_equal(tt_dataset_writer_begin(path, true, &writer), TT_OK);
  assert_int_equal(tt_dataset_writer_append(writer, events, n), TT_OK);
  assert_int_equal(tt_dataset_writer_finish(writer, &meta), TT_OK);
  assert_int_equal(tt_dataset_open(path, &dataset), TT_OK);
  tt_dataset_meta_release(&meta);
  return dataset;
}

/* Two CPUs, each a noisy cycle of its own: READ, READ_DONE / WRITE, WRITE_DONE, with interrupts.
 * odd: another machine (slower, other order, other returns). */
static struct tt_event *simulate(size_t n, uint64_t seed, bool odd) {
  struct tt_event *events = calloc(n, sizeof *events);
  struct tt_rng rng;
  tt_rng_init(&rng, seed, 0);
  int64_t ts = 0;
  int phase[2] = {0, 0};
  for (size_t i = 0; i < n; i++) {
    int cpu = (int)tt_rng_below(&rng, 2), step = phase[cpu]++ % 4;
    static const uint16_t cycles[2][2][4] = {
        {{READ, READ_DONE, SWITCH, IRQ}, {WRITE, WRITE_DONE, IRQ, IRQ_DONE}},
        {{READ, READ_DONE, IRQ, SWITCH}, {WRITE, WRITE_DONE, IRQ_DONE, IRQ}}};
    ts += 100 + (int64_t)tt_rng_below(&rng, 1000) * (odd ? 3 : 1);
    uint16_t event = cycles[odd][cpu][step];
    bool exits = event == READ_DONE || event == WRITE_DONE;
    events[i] =
        (struct tt_event){.ts = ts,
                          .ret = exits ? (int64_t)tt_rng_below(&rng, 3) + 10 * odd : TT_RET_NONE,
                          .tid = 100 + cpu + 50 * odd,
                          .comm = (uint32_t)cpu,
                          .event = event,
                          .cpu = (uint16_t)cpu};
  }
  return events;
}

static void test_view(void **state) {
  (void)state;
  struct tt_event events[] = {{10, TT_RET_NONE, 1, 0, SWITCH, 0},
                              {20, TT_RET_NONE, 2, 1, IRQ, 1},
                              {25, 4, 1, TT_COMM_NONE, READ_DONE, 0},
                              {40, TT_RET_NONE, 2, 1, IRQ_DONE, 1},
                              {41, TT_RET_NONE, 1, 0, SWITCH, 0}};
  struct tt_gap gap = {.begin = 30, .end = 35, .lost = 3, .cpu = 1};
  struct tt_dataset *dataset = store("view", events, 5, true, &gap);
  struct tt_alphabet alphabet;
  struct tt_view view;
  tt_alphabet_init(&alphabet);
  tt_names_add(&alphabet.events, "sched_switch");
  assert_int_equal(tt_view_make(dataset, 0, 100, &alphabet, &view), TT_OK);
  assert_int_equal(view.n, 5);
  assert_int_equal(view.event[0], 0); /* by name, not by id */
  assert_string_equal(alphabet.events.names[view.event[2]], "syscall_exit_read");
  assert_string_equal(alphabet.comms.names[view.comm[0]], "a");
  assert_true(view.comm[2] == TT_COMM_NONE);
  const uint8_t merged_fresh[] = {1, 0, 0, 1, 0}, cpu_fresh[] = {1, 0, 0, 1, 1};
  const uint32_t order[] = {0, 2, 4, 1, 3};
  assert_memory_equal(view.merged_fresh, merged_fresh, sizeof merged_fresh);
  assert_memory_equal(view.order, order, sizeof order);
  assert_memory_equal(view.cpu_fresh, cpu_fresh, sizeof cpu_fresh);
  assert_true(view.dt_merged[0] == TT_DT_NONE && view.dt_merged[2] == 5);
  assert_true(view.dt_cpu[4] == 16 && view.dt_cpu[3] == TT_DT_NONE && view.dt_cpu[2] == 15);
  tt_view_release(&view);
  assert_int_equal(tt_view_make_middle(dataset, 2, &alphabet, &view), TT_OK);
  assert_int_equal(view.ts[0], 20);
  assert_int_equal(view.n, 2);
  tt_view_release(&view);
  tt_alphabet_release(&alphabet);
  tt_dataset_close(dataset);
}

static void test_syscall_names(void **state) {
  (void)state;
  const struct {
    const char *event, *call;
    enum tt_syscall_side side;
  } cases[] = {{"syscall_entry_openat", "openat", TT_SYSCALL_ENTRY},
               {"compat_syscall_exit_openat", "openat", TT_SYSCALL_EXIT},
               {"syscalls:sys_enter_read", "read", TT_SYSCALL_ENTRY},
               {"syscalls:sys_exit_read", "read", TT_SYSCALL_EXIT},
               {"raw_syscalls:sys_enter", "", TT_SYSCALL_ENTRY},
               {"exit_syscall", "", TT_SYSCALL_EXIT},
               {"sys_futex", "futex", TT_SYSCALL_ENTRY}};
  const char *call = NULL;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    assert_int_equal(tt_syscall_parse(cases[i].event, &call), cases[i].side);
    assert_string_equal(call, cases[i].call);
  }
  assert_int_equal(tt_syscall_parse("sched_switch", &call), TT_SYSCALL_NOT);
  assert_int_equal(tt_syscall_parse("raw_syscalls:sys_enter_x", &call), TT_SYSCALL_NOT);
}

static void test_syscall_pairs(void **state) {
  (void)state;
  struct tt_event events[] = {
      {1, 0, 5, 0, READ_DONE, 0},        /* entered before the view: not counted */
      {2, TT_RET_NONE, 5, 0, READ, 0},   /* pairs with ts 10, on another CPU */
      {3, TT_RET_NONE, 6, 0, WRITE, 1},  /* never ends: unpaired */
      {5, TT_RET_NONE, 6, 0, READ, 1},   /* ended by the wrong call: both unpaired */
      {10, 0, 5, 0, READ_DONE, 1},       /* 8 ns */
      {11, 0, 5, 0, WRITE_DONE, 1},      /* nothing open: unpaired */
      {12, 0, 6, 0, WRITE_DONE, 1},      /* the wrong call */
      {13, TT_RET_NONE, 6, 0, WRITE, 1}, /* open before the gap: not counted */
      {30, 0, 6, 0, WRITE_DONE, 1},      /* after the gap: not counted */
      {31, TT_RET_NONE, 6, 0, READ, 1},  /* open at the end: not counted */
  };
  struct tt_gap gap = {.begin = 15, .end = 20, .lost = 1, .cpu = 0};
  struct tt_dataset *dataset = store("pairs", events, sizeof events / sizeof *events, false, &gap);
  struct tt_alphabet alphabet;
  struct tt_view view;
  struct tt_syscalls calls;
  tt_alphabet_init(&alphabet);
  assert_int_equal(tt_view_make(dataset, 0, 100, &alphabet, &view), TT_OK);
  assert_int_equal(tt_syscalls_pair(&view, &alphabet, &calls), TT_OK);
  assert_int_equal(calls.entries, 3);
  assert_int_equal(calls.exits, 3);
  assert_int_equal(calls.pairs, 1);
  assert_int_equal(calls.latencies[0].ns, 8);
  assert_string_equal(alphabet.events.names[calls.latencies[0].call], "syscall_entry_read");
  assert_near(tt_syscalls_pairing_rate(&calls), 2.0 / 6, 1e-12);
  tt_syscalls_release(&calls);
  tt_view_release(&view);
  tt_alphabet_release(&alphabet);
  tt_dataset_close(dataset);
}

static void test_fidelity(void **state) {
  (void)state;
  enum { N = 20000, M = 6000 };
  struct tt_event *a = simulate(N, 1, false), *b = simulate(M, 2, false), *c = simulate(M, 3, true);
  struct tt_dataset *train = store("train", a, N, false, NULL);
  struct tt_dataset *heldout = store("heldout", b, M, true, NULL);
  struct tt_dataset *other = store("other", c, M, false, NULL);
  struct tt_fidelity_config config = {.seed = 1};
  struct tt_fidelity same, far, again, self;
  assert_int_equal(tt_fidelity_compare(&config, train, heldout, other, &same, &far), TT_OK);
  assert_int_equal(same.candidate_events, M);
  /* The same source is near although its ids are numbered otherwise; another one is far. */
  assert_true(same.ngram_jsd[0] < 0.001 && same.ngram_jsd[1] < 0.01);
  for (int n = 0; n < TT_NGRAM_MAX; n++) {
    assert_true(same.ngram_cpu_jsd[n] < 0.01);
    assert_true(n == 0 ? same.ngram_jsd[0] < 0.001 : same.ngram_jsd[n] < far.ngram_jsd[n]);
    assert_true(far.ngram_jsd[n] >= 0 && far.ngram_jsd[n] <= 1);
  }
  assert_true(far.ngram_cpu_jsd[0] < 0.01 && far.ngram_cpu_jsd[1] > 0.3);
  assert_true(same.dt_jsd < 0.02 && far.dt_jsd > 0.15);
  assert_true(same.dt_cpu_jsd < 0.03 && far.dt_cpu_jsd > 0.15);
  assert_true(same.comm_jsd < 0.01 && same.cpu_jsd < 0.01 && same.ret_jsd < 0.01);
  assert_near(same.tid_jsd, 0, 0.01);
  assert_near(far.tid_jsd, 1, 1e-9);
  assert_near(far.ret_jsd, 1, 1e-9);
  assert_true(same.latency_jsd < 0.05 && far.latency_jsd > 0.15);
  assert_near(same.pairing_candidate, 1, 1e-12);
  assert_near(same.pairing_reference, 1, 1e-12);
  /* Merged order is a coin flip per event: 16-grams hardly repeat; each CPU's is a fixed cycle. */
  assert_true(same.memorised < 0.5);
  assert_near(same.memorised_cpu, 1, 1e-12);
  assert_near(far.memorised_cpu, 0, 1e-12);
  assert_near(same.discriminator_auc_events, 0.5, 0.12);
  assert_near(same.discriminator_auc, 0.5, 0.12);
  assert_true(far.discriminator_auc_events > 0.95 && far.discriminator_auc > 0.95);
  /* The same inputs give the same bytes; a dataset is equal to itself. */
  assert_int_equal(tt_fidelity_compare(&config, train, heldout, train, &again, &self), TT_OK);
  assert_memory_equal(&same, &again, sizeof same);
  struct tt_alphabet alphabet;
  struct tt_view view;
  tt_alphabet_init(&alphabet);
  assert_int_equal(tt_view_make(train, 0, N, &alphabet, &view), TT_OK);
  assert_int_equal(tt_fidelity_measure(&view, &view, &alphabet, 1, &self), TT_OK);
  assert_near(self.ngram_jsd[4] + self.ngram_cpu_jsd[4] + self.dt_jsd + self.latency_jsd, 0, 1e-9);
  assert_near(self.memorised, 1, 0);

  struct tt_report_fidelity rows[] = {{"held-out real", same}, {"twin", far}};
  struct tt_report_arm arms[] = {
      {.name = "TRTR", .training = "real", .scores = {.macro_f1 = 0.8}, .val_loss = NAN},
      {.name = "TSTR", .training = "twin", .scores = {.macro_f1 = 0.4}},
      {.name = "COMBINED", .training = "half and half", .scores = {.macro_f1 = 0.85}}};
  struct tt_report_distance distances[] = {{"after repair", 0, 0, 0, 0, 0, M}};
  struct tt_report_file files[] = {{"dataset", "/tmp/\xff"}};
  struct tt_report report = {.seed = 7,
                             .threads = 2,
                             .distances = distances,
                             .n_distances = 1,
                             .fidelity = rows,
                             .n_fidelity = 2,
                             .arms = arms,
                             .n_arms = 3,
                             .files = files,
                             .n_files = 1};
  char path[128], *text = NULL;
  size_t size = 0;
  snprintf(path, sizeof path, "%s/report.json", fixture_folder);
  assert_int_equal(tt_report_write_json(&report, path), TT_OK);
  json_t *json = json_load_file(path, 0, NULL);
  assert_non_null(json);
  assert_near(number(json, "seed"), 7, 0);
  assert_true(number(json, "peak_rss_bytes") > 1e6);
  json_t *twin = json_array_get(json_object_get(json, "fidelity"), 1);
  assert_near(number(twin, "dt_jsd"), far.dt_jsd, 1e-8);
  assert_near(json_number_value(json_array_get(json_object_get(twin, "ngram_jsd"), 4)),
              far.ngram_jsd[4], 1e-8);
  assert_near(number(twin, "discriminator_auc"), far.discriminator_auc, 1e-8);
  json_t *utility = json_object_get(json, "utility");
  assert_near(number(utility, "delta_f1"), 0.05, 1e-8);
  assert_near(number(utility, "tstr_share"), 0.5, 1e-8);
  assert_true(json_is_null(json_object_get(utility, "delta_f1_equal_steps")));
  assert_true(json_is_null(
      json_object_get(json_array_get(json_object_get(utility, "arms"), 0), "val_loss")));
  assert_string_equal(json_string_value(json_object_get(json_object_get(json, "files"), "dataset")),
                      "/tmp/?");
  assert_null(json_object_get(json, "generator"));
  json_decref(json);
  FILE *memory = open_memstream(&text, &size);
  assert_int_equal(tt_report_write_text(&report, memory), TT_OK);
  fclose(memory);
  assert_non_null(strstr(text, "COMBINED - TRTR = +0.0500, TSTR / TRTR = 0.500"));
  assert_non_null(strstr(text, "held-out real"));
  assert_null(strstr(text, "nan"));
  free(text);

  tt_view_release(&view);
  tt_alphabet_release(&alphabet);
  tt_dataset_close(train);
  tt_dataset_close(heldout);
  tt_dataset_close(other);
  free(a);
  free(b);
  free(c);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_scores_as_scikit_learn),
      cmocka_unit_test(test_scores_of_unknown_classes),
      cmocka_unit_test(test_divergence_as_scipy),
      cmocka_unit_test(test_auc_as_scikit_learn),
      cmocka_unit_test(test_table),
      cmocka_unit_test(test_conditional),
      cmocka_unit_test(test_view),
      cmocka_unit_test(test_syscall_names),
      cmocka_unit_test(test_syscall_pairs),
      cmocka_unit_test(test_fidelity),
  };
  return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
