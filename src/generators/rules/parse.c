/* Rule file -> tables. What isn't in the grammar (docs/generators.md) is refused, so that a
 * misspelt key is not silently without effect. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "generators/rules/reader.h"

/* ---- calls and workloads ---- */

/* A number, or {"VALUE": weight, ...}. */
static enum tt_status read_rets(struct tt_rules_reader *reader, const json_t *json,
                                struct tt_rules_range *ret) {
  const char *key;
  json_t *weight;
  *ret = (struct tt_rules_range){reader->rules->n_choices, 0};
  if (json_is_integer(json) && json_integer_value(json) > TT_RET_NONE + 1) {
    json_t *one = json_integer(1);
    enum tt_status status = tt_rules_add_choice(reader, "it", one, json_integer_value(json), ret);
    json_decref(one);
    return status;
  }
  if (!json_is_object(json) || json_object_size(json) == 0)
    return tt_rules_bad(reader, "an integer or {\"VALUE\": weight, ...} is wanted");
  json_object_foreach((json_t *)json, key, weight) {
    long long value;
    int end = 0;
    if (sscanf(key, "%lld%n", &value, &end) != 1 || key[end] || value <= TT_RET_NONE + 1)
      return tt_rules_bad(reader, "\"%s\" is no integer", key);
    enum tt_status status = tt_rules_add_choice(reader, key, weight, value, ret);
    if (status != TT_OK)
      return status;
  }
  return TT_OK;
}

static enum tt_status read_call(struct tt_rules_reader *reader, const json_t *json, uint32_t *ret) {
  static const char *const keys[] = {"entry", "exit",   "ret",     "duration", "chains",
                                     "next",  "delays", "comment", NULL};
  struct tt_rules *rules = reader->rules;
  struct tt_rules_call call = {.duration = TT_RULES_NONE};
  enum tt_status status = tt_rules_check_object(reader, json, keys);
  size_t before;
#define FIELD(name, read)                                                                          \
  if (status == TT_OK) {                                                                           \
    before = tt_rules_enter(reader, name);                                                         \
    status = read;                                                                                 \
    if (status == TT_OK)                                                                           \
      tt_rules_leave(reader, before);                                                              \
  }
  FIELD("entry",
        tt_rules_find_event(reader, json_string_value(json_object_get(json, "entry")), &call.entry))
  FIELD("exit",
        tt_rules_find_event(reader, json_string_value(json_object_get(json, "exit")), &call.exit))
  if (json_object_get(json, "ret"))
    FIELD("ret", read_rets(reader, json_object_get(json, "ret"), &call.rets))
  if (json_object_get(json, "duration"))
    FIELD("duration",
          tt_rules_add_distribution(reader, json_object_get(json, "duration"), &call.duration))
  if (status == TT_OK)
    status = tt_rules_read_machine(reader, json, false, &call.machine);
  if (status != TT_OK)
    return status;
  if (tt_grow(&rules->calls_def, &reader->calls_capacity, rules->n_calls + 1,
              sizeof *rules->calls_def) != 0)
    return tt_rules_no_memory(reader);
  *ret = (uint32_t)rules->n_calls;
  rules->calls_def[rules->n_calls++] = call;
  return TT_OK;
}

static enum tt_status read_workload(struct tt_rules_reader *reader, const json_t *json,
                                    uint32_t id) {
  static const char *const keys[] = {"user", "calls", "slice", "comment", NULL};
  static const char *const user_keys[] = {"chains", "next", "delays", "comment", NULL};
  struct tt_rules *rules = reader->rules;
  struct tt_rules_workload *workload = &rules->workloads[id];
  const json_t *user = json_object_get(json, "user");
  const char *key;
  json_t *call;
  enum tt_status status = tt_rules_check_object(reader, json, keys);
  size_t before;
  if (user) {
    before = tt_rules_enter(reader, "user");
    if (status == TT_OK)
      status = tt_rules_check_object(reader, user, user_keys);
    if (status == TT_OK)
      status = tt_rules_read_machine(reader, user, true, &workload->user);
    if (status == TT_OK)
      tt_rules_leave(reader, before);
  }
  if (json_object_get(json, "slice"))
    FIELD("slice",
          tt_rules_add_distribution(reader, json_object_get(json, "slice"), &workload->slice))
  if (status != TT_OK)
    return status;
  before = tt_rules_enter(reader, "calls");
  json_object_foreach(json_object_get(json, "calls"), key, call) {
    size_t inner = tt_rules_enter(reader, key);
    uint32_t name = tt_names_find(&rules->calls, key);
    status = read_call(reader, call, &rules->resolved[id * rules->calls.n + name]);
    if (status != TT_OK)
      return status;
    tt_rules_leave(reader, inner);
  }
  tt_rules_leave(reader, before);
  return TT_OK;
}

