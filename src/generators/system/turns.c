#include "generators/system/turns.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "generators/system/replicas.h"

enum {
  EPOCHS = 3,
  MAX_WEIGHED = 1 << 25 /* threads that are weighed in an epoch: turns are left out above */
};
/* AdaGrad (Duchi et al. 2011), with a little decay. */
static const float RATE = 0.3f, EPSILON = 1e-2f, DECAY = 1e-4f;

void tt_turns_release(struct tt_turns *turns) {
  tt_free(turns->since);
  tt_free(turns->calls);
  tt_free(turns->pairs);
  *turns = (struct tt_turns){0};
}

/* ---- what a thread is weighed by ---- */

struct moment { /* at which a CPU's next thread is chosen */
  const struct tt_system *system;
  const struct tt_system_state *state;
  struct tt_tally_row rows[TT_MARKOV_TURN_LEVELS]; /* of markov's turns */
  uint32_t leaving;
  uint16_t cpu;
  bool idle;           /* the idle thread leaves */
  size_t before, call; /* id of the event before the switch; of the call that who leaves is in */
};

struct places { /* of a thread: its weights, one of each kind */
  size_t since, call, pair;
};

static struct moment moment_of(const struct tt_system *system, const struct tt_system_state *state,
                               const struct tt_markov_recent *recent, uint16_t cpu,
                               uint32_t leaving) {
  const struct tt_markov *markov = tt_system_markov(system);
  const struct tt_markov_before at = tt_markov_before(markov, recent);
  const size_t events = system->base.events.n;
  struct moment ret = {.system = system,
                       .state = state,
                       .leaving = leaving,
                       .cpu = cpu,
                       .idle = markov->cast.threads[leaving].tid == 0,
                       .before = at.before < events ? at.before : events,
                       .call = tt_system_call_id(system, state->calls[leaving])};
  tt_markov_turn_rows(markov, leaving, cpu, at, ret.rows);
  return ret;
}

static size_t bin_of(uint32_t ago) {
  size_t bin = TT_TURNS_EXACT;
  if (ago < TT_TURNS_EXACT)
    return ago;
  for (; ago >= 2 * TT_TURNS_EXACT && bin + 4 < TT_TURNS_BINS; ago /= 2)
    bin += 2;
  return bin + (ago >= TT_TURNS_EXACT + TT_TURNS_EXACT / 2);
}

static size_t since_of(const struct moment *m, uint32_t thread) {
  const struct tt_system_past *past = &m->state->past[thread];
  const bool here = past->left && past->cpu == m->cpu;
  const size_t bin = past->left ? bin_of(m->state->switches - past->left) : TT_TURNS_BINS - 1;
  return ((size_t)m->idle * 2 + here) * TT_TURNS_BINS + bin;
}

static struct places places_of(const struct moment *m, uint32_t thread) {
  const size_t n = m->system->base.events.n;
  const size_t call = tt_system_call_id(m->system, m->state->calls[thread]);
  return (struct places){since_of(m, thread), call * (n + 1) + m->before, call * (n + 2) + m->call};
}

/* P(thread) by counting, of all threads; what else a turn may be is left out. took: an observation
 * of this turn is to be taken out first, and nobody is impossible; INT64_MIN: neither. */
static void count(const struct moment *m, int64_t took, float *ret) {
  const struct tt_markov *markov = tt_system_markov(m->system);
  const size_t n = markov->cast.n_threads;
  const bool out = took != INT64_MIN;
  for (size_t i = 0; i < n; i++)
    ret[i] = out ? 1 / (float)n : 0;
  for (unsigned level = TT_MARKOV_TURN_LEVELS; level-- > 0;) {
    const struct tt_tally_row row = m->rows[level];
    const uint64_t seen = out ? tt_tally_count(&row, took) : 0;
    const uint64_t total = tt_tally_total(&row) - (seen > 0);
    if (row.n == 0 || total == 0)
      continue;
    const float kinds = (float)(row.n - (seen == 1)), all = (float)total + kinds;
    for (size_t i = 0; i < n; i++)
      ret[i] *= kinds / all;
    for (size_t i = 0; i < row.n; i++) {
      const uint32_t thread = row.values[i] == TT_MARKOV_SAME
                                  ? TT_THREAD_ANY
                                  : tt_markov_thread_of(markov, row.values[i], m->cpu, m->leaving);
      if (thread != TT_THREAD_ANY)
        ret[thread] += (float)(tt_tally_at(&row, i) - (row.values[i] == took)) / all;
    }
  }
}

