/* generators/gan: action values against enumeration, the policy gradient against the exact one,
 * importance weights, and both GANs on a toy trace. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "compute/optimizer.h"
#include "damage_fixture.h"
#include "dataset_fixture.h"
#include "generators/gan/gan.h"
#include "generators/gan/reward.h"
#include "toy_trace.h"
#include "twin_fixture.h"

/* ---- a policy over a toy alphabet, and a judge that never changes ---- */
struct toy_policy {
  struct tt_gan_policy policy;
  struct tt_compute *compute;
};

/* Parameters far from zero, so that every context matters. */
static void toy_policy_open(struct toy_policy *toy, size_t n_events, size_t n_streams) {
  struct tt_rng rng;
  tt_rng_init(&rng, 8, n_events);
  toy->policy = (struct tt_gan_policy){.n_events = n_events, .n_streams = n_streams, .width = 16};
  assert_int_equal(tt_gan_policy_init(&toy->policy, 3), TT_OK);
  for (size_t k = 0; k < toy->policy.params.n; k++) {
    struct tt_param *p = toy->policy.params.list[k];
    for (size_t i = 0; i < p->rows * p->cols; i++)
      p->data[i] = 0.7f * (float)tt_rng_normal(&rng);
  }
  tt_params_refresh(&toy->policy.params);
  assert_int_equal(tt_compute_create(TT_PRECISION_F32, 1, &toy->compute), TT_OK);
}

static void toy_policy_close(struct toy_policy *toy) {
  tt_gan_policy_release(&toy->policy);
  tt_compute_free(toy->compute);
}

/* Some function of the whole sequence, within [0, 1]. */
static void judge(void *user, const int32_t *sequences, size_t n, size_t length, float *ret) {
  (void)user;
  for (size_t i = 0; i < n; i++) {
    uint64_t key = 1;
    for (size_t t = 0; t < length; t++)
      key = key * 31 + (uint64_t)sequences[i * length + t];
    ret[i] = (float)(tt_mix(key) % 1000) / 999;
  }
}

enum { MOST_LENGTH = 8 };

/* P(events[first..]) summed with the judge's score over all ways to go on from `first`; the events
 * before are put in from the start. */
static double expectation(const struct toy_policy *toy, const int32_t *events, size_t first,
                          size_t length) {
  const size_t n = toy->policy.n_events;
  int32_t sequence[MOST_LENGTH], inputs[MOST_LENGTH];
  float score, probabilities[MOST_LENGTH];
  memcpy(sequence, events, first * sizeof *events);
  if (first == length) {
    judge(NULL, sequence, 1, length, &score);
    return (double)score;
  }
  struct tt_lstm_state state;
  assert_int_equal(tt_lstm_state_create(1, 16, &state), TT_OK);
  inputs[0] = tt_gan_start(&toy->policy);
  memcpy(inputs + 1, events, first * sizeof *events);
  tt_gan_policy_read(toy->compute, &toy->policy, inputs, NULL, first, &state);
  const float *row = tt_gan_policy_step(toy->compute, &toy->policy, inputs + first, NULL, &state);
  double sum = 0, all = 0;
  for (size_t e = 0; e < n; e++)
    all += (double)(probabilities[e] = row[e]);
  for (size_t e = 0; e < n; e++) {
    sequence[first] = (int32_t)e;
    sum += (double)probabilities[e] / all * expectation(toy, sequence, first + 1, length);
  }
  tt_lstm_state_release(&state);
  return sum;
}

/* P of a whole sequence. */
static double probability(const struct toy_policy *toy, const int32_t *events, size_t length) {
  struct tt_lstm_state state;
  double p = 1;
  assert_int_equal(tt_lstm_state_create(1, 16, &state), TT_OK);
  for (size_t t = 0; t < length; t++) {
    const int32_t input = t ? events[t - 1] : tt_gan_start(&toy->policy);
    const float *row = tt_gan_policy_step(toy->compute, &toy->policy, &input, NULL, &state);
    double all = 0;
    for (size_t e = 0; e < toy->policy.n_events; e++)
      all += (double)row[e];
    p *= (double)row[events[t]] / all;
  }
  tt_lstm_state_release(&state);
  return p;
}

