#include "dataset/meta.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "dataset/columns.h"
#include "dataset/json.h"

void tt_dataset_meta_init(struct tt_dataset_meta *meta) {
  memset(meta, 0, sizeof *meta);
  tt_names_init(&meta->events);
  tt_names_init(&meta->comms);
}

static void release_source(struct tt_source *source) {
  tt_free(source->path);
  tt_free(source->format);
  tt_free(source->sha256);
  tt_free(source->label);
}

void tt_dataset_meta_release(struct tt_dataset_meta *meta) {
  tt_names_release(&meta->events);
  tt_names_release(&meta->comms);
  for (size_t i = 0; i < meta->n_sources; i++)
    release_source(&meta->sources[i]);
  tt_free(meta->sources);
  tt_free(meta->gaps);
  tt_free(meta->filled);
  tt_dataset_meta_init(meta);
}

static enum tt_status no_memory(void) {
  return tt_fail(TT_NO_MEMORY, "out of memory");
}

enum tt_status tt_dataset_meta_add_source(struct tt_dataset_meta *meta, const char *path,
                                          const char *format, const char *sha256, const char *label,
                                          uint64_t first, uint64_t events) {
  struct tt_source source = {.path = tt_strdup(path),
                             .format = tt_strdup(format),
                             .sha256 = tt_strdup(sha256),
                             .label = tt_strdup(label),
                             .first = first,
                             .events = events};
  if (!source.path || !source.format || !source.sha256 || !source.label ||
      tt_grow(&meta->sources, &meta->sources_capacity, meta->n_sources + 1,
              sizeof *meta->sources)) {
    release_source(&source);
    return no_memory();
  }
  meta->sources[meta->n_sources++] = source;
  return TT_OK;
}

enum tt_status tt_dataset_meta_add_gap(struct tt_dataset_meta *meta, const struct tt_gap *gap) {
  if (tt_grow(&meta->gaps, &meta->gaps_capacity, meta->n_gaps + 1, sizeof *meta->gaps))
    return no_memory();
  meta->gaps[meta->n_gaps++] = *gap;
  meta->lost_events += gap->lost;
  return TT_OK;
}

enum tt_status tt_dataset_meta_add_filled(struct tt_dataset_meta *meta, const struct tt_gap *gap) {
  if (tt_grow(&meta->filled, &meta->filled_capacity, meta->n_filled + 1, sizeof *meta->filled))
    return no_memory();
  meta->filled[meta->n_filled++] = *gap;
  return TT_OK;
}

static int copy_names(const struct tt_names *from, struct tt_names *to) {
  for (size_t i = 0; i < from->n; i++)
    if (tt_names_add(to, from->names[i]) == TT_NAME_NONE)
      return -1;
  return 0;
}

enum tt_status tt_dataset_meta_copy(const struct tt_dataset_meta *meta,
                                    struct tt_dataset_meta *ret) {
  struct tt_dataset_meta copy;
  tt_dataset_meta_init(&copy);
  enum tt_status status = TT_OK;
  if (copy_names(&meta->events, &copy.events) || copy_names(&meta->comms, &copy.comms))
    status = no_memory();
  for (size_t i = 0; status == TT_OK && i < meta->n_sources; i++) {
    const struct tt_source *s = &meta->sources[i];
    status = tt_dataset_meta_add_source(&copy, s->path, s->format, s->sha256, s->label, s->first,
                                        s->events);
  }
  for (size_t i = 0; status == TT_OK && i < meta->n_gaps; i++)
    status = tt_dataset_meta_add_gap(&copy, &meta->gaps[i]);
  for (size_t i = 0; status == TT_OK && i < meta->n_filled; i++)
    status = tt_dataset_meta_add_filled(&copy, &meta->filled[i]);
  if (status != TT_OK) {
    tt_dataset_meta_release(&copy);
    return status;
  }
  copy.lost_events = meta->lost_events;
  copy.clock_origin_ns = meta->clock_origin_ns;
  copy.seed = meta->seed;
  copy.synthetic = meta->synthetic;
  *ret = copy;
  return TT_OK;
}

