/* Drawing from the counts, one event of one stream at a time, in merged order: what runs where at
 * that time decides who may be chosen next (merge.h, decode.h). */
#include <string.h>

#include "base/mem.h"
#include "generators/decode.h"
#include "generators/markov/markov.h"
#include "generators/merge.h"

#define THREAD_TRIES 12 /* draws of a thread before all that were seen are weighed */
#define TURN_EVENTS 16  /* of the turn to come that a thread is chosen by */

struct sampled_stream {
  struct tt_markov_history history;
  struct tt_rng rng;
  const struct tt_markov_start *start;
  uint16_t cpu; /* of the last sample */
};

struct sampler {
  const struct tt_markov *markov;
  const struct tt_markov_events *events; /* NULL: its own */
  struct tt_decoder *decoder;
  struct sampled_stream *streams;  /* [n_streams] those that have events */
  struct tt_markov_recent *recent; /* [cpu_limit] */
  size_t n_streams;
  const float *boost; /* of tt_generate_config */
};

/* ---- threads ---- */

/* The thread that a turn is of, or TT_THREAD_ANY: it may not run there. */
static uint32_t enters(const struct tt_markov *markov, const struct tt_decoder *decoder,
                       int64_t turn, uint16_t cpu, uint32_t leaving) {
  const uint32_t thread = tt_markov_thread_of(markov, turn, cpu, leaving);
  const bool may = thread != TT_THREAD_ANY &&
                   (thread != leaving || turn == TT_MARKOV_SAME || !markov->cast.switches) &&
                   tt_decoder_may_run(decoder, thread, cpu);
  return may ? thread : TT_THREAD_ANY;
}

/* Of those of a row that may run, one in proportion to its count, or TT_THREAD_ANY. */
static uint32_t draw_free(const struct tt_markov *markov, const struct tt_decoder *decoder,
                          const struct tt_tally_row *row, uint16_t cpu, uint32_t leaving,
                          struct tt_rng *rng) {
  uint32_t chosen = TT_THREAD_ANY;
  uint64_t weight = 0;
  for (size_t i = 0; i < row->n; i++) {
    uint32_t thread = enters(markov, decoder, row->values[i], cpu, leaving);
    if (thread == TT_THREAD_ANY)
      continue;
    weight += tt_tally_at(row, i);
    if (tt_rng_below(rng, weight) < tt_tally_at(row, i))
      chosen = thread;
  }
  return chosen;
}

uint32_t tt_markov_choose_thread(const struct tt_markov *markov, const struct tt_decoder *decoder,
                                 const struct tt_markov_recent *recent, uint16_t cpu,
                                 uint32_t leaving, struct tt_rng *rng) {
  struct tt_tally_row rows[TT_MARKOV_TURN_LEVELS];
  tt_markov_turn_rows(markov, leaving, cpu, tt_markov_before(markov, recent), rows);
  for (int i = 0; i < THREAD_TRIES; i++) {
    int64_t turn;
    if (!tt_backoff_draw(rows, TT_MARKOV_TURN_MIXED, rng, &turn))
      break;
    uint32_t thread = enters(markov, decoder, turn, cpu, leaving);
    if (thread != TT_THREAD_ANY)
      return thread;
  }
  for (unsigned level = 0; level < TT_MARKOV_TURN_LEVELS; level++) {
    uint32_t thread = draw_free(markov, decoder, &rows[level], cpu, leaving, rng);
    if (thread != TT_THREAD_ANY)
      return thread;
  }
  return enters(markov, decoder, TT_MARKOV_IDLE, cpu, leaving);
}

void tt_markov_enter(const struct tt_markov *markov, struct tt_decoder *decoder,
                     const struct tt_markov_recent *recent, uint16_t cpu, uint32_t thread) {
  if (thread == tt_decoder_running(decoder, cpu) && tt_markov_switches(markov, recent->events[0]))
    tt_decoder_stay(decoder, cpu);
  else
    tt_decoder_enter(decoder, cpu, thread);
}

/* P(events | thread) by the thread's own counts (TT_THREAD_ANY: by everyone's); 0 when it never had
 * one of them. */
