/* From sampled channel values to concrete events that agree with each other along the trace:
 *
 * - a CPU runs one thread, changed only after an event that switches threads (sched_switch; where
 *   training had no such event, after any), or after one more event that the thread has then: what
 *   the kernel does in between may be recorded as that thread's still (perf: tlb_flush);
 * - a thread runs on one CPU at a time (the idle thread is one per CPU);
 * - a thread keeps its comm, at first the one it went by most; events at which real threads were
 *   renamed (exec, rename) move it on to the next of the comms it had, with the frequency seen; one
 *   that exited begins anew;
 * - concrete tids are those of the training trace; so are return values;
 * - only events that had return values in training have one.
 */
#ifndef GENERATORS_DECODE_H
#define GENERATORS_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rng.h"
#include "base/status.h"
#include "generators/cast.h"
#include "trace/event.h"

#define TT_RET_DRAW (TT_RET_NONE + 1) /* sample.ret: draw from the event's real distribution */

/* One sampled event, before it is concrete. */
struct tt_sample {
  int64_t dt;      /* ns since the previous event of its stream, >= 0 */
  int64_t ret;     /* concrete, TT_RET_NONE, or TT_RET_DRAW */
  uint32_t comm;   /* dataset id of the thread's comm; TT_COMM_NONE: no hint */
  uint32_t thread; /* cast index of the running thread, or TT_THREAD_ANY */
  int16_t bucket;  /* tid % 256 of the thread; -1: no hint */
  uint16_t event, cpu;
};

struct tt_decoder;
/* `cast` is borrowed. */
enum tt_status tt_decoder_new(const struct tt_cast *cast, uint64_t seed, struct tt_decoder **ret);
void tt_decoder_free(struct tt_decoder *decoder); /* accepts NULL */
/* The next event of the merged trace. The sample's thread, comm and bucket matter only where the
 * CPU's thread is open (tt_decoder_open); there, in this order: the thread asked for; one with that
 * bucket and comm; that comm; that bucket; any — always one that runs nowhere else and not the one
 * that just left, drawn by frequency. ret is dropped where the event never has one, and drawn where
 * it always has one but the sample says TT_RET_NONE. */
void tt_decoder_next(struct tt_decoder *decoder, int64_t ts, const struct tt_sample *sample,
                     struct tt_event *ret);
/* True when the next event on `cpu` chooses the thread that runs there (the last was a switch). */
bool tt_decoder_open(const struct tt_decoder *decoder, uint16_t cpu);
/* The thread that runs on `cpu` or ran last (where open); TT_THREAD_ANY before the first. */
uint32_t tt_decoder_running(const struct tt_decoder *decoder, uint16_t cpu);
/* Puts `thread`, which may run there, on an open CPU ahead of its next event: that sample's own
 * thread, comm and bucket don't matter any more. */
void tt_decoder_enter(struct tt_decoder *decoder, uint16_t cpu, uint32_t thread);
/* Instead: the thread that ran last has the next event of the open CPU too, which then is open
 * again. */
void tt_decoder_stay(struct tt_decoder *decoder, uint16_t cpu);
/* True until that event. */
bool tt_decoder_stays(const struct tt_decoder *decoder, uint16_t cpu);
/* True when `thread` may be put on `cpu` now: runs nowhere else; idle threads on their CPU only. */
bool tt_decoder_may_run(const struct tt_decoder *decoder, uint32_t thread, uint16_t cpu);
/* The event id of the syscall entry the thread is inside of; UINT16_MAX: none, or unknown when
 * the thread hasn't been seen entering or leaving one yet (*ret_known false). */
uint16_t tt_decoder_inside(const struct tt_decoder *decoder, uint32_t thread, bool *ret_known);
/* From now on the thread goes by `comm`, if it ever did. */
void tt_decoder_call_it(struct tt_decoder *decoder, uint32_t thread, uint32_t comm);
/* The thread's current comm. */
uint32_t tt_decoder_comm(const struct tt_decoder *decoder, uint32_t thread);

#endif