static int by_begin(const void *a, const void *b) {
  const struct tt_gap *x = a, *y = b;
  if (x->begin != y->begin)
    return x->begin < y->begin ? -1 : 1;
  if (x->end != y->end)
    return x->end < y->end ? -1 : 1;
  return (x->cpu > y->cpu) - (x->cpu < y->cpu);
}

static json_t *sources_to_json(const struct tt_dataset_meta *meta) {
  json_t *array = json_array();
  for (size_t i = 0; array && i < meta->n_sources; i++) {
    const struct tt_source *s = &meta->sources[i];
    json_t *source = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "path", tt_json_text(s->path),
                               "format", tt_json_text(s->format), "sha256", tt_json_text(s->sha256),
                               "label", tt_json_text(s->label), "first", tt_json_u64(s->first),
                               "events", tt_json_u64(s->events));
    if (json_array_append_new(array, source) != 0) {
      json_decref(array);
      return NULL;
    }
  }
  return array;
}

static json_t *gaps_to_json(const struct tt_gap *gaps, size_t n, uint64_t *ret_lost) {
  struct tt_gap *sorted = tt_alloc(n, sizeof *sorted);
  json_t *array = sorted ? json_array() : NULL;
  uint64_t lost = 0;
  if (sorted && n) {
    memcpy(sorted, gaps, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, by_begin);
  }
  for (size_t i = 0; array && i < n; i++) {
    lost += sorted[i].lost;
    json_t *gap = json_pack("{s:I, s:I, s:o, s:i}", "begin", (json_int_t)sorted[i].begin, "end",
                            (json_int_t)sorted[i].end, "lost", tt_json_u64(sorted[i].lost), "cpu",
                            (int)sorted[i].cpu);
    if (json_array_append_new(array, gap) != 0) {
      json_decref(array);
      array = NULL;
    }
  }
  tt_free(sorted);
  *ret_lost = lost;
  return array;
}

/* "filled", where anything was; false: no memory. */
static bool put_filled(const struct tt_dataset_meta *meta, json_t *json) {
  uint64_t events;
  return meta->n_filled == 0 ||
         json_object_set_new(json, "filled", gaps_to_json(meta->filled, meta->n_filled, &events)) ==
             0;
}

json_t *tt_meta_to_json(const struct tt_dataset_meta *meta,
                        const struct tt_dataset_header *header) {
  const struct tt_dataset_counts *counts = &header->counts;
  uint64_t lost = 0;
  json_t *gaps = gaps_to_json(meta->gaps, meta->n_gaps, &lost);
  json_t *json =
      json_pack("{s:s, s:i, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:b, "
                "s:o, s:o, s:o, s:o, s:o}",
                "format", TT_DATASET_FORMAT, "version", TT_DATASET_VERSION, "events",
                tt_json_u64(counts->events), "shard_events", tt_json_u64(header->shard_events),
                "shards", tt_json_u64(header->shards), "event_types",
                (json_int_t)counts->event_types, "comm_types", (json_int_t)counts->comms, "cpus",
                (json_int_t)counts->cpus, "cpu_limit", (json_int_t)header->cpu_limit, "tids",
                (json_int_t)counts->tids, "first_ts", (json_int_t)counts->first_ts, "last_ts",
                (json_int_t)counts->last_ts, "clock_origin_ns", (json_int_t)meta->clock_origin_ns,
                "lost_events", tt_json_u64(lost), "synthetic", (int)meta->synthetic, "seed",
                tt_json_u64(meta->seed), "event_names", tt_json_names(&meta->events), "comms",
                tt_json_names(&meta->comms), "sources", sources_to_json(meta), "gaps", gaps);
  if (json && put_filled(meta, json))
    return json;
  json_decref(json);
  return NULL;
}

