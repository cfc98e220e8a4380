#include "generators/system/clock.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "generators/count_file.h"

enum {
  LONG_WAIT = 50000, /* ns */
  BIN = 20000,       /* ns of the histogram; ticks come within two of them */
  NEAR = 100000,     /* ns: so far from the first of the two they still count as ticks */
  MIN_WAITS = 30,    /* of an event, to tell whether it ticks */
  MAX_BINS = 1000000000 / 100 / BIN,
  NUMBERS = TT_CLOCK_POINTS + 2, /* of a tick in a file */
};
static const double MIN_SHARE = 0.5, PPM = 1e6;
static const uint32_t RATES[] = {100, 250, 300, 1000}; /* Linux's CONFIG_HZ */

static double period_of(uint32_t hz) {
  return 1e9 / hz;
}

struct wait {
  int64_t end;
  uint32_t source;
  uint16_t event;
};

struct learner {
  const struct tt_dataset *train;
  struct wait *waits;
  size_t n, capacity;
  size_t *counts; /* [n_events] of waits */
  size_t n_events, n_sources;
  uint32_t *bins; /* [n_sources, MAX_BINS] */
  double *phases; /* [n_sources] */
  int64_t *late;  /* [n] */
};

/* ---- long waits ---- */

/* 0 too where the dataset doesn't tell. */
static size_t source_of(const struct tt_dataset *dataset, uint64_t row) {
  const struct tt_dataset_meta *meta = tt_dataset_meta(dataset);
  size_t k = 0;
  while (k + 1 < meta->n_sources && row >= meta->sources[k + 1].first)
    k++;
  return k;
}

static enum tt_status find_waits(struct learner *l, const struct tt_row_set *rows) {
  const struct tt_columns *c = tt_dataset_columns(l->train);
  const size_t n_cpus = tt_dataset_cpu_limit(l->train);
  uint64_t *last = tt_alloc(n_cpus, sizeof *last);
  size_t at;
  if (!last)
    return tt_fail(TT_NO_MEMORY, "%zu CPUs", n_cpus);
  for (size_t i = 0; i < n_cpus; i++)
    last[i] = TT_ROW_NONE;
  enum tt_status status = TT_OK;
  for (uint64_t i = tt_row_set_first(rows, &at); i != TT_ROW_NONE && status == TT_OK;
       i = tt_row_set_after(rows, &at, i)) {
    const uint64_t before = last[c->cpu[i]];
    last[c->cpu[i]] = i;
    if (before == TT_ROW_NONE || c->ts[i] - c->ts[before] <= LONG_WAIT ||
        tt_dataset_gap_between(l->train, before, i))
      continue;
    if (tt_grow(&l->waits, &l->capacity, l->n + 1, sizeof *l->waits) != 0)
      status = tt_fail(TT_NO_MEMORY, "%zu waits", l->n);
    else
      l->waits[l->n++] = (struct wait){c->ts[i], (uint32_t)source_of(l->train, i), c->event[i]};
  }
  for (size_t i = 0; i < l->n; i++)
    l->counts[l->waits[i].event]++;
  tt_free(last);
  return status;
}

/* ---- the rate ---- */

/* Where each source has most of the event's waits end, and how many in all end there. */
static size_t fold(struct learner *l, uint16_t event, uint32_t hz) {
  const size_t n_bins = (size_t)(period_of(hz) / BIN);
  size_t sum = 0;
  for (size_t i = 0; i < l->n_sources * MAX_BINS; i++)
    l->bins[i] = 0;
  for (size_t i = 0; i < l->n; i++) {
    const size_t bin = (size_t)(fmod((double)l->waits[i].end, period_of(hz)) / BIN);
    if (l->waits[i].event == event)
      l->bins[l->waits[i].source * MAX_BINS + (bin < n_bins ? bin : n_bins - 1)]++;
  }
  for (size_t k = 0; k < l->n_sources; k++) {
    const uint32_t *bins = l->bins + k * MAX_BINS;
    size_t most = 0;
    l->phases[k] = -1;
    for (size_t i = 0; i < n_bins; i++) {
      const size_t n = bins[i] + bins[(i + 1) % n_bins];
      if (n > most) {
        most = n;
        l->phases[k] = (double)(i * BIN);
      }
    }
    sum += most;
  }
  return sum;
}

