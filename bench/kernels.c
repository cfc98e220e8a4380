#include "kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "compute/optimizer.h"

enum {
  WIDTH = 256,
  HEADS = 8,
  CLASSES = 1026,
  CHANNELS = 6,
  TABLE = 500, /* ids per channel */
  VERIFIED_ROWS = 192,
  MAX_BUFFERS = 16,
  MAX_OUTPUTS = 4,
  CALLS = 7,
};

struct output {
  void *data;
  enum tt_dtype dtype;
  size_t n;
};

/* A call of one kernel with all it reads and writes. */
struct call {
  enum tt_dtype dtype;
  struct tt_rng rng;
  struct tt_params params;
  void *buffers[MAX_BUFFERS];
  size_t n_buffers;
  struct output outputs[MAX_OUTPUTS];
  size_t n_outputs;
  void *kept; /* what the kernel writes over is restored from here before each call */
  size_t kept_from, kept_bytes;
  double flops, bytes;
  bool failed;
  void (*run)(const struct call *call, const struct tt_kernels *kernels);
  union {
    struct tt_k_linear linear;
    struct tt_k_linear_backward linear_backward;
    struct tt_k_linear_weight linear_weight;
    struct tt_k_norm norm;
    struct tt_k_norm_backward norm_backward;
    struct tt_k_embed embed;
    struct tt_k_embed_backward embed_backward;
    struct tt_k_attention attention;
    struct tt_k_attention_backward attention_backward;
    struct tt_k_head_loss head_loss;
  } args;
};

/* The kernels of the two models that are timed as training steps. */
#define TIMED_KERNELS(X)                                                                           \
  X(linear_forward, struct tt_k_linear)                                                            \
  X(linear_backward, struct tt_k_linear_backward)                                                  \
  X(linear_weight, struct tt_k_linear_weight)                                                      \
  X(norm_forward, struct tt_k_norm)                                                                \
  X(norm_backward, struct tt_k_norm_backward)                                                      \
  X(embed_forward, struct tt_k_embed)                                                              \
  X(embed_backward, struct tt_k_embed_backward)                                                    \
  X(attention_forward, struct tt_k_attention)                                                      \
  X(attention_backward, struct tt_k_attention_backward)                                            \
  X(head_loss, struct tt_k_head_loss)

#define X(kernel, type)                                                                            \
  static void run_##kernel(const struct call *call, const struct tt_kernels *kernels) {            \
    kernels->kernel((const type *)&call->args);                                                    \
  }
TIMED_KERNELS(X)
#undef X

void bench_fill(void *to, enum tt_dtype dtype, size_t n, struct tt_rng *rng) {
  for (size_t i = 0; i < n; i++) {
    float value = (float)(tt_rng_u32(rng) >> 8) * 0x1p-23f - 1;
    tt_convert_from_f32((char *)to + i * tt_dtype_size(dtype), dtype, &value, 1);
  }
}

/* ---- buffers; a failed allocation is kept for the end ---- */

static void *take(struct call *call, size_t bytes) {
  void *p = call->n_buffers < MAX_BUFFERS ? aligned_alloc(64, (bytes + 127) & ~(size_t)63) : NULL;
  call->failed |= !p;
  if (p)
    call->buffers[call->n_buffers++] = p;
  call->bytes += (double)bytes;
  return p;
}

static void *input(struct call *call, enum tt_dtype dtype, size_t n) {
  void *p = take(call, n * tt_dtype_size(dtype));
  if (p)
    bench_fill(p, dtype, n, &call->rng);
  return p;
}

static int32_t *ids(struct call *call, size_t n, uint32_t limit) {
  int32_t *p = take(call, n * sizeof *p);
  for (size_t i = 0; p && i < n; i++)
    p[i] = (int32_t)tt_rng_below(&call->rng, limit);
  return p;
}

static void *output_at(struct call *call, enum tt_dtype dtype, void *data, size_t n) {
  call->outputs[call->n_outputs++] = (struct output){data, dtype, n};
  return data;
}

static void *output(struct call *call, enum tt_dtype dtype, size_t n) {
  return output_at(call, dtype, take(call, n * tt_dtype_size(dtype)), n);
}

/* An input that the kernel writes over. */
static void *overwritten(struct call *call, enum tt_dtype dtype, size_t n) {
  void *p = input(call, dtype, n);
  size_t bytes = n * tt_dtype_size(dtype);
  call->kept = malloc(bytes);
  call->failed |= !call->kept;
  if (p && call->kept)
    memcpy(call->kept, p, bytes);
  call->kept_from = call->n_buffers - 1;
  call->kept_bytes = bytes;
  call->bytes += (double)bytes; /* it is read and written */
  return p;
}

