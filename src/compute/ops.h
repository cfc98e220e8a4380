/* The ops: each takes its output from the step arena, runs a forward kernel and, when the step
 * records, pushes its backward. Tensors are [rows, cols]; "grouped" arguments of G rows belong to
 * blocks of rows/G consecutive rows (one group per sample: G = B and L rows each). Host arrays
 * given to an op (ids, targets, weights, coefficients) are copied: they may be reused at once. */
#ifndef COMPUTE_OPS_H
#define COMPUTE_OPS_H

#include "compute/params.h"
#include "compute/tape.h"

enum tt_act {
  TT_ACT_NONE,
  TT_ACT_GELU, /* tanh form */
  TT_ACT_SILU,
  TT_ACT_RELU,    /* this one and the next in tt_op_activation only */
  TT_ACT_SIGMOID, /* logistic */
};

/* y = act(x W^T + b). x: [rows, in], W: [out, in], b: [1, out] or NULL. */
struct tt_tensor *tt_op_linear(struct tt_compute *c, struct tt_tensor *x, struct tt_param *weight,
                               struct tt_param *bias, enum tt_act act);
/* The same without activation, f32 whatever the compute dtype: logits, predictions to be read. Its
 * gradient is f32 too. */
struct tt_tensor *tt_op_linear_f32(struct tt_compute *c, struct tt_tensor *x,
                                   struct tt_param *weight, struct tt_param *bias);

/* Residual + layer norm + modulation, all optional but the norm (Ba et al. 2016; adaLN-zero of
 * Peebles & Xie 2023):
 *   h = x + gate * r                              (h = x without r; gate = 1 without mod)
 *   y = (norm(h) * gamma + beta) * (1 + scale) + shift
 * gate, scale, shift are grouped rows taken from mod [G, mod_cols] at the given column offsets
 * (TT_NO_COLUMN: not used); gamma, beta: [1, d] or NULL (1, 0). *ret_h (if not NULL) is h: the
 * stream that the next residual is added to. */
#define TT_NO_COLUMN SIZE_MAX
struct tt_norm_spec {
  struct tt_param *gamma, *beta;
  struct tt_tensor *residual; /* r: [rows, d] or NULL */
  struct tt_tensor *mod;      /* [G, mod_cols] or NULL */
  size_t gate, shift, scale;  /* first column of each in mod */
};
struct tt_tensor *tt_op_norm(struct tt_compute *c, struct tt_tensor *x,
                             const struct tt_norm_spec *spec, struct tt_tensor **ret_h);

/* y[i] = sum over channels k of table[k][ids[i * n + k]]. ids: [rows, n], channel-last; a negative
 * id adds nothing; ids >= rows of the table: TT_ASSERT. Positions are one more channel. */
struct tt_tensor *tt_op_embed(struct tt_compute *c, struct tt_param *const *tables, size_t n,
                              const int32_t *ids, size_t rows);

/* Which keys a query sees is an interval [begin(i), end(i)) that never moves back with i: every
 * mask is one code path. */
enum tt_mask {
  TT_MASK_NONE,
  TT_MASK_CAUSAL,       /* keys 0..i */
  TT_MASK_BLOCK_CAUSAL, /* all keys of blocks 0..i/block (both directions within a block) */
  TT_MASK_WINDOW,       /* keys i-window+1..i */
  TT_MASK_WINDOW_BOTH,  /* keys i-window+1..i+window-1 */
};
struct tt_attention_spec {
  size_t batch, length, heads; /* rows = batch * length, d = heads * head width */
  enum tt_mask mask;
  size_t block, window;
};
void tt_mask_interval(const struct tt_attention_spec *spec, size_t query, size_t *ret_begin,
                      size_t *ret_end);

/* Softmax attention over each sequence and head; qkv: [B*L, 3*d] = queries | keys | values, each
 * head by head; returns [B*L, d]. Tiles with running softmax (FlashAttention-2, Dao 2023): no
 * [L, L] matrix is kept. Scale 1/sqrt(head width). */
struct tt_tensor *tt_op_attention(struct tt_compute *c, struct tt_tensor *qkv,
                                  const struct tt_attention_spec *spec);

/* Keys and values of past positions, for sampling. One per layer. */
struct tt_kv_cache {
  enum tt_dtype dtype;
  size_t batch, capacity, d; /* capacity: positions per sequence */
  size_t length;             /* positions filled */
  void *keys, *values;       /* [batch, capacity, d] */
};
enum tt_status tt_kv_cache_create(const struct tt_compute *c, size_t batch, size_t capacity,
                                  size_t d, struct tt_kv_cache *ret);
