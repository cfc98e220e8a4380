/* The ddpm generator behind the common interface: what it learns besides the network, ids. */
#include "generators/ddpm/settings.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "dataset/batches.h"

enum { CONTEXTS = 64 };

size_t tt_ddpm_level(const struct tt_ddpm *ddpm, double place) {
  static const double MOST = 100, LEAST = 0.03;
  if (ddpm->all_levels) {
    size_t level = (size_t)ceil(place * TT_DDPM_STEPS);
    return level > 0 ? level : 1;
  }
  const struct tt_denoiser_config *net = &ddpm->denoiser.config;
  double unit = (double)net->width * (double)net->signal * (double)net->signal;
  return tt_schedule_level(&ddpm->schedule, MOST * pow(LEAST / MOST, place) / unit);
}

size_t tt_ddpm_channel(const struct tt_ddpm *ddpm, const char *name) {
  const struct tt_denoiser_config *net = &ddpm->denoiser.config;
  for (size_t k = 0; k < net->n_channels; k++)
    if (strcmp(net->names[k], name) == 0)
      return k;
  return TT_DDPM_MAX_CHANNELS;
}

/* dt as the original had it: log1p(seconds), standardised. */
static int32_t number_of(const struct tt_ddpm *ddpm, float dt) {
  double seconds = 1e-9 * (double)tt_vocabulary_dt_ns(ddpm->vocabulary, (double)dt);
  return tt_number_to_id((float)((log1p(seconds) - ddpm->dt_mean) / ddpm->dt_std));
}

int64_t tt_ddpm_number_ns(const struct tt_ddpm *ddpm, double number) {
  double ns = 1e9 * expm1(number * ddpm->dt_std + ddpm->dt_mean);
  double most = (double)ddpm->vocabulary->dt_max;
  return ns > 0 ? llrint(ns < most ? ns : most) : 0;
}

void tt_ddpm_ids(const struct tt_ddpm *ddpm, const struct tt_channels *channels, int32_t *ret) {
  const struct tt_denoiser_config *net = &ddpm->denoiser.config;
  size_t n = net->n_channels;
#pragma omp parallel for schedule(static)
  for (size_t i = 0; i < channels->n; i++) {
    size_t k = 0;
    ret[i * n + k++] = channels->event[i];
    if (ddpm->base.channels & TT_CHANNEL_BIT(dt))
      ret[i * n + k++] = net->scalar_dt ? number_of(ddpm, channels->dt[i])
                                        : (int32_t)tt_delay_bins_of(&ddpm->bins, channels->dt[i]);
    if (ddpm->base.channels & TT_CHANNEL_BIT(cpu) && ddpm->base.stream == TT_STREAM_MERGED)
      ret[i * n + k++] = channels->cpu[i];
    if (ddpm->base.channels & TT_CHANNEL_BIT(tid))
      ret[i * n + k++] = channels->tid[i];
    if (ddpm->base.channels & TT_CHANNEL_BIT(comm))
      ret[i * n + k++] = channels->comm[i];
    if (ddpm->base.channels & TT_CHANNEL_BIT(ret))
      ret[i * n + k++] = channels->ret[i];
  }
}

/* The diffused channels, in the order of tt_ddpm_ids: a per-CPU stream's CPU is conditioning. */
static void set_channels(const struct tt_ddpm *ddpm, struct tt_denoiser_config *net) {
  net->n_channels = 0;
  for (int channel = 0; channel < TT_N_CHANNELS; channel++) {
    if (!(ddpm->base.channels & (1u << channel)))
      continue;
    if (channel == TT_CHANNEL_cpu && ddpm->base.stream == TT_STREAM_CPU)
      continue;
    net->names[net->n_channels] = tt_channel_name((enum tt_channel)channel);
    net->sizes[net->n_channels++] =
        channel != TT_CHANNEL_dt ? tt_channel_size(ddpm->vocabulary, (enum tt_channel)channel)
                                 : (net->scalar_dt ? 1 : TT_DELAY_BINS);
  }
  net->n_cpus = ddpm->base.stream == TT_STREAM_CPU ? ddpm->base.cpu_limit : 0;
}

