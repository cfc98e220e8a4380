/* Processes that a twin sees begin: each under the name of who forked it, until it executes another
 * program. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "toy_twin.h"

/* On one CPU a shell forks one child after the other and lets it run: it executes its program, does
 * some work, and exits. */
enum { SWITCH, FORK, EXEC, EXIT, SHELL_WORK, WORK, TYPES };
enum { SHELL, PROGRAM };
enum { EVENTS = 30000, TWIN = 20000, SHELL_TID = 10, LIFE = 8 };
static const char *const NAMES[TYPES] = {"sched_switch",       "sched_process_fork",
                                         "sched_process_exec", "sched_process_exit",
                                         "shell_work",         "work"};
static const char *const COMMS[2] = {"sh", "program"};

struct writer {
  struct tt_event *events;
  size_t n;
};

static void write(struct writer *w, uint16_t event, int32_t tid, uint32_t comm) {
  if (w->n == EVENTS)
    return;
  w->events[w->n] = (struct tt_event){
      .ts = (int64_t)w->n * 500, .ret = TT_RET_NONE, .event = event, .tid = tid, .comm = comm};
  w->n++;
}

static int make_toy(void **state) {
  const struct toy_names names = {NAMES, COMMS, TYPES, 2};
  struct writer w = {.events = tt_alloc(EVENTS, sizeof *w.events)};
  struct tt_rng rng;
  tt_rng_init(&rng, 1, 1);
  for (int32_t child = SHELL_TID + 1; w.n < EVENTS; child++) {
    write(&w, SHELL_WORK, SHELL_TID, SHELL);
    write(&w, FORK, SHELL_TID, SHELL);
    write(&w, SWITCH, SHELL_TID, SHELL);
    write(&w, SHELL_WORK, child, SHELL);
    write(&w, EXEC, child, PROGRAM);
    for (uint64_t i = 0; i < LIFE + tt_rng_below(&rng, 3); i++)
      write(&w, WORK, child, PROGRAM);
    write(&w, EXIT, child, PROGRAM);
    write(&w, SWITCH, child, PROGRAM);
  }
  return toy_begin(state, &names, w.events, EVENTS);
}

/* Of the children that the shell switches to. */
static double begun_as_shell(const struct tt_event *events, size_t n) {
  double all = 0, right = 0;
  for (size_t i = 1; i < n; i++)
    if (events[i - 1].event == SWITCH && events[i - 1].tid == SHELL_TID &&
        events[i].tid != SHELL_TID) {
      all++;
      right += events[i].comm == SHELL;
    }
  return right / all;
}

static void check(const char *name) {
  struct twin twin = toy_twin(name, TWIN);
  const double share = begun_as_shell(twin.events, TWIN);
  print_message("%s: %.3f of the children began as the shell\n", name, share);
  assert_true(share > 0.95); /* but at seams */
  tt_free(twin.events);
}

static void ar_forks(void **state) {
  (void)state;
  check("ar");
}

static void masked_forks(void **state) {
  (void)state;
  check("masked");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(ar_forks), cmocka_unit_test(masked_forks)};
  return cmocka_run_group_tests(tests, make_toy, toy_end);
}
