/* Blocks: gradient checks, caches and rings against whole sequences, determinism. */
#include "gradcheck.h"

#include "compute/model_file.h"
#include "compute/optimizer.h"
#include "nn/lstm.h"
#include "nn/transformer.h"
#include "nn/unet.h"

/* ---- gradient checks ---- */
struct block_extra {
  struct tt_transformer transformer;
  struct tt_timestep timestep;
  struct tt_attention_spec spec;
};

static struct tt_tensor *block_forward(struct tt_compute *c, struct fixture *f,
                                       struct tt_tensor **x) {
  struct block_extra *e = f->extra;
  return tt_transformer_forward(c, &e->transformer, x[0], &e->spec,
                                e->transformer.config.d_condition ? x[1] : NULL, NULL);
}

static struct tt_tensor *timestep_forward(struct tt_compute *c, struct fixture *f,
                                          struct tt_tensor **x) {
  struct block_extra *e = f->extra;
  return tt_op_add_rows(c, x[0], tt_timestep_forward(c, &e->timestep, (float[]){3, 400.5f}, 2));
}

static void block_fixture(struct fixture *f, int variant) {
  fixture_begin(f, variant);
  struct block_extra *e = f->extra = calloc(1, sizeof *e);
  static const struct tt_transformer_config configs[] = {
      {.d = 8, .heads = 2, .layers = 2, .hidden = 12, .act = TT_ACT_GELU},
      {.d = 8, .heads = 2, .layers = 2, .d_condition = 6, .rotary = true},
      {.d = 6, .heads = 1, .layers = 1, .d_condition = 3, .act = TT_ACT_SILU, .dropout = 0.2f},
  };
  e->spec = (struct tt_attention_spec){
      .batch = 2, .length = 4, .mask = variant == 0 ? TT_MASK_CAUSAL : TT_MASK_NONE};
  f->forward = block_forward;
  fixture_input(f, 8, configs[variant].d);
  if (configs[variant].d_condition)
    fixture_input(f, variant == 1 ? 2 : 8, configs[variant].d_condition);
  tt_transformer_init(&e->transformer, &f->params, "net", &configs[variant]);
  fixture_build(f);
}

static void test_block_gradients(void **state) {
  (void)state;
  for (int variant = 0; variant < 3; variant++) {
    struct fixture f;
    block_fixture(&f, variant);
    gradient_check(&f, tt_kernels_dnn(), "transformer", 6);
    fixture_end(&f);
  }
  struct fixture f;
  fixture_begin(&f, 0);
  struct block_extra *e = f.extra = calloc(1, sizeof *e);
  f.forward = timestep_forward;
  fixture_input(&f, 6, 5);
  tt_timestep_init(&e->timestep, &f.params, "time", 8, 5);
  fixture_build(&f);
  gradient_check(&f, tt_kernels_dnn(), "timestep", 10);
  fixture_end(&f);
}

static void test_block_kernels(void **state) {
  (void)state;
  for (int variant = 0; variant < 3; variant++) {
    struct fixture f;
    block_fixture(&f, variant);
    compare_kernels(&f, tt_kernels_best(), TT_PRECISION_F32, 1e-5, "transformer");
    compare_kernels(&f, tt_kernels_best(), TT_PRECISION_BF16, 3e-2, "transformer");
    fixture_end(&f);
  }
}

/* ---- U-Net: lengths that halve evenly and not, one level and several, both widths ---- */
struct unet_extra {
  struct tt_unet unet;
};

static struct tt_tensor *unet_forward(struct tt_compute *c, struct fixture *f,
                                      struct tt_tensor **x) {
  struct unet_extra *e = f->extra;
  return tt_unet_forward(c, &e->unet, x[0], x[1]->rows, x[1]);
}

