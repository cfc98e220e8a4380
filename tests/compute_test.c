/* Every op: gradient check, and every kernel set against the reference on odd shapes. */
#include "gradcheck.h"

#define VARIANTS 4
static const size_t ROWS[VARIANTS] = {6, 1, 13, 70};

#define FORWARD(name)                                                                              \
  static struct tt_tensor *forward_##name(struct tt_compute *c,                                    \
                                          __attribute__((unused)) struct fixture *f,               \
                                          __attribute__((unused)) struct tt_tensor **x)
#define SETUP(name) static void setup_##name(struct fixture *f)

/* ---- linear ---- */
struct linear_extra {
  struct tt_param *w, *b;
};
/* Odd and tiny shapes; more rows than a task, a chunk of the weight gradient, or a panel holds. */
#define LINEAR_VARIANTS 8
static const struct {
  size_t rows, in, out;
  enum tt_act act;
  bool bias, wide;
} LINEAR[LINEAR_VARIANTS] = {
    {6, 6, 4, TT_ACT_NONE, true, false},
    {1, 5, 1, TT_ACT_GELU, false, false},
    {13, 17, 31, TT_ACT_NONE, true, true},
    {70, 96, 130, TT_ACT_NONE, true, false},
    {13, 64, 100, TT_ACT_GELU, true, false},
    {67, 18, 33, TT_ACT_SILU, true, false},
    {301, 70, 66, TT_ACT_GELU, true, false},
    {2050, 8, 1024, TT_ACT_SILU, true, false}, /* results that bypass the caches */
};
SETUP(linear) {
  fixture_input(f, LINEAR[f->variant].rows, LINEAR[f->variant].in);
  struct linear_extra *e = f->extra = malloc(sizeof *e);
  const size_t out = LINEAR[f->variant].out;
  e->w = tt_params_add(&f->params, TT_INIT_ZERO, 0, true, out, LINEAR[f->variant].in, "w");
  e->b = LINEAR[f->variant].bias ? tt_params_add(&f->params, TT_INIT_ZERO, 0, false, 1, out, "b")
                                 : NULL;
}
FORWARD(linear) {
  struct linear_extra *e = f->extra;
  if (LINEAR[f->variant].wide)
    return tt_op_linear_f32(c, x[0], e->w, e->b);
  return tt_op_linear(c, x[0], e->w, e->b, LINEAR[f->variant].act);
}

/* ---- norm: plain affine; residual; residual and all modulations in groups; no affine ---- */
struct norm_extra {
  struct tt_param *gamma, *beta;
};
SETUP(norm) {
  static const size_t d[] = {8, 5, 17, 64};
  size_t rows = f->variant == 2 ? 12 : ROWS[f->variant], width = d[f->variant];
  struct norm_extra *e = f->extra = calloc(1, sizeof *e);
  fixture_input(f, rows, width);
  if (f->variant != 3) {
    e->gamma = tt_params_add(&f->params, TT_INIT_ONE, 0, false, 1, width, "gamma");
    e->beta = tt_params_add(&f->params, TT_INIT_ZERO, 0, false, 1, width, "beta");
  }
  if (f->variant > 0)
    fixture_input(f, rows, width);
  if (f->variant > 1)
    fixture_input(f, f->variant == 2 ? 4 : 10, 3 * width + 1);
}
FORWARD(norm) {
  struct norm_extra *e = f->extra;
  size_t d = x[0]->cols;
  struct tt_norm_spec spec = {.gamma = e->gamma, .beta = e->beta};
  if (f->variant > 0)
    spec.residual = x[1];
  if (f->variant > 1) {
    spec.mod = x[2];
    spec.shift = 0;
    spec.scale = d + 1;
    spec.gate = f->variant == 2 ? 2 * d + 1 : TT_NO_COLUMN;
  }
  struct tt_tensor *h, *y = tt_op_norm(c, x[0], &spec, &h);
  /* h used again, as a residual stream is. */
  return f->variant == 1 ? tt_op_mul(c, y, h) : tt_op_add(c, y, tt_op_scale(c, h, 0.5f));
}

