/* The generator `markov`: counting, done well. The rival every learned generator has to beat.
 *
 *   events   order-k n-gram over each CPU's stream (or the merged one), Witten-Bell back-off: first
 *            that of the running thread alone, then that of all threads, each refined after full
 *            contexts by the system call the thread is in
 *   dt       empirical, given (CPU, previous event, event), backing off to (previous, event), event
 *   cpu      that of the stream; merged: given (previous CPU, previous event, event)
 *   thread   chosen at a switch among those that run nowhere else, given the thread that leaves and
 *            the two events before, backing off to (leaving, event before), (CPU, event before),
 *            CPU; that the leaving thread has one more event is one of the choices
 *   comm     the thread's (decode.h)
 *   ret      given (event, comm), backing off to event
 *
 * Where training has several workload labels, each is a model of its own (`workloads`), of which
 * nothing is known of the others; then this one has no counts itself.
 *
 * Nothing is counted across a gap. Memory is bounded by limits on contexts, pairs and samples. */
#ifndef GENERATORS_MARKOV_MARKOV_H
#define GENERATORS_MARKOV_MARKOV_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "dataset/dataset.h"
#include "generators/cast.h"
#include "generators/decode.h"
#include "generators/generator.h"
#include "generators/markov/delays.h"
#include "generators/ngram.h"
#include "generators/tally.h"

#define TT_MARKOV_MAX_ORDER 6
#define TT_MARKOV_STARTS 8                  /* real contexts to begin with, per stream */
#define TT_MARKOV_IDLE UINT32_C(0xffffff)   /* "the idle thread of that CPU" among threads */
#define TT_MARKOV_SAME UINT32_C(0xfffffe)   /* "that which leaves", for one more event */
#define TT_MARKOV_NO_EVENT UINT16_C(0xffff) /* not known: the stream had just begun */

struct tt_markov_history { /* the last events of a stream since it began, or since a gap */
  uint16_t events[TT_MARKOV_MAX_ORDER]; /* [0]: the last */
  uint32_t n;
};

struct tt_markov_start { /* a stream's state after some real event */
  struct tt_markov_history history;
  uint32_t thread; /* cast index: who ran there, TT_THREAD_ANY: unknown */
  uint16_t cpu;
};

struct tt_markov_recent { /* the last events of a CPU */
  uint16_t events[3];     /* [0]: the last; TT_MARKOV_NO_EVENT: not known */
};

struct tt_markov_starts {
  uint32_t n; /* 0: the stream never had an event */
  struct tt_markov_start starts[TT_MARKOV_STARTS];
};

struct tt_markov {
  struct tt_generator base;
  bool backoff;   /* false: the longest known context alone decides */
  uint32_t order; /* events that decide, the next one included */
  bool own;       /* each thread has its own n-gram before the common one (CPU streams) */
  uint32_t floor; /* contexts of no more symbols don't back off while drawing */
  struct tt_cast cast;
  struct tt_ngram common;  /* contexts [event, the one before, ..., call] */
  struct tt_ngram threads; /* contexts [thread, event, the one before, ..., call] */
  struct tt_delays delays;
  struct tt_tally turns; /* key tt_markov_turn_key: next thread, TT_MARKOV_IDLE or _SAME */
  struct tt_tally rets;  /* key tt_markov_ret_key: return value */
  struct tt_tally cpus;  /* key tt_markov_cpu_key: CPU (merged stream only) */
  struct tt_markov_starts *starts; /* [n_streams] */
  size_t n_streams;                /* base.cpu_limit, or 1 */
  /* derived by tt_markov_index() */
  uint32_t *idle; /* [cpu_limit] idle thread, or TT_THREAD_ANY */
  /* [tt_generator_workloads of base] one for each label: markov models; none: counted as one */
  struct tt_generator **workloads;
  size_t n_workloads;
};

extern const struct tt_generator_ops tt_markov_ops;

/* ---- keys: level 0 is the most specific ---- */
#define TT_MARKOV_TURN_LEVELS 4
#define TT_MARKOV_TURN_MIXED                                                                       \
  2 /* these are mixed; the others serve when nobody of these is free                              \
     */
