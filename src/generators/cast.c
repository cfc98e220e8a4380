#include "generators/cast.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/output.h"
#include "base/rng.h"
#include "dataset/json.h"

#define NO_EVENT UINT16_MAX

/* ---- what names mean ---- */

static const struct {
  const char *prefix;
  enum tt_role role;
  const char *partner; /* prefix of the other side */
} calls[] = {
    {"syscall_entry_", TT_ROLE_ENTRY, "syscall_exit_"},
    {"syscall_exit_", TT_ROLE_EXIT, "syscall_entry_"},
    {"compat_syscall_entry_", TT_ROLE_ENTRY, "compat_syscall_exit_"},
    {"compat_syscall_exit_", TT_ROLE_EXIT, "compat_syscall_entry_"},
    {"syscalls:sys_enter_", TT_ROLE_ENTRY, "syscalls:sys_exit_"},
    {"syscalls:sys_exit_", TT_ROLE_EXIT, "syscalls:sys_enter_"},
    {"sys_enter_", TT_ROLE_ENTRY, "sys_exit_"},
    {"sys_exit_", TT_ROLE_EXIT, "sys_enter_"},
};
#define N_CALLS (sizeof calls / sizeof *calls)

static size_t call_prefix(const char *name) {
  for (size_t i = 0; i < N_CALLS; i++)
    if (strncmp(name, calls[i].prefix, strlen(calls[i].prefix)) == 0)
      return i;
  return N_CALLS;
}

enum tt_role tt_event_role(const char *name) {
  const char *plain = strrchr(name, ':'); /* perf: "sched:sched_switch" */
  plain = plain ? plain + 1 : name;
  if (strcmp(plain, "sched_switch") == 0)
    return TT_ROLE_SWITCH;
  if (strcmp(plain, "sched_process_exit") == 0)
    return TT_ROLE_THREAD_EXIT;
  size_t call = call_prefix(name);
  return call < N_CALLS ? calls[call].role : TT_ROLE_OTHER;
}

static enum tt_status name_events(struct tt_cast *cast, const struct tt_names *names) {
  for (size_t i = 0; i < names->n; i++) {
    const char *name = names->names[i];
    struct tt_cast_event *event = &cast->events[i];
    event->role = (uint8_t)tt_event_role(name);
    event->partner = NO_EVENT;
    cast->switches |= event->role == TT_ROLE_SWITCH;
    size_t call = call_prefix(name);
    if (call == N_CALLS)
      continue;
    char *other = tt_format("%s%s", calls[call].partner, name + strlen(calls[call].prefix));
    if (!other)
      return tt_fail(TT_NO_MEMORY, "pairing system calls");
    uint32_t partner = tt_names_find(names, other);
    tt_free(other);
    if (partner != TT_NAME_NONE)
      event->partner = (uint16_t)partner;
  }
  return TT_OK;
}

/* ---- threads ---- */

static uint64_t thread_key(int32_t tid, uint16_t cpu) {
  return tid == 0 ? (uint64_t)1 << 32 | cpu : (uint32_t)tid;
}

uint32_t tt_cast_find(const struct tt_cast *cast, int32_t tid, uint16_t cpu) {
  uint32_t thread = tt_map_get(&cast->index, thread_key(tid, cpu));
  return thread == TT_MAP_NONE ? TT_THREAD_ANY : thread;
}

static enum tt_status allocate(struct tt_cast *cast, size_t n_events, size_t n_cpus) {
  *cast = (struct tt_cast){.n_events = n_events, .n_cpus = n_cpus};
  cast->events = tt_calloc(n_events, sizeof *cast->events);
  cast->first = tt_alloc(n_cpus, sizeof *cast->first);
  if (!cast->events || !cast->first)
    return tt_fail(TT_NO_MEMORY, "a cast of %zu events on %zu CPUs", n_events, n_cpus);
  for (size_t i = 0; i < n_cpus; i++)
    cast->first[i] = TT_THREAD_ANY;
  return TT_OK;
}

