#include "metrics/conditional.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "metrics/table.h"

#define KEYS ((size_t)1 << 16)

static double half_term(double p, double q) {
  return p > 0 ? 0.5 * p * log2(2 * p / (p + q)) : 0.0;
}

enum tt_status tt_conditional_jsd_categories(const struct tt_observation *reference,
                                             size_t n_reference,
                                             const struct tt_observation *candidate,
                                             size_t n_candidate, double *ret) {
  struct { /* per key: observations of each side, divergence */
    uint64_t n[2];
    double jsd;
  } *keys = tt_calloc(KEYS, sizeof *keys);
  struct tt_table table;
  tt_table_init(&table);
  enum tt_status status = TT_OK;
  if (!keys)
    goto no_memory;
  for (int side = 0; side < 2; side++) {
    const struct tt_observation *from = side ? candidate : reference;
    for (size_t i = 0; i < (side ? n_candidate : n_reference); i++) {
      TT_ASSERT(from[i].key < KEYS && from[i].value >= 0 && from[i].value < (int64_t)1 << 48);
      struct tt_slot *slot =
          tt_table_at(&table, (uint64_t)from[i].key << 48 | (uint64_t)from[i].value);
      if (!slot)
        goto no_memory;
      slot->v[side]++;
      keys[from[i].key].n[side]++;
    }
  }
  for (size_t i = 0; i < table.capacity; i++) {
    const struct tt_slot *slot = &table.slots[i];
    size_t key = (size_t)(slot->key >> 48);
    if (!slot->used || !keys[key].n[0] || !keys[key].n[1])
      continue;
    double p = (double)slot->v[0] / (double)keys[key].n[0];
    double q = (double)slot->v[1] / (double)keys[key].n[1];
    keys[key].jsd += half_term(p, q) + half_term(q, p);
  }
  double sum = 0;
  for (size_t key = 0; key < KEYS; key++) {
    if (!keys[key].n[0] && !keys[key].n[1])
      continue;
    double p = n_reference ? (double)keys[key].n[0] / (double)n_reference : 0.0;
    double q = n_candidate ? (double)keys[key].n[1] / (double)n_candidate : 0.0;
    double total = n_reference && n_candidate ? (p + q) / 2 : p + q;
    sum += total * (keys[key].n[0] && keys[key].n[1] ? keys[key].jsd : 1.0);
  }
  *ret = n_reference || n_candidate ? fmin(fmax(sum, 0.0), 1.0) : NAN;
  goto cleanup;
no_memory:
  status =
      tt_fail(TT_NO_MEMORY, "divergence of %zu and %zu observations", n_reference, n_candidate);
cleanup:
  tt_table_release(&table);
  tt_free(keys);
  return status;
}

static int by_key_and_value(const void *left, const void *right) {
  const struct tt_observation *a = left, *b = right;
  if (a->key != b->key)
    return a->key < b->key ? -1 : 1;
  return a->value < b->value ? -1 : a->value > b->value;
}

/* Cuts of one key: value v lies in bin = number of cuts <= v. Two cuts per quantile at most (v and
 * v + 1, where v fills it) and one above the maximum. */
struct cuts {
  size_t n;
  int64_t at[2 * TT_QUANTILE_BINS + 1];
};

static void make_cuts(const struct tt_observation *sorted, size_t n, struct cuts *ret) {
  size_t bins = n / 8 < 1 ? 1 : n / 8 < TT_QUANTILE_BINS ? n / 8 : TT_QUANTILE_BINS;
  ret->n = 0;
  for (size_t i = 1; i <= bins; i++) {
    bool last = i == bins;
    int64_t v = last ? sorted[n - 1].value : sorted[i * n / bins].value;
    int64_t top = ret->n ? ret->at[ret->n - 1] : INT64_MIN;
    if (!last && v > top)
      ret->at[ret->n++] = v;
    else if ((last || v == top) && v < INT64_MAX && v + 1 > top)
      ret->at[ret->n++] = v + 1;
  }
}

static int64_t bin_of(const struct cuts *cuts, int64_t value) {
  size_t low = 0, high = cuts->n;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (cuts->at[middle] <= value)
      low = middle + 1;
    else
      high = middle;
  }
  return (int64_t)low;
}

enum tt_status tt_conditional_jsd_numbers(const struct tt_observation *reference,
                                          size_t n_reference,
                                          const struct tt_observation *candidate,
                                          size_t n_candidate, double *ret) {
  enum tt_status status = TT_OK;
  struct tt_observation *a = tt_alloc(n_reference, sizeof *a);
  struct tt_observation *b = tt_alloc(n_candidate, sizeof *b);
  if (!a || !b) {
    status = tt_fail(TT_NO_MEMORY, "divergence of %zu and %zu numbers", n_reference, n_candidate);
    goto cleanup;
  }
  if (n_reference)
    memcpy(a, reference, n_reference * sizeof *a);
  if (n_candidate)
    memcpy(b, candidate, n_candidate * sizeof *b);
  qsort(a, n_reference, sizeof *a, by_key_and_value);
  qsort(b, n_candidate, sizeof *b, by_key_and_value);
  /* Replace values by bins, key by key, walking both sorted lists together; keys that the reference
   * lacks need no bins. */
  for (size_t i = 0, j = 0; i < n_reference;) {
    uint32_t key = a[i].key;
    size_t end = i;
    while (end < n_reference && a[end].key == key)
      end++;
    struct cuts cuts;
    make_cuts(a + i, end - i, &cuts);
    for (; i < end; i++)
      a[i].value = bin_of(&cuts, a[i].value);
    for (; j < n_candidate && b[j].key <= key; j++)
      b[j].value = b[j].key == key ? bin_of(&cuts, b[j].value) : 0;
    if (end == n_reference)
      for (; j < n_candidate; j++)
        b[j].value = 0;
  }
  if (n_reference == 0)
    for (size_t j = 0; j < n_candidate; j++)
      b[j].value = 0;
  status = tt_conditional_jsd_categories(a, n_reference, b, n_candidate, ret);
cleanup:
  tt_free(a);
  tt_free(b);
  return status;
}
