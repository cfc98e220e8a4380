/* Attention in AVX-512 BF16, in tiles with a running softmax (FlashAttention-2, Dao 2023): products
 * in bf16, sums, softmax and their gradients in f32. A task is one head of one sequence. Keys,
 * values (backward: queries and output gradients) are packed once per task into the two orders that
 * the products need:
 *   turned  [positions/64][width/2][64] words: the width is summed over   (scores)
 *   paired  [positions/2][width] words: the positions are summed over     (values, gradients)
 * The backward works on S^T (rows are keys), so that P^T and dS^T are made in the order in which
 * dV = P^T dO, dK = dS^T Q and dQ^T = K^T dS^T read them. Masks are intervals of keys per query
 * that only move forward: tiles outside are skipped, tiles inside take no mask. */
#include "compute/simd/simd.h"

#if defined(__x86_64__)

#include <math.h>

#include "compute/loops/loops.h"
#include "compute/scratch.h"
#include "compute/simd/tile.h"

#define LOG2E 1.44269504088896341f
#define MASKED -1e30f     /* a score outside the mask; below any running maximum */
#define ROWS ((size_t)12) /* queries (forward), keys (backward) per strip */
#define FORWARD_KEYS ((size_t)256)

TT_TILE(tile_6x4, 6, 4)
TT_TILE(tile_12x1, 12, 1)
TT_TILE(tile_12x2, 12, 2)
TT_TILE(tile_6x3, 6, 3)
TT_TILE(tile_4x4, 4, 4)

static size_t smaller(size_t a, size_t b) {
  return a < b ? a : b;
}

static size_t round_up(size_t n, size_t unit) {
  return (n + unit - 1) / unit * unit;
}

/* C [ROWS, width] (row stride `width`) from A [ROWS, 2 * pairs] bf16 and paired B. */
static void strip_product(size_t width, const tt_bf16 *a, size_t a_stride, const tt_bf16 *b,
                          size_t pairs, float *c, int start, const float *factor) {
  struct tt_tile t = {.a = a,
                      .a_row = a_stride * 2,
                      .a_pair = 4,
                      .b = b,
                      .b_pair = width * 4,
                      .pairs = pairs,
                      .c = c,
                      .c_row = width,
                      .start = start,
                      .factor = factor};
  if (width == 32) {
    tile_12x2(&t);
  } else if (width == 16) {
    tile_12x1(&t);
  } else {
    const size_t step = width == 48 || width == 96 ? 48 : 64;
    for (size_t r = 0; r < ROWS; r += 6)
      for (size_t j = 0; j < width; j += step) {
        t.a = a + r * a_stride;
        t.b = b + 2 * j;
        t.c = c + r * width + j;
        t.factor = factor ? factor + r : NULL;
        if (step == 48)
          tile_6x3(&t);
        else
          tile_6x4(&t);
      }
  }
}

static bool width_fits(size_t width) {
  return width == 16 || width == 32 || width == 48 || width == 64 || width == 96 || width == 128;
}

/* x [n, width] at row stride -> turned; positions up to a multiple of 64 are zero. */
TT_SIMD static void pack_turned(tt_bf16 *to, const tt_bf16 *x, size_t stride, size_t n,
                                size_t width) {
  for (size_t i = 0; i < round_up(n, 64); i += 16)
    for (size_t j = 0; j < width; j += 32) { /* 16 words of width */
      __m512i t[16];
      const __mmask32 mask = width - j >= 32 ? 0xffffffffu : 0xffffu;
      for (size_t r = 0; r < 16; r++)
        t[r] = i + r < n ? _mm512_maskz_loadu_epi16(mask, x + (i + r) * stride + j)
                         : _mm512_setzero_si512();
      tt_transpose16(t);
      tt_bf16 *panel = to + i / 64 * 64 * width + i % 64 * 2;
      for (size_t w = 0; w < 16 && j / 2 + w < width / 2; w++)
        _mm512_storeu_si512(panel + (j / 2 + w) * 128, t[w]);
    }
}

