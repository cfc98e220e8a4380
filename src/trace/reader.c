#include "trace/reader.h"

#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "trace/checksum.h"
#include "trace/ctf_decode.h"
#include "trace/find.h"
#include "trace/sandbox.h"
#include "trace/sched_state.h"
#include "trace/wire.h"

enum { BUFFER_BLOCKS = 8192, MAX_DECODERS = 64, MAX_TEXT = 4096 };

union block {
  struct tt_wire record;
  struct tt_wire_aux aux;
  char text[32];
};

struct stream { /* of one decoder */
  char *key;    /* [key_size] owned */
  size_t key_size;
  uint32_t rank; /* among the streams of all decoders, by key */
};

struct decoder {
  struct tt_sandbox sandbox;
  struct tt_ctf_share share;
  union block *buffer; /* [BUFFER_BLOCKS]; [next, end) are there to be read */
  size_t next, end;
  size_t part; /* bytes of block `end` that have arrived */
  struct stream *streams;
  size_t n_streams, streams_capacity;
  uint32_t *event_ids, *comm_ids; /* the decoder's ids -> ids in reader.event_names, comm_names */
  size_t n_events, events_capacity, n_comms, comms_capacity;
  bool done; /* its END was read */
  /* The first record not yet used; rank: of its stream. */
  struct tt_wire head;
  struct tt_wire_aux aux;
  uint32_t rank;
};

struct tt_trace_reader {
  char *path;
  struct tt_trace_folders folders;
  struct decoder *decoders; /* [n] */
  size_t n;
  struct tt_sched_state *state;
  /* Ids in here are made as names arrive, those of the dictionaries as events leave. */
  struct tt_names event_names, comm_names;
  struct tt_names events, comms;
  uint32_t *event_map, *comm_map; /* TT_NAME_NONE: has not left yet */
  size_t event_map_n, event_map_capacity, comm_map_n, comm_map_capacity;
  struct tt_gap *gaps;
  size_t n_gaps, gaps_capacity;
  struct tt_trace_reader_counts counts;
  int formats; /* bit (1 << enum tt_wire_format) of every stream's */
  int64_t origin;
  bool ended, failed;
  struct tt_checksum_job checksum_job;
  struct tt_sandbox checksum;
  bool checksum_wanted;
  char sha256[65];
};

/* ---- records from a decoder ---- */

static enum tt_status out_of_memory(const struct tt_trace_reader *r) {
  return tt_fail(TT_NO_MEMORY, "%s: out of memory", r->path);
}

/* The decoder's pipe ended too early: says how the decoder died. */
static enum tt_status died(struct tt_trace_reader *r, struct decoder *d) {
  char why[1200];
  tt_sandbox_stop(&d->sandbox, why, sizeof why);
  return tt_fail(TT_BAD_INPUT, "%s: damaged trace: libbabeltrace2 %s", r->path,
                 why[0] ? why : "stopped in the middle");
}

/* Makes at least one more block available. */
static enum tt_status fill(struct tt_trace_reader *r, struct decoder *d) {
  if (d->next == d->end) {
    d->buffer[0] = d->buffer[d->end]; /* what has arrived of it */
    d->next = d->end = 0;
  }
  while (d->next == d->end) {
    size_t n, room = (BUFFER_BLOCKS - d->end) * sizeof *d->buffer - d->part;
    enum tt_status status =
        tt_sandbox_read(&d->sandbox, (char *)&d->buffer[d->end] + d->part, room, &n);
    if (status)
      return tt_fail(status, "while reading %s", r->path);
    if (n == 0)
      return died(r, d);
    d->end += (d->part + n) / sizeof *d->buffer;
    d->part = (d->part + n) % sizeof *d->buffer;
  }
  return TT_OK;
}

static inline enum tt_status next_block(struct tt_trace_reader *r, struct decoder *d,
                                        union block *ret) {
  if (d->next == d->end) {
    enum tt_status status = fill(r, d);
    if (status)
      return status;
  }
  *ret = d->buffer[d->next++];
  return TT_OK;
}

