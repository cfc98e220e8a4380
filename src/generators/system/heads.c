#include "generators/system/heads.h"

#include "generators/delay_bins.h"

void tt_system_heads_init(struct tt_system_heads *heads, struct tt_params *params, size_t d,
                          size_t n_events, size_t n_rets) {
  const char *ret = "ret";
  tt_linear_init(&heads->event, params, "head.event", d, n_events + 1, true, 0);
  tt_linear_init(&heads->middle, params, "middle", d, d, true, -1);
  tt_linear_init(&heads->ret, params, "head.ret", d, n_rets + 1, true, 0);
  tt_embedding_init(&heads->next_ret, params, "next", &ret, &n_rets, 1, d, -1);
  tt_linear_init(&heads->delay, params, "head.delay", d, TT_DELAY_BINS + 1, true, 0);
}

/* All of the head is zero but for the bias of its last row. */
static void open_gate(struct tt_linear *head) {
  head->bias->data[head->bias->cols - 1] = 1;
}

enum tt_status tt_system_heads_build(struct tt_system_heads *heads, struct tt_params *params,
                                     uint64_t seed) {
  enum tt_status status = tt_params_build(params, seed);
  if (status != TT_OK)
    return status;
  open_gate(&heads->event);
  open_gate(&heads->ret);
  open_gate(&heads->delay);
  tt_params_refresh(params);
  return TT_OK;
}

struct tt_tensor *tt_system_logits(struct tt_compute *c, const struct tt_linear *head,
                                   struct tt_tensor *x) {
  return tt_op_linear_f32(c, x, head->weight, head->bias);
}

struct tt_tensor *tt_system_middle(struct tt_compute *c, const struct tt_system_heads *heads,
                                   struct tt_tensor *x) {
  return tt_linear_forward(c, &heads->middle, x, TT_ACT_GELU);
}

struct tt_tensor *tt_system_with_ret(struct tt_compute *c, const struct tt_system_heads *heads,
                                     struct tt_tensor *middle, const int32_t *rets) {
  return tt_op_add(c, middle, tt_embedding_forward(c, &heads->next_ret, rets, middle->rows));
}

struct tt_tensor *tt_system_entropy(struct tt_compute *c, struct tt_tensor *logits,
                                    const float *prior, const int32_t *targets,
                                    double *ret_per_event) {
  struct tt_tensor *loss = tt_op_cross_entropy(c, tt_op_prior(c, logits, prior), targets, NULL, 0);
  size_t n = 0;
  for (size_t i = 0; i < logits->rows; i++)
    n += targets[i] >= 0;
  *ret_per_event = (double)tt_tensor_value(loss) * (double)n / (double)logits->rows;
  return loss;
}
