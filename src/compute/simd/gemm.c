/* Products with parameters in AVX-512 BF16. The weights come packed (params.h), activations are
 * read as they lie. Forward and input gradient: a task is a block of rows, which stays in the
 * second cache while the weight's panels pass; activation, its slope and bias are applied to tiles
 * and rows on the way. Weight gradient: a task is a block of the result, summed in f32 over chunks
 * of rows packed as they come; the order of every sum depends on shapes only. */
#include "compute/simd/simd.h"

#if defined(__x86_64__)

#include "compute/dnn/matmul.h"
#include "compute/loops/loops.h"
#include "compute/scratch.h"
#include "compute/simd/gemm_bf16.h"
#include "compute/simd/tile.h"

#define BLOCK_ROWS ((size_t)96)
#define STREAM_BYTES ((size_t)4 << 20) /* results from this size on bypass the caches */

TT_TILE(tile_1x4, 1, 4)
TT_TILE(tile_2x4, 2, 4)
TT_TILE(tile_3x4, 3, 4)
TT_TILE(tile_4x4, 4, 4)
TT_TILE(tile_5x4, 5, 4)
TT_TILE(tile_6x4, 6, 4)

static void tile_rows(size_t rows, const struct tt_tile *t) {
  static void (*const by_rows[])(const struct tt_tile *) = {tile_1x4, tile_2x4, tile_3x4,
                                                            tile_4x4, tile_5x4, tile_6x4};
  by_rows[rows - 1](t);
}

static size_t smaller(size_t a, size_t b) {
  return a < b ? a : b;
}

/* sigmoid(2u) of GELU's tanh form, or sigmoid(x) of SiLU: 1 / (1 + 2^(-x (s + c x^2))). */
TT_SIMD_INLINE __m512 gate(__m512 x, enum tt_act act) {
  __m512 slope = _mm512_set1_ps(-1.44269504f); /* -log2 e */
  if (act == TT_ACT_GELU)                      /* -2 log2(e) sqrt(2/pi) (1 + 0.044715 x^2) */
    slope = _mm512_fmadd_ps(_mm512_mul_ps(x, x), _mm512_set1_ps(-0.10294324f),
                            _mm512_set1_ps(-2.30220818f));
  /* Limited, so that 1 + 2^. stays finite. */
  __m512 e = tt_exp2_512(_mm512_min_ps(_mm512_mul_ps(x, slope), _mm512_set1_ps(100)));
  __m512 d = _mm512_add_ps(e, _mm512_set1_ps(1));
  __m512 r = _mm512_rcp14_ps(d);
  return _mm512_mul_ps(r, _mm512_fnmadd_ps(d, r, _mm512_set1_ps(2))); /* one Newton step */
}

TT_SIMD_INLINE __m512 activated(__m512 x, enum tt_act act) {
  return _mm512_mul_ps(x, gate(x, act));
}

/* d act / dx = s + x s (1 - s) (inner slope). */
TT_SIMD_INLINE __m512 slope_of(__m512 x, enum tt_act act) {
  __m512 s = gate(x, act), inner = _mm512_set1_ps(1);
  if (act == TT_ACT_GELU)
    inner = _mm512_fmadd_ps(_mm512_mul_ps(x, x), _mm512_set1_ps(0.21406859f),
                            _mm512_set1_ps(1.59576912f));
  __m512 t = _mm512_mul_ps(_mm512_mul_ps(x, s), inner);
  return _mm512_fmadd_ps(t, _mm512_sub_ps(_mm512_set1_ps(1), s), s);
}

/* What becomes of a tile of sums [rows, 64]. */
struct finish {
  const float *bias; /* of the tile's columns, NULL: none */
  enum tt_act act;
  tt_bf16 *pre, *y; /* y NULL: f32 to `wide` */
  float *wide;
  size_t stride; /* elements, of all three */
  bool accumulate;
  bool stream;  /* pre and y are aligned, their rows whole cache lines */
  size_t width; /* columns, <= 64 */
};

TT_SIMD_INLINE __mmask16 columns_mask(size_t width, size_t j) {
  const size_t left = width - j;
  return (__mmask16)(0xffffu >> (left < 16 ? 16 - left : 0));
}

/* 64 aligned bytes past the caches: for results that would not stay in them until they are read. */
TT_SIMD_INLINE void store_pair(tt_bf16 *to, __m512 low, __m512 high, bool stream) {
  const __m512i both = (__m512i)_mm512_cvtne2ps_pbh(high, low);
  if (stream)
    _mm512_stream_si512((void *)to, both);
  else
    _mm512_storeu_si512(to, both);
}

