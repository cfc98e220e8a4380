/* Generators: train one, and make events with it. A model is a folder (docs/generators.md). */
#ifndef TRACETWIN_GENERATOR_H
#define TRACETWIN_GENERATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tracetwin/progress.h>
#include <tracetwin/status.h>

struct tt_train_options {
  const char *dataset;
  const char
      *val; /* real validation data for val_loss and for choosing the checkpoint; NULL: none */
  const char *output;
  const char *generator; /* NULL: the default (tt_generator_name(0)) */
  const char *backbone;  /* NULL: the generator's default */
  const char *channels;  /* "event,dt,...", "base", "system" or "full"; NULL: full */
  const char *stream;    /* "cpu" or "merged"; NULL: the generator's default */
  uint64_t context;      /* events per window; markov: its order. 0: the generator's default */
  double minutes;        /* training time; 0 with steps 0: the generator's default */
  uint64_t steps;        /* optimiser steps; 0: by time */
  const char *const
      *settings; /* [n_settings] "NAME=VALUE": the generator's own (docs/generators.md) */
  size_t n_settings;
  uint64_t seed;
  unsigned threads; /* 0: as many as CPUs */
  bool resume;      /* go on from the checkpoint of an interrupted training, `output`.checkpoint */
  bool overwrite;
  struct tt_progress progress;
};

struct tt_train_summary {
  char generator[32];
  char stream[8];    /* "cpu" or "merged" */
  char precision[8]; /* of the matrix products: "bf16" where the CPU computes it, else "f32"; "none"
                        of a generator that only counts */
  uint64_t context, parameters, steps, seed;
  double events_per_second, loss, val_loss; /* val_loss: NaN without val */
};

TT_API enum tt_status tt_job_train(const struct tt_train_options *options,
                                   struct tt_train_summary *ret);

struct tt_generate_options {
  const char *model, *output;
  uint64_t events, seed;
  /* The workload to be made (label of an import); NULL: all that the model tells apart, one after
   * the other, in their shares of its training events. TT_USAGE where the model doesn't know it. */
  const char *label;
  /* Rare events: "EVENT=K" makes EVENT K times as likely, against the others, wherever it may come;
   * "EVENT=S" of min_shares finds by trial twins how likely it must be for a share of S of all
   * events, and fails where that can't be had. At most TT_BOOSTS of both. Only generators that draw
   * events one by one can; others are TT_USAGE. */
  const char *const *amplify, *const *min_shares;
  size_t n_amplify, n_min_shares;
  unsigned threads;
  bool overwrite;
  struct tt_progress progress;
};

#define TT_BOOSTS 64
#define TT_LABELS 512 /* workloads that a model tells apart, at most */

struct tt_generate_summary {
  uint64_t events, seed;
  double events_per_second;
  struct tt_boosted {
    char event[96];
    double factor, share; /* how many times as likely; of the twin's events */
  } boosted[TT_BOOSTS];   /* what was asked for, in that order */
  size_t n_boosted;
};

TT_API enum tt_status tt_job_generate(const struct tt_generate_options *options,
                                      struct tt_generate_summary *ret);

/* Fills lost-event gaps of a dataset: draws as many events as were lost, given what came before and
 * after on that CPU. A gap is left as it is where it isn't known how many were lost, or more than
 * `longest`, or where the CPU has no event on either side. Only `masked` models can (TT_USAGE), of
 * the dataset's dictionaries (TT_BAD_INPUT). */
struct tt_fill_options {
  const char *dataset, *model, *output;
  uint64_t seed;
  uint64_t candidates;        /* per gap, weighed against each other: 1 to 256 */
  uint64_t longest;           /* most events of a gap that is filled */
  bool best;                  /* the candidate closest to all others instead of a draw */
  const char *const *without; /* [n_without] to compare: "network", "right" */
  size_t n_without;
  unsigned threads; /* 0: as many as CPUs */
  bool overwrite;
  struct tt_progress progress;
};

struct tt_fill_summary {
  uint64_t gaps, filled_gaps, filled_events, events, seed;
};

TT_API enum tt_status tt_job_fill(const struct tt_fill_options *options,
                                  struct tt_fill_summary *ret);

/* The generators there are, the default first: name and one-line summary, NULL when i is out of
 * range. */
TT_API const char *tt_generator_name(size_t i);
TT_API const char *tt_generator_summary(size_t i);

#endif