static uint32_t add_thread(struct tt_cast *cast, size_t *capacity, int32_t tid, uint16_t cpu) {
  if (tt_grow(&cast->threads, capacity, cast->n_threads + 1, sizeof *cast->threads) != 0 ||
      tt_map_put(&cast->index, thread_key(tid, cpu), (uint32_t)cast->n_threads) != 0)
    return TT_THREAD_ANY;
  cast->threads[cast->n_threads] = (struct tt_cast_thread){.tid = tid, .cpu = tid == 0 ? cpu : -1};
  return (uint32_t)cast->n_threads++;
}

/* The comm's place in the thread's list, or n_comms. */
static uint32_t comm_place(const struct tt_cast_thread *thread, uint32_t comm) {
  uint32_t place = 0;
  while (place < thread->n_comms && thread->comms[place] != comm)
    place++;
  return place;
}

/* ---- learning ---- */

#define BLOCK ((size_t)1 << 20) /* rows given back at a time */

struct learner {
  const struct tt_dataset *dataset;
  const struct tt_row_set *rows;
  const struct tt_columns *columns;
  struct tt_cast *cast;
  size_t threads_capacity;
  uint32_t *on_cpu;          /* [n_cpus] the thread of the CPU's last row */
  uint64_t *seen, *returned; /* [n_events] */
  uint64_t *renames, *chances;
  uint32_t *place;                  /* [n_threads] where in its comms the thread is */
  uint16_t *last_event;             /* [n_threads] */
  uint64_t (*spent)[TT_CAST_COMMS]; /* [n_threads] events under each of its names */
  struct tt_rng rng;
};

static enum tt_status add_ret(struct learner *learner, uint16_t id, int64_t ret) {
  struct tt_cast_event *event = &learner->cast->events[id];
  uint64_t at = learner->returned[id]++; /* algorithm R (Vitter 1985) */
  if (at < TT_CAST_RETS) {
    size_t capacity = event->n_rets; /* grown at powers of two */
    if ((capacity & (capacity - 1)) == 0 || capacity == 0) {
      int64_t *rets = tt_realloc(event->rets, capacity ? 2 * capacity : 1, sizeof *event->rets);
      if (!rets)
        return tt_fail(TT_NO_MEMORY, "return values");
      event->rets = rets;
    }
    event->rets[event->n_rets++] = ret;
  } else {
    uint64_t place = tt_rng_below(&learner->rng, at + 1);
    if (place < TT_CAST_RETS)
      event->rets[place] = ret;
  }
  return TT_OK;
}

/* A pass over the rows is at row i. */
static void pass_row(const struct learner *learner, uint64_t i) {
  if (i > 0 && i % BLOCK == 0)
    tt_dataset_done_with(learner->dataset, i - BLOCK, BLOCK);
}

/* First pass: who there is, under which names, who ran first, what is returned. */
static enum tt_status meet(struct learner *learner) {
  const struct tt_columns *c = learner->columns;
  struct tt_cast *cast = learner->cast;
  size_t at;
  for (uint64_t i = tt_row_set_first(learner->rows, &at); i != TT_ROW_NONE;
       i = tt_row_set_after(learner->rows, &at, i)) {
    pass_row(learner, i);
    uint16_t cpu = c->cpu[i], event = c->event[i];
    uint32_t last = learner->on_cpu[cpu], thread = last;
    if (last == TT_THREAD_ANY || cast->threads[last].tid != c->tid[i]) {
      thread = tt_cast_find(cast, c->tid[i], cpu);
      if (thread == TT_THREAD_ANY)
        thread = add_thread(cast, &learner->threads_capacity, c->tid[i], cpu);
      if (thread == TT_THREAD_ANY)
        return tt_fail(TT_NO_MEMORY, "%zu threads", cast->n_threads);
      cast->threads[thread].turns++;
      learner->on_cpu[cpu] = thread;
    }
    struct tt_cast_thread *t = &cast->threads[thread];
    if (t->tid != TT_TID_NONE && cast->first[cpu] == TT_THREAD_ANY)
      cast->first[cpu] = thread;
    if (c->comm[i] != TT_COMM_NONE && t->n_comms < TT_CAST_COMMS &&
        comm_place(t, c->comm[i]) == t->n_comms)
      t->comms[t->n_comms++] = c->comm[i];
    learner->seen[event]++;
    if (c->ret[i] != TT_RET_NONE) {
      enum tt_status status = add_ret(learner, event, c->ret[i]);
      if (status != TT_OK)
        return status;
    }
  }
  return TT_OK;
}

