/* The poster's downstream task: a causal Transformer (4 layers, 8 heads, d = 256, 128 events) that
 * predicts the next event's type from the channels of the events before it, trained on any mix of
 * real and synthetic datasets and always tested on real data.
 *
 * Training: windows of `context` events of one dataset, starting anywhere, never crossing a
 * dataset, a CPU's stream or a gap of lost events; the loss counts at every position under a causal
 * mask. AdamW at a constant rate after a warm-up. After every epoch (at least MIN_INTERVAL, at most
 * MAX_INTERVAL steps) an exponential average of the weights is scored on the real validation set;
 * the average with the lowest validation loss is kept, and `patience` scores without a new minimum
 * end the training: whatever the training data's size, it goes on while there is something to learn
 * (`steps` > 0: exactly that many steps, the last average is scored). A rate that falls to zero
 * would end the training of an arm with much data too soon, and an arm's score would hang on the
 * budget. The loss decides, not macro-F1: that one hangs on a handful of rare events.
 *
 * Scoring: every event but the first of each run is predicted exactly once, with at least
 * context / 2 events before it (fewer only at the beginning of a run). Validation makes do with
 * context / 8, at half the cost, and with at most 256 windows spread over the whole.
 *
 * Classes are the event names of the vocabulary (learned from the REAL train dataset and shared by
 * all arms). A test event whose name the vocabulary lacks is a class of its own that is never
 * predicted right. */
#ifndef PREDICTOR_PREDICTOR_H
#define PREDICTOR_PREDICTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "compute/tape.h"
#include "dataset/channels.h"
#include "dataset/dataset.h"
#include "dataset/streams.h"
#include "dataset/vocabulary.h"
#include "metrics/scores.h"
#include "tracetwin/progress.h"

struct tt_predictor_config {
  unsigned channels;          /* set of TT_CHANNEL_BIT: what is read of each event */
  enum tt_stream_kind stream; /* windows of the merged stream, or of each CPU's */
  size_t context;             /* events per window, >= 2 */
  size_t batch;               /* windows per step */
  size_t layers, heads, width;
  size_t steps;                 /* exactly so many steps; 0: until early stopping */
  size_t max_steps, max_epochs; /* limits when steps == 0 */
  size_t patience;              /* validation scores without a lower loss before stopping */
  double lr;                    /* learning rate */
  double dropout;
  uint64_t seed;
  enum tt_precision precision;
  struct tt_progress progress;
};

/* The defaults; change fields after it. */
void tt_predictor_config_init(struct tt_predictor_config *ret);

/* A slice of a dataset as training data. n == 0: to its end. */
struct tt_predictor_part {
  const struct tt_dataset *dataset;
  size_t first, n;
};

#define TT_PREDICTOR_BASELINES 3
extern const size_t tt_predictor_baseline_orders[TT_PREDICTOR_BASELINES]; /* 1, 2, 5 */

struct tt_predictor_result {
  struct tt_scores scores; /* on the test set */
  struct tt_scores val_scores;
  double val_loss;   /* nats per event, of the weights that were scored */
  double train_loss; /* running mean at the end */
  /* What counting knows: the most frequent successor of the last 1, 2, 5 events in the same
   * training data, backing off to shorter contexts where the context was never seen; on the same
   * test positions. */
  struct tt_scores baselines[TT_PREDICTOR_BASELINES];
  size_t steps, best_step, parameters;
  double epochs, seconds, eval_seconds;
  double events_per_second; /* of training */
  uint64_t train_events;
  size_t unseen_classes; /* test classes that the vocabulary lacks */
};

/* val may be NULL when config->steps > 0 (val_loss is NaN then). */
enum tt_status tt_predictor_run(const struct tt_predictor_config *config,
                                const struct tt_vocabulary *vocabulary,
                                const struct tt_predictor_part *train, size_t n_train,
                                const struct tt_dataset *val, const struct tt_dataset *test,
                                struct tt_predictor_result *ret);

#endif