/* Mean and deviation of log1p(seconds) between neighbours of a stream. */
static enum tt_status learn_seconds(struct tt_ddpm *ddpm, const struct tt_dataset *train) {
  const struct tt_columns *columns = tt_dataset_columns(train);
  const bool merged = ddpm->base.stream == TT_STREAM_MERGED;
  int64_t *last = tt_alloc(ddpm->base.cpu_limit, sizeof *last);
  if (!last)
    return tt_fail(TT_NO_MEMORY, "out of memory");
  for (size_t c = 0; c < ddpm->base.cpu_limit; c++)
    last[c] = INT64_MAX;
  double n = 0, sum = 0, square = 0;
  for (size_t i = 0; i < columns->n; i++) {
    int64_t *before = &last[merged ? 0 : columns->cpu[i]];
    if (columns->ts[i] >= *before) {
      double value = log1p(1e-9 * (double)(columns->ts[i] - *before));
      n++;
      sum += value;
      square += value * value;
    }
    *before = columns->ts[i];
  }
  tt_free(last);
  ddpm->dt_mean = n > 0 ? sum / n : 0;
  double variance = n > 0 ? square / n - ddpm->dt_mean * ddpm->dt_mean : 0;
  ddpm->dt_std = variance > 0 ? sqrt(variance) : 1;
  return TT_OK;
}

/* Quantiles of dt and the share of each CPU, from the training data. */
static enum tt_status learn_marginals(struct tt_ddpm *ddpm, const struct tt_dataset *train) {
  const struct tt_columns *columns = tt_dataset_columns(train);
  ddpm->cpu_share = tt_calloc(ddpm->base.cpu_limit, sizeof *ddpm->cpu_share);
  if (!ddpm->cpu_share)
    return tt_fail(TT_NO_MEMORY, "out of memory");
  for (size_t i = 0; i < columns->n; i++)
    ddpm->cpu_share[columns->cpu[i]] += 1.0 / (double)columns->n;
  enum tt_status status = learn_seconds(ddpm, train);
  return status == TT_OK
             ? tt_delay_bins_fit(ddpm->vocabulary, train, ddpm->base.stream, &ddpm->bins)
             : status;
}

/* Random windows of the training data to begin segments with. Needs the channels to be set. */
static enum tt_status keep_contexts(struct tt_ddpm *ddpm, const struct tt_dataset *train) {
  size_t length = ddpm->base.context - ddpm->fresh, n = ddpm->denoiser.config.n_channels;
  struct tt_streams *streams = NULL;
  struct tt_encoder *encoder = NULL;
  struct tt_batches *batches = NULL;
  const struct tt_batch *batch = NULL;
  enum tt_status status = tt_streams_open(train, ddpm->base.stream, &streams);
  if (status == TT_OK)
    status = tt_encoder_new(ddpm->vocabulary, train, &encoder);
  if (status == TT_OK) {
    const struct tt_part part = {streams, encoder};
    const struct tt_batches_options options = {
        .windows = CONTEXTS, .length = length, .seed = ddpm->base.seed};
    status = tt_batches_open(&part, 1, &options, &batches);
  }
  if (status == TT_OK)
    status = tt_batches_next(batches, &batch);
  if (status == TT_OK) {
    ddpm->n_contexts = batch->n_windows;
    ddpm->contexts = tt_alloc(batch->channels.n * n, sizeof *ddpm->contexts);
    ddpm->context_cpu = tt_alloc(batch->n_windows, sizeof *ddpm->context_cpu);
    if (!ddpm->contexts || !ddpm->context_cpu)
      status = tt_fail(TT_NO_MEMORY, "out of memory");
  }
  if (status == TT_OK) {
    tt_ddpm_ids(ddpm, &batch->channels, ddpm->contexts);
    for (size_t w = 0; w < batch->n_windows; w++)
      ddpm->context_cpu[w] = batch->channels.cpu[w * length];
  }
  tt_batches_close(batches);
  tt_encoder_free(encoder);
  tt_streams_close(streams);
  return status;
}

