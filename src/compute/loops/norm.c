/* Residual + layer norm + modulation, row by row. Sums over rows (of gamma, beta, and of the
 * modulation per group) are taken over units of rows that depend on shapes only, then added in
 * order. */
#include <math.h>

#include "compute/block.h"
#include "compute/loops/loops.h"
#include "compute/scratch.h"

#define EPSILON 1e-5f
#define UNIT_ROWS ((size_t)128)

/* Modulation rows of one group as f32; NULL where there is none. */
struct mod_rows {
  float *gate, *shift, *scale; /* scale: 1 + scale */
};

static struct mod_rows read_mod(const struct tt_k_norm *k, size_t group, float *buffer) {
  struct mod_rows m = {0};
  const size_t skip = group * k->mod_stride * tt_dtype_size(k->dtype);
  if (k->gate)
    tt_convert_to_f32(m.gate = buffer, (const char *)k->gate + skip, k->dtype, k->d);
  if (k->shift)
    tt_convert_to_f32(m.shift = buffer + k->d, (const char *)k->shift + skip, k->dtype, k->d);
  if (k->scale) {
    tt_convert_to_f32(m.scale = buffer + 2 * k->d, (const char *)k->scale + skip, k->dtype, k->d);
    for (size_t j = 0; j < k->d; j++)
      m.scale[j] += 1;
  }
  return m;
}

static void forward_rows(const struct tt_k_norm *k, size_t first, size_t end) {
  const size_t d = k->d, size = tt_dtype_size(k->dtype);
  float *buffer = tt_scratch(TT_SCRATCH_A, 5 * d * sizeof(float));
  float *h = buffer + 3 * d, *r = buffer + 4 * d;
  struct mod_rows mod = {0};
  size_t group = SIZE_MAX;
  for (size_t i = first; i < end; i++) {
    if (i / k->group != group)
      mod = read_mod(k, group = i / k->group, buffer);
    tt_convert_to_f32(h, (const char *)k->x + i * d * size, k->dtype, d);
    if (k->residual) {
      tt_convert_to_f32(r, (const char *)k->residual + i * d * size, k->dtype, d);
      if (mod.gate)
        for (size_t j = 0; j < d; j++)
          h[j] += mod.gate[j] * r[j];
      else
        for (size_t j = 0; j < d; j++)
          h[j] += r[j];
      /* Norm what is kept, not what it was before rounding: the backward sees the same. */
      tt_convert_from_f32((char *)k->h + i * d * size, k->dtype, h, d);
      tt_convert_to_f32(h, (const char *)k->h + i * d * size, k->dtype, d);
    }
    float sum = 0, squares = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t j = 0; j < d; j++)
      sum += h[j];
    const float mean = sum / (float)d;
#pragma omp simd reduction(+ : squares)
    for (size_t j = 0; j < d; j++)
      squares += (h[j] - mean) * (h[j] - mean);
    const float rstd = 1 / sqrtf(squares / (float)d + EPSILON);
    k->mean[i] = mean;
    k->rstd[i] = rstd;
    for (size_t j = 0; j < d; j++)
      h[j] = (h[j] - mean) * rstd;
    if (k->gamma)
      for (size_t j = 0; j < d; j++)
        h[j] *= k->gamma[j];
    if (k->beta)
      for (size_t j = 0; j < d; j++)
        h[j] += k->beta[j];
    if (mod.scale)
      for (size_t j = 0; j < d; j++)
        h[j] *= mod.scale[j];
    if (mod.shift)
      for (size_t j = 0; j < d; j++)
        h[j] += mod.shift[j];
    tt_convert_from_f32((char *)k->y + i * d * size, k->dtype, h, d);
  }
}

void tt_loop_norm_forward(const struct tt_k_norm *k) {
  size_t units = (k->rows + UNIT_ROWS - 1) / UNIT_ROWS;
#pragma omp parallel for schedule(static) if (k->rows * k->d > TT_PARALLEL_ELEMENTS)
  for (size_t u = 0; u < units; u++) {
    size_t end = (u + 1) * UNIT_ROWS;
    forward_rows(k, u * UNIT_ROWS, end < k->rows ? end : k->rows);
  }
}

