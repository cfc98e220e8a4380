#include "model.h"

#include "base/mem.h"
#include "compute/model_file.h"
#include "generators/ddpm/denoiser.h"
#include "predictor/model.h"
#include "predictor/windows.h"

enum { SEED = 1, CHANNELS = 6, EVENTS = 200, COMMS = 500, RETS = 1024, CPUS = 8 };

struct bench_model {
  struct bench_shape shape;
  int32_t *ids;     /* [events, CHANNELS] */
  int32_t *targets; /* predictor: [events] */
  /* denoiser */
  size_t *prefix, *t; /* [windows] */
  float *eps;         /* [events, width] */
  struct tt_schedule schedule;
  struct tt_denoiser denoiser;
  struct tt_compute *compute;
  /* predictor: has its own parameters and compute */
  struct tt_predictor_model *predictor;
};

const char *bench_kind_name(enum bench_kind kind) {
  return kind == BENCH_DENOISER ? "denoiser" : "predictor";
}

static size_t channel_size(const struct tt_vocabulary *vocabulary, enum tt_channel channel) {
  return channel == TT_CHANNEL_dt ? TT_DT_BINS : tt_channel_size(vocabulary, channel);
}

static enum tt_status open_network(struct bench_model *model,
                                   const struct tt_vocabulary *vocabulary,
                                   enum tt_precision precision) {
  const struct bench_shape *shape = &model->shape;
  if (shape->kind == BENCH_PREDICTOR) {
    struct tt_predictor_config config;
    tt_predictor_config_init(&config);
    config.context = shape->context;
    config.batch = shape->windows;
    config.layers = shape->layers;
    config.heads = shape->heads;
    config.width = shape->width;
    config.seed = SEED;
    config.precision = precision;
    return tt_predictor_model_init(&config, vocabulary, &model->predictor);
  }
  struct tt_denoiser_config config = {.width = shape->width,
                                      .layers = shape->layers,
                                      .heads = shape->heads,
                                      .n_channels = CHANNELS,
                                      .signal = 0.25f,
                                      .lambda = 1};
  for (unsigned k = 0; k < CHANNELS; k++) {
    config.sizes[k] = channel_size(vocabulary, (enum tt_channel)k);
    config.names[k] = tt_channel_name((enum tt_channel)k);
  }
  tt_schedule_linear(&model->schedule);
  enum tt_status status = tt_denoiser_init(&model->denoiser, &config, SEED);
  if (status == TT_OK)
    status = tt_compute_create(precision, SEED, &model->compute);
  return status;
}

static void stir_parameters(struct tt_params *params) {
  for (size_t i = 0; i < params->n; i++) {
    struct tt_param *param = params->list[i];
    struct tt_rng rng;
    tt_rng_init(&rng, SEED + 1, i);
    for (size_t j = 0; j < param->rows * param->cols; j++)
      param->data[j] += 0.02f * (float)tt_rng_normal(&rng);
  }
  tt_params_refresh(params);
}

static enum tt_status make_batch(struct bench_model *model,
                                 const struct tt_vocabulary *vocabulary) {
  const struct bench_shape *shape = &model->shape;
  size_t events = shape->context * shape->windows;
  bool denoiser = shape->kind == BENCH_DENOISER;
  model->ids = tt_alloc(events * CHANNELS, sizeof *model->ids);
  model->targets = tt_alloc(events, sizeof *model->targets);
  model->prefix = tt_alloc(shape->windows, sizeof *model->prefix);
  model->t = tt_alloc(shape->windows, sizeof *model->t);
  model->eps = tt_alloc(denoiser ? events * shape->width : 0, sizeof *model->eps);
  if (!model->ids || !model->targets || !model->prefix || !model->t || !model->eps)
    return tt_fail(TT_NO_MEMORY, "a batch of %zu events", events);
  struct tt_rng rng;
  tt_rng_init(&rng, SEED + 2, 0);
  for (size_t i = 0; i < events; i++) {
    for (unsigned k = 0; k < CHANNELS; k++)
      model->ids[i * CHANNELS + k] =
          (int32_t)tt_rng_below(&rng, channel_size(vocabulary, (enum tt_channel)k));
    model->targets[i] = (int32_t)tt_rng_below(&rng, EVENTS);
  }
  for (size_t w = 0; w < shape->windows; w++) {
    model->prefix[w] = tt_rng_below(&rng, shape->context);
    model->t[w] = 1 + tt_rng_below(&rng, TT_DDPM_STEPS);
  }
  for (size_t i = 0; denoiser && i < events * shape->width; i++)
    model->eps[i] = (float)tt_rng_normal(&rng);
  return TT_OK;
}

