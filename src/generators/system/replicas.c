#include "generators/system/replicas.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "generators/merge.h"

enum {
  MAX_REPLICAS = 64,
  MAX_SLOTS = 512, /* key/value rings: replicas times CPUs */
  MIN_STRETCH = 2048,
  MAX_STRETCH = 16384,
  MAX_WAIT = 20000, /* ns */
  RESIDUAL_TRIES = 64,
};

/* ---- drawing ---- */

int64_t tt_scale_draw(const struct tt_scale *scale, const int64_t *values, size_t n,
                      tt_allow_fn *allow, const void *what, struct tt_rng *rng) {
  double max = -INFINITY, sum = 0;
  for (size_t i = 0; i < n; i++)
    if (!allow || allow(what, values[i]))
      max = fmax(max, tt_scale_logit(scale, (size_t)values[i]));
  if (!isfinite(max))
    return -1;
  for (size_t i = 0; i < n; i++)
    if (!allow || allow(what, values[i]))
      sum += exp(tt_scale_logit(scale, (size_t)values[i]) - max);
  double at = tt_rng_uniform(rng) * sum;
  int64_t last = -1;
  for (size_t i = 0; i < n; i++)
    if (!allow || allow(what, values[i])) {
      last = values[i];
      at -= exp(tt_scale_logit(scale, (size_t)last) - max);
      if (at < 0)
        break;
    }
  return last;
}

bool tt_place_had(const void *what, int64_t event) {
  const struct tt_place *place = what;
  return place->system->on_cpu[place->cpu * place->system->base.events.n + (size_t)event];
}

bool tt_place_and_thread_had(const void *what, int64_t event) {
  const struct tt_place *place = what;
  return tt_place_had(what, event) &&
         (place->thread.n == 0 || tt_tally_count(&place->thread, event));
}

bool tt_place_thread_and_call_had(const void *what, int64_t event) {
  const struct tt_place *place = what;
  return tt_place_and_thread_had(what, event) &&
         tt_system_call_had(place->system, place->call, (uint16_t)event);
}

struct tt_tally_row tt_system_candidates(const struct tt_system *system, uint16_t previous) {
  struct tt_tally_row row = {0};
  if (previous != TT_MARKOV_NO_EVENT)
    row = tt_system_successors(system, previous);
  if (row.n == 0) /* nothing ever followed, or nothing happened yet */
    row = tt_tally_row(&tt_system_markov(system)->common.counts, 0);
  return row;
}

static uint16_t previous_of(const struct tt_stream_state *stream) {
  return stream->history.n ? stream->history.events[0] : TT_MARKOV_NO_EVENT;
}

uint16_t tt_replica_draw_event(const struct tt_replicas *s, const struct tt_replica_row *row,
                               const float *logits, float *prior) {
  const struct tt_system *system = s->system;
  struct tt_stream_state *stream = &row->replica->streams[row->cpu];
  tt_system_event_prior(system, &stream->history, row->thread, row->call, UINT32_MAX, prior);
  struct tt_scale scale = tt_scale_of(logits, prior, system->n_events);
  scale.boost = s->boost;
  const struct tt_place place = {system, tt_system_thread_events(system, row->thread), row->cpu,
                                 row->call};
  const struct tt_tally_row from = tt_system_candidates(system, previous_of(stream));
  static tt_allow_fn *const rules[] = {tt_place_thread_and_call_had, tt_place_and_thread_had,
                                       tt_place_had, NULL};
  int64_t event = -1;
  for (size_t i = 0; event < 0 && i < sizeof rules / sizeof *rules; i++)
    event = tt_scale_draw(&scale, from.values, from.n, rules[i], &place, &stream->rng);
  TT_ASSERT(event >= 0);
  return (uint16_t)event;
}

void tt_replica_pend(const struct tt_replica_row *row, uint16_t event) {
  row->replica->streams[row->cpu].pending = (struct tt_sample){
      .comm = TT_COMM_NONE, .thread = TT_THREAD_ANY, .bucket = -1, .event = event, .cpu = row->cpu};
}

