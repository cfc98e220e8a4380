/* A counted relation between event types (rows) and values (columns): which values were seen with
 * which event, and how often. Membership is one bit test, enumeration follows a sparse list. All
 * constraint sets (transitions, CPUs, threads, commands, return values) are relations. */
#ifndef CONSTRAINTS_RELATION_H
#define CONSTRAINTS_RELATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rng.h"
#include "base/status.h"

#define TT_COLUMN_NONE UINT32_MAX
#define TT_ENTRY_NONE SIZE_MAX

struct tt_relation {
  size_t rows, columns;
  size_t words;     /* 64-bit words of a row of `bits`: ceil(columns / 64) */
  size_t *start;    /* [rows + 1] row r's entries are start[r] .. start[r + 1] - 1 */
  uint32_t *column; /* [start[rows]] ascending within a row */
  uint64_t *count;  /* [start[rows]] > 0 */
  uint64_t *total;  /* [rows] sum of the row's counts */
  uint64_t *bits;   /* [rows, words] bit (column % 64) of word (column / 64) */
};

struct tt_relation_entry {
  uint32_t row, column;
  uint64_t count;
};

/* Builds from entries, which it sorts; entries are distinct, in range and have counts > 0. */
enum tt_status tt_relation_build(struct tt_relation_entry *entries, size_t n, size_t rows,
                                 size_t columns, struct tt_relation *ret);
void tt_relation_release(struct tt_relation *relation);

/* False for a column beyond the relation's. row < rows. */
static inline bool tt_relation_has(const struct tt_relation *relation, size_t row, size_t column) {
  return column < relation->columns &&
         (relation->bits[row * relation->words + column / 64] >> (column % 64) & 1);
}
/* The row's mask: [words], for masking a sampler's logits. */
static inline const uint64_t *tt_relation_mask(const struct tt_relation *relation, size_t row) {
  return relation->bits + row * relation->words;
}
static inline size_t tt_relation_degree(const struct tt_relation *relation, size_t row) {
  return relation->start[row + 1] - relation->start[row];
}
/* Where the entry of a row and a column stands in `column` and `count`, or TT_ENTRY_NONE. */
size_t tt_relation_find(const struct tt_relation *relation, size_t row, size_t column);
/* How often the pair was seen; 0: never. */
uint64_t tt_relation_count(const struct tt_relation *relation, size_t row, size_t column);
/* Draws a column of the row with probability count / total (exact integer arithmetic);
 * TT_COLUMN_NONE when the row is empty. */
uint32_t tt_relation_draw(const struct tt_relation *relation, size_t row, struct tt_rng *rng);

#endif