static double fits(const struct tt_markov *markov, uint32_t thread, const uint16_t *events,
                   size_t n) {
  const struct tt_ngram_context context = {.symbols = {thread}, .n = thread != TT_THREAD_ANY};
  struct tt_ngram_rows rows = {.n = 0};
  double p = 1;
  tt_ngram_rows(context.n ? &markov->threads : &markov->common, &context, context.n, &rows);
  for (size_t k = 0; k < n; k++)
    p *= rows.n ? (double)tt_tally_count(&rows.rows[0], events[k]) /
                      (double)tt_tally_total(&rows.rows[0])
                : 0;
  return p;
}

/* Who runs given the events of the turn to come, known ahead: P(thread | what was before the
 * switch) P(events | thread), at the most specific level that has anyone who is free and ever had
 * all of these events. TT_THREAD_ANY: nobody. */
static uint32_t choose_by_events(struct sampler *sampler, struct sampled_stream *stream,
                                 uint16_t cpu, uint32_t leaving) {
  const struct tt_markov *markov = sampler->markov;
  const struct tt_markov_events *source = sampler->events;
  const size_t which = (size_t)(stream - sampler->streams);
  const bool switched = tt_markov_switches(markov, sampler->recent[cpu].events[0]);
  struct tt_tally_row rows[TT_MARKOV_TURN_LEVELS];
  uint16_t events[TURN_EVENTS];
  size_t n = 0;
  tt_markov_turn_rows(markov, leaving, cpu, tt_markov_before(markov, &sampler->recent[cpu]), rows);
  while (n < TURN_EVENTS && source->peek(source->user, which, n, &events[n]))
    if (tt_markov_switches(markov, events[n++]))
      break;
  for (unsigned level = 0; level < TT_MARKOV_TURN_LEVELS; level++) {
    const struct tt_tally_row row = rows[level];
    uint32_t chosen = TT_THREAD_ANY;
    double all = 0;
    for (size_t i = 0; i < row.n; i++) { /* one in proportion to its weight, in one pass */
      const uint32_t thread = enters(markov, sampler->decoder, row.values[i], cpu, leaving);
      if (thread == TT_THREAD_ANY)
        continue;
      /* of one that stays only the first event is known */
      const size_t told = row.values[i] == TT_MARKOV_SAME && switched && n > 0 ? 1 : n;
      const double weight = (double)tt_tally_at(&row, i) * fits(markov, thread, events, told) *
                            fits(markov, TT_THREAD_ANY, events + told, n - told);
      all += weight;
      if (weight > 0 && tt_rng_uniform(&stream->rng) * all < weight)
        chosen = thread;
    }
    if (chosen != TT_THREAD_ANY)
      return chosen;
  }
  return TT_THREAD_ANY;
}

/* Who runs on the CPU from now on, chosen first where it is open. TT_THREAD_ANY: the decoder's. */
static uint32_t settle(struct sampler *sampler, struct sampled_stream *stream, uint16_t cpu) {
  struct tt_decoder *decoder = sampler->decoder;
  uint32_t running = tt_decoder_running(decoder, cpu), thread;
  if (!tt_decoder_open(decoder, cpu))
    return running;
  bool begins = running == TT_THREAD_ANY && stream->start->cpu == cpu &&
                stream->start->thread != TT_THREAD_ANY;
  if (begins)
    running = stream->start->thread;
  uint16_t last = stream->start->history.events[0];
  if (begins && !tt_markov_switches(sampler->markov, last) &&
      tt_decoder_may_run(decoder, running, cpu))
    thread = running; /* the start was taken from the middle of its turn */
  else if (running == TT_THREAD_ANY)
    return TT_THREAD_ANY;
  else
    thread = sampler->events && sampler->markov->own
                 ? choose_by_events(sampler, stream, cpu, running)
                 : TT_THREAD_ANY;
  if (thread == TT_THREAD_ANY)
    thread = tt_markov_choose_thread(sampler->markov, decoder, &sampler->recent[cpu], cpu, running,
                                     &stream->rng);
  if (thread != TT_THREAD_ANY)
    tt_markov_enter(sampler->markov, decoder, &sampler->recent[cpu], cpu, thread);
  return thread;
}

