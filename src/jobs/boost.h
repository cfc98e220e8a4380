/* Rare events made likelier: what `generate --amplify` and `--min-share` ask for.
 *
 * Each occurrence of event j in a twin is to weigh K_j times what it does in the model: the most
 * likely way to have more of it. For a Markov chain with transitions P that measure is again a
 * chain, P'(j | i) in proportion to P(j | i) K_j r_j, r being the right eigenvector of the matrix
 * P(j | i) K_j of the largest eigenvalue (exponential tilting; Chetrite & Touchette 2015,
 * "Nonequilibrium Markov processes conditioned on large deviations", section 4): r_j says how soon
 * j leads to what is wanted, so that whole situations become likelier and not only their last step.
 * P here is that of pairs of events; the generator's own, longer memory gets the same factors.
 * While the event is rare its share grows by about K. */
#ifndef JOBS_BOOST_H
#define JOBS_BOOST_H

#include "generators/generator.h"
#include "tracetwin/generator.h"

struct tt_boost {
  size_t n; /* asked for; 0: nothing */
  struct tt_boost_wish {
    uint16_t event;
    bool by_share;
    double share;     /* wanted, where by_share */
    double factor;    /* K */
    double low, high; /* by_share: K was tried and too low, and more than enough; 0: none yet */
  } wishes[TT_BOOSTS];
  size_t n_parts; /* of the twin: tt_generator_parts */
  const char *label;
  /* [n_parts, events] of the generator, K r of the part's label made to have 1 as its largest;
   * NULL: none */
  float *factors;
  uint64_t *counts; /* [events] of what tt_boost_count saw */
};

/* Reads the options; TT_USAGE: not EVENT=NUMBER, an event that the model lacks, a number out of
 * range, too many. */
enum tt_status tt_boost_parse(const struct tt_generate_options *options,
                              const struct tt_generator *generator, struct tt_boost *ret);
void tt_boost_release(struct tt_boost *boost);
/* Finds the factors that the wanted shares need, by trial twins of other seeds. Whether the twin
 * itself has them is for tt_boost_satisfied to say. */
enum tt_status tt_boost_fit(struct tt_boost *boost, const struct tt_generator *generator,
                            const struct tt_generate_config *config);
/* Counts events that a sink is given. */
void tt_boost_count(struct tt_boost *boost, const struct tt_event *events, size_t n);
/* TT_FAILED when an event's share of the n counted is below what is wanted. */
enum tt_status tt_boost_satisfied(const struct tt_boost *boost,
                                  const struct tt_generator *generator, uint64_t n);
/* Puts factors and shares of the n events counted into the summary. */
void tt_boost_summarise(const struct tt_boost *boost, const struct tt_generator *generator,
                        uint64_t n, struct tt_generate_summary *ret);

#endif
