#include "dataset/channels.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static const char *const channel_names[TT_N_CHANNELS] = {
#define NAME(name, type) #name,
    TT_CHANNEL_TABLE(NAME)
#undef NAME
};

const char *tt_channel_name(enum tt_channel channel) {
  TT_ASSERT((unsigned)channel < TT_N_CHANNELS);
  return channel_names[channel];
}

enum tt_status tt_channel_set_parse(const char *list, unsigned *ret_set) {
  const unsigned base = TT_CHANNEL_BIT(event) | TT_CHANNEL_BIT(dt);
  const unsigned system = base | TT_CHANNEL_BIT(cpu) | TT_CHANNEL_BIT(tid);
  const struct {
    const char *name;
    unsigned set;
  } sets[] = {
      {"base", base}, {"system", system}, {"full", TT_CHANNELS_ALL}, {"all", TT_CHANNELS_ALL}};
  unsigned set = list ? 0 : TT_CHANNELS_ALL;
  for (const char *p = list; p;) {
    size_t n = strcspn(p, ",");
    unsigned found = 0;
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
      if (strlen(sets[i].name) == n && memcmp(p, sets[i].name, n) == 0)
        found = sets[i].set;
    for (unsigned c = 0; c < TT_N_CHANNELS; c++)
      if (strlen(channel_names[c]) == n && memcmp(p, channel_names[c], n) == 0)
        found = 1u << c;
    if (!found)
      return tt_fail(TT_USAGE,
                     "no channel \"%.*s\": event, dt, cpu, tid, comm, ret, or the sets base, "
                     "system, full",
                     (int)n, p);
    set |= found;
    p = p[n] ? p + n + 1 : NULL;
  }
  if (!(set & TT_CHANNEL_BIT(event)))
    return tt_fail(TT_USAGE, "the channels must include event");
  *ret_set = set;
  return TT_OK;
}

size_t tt_channel_size(const struct tt_vocabulary *vocabulary, enum tt_channel channel) {
  switch (channel) {
  case TT_CHANNEL_event:
    return tt_vocabulary_events(vocabulary);
  case TT_CHANNEL_cpu:
    return vocabulary->n_cpus;
  case TT_CHANNEL_tid:
    return TT_TID_BUCKETS;
  case TT_CHANNEL_comm:
    return tt_vocabulary_comms(vocabulary);
  case TT_CHANNEL_ret:
    return tt_vocabulary_rets(vocabulary);
  default:
    return 0;
  }
}

enum tt_status tt_channels_init(struct tt_channels *ret, size_t n) {
  struct tt_channels channels = {.n = n};
  bool complete = true;
#define ALLOCATE(name, type) complete = (channels.name = tt_alloc(n, sizeof(type))) && complete;
  TT_CHANNEL_TABLE(ALLOCATE)
#undef ALLOCATE
  if (!complete) {
    tt_channels_release(&channels);
    return tt_fail(TT_NO_MEMORY, "out of memory");
  }
  *ret = channels;
  return TT_OK;
}

void tt_channels_release(struct tt_channels *channels) {
#define RELEASE(name, type) tt_free(channels->name);
  TT_CHANNEL_TABLE(RELEASE)
#undef RELEASE
  memset(channels, 0, sizeof *channels);
}

struct tt_channels tt_channels_slice(const struct tt_channels *channels, size_t first, size_t n) {
  TT_ASSERT(first <= channels->n && n <= channels->n - first);
#define FIELD(name, type) .name = channels->name + first,
  return (struct tt_channels){.n = n, TT_CHANNEL_TABLE(FIELD)};
#undef FIELD
}

/* ---- the encoder ---- */

enum {
  RET_SLOTS = 4096,   /* a quarter full at most */
  DT_TABLE = 1 << 14, /* ns; dts below are looked up */
  SEARCHED = 1 << 16  /* rows */
};

