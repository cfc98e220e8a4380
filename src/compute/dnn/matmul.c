/* One place knows oneDNN. Creating a primitive takes about a millisecond (code generation), running
 * one microseconds: they are kept in a table by shape, the least recently used replaced. oneDNN
 * runs in all threads of OpenMP; its sums do not depend on timing. */
#include "compute/dnn/matmul.h"

#include <pthread.h>
#include <stdio.h>

#include <dnnl.h>

#include "base/status.h"
#include "compute/scratch.h"

#define SLOTS 256
#define WAYS 4

enum { ARG_A, ARG_B, ARG_BIAS, ARG_C, ARGS };

struct key {
  size_t m, n, k, a_row, a_col, b_row, b_col, c_row;
  enum tt_dtype in, out;
  int bias, accumulate;
};

struct entry {
  struct key key;
  dnnl_primitive_t primitive; /* NULL: empty */
  dnnl_memory_t memory[ARGS];
  uint64_t used;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards all below, runs included */
static struct entry table[SLOTS];
static dnnl_engine_t engine;
static dnnl_stream_t stream;
static uint64_t now;

const char *tt_dnn_version(void) {
  static char text[32];
  const dnnl_version_t *v = dnnl_version();
  snprintf(text, sizeof text, "%d.%d.%d", v->major, v->minor, v->patch);
  return text;
}

static void entry_release(struct entry *e) {
  for (int i = 0; i < ARGS; i++)
    if (e->memory[i])
      dnnl_memory_destroy(e->memory[i]);
  if (e->primitive)
    dnnl_primitive_destroy(e->primitive);
  *e = (struct entry){0};
}

void tt_dnn_clear(void) {
  pthread_mutex_lock(&lock);
  for (size_t i = 0; i < SLOTS; i++)
    entry_release(&table[i]);
  if (stream)
    dnnl_stream_destroy(stream);
  if (engine)
    dnnl_engine_destroy(engine);
  stream = NULL;
  engine = NULL;
  pthread_mutex_unlock(&lock);
}

static dnnl_data_type_t type_of(enum tt_dtype dtype) {
  return dtype == TT_F32 ? dnnl_f32 : dnnl_bf16;
}

/* A memory descriptor is a struct in 2.x, a handle in 3.x. */
typedef dnnl_memory_desc_t desc;
#if DNNL_VERSION_MAJOR >= 3
typedef const_dnnl_memory_desc_t desc_ref;
#define REF(d) (d)
#define DESC_STRIDED dnnl_memory_desc_create_with_strides
static void desc_free(desc *d) {
  if (*d)
    dnnl_memory_desc_destroy(*d);
}
static dnnl_status_t append_sum(dnnl_post_ops_t ops) {
  return dnnl_post_ops_append_sum(ops, 1, 0, dnnl_data_type_undef);
}
static dnnl_status_t matmul_desc(dnnl_primitive_desc_t *pd, desc d[ARGS], bool bias,
                                 const_dnnl_primitive_attr_t attr) {
  return dnnl_matmul_primitive_desc_create(pd, engine, d[ARG_A], d[ARG_B],
                                           bias ? d[ARG_BIAS] : NULL, d[ARG_C], attr);
}
#else
#define REF(d) (&(d))
#define DESC_STRIDED dnnl_memory_desc_init_by_strides
static void desc_free(desc *d) {
  (void)d;
}
static dnnl_status_t append_sum(dnnl_post_ops_t ops) {
  return dnnl_post_ops_append_sum(ops, 1);
}
static dnnl_status_t matmul_desc(dnnl_primitive_desc_t *pd, desc d[ARGS], bool bias,
                                 const_dnnl_primitive_attr_t attr) {
  dnnl_matmul_desc_t op;
  dnnl_status_t status =
      dnnl_matmul_desc_init(&op, &d[ARG_A], &d[ARG_B], bias ? &d[ARG_BIAS] : NULL, &d[ARG_C]);
  return status != dnnl_success ? status : dnnl_primitive_desc_create(pd, &op, attr, engine, NULL);
}
#endif

static bool desc_make(desc *d, size_t rows, size_t cols, size_t row, size_t col,
                      dnnl_data_type_t type) {
  dnnl_dims_t dims = {(dnnl_dim_t)rows, (dnnl_dim_t)cols};
  dnnl_dims_t strides = {(dnnl_dim_t)row, (dnnl_dim_t)col};
  return DESC_STRIDED(d, 2, dims, type, strides) == dnnl_success;
}

static bool entry_make(struct entry *e, const struct key *key) {
  desc d[ARGS] = {0};
  dnnl_primitive_attr_t attr = NULL;
  dnnl_post_ops_t ops = NULL;
  dnnl_primitive_desc_t pd = NULL;
  bool ok = false;
  dnnl_data_type_t in = type_of(key->in), out = type_of(key->out);
  if (!engine && dnnl_engine_create(&engine, dnnl_cpu, 0) != dnnl_success)
    goto cleanup;
  if (!stream && dnnl_stream_create(&stream, engine, dnnl_stream_default_flags) != dnnl_success)
    goto cleanup;
  if (!desc_make(&d[ARG_A], key->m, key->k, key->a_row, key->a_col, in) ||
      !desc_make(&d[ARG_B], key->k, key->n, key->b_row, key->b_col, in) ||
      !desc_make(&d[ARG_BIAS], 1, key->n, key->n, 1, dnnl_f32) ||
      !desc_make(&d[ARG_C], key->m, key->n, key->c_row, 1, out))
    goto cleanup;
  if (dnnl_primitive_attr_create(&attr) != dnnl_success ||
      dnnl_post_ops_create(&ops) != dnnl_success)
    goto cleanup;
  if (key->accumulate && append_sum(ops) != dnnl_success)
    goto cleanup;
  if (dnnl_primitive_attr_set_post_ops(attr, ops) != dnnl_success ||
      matmul_desc(&pd, d, key->bias, attr) != dnnl_success ||
      dnnl_primitive_create(&e->primitive, pd) != dnnl_success)
    goto cleanup;
  for (int i = 0; i < ARGS; i++)
    if (dnnl_memory_create(&e->memory[i], REF(d[i]), engine, DNNL_MEMORY_NONE) != dnnl_success)
      goto cleanup;
  e->key = *key;
  ok = true;
cleanup:
  if (pd)
    dnnl_primitive_desc_destroy(pd);
  if (ops)
    dnnl_post_ops_destroy(ops);
  if (attr)
    dnnl_primitive_attr_destroy(attr);
  for (int i = 0; i < ARGS; i++)
    desc_free(&d[i]);
  if (!ok)
    entry_release(e);
  return ok;
}

static struct entry *entry_of(const struct key *key) {
  uint64_t hash = 1469598103934665603u;
  for (size_t i = 0; i < sizeof *key; i++)
    hash = (hash ^ ((const unsigned char *)key)[i]) * 1099511628211u;
  struct entry *set = &table[hash % (SLOTS / WAYS) * WAYS], *oldest = set;
  for (struct entry *e = set; e < set + WAYS; e++) {
    if (e->primitive && memcmp(&e->key, key, sizeof *key) == 0)
      return e;
    if (e->used < oldest->used)
      oldest = e;
  }
  entry_release(oldest);
  return entry_make(oldest, key) ? oldest : NULL;
}

static bool run(const struct tt_dnn_matmul *p) {
  struct key key; /* compared as bytes: padding is cleared too */
  memset(&key, 0, sizeof key);
  key.m = p->m, key.n = p->n, key.k = p->k;
  key.a_row = p->a_row, key.a_col = p->a_col, key.b_row = p->b_row, key.b_col = p->b_col;
  key.c_row = p->c_row;
  key.in = p->in, key.out = p->out, key.bias = p->bias != NULL, key.accumulate = p->accumulate;
  pthread_mutex_lock(&lock);
  struct entry *e = entry_of(&key);
  bool ok = false;
  if (e) {
    e->used = ++now;
    /* oneDNN takes pointers to non-const but reads A, B and bias only. */
    dnnl_memory_set_data_handle(e->memory[ARG_A], (void *)(uintptr_t)p->a);
    dnnl_memory_set_data_handle(e->memory[ARG_B], (void *)(uintptr_t)p->b);
    dnnl_memory_set_data_handle(e->memory[ARG_BIAS], (void *)(uintptr_t)p->bias);
    dnnl_memory_set_data_handle(e->memory[ARG_C], p->c);
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, e->memory[ARG_A]},
                                    {DNNL_ARG_WEIGHTS, e->memory[ARG_B]},
                                    {DNNL_ARG_DST, e->memory[ARG_C]},
                                    {DNNL_ARG_BIAS, e->memory[ARG_BIAS]}};
    ok = dnnl_primitive_execute(e->primitive, stream, p->bias ? 4 : 3, args) == dnnl_success &&
         dnnl_stream_wait(stream) == dnnl_success;
  }
  pthread_mutex_unlock(&lock);
  return ok;
}

