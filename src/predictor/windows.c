#include "predictor/windows.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

static enum tt_status map_classes(const struct tt_dataset *dataset, struct tt_classes *classes,
                                  int32_t **ret) {
  const struct tt_names *names = &tt_dataset_meta(dataset)->events;
  int32_t *map = tt_alloc(names->n, sizeof *map);
  if (!map)
    return tt_fail(TT_NO_MEMORY, "classes of %zu event types", names->n);
  for (size_t i = 0; i < names->n; i++) {
    uint32_t id = tt_names_find(&classes->vocabulary->events, names->names[i]);
    if (id == TT_NAME_NONE) {
      id = tt_names_add(&classes->unseen, names->names[i]);
      if (id == TT_NAME_NONE) {
        tt_free(map);
        return tt_fail(TT_NO_MEMORY, "classes of %zu event types", names->n);
      }
      id += (uint32_t)classes->vocabulary->events.n;
    }
    map[i] = (int32_t)id;
  }
  *ret = map;
  return TT_OK;
}

/* The segments cut to the rows of the slice. */
static enum tt_status cut_segments(struct tt_source_slice *slice, uint64_t first, uint64_t end) {
  size_t n;
  const struct tt_segment *all = tt_streams_segments(slice->streams, &n);
  slice->segments = tt_alloc(n, sizeof *slice->segments);
  if (!slice->segments)
    return tt_fail(TT_NO_MEMORY, "%zu segments", n);
  uint64_t low = 0, high = 0;
  for (size_t i = 0; i < n; i++) {
    if (i == 0 || all[i].stream != all[i - 1].stream) {
      low = tt_streams_position(slice->streams, all[i].stream, first);
      high = tt_streams_position(slice->streams, all[i].stream, end);
    }
    uint64_t begin = all[i].first > low ? all[i].first : low;
    uint64_t stop = all[i].first + all[i].n < high ? all[i].first + all[i].n : high;
    if (begin + 2 > stop)
      continue;
    slice->segments[slice->n_segments++] =
        (struct tt_segment){.stream = all[i].stream, .first = begin, .n = stop - begin};
    slice->events += stop - begin;
  }
  if (slice->n_segments == 0)
    return tt_fail(TT_BAD_INPUT, "%s: no two events in a row to learn from",
                   tt_dataset_path(slice->dataset));
  return TT_OK;
}

enum tt_status tt_slice_open(const struct tt_dataset *dataset, enum tt_stream_kind kind,
                             size_t first, size_t n, struct tt_classes *classes,
                             struct tt_source_slice *ret) {
  struct tt_source_slice slice = {.dataset = dataset};
  size_t have = tt_dataset_columns(dataset)->n;
  first = first < have ? first : have;
  n = n && n < have - first ? n : have - first;
  enum tt_status status = tt_streams_open(dataset, kind, &slice.streams);
  if (status == TT_OK)
    status = tt_encoder_new(classes->vocabulary, dataset, &slice.encoder);
  if (status == TT_OK)
    status = map_classes(dataset, classes, &slice.class_of);
  if (status == TT_OK)
    status = cut_segments(&slice, first, first + n);
  if (status == TT_OK)
    *ret = slice;
  else
    tt_slice_close(&slice);
  return status;
}

void tt_slice_close(struct tt_source_slice *slice) {
  tt_encoder_free(slice->encoder);
  tt_streams_close(slice->streams);
  tt_free(slice->segments);
  tt_free(slice->class_of);
  *slice = (struct tt_source_slice){0};
}

enum tt_status tt_starts_make(const struct tt_source_slice *sources, size_t n_sources,
                              size_t context, struct tt_starts *ret) {
  struct tt_starts starts = {.context = context};
  size_t total = 0;
  for (size_t s = 0; s < n_sources; s++)
    total += sources[s].n_segments;
  starts.cumulative = tt_alloc(total + 1, sizeof *starts.cumulative);
  starts.source = tt_alloc(total, sizeof *starts.source);
  starts.segment = tt_alloc(total, sizeof *starts.segment);
  if (!starts.cumulative || !starts.source || !starts.segment) {
    tt_starts_release(&starts);
    return tt_fail(TT_NO_MEMORY, "%zu segments", total);
  }
  starts.cumulative[0] = 0;
  for (size_t s = 0; s < n_sources; s++)
    for (size_t i = 0; i < sources[s].n_segments; i++) {
      /* In proportion to its targets. The last whole window stands for every start behind it; a
       * segment too short for a whole window is always read from its beginning. */
      starts.cumulative[starts.n + 1] = starts.cumulative[starts.n] + sources[s].segments[i].n - 1;
      starts.source[starts.n] = (uint32_t)s;
      starts.segment[starts.n++] = (uint32_t)i;
    }
  *ret = starts;
  return TT_OK;
}

void tt_starts_release(struct tt_starts *starts) {
  tt_free(starts->cumulative);
  tt_free(starts->source);
  tt_free(starts->segment);
  *starts = (struct tt_starts){0};
}

