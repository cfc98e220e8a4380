/* The dataset reader: sizes and headers are checked, the shards of a column are mapped one behind
 * the other into one reserved range of addresses, then one parallel pass checks that ids lie within
 * their dictionaries and time never goes back. */
#include "dataset/dataset.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/output.h"
#include "dataset/columns.h"
#include "dataset/cuts.h"
#include "dataset/meta.h"
#include "dataset/npy.h"

/* From this size on, passes give pages back (tt_dataset_done_with): smaller ones may stay mapped.
 */
#define RELEASE_BYTES ((size_t)256 << 20)
/* A fault maps its surroundings too (fault-around, large folios), but never beyond its page table's
 * 2 MiB. */
#define FAULT_AROUND ((size_t)2 << 20)

struct tt_dataset {
  char *path;
  struct tt_dataset_meta meta;
  struct tt_dataset_header header;
  struct tt_columns columns;
  char *maps[TT_N_COLUMNS]; /* reserved ranges; NULL: none */
  size_t map_bytes[TT_N_COLUMNS];
  struct tt_cuts cuts;
  bool release_pages;
};

static enum tt_status no_memory(void) {
  return tt_fail(TT_NO_MEMORY, "out of memory");
}

void tt_dataset_close(struct tt_dataset *dataset) {
  if (!dataset)
    return;
  for (size_t c = 0; c < TT_N_COLUMNS; c++)
    if (dataset->maps[c])
      munmap(dataset->maps[c], dataset->map_bytes[c]);
  tt_cuts_release(&dataset->cuts);
  tt_dataset_meta_release(&dataset->meta);
  tt_free(dataset->path);
  tt_free(dataset);
}

static enum tt_status read_meta(struct tt_dataset *d) {
  char *path = tt_format("%s/dataset.json", d->path), *text = NULL;
  size_t size = 0;
  json_t *json = NULL;
  json_error_t error;
  if (!path)
    return no_memory();
  enum tt_status status;
  if (access(path, F_OK) != 0)
    status = tt_fail(TT_BAD_INPUT, "%s: not a dataset: dataset.json: %s", d->path, strerror(errno));
  else
    status = tt_read_file(path, &text, &size);
  if (status == TT_OK && !(json = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error)))
    status = tt_fail(TT_BAD_INPUT, "%s: line %d: %s", path, error.line, error.text);
  if (status == TT_OK) {
    status = tt_meta_from_json(json, &d->meta, &d->header);
    if (status != TT_OK)
      status = tt_fail(status, "%s", path);
  }
  json_decref(json);
  tt_free(text);
  tt_free(path);
  return status;
}

static char *shard_path(const struct tt_dataset *d, uint64_t shard, size_t column) {
  return tt_format("%s/shard-%05" PRIu64 "/%s.npy", d->path, shard, tt_column_types[column].name);
}

/* Checks one shard's file of a column and maps its data to `address`. */
static enum tt_status map_file(const char *path, size_t column, uint64_t rows, char *address) {
  const size_t bytes = rows * tt_column_types[column].size;
  char header[TT_NPY_HEADER];
  struct stat info;
  enum tt_status status = TT_OK;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || fstat(fd, &info) != 0) {
    status = tt_fail(TT_BAD_INPUT, "%s: cannot open: %s", path, strerror(errno));
  } else if (!S_ISREG(info.st_mode) || (uint64_t)info.st_size != TT_NPY_HEADER + bytes) {
    status = tt_fail(TT_BAD_INPUT, "%s: %lld bytes, but %" PRIu64 " events make it %zu", path,
                     (long long)info.st_size, rows, TT_NPY_HEADER + bytes);
  } else if (pread(fd, header, sizeof header, 0) != (ssize_t)sizeof header) {
    status = tt_fail(TT_IO, "%s: cannot read: %s", path, strerror(errno));
  } else {
    status = tt_npy_check(header, path, tt_column_types[column].descr, rows);
    if (status == TT_OK &&
        mmap(address, bytes, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, TT_NPY_HEADER) == MAP_FAILED)
      status = tt_fail(TT_IO, "%s: cannot map: %s", path, strerror(errno));
  }
  if (fd >= 0)
    close(fd);
  return status;
}

