/* What feeding a training step costs: windows of a real dataset, encoded, against the step. */
#ifndef BENCH_DATA_PATH_H
#define BENCH_DATA_PATH_H

#include "model.h"

struct bench_data_path {
  struct bench_shape shape;
  size_t steps;
  double waiting; /* seconds until the batch was there, all steps */
  double noise;   /* seconds of drawing the denoiser's noise */
  double seconds; /* of all, steps included */
};

/* Trains the shape's model for some steps while its batches come from `dataset` (a folder) as they
 * do in training: the denoiser's from the background thread of dataset/batches.h, the predictor's
 * read between the steps. (What the model computes on is its own random batch: the time is the
 * same.) */
enum tt_status bench_data_path_measure(const char *dataset, const struct bench_shape *shape,
                                       struct bench_data_path *ret);

#endif
