/* Attention in tiles of queries and keys with a running softmax (FlashAttention-2, Dao 2023), in
 * f32 whatever the dtype. Forward: each task is a tile of queries of one head. Backward: each task
 * is a whole head, which alone writes its gradients. */
#include <math.h>

#include "compute/loops/loops.h"
#include "compute/scratch.h"
#include "compute/vector_math.h"

#define TILE ((size_t)64) /* queries and keys per tile */

/* C[m, n] += A[m, k] B[k, n], rows of TILE or `width` floats. */
static void product(float *c, size_t c_row, const float *a, size_t a_row, const float *b,
                    size_t b_row, size_t m, size_t n, size_t k) {
  for (size_t i = 0; i < m; i++) {
    float *out = c + i * c_row;
    size_t p = 0;
    for (; p + 4 <= k; p += 4) {
      const float *x = a + i * a_row + p, *y = b + p * b_row;
      for (size_t j = 0; j < n; j++)
        out[j] +=
            x[0] * y[j] + x[1] * y[b_row + j] + x[2] * y[2 * b_row + j] + x[3] * y[3 * b_row + j];
    }
    for (; p < k; p++)
      for (size_t j = 0; j < n; j++)
        out[j] += a[i * a_row + p] * b[p * b_row + j];
  }
}

static void transpose(float *out, size_t out_row, const float *in, size_t in_row, size_t rows,
                      size_t cols) {
  for (size_t i = 0; i < rows; i++)
    for (size_t j = 0; j < cols; j++)
      out[j * out_row + i] = in[i * in_row + j];
}

/* Rows first..first+n of one head as f32 [n, head]. */
static void read_rows(float *out, const void *base, enum tt_dtype dtype, size_t head, size_t row,
                      size_t first, size_t n, size_t offset) {
  for (size_t i = 0; i < n; i++)
    tt_convert_to_f32(out + i * head,
                      (const char *)base + (offset + (first + i) * row) * tt_dtype_size(dtype),
                      dtype, head);
}

static void write_rows(void *base, enum tt_dtype dtype, const float *in, size_t head, size_t row,
                       size_t first, size_t n, size_t offset) {
  for (size_t i = 0; i < n; i++)
    tt_convert_from_f32((char *)base + (offset + (first + i) * row) * tt_dtype_size(dtype), dtype,
                        in + i * head, head);
}

static size_t smaller(size_t a, size_t b) {
  return a < b ? a : b;
}

/* The keys that queries first..first+n-1 of the tile see between them. */
static void tile_keys(const struct tt_k_attention *k, size_t first, size_t n, size_t *begin,
                      size_t *end) {
  size_t unused;
  tt_mask_interval(&k->spec, k->query_first + first, begin, &unused);
  tt_mask_interval(&k->spec, k->query_first + first + n - 1, &unused, end);
  *end = smaller(*end, k->n_keys);
}

/* Scores outside the mask become `value`. */
static void apply_mask(const struct tt_k_attention *k, float *s, size_t first, size_t n,
                       size_t key_first, size_t n_keys, float value) {
  if (k->spec.mask == TT_MASK_NONE)
    return;
  for (size_t i = 0; i < n; i++) {
    size_t begin, end;
    tt_mask_interval(&k->spec, k->query_first + first + i, &begin, &end);
    for (size_t j = 0; j < n_keys; j++)
      if (key_first + j < begin || key_first + j >= end)
        s[i * TILE + j] = value;
  }
}

static void forward_tile(const struct tt_k_attention *k, size_t b, size_t h, size_t first) {
  const size_t E = k->head, L = k->spec.length, n = smaller(TILE, L - first);
  const float scale = 1 / sqrtf((float)E);
  float *q = tt_scratch(TT_SCRATCH_A, (5 * TILE * E + TILE * TILE) * sizeof(float));
  float *keys = q + TILE * E, *keys_t = keys + TILE * E, *v = keys_t + TILE * E;
  float *out = v + TILE * E, *s = out + TILE * E;
  float max[TILE], sum[TILE];
  read_rows(q, k->q, k->dtype, E, k->q_row, first, n, b * k->q_batch + h * E);
  memset(out, 0, n * E * sizeof *out);
  for (size_t i = 0; i < n; i++) {
    max[i] = -INFINITY;
    sum[i] = 0;
    for (size_t e = 0; e < E; e++)
      q[i * E + e] *= scale;
  }
  size_t begin, end;
  tile_keys(k, first, n, &begin, &end);
  for (size_t j = begin / TILE * TILE; j < end; j += TILE) {
    size_t m = smaller(TILE, end - j);
    read_rows(keys, k->k, k->dtype, E, k->kv_row, j, m, b * k->kv_batch + h * E);
    read_rows(v, k->v, k->dtype, E, k->kv_row, j, m, b * k->kv_batch + h * E);
    transpose(keys_t, TILE, keys, E, m, E);
    memset(s, 0, TILE * TILE * sizeof *s);
    product(s, TILE, q, E, keys_t, TILE, n, m, E);
    apply_mask(k, s, first, n, j, m, -INFINITY);
    for (size_t i = 0; i < n; i++) {
      float *row = s + i * TILE, top = max[i], part = 0;
      for (size_t c = 0; c < m; c++)
        top = row[c] > top ? row[c] : top;
      if (top == -INFINITY) { /* nothing of this tile is seen */
        memset(row, 0, m * sizeof *row);
        continue;
      }
      float shrink = max[i] == -INFINITY ? 0 : tt_exp(max[i] - top);
      for (size_t c = 0; c < m; c++)
        row[c] = row[c] == -INFINITY ? 0 : tt_exp(row[c] - top);
      for (size_t c = 0; c < m; c++)
        part += row[c];
      sum[i] = sum[i] * shrink + part;
      max[i] = top;
      for (size_t e = 0; e < E; e++)
        out[i * E + e] *= shrink;
    }
    product(out, E, s, TILE, v, E, n, E, m);
  }
  for (size_t i = 0; i < n; i++) {
    for (size_t e = 0; e < E; e++)
      out[i * E + e] /= sum[i];
    if (k->lse)
      k->lse[(b * k->spec.heads + h) * L + first + i] = max[i] + logf(sum[i]);
  }
  write_rows(k->out, k->dtype, out, E, k->spec.heads * E, first, n,
             b * L * k->spec.heads * E + h * E);
}

