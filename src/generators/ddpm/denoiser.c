#include "generators/ddpm/denoiser.h"

#include <stdio.h>
#include <string.h>

static const char *const BACKBONES[TT_N_BACKBONES] = {"transformer", "unet"};

const char *tt_backbone_name(enum tt_backbone backbone) {
  return BACKBONES[backbone];
}

bool tt_backbone_find(const char *name, enum tt_backbone *ret) {
  for (int i = 0; i < TT_N_BACKBONES; i++)
    if (strcmp(name, BACKBONES[i]) == 0) {
      *ret = (enum tt_backbone)i;
      return true;
    }
  return false;
}

static const struct tt_norm_spec PLAIN = {
    .gate = TT_NO_COLUMN, .shift = TT_NO_COLUMN, .scale = TT_NO_COLUMN};

static void init_embeddings(struct tt_denoiser *denoiser) {
  const struct tt_denoiser_config *config = &denoiser->config;
  struct tt_params *params = &denoiser->params;
  const char *names[TT_DDPM_MAX_CHANNELS], *known_name = "known", *cpu_name = "cpu";
  size_t sizes[TT_DDPM_MAX_CHANNELS], n = 0;
  denoiser->scalar = config->n_channels;
  for (size_t k = 0; k < config->n_channels; k++) {
    if (config->scalar_dt && strcmp(config->names[k], "dt") == 0) {
      denoiser->scalar = k;
      continue;
    }
    names[n] = config->names[k];
    sizes[n++] = config->sizes[k];
  }
  /* A plain sum keeps the scale it is given: PyTorch's, of standard normal tables. */
  const float std = config->plain_sum ? 1 : 0.2f;
  tt_embedding_init(&denoiser->embedding, params, "embedding", names, sizes, n, config->width, std);
  if (denoiser->scalar < config->n_channels)
    tt_linear_init(&denoiser->scalar_in, params, "embedding.dt", 1, config->width, true, std);
  const size_t known_size = 2;
  tt_embedding_init(&denoiser->known, params, "flag", &known_name, &known_size, 1, config->width,
                    -1);
  if (config->n_cpus)
    tt_embedding_init(&denoiser->condition, params, "condition", &cpu_name, &config->n_cpus, 1,
                      config->width, -1);
}

enum tt_status tt_denoiser_init(struct tt_denoiser *denoiser,
                                const struct tt_denoiser_config *config, uint64_t seed) {
  memset(denoiser, 0, sizeof *denoiser);
  denoiser->config = *config;
  struct tt_params *params = &denoiser->params;
  size_t d = config->width;
  tt_params_init(params);
  init_embeddings(denoiser);
  tt_timestep_init(&denoiser->timestep, params, "timestep", d, d);
  tt_linear_init(&denoiser->input, params, "input", d, d, true, -1);
  if (config->self_condition)
    tt_linear_init(&denoiser->self, params, "self", d, d, false, -1);
  if (config->backbone == TT_BACKBONE_UNET) {
    const struct tt_unet_config body = {
        .d = d, .heads = config->heads, .levels = config->layers, .d_condition = d};
    tt_unet_init(&denoiser->unet, params, "body", &body);
  } else {
    const struct tt_transformer_config body = {.d = d,
                                               .heads = config->heads,
                                               .layers = config->layers,
                                               .d_condition = d,
                                               .rotary = !config->no_positions};
    tt_transformer_init(&denoiser->transformer, params, "body", &body);
  }
  tt_linear_init(&denoiser->output, params, "output", d, d, true, 0);
  for (size_t k = 0; k < config->n_channels; k++) {
    char prefix[64];
    snprintf(prefix, sizeof prefix, "head.%s", config->names[k]);
    tt_linear_init(&denoiser->heads[k], params, prefix, d, config->sizes[k], true, 0.02f);
  }
  return tt_params_build(params, seed);
}

void tt_denoiser_release(struct tt_denoiser *denoiser) {
  tt_params_release(&denoiser->params);
}

/* The numbers of a scalar channel. */
static float *numbers_of(struct tt_compute *c, const struct tt_denoiser *denoiser,
                         const int32_t *ids, size_t rows) {
  float *numbers = tt_arena(c, rows, sizeof *numbers);
  for (size_t row = 0; row < rows; row++)
    numbers[row] = tt_number_of_id(ids[row * denoiser->config.n_channels + denoiser->scalar]);
  return numbers;
}