struct tt_piece tt_starts_draw(const struct tt_starts *starts,
                               const struct tt_source_slice *sources, struct tt_rng *rng) {
  uint64_t at = tt_rng_below(rng, starts->cumulative[starts->n]);
  size_t low = 0, high = starts->n; /* cumulative[low] <= at < cumulative[high] */
  while (high - low > 1) {
    size_t middle = low + (high - low) / 2;
    if (starts->cumulative[middle] <= at)
      low = middle;
    else
      high = middle;
  }
  const struct tt_segment *segment = &sources[starts->source[low]].segments[starts->segment[low]];
  uint64_t targets = segment->n - 1, offset = at - starts->cumulative[low];
  uint64_t inputs = targets < starts->context ? targets : starts->context;
  uint64_t last = targets - inputs;
  return (struct tt_piece){.source = starts->source[low],
                           .stream = segment->stream,
                           .first = segment->first + (offset < last ? offset : last),
                           .n = (uint32_t)inputs};
}

enum tt_status tt_pieces_scoring(const struct tt_source_slice *slice, size_t context,
                                 size_t overlap, size_t limit, struct tt_piece **ret,
                                 size_t *ret_n) {
  struct tt_piece *pieces = NULL;
  size_t n = 0, capacity = 0, step = context - overlap;
  TT_ASSERT(overlap < context);
  for (size_t i = 0; i < slice->n_segments; i++) {
    const struct tt_segment *segment = &slice->segments[i];
    uint64_t inputs = segment->n - 1; /* each predicts the event behind it */
    for (uint64_t first = 0; first == 0 || first + overlap < inputs; first += step) {
      uint64_t left = inputs - first;
      if (tt_grow(&pieces, &capacity, n + 1, sizeof *pieces)) {
        tt_free(pieces);
        return tt_fail(TT_NO_MEMORY, "%zu windows", n);
      }
      pieces[n++] = (struct tt_piece){.stream = segment->stream,
                                      .first = segment->first + first,
                                      .n = (uint32_t)(left < context ? left : context),
                                      .skip = (uint32_t)(first ? overlap : 0)};
    }
  }
  if (limit && n > limit) {
    for (size_t i = 0; i < limit; i++)
      pieces[i] = pieces[i * n / limit];
    n = limit;
  }
  *ret = pieces;
  *ret_n = n;
  return TT_OK;
}

enum tt_status tt_window_reader_init(struct tt_window_reader *ret, unsigned channels,
                                     size_t context) {
  struct tt_window_reader reader = {.channels = channels, .context = context};
  for (unsigned channel = 0; channel < TT_N_CHANNELS; channel++)
    reader.n_ids += channels >> channel & 1;
  reader.rows = tt_alloc(context, sizeof *reader.rows);
  if (!reader.rows)
    return tt_fail(TT_NO_MEMORY, "a window of %zu events", context);
  enum tt_status status = tt_channels_init(&reader.scratch, context);
  if (status != TT_OK) {
    tt_free(reader.rows);
    return status;
  }
  *ret = reader;
  return TT_OK;
}

void tt_window_reader_release(struct tt_window_reader *reader) {
  tt_channels_release(&reader->scratch);
  tt_free(reader->rows);
  *reader = (struct tt_window_reader){0};
}

static int32_t dt_bin(float dt) {
  float bin = floorf((dt + 4) * 8);
  return bin < 0 ? 0 : bin >= TT_DT_BINS ? TT_DT_BINS - 1 : (int32_t)bin;
}

static int32_t channel_id(const struct tt_channels *channels, enum tt_channel channel, size_t i) {
  switch (channel) {
  case TT_CHANNEL_event:
    return channels->event[i];
  case TT_CHANNEL_dt:
    return dt_bin(channels->dt[i]);
  case TT_CHANNEL_cpu:
    return channels->cpu[i];
  case TT_CHANNEL_tid:
    return channels->tid[i];
  case TT_CHANNEL_comm:
    return channels->comm[i];
  case TT_CHANNEL_ret:
    return channels->ret[i];
  case TT_N_CHANNELS:
    break;
  }
  TT_ASSERT(false && "a channel");
  return -1;
}

enum tt_status tt_window_read(struct tt_window_reader *reader,
                              const struct tt_source_slice *sources, const struct tt_piece *piece,
                              int32_t *ids, int32_t *targets) {
  const struct tt_source_slice *source = &sources[piece->source];
  enum tt_status status = tt_encode_stream(source->encoder, source->streams, piece->stream,
                                           piece->first, piece->n, &reader->scratch, 0);
  if (status != TT_OK)
    return status;
  tt_streams_rows(source->streams, piece->stream, piece->first + 1, piece->n, reader->rows);
  const uint16_t *event = tt_dataset_columns(source->dataset)->event;
  for (size_t i = 0; i < reader->context; i++) {
    int32_t *id = ids + i * reader->n_ids;
    if (i >= piece->n) {
      for (size_t k = 0; k < reader->n_ids; k++)
        id[k] = -1;
      targets[i] = -1;
      continue;
    }
    for (unsigned channel = 0; channel < TT_N_CHANNELS; channel++)
      if (reader->channels >> channel & 1)
        *id++ = channel_id(&reader->scratch, (enum tt_channel)channel, i);
    targets[i] = i < piece->skip ? -1 : source->class_of[event[reader->rows[i]]];
  }
  return TT_OK;
}
