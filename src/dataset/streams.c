#include "dataset/streams.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "dataset/cuts.h"

enum { SMALLEST_BLOCK = 4096 }; /* rows */
#define COUNT_BYTES ((size_t)64 << 20)

struct tt_streams {
  const struct tt_dataset *dataset;
  enum tt_stream_kind kind;
  size_t n_streams;
  /* CPU streams only: counts[c * (n_blocks + 1) + b] = rows of CPU c before row b * block. */
  size_t block, n_blocks;
  uint64_t *counts;
  struct tt_segment *segments;
  size_t n_segments, segments_capacity;
};

enum tt_status tt_stream_kind_parse(const char *name, enum tt_stream_kind *ret) {
  for (enum tt_stream_kind kind = TT_STREAM_MERGED; kind <= TT_STREAM_CPU; kind++)
    if (strcmp(name, tt_stream_kind_name(kind)) == 0) {
      *ret = kind;
      return TT_OK;
    }
  return tt_fail(TT_USAGE, "no stream \"%s\": merged or cpu", name);
}

const char *tt_stream_kind_name(enum tt_stream_kind kind) {
  return kind == TT_STREAM_CPU ? "cpu" : "merged";
}

static enum tt_status count_rows(struct tt_streams *s) {
  const struct tt_columns *columns = tt_dataset_columns(s->dataset);
  const size_t n = columns->n, cpus = s->n_streams;
  s->block = SMALLEST_BLOCK;
  while ((n / s->block + 2) * cpus > COUNT_BYTES / sizeof *s->counts)
    s->block *= 2;
  s->n_blocks = (n + s->block - 1) / s->block;
  const size_t stride = s->n_blocks + 1, block = s->block, n_blocks = s->n_blocks;
  uint64_t *counts = s->counts = tt_calloc(cpus, stride * sizeof *counts);
  if (!counts)
    return tt_fail(TT_NO_MEMORY, "out of memory");
#pragma omp parallel for schedule(static) if (n_blocks > 64)
  for (size_t b = 0; b < n_blocks; b++) {
    size_t end = (b + 1) * block < n ? (b + 1) * block : n;
    for (size_t i = b * block; i < end; i++)
      counts[columns->cpu[i] * stride + b + 1]++;
    tt_dataset_done_with(s->dataset, b * block, end - b * block);
  }
  for (size_t c = 0; c < cpus; c++)
    for (size_t b = 0; b < n_blocks; b++)
      counts[c * stride + b + 1] += counts[c * stride + b];
  return TT_OK;
}

