#include "trace/ctf_writer_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/output.h"

#define PACKET ((size_t)256 << 10) /* bytes */
#define PAGE ((size_t)4096)
#define HEADER (4 + 16 + 4)           /* packet header */
#define CONTEXT (6 * 8 + 4)           /* packet context */
#define EVENT_MAX (14 + 24)           /* long event header, event context */
#define SHORT_SPAN (INT64_C(1) << 32) /* ns that a short header can tell apart */

enum tt_status tt_ctf_stream_open(const char *path, uint16_t cpu, struct tt_ctf_stream *ret) {
  struct tt_ctf_stream stream = {.cpu = cpu};
  stream.path = tt_strdup(path);
  stream.buffer = tt_alloc(PACKET, 1);
  if (!stream.path || !stream.buffer) {
    tt_ctf_stream_release(&stream);
    return tt_fail(TT_NO_MEMORY, "out of memory for CPU %u's stream", cpu);
  }
  *ret = stream;
  return TT_OK;
}

void tt_ctf_stream_release(struct tt_ctf_stream *stream) {
  tt_free(stream->path);
  tt_free(stream->buffer);
  memset(stream, 0, sizeof *stream);
}

static void put32(unsigned char *to, uint32_t value) {
  memcpy(to, &value, sizeof value);
}

static void put64(unsigned char *to, uint64_t value) {
  memcpy(to, &value, sizeof value);
}

enum tt_status tt_ctf_stream_flush(struct tt_ctf_stream *stream, const unsigned char uuid[16]) {
  if (!stream->used)
    return TT_OK;
  size_t size = (stream->used + PAGE - 1) / PAGE * PAGE;
  unsigned char *p = stream->buffer;
  memset(p + stream->used, 0, size - stream->used);
  put32(p, TT_CTF_MAGIC);
  memcpy(p + 4, uuid, 16);
  put32(p + 20, 0);
  p += HEADER;
  put64(p, (uint64_t)stream->begin);
  put64(p + 8, (uint64_t)stream->last);
  put64(p + 16, stream->used * 8);
  put64(p + 24, size * 8);
  put64(p + 32, stream->packets++);
  put64(p + 40, stream->discarded);
  put32(p + 48, stream->cpu);
  stream->used = 0;
  int fd = open(stream->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  size_t written = 0;
  while (fd >= 0 && written < size) {
    ssize_t done = write(fd, stream->buffer + written, size - written);
    if (done < 0 && errno != EINTR)
      break;
    if (done > 0)
      written += (size_t)done;
  }
  int saved = errno;
  if (fd >= 0 && close(fd) != 0 && written == size) {
    saved = errno;
    written = 0;
  }
  if (written < size)
    return tt_fail(TT_IO, "%s: cannot write: %s", stream->path, strerror(saved));
  stream->bytes += size;
  return TT_OK;
}

enum tt_status tt_ctf_stream_put(struct tt_ctf_stream *stream, const unsigned char uuid[16],
                                 const struct tt_payload_class *class,
                                 const struct tt_payload_facts *facts) {
  const struct tt_event *e = facts->event;
  size_t size = EVENT_MAX + class->size;
  TT_ASSERT(HEADER + CONTEXT + size <= PACKET);
  if (stream->used + size > PACKET) {
    enum tt_status status = tt_ctf_stream_flush(stream, uuid);
    if (status != TT_OK)
      return status;
  }
  if (!stream->used) {
    stream->used = HEADER + CONTEXT;
    stream->begin = stream->last = e->ts;
  }
  unsigned char *p = stream->buffer + stream->used;
  if (e->event != TT_CTF_EXTENDED && e->ts - stream->last < SHORT_SPAN) {
    memcpy(p, &e->event, 2);
    put32(p + 2, (uint32_t)e->ts);
    p += 6;
  } else {
    uint16_t extended = TT_CTF_EXTENDED;
    memcpy(p, &extended, 2);
    put32(p + 2, e->event);
    put64(p + 6, (uint64_t)e->ts);
    p += 14;
  }
  stream->last = e->ts;
  uint32_t tid = (uint32_t)facts->value[TT_SOURCE_tid];
  memcpy(p, facts->comm, TT_PAYLOAD_COMM);
  put32(p + 16, tid);
  put32(p + 20, tid);
  p += 24;
  if (class->size)
    memcpy(p, class->bytes, class->size);
  for (size_t i = 0; i < class->n_patches; i++) {
    const struct tt_payload_patch *patch = &class->patches[i];
    unsigned char *to = p + patch->offset;
    if (patch->source == TT_SOURCE_comm)
      memcpy(to, facts->comm, TT_PAYLOAD_COMM);
    else if (patch->source == TT_SOURCE_other_comm)
      memcpy(to, facts->other_comm, TT_PAYLOAD_COMM);
    else if (patch->size == 4)
      put32(to, (uint32_t)facts->value[patch->source]);
    else
      memcpy(to, &facts->value[patch->source], patch->size); /* little-endian: the low bytes */
  }
  stream->used = (size_t)(p + class->size - stream->buffer);
  return TT_OK;
}
