/* generators/system: a system call ends as it began, whatever stands between; stretches are joined
 * so that they could be one trace. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "generators/system/seams.h"
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

static struct tt_generator *small_ar(void) {
  static const struct tt_train_option options[] = {
      {"width", "32"}, {"layers", "1"}, {"heads", "2"}};
  return train("ar", options, 3);
}

static void what_calls_had(void **state) {
  (void)state;
  struct tt_generator *generator = small_ar();
  const struct tt_system *system = (const struct tt_system *)generator;
  assert_true(tt_system_call_had(system, READ, END_READ));
  assert_false(tt_system_call_had(system, READ, END_WRITE));
  assert_false(tt_system_call_had(system, READ, WRITE));
  assert_true(tt_system_call_had(system, TT_MARKOV_NO_CALL, WRITE));
  assert_false(tt_system_call_had(system, TT_MARKOV_NO_CALL, END_WRITE));
  assert_true(tt_system_call_had(system, TT_MARKOV_CALL_UNKNOWN, END_WRITE));
  for (uint16_t event = FIRST; event <= LAST; event++) /* no entry, no exit */
    assert_true(tt_system_call_had(system, TT_MARKOV_NO_CALL, event));
  assert_true(tt_system_comm_had(system, 0, READ)); /* all went by this name */
  assert_true(tt_system_comm_had(system, TT_COMM_NONE, READ));
  tt_generator_free(generator);
}

/* Entries and exits of one twin, and how many exits are of another call than the last entry. */
static void check_pairs(const struct tt_generator *generator) {
  struct twin twin = twin_generate(generator, 1500, 7); /* some stretches */
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

/* ---- seams ---- */

/* n rows of the toy from `first` on, as a stretch: times from its beginning. */
static struct tt_event *stretch(size_t first, size_t n) {
  const struct tt_columns *c = tt_dataset_columns(toy);
  struct tt_event *events = tt_alloc(n, sizeof *events);
  for (size_t i = 0; i < n; i++)
    events[i] = (struct tt_event){.ts = c->ts[first + i] - c->ts[first],
                                  .ret = TT_RET_NONE,
                                  .tid = c->tid[first + i],
                                  .event = c->event[first + i]};
  return events;
}

/* Adds and frees it. */
static void add(struct tt_seams *seams, struct tt_event *events, size_t n) {
  assert_int_equal(tt_seams_add(seams, events, n), TT_OK);
  tt_free(events);
}

/* Pairs of events that the toy never had, calls that don't end as they began, and events of another
 * thread than before without a switch. */
struct oddities {
  size_t unseen, torn, jumps;
};
static struct oddities count_oddities(const struct tt_system *system, const struct twin *twin) {
  struct oddities ret = {0};
  int call[2] = {-1, -1};
  for (size_t i = 0; i < twin->n; i++) {
    const struct tt_event *e = &twin->events[i];
    int *of = &call[e->tid - 100];
    if (i > 0) {
      assert_true(e->ts >= e[-1].ts);
      ret.unseen += !system->follows[e[-1].event * TYPES + e->event];
      ret.jumps += e->tid != e[-1].tid && e[-1].event != SWITCH;
    }
    if (e->event == READ || e->event == WRITE) {
      ret.torn += *of >= 0;
      *of = e->event - READ;
    }
    if (e->event == END_READ || e->event == END_WRITE) {
      ret.torn += i >= TURN && *of != e->event - END_READ;
      *of = -1;
    }
  }
  return ret;
}

/* Stretches that begin and end anywhere: in the middle of calls, of either thread. */
static void seams_tear_nothing(void **state) {
  (void)state;
  enum { N = 10, LENGTH = 400 };
  struct tt_generator *generator = small_ar();
  const struct tt_system *system = (const struct tt_system *)generator;
  struct tt_event events[N * LENGTH];
  struct twin twin = {.events = events, .capacity = N * LENGTH};
  const struct tt_event_sink sink = {twin_keep, &twin};
  struct tt_seams seams;
  assert_int_equal(tt_seams_init(system, N * LENGTH, &sink, &seams), TT_OK);
  for (size_t k = 0; k < N; k++) {
    assert_false(tt_seams_enough(&seams));
    add(&seams, stretch(k * 500 + k * 7 % TURN, LENGTH), LENGTH);
  }
  assert_int_equal(tt_seams_finish(&seams), TT_OK);
  tt_seams_release(&seams);
  assert_true(twin.n > N * (LENGTH - 2 * TURN)); /* what is torn of a turn on either side is lost */
  assert_true(twin.n < N * LENGTH);
  const struct oddities found = count_oddities(system, &twin);
  assert_int_equal(found.unseen, 0);
  assert_int_equal(found.torn, 0);
  assert_int_equal(found.jumps, 0);
  tt_generator_free(generator);
}

/* What was never seen within a stretch is mended like a seam; what fits nowhere is left out, but
 * never all of a stretch; and the twin has as many events as it is to have. */
static void seams_within_stretches(void **state) {
  (void)state;
  enum { LENGTH = 400, WANTED = 500 };
  struct tt_generator *generator = small_ar();
  const struct tt_system *system = (const struct tt_system *)generator;
  struct tt_event events[WANTED];
  struct twin twin = {.events = events, .capacity = WANTED};
  const struct tt_event_sink sink = {twin_keep, &twin};
  struct tt_seams seams;
  assert_int_equal(tt_seams_init(system, WANTED, &sink, &seams), TT_OK);
  struct tt_event *broken = stretch(0, LENGTH);
  broken[200].event = broken[200].event == SWITCH ? READ : SWITCH;
  add(&seams, broken, LENGTH);
  assert_false(tt_seams_enough(&seams));
  const uint64_t left = seams.left - seams.n_tail;
  assert_true(left > WANTED - LENGTH && left < WANTED - LENGTH + 3 * TURN);
  struct tt_event *lost = stretch(0, 2); /* of a kind that never came twice */
  lost[0].event = lost[1].event = SWITCH;
  add(&seams, lost, 2);
  assert_true(seams.left - seams.n_tail < left);
  while (!tt_seams_enough(&seams))
    add(&seams, stretch(TURN, LENGTH), LENGTH);
  assert_int_equal(tt_seams_finish(&seams), TT_OK);
  tt_seams_release(&seams);
  assert_int_equal(twin.n, WANTED);
  assert_true(count_oddities(system, &twin).unseen <= 1);
  tt_generator_free(generator);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_calls_had), cmocka_unit_test(calls_end_as_they_began),
      cmocka_unit_test(seams_tear_nothing), cmocka_unit_test(seams_within_stretches)};
  return cmocka_run_group_tests(tests, make_toy, toy_end);
}
