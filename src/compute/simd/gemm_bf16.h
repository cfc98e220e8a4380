/* Packed operands of the AVX-512 BF16 products: B [k, n] as panels of 64 columns, each the pairs of
 * rows (2p, 2p+1) interleaved column by column, zero-padded: [n/64][k/2][64][2]. */
#ifndef COMPUTE_SIMD_GEMM_BF16_H
#define COMPUTE_SIMD_GEMM_BF16_H

#include "compute/params.h"

/* Elements of a packed [k, n]. */
static inline size_t tt_packed_size(size_t k, size_t n) {
  return (n + 63) / 64 * 64 * ((k + 1) / 2 * 2);
}

/* Fills param->packed (W^T: k = in, n = out) and packed_transposed (W: k = out, n = in) from the
 * shadow. */
void tt_simd_pack_weight(const struct tt_param *param);

#endif
