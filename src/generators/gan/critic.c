#include "generators/gan/critic.h"

#include <math.h>
#include <stdio.h>

enum { PIECE_EVENTS = 1 << 14 };
static const size_t WIDTHS[TT_GAN_WIDTHS] = TT_GAN_FILTER_WIDTHS;
static const float DROPOUT = 0.25f; /* SeqGAN's code keeps 0.75 */

enum tt_status tt_gan_critic_init(struct tt_gan_critic *critic, uint64_t seed) {
  static const char *const name = "event";
  struct tt_params *params = &critic->params;
  const size_t d = critic->width, sum = TT_GAN_WIDTHS * critic->filters;
  tt_params_init(params);
  tt_embedding_init(&critic->events, params, "critic.embedding", &name, &critic->n_events, 1, d,
                    0.2f);
  for (size_t k = 0; k < TT_GAN_WIDTHS; k++) {
    char prefix[64];
    snprintf(prefix, sizeof prefix, "critic.conv%zu", WIDTHS[k]);
    tt_conv1d_init(&critic->convolutions[k], params, prefix, d, critic->filters, WIDTHS[k], 1, true,
                   -1);
  }
  tt_linear_init(&critic->transform, params, "critic.transform", sum, sum, true, -1);
  tt_linear_init(&critic->gate, params, "critic.gate", sum, sum, true, -1);
  tt_linear_init(&critic->head, params, "critic.head", sum, 2, true, 0.02f);
  return tt_params_build(params, seed);
}

void tt_gan_critic_release(struct tt_gan_critic *critic) {
  tt_params_release(&critic->params);
}

/* What the head reads, [n, filters of all widths]. */
static struct tt_tensor *features(struct tt_compute *c, const struct tt_gan_critic *critic,
                                  const int32_t *sequences, size_t n, size_t length) {
  struct tt_tensor *x = tt_embedding_forward(c, &critic->events, sequences, n * length);
  struct tt_tensor *pooled[TT_GAN_WIDTHS];
  for (size_t k = 0; k < TT_GAN_WIDTHS; k++)
    pooled[k] =
        tt_op_max_pool(c, tt_conv1d_forward(c, &critic->convolutions[k], x, n, TT_ACT_NONE), n);
  struct tt_tensor *all = tt_op_concat(c, pooled, TT_GAN_WIDTHS);
  all = tt_op_dropout(c, tt_op_activation(c, all, TT_ACT_RELU), DROPOUT);
  struct tt_tensor *new =
      tt_op_activation(c, tt_linear_forward(c, &critic->transform, all, TT_ACT_NONE), TT_ACT_RELU);
  struct tt_tensor *gate =
      tt_op_activation(c, tt_linear_forward(c, &critic->gate, all, TT_ACT_NONE), TT_ACT_SIGMOID);
  /* s * new + (1 - s) * all */
  struct tt_tensor *change = tt_op_add(c, new, tt_op_scale(c, all, -1));
  return tt_op_add(c, all, tt_op_mul(c, gate, change));
}

struct tt_tensor *tt_gan_critic_loss(struct tt_compute *c, const struct tt_gan_critic *critic,
                                     const int32_t *sequences, const int32_t *real, size_t n,
                                     size_t length) {
  struct tt_tensor *y = features(c, critic, sequences, n, length);
  return tt_op_head_loss(c, y, critic->head.weight, critic->head.bias, real, NULL, 0, NULL);
}

void tt_gan_critic_score(struct tt_compute *c, const struct tt_gan_critic *critic,
                         const int32_t *sequences, size_t n, size_t length, float *ret) {
  const size_t piece = length < PIECE_EVENTS ? PIECE_EVENTS / length : 1;
  for (size_t first = 0; first < n; first += piece) {
    const size_t here = n - first < piece ? n - first : piece;
    tt_compute_begin(c, false, 0);
    struct tt_tensor *y = features(c, critic, sequences + first * length, here, length);
    const float *logits = tt_op_linear_f32(c, y, critic->head.weight, critic->head.bias)->data;
    for (size_t i = 0; i < here; i++)
      ret[first + i] = (float)(1 / (1 + exp((double)logits[2 * i] - (double)logits[2 * i + 1])));
  }
}
