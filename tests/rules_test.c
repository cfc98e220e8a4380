/* src/generators/rules: distributions, chains, hand-written rule files, bad ones, learned ones. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/output.h"
#include "base/rng.h"
#include "dataset_fixture.h"
#include "generators/rules/corpus.h"
#include "generators/rules/distribution.h"
#include "generators/rules/rules.h"
#include "toy_trace.h"
#include "tracetwin/status.h"
#include "twin_fixture.h"

/* ---- distributions ---- */

static int compare_int64(const void *left, const void *right) {
  int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
  return a < b ? -1 : a > b;
}

static void test_distributions(void **state) {
  (void)state;
  enum { N = 20000, SHARED = 512 };
  static const struct {
    const char *json;
    double mean, tolerance; /* of the mean; < 0: refused */
  } cases[] = {{"700", 700, 0.01},
               {"{\"exponential\": 4000}", 4000, 120},
               {"{\"uniform\": [100, 900]}", 500, 6},
               {"{\"normal\": [5000, 100]}", 5000, 3},
               {"{\"lognormal\": [1000, 0.5]}", 1133, 25},
               {"{\"at\": [0, 0.5, 0.5, 1], \"ns\": [100, 100, 900, 900]}", 500, 12},
               {"-1", 0, -1},
               {"\"soon\"", 0, -1},
               {"{\"exponential\": [3]}", 0, -1},
               {"{\"uniform\": [3, 2]}", 0, -1},
               {"{\"normal\": 3}", 0, -1},
               {"{\"at\": [0, 1], \"ns\": [5, 4]}", 0, -1},
               {"{\"at\": [0, 0.9], \"ns\": [4, 5]}", 0, -1},
               {"{\"at\": [0, 1], \"ns\": [null, 5]}", 0, -1}};
  struct tt_quantile *quantiles = NULL;
  size_t n = 0, capacity = 0;
  struct tt_rng rng;
  tt_rng_init(&rng, 1, 0);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct tt_distribution distribution;
    json_t *json = json_loads(cases[i].json, JSON_DECODE_ANY, NULL);
    const char *wrong = tt_distribution_read(json, &quantiles, &n, &capacity, &distribution);
    json_decref(json);
    assert_int_equal(wrong != NULL, cases[i].tolerance < 0);
    double sum = 0;
    for (int k = 0; !wrong && k < N; k++)
      sum += (double)tt_distribution_draw(&distribution, quantiles, &rng) / N;
    assert_false(!(wrong || fabs(sum - cases[i].mean) <= cases[i].tolerance));
  }
  /* a fit gives the samples' own quantiles back, within 5 % */
  int64_t samples[SHARED];
  for (int i = 0; i < SHARED; i++)
    samples[i] = i % 3 ? 200 + (int64_t)tt_rng_below(&rng, 100)
                       : (int64_t)(50000 * exp(tt_rng_normal(&rng)));
  qsort(samples, SHARED, sizeof *samples, compare_int64);
  json_t *fit = tt_distribution_fit(samples, SHARED);
  struct tt_distribution distribution;
  assert_null(tt_distribution_read(fit, &quantiles, &n, &capacity, &distribution));
  assert_in_range(distribution.n, 3, 24);
  int64_t drawn[N];
  for (int i = 0; i < N; i++) {
    drawn[i] = tt_distribution_draw(&distribution, quantiles, &rng);
    assert_in_range(drawn[i], samples[0], samples[SHARED - 1]);
  }
  qsort(drawn, N, sizeof *drawn, compare_int64);
  for (int i = 1; i < 10; i++) {
    if (i == 6 || i == 7)
      continue; /* at the void between the modes */
    double real = (double)samples[i * SHARED / 10], twin = (double)drawn[i * N / 10];
    assert_false(!(fabs(log(twin / real)) < 0.15));
  }
  json_decref(fit);
  tt_free(quantiles);
}

/* ---- chains ---- */

