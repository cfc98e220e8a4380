/* The kernels behind the ops, as tables: a set is one struct tt_kernels, chosen at run time.
 *   ref   plain C, one loop per sum: what the others are compared with
 *   dnn   products by oneDNN, the rest by vectorised loops: any CPU, f32 and bf16
 *   simd  AVX-512 BF16 products and attention; what is not bf16 falls through to dnn
 * A kernel never allocates from the arena and never fails. Buffers do not overlap unless said.
 * Sums are taken in f32 in an order that does not depend on the number of threads. */
#ifndef COMPUTE_KERNELS_H
#define COMPUTE_KERNELS_H

#include "compute/ops.h"

/* y = act(x W^T + b); `pre` (with act, NULL when not recording) receives x W^T + b. */
struct tt_k_linear {
  enum tt_dtype dtype;   /* of x and pre */
  enum tt_dtype y_dtype; /* of y; differs from dtype only without act */
  size_t rows;
  const void *x;                 /* [rows, in] */
  const struct tt_param *weight; /* [out, in] */
  const float *bias;             /* [out] or NULL */
  enum tt_act act;
  void *pre, *y; /* [rows, out] */
};

/* dz = dy * act'(pre), written over dy; dx (+)= dz W. */
struct tt_k_linear_backward {
  enum tt_dtype dtype;
  size_t rows, dy_stride; /* elements from row to row of dy and pre, >= out */
  void *dy;
  const void *pre;
  enum tt_act act;
  const struct tt_param *weight;
  void *dx; /* [rows, in], NULL: only dz is wanted */
  bool accumulate;
};

/* dW += dz^T x, db += column sums of dz. */
struct tt_k_linear_weight {
  enum tt_dtype dtype;
  size_t rows, in, out, dz_stride;
  const void *x, *dz;
  float *weight_grad; /* [out, in] */
  float *bias_grad;   /* [out] or NULL */
};

/* h = x + gate * r; y = (norm(h) * gamma + beta) * (1 + scale) + shift; see tt_op_norm. */
struct tt_k_norm {
  enum tt_dtype dtype;
  size_t rows, d;
  const void *x, *residual;         /* residual NULL: h is x */
  const float *gamma, *beta;        /* NULL: 1, 0 */
  const void *gate, *shift, *scale; /* NULL or first element of group 0's row */
  size_t group, mod_stride;         /* rows per group; elements from group to group */
  void *h, *y;                      /* h NULL without residual */
  float *mean, *rstd;               /* [rows], kept for the backward */
};
struct tt_k_norm_backward {
  struct tt_k_norm forward; /* as it ran; forward.h is h (or x without residual) */
  const void *dy, *dh;      /* dh: gradient reaching h from elsewhere, or NULL */
  void *dx;                 /* [rows, d] or NULL: gradient of h and so of x; may be dh */
  bool dx_accumulate;
  void *dr; /* gradient of r when there is a gate; else NULL */
  bool dr_accumulate;
  float *dgamma, *dbeta;          /* [d] f32, added to; or NULL */
  float *dgate, *dshift, *dscale; /* [groups, d] f32, overwritten; or NULL */
};

struct tt_k_embed {
  enum tt_dtype dtype;
  size_t rows, d, n;
  const int32_t *ids;             /* [rows, n] */
  struct tt_param *const *tables; /* [n] */
  void *y;                        /* [rows, d] */
};
struct tt_k_embed_backward {
  struct tt_k_embed forward;
  const void *dy; /* [rows, d]; table gradients are added to */
};

/* Query i of a sequence is position query_first + i; keys are positions 0..n_keys-1. */
struct tt_k_attention {
  enum tt_dtype dtype;
  struct tt_attention_spec spec; /* spec.length: queries per sequence */
  size_t head;                   /* width of a head */
  size_t query_first, n_keys;
  const void *q, *k, *v;    /* first element of sequence 0, head 0 */
  size_t q_row, kv_row;     /* elements from position to position */
  size_t q_batch, kv_batch; /* elements from sequence to sequence */
  void *out;                /* [B*L, heads * head] */
  float *lse;               /* [B, heads, L]: log of the softmax sum; NULL: not kept */
};
struct tt_k_attention_backward {
  struct tt_k_attention forward; /* as it ran, query_first 0, n_keys = length */
  const void *dout;              /* [B*L, heads * head] */
  void *dq, *dk, *dv;            /* strides as q (q_row, q_batch); overwritten */
};

/* One position of an LSTM, the recurrent product done: see tt_op_lstm. Rows of x, y and their
 * gradients are `step` positions apart (positions times their width, in elements). */
