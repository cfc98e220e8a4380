#include "constraints/relation.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void tt_relation_release(struct tt_relation *relation) {
  tt_free(relation->start);
  tt_free(relation->column);
  tt_free(relation->count);
  tt_free(relation->total);
  tt_free(relation->bits);
  memset(relation, 0, sizeof *relation);
}

static int by_place(const void *a, const void *b) {
  const struct tt_relation_entry *x = a, *y = b;
  if (x->row != y->row)
    return x->row < y->row ? -1 : 1;
  return (x->column > y->column) - (x->column < y->column);
}

enum tt_status tt_relation_build(struct tt_relation_entry *entries, size_t n, size_t rows,
                                 size_t columns, struct tt_relation *ret) {
  struct tt_relation r = {.rows = rows, .columns = columns, .words = (columns + 63) / 64};
  r.start = tt_calloc(rows + 1, sizeof *r.start);
  r.column = tt_alloc(n, sizeof *r.column);
  r.count = tt_alloc(n, sizeof *r.count);
  r.total = tt_calloc(rows, sizeof *r.total);
  r.bits = rows && r.words > SIZE_MAX / rows ? NULL : tt_calloc(rows * r.words, sizeof *r.bits);
  if (!r.start || !r.column || !r.count || !r.total || !r.bits) {
    tt_relation_release(&r);
    return tt_fail(TT_NO_MEMORY, "out of memory for a relation of %zu x %zu", rows, columns);
  }
  if (n)
    qsort(entries, n, sizeof *entries, by_place);
  for (size_t i = 0; i < n; i++) {
    const struct tt_relation_entry *e = &entries[i];
    TT_ASSERT(e->row < rows && e->column < columns && e->count > 0);
    r.start[e->row + 1]++;
    r.column[i] = e->column;
    r.count[i] = e->count;
    r.total[e->row] += e->count;
    r.bits[e->row * r.words + e->column / 64] |= (uint64_t)1 << (e->column % 64);
  }
  for (size_t row = 0; row < rows; row++)
    r.start[row + 1] += r.start[row];
  *ret = r;
  return TT_OK;
}

size_t tt_relation_find(const struct tt_relation *relation, size_t row, size_t column) {
  if (!tt_relation_has(relation, row, column))
    return TT_ENTRY_NONE;
  size_t low = relation->start[row], high = relation->start[row + 1];
  while (high - low > 1) {
    size_t middle = low + (high - low) / 2;
    if (relation->column[middle] <= column)
      low = middle;
    else
      high = middle;
  }
  return low;
}

uint64_t tt_relation_count(const struct tt_relation *relation, size_t row, size_t column) {
  size_t entry = tt_relation_find(relation, row, column);
  return entry == TT_ENTRY_NONE ? 0 : relation->count[entry];
}

uint32_t tt_relation_draw(const struct tt_relation *relation, size_t row, struct tt_rng *rng) {
  if (relation->total[row] == 0)
    return TT_COLUMN_NONE;
  uint64_t at = tt_rng_below(rng, relation->total[row]);
  size_t i = relation->start[row];
  while (at >= relation->count[i])
    at -= relation->count[i++];
  return relation->column[i];
}
