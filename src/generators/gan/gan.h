/* The sequence GANs `seqgan` and `maligan`: one generator network, one discriminator, one schedule,
 * two ways to turn the discriminator's opinion into a gradient.
 *
 *   generator      an LSTM over the event types of a stream (of a CPU, told which; or merged)
 *   discriminator  a convolutional network over L events: real or generated (critic.h)
 *   training       maximum likelihood first; then the discriminator; then rounds of both
 *     seqgan       policy gradient, the reward of an event by Monte-Carlo rollouts (Yu et al. 2017)
 *     maligan      maximum likelihood weighted by D / (1 - D), normalised (Che et al. 2017)
 *
 * As in the papers, a sequence is one of tokens: event types. Everything else of an event (time,
 * thread, command, return value, the CPU of a merged stream) is drawn given the event types by the
 * counts of a markov model (markov/markov.h). The state of the LSTM goes on from segment to segment
 * of L events, in training and in generating: twins may have any length. */
#ifndef GENERATORS_GAN_GAN_H
#define GENERATORS_GAN_GAN_H

#include "generators/gan/policy.h"
#include "generators/generator.h"
#include "generators/markov/markov.h"

struct tt_gan_settings {
  size_t batch;            /* sequences of an adversarial step */
  double pretrain;         /* share of the budget for maximum likelihood; 1: nothing else */
  size_t d_pretrain;       /* steps of the discriminator before the first round */
  size_t g_steps, d_steps; /* of one round */
  size_t d_epochs;         /* updates on the sequences of one step of the discriminator */
  double d_floor;          /* the discriminator does not learn from what costs it less */
  size_t filters;          /* of each width */
  double rate;             /* learning rate of the generator in the rounds */
  size_t rollouts, every;  /* seqgan: see tt_gan_rollouts */
  size_t samples;          /* maligan: sequences that weights are normalised over */
  double clip, baseline;   /* maligan: see tt_gan_importance */
  bool mixed;              /* maligan: real beginnings, shorter from round to round */
};

struct tt_gan_record { /* what training measured; NaN: not */
  uint64_t pretrain_steps, rounds_steps;
  double pretrained_loss;    /* validation, nats per event, after maximum likelihood */
  double final_loss;         /* the same at the end */
  double discriminator_loss; /* nats per sequence, running mean at the end; ln 2: it can't tell */
  double reward;             /* mean D of generated sequences, likewise */
};

struct tt_gan {
  struct tt_generator base;
  struct tt_generator *attributes; /* a markov: all but the event types */
  struct tt_gan_settings settings;
  struct tt_gan_policy policy;
  bool built;
  struct tt_gan_record record;
};

extern const struct tt_generator_ops tt_seqgan_ops, tt_maligan_ops;

static inline const struct tt_markov *tt_gan_markov(const struct tt_gan *gan) {
  return (const struct tt_markov *)gan->attributes;
}
/* Whose sequences the policy tells apart: the CPUs'. */
static inline size_t tt_gan_streams(const struct tt_gan *gan) {
  return gan->base.stream == TT_STREAM_CPU ? gan->base.cpu_limit : 1;
}
static inline bool tt_gan_is_maligan(const struct tt_gan *gan) {
  return gan->base.ops == &tt_maligan_ops;
}

/* Events that training never had are not drawn: needs the attributes and the built policy. */
enum tt_status tt_gan_allow(struct tt_gan *gan);
/* training.c: all phases; the policy is built. */
enum tt_status tt_gan_fit(struct tt_gan *gan, const struct tt_train_config *config,
                          struct tt_train_result *ret);
/* sample.c */
enum tt_status tt_gan_generate(const struct tt_generator *generator,
                               const struct tt_generate_config *config,
                               const struct tt_event_sink *sink);
/* file.c */
enum tt_status tt_gan_save(const struct tt_generator *generator, const char *folder, json_t *model);
/* The allocation is zeroed but for the common part (adopted). */
enum tt_status tt_gan_load(struct tt_gan *gan, const char *folder, const json_t *model);

#endif