/* Names of workloads and calls come first: what refers to them may stand before them. */
static enum tt_status name_workloads(struct tt_rules_reader *reader, const json_t *workloads) {
  struct tt_rules *rules = reader->rules;
  const char *key, *call;
  json_t *value, *ignored;
  size_t before = tt_rules_enter(reader, "workloads"), n_comms = reader->generator->comms.n;
  enum tt_status status = tt_rules_check_object(reader, workloads, NULL);
  if (status != TT_OK)
    return status;
  rules->workload_of = tt_calloc(n_comms, sizeof *rules->workload_of);
  if (!rules->workload_of || tt_names_add(&reader->workloads, "*") == TT_NAME_NONE)
    return tt_rules_no_memory(reader);
  json_object_foreach((json_t *)workloads, key, value) {
    uint32_t id = tt_names_add(&reader->workloads, key);
    uint32_t comm = tt_names_find(&reader->generator->comms, key);
    if (id == TT_NAME_NONE)
      return tt_rules_no_memory(reader);
    if (comm != TT_NAME_NONE)
      rules->workload_of[comm] = id;
    else if (id != 0)
      return tt_rules_bad(reader, "the training dataset has no command name \"%s\"", key);
    size_t inner = tt_rules_enter(reader, key), deeper = tt_rules_enter(reader, "calls");
    status = tt_rules_check_object(reader, json_object_get(value, "calls"), NULL);
    if (status != TT_OK)
      return status;
    json_object_foreach(json_object_get(value, "calls"), call,
                        ignored) if (tt_names_add(&rules->calls, call) ==
                                     TT_NAME_NONE) return tt_rules_no_memory(reader);
    (void)deeper;
    tt_rules_leave(reader, inner);
  }
  tt_rules_leave(reader, before);
  rules->n_workloads = reader->workloads.n;
  rules->workloads = tt_alloc(rules->n_workloads, sizeof *rules->workloads);
  rules->resolved = tt_alloc(rules->n_workloads * rules->calls.n, sizeof *rules->resolved);
  if (!rules->workloads || !rules->resolved)
    return tt_rules_no_memory(reader);
  for (size_t i = 0; i < rules->n_workloads; i++)
    rules->workloads[i] = (struct tt_rules_workload){TT_RULES_NONE, TT_RULES_NONE};
  memset(rules->resolved, 0xff, rules->n_workloads * rules->calls.n * sizeof *rules->resolved);
  return TT_OK;
}

/* A call that a workload doesn't have is that of "*", else the first workload's that has it. */
static void resolve_calls(struct tt_rules *rules) {
  size_t n = rules->calls.n;
  for (size_t name = 0; name < n; name++) {
    uint32_t fallback = TT_RULES_NONE;
    for (size_t i = 0; i < rules->n_workloads && fallback == TT_RULES_NONE; i++)
      fallback = rules->resolved[i * n + name];
    for (size_t i = 0; i < rules->n_workloads; i++)
      if (rules->resolved[i * n + name] == TT_RULES_NONE)
        rules->resolved[i * n + name] = fallback;
  }
}

static enum tt_status read_workloads(struct tt_rules_reader *reader, const json_t *workloads) {
  const char *key;
  json_t *value;
  size_t before = tt_rules_enter(reader, "workloads");
  json_object_foreach((json_t *)workloads, key, value) {
    size_t inner = tt_rules_enter(reader, key);
    enum tt_status status = read_workload(reader, value, tt_names_find(&reader->workloads, key));
    if (status != TT_OK)
      return status;
    tt_rules_leave(reader, inner);
  }
  tt_rules_leave(reader, before);
  for (size_t i = 1; i < reader->rules->n_workloads; i++)
    if (reader->rules->workloads[i].slice == TT_RULES_NONE)
      reader->rules->workloads[i].slice = reader->rules->workloads[0].slice;
  resolve_calls(reader->rules);
  reader->rules->any_user = TT_RULES_NONE;
  for (size_t i = reader->rules->n_workloads; i-- > 0;)
    if (reader->rules->workloads[i].user != TT_RULES_NONE)
      reader->rules->any_user = reader->rules->workloads[i].user;
  return TT_OK;
}