static void unet_fixture(struct fixture *f, int variant) {
  static const struct tt_unet_config configs[] = {
      {.d = 8, .levels = 1, .heads = 2, .d_condition = 3},
      {.d = 4, .levels = 3, .heads = 1, .d_condition = 6},
      {.d = 12, .levels = 4, .heads = 2, .d_condition = 5},
  };
  static const size_t lengths[] = {7, 8, 11};
  fixture_begin(f, variant);
  struct unet_extra *e = f->extra = calloc(1, sizeof *e);
  f->forward = unet_forward;
  fixture_input(f, 2 * lengths[variant], configs[variant].d);
  fixture_input(f, 2, configs[variant].d_condition);
  tt_unet_init(&e->unet, &f->params, "net", &configs[variant]);
  fixture_build(f);
}

static void test_unet(void **state) {
  (void)state;
  for (int variant = 0; variant < 3; variant++) {
    struct fixture f;
    unet_fixture(&f, variant);
    gradient_check(&f, tt_kernels_dnn(), "unet", 3);
    compare_kernels(&f, tt_kernels_best(), TT_PRECISION_F32, 1e-4, "unet");
    compare_kernels(&f, tt_kernels_best(), TT_PRECISION_BF16, 6e-2, "unet");
    fixture_end(&f);
  }
}

/* ---- embeddings, norms: the layers' own wiring ---- */
static void test_layers(void **state) {
  (void)state;
  struct tt_params params;
  tt_params_init(&params);
  struct tt_embedding embedding;
  struct tt_norm norm;
  tt_embedding_init(&embedding, &params, "embed", (const char *[]){"event", "cpu"},
                    (size_t[]){5, 3}, 2, 4, -1);
  tt_norm_init(&norm, &params, "norm", 4);
  assert_int_equal(tt_params_build(&params, 1), TT_OK);
  struct tt_param *event = tt_params_find(&params, "embed.event.weight");
  struct tt_param *cpu = tt_params_find(&params, "embed.cpu.weight");
  assert_non_null(event);
  assert_non_null(cpu);
  assert_null(tt_params_find(&params, "embed.none.weight"));
  struct tt_compute *c;
  assert_int_equal(tt_compute_create(TT_PRECISION_F32, 1, &c), TT_OK);
  tt_compute_begin(c, false, 0);
  float y[8];
  struct tt_tensor *x = tt_embedding_forward(c, &embedding, (int32_t[]){4, 2, 0, -1}, 2);
  tt_tensor_read(x, y);
  for (size_t j = 0; j < 4; j++) {
    assert_true(fabsf(y[j] - (event->data[16 + j] + cpu->data[8 + j])) < 1e-7f);
    assert_true(y[4 + j] == event->data[j]);
  }
  tt_tensor_read(tt_norm_forward(c, &norm, x), y);
  float sum = 0, squares = 0;
  for (size_t j = 0; j < 4; j++) {
    sum += y[j];
    squares += y[j] * y[j];
  }
  assert_true(fabsf(sum) < 1e-5f);
  assert_true(fabsf(squares - 4) < 0.1f); /* epsilon counts: the values are about 0.03 */
  tt_tensor_read(tt_timestep_sinusoid(c, (float[]){2}, 1, 4), y);
  assert_true(fabs((double)y[0] - cos(2)) < 1e-6 && fabs((double)y[3] - sin(0.02)) < 1e-6);
  tt_compute_free(c);
  tt_params_release(&params);
}

