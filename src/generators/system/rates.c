/* Events as often as in the trace: what a model draws too often or too seldom once it goes on from
 * its own events is found on trial twins and taken back.
 *
 * A network trained on real pasts is never told where its own lead (exposure bias: Ranzato et al.
 * 2016, "Sequence level training with recurrent neural networks"): small faults of every step add
 * up to phases that are left too early and to rare types that hardly ever come. So each event's
 * logit gets a constant, its rate, found by stochastic approximation (Robbins & Monro 1951) of what
 * makes its share of a twin that of the training data. Twins are made of few moments and come in
 * bursts; so a difference counts only as far as it is more than what blocks of them differ by. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "generators/system/system.h"

enum {
  TRIALS = 6,
  BLOCK = 4096,
  TRIAL = 16 * BLOCK, /* events, or as many blocks as there are in training; */
  LEAST = 2 * BLOCK,  /* not fewer: they would say nothing */
};
static const double KEPT = 0.8; /* of what earlier trials said, that went by other rates */

struct trial {
  const struct tt_system *system;
  struct evidence {     /* of one event, over blocks */
    double wanted, had; /* how often; the rate that it was made with taken back */
    double squares;     /* of what the two differ by, block by block */
  } * evidence;         /* [n_events] */
  double blocks;        /* that evidence is of */
  uint32_t *counts;     /* [n_events] of the block */
  size_t n;             /* its events so far */
};

static void end_block(struct trial *trial) {
  const struct tt_tally_row real = tt_tally_row(&tt_system_markov(trial->system)->common.counts, 0);
  const double total = (double)tt_tally_total(&real);
  for (size_t i = 0; i < real.n; i++) {
    const size_t event = (size_t)real.values[i];
    struct evidence *e = &trial->evidence[event];
    const double wanted = BLOCK * (double)tt_tally_at(&real, i) / total;
    const double had = trial->counts[event] * exp(-(double)trial->system->rates[event]);
    e->wanted += wanted;
    e->had += had;
    e->squares += (wanted - had) * (wanted - had);
  }
  memset(trial->counts, 0, trial->system->base.events.n * sizeof *trial->counts);
  trial->blocks++;
  trial->n = 0;
}

static enum tt_status count(void *user, const struct tt_event *events, size_t n) {
  struct trial *trial = user;
  for (size_t i = 0; i < n; i++) {
    trial->counts[events[i].event]++;
    if (++trial->n == BLOCK)
      end_block(trial);
  }
  return TT_OK;
}

/* The rates that would have made what was wanted. Where what blocks differ by varies as much as
 * their sum is, nothing is known, and the rate is 0 (the positive part of the estimate of James and
 * Stein). */
static void correct(struct trial *trial, float *rates) {
  const double n = trial->blocks;
  for (size_t i = 0; i < trial->system->base.events.n; i++) {
    struct evidence *e = &trial->evidence[i];
    const double more = e->wanted - e->had;
    const double noise = n > 1 ? (e->squares - more * more / n) * n / (n - 1) : INFINITY;
    const double sure = more != 0 ? fmax(1 - noise / (more * more), 0) : 0;
    const double rate = sure * log((e->wanted + 1) / (e->had + 1));
    rates[i] = (float)fmin(fmax(rate, -TT_SYSTEM_MOST_RATE), TT_SYSTEM_MOST_RATE);
    e->wanted *= KEPT;
    e->had *= KEPT;
    e->squares *= KEPT;
  }
  trial->blocks *= KEPT;
}

static void report(const struct tt_train_config *config, int done, double begin) {
  const double spent = tt_seconds() - begin;
  const struct tt_progress_report r = {.stage = "rates",
                                       .done = (uint64_t)done,
                                       .total = TRIALS,
                                       .unit = "trials",
                                       .rate = done / spent,
                                       .loss = NAN,
                                       .seconds_left = spent / done * (TRIALS - done)};
  if (config->progress && config->progress->report)
    config->progress->report(config->progress->user, &r);
}

static enum tt_status run(const struct tt_generator *generator, struct trial *trial,
                          const struct tt_train_config *config, const char *label, float *rates) {
  const struct tt_tally_row real = tt_tally_row(&tt_system_markov(trial->system)->common.counts, 0);
  const uint64_t total = tt_tally_total(&real);
  const struct tt_event_sink sink = {count, trial};
  struct tt_generate_config generate = {.events = total < TRIAL ? total / BLOCK * BLOCK : TRIAL,
                                        .threads = config->threads,
                                        .label = label};
  const double begin = tt_seconds();
  enum tt_status status = TT_OK;
  for (int k = 0; k < TRIALS && total >= LEAST && status == TT_OK; k++) {
    generate.seed = config->seed ^ (uint64_t)(k + 1) << 40; /* not that of any twin asked for */
    status = tt_generator_generate(generator, &generate, &sink);
    if (status != TT_OK)
      break;
    correct(trial, rates);
    report(config, k + 1, begin);
  }
  return status;
}

/* Of the generator's workload that `system` is. */
static enum tt_status fit(const struct tt_generator *generator, struct tt_system *system,
                          const struct tt_train_config *config, const char *label) {
  const size_t n = system->base.events.n;
  struct trial trial = {.system = system,
                        .evidence = tt_calloc(n, sizeof *trial.evidence),
                        .counts = tt_calloc(n, sizeof *trial.counts)};
  system->rates = tt_calloc(n, sizeof *system->rates);
  enum tt_status status = trial.evidence && trial.counts && system->rates
                              ? run(generator, &trial, config, label, system->rates)
                              : tt_fail(TT_NO_MEMORY, "rates of %zu events", n);
  tt_free(trial.evidence);
  tt_free(trial.counts);
  return status;
}

enum tt_status tt_system_fit_rates(struct tt_system *system, const struct tt_train_config *config,
                                   double *seconds) {
  const double begin = tt_seconds();
  enum tt_status status = TT_OK;
  if (system->n_workloads == 0)
    status = fit(&system->base, system, config, NULL);
  for (size_t i = 0; i < system->n_workloads && status == TT_OK; i++)
    status = fit(&system->base, &system->workloads[i], config, system->base.labels.names[i]);
  *seconds += tt_seconds() - begin;
  return status;
}
