/* One twin of stretches that were drawn by themselves. Where one ends and the next begins, all CPUs
 * jump from one moment to another; of the last events of the one and the first of the other as many
 * are left out as it takes for the jump to be what may happen in a trace: two events that were seen
 * in this order, and as few as possible CPUs and threads that can't go on like this (an event that
 * never followed the CPU's last one; another thread without a switch; a system call that ends but
 * never began, or the other way round). */
#ifndef GENERATORS_SYSTEM_SEAMS_H
#define GENERATORS_SYSTEM_SEAMS_H

#include "generators/system/system.h"

enum {
  TT_SEAM_TAIL = 128, /* of the end of a stretch all events but one may be left out of this many */
  TT_SEAM_HEAD = 32,  /* and of its beginning */
  TT_SEAM_REACH = 256 /* events of a beginning that are looked at */
};

struct tt_seams {
  const struct tt_system *system;
  const struct tt_event_sink *sink;
  uint64_t left;                      /* events still to be written, tail included */
  struct tt_event tail[TT_SEAM_TAIL]; /* the last events, which aren't written yet */
  size_t n_tail;
  uint32_t *calls;       /* [n_threads] at the end of what was written, as tt_markov_new_calls */
  struct tt_event *last; /* [n_cpus] each CPU's last event there */
  bool *begun;           /* [n_cpus] it had one */
  bool *on_cpu;          /* [n_events, n_events] the second was seen after the first on a CPU */
  /* what a beginning takes for granted, while a seam is looked for */
  int16_t *first;  /* [TT_SEAM_HEAD, n_cpus] where each CPU's first event is; -1: there is none */
  uint32_t *needs; /* [TT_SEAM_HEAD, TT_SEAM_REACH] the call that it has each needy thread in */
  uint32_t *needy; /* [TT_SEAM_REACH] threads whose calls it tells */
  int32_t *place;  /* [n_threads] among them; -1: not */
  struct tt_event *there; /* [n_cpus] each CPU's last event up to the end that is tried */
  bool *some;             /* [n_cpus] it has one */
};

/* A twin of `events` events. Free with tt_seams_release, also after a failure. */
enum tt_status tt_seams_init(const struct tt_system *system, uint64_t events,
                             const struct tt_event_sink *sink, struct tt_seams *ret);
void tt_seams_release(struct tt_seams *seams);
/* The next stretch, its times from its own beginning, which are changed. Where two of its events
 * were never seen in this order, there is a seam too. All is written but the last TT_SEAM_TAIL
 * events, less what seams leave out. */
enum tt_status tt_seams_add(struct tt_seams *seams, struct tt_event *events, size_t n);
/* Whether what was added makes the twin whole; then nothing is left to be added. */
static inline bool tt_seams_enough(const struct tt_seams *seams) {
  return seams->n_tail >= seams->left;
}
/* Writes the rest. */
enum tt_status tt_seams_finish(struct tt_seams *seams);

#endif
