/* The schedule of both GANs: maximum likelihood, the discriminator alone, then rounds of both. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/output.h"
#include "generators/gan/critic.h"
#include "generators/gan/gan.h"
#include "generators/gan/reward.h"
#include "generators/gan/windows.h"
#include "generators/trainer.h"

enum {
  EVENTS_PER_STEP = 2048, /* of maximum likelihood */
  MEASURED_EVENTS = 1 << 15,
  MEASURED_SEGMENTS = 8, /* that the state goes on through while measuring */
};
static const float PRETRAIN_RATE = 4e-3f, CRITIC_RATE = 1e-3f;
static const char *const ROUNDS_FILE = "rounds.safetensors";

/* Kinds of draws; the step and the row are added. */
enum draw { DRAW_WINDOWS = 1, DRAW_PLAY, DRAW_PLAY_EVENTS, DRAW_CRITIC, DRAW_CRITIC_EVENTS };

static struct tt_rng rng_of(uint64_t seed, enum draw draw, uint64_t step, uint64_t row) {
  struct tt_rng rng;
  tt_rng_init(&rng, seed, (uint64_t)draw << 60 | step << 24 | row);
  return rng;
}

struct fit {
  struct tt_gan *gan;
  const struct tt_train_config *config;
  struct tt_compute *compute;
  struct tt_gan_windows train; /* of two segments each */
  size_t length;               /* L, of a segment */
  /* maximum likelihood */
  size_t windows;
  int32_t *window_events, *window_inputs; /* [windows, 2L] */
  int32_t *window_streams;                /* [windows] */
  /* rounds */
  struct tt_gan_critic critic;
  struct tt_optimizer critic_optimizer;
  struct tt_trainer *trainer;
  struct tt_gan_play play;
  int32_t *real;            /* [batch, 2L] */
  int32_t *inputs;          /* [batch, L] */
  int32_t *last;            /* [batch] */
  struct tt_rng *rngs;      /* [batch] */
  int32_t *judged, *labels; /* [2 batch, L], [2 batch] */
  float *weights;           /* [batch, L] */
  double reported;
};

/* ---- maximum likelihood ---- */

/* What stands before each event of n windows: the start, then the events. */
static void shift(const struct tt_gan_policy *policy, const int32_t *events, size_t n,
                  size_t length, int32_t *ret) {
  for (size_t w = 0; w < n; w++) {
    ret[w * length] = tt_gan_start(policy);
    memcpy(ret + w * length + 1, events + w * length, (length - 1) * sizeof *ret);
  }
}

static enum tt_status pretrain_step(void *user, uint64_t step, double *ret_loss) {
  struct fit *fit = user;
  const struct tt_gan_policy *policy = &fit->gan->policy;
  struct tt_rng rng = rng_of(fit->config->seed, DRAW_WINDOWS, step, 0);
  tt_gan_windows_draw(&fit->train, &rng, fit->windows, fit->window_events, fit->window_streams);
  shift(policy, fit->window_events, fit->windows, fit->train.length, fit->window_inputs);
  tt_compute_begin(fit->compute, true, step);
  struct tt_tensor *loss =
      tt_gan_policy_loss(fit->compute, policy, fit->window_inputs, fit->window_streams,
                         fit->window_events, NULL, 0, fit->windows, fit->train.length, NULL, NULL);
  *ret_loss = (double)tt_tensor_value(loss);
  tt_compute_backward(fit->compute, loss);
  return TT_OK;
}

/* Mean nats per event over windows spread over the dataset, each of several segments through which
 * the state goes on, as in generating. NaN where there is no stretch of two events. */
