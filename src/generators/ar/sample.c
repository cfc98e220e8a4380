/* Sampling. A replica is a whole system: its streams (one per CPU) are merged by generated time,
 * and an event is drawn right after the CPU's one before has happened, so that all which the
 * network is told is true in the twin. Within a replica that is one event at a time; so many
 * replicas advance side by side, one row each in the network's batch, and the twin is their
 * stretches one after the other. Where one ends and the next begins the state changes as it does
 * across lost events: stretches are as long as MIN_STRETCH to MAX_STRETCH events allow.
 *
 * Replicas start from real moments, each from its share of the training time, in its order: the
 * phases of a workload last longer than any stretch, and so keep their shares and their order. A
 * model left to itself drifts into the phases that are easy to stay in.
 *
 * Probabilities are in double precision, drawn by inverse CDF. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "generators/ar/ar.h"
#include "generators/merge.h"

enum {
  MAX_REPLICAS = 64,
  MAX_SLOTS = 512, /* key/value rings: replicas times CPUs */
  MIN_STRETCH = 2048,
  MAX_STRETCH = 16384,
  MAX_WAIT = 20000, /* ns */
  RESIDUAL_TRIES = 64,
};

struct stream { /* a CPU of a replica */
  struct tt_markov_history history;
  struct tt_markov_recent recent;
  uint64_t position;        /* in its ring */
  int64_t ts;               /* of the pending event; before it is drawn: of the last one */
  struct tt_sample pending; /* the next event */
  uint16_t ret;             /* its vocabulary id */
  size_t delay;             /* its bin */
  struct tt_rng rng;        /* its own: streams of a replica are drawn by several threads */
};

struct replica {
  struct tt_decoder *decoder;
  struct tt_ar_system system;
  struct stream *streams;  /* [n_cpus] */
  int64_t last;            /* ts of its last event; INT64_MIN: none yet */
  struct tt_event *events; /* [stretch] */
};

struct row { /* one row of a batch */
  struct replica *replica;
  uint16_t cpu;
  uint32_t thread, comm, call; /* who runs */
};

struct sampler {
  const struct tt_ar *ar;
  const struct tt_generate_config *config;
  struct tt_compute *compute;
  struct tt_transformer_rings rings;
  struct replica *replicas; /* [n_replicas] */
  size_t n_replicas, n_cpus, stretch;
  bool *active; /* [n_cpus] something ever happened there */
  /* a batch: at most n_replicas * n_cpus rows */
  struct row *rows;
  int32_t *ids, *drawn;
  uint32_t *slots;
  uint64_t *positions;
  size_t n;
};

/* ---- drawing ---- */

struct scale { /* logits of one row and how they combine with its prior */
  const float *logits, *prior;
  float gate;
};

static struct scale scale_of(const float *logits, const float *prior, size_t classes) {
  return (struct scale){logits, prior, logits[classes]};
}

static double logit(const struct scale *scale, size_t v) {
  return (double)scale->logits[v] + (double)scale->gate * (double)scale->prior[v];
}

/* One of values[n] with allow(v), in proportion to exp(logit); -1: none is allowed. */
typedef bool allow_fn(const void *what, int64_t value);
static int64_t draw(const struct scale *scale, const int64_t *values, size_t n, allow_fn *allow,
                    const void *what, struct tt_rng *rng) {
  double max = -INFINITY, sum = 0;
  for (size_t i = 0; i < n; i++)
    if (!allow || allow(what, values[i]))
      max = fmax(max, logit(scale, (size_t)values[i]));
  if (!isfinite(max))
    return -1;
  for (size_t i = 0; i < n; i++)
    if (!allow || allow(what, values[i]))
      sum += exp(logit(scale, (size_t)values[i]) - max);
  double at = tt_rng_uniform(rng) * sum;
  int64_t last = -1;
  for (size_t i = 0; i < n; i++)
    if (!allow || allow(what, values[i])) {
      last = values[i];
      at -= exp(logit(scale, (size_t)last) - max);
      if (at < 0)
        break;
    }
  return last;
}

