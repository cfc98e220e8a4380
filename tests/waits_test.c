/* Who runs once a wait is over: he who waits, whoever that is. Counting, which knows threads by
 * their identity alone, lets anyone come who ever came after the idle thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rng.h"
#include "toy_twin.h"

/* On one CPU workers take turns. Sometimes one reads: then the CPU idles until it goes on. */
enum { SWITCH, ENTRY, EXIT, IDLE, WORK, TYPES };
enum { WORKERS = 12, EVENTS = 30000, TWIN = 20000, FIRST_TID = 10 };
static const char *const NAMES[TYPES] = {"sched_switch", "syscall_entry_read", "syscall_exit_read",
                                         "power_cpu_idle", "work"};

struct writer {
  struct tt_event *events;
  size_t n;
};

static void write(struct writer *w, uint16_t event, int32_t tid) {
  if (w->n < EVENTS)
    w->events[w->n] = (struct tt_event){.ts = (int64_t)w->n * 500,
                                        .ret = event == EXIT ? 1 : TT_RET_NONE,
                                        .event = event,
                                        .tid = tid,
                                        .comm = TT_COMM_NONE};
  w->n += w->n < EVENTS;
}

static int make_toy(void **state) {
  const struct toy_names names = {NAMES, NULL, TYPES, 0};
  struct writer w = {.events = tt_alloc(EVENTS, sizeof *w.events)};
  struct tt_rng rng;
  tt_rng_init(&rng, 1, 1);
  for (uint64_t worker = 0; w.n < EVENTS;) {
    const int32_t tid = FIRST_TID + (int32_t)worker;
    write(&w, WORK, tid);
    if (tt_rng_below(&rng, 2) == 0) {
      write(&w, ENTRY, tid);
      write(&w, SWITCH, tid);
      write(&w, IDLE, 0);
      write(&w, SWITCH, 0);
      write(&w, EXIT, tid);
    }
    write(&w, WORK, tid);
    write(&w, SWITCH, tid);
    worker = (worker + 1 + tt_rng_below(&rng, WORKERS - 1)) % WORKERS;
  }
  return toy_begin(state, &names, w.events, EVENTS);
}

/* Of the turns after the idle thread those of the thread that ran before it. */
static double came_back(const struct tt_event *events, size_t n) {
  double all = 0, right = 0;
  for (size_t i = 3; i < n; i++)
    if (events[i - 1].tid == 0 && events[i - 1].event == SWITCH && events[i - 3].tid != 0 &&
        events[i].tid != 0) {
      all++;
      right += events[i].tid == events[i - 3].tid;
    }
  return right / all;
}

/* Turns of the worker that has most of them, as a share. */
static double most_turns(const struct tt_event *events, size_t n) {
  double turns[WORKERS] = {0}, all = 0, most = 0;
  for (size_t i = 0; i < n; i++)
    if (events[i].event == WORK) {
      all++;
      turns[events[i].tid - FIRST_TID]++;
    }
  for (size_t i = 0; i < WORKERS; i++)
    most = turns[i] > most ? turns[i] : most;
  return most / all;
}

static void check(const char *name) {
  struct twin twin = toy_twin(name, TWIN);
  const double share = came_back(twin.events, TWIN), most = most_turns(twin.events, TWIN);
  print_message("%s: who waited came after %.3f of the waits\n", name, share);
  assert_true(share > 0.95); /* but at seams */
  assert_true(most < 2.0 / WORKERS);
  tt_free(twin.events);
}

static void ar_waits(void **state) {
  (void)state;
  check("ar");
}

static void masked_waits(void **state) {
  (void)state;
  check("masked");
}

static void counting_does_not_know(void **state) {
  (void)state;
  struct twin twin = toy_twin("markov", TWIN);
  assert_true(came_back(twin.events, TWIN) < 0.5);
  tt_free(twin.events);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(ar_waits), cmocka_unit_test(masked_waits),
                                     cmocka_unit_test(counting_does_not_know)};
  return cmocka_run_group_tests(tests, make_toy, toy_end);
}