static enum tt_status source_from_json(const json_t *json, uint64_t events,
                                       struct tt_dataset_meta *meta) {
  struct tt_source s = {0};
  enum tt_status status = tt_json_get_text(json, "path", &s.path);
  if (status == TT_OK)
    status = tt_json_get_text(json, "format", &s.format);
  if (status == TT_OK)
    status = tt_json_get_text(json, "sha256", &s.sha256);
  if (status == TT_OK)
    status = tt_json_get_text(json, "label", &s.label);
  if (status == TT_OK)
    status = tt_json_get_u64(json, "first", &s.first);
  if (status == TT_OK)
    status = tt_json_get_u64(json, "events", &s.events);
  if (status == TT_OK && (s.first > events || s.events > events - s.first))
    status = tt_fail(TT_BAD_INPUT, "its slice lies outside the dataset's events");
  if (status == TT_OK)
    status =
        tt_dataset_meta_add_source(meta, s.path, s.format, s.sha256, s.label, s.first, s.events);
  release_source(&s);
  return status;
}

typedef enum tt_status add_gap_fn(struct tt_dataset_meta *meta, const struct tt_gap *gap);

/* One more of those that are there; `last`: the one before, NULL: none. */
static enum tt_status gap_from_json(const json_t *json, const struct tt_gap *last, add_gap_fn *add,
                                    struct tt_dataset_meta *meta) {
  struct tt_gap gap = {0};
  uint64_t cpu = 0;
  enum tt_status status = tt_json_get_i64(json, "begin", &gap.begin);
  if (status == TT_OK)
    status = tt_json_get_i64(json, "end", &gap.end);
  if (status == TT_OK)
    status = tt_json_get_u64(json, "lost", &gap.lost);
  if (status == TT_OK)
    status = tt_json_get_u64(json, "cpu", &cpu);
  if (status != TT_OK)
    return status;
  if (cpu > UINT16_MAX)
    return tt_fail(TT_BAD_INPUT, "\"cpu\" is above %d", UINT16_MAX);
  if (gap.end < gap.begin)
    return tt_fail(TT_BAD_INPUT, "it ends before it begins");
  if (last && gap.begin < last->begin)
    return tt_fail(TT_BAD_INPUT, "it begins before the one above it");
  gap.cpu = (uint16_t)cpu;
  return add(meta, &gap);
}

static enum tt_status gaps_from_json(const json_t *json, struct tt_dataset_meta *meta) {
  const json_t *gaps = NULL;
  enum tt_status status = tt_json_get_array(json, "gaps", SIZE_MAX, &gaps);
  for (size_t i = 0; status == TT_OK && i < json_array_size(gaps); i++) {
    status = gap_from_json(json_array_get(gaps, i), i ? &meta->gaps[i - 1] : NULL,
                           tt_dataset_meta_add_gap, meta);
    if (status != TT_OK)
      status = tt_fail(status, "\"gaps\": entry %zu", i);
  }
  if (status == TT_OK && json_object_get(json, "filled"))
    status = tt_json_get_array(json, "filled", SIZE_MAX, &gaps);
  else
    gaps = NULL;
  for (size_t i = 0; status == TT_OK && i < json_array_size(gaps); i++) {
    status = gap_from_json(json_array_get(gaps, i), i ? &meta->filled[i - 1] : NULL,
                           tt_dataset_meta_add_filled, meta);
    if (status != TT_OK)
      status = tt_fail(status, "\"filled\": entry %zu", i);
  }
  return status;
}

