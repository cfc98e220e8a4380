/* src/generators: what all generators share - the cast, decoding, merging, the interface. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataset_fixture.h"
#include "generators/decode.h"
#include "generators/generator.h"
#include "generators/merge.h"
#include "toy_trace.h"

static void test_roles(void **state) {
  (void)state;
  assert_int_equal(tt_event_role("sched_switch"), TT_ROLE_SWITCH);
  assert_int_equal(tt_event_role("sched:sched_switch"), TT_ROLE_SWITCH);
  assert_int_equal(tt_event_role("sched_switch_extra"), TT_ROLE_OTHER);
  assert_int_equal(tt_event_role("syscall_entry_read"), TT_ROLE_ENTRY);
  assert_int_equal(tt_event_role("compat_syscall_exit_read"), TT_ROLE_EXIT);
  assert_int_equal(tt_event_role("syscalls:sys_enter_openat"), TT_ROLE_ENTRY);
  assert_int_equal(tt_event_role("syscalls:sys_exit_openat"), TT_ROLE_EXIT);
  assert_int_equal(tt_event_role("sched:sched_process_exit"), TT_ROLE_THREAD_EXIT);
  assert_int_equal(tt_event_role("kmem_kfree"), TT_ROLE_OTHER);
}

static void test_cast(void **state) {
  (void)state;
  struct tt_dataset *dataset = toy_dataset(20000, 1);
  struct tt_cast cast;
  assert_int_equal(tt_cast_build(dataset, NULL, 1, &cast), TT_OK);
  assert_true(cast.switches);
  assert_int_equal(cast.n_threads, TOY_THREADS + TOY_CPUS);
  assert_int_equal(cast.events[TOY_ENTRY_READ].partner, TOY_EXIT_READ);
  assert_int_equal(cast.events[TOY_EXIT_WRITE].partner, TOY_ENTRY_WRITE);
  assert_int_equal(cast.events[TOY_IRQ].partner, UINT16_MAX);
  for (int32_t i = 0; i < TOY_THREADS; i++) { /* each: "sh", then its own name */
    uint32_t thread = tt_cast_find(&cast, 100 + i, 0);
    assert_true(thread != TT_THREAD_ANY && thread == tt_cast_find(&cast, 100 + i, 2));
    assert_int_equal(cast.threads[thread].n_comms, 2);
    assert_int_equal(cast.threads[thread].comms[0], 0);
    assert_int_equal(cast.threads[thread].comms[1], 1 + i);
    assert_int_equal(cast.threads[thread].cpu, -1);
  }
  for (uint16_t i = 0; i < TOY_CPUS; i++) { /* idle: one per CPU */
    uint32_t idle = tt_cast_find(&cast, 0, i);
    assert_int_equal(cast.threads[idle].cpu, i);
    assert_int_equal(cast.threads[idle].comms[0], 7 + i);
    assert_int_equal(cast.first[i], idle);
  }
  assert_int_equal(tt_cast_find(&cast, 55, 0), TT_THREAD_ANY);
  /* only exec renames, and always */
  for (int i = 0; i < TOY_EVENTS; i++)
    assert_true(cast.events[i].rename == (i == TOY_EXEC ? 1.0f : 0.0f));
  assert_true(cast.events[TOY_EXIT_READ].returns == 1.0f);
  assert_int_equal(cast.events[TOY_EXIT_READ].n_rets, TT_CAST_RETS);
  assert_int_equal(cast.events[TOY_ENTRY_READ].n_rets, 0);
  size_t zeros = 0; /* a third of the sample is 0 */
  for (uint32_t i = 0; i < TT_CAST_RETS; i++) {
    zeros += cast.events[TOY_EXIT_READ].rets[i] == 0;
    assert_true(i == 0 ||
                cast.events[TOY_EXIT_READ].rets[i] >= cast.events[TOY_EXIT_READ].rets[i - 1]);
  }
  assert_in_range(zeros, TT_CAST_RETS / 4, TT_CAST_RETS * 5 / 12);

  json_t *json = tt_cast_to_json(&cast);
  const struct tt_dataset_meta *meta = tt_dataset_meta(dataset);
  struct tt_cast copy;
  assert_int_equal(tt_cast_from_json(json, &meta->events, meta->comms.n, TOY_CPUS, &copy), TT_OK);
  json_t *again = tt_cast_to_json(&copy);
  assert_true(json_equal(json, again));
  json_decref(again);
  tt_cast_release(&copy);

  /* damage: each is refused with a cause */
  static const char *const damages[] = {
      "{\"threads\": 3}",
      "{\"threads\": [[1, -1, 3]]}",
      "{\"threads\": [[1, 0, 3, 0, []]]}",
      "{\"threads\": [[0, 3, 3, 0, []]]}",
      "{\"threads\": [[1, -1, -3, 0, []]]}",
      "{\"threads\": [[1, -1, 3, 0, [10]]]}",
      "{\"threads\": [[1, -1, 3, 0, [0]], [1, -1, 3, 0, [0]]]}",
      "{\"threads\": [[4294967297, -1, 3, 0, []]]}",
      "{\"threads\": [[1, -1, 3, 1, [0]]]}",
      "{\"events\": []}",
      "{\"events\": [[0, 2, []], [0, 0, []], [0, 0, []], [0, 0, []], [], [], [], []]}",
      "{\"first\": [99]}",
      "{\"first\": [-2]}",
      "{\"first\": [0, 0, 0, 0]}",
  };
  for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
    json_t *damaged = json_copy(json), *part = json_loads(damages[i], 0, NULL);
    assert_non_null(part);
    json_object_update(damaged, part);
    tt_causes_clear();
    assert_int_equal(tt_cast_from_json(damaged, &meta->events, meta->comms.n, TOY_CPUS, &copy),
                     TT_BAD_INPUT);
    assert_true(tt_cause_count() > 0);
    json_decref(part);
    json_decref(damaged);
  }
  json_decref(json);
  tt_cast_release(&cast);
  tt_dataset_close(dataset);
}

