/* generators/ar: the network starts as the n-gram, the state is followed, and the whole generator
 * on a toy trace with a dependency longer than any n-gram. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/output.h"
#include "generators/ar/ar.h"
#include "twin_fixture.h"

/* ---- a toy trace: two CPUs, two threads on each and a cycle of ten events. The ninth tells which
 * of two the first was: eight events apart. ---- */
enum { N_CPUS = 2, CYCLE = 10, N_TYPES = 12, TOY_EVENTS = 16000 };
static const char *const TOY_NAMES[N_TYPES] = {
    "marker_a",      "marker_b",     "syscall_entry_read", "irq_handler_entry", "irq_handler_exit",
    "softirq_entry", "softirq_exit", "block_rq_issue",     "syscall_exit_read", "after_a",
    "after_b",       "sched_switch"};
enum { MARKER, ENTRY = 2, EXIT = 8, AFTER = 9, SWITCH = 11 };
static char folder[] = "/tmp/tt-ar-XXXXXX";
static struct tt_dataset *toy;

static int32_t tid_of(int cpu, int thread) {
  return 100 + 2 * cpu + thread;
}

static int make_toy(void **state) {
  (void)state;
  if (!mkdtemp(folder))
    return -1;
  char *path = tt_format("%s/toy", folder);
  struct tt_dataset_writer *writer;
  struct tt_dataset_meta meta;
  struct tt_rng rng;
  tt_rng_init(&rng, 1, 1);
  tt_dataset_meta_init(&meta);
  for (size_t i = 0; i < N_TYPES; i++)
    tt_names_add(&meta.events, TOY_NAMES[i]);
  for (int i = 0; i < 2 * N_CPUS; i++)
    tt_names_add(&meta.comms, (const char *[]){"a", "b", "c", "d"}[i]);
  int failed = tt_dataset_writer_begin(path, false, &writer) != TT_OK;
  int marker[N_CPUS] = {0}, thread[N_CPUS] = {0};
  for (int64_t i = 0; i < TOY_EVENTS && !failed; i++) {
    const int cpu = (int)(i % N_CPUS), phase = (int)(i / N_CPUS % CYCLE);
    if (phase == 0) {
      marker[cpu] = (int)tt_rng_below(&rng, 2);
      thread[cpu] = (int)tt_rng_below(&rng, 2);
    }
    const int type = phase == 0   ? MARKER + marker[cpu]
                     : phase == 8 ? AFTER + marker[cpu]
                     : phase == 9 ? SWITCH
                                  : phase + 1;
    struct tt_event e = {.ts = 1000 * i + (type == EXIT ? 400 : 0) + (int64_t)tt_rng_below(&rng, 9),
                         .ret = type == EXIT ? 10 * tid_of(cpu, thread[cpu]) : TT_RET_NONE,
                         .tid = tid_of(cpu, thread[cpu]),
                         .comm = (uint32_t)(2 * cpu + thread[cpu]),
                         .event = (uint16_t)type,
                         .cpu = (uint16_t)cpu};
    failed = tt_dataset_writer_append(writer, &e, 1) != TT_OK;
  }
  failed = failed || tt_dataset_writer_finish(writer, &meta) != TT_OK ||
           tt_dataset_open(path, &toy) != TT_OK;
  tt_dataset_meta_release(&meta);
  tt_free(path);
  return failed ? -1 : 0;
}

static int remove_toy(void **state) {
  (void)state;
  tt_dataset_close(toy);
  return tt_remove_tree(folder) == TT_OK ? 0 : -1;
}

static const struct tt_train_option SMALL[] = {
    {"width", "32"}, {"layers", "2"}, {"heads", "2"}, {"prior", "1"}};
static const struct tt_train_option BARE[] = {
    {"width", "32"}, {"layers", "2"}, {"heads", "2"}, {"prior", "0"}};

static struct tt_train_config config_of(uint64_t steps, const struct tt_train_option *options) {
  return (struct tt_train_config){.train = toy,
                                  .val = toy,
                                  .context = 32,
                                  .stream = TT_STREAM_CPU,
                                  .steps = steps,
                                  .seed = 5,
                                  .options = options,
                                  .n_options = 4};
}

