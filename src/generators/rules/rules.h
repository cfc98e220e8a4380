/* The generator `rules`: a simulation of threads, calls and interrupts after a rule file (JSON,
 * docs/generators.md has its grammar), which a person wrote or learn.c derived from a trace.
 *
 * Everything that happens is a *machine*: a state machine whose states are events, calls ("@read")
 * or chains of both, and whose transitions have weights. A *call* has an entry event, a body (a
 * machine), an exit event and return values: system calls per workload, interrupt handlers for all.
 * A workload (the threads of one command name) is a machine without end, outside of calls. An
 * interrupt source is a distribution of times between interrupts and a machine of what it does.
 *
 * The text of the file is the model: it is what is saved, and what is parsed again when loaded. */
#ifndef GENERATORS_RULES_RULES_H
#define GENERATORS_RULES_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/names.h"
#include "base/status.h"
#include "generators/cast.h"
#include "generators/generator.h"
#include "generators/map.h"
#include "generators/rules/distribution.h"

#define TT_RULES_FORMAT "tracetwin rules 1"
#define TT_RULES_NONE UINT32_MAX      /* no such machine, call, thread, ... */
#define TT_RULES_END (UINT32_MAX - 1) /* a transition: the machine ends */
#define TT_RULES_CALL                                                                              \
  UINT32_C(0x10000)             /* an item from here on is a call: its name's number + this */
#define TT_RULES_ANY UINT16_MAX /* any event, any CPU */

struct tt_rules_range { /* of one of the tables below */
  size_t first, n;
};

struct tt_rules_choice {
  int64_t what; /* state or TT_RULES_END; thread; return value */
  double upto;  /* running sum of the weights of its range */
};

struct tt_rules_state {
  struct tt_rules_range items; /* event, or TT_RULES_CALL + call name */
  struct tt_rules_range next;  /* choices; none: ends */
};

struct tt_rules_machine {
  struct tt_rules_range start;   /* choices */
  struct tt_rules_range running; /* of a thread that was there before the trace; none: start */
};

struct tt_rules_call {
  uint32_t machine;
  uint16_t entry, exit;
  struct tt_rules_range rets; /* choices; none: no return value */
  uint32_t duration;          /* distribution, or TT_RULES_NONE */
};

struct tt_rules_workload {
  uint32_t user;  /* machine, or TT_RULES_NONE: that of "*" */
  uint32_t slice; /* distribution, or TT_RULES_NONE: never preempted */
};

struct tt_rules_source { /* of interrupts */
  uint32_t does;         /* machine */
  uint32_t *every;       /* [n_cpus] distribution, or TT_RULES_NONE: not on this CPU */
  bool idle;             /* comes to idle CPUs too; else time stands still while they idle */
};

struct tt_rules { /* zeroed: empty */
  struct tt_cast cast;
  struct tt_names calls;               /* names of calls, those of "@NAME" */
  bool *newborn;                       /* [cast.n_threads] begins within the trace */
  uint32_t *workload_of;               /* [n_comms] which workload; 0 is "*" */
  struct tt_rules_workload *workloads; /* [n_workloads] */
  size_t n_workloads;
  uint32_t any_user;               /* machine of the first workload that has one */
  uint32_t *resolved;              /* [n_workloads * calls.n] definition */
  struct tt_rules_call *calls_def; /* [n_calls] */
  size_t n_calls;
  struct tt_rules_source *sources; /* [n_sources] */
  size_t n_sources;
  bool *takes_part;   /* [n_cpus] the CPUs that there are */
  uint32_t preempt;   /* machine: what happens when a time slice is over */
  struct tt_map next; /* tt_rules_next_key -> row of next_rows */
  struct tt_rules_range *next_rows;
  size_t n_next;
  struct tt_map delays;  /* tt_rules_delay_key -> distribution */
  struct tt_map returns; /* event outside of any call -> row of return_rows */
  struct tt_rules_range *return_rows;
  size_t n_returns;
  /* tables that ranges point into */
  uint32_t *items;
  struct tt_rules_choice *choices;
  struct tt_rules_state *states;
  struct tt_rules_machine *machines;
  struct tt_distribution *distributions;
  struct tt_quantile *quantiles;
  size_t n_items, n_choices, n_states, n_machines, n_distributions, n_quantiles;
};

/* machine: TT_RULES_NONE for those of all; previous, event: or TT_RULES_ANY. */
static inline uint64_t tt_rules_delay_key(uint32_t machine, uint16_t previous, uint16_t event) {
  return (uint64_t)machine << 32 | (uint64_t)previous << 16 | event;
}
/* cpu: or TT_RULES_ANY; leaving: or TT_THREAD_ANY. */
static inline uint64_t tt_rules_next_key(uint16_t cpu, uint32_t leaving) {
  return (uint64_t)cpu << 32 | leaving;
}

struct tt_rules_model {
  struct tt_generator base;
  char *text; /* the rule file */
  size_t size;
  struct tt_rules rules;
};

/* Parses a rule file. The dictionaries and number of CPUs are those of `generator`; names that they
 * don't have are errors, as is whatever isn't in the grammar: TT_BAD_INPUT with `file`, the place
 * (line and column of a syntax error, else the path of keys) and what is wrong. */
enum tt_status tt_rules_parse(const char *file, const char *text, size_t size,
                              const struct tt_generator *generator, struct tt_rules *ret);
void tt_rules_release(struct tt_rules *rules);
/* Derives a rule file from the training dataset; *ret_text from base/mem.h. */
enum tt_status tt_rules_learn(const struct tt_train_config *config, size_t chains, char **ret_text,
                              size_t *ret_size);
/* The generator's `generate`. */
enum tt_status tt_rules_generate(const struct tt_generator *generator,
                                 const struct tt_generate_config *config,
                                 const struct tt_event_sink *sink);

extern const struct tt_generator_ops tt_rules_ops;

#endif
