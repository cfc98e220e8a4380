/* nn against PyTorch: tests/data/make_torch_dump.py wrote parameters, input, output, loss,
 * gradients and the parameters after one AdamW step. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "compute/model_file.h"
#include "compute/optimizer.h"
#include "nn/lstm.h"
#include "nn/transformer.h"
#include "nn/unet.h"

struct dump { /* and the same network here */
  struct tt_model_file *file;
  struct tt_params params;
  struct tt_compute *compute;
  double tolerance; /* of the largest value */
};

static const struct tt_model_tensor *find(const struct dump *dump, const char *name) {
  const struct tt_model_tensor *t = tt_model_find(dump->file, name);
  if (!t)
    fail_msg("no %s in the dump", name);
  return t;
}

static void compare_within(const struct dump *dump, const char *name, const float *got,
                           double tolerance) {
  const struct tt_model_tensor *want = find(dump, name);
  size_t n = 1;
  for (size_t i = 0; i < want->rank; i++)
    n *= want->shape[i];
  double largest = 0, difference = 0;
  for (size_t i = 0; i < n; i++) {
    double e = fabs((double)got[i] - (double)want->data[i]);
    largest = fmax(largest, fabs((double)want->data[i]));
    if (!(e <= difference))
      difference = e;
  }
  if (!(difference <= tolerance * largest))
    fail_msg("%s: differs by %g, largest value %g", name, difference, largest);
}

static void compare(const struct dump *dump, const char *name, const float *got) {
  compare_within(dump, name, got, dump->tolerance);
}

/* The network's parameters are declared. */
static void open_dump(struct dump *dump, const char *path, enum tt_precision precision) {
  assert_int_equal(tt_model_open(path, &dump->file), TT_OK);
  assert_int_equal(tt_params_build(&dump->params, 1), TT_OK);
  assert_int_equal(tt_params_load(&dump->params, "", dump->file), TT_OK);
  assert_int_equal(tt_compute_create(precision, 1, &dump->compute), TT_OK);
  tt_compute_begin(dump->compute, true, 0);
}

static void close_dump(struct dump *dump) {
  tt_compute_free(dump->compute);
  tt_params_release(&dump->params);
  tt_model_close(dump->file);
}

static struct tt_tensor *input(const struct dump *dump, const char *name, size_t rows,
                               size_t cols) {
  return tt_input_watched(dump->compute, find(dump, name)->data, rows, cols);
}

/* Output y, loss and the input's gradient; out: scratch for either. */
static void compare_passes(const struct dump *dump, struct tt_tensor *x, struct tt_tensor *y,
                           float *out) {
  tt_tensor_read(y, out);
  compare(dump, "y", out);
  struct tt_tensor *loss = tt_op_mse(dump->compute, y, find(dump, "target")->data, NULL);
  float value = tt_tensor_value(loss);
  compare(dump, "loss", &value);
  tt_compute_backward(dump->compute, loss);
  tt_gradient(x, out);
  compare(dump, "grad.x", out);
}

/* The gradient of the keys' bias is zero in exact arithmetic, so qkv.bias is judged as one. */
static void compare_gradients(const struct dump *dump) {
  for (size_t i = 0; i < dump->params.n; i++) {
    char name[256];
    snprintf(name, sizeof name, "grad.%s", dump->params.list[i]->name);
    compare(dump, name, dump->params.list[i]->grad);
  }
}

