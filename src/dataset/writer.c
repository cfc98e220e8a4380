/* The dataset writer. Events are transposed into one buffer per column and written out whenever
 * those are full; a shard's headers are written when its length is known. Memory: the buffers
 * (1.8 MiB) and bit sets of the ids seen. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/output.h"
#include "dataset/columns.h"
#include "dataset/dataset.h"
#include "dataset/meta.h"
#include "dataset/npy.h"

enum { BUFFER_EVENTS = 1 << 16 };
#define WRITE_BACK_EVENTS ((size_t)1 << 20)

/* A set of 32-bit ids: bit pages made when first touched. */
struct id_set {
  uint64_t **pages; /* [65536] of 65536 bits each, NULL: empty */
  size_t count;
  uint32_t last; /* the one added last, when count > 0 */
};

static int id_set_add(struct id_set *set, uint32_t id) {
  if (set->count && set->last == id)
    return 0;
  uint64_t **page = &set->pages[id >> 16];
  if (!*page && !(*page = tt_calloc(1024, sizeof **page)))
    return -1;
  uint64_t *word = &(*page)[(id & 0xffff) >> 6], bit = (uint64_t)1 << (id & 63);
  set->count += !(*word & bit);
  *word |= bit;
  set->last = id;
  return 0;
}

static void id_set_release(struct id_set *set) {
  for (size_t i = 0; set->pages && i < 65536; i++)
    tt_free(set->pages[i]);
  tt_free(set->pages);
}

struct tt_dataset_writer {
  struct tt_output output;
  size_t shard_events;
  uint64_t events;          /* appended */
  size_t shard_rows;        /* of them in the open shard */
  uint64_t shards;          /* begun */
  size_t buffered;          /* rows in the buffers */
  struct tt_columns buffer; /* n unused; the arrays are ours */
  int files[TT_N_COLUMNS];  /* of the open shard, -1: none */
  int64_t first_ts, last_ts;
  uint32_t event_limit, cpu_limit, comm_limit; /* highest id + 1 */
  struct id_set event_ids, cpu_ids, comm_ids, tid_ids;
  enum tt_status failed; /* the first failure: nothing works from then on */
};

static enum tt_status no_memory(void) {
  return tt_fail(TT_NO_MEMORY, "out of memory");
}

static void writer_free(struct tt_dataset_writer *w) {
  for (size_t c = 0; c < TT_N_COLUMNS; c++)
    if (w->files[c] >= 0)
      close(w->files[c]);
#define FREE(name, type, descr) tt_free((void *)(uintptr_t)w->buffer.name);
  TT_COLUMN_TABLE(FREE)
#undef FREE
  id_set_release(&w->event_ids);
  id_set_release(&w->cpu_ids);
  id_set_release(&w->comm_ids);
  id_set_release(&w->tid_ids);
  tt_free(w);
}

enum tt_status tt_dataset_writer_begin_sharded(const char *path, bool overwrite,
                                               size_t shard_events,
                                               struct tt_dataset_writer **ret) {
  TT_ASSERT(shard_events && shard_events % TT_SHARD_UNIT == 0 &&
            shard_events <= TT_SHARD_EVENTS_MAX);
  struct tt_dataset_writer *w = tt_calloc(1, sizeof *w);
  if (!w)
    return no_memory();
  w->shard_events = shard_events;
  for (size_t c = 0; c < TT_N_COLUMNS; c++)
    w->files[c] = -1;
  bool complete = true;
#define ALLOCATE(name, type, descr)                                                                \
  complete = (w->buffer.name = tt_alloc(BUFFER_EVENTS, sizeof(type))) && complete;
  TT_COLUMN_TABLE(ALLOCATE)
#undef ALLOCATE
  struct id_set *sets[] = {&w->event_ids, &w->cpu_ids, &w->comm_ids, &w->tid_ids};
  for (size_t i = 0; i < 4; i++)
    complete = (sets[i]->pages = tt_calloc(65536, sizeof *sets[i]->pages)) && complete;
  enum tt_status status =
      complete ? tt_output_begin_folder(path, overwrite, &w->output) : no_memory();
  if (status != TT_OK) {
    writer_free(w);
    return status;
  }
  *ret = w;
  return TT_OK;
}

enum tt_status tt_dataset_writer_begin(const char *path, bool overwrite,
                                       struct tt_dataset_writer **ret) {
  return tt_dataset_writer_begin_sharded(path, overwrite, TT_SHARD_EVENTS, ret);
}