uint64_t tt_row_at(const struct tt_columns *columns, int64_t t, bool after) {
  size_t low = 0, high = columns->n;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (columns->ts[middle] < t || (after && columns->ts[middle] == t))
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static int add_segment(struct tt_streams *s, size_t stream, uint64_t first, uint64_t end) {
  if (first >= end)
    return 0;
  if (tt_grow(&s->segments, &s->segments_capacity, s->n_segments + 1, sizeof *s->segments))
    return -1;
  s->segments[s->n_segments++] = (struct tt_segment){(uint32_t)stream, first, end - first};
  return 0;
}

/* A hole is a range [first, last] of positions with a cut before each of them. */
struct hole {
  uint64_t first, last;
};

static int by_first(const void *a, const void *b) {
  uint64_t x = ((const struct hole *)a)->first, y = ((const struct hole *)b)->first;
  return (x > y) - (x < y);
}

/* A gap [begin, end] cuts before every row i with ts[i - 1] <= end and ts[i] >= begin: those from
 * the first at or after `begin` to the first after `end`. */
static enum tt_status find_segments(struct tt_streams *s, size_t stream) {
  const struct tt_columns *columns = tt_dataset_columns(s->dataset);
  const struct tt_cuts *cuts = tt_dataset_cuts(s->dataset);
  const struct tt_gap_index *gaps = s->kind == TT_STREAM_CPU ? &cuts->cpu[stream] : &cuts->all;
  struct hole *holes = tt_alloc(gaps->n + cuts->n_borders, sizeof *holes);
  if (!holes)
    return tt_fail(TT_NO_MEMORY, "out of memory");
  size_t n = 0;
  for (size_t i = 0; i < gaps->n;) {
    size_t last = i; /* gaps that overlap are one */
    while (last + 1 < gaps->n && gaps->begin[last + 1] <= gaps->reach[last])
      last++;
    holes[n].first = tt_streams_position(s, stream, tt_row_at(columns, gaps->begin[i], false));
    holes[n++].last = tt_streams_position(s, stream, tt_row_at(columns, gaps->reach[last], true));
    i = last + 1;
  }
  for (size_t i = 0; i < cuts->n_borders; i++, n++)
    holes[n].first = holes[n].last = tt_streams_position(s, stream, cuts->borders[i]);
  if (n)
    qsort(holes, n, sizeof *holes, by_first);
  uint64_t at = 0;
  int short_of_memory = 0;
  for (size_t i = 0; i < n; i++) {
    short_of_memory |= add_segment(s, stream, at, holes[i].first);
    at = holes[i].last > at ? holes[i].last : at;
  }
  short_of_memory |= add_segment(s, stream, at, tt_streams_length(s, stream));
  tt_free(holes);
  return short_of_memory ? tt_fail(TT_NO_MEMORY, "out of memory") : TT_OK;
}

enum tt_status tt_streams_open(const struct tt_dataset *dataset, enum tt_stream_kind kind,
                               struct tt_streams **ret) {
  struct tt_streams *s = tt_calloc(1, sizeof *s);
  if (!s)
    return tt_fail(TT_NO_MEMORY, "out of memory");
  s->dataset = dataset;
  s->kind = kind;
  s->n_streams = kind == TT_STREAM_CPU ? tt_dataset_cpu_limit(dataset) : 1;
  enum tt_status status = kind == TT_STREAM_CPU ? count_rows(s) : TT_OK;
  for (size_t c = 0; status == TT_OK && c < s->n_streams; c++)
    status = find_segments(s, c);
  if (status != TT_OK) {
    tt_streams_close(s);
    return status;
  }
  *ret = s;
  return TT_OK;
}

void tt_streams_close(struct tt_streams *streams) {
  if (!streams)
    return;
  tt_free(streams->counts);
  tt_free(streams->segments);
  tt_free(streams);
}

enum tt_stream_kind tt_streams_kind(const struct tt_streams *streams) {
  return streams->kind;
}

const struct tt_dataset *tt_streams_dataset(const struct tt_streams *streams) {
  return streams->dataset;
}

size_t tt_streams_count(const struct tt_streams *streams) {
  return streams->n_streams;
}

const struct tt_segment *tt_streams_segments(const struct tt_streams *streams, size_t *ret_n) {
  *ret_n = streams->n_segments;
  return streams->segments;
}

uint64_t tt_streams_length(const struct tt_streams *s, size_t stream) {
  TT_ASSERT(stream < s->n_streams);
  return s->kind == TT_STREAM_CPU ? s->counts[stream * (s->n_blocks + 1) + s->n_blocks]
                                  : tt_dataset_columns(s->dataset)->n;
}

uint64_t tt_streams_position(const struct tt_streams *s, size_t stream, uint64_t row) {
  const struct tt_columns *columns = tt_dataset_columns(s->dataset);
  TT_ASSERT(stream < s->n_streams && row <= columns->n);
  if (s->kind != TT_STREAM_CPU)
    return row;
  uint64_t b = row / s->block, position = s->counts[stream * (s->n_blocks + 1) + b];
  for (uint64_t i = b * s->block; i < row; i++)
    position += columns->cpu[i] == stream;
  return position;
}

/* Appends the rows of CPU `stream` in [from, to) to rows[k..], at most n in all; returns the new k.
 * Branchless: each row is written, and kept when it counts; a stretch no longer than the room left
 * cannot overflow. */
static size_t gather(const uint16_t *cpu, size_t stream, uint64_t from, uint64_t to, uint64_t *rows,
                     size_t k, size_t n) {
  while (from < to && k < n) {
    uint64_t stretch = to - from < n - k ? to - from : n - k;
    for (uint64_t end = from + stretch; from < end; from++) {
      rows[k] = from;
      k += cpu[from] == stream;
    }
  }
  return k;
}

void tt_streams_rows(const struct tt_streams *s, size_t stream, uint64_t first, size_t n,
                     uint64_t *rows) {
  uint64_t length = tt_streams_length(s, stream);
  TT_ASSERT(first <= length && n <= length - first);
  if (s->kind != TT_STREAM_CPU) {
    for (size_t k = 0; k < n; k++)
      rows[k] = first + k;
    return;
  }
  if (n == 0)
    return;
  const struct tt_columns *columns = tt_dataset_columns(s->dataset);
  const uint64_t *counts = &s->counts[stream * (s->n_blocks + 1)];
  size_t low = 0, high = s->n_blocks; /* the last block that begins at or before `first` */
  while (high - low > 1) {
    size_t middle = low + (high - low) / 2;
    if (counts[middle] <= first)
      low = middle;
    else
      high = middle;
  }
  uint64_t row = low * s->block;
  for (uint64_t skip = first - counts[low]; skip > 0; row++)
    skip -= columns->cpu[row] == stream;
  for (size_t b = low, k = 0; k < n; b++) {
    uint64_t end = (b + 1) * s->block < columns->n ? (b + 1) * s->block : columns->n;
    if (counts[b + 1] > counts[b])
      k = gather(columns->cpu, stream, row, end, rows, k, n);
    row = end;
  }
}