struct tt_tensor *tt_denoiser_embed(struct tt_compute *c, const struct tt_denoiser *denoiser,
                                    const int32_t *ids, size_t rows) {
  const size_t n = denoiser->config.n_channels;
  struct tt_tensor *sum;
  if (denoiser->scalar == n) {
    sum = tt_embedding_forward(c, &denoiser->embedding, ids, rows);
  } else {
    int32_t *rest = tt_arena(c, rows * (n - 1), sizeof *rest), *to = rest;
    for (size_t i = 0; i < rows * n; i++)
      if (i % n != denoiser->scalar)
        *to++ = ids[i];
    sum = tt_embedding_forward(c, &denoiser->embedding, rest, rows);
    struct tt_tensor *numbers = tt_input(c, numbers_of(c, denoiser, ids, rows), rows, 1);
    sum = tt_op_add(c, sum, tt_linear_forward(c, &denoiser->scalar_in, numbers, TT_ACT_NONE));
  }
  return denoiser->config.plain_sum ? sum : tt_op_norm(c, sum, &PLAIN, NULL);
}

struct tt_tensor *tt_denoiser_hidden(struct tt_compute *c, const struct tt_denoiser *denoiser,
                                     struct tt_tensor *x, const struct tt_denoiser_batch *batch) {
  const size_t windows = batch->windows, length = batch->length, rows = windows * length;
  int32_t *flags = tt_arena(c, rows, sizeof *flags);
  float *times = tt_arena(c, windows, sizeof *times);
  for (size_t w = 0; w < windows; w++) {
    times[w] = (float)batch->t[w];
    for (size_t i = 0; i < length; i++)
      flags[w * length + i] = i < batch->prefix[w];
  }
  struct tt_tensor *condition = tt_timestep_forward(c, &denoiser->timestep, times, windows);
  if (denoiser->config.n_cpus)
    condition = tt_op_add(c, condition,
                          tt_embedding_forward(c, &denoiser->condition, batch->cpus, windows));
  struct tt_tensor *in = tt_linear_forward(c, &denoiser->input, x, TT_ACT_NONE);
  in = tt_op_add(c, in, tt_embedding_forward(c, &denoiser->known, flags, rows));
  if (batch->estimate) {
    struct tt_tensor *estimate = tt_input(c, batch->estimate, rows, x->cols);
    in = tt_op_add(c, in, tt_linear_forward(c, &denoiser->self, estimate, TT_ACT_NONE));
  }
  if (denoiser->config.backbone == TT_BACKBONE_UNET)
    return tt_unet_forward(c, &denoiser->unet, in, windows, condition);
  const struct tt_attention_spec spec = {.batch = windows, .length = length, .mask = TT_MASK_NONE};
  return tt_transformer_forward(c, &denoiser->transformer, in, &spec, condition, NULL);
}

/* x_t of a batch: h0 where known, noised elsewhere. *ret_weights: 1 per unknown row. */
static struct tt_tensor *noised(struct tt_compute *c, const struct tt_denoiser *denoiser,
                                const struct tt_schedule *schedule,
                                const struct tt_denoiser_batch *batch, struct tt_tensor *h0,
                                float *weights) {
  const size_t rows = batch->windows * batch->length;
  float *signal = tt_arena(c, rows, sizeof *signal), *noise = tt_arena(c, rows, sizeof *noise);
  for (size_t w = 0; w < batch->windows; w++) {
    float a, b;
    tt_schedule_forward(schedule, batch->t[w], &a, &b);
    for (size_t i = 0; i < batch->length; i++) {
      size_t row = w * batch->length + i;
      bool known = i < batch->prefix[w];
      signal[row] = known ? 1 : a * denoiser->config.signal;
      noise[row] = known ? 0 : b;
      weights[row] = known ? 0 : 1;
    }
  }
  struct tt_tensor *eps = tt_input(c, batch->eps, rows, denoiser->config.width);
  return tt_op_axpby(c, h0, eps, signal, noise, rows);
}