int32_t tt_replica_draw_ret(const struct tt_replicas *s, const struct tt_replica_row *row,
                            const float *logits, float *prior) {
  const struct tt_system *system = s->system;
  struct tt_stream_state *stream = &row->replica->streams[row->cpu];
  const uint16_t event = stream->pending.event;
  stream->pending.ret = TT_RET_NONE;
  stream->ret = tt_vocabulary_ret_none(system->vocabulary);
  const struct tt_tally_row seen = tt_system_event_rets(system, event);
  if (tt_system_markov(system)->cast.events[event].n_rets == 0 || seen.n == 0)
    return -1;
  const uint16_t previous = previous_of(stream);
  tt_system_ret_prior(system, event, row->comm, previous, UINT32_MAX, prior);
  const struct tt_scale scale = tt_scale_of(logits, prior, system->n_rets);
  struct tt_rng *rng = &stream->rng;
  stream->ret = (uint16_t)tt_scale_draw(&scale, seen.values, seen.n, NULL, NULL, rng);
  stream->pending.ret = stream->ret == TT_ID_UNK
                            ? TT_RET_DRAW
                            : tt_vocabulary_ret_value(system->vocabulary, stream->ret, rng);
  return stream->ret;
}

/* A time within the bin: as real ones after these events, where there are any. */
static int64_t draw_within(const struct tt_replicas *s, const struct tt_stream_state *stream,
                           uint16_t cpu, uint16_t previous, size_t bin, struct tt_rng *rng) {
  const struct tt_system *system = s->system;
  const float *edge = system->bins.quantile + bin * TT_DELAY_POINTS;
  const int64_t low = tt_vocabulary_dt_ns(system->vocabulary, (double)edge[0]);
  const int64_t high = tt_vocabulary_dt_ns(system->vocabulary, (double)edge[TT_DELAY_POINTS]);
  for (unsigned level = 0; level < TT_MARKOV_DELAY_LEVELS; level++) {
    const struct tt_delay_row row =
        tt_delays_find(&tt_system_markov(system)->delays,
                       tt_markov_delay_key(level, cpu, previous, stream->pending.event));
    size_t first = 0, end;
    while (first < row.n && row.samples[first] < low)
      first++;
    for (end = first; end < row.n && row.samples[end] <= high;)
      end++;
    if (end > first) {
      const struct tt_delay_row within = {row.samples + first, end - first};
      return tt_delays_draw(&within, rng);
    }
  }
  return tt_vocabulary_dt_ns(system->vocabulary,
                             (double)tt_delay_bins_draw(&system->bins, bin, rng));
}

void tt_replica_draw_delay(const struct tt_replicas *s, const struct tt_replica_row *row,
                           const float *logits, float *prior) {
  const struct tt_system *system = s->system;
  struct tt_stream_state *stream = &row->replica->streams[row->cpu];
  struct tt_rng *rng = &stream->rng;
  const uint16_t event = stream->pending.event;
  const uint16_t previous = previous_of(stream);
  struct tt_tally_row seen = tt_system_event_delays(system, event, previous);
  if (seen.n == 0)
    seen = tt_tally_row(&system->delays.counts, 0);
  tt_system_delay_prior(system, event, previous, row->cpu, UINT32_MAX, prior);
  const struct tt_scale scale = tt_scale_of(logits, prior, TT_DELAY_BINS);
  for (int try = 0; try < RESIDUAL_TRIES; try++) {
    stream->delay = (size_t)tt_scale_draw(&scale, seen.values, seen.n, NULL, NULL, rng);
    stream->pending.dt = draw_within(s, stream, row->cpu, previous, stream->delay, rng);
    /* a start is a moment at which it hadn't happened yet: given that */
    if (stream->ts >= 0 || stream->pending.dt >= -stream->ts)
      break;
  }
  if (__builtin_add_overflow(stream->ts, stream->pending.dt, &stream->ts))
    stream->ts = INT64_MAX;
  if (stream->ts < 0)
    stream->ts = 0;
}

/* ---- one event ---- */

