/* Batches of windows, prepared by a background thread while the previous one is used.
 *
 * Windows of `length` consecutive positions of one stream, never across a cut. Random order: each
 * window's start is drawn uniformly from all possible starts of all parts; batch `step` is a pure
 * function of (seed, step), so that a run resumed at any step goes on identically. Sequential order
 * (validation): windows `stride` apart, segment after segment, each part in turn; a rest shorter
 * than `length` at the end of a segment is left out, the last batch may hold fewer windows. */
#ifndef DATASET_BATCHES_H
#define DATASET_BATCHES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "dataset/channels.h"
#include "dataset/streams.h"

struct tt_part { /* one dataset to draw from; borrowed, must outlive the batches */
  const struct tt_streams *streams;
  const struct tt_encoder *encoder; /* all parts: the same vocabulary */
};

struct tt_window {
  uint32_t part, stream;
  uint64_t first; /* position */
};

struct tt_batch {
  uint64_t step;
  size_t n_windows, length;
  struct tt_channels channels; /* [n_windows, length]; channels.n = n_windows * length */
  struct tt_window *windows;   /* [n_windows] */
};

struct tt_batches_options {
  size_t windows; /* per batch, > 0 */
  size_t length;  /* events per window, > 0 */
  uint64_t seed;
  uint64_t first_step; /* where to begin: 0, or the next step of a resumed run */
  bool sequential;
  size_t stride;  /* sequential: events from window to window; 0: length */
  uint64_t limit; /* sequential: at most so many windows, evenly spread over all; 0: all */
};

struct tt_batches;
/* TT_BAD_INPUT when no segment of any part holds a whole window (the message says how long the
 * longest is). */
enum tt_status tt_batches_open(const struct tt_part *parts, size_t n_parts,
                               const struct tt_batches_options *options, struct tt_batches **ret);
void tt_batches_close(struct tt_batches *batches); /* stops the thread; accepts NULL */
/* Windows there are: possible starts (random), or windows of a whole round (sequential). */
uint64_t tt_batches_windows(const struct tt_batches *batches);
/* Sequential: batches of a whole round. */
uint64_t tt_batches_count(const struct tt_batches *batches);
/* The next batch, valid until the next call; *ret = NULL after the last (sequential only; the
 * call after that begins anew). One consumer. */
enum tt_status tt_batches_next(struct tt_batches *batches, const struct tt_batch **ret);

#endif
