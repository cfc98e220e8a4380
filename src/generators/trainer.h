/* The training loop that the generators with networks share: AdamW, warm-up and cosine, an average
 * of the weights, time budgets, checkpoints, progress, interruption.
 *
 * Time budgets: the learning rate is constant until step CALIBRATION (the warm-up apart), by when
 * the speed is known and the number of steps that fit the budget is fixed. From then on a run by
 * time is the same as one by that number of steps: `--steps N` with the N that was printed gives
 * the same bytes. */
#ifndef GENERATORS_TRAINER_H
#define GENERATORS_TRAINER_H

#include "compute/optimizer.h"
#include "generators/generator.h"

struct tt_trainer {
  const struct tt_train_config *config;
  struct tt_optimizer optimizer;
  uint64_t first_step, total; /* total 0: not yet known */
  double loss;                /* running mean of what the steps say */
  double begin, seconds;
  double last_checkpoint, last_report;
};

/* One step: gradients are left in the parameters; *ret_loss: nats per event, to be reported. The
 * step's randomness is a pure function of (seed, step). */
typedef enum tt_status tt_trainer_step_fn(void *user, uint64_t step, double *ret_loss);

/* Parameters are borrowed, and resumed from the checkpoint where config->resume says so. */
enum tt_status tt_trainer_open(const struct tt_train_config *config, struct tt_params *params,
                               float learning_rate, struct tt_trainer *ret);
/* Trains to the end; then the average is the model. TT_INTERRUPTED: after writing a checkpoint. */
enum tt_status tt_trainer_run(struct tt_trainer *trainer, tt_trainer_step_fn *step, void *user);
/* What train() of a generator reports; events_per_step: trained on in each step. */
struct tt_train_result tt_trainer_result(const struct tt_trainer *trainer, size_t events_per_step,
                                         double val_loss);
void tt_trainer_close(struct tt_trainer *trainer); /* accepts zeroed */

#endif
