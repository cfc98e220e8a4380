/* linear and head_loss: products with a parameter. */
#include "compute/block.h"
#include "compute/kernels.h"
#include "compute/op_loss.h"

struct linear_args {
  struct tt_tensor *x, *y;
  struct tt_param *weight, *bias;
  enum tt_act act;
  void *pre;
};

static double product_flops(size_t rows, const struct tt_param *weight) {
  return 2.0 * (double)rows * (double)weight->rows * (double)weight->cols;
}

/* dx, dW and db from dz [rows, stride] (with act: from dy, overwritten by dz). */
static void backward_from(struct tt_compute *c, enum tt_op op, struct tt_tensor *x,
                          struct tt_param *weight, struct tt_param *bias, void *dy, size_t stride,
                          const void *pre, enum tt_act act) {
  bool accumulate = false;
  void *dx = tt_grad_target(c, x, &accumulate);
  c->kernels->linear_backward(&(struct tt_k_linear_backward){.dtype = x->dtype,
                                                             .rows = x->rows,
                                                             .dy_stride = stride,
                                                             .dy = dy,
                                                             .pre = pre,
                                                             .act = act,
                                                             .weight = weight,
                                                             .dx = dx,
                                                             .accumulate = accumulate});
  c->kernels->linear_weight(&(struct tt_k_linear_weight){.dtype = x->dtype,
                                                         .rows = x->rows,
                                                         .in = weight->cols,
                                                         .out = weight->rows,
                                                         .dz_stride = stride,
                                                         .x = x->data,
                                                         .dz = dy,
                                                         .weight_grad = weight->grad,
                                                         .bias_grad = bias ? bias->grad : NULL});
  c->times[op].flops += product_flops(x->rows, weight) * (dx ? 2 : 1);
}

static void linear_backward(struct tt_compute *c, const struct tt_node *node) {
  const struct linear_args *a = node->args;
  void *dy = tt_grad_scratch(c, a->y);
  if (a->y->dtype != a->x->dtype) { /* f32 gradient of bf16 products */
    void *half = tt_arena(c, a->y->rows * a->y->cols, sizeof(tt_bf16));
    tt_convert_from_f32(half, a->x->dtype, dy, a->y->rows * a->y->cols);
    dy = half;
  }
  backward_from(c, TT_OP_linear, a->x, a->weight, a->bias, dy, a->weight->rows, a->pre, a->act);
}

static struct tt_tensor *linear(struct tt_compute *c, struct tt_tensor *x, struct tt_param *weight,
                                struct tt_param *bias, enum tt_act act, enum tt_dtype y_dtype) {
  TT_ASSERT(x->dtype == c->dtype && x->cols == weight->cols && weight->product && weight->data);
  TT_ASSERT(!bias || bias->rows * bias->cols == weight->rows);
  TT_ASSERT(act <= TT_ACT_SILU);
  double start = tt_op_start(c);
  struct tt_tensor *y = tt_tensor_new(c, y_dtype, x->rows, weight->rows);
  y->needs_grad = true;
  void *pre = act != TT_ACT_NONE && c->record
                  ? tt_arena(c, x->rows * weight->rows, tt_dtype_size(x->dtype))
                  : NULL;
  c->kernels->linear_forward(&(struct tt_k_linear){.dtype = x->dtype,
                                                   .y_dtype = y_dtype,
                                                   .rows = x->rows,
                                                   .x = x->data,
                                                   .weight = weight,
                                                   .bias = bias ? bias->data : NULL,
                                                   .act = act,
                                                   .pre = pre,
                                                   .y = y->data});
  if (c->record) {
    struct linear_args *args = tt_arena(c, 1, sizeof *args);
    *args = (struct linear_args){x, y, weight, bias, act, pre};
    tt_tape_push(c, TT_OP_linear, linear_backward, args, y, NULL);
  }
  tt_op_stop(c, TT_OP_linear, start, product_flops(x->rows, weight));
  return y;
}

struct tt_tensor *tt_op_linear(struct tt_compute *c, struct tt_tensor *x, struct tt_param *weight,
                               struct tt_param *bias, enum tt_act act) {
  return linear(c, x, weight, bias, act, c->dtype);
}

struct tt_tensor *tt_op_linear_f32(struct tt_compute *c, struct tt_tensor *x,
                                   struct tt_param *weight, struct tt_param *bias) {
  return linear(c, x, weight, bias, TT_ACT_NONE, TT_F32);
}

/* ---- head_loss ---- */

struct head_args {
  struct tt_tensor *x, *loss;
  struct tt_param *weight, *bias;
  void *dlogits;
  size_t stride;
};

static void head_backward(struct tt_compute *c, const struct tt_node *node) {
  const struct head_args *a = node->args;
  float up = *(const float *)tt_grad_of(a->loss);
  if (!(up == 1))
    tt_block_axpby(a->dlogits, a->dlogits, up, NULL, 0, false, a->x->dtype, a->x->rows * a->stride);
  backward_from(c, TT_OP_head_loss, a->x, a->weight, a->bias, a->dlogits, a->stride, NULL,
                TT_ACT_NONE);
}

struct tt_tensor *tt_op_head_loss(struct tt_compute *c, struct tt_tensor *x,
                                  struct tt_param *weight, struct tt_param *bias,
                                  const int32_t *targets, const float *weights, double normalizer,
                                  float *row_loss) {
  TT_ASSERT(x->dtype == c->dtype && x->cols == weight->cols && weight->product && weight->data);
  TT_ASSERT(!bias || bias->rows * bias->cols == weight->rows);
  double start = tt_op_start(c);
  float *coefficients = tt_arena(c, x->rows, sizeof *coefficients);
  tt_loss_coefficients(coefficients, targets, weights, x->rows, weight->rows, normalizer);
  float *losses = row_loss ? row_loss : tt_arena(c, x->rows, sizeof *losses);
  size_t stride = (weight->rows + 31) / 32 * 32;
  void *dlogits = c->record ? tt_arena(c, x->rows * stride, tt_dtype_size(x->dtype)) : NULL;
  c->kernels->head_loss(&(struct tt_k_head_loss){.dtype = x->dtype,
                                                 .rows = x->rows,
                                                 .x = x->data,
                                                 .weight = weight,
                                                 .bias = bias ? bias->data : NULL,
                                                 .targets = targets,
                                                 .coefficients = coefficients,
                                                 .loss = losses,
                                                 .dlogits = dlogits,
                                                 .stride = stride});
  struct tt_tensor *loss = tt_tensor_new(c, TT_F32, 1, 1);
  loss->needs_grad = true;
  *(float *)loss->data = tt_loss_sum(coefficients, losses, x->rows);
  if (c->record) {
    struct head_args *args = tt_arena(c, 1, sizeof *args);
    *args = (struct head_args){x, loss, weight, bias, dlogits, stride};
    tt_tape_push(c, TT_OP_head_loss, head_backward, args, loss, NULL);
  }
  tt_op_stop(c, TT_OP_head_loss, start, product_flops(x->rows, weight));
  return loss;
}
