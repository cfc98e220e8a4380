/* Layers: parameters declared in a tt_params, applied through the ops. Names are PREFIX.weight and
 * PREFIX.bias as PyTorch has them; weights of linear layers are [out, in]. */
#ifndef NN_LAYERS_H
#define NN_LAYERS_H

#include "compute/ops.h"

struct tt_linear {
  struct tt_param *weight, *bias; /* bias may be NULL */
};
/* Weights normal with standard deviation `std` (0: all zero; < 0: 1/sqrt(in)), bias zero. */
void tt_linear_init(struct tt_linear *linear, struct tt_params *params, const char *prefix,
                    size_t in, size_t out, bool bias, float std);
struct tt_tensor *tt_linear_forward(struct tt_compute *c, const struct tt_linear *linear,
                                    struct tt_tensor *x, enum tt_act act);

/* Several channels of ids, their embeddings summed (the h0 of the published model). */
#define TT_MAX_CHANNELS 16
struct tt_embedding {
  struct tt_param *tables[TT_MAX_CHANNELS]; /* [sizes[k], d] */
  size_t n;
};
/* names[k]: the table is PREFIX.NAME.weight. std < 0: 0.02. */
void tt_embedding_init(struct tt_embedding *embedding, struct tt_params *params, const char *prefix,
                       const char *const *names, const size_t *sizes, size_t n, size_t d,
                       float std);
/* ids: [rows, n], negative: none. */
struct tt_tensor *tt_embedding_forward(struct tt_compute *c, const struct tt_embedding *embedding,
                                       const int32_t *ids, size_t rows);

struct tt_norm {
  struct tt_param *gamma, *beta;
};
void tt_norm_init(struct tt_norm *norm, struct tt_params *params, const char *prefix, size_t d);
struct tt_tensor *tt_norm_forward(struct tt_compute *c, const struct tt_norm *norm,
                                  struct tt_tensor *x);

/* Sinusoidal embedding of real-valued times (Vaswani et al. 2017; cos half first as in Ho et al.
 * 2020's successors): [n, d], frequencies 10000^(-k/(d/2)), times t[k] in steps. d even. */
struct tt_tensor *tt_timestep_sinusoid(struct tt_compute *c, const float *t, size_t n, size_t d);

/* sinusoid -> linear -> SiLU -> linear: the conditioning vector of a diffusion step, [n, d_out]. */
struct tt_timestep {
  size_t d;
  struct tt_linear in, out;
};
void tt_timestep_init(struct tt_timestep *timestep, struct tt_params *params, const char *prefix,
                      size_t d, size_t d_out);
struct tt_tensor *tt_timestep_forward(struct tt_compute *c, const struct tt_timestep *timestep,
                                      const float *t, size_t n);

#endif
