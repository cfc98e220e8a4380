/* A hash map from 64-bit keys to 32-bit numbers: open addressing, linear probing, no removal. */
#ifndef GENERATORS_MAP_H
#define GENERATORS_MAP_H

#include <stddef.h>
#include <stdint.h>

#define TT_MAP_NONE UINT32_MAX /* no such key; never a value */

struct tt_map_slot {
  uint64_t key;
  uint32_t value; /* TT_MAP_NONE: empty */
};

struct tt_map { /* zeroed: empty */
  struct tt_map_slot *slots;
  size_t n_slots; /* a power of two, or 0 */
  size_t n;
};

/* Spreads the bits of a key (the finaliser of MurmurHash3, public domain). */
static inline uint64_t tt_mix(uint64_t x) {
  x ^= x >> 33;
  x *= 0xff51afd7ed558ccdu;
  x ^= x >> 33;
  x *= 0xc4ceb9fe1a85ec53u;
  return x ^ x >> 33;
}

static inline uint32_t tt_map_get(const struct tt_map *map, uint64_t key) {
  if (map->n_slots == 0)
    return TT_MAP_NONE;
  for (size_t i = tt_mix(key);; i++) {
    const struct tt_map_slot *slot = &map->slots[i & (map->n_slots - 1)];
    if (slot->value == TT_MAP_NONE || slot->key == key)
      return slot->value;
  }
}

/* Sets a key that isn't there yet. Returns 0, or -1 when memory is short (the map is unchanged). */
int tt_map_put(struct tt_map *map, uint64_t key, uint32_t value);
void tt_map_release(struct tt_map *map); /* leaves it empty */

#endif
