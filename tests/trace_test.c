/* The trace reader: traces made by hand whose every event is known, damaged ones, and the sample.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/rng.h"
#include "ctf_fixture.h"
#include "trace/find.h"
#include "trace/reader.h"
#include "trace/sandbox.h"
#include "trace/sched_state.h"
#include "trace/sha256.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static char folder[] = "/tmp/tt-trace-XXXXXX";

static int begin(void **state) {
  (void)state;
  return mkdtemp(folder) ? 0 : -1;
}

static int end(void **state) {
  (void)state;
  return tt_remove_tree(folder) == TT_OK ? 0 : -1;
}

static char *path_of(const char *name) { /* owned */
  char *path = tt_format("%s/%s", folder, name);
  assert_non_null(path);
  return path;
}

/* No child may outlive its reader. */
static void assert_no_children(void) {
  assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
  assert_int_equal(errno, ECHILD);
}

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

/* Five CPUs, many equal time stamps, several packets each. */
static void make_busy(const char *path, unsigned char number, uint64_t seed) {
  struct ctf c;
  struct tt_rng rng;
  tt_rng_init(&rng, seed, 0);
  ctf_begin(&c, path, KIND_LTTNG, number, 1000000000);
  for (uint32_t cpu = 0; cpu < 5; cpu++) {
    uint64_t ts = tt_rng_below(&rng, 20);
    int running = 10 + (int)cpu;
    for (int packet = 0; packet < 4; packet++) {
      ctf_packet(&c, cpu, ts, 0);
      for (int i = 0; i < 150; i++, ts += tt_rng_below(&rng, 3)) {
        char comm[24], next_comm[24];
        int next = 10 + (int)tt_rng_below(&rng, 12);
        snprintf(comm, sizeof comm, "thread-%d", running);
        snprintf(next_comm, sizeof next_comm, "thread-%d", next);
        switch (tt_rng_below(&rng, 4)) {
        case 0:
          ctf_put(&c, cpu, ts, L_SWITCH, "cici", comm, running, next_comm, next);
          running = next;
          break;
        case 1:
          ctf_put(&c, cpu, ts, L_EXIT, "l", (int64_t)tt_rng_below(&rng, 100));
          break;
        case 2:
          ctf_put(&c, cpu, ts, L_WAKING, "ci", next_comm, next);
          break;
        default:
          ctf_put(&c, cpu, ts, L_IRQ, "i", 1);
        }
      }
      ctf_packet_end(&c, cpu, ts);
    }
  }
  ctf_end(&c);
}

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

/* ---- children that misbehave ---- */

static int child_aborts(int fd, void *user) {
  (void)fd;
  tt_sandbox_note(user);
  abort();
}

static int child_loops(int fd, void *user) {
  volatile bool *for_ever = user;
  (void)fd;
  while (*for_ever) {
  }
  return 0;
}

static int child_writes_for_ever(int fd, void *user) {
  (void)user;
  static char zeros[4096];
  while (tt_sandbox_write(fd, zeros, sizeof zeros)) {
  }
  return 7;
}

static int child_leaves(int fd, void *user) {
  (void)user;
  return tt_sandbox_write(fd, "all is well", 11) ? 3 : 4;
}

static void run_child(int (*run)(int, void *), void *user, char text[64], char why[256]) {
  struct tt_sandbox s;
  size_t n, used = 0;
  assert_int_equal(tt_sandbox_start(run, user, 1, &s), TT_OK);
  do {
    assert_int_equal(tt_sandbox_read(&s, text + used, 63 - used, &n), TT_OK);
    used += n;
  } while (n > 0);
  text[used] = '\0';
  tt_sandbox_stop(&s, why, 256);
  assert_no_children();
}

static void test_sandbox(void **state) {
  (void)state;
  char text[64], why[256], note[] = "this file";
  run_child(child_aborts, note, text, why);
  assert_non_null(strstr(why, "killed by signal 6"));
  assert_non_null(strstr(why, "this file"));
  bool for_ever = true;
  run_child(child_loops, &for_ever, text, why);
  assert_non_null(strstr(why, "runs in circles"));
  run_child(child_leaves, NULL, text, why);
  assert_string_equal(text, "all is well");
  assert_non_null(strstr(why, "code 3"));
  struct tt_sandbox s; /* one that nobody reads from */
  assert_int_equal(tt_sandbox_start(child_writes_for_ever, NULL, 1, &s), TT_OK);
  tt_sandbox_stop(&s, NULL, 0);
  assert_no_children();
}

