/* Training windows, and validation. */
#include "base/mem.h"
#include "generators/system/system.h"

enum { EVENTS_PER_STEP = 1024, VAL_WINDOWS = 64, SHORTEST_WINDOW = 8 };

static enum tt_status find_workloads(const struct tt_system *system,
                                     struct tt_system_source *source) {
  enum tt_status status = tt_workloads_find(source->dataset, &source->workloads);
  if (status != TT_OK)
    return status;
  source->labels = tt_alloc(source->workloads.labels.n, sizeof *source->labels);
  if (!source->labels)
    return tt_fail(TT_NO_MEMORY, "the sources' labels");
  for (size_t i = 0; i < source->workloads.labels.n; i++) {
    const char *name = source->workloads.labels.names[i];
    source->labels[i] = tt_names_find(&system->base.labels, name);
    if (source->labels[i] == TT_NAME_NONE)
      return tt_fail(TT_BAD_INPUT, "%s: the workload '%s' is not that of the model",
                     tt_dataset_path(source->dataset), name);
  }
  return TT_OK;
}

enum tt_status tt_system_source_open(const struct tt_system *system,
                                     const struct tt_dataset *dataset,
                                     struct tt_system_source *ret) {
  ret->system = system;
  ret->dataset = dataset;
  enum tt_status status = tt_streams_open(dataset, TT_STREAM_CPU, &ret->streams);
  if (status == TT_OK && system->n_workloads)
    status = find_workloads(system, ret);
  if (status == TT_OK)
    status = tt_encoder_new(system->vocabulary, dataset, &ret->encoder);
  if (status == TT_OK)
    status = tt_system_track_make(ret, &ret->track);
  return status;
}

void tt_system_source_close(struct tt_system_source *source) {
  tt_workloads_release(&source->workloads);
  tt_free(source->labels);
  tt_system_track_release(&source->track);
  tt_encoder_free(source->encoder);
  tt_streams_close(source->streams);
}

enum tt_status tt_system_window_size(const struct tt_system_source *source, size_t window,
                                     size_t *ret_length, size_t *ret_windows) {
  size_t n, longest = 0;
  const struct tt_segment *segments = tt_streams_segments(source->streams, &n);
  for (size_t i = 0; i < n; i++)
    longest = segments[i].n > longest ? (size_t)segments[i].n : longest;
  if (longest < SHORTEST_WINDOW + 1)
    return tt_fail(TT_BAD_INPUT, "%s: no CPU has %d events in a row",
                   tt_dataset_path(source->dataset), SHORTEST_WINDOW + 1);
  const size_t length = 2 * window < longest ? 2 * window : longest - 1;
  *ret_length = length;
  *ret_windows = length < EVENTS_PER_STEP ? EVENTS_PER_STEP / length : 1;
  return TT_OK;
}

uint64_t *tt_system_window_rows(const struct tt_system_source *source,
                                const struct tt_batch *batch) {
  uint64_t *rows = tt_alloc(batch->n_windows * batch->length, sizeof *rows);
  if (!rows)
    return NULL;
#pragma omp parallel for schedule(static)
  for (size_t w = 0; w < batch->n_windows; w++)
    tt_streams_rows(source->streams, batch->windows[w].stream, batch->windows[w].first,
                    batch->length, rows + w * batch->length);
  return rows;
}

enum tt_status tt_system_validate(const struct tt_system_source *source, size_t length,
                                  size_t windows, tt_system_loss_fn *loss, void *user,
                                  double *ret) {
  const struct tt_part part = {source->streams, source->encoder};
  const struct tt_batches_options options = {.windows = windows,
                                             .length = length + 1,
                                             .sequential = true,
                                             .stride = length,
                                             .limit = VAL_WINDOWS};
  struct tt_batches *batches = NULL;
  enum tt_status status = tt_batches_open(&part, 1, &options, &batches);
  if (status == TT_BAD_INPUT) { /* the data are shorter than a window */
    tt_causes_clear();
    return TT_OK;
  }
  double sum = 0, n = 0;
  while (status == TT_OK) {
    const struct tt_batch *batch;
    double mean;
    status = tt_batches_next(batches, &batch);
    if (status != TT_OK || !batch)
      break;
    status = loss(user, batch, &mean);
    if (status != TT_OK)
      break;
    sum += mean * (double)batch->n_windows;
    n += (double)batch->n_windows;
  }
  tt_batches_close(batches);
  if (status == TT_OK && n > 0)
    *ret = sum / n;
  return status;
}
