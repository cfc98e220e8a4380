/* src/generators: counting (tally, n-gram), delays, and the generator markov on a made-up trace. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataset_fixture.h"
#include "generators/generator.h"
#include "generators/markov/markov.h"
#include "toy_trace.h"
#include "twin_fixture.h"

/* ---- counts ---- */

static void test_tally(void **state) {
  (void)state;
  enum { KEYS = 40, VALUES = 30, N = 20000 };
  static uint64_t naive[KEYS][VALUES];
  struct tt_tally tally = {0};
  struct tt_rng rng;
  tt_rng_init(&rng, 1, 0);
  memset(naive, 0, sizeof naive);
  for (int i = 0; i < N; i++) {
    uint64_t key = tt_rng_below(&rng, KEYS), value = tt_rng_below(&rng, 1 + key % VALUES);
    naive[key][value]++;
    assert_int_equal(tt_tally_add(&tally, key << 40, (int64_t)value - 7), TT_OK);
  }
  assert_int_equal(tt_tally_finish(&tally), TT_OK);
  assert_int_equal(tally.n_rows, KEYS);
  for (uint64_t key = 0; key < KEYS; key++) {
    struct tt_tally_row row = tt_tally_find(&tally, key << 40);
    uint64_t total = 0, distinct = 0;
    for (int value = 0; value < VALUES; value++) {
      assert_int_equal(tt_tally_count(&row, value - 7), naive[key][value]);
      total += naive[key][value];
      distinct += naive[key][value] > 0;
    }
    assert_int_equal(tt_tally_total(&row), total);
    assert_int_equal(row.n, distinct);
    for (size_t i = 1; i < row.n; i++) /* by falling count */
      assert_true(tt_tally_at(&row, i) <= tt_tally_at(&row, i - 1));
  }
  assert_int_equal(tt_tally_find(&tally, 77).n, 0);

  /* draws follow the counts */
  struct tt_tally_row row = tt_tally_find(&tally, (uint64_t)29 << 40);
  uint64_t drawn[VALUES] = {0};
  for (int i = 0; i < N; i++)
    drawn[tt_tally_draw(&row, &rng) + 7]++;
  double chi2 = 0;
  for (int value = 0; value < VALUES; value++) {
    double expected = (double)naive[29][value] / (double)tt_tally_total(&row) * N;
    if (expected > 0)
      chi2 += ((double)drawn[value] - expected) * ((double)drawn[value] - expected) / expected;
  }
  assert_false(!(chi2 < 60)); /* 29 degrees of freedom: p = 0.0006 */

  /* from arrays: the same; damaged: refused */
  struct tt_tally copy;
#define FROM(rows, pairs)                                                                          \
  tt_tally_from_arrays((const int64_t *)tally.keys, (const int64_t *)tally.first, rows,            \
                       tally.values, (const int64_t *)tally.upto, pairs, &copy)
  assert_int_equal(FROM(tally.n_rows, tally.n_pairs), TT_OK);
  assert_memory_equal(copy.upto, tally.upto, tally.n_pairs * sizeof *tally.upto);
  tt_tally_release(&copy);
  assert_int_equal(FROM(tally.n_rows, tally.n_pairs - 1), TT_BAD_INPUT);
  assert_int_equal(FROM(tally.n_rows - 1, tally.n_pairs), TT_BAD_INPUT);
  uint64_t *places[] = {&tally.keys[3], &tally.first[5], &tally.upto[2], &tally.first[0]};
  uint64_t damages[] = {0, UINT64_MAX, 0, 1};
  for (size_t i = 0; i < 4; i++) {
    uint64_t kept = *places[i];
    *places[i] = damages[i];
    assert_int_equal(FROM(tally.n_rows, tally.n_pairs), TT_BAD_INPUT);
    *places[i] = kept;
  }
#undef FROM
  tt_tally_release(&tally);

  /* a limit on pairs: known ones still count */
  struct tt_tally limited = {.max_pairs = 2};
  for (int i = 0; i < 10; i++)
    assert_int_equal(tt_tally_add(&limited, 1, i % 5), TT_OK);
  assert_int_equal(limited.dropped, 6);
  assert_int_equal(tt_tally_finish(&limited), TT_OK);
  row = tt_tally_find(&limited, 1);
  assert_int_equal(tt_tally_total(&row), 4);
  tt_tally_release(&limited);
}