/* Puts who runs on the row's CPU into it; TT_THREAD_ANY: not known. */
static void tell_thread(const struct tt_replicas *s, uint32_t thread, struct tt_replica_row *row) {
  if (thread != TT_THREAD_ANY &&
      tt_system_markov(s->system)->cast.threads[thread].tid == TT_TID_NONE)
    thread = TT_THREAD_ANY; /* as in training */
  const bool known = thread != TT_THREAD_ANY;
  row->thread = thread;
  row->comm = known ? tt_decoder_comm(row->replica->decoder, thread) : TT_COMM_NONE;
  row->call = known ? row->replica->state.calls[thread] : TT_MARKOV_CALL_UNKNOWN;
}

static void remember(struct tt_stream_state *stream, uint16_t event) {
  tt_markov_push(&stream->history, event);
  tt_markov_remember(&stream->recent, event);
}

/* Who runs on the CPU from now on, chosen first where it is open. */
static void settle(const struct tt_replicas *s, struct tt_replica *replica,
                   struct tt_replica_row *row) {
  struct tt_decoder *decoder = replica->decoder;
  uint32_t thread = tt_decoder_running(decoder, row->cpu);
  if (tt_decoder_open(decoder, row->cpu)) {
    if (thread != TT_THREAD_ANY)
      thread = tt_markov_choose_thread(tt_system_markov(s->system), decoder,
                                       &replica->streams[row->cpu].recent, row->cpu, thread,
                                       &replica->streams[row->cpu].rng);
    if (thread != TT_THREAD_ANY)
      tt_decoder_enter(decoder, row->cpu, thread);
  }
  tell_thread(s, thread, row);
}

const bool *tt_replica_successors(const struct tt_replicas *s, const struct tt_replica *replica) {
  const int32_t latest = replica->state.latest;
  return latest < 0 ? NULL : s->system->follows + (size_t)latest * s->system->base.events.n;
}

size_t tt_replica_choose_cpu(const struct tt_replicas *s, struct tt_replica *replica) {
  const bool *follows = tt_replica_successors(s, replica);
  size_t first = SIZE_MAX, best = SIZE_MAX;
  for (size_t k = 0; k < s->n_cpus; k++) {
    const struct tt_stream_state *stream = &replica->streams[k];
    if (!s->active[k])
      continue;
    if (first == SIZE_MAX || stream->ts < replica->streams[first].ts)
      first = k;
    if ((!follows || follows[stream->pending.event]) &&
        (best == SIZE_MAX || stream->ts < replica->streams[best].ts))
      best = k;
  }
  if (best == SIZE_MAX || replica->streams[best].ts - replica->streams[first].ts > MAX_WAIT)
    return first;
  for (size_t k = 0; k < s->n_cpus; k++)
    if (s->active[k] && replica->streams[k].ts < replica->streams[best].ts)
      replica->streams[k].ts = replica->streams[best].ts;
  return best;
}

void tt_replica_advance(struct tt_replicas *s, struct tt_replica *replica, size_t cpu, size_t i,
                        struct tt_event *ret) {
  const struct tt_system *system = s->system;
  struct tt_stream_state *stream = &replica->streams[cpu];
  const uint16_t event = stream->pending.event;
  if (replica->last != INT64_MIN) { /* after an event of any CPU it came within these bounds */
    const int64_t waited = stream->ts - replica->last;
    if (waited < system->soonest[event])
      stream->ts = replica->last + system->soonest[event];
    else if (waited > system->latest[event])
      stream->ts = replica->last + system->latest[event];
  }
  replica->last = stream->ts;
  tt_decoder_next(replica->decoder, stream->ts, &stream->pending, ret);
  uint32_t ran = tt_decoder_running(replica->decoder, (uint16_t)cpu);
  if (ran != TT_THREAD_ANY && tt_system_markov(system)->cast.threads[ran].tid == TT_TID_NONE)
    ran = TT_THREAD_ANY;
  tt_system_state_follow(system, &replica->state, (uint16_t)cpu, ran, event);
  remember(stream, event);
  struct tt_replica_row *row = &s->rows[i];
  *row = (struct tt_replica_row){.replica = replica, .cpu = (uint16_t)cpu};
  settle(s, replica, row);
  const struct tt_system_moment moment = {.event = event,
                                          .cpu = (uint16_t)cpu,
                                          .ret = stream->ret,
                                          .delay = stream->delay,
                                          .thread = row->thread,
                                          .comm = row->comm,
                                          .call = row->call,
                                          .other = replica->state.elsewhere,
                                          .busy = replica->state.n_busy -
                                                  (size_t)replica->state.busy[cpu]};
  tt_system_ids(system, &moment, s->ids + i * TT_SYSTEM_INPUTS);
}