static void test_chains(void **state) {
  (void)state;
  struct tt_corpus corpus = {0};
  struct tt_chains chains;
  const uint32_t sequence[] = {TT_TOKEN_START, 1, 2, 3, 1, 2, 4, TT_TOKEN_END};
  for (int i = 0; i < 10; i++)
    assert_int_equal(tt_corpus_add(&corpus, sequence, 8), TT_OK);
  assert_int_equal(tt_corpus_chain(&corpus, 2, 8, &chains), TT_OK);
  assert_int_equal(chains.n, 2); /* 1 2 (20 times), then what is most frequent with it */
  assert_true(chains.chains[0].left == 1 && chains.chains[0].right == 2);
  assert_true(chains.chains[0].length == 2 && chains.chains[1].length == 3);
  assert_int_equal(corpus.n, 10 * 5);
  tt_chains_release(&chains);
  tt_corpus_release(&corpus);
  /* bounded: what is kept are whole sequences */
  for (int i = 0; i < 400000; i++)
    assert_int_equal(tt_corpus_add(&corpus, sequence, 8), TT_OK);
  assert_true(corpus.n <= (1 << 20) && corpus.n >= (1 << 18) && corpus.n % 8 == 0);
  for (size_t i = 0; i < corpus.n; i++)
    assert_int_equal(corpus.tokens[i], sequence[i % 8]);
  tt_corpus_release(&corpus);
}

/* ---- twins ---- */

static enum tt_status train(const struct tt_dataset *dataset, const char *file,
                            struct tt_generator **ret) {
  const struct tt_train_option options[] = {{"rules", file}};
  const struct tt_train_config config = {.train = dataset,
                                         .stream = TT_STREAM_CPU,
                                         .seed = 1,
                                         .options = options,
                                         .n_options = file != NULL};
  struct tt_train_result result;
  return tt_generator_train("rules", &config, &result, ret);
}

static enum tt_status train_text(const struct tt_dataset *dataset, const char *text,
                                 struct tt_generator **ret) {
  char *file = fixture_path("hand.json");
  assert_int_equal(tt_write_file(file, text, strlen(text)), TT_OK);
  enum tt_status status = train(dataset, file, ret);
  tt_free(file);
  return status;
}

/* ---- hand-written rules ---- */

/* One thread reads for ever; its call takes 300 ns, 50 ns lie between two calls. */
#define READS                                                                                      \
  "\"app0\": {\"user\": {\"next\": {\"start\": {\"@read\": 1}, \"@read\": {\"@read\": 1}}},"       \
  " \"calls\": {\"read\": {\"entry\": \"syscall_entry_read\", \"exit\": \"syscall_exit_read\","    \
  "  \"ret\": 512, \"duration\": 300}}}"
#define HEAD "{\"format\": \"tracetwin rules 1\", \"delays\": {\"*\": 50}, "
#define ONE                                                                                        \
  "\"threads\": {\"a\": {\"tid\": 100, \"comms\": [\"app0\"]}}, \"scheduler\": {\"cpus\": [1]}, "

