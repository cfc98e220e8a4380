#include "trace/payload.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/output.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "payloads are written as they stand");

#define TEXT32 32

static const char *const source_names[] = {
#define SOURCE_NAME(name) #name,
    TT_PAYLOAD_SOURCES(SOURCE_NAME)
#undef SOURCE_NAME
        "comm",
    "other_comm",
};

static bool starts_with(const char *text, const char *start) {
  return strncmp(text, start, strlen(start)) == 0;
}

char *tt_payload_name(const char *event_name) {
  const char *rest = event_name, *to = "";
  size_t longest = 0;
  for (size_t i = 0; i < tt_payload_renames_n; i++) {
    size_t n = strlen(tt_payload_renames[i].from);
    if (n > longest && starts_with(event_name, tt_payload_renames[i].from)) {
      longest = n;
      to = tt_payload_renames[i].to;
      rest = event_name + n;
    }
  }
  const char *colon = longest ? NULL : strchr(event_name, ':');
  if (colon) {
    size_t n = (size_t)(colon - event_name);
    if (strncmp(colon + 1, event_name, n) == 0 && (colon[1 + n] == '_' || colon[1 + n] == 0))
      rest = colon + 1;
  }
  char *name = *to || *rest ? tt_format("%s%s", to, rest) : tt_strdup("_");
  for (char *p = name; p && *p; p++)
    if (!isascii((unsigned char)*p) || (!isalnum((unsigned char)*p) && *p != '_'))
      *p = '_';
  return name;
}

/* A class under construction. */
struct builder {
  struct tt_payload_class *class;
  size_t bytes_capacity, patches_capacity;
  FILE *metadata;
};

static int append(struct builder *builder, const void *bytes, size_t size, size_t reserve) {
  struct tt_payload_class *class = builder->class;
  if (tt_grow(&class->bytes, &builder->bytes_capacity, class->size + reserve, 1))
    return -1;
  memset(class->bytes + class->size, 0, reserve);
  memcpy(class->bytes + class->size, bytes, size);
  class->size += reserve;
  return 0;
}

static int patch(struct builder *builder, size_t size, const char *source, size_t source_n) {
  struct tt_payload_class *class = builder->class;
  size_t id = 0;
  while (strlen(source_names[id]) != source_n || memcmp(source_names[id], source, source_n) != 0) {
    id++;
    TT_ASSERT(id < sizeof source_names / sizeof *source_names); /* a typing error in the table */
  }
  TT_ASSERT((id >= TT_SOURCE_comm) == (size == TT_PAYLOAD_COMM));
  if (tt_grow(&class->patches, &builder->patches_capacity, class->n_patches + 1,
              sizeof *class->patches))
    return -1;
  class->patches[class->n_patches++] = (struct tt_payload_patch){
      .offset = (uint16_t) class->size, .size = (uint8_t)size, .source = (uint8_t)id};
  return append(builder, "", 0, size);
}

static int text_field(struct builder *builder, const char *name, int name_n, bool fixed,
                      const char *value, size_t value_n) {
  TT_ASSERT(value_n >= 2 && value[0] == '\'' && value[value_n - 1] == '\'' && value_n < TEXT32);
  if (fixed)
    fprintf(builder->metadata,
            "\t\tinteger { size = 8; align = 8; signed = 0; encoding = UTF8; base = 10; } "
            "_%.*s[%d];\n",
            name_n, name, TEXT32);
  else
    fprintf(builder->metadata, "\t\tstring _%.*s;\n", name_n, name);
  return append(builder, value + 1, value_n - 2, fixed ? TEXT32 : value_n - 1);
}

/* One field, NAME:TYPE[=VALUE], [text, text + n). */
static int field(struct builder *builder, const char *text, size_t n) {
  const char *colon = memchr(text, ':', n);
  TT_ASSERT(colon && colon > text);
  int name_n = (int)(colon - text);
  const char *type = colon + 1, *end = text + n;
  const char *equals = memchr(type, '=', (size_t)(end - type));
  size_t type_n = (size_t)((equals ? equals : end) - type);
  const char *value = equals ? equals + 1 : "0";
  size_t value_n = equals ? (size_t)(end - value) : 1;
  if (type_n == 4 && memcmp(type, "text", 4) == 0)
    return text_field(builder, text, name_n, false, value, value_n);
  if (type_n == 6 && memcmp(type, "text32", 6) == 0)
    return text_field(builder, text, name_n, true, value, value_n);
  if (type_n == 4 && memcmp(type, "comm", 4) == 0) {
    fprintf(builder->metadata,
            "\t\tinteger { size = 8; align = 8; signed = 0; encoding = UTF8; base = 10; } "
            "_%.*s[%d];\n",
            name_n, text, TT_PAYLOAD_COMM);
    return patch(builder, TT_PAYLOAD_COMM, value, value_n);
  }
  long bits = strtol(type + 1, NULL, 10);
  TT_ASSERT(strchr("iux", *type) && (bits == 8 || bits == 16 || bits == 32 || bits == 64));
  fprintf(builder->metadata,
          "\t\tinteger { size = %ld; align = 8; signed = %d; encoding = none; base = %d; } "
          "_%.*s;\n",
          bits, *type == 'i', *type == 'x' ? 16 : 10, name_n, text);
  if (isalpha((unsigned char)*value))
    return patch(builder, (size_t)bits / 8, value, value_n);
  uint64_t number = *value == '-' ? (uint64_t)strtoll(value, NULL, 0) : strtoull(value, NULL, 0);
  return append(builder, &number, (size_t)bits / 8, (size_t)bits / 8);
}

