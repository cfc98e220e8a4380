#include "nn/conv.h"

#include <math.h>

void tt_conv1d_init(struct tt_conv1d *conv, struct tt_params *params, const char *prefix, size_t in,
                    size_t out, size_t kernel, size_t stride, bool bias, float std) {
  float scale = std < 0 ? 1 / sqrtf((float)(kernel * in)) : std;
  conv->kernel = kernel;
  conv->stride = stride;
  conv->weight = tt_params_add(params, std == 0 ? TT_INIT_ZERO : TT_INIT_NORMAL, scale, true, out,
                               kernel * in, "%s.weight", prefix);
  conv->bias =
      bias ? tt_params_add(params, TT_INIT_ZERO, 0, false, 1, out, "%s.bias", prefix) : NULL;
}

struct tt_tensor *tt_conv1d_forward(struct tt_compute *c, const struct tt_conv1d *conv,
                                    struct tt_tensor *x, size_t batch, enum tt_act act) {
  return tt_op_conv1d(c, x, batch, conv->kernel, conv->stride, conv->weight, conv->bias, act);
}

void tt_group_norm_init(struct tt_group_norm *norm, struct tt_params *params, const char *prefix,
                        size_t d, size_t groups) {
  norm->groups = groups;
  norm->gamma = tt_params_add(params, TT_INIT_ONE, 0, false, 1, d, "%s.weight", prefix);
  norm->beta = tt_params_add(params, TT_INIT_ZERO, 0, false, 1, d, "%s.bias", prefix);
}

struct tt_tensor *tt_group_norm_forward(struct tt_compute *c, const struct tt_group_norm *norm,
                                        struct tt_tensor *x, size_t batch, enum tt_act act) {
  return tt_op_group_norm(c, x, batch, norm->groups, norm->gamma, norm->beta, act);
}
