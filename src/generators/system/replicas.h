/* Sampling with replicas of the whole system. Within a replica streams (one per CPU) are merged by
 * their generated time, and an event's return value and delay are drawn right after the CPU's one
 * before has happened, so that all which the network is told is true in the twin. Within a replica
 * that is one event at a time; so many replicas advance side by side, one row each in the network's
 * batch, a team of them on each thread, and the twin is their stretches one after the other, put
 * together at seams (seams.h).
 *
 * Stretches are short and start from real moments, each from its share of the training time, in its
 * order: the phases of a workload keep their shares and their order, and rare situations come about
 * as often as in the trace. A model left to itself drifts into what is easy to stay in.
 *
 * Probabilities are in double precision, drawn by inverse CDF. */
#ifndef GENERATORS_SYSTEM_REPLICAS_H
#define GENERATORS_SYSTEM_REPLICAS_H

#include "generators/decode.h"
#include "generators/system/system.h"

struct tt_stream_state { /* a CPU of a replica */
  struct tt_markov_history history;
  struct tt_markov_recent recent;
  uint64_t position;        /* in its ring */
  int64_t ts;               /* of the pending event; before it is drawn: of the last one */
  struct tt_sample pending; /* the next event */
  uint16_t ret;             /* its vocabulary id */
  size_t delay;             /* its bin */
  struct tt_rng rng;        /* its own: streams of a replica are drawn by several threads */
};

struct tt_replica {
  const struct tt_system_start *start;
  struct tt_decoder *decoder;
  struct tt_system_state state;
  struct tt_stream_state *streams; /* [n_cpus] */
  int64_t last;                    /* ts of its last event; INT64_MIN: none yet */
  struct tt_event *all;            /* of the round's stretches */
  struct tt_event *events;         /* of the stretch */
  size_t made;                     /* of the stretch */
};

struct tt_replica_row { /* one row of a batch */
  struct tt_replica *replica;
  uint16_t cpu;
  uint32_t thread, comm, call; /* who runs */
};

struct tt_replicas {              /* a team of replicas */
  const struct tt_system *system; /* of the workload that is made */
  const struct tt_generate_config *config;
  struct tt_compute *compute;
  struct tt_replica *replicas; /* [n_replicas] */
  size_t n_replicas, n_cpus;
  size_t first; /* of the twin's replicas */
  bool *active; /* [n_cpus] something ever happened there */
  float *boost; /* [n_events + 1] added to logits of events (the last one, a block's end: 0) */
  /* a batch: at most n_replicas * n_cpus rows */
  struct tt_replica_row *rows;
  int32_t *ids, *drawn; /* ids: [rows, TT_SYSTEM_INPUTS] */
  size_t n;
  float *turns; /* [n_threads] scratch of tt_turns_choose */
};

/* What a generator does of it. */
struct tt_replica_ops {
  /* Makes what the generator needs beside a team; *ret is handed to all others. After a failure
   * *ret, unless NULL, is closed. */
  enum tt_status (*open)(const void *generator, struct tt_replicas *team, void **ret);
  void (*close)(void *user);
  /* Lets the network see the batch's rows: each is its stream's next. */
  void (*see)(void *user);
  /* Draws the pending event of each row of the batch, of which it is told what happened last. */
  void (*draw)(void *user);
  /* The streams begin anew, nothing was seen yet. NULL: nothing to be done. */
  void (*restart)(void *user);
  /* Lets the next event happen in every replica that isn't done, and draws what comes after. */
  void (*step)(void *user, size_t events);
};

/* Generates config->events of the workload config->label; `generator` is what ops->open gets. The
 * ops of several teams run at the same time. */
enum tt_status tt_replicas_generate(const struct tt_system *whole, const void *generator,
                                    const struct tt_replica_ops *ops,
                                    const struct tt_generate_config *config,
                                    const struct tt_event_sink *sink);

/* ---- one event ---- */

/* The CPU whose event comes next: the earliest, unless the merged trace never had it right after
 * the last one and another that may follow comes within `wait` ns. Those that it overtakes wait. */
