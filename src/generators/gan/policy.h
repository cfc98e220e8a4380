/* The generator network of the sequence GANs: embedding, LSTM, softmax over event types. In the
 * words of reinforcement learning: the policy, whose actions are events. */
#ifndef GENERATORS_GAN_POLICY_H
#define GENERATORS_GAN_POLICY_H

#include "base/rng.h"
#include "nn/lstm.h"

struct tt_gan_policy {
  size_t n_events, width;
  size_t n_streams; /* whose sequences are told apart; 0 or 1: none */
  struct tt_params params;
  /* summed: [n_events + 1, width], the last row being the start of a sequence; [n_streams, width]
   */
  struct tt_embedding inputs;
  struct tt_lstm lstm;
  struct tt_linear head;
  float *allowed; /* [n_events] 1, or 0 for events that are never drawn */
};

/* Declares and builds with `seed`; sizes are set, the rest zeroed. Release in any
 * case. */
enum tt_status tt_gan_policy_init(struct tt_gan_policy *policy, uint64_t seed);
void tt_gan_policy_release(struct tt_gan_policy *policy);

static inline int32_t tt_gan_start(const struct tt_gan_policy *policy) {
  return (int32_t)policy->n_events;
}

/* Sum of weights[i] * -log P(targets[i] | what came before) / normalizer, over batch sequences of
 * `length` rows; see tt_op_head_loss. inputs: the event before each (negative: not known to the
 * policy); streams: [batch] whose each sequence is (NULL, or one that the policy has not:
 * nobody's); state: before the first, replaced (NULL: zeros). row_loss: [rows] or NULL. */
struct tt_tensor *tt_gan_policy_loss(struct tt_compute *c, const struct tt_gan_policy *policy,
                                     const int32_t *inputs, const int32_t *streams,
                                     const int32_t *targets, const float *weights,
                                     double normalizer, size_t batch, size_t length,
                                     struct tt_lstm_state *state, float *row_loss);

/* Inference: one position of state->batch sequences; begins a step of `c`. Returns [batch,
 * n_events], in proportion to P(next | inputs so far), 0 where not allowed; valid until c's next
 * step. */
const float *tt_gan_policy_step(struct tt_compute *c, const struct tt_gan_policy *policy,
                                const int32_t *inputs, const int32_t *streams,
                                struct tt_lstm_state *state);

/* Inference: `length` rows are put in, nothing is drawn; begins a step of `c`. */
void tt_gan_policy_read(struct tt_compute *c, const struct tt_gan_policy *policy,
                        const int32_t *inputs, const int32_t *streams, size_t length,
                        struct tt_lstm_state *state);

/* Draws the next `n` events of each sequence: out[b * stride + i]. last[b]: the last event, not yet
 * put in; replaced, as is the state. rngs: [batch], one each. */
void tt_gan_policy_draw(struct tt_compute *c, const struct tt_gan_policy *policy, int32_t *last,
                        const int32_t *streams, struct tt_lstm_state *state, size_t n,
                        struct tt_rng *rngs, int32_t *out, size_t stride);

#endif
