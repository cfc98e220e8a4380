/* The measurements: each is checked before its time counts. */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include "compute/kernels.h"
#include "model.h"

/* ---- matrix products: the ceiling ---- */
struct bench_product {
  const struct tt_kernels *kernels;
  enum tt_dtype dtype;
  size_t m, n, k; /* [m, k] times [k, n], one linear_forward of the kernel set */
  double gflops;  /* of the fastest call so far */
};
/* Checks a sample of the result against sums in double (TT_FAILED when off), then times `calls`
 * calls and keeps the fastest in product->gflops, which only ever rises. */
enum tt_status bench_product_measure(struct bench_product *product, size_t calls);

/* ---- whole training steps ---- */
/* Loss and all gradients of a step against the reference kernels in f32: TT_FAILED when the
 * relative error (L2, of the gradient vector) exceeds `tolerance`. */
enum tt_status bench_model_verify(const struct bench_shape *shape, enum tt_precision precision,
                                  const struct tt_kernels *kernels, double tolerance,
                                  double *ret_error);

struct bench_training {
  struct bench_shape shape;
  enum tt_dtype dtype;
  const char *kernels;
  size_t parameters, steps; /* steps: timed */
  double best, median;      /* seconds per step: forward, backward, AdamW */
  double flops;             /* arithmetic of a step's products, attention's included */
  struct tt_op_time profile[TT_OP_COUNT]; /* of the fastest step */
  double optimizer;                       /* seconds of AdamW in it */
  size_t arena_bytes;                     /* activations and gradients, at most */
};
/* One step to warm up, then at least 3 and until `seconds` are over. TT_FAILED when a loss or
 * gradient is not finite. */
enum tt_status bench_training_measure(const struct bench_shape *shape, double seconds,
                                      struct bench_training *ret);

#endif