static enum tt_status measure(struct fit *fit, const struct tt_dataset *dataset, double *ret) {
  const struct tt_gan_policy *policy = &fit->gan->policy;
  struct tt_gan_windows all = {0};
  enum tt_status status =
      tt_gan_windows_open(dataset, fit->config->stream, 2, policy->n_events, &all);
  *ret = NAN;
  if (status == TT_BAD_INPUT) { /* too short to say anything */
    tt_causes_clear();
    return TT_OK;
  }
  if (status != TT_OK)
    return status;
  size_t length = MEASURED_SEGMENTS * fit->length;
  const uint64_t longest = tt_gan_windows_longest(&all);
  tt_gan_windows_close(&all);
  length = longest < length ? (size_t)longest : length;
  status = tt_gan_windows_open(dataset, fit->config->stream, length, policy->n_events, &all);
  if (status != TT_OK)
    return status;
  const uint64_t count = tt_gan_windows_count(&all);
  uint64_t n = 1 + MEASURED_EVENTS / length;
  n = n < count ? n : count;
  int32_t *events = tt_alloc(n * length, sizeof *events),
          *inputs = tt_alloc(length, sizeof *inputs);
  float *losses = tt_alloc(length, sizeof *losses);
  double sum = 0, known = 0;
  if (!events || !inputs || !losses)
    status = tt_fail(TT_NO_MEMORY, "%zu events", (size_t)n * length);
  for (uint64_t w = 0; status == TT_OK && w < n; w++) {
    const int32_t stream = tt_gan_windows_read(&all, w * count / n, events);
    shift(policy, events, 1, length, inputs);
    tt_compute_begin(fit->compute, false, 0);
    tt_gan_policy_loss(fit->compute, policy, inputs, &stream, events, NULL, 0, 1, length, NULL,
                       losses);
    for (size_t i = 0; i < length; i++) {
      sum += (double)losses[i];
      known += events[i] >= 0;
    }
  }
  if (status == TT_OK && known > 0)
    *ret = sum / known;
  tt_free(events);
  tt_free(inputs);
  tt_free(losses);
  tt_gan_windows_close(&all);
  return status;
}

/* ---- sequences ---- */

/* Real windows into fit->real, one for every `samples` sequences, and sequences that go on from
 * their first halves; the first `prefix` events of these are real too. */
static void make_play(struct fit *fit, enum draw draw, uint64_t step, size_t samples,
                      size_t prefix) {
  const struct tt_gan_policy *policy = &fit->gan->policy;
  struct tt_gan_play *play = &fit->play;
  const size_t batch = play->batch, length = fit->length, d = policy->width;
  const uint64_t seed = fit->config->seed;
  struct tt_rng rng = rng_of(seed, draw, step, 0);
  for (size_t b = 0; b < batch; b++)
    if (b % samples == 0) {
      tt_gan_windows_draw(&fit->train, &rng, 1, fit->real + b * 2 * length, play->streams + b);
    } else {
      memcpy(fit->real + b * 2 * length, fit->real + (b - 1) * 2 * length,
             2 * length * sizeof *fit->real);
      play->streams[b] = play->streams[b - 1];
    }
  for (size_t b = 0; b < batch; b++) {
    const int32_t *window = fit->real + b * 2 * length;
    fit->inputs[b * length] = tt_gan_start(policy);
    memcpy(fit->inputs + b * length + 1, window, (length - 1) * sizeof *window);
    play->before[b] = window[length - 1];
    memcpy(play->events + b * length, window + length, prefix * sizeof *window);
    fit->rngs[b] = rng_of(seed, draw + 1, step, b);
  }
  memset(play->start.h, 0, batch * d * sizeof *play->start.h);
  memset(play->start.cell, 0, batch * d * sizeof *play->start.cell);
  tt_gan_policy_read(fit->compute, policy, fit->inputs, play->streams, length, &play->start);
}

/* Draws the play's events from `prefix` on; play->start stays where it is. */
static enum tt_status draw_play(struct fit *fit, size_t prefix) {
  const struct tt_gan_policy *policy = &fit->gan->policy;
  struct tt_gan_play *play = &fit->play;
  const size_t batch = play->batch, length = fit->length, d = policy->width;
  struct tt_lstm_state state;
  enum tt_status status = tt_lstm_state_create(batch, d, &state);
  if (status != TT_OK)
    return status;
  memcpy(state.h, play->start.h, batch * d * sizeof *state.h);
  memcpy(state.cell, play->start.cell, batch * d * sizeof *state.cell);
  for (size_t i = 0; i < prefix; i++) {
    for (size_t b = 0; b < batch; b++)
      fit->last[b] = i ? play->events[b * length + i - 1] : play->before[b];
    tt_gan_policy_read(fit->compute, policy, fit->last, play->streams, 1, &state);
  }
  for (size_t b = 0; b < batch; b++)
    fit->last[b] = prefix ? play->events[b * length + prefix - 1] : play->before[b];
  tt_gan_policy_draw(fit->compute, policy, fit->last, play->streams, &state, length - prefix,
                     fit->rngs, play->events + prefix, length);
  tt_lstm_state_release(&state);
  return TT_OK;
}

/* ---- the discriminator ---- */

