/* Merges the generated streams (one per CPU, or a single one) by their generated time, decodes each
 * event in merged order (threads can't run in two places: decode.h) and hands batches to a sink. */
#ifndef GENERATORS_MERGE_H
#define GENERATORS_MERGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "generators/decode.h"
#include "generators/generator.h"

/* Endless streams of samples. `next` gives the next sample of one stream; it is called for every
 * stream once to begin with, then for the stream whose event was just taken, so a source may fill
 * many streams ahead at once and hand out of its buffers. */
struct tt_sample_source {
  void *user;
  size_t n_streams;
  enum tt_status (*next)(void *user, size_t stream, struct tt_sample *ret);
  /* May be NULL. Completes a sample just before it is decoded, in merged order, when it is known
   * what runs where: sets sample->thread where the CPU's thread is open (a cast index that
   * tt_decoder_may_run, or TT_THREAD_ANY to leave it to the decoder), and whatever depends on it.
   */
  void (*resolve)(void *user, size_t stream, const struct tt_decoder *decoder,
                  struct tt_sample *sample);
};

/* Writes exactly `events` events. begin[n_streams]: ns, where each stream's time starts (its first
 * event comes at begin + dt); events with equal times keep the order of streams. Time is clamped at
 * INT64_MAX. TT_INTERRUPTED when asked to stop. */
enum tt_status tt_merge_run(const struct tt_sample_source *source, const int64_t *begin,
                            struct tt_decoder *decoder, uint64_t events,
                            const struct tt_progress *progress, const struct tt_event_sink *sink);

#endif
