/* The cast of a trace: its threads with the names they went by, and what each event does to them.
 * It is what decoding (decode.h) must know of the training trace; learned in two passes, saved
 * inside model.json. */
#ifndef GENERATORS_CAST_H
#define GENERATORS_CAST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "dataset/dataset.h"
#include "dataset/workloads.h"
#include "generators/map.h"
#include "trace/event.h"

#define TT_CAST_COMMS 16         /* most comms kept for one thread */
#define TT_CAST_RETS 1024        /* most return values kept for one event: a uniform sample */
#define TT_THREAD_ANY UINT32_MAX /* no thread chosen */

enum tt_role { TT_ROLE_OTHER, TT_ROLE_SWITCH, TT_ROLE_ENTRY, TT_ROLE_EXIT, TT_ROLE_THREAD_EXIT };

/* What an event does to the state, by its name: sched_switch; syscall entry or exit (LTTng:
 * [compat_]syscall_entry_X, perf: syscalls:sys_enter_X); sched_process_exit. */
enum tt_role tt_event_role(const char *name);

struct tt_cast_thread {
  int32_t tid;    /* TT_TID_NONE: threads that couldn't be established, taken together */
  int32_t cpu;    /* the idle thread (tid 0) is one per CPU: which; else -1 */
  uint64_t turns; /* how often it came to run on a CPU in training */
  uint32_t n_comms;
  uint32_t usual;                /* place in `comms` of the one it went by for most events */
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
  bool switches;                  /* there are events with TT_ROLE_SWITCH */
  struct tt_map index;            /* of threads, for tt_cast_find */
};

/* Of these rows of the dataset (NULL: all). seed: for the samples of return values. */
enum tt_status tt_cast_build(const struct tt_dataset *train, const struct tt_row_set *rows,
                             uint64_t seed, struct tt_cast *ret);
void tt_cast_release(struct tt_cast *cast);
/* The index of the thread that a row with this tid and cpu belongs to; TT_THREAD_ANY when the cast
 * doesn't have it. */
uint32_t tt_cast_find(const struct tt_cast *cast, int32_t tid, uint16_t cpu);
/* New object for model.json, NULL when memory is short; and back, checked against the event names
 * and the numbers of comms and CPUs. */
json_t *tt_cast_to_json(const struct tt_cast *cast);
enum tt_status tt_cast_from_json(const json_t *object, const struct tt_names *events,
                                 size_t n_comms, size_t n_cpus, struct tt_cast *ret);

#endif
