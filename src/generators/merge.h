/* Merges the generated streams (one per CPU, or a single one) by their generated time, decodes each
 * event in merged order (threads can't run in two places: decode.h) and hands batches to a sink. */
#ifndef GENERATORS_MERGE_H
#define GENERATORS_MERGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "generators/decode.h"
#include "generators/generator.h"

/* Endless streams of samples. `next` gives the next sample of one stream: it is called for every
 * stream once to begin with, then for the stream whose event was just decoded, before any other
 * event is. So a source may fill many streams ahead at once and hand out of its buffers, or look at
 * the decoder to see what runs where at that time. */
struct tt_sample_source {
  void *user;
  size_t n_streams;
  enum tt_status (*next)(void *user, size_t stream, struct tt_sample *ret);
};

/* Writes exactly `events` events. begin[n_streams]: ns, where each stream's time starts (its first
 * event comes at begin + dt); events with equal times keep the order of streams. Time is clamped at
 * INT64_MAX. TT_INTERRUPTED when asked to stop. */
enum tt_status tt_merge_run(const struct tt_sample_source *source, const int64_t *begin,
                            struct tt_decoder *decoder, uint64_t events,
                            const struct tt_progress *progress, const struct tt_event_sink *sink);

/* Reports that `done` of `total` events were generated in so many seconds. */
void tt_merge_report(const struct tt_progress *progress, uint64_t done, uint64_t total,
                     double seconds);

#endif