/* x [n, width] -> paired; positions up to `padded` (even) are zero. */
TT_SIMD static void pack_paired(tt_bf16 *to, const tt_bf16 *x, size_t stride, size_t n,
                                size_t padded, size_t width) {
  for (size_t i = 0; i < padded; i += 2)
    for (size_t j = 0; j < width; j += 32) {
      const __mmask32 mask = width - j >= 32 ? 0xffffffffu : 0xffffu;
      __m512i a =
          i < n ? _mm512_maskz_loadu_epi16(mask, x + i * stride + j) : _mm512_setzero_si512();
      __m512i b = i + 1 < n ? _mm512_maskz_loadu_epi16(mask, x + (i + 1) * stride + j)
                            : _mm512_setzero_si512();
      __m512i low, high;
      tt_interleave(a, b, &low, &high);
      _mm512_storeu_si512(to + i * width + 2 * j, low);
      if (width - j >= 32)
        _mm512_storeu_si512(to + i * width + 2 * j + 32, high);
    }
}

/* Rows first..first+ROWS of x, dense; rows from n on are zero. */
static void copy_rows(tt_bf16 *to, const tt_bf16 *x, size_t stride, size_t first, size_t n,
                      size_t width) {
  for (size_t r = 0; r < ROWS; r++)
    if (first + r < n)
      memcpy(to + r * width, x + (first + r) * stride, width * sizeof *to);
    else
      memset(to + r * width, 0, width * sizeof *to);
}

/* Asks for rows first..first+n of the next head: its rows lie far apart, one or two cache lines
 * each, which the hardware does not foresee. */
static void look_ahead(const tt_bf16 *x, size_t stride, size_t first, size_t n, size_t end,
                       size_t width) {
  for (size_t i = first; i < smaller(first + n, end); i++)
    for (size_t j = 0; j < width; j += 32)
      __builtin_prefetch(x + i * stride + j, 0, 2);
}

/* Heads of a sequence follow one another in one thread where there are sequences enough. */
static int heads_per_task(size_t batch, size_t heads) {
  return batch >= 2 * tt_threads() ? (int)heads : 1;
}

/* ---- forward ---- */

struct forward_state {
  float out[ROWS * 128] __attribute__((aligned(64)));
  float max[ROWS], sum[ROWS], shrink[ROWS]; /* max of the unscaled scores */
};

/* Scores of one query [keys, a multiple of 16] -> probabilities in bf16; updates the state. */
TT_SIMD static void softmax_row(struct forward_state *s, size_t r, const float *scores, size_t keys,
                                float scale, tt_bf16 *p) {
  __m512 top = _mm512_set1_ps(s->max[r]);
  for (size_t j = 0; j < keys; j += 16)
    top = _mm512_max_ps(top, _mm512_loadu_ps(scores + j));
  const float max = _mm512_reduce_max_ps(top), slope = scale * LOG2E;
  const __m512 a = _mm512_set1_ps(slope), b = _mm512_set1_ps(-max * slope);
  __m512 sum = _mm512_setzero_ps();
  for (size_t j = 0; j < keys; j += 16) {
    __m512 e = tt_exp2_512(_mm512_fmadd_ps(_mm512_loadu_ps(scores + j), a, b));
    sum = _mm512_add_ps(sum, e);
    tt_store_bf16_512(p + j, e);
  }
  s->shrink[r] = _mm512_cvtss_f32(tt_exp2_512(_mm512_set1_ps((s->max[r] - max) * slope)));
  s->sum[r] = s->sum[r] * s->shrink[r] + _mm512_reduce_add_ps(sum);
  s->max[r] = max;
}

TT_SIMD static void write_row(tt_bf16 *to, const float *from, size_t width, float factor) {
  for (size_t j = 0; j < width; j += 16)
    tt_store_bf16_512(to + j, _mm512_mul_ps(_mm512_loadu_ps(from + j), _mm512_set1_ps(factor)));
}

