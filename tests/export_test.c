/* The exporters, judged by the tools that open their files: babeltrace2, babeltrace 1.5,
 * lttng-analyses. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/names.h"
#include "base/output.h"
#include "base/rng.h"
#include "trace/csv_writer.h"
#include "trace/ctf_writer.h"
#include "trace/payload.h"
#include "trace/payload_state.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static char folder[] = "/tmp/tt-export-XXXXXX"; /* of this run */

struct dictionaries {
  struct tt_names events, comms;
};

static void dictionaries_release(struct dictionaries *d) {
  tt_names_release(&d->events);
  tt_names_release(&d->comms);
}

static struct tt_event event(struct dictionaries *d, int64_t ts, uint16_t cpu, int32_t tid,
                             const char *comm, const char *name, int64_t ret) {
  return (struct tt_event){.ts = ts,
                           .ret = ret,
                           .tid = tid,
                           .comm = comm ? tt_names_add(&d->comms, comm) : TT_COMM_NONE,
                           .event = (uint16_t)tt_names_add(&d->events, name),
                           .cpu = cpu};
}

static char *path_of(const char *name) {
  char *path = tt_format("%s/%s", folder, name);
  assert_non_null(path);
  return path;
}

/* What a command prints; owned. Its exit status must be `expected`. */
static char *output_of(int expected, const char *format, ...) {
  char command[1024], *text = NULL;
  size_t size = 0;
  va_list args;
  va_start(args, format);
  vsnprintf(command, sizeof command, format, args);
  va_end(args);
  FILE *pipe = popen(command, "r"), *memory = open_memstream(&text, &size);
  assert_non_null(pipe);
  char block[4096];
  for (size_t n; (n = fread(block, 1, sizeof block, pipe)) > 0;)
    fwrite(block, 1, n, memory);
  int status = pclose(pipe);
  fclose(memory);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != expected) {
    fprintf(stderr, "%s\n%s\n", command, text);
    fail();
  }
  return text;
}

static enum tt_status export_ctf(const struct tt_event *events, size_t n, struct dictionaries *d,
                                 uint64_t seed, const char *path, bool overwrite) {
  struct tt_event_source source = tt_event_source_array(events, n);
  struct tt_ctf_writer_options options = {
      .hostname = "host", .seed = seed, .clock_origin_ns = 1700000000000000000};
  uint64_t written = 0, bytes = 0;
  enum tt_status status =
      tt_ctf_export(&source, &d->events, &d->comms, &options, path, overwrite, &written, &bytes);
  if (status == TT_OK) {
    assert_int_equal(written, n);
    char *size = output_of(0, "cat %s/kernel/* | wc -c", path);
    assert_int_equal(bytes, strtoull(size, NULL, 10));
    free(size);
  }
  return status;
}

static void assert_absent(const char *path) {
  DIR *dir = opendir(folder);
  const char *name = strrchr(path, '/') + 1;
  for (struct dirent *entry; (entry = readdir(dir));)
    assert_int_not_equal(strncmp(entry->d_name, name, strlen(name)), 0);
  closedir(dir);
}

/* ---- CSV ---- */

static void csv_is_exact(void **state) {
  (void)state;
  struct dictionaries d = {0};
  struct tt_event events[] = {
      event(&d, 0, 0, 0, "swapper/0", "sched_switch", TT_RET_NONE),
      event(&d, 5, 1, 77, "a \"b\", c", "syscall_exit_read", -11),
      event(&d, 5, 65535, TT_TID_NONE, NULL, "odd,name", TT_RET_NONE),
      event(&d, INT64_MAX, 2, -5, "x\ny", "syscall_exit_read", INT64_MAX),
  };
  struct tt_event_source source = tt_event_source_array(events, COUNT(events));
  char *path = path_of("exact.csv"), *text;
  uint64_t n, bytes;
  size_t size;
  assert_int_equal(tt_csv_export(&source, &d.events, &d.comms, path, false, &n, &bytes), TT_OK);
  assert_int_equal(tt_read_file(path, &text, &size), TT_OK);
  assert_string_equal(text, "timestamp_ns,cpu,tid,comm,event,ret\n"
                            "0,0,0,swapper/0,sched_switch,\n"
                            "5,1,77,\"a \"\"b\"\", c\",syscall_exit_read,-11\n"
                            "5,65535,,,\"odd,name\",\n"
                            "9223372036854775807,2,-5,\"x\ny\",syscall_exit_read,"
                            "9223372036854775807\n");
  assert_int_equal(n, 4);
  assert_int_equal(bytes, size);
  assert_int_equal(tt_csv_export(&source, &d.events, &d.comms, path, false, NULL, NULL), TT_EXISTS);
  events[1].event = 99;
  assert_int_equal(tt_csv_export(&source, &d.events, &d.comms, path, true, NULL, NULL),
                   TT_BAD_INPUT);
  tt_causes_clear();
  char *again;
  assert_int_equal(tt_read_file(path, &again, &size), TT_OK); /* the old one still stands */
  assert_string_equal(text, again);
  tt_free(text);
  tt_free(again);
  tt_free(path);
  dictionaries_release(&d);
}

