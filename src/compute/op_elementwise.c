/* embed and the elementwise ops. */
#include "compute/block.h"
#include "compute/kernels.h"

/* ---- embed ---- */

struct embed_args {
  struct tt_tensor *y;
  struct tt_k_embed forward;
};

static void embed_backward(struct tt_compute *c, const struct tt_node *node) {
  const struct embed_args *a = node->args;
  c->kernels->embed_backward(
      &(struct tt_k_embed_backward){.forward = a->forward, .dy = tt_grad_of(a->y)});
}

struct tt_tensor *tt_op_embed(struct tt_compute *c, struct tt_param *const *tables, size_t n,
                              const int32_t *ids, size_t rows) {
  TT_ASSERT(n > 0 && rows > 0);
  double start = tt_op_start(c);
  const size_t d = tables[0]->cols;
  for (size_t k = 0; k < n; k++)
    TT_ASSERT(tables[k]->cols == d && tables[k]->data);
  for (size_t i = 0; i < rows; i++)
    for (size_t k = 0; k < n; k++)
      TT_ASSERT(ids[i * n + k] < 0 || (size_t)ids[i * n + k] < tables[k]->rows);
  struct tt_tensor *y = tt_tensor_new(c, c->dtype, rows, d);
  y->needs_grad = true;
  struct tt_k_embed k = {
      .dtype = c->dtype, .rows = rows, .d = d, .n = n, .ids = ids, .tables = tables, .y = y->data};
  c->kernels->embed_forward(&k);
  if (c->record) {
    struct embed_args *args = tt_arena(c, 1, sizeof *args);
    int32_t *own_ids = tt_arena(c, rows * n, sizeof *ids);
    struct tt_param **own_tables = tt_arena(c, n, sizeof(struct tt_param *));
    memcpy(own_ids, ids, rows * n * sizeof *ids);
    memcpy(own_tables, tables, n * sizeof(struct tt_param *));
    *args = (struct embed_args){y, k};
    args->forward.ids = own_ids;
    args->forward.tables = own_tables;
    tt_tape_push(c, TT_OP_embed, embed_backward, args, y, NULL);
  }
  tt_op_stop(c, TT_OP_embed, start, 0);
  return y;
}

/* ---- ops of one or two tensors: one record for all ---- */

struct element_args {
  struct tt_tensor *a, *b, *y; /* b may be NULL */
  float p;                     /* factor, or probability of dropout */
  enum tt_act act;
  uint64_t stream;
  const float *pa, *pb; /* coefficients per group */
  size_t groups;
};

static struct tt_tensor *like(struct tt_compute *c, const struct tt_tensor *a,
                              const struct tt_tensor *b) {
  TT_ASSERT(!b || (b->rows == a->rows && b->cols == a->cols && b->dtype == a->dtype));
  struct tt_tensor *y = tt_tensor_new(c, a->dtype, a->rows, a->cols);
  y->needs_grad = a->needs_grad || (b && b->needs_grad);
  return y;
}

static void push(struct tt_compute *c, enum tt_op op, tt_backward_fn *backward,
                 struct element_args args) {
  if (!c->record)
    return;
  struct element_args *kept = tt_arena(c, 1, sizeof *kept);
  *kept = args;
  tt_tape_push(c, op, backward, kept, args.y, NULL);
}

static size_t elements(const struct tt_tensor *t) {
  return t->rows * t->cols;
}

static void add_backward(struct tt_compute *c, const struct tt_node *node) {
  const struct element_args *a = node->args;
  tt_grad_pass(c, a->a, a->y);
  tt_grad_pass(c, a->b, a->y);
}

struct tt_tensor *tt_op_add(struct tt_compute *c, struct tt_tensor *a, struct tt_tensor *b) {
  double start = tt_op_start(c);
  struct tt_tensor *y = like(c, a, b);
  tt_block_add(y->data, a->data, b->data, a->dtype, elements(a));
  push(c, TT_OP_add, add_backward, (struct element_args){.a = a, .b = b, .y = y});
  tt_op_stop(c, TT_OP_add, start, 0);
  return y;
}

