/* Rule file -> tables. The reader keeps the path of keys it is at, so that every complaint says
 * where; what isn't in the grammar (docs/generators.md) is refused, so that a misspelt key is not
 * silently without effect. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/output.h"
#include "dataset/json.h"
#include "generators/rules/rules.h"

struct reader {
  const char *file;
  const struct tt_generator *generator;
  struct tt_rules *rules;
  struct tt_names labels;    /* of threads */
  struct tt_names workloads; /* "*" first */
  char path[512];
  size_t path_length;
  size_t items_capacity, choices_capacity, states_capacity, machines_capacity,
      distributions_capacity, quantiles_capacity, calls_capacity, next_capacity, returns_capacity;
};

static enum tt_status no_memory(const struct reader *reader) {
  return tt_fail(TT_NO_MEMORY, "the rules of %s", reader->file);
}

static enum tt_status bad(const struct reader *reader, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static enum tt_status bad(const struct reader *reader, const char *format, ...) {
  char text[400];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return tt_fail(TT_BAD_INPUT, "%s: %s: %s", reader->file,
                 reader->path_length ? reader->path : "top", text);
}

/* Goes down to a key; leave() with what it returns. */
static size_t enter(struct reader *reader, const char *key) {
  size_t before = reader->path_length, left = sizeof reader->path - before;
  int n = snprintf(reader->path + before, left, "%s%s", before ? "." : "", key);
  reader->path_length += n > 0 && (size_t)n < left ? (size_t)n : left - 1;
  return before;
}

static void leave(struct reader *reader, size_t before) {
  reader->path[before] = 0;
  reader->path_length = before;
}

/* An object with none but the allowed keys, which end with NULL; NULL json is an empty one. */
static enum tt_status check_object(struct reader *reader, const json_t *json,
                                   const char *const *allowed) {
  const char *key;
  json_t *value;
  if (json && !json_is_object(json))
    return bad(reader, "an object { } is wanted");
  json_object_foreach((json_t *)json, key, value) {
    size_t i = 0;
    while (allowed && allowed[i] && strcmp(allowed[i], key) != 0)
      i++;
    if (allowed && !allowed[i])
      return bad(reader, "there is no rule called \"%s\" here", key);
  }
  return TT_OK;
}

static enum tt_status find_event(const struct reader *reader, const char *name, uint16_t *ret) {
  uint32_t id = name ? tt_names_find(&reader->generator->events, name) : TT_NAME_NONE;
  if (id == TT_NAME_NONE)
    return bad(reader, name ? "the training dataset has no event \"%s\"" : "an event is wanted%s",
               name ? name : "");
  *ret = (uint16_t)id;
  return TT_OK;
}

static enum tt_status find_cpu(const struct reader *reader, const char *key, uint16_t *ret) {
  unsigned cpu;
  int end = 0;
  if (strcmp(key, "*") == 0) {
    *ret = TT_RULES_ANY;
    return TT_OK;
  }
  if (sscanf(key, "%5u%n", &cpu, &end) != 1 || key[end] || cpu >= reader->generator->cpu_limit)
    return bad(reader, "\"%s\" is no CPU from 0 to %zu, nor \"*\"", key,
               reader->generator->cpu_limit - 1);
  *ret = (uint16_t)cpu;
  return TT_OK;
}

static enum tt_status add_distribution(struct reader *reader, const json_t *json, uint32_t *ret) {
  struct tt_rules *rules = reader->rules;
  if (tt_grow(&rules->distributions, &reader->distributions_capacity, rules->n_distributions + 1,
              sizeof *rules->distributions) != 0)
    return no_memory(reader);
  const char *wrong = tt_distribution_read(json, &rules->quantiles, &rules->n_quantiles,
                                           &reader->quantiles_capacity,
                                           &rules->distributions[rules->n_distributions]);
  if (wrong)
    return *wrong ? bad(reader, "%s", wrong) : no_memory(reader);
  *ret = (uint32_t)rules->n_distributions++;
  return TT_OK;
}

static enum tt_status add_choice(struct reader *reader, const char *key, const json_t *weight,
                                 int64_t what, struct tt_rules_range *range) {
  struct tt_rules *rules = reader->rules;
  double value = json_number_value(weight);
  if (!json_is_number(weight) || !(value > 0 && value < 1e15))
    return bad(reader, "the weight of \"%s\" must be a number above 0", key);
  if (tt_grow(&rules->choices, &reader->choices_capacity, rules->n_choices + 1,
              sizeof *rules->choices) != 0)
    return no_memory(reader);
  double before = range->n ? rules->choices[rules->n_choices - 1].upto : 0;
  rules->choices[rules->n_choices++] = (struct tt_rules_choice){what, before + value};
  range->n++;
  return TT_OK;
}

/* ---- machines ---- */

static enum tt_status add_item(struct reader *reader, const char *name,
                               struct tt_rules_range *items) {
  struct tt_rules *rules = reader->rules;
  uint32_t item = TT_RULES_NONE;
  uint16_t event = 0;
  if (name && name[0] == '@') {
    item = tt_names_find(&rules->calls, name + 1);
    if (item == TT_NAME_NONE)
      return bad(reader, "\"%s\": no workload has a call \"%s\"", name, name + 1);
    item += TT_RULES_CALL;
  } else {
    enum tt_status status = find_event(reader, name, &event);
    if (status != TT_OK)
      return status;
    item = event;
  }
  if (tt_grow(&rules->items, &reader->items_capacity, rules->n_items + 1, sizeof *rules->items) !=
      0)
    return no_memory(reader);
  rules->items[rules->n_items++] = item;
  items->n++;
  return TT_OK;
}

/* The number of a machine's state, adding the state when it is new. `first`: the machine's first.
 */
static enum tt_status find_state(struct reader *reader, const json_t *chains, const char *name,
                                 struct tt_names *states, size_t first, int64_t *ret) {
  struct tt_rules *rules = reader->rules;
  const json_t *chain = json_object_get(chains, name);
  uint32_t id = tt_names_add(states, name);
  if (id == TT_NAME_NONE || tt_grow(&rules->states, &reader->states_capacity, rules->n_states + 1,
                                    sizeof *rules->states) != 0)
    return no_memory(reader);
  *ret = (int64_t)(first + id);
  if (first + id < rules->n_states)
    return TT_OK;
  struct tt_rules_state state = {.items.first = rules->n_items};
  enum tt_status status = TT_OK;
  if (chain) {
    const json_t *item;
    size_t i;
    json_array_foreach((json_t *)chain, i, item) if (status == TT_OK) status =
        add_item(reader, json_string_value(item), &state.items);
    if (status == TT_OK && state.items.n == 0)
      status = bad(reader, "the chain \"%s\" is not a list of events and @calls", name);
  } else {
    status = add_item(reader, name, &state.items);
  }
  rules->states[rules->n_states++] = state;
  return status;
}

static enum tt_status read_choices(struct reader *reader, const json_t *chains,
                                   const json_t *choices, struct tt_names *states, size_t first,
                                   struct tt_rules_range *ret) {
  const char *key;
  json_t *weight;
  enum tt_status status = check_object(reader, choices, NULL);
  *ret = (struct tt_rules_range){reader->rules->n_choices, 0};
  if (status != TT_OK)
    return status;
  if (json_object_size(choices) == 0)
    return bad(reader, "nothing follows; \"end\" is wanted if that is meant");
  json_object_foreach((json_t *)choices, key, weight) {
    int64_t state = TT_RULES_END;
    if (strcmp(key, "start") == 0 || strcmp(key, "running") == 0)
      return bad(
          reader,
          "\"start\" and \"running\" follow nothing; \"end\" is wanted if the machine begins anew");
    if (strcmp(key, "end") != 0)
      status = find_state(reader, chains, key, states, first, &state);
    if (status == TT_OK)
      status = add_choice(reader, key, weight, state, ret);
    if (status != TT_OK)
      return status;
  }
  return TT_OK;
}

/* {"PREVIOUS > EVENT": time, "EVENT": time, "*": time} */
static enum tt_status read_delays(struct reader *reader, const json_t *delays, uint32_t machine) {
  const char *key;
  json_t *value;
  size_t before = enter(reader, "delays");
  enum tt_status status = check_object(reader, delays, NULL);
  if (status != TT_OK)
    return status;
  json_object_foreach((json_t *)delays, key, value) {
    const char *arrow = strstr(key, " > ");
    uint16_t previous = TT_RULES_ANY, event = TT_RULES_ANY;
    uint32_t distribution;
    size_t inner = enter(reader, key);
    if (arrow) {
      char *name = tt_format("%.*s", (int)(arrow - key), key);
      if (!name)
        return no_memory(reader);
      status = find_event(reader, name, &previous);
      tt_free(name);
    }
    if (status == TT_OK && strcmp(key, "*") != 0)
      status = find_event(reader, arrow ? arrow + 3 : key, &event);
    if (status == TT_OK)
      status = add_distribution(reader, value, &distribution);
    if (status != TT_OK)
      return status;
    if (tt_map_put(&reader->rules->delays, tt_rules_delay_key(machine, previous, event),
                   distribution) != 0)
      return no_memory(reader);
    leave(reader, inner);
  }
  leave(reader, before);
  return TT_OK;
}

/* "chains", "next" and "delays" of an object; its other keys are the caller's. `endless`: it may
 * not end at once. Without "next" it does nothing. */
static enum tt_status read_machine(struct reader *reader, const json_t *json, bool endless,
                                   uint32_t *ret) {
  struct tt_rules *rules = reader->rules;
  const json_t *chains = json_object_get(json, "chains"), *next = json_object_get(json, "next");
  const char *key;
  json_t *value;
  size_t first = rules->n_states, before;
  uint32_t id = (uint32_t)rules->n_machines;
  struct tt_rules_machine machine = {{0, 0}, {0, 0}};
  struct tt_names states;
  if (tt_grow(&rules->machines, &reader->machines_capacity, id + 1, sizeof *rules->machines) != 0)
    return no_memory(reader);
  tt_names_init(&states);
  before = enter(reader, "chains");
  enum tt_status status = check_object(reader, chains, NULL);
  if (status == TT_OK && (json_object_get(chains, "start") || json_object_get(chains, "running") ||
                          json_object_get(chains, "end")))
    status = bad(reader, "no chain can be called \"start\", \"running\" or \"end\"");
  json_object_foreach((json_t *)chains, key, value) {
    int64_t state;
    if (status == TT_OK)
      status = find_state(reader, chains, key, &states, first, &state);
  }
  if (status != TT_OK)
    goto cleanup;
  leave(reader, before);
  before = enter(reader, "next");
  status = check_object(reader, next, NULL);
  if (status == TT_OK && endless && !json_object_get(next, "start"))
    status = bad(reader, "\"start\" is missing");
  if (status != TT_OK)
    goto cleanup;
  json_object_foreach((json_t *)next, key, value) {
    int64_t state;
    struct tt_rules_range range = {0, 0};
    bool start = strcmp(key, "start") == 0, running = strcmp(key, "running") == 0;
    size_t inner = enter(reader, key);
    if (strcmp(key, "end") == 0)
      status = bad(reader, "nothing follows the end");
    else if (!start && !running)
      status = find_state(reader, chains, key, &states, first, &state);
    if (status == TT_OK)
      status = read_choices(reader, chains, value, &states, first, &range);
    if (status == TT_OK && (start || running) && endless && json_object_get(value, "end"))
      status = bad(reader, "it can't end before anything happened");
    if (status != TT_OK)
      goto cleanup;
    if (start)
      machine.start = range;
    else if (running)
      machine.running = range;
    else
      rules->states[state].next = range;
    leave(reader, inner);
  }
  leave(reader, before);
  rules->machines[rules->n_machines++] = machine;
  status = read_delays(reader, json_object_get(json, "delays"), id);
  *ret = id;
cleanup:
  tt_names_release(&states);
  return status;
}

/* ---- calls and workloads ---- */

/* A number, or {"VALUE": weight, ...}. */
static enum tt_status read_rets(struct reader *reader, const json_t *json,
                                struct tt_rules_range *ret) {
  const char *key;
  json_t *weight;
  *ret = (struct tt_rules_range){reader->rules->n_choices, 0};
  if (json_is_integer(json) && json_integer_value(json) > TT_RET_NONE + 1) {
    json_t *one = json_integer(1);
    enum tt_status status = add_choice(reader, "it", one, json_integer_value(json), ret);
    json_decref(one);
    return status;
  }
  if (!json_is_object(json) || json_object_size(json) == 0)
    return bad(reader, "an integer or {\"VALUE\": weight, ...} is wanted");
  json_object_foreach((json_t *)json, key, weight) {
    long long value;
    int end = 0;
    if (sscanf(key, "%lld%n", &value, &end) != 1 || key[end] || value <= TT_RET_NONE + 1)
      return bad(reader, "\"%s\" is no integer", key);
    enum tt_status status = add_choice(reader, key, weight, value, ret);
    if (status != TT_OK)
      return status;
  }
  return TT_OK;
}

static enum tt_status read_call(struct reader *reader, const json_t *json, uint32_t *ret) {
  static const char *const keys[] = {"entry", "exit",   "ret",     "duration", "chains",
                                     "next",  "delays", "comment", NULL};
  struct tt_rules *rules = reader->rules;
  struct tt_rules_call call = {.duration = TT_RULES_NONE};
  enum tt_status status = check_object(reader, json, keys);
  size_t before;
#define FIELD(name, read)                                                                          \
  if (status == TT_OK) {                                                                           \
    before = enter(reader, name);                                                                  \
    status = read;                                                                                 \
    if (status == TT_OK)                                                                           \
      leave(reader, before);                                                                       \
  }
  FIELD("entry", find_event(reader, json_string_value(json_object_get(json, "entry")), &call.entry))
  FIELD("exit", find_event(reader, json_string_value(json_object_get(json, "exit")), &call.exit))
  if (json_object_get(json, "ret"))
    FIELD("ret", read_rets(reader, json_object_get(json, "ret"), &call.rets))
  if (json_object_get(json, "duration"))
    FIELD("duration", add_distribution(reader, json_object_get(json, "duration"), &call.duration))
  if (status == TT_OK)
    status = read_machine(reader, json, false, &call.machine);
  if (status != TT_OK)
    return status;
  if (tt_grow(&rules->calls_def, &reader->calls_capacity, rules->n_calls + 1,
              sizeof *rules->calls_def) != 0)
    return no_memory(reader);
  *ret = (uint32_t)rules->n_calls;
  rules->calls_def[rules->n_calls++] = call;
  return TT_OK;
}

static enum tt_status read_workload(struct reader *reader, const json_t *json, uint32_t id) {
  static const char *const keys[] = {"user", "calls", "slice", "comment", NULL};
  static const char *const user_keys[] = {"chains", "next", "delays", "comment", NULL};
  struct tt_rules *rules = reader->rules;
  struct tt_rules_workload *workload = &rules->workloads[id];
  const json_t *user = json_object_get(json, "user");
  const char *key;
  json_t *call;
  enum tt_status status = check_object(reader, json, keys);
  size_t before;
  if (user) {
    before = enter(reader, "user");
    if (status == TT_OK)
      status = check_object(reader, user, user_keys);
    if (status == TT_OK)
      status = read_machine(reader, user, true, &workload->user);
    if (status == TT_OK)
      leave(reader, before);
  }
  if (json_object_get(json, "slice"))
    FIELD("slice", add_distribution(reader, json_object_get(json, "slice"), &workload->slice))
  if (status != TT_OK)
    return status;
  before = enter(reader, "calls");
  json_object_foreach(json_object_get(json, "calls"), key, call) {
    size_t inner = enter(reader, key);
    uint32_t name = tt_names_find(&rules->calls, key);
    status = read_call(reader, call, &rules->resolved[id * rules->calls.n + name]);
    if (status != TT_OK)
      return status;
    leave(reader, inner);
  }
  leave(reader, before);
  return TT_OK;
}

/* Names of workloads and calls come first: what refers to them may stand before them. */
static enum tt_status name_workloads(struct reader *reader, const json_t *workloads) {
  struct tt_rules *rules = reader->rules;
  const char *key, *call;
  json_t *value, *ignored;
  size_t before = enter(reader, "workloads"), n_comms = reader->generator->comms.n;
  enum tt_status status = check_object(reader, workloads, NULL);
  if (status != TT_OK)
    return status;
  rules->workload_of = tt_calloc(n_comms, sizeof *rules->workload_of);
  if (!rules->workload_of || tt_names_add(&reader->workloads, "*") == TT_NAME_NONE)
    return no_memory(reader);
  json_object_foreach((json_t *)workloads, key, value) {
    uint32_t id = tt_names_add(&reader->workloads, key);
    uint32_t comm = tt_names_find(&reader->generator->comms, key);
    if (id == TT_NAME_NONE)
      return no_memory(reader);
    if (comm != TT_NAME_NONE)
      rules->workload_of[comm] = id;
    else if (id != 0)
      return bad(reader, "the training dataset has no command name \"%s\"", key);
    size_t inner = enter(reader, key), deeper = enter(reader, "calls");
    status = check_object(reader, json_object_get(value, "calls"), NULL);
    if (status != TT_OK)
      return status;
    json_object_foreach(json_object_get(value, "calls"), call,
                        ignored) if (tt_names_add(&rules->calls, call) ==
                                     TT_NAME_NONE) return no_memory(reader);
    (void)deeper;
    leave(reader, inner);
  }
  leave(reader, before);
  rules->n_workloads = reader->workloads.n;
  rules->workloads = tt_alloc(rules->n_workloads, sizeof *rules->workloads);
  rules->resolved = tt_alloc(rules->n_workloads * rules->calls.n, sizeof *rules->resolved);
  if (!rules->workloads || !rules->resolved)
    return no_memory(reader);
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

static enum tt_status read_workloads(struct reader *reader, const json_t *workloads) {
  const char *key;
  json_t *value;
  size_t before = enter(reader, "workloads");
  json_object_foreach((json_t *)workloads, key, value) {
    size_t inner = enter(reader, key);
    enum tt_status status = read_workload(reader, value, tt_names_find(&reader->workloads, key));
    if (status != TT_OK)
      return status;
    leave(reader, inner);
  }
  leave(reader, before);
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

static enum tt_status read_source(struct reader *reader, const json_t *json,
                                  struct tt_rules_source *source) {
  static const char *const keys[] = {"every", "idle", "chains", "next", "delays", "comment", NULL};
  const json_t *every = json_object_get(json, "every"), *idle = json_object_get(json, "idle");
  size_t n_cpus = reader->generator->cpu_limit;
  const char *key;
  json_t *value;
  source->every = tt_alloc(n_cpus, sizeof *source->every);
  if (!source->every)
    return no_memory(reader);
  memset(source->every, 0xff, n_cpus * sizeof *source->every);
  enum tt_status status = check_object(reader, json, keys);
  if (status != TT_OK)
    return status;
  if (idle && !json_is_boolean(idle))
    return bad(reader, "\"idle\" is neither true nor false");
  source->idle = !idle || json_is_true(idle);
  size_t before = enter(reader, "every");
  status = check_object(reader, every, NULL);
  if (status == TT_OK && json_object_size(every) == 0)
    status = bad(reader, "{\"CPU or *\": time, ...} is wanted");
  if (status != TT_OK)
    return status;
  json_object_foreach((json_t *)every, key, value) {
    uint16_t cpu = 0;
    uint32_t distribution;
    size_t inner = enter(reader, key);
    status = find_cpu(reader, key, &cpu);
    if (status == TT_OK)
      status = add_distribution(reader, value, &distribution);
    if (status != TT_OK)
      return status;
    for (size_t i = 0; i < n_cpus; i++)
      if (i == cpu || (cpu == TT_RULES_ANY && source->every[i] == TT_RULES_NONE))
        source->every[i] = distribution;
    leave(reader, inner);
  }
  leave(reader, before);
  return read_machine(reader, json, true, &source->does);
}

static enum tt_status read_sources(struct reader *reader, const json_t *sources) {
  struct tt_rules *rules = reader->rules;
  const char *key;
  json_t *value;
  size_t before = enter(reader, "interrupts");
  enum tt_status status = check_object(reader, sources, NULL);
  if (status != TT_OK)
    return status;
  rules->sources = tt_calloc(json_object_size(sources), sizeof *rules->sources);
  if (!rules->sources)
    return no_memory(reader);
  json_object_foreach((json_t *)sources, key, value) {
    size_t inner = enter(reader, key);
    status = read_source(reader, value, &rules->sources[rules->n_sources++]);
    if (status != TT_OK)
      return status;
    leave(reader, inner);
  }
  leave(reader, before);
  return TT_OK;
}

/* ---- the scheduler ---- */

static enum tt_status find_thread(const struct reader *reader, const char *label, uint32_t *ret) {
  *ret = label ? tt_names_find(&reader->labels, label) : TT_NAME_NONE;
  return *ret == TT_NAME_NONE ? bad(reader, "\"%s\" is none of \"threads\"", label ? label : "null")
                              : TT_OK;
}

static enum tt_status read_followers(struct reader *reader, const json_t *json, uint16_t cpu,
                                     uint32_t leaving) {
  struct tt_rules *rules = reader->rules;
  struct tt_rules_range row = {rules->n_choices, 0};
  const char *key;
  json_t *weight;
  enum tt_status status = check_object(reader, json, NULL);
  json_object_foreach((json_t *)json, key, weight) {
    uint32_t thread = 0;
    if (status == TT_OK)
      status = find_thread(reader, key, &thread);
    if (status == TT_OK)
      status = add_choice(reader, key, weight, thread, &row);
  }
  if (status != TT_OK)
    return status;
  if (tt_grow(&rules->next_rows, &reader->next_capacity, rules->n_next + 1,
              sizeof *rules->next_rows) != 0 ||
      tt_map_put(&rules->next, tt_rules_next_key(cpu, leaving), (uint32_t)rules->n_next) != 0)
    return no_memory(reader);
  rules->next_rows[rules->n_next++] = row;
  return TT_OK;
}

static enum tt_status read_cpus(struct reader *reader, const json_t *list) {
  size_t n_cpus = reader->generator->cpu_limit, i;
  const json_t *cpu;
  bool *takes_part = tt_calloc(n_cpus, sizeof *takes_part);
  reader->rules->takes_part = takes_part;
  if (!takes_part)
    return no_memory(reader);
  if (list && json_array_size(list) == 0)
    return bad(reader, "\"cpus\" must be a list of CPUs");
  for (i = 0; i < n_cpus; i++)
    takes_part[i] = !list;
  json_array_foreach((json_t *)list, i, cpu) {
    if (!json_is_integer(cpu) || json_integer_value(cpu) < 0 ||
        (uint64_t)json_integer_value(cpu) >= n_cpus)
      return bad(reader, "\"cpus\" must be CPUs from 0 to %zu", n_cpus - 1);
    takes_part[json_integer_value(cpu)] = true;
  }
  return TT_OK;
}

static enum tt_status read_scheduler(struct reader *reader, const json_t *json) {
  static const char *const keys[] = {"cpus", "first", "next", "preempt", "comment", NULL};
  static const char *const machine_keys[] = {"chains", "next", "delays", "comment", NULL};
  const json_t *preempt = json_object_get(json, "preempt"), *next = json_object_get(json, "next");
  const char *cpu_key, *key;
  json_t *rows, *row;
  size_t before = enter(reader, "scheduler"), inner, deeper, deepest;
  enum tt_status status = check_object(reader, json, keys);
  if (status != TT_OK)
    return status;
  status = read_cpus(reader, json_object_get(json, "cpus"));
  if (status != TT_OK)
    return status;
  if (preempt) {
    inner = enter(reader, "preempt");
    status = check_object(reader, preempt, machine_keys);
    if (status == TT_OK)
      status = read_machine(reader, preempt, true, &reader->rules->preempt);
    if (status != TT_OK)
      return status;
    leave(reader, inner);
  }
  inner = enter(reader, "next");
  status = check_object(reader, next, NULL);
  if (status != TT_OK)
    return status;
  json_object_foreach((json_t *)next, cpu_key, rows) {
    uint16_t cpu = 0;
    deeper = enter(reader, cpu_key);
    status = find_cpu(reader, cpu_key, &cpu);
    if (status == TT_OK)
      status = check_object(reader, rows, NULL);
    if (status != TT_OK)
      return status;
    json_object_foreach(rows, key, row) {
      uint32_t leaving = TT_THREAD_ANY;
      deepest = enter(reader, key);
      if (strcmp(key, "*") != 0)
        status = find_thread(reader, key, &leaving);
      if (status == TT_OK)
        status = read_followers(reader, row, cpu, leaving);
      if (status != TT_OK)
        return status;
      leave(reader, deepest);
    }
    leave(reader, deeper);
  }
  leave(reader, before);
  return TT_OK;
}

/* ---- the cast ---- */

static enum tt_status read_thread(struct reader *reader, const json_t *json, json_t *threads) {
  static const char *const keys[] = {"tid",    "cpu",   "new",     "at_first",
                                     "weight", "comms", "comment", NULL};
  const struct tt_generator *generator = reader->generator;
  const json_t *tid = json_object_get(json, "tid"), *cpu = json_object_get(json, "cpu"),
               *weight = json_object_get(json, "weight"), *comms = json_object_get(json, "comms"),
               *comm;
  json_int_t number = json_is_null(tid) ? TT_TID_NONE : json_integer_value(tid);
  json_int_t home = number == 0 ? json_integer_value(cpu) : -1;
  size_t i;
  enum tt_status status = check_object(reader, json, keys);
  if (status != TT_OK)
    return status;
  if (!tid || !(json_is_null(tid) || (json_is_integer(tid) && number >= 0 && number <= INT32_MAX)))
    return bad(reader, "\"tid\" must be a thread id or null (unknown)");
  if (number == 0 && (!json_is_integer(cpu) || home < 0 || (uint64_t)home >= generator->cpu_limit))
    return bad(reader, "an idle thread (tid 0) needs its \"cpu\", from 0 to %zu",
               generator->cpu_limit - 1);
  if (number != 0 && cpu)
    return bad(reader, "\"cpu\" is for idle threads (tid 0)");
  if (weight && (!json_is_integer(weight) || json_integer_value(weight) < 0))
    return bad(reader, "\"weight\" must be a whole number from 0");
  for (i = 0; i < json_array_size(threads); i++)
    if (json_integer_value(json_array_get(json_array_get(threads, i), 0)) == number &&
        json_integer_value(json_array_get(json_array_get(threads, i), 1)) == home)
      return bad(reader, "that \"tid\"%s is there twice", number == 0 ? " and \"cpu\"" : "");
  if (!json_is_array(comms) || json_array_size(comms) > TT_CAST_COMMS)
    return bad(reader, "\"comms\" must be a list of 0 to %d command names", TT_CAST_COMMS);
  const json_t *born = json_object_get(json, "new");
  if (born && !json_is_boolean(born))
    return bad(reader, "\"new\" is neither true nor false");
  reader->rules->newborn[json_array_size(threads)] = json_is_true(born);
  const json_t *at_first = json_object_get(json, "at_first");
  size_t usual = 0;
  while (at_first && usual < json_array_size(comms) &&
         !json_equal(json_array_get(comms, usual), at_first))
    usual++;
  if (at_first && usual == json_array_size(comms))
    return bad(reader, "\"at_first\" is none of its \"comms\"");
  json_t *ids = json_array();
  bool started = reader->rules->workloads[0].user != TT_RULES_NONE;
  json_array_foreach((json_t *)comms, i, comm) {
    char *name = tt_json_text_copy(comm);
    uint32_t id = name ? tt_names_find(&generator->comms, name) : TT_NAME_NONE;
    tt_free(name);
    if (id == TT_NAME_NONE)
      status = bad(reader, "\"comms\": the training dataset has no command name %s%s%s",
                   json_is_string(comm) ? "\"" : "number ",
                   json_is_string(comm) ? json_string_value(comm) : "of that kind",
                   json_is_string(comm) ? "\"" : "");
    else if (!started &&
             reader->rules->workloads[reader->rules->workload_of[id]].user == TT_RULES_NONE)
      status = bad(reader, "no workload \"%s\" with \"user\" rules, nor any \"*\"",
                   generator->comms.names[id]);
    else
      json_array_append_new(ids, json_integer(id));
    if (status != TT_OK)
      break;
  }
  if (status == TT_OK && !started && json_array_size(comms) == 0)
    status = bad(reader, "without \"comms\" a workload \"*\" with \"user\" rules is needed");
  json_array_append_new(threads, json_pack("[I, I, I, I, o]", number, home,
                                           json_integer_value(weight), (json_int_t)usual, ids));
  return status;
}

/* The cast's own reader takes it from here, as if it stood in a model (cast.h). */
static enum tt_status build_cast(struct reader *reader, const json_t *top, json_t *threads) {
  const struct tt_generator *generator = reader->generator;
  struct tt_rules *rules = reader->rules;
  const char *key;
  json_t *value;
  json_t *events = json_array(), *first = json_array();
  const json_t *renames = json_object_get(top, "renames"),
               *begin = json_object_get(json_object_get(top, "scheduler"), "first");
  enum tt_status status = TT_OK;
  for (size_t i = 0; i < generator->events.n; i++) {
    double rename = json_number_value(json_object_get(renames, generator->events.names[i]));
    bool returns = tt_map_get(&rules->returns, i) != TT_MAP_NONE;
    for (size_t k = 0; k < rules->n_calls && !returns; k++)
      returns = rules->calls_def[k].exit == i && rules->calls_def[k].rets.n > 0;
    json_array_append_new(
        events, json_pack("[f, i, o]", rename, 0, returns ? json_pack("[i]", 0) : json_array()));
  }
  size_t before = enter(reader, "renames");
  status = check_object(reader, renames, NULL);
  json_object_foreach((json_t *)renames, key, value) {
    uint16_t event = 0;
    if (status == TT_OK)
      status = find_event(reader, key, &event);
    if (status == TT_OK &&
        !(json_is_number(value) && json_number_value(value) >= 0 && json_number_value(value) <= 1))
      status = bad(reader, "the chance at \"%s\" must be a number from 0 to 1", key);
  }
  if (status == TT_OK)
    leave(reader, before);
  for (size_t i = 0; i < generator->cpu_limit; i++)
    json_array_append_new(first, json_integer(-1));
  before = status == TT_OK ? enter(reader, "scheduler.first") : 0;
  if (status == TT_OK)
    status = check_object(reader, begin, NULL);
  json_object_foreach((json_t *)begin, key, value) {
    uint16_t cpu = 0;
    uint32_t thread = 0;
    if (status == TT_OK)
      status = find_cpu(reader, key, &cpu);
    if (status == TT_OK)
      status = find_thread(reader, json_string_value(value), &thread);
    if (status == TT_OK && cpu == TT_RULES_ANY)
      status = bad(reader, "a CPU is wanted");
    if (status == TT_OK)
      json_array_set_new(first, cpu, json_integer(thread));
  }
  if (status == TT_OK)
    leave(reader, before);
  json_t *cast = json_pack("{s:O, s:o, s:o}", "threads", threads, "events", events, "first", first);
  if (status == TT_OK)
    status = cast ? tt_cast_from_json(cast, &generator->events, generator->comms.n,
                                      generator->cpu_limit, &rules->cast)
                  : no_memory(reader);
  json_decref(cast);
  return status;
}

static enum tt_status read_returns(struct reader *reader, const json_t *json) {
  struct tt_rules *rules = reader->rules;
  const char *key;
  json_t *value;
  size_t before = enter(reader, "returns");
  enum tt_status status = check_object(reader, json, NULL);
  if (status != TT_OK)
    return status;
  json_object_foreach((json_t *)json, key, value) {
    uint16_t event = 0;
    struct tt_rules_range row;
    size_t inner = enter(reader, key);
    status = find_event(reader, key, &event);
    if (status == TT_OK)
      status = read_rets(reader, value, &row);
    if (status != TT_OK)
      return status;
    if (tt_grow(&rules->return_rows, &reader->returns_capacity, rules->n_returns + 1,
                sizeof *rules->return_rows) != 0 ||
        tt_map_put(&rules->returns, event, (uint32_t)rules->n_returns) != 0)
      return no_memory(reader);
    rules->return_rows[rules->n_returns++] = row;
    leave(reader, inner);
  }
  leave(reader, before);
  return TT_OK;
}

static enum tt_status read_top(struct reader *reader, const json_t *top) {
  static const char *const keys[] = {"format",    "comment",    "threads",   "renames", "returns",
                                     "workloads", "interrupts", "scheduler", "delays",  NULL};
  const json_t *threads = json_object_get(top, "threads"),
               *workloads = json_object_get(top, "workloads");
  const char *key, *format = json_string_value(json_object_get(top, "format"));
  json_t *value, *cast_threads = json_array();
  enum tt_status status = check_object(reader, top, keys);
  if (status == TT_OK && (!format || strcmp(format, TT_RULES_FORMAT) != 0))
    status = bad(reader, "\"format\" must be \"%s\"", TT_RULES_FORMAT);
  if (status != TT_OK || (status = name_workloads(reader, workloads)) != TT_OK ||
      (status = read_workloads(reader, workloads)) != TT_OK)
    goto cleanup;
  size_t before = enter(reader, "threads");
  status = check_object(reader, threads, NULL);
  if (status == TT_OK && json_object_size(threads) == 0)
    status = bad(reader, "at least one thread is wanted");
  reader->rules->newborn = tt_calloc(json_object_size(threads), sizeof(bool));
  if (status == TT_OK && !reader->rules->newborn)
    status = no_memory(reader);
  json_object_foreach((json_t *)threads, key, value) {
    if (status != TT_OK)
      break;
    size_t inner = enter(reader, key);
    status = tt_names_add(&reader->labels, key) == TT_NAME_NONE
                 ? no_memory(reader)
                 : read_thread(reader, value, cast_threads);
    if (status == TT_OK)
      leave(reader, inner);
  }
  if (status != TT_OK)
    goto cleanup;
  leave(reader, before);
  if ((status = read_returns(reader, json_object_get(top, "returns"))) != TT_OK ||
      (status = build_cast(reader, top, cast_threads)) != TT_OK ||
      (status = read_sources(reader, json_object_get(top, "interrupts"))) != TT_OK ||
      (status = read_scheduler(reader, json_object_get(top, "scheduler"))) != TT_OK)
    goto cleanup;
  status = read_delays(reader, json_object_get(top, "delays"), TT_RULES_NONE);
cleanup:
  json_decref(cast_threads);
  return status;
}

enum tt_status tt_rules_parse(const char *file, const char *text, size_t size,
                              const struct tt_generator *generator, struct tt_rules *ret) {
  struct tt_rules rules = {.preempt = TT_RULES_NONE};
  struct reader reader = {.file = file, .generator = generator, .rules = &rules};
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