/* ---- sampling with caches gives the whole sequence's output ---- */
static void test_caches(void **state) {
  (void)state;
  const size_t B = 2, L = 12, d = 32;
  struct tt_params params;
  tt_params_init(&params);
  struct tt_transformer t;
  tt_transformer_init(
      &t, &params, "net",
      &(struct tt_transformer_config){.d = d, .heads = 2, .layers = 3, .rotary = true});
  assert_int_equal(tt_params_build(&params, 5), TT_OK);
  static float x[2 * 12 * 32], piece[2 * 12 * 32], want[2 * 12 * 32], got[2 * 12 * 32];
  struct tt_rng rng;
  tt_rng_init(&rng, 1, 1);
  for (size_t i = 0; i < B * L * d; i++)
    x[i] = (float)tt_rng_normal(&rng);
  struct tt_compute *c;
  assert_int_equal(tt_compute_create(TT_PRECISION_F32, 1, &c), TT_OK);
  tt_compute_begin(c, false, 0);
  struct tt_attention_spec spec = {.batch = B, .length = L, .mask = TT_MASK_CAUSAL};
  tt_tensor_read(tt_transformer_forward(c, &t, tt_input(c, x, B * L, d), &spec, NULL, NULL), want);
  struct tt_transformer_caches caches;
  assert_int_equal(tt_transformer_caches_create(c, &t, B, L, &caches), TT_OK);
  size_t mark = tt_compute_mark(c);
  for (int round = 0; round < 2; round++) { /* the second time from a truncated cache */
    size_t first = round ? 5 : 0;
    tt_transformer_caches_truncate(&caches, first);
    for (; first < L; first += spec.length) {
      spec.length = first == 0 ? 4 : 1;
      for (size_t b = 0; b < B; b++)
        memcpy(piece + b * spec.length * d, x + (b * L + first) * d, spec.length * d * sizeof *x);
      tt_compute_release_to(c, mark);
      tt_tensor_read(tt_transformer_forward(c, &t, tt_input(c, piece, B * spec.length, d), &spec,
                                            NULL, &caches),
                     got);
      for (size_t b = 0; b < B; b++)
        for (size_t i = 0; i < spec.length * d; i++)
          assert_true(fabsf(got[b * spec.length * d + i] - want[(b * L + first) * d + i]) <= 1e-5f);
    }
  }
  tt_transformer_caches_release(&caches);
  tt_compute_free(c);
  tt_params_release(&params);
}

/* ---- sequences that advance at their own pace give what each would alone ---- */
static void test_rings(void **state) {
  (void)state;
  enum { S = 3, L = 40, MOST = 160, WINDOW = 12, TOGETHER = 5 };
  /* heads of 16 numbers (as many as are computed together), 32 and 24 */
  const struct { size_t d, heads; } shapes[] = {{64, 4}, {160, 5}, {48, 2}};
  for (int variant = 0; variant < 24; variant++) {
    const bool rotary = variant % 2, half = variant / 4 % 2;
    const size_t d = shapes[variant / 8].d;
    const size_t together = variant / 2 % 2 ? TOGETHER : 1;
    const float near = half ? 0.06f : 1e-4f;
    struct tt_params params;
    tt_params_init(&params);
    struct tt_transformer t;
    tt_transformer_init(
        &t, &params, "net",
        &(struct tt_transformer_config){
            .d = d, .heads = shapes[variant / 8].heads, .layers = 3, .rotary = rotary});
    assert_int_equal(tt_params_build(&params, 5), TT_OK);
    static float x[S * L * MOST], want[S * L * MOST];
    static float row[S * TOGETHER * MOST], got[S * TOGETHER * MOST];
    struct tt_rng rng;
    tt_rng_init(&rng, 1, 1);
    for (size_t i = 0; i < S * L * d; i++)
      x[i] = (float)tt_rng_normal(&rng);
    struct tt_compute *c;
    assert_int_equal(tt_compute_create(half ? TT_PRECISION_BF16 : TT_PRECISION_F32, 1, &c), TT_OK);
    tt_compute_begin(c, false, 0);
    struct tt_attention_spec spec = {
        .batch = S, .length = L, .mask = TT_MASK_WINDOW, .window = WINDOW};
    tt_tensor_read(tt_transformer_forward(c, &t, tt_input(c, x, S * L, d), &spec, NULL, NULL),
                   want);
    struct tt_transformer_rings rings;
    assert_int_equal(tt_transformer_rings_create(c, &t, S, WINDOW, together, &rings), TT_OK);
    uint64_t at[S] = {0};
    for (size_t step = 0; at[0] + at[1] + at[2] < S * L; step++) {
      uint32_t slots[S * TOGETHER];
      uint64_t positions[S * TOGETHER];
      size_t n = 0;
      for (uint32_t s = S; s-- > 0;) /* at rates of 1, 1/2 and 1/3, by 1 to `together` */
        for (size_t k = 0; k <= (step + s) % together; k++) {
          if (at[s] >= L || step % (s + 1) != 0)
            break;
          memcpy(row + n * d, x + (s * L + at[s]) * d, d * sizeof *x);
          slots[n] = s;
          positions[n++] = at[s]++;
        }
      if (n == 0)
        continue;
      tt_compute_begin(c, false, 0);
      tt_tensor_read(tt_transformer_step(c, &t, tt_input(c, row, n, d), &rings, slots, positions),
                     got);
      for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < d; j++)
          assert_true(fabsf(got[i * d + j] - want[(slots[i] * L + positions[i]) * d + j]) <= near);
    }
    tt_transformer_rings_release(&rings);
    tt_compute_free(c);
    tt_params_release(&params);
  }
}

