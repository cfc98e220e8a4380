#include "metrics/table.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

void tt_table_init(struct tt_table *table) {
  *table = (struct tt_table){0};
}

void tt_table_release(struct tt_table *table) {
  tt_free(table->slots);
  tt_table_init(table);
}

void tt_table_clear(struct tt_table *table) {
  if (table->n > 0)
    memset(table->slots, 0, table->capacity * sizeof *table->slots);
  table->n = 0;
}

/* Linear probing; the key is mixed again so that packed keys spread too. */
static struct tt_slot *probe(struct tt_slot *slots, size_t capacity, uint64_t key) {
  size_t i = (size_t)tt_mix(0, key) & (capacity - 1);
  while (slots[i].used && slots[i].key != key)
    i = (i + 1) & (capacity - 1);
  return &slots[i];
}

struct tt_slot *tt_table_at(struct tt_table *table, uint64_t key) {
  if (table->n * 10 >= table->capacity * 7) {
    size_t capacity = table->capacity ? table->capacity * 2 : 1024;
    struct tt_slot *slots = tt_calloc(capacity, sizeof *slots);
    if (!slots)
      return NULL;
    for (size_t i = 0; i < table->capacity; i++)
      if (table->slots[i].used)
        *probe(slots, capacity, table->slots[i].key) = table->slots[i];
    tt_free(table->slots);
    table->slots = slots;
    table->capacity = capacity;
  }
  struct tt_slot *slot = probe(table->slots, table->capacity, key);
  if (!slot->used) {
    *slot = (struct tt_slot){.key = key, .used = 1};
    table->n++;
  }
  return slot;
}

const struct tt_slot *tt_table_find(const struct tt_table *table, uint64_t key) {
  if (table->n == 0)
    return NULL;
  const struct tt_slot *slot = probe(table->slots, table->capacity, key);
  return slot->used ? slot : NULL;
}

double tt_jsd(const uint64_t *a, const uint64_t *b, size_t n, size_t stride) {
  double total_a = 0, total_b = 0, sum = 0;
  for (size_t i = 0; i < n; i++) {
    total_a += (double)a[i * stride];
    total_b += (double)b[i * stride];
  }
  if (!(total_a > 0) || !(total_b > 0))
    return total_a > 0 || total_b > 0 ? 1.0 : 0.0;
  for (size_t i = 0; i < n; i++) {
    double p = (double)a[i * stride] / total_a, q = (double)b[i * stride] / total_b;
    if (p > 0)
      sum += 0.5 * p * log2(2 * p / (p + q));
    if (q > 0)
      sum += 0.5 * q * log2(2 * q / (p + q));
  }
  return fmin(fmax(sum, 0.0), 1.0); /* rounding only */
}

double tt_table_jsd(const struct tt_table *table) {
  if (table->n == 0)
    return 0.0;
  return tt_jsd(&table->slots[0].v[0], &table->slots[0].v[1], table->capacity,
                sizeof *table->slots / sizeof(uint64_t));
}
