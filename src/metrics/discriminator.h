/* Can a classifier tell two traces apart? L2-regularised logistic regression on the counts of
 * hashed features of windows of 64 events, 5-fold cross-validated: every window is scored by a
 * model that has not seen it. The area under the ROC curve is 0.5 when the two cannot be told
 * apart. */
#ifndef METRICS_DISCRIMINATOR_H
#define METRICS_DISCRIMINATOR_H

#include "metrics/view.h"

enum tt_discriminator_features {
  TT_FEATURES_EVENTS, /* 1- to 3-grams in merged order, 2-grams per CPU */
  TT_FEATURES_ALL     /* and dt, comm and ret given event, thread changes */
};

/* *ret_auc is NaN when either view holds fewer than 10 windows. */
enum tt_status tt_discriminator_auc(const struct tt_view *a, const struct tt_view *b,
                                    enum tt_discriminator_features features, uint64_t seed,
                                    double *ret_auc);
/* Area under the ROC curve: the probability that a positive scores above a negative, ties half
 * (Mann-Whitney). NaN when a class is empty. */
enum tt_status tt_auc(const double *score, const uint8_t *positive, size_t n, double *ret_auc);

#endif