/* Threads usually begin under the name they went by most; these tests follow all of their names. */
static void begin_under_first_names(struct tt_cast *cast) {
  for (size_t i = 0; i < cast->n_threads; i++) {
    struct tt_cast_thread *thread = &cast->threads[i];
    struct tt_decoder *decoder;
    assert_int_equal(tt_decoder_new(cast, 1, &decoder), TT_OK);
    if (thread->n_comms)
      assert_int_equal(tt_decoder_comm(decoder, (uint32_t)i), thread->comms[thread->usual]);
    if (thread->n_comms == 2) /* they exec early on */
      assert_int_equal(thread->usual, 1);
    tt_decoder_free(decoder);
    thread->usual = 0;
  }
}

/* Random samples of all kinds: whatever they ask for, the decoded trace holds together. */
static void test_decoded_traces_hold_together(void **state) {
  (void)state;
  enum { N = 30000 };
  struct tt_dataset *dataset = toy_dataset(20000, 2);
  struct tt_event *events = tt_alloc(N, sizeof *events);
  struct tt_cast cast;
  assert_int_equal(tt_cast_build(dataset, NULL, 1, &cast), TT_OK);
  begin_under_first_names(&cast);
  for (uint64_t seed = 0; seed < 4; seed++) {
    struct tt_decoder *decoder;
    struct tt_rng rng;
    tt_rng_init(&rng, seed, 9);
    assert_int_equal(tt_decoder_new(&cast, seed, &decoder), TT_OK);
    for (size_t k = 0; k < N; k++) {
      struct tt_sample sample = {
          .ret = tt_rng_below(&rng, 2) ? TT_RET_NONE : TT_RET_DRAW,
          .comm = seed & 1 ? (uint32_t)tt_rng_below(&rng, 12) : TT_COMM_NONE,
          .bucket = seed & 2 ? (int16_t)tt_rng_below(&rng, 256) : (int16_t)-1,
          .thread = seed == 3 ? (uint32_t)tt_rng_below(&rng, cast.n_threads) : TT_THREAD_ANY,
          .event = (uint16_t)tt_rng_below(&rng, TOY_EVENTS),
          .cpu = (uint16_t)tt_rng_below(&rng, TOY_CPUS)};
      if (seed == 3 && tt_decoder_open(decoder, sample.cpu) &&
          tt_decoder_running(decoder, sample.cpu) == sample.thread)
        sample.thread = TT_THREAD_ANY; /* asking for the one that leaves is the caller's affair */
      tt_decoder_next(decoder, (int64_t)k, &sample, &events[k]);
    }
    toy_check_threads(events, N);
    /* each thread is renamed at its first exec, and only then */
    bool renamed[TOY_THREADS] = {false};
    for (size_t k = 0; k < N; k++)
      if (events[k].tid > 0) {
        int t = events[k].tid - 100;
        assert_int_equal(events[k].comm, renamed[t] ? 1 + t : 0);
        renamed[t] |= events[k].event == TOY_EXEC;
      }
    tt_decoder_free(decoder);
  }
  tt_cast_release(&cast);
  tt_dataset_close(dataset);
  tt_free(events);
}