static enum tt_status map_column(struct tt_dataset *d, size_t column) {
  const size_t size = tt_column_types[column].size;
  const uint64_t events = d->header.counts.events, per_shard = d->header.shard_events;
  size_t bytes = events * size; /* at most 2^43: TT_DATASET_EVENTS_MAX */
  bytes += -bytes % TT_DATASET_PAGE;
  char *map = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (map == MAP_FAILED)
    return tt_fail(TT_NO_MEMORY, "%s: cannot reserve %zu bytes of addresses: %s", d->path, bytes,
                   strerror(errno));
  d->maps[column] = map;
  d->map_bytes[column] = bytes;
  enum tt_status status = TT_OK;
  for (uint64_t shard = 0; status == TT_OK && shard < d->header.shards; shard++) {
    uint64_t first = shard * per_shard, left = events - first;
    char *path = shard_path(d, shard, column);
    status = path ? map_file(path, column, left < per_shard ? left : per_shard, map + first * size)
                  : no_memory();
    tt_free(path);
  }
  return status;
}

/* One chunk of rows, quickly: true when all is well. */
static bool chunk_is_good(const struct tt_dataset *d, size_t first, size_t n) {
  const struct tt_columns *c = &d->columns;
  uint16_t event = 0, cpu = 0;
  uint32_t comm = 0, back = 0; /* comm: id + 1, so that TT_COMM_NONE is 0 */
  for (size_t i = first; i < first + n; i++)
    event = c->event[i] > event ? c->event[i] : event;
  for (size_t i = first; i < first + n; i++)
    cpu = c->cpu[i] > cpu ? c->cpu[i] : cpu;
  for (size_t i = first; i < first + n; i++)
    comm = c->comm[i] + 1 > comm ? c->comm[i] + 1 : comm;
  for (size_t i = first ? first : 1; i < first + n; i++)
    back |= c->ts[i] < c->ts[i - 1];
  return event < d->meta.events.n && cpu < d->header.cpu_limit && comm <= d->meta.comms.n && !back;
}

/* Names what is wrong in row i, if anything is. */
static enum tt_status check_row(const struct tt_dataset *d, size_t i) {
  const struct tt_columns *c = &d->columns;
  size_t column;
  char text[128];
  if (c->event[i] >= d->meta.events.n) {
    column = TT_COLUMN_event;
    snprintf(text, sizeof text, "event id %u, but there are %zu event names", c->event[i],
             d->meta.events.n);
  } else if (c->cpu[i] >= d->header.cpu_limit) {
    column = TT_COLUMN_cpu;
    snprintf(text, sizeof text, "cpu %u, but \"cpu_limit\" is %zu", c->cpu[i], d->header.cpu_limit);
  } else if (c->comm[i] != TT_COMM_NONE && c->comm[i] >= d->meta.comms.n) {
    column = TT_COLUMN_comm;
    snprintf(text, sizeof text, "comm id %u, but there are %zu comms", c->comm[i], d->meta.comms.n);
  } else if (i && c->ts[i] < c->ts[i - 1]) {
    column = TT_COLUMN_ts;
    snprintf(text, sizeof text, "time goes back from %" PRId64 " to %" PRId64 " ns", c->ts[i - 1],
             c->ts[i]);
  } else {
    return TT_OK;
  }
  size_t row = i % d->header.shard_events;
  char *path = shard_path(d, i / d->header.shard_events, column);
  enum tt_status status =
      tt_fail(TT_BAD_INPUT, "%s: offset %zu (event %zu): %s", path ? path : d->path,
              TT_NPY_HEADER + row * tt_column_types[column].size, i, text);
  tt_free(path);
  return status;
}

static enum tt_status check_rows(const struct tt_dataset *d) {
  const size_t chunk = (size_t)1 << 20, n = d->columns.n, chunks = (n + chunk - 1) / chunk;
  size_t bad = SIZE_MAX; /* the first bad chunk */
#pragma omp parallel for schedule(dynamic) reduction(min : bad) if (chunks > 4)
  for (size_t k = 0; k < chunks; k++) {
    size_t first = k * chunk, m = n - first < chunk ? n - first : chunk;
    if (!chunk_is_good(d, first, m))
      bad = k < bad ? k : bad;
    tt_dataset_done_with(d, first, m);
  }
  enum tt_status status = TT_OK;
  if (bad != SIZE_MAX)
    for (size_t i = bad * chunk; status == TT_OK && i < n; i++)
      status = check_row(d, i);
  const struct tt_dataset_counts *counts = &d->header.counts;
  int64_t duration;
  if (status == TT_OK && n &&
      (d->columns.ts[0] != counts->first_ts || d->columns.ts[n - 1] != counts->last_ts ||
       __builtin_sub_overflow(counts->last_ts, counts->first_ts, &duration)))
    status =
        tt_fail(TT_BAD_INPUT,
                "%s/dataset.json: \"first_ts\" and \"last_ts\" are not those of the events, or "
                "too far apart",
                d->path);
  return status;
}

