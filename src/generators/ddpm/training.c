/* Training of the denoiser: random windows, random clean prefixes, noise levels stratified over the
 * batch; AdamW, warm-up and cosine, average of the weights.
 *
 * Time budgets: the learning rate is constant until step CALIBRATION (the warm-up apart), by when
 * the speed is known and the number of steps that fit the budget is fixed. From then on a run by
 * time is the same as one by that number of steps: `--steps N` with the N that was printed gives
 * the same bytes. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/output.h"
#include "compute/optimizer.h"
#include "dataset/batches.h"
#include "generators/ddpm/ddpm.h"

enum {
  EVENTS_PER_STEP = 1024, /* small batches learn more per minute at this scale */
  WARMUP = 40,
  CALIBRATION = 60,
  CHECKPOINT_SECONDS = 120,
  VAL_WINDOWS = 64,
  RNG_STREAM = 0x64647074, /* of this file's draws; step is added */
};
static const double FLOOR = 0.05; /* of the learning rate, at the end */
/* Of 1, 2 and 4e-3, with 512, 1024 and 2048 events per step, the lowest loss after one minute on
 * the training part of scimark2-flutin-cpu3. */
static const float LEARNING_RATE = 2e-3f;

struct fit {
  struct tt_ddpm *ddpm;
  const struct tt_train_config *config;
  struct tt_compute *compute;
  struct tt_optimizer optimizer;
  struct tt_streams *streams, *val_streams;
  struct tt_encoder *encoder, *val_encoder;
  struct tt_batches *batches;
  size_t windows, length;
  uint64_t total;  /* steps; 0: not yet known */
  double loss, ce; /* running means */
  double begin, last_checkpoint, last_report;
  uint64_t first_step;
  /* [windows * length ...] one batch */
  int32_t *ids, *cpus;
  size_t *prefix, *t;
  float *eps;
};

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* The known past's length is uniform among those that leave at least `fresh` and at most twice as
 * many positions unknown. */
static size_t draw_prefix(const struct tt_ddpm *ddpm, size_t length, struct tt_rng *rng) {
  size_t most = 2 * ddpm->fresh < length ? 2 * ddpm->fresh : length;
  uint64_t unknown = ddpm->fresh + tt_rng_below(rng, most - ddpm->fresh + 1);
  return length - (size_t)unknown;
}

/* Turns encoded windows into the denoiser's input; all draws come from stream (seed, step). */
static void make_batch(struct fit *fit, const struct tt_batch *batch, uint64_t step,
                       struct tt_denoiser_batch *ret) {
  struct tt_ddpm *ddpm = fit->ddpm;
  size_t rows = batch->n_windows * batch->length, d = ddpm->denoiser.config.width;
  struct tt_rng rng;
  tt_rng_init(&rng, fit->config->seed, (uint64_t)RNG_STREAM << 32 | step);
  tt_ddpm_ids(ddpm, &batch->channels, fit->ids);
  double offset = tt_rng_uniform(&rng);
  for (size_t w = 0; w < batch->n_windows; w++) {
    /* one level in every n-th of the range (low-discrepancy, Kingma et al. 2021) */
    fit->t[w] = tt_ddpm_level(ddpm, ((double)w + offset) / (double)batch->n_windows);
    fit->prefix[w] = draw_prefix(ddpm, batch->length, &rng);
    fit->cpus[w] = (int32_t)batch->channels.cpu[w * batch->length];
  }
#pragma omp parallel for schedule(static)
  for (size_t row = 0; row < rows; row++) {
    struct tt_rng own;
    tt_rng_init(&own, fit->config->seed ^ 0x6e6f697365, step << 24 | row);
    for (size_t k = 0; k < d; k++)
      fit->eps[row * d + k] = (float)tt_rng_normal(&own);
  }
  *ret = (struct tt_denoiser_batch){.windows = batch->n_windows,
                                    .length = batch->length,
                                    .ids = fit->ids,
                                    .cpus = fit->cpus,
                                    .prefix = fit->prefix,
                                    .t = fit->t,
                                    .eps = fit->eps};
}

static double learning_rate(const struct fit *fit, uint64_t step) {
  if (step < CALIBRATION || !fit->total)
    return step < WARMUP ? (double)(step + 1) / WARMUP : 1;
  if (fit->total <= CALIBRATION)
    return 1;
  double done = (double)(step - CALIBRATION) / (double)(fit->total - CALIBRATION);
  return FLOOR + (1 - FLOOR) * 0.5 * (1 + cos(3.14159265358979323846 * done));
}

static enum tt_status checkpoint_file(const struct fit *fit, char **ret) {
  *ret = tt_format("%s/training.safetensors", fit->config->checkpoint);
  return *ret ? TT_OK : tt_fail(TT_NO_MEMORY, "out of memory");
}