static float factor_of(const struct moment *m, uint32_t thread) {
  const struct tt_turns *turns = &m->system->turns;
  const struct places at = places_of(m, thread);
  return expf(turns->since[at.since] + turns->calls[at.call] + turns->pairs[at.pair]);
}

/* p times what the weights say, of those with p > 0; returns their sum. */
static double weigh(const struct moment *m, float *p, size_t n) {
  double sum = 0;
  float unseen = 0; /* the factor of threads that weren't seen yet: most of them, often */
  for (size_t i = 0; i < n; i++) {
    if (!(p[i] > 0))
      continue;
    if (m->state->past[i].left || m->state->calls[i] != TT_MARKOV_CALL_UNKNOWN)
      p[i] *= factor_of(m, (uint32_t)i);
    else
      p[i] *= unseen = unseen > 0 ? unseen : factor_of(m, (uint32_t)i);
    sum += (double)p[i];
  }
  return sum;
}

/* ---- choosing ---- */

/* Whether the thread ever had an event that may follow the CPU's last one. */
static bool may_go_on(const struct moment *m, uint16_t last, uint32_t thread) {
  const struct tt_tally_row had = tt_system_thread_events(m->system, thread);
  const struct tt_tally_row next = tt_system_candidates(m->system, last);
  for (size_t i = 0; i < next.n; i++)
    if (tt_tally_count(&had, next.values[i]) &&
        tt_system_call_had(m->system, m->state->calls[thread], (uint16_t)next.values[i]))
      return true;
  return had.n == 0; /* not known */
}

static bool may_run(const struct moment *m, const struct tt_decoder *decoder, uint32_t thread) {
  return (thread != m->leaving || !tt_system_markov(m->system)->cast.switches) &&
         tt_decoder_may_run(decoder, thread, m->cpu);
}

/* Whether the leaving thread has one more event. */
static bool stays(const struct moment *m, const struct tt_decoder *decoder, uint16_t last,
                  struct tt_rng *rng) {
  if (!tt_markov_switches(tt_system_markov(m->system), last) ||
      !tt_decoder_may_run(decoder, m->leaving, m->cpu) || !may_go_on(m, last, m->leaving))
    return false;
  /* the same thread's turns tell, where there are any */
  const size_t levels =
      m->rows[TT_MARKOV_TURN_MIXED - 1].n ? TT_MARKOV_TURN_MIXED : TT_MARKOV_TURN_LEVELS;
  return tt_rng_uniform(rng) < tt_backoff_probability(m->rows, levels, TT_MARKOV_SAME, false, 0);
}

/* One of those with p > 0, in proportion; TT_THREAD_ANY: there is none. */
static uint32_t draw(const float *p, size_t n, double sum, struct tt_rng *rng) {
  double at = tt_rng_uniform(rng) * sum;
  uint32_t chosen = TT_THREAD_ANY;
  for (size_t i = 0; i < n && (at >= 0 || chosen == TT_THREAD_ANY); i++)
    if (p[i] > 0) {
      chosen = (uint32_t)i;
      at -= (double)p[i];
    }
  return chosen;
}