/* Second pass, the names' lists being complete: at which events threads move on to their next name
 * (the last event under the old one), among all events of threads that still have one. */
static void follow_names(struct learner *learner) {
  const struct tt_columns *c = learner->columns;
  const struct tt_cast *cast = learner->cast;
  for (size_t i = 0; i < cast->n_cpus; i++)
    learner->on_cpu[i] = TT_THREAD_ANY;
  size_t at;
  for (uint64_t i = tt_row_set_first(learner->rows, &at); i != TT_ROW_NONE;
       i = tt_row_set_after(learner->rows, &at, i)) {
    pass_row(learner, i);
    uint16_t cpu = c->cpu[i];
    uint32_t thread = learner->on_cpu[cpu];
    if (thread == TT_THREAD_ANY || cast->threads[thread].tid != c->tid[i])
      thread = learner->on_cpu[cpu] = tt_cast_find(cast, c->tid[i], cpu);
    const struct tt_cast_thread *t = &cast->threads[thread];
    if (t->n_comms < 2 || c->comm[i] == TT_COMM_NONE)
      continue;
    uint32_t place = comm_place(t, c->comm[i]);
    if (place == learner->place[thread] + 1 && learner->last_event[thread] != NO_EVENT)
      learner->renames[learner->last_event[thread]]++;
    if (place < t->n_comms) {
      learner->place[thread] = place;
      learner->spent[thread][place]++;
    }
    if (learner->place[thread] + 1 < t->n_comms)
      learner->chances[c->event[i]]++;
    learner->last_event[thread] = c->event[i];
  }
}

static int compare_int64(const void *left, const void *right) {
  int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
  return a < b ? -1 : a > b;
}

enum tt_status tt_cast_build(const struct tt_dataset *train, const struct tt_row_set *rows,
                             uint64_t seed, struct tt_cast *ret) {
  const struct tt_names *names = &tt_dataset_meta(train)->events;
  const uint64_t n = tt_dataset_columns(train)->n;
  struct tt_row_range range = {0, n};
  const struct tt_row_set all = {&range, n > 0, n};
  struct tt_cast cast = {0};
  struct learner learner = {.dataset = train,
                            .rows = rows ? rows : &all,
                            .columns = tt_dataset_columns(train),
                            .cast = &cast};
  tt_rng_init(&learner.rng, seed, UINT64_C(0xca57));
  enum tt_status status = allocate(&cast, names->n, tt_dataset_cpu_limit(train));
  if (status == TT_OK)
    status = name_events(&cast, names);
  if (status != TT_OK)
    goto cleanup;
  learner.on_cpu = tt_alloc(cast.n_cpus, sizeof *learner.on_cpu);
  learner.seen = tt_calloc(cast.n_events, sizeof *learner.seen);
  learner.returned = tt_calloc(cast.n_events, sizeof *learner.returned);
  learner.renames = tt_calloc(cast.n_events, sizeof *learner.renames);
  learner.chances = tt_calloc(cast.n_events, sizeof *learner.chances);
  if (!learner.on_cpu || !learner.seen || !learner.returned || !learner.renames ||
      !learner.chances) {
    status = tt_fail(TT_NO_MEMORY, "a cast of %zu events", cast.n_events);
    goto cleanup;
  }
  for (size_t i = 0; i < cast.n_cpus; i++)
    learner.on_cpu[i] = TT_THREAD_ANY;
  status = meet(&learner);
  if (status != TT_OK)
    goto cleanup;
  learner.place = tt_calloc(cast.n_threads, sizeof *learner.place);
  learner.last_event = tt_alloc(cast.n_threads, sizeof *learner.last_event);
  learner.spent = tt_calloc(cast.n_threads, sizeof *learner.spent);
  if (!learner.place || !learner.last_event || !learner.spent) {
    status = tt_fail(TT_NO_MEMORY, "a cast of %zu threads", cast.n_threads);
    goto cleanup;
  }
  memset(learner.last_event, 0xff, cast.n_threads * sizeof *learner.last_event);
  follow_names(&learner);
  for (size_t i = 0; i < cast.n_threads; i++)
    for (uint32_t k = 1; k < cast.threads[i].n_comms; k++)
      if (learner.spent[i][k] > learner.spent[i][cast.threads[i].usual])
        cast.threads[i].usual = k;
  for (size_t i = 0; i < cast.n_events; i++) {
    struct tt_cast_event *event = &cast.events[i];
    if (learner.chances[i])
      event->rename = (float)((double)learner.renames[i] / (double)learner.chances[i]);
    if (event->n_rets) {
      event->returns = (float)((double)learner.returned[i] / (double)learner.seen[i]);
      qsort(event->rets, event->n_rets, sizeof *event->rets, compare_int64);
    }
  }
cleanup:
  tt_free(learner.on_cpu);
  tt_free(learner.seen);
  tt_free(learner.returned);
  tt_free(learner.renames);
  tt_free(learner.chances);
  tt_free(learner.place);
  tt_free(learner.last_event);
  tt_free(learner.spent);
  if (status == TT_OK)
    *ret = cast;
  else
    tt_cast_release(&cast);
  return status;
}

