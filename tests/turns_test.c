/* Who runs after whom, where what the kernel does in a switch is still recorded as the leaving
 * thread's: perf has tlb_flush between sched_switch and the first event of the thread that comes.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "toy_twin.h"

/* Two CPUs, each with two processes of its own and a thread of the kernel's, which needs no flush.
 * A turn is some work, a wake-up of who comes next, and the switch. */
enum { SWITCH, FLUSH, WAKE_A, WAKE_B, WAKE_KERNEL, WORK_A, WORK_B, WORK_KERNEL, TYPES };
enum { A, B, KERNEL, THREADS };
enum { CPUS = 2, EVENTS = 30000, TWIN = 20000, FIRST_TID = 10 };
static const char *const NAMES[TYPES] = {"sched_switch", "tlb_flush", "wake_a", "wake_b",
                                         "wake_kernel",  "work_a",    "work_b", "work_kernel"};

struct cpu {
  int thread, next;
  int left;  /* events of work */
  int phase; /* 0: work, 1: woken who comes, 2: switched, flushes */
};

static int kind_of(int32_t tid) {
  return (tid - FIRST_TID) % THREADS;
}

static uint16_t next_event(struct cpu *cpu, struct tt_rng *rng) {
  if (cpu->phase == 2 || (cpu->phase == 0 && cpu->left-- > 0)) {
    const bool flushes = cpu->phase == 2;
    const uint16_t event = flushes ? FLUSH : (uint16_t)(WORK_A + cpu->thread);
    cpu->phase = 0;
    cpu->thread = flushes ? cpu->next : cpu->thread;
    return event;
  }
  if (cpu->phase == 0) {
    do
      cpu->next = tt_rng_below(rng, 5) == 0 ? KERNEL : (int)tt_rng_below(rng, THREADS);
    while (cpu->next == cpu->thread);
    cpu->phase = 1;
    return (uint16_t)(WAKE_A + cpu->next);
  }
  cpu->phase = cpu->thread == KERNEL || cpu->next == KERNEL ? 0 : 2;
  cpu->left = 1 + (int)tt_rng_below(rng, 4);
  return SWITCH;
}

static int make_toy(void **state) {
  const struct toy_names names = {NAMES, NULL, TYPES, 0};
  struct tt_event *events = tt_alloc(EVENTS, sizeof *events);
  struct cpu cpus[CPUS] = {{.thread = A, .left = 2}, {.thread = B, .left = 2}};
  struct tt_rng rng;
  tt_rng_init(&rng, 1, 1);
  for (size_t i = 0; i < EVENTS; i++) {
    const uint16_t cpu = (uint16_t)tt_rng_below(&rng, CPUS);
    struct cpu *on = &cpus[cpu];
    const int thread = on->thread;
    events[i] = (struct tt_event){.ts = (int64_t)i * 500,
                                  .ret = TT_RET_NONE,
                                  .comm = TT_COMM_NONE,
                                  .cpu = cpu,
                                  .tid = FIRST_TID + cpu * THREADS + thread,
                                  .event = next_event(on, &rng)};
    if (events[i].event == SWITCH && on->phase == 0)
      on->thread = on->next;
  }
  return toy_begin(state, &names, events, EVENTS);
}

struct figures {
  double flushed; /* of switches */
  double right;   /* flushes that are the leaving thread's, between two processes */
  double told;    /* turns of the thread that was woken */
  double turns[THREADS];
};

static struct figures figures_of(const struct tt_event *events, size_t n) {
  struct figures f = {0};
  double switches = 0, flushes = 0, right = 0, told = 0, turns = 0;
  for (uint16_t cpu = 0; cpu < CPUS; cpu++) {
    const struct tt_event *last[3] = {NULL}; /* [0]: the latest of the CPU */
    for (size_t i = 0; i < n; i++) {
      const struct tt_event *e = &events[i];
      if (e->cpu != cpu)
        continue;
      if (last[0] && last[0]->event == SWITCH) {
        switches++;
        f.flushed += e->event == FLUSH;
      }
      const bool flushed = last[0] && last[0]->event == FLUSH;
      const struct tt_event *wake = last[flushed ? 2 : 1];
      if (wake && (flushed || last[0]->event == SWITCH) && e->event != FLUSH) {
        turns++;
        f.turns[kind_of(e->tid)]++;
        told += wake->event == WAKE_A + kind_of(e->tid);
        flushes += flushed;
        right += flushed && last[0]->tid == last[1]->tid && last[1]->event == SWITCH &&
                 e->tid != last[0]->tid && kind_of(e->tid) != KERNEL &&
                 kind_of(last[0]->tid) != KERNEL;
      }
      last[2] = last[1];
      last[1] = last[0];
      last[0] = e;
    }
  }
  f.flushed /= switches;
  f.right = right / flushes;
  f.told = told / turns;
  for (size_t i = 0; i < THREADS; i++)
    f.turns[i] /= turns;
  return f;
}

static struct figures real_figures(void) {
  struct tt_event *events = tt_alloc(EVENTS, sizeof *events);
  const struct tt_columns *c = tt_dataset_columns(toy);
  for (size_t i = 0; i < EVENTS; i++)
    events[i] = (struct tt_event){.event = c->event[i], .cpu = c->cpu[i], .tid = c->tid[i]};
  const struct figures ret = figures_of(events, EVENTS);
  tt_free(events);
  return ret;
}

static void check(const char *name) {
  struct twin twin = toy_twin(name, TWIN);
  const struct figures real = real_figures(), made = figures_of(twin.events, TWIN);
  print_message("%s: of switches flushed %.3f (%.3f), right %.3f, who was woken %.3f\n", name,
                made.flushed, real.flushed, made.right, made.told);
  assert_true(real.right == 1 && real.told == 1);
  assert_true(fabs(made.flushed - real.flushed) < 0.05);
  assert_true(made.right > 0.98); /* but at seams */
  assert_true(made.told > 0.98);
  for (size_t i = 0; i < THREADS; i++)
    assert_true(fabs(made.turns[i] - real.turns[i]) < 0.05);
  tt_free(twin.events);
}

static void markov_switches_late(void **state) {
  (void)state;
  check("markov");
}

static void ar_switches_late(void **state) {
  (void)state;
  check("ar");
}

static void masked_switches_late(void **state) {
  (void)state;
  check("masked");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(markov_switches_late),
                                     cmocka_unit_test(ar_switches_late),
                                     cmocka_unit_test(masked_switches_late)};
  return cmocka_run_group_tests(tests, make_toy, toy_end);
}