/* ---- embed ---- */
struct embed_extra {
  struct tt_param *tables[3];
  int32_t ids[70 * 3];
};
SETUP(embed) {
  struct embed_extra *e = f->extra = malloc(sizeof *e);
  static const size_t d[] = {4, 1, 33, 130};
  for (size_t k = 0; k < 3; k++)
    e->tables[k] =
        tt_params_add(&f->params, TT_INIT_NORMAL, 1, false, 3 + k, d[f->variant], "t%zu", k);
  for (size_t i = 0; i < 70 * 3; i++)
    e->ids[i] = (int32_t)tt_rng_below(&f->rng, 4 + i % 3) - 1;
  e->ids[0] = 1;
}
FORWARD(embed) {
  struct embed_extra *e = f->extra;
  return tt_op_embed(c, e->tables, 3, e->ids, ROWS[f->variant]);
}

/* ---- attention: head widths, lengths across tiles, every mask ---- */
#define ATTENTION_VARIANTS 9
static const struct tt_attention_spec ATTENTION[ATTENTION_VARIANTS] = {
    {.batch = 2, .length = 5, .heads = 2, .mask = TT_MASK_NONE},
    {.batch = 1, .length = 1, .heads = 1, .mask = TT_MASK_CAUSAL},
    {.batch = 1, .length = 7, .heads = 3, .mask = TT_MASK_WINDOW, .window = 3},
    {.batch = 1, .length = 67, .heads = 1, .mask = TT_MASK_BLOCK_CAUSAL, .block = 5},
    {.batch = 1, .length = 131, .heads = 2, .mask = TT_MASK_CAUSAL},
    {.batch = 1, .length = 131, .heads = 1, .mask = TT_MASK_WINDOW_BOTH, .window = 9},
    {.batch = 1, .length = 97, .heads = 2, .mask = TT_MASK_NONE},
    {.batch = 1, .length = 150, .heads = 1, .mask = TT_MASK_WINDOW, .window = 70},
    {.batch = 2, .length = 64, .heads = 2, .mask = TT_MASK_BLOCK_CAUSAL, .block = 16},
};
static const size_t HEAD[ATTENTION_VARIANTS] = {4, 3, 8, 32, 32, 16, 64, 32, 48};
SETUP(attention) {
  const struct tt_attention_spec *s = &ATTENTION[f->variant];
  fixture_input(f, s->batch * s->length, 3 * s->heads * HEAD[f->variant]);
}
FORWARD(attention) {
  return tt_op_attention(c, x[0], &ATTENTION[f->variant]);
}

/* ---- rotary ---- */
SETUP(rotary) {
  fixture_input(f, f->variant == 1 ? 1 : 12, 3 * 2 * (4 + 2 * (size_t)f->variant));
}
FORWARD(rotary) {
  struct tt_tensor *y = tt_op_rotary(c, x[0], x[0]->rows == 1 ? 1 : 6, 2, (size_t)f->variant);
  return f->variant == 2 ? tt_op_add(c, x[0], y) : y; /* gradient reaches x twice */
}

/* ---- lstm: one position; many; a state before the first ---- */
static const struct {
  size_t batch, length, d;
  bool state;
} LSTM[VARIANTS] = {{2, 3, 4, false}, {1, 1, 5, true}, {3, 5, 17, true}, {5, 14, 66, false}};
struct lstm_extra {
  struct tt_param *w;
  float h[3 * 17], cell[3 * 17];
};
SETUP(lstm) {
  const size_t d = LSTM[f->variant].d;
  struct lstm_extra *e = f->extra = calloc(1, sizeof *e);
  for (size_t i = 0; i < 3 * 17; i++) {
    e->h[i] = tt_bf16_to_f32(tt_bf16_from_f32((float)tt_rng_normal(&f->rng) / 2));
    e->cell[i] = (float)tt_rng_normal(&f->rng);
  }
  fixture_input(f, LSTM[f->variant].batch * LSTM[f->variant].length, 4 * d);
  e->w = tt_params_add(&f->params, TT_INIT_ZERO, 0, true, 4 * d, d, "w");
}
FORWARD(lstm) {
  struct lstm_extra *e = f->extra;
  const size_t batch = LSTM[f->variant].batch, d = LSTM[f->variant].d;
  struct tt_lstm_state state;
  if (!LSTM[f->variant].state) {
    struct tt_tensor *y = tt_op_lstm(c, x[0], batch, e->w, NULL);
    return f->variant ? y : tt_op_add(c, y, tt_op_lstm(c, x[0], batch, e->w, NULL)); /* x0 twice */
  }
  assert_int_equal(tt_lstm_state_create(batch, d, &state), TT_OK);
  memcpy(state.h, e->h, batch * d * sizeof *e->h);
  memcpy(state.cell, e->cell, batch * d * sizeof *e->cell);
  struct tt_tensor *y = tt_op_lstm(c, x[0], batch, e->w, &state);
  tt_lstm_state_release(&state);
  return y;
}

