#include "options.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int usage_error(const struct command_usage *usage, const char *format, ...) {
  va_list args;
  va_start(args, format);
  fprintf(stderr, "tracetwin %s: ", usage->name);
  vfprintf(stderr, format, args);
  fprintf(stderr, "\nusage: tracetwin %s %s\n", usage->name, usage->synopsis);
  va_end(args);
  return 2;
}

static void print_specs(const struct option_spec *specs) {
  for (; specs->type != OPTION_END; specs++) {
    char left[64];
    char letter[8] = "    ";
    if (specs->letter)
      snprintf(letter, sizeof letter, "-%c, ", specs->letter);
    snprintf(left, sizeof left, "%s--%s%s%s", letter, specs->name, specs->argument ? " " : "",
             specs->argument ? specs->argument : "");
    printf("  %-32s %s\n", left, specs->help);
  }
}

static int store(const struct command_usage *usage, const struct option_spec *spec,
                 const char *text) {
  char *end;
  if (!*text)
    return usage_error(usage, "--%s: the value is empty", spec->name);
  switch (spec->type) {
  case OPTION_STRING:
    *(const char **)spec->value = text;
    return -1;
  case OPTION_LIST: {
    struct string_list *list = spec->value;
    if (list->n == MAX_LIST)
      return usage_error(usage, "--%s: more than %d values", spec->name, MAX_LIST);
    list->items[list->n++] = text;
    return -1;
  }
  case OPTION_COUNT: {
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno || end == text || *end || strchr(text, '-'))
      return usage_error(usage, "--%s: '%s' is not a whole number", spec->name, text);
    *(uint64_t *)spec->value = value;
    return -1;
  }
  case OPTION_NUMBER: {
    double value = strtod(text, &end);
    if (end == text || *end || !(value >= 0) || isinf(value))
      return usage_error(usage, "--%s: '%s' is not a number of 0 or more", spec->name, text);
    *(double *)spec->value = value;
    return -1;
  }
  case OPTION_THREADS: {
    unsigned long value = strtoul(text, &end, 10);
    if (end == text || *end || strchr(text, '-') || value > MAX_THREADS)
      return usage_error(usage, "--%s: '%s' is not a number of threads (1-%d)", spec->name, text,
                         MAX_THREADS);
    *(unsigned *)spec->value = (unsigned)value;
    return -1;
  }
  case OPTION_FLAG:
  case OPTION_END:
    break;
  }
  return 2;
}

static const struct option_spec *find_long(const struct option_spec *specs, const char *name,
                                           size_t length) {
  for (; specs->type != OPTION_END; specs++)
    if (strlen(specs->name) == length && strncmp(specs->name, name, length) == 0)
      return specs;
  return NULL;
}

static const struct option_spec *find_letter(const struct option_spec *specs, char letter) {
  for (; specs->type != OPTION_END; specs++)
    if (specs->letter && specs->letter == letter)
      return specs;
  return NULL;
}

/* The option that `word` ("--name", "--name=value", "-x", "-xvalue") calls, and its value if it
 * holds one. */
static const struct option_spec *find_option(const struct option_spec *specs, const char *word,
                                             const char **ret_value) {
  if (word[1] != '-') {
    *ret_value = word[2] ? word + 2 : NULL;
    return find_letter(specs, word[1]);
  }
  const char *equals = strchr(word, '=');
  *ret_value = equals ? equals + 1 : NULL;
  return find_long(specs, word + 2, equals ? (size_t)(equals - word - 2) : strlen(word + 2));
}

static bool missing(const struct option_spec *spec) {
  if (!spec->required)
    return false;
  return spec->type == OPTION_STRING ? !*(const char **)spec->value : !*(uint64_t *)spec->value;
}

int options_parse(int argc, char **argv, const struct command_usage *usage,
                  const struct option_spec *specs, struct call *call) {
  *call = (struct call){.help = false};
  const struct option_spec common[] = {
      OPTION(FLAG, 'h', "help", NULL, "show this help", &call->help),
      OPTION(FLAG, 0, "json", NULL, "print one JSON object", &call->json),
      OPTION(FLAG, 'q', "quiet", NULL, "no progress on stderr", &call->quiet), END_OPTIONS};
  struct string_list *operands = &call->operands;
  bool only_operands = false;
  for (int i = 1; i < argc; i++) {
    const char *word = argv[i], *value = NULL;
    if (only_operands || word[0] != '-' || !word[1]) {
      if (operands->n == MAX_LIST)
        return usage_error(usage, "more than %d operands", MAX_LIST);
      operands->items[operands->n++] = word;
      continue;
    }
    if (strcmp(word, "--") == 0) {
      only_operands = true;
      continue;
    }
    const struct option_spec *spec = find_option(common, word, &value);
    if (!spec)
      spec = find_option(specs, word, &value);
    if (!spec)
      return usage_error(usage, "unknown option '%s'", word);
    if (spec->type == OPTION_FLAG) {
      if (value)
        return usage_error(usage, "option '%s' takes no value", word);
      *(bool *)spec->value = true;
      continue;
    }
    if (!value && ++i == argc)
      return usage_error(usage, "option '%s' needs a value", word);
    int code = store(usage, spec, value ? value : argv[i]);
    if (code >= 0)
      return code;
  }
  if (call->help) {
    printf("usage: tracetwin %s %s\n\n%s\n\noptions:\n", usage->name, usage->synopsis,
           usage->summary);
    print_specs(common);
    print_specs(specs);
    return 0;
  }
  if (operands->n < usage->min_operands)
    return usage_error(usage, "missing operand");
  if (operands->n > usage->max_operands)
    return usage_error(usage, "unexpected operand '%s'", operands->items[usage->max_operands]);
  for (; specs->type != OPTION_END; specs++)
    if (missing(specs))
      return usage_error(usage, "%s is missing", specs->required);
  return -1;
}