void tt_cast_release(struct tt_cast *cast) {
  for (size_t i = 0; cast->events && i < cast->n_events; i++)
    tt_free(cast->events[i].rets);
  tt_free(cast->events);
  tt_free(cast->threads);
  tt_free(cast->first);
  tt_map_release(&cast->index);
  *cast = (struct tt_cast){0};
}

/* ---- JSON: {"threads": [[tid, cpu, turns, usual, [comm, ...]], ...],
 *             "events": [[rename, returns, [ret, ...]], ...], "first": [thread or -1, ...]} ---- */

json_t *tt_cast_to_json(const struct tt_cast *cast) {
  json_t *threads = json_array(), *events = json_array(), *first = json_array();
  int failed = !threads || !events || !first;
  for (size_t i = 0; !failed && i < cast->n_threads; i++) {
    const struct tt_cast_thread *thread = &cast->threads[i];
    json_t *comms = json_array();
    for (uint32_t k = 0; k < thread->n_comms; k++)
      failed |= json_array_append_new(comms, json_integer(thread->comms[k]));
    failed |= json_array_append_new(threads, json_pack("[i, i, I, I, o]", thread->tid, thread->cpu,
                                                       (json_int_t)thread->turns,
                                                       (json_int_t)thread->usual, comms));
  }
  for (size_t i = 0; !failed && i < cast->n_events; i++) {
    const struct tt_cast_event *event = &cast->events[i];
    json_t *rets = json_array();
    for (uint32_t k = 0; k < event->n_rets; k++)
      failed |= json_array_append_new(rets, json_integer(event->rets[k]));
    failed |= json_array_append_new(
        events, json_pack("[f, f, o]", (double)event->rename, (double)event->returns, rets));
  }
  for (size_t i = 0; !failed && i < cast->n_cpus; i++)
    failed |= json_array_append_new(
        first, json_integer(cast->first[i] == TT_THREAD_ANY ? -1 : (json_int_t)cast->first[i]));
  json_t *object =
      json_pack("{s:o, s:o, s:o}", "threads", threads, "events", events, "first", first);
  if (failed) {
    json_decref(object);
    return NULL;
  }
  return object;
}