struct tt_encoder {
  const struct tt_vocabulary *vocabulary;
  const struct tt_dataset *dataset;
  uint16_t *event_map, *comm_map; /* of the dataset's dictionaries */
  int64_t ret_values[RET_SLOTS];  /* open addressing */
  uint16_t ret_ids[RET_SLOTS];    /* 0: empty */
  uint16_t ret_none;
  float dt[DT_TABLE];
};

static size_t ret_slot(const struct tt_encoder *e, int64_t value) {
  size_t i = ((uint64_t)value * 0x9e3779b97f4a7c15u) >> 52; /* 12 bits: RET_SLOTS */
  while (e->ret_ids[i] && e->ret_values[i] != value)
    i = (i + 1) % RET_SLOTS;
  return i;
}

enum tt_status tt_encoder_new(const struct tt_vocabulary *vocabulary,
                              const struct tt_dataset *dataset, struct tt_encoder **ret) {
  const struct tt_dataset_meta *meta = tt_dataset_meta(dataset);
  struct tt_encoder *e = tt_calloc(1, sizeof *e);
  if (e) {
    e->event_map = tt_alloc(meta->events.n, sizeof *e->event_map);
    e->comm_map = tt_alloc(meta->comms.n, sizeof *e->comm_map);
  }
  if (!e || !e->event_map || !e->comm_map) {
    tt_encoder_free(e);
    return tt_fail(TT_NO_MEMORY, "out of memory");
  }
  e->vocabulary = vocabulary;
  e->dataset = dataset;
  const size_t unknown = tt_vocabulary_events(vocabulary) - 1; /* UNK, or the rarest */
  for (size_t i = 0; i < meta->events.n; i++) {
    uint32_t id = tt_names_find(&vocabulary->events, meta->events.names[i]);
    e->event_map[i] = (uint16_t)(id == TT_NAME_NONE ? unknown : id);
  }
  for (size_t i = 0; i < meta->comms.n; i++) {
    uint32_t id = tt_names_find(&vocabulary->comms, meta->comms.names[i]);
    e->comm_map[i] = (uint16_t)(id == TT_NAME_NONE ? (uint32_t)TT_ID_UNK : id + TT_ID_FIRST);
  }
  for (size_t i = 0; i < vocabulary->n_rets; i++) {
    size_t slot = ret_slot(e, vocabulary->rets[i]);
    e->ret_values[slot] = vocabulary->rets[i];
    e->ret_ids[slot] = (uint16_t)(i + TT_ID_FIRST);
  }
  e->ret_none = tt_vocabulary_ret_none(vocabulary);
  for (size_t ns = 0; ns < DT_TABLE; ns++)
    e->dt[ns] = tt_vocabulary_dt(vocabulary, (int64_t)ns);
  *ret = e;
  return TT_OK;
}

void tt_encoder_free(struct tt_encoder *encoder) {
  if (!encoder)
    return;
  tt_free(encoder->event_map);
  tt_free(encoder->comm_map);
  tt_free(encoder);
}

const struct tt_vocabulary *tt_encoder_vocabulary(const struct tt_encoder *encoder) {
  return encoder->vocabulary;
}

uint16_t tt_encode_event(const struct tt_encoder *encoder, uint16_t event) {
  TT_ASSERT(event < tt_dataset_meta(encoder->dataset)->events.n);
  return encoder->event_map[event];
}

uint16_t tt_encode_comm(const struct tt_encoder *encoder, uint32_t comm) {
  TT_ASSERT(comm == TT_COMM_NONE || comm < tt_dataset_meta(encoder->dataset)->comms.n);
  return comm == TT_COMM_NONE ? TT_ID_PAD : encoder->comm_map[comm];
}

uint16_t tt_encode_ret(const struct tt_encoder *encoder, int64_t ret) {
  if (ret == TT_RET_NONE)
    return encoder->ret_none;
  uint16_t id = encoder->ret_ids[ret_slot(encoder, ret)];
  return id ? id : TT_ID_UNK;
}

