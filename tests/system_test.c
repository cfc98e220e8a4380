/* generators/system: a system call ends as it began, whatever stands between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "generators/system/system.h"
#include "stored_toy.h"
#include "twin_fixture.h"

/* One CPU, two threads in turn, two system calls between which only the entry tells: more events
 * stand between entry and exit than the n-gram sees. */
enum { READ, WRITE, FIRST, LAST = FIRST + 5, END_READ, END_WRITE, SWITCH, TYPES };
enum { TURN = LAST - FIRST + 4, EVENTS = 600 * TURN };
static const char *const NAMES[TYPES] = {"syscall_entry_read",
                                         "syscall_entry_write",
                                         "kmem_a",
                                         "kmem_b",
                                         "kmem_c",
                                         "kmem_d",
                                         "kmem_e",
                                         "kmem_f",
                                         "syscall_exit_read",
                                         "syscall_exit_write",
                                         "sched_switch"};

static int make_toy(void **state) {
  static const char *const comm = "a";
  const struct toy_names names = {NAMES, &comm, TYPES, 1};
  struct tt_event *events = tt_alloc(EVENTS, sizeof *events);
  struct tt_rng rng;
  tt_rng_init(&rng, 1, 1);
  uint16_t call = READ;
  for (int i = 0; i < EVENTS; i++) {
    const int at = i % TURN;
    if (at == 0)
      call = tt_rng_below(&rng, 2) ? READ : WRITE;
    const int type = at == 0          ? call
                     : at == TURN - 2 ? END_READ + call - READ
                     : at == TURN - 1 ? SWITCH
                                      : FIRST + at - 1;
    events[i] = (struct tt_event){.ts = 1000 * i + (int64_t)tt_rng_below(&rng, 99),
                                  .ret = TT_RET_NONE,
                                  .tid = 100 + i / TURN % 2,
                                  .event = (uint16_t)type};
  }
  return toy_begin(state, &names, events, EVENTS);
}

static struct tt_generator *train(const char *name, const struct tt_train_option *options,
                                  size_t n_options) {
  const struct tt_train_config config = {.train = toy,
                                         .stream = TT_STREAM_CPU,
                                         .context = 16,
                                         .steps = 2,
                                         .seed = 1,
                                         .options = options,
                                         .n_options = n_options};
  struct tt_train_result result;
  struct tt_generator *generator;
  assert_int_equal(tt_generator_train(name, &config, &result, &generator), TT_OK);
  return generator;
}

static void what_calls_had(void **state) {
  (void)state;
  static const struct tt_train_option options[] = {
      {"width", "32"}, {"layers", "1"}, {"heads", "2"}};
  struct tt_generator *generator = train("ar", options, 3);
  const struct tt_system *system = (const struct tt_system *)generator;
  assert_true(tt_system_call_had(system, READ, END_READ));
  assert_false(tt_system_call_had(system, READ, END_WRITE));
  assert_false(tt_system_call_had(system, READ, WRITE));
  assert_true(tt_system_call_had(system, TT_MARKOV_NO_CALL, WRITE));
  assert_false(tt_system_call_had(system, TT_MARKOV_NO_CALL, END_WRITE));
  assert_true(tt_system_call_had(system, TT_MARKOV_CALL_UNKNOWN, END_WRITE));
  for (uint16_t event = FIRST; event <= LAST; event++) /* no entry, no exit */
    assert_true(tt_system_call_had(system, TT_MARKOV_NO_CALL, event));
  tt_generator_free(generator);
}

/* Entries and exits of one twin, and how many exits are of another call than the last entry. */
static void check_pairs(const struct tt_generator *generator) {
  struct twin twin = twin_generate(generator, 1500, 7); /* one stretch */
  int call[2] = {-1, -1};
  size_t wrong = 0, ended = 0;
  for (size_t i = 0; i < twin.n; i++) {
    const int type = twin.events[i].event, thread = twin.events[i].tid - 100;
    if (type == READ || type == WRITE)
      call[thread] = type;
    if ((type == END_READ || type == END_WRITE) && call[thread] >= 0) {
      wrong += type - END_READ != call[thread] - READ;
      ended++;
      call[thread] = -1;
    }
  }
  assert_true(ended > 100);
  assert_int_equal(wrong, 0);
  tt_free(twin.events);
}

static void calls_end_as_they_began(void **state) {
  (void)state;
  static const struct tt_train_option ar[] = {{"width", "32"}, {"layers", "1"}, {"heads", "2"}};
  static const struct tt_train_option masked[] = {
      {"width", "32"}, {"layers", "1"}, {"heads", "2"}, {"block", "4"}, {"reveals", "2"}};
  char *path = tt_format("%s/model", fixture_folder);
  for (int i = 0; i < 2; i++) {
    struct tt_generator *generator = i == 0 ? train("ar", ar, 3) : train("masked", masked, 5);
    check_pairs(generator);
    assert_int_equal(tt_generator_save(generator, path, true), TT_OK);
    tt_generator_free(generator);
    assert_int_equal(tt_generator_load(path, &generator), TT_OK); /* it is kept in the model */
    check_pairs(generator);
    tt_generator_free(generator);
  }
  tt_free(path);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(what_calls_had),
                                     cmocka_unit_test(calls_end_as_they_began)};
  return cmocka_run_group_tests(tests, make_toy, toy_end);
}
