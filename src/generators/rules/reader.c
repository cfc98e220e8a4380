#include "generators/rules/reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum tt_status tt_rules_no_memory(const struct tt_rules_reader *reader) {
  return tt_fail(TT_NO_MEMORY, "the rules of %s", reader->file);
}

enum tt_status tt_rules_bad(const struct tt_rules_reader *reader, const char *format, ...) {
  char text[400];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return tt_fail(TT_BAD_INPUT, "%s: %s: %s", reader->file,
                 reader->path_length ? reader->path : "top", text);
}

/* Goes down to a key; tt_rules_leave() with what it returns. */
size_t tt_rules_enter(struct tt_rules_reader *reader, const char *key) {
  size_t before = reader->path_length, left = sizeof reader->path - before;
  int n = snprintf(reader->path + before, left, "%s%s", before ? "." : "", key);
  reader->path_length += n > 0 && (size_t)n < left ? (size_t)n : left - 1;
  return before;
}

void tt_rules_leave(struct tt_rules_reader *reader, size_t before) {
  reader->path[before] = 0;
  reader->path_length = before;
}

enum tt_status tt_rules_check_object(struct tt_rules_reader *reader, const json_t *json,
                                     const char *const *allowed) {
  const char *key;
  json_t *value;
  if (json && !json_is_object(json))
    return tt_rules_bad(reader, "an object { } is wanted");
  json_object_foreach((json_t *)json, key, value) {
    size_t i = 0;
    while (allowed && allowed[i] && strcmp(allowed[i], key) != 0)
      i++;
    if (allowed && !allowed[i])
      return tt_rules_bad(reader, "there is no rule called \"%s\" here", key);
  }
  return TT_OK;
}

enum tt_status tt_rules_find_event(const struct tt_rules_reader *reader, const char *name,
                                   uint16_t *ret) {
  uint32_t id = name ? tt_names_find(&reader->generator->events, name) : TT_NAME_NONE;
  if (id == TT_NAME_NONE)
    return tt_rules_bad(reader,
                        name ? "the training dataset has no event \"%s\"" : "an event is wanted%s",
                        name ? name : "");
  *ret = (uint16_t)id;
  return TT_OK;
}

enum tt_status tt_rules_find_cpu(const struct tt_rules_reader *reader, const char *key,
                                 uint16_t *ret) {
  unsigned cpu;
  int end = 0;
  if (strcmp(key, "*") == 0) {
    *ret = TT_RULES_ANY;
    return TT_OK;
  }
  if (sscanf(key, "%5u%n", &cpu, &end) != 1 || key[end] || cpu >= reader->generator->cpu_limit)
    return tt_rules_bad(reader, "\"%s\" is no CPU from 0 to %zu, nor \"*\"", key,
                        reader->generator->cpu_limit - 1);
  *ret = (uint16_t)cpu;
  return TT_OK;
}

enum tt_status tt_rules_add_distribution(struct tt_rules_reader *reader, const json_t *json,
                                         uint32_t *ret) {
  struct tt_rules *rules = reader->rules;
  if (tt_grow(&rules->distributions, &reader->distributions_capacity, rules->n_distributions + 1,
              sizeof *rules->distributions) != 0)
    return tt_rules_no_memory(reader);
  const char *wrong = tt_distribution_read(json, &rules->quantiles, &rules->n_quantiles,
                                           &reader->quantiles_capacity,
                                           &rules->distributions[rules->n_distributions]);
  if (wrong)
    return *wrong ? tt_rules_bad(reader, "%s", wrong) : tt_rules_no_memory(reader);
  *ret = (uint32_t)rules->n_distributions++;
  return TT_OK;
}

enum tt_status tt_rules_add_choice(struct tt_rules_reader *reader, const char *key,
                                   const json_t *weight, int64_t what,
                                   struct tt_rules_range *range) {
  struct tt_rules *rules = reader->rules;
  double value = json_number_value(weight);
  if (!json_is_number(weight) || !(value > 0 && value < 1e15))
    return tt_rules_bad(reader, "the weight of \"%s\" must be a number above 0", key);
  if (tt_grow(&rules->choices, &reader->choices_capacity, rules->n_choices + 1,
              sizeof *rules->choices) != 0)
    return tt_rules_no_memory(reader);
  double before = range->n ? rules->choices[rules->n_choices - 1].upto : 0;
  rules->choices[rules->n_choices++] = (struct tt_rules_choice){what, before + value};
  range->n++;
  return TT_OK;
}

enum tt_status tt_rules_find_thread(const struct tt_rules_reader *reader, const char *label,
                                    uint32_t *ret) {
  *ret = label ? tt_names_find(&reader->labels, label) : TT_NAME_NONE;
  return *ret == TT_NAME_NONE
             ? tt_rules_bad(reader, "\"%s\" is none of \"threads\"", label ? label : "null")
             : TT_OK;
}