/* One step: as many real as generated sequences, d_epochs updates; none where it tells them apart
 * already: who is always right has nothing to teach (Arjovsky & Bottou 2017). */
static enum tt_status critic_step(struct fit *fit, uint64_t index) {
  const struct tt_gan_settings *settings = &fit->gan->settings;
  const size_t batch = settings->batch, length = fit->length;
  make_play(fit, DRAW_CRITIC, index, 1, 0);
  enum tt_status status = draw_play(fit, 0);
  if (status != TT_OK)
    return status;
  for (size_t b = 0; b < batch; b++) {
    memcpy(fit->judged + b * length, fit->real + (2 * b + 1) * length,
           length * sizeof *fit->judged);
    fit->labels[b] = 1;
    fit->labels[batch + b] = 0;
  }
  memcpy(fit->judged + batch * length, fit->play.events, batch * length * sizeof *fit->judged);
  for (size_t e = 0; e < settings->d_epochs; e++) {
    tt_compute_begin(fit->compute, true, index * settings->d_epochs + e);
    struct tt_tensor *loss =
        tt_gan_critic_loss(fit->compute, &fit->critic, fit->judged, fit->labels, 2 * batch, length);
    double value = (double)tt_tensor_value(loss), *mean = &fit->gan->record.discriminator_loss;
    if (e == 0) /* before it has learned from them */
      *mean = isnan(*mean) ? value : *mean + 0.05 * (value - *mean);
    if (value < settings->d_floor)
      break;
    tt_compute_backward(fit->compute, loss);
    tt_optimizer_step(&fit->critic_optimizer, 1);
  }
  return TT_OK;
}

static void report_critic(struct fit *fit, uint64_t done, uint64_t total, double begin) {
  const struct tt_progress *progress = fit->config->progress;
  const double now = tt_seconds(), spent = now - begin;
  if (!progress || !progress->report || now - fit->reported < 0.2)
    return;
  fit->reported = now;
  const struct tt_progress_report report = {.stage = "discriminator",
                                            .done = done,
                                            .total = total,
                                            .unit = "steps",
                                            .rate = (double)done / spent,
                                            .loss = fit->gan->record.discriminator_loss,
                                            .seconds_left =
                                                spent / (double)done * (double)(total - done)};
  progress->report(progress->user, &report);
}

static enum tt_status pretrain_critic(struct fit *fit) {
  const uint64_t total = fit->gan->settings.d_pretrain;
  const double begin = tt_seconds();
  for (uint64_t i = 0; i < total; i++) {
    if (tt_interrupted())
      return tt_fail(TT_INTERRUPTED, "interrupted before the first round");
    enum tt_status status = critic_step(fit, i);
    if (status != TT_OK)
      return status;
    report_critic(fit, i + 1, total, begin);
  }
  return TT_OK;
}

/* ---- the generator's steps ---- */

static void score(void *user, const int32_t *sequences, size_t n, size_t length, float *ret) {
  struct fit *fit = user;
  tt_gan_critic_score(fit->compute, &fit->critic, sequences, n, length, ret);
}

static void note_reward(struct fit *fit, const float *scores, size_t stride) {
  double sum = 0, *mean = &fit->gan->record.reward;
  for (size_t b = 0; b < fit->play.batch; b++)
    sum += (double)scores[b * stride];
  sum /= (double)fit->play.batch;
  *mean = isnan(*mean) ? sum : *mean + 0.05 * (sum - *mean);
}

/* Weights of the log-probabilities; *ret_normalizer: what their sum is to be divided by. */
static enum tt_status seqgan_weights(struct fit *fit, uint64_t step, double *ret_normalizer) {
  const struct tt_gan_settings *settings = &fit->gan->settings;
  const size_t batch = fit->play.batch, length = fit->length;
  const struct tt_gan_judge judge = {score, fit};
  const struct tt_gan_rollouts how = {settings->rollouts, settings->every, fit->config->seed, step};
  enum tt_status status = tt_gan_rollout_rewards(fit->compute, &fit->gan->policy, &judge,
                                                 &fit->play, &how, fit->weights);
  if (status != TT_OK)
    return status;
  note_reward(fit, fit->weights + length - 1, length);
  for (size_t t = 0; t < length; t++) {
    double mean = 0;
    for (size_t b = 0; b < batch; b++)
      mean += (double)fit->weights[b * length + t] / (double)batch;
    for (size_t b = 0; b < batch; b++)
      fit->weights[b * length + t] -= (float)(settings->baseline * mean);
  }
  *ret_normalizer = (double)(batch * length);
  return TT_OK;
}

