#include "trace/ctf_decode.h"

#include <babeltrace2/babeltrace.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "trace/ctf_class.h"
#include "trace/ctf_graph.h"
#include "trace/event.h"
#include "trace/sandbox.h"

enum {
  OUT_BLOCKS = 2048, /* 64 KiB per write */
  MAX_STREAMS = 65535,
  MAX_NAME = 255, /* bytes kept of a name */
  CLASS_SLOTS_START = 1024,
};

union block {
  struct tt_wire record;
  struct tt_wire_aux aux;
  char text[32];
};

struct stream {
  bt_message_iterator *iterator;
  bt_message_array_const messages; /* owned: those from `next` on */
  uint64_t next, n;
  const char *name; /* of the stream (its file), borrowed; "" before the first message */
  bool is_perf, is_lttng, has_switch;
  uint16_t number;      /* in the order of the keys: decides among equal times */
  struct tt_wire hello; /* what is said of it before the first event */
  char *key;            /* [key_size] owned; sorts as babeltrace2's muxer sorts equals */
  size_t key_size;
  struct tt_ctf_field packet_cpu; /* `cpu_id` of the packet context */
  int cpu;                        /* -1: not known yet */
  int64_t last;                   /* latest time stamp, to see it never decreases */
  /* The head: what comes next in time. */
  enum { HEAD_NONE, HEAD_EVENT, HEAD_GAP } head;
  int64_t ts;
  const bt_message *message; /* HEAD_EVENT: messages[next - 1] */
  /* Events lost before the next packet, while `gap`: delivered when that packet begins. */
  bool gap;
  int64_t gap_begin, gap_end;
  uint64_t gap_lost;
};

struct decoder {
  int fd;
  size_t n_blocks;
  union block out[OUT_BLOCKS];
  struct stream *streams; /* [n] in sorted order: the number is the rank among equals */
  size_t n;
  uint16_t *heap; /* [n_heap] numbers of streams with a head, the first in time on top */
  size_t n_heap;
  struct tt_ctf_class *classes; /* [n_class_slots] hashed by the event class's address */
  size_t n_classes, n_class_slots;
  struct tt_names event_names, comm_names;
  uint64_t events, events_possible;
  struct tt_ctf_error error;
};

/* ---- output ---- */

/* Exit code of a decoder whose reader has gone: nobody is there to see it. */
static void flush(struct decoder *d) {
  if (d->n_blocks > 0 && !tt_sandbox_write(d->fd, d->out, d->n_blocks * sizeof *d->out))
    _Exit(1);
  d->n_blocks = 0;
}

static inline union block *put_block(struct decoder *d) {
  if (d->n_blocks == OUT_BLOCKS)
    flush(d);
  return &d->out[d->n_blocks++];
}

static void put_text(struct decoder *d, struct tt_wire record, const char *text, size_t n) {
  record.ret = (int64_t)n;
  put_block(d)->record = record;
  for (size_t i = 0; i < n; i += 32) {
    union block *b = put_block(d);
    size_t k = n - i < 32 ? n - i : 32;
    memset(b, 0, sizeof *b);
    memcpy(b->text, text + i, k);
  }
}

/* ---- names ---- */

/* Copies what is printable UTF-8, '?' for every other byte: names end up in JSON and on screens. */
static void clean_name(char *to, const char *from) {
  const unsigned char *p = (const unsigned char *)from;
  size_t k = 0;
  while (*p && k < MAX_NAME - 4) {
    unsigned char c = *p;
    size_t n = c < 0x80                ? 1
               : c >= 0xc2 && c < 0xe0 ? 2
               : (c & 0xf0) == 0xe0    ? 3
               : c >= 0xf0 && c < 0xf5 ? 4
                                       : 0;
    bool good = n == 1 ? c >= 0x20 && c != 0x7f : n > 1;
    for (size_t i = 1; good && i < n; i++)
      good = (p[i] & 0xc0) == 0x80;
    /* overlong forms, surrogates, beyond U+10FFFF */
    if (good && ((c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] > 0x9f) ||
                 (c == 0xf0 && p[1] < 0x90) || (c == 0xf4 && p[1] > 0x8f)))
      good = false;
    if (!good) {
      to[k++] = '?';
      p++;
      continue;
    }
    memcpy(to + k, p, n);
    k += n;
    p += n;
  }
  to[k] = '\0';
}

