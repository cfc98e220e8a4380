/* Element access of the reference kernels: slow, obvious, libm. */
#ifndef COMPUTE_REF_REF_H
#define COMPUTE_REF_REF_H

#include <math.h>

#include "compute/kernels.h"

static inline float ref_get(const void *p, enum tt_dtype dtype, size_t i) {
  return dtype == TT_F32 ? ((const float *)p)[i] : tt_bf16_to_f32(((const tt_bf16 *)p)[i]);
}

static inline void ref_put(void *p, enum tt_dtype dtype, size_t i, float x) {
  if (dtype == TT_F32)
    ((float *)p)[i] = x;
  else
    ((tt_bf16 *)p)[i] = tt_bf16_from_f32(x);
}

/* Products in bf16 take the parameter's rounded copy. */
static inline float ref_weight(const struct tt_param *w, enum tt_dtype dtype, size_t i) {
  return dtype == TT_F32 ? w->data[i] : tt_bf16_to_f32(w->shadow[i]);
}

static inline float ref_act(float x, enum tt_act act) {
  if (act == TT_ACT_GELU)
    return 0.5f * x * (1 + tanhf(0.7978845608028654f * (x + 0.044715f * x * x * x)));
  if (act == TT_ACT_SILU)
    return x / (1 + expf(-x));
  return x;
}

static inline float ref_act_slope(float x, enum tt_act act) {
  if (act == TT_ACT_GELU) {
    float t = tanhf(0.7978845608028654f * (x + 0.044715f * x * x * x));
    return 0.5f * (1 + t) + 0.5f * x * (1 - t * t) * 0.7978845608028654f * (1 + 0.134145f * x * x);
  }
  if (act == TT_ACT_SILU) {
    float s = 1 / (1 + expf(-x));
    return s + x * s * (1 - s);
  }
  return 1;
}

#endif
