/* Gradient checks and kernel comparisons for tests of ops and blocks. A fixture is some watched
 * inputs, some parameters, and a function from them to a tensor; its loss is the mean square
 * distance to a fixed random target times the number of elements (a [1, 1] f32 result is taken as
 * the loss itself).
 *
 *   gradient check: analytic gradients of f32 against central differences, signed, NaN fails, and
 *     some gradient must be well away from zero (or the check could not fail);
 *   comparison: outputs and all gradients of one kernel set against the reference set's. */
#ifndef TESTS_GRADCHECK_H
#define TESTS_GRADCHECK_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rng.h"
#include "compute/kernels.h"
#include "compute/ops.h"

#define MAX_INPUTS 4

struct fixture {
  struct tt_params params;
  struct { /* f32, owned */
    size_t rows, cols;
    float *data;
  } inputs[MAX_INPUTS];
  size_t n_inputs;
  struct tt_rng rng;
  int variant; /* which of the shapes */
  void *extra; /* owned by the fixture's setup, freed with free() */
  struct tt_tensor *(*forward)(struct tt_compute *c, struct fixture *f, struct tt_tensor **x);
  bool keep_init; /* parameters stay as initialised (else they are drawn anew) */
};

static inline void fixture_input(struct fixture *f, size_t rows, size_t cols) {
  assert_true(f->n_inputs < MAX_INPUTS);
  float *data = malloc(rows * cols * sizeof *data);
  for (size_t i = 0; i < rows * cols; i++)
    data[i] = tt_bf16_to_f32(tt_bf16_from_f32((float)tt_rng_normal(&f->rng)));
  f->inputs[f->n_inputs].rows = rows;
  f->inputs[f->n_inputs].cols = cols;
  f->inputs[f->n_inputs++].data = data;
}

static inline void fixture_begin(struct fixture *f, int variant) {
  *f = (struct fixture){.variant = variant};
  tt_params_init(&f->params);
  tt_rng_init(&f->rng, 42, (uint64_t)variant);
}

/* After setup: builds the parameters; all are drawn at random, away from special values. */
static inline void fixture_build(struct fixture *f) {
  if (f->params.n == 0)
    return;
  assert_int_equal(tt_params_build(&f->params, 7), TT_OK);
  for (size_t k = 0; k < f->params.n && !f->keep_init; k++) {
    struct tt_param *p = f->params.list[k];
    double scale = p->product ? 1 / sqrt((double)p->cols) : 0.5;
    for (size_t i = 0; i < p->rows * p->cols; i++)
      p->data[i] = tt_bf16_to_f32(tt_bf16_from_f32((float)(scale * tt_rng_normal(&f->rng))));
  }
  tt_params_refresh(&f->params);
}

static inline void fixture_end(struct fixture *f) {
  for (size_t i = 0; i < f->n_inputs; i++)
    free(f->inputs[i].data);
  if (f->params.n)
    tt_params_release(&f->params);
  free(f->extra);
}

/* Runs the fixture; returns the loss. With out (NULL or a growing array), records and appends the
 * output and all gradients. */
struct values {
  float *v;
  size_t n;
};

static inline float *values_more(struct values *out, size_t n) {
  out->v = realloc(out->v, (out->n + n) * sizeof *out->v);
  out->n += n;
  return out->v + out->n - n;
}

static inline double fixture_run(struct fixture *f, struct tt_compute *c, struct values *out) {
  tt_compute_begin(c, out != NULL, 3);
  c->train = true;
  struct tt_tensor *x[MAX_INPUTS];
  for (size_t i = 0; i < f->n_inputs; i++)
    x[i] = tt_input_watched(c, f->inputs[i].data, f->inputs[i].rows, f->inputs[i].cols);
  struct tt_tensor *y = f->forward(c, f, x), *loss = y;
  size_t n = y->rows * y->cols;
  if (n > 1 || y->dtype != TT_F32) {
    float *target = malloc(n * sizeof *target);
    struct tt_rng rng;
    tt_rng_init(&rng, 11, 0);
    for (size_t i = 0; i < n; i++)
      target[i] = (float)tt_rng_normal(&rng);
    if (!out) { /* the same loss in double: differences of it are divided by small steps */
      float *value = malloc(n * sizeof *value);
      double sum = 0;
      tt_tensor_read(y, value);
      for (size_t i = 0; i < n; i++)
        sum += ((double)value[i] - (double)target[i]) * ((double)value[i] - (double)target[i]);
      free(value);
      free(target);
      return sum / 4;
    }
    loss = tt_op_mse(c, y, target, NULL);
    float factor = (float)n / 4;
    loss = tt_op_sum(c, &loss, &factor, 1);
    free(target);
  }
  double value = (double)tt_tensor_value(loss);
  if (!out)
    return value;
  if (f->params.n)
    tt_params_zero_grad(&f->params);
  tt_tensor_read(y, values_more(out, n));
  tt_compute_backward(c, loss);
  for (size_t i = 0; i < f->n_inputs; i++)
    tt_gradient(x[i], values_more(out, x[i]->rows * x[i]->cols));
  for (size_t k = 0; k < f->params.n; k++) {
    struct tt_param *p = f->params.list[k];
    memcpy(values_more(out, p->rows * p->cols), p->grad, p->rows * p->cols * sizeof(float));
  }
  return value;
}

