/* Ticks: events that come when a clock says so, on every CPU at the same time (scheduler ticks, 100
 * to 1000 a second). Of a CPU that waits for one, a delay since its last event tells the time to
 * some per cent; twins without a common clock have hardly any of the orders of events that CPUs
 * ticking together make.
 *
 * Learned from long waits: the rate is the one by which most of them end at the same place of its
 * period (a histogram of times modulo the period: epoch folding, Leahy et al. 1983), which each
 * source of the training data has for itself. Drawn: a long wait for such an event ends at the tick
 * that is nearest to its time, as late as ticks were in training. */
#ifndef GENERATORS_SYSTEM_CLOCK_H
#define GENERATORS_SYSTEM_CLOCK_H

#include "base/rng.h"
#include "compute/model_file.h"
#include "dataset/workloads.h"

enum { TT_CLOCK_POINTS = 17 };

struct tt_tick {
  uint16_t event;
  double share;                  /* of long waits for it that end at a tick */
  int64_t late[TT_CLOCK_POINTS]; /* quantiles of how late these come, ns; may be below 0 */
};

struct tt_clock {
  uint32_t hz;           /* 0: nothing ticks */
  struct tt_tick *ticks; /* [n_ticks] */
  size_t n_ticks;
  double *phases; /* [sources] where in its period each begins, ns; < 0: not known. Not saved */
};

/* Of these rows. Free with tt_clock_release. */
enum tt_status tt_clock_learn(const struct tt_dataset *train, const struct tt_row_set *rows,
                              struct tt_clock *ret);
void tt_clock_release(struct tt_clock *clock); /* accepts zeroed */
/* How long ago the last tick was (ns) at the time of a training row; -1: not known. */
int64_t tt_clock_since_tick(const struct tt_clock *clock, const struct tt_dataset *train,
                            uint64_t row);
/* When an event of a CPU happens that was to happen at `ts`, its last one having been at `last`;
 * since: as above, at time 0. Later than `last`. */
int64_t tt_clock_snap(const struct tt_clock *clock, uint16_t event, int64_t since, int64_t last,
                      int64_t ts, struct tt_rng *rng);

/* *ret_buffer: to be released with tt_free once the file is written. */
enum tt_status tt_clock_save(const struct tt_clock *clock, struct tt_model_writer *writer,
                             int64_t **ret_buffer);
enum tt_status tt_clock_load(const struct tt_model_file *file, size_t n_events,
                             struct tt_clock *ret);

#endif
