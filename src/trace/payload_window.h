/* The window of payload_state.h from inside: events wait in it (payload_state.c) while later ones
 * explain them (payload_look.c), then leave with their facts (payload_emit.c). */
#ifndef TRACE_PAYLOAD_WINDOW_H
#define TRACE_PAYLOAD_WINDOW_H

#include "trace/payload_state.h"
#include "trace/payload_threads.h"

#define TT_PAYLOAD_MASK (TT_PAYLOAD_WINDOW - 1)
/* The kernel's task states that prev_state of a switch tells; 0: still runnable. */
#define TT_TASK_SLEEPING 1
#define TT_TASK_DEAD 64

/* Positions count events from 1; 0 is none. */

struct tt_payload_slot {
  struct tt_event event;
  int64_t will_return; /* system call entry: TT_RET_NONE while unknown */
  uint64_t link;       /* the unclaimed event of the same kind before this */
  int32_t other_tid;
  uint32_t other_comm;
  uint32_t thread; /* the event's own */
  uint16_t other_cpu, from_cpu;
  uint8_t prev_state;
  bool resolved; /* other_* are set */
};

struct tt_payload_cpu {
  uint64_t open_switch; /* position of this CPU's last switch while its next thread is not known */
  uint64_t last_switch; /* position of the switch before that */
  unsigned late;        /* events since open_switch, all of the thread that left */
  struct tt_payload_slot held; /* that switch, when it had to leave the window */
  bool holds, idle;
  int32_t cached_tid; /* of cached_thread */
  uint32_t cached_thread;
  uint32_t sleeper; /* thread that went to sleep here last */
  int32_t current_tid;
  uint32_t current_comm;
  int32_t child_tid, woken_tid; /* last forked, last woken; TT_TID_NONE: none yet */
  uint32_t child_comm, woken_comm;
  int64_t runtime_from;
  uint32_t irq_depth, raised, softirq;
  unsigned char swapper[TT_PAYLOAD_COMM];
};

/* Kinds whose events wait to be claimed. */
enum tt_payload_list {
  TT_LIST_WAKING,
  TT_LIST_WAKEUP,
  TT_LIST_NEWBORN,
  TT_LIST_MIGRATE,
  TT_LIST_FORK,
  TT_N_LISTS
};

struct tt_payload_state {
  const struct tt_payload *payload;
  enum tt_status (*emit)(void *user, const struct tt_payload_facts *facts);
  void *user;
  struct tt_payload_slot *window; /* [TT_PAYLOAD_WINDOW] position p stands at p & TT_PAYLOAD_MASK */
  uint64_t first, next;           /* positions in the window: first..next-1 */
  uint64_t lists[TT_N_LISTS];     /* latest unclaimed position */
  bool wakes, forks;              /* the dictionary has events that wake, that fork */
  unsigned char (*comms)[TT_PAYLOAD_COMM]; /* [n_comms] */
  int8_t *prios;                           /* [n_comms] */
  size_t n_comms;
  struct tt_payload_threads threads;
  struct tt_payload_cpu **cpus; /* by number; NULL: not seen */
  size_t cpus_capacity;
  uint32_t sleeper, first_dead, last_dead;
  size_t dumped;
  int32_t next_child; /* an unused thread number, downwards */
  struct tt_payload_facts facts;
};

/* Puts an event into the window, which has room, at position state->next, after it has explained
 * earlier ones. May emit the switch that its CPU holds. */
enum tt_status tt_payload_look_ahead(struct tt_payload_state *state, const struct tt_event *e);

/* Fills in what no later event has explained, hands the event with its facts to state->emit, and
 * follows the state of its CPU and its thread. */
enum tt_status tt_payload_emit(struct tt_payload_state *state, struct tt_payload_slot *slot);

#endif
