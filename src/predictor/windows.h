/* Windows for the predictor: inputs as embedding ids, targets as classes.
 *
 * A source is a slice of one dataset's streams with its segments (runs that nothing cuts). Windows
 * never leave a segment. Training draws starts uniformly over all segments of all sources; scoring
 * walks every segment so that each position but a segment's first is a target exactly once. */
#ifndef PREDICTOR_WINDOWS_H
#define PREDICTOR_WINDOWS_H

#include <stddef.h>
#include <stdint.h>

#include "base/rng.h"
#include "base/status.h"
#include "dataset/channels.h"
#include "dataset/streams.h"

struct tt_source_slice {
  const struct tt_dataset *dataset;
  struct tt_streams *streams;
  struct tt_encoder *encoder;
  struct tt_segment *segments; /* [n_segments] of at least 2 positions */
  size_t n_segments;
  uint64_t events;   /* positions in the segments */
  int32_t *class_of; /* [event ids of the dataset]: class, as tt_classes_map gives it */
};

struct tt_piece { /* inputs at positions [first, first + n), targets one further */
  uint32_t source, stream;
  uint64_t first;
  uint32_t n;    /* inputs, <= context */
  uint32_t skip; /* inputs at the beginning that are context only: their targets are not scored */
};

/* Classes: vocabulary event ids, then one for every further name met while scoring. */
struct tt_classes {
  const struct tt_vocabulary *vocabulary;
  struct tt_names unseen;
};

/* Rows [first, first + n) of the dataset; n == 0: to its end. TT_BAD_INPUT when no segment has two
 * events. `classes` may grow. */
enum tt_status tt_slice_open(const struct tt_dataset *dataset, enum tt_stream_kind kind,
                             size_t first, size_t n, struct tt_classes *classes,
                             struct tt_source_slice *ret);
void tt_slice_close(struct tt_source_slice *slice); /* accepts a zeroed slice */

/* Where training windows begin: drawn uniformly over the targets of all segments of all sources. */
struct tt_starts {
  uint64_t *cumulative; /* [n + 1] targets before each segment */
  uint32_t *source, *segment;
  size_t n, context;
};
enum tt_status tt_starts_make(const struct tt_source_slice *sources, size_t n_sources,
                              size_t context, struct tt_starts *ret);
void tt_starts_release(struct tt_starts *starts);
struct tt_piece tt_starts_draw(const struct tt_starts *starts,
                               const struct tt_source_slice *sources, struct tt_rng *rng);

/* The windows that score a source: `context` inputs, of which the first `overlap` (< context) were
 * in the window before and are context only. At most `limit` windows, evenly spread; 0: all. */
enum tt_status tt_pieces_scoring(const struct tt_source_slice *slice, size_t context,
                                 size_t overlap, size_t limit, struct tt_piece **ret,
                                 size_t *ret_n);

/* dt as an id: bins of 1/8 standard deviation of its log. */
#define TT_DT_BINS 96

/* Ids of embedding tables (the chosen channels in their order) for pieces of
 * `context` rows each, padded with -1 behind their end; targets: class of the next event, -1 where
 * nothing is to be learned or scored (padding, skipped context). scratch: room for context rows. */
struct tt_window_reader {
  unsigned channels;
  size_t context, n_ids;
  struct tt_channels scratch;
  uint64_t *rows; /* [context] */
};
enum tt_status tt_window_reader_init(struct tt_window_reader *ret, unsigned channels,
                                     size_t context);
void tt_window_reader_release(struct tt_window_reader *reader);
/* ids: [context, n_ids], targets: [context]. */
enum tt_status tt_window_read(struct tt_window_reader *reader,
                              const struct tt_source_slice *sources, const struct tt_piece *piece,
                              int32_t *ids, int32_t *targets);

#endif
