/* What counting knows: predict the most frequent successor of the last `order` events, backing off
 * to shorter contexts where the context was never seen. */
#ifndef PREDICTOR_BASELINE_H
#define PREDICTOR_BASELINE_H

#include "metrics/scores.h"
#include "predictor/windows.h"

/* Learned from the sources' segments, scored on every position of `test` but each segment's first:
 * the positions the predictor is scored on. top5 and top10 are not measured (0). n_classes: with
 * the unseen ones. */
enum tt_status tt_baseline_scores(const struct tt_source_slice *sources, size_t n_sources,
                                  const struct tt_source_slice *test, size_t order,
                                  size_t n_classes, struct tt_scores *ret);

#endif
