#include "trace/ctf_writer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/output.h"
#include "trace/ctf_writer_metadata.h"
#include "trace/ctf_writer_stream.h"
#include "trace/payload.h"
#include "trace/payload_state.h"

#define BATCH 4096 /* events read at once */

struct writer {
  const struct tt_event_source *source;
  struct tt_payload payload;
  char *folder;                   /* OUT.tmp/kernel */
  struct tt_ctf_stream **streams; /* by CPU; NULL: no event yet */
  size_t streams_capacity;
  unsigned char uuid[16];
  uint64_t events;
};

static struct tt_ctf_stream *find_stream(struct writer *writer, uint16_t cpu) {
  if (cpu < writer->streams_capacity && writer->streams[cpu])
    return writer->streams[cpu];
  size_t before = writer->streams_capacity;
  struct tt_ctf_stream *stream = NULL;
  char *path = tt_format("%s/channel0_%u", writer->folder, cpu);
  if (!path || tt_grow(&writer->streams, &writer->streams_capacity, (size_t)cpu + 1,
                       sizeof *writer->streams)) {
    tt_fail(TT_NO_MEMORY, "out of memory for CPU %u's stream", cpu);
    goto cleanup;
  }
  if (writer->streams_capacity > before)
    memset(writer->streams + before, 0,
           (writer->streams_capacity - before) * sizeof *writer->streams);
  stream = tt_calloc(1, sizeof *stream);
  if (!stream)
    tt_fail(TT_NO_MEMORY, "out of memory for CPU %u's stream", cpu);
  if (stream && tt_ctf_stream_open(path, cpu, stream) != TT_OK) {
    tt_free(stream);
    stream = NULL;
  }
  writer->streams[cpu] = stream;
cleanup:
  tt_free(path);
  return stream;
}

/* Counts this CPU's gaps that begin by `ts`. The packet that is open ends before the first of them:
 * readers place the loss between two packets. */
static enum tt_status count_gaps(struct writer *writer, struct tt_ctf_stream *stream, int64_t ts) {
  const struct tt_event_source *source = writer->source;
  while (stream->next_gap < source->n_gaps && source->gaps[stream->next_gap].begin <= ts) {
    const struct tt_gap *gap = &source->gaps[stream->next_gap++];
    if (gap->cpu != stream->cpu)
      continue;
    enum tt_status status = tt_ctf_stream_flush(stream, writer->uuid);
    if (status != TT_OK)
      return status;
    stream->discarded += gap->lost ? gap->lost : 1;
  }
  return TT_OK;
}

static enum tt_status put_event(void *user, const struct tt_payload_facts *facts) {
  struct writer *writer = user;
  struct tt_ctf_stream *stream = find_stream(writer, facts->event->cpu);
  if (!stream)
    return TT_NO_MEMORY;
  enum tt_status status = count_gaps(writer, stream, facts->event->ts);
  if (status != TT_OK)
    return status;
  writer->events++;
  return tt_ctf_stream_put(stream, writer->uuid, &writer->payload.classes[facts->event->event],
                           facts);
}

static enum tt_status write_streams(struct writer *writer, const struct tt_names *event_names,
                                    const struct tt_names *comms) {
  const struct tt_event_source *source = writer->source;
  struct tt_payload_state *state = NULL;
  enum tt_status status =
      tt_payload_state_create(&writer->payload, comms, put_event, writer, &state);
  struct tt_event *events = tt_alloc(BATCH, sizeof *events);
  if (status == TT_OK && !events)
    status = tt_fail(TT_NO_MEMORY, "out of memory");
  int64_t last_ts = 0;
  for (uint64_t first = 0; first < source->n && status == TT_OK; first += BATCH) {
    size_t count = source->n - first < BATCH ? (size_t)(source->n - first) : BATCH;
    if (tt_interrupted()) {
      status = tt_fail(TT_INTERRUPTED, "interrupted");
      break;
    }
    status = source->read(source->user, first, count, events);
    if (status == TT_OK)
      status = tt_event_source_check(events, count, first, event_names, comms, &last_ts);
    if (status == TT_OK)
      status = tt_payload_state_push(state, events, count);
  }
  if (status == TT_OK)
    status = tt_payload_state_finish(state);
  for (size_t i = 0; i < writer->streams_capacity && status == TT_OK; i++) {
    struct tt_ctf_stream *stream = writer->streams[i];
    if (!stream)
      continue;
    for (; stream->next_gap < source->n_gaps; stream->next_gap++)
      if (source->gaps[stream->next_gap].cpu == stream->cpu)
        stream->discarded +=
            source->gaps[stream->next_gap].lost ? source->gaps[stream->next_gap].lost : 1;
    status = tt_ctf_stream_flush(stream, writer->uuid);
  }
  tt_free(events);
  tt_payload_state_destroy(state);
  return status;
}