TT_SIMD static void finish_tile(const struct finish *f, const float *sums, size_t rows) {
  for (size_t r = 0; r < rows; r++) {
    size_t j = 0;
    for (; f->y && !f->accumulate && j + 32 <= f->width; j += 32) { /* the common case */
      const size_t at = r * f->stride + j;
      __m512 v[2];
      for (size_t s = 0; s < 2; s++) {
        v[s] = _mm512_loadu_ps(sums + r * 64 + j + 16 * s);
        if (f->bias)
          v[s] = _mm512_add_ps(v[s], _mm512_loadu_ps(f->bias + j + 16 * s));
      }
      if (f->act != TT_ACT_NONE) {
        if (f->pre)
          store_pair(f->pre + at, v[0], v[1], f->stream);
        v[0] = activated(v[0], f->act);
        v[1] = activated(v[1], f->act);
      }
      store_pair(f->y + at, v[0], v[1], f->stream);
    }
    for (; j < f->width; j += 16) {
      const __mmask16 mask = columns_mask(f->width, j);
      const size_t at = r * f->stride + j;
      __m512 v = _mm512_loadu_ps(sums + r * 64 + j);
      if (f->bias)
        v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(mask, f->bias + j));
      if (!f->y) {
        _mm512_mask_storeu_ps(f->wide + at, mask, v);
        continue;
      }
      if (f->accumulate) {
        __m512i old = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, f->y + at));
        v = _mm512_add_ps(v, _mm512_castsi512_ps(_mm512_slli_epi32(old, 16)));
      }
      if (f->act != TT_ACT_NONE) {
        if (f->pre)
          _mm256_mask_storeu_epi16(f->pre + at, mask, (__m256i)_mm512_cvtneps_pbh(v));
        v = activated(v, f->act);
      }
      _mm256_mask_storeu_epi16(f->y + at, mask, (__m256i)_mm512_cvtneps_pbh(v));
    }
  }
}

/* rows x panels first..end of one packed operand: A [rows, k] (row stride in elements). */
static void multiply_block(const tt_bf16 *a, size_t a_stride, size_t rows, const tt_bf16 *packed,
                           size_t k, size_t n, size_t first, size_t end, struct finish f) {
  const size_t pairs = (k + 1) / 2;
  float sums[6 * 64] __attribute__((aligned(64)));
  tt_bf16 *const pre = f.pre, *const y = f.y;
  float *const wide = f.wide;
  const float *const bias = f.bias;
  for (size_t panel = first; panel < end; panel++) {
    f.width = smaller(64, n - panel * 64);
    f.bias = bias ? bias + panel * 64 : NULL;
    for (size_t r = 0; r < rows; r += 6) {
      const size_t m = smaller(6, rows - r), at = r * f.stride + panel * 64;
      tile_rows(m, &(struct tt_tile){.a = a + r * a_stride,
                                     .a_row = a_stride * sizeof *a,
                                     .a_pair = 4,
                                     .b = packed + panel * 128 * pairs,
                                     .b_pair = 256,
                                     .pairs = pairs,
                                     .c = sums,
                                     .c_row = 64});
      f.pre = pre ? pre + at : NULL;
      f.y = y ? y + at : NULL;
      f.wide = wide ? wide + at : NULL;
      finish_tile(&f, sums, m);
    }
  }
}

/* How rows x panels are cut into tasks: by rows, and by panels where rows are few. */
struct cut {
  size_t row_blocks, panel_blocks, panels_per_block;
};

static struct cut cut_of(size_t rows, size_t n) {
  struct cut c = {(rows + BLOCK_ROWS - 1) / BLOCK_ROWS, 1, (n + 63) / 64};
  if (c.row_blocks < 8) {
    c.panels_per_block = (c.panels_per_block + 7) / 8;
    c.panel_blocks = ((n + 63) / 64 + c.panels_per_block - 1) / c.panels_per_block;
  }
  return c;
}

static bool streamed(const void *y, const void *pre, size_t rows, size_t cols) {
  return cols % 32 == 0 && rows * cols * sizeof(tt_bf16) >= STREAM_BYTES &&
         ((uintptr_t)y | (uintptr_t)pre) % 64 == 0;
}

