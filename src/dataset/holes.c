#include "dataset/holes.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/output.h"
#include "dataset/cuts.h"
#include "dataset/streams.h"

enum { CHUNK = 1 << 18 }; /* rows between two looks at whether to stop */

/* ---- finding ---- */

struct place { /* of a gap */
  uint64_t left, right;
  size_t gap;
  uint16_t cpu;
  bool good;
};

static struct place place_of(const struct tt_dataset *dataset, const struct tt_streams *streams,
                             size_t which, uint64_t longest) {
  const struct tt_columns *c = tt_dataset_columns(dataset);
  const struct tt_gap *gap = &tt_dataset_meta(dataset)->gaps[which];
  struct place place = {.left = UINT64_MAX, .gap = which, .cpu = gap->cpu};
  if (gap->cpu >= tt_streams_count(streams))
    return place;
  const uint64_t at = tt_streams_position(streams, gap->cpu, tt_row_at(c, gap->begin, true));
  if (at == 0 || at == tt_streams_length(streams, gap->cpu))
    return place;
  uint64_t rows[2];
  tt_streams_rows(streams, gap->cpu, at - 1, 2, rows);
  place.left = rows[0];
  place.right = rows[1];
  place.good = gap->lost > 0 && gap->lost <= longest && gap->end <= c->ts[rows[1]] &&
               !tt_cuts_border_between(tt_dataset_cuts(dataset), rows[0], rows[1]);
  return place;
}

static int by_place(const void *a, const void *b) {
  const struct place *x = a, *y = b;
  if (x->left != y->left)
    return x->left < y->left ? -1 : 1;
  if (x->cpu != y->cpu)
    return x->cpu < y->cpu ? -1 : 1;
  return (x->gap > y->gap) - (x->gap < y->gap);
}

/* Gaps [first, end) of `places` are at one place. */
static void add_hole(struct tt_holes *holes, const struct place *places, size_t n,
                     uint64_t longest) {
  const struct tt_gap *gaps = tt_dataset_meta(holes->dataset)->gaps;
  struct tt_hole hole = {.left = places->left,
                         .right = places->right,
                         .begin = gaps[places->gap].begin,
                         .end = gaps[places->gap].end,
                         .cpu = places->cpu};
  for (size_t i = 0; i < n; i++) {
    const struct tt_gap *gap = &gaps[places[i].gap];
    if (!places[i].good || gap->lost > longest - hole.n)
      return;
    hole.begin = gap->begin < hole.begin ? gap->begin : hole.begin;
    hole.end = gap->end > hole.end ? gap->end : hole.end;
    hole.n += (size_t)gap->lost;
  }
  for (size_t i = 0; i < n; i++)
    holes->is_hole[places[i].gap] = true;
  holes->n_gaps += n;
  holes->n_events += hole.n;
  holes->list[holes->n++] = hole;
}

enum tt_status tt_holes_find(const struct tt_dataset *dataset, uint64_t longest,
                             struct tt_holes *ret) {
  const size_t n = tt_dataset_meta(dataset)->n_gaps;
  struct place *places = tt_alloc(n, sizeof *places);
  struct tt_streams *streams = NULL;
  *ret = (struct tt_holes){.dataset = dataset};
  ret->list = tt_alloc(n, sizeof *ret->list);
  ret->is_hole = tt_calloc(n, sizeof *ret->is_hole);
  enum tt_status status = TT_OK;
  if (!places || !ret->list || !ret->is_hole)
    status = tt_fail(TT_NO_MEMORY, "%zu gaps", n);
  if (status == TT_OK)
    status = tt_streams_open(dataset, TT_STREAM_CPU, &streams);
  if (status == TT_OK) {
    for (size_t i = 0; i < n; i++)
      places[i] = place_of(dataset, streams, i, longest);
    if (n)
      qsort(places, n, sizeof *places, by_place);
    for (size_t i = 0, end; i < n; i = end) {
      for (end = i + 1;
           end < n && places[end].left == places[i].left && places[end].cpu == places[i].cpu;)
        end++;
      add_hole(ret, places + i, end - i, longest);
    }
    ret->events = tt_calloc(ret->n_events, sizeof *ret->events);
    if (!ret->events)
      status = tt_fail(TT_NO_MEMORY, "%zu lost events", ret->n_events);
  }
  for (size_t i = 0, at = 0; status == TT_OK && i < ret->n; at += ret->list[i++].n)
    ret->list[i].events = ret->events + at;
  tt_streams_close(streams);
  tt_free(places);
  return status;
}

void tt_holes_release(struct tt_holes *holes) {
  tt_free(holes->list);
  tt_free(holes->is_hole);
  tt_free(holes->events);
  *holes = (struct tt_holes){0};
}

/* ---- writing ---- */

struct arrival {
  uint64_t before; /* the row that it comes before */
  const struct tt_event *event;
};