static uint32_t name_id(struct decoder *d, struct tt_names *names, uint8_t type, const char *name) {
  char clean[MAX_NAME + 1];
  clean_name(clean, name);
  size_t before = names->n;
  uint32_t id = tt_names_add(names, clean);
  if (id == TT_NAME_NONE)
    tt_ctf_fail(&d->error, TT_NO_MEMORY, "out of memory");
  else if (names->n > before)
    put_text(d, (struct tt_wire){.type = type}, clean, strlen(clean));
  return id;
}

static uint32_t comm_id(struct decoder *d, const char *name) {
  return name && name[0] ? name_id(d, &d->comm_names, TT_WIRE_NAME_COMM, name) : TT_COMM_NONE;
}

/* ---- event classes ---- */

static struct tt_ctf_class *class_slot(struct tt_ctf_class *slots, size_t n_slots,
                                       const bt_event_class *key) {
  size_t i = (size_t)(((uintptr_t)key >> 4) * 0x9e3779b97f4a7c15u >> 20) & (n_slots - 1);
  while (slots[i].key && slots[i].key != key)
    i = (i + 1) & (n_slots - 1);
  return &slots[i];
}

static const struct tt_ctf_class *add_class(struct decoder *d, const bt_event_class *key,
                                            bool is_perf) {
  if (2 * (d->n_classes + 1) > d->n_class_slots) {
    size_t n_slots = d->n_class_slots ? 2 * d->n_class_slots : CLASS_SLOTS_START;
    struct tt_ctf_class *slots = tt_calloc(n_slots, sizeof *slots);
    if (!slots)
      return tt_ctf_fail(&d->error, TT_NO_MEMORY, "out of memory"), NULL;
    for (size_t i = 0; i < d->n_class_slots; i++)
      if (d->classes[i].key)
        *class_slot(slots, n_slots, d->classes[i].key) = d->classes[i];
    tt_free(d->classes);
    d->classes = slots;
    d->n_class_slots = n_slots;
  }
  char unnamed[48];
  const char *name = bt_event_class_get_name(key);
  if (!name || !name[0]) {
    snprintf(unnamed, sizeof unnamed, "event-%llu", (unsigned long long)bt_event_class_get_id(key));
    name = unnamed;
  }
  uint32_t id = name_id(d, &d->event_names, TT_WIRE_NAME_EVENT, name);
  if (id > UINT16_MAX)
    return tt_ctf_fail(&d->error, TT_BAD_INPUT, "more than 65536 event names"), NULL;
  struct tt_ctf_class *slot = class_slot(d->classes, d->n_class_slots, key);
  tt_ctf_class_init(slot, key, is_perf);
  slot->id = (uint16_t)id;
  d->n_classes++;
  return slot;
}

static inline const struct tt_ctf_class *find_class(struct decoder *d, const bt_event_class *key,
                                                    bool is_perf) {
  if (d->n_class_slots) {
    const struct tt_ctf_class *slot = class_slot(d->classes, d->n_class_slots, key);
    if (slot->key)
      return slot;
  }
  return add_class(d, key, is_perf);
}

/* ---- one stream: its next head ---- */

static bool snapshot_ns(struct decoder *d, struct stream *s, const bt_clock_snapshot *snapshot,
                        int64_t *ret) {
  if (bt_clock_snapshot_get_ns_from_origin(snapshot, ret) !=
      BT_CLOCK_SNAPSHOT_GET_NS_FROM_ORIGIN_STATUS_OK)
    return tt_ctf_fail_library(&d->error, s->name);
  return true;
}

static void enter_packet(struct stream *s, const bt_packet *packet) {
  if (s->packet_cpu.scope == TT_SCOPE_NONE)
    return;
  const bt_field *context = bt_packet_borrow_context_field_const(packet);
  if (!context)
    return;
  const bt_field *field =
      bt_field_structure_borrow_member_field_by_index_const(context, s->packet_cpu.index);
  int64_t cpu = s->packet_cpu.kind == TT_KIND_SIGNED
                    ? bt_field_integer_signed_get_value(field)
                    : (int64_t)bt_field_integer_unsigned_get_value(field);
  s->cpu = cpu >= 0 && cpu < UINT16_MAX ? (int)cpu : UINT16_MAX; /* UINT16_MAX: refused later */
}