static void maligan_weights(struct fit *fit, size_t prefix, double *ret_normalizer) {
  const struct tt_gan_settings *settings = &fit->gan->settings;
  const size_t batch = fit->play.batch, length = fit->length;
  float *scores = fit->weights + batch * length; /* behind the weights: see make_buffers */
  score(fit, fit->play.events, batch, length, scores);
  note_reward(fit, scores, 1);
  tt_gan_importance(scores, batch, settings->samples, settings->clip, settings->baseline, scores);
  for (size_t b = 0; b < batch; b++)
    for (size_t t = 0; t < length; t++) /* what is real is learned as before */
      fit->weights[b * length + t] = t < prefix ? 1 / (float)settings->samples : scores[b];
  *ret_normalizer = (double)(batch / settings->samples * length);
}

/* MaliGAN's mixed training: from all but the last event down to none, over the rounds. */
static size_t prefix_at(const struct fit *fit, uint64_t step) {
  const uint64_t total = fit->trainer->total, first = fit->gan->settings.g_steps;
  if (!fit->gan->settings.mixed)
    return 0;
  if (step < first || total <= first) /* their number may not be known yet */
    return fit->length - 1;
  double left = 1 - (double)(step - first) / (double)(total - first);
  return (size_t)(left * (double)(fit->length - 1));
}

static enum tt_status round_step(void *user, uint64_t step, double *ret_loss) {
  struct fit *fit = user;
  const struct tt_gan_settings *settings = &fit->gan->settings;
  const bool maligan = tt_gan_is_maligan(fit->gan);
  enum tt_status status = TT_OK;
  if (step % settings->g_steps == 0)
    for (size_t i = 0; i < settings->d_steps; i++) {
      const uint64_t before = step / settings->g_steps * settings->d_steps;
      status = critic_step(fit, settings->d_pretrain + before + i);
      if (status != TT_OK)
        return status;
    }
  const size_t prefix = prefix_at(fit, step);
  double normalizer = 1;
  make_play(fit, DRAW_PLAY, step, maligan && settings->mixed ? settings->samples : 1, prefix);
  status = draw_play(fit, prefix);
  if (status == TT_OK && !maligan)
    status = seqgan_weights(fit, step, &normalizer);
  if (status != TT_OK)
    return status;
  if (maligan)
    maligan_weights(fit, prefix, &normalizer);
  tt_gan_play_inputs(&fit->play, fit->inputs);
  tt_compute_begin(fit->compute, true, step);
  tt_compute_backward(fit->compute, tt_gan_policy_loss(fit->compute, &fit->gan->policy, fit->inputs,
                                                       fit->play.streams, fit->play.events,
                                                       fit->weights, normalizer, fit->play.batch,
                                                       fit->length, &fit->play.start, NULL));
  *ret_loss = fit->gan->record.discriminator_loss;
  return TT_OK;
}

/* ---- checkpoints of the rounds ---- */

/* The numbers of tt_gan_record that training goes on from. */
static enum tt_status save_rounds(void *user, struct tt_model_writer *writer) {
  struct fit *fit = user;
  const struct tt_gan_record *record = &fit->gan->record;
  const struct tt_optimizer *optimizer = &fit->critic_optimizer;
  const size_t n = fit->critic.params.total;
  char text[160];
  snprintf(text, sizeof text, "%llu %a %a %a %llu", (unsigned long long)record->pretrain_steps,
           record->pretrained_loss, record->discriminator_loss, record->reward,
           (unsigned long long)optimizer->step);
  enum tt_status status = tt_params_save(&fit->critic.params, "", writer);
  if (status == TT_OK)
    status = tt_model_writer_add(writer, "critic.m", optimizer->m, &n, 1);
  if (status == TT_OK)
    status = tt_model_writer_add(writer, "critic.v", optimizer->v, &n, 1);
  if (status == TT_OK)
    status = tt_model_writer_meta(writer, "critic", text);
  return status;
}

