/* A dataset: a trace as columns, in a folder that numpy reads too.
 *
 *   DATASET/dataset.json             dictionaries, sources, clock, gaps, counts (docs/dataset.md)
 *   DATASET/shard-00000/ts.npy       int64  ns since the clock origin, never decreasing
 *                      /ret.npy      int64  return value, or TT_RET_NONE
 *                      /tid.npy      int32  running thread, or TT_TID_NONE
 *                      /comm.npy     uint32 id in `comms`, or TT_COMM_NONE
 *                      /event.npy    uint16 id in `events`
 *                      /cpu.npy      uint16
 *   DATASET/shard-00001/...          every shard but the last holds exactly `shard_events` events
 *
 * Each .npy header is padded to one page and a shard's data to whole pages, so that a reader maps
 * the shards of a column one behind the other: a column is ONE contiguous read-only array whatever
 * the size, paged in on demand. Dataset ids are stable (order of first appearance); the
 * frequency-sorted ids of the poster are made by a vocabulary (dataset/vocabulary.h).
 *
 * Thread safety: an open dataset is immutable; any number of threads may read it. */
#ifndef DATASET_DATASET_H
#define DATASET_DATASET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/names.h"
#include "base/status.h"
#include "trace/event.h"

/* 2^24 events: a whole number of pages for every column type. */
#define TT_SHARD_EVENTS ((size_t)1 << 24)

struct tt_columns { /* [n] each, borrowed from the dataset */
  size_t n;
  const int64_t *ts, *ret;
  const int32_t *tid;
  const uint32_t *comm;
  const uint16_t *event, *cpu;
};

struct tt_source {        /* where the events came from */
  char *path;             /* as given */
  char *format;           /* "ctf-lttng", "ctf-perf", "synthetic", "split", "repair" */
  char *sha256;           /* hex, over the input's files in name order; "" when there is none */
  char *label;            /* workload label, "" when none */
  uint64_t first, events; /* the slice of this dataset that it gave */
};

struct tt_dataset_meta {
  struct tt_names events, comms;
  struct tt_source *sources;
  size_t n_sources, sources_capacity;
  struct tt_gap *gaps; /* sorted by begin */
  size_t n_gaps, gaps_capacity;
  struct tt_gap *filled; /* that were: their `lost` events stand among the rows; sorted by begin */
  size_t n_filled, filled_capacity;
  uint64_t lost_events;    /* sum over gaps */
  int64_t clock_origin_ns; /* ts 0 in ns since the epoch (LTTng) or since boot (perf) */
  uint64_t seed;           /* of a synthetic dataset, or of what filled its gaps */
  bool synthetic;
};

void tt_dataset_meta_init(struct tt_dataset_meta *meta);
void tt_dataset_meta_release(struct tt_dataset_meta *meta);
/* Deep copy; *ret is untouched on failure. */
enum tt_status tt_dataset_meta_copy(const struct tt_dataset_meta *meta,
                                    struct tt_dataset_meta *ret);
/* Append; strings are copied. A gap adds to lost_events; order is put right by the writer. */
enum tt_status tt_dataset_meta_add_source(struct tt_dataset_meta *meta, const char *path,
                                          const char *format, const char *sha256, const char *label,
                                          uint64_t first, uint64_t events);
enum tt_status tt_dataset_meta_add_gap(struct tt_dataset_meta *meta, const struct tt_gap *gap);
enum tt_status tt_dataset_meta_add_filled(struct tt_dataset_meta *meta, const struct tt_gap *gap);

/* ---- reading ---- */
struct tt_dataset;
/* Checks every size and id bound against the files (a damaged dataset is TT_BAD_INPUT naming file
 * and offset) and maps the columns. */
enum tt_status tt_dataset_open(const char *path, struct tt_dataset **ret);
void tt_dataset_close(struct tt_dataset *dataset); /* accepts NULL */
const struct tt_columns *tt_dataset_columns(const struct tt_dataset *dataset);
const struct tt_dataset_meta *tt_dataset_meta(const struct tt_dataset *dataset);
const char *tt_dataset_path(const struct tt_dataset *dataset);
/* What occurs in the rows (the dictionaries may hold more: those of a split are the whole's). */
struct tt_dataset_counts {
  uint64_t events;
  size_t event_types, comms, cpus, tids; /* distinct values, "none" not counted */
  int64_t first_ts, last_ts;             /* ns; 0, 0 when there are no events */
};
struct tt_dataset_counts tt_dataset_counts(const struct tt_dataset *dataset);
/* Number of distinct cpus, and the highest cpu number + 1. */
size_t tt_dataset_cpus(const struct tt_dataset *dataset);
size_t tt_dataset_cpu_limit(const struct tt_dataset *dataset);
/* Row i as a record. */
struct tt_event tt_dataset_event(const struct tt_dataset *dataset, size_t i);
/* True when nothing may be learned from the pair of rows (i-1, i): a gap touches the time from
 * ts[i-1] to ts[i] (any CPU's gap, for the merged stream), or row i is the first of another source.
 * i >= 1. O(log gaps). */
bool tt_dataset_gap_before(const struct tt_dataset *dataset, size_t i);
/* The same for consecutive rows a < b of one CPU's stream: gaps of that CPU only. */
bool tt_dataset_gap_between(const struct tt_dataset *dataset, size_t a, size_t b);
/* A streaming pass is done with rows [first, first + n): their pages leave this process's memory
 * (they come back by themselves when touched again). Without effect on small datasets. */
void tt_dataset_done_with(const struct tt_dataset *dataset, size_t first, size_t n);

/* ---- writing: streamed, bounded memory, atomic ---- */
struct tt_dataset_writer;
enum tt_status tt_dataset_writer_begin(const char *path, bool overwrite,
                                       struct tt_dataset_writer **ret);
/* The same with another number of events per shard: a multiple of 2048 (whole pages). */
enum tt_status tt_dataset_writer_begin_sharded(const char *path, bool overwrite,
                                               size_t shard_events, struct tt_dataset_writer **ret);
/* Appends n events in time order (ts must not decrease: TT_ASSERT; callers sort or clamp). */
enum tt_status tt_dataset_writer_append(struct tt_dataset_writer *writer,
                                        const struct tt_event *events, size_t n);
/* The same from columns: rows [first, first + n). */
enum tt_status tt_dataset_writer_append_columns(struct tt_dataset_writer *writer,
                                                const struct tt_columns *columns, size_t first,
                                                size_t n);
uint64_t tt_dataset_writer_events(const struct tt_dataset_writer *writer);
/* Writes dataset.json from `meta` (counts are filled in, gaps sorted, lost_events summed), syncs
 * and renames into place. Event and comm ids beyond the dictionaries: TT_ASSERT. Frees the writer
 * whether it succeeds or not. */
enum tt_status tt_dataset_writer_finish(struct tt_dataset_writer *writer,
                                        const struct tt_dataset_meta *meta);
void tt_dataset_writer_abort(
    struct tt_dataset_writer *writer); /* accepts NULL; removes the output */

#endif
