#include "generators/gan/policy.h"

#include <math.h>

#include "base/mem.h"
#include "compute/vector_math.h"

enum tt_status tt_gan_policy_init(struct tt_gan_policy *policy, uint64_t seed) {
  static const char *const names[] = {"event", "stream"};
  const size_t d = policy->width, sizes[] = {policy->n_events + 1, policy->n_streams};
  struct tt_params *params = &policy->params;
  tt_params_init(params);
  policy->allowed = tt_alloc(policy->n_events, sizeof *policy->allowed);
  if (!policy->allowed)
    return tt_fail(TT_NO_MEMORY, "%zu events", policy->n_events);
  for (size_t i = 0; i < policy->n_events; i++)
    policy->allowed[i] = 1;
  tt_embedding_init(&policy->inputs, params, "embedding", names, sizes,
                    policy->n_streams > 1 ? 2 : 1, d, 0.2f);
  tt_lstm_init(&policy->lstm, params, "lstm", d, d);
  tt_linear_init(&policy->head, params, "head", d, policy->n_events, true, 0.02f);
  enum tt_status status = tt_params_build(params, seed);
  if (status == TT_OK)
    tt_lstm_remember(&policy->lstm, params);
  return status;
}

void tt_gan_policy_release(struct tt_gan_policy *policy) {
  tt_params_release(&policy->params);
  tt_free(policy->allowed);
  policy->allowed = NULL;
}

static struct tt_tensor *hidden(struct tt_compute *c, const struct tt_gan_policy *policy,
                                const int32_t *inputs, const int32_t *streams, size_t batch,
                                size_t length, struct tt_lstm_state *state) {
  const int32_t *ids = inputs;
  if (policy->n_streams > 1) {
    int32_t *pairs = tt_arena(c, batch * length * 2, sizeof *pairs);
    for (size_t row = 0; row < batch * length; row++) {
      const int32_t stream = streams ? streams[row / length] : -1;
      pairs[2 * row] = inputs[row];
      pairs[2 * row + 1] = stream < (int32_t)policy->n_streams ? stream : -1;
    }
    ids = pairs;
  }
  struct tt_tensor *x = tt_embedding_forward(c, &policy->inputs, ids, batch * length);
  return tt_lstm_forward(c, &policy->lstm, x, batch, state);
}

struct tt_tensor *tt_gan_policy_loss(struct tt_compute *c, const struct tt_gan_policy *policy,
                                     const int32_t *inputs, const int32_t *streams,
                                     const int32_t *targets, const float *weights,
                                     double normalizer, size_t batch, size_t length,
                                     struct tt_lstm_state *state, float *row_loss) {
  struct tt_tensor *h = hidden(c, policy, inputs, streams, batch, length, state);
  return tt_op_head_loss(c, h, policy->head.weight, policy->head.bias, targets, weights, normalizer,
                         row_loss);
}

const float *tt_gan_policy_step(struct tt_compute *c, const struct tt_gan_policy *policy,
                                const int32_t *inputs, const int32_t *streams,
                                struct tt_lstm_state *state) {
  const size_t batch = state->batch, n = policy->n_events;
  tt_compute_begin(c, false, 0);
  struct tt_tensor *h = hidden(c, policy, inputs, streams, batch, 1, state);
  float *rows = tt_op_linear_f32(c, h, policy->head.weight, policy->head.bias)->data;
#pragma omp parallel for schedule(static)
  for (size_t b = 0; b < batch; b++) {
    float *row = rows + b * n, max = row[0];
#pragma omp simd reduction(max : max)
    for (size_t i = 0; i < n; i++)
      max = row[i] > max ? row[i] : max;
    for (size_t i = 0; i < n; i++)
      row[i] = tt_exp(row[i] - max) * policy->allowed[i];
  }
  return rows;
}

void tt_gan_policy_read(struct tt_compute *c, const struct tt_gan_policy *policy,
                        const int32_t *inputs, const int32_t *streams, size_t length,
                        struct tt_lstm_state *state) {
  if (length == 0)
    return;
  tt_compute_begin(c, false, 0);
  hidden(c, policy, inputs, streams, state->batch, length, state);
}

void tt_gan_policy_draw(struct tt_compute *c, const struct tt_gan_policy *policy, int32_t *last,
                        const int32_t *streams, struct tt_lstm_state *state, size_t n,
                        struct tt_rng *rngs, int32_t *out, size_t stride) {
  for (size_t i = 0; i < n; i++) {
    const float *rows = tt_gan_policy_step(c, policy, last, streams, state);
#pragma omp parallel for schedule(static)
    for (size_t b = 0; b < state->batch; b++) {
      last[b] = (int32_t)tt_rng_pick(&rngs[b], rows + b * policy->n_events, policy->n_events);
      out[b * stride + i] = last[b];
    }
  }
}
