#include "metrics/view.h"

#include <string.h>

#include "base/mem.h"

void tt_alphabet_init(struct tt_alphabet *alphabet) {
  tt_names_init(&alphabet->events);
  tt_names_init(&alphabet->comms);
}

void tt_alphabet_release(struct tt_alphabet *alphabet) {
  tt_names_release(&alphabet->events);
  tt_names_release(&alphabet->comms);
}

void tt_view_release(struct tt_view *view) {
  tt_free(view->event);
  tt_free(view->comm);
  tt_free(view->cpu);
  tt_free(view->tid);
  tt_free(view->ts);
  tt_free(view->ret);
  tt_free(view->dt_merged);
  tt_free(view->dt_cpu);
  tt_free(view->order);
  tt_free(view->merged_fresh);
  tt_free(view->cpu_fresh);
  *view = (struct tt_view){0};
}

/* map[id] = id of the same name in `to`, adding it. */
static uint32_t *join_names(const struct tt_names *from, struct tt_names *to) {
  uint32_t *map = tt_alloc(from->n, sizeof *map);
  if (!map)
    return NULL;
  for (size_t i = 0; i < from->n; i++) {
    map[i] = tt_names_add(to, from->names[i]);
    if (map[i] == TT_NAME_NONE) {
      tt_free(map);
      return NULL;
    }
  }
  return map;
}

/* Counting sort of the rows by CPU (stable: time order within each), then what stands before each
 * row on its own CPU. */
static enum tt_status order_by_cpu(const struct tt_dataset *dataset, size_t first,
                                   struct tt_view *view) {
  size_t limit = tt_dataset_cpu_limit(dataset);
  size_t *begin = tt_calloc(limit + 1, sizeof *begin);
  if (!begin)
    return tt_fail(TT_NO_MEMORY, "ordering %zu events by CPU", view->n);
  for (size_t i = 0; i < view->n; i++)
    begin[view->cpu[i] + 1]++;
  for (size_t c = 0; c < limit; c++)
    begin[c + 1] += begin[c];
  for (size_t i = 0; i < view->n; i++)
    view->order[begin[view->cpu[i]]++] = (uint32_t)i;
  tt_free(begin);
  for (size_t k = 0; k < view->n; k++) {
    uint32_t row = view->order[k], before = k ? view->order[k - 1] : 0;
    view->cpu_fresh[k] = k == 0 || view->cpu[before] != view->cpu[row] ||
                         tt_dataset_gap_between(dataset, first + before, first + row);
    view->dt_cpu[row] = view->cpu_fresh[k] ? TT_DT_NONE : view->ts[row] - view->ts[before];
  }
  return TT_OK;
}

enum tt_status tt_view_make(const struct tt_dataset *dataset, size_t first, size_t n,
                            struct tt_alphabet *alphabet, struct tt_view *ret) {
  const struct tt_columns *columns = tt_dataset_columns(dataset);
  const struct tt_dataset_meta *meta = tt_dataset_meta(dataset);
  struct tt_view view = {0};
  enum tt_status status = TT_OK;
  first = first < columns->n ? first : columns->n;
  n = n < columns->n - first ? n : columns->n - first;
  n = n < UINT32_MAX ? n : UINT32_MAX;
  view.n = n;
  view.event = tt_alloc(n, sizeof *view.event);
  view.comm = tt_alloc(n, sizeof *view.comm);
  view.cpu = tt_alloc(n, sizeof *view.cpu);
  view.tid = tt_alloc(n, sizeof *view.tid);
  view.ts = tt_alloc(n, sizeof *view.ts);
  view.ret = tt_alloc(n, sizeof *view.ret);
  view.dt_merged = tt_alloc(n, sizeof *view.dt_merged);
  view.dt_cpu = tt_alloc(n, sizeof *view.dt_cpu);
  view.order = tt_alloc(n, sizeof *view.order);
  view.merged_fresh = tt_alloc(n, sizeof *view.merged_fresh);
  view.cpu_fresh = tt_alloc(n, sizeof *view.cpu_fresh);
  uint32_t *event_map = join_names(&meta->events, &alphabet->events);
  uint32_t *comm_map = join_names(&meta->comms, &alphabet->comms);
  if (!view.event || !view.comm || !view.cpu || !view.tid || !view.ts || !view.ret ||
      !view.dt_merged || !view.dt_cpu || !view.order || !view.merged_fresh || !view.cpu_fresh ||
      !event_map || !comm_map) {
    status = tt_fail(TT_NO_MEMORY, "a view of %zu events", n);
    goto cleanup;
  }
  memcpy(view.cpu, columns->cpu + first, n * sizeof *view.cpu);
  memcpy(view.tid, columns->tid + first, n * sizeof *view.tid);
  memcpy(view.ts, columns->ts + first, n * sizeof *view.ts);
  memcpy(view.ret, columns->ret + first, n * sizeof *view.ret);
  for (size_t i = 0; i < n; i++) {
    uint32_t comm = columns->comm[first + i];
    view.event[i] = event_map[columns->event[first + i]];
    view.comm[i] = comm == TT_COMM_NONE ? TT_COMM_NONE : comm_map[comm];
    view.merged_fresh[i] = i == 0 || tt_dataset_gap_before(dataset, first + i);
    view.dt_merged[i] = view.merged_fresh[i] ? TT_DT_NONE : view.ts[i] - view.ts[i - 1];
  }
  status = order_by_cpu(dataset, first, &view);
cleanup:
  tt_free(event_map);
  tt_free(comm_map);
  if (status == TT_OK)
    *ret = view;
  else
    tt_view_release(&view);
  return status;
}

enum tt_status tt_view_make_middle(const struct tt_dataset *dataset, size_t n,
                                   struct tt_alphabet *alphabet, struct tt_view *ret) {
  size_t have = tt_dataset_columns(dataset)->n;
  n = n < have ? n : have;
  return tt_view_make(dataset, (have - n) / 2, n, alphabet, ret);
}
