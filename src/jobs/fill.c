/* fill: a dataset's lost events, drawn by a model. */
#include <string.h>

#include "dataset/holes.h"
#include "jobs/jobs.h"

static enum tt_status parse_without(const struct tt_fill_options *options,
                                    struct tt_fill_config *config) {
  for (size_t i = 0; i < options->n_without; i++)
    if (strcmp(options->without[i], "network") == 0)
      config->network = false;
    else if (strcmp(options->without[i], "right") == 0)
      config->right = false;
    else
      return tt_fail(TT_USAGE, "without '%s': there are network and right", options->without[i]);
  return TT_OK;
}

enum tt_status tt_job_fill(const struct tt_fill_options *options, struct tt_fill_summary *ret) {
  struct tt_generator *generator = NULL;
  struct tt_dataset *dataset = NULL;
  struct tt_holes holes = {0};
  struct tt_fill_config config = {.seed = options->seed,
                                  .candidates = (size_t)options->candidates,
                                  .best = options->best,
                                  .network = true,
                                  .right = true,
                                  .progress = &options->progress};
  tt_jobs_use_threads(options->threads);
  enum tt_status status = parse_without(options, &config);
  if (status == TT_OK)
    status = tt_generator_load(options->model, &generator);
  if (status == TT_OK)
    status = tt_dataset_open(options->dataset, &dataset);
  if (status == TT_OK)
    status = tt_holes_find(dataset, options->longest, &holes);
  if (status == TT_OK)
    status = tt_generator_fill(generator, &holes, &config);
  if (status == TT_OK)
    status = tt_holes_write(&holes, options->seed, options->output, options->overwrite);
  if (status == TT_OK)
    *ret = (struct tt_fill_summary){.gaps = tt_dataset_meta(dataset)->n_gaps,
                                    .filled_gaps = holes.n_gaps,
                                    .filled_events = holes.n_events,
                                    .events = tt_dataset_columns(dataset)->n + holes.n_events,
                                    .seed = options->seed};
  tt_holes_release(&holes);
  tt_dataset_close(dataset);
  tt_generator_free(generator);
  return status;
}