static struct tt_generator *train(const struct tt_train_config *config,
                                  struct tt_train_result *ret) {
  struct tt_generator *generator = NULL;
  enum tt_status status = tt_generator_train("ar", config, ret, &generator);
  for (size_t i = 0; i < tt_cause_count(); i++)
    print_message("%s\n", tt_cause(i));
  assert_int_equal(status, TT_OK);
  return generator;
}

/* ---- the network ---- */

/* All heads are zero at first and the gates one: the loss is the prior's. */
static void starts_as_the_prior(void **state) {
  (void)state;
  enum { ROWS = 24, EVENTS = 7, RETS = 5 };
  struct tt_ar_network net = {
      .width = 32, .layers = 2, .heads = 2, .window = 8, .n_events = EVENTS, .n_rets = RETS};
  for (size_t k = 0; k < TT_SYSTEM_INPUTS; k++)
    net.sizes[k] = 9;
  assert_int_equal(tt_ar_network_init(&net, 3), TT_OK);
  static int32_t ids[ROWS * TT_SYSTEM_INPUTS], events[ROWS], rets[ROWS], delays[ROWS];
  static float priors[3][ROWS * TT_DELAY_BINS];
  const size_t classes[3] = {EVENTS, RETS, TT_DELAY_BINS};
  int32_t *targets[3] = {events, rets, delays};
  double want[3] = {0, 0, 0}, got[3];
  struct tt_rng rng;
  tt_rng_init(&rng, 1, 2);
  for (size_t i = 0; i < ROWS * TT_SYSTEM_INPUTS; i++)
    ids[i] = (int32_t)tt_rng_below(&rng, 10) - 1;
  for (size_t i = 0; i < ROWS; i++)
    for (size_t head = 0; head < 3; head++) {
      float *prior = priors[head] + i * classes[head];
      double sum = 0;
      for (size_t v = 0; v < classes[head]; v++)
        sum += (double)(prior[v] = 0.01f + (float)tt_rng_uniform(&rng));
      for (size_t v = 0; v < classes[head]; v++)
        prior[v] = (float)log((double)prior[v] / sum);
      targets[head][i] = head == 1 && i % 3 ? -1 : (int32_t)tt_rng_below(&rng, classes[head]);
      if (targets[head][i] >= 0)
        want[head] -= (double)prior[targets[head][i]] / ROWS;
    }
  const struct tt_ar_batch batch = {.windows = 2,
                                    .length = ROWS / 2,
                                    .ids = ids,
                                    .events = events,
                                    .rets = rets,
                                    .delays = delays,
                                    .event_prior = priors[0],
                                    .ret_prior = priors[1],
                                    .delay_prior = priors[2]};
  struct tt_compute *c;
  assert_int_equal(tt_compute_create(TT_PRECISION_F32, 1, &c), TT_OK);
  tt_compute_begin(c, false, 0);
  tt_ar_network_loss(c, &net, &batch, got);
  for (size_t head = 0; head < 3; head++)
    assert_true(fabs(got[head] - want[head]) < 1e-4);
  tt_compute_free(c);
  tt_ar_network_release(&net);
}

/* ---- state ---- */

static void state_is_followed(void **state) {
  (void)state;
  struct tt_train_result result;
  const struct tt_train_config config = config_of(1, SMALL);
  struct tt_generator *generator = train(&config, &result);
  const struct tt_system *system = &((const struct tt_ar *)generator)->system;
  struct tt_system_track track;
  assert_int_equal(tt_system_track_make(system, toy, &track), TT_OK);
  const struct tt_columns *c = tt_dataset_columns(toy);
  const size_t first = 400; /* every thread has left a system call by then */
  for (size_t i = first; i < c->n; i++) {
    const size_t phase = i / N_CPUS % CYCLE;
    bool inside = phase > 1 && phase <= 7; /* after the entry, until the exit */
    assert_int_equal(track.call[i], inside ? ENTRY : TT_MARKOV_NO_CALL);
    assert_int_equal(track.other[i], c->event[i - 1]); /* CPUs take turns */
    assert_int_equal(track.busy[i], 1);
    assert_int_equal(tt_system_markov(system)->cast.threads[track.thread[i]].tid, c->tid[i]);
  }
  tt_system_track_release(&track);
  tt_generator_free(generator);
}

