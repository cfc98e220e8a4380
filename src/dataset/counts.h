/* Counting how often 64-bit keys occur, in bounded memory.
 *
 * Exact up to `limit` distinct keys. Beyond, the median of the counts is taken from all and those
 * at or below it are dropped: Misra & Gries' frequent items in the batched form of Anderson et al.,
 * "A high-performance algorithm for identifying frequent items in data streams" (IMC'17). A key's
 * count is then too low by at most `error`, and any key that occurs more than `error` times (at
 * most total / (limit / 2)) is there. The result depends on the order of keys only, not on timing.
 */
#ifndef DATASET_COUNTS_H
#define DATASET_COUNTS_H

#include <stddef.h>
#include <stdint.h>

struct tt_counts {
  uint64_t *keys, *counts; /* open addressing, [n_slots]; counts[i] == 0: empty */
  size_t n, n_slots, limit;
  uint64_t error;
};

/* limit >= 2. 0, or -1 when memory is short. */
int tt_counts_init(struct tt_counts *ret, size_t limit);
void tt_counts_release(struct tt_counts *counts);
/* count > 0. 0, or -1 when memory is short. */
int tt_counts_add(struct tt_counts *counts, uint64_t key, uint64_t count);

#endif
