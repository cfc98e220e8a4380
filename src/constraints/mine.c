/* Mining: every thread counts a contiguous range of rows, the counts are added up, pairs that
 * straddle two ranges are added afterwards. Sums, minima and maxima do not depend on where the
 * ranges end, so neither does the result. */
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "constraints/core.h"
#include "constraints/counter.h"

enum { NEXT, NEXT_CPU, CPU, TID, COMM, RET, THREAD, CPU_TID, COUNTERS };
#define RET_CHUNK ((size_t)1 << 20)       /* rows whose return values are counted exactly at once */
#define RET_VALUES_KEPT ((size_t)1 << 20) /* distinct values carried from chunk to chunk */
#define POLL_ROWS ((size_t)1 << 20)

struct cpu_state {
  size_t first, last; /* rows of this CPU in the range; last is valid when seen */
  uint64_t run;       /* rows since thread or command last changed, not yet counted */
  int32_t tid;
  uint32_t comm;
  bool seen;
};

struct range {
  size_t begin, end;
  struct tt_counter counters[COUNTERS];
  struct cpu_state *cpus;  /* [n_cpus] */
  struct tt_dt_bounds *dt; /* [n_events], dataset ids as everywhere in a range */
  uint64_t *count;         /* [n_events] */
  int64_t *ret_other;      /* [n_events] first value outside the top ones */
  bool *has_other;         /* [n_events] */
};

struct miner {
  const struct tt_rows *rows;
  size_t n_events, n_cpus;
  struct tt_constraints *c;
  struct range *ranges;
  size_t n_ranges;
};

/* ---- the top return values ---- */

/* INT64_MIN (TT_RET_NONE) would be the empty key; -1 must not be. */
static uint64_t ret_key(int64_t ret) {
  return (uint64_t)ret ^ (uint64_t)INT64_MAX;
}

static int by_count(const void *a, const void *b) {
  const struct tt_counter_slot *x = a, *y = b;
  if (x->count != y->count)
    return x->count > y->count ? -1 : 1;
  int64_t p = (int64_t)(x->key ^ (uint64_t)INT64_MAX), q = (int64_t)(y->key ^ (uint64_t)INT64_MAX);
  return (p > q) - (p < q);
}

static int count_rets(const struct tt_columns *columns, size_t begin, struct tt_counter *counter) {
  size_t end = columns->n - begin > RET_CHUNK ? begin + RET_CHUNK : columns->n;
  for (size_t i = begin; i < end; i++)
    if (columns->ret[i] != TT_RET_NONE && tt_counter_add(counter, ret_key(columns->ret[i]), 1))
      return -1;
  return 0;
}

/* The 1024 most frequent values, ties to the smaller. Exact while fewer than 2^20 distinct values
 * were seen; beyond that rare values are forgotten between chunks (lossy counting, Manku & Motwani,
 * VLDB 2002), which can only cost values at the far end of the list. Chunks are fixed, so the
 * choice does not depend on the number of threads. */
static enum tt_status choose_rets(const struct tt_rows *rows, struct tt_constraints *c) {
  const struct tt_columns *columns = &rows->columns;
  struct tt_counter all = {0};
  size_t n_chunks = (columns->n + RET_CHUNK - 1) / RET_CHUNK;
  size_t batch = (size_t)omp_get_max_threads();
  struct tt_counter *chunk = tt_calloc(batch, sizeof *chunk);
  struct tt_counter_slot *top = NULL;
  bool failed = !chunk;
  for (size_t first = 0; !failed && first < n_chunks; first += batch) {
    size_t n = n_chunks - first < batch ? n_chunks - first : batch;
#pragma omp parallel for schedule(static, 1) reduction(|| : failed)
    for (size_t i = 0; i < n; i++)
      failed = failed || count_rets(columns, (first + i) * RET_CHUNK, &chunk[i]);
    for (size_t i = 0; i < n; i++) {
      failed = failed || tt_counter_merge(&all, &chunk[i]) ||
               (all.n > RET_VALUES_KEPT && tt_counter_prune(&all, RET_VALUES_KEPT / 2));
      tt_counter_release(&chunk[i]);
    }
    size_t begin = first * RET_CHUNK, left = columns->n - begin;
    tt_rows_done_with(rows, begin, left < n * RET_CHUNK ? left : n * RET_CHUNK);
  }
  tt_free(chunk);
  failed = failed || !(top = tt_alloc(all.n, sizeof *top));
  size_t n_top = 0;
  if (!failed) {
    for (size_t i = 0; all.slots && i < (size_t)1 << all.bits; i++)
      if (all.slots[i].key != TT_COUNTER_EMPTY)
        top[n_top++] = all.slots[i];
    if (n_top)
      qsort(top, n_top, sizeof *top, by_count);
    c->n_rets = n_top < TT_RETS_MAX ? n_top : TT_RETS_MAX;
    c->rets = tt_alloc(c->n_rets, sizeof *c->rets);
    failed = !c->rets;
    for (size_t i = 0; !failed && i < c->n_rets; i++)
      c->rets[i] = (int64_t)(top[i].key ^ (uint64_t)INT64_MAX);
  }
  tt_free(top);
  tt_counter_release(&all);
  return failed ? tt_fail(TT_NO_MEMORY, "out of memory") : tt_constraints_index_rets(c);
}

