/* Elementwise work on buffers of either dtype, written once in f32: a buffer is walked in blocks,
 * each converted to f32, worked on by a loop that vectorises, and converted back. Blocks are spread
 * over threads; results do not depend on how. */
#ifndef COMPUTE_BLOCK_H
#define COMPUTE_BLOCK_H

#include "compute/ops.h"

#define TT_BLOCK ((size_t)2048)
/* Elements below which a loop is not worth waking the other threads. */
#define TT_PARALLEL_ELEMENTS ((size_t)1 << 15)

void tt_block_copy(void *to, const void *from, size_t bytes);
void tt_block_zero(void *to, size_t bytes);
/* y = a + b, elementwise; y may be a or b. */
void tt_block_add(void *y, const void *a, const void *b, enum tt_dtype dtype, size_t n);
/* y = p a + q b (b NULL: p a); accumulate: added to y. */
void tt_block_axpby(void *y, const void *a, float p, const void *b, float q, bool accumulate,
                    enum tt_dtype dtype, size_t n);
/* y = a * b; accumulate: added to y. */
void tt_block_mul(void *y, const void *a, const void *b, bool accumulate, enum tt_dtype dtype,
                  size_t n);
/* y = act(x). */
void tt_block_activation(void *y, const void *x, enum tt_act act, enum tt_dtype dtype, size_t n);
/* dx (+)= dy * act'(x); dx may be dy. */
void tt_block_activation_backward(void *dx, const void *dy, const void *x, enum tt_act act,
                                  bool accumulate, enum tt_dtype dtype, size_t n);
/* y (+)= x * (keep ? 1/(1-p) : 0), the mask a pure function of (seed, stream, element). */
void tt_block_dropout(void *y, const void *x, float p, uint64_t seed, uint64_t stream,
                      bool accumulate, enum tt_dtype dtype, size_t n);
/* One thread: y[rows, cols] (+)= x, between matrices of different row strides (in elements). */
void tt_block_copy_columns(void *y, size_t y_stride, const void *x, size_t x_stride, size_t rows,
                           size_t cols, bool accumulate, enum tt_dtype dtype);

/* In place on f32, one thread: the loops behind the above, for kernels that work on tiles. */
void tt_activate_f32(float *x, enum tt_act act, size_t n);
/* dy *= act'(x). */
void tt_activate_backward_f32(float *dy, const float *x, enum tt_act act, size_t n);

#endif