static struct tt_param *weight(struct call *call, size_t out, size_t in) {
  call->bytes += (double)(out * in * tt_dtype_size(call->dtype));
  return tt_params_add(&call->params, TT_INIT_NORMAL, 0.06f, true, out, in, "w%zu", call->params.n);
}

static void build_params(struct call *call) {
  call->failed |= tt_params_build(&call->params, 1) != TT_OK;
}

static void call_release(struct call *call) {
  for (size_t i = 0; i < call->n_buffers; i++)
    free(call->buffers[i]);
  free(call->kept);
  tt_params_release(&call->params);
}

/* ---- the calls: rows events of a step ---- */

struct layer {
  size_t in, out;
  enum tt_act act;
};

static double product_flops(size_t rows, size_t in, size_t out) {
  return 2 * (double)rows * (double)in * (double)out;
}

static void make_linear(struct call *call, size_t rows, const struct layer *layer) {
  struct tt_param *w = weight(call, layer->out, layer->in);
  build_params(call);
  call->args.linear =
      (struct tt_k_linear){.dtype = call->dtype,
                           .y_dtype = call->dtype,
                           .rows = rows,
                           .x = input(call, call->dtype, rows * layer->in),
                           .weight = w,
                           .bias = input(call, TT_F32, layer->out),
                           .act = layer->act,
                           .pre = layer->act ? output(call, call->dtype, rows * layer->out) : NULL,
                           .y = output(call, call->dtype, rows * layer->out)};
  call->flops = product_flops(rows, layer->in, layer->out);
  call->run = run_linear_forward;
}

static void make_linear_backward(struct call *call, size_t rows, const struct layer *layer) {
  struct tt_param *w = weight(call, layer->out, layer->in);
  build_params(call);
  call->args.linear_backward = (struct tt_k_linear_backward){
      .dtype = call->dtype,
      .rows = rows,
      .dy_stride = layer->out,
      .dy = overwritten(call, call->dtype, rows * layer->out),
      .pre = layer->act ? input(call, call->dtype, rows * layer->out) : NULL,
      .act = layer->act,
      .weight = w,
      .dx = output(call, call->dtype, rows * layer->in)};
  call->flops = product_flops(rows, layer->in, layer->out);
  call->run = run_linear_backward;
}

static void make_linear_weight(struct call *call, size_t rows, const struct layer *layer) {
  build_params(call);
  call->args.linear_weight =
      (struct tt_k_linear_weight){.dtype = call->dtype,
                                  .rows = rows,
                                  .in = layer->in,
                                  .out = layer->out,
                                  .dz_stride = layer->out,
                                  .x = input(call, call->dtype, rows * layer->in),
                                  .dz = input(call, call->dtype, rows * layer->out),
                                  .weight_grad = output(call, TT_F32, layer->out * layer->in),
                                  .bias_grad = output(call, TT_F32, layer->out)};
  call->flops = product_flops(rows, layer->in, layer->out);
  call->run = run_linear_weight;
}

/* As in a block without conditioning: residual, gamma, beta. */
static struct tt_k_norm norm_args(struct call *call, size_t rows) {
  size_t n = rows * WIDTH;
  return (struct tt_k_norm){.dtype = call->dtype,
                            .rows = rows,
                            .d = WIDTH,
                            .x = input(call, call->dtype, n),
                            .residual = input(call, call->dtype, n),
                            .gamma = input(call, TT_F32, WIDTH),
                            .beta = input(call, TT_F32, WIDTH),
                            .group = rows,
                            .h = output(call, call->dtype, n),
                            .y = output(call, call->dtype, n),
                            .mean = take(call, rows * sizeof(float)),
                            .rstd = take(call, rows * sizeof(float))};
}

static void make_norm(struct call *call, size_t rows, const struct layer *layer) {
  (void)layer;
  build_params(call);
  call->args.norm = norm_args(call, rows);
  call->run = run_norm_forward;
}

static void make_norm_backward(struct call *call, size_t rows, const struct layer *layer) {
  (void)layer;
  build_params(call);
  struct tt_k_norm forward = norm_args(call, rows);
  if (!call->failed)
    tt_ref_norm_forward(&forward);
  /* Of the forward's arrays the backward reads h, gamma and the statistics. */
  call->n_outputs = 0;
  call->bytes = (double)(rows * (WIDTH * tt_dtype_size(call->dtype) + 2 * sizeof(float)));
  call->args.norm_backward =
      (struct tt_k_norm_backward){.forward = forward,
                                  .dy = input(call, call->dtype, rows * WIDTH),
                                  .dh = input(call, call->dtype, rows * WIDTH),
                                  .dx = output(call, call->dtype, rows * WIDTH),
                                  .dgamma = output(call, TT_F32, WIDTH),
                                  .dbeta = output(call, TT_F32, WIDTH)};
  call->run = run_norm_backward;
}

