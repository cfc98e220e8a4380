/* The generator `ar`: an autoregressive Transformer over each CPU's stream that starts from what
 * counting knows and keeps the state that the kernel has.
 *
 *   event    softmax(network + gate * log prior): prior is markov's n-gram of the running thread
 * and of all (leave-one-out counts while training), gate a learned function of the context; the
 * network's output is zero at first, so that it starts as the n-gram thread   who runs after a
 * switch: markov's choice, never a thread that runs elsewhere ret      given the event, where it
 * has one: network + gate * log n-gram of (event, comm, the event before) dt       given the event
 * and ret: quantile bin from network + gate * log n-gram of (event, the event before, CPU), then a
 * draw of the real values within the bin
 *
 * What the network sees of each past event is enum tt_ar_input. Sampling advances many replicas of
 * the whole system side by side (sample.c): within one, streams are merged by generated time and
 * each event is drawn knowing what runs elsewhere at that time. Transitions, CPUs, threads and
 * return values that training never had are never drawn. */
#ifndef GENERATORS_AR_AR_H
#define GENERATORS_AR_AR_H

#include "dataset/batches.h"
#include "generators/delay_bins.h"
#include "generators/markov/markov.h"
#include "nn/transformer.h"

/* X(name): what is known after an event of a CPU's stream. */
#define TT_AR_INPUT_TABLE(X)                                                                       \
  X(event) /* of the training dataset's dictionary */                                              \
  X(delay) /* bin of the time since the CPU's event before */                                      \
  X(ret)   /* vocabulary id */                                                                     \
  X(cpu)                                                                                           \
  X(thread) /* tid % 256 of the thread that runs next on this CPU */                               \
  X(comm)   /* its comm */                                                                         \
  X(call)   /* the system call it is in */                                                         \
  X(other)  /* the last event of any other CPU */                                                  \
  X(busy)   /* how many other CPUs don't idle */

enum tt_ar_input {
#define TT_AR_ENUM(name) TT_AR_##name,
  TT_AR_INPUT_TABLE(TT_AR_ENUM)
#undef TT_AR_ENUM
      TT_AR_INPUTS
};

enum {
  TT_AR_BUSY = 16,       /* ids of busy: as many or more is one */
  TT_AR_COMMS = 4096,    /* ids of comm: rarer ones share */
  TT_AR_START_ROWS = 32, /* real events before a start, per CPU */
  TT_AR_HEADS = 3,       /* event, ret, delay */
  TT_AR_MAX_WIDTH = 1024,
};

/* ---- the network (network.c) ---- */

struct tt_ar_network {
  size_t width, layers, heads, window;
  size_t sizes[TT_AR_INPUTS];
  size_t n_events, n_rets; /* classes; TT_DELAY_BINS of dt */
  struct tt_params params;
  struct tt_embedding inputs, next_event, next_ret;
  struct tt_transformer body;
  struct tt_linear event, middle, ret, delay; /* heads with one row more: the gate */
};

/* Declares and builds; width to window and sizes are set. */
enum tt_status tt_ar_network_init(struct tt_ar_network *network, uint64_t seed);
void tt_ar_network_release(struct tt_ar_network *network);

struct tt_ar_batch { /* one training step; row w * length + i */
  size_t windows, length;
  int32_t *ids;                                 /* [rows, TT_AR_INPUTS] */
  int32_t *events, *rets, *delays;              /* [rows] what comes next; -1: not to be learned */
  float *event_prior, *ret_prior, *delay_prior; /* [rows, classes] log probabilities */
};
/* Recorded forward pass. Loss: sum of the three mean cross-entropies, each over the rows that have
 * one; ret_loss[TT_AR_HEADS]: each times its rows per row of the batch, in nats per event. */
struct tt_tensor *tt_ar_network_loss(struct tt_compute *c, const struct tt_ar_network *network,
                                     const struct tt_ar_batch *batch, double *ret_loss);
/* Sampling, n rows of different sequences: after tt_compute_begin. ids: [n, TT_AR_INPUTS].
 * ret_hidden is for the second stage; result: [n, n_events + 1]. */
const float *tt_ar_network_events(struct tt_compute *c, const struct tt_ar_network *network,
                                  struct tt_transformer_rings *rings, const int32_t *ids, size_t n,
                                  const uint32_t *slots, const uint64_t *positions,
                                  struct tt_tensor **ret_hidden);
/* events: [n] drawn; result: [n, n_rets + 1]. */
const float *tt_ar_network_rets(struct tt_compute *c, const struct tt_ar_network *network,
                                struct tt_tensor *hidden, const int32_t *events,
                                struct tt_tensor **ret_middle);
/* rets: [n] drawn; result: [n, TT_DELAY_BINS + 1]. */
const float *tt_ar_network_delays(struct tt_compute *c, const struct tt_ar_network *network,
                                  struct tt_tensor *middle, const int32_t *rets);

/* ---- the state that the kernel has (state.c) ---- */

struct tt_ar_system {
  bool *busy; /* [n_cpus] who ran last there wasn't the idle thread */
  size_t n_busy;
  int32_t latest_cpu;        /* -1: nothing happened yet */
  int32_t latest, elsewhere; /* last event; last one of any CPU but latest_cpu; -1: none */
  uint32_t *calls;           /* [n_threads] as tt_markov_new_calls */
};