static void test_hand_written(void **state) {
  (void)state;
  enum { N = 400 };
  struct tt_dataset *dataset = toy_dataset(2000, 1);
  int64_t begin = tt_dataset_columns(dataset)->ts[0];
  struct tt_generator *generator;
  assert_int_equal(train_text(dataset, HEAD ONE "\"workloads\": {" READS "}}", &generator), TT_OK);
  struct twin twin = twin_generate(generator, N, 1);
  for (int i = 0; i < N; i++) {
    const struct tt_event *e = &twin.events[i];
    assert_int_equal(e->ts - begin, 50 + i / 2 * 350 + i % 2 * 300);
    assert_int_equal(e->event, i % 2 ? TOY_EXIT_READ : TOY_ENTRY_READ);
    assert_true(e->ret == (i % 2 ? 512 : TT_RET_NONE));
    assert_true(e->cpu == 1 && e->tid == 100 && e->comm == 1);
  }
  tt_free(twin.events);
  tt_generator_free(generator);

  /* every 1000 ns an interrupt of 2 events, 20 ns: the reads go on afterwards, so much later */
  assert_int_equal(
      train_text(dataset,
                 HEAD ONE
                 "\"workloads\": {" READS ", \"*\": {\"calls\": {\"handler\": {\"entry\": "
                 "\"irq_handler_entry\", \"exit\": \"power_cpu_idle\", \"duration\": 20}}}},"
                 "\"interrupts\": {\"timer\": {\"every\": {\"*\": 1000}, \"next\": "
                 "{\"start\": {\"@handler\": 1}}}}}",
                 &generator),
      TT_OK);
  twin = twin_generate(generator, N, 1);
  int interrupts = 0, reads = 0;
  for (int i = 0; i < N; i++) {
    const struct tt_event *e = &twin.events[i];
    if (e->event == TOY_IRQ) {
      assert_int_equal(e->ts - begin, ++interrupts * 1000);
      assert_true(i + 1 == N ||
                  (twin.events[i + 1].event == TOY_IDLE && twin.events[i + 1].ts == e->ts + 20));
    } else if (e->event != TOY_IDLE) {
      assert_int_equal(e->event, reads % 2 ? TOY_EXIT_READ : TOY_ENTRY_READ);
      assert_int_equal(e->ts - begin, 50 + reads / 2 * 350 + reads % 2 * 300 + interrupts * 20);
      reads++;
    }
  }
  assert_true(interrupts > 40 && reads > 250);
  tt_free(twin.events);
  tt_generator_free(generator);

  /* two threads share a CPU in slices of 800 ns; each goes on where it was */
  assert_int_equal(
      train_text(dataset,
                 HEAD "\"threads\": {\"a\": {\"tid\": 100, \"comms\": [\"app0\"]}, \"b\": {\"tid\":"
                      " 101, \"comms\": [\"app0\"]}}, \"workloads\": {" READS ", \"*\": {\"slice\":"
                      " 800}}, \"scheduler\": {\"cpus\": [0], \"preempt\": {\"next\": {\"start\": "
                      "{\"sched_switch\": 1}}}, \"next\": {\"*\": {\"*\": {\"a\": 1, \"b\": 1}}}}}",
                 &generator),
      TT_OK);
  twin = twin_generate(generator, N, 1);
  int of[2] = {0, 0}, switches = 0;
  int64_t own[2] = {0, 0}, last = begin; /* each thread's own time */
  for (int i = 0; i < N; i++) {
    const struct tt_event *e = &twin.events[i];
    int t = e->tid - 100;
    own[t] += e->ts - last;
    last = e->ts;
    if (e->event == TOY_SWITCH) {
      assert_int_equal(e->ts - begin, ++switches * 800);
      assert_true(i + 1 == N || twin.events[i + 1].tid != e->tid);
    } else {
      assert_int_equal(e->event, of[t] % 2 ? TOY_EXIT_READ : TOY_ENTRY_READ);
      assert_int_equal(own[t], 50 + of[t] / 2 * 350 + of[t] % 2 * 300);
      of[t]++;
    }
  }
  assert_true(switches > 50 && of[0] > 100 && of[1] > 100);
  tt_free(twin.events);
  tt_generator_free(generator);
  tt_dataset_close(dataset);
}

/* The example of docs/generators.md is a rule file. */
static void test_documented(void **state) {
  (void)state;
  enum { N = 5000, EVENTS = 10 };
  static const char *const names[EVENTS] = {
      "sched_switch",      "sched_process_exec", "syscall_entry_read", "syscall_exit_read",
      "local_timer_entry", "local_timer_exit",   "block_rq_issue",     "block_rq_complete",
      "page_fault",        "power_cpu_idle"};
  char *data, *text = NULL;
  size_t size;
  assert_int_equal(tt_read_file(TT_SOURCE_DIR "/docs/generators.md", &data, &size), TT_OK);
  char *begin = strstr(data, "```json\n"), *end = begin ? strstr(begin, "\n```\n") : NULL;
  assert_non_null(end);
  text = tt_format("%.*s", (int)(end - begin - 8), begin + 8);
  struct tt_dataset_meta meta;
  tt_dataset_meta_init(&meta);
  for (int i = 0; i < EVENTS; i++)
    tt_names_add(&meta.events, names[i]);
  tt_names_add(&meta.comms, "swapper/0");
  tt_names_add(&meta.comms, "sh");
  tt_names_add(&meta.comms, "cat");
  const struct tt_event event = {.ret = TT_RET_NONE, .tid = TT_TID_NONE, .comm = TT_COMM_NONE};
  struct tt_dataset *dataset = toy_open(&event, 1, &meta);
  struct tt_generator *generator;
  assert_int_equal(train_text(dataset, text, &generator), TT_OK);
  struct twin twin = twin_generate(generator, N, 1);
  int seen[EVENTS] = {0}, inside = 0;
  for (int i = 0; i < N; i++) {
    const struct tt_event *e = &twin.events[i];
    seen[e->event]++;
    if (e->event == 2 || e->event == 3)
      assert_int_equal(e->event == 3, inside++ % 2); /* entry, exit, entry, ... */
    assert_true((e->ret != TT_RET_NONE) == (e->event == 3));
    if (e->event == 6 && i + 1 < N) /* blocks: the idle thread is next */
      assert_true(twin.events[i + 1].event == 0 || twin.events[i + 1].event == 4);
    assert_true(e->event != 9 || e->tid == 0);
  }
  assert_true(seen[2] > 500 && seen[4] > 2 && seen[4] - seen[5] <= 1 && seen[6] > 100);
  assert_true(seen[8] > 20 && seen[9] > 100 && seen[1] == 1);
  tt_free(twin.events);
  tt_generator_free(generator);
  tt_dataset_close(dataset);
  tt_dataset_meta_release(&meta);
  tt_free(text);
  tt_free(data);
}