/* The text that follows a record, NUL-terminated. */
static enum tt_status read_text(struct tt_trace_reader *r, struct decoder *d, int64_t size,
                                char ret[MAX_TEXT + 32]) {
  TT_ASSERT(size >= 0 && size < MAX_TEXT);
  for (size_t i = 0; i < (size_t)size; i += 32) {
    union block b;
    enum tt_status status = next_block(r, d, &b);
    if (status)
      return status;
    memcpy(ret + i, b.text, 32);
  }
  ret[size] = '\0';
  return TT_OK;
}

static enum tt_status add_name(struct tt_trace_reader *r, struct tt_names *names, const char *name,
                               uint32_t **ids, size_t *n, size_t *capacity) {
  if (tt_grow(ids, capacity, *n + 1, sizeof **ids) != 0)
    return out_of_memory(r);
  uint32_t id = tt_names_add(names, name);
  if (id == TT_NAME_NONE)
    return out_of_memory(r);
  (*ids)[(*n)++] = id;
  return TT_OK;
}

static enum tt_status add_stream(struct tt_trace_reader *r, struct decoder *d,
                                 const struct tt_wire *hello, const char *key) {
  if (tt_grow(&d->streams, &d->streams_capacity, d->n_streams + 1, sizeof *d->streams) != 0)
    return out_of_memory(r);
  struct stream s = {.key_size = (size_t)hello->ret, .key = tt_alloc((size_t)hello->ret, 1)};
  if (!s.key)
    return out_of_memory(r);
  memcpy(s.key, key, s.key_size);
  d->streams[d->n_streams++] = s;
  r->formats |= 1 << hello->role;
  if (hello->ts < r->origin)
    r->origin = hello->ts;
  return TT_OK;
}

/* Reads on to the decoder's next event, gap, READY or END. */
static enum tt_status next_head(struct tt_trace_reader *r, struct decoder *d) {
  char text[MAX_TEXT + 32];
  for (;;) {
    union block b;
    enum tt_status status = next_block(r, d, &b);
    if (status)
      return status;
    struct tt_wire *w = &b.record;
    switch (w->type) {
    case TT_WIRE_EVENT:
    case TT_WIRE_PSEUDO:
    case TT_WIRE_GAP:
      d->head = *w;
      d->rank = d->streams[w->stream].rank;
      if (w->type == TT_WIRE_GAP || w->role != TT_ROLE_NONE) {
        if ((status = next_block(r, d, &b)))
          return status;
        d->aux = b.aux;
      }
      return TT_OK;
    case TT_WIRE_READY:
      d->head = *w;
      return TT_OK;
    case TT_WIRE_END:
      d->done = true;
      return TT_OK;
    default:
      break;
    }
    if ((status = read_text(r, d, w->ret, text)))
      return status;
    switch (w->type) {
    case TT_WIRE_NAME_EVENT:
      status = add_name(r, &r->event_names, text, &d->event_ids, &d->n_events, &d->events_capacity);
      break;
    case TT_WIRE_NAME_COMM:
      status = add_name(r, &r->comm_names, text, &d->comm_ids, &d->n_comms, &d->comms_capacity);
      break;
    case TT_WIRE_STREAM:
      status = add_stream(r, d, w, text);
      break;
    default: { /* ERROR; its text names the stream's file or the folder */
      bool named = strncmp(text, r->path, strlen(r->path)) == 0;
      status =
          tt_fail((enum tt_status)w->role, "%s%s%s", named ? "" : r->path, named ? "" : ": ", text);
    }
    }
    if (status)
      return status;
  }
}

/* ---- opening ---- */

static int compare_keys(const struct stream *a, const struct stream *b) {
  int order = memcmp(a->key, b->key, a->key_size < b->key_size ? a->key_size : b->key_size);
  return order ? order : (a->key_size > b->key_size) - (a->key_size < b->key_size);
}

/* A merge of the decoders' sorted lists gives every stream its rank. */
static void rank_streams(struct tt_trace_reader *r) {
  size_t at[MAX_DECODERS] = {0};
  for (uint32_t rank = 0;; rank++) {
    size_t first = r->n;
    for (size_t i = 0; i < r->n; i++)
      if (at[i] < r->decoders[i].n_streams &&
          (first == r->n || compare_keys(&r->decoders[i].streams[at[i]],
                                         &r->decoders[first].streams[at[first]]) < 0))
        first = i;
    if (first == r->n)
      return;
    r->decoders[first].streams[at[first]++].rank = rank;
  }
}

