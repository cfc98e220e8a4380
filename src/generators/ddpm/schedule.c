#include "generators/ddpm/schedule.h"

#include <math.h>

#include "base/status.h"

void tt_schedule_linear(struct tt_schedule *ret) {
  const double first = 1e-4, last = 0.02;
  ret->abar[0] = 1;
  for (size_t t = 1; t <= TT_DDPM_STEPS; t++) {
    double beta = first + (last - first) * (double)(t - 1) / (TT_DDPM_STEPS - 1);
    ret->abar[t] = ret->abar[t - 1] * (1 - beta);
  }
}

void tt_schedule_forward(const struct tt_schedule *schedule, size_t t, float *ret_signal,
                         float *ret_noise) {
  TT_ASSERT(t <= TT_DDPM_STEPS);
  *ret_signal = (float)sqrt(schedule->abar[t]);
  *ret_noise = (float)sqrt(1 - schedule->abar[t]);
}

static double log_snr(const struct tt_schedule *schedule, size_t t) {
  return log(schedule->abar[t]) - log1p(-schedule->abar[t]);
}

size_t tt_schedule_level(const struct tt_schedule *schedule, double snr) {
  double wanted = log(snr);
  size_t low = 1, high = TT_DDPM_STEPS; /* the ratio falls with t */
  while (high - low > 1) {
    size_t middle = (low + high) / 2;
    if (log_snr(schedule, middle) > wanted)
      low = middle;
    else
      high = middle;
  }
  return log_snr(schedule, low) - wanted < wanted - log_snr(schedule, high) ? low : high;
}

struct tt_schedule_back tt_schedule_ddim(const struct tt_schedule *schedule, size_t t, size_t s) {
  TT_ASSERT(s < t && t <= TT_DDPM_STEPS);
  double at = schedule->abar[t], as = schedule->abar[s];
  double from_x = sqrt((1 - as) / (1 - at));
  return (struct tt_schedule_back){(float)(sqrt(as) - from_x * sqrt(at)), (float)from_x, 0};
}

struct tt_schedule_back tt_schedule_ddpm(const struct tt_schedule *schedule, size_t t, size_t s) {
  TT_ASSERT(s < t && t <= TT_DDPM_STEPS);
  double at = schedule->abar[t], as = schedule->abar[s];
  double kept = at / as; /* prod of (1 - beta) from s+1 to t */
  double variance = (1 - as) / (1 - at) * (1 - kept);
  return (struct tt_schedule_back){(float)(sqrt(as) * (1 - kept) / (1 - at)),
                                   (float)(sqrt(kept) * (1 - as) / (1 - at)),
                                   (float)sqrt(variance)};
}
