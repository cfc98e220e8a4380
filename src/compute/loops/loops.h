/* Kernels as vectorised loops in f32, for either dtype and any CPU: what is not a matrix product.
 */
#ifndef COMPUTE_LOOPS_LOOPS_H
#define COMPUTE_LOOPS_LOOPS_H

#include "compute/kernels.h"

void tt_loop_norm_forward(const struct tt_k_norm *k);
void tt_loop_norm_backward(const struct tt_k_norm_backward *k);
void tt_loop_embed_forward(const struct tt_k_embed *k);
void tt_loop_embed_backward(const struct tt_k_embed_backward *k);
void tt_loop_lstm_forward(const struct tt_k_lstm *k);
void tt_loop_lstm_backward(const struct tt_k_lstm_backward *k);
void tt_loop_attention_forward(const struct tt_k_attention *k);
void tt_loop_attention_backward(const struct tt_k_attention_backward *k);
void tt_loop_conv1d_forward(const struct tt_k_conv1d *k);
void tt_loop_conv1d_backward(const struct tt_k_conv1d_backward *k);
void tt_loop_group_norm_forward(const struct tt_k_group_norm *k);
void tt_loop_group_norm_backward(const struct tt_k_group_norm_backward *k);

/* sums[j] += sum over rows of x[i * stride + j], j < cols. */
void tt_loop_column_sums(float *sums, const void *x, enum tt_dtype dtype, size_t rows, size_t cols,
                         size_t stride);
/* Loss and gradient of row i from its f32 logits [out] (overwritten). */
void tt_loop_softmax_row(const struct tt_k_head_loss *k, size_t i, float *logits);

#endif