/* ---- an LSTM one position at a time, or in two pieces, gives the whole sequence's output ---- */
static void test_lstm_steps(void **state) {
  (void)state;
  enum { B = 3, L = 10, IN = 6, D = 20 };
  const enum tt_precision precisions[] = {TT_PRECISION_F32, TT_PRECISION_BF16};
  struct tt_params params;
  struct tt_lstm lstm;
  struct tt_rng rng;
  static float x[B * L * IN], piece[B * L * IN], want[B * L * D], got[B * L * D];
  tt_params_init(&params);
  tt_lstm_init(&lstm, &params, "net", IN, D);
  assert_int_equal(tt_params_build(&params, 5), TT_OK);
  tt_lstm_remember(&lstm, &params);
  assert_true(lstm.input.bias->data[D] == 1 && lstm.input.bias->data[2 * D] == 0);
  tt_rng_init(&rng, 1, 1);
  for (size_t i = 0; i < B * L * IN; i++)
    x[i] = (float)tt_rng_normal(&rng);
  for (int p = 0; p < 2; p++)
    for (size_t step = 1; step <= L / 2; step += 4) {
      struct tt_compute *c;
      struct tt_lstm_state kept;
      assert_int_equal(tt_compute_create(precisions[p], 1, &c), TT_OK);
      assert_int_equal(tt_lstm_state_create(B, D, &kept), TT_OK);
      tt_compute_begin(c, false, 0);
      tt_tensor_read(tt_lstm_forward(c, &lstm, tt_input(c, x, B * L, IN), B, NULL), want);
      for (size_t first = 0; first < L; first += step) {
        for (size_t b = 0; b < B; b++)
          memcpy(piece + b * step * IN, x + (b * L + first) * IN, step * IN * sizeof *x);
        tt_tensor_read(tt_lstm_forward(c, &lstm, tt_input(c, piece, B * step, IN), B, &kept), got);
        for (size_t b = 0; b < B; b++)
          for (size_t i = 0; i < step * D; i++)
            assert_true(fabsf(got[b * step * D + i] - want[(b * L + first) * D + i]) <=
                        (p ? 1e-2f : 1e-5f));
      }
      tt_lstm_state_release(&kept);
      tt_compute_free(c);
    }
  tt_params_release(&params);
}

/* ---- training: the loss falls, the same seed gives the same bytes, and a run resumed from a file
 * ends as the uninterrupted one ---- */
struct toy {
  struct tt_params params;
  struct tt_transformer net;
  struct tt_embedding embedding;
  struct tt_linear head;
  struct tt_optimizer optimizer;
  struct tt_compute *c;
};

static void toy_create(struct toy *t, uint64_t seed) {
  tt_params_init(&t->params);
  tt_embedding_init(&t->embedding, &t->params, "embed", (const char *[]){"id", "position"},
                    (size_t[]){7, 16}, 2, 32, -1);
  tt_transformer_init(
      &t->net, &t->params, "net",
      &(struct tt_transformer_config){.d = 32, .heads = 2, .layers = 2, .dropout = 0.1f});
  tt_linear_init(&t->head, &t->params, "head", 32, 7, true, -1);
  assert_int_equal(tt_params_build(&t->params, seed), TT_OK);
  struct tt_optimizer_config config = tt_optimizer_defaults();
  config.learning_rate = 3e-3f;
  config.ema_decay = 0.99f;
  assert_int_equal(tt_optimizer_init(&t->optimizer, &t->params, &config), TT_OK);
  assert_int_equal(tt_compute_create(TT_PRECISION_AUTO, seed, &t->c), TT_OK);
}

