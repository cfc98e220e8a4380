/* Training of `ar` and `masked`: windows of each CPU's stream, with the state at every row. */
#ifndef GENERATORS_SYSTEM_FIT_H
#define GENERATORS_SYSTEM_FIT_H

#include "compute/tape.h"
#include "generators/system/system.h"
#include "generators/trainer.h"

struct tt_system_fit {
  const struct tt_train_config *config;
  struct tt_compute *compute;
  struct tt_system_source train, val;
  struct tt_batches *batches;
  struct tt_trainer trainer;
  size_t windows, length; /* of a training step; length: events predicted per window */
};

/* The loss of a batch of windows of length + 1 events of `source` (the fit's train or val), on the
 * tape of fit->compute, which has begun: what is to be minimised, and *ret_nats per event. */
typedef enum tt_status tt_system_forward_fn(void *user, const struct tt_system_source *source,
                                            const struct tt_batch *batch, bool training,
                                            struct tt_tensor **ret_loss, double *ret_nats);

/* Opens the data, learns who runs next, keeps the starts, resumes from a checkpoint. window: events
 * that attention reaches back. On failure too tt_system_fit_close is to be called. */
enum tt_status tt_system_fit_open(struct tt_system *system, struct tt_params *params, size_t window,
                                  const struct tt_train_config *config, struct tt_system_fit *ret);
/* Trains, then scores the validation data, where there are any. */
enum tt_status tt_system_fit_run(struct tt_system_fit *fit, tt_system_forward_fn *forward,
                                 void *user, struct tt_train_result *ret);
void tt_system_fit_close(struct tt_system_fit *fit); /* accepts zeroed */

#endif
