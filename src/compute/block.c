#include "compute/block.h"

#include "base/rng.h"
#include "compute/vector_math.h"

static inline size_t block_count(size_t n) {
  return (n + TT_BLOCK - 1) / TT_BLOCK;
}

static inline size_t block_size(size_t n, size_t b) {
  size_t left = n - b * TT_BLOCK;
  return left < TT_BLOCK ? left : TT_BLOCK;
}

static inline void *at(void *p, enum tt_dtype dtype, size_t i) {
  return (char *)p + i * tt_dtype_size(dtype);
}

static inline const void *at_const(const void *p, enum tt_dtype dtype, size_t i) {
  return (const char *)p + i * tt_dtype_size(dtype);
}

/* Adds the old content when accumulating, then stores. */
static void finish(void *y, enum tt_dtype dtype, size_t i, float *value, size_t n,
                   bool accumulate) {
  if (accumulate) {
    float old[TT_BLOCK];
    tt_convert_to_f32(old, at(y, dtype, i), dtype, n);
    for (size_t k = 0; k < n; k++)
      value[k] += old[k];
  }
  tt_convert_from_f32(at(y, dtype, i), dtype, value, n);
}

void tt_block_copy(void *to, const void *from, size_t bytes) {
  size_t blocks = (bytes + 65535) / 65536;
#pragma omp parallel for schedule(static) if (blocks > 4)
  for (size_t b = 0; b < blocks; b++) {
    size_t first = b * 65536, left = bytes - first;
    memcpy((char *)to + first, (const char *)from + first, left < 65536 ? left : 65536);
  }
}

void tt_block_zero(void *to, size_t bytes) {
  size_t blocks = (bytes + 65535) / 65536;
#pragma omp parallel for schedule(static) if (blocks > 4)
  for (size_t b = 0; b < blocks; b++) {
    size_t first = b * 65536, left = bytes - first;
    memset((char *)to + first, 0, left < 65536 ? left : 65536);
  }
}

void tt_block_add(void *y, const void *a, const void *b, enum tt_dtype dtype, size_t n) {
  tt_block_axpby(y, a, 1, b, 1, false, dtype, n);
}

void tt_block_axpby(void *y, const void *a, float p, const void *b, float q, bool accumulate,
                    enum tt_dtype dtype, size_t n) {
#pragma omp parallel for schedule(static) if (n > TT_PARALLEL_ELEMENTS)
  for (size_t block = 0; block < block_count(n); block++) {
    size_t i = block * TT_BLOCK, m = block_size(n, block);
    float u[TT_BLOCK], w[TT_BLOCK];
    tt_convert_to_f32(u, at_const(a, dtype, i), dtype, m);
    if (b) {
      tt_convert_to_f32(w, at_const(b, dtype, i), dtype, m);
      for (size_t k = 0; k < m; k++)
        u[k] = p * u[k] + q * w[k];
    } else {
      for (size_t k = 0; k < m; k++)
        u[k] *= p;
    }
    finish(y, dtype, i, u, m, accumulate);
  }
}

void tt_block_mul(void *y, const void *a, const void *b, bool accumulate, enum tt_dtype dtype,
                  size_t n) {
#pragma omp parallel for schedule(static) if (n > TT_PARALLEL_ELEMENTS)
  for (size_t block = 0; block < block_count(n); block++) {
    size_t i = block * TT_BLOCK, m = block_size(n, block);
    float u[TT_BLOCK], w[TT_BLOCK];
    tt_convert_to_f32(u, at_const(a, dtype, i), dtype, m);
    tt_convert_to_f32(w, at_const(b, dtype, i), dtype, m);
    for (size_t k = 0; k < m; k++)
      u[k] *= w[k];
    finish(y, dtype, i, u, m, accumulate);
  }
}

void tt_activate_f32(float *x, enum tt_act act, size_t n) {
  if (act == TT_ACT_GELU)
    for (size_t k = 0; k < n; k++)
      x[k] = tt_gelu(x[k]);
  else if (act == TT_ACT_SILU)
    for (size_t k = 0; k < n; k++)
      x[k] = tt_silu(x[k]);
  else if (act == TT_ACT_RELU)
    for (size_t k = 0; k < n; k++)
      x[k] = x[k] < 0 ? 0 : x[k]; /* NaN stays */
  else if (act == TT_ACT_SIGMOID)
    for (size_t k = 0; k < n; k++)
      x[k] = tt_sigmoid(x[k]);
}

