#include "jobs/jobs.h"

#include <math.h>
#include <omp.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/output.h"

const char *tt_version(void) {
  return TT_VERSION;
}

void tt_jobs_use_threads(unsigned threads) {
  if (threads > 0)
    omp_set_num_threads((int)threads);
}

int tt_jobs_threads(unsigned threads) {
  return threads > 0 ? (int)threads : omp_get_max_threads();
}

void tt_jobs_progress_begin(struct tt_jobs_progress *progress, const struct tt_progress *to,
                            const char *stage, const char *unit, uint64_t total) {
  *progress = (struct tt_jobs_progress){
      .to = to,
      .report = {.stage = stage, .unit = unit, .total = total, .loss = NAN, .seconds_left = NAN},
      .begin = tt_seconds()};
}

void tt_jobs_progress_step(struct tt_jobs_progress *progress, uint64_t done) {
  if (!progress->to || !progress->to->report)
    return;
  double now = tt_seconds();
  if (now - progress->last < 0.1)
    return;
  progress->last = now;
  struct tt_progress_report *report = &progress->report;
  report->done = done;
  report->rate = now > progress->begin ? (double)done / (now - progress->begin) : 0;
  if (report->total && report->rate > 0)
    report->seconds_left = (double)(report->total - done) / report->rate;
  progress->to->report(progress->to->user, report);
}

struct tt_dataset_info tt_jobs_dataset_info(const struct tt_dataset *dataset) {
  struct tt_dataset_counts counts = tt_dataset_counts(dataset);
  return (struct tt_dataset_info){.events = counts.events,
                                  .event_types = counts.event_types,
                                  .comms = counts.comms,
                                  .cpus = counts.cpus,
                                  .tids = counts.tids,
                                  .duration_ns = counts.last_ts - counts.first_ts,
                                  .lost_events = tt_dataset_meta(dataset)->lost_events};
}

enum tt_status tt_jobs_settings(const char *const *settings, size_t n,
                                struct tt_train_option **ret) {
  size_t bytes = 0;
  for (size_t i = 0; i < n; i++) {
    if (!strchr(settings[i], '='))
      return tt_fail(TT_USAGE, "setting '%s' is not NAME=VALUE", settings[i]);
    bytes += strlen(settings[i]) + 1;
  }
  struct tt_train_option *options = tt_alloc(n * sizeof *options + bytes, 1);
  if (!options)
    return tt_fail(TT_NO_MEMORY, "out of memory");
  char *text = (char *)(options + n);
  for (size_t i = 0; i < n; i++) {
    size_t length = strlen(settings[i]) + 1;
    memcpy(text, settings[i], length);
    char *equals = strchr(text, '=');
    *equals = 0;
    options[i] = (struct tt_train_option){.name = text, .value = equals + 1};
    text += length;
  }
  *ret = options;
  return TT_OK;
}

/* Rows go by once, in order: what has been read leaves memory in blocks. */
#define RELEASE_ROWS ((uint64_t)1 << 20)

static enum tt_status read_rows(void *user, uint64_t first, size_t count, struct tt_event *ret) {
  const struct tt_dataset *dataset = user;
  for (size_t i = 0; i < count; i++)
    ret[i] = tt_dataset_event(dataset, first + i);
  uint64_t from = first / RELEASE_ROWS * RELEASE_ROWS;
  uint64_t to = (first + count) / RELEASE_ROWS * RELEASE_ROWS;
  if (to > from)
    tt_dataset_done_with(dataset, from, to - from);
  return TT_OK;
}

struct tt_event_source tt_jobs_dataset_source(const struct tt_dataset *dataset) {
  const struct tt_dataset_meta *meta = tt_dataset_meta(dataset);
  return (struct tt_event_source){.n = tt_dataset_columns(dataset)->n,
                                  .read = read_rows,
                                  .user = (void *)(uintptr_t)dataset, /* only read */
                                  .gaps = meta->gaps,
                                  .n_gaps = meta->n_gaps};
}