/* ---- convolution: one sequence and several, shorter than the kernel, across tiles ---- */
#define CONV_VARIANTS 7
static const struct {
  size_t batch, length, in, out, kernel, stride;
  enum tt_act act;
  bool bias;
} CONV[CONV_VARIANTS] = {
    {2, 5, 4, 3, 3, 1, TT_ACT_NONE, true},     {3, 7, 2, 5, 3, 2, TT_ACT_SILU, false},
    {2, 3, 3, 4, 9, 1, TT_ACT_GELU, true},     {4, 1, 6, 2, 1, 2, TT_ACT_NONE, true},
    {2, 9, 3, 3, 1, 2, TT_ACT_NONE, false},    {3, 401, 8, 10, 5, 1, TT_ACT_NONE, true},
    {7, 260, 16, 34, 3, 2, TT_ACT_SILU, true},
};
SETUP(conv1d) {
  const size_t in = CONV[f->variant].in, out = CONV[f->variant].out;
  fixture_input(f, CONV[f->variant].batch * CONV[f->variant].length, in);
  struct linear_extra *e = f->extra = calloc(1, sizeof *e);
  e->w = tt_params_add(&f->params, TT_INIT_ZERO, 0, true, out, CONV[f->variant].kernel * in, "w");
  if (CONV[f->variant].bias)
    e->b = tt_params_add(&f->params, TT_INIT_ZERO, 0, false, 1, out, "b");
}
FORWARD(conv1d) {
  struct linear_extra *e = f->extra;
  struct tt_tensor *y = tt_op_conv1d(c, x[0], CONV[f->variant].batch, CONV[f->variant].kernel,
                                     CONV[f->variant].stride, e->w, e->b, CONV[f->variant].act);
  return CONV[f->variant].stride == 1 && x[0]->cols == y->cols ? tt_op_add(c, x[0], y) : y;
}

static const size_t GROUPED[VARIANTS][4] = {/* batch, length, d, groups */
                                            {2, 3, 6, 3},
                                            {1, 2, 5, 1},
                                            {3, 70, 8, 2},
                                            {1, 65, 20, 4}};
SETUP(group_norm) {
  const size_t *s = GROUPED[f->variant];
  struct norm_extra *e = f->extra = calloc(1, sizeof *e);
  fixture_input(f, s[0] * s[1], s[2]);
  for (size_t i = 0; i < s[0] * s[1] * s[2]; i++) /* a mean that isn't zero */
    f->inputs[0].data[i] += (float)(i % 4);
  e->gamma = tt_params_add(&f->params, TT_INIT_ONE, 0, false, 1, s[2], "gamma");
  e->beta = tt_params_add(&f->params, TT_INIT_ZERO, 0, false, 1, s[2], "beta");
}
FORWARD(group_norm) {
  struct norm_extra *e = f->extra;
  const size_t *s = GROUPED[f->variant];
  const enum tt_act act = (enum tt_act[]){TT_ACT_NONE, TT_ACT_GELU, TT_ACT_SILU}[f->variant % 3];
  struct tt_tensor *y = tt_op_group_norm(c, x[0], s[0], s[3], e->gamma, e->beta, act);
  return f->variant == 2 ? tt_op_add(c, x[0], y) : y; /* gradient reaches x twice */
}

/* Lengths of the input and the output of upsample; 3 sequences. */
static const size_t UPSAMPLED[VARIANTS][2] = {{4, 8}, {1, 1}, {5, 9}, {24, 47}};
SETUP(upsample) {
  fixture_input(f, 3 * UPSAMPLED[f->variant][0], 3 + 20 * (size_t)f->variant);
}
FORWARD(upsample) {
  struct tt_tensor *y = tt_op_upsample(c, x[0], 3, UPSAMPLED[f->variant][1]);
  return f->variant == 1 ? tt_op_add(c, x[0], y) : y;
}
SETUP(max_pool) {
  fixture_input(f, ROWS[f->variant], 3 + (size_t)f->variant);
}
FORWARD(max_pool) {
  const size_t batch = (size_t[]){2, 1, 13, 5}[f->variant];
  struct tt_tensor *y = tt_op_max_pool(c, x[0], batch);
  return tt_op_add_rows(c, x[0], y);
}

