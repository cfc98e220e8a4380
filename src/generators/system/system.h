/* What the generators with a network share (`ar`, `masked`): the whole system that a trace is of,
 * as counting knows it and as the kernel knows it at each moment.
 *
 *   prior.c     what counting knows of an event, its return value and its delay, and what was ever
 *               seen: nothing else is ever drawn
 *   state.c     the kernel's state, followed event by event: the same code while training (over
 *               recorded rows) and while sampling
 *   turns.h     who runs next on a CPU
 *   starts.c    real moments that twins start from
 *   rates.c     what makes events come as often in twins as in the trace
 *   model.c     settings, setting up, the model's folder
 *   heads.h     the end of the networks: what starts from the prior
 *   fit.h       training
 *   replicas.h  sampling: replicas of the whole system side by side
 *
 * A generator's own struct begins with a struct tt_system. Where training has several workload
 * labels, all that is counted is so for each by itself, and nothing is drawn that a label never
 * had; the network is one, which is told the label.
 */
#ifndef GENERATORS_SYSTEM_SYSTEM_H
#define GENERATORS_SYSTEM_SYSTEM_H

#include "dataset/batches.h"
#include "generators/delay_bins.h"
#include "generators/markov/markov.h"
#include "generators/system/clock.h"
#include "generators/system/turns.h"
#include "nn/layers.h"

/* X(name): what is known after an event of a CPU's stream. */
#define TT_SYSTEM_INPUT_TABLE(X)                                                                   \
  X(event)  /* of the training dataset's dictionary */                                             \
  X(delay)  /* bin of the time since the CPU's event before */                                     \
  X(ret)    /* vocabulary id */                                                                    \
  X(cpu)    /* one of each workload: tt_system_cpu_id */                                           \
  X(thread) /* tid % 256 of the thread that runs next on this CPU */                               \
  X(comm)   /* its comm */                                                                         \
  X(call)   /* the system call it is in */                                                         \
  X(other)  /* the last event of any other CPU */                                                  \
  X(busy)   /* how many other CPUs don't idle */

enum tt_system_input {
#define TT_SYSTEM_ENUM(name) TT_SYSTEM_##name,
  TT_SYSTEM_INPUT_TABLE(TT_SYSTEM_ENUM)
#undef TT_SYSTEM_ENUM
      TT_SYSTEM_INPUTS
};
extern const char *const TT_SYSTEM_INPUT_NAMES[TT_SYSTEM_INPUTS];

enum {
  TT_SYSTEM_BUSY = 16,       /* ids of busy: as many or more is one */
  TT_SYSTEM_COMMS = 4096,    /* ids of comm: rarer ones share */
  TT_SYSTEM_START_ROWS = 32, /* real events before a start, per CPU */
  TT_SYSTEM_MAX_WIDTH = 1024,
  TT_SYSTEM_WINDOW = 128, /* events that attention reaches back, by default */
};

struct tt_system {
  struct tt_generator base;
  struct tt_generator *prior;       /* a markov: see tt_system_markov */
  bool use_prior;                   /* false: priors are taken as uniform (ablation) */
  struct tt_vocabulary *vocabulary; /* of ret and dt */
  struct tt_delay_bins bins;
  struct tt_ngram rets, delays;
  bool *on_cpu;  /* [cpu_limit, n_events] seen there */
  bool *follows; /* [n_events, n_events] the second was seen right after the first, on any CPUs */
  bool *in_call; /* [n_events + 1, n_events] a thread in the call (last: in none) had the event */
  struct tt_tally named;     /* events of threads that went by a comm */
  int64_t *soonest, *latest; /* [n_events] ns that it came after the merged trace's event before */
  size_t sizes[TT_SYSTEM_INPUTS]; /* ids of each input */
  size_t n_events, n_rets;        /* classes; TT_DELAY_BINS of dt */
  size_t width, layers, heads;    /* of the network */
  float *rates;                   /* [n_events] added to logits of events: rates.c */
  struct tt_clock clock;
  struct tt_turns turns;
  struct tt_system_start *starts; /* [n_starts] */
  size_t n_starts;
  /* [tt_generator_workloads of base] a system for each label, which owns what is counted (prior,
   * rets, delays, on_cpu, follows, in_call, named, soonest, latest, clock, turns, starts) and
   * borrows the rest; then this one has nothing of that. None: this is the only one. */
  struct tt_system *workloads;
  size_t n_workloads;
  size_t label; /* of base.labels, that this is the system of; 0 where there is only one */
};