/* ---- starts ---- */

/* Puts one of a start's rows of a CPU into the next row of the batch. */
static void add_past(struct tt_replicas *s, struct tt_replica *replica,
                     const struct tt_system_start *start, size_t cpu, size_t at) {
  const int32_t *ids = start->ids + (cpu * TT_SYSTEM_START_ROWS + at) * TT_SYSTEM_INPUTS;
  memcpy(s->ids + s->n * TT_SYSTEM_INPUTS, ids, TT_SYSTEM_INPUTS * sizeof *ids);
  remember(&replica->streams[cpu], (uint16_t)ids[TT_SYSTEM_event]);
  s->n++;
}

/* Puts a start's rows [at] of every CPU that has more than one left into the batch. */
static void gather_past(struct tt_replicas *s, const struct tt_system_start *const *starts,
                        size_t at) {
  s->n = 0;
  for (size_t r = 0; r < s->n_replicas; r++)
    for (size_t cpu = 0; cpu < s->n_cpus; cpu++)
      if (at + 1 < starts[r]->rows[cpu]) {
        s->rows[s->n] = (struct tt_replica_row){.replica = &s->replicas[r], .cpu = (uint16_t)cpu};
        add_past(s, &s->replicas[r], starts[r], cpu, at);
      }
}

static enum tt_status begin_replica(const struct tt_replicas *s, struct tt_replica *replica,
                                    const struct tt_system_start *start, uint64_t stream) {
  const size_t cpus = s->n_cpus;
  tt_decoder_free(replica->decoder);
  replica->decoder = NULL;
  enum tt_status status = tt_decoder_new(&tt_system_markov(s->system)->cast,
                                         s->config->seed ^ stream << 20, &replica->decoder);
  if (status != TT_OK)
    return status;
  replica->last = INT64_MIN;
  replica->made = 0;
  uint32_t *calls = replica->state.calls;
  bool *busy = replica->state.busy;
  replica->state = start->state;
  replica->state.calls = calls;
  replica->state.busy = busy;
  memcpy(calls, start->state.calls, tt_system_markov(s->system)->cast.n_threads * sizeof *calls);
  memcpy(busy, start->state.busy, cpus * sizeof *busy);
  for (uint32_t i = 0; i < tt_system_markov(s->system)->cast.n_threads; i++)
    tt_decoder_call_it(replica->decoder, i, start->comm[i]);
  memset(replica->streams, 0, cpus * sizeof *replica->streams);
  for (size_t cpu = 0; cpu < cpus; cpu++) {
    memset(&replica->streams[cpu].recent, 0xff, sizeof replica->streams[cpu].recent);
    replica->streams[cpu].ts = -start->age[cpu];
    tt_rng_init(&replica->streams[cpu].rng, s->config->seed, stream << 16 | cpu);
    uint32_t thread = start->thread[cpu];
    if (thread != TT_THREAD_ANY && tt_decoder_may_run(replica->decoder, thread, (uint16_t)cpu))
      tt_decoder_enter(replica->decoder, (uint16_t)cpu, thread);
  }
  return TT_OK;
}

