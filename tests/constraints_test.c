/* Constraints: definitions on hand-made traces, and the file format. */
#include "constraints_fixture.h"

#include <jansson.h>
#include <omp.h>
#include <stdlib.h>
#include <unistd.h>

#include "tracetwin/status.h"

/* ---- mining and checking, by hand ---- */

static void test_mined_sets(void **state) {
  (void)state;
  static struct trace t;
  t.n = t.n_gaps = 0;
  trace_add(&t, 100, 0, 0, 300, 1, TT_RET_NONE);
  trace_add(&t, 110, 1, 1, 7, 2, -2);
  trace_add(&t, 110, 0, 0, 300, 1, TT_RET_NONE);
  trace_add(&t, 900, 1, 0, TT_TID_NONE, TT_COMM_NONE, 5);
  trace_add(&t, 1000, 2, 1, 7, 2, TT_RET_NONE);
  t.gaps[t.n_gaps++] = (struct tt_gap){.begin = 200, .end = 800, .lost = 3, .cpu = 0};
  struct tt_constraints *c = mine(&t);
  assert_int_equal(c->events.n, 3);
  assert_int_equal(c->mined, 5);
  assert_int_equal(tt_relation_count(&c->next, 0, 1), 1); /* the second one is across the gap */
  assert_int_equal(tt_relation_count(&c->next, 1, 0), 1);
  assert_int_equal(tt_relation_count(&c->next, 1, 2), 1);
  assert_int_equal(tt_relation_count(&c->next, 0, 2), 0);
  assert_int_equal(tt_relation_count(&c->next_cpu, 0, 0), 1);
  assert_int_equal(tt_relation_count(&c->next_cpu, 0, 1), 0); /* CPU 0 lost events there */
  assert_int_equal(c->dt[0].min, 0);
  assert_int_equal(c->dt[0].max, 0);
  assert_int_equal(c->dt[1].min, 10);
  assert_int_equal(c->dt[1].max, 10);
  assert_int_equal(c->dt[2].min, 100);
  assert_true(tt_relation_has(&c->cpu, 1, 0) && tt_relation_has(&c->cpu, 1, 1));
  assert_false(tt_relation_has(&c->cpu, 0, 1));
  assert_true(tt_relation_has(&c->tid, 0, 300 % 256));
  assert_true(tt_relation_has(&c->tid, 1, TT_TID_CLASS_NONE));
  assert_int_equal(c->n_rets, 2);
  assert_int_equal(c->rets[0], -2); /* as frequent as 5, smaller */
  assert_true(tt_relation_has(&c->ret, 0, tt_constraints_ret_class(c, TT_RET_NONE)));
  assert_false(tt_relation_has(&c->ret, 1, tt_constraints_ret_class(c, TT_RET_NONE)));
  assert_int_equal(c->thread[300 % 256].tid, 300);
  assert_int_equal(c->thread[7].comm, tt_names_find(&c->comms, "c2"));
  struct tt_distances d = check(c, &t);
  assert_true(tt_distances_zero(&d));
  assert_int_equal(d.bad_trans_cpu, 0);
  assert_int_equal(d.pairs, 3); /* 4 less the one across the gap */
  assert_int_equal(d.pairs_cpu, 1);
  tt_constraints_free(c);
}

static void test_distances(void **state) {
  (void)state;
  static struct trace train, t;
  train.n = train.n_gaps = t.n = t.n_gaps = 0;
  for (int i = 0; i < 8; i++) /* e0 e1 e0 e1 ..., dt 10, CPUs 0 1 */
    trace_add(&train, 10 * i, (uint16_t)(i % 2), (uint16_t)(i % 2), 50 + i % 2, 1,
              i % 2 ? 0 : TT_RET_NONE);
  struct tt_constraints *c = mine(&train);
  trace_add(&t, 0, 0, 0, 50, 1, TT_RET_NONE);
  trace_add(&t, 10, 1, 0, 51, 1, 0);           /* CPU */
  trace_add(&t, 21, 1, 1, 51, 1, 0);           /* transition, time */
  trace_add(&t, 31, 0, 0, 50 + 256, 1, 0);     /* ret; the thread's bucket is right */
  trace_add(&t, 41, 9, 1, 52, 1, TT_RET_NONE); /* unknown: wrong in every class */
  trace_add(&t, 51, 0, 0, 50, 2, TT_RET_NONE); /* transition from it; comm */
  trace_add(&t, 61, 1, 1, 50, 1, 7);           /* thread and ret: one event */
  struct tt_distances d = check(c, &t);
  assert_int_equal(d.events, 7);
  assert_int_equal(d.pairs, 6);
  assert_int_equal(d.bad_trans, 3);
  assert_int_equal(d.bad_time, 2);
  assert_int_equal(d.bad_cpu, 2);
  assert_int_equal(d.bad_attr, 4);
  assert_true(d.d_trans == 3.0 / 6 && d.d_time == 2.0 / 7 && d.d_cpu == 2.0 / 7 &&
              d.d_attr == 4.0 / 7);
  assert_int_equal(d.pairs_cpu, 5);     /* CPU 0: e0 e1 e0 e0; CPU 1: e1 ? e1 */
  assert_int_equal(d.bad_trans_cpu, 4); /* e0 e0 alone is legal */
  assert_false(tt_distances_zero(&d));
  tt_constraints_free(c);
}

