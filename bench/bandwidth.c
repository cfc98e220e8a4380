#include <stdlib.h>

#include "base/clock.h"
#include "kernels.h"

enum { TRIADS = 12, LEAST_FLOATS = 1 << 16 };

double bench_bandwidth(size_t bytes) {
  size_t n = bytes / (3 * sizeof(float));
  n = n < LEAST_FLOATS ? LEAST_FLOATS : n - n % 16;
  float *a = aligned_alloc(64, n * sizeof *a), *b = aligned_alloc(64, n * sizeof *b),
        *c = aligned_alloc(64, n * sizeof *c);
  double best = 0;
  if (a && b && c) {
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < n; i++)
      a[i] = b[i] = c[i] = 1;
    /* Small arrays are gone over several times per reading of the clock. */
    size_t rounds = 1 + ((size_t)1 << 24) / n;
    for (size_t k = 0; k < TRIADS; k++) {
      double begin = tt_seconds();
      for (size_t round = 0; round < rounds; round++) {
        float s = (float)round;
#pragma omp parallel for simd schedule(static)
        for (size_t i = 0; i < n; i++)
          a[i] = b[i] + s * c[i];
      }
      double rate = (double)(rounds * n * 3 * sizeof(float)) / (tt_seconds() - begin);
      best = rate > best ? rate : best;
    }
  }
  free(a);
  free(b);
  free(c);
  return best;
}