/* ---- n-grams: against the definition, computed the slow way from the sequence ---- */

enum { SYMBOLS = 5, LENGTH = 400, ORDER = 4 };

/* Witten-Bell from all earlier places of text[0..n) with the same `length` symbols before them, but
 * for place `skip`. */
static double slow_probability(const uint16_t *text, size_t n, size_t at, uint16_t symbol,
                               int length, size_t skip) {
  if (length < 0)
    return 1.0 / SYMBOLS;
  double shorter = slow_probability(text, n, at, symbol, length - 1, skip);
  uint64_t total = 0, count = 0, distinct = 0;
  bool seen[SYMBOLS] = {false};
  for (size_t i = (size_t)length; i < n; i++) {
    bool same = i != skip && at >= (size_t)length;
    for (int k = 1; same && k <= length; k++)
      same = text[i - (size_t)k] == text[at - (size_t)k];
    if (!same)
      continue;
    total++;
    count += text[i] == symbol;
    distinct += !seen[text[i]];
    seen[text[i]] = true;
  }
  if (total == 0)
    return shorter;
  return ((double)count + (double)distinct * shorter) / (double)(total + distinct);
}

static struct tt_ngram_context context_at(const uint16_t *text, size_t at) {
  struct tt_ngram_context context = {.n = 0};
  for (size_t k = 1; k < ORDER && k <= at; k++)
    context.symbols[context.n++] = text[at - k];
  return context;
}

