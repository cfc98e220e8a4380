/* A toy trace with a dependency longer than any n-gram: two CPUs that take turns, two threads on
 * each and a cycle of ten events. The ninth tells which of two the first was: eight events apart.
 * Include after cmocka.h and twin_fixture.h. */
#ifndef TESTS_MARKER_TRACE_H
#define TESTS_MARKER_TRACE_H

#include <stdlib.h>

#include "base/rng.h"
#include "stored_toy.h"
#include "twin_fixture.h"

enum { N_CPUS = 2, CYCLE = 10, N_TYPES = 12, TOY_EVENTS = 16000 };
static const char *const TOY_NAMES[N_TYPES] = {
    "marker_a",      "marker_b",     "syscall_entry_read", "irq_handler_entry", "irq_handler_exit",
    "softirq_entry", "softirq_exit", "block_rq_issue",     "syscall_exit_read", "after_a",
    "after_b",       "sched_switch"};
enum {
  MARKER, /* and the next */
  ENTRY = 2,
  EXIT = 8,
  AFTER = 9,
  SWITCH = 11
};

static int32_t tid_of(int cpu, int thread) {
  return 100 + 2 * cpu + thread;
}

static int make_toy(void **state) {
  static const char *const comms[] = {"a", "b", "c", "d"};
  const struct toy_names names = {TOY_NAMES, comms, N_TYPES, 2 * N_CPUS};
  struct tt_event *events = tt_alloc(TOY_EVENTS, sizeof *events);
  struct tt_rng rng;
  tt_rng_init(&rng, 1, 1);
  int marker[N_CPUS] = {0}, thread[N_CPUS] = {0};
  for (int64_t i = 0; i < TOY_EVENTS; i++) {
    const int cpu = (int)(i % N_CPUS), phase = (int)(i / N_CPUS % CYCLE);
    if (phase == 0) {
      marker[cpu] = (int)tt_rng_below(&rng, 2);
      thread[cpu] = (int)tt_rng_below(&rng, 2);
    }
    const int type = phase == 0   ? MARKER + marker[cpu]
                     : phase == 8 ? AFTER + marker[cpu]
                     : phase == 9 ? SWITCH
                                  : phase + 1;
    events[i] = (struct tt_event){.ts = 1000 * i + (type == EXIT ? 400 : 0) +
                                        (int64_t)tt_rng_below(&rng, 9),
                                  .ret = type == EXIT ? 10 * tid_of(cpu, thread[cpu]) : TT_RET_NONE,
                                  .tid = tid_of(cpu, thread[cpu]),
                                  .comm = (uint32_t)(2 * cpu + thread[cpu]),
                                  .event = (uint16_t)type,
                                  .cpu = (uint16_t)cpu};
  }
  return toy_begin(state, &names, events, TOY_EVENTS);
}

struct marker_figures { /* shares */
  double legal;         /* transitions of a CPU that the toy has */
  double right;         /* ninth events that tell the first */
  double rets;          /* return values that are the thread's */
};

/* Also checks what every twin of it must keep. */
static inline struct marker_figures marker_measure(const struct twin *c) {
  int last[N_CPUS] = {-1, -1}, marker[N_CPUS] = {-1, -1};
  double right = 0, told = 0, legal = 0, pairs = 0, rets = 0, exits = 0;
  for (size_t i = 0; i < c->n; i++) {
    const struct tt_event *e = &c->events[i];
    const int cpu = e->cpu, type = e->event;
    assert_true(cpu < N_CPUS && type < N_TYPES);
    assert_true(e->tid / 2 == tid_of(cpu, 0) / 2); /* threads stay on their CPU */
    assert_int_equal(e->comm, e->tid - 100);
    if (last[cpu] >= 0) {
      const int at = last[cpu] == MARKER + 1 ? MARKER : last[cpu] == AFTER + 1 ? AFTER : last[cpu];
      bool follows = at == MARKER   ? type == ENTRY
                     : at == SWITCH ? type <= MARKER + 1
                     : at == EXIT   ? type == AFTER || type == AFTER + 1
                     : at == AFTER  ? type == SWITCH
                                    : type == at + 1;
      legal += follows;
      pairs++;
    }
    if (type <= MARKER + 1)
      marker[cpu] = type;
    if ((type == AFTER || type == AFTER + 1) && marker[cpu] >= 0) {
      right += type - AFTER == marker[cpu];
      told++;
    }
    assert_int_equal(e->ret != TT_RET_NONE, type == EXIT);
    if (type == EXIT) {
      rets += e->ret == 10 * e->tid;
      exits++;
    }
    last[cpu] = type;
  }
  return (struct marker_figures){legal / pairs, right / told, rets / exits};
}

static inline struct tt_train_config
marker_config(uint64_t steps, const struct tt_train_option *options, size_t n_options) {
  return (struct tt_train_config){.train = toy,
                                  .val = toy,
                                  .context = 32,
                                  .stream = TT_STREAM_CPU,
                                  .steps = steps,
                                  .seed = 5,
                                  .options = options,
                                  .n_options = n_options};
}

static inline struct tt_generator *
marker_train(const char *name, const struct tt_train_config *config, struct tt_train_result *ret) {
  struct tt_generator *generator = NULL;
  enum tt_status status = tt_generator_train(name, config, ret, &generator);
  for (size_t i = 0; i < tt_cause_count(); i++)
    print_message("%s\n", tt_cause(i));
  assert_int_equal(status, TT_OK);
  return generator;
}

/* The same seed gives the same twin from models trained alike, and from one that was saved; another
 * seed another. */
static inline void marker_check_seeds(const char *name, const struct tt_train_config *config) {
  struct tt_train_result result;
  struct tt_generator *a = marker_train(name, config, &result),
                      *b = marker_train(name, config, &result), *loaded;
  char *path = tt_format("%s/model", fixture_folder);
  assert_int_equal(tt_generator_save(a, path, false), TT_OK);
  assert_int_equal(tt_generator_load(path, &loaded), TT_OK);
  enum { N = 5000 };
  struct twin one = twin_generate(a, N, 7), two = twin_generate(b, N, 7);
  struct twin three = twin_generate(loaded, N, 7), other = twin_generate(a, N, 8);
  assert_true(twin_same(one.events, two.events, N) && twin_same(one.events, three.events, N) &&
              !twin_same(one.events, other.events, N));
  tt_free(one.events);
  tt_free(two.events);
  tt_free(three.events);
  tt_free(other.events);
  tt_free(path);
  tt_generator_free(a);
  tt_generator_free(b);
  tt_generator_free(loaded);
}

/* Twins of very few events, and of one more than a round number of them. */
static inline void marker_check_counts(const char *name, const struct tt_train_config *config) {
  struct tt_train_result result;
  struct tt_generator *generator = marker_train(name, config, &result);
  static const uint64_t counts[] = {1, 2, 77, 4097};
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
    struct twin c = twin_generate(generator, counts[i], 1);
    tt_free(c.events);
  }
  tt_generator_free(generator);
}

#endif
