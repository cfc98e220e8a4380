#include "jobs/boost.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/output.h"

enum {
  TRIALS = 16,
  LEAST_TRIAL = 20000,
  MOST_TRIAL = 200000,
  COUNTED = 400,
  POWER_STEPS = 2000,
};
static const double MOST_FACTOR = 1e6, LEAST_FACTOR = 1e-6;
/* Trials aim higher, but not by much: shares of twins scatter more than independent draws do. */
static const double MARGIN = 1.3, ENOUGH = 1.5;

/* "EVENT=NUMBER", the number with or without an x before it. */
static enum tt_status parse_wish(const char *option, const char *text,
                                 const struct tt_generator *generator, struct tt_boost *boost,
                                 double *ret_number) {
  const char *equals = strrchr(text, '=');
  char *end;
  if (!equals || equals == text || !equals[1])
    return tt_fail(TT_USAGE, "%s '%s': not EVENT=NUMBER", option, text);
  const char *number = equals + 1;
  number += *number == 'x' ? 1 : strncmp(number, "\u00d7", 2) == 0 ? 2 : 0;
  *ret_number = strtod(number, &end);
  if (end == number || *end)
    return tt_fail(TT_USAGE, "%s '%s': not EVENT=NUMBER", option, text);
  char *name = tt_format("%.*s", (int)(equals - text), text);
  if (!name)
    return tt_fail(TT_NO_MEMORY, "out of memory");
  uint32_t event = tt_names_find(&generator->events, name);
  enum tt_status status = TT_OK;
  if (event == TT_NAME_NONE)
    status = tt_fail(TT_USAGE, "%s '%s': the model knows no event of that name", option, text);
  else if (boost->n == TT_BOOSTS)
    status = tt_fail(TT_USAGE, "more than %d events to be made likelier", TT_BOOSTS);
  for (size_t i = 0; i < boost->n && status == TT_OK; i++)
    if (boost->wishes[i].event == event)
      status = tt_fail(TT_USAGE, "%s '%s': the event is there twice", option, text);
  tt_free(name);
  if (status == TT_OK)
    boost->wishes[boost->n++] = (struct tt_boost_wish){.event = (uint16_t)event, .factor = 1};
  return status;
}

enum tt_status tt_boost_parse(const struct tt_generate_options *options,
                              const struct tt_generator *generator, struct tt_boost *ret) {
  const size_t events = generator->events.n;
  enum tt_status status = TT_OK;
  double number, sum = 0;
  *ret = (struct tt_boost){0};
  if (options->n_amplify + options->n_min_shares == 0)
    return TT_OK;
  ret->label = options->label;
  ret->n_parts = tt_generator_parts(generator, options->label);
  ret->factors = tt_calloc(ret->n_parts, events * sizeof *ret->factors);
  ret->counts = tt_calloc(events, sizeof *ret->counts);
  if (!ret->factors || !ret->counts)
    return tt_fail(TT_NO_MEMORY, "out of memory");
  for (size_t i = 0; i < options->n_amplify && status == TT_OK; i++) {
    status = parse_wish("--amplify", options->amplify[i], generator, ret, &number);
    if (status == TT_OK && !(number >= LEAST_FACTOR && number <= MOST_FACTOR))
      status = tt_fail(TT_USAGE, "--amplify '%s': not within %g and %g", options->amplify[i],
                       LEAST_FACTOR, MOST_FACTOR);
    if (status == TT_OK)
      ret->wishes[ret->n - 1].factor = number;
  }
  for (size_t i = 0; i < options->n_min_shares && status == TT_OK; i++) {
    status = parse_wish("--min-share", options->min_shares[i], generator, ret, &number);
    sum += status == TT_OK ? number : 0;
    if (status == TT_OK && !(number > 0 && sum < 1))
      status = tt_fail(TT_USAGE, "--min-share '%s': shares are above 0 and sum to less than 1",
                       options->min_shares[i]);
    if (status != TT_OK)
      break;
    ret->wishes[ret->n - 1].by_share = true;
    ret->wishes[ret->n - 1].share = number;
  }
  return status;
}

void tt_boost_release(struct tt_boost *boost) {
  tt_free(boost->factors);
  tt_free(boost->counts);
}

void tt_boost_count(struct tt_boost *boost, const struct tt_event *events, size_t n) {
  for (size_t i = 0; boost->counts && i < n; i++)
    boost->counts[events[i].event]++;
}

/* One step of the power method: to = P K from, made to have 1 as its largest; returns the largest
 * change. */
static double step(const struct tt_generator *generator, size_t label, const double *weights,
                   const double *from, double *to) {
  const size_t n = generator->events.n;
  double most = 0, change = 0;
  for (size_t i = 0; i < n; i++) {
    const struct tt_tally_row row = generator->ops->successors(generator, label, (uint16_t)i);
    double sum = 0;
    for (size_t k = 0; k < row.n; k++)
      sum += (double)tt_tally_at(&row, k) * weights[row.values[k]] * from[row.values[k]];
    to[i] = row.n ? sum / (double)tt_tally_total(&row) : 0;
    most = fmax(most, to[i]);
  }
  for (size_t i = 0; i < n; i++) {
    to[i] /= most;
    change = fmax(change, fabs(to[i] - from[i]));
  }
  return change;
}

