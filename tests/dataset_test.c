/* Datasets on disk: round trips, numpy, shards, damage, full disks, gaps, splits. */
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/output.h"
#include "base/rng.h"
#include "dataset/npy.h"
#include "dataset/split.h"
#include "dataset/streams.h"
#include "dataset_fixture.h"

static void assert_same(const struct tt_event *a, const struct tt_event *b) {
  assert_true(a->ts == b->ts && a->ret == b->ret && a->tid == b->tid && a->comm == b->comm &&
              a->event == b->event && a->cpu == b->cpu);
}

static void round_trip(size_t n, size_t shard_events) {
  struct tt_event *events = fixture_events(n, 4, 7);
  char *path = fixture_path("round");
  struct tt_dataset_meta meta;
  fixture_meta(&meta);
  assert_int_equal(
      tt_dataset_meta_add_source(&meta, "/a/trace \"q\"", "ctf-lttng", "abc", "fio", 0, n), TT_OK);
  meta.clock_origin_ns = -5;
  meta.seed = UINT64_MAX; /* beyond what JSON's integers hold */
  meta.synthetic = true;
  fixture_write(path, events, n, shard_events, &meta);

  struct tt_dataset *d = NULL;
  assert_int_equal(tt_dataset_open(path, &d), TT_OK);
  assert_int_equal(tt_dataset_columns(d)->n, n);
  for (size_t i = 0; i < n; i++) {
    struct tt_event e = tt_dataset_event(d, i);
    assert_same(&e, &events[i]);
  }
  const struct tt_dataset_meta *m = tt_dataset_meta(d);
  assert_int_equal(m->events.n, meta.events.n);
  assert_int_equal(m->comms.n, meta.comms.n);
  for (size_t i = 0; i < meta.comms.n; i++)
    assert_string_equal(m->comms.names[i], meta.comms.names[i]);
  assert_string_equal(m->sources[0].path, "/a/trace \"q\"");
  assert_int_equal(m->clock_origin_ns, -5);
  assert_true(m->seed == UINT64_MAX && m->synthetic);
  if (n > 1000) { /* every id occurs by then */
    struct tt_dataset_counts counts = tt_dataset_counts(d);
    assert_int_equal(counts.event_types, FIXTURE_EVENTS);
    assert_int_equal(counts.comms, FIXTURE_COMMS);
    assert_int_equal(counts.cpus, 4);
    assert_int_equal(tt_dataset_cpu_limit(d), 4);
    assert_int_equal(counts.tids, FIXTURE_TIDS);
    assert_int_equal(counts.first_ts, events[0].ts);
    assert_int_equal(counts.last_ts, events[n - 1].ts);
  }
  tt_dataset_done_with(d, 0, n);
  tt_dataset_close(d);
  tt_dataset_meta_release(&meta);
  tt_free(events);
  tt_free(path);
}

static void test_round_trips(void **state) {
  (void)state;
  round_trip(0, 2048);
  round_trip(1, 2048);
  round_trip(2048, 2048);             /* one full shard */
  round_trip(2049, 2048);             /* and one event in the next */
  round_trip(70001, 4096);            /* 18 shards */
  round_trip(70001, TT_SHARD_EVENTS); /* more than a buffer, one shard */
}

