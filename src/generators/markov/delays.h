/* Empirical distributions of time deltas: per key a bounded uniform sample (reservoir), sorted,
 * read as a quantile function. */
#ifndef GENERATORS_MARKOV_DELAYS_H
#define GENERATORS_MARKOV_DELAYS_H

#include <stddef.h>
#include <stdint.h>

#include "base/rng.h"
#include "base/status.h"
#include "generators/map.h"

struct tt_reservoir {
  uint64_t key, seen;
  int64_t *samples; /* while gathering */
  uint32_t n, capacity;
};

struct tt_delays { /* start with tt_delays_init */
  size_t max_keys; /* further keys are not kept */
  struct tt_reservoir *reservoirs;
  size_t n, n_capacity;
  struct tt_map index; /* key -> reservoir, later row */
  struct tt_rng rng;
  /* packed: rows in order of first appearance of their keys */
  uint64_t *keys;   /* [n] */
  uint64_t *first;  /* [n + 1] */
  int64_t *samples; /* [first[n]] each row ascending, ns */
};

struct tt_delay_row { /* borrowed; n == 0: no such key */
  const int64_t *samples;
  size_t n;
};

void tt_delays_init(struct tt_delays *ret, uint64_t seed, size_t max_keys);
void tt_delays_release(struct tt_delays *delays);
/* Adds one delta, keeping at most `limit` of this key (algorithm R, Vitter 1985). */
enum tt_status tt_delays_add(struct tt_delays *delays, uint64_t key, uint32_t limit, int64_t dt);
enum tt_status tt_delays_finish(struct tt_delays *delays);
/* From arrays of a file (copied), checked. */
enum tt_status tt_delays_from_arrays(const int64_t *keys, const int64_t *first, size_t n,
                                     const int64_t *samples, size_t n_samples,
                                     struct tt_delays *ret);
struct tt_delay_row tt_delays_find(const struct tt_delays *delays, uint64_t key);
/* A delta: the quantile function at a uniform place, linear between neighbouring samples that are
 * close (within a factor of two), else one of the two: never outside what was seen, and nothing in
 * the void between two modes. */
int64_t tt_delays_draw(const struct tt_delay_row *row, struct tt_rng *rng);

#endif
