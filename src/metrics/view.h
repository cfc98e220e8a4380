/* A stretch of one dataset laid out for comparison: columns with ids shared between all views of
 * one alphabet (datasets number their names independently), dt, and the rows in the order of each
 * CPU.
 *
 * Nothing is learned across a gap of lost events: `merged_fresh[i]` is set where row i does not
 * follow row i-1 (first row, or a gap), `cpu_fresh[k]` where order[k] does not follow order[k-1] on
 * its CPU. */
#ifndef METRICS_VIEW_H
#define METRICS_VIEW_H

#include <stddef.h>
#include <stdint.h>

#include "base/names.h"
#include "base/status.h"
#include "dataset/dataset.h"

struct tt_alphabet {
  struct tt_names events, comms;
};
void tt_alphabet_init(struct tt_alphabet *alphabet);
void tt_alphabet_release(struct tt_alphabet *alphabet);

#define TT_DT_NONE INT64_MIN /* no event before on that stream, or a gap */

struct tt_view {
  size_t n;
  uint32_t *event, *comm;      /* [n] ids in the alphabet; comm may be TT_COMM_NONE */
  uint16_t *cpu;               /* [n] */
  int32_t *tid;                /* [n] */
  int64_t *ts, *ret;           /* [n] ns; TT_RET_NONE where there is none */
  int64_t *dt_merged, *dt_cpu; /* [n] ns since the event before (of any CPU; of the same CPU) */
  uint32_t *order;             /* [n] rows grouped by CPU, in time order within each */
  uint8_t *merged_fresh;       /* [n] by row */
  uint8_t *cpu_fresh;          /* [n] by position in `order` */
};

/* Rows first..first+n-1 (clipped to the dataset; at most 2^32 - 1). New names are added to the
 * alphabet. */
enum tt_status tt_view_make(const struct tt_dataset *dataset, size_t first, size_t n,
                            struct tt_alphabet *alphabet, struct tt_view *ret);
/* The middle n rows, or all when there are fewer: how samples are cut to equal size. */
enum tt_status tt_view_make_middle(const struct tt_dataset *dataset, size_t n,
                                   struct tt_alphabet *alphabet, struct tt_view *ret);
void tt_view_release(struct tt_view *view); /* accepts a zeroed view */

#endif