/* ---- the tables ---- */

static void names_become_lttng_s(void **state) {
  (void)state;
  static const char *const pairs[][2] = {
      {"sched:sched_switch", "sched_switch"},
      {"sched_switch", "sched_switch"},
      {"syscalls:sys_enter_read", "syscall_entry_read"},
      {"syscalls:sys_exit_newfstat", "syscall_exit_newfstat"},
      {"raw_syscalls:sys_enter", "syscall_entry_unknown"},
      {"irq:softirq_entry", "irq_softirq_entry"},
      {"irq:irq_handler_exit", "irq_handler_exit"},
      {"timer:hrtimer_start", "timer_hrtimer_start"},
      {"timer:timer_start", "timer_start"},
      {"kmem:kfree", "kmem_kfree"},
      {"kmem:kmem_cache_free", "kmem_cache_free"},
      {"irq_vectors:local_timer_entry", "x86_irq_vectors_local_timer_entry"},
      {"exceptions:page_fault_user", "x86_exceptions_page_fault_user"},
      {"net:netif_receive_skb", "net_if_receive_skb"},
      {"net:net_dev_xmit", "net_dev_xmit"},
      {"vmscan:mm_vmscan_kswapd_wake", "mm_vmscan_kswapd_wake"},
      {"compaction:mm_compaction_begin", "compaction_mm_compaction_begin"},
      {"my-probe:a b\"c", "my_probe_a_b_c"},
      {"", "_"},
  };
  for (size_t i = 0; i < COUNT(pairs); i++) {
    char *name = tt_payload_name(pairs[i][0]);
    assert_string_equal(name, pairs[i][1]);
    tt_free(name);
  }
}

static void every_table_row_compiles(void **state) {
  (void)state;
  struct tt_names names;
  struct tt_payload payload;
  tt_names_init(&names);
  for (size_t i = 0; i < tt_payload_events_n; i++)
    assert_int_equal(tt_names_add(&names, tt_payload_events[i].name), i); /* no row twice */
  for (size_t i = 0; i < tt_payload_syscalls_n; i++) {
    char *name = tt_format("syscalls:sys_enter_%s", tt_payload_syscalls[i].name);
    assert_int_equal(tt_names_add(&names, name), tt_payload_events_n + i);
    tt_free(name);
  }
  assert_int_not_equal(tt_names_add(&names, "sched:sched_switch"), TT_NAME_NONE); /* clashes */
  assert_int_equal(tt_payload_compile(&names, &payload), TT_OK);
  assert_int_equal(payload.n, names.n);
  assert_string_equal(payload.classes[names.n - 1].name, "sched_switch_2");
  assert_int_equal(payload.classes[names.n - 1].kind, TT_KIND_SWITCH);
  assert_int_equal(payload.classes[names.n - 1].size, 16 + 4 + 4 + 8 + 16 + 4 + 4);
  for (size_t i = 0; i < payload.n; i++)
    for (size_t k = 0; k < payload.classes[i].n_patches; k++)
      assert_true(payload.classes[i].patches[k].offset + payload.classes[i].patches[k].size <=
                  payload.classes[i].size);
  tt_payload_release(&payload);
  tt_names_release(&names);
}

