/* Conditional counts: how often each value was seen with each key, first gathered in a hash table,
 * then packed into rows (one per key, values by falling count) that distributions are drawn from.
 * Also Witten-Bell mixing of such rows, from the most to the least specific. */
#ifndef GENERATORS_TALLY_H
#define GENERATORS_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rng.h"
#include "base/status.h"
#include "generators/map.h"

struct tt_tally_entry {
  uint64_t key;
  int64_t value;
  uint64_t count; /* 0: empty */
};

struct tt_tally {   /* zeroed: empty, and no limit */
  size_t max_pairs; /* further new pairs are dropped (counted below); 0: no limit */
  uint64_t dropped;
  /* while gathering */
  struct tt_tally_entry *slots;
  size_t n_slots; /* a power of two, or 0 */
  /* packed: rows in order of keys */
  size_t n_rows, n_pairs;
  uint64_t *keys;      /* [n_rows] ascending */
  uint64_t *first;     /* [n_rows + 1] the row's pairs begin here */
  int64_t *values;     /* [n_pairs] within a row by falling count, then by value */
  uint64_t *upto;      /* [n_pairs] running sum of the row's counts, this pair's included */
  struct tt_map index; /* key -> row */
};

struct tt_tally_row { /* borrowed; n == 0: no such row */
  const int64_t *values;
  const uint64_t *upto;
  size_t n;
};

/* Counts one pair. TT_NO_MEMORY only. */
enum tt_status tt_tally_add(struct tt_tally *tally, uint64_t key, int64_t value);
/* Packs; nothing may be added any more. */
enum tt_status tt_tally_finish(struct tt_tally *tally);
/* Builds a packed tally from arrays of a file (copied); TT_BAD_INPUT unless keys ascend, rows cover
 * the pairs without being empty, and counts are positive. */
enum tt_status tt_tally_from_arrays(const int64_t *keys, const int64_t *first, size_t n_rows,
                                    const int64_t *values, const int64_t *upto, size_t n_pairs,
                                    struct tt_tally *ret);
void tt_tally_release(struct tt_tally *tally);

static inline struct tt_tally_row tt_tally_row(const struct tt_tally *tally, size_t row) {
  uint64_t first = tally->first[row];
  return (struct tt_tally_row){tally->values + first, tally->upto + first,
                               (size_t)(tally->first[row + 1] - first)};
}
static inline struct tt_tally_row tt_tally_find(const struct tt_tally *tally, uint64_t key) {
  uint32_t row = tt_map_get(&tally->index, key);
  return row == TT_MAP_NONE ? (struct tt_tally_row){0} : tt_tally_row(tally, row);
}
static inline uint64_t tt_tally_total(const struct tt_tally_row *row) {
  return row->n ? row->upto[row->n - 1] : 0;
}
static inline uint64_t tt_tally_at(const struct tt_tally_row *row, size_t i) {
  return row->upto[i] - (i ? row->upto[i - 1] : 0);
}
uint64_t tt_tally_count(const struct tt_tally_row *row, int64_t value);
/* A value in proportion to its count; the row isn't empty. */
int64_t tt_tally_draw(const struct tt_tally_row *row, struct tt_rng *rng);

/* Witten-Bell mixing (Witten & Bell 1991, method C): with N observations of T different values,
 * P(v) = (count(v) + T P'(v)) / (N + T), P' from the next row. rows[0] is the most specific; empty
 * rows are passed over. Drawing: the last row that isn't empty doesn't back off; *ret is untouched
 * and false returned when all are empty. Probability: the last backs off to `floor`. */
bool tt_backoff_draw(const struct tt_tally_row *rows, size_t n, struct tt_rng *rng, int64_t *ret);
/* The same with P(v) times weights[v] (>= 0, above 0 for some value): all rows are gone through. */
bool tt_backoff_draw_weighted(const struct tt_tally_row *rows, size_t n, const float *weights,
                              struct tt_rng *rng, int64_t *ret);
/* leave_out: one observation of `value` in every row is to be taken out first (leave-one-out). */
double tt_backoff_probability(const struct tt_tally_row *rows, size_t n, int64_t value,
                              bool leave_out, double floor);

#endif