struct place { /* where an event is to happen */
  const struct tt_ar *ar;
  struct tt_tally_row thread; /* empty: whatever */
  uint16_t cpu;
};

static bool seen_here(const void *what, int64_t event) {
  const struct place *place = what;
  return place->ar->on_cpu[place->cpu * place->ar->base.events.n + (size_t)event];
}

static bool seen_here_of_thread(const void *what, int64_t event) {
  const struct place *place = what;
  return seen_here(what, event) && (place->thread.n == 0 || tt_tally_count(&place->thread, event));
}

static uint16_t draw_event(const struct sampler *s, const struct row *row, const float *logits,
                           float *prior) {
  const struct tt_ar *ar = s->ar;
  struct stream *stream = &row->replica->streams[row->cpu];
  const size_t classes = ar->network.n_events;
  tt_ar_event_prior(ar, &stream->history, row->thread, row->call, UINT32_MAX, prior);
  const struct scale scale = scale_of(logits, prior, classes);
  const struct place place = {ar, tt_ar_thread_events(ar, row->thread), row->cpu};
  struct tt_tally_row row_of = {0};
  if (stream->history.n)
    row_of = tt_ar_successors(ar, stream->history.events[0]);
  if (row_of.n == 0) /* nothing ever followed, or nothing happened yet */
    row_of = tt_tally_row(&tt_ar_markov(ar)->common.counts, 0);
  struct tt_rng *rng = &stream->rng;
  int64_t event = draw(&scale, row_of.values, row_of.n, seen_here_of_thread, &place, rng);
  if (event < 0)
    event = draw(&scale, row_of.values, row_of.n, seen_here, &place, rng);
  if (event < 0)
    event = draw(&scale, row_of.values, row_of.n, NULL, NULL, rng);
  TT_ASSERT(event >= 0);
  return (uint16_t)event;
}

/* The vocabulary id of the pending event's return value, -1: it never has one. */
static int32_t draw_ret(const struct sampler *s, const struct row *row, const float *logits,
                        float *prior) {
  const struct tt_ar *ar = s->ar;
  struct stream *stream = &row->replica->streams[row->cpu];
  const uint16_t event = stream->pending.event;
  stream->pending.ret = TT_RET_NONE;
  stream->ret = tt_vocabulary_ret_none(ar->vocabulary);
  const struct tt_tally_row seen = tt_ar_event_rets(ar, event);
  if (tt_ar_markov(ar)->cast.events[event].n_rets == 0 || seen.n == 0)
    return -1;
  const uint16_t previous = stream->history.n ? stream->history.events[0] : TT_MARKOV_NO_EVENT;
  tt_ar_ret_prior(ar, event, row->comm, previous, UINT32_MAX, prior);
  const struct scale scale = scale_of(logits, prior, ar->network.n_rets);
  struct tt_rng *rng = &stream->rng;
  stream->ret = (uint16_t)draw(&scale, seen.values, seen.n, NULL, NULL, rng);
  stream->pending.ret = stream->ret == TT_ID_UNK
                            ? TT_RET_DRAW
                            : tt_vocabulary_ret_value(ar->vocabulary, stream->ret, rng);
  return stream->ret;
}

