/* Small help around jansson for files that must be checked field by field. Getters record a cause
 * that names the key and leave *ret untouched when they fail with TT_BAD_INPUT. */
#ifndef DATASET_JSON_H
#define DATASET_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/names.h"
#include "base/status.h"

/* A string; {"hex": "..."} when `text` is not UTF-8 (command names may hold any byte). NULL: out of
 * memory. */
json_t *tt_json_text(const char *text);
/* Copies what tt_json_text() made; NULL when `json` is no such thing or memory is short. Release
 * with tt_free. */
char *tt_json_text_copy(const json_t *json);
/* An integer, or its decimal digits as a string from 2^63 on (JSON readers stop at int64). */
json_t *tt_json_u64(uint64_t value);
/* True and *ret when `json` is one. */
bool tt_json_is_u64(const json_t *json, uint64_t *ret);

enum tt_status tt_json_get_u64(const json_t *object, const char *key, uint64_t *ret);
enum tt_status tt_json_get_i64(const json_t *object, const char *key, int64_t *ret);
/* An integer within [low, high], SIZE_MAX at most. */
enum tt_status tt_json_get_size(const json_t *object, const char *key, size_t low, size_t high,
                                size_t *ret);
/* Integer or real, finite. */
enum tt_status tt_json_get_real(const json_t *object, const char *key, double *ret);
enum tt_status tt_json_get_bool(const json_t *object, const char *key, bool *ret);
/* Of at most `max` elements. Borrowed. */
enum tt_status tt_json_get_array(const json_t *object, const char *key, size_t max,
                                 const json_t **ret);
/* A string owned by the JSON. */
enum tt_status tt_json_get_string(const json_t *object, const char *key, const char **ret);
/* A text copied; release with tt_free. */
enum tt_status tt_json_get_text(const json_t *object, const char *key, char **ret);

/* An array of texts in id order; NULL: out of memory. */
json_t *tt_json_names(const struct tt_names *names);
/* Reads such an array into empty `names`; double entries are refused. */
enum tt_status tt_json_get_names(const json_t *object, const char *key, size_t max,
                                 struct tt_names *names);

#endif
