/* AdamW, clipping, average and schedule against values worked out in double by their definitions;
 * model files: round trip and hostile input. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/output.h"
#include "compute/optimizer.h"

static void close_to(double got, double want, double tolerance) {
  if (!(fabs(got - want) <= tolerance))
    fail_msg("got %.9g, want %.9g", got, want);
}

static void test_adamw(void **state) {
  (void)state;
  struct tt_params params;
  tt_params_init(&params);
  struct tt_param *w = tt_params_add(&params, TT_INIT_ONE, 0, true, 1, 3, "w");
  struct tt_param *b = tt_params_add(&params, TT_INIT_ONE, 0, false, 1, 1, "b");
  assert_int_equal(tt_params_build(&params, 1), TT_OK);
  assert_int_equal(tt_params_count(&params), 4);
  struct tt_optimizer_config config = {.learning_rate = 0.1f,
                                       .beta1 = 0.9f,
                                       .beta2 = 0.99f,
                                       .epsilon = 1e-8f,
                                       .weight_decay = 0.5f,
                                       .clip_norm = 5,
                                       .ema_decay = 0.5f};
  struct tt_optimizer o;
  assert_int_equal(tt_optimizer_init(&o, &params, &config), TT_OK);
  double p[4] = {1, 1, 1, 1}, m[4] = {0}, v[4] = {0}, ema[4] = {1, 1, 1, 1};
  /* The second step's norm is 13: clipped to 5. */
  const double grads[3][4] = {{0.5, -1, 2, 0.25}, {3, 4, 0, 12}, {-1, 0, 1e-3, 0}};
  for (int step = 0; step < 3; step++) {
    double norm = 0, factor = step == 2 ? 0.25 : 1;
    for (int i = 0; i < 4; i++) {
      *(i < 3 ? w->grad + i : b->grad) = (float)grads[step][i];
      norm += grads[step][i] * grads[step][i];
    }
    norm = sqrt(norm);
    struct tt_step_result r = tt_optimizer_step(&o, factor);
    close_to(r.grad_norm, norm, 1e-6);
    assert_false(r.skipped);
    double t = step + 1, decay = fmin(0.5, t / (9 + t));
    for (int i = 0; i < 4; i++) {
      double g = grads[step][i] * fmin(1, 5 / norm), lr = 0.1 * factor;
      p[i] -= i < 3 ? lr * 0.5 * p[i] : 0;
      m[i] = 0.9 * m[i] + 0.1 * g;
      v[i] = 0.99 * v[i] + 0.01 * g * g;
      p[i] -= lr * m[i] / (1 - pow(0.9, t)) / (sqrt(v[i] / (1 - pow(0.99, t))) + 1e-8);
      ema[i] = decay * ema[i] + (1 - decay) * p[i];
      float *got = i < 3 ? w->data + i : b->data;
      close_to((double)*got, p[i], 1e-5);
      close_to((double)o.ema[got - params.data], ema[i], 1e-5);
      assert_true(*(i < 3 ? w->grad + i : b->grad) == 0);
    }
    assert_int_equal(w->shadow[1], tt_bf16_from_f32(w->data[1]));
  }
  /* A gradient that is not finite changes nothing but clears itself. */
  float before = w->data[0];
  w->grad[0] = NAN;
  w->grad[1] = 1;
  struct tt_step_result r = tt_optimizer_step(&o, 1);
  assert_true(r.skipped && o.step == 3);
  assert_true(w->data[0] == before && w->grad[0] == 0 && w->grad[1] == 0);
  tt_optimizer_swap_ema(&o);
  close_to((double)w->data[0], ema[0], 1e-5);
  assert_int_equal(w->shadow[0], tt_bf16_from_f32(w->data[0]));
  tt_optimizer_swap_ema(&o);
  assert_true(w->data[0] == before);
  tt_optimizer_release(&o);
  tt_params_release(&params);
}