void tt_simd_linear_forward(const struct tt_k_linear *k) {
  const size_t in = k->weight->cols, out = k->weight->rows;
  if (k->dtype != TT_BF16 || !k->weight->packed || in % 2) {
    tt_dnn_linear_forward(k);
    return;
  }
  const struct cut cut = cut_of(k->rows, out);
  const size_t panels = (out + 63) / 64;
  const bool stream = streamed(k->y, k->pre, k->rows, out);
#pragma omp parallel for schedule(dynamic, 1) if (k->rows * in * out > 200000)
  for (size_t task = 0; task < cut.row_blocks * cut.panel_blocks; task++) {
    const size_t first = task / cut.panel_blocks * BLOCK_ROWS;
    const size_t rows = smaller(BLOCK_ROWS, k->rows - first);
    const size_t panel = task % cut.panel_blocks * cut.panels_per_block, at = first * out;
    struct finish f = {.bias = k->bias, .act = k->act, .stride = out, .stream = stream};
    if (k->y_dtype == TT_F32)
      f.wide = (float *)k->y + at;
    else
      f.y = (tt_bf16 *)k->y + at;
    f.pre = k->pre ? (tt_bf16 *)k->pre + at : NULL;
    multiply_block((const tt_bf16 *)k->x + first * in, in, rows, k->weight->packed, in, out, panel,
                   smaller(panels, panel + cut.panels_per_block), f);
  }
}

/* dy *= act'(pre). */
TT_SIMD static void apply_slope(tt_bf16 *dy, const tt_bf16 *pre, size_t n, enum tt_act act) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16)
    tt_store_bf16_512(
        dy + i, _mm512_mul_ps(tt_load_bf16_512(dy + i), slope_of(tt_load_bf16_512(pre + i), act)));
  if (i < n) {
    const __mmask16 mask = columns_mask(n - i, 0);
    __m512i d = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, dy + i));
    __m512i x = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, pre + i));
    __m512 v = _mm512_mul_ps(_mm512_castsi512_ps(_mm512_slli_epi32(d, 16)),
                             slope_of(_mm512_castsi512_ps(_mm512_slli_epi32(x, 16)), act));
    _mm256_mask_storeu_epi16(dy + i, mask, (__m256i)_mm512_cvtneps_pbh(v));
  }
}

void tt_simd_linear_backward(const struct tt_k_linear_backward *k) {
  const size_t in = k->weight->cols, out = k->weight->rows;
  /* An odd `out` needs a zero behind each row: the padding of head_loss, or nothing. */
  if (k->dtype != TT_BF16 || !k->weight->packed || (out % 2 && k->dy_stride == out)) {
    tt_dnn_linear_backward(k);
    return;
  }
  struct cut cut = cut_of(k->rows, in);
  if (k->act != TT_ACT_NONE && cut.panel_blocks > 1) /* dz is made once per row */
    cut = (struct cut){cut.row_blocks, 1, (in + 63) / 64};
  const bool stream = streamed(k->dx, NULL, k->rows, in) && !k->accumulate;
  const size_t panels = (in + 63) / 64;
#pragma omp parallel for schedule(dynamic, 1) if (k->rows * in * out > 200000)
  for (size_t task = 0; task < cut.row_blocks * cut.panel_blocks; task++) {
    const size_t first = task / cut.panel_blocks * BLOCK_ROWS;
    const size_t rows = smaller(BLOCK_ROWS, k->rows - first);
    const size_t panel = task % cut.panel_blocks * cut.panels_per_block;
    tt_bf16 *dy = (tt_bf16 *)k->dy + first * k->dy_stride;
    if (k->act != TT_ACT_NONE)
      apply_slope(dy, (const tt_bf16 *)k->pre + first * k->dy_stride, rows * k->dy_stride, k->act);
    if (k->dx)
      multiply_block(dy, k->dy_stride, rows, k->weight->packed_transposed, out, in, panel,
                     smaller(panels, panel + cut.panels_per_block),
                     (struct finish){.y = (tt_bf16 *)k->dx + first * in,
                                     .stride = in,
                                     .accumulate = k->accumulate,
                                     .stream = stream});
  }
}

/* ---- weight gradient ---- */

#define CHUNK_ROWS ((size_t)256)
#define CHUNK_PAIRS (CHUNK_ROWS / 2)
#define BLOCK_PANELS ((size_t)4)

/* One panel of a chunk: x [rows, width <= 64] -> [CHUNK_PAIRS][64] words, zero beyond the columns
 * and for a missing last row. sums (NULL or [64]) += column sums. Returns nothing; pairs used are
 * (rows + 1) / 2. */