enum tt_status tt_dataset_open(const char *path, struct tt_dataset **ret) {
  if (sysconf(_SC_PAGESIZE) != (long)TT_DATASET_PAGE)
    return tt_fail(TT_FAILED, "datasets need memory pages of %zu bytes, this system's have %ld",
                   TT_DATASET_PAGE, sysconf(_SC_PAGESIZE));
  struct tt_dataset *d = tt_calloc(1, sizeof *d);
  if (!d)
    return no_memory();
  tt_dataset_meta_init(&d->meta);
  d->path = tt_strdup(path);
  enum tt_status status = d->path ? read_meta(d) : no_memory();
  size_t bytes = 0;
  if (status == TT_OK && d->header.counts.events > 0) {
    for (size_t c = 0; status == TT_OK && c < TT_N_COLUMNS; c++) {
      status = map_column(d, c);
      bytes += d->map_bytes[c];
    }
  }
  if (status == TT_OK) {
    d->columns.n = d->header.counts.events;
#define SET(name, type, descr) d->columns.name = (const type *)(void *)d->maps[TT_COLUMN_##name];
    TT_COLUMN_TABLE(SET)
#undef SET
    d->release_pages = bytes >= RELEASE_BYTES;
    status = check_rows(d);
  }
  if (status == TT_OK)
    status = tt_cuts_build(&d->meta, d->header.cpu_limit, d->columns.n, &d->cuts);
  if (status != TT_OK) {
    tt_dataset_close(d);
    return status;
  }
  *ret = d;
  return TT_OK;
}

const struct tt_columns *tt_dataset_columns(const struct tt_dataset *dataset) {
  return &dataset->columns;
}

const struct tt_dataset_meta *tt_dataset_meta(const struct tt_dataset *dataset) {
  return &dataset->meta;
}

const char *tt_dataset_path(const struct tt_dataset *dataset) {
  return dataset->path;
}

struct tt_dataset_counts tt_dataset_counts(const struct tt_dataset *dataset) {
  return dataset->header.counts;
}

size_t tt_dataset_cpus(const struct tt_dataset *dataset) {
  return dataset->header.counts.cpus;
}

size_t tt_dataset_cpu_limit(const struct tt_dataset *dataset) {
  return dataset->header.cpu_limit;
}

const struct tt_cuts *tt_dataset_cuts(const struct tt_dataset *dataset) {
  return &dataset->cuts;
}

struct tt_event tt_dataset_event(const struct tt_dataset *dataset, size_t i) {
  const struct tt_columns *c = &dataset->columns;
  TT_ASSERT(i < c->n);
#define FIELD(name, type, descr) .name = c->name[i],
  return (struct tt_event){TT_COLUMN_TABLE(FIELD)};
#undef FIELD
}

bool tt_dataset_gap_before(const struct tt_dataset *dataset, size_t i) {
  const struct tt_columns *c = &dataset->columns;
  TT_ASSERT(i >= 1 && i < c->n);
  const struct tt_cuts *cuts = &dataset->cuts;
  return (cuts->all.n && tt_gap_index_touches(&cuts->all, c->ts[i - 1], c->ts[i])) ||
         (cuts->n_borders && tt_cuts_border_between(cuts, i - 1, i));
}

bool tt_dataset_gap_between(const struct tt_dataset *dataset, size_t a, size_t b) {
  const struct tt_columns *c = &dataset->columns;
  TT_ASSERT(a < b && b < c->n && c->cpu[a] == c->cpu[b]);
  const struct tt_gap_index *gaps = &dataset->cuts.cpu[c->cpu[a]];
  return (gaps->n && tt_gap_index_touches(gaps, c->ts[a], c->ts[b])) ||
         (dataset->cuts.n_borders && tt_cuts_border_between(&dataset->cuts, a, b));
}

void tt_dataset_done_with(const struct tt_dataset *dataset, size_t first, size_t n) {
  if (!dataset->release_pages || n == 0)
    return;
  for (size_t c = 0; c < TT_N_COLUMNS; c++) {
    uintptr_t map = (uintptr_t)dataset->maps[c], size = tt_column_types[c].size;
    uintptr_t begin = map + first * size, end = begin + n * size;
    begin -= begin % FAULT_AROUND;
    end += -end % FAULT_AROUND;
    begin = begin > map ? begin : map;
    end = end < map + dataset->map_bytes[c] ? end : map + dataset->map_bytes[c];
    madvise((void *)begin, end - begin, MADV_DONTNEED); /* a hint: may fail */
  }
}