struct tt_k_lstm {
  enum tt_dtype dtype; /* of x, h, y */
  size_t batch, d, step;
  const void *x;            /* [batch] rows of 4d */
  float *gates;             /* [batch, 4d] in: recurrent share; out: i, f, g, o after activation */
  const float *cell_before; /* [batch, d] */
  float *cell;              /* [batch, d] */
  void *h;                  /* [batch, d] */
  void *y;                  /* [batch] rows of d: h again */
};
struct tt_k_lstm_backward {
  struct tt_k_lstm forward; /* as it ran */
  const void *dy;           /* [batch] rows of d, or NULL */
  const void *dh;           /* [batch, d] from the next position, or NULL */
  float *dcell;             /* [batch, d] in: from the next position; out: for the one before */
  void *dz;                 /* [batch, 4d] gradient before the activations, overwritten */
  void *dx;                 /* [batch] rows of 4d, the same; or NULL */
  bool dx_accumulate;
};

/* See tt_op_conv1d. */
struct tt_k_conv1d {
  const struct tt_kernels *products; /* whose linear kernels multiply the unfolded tiles */
  enum tt_dtype dtype;
  size_t batch, length, out_length, kernel, stride;
  const void *x;                 /* [batch * length, in] */
  const struct tt_param *weight; /* [out, kernel * in] */
  const float *bias;             /* [out] or NULL */
  enum tt_act act;
  void *pre, *y; /* [batch * out_length, out]; pre as in tt_k_linear */
};
struct tt_k_conv1d_backward {
  struct tt_k_conv1d forward;
  void *dy;           /* [batch * out_length, out], written over */
  void *dx;           /* [batch * length, in] or NULL */
  bool dx_accumulate; /* else overwritten */
  float *weight_grad; /* [out, kernel * in], added to */
  float *bias_grad;   /* [out] or NULL, added to */
};

/* See tt_op_group_norm. */
struct tt_k_group_norm {
  enum tt_dtype dtype;
  size_t batch, length, d, groups;
  const void *x;
  const float *gamma, *beta; /* [d] */
  enum tt_act act;
  void *y;
  float *mean, *rstd; /* [batch, groups], kept for the backward */
};
struct tt_k_group_norm_backward {
  struct tt_k_group_norm forward;
  const void *dy;
  void *dx; /* [batch * length, d] or NULL */
  bool dx_accumulate;
  float *dgamma, *dbeta; /* [d], added to */
};

/* Rows of logits = x W^T + b, never kept: loss[i] = lse - logit[target], and, when dlogits is not
 * NULL, dlogits[i] = coefficient[i] * (softmax - onehot), zero in the padding. */
struct tt_k_head_loss {
  enum tt_dtype dtype;
  size_t rows;
  const void *x;
  const struct tt_param *weight;
  const float *bias;
  const int32_t *targets;    /* < 0: loss and gradient 0 */
  const float *coefficients; /* [rows] */
  float *loss;               /* [rows] */
  void *dlogits;             /* [rows, stride] of dtype */
  size_t stride;             /* >= out */
};

#define TT_KERNELS(X)                                                                              \
  X(linear_forward, struct tt_k_linear)                                                            \
  X(linear_backward, struct tt_k_linear_backward)                                                  \
  X(linear_weight, struct tt_k_linear_weight)                                                      \
  X(norm_forward, struct tt_k_norm)                                                                \
  X(norm_backward, struct tt_k_norm_backward)                                                      \
  X(embed_forward, struct tt_k_embed)                                                              \
  X(embed_backward, struct tt_k_embed_backward)                                                    \
  X(attention_forward, struct tt_k_attention)                                                      \
  X(attention_backward, struct tt_k_attention_backward)                                            \
  X(lstm_forward, struct tt_k_lstm)                                                                \
  X(lstm_backward, struct tt_k_lstm_backward)                                                      \
  X(conv1d_forward, struct tt_k_conv1d)                                                            \
  X(conv1d_backward, struct tt_k_conv1d_backward)                                                  \
  X(group_norm_forward, struct tt_k_group_norm)                                                    \
  X(group_norm_backward, struct tt_k_group_norm_backward)                                          \
  X(head_loss, struct tt_k_head_loss)

struct tt_kernels {
  const char *name;
#define X(kernel, args) void (*kernel)(const args *);
  TT_KERNELS(X)
#undef X
};

const struct tt_kernels *tt_kernels_ref(void);
const struct tt_kernels *tt_kernels_dnn(void);
/* NULL where the CPU has no AVX-512 BF16. */
const struct tt_kernels *tt_kernels_simd(void);
/* The fastest of this CPU. */
const struct tt_kernels *tt_kernels_best(void);

/* Functions of the sets. */
#define X(kernel, args) void tt_ref_##kernel(const args *);
TT_KERNELS(X)
#undef X
void tt_dnn_linear_forward(const struct tt_k_linear *k);
void tt_dnn_linear_backward(const struct tt_k_linear_backward *k);
void tt_dnn_linear_weight(const struct tt_k_linear_weight *k);
void tt_dnn_head_loss(const struct tt_k_head_loss *k);

#endif
