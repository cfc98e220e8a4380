/* generators/ar: the network starts as the n-gram, the state is followed, and the whole generator
 * on a toy trace with a dependency longer than any n-gram. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/output.h"
#include "damage_fixture.h"
#include "generators/ar/ar.h"
#include "marker_trace.h"
#include "twin_fixture.h"

static const struct tt_train_option SMALL[] = {
    {"width", "32"}, {"layers", "2"}, {"heads", "2"}, {"prior", "1"}};
static const struct tt_train_option BARE[] = {
    {"width", "32"}, {"layers", "2"}, {"heads", "2"}, {"prior", "0"}};

static struct tt_train_config config_of(uint64_t steps, const struct tt_train_option *options) {
  return marker_config(steps, options, 4);
}

static struct tt_generator *train(const struct tt_train_config *config,
                                  struct tt_train_result *ret) {
  return marker_train("ar", config, ret);
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
  struct tt_system_source source = {0};
  assert_int_equal(tt_system_source_open(system, toy, &source), TT_OK);
  const struct tt_system_track track = source.track;
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
  tt_system_source_close(&source);
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
  const struct marker_figures figures = marker_measure(&c);
  print_message("loss %.3f, validation %.3f; legal %.4f, far dependency %.4f, ret of thread %.4f\n",
                result.loss, result.val_loss, figures.legal, figures.right, figures.rets);
  assert_true(figures.legal > 0.998); /* seams apart, always */
  assert_true(figures.right > 0.95);
  assert_true(figures.rets > 0.95);
  tt_free(c.events);
  /* An n-gram of five events guesses it. */
  config.options = NULL;
  config.n_options = 0;
  config.context = 0;
  config.steps = 0;
  assert_int_equal(tt_generator_train("markov", &config, &result, &counting), TT_OK);
  c = twin_generate(counting, N, 1);
  assert_true(marker_measure(&c).right < 0.6);
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
  const struct tt_train_config config = config_of(10, SMALL);
  marker_check_seeds("ar", &config);
}

static void few_and_many_events(void **state) {
  (void)state;
  const struct tt_train_config config = config_of(2, SMALL);
  marker_check_counts("ar", &config);
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

static void damaged_models_are_told(void **state) {
  (void)state;
  struct tt_train_result result;
  const struct tt_train_config config = config_of(1, SMALL);
  struct tt_generator *generator = train(&config, &result);
  damage_system(generator);
  tt_generator_free(generator);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(starts_as_the_prior),         cmocka_unit_test(state_is_followed),
      cmocka_unit_test(learns_what_counting_cannot), cmocka_unit_test(learns_without_a_prior),
      cmocka_unit_test(same_seed_same_events),       cmocka_unit_test(few_and_many_events),
      cmocka_unit_test(wrong_settings_are_told),     cmocka_unit_test(damaged_models_are_told),
  };
  return cmocka_run_group_tests_name("ar", tests, make_toy, toy_end);
}
