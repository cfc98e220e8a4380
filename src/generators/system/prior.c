/* What counting knows of each head, and what was ever seen. */
#include <string.h>

#include "base/mem.h"
#include "generators/system/system.h"

static void log_probabilities(const struct tt_system *system, const struct tt_ngram_rows *rows,
                              size_t n, uint32_t leave_out, float *out) {
  if (system->use_prior)
    tt_ngram_logprob(rows, (uint32_t)n, leave_out, out);
  else
    memset(out, 0, n * sizeof *out);
}

void tt_system_event_prior(const struct tt_system *system, const struct tt_markov_history *history,
                           uint32_t thread, uint32_t call, uint32_t leave_out, float *out) {
  struct tt_ngram_rows rows;
  tt_markov_rows(tt_system_markov(system), history, thread, call, 0, &rows);
  log_probabilities(system, &rows, system->n_events, leave_out, out);
}

static struct tt_ngram_context ret_context(uint16_t event, uint32_t comm, uint16_t previous) {
  return (struct tt_ngram_context){.symbols = {event, comm, previous}, .n = 3};
}

static struct tt_ngram_context delay_context(uint16_t event, uint16_t previous, uint16_t cpu) {
  return (struct tt_ngram_context){.symbols = {event, previous, cpu}, .n = 3};
}

void tt_system_ret_prior(const struct tt_system *system, uint16_t event, uint32_t comm,
                         uint16_t previous, uint32_t leave_out, float *out) {
  const struct tt_ngram_context context = ret_context(event, comm, previous);
  struct tt_ngram_rows rows = {.n = 0};
  tt_ngram_rows(&system->rets, &context, 0, &rows);
  log_probabilities(system, &rows, system->n_rets, leave_out, out);
}

void tt_system_delay_prior(const struct tt_system *system, uint16_t event, uint16_t previous,
                           uint16_t cpu, uint32_t leave_out, float *out) {
  const struct tt_ngram_context context = delay_context(event, previous, cpu);
  struct tt_ngram_rows rows = {.n = 0};
  tt_ngram_rows(&system->delays, &context, 0, &rows);
  log_probabilities(system, &rows, TT_DELAY_BINS, leave_out, out);
}

/* The row of exactly the context's first n symbols; empty when it was never seen. */
static struct tt_tally_row row_of(const struct tt_ngram *ngram, struct tt_ngram_context context,
                                  uint32_t n) {
  struct tt_ngram_rows rows = {.n = 0};
  context.n = n;
  tt_ngram_rows(ngram, &context, n, &rows);
  return rows.n ? rows.rows[0] : (struct tt_tally_row){0};
}

struct tt_tally_row tt_system_successors(const struct tt_system *system, uint16_t previous) {
  return tt_markov_successors(tt_system_markov(system), previous);
}

struct tt_tally_row tt_system_label_successors(const struct tt_generator *generator, size_t label,
                                               uint16_t event) {
  return tt_system_successors(tt_system_workload((const struct tt_system *)generator, label),
                              event);
}

struct tt_tally_row tt_system_thread_events(const struct tt_system *system, uint32_t thread) {
  const struct tt_markov *markov = tt_system_markov(system);
  if (!markov->own || thread == TT_THREAD_ANY)
    return (struct tt_tally_row){0};
  return row_of(&markov->threads, (struct tt_ngram_context){.symbols = {thread}}, 1);
}

bool tt_system_comm_had(const struct tt_system *system, uint32_t comm, uint16_t event) {
  if (comm == TT_COMM_NONE)
    return true;
  const struct tt_tally_row row = tt_tally_find(&system->named, comm);
  return row.n == 0 || tt_tally_count(&row, event) > 0;
}

struct tt_tally_row tt_system_event_rets(const struct tt_system *system, uint16_t event) {
  return row_of(&system->rets, ret_context(event, 0, 0), 1);
}

struct tt_tally_row tt_system_event_delays(const struct tt_system *system, uint16_t event,
                                           uint16_t previous) {
  struct tt_tally_row row = row_of(&system->delays, delay_context(event, previous, 0), 2);
  return row.n ? row : row_of(&system->delays, delay_context(event, 0, 0), 1);
}

/* Row of in_call; call is known. */
static bool *events_in(const struct tt_system *system, uint32_t call) {
  const size_t n = system->base.events.n;
  return system->in_call + (call == TT_MARKOV_NO_CALL ? n : call) * n;
}

bool tt_system_call_had(const struct tt_system *system, uint32_t call, uint16_t event) {
  const uint8_t role = tt_system_markov(system)->cast.events[event].role;
  return call == TT_MARKOV_CALL_UNKNOWN || (role != TT_ROLE_ENTRY && role != TT_ROLE_EXIT) ||
         events_in(system, call)[event];
}

/* What a row's thread had in the system call that it is in, and what it is in afterwards. */
static void count_call(struct tt_system *system, const struct tt_columns *columns, uint64_t i,
                       uint32_t *calls) {
  const struct tt_markov *markov = tt_system_markov(system);
  if (columns->tid[i] == TT_TID_NONE)
    return;
  const uint32_t thread = tt_cast_find(&markov->cast, columns->tid[i], columns->cpu[i]);
  if (thread == TT_THREAD_ANY)
    return;
  if (calls[thread] != TT_MARKOV_CALL_UNKNOWN)
    events_in(system, calls[thread])[columns->event[i]] = true;
  tt_markov_follow_call(markov, calls, thread, columns->event[i]);
}