/* The system of a label. */
static inline const struct tt_system *tt_system_workload(const struct tt_system *system,
                                                         size_t label) {
  return system->n_workloads ? &system->workloads[label] : system;
}
/* The network's id of a CPU. */
static inline int32_t tt_system_cpu_id(const struct tt_system *system, size_t cpu) {
  return (int32_t)(system->label * system->base.cpu_limit + cpu);
}

/* Ids of system calls: those of their entries, then "none" and "not known". */
static inline size_t tt_system_call_id(const struct tt_system *system, uint32_t call) {
  const size_t n = system->base.events.n;
  return call == TT_MARKOV_NO_CALL ? n : call == TT_MARKOV_CALL_UNKNOWN ? n + 1 : call;
}

static inline const struct tt_markov *tt_system_markov(const struct tt_system *system) {
  return (const struct tt_markov *)system->prior;
}

/* ---- counting (prior.c) ---- */

/* Log probabilities of the classes of event, ret and delay; leave_out: the class whose observation
 * here is to be taken out of the counts, or UINT32_MAX. Zero where priors aren't used. */
void tt_system_event_prior(const struct tt_system *system, const struct tt_markov_history *history,
                           uint32_t thread, uint32_t call, uint32_t leave_out, float *out);
void tt_system_ret_prior(const struct tt_system *system, uint16_t event, uint32_t comm,
                         uint16_t previous, uint32_t leave_out, float *out);
void tt_system_delay_prior(const struct tt_system *system, uint16_t event, uint16_t previous,
                           uint16_t cpu, uint32_t leave_out, float *out);
/* Counts rets, delays, on_cpu, follows, in_call, named, soonest, latest and clock from the rows of
 * one label (NULL: all). */
enum tt_status tt_system_count(struct tt_system *system, const struct tt_dataset *train,
                               const char *label);
/* What was ever seen; rows hold the classes (tt_tally_row.values). */
struct tt_tally_row tt_system_successors(const struct tt_system *system, uint16_t previous);
/* As tt_generator_ops.successors. */
struct tt_tally_row tt_system_label_successors(const struct tt_generator *generator, size_t label,
                                               uint16_t event);
/* Whether a thread in `call` may begin or end a system call with `event`: as one ever did. True of
 * all other events, and where the call isn't known. */
bool tt_system_call_had(const struct tt_system *system, uint32_t call, uint16_t event);
/* Whether a thread of that name (TT_COMM_NONE: not known) ever had the event. */
bool tt_system_comm_had(const struct tt_system *system, uint32_t comm, uint16_t event);
struct tt_tally_row tt_system_thread_events(const struct tt_system *system, uint32_t thread);
struct tt_tally_row tt_system_event_rets(const struct tt_system *system, uint16_t event);
struct tt_tally_row tt_system_event_delays(const struct tt_system *system, uint16_t event,
                                           uint16_t previous);

/* ---- the state that the kernel has (state.c) ---- */

struct tt_system_past { /* of a thread */
  uint32_t left; /* the switch that it left with, counted from 1; 0: not seen yet, or it exited */
  uint16_t cpu;  /* where */
  bool exiting;  /* its next switch is its last */
};