static void test_ngram(void **state) {
  (void)state;
  uint16_t text[LENGTH];
  struct tt_rng rng;
  tt_rng_init(&rng, 4, 0);
  for (size_t i = 0; i < LENGTH; i++) /* some structure, some noise */
    text[i] = i % 3 && tt_rng_below(&rng, 4) ? (uint16_t)((text[i - 1] * 2 + 1) % SYMBOLS)
                                             : (uint16_t)tt_rng_below(&rng, SYMBOLS - 1);
  struct tt_ngram ngram;
  assert_int_equal(tt_ngram_init(&ngram, SYMBOLS, 0), TT_OK);
  for (size_t i = 0; i < LENGTH; i++) {
    struct tt_ngram_context context = context_at(text, i);
    assert_int_equal(tt_ngram_add(&ngram, &context, text[i]), TT_OK);
  }
  assert_int_equal(tt_ngram_finish(&ngram), TT_OK);
  for (size_t i = 0; i < LENGTH; i += 3) {
    struct tt_ngram_context context = context_at(text, i);
    struct tt_ngram_rows rows = {.n = 0};
    tt_ngram_rows(&ngram, &context, 0, &rows);
    float out[SYMBOLS], left_out[SYMBOLS];
    tt_ngram_logprob(&rows, SYMBOLS, UINT32_MAX, out);
    tt_ngram_logprob(&rows, SYMBOLS, text[i], left_out);
    double sum = 0;
    for (uint16_t w = 0; w < SYMBOLS; w++) {
      double p = tt_backoff_probability(rows.rows, rows.n, w, false, 1.0 / SYMBOLS);
      double slow = slow_probability(text, LENGTH, i, w, (int)context.n, SIZE_MAX);
      assert_false(!(fabs(p - slow) <= 1e-12));
      assert_false(!(fabs(exp((double)out[w]) - p) <= 1e-5));
      double without = slow_probability(text, LENGTH, i, w, (int)context.n, i);
      assert_false(!(fabs(exp((double)left_out[w]) - without) <= 1e-5));
      if (w == text[i])
        assert_false(!(fabs(tt_backoff_probability(rows.rows, rows.n, w, true, 1.0 / SYMBOLS) -
                            without) <= 1e-12));
      sum += p;
    }
    assert_false(!(fabs(sum - 1) <= 1e-12));
  }
  /* draws follow the mixed distribution, the last row not backing off */
  struct tt_ngram_context context = context_at(text, 100);
  struct tt_ngram_rows rows = {.n = 0};
  tt_ngram_rows(&ngram, &context, 0, &rows);
  double drawn[SYMBOLS] = {0}, empty[SYMBOLS];
  const int n = 40000;
  for (uint16_t w = 0; w < SYMBOLS; w++) /* with the unigram counts below, unseen at 0 */
    empty[w] = (double)tt_tally_count(&rows.rows[rows.n - 1], w) /
               (double)tt_tally_total(&rows.rows[rows.n - 1]);
  for (int i = 0; i < n; i++) {
    int64_t w;
    assert_true(tt_backoff_draw(rows.rows, rows.n, &rng, &w));
    drawn[w] += 1.0 / n;
  }
  for (uint16_t w = 0; w < SYMBOLS; w++) {
    double p = tt_backoff_probability(rows.rows, rows.n - 1, w, false, empty[w]);
    assert_false(!(fabs(drawn[w] - p) <= 0.01)); /* 4 standard deviations */
  }
  /* with weights: each probability times its own, made to sum to 1 */
  float weights[SYMBOLS];
  double weighted[SYMBOLS] = {0}, sum = 0;
  for (uint16_t w = 0; w < SYMBOLS; w++) {
    weights[w] = w % 3 == 0 ? 0 : w % 3 == 1 ? 1 : 20;
    sum += (double)weights[w] * tt_backoff_probability(rows.rows, rows.n - 1, w, false, empty[w]);
  }
  for (int i = 0; i < n; i++) {
    int64_t w;
    assert_true(tt_backoff_draw_weighted(rows.rows, rows.n, weights, &rng, &w));
    weighted[w] += 1.0 / n;
  }
  for (uint16_t w = 0; w < SYMBOLS; w++) {
    double p = tt_backoff_probability(rows.rows, rows.n - 1, w, false, empty[w]);
    assert_false(!(fabs(weighted[w] - (double)weights[w] * p / sum) <= 0.01));
  }
  /* limits: `shortest` leaves out the short contexts; no nodes beyond the maximum */
  rows.n = 0;
  tt_ngram_rows(&ngram, &context, 1, &rows);
  assert_int_equal(rows.n, ORDER - 1);
  tt_ngram_release(&ngram);
  assert_int_equal(tt_ngram_init(&ngram, SYMBOLS, 3), TT_OK);
  for (size_t i = 0; i < LENGTH; i++) {
    context = context_at(text, i);
    assert_int_equal(tt_ngram_add(&ngram, &context, text[i]), TT_OK);
  }
  assert_int_equal(tt_ngram_finish(&ngram), TT_OK);
  assert_int_equal(ngram.n_nodes, 3);
  struct tt_tally_row root = tt_tally_row(&ngram.counts, 0);
  assert_int_equal(tt_tally_total(&root), LENGTH);
  tt_ngram_release(&ngram);
}

/* ---- delays ---- */

