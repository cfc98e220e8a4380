/* Reading a rule file: what is shared by its parts (parse.c: all of it, parse_machines.c: machines,
 * parse_cast.c: threads). The reader keeps the path of keys it is at, so that every complaint says
 * where; after a failure it is not used any more. */
#ifndef GENERATORS_RULES_READER_H
#define GENERATORS_RULES_READER_H

#include <jansson.h>

#include "generators/rules/rules.h"

struct tt_rules_reader {
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

/* ---- reader.c ---- */
enum tt_status tt_rules_no_memory(const struct tt_rules_reader *reader);
/* TT_BAD_INPUT, with file and path. */
enum tt_status tt_rules_bad(const struct tt_rules_reader *reader, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Goes down to a key; leave() with what it returns. */
size_t tt_rules_enter(struct tt_rules_reader *reader, const char *key);
void tt_rules_leave(struct tt_rules_reader *reader, size_t before);
/* An object with none but the allowed keys, which end with NULL; NULL json is an empty one. */
enum tt_status tt_rules_check_object(struct tt_rules_reader *reader, const json_t *json,
                                     const char *const *allowed);
enum tt_status tt_rules_find_event(const struct tt_rules_reader *reader, const char *name,
                                   uint16_t *ret);
enum tt_status tt_rules_find_cpu(const struct tt_rules_reader *reader, const char *key,
                                 uint16_t *ret);
enum tt_status tt_rules_find_thread(const struct tt_rules_reader *reader, const char *label,
                                    uint32_t *ret);
/* Appends a distribution, a weighted choice (to the range that ends the list). */
enum tt_status tt_rules_add_distribution(struct tt_rules_reader *reader, const json_t *json,
                                         uint32_t *ret);
enum tt_status tt_rules_add_choice(struct tt_rules_reader *reader, const char *key,
                                   const json_t *weight, int64_t what,
                                   struct tt_rules_range *range);

/* ---- parse_machines.c ---- */
/* "chains", "next" and "delays" of an object; its other keys are the caller's. `endless`: it may
 * not end at once. Without "next" it does nothing. */
enum tt_status tt_rules_read_machine(struct tt_rules_reader *reader, const json_t *json,
                                     bool endless, uint32_t *ret);
/* {"PREVIOUS > EVENT": time, "EVENT": time, "*": time} */
enum tt_status tt_rules_read_delays(struct tt_rules_reader *reader, const json_t *delays,
                                    uint32_t machine);

/* ---- parse_cast.c ---- */
/* Appends a thread of "threads" as the cast's JSON has it (cast.h). */
enum tt_status tt_rules_read_thread(struct tt_rules_reader *reader, const json_t *json,
                                    json_t *threads);
enum tt_status tt_rules_build_cast(struct tt_rules_reader *reader, const json_t *top,
                                   json_t *threads);

#endif
