#include <string.h>

#include "generators/masked/masked.h"

enum tt_status tt_masked_network_init(struct tt_masked_network *network, uint64_t seed) {
  static const char *const names[] = {"token", "place"};
  const size_t sizes[] = {network->n_tokens + 1, network->block}, d = network->width;
  struct tt_params *params = &network->params;
  struct tt_transformer_config config = {
      .d = d, .heads = network->heads, .layers = network->layers, .rotary = true};
  tt_params_init(params);
  tt_embedding_init(&network->inputs, params, "input", TT_SYSTEM_INPUT_NAMES, network->sizes,
                    TT_SYSTEM_INPUTS, d, -1);
  tt_transformer_init(&network->encoder, params, "encoder", &config);
  config.layers = 1;
  tt_transformer_init(&network->recent, params, "recent", &config);
  tt_linear_init(&network->context, params, "context", d, d, true, -1);
  tt_embedding_init(&network->places, params, "block", names, sizes, 2, d, -1);
  config.layers = network->depth;
  config.rotary = false;
  tt_transformer_init(&network->decoder, params, "decoder", &config);
  tt_system_heads_init(&network->ends, params, d, network->n_tokens, network->n_rets);
  return tt_system_heads_build(&network->ends, params, seed);
}

void tt_masked_network_release(struct tt_masked_network *network) {
  tt_params_release(&network->params);
}

struct tt_tensor *tt_masked_network_decode(struct tt_compute *c,
                                           const struct tt_masked_network *network,
                                           struct tt_tensor *contexts, const int32_t *tokens) {
  const size_t n = contexts->rows, block = network->block;
  int32_t *ids = tt_arena(c, n * block * 2, sizeof *ids);
  for (size_t i = 0; i < n * block; i++) {
    ids[2 * i] = tokens[i];
    ids[2 * i + 1] = (int32_t)(i % block);
  }
  struct tt_tensor *x = tt_embedding_forward(c, &network->places, ids, n * block);
  x = tt_op_add_rows(c, x, tt_linear_forward(c, &network->context, contexts, TT_ACT_NONE));
  const struct tt_attention_spec spec = {.batch = n, .length = block, .mask = TT_MASK_NONE};
  return tt_op_add(c, x, tt_transformer_forward(c, &network->decoder, x, &spec, NULL, NULL));
}

struct tt_tensor *tt_masked_network_events(struct tt_compute *c,
                                           const struct tt_masked_network *network,
                                           struct tt_tensor *decoded, const uint32_t *rows,
                                           size_t n) {
  return tt_system_logits(c, &network->ends.event, tt_op_gather(c, decoded, rows, n));
}

void tt_masked_network_see(struct tt_compute *c, const struct tt_masked_network *network,
                           const struct tt_transformer *by, struct tt_transformer_rings *rings,
                           const struct tt_masked_news *news, size_t n) {
  size_t rows = 0;
  for (size_t i = 0; i < n; i++)
    rows += news[i].n;
  if (rows == 0)
    return;
  int32_t *ids = tt_arena(c, rows * TT_SYSTEM_INPUTS, sizeof *ids);
  uint32_t *slots = tt_arena(c, rows, sizeof *slots);
  uint64_t *positions = tt_arena(c, rows, sizeof *positions);
  rows = 0;
  for (size_t i = 0; i < n; i++) {
    memcpy(ids + rows * TT_SYSTEM_INPUTS, news[i].ids, news[i].n * TT_SYSTEM_INPUTS * sizeof *ids);
    for (size_t k = 0; k < news[i].n; k++, rows++) {
      slots[rows] = news[i].slot;
      positions[rows] = news[i].position + k;
    }
  }
  struct tt_tensor *x = tt_embedding_forward(c, &network->inputs, ids, rows);
  x = tt_transformer_step(c, by, x, rings, slots, positions);
  const size_t row = x->cols * tt_dtype_size(x->dtype);
  rows = 0;
  for (size_t i = 0; i < n; i++) {
    rows += news[i].n;
    if (news[i].ret && news[i].n > 0)
      tt_convert_to_f32(news[i].ret, (const char *)x->data + (rows - 1) * row, x->dtype, x->cols);
  }
}

struct tt_tensor *tt_masked_network_rets(struct tt_compute *c,
                                         const struct tt_masked_network *network,
                                         struct tt_tensor *decoded, struct tt_tensor *states,
                                         struct tt_tensor **ret_middle) {
  *ret_middle = tt_system_middle(c, &network->ends, tt_op_add(c, decoded, states));
  return tt_system_logits(c, &network->ends.ret, *ret_middle);
}

struct tt_tensor *tt_masked_network_delays(struct tt_compute *c,
                                           const struct tt_masked_network *network,
                                           struct tt_tensor *middle, const int32_t *rets) {
  struct tt_tensor *x = tt_system_with_ret(c, &network->ends, middle, rets);
  return tt_system_logits(c, &network->ends.delay, x);
}

struct tt_tensor *tt_masked_network_loss(struct tt_compute *c,
                                         const struct tt_masked_network *network,
                                         const struct tt_masked_batch *b, double *ret_loss) {
  const struct tt_attention_spec spec = {
      .batch = b->windows, .length = b->length, .mask = TT_MASK_WINDOW, .window = network->window};
  struct tt_attention_spec near = spec;
  near.window = TT_MASKED_RECENT;
  struct tt_tensor *parts[TT_MASKED_HEADS + 1], *middle;
  struct tt_tensor *in = tt_embedding_forward(c, &network->inputs, b->ids, b->windows * b->length);
  struct tt_tensor *x = tt_transformer_forward(c, &network->encoder, in, &spec, NULL, NULL);
  struct tt_tensor *states = tt_transformer_forward(c, &network->recent, in, &near, NULL, NULL);
  struct tt_tensor *seen = x;
  x = tt_op_gather(c, x, b->anchors, b->n);
  x = tt_masked_network_decode(c, network, x, b->tokens);
  struct tt_tensor *y = tt_masked_network_events(c, network, x, b->target_rows, b->n_targets);
  parts[0] =
      tt_op_cross_entropy(c, tt_op_prior(c, y, b->event_prior), b->targets, b->weights, b->events);
  ret_loss[0] = (double)tt_tensor_value(parts[0]);
  x = tt_op_gather(c, x, b->event_rows, b->n_events);
  states = tt_op_gather(c, states, b->before, b->n_events);
  y = tt_masked_network_rets(c, network, x, states, &middle);
  parts[1] = tt_system_entropy(c, y, b->ret_prior, b->rets, &ret_loss[1]);
  y = tt_masked_network_delays(c, network, middle, b->rets);
  parts[2] = tt_system_entropy(c, y, b->delay_prior, b->delays, &ret_loss[2]);
  if (b->n_next == 0)
    return tt_op_sum(c, parts, NULL, TT_MASKED_HEADS);
  double nats;
  x = tt_linear_forward(c, &network->context, tt_op_gather(c, seen, b->next_rows, b->n_next),
                        TT_ACT_NONE);
  parts[TT_MASKED_HEADS] = tt_system_entropy(c, tt_system_logits(c, &network->ends.event, x),
                                             b->next_prior, b->next, &nats);
  return tt_op_sum(c, parts, NULL, TT_MASKED_HEADS + 1);
}
