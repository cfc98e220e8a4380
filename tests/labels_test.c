/* Workload labels, and rare events made likelier: one model of two workloads that share CPUs,
 * thread numbers and one event, and that have nothing else in common. Workload `odd` has, in one of
 * forty rounds, a rare situation of three events. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "dataset/workloads.h"
#include "folder_fixture.h"
#include "generators/generator.h"
#include "jobs/boost.h"
#include "twin_fixture.h"

/* The first ones are those of odd, then both's, then those of even. */
#define EVENT_TABLE(X)                                                                             \
  X(round)                                                                                         \
  X(lead)                                                                                          \
  X(middle)                                                                                        \
  X(rare)                                                                                          \
  X(syscall_entry_read)                                                                            \
  X(syscall_exit_read)                                                                             \
  X(sched_switch)                                                                                  \
  X(syscall_entry_write)                                                                           \
  X(copy)                                                                                          \
  X(syscall_exit_write)
enum {
#define ENUM(name) EV_##name,
  EVENT_TABLE(ENUM)
#undef ENUM
      N_TYPES
};
static const char *const NAMES[] = {
#define NAME(name) #name,
    EVENT_TABLE(NAME)
#undef NAME
};
enum { CPUS = 2, ODD = 9000, EVEN = 6000, EVENTS = ODD + EVEN, RARITY = 40 };

static struct tt_dataset *both, *plain;

struct maker {
  struct tt_dataset_writer *writer;
  struct tt_rng rng;
  int64_t ts;
  int at[CPUS], thread[CPUS]; /* in its round */
};

/* What comes after `at` in a round. */
static int next_event(struct maker *m, bool odd, int at) {
  if (!odd)
    return at == EV_sched_switch || at < 0 ? EV_syscall_entry_write
           : at == EV_syscall_exit_write   ? EV_sched_switch
                                           : at + 1;
  if (at == EV_round && tt_rng_below(&m->rng, RARITY) > 0)
    return EV_syscall_entry_read;
  return at == EV_sched_switch || at < 0 ? EV_round : at + 1;
}

static int make_rows(struct maker *m, bool odd, size_t n) {
  for (int cpu = 0; cpu < CPUS; cpu++)
    m->at[cpu] = -1;
  for (size_t i = 0; i < n; i++) {
    const int cpu = (int)(i % CPUS);
    if (m->at[cpu] < 0 || m->at[cpu] == EV_sched_switch)
      m->thread[cpu] = (int)tt_rng_below(&m->rng, 2);
    const int type = m->at[cpu] = next_event(m, odd, m->at[cpu]);
    const bool returns = type == EV_syscall_exit_read || type == EV_syscall_exit_write;
    const struct tt_event e = {.ts = m->ts += 500 + (int64_t)tt_rng_below(&m->rng, 100),
                               .ret = returns ? (odd ? 7 : 9) : TT_RET_NONE,
                               .tid = 100 + 2 * cpu + m->thread[cpu],
                               .comm = odd ? 0 : 1,
                               .event = (uint16_t)type,
                               .cpu = (uint16_t)cpu};
    if (tt_dataset_writer_append(m->writer, &e, 1) != TT_OK)
      return -1;
  }
  return 0;
}

static void begin(struct maker *m, struct tt_dataset_meta *meta) {
  *m = (struct maker){.ts = 1000};
  tt_rng_init(&m->rng, 3, 1);
  tt_dataset_meta_init(meta);
  for (size_t i = 0; i < N_TYPES; i++)
    tt_names_add(&meta->events, NAMES[i]);
  tt_names_add(&meta->comms, "odd");
  tt_names_add(&meta->comms, "even");
}