static enum tt_status save_checkpoint(struct fit *fit) {
  if (!fit->config->checkpoint)
    return TT_OK;
  struct tt_model_writer writer;
  char *path = NULL, number[64];
  tt_model_writer_init(&writer);
  enum tt_status status = tt_make_folders(fit->config->checkpoint);
  if (status == TT_OK)
    status = checkpoint_file(fit, &path);
  if (status == TT_OK)
    status = tt_params_save(&fit->ddpm->denoiser.params, "", &writer);
  if (status == TT_OK)
    status = tt_optimizer_save(&fit->optimizer, &writer);
  if (status == TT_OK) {
    snprintf(number, sizeof number, "%llu", (unsigned long long)fit->total);
    status = tt_model_writer_meta(&writer, "total", number);
  }
  if (status == TT_OK) {
    snprintf(number, sizeof number, "%a %a", fit->loss, fit->ce);
    status = tt_model_writer_meta(&writer, "loss", number);
  }
  if (status == TT_OK)
    status = tt_model_write(&writer, path);
  tt_model_writer_release(&writer);
  tt_free(path);
  fit->last_checkpoint = seconds();
  return status;
}

static enum tt_status load_checkpoint(struct fit *fit) {
  struct tt_model_file *file = NULL;
  char *path = NULL;
  enum tt_status status = checkpoint_file(fit, &path);
  if (status == TT_OK && access(path, F_OK) != 0)
    status =
        tt_fail(TT_BAD_INPUT, "%s: there is no checkpoint to resume from", fit->config->checkpoint);
  if (status == TT_OK)
    status = tt_model_open(path, &file);
  if (status == TT_OK)
    status = tt_params_load(&fit->ddpm->denoiser.params, "", file);
  if (status == TT_OK)
    status = tt_optimizer_load(&fit->optimizer, file);
  if (status == TT_OK) {
    const char *total = tt_model_meta(file, "total"), *loss = tt_model_meta(file, "loss");
    unsigned long long n;
    if (!total || sscanf(total, "%llu", &n) != 1 || !loss ||
        sscanf(loss, "%la %la", &fit->loss, &fit->ce) != 2)
      status = tt_fail(TT_BAD_INPUT, "%s: no cursor in the checkpoint", path);
    else if (!fit->config->steps)
      fit->total = n;
  }
  fit->first_step = fit->optimizer.step;
  tt_model_close(file);
  tt_free(path);
  return status;
}

static void report(struct fit *fit, uint64_t step) {
  const struct tt_progress *progress = fit->config->progress;
  double now = seconds(), spent = now - fit->begin;
  if (!progress || !progress->report || now - fit->last_report < 0.2)
    return;
  fit->last_report = now;
  uint64_t done = step - fit->first_step;
  const struct tt_progress_report r = {
      .stage = "train",
      .done = step,
      .total = fit->total,
      .unit = "steps",
      .rate = (double)done / spent,
      .loss = fit->ce,
      .seconds_left = fit->total ? spent / (double)done * (double)(fit->total - step) : NAN};
  progress->report(progress->user, &r);
}

/* Fixes the number of steps that fit a time budget, at step CALIBRATION. */
static void calibrate(struct fit *fit, uint64_t step) {
  if (fit->total || step < CALIBRATION)
    return;
  double spent = seconds() - fit->begin, budget = fit->config->minutes * 60;
  double per_step = spent / (double)(step - fit->first_step);
  double left = budget > spent ? (budget - spent) / per_step : 0;
  fit->total = step + (uint64_t)left;
}

static enum tt_status train_steps(struct fit *fit) {
  for (uint64_t step = fit->first_step; !fit->total || step < fit->total; step++) {
    if (tt_interrupted()) {
      enum tt_status status = save_checkpoint(fit);
      return status == TT_OK
                 ? tt_fail(TT_INTERRUPTED, "interrupted at step %llu", (unsigned long long)step)
                 : status;
    }
    const struct tt_batch *batch;
    struct tt_denoiser_batch input;
    enum tt_status status = tt_batches_next(fit->batches, &batch);
    if (status != TT_OK)
      return status;
    make_batch(fit, batch, step, &input);
    float ce;
    tt_compute_begin(fit->compute, true, step);
    struct tt_tensor *loss =
        tt_denoiser_loss(fit->compute, &fit->ddpm->denoiser, &fit->ddpm->schedule, &input, &ce);
    tt_compute_backward(fit->compute, loss);
    tt_optimizer_step(&fit->optimizer, learning_rate(fit, step));
    double weight = step == 0 ? 1 : 0.02;
    fit->loss += weight * ((double)tt_tensor_value(loss) - fit->loss);
    fit->ce += weight * ((double)ce - fit->ce);
    calibrate(fit, step + 1);
    report(fit, step + 1);
    if (seconds() - fit->last_checkpoint > CHECKPOINT_SECONDS) {
      status = save_checkpoint(fit);
      if (status != TT_OK)
        return status;
    }
  }
  return TT_OK;
}

/* Mean cross-entropy per event of the validation data, at the noise levels and prefixes of stream
 * (seed, step = number of the batch). */
