#include "generators/rules/text.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define WIDTH 100

struct text {
  char *bytes;
  size_t n, capacity, line; /* where the line began */
  bool failed;
};

static void put(struct text *text, const char *bytes, size_t n) {
  if (text->failed || tt_grow(&text->bytes, &text->capacity, text->n + n + 1, 1) != 0) {
    text->failed = true;
    return;
  }
  memcpy(text->bytes + text->n, bytes, n);
  text->n += n;
  text->bytes[text->n] = 0;
}

static void new_line(struct text *text, int indent) {
  put(text, "\n", 1);
  text->line = text->n;
  for (int i = 0; i < indent; i++)
    put(text, "  ", 2);
}

static bool is_plain(const json_t *json) {
  const char *key;
  json_t *value;
  size_t i;
  json_object_foreach((json_t *)json, key,
                      value) if (json_is_object(value) || json_is_array(value)) return false;
  json_array_foreach((json_t *)json, i,
                     value) if (json_is_object(value) || json_is_array(value)) return false;
  return true;
}

static void write_value(struct text *text, const json_t *json, int indent);

/* One child; `fill`: on the same line where it fits. */
static void write_child(struct text *text, const char *key, const json_t *value, bool first,
                        bool fill, int indent) {
  char *name = NULL;
  size_t length = 0;
  if (key) {
    json_t *string = json_string(key);
    name = json_dumps(string, JSON_ENCODE_ANY);
    json_decref(string);
    text->failed |= !name;
    length = name ? strlen(name) + 2 : 0;
  }
  if (fill) { /* plain values are short: at most a name or a number */
    char *one = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
    length += one ? strlen(one) : 0;
    free(one);
  }
  if (!first)
    put(text, ",", 1);
  if (!fill || first || text->n - text->line + length + 2 > WIDTH)
    new_line(text, indent);
  else
    put(text, " ", 1);
  if (name) {
    put(text, name, strlen(name));
    put(text, ": ", 2);
  }
  free(name);
  write_value(text, value, indent);
}

static void write_value(struct text *text, const json_t *json, int indent) {
  char *one = json_dumps(json, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
  if (!one) {
    text->failed = true;
    return;
  }
  size_t length = strlen(one);
  bool fits = text->n - text->line + length + 1 <= WIDTH;
  if (fits || (!json_is_object(json) && !json_is_array(json))) {
    put(text, one, length);
    free(one);
    return;
  }
  free(one);
  bool object = json_is_object(json), fill = is_plain(json), first = true;
  const char *key;
  json_t *value;
  size_t i;
  put(text, object ? "{" : "[", 1);
  json_object_foreach((json_t *)json, key, value) {
    write_child(text, key, value, first, fill, indent + 1);
    first = false;
  }
  json_array_foreach((json_t *)json, i, value) {
    write_child(text, NULL, value, first, fill, indent + 1);
    first = false;
  }
  new_line(text, indent);
  put(text, object ? "}" : "]", 1);
}

enum tt_status tt_rules_text(const json_t *json, char **ret_text, size_t *ret_size) {
  struct text text = {0};
  write_value(&text, json, 0);
  put(&text, "\n", 1);
  if (text.failed) {
    tt_free(text.bytes);
    return tt_fail(TT_NO_MEMORY, "writing %zu bytes of rules", text.n);
  }
  *ret_text = text.bytes;
  *ret_size = text.n;
  return TT_OK;
}
