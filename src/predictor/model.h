/* The predictor's network: the sum of the channels' embeddings, causal Transformer blocks with
 * rotary positions (what matters is how far back, not where in the window), one head over the event
 * classes. */
#ifndef PREDICTOR_MODEL_H
#define PREDICTOR_MODEL_H

#include "nn/transformer.h"
#include "predictor/predictor.h"

struct tt_predictor_model {
  size_t context, n_ids, n_classes;
  struct tt_compute *compute;
  struct tt_params params;
  struct tt_embedding embedding;
  struct tt_transformer body;
  struct tt_linear head;
};

enum tt_status tt_predictor_model_init(const struct tt_predictor_config *config,
                                       const struct tt_vocabulary *vocabulary,
                                       struct tt_predictor_model **ret);
void tt_predictor_model_free(struct tt_predictor_model *model); /* accepts NULL */
/* One recorded forward pass; ids: [windows * context, n_ids]; targets: [windows * context], -1:
 * ignored, or >= n_classes: a TT_ASSERT. Returns the mean loss in nats, [1, 1]. */
struct tt_tensor *tt_predictor_model_loss(struct tt_predictor_model *model, size_t windows,
                                          const int32_t *ids, const int32_t *targets,
                                          uint64_t step);
/* Inference: f32 logits [windows * context, n_classes], valid until the next call. */
const float *tt_predictor_model_logits(struct tt_predictor_model *model, size_t windows,
                                       const int32_t *ids);

#endif