/* More values than the list holds: the rest is one class, with an example. */
static void test_rare_returns(void **state) {
  (void)state;
  static struct trace t;
  t.n = t.n_gaps = 0;
  for (int i = 0; i < 1100; i++) {
    trace_add(&t, i, 0, 0, 1, 0, i);
    if (i < 1024)
      trace_add(&t, i, 0, 0, 1, 0, i);
  }
  struct tt_constraints *c = mine(&t);
  assert_int_equal(c->n_rets, TT_RETS_MAX);
  assert_int_equal(tt_constraints_ret_class(c, 1023), 1023);
  assert_int_equal(tt_constraints_ret_class(c, 1024), TT_RETS_MAX);
  assert_int_equal(tt_constraints_ret_class(c, -1), TT_RETS_MAX);
  assert_int_equal(tt_relation_count(&c->ret, 0, TT_RETS_MAX), 76);
  assert_int_equal(c->ret_other[0], 1024);
  tt_constraints_free(c);
}

static char *saved(const struct tt_constraints *c) {
  char path[] = "/tmp/tt-constraints-XXXXXX";
  int file = mkstemp(path);
  assert_true(file >= 0);
  close(file);
  assert_int_equal(tt_constraints_save(c, path, true), TT_OK);
  char *text = NULL;
  size_t size = 0;
  assert_int_equal(tt_read_file(path, &text, &size), TT_OK);
  unlink(path);
  return text;
}

static void test_threads_do_not_matter(void **state) {
  (void)state;
  static struct trace t, twin, out[2];
  struct tt_rng rng;
  tt_rng_init(&rng, 5, 0);
  random_trace(&rng, 3000, 12, 3, 4, &t);
  t.gaps[t.n_gaps++] = (struct tt_gap){.begin = t.ts[1400], .end = t.ts[1500], .lost = 1, .cpu = 1};
  twin = t;
  spoil(&rng, 0.02, 14, &twin);
  char *text[2];
  struct tt_distances d[2];
  int before = omp_get_max_threads();
  for (int k = 0; k < 2; k++) {
    omp_set_num_threads(k ? 7 : 1);
    struct tt_constraints *c = mine(&t);
    struct tt_repair_log log;
    text[k] = saved(c);
    d[k] = check(c, &twin);
    assert_int_equal(repair(c, &twin, 3, (struct tt_plan_options){0}, &out[k], &log), TT_OK);
    tt_constraints_free(c);
  }
  omp_set_num_threads(before);
  assert_string_equal(text[0], text[1]);
  assert_memory_equal(&d[0], &d[1], sizeof d[0]);
  assert_memory_equal(&out[0], &out[1], sizeof out[0]);
  tt_free(text[0]);
  tt_free(text[1]);
}

/* ---- the file ---- */

static struct tt_constraints *some_constraints(void) {
  static struct trace t;
  struct tt_rng rng;
  tt_rng_init(&rng, 11, 4);
  random_trace(&rng, 400, 6, 3, 3, &t);
  t.comm[7] = TT_COMM_NONE;
  t.tid[8] = TT_TID_NONE;
  return mine(&t);
}

static enum tt_status load_text(const char *text, struct tt_constraints **ret) {
  char path[] = "/tmp/tt-constraints-XXXXXX";
  int file = mkstemp(path);
  assert_true(file >= 0);
  assert_int_equal(write(file, text, strlen(text)), (ssize_t)strlen(text));
  close(file);
  enum tt_status status = tt_constraints_load(path, ret);
  unlink(path);
  return status;
}

static void test_file_is_exact(void **state) {
  (void)state;
  struct tt_constraints *c = some_constraints(), *loaded = NULL;
  char *text = saved(c);
  assert_int_equal(load_text(text, &loaded), TT_OK);
  char *again = saved(loaded);
  assert_string_equal(text, again);
  assert_memory_equal(c->thread, loaded->thread, sizeof c->thread);
  assert_true(!memcmp(c->dt, loaded->dt, c->events.n * sizeof *c->dt));
  assert_true(!memcmp(c->next.bits, loaded->next.bits, c->next.rows * c->next.words * 8));
  tt_free(text);
  tt_free(again);
  tt_constraints_free(c);
  tt_constraints_free(loaded);
  assert_true(tt_constraints_load("/nonexistent/x.json", &loaded) != TT_OK);
  tt_causes_clear();
}

