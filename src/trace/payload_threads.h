/* The threads of a trace being written, found by number: what the window (payload_window.h)
 * remembers of each. */
#ifndef TRACE_PAYLOAD_THREADS_H
#define TRACE_PAYLOAD_THREADS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TT_NO_THREAD UINT32_MAX /* an index: the idle thread, or unknown */
#define TT_FIRST_FD 3           /* file descriptor of a thread that has opened none */

/* Positions count events from 1; 0 is none. */
struct tt_payload_thread {
  uint64_t last_seen, switched_out, entry; /* positions */
  int32_t tid;
  uint32_t comm;      /* when last emitted */
  uint32_t next_dead; /* queue of the dead that sched_process_free has not named */
  int32_t fd;
  uint16_t cpu; /* where it was last seen */
  bool fresh;   /* not seen yet, or dead: the next event is a new thread's */
  bool dying;   /* sched_process_exit seen, last switch not */
  bool queued;  /* among the dead */
  bool off;     /* its last emitted event was the switch away from it */
};

struct tt_payload_threads {
  struct tt_payload_thread *list; /* [n] in order of first appearance; moves when one is added */
  size_t n, capacity;
  uint32_t *slots; /* [n_slots] open addressing by tid: index + 1 */
  size_t n_slots;  /* a power of two, or 0 */
};

/* The index of a thread, or TT_NO_THREAD. A zeroed table is empty. */
uint32_t tt_payload_threads_find(const struct tt_payload_threads *threads, int32_t tid);
/* The same, added when new; TT_NO_THREAD when memory is short. */
uint32_t tt_payload_threads_add(struct tt_payload_threads *threads, int32_t tid);
void tt_payload_threads_release(struct tt_payload_threads *threads);

#endif