/* ---- counting ---- */

static uint64_t pair_key(uint64_t row, uint64_t column) {
  return row << 32 | column;
}

/* The rows since the thread on a CPU last changed, in one go. */
static int flush_run(struct range *range, size_t cpu) {
  struct cpu_state *state = &range->cpus[cpu];
  if (!state->run)
    return 0;
  uint64_t run = state->run;
  state->run = 0;
  if (tt_counter_add(&range->counters[CPU_TID], pair_key(cpu, tt_constraints_tid_class(state->tid)),
                     run))
    return -1;
  return state->tid >= 0 ? tt_counter_add(&range->counters[THREAD],
                                          pair_key((uint32_t)state->tid, state->comm), run)
                         : 0;
}

static int count_row(const struct miner *miner, struct range *range, size_t i, bool cut,
                     size_t last_cut) {
  const struct tt_columns *columns = &miner->rows->columns;
  struct tt_counter *counters = range->counters;
  size_t event = columns->event[i], cpu = columns->cpu[i];
  int64_t ret = columns->ret[i];
  int failed = 0;
  range->count[event]++;
  if (i > 0 && !cut) {
    int64_t dt = columns->ts[i] - columns->ts[i - 1];
    struct tt_dt_bounds *bounds = &range->dt[event];
    bounds->min = dt < bounds->min ? dt : bounds->min;
    bounds->max = dt > bounds->max ? dt : bounds->max;
    failed |= tt_counter_add(&counters[NEXT], pair_key(columns->event[i - 1], event), 1);
  }
  struct cpu_state *state = &range->cpus[cpu];
  if (!state->seen) {
    state->seen = true;
    state->first = i;
  } else {
    if (!(last_cut > state->last && tt_rows_cpu_cut(miner->rows, state->last, i)))
      failed |=
          tt_counter_add(&counters[NEXT_CPU], pair_key(columns->event[state->last], event), 1);
    if (state->tid != columns->tid[i] || state->comm != columns->comm[i])
      failed |= flush_run(range, cpu);
  }
  state->last = i;
  state->tid = columns->tid[i];
  state->comm = columns->comm[i];
  state->run++;
  failed |= tt_counter_add(&counters[CPU], pair_key(event, cpu), 1);
  failed |=
      tt_counter_add(&counters[TID], pair_key(event, tt_constraints_tid_class(columns->tid[i])), 1);
  failed |= tt_counter_add(&counters[COMM], pair_key(event, columns->comm[i]), 1);
  if (ret != TT_RET_NONE) { /* "none" is what remains of the event's count */
    uint32_t class = tt_constraints_ret_class(miner->c, ret);
    failed |= tt_counter_add(&counters[RET], pair_key(event, class), 1);
    if (class == miner->c->n_rets && !range->has_other[event]) {
      range->has_other[event] = true;
      range->ret_other[event] = ret;
    }
  }
  return failed;
}

static enum tt_status count_range(const struct miner *miner, struct range *range) {
  range->cpus = tt_calloc(miner->n_cpus, sizeof *range->cpus);
  range->dt = tt_alloc(miner->n_events, sizeof *range->dt);
  range->count = tt_calloc(miner->n_events, sizeof *range->count);
  range->ret_other = tt_calloc(miner->n_events, sizeof *range->ret_other);
  range->has_other = tt_calloc(miner->n_events, sizeof *range->has_other);
  if (!range->cpus || !range->dt || !range->count || !range->ret_other || !range->has_other)
    return TT_NO_MEMORY;
  for (size_t e = 0; e < miner->n_events; e++)
    range->dt[e] = (struct tt_dt_bounds){INT64_MAX, INT64_MIN};
  size_t cursor = 0, last_cut = 0;
  for (size_t i = range->begin; i < range->end; i++) {
    if ((i - range->begin) % POLL_ROWS == 0 && i > range->begin) {
      if (tt_interrupted())
        return TT_INTERRUPTED;
      tt_rows_done_with(miner->rows, i - POLL_ROWS, POLL_ROWS);
    }
    bool cut = i > 0 && tt_rows_cut(miner->rows, i, &cursor);
    if (cut)
      last_cut = i;
    if (count_row(miner, range, i, cut, last_cut))
      return TT_NO_MEMORY;
  }
  for (size_t cpu = 0; cpu < miner->n_cpus; cpu++)
    if (flush_run(range, cpu))
      return TT_NO_MEMORY;
  return TT_OK;
}

