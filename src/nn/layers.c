#include "nn/layers.h"

#include <math.h>
#include <stdio.h>

void tt_linear_init(struct tt_linear *linear, struct tt_params *params, const char *prefix,
                    size_t in, size_t out, bool bias, float std) {
  float scale = std < 0 ? 1 / sqrtf((float)in) : std;
  linear->weight = tt_params_add(params, std == 0 ? TT_INIT_ZERO : TT_INIT_NORMAL, scale, true, out,
                                 in, "%s.weight", prefix);
  linear->bias =
      bias ? tt_params_add(params, TT_INIT_ZERO, 0, false, 1, out, "%s.bias", prefix) : NULL;
}

struct tt_tensor *tt_linear_forward(struct tt_compute *c, const struct tt_linear *linear,
                                    struct tt_tensor *x, enum tt_act act) {
  return tt_op_linear(c, x, linear->weight, linear->bias, act);
}

void tt_embedding_init(struct tt_embedding *embedding, struct tt_params *params, const char *prefix,
                       const char *const *names, const size_t *sizes, size_t n, size_t d,
                       float std) {
  TT_ASSERT(n > 0 && n <= TT_MAX_CHANNELS);
  embedding->n = n;
  for (size_t k = 0; k < n; k++)
    embedding->tables[k] = tt_params_add(params, TT_INIT_NORMAL, std < 0 ? 0.02f : std, false,
                                         sizes[k], d, "%s.%s.weight", prefix, names[k]);
}

struct tt_tensor *tt_embedding_forward(struct tt_compute *c, const struct tt_embedding *embedding,
                                       const int32_t *ids, size_t rows) {
  return tt_op_embed(c, embedding->tables, embedding->n, ids, rows);
}

void tt_norm_init(struct tt_norm *norm, struct tt_params *params, const char *prefix, size_t d) {
  norm->gamma = tt_params_add(params, TT_INIT_ONE, 0, false, 1, d, "%s.weight", prefix);
  norm->beta = tt_params_add(params, TT_INIT_ZERO, 0, false, 1, d, "%s.bias", prefix);
}

struct tt_tensor *tt_norm_forward(struct tt_compute *c, const struct tt_norm *norm,
                                  struct tt_tensor *x) {
  return tt_op_norm(c, x, &(struct tt_norm_spec){.gamma = norm->gamma, .beta = norm->beta}, NULL);
}

struct tt_tensor *tt_timestep_sinusoid(struct tt_compute *c, const float *t, size_t n, size_t d) {
  TT_ASSERT(d > 0 && d % 2 == 0);
  const size_t half = d / 2;
  float *values = tt_arena(c, n * d, sizeof *values);
  for (size_t k = 0; k < half; k++) {
    double frequency = pow(10000, -(double)k / (double)half);
    for (size_t i = 0; i < n; i++) {
      values[i * d + k] = (float)cos((double)t[i] * frequency);
      values[i * d + half + k] = (float)sin((double)t[i] * frequency);
    }
  }
  return tt_input(c, values, n, d);
}

void tt_timestep_init(struct tt_timestep *timestep, struct tt_params *params, const char *prefix,
                      size_t d, size_t d_out) {
  char name[256];
  timestep->d = d;
  snprintf(name, sizeof name, "%s.in", prefix);
  tt_linear_init(&timestep->in, params, name, d, d_out, true, -1);
  snprintf(name, sizeof name, "%s.out", prefix);
  tt_linear_init(&timestep->out, params, name, d_out, d_out, true, -1);
}

struct tt_tensor *tt_timestep_forward(struct tt_compute *c, const struct tt_timestep *timestep,
                                      const float *t, size_t n) {
  struct tt_tensor *x = tt_timestep_sinusoid(c, t, n, timestep->d);
  x = tt_linear_forward(c, &timestep->in, x, TT_ACT_SILU);
  return tt_linear_forward(c, &timestep->out, x, TT_ACT_NONE);
}
