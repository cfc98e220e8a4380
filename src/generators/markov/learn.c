/* One pass over the training rows in time order, keeping per CPU what its stream's state is. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "generators/markov/markov.h"

#define BLOCK ((size_t)1 << 20)          /* rows between reports, and given back at a time */
#define MAX_PAIRS ((size_t)1 << 24)      /* of threads, return values, ...: 400 MB each at worst */
#define MAX_DELAY_KEYS ((size_t)1 << 20) /* kinds of delays */

static const uint32_t delay_limits[TT_MARKOV_DELAY_LEVELS] = {128, 512, 4096};

struct stream { /* what the n-gram and the delays follow: a CPU, or all */
  struct tt_markov_history history;
  size_t last; /* row */
  bool begun;  /* `last` is set, and nothing was lost since */
  uint64_t seen;
};

struct cpu { /* who runs */
  size_t last;
  bool begun;
  uint32_t thread; /* of the last row, TT_THREAD_ANY: unknown */
  bool stayed;     /* which came after a switch, and was of the same thread */
  struct tt_markov_recent recent;
};

struct learner {
  struct tt_markov *markov;
  const struct tt_dataset *dataset;
  const struct tt_columns *columns;
  struct stream *streams; /* [n_streams] */
  struct cpu *cpus;       /* [cpu_limit] */
  uint32_t *calls;        /* [n_threads] */
  struct tt_rng rng;
};

static uint32_t turn_of(const struct tt_markov *markov, uint32_t thread, uint32_t leaving) {
  if (thread == leaving && markov->cast.switches)
    return TT_MARKOV_SAME;
  return markov->cast.threads[thread].tid == 0 ? TT_MARKOV_IDLE : thread;
}

/* Follows who runs on the row's CPU, counting who comes after whom. */
static enum tt_status learn_thread(struct learner *learner, size_t i, uint32_t *ret_thread) {
  struct tt_markov *markov = learner->markov;
  const struct tt_columns *c = learner->columns;
  uint16_t id = c->cpu[i], event = c->event[i];
  struct cpu *cpu = &learner->cpus[id];
  bool follows = cpu->begun && !tt_dataset_gap_between(learner->dataset, cpu->last, i);
  if (!follows)
    memset(&cpu->recent, 0xff, sizeof cpu->recent);
  uint32_t thread = cpu->thread;
  if (thread == TT_THREAD_ANY || markov->cast.threads[thread].tid != c->tid[i])
    thread = tt_cast_find(&markov->cast, c->tid[i], id);
  TT_ASSERT(thread != TT_THREAD_ANY);
  enum tt_status status = TT_OK;
  if (c->tid[i] == TT_TID_NONE)
    thread = TT_THREAD_ANY;
  const bool switched = follows && tt_markov_switches(markov, cpu->recent.events[0]);
  const bool opens = follows && (!markov->cast.switches || switched || cpu->stayed);
  if (opens && thread != TT_THREAD_ANY && cpu->thread != TT_THREAD_ANY) {
    const struct tt_markov_before at = tt_markov_before(markov, &cpu->recent);
    for (unsigned level = 0; level < TT_MARKOV_TURN_LEVELS && status == TT_OK; level++)
      status = tt_tally_add(&markov->turns,
                            tt_markov_turn_key(level, cpu->thread, id, at.before, at.earlier),
                            turn_of(markov, thread, cpu->thread));
  }
  tt_markov_remember(&cpu->recent, event);
  cpu->stayed = switched && thread == cpu->thread;
  cpu->thread = thread;
  cpu->last = i;
  cpu->begun = true;
  *ret_thread = thread;
  return status;
}