/* Adds range r to range 0, with the per-CPU pairs between the two. */
static int merge_range(const struct miner *miner, struct range *all, const struct range *range) {
  const struct tt_columns *columns = &miner->rows->columns;
  for (size_t cpu = 0; cpu < miner->n_cpus; cpu++) {
    const struct cpu_state *later = &range->cpus[cpu];
    struct cpu_state *state = &all->cpus[cpu];
    if (!later->seen)
      continue;
    if (state->seen && !tt_rows_cpu_cut(miner->rows, state->last, later->first) &&
        tt_counter_add(&all->counters[NEXT_CPU],
                       pair_key(columns->event[state->last], columns->event[later->first]), 1))
      return -1;
    state->seen = true;
    state->last = later->last;
  }
  for (size_t t = 0; t < COUNTERS; t++)
    if (tt_counter_merge(&all->counters[t], &range->counters[t]))
      return -1;
  for (size_t e = 0; e < miner->n_events; e++) {
    all->count[e] += range->count[e];
    if (range->dt[e].min < all->dt[e].min)
      all->dt[e].min = range->dt[e].min;
    if (range->dt[e].max > all->dt[e].max)
      all->dt[e].max = range->dt[e].max;
    if (!all->has_other[e] && range->has_other[e]) {
      all->has_other[e] = true;
      all->ret_other[e] = range->ret_other[e];
    }
  }
  return 0;
}

static void release_range(struct range *range) {
  for (size_t t = 0; t < COUNTERS; t++)
    tt_counter_release(&range->counters[t]);
  tt_free(range->cpus);
  tt_free(range->dt);
  tt_free(range->count);
  tt_free(range->ret_other);
  tt_free(range->has_other);
}

/* ---- from counts to constraints ---- */

/* Dataset ids (TT_COMM_NONE too) to constraint ids; NULL map: the same. */
struct id_map {
  const uint32_t *map;
  size_t n;
  uint32_t none; /* what TT_COMM_NONE becomes */
};

static uint32_t mapped(const struct id_map *map, uint32_t id) {
  return !map->map ? id : id < map->n ? map->map[id] : map->none;
}

/* `none`: counts of a last column, per row, or NULL. */
static enum tt_status to_relation(const struct tt_counter *counter, struct id_map row_map,
                                  struct id_map column_map, size_t rows, size_t columns,
                                  const uint64_t *none, struct tt_relation *ret) {
  struct tt_relation_entry *entries = tt_alloc(counter->n + (none ? rows : 0), sizeof *entries);
  if (!entries)
    return tt_fail(TT_NO_MEMORY, "out of memory");
  size_t n = 0;
  for (size_t i = 0; counter->slots && i < (size_t)1 << counter->bits; i++) {
    uint64_t key = counter->slots[i].key;
    if (key != TT_COUNTER_EMPTY)
      entries[n++] =
          (struct tt_relation_entry){mapped(&row_map, (uint32_t)(key >> 32)),
                                     mapped(&column_map, (uint32_t)key), counter->slots[i].count};
  }
  for (size_t row = 0; none && row < rows; row++)
    if (none[row])
      entries[n++] = (struct tt_relation_entry){(uint32_t)row, (uint32_t)columns - 1, none[row]};
  enum tt_status status = tt_relation_build(entries, n, rows, columns, ret);
  tt_free(entries);
  return status;
}

struct thread_count {
  int32_t tid;
  uint32_t comm;
  uint64_t count;
};

static int by_bucket(const void *a, const void *b) {
  const struct thread_count *x = a, *y = b;
  uint32_t p = (uint32_t)x->tid % 256, q = (uint32_t)y->tid % 256;
  if (p != q)
    return p < q ? -1 : 1;
  if (x->tid != y->tid)
    return x->tid < y->tid ? -1 : 1;
  return (x->comm > y->comm) - (x->comm < y->comm);
}

