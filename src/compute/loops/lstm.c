/* The LSTM step in strips of columns that stay in registers and first-level cache. */
#include "compute/loops/loops.h"
#include "compute/vector_math.h"

enum { STRIP = 64, PARALLEL = 1 << 13 /* gates below which other threads aren't woken */ };

static const void *at_const(const void *p, enum tt_dtype dtype, size_t i) {
  return (const char *)p + i * tt_dtype_size(dtype);
}

static void *at(void *p, enum tt_dtype dtype, size_t i) {
  return (char *)p + i * tt_dtype_size(dtype);
}

/* Columns [j, j + n) of sequence b. */
static void forward_strip(const struct tt_k_lstm *k, size_t b, size_t j, size_t n) {
  const size_t d = k->d;
  float *gates = k->gates + b * 4 * d + j, x[STRIP], h[STRIP];
  for (size_t q = 0; q < 4; q++) {
    float *gate = gates + q * d;
    tt_convert_to_f32(x, at_const(k->x, k->dtype, (b * k->step * 4 + q) * d + j), k->dtype, n);
    if (q == 2)
      for (size_t i = 0; i < n; i++)
        gate[i] = tt_tanh(gate[i] + x[i]);
    else
      for (size_t i = 0; i < n; i++)
        gate[i] = tt_sigmoid(gate[i] + x[i]);
  }
  const float *before = k->cell_before + b * d + j;
  float *cell = k->cell + b * d + j;
  for (size_t i = 0; i < n; i++) {
    cell[i] = gates[d + i] * before[i] + gates[i] * gates[2 * d + i];
    h[i] = gates[3 * d + i] * tt_tanh(cell[i]);
  }
  tt_convert_from_f32(at(k->h, k->dtype, b * d + j), k->dtype, h, n);
  tt_convert_from_f32(at(k->y, k->dtype, b * k->step * d + j), k->dtype, h, n);
}

void tt_loop_lstm_forward(const struct tt_k_lstm *k) {
  const size_t strips = (k->d + STRIP - 1) / STRIP;
#pragma omp parallel for collapse(2) schedule(static) if (k->batch * k->d * 4 > PARALLEL)
  for (size_t b = 0; b < k->batch; b++)
    for (size_t s = 0; s < strips; s++)
      forward_strip(k, b, s * STRIP, k->d - s * STRIP < STRIP ? k->d - s * STRIP : STRIP);
}

static void backward_strip(const struct tt_k_lstm_backward *k, size_t b, size_t j, size_t n) {
  const struct tt_k_lstm *f = &k->forward;
  const size_t d = f->d;
  const float *gates = f->gates + b * 4 * d + j, *before = f->cell_before + b * d + j;
  const float *cell = f->cell + b * d + j;
  float dh[STRIP] = {0}, more[STRIP], dz[4][STRIP];
  if (k->dh)
    tt_convert_to_f32(dh, at_const(k->dh, f->dtype, b * d + j), f->dtype, n);
  if (k->dy) {
    tt_convert_to_f32(more, at_const(k->dy, f->dtype, b * f->step * d + j), f->dtype, n);
    for (size_t i = 0; i < n; i++)
      dh[i] += more[i];
  }
  float *dcell = k->dcell + b * d + j;
  for (size_t i = 0; i < n; i++) {
    const float in = gates[i], forget = gates[d + i], new = gates[2 * d + i];
    const float out = gates[3 * d + i], t = tt_tanh(cell[i]);
    const float dc = dcell[i] + dh[i] * out * (1 - t * t);
    dz[0][i] = dc * new *in *(1 - in);
    dz[1][i] = dc * before[i] * forget * (1 - forget);
    dz[2][i] = dc * in * (1 - new *new);
    dz[3][i] = dh[i] * t * out * (1 - out);
    dcell[i] = dc * forget;
  }
  for (size_t q = 0; q < 4; q++) {
    tt_convert_from_f32(at(k->dz, f->dtype, (b * 4 + q) * d + j), f->dtype, dz[q], n);
    if (!k->dx)
      continue;
    void *dx = at(k->dx, f->dtype, (b * f->step * 4 + q) * d + j);
    if (k->dx_accumulate) {
      tt_convert_to_f32(more, dx, f->dtype, n);
      for (size_t i = 0; i < n; i++)
        dz[q][i] += more[i];
    }
    tt_convert_from_f32(dx, f->dtype, dz[q], n);
  }
}

void tt_loop_lstm_backward(const struct tt_k_lstm_backward *k) {
  const struct tt_k_lstm *f = &k->forward;
  const size_t strips = (f->d + STRIP - 1) / STRIP;
#pragma omp parallel for collapse(2) schedule(static) if (f->batch * f->d * 4 > PARALLEL)
  for (size_t b = 0; b < f->batch; b++)
    for (size_t s = 0; s < strips; s++)
      backward_strip(k, b, s * STRIP, f->d - s * STRIP < STRIP ? f->d - s * STRIP : STRIP);
}
