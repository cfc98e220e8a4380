#include "compute/optimizer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/output.h"
#include "compute/block.h"

#define CHUNK ((size_t)16384) /* floats per partial sum: fixed, whatever the number of threads */

struct tt_optimizer_config tt_optimizer_defaults(void) {
  return (struct tt_optimizer_config){.learning_rate = 1e-3f,
                                      .beta1 = 0.9f,
                                      .beta2 = 0.99f,
                                      .epsilon = 1e-8f,
                                      .weight_decay = 0.01f,
                                      .clip_norm = 1};
}

enum tt_status tt_optimizer_init(struct tt_optimizer *optimizer, struct tt_params *params,
                                 const struct tt_optimizer_config *config) {
  TT_ASSERT(params->data);
  struct tt_optimizer o = {.config = *config, .params = params};
  o.m = tt_calloc(params->total, sizeof(float));
  o.v = tt_calloc(params->total, sizeof(float));
  o.ema = config->ema_decay > 0 ? tt_alloc(params->total, sizeof(float)) : NULL;
  if (!o.m || !o.v || (config->ema_decay > 0 && !o.ema)) {
    tt_optimizer_release(&o);
    return tt_fail(TT_NO_MEMORY, "optimizer of %zu parameters", params->total);
  }
  if (o.ema)
    memcpy(o.ema, params->data, params->total * sizeof(float));
  *optimizer = o;
  return TT_OK;
}

void tt_optimizer_release(struct tt_optimizer *optimizer) {
  tt_free(optimizer->m);
  tt_free(optimizer->v);
  tt_free(optimizer->ema);
  *optimizer = (struct tt_optimizer){0};
}

/* sqrt of the sum of squares; partial sums per chunk, added in order. NaN or infinity come through.
 */
static double global_norm(const float *x, size_t n) {
  size_t chunks = (n + CHUNK - 1) / CHUNK;
  double total = 0;
  /* Batches of chunks, so that the partial sums need no allocation. */
  for (size_t base = 0; base < chunks; base += 1024) {
    double partial[1024];
    size_t count = chunks - base < 1024 ? chunks - base : 1024;
#pragma omp parallel for schedule(static) if (n > TT_PARALLEL_ELEMENTS)
    for (size_t c = 0; c < count; c++) {
      size_t first = (base + c) * CHUNK, end = n - first < CHUNK ? n : first + CHUNK;
      double sum = 0;
#pragma omp simd reduction(+ : sum)
      for (size_t i = first; i < end; i++)
        sum += (double)x[i] * (double)x[i];
      partial[c] = sum;
    }
    for (size_t c = 0; c < count; c++)
      total += partial[c];
  }
  return sqrt(total);
}

struct update {
  float clip, decay, rate, beta1, beta2, correction2, epsilon, ema;
};

/* PyTorch's AdamW: p -= lr wd p; m, v averages of g, g^2; p -= lr/(1-b1^t) m / (sqrt(v/(1-b2^t)) +
 * eps). `rate` holds lr/(1-b1^t), `correction2` 1/sqrt(1-b2^t). Clears the gradient. */
static void update_range(float *restrict p, float *restrict g, float *restrict m, float *restrict v,
                         float *restrict ema, size_t n, struct update u) {
#pragma omp simd
  for (size_t i = 0; i < n; i++) {
    float grad = g[i] * u.clip;
    g[i] = 0;
    m[i] = u.beta1 * m[i] + (1 - u.beta1) * grad;
    v[i] = u.beta2 * v[i] + (1 - u.beta2) * grad * grad;
    p[i] = p[i] * (1 - u.decay) - u.rate * m[i] / (sqrtf(v[i]) * u.correction2 + u.epsilon);
  }
  if (ema)
#pragma omp simd
    for (size_t i = 0; i < n; i++)
      ema[i] += (1 - u.ema) * (p[i] - ema[i]);
}