static void toy_free(struct toy *t) {
  tt_optimizer_release(&t->optimizer);
  tt_params_release(&t->params);
  tt_compute_free(t->c);
}

/* Next of a sequence that counts modulo 7 from a random start. */
static double toy_train(struct toy *t, uint64_t first, uint64_t end) {
  enum { B = 8, L = 16 };
  double loss_value = 0;
  for (uint64_t step = first; step < end; step++) {
    struct tt_rng rng;
    tt_rng_init(&rng, 77, step);
    int32_t ids[B * L * 2], targets[B * L];
    for (size_t b = 0; b < B; b++) {
      int32_t start = (int32_t)tt_rng_below(&rng, 7);
      for (size_t i = 0; i < L; i++) {
        ids[(b * L + i) * 2] = (start + (int32_t)i) % 7;
        ids[(b * L + i) * 2 + 1] = (int32_t)i;
        targets[b * L + i] = (start + (int32_t)i + 1) % 7;
      }
    }
    tt_compute_begin(t->c, true, step);
    struct tt_tensor *x = tt_embedding_forward(t->c, &t->embedding, ids, B * L);
    x = tt_transformer_forward(
        t->c, &t->net, x,
        &(struct tt_attention_spec){.batch = B, .length = L, .mask = TT_MASK_CAUSAL}, NULL, NULL);
    struct tt_tensor *loss =
        tt_op_head_loss(t->c, x, t->head.weight, t->head.bias, targets, NULL, 0, NULL);
    loss_value = (double)tt_tensor_value(loss);
    tt_compute_backward(t->c, loss);
    struct tt_step_result result =
        tt_optimizer_step(&t->optimizer, tt_schedule_cosine((double)step, 5, 60, 0.1));
    assert_false(result.skipped);
  }
  return loss_value;
}

static void test_training(void **state) {
  (void)state;
  struct toy a, b, r;
  toy_create(&a, 3);
  toy_create(&b, 3);
  toy_create(&r, 4);
  double before = toy_train(&a, 0, 1), after = toy_train(&a, 1, 60);
  print_message("  loss %.3f -> %.4f\n", before, after);
  assert_true(before > 1.5);
  assert_true(after < 0.1);
  toy_train(&b, 0, 25);
  /* Through a file, into a model of another seed. */
  const char *path = "nn_test.safetensors";
  struct tt_model_writer writer;
  tt_model_writer_init(&writer);
  assert_int_equal(tt_params_save(&b.params, "", &writer), TT_OK);
  assert_int_equal(tt_optimizer_save(&b.optimizer, &writer), TT_OK);
  assert_int_equal(tt_model_write(&writer, path), TT_OK);
  tt_model_writer_release(&writer);
  struct tt_model_file *file;
  assert_int_equal(tt_model_open(path, &file), TT_OK);
  assert_int_equal(tt_params_load(&r.params, "", file), TT_OK);
  assert_int_equal(tt_optimizer_load(&r.optimizer, file), TT_OK);
  tt_model_close(file);
  remove(path);
  r.c->seed = 3; /* dropout */
  toy_train(&b, 25, 60);
  toy_train(&r, 25, 60);
  assert_memory_equal(a.params.data, b.params.data, a.params.total * sizeof(float));
  assert_memory_equal(a.params.data, r.params.data, a.params.total * sizeof(float));
  assert_memory_equal(a.optimizer.ema, r.optimizer.ema, a.params.total * sizeof(float));
  toy_free(&a);
  toy_free(&b);
  toy_free(&r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_block_gradients),
      cmocka_unit_test(test_block_kernels),
      cmocka_unit_test(test_unet),
      cmocka_unit_test(test_layers),
      cmocka_unit_test(test_caches),
      cmocka_unit_test(test_rings),
      cmocka_unit_test(test_lstm_steps),
      cmocka_unit_test(test_training),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
