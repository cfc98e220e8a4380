#include "predictor/predictor.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "compute/optimizer.h"
#include "predictor/baseline.h"
#include "predictor/model.h"
#include "predictor/windows.h"

const size_t tt_predictor_baseline_orders[TT_PREDICTOR_BASELINES] = {1, 2, 5};

#define SCORING_WINDOWS 32  /* per inference pass */
#define MAX_VAL_WINDOWS 256 /* spread evenly; more say nothing more about when to stop */
#define MAX_INTERVAL 200    /* steps between validation scores, where an epoch is longer */
#define MIN_INTERVAL 100    /* little training data: scoring must not cost more than training */
#define MAX_STEPS 10000     /* not reached in practice */
#define WARMUP_STEPS 50
/* A constant rate and an average of the weights, so that training ends when there is nothing more
 * to learn. Half a cosine over 2,400 steps ended at 0.972 and 0.221 nats of validation loss
 * (16-cores-rt, scimark2, 100,000 events), this at 0.924 and 0.178. */
#define EMA_DECAY 0.995f

void tt_predictor_config_init(struct tt_predictor_config *ret) {
  *ret = (struct tt_predictor_config){.channels = TT_CHANNELS_ALL,
                                      .stream = TT_STREAM_MERGED,
                                      .context = 128,
                                      .batch = 4,
                                      .layers = 4,
                                      .heads = 8,
                                      .width = 256,
                                      .max_steps = MAX_STEPS,
                                      .max_epochs = 80,
                                      .patience = 5,
                                      .lr = 5e-4,
                                      .dropout = 0,
                                      .seed = 1,
                                      .precision = TT_PRECISION_AUTO};
}

struct run {
  const struct tt_predictor_config *config;
  struct tt_classes classes;
  struct tt_source_slice *train; /* [n_train] */
  size_t n_train;
  struct tt_source_slice val, test;
  bool has_val;
  struct tt_predictor_model *model;
  struct tt_optimizer optimizer;
  struct tt_starts starts;
  struct tt_window_reader reader;
  int32_t *ids, *targets; /* of the larger of a training batch and a scoring pass */
  float *best;            /* [params.total] the weights to be scored */
  double last_report;
};

static enum tt_status check_config(const struct tt_predictor_config *config) {
  if (config->context < 2 || config->batch == 0 || config->layers == 0 ||
      config->layers > TT_MAX_LAYERS || config->heads == 0 || config->width % config->heads ||
      (config->steps == 0 && (config->max_steps == 0 || config->max_epochs == 0)) ||
      !(config->lr > 0) || !(config->dropout >= 0 && config->dropout < 1) ||
      !(config->channels & TT_CHANNEL_BIT(event)))
    return tt_fail(TT_USAGE, "the predictor's settings are out of range");
  return TT_OK;
}

/* ---- scoring ---- */

/* Fills in what one row of logits says about its truth. */
static void judge(const float *logits, size_t n, int32_t truth, size_t *ret_predicted,
                  size_t *ret_rank, double *ret_loss) {
  size_t best = 0;
  for (size_t i = 1; i < n; i++)
    if (logits[i] > logits[best])
      best = i;
  *ret_predicted = best;
  *ret_rank = TT_RANK_NEVER;
  *ret_loss = NAN;
  if ((size_t)truth >= n)
    return; /* a name never seen in training */
  double sum = 0;
  for (size_t i = 0; i < n; i++)
    sum += exp((double)(logits[i] - logits[best]));
  *ret_loss = log(sum) - (double)(logits[truth] - logits[best]);
  *ret_rank = tt_rank_of(logits, n, (size_t)truth);
}

