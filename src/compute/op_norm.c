/* norm: residual, layer norm and modulation in one pass over the rows. */
#include "compute/block.h"
#include "compute/kernels.h"

struct norm_args {
  struct tt_tensor *x, *h, *y; /* h is x without residual */
  struct tt_norm_spec spec;
  struct tt_k_norm forward;
};

static const void *mod_column(const struct tt_norm_spec *spec, size_t column) {
  if (!spec->mod || column == TT_NO_COLUMN)
    return NULL;
  return (const char *)spec->mod->data + column * tt_dtype_size(spec->mod->dtype);
}

/* Adds f32 [groups, d] to columns of the modulation's gradient. */
static void add_to_mod(void *dmod, const struct tt_tensor *mod, size_t column, size_t d,
                       const float *grad) {
  if (!grad)
    return;
  float sum[TT_BLOCK];
  for (size_t g = 0; g < mod->rows; g++)
    for (size_t first = 0; first < d; first += TT_BLOCK) {
      size_t n = d - first < TT_BLOCK ? d - first : TT_BLOCK;
      char *to = (char *)dmod + (g * mod->cols + column + first) * tt_dtype_size(mod->dtype);
      tt_convert_to_f32(sum, to, mod->dtype, n);
      for (size_t j = 0; j < n; j++)
        sum[j] += grad[g * d + first + j];
      tt_convert_from_f32(to, mod->dtype, sum, n);
    }
}

static void norm_backward(struct tt_compute *c, const struct tt_node *node) {
  const struct norm_args *a = node->args;
  const struct tt_norm_spec *spec = &a->spec;
  const size_t d = a->x->cols;
  struct tt_k_norm_backward k = {.forward = a->forward, .dy = tt_grad_of(a->y)};
  if (spec->residual) {
    /* The gradient of h is completed in place and handed to x (and r, when it has no gate). */
    bool had;
    k.dx = tt_grad_target(c, a->h, &had);
    k.dh = had ? k.dx : NULL;
    if (k.forward.gate)
      k.dr = tt_grad_target(c, spec->residual, &k.dr_accumulate);
  } else {
    k.dx = tt_grad_target(c, a->x, &k.dx_accumulate);
  }
  k.dgamma = spec->gamma ? spec->gamma->grad : NULL;
  k.dbeta = spec->beta ? spec->beta->grad : NULL;
  bool mod = spec->mod && spec->mod->needs_grad;
  size_t groups = a->x->rows / a->forward.group;
  if (mod && k.forward.gate)
    k.dgate = tt_arena(c, groups * d, sizeof(float));
  if (mod && k.forward.shift)
    k.dshift = tt_arena(c, groups * d, sizeof(float));
  if (mod && k.forward.scale)
    k.dscale = tt_arena(c, groups * d, sizeof(float));
  c->kernels->norm_backward(&k);
  if (mod) {
    bool accumulate;
    void *dmod = tt_grad_target(c, spec->mod, &accumulate);
    if (!accumulate)
      tt_block_zero(dmod, spec->mod->rows * spec->mod->cols * tt_dtype_size(spec->mod->dtype));
    add_to_mod(dmod, spec->mod, spec->gate, d, k.dgate);
    add_to_mod(dmod, spec->mod, spec->shift, d, k.dshift);
    add_to_mod(dmod, spec->mod, spec->scale, d, k.dscale);
  }
  if (spec->residual) {
    tt_grad_pass(c, a->x, a->h);
    if (!k.forward.gate)
      tt_grad_pass(c, spec->residual, a->h);
  }
}

struct tt_tensor *tt_op_norm(struct tt_compute *c, struct tt_tensor *x,
                             const struct tt_norm_spec *spec, struct tt_tensor **ret_h) {
  const size_t d = x->cols;
  const struct tt_tensor *r = spec->residual, *mod = spec->mod;
  TT_ASSERT(x->dtype == c->dtype);
  TT_ASSERT(!r || (r->rows == x->rows && r->cols == d && r->dtype == x->dtype));
  TT_ASSERT(!spec->gamma || spec->gamma->rows * spec->gamma->cols == d);
  TT_ASSERT(!spec->beta || spec->beta->rows * spec->beta->cols == d);
  TT_ASSERT(!mod || (mod->dtype == x->dtype && mod->rows > 0 && x->rows % mod->rows == 0));
  const size_t columns[] = {spec->gate, spec->shift, spec->scale};
  for (size_t i = 0; mod && i < 3; i++)
    TT_ASSERT(columns[i] == TT_NO_COLUMN ||
              (columns[i] < mod->cols && d <= mod->cols - columns[i]));
  double start = tt_op_start(c);
  struct norm_args *args = tt_arena(c, 1, sizeof *args);
  struct tt_tensor *y = tt_tensor_new(c, x->dtype, x->rows, d);
  struct tt_tensor *h = r ? tt_tensor_new(c, x->dtype, x->rows, d) : x;
  y->needs_grad = x->needs_grad || (r && r->needs_grad) || (mod && mod->needs_grad) ||
                  spec->gamma || spec->beta;
  if (r)
    h->needs_grad = y->needs_grad;
  *args = (struct norm_args){.x = x,
                             .h = h,
                             .y = y,
                             .spec = *spec,
                             .forward = {.dtype = x->dtype,
                                         .rows = x->rows,
                                         .d = d,
                                         .x = x->data,
                                         .residual = r ? r->data : NULL,
                                         .gamma = spec->gamma ? spec->gamma->data : NULL,
                                         .beta = spec->beta ? spec->beta->data : NULL,
                                         .gate = r ? mod_column(spec, spec->gate) : NULL,
                                         .shift = mod_column(spec, spec->shift),
                                         .scale = mod_column(spec, spec->scale),
                                         .group = mod ? x->rows / mod->rows : x->rows,
                                         .mod_stride = mod ? mod->cols : 0,
                                         .h = h->data,
                                         .y = y->data,
                                         .mean = tt_arena(c, x->rows, sizeof(float)),
                                         .rstd = tt_arena(c, x->rows, sizeof(float))}};
  c->kernels->norm_forward(&args->forward);
  tt_tape_push(c, TT_OP_norm, norm_backward, args, y, r ? h : NULL);
  if (ret_h)
    *ret_h = h;
  tt_op_stop(c, TT_OP_norm, start, 0);
  return y;
}
