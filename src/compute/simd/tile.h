/* The tile product of AVX-512 BF16: C[MR, NR*16] = sum over pairs p of A[r, 2p..2p+1] B[2p..2p+1,
 * j] with C in registers (at most 24 of the 32), one word of A (two bf16) broadcast per row and
 * pair, B as rows of words (pairs of rows interleaved: simd/gemm_bf16.h). vdpbf16ps does one such
 * vector per cycle, so a tile of 6 x 64 needs 10 loads per 24 of them. Only functions reached
 * through tt_kernels_simd may include this. */
#ifndef COMPUTE_SIMD_TILE_H
#define COMPUTE_SIMD_TILE_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "compute/tensor.h"

#define TT_SIMD_TARGET "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,fma"
#define TT_SIMD __attribute__((target(TT_SIMD_TARGET)))
#define TT_SIMD_INLINE static inline __attribute__((always_inline, target(TT_SIMD_TARGET)))

#if defined(__clang__)
#define TT_UNROLL _Pragma("clang loop unroll(full)")
#else
#define TT_UNROLL _Pragma("GCC unroll 16")
#endif

/* Strides in bytes; c_row in floats. `start` 0: from zero; 1: from what C holds; 2: from C's row r
 * times factor[r]. */
struct tt_tile {
  const void *a;
  size_t a_row, a_pair;
  const void *b;
  size_t b_pair;
  size_t pairs;
  float *c;
  size_t c_row;
  int start;
  const float *factor;
};

TT_SIMD_INLINE __m512bh tt_words(__m512i x) {
  return (__m512bh)x;
}

#define TT_TILE(NAME, MR, NR)                                                                      \
  __attribute__((unused)) TT_SIMD static void NAME(const struct tt_tile *t) {                      \
    __m512 acc[MR][NR];                                                                            \
    const size_t row = t->a_row;                                                                   \
    const char *a0 = t->a, *a3 = a0 + 3 * row, *a6 = a0 + 6 * row, *a9 = a0 + 9 * row;             \
    const char *b = t->b;                                                                          \
    TT_UNROLL for (int r = 0; r < MR; r++) {                                                       \
      TT_UNROLL for (int j = 0; j < NR; j++) {                                                     \
        acc[r][j] = t->start ? _mm512_loadu_ps(t->c + (size_t)r * t->c_row + 16 * j)               \
                             : _mm512_setzero_ps();                                                \
        if (t->start == 2)                                                                         \
          acc[r][j] = _mm512_mul_ps(acc[r][j], _mm512_set1_ps(t->factor[r]));                      \
      }                                                                                            \
    }                                                                                              \
    for (size_t p = 0; p < t->pairs; p++) {                                                        \
      __m512i column[NR];                                                                          \
      TT_UNROLL for (int j = 0; j < NR; j++) column[j] = _mm512_loadu_si512(b + 64 * j);           \
      TT_UNROLL for (int r = 0; r < MR; r++) {                                                     \
        const char *from = (r < 3 ? a0 : r < 6 ? a3 : r < 9 ? a6 : a9) + (size_t)(r % 3) * row;    \
        int32_t word;                                                                              \
        memcpy(&word, from, sizeof word);                                                          \
        __m512i x = _mm512_set1_epi32(word);                                                       \
        TT_UNROLL for (int j = 0; j < NR; j++) acc[r][j] =                                         \
            _mm512_dpbf16_ps(acc[r][j], tt_words(x), tt_words(column[j]));                         \
      }                                                                                            \
      a0 += t->a_pair;                                                                             \
      a3 += t->a_pair;                                                                             \
      a6 += t->a_pair;                                                                             \
      a9 += t->a_pair;                                                                             \
      b += t->b_pair;                                                                              \
    }                                                                                              \
    TT_UNROLL for (int r = 0; r < MR; r++) {                                                       \
      TT_UNROLL for (int j = 0; j < NR; j++)                                                       \
          _mm512_storeu_ps(t->c + (size_t)r * t->c_row + 16 * j, acc[r][j]);                       \
    }                                                                                              \
  }

/* 2^x for bf16 results: relative error < 4e-6 (a quartic fitted to 2^f, |f| <= 1/2); 0 far below.
 */
TT_SIMD_INLINE __m512 tt_exp2_512(__m512 x) {
  __m512 n = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m512 f = _mm512_sub_ps(x, n);
  __m512 p = _mm512_set1_ps(0.0096760371f);
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.0559220356f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.240221074f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.693121034f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.00000008f));
  return _mm512_scalef_ps(p, n);
}

TT_SIMD_INLINE __m512 tt_load_bf16_512(const void *p) {
  return _mm512_castsi512_ps(
      _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)), 16));
}

TT_SIMD_INLINE void tt_store_bf16_512(void *p, __m512 x) {
  _mm256_storeu_si256((__m256i *)p, (__m256i)_mm512_cvtneps_pbh(x));
}

/* Interleaves 32 elements of two rows: words (a[j], b[j]), j = 0..15 and 16..31. */
TT_SIMD_INLINE void tt_interleave(__m512i a, __m512i b, __m512i *low, __m512i *high) {
  const __m512i step =
      _mm512_set_epi32(0x002f000f, 0x002e000e, 0x002d000d, 0x002c000c, 0x002b000b, 0x002a000a,
                       0x00290009, 0x00280008, 0x00270007, 0x00260006, 0x00250005, 0x00240004,
                       0x00230003, 0x00220002, 0x00210001, 0x00200000);
  *low = _mm512_permutex2var_epi16(a, step, b);
  *high = _mm512_permutex2var_epi16(a, _mm512_add_epi16(step, _mm512_set1_epi16(16)), b);
}

/* Transposes 16 x 16 words in place. */
TT_SIMD_INLINE void tt_transpose16(__m512i r[16]) {
  __m512i t[16];
  TT_UNROLL for (int i = 0; i < 8; i++) {
    t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
  }
  TT_UNROLL for (int i = 0; i < 4; i++) {
    r[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
    r[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
  }
  /* r[4i + k] holds column k of each lane, rows 4i..4i+3. */
  TT_UNROLL for (int k = 0; k < 4; k++) {
    __m512i a = _mm512_shuffle_i32x4(r[k], r[4 + k], 0x88);
    __m512i b = _mm512_shuffle_i32x4(r[k], r[4 + k], 0xdd);
    __m512i c = _mm512_shuffle_i32x4(r[8 + k], r[12 + k], 0x88);
    __m512i d = _mm512_shuffle_i32x4(r[8 + k], r[12 + k], 0xdd);
    t[k] = _mm512_shuffle_i32x4(a, c, 0x88);
    t[8 + k] = _mm512_shuffle_i32x4(a, c, 0xdd);
    t[4 + k] = _mm512_shuffle_i32x4(b, d, 0x88);
    t[12 + k] = _mm512_shuffle_i32x4(b, d, 0xdd);
  }
  TT_UNROLL for (int i = 0; i < 16; i++) r[i] = t[i];
}

#endif