uint64_t tt_dataset_writer_events(const struct tt_dataset_writer *writer) {
  return writer->events;
}

static enum tt_status cannot_write(struct tt_dataset_writer *w) {
  return w->failed = tt_fail(TT_IO, "%s: cannot write: %s", w->output.target, strerror(errno));
}

static bool write_fully(int fd, const void *data, size_t size) {
  for (const char *p = data; size > 0;) {
    ssize_t n = write(fd, p, size);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return false;
    p += n;
    size -= (size_t)n;
  }
  return true;
}

static enum tt_status open_shard(struct tt_dataset_writer *w) {
  char *folder = tt_format("%s/shard-%05llu", w->output.temporary, (unsigned long long)w->shards);
  if (!folder)
    return w->failed = no_memory();
  bool made = mkdir(folder, 0777) == 0;
  for (size_t c = 0; made && c < TT_N_COLUMNS; c++) {
    char *path = tt_format("%s/%s.npy", folder, tt_column_types[c].name);
    w->files[c] = path ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666) : -1;
    made = w->files[c] >= 0 && lseek(w->files[c], TT_NPY_HEADER, SEEK_SET) == TT_NPY_HEADER;
    tt_free(path);
  }
  tt_free(folder);
  w->shards++;
  w->shard_rows = 0;
  return made ? TT_OK : cannot_write(w);
}

static enum tt_status flush(struct tt_dataset_writer *w) {
  const void *data[TT_N_COLUMNS] = {
#define POINTER(name, type, descr) w->buffer.name,
      TT_COLUMN_TABLE(POINTER)
#undef POINTER
  };
  for (size_t c = 0; c < TT_N_COLUMNS; c++)
    if (!write_fully(w->files[c], data[c], w->buffered * tt_column_types[c].size))
      return cannot_write(w);
  w->buffered = 0;
  /* The disk may begin now: the sync at the end would wait for all of it. A hint, so may fail. */
  if (w->shard_rows % WRITE_BACK_EVENTS == 0)
    for (size_t c = 0; c < TT_N_COLUMNS; c++)
      (void)sync_file_range(w->files[c], 0, 0, SYNC_FILE_RANGE_WRITE);
  return TT_OK;
}

static enum tt_status close_shard(struct tt_dataset_writer *w) {
  enum tt_status status = flush(w);
  for (size_t c = 0; c < TT_N_COLUMNS; c++) {
    char header[TT_NPY_HEADER];
    tt_npy_header(tt_column_types[c].descr, w->shard_rows, header);
    if (status == TT_OK &&
        (lseek(w->files[c], 0, SEEK_SET) != 0 || !write_fully(w->files[c], header, sizeof header)))
      status = cannot_write(w);
    if (close(w->files[c]) != 0 && status == TT_OK)
      status = cannot_write(w);
    w->files[c] = -1;
  }
  return status;
}

/* How many of n rows fit into the buffers now (at least 1): flushes, and ends a full shard. */
static enum tt_status make_room(struct tt_dataset_writer *w, size_t n, size_t *ret) {
  enum tt_status status = w->failed;
  if (status == TT_OK && w->events + n > TT_DATASET_EVENTS_MAX)
    status = w->failed = tt_fail(TT_FAILED, "%s: too many events", w->output.target);
  if (status == TT_OK && w->shards && w->shard_rows == w->shard_events)
    status = close_shard(w);
  if (status == TT_OK && (!w->shards || w->shard_rows == w->shard_events))
    status = open_shard(w);
  if (status == TT_OK && w->buffered == BUFFER_EVENTS)
    status = flush(w);
  size_t room = BUFFER_EVENTS - w->buffered, left = w->shard_events - w->shard_rows;
  room = room < left ? room : left;
  *ret = n < room ? n : room;
  return status;
}

