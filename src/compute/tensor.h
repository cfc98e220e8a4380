/* Matrices of activations, f32 or bf16.
 *
 * Every activation is a matrix [rows, cols], row-major and dense; a batch of B sequences of L
 * positions is a matrix of B*L rows (row b*L + i), whatever an op makes of them is said by the op.
 * Tensors live in the step arena of a tt_compute (compute/tape.h) and vanish with the next
 * tt_compute_begin. */
#ifndef COMPUTE_TENSOR_H
#define COMPUTE_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum tt_dtype { TT_F32, TT_BF16 };

typedef uint16_t tt_bf16; /* the upper half of an IEEE float */

struct tt_grad; /* a gradient buffer: compute/tape.h */

struct tt_tensor {
  enum tt_dtype dtype;
  size_t rows, cols;
  void *data;           /* [rows, cols] of dtype, 64-byte aligned */
  bool needs_grad;      /* some parameter or watched input lies below */
  struct tt_grad *grad; /* same shape and dtype; NULL until a backward pass reaches it */
};

static inline size_t tt_dtype_size(enum tt_dtype dtype) {
  return dtype == TT_F32 ? 4 : 2;
}

static inline float tt_bf16_to_f32(tt_bf16 x) {
  uint32_t bits = (uint32_t)x << 16;
  float f;
  memcpy(&f, &bits, sizeof f);
  return f;
}

/* Round to nearest, ties to even; NaN stays NaN. */
static inline tt_bf16 tt_bf16_from_f32(float f) {
  uint32_t bits;
  memcpy(&bits, &f, sizeof bits);
  if ((bits & 0x7fffffffu) > 0x7f800000u)
    return (tt_bf16)((bits >> 16) | 0x40u);
  bits += 0x7fffu + ((bits >> 16) & 1u);
  return (tt_bf16)(bits >> 16);
}

/* n elements between f32 and another dtype. */
void tt_convert_to_f32(float *out, const void *in, enum tt_dtype dtype, size_t n);
void tt_convert_from_f32(void *out, enum tt_dtype dtype, const float *in, size_t n);

/* Copies a tensor out as f32 [rows, cols]. */
void tt_tensor_read(const struct tt_tensor *tensor, float *out);
/* The value of a [1, 1] tensor (a loss). */
float tt_tensor_value(const struct tt_tensor *tensor);

#endif