static enum tt_status read_threads(const json_t *object, size_t n_comms, struct tt_cast *cast) {
  const json_t *array;
  size_t capacity = 0;
  enum tt_status status = tt_json_get_array(object, "threads", TT_MAP_NONE - 1, &array);
  if (status != TT_OK)
    return status;
  for (size_t i = 0; i < json_array_size(array); i++) {
    json_int_t tid, cpu, turns, usual;
    json_t *comms;
    if (json_unpack(json_array_get(array, i), "[I, I, I, I, o!]", &tid, &cpu, &turns, &usual,
                    &comms) != 0 ||
        tid < INT32_MIN || tid > INT32_MAX || turns < 0 || !json_is_array(comms) ||
        json_array_size(comms) > TT_CAST_COMMS || usual < 0 ||
        (usual > 0 && (uint64_t)usual >= json_array_size(comms)) ||
        (tid == 0 ? cpu < 0 || (uint64_t)cpu >= cast->n_cpus : cpu != -1) ||
        tt_cast_find(cast, (int32_t)tid, (uint16_t)cpu) != TT_THREAD_ANY)
      return tt_fail(TT_BAD_INPUT, "\"threads\"[%zu] is not a thread, or there twice", i);
    if (add_thread(cast, &capacity, (int32_t)tid, (uint16_t)cpu) == TT_THREAD_ANY)
      return tt_fail(TT_NO_MEMORY, "%zu threads", i);
    struct tt_cast_thread *thread = &cast->threads[i];
    thread->turns = (uint64_t)turns;
    thread->usual = (uint32_t)usual;
    for (size_t k = 0; k < json_array_size(comms); k++) {
      const json_t *comm = json_array_get(comms, k);
      if (!json_is_integer(comm) || json_integer_value(comm) < 0 ||
          (uint64_t)json_integer_value(comm) >= n_comms)
        return tt_fail(TT_BAD_INPUT, "\"threads\"[%zu]: comm %zu is out of range", i, k);
      thread->comms[thread->n_comms++] = (uint32_t)json_integer_value(comm);
    }
  }
  return TT_OK;
}

static enum tt_status read_events(const json_t *object, struct tt_cast *cast) {
  const json_t *array;
  enum tt_status status = tt_json_get_array(object, "events", cast->n_events, &array);
  if (status != TT_OK)
    return status;
  if (json_array_size(array) != cast->n_events)
    return tt_fail(TT_BAD_INPUT, "\"events\" has %zu entries, not %zu", json_array_size(array),
                   cast->n_events);
  for (size_t i = 0; i < cast->n_events; i++) {
    double rename, returns;
    json_t *rets;
    if (json_unpack(json_array_get(array, i), "[F, F, o!]", &rename, &returns, &rets) != 0 ||
        !(rename >= 0 && rename <= 1) || !(returns >= 0 && returns <= 1) || !json_is_array(rets) ||
        json_array_size(rets) > TT_CAST_RETS)
      return tt_fail(TT_BAD_INPUT, "\"events\"[%zu] is not [rename, returns, [values]]", i);
    struct tt_cast_event *event = &cast->events[i];
    event->rename = (float)rename;
    event->returns = (float)returns;
    event->rets = tt_alloc(json_array_size(rets), sizeof *event->rets);
    if (!event->rets)
      return tt_fail(TT_NO_MEMORY, "return values");
    for (size_t k = 0; k < json_array_size(rets); k++) {
      const json_t *value = json_array_get(rets, k);
      if (!json_is_integer(value) || json_integer_value(value) <= TT_RET_NONE + 1)
        return tt_fail(TT_BAD_INPUT, "\"events\"[%zu]: return value %zu", i, k);
      event->rets[event->n_rets++] = json_integer_value(value);
    }
  }
  return TT_OK;
}

static enum tt_status read_first(const json_t *object, struct tt_cast *cast) {
  const json_t *array;
  enum tt_status status = tt_json_get_array(object, "first", cast->n_cpus, &array);
  if (status != TT_OK)
    return status;
  for (size_t i = 0; i < json_array_size(array); i++) {
    const json_t *value = json_array_get(array, i);
    json_int_t thread = json_integer_value(value);
    if (!json_is_integer(value) || thread < -1 || thread >= (json_int_t)cast->n_threads)
      return tt_fail(TT_BAD_INPUT, "\"first\"[%zu] is not a thread", i);
    if (thread >= 0)
      cast->first[i] = (uint32_t)thread;
  }
  return TT_OK;
}

enum tt_status tt_cast_from_json(const json_t *object, const struct tt_names *events,
                                 size_t n_comms, size_t n_cpus, struct tt_cast *ret) {
  struct tt_cast cast;
  enum tt_status status = allocate(&cast, events->n, n_cpus);
  if (status == TT_OK)
    status = name_events(&cast, events);
  if (status == TT_OK)
    status = read_threads(object, n_comms, &cast);
  if (status == TT_OK)
    status = read_events(object, &cast);
  if (status == TT_OK)
    status = read_first(object, &cast);
  if (status != TT_OK) {
    tt_cast_release(&cast);
    return tt_fail(status, "in the cast");
  }
  *ret = cast;
  return TT_OK;
}
