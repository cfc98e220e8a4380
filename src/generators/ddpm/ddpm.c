/* The ddpm generator behind the common interface: settings, setting up, saving, loading. */
#include "generators/ddpm/ddpm.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/output.h"
#include "compute/model_file.h"
#include "dataset/batches.h"
#include "dataset/json.h"

enum { CONTEXTS = 64, CONTEXT = 128, CONTEXT_MIN = 64, CONTEXT_MAX = 4096, MAX_WIDTH = 1024 };
static const double DEFAULT_MINUTES = 5;

static const char *const OPTIONS[] = {
    "width=128: model width",
    "layers=4: Transformer blocks",
    "heads=4: attention heads; width is a multiple of twice their number",
    "predict=eps: what the first loss term predicts, eps (the poster's) or x0",
    "lambda=1: weight of the channels' cross-entropies (the poster's: 0.1)",
    "signal=0.25: scale of the embedded events against the noise",
    "sampler=ancestral: ancestral (draws of the predicted distributions) or ddim",
    "steps=8: noise levels visited when sampling, 1-1000",
    "fresh=CONTEXT/2: new positions per window when sampling; the rest is the known past",
    NULL};

size_t tt_ddpm_level(const struct tt_ddpm *ddpm, double place) {
  static const double MOST = 100, LEAST = 0.03;
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

void tt_ddpm_ids(const struct tt_ddpm *ddpm, const struct tt_channels *channels, int32_t *ret) {
  const struct tt_denoiser_config *net = &ddpm->denoiser.config;
  size_t n = net->n_channels;
#pragma omp parallel for schedule(static)
  for (size_t i = 0; i < channels->n; i++) {
    size_t k = 0;
    ret[i * n + k++] = channels->event[i];
    if (ddpm->base.channels & TT_CHANNEL_BIT(dt))
      ret[i * n + k++] = (int32_t)tt_delay_bins_of(&ddpm->bins, channels->dt[i]);
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
        channel == TT_CHANNEL_dt ? TT_DELAY_BINS
                                 : tt_channel_size(ddpm->vocabulary, (enum tt_channel)channel);
  }
  net->n_cpus = ddpm->base.stream == TT_STREAM_CPU ? ddpm->base.cpu_limit : 0;
}

static enum tt_status read_settings(struct tt_ddpm *ddpm, const struct tt_train_config *config,
                                    struct tt_denoiser_config *net) {
  long long width, layers, heads, steps, fresh;
  enum tt_status status = tt_train_option_integer(config, "width", 16, MAX_WIDTH, 128, &width);
  if (status == TT_OK)
    status = tt_train_option_integer(config, "layers", 1, TT_MAX_LAYERS, 4, &layers);
  if (status == TT_OK)
    status = tt_train_option_integer(config, "heads", 1, 64, 4, &heads);
  if (status == TT_OK)
    status = tt_train_option_integer(config, "steps", 1, TT_DDPM_STEPS, 8, &steps);
  if (status == TT_OK)
    status = tt_train_option_integer(config, "fresh", 1, (long long)ddpm->base.context / 2,
                                     (long long)ddpm->base.context / 2, &fresh);
  if (status != TT_OK)
    return status;
  if (width % (2 * heads) != 0)
    return tt_fail(TT_USAGE, "width %lld is not a multiple of twice the %lld heads", width, heads);
  const char *predict = tt_train_option_text(config, "predict", "eps");
  const char *sampler = tt_train_option_text(config, "sampler", "ancestral");
  if (strcmp(predict, "eps") != 0 && strcmp(predict, "x0") != 0)
    return tt_fail(TT_USAGE, "predict is eps or x0, not '%s'", predict);
  if (strcmp(sampler, "ancestral") != 0 && strcmp(sampler, "ddim") != 0)
    return tt_fail(TT_USAGE, "sampler is ancestral or ddim, not '%s'", sampler);
  double lambda = 0, signal = 0;
  status = tt_train_option_real(config, "lambda", 0, 100, 1, &lambda);
  if (status == TT_OK)
    status = tt_train_option_real(config, "signal", 1e-3, 10, 0.25, &signal);
  if (status != TT_OK)
    return status;
  net->width = (size_t)width;
  net->layers = (size_t)layers;
  net->heads = (size_t)heads;
  net->lambda = (float)lambda;
  net->signal = (float)signal;
  net->predict_x0 = strcmp(predict, "x0") == 0;
  ddpm->sampler = strcmp(sampler, "ddim") == 0 ? TT_DDPM_DDIM : TT_DDPM_ANCESTRAL;
  ddpm->sample_steps = (size_t)steps;
  ddpm->fresh = (size_t)fresh;
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
  return tt_delay_bins_fit(ddpm->vocabulary, train, ddpm->base.stream, &ddpm->bins);
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
  if (!config.context)
    config.context = CONTEXT;
  if (config.context < CONTEXT_MIN || config.context > CONTEXT_MAX)
    return tt_fail(TT_USAGE, "context %zu is not within %d to %d", config.context, CONTEXT_MIN,
                   CONTEXT_MAX);
  if (!config.channels)
    config.channels = TT_CHANNELS_ALL;
  if (!config.steps && !(config.minutes > 0))
    config.minutes = DEFAULT_MINUTES;
  if (config.backbone && strcmp(config.backbone, "transformer") != 0)
    return tt_fail(TT_USAGE, "ddpm has no backbone '%s' (transformer)", config.backbone);
  struct tt_ddpm *ddpm = tt_calloc(1, sizeof *ddpm);
  if (!ddpm)
    return tt_fail(TT_NO_MEMORY, "out of memory");
  struct tt_denoiser_config net = {0};
  const struct tt_vocabulary_options options = {.stream = config.stream};
  enum tt_status status = tt_generator_init(&ddpm->base, &tt_ddpm_ops, &config);
  if (status == TT_OK)
    status = read_settings(ddpm, &config, &net);
  if (status == TT_OK)
    status = tt_vocabulary_learn(&config.train, 1, &options, &ddpm->vocabulary);
  if (status == TT_OK)
    status = tt_cast_build(config.train, config.seed, &ddpm->cast);
  if (status == TT_OK)
    status = learn_marginals(ddpm, config.train);
  if (status == TT_OK) {
    set_channels(ddpm, &net);
    status = build(ddpm, &net);
  }
  if (status == TT_OK)
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

static json_t *real_array(const double *values, size_t n) {
  json_t *array = json_array();
  for (size_t i = 0; array && i < n; i++)
    if (json_array_append_new(array, json_real(values[i])) != 0) {
      json_decref(array);
      return NULL;
    }
  return array;
}

static enum tt_status ddpm_save(const struct tt_generator *generator, const char *folder,
                                json_t *model) {
  const struct tt_ddpm *ddpm = (const struct tt_ddpm *)generator;
  const struct tt_denoiser_config *net = &ddpm->denoiser.config;
  struct tt_model_writer writer;
  tt_model_writer_init(&writer);
  /* the contexts: their CPUs, then their ids */
  const size_t n_contexts =
      ddpm->n_contexts * (1 + (ddpm->base.context - ddpm->fresh) * net->n_channels);
  int64_t *integers = tt_alloc(n_contexts, sizeof *integers);
  char *path = tt_format("%s/model.safetensors", folder);
  enum tt_status status = path ? TT_OK : tt_fail(TT_NO_MEMORY, "out of memory");
  if (status == TT_OK)
    status = tt_params_save(&ddpm->denoiser.params, "", &writer);
  if (status == TT_OK)
    status = tt_delay_bins_save(&ddpm->bins, &writer);
  if (status == TT_OK && !integers)
    status = tt_fail(TT_NO_MEMORY, "out of memory");
  if (status == TT_OK) {
    for (size_t i = 0; i < n_contexts; i++)
      integers[i] =
          i < ddpm->n_contexts ? ddpm->context_cpu[i] : ddpm->contexts[i - ddpm->n_contexts];
    status = tt_model_writer_add_integers(&writer, "contexts", integers, n_contexts);
  }
  if (status == TT_OK)
    status = tt_model_write(&writer, path);
  if (status == TT_OK) {
    json_t *architecture =
        json_pack("{s:s,s:I,s:I,s:I,s:s,s:f,s:f}", "backbone", "transformer", "width",
                  (json_int_t)net->width, "layers", (json_int_t)net->layers, "heads",
                  (json_int_t)net->heads, "predict", net->predict_x0 ? "x0" : "eps", "lambda",
                  (double)net->lambda, "signal", (double)net->signal);
    json_t *sampling =
        json_pack("{s:s,s:I,s:I}", "sampler", ddpm->sampler == TT_DDPM_DDIM ? "ddim" : "ancestral",
                  "steps", (json_int_t)ddpm->sample_steps, "fresh", (json_int_t)ddpm->fresh);
    /* a NULL member (memory is short) makes its json_object_set_new fail */
    int failed = json_object_set_new(model, "architecture", architecture);
    failed |= json_object_set_new(model, "sampling", sampling);
    failed |= json_object_set_new(model, "vocabulary", tt_vocabulary_to_json(ddpm->vocabulary));
    failed |= json_object_set_new(model, "cast", tt_cast_to_json(&ddpm->cast));
    failed |=
        json_object_set_new(model, "cpu_share", real_array(ddpm->cpu_share, ddpm->base.cpu_limit));
    if (failed)
      status = tt_fail(TT_NO_MEMORY, "out of memory");
  }
  tt_model_writer_release(&writer);
  tt_free(integers);
  tt_free(path);
  return status;
}

static enum tt_status load_architecture(struct tt_ddpm *ddpm, const json_t *model,
                                        struct tt_denoiser_config *net) {
  const json_t *architecture = json_object_get(model, "architecture");
  const json_t *sampling = json_object_get(model, "sampling");
  double lambda, signal;
  const char *predict, *sampler;
  enum tt_status status = tt_json_get_size(architecture, "width", 16, MAX_WIDTH, &net->width);
  if (status == TT_OK)
    status = tt_json_get_size(architecture, "layers", 1, TT_MAX_LAYERS, &net->layers);
  if (status == TT_OK)
    status = tt_json_get_size(architecture, "heads", 1, 64, &net->heads);
  if (status == TT_OK)
    status = tt_json_get_real(architecture, "lambda", &lambda);
  if (status == TT_OK)
    status = tt_json_get_real(architecture, "signal", &signal);
  if (status == TT_OK)
    status = tt_json_get_string(architecture, "predict", &predict);
  if (status == TT_OK)
    status = tt_json_get_string(sampling, "sampler", &sampler);
  if (status == TT_OK)
    status = tt_json_get_size(sampling, "steps", 1, TT_DDPM_STEPS, &ddpm->sample_steps);
  if (status == TT_OK)
    status = tt_json_get_size(sampling, "fresh", 1, ddpm->base.context / 2, &ddpm->fresh);
  if (status != TT_OK)
    return status;
  if (net->width % (2 * net->heads) != 0 || !(signal > 0) || !(lambda >= 0))
    return tt_fail(TT_BAD_INPUT, "model.json: impossible architecture");
  net->lambda = (float)lambda;
  net->signal = (float)signal;
  net->predict_x0 = strcmp(predict, "x0") == 0;
  ddpm->sampler = strcmp(sampler, "ddim") == 0 ? TT_DDPM_DDIM : TT_DDPM_ANCESTRAL;
  return TT_OK;
}

static enum tt_status load_contexts(struct tt_ddpm *ddpm, const struct tt_model_file *file) {
  const struct tt_denoiser_config *net = &ddpm->denoiser.config;
  const struct tt_model_tensor *t = tt_model_find(file, "contexts");
  size_t each = (ddpm->base.context - ddpm->fresh) * net->n_channels;
  if (!t || !t->integers || t->shape[0] == 0 || t->shape[0] % (1 + each) != 0)
    return tt_fail(TT_BAD_INPUT, "%s: no tensor contexts of the right size", tt_model_path(file));
  size_t n = t->shape[0] / (1 + each);
  ddpm->contexts = tt_alloc(n * each, sizeof *ddpm->contexts);
  ddpm->context_cpu = tt_alloc(n, sizeof *ddpm->context_cpu);
  if (!ddpm->contexts || !ddpm->context_cpu)
    return tt_fail(TT_NO_MEMORY, "out of memory");
  ddpm->n_contexts = n;
  for (size_t i = 0; i < t->shape[0]; i++) {
    size_t limit = i < n ? ddpm->base.cpu_limit : net->sizes[(i - n) % net->n_channels];
    if (t->integers[i] < 0 || (uint64_t)t->integers[i] >= limit)
      return tt_fail(TT_BAD_INPUT, "%s: contexts[%zu] is out of range", tt_model_path(file), i);
    *(i < n ? ddpm->context_cpu + i : ddpm->contexts + (i - n)) = (int32_t)t->integers[i];
  }
  return TT_OK;
}

static enum tt_status load_tensors(struct tt_ddpm *ddpm, const char *folder) {
  struct tt_model_file *file = NULL;
  char *path = tt_format("%s/model.safetensors", folder);
  enum tt_status status = path ? TT_OK : tt_fail(TT_NO_MEMORY, "out of memory");
  if (status == TT_OK)
    status = tt_model_open(path, &file);
  if (status == TT_OK)
    status = tt_params_load(&ddpm->denoiser.params, "", file);
  if (status == TT_OK)
    status = tt_delay_bins_load(file, &ddpm->bins);
  if (status == TT_OK)
    status = load_contexts(ddpm, file);
  tt_model_close(file);
  tt_free(path);
  return status;
}

static enum tt_status load_cpu_share(struct tt_ddpm *ddpm, const json_t *model) {
  const json_t *shares;
  size_t n = ddpm->base.cpu_limit;
  double sum = 0;
  enum tt_status status = tt_json_get_array(model, "cpu_share", n, &shares);
  if (status != TT_OK)
    return status;
  ddpm->cpu_share = tt_calloc(n, sizeof *ddpm->cpu_share);
  if (!ddpm->cpu_share)
    return tt_fail(TT_NO_MEMORY, "out of memory");
  for (size_t i = 0; i < json_array_size(shares); i++) {
    double share = json_number_value(json_array_get(shares, i));
    if (!(share >= 0 && share <= 1 + 1e-6))
      return tt_fail(TT_BAD_INPUT, "model.json: cpu_share[%zu] is not within 0 to 1", i);
    ddpm->cpu_share[i] = share;
    sum += share;
  }
  if (!(sum > 0.99))
    return tt_fail(TT_BAD_INPUT, "model.json: cpu_share does not sum to 1");
  return TT_OK;
}

static enum tt_status ddpm_load(const char *folder, const json_t *model,
                                struct tt_generator *common, struct tt_generator **ret) {
  struct tt_ddpm *ddpm = tt_calloc(1, sizeof *ddpm);
  if (!ddpm)
    return tt_fail(TT_NO_MEMORY, "out of memory");
  struct tt_denoiser_config net = {0};
  tt_generator_adopt(&ddpm->base, common);
  enum tt_status status = TT_OK;
  if (ddpm->base.context < CONTEXT_MIN || ddpm->base.context > CONTEXT_MAX)
    status = tt_fail(TT_BAD_INPUT, "model.json: context is not within %d to %d", CONTEXT_MIN,
                     CONTEXT_MAX);
  if (status == TT_OK)
    status = load_architecture(ddpm, model, &net);
  if (status == TT_OK)
    status = tt_vocabulary_from_json(json_object_get(model, "vocabulary"), &ddpm->vocabulary);
  if (status == TT_OK)
    status = tt_cast_from_json(json_object_get(model, "cast"), &ddpm->base.events,
                               ddpm->base.comms.n, ddpm->base.cpu_limit, &ddpm->cast);
  if (status == TT_OK)
    status = load_cpu_share(ddpm, model);
  if (status == TT_OK) {
    set_channels(ddpm, &net);
    status = build(ddpm, &net);
  }
  if (status == TT_OK)
    status = load_tensors(ddpm, folder);
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
    .options = OPTIONS,
    .train = ddpm_train,
    .generate = tt_ddpm_generate,
    .save = ddpm_save,
    .load = ddpm_load,
    .free = ddpm_free,
};