static enum tt_status write_metadata(const struct writer *writer,
                                     const struct tt_ctf_writer_options *options,
                                     size_t *ret_size) {
  char *text = NULL;
  char *path = tt_format("%s/metadata", writer->folder);
  FILE *file = NULL;
  size_t size = 0;
  enum tt_status status =
      path ? tt_ctf_metadata(options, &writer->payload, writer->uuid, &text, &size)
           : tt_fail(TT_NO_MEMORY, "out of memory");
  if (status != TT_OK)
    goto cleanup;
  file = fopen(path, "wbe");
  bool written = file && fwrite(text, 1, size, file) == size;
  if ((file && fclose(file) != 0) || !written)
    status = tt_fail(TT_IO, "%s: cannot write: %s", path, strerror(errno));
  *ret_size = size;
cleanup:
  free(text);
  tt_free(path);
  return status;
}

enum tt_status tt_ctf_export(const struct tt_event_source *source,
                             const struct tt_names *event_names, const struct tt_names *comms,
                             const struct tt_ctf_writer_options *options, const char *output_folder,
                             bool overwrite, uint64_t *ret_events, uint64_t *ret_bytes) {
  struct tt_ctf_writer_options filled = *options;
  filled.hostname = filled.hostname ? filled.hostname : "tracetwin";
  filled.trace_name = filled.trace_name ? filled.trace_name : "tracetwin";
  filled.kernel_release = filled.kernel_release ? filled.kernel_release : "6.1.0";
  if (filled.clock_origin_ns < 0)
    return tt_fail(TT_BAD_INPUT, "%s: the clock's origin lies before 1970", output_folder);
  struct writer writer = {.source = source};
  struct tt_output output;
  enum tt_status status = tt_output_begin_folder(output_folder, overwrite, &output);
  if (status != TT_OK)
    return status;
  size_t metadata_size = 0;
  writer.folder = tt_format("%s/kernel", output.temporary);
  if (!writer.folder)
    status = tt_fail(TT_NO_MEMORY, "out of memory");
  else if (mkdir(writer.folder, 0777) != 0)
    status = tt_fail(TT_IO, "%s: cannot create: %s", writer.folder, strerror(errno));
  if (status == TT_OK)
    status = tt_payload_compile(event_names, &writer.payload);
  if (status == TT_OK) {
    tt_ctf_uuid(&filled, &writer.payload, source->n, writer.uuid);
    status = write_streams(&writer, event_names, comms);
  }
  if (status == TT_OK)
    status = write_metadata(&writer, &filled, &metadata_size);
  uint64_t bytes = metadata_size;
  for (size_t i = 0; i < writer.streams_capacity; i++)
    if (writer.streams[i]) {
      bytes += writer.streams[i]->bytes;
      tt_ctf_stream_release(writer.streams[i]);
      tt_free(writer.streams[i]);
    }
  TT_ASSERT(status != TT_OK || writer.events == source->n);
  tt_free(writer.streams);
  tt_free(writer.folder);
  tt_payload_release(&writer.payload);
  if (status == TT_OK) {
    status = tt_output_commit(&output);
  } else {
    tt_output_abort(&output);
    status = tt_fail(status, "while exporting to %s", output_folder);
  }
  if (status == TT_OK && ret_events)
    *ret_events = writer.events;
  if (status == TT_OK && ret_bytes)
    *ret_bytes = bytes;
  return status;
}