static enum tt_status start_decoders(struct tt_trace_reader *r, unsigned threads) {
  size_t n = threads, files = 0;
  for (size_t i = 0; i < r->folders.n; i++)
    files += r->folders.items[i].n_files;
  if (n == 0) {
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    n = online > 0 ? (size_t)online : 1;
  }
  n = n < MAX_DECODERS ? n : MAX_DECODERS;
  n = n < files ? n : files;
  if (n == 0)
    return tt_fail(TT_BAD_INPUT, "%s: no event stream beside the metadata", r->path);
  r->decoders = tt_calloc(n, sizeof *r->decoders);
  if (!r->decoders)
    return out_of_memory(r);
  for (size_t i = 0; i < n; i++) {
    struct decoder *d = &r->decoders[i];
    d->share =
        (struct tt_ctf_share){.folders = &r->folders, .part = (unsigned)i, .parts = (unsigned)n};
    d->buffer = tt_alloc(BUFFER_BLOCKS + 1, sizeof *d->buffer);
    if (!d->buffer)
      return out_of_memory(r);
    enum tt_status status =
        tt_sandbox_start(tt_ctf_decode, &d->share, TT_SANDBOX_PATIENCE, &d->sandbox);
    if (status)
      return status;
    r->n = i + 1;
  }
  return TT_OK;
}

static enum tt_status greet_decoders(struct tt_trace_reader *r) {
  r->origin = INT64_MAX;
  for (size_t i = 0; i < r->n; i++) {
    enum tt_status status = next_head(r, &r->decoders[i]);
    if (status)
      return status;
    TT_ASSERT(r->decoders[i].head.type == TT_WIRE_READY);
    if (r->decoders[i].head.ret == 0)
      return tt_fail(TT_BAD_INPUT, "%s: no event stream beside the metadata", r->path);
  }
  if (r->origin == INT64_MAX)
    r->origin = 0;
  rank_streams(r);
  return TT_OK;
}

static uint32_t state_name(void *user, const char *name) {
  struct tt_trace_reader *r = user;
  return tt_names_add(&r->comm_names, name); /* TT_NAME_NONE is TT_COMM_NONE */
}

enum tt_status tt_trace_reader_open(const char *path, const struct tt_trace_reader_options *options,
                                    struct tt_trace_reader **ret) {
  struct tt_trace_reader *r = tt_calloc(1, sizeof *r);
  if (!r)
    return tt_fail(TT_NO_MEMORY, "%s: out of memory", path);
  enum tt_status status = TT_OK;
  r->path = tt_strdup(path);
  if (!r->path)
    status = tt_fail(TT_NO_MEMORY, "%s: out of memory", path);
  if (!status)
    status = tt_trace_find(path, &r->folders);
  if (!status)
    status = tt_sched_state_new(state_name, r, &r->state);
  if (!status)
    status = start_decoders(r, options ? options->threads : 0);
  if (!status && options && options->checksum) {
    r->checksum_wanted = true;
    r->checksum_job = (struct tt_checksum_job){.path = r->path, .folders = &r->folders};
    status =
        tt_sandbox_start(tt_trace_checksum, &r->checksum_job, TT_SANDBOX_PATIENCE, &r->checksum);
  }
  if (!status)
    status = greet_decoders(r);
  for (size_t i = 0; i < r->n && !status; i++)
    status = next_head(r, &r->decoders[i]);
  if (status) {
    tt_trace_reader_close(r);
    return status;
  }
  *ret = r;
  return TT_OK;
}

void tt_trace_reader_close(struct tt_trace_reader *r) {
  if (!r)
    return;
  for (size_t i = 0; i < r->n; i++) {
    struct decoder *d = &r->decoders[i];
    tt_sandbox_stop(&d->sandbox, NULL, 0);
    for (size_t k = 0; k < d->n_streams; k++)
      tt_free(d->streams[k].key);
    tt_free(d->streams);
    tt_free(d->event_ids);
    tt_free(d->comm_ids);
    tt_free(d->buffer);
  }
  tt_sandbox_stop(&r->checksum, NULL, 0);
  tt_free(r->decoders);
  tt_sched_state_free(r->state);
  tt_names_release(&r->event_names);
  tt_names_release(&r->comm_names);
  tt_names_release(&r->events);
  tt_names_release(&r->comms);
  tt_free(r->event_map);
  tt_free(r->comm_map);
  tt_free(r->gaps);
  tt_trace_folders_release(&r->folders);
  tt_free(r->path);
  tt_free(r);
}

