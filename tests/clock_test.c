/* generators/system/clock: what ticks is found among what doesn't, and long waits end at ticks. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "generators/system/clock.h"
#include "stored_toy.h"

/* Two CPUs, each of which waits for its tick, does three things, and now and then is waked in
 * between, at any time. */
enum { TICK, WORK, WAKE, TYPES };
enum { LATE = 3000, SPREAD = 2000, PERIODS = 2000, SINCE = 1234567 };
static const char *const NAMES[TYPES] = {"local_timer_entry", "work", "wake"};

static int by_time(const void *a, const void *b) {
  const struct tt_event *x = a, *y = b;
  return (x->ts > y->ts) - (x->ts < y->ts);
}

/* `ticks`: else they come at any time too. */
static struct tt_dataset *store(const char *name, int64_t period, bool ticks) {
  const struct toy_names names = {NAMES, NULL, TYPES, 0};
  struct tt_event *events = tt_alloc(PERIODS * 2 * 5, sizeof *events);
  struct tt_rng rng;
  size_t n = 0;
  tt_rng_init(&rng, 1, 1);
  for (int64_t i = 0; i < PERIODS; i++)
    for (uint16_t cpu = 0; cpu < 2; cpu++) {
      int64_t ts = SINCE + i * period + LATE + (int64_t)tt_rng_below(&rng, SPREAD);
      if (!ticks)
        ts = i * period + (int64_t)tt_rng_below(&rng, (uint64_t)period / 2);
      for (int k = 0; k < 4; k++)
        events[n++] = (struct tt_event){.ts = ts + 1000 * k,
                                        .ret = TT_RET_NONE,
                                        .tid = TT_TID_NONE,
                                        .comm = TT_COMM_NONE,
                                        .event = k == 0 ? TICK : WORK,
                                        .cpu = cpu};
      if (tt_rng_below(&rng, 4) == 0) {
        events[n] = events[n - 1];
        events[n].event = WAKE;
        events[n++].ts += 100000 + (int64_t)tt_rng_below(&rng, (uint64_t)period / 3);
      }
    }
  qsort(events, n, sizeof *events, by_time);
  struct tt_dataset *ret = toy_store(name, &names, events, n);
  tt_free(events);
  assert_non_null(ret);
  return ret;
}

static struct tt_clock learn(const struct tt_dataset *dataset) {
  struct tt_row_set rows;
  struct tt_clock clock;
  assert_int_equal(tt_row_set_of(dataset, NULL, &rows), TT_OK);
  assert_int_equal(tt_clock_learn(dataset, &rows, &clock), TT_OK);
  tt_row_set_release(&rows);
  return clock;
}

static void rates_are_told_apart(void **state) {
  (void)state;
  static const uint32_t rates[] = {100, 250, 300, 1000};
  for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
    char *name = tt_format("at-%u", rates[i]);
    struct tt_dataset *dataset = store(name, 1000000000 / rates[i], true);
    struct tt_clock clock = learn(dataset);
    assert_int_equal(clock.hz, rates[i]);
    assert_int_equal(clock.n_ticks, 1); /* wakes come at any time, work isn't waited for */
    assert_int_equal(clock.ticks[0].event, TICK);
    assert_true(clock.ticks[0].share > 0.99);
    const int64_t *late = clock.ticks[0].late;
    assert_true(late[TT_CLOCK_POINTS - 1] - late[0] <= SPREAD + 1000); /* 300 Hz aren't whole ns */
    /* at a tick, none is long ago */
    const struct tt_columns *c = tt_dataset_columns(dataset);
    size_t row = 0;
    while (c->event[row] != TICK)
      row++;
    const int64_t since = tt_clock_since_tick(&clock, dataset, row);
    assert_true(since >= late[0] - 1 && since <= late[TT_CLOCK_POINTS - 1] + 1);
    tt_clock_release(&clock);
    tt_dataset_close(dataset);
    tt_free(name);
  }
}

static void without_a_clock(void **state) {
  (void)state;
  struct tt_dataset *dataset = store("any", 4000000, false);
  struct tt_clock clock = learn(dataset);
  struct tt_rng rng;
  tt_rng_init(&rng, 1, 1);
  assert_int_equal(clock.hz, 0);
  assert_int_equal(clock.n_ticks, 0);
  assert_int_equal(tt_clock_since_tick(&clock, dataset, 0), -1);
  assert_int_equal(tt_clock_snap(&clock, TICK, -1, 5, 4000005, &rng), 4000005);
  tt_clock_release(&clock);
  tt_dataset_close(dataset);
}

