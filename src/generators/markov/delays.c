#include "generators/markov/delays.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define CLOSE_NS 64 /* clock granularity and jitter: always close */

void tt_delays_init(struct tt_delays *ret, uint64_t seed, size_t max_keys) {
  *ret = (struct tt_delays){.max_keys = max_keys};
  tt_rng_init(&ret->rng, seed, UINT64_C(0xde1a75));
}

static void release_reservoirs(struct tt_delays *delays) {
  for (size_t i = 0; delays->reservoirs && i < delays->n; i++)
    tt_free(delays->reservoirs[i].samples);
  tt_free(delays->reservoirs);
  delays->reservoirs = NULL;
}

void tt_delays_release(struct tt_delays *delays) {
  release_reservoirs(delays);
  tt_map_release(&delays->index);
  tt_free(delays->keys);
  tt_free(delays->first);
  tt_free(delays->samples);
  *delays = (struct tt_delays){0};
}

enum tt_status tt_delays_add(struct tt_delays *delays, uint64_t key, uint32_t limit, int64_t dt) {
  TT_ASSERT(!delays->keys && dt >= 0 && limit > 0);
  uint32_t place = tt_map_get(&delays->index, key);
  if (place == TT_MAP_NONE) {
    if (delays->n == delays->max_keys)
      return TT_OK;
    if (tt_grow(&delays->reservoirs, &delays->n_capacity, delays->n + 1,
                sizeof *delays->reservoirs) != 0 ||
        tt_map_put(&delays->index, key, (uint32_t)delays->n) != 0)
      goto no_memory;
    place = (uint32_t)delays->n++;
    delays->reservoirs[place] = (struct tt_reservoir){.key = key};
  }
  struct tt_reservoir *reservoir = &delays->reservoirs[place];
  uint64_t at = reservoir->seen++;
  if (at >= limit) {
    at = tt_rng_below(&delays->rng, at + 1);
    if (at < limit)
      reservoir->samples[at] = dt;
    return TT_OK;
  }
  if (reservoir->n == reservoir->capacity) {
    uint32_t capacity = reservoir->capacity ? 2 * reservoir->capacity : 2;
    int64_t *samples = tt_realloc(reservoir->samples, capacity, sizeof *samples);
    if (!samples)
      goto no_memory;
    reservoir->samples = samples;
    reservoir->capacity = capacity;
  }
  reservoir->samples[reservoir->n++] = dt;
  return TT_OK;
no_memory:
  return tt_fail(TT_NO_MEMORY, "samples of %zu kinds of delays", delays->n);
}

static int compare_int64(const void *left, const void *right) {
  int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
  return a < b ? -1 : a > b;
}

static enum tt_status allocate(struct tt_delays *delays, size_t n_samples) {
  delays->keys = tt_alloc(delays->n, sizeof *delays->keys);
  delays->first = tt_alloc(delays->n + 1, sizeof *delays->first);
  delays->samples = tt_alloc(n_samples, sizeof *delays->samples);
  return delays->keys && delays->first && delays->samples
             ? TT_OK
             : tt_fail(TT_NO_MEMORY, "%zu samples of delays", n_samples);
}

enum tt_status tt_delays_finish(struct tt_delays *delays) {
  size_t n_samples = 0;
  for (size_t i = 0; i < delays->n; i++)
    n_samples += delays->reservoirs[i].n;
  enum tt_status status = allocate(delays, n_samples);
  if (status != TT_OK)
    return status;
  uint64_t at = 0;
  for (size_t i = 0; i < delays->n; i++) {
    const struct tt_reservoir *reservoir = &delays->reservoirs[i];
    delays->keys[i] = reservoir->key;
    delays->first[i] = at;
    memcpy(delays->samples + at, reservoir->samples, reservoir->n * sizeof *delays->samples);
    qsort(delays->samples + at, reservoir->n, sizeof *delays->samples, compare_int64);
    at += reservoir->n;
  }
  delays->first[delays->n] = at;
  release_reservoirs(delays);
  return TT_OK;
}

enum tt_status tt_delays_from_arrays(const int64_t *keys, const int64_t *first, size_t n,
                                     const int64_t *samples, size_t n_samples,
                                     struct tt_delays *ret) {
  struct tt_delays delays = {.n = n, .max_keys = n};
  enum tt_status status = TT_OK;
  if (n >= TT_MAP_NONE || first[0] != 0 || first[n] < 0 || (uint64_t)first[n] != n_samples)
    return tt_fail(TT_BAD_INPUT, "%zu rows of delays don't cover the %zu samples", n, n_samples);
  for (size_t i = 0; i < n; i++)
    if (first[i + 1] <= first[i] || (uint64_t)first[i + 1] > n_samples)
      return tt_fail(TT_BAD_INPUT, "row %zu of the delays is empty or out of order", i);
  for (size_t i = 0; i < n; i++)
    for (int64_t k = first[i]; k < first[i + 1]; k++)
      if (samples[k] < (k > first[i] ? samples[k - 1] : 0))
        return tt_fail(TT_BAD_INPUT, "delay %lld is negative or out of order", (long long)k);
  status = allocate(&delays, n_samples);
  for (size_t i = 0; status == TT_OK && i < n; i++) {
    if (tt_map_get(&delays.index, (uint64_t)keys[i]) != TT_MAP_NONE)
      status = tt_fail(TT_BAD_INPUT, "row %zu of the delays is there twice", i);
    else if (tt_map_put(&delays.index, (uint64_t)keys[i], (uint32_t)i) != 0)
      status = tt_fail(TT_NO_MEMORY, "%zu rows of delays", n);
  }
  if (status != TT_OK) {
    tt_delays_release(&delays);
    return status;
  }
  memcpy(delays.keys, keys, n * sizeof *keys);
  memcpy(delays.first, first, (n + 1) * sizeof *first);
  memcpy(delays.samples, samples, n_samples * sizeof *samples);
  *ret = delays;
  return TT_OK;
}

struct tt_delay_row tt_delays_find(const struct tt_delays *delays, uint64_t key) {
  uint32_t row = tt_map_get(&delays->index, key);
  if (row == TT_MAP_NONE)
    return (struct tt_delay_row){0};
  uint64_t first = delays->first[row];
  return (struct tt_delay_row){delays->samples + first, (size_t)(delays->first[row + 1] - first)};
}

int64_t tt_delays_draw(const struct tt_delay_row *row, struct tt_rng *rng) {
  TT_ASSERT(row->n > 0);
  if (row->n == 1)
    return row->samples[0];
  double place = tt_rng_uniform(rng) * (double)(row->n - 1);
  size_t i = (size_t)place;
  double part = place - (double)i;
  int64_t low = row->samples[i], high = row->samples[i + 1];
  if (high - low > CLOSE_NS && high / 2 > low)
    return part < 0.5 ? low : high;
  return low + (int64_t)llround(part * (double)(high - low));
}
