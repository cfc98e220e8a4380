#include "constraints/rows.h"

#include <stdlib.h>

#include "base/mem.h"

void tt_rows_release(struct tt_rows *rows) {
  tt_free(rows->cuts);
  *rows = (struct tt_rows){0};
}

static int by_first(const void *a, const void *b) {
  const struct tt_span *x = a, *y = b;
  return (x->first > y->first) - (x->first < y->first);
}

/* The first row with ts >= t. */
static size_t lower_bound(const struct tt_columns *columns, int64_t t) {
  size_t low = 0, high = columns->n;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (columns->ts[middle] < t)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

/* A gap [begin, end] cuts (i - 1, i) when it touches [ts(i - 1), ts(i)]: from the first row at or
 * after its begin to the first one after its end. */
static enum tt_status find_cuts(struct tt_rows *rows, const struct tt_gap *gaps, size_t n_gaps,
                                const struct tt_source *sources, size_t n_sources) {
  const struct tt_columns *columns = &rows->columns;
  struct tt_span *spans = tt_alloc(n_gaps + n_sources, sizeof *spans);
  if (!spans)
    return tt_fail(TT_NO_MEMORY, "out of memory");
  size_t n = 0, kept = 0;
  for (size_t g = 0; g < n_gaps; g++) {
    size_t first = lower_bound(columns, gaps[g].begin);
    size_t last = gaps[g].end == INT64_MAX ? columns->n : lower_bound(columns, gaps[g].end + 1);
    if (first == 0)
      first = 1;
    if (last >= columns->n)
      last = columns->n ? columns->n - 1 : 0;
    if (first <= last)
      spans[n++] = (struct tt_span){first, last};
  }
  for (size_t s = 0; s < n_sources; s++)
    if (sources[s].events && sources[s].first > 0 && sources[s].first < columns->n)
      spans[n++] = (struct tt_span){sources[s].first, sources[s].first};
  if (n)
    qsort(spans, n, sizeof *spans, by_first);
  for (size_t i = 0; i < n; i++) {
    if (kept && spans[i].first <= spans[kept - 1].last + 1) {
      if (spans[i].last > spans[kept - 1].last)
        spans[kept - 1].last = spans[i].last;
    } else {
      spans[kept++] = spans[i];
    }
  }
  rows->cuts = spans;
  rows->n_cuts = kept;
  return TT_OK;
}

enum tt_status tt_rows_of(const struct tt_dataset *dataset, struct tt_rows *ret) {
  const struct tt_dataset_meta *meta = tt_dataset_meta(dataset);
  struct tt_rows rows = {.columns = *tt_dataset_columns(dataset), .dataset = dataset};
  rows.n_cpus = tt_dataset_cpu_limit(dataset);
  enum tt_status status =
      find_cuts(&rows, meta->gaps, meta->n_gaps, meta->sources, meta->n_sources);
  if (status == TT_OK)
    *ret = rows;
  return status;
}

enum tt_status tt_rows_plain(const struct tt_columns *columns, const struct tt_gap *gaps,
                             size_t n_gaps, struct tt_rows *ret) {
  struct tt_rows rows = {.columns = *columns};
  for (size_t i = 0; i < columns->n; i++)
    rows.n_cpus = columns->cpu[i] >= rows.n_cpus ? columns->cpu[i] + (size_t)1 : rows.n_cpus;
  enum tt_status status = find_cuts(&rows, gaps, n_gaps, NULL, 0);
  if (status == TT_OK)
    *ret = rows;
  return status;
}

bool tt_rows_cpu_cut(const struct tt_rows *rows, size_t a, size_t b) {
  if (rows->dataset)
    return tt_dataset_gap_between(rows->dataset, a, b);
  size_t low = 0, high = rows->n_cuts; /* the first span that ends above a */
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (rows->cuts[middle].last <= a)
      low = middle + 1;
    else
      high = middle;
  }
  return low < rows->n_cuts && rows->cuts[low].first <= b;
}
