/* The trace reader: traces made by hand whose every event is known, and the sample. */
#include "trace_fixture.h"

#include <sys/prctl.h>

#include "trace/find.h"
#include "trace/sched_state.h"
#include "trace/sha256.h"

/* The rest of the trace as lines "ts cpu tid comm event ret" ('-': none); owned. */
static char *lines_of(struct tt_trace_reader *reader, size_t capacity) {
  char *text = NULL;
  size_t size = 0, n;
  FILE *f = open_memstream(&text, &size);
  struct tt_event *events = tt_alloc(capacity, sizeof *events);
  assert_non_null(events);
  for (;;) {
    assert_int_equal(tt_trace_reader_read(reader, events, capacity, &n), TT_OK);
    if (n == 0)
      break;
    for (size_t i = 0; i < n; i++) {
      const struct tt_event *e = &events[i];
      fprintf(f, "%lld %u ", (long long)e->ts, e->cpu);
      fprintf(f, e->tid == TT_TID_NONE ? "- " : "%d ", e->tid);
      fprintf(f, "%s %s ",
              e->comm == TT_COMM_NONE ? "-" : tt_trace_reader_comms(reader)->names[e->comm],
              tt_trace_reader_events(reader)->names[e->event]);
      fprintf(f, e->ret == TT_RET_NONE ? "-\n" : "%lld\n", (long long)e->ret);
    }
  }
  fclose(f);
  tt_free(events);
  return text;
}

static struct tt_trace_reader *open_reader(const char *path, unsigned threads) {
  struct tt_trace_reader *reader;
  struct tt_trace_reader_options options = {.threads = threads};
  enum tt_status status = tt_trace_reader_open(path, &options, &reader);
  if (status)
    print_error("%s\n", tt_cause(0));
  assert_int_equal(status, TT_OK);
  return reader;
}

/* Reads a trace with one to three decoders: always these lines. */
static void assert_lines(const char *path, const char *expected) {
  for (unsigned threads = 1; threads <= 3; threads++) {
    struct tt_trace_reader *reader = open_reader(path, threads);
    char *lines = lines_of(reader, threads);
    assert_string_equal(lines, expected);
    free(lines);
    tt_trace_reader_close(reader);
  }
  assert_no_children();
}

/* ---- who runs, under what name ---- */