static void test_delays(void **state) {
  (void)state;
  enum { N = 50000, LIMIT = 256 };
  struct tt_delays delays;
  struct tt_rng rng;
  tt_rng_init(&rng, 8, 0);
  tt_delays_init(&delays, 1, 3);
  for (int i = 0; i < N; i++) { /* key 5: half 100..199, half a million and up to 2 % more */
    int64_t dt = i % 2 ? 100 + (int64_t)tt_rng_below(&rng, 100)
                       : 1000000 + (int64_t)tt_rng_below(&rng, 20000);
    assert_int_equal(tt_delays_add(&delays, 5, LIMIT, dt), TT_OK);
  }
  assert_int_equal(tt_delays_add(&delays, 6, LIMIT, 42), TT_OK);
  assert_int_equal(tt_delays_add(&delays, 7, LIMIT, 0), TT_OK);
  assert_int_equal(tt_delays_add(&delays, 8, LIMIT, 1), TT_OK); /* beyond max_keys: dropped */
  assert_int_equal(tt_delays_finish(&delays), TT_OK);
  assert_int_equal(tt_delays_find(&delays, 8).n, 0);
  struct tt_delay_row row = tt_delays_find(&delays, 5), one = tt_delays_find(&delays, 6);
  assert_int_equal(row.n, LIMIT);
  assert_int_equal(tt_delays_draw(&one, &rng), 42);
  int low = 0;
  int64_t sum = 0;
  for (int i = 0; i < N; i++) {
    int64_t dt = tt_delays_draw(&row, &rng);
    assert_true((dt >= 100 && dt < 200) || (dt >= 1000000 && dt < 1020000)); /* nothing between */
    low += dt < 200;
    sum += dt < 200 ? dt : 0;
  }
  assert_in_range(low, N * 2 / 5, N * 3 / 5);
  assert_in_range(sum / low, 135, 165);

  struct tt_delays copy;
#define FROM(n)                                                                                    \
  tt_delays_from_arrays((const int64_t *)delays.keys, (const int64_t *)delays.first, 3,            \
                        delays.samples, n, &copy)
  size_t n = delays.first[3];
  assert_int_equal(FROM(n), TT_OK);
  tt_delays_release(&copy);
  assert_int_equal(FROM(n - 1), TT_BAD_INPUT);
  delays.keys[1] = 5;
  assert_int_equal(FROM(n), TT_BAD_INPUT);
  delays.keys[1] = 6;
  delays.samples[0] = -1;
  assert_int_equal(FROM(n), TT_BAD_INPUT);
  delays.samples[0] = INT64_MAX;
  assert_int_equal(FROM(n), TT_BAD_INPUT);
#undef FROM
  tt_delays_release(&delays);
}

/* ---- the generator ---- */

static struct tt_generator *train(const struct tt_dataset *dataset, const struct tt_dataset *val,
                                  enum tt_stream_kind stream, const char *option, const char *value,
                                  struct tt_train_result *result) {
  const struct tt_train_option options[] = {{option, value}};
  const struct tt_train_config config = {.train = dataset,
                                         .val = val,
                                         .stream = stream,
                                         .seed = 1,
                                         .options = options,
                                         .n_options = option != NULL};
  struct tt_generator *generator = NULL;
  assert_int_equal(tt_generator_train("markov", &config, result, &generator), TT_OK);
  return generator;
}

/* Transitions of each CPU that training had. */
static void transitions(const struct tt_event *events, size_t n, bool ret[TOY_EVENTS][TOY_EVENTS]) {
  int last[TOY_CPUS] = {-1, -1, -1};
  memset(ret, 0, sizeof(bool[TOY_EVENTS][TOY_EVENTS]));
  for (size_t i = 0; i < n; i++) {
    int *previous = &last[events[i].cpu];
    if (*previous >= 0)
      ret[*previous][events[i].event] = true;
    *previous = events[i].event;
  }
}

static void shares(const struct tt_event *events, size_t n, double ret[TOY_EVENTS]) {
  memset(ret, 0, TOY_EVENTS * sizeof *ret);
  for (size_t i = 0; i < n; i++)
    ret[events[i].event] += 1.0 / (double)n;
}