static inline int check_one(struct fixture *f, struct tt_compute *c, const char *name, float *x,
                            float analytic, bool param) {
  const float old = *x, step = 4e-3f;
  double side[2];
  for (int s = 0; s < 2; s++) {
    *x = old + (s ? step : -step);
    if (param)
      tt_params_refresh(&f->params);
    side[s] = fixture_run(f, c, NULL);
  }
  *x = old;
  if (param)
    tt_params_refresh(&f->params);
  double numeric = (side[1] - side[0]) / (2 * (double)step);
  if (!(fabs(numeric - (double)analytic) <= 4e-3 + 1e-2 * fabs(numeric))) {
    print_error("%s (variant %d): analytic %g, numeric %g\n", name, f->variant, (double)analytic,
                numeric);
    return 1;
  }
  return 0;
}

/* At most `samples` elements of each input and parameter. */
static inline void gradient_check(struct fixture *f, const struct tt_kernels *kernels,
                                  const char *name, size_t samples) {
  struct tt_compute *c;
  assert_int_equal(tt_compute_create(TT_PRECISION_F32, 5, &c), TT_OK);
  c->kernels = kernels;
  struct values all = {0};
  fixture_run(f, c, &all);
  size_t total = 0, at;
  for (size_t i = 0; i < f->n_inputs; i++)
    total += f->inputs[i].rows * f->inputs[i].cols;
  for (size_t k = 0; k < f->params.n; k++)
    total += f->params.list[k]->rows * f->params.list[k]->cols;
  at = all.n - total;
  int failures = 0;
  float largest = 0;
  for (size_t i = at; i < all.n; i++)
    largest = fmaxf(largest, fabsf(all.v[i]));
  for (size_t i = 0; i < f->n_inputs; i++) {
    size_t n = f->inputs[i].rows * f->inputs[i].cols, stride = n / samples + 1;
    for (size_t e = 0; e < n; e += stride)
      failures += check_one(f, c, name, f->inputs[i].data + e, all.v[at + e], false);
    at += n;
  }
  for (size_t k = 0; k < f->params.n; k++) {
    struct tt_param *p = f->params.list[k];
    size_t n = p->rows * p->cols, stride = n / samples + 1;
    for (size_t e = 0; e < n; e += stride)
      failures += check_one(f, c, p->name, p->data + e, all.v[at + e], true);
    at += n;
  }
  print_message("  %-14s variant %d %-5s gradients, largest %.3g\n", name, f->variant,
                kernels->name, (double)largest);
  free(all.v);
  tt_compute_free(c);
  assert_int_equal(failures, 0);
  assert_true(largest > 0.05f);
}

/* Largest difference over largest value, over outputs and gradients. */
static inline void compare_kernels(struct fixture *f, const struct tt_kernels *kernels,
                                   enum tt_precision precision, double tolerance,
                                   const char *name) {
  struct tt_compute *c;
  assert_int_equal(tt_compute_create(precision, 5, &c), TT_OK);
  struct values want = {0}, got = {0}, again = {0};
  c->kernels = tt_kernels_ref();
  fixture_run(f, c, &want);
  c->kernels = kernels;
  fixture_run(f, c, &got);
  fixture_run(f, c, &again);
  assert_int_equal(want.n, got.n);
  double largest = 0, difference = 0;
  for (size_t i = 0; i < want.n; i++) {
    double e = fabs((double)want.v[i] - (double)got.v[i]);
    largest = fmax(largest, fabs((double)want.v[i]));
    if (!(e <= difference))
      difference = e;
  }
  print_message("  %-14s variant %d %-5s %s against ref: %.2g\n", name, f->variant, kernels->name,
                c->dtype == TT_F32 ? "f32" : "bf16", difference / largest);
  bool same = memcmp(got.v, again.v, got.n * sizeof(float)) == 0;
  free(want.v);
  free(got.v);
  free(again.v);
  tt_compute_free(c);
  assert_true(largest > 0);
  assert_true(difference <= tolerance * largest);
  assert_true(same); /* the same bytes again */
}

#endif