/* *ret_loss: mean over the events of known classes; *ret_unseen: classes met that are not known. */
static enum tt_status score(struct run *run, const struct tt_source_slice *slice, size_t overlap,
                            size_t limit, struct tt_scores *ret_scores, double *ret_loss,
                            size_t *ret_unseen) {
  size_t context = run->config->context, n_ids = run->reader.n_ids;
  size_t classes = run->model->n_classes, rows = SCORING_WINDOWS * context, n_pieces = 0;
  struct tt_piece *pieces = NULL;
  struct tt_scorer scorer = {0};
  size_t *predicted = tt_alloc(rows, sizeof *predicted), *rank = tt_alloc(rows, sizeof *rank);
  double *loss = tt_alloc(rows, sizeof *loss), sum = 0;
  uint64_t known = 0;
  enum tt_status status = tt_scorer_init(&scorer, classes + run->classes.unseen.n);
  if (status == TT_OK && (!predicted || !rank || !loss))
    status = tt_fail(TT_NO_MEMORY, "scores of %zu events", rows);
  if (status == TT_OK)
    status = tt_pieces_scoring(slice, context, overlap, limit, &pieces, &n_pieces);
  for (size_t first = 0; status == TT_OK && first < n_pieces; first += SCORING_WINDOWS) {
    size_t n = n_pieces - first < SCORING_WINDOWS ? n_pieces - first : SCORING_WINDOWS;
    if (tt_interrupted()) {
      status = tt_fail(TT_INTERRUPTED, "while scoring");
      break;
    }
    for (size_t i = 0; i < n && status == TT_OK; i++)
      status = tt_window_read(&run->reader, slice, &pieces[first + i],
                              run->ids + i * context * n_ids, run->targets + i * context);
    if (status != TT_OK)
      break;
    const float *logits = tt_predictor_model_logits(run->model, n, run->ids);
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < n * context; i++)
      if (run->targets[i] >= 0)
        judge(logits + i * classes, classes, run->targets[i], &predicted[i], &rank[i], &loss[i]);
    for (size_t i = 0; i < n * context; i++) {
      if (run->targets[i] < 0)
        continue;
      tt_scorer_add(&scorer, (size_t)run->targets[i], predicted[i], rank[i]);
      if (rank[i] != TT_RANK_NEVER) {
        sum += loss[i];
        known++;
      }
    }
  }
  if (status == TT_OK) {
    *ret_scores = tt_scorer_result(&scorer);
    *ret_loss = known ? sum / (double)known : NAN;
    *ret_unseen = 0;
    for (size_t i = classes; i < scorer.n_classes; i++)
      *ret_unseen += scorer.classes[i].support > 0;
  }
  tt_scorer_release(&scorer);
  tt_free(pieces);
  tt_free(predicted);
  tt_free(rank);
  tt_free(loss);
  return status;
}

/* ---- training ---- */

/* One batch: a pure function of (seed, step). */
static enum tt_status read_batch(struct run *run, size_t step) {
  const struct tt_predictor_config *config = run->config;
  struct tt_rng rng;
  tt_rng_init(&rng, config->seed, (uint64_t)step + 1);
  for (size_t i = 0; i < config->batch; i++) {
    struct tt_piece piece = tt_starts_draw(&run->starts, run->train, &rng);
    int32_t *targets = run->targets + i * config->context;
    enum tt_status status =
        tt_window_read(&run->reader, run->train, &piece,
                       run->ids + i * config->context * run->reader.n_ids, targets);
    if (status != TT_OK)
      return status;
    for (size_t k = 0; k < config->context; k++)
      if (targets[k] >= (int32_t)run->model->n_classes)
        targets[k] = -1; /* a name of a training part that the vocabulary lacks */
  }
  return TT_OK;
}

static void report(struct run *run, size_t step, size_t total, double seconds, double loss) {
  const struct tt_progress *progress = &run->config->progress;
  double t = tt_seconds();
  if (!progress->report || (t - run->last_report < 0.1 && step < total))
    return;
  run->last_report = t;
  double rate = seconds > 0 ? (double)step / seconds : 0;
  struct tt_progress_report what = {.stage = "predict",
                                    .done = step,
                                    .total = total,
                                    .unit = "steps",
                                    .rate = rate,
                                    .loss = loss,
                                    .seconds_left = rate > 0 ? (double)(total - step) / rate : NAN};
  progress->report(progress->user, &what);
}

