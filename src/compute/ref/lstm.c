/* Reference LSTM step: one gate at a time, libm. */
#include "compute/ref/ref.h"

static float sigmoid(float x) {
  return 1 / (1 + expf(-x));
}

void tt_ref_lstm_forward(const struct tt_k_lstm *k) {
  const size_t d = k->d;
  for (size_t b = 0; b < k->batch; b++)
    for (size_t j = 0; j < d; j++) {
      float gate[4];
      for (size_t q = 0; q < 4; q++) {
        float z = k->gates[b * 4 * d + q * d + j] +
                  ref_get(k->x, k->dtype, b * k->step * 4 * d + q * d + j);
        gate[q] = k->gates[b * 4 * d + q * d + j] = q == 2 ? tanhf(z) : sigmoid(z);
      }
      float cell = gate[1] * k->cell_before[b * d + j] + gate[0] * gate[2];
      k->cell[b * d + j] = cell;
      ref_put(k->h, k->dtype, b * d + j, gate[3] * tanhf(cell));
      ref_put(k->y, k->dtype, b * k->step * d + j, gate[3] * tanhf(cell));
    }
}

void tt_ref_lstm_backward(const struct tt_k_lstm_backward *k) {
  const struct tt_k_lstm *f = &k->forward;
  const size_t d = f->d;
  for (size_t b = 0; b < f->batch; b++)
    for (size_t j = 0; j < d; j++) {
      const float *gates = f->gates + b * 4 * d + j;
      const float in = gates[0], forget = gates[d], new = gates[2 * d], out = gates[3 * d];
      const float t = tanhf(f->cell[b * d + j]);
      float dh = k->dh ? ref_get(k->dh, f->dtype, b * d + j) : 0;
      if (k->dy)
        dh += ref_get(k->dy, f->dtype, b * f->step * d + j);
      const float dcell = k->dcell[b * d + j] + dh * out * (1 - t * t);
      const float dz[4] = {dcell * new *in *(1 - in),
                           dcell * f->cell_before[b * d + j] * forget *(1 - forget),
                           dcell *in *(1 - new *new), dh *t *out *(1 - out)};
      k->dcell[b * d + j] = dcell * forget;
      for (size_t q = 0; q < 4; q++) {
        ref_put(k->dz, f->dtype, b * 4 * d + q * d + j, dz[q]);
        size_t at = b * f->step * 4 * d + q * d + j;
        if (k->dx)
          ref_put(k->dx, f->dtype, at,
                  dz[q] + (k->dx_accumulate ? ref_get(k->dx, f->dtype, at) : 0));
      }
    }
}
