/* attention, its cached form for sampling, rotary positions, and the masks as intervals. */
#include <math.h>

#include "base/mem.h"
#include "compute/block.h"
#include "compute/kernels.h"

void tt_mask_interval(const struct tt_attention_spec *spec, size_t query, size_t *ret_begin,
                      size_t *ret_end) {
  size_t begin = 0, end = SIZE_MAX;
  switch (spec->mask) {
  case TT_MASK_NONE:
    break;
  case TT_MASK_CAUSAL:
    end = query + 1;
    break;
  case TT_MASK_BLOCK_CAUSAL:
    end = (query / spec->block + 1) * spec->block;
    break;
  case TT_MASK_WINDOW:
    end = query + 1;
    begin = end > spec->window ? end - spec->window : 0;
    break;
  case TT_MASK_WINDOW_BOTH:
    end = query + spec->window;
    begin = query + 1 > spec->window ? query + 1 - spec->window : 0;
    break;
  }
  *ret_begin = begin;
  *ret_end = end;
}

static void check_spec(const struct tt_tensor *qkv, const struct tt_attention_spec *spec) {
  TT_ASSERT(spec->batch > 0 && spec->length > 0 && qkv->rows == spec->batch * spec->length);
  TT_ASSERT(spec->heads > 0 && qkv->cols % (3 * spec->heads) == 0);
  TT_ASSERT(spec->mask != TT_MASK_BLOCK_CAUSAL || spec->block > 0);
  TT_ASSERT((spec->mask != TT_MASK_WINDOW && spec->mask != TT_MASK_WINDOW_BOTH) ||
            spec->window > 0);
}

/* Pairs of query and key that the mask lets through, per sequence and head. */
static double pairs(const struct tt_attention_spec *spec, size_t first, size_t keys) {
  double sum = 0;
  for (size_t i = 0; i < spec->length; i++) {
    size_t begin, end;
    tt_mask_interval(spec, first + i, &begin, &end);
    sum += (double)((end < keys ? end : keys) - begin);
  }
  return sum;
}

struct attention_args {
  struct tt_tensor *qkv, *y;
  struct tt_k_attention forward;
  double flops;
};

static void attention_backward(struct tt_compute *c, const struct tt_node *node) {
  const struct attention_args *a = node->args;
  const size_t d = a->y->cols, size = tt_dtype_size(a->qkv->dtype);
  bool accumulate;
  char *dqkv = tt_grad_target(c, a->qkv, &accumulate);
  if (!dqkv)
    return;
  char *to = accumulate ? tt_arena(c, a->qkv->rows * a->qkv->cols, size) : dqkv;
  c->kernels->attention_backward(&(struct tt_k_attention_backward){.forward = a->forward,
                                                                   .dout = tt_grad_of(a->y),
                                                                   .dq = to,
                                                                   .dk = to + d * size,
                                                                   .dv = to + 2 * d * size});
  if (accumulate)
    tt_block_add(dqkv, dqkv, to, a->qkv->dtype, a->qkv->rows * a->qkv->cols);
  c->times[TT_OP_attention].flops += 2.5 * a->flops;
}

struct tt_tensor *tt_op_attention(struct tt_compute *c, struct tt_tensor *qkv,
                                  const struct tt_attention_spec *spec) {
  check_spec(qkv, spec);
  double start = tt_op_start(c);
  const size_t d = qkv->cols / 3, L = spec->length, size = tt_dtype_size(qkv->dtype);
  struct tt_tensor *y = tt_tensor_new(c, qkv->dtype, qkv->rows, d);
  y->needs_grad = qkv->needs_grad;
  const char *q = qkv->data;
  struct attention_args *args = tt_arena(c, 1, sizeof *args);
  double flops = 4.0 * (double)(spec->batch * d) * pairs(spec, 0, L);
  *args = (struct attention_args){
      .qkv = qkv,
      .y = y,
      .flops = flops,
      .forward = {.dtype = qkv->dtype,
                  .spec = *spec,
                  .head = d / spec->heads,
                  .n_keys = L,
                  .q = q,
                  .k = q + d * size,
                  .v = q + 2 * d * size,
                  .q_row = 3 * d,
                  .kv_row = 3 * d,
                  .q_batch = 3 * d * L,
                  .kv_batch = 3 * d * L,
                  .out = y->data,
                  .lse = c->record ? tt_arena(c, spec->batch * spec->heads * L, sizeof(float))
                                   : NULL}};
  c->kernels->attention_forward(&args->forward);
  tt_tape_push(c, TT_OP_attention, attention_backward, args, y, NULL);
  tt_op_stop(c, TT_OP_attention, start, flops);
  return y;
}

/* ---- sampling ---- */

enum tt_status tt_kv_cache_create(const struct tt_compute *c, size_t batch, size_t capacity,
                                  size_t d, struct tt_kv_cache *ret) {
  size_t positions;
  struct tt_kv_cache cache = {.dtype = c->dtype, .batch = batch, .capacity = capacity, .d = d};
  if (!__builtin_mul_overflow(batch, capacity, &positions)) {
    /* One row more, so that a vector read past the last key stays inside. */
    cache.keys = tt_calloc(positions + 1, d * tt_dtype_size(c->dtype) + 64);
    cache.values = tt_calloc(positions + 1, d * tt_dtype_size(c->dtype) + 64);
  }
  if (!cache.keys || !cache.values) {
    tt_kv_cache_release(&cache);
    return tt_fail(TT_NO_MEMORY, "key/value cache of %zu x %zu positions", batch, capacity);
  }
  *ret = cache;
  return TT_OK;
}

void tt_kv_cache_release(struct tt_kv_cache *cache) {
  tt_free(cache->keys);
  tt_free(cache->values);
  *cache = (struct tt_kv_cache){0};
}