/* ---- merging ---- */

static inline bool head_before(const struct decoder *a, const struct decoder *b) {
  return a->head.ts < b->head.ts || (a->head.ts == b->head.ts && a->rank < b->rank);
}

/* Time since the origin; only a damaged clock description makes it overflow. */
static inline enum tt_status since_origin(const struct tt_trace_reader *r, int64_t ts,
                                          int64_t *ret) {
  if (__builtin_sub_overflow(ts, r->origin, ret))
    return tt_fail(TT_BAD_INPUT, "%s: impossible time stamp %lld ns", r->path, (long long)ts);
  return TT_OK;
}

static enum tt_status take_gap(struct tt_trace_reader *r, const struct decoder *d) {
  struct tt_gap gap = {.lost = (uint64_t)d->head.ret, .cpu = d->head.cpu};
  enum tt_status status = since_origin(r, d->head.ts, &gap.begin);
  if (!status)
    status = since_origin(r, d->aux.end, &gap.end);
  if (status)
    return status;
  if (tt_grow(&r->gaps, &r->gaps_capacity, r->n_gaps + 1, sizeof *r->gaps) != 0)
    return out_of_memory(r);
  r->gaps[r->n_gaps++] = gap;
  r->counts.lost_events += gap.lost;
  return d->head.role ? tt_sched_state_gap(r->state, gap.cpu, gap.end) : TT_OK;
}

static inline uint32_t comm_of(const struct decoder *d, uint32_t id) {
  return id == TT_COMM_NONE ? id : d->comm_ids[id];
}

/* Gives the decoder's head to the state machine. */
static enum tt_status take(struct tt_trace_reader *r, struct decoder *d) {
  const struct tt_wire *w = &d->head;
  if (w->type == TT_WIRE_GAP)
    return take_gap(r, d);
  uint32_t event = d->event_ids[w->event];
  if (event > UINT16_MAX)
    return tt_fail(TT_BAD_INPUT, "%s: more than 65536 event names", r->path);
  struct tt_event e = {.ret = w->ret,
                       .tid = w->tid,
                       .comm = comm_of(d, w->comm),
                       .event = (uint16_t)event,
                       .cpu = w->cpu};
  enum tt_status status = since_origin(r, w->ts, &e.ts);
  if (status)
    return status;
  bool deliver = w->type == TT_WIRE_EVENT;
  r->counts.pseudo_events += !deliver;
  if (w->role != TT_ROLE_NONE) {
    d->aux.comm_a = comm_of(d, d->aux.comm_a);
    d->aux.comm_b = comm_of(d, d->aux.comm_b);
  }
  return tt_sched_state_push(r->state, &e, (enum tt_role)w->role, &d->aux, deliver);
}

/* Moves the next record of all decoders into the state machine; *ended when there is none. */
static enum tt_status advance(struct tt_trace_reader *r) {
  struct decoder *first = NULL;
  for (size_t i = 0; i < r->n; i++)
    if (!r->decoders[i].done && (!first || head_before(&r->decoders[i], first)))
      first = &r->decoders[i];
  if (!first) {
    r->ended = true;
    tt_sched_state_finish(r->state);
    return TT_OK;
  }
  enum tt_status status = take(r, first);
  return status ? status : next_head(r, first);
}

/* ---- leaving ---- */

/* The dictionary id of an internal id, made when it leaves for the first time. */
static inline enum tt_status map_id(struct tt_trace_reader *r, uint32_t id,
                                    const struct tt_names *from, struct tt_names *to,
                                    uint32_t **map, size_t *n, size_t *capacity, uint32_t *ret) {
  if (id >= *n) {
    if (tt_grow(map, capacity, (size_t)id + 1, sizeof **map) != 0)
      return out_of_memory(r);
    while (*n <= id)
      (*map)[(*n)++] = TT_NAME_NONE;
  }
  if ((*map)[id] == TT_NAME_NONE) {
    uint32_t made = tt_names_add(to, from->names[id]);
    if (made == TT_NAME_NONE)
      return out_of_memory(r);
    (*map)[id] = made;
  }
  *ret = (*map)[id];
  return TT_OK;
}

