/* The ddpm generator's own parts: what a trained model is, and its steps. See denoiser.h for the
 * network, docs/generators.md for settings. */
#ifndef GENERATORS_DDPM_DDPM_H
#define GENERATORS_DDPM_DDPM_H

#include "dataset/channels.h"
#include "dataset/vocabulary.h"
#include "generators/ddpm/denoiser.h"
#include "generators/decode.h"
#include "generators/delay_bins.h"
#include "generators/generator.h"

enum tt_ddpm_sampler { TT_DDPM_ANCESTRAL, TT_DDPM_GAUSSIAN, TT_DDPM_DDIM };

struct tt_ddpm {
  struct tt_generator base;
  struct tt_vocabulary *vocabulary;
  struct tt_cast cast;
  struct tt_delay_bins bins;
  double *cpu_share; /* [base.cpu_limit] share of the training events on each CPU */
  struct tt_schedule schedule;
  struct tt_denoiser denoiser;
  /* real beginnings: what a twin's first windows are conditioned on, never part of it */
  int32_t *contexts;    /* [n_contexts, base.context - fresh, n_channels] */
  int32_t *context_cpu; /* [n_contexts] */
  size_t n_contexts;
  bool built;          /* the denoiser was initialised */
  size_t sample_steps; /* noise levels visited per window when sampling */
  size_t fresh;        /* positions of a window that are new, the rest being the known prefix; the
                          whole window: there is no prefix, and there are no contexts */
  enum tt_ddpm_sampler sampler;
  bool argmax;            /* events are the maximum of their distributions, not draws */
  bool all_levels;        /* noise levels of all T alike, see tt_ddpm_level */
  double dt_mean, dt_std; /* of log1p(seconds), where dt is a number (config.scalar_dt) */
  double rate;            /* learning rate; 0 in a loaded model */
};

extern const struct tt_generator_ops tt_ddpm_ops;

/* A channel's place among the diffused ones, or TT_DDPM_MAX_CHANNELS when it isn't. */
size_t tt_ddpm_channel(const struct tt_ddpm *ddpm, const char *name);

/* Trains the built denoiser: ddpm/training.c. */
enum tt_status tt_ddpm_fit(struct tt_ddpm *ddpm, const struct tt_train_config *config,
                           struct tt_train_result *ret);
/* ddpm/sampling.c */
enum tt_status tt_ddpm_generate(const struct tt_generator *generator,
                                const struct tt_generate_config *config,
                                const struct tt_event_sink *sink);
/* ddpm/file.c */
enum tt_status tt_ddpm_save(const struct tt_generator *generator, const char *folder,
                            json_t *model);
enum tt_status tt_ddpm_load_tensors(struct tt_ddpm *ddpm, const char *folder, const json_t *model);
/* The noise level at a place of the range, 0 (least noise) to 1 (most). With all_levels the range
 * is 1 to T; else it is what matters: equal steps of the log of an event's signal-to-noise ratio,
 * width * signal^2 * abar / (1 - abar), from 100 (every event is known) to 0.03 (nothing is).
 * Levels outside teach and tell nothing (Dieleman et al. 2022, sec. 3.3). */
size_t tt_ddpm_level(const struct tt_ddpm *ddpm, double place);
/* ids of encoded rows as the denoiser wants them: [channels->n, n_channels]; dt's, where it is a
 * number, are its bits. */
void tt_ddpm_ids(const struct tt_ddpm *ddpm, const struct tt_channels *channels, int32_t *ret);
/* Nanoseconds of such a number, within 0 and the longest of the training data; NaN gives 0. */
int64_t tt_ddpm_number_ns(const struct tt_ddpm *ddpm, double number);

#endif