static void action_values_are_expectations(void **state) {
  (void)state;
  enum { N = 6000, BATCH = 2, LENGTH = 5 };
  struct toy_policy toy;
  struct tt_gan_play play;
  const struct tt_gan_judge fixed = {judge, NULL};
  static const int32_t events[BATCH * LENGTH] = {0, 2, 1, 1, 0, 2, 2, 0, 1, 2};
  float rewards[BATCH * LENGTH];
  toy_policy_open(&toy, 3, 1);
  assert_int_equal(tt_gan_play_create(BATCH, LENGTH, 16, &play), TT_OK);
  memcpy(play.events, events, sizeof events);
  play.before[0] = play.before[1] = tt_gan_start(&toy.policy);
  double spread = 0;
  for (size_t every = 1; every <= 3; every++) {
    const struct tt_gan_rollouts how = {N, every, 5, 77};
    assert_int_equal(tt_gan_rollout_rewards(toy.compute, &toy.policy, &fixed, &play, &how, rewards),
                     TT_OK);
    for (size_t b = 0; b < BATCH; b++)
      for (size_t t = 0; t < LENGTH; t++) {
        /* the last event of its stretch */
        size_t end = (t / every + 1) * every < LENGTH ? (t / every + 1) * every : LENGTH;
        double want = expectation(&toy, events + b * LENGTH, end, LENGTH);
        double error = fabs((double)rewards[b * LENGTH + t] - want);
        /* five standard errors of a mean of N values within [0, 1] */
        assert_true(error <= 2.5 / sqrt((double)N));
        assert_true(end < LENGTH || error < 1e-6);
        spread = fmax(spread, fabs(want - 0.5));
      }
  }
  assert_true(spread > 0.1); /* the values differ by more than the error allowed */
  tt_gan_play_release(&play);
  toy_policy_close(&toy);
}

/* Over all sequences of two of two events, weighted by their probability, the estimator with
 * action values from rollouts is the gradient of the expected score. */
static void policy_gradient_is_exact(void **state) {
  (void)state;
  enum { N = 20000, BATCH = 4, LENGTH = 2 };
  struct toy_policy toy;
  struct tt_gan_play play;
  const struct tt_gan_judge fixed = {judge, NULL};
  float rewards[BATCH * LENGTH];
  int32_t inputs[BATCH * LENGTH];
  toy_policy_open(&toy, 2, 1);
  assert_int_equal(tt_gan_play_create(BATCH, LENGTH, 16, &play), TT_OK);
  for (size_t b = 0; b < BATCH; b++) {
    play.before[b] = tt_gan_start(&toy.policy);
    play.events[2 * b] = (int32_t)b / 2;
    play.events[2 * b + 1] = (int32_t)b % 2;
  }
  const struct tt_gan_rollouts how = {N, 1, 5, 3};
  assert_int_equal(tt_gan_rollout_rewards(toy.compute, &toy.policy, &fixed, &play, &how, rewards),
                   TT_OK);
  double total = 0;
  for (size_t b = 0; b < BATCH; b++) {
    double p = probability(&toy, play.events + 2 * b, LENGTH);
    total += p;
    for (size_t t = 0; t < LENGTH; t++)
      rewards[2 * b + t] *= (float)p;
  }
  assert_true(fabs(total - 1) < 1e-5);
  tt_gan_play_inputs(&play, inputs);
  tt_params_zero_grad(&toy.policy.params);
  tt_compute_begin(toy.compute, true, 0);
  tt_compute_backward(toy.compute,
                      tt_gan_policy_loss(toy.compute, &toy.policy, inputs, NULL, play.events,
                                         rewards, 1, BATCH, LENGTH, &play.start, NULL));
  double largest = 0, worst = 0;
  for (size_t k = 0; k < toy.policy.params.n; k++) {
    struct tt_param *p = toy.policy.params.list[k];
    const size_t n = p->rows * p->cols;
    for (size_t i = 0; i < n; i += n / 6 + 1) {
      const float old = p->data[i], step = 0.02f;
      double side[2];
      for (int s = 0; s < 2; s++) {
        p->data[i] = old + (s ? step : -step);
        tt_params_refresh(&toy.policy.params);
        side[s] = expectation(&toy, play.events, 0, LENGTH);
      }
      p->data[i] = old;
      double want = (side[1] - side[0]) / (2 * (double)step);
      /* losses go down where the expectation goes up */
      double error = fabs(want + (double)p->grad[i]);
      largest = fmax(largest, fabs(want));
      worst = error <= worst ? worst : error;
    }
  }
  print_message("  gradient up to %.4f, off by %.5f at most\n", largest, worst);
  assert_true(largest > 0.01);
  assert_true(worst <= largest / 20);
  tt_gan_play_release(&play);
  toy_policy_close(&toy);
}

