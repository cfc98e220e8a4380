/* An LSTM layer: the inputs' share of the gates is one product for all positions, the recurrence is
 * tt_op_lstm. Positions one at a time (sampling) are the same call with one row per sequence and
 * the state kept between calls. */
#ifndef NN_LSTM_H
#define NN_LSTM_H

#include "nn/layers.h"

struct tt_lstm {
  struct tt_linear input;     /* [4d, in] with the bias; gates in the order i, f, g, o */
  struct tt_param *recurrent; /* [4d, d] */
};
/* Declares PREFIX.input.weight, PREFIX.input.bias and PREFIX.recurrent.weight (PyTorch's weight_ih,
 * bias_ih + bias_hh, weight_hh); all uniform within 1/sqrt(d) but the bias, zero. */
void tt_lstm_init(struct tt_lstm *lstm, struct tt_params *params, const char *prefix, size_t in,
                  size_t d);
/* After the parameters are built: the forget gates' bias becomes 1, so that gradients reach far
 * from the start (Jozefowicz et al. 2015). */
void tt_lstm_remember(struct tt_lstm *lstm, struct tt_params *params);
/* x: [batch * L, in] -> [batch * L, d]; state as in tt_op_lstm. */
struct tt_tensor *tt_lstm_forward(struct tt_compute *c, const struct tt_lstm *lstm,
                                  struct tt_tensor *x, size_t batch, struct tt_lstm_state *state);

#endif
