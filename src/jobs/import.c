/* import: traces, one after the other, into one dataset. */
#include <string.h>

#include "base/mem.h"
#include "jobs/jobs.h"
#include "trace/reader.h"

enum { BATCH = 8192 };

struct import {
  const struct tt_import_options *options;
  struct tt_dataset_writer *writer;
  struct tt_dataset_meta meta;
  struct tt_event *batch; /* [BATCH] */
  struct tt_jobs_progress progress;
  int64_t last_ts; /* of the events written so far */
};

/* Ids of one trace's dictionary as ids of the dataset's; grows with the trace's. */
struct id_map {
  uint32_t *ids;
  size_t n, capacity;
};

static enum tt_status extend(struct id_map *map, const struct tt_names *from, struct tt_names *to,
                             size_t limit, const char *what) {
  if (tt_grow(&map->ids, &map->capacity, from->n, sizeof *map->ids))
    return tt_fail(TT_NO_MEMORY, "out of memory");
  for (; map->n < from->n; map->n++) {
    map->ids[map->n] = tt_names_add(to, from->names[map->n]);
    if (map->ids[map->n] == TT_NAME_NONE)
      return tt_fail(TT_NO_MEMORY, "out of memory");
    if (map->ids[map->n] >= limit)
      return tt_fail(TT_BAD_INPUT, "more than %zu distinct %s", limit, what);
  }
  return TT_OK;
}

/* A later trace begins one nanosecond after the last event of the one before. */
static int64_t shift_of(const struct import *job, bool first_trace, int64_t first_ts) {
  return first_trace ? 0 : job->last_ts + 1 - first_ts;
}

static enum tt_status copy_events(struct import *job, struct tt_trace_reader *reader,
                                  bool first_trace, int64_t *ret_shift) {
  struct id_map events = {0}, comms = {0};
  enum tt_status status;
  bool begun = false;
  int64_t shift = 0;
  for (;;) {
    size_t n;
    if (tt_interrupted()) {
      status = tt_fail(TT_INTERRUPTED, "interrupted");
      break;
    }
    status = tt_trace_reader_read(reader, job->batch, BATCH, &n);
    if (status != TT_OK || n == 0)
      break;
    status = extend(&events, tt_trace_reader_events(reader), &job->meta.events, UINT16_MAX,
                    "event names");
    if (status == TT_OK)
      status = extend(&comms, tt_trace_reader_comms(reader), &job->meta.comms, TT_COMM_NONE,
                      "thread names");
    if (status != TT_OK)
      break;
    if (!begun)
      shift = shift_of(job, first_trace, job->batch[0].ts);
    begun = true;
    for (size_t i = 0; i < n; i++) {
      struct tt_event *e = &job->batch[i];
      e->ts += shift;
      e->event = (uint16_t)events.ids[e->event];
      if (e->comm != TT_COMM_NONE)
        e->comm = comms.ids[e->comm];
    }
    job->last_ts = job->batch[n - 1].ts;
    status = tt_dataset_writer_append(job->writer, job->batch, n);
    if (status != TT_OK)
      break;
    tt_jobs_progress_step(&job->progress, tt_dataset_writer_events(job->writer));
  }
  tt_free(events.ids);
  tt_free(comms.ids);
  *ret_shift = shift;
  return status;
}

static const char *label_of(const struct tt_import_options *options, size_t k) {
  return options->n_labels == 0 ? "" : options->labels[options->n_labels == 1 ? 0 : k];
}

static enum tt_status import_one(struct import *job, size_t k) {
  const char *path = job->options->inputs[k];
  struct tt_trace_reader_options reader_options = {.threads = job->options->threads,
                                                   .checksum = true};
  struct tt_trace_reader *reader = NULL;
  uint64_t before = tt_dataset_writer_events(job->writer);
  int64_t shift = 0;
  char sha256[65];
  enum tt_status status = tt_trace_reader_open(path, &reader_options, &reader);
  if (status == TT_OK)
    status = copy_events(job, reader, k == 0, &shift);
  if (status == TT_OK && tt_dataset_writer_events(job->writer) == before)
    status = tt_fail(TT_BAD_INPUT, "%s: the trace holds no events", path);
  if (status == TT_OK)
    status = tt_trace_reader_sha256(reader, sha256);
  if (status == TT_OK) {
    const struct tt_gap *gaps;
    size_t n_gaps;
    tt_trace_reader_gaps(reader, &gaps, &n_gaps);
    for (size_t i = 0; i < n_gaps && status == TT_OK; i++) {
      struct tt_gap gap = gaps[i];
      gap.begin += shift;
      gap.end += shift;
      status = tt_dataset_meta_add_gap(&job->meta, &gap);
    }
  }
  if (status == TT_OK) {
    if (k == 0)
      job->meta.clock_origin_ns = tt_trace_reader_clock_origin(reader);
    status = tt_dataset_meta_add_source(&job->meta, path, tt_trace_reader_format(reader), sha256,
                                        label_of(job->options, k), before,
                                        tt_dataset_writer_events(job->writer) - before);
  }
  tt_trace_reader_close(reader);
  return status;
}

enum tt_status tt_job_import(const struct tt_import_options *options, struct tt_dataset_info *ret) {
  struct import job = {.options = options};
  struct tt_dataset *dataset = NULL;
  tt_dataset_meta_init(&job.meta);
  tt_jobs_progress_begin(&job.progress, &options->progress, "import", "events", 0);
  enum tt_status status = TT_OK;
  job.batch = tt_alloc(BATCH, sizeof *job.batch);
  if (!job.batch)
    status = tt_fail(TT_NO_MEMORY, "out of memory");
  if (status == TT_OK && options->n_inputs == 0)
    status = tt_fail(TT_USAGE, "no trace given");
  if (status == TT_OK && options->n_labels > 1 && options->n_labels != options->n_inputs)
    status = tt_fail(TT_USAGE, "%zu labels for %zu traces", options->n_labels, options->n_inputs);
  if (status == TT_OK)
    status = tt_dataset_writer_begin(options->output, options->overwrite, &job.writer);
  for (size_t k = 0; k < options->n_inputs && status == TT_OK; k++)
    status = import_one(&job, k);
  if (status == TT_OK) {
    status = tt_dataset_writer_finish(job.writer, &job.meta);
    job.writer = NULL;
  }
  if (status == TT_OK)
    status = tt_dataset_open(options->output, &dataset);
  if (status == TT_OK)
    *ret = tt_jobs_dataset_info(dataset);
  tt_dataset_close(dataset);
  tt_dataset_writer_abort(job.writer);
  tt_dataset_meta_release(&job.meta);
  tt_free(job.batch);
  return status;
}
