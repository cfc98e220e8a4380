/* Encoded rows: what models see. A dataset's rows through a vocabulary, as arrays per channel.
 *
 * dt is to the previous row of the stream the row belongs to (merged: row - 1; cpu: the previous
 * row of that CPU). Where that is not known (first row of a stream, first after a cut) dt is 0,
 * the mean.
 *
 * Thread safety: an encoder is immutable; any number of threads may encode with it. */
#ifndef DATASET_CHANNELS_H
#define DATASET_CHANNELS_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "dataset/dataset.h"
#include "dataset/streams.h"
#include "dataset/vocabulary.h"

/* X(name, C type): every channel, in the poster's order of ablation. */
#define TT_CHANNEL_TABLE(X)                                                                        \
  X(event, uint16_t)                                                                               \
  X(dt, float)                                                                                     \
  X(cpu, uint16_t)                                                                                 \
  X(tid, uint16_t)                                                                                 \
  X(comm, uint16_t)                                                                                \
  X(ret, uint16_t)

struct tt_channels {
  size_t n;
#define TT_CHANNEL_FIELD(name, type) type *name; /* [n] */
  TT_CHANNEL_TABLE(TT_CHANNEL_FIELD)
#undef TT_CHANNEL_FIELD
};

/* Sets of channels, as in --channels event,dt,cpu,... */
enum tt_channel {
#define TT_CHANNEL_ENUM(name, type) TT_CHANNEL_##name,
  TT_CHANNEL_TABLE(TT_CHANNEL_ENUM)
#undef TT_CHANNEL_ENUM
      TT_N_CHANNELS
};
#define TT_CHANNEL_BIT(name) (1u << TT_CHANNEL_##name)
#define TT_CHANNELS_ALL ((1u << TT_N_CHANNELS) - 1)
/* "event,dt,cpu" or the poster's "base", "system", "full"/"all"; NULL: all. TT_USAGE when a name is
 * unknown or event is missing. */
enum tt_status tt_channel_set_parse(const char *list, unsigned *ret_set);
const char *tt_channel_name(enum tt_channel channel);
/* Number of ids of a categorical channel; 0 for dt. */
size_t tt_channel_size(const struct tt_vocabulary *vocabulary, enum tt_channel channel);

/* Arrays for n rows, contents unset. Release with tt_channels_release (accepts zeroed). */
enum tt_status tt_channels_init(struct tt_channels *ret, size_t n);
void tt_channels_release(struct tt_channels *channels);
/* Rows [first, first + n) of `channels` as channels of their own; borrowed. */
struct tt_channels tt_channels_slice(const struct tt_channels *channels, size_t first, size_t n);

struct tt_encoder;
/* Binds the vocabulary to the dataset's dictionaries; both must outlive it. */
enum tt_status tt_encoder_new(const struct tt_vocabulary *vocabulary,
                              const struct tt_dataset *dataset, struct tt_encoder **ret);
void tt_encoder_free(struct tt_encoder *encoder); /* accepts NULL */
const struct tt_vocabulary *tt_encoder_vocabulary(const struct tt_encoder *encoder);
/* Vocabulary ids of single values of the dataset. */
uint16_t tt_encode_event(const struct tt_encoder *encoder, uint16_t event);
uint16_t tt_encode_comm(const struct tt_encoder *encoder, uint32_t comm);
uint16_t tt_encode_ret(const struct tt_encoder *encoder, int64_t ret);

/* Merged stream: rows [first, first + n) of the dataset into channels[at .. at + n). */
void tt_encode_range(const struct tt_encoder *encoder, uint64_t first, size_t n,
                     struct tt_channels *channels, size_t at);
/* One stream's consecutive rows, as tt_streams_rows() gives them. previous: the row before rows[0]
 * in that stream, or UINT64_MAX: none. kind says whose gaps count. */
void tt_encode_rows(const struct tt_encoder *encoder, enum tt_stream_kind kind, uint64_t previous,
                    const uint64_t *rows, size_t n, struct tt_channels *channels, size_t at);
/* Positions [first, first + n) of a stream of the same dataset; on large datasets their pages are
 * given back (tt_dataset_done_with). */
enum tt_status tt_encode_stream(const struct tt_encoder *encoder, const struct tt_streams *streams,
                                size_t stream, uint64_t first, size_t n,
                                struct tt_channels *channels, size_t at);

#endif
