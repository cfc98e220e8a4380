/* The parameters of a model: named f32 matrices laid out one behind the other in flat arrays (data,
 * gradients), so that an optimiser is one pass over one array. For bf16 products each matrix also
 * has a bf16 shadow, refreshed whenever the data change.
 *
 * Life: init, add all parameters (the layers of nn/ do it), build once, use, release. */
#ifndef COMPUTE_PARAMS_H
#define COMPUTE_PARAMS_H

#include "base/rng.h"
#include "base/status.h"
#include "compute/tensor.h"

enum tt_init {
  TT_INIT_ZERO,
  TT_INIT_ONE,
  TT_INIT_NORMAL,  /* mean 0, standard deviation `scale` */
  TT_INIT_UNIFORM, /* in [-scale, scale] */
};

struct tt_param {
  char *name; /* owned by the set; unique: the tensor's name in a model file */
  size_t rows, cols;
  enum tt_init init;
  float scale;
  bool decay;      /* weight decay applies (matrices of linear layers; not biases, norms, tables) */
  bool product;    /* the right-hand side of matrix products: packed copies are kept */
  size_t offset;   /* into the set's flat arrays, in floats; a multiple of 16 */
  float *data;     /* [rows, cols], inside the set's `data` */
  float *grad;     /* [rows, cols], inside the set's `grad`; backward passes add to it */
  tt_bf16 *shadow; /* [rows, cols] of data rounded to bf16 */
  /* `product` parameters, W [out = rows, in = cols], in the order of AVX-512 BF16 products (see
   * compute/simd/gemm_bf16.c): panels of 64 columns of W^T, and of W. NULL where there is no such
   * CPU.
   */
  tt_bf16 *packed, *packed_transposed;
};

struct tt_params {
  struct tt_param **list; /* [n], each owned; addresses are stable */
  size_t n, capacity;
  size_t total; /* floats in the flat arrays, padding included (always 0) */
  float *data, *grad;
  tt_bf16 *shadow, *packed;
  bool failed; /* an allocation failed while adding; build reports it */
};

void tt_params_init(struct tt_params *params);
void tt_params_release(struct tt_params *params);
/* Declares a parameter. Never NULL: when memory is short the failure is kept for build and a
 * placeholder is returned. */
struct tt_param *tt_params_add(struct tt_params *params, enum tt_init init, float scale,
                               bool product, size_t rows, size_t cols, const char *name_format, ...)
    __attribute__((format(printf, 7, 8)));
/* Lays the arrays out and draws initial values: parameter i from stream i of `seed`. */
enum tt_status tt_params_build(struct tt_params *params, uint64_t seed);
/* Number of trainable values (without padding). */
size_t tt_params_count(const struct tt_params *params);
void tt_params_zero_grad(struct tt_params *params);
/* Call after changing `data` by other means than the optimiser or tt_params_load. */
void tt_params_refresh(struct tt_params *params);
struct tt_param *tt_params_find(const struct tt_params *params, const char *name);

#endif
