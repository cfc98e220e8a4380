/* Training of the denoiser: random windows, random clean prefixes, noise levels stratified over the
 * batch. */
#include <math.h>

#include "base/mem.h"
#include "dataset/batches.h"
#include "generators/ddpm/ddpm.h"
#include "generators/trainer.h"

/* Of learning rates of 1, 2 and 4e-3, with 512, 1024 and 2048 events per step, 2e-3 with 1024 gave
 * the lowest loss after one minute on the training part of scimark2-flutin-cpu3. */
enum {
  EVENTS_PER_STEP = 1024, /* small batches learn more per minute at this scale */
  VAL_WINDOWS = 64,
  RNG_STREAM = 0x64647074, /* of this file's draws; step is added */
};
struct fit {
  struct tt_ddpm *ddpm;
  const struct tt_train_config *config;
  struct tt_compute *compute;
  struct tt_streams *streams, *val_streams;
  struct tt_encoder *encoder, *val_encoder;
  struct tt_batches *batches;
  size_t windows, length;
  /* [windows * length ...] one batch */
  int32_t *ids, *cpus;
  size_t *prefix, *t;
  float *eps, *estimate;
};

/* The pass that self-conditioning starts from; without it nothing. */
static void first_pass(struct fit *fit, uint64_t step, struct tt_denoiser_batch *batch) {
  const struct tt_ddpm *ddpm = fit->ddpm;
  if (!ddpm->denoiser.config.self_condition)
    return;
  tt_compute_begin(fit->compute, false, step);
  tt_denoiser_first_pass(fit->compute, &ddpm->denoiser, &ddpm->schedule, batch, fit->estimate);
  batch->estimate = fit->estimate;
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
    tt_rng_normals(&own, fit->eps + row * d, d);
  }
  *ret = (struct tt_denoiser_batch){.windows = batch->n_windows,
                                    .length = batch->length,
                                    .ids = fit->ids,
                                    .cpus = fit->cpus,
                                    .prefix = fit->prefix,
                                    .t = fit->t,
                                    .eps = fit->eps};
}

static enum tt_status train_step(void *user, uint64_t step, double *ret_loss) {
  struct fit *fit = user;
  const struct tt_batch *batch;
  struct tt_denoiser_batch input;
  enum tt_status status = tt_batches_next(fit->batches, &batch);
  if (status != TT_OK)
    return status;
  make_batch(fit, batch, step, &input);
  float ce;
  struct tt_rng coin;
  tt_rng_init(&coin, fit->config->seed ^ 0x73656c66, step);
  if (tt_rng_below(&coin, 2) == 0)
    first_pass(fit, step, &input);
  tt_compute_begin(fit->compute, true, step);
  struct tt_tensor *loss =
      tt_denoiser_loss(fit->compute, &fit->ddpm->denoiser, &fit->ddpm->schedule, &input, &ce);
  tt_compute_backward(fit->compute, loss);
  *ret_loss = (double)ce;
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
    first_pass(fit, k, &input);
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
  if (net->self_condition)
    ok = (fit->estimate = tt_alloc(rows * net->width, sizeof *fit->estimate)) && ok;
  return ok ? TT_OK : tt_fail(TT_NO_MEMORY, "out of memory");
}

enum tt_status tt_ddpm_fit(struct tt_ddpm *ddpm, const struct tt_train_config *config,
                           struct tt_train_result *ret) {
  struct fit fit = {.ddpm = ddpm, .config = config, .length = ddpm->base.context};
  struct tt_trainer trainer = {0};
  fit.windows = EVENTS_PER_STEP > fit.length ? EVENTS_PER_STEP / fit.length : 1;
  double val_loss = NAN;
  enum tt_status status = open_data(&fit);
  if (status == TT_OK)
    status = make_buffers(&fit);
  if (status == TT_OK)
    status = tt_compute_create(TT_PRECISION_AUTO, config->seed, &fit.compute);
  if (status == TT_OK)
    status = tt_trainer_open(config, &ddpm->denoiser.params, (float)ddpm->rate, &trainer);
  if (status == TT_OK) {
    const struct tt_part part = {fit.streams, fit.encoder};
    const struct tt_batches_options options = {.windows = fit.windows,
                                               .length = fit.length,
                                               .seed = config->seed,
                                               .first_step = trainer.first_step};
    status = tt_batches_open(&part, 1, &options, &fit.batches);
  }
  if (status == TT_OK)
    status = tt_trainer_run(&trainer, train_step, &fit);
  if (status == TT_OK && config->val)
    status = validate(&fit, &val_loss);
  if (status == TT_OK)
    *ret = tt_trainer_result(&trainer, fit.windows * fit.length, val_loss);
  tt_batches_close(fit.batches);
  tt_trainer_close(&trainer);
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
  tt_free(fit.estimate);
  return status;
}
