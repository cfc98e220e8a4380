/* Threads, renames and who runs first. */
#include "base/mem.h"
#include "dataset/json.h"
#include "generators/rules/reader.h"

enum tt_status tt_rules_read_thread(struct tt_rules_reader *reader, const json_t *json,
                                    json_t *threads) {
  static const char *const keys[] = {"tid",    "cpu",   "new",     "at_first",
                                     "weight", "comms", "comment", NULL};
  const struct tt_generator *generator = reader->generator;
  const json_t *tid = json_object_get(json, "tid"), *cpu = json_object_get(json, "cpu"),
               *weight = json_object_get(json, "weight"), *comms = json_object_get(json, "comms"),
               *comm;
  json_int_t number = json_is_null(tid) ? TT_TID_NONE : json_integer_value(tid);
  json_int_t home = number == 0 ? json_integer_value(cpu) : -1;
  size_t i;
  enum tt_status status = tt_rules_check_object(reader, json, keys);
  if (status != TT_OK)
    return status;
  if (!tid || !(json_is_null(tid) || (json_is_integer(tid) && number >= 0 && number <= INT32_MAX)))
    return tt_rules_bad(reader, "\"tid\" must be a thread id or null (unknown)");
  if (number == 0 && (!json_is_integer(cpu) || home < 0 || (uint64_t)home >= generator->cpu_limit))
    return tt_rules_bad(reader, "an idle thread (tid 0) needs its \"cpu\", from 0 to %zu",
                        generator->cpu_limit - 1);
  if (number != 0 && cpu)
    return tt_rules_bad(reader, "\"cpu\" is for idle threads (tid 0)");
  if (weight && (!json_is_integer(weight) || json_integer_value(weight) < 0))
    return tt_rules_bad(reader, "\"weight\" must be a whole number from 0");
  for (i = 0; i < json_array_size(threads); i++)
    if (json_integer_value(json_array_get(json_array_get(threads, i), 0)) == number &&
        json_integer_value(json_array_get(json_array_get(threads, i), 1)) == home)
      return tt_rules_bad(reader, "that \"tid\"%s is there twice",
                          number == 0 ? " and \"cpu\"" : "");
  if (!json_is_array(comms) || json_array_size(comms) > TT_CAST_COMMS)
    return tt_rules_bad(reader, "\"comms\" must be a list of 0 to %d command names", TT_CAST_COMMS);
  const json_t *born = json_object_get(json, "new");
  if (born && !json_is_boolean(born))
    return tt_rules_bad(reader, "\"new\" is neither true nor false");
  reader->rules->newborn[json_array_size(threads)] = json_is_true(born);
  const json_t *at_first = json_object_get(json, "at_first");
  size_t usual = 0;
  while (at_first && usual < json_array_size(comms) &&
         !json_equal(json_array_get(comms, usual), at_first))
    usual++;
  if (at_first && usual == json_array_size(comms))
    return tt_rules_bad(reader, "\"at_first\" is none of its \"comms\"");
  json_t *ids = json_array();
  bool started = reader->rules->workloads[0].user != TT_RULES_NONE;
  json_array_foreach((json_t *)comms, i, comm) {
    char *name = tt_json_text_copy(comm);
    uint32_t id = name ? tt_names_find(&generator->comms, name) : TT_NAME_NONE;
    tt_free(name);
    if (id == TT_NAME_NONE)
      status = tt_rules_bad(reader, "\"comms\": the training dataset has no command name %s%s%s",
                            json_is_string(comm) ? "\"" : "number ",
                            json_is_string(comm) ? json_string_value(comm) : "of that kind",
                            json_is_string(comm) ? "\"" : "");
    else if (!started &&
             reader->rules->workloads[reader->rules->workload_of[id]].user == TT_RULES_NONE)
      status = tt_rules_bad(reader, "no workload \"%s\" with \"user\" rules, nor any \"*\"",
                            generator->comms.names[id]);
    else
      json_array_append_new(ids, json_integer(id));
    if (status != TT_OK)
      break;
  }
  if (status == TT_OK && !started && json_array_size(comms) == 0)
    status =
        tt_rules_bad(reader, "without \"comms\" a workload \"*\" with \"user\" rules is needed");
  json_array_append_new(threads, json_pack("[I, I, I, I, o]", number, home,
                                           json_integer_value(weight), (json_int_t)usual, ids));
  return status;
}

/* The cast's own reader takes it from here, as if it stood in a model (cast.h). */
enum tt_status tt_rules_build_cast(struct tt_rules_reader *reader, const json_t *top,
                                   json_t *threads) {
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
  size_t before = tt_rules_enter(reader, "renames");
  status = tt_rules_check_object(reader, renames, NULL);
  json_object_foreach((json_t *)renames, key, value) {
    uint16_t event = 0;
    if (status == TT_OK)
      status = tt_rules_find_event(reader, key, &event);
    if (status == TT_OK &&
        !(json_is_number(value) && json_number_value(value) >= 0 && json_number_value(value) <= 1))
      status = tt_rules_bad(reader, "the chance at \"%s\" must be a number from 0 to 1", key);
  }
  if (status == TT_OK)
    tt_rules_leave(reader, before);
  for (size_t i = 0; i < generator->cpu_limit; i++)
    json_array_append_new(first, json_integer(-1));
  before = status == TT_OK ? tt_rules_enter(reader, "scheduler.first") : 0;
  if (status == TT_OK)
    status = tt_rules_check_object(reader, begin, NULL);
  json_object_foreach((json_t *)begin, key, value) {
    uint16_t cpu = 0;
    uint32_t thread = 0;
    if (status == TT_OK)
      status = tt_rules_find_cpu(reader, key, &cpu);
    if (status == TT_OK)
      status = tt_rules_find_thread(reader, json_string_value(value), &thread);
    if (status == TT_OK && cpu == TT_RULES_ANY)
      status = tt_rules_bad(reader, "a CPU is wanted");
    if (status == TT_OK)
      json_array_set_new(first, cpu, json_integer(thread));
  }
  if (status == TT_OK)
    tt_rules_leave(reader, before);
  json_t *cast = json_pack("{s:O, s:o, s:o}", "threads", threads, "events", events, "first", first);
  if (status == TT_OK)
    status = cast ? tt_cast_from_json(cast, &generator->events, generator->comms.n,
                                      generator->cpu_limit, &rules->cast)
                  : tt_rules_no_memory(reader);
  json_decref(cast);
  return status;
}
