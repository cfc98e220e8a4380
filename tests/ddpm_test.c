/* generators/ddpm: schedule, dt bins, and the whole generator on a toy trace. */
#include <math.h>
#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/output.h"
#include "dataset/channels.h"
#include "generators/ddpm/denoiser.h"
#include "generators/delay_bins.h"
#include "generators/generator.h"
#include "stored_toy.h"
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

static int make_toy(void **state) {
  static const char *const comms[] = {"a", "b"};
  const struct toy_names names = {TOY_NAMES, comms, CYCLE, 2};
  struct tt_event *events = tt_alloc(TOY_EVENTS, sizeof *events);
  for (int64_t i = 0; i < TOY_EVENTS; i++) {
    int cpu = (int)(i & 1), phase = (int)(i / 2 % CYCLE);
    events[i] = (struct tt_event){.ts = 1000 * i + (phase == 2 ? 400 : 0),
                                  .ret = phase == 5 ? 4096 * cpu : TT_RET_NONE,
                                  .tid = 100 + cpu,
                                  .comm = (uint32_t)cpu,
                                  .event = (uint16_t)phase,
                                  .cpu = (uint16_t)cpu};
  }
  return toy_begin(state, &names, events, TOY_EVENTS);
}

/* Settings of small models; those of a case come behind, so that they count. */
enum { N_SMALL = 5, MAX_SETTINGS = 16 };
static const struct tt_train_option SMALL[N_SMALL] = {
    {"width", "32"}, {"layers", "2"}, {"heads", "2"}, {"steps", "16"}, {"fresh", "16"}};

struct training {
  const char *backbone;
  uint64_t steps;
  enum tt_stream_kind stream;
  size_t context;
  unsigned channels;
  struct tt_train_option more[MAX_SETTINGS - N_SMALL];
  const char *checkpoint;
  bool resume;
  const struct tt_progress *progress;
};

static enum tt_status try_training(const struct training *t, struct tt_train_result *result,
                                   struct tt_generator **ret) {
  struct tt_train_option options[MAX_SETTINGS];
  size_t n = N_SMALL;
  memcpy(options, SMALL, sizeof SMALL);
  for (size_t i = 0; i < MAX_SETTINGS - N_SMALL && t->more[i].name; i++)
    options[n++] = t->more[i];
  const struct tt_train_config config = {.train = toy,
                                         .val = toy,
                                         .context = t->context,
                                         .channels = t->channels,
                                         .backbone = t->backbone,
                                         .stream = t->stream,
                                         .steps = t->steps,
                                         .seed = 5,
                                         .checkpoint = t->checkpoint,
                                         .resume = t->resume,
                                         .progress = t->progress,
                                         .options = options,
                                         .n_options = n};
  return tt_generator_train("ddpm", &config, result, ret);
}

static struct tt_generator *train(const struct training *t, struct tt_train_result *result) {
  struct tt_generator *generator = NULL;
  enum tt_status status = try_training(t, result, &generator);
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
  const struct {
    const char *what;
    struct training training;
    double legal;
  } cases[] = {
      {"transformer", {.steps = 400, .stream = TT_STREAM_CPU, .context = 64}, 0.97},
      {"unet, self-conditioned",
       {.backbone = "unet",
        .steps = 400,
        .stream = TT_STREAM_CPU,
        .context = 64,
        .more = {{"self", "1"}}},
       0.95},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct tt_train_result result;
    struct tt_generator *generator = train(&cases[i].training, &result);
    struct twin c = twin_generate(generator, 6000, 1);
    double legal = legal_share(&c);
    print_message("%s: %llu parameters, loss %.3f, validation %.3f, legal %.4f\n", cases[i].what,
                  (unsigned long long)result.parameters, result.loss, result.val_loss, legal);
    assert_true(legal > cases[i].legal);
    assert_true(result.val_loss < 2.5);
    tt_free(c.events);
    tt_generator_free(generator);
  }
}

/* Every kind of model: trained twice, with one thread and with two, saved and loaded, it gives the
 * same events; and whatever its channels, whole ones. */