/* numpy reads every column file and finds the values we wrote. */
static void test_numpy(void **state) {
  (void)state;
  enum { N = 5000 };
  if (system("/usr/bin/python3 -c 'import numpy' 2>/dev/null") != 0)
    skip();
  struct tt_event *events = fixture_events(N, 3, 1);
  char *path = fixture_path("numpy");
  fixture_write(path, events, N, 2048, NULL);
  uint64_t sums[6] = {0}; /* of i * value, modulo 2^64 */
  for (uint64_t i = 0; i < N; i++) {
    sums[0] += (i + 1) * (uint64_t)events[i].ts;
    sums[1] += (i + 1) * (uint64_t)events[i].ret;
    sums[2] += (i + 1) * (uint64_t)(int64_t)events[i].tid;
    sums[3] += (i + 1) * events[i].comm;
    sums[4] += (i + 1) * events[i].event;
    sums[5] += (i + 1) * events[i].cpu;
  }
  char *command = tt_format(
      "/usr/bin/python3 - <<'END'\n"
      "import numpy as np, json, sys\n"
      "p = '%s'\n"
      "d = json.load(open(p + '/dataset.json'))\n"
      "assert d['events'] == %d and d['shards'] == 3 and len(d['event_names']) == %d\n"
      "types = dict(ts='<i8', ret='<i8', tid='<i4', comm='<u4', event='<u2', cpu='<u2')\n"
      "sums = [%llu, %llu, %llu, %llu, %llu, %llu]\n"
      "i = np.arange(1, %d + 1, dtype=np.uint64)\n"
      "for (name, dtype), want in zip(types.items(), sums):\n"
      "    parts = [np.load(f'{p}/shard-{s:05d}/{name}.npy', mmap_mode='r') for s in range(3)]\n"
      "    a = np.concatenate(parts)\n"
      "    assert a.dtype == np.dtype(dtype) and len(a) == %d, name\n"
      "    got = int((i * a.astype(np.int64).astype(np.uint64)).sum(dtype=np.uint64))\n"
      "    assert got == want, (name, got, want)\n"
      "# and numpy can write a shard that we read: same header length\n"
      "a = np.load(f'{p}/shard-00000/tid.npy')\n"
      "header = str({'shape': (2048,), 'descr': '<i4', 'fortran_order': True})\n"
      "open(f'{p}/shard-00000/tid.npy', 'wb').write(b'\\x93NUMPY\\x01\\x00\\xf6\\x0f' + "
      "header.ljust(4085).encode() + b'\\n' + a.tobytes())\n"
      "np.load(f'{p}/shard-00000/tid.npy')\n"
      "END",
      path, N, FIXTURE_EVENTS, (unsigned long long)sums[0], (unsigned long long)sums[1],
      (unsigned long long)sums[2], (unsigned long long)sums[3], (unsigned long long)sums[4],
      (unsigned long long)sums[5], N, N);
  assert_int_equal(system(command), 0);
  struct tt_dataset *d = NULL;
  assert_int_equal(tt_dataset_open(path, &d), TT_OK);
  assert_int_equal(tt_dataset_columns(d)->tid[77], events[77].tid);
  tt_dataset_close(d);
  tt_free(command);
  tt_free(path);
  tt_free(events);
}

/* Each row: what is done to a good dataset, and what the causes must then say. */
struct damage {
  const char *name, *file;
  off_t offset; /* patch there; -1: at the end less `size`; -2: truncate by `size`; -3: append;
                   -4: remove; -5: replace the text `from` by `bytes` (dataset.json) */
  const char *from, *bytes;
  size_t size;
  const char *says;
};

