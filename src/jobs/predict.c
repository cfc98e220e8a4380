/* predict: the next-event predictor alone. */
#include "base/mem.h"
#include "dataset/channels.h"
#include "jobs/jobs.h"
#include "predictor/predictor.h"

enum tt_status tt_job_predict(const struct tt_predict_options *options,
                              struct tt_predict_result *ret) {
  struct tt_dataset **train = tt_calloc(options->n_train, sizeof *train);
  struct tt_predictor_part *parts = tt_calloc(options->n_train, sizeof *parts);
  struct tt_dataset *val = NULL, *test = NULL;
  struct tt_vocabulary *vocabulary = NULL;
  struct tt_predictor_config config;
  struct tt_predictor_result result;
  enum tt_stream_kind stream;
  enum tt_status status = TT_OK;
  if (!train || !parts) {
    status = tt_fail(TT_NO_MEMORY, "out of memory");
    goto cleanup;
  }
  tt_jobs_use_threads(options->threads);
  tt_predictor_config_init(&config);
  config.steps = options->steps;
  config.seed = options->seed;
  config.progress = options->progress;
  status = tt_channel_set_parse(options->channels, &config.channels);
  if (status != TT_OK)
    goto cleanup;
  status = tt_stream_kind_parse(options->stream ? options->stream : "merged", &stream);
  if (status != TT_OK)
    goto cleanup;
  config.stream = stream;
  for (size_t i = 0; i < options->n_train; i++) {
    status = tt_dataset_open(options->train[i], &train[i]);
    if (status != TT_OK)
      goto cleanup;
    parts[i].dataset = train[i];
  }
  status = tt_dataset_open(options->val, &val);
  if (status != TT_OK)
    goto cleanup;
  status = tt_dataset_open(options->test, &test);
  if (status != TT_OK)
    goto cleanup;
  const struct tt_vocabulary_options vocabulary_options = {.stream = stream, .unknown_event = true};
  status = tt_vocabulary_learn((const struct tt_dataset *const *)train, 1, &vocabulary_options,
                               &vocabulary);
  if (status != TT_OK)
    goto cleanup;
  status = tt_predictor_run(&config, vocabulary, parts, options->n_train, val, test, &result);
  if (status != TT_OK)
    goto cleanup;
  *ret = (struct tt_predict_result){.macro_f1 = result.scores.macro_f1,
                                    .weighted_f1 = result.scores.weighted_f1,
                                    .accuracy = result.scores.accuracy,
                                    .top5 = result.scores.top5,
                                    .top10 = result.scores.top10,
                                    .classes = result.scores.classes,
                                    .steps = result.steps,
                                    .seed = options->seed};
cleanup:
  tt_vocabulary_free(vocabulary);
  if (train)
    for (size_t i = 0; i < options->n_train; i++)
      tt_dataset_close(train[i]);
  tt_dataset_close(val);
  tt_dataset_close(test);
  tt_free(train);
  tt_free(parts);
  return status;
}
