/* Reference products: one loop per sum, f32. */
#include "compute/ref/ref.h"

void tt_ref_linear_forward(const struct tt_k_linear *k) {
  const size_t in = k->weight->cols, out = k->weight->rows;
  for (size_t i = 0; i < k->rows; i++)
    for (size_t o = 0; o < out; o++) {
      float sum = k->bias ? k->bias[o] : 0;
      for (size_t j = 0; j < in; j++)
        sum += ref_get(k->x, k->dtype, i * in + j) * ref_weight(k->weight, k->dtype, o * in + j);
      if (k->act != TT_ACT_NONE) {
        if (k->pre)
          ref_put(k->pre, k->dtype, i * out + o, sum);
        sum = ref_act(sum, k->act);
      }
      ref_put(k->y, k->y_dtype, i * out + o, sum);
    }
}

void tt_ref_linear_backward(const struct tt_k_linear_backward *k) {
  const size_t in = k->weight->cols, out = k->weight->rows;
  if (k->act != TT_ACT_NONE)
    for (size_t i = 0; i < k->rows; i++)
      for (size_t o = 0; o < out; o++) {
        size_t at = i * k->dy_stride + o;
        ref_put(k->dy, k->dtype, at,
                ref_get(k->dy, k->dtype, at) *
                    ref_act_slope(ref_get(k->pre, k->dtype, at), k->act));
      }
  if (!k->dx)
    return;
  for (size_t i = 0; i < k->rows; i++)
    for (size_t j = 0; j < in; j++) {
      float sum = k->accumulate ? ref_get(k->dx, k->dtype, i * in + j) : 0;
      for (size_t o = 0; o < out; o++)
        sum += ref_get(k->dy, k->dtype, i * k->dy_stride + o) *
               ref_weight(k->weight, k->dtype, o * in + j);
      ref_put(k->dx, k->dtype, i * in + j, sum);
    }
}

void tt_ref_linear_weight(const struct tt_k_linear_weight *k) {
  for (size_t o = 0; o < k->out; o++) {
    for (size_t j = 0; j < k->in; j++) {
      float sum = 0;
      for (size_t i = 0; i < k->rows; i++)
        sum +=
            ref_get(k->dz, k->dtype, i * k->dz_stride + o) * ref_get(k->x, k->dtype, i * k->in + j);
      k->weight_grad[o * k->in + j] += sum;
    }
    if (k->bias_grad) {
      float sum = 0;
      for (size_t i = 0; i < k->rows; i++)
        sum += ref_get(k->dz, k->dtype, i * k->dz_stride + o);
      k->bias_grad[o] += sum;
    }
  }
}

void tt_ref_head_loss(const struct tt_k_head_loss *k) {
  const size_t in = k->weight->cols, out = k->weight->rows;
  for (size_t i = 0; i < k->rows; i++) {
    int32_t target = k->targets[i];
    k->loss[i] = 0;
    if (target < 0) {
      for (size_t o = 0; k->dlogits && o < k->stride; o++)
        ref_put(k->dlogits, k->dtype, i * k->stride + o, 0);
      continue;
    }
    float max = -INFINITY, sum = 0, chosen = 0;
    for (int pass = 0; pass < 3; pass++)
      for (size_t o = 0; o < out; o++) {
        float logit = k->bias ? k->bias[o] : 0;
        for (size_t j = 0; j < in; j++)
          logit +=
              ref_get(k->x, k->dtype, i * in + j) * ref_weight(k->weight, k->dtype, o * in + j);
        if (o == (size_t)target)
          chosen = logit;
        if (pass == 0)
          max = fmaxf(max, logit);
        else if (pass == 1)
          sum += expf(logit - max);
        else if (k->dlogits)
          ref_put(k->dlogits, k->dtype, i * k->stride + o,
                  k->coefficients[i] *
                      (expf(logit - max) / sum - (o == (size_t)target ? 1.0f : 0)));
      }
    for (size_t o = out; k->dlogits && o < k->stride; o++)
      ref_put(k->dlogits, k->dtype, i * k->stride + o, 0);
    k->loss[i] = max + logf(sum) - chosen;
  }
}
