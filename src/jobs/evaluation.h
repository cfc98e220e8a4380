/* Everything that `evaluate` and `run` measure of a twin, and the report made of it. */
#ifndef JOBS_EVALUATION_H
#define JOBS_EVALUATION_H

#include "constraints/constraints.h"
#include "dataset/dataset.h"
#include "predictor/predictor.h"
#include "report/report.h"
#include "tracetwin/tracetwin.h"

struct tt_distance_summary tt_jobs_distances(const struct tt_distances *distances);

enum tt_jobs_arm { TT_ARM_TRTR = 1, TT_ARM_TSTR = 2, TT_ARM_COMBINED = 4 };
/* As in tt_evaluate_options; TT_USAGE: there is no such arm. */
enum tt_status tt_jobs_parse_arms(const char *list, unsigned *ret);

struct tt_jobs_evaluation_inputs {
  const struct tt_dataset *train, *val, *test; /* real */
  const struct tt_dataset *synthetic;          /* the twin, repaired */
  const struct tt_dataset *raw;                /* before repair; NULL: not known */
  const struct tt_constraints *constraints;    /* mined from train */
  unsigned channels;                           /* the predictor's; 0: all */
  unsigned arms;                               /* set of enum tt_jobs_arm; TRTR always is */
  bool equal_steps;                            /* train the equal-steps arms too */
  uint64_t steps;                              /* of the equal-steps arms; 0: as TRTR took */
  uint64_t seed;
  const char *trtr; /* an earlier report to take the TRTR arm from; NULL: train it */
  const struct tt_progress *progress;
};

/* Rows stay in the order of docs/metrics.md. */
struct tt_jobs_evaluation {
  struct tt_report_distance distances[3]; /* held-out real, before, after repair */
  size_t n_distances;
  struct tt_report_fidelity fidelity[2]; /* held-out real, twin */
  size_t n_fidelity;
  struct tt_report_arm arms[6];
  size_t n_arms;
  struct tt_report_baseline baselines[TT_PREDICTOR_BASELINES];
  size_t n_baselines;
  double predictor_seconds, fidelity_seconds;
};

/* Arms: TRTR, TSTR and COMBINED to convergence, then, if asked for, at equal steps. Every arm is
 * given the same number of events n = min(train, synthetic) of each kind it uses; where train holds
 * more, n real events in 8 stretches spread evenly over it (COMBINED: n real and n synthetic, of
 * which equal steps see half as many each). */
enum tt_status tt_jobs_evaluate(const struct tt_jobs_evaluation_inputs *inputs,
                                struct tt_jobs_evaluation *ret);

/* Reads arm TRTR (arm->name is set) and the counting baselines (their names are set) from the
 * report at `path`. TT_BAD_INPUT unless it is of the same real data (distances of held-out data),
 * events and seed. */
enum tt_status tt_jobs_read_real_arm(const char *path, uint64_t seed, uint64_t events,
                                     const struct tt_report_distance *held_out,
                                     struct tt_report_arm *arm,
                                     struct tt_report_baseline *baselines, size_t n_baselines);

/* Puts the evaluation's sections into a report (borrowing them). */
void tt_jobs_report_evaluation(struct tt_report *report, const struct tt_jobs_evaluation *e);

/* Writes report.json at `path` and renders both texts. */
enum tt_status tt_jobs_report_finish(const struct tt_report *report, const char *path,
                                     struct tt_report_text *ret);

#endif