enum { TT_REPLICA_WAIT = 20000 }; /* the usual */
size_t tt_replica_choose_cpu(const struct tt_replicas *replicas, struct tt_replica *replica,
                             int64_t wait);
/* [n_events] those that the merged trace ever had right after the replica's last one; NULL: nothing
 * happened yet. */
const bool *tt_replica_successors(const struct tt_replicas *replicas,
                                  const struct tt_replica *replica);
/* Lets the CPU's pending event happen: *ret is it. Who runs from now on is chosen where it is open;
 * what is known then goes into row i of the batch. */
void tt_replica_advance(struct tt_replicas *replicas, struct tt_replica *replica, size_t cpu,
                        size_t i, struct tt_event *ret);
/* Puts who runs on the row's CPU into it; TT_THREAD_ANY: not known. */
void tt_replica_tell_thread(const struct tt_replicas *replicas, uint32_t thread,
                            struct tt_replica_row *row);
/* The event is the stream's last. */
void tt_stream_remember(struct tt_stream_state *stream, uint16_t event);
/* The row's stream among the team's, and its ring. */
static inline size_t tt_replica_slot(const struct tt_replicas *replicas,
                                     const struct tt_replica_row *row) {
  return (size_t)(row->replica - replicas->replicas) * replicas->n_cpus + row->cpu;
}
static inline struct tt_stream_state *tt_replica_stream(const struct tt_replica_row *row) {
  return &row->replica->streams[row->cpu];
}

/* ---- drawing ---- */

struct tt_scale { /* logits of one row and how they combine with its prior */
  const float *logits, *prior;
  float gate;
  const float *boost; /* added to them; NULL: nothing */
};
static inline struct tt_scale tt_scale_of(const float *logits, const float *prior, size_t classes) {
  return (struct tt_scale){.logits = logits, .prior = prior, .gate = logits[classes]};
}
static inline double tt_scale_logit(const struct tt_scale *scale, size_t v) {
  return (double)scale->logits[v] + (double)scale->gate * (double)scale->prior[v] +
         (scale->boost ? (double)scale->boost[v] : 0);
}
/* One of values[n] with allow(v) (NULL: all), in proportion to exp(logit); -1: none is allowed. */
typedef bool tt_allow_fn(const void *what, int64_t value);
int64_t tt_scale_draw(const struct tt_scale *scale, const int64_t *values, size_t n,
                      tt_allow_fn *allow, const void *what, struct tt_rng *rng);

struct tt_place { /* where an event is to happen */
  const struct tt_system *system;
  struct tt_tally_row thread; /* of tt_system_thread_events; empty: whatever */
  uint16_t cpu;
  uint32_t comm, call; /* that the thread goes by, and is in */
};
bool tt_place_had(const void *place, int64_t event);                 /* its CPU */
bool tt_place_and_thread_had(const void *place, int64_t event);      /* and its thread, comm */
bool tt_place_thread_and_call_had(const void *place, int64_t event); /* and tt_system_call_had */
/* What may follow `previous` (TT_MARKOV_NO_EVENT: nothing happened yet), whatever its place: what
 * ever did, or anything where nothing did. */
struct tt_tally_row tt_system_candidates(const struct tt_system *system, uint16_t previous);

/* The row's pending event, from logits [n_events + 1]; prior: scratch for n_events. */
uint16_t tt_replica_draw_event(const struct tt_replicas *replicas, const struct tt_replica_row *row,
                               const float *logits, float *prior);
/* The row's pending event is `event`, whose return value and delay are still to be drawn. */
void tt_replica_pend(const struct tt_replica_row *row, uint16_t event);
/* The vocabulary id of its return value, -1: it never has one. logits: [n_rets + 1]. */
int32_t tt_replica_draw_ret(const struct tt_replicas *replicas, const struct tt_replica_row *row,
                            const float *logits, float *prior);
/* When it happens. logits: [TT_DELAY_BINS + 1]. */
void tt_replica_draw_delay(const struct tt_replicas *replicas, const struct tt_replica_row *row,
                           const float *logits, float *prior);
/* Classes of the widest head: scratch for a prior. */
size_t tt_system_widest(const struct tt_system *system);

#endif