static void test_twin(void **state) {
  (void)state;
  enum { N = 60000 };
  struct tt_event *real = toy_events(N, 11);
  struct tt_dataset *dataset = toy_open(real, N, NULL), *val = toy_dataset(N / 4, 12);
  struct tt_train_result result;
  struct tt_generator *generator = train(dataset, val, TT_STREAM_CPU, NULL, NULL, &result);
  printf("  %.2f M events/s, loss %.4f, validation %.4f nats/event\n",
         result.events_per_second / 1e6, result.loss, result.val_loss);
  assert_int_equal(result.steps, N);
  assert_true(result.parameters > 0);
  /* what is left to guess: irq or call (1 in 20), and when a turn ends (1 in 5) */
  assert_false(!(result.val_loss > 0.1 && result.val_loss < 0.5));
  assert_false(!(fabs(result.loss - result.val_loss) < 0.03)); /* leave-one-out doesn't flatter */

  struct twin twin = twin_generate(generator, N, 5);
  toy_check_threads(twin.events, N);
  bool seen[TOY_EVENTS][TOY_EVENTS], got[TOY_EVENTS][TOY_EVENTS];
  transitions(real, N, seen);
  transitions(twin.events, N, got);
  for (int a = 0; a < TOY_EVENTS; a++)
    for (int b = 0; b < TOY_EVENTS; b++)
      assert_true(!got[a][b] || seen[a][b]);
  double p[TOY_EVENTS], q[TOY_EVENTS];
  shares(real, N, p);
  shares(twin.events, N, q);
  for (int i = 0; i < TOY_EVENTS; i++)
    assert_false(!(fabs(p[i] - q[i]) <= 0.03 * p[i] + 0.003));
  /* threads 0-2 read and 3-5 write, the CPUs idle for as long: what depends on threads and time */
  size_t wrong = 0, calls = 0;
  for (size_t i = 0; i < N; i++) {
    if (twin.events[i].event == TOY_ENTRY_READ || twin.events[i].event == TOY_ENTRY_WRITE) {
      calls++;
      wrong += (twin.events[i].tid < 103) != (twin.events[i].event == TOY_ENTRY_READ);
    }
  }
  assert_true(calls > N / 5 && wrong <= calls / 1000);
  double real_time = (double)(real[N - 1].ts - real[0].ts);
  double twin_time = (double)(twin.events[N - 1].ts - twin.events[0].ts);
  assert_false(!(fabs(twin_time / real_time - 1) <= 0.05));

  /* the same seed: the same bytes, and a shorter twin is the beginning of a longer one */
  struct twin again = twin_generate(generator, N, 5), other = twin_generate(generator, N, 6),
              shorter = twin_generate(generator, 777, 5);
  assert_true(twin_same(again.events, twin.events, N));
  assert_true(twin_same(shorter.events, twin.events, 777));
  assert_false(twin_same(other.events, twin.events, N));
  tt_free(twin_generate(generator, 0, 5).events);

  /* a saved model generates the same */
  char *path = fixture_path("model");
  struct tt_generator *loaded = NULL;
  assert_int_equal(tt_generator_save(generator, path, false), TT_OK);
  assert_int_equal(tt_generator_save(generator, path, false), TT_EXISTS);
  assert_int_equal(tt_generator_save(generator, path, true), TT_OK);
  assert_int_equal(tt_generator_load(path, &loaded), TT_OK);
  assert_string_equal(loaded->ops->name, "markov");
  assert_int_equal(loaded->training.steps, N);
  assert_true(loaded->training.val_loss == result.val_loss);
  struct twin from_file = twin_generate(loaded, N, 5);
  assert_true(twin_same(from_file.events, twin.events, N));

  struct tt_dataset_meta meta;
  assert_int_equal(tt_generator_meta(loaded, path, NULL, N, 5, &meta), TT_OK);
  assert_true(meta.synthetic && meta.seed == 5 && meta.events.n == TOY_EVENTS);
  assert_string_equal(meta.comms.names[9], "swapper/2");
  tt_dataset_meta_release(&meta);

  tt_generator_free(loaded);
  tt_generator_free(generator);
  tt_free(from_file.events);
  tt_free(shorter.events);
  tt_free(other.events);
  tt_free(again.events);
  tt_free(twin.events);
  tt_free(path);
  tt_dataset_close(val);
  tt_dataset_close(dataset);
  tt_free(real);
}

/* Every option and both streams, on an ordinary trace, one without switches and one without
 * threads: they train and generate, and no CPU has events it never had. */
