/* Packing of weights, once per optimiser step. */
#include "compute/simd/gemm_bf16.h"

void tt_simd_pack_weight(const struct tt_param *param) {
  const size_t out = param->rows, in = param->cols;
  const tt_bf16 *w = param->shadow;
  for (size_t panel = 0; panel * 64 < out; panel++) {
    tt_bf16 *to = param->packed + panel * 64 * ((in + 1) / 2 * 2);
    const size_t width = out - panel * 64 < 64 ? out - panel * 64 : 64;
    for (size_t j = 0; j < width; j++)
      for (size_t k = 0; k < in; k++)
        to[k / 2 * 128 + 2 * j + k % 2] = w[(panel * 64 + j) * in + k];
  }
  for (size_t panel = 0; panel * 64 < in; panel++) {
    tt_bf16 *to = param->packed_transposed + panel * 64 * ((out + 1) / 2 * 2);
    const size_t width = in - panel * 64 < 64 ? in - panel * 64 : 64;
    for (size_t k = 0; k < out; k++)
      for (size_t j = 0; j < width; j++)
        to[k / 2 * 128 + 2 * j + k % 2] = w[k * in + panel * 64 + j];
  }
}