/* ---- interrupts ---- */

static enum tt_status read_source(struct tt_rules_reader *reader, const json_t *json,
                                  struct tt_rules_source *source) {
  static const char *const keys[] = {"every", "idle", "chains", "next", "delays", "comment", NULL};
  const json_t *every = json_object_get(json, "every"), *idle = json_object_get(json, "idle");
  size_t n_cpus = reader->generator->cpu_limit;
  const char *key;
  json_t *value;
  source->every = tt_alloc(n_cpus, sizeof *source->every);
  if (!source->every)
    return tt_rules_no_memory(reader);
  memset(source->every, 0xff, n_cpus * sizeof *source->every);
  enum tt_status status = tt_rules_check_object(reader, json, keys);
  if (status != TT_OK)
    return status;
  if (idle && !json_is_boolean(idle))
    return tt_rules_bad(reader, "\"idle\" is neither true nor false");
  source->idle = !idle || json_is_true(idle);
  size_t before = tt_rules_enter(reader, "every");
  status = tt_rules_check_object(reader, every, NULL);
  if (status == TT_OK && json_object_size(every) == 0)
    status = tt_rules_bad(reader, "{\"CPU or *\": time, ...} is wanted");
  if (status != TT_OK)
    return status;
  json_object_foreach((json_t *)every, key, value) {
    uint16_t cpu = 0;
    uint32_t distribution;
    size_t inner = tt_rules_enter(reader, key);
    status = tt_rules_find_cpu(reader, key, &cpu);
    if (status == TT_OK)
      status = tt_rules_add_distribution(reader, value, &distribution);
    if (status != TT_OK)
      return status;
    for (size_t i = 0; i < n_cpus; i++)
      if (i == cpu || (cpu == TT_RULES_ANY && source->every[i] == TT_RULES_NONE))
        source->every[i] = distribution;
    tt_rules_leave(reader, inner);
  }
  tt_rules_leave(reader, before);
  return tt_rules_read_machine(reader, json, true, &source->does);
}

static enum tt_status read_sources(struct tt_rules_reader *reader, const json_t *sources) {
  struct tt_rules *rules = reader->rules;
  const char *key;
  json_t *value;
  size_t before = tt_rules_enter(reader, "interrupts");
  enum tt_status status = tt_rules_check_object(reader, sources, NULL);
  if (status != TT_OK)
    return status;
  rules->sources = tt_calloc(json_object_size(sources), sizeof *rules->sources);
  if (!rules->sources)
    return tt_rules_no_memory(reader);
  json_object_foreach((json_t *)sources, key, value) {
    size_t inner = tt_rules_enter(reader, key);
    status = read_source(reader, value, &rules->sources[rules->n_sources++]);
    if (status != TT_OK)
      return status;
    tt_rules_leave(reader, inner);
  }
  tt_rules_leave(reader, before);
  return TT_OK;
}

/* ---- the scheduler ---- */

static enum tt_status read_followers(struct tt_rules_reader *reader, const json_t *json,
                                     uint16_t cpu, uint32_t leaving) {
  struct tt_rules *rules = reader->rules;
  struct tt_rules_range row = {rules->n_choices, 0};
  const char *key;
  json_t *weight;
  enum tt_status status = tt_rules_check_object(reader, json, NULL);
  json_object_foreach((json_t *)json, key, weight) {
    uint32_t thread = 0;
    if (status == TT_OK)
      status = tt_rules_find_thread(reader, key, &thread);
    if (status == TT_OK)
      status = tt_rules_add_choice(reader, key, weight, thread, &row);
  }
  if (status != TT_OK)
    return status;
  if (tt_grow(&rules->next_rows, &reader->next_capacity, rules->n_next + 1,
              sizeof *rules->next_rows) != 0 ||
      tt_map_put(&rules->next, tt_rules_next_key(cpu, leaving), (uint32_t)rules->n_next) != 0)
    return tt_rules_no_memory(reader);
  rules->next_rows[rules->n_next++] = row;
  return TT_OK;
}

