#include "generators/map.h"

#include "base/mem.h"
#include "base/status.h"

static void insert(struct tt_map_slot *slots, size_t n_slots, uint64_t key, uint32_t value) {
  size_t i = tt_mix(key) & (n_slots - 1);
  while (slots[i].value != TT_MAP_NONE) {
    TT_ASSERT(slots[i].key != key);
    i = (i + 1) & (n_slots - 1);
  }
  slots[i] = (struct tt_map_slot){key, value};
}

int tt_map_put(struct tt_map *map, uint64_t key, uint32_t value) {
  TT_ASSERT(value != TT_MAP_NONE);
  if (2 * (map->n + 1) > map->n_slots) {
    size_t n_slots = map->n_slots ? 2 * map->n_slots : 64;
    struct tt_map_slot *slots = tt_alloc(n_slots, sizeof *slots);
    if (!slots)
      return -1;
    for (size_t i = 0; i < n_slots; i++)
      slots[i].value = TT_MAP_NONE;
    for (size_t i = 0; i < map->n_slots; i++)
      if (map->slots[i].value != TT_MAP_NONE)
        insert(slots, n_slots, map->slots[i].key, map->slots[i].value);
    tt_free(map->slots);
    map->slots = slots;
    map->n_slots = n_slots;
  }
  insert(map->slots, map->n_slots, key, value);
  map->n++;
  return 0;
}

void tt_map_release(struct tt_map *map) {
  tt_free(map->slots);
  *map = (struct tt_map){0};
}
