/* Reference residual + layer norm + modulation. */
#include "compute/ref/ref.h"

#define EPSILON 1e-5f

/* Element j of a modulation row, or `otherwise`. */
static float modulation(const struct tt_k_norm *k, const void *p, size_t row, size_t j,
                        float otherwise) {
  return p ? ref_get(p, k->dtype, row / k->group * k->mod_stride + j) : otherwise;
}

void tt_ref_norm_forward(const struct tt_k_norm *k) {
  const size_t d = k->d;
  for (size_t i = 0; i < k->rows; i++) {
    const void *h = k->x;
    if (k->residual) {
      for (size_t j = 0; j < d; j++)
        ref_put(k->h, k->dtype, i * d + j,
                ref_get(k->x, k->dtype, i * d + j) +
                    modulation(k, k->gate, i, j, 1) * ref_get(k->residual, k->dtype, i * d + j));
      h = k->h;
    }
    float mean = 0, variance = 0;
    for (size_t j = 0; j < d; j++)
      mean += ref_get(h, k->dtype, i * d + j) / (float)d;
    for (size_t j = 0; j < d; j++) {
      float centred = ref_get(h, k->dtype, i * d + j) - mean;
      variance += centred * centred / (float)d;
    }
    k->mean[i] = mean;
    k->rstd[i] = 1 / sqrtf(variance + EPSILON);
    for (size_t j = 0; j < d; j++) {
      float n = (ref_get(h, k->dtype, i * d + j) - mean) * k->rstd[i];
      float m = n * (k->gamma ? k->gamma[j] : 1) + (k->beta ? k->beta[j] : 0);
      ref_put(k->y, k->dtype, i * d + j,
              m * (1 + modulation(k, k->scale, i, j, 0)) + modulation(k, k->shift, i, j, 0));
    }
  }
}

/* With n the normalised row and g = dy (1 + scale) gamma:
 *   dh = rstd (g - mean(g) - n mean(g n)) + dh from elsewhere. */
void tt_ref_norm_backward(const struct tt_k_norm_backward *k) {
  const struct tt_k_norm *f = &k->forward;
  const size_t d = f->d, groups = f->rows / f->group;
  for (size_t q = 0; q < groups * d; q++) {
    if (k->dgate)
      k->dgate[q] = 0;
    if (k->dshift)
      k->dshift[q] = 0;
    if (k->dscale)
      k->dscale[q] = 0;
  }
  for (size_t i = 0; i < f->rows; i++) {
    float mean_g = 0, mean_gn = 0;
    for (int pass = 0; pass < 2; pass++)
      for (size_t j = 0; j < d; j++) {
        size_t at = i * d + j, grouped = i / f->group * d + j;
        float dy = k->dy ? ref_get(k->dy, f->dtype, at) : 0;
        float n = (ref_get(f->h, f->dtype, at) - f->mean[i]) * f->rstd[i];
        float gamma = f->gamma ? f->gamma[j] : 1, beta = f->beta ? f->beta[j] : 0;
        float g = dy * (1 + modulation(f, f->scale, i, j, 0)) * gamma;
        if (pass == 0) {
          mean_g += g / (float)d;
          mean_gn += g * n / (float)d;
          if (k->dgamma)
            k->dgamma[j] += dy * (1 + modulation(f, f->scale, i, j, 0)) * n;
          if (k->dbeta)
            k->dbeta[j] += dy * (1 + modulation(f, f->scale, i, j, 0));
          if (k->dshift)
            k->dshift[grouped] += dy;
          if (k->dscale)
            k->dscale[grouped] += dy * (n * gamma + beta);
          continue;
        }
        float dh = f->rstd[i] * (g - mean_g - n * mean_gn);
        if (k->dh)
          dh += ref_get(k->dh, f->dtype, at);
        if (k->dgate)
          k->dgate[grouped] += dh * ref_get(f->residual, f->dtype, at);
        if (k->dr)
          ref_put(k->dr, f->dtype, at,
                  dh * modulation(f, f->gate, i, j, 1) +
                      (k->dr_accumulate ? ref_get(k->dr, f->dtype, at) : 0));
        if (k->dx)
          ref_put(k->dx, f->dtype, at, dh + (k->dx_accumulate ? ref_get(k->dx, f->dtype, at) : 0));
      }
  }
}
