/* The dt channel as a categorical one: bins that hold equal shares of the training data's dt, so
 * that a drawn bin and a uniform place within it reproduce any shape of distribution; a regression
 * could only give its mean. Values are standardised log1p(ns), as dataset/channels.h has them. */
#ifndef GENERATORS_DELAY_BINS_H
#define GENERATORS_DELAY_BINS_H

#include <stddef.h>

#include "base/rng.h"
#include "compute/model_file.h"
#include "dataset/channels.h"

enum { TT_DELAY_BINS = 64, TT_DELAY_POINTS = 32 /* per bin */ };

struct tt_delay_bins {
  /* quantiles of the training data, ascending; bin k spans [k, k + 1] * TT_DELAY_POINTS */
  float quantile[TT_DELAY_BINS * TT_DELAY_POINTS + 1];
};

/* values: [n], n >= 1, sorted in place. */
void tt_delay_bins_learn(float *values, size_t n, struct tt_delay_bins *ret);
/* The same from a sample of about a million values of the training data's streams. */
enum tt_status tt_delay_bins_fit(const struct tt_vocabulary *vocabulary,
                                 const struct tt_dataset *train, enum tt_stream_kind kind,
                                 struct tt_delay_bins *ret);
/* The bin of a value: the first that holds nothing else, or the first whose upper edge is not below
 * it. */
size_t tt_delay_bins_of(const struct tt_delay_bins *bins, float value);
/* A draw from the bin's stretch of the quantile function, linear between its points. */
float tt_delay_bins_draw(const struct tt_delay_bins *bins, size_t bin, struct tt_rng *rng);

/* As the tensor "dt.quantiles" of a model file; `bins` is borrowed until the file is written. */
enum tt_status tt_delay_bins_save(const struct tt_delay_bins *bins, struct tt_model_writer *writer);
/* TT_BAD_INPUT when it isn't there, or its numbers aren't finite and ascending. */
enum tt_status tt_delay_bins_load(const struct tt_model_file *file, struct tt_delay_bins *ret);

#endif