void tt_markov_contexts(const struct tt_markov *markov, const struct tt_markov_history *history,
                        uint32_t thread, uint32_t call, struct tt_ngram_context *common,
                        struct tt_ngram_context *own) {
  bool known = markov->own && thread != TT_THREAD_ANY;
  uint32_t n = history->n < markov->order - 1 ? history->n : markov->order - 1;
  common->n = own->n = 0;
  if (known)
    own->symbols[own->n++] = thread;
  for (uint32_t i = 0; i < n; i++) {
    common->symbols[common->n++] = history->events[i];
    if (known)
      own->symbols[own->n++] = history->events[i];
  }
  if (known && n == markov->order - 1) {
    common->symbols[common->n++] = call;
    own->symbols[own->n++] = call;
  }
}

void tt_markov_rows(const struct tt_markov *markov, const struct tt_markov_history *history,
                    uint32_t thread, uint32_t call, uint32_t shortest, struct tt_ngram_rows *ret) {
  struct tt_ngram_context common, own;
  tt_markov_contexts(markov, history, thread, call, &common, &own);
  ret->n = 0;
  if (own.n > 0)
    tt_ngram_rows(&markov->threads, &own, 1 + (shortest < 1 ? 1 : shortest), ret);
  tt_ngram_rows(&markov->common, &common, shortest, ret);
  if (ret->n == 0) /* nothing ever followed the last event */
    tt_ngram_rows(&markov->common, &common, 0, ret);
}

struct tt_tally_row tt_markov_successors(const struct tt_markov *markov, uint16_t event) {
  const struct tt_ngram_context context = {.symbols = {event}, .n = 1};
  struct tt_ngram_rows rows = {.n = 0};
  tt_ngram_rows(&markov->common, &context, 1, &rows);
  return rows.n ? rows.rows[0] : (struct tt_tally_row){0};
}

uint32_t *tt_markov_new_calls(const struct tt_markov *markov) {
  uint32_t *calls = tt_alloc(markov->cast.n_threads, sizeof *calls);
  for (size_t i = 0; calls && i < markov->cast.n_threads; i++)
    calls[i] = TT_MARKOV_CALL_UNKNOWN;
  return calls;
}

void tt_markov_follow_call(const struct tt_markov *markov, uint32_t *calls, uint32_t thread,
                           uint16_t event) {
  if (thread == TT_THREAD_ANY || event >= markov->cast.n_events)
    return;
  uint8_t role = markov->cast.events[event].role;
  if (role == TT_ROLE_ENTRY)
    calls[thread] = event;
  else if (role == TT_ROLE_EXIT)
    calls[thread] = TT_MARKOV_NO_CALL;
  else if (role == TT_ROLE_THREAD_EXIT)
    calls[thread] = TT_MARKOV_CALL_UNKNOWN;
}

/* Keeps a uniform sample of the stream's states, looked at every 64th event. */
static void keep_start(struct learner *learner, size_t which, uint16_t cpu) {
  struct stream *stream = &learner->streams[which];
  struct tt_markov_starts *starts = &learner->markov->starts[which];
  uint64_t at = stream->seen++;
  if (at % 64 != 0 && at >= TT_MARKOV_STARTS)
    return;
  uint64_t place = at < TT_MARKOV_STARTS ? at : tt_rng_below(&learner->rng, at + 1) / 64;
  if (place >= TT_MARKOV_STARTS)
    return;
  if (place >= starts->n)
    starts->n = (uint32_t)place + 1;
  starts->starts[place] = (struct tt_markov_start){stream->history, learner->cpus[cpu].thread, cpu};
}