static enum tt_status read_cpus(struct tt_rules_reader *reader, const json_t *list) {
  size_t n_cpus = reader->generator->cpu_limit, i;
  const json_t *cpu;
  bool *takes_part = tt_calloc(n_cpus, sizeof *takes_part);
  reader->rules->takes_part = takes_part;
  if (!takes_part)
    return tt_rules_no_memory(reader);
  if (list && json_array_size(list) == 0)
    return tt_rules_bad(reader, "\"cpus\" must be a list of CPUs");
  for (i = 0; i < n_cpus; i++)
    takes_part[i] = !list;
  json_array_foreach((json_t *)list, i, cpu) {
    if (!json_is_integer(cpu) || json_integer_value(cpu) < 0 ||
        (uint64_t)json_integer_value(cpu) >= n_cpus)
      return tt_rules_bad(reader, "\"cpus\" must be CPUs from 0 to %zu", n_cpus - 1);
    takes_part[json_integer_value(cpu)] = true;
  }
  return TT_OK;
}

static enum tt_status read_scheduler(struct tt_rules_reader *reader, const json_t *json) {
  static const char *const keys[] = {"cpus", "first", "next", "preempt", "comment", NULL};
  static const char *const machine_keys[] = {"chains", "next", "delays", "comment", NULL};
  const json_t *preempt = json_object_get(json, "preempt"), *next = json_object_get(json, "next");
  const char *cpu_key, *key;
  json_t *rows, *row;
  size_t before = tt_rules_enter(reader, "scheduler"), inner, deeper, deepest;
  enum tt_status status = tt_rules_check_object(reader, json, keys);
  if (status != TT_OK)
    return status;
  status = read_cpus(reader, json_object_get(json, "cpus"));
  if (status != TT_OK)
    return status;
  if (preempt) {
    inner = tt_rules_enter(reader, "preempt");
    status = tt_rules_check_object(reader, preempt, machine_keys);
    if (status == TT_OK)
      status = tt_rules_read_machine(reader, preempt, true, &reader->rules->preempt);
    if (status != TT_OK)
      return status;
    tt_rules_leave(reader, inner);
  }
  inner = tt_rules_enter(reader, "next");
  status = tt_rules_check_object(reader, next, NULL);
  if (status != TT_OK)
    return status;
  json_object_foreach((json_t *)next, cpu_key, rows) {
    uint16_t cpu = 0;
    deeper = tt_rules_enter(reader, cpu_key);
    status = tt_rules_find_cpu(reader, cpu_key, &cpu);
    if (status == TT_OK)
      status = tt_rules_check_object(reader, rows, NULL);
    if (status != TT_OK)
      return status;
    json_object_foreach(rows, key, row) {
      uint32_t leaving = TT_THREAD_ANY;
      deepest = tt_rules_enter(reader, key);
      if (strcmp(key, "*") != 0)
        status = tt_rules_find_thread(reader, key, &leaving);
      if (status == TT_OK)
        status = read_followers(reader, row, cpu, leaving);
      if (status != TT_OK)
        return status;
      tt_rules_leave(reader, deepest);
    }
    tt_rules_leave(reader, deeper);
  }
  tt_rules_leave(reader, before);
  return TT_OK;
}

/* ---- all of it ---- */

static enum tt_status read_returns(struct tt_rules_reader *reader, const json_t *json) {
  struct tt_rules *rules = reader->rules;
  const char *key;
  json_t *value;
  size_t before = tt_rules_enter(reader, "returns");
  enum tt_status status = tt_rules_check_object(reader, json, NULL);
  if (status != TT_OK)
    return status;
  json_object_foreach((json_t *)json, key, value) {
    uint16_t event = 0;
    struct tt_rules_range row;
    size_t inner = tt_rules_enter(reader, key);
    status = tt_rules_find_event(reader, key, &event);
    if (status == TT_OK)
      status = read_rets(reader, value, &row);
    if (status != TT_OK)
      return status;
    if (tt_grow(&rules->return_rows, &reader->returns_capacity, rules->n_returns + 1,
                sizeof *rules->return_rows) != 0 ||
        tt_map_put(&rules->returns, event, (uint32_t)rules->n_returns) != 0)
      return tt_rules_no_memory(reader);
    rules->return_rows[rules->n_returns++] = row;
    tt_rules_leave(reader, inner);
  }
  tt_rules_leave(reader, before);
  return TT_OK;
}