/* Puts the last row of its start into the batch, for every stream. */
static void begin_streams(struct tt_replicas *s, const struct tt_system_start *const *starts) {
  s->n = 0;
  for (size_t r = 0; r < s->n_replicas; r++)
    for (size_t cpu = 0; cpu < s->n_cpus; cpu++) {
      if (!s->active[cpu])
        continue;
      struct tt_replica *replica = &s->replicas[r];
      const size_t rows = starts[r]->rows[cpu];
      struct tt_replica_row *row = &s->rows[s->n];
      *row = (struct tt_replica_row){.replica = replica, .cpu = (uint16_t)cpu};
      tell_thread(s, tt_decoder_running(replica->decoder, (uint16_t)cpu), row);
      if (rows > 0) {
        add_past(s, replica, starts[r], cpu, rows - 1);
        continue;
      }
      int32_t *ids = s->ids + s->n * TT_SYSTEM_INPUTS;
      for (size_t k = 0; k < TT_SYSTEM_INPUTS; k++)
        ids[k] = -1;
      ids[TT_SYSTEM_cpu] = tt_system_cpu_id(s->system, cpu);
      s->n++;
    }
}

static enum tt_status begin_round(struct tt_replicas *s, const struct tt_replica_ops *ops,
                                  void *user, uint64_t round) {
  const struct tt_system *system = s->system;
  const struct tt_system_start *starts[MAX_REPLICAS];
  for (size_t r = 0; r < s->n_replicas; r++) {
    uint64_t stream = round * MAX_REPLICAS + r;
    struct tt_rng rng;
    tt_rng_init(&rng, s->config->seed ^ 0x7374617274, stream);
    starts[r] = &system->starts[(r * system->n_starts + tt_rng_below(&rng, system->n_starts)) /
                                s->n_replicas];
    enum tt_status status = begin_replica(s, &s->replicas[r], starts[r], stream);
    if (status != TT_OK)
      return status;
  }
  if (ops->restart)
    ops->restart(user);
  for (size_t at = 0; at < TT_SYSTEM_START_ROWS; at++) {
    gather_past(s, starts, at);
    if (s->n == 0)
      break;
    ops->see(user);
  }
  begin_streams(s, starts);
  ops->draw(user);
  return TT_OK;
}

/* ---- all of it ---- */

static enum tt_status take_logs(struct tt_replicas *s) {
  const size_t n = s->system->base.events.n;
  s->boost = tt_alloc(n, sizeof *s->boost);
  if (!s->boost)
    return tt_fail(TT_NO_MEMORY, "factors of %zu events", n);
  for (size_t i = 0; i < n; i++)
    s->boost[i] = logf(s->config->boost[i]);
  return TT_OK;
}

enum tt_status tt_replicas_init(struct tt_replicas *s, const struct tt_system *whole,
                                const struct tt_generate_config *config) {
  const struct tt_system *system =
      tt_system_workload(whole, tt_generator_which(&whole->base, config));
  *s = (struct tt_replicas){.system = system, .config = config};
  const uint64_t events = s->config->events;
  s->n_cpus = system->base.cpu_limit;
  s->n_replicas = (size_t)(events / MIN_STRETCH) + 1;
  if (s->n_replicas > MAX_REPLICAS)
    s->n_replicas = MAX_REPLICAS;
  if (s->n_replicas * s->n_cpus > MAX_SLOTS)
    s->n_replicas = MAX_SLOTS / s->n_cpus + (MAX_SLOTS < s->n_cpus);
  const uint64_t each = (events + s->n_replicas - 1) / s->n_replicas;
  s->stretch = each < MAX_STRETCH ? (size_t)each : MAX_STRETCH;
  const size_t slots = s->n_replicas * s->n_cpus;
  s->active = tt_calloc(s->n_cpus, sizeof *s->active);
  s->replicas = tt_calloc(s->n_replicas, sizeof *s->replicas);
  s->rows = tt_alloc(slots, sizeof *s->rows);
  s->ids = tt_alloc(slots * TT_SYSTEM_INPUTS, sizeof *s->ids);
  s->drawn = tt_alloc(slots, sizeof *s->drawn);
  if (!s->active || !s->replicas || !s->rows || !s->ids || !s->drawn)
    return tt_fail(TT_NO_MEMORY, "%zu replicas of %zu CPUs", s->n_replicas, s->n_cpus);
  if (config->boost && take_logs(s) != TT_OK)
    return TT_NO_MEMORY;
  for (size_t i = 0; i < s->n_cpus * system->base.events.n; i++)
    s->active[i / system->base.events.n] |= system->on_cpu[i];
  for (size_t r = 0; r < s->n_replicas; r++) {
    struct tt_replica *replica = &s->replicas[r];
    enum tt_status status = tt_system_state_init(system, &replica->state);
    if (status != TT_OK)
      return status;
    replica->streams = tt_calloc(s->n_cpus, sizeof *replica->streams);
    replica->events = tt_alloc(s->stretch, sizeof *replica->events);
    if (!replica->streams || !replica->events)
      return tt_fail(TT_NO_MEMORY, "a replica of %zu events", s->stretch);
  }
  return tt_compute_create(TT_PRECISION_AUTO, config->seed, &s->compute);
}