enum tt_status bench_model_new(const struct bench_shape *shape, enum tt_precision precision,
                               struct bench_model **ret) {
  _Static_assert((int)CHANNELS == (int)TT_N_CHANNELS, "all channels are read");
  /* Only the numbers of ids are looked at. */
  const struct tt_vocabulary vocabulary = {
      .events = {.n = EVENTS}, .comms = {.n = COMMS}, .n_rets = RETS, .n_cpus = CPUS};
  struct bench_model *model = tt_calloc(1, sizeof *model);
  if (!model)
    return tt_fail(TT_NO_MEMORY, "a model");
  model->shape = *shape;
  enum tt_status status = open_network(model, &vocabulary, precision);
  if (status == TT_OK)
    status = make_batch(model, &vocabulary);
  if (status != TT_OK) {
    bench_model_free(model);
    return status;
  }
  stir_parameters(bench_model_params(model));
  *ret = model;
  return TT_OK;
}

void bench_model_free(struct bench_model *model) {
  if (!model)
    return;
  tt_predictor_model_free(model->predictor);
  tt_denoiser_release(&model->denoiser);
  tt_compute_free(model->compute);
  tt_free(model->ids);
  tt_free(model->targets);
  tt_free(model->prefix);
  tt_free(model->t);
  tt_free(model->eps);
  tt_free(model);
}

struct tt_compute *bench_model_compute(struct bench_model *model) {
  return model->predictor ? model->predictor->compute : model->compute;
}

struct tt_params *bench_model_params(struct bench_model *model) {
  return model->predictor ? &model->predictor->params : &model->denoiser.params;
}

struct tt_tensor *bench_model_loss(struct bench_model *model, uint64_t step) {
  const struct bench_shape *shape = &model->shape;
  if (model->predictor)
    return tt_predictor_model_loss(model->predictor, shape->windows, model->ids, model->targets,
                                   step);
  const struct tt_denoiser_batch batch = {.windows = shape->windows,
                                          .length = shape->context,
                                          .ids = model->ids,
                                          .prefix = model->prefix,
                                          .t = model->t,
                                          .eps = model->eps};
  tt_compute_begin(model->compute, true, step);
  return tt_denoiser_loss(model->compute, &model->denoiser, &model->schedule, &batch, NULL);
}

/* safetensors files here hold floats: all ids are whole numbers far below 2^24. */
static float *as_floats(const int32_t *ids, const size_t *sizes, size_t n) {
  float *ret = tt_alloc(n, sizeof *ret);
  for (size_t i = 0; ret && i < n; i++)
    ret[i] = sizes ? (float)sizes[i] : (float)ids[i];
  return ret;
}

enum tt_status bench_model_dump(struct bench_model *model, const char *path) {
  const size_t windows = model->shape.windows, events = windows * model->shape.context;
  const size_t ids_shape[] = {events, CHANNELS}, eps_shape[] = {events, model->shape.width},
               one = 1;
  const float loss = tt_tensor_value(bench_model_loss(model, 0));
  float *ids = as_floats(model->ids, NULL, events * CHANNELS),
        *targets = as_floats(model->targets, NULL, events),
        *prefix = as_floats(NULL, model->prefix, windows), *t = as_floats(NULL, model->t, windows);
  const struct {
    const char *name;
    const float *data;
    const size_t *shape;
    size_t rank;
  } tensors[] = {{"batch.ids", ids, ids_shape, 2},        {"batch.targets", targets, &events, 1},
                 {"batch.prefix", prefix, &windows, 1},   {"batch.t", t, &windows, 1},
                 {"batch.eps", model->eps, eps_shape, 2}, {"loss", &loss, &one, 1}};
  const size_t n = sizeof tensors / sizeof *tensors;
  struct tt_model_writer writer;
  tt_model_writer_init(&writer);
  enum tt_status status =
      ids && targets && prefix && t ? TT_OK : tt_fail(TT_NO_MEMORY, "a batch to write");
  if (status == TT_OK)
    status = tt_params_save(bench_model_params(model), "", &writer);
  for (size_t i = 0; i < n && status == TT_OK; i++)
    if (tensors[i].data != model->eps || model->shape.kind == BENCH_DENOISER)
      status = tt_model_writer_add(&writer, tensors[i].name, tensors[i].data, tensors[i].shape,
                                   tensors[i].rank);
  if (status == TT_OK)
    status = tt_model_write(&writer, path);
  tt_model_writer_release(&writer);
  tt_free(ids);
  tt_free(targets);
  tt_free(prefix);
  tt_free(t);
  return status;
}
