/* base/: random numbers, dictionaries, statuses, atomic outputs. */
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/names.h"
#include "base/output.h"
#include "base/rng.h"
#include "folder_fixture.h"

/* Known-answer tests of the Random123 distribution (kat_vectors, philox4x32 10). */
static void philox_known_answers(void **state) {
  (void)state;
  static const struct {
    uint32_t counter[4], key[2], want[4];
  } cases[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
       {0xffffffff, 0xffffffff},
       {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xa4093822, 0x299f31d0},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    uint32_t out[4];
    tt_philox(cases[i].counter, cases[i].key, out);
    assert_memory_equal(out, cases[i].want, sizeof out);
  }
}

static void rng_distributions(void **state) {
  (void)state;
  struct tt_rng rng;
  tt_rng_init(&rng, 42, 7);
  enum { N = 200000 };
  double sum = 0, squares = 0, normal_sum = 0, normal_squares = 0;
  size_t below[3] = {0}, picked[4] = {0};
  const float weights[4] = {1, 0, 2, 1};
  for (int i = 0; i < N; i++) {
    double u = tt_rng_uniform(&rng), z = tt_rng_normal(&rng);
    assert_true(u >= 0 && u < 1);
    sum += u;
    squares += u * u;
    normal_sum += z;
    normal_squares += z * z;
    below[tt_rng_below(&rng, 3)]++;
    picked[tt_rng_pick(&rng, weights, 4)]++;
  }
  assert_true(fabs(sum / N - 0.5) < 0.005);
  assert_true(fabs(squares / N - 1.0 / 3) < 0.005);
  assert_true(fabs(normal_sum / N) < 0.01);
  assert_true(fabs(normal_squares / N - 1) < 0.02);
  for (int k = 0; k < 3; k++)
    assert_true(fabs((double)below[k] / N - 1.0 / 3) < 0.01);
  assert_int_equal(picked[1], 0);
  assert_true(fabs((double)picked[2] / N - 0.5) < 0.01);
}

/* Against the same words through Box-Muller in double, at every length of the last block. */
static void rng_normals(void **state) {
  (void)state;
  enum { N = 20011 };
  static float normals[N];
  struct tt_rng rng;
  tt_rng_init(&rng, 42, 7ull << 33 | 5);
  tt_rng_u32(&rng);
  struct tt_rng before = rng;
  tt_rng_normals(&rng, normals, N);
  assert_int_equal(rng.counter, before.counter + (N + 3) / 4);
  for (size_t i = 0; i < N; i++) {
    uint64_t block = before.counter + i / 4;
    const uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), 5 | 0, 7 << 1};
    const uint32_t key[2] = {42, 0};
    uint32_t out[4];
    tt_philox(counter, key, out);
    const uint32_t *pair = out + (i % 4 & 2);
    double radius = sqrt(-2 * log(((double)pair[0] + 0.5) * 0x1p-32));
    double angle = 3.14159265358979323846 * (double)(int32_t)pair[1] * 0x1p-31;
    double expected = radius * (i % 2 ? sin(angle) : cos(angle));
    assert_true(fabs((double)normals[i] - expected) < 3e-6 * (1 + radius));
  }
  for (size_t n = 0; n < 9; n++) { /* what is asked for is all that is written */
    float few[9] = {9, 9, 9, 9, 9, 9, 9, 9, 9};
    struct tt_rng again = before;
    tt_rng_normals(&again, few, n);
    assert_memory_equal(few, normals, n * sizeof *few);
    assert_true(n == 9 || few[n] == 9);
  }
}

static void rng_resumes(void **state) {
  (void)state;
  struct tt_rng a, b;
  tt_rng_init(&a, 1, 2);
  for (int i = 0; i < 5; i++)
    tt_rng_u32(&a);
  b = a;
  for (int i = 0; i < 100; i++)
    assert_int_equal(tt_rng_u64(&a), tt_rng_u64(&b));
}

static void names_keep_ids(void **state) {
  (void)state;
  struct tt_names names;
  tt_names_init(&names);
  char name[32];
  for (uint32_t i = 0; i < 1000; i++) {
    snprintf(name, sizeof name, "event_%u", i);
    assert_int_equal(tt_names_add(&names, name), i);
  }
  for (uint32_t i = 0; i < 1000; i++) {
    snprintf(name, sizeof name, "event_%u", i);
    assert_int_equal(tt_names_add(&names, name), i);
    assert_int_equal(tt_names_find(&names, name), i);
  }
  assert_int_equal(tt_names_find(&names, "other"), TT_NAME_NONE);
  assert_int_equal(names.n, 1000);
  tt_names_release(&names);
}

static void names_survive_failing_memory(void **state) {
  (void)state;
  for (size_t n = 1; n < 12; n++) {
    struct tt_names names;
    tt_names_init(&names);
    tt_alloc_fail_at(n);
    uint32_t a = tt_names_add(&names, "a"), b = tt_names_add(&names, "b");
    tt_alloc_fail_at(0);
    if (a == TT_NAME_NONE)
      a = tt_names_add(&names, "a");
    if (b == TT_NAME_NONE)
      b = tt_names_add(&names, "b");
    assert_int_equal(tt_names_find(&names, "a"), a);
    assert_int_equal(tt_names_find(&names, "b"), b);
    assert_int_equal(names.n, 2);
    tt_names_release(&names);
  }
}