static void make_embed(struct call *call, size_t rows, const struct layer *layer) {
  (void)layer;
  for (size_t k = 0; k < CHANNELS; k++)
    tt_params_add(&call->params, TT_INIT_NORMAL, 1, false, TABLE, WIDTH, "t%zu", k);
  build_params(call);
  call->args.embed = (struct tt_k_embed){.dtype = call->dtype,
                                         .rows = rows,
                                         .d = WIDTH,
                                         .n = CHANNELS,
                                         .ids = ids(call, rows * CHANNELS, TABLE),
                                         .tables = call->params.list,
                                         .y = output(call, call->dtype, rows * WIDTH)};
  /* every row of the sum is a row of a table, from the caches at best */
  call->bytes += (double)(rows * CHANNELS * WIDTH * tt_dtype_size(call->dtype));
  call->run = run_embed_forward;
}

static void make_embed_backward(struct call *call, size_t rows, const struct layer *layer) {
  make_embed(call, rows, layer);
  if (call->failed)
    return;
  struct tt_k_embed forward = call->args.embed;
  call->n_outputs = 0;
  for (size_t k = 0; k < 2; k++) /* two tables stand for all */
    output_at(call, TT_F32, call->params.list[k]->grad, (size_t)TABLE * WIDTH);
  call->args.embed_backward = (struct tt_k_embed_backward){
      .forward = forward, .dy = input(call, call->dtype, rows * WIDTH)};
  /* a row of a table's gradient is read and written for each id; dy is read */
  call->bytes =
      (double)(rows * WIDTH) * (double)(CHANNELS * 2 * sizeof(float) + tt_dtype_size(call->dtype));
  call->run = run_embed_backward;
}

/* layer->in: the length of a sequence; layer->out: heads; WIDTH / HEADS per head. Causal where
 * `act` isn't TT_ACT_NONE. */
static struct tt_k_attention attention_args(struct call *call, size_t rows,
                                            const struct layer *layer) {
  size_t length = layer->in, d = layer->out * (WIDTH / HEADS), windows = rows / length;
  char *qkv = input(call, call->dtype, rows * 3 * d);
  size_t step = d * tt_dtype_size(call->dtype);
  return (struct tt_k_attention){
      .dtype = call->dtype,
      .spec = {.batch = windows,
               .length = length,
               .heads = layer->out,
               .mask = layer->act == TT_ACT_NONE ? TT_MASK_NONE : TT_MASK_CAUSAL},
      .head = WIDTH / HEADS,
      .n_keys = length,
      .q = qkv,
      .k = qkv ? qkv + step : NULL,
      .v = qkv ? qkv + 2 * step : NULL,
      .q_row = 3 * d,
      .kv_row = 3 * d,
      .q_batch = length * 3 * d,
      .kv_batch = length * 3 * d,
      .out = output(call, call->dtype, rows * d),
      .lse = take(call, rows * layer->out * sizeof(float))};
}

static double attention_flops(size_t rows, const struct layer *layer, double products) {
  double keys = layer->act == TT_ACT_NONE ? (double)layer->in : ((double)layer->in + 1) / 2;
  return products * 2 * (double)rows * keys * (double)(layer->out * (WIDTH / HEADS));
}

static void make_attention(struct call *call, size_t rows, const struct layer *layer) {
  build_params(call);
  call->args.attention = attention_args(call, rows, layer);
  call->flops = attention_flops(rows, layer, 2);
  call->run = run_attention_forward;
}

static void make_attention_backward(struct call *call, size_t rows, const struct layer *layer) {
  build_params(call);
  struct tt_k_attention forward = attention_args(call, rows, layer);
  if (call->failed)
    return;
  tt_kernels_best()->attention_forward(&forward);
  call->n_outputs = 0;
  size_t d = layer->out * (WIDTH / HEADS), step = d * tt_dtype_size(call->dtype);
  const void *dout = input(call, call->dtype, rows * d);
  char *dqkv = output(call, call->dtype, rows * 3 * d);
  call->args.attention_backward =
      (struct tt_k_attention_backward){.forward = forward,
                                       .dout = dout,
                                       .dq = dqkv,
                                       .dk = dqkv ? dqkv + step : NULL,
                                       .dv = dqkv ? dqkv + 2 * step : NULL};
  call->flops = attention_flops(rows, layer, 5);
  call->run = run_attention_backward;
}