/* Dense f32 copy of a strided bf16 matrix, row-major. */
static float *widened(enum tt_scratch_slot slot, const void *in, size_t rows, size_t cols,
                      size_t row, size_t col) {
  float *out = tt_scratch(slot, rows * cols * sizeof *out);
  for (size_t i = 0; i < rows; i++)
    for (size_t j = 0; j < cols; j++)
      out[i * cols + j] = tt_bf16_to_f32(((const tt_bf16 *)in)[i * row + j * col]);
  return out;
}

void tt_dnn_matmul(const struct tt_dnn_matmul *p) {
  TT_ASSERT(p->m > 0 && p->n > 0 && p->k > 0);
  if (run(p))
    return;
  /* A CPU whose oneDNN has no bf16: the same product in f32, rounded at the end. */
  TT_ASSERT(p->in == TT_BF16);
  struct tt_dnn_matmul wide = *p;
  wide.in = wide.out = TT_F32;
  wide.a = widened(TT_SCRATCH_A, p->a, p->m, p->k, p->a_row, p->a_col);
  wide.b = widened(TT_SCRATCH_B, p->b, p->k, p->n, p->b_row, p->b_col);
  wide.a_row = p->k, wide.b_row = p->n, wide.a_col = wide.b_col = 1;
  if (p->out == TT_BF16) {
    wide.c = p->accumulate ? widened(TT_SCRATCH_C, p->c, p->m, p->n, p->c_row, 1)
                           : tt_scratch(TT_SCRATCH_C, p->m * p->n * sizeof(float));
    wide.c_row = p->n;
  }
  TT_ASSERT(run(&wide));
  for (size_t i = 0; p->out == TT_BF16 && i < p->m; i++)
    tt_convert_from_f32((tt_bf16 *)p->c + i * p->c_row, TT_BF16, (float *)wide.c + i * p->n, p->n);
}