static void test_bad_files(void **state) {
  (void)state;
  static const struct {
    const char *text, *message;
  } cases[] = {
      {"{\"format\": 1,\n oops}", "hand.json:2:"},
      {"[]", "top: an object"},
      {"{}", "\"format\" must be \"tracetwin rules 1\""},
      {HEAD "\"wrokloads\": {}}", "there is no rule called \"wrokloads\""},
      {HEAD "\"threads\": {}}", "threads: at least one thread"},
      {HEAD ONE "\"workloads\": {}}", "threads.a: no workload \"app0\""},
      {HEAD ONE "\"workloads\": {\"nobody\": {}}}", "has no command name \"nobody\""},
      {HEAD ONE "\"workloads\": {\"app0\": {\"user\": {\"next\": {\"start\": {\"open\": 1}}}}}}",
       "workloads.app0.user.next.start: the training dataset has no event \"open\""},
      {HEAD ONE "\"workloads\": {\"app0\": {\"user\": {\"next\": {\"start\": {\"@open\": 1}}}}}}",
       "workloads.app0.user.next.start: \"@open\": no workload has a call \"open\""},
      {HEAD ONE "\"workloads\": {\"app0\": {\"user\": {\"next\": {\"start\": {\"end\": 1}}}}}}",
       "it can't end before anything happened"},
      {HEAD ONE "\"workloads\": {\"app0\": {\"user\": {}}}}", "user.next: \"start\" is missing"},
      {HEAD ONE "\"workloads\": {\"app0\": {\"user\": {\"next\": {\"start\": "
                "{\"sched_switch\": -1}}}}}}",
       "the weight of \"sched_switch\" must be a number above 0"},
      {HEAD ONE "\"workloads\": {\"app0\": {\"user\": {\"chains\": {\"x\": []}, \"next\": "
                "{\"start\": {\"x\": 1}}}}}}",
       "the chain \"x\" is not a list"},
      {HEAD ONE
       "\"workloads\": {\"app0\": {\"calls\": {\"read\": {\"entry\": \"sched_switch\"}}}}}",
       "workloads.app0.calls.read.exit: an event is wanted"},
      {HEAD ONE "\"workloads\": {" READS "}, \"interrupts\": {\"t\": {\"every\": {\"9\": 5}}}}",
       "interrupts.t.every.9: \"9\" is no CPU from 0 to 2"},
      {HEAD ONE "\"workloads\": {" READS "}, \"interrupts\": {\"t\": {\"every\": {\"0\": -5}}}}",
       "interrupts.t.every.0: a time must be a number from 0"},
      {HEAD "\"threads\": {\"a\": {\"tid\": 0, \"comms\": [\"app0\"]}}, \"workloads\": {" READS
            "}}",
       "threads.a: an idle thread (tid 0) needs its \"cpu\""},
      {HEAD "\"threads\": {\"a\": {\"tid\": 5, \"comms\": [\"app0\"]}, \"b\": {\"tid\": 5, "
            "\"comms\": [\"app0\"]}}, \"workloads\": {" READS "}}",
       "threads.b: that \"tid\" is there twice"},
      {HEAD "\"threads\": {\"a\": {\"tid\": 5, \"comms\": [\"app0\"], \"at_first\": \"sh\"}}, "
            "\"workloads\": {" READS "}}",
       "threads.a: \"at_first\" is none of its \"comms\""},
      {"{\"format\": \"tracetwin rules 1\", " ONE "\"workloads\": {" READS
       "}, \"delays\": {\"sched_switch > nothing\": 5}}",
       "delays.sched_switch > nothing: the training dataset has no event \"nothing\""},
      {HEAD "\"threads\": {\"a\": {\"tid\": 100, \"comms\": [\"app0\"]}}, \"workloads\": {" READS
            "}, \"scheduler\": {\"next\": {\"0\": {\"a\": {\"c\": 1}}}}}",
       "scheduler.next.0.a: \"c\" is none of \"threads\""},
  };
  struct tt_dataset *dataset = toy_dataset(2000, 1);
  struct tt_generator *generator = NULL;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    tt_causes_clear();
    assert_int_equal(train_text(dataset, cases[i].text, &generator), TT_BAD_INPUT);
    assert_null(generator);
    if (!strstr(tt_cause(0), cases[i].message) || !strstr(tt_cause(0), "hand.json"))
      fail_msg("case %zu says: %s", i, tt_cause(0));
  }
  assert_int_equal(train(dataset, "/nowhere/rules.json", &generator), TT_BAD_INPUT);
  tt_dataset_close(dataset);
}

