/* exp and what is made of it, written so that loops over them vectorise. */
#ifndef COMPUTE_VECTOR_MATH_H
#define COMPUTE_VECTOR_MATH_H

#include <stdint.h>
#include <string.h>

/* exp(x), relative error < 3e-7: x = n ln 2 + r with |r| <= ln 2 / 2, a polynomial in r (the
 * coefficients of Cephes' expf), n added to the exponent. Clamped to about [1e-38, 2e38]; NaN stays
 * NaN. */
static inline float tt_exp(float x) {
  float low = x < -87.0f ? -87.0f : x;
  float t = low > 88.0f ? 88.0f : low;
  float shifted = t * 1.44269504088896341f + 12582912.0f; /* 1.5 * 2^23: rounds to nearest */
  float n = shifted - 12582912.0f;
  float r = t - n * 0.693359375f;
  r = r + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  int32_t bits, power;
  memcpy(&power, &shifted, sizeof power);
  memcpy(&bits, &p, sizeof bits);
  bits = (int32_t)((uint32_t)bits + ((uint32_t)power << 23));
  memcpy(&p, &bits, sizeof p);
  return p;
}

static inline float tt_sigmoid(float x) {
  return 1.0f / (1.0f + tt_exp(-x));
}

/* Absolute error < 2e-7. */
static inline float tt_tanh(float x) {
  return 2.0f * tt_sigmoid(2.0f * x) - 1.0f;
}

/* GELU, tanh form (Hendrycks & Gimpel 2016): x sigmoid(2u), u = sqrt(2/pi) (x + 0.044715 x^3). */
static inline float tt_gelu(float x) {
  return x * tt_sigmoid(1.5957691216057308f * (x + 0.044715f * x * x * x));
}

static inline float tt_gelu_slope(float x) {
  float s = tt_sigmoid(1.5957691216057308f * (x + 0.044715f * x * x * x));
  return s + x * s * (1.0f - s) * 1.5957691216057308f * (1.0f + 0.134145f * x * x);
}

static inline float tt_silu(float x) {
  return x * tt_sigmoid(x);
}

static inline float tt_silu_slope(float x) {
  float s = tt_sigmoid(x);
  return s + x * s * (1.0f - s);
}

#endif
