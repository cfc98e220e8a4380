#include "base/names.h"

#include <string.h>

#include "base/mem.h"

static uint64_t hash(const char *text) { /* FNV-1a */
  uint64_t h = 0xcbf29ce484222325u;
  for (; *text; text++)
    h = (h ^ (unsigned char)*text) * 0x100000001b3u;
  return h;
}

/* The slot where `name` is, or the empty one where it belongs. */
static size_t find_slot(const struct tt_names *names, const char *name) {
  size_t i = hash(name) & (names->n_slots - 1);
  while (names->slots[i] && strcmp(names->names[names->slots[i] - 1], name) != 0)
    i = (i + 1) & (names->n_slots - 1);
  return i;
}

static int rehash(struct tt_names *names, size_t n_slots) {
  uint32_t *slots = tt_calloc(n_slots, sizeof *slots);
  if (!slots)
    return -1;
  tt_free(names->slots);
  names->slots = slots;
  names->n_slots = n_slots;
  for (size_t id = 0; id < names->n; id++)
    slots[find_slot(names, names->names[id])] = (uint32_t)id + 1;
  return 0;
}

void tt_names_init(struct tt_names *names) {
  memset(names, 0, sizeof *names);
}

void tt_names_release(struct tt_names *names) {
  for (size_t i = 0; i < names->n; i++)
    tt_free(names->names[i]);
  tt_free(names->names);
  tt_free(names->slots);
  tt_names_init(names);
}

uint32_t tt_names_find(const struct tt_names *names, const char *name) {
  if (!names->n_slots)
    return TT_NAME_NONE;
  uint32_t found = names->slots[find_slot(names, name)];
  return found ? found - 1 : TT_NAME_NONE;
}

uint32_t tt_names_add(struct tt_names *names, const char *name) {
  uint32_t id = tt_names_find(names, name);
  if (id != TT_NAME_NONE)
    return id;
  if (names->n >= TT_NAME_NONE - 1 ||
      tt_grow(&names->names, &names->capacity, names->n + 1, sizeof *names->names))
    return TT_NAME_NONE;
  if (2 * (names->n + 1) > names->n_slots &&
      rehash(names, names->n_slots ? 2 * names->n_slots : 64))
    return TT_NAME_NONE;
  char *copy = tt_strdup(name);
  if (!copy)
    return TT_NAME_NONE;
  names->names[names->n] = copy;
  names->slots[find_slot(names, name)] = (uint32_t)names->n + 1;
  return (uint32_t)names->n++;
}