static void scale_backward(struct tt_compute *c, const struct tt_node *node) {
  const struct element_args *a = node->args;
  bool accumulate;
  void *dx = tt_grad_target(c, a->a, &accumulate);
  if (dx)
    tt_block_axpby(dx, tt_grad_of(a->y), a->p, NULL, 0, accumulate, a->a->dtype, elements(a->a));
}

struct tt_tensor *tt_op_scale(struct tt_compute *c, struct tt_tensor *x, float factor) {
  double start = tt_op_start(c);
  struct tt_tensor *y = like(c, x, NULL);
  tt_block_axpby(y->data, x->data, factor, NULL, 0, false, x->dtype, elements(x));
  push(c, TT_OP_scale, scale_backward, (struct element_args){.a = x, .y = y, .p = factor});
  tt_op_stop(c, TT_OP_scale, start, 0);
  return y;
}

static void mul_backward(struct tt_compute *c, const struct tt_node *node) {
  const struct element_args *a = node->args;
  const void *dy = tt_grad_of(a->y);
  bool accumulate;
  void *da = tt_grad_target(c, a->a, &accumulate);
  if (da)
    tt_block_mul(da, dy, a->b->data, accumulate, a->y->dtype, elements(a->y));
  void *db = tt_grad_target(c, a->b, &accumulate);
  if (db)
    tt_block_mul(db, dy, a->a->data, accumulate, a->y->dtype, elements(a->y));
}

struct tt_tensor *tt_op_mul(struct tt_compute *c, struct tt_tensor *a, struct tt_tensor *b) {
  double start = tt_op_start(c);
  struct tt_tensor *y = like(c, a, b);
  tt_block_mul(y->data, a->data, b->data, false, a->dtype, elements(a));
  push(c, TT_OP_mul, mul_backward, (struct element_args){.a = a, .b = b, .y = y});
  tt_op_stop(c, TT_OP_mul, start, 0);
  return y;
}

static void activation_backward(struct tt_compute *c, const struct tt_node *node) {
  const struct element_args *a = node->args;
  bool accumulate;
  void *dx = tt_grad_target(c, a->a, &accumulate);
  if (dx)
    tt_block_activation_backward(dx, tt_grad_of(a->y), a->a->data, a->act, accumulate, a->a->dtype,
                                 elements(a->a));
}

struct tt_tensor *tt_op_activation(struct tt_compute *c, struct tt_tensor *x, enum tt_act act) {
  double start = tt_op_start(c);
  struct tt_tensor *y = like(c, x, NULL);
  tt_block_activation(y->data, x->data, act, x->dtype, elements(x));
  push(c, TT_OP_activation, activation_backward, (struct element_args){.a = x, .y = y, .act = act});
  tt_op_stop(c, TT_OP_activation, start, 0);
  return y;
}

static void dropout_backward(struct tt_compute *c, const struct tt_node *node) {
  const struct element_args *a = node->args;
  bool accumulate;
  void *dx = tt_grad_target(c, a->a, &accumulate);
  if (dx)
    tt_block_dropout(dx, tt_grad_of(a->y), a->p, c->seed, a->stream, accumulate, a->a->dtype,
                     elements(a->a));
}

struct tt_tensor *tt_op_dropout(struct tt_compute *c, struct tt_tensor *x, float p) {
  TT_ASSERT(p >= 0 && p < 1);
  if (!c->train || p == 0)
    return x;
  double start = tt_op_start(c);
  struct tt_tensor *y = like(c, x, NULL);
  /* The draw's number within the step in the low 16 bits: 65,536 dropouts a step. */
  uint64_t stream = c->step << 16 | (c->draws++ & 0xffff);
  tt_block_dropout(y->data, x->data, p, c->seed, stream, false, x->dtype, elements(x));
  push(c, TT_OP_dropout, dropout_backward,
       (struct element_args){.a = x, .y = y, .p = p, .stream = stream});
  tt_op_stop(c, TT_OP_dropout, start, 0);
  return y;
}

/* ---- grouped rows ---- */

static void *row_of(void *p, const struct tt_tensor *t, size_t row) {
  return (char *)p + row * t->cols * tt_dtype_size(t->dtype);
}