static void test_interruption(void **state) {
  (void)state;
  char *path = path_of("interrupted");
  make_busy(path, 9, 4);
  struct tt_trace_reader *reader;
  tt_interrupt();
  assert_int_equal(tt_trace_reader_open(path, NULL, &reader), TT_INTERRUPTED);
  tt_interrupt_reset();
  tt_causes_clear();
  assert_no_children();
  tt_free(path);
}

/* ---- bad input ---- */

/* Opens and reads to the end, or to the failure, which must be of a kind that input can cause. */
static enum tt_status read_all(const char *path, unsigned threads) {
  struct tt_trace_reader *reader;
  struct tt_trace_reader_options options = {.threads = threads};
  tt_causes_clear();
  enum tt_status status = tt_trace_reader_open(path, &options, &reader);
  if (status)
    return status;
  static struct tt_event events[1024];
  size_t n = 1;
  int64_t last = INT64_MIN;
  while (!(status = tt_trace_reader_read(reader, events, COUNT(events), &n)) && n > 0)
    for (size_t i = 0; i < n; i++) {
      assert_true(events[i].ts >= last);
      last = events[i].ts;
      assert_true(events[i].event < tt_trace_reader_events(reader)->n);
      assert_true(events[i].comm == TT_COMM_NONE ||
                  events[i].comm < tt_trace_reader_comms(reader)->n);
    }
  if (status) { /* and stays failed */
    assert_int_equal(tt_trace_reader_read(reader, events, 1, &n), TT_FAILED);
  }
  tt_trace_reader_close(reader);
  return status;
}

static void assert_bad(const char *path, const char *cause) {
  for (unsigned threads = 1; threads <= 2; threads++) {
    assert_int_equal(read_all(path, threads), TT_BAD_INPUT);
    assert_non_null(strstr(tt_cause(0), path));
    if (!strstr(tt_cause(0), cause))
      fail_msg("\"%s\" does not say \"%s\"", tt_cause(0), cause);
    for (size_t i = 1; i < tt_cause_count(); i++) /* one message, besides the check that it stays */
      assert_non_null(strstr(tt_cause(i), "has failed before"));
    assert_no_children();
  }
  print_message("%s\n", tt_cause(0));
}

static void patch(const char *path, const char *name, long offset, const void *data, size_t n) {
  char *file = tt_format("%s/%s", path, name);
  FILE *f = fopen(file, "r+");
  assert_non_null(f);
  assert_int_equal(fseek(f, offset, offset < 0 ? SEEK_END : SEEK_SET), 0);
  assert_int_equal(fwrite(data, 1, n, f), n);
  assert_int_equal(fclose(f), 0);
  tt_free(file);
}

static void test_bad_input(void **state) {
  (void)state;
  char *path = path_of("not-there");
  assert_bad(path, "No such file");
  assert_int_equal(tt_write_file(path, "text", 4), TT_OK);
  assert_bad(path, "not a CTF trace");
  tt_free(path);

  path = path_of("empty-folder");
  assert_int_equal(tt_make_folders(path), TT_OK);
  assert_bad(path, "no CTF trace in there");
  char *file = tt_format("%s/metadata", path);
  assert_int_equal(tt_write_file(file, "", 0), TT_OK);
  assert_bad(path, "empty");
  assert_int_equal(tt_write_file(file, "trace of what?", 14), TT_OK);
  assert_bad(path, "no event stream");
  char *stream = tt_format("%s/channel", path);
  assert_int_equal(tt_write_file(stream, "abc", 3), TT_OK);
  assert_bad(path, "metadata");
  assert_int_equal(unlink(stream), 0);
  assert_int_equal(symlink("/not/there", stream), 0);
  assert_bad(path, "No such file");
  tt_free(stream);
  tt_free(file);
  tt_free(path);

  path = path_of("damaged");
  make_busy(path, 10, 5);
  assert_int_equal(read_all(path, 2), TT_OK);
  patch(path, "metadata", 900, "{{{{{", 5);
  assert_bad(path, "metadata");

  make_busy(path, 10, 5);
  patch(path, "channel0_1", 0, "oops", 4);
  assert_bad(path, "channel0_1");

  make_busy(path, 10, 5);
  file = tt_format("%s/channel0_2", path);
  char *data;
  size_t size;
  assert_int_equal(tt_read_file(file, &data, &size), TT_OK);
  assert_int_equal(truncate(file, (off_t)size - 1), 0);
  assert_bad(path, "channel0_2");
  tt_free(data);
  tt_free(file);

  make_busy(path, 10, 5);
  patch(path, "channel0_3", 84, "\xff\xff", 2); /* the first event's id */
  assert_bad(path, "channel0_3");

  make_busy(path, 10, 5);
  patch(path, "channel0_4", 80, "\xff\xff\xff\x7f", 4); /* the packet's cpu_id */
  assert_bad(path, "channel0_4");
  tt_free(path);
}

