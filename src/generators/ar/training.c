/* Training: windows of a CPU's stream, every position of which predicts the next event; what
 * counting knows is computed without the very observation that is to be predicted. */
#include <string.h>

#include "base/mem.h"
#include "generators/ar/ar.h"
#include "generators/system/fit.h"

struct fit {
  struct tt_ar *ar;
  struct tt_system_fit common;
  struct tt_ar_batch batch;
};

static enum tt_status make_buffers(struct fit *fit) {
  struct tt_ar_batch *b = &fit->batch;
  const struct tt_ar_network *net = &fit->ar->network;
  const size_t rows = b->windows * b->length;
  b->ids = tt_alloc(rows * TT_SYSTEM_INPUTS, sizeof *b->ids);
  b->events = tt_alloc(rows, sizeof *b->events);
  b->rets = tt_alloc(rows, sizeof *b->rets);
  b->delays = tt_alloc(rows, sizeof *b->delays);
  b->event_prior = tt_alloc(rows * net->n_events, sizeof *b->event_prior);
  b->ret_prior = tt_alloc(rows * net->n_rets, sizeof *b->ret_prior);
  b->delay_prior = tt_alloc(rows * TT_DELAY_BINS, sizeof *b->delay_prior);
  bool ok = b->ids && b->events && b->rets && b->delays && b->event_prior && b->ret_prior &&
            b->delay_prior;
  return ok ? TT_OK : tt_fail(TT_NO_MEMORY, "a batch of %zu events", rows);
}

static void free_buffers(struct tt_ar_batch *b) {
  tt_free(b->ids);
  tt_free(b->events);
  tt_free(b->rets);
  tt_free(b->delays);
  tt_free(b->event_prior);
  tt_free(b->ret_prior);
  tt_free(b->delay_prior);
}

/* Row i of window w: what is known after rows[i], and what rows[i + 1] is. */
static void make_row(const struct fit *fit, const struct tt_system_source *source, size_t w,
                     size_t i, const uint64_t *rows, const struct tt_channels *channels,
                     const struct tt_markov_history *history, bool leave_out) {
  const struct tt_system *system = tt_system_of_row(source, rows[i]);
  const struct tt_ar_batch *b = &fit->batch;
  const struct tt_columns *c = tt_dataset_columns(source->dataset);
  const struct tt_markov *markov = tt_system_markov(system);
  const size_t row = w * b->length + i;
  const struct tt_system_moment moment =
      tt_system_recorded_moment(system, c, &source->track, channels, i, rows[i], rows[i + 1]);
  tt_system_ids(system, &moment, b->ids + row * TT_SYSTEM_INPUTS);
  float *event_prior = b->event_prior + row * system->n_events;
  float *ret_prior = b->ret_prior + row * system->n_rets;
  float *delay_prior = b->delay_prior + row * TT_DELAY_BINS;
  const uint16_t event = c->event[rows[i + 1]];
  b->events[row] = b->rets[row] = b->delays[row] = -1;
  if (history->n < markov->order - 1 || event >= system->n_events) {
    /* the window begins here, the stream doesn't: contexts this short don't occur in sampling */
    memset(event_prior, 0, system->n_events * sizeof *event_prior);
    memset(ret_prior, 0, system->n_rets * sizeof *ret_prior);
    memset(delay_prior, 0, TT_DELAY_BINS * sizeof *delay_prior);
    return;
  }
  b->events[row] = event;
  b->delays[row] = (int32_t)tt_delay_bins_of(&system->bins, channels->dt[i + 1]);
  tt_system_event_prior(system, history, moment.thread, moment.call,
                        leave_out ? (uint32_t)event : UINT32_MAX, event_prior);
  tt_system_delay_prior(system, event, moment.event, moment.cpu,
                        leave_out ? (uint32_t)b->delays[row] : UINT32_MAX, delay_prior);
  if (markov->cast.events[event].n_rets > 0) {
    b->rets[row] = channels->ret[i + 1];
    tt_system_ret_prior(system, event, moment.comm, moment.event,
                        leave_out ? (uint32_t)b->rets[row] : UINT32_MAX, ret_prior);
  } else {
    memset(ret_prior, 0, system->n_rets * sizeof *ret_prior);
  }
}

/* Windows of length + 1 events; returns false when memory is short. */
static bool make_batch(struct fit *fit, const struct tt_system_source *source,
                       const struct tt_batch *batch, bool leave_out) {
  const size_t length = fit->batch.length;
  uint64_t *rows = tt_system_window_rows(source, batch);
  if (!rows)
    return false;
  fit->batch.windows = batch->n_windows;
  const struct tt_columns *c = tt_dataset_columns(source->dataset);
#pragma omp parallel for schedule(static, 16) collapse(2)
  for (size_t w = 0; w < batch->n_windows; w++)
    for (size_t i = 0; i < length; i++) {
      const uint64_t *of_window = rows + w * (length + 1);
      const struct tt_channels channels =
          tt_channels_slice(&batch->channels, w * (length + 1), length + 1);
      struct tt_markov_history history = {.n = 0};
      for (size_t k = i + 1 > TT_MARKOV_MAX_ORDER ? i + 1 - TT_MARKOV_MAX_ORDER : 0; k <= i; k++)
        tt_markov_push(&history, c->event[of_window[k]]);
      make_row(fit, source, w, i, of_window, &channels, &history, leave_out);
    }
  tt_free(rows);
  return true;
}

static enum tt_status forward(void *user, const struct tt_system_source *source,
                              const struct tt_batch *batch, bool training,
                              struct tt_tensor **ret_loss, double *ret_nats) {
  struct fit *fit = user;
  struct tt_compute *c = fit->common.compute;
  double nats[TT_AR_HEADS];
  if (!make_batch(fit, source, batch, training))
    return tt_fail(TT_NO_MEMORY, "a batch");
  *ret_loss = tt_ar_network_loss(c, &fit->ar->network, &fit->batch, nats);
  *ret_nats = nats[0] + nats[1] + nats[2];
  return TT_OK;
}

enum tt_status tt_ar_fit(struct tt_ar *ar, const struct tt_train_config *config,
                         struct tt_train_result *ret) {
  struct fit fit = {.ar = ar};
  enum tt_status status =
      tt_system_fit_open(&ar->system, &ar->network.params, ar->network.window, config, &fit.common);
  fit.batch.windows = fit.common.windows;
  fit.batch.length = fit.common.length;
  if (status == TT_OK)
    status = make_buffers(&fit);
  if (status == TT_OK)
    status = tt_system_fit_run(&fit.common, forward, &fit, ret);
  tt_system_fit_close(&fit.common);
  free_buffers(&fit.batch);
  return status;
}
