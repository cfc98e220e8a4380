#include "generators/ar/ar.h"

enum tt_status tt_ar_network_init(struct tt_ar_network *network, uint64_t seed) {
  struct tt_params *params = &network->params;
  const size_t d = network->width;
  const char *event = "event", *ret = "ret";
  tt_params_init(params);
  tt_embedding_init(&network->inputs, params, "input", TT_SYSTEM_INPUT_NAMES, network->sizes,
                    TT_SYSTEM_INPUTS, d, -1);
  const struct tt_transformer_config body = {
      .d = d, .heads = network->heads, .layers = network->layers, .rotary = true};
  tt_transformer_init(&network->body, params, "body", &body);
  tt_linear_init(&network->event, params, "head.event", d, network->n_events + 1, true, 0);
  tt_embedding_init(&network->next_event, params, "next", &event, &network->n_events, 1, d, -1);
  tt_linear_init(&network->middle, params, "middle", d, d, true, -1);
  tt_linear_init(&network->ret, params, "head.ret", d, network->n_rets + 1, true, 0);
  tt_embedding_init(&network->next_ret, params, "next", &ret, &network->n_rets, 1, d, -1);
  tt_linear_init(&network->delay, params, "head.delay", d, TT_DELAY_BINS + 1, true, 0);
  enum tt_status status = tt_params_build(params, seed);
  if (status == TT_OK) {
    tt_system_open_gate(&network->event);
    tt_system_open_gate(&network->ret);
    tt_system_open_gate(&network->delay);
    tt_params_refresh(params);
  }
  return status;
}

void tt_ar_network_release(struct tt_ar_network *network) {
  tt_params_release(&network->params);
}

/* GELU(W (hidden + embedding of the event that comes)). */
static struct tt_tensor *middle(struct tt_compute *c, const struct tt_ar_network *network,
                                struct tt_tensor *hidden, const int32_t *events) {
  struct tt_tensor *next = tt_embedding_forward(c, &network->next_event, events, hidden->rows);
  return tt_linear_forward(c, &network->middle, tt_op_add(c, hidden, next), TT_ACT_GELU);
}

static struct tt_tensor *logits(struct tt_compute *c, const struct tt_linear *head,
                                struct tt_tensor *x) {
  return tt_op_linear_f32(c, x, head->weight, head->bias);
}

static struct tt_tensor *entropy(struct tt_compute *c, const struct tt_linear *head,
                                 struct tt_tensor *x, const float *prior, const int32_t *targets,
                                 double *ret_per_event) {
  struct tt_tensor *loss =
      tt_op_cross_entropy(c, tt_op_prior(c, logits(c, head, x), prior), targets, NULL, 0);
  size_t n = 0;
  for (size_t i = 0; i < x->rows; i++)
    n += targets[i] >= 0;
  *ret_per_event = (double)tt_tensor_value(loss) * (double)n / (double)x->rows;
  return loss;
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
  struct tt_tensor *parts[TT_AR_HEADS];
  parts[0] = entropy(c, &network->event, x, batch->event_prior, batch->events, &ret_loss[0]);
  x = middle(c, network, x, batch->events);
  parts[1] = entropy(c, &network->ret, x, batch->ret_prior, batch->rets, &ret_loss[1]);
  x = tt_op_add(c, x, tt_embedding_forward(c, &network->next_ret, batch->rets, rows));
  parts[2] = entropy(c, &network->delay, x, batch->delay_prior, batch->delays, &ret_loss[2]);
  return tt_op_sum(c, parts, NULL, TT_AR_HEADS);
}

const float *tt_ar_network_events(struct tt_compute *c, const struct tt_ar_network *network,
                                  struct tt_transformer_rings *rings, const int32_t *ids, size_t n,
                                  const uint32_t *slots, const uint64_t *positions,
                                  struct tt_tensor **ret_hidden) {
  struct tt_tensor *x = tt_embedding_forward(c, &network->inputs, ids, n);
  *ret_hidden = tt_transformer_step(c, &network->body, x, rings, slots, positions);
  return logits(c, &network->event, *ret_hidden)->data;
}

const float *tt_ar_network_rets(struct tt_compute *c, const struct tt_ar_network *network,
                                struct tt_tensor *hidden, const int32_t *events,
                                struct tt_tensor **ret_middle) {
  *ret_middle = middle(c, network, hidden, events);
  return logits(c, &network->ret, *ret_middle)->data;
}

const float *tt_ar_network_delays(struct tt_compute *c, const struct tt_ar_network *network,
                                  struct tt_tensor *in, const int32_t *rets) {
  struct tt_tensor *next = tt_embedding_forward(c, &network->next_ret, rets, in->rows);
  return logits(c, &network->delay, tt_op_add(c, in, next))->data;
}