#define JSON "dataset.json"
#define S1 "shard-00001/"
static const struct damage damages[] = {
    {"no json", JSON, -4, NULL, NULL, 0, "not a dataset: dataset.json"},
    {"json cut", JSON, -2, NULL, NULL, 40, "line "},
    {"other format", JSON, -5, "tracetwin-dataset", "tracetwin-dosette", 0, "\"format\" is"},
    {"newer version", JSON, -5, "\"version\": 1", "\"version\": 2", 0, "reads version 1"},
    {"events missing", JSON, -5, "\"events\": 5000", "\"eventz\": 5000", 0,
     "\"events\" is missing"},
    {"events negative", JSON, -5, "\"events\": 5000", "\"events\": -500", 0, "\"events\" is not a"},
    {"events huge", JSON, -5, "\"events\": 5000", "\"events\": 5000000000000000000", 0,
     "impossibly large"},
    {"one event more", JSON, -5, "\"events\": 5000", "\"events\": 5001", 0, "905 events make it"},
    {"more events than shards", JSON, -5, "\"events\": 5000", "\"events\": 9000", 0,
     "\"shards\" does not fit"},
    {"fewer events", JSON, -5, "\"events\": 5000", "\"events\": 4999", 0,
     "outside the dataset's events"},
    {"shard size", JSON, -5, "\"shard_events\": 2048", "\"shard_events\": 2047", 0,
     "\"shard_events\" is not a multiple"},
    {"no shard size", JSON, -5, "\"shard_events\": 2048", "\"shard_events\": 0", 0,
     "\"shard_events\" is not a multiple"},
    {"double name", JSON, -5, "\"e1\"", "\"e0\"", 0, "entries 0 and 1 are both \"e0\""},
    {"name not a text", JSON, -5, "\"e1\"", "1", 0, "entry 1 is not a text"},
    {"nul in a name", JSON, -5, "\"e1\"", "\"e\\u0000\"", 0, "\\u0000 is not allowed"},
    {"odd hex", JSON, -5, "63ff", "63f", 0, "is not a text"},
    {"no comms", JSON, -5, "\"comms\": [", "\"comms\": 3, \"x\": [", 0, "\"comms\" is not a list"},
    {"double key", JSON, -5, "\"comms\"", "\"event_names\"", 0, "duplicate"},
    {"gap backwards", JSON, -5, "\"end\": 900", "\"end\": 10", 0, "it ends before it begins"},
    {"gap order", JSON, -5, "\"begin\": 1000", "\"begin\": 10", 0, "before the one above"},
    {"gap cpu", JSON, -5, "\"cpu\": 1", "\"cpu\": 70000", 0, "\"gaps\": entry"},
    {"source beyond", JSON, -5, "\"first\": 0", "\"first\": 1", 0, "outside the dataset's events"},
    {"first_ts", JSON, -5, "\"first_ts\": ", "\"first_ts\": 9", 0, "\"first_ts\" and"},
    {"cpu limit", JSON, -5, "\"cpu_limit\": 3", "\"cpu_limit\": 2", 0, "\"cpus\" does not fit"},
    {"column missing", S1 "comm.npy", -4, NULL, NULL, 0, "comm.npy: cannot open: No such file"},
    {"one byte short", S1 "ts.npy", -2, NULL, NULL, 1, "ts.npy: 20479 bytes, but 2048 events"},
    {"one byte more", S1 "ts.npy", -3, NULL, NULL, 1, "ts.npy: 20481 bytes, but 2048 events"},
    {"last shard short", "shard-00002/cpu.npy", -2, NULL, NULL, 2, "but 904 events make it"},
    {"empty file", S1 "ret.npy", -2, NULL, NULL, 20480, "ret.npy: 0 bytes"},
    {"magic", S1 "tid.npy", 1, NULL, "X", 1, "tid.npy: offset 0: not an .npy file"},
    {"npy version", S1 "tid.npy", 6, NULL, "\2", 1, "tid.npy: offset 6"},
    {"header length", S1 "tid.npy", 8, NULL, "\x76\0", 2, "tid.npy: offset 6"},
    {"dtype", S1 "tid.npy", 22, NULL, ">", 1, "the type is not '<i4'"},
    {"dtype length", S1 "event.npy", 24, NULL, "4", 1, "the type is not '<u2'"},
    {"shape", S1 "tid.npy", 61, NULL, "1", 1, "dataset.json makes it 2048"},
    {"shape huge", S1 "tid.npy", 61, NULL, "99999999999999999999,), }", 25, "one-dimensional"},
    {"two dimensions", S1 "tid.npy", 61, NULL, "2048, 1), }", 11, "one-dimensional"},
    {"order", S1 "tid.npy", 44, NULL, "Fals3", 5, "malformed .npy header"},
    {"unknown key", S1 "tid.npy", 11, NULL, "'descs'", 7, "malformed .npy header"},
    {"rubbish behind", S1 "tid.npy", 3000, NULL, "x", 1, "malformed .npy header"},
    {"no newline", S1 "tid.npy", 4095, NULL, " ", 1, "malformed .npy header"},
    {"event id", S1 "event.npy", 4096 + 2 * 5, NULL, "\xff\xff", 2,
     "shard-00001/event.npy: offset 4106 (event 2053): event id 65535, but there are 12"},
    {"event id by one", S1 "event.npy", 4096, NULL, "\x0c\0", 2, "event id 12, but there are 12"},
    {"comm id", S1 "comm.npy", 4096, NULL, "\x05\0\0\0", 4, "comm id 5, but there are 5 comms"},
    {"comm id by far", S1 "comm.npy", 4096, NULL, "\xfe\xff\xff\xff", 4, "comm id 4294967294"},
    {"cpu", "shard-00002/cpu.npy", -1, NULL, "\x03\0", 2, "(event 4999): cpu 3"},
    {"time goes back", S1 "ts.npy", 4096 + 8, NULL, "\0\0\0\0\0\0\0\0", 8,
     "offset 4104 (event 2049): time goes back"},
    {"time at the border", S1 "ts.npy", 4096, NULL, "\0\0\0\0\0\0\0\0", 8,
     "offset 4096 (event 2048): time goes back"},
};

