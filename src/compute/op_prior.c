/* prior: logits = network + gate * log of a known distribution. */
#include "compute/kernels.h"

struct prior_args {
  struct tt_tensor *x, *y;
  float *prior;
};

static void prior_backward(struct tt_compute *c, const struct tt_node *node) {
  const struct prior_args *a = node->args;
  const size_t classes = a->y->cols;
  const float *dy = tt_grad_of(a->y);
  bool accumulate;
  float *dx = tt_grad_target(c, a->x, &accumulate);
  if (!dx)
    return;
#pragma omp parallel for schedule(static)
  for (size_t i = 0; i < a->y->rows; i++) {
    const float *from = dy + i * classes, *prior = a->prior + i * classes;
    float *to = dx + i * (classes + 1), gate = 0;
    for (size_t v = 0; v < classes; v++) {
      to[v] = accumulate ? to[v] + from[v] : from[v];
      gate += from[v] * prior[v];
    }
    to[classes] = accumulate ? to[classes] + gate : gate;
  }
}

struct tt_tensor *tt_op_prior(struct tt_compute *c, struct tt_tensor *x, const float *prior) {
  TT_ASSERT(x->dtype == TT_F32 && x->cols > 1);
  double start = tt_op_start(c);
  const size_t classes = x->cols - 1;
  struct tt_tensor *y = tt_tensor_new(c, TT_F32, x->rows, classes);
  y->needs_grad = x->needs_grad;
  const float *logits = x->data;
  float *out = y->data;
#pragma omp parallel for schedule(static)
  for (size_t i = 0; i < x->rows; i++) {
    const float *row = logits + i * (classes + 1), gate = row[classes];
    for (size_t v = 0; v < classes; v++)
      out[i * classes + v] = row[v] + gate * prior[i * classes + v];
  }
  if (c->record) {
    struct prior_args *args = tt_arena(c, 1, sizeof *args);
    *args = (struct prior_args){x, y, tt_arena(c, x->rows * classes, sizeof *prior)};
    memcpy(args->prior, prior, x->rows * classes * sizeof *prior);
    tt_tape_push(c, TT_OP_prior, prior_backward, args, y, NULL);
  }
  tt_op_stop(c, TT_OP_prior, start, 0);
  return y;
}