static const void *row_of_const(const void *p, const struct tt_tensor *t, size_t row) {
  return (const char *)p + row * t->cols * tt_dtype_size(t->dtype);
}

static void axpby_backward(struct tt_compute *c, const struct tt_node *node) {
  const struct element_args *a = node->args;
  struct tt_tensor *const inputs[] = {a->a, a->b};
  const float *const factors[] = {a->pa, a->pb};
  size_t group = a->y->rows / a->groups;
  for (int k = 0; k < 2; k++) {
    bool accumulate;
    void *d = tt_grad_target(c, inputs[k], &accumulate);
    for (size_t g = 0; d && g < a->groups; g++)
      tt_block_axpby(row_of(d, a->y, g * group), row_of_const(tt_grad_of(a->y), a->y, g * group),
                     factors[k][g], NULL, 0, accumulate, a->y->dtype, group * a->y->cols);
  }
}

struct tt_tensor *tt_op_axpby(struct tt_compute *c, struct tt_tensor *x, struct tt_tensor *y,
                              const float *a, const float *b, size_t groups) {
  TT_ASSERT(groups > 0 && x->rows % groups == 0);
  double start = tt_op_start(c);
  struct tt_tensor *z = like(c, x, y);
  size_t group = x->rows / groups;
  for (size_t g = 0; g < groups; g++)
    tt_block_axpby(row_of(z->data, x, g * group), row_of_const(x->data, x, g * group), a[g],
                   row_of_const(y->data, x, g * group), b[g], false, x->dtype, group * x->cols);
  float *kept = tt_arena(c, 2 * groups, sizeof *kept);
  memcpy(kept, a, groups * sizeof *kept);
  memcpy(kept + groups, b, groups * sizeof *kept);
  push(c, TT_OP_axpby, axpby_backward,
       (struct element_args){
           .a = x, .b = y, .y = z, .pa = kept, .pb = kept + groups, .groups = groups});
  tt_op_stop(c, TT_OP_axpby, start, 0);
  return z;
}

static void add_rows_backward(struct tt_compute *c, const struct tt_node *node) {
  const struct element_args *a = node->args;
  const struct tt_tensor *x = a->y, *rows = a->b;
  tt_grad_pass(c, a->a, a->y);
  bool accumulate;
  void *dg = tt_grad_target(c, a->b, &accumulate);
  if (!dg)
    return;
  const void *dy = tt_grad_of(a->y);
  const size_t group = x->rows / rows->rows, cols = x->cols, size = tt_dtype_size(x->dtype);
#pragma omp parallel for schedule(static) if (elements(x) > TT_PARALLEL_ELEMENTS)
  for (size_t g = 0; g < rows->rows; g++)
    for (size_t first = 0; first < cols; first += TT_BLOCK) {
      float sum[TT_BLOCK] = {0}, u[TT_BLOCK];
      size_t n = cols - first < TT_BLOCK ? cols - first : TT_BLOCK;
      char *to = (char *)dg + (g * cols + first) * size;
      if (accumulate)
        tt_convert_to_f32(sum, to, x->dtype, n);
      for (size_t i = 0; i < group; i++) {
        tt_convert_to_f32(u, (const char *)dy + ((g * group + i) * cols + first) * size, x->dtype,
                          n);
        for (size_t j = 0; j < n; j++)
          sum[j] += u[j];
      }
      tt_convert_from_f32(to, x->dtype, sum, n);
    }
}

struct tt_tensor *tt_op_add_rows(struct tt_compute *c, struct tt_tensor *x, struct tt_tensor *g) {
  TT_ASSERT(g->rows > 0 && x->rows % g->rows == 0 && g->cols == x->cols && g->dtype == x->dtype);
  double start = tt_op_start(c);
  struct tt_tensor *y = like(c, x, NULL);
  y->needs_grad = x->needs_grad || g->needs_grad;
  const size_t group = x->rows / g->rows, cols = x->cols, size = tt_dtype_size(x->dtype);
#pragma omp parallel for schedule(static) if (elements(x) > TT_PARALLEL_ELEMENTS)
  for (size_t i = 0; i < x->rows; i++) {
    memcpy(row_of(y->data, x, i), row_of(x->data, x, i), cols * size);
    tt_block_copy_columns(row_of(y->data, x, i), 0, row_of(g->data, g, i / group), 0, 1, cols, true,
                          x->dtype);
  }
  push(c, TT_OP_add_rows, add_rows_backward, (struct element_args){.a = x, .b = g, .y = y});
  tt_op_stop(c, TT_OP_add_rows, start, 0);
  return y;
}