static void test_scheduler_state_of_lttng(void **state) {
  (void)state;
  char *path = path_of("lttng/kernel");
  struct ctf c;
  ctf_begin(&c, path, KIND_LTTNG, 1, 5000000000);
  ctf_packet(&c, 0, 1000, 0);
  ctf_put(&c, 0, 1000, L_IRQ, "i", 1);
  ctf_put(&c, 0, 1100, L_STATEDUMP, "ic", 9, "sshd");
  ctf_put(&c, 0, 1200, L_SWITCH, "cici", "bash", 7, "sshd", 9);
  ctf_put(&c, 0, 1300, L_ENTRY, "i", 3);
  ctf_put(&c, 0, 1400, L_EXIT, "l", (int64_t)-11);
  ctf_put(&c, 0, 1410, L_COMPAT, "l", INT64_MAX);
  ctf_put(&c, 0, 1500, L_FORK, "cici", "sshd", 9, "sshd", 20);
  ctf_put(&c, 0, 1600, L_SWITCH, "cici", "sshd", 9, "swapper/0", 0);
  ctf_put(&c, 0, 1700, L_IRQ, "i", 1);
  ctf_put(&c, 0, 1800, L_SWITCH, "cici", "swapper/0", 0, "sshd", 20);
  ctf_put(&c, 0, 1850, L_ENTRY, "i", 3);
  ctf_put(&c, 0, 1900, L_EXEC, "si", "/usr/bin/a-very-long-program-name", 20);
  ctf_put(&c, 0, 1910, L_EXECVE, "l", (int64_t)0);
  ctf_put(&c, 0, 1920, L_IRQ, "i", 1);
  ctf_put(&c, 0, 1930, L_PRCTL, "i", PR_SET_NAME);
  ctf_put(&c, 0, 1940, L_IRQ, "i", 1);
  ctf_put(&c, 0, 1950, L_PRCTL, "i", PR_GET_NAME);
  ctf_put(&c, 0, 2000, L_SWITCH, "cici", "worker 1", 20, "swapper/0", 0);
  ctf_packet_end(&c, 0, 3000);
  ctf_packet(&c, 1, 1000, 0); /* never switches: nobody knows who runs there */
  ctf_put(&c, 1, 1000, L_IRQ, "i", 1);
  ctf_put(&c, 1, 1350, L_WAKING, "ci", "kworker", 30);
  ctf_packet_end(&c, 1, 1350);
  ctf_packet(&c, 2, 1000, 0); /* runs one thread whose name comes with its end */
  ctf_put(&c, 2, 1000, L_IRQ, "i", 1);
  ctf_put(&c, 2, 2400, L_SWITCH, "cici", "kworker", 30, "swapper/2", 0);
  ctf_put(&c, 2, 2500, L_IRQ, "i", 1);
  ctf_packet_end(&c, 2, 2500);
  ctf_end(&c);
  assert_lines(path, "1000 0 7 bash irq_handler_entry -\n"
                     "1000 1 - - irq_handler_entry -\n"
                     "1000 2 30 kworker irq_handler_entry -\n"
                     "1100 0 7 bash lttng_statedump_process_state -\n"
                     "1200 0 7 bash sched_switch -\n"
                     "1300 0 9 sshd syscall_entry_read -\n"
                     "1350 1 - - sched_waking -\n"
                     "1400 0 9 sshd syscall_exit_read -11\n"
                     "1410 0 9 sshd compat_syscall_exit_write 9223372036854775807\n"
                     "1500 0 9 sshd sched_process_fork -\n"
                     "1600 0 9 sshd sched_switch -\n"
                     "1700 0 0 swapper/0 irq_handler_entry -\n"
                     "1800 0 0 swapper/0 sched_switch -\n"
                     "1850 0 20 sshd syscall_entry_read -\n"
                     "1900 0 20 a-very-long-pro sched_process_exec -\n"
                     "1910 0 20 a-very-long-pro syscall_exit_execve 0\n"
                     "1920 0 20 a-very-long-pro irq_handler_entry -\n"
                     "1930 0 20 a-very-long-pro syscall_entry_prctl -\n"
                     "1940 0 20 worker 1 irq_handler_entry -\n"
                     "1950 0 20 worker 1 syscall_entry_prctl -\n"
                     "2000 0 20 worker 1 sched_switch -\n"
                     "2400 2 30 kworker sched_switch -\n"
                     "2500 2 0 swapper/2 irq_handler_entry -\n");
  struct tt_trace_reader *reader = open_reader(path, 2);
  free(lines_of(reader, 100));
  assert_string_equal(tt_trace_reader_format(reader), "ctf-lttng");
  assert_int_equal(tt_trace_reader_clock_origin(reader), 5000000000);
  struct tt_trace_reader_counts counts = tt_trace_reader_counts(reader);
  assert_int_equal(counts.events, 23);
  assert_int_equal(counts.no_tid, 2);
  assert_int_equal(counts.switches, 3);
  assert_int_equal(counts.switches_agree, 3);
  assert_int_equal(counts.pseudo_events, 0);
  assert_int_equal(tt_trace_reader_events(reader)->n, 11);
  assert_string_equal(tt_trace_reader_comms(reader)->names[1], "kworker");
  tt_trace_reader_close(reader);
  tt_free(path);
}

static void test_recorded_contexts(void **state) {
  (void)state;
  char *path = path_of("contexts");
  struct ctf c;
  ctf_begin(&c, path, KIND_LTTNG_CONTEXTS, 2, 0);
  ctf_packet(&c, 0, 10, 0);
  ctf_put(&c, 0, 10, L_IRQ, "i", 5, "cat", 1);
  ctf_put(&c, 0, 20, L_SWITCH, "cici", 5, "cat", "cat", 5, "dog", 6);
  ctf_put(&c, 0, 30, L_IRQ, "i", 6, "do\x01g\xff", 1); /* odd bytes become '?' */
  ctf_put(&c, 0, 40, L_EXIT, "l", 0, "swapper/0", (int64_t)4);
  ctf_packet_end(&c, 0, 90);
  ctf_end(&c);
  assert_lines(path, "10 0 5 cat irq_handler_entry -\n"
                     "20 0 5 cat sched_switch -\n"
                     "30 0 6 do?g? irq_handler_entry -\n"
                     "40 0 0 swapper/0 syscall_exit_read 4\n");
  tt_free(path);
}

