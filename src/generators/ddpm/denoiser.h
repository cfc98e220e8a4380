/* The network of the ddpm generator.
 *
 * An event is h0 = norm(sum of its channels' embeddings) (the poster's h0; the parameter-free norm
 * keeps the learned embeddings from growing, which would make the noise meaningless). The scaled
 * `signal * h0` is noised (schedule.h); the network sees a window of L positions of which a prefix
 * is known and clean, the rest is x_t, and gives, for every unknown position, eps (or h0, by
 * `predict`) and the distribution of every channel, read from the last hidden state:
 *
 *   x    = W_in x_t + known/unknown embedding (+ W_self of the estimate of h0 before)
 *   h    = Transformer(x; rotary positions, adaLN on t (and on the CPU of a per-CPU stream)),
 *          or U-Net(x; t (and the CPU) added in every block)
 *   eps  = W_eps h;  logits_k = W_k h for each channel k
 *   loss = MSE(eps) + lambda * sum over channels of cross-entropy
 *
 * Self-conditioning (Chen et al. 2023, Analog Bits, sec. 3.2): the network also sees its own
 * estimate of h0, from the level before when sampling; in half of the training steps from a first
 * pass without gradient, in the others (and at the first level) none. The estimate is normed, as h0
 * is: so it has its scale at every level.
 *
 * What the original had instead, each by a flag: no positions; h0 the plain sum; dt a regressed
 * number z, dt's part of h0 being w z + b and of the loss (z - w' h - b')^2, its "id" the bits of
 * the float z.
 *
 * Sources: Ho et al. 2020 (eps, U-Net), the poster (sum of embeddings, CE term), Li et al. 2022
 * (Diffusion-LM: learned embeddings, rounding), Chen et al. 2023 (input scaling of the signal), Han
 * et al. 2023 (SSD-LM: blocks conditioned on a clean left context). */
#ifndef GENERATORS_DDPM_DENOISER_H
#define GENERATORS_DDPM_DENOISER_H

#include <string.h>

#include "base/rng.h"
#include "generators/ddpm/schedule.h"
#include "nn/transformer.h"
#include "nn/unet.h"

enum { TT_DDPM_MAX_CHANNELS = 6 };

enum tt_backbone { TT_BACKBONE_TRANSFORMER, TT_BACKBONE_UNET, TT_N_BACKBONES };
const char *tt_backbone_name(enum tt_backbone backbone);
/* False when there is none of that name. */
bool tt_backbone_find(const char *name, enum tt_backbone *ret);

struct tt_denoiser_config {
  enum tt_backbone backbone;
  size_t width, heads;
  size_t layers;                           /* Transformer blocks; resolutions of the U-Net */
  size_t n_channels;                       /* diffused channels, event first */
  size_t sizes[TT_DDPM_MAX_CHANNELS];      /* ids of each */
  const char *names[TT_DDPM_MAX_CHANNELS]; /* static storage */
  size_t n_cpus;                           /* per-CPU streams: conditioning ids; 0: none */
  float signal;                            /* scale of h0 */
  float lambda;                            /* weight of the cross-entropies */
  bool predict_x0;                         /* the first term is MSE(h0) instead of MSE(eps) */
  bool self_condition;
  bool no_positions; /* of the Transformer */
  bool plain_sum;    /* h0 isn't normed */
  bool scalar_dt;    /* channel "dt" is a number; its size is 1 */
};

struct tt_denoiser {
  struct tt_denoiser_config config;
  struct tt_params params;
  struct tt_embedding embedding; /* one table per channel that isn't a number */
  size_t scalar;                 /* the channel that is a number; n_channels: none */
  struct tt_linear scalar_in;    /* [width, 1] */
  struct tt_embedding condition; /* CPU, n = 0 without */
  struct tt_embedding known;     /* [2, width]: 0 unknown, 1 known */
  struct tt_timestep timestep;
  struct tt_linear input, output;
  struct tt_linear self; /* of the estimate */
  struct tt_linear heads[TT_DDPM_MAX_CHANNELS];
  struct tt_transformer transformer; /* one of the two */
  struct tt_unet unet;
};

/* Declares and builds the parameters, drawn from `seed`. */
enum tt_status tt_denoiser_init(struct tt_denoiser *denoiser,
                                const struct tt_denoiser_config *config, uint64_t seed);
void tt_denoiser_release(struct tt_denoiser *denoiser);

/* A batch of windows; all host arrays, borrowed for the call. */
struct tt_denoiser_batch {
  size_t windows, length;
  const int32_t *ids;    /* [windows * length, n_channels] */
  const int32_t *cpus;   /* [windows] conditioning, or NULL */
  const size_t *prefix;  /* [windows] known positions at the start, < length */
  const size_t *t;       /* [windows] noise level, 1..T */
  const float *eps;      /* [windows * length, width] standard normal */
  const float *estimate; /* [windows * length, width] self-conditioning; NULL: none yet */
};
/* *ret_ce (may be NULL): the summed cross-entropy over channels in nats per unknown event, a
 * number's squared error not among them. */
struct tt_tensor *tt_denoiser_loss(struct tt_compute *c, const struct tt_denoiser *denoiser,
                                   const struct tt_schedule *schedule,
                                   const struct tt_denoiser_batch *batch, float *ret_ce);
/* The first pass of self-conditioning: runs the noised batch and writes the estimate to out
 * [windows * length, width], zero where known. The step must not record. */
void tt_denoiser_first_pass(struct tt_compute *c, const struct tt_denoiser *denoiser,
                            const struct tt_schedule *schedule,
                            const struct tt_denoiser_batch *batch, float *out);

/* Inference. h0 of ids, [rows, width]. */
struct tt_tensor *tt_denoiser_embed(struct tt_compute *c, const struct tt_denoiser *denoiser,
                                    const int32_t *ids, size_t rows);
/* x: [windows * length, width]: h0 where known, x_t elsewhere (as tt_denoiser_loss makes it); of
 * the batch, ids and eps are not looked at. Returns the hidden states. */
struct tt_tensor *tt_denoiser_hidden(struct tt_compute *c, const struct tt_denoiser *denoiser,
                                     struct tt_tensor *x, const struct tt_denoiser_batch *batch);
/* The estimate for self-conditioning from the network's output (eps or h0), as first_pass. */
void tt_denoiser_estimate(struct tt_compute *c, const struct tt_denoiser *denoiser,
                          const struct tt_schedule *schedule, const struct tt_denoiser_batch *batch,
                          struct tt_tensor *x, struct tt_tensor *output, float *out);

/* A number in the place of an id, and back. */
static inline int32_t tt_number_to_id(float number) {
  int32_t id;
  memcpy(&id, &number, sizeof id);
  return id;
}
static inline float tt_number_of_id(int32_t id) {
  float number;
  memcpy(&number, &id, sizeof number);
  return number;
}

#endif
