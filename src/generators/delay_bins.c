#include "generators/delay_bins.h"

#include <stdlib.h>

#include "base/status.h"

static int ascending(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

void tt_delay_bins_learn(float *values, size_t n, struct tt_delay_bins *ret) {
  TT_ASSERT(n > 0);
  qsort(values, n, sizeof *values, ascending);
  const size_t points = TT_DELAY_BINS * TT_DELAY_POINTS;
  for (size_t i = 0; i <= points; i++)
    ret->quantile[i] = values[(n - 1) * i / points];
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