/* One unit of rows; sums: gamma's and beta's [2, d], or NULL. See ref/norm.c for the formulas. */
static void backward_rows(const struct tt_k_norm_backward *k, size_t first, size_t end,
                          float *sums) {
  const struct tt_k_norm *f = &k->forward;
  const size_t d = f->d, size = tt_dtype_size(f->dtype);
  float *buffer = tt_scratch(TT_SCRATCH_A, 6 * d * sizeof(float));
  float *n = buffer + 3 * d, *g = buffer + 4 * d, *t = buffer + 5 * d;
  struct mod_rows mod = {0};
  size_t group = SIZE_MAX;
  if (sums)
    memset(sums, 0, 2 * d * sizeof *sums);
  for (size_t i = first; i < end; i++) {
    const size_t at = i * d * size;
    if (i / f->group != group)
      mod = read_mod(f, group = i / f->group, buffer);
    const float mean = f->mean[i], rstd = f->rstd[i];
    tt_convert_to_f32(n, (const char *)f->h + at, f->dtype, d);
    for (size_t j = 0; j < d; j++)
      n[j] = (n[j] - mean) * rstd;
    if (k->dy)
      tt_convert_to_f32(g, (const char *)k->dy + at, f->dtype, d);
    else
      memset(g, 0, d * sizeof *g);
    if (k->dshift)
      for (size_t j = 0; j < d; j++)
        k->dshift[group * d + j] += g[j];
    if (k->dscale)
      for (size_t j = 0; j < d; j++)
        k->dscale[group * d + j] +=
            g[j] * (n[j] * (f->gamma ? f->gamma[j] : 1) + (f->beta ? f->beta[j] : 0));
    if (mod.scale)
      for (size_t j = 0; j < d; j++)
        g[j] *= mod.scale[j];
    if (sums)
      for (size_t j = 0; j < d; j++) {
        sums[j] += g[j] * n[j];
        sums[d + j] += g[j];
      }
    if (f->gamma)
      for (size_t j = 0; j < d; j++)
        g[j] *= f->gamma[j];
    float mean_g = 0, mean_gn = 0;
#pragma omp simd reduction(+ : mean_g, mean_gn)
    for (size_t j = 0; j < d; j++) {
      mean_g += g[j];
      mean_gn += g[j] * n[j];
    }
    mean_g /= (float)d;
    mean_gn /= (float)d;
    for (size_t j = 0; j < d; j++)
      g[j] = rstd * (g[j] - mean_g - n[j] * mean_gn);
    if (k->dh) {
      tt_convert_to_f32(t, (const char *)k->dh + at, f->dtype, d);
      for (size_t j = 0; j < d; j++)
        g[j] += t[j];
    }
    if (k->dgate) {
      tt_convert_to_f32(t, (const char *)f->residual + at, f->dtype, d);
      for (size_t j = 0; j < d; j++)
        k->dgate[group * d + j] += g[j] * t[j];
    }
    if (k->dr) {
      for (size_t j = 0; j < d; j++)
        n[j] = g[j] * (mod.gate ? mod.gate[j] : 1);
      if (k->dr_accumulate) {
        tt_convert_to_f32(t, (const char *)k->dr + at, f->dtype, d);
        for (size_t j = 0; j < d; j++)
          n[j] += t[j];
      }
      tt_convert_from_f32((char *)k->dr + at, f->dtype, n, d);
    }
    if (!k->dx)
      continue;
    if (k->dx_accumulate) {
      tt_convert_to_f32(t, (const char *)k->dx + at, f->dtype, d);
      for (size_t j = 0; j < d; j++)
        g[j] += t[j];
    }
    tt_convert_from_f32((char *)k->dx + at, f->dtype, g, d);
  }
}

void tt_loop_norm_backward(const struct tt_k_norm_backward *k) {
  const struct tt_k_norm *f = &k->forward;
  const size_t d = f->d, groups = f->rows / f->group;
  const bool grouped = k->dgate || k->dshift || k->dscale;
  float *const grouped_sums[] = {k->dgate, k->dshift, k->dscale};
  for (int i = 0; i < 3; i++)
    if (grouped_sums[i])
      memset(grouped_sums[i], 0, groups * d * sizeof(float));
  size_t unit = grouped ? f->group : UNIT_ROWS;
  size_t units = (f->rows + unit - 1) / unit;
  bool affine = k->dgamma || k->dbeta;
  float *sums = affine ? tt_scratch(TT_SCRATCH_B, units * 2 * d * sizeof *sums) : NULL;
#pragma omp parallel for schedule(static) if (f->rows * d > TT_PARALLEL_ELEMENTS)
  for (size_t u = 0; u < units; u++) {
    size_t end = (u + 1) * unit;
    backward_rows(k, u * unit, end < f->rows ? end : f->rows, sums ? sums + u * 2 * d : NULL);
  }
  for (size_t u = 0; affine && u < units; u++)
    for (size_t j = 0; j < d; j++) {
      if (k->dgamma)
        k->dgamma[j] += sums[u * 2 * d + j];
      if (k->dbeta)
        k->dbeta[j] += sums[u * 2 * d + d + j];
    }
}
