/* Arena, gradient buffers and tape. The arena is an anonymous mapping without reserve: pages count
 * once touched and stay, so that every step after the first runs in memory that is already there.
 */
#include "compute/tape.h"

#include <errno.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/mem.h"
#include "compute/block.h"
#include "compute/kernels.h"

static const char *const OP_NAMES[] = {
#define X(name) #name,
    TT_OPS(X)
#undef X
};

const char *tt_op_name(enum tt_op op) {
  TT_ASSERT(op < TT_OP_COUNT);
  return OP_NAMES[op];
}

bool tt_cpu_has_bf16(void) {
#if defined(__x86_64__)
  static int known; /* 0: not asked, 1: no, 2: yes; racing threads write the same value */
  int state = __atomic_load_n(&known, __ATOMIC_RELAXED);
  if (state == 0) {
    __builtin_cpu_init();
    state = __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")
                ? 2
                : 1;
    __atomic_store_n(&known, state, __ATOMIC_RELAXED);
  }
  return state == 2;
#else
  return false;
#endif
}

enum tt_status tt_compute_create(enum tt_precision precision, uint64_t seed,
                                 struct tt_compute **ret) {
  struct tt_compute *c = tt_calloc(1, sizeof *c);
  if (!c)
    return tt_fail(TT_NO_MEMORY, "compute context");
  bool bf16 =
      precision == TT_PRECISION_BF16 || (precision == TT_PRECISION_AUTO && tt_cpu_has_bf16());
  c->dtype = bf16 ? TT_BF16 : TT_F32;
  c->seed = seed;
  c->kernels = tt_kernels_best();
  /* As much address space as is granted, from 256 GiB down. */
  for (c->reserved = (size_t)1 << 38; c->reserved >= (size_t)1 << 28; c->reserved /= 2) {
    c->arena = mmap(NULL, c->reserved, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (c->arena != MAP_FAILED)
      break;
  }
  if (c->arena == MAP_FAILED) {
    int error = errno;
    tt_free(c);
    return tt_fail(TT_NO_MEMORY, "step arena: %s", strerror(error));
  }
  madvise(c->arena, c->reserved, MADV_HUGEPAGE);
  *ret = c;
  return TT_OK;
}

void tt_compute_free(struct tt_compute *c) {
  if (!c)
    return;
  munmap(c->arena, c->reserved);
  tt_free(c->nodes);
  tt_free(c);
}

void tt_compute_begin(struct tt_compute *c, bool record, uint64_t step) {
  c->record = c->train = record;
  c->step = step;
  c->draws = 0;
  c->used = 0;
  c->n_nodes = 0;
  c->free_grads = NULL;
}

size_t tt_compute_peak_bytes(const struct tt_compute *c) {
  return c->peak;
}

size_t tt_compute_mark(const struct tt_compute *c) {
  return c->used;
}

void tt_compute_release_to(struct tt_compute *c, size_t mark) {
  TT_ASSERT(!c->record && mark <= c->used);
  c->used = mark;
}

void *tt_arena(struct tt_compute *c, size_t count, size_t size) {
  size_t bytes;
  TT_ASSERT(!__builtin_mul_overflow(count, size, &bytes) && bytes < c->reserved);
  /* A cache line between buffers: vector loads may read past the end of a row, never use it. */
  bytes = (bytes + 127) / 64 * 64;
  TT_ASSERT(bytes <= c->reserved - c->used);
  void *p = c->arena + c->used;
  c->used += bytes;
  if (c->used > c->peak)
    c->peak = c->used;
  return p;
}

struct tt_tensor *tt_tensor_new(struct tt_compute *c, enum tt_dtype dtype, size_t rows,
                                size_t cols) {
  size_t count;
  TT_ASSERT(!__builtin_mul_overflow(rows, cols, &count));
  struct tt_tensor *t = tt_arena(c, 1, sizeof *t);
  *t = (struct tt_tensor){.dtype = dtype, .rows = rows, .cols = cols};
  t->data = tt_arena(c, count, tt_dtype_size(dtype));
  return t;
}

struct tt_tensor *tt_input(struct tt_compute *c, const float *data, size_t rows, size_t cols) {
  struct tt_tensor *t = tt_tensor_new(c, c->dtype, rows, cols);
  tt_convert_from_f32(t->data, t->dtype, data, rows * cols);
  return t;
}

struct tt_tensor *tt_input_watched(struct tt_compute *c, const float *data, size_t rows,
                                   size_t cols) {
  struct tt_tensor *t = tt_input(c, data, rows, cols);
  t->needs_grad = true;
  return t;
}

void tt_gradient(const struct tt_tensor *t, float *out) {
  if (t->grad)
    tt_convert_to_f32(out, t->grad->data, t->dtype, t->rows * t->cols);
  else
    memset(out, 0, t->rows * t->cols * sizeof *out);
}

void tt_tape_push(struct tt_compute *c, enum tt_op op, tt_backward_fn *backward, const void *args,
                  struct tt_tensor *out0, struct tt_tensor *out1) {
  if (!c->record || !(out0->needs_grad || (out1 && out1->needs_grad)))
    return;
  /* The list of nodes is some kilobytes; without them nothing can go on. */
  TT_ASSERT(tt_grow(&c->nodes, &c->nodes_capacity, c->n_nodes + 1, sizeof *c->nodes) == 0);
  c->nodes[c->n_nodes++] =
      (struct tt_node){.op = op, .backward = backward, .args = args, .out = {out0, out1}};
}

/* ---- gradients ---- */

static struct tt_grad *grad_new(struct tt_compute *c, size_t bytes) {
  for (struct tt_grad **p = &c->free_grads; *p; p = &(*p)->next_free)
    if ((*p)->bytes == bytes) {
      struct tt_grad *grad = *p;
      *p = grad->next_free;
      grad->owners = 1;
      return grad;
    }
  struct tt_grad *grad = tt_arena(c, 1, sizeof *grad);
  *grad = (struct tt_grad){.data = tt_arena(c, bytes, 1), .bytes = bytes, .owners = 1};
  return grad;
}

static void grad_drop(struct tt_compute *c, struct tt_tensor *t) {
  if (!t || !t->grad)
    return;
  if (--t->grad->owners == 0) {
    t->grad->next_free = c->free_grads;
    c->free_grads = t->grad;
  }
  t->grad = NULL;
}

static size_t tensor_bytes(const struct tt_tensor *t) {
  return t->rows * t->cols * tt_dtype_size(t->dtype);
}

static void grad_unshare(struct tt_compute *c, struct tt_tensor *t) {
  if (t->grad->owners == 1)
    return;
  struct tt_grad *own = grad_new(c, t->grad->bytes);
  tt_block_copy(own->data, t->grad->data, own->bytes);
  t->grad->owners--;
  t->grad = own;
}

void *tt_grad_target(struct tt_compute *c, struct tt_tensor *t, bool *accumulate) {
  if (!t->needs_grad)
    return NULL;
  *accumulate = t->grad != NULL;
  if (t->grad)
    grad_unshare(c, t);
  else
    t->grad = grad_new(c, tensor_bytes(t));
  return t->grad->data;
}

void tt_grad_pass(struct tt_compute *c, struct tt_tensor *t, struct tt_tensor *from) {
  if (!t->needs_grad || !from->grad)
    return;
  TT_ASSERT(t->dtype == from->dtype && t->rows == from->rows && t->cols == from->cols);
  if (!t->grad) {
    t->grad = from->grad;
    t->grad->owners++;
    return;
  }
  bool accumulate;
  void *to = tt_grad_target(c, t, &accumulate);
  tt_block_add(to, to, from->grad->data, t->dtype, t->rows * t->cols);
}

const void *tt_grad_of(const struct tt_tensor *t) {
  return t->grad ? t->grad->data : NULL;
}

void *tt_grad_scratch(struct tt_compute *c, struct tt_tensor *t) {
  if (!t->grad)
    return NULL;
  grad_unshare(c, t);
  return t->grad->data;
}

void tt_compute_backward(struct tt_compute *c, struct tt_tensor *loss) {
  TT_ASSERT(c->record && loss->rows == 1 && loss->cols == 1 && loss->dtype == TT_F32);
  if (!loss->needs_grad)
    return;
  bool accumulate;
  float *one = tt_grad_target(c, loss, &accumulate);
  TT_ASSERT(!accumulate);
  *one = 1;
  for (size_t i = c->n_nodes; i-- > 0;) {
    const struct tt_node node = c->nodes[i];
    if (node.out[0]->grad || (node.out[1] && node.out[1]->grad)) {
      double start = c->timing ? tt_op_start(c) : 0;
      node.backward(c, &node);
      if (c->timing)
        c->times[node.op].backward += tt_op_start(c) - start;
    }
    grad_drop(c, node.out[0]);
    grad_drop(c, node.out[1]);
  }
  c->n_nodes = 0;
}

double tt_op_start(const struct tt_compute *c) {
  return c->timing ? tt_seconds() : 0;
}

void tt_op_stop(struct tt_compute *c, enum tt_op op, double start, double flops) {
  c->times[op].flops += flops;
  if (c->timing)
    c->times[op].forward += tt_op_start(c) - start;
}