static enum tt_status load_rounds(void *user, const struct tt_model_file *file) {
  struct fit *fit = user;
  struct tt_gan_record *record = &fit->gan->record;
  struct tt_optimizer *optimizer = &fit->critic_optimizer;
  const size_t n = fit->critic.params.total;
  const struct tt_model_tensor *m = tt_model_find(file, "critic.m");
  const struct tt_model_tensor *v = tt_model_find(file, "critic.v");
  const char *text = tt_model_meta(file, "critic");
  unsigned long long pretrain_steps, step;
  enum tt_status status = tt_params_load(&fit->critic.params, "", file);
  if (status != TT_OK)
    return status;
  if (!m || !m->data || m->shape[0] != n || !v || !v->data || v->shape[0] != n || !text ||
      sscanf(text, "%llu %la %la %la %llu", &pretrain_steps, &record->pretrained_loss,
             &record->discriminator_loss, &record->reward, &step) != 5)
    return tt_fail(TT_BAD_INPUT, "%s: no state of the discriminator", tt_model_path(file));
  memcpy(optimizer->m, m->data, n * sizeof *optimizer->m);
  memcpy(optimizer->v, v->data, n * sizeof *optimizer->v);
  optimizer->step = step;
  record->pretrain_steps = pretrain_steps;
  return TT_OK;
}

/* ---- phases ---- */

static enum tt_status make_buffers(struct fit *fit) {
  const size_t batch = fit->gan->settings.batch, length = fit->length, two = 2 * length;
  fit->windows = EVENTS_PER_STEP > two ? EVENTS_PER_STEP / two : 1;
  fit->window_events = tt_alloc(fit->windows * two, sizeof *fit->window_events);
  fit->window_inputs = tt_alloc(fit->windows * two, sizeof *fit->window_inputs);
  fit->window_streams = tt_alloc(fit->windows, sizeof *fit->window_streams);
  fit->real = tt_alloc(batch * two, sizeof *fit->real);
  fit->inputs = tt_alloc(batch * length, sizeof *fit->inputs);
  fit->last = tt_alloc(batch, sizeof *fit->last);
  fit->rngs = tt_alloc(batch, sizeof *fit->rngs);
  fit->judged = tt_alloc(batch * two, sizeof *fit->judged);
  fit->labels = tt_alloc(2 * batch, sizeof *fit->labels);
  fit->weights = tt_alloc(batch * (length + 1), sizeof *fit->weights);
  if (!fit->window_events || !fit->window_inputs || !fit->window_streams || !fit->real ||
      !fit->inputs || !fit->last || !fit->rngs || !fit->judged || !fit->labels || !fit->weights)
    return tt_fail(TT_NO_MEMORY, "batches of %zu sequences", batch);
  return tt_gan_play_create(batch, length, fit->gan->policy.width, &fit->play);
}

static void release(struct fit *fit) {
  tt_gan_windows_close(&fit->train);
  tt_compute_free(fit->compute);
  tt_optimizer_release(&fit->critic_optimizer);
  tt_gan_critic_release(&fit->critic);
  tt_gan_play_release(&fit->play);
  tt_free(fit->window_events);
  tt_free(fit->window_inputs);
  tt_free(fit->window_streams);
  tt_free(fit->real);
  tt_free(fit->inputs);
  tt_free(fit->last);
  tt_free(fit->rngs);
  tt_free(fit->judged);
  tt_free(fit->labels);
  tt_free(fit->weights);
}

static uint64_t pretrain_steps(const struct tt_gan *gan, const struct tt_train_config *config) {
  const double share = gan->settings.pretrain * (double)config->steps;
  return share < 1 ? 1 : (uint64_t)llround(share);
}

static enum tt_status pretrain(struct fit *fit) {
  const struct tt_train_config *config = fit->config;
  struct tt_gan *gan = fit->gan;
  struct tt_trainer trainer = {0};
  struct tt_trainer_settings settings = tt_trainer_defaults(config, PRETRAIN_RATE);
  settings.stage = "pretrain";
  settings.minutes = gan->settings.pretrain * config->minutes;
  settings.steps = config->steps ? pretrain_steps(gan, config) : 0;
  enum tt_status status = tt_trainer_open_phase(config, &settings, &gan->policy.params, &trainer);
  if (status == TT_OK)
    status = tt_trainer_run(&trainer, pretrain_step, fit);
  gan->record.pretrain_steps = trainer.total;
  tt_trainer_close(&trainer);
  if (status == TT_OK && config->val)
    status = measure(fit, config->val, &gan->record.pretrained_loss);
  return status;
}