static enum tt_status learn_row(struct learner *learner, size_t i) {
  struct tt_markov *markov = learner->markov;
  const struct tt_columns *c = learner->columns;
  bool merged = markov->base.stream == TT_STREAM_MERGED;
  uint16_t event = c->event[i], cpu = c->cpu[i];
  size_t which = merged ? 0 : cpu;
  struct stream *stream = &learner->streams[which];
  bool follows =
      stream->begun && !(merged ? tt_dataset_gap_before(learner->dataset, i)
                                : tt_dataset_gap_between(learner->dataset, stream->last, i));
  uint32_t thread;
  enum tt_status status = learn_thread(learner, i, &thread);
  if (status != TT_OK)
    return status;
  if (!follows) {
    stream->history.n = 0;
  } else {
    uint16_t previous = c->event[stream->last];
    int64_t dt = c->ts[i] - c->ts[stream->last];
    for (unsigned level = 0; level < TT_MARKOV_DELAY_LEVELS; level++) {
      status = tt_delays_add(&markov->delays, tt_markov_delay_key(level, cpu, previous, event),
                             delay_limits[level], dt);
      if (status != TT_OK)
        return status;
    }
    for (unsigned level = 0; merged && level < TT_MARKOV_CPU_LEVELS; level++) {
      status = tt_tally_add(&markov->cpus,
                            tt_markov_cpu_key(level, c->cpu[stream->last], previous, event), cpu);
      if (status != TT_OK)
        return status;
    }
  }
  struct tt_ngram_context common, own;
  uint32_t call = thread == TT_THREAD_ANY ? TT_MARKOV_CALL_UNKNOWN : learner->calls[thread];
  tt_markov_contexts(markov, &stream->history, thread, call, &common, &own);
  if ((status = tt_ngram_add(&markov->common, &common, event)) != TT_OK ||
      (own.n && (status = tt_ngram_add(&markov->threads, &own, event)) != TT_OK))
    return status;
  tt_markov_push(&stream->history, event);
  for (unsigned level = 0; c->ret[i] != TT_RET_NONE && level < TT_MARKOV_RET_LEVELS; level++) {
    status = tt_tally_add(&markov->rets, tt_markov_ret_key(level, event, c->comm[i]), c->ret[i]);
    if (status != TT_OK)
      return status;
  }
  tt_markov_follow_call(markov, learner->calls, thread, event);
  stream->last = i;
  stream->begun = true;
  keep_start(learner, which, cpu);
  return TT_OK;
}

static enum tt_status finish(struct tt_markov *markov) {
  if (markov->threads.counts.n_pairs == 0) /* no thread is known */
    markov->own = false;
  enum tt_status status;
  if ((status = tt_ngram_finish(&markov->common)) != TT_OK ||
      (markov->own && (status = tt_ngram_finish(&markov->threads)) != TT_OK) ||
      (status = tt_delays_finish(&markov->delays)) != TT_OK ||
      (status = tt_tally_finish(&markov->turns)) != TT_OK ||
      (status = tt_tally_finish(&markov->rets)) != TT_OK ||
      (status = tt_tally_finish(&markov->cpus)) != TT_OK)
    return status;
  return tt_markov_index(markov);
}

static void report(const struct tt_progress *progress, uint64_t done, uint64_t total) {
  struct tt_progress_report values = {.stage = "train",
                                      .done = done,
                                      .total = total,
                                      .unit = "events",
                                      .loss = NAN,
                                      .seconds_left = NAN};
  if (progress && progress->report)
    progress->report(progress->user, &values);
}