/* ---- learned rules ---- */

static void test_learned(void **state) {
  (void)state;
  enum { N = 60000 };
  struct tt_event *real = toy_events(N, 11);
  struct tt_dataset *dataset = toy_open(real, N, NULL);
  struct tt_generator *generator, *loaded, *given;
  assert_int_equal(train(dataset, NULL, &generator), TT_OK);
  struct twin twin = twin_generate(generator, N, 5);
  toy_check_threads(twin.events, N);

  /* shares of events, calls by those who make them, every call ends as what it began as */
  double p[TOY_EVENTS] = {0}, q[TOY_EVENTS] = {0};
  int open[TOY_THREADS];
  memset(open, 0xff, sizeof open);
  for (int i = 0; i < N; i++) {
    const struct tt_event *e = &twin.events[i];
    p[real[i].event] += 1.0 / N;
    q[e->event] += 1.0 / N;
    bool entry = e->event == TOY_ENTRY_READ || e->event == TOY_ENTRY_WRITE;
    if (entry) {
      assert_int_equal(e->event, e->tid < 103 ? TOY_ENTRY_READ : TOY_ENTRY_WRITE);
      open[e->tid - 100] = e->event;
    } else if (e->event == TOY_EXIT_READ || e->event == TOY_EXIT_WRITE) {
      assert_int_equal(open[e->tid - 100], e->event - 1);
      open[e->tid - 100] = -1;
    }
  }
  for (int i = 0; i < TOY_EVENTS; i++)
    assert_false(!(fabs(p[i] - q[i]) <= 0.1 * p[i] + 0.005));
  double time = (double)(twin.events[N - 1].ts - twin.events[0].ts),
         real_time = (double)(real[N - 1].ts - real[0].ts);
  printf("  %zu bytes of rules, time %.3f of the real\n",
         ((struct tt_rules_model *)generator)->size, time / real_time);
  assert_false(!(fabs(time / real_time - 1) <= 0.1));

  /* the same seed: the same; a shorter twin is the beginning of a longer one */
  struct twin again = twin_generate(generator, N, 5), other = twin_generate(generator, N, 6),
              shorter = twin_generate(generator, 777, 5);
  assert_true(twin_same(again.events, twin.events, N) &&
              twin_same(shorter.events, twin.events, 777));
  assert_false(twin_same(other.events, twin.events, N));

  /* saved and opened; and the file it learned, given as one that somebody wrote */
  char *path = fixture_path("model"), *file = tt_format("%s/rules.json", path);
  assert_int_equal(tt_generator_save(generator, path, false), TT_OK);
  assert_int_equal(tt_generator_load(path, &loaded), TT_OK);
  assert_string_equal(loaded->ops->name, "rules");
  assert_int_equal(train(dataset, file, &given), TT_OK);
  struct twin from_file = twin_generate(loaded, N, 5), from_rules = twin_generate(given, N, 5);
  assert_true(twin_same(from_file.events, twin.events, N) &&
              twin_same(from_rules.events, twin.events, N));

  tt_generator_free(loaded);
  tt_generator_free(given);
  tt_generator_free(generator);
  tt_free(from_rules.events);
  tt_free(from_file.events);
  tt_free(shorter.events);
  tt_free(other.events);
  tt_free(again.events);
  tt_free(twin.events);
  tt_free(file);
  tt_free(path);
  tt_dataset_close(dataset);
  tt_free(real);
}

/* Traces without switches, without threads, with interrupts that nest, with gaps: learned, and the
 * twins keep what can be kept. */