struct tt_system_state {
  bool *busy; /* [n_cpus] who ran last there wasn't the idle thread */
  size_t n_busy;
  int32_t latest_cpu;          /* -1: nothing happened yet */
  int32_t latest, elsewhere;   /* last event; last one of any CPU but latest_cpu; -1: none */
  uint32_t *calls;             /* [n_threads] as tt_markov_new_calls */
  struct tt_system_past *past; /* [n_threads] */
  uint32_t switches;           /* so far, on all CPUs */
};

enum tt_status tt_system_state_init(const struct tt_system *system, struct tt_system_state *ret);
void tt_system_state_release(struct tt_system_state *state);
/* An event of `thread` (TT_THREAD_ANY: unknown) on `cpu`. */
void tt_system_state_follow(const struct tt_system *system, struct tt_system_state *state,
                            uint16_t cpu, uint32_t thread, uint16_t event);

struct tt_system_moment { /* what the network is told after an event */
  uint16_t event, cpu, ret;
  size_t delay;
  uint32_t thread; /* cast index of who runs next, TT_THREAD_ANY: unknown */
  uint32_t comm;   /* its, or TT_COMM_NONE */
  uint32_t call;
  int32_t other;
  size_t busy;
};
/* ret: [TT_SYSTEM_INPUTS] */
void tt_system_ids(const struct tt_system *system, const struct tt_system_moment *moment,
                   int32_t *ret);

struct tt_system_track { /* the state at each row of a dataset, in memory: 11 bytes a row */
  uint32_t *thread;      /* who ran, in the cast of the row's workload; TT_THREAD_ANY */
  uint16_t *call;        /* what it was in before the row */
  int32_t *other;        /* after the row */
  uint8_t *busy;         /* other CPUs, after the row */
};
void tt_system_track_release(struct tt_system_track *track);
/* What is known after row `here` of the dataset; `next`: the CPU's next row, of the same workload,
 * which `system` is of; `at`: where `here` stands in the encoded channels. */
struct tt_system_moment tt_system_recorded_moment(const struct tt_system *system,
                                                  const struct tt_columns *columns,
                                                  const struct tt_system_track *track,
                                                  const struct tt_channels *channels, size_t at,
                                                  uint64_t here, uint64_t next);

/* A dataset with all that a training batch needs of it. */
struct tt_system_source {
  const struct tt_system *system;
  const struct tt_dataset *dataset;
  struct tt_workloads workloads; /* of the dataset */
  uint32_t *labels;              /* [workloads.labels.n] the system's; NULL: it has only one */
  struct tt_streams *streams;
  struct tt_encoder *encoder;
  struct tt_system_track track;
};
enum tt_status tt_system_source_open(const struct tt_system *system,
                                     const struct tt_dataset *dataset,
                                     struct tt_system_source *ret);
void tt_system_source_close(struct tt_system_source *source); /* accepts zeroed */
/* The state at each row, followed in each workload by itself (state.c); all but it is set. */
enum tt_status tt_system_track_make(const struct tt_system_source *source,
                                    struct tt_system_track *ret);
/* The system of a row's workload. */
static inline const struct tt_system *tt_system_of_row(const struct tt_system_source *source,
                                                       uint64_t row) {
  return source->labels
             ? tt_system_workload(source->system,
                                  source->labels[tt_workloads_at(&source->workloads, row)])
             : source->system;
}
/* How long training windows are, in events that are predicted: twice the attention's window, so
 * that half of the positions see a whole one; less where no stretch of the data is as long. And how
 * many go into a step. */
enum tt_status tt_system_window_size(const struct tt_system_source *source, size_t window,
                                     size_t *ret_length, size_t *ret_windows);
/* The dataset rows of a batch of windows: [n_windows, batch->length], tt_free them; NULL when
 * memory is short. */
uint64_t *tt_system_window_rows(const struct tt_system_source *source,
                                const struct tt_batch *batch);
/* The mean, over windows spread evenly over a dataset, of what `window_loss` gives per batch (its
 * windows' mean); untouched where the data are shorter than a window. */
typedef enum tt_status tt_system_loss_fn(void *user, const struct tt_batch *batch,
                                         double *ret_loss);
