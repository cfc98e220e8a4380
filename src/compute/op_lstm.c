/* lstm: positions in order, each one product with the recurrent weights for all sequences at once.
 * What a position needs of the one before lies together (time by time, sequences within), so that
 * the weights' gradient is one product over all positions. */
#include "base/mem.h"
#include "compute/kernels.h"

enum tt_status tt_lstm_state_create(size_t batch, size_t d, struct tt_lstm_state *ret) {
  struct tt_lstm_state state = {.batch = batch, .d = d};
  size_t n;
  if (!__builtin_mul_overflow(batch, d, &n)) {
    state.h = tt_calloc(n, sizeof *state.h);
    state.cell = tt_calloc(n, sizeof *state.cell);
  }
  if (!state.h || !state.cell) {
    tt_lstm_state_release(&state);
    return tt_fail(TT_NO_MEMORY, "the state of %zu sequences", batch);
  }
  *ret = state;
  return TT_OK;
}

void tt_lstm_state_release(struct tt_lstm_state *state) {
  tt_free(state->h);
  tt_free(state->cell);
  *state = (struct tt_lstm_state){0};
}

struct lstm_args {
  struct tt_tensor *x, *y;
  struct tt_param *weight;
  size_t batch, length;
  char *h;             /* [L + 1, batch, d] of the compute dtype; [0]: before the first */
  float *gates, *cell; /* [L, batch, 4d], [L + 1, batch, d] */
};

static struct tt_k_lstm position(const struct lstm_args *a, size_t t) {
  const size_t d = a->weight->cols, size = tt_dtype_size(a->x->dtype), rows = a->batch * d;
  return (struct tt_k_lstm){.dtype = a->x->dtype,
                            .batch = a->batch,
                            .d = d,
                            .step = a->length,
                            .x = (const char *)a->x->data + t * 4 * d * size,
                            .gates = a->gates + t * 4 * rows,
                            .cell_before = a->cell + t * rows,
                            .cell = a->cell + (t + 1) * rows,
                            .h = a->h + (t + 1) * rows * size,
                            .y = (char *)a->y->data + t * d * size};
}

static void lstm_backward(struct tt_compute *c, const struct tt_node *node) {
  const struct lstm_args *a = node->args;
  const enum tt_dtype dtype = a->x->dtype;
  const size_t d = a->weight->cols, size = tt_dtype_size(dtype), rows = a->batch * d;
  const char *dy = tt_grad_of(a->y);
  bool accumulate = false;
  char *dx = tt_grad_target(c, a->x, &accumulate);
  char *dz = tt_arena(c, a->length * rows * 4, size);
  void *dh = tt_arena(c, rows, size);
  float *dcell = tt_arena(c, rows, sizeof *dcell);
  memset(dcell, 0, rows * sizeof *dcell);
  for (size_t t = a->length; t-- > 0;) {
    char *dz_here = dz + t * rows * 4 * size;
    c->kernels->lstm_backward(&(struct tt_k_lstm_backward){.forward = position(a, t),
                                                           .dy = dy + t * d * size,
                                                           .dh = t + 1 < a->length ? dh : NULL,
                                                           .dcell = dcell,
                                                           .dz = dz_here,
                                                           .dx = dx ? dx + t * 4 * d * size : NULL,
                                                           .dx_accumulate = accumulate});
    if (t > 0)
      c->kernels->linear_backward(&(struct tt_k_linear_backward){.dtype = dtype,
                                                                 .rows = a->batch,
                                                                 .dy_stride = 4 * d,
                                                                 .dy = dz_here,
                                                                 .weight = a->weight,
                                                                 .dx = dh});
  }
  c->kernels->linear_weight(&(struct tt_k_linear_weight){.dtype = dtype,
                                                         .rows = a->length * a->batch,
                                                         .in = d,
                                                         .out = 4 * d,
                                                         .dz_stride = 4 * d,
                                                         .x = a->h,
                                                         .dz = dz,
                                                         .weight_grad = a->weight->grad});
  c->times[TT_OP_lstm].flops += 16.0 * (double)(a->length * rows) * (double)d;
}

struct tt_tensor *tt_op_lstm(struct tt_compute *c, struct tt_tensor *x, size_t batch,
                             struct tt_param *weight, struct tt_lstm_state *state) {
  const size_t d = weight->cols, rows = batch * d, size = tt_dtype_size(c->dtype);
  TT_ASSERT(batch > 0 && x->rows > 0 && x->rows % batch == 0);
  TT_ASSERT(x->dtype == c->dtype && x->cols == 4 * d && weight->rows == 4 * d);
  TT_ASSERT(weight->product && weight->data);
  TT_ASSERT(!state || (state->batch == batch && state->d == d));
  double start = tt_op_start(c);
  struct lstm_args args = {.x = x, .weight = weight, .batch = batch, .length = x->rows / batch};
  const size_t length = args.length;
  args.y = tt_tensor_new(c, x->dtype, x->rows, d);
  args.y->needs_grad = true;
  args.h = tt_arena(c, (length + 1) * rows, size);
  args.gates = tt_arena(c, length * rows * 4, sizeof *args.gates);
  args.cell = tt_arena(c, (length + 1) * rows, sizeof *args.cell);
  if (state) {
    tt_convert_from_f32(args.h, c->dtype, state->h, rows);
    memcpy(args.cell, state->cell, rows * sizeof *args.cell);
  } else {
    memset(args.h, 0, rows * size);
    memset(args.cell, 0, rows * sizeof *args.cell);
  }
  for (size_t t = 0; t < length; t++) {
    struct tt_k_lstm k = position(&args, t);
    c->kernels->linear_forward(&(struct tt_k_linear){.dtype = c->dtype,
                                                     .y_dtype = TT_F32,
                                                     .rows = batch,
                                                     .x = args.h + t * rows * size,
                                                     .weight = weight,
                                                     .y = k.gates});
    c->kernels->lstm_forward(&k);
  }
  if (state) {
    tt_convert_to_f32(state->h, args.h + length * rows * size, c->dtype, rows);
    memcpy(state->cell, args.cell + length * rows, rows * sizeof *args.cell);
  }
  if (c->record) {
    struct lstm_args *kept = tt_arena(c, 1, sizeof *kept);
    *kept = args;
    tt_tape_push(c, TT_OP_lstm, lstm_backward, kept, args.y, NULL);
  }
  tt_op_stop(c, TT_OP_lstm, start, 8.0 * (double)(length * rows) * (double)d);
  return args.y;
}
