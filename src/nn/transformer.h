/* A stack of pre-norm Transformer blocks with a final norm:
 *   x = x + gate1 * Attention(norm1(x));  x = x + gate2 * FF(norm2(x))
 * Without conditioning the norms have gamma and beta and the gates are 1. With it (d_condition > 0)
 * shift, scale and gate of each norm are linear in SiLU(condition), zero at the start (adaLN-zero,
 * Peebles & Xie 2023). An additive timestep embedding is tt_op_add_rows on the input instead. */
#ifndef NN_TRANSFORMER_H
#define NN_TRANSFORMER_H

#include "nn/layers.h"

struct tt_transformer_config {
  size_t d, heads, layers;
  size_t hidden;      /* of the feed-forward layers; 0: 4 * d */
  size_t d_condition; /* 0: none */
  bool rotary;        /* rotary positions in every block (else add learned ones to the input) */
  float dropout;      /* on both branches' outputs */
  enum tt_act act;    /* TT_ACT_NONE means TT_ACT_GELU */
};

struct tt_block {
  struct tt_norm norm1, norm2; /* unset with conditioning */
  struct tt_linear qkv, proj;  /* [3d, d], [d, d] */
  struct tt_linear up, down;   /* [hidden, d], [d, hidden] */
  struct tt_linear modulation; /* [6d, d_condition]: shift1 scale1 gate1 shift2 scale2 gate2 */
};

#define TT_MAX_LAYERS 64
struct tt_transformer {
  struct tt_transformer_config config;
  struct tt_block blocks[TT_MAX_LAYERS];
  struct tt_norm norm;         /* final */
  struct tt_linear modulation; /* final: [2d, d_condition]: shift scale */
};

/* Declares the parameters as PREFIX.blocks.I.attention.qkv.weight and so on. */
void tt_transformer_init(struct tt_transformer *transformer, struct tt_params *params,
                         const char *prefix, const struct tt_transformer_config *config);

struct tt_transformer_caches { /* one per layer, for sampling */
  struct tt_kv_cache layers[TT_MAX_LAYERS];
  size_t n;
};
enum tt_status tt_transformer_caches_create(const struct tt_compute *c,
                                            const struct tt_transformer *transformer, size_t batch,
                                            size_t capacity, struct tt_transformer_caches *ret);
void tt_transformer_caches_release(struct tt_transformer_caches *caches);
/* Forgets all positions from `length` on. */
void tt_transformer_caches_truncate(struct tt_transformer_caches *caches, size_t length);

struct tt_transformer_rings { /* one per layer, for sampling sequences at their own pace */
  struct tt_kv_rings layers[TT_MAX_LAYERS];
  size_t n;
};
enum tt_status tt_transformer_rings_create(const struct tt_compute *c,
                                           const struct tt_transformer *transformer, size_t slots,
                                           size_t window, size_t together,
                                           struct tt_transformer_rings *ret);
void tt_transformer_rings_release(struct tt_transformer_rings *rings);
/* Positions [first, first + n) of slot `from` become those of slot `to`. */
void tt_transformer_rings_copy(struct tt_transformer_rings *rings, size_t from, size_t to,
                               uint64_t first, uint64_t n);
/* Inference without conditioning: new positions of many sequences, at most `together` of each
 * (slots, positions: as tt_op_attention_rings). x: [n, d] -> [n, d], normed. */
struct tt_tensor *tt_transformer_step(struct tt_compute *c,
                                      const struct tt_transformer *transformer, struct tt_tensor *x,
                                      struct tt_transformer_rings *rings, const uint32_t *slots,
                                      const uint64_t *positions);

/* x: [B*L, d] -> [B*L, d], normed. spec: batch, length, mask (heads is filled in). condition: [G,
 * d_condition] grouped over the rows, NULL without conditioning. caches: NULL, or (inference) the
 * past; L are then the new positions. */
struct tt_tensor *tt_transformer_forward(struct tt_compute *c,
                                         const struct tt_transformer *transformer,
                                         struct tt_tensor *x, const struct tt_attention_spec *spec,
                                         struct tt_tensor *condition,
                                         struct tt_transformer_caches *caches);

#endif
