/* The training loop that the generators with networks share: AdamW, warm-up and cosine, an average
 * of the weights, time budgets, checkpoints, progress, interruption.
 *
 * Time budgets: the learning rate is constant until step `calibration` (the warm-up apart), by when
 * the speed is known and the number of steps that fit the budget is fixed. From then on a run by
 * time is the same as one by that number of steps: `--steps N` with the N that was printed gives
 * the same bytes. */
#ifndef GENERATORS_TRAINER_H
#define GENERATORS_TRAINER_H

#include "compute/optimizer.h"
#include "generators/generator.h"

/* What differs from phase to phase where a generator is trained in several. */
struct tt_trainer_settings {
  const char *stage, *file; /* shown in progress; of the checkpoint, below config->checkpoint */
  uint64_t steps;           /* 0: as many as fit into `minutes` */
  double minutes;
  bool resume;
  float learning_rate, ema_decay;
  uint64_t warmup, calibration; /* steps */
  bool keep_end; /* the end is a checkpoint: what follows the training can be interrupted too */
  /* what a checkpoint holds besides the parameters and their optimiser; NULL: nothing */
  enum tt_status (*save)(void *user, struct tt_model_writer *writer);
  enum tt_status (*load)(void *user, const struct tt_model_file *file);
  void *user;
};

struct tt_trainer {
  const struct tt_train_config *config;
  struct tt_trainer_settings settings;
  struct tt_optimizer optimizer;
  uint64_t first_step, total; /* total 0: not yet known */
  double loss;                /* running mean of what the steps say */
  double begin, seconds;
  double last_checkpoint, last_report;
};

/* One step: gradients are left in the parameters; *ret_loss: nats per event, to be reported. The
 * step's randomness is a pure function of (seed, step). */
typedef enum tt_status tt_trainer_step_fn(void *user, uint64_t step, double *ret_loss);

/* The usual: one phase, with the steps, minutes and resume of the configuration. */
struct tt_trainer_settings tt_trainer_defaults(const struct tt_train_config *config,
                                               float learning_rate);
enum tt_status tt_trainer_open_phase(const struct tt_train_config *config,
                                     const struct tt_trainer_settings *settings,
                                     struct tt_params *params, struct tt_trainer *ret);
/* With the defaults. Parameters are borrowed, and resumed from the checkpoint where config->resume
 * says so. */
enum tt_status tt_trainer_open(const struct tt_train_config *config, struct tt_params *params,
                               float learning_rate, struct tt_trainer *ret);
/* Trains to the end; then the average is the model. TT_INTERRUPTED: after writing a checkpoint. */
enum tt_status tt_trainer_run(struct tt_trainer *trainer, tt_trainer_step_fn *step, void *user);
/* Writes a checkpoint now, if there is a folder for it. */
enum tt_status tt_trainer_checkpoint(struct tt_trainer *trainer);
/* What train() of a generator reports; events_per_step: trained on in each step. */
struct tt_train_result tt_trainer_result(const struct tt_trainer *trainer, size_t events_per_step,
                                         double val_loss);
void tt_trainer_close(struct tt_trainer *trainer); /* accepts zeroed */

#endif