/* Whoever is rewarded for one event comes to draw it, in both ways. */
static void policies_follow_their_reward(void **state) {
  (void)state;
  enum { BATCH = 32, LENGTH = 6, STEPS = 60 };
  for (int maligan = 0; maligan < 2; maligan++) {
    struct toy_policy toy;
    struct tt_gan_play play;
    struct tt_optimizer optimizer;
    struct tt_optimizer_config config = tt_optimizer_defaults();
    struct tt_rng rngs[BATCH];
    int32_t inputs[BATCH * LENGTH], last[BATCH];
    float weights[BATCH * LENGTH], scores[BATCH];
    double first = 0, share = 0;
    toy_policy_open(&toy, 4, 1);
    assert_int_equal(tt_gan_play_create(BATCH, LENGTH, 16, &play), TT_OK);
    assert_int_equal(tt_optimizer_init(&optimizer, &toy.policy.params, &config), TT_OK);
    for (uint64_t step = 0; step < STEPS; step++) {
      struct tt_lstm_state from;
      assert_int_equal(tt_lstm_state_create(BATCH, 16, &from), TT_OK);
      memset(play.start.h, 0, BATCH * 16 * sizeof(float));
      memset(play.start.cell, 0, BATCH * 16 * sizeof(float));
      for (size_t b = 0; b < BATCH; b++) {
        tt_rng_init(&rngs[b], 9, step << 8 | b);
        last[b] = play.before[b] = tt_gan_start(&toy.policy);
      }
      tt_gan_policy_draw(toy.compute, &toy.policy, last, NULL, &from, LENGTH, rngs, play.events,
                         LENGTH);
      tt_lstm_state_release(&from);
      share = 0;
      for (size_t b = 0; b < BATCH; b++) {
        scores[b] = 0;
        for (size_t t = 0; t < LENGTH; t++)
          scores[b] += (float)(play.events[b * LENGTH + t] == 2) / LENGTH;
        share += (double)scores[b] / BATCH;
      }
      first = step ? first : share;
      if (maligan)
        tt_gan_importance(scores, BATCH, BATCH, 0.01, 1, scores);
      for (size_t i = 0; i < BATCH * LENGTH; i++)
        weights[i] = maligan ? scores[i / LENGTH] : scores[i / LENGTH] - (float)share;
      tt_gan_play_inputs(&play, inputs);
      tt_compute_begin(toy.compute, true, step);
      tt_compute_backward(toy.compute,
                          tt_gan_policy_loss(toy.compute, &toy.policy, inputs, NULL, play.events,
                                             weights, BATCH, BATCH, LENGTH, &play.start, NULL));
      tt_optimizer_step(&optimizer, 10);
    }
    print_message("  %s: share %.2f, then %.2f\n", maligan ? "maligan" : "seqgan", first, share);
    assert_true(first < 0.6 && share > 0.9);
    tt_optimizer_release(&optimizer);
    tt_gan_play_release(&play);
    toy_policy_close(&toy);
  }
}

static void importance_is_normalised_and_clipped(void **state) {
  (void)state;
  static const float d[6] = {0.5f, 0.75f, 0.2f, 0, 1, 0.5f};
  float w[6];
  tt_gan_importance(d, 6, 3, 0.1, 0, w);
  /* r: 1, 3, 1/4; then clipped: 1/9, 9, 1 */
  assert_true(fabs((double)w[0] - 1 / 4.25) < 1e-6 && fabs((double)w[1] - 3 / 4.25) < 1e-6);
  assert_true(fabs((double)w[3] - 1.0 / 91) < 1e-6 && fabs((double)w[4] - 81.0 / 91) < 1e-6);
  tt_gan_importance(d, 6, 6, 0.1, 0.75, w);
  double sum = 0;
  for (size_t i = 0; i < 6; i++)
    sum += (double)w[i];
  assert_true(fabs(sum - 0.25) < 1e-6);
  assert_true(w[3] < 0 && w[4] > 0.5f);
}