/* before, earlier: tt_markov_before. */
static inline uint64_t tt_markov_turn_key(unsigned level, uint32_t leaving, uint16_t cpu,
                                          uint16_t before, uint16_t earlier) {
  uint64_t tag = (uint64_t)level << 60, who = (uint64_t)leaving << 32, where = (uint64_t)cpu << 32;
  switch (level) {
  case 0:
    return tag | who | (uint64_t)before << 16 | earlier;
  case 1:
    return tag | who | before;
  case 2:
    return tag | where | before;
  default:
    return tag | where;
  }
}
/* The thread that a value of `turns` stands for on a CPU. */
static inline uint32_t tt_markov_thread_of(const struct tt_markov *markov, int64_t turn,
                                           uint16_t cpu, uint32_t leaving) {
  return turn == TT_MARKOV_IDLE   ? markov->idle[cpu]
         : turn == TT_MARKOV_SAME ? leaving
                                  : (uint32_t)turn;
}
#define TT_MARKOV_DELAY_LEVELS 3
static inline uint64_t tt_markov_delay_key(unsigned level, uint16_t cpu, uint16_t previous,
                                           uint16_t event) {
  uint64_t tag = (uint64_t)level << 60 | event;
  if (level < 2)
    tag |= (uint64_t)previous << 16;
  if (level < 1)
    tag |= (uint64_t)cpu << 32;
  return tag;
}
#define TT_MARKOV_RET_LEVELS 2
static inline uint64_t tt_markov_ret_key(unsigned level, uint16_t event, uint32_t comm) {
  return level == 0 ? (uint64_t)event << 32 | comm : (uint64_t)1 << 60 | event;
}
#define TT_MARKOV_CPU_LEVELS 3
static inline uint64_t tt_markov_cpu_key(unsigned level, uint16_t previous_cpu, uint16_t previous,
                                         uint16_t event) {
  return tt_markov_delay_key(level == 2 ? 2 : 0, previous_cpu, level == 0 ? previous : 0, event) |
         (uint64_t)level << 60;
}

/* Whether the event is one after which another thread may run; false: NO_EVENT, or no event is. */
static inline bool tt_markov_switches(const struct tt_markov *markov, uint16_t event) {
  return event < markov->cast.n_events && markov->cast.events[event].role == TT_ROLE_SWITCH;
}
/* The two events that tell who comes, as tt_markov_turn_key wants them: those before the CPU's last
 * switch; where the thread stayed for one more event, that and the one before the switch; where no
 * event switches threads, the last two. */
struct tt_markov_before {
  uint16_t before, earlier;
};
static inline struct tt_markov_before tt_markov_before(const struct tt_markov *markov,
                                                       const struct tt_markov_recent *recent) {
  const uint16_t *events = recent->events;
  if (!markov->cast.switches)
    return (struct tt_markov_before){events[0], events[1]};
  if (!tt_markov_switches(markov, events[0]) && tt_markov_switches(markov, events[1]))
    return (struct tt_markov_before){events[0], events[2]};
  return (struct tt_markov_before){events[1], events[2]};
}
/* The rows of `turns` that tell it, the most specific first; leaving TT_THREAD_ANY: those that name
 * who leaves are empty. */
static inline void tt_markov_turn_rows(const struct tt_markov *markov, uint32_t leaving,
                                       uint16_t cpu, struct tt_markov_before at,
                                       struct tt_tally_row ret[TT_MARKOV_TURN_LEVELS]) {
  for (unsigned level = 0; level < TT_MARKOV_TURN_LEVELS; level++)
    ret[level] = tt_tally_find(&markov->turns,
                               tt_markov_turn_key(level, leaving, cpu, at.before, at.earlier));
}
static inline void tt_markov_remember(struct tt_markov_recent *recent, uint16_t event) {
  recent->events[2] = recent->events[1];
  recent->events[1] = recent->events[0];
  recent->events[0] = event;
}

static inline void tt_markov_push(struct tt_markov_history *history, uint16_t event) {
  for (int i = TT_MARKOV_MAX_ORDER - 1; i > 0; i--)
    history->events[i] = history->events[i - 1];
  history->events[0] = event;
  history->n += history->n < TT_MARKOV_MAX_ORDER;
}