/* Whatever the wait was to be, it ends at the nearest tick, as late as real ones; and all CPUs' do.
 */
static void long_waits_end_at_ticks(void **state) {
  (void)state;
  const int64_t period = 4000000;
  struct tt_dataset *dataset = store("waits", period, true);
  struct tt_clock clock = learn(dataset);
  struct tt_rng rng;
  const int64_t *late = clock.ticks[0].late;
  tt_rng_init(&rng, 2, 1);
  for (size_t i = 0; i < 10000; i++) {
    const int64_t since = (int64_t)tt_rng_below(&rng, (uint64_t)period);
    const int64_t last = (int64_t)tt_rng_below(&rng, (uint64_t)1 << (20 + i % 30));
    const int64_t ts = last + 60000 + (int64_t)tt_rng_below(&rng, 3 * (uint64_t)period);
    const int64_t at = tt_clock_snap(&clock, TICK, since, last, ts, &rng);
    assert_true(at > last);
    if (at == ts)
      continue; /* the share that doesn't tick */
    assert_true(llabs(at - ts) <= (at - last < period ? period : period / 2 + SPREAD));
    double after = fmod((double)since + fmod((double)at, (double)period), (double)period);
    after = after > (double)period / 2 ? after - (double)period : after;
    assert_true(after >= (double)late[0] - 2 && after <= (double)late[TT_CLOCK_POINTS - 1] + 2);
  }
  assert_int_equal(tt_clock_snap(&clock, TICK, 0, 10, 40010, &rng), 40010); /* no long wait */
  assert_int_equal(tt_clock_snap(&clock, WORK, 0, 10, 900010, &rng), 900010);
  tt_clock_release(&clock);
  tt_dataset_close(dataset);
}

static struct tt_model_file *write_and_open(const struct tt_clock *clock) {
  struct tt_model_writer writer;
  struct tt_model_file *file;
  int64_t *buffer;
  char *path = tt_format("%s/clock.safetensors", fixture_folder);
  tt_model_writer_init(&writer);
  assert_int_equal(tt_clock_save(clock, &writer, &buffer), TT_OK);
  assert_int_equal(tt_model_write(&writer, path), TT_OK);
  assert_int_equal(tt_model_open(path, &file), TT_OK);
  tt_model_writer_release(&writer);
  tt_free(buffer);
  tt_free(path);
  return file;
}

static void clocks_are_kept(void **state) {
  (void)state;
  struct tt_dataset *dataset = store("kept", 4000000, true);
  struct tt_clock clock = learn(dataset), again;
  struct tt_model_file *file = write_and_open(&clock);
  assert_int_equal(tt_clock_load(file, TYPES, &again), TT_OK);
  assert_int_equal(again.hz, clock.hz);
  assert_int_equal(again.n_ticks, clock.n_ticks);
  assert_true(fabs(again.ticks[0].share - clock.ticks[0].share) < 1e-6);
  assert_memory_equal(again.ticks[0].late, clock.ticks[0].late, sizeof clock.ticks[0].late);
  tt_clock_release(&again);
  assert_int_equal(tt_clock_load(file, TICK, &again), TT_BAD_INPUT); /* no such event */
  tt_clock_release(&again);
  tt_model_close(file);

  clock.ticks[0].late[3] = clock.ticks[0].late[2] - 1;
  file = write_and_open(&clock);
  assert_int_equal(tt_clock_load(file, TYPES, &again), TT_BAD_INPUT);
  tt_clock_release(&again);
  tt_model_close(file);
  clock.hz = 77;
  file = write_and_open(&clock);
  assert_int_equal(tt_clock_load(file, TYPES, &again), TT_BAD_INPUT);
  tt_clock_release(&again);
  tt_model_close(file);
  tt_causes_clear();
  tt_clock_release(&clock);
  tt_dataset_close(dataset);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rates_are_told_apart), cmocka_unit_test(without_a_clock),
      cmocka_unit_test(long_waits_end_at_ticks), cmocka_unit_test(clocks_are_kept)};
  return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