/* All but dt of dataset row i into channels[at]. */
static void encode_row(const struct tt_encoder *e, const struct tt_columns *c, uint64_t i,
                       struct tt_channels *channels, size_t at) {
  const size_t cpus = e->vocabulary->n_cpus;
  channels->event[at] = e->event_map[c->event[i]];
  channels->cpu[at] = (uint16_t)(c->cpu[i] < cpus ? c->cpu[i] : c->cpu[i] % cpus);
  channels->tid[at] = (uint16_t)((uint32_t)c->tid[i] % TT_TID_BUCKETS);
  channels->comm[at] = c->comm[i] == TT_COMM_NONE ? TT_ID_PAD : e->comm_map[c->comm[i]];
  channels->ret[at] = tt_encode_ret(e, c->ret[i]);
}

static float encode_dt(const struct tt_encoder *e, int64_t ns) {
  return ns < DT_TABLE ? e->dt[ns] : tt_vocabulary_dt(e->vocabulary, ns);
}

void tt_encode_range(const struct tt_encoder *e, uint64_t first, size_t n,
                     struct tt_channels *channels, size_t at) {
  const struct tt_columns *c = tt_dataset_columns(e->dataset);
  TT_ASSERT(first <= c->n && n <= c->n - first && at <= channels->n && n <= channels->n - at);
  for (size_t k = 0; k < n; k++) {
    uint64_t i = first + k;
    encode_row(e, c, i, channels, at + k);
    channels->dt[at + k] =
        i && !tt_dataset_gap_before(e->dataset, i) ? encode_dt(e, c->ts[i] - c->ts[i - 1]) : 0.0f;
  }
}

void tt_encode_rows(const struct tt_encoder *e, enum tt_stream_kind kind, uint64_t previous,
                    const uint64_t *rows, size_t n, struct tt_channels *channels, size_t at) {
  const struct tt_columns *c = tt_dataset_columns(e->dataset);
  TT_ASSERT(at <= channels->n && n <= channels->n - at);
  for (size_t k = 0; k < n; k++) {
    uint64_t i = rows[k];
    TT_ASSERT(i < c->n);
    encode_row(e, c, i, channels, at + k);
    bool known = previous != UINT64_MAX &&
                 !(kind == TT_STREAM_CPU ? tt_dataset_gap_between(e->dataset, previous, i)
                                         : tt_dataset_gap_before(e->dataset, i));
    channels->dt[at + k] = known ? encode_dt(e, c->ts[i] - c->ts[previous]) : 0.0f;
    previous = i;
  }
}

enum tt_status tt_encode_stream(const struct tt_encoder *encoder, const struct tt_streams *streams,
                                size_t stream, uint64_t first, size_t n,
                                struct tt_channels *channels, size_t at) {
  TT_ASSERT(tt_streams_dataset(streams) == encoder->dataset);
  if (tt_streams_kind(streams) == TT_STREAM_MERGED) {
    tt_encode_range(encoder, first, n, channels, at);
    tt_dataset_done_with(encoder->dataset, first, n);
    return TT_OK;
  }
  if (n == 0)
    return TT_OK;
  size_t before = first > 0;
  uint64_t *rows = tt_alloc(n + 1, sizeof *rows);
  if (!rows)
    return tt_fail(TT_NO_MEMORY, "out of memory");
  tt_streams_rows(streams, stream, first - before, n + before, rows);
  tt_encode_rows(encoder, TT_STREAM_CPU, before ? rows[0] : UINT64_MAX, rows + before, n, channels,
                 at);
  /* with the rows before them that the search for the first one may have touched */
  uint64_t from = rows[0] > SEARCHED ? rows[0] - SEARCHED : 0;
  tt_dataset_done_with(encoder->dataset, from, rows[n + before - 1] + 1 - from);
  tt_free(rows);
  return TT_OK;
}
