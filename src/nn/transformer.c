/* The residual stream is passed from norm to norm: each norm first adds the branch before it, so
 * that a residual costs no pass of its own. */
#include "nn/transformer.h"

#include <math.h>
#include <stdio.h>

static void name_of(char *out, size_t size, const char *prefix, size_t layer, const char *part) {
  int length = snprintf(out, size, "%s.blocks.%zu.%s", prefix, layer, part);
  TT_ASSERT(length > 0 && (size_t)length < size);
}

void tt_transformer_init(struct tt_transformer *t, struct tt_params *params, const char *prefix,
                         const struct tt_transformer_config *config) {
  char name[200];
  *t = (struct tt_transformer){.config = *config};
  struct tt_transformer_config *c = &t->config;
  TT_ASSERT(c->layers <= TT_MAX_LAYERS && c->heads > 0 && c->d % c->heads == 0);
  if (!c->hidden)
    c->hidden = 4 * c->d;
  if (c->act == TT_ACT_NONE)
    c->act = TT_ACT_GELU;
  /* Branch outputs start smaller with depth, as in GPT-2 (Radford et al. 2019). */
  const float std = 1 / sqrtf((float)c->d), depth = 1 / sqrtf(2 * (float)c->layers);
  for (size_t i = 0; i < c->layers; i++) {
    struct tt_block *b = &t->blocks[i];
    if (c->d_condition) {
      name_of(name, sizeof name, prefix, i, "modulation");
      tt_linear_init(&b->modulation, params, name, c->d_condition, 6 * c->d, true, 0);
    } else {
      name_of(name, sizeof name, prefix, i, "norm1");
      tt_norm_init(&b->norm1, params, name, c->d);
      name_of(name, sizeof name, prefix, i, "norm2");
      tt_norm_init(&b->norm2, params, name, c->d);
    }
    name_of(name, sizeof name, prefix, i, "attention.qkv");
    tt_linear_init(&b->qkv, params, name, c->d, 3 * c->d, true, std);
    name_of(name, sizeof name, prefix, i, "attention.proj");
    tt_linear_init(&b->proj, params, name, c->d, c->d, true, std * depth);
    name_of(name, sizeof name, prefix, i, "ff.up");
    tt_linear_init(&b->up, params, name, c->d, c->hidden, true, std);
    name_of(name, sizeof name, prefix, i, "ff.down");
    tt_linear_init(&b->down, params, name, c->hidden, c->d, true, depth / sqrtf((float)c->hidden));
  }
  int length = snprintf(name, sizeof name, "%s.%s", prefix, c->d_condition ? "modulation" : "norm");
  TT_ASSERT(length > 0 && (size_t)length < sizeof name);
  if (c->d_condition)
    tt_linear_init(&t->modulation, params, name, c->d_condition, 2 * c->d, true, 0);
  else
    tt_norm_init(&t->norm, params, name, c->d);
}

enum tt_status tt_transformer_caches_create(const struct tt_compute *c,
                                            const struct tt_transformer *t, size_t batch,
                                            size_t capacity, struct tt_transformer_caches *ret) {
  struct tt_transformer_caches caches = {0};
  for (; caches.n < t->config.layers; caches.n++) {
    enum tt_status status =
        tt_kv_cache_create(c, batch, capacity, t->config.d, &caches.layers[caches.n]);
    if (status != TT_OK) {
      tt_transformer_caches_release(&caches);
      return status;
    }
  }
  *ret = caches;
  return TT_OK;
}

void tt_transformer_caches_release(struct tt_transformer_caches *caches) {
  for (size_t i = 0; i < caches->n; i++)
    tt_kv_cache_release(&caches->layers[i]);
  caches->n = 0;
}

void tt_transformer_caches_truncate(struct tt_transformer_caches *caches, size_t length) {
  for (size_t i = 0; i < caches->n; i++)
    if (caches->layers[i].length > length)
      caches->layers[i].length = length;
}

enum tt_status tt_transformer_rings_create(const struct tt_compute *c,
                                           const struct tt_transformer *t, size_t slots,
                                           size_t window, size_t together,
                                           struct tt_transformer_rings *ret) {
  struct tt_transformer_rings rings = {0};
  for (; rings.n < t->config.layers; rings.n++) {
    enum tt_status status =
        tt_kv_rings_create(c, slots, window, together, t->config.d, &rings.layers[rings.n]);
    if (status != TT_OK) {
      tt_transformer_rings_release(&rings);
      return status;
    }
  }
  *ret = rings;
  return TT_OK;
}

void tt_transformer_rings_release(struct tt_transformer_rings *rings) {
  for (size_t i = 0; i < rings->n; i++)
    tt_kv_rings_release(&rings->layers[i]);
  rings->n = 0;
}

void tt_transformer_rings_copy(struct tt_transformer_rings *rings, size_t from, size_t to,
                               uint64_t first, uint64_t n) {
  for (size_t i = 0; i < rings->n; i++)
    tt_kv_rings_copy(&rings->layers[i], from, to, first, n);
}

