#include "generators/gan/windows.h"

#include "base/mem.h"

enum { PIECE = 256 };

uint64_t tt_gan_windows_longest(const struct tt_gan_windows *windows) {
  size_t n;
  uint64_t longest = 0;
  const struct tt_segment *segments = tt_streams_segments(windows->streams, &n);
  for (size_t i = 0; i < n; i++)
    longest = segments[i].n > longest ? segments[i].n : longest;
  return longest;
}

enum tt_status tt_gan_windows_open(const struct tt_dataset *dataset, enum tt_stream_kind kind,
                                   size_t length, size_t n_events, struct tt_gan_windows *ret) {
  struct tt_gan_windows windows = {
      .columns = tt_dataset_columns(dataset), .length = length, .n_events = n_events};
  size_t n;
  TT_ASSERT(length > 0);
  enum tt_status status = tt_streams_open(dataset, kind, &windows.streams);
  if (status != TT_OK)
    return status;
  const struct tt_segment *segments = tt_streams_segments(windows.streams, &n);
  windows.starts = tt_alloc(n + 1, sizeof *windows.starts);
  if (!windows.starts) {
    status = tt_fail(TT_NO_MEMORY, "%zu stretches of events", n);
  } else {
    windows.starts[0] = 0;
    for (size_t i = 0; i < n; i++)
      windows.starts[i + 1] =
          windows.starts[i] + (segments[i].n >= length ? segments[i].n - length + 1 : 0);
    if (windows.starts[n] == 0)
      status = tt_fail(TT_BAD_INPUT, "%s: no stream has %zu events in a row, %llu at most",
                       tt_dataset_path(dataset), length,
                       (unsigned long long)tt_gan_windows_longest(&windows));
  }
  if (status != TT_OK) {
    tt_gan_windows_close(&windows);
    return status;
  }
  *ret = windows;
  return TT_OK;
}

void tt_gan_windows_close(struct tt_gan_windows *windows) {
  tt_streams_close(windows->streams);
  tt_free(windows->starts);
  *windows = (struct tt_gan_windows){0};
}

uint64_t tt_gan_windows_count(const struct tt_gan_windows *windows) {
  size_t n;
  tt_streams_segments(windows->streams, &n);
  return windows->starts[n];
}

int32_t tt_gan_windows_read(const struct tt_gan_windows *windows, uint64_t k, int32_t *ret) {
  size_t n, low = 0;
  const struct tt_segment *segments = tt_streams_segments(windows->streams, &n);
  TT_ASSERT(k < windows->starts[n]);
  for (size_t high = n; high - low > 1;) { /* starts[low] <= k < starts[high] */
    size_t middle = low + (high - low) / 2;
    if (windows->starts[middle] <= k)
      low = middle;
    else
      high = middle;
  }
  uint64_t position = segments[low].first + (k - windows->starts[low]), rows[PIECE];
  for (size_t done = 0, here; done < windows->length; done += here) {
    here = windows->length - done < PIECE ? windows->length - done : PIECE;
    tt_streams_rows(windows->streams, segments[low].stream, position + done, here, rows);
    for (size_t i = 0; i < here; i++) {
      uint16_t event = windows->columns->event[rows[i]];
      ret[done + i] = event < windows->n_events ? event : -1;
    }
  }
  return (int32_t)segments[low].stream;
}

void tt_gan_windows_draw(const struct tt_gan_windows *windows, struct tt_rng *rng, size_t n,
                         int32_t *ret, int32_t *ret_streams) {
  const uint64_t count = tt_gan_windows_count(windows);
  for (size_t i = 0; i < n; i++)
    ret_streams[i] =
        tt_gan_windows_read(windows, tt_rng_below(rng, count), ret + i * windows->length);
}
