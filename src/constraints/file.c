/* constraints.json (format: docs/constraints.md). Relations are flat lists [column, count, column,
 * count, ...] with ascending columns, so that equal constraints give equal bytes. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "base/mem.h"
#include "base/output.h"
#include "constraints/core.h"
#include "dataset/json.h"

#define FORMAT "tracetwin-constraints"
#define CPUS_MAX 65536u

/* Every relation of an event: its key and where it is. */
struct field {
  const char *key;
  size_t offset;
};
static const struct field event_fields[] = {
    {"next", offsetof(struct tt_constraints, next)},
    {"next_cpu", offsetof(struct tt_constraints, next_cpu)},
    {"cpus", offsetof(struct tt_constraints, cpu)},
    {"tids", offsetof(struct tt_constraints, tid)},
    {"comms", offsetof(struct tt_constraints, comm)},
    {"rets", offsetof(struct tt_constraints, ret)},
};
#define N_FIELDS (sizeof event_fields / sizeof *event_fields)
#define FIRST_SET 2 /* from here on an empty list would make the event illegal everywhere */

/* ---- saving ---- */

static json_t *row_json(const struct tt_relation *relation, size_t row) {
  json_t *list = json_array();
  for (size_t i = relation->start[row]; list && i < relation->start[row + 1]; i++)
    if (json_array_append_new(list, json_integer(relation->column[i])) ||
        json_array_append_new(list, json_integer((json_int_t)relation->count[i]))) {
      json_decref(list);
      return NULL;
    }
  return list;
}

static json_t *event_json(const struct tt_constraints *c, size_t e) {
  bool bounded = tt_dt_known(c, (uint16_t)e);
  json_t *event = json_object();
  int failed = !event;
  failed = failed || json_object_set_new(event, "name", tt_json_text(c->events.names[e])) ||
           json_object_set_new(event, "count", json_integer((json_int_t)c->event_count[e])) ||
           json_object_set_new(
               event, "dt_ns",
               bounded ? json_pack("[II]", (json_int_t)c->dt[e].min, (json_int_t)c->dt[e].max)
                       : json_null());
  for (size_t f = 0; !failed && f < N_FIELDS; f++) {
    const void *relation = (const char *)c + event_fields[f].offset;
    failed = json_object_set_new(event, event_fields[f].key, row_json(relation, e));
  }
  if (!failed && tt_relation_has(&c->ret, e, c->n_rets))
    failed = json_object_set_new(event, "ret_other", json_integer((json_int_t)c->ret_other[e]));
  if (failed)
    json_decref(event);
  return failed ? NULL : event;
}

static json_t *to_json(const struct tt_constraints *c) {
  json_t *events = json_array(), *rets = json_array(), *cpus = json_array(),
         *threads = json_array();
  int failed = !events || !rets || !cpus || !threads;
  for (size_t e = 0; !failed && e < c->events.n; e++)
    failed = json_array_append_new(events, event_json(c, e));
  for (size_t r = 0; !failed && r < c->n_rets; r++)
    failed = json_array_append_new(rets, json_integer((json_int_t)c->rets[r]));
  for (size_t cpu = 0; !failed && cpu < c->cpu_tid.rows; cpu++)
    failed = json_array_append_new(cpus, row_json(&c->cpu_tid, cpu));
  for (size_t b = 0; !failed && b < 256; b++) {
    const struct tt_constraint_thread *t = &c->thread[b];
    failed =
        json_array_append_new(threads, t->tid == TT_TID_NONE ? json_null()
                                                             : json_pack("[II]", (json_int_t)t->tid,
                                                                         (json_int_t)t->comm));
  }
  json_t *root = failed ? NULL : json_object();
  failed = !root || json_object_set_new(root, "format", json_string(FORMAT)) ||
           json_object_set_new(root, "version", json_integer(TT_CONSTRAINTS_VERSION)) ||
           json_object_set_new(root, "mined", json_integer((json_int_t)c->mined)) ||
           json_object_set_new(root, "comms", tt_json_names(&c->comms)) ||
           json_object_set(root, "rets", rets) || json_object_set(root, "events", events) ||
           json_object_set(root, "cpu_tids", cpus) || json_object_set(root, "threads", threads);
  json_decref(events);
  json_decref(rets);
  json_decref(cpus);
  json_decref(threads);
  if (failed)
    json_decref(root);
  return failed ? NULL : root;
}