TT_SIMD static void pack_panel(tt_bf16 *to, const tt_bf16 *x, size_t stride, size_t rows,
                               size_t width, float *sums) {
  const __mmask32 mask[2] = {width >= 32 ? 0xffffffffu : (1u << width) - 1,
                             width >= 64  ? 0xffffffffu
                             : width > 32 ? (1u << (width - 32)) - 1
                                          : 0};
  __m512 sum[4];
  for (int j = 0; j < 4; j++)
    sum[j] = _mm512_setzero_ps();
  for (size_t i = 0; i < rows; i += 2, to += 128)
    for (int half = 0; half < 2; half++) {
      const tt_bf16 *from = x + i * stride + 32 * half;
      __m512i a = _mm512_maskz_loadu_epi16(mask[half], from), low, high;
      __m512i b = i + 1 < rows ? _mm512_maskz_loadu_epi16(mask[half], from + stride)
                               : _mm512_setzero_si512();
      tt_interleave(a, b, &low, &high);
      _mm512_storeu_si512(to + 64 * half, low);
      _mm512_storeu_si512(to + 64 * half + 32, high);
      if (sums) {
        const __m512i upper = _mm512_set1_epi32((int)0xffff0000u);
        sum[2 * half] = _mm512_add_ps(
            sum[2 * half], _mm512_add_ps(_mm512_castsi512_ps(_mm512_slli_epi32(low, 16)),
                                         _mm512_castsi512_ps(_mm512_and_si512(low, upper))));
        sum[2 * half + 1] = _mm512_add_ps(
            sum[2 * half + 1], _mm512_add_ps(_mm512_castsi512_ps(_mm512_slli_epi32(high, 16)),
                                             _mm512_castsi512_ps(_mm512_and_si512(high, upper))));
      }
    }
  for (size_t j = 0; sums && j < 4; j++)
    _mm512_storeu_ps(sums + 16 * j, _mm512_add_ps(_mm512_loadu_ps(sums + 16 * j), sum[j]));
}

/* Asks for what the next chunk will pack while this one is multiplied: memory and arithmetic would
 * otherwise take turns. A cursor over (panel, row); each tile asks for a few rows. */
struct ahead {
  const tt_bf16 *dz, *x; /* first row of the next chunk, at the block's first column */
  size_t dz_stride, x_stride, rows, dz_panels, panels;
  size_t panel, row;
};

static void look_ahead(struct ahead *a, size_t count) {
  for (; count > 0 && a->panel < a->panels; count--) {
    const tt_bf16 *at = a->panel < a->dz_panels
                            ? a->dz + a->row * a->dz_stride + a->panel * 64
                            : a->x + a->row * a->x_stride + (a->panel - a->dz_panels) * 64;
    __builtin_prefetch(at, 0, 2);
    __builtin_prefetch(at + 32, 0, 2);
    if (++a->row == a->rows) {
      a->row = 0;
      a->panel++;
    }
  }
}

/* One block of dW: panels o0..o1 of dz's columns times panels i0..i1 of x's. Summed in 64 x 64
 * squares of our own, dense, so that a tile does not touch a page per row; added to dW at the end.
 */
