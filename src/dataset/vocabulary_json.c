/* A vocabulary as JSON:
 *
 *   {"stream": "cpu", "rows": N, "cpus": C, "unknown_event": false, "no_rets": N,
 *    "dt": {"mean": m, "std": s, "max_ns": t, "rows": N},
 *    "events": [[name, count], ...], "comms": [[name, count], ...]      in id order
 *    "rets": [[value, count], ...],                                     in id order
 *    "other_rets": [[value, count], ...],                               ascending
 *    "threads": [[tid or null, comm id, count], ...]}                   by bucket, then count */
#include <string.h>

#include "base/mem.h"
#include "dataset/json.h"
#include "dataset/vocabulary.h"

static json_t *names_to_json(const struct tt_names *names, const uint64_t *counts) {
  json_t *array = json_array();
  for (size_t i = 0; array && i < names->n; i++)
    if (json_array_append_new(array, json_pack("[o, o]", tt_json_text(names->names[i]),
                                               tt_json_u64(counts[i]))) != 0) {
      json_decref(array);
      return NULL;
    }
  return array;
}

static json_t *values_to_json(const int64_t *values, const uint64_t *counts, size_t n) {
  json_t *array = json_array();
  for (size_t i = 0; array && i < n; i++)
    if (json_array_append_new(
            array, json_pack("[I, o]", (json_int_t)values[i], tt_json_u64(counts[i]))) != 0) {
      json_decref(array);
      return NULL;
    }
  return array;
}

static json_t *threads_to_json(const struct tt_vocabulary *v) {
  json_t *array = json_array();
  for (size_t i = 0; array && i < v->bucket_first[TT_TID_BUCKETS]; i++) {
    const struct tt_thread *t = &v->threads[i];
    json_t *tid = t->tid == TT_TID_NONE ? json_null() : json_integer(t->tid);
    if (json_array_append_new(
            array, json_pack("[o, i, o]", tid, (int)t->comm, tt_json_u64(t->count))) != 0) {
      json_decref(array);
      return NULL;
    }
  }
  return array;
}

json_t *tt_vocabulary_to_json(const struct tt_vocabulary *v) {
  return json_pack(
      "{s:s, s:o, s:I, s:b, s:o, s:{s:f, s:f, s:I, s:o}, s:o, s:o, s:o, s:o, s:o}", "stream",
      tt_stream_kind_name(v->stream), "rows", tt_json_u64(v->rows), "cpus", (json_int_t)v->n_cpus,
      "unknown_event", (int)v->unknown_event, "no_rets", tt_json_u64(v->no_rets), "dt", "mean",
      v->dt_mean, "std", v->dt_std, "max_ns", (json_int_t)v->dt_max, "rows",
      tt_json_u64(v->dt_rows), "events", names_to_json(&v->events, v->event_counts), "comms",
      names_to_json(&v->comms, v->comm_counts), "rets",
      values_to_json(v->rets, v->ret_counts, v->n_rets), "other_rets",
      values_to_json(v->unk_rets, v->unk_ret_counts, v->n_unk_rets), "threads", threads_to_json(v));
}

static enum tt_status no_memory(void) {
  return tt_fail(TT_NO_MEMORY, "out of memory");
}

static enum tt_status bad_entry(const char *key, size_t i) {
  return tt_fail(TT_BAD_INPUT, "\"%s\": entry %zu is not as it should be", key, i);
}

static enum tt_status names_from_json(const json_t *json, const char *key, size_t max,
                                      struct tt_names *names, uint64_t **ret_counts) {
  const json_t *array = NULL;
  enum tt_status status = tt_json_get_array(json, key, max, &array);
  size_t n = json_array_size(array);
  uint64_t *counts = status == TT_OK ? tt_alloc(n, sizeof *counts) : NULL;
  *ret_counts = counts;
  if (status == TT_OK && !counts)
    status = no_memory();
  for (size_t i = 0; status == TT_OK && i < n; i++) {
    const json_t *entry = json_array_get(array, i);
    char *text = tt_json_text_copy(json_array_get(entry, 0));
    uint32_t id = text ? tt_names_add(names, text) : 0;
    if (id == TT_NAME_NONE)
      status = no_memory();
    else if (!text || id != i || json_array_size(entry) != 2 ||
             !tt_json_is_u64(json_array_get(entry, 1), &counts[i]))
      status = bad_entry(key, i);
    tt_free(text);
  }
  return status;
}

static enum tt_status values_from_json(const json_t *json, const char *key, size_t max,
                                       int64_t **ret_values, uint64_t **ret_counts, size_t *ret_n) {
  const json_t *array = NULL;
  enum tt_status status = tt_json_get_array(json, key, max, &array);
  if (status != TT_OK)
    return status;
  size_t n = json_array_size(array);
  int64_t *values = *ret_values = tt_alloc(n, sizeof *values);
  uint64_t *counts = *ret_counts = tt_alloc(n, sizeof *counts);
  if (!values || !counts)
    return no_memory();
  uint64_t total = 0;
  for (size_t i = 0; i < n; i++) {
    const json_t *entry = json_array_get(array, i);
    if (json_array_size(entry) != 2 || !json_is_integer(json_array_get(entry, 0)) ||
        !tt_json_is_u64(json_array_get(entry, 1), &counts[i]) || counts[i] == 0 ||
        __builtin_add_overflow(total, counts[i], &total))
      return bad_entry(key, i);
    values[i] = json_integer_value(json_array_get(entry, 0));
  }
  *ret_n = n;
  return TT_OK;
}