/* The state goes on: drawing in two goes, or for some sequences alone, is drawing at once. */
static void drawing_goes_on(void **state) {
  (void)state;
  enum { BATCH = 3, LENGTH = 20 };
  struct toy_policy toy;
  int32_t whole[BATCH * LENGTH], parts[BATCH * LENGTH], last[BATCH];
  const int32_t streams[BATCH] = {0, 1, 1};
  struct tt_rng rngs[BATCH];
  toy_policy_open(&toy, 5, 2);
  toy.policy.allowed[3] = 0;
  for (size_t cut = 0; cut < LENGTH; cut += 7) {
    struct tt_lstm_state at;
    int32_t *out = cut ? parts : whole;
    assert_int_equal(tt_lstm_state_create(BATCH, 16, &at), TT_OK);
    for (size_t b = 0; b < BATCH; b++) {
      tt_rng_init(&rngs[b], 4, b);
      last[b] = tt_gan_start(&toy.policy);
    }
    tt_gan_policy_draw(toy.compute, &toy.policy, last, streams, &at, cut, rngs, out, LENGTH);
    tt_gan_policy_draw(toy.compute, &toy.policy, last, streams, &at, LENGTH - cut, rngs, out + cut,
                       LENGTH);
    tt_lstm_state_release(&at);
    assert_memory_equal(whole, out, sizeof whole);
  }
  for (size_t i = 0; i < BATCH * LENGTH; i++)
    assert_true(whole[i] >= 0 && whole[i] < 5 && whole[i] != 3);
  assert_memory_not_equal(whole, whole + LENGTH, LENGTH * sizeof *whole);
  /* streams have distributions of their own; one that isn't known has another */
  struct tt_lstm_state at;
  assert_int_equal(tt_lstm_state_create(BATCH, 16, &at), TT_OK);
  for (size_t b = 0; b < BATCH; b++)
    last[b] = 1;
  const float *rows = tt_gan_policy_step(toy.compute, &toy.policy, last, (int32_t[]){0, 1, 2}, &at);
  assert_true(fabsf(rows[0] - rows[5]) > 1e-3f && fabsf(rows[5] - rows[10]) > 1e-3f);
  tt_lstm_state_release(&at);
  toy_policy_close(&toy);
}

/* ---- whole generators on a toy trace ---- */
static struct tt_dataset *toy, *toy_val;
static const char *const NAMES[] = {"seqgan", "maligan"};

#define SMALL                                                                                      \
  {"width", "32"}, {"batch", "16"}, {"filters", "16"}, {"d_pretrain", "12"}, {"d_steps", "2"}, {   \
    "pretrain", "0.9"                                                                              \
  }
static const struct tt_train_option SEQGAN[] = {SMALL, {"rollouts", "4"}, {"every", "2"}};
static const struct tt_train_option MALIGAN[] = {SMALL, {"mixed", "1"}};

static struct tt_train_config config_of(int which, uint64_t steps) {
  return (struct tt_train_config){.train = toy,
                                  .val = toy_val,
                                  .context = 16,
                                  .stream = TT_STREAM_CPU,
                                  .steps = steps,
                                  .seed = 5,
                                  .options = which ? MALIGAN : SEQGAN,
                                  .n_options = which ? 7 : 8};
}

static struct tt_generator *train(int which, const struct tt_train_config *config,
                                  struct tt_train_result *ret) {
  struct tt_generator *generator = NULL;
  enum tt_status status = tt_generator_train(NAMES[which], config, ret, &generator);
  for (size_t i = 0; i < tt_cause_count(); i++)
    print_message("%s\n", tt_cause(i));
  assert_int_equal(status, TT_OK);
  return generator;
}

static void likelihood_learns_the_grammar(void **state) {
  (void)state;
  struct tt_train_result result, counted;
  struct tt_train_config config = config_of(0, 240);
  static const struct tt_train_option only[] = {{"width", "48"}, {"pretrain", "1"}};
  config.options = only;
  config.n_options = 2;
  struct tt_generator *generator = train(0, &config, &result), *markov = NULL;
  config.options = NULL;
  config.n_options = 0;
  config.context = 0;
  assert_int_equal(tt_generator_train("markov", &config, &counted, &markov), TT_OK);
  struct twin twin = twin_generate(generator, 6000, 1);
  toy_check_threads(twin.events, twin.n);
  int last[TOY_CPUS] = {-1, -1, -1};
  double pairs = 0, kept = 0, calls = 0, own = 0;
  for (size_t i = 0; i < twin.n; i++) {
    const struct tt_event *e = &twin.events[i];
    const int before = last[e->cpu];
    if (before == TOY_ENTRY_READ || before == TOY_ENTRY_WRITE) {
      pairs++;
      kept += e->event == before + 1;
    }
    if (e->tid > 0 && (e->event == TOY_ENTRY_READ || e->event == TOY_ENTRY_WRITE)) {
      calls++; /* threads 0-2 only read, 3-5 only write */
      own += (e->event == TOY_ENTRY_READ) == (e->tid < 103);
    }
    last[e->cpu] = e->event;
  }
  print_message("  nats per event %.3f (validation %.3f; markov %.3f), calls closed %.4f, by "
                "their own threads %.4f\n",
                result.loss, result.val_loss, counted.val_loss, kept / pairs, own / calls);
  assert_true(result.val_loss < counted.val_loss + 0.15);
  assert_true(pairs > 500 && kept / pairs > 0.95);
  assert_true(calls > 500 && own / calls > 0.85);
  assert_int_equal(result.steps, 240);
  tt_free(twin.events);
  tt_generator_free(generator);
  tt_generator_free(markov);
}