/* ---- the whole ---- */

static void learns_what_counting_cannot(void **state) {
  (void)state;
  struct tt_train_result result;
  struct tt_train_config config = config_of(300, SMALL);
  struct tt_generator *generator = train(&config, &result), *counting;
  enum { N = 9000 };
  struct twin c = twin_generate(generator, N, 1);
  int last[N_CPUS] = {-1, -1}, marker[N_CPUS] = {-1, -1};
  double right = 0, told = 0, legal = 0, pairs = 0, rets = 0, exits = 0;
  for (size_t i = 0; i < c.n; i++) {
    const struct tt_event *e = &c.events[i];
    const int cpu = e->cpu, type = e->event;
    assert_true(cpu < N_CPUS && type < N_TYPES);
    assert_true(e->tid / 2 == tid_of(cpu, 0) / 2); /* threads stay on their CPU */
    assert_int_equal(e->comm, e->tid - 100);
    if (last[cpu] >= 0) {
      const int at = last[cpu] == MARKER + 1 ? MARKER : last[cpu] == AFTER + 1 ? AFTER : last[cpu];
      bool follows = at == MARKER   ? type == ENTRY
                     : at == SWITCH ? type <= MARKER + 1
                     : at == EXIT   ? type == AFTER || type == AFTER + 1
                     : at == AFTER  ? type == SWITCH
                                    : type == at + 1;
      legal += follows;
      pairs++;
    }
    if (type <= MARKER + 1)
      marker[cpu] = type;
    if ((type == AFTER || type == AFTER + 1) && marker[cpu] >= 0) {
      right += type - AFTER == marker[cpu];
      told++;
    }
    assert_int_equal(e->ret != TT_RET_NONE, type == EXIT);
    if (type == EXIT) {
      rets += e->ret == 10 * e->tid;
      exits++;
    }
    last[cpu] = type;
  }
  print_message("loss %.3f, validation %.3f; legal %.4f, far dependency %.4f, ret of thread %.4f\n",
                result.loss, result.val_loss, legal / pairs, right / told, rets / exits);
  assert_true(legal / pairs > 0.998); /* seams apart, always */
  assert_true(right / told > 0.95);
  assert_true(rets / exits > 0.95);
  tt_free(c.events);
  /* An n-gram of five events guesses it. */
  config.options = NULL;
  config.n_options = 0;
  config.context = 0;
  config.steps = 0;
  assert_int_equal(tt_generator_train("markov", &config, &result, &counting), TT_OK);
  c = twin_generate(counting, N, 1);
  right = told = 0;
  for (size_t i = 0; i < c.n; i++) {
    const struct tt_event *e = &c.events[i];
    if (e->event <= MARKER + 1)
      marker[e->cpu] = e->event;
    if (e->event == AFTER || e->event == AFTER + 1) {
      right += e->event - AFTER == marker[e->cpu];
      told++;
    }
  }
  assert_true(right / told < 0.6);
  tt_free(c.events);
  tt_generator_free(counting);
  tt_generator_free(generator);
}

static void learns_without_a_prior(void **state) {
  (void)state;
  struct tt_train_result with, without;
  struct tt_train_config config = config_of(20, SMALL);
  tt_generator_free(train(&config, &with));
  config.options = BARE;
  tt_generator_free(train(&config, &without));
  print_message("after 20 steps: %.3f with the prior, %.3f without\n", with.val_loss,
                without.val_loss);
  assert_true(with.val_loss < without.val_loss - 0.5);
}