struct tt_ar;
enum tt_status tt_ar_system_init(const struct tt_ar *ar, struct tt_ar_system *ret);
void tt_ar_system_release(struct tt_ar_system *system);
/* An event of `thread` (TT_THREAD_ANY: unknown) on `cpu`. */
void tt_ar_system_follow(const struct tt_ar *ar, struct tt_ar_system *system, uint16_t cpu,
                         uint32_t thread, uint16_t event);

struct tt_ar_moment { /* what the network is told after an event */
  uint16_t event, cpu, ret;
  size_t delay;
  uint32_t thread; /* cast index of who runs next, TT_THREAD_ANY: unknown */
  uint32_t comm;   /* its, or TT_COMM_NONE */
  uint32_t call;
  int32_t other;
  size_t busy;
};
void tt_ar_ids(const struct tt_ar *ar, const struct tt_ar_moment *moment, int32_t *ret);

struct tt_ar_track { /* the state at each row of a dataset, in memory: 11 bytes a row */
  uint32_t *thread;  /* who ran; TT_THREAD_ANY */
  uint16_t *call;    /* what it was in before the row */
  int32_t *other;    /* after the row */
  uint8_t *busy;     /* other CPUs, after the row */
};
enum tt_status tt_ar_track_make(const struct tt_ar *ar, const struct tt_dataset *dataset,
                                struct tt_ar_track *ret);
void tt_ar_track_release(struct tt_ar_track *track);
/* What is known after row `here` of the dataset; `next`: the CPU's next row; `at`: where `here`
 * stands in the encoded channels. */
struct tt_ar_moment tt_ar_recorded_moment(const struct tt_ar *ar, const struct tt_columns *columns,
                                          const struct tt_ar_track *track,
                                          const struct tt_channels *channels, size_t at,
                                          uint64_t here, uint64_t next);

/* A real moment to start a replica from. */
struct tt_ar_start {
  int32_t *ids;     /* [n_cpus, TT_AR_START_ROWS, TT_AR_INPUTS] oldest first */
  uint8_t *rows;    /* [n_cpus] how many there are */
  uint32_t *thread; /* [n_cpus] who runs; TT_THREAD_ANY: unknown */
  int64_t *age;     /* [n_cpus] ns since the CPU's last event */
  uint32_t *comm;   /* [n_threads] what each went by last; TT_COMM_NONE: not seen yet */
  struct tt_ar_system system;
};

/* ---- the model ---- */

struct tt_ar {
  struct tt_generator base;
  struct tt_generator *prior;       /* a markov: see tt_ar_markov */
  bool use_prior;                   /* false: priors are taken as uniform (ablation) */
  struct tt_vocabulary *vocabulary; /* of ret and dt */
  struct tt_delay_bins bins;
  struct tt_ngram rets, delays;
  bool *on_cpu;  /* [cpu_limit, n_events] seen there */
  bool *follows; /* [n_events, n_events] the second was seen right after the first, on any CPUs */
  int64_t *soonest; /* [n_events] the least ns that it came after any event of any CPU */
  struct tt_ar_network network;
  bool built;
  struct tt_ar_start *starts; /* [n_starts] */
  size_t n_starts;
};

extern const struct tt_generator_ops tt_ar_ops;

static inline const struct tt_markov *tt_ar_markov(const struct tt_ar *ar) {
  return (const struct tt_markov *)ar->prior;
}

/* Log probabilities of the three heads' classes (prior.c); leave_out: the class whose observation
 * here is to be taken out of the counts, or UINT32_MAX. Zero where priors aren't used. */
void tt_ar_event_prior(const struct tt_ar *ar, const struct tt_markov_history *history,
                       uint32_t thread, uint32_t call, uint32_t leave_out, float *out);
void tt_ar_ret_prior(const struct tt_ar *ar, uint16_t event, uint32_t comm, uint16_t previous,
                     uint32_t leave_out, float *out);
void tt_ar_delay_prior(const struct tt_ar *ar, uint16_t event, uint16_t previous, uint16_t cpu,
                       uint32_t leave_out, float *out);
/* Counts rets, delays, on_cpu, follows and soonest from the training data. */
enum tt_status tt_ar_count(struct tt_ar *ar, const struct tt_dataset *train);
/* What was ever seen; rows hold the classes (tt_tally_row.values). */
struct tt_tally_row tt_ar_successors(const struct tt_ar *ar, uint16_t previous);
struct tt_tally_row tt_ar_thread_events(const struct tt_ar *ar, uint32_t thread);
struct tt_tally_row tt_ar_event_rets(const struct tt_ar *ar, uint16_t event);
struct tt_tally_row tt_ar_event_delays(const struct tt_ar *ar, uint16_t event, uint16_t previous);

enum tt_status tt_ar_fit(struct tt_ar *ar, const struct tt_train_config *config,
                         struct tt_train_result *ret);
enum tt_status tt_ar_keep_starts(struct tt_ar *ar, const struct tt_dataset *train,
                                 const struct tt_ar_track *track);
void tt_ar_start_release(struct tt_ar_start *start);
enum tt_status tt_ar_start_init(const struct tt_ar *ar, struct tt_ar_start *ret);
enum tt_status tt_ar_generate(const struct tt_generator *generator,
                              const struct tt_generate_config *config,
                              const struct tt_event_sink *sink);

#endif
