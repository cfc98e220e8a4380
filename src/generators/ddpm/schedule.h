/* The noise schedule of a denoising diffusion model (Ho et al. 2020): beta_t linear from 1e-4 to
 * 0.02 over T = 1000 steps, abar_t = prod_{s<=t} (1 - beta_s),
 *
 *   x_t = sqrt(abar_t) h0 + sqrt(1 - abar_t) eps,   eps ~ N(0, I)          (forward, their eq. 4)
 *
 * and the two ways back from x_t to x_s, s < t, given an estimate of h0 (abar_0 = 1):
 *   DDIM (Song et al. 2021, eq. 12, eta = 0):  x_s = sqrt(abar_s) h0 + sqrt(1 - abar_s) eps,
 *     eps = (x_t - sqrt(abar_t) h0) / sqrt(1 - abar_t)
 *   DDPM: a draw of the posterior q(x_s | x_t, h0)                          (Ho et al. eq. 6-7,
 *     for any s < t as in Song et al. eq. 16 with eta = 1). */
#ifndef GENERATORS_DDPM_SCHEDULE_H
#define GENERATORS_DDPM_SCHEDULE_H

#include <stddef.h>

enum { TT_DDPM_STEPS = 1000 }; /* T */

struct tt_schedule {
  double abar[TT_DDPM_STEPS + 1]; /* abar[0] = 1 */
};
void tt_schedule_linear(struct tt_schedule *ret);

/* x_t = signal * h0 + noise * eps. t: 0..T */
void tt_schedule_forward(const struct tt_schedule *schedule, size_t t, float *ret_signal,
                         float *ret_noise);
/* The level t in 1..T whose signal-to-noise ratio abar_t / (1 - abar_t) is nearest to snr on a
 * logarithmic scale. */
size_t tt_schedule_level(const struct tt_schedule *schedule, double snr);
/* x_s = from_h0 * h0 + from_x * x_t + fresh * z, z ~ N(0, I); 0 <= s < t. */
struct tt_schedule_back {
  float from_h0, from_x, fresh;
};
struct tt_schedule_back tt_schedule_ddim(const struct tt_schedule *schedule, size_t t, size_t s);
struct tt_schedule_back tt_schedule_ddpm(const struct tt_schedule *schedule, size_t t, size_t s);

#endif
