#include "dataset/cuts.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static int index_init(struct tt_gap_index *gaps, size_t capacity) {
  gaps->begin = tt_alloc(capacity, sizeof *gaps->begin);
  gaps->reach = tt_alloc(capacity, sizeof *gaps->reach);
  return gaps->begin && gaps->reach ? 0 : -1;
}

static void index_add(struct tt_gap_index *gaps, const struct tt_gap *gap) {
  int64_t reach = gaps->n ? gaps->reach[gaps->n - 1] : INT64_MIN;
  gaps->begin[gaps->n] = gap->begin;
  gaps->reach[gaps->n++] = gap->end > reach ? gap->end : reach;
}

static void index_release(struct tt_gap_index *gaps) {
  tt_free(gaps->begin);
  tt_free(gaps->reach);
}

void tt_cuts_release(struct tt_cuts *cuts) {
  index_release(&cuts->all);
  for (size_t c = 0; cuts->cpu && c < cuts->n_cpus; c++)
    index_release(&cuts->cpu[c]);
  tt_free(cuts->cpu);
  tt_free(cuts->borders);
  memset(cuts, 0, sizeof *cuts);
}

static int ascending(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

enum tt_status tt_cuts_build(const struct tt_dataset_meta *meta, size_t n_cpus, uint64_t events,
                             struct tt_cuts *ret) {
  struct tt_cuts cuts = {.n_cpus = n_cpus};
  size_t *per_cpu = tt_calloc(n_cpus, sizeof *per_cpu);
  cuts.cpu = tt_calloc(n_cpus, sizeof *cuts.cpu);
  cuts.borders = tt_alloc(meta->n_sources, sizeof *cuts.borders);
  bool complete = per_cpu && cuts.cpu && cuts.borders && index_init(&cuts.all, meta->n_gaps) == 0;
  for (size_t i = 0; complete && i < meta->n_gaps; i++)
    if (meta->gaps[i].cpu < n_cpus)
      per_cpu[meta->gaps[i].cpu]++;
  for (size_t c = 0; complete && c < n_cpus; c++)
    complete = !per_cpu[c] || index_init(&cuts.cpu[c], per_cpu[c]) == 0;
  tt_free(per_cpu);
  if (!complete) {
    tt_cuts_release(&cuts);
    return tt_fail(TT_NO_MEMORY, "out of memory");
  }
  for (size_t i = 0; i < meta->n_gaps; i++) {
    index_add(&cuts.all, &meta->gaps[i]);
    if (meta->gaps[i].cpu < n_cpus)
      index_add(&cuts.cpu[meta->gaps[i].cpu], &meta->gaps[i]);
  }
  for (size_t i = 0; i < meta->n_sources; i++)
    if (meta->sources[i].events && meta->sources[i].first > 0 && meta->sources[i].first < events)
      cuts.borders[cuts.n_borders++] = meta->sources[i].first;
  if (cuts.n_borders)
    qsort(cuts.borders, cuts.n_borders, sizeof *cuts.borders, ascending);
  *ret = cuts;
  return TT_OK;
}

bool tt_gap_index_touches(const struct tt_gap_index *gaps, int64_t from, int64_t to) {
  size_t low = 0, high = gaps->n; /* how many begin by `to` */
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (gaps->begin[middle] <= to)
      low = middle + 1;
    else
      high = middle;
  }
  return low > 0 && gaps->reach[low - 1] >= from;
}

bool tt_cuts_border_between(const struct tt_cuts *cuts, uint64_t a, uint64_t b) {
  size_t low = 0, high = cuts->n_borders; /* the first border above a */
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (cuts->borders[middle] <= a)
      low = middle + 1;
    else
      high = middle;
  }
  return low < cuts->n_borders && cuts->borders[low] <= b;
}
