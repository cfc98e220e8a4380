/* The step: arena, tape and kernels of one forward (and backward) pass.
 *
 *   tt_compute_begin(c, true, step);             // forgets the last step's tensors
 *   struct tt_tensor *loss = model_forward(c, ...);  // ops push their backward on the tape
 *   tt_compute_backward(c, loss);                // adds to the parameters' gradients
 *   tt_optimizer_step(...);
 *
 * With `record` false nothing is pushed: inference. Ops never fail: shapes are checked by
 * TT_ASSERT, memory comes from a large virtual reservation of which only touched pages count.
 * One tt_compute belongs to one thread; its kernels use OpenMP inside. Same parameters, inputs,
 * seed, step and thread count: the same bytes. */
#ifndef COMPUTE_TAPE_H
#define COMPUTE_TAPE_H

#include "base/status.h"
#include "compute/op_table.h"
#include "compute/tensor.h"

struct tt_kernels;

/* A gradient buffer, shared by tensors whose gradients are equal (the two sides of a sum): copied
 * when one of them is added to. Buffers return to a free list when their last owner is done, so
 * that the backward pass stays in few, warm pages. */
struct tt_grad {
  void *data;
  size_t bytes;
  size_t owners;
  struct tt_grad *next_free;
};

struct tt_node;
struct tt_compute;
typedef void tt_backward_fn(struct tt_compute *c, const struct tt_node *node);

struct tt_node {
  enum tt_op op;
  tt_backward_fn *backward;
  const void *args;         /* the op's own record, in the arena */
  struct tt_tensor *out[2]; /* the op's outputs; [1] may be NULL */
};

struct tt_op_time {
  double forward, backward; /* seconds */
  double flops;             /* arithmetic of products, forward + backward */
};

struct tt_compute {
  enum tt_dtype dtype;              /* of activations */
  const struct tt_kernels *kernels; /* may be changed between steps */
  uint64_t seed;                    /* of dropout */
  bool record;
  bool train; /* dropout is active: set by begin to `record`, may be changed after */
  uint64_t step;
  uint64_t draws; /* random ops so far in this step */
  /* arena */
  char *arena;
  size_t reserved, used, peak, keep;
  /* tape */
  struct tt_node *nodes;
  size_t n_nodes, nodes_capacity;
  struct tt_grad *free_grads;
  struct tt_op_time times[TT_OP_COUNT]; /* filled when `timing` */
  bool timing;
};

enum tt_precision {
  TT_PRECISION_AUTO, /* bf16 where the CPU computes it, else f32 */
  TT_PRECISION_F32,
  TT_PRECISION_BF16, /* on request anywhere; emulated where the CPU has no bf16 */
};

/* True when the CPU has AVX-512 BF16. */
bool tt_cpu_has_bf16(void);

/* Reserves address space (TT_NO_MEMORY when refused). The fastest kernels for this CPU are chosen;
 * the environment is not read. Free with tt_compute_free (accepts NULL). */
enum tt_status tt_compute_create(enum tt_precision precision, uint64_t seed,
                                 struct tt_compute **ret);
void tt_compute_free(struct tt_compute *c);

void tt_compute_begin(struct tt_compute *c, bool record, uint64_t step);
/* Runs the tape from its end. `loss` is a [1, 1] f32 tensor, its gradient is 1. Once per begin. */
void tt_compute_backward(struct tt_compute *c, struct tt_tensor *loss);
/* Bytes touched at most by any step so far. */
size_t tt_compute_peak_bytes(const struct tt_compute *c);

/* Inside an inference loop: what is allocated after a mark is forgotten by a release of it. */
size_t tt_compute_mark(const struct tt_compute *c);
void tt_compute_release_to(struct tt_compute *c, size_t mark);

/* ---- for users: inputs ---- */
/* An input [rows, cols] copied from f32 into the compute dtype. No gradient flows to it. */
struct tt_tensor *tt_input(struct tt_compute *c, const float *data, size_t rows, size_t cols);
/* The same, with a gradient to be read after backward by tt_gradient (tests, guidance). */
struct tt_tensor *tt_input_watched(struct tt_compute *c, const float *data, size_t rows,
                                   size_t cols);
/* Copies the gradient of a watched input as f32; zeros when none reached it. */
void tt_gradient(const struct tt_tensor *tensor, float *out);

/* ---- for ops ---- */
/* Bytes from the arena, 64-byte aligned, unset. */
void *tt_arena(struct tt_compute *c, size_t count, size_t size);
struct tt_tensor *tt_tensor_new(struct tt_compute *c, enum tt_dtype dtype, size_t rows,
                                size_t cols);
/* Pushes a backward when recording and `out[0]->needs_grad`. */
void tt_tape_push(struct tt_compute *c, enum tt_op op, tt_backward_fn *backward, const void *args,
                  struct tt_tensor *out0, struct tt_tensor *out1);
/* The gradient of `t` to be written by a backward: *accumulate says whether to add to what is there
 * or to overwrite. NULL when t needs no gradient. */
void *tt_grad_target(struct tt_compute *c, struct tt_tensor *t, bool *accumulate);
/* Gives `t` the gradient of `from` itself where t has none yet, else adds it. */
void tt_grad_pass(struct tt_compute *c, struct tt_tensor *t, struct tt_tensor *from);
/* The gradient of an op's output, NULL when nothing reached it. */
const void *tt_grad_of(const struct tt_tensor *t);
/* The same, writable: the caller is the last reader and may overwrite it (copied if shared). */
void *tt_grad_scratch(struct tt_compute *c, struct tt_tensor *t);
/* Wall clock for the profile: start = tt_op_start(c); ...; tt_op_stop(c, op, start, flops). */
double tt_op_start(const struct tt_compute *c);
void tt_op_stop(struct tt_compute *c, enum tt_op op, double start, double flops);

#endif