enum tt_status tt_constraints_save(const struct tt_constraints *c, const char *path,
                                   bool overwrite) {
  struct tt_output output = {0};
  enum tt_status status = tt_output_begin_file(path, overwrite, &output);
  if (status != TT_OK)
    return status;
  json_t *root = to_json(c);
  if (!root)
    status = tt_fail(TT_NO_MEMORY, "out of memory");
  else if (json_dump_file(root, output.temporary, JSON_COMPACT))
    status = tt_fail(TT_IO, "%s: cannot write: %s", path, strerror(errno));
  json_decref(root);
  if (status == TT_OK)
    return tt_output_commit(&output);
  tt_output_abort(&output);
  return status;
}

/* ---- loading ---- */

struct entries {
  struct tt_relation_entry *list;
  size_t n, capacity;
};

/* Reads [column, count, ...] of `object` (the list itself when key is NULL) as row `row`. */
static enum tt_status read_row(const json_t *list, const char *what, size_t row, size_t columns,
                               struct entries *entries) {
  if (!json_is_array(list) || json_array_size(list) % 2)
    return tt_fail(TT_BAD_INPUT, "%s %zu is not a list of pairs", what, row);
  size_t n = json_array_size(list);
  if (tt_grow(&entries->list, &entries->capacity, entries->n + n / 2, sizeof *entries->list))
    return tt_fail(TT_NO_MEMORY, "out of memory");
  json_int_t before = -1;
  uint64_t total = 0;
  for (size_t i = 0; i < n; i += 2) {
    const json_t *column = json_array_get(list, i), *count = json_array_get(list, i + 1);
    json_int_t at = json_integer_value(column), times = json_integer_value(count);
    if (!json_is_integer(column) || at <= before || (uint64_t)at >= columns)
      return tt_fail(TT_BAD_INPUT, "%s %zu: entry %zu is out of order or range", what, row, i / 2);
    if (!json_is_integer(count) || times <= 0 ||
        __builtin_add_overflow(total, (uint64_t)times, &total) || total > INT64_MAX)
      return tt_fail(TT_BAD_INPUT, "%s %zu: entry %zu has no valid count", what, row, i / 2);
    before = at;
    entries->list[entries->n++] =
        (struct tt_relation_entry){(uint32_t)row, (uint32_t)at, (uint64_t)times};
  }
  return TT_OK;
}

static enum tt_status read_field(const json_t *events, const struct field *field, bool may_be_empty,
                                 size_t columns, struct tt_constraints *c) {
  struct entries entries = {0};
  enum tt_status status = TT_OK;
  for (size_t e = 0; status == TT_OK && e < c->events.n; e++) {
    const json_t *list = json_object_get(json_array_get(events, e), field->key);
    if (!may_be_empty && json_array_size(list) == 0)
      status = tt_fail(TT_BAD_INPUT, "\"%s\" of event %zu is missing or empty", field->key, e);
    else
      status = read_row(list, field->key, e, columns, &entries);
  }
  if (status == TT_OK)
    status = tt_relation_build(entries.list, entries.n, c->events.n, columns,
                               (struct tt_relation *)((char *)c + field->offset));
  tt_free(entries.list);
  return status;
}

static enum tt_status read_rets(const json_t *root, struct tt_constraints *c) {
  const json_t *rets = NULL;
  enum tt_status status = tt_json_get_array(root, "rets", TT_RETS_MAX, &rets);
  if (status != TT_OK)
    return status;
  c->n_rets = json_array_size(rets);
  c->rets = tt_alloc(c->n_rets, sizeof *c->rets);
  if (!c->rets)
    return tt_fail(TT_NO_MEMORY, "out of memory");
  for (size_t r = 0; r < c->n_rets; r++) {
    const json_t *value = json_array_get(rets, r);
    c->rets[r] = json_integer_value(value);
    if (!json_is_integer(value) || c->rets[r] == TT_RET_NONE)
      return tt_fail(TT_BAD_INPUT, "\"rets\": entry %zu is not a return value", r);
  }
  return tt_constraints_index_rets(c);
}

