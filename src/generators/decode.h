/* From sampled channel values to concrete events that agree with each other along the trace:
 *
 * - a CPU runs one thread, changed only after an event that switches threads (sched_switch);
 * - a thread runs on one CPU at a time (the idle thread is one per CPU);
 * - a thread keeps its comm; events at which real threads were renamed (exec, rename) move it on to
 *   the next of the comms it had, with the frequency seen; one that exited begins anew;
 * - concrete tids are those of the training trace; so are return values;
 * - only events that had return values in training have one.
 *
 * What decoding must know of the training trace stands in a struct tt_cast, built in one pass and
 * saved inside model.json. */
#ifndef GENERATORS_DECODE_H
#define GENERATORS_DECODE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rng.h"
#include "base/status.h"
#include "dataset/dataset.h"
#include "trace/event.h"

#define TT_CAST_COMMS 16              /* most comms kept for one thread */
#define TT_CAST_RETS 1024             /* most return values kept for one event: a uniform sample */
#define TT_THREAD_ANY UINT32_MAX      /* no thread chosen */
#define TT_RET_DRAW (TT_RET_NONE + 1) /* sample.ret: draw from the event's real distribution */

enum tt_role { TT_ROLE_OTHER, TT_ROLE_SWITCH, TT_ROLE_ENTRY, TT_ROLE_EXIT, TT_ROLE_THREAD_EXIT };

/* What an event does to the state, by its name: sched_switch; syscall entry or exit (LTTng:
 * [compat_]syscall_entry_X, perf: syscalls:sys_enter_X); sched_process_exit. */
enum tt_role tt_event_role(const char *name);

struct tt_cast_thread {
  int32_t tid;    /* TT_TID_NONE: threads that couldn't be established, taken together */
  int32_t cpu;    /* the idle thread (tid 0) is one per CPU: which; else -1 */
  uint64_t turns; /* how often it came to run on a CPU in training */
  uint32_t n_comms;
  uint32_t comms[TT_CAST_COMMS]; /* dataset ids in order of first appearance */
};

struct tt_cast_event {
  uint8_t role;     /* enum tt_role */
  uint16_t partner; /* entry <-> exit of the same call; UINT16_MAX: none */
  float rename;     /* chance that a thread which has a further comm gets it at this event */
  float returns;    /* share of its events that had a return value */
  uint32_t n_rets;
  int64_t *rets; /* [n_rets] sorted: a uniform sample (all, when few) of its return values */
};

struct tt_cast {
  size_t n_events, n_threads, n_cpus;
  struct tt_cast_event *events;   /* [n_events] by dataset event id */
  struct tt_cast_thread *threads; /* [n_threads] in order of first appearance */
  uint32_t *first;                /* [n_cpus] the first thread that ran there; TT_THREAD_ANY */
};

enum tt_status tt_cast_build(const struct tt_dataset *train, uint64_t seed, struct tt_cast *ret);
void tt_cast_release(struct tt_cast *cast);
/* The index of row i's thread; TT_THREAD_ANY when the cast doesn't have it. O(1). Needs an index
 * made once by tt_cast_index_new (release with tt_cast_index_free). */
struct tt_cast_index;
struct tt_cast_index *tt_cast_index_new(const struct tt_cast *cast);
void tt_cast_index_free(struct tt_cast_index *index);
uint32_t tt_cast_find(const struct tt_cast_index *index, int32_t tid, uint16_t cpu);
/* New object for model.json, NULL when memory is short; and back, checked against the numbers of
 * event names, comms and CPUs. */
json_t *tt_cast_to_json(const struct tt_cast *cast);
enum tt_status tt_cast_from_json(const json_t *object, size_t n_events, size_t n_comms,
                                 size_t n_cpus, struct tt_cast *ret);

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
/* True when `thread` may be put on `cpu` now: runs nowhere else; idle threads on their CPU only. */
bool tt_decoder_may_run(const struct tt_decoder *decoder, uint32_t thread, uint16_t cpu);
/* The event id of the syscall entry the thread is inside of; UINT16_MAX: none, or unknown when
 * the thread hasn't been seen entering or leaving one yet (*ret_known false). */
uint16_t tt_decoder_inside(const struct tt_decoder *decoder, uint32_t thread, bool *ret_known);
/* The thread's current comm. */
uint32_t tt_decoder_comm(const struct tt_decoder *decoder, uint32_t thread);

#endif
