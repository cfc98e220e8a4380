#include "generators/tally.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static size_t slot_of(const struct tt_tally_entry *slots, size_t n_slots, uint64_t key,
                      int64_t value) {
  size_t i = tt_mix(key * 0x9e3779b97f4a7c15u + (uint64_t)value) & (n_slots - 1);
  while (slots[i].count && (slots[i].key != key || slots[i].value != value))
    i = (i + 1) & (n_slots - 1);
  return i;
}

enum tt_status tt_tally_add(struct tt_tally *tally, uint64_t key, int64_t value) {
  TT_ASSERT(!tally->keys);
  if (2 * (tally->n_pairs + 1) > tally->n_slots) {
    size_t n_slots = tally->n_slots ? 2 * tally->n_slots : 256;
    struct tt_tally_entry *slots = tt_calloc(n_slots, sizeof *slots);
    if (!slots)
      return tt_fail(TT_NO_MEMORY, "counting %zu pairs", tally->n_pairs);
    for (size_t i = 0; i < tally->n_slots; i++)
      if (tally->slots[i].count)
        slots[slot_of(slots, n_slots, tally->slots[i].key, tally->slots[i].value)] =
            tally->slots[i];
    tt_free(tally->slots);
    tally->slots = slots;
    tally->n_slots = n_slots;
  }
  struct tt_tally_entry *entry = &tally->slots[slot_of(tally->slots, tally->n_slots, key, value)];
  if (entry->count == 0) {
    if (tally->max_pairs && tally->n_pairs == tally->max_pairs) {
      tally->dropped++;
      return TT_OK;
    }
    entry->key = key;
    entry->value = value;
    tally->n_pairs++;
  }
  entry->count++;
  return TT_OK;
}

static int compare_entries(const void *left, const void *right) {
  const struct tt_tally_entry *a = left, *b = right;
  if (a->key != b->key)
    return a->key < b->key ? -1 : 1;
  if (a->count != b->count)
    return a->count > b->count ? -1 : 1;
  return a->value < b->value ? -1 : a->value > b->value;
}

static enum tt_status build_index(struct tt_tally *tally) {
  if (tally->n_rows >= TT_MAP_NONE)
    return tt_fail(TT_BAD_INPUT, "%zu rows of counts are too many", tally->n_rows);
  for (size_t row = 0; row < tally->n_rows; row++)
    if (tt_map_put(&tally->index, tally->keys[row], (uint32_t)row) != 0)
      return tt_fail(TT_NO_MEMORY, "indexing %zu rows of counts", tally->n_rows);
  return TT_OK;
}

static enum tt_status allocate(struct tt_tally *tally) {
  tally->keys = tt_alloc(tally->n_rows, sizeof *tally->keys);
  tally->first = tt_alloc(tally->n_rows + 1, sizeof *tally->first);
  tally->values = tt_alloc(tally->n_pairs, sizeof *tally->values);
  tally->upto = tt_alloc(tally->n_pairs, sizeof *tally->upto);
  if (!tally->keys || !tally->first || !tally->values || !tally->upto)
    return tt_fail(TT_NO_MEMORY, "packing %zu counts", tally->n_pairs);
  return TT_OK;
}

enum tt_status tt_tally_finish(struct tt_tally *tally) {
  TT_ASSERT(!tally->keys);
  /* in place: the used slots to the front, sorted */
  struct tt_tally_entry *entries = tally->slots;
  size_t n = 0;
  for (size_t i = 0; i < tally->n_slots; i++)
    if (entries[i].count)
      entries[n++] = entries[i];
  TT_ASSERT(n == tally->n_pairs);
  if (n > 0)
    qsort(entries, n, sizeof *entries, compare_entries);
  for (size_t i = 0; i < n; i++)
    tally->n_rows += i == 0 || entries[i].key != entries[i - 1].key;
  enum tt_status status = allocate(tally);
  if (status != TT_OK)
    return status;
  size_t row = 0;
  for (size_t i = 0; i < n; i++) {
    bool opens = i == 0 || entries[i].key != entries[i - 1].key;
    if (opens) {
      tally->keys[row] = entries[i].key;
      tally->first[row++] = i;
    }
    tally->values[i] = entries[i].value;
    tally->upto[i] = entries[i].count + (opens ? 0 : tally->upto[i - 1]);
  }
  tally->first[row] = n;
  tt_free(tally->slots);
  tally->slots = NULL;
  tally->n_slots = 0;
  return build_index(tally);
}