/* A norm that first adds `branch` (NULL: none), its gate in mod_before, to the stream x. */
static struct tt_tensor *add_norm(struct tt_compute *c, struct tt_tensor **x,
                                  struct tt_tensor *branch, const struct tt_norm *norm,
                                  struct tt_tensor *mod, size_t gate, size_t shift) {
  const size_t d = (*x)->cols;
  struct tt_norm_spec spec = {.residual = branch,
                              .mod = mod,
                              .gate = branch ? gate : TT_NO_COLUMN,
                              .shift = shift,
                              .scale = shift + d};
  if (!mod) {
    spec.gamma = norm->gamma;
    spec.beta = norm->beta;
  }
  return tt_op_norm(c, *x, &spec, x);
}

/* What a block's attention looks at: the sequences in x, their cached past, or rings. */
struct past {
  const struct tt_attention_spec *spec; /* NULL: rings */
  struct tt_transformer_caches *caches; /* NULL: none */
  struct tt_transformer_rings *rings;
  const uint32_t *slots;
  const uint64_t *positions;
};

static struct tt_tensor *attend(struct tt_compute *c, const struct tt_transformer_config *config,
                                struct tt_tensor *qkv, size_t layer, const struct past *past) {
  if (!past->spec)
    return tt_op_attention_rings(c, qkv, config->heads, config->rotary, &past->rings->layers[layer],
                                 past->slots, past->positions);
  struct tt_attention_spec spec = *past->spec;
  struct tt_kv_cache *cache = past->caches ? &past->caches->layers[layer] : NULL;
  spec.heads = config->heads;
  if (config->rotary)
    qkv = tt_op_rotary(c, qkv, spec.length, config->heads, cache ? cache->length : 0);
  return cache ? tt_op_attention_cached(c, qkv, &spec, cache) : tt_op_attention(c, qkv, &spec);
}

static struct tt_tensor *run_blocks(struct tt_compute *c, const struct tt_transformer *t,
                                    struct tt_tensor *x, struct tt_tensor *condition,
                                    const struct past *past) {
  const struct tt_transformer_config *config = &t->config;
  const size_t d = config->d;
  TT_ASSERT(x->cols == d && (condition != NULL) == (config->d_condition > 0));
  struct tt_tensor *active = condition ? tt_op_activation(c, condition, TT_ACT_SILU) : NULL;
  struct tt_tensor *branch = NULL, *mod = NULL, *before;
  for (size_t i = 0; i < config->layers; i++) {
    const struct tt_block *b = &t->blocks[i];
    /* The gate of the last block's second branch lies in the last block's modulation: side by side
     * with this block's, so that one norm reads both. */
    before = mod;
    mod = active ? tt_linear_forward(c, &b->modulation, active, TT_ACT_NONE) : NULL;
    struct tt_tensor *joined =
        before ? tt_op_concat(c, (struct tt_tensor *[]){before, mod}, 2) : mod;
    struct tt_tensor *y = add_norm(c, &x, branch, &b->norm1, joined, 5 * d, before ? 6 * d : 0);
    y = tt_linear_forward(c, &b->qkv, y, TT_ACT_NONE);
    y = attend(c, config, y, i, past);
    branch = tt_linear_forward(c, &b->proj, y, TT_ACT_NONE);
    branch = tt_op_dropout(c, branch, config->dropout);
    y = add_norm(c, &x, branch, &b->norm2, mod, 2 * d, 3 * d);
    y = tt_linear_forward(c, &b->up, y, config->act);
    branch = tt_linear_forward(c, &b->down, y, TT_ACT_NONE);
    branch = tt_op_dropout(c, branch, config->dropout);
  }
  struct tt_tensor *last =
      active ? tt_linear_forward(c, &t->modulation, active, TT_ACT_NONE) : NULL;
  if (last && mod)
    last = tt_op_concat(c, (struct tt_tensor *[]){mod, last}, 2);
  return add_norm(c, &x, branch, &t->norm, last, 5 * d, mod ? 6 * d : 0);
}

struct tt_tensor *tt_transformer_forward(struct tt_compute *c, const struct tt_transformer *t,
                                         struct tt_tensor *x, const struct tt_attention_spec *spec,
                                         struct tt_tensor *condition,
                                         struct tt_transformer_caches *caches) {
  TT_ASSERT(x->rows == spec->batch * spec->length);
  TT_ASSERT(!caches || caches->n == t->config.layers);
  const struct past past = {.spec = spec, .caches = caches};
  return run_blocks(c, t, x, condition, &past);
}

struct tt_tensor *tt_transformer_step(struct tt_compute *c, const struct tt_transformer *t,
                                      struct tt_tensor *x, struct tt_transformer_rings *rings,
                                      const uint32_t *slots, const uint64_t *positions) {
  TT_ASSERT(rings->n == t->config.layers);
  const struct past past = {.rings = rings, .slots = slots, .positions = positions};
  return run_blocks(c, t, x, NULL, &past);
}