static void patch(const char *path, const struct damage *damage) {
  char *data = NULL;
  size_t size = 0;
  if (damage->offset == -4) {
    assert_int_equal(unlink(path), 0);
    return;
  }
  assert_int_equal(tt_read_file(path, &data, &size), TT_OK);
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  if (damage->offset == -5) {
    char *at = strstr(data, damage->from);
    assert_non_null(at);
    fprintf(file, "%.*s%s%s", (int)(at - data), data, damage->bytes, at + strlen(damage->from));
  } else {
    size_t offset = damage->offset == -1 ? size - damage->size : (size_t)damage->offset;
    if (damage->offset >= -1)
      memcpy(data + offset, damage->bytes, damage->size);
    fwrite(data, 1, damage->offset == -2 ? size - damage->size : size, file);
    for (size_t i = 0; damage->offset == -3 && i < damage->size; i++)
      fputc(0, file);
  }
  assert_int_equal(fclose(file), 0);
  tt_free(data);
}

static void test_damage(void **state) {
  (void)state;
  enum { N = 5000 };
  struct tt_event *events = fixture_events(N, 3, 3);
  for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
    struct tt_dataset_meta meta;
    fixture_meta(&meta);
    tt_dataset_meta_add_source(&meta, "t", "ctf-perf", "", "", 0, N);
    tt_dataset_meta_add_gap(&meta, &(struct tt_gap){1000, 1100, 3, 0}); /* out of order */
    tt_dataset_meta_add_gap(&meta, &(struct tt_gap){800, 900, 2, 1});
    char *path = fixture_path("damaged");
    fixture_write(path, events, N, 2048, &meta);
    tt_dataset_meta_release(&meta);
    struct tt_dataset *d = NULL;
    assert_int_equal(tt_dataset_open(path, &d), TT_OK); /* good before */
    assert_int_equal(tt_dataset_meta(d)->lost_events, 5);
    assert_int_equal(tt_dataset_meta(d)->gaps[0].begin, 800);
    tt_dataset_close(d);
    char *file = tt_format("%s/%s", path, damages[i].file);
    patch(file, &damages[i]);
    tt_causes_clear();
    d = NULL;
    enum tt_status status = tt_dataset_open(path, &d);
    bool said = false;
    for (size_t c = 0; c < tt_cause_count(); c++)
      said = said || strstr(tt_cause(c), damages[i].says);
    if (status != TT_BAD_INPUT || !said || d) {
      print_error("%s: status %d\n", damages[i].name, status);
      for (size_t c = 0; c < tt_cause_count(); c++)
        print_error("  %s\n", tt_cause(c));
      fail();
    }
    tt_free(file);
    tt_free(path);
  }
  print_message("%zu damaged datasets refused\n", sizeof damages / sizeof *damages);
  tt_free(events);
}

static void test_not_a_dataset(void **state) {
  (void)state;
  struct tt_dataset *d = NULL;
  assert_int_equal(tt_dataset_open("/nonexistent/x", &d), TT_BAD_INPUT);
  assert_int_equal(tt_dataset_open("/etc/passwd", &d), TT_BAD_INPUT);
  assert_int_equal(tt_dataset_open("/etc", &d), TT_BAD_INPUT);
  tt_causes_clear();
}