/* A time within the bin: as real ones after these events, where there are any. */
static int64_t draw_within(const struct sampler *s, const struct stream *stream, uint16_t cpu,
                           uint16_t previous, size_t bin, struct tt_rng *rng) {
  const struct tt_ar *ar = s->ar;
  const float *edge = ar->bins.quantile + bin * TT_DELAY_POINTS;
  const int64_t low = tt_vocabulary_dt_ns(ar->vocabulary, (double)edge[0]);
  const int64_t high = tt_vocabulary_dt_ns(ar->vocabulary, (double)edge[TT_DELAY_POINTS]);
  for (unsigned level = 0; level < TT_MARKOV_DELAY_LEVELS; level++) {
    const struct tt_delay_row row =
        tt_delays_find(&tt_ar_markov(ar)->delays,
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
  return tt_vocabulary_dt_ns(ar->vocabulary, (double)tt_delay_bins_draw(&ar->bins, bin, rng));
}

static void draw_delay(const struct sampler *s, const struct row *row, const float *logits,
                       float *prior) {
  const struct tt_ar *ar = s->ar;
  struct stream *stream = &row->replica->streams[row->cpu];
  struct tt_rng *rng = &stream->rng;
  const uint16_t event = stream->pending.event;
  const uint16_t previous = stream->history.n ? stream->history.events[0] : TT_MARKOV_NO_EVENT;
  struct tt_tally_row seen = tt_ar_event_delays(ar, event, previous);
  if (seen.n == 0)
    seen = tt_tally_row(&ar->delays.counts, 0);
  tt_ar_delay_prior(ar, event, previous, row->cpu, UINT32_MAX, prior);
  const struct scale scale = scale_of(logits, prior, TT_DELAY_BINS);
  for (int try = 0; try < RESIDUAL_TRIES; try++) {
    stream->delay = (size_t)draw(&scale, seen.values, seen.n, NULL, NULL, rng);
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

/* The pending events of the batch's rows. */
static void draw_rows(struct sampler *s) {
  const struct tt_ar_network *net = &s->ar->network;
  struct tt_tensor *hidden, *middle;
  const size_t widest = net->n_events > net->n_rets ? net->n_events : net->n_rets;
  const size_t classes = widest > TT_DELAY_BINS ? widest : TT_DELAY_BINS;
  tt_compute_begin(s->compute, false, 0);
  float *priors = tt_arena(s->compute, s->n * classes, sizeof *priors);
  const float *logits = tt_ar_network_events(s->compute, net, &s->rings, s->ids, s->n, s->slots,
                                             s->positions, &hidden);
#pragma omp parallel for schedule(static)
  for (size_t i = 0; i < s->n; i++) {
    const struct row *row = &s->rows[i];
    uint16_t event = draw_event(s, row, logits + i * (net->n_events + 1), priors + i * classes);
    row->replica->streams[row->cpu].pending = (struct tt_sample){.comm = TT_COMM_NONE,
                                                                 .thread = TT_THREAD_ANY,
                                                                 .bucket = -1,
                                                                 .event = event,
                                                                 .cpu = row->cpu};
    s->drawn[i] = event;
  }
  logits = tt_ar_network_rets(s->compute, net, hidden, s->drawn, &middle);
#pragma omp parallel for schedule(static)
  for (size_t i = 0; i < s->n; i++)
    s->drawn[i] = draw_ret(s, &s->rows[i], logits + i * (net->n_rets + 1), priors + i * classes);
  logits = tt_ar_network_delays(s->compute, net, middle, s->drawn);
#pragma omp parallel for schedule(static)
  for (size_t i = 0; i < s->n; i++)
    draw_delay(s, &s->rows[i], logits + i * (TT_DELAY_BINS + 1), priors + i * classes);
}

/* ---- one event ---- */

/* Puts who runs on the row's CPU into it; TT_THREAD_ANY: not known. */
static void tell_thread(const struct sampler *s, uint32_t thread, struct row *row) {
  if (thread != TT_THREAD_ANY && tt_ar_markov(s->ar)->cast.threads[thread].tid == TT_TID_NONE)
    thread = TT_THREAD_ANY; /* as in training */
  const bool known = thread != TT_THREAD_ANY;
  row->thread = thread;
  row->comm = known ? tt_decoder_comm(row->replica->decoder, thread) : TT_COMM_NONE;
  row->call = known ? row->replica->system.calls[thread] : TT_MARKOV_CALL_UNKNOWN;
}

/* The CPU's next position goes to row i of the batch. */
static void place_row(struct sampler *s, const struct replica *replica, size_t cpu, size_t i) {
  s->slots[i] = (uint32_t)((size_t)(replica - s->replicas) * s->n_cpus + cpu);
  s->positions[i] = replica->streams[cpu].position++;
}

static void remember(struct stream *stream, uint16_t event) {
  tt_markov_push(&stream->history, event);
  tt_markov_remember(&stream->recent, event);
}

/* Who runs on the CPU from now on, chosen first where it is open. */
static void settle(const struct sampler *s, struct replica *replica, struct row *row) {
  struct tt_decoder *decoder = replica->decoder;
  uint32_t thread = tt_decoder_running(decoder, row->cpu);
  if (tt_decoder_open(decoder, row->cpu)) {
    if (thread != TT_THREAD_ANY)
      thread =
          tt_markov_choose_thread(tt_ar_markov(s->ar), decoder, &replica->streams[row->cpu].recent,
                                  row->cpu, thread, &replica->streams[row->cpu].rng);
    if (thread != TT_THREAD_ANY)
      tt_decoder_enter(decoder, row->cpu, thread);
  }
  tell_thread(s, thread, row);
}

/* The CPU whose event comes next: the earliest, unless the merged trace never had it right after
 * the last one and another that may follow comes within MAX_WAIT. Those that it overtakes wait.
 */
static size_t choose_cpu(const struct sampler *s, struct replica *replica) {
  const struct tt_ar *ar = s->ar;
  const bool *follows = replica->system.latest < 0
                            ? NULL
                            : ar->follows + (size_t)replica->system.latest * ar->base.events.n;
  size_t first = SIZE_MAX, best = SIZE_MAX;
  for (size_t k = 0; k < s->n_cpus; k++) {
    const struct stream *stream = &replica->streams[k];
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

/* Lets the replica's next event happen and puts what is known then into row i of the batch. */
static void advance(struct sampler *s, struct replica *replica, size_t i, struct tt_event *ret) {
  const struct tt_ar *ar = s->ar;
  const size_t cpu = choose_cpu(s, replica);
  struct stream *stream = &replica->streams[cpu];
  const uint16_t event = stream->pending.event;
  if (replica->last != INT64_MIN && stream->ts < replica->last + ar->soonest[event])
    stream->ts = replica->last + ar->soonest[event]; /* no event of any CPU comes sooner */
  replica->last = stream->ts;
  tt_decoder_next(replica->decoder, stream->ts, &stream->pending, ret);
  uint32_t ran = tt_decoder_running(replica->decoder, (uint16_t)cpu);
  if (ran != TT_THREAD_ANY && tt_ar_markov(ar)->cast.threads[ran].tid == TT_TID_NONE)
    ran = TT_THREAD_ANY;
  tt_ar_system_follow(ar, &replica->system, (uint16_t)cpu, ran, event);
  remember(stream, event);
  struct row *row = &s->rows[i];
  *row = (struct row){.replica = replica, .cpu = (uint16_t)cpu};
  settle(s, replica, row);
  const struct tt_ar_moment moment = {.event = event,
                                      .cpu = (uint16_t)cpu,
                                      .ret = stream->ret,
                                      .delay = stream->delay,
                                      .thread = row->thread,
                                      .comm = row->comm,
                                      .call = row->call,
                                      .other = replica->system.elsewhere,
                                      .busy = replica->system.n_busy -
                                              (size_t)replica->system.busy[cpu]};
  tt_ar_ids(ar, &moment, s->ids + i * TT_AR_INPUTS);
  place_row(s, replica, cpu, i);
}

/* ---- starts ---- */

/* Puts one of a start's rows of a CPU into the next row of the batch. */
static void add_past(struct sampler *s, struct replica *replica, const struct tt_ar_start *start,
                     size_t cpu, size_t at) {
  const int32_t *ids = start->ids + (cpu * TT_AR_START_ROWS + at) * TT_AR_INPUTS;
  memcpy(s->ids + s->n * TT_AR_INPUTS, ids, TT_AR_INPUTS * sizeof *ids);
  remember(&replica->streams[cpu], (uint16_t)ids[TT_AR_event]);
  place_row(s, replica, cpu, s->n++);
}

/* Puts a start's rows [at] of every CPU that has more than one left into the batch. */
static void gather_past(struct sampler *s, const struct tt_ar_start *const *starts, size_t at) {
  s->n = 0;
  for (size_t r = 0; r < s->n_replicas; r++)
    for (size_t cpu = 0; cpu < s->n_cpus; cpu++)
      if (at + 1 < starts[r]->rows[cpu])
        add_past(s, &s->replicas[r], starts[r], cpu, at);
}

static enum tt_status begin_replica(const struct sampler *s, struct replica *replica,
                                    const struct tt_ar_start *start, uint64_t stream) {
  const size_t cpus = s->n_cpus;
  tt_decoder_free(replica->decoder);
  replica->decoder = NULL;
  enum tt_status status =
      tt_decoder_new(&tt_ar_markov(s->ar)->cast, s->config->seed ^ stream << 20, &replica->decoder);
  if (status != TT_OK)
    return status;
  replica->last = INT64_MIN;
  uint32_t *calls = replica->system.calls;
  bool *busy = replica->system.busy;
  replica->system = start->system;
  replica->system.calls = calls;
  replica->system.busy = busy;
  memcpy(calls, start->system.calls, tt_ar_markov(s->ar)->cast.n_threads * sizeof *calls);
  memcpy(busy, start->system.busy, cpus * sizeof *busy);
  for (uint32_t i = 0; i < tt_ar_markov(s->ar)->cast.n_threads; i++)
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

/* Draws every stream's first event from the last row of its start. */
static void begin_streams(struct sampler *s, const struct tt_ar_start *const *starts) {
  s->n = 0;
  for (size_t r = 0; r < s->n_replicas; r++)
    for (size_t cpu = 0; cpu < s->n_cpus; cpu++) {
      if (!s->active[cpu])
        continue;
      struct replica *replica = &s->replicas[r];
      const size_t rows = starts[r]->rows[cpu];
      struct row *row = &s->rows[s->n];
      *row = (struct row){.replica = replica, .cpu = (uint16_t)cpu};
      tell_thread(s, tt_decoder_running(replica->decoder, (uint16_t)cpu), row);
      if (rows > 0) {
        add_past(s, replica, starts[r], cpu, rows - 1);
        continue;
      }
      int32_t *ids = s->ids + s->n * TT_AR_INPUTS;
      for (size_t k = 0; k < TT_AR_INPUTS; k++)
        ids[k] = -1;
      ids[TT_AR_cpu] = (int32_t)cpu;
      place_row(s, replica, cpu, s->n++);
    }
  draw_rows(s);
}

static enum tt_status begin_round(struct sampler *s, uint64_t round) {
  const struct tt_ar *ar = s->ar;
  const struct tt_ar_start *starts[MAX_REPLICAS];
  for (size_t r = 0; r < s->n_replicas; r++) {
    uint64_t stream = round * MAX_REPLICAS + r;
    struct tt_rng rng;
    tt_rng_init(&rng, s->config->seed ^ 0x7374617274, stream);
    starts[r] = &ar->starts[(r * ar->n_starts + tt_rng_below(&rng, ar->n_starts)) / s->n_replicas];
    enum tt_status status = begin_replica(s, &s->replicas[r], starts[r], stream);
    if (status != TT_OK)
      return status;
  }
  for (size_t at = 0; at < TT_AR_START_ROWS; at++) {
    gather_past(s, starts, at);
    if (s->n == 0)
      break;
    struct tt_tensor *hidden;
    tt_compute_begin(s->compute, false, 0);
    tt_ar_network_events(s->compute, &ar->network, &s->rings, s->ids, s->n, s->slots, s->positions,
                         &hidden);
  }
  begin_streams(s, starts);
  return TT_OK;
}

/* ---- all of it ---- */

static enum tt_status make_sampler(struct sampler *s) {
  const struct tt_ar *ar = s->ar;
  const uint64_t events = s->config->events;
  s->n_cpus = ar->base.cpu_limit;
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
  s->ids = tt_alloc(slots * TT_AR_INPUTS, sizeof *s->ids);
  s->drawn = tt_alloc(slots, sizeof *s->drawn);
  s->slots = tt_alloc(slots, sizeof *s->slots);
  s->positions = tt_alloc(slots, sizeof *s->positions);
  if (!s->active || !s->replicas || !s->rows || !s->ids || !s->drawn || !s->slots || !s->positions)
    return tt_fail(TT_NO_MEMORY, "%zu replicas of %zu CPUs", s->n_replicas, s->n_cpus);
  for (size_t i = 0; i < s->n_cpus * ar->base.events.n; i++)
    s->active[i / ar->base.events.n] |= ar->on_cpu[i];
  for (size_t r = 0; r < s->n_replicas; r++) {
    struct replica *replica = &s->replicas[r];
    enum tt_status status = tt_ar_system_init(ar, &replica->system);
    if (status != TT_OK)
      return status;
    replica->streams = tt_calloc(s->n_cpus, sizeof *replica->streams);
    replica->events = tt_alloc(s->stretch, sizeof *replica->events);
    if (!replica->streams || !replica->events)
      return tt_fail(TT_NO_MEMORY, "a replica of %zu events", s->stretch);
  }
  enum tt_status status = tt_compute_create(TT_PRECISION_AUTO, s->config->seed, &s->compute);
  if (status == TT_OK)
    status = tt_transformer_rings_create(&ar->network.body, slots, ar->network.window, &s->rings);
  return status;
}

static void free_sampler(struct sampler *s) {
  for (size_t r = 0; s->replicas && r < s->n_replicas; r++) {
    tt_decoder_free(s->replicas[r].decoder);
    tt_ar_system_release(&s->replicas[r].system);
    tt_free(s->replicas[r].streams);
    tt_free(s->replicas[r].events);
  }
  tt_transformer_rings_release(&s->rings);
  tt_compute_free(s->compute);
  tt_free(s->active);
  tt_free(s->replicas);
  tt_free(s->rows);
  tt_free(s->ids);
  tt_free(s->drawn);
  tt_free(s->slots);
  tt_free(s->positions);
}

/* `n` events of every replica. */
static enum tt_status run_round(struct sampler *s, size_t n, uint64_t done, double begin) {
  for (size_t step = 0; step < n; step++) {
    if (tt_interrupted())
      return tt_fail(TT_INTERRUPTED, "interrupted after %llu generated events",
                     (unsigned long long)(done + step * s->n_replicas));
    s->n = s->n_replicas;
#pragma omp parallel for schedule(static)
    for (size_t r = 0; r < s->n_replicas; r++)
      advance(s, &s->replicas[r], r, &s->replicas[r].events[step]);
    draw_rows(s);
    if (s->config->progress && s->config->progress->report && step % 64 == 0) {
      uint64_t made = done + step * s->n_replicas;
      tt_merge_report(s->config->progress, made < s->config->events ? made : s->config->events,
                      s->config->events, tt_seconds() - begin);
    }
  }
  return TT_OK;
}

enum tt_status tt_ar_generate(const struct tt_generator *generator,
                              const struct tt_generate_config *config,
                              const struct tt_event_sink *sink) {
  struct sampler s = {.ar = (const struct tt_ar *)generator, .config = config};
  const double begin = tt_seconds();
  int64_t offset = generator->begin_ns;
  enum tt_status status = make_sampler(&s);
  for (uint64_t done = 0, round = 0; status == TT_OK && done < config->events; round++) {
    const uint64_t left = config->events - done;
    const uint64_t share = (left + s.n_replicas - 1) / s.n_replicas;
    const size_t n = share < s.stretch ? (size_t)share : s.stretch;
    status = begin_round(&s, round);
    if (status == TT_OK)
      status = run_round(&s, n, done, begin);
    for (size_t r = 0; r < s.n_replicas && done < config->events && status == TT_OK; r++) {
      struct tt_event *events = s.replicas[r].events;
      const size_t take = config->events - done < n ? (size_t)(config->events - done) : n;
      for (size_t i = 0; i < take; i++)
        if (__builtin_add_overflow(events[i].ts, offset, &events[i].ts))
          events[i].ts = INT64_MAX;
      offset = events[take - 1].ts;
      status = sink->write(sink->user, events, take);
      done += take;
    }
  }
  free_sampler(&s);
  return status;
}
