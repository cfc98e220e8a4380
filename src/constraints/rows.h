/* The rows that constraints are mined from or checked on: a dataset's columns, and where
 * neighbours must not be taken as neighbours (lost events, borders between sources). Plain columns
 * do as well, so that every algorithm here runs without a dataset on disk. */
#ifndef CONSTRAINTS_ROWS_H
#define CONSTRAINTS_ROWS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "dataset/dataset.h"

struct tt_span {
  size_t first, last; /* inclusive */
};

struct tt_rows {
  struct tt_columns columns;
  const struct tt_dataset *dataset; /* NULL: plain columns */
  struct tt_span
      *cuts; /* [n_cuts] ascending, disjoint: the pair (i - 1, i) is cut for i in a span */
  size_t n_cuts;
  size_t n_cpus; /* highest CPU number + 1 */
};

/* Borrows the dataset; release with tt_rows_release. */
enum tt_status tt_rows_of(const struct tt_dataset *dataset, struct tt_rows *ret);
/* Plain columns with lost-event gaps ([n_gaps], any order) that cut merged and CPU pairs alike. */
enum tt_status tt_rows_plain(const struct tt_columns *columns, const struct tt_gap *gaps,
                             size_t n_gaps, struct tt_rows *ret);
void tt_rows_release(struct tt_rows *rows);
/* Rows a < b follow each other on one CPU: is the pair cut? */
bool tt_rows_cpu_cut(const struct tt_rows *rows, size_t a, size_t b);

/* A streaming pass has seen these rows (dataset.h: tt_dataset_done_with). */
static inline void tt_rows_done_with(const struct tt_rows *rows, size_t first, size_t n) {
  if (rows->dataset)
    tt_dataset_done_with(rows->dataset, first, n);
}

/* Asks for ascending rows whether (i - 1, i) is cut; i >= 1. Start with zero. */
static inline bool tt_rows_cut(const struct tt_rows *rows, size_t i, size_t *cursor) {
  while (*cursor < rows->n_cuts && rows->cuts[*cursor].last < i)
    ++*cursor;
  return *cursor < rows->n_cuts && rows->cuts[*cursor].first <= i;
}

#endif
