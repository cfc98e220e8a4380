/* generators/ddpm: schedule, dt bins, and the whole generator on a toy trace. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/output.h"
#include "generators/ddpm/schedule.h"
#include "generators/delay_bins.h"
#include "generators/generator.h"
#include "twin_fixture.h"

static void schedule_is_linear_beta(void **state) {
  (void)state;
  struct tt_schedule s;
  tt_schedule_linear(&s);
  assert_true(s.abar[0] == 1);
  assert_true(fabs(s.abar[1] - (1 - 1e-4)) < 1e-12);
  for (size_t t = 2; t <= TT_DDPM_STEPS; t++) {
    double beta = 1 - s.abar[t] / s.abar[t - 1];
    assert_true(fabs(beta - (1e-4 + (0.02 - 1e-4) * (double)(t - 1) / 999)) < 1e-9);
  }
  /* the known end of this schedule: abar_T = 4.04e-5 (Ho et al. 2020, "about 1e-5" bits) */
  assert_true(fabs(s.abar[TT_DDPM_STEPS] - 4.036e-5) < 1e-7);
}

/* With the true h0 both ways back must keep the marginal: x_s = sqrt(abar_s) h0 + noise of variance
 * 1 - abar_s. Writing x_t = sqrt(abar_t) h0 + sqrt(1 - abar_t) e, the coefficient of h0 must be
 * sqrt(abar_s) and the variance of the rest 1 - abar_s. */
static void ways_back_keep_the_marginal(void **state) {
  (void)state;
  struct tt_schedule s;
  tt_schedule_linear(&s);
  static const size_t pairs[][2] = {{1000, 999}, {1000, 500}, {500, 250}, {20, 1}, {7, 0}};
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
    for (int kind = 0; kind < 2; kind++) {
      size_t t = pairs[i][0], to = pairs[i][1];
      struct tt_schedule_back b = kind ? tt_schedule_ddpm(&s, t, to) : tt_schedule_ddim(&s, t, to);
      double at = s.abar[t], as = s.abar[to], x = (double)b.from_x, f = (double)b.fresh;
      double mean = (double)b.from_h0 + x * sqrt(at);
      double variance = x * x * (1 - at) + f * f;
      assert_true(fabs(mean - sqrt(as)) < 1e-5);
      assert_true(fabs(variance - (1 - as)) < 1e-5);
      assert_true(kind || b.fresh == 0);
    }
}

static void delay_bins_reproduce_a_distribution(void **state) {
  (void)state;
  enum { N = 20000 };
  static float values[N], drawn[N];
  struct tt_rng rng;
  tt_rng_init(&rng, 3, 0);
  for (size_t i = 0; i < N; i++) /* two peaks, one of equal values */
    values[i] = i % 3 == 0 ? 1.5f : (float)tt_rng_normal(&rng) - 2;
  struct tt_delay_bins bins;
  tt_delay_bins_learn(values, N, &bins);
  double sum = 0, want = 0, equal = 0;
  for (size_t i = 0; i < N; i++) {
    drawn[i] = tt_delay_bins_draw(&bins, tt_delay_bins_of(&bins, values[i]), &rng);
    sum += (double)drawn[i];
    want += (double)values[i];
    equal += drawn[i] == 1.5f;
  }
  assert_true(fabs(sum - want) / N < 0.02);
  assert_true(fabs(equal / N - 1.0 / 3) < 0.03);
  assert_int_equal(tt_delay_bins_of(&bins, -1e30f), 0);
  assert_int_equal(tt_delay_bins_of(&bins, 1e30f), TT_DELAY_BINS - 1);
}

/* ---- the generator on a toy trace: two CPUs, each a cycle of six events ---- */
enum { CYCLE = 6, TOY_EVENTS = 12000 };
static const char *const TOY_NAMES[CYCLE] = {"syscall_entry_read", "block_rq_issue",
                                             "sched_switch",       "irq_handler_entry",
                                             "irq_handler_exit",   "syscall_exit_read"};
static char folder[] = "/tmp/tt-ddpm-XXXXXX";
static struct tt_dataset *toy;