/* Two thirds of odd, even, the rest of odd. */
static struct tt_dataset *make(const char *name, const char *odd, const char *even) {
  struct maker m;
  struct tt_dataset_meta meta;
  struct tt_dataset *dataset = NULL;
  char *path = tt_format("%s/%s", fixture_folder, name);
  begin(&m, &meta);
  const uint64_t first = ODD * 2 / 3;
  tt_dataset_meta_add_source(&meta, "a", "ctf-lttng", "", odd, 0, first);
  tt_dataset_meta_add_source(&meta, "b", "ctf-lttng", "", even, first, EVEN);
  tt_dataset_meta_add_source(&meta, "c", "ctf-lttng", "", odd, first + EVEN, ODD - first);
  int failed = tt_dataset_writer_begin(path, false, &m.writer) != TT_OK ||
               make_rows(&m, true, first) != 0 || make_rows(&m, false, EVEN) != 0 ||
               make_rows(&m, true, ODD - first) != 0 ||
               tt_dataset_writer_finish(m.writer, &meta) != TT_OK ||
               tt_dataset_open(path, &dataset) != TT_OK;
  tt_dataset_meta_release(&meta);
  tt_free(path);
  return failed ? NULL : dataset;
}

static int make_all(void **state) {
  if (fixture_begin(state) != 0)
    return -1;
  both = make("both", "odd", "even");
  plain = make("plain", "", "");
  return both && plain ? 0 : -1;
}

static int remove_all(void **state) {
  tt_dataset_close(both);
  tt_dataset_close(plain);
  return fixture_end(state);
}

/* ---- the rows ---- */

static void rows_have_labels(void **state) {
  (void)state;
  struct tt_workloads w;
  struct tt_row_set rows;
  assert_int_equal(tt_workloads_find(both, &w), TT_OK);
  assert_int_equal(w.labels.n, 2);
  assert_string_equal(w.labels.names[0], "odd");
  assert_int_equal(w.events[0], ODD);
  assert_int_equal(w.events[1], EVEN);
  assert_int_equal(w.n_ranges, 3);
  assert_int_equal(tt_workloads_at(&w, 0), 0);
  assert_int_equal(tt_workloads_at(&w, ODD * 2 / 3 - 1), 0);
  assert_int_equal(tt_workloads_at(&w, ODD * 2 / 3), 1);
  assert_int_equal(tt_workloads_at(&w, EVENTS - 1), 0);
  tt_workloads_release(&w);
  const struct tt_columns *c = tt_dataset_columns(both);
  const char *const labels[] = {"odd", "even", "none", NULL};
  const size_t wanted[] = {ODD, EVEN, 0, EVENTS};
  for (size_t k = 0; k < 4; k++) {
    size_t n = 0, at;
    assert_int_equal(tt_row_set_of(both, labels[k], &rows), TT_OK);
    for (uint64_t i = tt_row_set_first(&rows, &at); i != TT_ROW_NONE;
         i = tt_row_set_after(&rows, &at, i), n++)
      assert_true(!labels[k] || (c->comm[i] == 0) == (k == 0));
    assert_int_equal(n, wanted[k]);
    assert_int_equal(rows.events, n);
    tt_row_set_release(&rows);
  }
  assert_int_equal(tt_workloads_find(plain, &w), TT_OK);
  assert_int_equal(w.labels.n, 1);
  assert_int_equal(w.n_ranges, 1);
  tt_workloads_release(&w);
}

/* ---- the generators ---- */

static const struct tt_train_option SMALL[] = {{"width", "32"}, {"layers", "1"}, {"heads", "2"}};
static const char *const LEARNERS[] = {"markov", "ar", "masked"};
enum { N_LEARNERS = 3 };

static struct tt_train_config config_of(const char *name, const struct tt_dataset *train) {
  const bool counts = strcmp(name, "markov") == 0 || strcmp(name, "rules") == 0;
  return (struct tt_train_config){.train = train,
                                  .val = train,
                                  .context = counts ? 0 : 16,
                                  .stream = TT_STREAM_CPU,
                                  .steps = counts ? 0 : 25,
                                  .seed = 5,
                                  .options = counts ? NULL : SMALL,
                                  .n_options = counts ? 0 : 3};
}