static void same_seed_same_events(void **state) {
  (void)state;
  const unsigned base = TT_CHANNEL_BIT(event) | TT_CHANNEL_BIT(dt);
  const struct training cases[] = {
      {.steps = 4, .stream = TT_STREAM_MERGED, .context = 64},
      {.backbone = "unet", .steps = 4, .stream = TT_STREAM_MERGED, .context = 101},
      {.backbone = "unet",
       .steps = 4,
       .context = 64,
       .channels = base,
       .more = {{"self", "1"}, {"predict", "x0"}, {"sampler", "ddpm"}, {"layers", "4"}}},
      {.steps = 4,
       .stream = TT_STREAM_MERGED,
       .context = 64,
       .channels = TT_CHANNEL_BIT(event),
       .more = {{"self", "1"}, {"sampler", "ddim"}}},
      {.steps = 4,
       .stream = TT_STREAM_MERGED,
       .context = 64,
       .more = {{"original", "1"}, {"fresh", "64"}, {"width", "64"}}},
      {.steps = 4, .context = 65, .more = {{"dt", "seconds"}, {"sampler", "ddpm"}}},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct tt_train_result result;
    omp_set_num_threads(1);
    struct tt_generator *a = train(&cases[i], &result), *loaded;
    struct twin one = twin_generate(a, 500, 7);
    omp_set_num_threads(2);
    struct tt_generator *b = train(&cases[i], &result);
    char *path = tt_format("%s/model%zu", fixture_folder, i);
    assert_int_equal(tt_generator_save(a, path, false), TT_OK);
    assert_int_equal(tt_generator_load(path, &loaded), TT_OK);
    struct twin two = twin_generate(b, 500, 7);
    struct twin three = twin_generate(loaded, 500, 7), other = twin_generate(a, 500, 8);
    assert_true(twin_same(one.events, two.events, 500));
    assert_true(twin_same(one.events, three.events, 500));
    assert_false(twin_same(one.events, other.events, 500));
    assert_true(one.events[499].ts > one.events[0].ts);
    for (size_t k = 0; k < 500; k++) {
      const struct tt_event *e = &one.events[k];
      assert_true(e->tid == 100 || e->tid == 101);
      assert_int_equal(e->comm, e->tid - 100);
      /* only read's exit returns something, and always does */
      assert_int_equal(e->ret != TT_RET_NONE, e->event == 5);
    }
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

/* Stops the training at its `stop`-th report. */
static void stop_training(void *user, const struct tt_progress_report *progress) {
  (void)progress;
  int *left = user;
  if (--*left == 0)
    tt_interrupt();
}

static void resumed_training_is_the_same(void **state) {
  (void)state;
  for (int unet = 0; unet < 2; unet++) {
    struct tt_train_result result;
    char *checkpoint = tt_format("%s/checkpoint%d", fixture_folder, unet);
    struct training t = {.backbone = unet ? "unet" : NULL,
                         .steps = unet ? 20 : 40,
                         .stream = TT_STREAM_CPU,
                         .context = 64,
                         .more = {{"self", unet ? "1" : "0"}}};
    struct tt_generator *whole = train(&t, &result), *part = NULL;
    int left = 1;
    const struct tt_progress progress = {stop_training, &left};
    t.checkpoint = checkpoint;
    t.progress = &progress;
    assert_int_equal(try_training(&t, &result, &part), TT_INTERRUPTED);
    tt_interrupt_reset();
    tt_causes_clear();
    t.resume = true;
    t.progress = NULL;
    struct tt_generator *resumed = train(&t, &result);
    struct twin one = twin_generate(whole, 400, 7), two = twin_generate(resumed, 400, 7);
    assert_true(twin_same(one.events, two.events, 400));
    tt_free(one.events);
    tt_free(two.events);
    tt_free(checkpoint);
    tt_generator_free(whole);
    tt_generator_free(resumed);
  }
}

static void long_contexts_work(void **state) {
  (void)state;
  for (int unet = 0; unet < 2; unet++) {
    struct tt_train_result result;
    tt_generator_free(train(&(struct training){.backbone = unet ? "unet" : "transformer",
                                               .steps = 2,
                                               .stream = TT_STREAM_MERGED,
                                               .context = 4096},
                            &result));
  }
}

/* Replaces `old` by `new` in a model's model.json; false when it isn't there. */
static bool edit(const char *path, const char *old, const char *new) {
  char *file = tt_format("%s/model.json", path), *text = NULL;
  size_t size;
  assert_int_equal(tt_read_file(file, &text, &size), TT_OK);
  text = tt_realloc(text, size + 1, 1);
  text[size] = 0;
  char *at = strstr(text, old);
  char *edited = at ? tt_format("%.*s%s%s", (int)(at - text), text, new, at + strlen(old)) : NULL;
  if (at)
    assert_int_equal(tt_write_file(file, edited, strlen(edited)), TT_OK);
  tt_free(edited);
  tt_free(text);
  tt_free(file);
  return at != NULL;
}

static void damaged_models_are_told(void **state) {
  (void)state;
  static const char *const wrong[][2] = {
      {"\"backbone\": \"unet\"", "\"backbone\": \"transformer\""},
      {"\"backbone\": \"unet\"", "\"backbone\": \"lstm\""},
      {"\"layers\": 2", "\"layers\": 3"},
      {"\"layers\": 2", "\"layers\": 9"},
      {"\"heads\": 2", "\"heads\": 3"},
      {"\"dt\": \"bins\"", "\"dt\": \"seconds\""},
      {"\"dt\": \"bins\"", "\"dt\": \"days\""},
      {"\"self\": \"0\"", "\"self\": \"1\""},
      {"\"sampler\": \"ancestral\"", "\"sampler\": \"best\""},
      {"\"fresh\": 16", "\"fresh\": 63"},
      {"\"fresh\": 16", "\"fresh\": 17"},
      {"\"dt_std\": ", "\"dt_std\": -"},
  };
  struct tt_train_result result;
  struct tt_generator *loaded = NULL;
  struct tt_generator *generator =
      train(&(struct training){.backbone = "unet", .steps = 1, .context = 64}, &result);
  char *path = tt_format("%s/damaged", fixture_folder);
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    assert_int_equal(tt_generator_save(generator, path, true), TT_OK);
    assert_true(edit(path, wrong[i][0], wrong[i][1]));
    tt_causes_clear();
    if (tt_generator_load(path, &loaded) != TT_BAD_INPUT)
      fail_msg("%s was taken", wrong[i][1]);
    assert_true(tt_cause_count() > 0);
  }
  tt_causes_clear();
  tt_generator_free(generator);
  tt_free(path);
}

/* Without positions what comes out is permuted as what went in; with them it isn't. */
static void original_does_not_see_the_order(void **state) {
  (void)state;
  enum { L = 8, D = 16 };
  for (int positions = 0; positions < 2; positions++) {
    struct tt_denoiser denoiser;
    const struct tt_denoiser_config config = {.width = D,
                                              .layers = 2,
                                              .heads = 2,
                                              .n_channels = 1,
                                              .sizes = {5},
                                              .names = {"event"},
                                              .no_positions = positions == 0};
    assert_int_equal(tt_denoiser_init(&denoiser, &config, 3), TT_OK);
    struct tt_rng rng;
    tt_rng_init(&rng, 1, 0);
    for (size_t i = 0; i < denoiser.params.total; i++) /* the branches' gates begin at 0 */
      denoiser.params.data[i] += 0.2f * (float)tt_rng_normal(&rng);
    tt_params_refresh(&denoiser.params);
    float x[L * D], turned[L * D], y[2][L * D];
    tt_rng_normals(&rng, x, L * D);
    for (size_t i = 0; i < L * D; i++)
      turned[i] = x[(L - 1 - i / D) * D + i % D];
    struct tt_compute *c;
    assert_int_equal(tt_compute_create(TT_PRECISION_F32, 1, &c), TT_OK);
    const struct tt_denoiser_batch batch = {
        .windows = 1, .length = L, .prefix = (size_t[]){0}, .t = (size_t[]){300}};
    for (int k = 0; k < 2; k++) {
      tt_compute_begin(c, false, 0);
      struct tt_tensor *in = tt_input(c, k ? turned : x, L, D);
      tt_tensor_read(tt_denoiser_hidden(c, &denoiser, in, &batch), y[k]);
    }
    double difference = 0;
    for (size_t i = 0; i < L * D; i++)
      difference =
          fmax(difference, fabs((double)y[1][i] - (double)y[0][(L - 1 - i / D) * D + i % D]));
    print_message("%s positions: %g\n", positions ? "with" : "without", difference);
    assert_true(positions ? difference > 1e-2 : difference < 1e-5);
    tt_compute_free(c);
    tt_denoiser_release(&denoiser);
  }
}

static void wrong_settings_are_told(void **state) {
  (void)state;
  static const struct tt_train_option wrong[] = {
      {"heads", "5"},   {"predict", "y"}, {"sampler", "x"}, {"lambda", "-1"},    {"fresh", "4000"},
      {"nothing", "1"}, {"self", "2"},    {"dt", "days"},   {"original", "yes"}, {"fresh", "100"}};
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
      cmocka_unit_test(damaged_models_are_told),
      cmocka_unit_test(original_does_not_see_the_order),
      cmocka_unit_test(wrong_settings_are_told),
  };
  return cmocka_run_group_tests_name("ddpm", tests, make_toy, toy_end);
}