static enum tt_status train(struct run *run, struct tt_predictor_result *result) {
  const struct tt_predictor_config *config = run->config;
  struct tt_params *params = &run->model->params;
  size_t per_step = config->batch * config->context;
  size_t per_epoch = (size_t)(result->train_events / per_step);
  per_epoch = per_epoch ? per_epoch : 1;
  size_t interval = per_epoch < MIN_INTERVAL ? MIN_INTERVAL : per_epoch;
  interval = interval < MAX_INTERVAL ? interval : MAX_INTERVAL;
  size_t budget = config->max_epochs * per_epoch;
  size_t total = config->steps                ? config->steps
                 : budget < config->max_steps ? budget
                                              : config->max_steps;
  double begin = tt_seconds(), best_loss = INFINITY;
  size_t without = 0;
  result->train_loss = NAN;
  while (result->steps < total) {
    if (tt_interrupted())
      return tt_fail(TT_INTERRUPTED, "after %zu steps of the predictor", result->steps);
    enum tt_status status = read_batch(run, result->steps);
    if (status != TT_OK)
      return status;
    struct tt_tensor *loss =
        tt_predictor_model_loss(run->model, config->batch, run->ids, run->targets, result->steps);
    double value = (double)tt_tensor_value(loss);
    tt_compute_backward(run->model->compute, loss);
    double factor = fmin(1, (double)(result->steps + 1) / WARMUP_STEPS);
    struct tt_step_result did = tt_optimizer_step(&run->optimizer, factor);
    if (did.skipped || !isfinite(value))
      return tt_fail(TT_FAILED, "the predictor diverged at step %zu (loss %g)", result->steps,
                     value);
    result->steps++;
    result->train_loss =
        isnan(result->train_loss) ? value : 0.98 * result->train_loss + 0.02 * value;
    report(run, result->steps, total, tt_seconds() - begin - result->eval_seconds,
           result->train_loss);
    if (config->steps || (result->steps % interval && result->steps < total))
      continue;
    double eval_begin = tt_seconds(), val_loss;
    struct tt_scores scores;
    size_t unseen;
    tt_optimizer_swap_ema(&run->optimizer);
    status = score(run, &run->val, run->config->context / 8, MAX_VAL_WINDOWS, &scores, &val_loss,
                   &unseen);
    if (status != TT_OK)
      return status;
    result->eval_seconds += tt_seconds() - eval_begin;
    if (val_loss < best_loss) {
      best_loss = val_loss;
      without = 0;
      memcpy(run->best, params->data, params->total * sizeof *params->data);
      result->best_step = result->steps;
      result->val_loss = val_loss;
      result->val_scores = scores;
    } else if (++without >= config->patience) {
      break;
    }
    tt_optimizer_swap_ema(&run->optimizer);
  }
  if (config->steps) {
    tt_optimizer_swap_ema(&run->optimizer);
    result->best_step = result->steps;
  } else if (result->best_step) { /* 0: validation holds no event of a known class */
    memcpy(params->data, run->best, params->total * sizeof *params->data);
    tt_params_refresh(params);
  }
  double seconds = tt_seconds() - begin - result->eval_seconds;
  result->epochs = (double)(result->steps * per_step) / (double)result->train_events;
  result->events_per_second = seconds > 0 ? (double)(result->steps * per_step) / seconds : NAN;
  return TT_OK;
}

/* ---- the run ---- */