void tt_kv_cache_release(struct tt_kv_cache *cache);
/* Inference: appends the spec->length new positions of each sequence to the cache and lets each of
 * them attend to all positions the mask allows, positions counted from the cache's start. */
struct tt_tensor *tt_op_attention_cached(struct tt_compute *c, struct tt_tensor *qkv,
                                         const struct tt_attention_spec *spec,
                                         struct tt_kv_cache *cache);

/* Keys and values of many sequences that advance by a few positions at a time, each at its own
 * pace: the last positions of each, in a ring. One per layer. */
struct tt_kv_rings {
  enum tt_dtype dtype; /* that of the compute: reading them bounds the speed */
  size_t slots, window, capacity, d;
  size_t stride; /* the capacity, rounded up for vectors */
  void *keys;    /* [slots, d, stride] */
  void *values;  /* [slots, stride, d] */
};
/* together >= 1: the most new positions of one sequence per call below. */
enum tt_status tt_kv_rings_create(const struct tt_compute *c, size_t slots, size_t window,
                                  size_t together, size_t d, struct tt_kv_rings *ret);
void tt_kv_rings_release(struct tt_kv_rings *rings);
/* Positions [first, first + n) of one sequence become those of another. */
void tt_kv_rings_copy(struct tt_kv_rings *rings, size_t from, size_t to, uint64_t first,
                      uint64_t n);
/* Inference: row i of qkv [n, 3d] is the new position positions[i] of sequence slots[i]; new
 * positions of one sequence are consecutive rows (so that its ring is read from memory once).
 * Rotates queries and keys (rotary: as tt_op_rotary), appends, and attends to the last `window`
 * positions, itself included: what tt_op_rotary and tt_op_attention under TT_MASK_WINDOW give for a
 * whole sequence. Positions of a sequence come in order from 0. */
struct tt_tensor *tt_op_attention_rings(struct tt_compute *c, struct tt_tensor *qkv, size_t heads,
                                        bool rotary, struct tt_kv_rings *rings,
                                        const uint32_t *slots, const uint64_t *positions);

/* Rotary positions (Su et al. 2021, halves rotated, base 10000) on the queries and keys of qkv.
 * Row b*L + i has position first + i. */
struct tt_tensor *tt_op_rotary(struct tt_compute *c, struct tt_tensor *qkv, size_t length,
                               size_t heads, size_t first);

/* Where recurrent sequences stand, in f32 whatever the compute dtype. */
struct tt_lstm_state {
  size_t batch, d;
  float *h, *cell; /* [batch, d] */
};
enum tt_status tt_lstm_state_create(size_t batch, size_t d, struct tt_lstm_state *ret); /* zeros */
void tt_lstm_state_release(struct tt_lstm_state *state); /* accepts zeroed */
/* Long short-term memory (Hochreiter & Schmidhuber 1997; forget gates of Gers et al. 2000), the
 * gates in PyTorch's order, along each of `batch` sequences:
 *   i, f, g, o = x_t + h_{t-1} W^T
 *   c_t = sigmoid(f) c_{t-1} + sigmoid(i) tanh(g),  h_t = sigmoid(o) tanh(c_t)
 * x: [batch * L, 4d]: what the inputs (and the bias) add to the gates; W: [4d, d], a `product`
 * parameter. state: NULL for zeros at the start; else read, and replaced by the state after the
 * last position (no gradient flows into it: truncated back-propagation through time, Williams &
 * Peng 1990). Returns all h_t, [batch * L, d]. */
struct tt_tensor *tt_op_lstm(struct tt_compute *c, struct tt_tensor *x, size_t batch,
                             struct tt_param *weight, struct tt_lstm_state *state);

/* Convolution along each of `batch` sequences, whose positions are the rows, zeros beyond the ends:
 *   y[b, i, o] = act(bias[o] + sum over taps t and channels j of W[o, t * in + j] x[b, s, j]),
 *   s = i * stride + t - (kernel - 1) / 2
 * x: [batch * L, in]; W: [out, kernel * in], a `product` parameter (PyTorch's [out, in, kernel]
 * with its last two axes exchanged); bias: [1, out] or NULL. kernel is odd, stride 1 or 2; returns
 * [batch * ceil(L / stride), out]. Products of unfolded tiles (im2col, Chellapilla et al. 2006). */
struct tt_tensor *tt_op_conv1d(struct tt_compute *c, struct tt_tensor *x, size_t batch,
                               size_t kernel, size_t stride, struct tt_param *weight,
                               struct tt_param *bias, enum tt_act act);

/* y = act(norm(x) * gamma + beta), the channels in `groups` equal groups, each normalised over its
 * channels and all positions of a sequence (Wu & He 2018; epsilon 1e-5). x: [batch * L, d], groups
 * divides d; gamma, beta: [1, d]. */
