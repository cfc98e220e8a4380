/* The network of the ddpm generator.
 *
 * An event is h0 = norm(sum of its channels' embeddings) (the poster's h0; the parameter-free norm
 * keeps the learned embeddings from growing, which would make the noise meaningless). The scaled
 * `signal * h0` is noised (schedule.h); the network sees a window of L positions of which a prefix
 * is known and clean, the rest is x_t, and gives, for every unknown position, eps (or h0, by
 * `predict`) and the distribution of every channel, read from the last hidden state:
 *
 *   x    = W_in x_t + known/unknown embedding
 *   h    = Transformer(x; rotary positions, adaLN on t (and on the CPU of a per-CPU stream))
 *   eps  = W_eps h;  logits_k = W_k h for each channel k
 *   loss = MSE(eps) + lambda * sum over channels of cross-entropy
 *
 * Sources: Ho et al. 2020 (eps), the poster (sum of embeddings, CE term), Li et al. 2022
 * (Diffusion-LM: learned embeddings, rounding), Chen et al. 2023 (input scaling of the signal), Han
 * et al. 2023 (SSD-LM: blocks conditioned on a clean left context). */
#ifndef GENERATORS_DDPM_DENOISER_H
#define GENERATORS_DDPM_DENOISER_H

#include "base/rng.h"
#include "generators/ddpm/schedule.h"
#include "nn/transformer.h"

enum { TT_DDPM_MAX_CHANNELS = 6 };

struct tt_denoiser_config {
  size_t width, layers, heads;
  size_t n_channels;                       /* diffused channels, event first */
  size_t sizes[TT_DDPM_MAX_CHANNELS];      /* ids of each */
  const char *names[TT_DDPM_MAX_CHANNELS]; /* static storage */
  size_t n_cpus;                           /* per-CPU streams: conditioning ids; 0: none */
  float signal;                            /* scale of h0 */
  float lambda;                            /* weight of the cross-entropies */
  bool predict_x0;                         /* the first term is MSE(h0) instead of MSE(eps) */
};

struct tt_denoiser {
  struct tt_denoiser_config config;
  struct tt_params params;
  struct tt_embedding embedding; /* one table per channel */
  struct tt_embedding condition; /* CPU, n = 0 without */
  struct tt_embedding known;     /* [2, width]: 0 unknown, 1 known */
  struct tt_timestep timestep;
  struct tt_linear input, output;
  struct tt_linear heads[TT_DDPM_MAX_CHANNELS];
  struct tt_transformer body;
};

/* Declares and builds the parameters, drawn from `seed`. */
enum tt_status tt_denoiser_init(struct tt_denoiser *denoiser,
                                const struct tt_denoiser_config *config, uint64_t seed);
void tt_denoiser_release(struct tt_denoiser *denoiser);

/* A batch of windows; all host arrays, borrowed for the call. */
struct tt_denoiser_batch {
  size_t windows, length;
  const int32_t *ids;   /* [windows * length, n_channels] */
  const int32_t *cpus;  /* [windows] conditioning, or NULL */
  const size_t *prefix; /* [windows] known positions at the start, < length */
  const size_t *t;      /* [windows] noise level, 1..T */
  const float *eps;     /* [windows * length, width] standard normal */
};
/* *ret_ce (may be NULL): the summed cross-entropy over channels in nats per unknown event. */
struct tt_tensor *tt_denoiser_loss(struct tt_compute *c, const struct tt_denoiser *denoiser,
                                   const struct tt_schedule *schedule,
                                   const struct tt_denoiser_batch *batch, float *ret_ce);

/* Inference. h0: norm of the embedded ids, [rows, width]. */
struct tt_tensor *tt_denoiser_embed(struct tt_compute *c, const struct tt_denoiser *denoiser,
                                    const int32_t *ids, size_t rows);
/* x: [windows * length, width]: h0 where known, x_t elsewhere (as tt_denoiser_loss makes it).
 * Returns the hidden states. */
struct tt_tensor *tt_denoiser_hidden(struct tt_compute *c, const struct tt_denoiser *denoiser,
                                     struct tt_tensor *x, size_t windows, size_t length,
                                     const int32_t *cpus, const size_t *prefix, const size_t *t);

#endif
