/* Training: windows of a CPU's stream, every position of which predicts the next event; what
 * counting knows is computed without the very observation that is to be predicted. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "generators/ar/ar.h"
#include "generators/trainer.h"

enum { EVENTS_PER_STEP = 1024, VAL_WINDOWS = 64, SHORTEST_WINDOW = 8 };
static const float LEARNING_RATE = 2e-3f;

struct source { /* a dataset with all that a batch needs of it */
  const struct tt_dataset *dataset;
  struct tt_streams *streams;
  struct tt_encoder *encoder;
  struct tt_ar_track track;
};

struct fit {
  struct tt_ar *ar;
  const struct tt_train_config *config;
  struct tt_compute *compute;
  struct tt_batches *batches;
  struct source train, val;
  struct tt_ar_batch batch;
};

static enum tt_status open_source(const struct tt_ar *ar, const struct tt_dataset *dataset,
                                  struct source *ret) {
  ret->dataset = dataset;
  enum tt_status status = tt_streams_open(dataset, TT_STREAM_CPU, &ret->streams);
  if (status == TT_OK)
    status = tt_encoder_new(ar->vocabulary, dataset, &ret->encoder);
  if (status == TT_OK)
    status = tt_ar_track_make(ar, dataset, &ret->track);
  return status;
}

static void close_source(struct source *source) {
  tt_ar_track_release(&source->track);
  tt_encoder_free(source->encoder);
  tt_streams_close(source->streams);
}