/* ---- events ---- */

static int64_t draw_delay(const struct tt_markov *markov, uint16_t cpu, uint16_t previous,
                          uint16_t event, struct tt_rng *rng) {
  struct tt_delay_row row = {0};
  for (unsigned level = 0; level < TT_MARKOV_DELAY_LEVELS; level++) {
    struct tt_delay_row found =
        tt_delays_find(&markov->delays, tt_markov_delay_key(level, cpu, previous, event));
    if (found.n == 0)
      continue;
    row = found;
    /* few samples: lean on the next level */
    if (found.n >= 32 || tt_rng_below(rng, found.n + 2) < found.n)
      break;
  }
  return row.n ? tt_delays_draw(&row, rng) : 0;
}

static uint16_t draw_cpu(const struct tt_markov *markov, uint16_t previous_cpu, uint16_t previous,
                         uint16_t event, struct tt_rng *rng) {
  struct tt_tally_row rows[TT_MARKOV_CPU_LEVELS];
  for (unsigned level = 0; level < TT_MARKOV_CPU_LEVELS; level++)
    rows[level] =
        tt_tally_find(&markov->cpus, tt_markov_cpu_key(level, previous_cpu, previous, event));
  int64_t cpu = previous_cpu;
  tt_backoff_draw(rows, TT_MARKOV_CPU_LEVELS, rng, &cpu);
  return (uint16_t)cpu;
}

static int64_t draw_ret(const struct tt_markov *markov, uint16_t event, uint32_t comm,
                        struct tt_rng *rng) {
  const struct tt_cast_event *what = &markov->cast.events[event];
  if (what->n_rets == 0 || (what->returns < 1 && tt_rng_uniform(rng) >= (double)what->returns))
    return TT_RET_NONE;
  struct tt_tally_row rows[TT_MARKOV_RET_LEVELS];
  for (unsigned level = 0; level < TT_MARKOV_RET_LEVELS; level++)
    rows[level] = tt_tally_find(&markov->rets, tt_markov_ret_key(level, event, comm));
  int64_t ret = TT_RET_DRAW;
  tt_backoff_draw(rows, TT_MARKOV_RET_LEVELS, rng, &ret);
  return ret;
}

/* The stream's next event type, given who runs. */
static enum tt_status next_event(struct sampler *sampler, size_t which, uint32_t thread,
                                 uint32_t call, uint16_t *ret) {
  const struct tt_markov *markov = sampler->markov;
  struct sampled_stream *stream = &sampler->streams[which];
  if (sampler->events)
    return sampler->events->next(sampler->events->user, which, ret);
  struct tt_ngram_rows rows;
  int64_t event;
  uint32_t n = stream->history.n, shortest = markov->floor < n ? markov->floor : n;
  tt_markov_rows(markov, &stream->history, thread, call, shortest, &rows);
  const size_t levels = markov->backoff ? rows.n : 1;
  bool drawn = sampler->boost ? tt_backoff_draw_weighted(rows.rows, levels, sampler->boost,
                                                         &stream->rng, &event)
                              : tt_backoff_draw(rows.rows, levels, &stream->rng, &event);
  TT_ASSERT(drawn);
  *ret = (uint16_t)event;
  return TT_OK;
}