static void weight_block(const struct tt_k_linear_weight *k, size_t o0, size_t o1, size_t i0,
                         size_t i1) {
  const size_t panel_size = CHUNK_PAIRS * 128, wide = i1 - i0;
  tt_bf16 *dz = tt_scratch(TT_SCRATCH_A, 2 * BLOCK_PANELS * panel_size * sizeof *dz);
  tt_bf16 *x = dz + BLOCK_PANELS * panel_size;
  float *squares = tt_scratch(TT_SCRATCH_B, BLOCK_PANELS * BLOCK_PANELS * 4096 * sizeof *squares);
  float column_sums[BLOCK_PANELS * 64] = {0};
  const bool bias = k->bias_grad && i0 == 0;
  for (size_t first = 0; first < k->rows; first += CHUNK_ROWS) {
    const size_t rows = smaller(CHUNK_ROWS, k->rows - first);
    for (size_t o = o0; o < o1; o++)
      pack_panel(dz + (o - o0) * panel_size, (const tt_bf16 *)k->dz + first * k->dz_stride + o * 64,
                 k->dz_stride, rows, smaller(64, k->out - o * 64),
                 bias ? column_sums + (o - o0) * 64 : NULL);
    for (size_t i = i0; i < i1; i++)
      pack_panel(x + (i - i0) * panel_size, (const tt_bf16 *)k->x + first * k->in + i * 64, k->in,
                 rows, smaller(64, k->in - i * 64), NULL);
    const size_t next = first + CHUNK_ROWS;
    struct ahead ahead = {.dz = (const tt_bf16 *)k->dz + next * k->dz_stride + o0 * 64,
                          .x = (const tt_bf16 *)k->x + next * k->in + i0 * 64,
                          .dz_stride = k->dz_stride,
                          .x_stride = k->in,
                          .rows = CHUNK_ROWS,
                          .dz_panels = o1 - o0,
                          .panels = next + CHUNK_ROWS <= k->rows ? o1 - o0 + wide : 0};
    const size_t per_tile = CHUNK_ROWS * (o1 - o0 + wide) / ((o1 - o0) * wide * 11) + 1;
    for (size_t i = i0; i < i1; i++)
      for (size_t o = o0; o < o1; o++) {
        const size_t height = smaller(64, k->out - o * 64);
        for (size_t r = 0; r < height; r += 6) {
          look_ahead(&ahead, per_tile);
          tile_rows(smaller(6, height - r),
                    &(struct tt_tile){.a = dz + (o - o0) * panel_size + 2 * r,
                                      .a_row = 4,
                                      .a_pair = 256,
                                      .b = x + (i - i0) * panel_size,
                                      .b_pair = 256,
                                      .pairs = (rows + 1) / 2,
                                      .c = squares + ((o - o0) * wide + i - i0) * 4096 + r * 64,
                                      .c_row = 64,
                                      .start = first > 0});
        }
      }
  }
  for (size_t o = o0 * 64; o < smaller(o1 * 64, k->out); o++)
    for (size_t i = i0; i < i1; i++) {
      const float *from = squares + ((o / 64 - o0) * wide + i - i0) * 4096 + o % 64 * 64;
      float *to = k->weight_grad + o * k->in + i * 64;
      for (size_t j = 0; j < smaller(64, k->in - i * 64); j++)
        to[j] += from[j];
    }
  for (size_t j = 0; bias && j < (o1 - o0) * 64 && o0 * 64 + j < k->out; j++)
    k->bias_grad[o0 * 64 + j] += column_sums[j];
}

void tt_simd_linear_weight(const struct tt_k_linear_weight *k) {
  if (k->dtype != TT_BF16) {
    tt_dnn_linear_weight(k);
    return;
  }
  /* Blocks of at most 4 x 4 panels, and small enough that every thread has the same work. */
  const size_t out_panels = (k->out + 63) / 64, in_panels = (k->in + 63) / 64;
  const size_t in_blocks = (in_panels + BLOCK_PANELS - 1) / BLOCK_PANELS;
  size_t out_blocks = (out_panels + BLOCK_PANELS - 1) / BLOCK_PANELS;
  const size_t threads = tt_threads();
  while (out_blocks * in_blocks % threads && out_blocks < out_panels)
    out_blocks++;
#pragma omp parallel for schedule(dynamic, 1) if (k->rows * k->in * k->out > 200000)
  for (size_t task = 0; task < out_blocks * in_blocks; task++) {
    const size_t o = task / in_blocks, i = task % in_blocks;
    weight_block(k, o * out_panels / out_blocks, (o + 1) * out_panels / out_blocks,
                 i * BLOCK_PANELS, smaller(in_panels, (i + 1) * BLOCK_PANELS));
  }
}

/* ---- head_loss ---- */

#define HEAD_ROWS ((size_t)48)

void tt_simd_head_loss(const struct tt_k_head_loss *k) {
  const size_t in = k->weight->cols, out = k->weight->rows, stride = (out + 15) / 16 * 16;
  if (k->dtype != TT_BF16 || !k->weight->packed || in % 2) {
    tt_dnn_head_loss(k);
    return;
  }
  const size_t blocks = (k->rows + HEAD_ROWS - 1) / HEAD_ROWS;
#pragma omp parallel for schedule(dynamic, 1) if (k->rows * in * out > 200000)
  for (size_t block = 0; block < blocks; block++) {
    const size_t first = block * HEAD_ROWS, rows = smaller(HEAD_ROWS, k->rows - first);
    float *logits = tt_scratch(TT_SCRATCH_A, HEAD_ROWS * stride * sizeof *logits);
    multiply_block((const tt_bf16 *)k->x + first * in, in, rows, k->weight->packed, in, out, 0,
                   (out + 63) / 64,
                   (struct finish){.bias = k->bias, .wide = logits, .stride = stride});
    for (size_t r = 0; r < rows; r++)
      tt_loop_softmax_row(k, first + r, logits + r * stride);
  }
}

#endif