static int make_toy(void **state) {
  (void)state;
  if (!mkdtemp(folder))
    return -1;
  char *path = tt_format("%s/toy", folder);
  struct tt_dataset_writer *writer;
  struct tt_dataset_meta meta;
  tt_dataset_meta_init(&meta);
  for (size_t i = 0; i < CYCLE; i++)
    tt_names_add(&meta.events, TOY_NAMES[i]);
  tt_names_add(&meta.comms, "a");
  tt_names_add(&meta.comms, "b");
  int failed = tt_dataset_writer_begin(path, false, &writer) != TT_OK;
  for (int64_t i = 0; i < TOY_EVENTS && !failed; i++) {
    int cpu = (int)(i & 1), phase = (int)(i / 2 % CYCLE);
    struct tt_event e = {.ts = 1000 * i + (phase == 2 ? 400 : 0),
                         .ret = phase == 5 ? 4096 * cpu : TT_RET_NONE,
                         .tid = 100 + cpu,
                         .comm = (uint32_t)cpu,
                         .event = (uint16_t)phase,
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
    {"width", "32"}, {"layers", "2"}, {"heads", "2"}, {"steps", "16"}, {"fresh", "16"}};

static struct tt_generator *train(uint64_t steps, enum tt_stream_kind stream, size_t context,
                                  const char *checkpoint, bool resume,
                                  struct tt_train_result *ret) {
  const struct tt_train_config config = {.train = toy,
                                         .val = toy,
                                         .context = context,
                                         .stream = stream,
                                         .steps = steps,
                                         .seed = 5,
                                         .checkpoint = checkpoint,
                                         .resume = resume,
                                         .options = SMALL,
                                         .n_options = sizeof SMALL / sizeof *SMALL};
  struct tt_generator *generator = NULL;
  enum tt_status status = tt_generator_train("ddpm", &config, ret, &generator);
  for (size_t i = 0; i < tt_cause_count(); i++)
    print_message("%s\n", tt_cause(i));
  assert_int_equal(status, TT_OK);
  return generator;
}

/* Share of neighbours on one CPU that follow the cycle. */
static double legal_share(const struct twin *c) {
  int last[2] = {-1, -1};
  double legal = 0, pairs = 0;
  for (size_t i = 0; i < c->n; i++) {
    const struct tt_event *e = &c->events[i];
    assert_true(e->cpu < 2 && e->event < CYCLE);
    if (last[e->cpu] >= 0) {
      legal += e->event == (last[e->cpu] + 1) % CYCLE;
      pairs++;
    }
    last[e->cpu] = e->event;
  }
  return legal / pairs;
}

static void learns_a_cycle(void **state) {
  (void)state;
  struct tt_train_result result;
  struct tt_generator *generator = train(400, TT_STREAM_CPU, 64, NULL, false, &result);
  struct twin c = twin_generate(generator, 6000, 1);
  double legal = legal_share(&c);
  print_message("loss %.3f, validation %.3f, legal %.4f\n", result.loss, result.val_loss, legal);
  assert_true(legal > 0.97);
  assert_true(result.val_loss < 2.5);
  tt_free(c.events);
  tt_generator_free(generator);
}

static void same_seed_same_events(void **state) {
  (void)state;
  struct tt_train_result result;
  struct tt_generator *a = train(12, TT_STREAM_MERGED, 64, NULL, false, &result);
  struct tt_generator *b = train(12, TT_STREAM_MERGED, 64, NULL, false, &result);
  char *path = tt_format("%s/model", folder);
  struct tt_generator *loaded;
  assert_int_equal(tt_generator_save(a, path, false), TT_OK);
  assert_int_equal(tt_generator_load(path, &loaded), TT_OK);
  struct twin one = twin_generate(a, 500, 7), two = twin_generate(b, 500, 7);
  struct twin three = twin_generate(loaded, 500, 7), other = twin_generate(a, 500, 8);
  assert_memory_equal(one.events, two.events, 500 * sizeof *one.events);
  assert_memory_equal(one.events, three.events, 500 * sizeof *one.events);
  assert_memory_not_equal(one.events, other.events, 500 * sizeof *one.events);
  tt_free(one.events);
  tt_free(two.events);
  tt_free(three.events);
  tt_free(other.events);
  tt_free(path);
  tt_generator_free(a);
  tt_generator_free(b);
  tt_generator_free(loaded);
}

/* Stops the training at its `stop`-th report. */
static void stop_training(void *user, const struct tt_progress_report *progress) {
  (void)progress;
  int *left = user;
  if (--*left == 0)
    tt_interrupt();
}

static void resumed_training_is_the_same(void **state) {
  (void)state;
  struct tt_train_result result;
  char *checkpoint = tt_format("%s/checkpoint", folder);
  struct tt_generator *whole = train(40, TT_STREAM_CPU, 64, NULL, false, &result), *part = NULL;
  int left = 1;
  const struct tt_progress progress = {stop_training, &left};
  const struct tt_train_config config = {.train = toy,
                                         .context = 64,
                                         .stream = TT_STREAM_CPU,
                                         .steps = 40,
                                         .seed = 5,
                                         .checkpoint = checkpoint,
                                         .progress = &progress,
                                         .options = SMALL,
                                         .n_options = sizeof SMALL / sizeof *SMALL};
  assert_int_equal(tt_generator_train("ddpm", &config, &result, &part), TT_INTERRUPTED);
  tt_interrupt_reset();
  tt_causes_clear();
  struct tt_generator *resumed = train(40, TT_STREAM_CPU, 64, checkpoint, true, &result);
  struct twin one = twin_generate(whole, 400, 7), two = twin_generate(resumed, 400, 7);
  assert_memory_equal(one.events, two.events, 400 * sizeof *one.events);
  tt_free(one.events);
  tt_free(two.events);
  tt_free(checkpoint);
  tt_generator_free(whole);
  tt_generator_free(resumed);
}

static void long_contexts_work(void **state) {
  (void)state;
  struct tt_train_result result;
  struct tt_generator *generator = train(2, TT_STREAM_MERGED, 4096, NULL, false, &result);
  tt_generator_free(generator);
}

static void wrong_settings_are_told(void **state) {
  (void)state;
  static const struct tt_train_option wrong[] = {{"heads", "5"},    {"predict", "y"},
                                                 {"sampler", "x"},  {"lambda", "-1"},
                                                 {"fresh", "4000"}, {"nothing", "1"}};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    const struct tt_train_config config = {
        .train = toy, .steps = 1, .seed = 1, .options = &wrong[i], .n_options = 1};
    struct tt_train_result result;
    struct tt_generator *generator = NULL;
    tt_causes_clear();
    assert_int_equal(tt_generator_train("ddpm", &config, &result, &generator), TT_USAGE);
    assert_null(generator);
    assert_true(tt_cause_count() > 0);
  }
  tt_causes_clear();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(schedule_is_linear_beta),
      cmocka_unit_test(ways_back_keep_the_marginal),
      cmocka_unit_test(delay_bins_reproduce_a_distribution),
      cmocka_unit_test(learns_a_cycle),
      cmocka_unit_test(same_seed_same_events),
      cmocka_unit_test(resumed_training_is_the_same),
      cmocka_unit_test(long_contexts_work),
      cmocka_unit_test(wrong_settings_are_told),
  };
  return cmocka_run_group_tests_name("ddpm", tests, make_toy, remove_toy);
}