static void causes_stack_up(void **state) {
  (void)state;
  tt_causes_clear();
  assert_int_equal(tt_fail(TT_IO, "deep %d", 1), TT_IO);
  assert_int_equal(tt_fail(TT_BAD_INPUT, "outer"), TT_BAD_INPUT);
  assert_int_equal(tt_cause_count(), 2);
  assert_string_equal(tt_cause(0), "deep 1");
  assert_string_equal(tt_cause(1), "outer");
  assert_null(tt_cause(2));
  for (int i = 0; i < 100; i++)
    tt_fail(TT_IO, "more");
  assert_true(tt_cause_count() <= 32);
  tt_causes_clear();
  assert_int_equal(tt_cause_count(), 0);
  assert_int_equal(tt_status_exit_code(TT_BAD_INPUT), 4);
  assert_int_equal(tt_status_exit_code(TT_INTERRUPTED), 130);
}

static void put(const char *path, const char *text) {
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fputs(text, file);
  assert_int_equal(fclose(file), 0);
}

static void outputs_appear_whole(void **state) {
  (void)state;
  char *target = tt_format("%s/result/", fixture_folder), *inside, *text;
  size_t size;
  struct tt_output output;
  assert_int_equal(tt_output_begin_folder(target, false, &output), TT_OK);
  inside = tt_format("%s/file", output.temporary);
  put(inside, "one");
  tt_free(inside);
  inside = tt_format("%s/result/file", fixture_folder);
  assert_int_not_equal(access(inside, F_OK), 0); /* not there before the commit */
  assert_int_equal(tt_output_commit(&output), TT_OK);
  assert_int_equal(tt_read_file(inside, &text, &size), TT_OK);
  assert_string_equal(text, "one");
  tt_free(text);
  /* not overwritten unless asked, and then exchanged whole */
  assert_int_equal(tt_output_begin_folder(target, false, &output), TT_EXISTS);
  assert_int_equal(tt_output_begin_folder(target, true, &output), TT_OK);
  assert_int_equal(tt_output_commit(&output), TT_OK);
  assert_int_not_equal(access(inside, F_OK), 0);
  /* aborted: nothing is left */
  assert_int_equal(tt_output_begin_folder(target, true, &output), TT_OK);
  char *temporary = tt_strdup(output.temporary);
  tt_output_abort(&output);
  assert_int_not_equal(access(temporary, F_OK), 0);
  tt_output_abort(&output); /* harmless */
  tt_free(temporary);
  tt_free(inside);
  tt_free(target);
  tt_causes_clear();
}

/* Work of which a part is worth having stays under a name of its own until it's begun anew. */
static void partial_outputs_stay(void **state) {
  (void)state;
  char *target = tt_format("%s/work", fixture_folder),
       *partial = tt_format("%s/work.partial", fixture_folder);
  char *inside = tt_format("%s/file", partial);
  struct tt_output output;
  tt_causes_clear();
  assert_int_equal(tt_output_begin_partial(target, false, &output), TT_OK);
  assert_string_equal(output.temporary, partial);
  put(inside, "one");
  assert_true(tt_output_keep(&output));
  assert_int_equal(tt_output_begin_partial(target, false, &output), TT_EXISTS);
  assert_non_null(strstr(tt_cause(0), partial));
  assert_int_equal(access(inside, F_OK), 0);
  /* empty again: nothing worth keeping */
  assert_int_equal(tt_output_begin_partial(target, true, &output), TT_OK);
  assert_false(tt_output_keep(&output));
  assert_int_not_equal(access(partial, F_OK), 0);
  /* finished: under its own name */
  assert_int_equal(tt_output_begin_partial(target, false, &output), TT_OK);
  put(inside, "two");
  assert_int_equal(tt_output_commit(&output), TT_OK);
  assert_int_not_equal(access(partial, F_OK), 0);
  assert_int_equal(access(target, F_OK), 0);
  assert_int_equal(tt_output_begin_partial(target, false, &output), TT_EXISTS);
  tt_free(inside);
  tt_free(partial);
  tt_free(target);
  tt_causes_clear();
}

static void failures_name_the_path(void **state) {
  (void)state;
  struct tt_output output;
  char *text;
  size_t size;
  tt_causes_clear();
  assert_int_equal(tt_output_begin_file("/nowhere/at/all", false, &output), TT_IO);
  assert_non_null(strstr(tt_cause(0), "/nowhere/at/all"));
  assert_int_equal(tt_read_file(fixture_folder, &text, &size), TT_BAD_INPUT);
  assert_int_equal(tt_read_file("/nowhere/at/all", &text, &size), TT_BAD_INPUT);
  tt_causes_clear();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(philox_known_answers), cmocka_unit_test(rng_distributions),
      cmocka_unit_test(rng_normals),          cmocka_unit_test(rng_resumes),
      cmocka_unit_test(names_keep_ids),       cmocka_unit_test(names_survive_failing_memory),
      cmocka_unit_test(causes_stack_up),      cmocka_unit_test(outputs_appear_whole),
      cmocka_unit_test(partial_outputs_stay), cmocka_unit_test(failures_name_the_path),
  };
  return cmocka_run_group_tests_name("base", tests, fixture_begin, fixture_end);
}