struct tt_tensor *tt_op_group_norm(struct tt_compute *c, struct tt_tensor *x, size_t batch,
                                   size_t groups, struct tt_param *gamma, struct tt_param *beta,
                                   enum tt_act act);

/* Every position twice: y[b, i] = x[b, i / 2], i < length, which is 2L or 2L - 1 (what a
 * convolution of stride 2 took in). x: [batch * L, d] -> [batch * length, d]. */
struct tt_tensor *tt_op_upsample(struct tt_compute *c, struct tt_tensor *x, size_t batch,
                                 size_t length);

/* y[b, j] = the largest of x[b, i, j] over the positions i (max-over-time, Collobert et al. 2011);
 * the gradient goes to the first of equals. x: [batch * L, d] -> [batch, d]. */
struct tt_tensor *tt_op_max_pool(struct tt_compute *c, struct tt_tensor *x, size_t batch);

/* Mean softmax cross-entropy: sum over rows of w[i] * -log softmax(logits[i])[target[i]] / sum of
 * w. Rows with target < 0 are ignored (weight 0). weights: [rows] or NULL (all 1). normalizer: what
 * to divide by instead of the sum of weights when > 0. [1, 1] f32; 0 when no row counts. */
struct tt_tensor *tt_op_cross_entropy(struct tt_compute *c, struct tt_tensor *logits,
                                      const int32_t *targets, const float *weights,
                                      double normalizer);
/* The same over the head logits = x W^T + b in f32, without ever keeping f32 logits: the way to
 * train. row_loss (NULL or [rows]) receives each row's unweighted -log p (0 where ignored). */
struct tt_tensor *tt_op_head_loss(struct tt_compute *c, struct tt_tensor *x,
                                  struct tt_param *weight, struct tt_param *bias,
                                  const int32_t *targets, const float *weights, double normalizer,
                                  float *row_loss);

/* Logits that start from a known distribution (a product of experts with a learned weight per row):
 * y[i, v] = x[i, v] + x[i, V] * prior[i, v] for v < V = x->cols - 1. x: f32 (tt_op_linear_f32 with
 * one column more than there are classes: its gate); prior: host array [rows, V], log
 * probabilities, finite. */
struct tt_tensor *tt_op_prior(struct tt_compute *c, struct tt_tensor *x, const float *prior);

/* sum over rows of w[i] * mean over cols of (x - target)^2 / sum of w. target: f32 [rows, cols]
 * host array. weights: [rows] or NULL. */
struct tt_tensor *tt_op_mse(struct tt_compute *c, struct tt_tensor *x, const float *target,
                            const float *weights);

struct tt_tensor *tt_op_add(struct tt_compute *c, struct tt_tensor *a, struct tt_tensor *b);
/* y[i] = x[i] + g[i / (rows / G)]; g: [G, cols]: one row added to each sample. */
struct tt_tensor *tt_op_add_rows(struct tt_compute *c, struct tt_tensor *x, struct tt_tensor *g);
struct tt_tensor *tt_op_scale(struct tt_compute *c, struct tt_tensor *x, float factor);
struct tt_tensor *tt_op_mul(struct tt_compute *c, struct tt_tensor *a, struct tt_tensor *b);
struct tt_tensor *tt_op_activation(struct tt_compute *c, struct tt_tensor *x, enum tt_act act);
/* Zeroes with probability p, scales the rest by 1/(1-p); the identity unless c->train and p > 0. */
struct tt_tensor *tt_op_dropout(struct tt_compute *c, struct tt_tensor *x, float p);
/* a[g] * x + b[g] * y with one pair of coefficients per group (host arrays [G]); diffusion's
 * q(x_t | x_0) with x the signal, y the noise. */
struct tt_tensor *tt_op_axpby(struct tt_compute *c, struct tt_tensor *x, struct tt_tensor *y,
                              const float *a, const float *b, size_t groups);
/* Columns of all parts side by side; rows equal. */
struct tt_tensor *tt_op_concat(struct tt_compute *c, struct tt_tensor *const *parts, size_t n);
struct tt_tensor *tt_op_slice(struct tt_compute *c, struct tt_tensor *x, size_t first, size_t cols);
/* y[i] = x[rows[i]] for i < n, n >= 1; a row may be taken any number of times. */
struct tt_tensor *tt_op_gather(struct tt_compute *c, struct tt_tensor *x, const uint32_t *rows,
                               size_t n);
/* sum over k of factor[k] * part[k], all [1, 1] f32: the total loss. factors NULL: all 1. */
struct tt_tensor *tt_op_sum(struct tt_compute *c, struct tt_tensor *const *parts,
                            const float *factors, size_t n);

#endif
