/* A dataset as streams of rows: one for all (merged), or one per CPU.
 *
 * A position is a row's number within its stream. Nothing is stored per row: for CPU streams there
 * are running counts per CPU at every block of rows, so that a position is found by a binary search
 * and a scan of the cpu column within one block; memory stays under 64 MiB whatever the size.
 *
 * Segments are the maximal runs of positions that no cut (lost-event gap, border between sources)
 * interrupts; for merged streams a gap of any CPU cuts, for CPU streams only its own.
 *
 * Thread safety: immutable once open. */
#ifndef DATASET_STREAMS_H
#define DATASET_STREAMS_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "dataset/dataset.h"

enum tt_stream_kind { TT_STREAM_MERGED, TT_STREAM_CPU };

/* "merged" or "cpu"; TT_USAGE otherwise. */
enum tt_status tt_stream_kind_parse(const char *name, enum tt_stream_kind *ret);
const char *tt_stream_kind_name(enum tt_stream_kind kind);

struct tt_segment {
  uint32_t stream;
  uint64_t first, n; /* positions [first, first + n), n >= 1 */
};

struct tt_streams;
/* The dataset must outlive the streams. */
enum tt_status tt_streams_open(const struct tt_dataset *dataset, enum tt_stream_kind kind,
                               struct tt_streams **ret);
void tt_streams_close(struct tt_streams *streams); /* accepts NULL */
enum tt_stream_kind tt_streams_kind(const struct tt_streams *streams);
const struct tt_dataset *tt_streams_dataset(const struct tt_streams *streams);
/* 1 for merged; else the dataset's cpu limit: stream c is CPU c, and may be empty. */
size_t tt_streams_count(const struct tt_streams *streams);
/* Rows of one stream. */
uint64_t tt_streams_length(const struct tt_streams *streams, size_t stream);
/* rows[k] = dataset row of position first + k, k < n; first + n <= length. */
void tt_streams_rows(const struct tt_streams *streams, size_t stream, uint64_t first, size_t n,
                     uint64_t *rows);
/* Number of rows of the stream before dataset row `row` (row <= events). */
uint64_t tt_streams_position(const struct tt_streams *streams, size_t stream, uint64_t row);
/* First row whose time is at least t (or, `after`: later than t); n when there is none. */
uint64_t tt_row_at(const struct tt_columns *columns, int64_t t, bool after);
/* All segments in order of (stream, first); within a gap that spans rows of other CPUs, merged
 * rows stand alone and segments of a single row are left out. */
const struct tt_segment *tt_streams_segments(const struct tt_streams *streams, size_t *ret_n);

#endif
