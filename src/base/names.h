/* A dictionary of names: id 0, 1, 2, ... in order of first appearance. Ids never change. */
#ifndef BASE_NAMES_H
#define BASE_NAMES_H

#include <stddef.h>
#include <stdint.h>

#define TT_NAME_NONE UINT32_MAX

struct tt_names {
  char **names; /* [n] owned */
  size_t n, capacity;
  uint32_t *slots; /* open addressing: id + 1, 0 = empty */
  size_t n_slots;  /* a power of two, or 0 */
};

void tt_names_init(struct tt_names *names);
void tt_names_release(struct tt_names *names);
/* The id of `name`, adding it when new; TT_NAME_NONE when memory is short. */
uint32_t tt_names_add(struct tt_names *names, const char *name);
/* The id of `name`, or TT_NAME_NONE when it is not there. */
uint32_t tt_names_find(const struct tt_names *names, const char *name);

#endif
