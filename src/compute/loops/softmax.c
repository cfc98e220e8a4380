/* Softmax cross-entropy of one row, and column sums. */
#include <math.h>

#include "compute/loops/loops.h"
#include "compute/vector_math.h"

void tt_loop_softmax_row(const struct tt_k_head_loss *k, size_t i, float *logits) {
  const size_t out = k->weight->rows, size = tt_dtype_size(k->dtype);
  char *gradient = k->dlogits ? (char *)k->dlogits + i * k->stride * size : NULL;
  if (gradient)
    memset(gradient + out * size, 0, (k->stride - out) * size);
  if (k->targets[i] < 0) {
    k->loss[i] = 0;
    if (gradient)
      memset(gradient, 0, out * size);
    return;
  }
  const size_t target = (size_t)k->targets[i];
  const float chosen = logits[target];
  float max = logits[0], sum = 0;
#pragma omp simd reduction(max : max)
  for (size_t j = 0; j < out; j++)
    max = logits[j] > max ? logits[j] : max;
#pragma omp simd reduction(+ : sum)
  for (size_t j = 0; j < out; j++) {
    logits[j] = tt_exp(logits[j] - max);
    sum += logits[j];
  }
  k->loss[i] = max + logf(sum) - chosen;
  if (!gradient)
    return;
  const float factor = k->coefficients[i] / sum;
  for (size_t j = 0; j < out; j++)
    logits[j] *= factor;
  logits[target] -= k->coefficients[i];
  tt_convert_from_f32(gradient, k->dtype, logits, out);
}

void tt_loop_column_sums(float *sums, const void *x, enum tt_dtype dtype, size_t rows, size_t cols,
                         size_t stride) {
  const size_t slices = (cols + 63) / 64, size = tt_dtype_size(dtype);
#pragma omp parallel for schedule(static)
  for (size_t s = 0; s < slices; s++) {
    const size_t first = s * 64, n = cols - first < 64 ? cols - first : 64;
    float sum[64] = {0}, row[64];
    for (size_t i = 0; i < rows; i++) {
      tt_convert_to_f32(row, (const char *)x + (i * stride + first) * size, dtype, n);
      for (size_t j = 0; j < n; j++)
        sum[j] += row[j];
    }
    for (size_t j = 0; j < n; j++)
      sums[first + j] += sum[j];
  }
}