/* Each bucket's busiest thread under its busiest name. */
static enum tt_status choose_threads(const struct tt_counter *counter, struct id_map comms,
                                     struct tt_constraints *c) {
  struct thread_count *list = tt_alloc(counter->n, sizeof *list);
  if (!list)
    return tt_fail(TT_NO_MEMORY, "out of memory");
  size_t n = 0;
  for (size_t i = 0; counter->slots && i < (size_t)1 << counter->bits; i++)
    if (counter->slots[i].key != TT_COUNTER_EMPTY)
      list[n++] = (struct thread_count){(int32_t)(counter->slots[i].key >> 32),
                                        mapped(&comms, (uint32_t)counter->slots[i].key),
                                        counter->slots[i].count};
  if (n)
    qsort(list, n, sizeof *list, by_bucket);
  uint64_t best[256] = {0};
  for (size_t b = 0; b < 256; b++)
    c->thread[b] = (struct tt_constraint_thread){TT_TID_NONE, (uint32_t)c->comms.n};
  for (size_t i = 0, end; i < n; i = end) {
    uint64_t total = 0, top = 0;
    uint32_t comm = 0;
    for (end = i; end < n && list[end].tid == list[i].tid; end++) {
      total += list[end].count;
      if (list[end].count > top) {
        top = list[end].count;
        comm = list[end].comm;
      }
    }
    size_t b = (uint32_t)list[i].tid % 256;
    if (total > best[b]) {
      best[b] = total;
      c->thread[b] = (struct tt_constraint_thread){list[i].tid, comm};
    }
  }
  for (size_t i = 0; i < c->tid.start[c->tid.rows]; i++) { /* seen with negative tids only */
    uint32_t b = c->tid.column[i];
    if (b < 256 && c->thread[b].tid == TT_TID_NONE)
      c->thread[b].tid = (int32_t)b;
  }
  tt_free(list);
  return TT_OK;
}

/* Numbers the names that occurred, in the order of the dataset's ids. */
static uint32_t *number_names(const struct tt_names *from, const bool *occurs,
                              struct tt_names *to) {
  uint32_t *map = tt_alloc(from->n, sizeof *map);
  for (size_t i = 0; map && i < from->n; i++) {
    map[i] = TT_NAME_NONE;
    if (occurs[i] && (map[i] = tt_names_add(to, from->names[i])) == TT_NAME_NONE) {
      tt_free(map);
      return NULL;
    }
  }
  return map;
}

static enum tt_status build(const struct range *all, const struct tt_names *events,
                            const struct tt_names *comms, size_t n_cpus, struct tt_constraints *c) {
  const struct tt_counter *counters = all->counters;
  enum tt_status status = TT_NO_MEMORY;
  bool *occurs = tt_calloc(events->n > comms->n ? events->n : comms->n, sizeof *occurs);
  uint32_t *event_map = NULL, *comm_map = NULL;
  uint64_t *no_ret = NULL;
  if (!occurs)
    goto cleanup;
  for (size_t e = 0; e < events->n; e++)
    occurs[e] = all->count[e] > 0;
  event_map = number_names(events, occurs, &c->events);
  for (size_t i = 0; i < comms->n; i++)
    occurs[i] = false;
  for (size_t i = 0; i < (size_t)1 << counters[COMM].bits; i++) {
    uint64_t key = counters[COMM].slots[i].key;
    if (key != TT_COUNTER_EMPTY && (uint32_t)key != TT_COMM_NONE)
      occurs[(uint32_t)key] = true;
  }
  comm_map = number_names(comms, occurs, &c->comms);
  size_t n = c->events.n;
  no_ret = tt_calloc(n, sizeof *no_ret);
  c->event_count = tt_calloc(n, sizeof *c->event_count);
  c->dt = tt_calloc(n, sizeof *c->dt);
  c->ret_other = tt_calloc(n, sizeof *c->ret_other);
  if (!event_map || !comm_map || !no_ret || !c->event_count || !c->dt || !c->ret_other)
    goto cleanup;
  for (size_t e = 0; e < events->n; e++) {
    if (event_map[e] == TT_NAME_NONE)
      continue;
    size_t to = event_map[e];
    no_ret[to] = c->event_count[to] = all->count[e];
    c->mined += all->count[e];
    c->dt[to] = all->dt[e];
    c->ret_other[to] = all->ret_other[e];
  }
  for (size_t i = 0; counters[RET].slots && i < (size_t)1 << counters[RET].bits; i++)
    if (counters[RET].slots[i].key != TT_COUNTER_EMPTY)
      no_ret[event_map[counters[RET].slots[i].key >> 32]] -= counters[RET].slots[i].count;

  struct id_map same = {0}, event = {event_map, events->n, 0};
  struct id_map comm = {comm_map, comms->n, (uint32_t)c->comms.n};
  status = to_relation(&counters[NEXT], event, event, n, n, NULL, &c->next);
  if (status == TT_OK)
    status = to_relation(&counters[NEXT_CPU], event, event, n, n, NULL, &c->next_cpu);
  if (status == TT_OK)
    status = to_relation(&counters[CPU], event, same, n, n_cpus, NULL, &c->cpu);
  if (status == TT_OK)
    status = to_relation(&counters[TID], event, same, n, TT_TID_CLASSES, NULL, &c->tid);
  if (status == TT_OK)
    status = to_relation(&counters[COMM], event, comm, n, c->comms.n + 1, NULL, &c->comm);
  if (status == TT_OK)
    status = to_relation(&counters[RET], event, same, n, c->n_rets + 2, no_ret, &c->ret);
  if (status == TT_OK)
    status = to_relation(&counters[CPU_TID], same, same, n_cpus, TT_TID_CLASSES, NULL, &c->cpu_tid);
  if (status == TT_OK)
    status = choose_threads(&counters[THREAD], comm, c);
cleanup:
  tt_free(occurs);
  tt_free(event_map);
  tt_free(comm_map);
  tt_free(no_ret);
  return status == TT_NO_MEMORY ? tt_fail(TT_NO_MEMORY, "out of memory") : status;
}

