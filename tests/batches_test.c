/* Batches: windows drawn at random and in order hold the rows they say, none across a cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataset/batches.h"
#include "dataset_fixture.h"

struct setting {
  struct tt_dataset *datasets[2];
  struct tt_streams *streams[2];
  struct tt_encoder *encoders[2];
  struct tt_vocabulary *vocabulary;
  struct tt_part parts[2];
};

static void set_up(struct setting *s, enum tt_stream_kind kind) {
  s->datasets[0] = fixture_gappy(3000, 3, 5);
  s->datasets[1] = fixture_gappy(1000, 2, 3);
  const struct tt_dataset *train[] = {s->datasets[0], s->datasets[1]};
  assert_int_equal(tt_vocabulary_learn(train, 2, &(struct tt_vocabulary_options){.stream = kind},
                                       &s->vocabulary),
                   TT_OK);
  for (size_t i = 0; i < 2; i++) {
    assert_int_equal(tt_streams_open(s->datasets[i], kind, &s->streams[i]), TT_OK);
    assert_int_equal(tt_encoder_new(s->vocabulary, s->datasets[i], &s->encoders[i]), TT_OK);
    s->parts[i] = (struct tt_part){s->streams[i], s->encoders[i]};
  }
}

static void tear_down(struct setting *s) {
  for (size_t i = 0; i < 2; i++) {
    tt_encoder_free(s->encoders[i]);
    tt_streams_close(s->streams[i]);
    tt_dataset_close(s->datasets[i]);
  }
  tt_vocabulary_free(s->vocabulary);
}

/* A batch's windows hold the rows they say, none of them across a cut. */
static void check_batch(const struct setting *s, const struct tt_batch *batch) {
  const size_t n = batch->length;
  struct tt_channels expected;
  uint64_t *rows = tt_alloc(n, sizeof *rows);
  assert_int_equal(tt_channels_init(&expected, n), TT_OK);
  assert_int_equal(batch->channels.n, batch->n_windows * n);
  for (size_t w = 0; w < batch->n_windows; w++) {
    const struct tt_window *window = &batch->windows[w];
    const struct tt_dataset *d = s->datasets[window->part];
    const struct tt_streams *streams = s->streams[window->part];
    tt_streams_rows(streams, window->stream, window->first, n, rows);
    for (size_t i = 1; i < n; i++)
      assert_false(
          fixture_cut(d, rows[i - 1], rows[i],
                      tt_streams_kind(streams) == TT_STREAM_CPU ? (int)window->stream : -1));
    assert_int_equal(tt_encode_stream(s->encoders[window->part], streams, window->stream,
                                      window->first, n, &expected, 0),
                     TT_OK);
    struct tt_channels got = tt_channels_slice(&batch->channels, w * n, n);
#define SAME(name, type) assert_memory_equal(got.name, expected.name, n * sizeof(type));
    TT_CHANNEL_TABLE(SAME)
#undef SAME
  }
  tt_channels_release(&expected);
  tt_free(rows);
}

