#include "measure.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "kernels.h"

enum { MIN_STEPS = 3, MAX_STEPS = 64, SAMPLES = 64 };

/* ---- products ---- */

static float element(const void *data, enum tt_dtype dtype, size_t i) {
  float value;
  size_t size = tt_dtype_size(dtype);
  tt_convert_to_f32(&value, (const char *)data + i * size, dtype, 1);
  return value;
}

/* The largest error of SAMPLES entries, relative to the size a sum of k products has. */
static double sampled_error(const struct bench_product *p, const void *x,
                            const struct tt_param *weight, const void *y, struct tt_rng *rng) {
  double worst = 0;
  for (size_t s = 0; s < SAMPLES; s++) {
    size_t i = tt_rng_below(rng, p->m), j = tt_rng_below(rng, p->n);
    double sum = 0, squares = 0;
    for (size_t l = 0; l < p->k; l++) {
      double a = (double)element(x, p->dtype, i * p->k + l);
      double b = p->dtype == TT_BF16 ? (double)tt_bf16_to_f32(weight->shadow[j * p->k + l])
                                     : (double)weight->data[j * p->k + l];
      sum += a * b;
      squares += a * b * a * b;
    }
    double error = fabs((double)element(y, p->dtype, i * p->n + j) - sum) / sqrt(squares);
    if (!(error <= worst)) /* a NaN stays */
      worst = error;
  }
  return worst;
}

enum tt_status bench_product_measure(struct bench_product *p, size_t calls) {
  struct tt_params params;
  struct tt_rng rng;
  size_t size = tt_dtype_size(p->dtype);
  tt_params_init(&params);
  tt_rng_init(&rng, 1, 0);
  struct tt_param *weight = tt_params_add(&params, TT_INIT_NORMAL, 1, true, p->n, p->k, "w");
  enum tt_status status = tt_params_build(&params, 1);
  void *x = aligned_alloc(64, p->m * p->k * size), *y = aligned_alloc(64, p->m * p->n * size);
  if (status == TT_OK && (!x || !y))
    status = tt_fail(TT_NO_MEMORY, "a product of %zu x %zu x %zu", p->m, p->n, p->k);
  if (status != TT_OK)
    goto cleanup;
  bench_fill(x, p->dtype, p->m * p->k, &rng);
  const struct tt_k_linear call = {
      .dtype = p->dtype, .y_dtype = p->dtype, .rows = p->m, .x = x, .weight = weight, .y = y};
  p->kernels->linear_forward(&call);
  /* bf16 rounds the result to 8 bits; f32 adds up k rounding errors. */
  double error = sampled_error(p, x, weight, y, &rng),
         tolerance = p->dtype == TT_BF16 ? 2e-2 : 1e-4;
  if (!(error <= tolerance)) {
    status = tt_fail(TT_FAILED, "%s product of %zu x %zu x %zu: error %g, at most %g",
                     p->kernels->name, p->m, p->n, p->k, error, tolerance);
    goto cleanup;
  }
  for (size_t i = 0; i < calls; i++) {
    double begin = tt_seconds();
    p->kernels->linear_forward(&call);
    double gflops = 2e-9 * (double)p->m * (double)p->n * (double)p->k / (tt_seconds() - begin);
    p->gflops = gflops > p->gflops ? gflops : p->gflops;
  }
cleanup:
  free(x);
  free(y);
  tt_params_release(&params);
  return status;
}

/* ---- steps ---- */

static double gradients(struct bench_model *model) {
  struct tt_tensor *loss = bench_model_loss(model, 0);
  double value = (double)tt_tensor_value(loss);
  tt_params_zero_grad(bench_model_params(model));
  tt_compute_backward(bench_model_compute(model), loss);
  return value;
}

