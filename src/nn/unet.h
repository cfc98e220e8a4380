/* A one-dimensional U-Net over sequences (Ronneberger et al. 2015; the residual form and its use in
 * diffusion: Ho et al. 2020, appendix B): `levels` resolutions, each half of the one before, a
 * residual block on each on the way down and on the way up, self-attention (rotary positions) and
 * two more residual blocks at the lowest, and the way down's output handed across on each level.
 *
 *   block(x) = skip(x) + conv3(act(gn(conv3(act(gn(x))) + W condition)))
 *
 * with the second convolution zero at the start, skip a linear map where the width changes. The way
 * down halves by a convolution of stride 2, the way up doubles by repetition and a convolution. The
 * first two levels have width d, those below 2d (a level costs half of what the one above costs at
 * equal width). Lengths are halved upwards: any length >= 1 will do, powers of two are not needed.
 */
#ifndef NN_UNET_H
#define NN_UNET_H

#include "nn/conv.h"
#include "nn/layers.h"

enum { TT_UNET_MAX_LEVELS = 8 };

struct tt_unet_config {
  size_t d, levels, heads; /* heads of the attention; d is a multiple of twice their number */
  size_t d_condition;
};

struct tt_unet_block {
  struct tt_group_norm norm1, norm2;
  struct tt_conv1d conv1, conv2;
  struct tt_linear condition; /* [out, d_condition] */
  struct tt_linear skip;      /* [out, in]; unset where in = out */
  bool same;                  /* in = out */
};

struct tt_unet {
  struct tt_unet_config config;
  struct tt_unet_block down[TT_UNET_MAX_LEVELS], up[TT_UNET_MAX_LEVELS], middle[2];
  struct tt_conv1d halve[TT_UNET_MAX_LEVELS];    /* from level i to i + 1 */
  struct tt_conv1d redouble[TT_UNET_MAX_LEVELS]; /* from level i to i - 1 */
  struct tt_group_norm attention_norm, norm;     /* norm: final */
  struct tt_linear qkv, proj;
};

/* Declares the parameters as PREFIX.down.I.conv1.weight and so on. */
void tt_unet_init(struct tt_unet *unet, struct tt_params *params, const char *prefix,
                  const struct tt_unet_config *config);
/* x: [batch * L, d] -> [batch * L, d], normed and activated. condition: [batch, d_condition]. */
struct tt_tensor *tt_unet_forward(struct tt_compute *c, const struct tt_unet *unet,
                                  struct tt_tensor *x, size_t batch, struct tt_tensor *condition);

#endif
