/* The next-event predictor: its windows, its counting baselines, and that it learns what counting
 * cannot know. */
#include <math.h>
#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "predictor/baseline.h"
#include "predictor/predictor.h"
#include "predictor/windows.h"

#include "folder_fixture.h"

#define assert_near(a, b, tolerance)                                                               \
  do {                                                                                             \
    double near_a = (a), near_b = (b);                                                             \
    if (!(fabs(near_a - near_b) <= (tolerance)))                                                   \
      fail_msg("%s = %.12g, expected %.12g", #a, near_a, near_b);                                  \
  } while (0)

/* Event types are called "e0", "e1", ... */
static struct tt_dataset *store(const char *name, const struct tt_event *events, size_t n,
                                size_t types, const struct tt_gap *gap) {
  char path[128], type[24];
  snprintf(path, sizeof path, "%s/%s", fixture_folder, name);
  struct tt_dataset_meta meta;
  struct tt_dataset_writer *writer;
  struct tt_dataset *dataset;
  tt_dataset_meta_init(&meta);
  for (size_t i = 0; i < types; i++) {
    snprintf(type, sizeof type, "e%zu", i);
    tt_names_add(&meta.events, type);
  }
  tt_names_add(&meta.comms, "a");
  if (gap)
    assert_int_equal(tt_dataset_meta_add_gap(&meta, gap), TT_OK);
  assert_int_equal(tt_dataset_writer_begin(path, true, &writer), TT_OK);
  assert_int_equal(tt_dataset_writer_append(writer, events, n), TT_OK);
  assert_int_equal(tt_dataset_writer_finish(writer, &meta), TT_OK);
  assert_int_equal(tt_dataset_open(path, &dataset), TT_OK);
  tt_dataset_meta_release(&meta);
  return dataset;
}

static struct tt_vocabulary *learn(const struct tt_dataset *dataset) {
  struct tt_vocabulary *vocabulary;
  const struct tt_vocabulary_options options = {.unknown_event = true};
  assert_int_equal(tt_vocabulary_learn(&dataset, 1, &options, &vocabulary), TT_OK);
  return vocabulary;
}

/* Phrases of six events e0..e7: "x, filler, filler, filler, x', end". Two bits are drawn: what
 * stands fifth repeats what stood first (counting short contexts can't know), and what stands sixth
 * is told by the return value of the fifth (the event channel can't know). */
static struct tt_event *phrases(size_t n, uint64_t seed) {
  struct tt_event *events = calloc(n, sizeof *events);
  struct tt_rng rng;
  tt_rng_init(&rng, seed, 0);
  uint64_t first = 0, told = 0;
  for (size_t i = 0; i < n; i++) {
    size_t at = i % 6;
    if (at == 0) {
      first = tt_rng_below(&rng, 2);
      told = tt_rng_below(&rng, 2);
    }
    events[i] = (struct tt_event){.ts = 500 * (int64_t)i, .ret = TT_RET_NONE, .tid = 7, .cpu = 0};
    if (at == 0)
      events[i].event = (uint16_t)first;
    else if (at < 4)
      events[i].event = (uint16_t)(1 + at); /* e2 e3 e4 */
    else if (at == 4) {
      events[i].event = (uint16_t)first;
      events[i].ret = (int64_t)told;
    } else {
      events[i].event = (uint16_t)(5 + told);
    }
  }
  return events;
}

static struct tt_predictor_config small(void) {
  struct tt_predictor_config config;
  tt_predictor_config_init(&config);
  assert_int_equal(config.context, 128); /* the poster's */
  assert_int_equal(config.layers, 4);
  assert_int_equal(config.heads, 8);
  assert_int_equal(config.width, 256);
  assert_int_equal(config.patience, 5);
  config.context = 24;
  config.batch = 16;
  config.layers = 1;
  config.heads = 2;
  config.width = 32;
  config.lr = 1e-2;
  config.max_steps = 300;
  config.dropout = 0;
  return config;
}

static void test_scoring_windows(void **state) {
  (void)state;
  enum { N = 500, CONTEXT = 16 };
  struct tt_event *events = phrases(N, 1);
  for (size_t i = 0; i < N; i++)
    events[i].cpu = i % 3 == 0;
  struct tt_gap gap = {.begin = 500 * 100 + 1, .end = 500 * 101 - 1, .lost = 1, .cpu = 1};
  struct tt_dataset *dataset = store("windows", events, N, 8, &gap);
  struct tt_vocabulary *vocabulary = learn(dataset);
  struct tt_classes classes = {.vocabulary = vocabulary};
  tt_names_init(&classes.unseen);
  for (int kind = 0; kind < 2; kind++) {
    struct tt_source_slice slice;
    struct tt_piece *pieces;
    size_t n, runs = 0;
    assert_int_equal(
        tt_slice_open(dataset, kind ? TT_STREAM_CPU : TT_STREAM_MERGED, 20, 450, &classes, &slice),
        TT_OK);
    assert_int_equal(slice.events, 450);
    assert_int_equal(tt_pieces_scoring(&slice, CONTEXT, CONTEXT / 2, 0, &pieces, &n), TT_OK);
    unsigned char *scored = calloc(2 * N, 1);
    for (size_t i = 0; i < n; i++) {
      assert_true(pieces[i].n <= CONTEXT && pieces[i].skip < pieces[i].n);
      for (uint64_t k = pieces[i].skip; k < pieces[i].n; k++) {
        uint64_t row, position = pieces[i].first + k + 1;
        tt_streams_rows(slice.streams, pieces[i].stream, position, 1, &row);
        assert_true(row >= 20 && row < 470);
        assert_int_equal(scored[row]++, 0); /* once */
        assert_true(k + 1 > CONTEXT / 2 || pieces[i].skip == 0);
      }
    }
    for (size_t row = 20; row < 470; row++)
      runs += !scored[row]; /* only the first of each run is not */
    assert_int_equal(runs, slice.n_segments);
    assert_int_equal(slice.n_segments, kind ? 3 : 2);
    free(scored);
    free(pieces);

    /* Training windows stay within segments and reach everywhere. */
    struct tt_starts starts;
    struct tt_rng rng;
    unsigned char *seen = calloc(2 * N, 1);
    tt_rng_init(&rng, 5, 0);
    assert_int_equal(tt_starts_make(&slice, 1, CONTEXT, &starts), TT_OK);
    for (int draw = 0; draw < 5000; draw++) {
      struct tt_piece piece = tt_starts_draw(&starts, &slice, &rng);
      bool inside = false;
      for (size_t s = 0; s < slice.n_segments; s++)
        inside |= slice.segments[s].stream == piece.stream &&
                  piece.first >= slice.segments[s].first &&
                  piece.first + piece.n < slice.segments[s].first + slice.segments[s].n;
      assert_true(inside);
      for (uint64_t k = 0; k < piece.n; k++) {
        uint64_t row;
        tt_streams_rows(slice.streams, piece.stream, piece.first + k + 1, 1, &row);
        seen[row] = 1;
      }
    }
    for (size_t row = 20, missed = 0; row < 470; row++) {
      missed += !seen[row];
      assert_true(missed <= slice.n_segments);
    }
    free(seen);
    tt_starts_release(&starts);
    tt_slice_close(&slice);
  }
  tt_names_release(&classes.unseen);
  tt_vocabulary_free(vocabulary);
  tt_dataset_close(dataset);
  free(events);
}

static void test_window_contents(void **state) {
  (void)state;
  struct tt_event *events = phrases(60, 1);
  struct tt_dataset *dataset = store("contents", events, 60, 8, NULL);
  struct tt_vocabulary *vocabulary = learn(dataset);
  struct tt_classes classes = {.vocabulary = vocabulary};
  struct tt_source_slice slice;
  struct tt_window_reader reader;
  tt_names_init(&classes.unseen);
  assert_int_equal(tt_slice_open(dataset, TT_STREAM_MERGED, 0, 0, &classes, &slice), TT_OK);
  assert_int_equal(tt_window_reader_init(&reader, TT_CHANNEL_BIT(event) | TT_CHANNEL_BIT(ret), 8),
                   TT_OK);
  assert_int_equal(reader.n_ids, 2);
  int32_t ids[16], targets[8];
  struct tt_piece piece = {.first = 54, .n = 5, .skip = 2};
  assert_int_equal(tt_window_read(&reader, &slice, &piece, ids, targets), TT_OK);
  for (size_t i = 0; i < 8; i++) {
    if (i >= 5) {
      assert_true(ids[2 * i] == -1 && ids[2 * i + 1] == -1);
      assert_int_equal(targets[i], -1);
      continue;
    }
    char type[24];
    snprintf(type, sizeof type, "e%u", events[54 + i].event);
    assert_int_equal(ids[2 * i], tt_names_find(&vocabulary->events, type));
    assert_true((ids[2 * i + 1] == tt_vocabulary_ret_none(vocabulary)) == (i != 4));
    snprintf(type, sizeof type, "e%u", events[55 + i].event);
    assert_int_equal(targets[i], i < 2 ? -1 : (int32_t)tt_names_find(&vocabulary->events, type));
  }
  tt_window_reader_release(&reader);
  tt_slice_close(&slice);
  tt_names_release(&classes.unseen);
  tt_vocabulary_free(vocabulary);
  tt_dataset_close(dataset);
  free(events);
}

static void test_baselines(void **state) {
  (void)state;
  /* Train: 0 1 2 0 1 3 0 1 3. After "1": 3 (2 of 3); after "2 0": 1; after "1 2": 0. */
  const uint16_t train_types[] = {0, 1, 2, 0, 1, 3, 0, 1, 3}, test_types[] = {1, 2, 0, 1, 3, 4};
  struct tt_event train_events[9] = {{0}}, test_events[6] = {{0}};
  for (size_t i = 0; i < 9; i++)
    train_events[i] = (struct tt_event){.ts = (int64_t)i, .event = train_types[i]};
  for (size_t i = 0; i < 6; i++)
    test_events[i] = (struct tt_event){.ts = (int64_t)i, .event = test_types[i]};
  struct tt_dataset *train = store("b_train", train_events, 9, 4, NULL);
  struct tt_dataset *test = store("b_test", test_events, 6, 5, NULL);
  struct tt_vocabulary *vocabulary = learn(train);
  struct tt_classes classes = {.vocabulary = vocabulary};
  struct tt_source_slice slices[2];
  tt_names_init(&classes.unseen);
  assert_int_equal(tt_slice_open(train, TT_STREAM_MERGED, 0, 0, &classes, &slices[0]), TT_OK);
  assert_int_equal(tt_slice_open(test, TT_STREAM_MERGED, 0, 0, &classes, &slices[1]), TT_OK);
  assert_int_equal(classes.unseen.n, 1); /* e4 */
  struct tt_scores scores;
  assert_int_equal(tt_baseline_scores(&slices[0], 1, &slices[1], 1, 5, &scores), TT_OK);
  /* truth 2 0 1 3 4, predicted 3 0 1 3 0 */
  assert_int_equal(scores.samples, 5);
  assert_int_equal(scores.classes, 5);
  assert_near(scores.accuracy, 3.0 / 5, 1e-12);
  assert_near(scores.macro_f1, (0 + 2.0 / 3 + 1 + 2.0 / 3 + 0) / 5, 1e-12);
  tt_slice_close(&slices[0]);
  tt_slice_close(&slices[1]);
  tt_names_release(&classes.unseen);
  tt_vocabulary_free(vocabulary);
  tt_dataset_close(train);
  tt_dataset_close(test);
}

static void test_learns(void **state) {
  (void)state;
  enum { N = 8000, M = 2400 };
  struct tt_event *a = phrases(N, 1), *b = phrases(M, 2), *c = phrases(M, 3);
  c[M - 1].event = 8; /* a type that training never saw */
  struct tt_dataset *train = store("train", a, N, 8, NULL), *val = store("val", b, M, 8, NULL);
  struct tt_dataset *test = store("test", c, M, 9, NULL);
  struct tt_vocabulary *vocabulary = learn(train);
  struct tt_predictor_config config = small();
  struct tt_predictor_part part = {.dataset = train};
  struct tt_predictor_result full, again, events_only, fixed, halves;
  assert_int_equal(tt_predictor_run(&config, vocabulary, &part, 1, val, test, &full), TT_OK);
  print_message(
      "full: macro-F1 %.4f accuracy %.4f, %zu steps, %.1f s, order 1: %.4f, order 2: %.4f, "
      "order 5: %.4f\n",
      full.scores.macro_f1, full.scores.accuracy, full.steps, full.seconds,
      full.baselines[0].accuracy, full.baselines[1].accuracy, full.baselines[2].accuracy);
  /* Of six events the first is a coin flip: 11/12 at best. */
  assert_true(full.scores.accuracy > 0.90 && full.scores.accuracy < 0.94);
  assert_near(full.scores.top5, (M - 2.0) / (M - 1), 1e-9); /* all but the unseen type */
  assert_true(full.baselines[0].accuracy < 0.7 && full.baselines[1].accuracy < 0.8);
  assert_true(full.scores.accuracy > full.baselines[2].accuracy + 0.05);
  assert_int_equal(full.scores.samples, M - 1);
  assert_int_equal(full.scores.classes, 8);
  assert_int_equal(full.unseen_classes, 1);
  assert_true(full.scores.macro_f1 <= 7.0 / 8); /* the unseen type costs a class */
  assert_true(full.best_step > 0 && full.best_step <= full.steps);
  assert_true(full.val_loss < 0.2); /* log(2) / 6 = 0.1155 at best */
  assert_true(full.val_loss > 0.1);

  assert_int_equal(tt_predictor_run(&config, vocabulary, &part, 1, val, test, &again), TT_OK);
  assert_memory_equal(&full.scores, &again.scores, sizeof full.scores);
  assert_true(full.val_loss == again.val_loss && full.steps == again.steps);

  /* Without the ret channel the sixth is a coin flip too. */
  config.channels = TT_CHANNEL_BIT(event) | TT_CHANNEL_BIT(dt);
  assert_int_equal(tt_predictor_run(&config, vocabulary, &part, 1, val, test, &events_only), TT_OK);
  print_message("event and dt only: accuracy %.4f, %zu steps\n", events_only.scores.accuracy,
                events_only.steps);
  assert_true(events_only.scores.accuracy > 0.7 && events_only.scores.accuracy < 0.86);

  /* Training ends by patience, not at the limit, long after the best. */
  config = small();
  config.max_steps = 10000;
  config.max_epochs = 10000;
  assert_int_equal(tt_predictor_run(&config, vocabulary, &part, 1, val, test, &again), TT_OK);
  print_message("to convergence: best step %zu of %zu, validation loss %.4f\n", again.best_step,
                again.steps, again.val_loss);
  assert_true(again.steps < 10000);
  assert_int_equal(again.steps, again.best_step + 5 * 100);
  assert_true(again.val_loss <= full.val_loss);

  /* A fixed number of steps; two halves of one dataset as two parts. */
  config = small();
  config.steps = 20;
  assert_int_equal(tt_predictor_run(&config, vocabulary, &part, 1, NULL, test, &fixed), TT_OK);
  assert_int_equal(fixed.steps, 20);
  assert_true(isnan(fixed.val_loss));
  struct tt_predictor_part parts[2] = {{train, 0, N / 2}, {train, N / 2, 0}};
  assert_int_equal(tt_predictor_run(&config, vocabulary, parts, 2, val, test, &halves), TT_OK);
  assert_int_equal(halves.train_events, N);
  assert_true(isfinite(halves.val_loss));

  config.steps = 0;
  assert_int_equal(tt_predictor_run(&config, vocabulary, &part, 1, NULL, test, &fixed), TT_USAGE);
  config.channels = TT_CHANNEL_BIT(dt);
  assert_int_equal(tt_predictor_run(&config, vocabulary, &part, 1, val, test, &fixed), TT_USAGE);
  tt_causes_clear();
  tt_vocabulary_free(vocabulary);
  tt_dataset_close(train);
  tt_dataset_close(val);
  tt_dataset_close(test);
  free(a);
  free(b);
  free(c);
}

int main(void) {
  omp_set_num_threads(1); /* models this small only wait for one another */
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_scoring_windows),
      cmocka_unit_test(test_window_contents),
      cmocka_unit_test(test_baselines),
      cmocka_unit_test(test_learns),
  };
  return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