static enum tt_status open_run(struct run *run, const struct tt_predictor_part *train_parts,
                               size_t n_train, const struct tt_dataset *val,
                               const struct tt_dataset *test, struct tt_predictor_result *result) {
  const struct tt_predictor_config *config = run->config;
  run->train = tt_calloc(n_train, sizeof *run->train);
  if (!run->train)
    return tt_fail(TT_NO_MEMORY, "%zu training parts", n_train);
  enum tt_status status = TT_OK;
  for (size_t i = 0; i < n_train && status == TT_OK; i++) {
    status = tt_slice_open(train_parts[i].dataset, config->stream, train_parts[i].first,
                           train_parts[i].n, &run->classes, &run->train[i]);
    if (status == TT_OK) {
      run->n_train++;
      result->train_events += run->train[i].events;
    }
  }
  if (status == TT_OK && val)
    status = tt_slice_open(val, config->stream, 0, 0, &run->classes, &run->val);
  run->has_val = status == TT_OK && val;
  if (status == TT_OK)
    status = tt_slice_open(test, config->stream, 0, 0, &run->classes, &run->test);
  if (status == TT_OK)
    status = tt_starts_make(run->train, run->n_train, config->context, &run->starts);
  if (status == TT_OK)
    status = tt_window_reader_init(&run->reader, config->channels, config->context);
  if (status == TT_OK)
    status = tt_predictor_model_init(config, run->classes.vocabulary, &run->model);
  if (status != TT_OK)
    return status;
  struct tt_optimizer_config optimizer = tt_optimizer_defaults();
  optimizer.learning_rate = (float)config->lr;
  optimizer.ema_decay = EMA_DECAY;
  status = tt_optimizer_init(&run->optimizer, &run->model->params, &optimizer);
  if (status != TT_OK)
    return status;
  result->parameters = tt_params_count(&run->model->params);
  size_t windows = config->batch > SCORING_WINDOWS ? config->batch : SCORING_WINDOWS;
  run->ids = tt_alloc(windows * config->context, run->reader.n_ids * sizeof *run->ids);
  run->targets = tt_alloc(windows * config->context, sizeof *run->targets);
  run->best = tt_alloc(run->model->params.total, sizeof *run->best);
  if (!run->ids || !run->targets || !run->best)
    return tt_fail(TT_NO_MEMORY, "a batch of %zu windows", windows);
  return TT_OK;
}

static void close_run(struct run *run) {
  for (size_t i = 0; i < run->n_train; i++)
    tt_slice_close(&run->train[i]);
  tt_free(run->train);
  tt_slice_close(&run->val);
  tt_slice_close(&run->test);
  tt_starts_release(&run->starts);
  tt_window_reader_release(&run->reader);
  tt_optimizer_release(&run->optimizer);
  tt_predictor_model_free(run->model);
  tt_names_release(&run->classes.unseen);
  tt_free(run->ids);
  tt_free(run->targets);
  tt_free(run->best);
}

enum tt_status tt_predictor_run(const struct tt_predictor_config *config,
                                const struct tt_vocabulary *vocabulary,
                                const struct tt_predictor_part *train_parts, size_t n_train,
                                const struct tt_dataset *val, const struct tt_dataset *test,
                                struct tt_predictor_result *ret) {
  struct tt_predictor_result result = {.val_loss = NAN};
  double begin = tt_seconds();
  enum tt_status status = check_config(config);
  if (status != TT_OK)
    return status;
  if (n_train == 0 || (!val && config->steps == 0))
    return tt_fail(TT_USAGE, "the predictor needs training data, and validation data to stop by");
  struct run run = {.config = config, .classes = {.vocabulary = vocabulary}};
  tt_names_init(&run.classes.unseen);
  status = open_run(&run, train_parts, n_train, val, test, &result);
  if (status == TT_OK)
    status = train(&run, &result);
  double eval_begin = tt_seconds(), loss;
  if (status == TT_OK && run.has_val && config->steps)
    status = score(&run, &run.val, config->context / 8, MAX_VAL_WINDOWS, &result.val_scores,
                   &result.val_loss, &result.unseen_classes);
  if (status == TT_OK)
    status = score(&run, &run.test, config->context / 2, 0, &result.scores, &loss,
                   &result.unseen_classes);
  result.eval_seconds += tt_seconds() - eval_begin;
  for (size_t i = 0; i < TT_PREDICTOR_BASELINES && status == TT_OK; i++)
    status = tt_baseline_scores(run.train, run.n_train, &run.test, tt_predictor_baseline_orders[i],
                                vocabulary->events.n + run.classes.unseen.n, &result.baselines[i]);
  close_run(&run);
  result.seconds = tt_seconds() - begin;
  if (status != TT_OK)
    return tt_fail(status, "while training or scoring the next-event predictor");
  *ret = result;
  return TT_OK;
}