/* The discriminator tells a poor generator's sequences; the same seed gives the same bytes, also
 * through a file. */
static void same_seed_same_events(void **state) {
  (void)state;
  for (int which = 0; which < 2; which++) {
    struct tt_train_result result, again;
    struct tt_train_config config = config_of(which, 30);
    if (which)
      config.stream = TT_STREAM_MERGED;
    struct tt_generator *a = train(which, &config, &result), *b = train(which, &config, &again);
    const struct tt_gan_record *record = &((struct tt_gan *)a)->record;
    print_message("  %s: %.3f nats after %d steps, %.3f after %d more; discriminator %.3f\n",
                  NAMES[which], record->pretrained_loss, (int)record->pretrain_steps,
                  record->final_loss, (int)record->rounds_steps, record->discriminator_loss);
    assert_int_equal(record->pretrain_steps, 27);
    assert_int_equal(record->rounds_steps, 3);
    assert_true(record->discriminator_loss > 0 && record->discriminator_loss < 0.75);
    assert_true(record->reward > 0 && record->reward < 1);
    assert_true(record->final_loss == result.val_loss && result.val_loss < 3);
    assert_true(record->pretrained_loss != record->final_loss);
    assert_true(result.val_loss == again.val_loss);
    char *path = tt_format("%s/%s", fixture_folder, NAMES[which]);
    struct tt_generator *loaded;
    assert_int_equal(tt_generator_save(a, path, false), TT_OK);
    assert_int_equal(tt_generator_load(path, &loaded), TT_OK);
    struct twin one = twin_generate(a, 2000, 7), two = twin_generate(b, 2000, 7);
    struct twin three = twin_generate(loaded, 2000, 7), other = twin_generate(a, 2000, 8);
    toy_check_threads(one.events, one.n);
    assert_true(twin_same(one.events, two.events, 2000));
    assert_true(twin_same(one.events, three.events, 2000));
    assert_false(twin_same(one.events, other.events, 2000));
    tt_free(one.events);
    tt_free(two.events);
    tt_free(three.events);
    tt_free(other.events);
    tt_free(path);
    tt_generator_free(a);
    tt_generator_free(b);
    tt_generator_free(loaded);
  }
}

/* Stops the training at the first report of a stage. */
static void stop_at(void *user, const struct tt_progress_report *progress) {
  if (strcmp(progress->stage, user) == 0)
    tt_interrupt();
}

static void resumed_training_is_the_same(void **state) {
  (void)state;
  static char stages[3][16] = {"pretrain", "discriminator", "rounds"};
  for (int which = 0; which < 2; which++) {
    struct tt_train_result result;
    struct tt_train_config config = config_of(which, 30);
    struct tt_generator *whole = train(which, &config, &result), *part = NULL;
    struct twin one = twin_generate(whole, 600, 7);
    for (int stage = which; stage < 3; stage++) {
      char *checkpoint = tt_format("%s/checkpoint-%d-%d", fixture_folder, which, stage);
      const struct tt_progress progress = {stop_at, stages[stage]};
      struct tt_train_config stopped = config;
      stopped.checkpoint = checkpoint;
      stopped.progress = &progress;
      assert_int_equal(tt_generator_train(NAMES[which], &stopped, &result, &part), TT_INTERRUPTED);
      tt_interrupt_reset();
      tt_causes_clear();
      stopped.progress = NULL;
      stopped.resume = true;
      struct tt_generator *resumed = train(which, &stopped, &result);
      struct twin two = twin_generate(resumed, 600, 7);
      assert_true(twin_same(one.events, two.events, 600));
      tt_free(two.events);
      tt_free(checkpoint);
      tt_generator_free(resumed);
    }
    tt_free(one.events);
    tt_generator_free(whole);
  }
}