static void comms_are_utf8(void **state) {
  (void)state;
  static const char *const pairs[][2] = {
      {"bash", "bash"},
      {"0123456789abcdefgh", "0123456789abcde"},
      {"0123456789abcd\xc3\xa9", "0123456789abcd?"}, /* cut in the middle of a character */
      {"\xc3\xa9t\xe9", "\xc3\xa9t?"},
      {"\xed\xa0\x80", "???"},
      {"\xf0\x9f\x90\xa7!", "\xf0\x9f\x90\xa7!"},
  };
  for (size_t i = 0; i < COUNT(pairs); i++) {
    unsigned char comm[TT_PAYLOAD_COMM];
    tt_payload_comm(pairs[i][0], comm);
    assert_string_equal((char *)comm, pairs[i][1]);
  }
}

/* ---- a small trace, read back word for word ---- */

static size_t small_trace(struct dictionaries *d, struct tt_event events[64]) {
  size_t n = 0;
#define PUT(...) events[n++] = event(d, __VA_ARGS__)
  PUT(1000, 0, 10, "sh", "syscalls:sys_enter_openat", TT_RET_NONE);
  PUT(1100, 0, 10, "sh", "syscalls:sys_exit_openat", 7);
  PUT(1200, 0, 10, "sh", "syscalls:sys_enter_read", TT_RET_NONE);
  PUT(1300, 1, 0, NULL, "irq:irq_handler_entry", TT_RET_NONE);
  PUT(1310, 1, 0, NULL, "irq:softirq_raise", TT_RET_NONE);
  PUT(1320, 1, 0, NULL, "irq:irq_handler_exit", TT_RET_NONE);
  PUT(1330, 1, 0, NULL, "irq:softirq_entry", TT_RET_NONE);
  PUT(1330, 1, 0, NULL, "sched:sched_waking", TT_RET_NONE);
  PUT(1340, 1, 0, NULL, "irq:softirq_exit", TT_RET_NONE);
  PUT(1400, 0, 10, "sh", "syscalls:sys_exit_read", 512);
  PUT(1500, 1, 0, NULL, "sched:sched_switch", TT_RET_NONE);         /* to 20: woken by the above */
  PUT(1600, 1, 20, "cat", "sched:sched_process_fork", TT_RET_NONE); /* 21 */
  PUT(1610, 1, 20, "cat", "sched:sched_wakeup_new", TT_RET_NONE);
  PUT(1700, 0, 10, "sh", "sched:sched_switch", TT_RET_NONE); /* preempted: 10 is not woken */
  PUT(1800, 0, 21, "cat", "syscalls:sys_enter_exit_group", TT_RET_NONE);
  PUT(1810, 0, 21, "cat", "sched:sched_process_exit", TT_RET_NONE);
  PUT(1900, 0, 21, "cat", "sched:sched_switch", TT_RET_NONE); /* dead */
  PUT(5000000000, 0, 10, "sh", "sched:sched_process_free", TT_RET_NONE);
  PUT(5000000001, 1, TT_TID_NONE, NULL, "my:own event", TT_RET_NONE);
  PUT(5000000002, 0, 10, "sh", "sched:sched_switch", TT_RET_NONE); /* the last on its CPU */
#undef PUT
  return n;
}

