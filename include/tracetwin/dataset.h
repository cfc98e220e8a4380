/* Datasets: import from traces, look at, split, export. The format is docs/dataset.md. */
#ifndef TRACETWIN_DATASET_H
#define TRACETWIN_DATASET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tracetwin/generator.h>
#include <tracetwin/progress.h>
#include <tracetwin/status.h>

struct tt_dataset_info {
  uint64_t events;
  uint64_t event_types; /* distinct event names that occur */
  uint64_t comms;       /* distinct thread names that occur */
  uint64_t cpus;        /* distinct CPUs */
  uint64_t tids;        /* distinct thread ids, unknown ones apart */
  int64_t duration_ns;  /* last time stamp - first */
  uint64_t lost_events; /* that the tracer reported lost */
};

struct tt_import_options {
  const char *const *inputs; /* [n_inputs] CTF folders, or folders that hold some */
  size_t n_inputs;
  const char *output; /* the dataset's folder */
  /* Workload labels stored with the sources: one for all, or one for each input; n_labels 0: none.
   * Another number is TT_USAGE. */
  const char *const *labels;
  size_t n_labels;
  bool overwrite;
  unsigned threads; /* decoders at a time; 0: as many as CPUs */
  struct tt_progress progress;
};

/* Traces one after the other in the order given; later ones are shifted in time to follow. Bad
 * input is TT_BAD_INPUT. */
TT_API enum tt_status tt_job_import(const struct tt_import_options *options,
                                    struct tt_dataset_info *ret);

enum tt_kind { TT_KIND_DATASET, TT_KIND_MODEL, TT_KIND_CONSTRAINTS };

struct tt_path_info {
  enum tt_kind kind;
  struct tt_dataset_info dataset; /* TT_KIND_DATASET */
  /* TT_KIND_MODEL */
  char generator[32];
  uint64_t parameters, steps, seed;
  double loss, val_loss; /* NaN: none */
  struct tt_workload_info {
    char label[96];
    uint64_t events;      /* of the training */
  } workloads[TT_LABELS]; /* that it tells apart */
  size_t n_workloads;
  /* TT_KIND_CONSTRAINTS */
  uint64_t transitions, event_types, events;
};

TT_API enum tt_status tt_job_info(const char *path, struct tt_path_info *ret);

#define TT_SPLIT_GAP_DEFAULT 4096

struct tt_split_options {
  const char *dataset, *output;
  double train, val, test; /* shares; all 0: 0.7, 0.1, 0.2. Must be above 0 and sum to 1 */
  int64_t gap;             /* events dropped at each cut; -1: TT_SPLIT_GAP_DEFAULT */
  bool overwrite;
};

struct tt_split_result {
  uint64_t train, val, test; /* events */
};

TT_API enum tt_status tt_job_split(const struct tt_split_options *options,
                                   struct tt_split_result *ret);

enum tt_export_format { TT_EXPORT_CTF, TT_EXPORT_CSV };

struct tt_export_options {
  const char *dataset;
  const char *output; /* ctf: a folder, the trace in output/kernel; csv: a file */
  enum tt_export_format format;
  bool overwrite;
  struct tt_progress progress;
};

struct tt_export_result {
  uint64_t events, bytes;
};

TT_API enum tt_status tt_job_export(const struct tt_export_options *options,
                                    struct tt_export_result *ret);

#endif