/* Takes note of the buffered rows [at, at + n). */
static enum tt_status account(struct tt_dataset_writer *w, size_t at, size_t n) {
  const struct tt_columns *b = &w->buffer;
  if (!w->events)
    w->first_ts = w->last_ts = b->ts[at];
  int short_of_memory = 0;
  for (size_t i = at; i < at + n; i++) {
    TT_ASSERT(b->ts[i] >= w->last_ts);
    w->last_ts = b->ts[i];
    short_of_memory |= id_set_add(&w->event_ids, b->event[i]);
    short_of_memory |= id_set_add(&w->cpu_ids, b->cpu[i]);
    if (b->tid[i] != TT_TID_NONE)
      short_of_memory |= id_set_add(&w->tid_ids, (uint32_t)b->tid[i]);
    if (b->comm[i] != TT_COMM_NONE) {
      short_of_memory |= id_set_add(&w->comm_ids, b->comm[i]);
      w->comm_limit = b->comm[i] >= w->comm_limit ? b->comm[i] + 1 : w->comm_limit;
    }
    w->event_limit = b->event[i] >= w->event_limit ? b->event[i] + 1u : w->event_limit;
    w->cpu_limit = b->cpu[i] >= w->cpu_limit ? b->cpu[i] + 1u : w->cpu_limit;
  }
  w->buffered += n;
  w->shard_rows += n;
  w->events += n;
  return short_of_memory ? (w->failed = no_memory()) : TT_OK;
}

enum tt_status tt_dataset_writer_append(struct tt_dataset_writer *w, const struct tt_event *events,
                                        size_t n) {
  enum tt_status status = w->failed;
  for (size_t m; status == TT_OK && n > 0; events += m, n -= m) {
    status = make_room(w, n, &m);
    if (status != TT_OK)
      break;
#define TRANSPOSE(name, type, descr)                                                               \
  for (size_t i = 0; i < m; i++)                                                                   \
    ((type *)(uintptr_t)w->buffer.name)[w->buffered + i] = events[i].name;
    TT_COLUMN_TABLE(TRANSPOSE)
#undef TRANSPOSE
    status = account(w, w->buffered, m);
  }
  return status;
}

enum tt_status tt_dataset_writer_append_columns(struct tt_dataset_writer *w,
                                                const struct tt_columns *columns, size_t first,
                                                size_t n) {
  TT_ASSERT(first <= columns->n && n <= columns->n - first);
  enum tt_status status = w->failed;
  for (size_t m; status == TT_OK && n > 0; first += m, n -= m) {
    status = make_room(w, n, &m);
    if (status != TT_OK)
      break;
#define COPY(name, type, descr)                                                                    \
  memcpy((type *)(uintptr_t)w->buffer.name + w->buffered, columns->name + first, m * sizeof(type));
    TT_COLUMN_TABLE(COPY)
#undef COPY
    status = account(w, w->buffered, m);
  }
  return status;
}

static enum tt_status write_meta(struct tt_dataset_writer *w, const struct tt_dataset_meta *meta) {
  const struct tt_dataset_header header = {.counts = {.events = w->events,
                                                      .event_types = w->event_ids.count,
                                                      .comms = w->comm_ids.count,
                                                      .cpus = w->cpu_ids.count,
                                                      .tids = w->tid_ids.count,
                                                      .first_ts = w->first_ts,
                                                      .last_ts = w->last_ts},
                                           .shard_events = w->shard_events,
                                           .shards = w->shards,
                                           .cpu_limit = w->cpu_limit};
  json_t *json = tt_meta_to_json(meta, &header);
  char *text = json ? json_dumps(json, JSON_INDENT(1)) : NULL;
  char *path = tt_format("%s/dataset.json", w->output.temporary);
  enum tt_status status = TT_OK;
  if (!text || !path) {
    status = no_memory();
  } else {
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    bool written = fd >= 0 && write_fully(fd, text, strlen(text)) && write_fully(fd, "\n", 1);
    if ((fd >= 0 && close(fd) != 0) || !written)
      status = cannot_write(w);
  }
  json_decref(json);
  free(text);
  tt_free(path);
  return status;
}

enum tt_status tt_dataset_writer_finish(struct tt_dataset_writer *w,
                                        const struct tt_dataset_meta *meta) {
  TT_ASSERT(w->event_limit <= meta->events.n && w->comm_limit <= meta->comms.n);
  enum tt_status status = w->failed;
  if (status == TT_OK && w->shards)
    status = close_shard(w);
  if (status == TT_OK)
    status = write_meta(w, meta);
  if (status == TT_OK)
    status = tt_output_commit(&w->output);
  else
    tt_output_abort(&w->output);
  writer_free(w);
  return status;
}

void tt_dataset_writer_abort(struct tt_dataset_writer *writer) {
  if (!writer)
    return;
  tt_output_abort(&writer->output);
  writer_free(writer);
}
