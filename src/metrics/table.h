/* An open-addressing table from 64-bit keys to two 64-bit numbers: the counts of two samples (then
 * it knows their Jensen-Shannon divergence), or any small state per key. Iteration is in slot
 * order, which depends on the keys and their order of insertion only: results repeat. */
#ifndef METRICS_TABLE_H
#define METRICS_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct tt_slot {
  uint64_t key;
  uint64_t v[2];
  uint64_t used;
};

struct tt_table {
  struct tt_slot *slots; /* [capacity] owned; capacity a power of two or 0 */
  size_t capacity, n;
};

void tt_table_init(struct tt_table *table);
void tt_table_release(struct tt_table *table);
/* Forgets all keys, keeps the memory. */
void tt_table_clear(struct tt_table *table);
/* The slot of `key`, added with zeros when new; NULL when memory is short. Valid until the next
 * call that adds. */
struct tt_slot *tt_table_at(struct tt_table *table, uint64_t key);
/* The slot of `key`, or NULL when it is not there. */
const struct tt_slot *tt_table_find(const struct tt_table *table, uint64_t key);

/* Mixes one more word into a hash (the finaliser of SplitMix64 over the sum; Steele, Lea & Flood
 * 2014). Begin with any constant. */
static inline uint64_t tt_mix(uint64_t hash, uint64_t word) {
  uint64_t x = hash + 0x9e3779b97f4a7c15u + word * 0xd6e8feb86659fd93u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

/* Jensen-Shannon divergence in bits (0: equal, 1: disjoint) of the two normalised counts over n
 * cells; stride: distance between cells in elements. An empty side against a non-empty one: 1; both
 * empty: 0. Lin 1991. */
double tt_jsd(const uint64_t *a, const uint64_t *b, size_t n, size_t stride);
/* The same over the table's v[0] and v[1]. */
double tt_table_jsd(const struct tt_table *table);

#endif
