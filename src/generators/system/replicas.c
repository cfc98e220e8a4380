#include "generators/system/replicas.h"

#include <math.h>

enum { RESIDUAL_TRIES = 64 };

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
         (place->thread.n == 0 || tt_tally_count(&place->thread, event)) &&
         tt_system_comm_had(place->system, place->comm, (uint16_t)event);
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
                                 row->comm, row->call};
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

/* A long wait for a tick ends with it. */
static void wait_for_tick(const struct tt_replicas *s, const struct tt_replica_row *row,
                          int64_t last) {
  const struct tt_system *system = s->system;
  struct tt_stream_state *stream = &row->replica->streams[row->cpu];
  const int64_t ts = tt_clock_snap(&system->clock, stream->pending.event,
                                   row->replica->start->since, last, stream->ts, &stream->rng);
  if (ts == stream->ts)
    return;
  stream->ts = ts;
  stream->pending.dt = ts - last;
  stream->delay =
      tt_delay_bins_of(&system->bins, tt_vocabulary_dt(system->vocabulary, stream->pending.dt));
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
  const int64_t last = stream->ts;
  if (__builtin_add_overflow(stream->ts, stream->pending.dt, &stream->ts))
    stream->ts = INT64_MAX;
  else if (row->replica->start)
    wait_for_tick(s, row, last);
  if (stream->ts < 0)
    stream->ts = 0;
}

/* ---- one event ---- */

void tt_replica_tell_thread(const struct tt_replicas *s, uint32_t thread,
                            struct tt_replica_row *row) {
  if (thread != TT_THREAD_ANY &&
      tt_system_markov(s->system)->cast.threads[thread].tid == TT_TID_NONE)
    thread = TT_THREAD_ANY; /* as in training */
  const bool known = thread != TT_THREAD_ANY;
  row->thread = thread;
  row->comm = known ? tt_decoder_comm(row->replica->decoder, thread) : TT_COMM_NONE;
  row->call = known ? row->replica->state.calls[thread] : TT_MARKOV_CALL_UNKNOWN;
}

void tt_stream_remember(struct tt_stream_state *stream, uint16_t event) {
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
      thread =
          tt_turns_choose(s->system, &replica->state, decoder, &replica->streams[row->cpu].recent,
                          row->cpu, thread, s->turns, &replica->streams[row->cpu].rng);
    if (thread != TT_THREAD_ANY)
      tt_markov_enter(tt_system_markov(s->system), decoder, &replica->streams[row->cpu].recent,
                      row->cpu, thread);
  }
  tt_replica_tell_thread(s, thread, row);
}

const bool *tt_replica_successors(const struct tt_replicas *s, const struct tt_replica *replica) {
  const int32_t latest = replica->state.latest;
  return latest < 0 ? NULL : s->system->follows + (size_t)latest * s->system->base.events.n;
}

size_t tt_replica_choose_cpu(const struct tt_replicas *s, struct tt_replica *replica,
                             int64_t wait) {
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
  if (best == SIZE_MAX || replica->streams[best].ts - replica->streams[first].ts > wait)
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
  tt_stream_remember(stream, event);
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

size_t tt_system_widest(const struct tt_system *system) {
  const size_t widest = system->n_events > system->n_rets ? system->n_events : system->n_rets;
  return widest > TT_DELAY_BINS ? widest : TT_DELAY_BINS;
}
