#include "generators/merge.h"

#include <math.h>

#include "base/clock.h"
#include "base/mem.h"

#define BATCH 4096

struct entry { /* the next event of one stream */
  int64_t ts;
  size_t stream;
  struct tt_sample sample;
};

struct heap {
  struct entry *entries; /* [n], a binary min-heap by (ts, stream) */
  size_t n;
};

static bool before(const struct entry *a, const struct entry *b) {
  return a->ts != b->ts ? a->ts < b->ts : a->stream < b->stream;
}

/* Restores the heap below i after entries[i] grew. */
static void sift_down(struct heap *heap, size_t i) {
  struct entry moving = heap->entries[i];
  for (;;) {
    size_t child = 2 * i + 1;
    if (child >= heap->n)
      break;
    if (child + 1 < heap->n && before(&heap->entries[child + 1], &heap->entries[child]))
      child++;
    if (!before(&heap->entries[child], &moving))
      break;
    heap->entries[i] = heap->entries[child];
    i = child;
  }
  heap->entries[i] = moving;
}

/* Puts the stream's next sample into `entry`, its time counted from `from`. */
static enum tt_status advance(const struct tt_sample_source *source, int64_t from,
                              struct entry *entry) {
  enum tt_status status = source->next(source->user, entry->stream, &entry->sample);
  if (status != TT_OK)
    return status;
  TT_ASSERT(entry->sample.dt >= 0);
  if (__builtin_add_overflow(from, entry->sample.dt, &entry->ts))
    entry->ts = INT64_MAX;
  return TT_OK;
}

void tt_merge_report(const struct tt_progress *progress, uint64_t done, uint64_t total,
                     double seconds) {
  double rate = seconds > 0 ? (double)done / seconds : 0;
  struct tt_progress_report values = {
      .stage = "generate",
      .done = done,
      .total = total,
      .unit = "events",
      .rate = rate,
      .loss = NAN,
      .seconds_left = rate > 0 ? (double)(total - done) / rate : NAN,
  };
  progress->report(progress->user, &values);
}

enum tt_status tt_merge_run(const struct tt_sample_source *source, const int64_t *begin,
                            struct tt_decoder *decoder, uint64_t events,
                            const struct tt_progress *progress, const struct tt_event_sink *sink) {
  TT_ASSERT(source->n_streams > 0);
  enum tt_status status = TT_OK;
  struct heap heap = {.n = source->n_streams};
  struct tt_event *batch = tt_alloc(BATCH, sizeof *batch);
  heap.entries = tt_calloc(heap.n, sizeof *heap.entries);
  if (!batch || !heap.entries) {
    status = tt_fail(TT_NO_MEMORY, "merging %zu generated streams", source->n_streams);
    goto cleanup;
  }
  for (size_t i = 0; i < heap.n && events > 0; i++) {
    heap.entries[i].stream = i;
    status = advance(source, begin[i], &heap.entries[i]);
    if (status != TT_OK)
      goto cleanup;
  }
  for (size_t i = heap.n / 2; i-- > 0;)
    sift_down(&heap, i);

  double started = tt_seconds(), reported = started;
  for (uint64_t done = 0; done < events;) {
    if (tt_interrupted()) {
      status = tt_fail(TT_INTERRUPTED, "interrupted after %llu generated events",
                       (unsigned long long)done);
      goto cleanup;
    }
    size_t n = events - done < BATCH ? (size_t)(events - done) : BATCH;
    for (size_t i = 0; i < n; i++) {
      struct entry *next = &heap.entries[0];
      tt_decoder_next(decoder, next->ts, &next->sample, &batch[i]);
      if (done + i + 1 == events)
        break;
      status = advance(source, next->ts, next);
      if (status != TT_OK)
        goto cleanup;
      sift_down(&heap, 0);
    }
    status = sink->write(sink->user, batch, n);
    if (status != TT_OK)
      goto cleanup;
    done += n;
    double time = tt_seconds();
    if (progress && progress->report && (time - reported >= 0.1 || done == events)) {
      reported = time;
      tt_merge_report(progress, done, events, time - started);
    }
  }
cleanup:
  tt_free(heap.entries);
  tt_free(batch);
  return status;
}
