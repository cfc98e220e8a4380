/* Many normals at once, in loops that vectorise: a twentieth of tt_rng_normal's time each, which
 * matters where a network of width d is fed d of them per event. */
#include <math.h>
#include <string.h>

#include "base/rng.h"

enum { LANES = 32 }; /* blocks of four words at a time */

/* Words of the blocks first, first + 1, ... of a stream: word w of block i in words[w][i]. */
static void philox_lanes(const struct tt_rng *rng, uint64_t first, uint32_t words[4][LANES]) {
#pragma omp simd
  for (size_t i = 0; i < LANES; i++) {
    uint64_t block = first + i;
    uint32_t c0 = (uint32_t)block, c1 = (uint32_t)(block >> 32);
    uint32_t c2 = (uint32_t)rng->stream, c3 = (uint32_t)(rng->stream >> 32);
    uint32_t k0 = (uint32_t)rng->seed, k1 = (uint32_t)(rng->seed >> 32);
    for (int round = 0; round < 10; round++) {
      uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
      c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
      c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
      c1 = (uint32_t)p1;
      c3 = (uint32_t)p0;
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    words[0][i] = c0;
    words[1][i] = c1;
    words[2][i] = c2;
    words[3][i] = c3;
  }
}

/* ln(x) for normal x in (0, 1], error < 2e-7 times max(1, |ln x|): Cephes' logf. */
static inline float log_unit(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  /* the mantissa within [sqrt(1/2), sqrt(2)), and what exponent that leaves */
  uint32_t shifted = bits - 0x3f3504f3u;
  float exponent = (float)((int32_t)shifted >> 23);
  uint32_t mantissa = (shifted & 0x7fffffu) + 0x3f3504f3u;
  float m;
  memcpy(&m, &mantissa, sizeof m);
  m -= 1.0f;
  float p = 7.0376836292e-2f, square = m * m;
  p = p * m - 1.1514610310e-1f;
  p = p * m + 1.1676998740e-1f;
  p = p * m - 1.2420140846e-1f;
  p = p * m + 1.4249322787e-1f;
  p = p * m - 1.6668057665e-1f;
  p = p * m + 2.0000714765e-1f;
  p = p * m - 2.4999993993e-1f;
  p = p * m + 3.3333331174e-1f;
  return m + (p * m * square - 0.5f * square) + exponent * 0.69314718056f;
}

/* sin(pi y), |y| <= 1/2: Taylor to y^11, error < 6e-8. */
static inline float sin_pi(float y) {
  float x = y * 3.14159265359f, square = x * x;
  float p = -2.50521083854e-8f;
  p = p * square + 2.75573192240e-6f;
  p = p * square - 1.98412698413e-4f;
  p = p * square + 8.33333333333e-3f;
  p = p * square - 1.66666666667e-1f;
  return x + x * square * p;
}

/* Box-Muller: words a[i], b[i] give two normals. */
static void box_muller(const uint32_t *a, const uint32_t *b, float *first, float *second) {
#pragma omp simd
  for (size_t i = 0; i < LANES; i++) {
    /* (a + 1/2) / 2^32 within (0, 1] */
    float radius = sqrtf(-2.0f * log_unit(((float)a[i] + 0.5f) * 0x1p-32f));
    float z = (float)(int32_t)b[i] * 0x1p-31f; /* the angle by pi, within [-1, 1] */
    float size = fabsf(z), folded = size > 0.5f ? 1.0f - size : size;
    first[i] = radius * sin_pi(0.5f - size);
    second[i] = radius * copysignf(sin_pi(folded), z);
  }
}

void tt_rng_normals(struct tt_rng *rng, float *out, size_t n) {
  uint32_t words[4][LANES];
  float normals[4][LANES];
  while (n > 0) {
    philox_lanes(rng, rng->counter, words);
    box_muller(words[0], words[1], normals[0], normals[1]);
    box_muller(words[2], words[3], normals[2], normals[3]);
    size_t blocks = n < sizeof normals / sizeof **normals ? (n + 3) / 4 : LANES;
    for (size_t i = 0; i < blocks; i++)
      for (size_t w = 0; w < 4 && n > 0; w++, n--)
        *out++ = normals[w][i];
    rng->counter += blocks;
  }
  rng->used = 4;
}