static struct tt_generator *train(const char *name, const struct tt_dataset *dataset) {
  const struct tt_train_config config = config_of(name, dataset);
  struct tt_train_result result;
  struct tt_generator *generator = NULL;
  enum tt_status status = tt_generator_train(name, &config, &result, &generator);
  for (size_t i = 0; i < tt_cause_count(); i++)
    print_message("%s\n", tt_cause(i));
  assert_int_equal(status, TT_OK);
  if (strcmp(name, "rules") != 0)
    assert_true(result.val_loss >= 0 && result.val_loss < 10);
  return generator;
}

static struct twin generate(const struct tt_generator *generator, const char *label,
                            const float *boost, size_t n) {
  struct twin twin = {.events = tt_calloc(n, sizeof *twin.events), .capacity = n};
  const struct tt_generate_config config = {
      .events = n, .seed = 11, .label = label, .boost = boost};
  const struct tt_event_sink sink = {twin_keep, &twin};
  assert_int_equal(tt_generator_generate(generator, &config, &sink), TT_OK);
  assert_int_equal(twin.n, n);
  return twin;
}

/* All that a twin of one workload must keep. */
static void check_workload(const struct tt_event *events, size_t n, bool odd, bool stretches) {
  int last[CPUS] = {-1, -1};
  size_t strange = 0;
  for (size_t i = 0; i < n; i++) {
    const struct tt_event *e = &events[i];
    const int type = e->event, before = last[e->cpu];
    assert_true(odd ? type <= EV_sched_switch : type >= EV_sched_switch);
    assert_int_equal(e->comm, odd ? 0 : 1);
    assert_int_equal(e->tid / 2, (100 + 2 * e->cpu) / 2);
    const bool returns = type == EV_syscall_exit_read || type == EV_syscall_exit_write;
    assert_true(e->ret == (returns ? (odd ? 7 : 9) : TT_RET_NONE));
    if (before >= 0) {
      bool follows = before == EV_sched_switch ? type == (odd ? EV_round : EV_syscall_entry_write)
                     : before == EV_round      ? type == EV_lead || type == EV_syscall_entry_read
                     : before == EV_syscall_exit_write ? type == EV_sched_switch
                                                       : type == before + 1;
      strange += !follows;
    }
    last[e->cpu] = type;
    assert_true(i == 0 || e->ts >= events[i - 1].ts);
  }
  /* a twin of a network is made of stretches: one seam per CPU and stretch of 2048 or more */
  assert_true(strange <= (stretches ? CPUS * (n / 2000 + 1) : 0));
}

static void one_model_of_two_workloads(void **state) {
  (void)state;
  char *path = tt_format("%s/model", fixture_folder);
  for (size_t k = 0; k < N_LEARNERS; k++) {
    enum { N = 5000, OF_ODD = N * ODD / EVENTS };
    struct tt_generator *trained = train(LEARNERS[k], both), *generator;
    assert_int_equal(tt_generator_save(trained, path, true), TT_OK);
    tt_generator_free(trained);
    assert_int_equal(tt_generator_load(path, &generator), TT_OK);
    assert_int_equal(generator->labels.n, 2);
    assert_string_equal(generator->labels.names[1], "even");
    assert_int_equal(generator->label_events[0], ODD);
    const bool stretches = k > 0;
    struct twin odd = generate(generator, "odd", NULL, OF_ODD);
    struct twin even = generate(generator, "even", NULL, N - OF_ODD);
    struct twin mixed = generate(generator, NULL, NULL, N);
    check_workload(odd.events, odd.n, true, stretches);
    check_workload(even.events, even.n, false, stretches);
    /* without a label: both, in their shares, the second where the first ends in time */
    assert_true(twin_same(mixed.events, odd.events, OF_ODD));
    const int64_t shift = odd.events[OF_ODD - 1].ts - generator->begin_ns;
    for (size_t i = 0; i < even.n; i++)
      even.events[i].ts += shift;
    assert_true(twin_same(mixed.events + OF_ODD, even.events, even.n));
    struct tt_dataset_meta meta;
    assert_int_equal(tt_generator_meta(generator, path, NULL, N, 11, &meta), TT_OK);
    assert_int_equal(meta.n_sources, 2);
    assert_string_equal(meta.sources[0].label, "odd");
    assert_int_equal(meta.sources[1].first, OF_ODD);
    assert_int_equal(meta.sources[1].events, N - OF_ODD);
    tt_dataset_meta_release(&meta);
    assert_int_equal(tt_generator_meta(generator, path, "even", N, 11, &meta), TT_OK);
    assert_int_equal(meta.n_sources, 1);
    assert_string_equal(meta.sources[0].label, "even");
    tt_dataset_meta_release(&meta);
    /* a handful of events */
    for (size_t n = 1; n < 4; n++) {
      struct twin few = generate(generator, NULL, NULL, n);
      tt_free(few.events);
    }
    tt_free(odd.events);
    tt_free(even.events);
    tt_free(mixed.events);
    tt_generator_free(generator);
  }
  tt_free(path);
}