/* The fields about the rows, and that they fit one another. */
static enum tt_status header_from_json(const json_t *json, struct tt_dataset_header *h) {
  uint64_t version = 0, event_types = 0, comms = 0, cpus = 0, cpu_limit = 0, tids = 0;
  const char *format = NULL;
  struct {
    const char *key;
    uint64_t *value, max;
  } fields[] = {{"version", &version, UINT32_MAX},
                {"events", &h->counts.events, TT_DATASET_EVENTS_MAX},
                {"shard_events", &h->shard_events, TT_SHARD_EVENTS_MAX},
                {"shards", &h->shards, TT_DATASET_EVENTS_MAX},
                {"event_types", &event_types, 65536},
                {"comm_types", &comms, UINT32_MAX},
                {"cpus", &cpus, 65536},
                {"cpu_limit", &cpu_limit, 65536},
                {"tids", &tids, (uint64_t)UINT32_MAX + 1}};
  enum tt_status status = tt_json_get_string(json, "format", &format);
  if (status != TT_OK)
    return status;
  if (strcmp(format, TT_DATASET_FORMAT) != 0)
    return tt_fail(TT_BAD_INPUT, "\"format\" is \"%s\", not \"%s\"", format, TT_DATASET_FORMAT);
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
    status = tt_json_get_u64(json, fields[i].key, fields[i].value);
    if (status != TT_OK)
      return status;
    if (*fields[i].value > fields[i].max)
      return tt_fail(TT_BAD_INPUT, "\"%s\" is impossibly large", fields[i].key);
    if (i == 0 && version != TT_DATASET_VERSION)
      return tt_fail(TT_BAD_INPUT, "version %llu, but this program reads version %d",
                     (unsigned long long)version, TT_DATASET_VERSION);
  }
  if (h->shard_events == 0 || h->shard_events % TT_SHARD_UNIT)
    return tt_fail(TT_BAD_INPUT, "\"shard_events\" is not a multiple of %zu", TT_SHARD_UNIT);
  uint64_t shards = (h->counts.events + h->shard_events - 1) / h->shard_events;
  if (h->shards != shards)
    return tt_fail(TT_BAD_INPUT, "\"shards\" does not fit \"events\" and \"shard_events\"");
  if (cpus > cpu_limit || (h->counts.events > 0) != (cpus > 0))
    return tt_fail(TT_BAD_INPUT, "\"cpus\" does not fit \"cpu_limit\" and \"events\"");
  h->counts.event_types = event_types;
  h->counts.comms = comms;
  h->counts.cpus = cpus;
  h->counts.tids = tids;
  h->cpu_limit = cpu_limit;
  status = tt_json_get_i64(json, "first_ts", &h->counts.first_ts);
  return status == TT_OK ? tt_json_get_i64(json, "last_ts", &h->counts.last_ts) : status;
}

enum tt_status tt_meta_from_json(const json_t *json, struct tt_dataset_meta *ret_meta,
                                 struct tt_dataset_header *ret_header) {
  struct tt_dataset_header header = {0};
  struct tt_dataset_meta meta;
  tt_dataset_meta_init(&meta);
  const json_t *sources = NULL;
  enum tt_status status = header_from_json(json, &header);
  if (status == TT_OK)
    status = tt_json_get_i64(json, "clock_origin_ns", &meta.clock_origin_ns);
  if (status == TT_OK)
    status = tt_json_get_bool(json, "synthetic", &meta.synthetic);
  if (status == TT_OK)
    status = tt_json_get_u64(json, "seed", &meta.seed);
  if (status == TT_OK)
    status = tt_json_get_names(json, "event_names", 65536, &meta.events);
  if (status == TT_OK)
    status = tt_json_get_names(json, "comms", UINT32_MAX - 1, &meta.comms);
  if (status == TT_OK)
    status = tt_json_get_array(json, "sources", SIZE_MAX, &sources);
  for (size_t i = 0; status == TT_OK && i < json_array_size(sources); i++) {
    status = source_from_json(json_array_get(sources, i), header.counts.events, &meta);
    if (status != TT_OK)
      status = tt_fail(status, "\"sources\": entry %zu", i);
  }
  if (status == TT_OK)
    status = gaps_from_json(json, &meta);
  if (status != TT_OK) {
    tt_dataset_meta_release(&meta);
    return status;
  }
  *ret_meta = meta;
  *ret_header = header;
  return TT_OK;
}