/* {TIME, CPU, event, "fields"} in babeltrace's words; both versions print these fields alike. */
static const char small_text[] =
    "syscall_entry_openat|0|sh|10|dfd = -100, filename = \"unknown\", flags = 0, mode = 0\n"
    "syscall_exit_openat|0|sh|10|ret = 7\n"
    "syscall_entry_read|0|sh|10|fd = 7, count = 512\n"
    "irq_handler_entry|1|swapper/1|0|irq = 28, name = \"virtio0\"\n"
    "irq_softirq_raise|1|swapper/1|0|vec = 1\n"
    "irq_handler_exit|1|swapper/1|0|irq = 28, ret = 1\n"
    "irq_softirq_entry|1|swapper/1|0|vec = 1\n"
    "sched_waking|1|swapper/1|0|comm = \"cat\", tid = 20, prio = 20, target_cpu = 1\n"
    "irq_softirq_exit|1|swapper/1|0|vec = 1\n"
    "syscall_exit_read|0|sh|10|ret = 512\n"
    "sched_switch|1|swapper/1|0|prev_comm = \"swapper/1\", prev_tid = 0, prev_prio = 20, "
    "prev_state = 0, next_comm = \"cat\", next_tid = 20, next_prio = 20\n"
    "sched_process_fork|1|cat|20|parent_comm = \"cat\", parent_tid = 20, parent_pid = 20, "
    "child_comm = \"cat\", child_tid = 21, child_pid = 21\n"
    "sched_wakeup_new|1|cat|20|comm = \"cat\", tid = 21, prio = 20, target_cpu = 0\n"
    "sched_switch|0|sh|10|prev_comm = \"sh\", prev_tid = 10, prev_prio = 20, "
    "prev_state = 0, next_comm = \"cat\", next_tid = 21, next_prio = 20\n"
    "syscall_entry_exit_group|0|cat|21|error_code = 0\n"
    "sched_process_exit|0|cat|21|comm = \"cat\", tid = 21, prio = 20\n"
    "sched_switch|0|cat|21|prev_comm = \"cat\", prev_tid = 21, prev_prio = 20, "
    "prev_state = 64, next_comm = \"sh\", next_tid = 10, next_prio = 20\n"
    "sched_process_free|0|sh|10|comm = \"cat\", tid = 21, prio = 20\n"
    "my_own_event|1||-1|\n"
    "sched_switch|0|sh|10|prev_comm = \"sh\", prev_tid = 10, prev_prio = 20, "
    "prev_state = 1, next_comm = \"swapper/0\", next_tid = 0, next_prio = 20\n";

/* A line of either babeltrace: "[SECONDS] [HOST] NAME: { cpu_id = C }, { procname = "P", pid = T,
 * tid = T }, { FIELDS }" to "NAME|C|P|T|FIELDS". */
static void normalise(char *line, FILE *to, int64_t expected_ts) {
  int64_t seconds = strtoll(line + 1, &line, 10), nanoseconds = strtoll(line + 1, NULL, 10);
  assert_int_equal(seconds * 1000000000 + nanoseconds - 1700000000000000000, expected_ts);
  char name[64], comm[17] = "";
  int cpu, pid, tid, used = 0;
  char *p = strstr(line, ": { cpu_id = ");
  assert_non_null(p);
  *p = 0;
  snprintf(name, sizeof name, "%s", strrchr(line, ' ') + 1);
  p += 1;
  assert_int_equal(sscanf(p, " { cpu_id = %d }, { procname = \"%n", &cpu, &used), 1);
  assert_true(used > 0);
  p += used;
  char *quote = strchr(p, '"');
  snprintf(comm, sizeof comm, "%.*s", (int)(quote - p), p);
  assert_int_equal(sscanf(quote, "\", pid = %d, tid = %d }, {%n", &pid, &tid, &used), 2);
  assert_int_equal(pid, tid);
  char *fields = quote + used, *end = strrchr(fields, '}');
  assert_non_null(end);
  while (*fields == ' ')
    fields++;
  while (end > fields && end[-1] == ' ')
    end--;
  fprintf(to, "%s|%d|%s|%d|%.*s\n", name, cpu, comm, tid, (int)(end - fields), fields);
}

