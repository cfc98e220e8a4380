#include "dataset/split.h"

#include <math.h>
#include <string.h>

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

/* Rows of the whole that make a part, one range per workload. */
struct ranges {
  struct range {
    uint64_t first, n;
  } * list;
  size_t n;
};

/* The whole's dictionaries and clock, and what lies in the ranges of its sources and gaps. */
static enum tt_status slice_meta(const struct tt_dataset *dataset, const struct ranges *ranges,
                                 struct tt_dataset_meta *meta) {
  const struct tt_dataset_meta *whole = tt_dataset_meta(dataset);
  const int64_t *ts = tt_dataset_columns(dataset)->ts;
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
  uint64_t before = 0; /* rows of the ranges before */
  for (size_t k = 0; k < ranges->n; before += ranges->list[k++].n) {
    const uint64_t first = ranges->list[k].first, end = first + ranges->list[k].n;
    for (size_t i = 0; status == TT_OK && i < whole->n_sources; i++) {
      const struct tt_source *s = &whole->sources[i];
      uint64_t from = s->first > first ? s->first : first;
      uint64_t to = s->first + s->events < end ? s->first + s->events : end;
      if (from < to)
        status = tt_dataset_meta_add_source(meta, s->path, s->format, s->sha256, s->label,
                                            before + from - first, to - from);
    }
    for (size_t i = 0; status == TT_OK && i < whole->n_gaps; i++)
      if (whole->gaps[i].begin <= ts[end - 1] && whole->gaps[i].end >= ts[first])
        status = tt_dataset_meta_add_gap(meta, &whole->gaps[i]);
    for (size_t i = 0; status == TT_OK && i < whole->n_filled; i++)
      if (whole->filled[i].begin <= ts[end - 1] && whole->filled[i].end >= ts[first])
        status = tt_dataset_meta_add_filled(meta, &whole->filled[i]);
  }
  return status;
}

static enum tt_status write_range(const struct tt_dataset *dataset, const struct range *range,
                                  struct tt_dataset_writer *writer) {
  enum { CHUNK = 1 << 18 };
  enum tt_status status = TT_OK;
  for (uint64_t done = 0; status == TT_OK && done < range->n;) {
    size_t m = range->n - done < CHUNK ? (size_t)(range->n - done) : CHUNK;
    if (tt_interrupted())
      return tt_fail(TT_INTERRUPTED, "interrupted");
    status = tt_dataset_writer_append_columns(writer, tt_dataset_columns(dataset),
                                              range->first + done, m);
    tt_dataset_done_with(dataset, range->first + done, m);
    done += m;
  }
  return status;
}

static enum tt_status write_part(const struct tt_dataset *dataset, const struct ranges *ranges,
                                 const char *path) {
  struct tt_dataset_writer *writer = NULL;
  struct tt_dataset_meta meta;
  tt_dataset_meta_init(&meta);
  enum tt_status status = slice_meta(dataset, ranges, &meta);
  if (status == TT_OK)
    status = tt_dataset_writer_begin(path, false, &writer);
  for (size_t k = 0; status == TT_OK && k < ranges->n; k++)
    status = write_range(dataset, &ranges->list[k], writer);
  if (status == TT_OK)
    status = tt_dataset_writer_finish(writer, &meta);
  else
    tt_dataset_writer_abort(writer);
  tt_dataset_meta_release(&meta);
  return status;
}

/* Sources next to each other with the same label are one workload; rows without a source too. */
static enum tt_status list_workloads(const struct tt_dataset *dataset, struct ranges *ret) {
  const struct tt_dataset_meta *meta = tt_dataset_meta(dataset);
  const uint64_t rows = tt_dataset_columns(dataset)->n;
  ret->list = tt_alloc(meta->n_sources + 1, sizeof *ret->list);
  if (!ret->list)
    return tt_fail(TT_NO_MEMORY, "out of memory");
  ret->list[ret->n++] = (struct range){0, rows};
  for (size_t i = 1; i < meta->n_sources; i++) {
    const struct tt_source *s = &meta->sources[i];
    struct range *last = &ret->list[ret->n - 1];
    if (strcmp(s->label, meta->sources[i - 1].label) == 0 || s->first <= last->first)
      continue;
    last->n = s->first - last->first;
    ret->list[ret->n++] = (struct range){s->first, rows - s->first};
  }
  return TT_OK;
}

/* Of each workload its share; ret: [3], lists with room for all workloads. */
static enum tt_status share_out(const struct ranges *workloads, const double shares[3],
                                size_t gap_events, struct ranges ret[3]) {
  for (size_t k = 0; k < workloads->n; k++) {
    const struct range *workload = &workloads->list[k];
    struct tt_split_ranges parts;
    enum tt_status status =
        tt_split_ranges(workload->n, shares[0], shares[1], shares[2], gap_events, &parts);
    if (status != TT_OK && workloads->n > 1)
      return tt_fail(status, "the workload that begins at event %llu",
                     (unsigned long long)workload->first);
    if (status != TT_OK)
      return status;
    for (size_t i = 0; i < 3; i++)
      ret[i].list[ret[i].n++] = (struct range){workload->first + parts.first[i], parts.events[i]};
  }
  return TT_OK;
}

enum tt_status tt_dataset_split(const struct tt_dataset *dataset, double train, double val,
                                double test, size_t gap_events, const char *dir, bool overwrite,
                                uint64_t ret_events[3]) {
  struct ranges workloads = {0}, parts[3] = {{0}};
  struct tt_output output;
  enum tt_status status = list_workloads(dataset, &workloads);
  for (size_t i = 0; status == TT_OK && i < 3; i++) {
    parts[i].list = tt_alloc(workloads.n, sizeof *parts[i].list);
    if (!parts[i].list)
      status = tt_fail(TT_NO_MEMORY, "out of memory");
  }
  if (status == TT_OK)
    status = share_out(&workloads, (const double[]){train, val, test}, gap_events, parts);
  if (status != TT_OK) {
    status = tt_fail(status, "while splitting %s", tt_dataset_path(dataset));
    goto cleanup;
  }
  status = tt_output_begin_folder(dir, overwrite, &output);
  if (status != TT_OK)
    goto cleanup;
  for (size_t i = 0; status == TT_OK && i < 3; i++) {
    char *path = tt_format("%s/%s", output.temporary, part_names[i]);
    status = path ? write_part(dataset, &parts[i], path) : tt_fail(TT_NO_MEMORY, "out of memory");
    tt_free(path);
  }
  if (status == TT_OK)
    status = tt_output_commit(&output);
  else
    tt_output_abort(&output);
  if (status != TT_OK) {
    status = tt_fail(status, "while splitting %s into %s", tt_dataset_path(dataset), dir);
    goto cleanup;
  }
  for (size_t i = 0; i < 3; i++) {
    ret_events[i] = 0;
    for (size_t k = 0; k < parts[i].n; k++)
      ret_events[i] += parts[i].list[k].n;
  }
cleanup:
  for (size_t i = 0; i < 3; i++)
    tt_free(parts[i].list);
  tt_free(workloads.list);
  return status;
}
