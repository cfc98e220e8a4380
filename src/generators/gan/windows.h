/* Windows of event types: stretches of one stream that nothing cuts. */
#ifndef GENERATORS_GAN_WINDOWS_H
#define GENERATORS_GAN_WINDOWS_H

#include "base/rng.h"
#include "dataset/streams.h"

struct tt_gan_windows {
  const struct tt_columns *columns;
  struct tt_streams *streams;
  uint64_t *starts; /* [n_segments + 1] windows before each segment */
  size_t length, n_events;
};

/* TT_BAD_INPUT when no stretch holds `length` events. Events from n_events on are read as -1. The
 * dataset is borrowed. */
enum tt_status tt_gan_windows_open(const struct tt_dataset *dataset, enum tt_stream_kind kind,
                                   size_t length, size_t n_events, struct tt_gan_windows *ret);
void tt_gan_windows_close(struct tt_gan_windows *windows); /* accepts zeroed */
/* Events of the longest stretch. */
uint64_t tt_gan_windows_longest(const struct tt_gan_windows *windows);
/* How many there are, one from each position that one can begin at; and the k-th: ret[length].
 * Returns whose it is: a CPU, or 0 of the merged stream. */
uint64_t tt_gan_windows_count(const struct tt_gan_windows *windows);
int32_t tt_gan_windows_read(const struct tt_gan_windows *windows, uint64_t k, int32_t *ret);
/* n windows, each of them equally likely: ret[n, length], ret_streams[n]. */
void tt_gan_windows_draw(const struct tt_gan_windows *windows, struct tt_rng *rng, size_t n,
                         int32_t *ret, int32_t *ret_streams);

#endif
