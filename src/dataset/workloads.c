#include "dataset/workloads.h"

#include <stdlib.h>

#include "base/mem.h"

void tt_workloads_release(struct tt_workloads *workloads) {
  tt_names_release(&workloads->labels);
  tt_free(workloads->events);
  tt_free(workloads->ranges);
  *workloads = (struct tt_workloads){0};
}

/* By first row, then in the order of the list. */
static int earlier(const void *a, const void *b) {
  const struct tt_source *x = *(const struct tt_source *const *)a;
  const struct tt_source *y = *(const struct tt_source *const *)b;
  return x->first != y->first ? (x->first > y->first) - (x->first < y->first) : (x > y) - (x < y);
}

/* From `first` on rows have this label, unless another source begins. */
static enum tt_status begin_range(struct tt_workloads *w, uint64_t first, const char *label) {
  const uint32_t id = tt_names_add(&w->labels, label);
  if (id == TT_NAME_NONE)
    return tt_fail(TT_NO_MEMORY, "the sources' labels");
  if (w->n_ranges == 0 || w->ranges[w->n_ranges - 1].label != id)
    w->ranges[w->n_ranges++] = (struct tt_workload_range){.first = first, .label = id};
  return TT_OK;
}

enum tt_status tt_workloads_find(const struct tt_dataset *dataset, struct tt_workloads *ret) {
  const struct tt_dataset_meta *meta = tt_dataset_meta(dataset);
  const uint64_t rows = tt_dataset_columns(dataset)->n;
  struct tt_workloads w = {0};
  const struct tt_source **sources = tt_alloc(meta->n_sources, sizeof *sources);
  size_t n = 0;
  tt_names_init(&w.labels);
  w.ranges = tt_alloc(meta->n_sources + 1, sizeof *w.ranges);
  enum tt_status status =
      sources && w.ranges ? TT_OK : tt_fail(TT_NO_MEMORY, "the sources' labels");
  for (size_t i = 0; status == TT_OK && i < meta->n_sources; i++)
    if (meta->sources[i].events > 0 && meta->sources[i].first < rows)
      sources[n++] = &meta->sources[i];
  if (n > 0)
    qsort(sources, n, sizeof *sources, earlier);
  if (status == TT_OK && rows > 0 && (n == 0 || sources[0]->first > 0))
    status = begin_range(&w, 0, "");
  for (size_t i = 0; status == TT_OK && i < n; i++)
    if (i + 1 == n || sources[i + 1]->first > sources[i]->first)
      status = begin_range(&w, sources[i]->first, sources[i]->label);
  tt_free(sources);
  w.events = tt_calloc(w.labels.n, sizeof *w.events);
  if (status == TT_OK && !w.events)
    status = tt_fail(TT_NO_MEMORY, "the sources' labels");
  if (status != TT_OK) {
    tt_workloads_release(&w);
    return status;
  }
  for (size_t i = 0; i < w.n_ranges; i++) {
    w.ranges[i].end = i + 1 < w.n_ranges ? w.ranges[i + 1].first : rows;
    w.events[w.ranges[i].label] += w.ranges[i].end - w.ranges[i].first;
  }
  *ret = w;
  return TT_OK;
}

uint32_t tt_workloads_at(const struct tt_workloads *workloads, uint64_t row) {
  size_t low = 0, high = workloads->n_ranges;
  while (high - low > 1) {
    const size_t middle = low + (high - low) / 2;
    if (workloads->ranges[middle].first <= row)
      low = middle;
    else
      high = middle;
  }
  return workloads->ranges[low].label;
}

enum tt_status tt_row_set_of(const struct tt_dataset *dataset, const char *label,
                             struct tt_row_set *ret) {
  struct tt_workloads workloads = {0};
  struct tt_row_set rows = {0};
  enum tt_status status = tt_workloads_find(dataset, &workloads);
  if (status != TT_OK)
    return status;
  const uint32_t wanted = label ? tt_names_find(&workloads.labels, label) : TT_NAME_NONE;
  rows.list = tt_alloc(workloads.n_ranges, sizeof *rows.list);
  if (!rows.list)
    status = tt_fail(TT_NO_MEMORY, "the rows of a label");
  for (size_t i = 0; i < workloads.n_ranges && status == TT_OK; i++) {
    const struct tt_workload_range *range = &workloads.ranges[i];
    if (label && range->label != wanted)
      continue;
    if (rows.n > 0 && rows.list[rows.n - 1].end == range->first)
      rows.list[rows.n - 1].end = range->end;
    else
      rows.list[rows.n++] = (struct tt_row_range){range->first, range->end};
    rows.events += range->end - range->first;
  }
  tt_workloads_release(&workloads);
  if (status == TT_OK)
    *ret = rows;
  return status;
}

void tt_row_set_release(struct tt_row_set *rows) {
  tt_free(rows->list);
  *rows = (struct tt_row_set){0};
}