/* A message of lost events or packets: widens the stream's gap by it. */
static bool widen_gap(struct decoder *d, struct stream *s, const bt_message *message,
                      bool packets) {
  const bt_stream_class *c = bt_stream_borrow_class_const(
      packets ? bt_message_discarded_packets_borrow_stream_const(message)
              : bt_message_discarded_events_borrow_stream_const(message));
  int64_t begin = s->last, end = s->last;
  uint64_t lost = 0; /* lost packets held an unknown number of events */
  bool timed = packets ? bt_stream_class_discarded_packets_have_default_clock_snapshots(c)
                       : bt_stream_class_discarded_events_have_default_clock_snapshots(c);
  if (timed) {
    const bt_clock_snapshot *b =
        packets
            ? bt_message_discarded_packets_borrow_beginning_default_clock_snapshot_const(message)
            : bt_message_discarded_events_borrow_beginning_default_clock_snapshot_const(message);
    const bt_clock_snapshot *e =
        packets ? bt_message_discarded_packets_borrow_end_default_clock_snapshot_const(message)
                : bt_message_discarded_events_borrow_end_default_clock_snapshot_const(message);
    if (!snapshot_ns(d, s, b, &begin) || !snapshot_ns(d, s, e, &end))
      return false;
  }
  if (!packets &&
      bt_message_discarded_events_get_count(message, &lost) != BT_PROPERTY_AVAILABILITY_AVAILABLE)
    lost = 0;
  s->gap_begin = s->gap && s->gap_begin < begin ? s->gap_begin : begin;
  s->gap_end = s->gap && s->gap_end > end ? s->gap_end : end;
  s->gap_lost += lost;
  s->gap = true;
  return true;
}

/* A packet begins (packet_begin: its time) or the stream ends (INT64_MAX): the gap before it, if
 * any, becomes the stream's head. libbabeltrace2 lets a gap last to the end of the packet whose
 * counter shows it, as CTF 1.8 has it; LTTng loses events only while it has no free packet to put
 * them in, so that its gaps end where the next packet begins. */
static bool close_gap(struct stream *s, int64_t packet_begin) {
  if (!s->gap)
    return false;
  s->gap = false;
  s->ts = s->gap_begin < s->last ? s->last : s->gap_begin;
  if (s->is_lttng && s->gap_end > packet_begin)
    s->gap_end = packet_begin;
  if (s->gap_end < s->ts)
    s->gap_end = s->ts;
  s->head = HEAD_GAP;
  s->last = s->ts;
  return true;
}

static bool begin_packet(struct decoder *d, struct stream *s, const bt_message *message) {
  enter_packet(s, bt_message_packet_beginning_borrow_packet_const(message));
  int64_t begin = INT64_MAX;
  if (s->gap &&
      bt_stream_class_packets_have_beginning_default_clock_snapshot(bt_stream_borrow_class_const(
          bt_packet_borrow_stream_const(bt_message_packet_beginning_borrow_packet_const(message)))))
    if (!snapshot_ns(d, s, bt_message_packet_beginning_borrow_default_clock_snapshot_const(message),
                     &begin))
      return false;
  close_gap(s, begin);
  return true;
}

/* Steps to the stream's next event or gap; head NONE at its end. False: failed. A stream that has
 * ended says so again when asked again. */
static bool advance(struct decoder *d, struct stream *s) {
  if (s->head == HEAD_EVENT)
    bt_message_put_ref(s->message);
  s->head = HEAD_NONE;
  for (;;) {
    if (s->next == s->n) {
      tt_sandbox_alive();
      tt_sandbox_note(s->name);
      s->next = s->n = 0;
      bt_message_iterator_next_status status =
          bt_message_iterator_next(s->iterator, &s->messages, &s->n);
      if (status == BT_MESSAGE_ITERATOR_NEXT_STATUS_END) {
        close_gap(s, INT64_MAX);
        return true;
      }
      if (status == BT_MESSAGE_ITERATOR_NEXT_STATUS_AGAIN)
        continue;
      if (status != BT_MESSAGE_ITERATOR_NEXT_STATUS_OK)
        return tt_ctf_fail_library(&d->error, s->name);
    }
    const bt_message *message = s->messages[s->next++];
    bool good = true;
    switch (bt_message_get_type(message)) {
    case BT_MESSAGE_TYPE_EVENT:
      s->message = message;
      s->head = HEAD_EVENT;
      if (!snapshot_ns(d, s, bt_message_event_borrow_default_clock_snapshot_const(message), &s->ts))
        return false;
      if (s->ts < s->last)
        return tt_ctf_fail(&d->error, TT_BAD_INPUT, "%s: time stamps go back from %lld to %lld ns",
                           s->name, (long long)s->last, (long long)s->ts);
      s->last = s->ts;
      return true;
    case BT_MESSAGE_TYPE_PACKET_BEGINNING:
      good = begin_packet(d, s, message);
      break;
    case BT_MESSAGE_TYPE_DISCARDED_EVENTS:
      good = widen_gap(d, s, message, false);
      break;
    case BT_MESSAGE_TYPE_DISCARDED_PACKETS:
      good = widen_gap(d, s, message, true);
      break;
    default:
      break;
    }
    bt_message_put_ref(message);
    if (!good || s->head == HEAD_GAP)
      return good;
  }
}