static enum tt_status leave(struct tt_trace_reader *r, struct tt_event *e) {
  uint32_t event = 0;
  enum tt_status status = map_id(r, e->event, &r->event_names, &r->events, &r->event_map,
                                 &r->event_map_n, &r->event_map_capacity, &event);
  e->event = (uint16_t)event;
  if (!status && e->comm != TT_COMM_NONE)
    status = map_id(r, e->comm, &r->comm_names, &r->comms, &r->comm_map, &r->comm_map_n,
                    &r->comm_map_capacity, &e->comm);
  r->counts.events++;
  r->counts.no_tid += e->tid == TT_TID_NONE;
  r->counts.no_comm += e->comm == TT_COMM_NONE;
  return status;
}

enum tt_status tt_trace_reader_read(struct tt_trace_reader *r, struct tt_event *buffer,
                                    size_t capacity, size_t *ret_n) {
  if (r->failed)
    return tt_fail(TT_FAILED, "%s: reading has failed before", r->path);
  size_t n = 0;
  enum tt_status status = TT_OK;
  while (n < capacity && !status) {
    if (tt_sched_state_pop(r->state, &buffer[n]))
      status = leave(r, &buffer[n++]);
    else if (r->ended)
      break;
    else
      status = advance(r);
  }
  if (status) {
    r->failed = true;
    return status;
  }
  *ret_n = n;
  return TT_OK;
}

/* ---- what is known of the trace ---- */

const struct tt_names *tt_trace_reader_events(const struct tt_trace_reader *r) {
  return &r->events;
}

const struct tt_names *tt_trace_reader_comms(const struct tt_trace_reader *r) {
  return &r->comms;
}

void tt_trace_reader_gaps(const struct tt_trace_reader *r, const struct tt_gap **ret,
                          size_t *ret_n) {
  *ret = r->gaps;
  *ret_n = r->n_gaps;
}

struct tt_trace_reader_counts tt_trace_reader_counts(const struct tt_trace_reader *r) {
  struct tt_trace_reader_counts counts = r->counts;
  struct tt_sched_statistics s = tt_sched_state_statistics(r->state);
  counts.moved = s.moved;
  counts.switches = s.switches;
  counts.switches_agree = s.switches_agree;
  counts.contexts = s.contexts;
  counts.contexts_agree = s.contexts_agree;
  counts.names = s.names;
  counts.names_agree = s.names_agree;
  return counts;
}

const char *tt_trace_reader_format(const struct tt_trace_reader *r) {
  return r->formats == 1 << TT_FORMAT_LTTNG  ? "ctf-lttng"
         : r->formats == 1 << TT_FORMAT_PERF ? "ctf-perf"
                                             : "ctf";
}

int64_t tt_trace_reader_clock_origin(const struct tt_trace_reader *r) {
  return r->origin;
}

size_t tt_trace_reader_folders(const struct tt_trace_reader *r) {
  return r->folders.n;
}

const char *tt_trace_reader_folder(const struct tt_trace_reader *r, size_t i) {
  TT_ASSERT(i < r->folders.n);
  return r->folders.items[i].path;
}

enum tt_status tt_trace_reader_sha256(struct tt_trace_reader *r, char ret_hex[65]) {
  TT_ASSERT(r->checksum_wanted);
  if (!r->sha256[0]) {
    char text[512] = "";
    size_t used = 0, n;
    do {
      enum tt_status status =
          tt_sandbox_read(&r->checksum, text + used, sizeof text - 1 - used, &n);
      if (status)
        return tt_fail(status, "while hashing %s", r->path);
      used += n;
    } while (n > 0 && used < sizeof text - 1);
    char why[1200];
    tt_sandbox_stop(&r->checksum, why, sizeof why);
    if (why[0] || used != 64)
      return tt_fail(TT_IO, "%s: no checksum: %s", r->path, used ? text : why);
    memcpy(r->sha256, text, 65);
  }
  memcpy(ret_hex, r->sha256, 65);
  return TT_OK;
}
