#include "generators/trainer.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/output.h"
#include "compute/tape.h"

enum { WARMUP = 40, CALIBRATION = 60, CHECKPOINT_SECONDS = 120 };
static const double FLOOR = 0.05; /* of the learning rate, at the end */

static double learning_rate(const struct tt_trainer *trainer, uint64_t step) {
  const uint64_t warmup = trainer->settings.warmup, calibration = trainer->settings.calibration;
  if (step < calibration || !trainer->total)
    return step < warmup ? (double)(step + 1) / (double)warmup : 1;
  return tt_schedule_cosine((double)step, (double)calibration, (double)trainer->total, FLOOR);
}

static enum tt_status checkpoint_file(const struct tt_trainer *trainer, char **ret) {
  *ret = tt_format("%s/%s", trainer->config->checkpoint, trainer->settings.file);
  return *ret ? TT_OK : tt_fail(TT_NO_MEMORY, "out of memory");
}

enum tt_status tt_trainer_checkpoint(struct tt_trainer *trainer) {
  if (!trainer->config->checkpoint)
    return TT_OK;
  struct tt_model_writer writer;
  char *path = NULL, number[64];
  tt_model_writer_init(&writer);
  enum tt_status status = tt_make_folders(trainer->config->checkpoint);
  if (status == TT_OK)
    status = checkpoint_file(trainer, &path);
  if (status == TT_OK)
    status = tt_params_save(trainer->optimizer.params, "", &writer);
  if (status == TT_OK)
    status = tt_optimizer_save(&trainer->optimizer, &writer);
  if (status == TT_OK) {
    snprintf(number, sizeof number, "%llu", (unsigned long long)trainer->total);
    status = tt_model_writer_meta(&writer, "total", number);
  }
  if (status == TT_OK) {
    snprintf(number, sizeof number, "%a", trainer->loss);
    status = tt_model_writer_meta(&writer, "loss", number);
  }
  if (status == TT_OK && trainer->settings.save)
    status = trainer->settings.save(trainer->settings.user, &writer);
  if (status == TT_OK)
    status = tt_model_write(&writer, path);
  tt_model_writer_release(&writer);
  tt_free(path);
  trainer->last_checkpoint = tt_seconds();
  return status;
}

static enum tt_status load_checkpoint(struct tt_trainer *trainer) {
  struct tt_model_file *file = NULL;
  char *path = NULL;
  enum tt_status status = checkpoint_file(trainer, &path);
  if (status == TT_OK && access(path, F_OK) != 0)
    status = tt_fail(TT_BAD_INPUT, "%s: there is no checkpoint to resume from",
                     trainer->config->checkpoint);
  if (status == TT_OK)
    status = tt_model_open(path, &file);
  if (status == TT_OK)
    status = tt_params_load(trainer->optimizer.params, "", file);
  if (status == TT_OK)
    status = tt_optimizer_load(&trainer->optimizer, file);
  if (status == TT_OK) {
    const char *total = tt_model_meta(file, "total"), *loss = tt_model_meta(file, "loss");
    unsigned long long n;
    if (!total || sscanf(total, "%llu", &n) != 1 || !loss ||
        sscanf(loss, "%la", &trainer->loss) != 1)
      status = tt_fail(TT_BAD_INPUT, "%s: no cursor in the checkpoint", path);
    else if (!trainer->settings.steps)
      trainer->total = n;
  }
  if (status == TT_OK && trainer->settings.load)
    status = trainer->settings.load(trainer->settings.user, file);
  trainer->first_step = trainer->optimizer.step;
  tt_model_close(file);
  tt_free(path);
  return status;
}

struct tt_trainer_settings tt_trainer_defaults(const struct tt_train_config *config, float rate) {
  return (struct tt_trainer_settings){.stage = "train",
                                      .file = "training.safetensors",
                                      .steps = config->steps,
                                      .minutes = config->minutes,
                                      .resume = config->resume,
                                      .learning_rate = rate,
                                      .ema_decay = 0.999f,
                                      .warmup = WARMUP,
                                      .calibration = CALIBRATION};
}