static void test_variants(void **state) {
  (void)state;
  enum { N = 4000 };
  static const char *const options[][2] = {{"order", "1"}, {"order", "6"}, {"backoff", "0"},
                                           {"own", "0"},   {"floor", "0"}, {NULL, NULL}};
  for (int kind = 0; kind < 3; kind++) {
    struct tt_event *events = toy_events(N, 20);
    struct tt_dataset_meta meta;
    toy_meta(&meta);
    if (kind == 1) { /* the switch goes by another name */
      tt_free(meta.events.names[TOY_SWITCH]);
      meta.events.names[TOY_SWITCH] = tt_strdup("something_else");
    }
    for (size_t i = 0; kind == 2 && i < N; i++) {
      events[i].tid = TT_TID_NONE;
      events[i].comm = TT_COMM_NONE;
    }
    struct tt_dataset *dataset = toy_open(events, N, &meta);
    for (int stream = 0; stream < 2; stream++)
      for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        struct tt_train_result result;
        struct tt_generator *generator =
            train(dataset, NULL, stream ? TT_STREAM_CPU : TT_STREAM_MERGED, options[i][0],
                  options[i][1], &result);
        assert_false(!(result.loss > 0 && result.loss < log(TOY_EVENTS)));
        assert_true(isnan(result.val_loss));
        struct twin twin = twin_generate(generator, N, 3);
        if (kind == 0)
          toy_check_threads(twin.events, N);
        for (size_t k = 0; kind == 2 && k < N; k++)
          assert_true(twin.events[k].tid == TT_TID_NONE && twin.events[k].comm == TT_COMM_NONE);
        tt_free(twin.events);
        tt_generator_free(generator);
      }
    tt_dataset_close(dataset);
    tt_dataset_meta_release(&meta);
    tt_free(events);
  }
}

/* Two events that follow each other only across a gap, or a border between sources, never do in the
 * twin; nor is that time a delay. */
static void test_gaps(void **state) {
  (void)state;
  enum { N = 3000, HALF = N / 2 };
  struct tt_event events[N];
  for (int i = 0; i < N; i++) { /* first half: 0 1 0 1 ..., second half: 2 3 2 3 ..., much later */
    int64_t ts = i < HALF ? i * 100 : 1000000000 + i * 100;
    events[i] = (struct tt_event){.ts = ts,
                                  .ret = TT_RET_NONE,
                                  .tid = TT_TID_NONE,
                                  .comm = TT_COMM_NONE,
                                  .event = (uint16_t)((i < HALF ? 0 : 2) + i % 2)};
  }
  for (int kind = 0; kind < 4; kind++) { /* gap or border; per CPU or merged */
    struct tt_dataset_meta meta;
    toy_meta(&meta);
    for (int i = 0; i < 4; i++) { /* plain names */
      tt_free(meta.events.names[i]);
      meta.events.names[i] = tt_format("event%d", i);
    }
    const struct tt_gap gap = {events[HALF - 1].ts + 1, events[HALF].ts - 1, 9, 0};
    if (kind & 1) {
      tt_dataset_meta_add_gap(&meta, &gap);
      tt_dataset_meta_add_source(&meta, "one", "ctf-lttng", "", "", 0, N);
    } else {
      tt_dataset_meta_add_source(&meta, "one", "ctf-lttng", "", "", 0, HALF);
      tt_dataset_meta_add_source(&meta, "two", "ctf-lttng", "", "", HALF, HALF);
    }
    struct tt_dataset *dataset = toy_open(events, N, &meta);
    struct tt_train_result result;
    struct tt_generator *generator =
        train(dataset, NULL, kind & 2 ? TT_STREAM_CPU : TT_STREAM_MERGED, "floor", "1", &result);
    int both = 0;
    for (uint64_t seed = 0; seed < 16; seed++) {
      struct twin twin = twin_generate(generator, N, seed);
      both |= 1 << (twin.events[0].event / 2);
      for (int i = 1; i < N; i++) {
        assert_int_equal(twin.events[i].event / 2, twin.events[i - 1].event / 2);
        assert_int_equal(twin.events[i].ts - twin.events[i - 1].ts, 100);
      }
      tt_free(twin.events);
    }
    assert_int_equal(both, 3); /* twins begin in either half */
    tt_generator_free(generator);
    tt_dataset_close(dataset);
    tt_dataset_meta_release(&meta);
  }
}

