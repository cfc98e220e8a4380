/* conv1d and group_norm: what residual convolution blocks are made of. */
#include "compute/kernels.h"

struct conv_args {
  struct tt_tensor *x, *y;
  struct tt_param *weight, *bias;
  struct tt_k_conv1d forward;
};

static double flops_of(const struct tt_k_conv1d *k) {
  return 2.0 * (double)(k->batch * k->out_length) * (double)(k->weight->rows * k->weight->cols);
}

static void conv_backward(struct tt_compute *c, const struct tt_node *node) {
  const struct conv_args *a = node->args;
  bool accumulate = false;
  void *dx = tt_grad_target(c, a->x, &accumulate);
  c->kernels->conv1d_backward(
      &(struct tt_k_conv1d_backward){.forward = a->forward,
                                     .dy = tt_grad_scratch(c, a->y),
                                     .dx = dx,
                                     .dx_accumulate = accumulate,
                                     .weight_grad = a->weight->grad,
                                     .bias_grad = a->bias ? a->bias->grad : NULL});
  c->times[TT_OP_conv1d].flops += flops_of(&a->forward) * (dx ? 2 : 1);
}

struct tt_tensor *tt_op_conv1d(struct tt_compute *c, struct tt_tensor *x, size_t batch,
                               size_t kernel, size_t stride, struct tt_param *weight,
                               struct tt_param *bias, enum tt_act act) {
  TT_ASSERT(batch > 0 && x->rows > 0 && x->rows % batch == 0 && x->dtype == c->dtype);
  TT_ASSERT(kernel % 2 == 1 && (stride == 1 || stride == 2));
  TT_ASSERT(weight->cols == kernel * x->cols && weight->product && weight->data);
  TT_ASSERT(!bias || bias->rows * bias->cols == weight->rows);
  double start = tt_op_start(c);
  const size_t length = x->rows / batch, out_length = (length + stride - 1) / stride;
  struct tt_tensor *y = tt_tensor_new(c, x->dtype, batch * out_length, weight->rows);
  y->needs_grad = true;
  const struct tt_k_conv1d k = {
      .products = c->kernels,
      .dtype = x->dtype,
      .batch = batch,
      .length = length,
      .out_length = out_length,
      .kernel = kernel,
      .stride = stride,
      .x = x->data,
      .weight = weight,
      .bias = bias ? bias->data : NULL,
      .act = act,
      .pre = act != TT_ACT_NONE && c->record
                 ? tt_arena(c, y->rows * y->cols, tt_dtype_size(x->dtype))
                 : NULL,
      .y = y->data,
  };
  c->kernels->conv1d_forward(&k);
  if (c->record) {
    struct conv_args *args = tt_arena(c, 1, sizeof *args);
    *args = (struct conv_args){x, y, weight, bias, k};
    tt_tape_push(c, TT_OP_conv1d, conv_backward, args, y, NULL);
  }
  tt_op_stop(c, TT_OP_conv1d, start, flops_of(&k));
  return y;
}

/* ---- group_norm ---- */

struct group_args {
  struct tt_tensor *x, *y;
  struct tt_param *gamma, *beta;
  struct tt_k_group_norm forward;
};

static void group_backward(struct tt_compute *c, const struct tt_node *node) {
  const struct group_args *a = node->args;
  bool accumulate = false;
  void *dx = tt_grad_target(c, a->x, &accumulate);
  c->kernels->group_norm_backward(&(struct tt_k_group_norm_backward){.forward = a->forward,
                                                                     .dy = tt_grad_of(a->y),
                                                                     .dx = dx,
                                                                     .dx_accumulate = accumulate,
                                                                     .dgamma = a->gamma->grad,
                                                                     .dbeta = a->beta->grad});
}

struct tt_tensor *tt_op_group_norm(struct tt_compute *c, struct tt_tensor *x, size_t batch,
                                   size_t groups, struct tt_param *gamma, struct tt_param *beta,
                                   enum tt_act act) {
  TT_ASSERT(batch > 0 && x->rows > 0 && x->rows % batch == 0 && groups > 0 &&
            x->cols % groups == 0);
  TT_ASSERT(gamma->rows * gamma->cols == x->cols && beta->rows * beta->cols == x->cols);
  double start = tt_op_start(c);
  struct tt_tensor *y = tt_tensor_new(c, x->dtype, x->rows, x->cols);
  y->needs_grad = true;
  float *statistics = tt_arena(c, 2 * batch * groups, sizeof *statistics);
  const struct tt_k_group_norm k = {
      .dtype = x->dtype,
      .batch = batch,
      .length = x->rows / batch,
      .d = x->cols,
      .groups = groups,
      .x = x->data,
      .gamma = gamma->data,
      .beta = beta->data,
      .act = act,
      .y = y->data,
      .mean = statistics,
      .rstd = statistics + batch * groups,
  };
  c->kernels->group_norm_forward(&k);
  if (c->record) {
    struct group_args *args = tt_arena(c, 1, sizeof *args);
    *args = (struct group_args){x, y, gamma, beta, k};
    tt_tape_push(c, TT_OP_group_norm, group_backward, args, y, NULL);
  }
  tt_op_stop(c, TT_OP_group_norm, start, 0);
  return y;
}