uint32_t tt_turns_choose(const struct tt_system *system, const struct tt_system_state *state,
                         const struct tt_decoder *decoder, const struct tt_markov_recent *recent,
                         uint16_t cpu, uint32_t leaving, float *scratch, struct tt_rng *rng) {
  const struct tt_markov *markov = tt_system_markov(system);
  const size_t n = markov->cast.n_threads;
  const struct moment m = moment_of(system, state, recent, cpu, leaving);
  if (stays(&m, decoder, recent->events[0], rng))
    return leaving;
  count(&m, INT64_MIN, scratch);
  for (size_t i = 0; i < n; i++)
    if (scratch[i] > 0 && !may_run(&m, decoder, (uint32_t)i))
      scratch[i] = 0;
  double sum = weigh(&m, scratch, n);
  for (uint32_t chosen = draw(scratch, n, sum, rng); chosen != TT_THREAD_ANY;
       chosen = draw(scratch, n, sum, rng)) {
    if (may_go_on(&m, recent->events[0], chosen))
      return chosen;
    sum -= (double)scratch[chosen];
    scratch[chosen] = 0;
  }
  return tt_markov_choose_thread(markov, decoder, recent, cpu, leaving, rng);
}

/* ---- learning ---- */

struct cpu {
  struct tt_markov_recent recent;
  uint32_t thread; /* of its last row; TT_THREAD_ANY: not known */
  uint64_t last;
  bool begun, stayed; /* stayed: its last row was one more of the thread that had left */
};

struct learner {
  struct tt_system *system;
  const struct tt_system_source *train;
  struct tt_system_state state;
  struct cpu *cpus;                         /* [n_cpus] */
  float *p;                                 /* [n_threads] */
  float *since_sum, *calls_sum, *pairs_sum; /* squares of gradients */
  uint64_t turns, stride;                   /* those seen; of so many one is learned from */
};

static void step(float *weight, float *squares, float gradient) {
  *squares += gradient * gradient;
  *weight += RATE * gradient / sqrtf(EPSILON + *squares) - DECAY * *weight;
  *weight = fminf(fmaxf(*weight, -(float)TT_TURNS_MOST), (float)TT_TURNS_MOST);
}

/* The thread came: one step up the gradient of its log probability. */
static void learn_turn(struct learner *l, const struct moment *m, uint32_t came) {
  const struct tt_markov *markov = tt_system_markov(l->system);
  const size_t n = markov->cast.n_threads;
  struct tt_turns *turns = &l->system->turns;
  const int64_t turn = markov->cast.threads[came].tid == 0 ? TT_MARKOV_IDLE : (int64_t)came;
  count(m, turn, l->p);
  for (size_t i = 0; i < n; i++)
    if (markov->cast.threads[i].tid == TT_TID_NONE ||
        (markov->cast.threads[i].tid == 0 && i != markov->idle[m->cpu]))
      l->p[i] = 0;
  for (size_t cpu = 0; cpu < l->system->base.cpu_limit; cpu++) { /* they run elsewhere */
    const struct cpu *other = &l->cpus[cpu];
    if (other->begun && other->thread != TT_THREAD_ANY && other->thread != came &&
        (cpu == m->cpu ? markov->cast.switches
                       : !tt_markov_switches(markov, other->recent.events[0])))
      l->p[other->thread] = 0;
  }
  const double sum = weigh(m, l->p, n);
  if (!(sum > 0) || !(l->p[came] > 0))
    return;
  for (size_t i = 0; i < n; i++) {
    const float share = (float)((double)l->p[i] / sum), gradient = (i == came) - share;
    if (fabsf(gradient) < 1e-3f)
      continue;
    const struct places at = places_of(m, (uint32_t)i);
    step(&turns->since[at.since], &l->since_sum[at.since], gradient);
    step(&turns->calls[at.call], &l->calls_sum[at.call], gradient);
    step(&turns->pairs[at.pair], &l->pairs_sum[at.pair], gradient);
  }
}

