/* Products with parameters by oneDNN; activations and column sums by loops. */
#include "compute/block.h"
#include "compute/dnn/matmul.h"
#include "compute/kernels.h"
#include "compute/loops/loops.h"
#include "compute/scratch.h"

static const void *weight_of(const struct tt_param *w, enum tt_dtype dtype) {
  return dtype == TT_F32 ? (const void *)w->data : (const void *)w->shadow;
}

void tt_dnn_linear_forward(const struct tt_k_linear *k) {
  const size_t in = k->weight->cols, out = k->weight->rows;
  void *z = k->pre ? k->pre : k->y;
  tt_dnn_matmul(&(struct tt_dnn_matmul){.m = k->rows,
                                        .n = out,
                                        .k = in,
                                        .in = k->dtype,
                                        .out = k->y_dtype,
                                        .a = k->x,
                                        .a_row = in,
                                        .a_col = 1,
                                        .b = weight_of(k->weight, k->dtype),
                                        .b_row = 1,
                                        .b_col = in,
                                        .c = z,
                                        .c_row = out,
                                        .bias = k->bias});
  if (k->act != TT_ACT_NONE)
    tt_block_activation(k->y, z, k->act, k->dtype, k->rows * out);
}

void tt_dnn_linear_backward(const struct tt_k_linear_backward *k) {
  const size_t in = k->weight->cols, out = k->weight->rows;
  if (k->act != TT_ACT_NONE)
    tt_block_activation_backward(k->dy, k->dy, k->pre, k->act, false, k->dtype,
                                 k->rows * k->dy_stride);
  if (k->dx)
    tt_dnn_matmul(&(struct tt_dnn_matmul){.m = k->rows,
                                          .n = in,
                                          .k = out,
                                          .in = k->dtype,
                                          .out = k->dtype,
                                          .a = k->dy,
                                          .a_row = k->dy_stride,
                                          .a_col = 1,
                                          .b = weight_of(k->weight, k->dtype),
                                          .b_row = in,
                                          .b_col = 1,
                                          .c = k->dx,
                                          .c_row = in,
                                          .accumulate = k->accumulate});
}

void tt_dnn_linear_weight(const struct tt_k_linear_weight *k) {
  tt_dnn_matmul(&(struct tt_dnn_matmul){.m = k->out,
                                        .n = k->in,
                                        .k = k->rows,
                                        .in = k->dtype,
                                        .out = TT_F32,
                                        .a = k->dz,
                                        .a_row = 1,
                                        .a_col = k->dz_stride,
                                        .b = k->x,
                                        .b_row = k->in,
                                        .b_col = 1,
                                        .c = k->weight_grad,
                                        .c_row = k->in,
                                        .accumulate = true});
  if (k->bias_grad)
    tt_loop_column_sums(k->bias_grad, k->dz, k->dtype, k->rows, k->out, k->dz_stride);
}

#define ROWS ((size_t)512)

void tt_dnn_head_loss(const struct tt_k_head_loss *k) {
  const size_t in = k->weight->cols, out = k->weight->rows, size = tt_dtype_size(k->dtype);
  float *logits = tt_scratch(TT_SCRATCH_D, ROWS * out * sizeof *logits);
  for (size_t first = 0; first < k->rows; first += ROWS) {
    size_t rows = k->rows - first < ROWS ? k->rows - first : ROWS;
    tt_dnn_matmul(&(struct tt_dnn_matmul){.m = rows,
                                          .n = out,
                                          .k = in,
                                          .in = k->dtype,
                                          .out = TT_F32,
                                          .a = (const char *)k->x + first * in * size,
                                          .a_row = in,
                                          .a_col = 1,
                                          .b = weight_of(k->weight, k->dtype),
                                          .b_row = 1,
                                          .b_col = in,
                                          .c = logits,
                                          .c_row = out,
                                          .bias = k->bias});
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < rows; i++)
      tt_loop_softmax_row(k, first + i, logits + i * out);
  }
}