/* Which system call a thread is in: the entry's id, or: */
#define TT_MARKOV_NO_CALL UINT32_C(0xffff)
#define TT_MARKOV_CALL_UNKNOWN UINT32_C(0xfffe)

/* ---- the parts (learn.c, sample.c, model.c) ---- */
/* Counts everything in the training rows (config->label); the options are set in `markov`, the rest
 * zeroed. */
enum tt_status tt_markov_learn(struct tt_markov *markov, const struct tt_train_config *config);
/* Builds what is derived, checking that ids of the counts are in range (TT_BAD_INPUT). */
enum tt_status tt_markov_index(struct tt_markov *markov);
/* What followed the event: nothing where it ended the trace. */
struct tt_tally_row tt_markov_successors(const struct tt_markov *markov, uint16_t event);
/* Whether `counts` are a markov model of one workload that can be a part of `whole`: of the same
 * streams, with the same dictionaries and CPUs. */
bool tt_markov_is_part(const struct tt_generator *counts, const struct tt_generator *whole);

/* Event types that come from elsewhere; the counts give all the rest of each event. Streams are
 * those that have events, in order: 0 .. n - 1. */
struct tt_markov_events {
  void *user;
  /* All streams have begun, each where this real one stood. */
  enum tt_status (*begin)(void *user, const struct tt_markov_start *const *starts, size_t n);
  /* < events.n, and seen in training */
  enum tt_status (*next)(void *user, size_t stream, uint16_t *ret);
  /* The k-th that is to come (0: what `next` gives); false: not known yet. Who runs after a switch
   * is drawn given the events of the turn to come (own=1). */
  bool (*peek)(void *user, size_t stream, size_t k, uint16_t *ret);
};
/* events: NULL: its own. */
enum tt_status tt_markov_generate_around(const struct tt_markov *markov,
                                         const struct tt_markov_events *events,
                                         const struct tt_generate_config *config,
                                         const struct tt_event_sink *sink);
/* calls[n_threads]: which system call each thread is in (TT_MARKOV_NO_CALL, _CALL_UNKNOWN), all
 * unknown; NULL when memory is short. And what an event of the thread does to it. */
uint32_t *tt_markov_new_calls(const struct tt_markov *markov);
void tt_markov_follow_call(const struct tt_markov *markov, uint32_t *calls, uint32_t thread,
                           uint16_t event);
/* Who runs on the CPU after `leaving` switched away: never a thread that runs elsewhere; `leaving`
 * where it has one more event, and afterwards where it goes on. TT_THREAD_ANY: nobody of those who
 * ever did is free. */
uint32_t tt_markov_choose_thread(const struct tt_markov *markov, const struct tt_decoder *decoder,
                                 const struct tt_markov_recent *recent, uint16_t cpu,
                                 uint32_t leaving, struct tt_rng *rng);
/* Puts it there. recent: of the CPU. */
void tt_markov_enter(const struct tt_markov *markov, struct tt_decoder *decoder,
                     const struct tt_markov_recent *recent, uint16_t cpu, uint32_t thread);
/* The contexts of the next event of a stream: common, and the thread's own (n = 0 when it isn't
 * known). */
void tt_markov_contexts(const struct tt_markov *markov, const struct tt_markov_history *history,
                        uint32_t thread, uint32_t call, struct tt_ngram_context *common,
                        struct tt_ngram_context *own);
/* Their rows, the most specific first; contexts of fewer than `shortest` events are left out unless
 * there is no other. At least one. */
void tt_markov_rows(const struct tt_markov *markov, const struct tt_markov_history *history,
                    uint32_t thread, uint32_t call, uint32_t shortest, struct tt_ngram_rows *ret);
/* Mean -log P(event | context), nats, over at most `limit` events (0: all) among these rows of a
 * dataset with the same dictionaries. leave_out: they are those learned from (leave-one-out
 * counts). NaN when there are no events or no memory. */
double tt_markov_cross_entropy(const struct tt_markov *markov, const struct tt_dataset *dataset,
                               const struct tt_row_set *rows, bool leave_out, uint64_t limit);

#endif