/* ---- the head of a stream as records ---- */

/* A thread id as recorded: what is no possible id is unknown. */
static inline int32_t as_tid(int64_t value) {
  return value >= 0 && value <= INT32_MAX ? (int32_t)value : TT_TID_NONE;
}

/* The kernel's idea of a program's name: the file without its folders, 15 bytes. */
static uint32_t exec_comm(struct decoder *d, const char *file) {
  if (!file)
    return TT_COMM_NONE;
  const char *slash = strrchr(file, '/');
  char name[16];
  snprintf(name, sizeof name, "%s", slash ? slash + 1 : file);
  return comm_id(d, name);
}

static bool put_event(struct decoder *d, struct stream *s) {
  const bt_event *event = bt_message_event_borrow_event_const(s->message);
  const struct tt_ctf_class *c = find_class(d, bt_event_borrow_class_const(event), s->is_perf);
  if (!c)
    return false;
  struct tt_wire r = {.ts = s->ts,
                      .ret = tt_ctf_integer(event, c->ret, TT_RET_NONE),
                      .tid = as_tid(tt_ctf_integer(event, c->tid, -1)),
                      .comm = TT_COMM_NONE,
                      .event = c->id,
                      .stream = s->number,
                      .type = TT_WIRE_EVENT,
                      .role = c->role};
  int64_t cpu = s->cpu >= 0 ? s->cpu : tt_ctf_integer(event, c->cpu, 0);
  if (cpu < 0 || cpu >= UINT16_MAX)
    return tt_ctf_fail(&d->error, TT_BAD_INPUT, "%s: impossible cpu_id", s->name);
  r.cpu = (uint16_t)cpu;
  if (r.tid == TT_TID_NONE && c->tid_fallback.scope != TT_SCOPE_NONE)
    r.tid = as_tid(tt_ctf_integer(event, c->tid_fallback, -1));
  if (c->comm.scope != TT_SCOPE_NONE)
    r.comm = comm_id(d, tt_ctf_string(event, c->comm));
  if (c->sideband && bt_clock_snapshot_get_value(
                         bt_message_event_borrow_default_clock_snapshot_const(s->message)) == 0)
    r.type = TT_WIRE_PSEUDO;
  d->events++;
  if (c->condition.scope != TT_SCOPE_NONE &&
      tt_ctf_integer(event, c->condition, 0) != c->condition_value)
    r.role = TT_ROLE_NONE;
  if (r.role == TT_ROLE_NONE) {
    put_block(d)->record = r;
    return true;
  }
  struct tt_wire_aux a = {.tid_a = as_tid(tt_ctf_integer(event, c->tid_a, -1)),
                          .tid_b = as_tid(tt_ctf_integer(event, c->tid_b, -1)),
                          .comm_a = comm_id(d, tt_ctf_string(event, c->comm_a)),
                          .comm_b = c->exec ? exec_comm(d, tt_ctf_string(event, c->comm_b))
                                            : comm_id(d, tt_ctf_string(event, c->comm_b)),
                          .sideband = c->sideband};
  put_block(d)->record = r;
  put_block(d)->aux = a;
  return true;
}

static bool put_gap(struct decoder *d, struct stream *s) {
  if (s->cpu == UINT16_MAX)
    return tt_ctf_fail(&d->error, TT_BAD_INPUT, "%s: impossible cpu_id", s->name);
  put_block(d)->record = (struct tt_wire){.ts = s->ts,
                                          .ret = (int64_t)s->gap_lost,
                                          .cpu = (uint16_t)(s->cpu < 0 ? 0 : s->cpu),
                                          .stream = s->number,
                                          .type = TT_WIRE_GAP,
                                          .role = s->has_switch};
  put_block(d)->aux = (struct tt_wire_aux){.end = s->gap_end};
  s->gap_lost = 0;
  return true;
}

/* ---- merging ---- */

static inline bool before(const struct stream *a, const struct stream *b) {
  return a->ts < b->ts || (a->ts == b->ts && a->number < b->number);
}

