#include "generators/ddpm/denoiser.h"

#include <stdio.h>
#include <string.h>

enum tt_status tt_denoiser_init(struct tt_denoiser *denoiser,
                                const struct tt_denoiser_config *config, uint64_t seed) {
  memset(denoiser, 0, sizeof *denoiser);
  denoiser->config = *config;
  struct tt_params *params = &denoiser->params;
  size_t d = config->width;
  tt_params_init(params);
  tt_embedding_init(&denoiser->embedding, params, "embedding", config->names, config->sizes,
                    config->n_channels, d, 0.2f);
  const char *known_name = "known", *cpu_name = "cpu";
  const size_t known_size = 2;
  tt_embedding_init(&denoiser->known, params, "flag", &known_name, &known_size, 1, d, -1);
  if (config->n_cpus)
    tt_embedding_init(&denoiser->condition, params, "condition", &cpu_name, &config->n_cpus, 1, d,
                      -1);
  tt_timestep_init(&denoiser->timestep, params, "timestep", d, d);
  tt_linear_init(&denoiser->input, params, "input", d, d, true, -1);
  const struct tt_transformer_config body = {
      .d = d, .heads = config->heads, .layers = config->layers, .d_condition = d, .rotary = true};
  tt_transformer_init(&denoiser->body, params, "body", &body);
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

struct tt_tensor *tt_denoiser_embed(struct tt_compute *c, const struct tt_denoiser *denoiser,
                                    const int32_t *ids, size_t rows) {
  const struct tt_norm_spec plain = {
      .gate = TT_NO_COLUMN, .shift = TT_NO_COLUMN, .scale = TT_NO_COLUMN};
  struct tt_tensor *sum = tt_embedding_forward(c, &denoiser->embedding, ids, rows);
  return tt_op_norm(c, sum, &plain, NULL);
}

struct tt_tensor *tt_denoiser_hidden(struct tt_compute *c, const struct tt_denoiser *denoiser,
                                     struct tt_tensor *x, size_t windows, size_t length,
                                     const int32_t *cpus, const size_t *prefix, const size_t *t) {
  size_t rows = windows * length;
  int32_t *flags = tt_arena(c, rows, sizeof *flags);
  float *times = tt_arena(c, windows, sizeof *times);
  for (size_t w = 0; w < windows; w++) {
    times[w] = (float)t[w];
    for (size_t i = 0; i < length; i++)
      flags[w * length + i] = i < prefix[w];
  }
  struct tt_tensor *condition = tt_timestep_forward(c, &denoiser->timestep, times, windows);
  if (denoiser->config.n_cpus)
    condition =
        tt_op_add(c, condition, tt_embedding_forward(c, &denoiser->condition, cpus, windows));
  struct tt_tensor *in = tt_linear_forward(c, &denoiser->input, x, TT_ACT_NONE);
  in = tt_op_add(c, in, tt_embedding_forward(c, &denoiser->known, flags, rows));
  const struct tt_attention_spec spec = {.batch = windows, .length = length, .mask = TT_MASK_NONE};
  return tt_transformer_forward(c, &denoiser->body, in, &spec, condition, NULL);
}

struct tt_tensor *tt_denoiser_loss(struct tt_compute *c, const struct tt_denoiser *denoiser,
                                   const struct tt_schedule *schedule,
                                   const struct tt_denoiser_batch *batch, float *ret_ce) {
  const struct tt_denoiser_config *config = &denoiser->config;
  size_t d = config->width, n = config->n_channels, rows = batch->windows * batch->length;
  float *signal = tt_arena(c, rows, sizeof *signal), *noise = tt_arena(c, rows, sizeof *noise);
  float *weights = tt_arena(c, rows, sizeof *weights);
  int32_t *targets = tt_arena(c, rows, sizeof *targets);
  for (size_t w = 0; w < batch->windows; w++) {
    float a, b;
    tt_schedule_forward(schedule, batch->t[w], &a, &b);
    for (size_t i = 0; i < batch->length; i++) {
      size_t row = w * batch->length + i;
      bool known = i < batch->prefix[w];
      signal[row] = known ? 1 : a * config->signal;
      noise[row] = known ? 0 : b;
      weights[row] = known ? 0 : 1;
    }
  }
  struct tt_tensor *h0 = tt_denoiser_embed(c, denoiser, batch->ids, rows);
  struct tt_tensor *x = tt_op_axpby(c, h0, tt_input(c, batch->eps, rows, d), signal, noise, rows);
  struct tt_tensor *hidden = tt_denoiser_hidden(c, denoiser, x, batch->windows, batch->length,
                                                batch->cpus, batch->prefix, batch->t);
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
    for (size_t row = 0; row < rows; row++)
      targets[row] = weights[row] > 0 ? batch->ids[row * n + k] : -1;
    parts[k + 1] = tt_op_head_loss(c, hidden, denoiser->heads[k].weight, denoiser->heads[k].bias,
                                   targets, NULL, 0, NULL);
    factors[k + 1] = config->lambda;
    ce += tt_tensor_value(parts[k + 1]);
  }
  if (ret_ce)
    *ret_ce = ce;
  return tt_op_sum(c, parts, factors, n + 1);
}
