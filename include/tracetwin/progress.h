/* Progress of long-running calls: the library calls back, the caller decides what to show. */
#ifndef TRACETWIN_PROGRESS_H
#define TRACETWIN_PROGRESS_H

#include <stdint.h>

struct tt_progress_report {
  const char *stage;   /* "import", "train", "generate", ... static storage */
  uint64_t done;       /* units done */
  uint64_t total;      /* units in all; 0: unknown */
  const char *unit;    /* "events", "steps" */
  double rate;         /* units per second so far */
  double loss;         /* current training loss; NaN where there is none */
  double seconds_left; /* estimate; NaN: unknown */
};

/* report == NULL: no progress wanted. Called from the thread that made the call, at most some ten
 * times a second. */
struct tt_progress {
  void (*report)(void *user, const struct tt_progress_report *progress);
  void *user;
};

#endif
