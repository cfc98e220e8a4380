#include "compute/tensor.h"

#include "base/status.h"
#include "compute/tape.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX512BF16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))

AVX512BF16 static void to_f32_avx512(float *out, const tt_bf16 *in, size_t n) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)(in + i)));
    _mm512_storeu_si512(out + i, _mm512_slli_epi32(wide, 16));
  }
  for (; i < n; i++)
    out[i] = tt_bf16_to_f32(in[i]);
}

AVX512BF16 static void from_f32_avx512(tt_bf16 *out, const float *in, size_t n) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16)
    _mm256_storeu_si256((void *)(out + i), (__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(in + i)));
  for (; i < n; i++)
    out[i] = tt_bf16_from_f32(in[i]);
}
#endif

void tt_convert_to_f32(float *out, const void *in, enum tt_dtype dtype, size_t n) {
  if (dtype == TT_F32) {
    memcpy(out, in, n * sizeof *out);
    return;
  }
#if defined(__x86_64__)
  if (tt_cpu_has_bf16()) {
    to_f32_avx512(out, in, n);
    return;
  }
#endif
  const tt_bf16 *half = in;
  for (size_t i = 0; i < n; i++)
    out[i] = tt_bf16_to_f32(half[i]);
}

void tt_convert_from_f32(void *out, enum tt_dtype dtype, const float *in, size_t n) {
  if (dtype == TT_F32) {
    memcpy(out, in, n * sizeof *in);
    return;
  }
#if defined(__x86_64__)
  if (tt_cpu_has_bf16()) {
    from_f32_avx512(out, in, n);
    return;
  }
#endif
  tt_bf16 *half = out;
  for (size_t i = 0; i < n; i++)
    half[i] = tt_bf16_from_f32(in[i]);
}

void tt_tensor_read(const struct tt_tensor *tensor, float *out) {
  tt_convert_to_f32(out, tensor->data, tensor->dtype, tensor->rows * tensor->cols);
}

float tt_tensor_value(const struct tt_tensor *tensor) {
  TT_ASSERT(tensor->rows == 1 && tensor->cols == 1);
  float value;
  tt_tensor_read(tensor, &value);
  return value;
}