/* Damaged model folders are refused with a cause, or still generate; never a crash. */
static void test_damaged_models(void **state) {
  (void)state;
  struct tt_dataset *dataset = toy_dataset(3000, 30);
  struct tt_train_result result;
  struct tt_generator *generator = train(dataset, NULL, TT_STREAM_CPU, "order", "3", &result);
  char *path = fixture_path("model");
  assert_int_equal(tt_generator_save(generator, path, false), TT_OK);
  tt_generator_free(generator);
  static const char *const names[] = {"model.json", "model.safetensors"};
  int refused = 0, opened = 0;
  struct tt_rng rng;
  tt_rng_init(&rng, 77, 0);
  for (int f = 0; f < 2; f++) {
    char *file = tt_format("%s/%s", path, names[f]), *data = NULL;
    size_t size;
    assert_int_equal(tt_read_file(file, &data, &size), TT_OK);
    for (int i = 0; i < 150; i++) {
      char *damaged = tt_alloc(size + 1, 1);
      memcpy(damaged, data, size);
      size_t n = size, at = tt_rng_below(&rng, size);
      if (i < 5)
        n = (size_t)i * size / 5; /* cut short */
      else if (i % 3 == 0)
        damaged[at] = (char)(damaged[at] ^ 1 << tt_rng_below(&rng, 8));
      else
        damaged[at] = (char)(f == 0 ? '0' + tt_rng_below(&rng, 10) : tt_rng_below(&rng, 256));
      assert_int_equal(tt_write_file(file, damaged, n), TT_OK);
      tt_causes_clear();
      generator = NULL;
      enum tt_status status = tt_generator_load(path, &generator);
      if (status == TT_OK) {
        struct twin twin = twin_generate(generator, 500, 1);
        tt_free(twin.events);
        tt_generator_free(generator);
        opened++;
      } else {
        assert_int_equal(status, TT_BAD_INPUT);
        assert_true(tt_cause_count() > 0);
        assert_null(generator);
        refused++;
      }
      assert_true(i >= 5 || status == TT_BAD_INPUT);
      tt_free(damaged);
    }
    assert_int_equal(tt_write_file(file, data, size), TT_OK);
    tt_free(data);
    tt_free(file);
  }
  printf("  %d damaged models refused, %d opened\n", refused, opened);
  assert_true(refused > 30);
  assert_int_equal(tt_generator_load(path, &generator), TT_OK);
  tt_generator_free(generator);
  tt_free(path);
  tt_dataset_close(dataset);
}

/* Allocations that fail end in TT_NO_MEMORY, with nothing leaked (ASan) and nothing half-made. */
static void test_memory_runs_out(void **state) {
  (void)state;
  struct tt_dataset *dataset = toy_dataset(2500, 31);
  const struct tt_train_config config = {.train = dataset, .stream = TT_STREAM_CPU, .seed = 1};
  struct tt_train_result result;
  struct tt_generator *generator = NULL;
  size_t failures = 0, nth = 1;
  for (; nth < 100000; nth += 1 + nth / 20) {
    tt_alloc_fail_at(nth);
    enum tt_status status = tt_generator_train("markov", &config, &result, &generator);
    tt_alloc_fail_at(0);
    if (status == TT_OK && !isnan(result.loss))
      break;
    if (status == TT_OK) { /* only the stated loss could not be measured */
      tt_generator_free(generator);
      generator = NULL;
      continue;
    }
    assert_int_equal(status, TT_NO_MEMORY);
    assert_null(generator);
    failures++;
  }
  assert_true(failures > 20 && generator);
  printf("  %zu failed allocations\n", failures);
  tt_generator_free(generator);
  tt_dataset_close(dataset);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_tally),          cmocka_unit_test(test_ngram),
      cmocka_unit_test(test_delays),         cmocka_unit_test(test_twin),
      cmocka_unit_test(test_variants),       cmocka_unit_test(test_gaps),
      cmocka_unit_test(test_damaged_models), cmocka_unit_test(test_memory_runs_out),
  };
  return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
