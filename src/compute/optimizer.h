/* AdamW (Loshchilov & Hutter 2019, as PyTorch has it), gradient clipping by global norm, and an
 * exponential moving average of the parameters, in one pass over the flat arrays. */
#ifndef COMPUTE_OPTIMIZER_H
#define COMPUTE_OPTIMIZER_H

#include "compute/model_file.h"
#include "compute/params.h"

struct tt_optimizer_config {
  float learning_rate, beta1, beta2, epsilon, weight_decay;
  float clip_norm; /* gradients are scaled down to this global norm; 0: never */
  float ema_decay; /* 0: no average is kept. The decay of step n is min(ema_decay, (1+n)/(10+n)) */
};
/* 1e-3, 0.9, 0.99, 1e-8, 0.01, 1, 0 */
struct tt_optimizer_config tt_optimizer_defaults(void);

struct tt_optimizer {
  struct tt_optimizer_config config;
  struct tt_params *params; /* borrowed */
  float *m, *v;             /* [params->total] */
  float *ema;               /* [params->total], NULL when none is kept */
  uint64_t step;            /* updates done */
  bool ema_swapped;
};

struct tt_step_result {
  double grad_norm; /* before clipping */
  bool skipped;     /* the norm was not finite: nothing changed, gradients are cleared */
};

/* The parameters must be built. */
enum tt_status tt_optimizer_init(struct tt_optimizer *optimizer, struct tt_params *params,
                                 const struct tt_optimizer_config *config);
void tt_optimizer_release(struct tt_optimizer *optimizer);
/* One update with learning rate config.learning_rate * factor; clears the gradients and refreshes
 * the bf16 copies. */
struct tt_step_result tt_optimizer_step(struct tt_optimizer *optimizer, double factor);
/* Exchanges parameters and their average (to evaluate or save); again to exchange back. No-op
 * without an average. */
void tt_optimizer_swap_ema(struct tt_optimizer *optimizer);

/* Linear warm-up to 1 over `warmup`, then half a cosine down to `floor` at `total`; arguments in
 * any unit (steps, seconds). step is the number of updates already done (0 for the first). */
double tt_schedule_cosine(double step, double warmup, double total, double floor);

/* The state as tensors "optimizer.m.NAME", "optimizer.v.NAME", "ema.NAME" and metadata
 * "optimizer.step", appended to a list to be written / looked up in an open file. */
enum tt_status tt_optimizer_save(const struct tt_optimizer *optimizer,
                                 struct tt_model_writer *writer);
enum tt_status tt_optimizer_load(struct tt_optimizer *optimizer, const struct tt_model_file *file);

#endif
