/* train and generate: datasets to models to datasets. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/output.h"
#include "dataset/channels.h"
#include "dataset/streams.h"
#include "jobs/boost.h"
#include "jobs/jobs.h"

const char *tt_generator_name(size_t i) {
  const struct tt_generator_ops *ops = tt_generator_at(i);
  return ops ? ops->name : NULL;
}

const char *tt_generator_summary(size_t i) {
  const struct tt_generator_ops *ops = tt_generator_at(i);
  return ops ? ops->summary : NULL;
}

static enum tt_status exists(const char *path, bool overwrite) {
  struct tt_output output;
  enum tt_status status = tt_output_begin_folder(path, overwrite, &output);
  if (status == TT_OK)
    tt_output_abort(&output);
  return status;
}

/* The work of an interrupted training is gone on with, or given up on purpose; never lost by
 * accident. */
static enum tt_status checkpoint_fits(const char *path, const struct tt_train_options *options) {
  bool there = access(path, F_OK) == 0;
  if (options->resume && !there)
    return tt_fail(TT_BAD_INPUT, "%s: no checkpoint to go on from", path);
  if (there && !options->resume && !options->overwrite)
    return tt_fail(TT_EXISTS,
                   "%s: an interrupted training (--resume goes on with it, -f begins "
                   "anew)",
                   path);
  return TT_OK;
}

enum tt_status tt_job_train(const struct tt_train_options *options, struct tt_train_summary *ret) {
  struct tt_dataset *train = NULL, *val = NULL;
  struct tt_generator *generator = NULL;
  struct tt_train_option *settings = NULL;
  struct tt_train_result training;
  const char *name = options->generator ? options->generator : tt_generator_name(0);
  char *checkpoint = NULL;
  struct tt_train_config config = {.context = options->context,
                                   .backbone = options->backbone,
                                   .minutes = options->minutes,
                                   .steps = options->steps,
                                   .seed = options->seed,
                                   .threads = (int)options->threads,
                                   .progress = &options->progress,
                                   .resume = options->resume,
                                   .n_options = options->n_settings};
  tt_jobs_use_threads(options->threads);
  /* Told before hours of training, not after. */
  enum tt_status status = exists(options->output, options->overwrite);
  if (status != TT_OK)
    goto cleanup;
  checkpoint = tt_format("%s.checkpoint", options->output);
  if (!checkpoint) {
    status = tt_fail(TT_NO_MEMORY, "out of memory");
    goto cleanup;
  }
  status = checkpoint_fits(checkpoint, options);
  if (status != TT_OK)
    goto cleanup;
  status = tt_channel_set_parse(options->channels, &config.channels);
  if (status != TT_OK)
    goto cleanup;
  status = tt_stream_kind_parse(options->stream ? options->stream : "cpu", &config.stream);
  if (status != TT_OK)
    goto cleanup;
  status = tt_jobs_settings(options->settings, options->n_settings, &settings);
  if (status != TT_OK)
    goto cleanup;
  config.options = settings;
  config.checkpoint = checkpoint;
  status = tt_dataset_open(options->dataset, &train);
  if (status != TT_OK)
    goto cleanup;
  if (options->val) {
    status = tt_dataset_open(options->val, &val);
    if (status != TT_OK)
      goto cleanup;
  }
  config.train = train;
  config.val = val;
  status = tt_generator_train(name, &config, &training, &generator);
  if (status == TT_INTERRUPTED && access(checkpoint, F_OK) == 0)
    tt_fail(status, "stopped; the checkpoint is %s, go on with --resume", checkpoint);
  if (status != TT_OK)
    goto cleanup;
  status = tt_generator_save(generator, options->output, options->overwrite);
  if (status != TT_OK)
    goto cleanup;
  status = tt_remove_tree(checkpoint);
  if (status != TT_OK)
    goto cleanup;
  *ret = (struct tt_train_summary){.context = generator->context,
                                   .parameters = training.parameters,
                                   .steps = training.steps,
                                   .seed = options->seed,
                                   .events_per_second = training.events_per_second,
                                   .loss = training.loss,
                                   .val_loss = training.val_loss};
  snprintf(ret->generator, sizeof ret->generator, "%s", name);
  snprintf(ret->precision, sizeof ret->precision, "%s",
           training.precision ? training.precision : "none");
  snprintf(ret->stream, sizeof ret->stream, "%s", tt_stream_kind_name(generator->stream));
cleanup:
  tt_generator_free(generator);
  tt_dataset_close(train);
  tt_dataset_close(val);
  tt_free(settings);
  tt_free(checkpoint);
  return status;
}

struct twin {
  struct tt_dataset_writer *writer;
  struct tt_boost boost;
};

static enum tt_status append(void *user, const struct tt_event *events, size_t n) {
  struct twin *twin = user;
  tt_boost_count(&twin->boost, events, n);
  return tt_dataset_writer_append(twin->writer, events, n);
}

enum tt_status tt_job_generate(const struct tt_generate_options *options,
                               struct tt_generate_summary *ret) {
  struct tt_generator *generator = NULL;
  struct twin twin = {0};
  struct tt_dataset_meta meta;
  tt_dataset_meta_init(&meta);
  tt_jobs_use_threads(options->threads);
  double begin = 0;
  enum tt_status status = tt_generator_load(options->model, &generator);
  if (status != TT_OK)
    goto cleanup;
  status = tt_generator_check_label(generator, options->label);
  if (status != TT_OK)
    goto cleanup;
  status = tt_boost_parse(options, generator, &twin.boost);
  if (status != TT_OK)
    goto cleanup;
  status = tt_generator_meta(generator, options->model, options->label, options->events,
                             options->seed, &meta);
  if (status != TT_OK)
    goto cleanup;
  status = tt_dataset_writer_begin(options->output, options->overwrite, &twin.writer);
  if (status != TT_OK)
    goto cleanup;
  const struct tt_generate_config config = {.events = options->events,
                                            .seed = options->seed,
                                            .threads = (int)options->threads,
                                            .progress = &options->progress,
                                            .label = options->label,
                                            .boost = twin.boost.factors};
  const struct tt_event_sink sink = {append, &twin};
  status = tt_boost_fit(&twin.boost, generator, &config);
  if (status != TT_OK)
    goto cleanup;
  begin = tt_seconds();
  status = tt_generator_generate(generator, &config, &sink);
  if (status == TT_OK)
    status = tt_boost_satisfied(&twin.boost, generator, options->events);
  if (status != TT_OK)
    goto cleanup;
  double seconds = tt_seconds() - begin;
  status = tt_dataset_writer_finish(twin.writer, &meta);
  twin.writer = NULL;
  if (status != TT_OK)
    goto cleanup;
  *ret = (struct tt_generate_summary){.events = options->events,
                                      .seed = options->seed,
                                      .events_per_second =
                                          seconds > 0 ? (double)options->events / seconds : NAN};
  tt_boost_summarise(&twin.boost, generator, options->events, ret);
cleanup:
  tt_dataset_writer_abort(twin.writer);
  tt_boost_release(&twin.boost);
  tt_dataset_meta_release(&meta);
  tt_generator_free(generator);
  return status;
}
