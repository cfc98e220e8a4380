#include "dataset/split.h"

#include <math.h>

#include "base/mem.h"
#include "base/output.h"

static const char *const part_names[3] = {"train", "val", "test"};

enum tt_status tt_split_ranges(uint64_t events, double train, double val, double test,
                               size_t gap_events, struct tt_split_ranges *ret) {
  if (!(train > 0 && val > 0 && test > 0 && fabs(train + val + test - 1) <= 1e-6))
    return tt_fail(TT_USAGE,
                   "the shares of train, val and test must be above 0 and sum to 1, not %g + %g + "
                   "%g",
                   train, val, test);
  uint64_t gap = gap_events < events / 16 ? gap_events : events / 16;
  uint64_t kept = events - 2 * gap;
  uint64_t n_train = (uint64_t)floor((double)kept * train + 1e-9);
  uint64_t n_val = (uint64_t)floor((double)kept * val + 1e-9);
  if (n_train == 0 || n_val == 0 || n_train + n_val >= kept)
    return tt_fail(TT_BAD_INPUT,
                   "%llu events are too few to split: train, val and test would not all hold some",
                   (unsigned long long)events);
  *ret = (struct tt_split_ranges){
      .first = {0, n_train + gap, n_train + gap + n_val + gap},
      .events = {n_train, n_val, kept - n_train - n_val},
      .gap = gap,
  };
  return TT_OK;
}

/* The whole's description for rows [first, first + n), n > 0. */
static enum tt_status slice_meta(const struct tt_dataset *dataset, uint64_t first, uint64_t n,
                                 struct tt_dataset_meta *meta) {
  const struct tt_dataset_meta *whole = tt_dataset_meta(dataset);
  const struct tt_columns *columns = tt_dataset_columns(dataset);
  const int64_t begin = columns->ts[first], end = columns->ts[first + n - 1];
  enum tt_status status = TT_OK;
  meta->clock_origin_ns = whole->clock_origin_ns;
  meta->seed = whole->seed;
  meta->synthetic = whole->synthetic;
  for (size_t i = 0; i < whole->events.n; i++)
    if (tt_names_add(&meta->events, whole->events.names[i]) == TT_NAME_NONE)
      return tt_fail(TT_NO_MEMORY, "out of memory");
  for (size_t i = 0; i < whole->comms.n; i++)
    if (tt_names_add(&meta->comms, whole->comms.names[i]) == TT_NAME_NONE)
      return tt_fail(TT_NO_MEMORY, "out of memory");
  for (size_t i = 0; status == TT_OK && i < whole->n_sources; i++) {
    const struct tt_source *s = &whole->sources[i];
    uint64_t from = s->first > first ? s->first : first;
    uint64_t to = s->first + s->events < first + n ? s->first + s->events : first + n;
    if (from < to)
      status = tt_dataset_meta_add_source(meta, s->path, s->format, s->sha256, s->label,
                                          from - first, to - from);
  }
  for (size_t i = 0; status == TT_OK && i < whole->n_gaps; i++)
    if (whole->gaps[i].begin <= end && whole->gaps[i].end >= begin)
      status = tt_dataset_meta_add_gap(meta, &whole->gaps[i]);
  return status;
}

static enum tt_status write_part(const struct tt_dataset *dataset, uint64_t first, uint64_t n,
                                 const char *path) {
  enum { CHUNK = 1 << 18 };
  struct tt_dataset_writer *writer = NULL;
  struct tt_dataset_meta meta;
  tt_dataset_meta_init(&meta);
  enum tt_status status = slice_meta(dataset, first, n, &meta);
  if (status == TT_OK)
    status = tt_dataset_writer_begin(path, false, &writer);
  for (uint64_t done = 0; status == TT_OK && done < n;) {
    size_t m = n - done < CHUNK ? (size_t)(n - done) : CHUNK;
    if (tt_interrupted())
      status = tt_fail(TT_INTERRUPTED, "interrupted");
    else
      status =
          tt_dataset_writer_append_columns(writer, tt_dataset_columns(dataset), first + done, m);
    tt_dataset_done_with(dataset, first + done, m);
    done += m;
  }
  if (status == TT_OK)
    status = tt_dataset_writer_finish(writer, &meta);
  else
    tt_dataset_writer_abort(writer);
  tt_dataset_meta_release(&meta);
  return status;
}

enum tt_status tt_dataset_split(const struct tt_dataset *dataset, double train, double val,
                                double test, size_t gap_events, const char *dir, bool overwrite,
                                uint64_t ret_events[3]) {
  struct tt_split_ranges ranges;
  struct tt_output output;
  enum tt_status status =
      tt_split_ranges(tt_dataset_columns(dataset)->n, train, val, test, gap_events, &ranges);
  if (status != TT_OK)
    return tt_fail(status, "while splitting %s", tt_dataset_path(dataset));
  status = tt_output_begin_folder(dir, overwrite, &output);
  if (status != TT_OK)
    return status;
  for (size_t i = 0; status == TT_OK && i < 3; i++) {
    char *path = tt_format("%s/%s", output.temporary, part_names[i]);
    status = path ? write_part(dataset, ranges.first[i], ranges.events[i], path)
                  : tt_fail(TT_NO_MEMORY, "out of memory");
    tt_free(path);
  }
  if (status == TT_OK)
    status = tt_output_commit(&output);
  else
    tt_output_abort(&output);
  if (status != TT_OK)
    return tt_fail(status, "while splitting %s into %s", tt_dataset_path(dataset), dir);
  for (size_t i = 0; i < 3; i++)
    ret_events[i] = ranges.events[i];
  return TT_OK;
}
