/* split and export: a dataset as parts, or as a file that other tools open. */
#include "dataset/split.h"
#include "jobs/jobs.h"
#include "trace/csv_writer.h"
#include "trace/ctf_writer.h"

enum tt_status tt_job_split(const struct tt_split_options *options, struct tt_split_result *ret) {
  double train = options->train, val = options->val, test = options->test;
  if (train == 0 && val == 0 && test == 0) {
    train = 0.7;
    val = 0.1;
    test = 0.2;
  }
  size_t gap = options->gap < 0 ? TT_SPLIT_GAP_DEFAULT : (size_t)options->gap;
  struct tt_dataset *dataset = NULL;
  uint64_t events[3];
  enum tt_status status = tt_dataset_open(options->dataset, &dataset);
  if (status == TT_OK)
    status = tt_dataset_split(dataset, train, val, test, gap, options->output, options->overwrite,
                              events);
  if (status == TT_OK)
    *ret = (struct tt_split_result){.train = events[0], .val = events[1], .test = events[2]};
  tt_dataset_close(dataset);
  return status;
}

enum tt_status tt_job_export(const struct tt_export_options *options,
                             struct tt_export_result *ret) {
  struct tt_dataset *dataset = NULL;
  uint64_t events = 0, bytes = 0;
  enum tt_status status = tt_dataset_open(options->dataset, &dataset);
  if (status != TT_OK)
    return status;
  const struct tt_dataset_meta *meta = tt_dataset_meta(dataset);
  struct tt_event_source source = tt_jobs_dataset_source(dataset);
  if (options->format == TT_EXPORT_CTF) {
    struct tt_ctf_writer_options writer = {.seed = meta->seed,
                                           .clock_origin_ns = meta->clock_origin_ns};
    status = tt_ctf_export(&source, &meta->events, &meta->comms, &writer, options->output,
                           options->overwrite, &events, &bytes);
  } else {
    status = tt_csv_export(&source, &meta->events, &meta->comms, options->output,
                           options->overwrite, &events, &bytes);
  }
  if (status == TT_OK)
    *ret = (struct tt_export_result){.events = events, .bytes = bytes};
  tt_dataset_close(dataset);
  return status;
}