void tt_loop_attention_forward(const struct tt_k_attention *k) {
  const size_t tiles = (k->spec.length + TILE - 1) / TILE;
  const size_t tasks = k->spec.batch * k->spec.heads * tiles;
#pragma omp parallel for schedule(dynamic, 1) if (tasks > 1)
  for (size_t t = 0; t < tasks; t++)
    forward_tile(k, t / tiles / k->spec.heads, t / tiles % k->spec.heads, t % tiles * TILE);
}

static void backward_head(const struct tt_k_attention_backward *k, size_t b, size_t h) {
  const struct tt_k_attention *f = &k->forward;
  const size_t E = f->head, L = f->spec.length, H = f->spec.heads;
  const size_t at = b * f->q_batch + h * E, out_at = b * L * H * E + h * E;
  const float scale = 1 / sqrtf((float)E);
  float *dk = tt_scratch(TT_SCRATCH_A, 2 * L * E * sizeof *dk), *dv = dk + L * E;
  memset(dk, 0, 2 * L * E * sizeof *dk);
  float *q = tt_scratch(TT_SCRATCH_B, (8 * TILE * E + 4 * TILE * TILE) * sizeof *q);
  float *dout = q + TILE * E, *dq = dout + TILE * E, *keys = dq + TILE * E, *v = keys + TILE * E;
  float *keys_t = v + TILE * E, *v_t = keys_t + TILE * E, *out = v_t + TILE * E;
  float *p = out + TILE * E, *ds = p + TILE * TILE, *p_t = ds + TILE * TILE,
        *ds_t = p_t + TILE * TILE;
  for (size_t first = 0; first < L; first += TILE) {
    const size_t n = smaller(TILE, L - first);
    const float *lse = f->lse + (b * H + h) * L + first;
    float D[TILE];
    read_rows(q, f->q, f->dtype, E, f->q_row, first, n, at);
    read_rows(dout, k->dout, f->dtype, E, H * E, first, n, out_at);
    read_rows(out, f->out, f->dtype, E, H * E, first, n, out_at);
    memset(dq, 0, n * E * sizeof *dq);
    for (size_t i = 0; i < n; i++) {
      D[i] = 0;
      for (size_t e = 0; e < E; e++)
        D[i] += dout[i * E + e] * out[i * E + e];
    }
    size_t begin, end;
    tile_keys(f, first, n, &begin, &end);
    for (size_t j = begin / TILE * TILE; j < end; j += TILE) {
      const size_t m = smaller(TILE, end - j);
      read_rows(keys, f->k, f->dtype, E, f->kv_row, j, m, at);
      read_rows(v, f->v, f->dtype, E, f->kv_row, j, m, at);
      transpose(keys_t, TILE, keys, E, m, E);
      transpose(v_t, TILE, v, E, m, E);
      memset(p, 0, 2 * TILE * TILE * sizeof *p); /* and ds */
      product(p, TILE, q, E, keys_t, TILE, n, m, E);
      product(ds, TILE, dout, E, v_t, TILE, n, m, E);
      for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < m; c++)
          p[i * TILE + c] = tt_exp(p[i * TILE + c] * scale - lse[i]);
      apply_mask(f, p, first, n, j, m, 0);
      for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < m; c++)
          ds[i * TILE + c] = p[i * TILE + c] * (ds[i * TILE + c] - D[i]) * scale;
      transpose(p_t, TILE, p, TILE, n, m);
      transpose(ds_t, TILE, ds, TILE, n, m);
      product(dv + j * E, E, p_t, TILE, dout, E, m, E, n);
      product(dk + j * E, E, ds_t, TILE, q, E, m, E, n);
      product(dq, E, ds, TILE, keys, E, n, E, m);
    }
    write_rows(k->dq, f->dtype, dq, E, f->q_row, first, n, at);
  }
  write_rows(k->dk, f->dtype, dk, E, f->q_row, 0, L, at);
  write_rows(k->dv, f->dtype, dv, E, f->q_row, 0, L, at);
}

void tt_loop_attention_backward(const struct tt_k_attention_backward *k) {
  const size_t H = k->forward.spec.heads, tasks = k->forward.spec.batch * H;
#pragma omp parallel for schedule(dynamic, 1) if (tasks > 1)
  for (size_t t = 0; t < tasks; t++)
    backward_head(k, t / H, t % H);
}
