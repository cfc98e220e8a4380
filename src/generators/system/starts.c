/* Real moments that replicas start from: the last events of each CPU, who runs there, and which
 * system call each thread is in. They condition the twin and are never part of it. */
#include <string.h>

#include "base/mem.h"
#include "generators/system/system.h"

enum { STARTS = 64 };

enum tt_status tt_system_start_init(const struct tt_system *system, struct tt_system_start *ret) {
  const size_t cpus = system->base.cpu_limit, threads = tt_system_markov(system)->cast.n_threads;
  struct tt_system_start start = {0};
  enum tt_status status = tt_system_state_init(system, &start.state);
  if (status != TT_OK)
    return status;
  start.ids = tt_calloc(cpus * TT_SYSTEM_START_ROWS * TT_SYSTEM_INPUTS, sizeof *start.ids);
  start.rows = tt_calloc(cpus, sizeof *start.rows);
  start.thread = tt_alloc(cpus, sizeof *start.thread);
  start.age = tt_calloc(cpus, sizeof *start.age);
  start.comm = tt_alloc(threads, sizeof *start.comm);
  *ret = start;
  if (!start.ids || !start.rows || !start.thread || !start.age || !start.comm) {
    tt_system_start_release(ret);
    return tt_fail(TT_NO_MEMORY, "a start of %zu CPUs", cpus);
  }
  for (size_t i = 0; i < cpus; i++)
    start.thread[i] = TT_THREAD_ANY;
  for (size_t i = 0; i < threads; i++)
    start.comm[i] = TT_COMM_NONE;
  return TT_OK;
}

void tt_system_start_release(struct tt_system_start *start) {
  tt_free(start->ids);
  tt_free(start->rows);
  tt_free(start->thread);
  tt_free(start->age);
  tt_free(start->comm);
  tt_system_state_release(&start->state);
  *start = (struct tt_system_start){0};
}

/* Whether who runs after a CPU's position is of another workload, or nothing comes. */
static bool ends_at(const struct tt_system *system, const struct tt_system_source *train,
                    size_t cpu, uint64_t position) {
  uint64_t row;
  if (position == tt_streams_length(train->streams, cpu))
    return true;
  tt_streams_rows(train->streams, cpu, position, 1, &row);
  return tt_system_of_row(train, row) != system;
}

/* One CPU's last rows before dataset row `at`. */
static enum tt_status keep_cpu(const struct tt_system *system, const struct tt_system_source *train,
                               size_t cpu, uint64_t at, struct tt_system_start *start) {
  const struct tt_columns *c = tt_dataset_columns(train->dataset);
  const uint64_t position = tt_streams_position(train->streams, cpu, at);
  uint64_t rows[TT_SYSTEM_START_ROWS + 1];
  struct tt_channels channels;
  size_t n = position < TT_SYSTEM_START_ROWS ? (size_t)position : TT_SYSTEM_START_ROWS;
  /* nothing more happens here: who runs isn't known */
  bool ends = ends_at(system, train, cpu, position);
  if (ends && n > 0)
    n--;
  if (n == 0)
    return TT_OK;
  const uint64_t first = position - n - (uint64_t)ends;
  tt_streams_rows(train->streams, cpu, first, n + 1, rows);
  if (tt_system_of_row(train, rows[0]) != system || tt_system_of_row(train, rows[n]) != system)
    return TT_OK;                    /* too little happened here yet */
  for (size_t i = 0; i + 1 < n; i++) /* only what follows the last loss */
    if (tt_dataset_gap_between(train->dataset, rows[n - 2 - i], rows[n - 1 - i]))
      return TT_OK;
  enum tt_status status = tt_channels_init(&channels, n);
  if (status == TT_OK)
    status = tt_encode_stream(train->encoder, train->streams, cpu, first, n, &channels, 0);
  for (size_t i = 0; i < n && status == TT_OK; i++) {
    const struct tt_system_moment moment =
        tt_system_recorded_moment(system, c, &train->track, &channels, i, rows[i], rows[i + 1]);
    tt_system_ids(system, &moment,
                  start->ids + (cpu * TT_SYSTEM_START_ROWS + i) * TT_SYSTEM_INPUTS);
  }
  tt_channels_release(&channels);
  start->rows[cpu] = (uint8_t)n;
  start->thread[cpu] = train->track.thread[rows[n]];
  start->age[cpu] = c->ts[at - 1] - c->ts[rows[n - 1]];
  return status;
}

/* Evenly spread over the rows of one workload. */
static enum tt_status keep_starts(struct tt_system *system, const struct tt_system_source *train,
                                  const struct tt_row_set *rows) {
  const struct tt_columns *c = tt_dataset_columns(train->dataset);
  struct tt_system_state state = {0};
  const size_t threads = tt_system_markov(system)->cast.n_threads;
  uint32_t *comm = tt_alloc(threads, sizeof *comm);
  const size_t n = rows->events < STARTS ? 1 : STARTS;
  system->starts = tt_calloc(n, sizeof *system->starts);
  enum tt_status status = system->starts && comm ? TT_OK : tt_fail(TT_NO_MEMORY, "%zu starts", n);
  for (size_t i = 0; comm && i < threads; i++)
    comm[i] = TT_COMM_NONE;
  if (status == TT_OK)
    status = tt_system_state_init(system, &state);
  size_t range;
  uint64_t happened = 0, last = 0, next = tt_row_set_first(rows, &range);
  for (size_t k = 0; k < n && status == TT_OK; k++) {
    const uint64_t until = rows->events * (k + 1) / (n + 1) + 1;
    for (; happened < until; happened++) {
      const uint32_t thread = train->track.thread[next];
      tt_system_state_follow(system, &state, c->cpu[next], thread, c->event[next]);
      if (thread != TT_THREAD_ANY)
        comm[thread] = c->comm[next];
      last = next;
      next = tt_row_set_after(rows, &range, next);
    }
    struct tt_system_start *start = &system->starts[k];
    status = tt_system_start_init(system, start);
    if (status != TT_OK)
      break;
    system->n_starts++;
    memcpy(start->state.busy, state.busy, system->base.cpu_limit * sizeof *state.busy);
    memcpy(start->state.calls, state.calls, threads * sizeof *state.calls);
    memcpy(start->comm, comm, threads * sizeof *comm);
    start->state.n_busy = state.n_busy;
    start->state.latest_cpu = state.latest_cpu;
    start->state.latest = state.latest;
    start->state.elsewhere = state.elsewhere;
    for (size_t cpu = 0; cpu < system->base.cpu_limit && status == TT_OK; cpu++)
      status = keep_cpu(system, train, cpu, last + 1, start);
  }
  tt_free(comm);
  tt_system_state_release(&state);
  return status;
}

enum tt_status tt_system_keep_starts(struct tt_system *system,
                                     const struct tt_system_source *train) {
  const size_t n = system->n_workloads ? system->n_workloads : 1;
  enum tt_status status = TT_OK;
  for (size_t i = 0; i < n && status == TT_OK; i++) {
    struct tt_row_set rows = {0};
    status = tt_row_set_of(train->dataset,
                           system->n_workloads ? system->base.labels.names[i] : NULL, &rows);
    if (status == TT_OK)
      status = keep_starts(system->n_workloads ? &system->workloads[i] : system, train, &rows);
    tt_row_set_release(&rows);
  }
  return status;
}
