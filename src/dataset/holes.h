/* Lost-event gaps that can be filled: of which it is known how many events were lost, between two
 * rows that follow each other on that CPU; and the dataset with all that fills them.
 *
 * A gap without a row of its CPU on either side, with a border between sources, with rows of its
 * CPU inside, of unknown or too large a number of events is no hole: it stays a gap. */
#ifndef DATASET_HOLES_H
#define DATASET_HOLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "dataset/dataset.h"

struct tt_hole {
  uint64_t left, right;    /* rows of the CPU, neighbours in its stream */
  int64_t begin, end;      /* ns: ts[left] <= begin <= end <= ts[right] */
  size_t n;                /* events that were lost in between; >= 1 */
  struct tt_event *events; /* [n] what is to stand there, within [begin, end] in order of time */
  uint16_t cpu;
};

struct tt_holes {
  const struct tt_dataset *dataset;
  struct tt_hole *list; /* in order of `left`; gaps at one place are one hole */
  size_t n;
  bool *is_hole;           /* [n_gaps] whether the dataset's gap is (part of) one */
  size_t n_gaps;           /* that are */
  size_t n_events;         /* of all holes */
  struct tt_event *events; /* [n_events] those of the list, unset at first */
};

/* longest: most events of a hole. The dataset must outlive the holes; release them in any case. */
enum tt_status tt_holes_find(const struct tt_dataset *dataset, uint64_t longest,
                             struct tt_holes *ret);
void tt_holes_release(struct tt_holes *holes);
/* The dataset with the events of all holes among its rows, by their time; its rows are otherwise
 * the same, their order too. Holes are listed as `filled`, no longer as gaps; meta.seed is `seed`.
 */
enum tt_status tt_holes_write(const struct tt_holes *holes, uint64_t seed, const char *path,
                              bool overwrite);

#endif