void tt_activate_backward_f32(float *dy, const float *x, enum tt_act act, size_t n) {
  if (act == TT_ACT_GELU)
    for (size_t k = 0; k < n; k++)
      dy[k] *= tt_gelu_slope(x[k]);
  else if (act == TT_ACT_SILU)
    for (size_t k = 0; k < n; k++)
      dy[k] *= tt_silu_slope(x[k]);
  else if (act == TT_ACT_RELU)
    for (size_t k = 0; k < n; k++)
      dy[k] = x[k] > 0 ? dy[k] : 0;
  else if (act == TT_ACT_SIGMOID)
    for (size_t k = 0; k < n; k++) {
      float s = tt_sigmoid(x[k]);
      dy[k] *= s * (1.0f - s);
    }
}

void tt_block_activation(void *y, const void *x, enum tt_act act, enum tt_dtype dtype, size_t n) {
#pragma omp parallel for schedule(static) if (n > TT_PARALLEL_ELEMENTS)
  for (size_t block = 0; block < block_count(n); block++) {
    size_t i = block * TT_BLOCK, m = block_size(n, block);
    float u[TT_BLOCK];
    tt_convert_to_f32(u, at_const(x, dtype, i), dtype, m);
    tt_activate_f32(u, act, m);
    tt_convert_from_f32(at(y, dtype, i), dtype, u, m);
  }
}

void tt_block_activation_backward(void *dx, const void *dy, const void *x, enum tt_act act,
                                  bool accumulate, enum tt_dtype dtype, size_t n) {
#pragma omp parallel for schedule(static) if (n > TT_PARALLEL_ELEMENTS)
  for (size_t block = 0; block < block_count(n); block++) {
    size_t i = block * TT_BLOCK, m = block_size(n, block);
    float u[TT_BLOCK], w[TT_BLOCK];
    tt_convert_to_f32(u, at_const(dy, dtype, i), dtype, m);
    tt_convert_to_f32(w, at_const(x, dtype, i), dtype, m);
    tt_activate_backward_f32(u, w, act, m);
    finish(dx, dtype, i, u, m, accumulate);
  }
}

void tt_block_dropout(void *y, const void *x, float p, uint64_t seed, uint64_t stream,
                      bool accumulate, enum tt_dtype dtype, size_t n) {
  const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
  const uint32_t threshold = (uint32_t)(p * 4294967296.0); /* drop when the draw is below */
  const float keep = 1.0f / (1.0f - p);
#pragma omp parallel for schedule(static) if (n > TT_PARALLEL_ELEMENTS)
  for (size_t block = 0; block < block_count(n); block++) {
    size_t i = block * TT_BLOCK, m = block_size(n, block);
    float u[TT_BLOCK];
    tt_convert_to_f32(u, at_const(x, dtype, i), dtype, m);
    for (size_t k = 0; k < m; k += 4) {
      uint64_t index = (i + k) / 4;
      uint32_t counter[4] = {(uint32_t)index, (uint32_t)(index >> 32), (uint32_t)stream,
                             (uint32_t)(stream >> 32)};
      uint32_t draw[4];
      tt_philox(counter, key, draw);
      for (size_t j = 0; j < 4 && k + j < m; j++)
        u[k + j] = draw[j] < threshold ? 0.0f : u[k + j] * keep;
    }
    finish(y, dtype, i, u, m, accumulate);
  }
}

void tt_block_copy_columns(void *y, size_t y_stride, const void *x, size_t x_stride, size_t rows,
                           size_t cols, bool accumulate, enum tt_dtype dtype) {
  for (size_t r = 0; r < rows; r++) {
    void *to = at(y, dtype, r * y_stride);
    const void *from = at_const(x, dtype, r * x_stride);
    if (!accumulate) {
      memcpy(to, from, cols * tt_dtype_size(dtype));
      continue;
    }
    for (size_t first = 0; first < cols; first += TT_BLOCK) {
      float u[TT_BLOCK];
      size_t m = cols - first < TT_BLOCK ? cols - first : TT_BLOCK;
      tt_convert_to_f32(u, at_const(from, dtype, first), dtype, m);
      finish(to, dtype, first, u, m, true);
    }
  }
}
