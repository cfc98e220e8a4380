/* Classification scores as scikit-learn defines them, accumulated one prediction at a time.
 *
 * macro F1 is the plain mean of the F1 of the classes that occur as truth (support > 0), as
 * f1_score(average="macro", labels=unique(y_true), zero_division=0); weighted F1 weights by
 * support; top-k is the share of samples whose true class stands among the k best scored. A class
 * that never occurs as truth still costs precision elsewhere when it is predicted, and is not
 * averaged. */
#ifndef METRICS_SCORES_H
#define METRICS_SCORES_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct tt_scores {
  double macro_f1, weighted_f1, accuracy, top5, top10; /* fractions, 0..1 */
  size_t classes;                                      /* classes occurring as truth */
  uint64_t samples;
};

struct tt_class_score {
  uint64_t support, predicted, hits;
  double f1;
};

struct tt_scorer {
  size_t n_classes;
  struct tt_class_score *classes; /* [n_classes] owned; f1 is set by tt_scorer_result */
  uint64_t samples, in5, in10;
};

/* Rank of a class that the model cannot predict at all. */
#define TT_RANK_NEVER SIZE_MAX

enum tt_status tt_scorer_init(struct tt_scorer *ret, size_t n_classes);
void tt_scorer_release(struct tt_scorer *scorer);
/* truth, predicted: 0..n_classes-1; rank: number of classes scored better than the truth (0: it is
 * the prediction), or TT_RANK_NEVER. */
void tt_scorer_add(struct tt_scorer *scorer, size_t truth, size_t predicted, size_t rank);
/* All zero when nothing was added. */
struct tt_scores tt_scorer_result(struct tt_scorer *scorer);
/* Number of entries of score[0..n-1] that beat score[truth]; a tie goes to the lower index. */
size_t tt_rank_of(const float *score, size_t n, size_t truth);

#endif