static enum tt_status threads_from_json(const json_t *json, struct tt_vocabulary *v) {
  const json_t *array = NULL;
  enum tt_status status = tt_json_get_array(
      json, "threads", (size_t)TT_TID_BUCKETS * TT_VOCABULARY_BUCKET_THREADS, &array);
  if (status != TT_OK)
    return status;
  size_t n = json_array_size(array), bucket = 0;
  v->threads = tt_alloc(n, sizeof *v->threads);
  if (!v->threads)
    return no_memory();
  for (size_t i = 0; i < n; i++) {
    const json_t *entry = json_array_get(array, i), *tid = json_array_get(entry, 0);
    uint64_t comm = 0, count = 0;
    json_int_t id = json_is_null(tid) ? TT_TID_NONE : json_integer_value(tid);
    if (json_array_size(entry) != 3 || !(json_is_null(tid) || json_is_integer(tid)) ||
        id < INT32_MIN || id > INT32_MAX || !tt_json_is_u64(json_array_get(entry, 1), &comm) ||
        comm >= tt_vocabulary_comms(v) || !tt_json_is_u64(json_array_get(entry, 2), &count) ||
        count == 0 || count > UINT64_MAX / TT_VOCABULARY_BUCKET_THREADS)
      return bad_entry("threads", i);
    size_t of = (uint32_t)(int32_t)id % TT_TID_BUCKETS;
    if (of < bucket)
      return bad_entry("threads", i);
    while (bucket < of)
      v->bucket_first[++bucket] = i;
    if (i - v->bucket_first[bucket] >= TT_VOCABULARY_BUCKET_THREADS)
      return bad_entry("threads", i);
    v->threads[i] = (struct tt_thread){(int32_t)id, (uint16_t)comm, count};
  }
  while (bucket < TT_TID_BUCKETS)
    v->bucket_first[++bucket] = n;
  return TT_OK;
}

static enum tt_status scalars_from_json(const json_t *json, struct tt_vocabulary *v) {
  const char *stream = NULL;
  uint64_t cpus = 0;
  const json_t *dt = json_object_get(json, "dt");
  enum tt_status status = tt_json_get_string(json, "stream", &stream);
  if (status == TT_OK && tt_stream_kind_parse(stream, &v->stream) != TT_OK)
    status = tt_fail(TT_BAD_INPUT, "\"stream\" is neither \"merged\" nor \"cpu\"");
  if (status == TT_OK)
    status = tt_json_get_u64(json, "rows", &v->rows);
  if (status == TT_OK)
    status = tt_json_get_u64(json, "cpus", &cpus);
  if (status == TT_OK && (cpus == 0 || cpus > 65536))
    status = tt_fail(TT_BAD_INPUT, "\"cpus\" is not within 1 to 65536");
  v->n_cpus = cpus;
  if (status == TT_OK)
    status = tt_json_get_bool(json, "unknown_event", &v->unknown_event);
  if (status == TT_OK)
    status = tt_json_get_u64(json, "no_rets", &v->no_rets);
  if (status == TT_OK)
    status = tt_json_get_real(dt, "mean", &v->dt_mean);
  if (status == TT_OK)
    status = tt_json_get_real(dt, "std", &v->dt_std);
  if (status == TT_OK)
    status = tt_json_get_i64(dt, "max_ns", &v->dt_max);
  if (status == TT_OK)
    status = tt_json_get_u64(dt, "rows", &v->dt_rows);
  if (status == TT_OK && (!(v->dt_std > 0) || v->dt_max < 0))
    status = tt_fail(TT_BAD_INPUT, "\"dt\": \"std\" must be above 0 and \"max_ns\" not below");
  return status;
}

enum tt_status tt_vocabulary_from_json(const json_t *json, struct tt_vocabulary **ret) {
  struct tt_vocabulary *v = tt_calloc(1, sizeof *v);
  if (!v)
    return no_memory();
  enum tt_status status = scalars_from_json(json, v);
  if (status == TT_OK)
    status = names_from_json(json, "events", UINT16_MAX - 1, &v->events, &v->event_counts);
  if (status == TT_OK && v->events.n == 0)
    status = tt_fail(TT_BAD_INPUT, "\"events\" is empty");
  if (status == TT_OK)
    status = names_from_json(json, "comms", UINT16_MAX - TT_ID_FIRST, &v->comms, &v->comm_counts);
  if (status == TT_OK)
    status =
        values_from_json(json, "rets", TT_VOCABULARY_RETS, &v->rets, &v->ret_counts, &v->n_rets);
  if (status == TT_OK)
    status = values_from_json(json, "other_rets", TT_VOCABULARY_UNK_RETS, &v->unk_rets,
                              &v->unk_ret_counts, &v->n_unk_rets);
  if (status == TT_OK)
    status = threads_from_json(json, v);
  if (status != TT_OK) {
    tt_vocabulary_free(v);
    return tt_fail(status, "in a vocabulary");
  }
  *ret = v;
  return TT_OK;
}
