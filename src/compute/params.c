#include "compute/params.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "compute/block.h"
#include "compute/simd/gemm_bf16.h"
#include "compute/tape.h"

void tt_params_init(struct tt_params *params) {
  *params = (struct tt_params){0};
}

void tt_params_release(struct tt_params *params) {
  for (size_t i = 0; i < params->n; i++) {
    tt_free(params->list[i]->name);
    tt_free(params->list[i]);
  }
  tt_free(params->list);
  free(params->data);
  free(params->grad);
  free(params->shadow);
  free(params->packed);
  tt_params_init(params);
}

struct tt_param *tt_params_add(struct tt_params *params, enum tt_init init, float scale,
                               bool product, size_t rows, size_t cols, const char *name_format,
                               ...) {
  static struct tt_param placeholder; /* never read: build fails first */
  TT_ASSERT(!params->data && rows > 0 && cols > 0);
  char name[256];
  va_list args;
  va_start(args, name_format);
  int length = vsnprintf(name, sizeof name, name_format, args);
  va_end(args);
  TT_ASSERT(length > 0 && (size_t)length < sizeof name);
  TT_ASSERT(!tt_params_find(params, name));
  struct tt_param *param = tt_calloc(1, sizeof *param);
  char *copy = tt_strdup(name);
  if (!param || !copy ||
      tt_grow(&params->list, &params->capacity, params->n + 1, sizeof(struct tt_param *))) {
    tt_free(param);
    tt_free(copy);
    params->failed = true;
    return &placeholder;
  }
  *param = (struct tt_param){.name = copy,
                             .rows = rows,
                             .cols = cols,
                             .init = init,
                             .scale = scale,
                             .decay = product,
                             .product = product};
  params->list[params->n++] = param;
  return param;
}

/* Cleared, 64-byte aligned. */
static void *aligned_array(size_t count, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes) || __builtin_add_overflow(bytes, 127, &bytes))
    return NULL;
  bytes = bytes / 64 * 64;
  void *p = aligned_alloc(64, bytes);
  if (p)
    memset(p, 0, bytes);
  return p;
}

static void draw_initial(const struct tt_param *param, uint64_t seed, uint64_t stream) {
  struct tt_rng rng;
  tt_rng_init(&rng, seed, stream);
  for (size_t k = 0; k < param->rows * param->cols; k++)
    switch (param->init) {
    case TT_INIT_ZERO:
      param->data[k] = 0;
      break;
    case TT_INIT_ONE:
      param->data[k] = 1;
      break;
    case TT_INIT_NORMAL:
      param->data[k] = (float)(param->scale * tt_rng_normal(&rng));
      break;
    case TT_INIT_UNIFORM:
      param->data[k] = (float)(param->scale * (2 * tt_rng_uniform(&rng) - 1));
      break;
    }
}

enum tt_status tt_params_build(struct tt_params *params, uint64_t seed) {
  TT_ASSERT(!params->data);
  bool pack = tt_cpu_has_bf16();
  size_t packed = 0;
  params->total = 0;
  for (size_t i = 0; i < params->n; i++) {
    struct tt_param *param = params->list[i];
    size_t count;
    if (__builtin_mul_overflow(param->rows, param->cols, &count) || count > SIZE_MAX / 64)
      return tt_fail(TT_NO_MEMORY, "parameter %s: %zu x %zu", param->name, param->rows,
                     param->cols);
    param->offset = params->total;
    params->total += (count + 15) / 16 * 16;
    if (pack && param->product)
      packed += tt_packed_size(param->cols, param->rows) + tt_packed_size(param->rows, param->cols);
  }
  if (!params->failed) {
    params->data = aligned_array(params->total, sizeof(float));
    params->grad = aligned_array(params->total, sizeof(float));
    params->shadow = aligned_array(params->total, sizeof(tt_bf16));
    params->packed = aligned_array(packed, sizeof(tt_bf16));
  }
  if (params->failed || !params->data || !params->grad || !params->shadow || !params->packed)
    return tt_fail(TT_NO_MEMORY, "%zu parameters", params->total);
  tt_bf16 *next = params->packed;
  for (size_t i = 0; i < params->n; i++) {
    struct tt_param *param = params->list[i];
    param->data = params->data + param->offset;
    param->grad = params->grad + param->offset;
    param->shadow = params->shadow + param->offset;
    if (pack && param->product) {
      param->packed = next;
      next += tt_packed_size(param->cols, param->rows);
      param->packed_transposed = next;
      next += tt_packed_size(param->rows, param->cols);
    }
    draw_initial(param, seed, i);
  }
  tt_params_refresh(params);
  return TT_OK;
}

size_t tt_params_count(const struct tt_params *params) {
  size_t count = 0;
  for (size_t i = 0; i < params->n; i++)
    count += params->list[i]->rows * params->list[i]->cols;
  return count;
}

void tt_params_zero_grad(struct tt_params *params) {
  tt_block_zero(params->grad, params->total * sizeof *params->grad);
}

void tt_params_refresh(struct tt_params *params) {
#pragma omp parallel for schedule(dynamic, 1) if (params->total > TT_PARALLEL_ELEMENTS)
  for (size_t i = 0; i < params->n; i++) {
    const struct tt_param *param = params->list[i];
    tt_convert_from_f32(param->shadow, TT_BF16, param->data, param->rows * param->cols);
    if (param->packed)
      tt_simd_pack_weight(param);
  }
}

struct tt_param *tt_params_find(const struct tt_params *params, const char *name) {
  for (size_t i = 0; i < params->n; i++)
    if (strcmp(params->list[i]->name, name) == 0)
      return params->list[i];
  return NULL;
}