static void test_variants(void **state) {
  (void)state;
  enum { N = 6000 };
  for (int kind = 0; kind < 4; kind++) {
    struct tt_event *events = toy_events(N, 20);
    struct tt_dataset_meta meta;
    toy_meta(&meta);
    if (kind == 0) { /* the switch goes by another name */
      tt_free(meta.events.names[TOY_SWITCH]);
      meta.events.names[TOY_SWITCH] = tt_strdup("something_else");
    }
    for (size_t i = 0; kind == 1 && i < N; i++) {
      events[i].tid = TT_TID_NONE;
      events[i].comm = TT_COMM_NONE;
    }
    if (kind == 2) { /* every idle event is the exit of an interrupt's handler or of none */
      tt_free(meta.events.names[TOY_IDLE]);
      meta.events.names[TOY_IDLE] = tt_strdup("irq_handler_exit");
    }
    for (int i = 1; kind == 3 && i < 8; i++) {
      const struct tt_gap gap = {events[i * 700].ts + 1, events[i * 700 + 40].ts, 9, 0};
      tt_dataset_meta_add_gap(&meta, &gap);
    }
    struct tt_dataset *dataset = toy_open(events, N, &meta);
    struct tt_generator *generator;
    assert_int_equal(train(dataset, NULL, &generator), TT_OK);
    struct twin twin = twin_generate(generator, N, 3);
    if (kind == 3)
      toy_check_threads(twin.events, N);
    for (size_t k = 0; kind == 1 && k < N; k++)
      assert_true(twin.events[k].tid == TT_TID_NONE && twin.events[k].comm == TT_COMM_NONE);
    tt_free(twin.events);
    tt_generator_free(generator);
    tt_dataset_close(dataset);
    tt_dataset_meta_release(&meta);
    tt_free(events);
  }
}

/* Damaged rule files are refused with a cause, or still generate; never a crash. */
static void test_damaged(void **state) {
  (void)state;
  struct tt_dataset *dataset = toy_dataset(3000, 30);
  struct tt_generator *generator;
  assert_int_equal(train(dataset, NULL, &generator), TT_OK);
  char *path = fixture_path("model"), *file = tt_format("%s/rules.json", path), *data;
  size_t size;
  assert_int_equal(tt_generator_save(generator, path, false), TT_OK);
  tt_generator_free(generator);
  assert_int_equal(tt_read_file(file, &data, &size), TT_OK);
  int refused = 0, opened = 0;
  struct tt_rng rng;
  tt_rng_init(&rng, 77, 0);
  for (int i = 0; i < 300; i++) {
    char *damaged = tt_alloc(size + 1, 1);
    memcpy(damaged, data, size);
    size_t n = i < 5 ? (size_t)i * size / 5 : size, at = tt_rng_below(&rng, size);
    damaged[at] = i % 2 ? (char)('0' + tt_rng_below(&rng, 10))
                        : (char)(damaged[at] ^ 1 << tt_rng_below(&rng, 8));
    assert_int_equal(tt_write_file(file, damaged, n), TT_OK);
    tt_causes_clear();
    generator = NULL;
    enum tt_status status = tt_generator_load(path, &generator);
    if (status == TT_OK) {
      tt_free(twin_generate(generator, 500, 1).events);
      tt_generator_free(generator);
      opened++;
    } else {
      assert_int_equal(status, TT_BAD_INPUT);
      assert_true(tt_cause_count() > 0 && strstr(tt_cause(0), "rules.json"));
      assert_null(generator);
      refused++;
    }
    tt_free(damaged);
  }
  printf("  %d damaged rule files refused, %d opened\n", refused, opened);
  assert_true(refused > 60 && opened > 10);
  tt_free(data);
  tt_free(file);
  tt_free(path);
  tt_dataset_close(dataset);
}

static void test_memory_runs_out(void **state) {
  (void)state;
  struct tt_dataset *dataset = toy_dataset(2500, 31);
  struct tt_generator *generator = NULL;
  size_t failures = 0;
  for (size_t nth = 1; nth < 1000000; nth += 1 + nth / 10) {
    tt_alloc_fail_at(nth);
    enum tt_status status = train(dataset, NULL, &generator);
    tt_alloc_fail_at(0);
    if (status == TT_OK)
      break;
    assert_int_equal(status, TT_NO_MEMORY);
    assert_null(generator);
    failures++;
  }
  assert_true(failures > 30 && generator);
  printf("  %zu failed allocations\n", failures);
  tt_generator_free(generator);
  tt_dataset_close(dataset);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_distributions),   cmocka_unit_test(test_chains),
      cmocka_unit_test(test_hand_written),    cmocka_unit_test(test_bad_files),
      cmocka_unit_test(test_documented),      cmocka_unit_test(test_learned),
      cmocka_unit_test(test_variants),        cmocka_unit_test(test_damaged),
      cmocka_unit_test(test_memory_runs_out),
  };
  return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