/* ---- losses ---- */
struct loss_extra {
  struct tt_param *w, *b;
  int32_t targets[70];
  float weights[70];
};
static const size_t CLASSES[VARIANTS] = {5, 2, 37, 130};
static void loss_setup(struct fixture *f) {
  struct loss_extra *e = f->extra = calloc(1, sizeof *e);
  for (size_t i = 0; i < 70; i++) {
    e->targets[i] = i % 5 == 3 ? -1 : (int32_t)tt_rng_below(&f->rng, CLASSES[f->variant]);
    e->weights[i] = (float)tt_rng_uniform(&f->rng) * 10;
  }
}
SETUP(head_loss) {
  loss_setup(f);
  struct loss_extra *e = f->extra;
  size_t d = f->variant == 3 ? 64 : 7;
  fixture_input(f, ROWS[f->variant], d);
  e->w = tt_params_add(&f->params, TT_INIT_ZERO, 0, true, CLASSES[f->variant], d, "w");
  if (f->variant != 2)
    e->b = tt_params_add(&f->params, TT_INIT_ZERO, 0, false, 1, CLASSES[f->variant], "b");
}
FORWARD(head_loss) {
  struct loss_extra *e = f->extra;
  float factor = (float)ROWS[f->variant] / 2;
  struct tt_tensor *loss =
      tt_op_head_loss(c, x[0], e->w, e->b, e->targets, f->variant ? e->weights : NULL, 0, NULL);
  return tt_op_sum(c, &loss, &factor, 1);
}
SETUP(cross_entropy) {
  loss_setup(f);
  fixture_input(f, ROWS[f->variant], CLASSES[f->variant]);
}
FORWARD(cross_entropy) {
  struct loss_extra *e = f->extra;
  struct tt_tensor *loss = tt_op_cross_entropy(c, x[0], e->targets, f->variant ? e->weights : NULL,
                                               f->variant == 2 ? 30 : 0);
  float factor = (float)ROWS[f->variant] / 2;
  return tt_op_sum(c, &loss, &factor, 1);
}
struct prior_extra {
  struct tt_param *w, *b;
  float prior[70 * 129];
};
SETUP(prior) { /* the last column of the product is the gate */
  struct prior_extra *e = f->extra = malloc(sizeof *e);
  size_t d = f->variant == 3 ? 64 : 7, columns = CLASSES[f->variant];
  fixture_input(f, ROWS[f->variant], d);
  e->w = tt_params_add(&f->params, TT_INIT_ZERO, 0, true, columns, d, "w");
  e->b = tt_params_add(&f->params, TT_INIT_ZERO, 0, false, 1, columns, "b");
  for (size_t i = 0; i < ROWS[f->variant] * (columns - 1); i++)
    e->prior[i] = -3 * (float)tt_rng_uniform(&f->rng);
}
FORWARD(prior) {
  struct prior_extra *e = f->extra;
  struct tt_tensor *x0 = tt_op_linear_f32(c, x[0], e->w, e->b);
  return f->variant == 2 ? tt_op_add(c, tt_op_prior(c, x0, e->prior),
                                     tt_op_prior(c, x0, e->prior)) /* x0 is used twice */
                         : tt_op_prior(c, x0, e->prior);
}
SETUP(mse) {
  loss_setup(f);
  fixture_input(f, ROWS[f->variant], 1 + (size_t)f->variant * 3);
}
FORWARD(mse) {
  struct loss_extra *e = f->extra;
  float target[70 * 10] = {0.5f, -1};
  struct tt_tensor *loss = tt_op_mse(c, x[0], target, f->variant ? e->weights : NULL);
  float factor = (float)ROWS[f->variant];
  return tt_op_sum(c, &loss, &factor, 1);
}