static void forward_head(const struct tt_k_attention *k, size_t b, size_t h) {
  const size_t E = k->head, L = k->spec.length, keys_up = round_up(k->n_keys, 64);
  const tt_bf16 *q = (const tt_bf16 *)k->q + b * k->q_batch + h * E;
  const tt_bf16 *keys = (const tt_bf16 *)k->k + b * k->kv_batch + h * E;
  const tt_bf16 *values = (const tt_bf16 *)k->v + b * k->kv_batch + h * E;
  const float scale = 1 / sqrtf((float)E);
  tt_bf16 *turned = tt_scratch(TT_SCRATCH_A, 2 * keys_up * E * sizeof *turned);
  tt_bf16 *paired = turned + keys_up * E;
  pack_turned(turned, keys, k->kv_row, k->n_keys, E);
  pack_paired(paired, values, k->kv_row, k->n_keys, keys_up, E);
  struct forward_state s;
  tt_bf16 strip[ROWS * 128] __attribute__((aligned(64)));
  float scores[6 * FORWARD_KEYS] __attribute__((aligned(64)));
  tt_bf16 p[ROWS * FORWARD_KEYS] __attribute__((aligned(64)));
  for (size_t first = 0; first < L; first += ROWS) {
    size_t begin[ROWS], end[ROWS];
    for (size_t r = 0; r < ROWS; r++) { /* rows beyond the last repeat it: computed, not written */
      tt_mask_interval(&k->spec, k->query_first + smaller(first + r, L - 1), &begin[r], &end[r]);
      end[r] = smaller(end[r], k->n_keys);
      s.max[r] = MASKED / 1e10f;
      s.sum[r] = 0;
    }
    copy_rows(strip, q, k->q_row, first, L, E);
    if (h + 1 < k->spec.heads) {
      look_ahead(q + E, k->q_row, first, ROWS, L, E);
      look_ahead(keys + E, k->kv_row, first, ROWS, k->n_keys, E);
      look_ahead(values + E, k->kv_row, first, ROWS, k->n_keys, E);
    }
    bool started = false;
    for (size_t j = begin[0] / 64 * 64; j < end[ROWS - 1]; j += FORWARD_KEYS) {
      const size_t n = smaller(FORWARD_KEYS, round_up(end[ROWS - 1] - j, 64));
      for (size_t half = 0; half < ROWS; half += 6) {
        for (size_t panel = 0; panel < n; panel += 64)
          tile_6x4(&(struct tt_tile){.a = strip + half * E,
                                     .a_row = E * 2,
                                     .a_pair = 4,
                                     .b = turned + (j + panel) * E,
                                     .b_pair = 256,
                                     .pairs = E / 2,
                                     .c = scores + panel,
                                     .c_row = FORWARD_KEYS});
        for (size_t r = half; r < half + 6; r++) {
          float *row = scores + (r - half) * FORWARD_KEYS;
          for (size_t c = j; c < j + n && c < begin[r]; c++)
            row[c - j] = MASKED;
          for (size_t c = end[r] > j ? end[r] : j; c < j + n; c++)
            row[c - j] = MASKED;
          softmax_row(&s, r, row, n, scale, p + r * FORWARD_KEYS);
        }
      }
      strip_product(E, p, FORWARD_KEYS, paired + j * E, n / 2, s.out, started ? 2 : 0, s.shrink);
      started = true;
    }
    for (size_t r = 0; r < ROWS && first + r < L; r++) {
      write_row((tt_bf16 *)k->out + (b * L + first + r) * k->spec.heads * E + h * E, s.out + r * E,
                E, 1 / s.sum[r]);
      if (k->lse)
        k->lse[(b * k->spec.heads + h) * L + first + r] = s.max[r] * scale + logf(s.sum[r]);
    }
  }
}

void tt_simd_attention_forward(const struct tt_k_attention *k) {
  if (k->dtype != TT_BF16 || !width_fits(k->head)) {
    tt_loop_attention_forward(k);
    return;
  }
  const size_t tasks = k->spec.batch * k->spec.heads;
  const int chunk = heads_per_task(k->spec.batch, k->spec.heads);
#pragma omp parallel for schedule(dynamic, chunk) if (tasks > 1)
  for (size_t t = 0; t < tasks; t++)
    forward_head(k, t / k->spec.heads, t % k->spec.heads);
}

/* ---- backward ---- */