/* The norm over several chunks and an odd length. */
static void test_norm_large(void **state) {
  (void)state;
  struct tt_params params;
  tt_params_init(&params);
  struct tt_param *w = tt_params_add(&params, TT_INIT_ZERO, 0, false, 333, 401, "w");
  assert_int_equal(tt_params_build(&params, 1), TT_OK);
  struct tt_optimizer_config config = tt_optimizer_defaults();
  struct tt_optimizer o;
  assert_int_equal(tt_optimizer_init(&o, &params, &config), TT_OK);
  for (size_t i = 0; i < 333 * 401; i++)
    w->grad[i] = i % 2 ? -0.5f : 0.5f;
  struct tt_step_result r = tt_optimizer_step(&o, 1);
  close_to(r.grad_norm, 0.5 * sqrt(333 * 401), 1e-9);
  for (size_t i = 0; i < 333 * 401; i++) /* Adam's first step is lr * sign */
    close_to((double)w->data[i], i % 2 ? 1e-3 : -1e-3, 1e-6);
  tt_optimizer_release(&o);
  tt_params_release(&params);
}

static void test_schedule(void **state) {
  (void)state;
  close_to(tt_schedule_cosine(0, 4, 100, 0.1), 0.2, 1e-12);
  close_to(tt_schedule_cosine(3, 4, 100, 0.1), 0.8, 1e-12);
  close_to(tt_schedule_cosine(4, 4, 100, 0.1), 1, 1e-12);
  close_to(tt_schedule_cosine(52, 4, 100, 0.1), 0.55, 1e-12);
  close_to(tt_schedule_cosine(100, 4, 100, 0.1), 0.1, 1e-12);
  close_to(tt_schedule_cosine(1e9, 0, 100, 0), 0, 1e-12);
}

#define PATH "optimizer_test.safetensors"

static void test_round_trip(void **state) {
  (void)state;
  const float data[] = {1, -2.5f, 3e-38f, NAN, INFINITY, 0};
  struct tt_model_writer w;
  tt_model_writer_init(&w);
  assert_int_equal(tt_model_writer_add(&w, "a", data, (size_t[]){2, 3}, 2), TT_OK);
  assert_int_equal(tt_model_writer_add(&w, "empty", data, (size_t[]){0, 3}, 2), TT_OK);
  assert_int_equal(tt_model_writer_add(&w, "scalar", data + 1, NULL, 0), TT_OK);
  assert_int_equal(tt_model_writer_meta(&w, "key", "v\"al\nue {"), TT_OK);
  assert_int_equal(tt_model_write(&w, PATH), TT_OK);
  tt_model_writer_release(&w);
  struct tt_model_file *f;
  assert_int_equal(tt_model_open(PATH, &f), TT_OK);
  assert_int_equal(tt_model_count(f), 3);
  const struct tt_model_tensor *a = tt_model_find(f, "a");
  assert_non_null(a);
  assert_int_equal(a->rank, 2);
  assert_int_equal(a->shape[1], 3);
  assert_memory_equal(a->data, data, sizeof data);
  assert_int_equal((uintptr_t)a->data % 64, 0);
  assert_true(tt_model_find(f, "scalar")->data[0] == -2.5f);
  assert_string_equal(tt_model_meta(f, "key"), "v\"al\nue {");
  assert_null(tt_model_find(f, "b"));
  assert_null(tt_model_meta(f, "b"));
  tt_model_close(f);
  remove(PATH);
}

static void write_raw(uint64_t length, const char *header, size_t data) {
  FILE *file = fopen(PATH, "wb");
  assert_non_null(file);
  for (int i = 0; i < 8; i++)
    fputc((int)(length >> (8 * i) & 255), file);
  fwrite(header, strlen(header), 1, file);
  for (size_t i = 0; i < data; i++)
    fputc(0, file);
  fclose(file);
}

static void refused(uint64_t length, const char *header, size_t data) {
  struct tt_model_file *f = NULL;
  write_raw(length, header, data);
  enum tt_status status = tt_model_open(PATH, &f);
  if (status != TT_BAD_INPUT)
    fail_msg("status %d for %s", (int)status, header);
  assert_null(f);
}

