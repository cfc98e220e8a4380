/* Where nothing may be learned from two neighbouring rows: lost-event gaps and borders between
 * sources, indexed for binary search. */
#ifndef DATASET_CUTS_H
#define DATASET_CUTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "dataset/dataset.h"

struct tt_gap_index { /* gaps of one CPU or of all, sorted by begin */
  size_t n;
  int64_t *begin; /* [n] */
  int64_t *reach; /* [n] the latest end of gaps 0..i: "does any that began by t last until s" is
                     then one comparison */
};

struct tt_cuts {
  struct tt_gap_index all;
  struct tt_gap_index *cpu; /* [n_cpus] */
  size_t n_cpus;
  uint64_t *borders; /* ascending rows where another source begins, row 0 left out */
  size_t n_borders;
};

enum tt_status tt_cuts_build(const struct tt_dataset_meta *meta, size_t n_cpus, uint64_t events,
                             struct tt_cuts *ret);
void tt_cuts_release(struct tt_cuts *cuts);
/* A gap touches [from, to]. */
bool tt_gap_index_touches(const struct tt_gap_index *gaps, int64_t from, int64_t to);
/* A border lies in (a, b]. */
bool tt_cuts_border_between(const struct tt_cuts *cuts, uint64_t a, uint64_t b);
/* Those of an open dataset (dataset.c). */
const struct tt_cuts *tt_dataset_cuts(const struct tt_dataset *dataset);

#endif
