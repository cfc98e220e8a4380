/* The discriminator of the sequence GANs, SeqGAN's: a convolutional network for sentences (Kim
 * 2014) with a highway layer (Srivastava et al. 2015):
 *
 *   x      embedding of the events
 *   c_w    relu(max over time of conv_w(x)), `filters` filters of each width w
 *   c      all c_w side by side, dropout
 *   y      s * relu(W_h c) + (1 - s) * c,  s = sigmoid(W_t c)
 *   D      softmax(W_o y): generated (0) or real (1)
 *
 * The maximum is taken before the rectifier, which is the same and cheaper. Sequences are padded
 * with zeros at both ends. */
#ifndef GENERATORS_GAN_CRITIC_H
#define GENERATORS_GAN_CRITIC_H

#include "nn/conv.h"
#include "nn/layers.h"

enum { TT_GAN_WIDTHS = 4 };
#define TT_GAN_FILTER_WIDTHS                                                                       \
  { 3, 5, 7, 9 }

struct tt_gan_critic {
  size_t n_events, width, filters; /* embedding; filters of each width */
  struct tt_params params;         /* names begin with "critic." */
  struct tt_embedding events;
  struct tt_conv1d convolutions[TT_GAN_WIDTHS];
  struct tt_linear transform, gate, head;
};

/* Declares and builds with `seed`; sizes are set, the rest zeroed. Release in any case. */
enum tt_status tt_gan_critic_init(struct tt_gan_critic *critic, uint64_t seed);
void tt_gan_critic_release(struct tt_gan_critic *critic);

/* Mean cross-entropy of n sequences [n, length] (negative events: none); real: [n] 0 or 1. */
struct tt_tensor *tt_gan_critic_loss(struct tt_compute *c, const struct tt_gan_critic *critic,
                                     const int32_t *sequences, const int32_t *real, size_t n,
                                     size_t length);

/* Inference, in pieces of bounded memory, each a step of `c`: ret[n] = D. */
void tt_gan_critic_score(struct tt_compute *c, const struct tt_gan_critic *critic,
                         const int32_t *sequences, size_t n, size_t length, float *ret);

#endif