void tt_denoiser_estimate(struct tt_compute *c, const struct tt_denoiser *denoiser,
                          const struct tt_schedule *schedule, const struct tt_denoiser_batch *batch,
                          struct tt_tensor *x, struct tt_tensor *output, float *out) {
  struct tt_tensor *h0 = output;
  if (!denoiser->config.predict_x0) { /* in proportion to h0: the norm does not see the factor */
    float *one = tt_arena(c, batch->windows, sizeof *one);
    float *minus = tt_arena(c, batch->windows, sizeof *minus);
    for (size_t w = 0; w < batch->windows; w++) {
      float a, b;
      tt_schedule_forward(schedule, batch->t[w], &a, &b);
      one[w] = 1;
      minus[w] = -b;
    }
    h0 = tt_op_axpby(c, x, output, one, minus, batch->windows);
  }
  tt_tensor_read(tt_op_norm(c, h0, &PLAIN, NULL), out);
  for (size_t w = 0; w < batch->windows; w++)
    memset(out + w * batch->length * x->cols, 0, batch->prefix[w] * x->cols * sizeof *out);
}

void tt_denoiser_first_pass(struct tt_compute *c, const struct tt_denoiser *denoiser,
                            const struct tt_schedule *schedule,
                            const struct tt_denoiser_batch *batch, float *out) {
  TT_ASSERT(!c->record && !batch->estimate);
  const size_t rows = batch->windows * batch->length;
  float *weights = tt_arena(c, rows, sizeof *weights);
  struct tt_tensor *h0 = tt_denoiser_embed(c, denoiser, batch->ids, rows);
  struct tt_tensor *x = noised(c, denoiser, schedule, batch, h0, weights);
  struct tt_tensor *hidden = tt_denoiser_hidden(c, denoiser, x, batch);
  struct tt_tensor *output = tt_linear_forward(c, &denoiser->output, hidden, TT_ACT_NONE);
  tt_denoiser_estimate(c, denoiser, schedule, batch, x, output, out);
}

struct tt_tensor *tt_denoiser_loss(struct tt_compute *c, const struct tt_denoiser *denoiser,
                                   const struct tt_schedule *schedule,
                                   const struct tt_denoiser_batch *batch, float *ret_ce) {
  const struct tt_denoiser_config *config = &denoiser->config;
  const size_t d = config->width, n = config->n_channels, rows = batch->windows * batch->length;
  float *weights = tt_arena(c, rows, sizeof *weights);
  int32_t *targets = tt_arena(c, rows, sizeof *targets);
  struct tt_tensor *h0 = tt_denoiser_embed(c, denoiser, batch->ids, rows);
  struct tt_tensor *x = noised(c, denoiser, schedule, batch, h0, weights);
  struct tt_tensor *hidden = tt_denoiser_hidden(c, denoiser, x, batch);
  struct tt_tensor *parts[TT_DDPM_MAX_CHANNELS + 1];
  float factors[TT_DDPM_MAX_CHANNELS + 1];
  const float *target = batch->eps;
  if (config->predict_x0) { /* the target is a constant: no gradient may shrink the embeddings */
    float *copy = tt_arena(c, rows * d, sizeof *copy);
    tt_tensor_read(h0, copy);
    target = copy;
  }
  parts[0] =
      tt_op_mse(c, tt_linear_forward(c, &denoiser->output, hidden, TT_ACT_NONE), target, weights);
  factors[0] = 1;
  float ce = 0;
  for (size_t k = 0; k < n; k++) {
    struct tt_param *weight = denoiser->heads[k].weight, *bias = denoiser->heads[k].bias;
    factors[k + 1] = config->lambda;
    if (k == denoiser->scalar) {
      parts[k + 1] = tt_op_mse(c, tt_op_linear_f32(c, hidden, weight, bias),
                               numbers_of(c, denoiser, batch->ids, rows), weights);
      continue;
    }
    for (size_t row = 0; row < rows; row++)
      targets[row] = weights[row] > 0 ? batch->ids[row * n + k] : -1;
    parts[k + 1] = tt_op_head_loss(c, hidden, weight, bias, targets, NULL, 0, NULL);
    ce += tt_tensor_value(parts[k + 1]);
  }
  if (ret_ce)
    *ret_ce = ce;
  return tt_op_sum(c, parts, factors, n + 1);
}
