/* State machines of a rule file: chains of events, what follows what, and the times between. */
#include <string.h>

#include "base/mem.h"
#include "base/output.h"
#include "generators/rules/reader.h"

static enum tt_status add_item(struct tt_rules_reader *reader, const char *name,
                               struct tt_rules_range *items) {
  struct tt_rules *rules = reader->rules;
  uint32_t item = TT_RULES_NONE;
  uint16_t event = 0;
  if (name && name[0] == '@') {
    item = tt_names_find(&rules->calls, name + 1);
    if (item == TT_NAME_NONE)
      return tt_rules_bad(reader, "\"%s\": no workload has a call \"%s\"", name, name + 1);
    item += TT_RULES_CALL;
  } else {
    enum tt_status status = tt_rules_find_event(reader, name, &event);
    if (status != TT_OK)
      return status;
    item = event;
  }
  if (tt_grow(&rules->items, &reader->items_capacity, rules->n_items + 1, sizeof *rules->items) !=
      0)
    return tt_rules_no_memory(reader);
  rules->items[rules->n_items++] = item;
  items->n++;
  return TT_OK;
}

/* The number of a machine's state, adding the state when it is new. `first`: the machine's first.
 */
static enum tt_status find_state(struct tt_rules_reader *reader, const json_t *chains,
                                 const char *name, struct tt_names *states, size_t first,
                                 int64_t *ret) {
  struct tt_rules *rules = reader->rules;
  const json_t *chain = json_object_get(chains, name);
  uint32_t id = tt_names_add(states, name);
  if (id == TT_NAME_NONE || tt_grow(&rules->states, &reader->states_capacity, rules->n_states + 1,
                                    sizeof *rules->states) != 0)
    return tt_rules_no_memory(reader);
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
      status = tt_rules_bad(reader, "the chain \"%s\" is not a list of events and @calls", name);
  } else {
    status = add_item(reader, name, &state.items);
  }
  rules->states[rules->n_states++] = state;
  return status;
}

static enum tt_status read_choices(struct tt_rules_reader *reader, const json_t *chains,
                                   const json_t *choices, struct tt_names *states, size_t first,
                                   struct tt_rules_range *ret) {
  const char *key;
  json_t *weight;
  enum tt_status status = tt_rules_check_object(reader, choices, NULL);
  *ret = (struct tt_rules_range){reader->rules->n_choices, 0};
  if (status != TT_OK)
    return status;
  if (json_object_size(choices) == 0)
    return tt_rules_bad(reader, "nothing follows; \"end\" is wanted if that is meant");
  json_object_foreach((json_t *)choices, key, weight) {
    int64_t state = TT_RULES_END;
    if (strcmp(key, "start") == 0 || strcmp(key, "running") == 0)
      return tt_rules_bad(
          reader,
          "\"start\" and \"running\" follow nothing; \"end\" is wanted if the machine begins anew");
    if (strcmp(key, "end") != 0)
      status = find_state(reader, chains, key, states, first, &state);
    if (status == TT_OK)
      status = tt_rules_add_choice(reader, key, weight, state, ret);
    if (status != TT_OK)
      return status;
  }
  return TT_OK;
}

enum tt_status tt_rules_read_delays(struct tt_rules_reader *reader, const json_t *delays,
                                    uint32_t machine) {
  const char *key;
  json_t *value;
  size_t before = tt_rules_enter(reader, "delays");
  enum tt_status status = tt_rules_check_object(reader, delays, NULL);
  if (status != TT_OK)
    return status;
  json_object_foreach((json_t *)delays, key, value) {
    const char *arrow = strstr(key, " > ");
    uint16_t previous = TT_RULES_ANY, event = TT_RULES_ANY;
    uint32_t distribution;
    size_t inner = tt_rules_enter(reader, key);
    if (arrow) {
      char *name = tt_format("%.*s", (int)(arrow - key), key);
      if (!name)
        return tt_rules_no_memory(reader);
      status = tt_rules_find_event(reader, name, &previous);
      tt_free(name);
    }
    if (status == TT_OK && strcmp(key, "*") != 0)
      status = tt_rules_find_event(reader, arrow ? arrow + 3 : key, &event);
    if (status == TT_OK)
      status = tt_rules_add_distribution(reader, value, &distribution);
    if (status != TT_OK)
      return status;
    if (tt_map_put(&reader->rules->delays, tt_rules_delay_key(machine, previous, event),
                   distribution) != 0)
      return tt_rules_no_memory(reader);
    tt_rules_leave(reader, inner);
  }
  tt_rules_leave(reader, before);
  return TT_OK;
}

enum tt_status tt_rules_read_machine(struct tt_rules_reader *reader, const json_t *json,
                                     bool endless, uint32_t *ret) {
  struct tt_rules *rules = reader->rules;
  const json_t *chains = json_object_get(json, "chains"), *next = json_object_get(json, "next");
  const char *key;
  json_t *value;
  size_t first = rules->n_states, before;
  uint32_t id = (uint32_t)rules->n_machines;
  struct tt_rules_machine machine = {{0, 0}, {0, 0}};
  struct tt_names states;
  if (tt_grow(&rules->machines, &reader->machines_capacity, id + 1, sizeof *rules->machines) != 0)
    return tt_rules_no_memory(reader);
  tt_names_init(&states);
  before = tt_rules_enter(reader, "chains");
  enum tt_status status = tt_rules_check_object(reader, chains, NULL);
  if (status == TT_OK && (json_object_get(chains, "start") || json_object_get(chains, "running") ||
                          json_object_get(chains, "end")))
    status = tt_rules_bad(reader, "no chain can be called \"start\", \"running\" or \"end\"");
  json_object_foreach((json_t *)chains, key, value) {
    int64_t state;
    if (status == TT_OK)
      status = find_state(reader, chains, key, &states, first, &state);
  }
  if (status != TT_OK)
    goto cleanup;
  tt_rules_leave(reader, before);
  before = tt_rules_enter(reader, "next");
  status = tt_rules_check_object(reader, next, NULL);
  if (status == TT_OK && endless && !json_object_get(next, "start"))
    status = tt_rules_bad(reader, "\"start\" is missing");
  if (status != TT_OK)
    goto cleanup;
  json_object_foreach((json_t *)next, key, value) {
    int64_t state;
    struct tt_rules_range range = {0, 0};
    bool start = strcmp(key, "start") == 0, running = strcmp(key, "running") == 0;
    size_t inner = tt_rules_enter(reader, key);
    if (strcmp(key, "end") == 0)
      status = tt_rules_bad(reader, "nothing follows the end");
    else if (!start && !running)
      status = find_state(reader, chains, key, &states, first, &state);
    if (status == TT_OK)
      status = read_choices(reader, chains, value, &states, first, &range);
    if (status == TT_OK && (start || running) && endless && json_object_get(value, "end"))
      status = tt_rules_bad(reader, "it can't end before anything happened");
    if (status != TT_OK)
      goto cleanup;
    if (start)
      machine.start = range;
    else if (running)
      machine.running = range;
    else
      rules->states[state].next = range;
    tt_rules_leave(reader, inner);
  }
  tt_rules_leave(reader, before);
  rules->machines[rules->n_machines++] = machine;
  status = tt_rules_read_delays(reader, json_object_get(json, "delays"), id);
  *ret = id;
cleanup:
  tt_names_release(&states);
  return status;
}