/* ---- elementwise ---- */
static void one_input(struct fixture *f) {
  fixture_input(f, ROWS[f->variant], 3 + (size_t)f->variant);
}
static void two_inputs(struct fixture *f) {
  one_input(f);
  one_input(f);
}
#define setup_add two_inputs
FORWARD(add) {
  /* x0 reaches the sum three times: shared gradients are copied before they are added to. */
  return tt_op_add(c, tt_op_add(c, x[0], x[1]), tt_op_add(c, x[0], tt_op_scale(c, x[0], -3)));
}
SETUP(add_rows) {
  fixture_input(f, 12, 5);
  fixture_input(f, (size_t[]){1, 2, 3, 12}[f->variant], 5);
}
FORWARD(add_rows) {
  return tt_op_add_rows(c, x[0], x[1]);
}
#define setup_scale one_input
FORWARD(scale) {
  return tt_op_scale(c, x[0], 1.5f);
}
#define setup_mul two_inputs
FORWARD(mul) {
  return tt_op_mul(c, tt_op_mul(c, x[0], x[1]), x[0]);
}
#define setup_activation one_input
FORWARD(activation) {
  static const enum tt_act acts[] = {TT_ACT_SILU, TT_ACT_GELU, TT_ACT_RELU, TT_ACT_SIGMOID};
  return tt_op_activation(c, x[0], acts[f->variant]);
}
#define setup_dropout one_input
FORWARD(dropout) {
  return tt_op_dropout(c, x[0], 0.3f);
}
#define setup_axpby two_inputs
FORWARD(axpby) {
  size_t groups = x[0]->rows % 2 ? 1 : 2;
  return tt_op_axpby(c, x[0], x[1], (float[]){0.5f, 2}, (float[]){-1, 0.25f}, groups);
}
SETUP(concat) {
  for (size_t k = 0; k < 3; k++)
    fixture_input(f, ROWS[f->variant], 2 * k + 1);
}
FORWARD(concat) {
  return tt_op_mul(c, tt_op_concat(c, (struct tt_tensor *[]){x[0], x[1], x[2]}, 3),
                   tt_op_concat(c, (struct tt_tensor *[]){x[1], x[0], x[2]}, 3));
}
SETUP(slice) {
  fixture_input(f, ROWS[f->variant], 7);
}
FORWARD(slice) {
  return tt_op_mul(c, tt_op_slice(c, x[0], 1, 3), tt_op_slice(c, x[0], 4, 3));
}
SETUP(gather) {
  fixture_input(f, ROWS[f->variant], 7);
}
FORWARD(gather) {
  const uint32_t last = (uint32_t)x[0]->rows - 1, rows[] = {last, 0, last, last / 2, 0};
  return tt_op_mul(c, tt_op_gather(c, x[0], rows, 4), tt_op_gather(c, x[0], rows + 1, 4));
}
#define setup_sum one_input
FORWARD(sum) {
  float zero[700] = {0};
  struct tt_tensor *a = tt_op_mse(c, x[0], zero, NULL), *b = tt_op_mse(c, x[0], zero, NULL);
  return tt_op_sum(c, (struct tt_tensor *[]){a, b, a}, (float[]){1, 4, 2}, 3);
}

static const struct {
  void (*setup)(struct fixture *f);
  struct tt_tensor *(*forward)(struct tt_compute *c, struct fixture *f, struct tt_tensor **x);
} CHECKS[TT_OP_COUNT] = {
#define X(name) {setup_##name, forward_##name},
    TT_OPS(X)
#undef X
};

static void prepare(struct fixture *f, size_t op, int variant) {
  fixture_begin(f, variant);
  f->forward = CHECKS[op].forward;
  CHECKS[op].setup(f);
  fixture_build(f);
}

static int variants_of(size_t op) {
  return op == TT_OP_attention ? ATTENTION_VARIANTS
         : op == TT_OP_linear  ? LINEAR_VARIANTS
         : op == TT_OP_conv1d  ? CONV_VARIANTS
                               : VARIANTS;
}

static void test_gradients(void **state) {
  (void)state;
  const struct tt_kernels *const sets[] = {tt_kernels_ref(), tt_kernels_dnn()};
  for (size_t op = 0; op < TT_OP_COUNT; op++)
    for (size_t s = 0; s < 2; s++)
      for (int variant = 0; variant < variants_of(op); variant++) {
        /* Large ones by the quick kernels, or none: the reference is compared with them below. */
        if ((s == 0 && op == TT_OP_attention && variant > 2) ||
            (op == TT_OP_linear && variant == LINEAR_VARIANTS - 1))
          continue;
        struct fixture f;
        prepare(&f, op, variant);
        gradient_check(&f, sets[s], tt_op_name((enum tt_op)op), 12);
        fixture_end(&f);
      }
}