static void small_trace_reads_word_for_word(void **state) {
  (void)state;
  struct dictionaries d = {0};
  struct tt_event events[64];
  size_t n = small_trace(&d, events);
  char *path = path_of("small");
  assert_int_equal(export_ctf(events, n, &d, 1, path, false), TT_OK);
  assert_int_equal(export_ctf(events, n, &d, 1, path, false), TT_EXISTS);
  tt_causes_clear();
  static const char *const tools[] = {"babeltrace2 --clock-seconds", "babeltrace --clock-seconds"};
  for (size_t t = 0; t < COUNT(tools); t++) {
    char *errors = output_of(0, "%s %s 2>&1 >/dev/null", tools[t], path);
    assert_string_equal(errors, "");
    char *text = output_of(0, "%s %s", tools[t], path), *plain = NULL;
    size_t size = 0, i = 0;
    FILE *to = open_memstream(&plain, &size);
    for (char *save, *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
      normalise(line, to, events[i < n ? i++ : 0].ts);
    fclose(to);
    if (strcmp(plain, small_text) != 0)
      fail_msg("%s printed:\n%s", tools[t], plain);
    printf("  %s: %zu events as expected\n", tools[t], i);
    free(errors);
    free(text);
    free(plain);
  }
  tt_free(path);
  dictionaries_release(&d);
}

/* ---- a longer one, of threads that run, sleep, fork and die ---- */

#define LONG_N 60000
#define LONG_CPUS 3
#define LONG_THREADS 12

/* A scheduler that keeps its own rules: on every CPU one thread runs, leaves by sched_switch
 * (asleep or preempted), comes back when it is woken by someone else. */
static struct tt_event *long_trace(struct dictionaries *d) {
  struct tt_event *events = tt_alloc(LONG_N, sizeof *events);
  struct tt_rng rng;
  tt_rng_init(&rng, 7, 0);
  int running[LONG_CPUS] = {0}; /* thread, 0: idle */
  int state[LONG_THREADS + 1];  /* 0 runnable, 1 asleep, 2 running */
  int in_call[LONG_THREADS + 1] = {0};
  for (int i = 1; i <= LONG_THREADS; i++)
    state[i] = 1;
  static const char *const plain[] = {"kmem:kmalloc", "timer:hrtimer_start", "rcu:rcu_utilization",
                                      "my:thing"};
  int64_t ts = 0;
  for (size_t n = 0; n < LONG_N;) {
    uint16_t cpu = (uint16_t)tt_rng_below(&rng, LONG_CPUS);
    int thread = running[cpu];
    char comm[16];
    snprintf(comm, sizeof comm, thread ? "worker-%d" : "swapper/%d", thread ? thread : cpu);
    int32_t tid = thread ? 100 + thread : 0;
    ts += 1 + (int64_t)tt_rng_below(&rng, 5000);
    uint64_t what = tt_rng_below(&rng, 10);
    int someone = 1 + (int)tt_rng_below(&rng, LONG_THREADS);
    const char *name = plain[what % COUNT(plain)];
    int64_t ret = TT_RET_NONE;
    if (what == 0 && state[someone] == 1) {
      name = "sched:sched_wakeup";
      state[someone] = 0;
    } else if (what <= 2) {
      int next = thread;
      for (int i = 1; i <= LONG_THREADS && next == thread; i++)
        if (state[i] == 0)
          next = i;
      if (next == thread)
        next = 0;
      if (next != thread) {
        name = "sched:sched_switch";
        if (thread)
          state[thread] = next && what == 1 ? 0 : 1;
        running[cpu] = next;
        state[next] = 2;
      }
    } else if (what <= 5 && thread) {
      name = in_call[thread] ? "syscalls:sys_exit_write" : "syscalls:sys_enter_write";
      ret = in_call[thread] ? (int64_t)tt_rng_below(&rng, 100) - 5 : TT_RET_NONE;
      in_call[thread] = !in_call[thread];
    }
    events[n++] = event(d, ts, cpu, tid, comm, name, ret);
  }
  return events;
}

/* The number after `key` in a line. */
static int number(const char *line, const char *key) {
  const char *p = strstr(line, key);
  assert_non_null(p);
  return atoi(p + strlen(key));
}

static void next_thread_is_who_runs_next(void **state) {
  (void)state;
  struct dictionaries d = {0};
  struct tt_event *events = long_trace(&d);
  char *path = path_of("long");
  assert_int_equal(export_ctf(events, LONG_N, &d, 1, path, false), TT_OK);
  char *text = output_of(0, "babeltrace2 --clock-seconds %s", path);
  int next[LONG_CPUS] = {-1, -1, -1}, last_running[LONG_CPUS] = {-1, -1, -1};
  size_t n = 0, switches = 0, wakeups = 0, useful = 0, woken_running = 0, preempted = 0, calls = 0;
  bool woken[LONG_THREADS + 1] = {false}, away[LONG_THREADS + 1] = {false};
  for (char *save, *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
    const struct tt_event *e = &events[n++];
    int cpu = number(line, "cpu_id = "), tid = number(line, ", tid = ");
    assert_int_equal(cpu, e->cpu);
    assert_int_equal(tid, e->tid);
    if (next[cpu] >= 0)
      assert_int_equal(tid, next[cpu]);
    next[cpu] = -1;
    last_running[cpu] = tid;
    if (strstr(line, " sched_switch: ")) {
      switches++;
      assert_int_equal(number(line, "prev_tid = "), tid);
      next[cpu] = number(line, "next_tid = ");
      int prev_state = number(line, "prev_state = ");
      preempted += tid && prev_state == 0;
      if (tid)
        away[tid - 100] = prev_state == 1;
      if (next[cpu])
        woken[next[cpu] - 100] = away[next[cpu] - 100] = false;
      last_running[cpu] = next[cpu];
    } else if (strstr(line, " sched_wakeup: ")) {
      wakeups++;
      int target = number(strstr(line, "{ comm = "), "tid = ");
      for (int i = 0; i < LONG_CPUS; i++)
        woken_running += last_running[i] == target;
      useful += away[target - 100] && !woken[target - 100];
      woken[target - 100] = true;
    } else if (strstr(line, " syscall_entry_write: ")) {
      calls++;
      assert_true(number(line, "count = ") > 0);
    }
  }
  printf("  %zu switches, %zu of them preemptions, %zu wake-ups (%zu of a thread asleep, %zu of a "
         "running one), %zu calls\n",
         switches, preempted, wakeups, useful, woken_running, calls);
  assert_int_equal(n, LONG_N);
  assert_true(switches > 1000 && wakeups > 1000 && preempted > 100 && calls > 1000);
  assert_true(useful > wakeups * 9 / 10);
  assert_true(woken_running < wakeups / 100);
  free(text);

  static const char *const tools[] = {"lttng-cputop", "lttng-schedstats --no-progress",
                                      "lttng-syscallstats --no-progress",
                                      "lttng-irqstats --no-progress"};
  for (size_t t = 0; t < COUNT(tools); t++) {
    char *report = output_of(0, "%s %s/kernel 2>&1", tools[t], path);
    assert_null(strstr(report, "Traceback"));
    assert_null(strstr(report, "rror"));
    if (t < 3) /* they list the threads */
      assert_non_null(strstr(report, "worker-1"));
    printf("  %s: fine\n", tools[t]);
    free(report);
  }
  tt_free(path);
  tt_free(events);
  dictionaries_release(&d);
}

static void same_input_same_bytes(void **state) {
  (void)state;
  struct dictionaries d = {0};
  struct tt_event *events = long_trace(&d);
  char *a = path_of("same-a"), *b = path_of("same-b");
  assert_int_equal(export_ctf(events, LONG_N, &d, 1, a, false), TT_OK);
  assert_int_equal(export_ctf(events, LONG_N, &d, 1, b, false), TT_OK);
  free(output_of(0, "diff -r %s %s", a, b));
  assert_int_equal(export_ctf(events, LONG_N, &d, 2, b, true), TT_OK);
  free(output_of(1, "cmp -s %s/kernel/metadata %s/kernel/metadata", a, b));
  free(output_of(0,
                 "bash -c 'diff <(grep -v uuid.= %s/kernel/metadata) "
                 "<(grep -v uuid.= %s/kernel/metadata)'",
                 a, b));
  tt_free(a);
  tt_free(b);
  tt_free(events);
  dictionaries_release(&d);
}

/* A switch waits for its CPU's next event however far away that is, also at the end. */
static void switches_wait_beyond_the_window(void **state) {
  (void)state;
  struct dictionaries d = {0};
  size_t n = 0, busy = 2 * TT_PAYLOAD_WINDOW + 5;
  struct tt_event *events = tt_alloc(busy + 4, sizeof *events);
  events[n++] = event(&d, 1, 0, 50, "a", "sched_switch", TT_RET_NONE);
  events[n++] = event(&d, 1, 2, 70, "c", "sched_switch", TT_RET_NONE);
  for (size_t i = 0; i < busy; i++)
    events[n++] = event(&d, 2 + (int64_t)i, 1, 60, "busy", "tick", TT_RET_NONE);
  events[n++] = event(&d, 1000000, 0, 51, "b", "tick", TT_RET_NONE);
  events[n++] = event(&d, 1000001, 0, 51, "b", "tick", TT_RET_NONE);
  char *path = path_of("wait");
  assert_int_equal(export_ctf(events, n, &d, 1, path, false), TT_OK);
  char *text = output_of(0, "babeltrace2 %s | grep sched_switch", path);
  assert_non_null(strstr(text, "prev_tid = 50, prev_prio = 20, prev_state = 1, next_comm = \"b\", "
                               "next_tid = 51"));
  assert_non_null(strstr(text, "prev_tid = 70, prev_prio = 20, prev_state = 1, next_comm = "
                               "\"swapper/2\", next_tid = 0"));
  free(text);
  text = output_of(0, "babeltrace2 %s | wc -l", path);
  assert_int_equal(strtoull(text, NULL, 10), n);
  free(text);
  tt_free(path);
  tt_free(events);
  dictionaries_release(&d);
}

/* Two CPUs wake a thread each; each runs its own. Then perf's late event: still the old thread. */
static void wakeups_are_claimed_nearby(void **state) {
  (void)state;
  struct dictionaries d = {0};
  struct tt_event events[] = {
      event(&d, 10, 0, 0, "swapper/0", "sched_wakeup", TT_RET_NONE),
      event(&d, 11, 0, 0, "swapper/0", "sched_wakeup", TT_RET_NONE),
      event(&d, 12, 1, 0, "swapper/1", "sched_wakeup", TT_RET_NONE),
      event(&d, 20, 0, 0, "swapper/0", "sched_switch", TT_RET_NONE),
      event(&d, 21, 1, 0, "swapper/1", "sched_switch", TT_RET_NONE),
      event(&d, 22, 0, 5, "first", "tick", TT_RET_NONE),
      event(&d, 23, 1, 6, "there", "tick", TT_RET_NONE),
      event(&d, 24, 0, 5, "first", "sched_switch", TT_RET_NONE),
      event(&d, 25, 0, 5, "first", "tlb_flush", TT_RET_NONE),
      event(&d, 26, 0, 7, "second", "tick", TT_RET_NONE),
  };
  char *path = path_of("near");
  assert_int_equal(export_ctf(events, COUNT(events), &d, 1, path, false), TT_OK);
  char *text = output_of(0, "babeltrace2 %s | grep -o 'tid = [567], prio = 20, target.*'", path);
  assert_string_equal(text, "tid = 5, prio = 20, target_cpu = 0 }\n"
                            "tid = 7, prio = 20, target_cpu = 0 }\n"
                            "tid = 6, prio = 20, target_cpu = 1 }\n");
  free(text);
  text = output_of(0, "babeltrace2 %s | grep -o 'next_tid = [0-9]*'", path);
  assert_string_equal(text, "next_tid = 5\nnext_tid = 6\nnext_tid = 7\n");
  free(text);
  tt_free(path);
  dictionaries_release(&d);
}

static void gaps_are_discarded_events(void **state) {
  (void)state;
  struct dictionaries d = {0};
  struct tt_event events[] = {
      event(&d, 100, 0, 1, "init", "a", TT_RET_NONE),
      event(&d, 150, 1, 2, "other", "a", TT_RET_NONE),
      event(&d, 200, 0, 1, "init", "a", TT_RET_NONE),
      event(&d, 300, 0, 1, "init", "a", TT_RET_NONE),
  };
  struct tt_gap gaps[] = {{.begin = 110, .end = 190, .lost = 7, .cpu = 0}};
  struct tt_event_source source = tt_event_source_array(events, COUNT(events));
  source.gaps = gaps;
  source.n_gaps = COUNT(gaps);
  struct tt_ctf_writer_options options = {0};
  char *path = path_of("gaps");
  assert_int_equal(tt_ctf_export(&source, &d.events, &d.comms, &options, path, false, NULL, NULL),
                   TT_OK);
  char *text = output_of(0, "babeltrace2 %s 2>&1", path);
  assert_non_null(strstr(text, "Tracer discarded 7 events between"));
  free(text);
  text = output_of(0, "babeltrace %s 2>&1", path);
  assert_non_null(strstr(text, "Tracer discarded 7 events"));
  free(text);
  tt_free(path);
  dictionaries_release(&d);
}

/* ---- failures leave nothing ---- */

static void bad_input_is_refused(void **state) {
  (void)state;
  struct dictionaries d = {0};
  struct tt_event events[] = {
      event(&d, 5, 0, 1, "init", "a", TT_RET_NONE),
      event(&d, 4, 0, 1, "init", "a", TT_RET_NONE),
  };
  char *path = path_of("bad");
  assert_int_equal(export_ctf(events, 2, &d, 1, path, false), TT_BAD_INPUT);
  assert_string_equal(tt_cause(0), "event 1: time 4 after 5");
  tt_causes_clear();
  events[1].ts = 6;
  events[1].comm = 9;
  assert_int_equal(export_ctf(events, 2, &d, 1, path, false), TT_BAD_INPUT);
  tt_causes_clear();
  assert_absent(path);
  events[1].comm = TT_COMM_NONE;
  assert_int_equal(export_ctf(events, 0, &d, 1, path, false), TT_OK); /* none: metadata alone */
  tt_free(path);
  dictionaries_release(&d);
}

/* RLIMIT_FSIZE stands for the full disk: write() fails in the middle of a stream. */
static void full_disk_leaves_nothing(void **state) {
  (void)state;
  struct dictionaries d = {0};
  struct tt_event *events = long_trace(&d);
  char *path = path_of("full"), *csv = path_of("full.csv");
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){300000, 300000});
    struct tt_event_source source = tt_event_source_array(events, LONG_N);
    struct tt_ctf_writer_options options = {0};
    bool right =
        tt_ctf_export(&source, &d.events, &d.comms, &options, path, false, NULL, NULL) == TT_IO &&
        strstr(tt_cause(0), "File too large") &&
        tt_csv_export(&source, &d.events, &d.comms, csv, false, NULL, NULL) == TT_IO;
    _exit(right ? 0 : 1);
  }
  int status;
  waitpid(child, &status, 0);
  assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  assert_absent(path);
  tt_free(path);
  tt_free(csv);
  tt_free(events);
  dictionaries_release(&d);
}

