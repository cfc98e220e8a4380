#include "generators/ar/ar.h"

enum tt_status tt_ar_network_init(struct tt_ar_network *network, uint64_t seed) {
  struct tt_params *params = &network->params;
  const size_t d = network->width;
  const char *event = "event";
  tt_params_init(params);
  tt_embedding_init(&network->inputs, params, "input", TT_SYSTEM_INPUT_NAMES, network->sizes,
                    TT_SYSTEM_INPUTS, d, -1);
  const struct tt_transformer_config body = {
      .d = d, .heads = network->heads, .layers = network->layers, .rotary = true};
  tt_transformer_init(&network->body, params, "body", &body);
  tt_embedding_init(&network->next_event, params, "next", &event, &network->n_events, 1, d, -1);
  tt_system_heads_init(&network->ends, params, d, network->n_events, network->n_rets);
  return tt_system_heads_build(&network->ends, params, seed);
}

void tt_ar_network_release(struct tt_ar_network *network) {
  tt_params_release(&network->params);
}

/* hidden, and what the event that comes is. */
static struct tt_tensor *middle(struct tt_compute *c, const struct tt_ar_network *network,
                                struct tt_tensor *hidden, const int32_t *events) {
  struct tt_tensor *next = tt_embedding_forward(c, &network->next_event, events, hidden->rows);
  return tt_system_middle(c, &network->ends, tt_op_add(c, hidden, next));
}

struct tt_tensor *tt_ar_network_loss(struct tt_compute *c, const struct tt_ar_network *network,
                                     const struct tt_ar_batch *batch, double *ret_loss) {
  const size_t rows = batch->windows * batch->length;
  const struct tt_attention_spec spec = {.batch = batch->windows,
                                         .length = batch->length,
                                         .mask = TT_MASK_WINDOW,
                                         .window = network->window};
  struct tt_tensor *x = tt_embedding_forward(c, &network->inputs, batch->ids, rows);
  x = tt_transformer_forward(c, &network->body, x, &spec, NULL, NULL);
  const struct tt_system_heads *ends = &network->ends;
  struct tt_tensor *parts[TT_AR_HEADS];
  parts[0] = tt_system_entropy(c, tt_system_logits(c, &ends->event, x), batch->event_prior,
                               batch->events, &ret_loss[0]);
  x = middle(c, network, x, batch->events);
  parts[1] = tt_system_entropy(c, tt_system_logits(c, &ends->ret, x), batch->ret_prior, batch->rets,
                               &ret_loss[1]);
  x = tt_system_with_ret(c, ends, x, batch->rets);
  parts[2] = tt_system_entropy(c, tt_system_logits(c, &ends->delay, x), batch->delay_prior,
                               batch->delays, &ret_loss[2]);
  return tt_op_sum(c, parts, NULL, TT_AR_HEADS);
}

const float *tt_ar_network_events(struct tt_compute *c, const struct tt_ar_network *network,
                                  struct tt_transformer_rings *rings, const int32_t *ids, size_t n,
                                  const uint32_t *slots, const uint64_t *positions,
                                  struct tt_tensor **ret_hidden) {
  struct tt_tensor *x = tt_embedding_forward(c, &network->inputs, ids, n);
  *ret_hidden = tt_transformer_step(c, &network->body, x, rings, slots, positions);
  return tt_system_logits(c, &network->ends.event, *ret_hidden)->data;
}

const float *tt_ar_network_rets(struct tt_compute *c, const struct tt_ar_network *network,
                                struct tt_tensor *hidden, const int32_t *events,
                                struct tt_tensor **ret_middle) {
  *ret_middle = middle(c, network, hidden, events);
  return tt_system_logits(c, &network->ends.ret, *ret_middle)->data;
}

const float *tt_ar_network_delays(struct tt_compute *c, const struct tt_ar_network *network,
                                  struct tt_tensor *in, const int32_t *rets) {
  struct tt_tensor *x = tt_system_with_ret(c, &network->ends, in, rets);
  return tt_system_logits(c, &network->ends.delay, x)->data;
}
