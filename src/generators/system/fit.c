#include "generators/system/fit.h"

#include <math.h>

static const float LEARNING_RATE = 2e-3f;

/* What of each workload depends on the state at its rows: who runs next, and real moments. */
static enum tt_status look_through(struct tt_system *system, const struct tt_system_source *train) {
  const size_t n = system->n_workloads ? system->n_workloads : 1;
  enum tt_status status = TT_OK;
  for (size_t i = 0; i < n && status == TT_OK; i++) {
    struct tt_system *of = system->n_workloads ? &system->workloads[i] : system;
    struct tt_row_set rows = {0};
    status = tt_row_set_of(train->dataset,
                           system->n_workloads ? system->base.labels.names[i] : NULL, &rows);
    if (status == TT_OK)
      status = tt_turns_fit(of, train, &rows);
    if (status == TT_OK)
      status = tt_system_keep_starts(of, train, &rows);
    tt_row_set_release(&rows);
  }
  return status;
}

enum tt_status tt_system_fit_open(struct tt_system *system, struct tt_params *params, size_t window,
                                  const struct tt_train_config *config, struct tt_system_fit *ret) {
  *ret = (struct tt_system_fit){.config = config};
  enum tt_status status = tt_system_source_open(system, config->train, &ret->train);
  if (status == TT_OK && config->val)
    status = tt_system_source_open(system, config->val, &ret->val);
  if (status == TT_OK)
    status = look_through(system, &ret->train);
  if (status == TT_OK)
    status = tt_system_window_size(&ret->train, window, &ret->length, &ret->windows);
  if (status == TT_OK)
    status = tt_compute_create(TT_PRECISION_AUTO, config->seed, &ret->compute);
  if (status == TT_OK)
    status = tt_trainer_open(config, params, LEARNING_RATE, &ret->trainer);
  if (status != TT_OK)
    return status;
  ret->trainer.settings.keep_end = true; /* rates are fitted then */
  const struct tt_part part = {ret->train.streams, ret->train.encoder};
  const struct tt_batches_options options = {.windows = ret->windows,
                                             .length = ret->length + 1,
                                             .seed = config->seed,
                                             .first_step = ret->trainer.first_step};
  return tt_batches_open(&part, 1, &options, &ret->batches);
}

struct run {
  struct tt_system_fit *fit;
  tt_system_forward_fn *forward;
  void *user;
};

static enum tt_status step(void *user, uint64_t number, double *ret_nats) {
  struct run *run = user;
  struct tt_system_fit *fit = run->fit;
  const struct tt_batch *batch;
  struct tt_tensor *loss = NULL;
  (void)number; /* the batches count along */
  enum tt_status status = tt_batches_next(fit->batches, &batch);
  if (status != TT_OK)
    return status;
  tt_compute_begin(fit->compute, true, batch->step);
  status = run->forward(run->user, &fit->train, batch, true, &loss, ret_nats);
  if (status == TT_OK)
    tt_compute_backward(fit->compute, loss);
  return status;
}

static enum tt_status validation_loss(void *user, const struct tt_batch *batch, double *ret) {
  struct run *run = user;
  struct tt_tensor *loss = NULL;
  tt_compute_begin(run->fit->compute, false, 0);
  return run->forward(run->user, &run->fit->val, batch, false, &loss, ret);
}

enum tt_status tt_system_fit_run(struct tt_system_fit *fit, tt_system_forward_fn *forward,
                                 void *user, struct tt_train_result *ret) {
  struct run run = {fit, forward, user};
  double val_loss = NAN;
  enum tt_status status = tt_trainer_run(&fit->trainer, step, &run);
  if (status == TT_OK && fit->config->val)
    status =
        tt_system_validate(&fit->val, fit->length, fit->windows, validation_loss, &run, &val_loss);
  if (status == TT_OK)
    *ret = tt_trainer_result(&fit->trainer, fit->windows * fit->length, val_loss);
  return status;
}

void tt_system_fit_close(struct tt_system_fit *fit) {
  tt_batches_close(fit->batches);
  tt_trainer_close(&fit->trainer);
  tt_compute_free(fit->compute);
  tt_system_source_close(&fit->train);
  tt_system_source_close(&fit->val);
}