static void short_memory_leaves_nothing(void **state) {
  (void)state;
  struct dictionaries d = {0};
  struct tt_event events[64];
  size_t n = small_trace(&d, events), fails = 0;
  char *path = path_of("memory"), *csv = path_of("memory.csv");
  struct tt_event_source source = tt_event_source_array(events, n);
  struct tt_ctf_writer_options options = {0};
  enum tt_status status;
  for (size_t nth = 1;; nth++) {
    tt_alloc_fail_at(nth);
    status = tt_ctf_export(&source, &d.events, &d.comms, &options, path, false, NULL, NULL);
    tt_alloc_fail_at(0);
    tt_causes_clear();
    if (status == TT_OK)
      break;
    assert_int_equal(status, TT_NO_MEMORY);
    assert_absent(path);
    fails++;
  }
  for (size_t nth = 1;; nth++) {
    tt_alloc_fail_at(nth);
    status = tt_csv_export(&source, &d.events, &d.comms, csv, false, NULL, NULL);
    tt_alloc_fail_at(0);
    tt_causes_clear();
    if (status == TT_OK)
      break;
    assert_int_equal(status, TT_NO_MEMORY);
    assert_absent(csv);
    fails++;
  }
  printf("  %zu failing allocations, each handled\n", fails);
  assert_true(fails > 50);
  tt_free(path);
  tt_free(csv);
  dictionaries_release(&d);
}

int main(void) {
  if (!mkdtemp(folder)) {
    perror(folder);
    return 1;
  }
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(csv_is_exact),
      cmocka_unit_test(names_become_lttng_s),
      cmocka_unit_test(every_table_row_compiles),
      cmocka_unit_test(comms_are_utf8),
      cmocka_unit_test(small_trace_reads_word_for_word),
      cmocka_unit_test(next_thread_is_who_runs_next),
      cmocka_unit_test(same_input_same_bytes),
      cmocka_unit_test(switches_wait_beyond_the_window),
      cmocka_unit_test(wakeups_are_claimed_nearby),
      cmocka_unit_test(gaps_are_discarded_events),
      cmocka_unit_test(bad_input_is_refused),
      cmocka_unit_test(full_disk_leaves_nothing),
      cmocka_unit_test(short_memory_leaves_nothing),
  };
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  tt_remove_tree(folder);
  return failed;
}