static void test_mutations(void **state) {
  (void)state;
  char *path = path_of("mutant");
  struct tt_rng rng;
  tt_rng_init(&rng, 6, 0);
  size_t good = 0, bad = 0, died = 0;
  for (int i = 0; i < 200; i++) {
    make_busy(path, 11, 7);
    static const char *const names[] = {"metadata", "channel0_0", "channel0_1", "channel0_4"};
    char *file = tt_format("%s/%s", path, names[tt_rng_below(&rng, COUNT(names))]), *data;
    size_t size;
    assert_int_equal(tt_read_file(file, &data, &size), TT_OK);
    for (uint64_t k = 1 + tt_rng_below(&rng, 4); k > 0; k--) {
      /* Half of them where the headers are. */
      size_t at = tt_rng_below(&rng, tt_rng_below(&rng, 2) ? size : 100);
      data[at] = (char)(tt_rng_below(&rng, 2) ? data[at] ^ (1 << tt_rng_below(&rng, 8))
                                              : (char)tt_rng_u32(&rng));
    }
    if (tt_rng_below(&rng, 5) == 0)
      size = tt_rng_below(&rng, size);
    ctf_write(file, data, size);
    enum tt_status status = read_all(path, 1 + (unsigned)tt_rng_below(&rng, 2));
    if (status != TT_OK && status != TT_BAD_INPUT)
      fail_msg("mutation %d: %s: %s", i, tt_status_text(status), tt_cause(0));
    good += status == TT_OK;
    bad += status != TT_OK;
    died += status != TT_OK && strstr(tt_cause(0), "libbabeltrace2 ") != NULL;
    assert_no_children();
    tt_free(data);
    tt_free(file);
  }
  print_message("200 mutants: %zu readable, %zu refused, %zu of these by the decoder's death\n",
                good, bad, died);
  assert_true(good > 0 && bad > 50);
  tt_free(path);
}

static void test_memory_runs_out(void **state) {
  (void)state;
  char *path = path_of("memory");
  struct ctf c;
  ctf_begin(&c, path, KIND_LTTNG, 12, 0);
  ctf_packet(&c, 0, 10, 0);
  ctf_put(&c, 0, 10, L_SWITCH, "cici", "a", 1, "b", 2);
  ctf_put(&c, 0, 20, L_WAKING, "ci", "c", 3);
  ctf_packet_end(&c, 0, 90);
  ctf_end(&c);
  enum tt_status status = TT_FAILED;
  size_t n;
  for (n = 1; status != TT_OK; n++) {
    assert_true(n < 1000);
    tt_alloc_fail_at(n);
    status = read_all(path, 1);
    tt_alloc_fail_at(0);
    assert_no_children();
  }
  print_message("memory ran out in %zu places\n", n - 2);
  assert_true(n > 20);
  tt_free(path);
}

/* ---- a real trace ---- */

static void test_sample(void **state) {
  (void)state;
  char *command = tt_format("bash %s/scripts/unpack-sample.sh %s", TT_SOURCE_DIR, folder);
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
      cmocka_unit_test(test_sandbox),
      cmocka_unit_test(test_interruption),
      cmocka_unit_test(test_bad_input),
      cmocka_unit_test(test_mutations),
      cmocka_unit_test(test_memory_runs_out),
      cmocka_unit_test(test_sample),
  };
  return cmocka_run_group_tests_name("trace reader", tests, begin, end);
}