static enum tt_status validate(struct fit *fit, double *ret) {
  const struct tt_part part = {fit->val_streams, fit->val_encoder};
  const struct tt_batches_options options = {
      .windows = fit->windows, .length = fit->length, .sequential = true, .limit = VAL_WINDOWS};
  struct tt_batches *batches = NULL;
  enum tt_status status = tt_batches_open(&part, 1, &options, &batches);
  if (status == TT_BAD_INPUT) { /* validation data shorter than a window */
    tt_causes_clear();
    return TT_OK;
  }
  double sum = 0, windows = 0;
  for (uint64_t k = 0; status == TT_OK; k++) {
    const struct tt_batch *batch;
    struct tt_denoiser_batch input;
    float ce;
    status = tt_batches_next(batches, &batch);
    if (status != TT_OK || !batch)
      break;
    make_batch(fit, batch, k, &input);
    tt_compute_begin(fit->compute, false, k);
    tt_denoiser_loss(fit->compute, &fit->ddpm->denoiser, &fit->ddpm->schedule, &input, &ce);
    sum += (double)ce * (double)batch->n_windows;
    windows += (double)batch->n_windows;
  }
  tt_batches_close(batches);
  if (status == TT_OK && windows > 0)
    *ret = sum / windows;
  return status;
}

static enum tt_status open_data(struct fit *fit) {
  const struct tt_train_config *config = fit->config;
  enum tt_status status = tt_streams_open(config->train, config->stream, &fit->streams);
  if (status == TT_OK)
    status = tt_encoder_new(fit->ddpm->vocabulary, config->train, &fit->encoder);
  if (status == TT_OK && config->val)
    status = tt_streams_open(config->val, config->stream, &fit->val_streams);
  if (status == TT_OK && config->val)
    status = tt_encoder_new(fit->ddpm->vocabulary, config->val, &fit->val_encoder);
  return status;
}

static enum tt_status make_buffers(struct fit *fit) {
  const struct tt_denoiser_config *net = &fit->ddpm->denoiser.config;
  size_t rows = fit->windows * fit->length;
  fit->ids = tt_alloc(rows * net->n_channels, sizeof *fit->ids);
  fit->cpus = tt_alloc(fit->windows, sizeof *fit->cpus);
  fit->prefix = tt_alloc(fit->windows, sizeof *fit->prefix);
  fit->t = tt_alloc(fit->windows, sizeof *fit->t);
  fit->eps = tt_alloc(rows * net->width, sizeof *fit->eps);
  bool ok = fit->ids && fit->cpus && fit->prefix && fit->t && fit->eps;
  return ok ? TT_OK : tt_fail(TT_NO_MEMORY, "out of memory");
}

enum tt_status tt_ddpm_fit(struct tt_ddpm *ddpm, const struct tt_train_config *config,
                           struct tt_train_result *ret) {
  struct fit fit = {
      .ddpm = ddpm, .config = config, .length = ddpm->base.context, .total = config->steps};
  fit.windows = EVENTS_PER_STEP > fit.length ? EVENTS_PER_STEP / fit.length : 1;
  double val_loss = NAN;
  enum tt_status status = open_data(&fit);
  if (status == TT_OK)
    status = make_buffers(&fit);
  if (status == TT_OK)
    status = tt_compute_create(TT_PRECISION_AUTO, config->seed, &fit.compute);
  if (status == TT_OK) {
    struct tt_optimizer_config optimizer = tt_optimizer_defaults();
    optimizer.learning_rate = LEARNING_RATE;
    optimizer.ema_decay = 0.999f;
    status = tt_optimizer_init(&fit.optimizer, &ddpm->denoiser.params, &optimizer);
  }
  if (status == TT_OK && config->resume)
    status = load_checkpoint(&fit);
  if (status == TT_OK) {
    const struct tt_part part = {fit.streams, fit.encoder};
    const struct tt_batches_options options = {.windows = fit.windows,
                                               .length = fit.length,
                                               .seed = config->seed,
                                               .first_step = fit.first_step};
    status = tt_batches_open(&part, 1, &options, &fit.batches);
  }
  fit.begin = fit.last_checkpoint = seconds();
  if (status == TT_OK)
    status = train_steps(&fit);
  double spent = seconds() - fit.begin;
  if (status == TT_OK) {
    tt_optimizer_swap_ema(&fit.optimizer); /* the average is the model */
    if (config->val)
      status = validate(&fit, &val_loss);
  }
  if (status == TT_OK) {
    uint64_t done = fit.total - fit.first_step;
    *ret = (struct tt_train_result){
        .parameters = tt_params_count(&ddpm->denoiser.params),
        .steps = fit.total,
        .seconds = spent,
        .events_per_second = spent > 0 ? (double)(done * fit.windows * fit.length) / spent : NAN,
        .loss = fit.ce,
        .val_loss = val_loss};
  }
  tt_batches_close(fit.batches);
  tt_optimizer_release(&fit.optimizer);
  tt_compute_free(fit.compute);
  tt_encoder_free(fit.encoder);
  tt_encoder_free(fit.val_encoder);
  tt_streams_close(fit.streams);
  tt_streams_close(fit.val_streams);
  tt_free(fit.ids);
  tt_free(fit.cpus);
  tt_free(fit.prefix);
  tt_free(fit.t);
  tt_free(fit.eps);
  return status;
}
