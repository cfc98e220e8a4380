/* What the jobs share. jobs/ is the only folder that may use all modules: it opens, connects and
 * closes them, and holds no algorithm of its own. */
#ifndef JOBS_JOBS_H
#define JOBS_JOBS_H

#include "base/status.h"
#include "dataset/dataset.h"
#include "generators/generator.h"
#include "trace/event_source.h"
#include "tracetwin/tracetwin.h"

/* What `import` and `info` tell of a dataset. */
struct tt_dataset_info tt_jobs_dataset_info(const struct tt_dataset *dataset);

/* Starts the progress reports of one stage; jobs_progress_step() reports `done` at most ten times a
 * second. */
struct tt_jobs_progress {
  const struct tt_progress *to;
  struct tt_progress_report report;
  double begin, last; /* seconds, monotonic clock */
};
void tt_jobs_progress_begin(struct tt_jobs_progress *progress, const struct tt_progress *to,
                            const char *stage, const char *unit, uint64_t total);
void tt_jobs_progress_step(struct tt_jobs_progress *progress, uint64_t done);

/* Runs OpenMP regions of this thread with so many threads; 0: leaves it as it is. */
void tt_jobs_use_threads(unsigned threads);
/* How many threads that is. */
int tt_jobs_threads(unsigned threads);

/* Splits "NAME=VALUE" settings into options; *ret (n items) holds one allocation, tt_free it. */
enum tt_status tt_jobs_settings(const char *const *settings, size_t n,
                                struct tt_train_option **ret);

/* A dataset as the source of an export: borrowed, must outlive it. */
struct tt_event_source tt_jobs_dataset_source(const struct tt_dataset *dataset);

#endif