static enum tt_status next(void *user, size_t which, struct tt_sample *ret) {
  struct sampler *sampler = user;
  const struct tt_markov *markov = sampler->markov;
  struct sampled_stream *stream = &sampler->streams[which];
  struct tt_markov_history *history = &stream->history;
  uint16_t previous = history->events[0], event;
  uint32_t thread;
  enum tt_status status;
  if (markov->base.stream == TT_STREAM_MERGED) {
    status = next_event(sampler, which, TT_THREAD_ANY, 0, &event);
    if (status != TT_OK)
      return status;
    stream->cpu = draw_cpu(markov, stream->cpu, previous, event, &stream->rng);
    thread = settle(sampler, stream, stream->cpu);
  } else {
    thread = settle(sampler, stream, stream->cpu);
    if (thread != TT_THREAD_ANY && markov->cast.threads[thread].tid == TT_TID_NONE)
      thread = TT_THREAD_ANY; /* as in learning */
    bool known = false;
    uint32_t call = thread == TT_THREAD_ANY ? TT_MARKOV_CALL_UNKNOWN
                                            : tt_decoder_inside(sampler->decoder, thread, &known);
    status = next_event(sampler, which, thread, known ? call : TT_MARKOV_CALL_UNKNOWN, &event);
    if (status != TT_OK)
      return status;
  }
  uint32_t comm =
      thread == TT_THREAD_ANY ? TT_COMM_NONE : tt_decoder_comm(sampler->decoder, thread);
  *ret = (struct tt_sample){
      .dt = draw_delay(markov, stream->cpu, previous, event, &stream->rng),
      .ret = draw_ret(markov, event, comm, &stream->rng),
      .comm = TT_COMM_NONE,
      .thread = TT_THREAD_ANY,
      .bucket = -1,
      .event = event,
      .cpu = stream->cpu,
  };
  tt_markov_push(history, event);
  tt_markov_remember(&sampler->recent[stream->cpu], event);
  return TT_OK;
}

static void begin_stream(struct sampler *sampler, size_t which, uint64_t seed) {
  const struct tt_markov_starts *starts = &sampler->markov->starts[which];
  struct sampled_stream *stream = &sampler->streams[sampler->n_streams++];
  tt_rng_init(&stream->rng, seed, which);
  stream->start = &starts->starts[tt_rng_below(&stream->rng, starts->n)];
  stream->history = stream->start->history;
  stream->cpu = stream->start->cpu;
  if (sampler->markov->base.stream == TT_STREAM_CPU)
    for (uint32_t i = 0; i < 3 && i < stream->history.n; i++)
      sampler->recent[stream->cpu].events[i] = stream->history.events[i];
}

static enum tt_status begin_events(const struct sampler *sampler) {
  const struct tt_markov_start **starts = tt_alloc(sampler->n_streams, sizeof *starts);
  if (!starts)
    return tt_fail(TT_NO_MEMORY, "%zu streams", sampler->n_streams);
  for (size_t i = 0; i < sampler->n_streams; i++)
    starts[i] = sampler->streams[i].start;
  enum tt_status status = sampler->events->begin(sampler->events->user, starts, sampler->n_streams);
  tt_free(starts);
  return status;
}

enum tt_status tt_markov_generate_around(const struct tt_markov *markov,
                                         const struct tt_markov_events *events,
                                         const struct tt_generate_config *config,
                                         const struct tt_event_sink *sink) {
  const struct tt_generator *generator = &markov->base;
  struct sampler sampler = {.markov = markov, .events = events, .boost = config->boost};
  size_t n_cpus = generator->cpu_limit;
  enum tt_status status;
  int64_t *begin = tt_alloc(markov->n_streams, sizeof *begin);
  sampler.streams = tt_calloc(markov->n_streams, sizeof *sampler.streams);
  sampler.recent = tt_alloc(n_cpus, sizeof *sampler.recent);
  if (!begin || !sampler.streams || !sampler.recent) {
    status = tt_fail(TT_NO_MEMORY, "%zu streams", markov->n_streams);
    goto cleanup;
  }
  memset(sampler.recent, 0xff, n_cpus * sizeof *sampler.recent); /* TT_MARKOV_NO_EVENT */
  for (size_t i = 0; i < markov->n_streams; i++) {
    begin[i] = generator->begin_ns;
    if (markov->starts[i].n)
      begin_stream(&sampler, i, config->seed);
  }
  status = tt_decoder_new(&markov->cast, config->seed, &sampler.decoder);
  if (status == TT_OK && events)
    status = begin_events(&sampler);
  if (status != TT_OK)
    goto cleanup;
  struct tt_sample_source source = {&sampler, sampler.n_streams, next};
  status = tt_merge_run(&source, begin, sampler.decoder, config->events, config->progress, sink);
cleanup:
  tt_decoder_free(sampler.decoder);
  tt_free(sampler.streams);
  tt_free(sampler.recent);
  tt_free(begin);
  return status;
}