static void wrong_settings_are_told(void **state) {
  (void)state;
  struct tt_train_result result;
  struct tt_generator *generator = NULL;
  static const struct tt_train_option wrong[2][5] = {
      {{"rollouts", "0"}, {"pretrain", "1.5"}, {"clip", "0.1"}, {"width", "8"}, {"rate", "fast"}},
      {{"samples", "7"}, {"clip", "0.6"}, {"rollouts", "2"}, {"mixed", "2"}, {"batch", "1"}}};
  for (int which = 0; which < 2; which++) {
    for (size_t i = 0; i < 5; i++) {
      struct tt_train_config config = config_of(which, 1);
      config.options = &wrong[which][i];
      config.n_options = 1;
      assert_int_equal(tt_generator_train(NAMES[which], &config, &result, &generator), TT_USAGE);
    }
    struct tt_train_config config = config_of(which, 1);
    config.context = 4;
    assert_int_equal(tt_generator_train(NAMES[which], &config, &result, &generator), TT_USAGE);
    config.context = 16;
    config.backbone = "unet";
    assert_int_equal(tt_generator_train(NAMES[which], &config, &result, &generator), TT_USAGE);
    config.backbone = NULL;
    config.context = 4096; /* no CPU has two such segments */
    assert_int_equal(tt_generator_train(NAMES[which], &config, &result, &generator), TT_BAD_INPUT);
    assert_null(generator);
    tt_causes_clear();
  }
}

/* Every file of the model cut short; numbers and parts that don't fit. */
static void damaged_models_are_told(void **state) {
  (void)state;
  struct tt_train_result result;
  const struct tt_train_config config = config_of(1, 2);
  struct tt_generator *generator = train(1, &config, &result), *loaded = NULL;
  char *path = tt_format("%s/damaged", fixture_folder);
  static const char *const files[] = {"model.safetensors", "model.json", "attributes/model.json",
                                      "attributes/model.safetensors"};
  damage_files(generator, files, sizeof files / sizeof *files);
  struct tt_gan *gan = (struct tt_gan *)generator;
  const float bad[] = {NAN, INFINITY, -1e9f};
  for (size_t i = 0; i < 3; i++) {
    float old = gan->policy.params.data[0];
    gan->policy.params.data[0] = bad[i];
    assert_int_equal(tt_generator_save(generator, path, true), TT_OK);
    gan->policy.params.data[0] = old;
    assert_int_equal(tt_generator_load(path, &loaded), TT_BAD_INPUT);
    tt_causes_clear();
  }
  const size_t widths[] = {8, 48, 1 << 20};
  for (size_t i = 0; i < 3; i++) {
    size_t old = gan->policy.width;
    gan->policy.width = widths[i];
    assert_int_equal(tt_generator_save(generator, path, true), TT_OK);
    gan->policy.width = old;
    assert_int_equal(tt_generator_load(path, &loaded), TT_BAD_INPUT);
    tt_causes_clear();
  }
  /* the counts of another trace */
  assert_int_equal(tt_generator_save(generator, path, true), TT_OK);
  gan->attributes->cpu_limit++;
  char *attributes = tt_format("%s/attributes", path);
  assert_int_equal(tt_generator_save(gan->attributes, attributes, true), TT_OK);
  gan->attributes->cpu_limit--;
  assert_int_equal(tt_generator_load(path, &loaded), TT_BAD_INPUT);
  tt_causes_clear();
  tt_free(attributes);
  tt_free(path);
  tt_generator_free(generator);
}

static int begin(void **state) {
  if (fixture_begin(state) != 0)
    return -1;
  toy = toy_dataset(12000, 1);
  toy_val = toy_dataset(3000, 2);
  return 0;
}

static int end(void **state) {
  tt_dataset_close(toy);
  tt_dataset_close(toy_val);
  return fixture_end(state);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(action_values_are_expectations),
      cmocka_unit_test(policy_gradient_is_exact),
      cmocka_unit_test(policies_follow_their_reward),
      cmocka_unit_test(importance_is_normalised_and_clipped),
      cmocka_unit_test(drawing_goes_on),
      cmocka_unit_test(likelihood_learns_the_grammar),
      cmocka_unit_test(same_seed_same_events),
      cmocka_unit_test(resumed_training_is_the_same),
      cmocka_unit_test(wrong_settings_are_told),
      cmocka_unit_test(damaged_models_are_told),
  };
  return cmocka_run_group_tests_name("gan", tests, begin, end);
}
