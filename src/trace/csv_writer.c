#include "trace/csv_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/output.h"

#define BATCH 4096
#define FLUSH_AT (1u << 20)
#define NUMBER_MAX 20 /* bytes of a 64-bit integer in decimal */

/* A dictionary as the CSV fields it becomes. */
struct fields {
  char **text;  /* [n] quoted where needed */
  size_t *size; /* [n] */
  size_t n, longest;
};

static void fields_release(struct fields *fields) {
  for (size_t i = 0; fields->text && i < fields->n; i++)
    tt_free(fields->text[i]);
  tt_free(fields->text);
  tt_free(fields->size);
}

static char *quote(const char *text) {
  if (!strpbrk(text, ",\"\r\n"))
    return tt_strdup(text);
  char *quoted = tt_alloc(strlen(text) + 2, 2); /* every byte doubled, two quotes, NUL */
  if (!quoted)
    return NULL;
  char *p = quoted;
  *p++ = '"';
  for (; *text; *p++ = *text++)
    if (*text == '"')
      *p++ = '"';
  *p++ = '"';
  *p = 0;
  return quoted;
}

static int fields_init(struct fields *fields, const struct tt_names *names) {
  fields->n = names->n;
  fields->text = tt_calloc(names->n, sizeof *fields->text);
  fields->size = tt_calloc(names->n, sizeof *fields->size);
  if (!fields->text || !fields->size)
    return -1;
  for (size_t i = 0; i < names->n; i++) {
    if (!(fields->text[i] = quote(names->names[i])))
      return -1;
    fields->size[i] = strlen(fields->text[i]);
    if (fields->size[i] > fields->longest)
      fields->longest = fields->size[i];
  }
  return 0;
}

static char *put_number(char *p, int64_t value) {
  char digits[NUMBER_MAX];
  size_t n = 0;
  uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
  do
    digits[n++] = (char)('0' + rest % 10);
  while (rest /= 10);
  if (value < 0)
    *p++ = '-';
  while (n)
    *p++ = digits[--n];
  return p;
}

static char *put_field(char *p, const struct fields *fields, uint32_t id) {
  memcpy(p, fields->text[id], fields->size[id]);
  return p + fields->size[id];
}

static char *put_event(char *p, const struct tt_event *e, const struct fields *names,
                       const struct fields *comms) {
  p = put_number(p, e->ts);
  *p++ = ',';
  p = put_number(p, e->cpu);
  *p++ = ',';
  if (e->tid != TT_TID_NONE)
    p = put_number(p, e->tid);
  *p++ = ',';
  if (e->comm != TT_COMM_NONE)
    p = put_field(p, comms, e->comm);
  *p++ = ',';
  p = put_field(p, names, e->event);
  *p++ = ',';
  if (e->ret != TT_RET_NONE)
    p = put_number(p, e->ret);
  *p++ = '\n';
  return p;
}

static int write_all(int fd, const char *data, size_t size) {
  while (size > 0) {
    ssize_t done = write(fd, data, size);
    if (done < 0 && errno != EINTR)
      return -1;
    if (done > 0) {
      data += done;
      size -= (size_t)done;
    }
  }
  return 0;
}

enum tt_status tt_csv_export(const struct tt_event_source *source,
                             const struct tt_names *event_names, const struct tt_names *comms,
                             const char *output_file, bool overwrite, uint64_t *ret_events,
                             uint64_t *ret_bytes) {
  static const char header[] = "timestamp_ns,cpu,tid,comm,event,ret\n";
  struct tt_output output;
  enum tt_status status = tt_output_begin_file(output_file, overwrite, &output);
  if (status != TT_OK)
    return status;
  struct fields names = {0}, comm_names = {0};
  char *buffer = NULL;
  struct tt_event *events = NULL;
  uint64_t bytes = 0;
  int64_t last_ts = 0;
  int fd = open(output.temporary, O_WRONLY | O_TRUNC | O_CLOEXEC);
  if (fd < 0) {
    status = tt_fail(TT_IO, "%s: cannot write: %s", output_file, strerror(errno));
    goto cleanup;
  }
  if (fields_init(&names, event_names) || fields_init(&comm_names, comms) ||
      !(events = tt_alloc(BATCH, sizeof *events)) ||
      !(buffer = tt_alloc(FLUSH_AT + names.longest + comm_names.longest + 128, 1))) {
    status = tt_fail(TT_NO_MEMORY, "%s: out of memory", output_file);
    goto cleanup;
  }
  memcpy(buffer, header, sizeof header - 1);
  char *p = buffer + sizeof header - 1;
  for (uint64_t first = 0; first < source->n && status == TT_OK; first += BATCH) {
    size_t count = source->n - first < BATCH ? (size_t)(source->n - first) : BATCH;
    if (tt_interrupted()) {
      status = tt_fail(TT_INTERRUPTED, "%s: interrupted", output_file);
      goto cleanup;
    }
    status = source->read(source->user, first, count, events);
    if (status == TT_OK)
      status = tt_event_source_check(events, count, first, event_names, comms, &last_ts);
    if (status != TT_OK)
      goto cleanup;
    for (size_t i = 0; i < count; i++) {
      p = put_event(p, &events[i], &names, &comm_names);
      if (p >= buffer + FLUSH_AT) {
        bytes += (uint64_t)(p - buffer);
        if (write_all(fd, buffer, (size_t)(p - buffer)) != 0) {
          status = tt_fail(TT_IO, "%s: cannot write: %s", output_file, strerror(errno));
          goto cleanup;
        }
        p = buffer;
      }
    }
  }
  bytes += (uint64_t)(p - buffer);
  if (write_all(fd, buffer, (size_t)(p - buffer)) != 0)
    status = tt_fail(TT_IO, "%s: cannot write: %s", output_file, strerror(errno));
cleanup:
  if (fd >= 0 && close(fd) != 0 && status == TT_OK)
    status = tt_fail(TT_IO, "%s: cannot write: %s", output_file, strerror(errno));
  fields_release(&names);
  fields_release(&comm_names);
  tt_free(buffer);
  tt_free(events);
  if (status != TT_OK) {
    tt_output_abort(&output);
    return status;
  }
  status = tt_output_commit(&output);
  if (status == TT_OK && ret_events)
    *ret_events = source->n;
  if (status == TT_OK && ret_bytes)
    *ret_bytes = bytes;
  return status;
}