static void test_perf(void **state) {
  (void)state;
  char *path = path_of("perf");
  struct ctf c;
  ctf_begin(&c, path, KIND_PERF, 3, 0);
  ctf_packet(&c, 0, 0, 0);
  ctf_put(&c, 0, 0, P_COMM, "iis", 50, 50, "python3");
  ctf_put(&c, 0, 0, P_FORK, "iiiil", 50, 50, 51, 50, (int64_t)0);
  ctf_put(&c, 0, 100, P_IRQ, "ii", 0, 0);
  ctf_put(&c, 0, 150, P_SWITCH, "iicici", 0, 0, "swapper/0", 0, "python3", 51);
  ctf_put(&c, 0, 200, P_EXIT, "iil", 51, 51, (int64_t)-2);
  ctf_put(&c, 0, 310, P_COMM, "iis", 60, 60, "make"); /* really happens on CPU 1 */
  ctf_put(&c, 0, 400, P_RAW, "iill", 51, 51, (int64_t)1, (int64_t)77);
  ctf_put(&c, 0, 500, P_FORK, "iiiil", 61, 60, 61, 60, (int64_t)500);
  ctf_put(&c, 0, 600, P_SWITCH, "iicici", -1, 51, "python3", 51, "make", 61);
  ctf_put(&c, 0, 700, P_IRQ, "ii", -1, 61); /* dead: perf has no id for it any more */
  ctf_packet_end(&c, 0, 900);
  ctf_packet(&c, 1, 110, 0);
  ctf_put(&c, 1, 110, P_IRQ, "ii", 60, 60);
  ctf_put(&c, 1, 300, P_RENAME, "iiicc", 60, 60, 60, "sh", "make");
  ctf_put(&c, 1, 320, P_EXIT, "iil", 60, 60, (int64_t)0);
  ctf_packet_end(&c, 1, 900);
  ctf_end(&c);
  assert_lines(path, "100 0 0 swapper/0 irq:irq_handler_entry -\n"
                     "110 1 60 sh irq:irq_handler_entry -\n"
                     "150 0 0 swapper/0 sched:sched_switch -\n"
                     "200 0 51 python3 syscalls:sys_exit_read -2\n"
                     "300 1 60 sh task:task_rename -\n"
                     "310 1 60 make perf_comm -\n"
                     "320 1 60 make syscalls:sys_exit_read 0\n"
                     "400 0 51 python3 raw_syscalls:sys_exit 77\n"
                     "500 1 60 make perf_fork -\n"
                     "600 0 51 python3 sched:sched_switch -\n"
                     "700 0 61 make irq:irq_handler_entry -\n");
  struct tt_trace_reader *reader = open_reader(path, 1);
  free(lines_of(reader, 100));
  assert_string_equal(tt_trace_reader_format(reader), "ctf-perf");
  struct tt_trace_reader_counts counts = tt_trace_reader_counts(reader);
  assert_int_equal(counts.pseudo_events, 2);
  assert_int_equal(counts.moved, 2);
  tt_trace_reader_close(reader);
  tt_free(path);
}

static void make_gap(const char *path, enum fixture_kind kind) {
  struct ctf c;
  ctf_begin(&c, path, kind, 4, 1000000);
  ctf_packet(&c, 3, 1000, 0);
  ctf_put(&c, 3, 1000, L_IRQ, "i", 1); /* the look-ahead does not reach over the gap */
  ctf_packet_end(&c, 3, 1500);
  ctf_packet(&c, 3, 2000, 5);
  ctf_put(&c, 3, 2100, L_IRQ, "i", 1);
  ctf_put(&c, 3, 2200, L_SWITCH, "cici", "late", 9, "next", 7);
  ctf_put(&c, 3, 2300, L_IRQ, "i", 1);
  ctf_packet_end(&c, 3, 2500);
  ctf_end(&c);
}