#define KEYS ((size_t)96)    /* of a tile, a multiple of ROWS */
#define QUERIES ((size_t)64) /* of a tile */

struct backward_tile {
  tt_bf16 p[KEYS * QUERIES] __attribute__((aligned(64)));      /* P^T [keys, queries] */
  tt_bf16 ds[KEYS * QUERIES] __attribute__((aligned(64)));     /* dS^T */
  tt_bf16 paired[KEYS * QUERIES] __attribute__((aligned(64))); /* dS^T, pairs of keys interleaved */
};

/* Six keys' P^T and dS^T from S^T and dP^T [6, QUERIES]. lse in log2 units, D per query; begin, end
 * (NULL: all visible) the keys that each query sees; `key` the first key's position. */
TT_SIMD static void softmax_backward(struct backward_tile *tile, size_t row, const float *scores,
                                     const float *dp, const float *lse, const float *D,
                                     const int32_t *begin, const int32_t *end, int32_t key,
                                     float slope) {
  const __m512i weave =
      _mm512_set_epi32(0x001f000f, 0x001e000e, 0x001d000d, 0x001c000c, 0x001b000b, 0x001a000a,
                       0x00190009, 0x00180008, 0x00170007, 0x00160006, 0x00150005, 0x00140004,
                       0x00130003, 0x00120002, 0x00110001, 0x00100000);
  const __m512 a = _mm512_set1_ps(slope);
  for (size_t r = 0; r < 6; r += 2)
    for (size_t j = 0; j < QUERIES; j += 16) {
      const __m512 l = _mm512_loadu_ps(lse + j), d = _mm512_loadu_ps(D + j);
      __m512 p[2], g[2];
      for (size_t s = 0; s < 2; s++) {
        const size_t at = (r + s) * QUERIES + j;
        p[s] = tt_exp2_512(_mm512_fmsub_ps(_mm512_loadu_ps(scores + at), a, l));
        if (begin) {
          const __m512i at_key = _mm512_set1_epi32(key + (int32_t)(r + s));
          p[s] =
              _mm512_maskz_mov_ps(_mm512_cmple_epi32_mask(_mm512_loadu_si512(begin + j), at_key) &
                                      _mm512_cmplt_epi32_mask(at_key, _mm512_loadu_si512(end + j)),
                                  p[s]);
        }
        g[s] = _mm512_mul_ps(p[s], _mm512_sub_ps(_mm512_loadu_ps(dp + at), d));
      }
      const __m512i ps = (__m512i)_mm512_cvtne2ps_pbh(p[1], p[0]);
      const __m512i gs = (__m512i)_mm512_cvtne2ps_pbh(g[1], g[0]);
      const size_t at = (row + r) * QUERIES + j;
      _mm256_storeu_si256((__m256i *)(tile->p + at), _mm512_castsi512_si256(ps));
      _mm256_storeu_si256((__m256i *)(tile->p + at + QUERIES), _mm512_extracti64x4_epi64(ps, 1));
      _mm256_storeu_si256((__m256i *)(tile->ds + at), _mm512_castsi512_si256(gs));
      _mm256_storeu_si256((__m256i *)(tile->ds + at + QUERIES), _mm512_extracti64x4_epi64(gs, 1));
      _mm512_storeu_si512(tile->paired + (row + r) * QUERIES + 2 * j,
                          _mm512_permutexvar_epi16(weave, gs));
    }
}

/* sum over the width of dO * O, per query. */
TT_SIMD static float row_dot(const tt_bf16 *a, const tt_bf16 *b, size_t width) {
  __m512 sum = _mm512_setzero_ps();
  for (size_t j = 0; j < width; j += 16)
    sum = _mm512_fmadd_ps(tt_load_bf16_512(a + j), tt_load_bf16_512(b + j), sum);
  return _mm512_reduce_add_ps(sum);
}

