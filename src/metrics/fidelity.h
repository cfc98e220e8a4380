/* How alike two traces are: a reference (train real) and a candidate (synthetic, or held-out real:
 * the floor). Definitions: docs/metrics.md. Both candidates must be of equal size for their figures
 * to be comparable, since a finite sample of the same source has a divergence above 0 that shrinks
 * with its size: tt_fidelity_compare cuts them. */
#ifndef METRICS_FIDELITY_H
#define METRICS_FIDELITY_H

#include "metrics/view.h"

#define TT_NGRAM_MAX 5
#define TT_MEMORY_NGRAM 16

struct tt_fidelity {
  uint64_t reference_events, candidate_events;
  double ngram_jsd[TT_NGRAM_MAX];             /* n = 1..5, events in merged order */
  double ngram_cpu_jsd[TT_NGRAM_MAX];         /* the same over each CPU's order */
  double dt_jsd, dt_cpu_jsd;                  /* dt given event: merged order, each CPU's order */
  double cpu_jsd, tid_jsd, comm_jsd, ret_jsd; /* given event */
  double latency_jsd; /* syscall entry to exit, given the syscall; NaN: none */
  double pairing_reference, pairing_candidate; /* share of syscall exits and entries that pair up on
                                                  their thread; NaN: no syscalls */
  double memorised, memorised_cpu; /* share of the candidate's 16-grams found in the reference */
  double discriminator_auc_events; /* told apart by event n-grams alone; 0.5: cannot */
  double discriminator_auc;        /* by n-grams, dt, comm and ret together */
};

struct tt_fidelity_config {
  size_t max_events; /* rows taken of each dataset at most; 0: 2,000,000 (some 0.6 GB) */
  uint64_t seed;     /* order of the discriminator's windows */
};

enum tt_status tt_fidelity_measure(const struct tt_view *reference, const struct tt_view *candidate,
                                   const struct tt_alphabet *alphabet, uint64_t seed,
                                   struct tt_fidelity *ret);

/* (train, synthetic) and (train, held-out), candidates cut to the same number of events from the
 * middle of each dataset. */
enum tt_status tt_fidelity_compare(const struct tt_fidelity_config *config,
                                   const struct tt_dataset *train, const struct tt_dataset *heldout,
                                   const struct tt_dataset *synthetic,
                                   struct tt_fidelity *ret_heldout,
                                   struct tt_fidelity *ret_synthetic);

#endif
