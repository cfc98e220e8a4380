/* Single kernels at the shapes of a training step, each against the ceiling that bounds it. */
#ifndef BENCH_KERNELS_H
#define BENCH_KERNELS_H

#include "compute/kernels.h"

/* One kernel of the fastest set on one shape. Its bound is the longer of two times: its products at
 * the machine's matrix product peak, and its memory traffic (every input read once, every output
 * written once) at the rate of a triad a[i] = b[i] + s * c[i] over as many bytes, so that what fits
 * into caches is held against caches. */
struct bench_kernel {
  const char *name;
  char shape[40];
  enum tt_dtype dtype;
  double seconds; /* of the fastest call */
  double flops, bytes;
  double bandwidth; /* bytes per second of the triad of that size */
  double error;     /* relative (L2) to the reference kernel in the same dtype, on fewer rows */
};

enum { BENCH_MAX_KERNELS = 24 };

/* Verifies each kernel (TT_FAILED when its error is above 2e-2 in bf16, 1e-4 in f32), then times
 * it. rows: events of a step; quick: tiny shapes. */
enum tt_status bench_kernels_measure(bool quick, struct bench_kernel *ret, size_t *ret_n);

/* Bytes per second of a triad over `bytes` in all, all threads, the fastest of several; 0: no
 * memory. */
double bench_bandwidth(size_t bytes);

/* Values within [-1, 1). */
void bench_fill(void *to, enum tt_dtype dtype, size_t n, struct tt_rng *rng);

#endif