/* f32 [width, padded] times factor -> bf16 rows [n, width]. */
TT_SIMD static void write_turned(tt_bf16 *to, size_t stride, const float *from, size_t padded,
                                 size_t n, size_t width, float factor) {
  for (size_t i = 0; i < n; i += 16)
    for (size_t j = 0; j < width; j += 16) {
      __m512i t[16];
      for (size_t r = 0; r < 16; r++)
        t[r] = _mm512_loadu_si512(from + (j + r) * padded + i);
      tt_transpose16(t);
      for (size_t r = 0; r < 16 && i + r < n; r++)
        tt_store_bf16_512(to + (i + r) * stride + j,
                          _mm512_mul_ps(_mm512_castsi512_ps(t[r]), _mm512_set1_ps(factor)));
    }
}

/* What a head's tasks share. */
struct backward_head {
  size_t padded; /* queries, a multiple of QUERIES */
  tt_bf16 *q_turned, *q_paired, *dout_turned, *dout_paired, *k_paired;
  float *dq;      /* [width, padded]: dQ^T */
  float *lse, *D; /* [padded] */
  int32_t *begin, *end;
};

static void prepare(struct backward_head *s, const struct tt_k_attention_backward *k, size_t b,
                    size_t h) {
  const struct tt_k_attention *f = &k->forward;
  const size_t E = f->head, L = f->spec.length, H = f->spec.heads;
  const size_t at = b * f->q_batch + h * E, out_at = b * L * H * E + h * E;
  const size_t padded = s->padded = round_up(L, QUERIES), size = padded * E;
  const size_t keys_up = round_up(L, KEYS);
  s->q_turned = tt_scratch(TT_SCRATCH_A, (4 * size + keys_up * E) * sizeof(tt_bf16));
  s->q_paired = s->q_turned + size;
  s->dout_turned = s->q_paired + size;
  s->dout_paired = s->dout_turned + size;
  s->k_paired = s->dout_paired + size;
  s->dq = tt_scratch(TT_SCRATCH_B, (size + 4 * padded) * sizeof(float));
  s->lse = s->dq + size;
  s->D = s->lse + padded;
  s->begin = (int32_t *)(s->D + padded);
  s->end = s->begin + padded;
  const tt_bf16 *q = (const tt_bf16 *)f->q + at, *dout = (const tt_bf16 *)k->dout + out_at;
  const tt_bf16 *out = (const tt_bf16 *)f->out + out_at;
  pack_turned(s->q_turned, q, f->q_row, L, E);
  pack_paired(s->q_paired, q, f->q_row, L, padded, E);
  pack_turned(s->dout_turned, dout, H * E, L, E);
  pack_paired(s->dout_paired, dout, H * E, L, padded, E);
  pack_paired(s->k_paired, (const tt_bf16 *)f->k + at, f->kv_row, L, keys_up, E);
  memset(s->dq, 0, size * sizeof *s->dq);
  for (size_t i = 0; i < padded; i++) {
    size_t begin, end;
    const size_t row = smaller(i, L - 1);
    tt_mask_interval(&f->spec, row, &begin, &end);
    s->begin[i] = (int32_t)begin;
    s->end[i] = (int32_t)smaller(end, L);
    s->lse[i] = i < L ? f->lse[(b * H + h) * L + i] * LOG2E : -MASKED; /* beyond: P is 0 */
    s->D[i] = row_dot(dout + row * H * E, out + row * H * E, E);
  }
}

