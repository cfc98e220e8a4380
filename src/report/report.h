/* The result of `evaluate` and `run` as a tree of plain values, its JSON (report.json) and its text
 * summary. Every section is optional: a section whose count is 0, pointer NULL or `present` false
 * is left out. Strings and arrays are borrowed from the caller. NaN is written as null in JSON and
 * "-" in the text. */
#ifndef REPORT_REPORT_H
#define REPORT_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/status.h"
#include "metrics/fidelity.h"
#include "metrics/scores.h"

struct tt_report_trace { /* what went in */
  bool present;
  const char *const *paths;
  size_t n_paths;
  const char *format; /* "ctf-lttng", ... */
  uint64_t events, event_types, comms, tids, cpus, lost_events;
  int64_t duration_ns;
  uint64_t train_events, val_events, test_events, gap_events;
};

struct tt_report_generator {
  bool present;
  const char *name;   /* "ddpm", "markov", ... */
  const char *stream; /* "merged", "cpu" */
  const char *channels;
  uint64_t context, parameters, steps;
  double train_events_per_second, generate_events_per_second;
  double loss, val_loss; /* NaN where there is none */
};

/* One row of the distance table: "held-out real" (the floor), "before repair", "after repair". */
struct tt_report_distance {
  const char *name;
  double d_trans, d_trans_cpu, d_time, d_cpu, d_attr; /* fractions; NaN: not measured */
  uint64_t events;
};

struct tt_report_repair {
  bool present;
  uint64_t events, edited_events;
  uint64_t edits_event, edits_time, edits_cpu, edits_attr, edits_order;
};

/* One candidate against train: "held-out real" (the floor) first, then the twin(s). */
struct tt_report_fidelity {
  const char *name;
  struct tt_fidelity figures;
};

/* One arm of the utility comparison. */
struct tt_report_arm {
  const char *name;     /* "TRTR", "TSTR", "COMBINED" */
  const char *training; /* what it saw, in words: "real", "twin", "half real, half twin" */
  bool equal_steps;     /* false: to convergence by early stopping (the headline) */
  uint64_t real_events, synthetic_events;
  struct tt_scores scores;
  uint64_t steps, best_step;
  double epochs, seconds, val_loss;
  uint64_t seed;
};

struct tt_report_baseline { /* counting baselines on the same test set */
  const char *name;
  double macro_f1, accuracy;
};

struct tt_report_time {
  const char *stage;
  double seconds;
  uint64_t events; /* 0: not a rate */
};

struct tt_report_file {
  const char *what, *path;
};

struct tt_report {
  const char *command; /* the command line, or NULL */
  uint64_t seed;
  int threads;
  struct tt_report_trace trace;
  struct tt_report_generator generator;
  const struct tt_report_distance *distances;
  size_t n_distances;
  struct tt_report_repair repair;
  const struct tt_report_fidelity *fidelity;
  size_t n_fidelity;
  const struct tt_report_arm *arms;
  size_t n_arms;
  const struct tt_report_baseline *baselines;
  size_t n_baselines;
  const struct tt_report_time *times;
  size_t n_times;
  const struct tt_report_file *files;
  size_t n_files;
  const char *const *notes; /* warnings that a reader must know */
  size_t n_notes;
};

/* Peak resident memory of this process and of its finished children (the larger), bytes. */
uint64_t tt_report_peak_rss(void);
/* Whole or not at all, overwriting. Adds versions, date-free: the same results give the same bytes
 * but for times and memory. */
enum tt_status tt_report_write_json(const struct tt_report *report, const char *path);
/* The JSON as text (for --json on stdout); release with tt_free. */
enum tt_status tt_report_json(const struct tt_report *report, char **ret_text);
enum tt_status tt_report_write_text(const struct tt_report *report, FILE *file);

#endif