/* The factors of all events in a part, from those that are wished for. */
static enum tt_status tilt_part(const struct tt_boost *boost, const struct tt_generator *generator,
                                size_t part) {
  const size_t label = tt_generator_part(generator, boost->label, 0, part).which;
  const size_t n = generator->events.n;
  double *weights = tt_alloc(n, sizeof *weights), *r = tt_alloc(n, sizeof *r),
         *next = tt_alloc(n, sizeof *next);
  enum tt_status status =
      weights && r && next ? TT_OK : tt_fail(TT_NO_MEMORY, "factors of %zu events", n);
  for (size_t i = 0; i < n && status == TT_OK; i++)
    weights[i] = r[i] = 1;
  for (size_t i = 0; i < boost->n && status == TT_OK; i++)
    weights[boost->wishes[i].event] = boost->wishes[i].factor;
  for (int k = 0; k < POWER_STEPS && status == TT_OK; k++) {
    double change = step(generator, label, weights, r, next);
    for (size_t i = 0; i < n; i++) /* the mean of both: a chain with a period converges too */
      r[i] = (r[i] + next[i]) / 2;
    if (change < 1e-9)
      break;
  }
  double most = 0;
  for (size_t i = 0; i < n && status == TT_OK; i++)
    most = fmax(most, weights[i] * r[i]);
  for (size_t i = 0; i < n && status == TT_OK; i++) /* what leads nowhere stays possible */
    boost->factors[part * n + i] = (float)fmax(weights[i] * r[i] / most, 1e-30);
  tt_free(weights);
  tt_free(r);
  tt_free(next);
  return status;
}

static enum tt_status tilt(struct tt_boost *boost, const struct tt_generator *generator) {
  enum tt_status status = TT_OK;
  for (size_t part = 0; part < boost->n_parts && status == TT_OK; part++)
    status = tilt_part(boost, generator, part);
  return status;
}

static enum tt_status count(void *user, const struct tt_event *events, size_t n) {
  tt_boost_count(user, events, n);
  return TT_OK;
}

/* The next factor to try after one that gave a share of `had`; false: it is as wanted. */
static bool search(struct tt_boost_wish *wish, double had) {
  const double wanted = fmin(MARGIN * wish->share, (1 + wish->share) / 2);
  if (had >= wanted && (had <= ENOUGH * wanted || wish->factor == 1))
    return false;
  if (had < wanted)
    wish->low = wish->factor;
  else
    wish->high = wish->factor;
  double odds = wanted / (1 - wanted) / (had / (1 - had));
  double to = wish->low > 0 && wish->high > 0 ? sqrt(wish->low * wish->high)
                                              : wish->factor * fmin(fmax(odds, 0.01), 100);
  to = fmin(fmax(to, 1), MOST_FACTOR);
  if (wish->low > 0 && wish->high > 0 && wish->high / wish->low < 1.02)
    to = wish->high; /* as near as it gets: the lower one was too low */
  bool other = to != wish->factor;
  wish->factor = to;
  return other;
}

enum tt_status tt_boost_fit(struct tt_boost *boost, const struct tt_generator *generator,
                            const struct tt_generate_config *config) {
  double least = 1;
  if (boost->n == 0)
    return TT_OK;
  if (!generator->ops->successors)
    return tt_fail(TT_USAGE, "the generator %s cannot make events likelier", generator->ops->name);
  for (size_t i = 0; i < boost->n; i++)
    if (boost->wishes[i].by_share && boost->wishes[i].share < least)
      least = boost->wishes[i].share;
  enum tt_status status = tilt(boost, generator);
  const double needed = fmax(fmax(COUNTED / least, LEAST_TRIAL), (double)config->events);
  const double events = fmin(needed, MOST_TRIAL);
  struct tt_generate_config trial = *config;
  const struct tt_event_sink sink = {count, boost};
  trial.events = (uint64_t)events;
  trial.boost = boost->factors;
  trial.progress = NULL;
  bool searching = least < 1;
  for (int k = 0; k < TRIALS && searching && status == TT_OK; k++) {
    memset(boost->counts, 0, generator->events.n * sizeof *boost->counts);
    trial.seed = config->seed ^ (uint64_t)(k + 1) << 48;
    status = tt_generator_generate(generator, &trial, &sink);
    searching = false;
    for (size_t i = 0; i < boost->n && status == TT_OK; i++) {
      struct tt_boost_wish *wish = &boost->wishes[i];
      double had = ((double)boost->counts[wish->event] + 0.5) / (events + 1);
      searching |= wish->by_share && search(wish, had);
    }
    if (searching && status == TT_OK)
      status = tilt(boost, generator);
  }
  memset(boost->counts, 0, generator->events.n * sizeof *boost->counts);
  return status;
}

enum tt_status tt_boost_satisfied(const struct tt_boost *boost,
                                  const struct tt_generator *generator, uint64_t n) {
  for (size_t i = 0; i < boost->n; i++) {
    const struct tt_boost_wish *wish = &boost->wishes[i];
    double share = (double)boost->counts[wish->event] / (double)n;
    if (wish->by_share && share < wish->share)
      return tt_fail(TT_FAILED, "%s has a share of %.3g, not %g, though made %.3g times as likely",
                     generator->events.names[wish->event], share, wish->share, wish->factor);
  }
  return TT_OK;
}

void tt_boost_summarise(const struct tt_boost *boost, const struct tt_generator *generator,
                        uint64_t n, struct tt_generate_summary *ret) {
  ret->n_boosted = boost->n;
  for (size_t i = 0; i < boost->n; i++) {
    const uint16_t event = boost->wishes[i].event;
    struct tt_boosted *to = &ret->boosted[i];
    snprintf(to->event, sizeof to->event, "%s", generator->events.names[event]);
    to->factor = boost->wishes[i].factor;
    to->share = (double)boost->counts[event] / (double)n;
  }
}