static enum tt_status make_buffers(struct fit *fit) {
  struct tt_ar_batch *b = &fit->batch;
  const struct tt_ar_network *net = &fit->ar->network;
  const size_t rows = b->windows * b->length;
  b->ids = tt_alloc(rows * TT_AR_INPUTS, sizeof *b->ids);
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
static void make_row(const struct fit *fit, const struct source *source, size_t w, size_t i,
                     const uint64_t *rows, const struct tt_channels *channels,
                     const struct tt_markov_history *history, bool leave_out) {
  const struct tt_ar *ar = fit->ar;
  const struct tt_ar_batch *b = &fit->batch;
  const struct tt_columns *c = tt_dataset_columns(source->dataset);
  const struct tt_markov *markov = tt_ar_markov(ar);
  const size_t row = w * b->length + i;
  const struct tt_ar_moment moment =
      tt_ar_recorded_moment(ar, c, &source->track, channels, i, rows[i], rows[i + 1]);
  tt_ar_ids(ar, &moment, b->ids + row * TT_AR_INPUTS);
  float *event_prior = b->event_prior + row * ar->network.n_events;
  float *ret_prior = b->ret_prior + row * ar->network.n_rets;
  float *delay_prior = b->delay_prior + row * TT_DELAY_BINS;
  const uint16_t event = c->event[rows[i + 1]];
  b->events[row] = b->rets[row] = b->delays[row] = -1;
  if (history->n < markov->order - 1 || event >= ar->network.n_events) {
    /* the window begins here, the stream doesn't: contexts this short don't occur in sampling */
    memset(event_prior, 0, ar->network.n_events * sizeof *event_prior);
    memset(ret_prior, 0, ar->network.n_rets * sizeof *ret_prior);
    memset(delay_prior, 0, TT_DELAY_BINS * sizeof *delay_prior);
    return;
  }
  b->events[row] = event;
  b->delays[row] = (int32_t)tt_delay_bins_of(&ar->bins, channels->dt[i + 1]);
  tt_ar_event_prior(ar, history, moment.thread, moment.call,
                    leave_out ? (uint32_t)event : UINT32_MAX, event_prior);
  tt_ar_delay_prior(ar, event, moment.event, moment.cpu,
                    leave_out ? (uint32_t)b->delays[row] : UINT32_MAX, delay_prior);
  if (markov->cast.events[event].n_rets > 0) {
    b->rets[row] = channels->ret[i + 1];
    tt_ar_ret_prior(ar, event, moment.comm, moment.event,
                    leave_out ? (uint32_t)b->rets[row] : UINT32_MAX, ret_prior);
  } else {
    memset(ret_prior, 0, ar->network.n_rets * sizeof *ret_prior);
  }
}

/* Windows of length + 1 events; returns false when memory is short. */
static bool make_batch(struct fit *fit, const struct source *source, const struct tt_batch *batch,
                       bool leave_out) {
  const size_t length = fit->batch.length;
  uint64_t *rows = tt_alloc(batch->n_windows * (length + 1), sizeof *rows);
  if (!rows)
    return false;
  fit->batch.windows = batch->n_windows;
  const struct tt_columns *c = tt_dataset_columns(source->dataset);
#pragma omp parallel for schedule(static)
  for (size_t w = 0; w < batch->n_windows; w++)
    tt_streams_rows(source->streams, batch->windows[w].stream, batch->windows[w].first, length + 1,
                    rows + w * (length + 1));
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

static enum tt_status train_step(void *user, uint64_t step, double *ret_loss) {
  struct fit *fit = user;
  const struct tt_batch *batch;
  enum tt_status status = tt_batches_next(fit->batches, &batch);
  if (status == TT_OK && !make_batch(fit, &fit->train, batch, true))
    status = tt_fail(TT_NO_MEMORY, "a batch");
  if (status != TT_OK)
    return status;
  double losses[TT_AR_HEADS];
  tt_compute_begin(fit->compute, true, step);
  tt_compute_backward(fit->compute,
                      tt_ar_network_loss(fit->compute, &fit->ar->network, &fit->batch, losses));
  *ret_loss = losses[0] + losses[1] + losses[2];
  return TT_OK;
}

/* Mean nats per event, all three heads. */
static enum tt_status validate(struct fit *fit, double *ret) {
  const struct tt_part part = {fit->val.streams, fit->val.encoder};
  const size_t windows = fit->batch.windows;
  const struct tt_batches_options options = {.windows = windows,
                                             .length = fit->batch.length + 1,
                                             .sequential = true,
                                             .stride = fit->batch.length,
                                             .limit = VAL_WINDOWS};
  struct tt_batches *batches = NULL;
  enum tt_status status = tt_batches_open(&part, 1, &options, &batches);
  if (status == TT_BAD_INPUT) { /* validation data shorter than a window */
    tt_causes_clear();
    return TT_OK;
  }
  double sum = 0, n = 0;
  while (status == TT_OK) {
    const struct tt_batch *batch;
    double losses[TT_AR_HEADS];
    status = tt_batches_next(batches, &batch);
    if (status != TT_OK || !batch)
      break;
    if (!make_batch(fit, &fit->val, batch, false)) {
      status = tt_fail(TT_NO_MEMORY, "a batch");
      break;
    }
    tt_compute_begin(fit->compute, false, 0);
    tt_ar_network_loss(fit->compute, &fit->ar->network, &fit->batch, losses);
    sum += (losses[0] + losses[1] + losses[2]) * (double)batch->n_windows;
    n += (double)batch->n_windows;
  }
  tt_batches_close(batches);
  if (status == TT_OK && n > 0)
    *ret = sum / n;
  return status;
}

/* Twice the attention's window, so that half of the positions see a whole one; less where no
 * stretch of the data is as long. */
static enum tt_status choose_length(struct fit *fit) {
  size_t n, longest = 0;
  const struct tt_segment *segments = tt_streams_segments(fit->train.streams, &n);
  for (size_t i = 0; i < n; i++)
    longest = segments[i].n > longest ? (size_t)segments[i].n : longest;
  if (longest < SHORTEST_WINDOW + 1)
    return tt_fail(TT_BAD_INPUT, "%s: no CPU has %d events in a row",
                   tt_dataset_path(fit->train.dataset), SHORTEST_WINDOW + 1);
  size_t length = 2 * fit->ar->network.window;
  fit->batch.length = length < longest ? length : longest - 1;
  fit->batch.windows = EVENTS_PER_STEP / fit->batch.length;
  fit->batch.windows += fit->batch.windows == 0;
  return TT_OK;
}

enum tt_status tt_ar_fit(struct tt_ar *ar, const struct tt_train_config *config,
                         struct tt_train_result *ret) {
  struct fit fit = {.ar = ar, .config = config};
  struct tt_trainer trainer = {0};
  double val_loss = NAN;
  enum tt_status status = open_source(ar, config->train, &fit.train);
  if (status == TT_OK && config->val)
    status = open_source(ar, config->val, &fit.val);
  if (status == TT_OK)
    status = tt_ar_keep_starts(ar, config->train, &fit.train.track);
  if (status == TT_OK)
    status = choose_length(&fit);
  if (status == TT_OK)
    status = make_buffers(&fit);
  const size_t per_step = fit.batch.windows * fit.batch.length;
  if (status == TT_OK)
    status = tt_compute_create(TT_PRECISION_AUTO, config->seed, &fit.compute);
  if (status == TT_OK)
    status = tt_trainer_open(config, &ar->network.params, LEARNING_RATE, &trainer);
  if (status == TT_OK) {
    const struct tt_part part = {fit.train.streams, fit.train.encoder};
    const struct tt_batches_options options = {.windows = fit.batch.windows,
                                               .length = fit.batch.length + 1,
                                               .seed = config->seed,
                                               .first_step = trainer.first_step};
    status = tt_batches_open(&part, 1, &options, &fit.batches);
  }
  if (status == TT_OK)
    status = tt_trainer_run(&trainer, train_step, &fit);
  if (status == TT_OK && config->val)
    status = validate(&fit, &val_loss);
  if (status == TT_OK)
    *ret = tt_trainer_result(&trainer, per_step, val_loss);
  tt_batches_close(fit.batches);
  tt_trainer_close(&trainer);
  tt_compute_free(fit.compute);
  close_source(&fit.train);
  close_source(&fit.val);
  free_buffers(&fit.batch);
  return status;
}