struct tt_step_result tt_optimizer_step(struct tt_optimizer *o, double factor) {
  TT_ASSERT(!o->ema_swapped);
  struct tt_params *params = o->params;
  const struct tt_optimizer_config *config = &o->config;
  struct tt_step_result result = {.grad_norm = global_norm(params->grad, params->total)};
  if (!isfinite(result.grad_norm)) {
    result.skipped = true;
    tt_params_zero_grad(params);
    return result;
  }
  o->step++;
  const double t = (double)o->step, rate = (double)config->learning_rate * factor;
  struct update u = {
      .clip = 1,
      .rate = (float)(rate / (1 - pow((double)config->beta1, t))),
      .beta1 = config->beta1,
      .beta2 = config->beta2,
      .correction2 = (float)(1 / sqrt(1 - pow((double)config->beta2, t))),
      .epsilon = config->epsilon,
      .ema = fminf(config->ema_decay, (float)(t / (9 + t))),
  };
  if (config->clip_norm > 0 && result.grad_norm > (double)config->clip_norm)
    u.clip = (float)((double)config->clip_norm / result.grad_norm);
  for (size_t k = 0; k < params->n; k++) {
    const struct tt_param *param = params->list[k];
    u.decay = param->decay ? (float)(rate * (double)config->weight_decay) : 0;
    const size_t count = param->rows * param->cols, chunks = (count + CHUNK - 1) / CHUNK;
#pragma omp parallel for schedule(static) if (chunks > 1)
    for (size_t c = 0; c < chunks; c++) {
      const size_t at = param->offset + c * CHUNK, left = count - c * CHUNK;
      update_range(params->data + at, params->grad + at, o->m + at, o->v + at,
                   o->ema ? o->ema + at : NULL, left < CHUNK ? left : CHUNK, u);
    }
  }
  tt_params_refresh(params);
  return result;
}

void tt_optimizer_swap_ema(struct tt_optimizer *o) {
  if (!o->ema)
    return;
  for (size_t i = 0; i < o->params->total; i++) {
    float p = o->params->data[i];
    o->params->data[i] = o->ema[i];
    o->ema[i] = p;
  }
  o->ema_swapped = !o->ema_swapped;
  tt_params_refresh(o->params);
}

double tt_schedule_cosine(double step, double warmup, double total, double floor) {
  if (step < warmup)
    return (step + 1) / (warmup + 1);
  if (step >= total)
    return floor;
  return floor + (1 - floor) * 0.5 * (1 + cos(M_PI * (step - warmup) / (total - warmup)));
}

/* ---- state ---- */

static const char *const PREFIXES[] = {"optimizer.m.", "optimizer.v.", "ema."};

static float *array_of(const struct tt_optimizer *o, size_t kind) {
  return kind == 0 ? o->m : kind == 1 ? o->v : o->ema;
}

enum tt_status tt_optimizer_save(const struct tt_optimizer *o, struct tt_model_writer *writer) {
  TT_ASSERT(!o->ema_swapped);
  for (size_t kind = 0; kind < 3; kind++)
    for (size_t k = 0; array_of(o, kind) && k < o->params->n; k++) {
      const struct tt_param *param = o->params->list[k];
      char *name = tt_format("%s%s", PREFIXES[kind], param->name);
      if (!name)
        return tt_fail(TT_NO_MEMORY, "optimizer state");
      const size_t shape[] = {param->rows, param->cols};
      enum tt_status status =
          tt_model_writer_add(writer, name, array_of(o, kind) + param->offset, shape, 2);
      tt_free(name);
      if (status != TT_OK)
        return status;
    }
  char step[32];
  snprintf(step, sizeof step, "%llu", (unsigned long long)o->step);
  return tt_model_writer_meta(writer, "optimizer.step", step);
}

enum tt_status tt_optimizer_load(struct tt_optimizer *o, const struct tt_model_file *file) {
  TT_ASSERT(!o->ema_swapped);
  const char *text = tt_model_meta(file, "optimizer.step");
  char *end = NULL;
  unsigned long long step = text ? strtoull(text, &end, 10) : 0;
  if (!text || end == text || *end)
    return tt_fail(TT_BAD_INPUT, "%s: no optimizer.step", tt_model_path(file));
  /* All of it is looked up before any of it is taken. */
  for (int pass = 0; pass < 2; pass++)
    for (size_t kind = 0; kind < 3; kind++)
      for (size_t k = 0; array_of(o, kind) && k < o->params->n; k++) {
        const struct tt_param *param = o->params->list[k];
        char *name = tt_format("%s%s", PREFIXES[kind], param->name);
        if (!name)
          return tt_fail(TT_NO_MEMORY, "optimizer state");
        const struct tt_model_tensor *t = tt_model_find(file, name);
        tt_free(name);
        if (!t || t->rank != 2 || t->shape[0] != param->rows || t->shape[1] != param->cols)
          return tt_fail(TT_BAD_INPUT, "%s: %s%s is missing or of another shape",
                         tt_model_path(file), PREFIXES[kind], param->name);
        if (pass == 1)
          memcpy(array_of(o, kind) + param->offset, t->data,
                 param->rows * param->cols * sizeof(float));
      }
  o->step = step;
  return TT_OK;
}