void tt_replicas_release(struct tt_replicas *s) {
  for (size_t r = 0; s->replicas && r < s->n_replicas; r++) {
    tt_decoder_free(s->replicas[r].decoder);
    tt_system_state_release(&s->replicas[r].state);
    tt_free(s->replicas[r].streams);
    tt_free(s->replicas[r].events);
  }
  tt_compute_free(s->compute);
  tt_free(s->active);
  tt_free(s->boost);
  tt_free(s->replicas);
  tt_free(s->rows);
  tt_free(s->ids);
  tt_free(s->drawn);
}

static bool all_made(const struct tt_replicas *s, size_t n) {
  for (size_t r = 0; r < s->n_replicas; r++)
    if (s->replicas[r].made < n)
      return false;
  return true;
}

/* `n` events of every replica. */
static enum tt_status run_round(struct tt_replicas *s, const struct tt_replica_ops *ops, void *user,
                                size_t n, uint64_t done, double begin) {
  for (size_t step = 0; !all_made(s, n); step++) {
    const uint64_t made = done + s->replicas[0].made * s->n_replicas;
    if (tt_interrupted())
      return tt_fail(TT_INTERRUPTED, "interrupted after %llu generated events",
                     (unsigned long long)made);
    ops->step(user, n);
    if (s->config->progress && s->config->progress->report && step % 64 == 0)
      tt_merge_report(s->config->progress, made < s->config->events ? made : s->config->events,
                      s->config->events, tt_seconds() - begin);
  }
  return TT_OK;
}

enum tt_status tt_replicas_run(struct tt_replicas *s, const struct tt_replica_ops *ops, void *user,
                               const struct tt_event_sink *sink) {
  const struct tt_generate_config *config = s->config;
  const double begin = tt_seconds();
  int64_t offset = s->system->base.begin_ns;
  enum tt_status status = TT_OK;
  for (uint64_t done = 0, round = 0; status == TT_OK && done < config->events; round++) {
    const uint64_t left = config->events - done;
    const uint64_t share = (left + s->n_replicas - 1) / s->n_replicas;
    const size_t n = share < s->stretch ? (size_t)share : s->stretch;
    status = begin_round(s, ops, user, round);
    if (status == TT_OK)
      status = run_round(s, ops, user, n, done, begin);
    for (size_t r = 0; r < s->n_replicas && done < config->events && status == TT_OK; r++) {
      struct tt_event *events = s->replicas[r].events;
      const size_t take = config->events - done < n ? (size_t)(config->events - done) : n;
      for (size_t i = 0; i < take; i++)
        if (__builtin_add_overflow(events[i].ts, offset, &events[i].ts))
          events[i].ts = INT64_MAX;
      offset = events[take - 1].ts;
      status = sink->write(sink->user, events, take);
      done += take;
    }
  }
  return status;
}

size_t tt_system_widest(const struct tt_system *system) {
  const size_t widest = system->n_events > system->n_rets ? system->n_events : system->n_rets;
  return widest > TT_DELAY_BINS ? widest : TT_DELAY_BINS;
}
