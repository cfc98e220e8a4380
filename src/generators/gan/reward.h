/* From the discriminator's opinion of whole sequences to weights of single events. */
#ifndef GENERATORS_GAN_REWARD_H
#define GENERATORS_GAN_REWARD_H

#include "generators/gan/policy.h"

/* Whoever tells how real sequences look: ret[n] in [0, 1]. Sequences: [n, length]. */
struct tt_gan_judge {
  void (*score)(void *user, const int32_t *sequences, size_t n, size_t length, float *ret);
  void *user;
};

/* Sequences that the policy drew, with all that is needed to draw them on from any event. */
struct tt_gan_play {
  size_t batch, length;
  struct tt_lstm_state start; /* before the first event */
  int32_t *streams;           /* [batch] whose it is */
  int32_t *before;            /* [batch] the event before the first, not yet put in */
  int32_t *events;            /* [batch, length] */
};
enum tt_status tt_gan_play_create(size_t batch, size_t length, size_t width,
                                  struct tt_gan_play *ret);
void tt_gan_play_release(struct tt_gan_play *play); /* accepts zeroed */
/* play->events [k] = inputs shifted by one: [batch, length], what the policy saw before each. */
void tt_gan_play_inputs(const struct tt_gan_play *play, int32_t *ret);

struct tt_gan_rollouts {
  size_t rollouts;     /* N: completions of each sequence at each place */
  size_t every;        /* positions from place to place: 1, or events between share a reward */
  uint64_t seed, step; /* completions are a pure function of these */
};
/* The action values of SeqGAN (Yu et al. 2017, eq. 4): ret[b, t] = Q(events before t; event t), the
 * mean score of N completions drawn from the policy after event t; of the sequence itself at its
 * end. With every > 1: of the completions after the last event of its stretch, which has the same
 * mean and takes a fraction of the time. Cost: batch * N * length^2 / (2 * every) events drawn. */
enum tt_status tt_gan_rollout_rewards(struct tt_compute *c, const struct tt_gan_policy *policy,
                                      const struct tt_gan_judge *judge,
                                      const struct tt_gan_play *play,
                                      const struct tt_gan_rollouts *how, float *ret);

/* The weights of MaliGAN (Che et al. 2017): with r = D / (1 - D), D clipped to [clip, 1 - clip],
 *   ret[i] = r[i] / sum of r - baseline / samples
 * over each group of `samples` sequences in a row (n is a multiple): they sum to 1 - baseline. */
void tt_gan_importance(const float *d, size_t n, size_t samples, double clip, double baseline,
                       float *ret);

#endif