/* Holes' events lie one behind the other, so that their places decide what time doesn't. */
static int by_time(const void *a, const void *b) {
  const struct arrival *x = a, *y = b;
  if (x->before != y->before)
    return x->before < y->before ? -1 : 1;
  if (x->event->ts != y->event->ts)
    return x->event->ts < y->event->ts ? -1 : 1;
  return (x->event > y->event) - (x->event < y->event);
}

/* After all rows that aren't later, but before the hole's right end. */
static struct arrival *sort_arrivals(const struct tt_holes *holes) {
  const struct tt_columns *c = tt_dataset_columns(holes->dataset);
  struct arrival *arrivals = tt_alloc(holes->n_events, sizeof *arrivals);
  size_t n = 0;
  for (size_t i = 0; arrivals && i < holes->n; i++) {
    const struct tt_hole *hole = &holes->list[i];
    for (size_t k = 0; k < hole->n; k++) {
      const int64_t ts = hole->events[k].ts;
      TT_ASSERT(ts >= hole->begin && ts <= hole->end && hole->events[k].cpu == hole->cpu &&
                (k == 0 || ts >= hole->events[k - 1].ts));
      const uint64_t row = tt_row_at(c, ts, true);
      arrivals[n++] = (struct arrival){row < hole->right ? row : hole->right, &hole->events[k]};
    }
  }
  if (arrivals && n)
    qsort(arrivals, n, sizeof *arrivals, by_time);
  return arrivals;
}

static enum tt_status copy_rows(const struct tt_dataset *dataset, uint64_t first, uint64_t end,
                                struct tt_dataset_writer *writer) {
  enum tt_status status = TT_OK;
  for (; status == TT_OK && first < end;) {
    const size_t n = end - first < CHUNK ? (size_t)(end - first) : CHUNK;
    if (tt_interrupted())
      return tt_fail(TT_INTERRUPTED, "interrupted");
    status = tt_dataset_writer_append_columns(writer, tt_dataset_columns(dataset), first, n);
    tt_dataset_done_with(dataset, first, n);
    first += n;
  }
  return status;
}

static enum tt_status write_rows(const struct tt_holes *holes, const struct arrival *arrivals,
                                 struct tt_dataset_writer *writer) {
  uint64_t row = 0;
  enum tt_status status = TT_OK;
  for (size_t i = 0; i < holes->n_events && status == TT_OK; i++) {
    status = copy_rows(holes->dataset, row, arrivals[i].before, writer);
    row = arrivals[i].before;
    if (status == TT_OK)
      status = tt_dataset_writer_append(writer, arrivals[i].event, 1);
  }
  return status == TT_OK
             ? copy_rows(holes->dataset, row, tt_dataset_columns(holes->dataset)->n, writer)
             : status;
}

/* How many come before the row. */
static uint64_t arrived(const struct tt_holes *holes, const struct arrival *arrivals,
                        uint64_t row) {
  size_t low = 0, high = holes->n_events;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (arrivals[middle].before <= row)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static enum tt_status describe(const struct tt_holes *holes, const struct arrival *arrivals,
                               uint64_t seed, struct tt_dataset_meta *meta) {
  enum tt_status status = tt_dataset_meta_copy(tt_dataset_meta(holes->dataset), meta);
  if (status != TT_OK)
    return status;
  for (size_t i = 0; i < meta->n_sources; i++) { /* a hole lies within one source */
    struct tt_source *source = &meta->sources[i];
    const uint64_t shift = arrived(holes, arrivals, source->first);
    if (source->events)
      source->events += arrived(holes, arrivals, source->first + source->events - 1) - shift;
    source->first += shift;
  }
  size_t left = 0;
  for (size_t i = 0; i < meta->n_gaps && status == TT_OK; i++)
    if (holes->is_hole[i])
      status = tt_dataset_meta_add_filled(meta, &meta->gaps[i]);
    else
      meta->gaps[left++] = meta->gaps[i];
  meta->n_gaps = left;
  meta->lost_events -= holes->n_events;
  if (holes->n)
    meta->seed = seed;
  return status;
}

enum tt_status tt_holes_write(const struct tt_holes *holes, uint64_t seed, const char *path,
                              bool overwrite) {
  struct tt_dataset_writer *writer = NULL;
  struct tt_dataset_meta meta;
  tt_dataset_meta_init(&meta);
  struct arrival *arrivals = sort_arrivals(holes);
  enum tt_status status = arrivals ? describe(holes, arrivals, seed, &meta)
                                   : tt_fail(TT_NO_MEMORY, "%zu lost events", holes->n_events);
  if (status == TT_OK)
    status = tt_dataset_writer_begin(path, overwrite, &writer);
  if (status == TT_OK)
    status = write_rows(holes, arrivals, writer);
  if (status == TT_OK)
    status = tt_dataset_writer_finish(writer, &meta);
  else
    tt_dataset_writer_abort(writer);
  tt_dataset_meta_release(&meta);
  tt_free(arrivals);
  return status == TT_OK
             ? TT_OK
             : tt_fail(status, "while filling the gaps of %s", tt_dataset_path(holes->dataset));
}
