/* JSON laid out for people: what fits stands on one line, long lists of plain values fill lines. */
#ifndef GENERATORS_RULES_TEXT_H
#define GENERATORS_RULES_TEXT_H

#include <jansson.h>
#include <stddef.h>

#include "base/status.h"

/* *ret_text from base/mem.h, of *ret_size bytes and NUL-terminated beyond. TT_NO_MEMORY only. */
enum tt_status tt_rules_text(const json_t *json, char **ret_text, size_t *ret_size);

#endif
