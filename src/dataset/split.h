/* Splitting a dataset by time. */
#ifndef DATASET_SPLIT_H
#define DATASET_SPLIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "dataset/dataset.h"

#define TT_SPLIT_GAP ((size_t)4096)

/* The three ranges of rows. Of n events, g are dropped at each of the two cuts; the kept
 * n - 2g are shared out by the fractions (train and val rounded down, test gets the rest), in time
 * order: train, g dropped, val, g dropped, test. g = min(gap_events, n / 16), so that a small
 * dataset loses at most an eighth. */
struct tt_split_ranges {
  uint64_t first[3], events[3]; /* train, val, test */
  uint64_t gap;                 /* g: events dropped at each cut */
};

/* TT_USAGE when a fraction is not above 0 or they don't sum to 1 (within 1e-6); TT_BAD_INPUT when
 * `events` are so few that a part would be empty. */
enum tt_status tt_split_ranges(uint64_t events, double train, double val, double test,
                               size_t gap_events, struct tt_split_ranges *ret);

/* Writes DIR/train, DIR/val and DIR/test: datasets with the dictionaries, clock and time stamps of
 * the whole, its sources and lost-event gaps sliced. Where sources differ in label, each workload
 * (sources next to each other with the same label) is split by itself, so that every part holds its
 * share of each. DIR appears whole or not at all. */
enum tt_status tt_dataset_split(const struct tt_dataset *dataset, double train, double val,
                                double test, size_t gap_events, const char *dir, bool overwrite,
                                uint64_t ret_events[3]);

#endif