static int fields(struct builder *builder, const char *text) {
  while (*text) {
    size_t n = 0;
    for (bool quoted = false; text[n] && (quoted || text[n] != ' '); n++)
      quoted ^= text[n] == '\'';
    if (n && field(builder, text, n))
      return -1;
    text += n + (text[n] == ' ');
  }
  return 0;
}

/* Meaning and fields of an event by its exported name. */
static const char *describe(const char *name, enum tt_payload_kind *ret_kind) {
  *ret_kind = TT_KIND_PLAIN;
  for (size_t i = 0; i < tt_payload_events_n; i++)
    if (strcmp(name, tt_payload_events[i].name) == 0) {
      *ret_kind = tt_payload_events[i].kind;
      return tt_payload_events[i].fields;
    }
  if (starts_with(name, "compat_"))
    name += strlen("compat_");
  bool entry = starts_with(name, "syscall_entry_");
  if (!entry && !starts_with(name, "syscall_exit_"))
    return "";
  const struct tt_payload_syscall *syscall = NULL;
  name += entry ? strlen("syscall_entry_") : strlen("syscall_exit_");
  for (size_t i = 0; i < tt_payload_syscalls_n && !syscall; i++)
    if (strcmp(name, tt_payload_syscalls[i].name) == 0)
      syscall = &tt_payload_syscalls[i];
  if (entry) {
    *ret_kind = TT_KIND_SYSCALL;
    return syscall ? syscall->fields : "";
  }
  *ret_kind = syscall && syscall->returns_fd ? TT_KIND_RETURN_FD : TT_KIND_RETURN;
  return "ret:i64=ret";
}

static int compile(struct tt_payload_class *class, const char *text) {
  struct builder builder = {.class = class};
  size_t metadata_n = 0;
  char *metadata = NULL;
  builder.metadata = open_memstream(&metadata, &metadata_n);
  if (!builder.metadata)
    return -1;
  int result = fields(&builder, text);
  if (fclose(builder.metadata) != 0)
    result = -1;
  if (result == 0 && !(class->metadata = tt_strdup(metadata)))
    result = -1;
  free(metadata);
  return result;
}

enum tt_status tt_payload_compile(const struct tt_names *event_names, struct tt_payload *ret) {
  enum tt_status status = TT_OK;
  struct tt_names taken;
  tt_names_init(&taken);
  ret->n = 0;
  ret->classes = tt_calloc(event_names->n, sizeof *ret->classes);
  if (!ret->classes)
    goto no_memory;
  for (size_t i = 0; i < event_names->n; i++) {
    struct tt_payload_class *class = &ret->classes[i];
    ret->n = i + 1;
    class->name = tt_payload_name(event_names->names[i]);
    if (!class->name)
      goto no_memory;
    const char *text = describe(class->name, &class->kind);
    if (compile(class, text))
      goto no_memory;
    for (unsigned copy = 2; tt_names_find(&taken, class->name) != TT_NAME_NONE; copy++) {
      tt_free(class->name);
      char *plain = tt_payload_name(event_names->names[i]);
      class->name = plain ? tt_format("%s_%u", plain, copy) : NULL;
      tt_free(plain);
      if (!class->name)
        goto no_memory;
    }
    if (tt_names_add(&taken, class->name) == TT_NAME_NONE)
      goto no_memory;
  }
  goto cleanup;
no_memory:
  status = tt_fail(TT_NO_MEMORY, "out of memory for %zu event types", event_names->n);
cleanup:
  tt_names_release(&taken);
  return status;
}

void tt_payload_release(struct tt_payload *payload) {
  for (size_t i = 0; i < payload->n; i++) {
    struct tt_payload_class *class = &payload->classes[i];
    tt_free(class->name);
    tt_free(class->metadata);
    tt_free(class->bytes);
    tt_free(class->patches);
  }
  tt_free(payload->classes);
  memset(payload, 0, sizeof *payload);
}

/* Length of the UTF-8 sequence at p (of at most n bytes), 0 when it is none. */
static size_t utf8_length(const unsigned char *p, size_t n) {
  size_t length = *p < 0x80 ? 1 : *p >= 0xc2 && *p < 0xe0 ? 2 : (*p & 0xf0) == 0xe0 ? 3 : 4;
  if (length > n || (length == 4 && (*p < 0xf0 || *p > 0xf4)))
    return 0;
  for (size_t i = 1; i < length; i++)
    if ((p[i] & 0xc0) != 0x80)
      return 0;
  bool overlong = (*p == 0xe0 && p[1] < 0xa0) || (*p == 0xf0 && p[1] < 0x90);
  bool outside = (*p == 0xed && p[1] >= 0xa0) || (*p == 0xf4 && p[1] >= 0x90);
  return overlong || outside ? 0 : length;
}

void tt_payload_comm(const char *name, unsigned char ret[TT_PAYLOAD_COMM]) {
  memset(ret, 0, TT_PAYLOAD_COMM);
  size_t n = strlen(name);
  if (n > TT_PAYLOAD_COMM - 1)
    n = TT_PAYLOAD_COMM - 1;
  memcpy(ret, name, n);
  for (size_t i = 0; i < n;) {
    size_t length = utf8_length(ret + i, n - i);
    if (!length)
      ret[i] = '?';
    i += length ? length : 1;
  }
}

int8_t tt_payload_prio(const char *name) {
  if (strncmp(name, "migration/", 10) == 0 || strncmp(name, "watchdog/", 9) == 0)
    return -100;
  if (strncmp(name, "irq/", 4) == 0)
    return -51;
  size_t n = strlen(name);
  return strncmp(name, "kworker/", 8) == 0 && name[n - 1] == 'H' ? 0 : 20;
}