static enum tt_status open_critic(struct fit *fit) {
  fit->critic = (struct tt_gan_critic){.n_events = fit->gan->policy.n_events,
                                       .width = fit->gan->policy.width / 2,
                                       .filters = fit->gan->settings.filters};
  enum tt_status status = tt_gan_critic_init(&fit->critic, fit->config->seed + 1);
  struct tt_optimizer_config optimizer = tt_optimizer_defaults();
  optimizer.learning_rate = CRITIC_RATE;
  if (status == TT_OK)
    status = tt_optimizer_init(&fit->critic_optimizer, &fit->critic.params, &optimizer);
  return status;
}

/* begin: of the whole training, seconds. */
static enum tt_status rounds(struct fit *fit, bool resume, double begin) {
  const struct tt_train_config *config = fit->config;
  struct tt_gan *gan = fit->gan;
  struct tt_trainer trainer = {0};
  const struct tt_trainer_settings settings = {
      .stage = "rounds",
      .file = ROUNDS_FILE,
      .steps = config->steps ? config->steps - pretrain_steps(gan, config) : 0,
      .resume = resume,
      .learning_rate = (float)gan->settings.rate,
      .calibration = gan->settings.g_steps, /* one round tells what they take */
      .save = save_rounds,
      .load = load_rounds,
      .user = fit};
  enum tt_status status = tt_trainer_open_phase(config, &settings, &gan->policy.params, &trainer);
  fit->trainer = &trainer;
  if (status == TT_OK && !resume)
    status = tt_trainer_checkpoint(&trainer);
  if (status == TT_OK && trainer.first_step == 0 && fit->critic_optimizer.step == 0)
    status = pretrain_critic(fit);
  trainer.settings.minutes = resume ? (1 - gan->settings.pretrain) * config->minutes
                                    : config->minutes - (tt_seconds() - begin) / 60;
  if (status == TT_OK)
    status = tt_trainer_run(&trainer, round_step, fit);
  gan->record.rounds_steps = trainer.total;
  tt_trainer_close(&trainer);
  return status;
}

/* Whether a checkpoint of the rounds is there to go on from. */
static enum tt_status find_rounds(const struct tt_train_config *config, bool *ret) {
  *ret = false;
  if (!config->resume || !config->checkpoint)
    return TT_OK;
  char *path = tt_format("%s/%s", config->checkpoint, ROUNDS_FILE);
  if (!path)
    return tt_fail(TT_NO_MEMORY, "out of memory");
  *ret = access(path, F_OK) == 0;
  tt_free(path);
  return TT_OK;
}

enum tt_status tt_gan_fit(struct tt_gan *gan, const struct tt_train_config *config,
                          struct tt_train_result *ret) {
  struct fit fit = {.gan = gan, .config = config, .length = gan->base.context};
  const double begin = tt_seconds();
  bool resume_rounds = false;
  gan->record = (struct tt_gan_record){
      .pretrained_loss = NAN, .final_loss = NAN, .discriminator_loss = NAN, .reward = NAN};
  enum tt_status status = tt_gan_windows_open(config->train, config->stream, 2 * fit.length,
                                              gan->policy.n_events, &fit.train);
  if (status == TT_OK)
    status = make_buffers(&fit);
  if (status == TT_OK)
    status = tt_compute_create(TT_PRECISION_AUTO, config->seed, &fit.compute);
  if (status == TT_OK)
    status = find_rounds(config, &resume_rounds);
  if (status == TT_OK && !resume_rounds)
    status = pretrain(&fit);
  if (status == TT_OK && gan->settings.pretrain < 1 &&
      (!config->steps || config->steps > pretrain_steps(gan, config))) {
    status = open_critic(&fit);
    if (status == TT_OK)
      status = rounds(&fit, resume_rounds, begin);
  }
  const double seconds = tt_seconds() - begin;
  struct tt_train_result result = {.val_loss = NAN,
                                   .precision = tt_cpu_has_bf16() ? "bf16" : "f32"};
  if (status == TT_OK)
    status = measure(&fit, config->train, &result.loss);
  if (status == TT_OK && config->val)
    status = measure(&fit, config->val, &result.val_loss);
  if (status == TT_OK) {
    const struct tt_gan_record *record = &gan->record;
    gan->record.final_loss = result.val_loss;
    result.parameters = tt_params_count(&gan->policy.params);
    result.steps = record->pretrain_steps + record->rounds_steps;
    result.seconds = seconds;
    result.events_per_second = (double)(record->pretrain_steps * fit.windows * 2 * fit.length +
                                        record->rounds_steps * gan->settings.batch * fit.length) /
                               fmax(seconds, 1e-9);
    *ret = result;
  }
  release(&fit);
  return status;
}
