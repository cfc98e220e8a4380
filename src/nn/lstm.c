#include "nn/lstm.h"

#include <math.h>

void tt_lstm_init(struct tt_lstm *lstm, struct tt_params *params, const char *prefix, size_t in,
                  size_t d) {
  const float scale = 1 / sqrtf((float)d);
  lstm->input.weight =
      tt_params_add(params, TT_INIT_UNIFORM, scale, true, 4 * d, in, "%s.input.weight", prefix);
  lstm->input.bias =
      tt_params_add(params, TT_INIT_ZERO, 0, false, 1, 4 * d, "%s.input.bias", prefix);
  lstm->recurrent =
      tt_params_add(params, TT_INIT_UNIFORM, scale, true, 4 * d, d, "%s.recurrent.weight", prefix);
}

void tt_lstm_remember(struct tt_lstm *lstm, struct tt_params *params) {
  const size_t d = lstm->recurrent->cols;
  for (size_t i = d; i < 2 * d; i++)
    lstm->input.bias->data[i] = 1;
  tt_params_refresh(params);
}

struct tt_tensor *tt_lstm_forward(struct tt_compute *c, const struct tt_lstm *lstm,
                                  struct tt_tensor *x, size_t batch, struct tt_lstm_state *state) {
  struct tt_tensor *gates = tt_linear_forward(c, &lstm->input, x, TT_ACT_NONE);
  return tt_op_lstm(c, gates, batch, lstm->recurrent, state);
}
