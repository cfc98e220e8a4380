/* Distributions of times in a rule file, in ns:
 *
 *   700                                        always so long
 *   {"exponential": 4000}                      of that mean
 *   {"uniform": [100, 900]}
 *   {"normal": [4000000, 20000]}               mean, standard deviation; not below 0
 *   {"lognormal": [900, 0.5]}                  median, standard deviation of the logarithm
 *   {"at": [0, 0.5, 1], "ns": [90, 300, 9000]} quantiles: half of all are at most 300. Between two
 *                                              of them geometric; null (at the end): never
 */
#ifndef GENERATORS_RULES_DISTRIBUTION_H
#define GENERATORS_RULES_DISTRIBUTION_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rng.h"

#define TT_NEVER INT64_MAX

enum tt_distribution_kind {
  TT_DISTRIBUTION_CONSTANT,
  TT_DISTRIBUTION_EXPONENTIAL,
  TT_DISTRIBUTION_UNIFORM,
  TT_DISTRIBUTION_NORMAL,
  TT_DISTRIBUTION_LOGNORMAL,
  TT_DISTRIBUTION_QUANTILES
};

struct tt_quantile {
  double at;  /* share, ascending from 0 to 1 within a distribution */
  int64_t ns; /* not descending; TT_NEVER */
};

struct tt_distribution {
  enum tt_distribution_kind kind;
  double a, b;     /* parameters in the order above */
  size_t first, n; /* of the quantiles, in a table of all */
};

/* A time >= 0, or TT_NEVER. `quantiles` is the table. */
int64_t tt_distribution_draw(const struct tt_distribution *distribution,
                             const struct tt_quantile *quantiles, struct tt_rng *rng);
/* Checks and reads one. Quantiles are appended to the table. Returns NULL, or what is wrong (a
 * literal; "" for no memory). */
const char *tt_distribution_read(const json_t *json, struct tt_quantile **quantiles, size_t *n,
                                 size_t *capacity, struct tt_distribution *ret);
/* The shortest of the above that fits the ascending samples[n >= 1]: a constant, or few quantiles
 * such that no sample is off by more than 5 % of itself (at most 24 of them). NULL: no memory. */
json_t *tt_distribution_fit(const int64_t *samples, size_t n);

#endif