enum tt_status tt_system_count(struct tt_system *system, const struct tt_dataset *train,
                               const char *label) {
  const struct tt_columns *columns = tt_dataset_columns(train);
  const struct tt_cast *cast = &tt_system_markov(system)->cast;
  struct tt_encoder *encoder = NULL;
  struct tt_row_set rows = {0};
  size_t at;
  struct { /* of each CPU's last row */
    uint64_t row;
    bool begun;
  } *last = tt_calloc(system->base.cpu_limit, sizeof *last);
  uint32_t *calls = tt_markov_new_calls(tt_system_markov(system));
  system->in_call =
      tt_calloc((system->base.events.n + 1) * system->base.events.n, sizeof *system->in_call);
  system->on_cpu =
      tt_calloc(system->base.cpu_limit * system->base.events.n, sizeof *system->on_cpu);
  system->soonest = tt_alloc(system->base.events.n, sizeof *system->soonest);
  system->latest = tt_alloc(system->base.events.n, sizeof *system->latest);
  system->follows =
      tt_calloc(system->base.events.n * system->base.events.n, sizeof *system->follows);
  enum tt_status status = last && calls && system->in_call && system->on_cpu && system->follows &&
                                  system->soonest && system->latest
                              ? TT_OK
                              : tt_fail(TT_NO_MEMORY, "%zu CPUs", system->base.cpu_limit);
  for (size_t i = 0; i < system->base.events.n && status == TT_OK; i++)
    system->soonest[i] = INT64_MAX;
  for (size_t i = 0; i < system->base.events.n && status == TT_OK; i++)
    system->latest[i] = -1;
  if (status == TT_OK)
    status = tt_row_set_of(train, label, &rows);
  if (status == TT_OK)
    status = tt_clock_learn(train, &rows, &system->clock);
  if (status == TT_OK)
    status = tt_encoder_new(system->vocabulary, train, &encoder);
  if (status == TT_OK)
    status = tt_ngram_init(&system->rets, (uint32_t)system->n_rets, 0);
  if (status == TT_OK)
    status = tt_ngram_init(&system->delays, TT_DELAY_BINS, 0);
  for (uint64_t i = tt_row_set_first(&rows, &at); i != TT_ROW_NONE && status == TT_OK;
       i = tt_row_set_after(&rows, &at, i)) {
    uint16_t cpu = columns->cpu[i], event = columns->event[i];
    system->on_cpu[cpu * system->base.events.n + event] = true;
    count_call(system, columns, i, calls);
    if (columns->comm[i] != TT_COMM_NONE)
      status = tt_tally_add(&system->named, columns->comm[i], event);
    bool follows = last[cpu].begun && !tt_dataset_gap_between(train, last[cpu].row, i);
    uint16_t previous = follows ? columns->event[last[cpu].row] : TT_MARKOV_NO_EVENT;
    if (cast->events[event].n_rets > 0 && status == TT_OK) {
      const struct tt_ngram_context context = ret_context(event, columns->comm[i], previous);
      status = tt_ngram_add(&system->rets, &context, tt_encode_ret(encoder, columns->ret[i]));
    }
    if (follows && status == TT_OK) {
      const struct tt_ngram_context context = delay_context(event, previous, cpu);
      float dt = tt_vocabulary_dt(system->vocabulary, columns->ts[i] - columns->ts[last[cpu].row]);
      status =
          tt_ngram_add(&system->delays, &context, (uint16_t)tt_delay_bins_of(&system->bins, dt));
    }
    if (i > 0 && !tt_dataset_gap_before(train, i)) {
      int64_t dt = columns->ts[i] - columns->ts[i - 1];
      system->follows[columns->event[i - 1] * system->base.events.n + event] = true;
      system->soonest[event] = dt < system->soonest[event] ? dt : system->soonest[event];
      system->latest[event] = dt > system->latest[event] ? dt : system->latest[event];
    }
    last[cpu].row = i;
    last[cpu].begun = true;
  }
  for (size_t i = 0; i < system->base.events.n && status == TT_OK; i++)
    if (system->latest[i] < 0) { /* never after another event */
      system->soonest[i] = 0;
      system->latest[i] = INT64_MAX;
    }
  /* a trace may have no return value, or no two events of a CPU: one count of nothing in particular
   * keeps the trees whole */
  const struct tt_ngram_context nothing = {.n = 0};
  if (status == TT_OK && system->rets.counts.n_slots == 0)
    status = tt_ngram_add(&system->rets, &nothing, tt_vocabulary_ret_none(system->vocabulary));
  if (status == TT_OK && system->delays.counts.n_slots == 0)
    status = tt_ngram_add(&system->delays, &nothing, 0);
  if (status == TT_OK)
    status = tt_tally_finish(&system->named);
  if (status == TT_OK)
    status = tt_ngram_finish(&system->rets);
  if (status == TT_OK)
    status = tt_ngram_finish(&system->delays);
  tt_encoder_free(encoder);
  tt_row_set_release(&rows);
  tt_free(calls);
  tt_free(last);
  return status;
}
