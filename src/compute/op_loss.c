/* cross_entropy, mse and sum. Row losses are computed in parallel, added in order. */
#include "compute/op_loss.h"

#include <math.h>

#include "compute/kernels.h"
#include "compute/vector_math.h"

void tt_loss_coefficients(float *out, const int32_t *targets, const float *weights, size_t rows,
                          size_t classes, double normalizer) {
  double sum = 0;
  for (size_t i = 0; i < rows; i++) {
    TT_ASSERT(!targets || targets[i] < 0 || (size_t)targets[i] < classes);
    out[i] = targets && targets[i] < 0 ? 0 : weights ? weights[i] : 1;
    sum += out[i];
  }
  double divisor = normalizer > 0 ? normalizer : sum;
  float factor = divisor > 0 ? (float)(1 / divisor) : 0;
  for (size_t i = 0; i < rows; i++)
    out[i] *= factor;
}

float tt_loss_sum(const float *coefficients, const float *losses, size_t rows) {
  double sum = 0;
  for (size_t i = 0; i < rows; i++)
    if (coefficients[i] != 0) /* the loss of an ignored row may be infinite */
      sum += (double)coefficients[i] * (double)losses[i];
  return (float)sum;
}

/* ---- cross_entropy ---- */

struct entropy_args {
  struct tt_tensor *x, *loss;
  int32_t *targets;
  float *coefficients, *lse;
};

static void read_row(float *out, const struct tt_tensor *x, size_t i) {
  tt_convert_to_f32(out, (const char *)x->data + i * x->cols * tt_dtype_size(x->dtype), x->dtype,
                    x->cols);
}

/* One row at a time in f32: scratch [rows' threads] comes from the stack in pieces of 1024. */
static float row_lse(const struct tt_tensor *x, size_t i) {
  float max = -INFINITY, sum = 0, piece[1024];
  const char *row = (const char *)x->data + i * x->cols * tt_dtype_size(x->dtype);
  for (int pass = 0; pass < 2; pass++)
    for (size_t first = 0; first < x->cols; first += 1024) {
      size_t n = x->cols - first < 1024 ? x->cols - first : 1024;
      tt_convert_to_f32(piece, row + first * tt_dtype_size(x->dtype), x->dtype, n);
      for (size_t j = 0; j < n; j++)
        if (pass == 0)
          max = piece[j] > max || isnan(piece[j]) ? piece[j] : max;
        else
          sum += tt_exp(piece[j] - max);
    }
  return max + logf(sum);
}

static float element(const struct tt_tensor *x, size_t i, size_t j) {
  return x->dtype == TT_F32 ? ((const float *)x->data)[i * x->cols + j]
                            : tt_bf16_to_f32(((const tt_bf16 *)x->data)[i * x->cols + j]);
}

static void entropy_backward(struct tt_compute *c, const struct tt_node *node) {
  const struct entropy_args *a = node->args;
  const float up = *(const float *)tt_grad_of(a->loss);
  bool accumulate;
  void *dx = tt_grad_target(c, a->x, &accumulate);
  if (!dx)
    return;
  const size_t cols = a->x->cols, size = tt_dtype_size(a->x->dtype);
#pragma omp parallel for schedule(static)
  for (size_t i = 0; i < a->x->rows; i++) {
    const float factor = up * a->coefficients[i];
    float piece[1024], old[1024];
    for (size_t first = 0; first < cols; first += 1024) {
      size_t n = cols - first < 1024 ? cols - first : 1024, at = (i * cols + first) * size;
      if (factor == 0) {
        memset(piece, 0, n * sizeof *piece);
      } else {
        tt_convert_to_f32(piece, (const char *)a->x->data + at, a->x->dtype, n);
        for (size_t j = 0; j < n; j++)
          piece[j] = factor * tt_exp(piece[j] - a->lse[i]);
        size_t target = (size_t)a->targets[i];
        if (first <= target && target < first + n)
          piece[target - first] -= factor;
      }
      if (accumulate) {
        tt_convert_to_f32(old, (const char *)dx + at, a->x->dtype, n);
        for (size_t j = 0; j < n; j++)
          piece[j] += old[j];
      }
      tt_convert_from_f32((char *)dx + at, a->x->dtype, piece, n);
    }
  }
}

struct tt_tensor *tt_op_cross_entropy(struct tt_compute *c, struct tt_tensor *x,
                                      const int32_t *targets, const float *weights,
                                      double normalizer) {
  double start = tt_op_start(c);
  float *coefficients = tt_arena(c, x->rows, sizeof *coefficients);
  tt_loss_coefficients(coefficients, targets, weights, x->rows, x->cols, normalizer);
  float *lse = tt_arena(c, x->rows, sizeof *lse);
  float *losses = tt_arena(c, x->rows, sizeof *losses);
#pragma omp parallel for schedule(static)
  for (size_t i = 0; i < x->rows; i++) {
    lse[i] = row_lse(x, i);
    losses[i] = targets[i] < 0 ? 0 : lse[i] - element(x, i, (size_t)targets[i]);
  }
  struct tt_tensor *loss = tt_tensor_new(c, TT_F32, 1, 1);
  loss->needs_grad = x->needs_grad;
  *(float *)loss->data = tt_loss_sum(coefficients, losses, x->rows);
  if (c->record) {
    struct entropy_args *args = tt_arena(c, 1, sizeof *args);
    *args =
        (struct entropy_args){x, loss, tt_arena(c, x->rows, sizeof *targets), coefficients, lse};
    memcpy(args->targets, targets, x->rows * sizeof *targets);
    tt_tape_push(c, TT_OP_cross_entropy, entropy_backward, args, loss, NULL);
  }
  tt_op_stop(c, TT_OP_cross_entropy, start, 0);
  return loss;
}