static void make_head_loss(struct call *call, size_t rows, const struct layer *layer) {
  struct tt_param *w = weight(call, layer->out, layer->in);
  build_params(call);
  size_t stride = (layer->out + 31) & ~(size_t)31;
  call->args.head_loss =
      (struct tt_k_head_loss){.dtype = call->dtype,
                              .rows = rows,
                              .x = input(call, call->dtype, rows * layer->in),
                              .weight = w,
                              .bias = input(call, TT_F32, layer->out),
                              .targets = ids(call, rows, (uint32_t)layer->out),
                              .coefficients = input(call, TT_F32, rows),
                              .loss = output(call, TT_F32, rows),
                              .dlogits = output(call, call->dtype, rows * stride),
                              .stride = stride};
  call->flops = product_flops(rows, layer->in, layer->out);
  call->run = run_head_loss;
}

static const struct kernel_case {
  const char *name;
  void (*make)(struct call *call, size_t rows, const struct layer *layer);
  struct layer layer;
} cases[] = {
    {"linear_forward", make_linear, {WIDTH, 3 * WIDTH, TT_ACT_NONE}},
    {"linear_forward", make_linear, {WIDTH, 4 * WIDTH, TT_ACT_GELU}},
    {"linear_forward", make_linear, {4 * WIDTH, WIDTH, TT_ACT_NONE}},
    {"linear_backward", make_linear_backward, {WIDTH, 3 * WIDTH, TT_ACT_NONE}},
    {"linear_backward", make_linear_backward, {WIDTH, 4 * WIDTH, TT_ACT_GELU}},
    {"linear_backward", make_linear_backward, {4 * WIDTH, WIDTH, TT_ACT_NONE}},
    {"linear_weight", make_linear_weight, {WIDTH, 3 * WIDTH, TT_ACT_NONE}},
    {"linear_weight", make_linear_weight, {WIDTH, 4 * WIDTH, TT_ACT_NONE}},
    {"linear_weight", make_linear_weight, {4 * WIDTH, WIDTH, TT_ACT_NONE}},
    {"head_loss", make_head_loss, {WIDTH, CLASSES, TT_ACT_NONE}},
    {"attention_forward", make_attention, {256, HEADS, TT_ACT_NONE}},
    {"attention_forward", make_attention, {4096, HEADS, TT_ACT_NONE}},
    {"attention_forward", make_attention, {128, HEADS, TT_ACT_GELU}},
    {"attention_backward", make_attention_backward, {256, HEADS, TT_ACT_NONE}},
    {"attention_backward", make_attention_backward, {4096, HEADS, TT_ACT_NONE}},
    {"attention_backward", make_attention_backward, {128, HEADS, TT_ACT_GELU}},
    {"norm_forward", make_norm, {0}},
    {"norm_backward", make_norm_backward, {0}},
    {"embed_forward", make_embed, {0}},
    {"embed_backward", make_embed_backward, {0}},
};
_Static_assert(sizeof cases / sizeof *cases <= BENCH_MAX_KERNELS, "they all have room");

static bool is_attention(const struct kernel_case *k) {
  return k->make == make_attention || k->make == make_attention_backward;
}

static enum tt_status prepare(struct call *call, const struct kernel_case *k,
                              const struct layer *layer, size_t rows, enum tt_dtype dtype) {
  memset(call, 0, sizeof *call);
  call->dtype = dtype;
  tt_params_init(&call->params);
  tt_rng_init(&call->rng, 1, 0);
  k->make(call, rows, layer);
  return call->failed ? tt_fail(TT_NO_MEMORY, "%s at %zu rows", k->name, rows) : TT_OK;
}

static void execute(const struct call *call, const struct tt_kernels *kernels) {
  if (call->kept)
    memcpy(call->buffers[call->kept_from], call->kept, call->kept_bytes);
  for (size_t i = 0; i < call->n_outputs; i++) /* some add to what is there */
    memset(call->outputs[i].data, 0, call->outputs[i].n * tt_dtype_size(call->outputs[i].dtype));
  call->run(call, kernels);
}