static enum tt_status ask_for(const struct tt_generator *generator, const char *label) {
  struct tt_event event;
  struct twin twin = {.events = &event, .capacity = 1};
  const struct tt_generate_config config = {.events = 1, .seed = 1, .label = label};
  const struct tt_event_sink sink = {twin_keep, &twin};
  tt_causes_clear();
  return tt_generator_generate(generator, &config, &sink);
}

static void unknown_labels_are_told(void **state) {
  (void)state;
  struct tt_generator *generator = train("markov", both);
  assert_int_equal(ask_for(generator, "neither"), TT_USAGE);
  assert_string_equal(tt_cause(0), "no workload 'neither': the model knows odd, even");
  tt_causes_clear();
  tt_generator_free(generator);
  generator = train("markov", plain);
  assert_int_equal(generator->labels.n, 0);
  assert_int_equal(ask_for(generator, "odd"), TT_USAGE);
  tt_causes_clear();
  tt_generator_free(generator);
  generator = train("rules", both);
  assert_int_equal(ask_for(generator, "odd"), TT_USAGE);
  tt_generator_free(generator);
  /* validation of something else */
  struct tt_train_config config = config_of("markov", both);
  struct tt_train_result result;
  config.val = plain;
  assert_int_equal(tt_generator_train("markov", &config, &result, &generator), TT_BAD_INPUT);
  tt_causes_clear();
}

/* One label for all is a workload by name, counted as if there were none. */
static void one_label_for_all(void **state) {
  (void)state;
  struct tt_dataset *single = make("single", "web", "web");
  assert_non_null(single);
  for (size_t k = 0; k < N_LEARNERS; k++) {
    struct tt_generator *a = train(LEARNERS[k], single), *b = train(LEARNERS[k], plain);
    assert_int_equal(a->labels.n, 1);
    struct twin one = generate(a, "web", NULL, 3000), two = generate(b, NULL, NULL, 3000);
    assert_true(twin_same(one.events, two.events, 3000));
    tt_free(one.events);
    tt_free(two.events);
    tt_generator_free(a);
    tt_generator_free(b);
  }
  tt_dataset_close(single);
}