/* ---- mse ---- */

struct mse_args {
  struct tt_tensor *x, *loss;
  float *target, *coefficients;
};

static void mse_backward(struct tt_compute *c, const struct tt_node *node) {
  const struct mse_args *a = node->args;
  const float up = *(const float *)tt_grad_of(a->loss);
  bool accumulate;
  void *dx = tt_grad_target(c, a->x, &accumulate);
  if (!dx)
    return;
  const size_t cols = a->x->cols;
#pragma omp parallel for schedule(static)
  for (size_t i = 0; i < a->x->rows; i++) {
    float *row = a->target + i * cols; /* ours, and read for the last time */
    const float factor = 2 * up * a->coefficients[i] / (float)cols;
    char *to = (char *)dx + i * cols * tt_dtype_size(a->x->dtype);
    for (size_t first = 0; first < cols; first += 1024) {
      float x[1024];
      size_t n = cols - first < 1024 ? cols - first : 1024;
      size_t skip = first * tt_dtype_size(a->x->dtype);
      tt_convert_to_f32(x, (const char *)a->x->data + i * cols * tt_dtype_size(a->x->dtype) + skip,
                        a->x->dtype, n);
      for (size_t j = 0; j < n; j++)
        row[first + j] = factor * (x[j] - row[first + j]);
      if (accumulate) {
        tt_convert_to_f32(x, to + skip, a->x->dtype, n);
        for (size_t j = 0; j < n; j++)
          row[first + j] += x[j];
      }
    }
    tt_convert_from_f32(to, a->x->dtype, row, cols);
  }
}

struct tt_tensor *tt_op_mse(struct tt_compute *c, struct tt_tensor *x, const float *target,
                            const float *weights) {
  double start = tt_op_start(c);
  const size_t cols = x->cols;
  float *coefficients = tt_arena(c, x->rows, sizeof *coefficients);
  tt_loss_coefficients(coefficients, NULL, weights, x->rows, 0, 0);
  float *losses = tt_arena(c, x->rows, sizeof *losses);
  float *values = tt_arena(c, x->rows * cols, sizeof *values);
#pragma omp parallel for schedule(static)
  for (size_t i = 0; i < x->rows; i++) {
    float *row = values + i * cols, sum = 0;
    read_row(row, x, i);
    for (size_t j = 0; j < cols; j++) {
      float e = row[j] - target[i * cols + j];
      sum += e * e;
    }
    losses[i] = sum / (float)cols;
    memcpy(row, target + i * cols, cols * sizeof *row); /* kept for the backward */
  }
  struct tt_tensor *loss = tt_tensor_new(c, TT_F32, 1, 1);
  loss->needs_grad = x->needs_grad;
  *(float *)loss->data = tt_loss_sum(coefficients, losses, x->rows);
  if (c->record) {
    struct mse_args *args = tt_arena(c, 1, sizeof *args);
    *args = (struct mse_args){x, loss, values, coefficients};
    tt_tape_push(c, TT_OP_mse, mse_backward, args, loss, NULL);
  }
  tt_op_stop(c, TT_OP_mse, start, 0);
  return loss;
}

/* ---- sum of losses ---- */

struct sum_args {
  struct tt_tensor **parts, *total;
  float *factors;
  size_t n;
};

static void sum_backward(struct tt_compute *c, const struct tt_node *node) {
  const struct sum_args *a = node->args;
  const float up = *(const float *)tt_grad_of(a->total);
  for (size_t k = 0; k < a->n; k++) {
    bool accumulate;
    float *d = tt_grad_target(c, a->parts[k], &accumulate);
    if (d)
      *d = (accumulate ? *d : 0) + up * a->factors[k];
  }
}

struct tt_tensor *tt_op_sum(struct tt_compute *c, struct tt_tensor *const *parts,
                            const float *factors, size_t n) {
  double start = tt_op_start(c), total = 0;
  struct tt_tensor *y = tt_tensor_new(c, TT_F32, 1, 1);
  struct sum_args *args = tt_arena(c, 1, sizeof *args);
  *args = (struct sum_args){tt_arena(c, n, sizeof *args->parts), y,
                            tt_arena(c, n, sizeof *args->factors), n};
  for (size_t k = 0; k < n; k++) {
    TT_ASSERT(parts[k]->dtype == TT_F32);
    args->parts[k] = parts[k];
    args->factors[k] = factors ? factors[k] : 1;
    total += (double)args->factors[k] * (double)tt_tensor_value(parts[k]);
    y->needs_grad = y->needs_grad || parts[k]->needs_grad;
  }
  *(float *)y->data = (float)total;
  tt_tape_push(c, TT_OP_sum, sum_backward, args, y, NULL);
  tt_op_stop(c, TT_OP_sum, start, 0);
  return y;
}