/* The rate and the event that most waits agree on; false: none does. */
static bool choose(struct learner *l, uint32_t *ret_hz, uint16_t *ret_event) {
  size_t most = 0;
  for (size_t event = 0; event < l->n_events; event++)
    for (size_t i = 0; l->counts[event] >= MIN_WAITS && i < sizeof RATES / sizeof *RATES; i++) {
      const size_t n = fold(l, (uint16_t)event, RATES[i]);
      /* what ticks at 250 Hz does so at 1000 Hz too, but for chance */
      if ((double)n < MIN_SHARE * (double)l->counts[event] || (double)n <= 1.02 * (double)most)
        continue;
      most = n;
      *ret_hz = RATES[i];
      *ret_event = (uint16_t)event;
    }
  return most > 0;
}

/* ---- what ticks ---- */

static int by_value(const void *a, const void *b) {
  const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

/* From -period / 2 to period / 2. */
static double lateness(double since, double period) {
  return since - period * floor(since / period + 0.5);
}

static bool measure(struct learner *l, uint16_t event, double period, struct tt_tick *ret) {
  size_t n = 0;
  for (size_t i = 0; i < l->n; i++) {
    const struct wait *wait = &l->waits[i];
    if (wait->event != event || l->phases[wait->source] < 0)
      continue;
    const double late = lateness((double)wait->end - l->phases[wait->source], period);
    if (fabs(late) < NEAR)
      l->late[n++] = (int64_t)late;
  }
  *ret = (struct tt_tick){.event = event, .share = (double)n / (double)l->counts[event]};
  if (ret->share < MIN_SHARE)
    return false;
  qsort(l->late, n, sizeof *l->late, by_value);
  for (size_t i = 0; i < TT_CLOCK_POINTS; i++)
    ret->late[i] = l->late[i * (n - 1) / (TT_CLOCK_POINTS - 1)];
  return true;
}

static enum tt_status learn(struct learner *l, struct tt_clock *ret) {
  uint16_t leader = 0;
  if (!choose(l, &ret->hz, &leader))
    return TT_OK;
  fold(l, leader, ret->hz);
  ret->ticks = tt_alloc(l->n_events, sizeof *ret->ticks);
  if (!ret->ticks)
    return tt_fail(TT_NO_MEMORY, "ticks of %zu events", l->n_events);
  for (size_t event = 0; event < l->n_events; event++)
    if (l->counts[event] >= MIN_WAITS &&
        measure(l, (uint16_t)event, period_of(ret->hz), &ret->ticks[ret->n_ticks]))
      ret->n_ticks++;
  ret->phases = l->phases;
  l->phases = NULL;
  return TT_OK;
}

enum tt_status tt_clock_learn(const struct tt_dataset *train, const struct tt_row_set *rows,
                              struct tt_clock *ret) {
  const struct tt_dataset_meta *meta = tt_dataset_meta(train);
  struct learner l = {.train = train,
                      .n_events = meta->events.n,
                      .n_sources = meta->n_sources ? meta->n_sources : 1};
  *ret = (struct tt_clock){0};
  l.counts = tt_calloc(l.n_events, sizeof *l.counts);
  l.bins = tt_alloc(l.n_sources * MAX_BINS, sizeof *l.bins);
  l.phases = tt_alloc(l.n_sources, sizeof *l.phases);
  enum tt_status status = l.counts && l.bins && l.phases
                              ? find_waits(&l, rows)
                              : tt_fail(TT_NO_MEMORY, "the clock of %zu sources", l.n_sources);
  if (status == TT_OK && !(l.late = tt_alloc(l.n, sizeof *l.late)))
    status = tt_fail(TT_NO_MEMORY, "%zu waits", l.n);
  if (status == TT_OK)
    status = learn(&l, ret);
  tt_free(l.waits);
  tt_free(l.counts);
  tt_free(l.bins);
  tt_free(l.phases);
  tt_free(l.late);
  return status;
}

void tt_clock_release(struct tt_clock *clock) {
  tt_free(clock->ticks);
  tt_free(clock->phases);
  *clock = (struct tt_clock){0};
}

/* ---- time ---- */

int64_t tt_clock_since_tick(const struct tt_clock *clock, const struct tt_dataset *train,
                            uint64_t row) {
  const double phase = clock->phases ? clock->phases[source_of(train, row)] : -1;
  if (phase < 0)
    return -1;
  const double period = period_of(clock->hz);
  const double since = (double)tt_dataset_columns(train)->ts[row] - phase;
  return (int64_t)(since - period * floor(since / period));
}

int64_t tt_clock_snap(const struct tt_clock *clock, uint16_t event, int64_t since, int64_t last,
                      int64_t ts, struct tt_rng *rng) {
  const struct tt_tick *tick = clock->ticks, *end = tick + clock->n_ticks;
  while (tick < end && tick->event != event)
    tick++;
  if (tick == end || since < 0 || ts - last <= LONG_WAIT || tt_rng_uniform(rng) >= tick->share)
    return ts;
  const double period = period_of(clock->hz);
  const double at = tt_rng_uniform(rng) * (TT_CLOCK_POINTS - 1);
  const size_t point = (size_t)at;
  const double late = (double)tick->late[point] +
                      (at - (double)point) * (double)(tick->late[point + 1] - tick->late[point]);
  double wait = (double)(ts - last); /* from `last`, so that long twins lose nothing to rounding */
  const double first = fmod((double)since, period) + fmod((double)last, period) - late;
  wait = period * floor((first + wait) / period + 0.5) - first;
  while (wait < 1)
    wait += period;
  return last + (int64_t)wait;
}

/* ---- files ---- */

enum tt_status tt_clock_save(const struct tt_clock *clock, struct tt_model_writer *writer,
                             int64_t **ret_buffer) {
  int64_t *out = *ret_buffer = tt_alloc(1 + clock->n_ticks * NUMBERS, sizeof *out);
  if (!out)
    return tt_fail(TT_NO_MEMORY, "out of memory");
  *out++ = clock->hz;
  for (size_t i = 0; i < clock->n_ticks; i++) {
    *out++ = clock->ticks[i].event;
    *out++ = (int64_t)(clock->ticks[i].share * PPM);
    for (size_t k = 0; k < TT_CLOCK_POINTS; k++)
      *out++ = clock->ticks[i].late[k];
  }
  return tt_count_file_add(writer, "clock", "ticks", *ret_buffer, 1 + clock->n_ticks * NUMBERS);
}

static bool read_tick(const int64_t *in, size_t n_events, struct tt_tick *ret) {
  bool ok = in[0] >= 0 && (uint64_t)in[0] < n_events && in[1] >= 0 && (double)in[1] <= PPM;
  *ret = (struct tt_tick){.event = (uint16_t)in[0], .share = (double)in[1] / PPM};
  for (size_t i = 0; i < TT_CLOCK_POINTS; i++) {
    ret->late[i] = in[2 + i];
    ok = ok && in[2 + i] > -NEAR && in[2 + i] < NEAR && (i == 0 || in[2 + i] >= in[1 + i]);
  }
  return ok;
}

enum tt_status tt_clock_load(const struct tt_model_file *file, size_t n_events,
                             struct tt_clock *ret) {
  struct tt_count_file_column ticks = {0};
  enum tt_status status = tt_count_file_get(file, "clock", "ticks", &ticks);
  *ret = (struct tt_clock){0};
  if (status != TT_OK)
    return status;
  const size_t n = ticks.n / NUMBERS;
  const bool whole = ticks.n % NUMBERS == 1;
  bool known = whole && ticks.values[0] == 0 && n == 0; /* nothing ticks */
  for (size_t i = 0; whole && i < sizeof RATES / sizeof *RATES; i++)
    known |= ticks.values[0] == RATES[i];
  if (!known)
    return tt_fail(TT_BAD_INPUT, "%s: clock.ticks: not a clock", tt_model_path(file));
  ret->hz = (uint32_t)ticks.values[0];
  ret->ticks = tt_alloc(n, sizeof *ret->ticks);
  if (!ret->ticks)
    return tt_fail(TT_NO_MEMORY, "ticks of %zu events", n);
  for (; ret->n_ticks < n; ret->n_ticks++)
    if (!read_tick(ticks.values + 1 + ret->n_ticks * NUMBERS, n_events, &ret->ticks[ret->n_ticks]))
      return tt_fail(TT_BAD_INPUT, "%s: clock.ticks: tick %zu is out of range", tt_model_path(file),
                     ret->n_ticks);
  return TT_OK;
}