static void test_lost_events(void **state) {
  (void)state;
  const struct {
    enum fixture_kind kind;
    const char *name, *lines;
    int64_t end;
  } cases[] = {{KIND_LTTNG, "gap-lttng",
                "1000 3 - - irq_handler_entry -\n"
                "2100 3 9 late irq_handler_entry -\n"
                "2200 3 9 late sched_switch -\n"
                "2300 3 7 next irq_handler_entry -\n",
                2000},
               /* Elsewhere the gap may lie anywhere up to the end of the packet. */
               {KIND_OTHER, "gap-other",
                "1000 3 - - irq_handler_entry -\n"
                "2100 3 - - irq_handler_entry -\n"
                "2200 3 9 late sched_switch -\n"
                "2300 3 7 next irq_handler_entry -\n",
                2500}};
  for (size_t i = 0; i < COUNT(cases); i++) {
    char *path = path_of(cases[i].name);
    make_gap(path, cases[i].kind);
    struct tt_trace_reader *reader = open_reader(path, 0);
    char *lines = lines_of(reader, 100);
    assert_string_equal(lines, cases[i].lines);
    assert_string_equal(tt_trace_reader_format(reader), i == 0 ? "ctf-lttng" : "ctf");
    const struct tt_gap *gaps;
    size_t n;
    tt_trace_reader_gaps(reader, &gaps, &n);
    assert_int_equal(n, 1);
    assert_int_equal(gaps[0].begin, 1500);
    assert_int_equal(gaps[0].end, cases[i].end);
    assert_int_equal(gaps[0].lost, 5);
    assert_int_equal(gaps[0].cpu, 3);
    assert_int_equal(tt_trace_reader_counts(reader).lost_events, 5);
    free(lines);
    tt_trace_reader_close(reader);
    tt_free(path);
  }
}

/* ---- order, folders, sums ---- */

static void test_order_is_babeltrace2s(void **state) {
  (void)state;
  char *path = path_of("busy"), *expected = NULL;
  size_t size = 0;
  make_busy(path, 5, 1);
  struct tt_trace_reader *reader = open_reader(path, 1);
  char *lines = lines_of(reader, 4096);
  int64_t origin = tt_trace_reader_clock_origin(reader);
  tt_trace_reader_close(reader);
  for (unsigned threads = 2; threads <= 6; threads++) {
    reader = open_reader(path, threads);
    char *again = lines_of(reader, threads == 2 ? 1 : 7 * threads);
    assert_string_equal(again, lines);
    free(again);
    tt_trace_reader_close(reader);
  }
  /* "[seconds.nanoseconds] (+delta) name: { cpu_id = 3 }, ..." */
  char *command = tt_format("babeltrace2 --clock-seconds %s", path);
  FILE *f = popen(command, "r");
  assert_non_null(f);
  FILE *out = open_memstream(&expected, &size);
  char line[512], name[64];
  long seconds, ns;
  unsigned cpu;
  size_t n = 0;
  while (fgets(line, sizeof line, f)) {
    assert_int_equal(
        sscanf(line, "[%ld.%ld] (%*[^)]) %63[^:]: { cpu_id = %u", &seconds, &ns, name, &cpu), 4);
    fprintf(out, "%lld %u %s\n", (long long)(seconds * 1000000000 + ns - origin), cpu, name);
    n++;
  }
  assert_int_equal(pclose(f), 0);
  fclose(out);
  assert_int_equal(n, 5 * 4 * 150);
  /* Ours without tid, comm and ret. */
  char *short_lines = NULL;
  out = open_memstream(&short_lines, &size);
  for (char *p = strtok(lines, "\n"); p; p = strtok(NULL, "\n")) {
    long long ts;
    assert_int_equal(sscanf(p, "%lld %u %*s %*s %63s", &ts, &cpu, name), 3);
    fprintf(out, "%lld %u %s\n", ts, cpu, name);
  }
  fclose(out);
  assert_string_equal(short_lines, expected);
  free(short_lines);
  free(expected);
  free(lines);
  tt_free(command);
  tt_free(path);
}

static void test_several_folders(void **state) {
  (void)state;
  char *above = path_of("several"), *one = path_of("several/a/kernel"), *two = path_of("several/b");
  struct ctf c;
  ctf_begin(&c, one, KIND_LTTNG, 6, 2000);
  ctf_packet(&c, 0, 10, 0);
  ctf_put(&c, 0, 10, L_SWITCH, "cici", "x", 1, "y", 2);
  ctf_put(&c, 0, 30, L_IRQ, "i", 1);
  ctf_packet_end(&c, 0, 30);
  ctf_end(&c);
  ctf_begin(&c, two, KIND_LTTNG, 7, 2005);
  ctf_packet(&c, 1, 10, 0);
  ctf_put(&c, 1, 10, L_SWITCH, "cici", "y", 2, "z", 3);
  ctf_packet_end(&c, 1, 30);
  ctf_end(&c);
  assert_lines(above, "10 0 1 x sched_switch -\n"
                      "15 1 2 y sched_switch -\n"
                      "30 0 2 y irq_handler_entry -\n");
  struct tt_trace_reader *reader = open_reader(above, 0);
  assert_int_equal(tt_trace_reader_folders(reader), 2);
  assert_string_equal(tt_trace_reader_folder(reader, 0), one);
  assert_string_equal(tt_trace_reader_folder(reader, 1), two);
  assert_int_equal(tt_trace_reader_clock_origin(reader), 2000);
  tt_trace_reader_close(reader);
  tt_free(above);
  tt_free(one);
  tt_free(two);
}