static void test_hostile(void **state) {
  (void)state;
  struct tt_model_file *f = NULL;
#define ONE "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}"
  write_raw(strlen(ONE), ONE, 8);
  assert_int_equal(tt_model_open(PATH, &f), TT_OK); /* the good one; unaligned data */
  assert_true(tt_model_find(f, "a")->data[1] == 0);
  tt_model_close(f);
  f = NULL;
  refused(strlen(ONE), ONE, 7);
  refused(strlen(ONE), ONE, 9);
  refused(strlen(ONE) + 100, ONE, 8);
  refused(UINT64_MAX, ONE, 8);
  refused(UINT64_MAX - 7, ONE, 8);
  refused(strlen(ONE) - 1, ONE, 8);
  static const char *const headers[] = {
      "",
      "[]",
      "nonsense",
      "{\"a\":1}",
      "{\"a\":{}}",
      "{\"a\":{\"dtype\":\"F16\",\"shape\":[4],\"data_offsets\":[0,8]}}",
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}",
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}",
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]}}",
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,2],\"data_offsets\":[0,8]}}",
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8,8]}}",
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}",
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-8,0]}}",
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}",
      /* 2^62 * 4 wraps to 0; 2^32 * 2^32 to 0; */
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904],\"data_offsets\":[0,0]}}",
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}",
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,9223372036854775807]}}",
      /* a duplicate, an overlap, a hole */
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"a\":{\"dtype\":\"F32\","
      "\"shape\":[2],\"data_offsets\":[0,8]}}",
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"b\":{\"dtype\":\"F32\","
      "\"shape\":[1],\"data_offsets\":[4,8]}}",
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
      "{\"__metadata__\":{\"k\":1},\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
      "{\"__metadata__\":[],\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
  };
  for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
    refused(strlen(headers[i]), headers[i], 8);
  /* Brackets beyond the parser's depth. */
  char *deep = malloc(100001);
  memset(deep, '[', 100000);
  deep[100000] = 0;
  refused(100000, deep, 0);
  free(deep);
  /* Truncated anywhere, the good file is refused. */
  for (size_t n = 0; n < 8 + strlen(ONE) + 8; n++) {
    write_raw(strlen(ONE), ONE, 8);
    assert_int_equal(truncate(PATH, (off_t)n), 0);
    assert_int_equal(tt_model_open(PATH, &f), TT_BAD_INPUT);
  }
  remove(PATH);
  assert_int_equal(tt_model_open(PATH, &f), TT_BAD_INPUT);
}

/* Loading is all or nothing. */
static void test_load_shapes(void **state) {
  (void)state;
  struct tt_params params;
  tt_params_init(&params);
  struct tt_param *a = tt_params_add(&params, TT_INIT_ONE, 0, false, 2, 2, "a");
  tt_params_add(&params, TT_INIT_ONE, 0, false, 3, 1, "b");
  assert_int_equal(tt_params_build(&params, 1), TT_OK);
  const float zeros[4] = {0};
  struct tt_model_writer w;
  tt_model_writer_init(&w);
  assert_int_equal(tt_model_writer_add(&w, "m.a", zeros, (size_t[]){2, 2}, 2), TT_OK);
  assert_int_equal(tt_model_writer_add(&w, "m.b", zeros, (size_t[]){1, 3}, 2), TT_OK);
  assert_int_equal(tt_model_write(&w, PATH), TT_OK);
  tt_model_writer_release(&w);
  struct tt_model_file *f;
  assert_int_equal(tt_model_open(PATH, &f), TT_OK);
  assert_int_equal(tt_params_load(&params, "m.", f), TT_BAD_INPUT);
  assert_int_equal(tt_params_load(&params, "", f), TT_BAD_INPUT);
  assert_true(a->data[0] == 1);
  tt_model_close(f);
  remove(PATH);
  tt_params_release(&params);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_adamw),    cmocka_unit_test(test_norm_large),
      cmocka_unit_test(test_schedule), cmocka_unit_test(test_round_trip),
      cmocka_unit_test(test_hostile),  cmocka_unit_test(test_load_shapes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