/* Name, count and dt bounds. */
static enum tt_status read_event(const json_t *event, size_t e, struct tt_constraints *c) {
  char *name = NULL;
  uint64_t count = 0;
  if (!json_is_object(event))
    return tt_fail(TT_BAD_INPUT, "event %zu is not an object", e);
  enum tt_status status = tt_json_get_text(event, "name", &name);
  if (status == TT_OK)
    status = tt_json_get_u64(event, "count", &count);
  if (status == TT_OK && (count == 0 || count > INT64_MAX))
    status = tt_fail(TT_BAD_INPUT, "event %zu: count out of range", e);
  if (status == TT_OK) {
    uint32_t id = tt_names_add(&c->events, name);
    if (id == TT_NAME_NONE)
      status = tt_fail(TT_NO_MEMORY, "out of memory");
    else if (id != e)
      status = tt_fail(TT_BAD_INPUT, "event \"%s\" stands twice", name);
  }
  tt_free(name);
  if (status != TT_OK)
    return status;
  c->event_count[e] = count;
  const json_t *dt = json_object_get(event, "dt_ns");
  c->dt[e] = (struct tt_dt_bounds){INT64_MAX, INT64_MIN};
  if (json_is_null(dt))
    return TT_OK;
  const json_t *min = json_array_get(dt, 0), *max = json_array_get(dt, 1);
  c->dt[e] = (struct tt_dt_bounds){json_integer_value(min), json_integer_value(max)};
  if (json_array_size(dt) != 2 || !json_is_integer(min) || !json_is_integer(max) ||
      c->dt[e].min < 0 || c->dt[e].min > c->dt[e].max)
    return tt_fail(TT_BAD_INPUT, "event %zu: \"dt_ns\" is not [min, max] or null", e);
  return TT_OK;
}

/* After the relations are there: an example for every event with a rare return value. */
static enum tt_status read_other(const json_t *event, size_t e, struct tt_constraints *c) {
  const json_t *other = json_object_get(event, "ret_other");
  bool wanted = tt_relation_has(&c->ret, e, c->n_rets);
  if (!wanted && !other)
    return TT_OK;
  c->ret_other[e] = json_integer_value(other);
  if (!wanted || !json_is_integer(other) ||
      tt_constraints_ret_class(c, c->ret_other[e]) != c->n_rets)
    return tt_fail(TT_BAD_INPUT, "event %zu: \"ret_other\" does not fit its \"rets\"", e);
  return TT_OK;
}

static enum tt_status read_threads(const json_t *root, struct tt_constraints *c) {
  const json_t *threads = NULL, *cpus = NULL;
  enum tt_status status = tt_json_get_array(root, "threads", 256, &threads);
  if (status == TT_OK)
    status = tt_json_get_array(root, "cpu_tids", CPUS_MAX, &cpus);
  if (status != TT_OK)
    return status;
  if (json_array_size(threads) != 256)
    return tt_fail(TT_BAD_INPUT, "\"threads\" has not 256 entries");
  for (size_t b = 0; b < 256; b++) {
    const json_t *thread = json_array_get(threads, b);
    c->thread[b] = (struct tt_constraint_thread){TT_TID_NONE, (uint32_t)c->comms.n};
    if (json_is_null(thread))
      continue;
    const json_t *tid = json_array_get(thread, 0), *comm = json_array_get(thread, 1);
    json_int_t t = json_integer_value(tid), m = json_integer_value(comm);
    if (json_array_size(thread) != 2 || !json_is_integer(tid) || !json_is_integer(comm) || t < 0 ||
        t > INT32_MAX || (size_t)t % 256 != b || m < 0 || (uint64_t)m > c->comms.n)
      return tt_fail(TT_BAD_INPUT, "\"threads\": entry %zu is no [tid, comm] of that bucket", b);
    c->thread[b] = (struct tt_constraint_thread){(int32_t)t, (uint32_t)m};
  }
  struct entries entries = {0};
  for (size_t cpu = 0; status == TT_OK && cpu < json_array_size(cpus); cpu++)
    status = read_row(json_array_get(cpus, cpu), "cpu_tids", cpu, TT_TID_CLASSES, &entries);
  if (status == TT_OK)
    status = tt_relation_build(entries.list, entries.n, json_array_size(cpus), TT_TID_CLASSES,
                               &c->cpu_tid);
  tt_free(entries.list);
  return status;
}

