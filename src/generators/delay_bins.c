#include "generators/delay_bins.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"

enum { SAMPLES = 1 << 20, STRETCH = 4096, POINTS = TT_DELAY_BINS * TT_DELAY_POINTS + 1 };
static const char TENSOR[] = "dt.quantiles";

static int ascending(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

void tt_delay_bins_learn(float *values, size_t n, struct tt_delay_bins *ret) {
  TT_ASSERT(n > 0);
  qsort(values, n, sizeof *values, ascending);
  for (size_t i = 0; i < POINTS; i++)
    ret->quantile[i] = values[(n - 1) * i / (POINTS - 1)];
}

size_t tt_delay_bins_of(const struct tt_delay_bins *bins, float value) {
  size_t low = 0, high = TT_DELAY_BINS - 1; /* the last bin takes all that is beyond */
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (value <= bins->quantile[(middle + 1) * TT_DELAY_POINTS])
      high = middle;
    else
      low = middle + 1;
  }
  /* A value that fills bins of its own (clock ticks, many equal delays) belongs to them, not to the
   * one it only ends. */
  if (low + 1 < TT_DELAY_BINS && value == bins->quantile[(low + 2) * TT_DELAY_POINTS])
    low++;
  return low;
}

float tt_delay_bins_draw(const struct tt_delay_bins *bins, size_t bin, struct tt_rng *rng) {
  double place = tt_rng_uniform(rng) * TT_DELAY_POINTS;
  size_t i = (size_t)place;
  const float *q = bins->quantile + bin * TT_DELAY_POINTS + i;
  return (float)((double)q[0] + (place - (double)i) * ((double)q[1] - (double)q[0]));
}

enum tt_status tt_delay_bins_fit(const struct tt_vocabulary *vocabulary,
                                 const struct tt_dataset *train, enum tt_stream_kind kind,
                                 struct tt_delay_bins *ret) {
  struct tt_streams *streams = NULL;
  struct tt_encoder *encoder = NULL;
  struct tt_channels channels = {0};
  const size_t total = tt_dataset_columns(train)->n, stride = total / SAMPLES + 1;
  size_t at = 0;
  enum tt_status status = tt_streams_open(train, kind, &streams);
  if (status == TT_OK)
    status = tt_encoder_new(vocabulary, train, &encoder);
  if (status == TT_OK)
    status = tt_channels_init(&channels, total / stride + tt_streams_count(streams) + 1);
  /* every stride-th stretch of each stream, about SAMPLES in all */
  for (size_t k = 0; status == TT_OK && k < tt_streams_count(streams); k++) {
    uint64_t n = tt_streams_length(streams, k);
    for (uint64_t first = 0; first < n && status == TT_OK; first += STRETCH * stride) {
      size_t take = n - first < STRETCH ? (size_t)(n - first) : STRETCH;
      if (take > channels.n - at)
        take = channels.n - at;
      status = tt_encode_stream(encoder, streams, k, first, take, &channels, at);
      at += take;
    }
  }
  if (status == TT_OK && at == 0)
    status = tt_fail(TT_BAD_INPUT, "%s: no events to train on", tt_dataset_path(train));
  if (status == TT_OK)
    tt_delay_bins_learn(channels.dt, at, ret);
  tt_channels_release(&channels);
  tt_encoder_free(encoder);
  tt_streams_close(streams);
  return status;
}

enum tt_status tt_delay_bins_save(const struct tt_delay_bins *bins,
                                  struct tt_model_writer *writer) {
  const size_t points = POINTS;
  return tt_model_writer_add(writer, TENSOR, bins->quantile, &points, 1);
}

enum tt_status tt_delay_bins_load(const struct tt_model_file *file, struct tt_delay_bins *ret) {
  const struct tt_model_tensor *q = tt_model_find(file, TENSOR);
  if (!q || !q->data || q->rank != 1 || q->shape[0] != POINTS)
    return tt_fail(TT_BAD_INPUT, "%s: no tensor %s of %d numbers", tt_model_path(file), TENSOR,
                   POINTS);
  for (size_t i = 0; i < POINTS; i++)
    if (!isfinite(q->data[i]) || (i && q->data[i] < q->data[i - 1]))
      return tt_fail(TT_BAD_INPUT, "%s: %s do not ascend at %zu", tt_model_path(file), TENSOR, i);
  memcpy(ret->quantile, q->data, sizeof ret->quantile);
  return TT_OK;
}