static struct tt_event decode_one(struct tt_decoder *decoder, uint16_t cpu, uint16_t event,
                                  int16_t bucket, uint32_t comm) {
  struct tt_sample sample = {.ret = TT_RET_NONE,
                             .comm = comm,
                             .bucket = bucket,
                             .thread = TT_THREAD_ANY,
                             .event = event,
                             .cpu = cpu};
  struct tt_event ret;
  tt_decoder_next(decoder, 0, &sample, &ret);
  return ret;
}

static void test_wishes(void **state) {
  (void)state;
  struct tt_dataset *dataset = toy_dataset(20000, 3);
  struct tt_cast cast;
  struct tt_decoder *decoder;
  assert_int_equal(tt_cast_build(dataset, NULL, 1, &cast), TT_OK);
  begin_under_first_names(&cast);
  assert_int_equal(tt_decoder_new(&cast, 5, &decoder), TT_OK);
  /* no hint at first: who ran first there */
  assert_int_equal(decode_one(decoder, 2, TOY_SWITCH, -1, TT_COMM_NONE).tid, 0);
  /* bucket and comm agree */
  assert_int_equal(decode_one(decoder, 0, TOY_EXEC, 104, 0).tid, 104);
  /* hints don't matter in the middle of a turn */
  struct tt_event event = decode_one(decoder, 0, TOY_IRQ, 102, 0);
  assert_int_equal(event.tid, 104);
  assert_int_equal(event.comm, 5); /* after its exec */
  /* 104 runs on CPU 0: elsewhere somebody else is found, by comm first */
  event = decode_one(decoder, 1, TOY_IRQ, 104, 0);
  assert_true(event.tid != 104 && event.comm == 0);
  /* it leaves, and may run on CPU 2 */
  assert_int_equal(decode_one(decoder, 0, TOY_SWITCH, -1, TT_COMM_NONE).tid, 104);
  assert_int_equal(decode_one(decoder, 2, TOY_ENTRY_READ, 104, 5).tid, 104);
  bool known;
  uint32_t thread = tt_cast_find(&cast, 104, 2);
  assert_int_equal(tt_decoder_inside(decoder, thread, &known), TOY_ENTRY_READ);
  assert_true(known);
  event = decode_one(decoder, 2, TOY_EXIT_READ, -1, TT_COMM_NONE);
  assert_true(event.ret == 0 || event.ret == 512 || event.ret == 1024); /* always has one */
  assert_int_equal(tt_decoder_inside(decoder, thread, &known), UINT16_MAX);
  assert_true(known);
  /* it leaves but has one more event; then somebody else comes */
  assert_int_equal(decode_one(decoder, 2, TOY_SWITCH, -1, TT_COMM_NONE).tid, 104);
  assert_true(tt_decoder_open(decoder, 2));
  tt_decoder_stay(decoder, 2);
  assert_true(tt_decoder_stays(decoder, 2) && !tt_decoder_open(decoder, 2));
  assert_false(tt_decoder_may_run(decoder, thread, 0));
  assert_int_equal(decode_one(decoder, 2, TOY_IRQ, 102, TT_COMM_NONE).tid, 104);
  assert_true(tt_decoder_open(decoder, 2) && !tt_decoder_stays(decoder, 2));
  assert_true(decode_one(decoder, 2, TOY_ENTRY_READ, 102, TT_COMM_NONE).tid != 104);
  assert_false(tt_decoder_open(decoder, 2));
  /* the idle thread's bucket is that CPU's idle thread */
  event = decode_one(decoder, 0, TOY_IDLE, 0, TT_COMM_NONE);
  assert_true(event.tid == 0 && event.comm == 7);
  tt_decoder_free(decoder);
  tt_cast_release(&cast);
  tt_dataset_close(dataset);
}