/* LTTng's rotation leaves a trace in chunks: folders of one UUID, each with a piece of every
 * stream.
 */
static void test_chunks_of_one_trace(void **state) {
  (void)state;
  char *above = path_of("rotated");
  for (int i = 0; i < 2; i++) {
    char *chunk = tt_format("%s/chunk-%d/kernel", above, i);
    struct ctf c;
    ctf_begin(&c, chunk, KIND_LTTNG, 14, 500);
    uint64_t t = 100 * (uint64_t)i;
    c.streams[0].packets = (uint64_t)i;
    ctf_packet(&c, 0, t + 10, 0);
    if (i == 0)
      ctf_put(&c, 0, 10, L_SWITCH, "cici", "x", 1, "y", 2);
    ctf_put(&c, 0, t + 30, L_IRQ, "i", 1);
    ctf_packet_end(&c, 0, t + 30);
    ctf_end(&c);
    tt_free(chunk);
  }
  assert_lines(above, "10 0 1 x sched_switch -\n"
                      "30 0 2 y irq_handler_entry -\n"
                      "130 0 2 y irq_handler_entry -\n");
  tt_free(above);
}

static void sum_of(const char *path, char hex[65]) {
  struct tt_trace_reader *reader;
  struct tt_trace_reader_options options = {.checksum = true};
  assert_int_equal(tt_trace_reader_open(path, &options, &reader), TT_OK);
  assert_int_equal(tt_trace_reader_sha256(reader, hex), TT_OK);
  free(lines_of(reader, 1000));
  tt_trace_reader_close(reader);
}

static void test_checksum(void **state) {
  (void)state;
  char *one = path_of("sum/one"), *two = path_of("elsewhere"), hex[3][65];
  make_busy(one, 8, 2);
  make_busy(two, 8, 2);
  sum_of(one, hex[0]);
  sum_of(two, hex[1]);
  assert_string_equal(hex[0], hex[1]); /* where the folder is does not matter */
  char *file = tt_format("%s/channel0_4", two);
  FILE *f = fopen(file, "r+");
  assert_int_equal(fseek(f, -1, SEEK_END), 0);
  int last = fgetc(f);
  assert_int_equal(fseek(f, -1, SEEK_END), 0);
  fputc(last ^ 1, f);
  fclose(f);
  sum_of(two, hex[2]);
  assert_string_not_equal(hex[0], hex[2]);
  assert_no_children();
  tt_free(file);
  tt_free(one);
  tt_free(two);
}

