/* Group norm by rows: per-channel sums of a sequence are taken in blocks of rows, each block by one
 * thread, and added up in double in the order of the blocks; the rest is one multiply and add per
 * element. */
#include <math.h>

#include "compute/block.h"
#include "compute/loops/loops.h"
#include "compute/scratch.h"

#define EPSILON 1e-5
#define ROWS ((size_t)64) /* of a block of partial sums */

static size_t blocks_of(const struct tt_k_group_norm *k) {
  return (k->length + ROWS - 1) / ROWS;
}

/* Row i of a matrix [.., d]. */
static size_t offset(const struct tt_k_group_norm *k, size_t row) {
  return row * k->d * tt_dtype_size(k->dtype);
}

/* Adds the partial sums [blocks, 2, d] of a sequence up into out[2, d]. */
static void add_up(const float *partial, size_t blocks, size_t d, double *out) {
  memset(out, 0, 2 * d * sizeof *out);
  for (size_t block = 0; block < blocks; block++)
    for (size_t j = 0; j < 2 * d; j++)
      out[j] += (double)partial[block * 2 * d + j];
}

/* Working memory of the calling thread: partial sums, then 2 d doubles, then 4 d floats for the
 * coefficients of each channel; row buffers are each thread's own. */
struct work {
  float *partial, *coefficients;
  double *sums;
};

static struct work work_of(const struct tt_k_group_norm *k) {
  const size_t partial = k->batch * blocks_of(k) * 2 * k->d;
  char *p = tt_scratch(TT_SCRATCH_A,
                       (partial + k->batch * 4 * k->d) * sizeof(float) + 2 * k->d * sizeof(double));
  double *sums = (double *)(void *)p;
  float *floats = (float *)(void *)(p + 2 * k->d * sizeof(double));
  return (struct work){.sums = sums, .partial = floats, .coefficients = floats + partial};
}

/* a[j] x + b[j] of a row, in f32: what the activation is applied to. */
static void affine(float *z, const float *x, const float *a, const float *b, size_t d) {
  for (size_t j = 0; j < d; j++)
    z[j] = a[j] * x[j] + b[j];
}

/* Sequence b's coefficients: z = a x + b with a = rstd gamma, b = beta - mean a. */
static void channel_affine(const struct tt_k_group_norm *k, size_t b, float *a, float *shift) {
  const size_t width = k->d / k->groups;
  for (size_t j = 0; j < k->d; j++) {
    const size_t g = b * k->groups + j / width;
    a[j] = k->rstd[g] * k->gamma[j];
    shift[j] = k->beta[j] - k->mean[g] * a[j];
  }
}

static void statistics(const struct tt_k_group_norm *k, const struct work *w) {
  const size_t d = k->d, blocks = blocks_of(k), width = d / k->groups;
#pragma omp parallel for schedule(static) if (k->batch * k->length * d > TT_PARALLEL_ELEMENTS)
  for (size_t task = 0; task < k->batch * blocks; task++) {
    const size_t b = task / blocks, first = task % blocks * ROWS;
    const size_t end = first + ROWS < k->length ? first + ROWS : k->length;
    float *sum = w->partial + task * 2 * d, *square = sum + d;
    float *x = tt_scratch(TT_SCRATCH_B, d * sizeof *x);
    memset(sum, 0, 2 * d * sizeof *sum);
    for (size_t i = first; i < end; i++) {
      tt_convert_to_f32(x, (const char *)k->x + offset(k, b * k->length + i), k->dtype, d);
      for (size_t j = 0; j < d; j++) {
        sum[j] += x[j];
        square[j] += x[j] * x[j];
      }
    }
  }
  const double n = (double)(k->length * width);
  for (size_t b = 0; b < k->batch; b++) {
    add_up(w->partial + b * blocks * 2 * d, blocks, d, w->sums);
    for (size_t g = 0; g < k->groups; g++) {
      double sum = 0, square = 0;
      for (size_t j = g * width; j < (g + 1) * width; j++) {
        sum += w->sums[j];
        square += w->sums[d + j];
      }
      const double mean = sum / n, variance = fmax(square / n - mean * mean, 0);
      k->mean[b * k->groups + g] = (float)mean;
      k->rstd[b * k->groups + g] = (float)(1 / sqrt(variance + EPSILON));
    }
  }
}

void tt_loop_group_norm_forward(const struct tt_k_group_norm *k) {
  const size_t d = k->d;
  const struct work w = work_of(k);
  statistics(k, &w);
  for (size_t b = 0; b < k->batch; b++)
    channel_affine(k, b, w.coefficients + b * 2 * d, w.coefficients + b * 2 * d + d);
#pragma omp parallel for schedule(static) if (k->batch * k->length * d > TT_PARALLEL_ELEMENTS)
  for (size_t row = 0; row < k->batch * k->length; row++) {
    const float *a = w.coefficients + row / k->length * 2 * d;
    float *x = tt_scratch(TT_SCRATCH_B, d * sizeof *x);
    tt_convert_to_f32(x, (const char *)k->x + offset(k, row), k->dtype, d);
    affine(x, x, a, a + d, d);
    tt_activate_f32(x, k->act, d);
    tt_convert_from_f32((char *)k->y + offset(k, row), k->dtype, x, d);
  }
}