/* ---- merging ---- */

struct counting_source {
  uint64_t given[TOY_CPUS];
  int64_t begin[TOY_CPUS];
};

static int64_t step_of(size_t stream, uint64_t i) {
  return stream == 2 ? 10 : (int64_t)(7 + (i * (stream + 3)) % 11);
}

static enum tt_status next(void *user, size_t stream, struct tt_sample *ret) {
  struct counting_source *source = user;
  *ret = (struct tt_sample){.dt = step_of(stream, source->given[stream]++),
                            .ret = TT_RET_NONE,
                            .comm = TT_COMM_NONE,
                            .thread = TT_THREAD_ANY,
                            .bucket = -1,
                            .event = TOY_IRQ,
                            .cpu = (uint16_t)stream};
  return source->given[stream] > 5000 ? tt_fail(TT_FAILED, "out of samples") : TT_OK;
}

struct collected {
  struct tt_event events[10000];
  size_t n, limit;
};

static enum tt_status collect(void *user, const struct tt_event *events, size_t n) {
  struct collected *to = user;
  if (to->n + n > to->limit)
    return tt_fail(TT_IO, "disk full");
  memcpy(to->events + to->n, events, n * sizeof *events);
  to->n += n;
  return TT_OK;
}

static void test_merge(void **state) {
  (void)state;
  static const uint64_t sizes[] = {0, 1, 2, 3, 4096, 4097, 9000};
  static struct collected to;
  struct tt_dataset *dataset = toy_dataset(5000, 4);
  struct tt_cast cast;
  assert_int_equal(tt_cast_build(dataset, NULL, 1, &cast), TT_OK);
  const struct tt_event_sink sink = {collect, &to};
  for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
    struct counting_source user = {.begin = {0, 5, 0}};
    const struct tt_sample_source source = {.user = &user, .n_streams = TOY_CPUS, .next = next};
    struct tt_decoder *decoder;
    assert_int_equal(tt_decoder_new(&cast, 1, &decoder), TT_OK);
    to.n = 0;
    to.limit = 10000;
    assert_int_equal(tt_merge_run(&source, user.begin, decoder, sizes[k], NULL, &sink), TT_OK);
    assert_int_equal(to.n, sizes[k]);
    int64_t ts[TOY_CPUS] = {0, 5, 0};
    uint64_t i[TOY_CPUS] = {0};
    for (size_t e = 0; e < to.n; e++) { /* each stream complete, its time the sum of its steps */
      size_t stream = to.events[e].cpu;
      ts[stream] += step_of(stream, i[stream]++);
      assert_int_equal(to.events[e].ts, ts[stream]);
      assert_true(e == 0 || to.events[e].ts > to.events[e - 1].ts ||
                  (to.events[e].ts == to.events[e - 1].ts && stream > to.events[e - 1].cpu));
    }
    tt_decoder_free(decoder);
  }
  /* failures of either side are passed on */
  struct counting_source user = {.begin = {0}};
  struct tt_sample_source source = {.user = &user, .n_streams = 1, .next = next};
  struct tt_decoder *decoder;
  assert_int_equal(tt_decoder_new(&cast, 1, &decoder), TT_OK);
  to.n = 0;
  assert_int_equal(tt_merge_run(&source, user.begin, decoder, 6000, NULL, &sink), TT_FAILED);
  to.n = 0;
  to.limit = 4096;
  user.given[0] = 0;
  assert_int_equal(tt_merge_run(&source, user.begin, decoder, 4999, NULL, &sink), TT_IO);
  user.given[0] = 0;
  tt_interrupt();
  assert_int_equal(tt_merge_run(&source, user.begin, decoder, 100, NULL, &sink), TT_INTERRUPTED);
  tt_interrupt_reset();
  tt_decoder_free(decoder);
  /* time that would overflow stays at the end */
  user.begin[0] = INT64_MAX - 15;
  user.given[0] = 0;
  to.n = 0;
  assert_int_equal(tt_decoder_new(&cast, 1, &decoder), TT_OK);
  assert_int_equal(tt_merge_run(&source, user.begin, decoder, 5, NULL, &sink), TT_OK);
  assert_true(to.events[4].ts == INT64_MAX);
  tt_decoder_free(decoder);
  tt_cast_release(&cast);
  tt_dataset_close(dataset);
}

