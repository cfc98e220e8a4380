/* Layers along the sequence: convolution, group norm. Names as in layers.h. */
#ifndef NN_CONV_H
#define NN_CONV_H

#include "compute/ops.h"

struct tt_conv1d {
  struct tt_param *weight, *bias; /* [out, kernel * in], [1, out] or NULL */
  size_t kernel, stride;
};
/* kernel odd, stride 1 or 2. Weights normal with standard deviation `std` (0: all zero; < 0:
 * 1/sqrt(kernel * in)), bias zero. */
void tt_conv1d_init(struct tt_conv1d *conv, struct tt_params *params, const char *prefix, size_t in,
                    size_t out, size_t kernel, size_t stride, bool bias, float std);
/* x: [batch * L, in]; returns [batch * ceil(L / stride), out]. */
struct tt_tensor *tt_conv1d_forward(struct tt_compute *c, const struct tt_conv1d *conv,
                                    struct tt_tensor *x, size_t batch, enum tt_act act);

struct tt_group_norm {
  struct tt_param *gamma, *beta;
  size_t groups;
};
/* groups divides d. */
void tt_group_norm_init(struct tt_group_norm *norm, struct tt_params *params, const char *prefix,
                        size_t d, size_t groups);
struct tt_tensor *tt_group_norm_forward(struct tt_compute *c, const struct tt_group_norm *norm,
                                        struct tt_tensor *x, size_t batch, enum tt_act act);

#endif