/* Sets root[path...] to `value` (JSON; NULL: removes it); the path's last part may be an index. */
static char *with_change(const char *text, const char *const *path, const char *value) {
  json_t *root = json_loads(text, 0, NULL), *at = root;
  size_t depth = 0;
  while (path[depth + 1]) {
    at = json_is_array(at) ? json_array_get(at, (size_t)atoi(path[depth]))
                           : json_object_get(at, path[depth]);
    assert_non_null(at);
    depth++;
  }
  json_t *new = value ? json_loads(value, JSON_DECODE_ANY, NULL) : NULL;
  if (json_is_array(at))
    json_array_set_new(at, (size_t)atoi(path[depth]), new);
  else if (new)
    json_object_set_new(at, path[depth], new);
  else
    json_object_del(at, path[depth]);
  char *changed = json_dumps(root, JSON_COMPACT);
  json_decref(root);
  return changed;
}

static void test_bad_files(void **state) {
  (void)state;
  static const struct {
    const char *path[4], *value, *cause;
  } changes[] = {
      {{"format"}, "\"other\"", "format"},
      {{"format"}, NULL, "format"},
      {{"version"}, "2", "version 2"},
      {{"mined"}, "-1", "mined"},
      {{"events"}, "[]", "empty"},
      {{"events"}, "7", "events"},
      {{"events", "1"}, "3", "not an object"},
      {{"events", "1", "name"}, "\"e0\"", "twice"},
      {{"events", "1", "count"}, "0", "count"},
      {{"events", "1", "dt_ns"}, "[5, 4]", "dt_ns"},
      {{"events", "1", "dt_ns"}, "[-1, 4]", "dt_ns"},
      {{"events", "1", "dt_ns"}, NULL, "dt_ns"},
      {{"events", "1", "next"}, "[0]", "pairs"},
      {{"events", "1", "next"}, "[6, 1]", "range"},
      {{"events", "1", "next"}, "[1, 1, 1, 1]", "order"},
      {{"events", "1", "next"}, "[1, 0]", "count"},
      {{"events", "1", "next"}, "[1, 9223372036854775807, 2, 1]", "count"},
      {{"events", "1", "next"}, NULL, "pairs"},
      {{"events", "1", "cpus"}, "[]", "missing or empty"},
      {{"events", "1", "tids"}, "[3, 1]", "without a thread"},
      {{"events", "1", "tids"}, "[257, 1]", "range"},
      {{"events", "1", "comms"}, "[99, 1]", "range"},
      {{"events", "1", "rets"}, NULL, "missing or empty"},
      {{"events", "1", "ret_other"}, "9", "ret_other"},
      {{"rets", "0"}, "1.5", "return value"},
      {{"rets", "0"}, "1", "twice"},
      {{"comms"}, "[\"a\", \"a\"]", "comms"},
      {{"threads"}, "[]", "256"},
      {{"threads", "0"}, "[1, 0]", "bucket"},
      {{"cpu_tids"}, "[]", "range"},
      {{"cpu_tids", "0"}, "5", "pairs"},
  };
  struct tt_constraints *c = some_constraints(), *loaded = NULL;
  char *text = saved(c);
  for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
    char *changed = with_change(text, changes[i].path, changes[i].value);
    tt_causes_clear();
    enum tt_status status = load_text(changed, &loaded);
    bool named = false;
    for (size_t k = 0; k < tt_cause_count(); k++)
      named = named || strstr(tt_cause(k), changes[i].cause);
    if (status != TT_BAD_INPUT || !named)
      print_error("change %zu (%s): status %d, cause %s\n", i, changes[i].cause, status,
                  tt_cause_count() ? tt_cause(0) : "none");
    assert_true(status == TT_BAD_INPUT && named);
    free(changed);
  }
  text[strlen(text) / 2] = '\0'; /* cut short */
  assert_int_equal(load_text(text, &loaded), TT_BAD_INPUT);
  assert_null(loaded);
  tt_causes_clear();
  tt_free(text);
  tt_constraints_free(c);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_mined_sets),    cmocka_unit_test(test_distances),
      cmocka_unit_test(test_rare_returns),  cmocka_unit_test(test_threads_do_not_matter),
      cmocka_unit_test(test_file_is_exact), cmocka_unit_test(test_bad_files),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
