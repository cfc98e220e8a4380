/* The scheduler state of a trace about to be written: for every event what its payload has to say
 * beyond the event record itself.
 *
 * Events go in in time order and come out, each once, in time order *per CPU* (streams of a trace
 * are per CPU) with the facts filled in. In between stands a window of TT_PAYLOAD_WINDOW events, in
 * which later events explain earlier ones:
 *
 * - a switch's next thread is that of the next event on its CPU, however far away that is (a switch
 *   that has to leave the window before is held back, and its CPU's stream with it). Where that is
 *   the thread that left, the next few events are asked too;
 * - a thread that is switched in was woken by a sched_wakeup and sched_waking and moved by a
 *   sched_migrate_task since it was last seen that no other thread has claimed: the first on its
 *   CPU since the switch before, else the latest there, else the latest anywhere. If nobody woke
 * it, it had been preempted: prev_state of the switch that took it out is 0. A thread that doesn't
 * come back, or gave way to the idle thread, sleeps (1); one past its sched_process_exit is dead
 * (64);
 * - a thread that is seen first (again, after its death) is the child of the latest
 *   sched_process_fork of a thread of its name that has no child yet;
 * - a system call's arguments know what it will return.
 *
 * What is claimed by nobody names the thread that went to sleep last and still sleeps, a fork a
 * thread number that doesn't occur. Interrupts nest per CPU; soft interrupts are raised, begun in
 * the kernel's order and ended by one. */
#ifndef TRACE_PAYLOAD_STATE_H
#define TRACE_PAYLOAD_STATE_H

#include <stdint.h>

#include "base/names.h"
#include "base/status.h"
#include "trace/event.h"
#include "trace/payload.h"

#define TT_PAYLOAD_WINDOW ((size_t)1 << 15) /* events */

struct tt_payload_facts {
  const struct tt_event *event;
  int64_t value[TT_SOURCE_COUNT]; /* by enum tt_payload_source; those of another kind: any */
  const unsigned char *comm, *other_comm; /* [TT_PAYLOAD_COMM] NUL-padded */
};

struct tt_payload_state;

/* `emit` is called once for every event; its failure is passed on. `payload` and `comms` outlive
 * the state. */
enum tt_status
tt_payload_state_create(const struct tt_payload *payload, const struct tt_names *comms,
                        enum tt_status (*emit)(void *user, const struct tt_payload_facts *facts),
                        void *user, struct tt_payload_state **ret);
void tt_payload_state_destroy(struct tt_payload_state *state); /* accepts NULL */
/* Adds events in time order. After a failure only destroy is left. */
enum tt_status tt_payload_state_push(struct tt_payload_state *state, const struct tt_event *events,
                                     size_t n);
/* Emits what is left. */
enum tt_status tt_payload_state_finish(struct tt_payload_state *state);

#endif
