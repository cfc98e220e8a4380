#include "dataset/counts.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"

static size_t slot_of(const struct tt_counts *c, uint64_t key) { /* splitmix64's finaliser */
  uint64_t h = key;
  h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9u;
  h = (h ^ (h >> 27)) * 0x94d049bb133111ebu;
  size_t i = (h ^ (h >> 31)) & (c->n_slots - 1);
  while (c->counts[i] && c->keys[i] != key)
    i = (i + 1) & (c->n_slots - 1);
  return i;
}

int tt_counts_init(struct tt_counts *ret, size_t limit) {
  TT_ASSERT(limit >= 2);
  struct tt_counts c = {.n_slots = 1024, .limit = limit};
  c.keys = tt_alloc(c.n_slots, sizeof *c.keys);
  c.counts = tt_calloc(c.n_slots, sizeof *c.counts);
  if (!c.keys || !c.counts) {
    tt_counts_release(&c);
    return -1;
  }
  *ret = c;
  return 0;
}

void tt_counts_release(struct tt_counts *counts) {
  tt_free(counts->keys);
  tt_free(counts->counts);
  memset(counts, 0, sizeof *counts);
}

/* A new table of n_slots with what is left of each count above `less`. */
static int rebuild(struct tt_counts *c, size_t n_slots, uint64_t less) {
  struct tt_counts to = {.n_slots = n_slots, .limit = c->limit, .error = c->error + less};
  to.keys = tt_alloc(n_slots, sizeof *to.keys);
  to.counts = tt_calloc(n_slots, sizeof *to.counts);
  if (!to.keys || !to.counts) {
    tt_counts_release(&to);
    return -1;
  }
  for (size_t i = 0; i < c->n_slots; i++)
    if (c->counts[i] > less) {
      size_t slot = slot_of(&to, c->keys[i]);
      to.keys[slot] = c->keys[i];
      to.counts[slot] = c->counts[i] - less;
      to.n++;
    }
  tt_counts_release(c);
  *c = to;
  return 0;
}

static int ascending(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

static int prune(struct tt_counts *c) {
  uint64_t *sorted = tt_alloc(c->n, sizeof *sorted);
  if (!sorted)
    return -1;
  size_t n = 0;
  for (size_t i = 0; i < c->n_slots; i++)
    if (c->counts[i])
      sorted[n++] = c->counts[i];
  qsort(sorted, n, sizeof *sorted, ascending);
  uint64_t median = sorted[n / 2];
  tt_free(sorted);
  return rebuild(c, c->n_slots, median);
}

int tt_counts_add(struct tt_counts *c, uint64_t key, uint64_t count) {
  size_t i = slot_of(c, key);
  if (c->counts[i] == 0) {
    if (c->n == c->limit ? prune(c) : 2 * (c->n + 1) > c->n_slots && rebuild(c, 2 * c->n_slots, 0))
      return -1;
    i = slot_of(c, key);
    c->keys[i] = key;
    c->n++;
  }
  c->counts[i] += count;
  return 0;
}
