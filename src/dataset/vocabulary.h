/* The poster's channels: how a dataset's columns become small integers and one real number.
 *
 *   channel  ids                                                       count
 *   event    by descending frequency from 0                            tt_vocabulary_events()
 *   dt       log1p(ns since the previous row of the stream), standardised: (x - mean) / std
 *   cpu      as is                                                     n_cpus
 *   tid      tid mod 256 (of the 32-bit pattern)                       TT_TID_BUCKETS
 *   comm     PAD 0, UNK 1, then by descending frequency from 2         tt_vocabulary_comms()
 *   ret      PAD 0, UNK 1, the 1024 most frequent values from 2,
 *            then one id "none" (no return value)                      tt_vocabulary_rets()
 *
 * Learned from training data only, in one streaming pass over one or several datasets (whose
 * dictionaries are joined by name); ties in frequency go by name or by value, so that the result
 * does not depend on the order of ids. It holds names and values, not ids of a dataset: a model
 * that carries it stands alone.
 *
 * What is not in the training data: an event name gets the extra id UNK (the last one) when the
 * vocabulary was learned with `unknown_event`, else the id of the rarest event; a comm or ret value
 * gets UNK 1; no comm at all gets PAD 0; a cpu from n_cpus on gets cpu mod n_cpus. Generators never
 * emit an UNK event. */
#ifndef DATASET_VOCABULARY_H
#define DATASET_VOCABULARY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/names.h"
#include "base/rng.h"
#include "base/status.h"
#include "dataset/dataset.h"
#include "dataset/streams.h"

enum {
  TT_ID_PAD = 0,   /* comm: the row has no name; ret: never in data */
  TT_ID_UNK = 1,   /* comm and ret: not in the vocabulary */
  TT_ID_FIRST = 2, /* comm and ret: the most frequent */
  TT_TID_BUCKETS = 256,
  TT_VOCABULARY_RETS = 1024,
  TT_VOCABULARY_COMMS = 4096,       /* default cap; rarer names become UNK */
  TT_VOCABULARY_UNK_RETS = 4096,    /* values kept to draw an UNK ret from */
  TT_VOCABULARY_BUCKET_THREADS = 64 /* threads kept per bucket, the busiest */
};

struct tt_thread { /* a thread of the training data, under one of its names */
  int32_t tid;     /* TT_TID_NONE where it was not known */
  uint16_t comm;   /* vocabulary comm id (PAD: no name) */
  uint64_t count;  /* its events */
};

struct tt_vocabulary {
  enum tt_stream_kind stream; /* which dt it was learned on */
  struct tt_names events;     /* [n] names in id order */
  uint64_t *event_counts;     /* [events.n] */
  bool unknown_event;         /* there is one more event id, UNK = events.n */
  struct tt_names comms;      /* names[i] has id i + TT_ID_FIRST */
  uint64_t *comm_counts;      /* [comms.n] */
  int64_t *rets;              /* [n_rets] value of id i + TT_ID_FIRST */
  uint64_t *ret_counts;       /* [n_rets] */
  size_t n_rets;              /* at most TT_VOCABULARY_RETS */
  int64_t *unk_rets;        /* [n_unk_rets] ascending: the distribution of the other values; all */
  uint64_t *unk_ret_counts; /* of them, or quantiles when more than TT_VOCABULARY_UNK_RETS */
  size_t n_unk_rets;
  uint64_t no_rets;                        /* events without a return value */
  struct tt_thread *threads;               /* sorted by bucket, then descending count */
  size_t bucket_first[TT_TID_BUCKETS + 1]; /* threads of bucket b: [bucket_first[b], [b + 1]) */
  size_t n_cpus;                           /* highest training cpu + 1 */
  double dt_mean, dt_std;                  /* of log1p(ns); std is 1 when dt never varies */
  int64_t dt_max;                          /* ns, the longest in training: decoding stops there */
  uint64_t rows;                           /* events it was learned from */
  uint64_t dt_rows;                        /* of them with a dt (not after a gap) */
};

struct tt_vocabulary_options { /* zeroed: the defaults */
  enum tt_stream_kind stream;
  bool unknown_event;
  size_t max_comms; /* 0: TT_VOCABULARY_COMMS */
  size_t counters;  /* distinct ret values and threads counted exactly; beyond, the rare ones are
                       approximated (dataset/counts.h). 0: 2^20 */
};

/* TT_BAD_INPUT when there are no events. */
enum tt_status tt_vocabulary_learn(const struct tt_dataset *const *datasets, size_t n_datasets,
                                   const struct tt_vocabulary_options *options,
                                   struct tt_vocabulary **ret);
void tt_vocabulary_free(struct tt_vocabulary *vocabulary); /* accepts NULL */

/* Numbers of ids (sizes of embedding tables and heads). */
size_t tt_vocabulary_events(const struct tt_vocabulary *vocabulary); /* UNK included if there */
size_t tt_vocabulary_comms(const struct tt_vocabulary *vocabulary);  /* PAD and UNK included */
size_t tt_vocabulary_rets(const struct tt_vocabulary *vocabulary);   /* PAD, UNK, none included */
/* The ret id of an event that has no return value: the last one. */
uint16_t tt_vocabulary_ret_none(const struct tt_vocabulary *vocabulary);
/* Standardised dt from ns (>= 0) and back: rounded, within [0, dt_max]; NaN gives 0. */
float tt_vocabulary_dt(const struct tt_vocabulary *vocabulary, int64_t ns);
int64_t tt_vocabulary_dt_ns(const struct tt_vocabulary *vocabulary, double dt);

/* ---- decoding ids to concrete values ---- */
/* The value of a ret id: TT_RET_NONE for "none" (and PAD); for UNK a draw from the values outside
 * the top 1024 (TT_RET_NONE when training had none). */
int64_t tt_vocabulary_ret_value(const struct tt_vocabulary *vocabulary, uint16_t id,
                                struct tt_rng *rng);
/* A thread of the bucket in proportion to its events, among those named `comm` if there are any
 * there (else any of the bucket); *ret is {bucket, comm} with count 0 when the bucket is empty. */
void tt_vocabulary_draw_thread(const struct tt_vocabulary *vocabulary, uint16_t bucket,
                               uint16_t comm, struct tt_rng *rng, struct tt_thread *ret);
/* The dictionaries for a dataset of decoded events: its event ids are the vocabulary's, its comm
 * ids the vocabulary's less TT_ID_FIRST; what tt_vocabulary_comm_of() gives. */
enum tt_status tt_vocabulary_dictionaries(const struct tt_vocabulary *vocabulary,
                                          struct tt_dataset_meta *meta);
/* Comm id of such a dataset from a vocabulary comm id: TT_COMM_NONE for PAD and UNK. */
uint32_t tt_vocabulary_comm_of(uint16_t comm);

/* ---- as JSON (part of model.json) ---- */
/* A new reference, or NULL when memory is short. */
json_t *tt_vocabulary_to_json(const struct tt_vocabulary *vocabulary);
/* Checks everything; TT_BAD_INPUT names the field that is wrong. */
enum tt_status tt_vocabulary_from_json(const json_t *json, struct tt_vocabulary **ret);

#endif
