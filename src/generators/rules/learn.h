/* What learning gathers in one pass over the trace (learn.c) before it becomes a rule file
 * (derive.c). */
#ifndef GENERATORS_RULES_LEARN_H
#define GENERATORS_RULES_LEARN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/names.h"
#include "generators/cast.h"
#include "generators/generator.h"
#include "generators/map.h"
#include "generators/markov/delays.h"
#include "generators/rules/corpus.h"
#include "generators/tally.h"

/* Which machine, besides the body of call `frame` (its number among the names): */
#define TT_FRAME_USER UINT32_C(0x2000000)    /* a workload outside of calls */
#define TT_FRAME_PREEMPT UINT32_C(0x2000001) /* from the end of an interrupt to a switch */
#define TT_FRAME_SOURCE UINT32_C(0x1000000)  /* + call: what an interrupt source does */

enum tt_frame_kind { TT_FRAME_NONE, TT_FRAME_SYSCALL, TT_FRAME_SOFT, TT_FRAME_HARD };

struct tt_frame_event { /* what an event does to calls */
  uint8_t kind;         /* enum tt_frame_kind: softirqs; hard interrupts, timers that expire */
  bool entry;           /* else it is an exit */
  bool starts;          /* comes at any time: an interrupt source */
  bool scheduling;      /* sched_*, rcu_*: may stand between an interrupt and its preemption */
  uint16_t partner;     /* exit or entry */
  uint32_t name;        /* of the call */
};

struct tt_machine_facts {
  uint32_t comm, frame; /* comm: n_comms for what belongs to no workload in particular */
  uint16_t entry, exit; /* of a call */
  struct tt_corpus corpus;
};

struct tt_turn { /* of a thread on a CPU: how long until an interrupt preempted it */
  int64_t ns;
  bool censored; /* it hadn't been by then */
};

struct tt_turns {
  struct tt_turn *turns;
  size_t n, capacity;
};

struct tt_facts {
  const struct tt_dataset *dataset;
  struct tt_cast cast;
  size_t n_comms, n_cpus;
  struct tt_names calls;
  struct tt_frame_event *events; /* [cast.n_events] */
  struct tt_machine_facts *machines;
  size_t n_machines, machines_capacity;
  struct tt_map index;       /* comm << 32 | frame -> machine */
  struct tt_delays delays;   /* tt_fact_delay_key */
  struct tt_delays arrivals; /* cpu << 32 | call of a source: time between two of them */
  struct tt_tally rets;      /* machine, or TT_FACT_ANY_WORKLOAD | call: return values */
  struct tt_tally returns;   /* event of no open call: return values */
  struct tt_tally next;      /* tt_rules_next_key: thread */
  struct tt_turns *turns;    /* [n_comms + 1] */
  uint64_t *busy;            /* [n_cpus] ns not idle */
  bool *born;                /* [n_threads + n_cpus] began within the trace */
  bool *seen;                /* [n_cpus] has events */
};

#define TT_FACT_ANY_WORKLOAD ((uint64_t)1 << 32)
/* machine + 1, or 0: all; previous event, or UINT16_MAX: any. */
static inline uint64_t tt_fact_delay_key(uint64_t machine, uint16_t previous, uint16_t event) {
  return machine << 32 | (uint64_t)previous << 16 | event;
}

/* Zeroed before; released by the caller, whether it succeeds or not. */
enum tt_status tt_facts_gather(const struct tt_train_config *config, struct tt_facts *ret);
/* Fills events and calls from their names and the cast (frames.c). */
enum tt_status tt_facts_pair_events(struct tt_facts *facts, const struct tt_names *names);
/* The machine of a call's body, or one of TT_FRAME_*, made where it isn't there yet. */
enum tt_status tt_facts_machine(struct tt_facts *facts, uint32_t comm, uint32_t frame,
                                uint16_t entry, uint16_t leaving, uint32_t *ret);
void tt_facts_release(struct tt_facts *facts);
/* The facts as the text of a rule file (base/mem.h); their corpora are used up. */
enum tt_status tt_facts_derive(struct tt_facts *facts, size_t chains, char **ret_text,
                               size_t *ret_size);

#endif