static void sift_down(struct decoder *d, size_t i) {
  uint16_t moving = d->heap[i];
  for (;;) {
    size_t child = 2 * i + 1;
    if (child >= d->n_heap)
      break;
    if (child + 1 < d->n_heap &&
        before(&d->streams[d->heap[child + 1]], &d->streams[d->heap[child]]))
      child++;
    if (!before(&d->streams[d->heap[child]], &d->streams[moving]))
      break;
    d->heap[i] = d->heap[child];
    i = child;
  }
  d->heap[i] = moving;
}

static bool merge(struct decoder *d) {
  for (size_t i = 0; i < d->n; i++)
    if (d->streams[i].head != HEAD_NONE)
      d->heap[d->n_heap++] = (uint16_t)i;
  for (size_t i = d->n_heap / 2; i-- > 0;)
    sift_down(d, i);
  while (d->n_heap > 0) {
    struct stream *s = &d->streams[d->heap[0]];
    if (!(s->head == HEAD_EVENT ? put_event(d, s) : put_gap(d, s)) || !advance(d, s))
      return false;
    /* Every event takes at least one bit of its file: more of them come from a damaged trace in
     * which the source runs in circles. */
    if (d->events > d->events_possible)
      return tt_ctf_fail(&d->error, TT_BAD_INPUT, "%s: more events than fit into the file",
                         s->name);
    if (s->head == HEAD_NONE)
      d->heap[0] = d->heap[--d->n_heap];
    if (d->n_heap > 0)
      sift_down(d, 0);
  }
  return true;
}

/* ---- hello: the streams, sorted as babeltrace2's muxer sorts equals ---- */

static size_t put_number(char *to, uint64_t value) {
  for (size_t i = 0; i < 8; i++)
    to[i] = (char)(value >> (56 - 8 * i));
  return 8;
}

static enum tt_wire_format find_format(const bt_trace *trace) {
  const bt_value *v = bt_trace_borrow_environment_entry_value_by_name_const(trace, "tracer_name");
  if (!v || !bt_value_is_string(v))
    return TT_FORMAT_CTF;
  const char *tracer = bt_value_string_get(v);
  const bt_value *w = bt_trace_borrow_environment_entry_value_by_name_const(trace, "domain");
  bool kernel = w && bt_value_is_string(w) && strcmp(bt_value_string_get(w), "kernel") == 0;
  if (strcmp(tracer, "lttng-modules") == 0 && kernel)
    return TT_FORMAT_LTTNG;
  return strcmp(tracer, "perf") == 0 ? TT_FORMAT_PERF : TT_FORMAT_CTF;
}