enum tt_status tt_trainer_open_phase(const struct tt_train_config *config,
                                     const struct tt_trainer_settings *settings,
                                     struct tt_params *params, struct tt_trainer *ret) {
  *ret = (struct tt_trainer){.config = config, .settings = *settings, .total = settings->steps};
  struct tt_optimizer_config optimizer = tt_optimizer_defaults();
  optimizer.learning_rate = settings->learning_rate;
  optimizer.ema_decay = settings->ema_decay;
  enum tt_status status = tt_optimizer_init(&ret->optimizer, params, &optimizer);
  if (status == TT_OK && settings->resume)
    status = load_checkpoint(ret);
  return status;
}

enum tt_status tt_trainer_open(const struct tt_train_config *config, struct tt_params *params,
                               float rate, struct tt_trainer *ret) {
  const struct tt_trainer_settings settings = tt_trainer_defaults(config, rate);
  return tt_trainer_open_phase(config, &settings, params, ret);
}

void tt_trainer_close(struct tt_trainer *trainer) {
  tt_optimizer_release(&trainer->optimizer);
}

static void report(struct tt_trainer *trainer, uint64_t step) {
  const struct tt_progress *progress = trainer->config->progress;
  double now = tt_seconds(), spent = now - trainer->begin;
  if (!progress || !progress->report || now - trainer->last_report < 0.2)
    return;
  trainer->last_report = now;
  uint64_t done = step - trainer->first_step;
  const struct tt_progress_report r = {
      .stage = trainer->settings.stage,
      .done = step,
      .total = trainer->total,
      .unit = "steps",
      .rate = (double)done / spent,
      .loss = trainer->loss,
      .seconds_left =
          trainer->total ? spent / (double)done * (double)(trainer->total - step) : NAN};
  progress->report(progress->user, &r);
}

/* Fixes the number of steps that fit a time budget, at step `calibration`. */
static void calibrate(struct tt_trainer *trainer, uint64_t step) {
  if (trainer->total || step < trainer->settings.calibration)
    return;
  double spent = tt_seconds() - trainer->begin, budget = trainer->settings.minutes * 60;
  double per_step = spent / (double)(step - trainer->first_step);
  double left = budget > spent ? (budget - spent) / per_step : 0;
  trainer->total = step + (uint64_t)left;
}

enum tt_status tt_trainer_run(struct tt_trainer *trainer, tt_trainer_step_fn *step_fn, void *user) {
  trainer->begin = trainer->last_checkpoint = tt_seconds();
  for (uint64_t step = trainer->first_step; !trainer->total || step < trainer->total; step++) {
    if (tt_interrupted()) {
      enum tt_status status = tt_trainer_checkpoint(trainer);
      return status == TT_OK
                 ? tt_fail(TT_INTERRUPTED, "interrupted at step %llu", (unsigned long long)step)
                 : status;
    }
    double loss;
    enum tt_status status = step_fn(user, step, &loss);
    if (status != TT_OK)
      return status;
    tt_optimizer_step(&trainer->optimizer, learning_rate(trainer, step));
    trainer->loss += (step == 0 ? 1 : 0.02) * (loss - trainer->loss);
    calibrate(trainer, step + 1);
    report(trainer, step + 1);
    if (tt_seconds() - trainer->last_checkpoint > CHECKPOINT_SECONDS) {
      status = tt_trainer_checkpoint(trainer);
      if (status != TT_OK)
        return status;
    }
  }
  trainer->seconds = tt_seconds() - trainer->begin;
  enum tt_status status = trainer->settings.keep_end ? tt_trainer_checkpoint(trainer) : TT_OK;
  if (status == TT_OK)
    tt_optimizer_swap_ema(&trainer->optimizer);
  return status;
}

struct tt_train_result tt_trainer_result(const struct tt_trainer *trainer, size_t events_per_step,
                                         double val_loss) {
  double events = (double)((trainer->total - trainer->first_step) * events_per_step);
  return (struct tt_train_result){.parameters = tt_params_count(trainer->optimizer.params),
                                  .steps = trainer->total,
                                  .seconds = trainer->seconds,
                                  .events_per_second =
                                      trainer->seconds > 0 ? events / trainer->seconds : NAN,
                                  .loss = trainer->loss,
                                  .val_loss = val_loss,
                                  .precision = tt_cpu_has_bf16() ? "bf16" : "f32"};
}
