/* A made-up trace with the structure that generators must keep: CPUs that run one thread at a time,
 * changed by sched_switch; system calls in pairs with return values; a thread that is renamed.
 * Include after cmocka.h and dataset_fixture.h. */
#ifndef TESTS_TOY_TRACE_H
#define TESTS_TOY_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rng.h"
#include "dataset/dataset.h"

enum toy_event {
  TOY_SWITCH,
  TOY_ENTRY_READ,
  TOY_EXIT_READ,
  TOY_ENTRY_WRITE,
  TOY_EXIT_WRITE,
  TOY_IRQ,
  TOY_EXEC,
  TOY_IDLE,
  TOY_EVENTS
};
static const char *const toy_names[TOY_EVENTS] = {
    "sched_switch",       "syscall_entry_read", "syscall_exit_read",  "syscall_entry_write",
    "syscall_exit_write", "irq_handler_entry",  "sched_process_exec", "power_cpu_idle"};

enum {
  TOY_CPUS = 3,
  TOY_THREADS = 6
}; /* thread i has tid 100 + i; comm 0: "sh", 1 + i: "app<i>";
      7 + c: "swapper/<c>" */

struct toy_cpu {
  int thread; /* -1: idle */
  int left;   /* system calls, or idle events, before the switch */
  int inside; /* 0: none, else the entry */
  int64_t ts;
};

/* One event of a CPU. Threads 0-2 read, 3-5 write; idle CPUs only go to sleep. */
static struct tt_event toy_step(struct toy_cpu *cpus, int id, bool *renamed, struct tt_rng *rng) {
  struct toy_cpu *cpu = &cpus[id];
  int t = cpu->thread;
  struct tt_event event = {.ret = TT_RET_NONE, .cpu = (uint16_t)id};
  event.tid = t < 0 ? 0 : 100 + t;
  event.comm = t < 0 ? (uint32_t)(7 + id) : renamed[t] ? (uint32_t)(1 + t) : 0;
  if (cpu->inside) {
    event.event = (uint16_t)(cpu->inside + 1);
    event.ret = cpu->inside == TOY_ENTRY_READ ? (int64_t)tt_rng_below(rng, 3) * 512 : 7;
    cpu->inside = 0;
  } else if (cpu->left-- > 0) {
    event.event = t < 0 ? TOY_IDLE : tt_rng_below(rng, 20) == 0 ? TOY_IRQ : TOY_SWITCH;
    if (t >= 0 && !renamed[t]) {
      event.event = TOY_EXEC;
      renamed[t] = true;
    } else if (event.event == TOY_SWITCH) {
      event.event = t < 3 ? TOY_ENTRY_READ : TOY_ENTRY_WRITE;
      cpu->inside = event.event;
    }
  } else {
    event.event = TOY_SWITCH;
    int next = t < 0 ? (int)tt_rng_below(rng, TOY_THREADS) : -1;
    for (int i = 0; i < TOY_CPUS; i++)
      if (next >= 0 && cpus[i].thread == next)
        next = t < 0 ? (next + 1) % TOY_THREADS : -1, i = -1;
    cpu->thread = next;
    cpu->left = 1 + (int)tt_rng_below(rng, 5);
  }
  cpu->ts += event.event == TOY_IDLE ? 20000 + (int64_t)tt_rng_below(rng, 20000)
                                     : 100 + (int64_t)tt_rng_below(rng, 400);
  event.ts = cpu->ts;
  return event;
}

/* n events; release with tt_free. */
static struct tt_event *toy_events(size_t n, uint64_t seed) {
  struct tt_event *events = tt_alloc(n, sizeof *events);
  struct toy_cpu cpus[TOY_CPUS];
  bool renamed[TOY_THREADS] = {false};
  struct tt_rng rng;
  tt_rng_init(&rng, seed, 0);
  for (int i = 0; i < TOY_CPUS; i++)
    cpus[i] = (struct toy_cpu){.thread = -1, .left = i, .ts = 1000 + i};
  int64_t last = 0;
  for (size_t k = 0; k < n; k++) {
    int first = 0;
    for (int i = 1; i < TOY_CPUS; i++)
      if (cpus[i].ts < cpus[first].ts)
        first = i;
    events[k] = toy_step(cpus, first, renamed, &rng);
    /* the clock of the merged trace doesn't go back */
    if (events[k].ts < last)
      events[k].ts = last;
    last = events[k].ts;
  }
  return events;
}

static void toy_meta(struct tt_dataset_meta *meta) {
  char name[32];
  tt_dataset_meta_init(meta);
  for (int i = 0; i < TOY_EVENTS; i++)
    tt_names_add(&meta->events, toy_names[i]);
  tt_names_add(&meta->comms, "sh");
  for (int i = 0; i < TOY_THREADS; i++) {
    snprintf(name, sizeof name, "app%d", i);
    tt_names_add(&meta->comms, name);
  }
  for (int i = 0; i < TOY_CPUS; i++) {
    snprintf(name, sizeof name, "swapper/%d", i);
    tt_names_add(&meta->comms, name);
  }
}

/* The events as an open dataset with that meta (NULL: toy_meta). */
static struct tt_dataset *toy_open(const struct tt_event *events, size_t n,
                                   const struct tt_dataset_meta *meta) {
  struct tt_dataset_meta own;
  struct tt_dataset *dataset = NULL;
  char *path = fixture_path("toy");
  toy_meta(&own);
  fixture_write(path, events, n, 2048, meta ? meta : &own);
  assert_int_equal(tt_dataset_open(path, &dataset), TT_OK);
  tt_dataset_meta_release(&own);
  tt_free(path);
  return dataset;
}

static struct tt_dataset *toy_dataset(size_t n, uint64_t seed) {
  struct tt_event *events = toy_events(n, seed);
  struct tt_dataset *dataset = toy_open(events, n, NULL);
  tt_free(events);
  return dataset;
}

/* What every twin of it must keep, whatever the generator. */
static void toy_check_threads(const struct tt_event *events, size_t n) {
  int32_t running[TOY_CPUS], leaving[TOY_CPUS];
  for (int i = 0; i < TOY_CPUS; i++)
    running[i] = leaving[i] = -1; /* -1: open */
  for (size_t k = 0; k < n; k++) {
    const struct tt_event *e = &events[k];
    assert_true(e->cpu < TOY_CPUS && e->event < TOY_EVENTS);
    assert_true(e->tid == 0 || (e->tid >= 100 && e->tid < 100 + TOY_THREADS));
    if (running[e->cpu] == -1) { /* a turn begins */
      assert_true(leaving[e->cpu] != e->tid);
      for (int i = 0; i < TOY_CPUS; i++)
        assert_true(i == e->cpu || e->tid == 0 || running[i] != e->tid);
    } else {
      assert_true(running[e->cpu] == e->tid);
    }
    assert_true(e->comm == (uint32_t)(e->tid == 0 ? 7 + e->cpu : 1 + e->tid - 100) ||
                (e->tid > 0 && e->comm == 0));
    assert_true(k == 0 || e->ts >= events[k - 1].ts);
    bool returns = e->event == TOY_EXIT_READ || e->event == TOY_EXIT_WRITE;
    assert_true((e->ret != TT_RET_NONE) == returns);
    assert_true(e->event != TOY_EXIT_WRITE || e->ret == 7);
    running[e->cpu] = e->event == TOY_SWITCH ? -1 : e->tid;
    leaving[e->cpu] = e->tid;
  }
}

#endif