static void test_random_batches(void **state) {
  (void)state;
  enum { STEPS = 400, WINDOWS = 7, LENGTH = 16 };
  for (enum tt_stream_kind kind = TT_STREAM_MERGED; kind <= TT_STREAM_CPU; kind++) {
    struct setting s;
    set_up(&s, kind);
    static struct tt_window seen[STEPS][WINDOWS];
    struct tt_batches_options options = {.windows = WINDOWS, .length = LENGTH, .seed = 42};
    struct tt_batches *b = NULL;
    const struct tt_batch *batch = NULL;
    assert_int_equal(tt_batches_open(s.parts, 2, &options, &b), TT_OK);
    uint64_t windows = tt_batches_windows(b), starts = 0;
    size_t in_part[2] = {0};
    for (size_t p = 0; p < 2; p++) {
      size_t n;
      const struct tt_segment *segments = tt_streams_segments(s.streams[p], &n);
      for (size_t i = 0; i < n; i++)
        starts += segments[i].n >= LENGTH ? segments[i].n - LENGTH + 1 : 0;
    }
    assert_int_equal(windows, starts);
    for (size_t step = 0; step < STEPS; step++) {
      assert_int_equal(tt_batches_next(b, &batch), TT_OK);
      assert_int_equal(batch->step, step);
      assert_int_equal(batch->n_windows, WINDOWS);
      check_batch(&s, batch);
      memcpy(seen[step], batch->windows, sizeof seen[step]);
      for (size_t w = 0; w < WINDOWS; w++)
        in_part[batch->windows[w].part]++;
    }
    tt_batches_close(b);
    assert_true(in_part[0] > 2 * in_part[1] && in_part[1] > 100);
    /* the same again from any step; another seed: others */
    for (size_t from = 0; from < STEPS; from += 131) {
      options.first_step = from;
      assert_int_equal(tt_batches_open(s.parts, 2, &options, &b), TT_OK);
      for (size_t step = from; step < from + 5; step++) {
        assert_int_equal(tt_batches_next(b, &batch), TT_OK);
        assert_int_equal(batch->step, step);
        for (size_t w = 0; w < WINDOWS; w++)
          assert_true(batch->windows[w].part == seen[step][w].part &&
                      batch->windows[w].stream == seen[step][w].stream &&
                      batch->windows[w].first == seen[step][w].first);
        check_batch(&s, batch);
      }
      tt_batches_close(b);
    }
    options.seed = 43;
    options.first_step = 0;
    size_t same = 0;
    assert_int_equal(tt_batches_open(s.parts, 2, &options, &b), TT_OK);
    assert_int_equal(tt_batches_next(b, &batch), TT_OK);
    for (size_t w = 0; w < WINDOWS; w++)
      same += batch->windows[w].first == seen[0][w].first;
    assert_true(same < 3);
    tt_batches_close(b);
    /* longer than any segment */
    options.length = 5000;
    assert_int_equal(tt_batches_open(s.parts, 2, &options, &b), TT_BAD_INPUT);
    assert_non_null(strstr(tt_cause(0), "no stretch of 5000 events"));
    tt_causes_clear();
    tear_down(&s);
  }
}

static void test_sequential_batches(void **state) {
  (void)state;
  enum { LENGTH = 16, WINDOWS = 5 };
  struct setting s;
  set_up(&s, TT_STREAM_CPU);
  for (size_t stride = 0; stride <= 24; stride += 8) {
    struct tt_batches_options options = {
        .windows = WINDOWS, .length = LENGTH, .sequential = true, .stride = stride};
    struct tt_batches *b = NULL;
    const struct tt_batch *batch = NULL;
    assert_int_equal(tt_batches_open(s.parts, 2, &options, &b), TT_OK);
    for (size_t round = 0; round < 3; round++) {
      uint64_t count = 0, n_batches = 0;
      struct tt_window last = {0};
      for (;;) {
        assert_int_equal(tt_batches_next(b, &batch), TT_OK);
        if (!batch)
          break;
        check_batch(&s, batch);
        assert_int_equal(batch->step, n_batches++);
        for (size_t w = 0; w < batch->n_windows; w++, count++) {
          struct tt_window now = batch->windows[w];
          if (count && now.part == last.part && now.stream == last.stream)
            assert_true(now.first >= last.first + (stride && stride < LENGTH ? stride : LENGTH));
          else if (count)
            assert_true(now.part > last.part || now.stream > last.stream);
          last = now;
        }
      }
      /* every window that fits */
      uint64_t fit = 0;
      for (size_t p = 0; p < 2; p++) {
        size_t n;
        const struct tt_segment *segments = tt_streams_segments(s.streams[p], &n);
        for (size_t i = 0; i < n; i++)
          for (uint64_t at = 0; at + LENGTH <= segments[i].n; at += stride ? stride : LENGTH)
            fit++;
      }
      assert_int_equal(count, fit);
      assert_int_equal(tt_batches_windows(b), fit);
      assert_int_equal(tt_batches_count(b), n_batches);
    }
    tt_batches_close(b);
    options.limit = 12; /* evenly spread */
    assert_int_equal(tt_batches_open(s.parts, 2, &options, &b), TT_OK);
    size_t sizes[] = {5, 5, 2}, parts[2] = {0};
    for (size_t i = 0; i < 3; i++) {
      assert_int_equal(tt_batches_next(b, &batch), TT_OK);
      assert_int_equal(batch->n_windows, sizes[i]);
      check_batch(&s, batch);
      for (size_t w = 0; w < sizes[i]; w++)
        parts[batch->windows[w].part]++;
    }
    assert_true(parts[0] >= 7 && parts[1] >= 2);
    assert_int_equal(tt_batches_next(b, &batch), TT_OK);
    assert_null(batch);
    tt_batches_close(b);
  }
  tear_down(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_random_batches),
      cmocka_unit_test(test_sequential_batches),
  };
  return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
