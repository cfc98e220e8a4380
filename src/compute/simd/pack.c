/* Packing of weights, once per optimiser step. */
#include "compute/simd/gemm_bf16.h"

#if defined(__x86_64__)

#include "compute/simd/tile.h"

/* W [out, in] as the right-hand side W^T [in, out]: words along a row are already pairs; 16 x 16 of
 * them are transposed at a time. Columns beyond `out` stay zero, as the array was made. */
TT_SIMD static void pack_rows(tt_bf16 *to, const tt_bf16 *w, size_t out, size_t in) {
  for (size_t o = 0; o < out; o += 16)
    for (size_t j = 0; j < in; j += 32) {
      const __mmask32 mask = in - j >= 32 ? 0xffffffffu : (1u << (in - j)) - 1;
      __m512i t[16];
      for (size_t r = 0; r < 16; r++)
        t[r] = o + r < out ? _mm512_maskz_loadu_epi16(mask, w + (o + r) * in + j)
                           : _mm512_setzero_si512();
      tt_transpose16(t);
      tt_bf16 *panel = to + o / 64 * 128 * ((in + 1) / 2) + o % 64 * 2;
      for (size_t p = 0; p < 16 && j / 2 + p < (in + 1) / 2; p++)
        _mm512_storeu_si512(panel + (j / 2 + p) * 128, t[p]);
    }
}

/* W [out, in] as the right-hand side [out, in]: pairs of rows interleaved. */
TT_SIMD static void pack_columns(tt_bf16 *to, const tt_bf16 *w, size_t out, size_t in) {
  for (size_t j = 0; j < in; j += 32) {
    const __mmask32 mask = in - j >= 32 ? 0xffffffffu : (1u << (in - j)) - 1;
    tt_bf16 *panel = to + j / 64 * 128 * ((out + 1) / 2) + j % 64 * 2;
    for (size_t o = 0; o < out; o += 2, panel += 128) {
      __m512i a = _mm512_maskz_loadu_epi16(mask, w + o * in + j), low, high;
      __m512i b = o + 1 < out ? _mm512_maskz_loadu_epi16(mask, w + (o + 1) * in + j)
                              : _mm512_setzero_si512();
      tt_interleave(a, b, &low, &high);
      _mm512_storeu_si512(panel, low);
      _mm512_storeu_si512(panel + 32, high);
    }
  }
}

void tt_simd_pack_weight(const struct tt_param *param) {
  pack_rows(param->packed, param->shadow, param->rows, param->cols);
  pack_columns(param->packed_transposed, param->shadow, param->rows, param->cols);
}

#else

void tt_simd_pack_weight(const struct tt_param *param) {
  (void)param; /* never packed: tt_cpu_has_bf16() is false */
}

#endif