/* Repair must be able to name a thread of every bucket an event may have. */
static enum tt_status check_threads(const struct tt_constraints *c) {
  for (size_t e = 0; e < c->events.n; e++)
    for (size_t i = c->tid.start[e]; i < c->tid.start[e + 1]; i++)
      if (c->tid.column[i] < 256 && c->thread[c->tid.column[i]].tid == TT_TID_NONE)
        return tt_fail(TT_BAD_INPUT, "event %zu has thread bucket %" PRIu32 ", without a thread", e,
                       c->tid.column[i]);
  return TT_OK;
}

static enum tt_status from_json(const json_t *root, struct tt_constraints *c) {
  const char *format = NULL;
  uint64_t version = 0;
  const json_t *events = NULL;
  if (!json_is_object(root))
    return tt_fail(TT_BAD_INPUT, "not a JSON object");
  enum tt_status status = tt_json_get_string(root, "format", &format);
  if (status == TT_OK && strcmp(format, FORMAT) != 0)
    status = tt_fail(TT_BAD_INPUT, "format is \"%s\", not \"" FORMAT "\"", format);
  if (status == TT_OK)
    status = tt_json_get_u64(root, "version", &version);
  if (status == TT_OK && version != TT_CONSTRAINTS_VERSION)
    status = tt_fail(TT_BAD_INPUT, "version %" PRIu64 ", this program reads %d", version,
                     TT_CONSTRAINTS_VERSION);
  if (status == TT_OK)
    status = tt_json_get_u64(root, "mined", &c->mined);
  if (status == TT_OK)
    status = tt_json_get_names(root, "comms", UINT32_MAX - 2u, &c->comms);
  if (status == TT_OK)
    status = read_rets(root, c);
  if (status == TT_OK)
    status = tt_json_get_array(root, "events", TT_LABEL_NONE - 1u, &events);
  if (status != TT_OK)
    return status;
  size_t n = json_array_size(events);
  if (n == 0)
    return tt_fail(TT_BAD_INPUT, "\"events\" is empty");
  c->event_count = tt_calloc(n, sizeof *c->event_count);
  c->dt = tt_calloc(n, sizeof *c->dt);
  c->ret_other = tt_calloc(n, sizeof *c->ret_other);
  if (!c->event_count || !c->dt || !c->ret_other)
    return tt_fail(TT_NO_MEMORY, "out of memory");
  for (size_t e = 0; status == TT_OK && e < n; e++)
    status = read_event(json_array_get(events, e), e, c);
  const json_t *cpus = json_object_get(root, "cpu_tids");
  const size_t columns[N_FIELDS] = {
      n, n, json_array_size(cpus), TT_TID_CLASSES, c->comms.n + 1, c->n_rets + 2};
  for (size_t f = 0; status == TT_OK && f < N_FIELDS; f++)
    status = read_field(events, &event_fields[f], f < FIRST_SET, columns[f], c);
  for (size_t e = 0; status == TT_OK && e < n; e++)
    status = read_other(json_array_get(events, e), e, c);
  if (status == TT_OK)
    status = read_threads(root, c);
  return status == TT_OK ? check_threads(c) : status;
}

enum tt_status tt_constraints_load(const char *path, struct tt_constraints **ret) {
  char *text = NULL;
  size_t size = 0;
  enum tt_status status = tt_read_file(path, &text, &size);
  if (status != TT_OK)
    return status;
  json_error_t error;
  json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
  tt_free(text);
  if (!root)
    return tt_fail(TT_BAD_INPUT, "%s:%d: %s", path, error.line, error.text);
  struct tt_constraints *c = tt_constraints_new();
  status = c ? from_json(root, c) : tt_fail(TT_NO_MEMORY, "out of memory");
  json_decref(root);
  if (status != TT_OK) {
    tt_constraints_free(c);
    return tt_fail(status, "%s: not usable constraints", path);
  }
  *ret = c;
  return TT_OK;
}
