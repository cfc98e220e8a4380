/* Counts of 64-bit keys: open addressing, linear probing, doubling at half full. */
#ifndef CONSTRAINTS_COUNTER_H
#define CONSTRAINTS_COUNTER_H

#include <stddef.h>
#include <stdint.h>

#define TT_COUNTER_EMPTY UINT64_MAX /* not a key */

struct tt_counter_slot {
  uint64_t key, count;
};
struct tt_counter {
  struct tt_counter_slot *slots; /* [1 << bits], or NULL while nothing was added */
  unsigned bits;
  size_t n;
};

void tt_counter_release(struct tt_counter *counter); /* a zeroed counter is an empty one */
/* Makes room for one more key; -1 when memory is short. */
int tt_counter_grow(struct tt_counter *counter);
/* Adds all of `from`; -1 when memory is short. */
int tt_counter_merge(struct tt_counter *counter, const struct tt_counter *from);
/* Forgets the rarest keys until at most `keep` are left (all of equal count go together): which
 * ones depends on the counts alone. -1 when memory is short. */
int tt_counter_prune(struct tt_counter *counter, size_t keep);

/* count(key) += by; -1 when memory is short. */
static inline int tt_counter_add(struct tt_counter *counter, uint64_t key, uint64_t by) {
  if (2 * (counter->n + 1) > ((size_t)1 << counter->bits) && tt_counter_grow(counter))
    return -1;
  size_t mask = ((size_t)1 << counter->bits) - 1;
  size_t i = (size_t)((key * 0x9E3779B97F4A7C15u) >> (64 - counter->bits));
  while (counter->slots[i].key != key) {
    if (counter->slots[i].key == TT_COUNTER_EMPTY) {
      counter->slots[i].key = key;
      counter->n++;
      break;
    }
    i = (i + 1) & mask;
  }
  counter->slots[i].count += by;
  return 0;
}

#endif