enum tt_status bench_model_verify(const struct bench_shape *shape, enum tt_precision precision,
                                  const struct tt_kernels *kernels, double tolerance,
                                  double *ret_error) {
  struct bench_model *reference = NULL, *model = NULL;
  enum tt_status status = bench_model_new(shape, TT_PRECISION_F32, &reference);
  if (status == TT_OK)
    status = bench_model_new(shape, precision, &model);
  if (status != TT_OK)
    goto cleanup;
  bench_model_compute(reference)->kernels = tt_kernels_ref();
  bench_model_compute(model)->kernels = kernels;
  double expected = gradients(reference), loss = gradients(model);
  const struct tt_params *a = bench_model_params(reference), *b = bench_model_params(model);
  double difference = 0, norm = 0;
  for (size_t i = 0; i < a->total; i++) {
    double d = (double)b->grad[i] - (double)a->grad[i];
    difference += d * d;
    norm += (double)a->grad[i] * (double)a->grad[i];
  }
  double error = fmax(sqrt(difference / norm), fabs(loss - expected) / fabs(expected));
  if (isnan(difference) || isnan(loss))
    error = NAN;
  *ret_error = error;
  if (!(error <= tolerance))
    status = tt_fail(TT_FAILED, "%s, kernels %s: error %g against the reference, at most %g",
                     bench_kind_name(shape->kind), kernels->name, error, tolerance);
cleanup:
  bench_model_free(reference);
  bench_model_free(model);
  return status;
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double step_flops(const struct tt_compute *c) {
  double sum = 0;
  for (size_t op = 0; op < TT_OP_COUNT; op++)
    sum += c->times[op].flops;
  return sum;
}

enum tt_status bench_training_measure(const struct bench_shape *shape, double seconds,
                                      struct bench_training *ret) {
  struct tt_optimizer optimizer = {0};
  struct tt_optimizer_config config = tt_optimizer_defaults();
  struct bench_model *model = NULL;
  double times[MAX_STEPS], flops = 0, begin = 0, best = 0, optimizing = 0;
  struct tt_op_time profile[TT_OP_COUNT];
  size_t n = 0;
  enum tt_status status = bench_model_new(shape, TT_PRECISION_AUTO, &model);
  if (status == TT_OK)
    status = tt_optimizer_init(&optimizer, bench_model_params(model), &config);
  if (status != TT_OK)
    goto cleanup;
  struct tt_compute *c = bench_model_compute(model);
  c->timing = true; /* two readings of the clock per op: some 300 a step */
  for (size_t step = 0; n < MIN_STEPS || (n < MAX_STEPS && tt_seconds() - begin < seconds);
       step++) {
    memset(c->times, 0, sizeof c->times);
    double start = tt_seconds();
    struct tt_tensor *loss = bench_model_loss(model, step);
    tt_compute_backward(c, loss);
    double value = (double)tt_tensor_value(loss), stepped = tt_seconds();
    struct tt_step_result result = tt_optimizer_step(&optimizer, 1);
    double end = tt_seconds();
    if (result.skipped || !isfinite(value)) {
      status = tt_fail(TT_FAILED, "%s at step %zu: loss %g, gradient norm %g",
                       bench_kind_name(shape->kind), step, value, result.grad_norm);
      goto cleanup;
    }
    flops = step_flops(c);
    if (step == 0) {
      begin = end;
      continue;
    }
    times[n] = end - start;
    if (n == 0 || times[n] < best) { /* the profile is the fastest step's */
      best = times[n];
      memcpy(profile, c->times, sizeof profile);
      optimizing = end - stepped;
    }
    n++;
  }
  qsort(times, n, sizeof *times, by_value);
  *ret = (struct bench_training){.shape = *shape,
                                 .dtype = c->dtype,
                                 .kernels = c->kernels->name,
                                 .parameters = tt_params_count(bench_model_params(model)),
                                 .steps = n,
                                 .best = times[0],
                                 .median = times[n / 2],
                                 .flops = flops,
                                 .optimizer = optimizing,
                                 .arena_bytes = tt_compute_peak_bytes(c)};
  memcpy(ret->profile, profile, sizeof profile);
cleanup:
  tt_optimizer_release(&optimizer);
  bench_model_free(model);
  return status;
}
