#include "nn/unet.h"

#include <stdio.h>

enum { NAME = 200, KERNEL = 3, MOST_GROUPS = 8 };
static const enum tt_act ACT = TT_ACT_SILU;

static void name_of(char out[NAME], const char *prefix, const char *part) {
  int length = snprintf(out, NAME, "%s.%s", prefix, part);
  TT_ASSERT(length > 0 && length < NAME);
}

static void level_name(char out[NAME], const char *prefix, const char *part, size_t level) {
  int length = snprintf(out, NAME, "%s.%s.%zu", prefix, part, level);
  TT_ASSERT(length > 0 && length < NAME);
}

static size_t width_of(const struct tt_unet_config *config, size_t level) {
  return level < 2 ? config->d : 2 * config->d;
}

/* At least four channels each where that can be: a group of one would lose what the condition adds
 * to all of its positions alike. */
static size_t groups_of(size_t width) {
  size_t groups = MOST_GROUPS;
  while (groups > 1 && (width % groups != 0 || width / groups < 4))
    groups /= 2;
  return groups;
}

static void block_init(struct tt_unet_block *block, struct tt_params *params, const char *prefix,
                       size_t in, size_t out, size_t d_condition) {
  char name[NAME];
  name_of(name, prefix, "norm1");
  tt_group_norm_init(&block->norm1, params, name, in, groups_of(in));
  name_of(name, prefix, "conv1");
  tt_conv1d_init(&block->conv1, params, name, in, out, KERNEL, 1, true, -1);
  name_of(name, prefix, "condition");
  tt_linear_init(&block->condition, params, name, d_condition, out, true, -1);
  name_of(name, prefix, "norm2");
  tt_group_norm_init(&block->norm2, params, name, out, groups_of(out));
  name_of(name, prefix, "conv2");
  tt_conv1d_init(&block->conv2, params, name, out, out, KERNEL, 1, true, 0);
  block->same = in == out;
  name_of(name, prefix, "skip");
  if (!block->same)
    tt_linear_init(&block->skip, params, name, in, out, true, -1);
}

void tt_unet_init(struct tt_unet *unet, struct tt_params *params, const char *prefix,
                  const struct tt_unet_config *config) {
  char name[NAME];
  *unet = (struct tt_unet){.config = *config};
  TT_ASSERT(config->levels > 0 && config->levels <= TT_UNET_MAX_LEVELS && config->d_condition > 0);
  TT_ASSERT(config->heads > 0 && config->d % (2 * config->heads) == 0);
  const size_t bottom = config->levels - 1, condition = config->d_condition;
  for (size_t i = 0; i <= bottom; i++) {
    const size_t width = width_of(config, i);
    level_name(name, prefix, "down", i);
    block_init(&unet->down[i], params, name, width_of(config, i ? i - 1 : 0), width, condition);
    level_name(name, prefix, "halve", i);
    if (i < bottom)
      tt_conv1d_init(&unet->halve[i], params, name, width, width, KERNEL, 2, true, -1);
    level_name(name, prefix, "up", i);
    block_init(&unet->up[i], params, name, 2 * width, width, condition);
    level_name(name, prefix, "double", i);
    if (i > 0)
      tt_conv1d_init(&unet->redouble[i], params, name, width, width_of(config, i - 1), KERNEL, 1,
                     true, -1);
  }
  const size_t low = width_of(config, bottom);
  for (size_t i = 0; i < 2; i++) {
    level_name(name, prefix, "middle", i);
    block_init(&unet->middle[i], params, name, low, low, condition);
  }
  name_of(name, prefix, "attention.norm");
  tt_group_norm_init(&unet->attention_norm, params, name, low, groups_of(low));
  name_of(name, prefix, "attention.qkv");
  tt_linear_init(&unet->qkv, params, name, low, 3 * low, true, -1);
  name_of(name, prefix, "attention.proj");
  tt_linear_init(&unet->proj, params, name, low, low, true, 0);
  name_of(name, prefix, "norm");
  tt_group_norm_init(&unet->norm, params, name, config->d, groups_of(config->d));
}

static struct tt_tensor *block_forward(struct tt_compute *c, const struct tt_unet_block *block,
                                       struct tt_tensor *x, size_t batch,
                                       struct tt_tensor *active) {
  struct tt_tensor *y = tt_group_norm_forward(c, &block->norm1, x, batch, ACT);
  y = tt_conv1d_forward(c, &block->conv1, y, batch, TT_ACT_NONE);
  y = tt_op_add_rows(c, y, tt_linear_forward(c, &block->condition, active, TT_ACT_NONE));
  y = tt_group_norm_forward(c, &block->norm2, y, batch, ACT);
  y = tt_conv1d_forward(c, &block->conv2, y, batch, TT_ACT_NONE);
  if (!block->same)
    x = tt_linear_forward(c, &block->skip, x, TT_ACT_NONE);
  return tt_op_add(c, x, y);
}

static struct tt_tensor *attention(struct tt_compute *c, const struct tt_unet *unet,
                                   struct tt_tensor *x, size_t batch) {
  const struct tt_attention_spec spec = {
      .batch = batch, .length = x->rows / batch, .heads = unet->config.heads, .mask = TT_MASK_NONE};
  struct tt_tensor *y = tt_group_norm_forward(c, &unet->attention_norm, x, batch, TT_ACT_NONE);
  y = tt_linear_forward(c, &unet->qkv, y, TT_ACT_NONE);
  y = tt_op_rotary(c, y, spec.length, spec.heads, 0);
  y = tt_op_attention(c, y, &spec);
  return tt_op_add(c, x, tt_linear_forward(c, &unet->proj, y, TT_ACT_NONE));
}

struct tt_tensor *tt_unet_forward(struct tt_compute *c, const struct tt_unet *unet,
                                  struct tt_tensor *x, size_t batch, struct tt_tensor *condition) {
  const size_t bottom = unet->config.levels - 1;
  TT_ASSERT(x->cols == unet->config.d && x->rows % batch == 0 && condition->rows == batch);
  struct tt_tensor *active = tt_op_activation(c, condition, ACT);
  struct tt_tensor *across[TT_UNET_MAX_LEVELS];
  for (size_t i = 0; i <= bottom; i++) {
    across[i] = block_forward(c, &unet->down[i], x, batch, active);
    x = i < bottom ? tt_conv1d_forward(c, &unet->halve[i], across[i], batch, TT_ACT_NONE)
                   : across[i];
  }
  x = block_forward(c, &unet->middle[0], x, batch, active);
  x = attention(c, unet, x, batch);
  x = block_forward(c, &unet->middle[1], x, batch, active);
  for (size_t i = bottom + 1; i-- > 0;) {
    x = tt_op_concat(c, (struct tt_tensor *[]){x, across[i]}, 2);
    x = block_forward(c, &unet->up[i], x, batch, active);
    if (i > 0) {
      x = tt_op_upsample(c, x, batch, across[i - 1]->rows / batch);
      x = tt_conv1d_forward(c, &unet->redouble[i], x, batch, TT_ACT_NONE);
    }
  }
  return tt_group_norm_forward(c, &unet->norm, x, batch, ACT);
}