static double *read_outputs(const struct call *call, size_t *ret_n) {
  size_t n = 0, at = 0;
  for (size_t i = 0; i < call->n_outputs; i++)
    n += call->outputs[i].n;
  double *values = malloc(n * sizeof *values);
  for (size_t i = 0; values && i < call->n_outputs; i++)
    for (size_t j = 0; j < call->outputs[i].n; j++) {
      const struct output *o = &call->outputs[i];
      float value;
      tt_convert_to_f32(&value, (const char *)o->data + j * tt_dtype_size(o->dtype), o->dtype, 1);
      values[at++] = (double)value;
    }
  *ret_n = n;
  return values;
}

/* Against the reference in the same dtype; each output's error by itself, the largest counts. */
static enum tt_status verify(const struct kernel_case *k, enum tt_dtype dtype, double *ret_error) {
  struct layer layer = k->layer;
  size_t rows = VERIFIED_ROWS;
  if (is_attention(k)) {
    layer.out = layer.in > 1024 ? 1 : 2; /* the reference takes L^2 steps */
    rows = layer.in > 1024 ? layer.in : 2 * layer.in;
  }
  struct call call;
  enum tt_status status = prepare(&call, k, &layer, rows, dtype);
  double *expected = NULL, *values = NULL;
  size_t n = 0, at = 0;
  if (status == TT_OK) {
    execute(&call, tt_kernels_ref());
    expected = read_outputs(&call, &n);
    execute(&call, tt_kernels_best());
    values = read_outputs(&call, &n);
    if (!expected || !values)
      status = tt_fail(TT_NO_MEMORY, "verifying %s", k->name);
  }
  double worst = 0;
  for (size_t i = 0; status == TT_OK && i < call.n_outputs; i++) {
    double difference = 0, norm = 0;
    for (size_t j = 0; j < call.outputs[i].n; j++, at++) {
      difference += (values[at] - expected[at]) * (values[at] - expected[at]);
      norm += expected[at] * expected[at];
    }
    double error = sqrt(difference / norm);
    if (!(error <= worst)) /* a NaN stays */
      worst = error;
  }
  double tolerance = dtype == TT_BF16 ? 2e-2 : 1e-4;
  if (status == TT_OK && !(worst <= tolerance))
    status = tt_fail(TT_FAILED, "%s: error %g against the reference, at most %g", k->name, worst,
                     tolerance);
  *ret_error = worst;
  free(expected);
  free(values);
  call_release(&call);
  return status;
}

static enum tt_status measure(const struct kernel_case *k, bool quick, struct bench_kernel *ret) {
  struct layer layer = k->layer;
  size_t rows = quick ? 512 : 16384;
  if (quick && is_attention(k))
    layer.in = 64;
  const enum tt_dtype dtype = tt_cpu_has_bf16() ? TT_BF16 : TT_F32;
  *ret = (struct bench_kernel){.name = k->name, .dtype = dtype, .seconds = INFINITY};
  if (is_attention(k))
    snprintf(ret->shape, sizeof ret->shape, "%zu x L %zu%s", rows / layer.in, layer.in,
             layer.act == TT_ACT_NONE ? "" : " causal");
  else if (layer.in)
    snprintf(ret->shape, sizeof ret->shape, "%zu x %zu -> %zu%s", rows, layer.in, layer.out,
             layer.act == TT_ACT_GELU ? " GELU" : "");
  else
    snprintf(ret->shape, sizeof ret->shape, "%zu x %d", rows, WIDTH);
  struct call call;
  enum tt_status status = quick && k->layer.in > 1024 ? TT_OK : verify(k, dtype, &ret->error);
  if (status != TT_OK)
    return status;
  status = prepare(&call, k, &layer, rows, dtype);
  for (size_t i = 0; i < CALLS && status == TT_OK; i++) {
    if (call.kept)
      memcpy(call.buffers[call.kept_from], call.kept, call.kept_bytes);
    double begin = tt_seconds();
    call.run(&call, tt_kernels_best());
    double seconds = tt_seconds() - begin;
    if (i > 0 && seconds < ret->seconds) /* the first touches its memory */
      ret->seconds = seconds;
  }
  ret->flops = call.flops;
  ret->bytes = call.bytes;
  call_release(&call);
  if (status == TT_OK)
    ret->bandwidth = bench_bandwidth((size_t)ret->bytes);
  return status == TT_OK && ret->bandwidth <= 0 ? tt_fail(TT_NO_MEMORY, "a triad") : status;
}

enum tt_status bench_kernels_measure(bool quick, struct bench_kernel *ret, size_t *ret_n) {
  enum tt_status status = TT_OK;
  *ret_n = 0;
  for (size_t i = 0; i < sizeof cases / sizeof *cases && status == TT_OK; i++) {
    status = measure(&cases[i], quick, &ret[i]);
    *ret_n += status == TT_OK;
  }
  return status;
}