static void test_sha256(void **state) {
  (void)state;
  struct tt_sha256 a, b;
  char x[65], y[65];
  tt_sha256_init(&a, true);
  tt_sha256_add(&a, "abc", 3);
  tt_sha256_finish(&a, x);
  assert_string_equal(x, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  printf("native SHA instructions: %s\n", a.native ? "yes" : "no");
  unsigned char data[300];
  struct tt_rng rng;
  tt_rng_init(&rng, 3, 0);
  for (size_t i = 0; i < sizeof data; i++)
    data[i] = (unsigned char)tt_rng_u32(&rng);
  for (size_t n = 0; n <= sizeof data; n++) {
    tt_sha256_init(&a, true);
    tt_sha256_init(&b, false);
    for (size_t i = 0; i < n;) { /* in pieces */
      size_t k = 1 + tt_rng_below(&rng, 130);
      k = k < n - i ? k : n - i;
      tt_sha256_add(&a, data + i, k);
      i += k;
    }
    tt_sha256_add(&b, data, n);
    tt_sha256_finish(&a, x);
    tt_sha256_finish(&b, y);
    assert_string_equal(x, y);
  }
}

/* ---- the state machine alone ---- */

static uint32_t give_id(void *user, const char *name) {
  return tt_names_add(user, name);
}

static void test_look_ahead_is_bounded(void **state) {
  (void)state;
  struct tt_names names;
  struct tt_sched_state *s;
  tt_names_init(&names);
  assert_int_equal(tt_sched_state_new(give_id, &names, &s), TT_OK);
  struct tt_event e = {.tid = TT_TID_NONE, .comm = TT_COMM_NONE, .ret = TT_RET_NONE}, out;
  const size_t extra = 10, n = TT_SCHED_LOOKAHEAD + extra;
  size_t popped = 0, unknown = 0;
  for (size_t i = 0; i < n; i++) {
    e.ts = (int64_t)i;
    assert_int_equal(tt_sched_state_push(s, &e, TT_ROLE_NONE, NULL, true), TT_OK);
    while (tt_sched_state_pop(s, &out)) {
      assert_int_equal(out.ts, popped++);
      unknown += out.tid == TT_TID_NONE;
    }
  }
  /* At most TT_SCHED_LOOKAHEAD - 1 stay in: there is room for the next one. */
  assert_int_equal(popped, extra + 1);
  assert_int_equal(unknown, popped);
  struct tt_wire_aux aux = {
      .tid_a = 5, .tid_b = 6, .comm_a = give_id(&names, "five"), .comm_b = TT_COMM_NONE};
  e.ts = (int64_t)n;
  assert_int_equal(tt_sched_state_push(s, &e, TT_ROLE_SWITCH, &aux, true), TT_OK);
  while (tt_sched_state_pop(s, &out)) {
    assert_int_equal(out.ts, popped++);
    assert_int_equal(out.tid, 5);
    assert_int_equal(out.comm, aux.comm_a);
  }
  assert_int_equal(popped, n + 1);
  /* 6 has no name so far, and never gets one. */
  e.ts++;
  assert_int_equal(tt_sched_state_push(s, &e, TT_ROLE_NONE, NULL, true), TT_OK);
  assert_false(tt_sched_state_pop(s, &out));
  tt_sched_state_finish(s);
  assert_true(tt_sched_state_pop(s, &out));
  assert_int_equal(out.tid, 6);
  assert_true(out.comm == TT_COMM_NONE);
  tt_sched_state_free(s);
  tt_names_release(&names);
}

/* ---- a real trace ---- */

static void test_sample(void **state) {
  (void)state;
  char *command = tt_format("bash %s/scripts/unpack-sample.sh %s", TT_SOURCE_DIR, fixture_folder);
  assert_int_equal(system(command), 0);
  tt_free(command);
  char *path = path_of("trace"), *first = NULL, *second = NULL;
  struct tt_trace_reader *reader = open_reader(path, 2);
  first = lines_of(reader, 5000);
  struct tt_trace_reader_counts counts = tt_trace_reader_counts(reader);
  print_message("sample: %llu events, %llu pseudo-events, %zu types, %zu names\n",
                (unsigned long long)counts.events, (unsigned long long)counts.pseudo_events,
                tt_trace_reader_events(reader)->n, tt_trace_reader_comms(reader)->n);
  assert_string_equal(tt_trace_reader_format(reader), "ctf-perf");
  assert_int_equal(counts.events, 285936); /* data/README.md, counted by babeltrace2 */
  assert_int_equal(counts.pseudo_events, 329);
  assert_int_equal(tt_trace_reader_events(reader)->n, 317);
  assert_int_equal(counts.no_tid, 0);
  assert_int_equal(counts.no_comm, 0);
  assert_int_equal(counts.lost_events, 0);
  assert_true(counts.switches > 1000);
  assert_int_equal(counts.switches_agree, counts.switches);
  assert_true((double)counts.names_agree >= 0.999 * (double)counts.names);
  tt_trace_reader_close(reader);
  reader = open_reader(path, 1);
  second = lines_of(reader, 77);
  assert_string_equal(first, second);
  tt_trace_reader_close(reader);
  free(first);
  free(second);
  tt_free(path);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_scheduler_state_of_lttng),
      cmocka_unit_test(test_recorded_contexts),
      cmocka_unit_test(test_perf),
      cmocka_unit_test(test_lost_events),
      cmocka_unit_test(test_order_is_babeltrace2s),
      cmocka_unit_test(test_several_folders),
      cmocka_unit_test(test_chunks_of_one_trace),
      cmocka_unit_test(test_checksum),
      cmocka_unit_test(test_sha256),
      cmocka_unit_test(test_look_ahead_is_bounded),
      cmocka_unit_test(test_sample),
  };
  return cmocka_run_group_tests_name("trace reader", tests, fixture_begin, fixture_end);
}