/* ---- columns ---- */

struct columns_args {
  struct tt_tensor **parts, *whole; /* slice: parts[0] is the output, whole the input */
  size_t n, first;
};

static void concat_backward(struct tt_compute *c, const struct tt_node *node) {
  const struct columns_args *a = node->args;
  const enum tt_dtype dtype = a->whole->dtype;
  const char *dy = tt_grad_of(a->whole);
  for (size_t k = 0; k < a->n; k++) {
    bool accumulate;
    void *d = tt_grad_target(c, a->parts[k], &accumulate);
    if (d)
      tt_block_copy_columns(d, a->parts[k]->cols, dy, a->whole->cols, a->whole->rows,
                            a->parts[k]->cols, accumulate, dtype);
    dy += a->parts[k]->cols * tt_dtype_size(dtype);
  }
}

struct tt_tensor *tt_op_concat(struct tt_compute *c, struct tt_tensor *const *parts, size_t n) {
  TT_ASSERT(n > 0);
  double start = tt_op_start(c);
  size_t cols = 0;
  bool needs_grad = false;
  for (size_t k = 0; k < n; k++) {
    TT_ASSERT(parts[k]->rows == parts[0]->rows && parts[k]->dtype == parts[0]->dtype);
    cols += parts[k]->cols;
    needs_grad = needs_grad || parts[k]->needs_grad;
  }
  struct tt_tensor *y = tt_tensor_new(c, parts[0]->dtype, parts[0]->rows, cols);
  y->needs_grad = needs_grad;
  char *to = y->data;
  struct columns_args *args = tt_arena(c, 1, sizeof *args);
  *args = (struct columns_args){tt_arena(c, n, sizeof(struct tt_tensor *)), y, n, 0};
  for (size_t k = 0; k < n; k++) {
    args->parts[k] = parts[k];
    tt_block_copy_columns(to, cols, parts[k]->data, parts[k]->cols, y->rows, parts[k]->cols, false,
                          y->dtype);
    to += parts[k]->cols * tt_dtype_size(y->dtype);
  }
  tt_tape_push(c, TT_OP_concat, concat_backward, args, y, NULL);
  tt_op_stop(c, TT_OP_concat, start, 0);
  return y;
}

static void slice_backward(struct tt_compute *c, const struct tt_node *node) {
  const struct columns_args *a = node->args;
  struct tt_tensor *x = a->whole, *y = a->parts[0];
  bool accumulate;
  char *dx = tt_grad_target(c, x, &accumulate);
  if (!dx)
    return;
  if (!accumulate)
    tt_block_zero(dx, elements(x) * tt_dtype_size(x->dtype));
  tt_block_copy_columns(dx + a->first * tt_dtype_size(x->dtype), x->cols, tt_grad_of(y), y->cols,
                        x->rows, y->cols, accumulate, x->dtype);
}

struct tt_tensor *tt_op_slice(struct tt_compute *c, struct tt_tensor *x, size_t first,
                              size_t cols) {
  TT_ASSERT(cols > 0 && first < x->cols && cols <= x->cols - first);
  double start = tt_op_start(c);
  struct tt_tensor *y = tt_tensor_new(c, x->dtype, x->rows, cols);
  y->needs_grad = x->needs_grad;
  tt_block_copy_columns(y->data, cols, (const char *)x->data + first * tt_dtype_size(x->dtype),
                        x->cols, x->rows, cols, false, x->dtype);
  struct columns_args *args = tt_arena(c, 1, sizeof *args);
  *args = (struct columns_args){tt_arena(c, 1, sizeof(struct tt_tensor *)), x, 1, first};
  args->parts[0] = y;
  tt_tape_push(c, TT_OP_slice, slice_backward, args, y, NULL);
  tt_op_stop(c, TT_OP_slice, start, 0);
  return y;
}