/* ---- the interface ---- */

static void test_table(void **state) {
  (void)state;
  size_t n = 0;
  for (const struct tt_generator_ops *ops; (ops = tt_generator_at(n)); n++) {
    assert_ptr_equal(tt_generator_find(ops->name), ops);
    assert_true(ops->summary && *ops->summary && ops->train && ops->generate && ops->save &&
                ops->load && ops->free);
    for (const char *const *option = ops->options; option && *option; option++)
      assert_true(strchr(*option, '=') && strchr(*option, ':'));
    printf("  %s: %s\n", ops->name, ops->summary);
  }
  assert_true(n >= 2);
  assert_null(tt_generator_find("no such"));
}

static void test_bad_requests(void **state) {
  (void)state;
  struct tt_dataset *dataset = toy_dataset(3000, 5), *empty = toy_dataset(0, 5);
  struct tt_train_option option = {"order", "seven"};
  struct tt_train_config config = {
      .train = dataset, .stream = TT_STREAM_CPU, .options = &option, .n_options = 1};
  struct tt_train_result result;
  struct tt_generator *generator = NULL;
  assert_int_equal(tt_generator_train("no such", &config, &result, &generator), TT_USAGE);
  static const char *const values[] = {"seven", "", "0", "7", "5x"};
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
    option.value = values[i];
    assert_int_equal(tt_generator_train("markov", &config, &result, &generator), TT_USAGE);
  }
  option = (struct tt_train_option){"ord", "5"};
  assert_int_equal(tt_generator_train("markov", &config, &result, &generator), TT_USAGE);
  config.n_options = 0;
  config.train = empty;
  assert_int_equal(tt_generator_train("markov", &config, &result, &generator), TT_BAD_INPUT);
  /* validation data with other dictionaries */
  struct tt_event *events = fixture_events(100, 2, 1);
  struct tt_dataset_meta other;
  fixture_meta(&other);
  struct tt_dataset *foreign = toy_open(events, 100, &other);
  config.train = dataset;
  config.val = foreign;
  assert_int_equal(tt_generator_train("markov", &config, &result, &generator), TT_BAD_INPUT);
  assert_null(generator);
  assert_int_equal(tt_generator_load("/nonexistent", &generator), TT_BAD_INPUT);
  assert_int_equal(tt_generator_load(fixture_folder, &generator), TT_BAD_INPUT);
  assert_null(generator);
  tt_dataset_meta_release(&other);
  tt_free(events);
  tt_dataset_close(foreign);
  tt_dataset_close(empty);
  tt_dataset_close(dataset);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_roles),        cmocka_unit_test(test_cast),
      cmocka_unit_test(test_wishes),       cmocka_unit_test(test_decoded_traces_hold_together),
      cmocka_unit_test(test_merge),        cmocka_unit_test(test_table),
      cmocka_unit_test(test_bad_requests),
  };
  return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