static enum tt_status read_top(struct tt_rules_reader *reader, const json_t *top) {
  static const char *const keys[] = {"format",    "comment",    "threads",   "renames", "returns",
                                     "workloads", "interrupts", "scheduler", "delays",  NULL};
  const json_t *threads = json_object_get(top, "threads"),
               *workloads = json_object_get(top, "workloads");
  const char *key, *format = json_string_value(json_object_get(top, "format"));
  json_t *value, *cast_threads = json_array();
  enum tt_status status = tt_rules_check_object(reader, top, keys);
  if (status == TT_OK && (!format || strcmp(format, TT_RULES_FORMAT) != 0))
    status = tt_rules_bad(reader, "\"format\" must be \"%s\"", TT_RULES_FORMAT);
  if (status != TT_OK || (status = name_workloads(reader, workloads)) != TT_OK ||
      (status = read_workloads(reader, workloads)) != TT_OK)
    goto cleanup;
  size_t before = tt_rules_enter(reader, "threads");
  status = tt_rules_check_object(reader, threads, NULL);
  if (status == TT_OK && json_object_size(threads) == 0)
    status = tt_rules_bad(reader, "at least one thread is wanted");
  reader->rules->newborn = tt_calloc(json_object_size(threads), sizeof(bool));
  if (status == TT_OK && !reader->rules->newborn)
    status = tt_rules_no_memory(reader);
  json_object_foreach((json_t *)threads, key, value) {
    if (status != TT_OK)
      break;
    size_t inner = tt_rules_enter(reader, key);
    status = tt_names_add(&reader->labels, key) == TT_NAME_NONE
                 ? tt_rules_no_memory(reader)
                 : tt_rules_read_thread(reader, value, cast_threads);
    if (status == TT_OK)
      tt_rules_leave(reader, inner);
  }
  if (status != TT_OK)
    goto cleanup;
  tt_rules_leave(reader, before);
  if ((status = read_returns(reader, json_object_get(top, "returns"))) != TT_OK ||
      (status = tt_rules_build_cast(reader, top, cast_threads)) != TT_OK ||
      (status = read_sources(reader, json_object_get(top, "interrupts"))) != TT_OK ||
      (status = read_scheduler(reader, json_object_get(top, "scheduler"))) != TT_OK)
    goto cleanup;
  status = tt_rules_read_delays(reader, json_object_get(top, "delays"), TT_RULES_NONE);
cleanup:
  json_decref(cast_threads);
  return status;
}

enum tt_status tt_rules_parse(const char *file, const char *text, size_t size,
                              const struct tt_generator *generator, struct tt_rules *ret) {
  struct tt_rules rules = {.preempt = TT_RULES_NONE};
  struct tt_rules_reader reader = {.file = file, .generator = generator, .rules = &rules};
  json_error_t error;
  tt_names_init(&rules.calls);
  tt_names_init(&reader.labels);
  tt_names_init(&reader.workloads);
  json_t *top = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
  enum tt_status status =
      top ? read_top(&reader, top)
          : tt_fail(TT_BAD_INPUT, "%s:%d:%d: %s", file, error.line, error.column, error.text);
  json_decref(top);
  tt_names_release(&reader.labels);
  tt_names_release(&reader.workloads);
  if (status == TT_OK)
    *ret = rules;
  else
    tt_rules_release(&rules);
  return status;
}

void tt_rules_release(struct tt_rules *rules) {
  tt_cast_release(&rules->cast);
  tt_names_release(&rules->calls);
  for (size_t i = 0; i < rules->n_sources; i++)
    tt_free(rules->sources[i].every);
  tt_free(rules->newborn);
  tt_free(rules->workload_of);
  tt_free(rules->workloads);
  tt_free(rules->resolved);
  tt_free(rules->calls_def);
  tt_free(rules->sources);
  tt_free(rules->takes_part);
  tt_map_release(&rules->next);
  tt_free(rules->next_rows);
  tt_map_release(&rules->delays);
  tt_map_release(&rules->returns);
  tt_free(rules->return_rows);
  tt_free(rules->items);
  tt_free(rules->choices);
  tt_free(rules->states);
  tt_free(rules->machines);
  tt_free(rules->distributions);
  tt_free(rules->quantiles);
  *rules = (struct tt_rules){0};
}