static void same_seed_same_events(void **state) {
  (void)state;
  struct tt_train_result result;
  const struct tt_train_config config = config_of(10, SMALL);
  struct tt_generator *a = train(&config, &result), *b = train(&config, &result), *loaded;
  char *path = tt_format("%s/model", folder);
  assert_int_equal(tt_generator_save(a, path, false), TT_OK);
  assert_int_equal(tt_generator_load(path, &loaded), TT_OK);
  enum { N = 5000 };
  struct twin one = twin_generate(a, N, 7), two = twin_generate(b, N, 7);
  struct twin three = twin_generate(loaded, N, 7), other = twin_generate(a, N, 8);
  assert_true(twin_same(one.events, two.events, N) && twin_same(one.events, three.events, N) &&
              !twin_same(one.events, other.events, N));
  tt_free(one.events);
  tt_free(two.events);
  tt_free(three.events);
  tt_free(other.events);
  tt_free(path);
  tt_generator_free(a);
  tt_generator_free(b);
  tt_generator_free(loaded);
}

static void few_and_many_events(void **state) {
  (void)state;
  struct tt_train_result result;
  const struct tt_train_config config = config_of(2, SMALL);
  struct tt_generator *generator = train(&config, &result);
  static const uint64_t counts[] = {1, 2, 77, 4097};
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
    struct twin c = twin_generate(generator, counts[i], 1);
    tt_free(c.events);
  }
  tt_generator_free(generator);
}

static void wrong_settings_are_told(void **state) {
  (void)state;
  struct tt_train_result result;
  struct tt_generator *generator = NULL;
  static const struct tt_train_option wrong[] = {{"heads", "5"}, {"prior", "2"}, {"width", "x"}};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    struct tt_train_config config = config_of(1, &wrong[i]);
    config.n_options = 1;
    assert_int_equal(tt_generator_train("ar", &config, &result, &generator), TT_USAGE);
  }
  struct tt_train_config config = config_of(1, SMALL);
  config.stream = TT_STREAM_MERGED;
  assert_int_equal(tt_generator_train("ar", &config, &result, &generator), TT_USAGE);
  config = config_of(1, SMALL);
  config.channels = TT_CHANNEL_BIT(event);
  assert_int_equal(tt_generator_train("ar", &config, &result, &generator), TT_USAGE);
  config = config_of(1, SMALL);
  config.context = 4;
  assert_int_equal(tt_generator_train("ar", &config, &result, &generator), TT_USAGE);
  tt_causes_clear();
}

/* Every file of the model cut short, and numbers out of range. */
static void damaged_models_are_told(void **state) {
  (void)state;
  struct tt_train_result result;
  const struct tt_train_config config = config_of(1, SMALL);
  struct tt_generator *generator = train(&config, &result), *loaded = NULL;
  char *path = tt_format("%s/damaged", folder);
  static const char *const files[] = {"model.safetensors", "model.json", "prior/model.json",
                                      "prior/model.safetensors"};
  for (size_t i = 0; i < sizeof files / sizeof *files; i++)
    for (int cut = 0; cut < 3; cut++) {
      assert_int_equal(tt_generator_save(generator, path, true), TT_OK);
      char *name = tt_format("%s/%s", path, files[i]);
      FILE *file = fopen(name, "r+b");
      assert_non_null(file);
      fseek(file, 0, SEEK_END);
      long size = ftell(file);
      assert_int_equal(ftruncate(fileno(file), size * cut / 3), 0);
      fclose(file);
      assert_int_equal(tt_generator_load(path, &loaded), TT_BAD_INPUT);
      assert_true(tt_cause_count() > 0);
      tt_causes_clear();
      tt_free(name);
    }
  tt_free(path);
  tt_generator_free(generator);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(starts_as_the_prior),         cmocka_unit_test(state_is_followed),
      cmocka_unit_test(learns_what_counting_cannot), cmocka_unit_test(learns_without_a_prior),
      cmocka_unit_test(same_seed_same_events),       cmocka_unit_test(few_and_many_events),
      cmocka_unit_test(wrong_settings_are_told),     cmocka_unit_test(damaged_models_are_told),
  };
  return cmocka_run_group_tests_name("ar", tests, make_toy, remove_toy);
}
