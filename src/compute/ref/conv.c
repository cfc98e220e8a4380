/* Reference convolution and group norm. */
#include "compute/ref/ref.h"

#define EPSILON 1e-5f

/* The input position under a tap, as an unsigned number: at least k->length when it is outside. */
static size_t under(const struct tt_k_conv1d *k, size_t i, size_t tap) {
  return i * k->stride + tap - (k->kernel - 1) / 2;
}

void tt_ref_conv1d_forward(const struct tt_k_conv1d *k) {
  const size_t in = k->weight->cols / k->kernel, out = k->weight->rows;
  for (size_t b = 0; b < k->batch; b++)
    for (size_t i = 0; i < k->out_length; i++)
      for (size_t o = 0; o < out; o++) {
        const size_t to = (b * k->out_length + i) * out + o;
        float sum = k->bias ? k->bias[o] : 0;
        for (size_t tap = 0; tap < k->kernel; tap++) {
          const size_t from = under(k, i, tap);
          for (size_t j = 0; from < k->length && j < in; j++)
            sum += ref_get(k->x, k->dtype, (b * k->length + from) * in + j) *
                   ref_weight(k->weight, k->dtype, (o * k->kernel + tap) * in + j);
        }
        if (k->act != TT_ACT_NONE) {
          if (k->pre)
            ref_put(k->pre, k->dtype, to, sum);
          sum = ref_act(sum, k->act);
        }
        ref_put(k->y, k->dtype, to, sum);
      }
}

void tt_ref_conv1d_backward(const struct tt_k_conv1d_backward *k) {
  const struct tt_k_conv1d *f = &k->forward;
  const size_t in = f->weight->cols / f->kernel, out = f->weight->rows;
  for (size_t at = 0; f->act != TT_ACT_NONE && at < f->batch * f->out_length * out; at++)
    ref_put(k->dy, f->dtype, at,
            ref_get(k->dy, f->dtype, at) * ref_act_slope(ref_get(f->pre, f->dtype, at), f->act));
  for (size_t b = 0; b < f->batch; b++)
    for (size_t i = 0; i < f->out_length; i++)
      for (size_t o = 0; o < out; o++) {
        const float dz = ref_get(k->dy, f->dtype, (b * f->out_length + i) * out + o);
        if (k->bias_grad)
          k->bias_grad[o] += dz;
        for (size_t tap = 0; tap < f->kernel; tap++) {
          const size_t from = under(f, i, tap);
          for (size_t j = 0; from < f->length && j < in; j++)
            k->weight_grad[(o * f->kernel + tap) * in + j] +=
                dz * ref_get(f->x, f->dtype, (b * f->length + from) * in + j);
        }
      }
  if (!k->dx)
    return;
  for (size_t b = 0; b < f->batch; b++)
    for (size_t from = 0; from < f->length; from++)
      for (size_t j = 0; j < in; j++) {
        const size_t to = (b * f->length + from) * in + j;
        float sum = k->dx_accumulate ? ref_get(k->dx, f->dtype, to) : 0;
        for (size_t i = 0; i < f->out_length; i++)
          for (size_t tap = 0; tap < f->kernel; tap++)
            for (size_t o = 0; under(f, i, tap) == from && o < out; o++)
              sum += ref_get(k->dy, f->dtype, (b * f->out_length + i) * out + o) *
                     ref_weight(f->weight, f->dtype, (o * f->kernel + tap) * in + j);
        ref_put(k->dx, f->dtype, to, sum);
      }
}

/* ---- group norm ---- */

/* Element e of group g of sequence b: its place in x. */
static size_t element(const struct tt_k_group_norm *k, size_t b, size_t g, size_t e) {
  const size_t width = k->d / k->groups;
  return (b * k->length + e / width) * k->d + g * width + e % width;
}

void tt_ref_group_norm_forward(const struct tt_k_group_norm *k) {
  const size_t n = k->length * (k->d / k->groups);
  for (size_t b = 0; b < k->batch; b++)
    for (size_t g = 0; g < k->groups; g++) {
      float mean = 0, variance = 0;
      for (size_t e = 0; e < n; e++)
        mean += ref_get(k->x, k->dtype, element(k, b, g, e)) / (float)n;
      for (size_t e = 0; e < n; e++) {
        float centred = ref_get(k->x, k->dtype, element(k, b, g, e)) - mean;
        variance += centred * centred / (float)n;
      }
      const float rstd = 1 / sqrtf(variance + EPSILON);
      k->mean[b * k->groups + g] = mean;
      k->rstd[b * k->groups + g] = rstd;
      for (size_t e = 0; e < n; e++) {
        const size_t at = element(k, b, g, e), j = at % k->d;
        float normal = (ref_get(k->x, k->dtype, at) - mean) * rstd;
        ref_put(k->y, k->dtype, at, ref_act(normal * k->gamma[j] + k->beta[j], k->act));
      }
    }
}

/* With n the normalised element, dz = dy act', g = dz gamma: dx = rstd (g - mean(g) - n mean(g n)),
 * means over the group. */
void tt_ref_group_norm_backward(const struct tt_k_group_norm_backward *k) {
  const struct tt_k_group_norm *f = &k->forward;
  const size_t n = f->length * (f->d / f->groups);
  for (size_t b = 0; b < f->batch; b++)
    for (size_t g = 0; g < f->groups; g++) {
      const float mean = f->mean[b * f->groups + g], rstd = f->rstd[b * f->groups + g];
      float mean_g = 0, mean_gn = 0;
      for (int pass = 0; pass < 2; pass++)
        for (size_t e = 0; e < n; e++) {
          const size_t at = element(f, b, g, e), j = at % f->d;
          float normal = (ref_get(f->x, f->dtype, at) - mean) * rstd;
          float dz = ref_get(k->dy, f->dtype, at) *
                     ref_act_slope(normal * f->gamma[j] + f->beta[j], f->act);
          if (pass == 0) {
            k->dgamma[j] += dz * normal;
            k->dbeta[j] += dz;
            mean_g += dz * f->gamma[j] / (float)n;
            mean_gn += dz * f->gamma[j] * normal / (float)n;
          } else if (k->dx) {
            float dx = rstd * (dz * f->gamma[j] - mean_g - normal * mean_gn);
            ref_put(k->dx, f->dtype, at,
                    dx + (k->dx_accumulate ? ref_get(k->dx, f->dtype, at) : 0));
          }
        }
    }
}
