/* upsample and max_pool: positions doubled, positions reduced to one. */
#include "compute/block.h"

struct pool_args {
  struct tt_tensor *x, *y;
  size_t batch;
  const uint32_t *chosen; /* max_pool: [batch, d] positions */
};

static char *at(void *p, const struct tt_tensor *t, size_t row) {
  return (char *)p + row * t->cols * tt_dtype_size(t->dtype);
}

static const char *at_const(const void *p, const struct tt_tensor *t, size_t row) {
  return (const char *)p + row * t->cols * tt_dtype_size(t->dtype);
}

/* ---- upsample ---- */

static void upsample_backward(struct tt_compute *c, const struct tt_node *node) {
  const struct pool_args *a = node->args;
  const struct tt_tensor *x = a->x;
  const size_t from = x->rows / a->batch, to = a->y->rows / a->batch;
  const void *dy = tt_grad_of(a->y);
  bool accumulate;
  void *dx = tt_grad_target(c, a->x, &accumulate);
  if (!dx)
    return;
#pragma omp parallel for schedule(static) if (a->y->rows * x->cols > TT_PARALLEL_ELEMENTS)
  for (size_t row = 0; row < x->rows; row++) {
    const size_t first = row / from * to + row % from * 2;
    tt_block_copy_columns(at(dx, x, row), 0, at_const(dy, x, first), 0, 1, x->cols, accumulate,
                          x->dtype);
    if (row % from * 2 + 1 < to)
      tt_block_copy_columns(at(dx, x, row), 0, at_const(dy, x, first + 1), 0, 1, x->cols, true,
                            x->dtype);
  }
}

struct tt_tensor *tt_op_upsample(struct tt_compute *c, struct tt_tensor *x, size_t batch,
                                 size_t length) {
  TT_ASSERT(batch > 0 && x->rows > 0 && x->rows % batch == 0);
  const size_t from = x->rows / batch, bytes = x->cols * tt_dtype_size(x->dtype);
  TT_ASSERT(length == 2 * from || length == 2 * from - 1);
  double start = tt_op_start(c);
  struct tt_tensor *y = tt_tensor_new(c, x->dtype, batch * length, x->cols);
  y->needs_grad = x->needs_grad;
#pragma omp parallel for schedule(static) if (y->rows * x->cols > TT_PARALLEL_ELEMENTS)
  for (size_t row = 0; row < y->rows; row++)
    memcpy(at(y->data, y, row), at(x->data, x, row / length * from + row % length / 2), bytes);
  if (c->record) {
    struct pool_args *args = tt_arena(c, 1, sizeof *args);
    *args = (struct pool_args){.x = x, .y = y, .batch = batch};
    tt_tape_push(c, TT_OP_upsample, upsample_backward, args, y, NULL);
  }
  tt_op_stop(c, TT_OP_upsample, start, 0);
  return y;
}

/* ---- max_pool ---- */

static void max_pool_backward(struct tt_compute *c, const struct tt_node *node) {
  const struct pool_args *a = node->args;
  const struct tt_tensor *x = a->x;
  const size_t length = x->rows / a->batch, d = x->cols, size = tt_dtype_size(x->dtype);
  const char *dy = tt_grad_of(a->y);
  bool accumulate;
  char *dx = tt_grad_target(c, a->x, &accumulate);
  if (!dx)
    return;
  if (!accumulate)
    tt_block_zero(dx, x->rows * d * size);
  for (size_t i = 0; i < a->batch * d; i++) {
    const size_t row = i / d * length + a->chosen[i];
    tt_block_copy_columns(dx + (row * d + i % d) * size, 0, dy + i * size, 0, 1, 1, true, x->dtype);
  }
}

struct tt_tensor *tt_op_max_pool(struct tt_compute *c, struct tt_tensor *x, size_t batch) {
  TT_ASSERT(batch > 0 && x->rows > 0 && x->rows % batch == 0);
  double start = tt_op_start(c);
  const size_t length = x->rows / batch, d = x->cols;
  struct tt_tensor *y = tt_tensor_new(c, x->dtype, batch, d);
  y->needs_grad = x->needs_grad;
  uint32_t *chosen = tt_arena(c, batch * d, sizeof *chosen);
#pragma omp parallel for schedule(static) if (x->rows * d > TT_PARALLEL_ELEMENTS)
  for (size_t b = 0; b < batch; b++)
    for (size_t first = 0; first < d; first += TT_BLOCK) {
      float most[TT_BLOCK], u[TT_BLOCK];
      const size_t n = d - first < TT_BLOCK ? d - first : TT_BLOCK;
      const size_t skip = first * tt_dtype_size(x->dtype);
      uint32_t *where = chosen + b * d + first;
      tt_convert_to_f32(most, at_const(x->data, x, b * length) + skip, x->dtype, n);
      memset(where, 0, n * sizeof *where);
      for (size_t i = 1; i < length; i++) {
        tt_convert_to_f32(u, at_const(x->data, x, b * length + i) + skip, x->dtype, n);
        for (size_t j = 0; j < n; j++) {
          where[j] = u[j] > most[j] ? (uint32_t)i : where[j];
          most[j] = u[j] > most[j] ? u[j] : most[j];
        }
      }
      tt_convert_from_f32(at(y->data, y, b) + skip, y->dtype, most, n);
    }
  if (c->record) {
    struct pool_args *args = tt_arena(c, 1, sizeof *args);
    *args = (struct pool_args){.x = x, .y = y, .batch = batch, .chosen = chosen};
    tt_tape_push(c, TT_OP_max_pool, max_pool_backward, args, y, NULL);
  }
  tt_op_stop(c, TT_OP_max_pool, start, 0);
  return y;
}
