/* The AVX-512 BF16 kernels: reached only where tt_cpu_has_bf16(). What is not bf16, or has an odd
 * inner dimension, is passed to the dnn or loop kernel. */
#ifndef COMPUTE_SIMD_SIMD_H
#define COMPUTE_SIMD_SIMD_H

#include "compute/kernels.h"

void tt_simd_linear_forward(const struct tt_k_linear *k);
void tt_simd_linear_backward(const struct tt_k_linear_backward *k);
void tt_simd_linear_weight(const struct tt_k_linear_weight *k);
void tt_simd_head_loss(const struct tt_k_head_loss *k);
void tt_simd_attention_forward(const struct tt_k_attention *k);
void tt_simd_attention_backward(const struct tt_k_attention_backward *k);

/* Threads that a parallel loop will have. */
size_t tt_threads(void);

#endif
