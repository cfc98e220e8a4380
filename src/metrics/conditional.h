/* Jensen-Shannon divergence of a value given a key, averaged over the keys by frequency:
 *
 *   sum over keys k of (p(k) + q(k)) / 2 * JSD(P(value | k), Q(value | k))
 *
 * with p, q the keys' shares in the reference and the candidate; a key that only one side has
 * counts as 1. Keys are below 2^16. */
#ifndef METRICS_CONDITIONAL_H
#define METRICS_CONDITIONAL_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* One observation; of categories, `value` must lie in [0, 2^48). */
struct tt_observation {
  uint32_t key;
  int64_t value;
};

/* *ret is NaN when neither side has an observation. */
enum tt_status tt_conditional_jsd_categories(const struct tt_observation *reference,
                                             size_t n_reference,
                                             const struct tt_observation *candidate,
                                             size_t n_candidate, double *ret);
/* Numbers in at most TT_QUANTILE_BINS bins per key, cut at the reference's quantiles (fewer where
 * it has fewer than 8 observations per bin; a value that fills whole quantiles gets a bin of its
 * own), plus what lies above the reference's maximum. */
#define TT_QUANTILE_BINS 32
enum tt_status tt_conditional_jsd_numbers(const struct tt_observation *reference,
                                          size_t n_reference,
                                          const struct tt_observation *candidate,
                                          size_t n_candidate, double *ret);

#endif