struct tt_tensor *tt_op_attention_cached(struct tt_compute *c, struct tt_tensor *qkv,
                                         const struct tt_attention_spec *spec,
                                         struct tt_kv_cache *cache) {
  check_spec(qkv, spec);
  const size_t d = qkv->cols / 3, L = spec->length, size = tt_dtype_size(qkv->dtype);
  TT_ASSERT(!c->record && cache->dtype == qkv->dtype && cache->d == d);
  TT_ASSERT(cache->batch == spec->batch && L <= cache->capacity - cache->length);
  double start = tt_op_start(c);
  const char *q = qkv->data;
  for (size_t b = 0; b < spec->batch; b++) {
    size_t at = (b * cache->capacity + cache->length) * d * size;
    const char *row = q + b * L * 3 * d * size;
    tt_block_copy_columns((char *)cache->keys + at, d, row + d * size, 3 * d, L, d, false,
                          qkv->dtype);
    tt_block_copy_columns((char *)cache->values + at, d, row + 2 * d * size, 3 * d, L, d, false,
                          qkv->dtype);
  }
  struct tt_tensor *y = tt_tensor_new(c, qkv->dtype, qkv->rows, d);
  c->kernels->attention_forward(&(struct tt_k_attention){.dtype = qkv->dtype,
                                                         .spec = *spec,
                                                         .head = d / spec->heads,
                                                         .query_first = cache->length,
                                                         .n_keys = cache->length + L,
                                                         .q = q,
                                                         .k = cache->keys,
                                                         .v = cache->values,
                                                         .q_row = 3 * d,
                                                         .kv_row = d,
                                                         .q_batch = 3 * d * L,
                                                         .kv_batch = d * cache->capacity,
                                                         .out = y->data});
  double flops = 4.0 * (double)(spec->batch * d) * pairs(spec, cache->length, cache->length + L);
  cache->length += L;
  tt_op_stop(c, TT_OP_attention, start, flops);
  return y;
}

/* ---- rotary ---- */

struct rotary_args {
  struct tt_tensor *x, *y;
  float *cosine, *sine; /* [length, head/2] */
  size_t length, head;
};

/* Rotates queries and keys of every row by +angle (sign 1) or -angle (-1), copies the values. */
static void rotate(const struct rotary_args *a, void *to, const void *from, float sign,
                   bool accumulate) {
  const struct tt_tensor *x = a->x;
  const size_t d = x->cols / 3, half = a->head / 2, size = tt_dtype_size(x->dtype);
#pragma omp parallel for schedule(static) if (x->rows * x->cols > TT_PARALLEL_ELEMENTS)
  for (size_t i = 0; i < x->rows; i++) {
    const float *co = a->cosine + i % a->length * half, *si = a->sine + i % a->length * half;
    const char *in = (const char *)from + i * x->cols * size;
    char *out = (char *)to + i * x->cols * size;
    tt_block_copy_columns(out + 2 * d * size, 0, in + 2 * d * size, 0, 1, d, accumulate, x->dtype);
    for (size_t h = 0; h < 2 * d; h += a->head) {
      float u[256], v[256];
      tt_convert_to_f32(u, in + h * size, x->dtype, a->head);
      for (size_t j = 0; j < half; j++) {
        v[j] = u[j] * co[j] - sign * u[j + half] * si[j];
        v[j + half] = u[j + half] * co[j] + sign * u[j] * si[j];
      }
      if (accumulate) {
        tt_convert_to_f32(u, out + h * size, x->dtype, a->head);
        for (size_t j = 0; j < a->head; j++)
          v[j] += u[j];
      }
      tt_convert_from_f32(out + h * size, x->dtype, v, a->head);
    }
  }
}

static void rotary_backward(struct tt_compute *c, const struct tt_node *node) {
  const struct rotary_args *a = node->args;
  if (a->x->grad) {
    bool accumulate;
    void *dx = tt_grad_target(c, a->x, &accumulate);
    rotate(a, dx, tt_grad_of(a->y), -1, accumulate);
    return;
  }
  void *d = tt_grad_scratch(c, a->y); /* in place: each head is read before it is written */
  rotate(a, d, d, -1, false);
  tt_grad_pass(c, a->x, a->y);
}

struct tt_tensor *tt_op_rotary(struct tt_compute *c, struct tt_tensor *qkv, size_t length,
                               size_t heads, size_t first) {
  const size_t head = qkv->cols / 3 / heads, half = head / 2;
  TT_ASSERT(length > 0 && qkv->rows % length == 0 && qkv->cols == 3 * heads * head);
  TT_ASSERT(head % 2 == 0 && head <= 256);
  double start = tt_op_start(c);
  struct rotary_args *args = tt_arena(c, 1, sizeof *args);
  struct tt_tensor *y = tt_tensor_new(c, qkv->dtype, qkv->rows, qkv->cols);
  y->needs_grad = qkv->needs_grad;
  *args = (struct rotary_args){qkv,
                               y,
                               tt_arena(c, length * half, sizeof(float)),
                               tt_arena(c, length * half, sizeof(float)),
                               length,
                               head};
  for (size_t j = 0; j < half; j++) {
    double frequency = pow(10000, -(double)j / (double)half);
    for (size_t i = 0; i < length; i++) {
      double angle = (double)(first + i) * frequency;
      args->cosine[i * half + j] = (float)cos(angle);
      args->sine[i * half + j] = (float)sin(angle);
    }
  }
  rotate(args, y->data, qkv->data, 1, false);
  tt_tape_push(c, TT_OP_rotary, rotary_backward, args, y, NULL);
  tt_op_stop(c, TT_OP_rotary, start, 0);
  return y;
}