enum tt_status tt_mine_rows(const struct tt_rows *rows, const struct tt_names *events,
                            const struct tt_names *comms, struct tt_constraints **ret) {
  size_t n = rows->columns.n;
  if (n == 0)
    return tt_fail(TT_BAD_INPUT, "no events to mine constraints from");
  if (events->n >= TT_LABEL_NONE)
    return tt_fail(TT_BAD_INPUT, "%zu event names: at most %u can be mined", events->n,
                   TT_LABEL_NONE - 1u);
  size_t n_cpus = rows->n_cpus;
  struct miner miner = {.rows = rows, .n_events = events->n, .n_cpus = n_cpus};
  enum tt_status status = TT_NO_MEMORY;
  miner.n_ranges = (size_t)omp_get_max_threads();
  miner.ranges = tt_calloc(miner.n_ranges, sizeof *miner.ranges);
  miner.c = tt_constraints_new();
  if (!miner.ranges || !miner.c)
    goto cleanup;
  status = choose_rets(rows, miner.c);
  if (status != TT_OK)
    goto cleanup;
  enum tt_status worst = TT_OK;
#pragma omp parallel for schedule(static, 1) reduction(max : worst)
  for (size_t r = 0; r < miner.n_ranges; r++) {
    miner.ranges[r].begin = n / miner.n_ranges * r;
    miner.ranges[r].end = r + 1 == miner.n_ranges ? n : n / miner.n_ranges * (r + 1);
    enum tt_status one = count_range(&miner, &miner.ranges[r]);
    worst = one > worst ? one : worst;
  }
  status = worst;
  for (size_t r = 1; status == TT_OK && r < miner.n_ranges; r++)
    if (merge_range(&miner, &miner.ranges[0], &miner.ranges[r]))
      status = TT_NO_MEMORY;
  if (status == TT_OK)
    status = build(&miner.ranges[0], events, comms, n_cpus, miner.c);
cleanup:
  for (size_t r = 0; miner.ranges && r < miner.n_ranges; r++)
    release_range(&miner.ranges[r]);
  tt_free(miner.ranges);
  if (status == TT_OK)
    *ret = miner.c;
  else
    tt_constraints_free(miner.c);
  return status == TT_OK ? TT_OK : tt_fail(status, "while mining constraints");
}

enum tt_status tt_constraints_mine(const struct tt_dataset *dataset, struct tt_constraints **ret) {
  const struct tt_dataset_meta *meta = tt_dataset_meta(dataset);
  struct tt_rows rows;
  enum tt_status status = tt_rows_of(dataset, &rows);
  if (status != TT_OK)
    return status;
  status = tt_mine_rows(&rows, &meta->events, &meta->comms, ret);
  tt_rows_release(&rows);
  return status;
}