/* A workload of a single event: nothing followed it, nobody was in a system call. */
static void a_workload_may_be_tiny(void **state) {
  (void)state;
  char *data = tt_format("%s/tiny", fixture_folder),
       *path = tt_format("%s/tiny.model", fixture_folder);
  struct maker m;
  struct tt_dataset_meta meta;
  struct tt_dataset *tiny;
  begin(&m, &meta);
  tt_dataset_meta_add_source(&meta, "a", "ctf-lttng", "", "odd", 0, 500);
  tt_dataset_meta_add_source(&meta, "b", "ctf-lttng", "", "even", 500, 1);
  assert_int_equal(tt_dataset_writer_begin(data, false, &m.writer), TT_OK);
  assert_int_equal(make_rows(&m, true, 500), 0);
  assert_int_equal(make_rows(&m, false, 1), 0);
  assert_int_equal(tt_dataset_writer_finish(m.writer, &meta), TT_OK);
  tt_dataset_meta_release(&meta);
  assert_int_equal(tt_dataset_open(data, &tiny), TT_OK);
  for (size_t k = 0; k < N_LEARNERS; k++) {
    struct tt_generator *trained = train(LEARNERS[k], tiny), *generator;
    assert_int_equal(tt_generator_save(trained, path, true), TT_OK);
    tt_generator_free(trained);
    assert_int_equal(tt_generator_load(path, &generator), TT_OK);
    struct twin twin = generate(generator, "even", NULL, 20);
    for (size_t i = 0; i < twin.n; i++)
      assert_int_equal(twin.events[i].event, EV_syscall_entry_write);
    tt_free(twin.events);
    tt_generator_free(generator);
  }
  tt_dataset_close(tiny);
  tt_free(data);
  tt_free(path);
}

static void damaged_models_are_told(void **state) {
  (void)state;
  static const char *const files[] = {"workload-0/model.safetensors",
                                      "workload-1/model.safetensors", "workload-1/prior/model.json",
                                      "model.json"};
  char *path = tt_format("%s/damaged", fixture_folder);
  struct tt_generator *generator = train("ar", both), *loaded = NULL;
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    char *name = tt_format("%s/%s", path, files[i]), *text;
    size_t size;
    assert_int_equal(tt_generator_save(generator, path, true), TT_OK);
    assert_int_equal(tt_read_file(name, &text, &size), TT_OK);
    assert_int_equal(tt_write_file(name, text, size / 2), TT_OK);
    assert_int_equal(tt_generator_load(path, &loaded), TT_BAD_INPUT);
    tt_free(text);
    tt_free(name);
  }
  /* labels that make no sense: none of these is there once, with events */
  static const char *const wrong[] = {"[\"odd\", 9000]", "[\"even\", 0]", "\"even\"",
                                      "[\"even\", 1, 2]"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    char *name = tt_format("%s/model.json", path);
    json_error_t error;
    assert_int_equal(tt_generator_save(generator, path, true), TT_OK);
    json_t *model = json_load_file(name, 0, &error);
    assert_non_null(model);
    json_array_set_new(json_object_get(model, "labels"), 1,
                       json_loads(wrong[i], JSON_DECODE_ANY, &error));
    assert_int_equal(json_dump_file(model, name, 0), 0);
    assert_int_equal(tt_generator_load(path, &loaded), TT_BAD_INPUT);
    json_decref(model);
    tt_free(name);
  }
  tt_causes_clear();
  tt_generator_free(generator);
  tt_free(path);
}

/* ---- the rare ---- */

static struct tt_boost boost_of(const struct tt_generator *generator, const char *amplify,
                                const char *label) {
  const struct tt_generate_options options = {.amplify = &amplify, .n_amplify = 1, .label = label};
  const struct tt_generate_config config = {.events = 1000, .label = label};
  struct tt_boost boost;
  assert_int_equal(tt_boost_parse(&options, generator, &boost), TT_OK);
  assert_int_equal(tt_boost_fit(&boost, generator, &config), TT_OK);
  return boost;
}

/* A share that is asked for is found by trial twins, and had. */
static void shares_are_found(const struct tt_generator *generator, size_t n) {
  const char *wish = "rare=0.02";
  const struct tt_generate_options options = {.min_shares = &wish, .n_min_shares = 1};
  struct tt_generate_config config = {.events = n, .seed = 11};
  struct tt_boost boost;
  assert_int_equal(tt_boost_parse(&options, generator, &boost), TT_OK);
  assert_int_equal(tt_boost_fit(&boost, generator, &config), TT_OK);
  struct twin twin = generate(generator, NULL, boost.factors, n);
  tt_boost_count(&boost, twin.events, n);
  assert_int_equal(tt_boost_satisfied(&boost, generator, n), TT_OK);
  assert_true(boost.wishes[0].factor > 2 && boost.wishes[0].factor < 20);
  tt_boost_release(&boost);
  tt_free(twin.events);
}

