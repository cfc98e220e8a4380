/* Who runs on which CPU, under what name: gives every event of a merged trace its thread and name.
 *
 * Forward: sched_switch says who runs from now on; a recorded thread id says who runs now. Names
 * come from switches, wake-ups, forks, execs, renames and the state dump, one per thread id;
 * thread 0 is named per CPU ("swapper/3"), by its switches or else by the kernel's rule.
 *
 * Backward: before a CPU's first switch, and again after a gap of its stream, the next switch tells
 * who was running (prev_tid): nothing else can have run in between. Likewise a thread's first name
 * holds for its events since the first one seen, unless a rename lies between; and after a rename
 * that nobody recorded in words (prctl, an exec without its event) the next name told is the one it
 * took. Events wait for that in a queue of at most TT_SCHED_LOOKAHEAD events of the merged stream;
 * those that fall out of it, and those before a gap that comes first, stay unknown.
 *
 * Gaps: when a stream that records sched_switch loses events in [begin, end], what was known of
 * its CPU is forgotten. Events inside the gap stay unknown until a switch or a recorded thread says
 * more; those after it are found backward.
 *
 * Several traces read together are taken as one machine. The result is a function of the sequence
 * of calls alone. */
#ifndef TRACE_SCHED_STATE_H
#define TRACE_SCHED_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "trace/event.h"
#include "trace/wire.h"

#define TT_SCHED_LOOKAHEAD ((size_t)1 << 16)

struct tt_sched_state;

struct tt_sched_statistics {
  uint64_t moved;
  uint64_t switches, switches_agree, contexts, contexts_agree, names, names_agree;
};

/* name_of(user, "swapper/3") gives the id of a name; ids of names are the caller's. */
enum tt_status tt_sched_state_new(uint32_t (*name_of)(void *user, const char *name), void *user,
                                  struct tt_sched_state **ret);
void tt_sched_state_free(struct tt_sched_state *state); /* accepts NULL */

/* The next event of the merged stream. `record` holds what was recorded with it (tid and comm may
 * be unknown); role and aux what it says about threads (aux may be NULL for TT_ROLE_NONE).
 * deliver = false: updates the state only. The queue must not be full (see pop). */
enum tt_status tt_sched_state_push(struct tt_sched_state *state, const struct tt_event *record,
                                   enum tt_role role, const struct tt_wire_aux *aux, bool deliver);
/* Events were lost on `cpu` in [begin, end]; call it in the place of `begin`. */
enum tt_status tt_sched_state_gap(struct tt_sched_state *state, uint16_t cpu, int64_t end);
/* No event follows: what is still unknown stays so. */
void tt_sched_state_finish(struct tt_sched_state *state);
/* Takes the next event out, in the order of the pushes; false: none is ready. Pop all that is ready
 * after every push. */
bool tt_sched_state_pop(struct tt_sched_state *state, struct tt_event *ret);

struct tt_sched_statistics tt_sched_state_statistics(const struct tt_sched_state *state);

#endif