enum tt_status tt_tally_from_arrays(const int64_t *keys, const int64_t *first, size_t n_rows,
                                    const int64_t *values, const int64_t *upto, size_t n_pairs,
                                    struct tt_tally *ret) {
  struct tt_tally tally = {.n_rows = n_rows, .n_pairs = n_pairs};
  enum tt_status status = allocate(&tally);
  if (status != TT_OK)
    goto failed;
  if (first[0] != 0 || first[n_rows] < 0 || (uint64_t)first[n_rows] != n_pairs) {
    status = tt_fail(TT_BAD_INPUT, "rows of counts don't cover the %zu pairs", n_pairs);
    goto failed;
  }
  for (size_t row = 0; row < n_rows; row++)
    if (first[row + 1] <= first[row] || (uint64_t)first[row + 1] > n_pairs ||
        (row > 0 && (uint64_t)keys[row] <= (uint64_t)keys[row - 1])) {
      status = tt_fail(TT_BAD_INPUT, "row %zu of the counts is empty or out of order", row);
      goto failed;
    }
  for (size_t row = 0; row < n_rows; row++)
    for (int64_t i = first[row]; i < first[row + 1]; i++)
      if (upto[i] <= (i > first[row] ? upto[i - 1] : 0)) {
        status = tt_fail(TT_BAD_INPUT, "count %lld isn't positive", (long long)i);
        goto failed;
      }
  memcpy(tally.keys, keys, n_rows * sizeof *keys);
  memcpy(tally.first, first, (n_rows + 1) * sizeof *first);
  memcpy(tally.values, values, n_pairs * sizeof *values);
  memcpy(tally.upto, upto, n_pairs * sizeof *upto);
  status = build_index(&tally);
  if (status != TT_OK)
    goto failed;
  *ret = tally;
  return TT_OK;
failed:
  tt_tally_release(&tally);
  return status;
}

void tt_tally_release(struct tt_tally *tally) {
  tt_free(tally->slots);
  tt_free(tally->keys);
  tt_free(tally->first);
  tt_free(tally->values);
  tt_free(tally->upto);
  tt_map_release(&tally->index);
  *tally = (struct tt_tally){0};
}

uint64_t tt_tally_count(const struct tt_tally_row *row, int64_t value) {
  for (size_t i = 0; i < row->n; i++)
    if (row->values[i] == value)
      return tt_tally_at(row, i);
  return 0;
}

/* The value at observation `at` < total: rows are short or skewed, so mostly a step or two. */
static int64_t value_at(const struct tt_tally_row *row, uint64_t at) {
  size_t low = 0, high = row->n - 1;
  for (; low < high && low < 8; low++)
    if (at < row->upto[low])
      return row->values[low];
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (at < row->upto[middle])
      high = middle;
    else
      low = middle + 1;
  }
  return row->values[low];
}

int64_t tt_tally_draw(const struct tt_tally_row *row, struct tt_rng *rng) {
  uint64_t total = tt_tally_total(row);
  return value_at(row, row->n == 1 ? 0 : tt_rng_below(rng, total));
}

/* The last row that isn't empty, where backing off ends; n: there is none. */
static size_t last_row(const struct tt_tally_row *rows, size_t n) {
  while (n > 0 && rows[n - 1].n == 0)
    n--;
  return n - 1;
}

bool tt_backoff_draw(const struct tt_tally_row *rows, size_t n, struct tt_rng *rng, int64_t *ret) {
  const size_t last = last_row(rows, n);
  if (last == SIZE_MAX)
    return false;
  for (size_t i = 0; i < last; i++) {
    uint64_t total = tt_tally_total(&rows[i]);
    uint64_t at = rows[i].n ? tt_rng_below(rng, total + rows[i].n) : total;
    if (at < total) {
      *ret = value_at(&rows[i], at);
      return true;
    }
  }
  *ret = tt_tally_draw(&rows[last], rng);
  return true;
}

bool tt_backoff_draw_weighted(const struct tt_tally_row *rows, size_t n, const float *weights,
                              struct tt_rng *rng, int64_t *ret) {
  const size_t last = last_row(rows, n);
  if (last == SIZE_MAX)
    return false;
  double at = INFINITY;
  for (int pass = 0; pass < 2; pass++) { /* the sum, then the value where it passes `at` */
    double keep = 1, so_far = 0;         /* keep: the chance that no row before was drawn from */
    for (size_t i = 0; i <= last; i++) {
      if (rows[i].n == 0)
        continue;
      const double escape = i < last ? (double)rows[i].n : 0;
      const double share = keep / ((double)tt_tally_total(&rows[i]) + escape);
      for (size_t k = 0; k < rows[i].n; k++) {
        so_far += share * (double)tt_tally_at(&rows[i], k) * (double)weights[rows[i].values[k]];
        *ret = rows[i].values[k];
        if (so_far > at)
          return true;
      }
      keep = share * escape;
    }
    if (pass == 0)
      at = tt_rng_uniform(rng) * so_far;
  }
  return true; /* rounding: the last value */
}

double tt_backoff_probability(const struct tt_tally_row *rows, size_t n, int64_t value,
                              bool leave_out, double floor) {
  double p = floor;
  for (size_t i = n; i-- > 0;) {
    uint64_t count = rows[i].n ? tt_tally_count(&rows[i], value) : 0;
    uint64_t total = tt_tally_total(&rows[i]), distinct = rows[i].n;
    if (leave_out && count > 0) {
      distinct -= count == 1;
      count--;
      total--;
    }
    if (total > 0)
      p = ((double)count + (double)distinct * p) / (double)(total + distinct);
  }
  return p;
}