static size_t count(const struct twin *twin, int type) {
  size_t n = 0;
  for (size_t i = 0; i < twin->n; i++)
    n += twin->events[i].event == type;
  return n;
}

/* With the rare event what leads to it comes more often, everything stays possible, and a workload
 * that doesn't have it stays as it is. */
static void rare_situations_rise(void **state) {
  (void)state;
  enum { N = 24000 };
  for (size_t k = 0; k < N_LEARNERS; k++) {
    struct tt_generator *generator = train(LEARNERS[k], both);
    struct tt_boost boost = boost_of(generator, "rare=4", "odd");
    struct twin before = generate(generator, "odd", NULL, N);
    struct twin after = generate(generator, "odd", boost.factors, N);
    check_workload(after.events, after.n, true, k > 0);
    const double was = (double)count(&before, EV_rare), is = (double)count(&after, EV_rare);
    const double lead = (double)count(&after, EV_lead);
    print_message("%s: rare %.0f of %d, 4 times as likely %.0f, what leads to it %.0f\n",
                  LEARNERS[k], was, N, is, lead);
    assert_true(was > 50 && is / was > 2.5 && is / was < 5.5);
    assert_true(fabs(lead - is) < 0.02 * is + 30);
    tt_boost_release(&boost);
    tt_free(before.events);
    tt_free(after.events);
    /* the mixture: each part has factors of its own; of the other workload all are the same */
    boost = boost_of(generator, "rare=4", NULL);
    assert_int_equal(boost.n_parts, 2);
    for (int type = EV_sched_switch; type < N_TYPES; type++)
      assert_true(fabs((double)boost.factors[N_TYPES + type] - 1) < 1e-3);
    after = generate(generator, NULL, boost.factors, N);
    const size_t odd = (size_t)N * ODD / EVENTS;
    check_workload(after.events, odd, true, k > 0);
    check_workload(after.events + odd, N - odd, false, k > 0);
    assert_true((double)count(&after, EV_rare) > 2 * was * (double)odd / N);
    tt_boost_release(&boost);
    tt_free(after.events);
    shares_are_found(generator, N);
    tt_generator_free(generator);
  }
}

static void only_from_left_to_right(void **state) {
  (void)state;
  static const struct tt_train_option random[] = {
      {"width", "32"}, {"layers", "1"}, {"heads", "2"}, {"order", "random"}};
  struct tt_train_config config = config_of("masked", plain);
  struct tt_train_result result;
  struct tt_generator *generator;
  config.steps = 1;
  config.options = random;
  config.n_options = 4;
  assert_int_equal(tt_generator_train("masked", &config, &result, &generator), TT_OK);
  float factors[N_TYPES];
  for (size_t i = 0; i < N_TYPES; i++)
    factors[i] = 1;
  struct tt_event event;
  struct twin twin = {.events = &event, .capacity = 1};
  const struct tt_generate_config wanted = {.events = 1, .seed = 1, .boost = factors};
  const struct tt_event_sink sink = {twin_keep, &twin};
  assert_int_equal(tt_generator_generate(generator, &wanted, &sink), TT_USAGE);
  tt_causes_clear();
  tt_generator_free(generator);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rows_have_labels),        cmocka_unit_test(one_model_of_two_workloads),
      cmocka_unit_test(unknown_labels_are_told), cmocka_unit_test(one_label_for_all),
      cmocka_unit_test(a_workload_may_be_tiny),  cmocka_unit_test(damaged_models_are_told),
      cmocka_unit_test(rare_situations_rise),    cmocka_unit_test(only_from_left_to_right),
  };
  return cmocka_run_group_tests(tests, make_all, remove_all);
}