static void backward_head(const struct tt_k_attention_backward *k, size_t b, size_t h) {
  const struct tt_k_attention *f = &k->forward;
  const size_t E = f->head, L = f->spec.length, at = b * f->q_batch + h * E;
  const tt_bf16 *keys = (const tt_bf16 *)f->k + at, *values = (const tt_bf16 *)f->v + at;
  const float scale = 1 / sqrtf((float)E);
  struct backward_head s;
  prepare(&s, k, b, h);
  struct backward_tile tile;
  tt_bf16 k_rows[KEYS * 128], v_rows[KEYS * 128];
  float dk[KEYS * 128] __attribute__((aligned(64))), dv[KEYS * 128] __attribute__((aligned(64)));
  float scores[6 * QUERIES] __attribute__((aligned(64)));
  float dp[6 * QUERIES] __attribute__((aligned(64)));
  for (size_t j = 0; j < L; j += KEYS) {
    const size_t n_block = smaller(KEYS, round_up(L - j, ROWS));
    for (size_t r = 0; r < n_block; r += ROWS) {
      copy_rows(k_rows + r * E, keys, f->kv_row, j + r, L, E);
      copy_rows(v_rows + r * E, values, f->kv_row, j + r, L, E);
    }
    memset(dk, 0, n_block * E * sizeof *dk);
    memset(dv, 0, n_block * E * sizeof *dv);
    if (h + 1 < f->spec.heads) {
      const size_t H = f->spec.heads, out_at = b * L * H * E + (h + 1) * E;
      look_ahead((const tt_bf16 *)f->q + at + E, f->q_row, j, KEYS, L, E);
      look_ahead(keys + E, f->kv_row, j, KEYS, L, E);
      look_ahead(values + E, f->kv_row, j, KEYS, L, E);
      look_ahead((const tt_bf16 *)k->dout + out_at, H * E, j, KEYS, L, E);
      look_ahead((const tt_bf16 *)f->out + out_at, H * E, j, KEYS, L, E);
    }
    for (size_t i = 0; i < s.padded; i += QUERIES) {
      const size_t i1 = i + QUERIES - 1;
      if (j + n_block <= (size_t)s.begin[i] || j >= (size_t)s.end[i1])
        continue; /* nobody sees these keys */
      /* Nor those from the last query's end on. */
      const size_t n = smaller(n_block, round_up((size_t)s.end[i1] - j, ROWS)), last = j + n - 1;
      const bool inside = (size_t)s.begin[i1] <= j && last < (size_t)s.end[i];
      for (size_t r = 0; r < n; r += 6) {
        struct tt_tile t = {.a = k_rows + r * E,
                            .a_row = E * 2,
                            .a_pair = 4,
                            .b = s.q_turned + i * E,
                            .b_pair = 256,
                            .pairs = E / 2,
                            .c = scores,
                            .c_row = QUERIES};
        tile_6x4(&t);
        t.a = v_rows + r * E;
        t.b = s.dout_turned + i * E;
        t.c = dp;
        tile_6x4(&t);
        softmax_backward(&tile, r, scores, dp, s.lse + i, s.D + i, inside ? NULL : s.begin + i,
                         inside ? NULL : s.end + i, (int32_t)(j + r), scale * LOG2E);
      }
      for (size_t r = 0; r < n; r += ROWS) {
        strip_product(E, tile.p + r * QUERIES, QUERIES, s.dout_paired + i * E, QUERIES / 2,
                      dv + r * E, 1, NULL);
        strip_product(E, tile.ds + r * QUERIES, QUERIES, s.q_paired + i * E, QUERIES / 2,
                      dk + r * E, 1, NULL);
      }
      for (size_t e = 0; e < E; e += 4)
        tile_4x4(&(struct tt_tile){.a = s.k_paired + j * E + 2 * e,
                                   .a_row = 4,
                                   .a_pair = E * 4,
                                   .b = tile.paired,
                                   .b_pair = QUERIES * 4,
                                   .pairs = n / 2,
                                   .c = s.dq + e * s.padded + i,
                                   .c_row = s.padded,
                                   .start = 1});
    }
    for (size_t r = 0; r < n_block && j + r < L; r++) {
      write_row((tt_bf16 *)k->dk + at + (j + r) * f->kv_row, dk + r * E, E, scale);
      write_row((tt_bf16 *)k->dv + at + (j + r) * f->kv_row, dv + r * E, E, 1);
    }
  }
  write_turned((tt_bf16 *)k->dq + at, f->q_row, s.dq, s.padded, L, E, scale);
}

void tt_simd_attention_backward(const struct tt_k_attention_backward *k) {
  if (k->forward.dtype != TT_BF16 || !width_fits(k->forward.head)) {
    tt_loop_attention_backward(k);
    return;
  }
  const size_t H = k->forward.spec.heads, tasks = k->forward.spec.batch * H;
  const int chunk = heads_per_task(k->forward.spec.batch, H);
#pragma omp parallel for schedule(dynamic, chunk) if (tasks > 1)
  for (size_t t = 0; t < tasks; t++)
    backward_head(k, t / H, t % H);
}

#endif