static void ddpm_free(struct tt_generator *generator) {
  struct tt_ddpm *ddpm = (struct tt_ddpm *)generator;
  tt_vocabulary_free(ddpm->vocabulary);
  tt_cast_release(&ddpm->cast);
  tt_free(ddpm->cpu_share);
  tt_free(ddpm->contexts);
  tt_free(ddpm->context_cpu);
  if (ddpm->built)
    tt_denoiser_release(&ddpm->denoiser);
  tt_generator_release_common(generator);
  tt_free(ddpm);
}

static enum tt_status build(struct tt_ddpm *ddpm, const struct tt_denoiser_config *net) {
  tt_schedule_linear(&ddpm->schedule);
  ddpm->built = true;
  return tt_denoiser_init(&ddpm->denoiser, net, ddpm->base.seed);
}

static enum tt_status ddpm_train(const struct tt_train_config *given,
                                 struct tt_train_result *result, struct tt_generator **ret) {
  struct tt_train_config config = *given;
  enum tt_status status = tt_ddpm_complete(&config);
  if (status != TT_OK)
    return status;
  struct tt_ddpm *ddpm = tt_calloc(1, sizeof *ddpm);
  if (!ddpm)
    return tt_fail(TT_NO_MEMORY, "out of memory");
  struct tt_denoiser_config net = {0};
  const struct tt_vocabulary_options options = {.stream = config.stream};
  status = tt_generator_init(&ddpm->base, &tt_ddpm_ops, &config);
  if (status == TT_OK)
    status = tt_ddpm_settings(ddpm, &config, &net);
  if (status == TT_OK)
    status = tt_vocabulary_learn(&config.train, 1, &options, &ddpm->vocabulary);
  if (status == TT_OK)
    status = tt_cast_build(config.train, NULL, config.seed, &ddpm->cast);
  if (status == TT_OK)
    status = learn_marginals(ddpm, config.train);
  if (status == TT_OK) {
    set_channels(ddpm, &net);
    status = build(ddpm, &net);
  }
  if (status == TT_OK && ddpm->fresh < ddpm->base.context)
    status = keep_contexts(ddpm, config.train);
  if (status == TT_OK)
    status = tt_ddpm_fit(ddpm, &config, result);
  if (status != TT_OK) {
    ddpm_free(&ddpm->base);
    return status;
  }
  *ret = &ddpm->base;
  return TT_OK;
}

static enum tt_status ddpm_load(const char *folder, const json_t *model,
                                struct tt_generator *common, struct tt_generator **ret) {
  struct tt_ddpm *ddpm = tt_calloc(1, sizeof *ddpm);
  if (!ddpm)
    return tt_fail(TT_NO_MEMORY, "out of memory");
  struct tt_denoiser_config net = {0};
  tt_generator_adopt(&ddpm->base, common);
  enum tt_status status = tt_ddpm_settings_load(ddpm, model, &net);
  if (status == TT_OK)
    status = tt_vocabulary_from_json(json_object_get(model, "vocabulary"), &ddpm->vocabulary);
  if (status == TT_OK)
    status = tt_cast_from_json(json_object_get(model, "cast"), &ddpm->base.events,
                               ddpm->base.comms.n, ddpm->base.cpu_limit, &ddpm->cast);
  if (status == TT_OK) {
    set_channels(ddpm, &net);
    status = build(ddpm, &net);
  }
  if (status == TT_OK)
    status = tt_ddpm_load_tensors(ddpm, folder, model);
  if (status != TT_OK) {
    ddpm_free(&ddpm->base);
    return status;
  }
  *ret = &ddpm->base;
  return TT_OK;
}

const struct tt_generator_ops tt_ddpm_ops = {
    .name = "ddpm",
    .summary = "Gaussian diffusion over embedded events (the poster's DDPM, with positions)",
    .options = tt_ddpm_options,
    .train = ddpm_train,
    .generate = tt_ddpm_generate,
    .save = tt_ddpm_save,
    .load = ddpm_load,
    .free = ddpm_free,
};