enum tt_status tt_markov_learn(struct tt_markov *markov, const struct tt_train_config *config) {
  struct learner learner = {
      .markov = markov, .dataset = config->train, .columns = tt_dataset_columns(config->train)};
  struct tt_row_set rows;
  enum tt_status status = tt_row_set_of(config->train, config->label, &rows);
  if (status != TT_OK)
    return status;
  uint64_t done = 0;
  tt_rng_init(&learner.rng, config->seed, UINT64_C(0x57a7));
  tt_delays_init(&markov->delays, config->seed, MAX_DELAY_KEYS);
  markov->turns.max_pairs = markov->rets.max_pairs = MAX_PAIRS;
  markov->n_streams = markov->base.stream == TT_STREAM_MERGED ? 1 : markov->base.cpu_limit;
  status = tt_cast_build(config->train, &rows, config->seed, &markov->cast);
  if (status == TT_OK && markov->cast.n_threads >= TT_MARKOV_SAME)
    status = tt_fail(TT_BAD_INPUT, "%zu threads are too many", markov->cast.n_threads);
  if (status == TT_OK)
    status = tt_ngram_init(&markov->common, (uint32_t)markov->base.events.n, 0);
  if (status == TT_OK)
    status = tt_ngram_init(&markov->threads, (uint32_t)markov->base.events.n, 0);
  if (status != TT_OK)
    goto cleanup;
  markov->starts = tt_calloc(markov->n_streams, sizeof *markov->starts);
  learner.streams = tt_calloc(markov->n_streams, sizeof *learner.streams);
  learner.cpus = tt_calloc(markov->base.cpu_limit, sizeof *learner.cpus);
  learner.calls = tt_markov_new_calls(markov);
  if (!markov->starts || !learner.streams || !learner.cpus || !learner.calls) {
    status = tt_fail(TT_NO_MEMORY, "%zu streams", markov->n_streams);
    goto cleanup;
  }
  for (size_t i = 0; i < markov->base.cpu_limit; i++)
    learner.cpus[i].thread = TT_THREAD_ANY;
  for (size_t k = 0; k < rows.n; k++)
    for (uint64_t block = rows.list[k].first, next; block < rows.list[k].end; block = next) {
      if (tt_interrupted()) {
        status = tt_fail(TT_INTERRUPTED, "interrupted after counting %llu events",
                         (unsigned long long)done);
        goto cleanup;
      }
      next = rows.list[k].end - block < BLOCK ? rows.list[k].end : block + BLOCK;
      for (uint64_t i = block; i < next; i++) {
        status = learn_row(&learner, i);
        if (status != TT_OK)
          goto cleanup;
      }
      tt_dataset_done_with(config->train, block, next - block);
      done += next - block;
      report(config->progress, done, rows.events);
    }
  status = finish(markov);
cleanup:
  tt_row_set_release(&rows);
  tt_free(learner.streams);
  tt_free(learner.cpus);
  tt_free(learner.calls);
  return status;
}

double tt_markov_cross_entropy(const struct tt_markov *markov, const struct tt_dataset *dataset,
                               const struct tt_row_set *rows, bool leave_out, uint64_t limit) {
  const struct tt_columns *c = tt_dataset_columns(dataset);
  bool merged = markov->base.stream == TT_STREAM_MERGED;
  size_t n_streams = merged ? 1 : tt_dataset_cpu_limit(dataset);
  const uint64_t n = limit && limit < rows->events ? limit : rows->events;
  uint64_t done = 0;
  size_t at;
  struct stream *streams = tt_calloc(n_streams, sizeof *streams);
  uint32_t *calls = tt_markov_new_calls(markov);
  double sum = streams && calls && n ? 0 : (double)NAN;
  for (uint64_t i = tt_row_set_first(rows, &at); !isnan(sum) && done < n;
       done++, i = tt_row_set_after(rows, &at, i)) {
    struct stream *stream = &streams[merged ? 0 : c->cpu[i]];
    if (stream->begun && (merged ? tt_dataset_gap_before(dataset, i)
                                 : tt_dataset_gap_between(dataset, stream->last, i)))
      stream->history.n = 0;
    uint32_t thread = c->tid[i] == TT_TID_NONE ? TT_THREAD_ANY
                                               : tt_cast_find(&markov->cast, c->tid[i], c->cpu[i]);
    struct tt_ngram_rows found;
    tt_markov_rows(markov, &stream->history, thread,
                   thread == TT_THREAD_ANY ? TT_MARKOV_CALL_UNKNOWN : calls[thread], 0, &found);
    sum -= log(tt_backoff_probability(found.rows, found.n, c->event[i], leave_out,
                                      1.0 / (double)markov->base.events.n));
    tt_markov_push(&stream->history, c->event[i]);
    tt_markov_follow_call(markov, calls, thread, c->event[i]);
    stream->last = i;
    stream->begun = true;
    if ((i + 1) % BLOCK == 0)
      tt_dataset_done_with(dataset, i + 1 - BLOCK, BLOCK);
  }
  tt_free(streams);
  tt_free(calls);
  return sum / (double)n;
}
