/* Real moments that replicas start from: the last events of each CPU, who runs there, and which
 * system call each thread is in. They condition the twin and are never part of it. */
#include <string.h>

#include "base/mem.h"
#include "generators/system/system.h"

/* As many as the stretches of a twin of 100,000 events (teams.c); fewer where one takes much room.
 */
enum { STARTS = 256, MIN_STARTS = 64, MAX_NUMBERS = 1 << 21 };
enum { LOOK = 128 }; /* rows that are looked at for a good one to start after */

size_t tt_system_start_size(const struct tt_system *system) {
  const size_t cpus = system->base.cpu_limit;
  return cpus * (TT_SYSTEM_START_ROWS * TT_SYSTEM_INPUTS + 4) + 5 +
         3 * tt_system_markov(system)->cast.n_threads;
}

static size_t starts_of(const struct tt_system *system, uint64_t events) {
  const size_t n = MAX_NUMBERS / tt_system_start_size(system);
  if (events < MIN_STARTS)
    return 1;
  if (events < STARTS || n < MIN_STARTS)
    return MIN_STARTS;
  return n < STARTS ? n : STARTS;
}

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

/* What happens, row by row. */
struct walk {
  struct tt_system_state state;
  uint32_t *comm; /* [n_threads] TT_COMM_NONE: not seen yet, or it exited */
  bool *in_call;  /* [n_cpus] who runs is in a system call */
  size_t n_in_call, range;
  uint64_t happened, last, next; /* rows; the last of them; that which comes */
};

static void walk_on(const struct tt_system *system, const struct tt_system_source *train,
                    const struct tt_row_set *rows, struct walk *walk) {
  const struct tt_columns *c = tt_dataset_columns(train->dataset);
  const struct tt_cast *cast = &tt_system_markov(system)->cast;
  const uint64_t row = walk->next;
  const uint32_t thread = train->track.thread[row];
  const bool exiting = thread != TT_THREAD_ANY && walk->state.past[thread].exiting;
  tt_system_state_follow(system, &walk->state, c->cpu[row], thread, c->event[row]);
  bool in_call = false; /* after a switch too: it isn't known who runs */
  if (thread != TT_THREAD_ANY) {
    const uint8_t role = cast->events[c->event[row]].role;
    walk->comm[thread] = exiting && role == TT_ROLE_SWITCH ? TT_COMM_NONE : c->comm[row];
    in_call = walk->state.calls[thread] < TT_MARKOV_CALL_UNKNOWN && role != TT_ROLE_SWITCH;
  }
  walk->n_in_call += (size_t)in_call - (size_t)walk->in_call[c->cpu[row]];
  walk->in_call[c->cpu[row]] = in_call;
  walk->last = row;
  walk->next = tt_row_set_after(rows, &walk->range, row);
  walk->happened++;
}

static enum tt_status walk_begin(const struct tt_system *system, const struct tt_row_set *rows,
                                 struct walk *ret) {
  const size_t threads = tt_system_markov(system)->cast.n_threads;
  *ret = (struct walk){.comm = tt_alloc(threads, sizeof *ret->comm),
                       .in_call = tt_calloc(system->base.cpu_limit, sizeof *ret->in_call)};
  if (!ret->comm || !ret->in_call)
    return tt_fail(TT_NO_MEMORY, "%zu threads", threads);
  for (size_t i = 0; i < threads; i++)
    ret->comm[i] = TT_COMM_NONE;
  ret->next = tt_row_set_first(rows, &ret->range);
  return tt_system_state_init(system, &ret->state);
}

static void walk_end(struct walk *walk) {
  tt_free(walk->comm);
  tt_free(walk->in_call);
  tt_system_state_release(&walk->state);
}

/* Where starts are kept: evenly spread, but for the few rows that it takes until threads that run
 * aren't within system calls: stretches join there without tearing one apart (seams.h). at[k]: rows
 * that have happened. */
static enum tt_status choose_starts(const struct tt_system *system,
                                    const struct tt_system_source *train,
                                    const struct tt_row_set *rows, size_t n, uint64_t *at) {
  struct walk walk;
  enum tt_status status = walk_begin(system, rows, &walk);
  for (size_t k = 0; k < n && status == TT_OK; k++) {
    const uint64_t from = rows->events * (k + 1) / (n + 1) + 1;
    const uint64_t next = rows->events * (k + 2) / (n + 1) + 1;
    size_t least = SIZE_MAX;
    while (walk.happened < from)
      walk_on(system, train, rows, &walk);
    for (uint64_t i = from; i < next && i < from + LOOK && least > 0; i++) {
      if (walk.n_in_call < least) {
        least = walk.n_in_call;
        at[k] = i;
      }
      if (i + 1 < next && i + 1 <= rows->events)
        walk_on(system, train, rows, &walk);
    }
  }
  walk_end(&walk);
  return status;
}

static enum tt_status keep_start(const struct tt_system *system,
                                 const struct tt_system_source *train, const struct walk *walk,
                                 struct tt_system_start *start) {
  const size_t threads = tt_system_markov(system)->cast.n_threads;
  enum tt_status status = tt_system_start_init(system, start);
  if (status != TT_OK)
    return status;
  memcpy(start->state.busy, walk->state.busy, system->base.cpu_limit * sizeof *start->state.busy);
  memcpy(start->state.calls, walk->state.calls, threads * sizeof *start->state.calls);
  memcpy(start->state.past, walk->state.past, threads * sizeof *start->state.past);
  memcpy(start->comm, walk->comm, threads * sizeof *start->comm);
  start->state.n_busy = walk->state.n_busy;
  start->state.switches = walk->state.switches;
  start->state.latest_cpu = walk->state.latest_cpu;
  start->state.latest = walk->state.latest;
  start->state.elsewhere = walk->state.elsewhere;
  start->since = tt_clock_since_tick(&system->clock, train->dataset, walk->last);
  for (size_t cpu = 0; cpu < system->base.cpu_limit && status == TT_OK; cpu++)
    status = keep_cpu(system, train, cpu, walk->last + 1, start);
  return status;
}

enum tt_status tt_system_keep_starts(struct tt_system *system, const struct tt_system_source *train,
                                     const struct tt_row_set *rows) {
  const size_t n = starts_of(system, rows->events);
  uint64_t *at = tt_alloc(n, sizeof *at);
  struct walk walk = {0};
  system->starts = tt_calloc(n, sizeof *system->starts);
  enum tt_status status = system->starts && at ? TT_OK : tt_fail(TT_NO_MEMORY, "%zu starts", n);
  if (status == TT_OK)
    status = choose_starts(system, train, rows, n, at);
  if (status == TT_OK)
    status = walk_begin(system, rows, &walk);
  while (system->n_starts < n && status == TT_OK) {
    while (walk.happened < at[system->n_starts])
      walk_on(system, train, rows, &walk);
    status = keep_start(system, train, &walk, &system->starts[system->n_starts++]);
  }
  walk_end(&walk);
  tt_free(at);
  return status;
}