/* f32: differences are of the order of summation. bf16: both sides take the same rounded inputs and
 * round their outputs; intermediate roundings (probabilities, activations) differ. */
static void test_kernels(void **state) {
  (void)state;
  const struct tt_kernels *const sets[] = {tt_kernels_dnn(), tt_kernels_simd()};
  for (size_t op = 0; op < TT_OP_COUNT; op++)
    for (size_t s = 0; s < 2; s++)
      for (int variant = 0; sets[s] && variant < variants_of(op); variant++) {
        struct fixture f;
        prepare(&f, op, variant);
        compare_kernels(&f, sets[s], TT_PRECISION_F32, 2e-5, tt_op_name((enum tt_op)op));
        compare_kernels(&f, sets[s], TT_PRECISION_BF16, 2e-2, tt_op_name((enum tt_op)op));
        fixture_end(&f);
      }
  if (!sets[1])
    print_message("  (no AVX-512 BF16 here: the simd set was not compared)\n");
}

/* A key/value cache gives what the whole sequence gives, whatever the pieces. */
static void test_attention_cache(void **state) {
  (void)state;
  const size_t B = 2, L = 37, H = 2, E = 32, d = H * E;
  struct tt_rng rng;
  tt_rng_init(&rng, 3, 0);
  float *qkv = malloc(B * L * 3 * d * sizeof *qkv), *want = malloc(B * L * d * sizeof *want);
  float *piece = malloc(B * L * 3 * d * sizeof *piece), *got = malloc(B * L * d * sizeof *got);
  for (size_t i = 0; i < B * L * 3 * d; i++)
    qkv[i] = (float)tt_rng_normal(&rng);
  const enum tt_precision precisions[] = {TT_PRECISION_F32, TT_PRECISION_BF16};
  for (int p = 0; p < 2; p++)
    for (int m = 0; m < 3; m++) {
      struct tt_compute *c;
      assert_int_equal(tt_compute_create(precisions[p], 1, &c), TT_OK);
      struct tt_attention_spec spec = {
          .batch = B,
          .length = L,
          .heads = H,
          .block = 5,
          .window = 11,
          .mask = (enum tt_mask[]){TT_MASK_CAUSAL, TT_MASK_BLOCK_CAUSAL, TT_MASK_WINDOW}[m]};
      tt_compute_begin(c, false, 0);
      tt_tensor_read(tt_op_attention(c, tt_input(c, qkv, B * L, 3 * d), &spec), want);
      struct tt_kv_cache cache;
      assert_int_equal(tt_kv_cache_create(c, B, L, d, &cache), TT_OK);
      for (size_t first = 0, n; first < L; first += n) {
        n = L - first < 5 ? L - first : m == 1 ? 5 : 1 + first % 5;
        for (size_t b = 0; b < B; b++)
          memcpy(piece + b * n * 3 * d, qkv + (b * L + first) * 3 * d, n * 3 * d * sizeof *qkv);
        spec.length = n;
        struct tt_tensor *y =
            tt_op_attention_cached(c, tt_input(c, piece, B * n, 3 * d), &spec, &cache);
        tt_tensor_read(y, got);
        for (size_t b = 0; b < B; b++)
          for (size_t i = 0; i < n * d; i++) {
            float w = want[(b * L + first) * d + i], g = got[b * n * d + i];
            assert_true(fabsf(w - g) <= (p ? 2e-2f : 1e-5f));
          }
      }
      tt_kv_cache_release(&cache);
      tt_compute_free(c);
    }
  free(qkv);
  free(want);
  free(piece);
  free(got);
}

/* By hand: zeros beyond the ends, taps in order, every other position; doubling; the first of
 * equal largest. */