/* Reads a stream's first messages (the first of all is its beginning) and what is known of it. */
static bool open_stream(struct decoder *d, struct stream *s, const char *port) {
  s->name = "";
  s->cpu = -1;
  s->last = INT64_MIN;
  bt_message_iterator_next_status status;
  do
    status = bt_message_iterator_next(s->iterator, &s->messages, &s->n);
  while (status == BT_MESSAGE_ITERATOR_NEXT_STATUS_AGAIN);
  if (status == BT_MESSAGE_ITERATOR_NEXT_STATUS_END)
    s->n = 0;
  else if (status != BT_MESSAGE_ITERATOR_NEXT_STATUS_OK)
    return tt_ctf_fail_library(&d->error, "");
  char key[1200];
  size_t k = 0;
  s->hello = (struct tt_wire){.type = TT_WIRE_STREAM};
  if (s->n > 0 && bt_message_get_type(s->messages[0]) == BT_MESSAGE_TYPE_STREAM_BEGINNING) {
    const bt_stream *stream = bt_message_stream_beginning_borrow_stream_const(s->messages[0]);
    const bt_stream_class *class = bt_stream_borrow_class_const(stream);
    const bt_trace *trace = bt_stream_borrow_trace_const(stream);
    const bt_clock_class *clock = bt_stream_class_borrow_default_clock_class_const(class);
    if (bt_stream_get_name(stream))
      s->name = bt_stream_get_name(stream);
    if (!clock)
      return tt_ctf_fail(&d->error, TT_BAD_INPUT, "%s: its events have no time stamps", s->name);
    int64_t seconds;
    uint64_t cycles, frequency = bt_clock_class_get_frequency(clock);
    bt_clock_class_get_offset(clock, &seconds, &cycles);
    s->hello.ts = (int64_t)((uint64_t)seconds * 1000000000u +
                            (uint64_t)((unsigned __int128)cycles * 1000000000u / frequency));
    enum tt_wire_format format = find_format(trace);
    s->hello.role = (uint8_t)format;
    s->is_perf = format == TT_FORMAT_PERF;
    s->is_lttng = format == TT_FORMAT_LTTNG;
    s->packet_cpu = tt_ctf_find_member(
        bt_stream_class_borrow_packet_context_field_class_const(class), "cpu_id", TT_SCOPE_COMMON);
    if (s->packet_cpu.kind == TT_KIND_STRING)
      s->packet_cpu.scope = TT_SCOPE_NONE;
    for (uint64_t i = 0; i < bt_stream_class_get_event_class_count(class); i++) {
      const char *name =
          bt_event_class_get_name(bt_stream_class_borrow_event_class_by_index_const(class, i));
      const char *base = name ? strchr(name, ':') : NULL;
      if (name && strcmp(base ? base + 1 : name, "sched_switch") == 0)
        s->has_switch = true;
    }
    bt_uuid uuid = bt_trace_get_uuid(trace);
    key[k++] = uuid ? 0 : 1;
    if (uuid) {
      memcpy(key + k, uuid, 16);
      k += 16;
    }
    const char *name = bt_trace_get_name(trace);
    k += (size_t)snprintf(key + k, 257, "%.255s", name ? name : "") + 1;
    k += put_number(key + k, bt_stream_class_get_id(class));
    k += put_number(key + k, bt_stream_get_id(stream));
  }
  int n = snprintf(key + k, sizeof key - k, "%s", port);
  k += (size_t)n < sizeof key - k ? (size_t)n : sizeof key - k - 1;
  s->key = tt_alloc(k, 1);
  if (!s->key)
    return tt_ctf_fail(&d->error, TT_NO_MEMORY, "out of memory");
  memcpy(s->key, key, k);
  s->key_size = k;
  return true;
}

static int by_key(const void *a, const void *b) {
  const struct stream *x = a, *y = b;
  size_t n = x->key_size < y->key_size ? x->key_size : y->key_size;
  int order = memcmp(x->key, y->key, n);
  return order ? order : (x->key_size > y->key_size) - (x->key_size < y->key_size);
}

/* ---- the whole ---- */

static bool run(void *user, struct tt_ctf_port *ports, size_t n, size_t n_all) {
  struct decoder *d = user;
  if (n_all > MAX_STREAMS)
    return tt_ctf_fail(&d->error, TT_BAD_INPUT, "more than %d event streams", MAX_STREAMS);
  d->streams = tt_calloc(n, sizeof *d->streams);
  d->heap = tt_calloc(n, sizeof *d->heap);
  if (!d->streams || !d->heap)
    return tt_ctf_fail(&d->error, TT_NO_MEMORY, "out of memory");
  d->n = n;
  for (size_t i = 0; i < n; i++) {
    d->streams[i].iterator = ports[i].iterator;
    if (!open_stream(d, &d->streams[i], ports[i].name))
      return false;
  }
  if (n > 1)
    qsort(d->streams, n, sizeof *d->streams, by_key);
  for (size_t i = 0; i < n; i++) {
    struct stream *s = &d->streams[i];
    s->number = s->hello.stream = (uint16_t)i;
    put_text(d, s->hello, s->key, s->key_size);
  }
  put_block(d)->record = (struct tt_wire){.type = TT_WIRE_READY, .ret = (int64_t)n_all};
  flush(d);
  for (size_t i = 0; i < n; i++)
    if (!advance(d, &d->streams[i]))
      return false;
  return merge(d);
}

int tt_ctf_decode(int fd, void *user) {
  const struct tt_ctf_share *share = user;
  struct decoder *d = tt_calloc(1, sizeof *d);
  if (!d)
    return 1;
  d->fd = fd;
  tt_names_init(&d->event_names);
  tt_names_init(&d->comm_names);
  for (size_t i = 0; i < share->folders->n; i++)
    d->events_possible += 8 * share->folders->items[i].bytes;
  if (tt_ctf_graph_run(share->folders, share->part, share->parts, run, d, &d->error))
    put_block(d)->record = (struct tt_wire){.type = TT_WIRE_END};
  else
    put_text(d, (struct tt_wire){.type = TT_WIRE_ERROR, .role = (uint8_t)d->error.status},
             d->error.text, strlen(d->error.text));
  flush(d);
  return 0; /* the process ends here: nothing is torn down piece by piece */
}
