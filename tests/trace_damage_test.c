/* The trace reader where something is wrong: children that misbehave, damaged traces, memory that
 * runs out. Nothing of it may end, hang or leave a process behind. */
#include "trace_fixture.h"

#include "trace/sandbox.h"

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

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_sandbox),         cmocka_unit_test(test_interruption),
      cmocka_unit_test(test_bad_input),       cmocka_unit_test(test_mutations),
      cmocka_unit_test(test_memory_runs_out),
  };
  return cmocka_run_group_tests_name("trace reader, damaged input", tests, fixture_begin,
                                     fixture_end);
}
