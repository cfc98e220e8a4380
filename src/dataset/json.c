#include "dataset/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static int hex_digit(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

json_t *tt_json_text(const char *text) {
  json_t *json = json_string(text); /* NULL: not UTF-8 (or no memory) */
  if (json)
    return json;
  size_t n = strlen(text);
  char *hex = tt_alloc(2 * n + 1, 1);
  if (!hex)
    return NULL;
  for (size_t i = 0; i < n; i++)
    snprintf(hex + 2 * i, 3, "%02x", (unsigned char)text[i]);
  json = json_pack("{s:s}", "hex", n ? hex : "");
  tt_free(hex);
  return json;
}

char *tt_json_text_copy(const json_t *json) {
  if (json_is_string(json)) /* an escaped NUL would end the C string early: refuse it */
    return strlen(json_string_value(json)) == json_string_length(json)
               ? tt_strdup(json_string_value(json))
               : NULL;
  const char *hex = json_string_value(json_object_get(json, "hex"));
  size_t n = hex ? strlen(hex) : 1;
  if (n % 2)
    return NULL;
  char *text = tt_alloc(n / 2 + 1, 1);
  if (!text)
    return NULL;
  for (size_t i = 0; i < n / 2; i++) {
    int high = hex_digit(hex[2 * i]), low = hex_digit(hex[2 * i + 1]);
    if (high < 0 || low < 0 || high + low == 0) {
      tt_free(text);
      return NULL;
    }
    text[i] = (char)(high << 4 | low);
  }
  text[n / 2] = 0;
  return text;
}

json_t *tt_json_u64(uint64_t value) {
  if (value <= INT64_MAX)
    return json_integer((json_int_t)value);
  char digits[24];
  snprintf(digits, sizeof digits, "%llu", (unsigned long long)value);
  return json_string(digits);
}

bool tt_json_is_u64(const json_t *json, uint64_t *ret) {
  if (json_is_integer(json) && json_integer_value(json) >= 0) {
    *ret = (uint64_t)json_integer_value(json);
    return true;
  }
  const char *digits = json_string_value(json);
  size_t n = digits ? strlen(digits) : 0;
  if (n == 0 || n > 20 || strspn(digits, "0123456789") != n)
    return false;
  uint64_t value = 0;
  for (; *digits; digits++)
    if (__builtin_mul_overflow(value, 10, &value) ||
        __builtin_add_overflow(value, (uint64_t)(*digits - '0'), &value))
      return false;
  *ret = value;
  return true;
}

static enum tt_status wrong(const json_t *object, const char *key, const char *what) {
  return tt_fail(TT_BAD_INPUT, "\"%s\" is %s", key,
                 json_object_get(object, key) ? what : "missing");
}

enum tt_status tt_json_get_u64(const json_t *object, const char *key, uint64_t *ret) {
  return tt_json_is_u64(json_object_get(object, key), ret)
             ? TT_OK
             : wrong(object, key, "not a whole number from 0");
}

enum tt_status tt_json_get_i64(const json_t *object, const char *key, int64_t *ret) {
  const json_t *value = json_object_get(object, key);
  if (!json_is_integer(value))
    return wrong(object, key, "not a whole number");
  *ret = json_integer_value(value);
  return TT_OK;
}

enum tt_status tt_json_get_size(const json_t *object, const char *key, size_t low, size_t high,
                                size_t *ret) {
  uint64_t value;
  enum tt_status status = tt_json_get_u64(object, key, &value);
  if (status == TT_OK && (value < low || value > high))
    status = tt_fail(TT_BAD_INPUT, "\"%s\" is not within %zu to %zu", key, low, high);
  if (status == TT_OK)
    *ret = (size_t)value;
  return status;
}

enum tt_status tt_json_get_real(const json_t *object, const char *key, double *ret) {
  const json_t *value = json_object_get(object, key);
  if (!json_is_number(value) || !isfinite(json_number_value(value)))
    return wrong(object, key, "not a number");
  *ret = json_number_value(value);
  return TT_OK;
}

enum tt_status tt_json_get_bool(const json_t *object, const char *key, bool *ret) {
  const json_t *value = json_object_get(object, key);
  if (!json_is_boolean(value))
    return wrong(object, key, "neither true nor false");
  *ret = json_is_true(value);
  return TT_OK;
}

enum tt_status tt_json_get_array(const json_t *object, const char *key, size_t max,
                                 const json_t **ret) {
  const json_t *value = json_object_get(object, key);
  if (!json_is_array(value))
    return wrong(object, key, "not a list");
  if (json_array_size(value) > max)
    return tt_fail(TT_BAD_INPUT, "\"%s\" has %zu entries, at most %zu are possible", key,
                   json_array_size(value), max);
  *ret = value;
  return TT_OK;
}

enum tt_status tt_json_get_string(const json_t *object, const char *key, const char **ret) {
  const char *value = json_string_value(json_object_get(object, key));
  if (!value)
    return wrong(object, key, "not a string");
  *ret = value;
  return TT_OK;
}

enum tt_status tt_json_get_text(const json_t *object, const char *key, char **ret) {
  char *text = tt_json_text_copy(json_object_get(object, key));
  if (!text)
    return wrong(object, key, "not a text");
  *ret = text;
  return TT_OK;
}

json_t *tt_json_names(const struct tt_names *names) {
  json_t *array = json_array();
  for (size_t i = 0; array && i < names->n; i++)
    if (json_array_append_new(array, tt_json_text(names->names[i])) != 0) {
      json_decref(array);
      return NULL;
    }
  return array;
}

enum tt_status tt_json_get_names(const json_t *object, const char *key, size_t max,
                                 struct tt_names *names) {
  const json_t *array = NULL;
  enum tt_status status = tt_json_get_array(object, key, max, &array);
  for (size_t i = 0; status == TT_OK && i < json_array_size(array); i++) {
    char *text = tt_json_text_copy(json_array_get(array, i));
    uint32_t id = text ? tt_names_add(names, text) : 0;
    if (!text)
      status = tt_fail(TT_BAD_INPUT, "\"%s\": entry %zu is not a text", key, i);
    else if (id == TT_NAME_NONE)
      status = tt_fail(TT_NO_MEMORY, "out of memory");
    else if (id != i)
      status =
          tt_fail(TT_BAD_INPUT, "\"%s\": entries %u and %zu are both \"%s\"", key, id, i, text);
    tt_free(text);
  }
  return status;
}