/* A file system that is full: nothing but the cause stays behind. */
static void test_disk_full(void **state) {
  (void)state;
  enum { N = 200000 };
  signal(SIGXFSZ, SIG_IGN);
  struct tt_event *events = fixture_events(N, 3, 3);
  struct rlimit old, limit;
  getrlimit(RLIMIT_FSIZE, &old);
  /* bytes allowed per file: fails in append, at the flush in finish, at the header, in the JSON */
  const rlim_t limits[] = {100000, N * 8 - 8, 4096, 2000};
  const size_t counts[] = {N, 60000, 1, 0};
  for (size_t i = 0; i < 4; i++) {
    char *path = fixture_path("full");
    struct tt_dataset_writer *writer = NULL;
    struct tt_dataset_meta meta;
    fixture_meta(&meta);
    for (size_t k = 0; k < 50; k++) /* a description of some length */
      tt_dataset_meta_add_gap(&meta, &(struct tt_gap){1, 2, 3, 4});
    limit = (struct rlimit){i == 1 ? 60000 : limits[i], old.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
    tt_causes_clear();
    assert_int_equal(tt_dataset_writer_begin(path, false, &writer), TT_OK);
    enum tt_status status = tt_dataset_writer_append(writer, events, counts[i]);
    enum tt_status end = tt_dataset_writer_finish(writer, &meta);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_equal(status, i == 0 ? TT_IO : TT_OK);
    assert_int_equal(end, TT_IO);
    assert_non_null(strstr(tt_cause(0), "full: cannot write: File too large"));
    char *command = tt_format("ls -d '%s'* 2>/dev/null | grep -q .", path);
    assert_int_not_equal(system(command), 0); /* neither it nor a temporary */
    tt_free(command);
    tt_free(path);
    tt_dataset_meta_release(&meta);
  }
  tt_free(events);
}

static void test_writer_keeps_and_replaces(void **state) {
  (void)state;
  struct tt_event *events = fixture_events(100, 2, 5);
  char *path = fixture_path("kept");
  struct tt_dataset_writer *writer = NULL;
  struct tt_dataset *d = NULL;
  fixture_write(path, events, 100, 2048, NULL);
  assert_int_equal(tt_dataset_writer_begin(path, false, &writer), TT_EXISTS);
  assert_int_equal(tt_dataset_writer_begin(path, true, &writer), TT_OK);
  assert_int_equal(tt_dataset_writer_append(writer, events, 7), TT_OK);
  assert_int_equal(tt_dataset_writer_events(writer), 7);
  tt_dataset_writer_abort(writer); /* the old one stays */
  assert_int_equal(tt_dataset_open(path, &d), TT_OK);
  assert_int_equal(tt_dataset_columns(d)->n, 100);
  /* replaced while it is open: the reader keeps what it has */
  struct tt_dataset_meta meta;
  fixture_meta(&meta);
  assert_int_equal(tt_dataset_writer_begin(path, true, &writer), TT_OK);
  assert_int_equal(tt_dataset_writer_append_columns(writer, tt_dataset_columns(d), 10, 50), TT_OK);
  assert_int_equal(tt_dataset_writer_finish(writer, &meta), TT_OK);
  assert_int_equal(tt_dataset_columns(d)->ts[99], events[99].ts);
  tt_dataset_close(d);
  assert_int_equal(tt_dataset_open(path, &d), TT_OK);
  assert_int_equal(tt_dataset_columns(d)->n, 50);
  for (size_t i = 0; i < 50; i++)
    assert_int_equal(tt_dataset_columns(d)->ret[i], events[10 + i].ret);
  tt_dataset_close(d);
  tt_dataset_meta_release(&meta);
  tt_free(events);
  tt_free(path);
}

/* Every allocation failing in turn: a status, no leak (ASan), no half result. */
static void test_short_of_memory(void **state) {
  (void)state;
  struct tt_event *events = fixture_events(50, 2, 5);
  char *path = fixture_path("memory");
  struct tt_dataset_meta meta;
  fixture_meta(&meta);
  tt_dataset_meta_add_source(&meta, "a", "b", "c", "d", 0, 50);
  tt_dataset_meta_add_gap(&meta, &(struct tt_gap){0, 1, 1, 0});
  fixture_write(path, events, 50, 2048, &meta);
  size_t failures = 0;
  for (size_t nth = 1;; nth++) {
    struct tt_dataset *d = NULL;
    struct tt_streams *streams = NULL;
    tt_alloc_fail_at(nth);
    enum tt_status status = tt_dataset_open(path, &d);
    if (status == TT_OK)
      status = tt_streams_open(d, TT_STREAM_CPU, &streams);
    tt_alloc_fail_at(0);
    tt_streams_close(streams);
    tt_dataset_close(d);
    if (status == TT_OK)
      break;
    /* a name that cannot be copied reads as one that is damaged: both are refused */
    assert_true(status == TT_NO_MEMORY || status == TT_BAD_INPUT);
    failures++;
  }
  assert_true(failures > 20);
  tt_dataset_meta_release(&meta);
  tt_free(events);
  tt_free(path);
}

static void test_read_only(void **state) {
  (void)state;
  struct tt_event *events = fixture_events(3000, 2, 5);
  char *path = fixture_path("readonly");
  fixture_write(path, events, 3000, 2048, NULL);
  char *command = tt_format("unshare -m sh -c 'mount --bind \"%s\" \"%s\" && mount -o "
                            "remount,bind,ro \"%s\" && ! touch \"%s/x\" 2>/dev/null && \"$0\" "
                            "--open \"%s\"' /proc/%d/exe 2>/dev/null",
                            path, path, path, path, path, (int)getpid());
  int rc = system(command);
  if (rc != 0 && geteuid() != 0)
    print_message("no right to mount: not checked\n");
  else
    assert_int_equal(rc, 0);
  tt_free(command);
  tt_free(events);
  tt_free(path);
}

/* gap_before and gap_between against the definition, over random gaps and sources. */
static void test_gaps(void **state) {
  (void)state;
  enum { N = 600, CPUS = 3 };
  size_t cut = 0, whole = 0;
  for (uint64_t seed = 0; seed < 20; seed++) {
    struct tt_dataset *d = fixture_gappy(N, CPUS, seed);
    const struct tt_columns *c = tt_dataset_columns(d);
    size_t previous[CPUS] = {SIZE_MAX, SIZE_MAX, SIZE_MAX};
    for (size_t i = 0; i < N; i++) {
      if (i) {
        bool expected = fixture_cut(d, i - 1, i, -1);
        assert_int_equal(tt_dataset_gap_before(d, i), expected);
        *(expected ? &cut : &whole) += 1;
      }
      size_t *p = &previous[c->cpu[i]];
      if (*p != SIZE_MAX)
        assert_int_equal(tt_dataset_gap_between(d, *p, i), fixture_cut(d, *p, i, c->cpu[i]));
      *p = i;
    }
    tt_dataset_close(d);
  }
  print_message("%zu pairs cut, %zu whole\n", cut, whole);
  assert_true(cut > 100 && whole > 100);
}

static void test_split(void **state) {
  (void)state;
  enum { N = 40000 };
  struct tt_dataset *d = fixture_gappy(N, 3, 4);
  const struct tt_columns *c = tt_dataset_columns(d);
  char *dir = fixture_path("split");
  uint64_t events[3] = {0};
  const size_t gap = 100;
  assert_int_equal(tt_dataset_split(d, 0.7, 0.1, 0.2, gap, dir, false, events), TT_OK);
  assert_int_equal(events[0], 27860); /* 0.7 of the 39800 that are kept */
  assert_int_equal(events[1], 3980);
  assert_int_equal(events[2], 7960);
  size_t at = 0, lost_gaps = 0;
  const char *names[3] = {"train", "val", "test"};
  for (size_t part = 0; part < 3; part++, at += gap) {
    char *path = tt_format("%s/%s", dir, names[part]);
    struct tt_dataset *p = NULL;
    assert_int_equal(tt_dataset_open(path, &p), TT_OK);
    assert_int_equal(tt_dataset_columns(p)->n, events[part]);
    const struct tt_dataset_meta *m = tt_dataset_meta(p), *whole = tt_dataset_meta(d);
    assert_int_equal(m->events.n, whole->events.n);
    assert_int_equal(m->comms.n, whole->comms.n);
    assert_int_equal(m->clock_origin_ns, whole->clock_origin_ns);
    size_t previous[3] = {SIZE_MAX, SIZE_MAX, SIZE_MAX};
    for (size_t i = 0; i < events[part]; i++) {
      struct tt_event x = tt_dataset_event(p, i), y = tt_dataset_event(d, at + i);
      assert_same(&x, &y);
      if (i) /* the same pairs are cut */
        assert_int_equal(tt_dataset_gap_before(p, i), tt_dataset_gap_before(d, at + i));
      size_t *b = &previous[x.cpu];
      if (*b != SIZE_MAX)
        assert_int_equal(tt_dataset_gap_between(p, *b, i),
                         tt_dataset_gap_between(d, at + *b, at + i));
      *b = i;
    }
    uint64_t covered = 0;
    for (size_t s = 0; s < m->n_sources; s++) {
      assert_int_equal(m->sources[s].first, covered);
      covered += m->sources[s].events;
    }
    assert_int_equal(covered, events[part]);
    lost_gaps += m->n_gaps;
    at += events[part];
    tt_dataset_close(p);
    tt_free(path);
  }
  assert_int_equal(at - gap, N);
  assert_true(lost_gaps > 0 && tt_dataset_meta(d)->n_gaps > 0);
  (void)c;

  assert_int_equal(tt_dataset_split(d, 0.7, 0.1, 0.2, gap, dir, false, events), TT_EXISTS);
  char *other = fixture_path("split");
  assert_int_equal(tt_dataset_split(d, 0.7, 0.1, 0.3, gap, other, false, events), TT_USAGE);
  assert_int_equal(tt_dataset_split(d, 0.9, 0.1, 0.0, gap, other, false, events), TT_USAGE);
  assert_int_equal(tt_dataset_split(d, (double)NAN, 0.1, 0.2, gap, other, false, events), TT_USAGE);
  assert_int_not_equal(access(other, F_OK), 0);
  tt_causes_clear();
  tt_dataset_close(d);
  tt_free(dir);
  tt_free(other);
}

/* Every size down to nothing: shares add up, or the message says too few. */
static void test_split_ranges(void **state) {
  (void)state;
  struct tt_split_ranges r;
  size_t refused = 0;
  for (uint64_t n = 0; n < 3000; n++) {
    enum tt_status status = tt_split_ranges(n, 0.7, 0.1, 0.2, TT_SPLIT_GAP, &r);
    if (status != TT_OK) {
      assert_int_equal(status, TT_BAD_INPUT);
      assert_non_null(strstr(tt_cause(0), "too few to split"));
      tt_causes_clear();
      assert_true(n < 20);
      refused++;
      continue;
    }
    assert_int_equal(r.gap, n / 16);
    assert_true(r.events[0] && r.events[1] && r.events[2] && r.first[0] == 0);
    assert_int_equal(r.first[1], r.events[0] + r.gap);
    assert_int_equal(r.first[2], r.first[1] + r.events[1] + r.gap);
    assert_int_equal(r.first[2] + r.events[2], n);
  }
  assert_true(refused > 0);
  assert_int_equal(tt_split_ranges(1000000, 0.7, 0.1, 0.2, TT_SPLIT_GAP, &r), TT_OK);
  assert_int_equal(r.gap, 4096);
  assert_int_equal(r.events[0], 694265); /* floor(0.7 * 991808) */
}

static void test_split_disk_full(void **state) {
  (void)state;
  signal(SIGXFSZ, SIG_IGN);
  struct tt_dataset *d = fixture_gappy(40000, 3, 4);
  char *dir = fixture_path("split-full");
  struct rlimit old, limit;
  uint64_t events[3];
  getrlimit(RLIMIT_FSIZE, &old);
  limit = (struct rlimit){60000, old.rlim_max};
  setrlimit(RLIMIT_FSIZE, &limit);
  assert_int_equal(tt_dataset_split(d, 0.7, 0.1, 0.2, 64, dir, false, events), TT_IO);
  setrlimit(RLIMIT_FSIZE, &old);
  char *command = tt_format("ls -d '%s'* 2>/dev/null | grep -q .", dir);
  assert_int_not_equal(system(command), 0);
  tt_causes_clear();
  tt_free(command);
  tt_free(dir);
  tt_dataset_close(d);
}

int main(int argc, char **argv) {
  if (argc == 3 && strcmp(argv[1], "--open") == 0) { /* test_read_only's child */
    struct tt_dataset *d = NULL;
    enum tt_status status = tt_dataset_open(argv[2], &d);
    tt_dataset_close(d);
    return tt_status_exit_code(status);
  }
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_round_trips),
      cmocka_unit_test(test_numpy),
      cmocka_unit_test(test_damage),
      cmocka_unit_test(test_not_a_dataset),
      cmocka_unit_test(test_disk_full),
      cmocka_unit_test(test_writer_keeps_and_replaces),
      cmocka_unit_test(test_short_of_memory),
      cmocka_unit_test(test_read_only),
      cmocka_unit_test(test_gaps),
      cmocka_unit_test(test_split),
      cmocka_unit_test(test_split_ranges),
      cmocka_unit_test(test_split_disk_full),
  };
  return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
