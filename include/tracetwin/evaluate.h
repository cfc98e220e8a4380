/* How good is a twin: the next-event predictor, the whole evaluation, and the whole way from a
 * trace to its evaluated twin. Figures are defined in docs/metrics.md. */
#ifndef TRACETWIN_EVALUATE_H
#define TRACETWIN_EVALUATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tracetwin/progress.h>
#include <tracetwin/status.h>

struct tt_predict_options {
  /* [n_train] datasets, used together. The vocabulary (classes, channels) is learned from the first
   * alone, the real one where real and synthetic data are combined, as evaluate does. */
  const char *const *train;
  size_t n_train;
  const char *val, *test;
  const char *channels; /* as in tt_train_options */
  const char *stream;   /* "merged" (default) or "cpu" */
  uint64_t steps;       /* exactly this many; 0: until early stopping */
  uint64_t seed;
  unsigned threads;
  struct tt_progress progress;
};

struct tt_predict_result {
  double macro_f1, weighted_f1, accuracy, top5, top10;
  uint64_t classes, steps, seed;
};

TT_API enum tt_status tt_job_predict(const struct tt_predict_options *options,
                                     struct tt_predict_result *ret);

/* A finished report: `json` as written to report.json, `text` for a person. Release both with
 * tt_report_release. */
struct tt_report_text {
  char *json, *text;
};
TT_API void tt_report_release(struct tt_report_text *report);

struct tt_evaluate_options {
  const char *train, *val, *test, *synthetic;
  const char *output; /* folder: report.json, constraints.json */
  const char *channels;
  uint64_t steps; /* of the equal-steps arms; 0: as many as TRTR took to converge */
  bool converged; /* no equal-steps arms */
  uint64_t seed;
  /* Those beside TRTR, separated by commas: tstr, combined; trtr: it alone. NULL: all. */
  const char *arms;
  const char *trtr; /* an earlier report of the same real data, events and seed: its TRTR arm is
                       taken instead of training it again; or NULL */
  unsigned threads;
  bool overwrite;
  struct tt_progress progress;
};

TT_API enum tt_status tt_job_evaluate(const struct tt_evaluate_options *options,
                                      struct tt_report_text *ret);

struct tt_run_options {
  const char *const *inputs;
  size_t n_inputs;
  const char *output;
  const char *generator, *backbone, *channels, *stream; /* as in tt_train_options */
  const char *const *settings;
  size_t n_settings;
  uint64_t context;
  double minutes;  /* of generator training; 0: 5 */
  uint64_t events; /* of the twin; 0: 100000 */
  uint64_t seed;
  const char *arms, *trtr; /* as in tt_evaluate_options */
  unsigned threads;
  bool overwrite;
  struct tt_progress progress;
};

/* import, split, mine, train, generate, repair, export, evaluate (arms to convergence only): all
 * below `output`. On TT_INTERRUPTED the results that are finished, and the checkpoint of a training
 * that had begun, are below "OUTPUT.partial"; nothing where none was finished. */
TT_API enum tt_status tt_job_run(const struct tt_run_options *options, struct tt_report_text *ret);

#endif