enum tt_status tt_system_validate(const struct tt_system_source *source, size_t length,
                                  size_t windows, tt_system_loss_fn *loss, void *user, double *ret);

/* ---- starts (starts.c) ---- */

/* A real moment to start a replica from. */
struct tt_system_start {
  int32_t *ids;     /* [n_cpus, TT_SYSTEM_START_ROWS, TT_SYSTEM_INPUTS] oldest first */
  uint8_t *rows;    /* [n_cpus] how many there are */
  uint32_t *thread; /* [n_cpus] who runs; TT_THREAD_ANY: unknown */
  int64_t *age;     /* [n_cpus] ns since the CPU's last event */
  int64_t since;    /* ns since the last tick; -1: unknown */
  uint32_t *comm;   /* [n_threads] what each goes by; TT_COMM_NONE: not seen yet, or gone */
  struct tt_system_state state;
};
/* Numbers that one start takes in a file: ids, rows, threads and ages of each CPU, busy flags,
 * three latest events, the last tick, switches; calls, pasts and comms of each thread. */
size_t tt_system_start_size(const struct tt_system *system);
/* Of the rows of the system's workload. */
enum tt_status tt_system_keep_starts(struct tt_system *system, const struct tt_system_source *train,
                                     const struct tt_row_set *rows);
void tt_system_start_release(struct tt_system_start *start);
enum tt_status tt_system_start_init(const struct tt_system *system, struct tt_system_start *ret);

/* ---- how often events come (rates.c) ---- */

#define TT_SYSTEM_MOST_RATE 3.0 /* either way */
/* Sets the rates of each workload by trial twins, when all else of the model is there; *seconds
 * grows by what it took. */
enum tt_status tt_system_fit_rates(struct tt_system *system, const struct tt_train_config *config,
                                   double *seconds);

/* ---- settings, setting up (model.c) ---- */

/* The options that these generators share, for their lists. */
#define TT_SYSTEM_OPTIONS                                                                          \
  "width=128: model width", "layers=4: Transformer blocks",                                        \
      "heads=4: attention heads; width is a multiple of twice their number",                       \
      "prior=1: 0: without the n-gram that the network starts from"

/* Checks the configuration, reads the shared options, and learns all but the network: the prior,
 * the vocabulary, the bins, the counts. config: with its defaults filled in. On failure too
 * tt_system_release is to be called. */
enum tt_status tt_system_learn(struct tt_system *system, const struct tt_generator_ops *ops,
                               struct tt_train_config *config);
/* Ids and classes, from the dictionaries and the vocabulary. */
void tt_system_set_sizes(struct tt_system *system);
/* Makes the systems of the workloads, where there are several: nothing is counted yet, the rest is
 * there. */
enum tt_status tt_system_divide(struct tt_system *system);
/* `otherwise` where windows of that many events are too short or too long. */
enum tt_status tt_system_check_window(size_t context, enum tt_status otherwise);
/* Frees all but the allocation itself. */
void tt_system_release(struct tt_system *system);

/* ---- the model's folder (file.c): model.safetensors, and in prior/ a whole markov model; of
 * several workloads each has what is counted of it in a folder of its own, prior/ too ---- */

/* Writes it all, `params` too, and puts "architecture" and "vocabulary" into `model`. */
enum tt_status tt_system_save(const struct tt_system *system, const struct tt_params *params,
                              const char *folder, json_t *model);
/* The prior, the vocabulary and the network's measures, all checked; `common` is adopted. */
enum tt_status tt_system_load_settings(struct tt_system *system, const char *folder,
                                       const json_t *model, struct tt_generator *common);
/* One more integer of model.json's "architecture", within [low, high]. */
enum tt_status tt_system_load_measure(const json_t *model, const char *key, uint64_t low,
                                      uint64_t high, size_t *ret);
/* All numbers, into the network that was built. */
enum tt_status tt_system_load_tensors(struct tt_system *system, struct tt_params *params,
                                      const char *folder);

#endif
