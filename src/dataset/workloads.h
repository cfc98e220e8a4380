/* The workloads of a dataset: its rows by the labels of the sources that they came from.
 *
 * Thread safety: immutable once found. */
#ifndef DATASET_WORKLOADS_H
#define DATASET_WORKLOADS_H

#include <stdint.h>

#include "base/names.h"
#include "base/status.h"
#include "dataset/dataset.h"

struct tt_workload_range { /* rows [first, end) */
  uint64_t first, end;
  uint32_t label;
};

struct tt_workloads {
  struct tt_names labels; /* of rows, in order of first appearance; "": those without a label */
  uint64_t *events;       /* [labels.n] rows of each, not 0 */
  struct tt_workload_range *ranges; /* [n_ranges] ascending, next to each other: all rows */
  size_t n_ranges;
};

/* A source's rows reach to where the next one begins: nothing is learned across that border, and so
 * never across labels. Release with tt_workloads_release, which accepts zeroed ones. */
enum tt_status tt_workloads_find(const struct tt_dataset *dataset, struct tt_workloads *ret);
void tt_workloads_release(struct tt_workloads *workloads);
/* The label of a row. O(log ranges). */
uint32_t tt_workloads_at(const struct tt_workloads *workloads, uint64_t row);

/* Rows that a pass goes through, ascending. */
struct tt_row_set {
  struct tt_row_range {
    uint64_t first, end;
  } * list; /* [n] none is empty */
  size_t n;
  uint64_t events; /* in all */
};
/* Those of one label (NULL: all of them); none where the dataset doesn't have it. Release with
 * tt_row_set_release. */
enum tt_status tt_row_set_of(const struct tt_dataset *dataset, const char *label,
                             struct tt_row_set *ret);
void tt_row_set_release(struct tt_row_set *rows);
/* for (uint64_t i = tt_row_set_first(rows, &at); i != TT_ROW_NONE; i = tt_row_set_after(rows, &at,
 * i)) */
#define TT_ROW_NONE UINT64_MAX
static inline uint64_t tt_row_set_first(const struct tt_row_set *rows, size_t *at) {
  *at = 0;
  return rows->n ? rows->list[0].first : TT_ROW_NONE;
}
static inline uint64_t tt_row_set_after(const struct tt_row_set *rows, size_t *at, uint64_t row) {
  if (row + 1 < rows->list[*at].end)
    return row + 1;
  return ++*at < rows->n ? rows->list[*at].first : TT_ROW_NONE;
}

#endif