static void follow(struct learner *l, uint64_t row) {
  const struct tt_columns *c = tt_dataset_columns(l->train->dataset);
  const struct tt_markov *markov = tt_system_markov(l->system);
  const uint32_t thread = l->train->track.thread[row];
  const uint16_t id = c->cpu[row];
  struct cpu *cpu = &l->cpus[id];
  const bool goes_on = cpu->begun && !tt_dataset_gap_between(l->train->dataset, cpu->last, row);
  if (!goes_on)
    memset(&cpu->recent, 0xff, sizeof cpu->recent); /* TT_MARKOV_NO_EVENT */
  const bool switched = goes_on && tt_markov_switches(markov, cpu->recent.events[0]);
  const bool opens = goes_on && (!markov->cast.switches || switched || cpu->stayed);
  const bool same = thread == cpu->thread;
  if (opens && thread != TT_THREAD_ANY && cpu->thread != TT_THREAD_ANY &&
      !(same && markov->cast.switches) && l->turns++ % l->stride == 0) {
    const struct moment m = moment_of(l->system, &l->state, &cpu->recent, id, cpu->thread);
    learn_turn(l, &m, thread);
  }
  tt_markov_remember(&cpu->recent, c->event[row]);
  cpu->stayed = switched && same;
  cpu->thread = thread;
  cpu->last = row;
  cpu->begun = true;
  tt_system_state_follow(l->system, &l->state, id, thread, c->event[row]);
}

static enum tt_status run_epoch(struct learner *l, const struct tt_row_set *rows) {
  size_t at;
  tt_system_state_release(&l->state);
  enum tt_status status = tt_system_state_init(l->system, &l->state);
  if (status != TT_OK)
    return status;
  memset(l->cpus, 0, l->system->base.cpu_limit * sizeof *l->cpus);
  l->turns = 0;
  for (uint64_t row = tt_row_set_first(rows, &at); row != TT_ROW_NONE;
       row = tt_row_set_after(rows, &at, row))
    follow(l, row);
  return TT_OK;
}

/* Turns that were counted, all of which are in the rows of the last level. */
static uint64_t turns_of(const struct tt_markov *markov) {
  uint64_t n = 0;
  for (size_t i = 0; i < markov->turns.n_rows; i++) {
    const struct tt_tally_row row = tt_tally_row(&markov->turns, i);
    if (markov->turns.keys[i] >> 60 == TT_MARKOV_TURN_LEVELS - 1)
      n += tt_tally_total(&row);
  }
  return n;
}

enum tt_status tt_turns_fit(struct tt_system *system, const struct tt_system_source *train,
                            const struct tt_row_set *rows) {
  const struct tt_markov *markov = tt_system_markov(system);
  const size_t calls = tt_turns_calls(system->base.events.n), threads = markov->cast.n_threads;
  const size_t pairs = tt_turns_pairs(system->base.events.n);
  struct learner l = {.system = system,
                      .train = train,
                      .cpus = tt_calloc(system->base.cpu_limit, sizeof *l.cpus),
                      .p = tt_alloc(threads, sizeof *l.p),
                      .since_sum = tt_calloc(TT_TURNS_SINCE, sizeof *l.since_sum),
                      .calls_sum = tt_calloc(calls, sizeof *l.calls_sum),
                      .pairs_sum = tt_calloc(pairs, sizeof *l.pairs_sum),
                      .stride = turns_of(markov) * threads / MAX_WEIGHED + 1};
  system->turns = (struct tt_turns){.since = tt_calloc(TT_TURNS_SINCE, sizeof(float)),
                                    .calls = tt_calloc(calls, sizeof(float)),
                                    .pairs = tt_calloc(pairs, sizeof(float))};
  enum tt_status status = l.cpus && l.p && l.since_sum && l.calls_sum && l.pairs_sum &&
                                  system->turns.since && system->turns.pairs && system->turns.calls
                              ? TT_OK
                              : tt_fail(TT_NO_MEMORY, "turns of %zu threads", threads);
  for (int epoch = 0; epoch < EPOCHS && status == TT_OK; epoch++)
    status = run_epoch(&l, rows);
  tt_system_state_release(&l.state);
  tt_free(l.cpus);
  tt_free(l.p);
  tt_free(l.since_sum);
  tt_free(l.calls_sum);
  tt_free(l.pairs_sum);
  return status;
}
