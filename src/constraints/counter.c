#include "constraints/counter.h"

#include "base/mem.h"

void tt_counter_release(struct tt_counter *counter) {
  tt_free(counter->slots);
  *counter = (struct tt_counter){0};
}

static int rebuild(struct tt_counter *counter, unsigned bits, uint64_t above) {
  struct tt_counter next = {.bits = bits};
  next.slots = tt_alloc((size_t)1 << bits, sizeof *next.slots);
  if (!next.slots)
    return -1;
  for (size_t i = 0; i < (size_t)1 << bits; i++)
    next.slots[i] = (struct tt_counter_slot){TT_COUNTER_EMPTY, 0};
  for (size_t i = 0; counter->slots && i < (size_t)1 << counter->bits; i++)
    if (counter->slots[i].key != TT_COUNTER_EMPTY && counter->slots[i].count > above)
      tt_counter_add(&next, counter->slots[i].key, counter->slots[i].count);
  tt_free(counter->slots);
  *counter = next;
  return 0;
}

int tt_counter_grow(struct tt_counter *counter) {
  return rebuild(counter, counter->bits ? counter->bits + 1 : 8, 0);
}

int tt_counter_merge(struct tt_counter *counter, const struct tt_counter *from) {
  for (size_t i = 0; from->slots && i < (size_t)1 << from->bits; i++)
    if (from->slots[i].key != TT_COUNTER_EMPTY &&
        tt_counter_add(counter, from->slots[i].key, from->slots[i].count))
      return -1;
  return 0;
}

int tt_counter_prune(struct tt_counter *counter, size_t keep) {
  uint64_t above = 0;
  for (size_t left = counter->n; left > keep;) {
    above = 2 * above + 1;
    left = 0;
    for (size_t i = 0; i < (size_t)1 << counter->bits; i++)
      left += counter->slots[i].key != TT_COUNTER_EMPTY && counter->slots[i].count > above;
  }
  return above ? rebuild(counter, counter->bits, above) : 0;
}
