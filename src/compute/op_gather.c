/* gather: rows by number, as many times as asked for. */
#include "compute/block.h"
#include "compute/kernels.h"

struct gather_args {
  struct tt_tensor *x, *y;
  uint32_t *rows;
};

/* In the order of y's rows, on one thread: a row may have been taken several times. */
static void gather_backward(struct tt_compute *c, const struct tt_node *node) {
  const struct gather_args *a = node->args;
  const size_t cols = a->x->cols, row = cols * tt_dtype_size(a->x->dtype);
  const char *dy = tt_grad_of(a->y);
  bool accumulate;
  char *dx = tt_grad_target(c, a->x, &accumulate);
  if (!dx)
    return;
  if (!accumulate)
    tt_block_zero(dx, a->x->rows * row);
  for (size_t i = 0; i < a->y->rows; i++)
    tt_block_copy_columns(dx + a->rows[i] * row, cols, dy + i * row, cols, 1, cols, true,
                          a->x->dtype);
}

struct tt_tensor *tt_op_gather(struct tt_compute *c, struct tt_tensor *x, const uint32_t *rows,
                               size_t n) {
  double start = tt_op_start(c);
  const size_t row = x->cols * tt_dtype_size(x->dtype);
  struct tt_tensor *y = tt_tensor_new(c, x->dtype, n, x->cols);
  y->needs_grad = x->needs_grad;
  for (size_t i = 0; i < n; i++) {
    TT_ASSERT(rows[i] < x->rows);
    memcpy((char *)y->data + i * row, (const char *)x->data + rows[i] * row, row);
  }
  if (c->record) {
    struct gather_args *args = tt_arena(c, 1, sizeof *args);
    *args = (struct gather_args){x, y, tt_arena(c, n, sizeof *rows)};
    memcpy(args->rows, rows, n * sizeof *rows);
    tt_tape_push(c, TT_OP_gather, gather_backward, args, y, NULL);
  }
  tt_op_stop(c, TT_OP_gather, start, 0);
  return y;
}