/* dz of a row into `dz`, with x the row and z scratch: [d] each. */
static void row_gradient(const struct tt_k_group_norm_backward *k, size_t row, const float *a,
                         float *x, float *z, float *dz) {
  const struct tt_k_group_norm *f = &k->forward;
  tt_convert_to_f32(x, (const char *)f->x + offset(f, row), f->dtype, f->d);
  tt_convert_to_f32(dz, (const char *)k->dy + offset(f, row), f->dtype, f->d);
  affine(z, x, a, a + f->d, f->d);
  tt_activate_backward_f32(dz, z, f->act, f->d);
}

/* Partial sums of dz and dz x, rows by blocks. */
static void gradient_sums(const struct tt_k_group_norm_backward *k, const struct work *w) {
  const struct tt_k_group_norm *f = &k->forward;
  const size_t d = f->d, blocks = blocks_of(f);
#pragma omp parallel for schedule(static) if (f->batch * f->length * d > TT_PARALLEL_ELEMENTS)
  for (size_t task = 0; task < f->batch * blocks; task++) {
    const size_t b = task / blocks, first = task % blocks * ROWS;
    const size_t end = first + ROWS < f->length ? first + ROWS : f->length;
    const float *a = w->coefficients + b * 4 * d;
    float *sum = w->partial + task * 2 * d, *product = sum + d;
    float *x = tt_scratch(TT_SCRATCH_B, 3 * d * sizeof *x), *z = x + d, *dz = z + d;
    memset(sum, 0, 2 * d * sizeof *sum);
    for (size_t i = first; i < end; i++) {
      row_gradient(k, b * f->length + i, a, x, z, dz);
      for (size_t j = 0; j < d; j++) {
        sum[j] += dz[j];
        product[j] += dz[j] * x[j];
      }
    }
  }
}

/* With n the normalised element and g = dz gamma, per channel of sequence b:
 *   dx = rstd (g - mean(g) - n mean(g n)) = a dz + p x + q
 * with p, q made of the group's means; also dgamma and dbeta. */
static void channel_gradients(const struct tt_k_group_norm_backward *k, const struct work *w,
                              size_t b) {
  const struct tt_k_group_norm *f = &k->forward;
  const size_t d = f->d, width = d / f->groups;
  const double n = (double)(f->length * width);
  float *p = w->coefficients + b * 4 * d + 2 * d, *q = p + d;
  add_up(w->partial + b * blocks_of(f) * 2 * d, blocks_of(f), d, w->sums);
  for (size_t g = 0; g < f->groups; g++) {
    const double mean = (double)f->mean[b * f->groups + g],
                 rstd = (double)f->rstd[b * f->groups + g];
    double mean_g = 0, mean_gn = 0;
    for (size_t j = g * width; j < (g + 1) * width; j++) {
      const double sum = w->sums[j], product = rstd * (w->sums[d + j] - mean * sum);
      mean_g += (double)f->gamma[j] * sum / n;
      mean_gn += (double)f->gamma[j] * product / n;
      k->dgamma[j] += (float)product;
      k->dbeta[j] += (float)sum;
    }
    for (size_t j = g * width; j < (g + 1) * width; j++) {
      p[j] = (float)(-rstd * rstd * mean_gn);
      q[j] = (float)(rstd * (rstd * mean * mean_gn - mean_g));
    }
  }
}

void tt_loop_group_norm_backward(const struct tt_k_group_norm_backward *k) {
  const struct tt_k_group_norm *f = &k->forward;
  const size_t d = f->d, size = tt_dtype_size(f->dtype);
  const struct work w = work_of(f);
  for (size_t b = 0; b < f->batch; b++)
    channel_affine(f, b, w.coefficients + b * 4 * d, w.coefficients + b * 4 * d + d);
  gradient_sums(k, &w);
  for (size_t b = 0; b < f->batch; b++)
    channel_gradients(k, &w, b);
  if (!k->dx)
    return;
#pragma omp parallel for schedule(static) if (f->batch * f->length * d > TT_PARALLEL_ELEMENTS)
  for (size_t row = 0; row < f->batch * f->length; row++) {
    const float *a = w.coefficients + row / f->length * 4 * d, *p = a + 2 * d, *q = p + d;
    float *x = tt_scratch(TT_SCRATCH_B, 3 * d * sizeof *x), *z = x + d, *dz = z + d;
    char *to = (char *)k->dx + row * d * size;
    row_gradient(k, row, a, x, z, dz);
    if (k->dx_accumulate)
      tt_convert_to_f32(z, to, f->dtype, d);
    else
      memset(z, 0, d * sizeof *z);
    for (size_t j = 0; j < d; j++)
      z[j] += a[j] * dz[j] + p[j] * x[j] + q[j];
    tt_convert_from_f32(to, f->dtype, z, d);
  }
}