static void test_conv_values(void **state) {
  (void)state;
  struct tt_params params;
  tt_params_init(&params);
  struct tt_param *w = tt_params_add(&params, TT_INIT_ZERO, 0, true, 1, 3, "w");
  assert_int_equal(tt_params_build(&params, 1), TT_OK);
  memcpy(w->data, (float[]){100, 10, 1}, 3 * sizeof *w->data);
  tt_params_refresh(&params);
  struct tt_compute *c;
  assert_int_equal(tt_compute_create(TT_PRECISION_F32, 1, &c), TT_OK);
  tt_compute_begin(c, true, 0);
  float y[12];
  struct tt_tensor *x = tt_input_watched(c, (float[]){1, 2, 3, 4, 4, 2}, 6, 1);
  tt_tensor_read(tt_op_conv1d(c, x, 2, 3, 1, w, NULL, TT_ACT_NONE), y);
  assert_memory_equal(y, ((float[]){12, 123, 230, 44, 442, 420}), 6 * sizeof *y);
  tt_tensor_read(tt_op_conv1d(c, x, 2, 3, 2, w, NULL, TT_ACT_NONE), y);
  assert_memory_equal(y, ((float[]){12, 230, 44, 420}), 4 * sizeof *y);
  tt_tensor_read(tt_op_upsample(c, x, 2, 5), y);
  assert_memory_equal(y, ((float[]){1, 1, 2, 2, 3, 4, 4, 4, 4, 2}), 10 * sizeof *y);
  struct tt_tensor *most = tt_op_max_pool(c, x, 2);
  tt_tensor_read(most, y);
  assert_memory_equal(y, ((float[]){3, 4}), 2 * sizeof *y);
  tt_compute_backward(c, tt_op_mse(c, most, (float[]){0, 0}, NULL));
  tt_gradient(x, y);
  assert_memory_equal(y, ((float[]){0, 0, 3, 4, 0, 0}), 6 * sizeof *y);
  tt_compute_free(c);
  tt_params_release(&params);
}

/* Dropout keeps 1-p of the elements, scaled; nothing happens outside training. */
static void test_dropout(void **state) {
  (void)state;
  struct tt_compute *c;
  assert_int_equal(tt_compute_create(TT_PRECISION_F32, 9, &c), TT_OK);
  static float ones[10000], out[10000], other[10000];
  for (size_t i = 0; i < 10000; i++)
    ones[i] = 1;
  tt_compute_begin(c, true, 1);
  struct tt_tensor *x = tt_input(c, ones, 100, 100);
  tt_tensor_read(tt_op_dropout(c, x, 0.25f), out);
  tt_tensor_read(tt_op_dropout(c, x, 0.25f), other);
  size_t kept = 0, same = 0;
  for (size_t i = 0; i < 10000; i++) {
    assert_true(out[i] == 0 || fabsf(out[i] - 4.0f / 3) < 1e-6f);
    kept += out[i] > 0;
    same += out[i] == other[i];
  }
  assert_in_range(kept, 7300, 7700);
  assert_in_range(same, 5900, 6600); /* 0.75^2 + 0.25^2 = 0.625: independent draws */
  tt_compute_begin(c, false, 1);
  x = tt_input(c, ones, 100, 100);
  assert_ptr_equal(tt_op_dropout(c, x, 0.25f), x);
  tt_compute_free(c);
}

/* Row losses and the ignored rows of head_loss by hand. */
static void test_head_loss_values(void **state) {
  (void)state;
  struct tt_params params;
  tt_params_init(&params);
  struct tt_param *w = tt_params_add(&params, TT_INIT_ZERO, 0, true, 2, 1, "w");
  assert_int_equal(tt_params_build(&params, 1), TT_OK);
  w->data[1] = 1; /* logits 0 and x */
  tt_params_refresh(&params);
  struct tt_compute *c;
  assert_int_equal(tt_compute_create(TT_PRECISION_F32, 1, &c), TT_OK);
  tt_compute_begin(c, true, 0);
  float rows[3];
  struct tt_tensor *loss = tt_op_head_loss(c, tt_input(c, (float[]){0, 2, 1}, 3, 1), w, NULL,
                                           (int32_t[]){0, 1, -1}, (float[]){1, 3, 100}, 0, rows);
  assert_true(fabs((double)rows[0] - log(2)) < 1e-6);
  assert_true(fabs((double)rows[1] - log1p(exp(-2))) < 1e-6);
  assert_true(rows[2] == 0);
  assert_true(fabs((double)tt_tensor_value(loss) - (log(2) + 3 * log1p(exp(-2))) / 4) < 1e-6);
  tt_compute_free(c);
  tt_params_release(&params);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_gradients),        cmocka_unit_test(test_kernels),
      cmocka_unit_test(test_attention_cache),  cmocka_unit_test(test_dropout),
      cmocka_unit_test(test_head_loss_values), cmocka_unit_test(test_conv_values),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