static void block(enum tt_precision precision, double tolerance, double update_tolerance) {
  enum { B = 2, L = 9, D = 32 };
  struct dump dump = {.tolerance = tolerance};
  struct tt_transformer net;
  float out[B * L * D];
  tt_params_init(&dump.params);
  tt_transformer_init(&net, &dump.params, "net",
                      &(struct tt_transformer_config){
                          .d = D, .heads = 4, .layers = 1, .hidden = 64, .act = TT_ACT_GELU});
  open_dump(&dump, TT_SOURCE_DIR "/tests/data/torch_block.safetensors", precision);
  struct tt_tensor *x = input(&dump, "x", B * L, D);
  const struct tt_attention_spec spec = {.batch = B, .length = L, .mask = TT_MASK_CAUSAL};
  compare_passes(&dump, x, tt_transformer_forward(dump.compute, &net, x, &spec, NULL, NULL), out);
  compare_gradients(&dump);
  struct tt_optimizer optimizer;
  struct tt_optimizer_config config = {.learning_rate = 1e-2f,
                                       .beta1 = 0.9f,
                                       .beta2 = 0.95f,
                                       .epsilon = 1e-3f,
                                       .weight_decay = 0.1f,
                                       .clip_norm = 0.05f};
  assert_int_equal(tt_optimizer_init(&optimizer, &dump.params, &config), TT_OK);
  struct tt_step_result result = tt_optimizer_step(&optimizer, 1);
  float norm = (float)result.grad_norm;
  compare(&dump, "grad_norm", &norm);
  assert_true(result.grad_norm > 0.05); /* or clipping were not seen */
  for (size_t k = 0; k < dump.params.n; k++) {
    char name[256];
    snprintf(name, sizeof name, "after.%s", dump.params.list[k]->name);
    compare_within(&dump, name, dump.params.list[k]->data, update_tolerance);
  }
  tt_optimizer_release(&optimizer);
  close_dump(&dump);
}

static void lstm(enum tt_precision precision, double tolerance) {
  enum { B = 3, L = 7, IN = 11, D = 24 };
  struct dump dump = {.tolerance = tolerance};
  struct tt_lstm net;
  struct tt_lstm_state state;
  float out[B * L * D];
  tt_params_init(&dump.params);
  tt_lstm_init(&net, &dump.params, "net", IN, D);
  open_dump(&dump, TT_SOURCE_DIR "/tests/data/torch_lstm.safetensors", precision);
  assert_int_equal(tt_lstm_state_create(B, D, &state), TT_OK);
  memcpy(state.h, find(&dump, "h0")->data, B * D * sizeof *state.h);
  memcpy(state.cell, find(&dump, "c0")->data, B * D * sizeof *state.cell);
  struct tt_tensor *x = input(&dump, "x", B * L, IN);
  struct tt_tensor *y = tt_lstm_forward(dump.compute, &net, x, B, &state);
  compare(&dump, "h1", state.h);
  compare(&dump, "c1", state.cell);
  compare_passes(&dump, x, y, out);
  compare_gradients(&dump);
  tt_lstm_state_release(&state);
  close_dump(&dump);
}

static void unet(enum tt_precision precision, double tolerance) {
  enum { B = 2, L = 11, D = 8, DC = 6 };
  struct dump dump = {.tolerance = tolerance};
  struct tt_unet net;
  float out[B * L * D];
  tt_params_init(&dump.params);
  tt_unet_init(&net, &dump.params, "net",
               &(struct tt_unet_config){.d = D, .levels = 3, .heads = 2, .d_condition = DC});
  open_dump(&dump, TT_SOURCE_DIR "/tests/data/torch_unet.safetensors", precision);
  struct tt_tensor *x = input(&dump, "x", B * L, D);
  struct tt_tensor *condition = input(&dump, "condition", B, DC);
  compare_passes(&dump, x, tt_unet_forward(dump.compute, &net, x, B, condition), out);
  tt_gradient(condition, out);
  compare(&dump, "grad.condition", out);
  if (precision == TT_PRECISION_F32)
    compare_gradients(&dump);
  close_dump(&dump);
}

static void test_block(void **state) {
  (void)state;
  block(TT_PRECISION_F32, 2e-5, 2e-5);
  block(TT_PRECISION_BF16, 4e-2, 2e-2);
}

static void test_lstm(void **state) {
  (void)state;
  lstm(TT_PRECISION_F32, 2e-5);
  lstm(TT_PRECISION_BF16, 4e-2);
}

static void test_unet(void **state) {
  (void)state;
  unet(TT_PRECISION_F32, 1e-4);
  unet(TT_PRECISION_BF16, 8e-2);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_block), cmocka_unit_test(test_lstm),
                                     cmocka_unit_test(test_unet)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
