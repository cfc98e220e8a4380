/* Filling holes (fill.c): what is known around one (fill_site.c), and the candidates that are drawn
 * between (fill_draw.c).
 *
 * What comes after is known as well as what came before. A candidate is drawn event by event from
 * left to right, each event v with the model's probability times
 *
 *   psi(v) = P(the first event after the hole follows, so many events after v, and its thread runs)
 *
 * under a Markov chain that is cheap to look ahead with (the bridge of bridge.h, as long as the
 * hole, times whether a switch leads to that thread); what psi got wrong is put right by weights
 * (fill.c). That is Doob's h-transform with an approximate h: the "twisted" proposals of Whiteley &
 * Lee (2014) and Guarniero, Johansen & Lee (2017).
 *
 * Who runs in a hole: who ran before it, until the first event after which another thread may run;
 * then those that counting allows and that no other CPU has meanwhile; at its end who ran after. */
#ifndef GENERATORS_MASKED_FILL_H
#define GENERATORS_MASKED_FILL_H

#include "dataset/holes.h"
#include "generators/masked/masked.h"
#include "generators/system/replicas.h"

enum {
  TT_FILL_RIGHT = 16,  /* most events after a hole that weigh */
  TT_FILL_SLOTS = 256, /* candidates that are drawn side by side, of several holes */
};

/* Who runs in a hole: a thread of the cast, TT_THREAD_ANY (nobody in particular), or who ran before
 * or after it (whom the cast needn't have). */
#define TT_FILL_BEFORE (UINT32_MAX - 1)
#define TT_FILL_AFTER (UINT32_MAX - 2)

/* ---- what is around a hole (fill_site.c) ---- */

struct tt_fill_source {           /* the dataset that holes are in, or one workload of it */
  const struct tt_masked *masked; /* with the counts of that workload */
  const struct tt_system_source *data;
  bool right;      /* what comes after a hole is known */
  float *chances;  /* [n_events, n_events] of the Witten-Bell bigram */
  uint64_t row;    /* how far it was gone through */
  uint32_t *calls; /* [n_threads] as tt_markov_new_calls, before that row */
  uint32_t *comms; /* [n_threads] what each went by last; TT_COMM_NONE: not seen yet */
};

/* masked, data: borrowed. */
enum tt_status tt_fill_source_open(const struct tt_masked *masked,
                                   const struct tt_system_source *data, bool right,
                                   struct tt_fill_source *ret);
void tt_fill_source_close(struct tt_fill_source *source); /* accepts zeroed */

struct tt_fill_site {
  const struct tt_fill_source *source;
  struct tt_hole *hole;
  uint64_t *rows; /* [n_rows] of the CPU up to the hole, oldest first; at most the window */
  size_t n_rows;
  uint64_t right[TT_FILL_RIGHT]; /* rows after it; [0]: hole->right */
  size_t n_right;                /* 0: not to be known */
  struct tt_markov_history history;
  struct tt_markov_recent recent;
  uint32_t before, after;  /* cast indices of who ran, TT_THREAD_ANY: the cast doesn't have them */
  bool same, returns;      /* they are one; after is known and must run at the end */
  bool again;              /* after was seen to run right after itself */
  double chance;           /* roughly, that a switch leads to who ran after */
  double *ahead;           /* see tt_fill_site_ahead: [n + 1, 2, n_events] */
  uint32_t *calls, *comms; /* [n_threads] at the hole */
  bool *elsewhere;         /* [n_threads] runs on another CPU meanwhile */
  int64_t leaves, arrives; /* ns: `before` is on another CPU from then on; `after` until then */
};

/* Holes are to be asked for in their order. Release the site in any case. */
enum tt_status tt_fill_site_init(struct tt_fill_source *source, struct tt_hole *hole,
                                 struct tt_fill_site *ret);
void tt_fill_site_release(struct tt_fill_site *site);

/* In proportion to the chance of what comes after, `left` events after `event` (0: it is the
 * hole's last), which `who` ran; whether who runs next is `chosen` already: then `who` does. One
 * scale for each `left`. */
double tt_fill_site_ahead(const struct tt_fill_site *site, size_t left, uint32_t who,
                          uint16_t event, bool chosen);
/* Another thread may run after it. */
static inline bool tt_fill_ends(const struct tt_fill_site *site, uint16_t event) {
  return site->source->masked->bridge.ends[event];
}
static inline bool tt_fill_is_after(const struct tt_fill_site *site, uint32_t who) {
  return who == TT_FILL_AFTER || (who == TT_FILL_BEFORE && site->same);
}
/* The cast index, or TT_THREAD_ANY as in training. */
uint32_t tt_fill_thread(const struct tt_fill_site *site, uint32_t who);
uint32_t tt_fill_comm(const struct tt_fill_site *site, uint32_t who);
int32_t tt_fill_tid(const struct tt_fill_site *site, uint32_t who);
/* Who may run after `leaving`, and how likely: up to n_threads + 1; returns how many. Nobody in
 * particular where counting knows of nobody. weights: scratch, [n_threads]. */
size_t tt_fill_site_threads(const struct tt_fill_site *site, const struct tt_markov_recent *recent,
                            uint32_t leaving, double *weights, uint32_t *ret_who, double *ret_p);
/* The last event of any other CPU and how many others don't idle, `after` ns behind the left end.
 */
void tt_fill_site_others(const struct tt_fill_site *site, int64_t after, int32_t *ret_other,
                         size_t *ret_busy);
/* The ids of the left end, with who runs next. */
enum tt_status tt_fill_site_past(const struct tt_fill_site *site, int32_t *ret_ids,
                                 struct tt_system_moment *ret_last);

/* ---- candidates (fill_draw.c) ---- */

struct tt_fill_made {
  int64_t after; /* ns since the left end, before it is stretched */
  int64_t ret;
  uint32_t who;
  uint16_t event;
};

struct tt_fill_candidate {
  struct tt_replica replica; /* its streams only */
  struct tt_replica_row row; /* who runs in the block */
  struct tt_markov_recent recent;
  uint32_t who, next;   /* in the block; after its last event */
  double weight, ahead; /* log; what the weight holds of what is still to come */
  struct tt_masked_block block;
  size_t begun; /* the block's first event, counted from the hole's beginning */
  size_t at;    /* places of it that are revealed */
  bool whole;   /* no more are to come */
  bool done;    /* nor is another block */
  struct tt_masked_block_scratch *scratch;
  size_t seen;                    /* events that the encoder hasn't seen: ids */
  int32_t *ids;                   /* [block + 1, TT_SYSTEM_INPUTS] */
  int32_t last[TT_SYSTEM_INPUTS]; /* of the last event */
  uint32_t *calls;                /* [n_threads] */
  float *context, *decoded;       /* [width], [block, width] */
  float *state;                   /* [width] after the last event */
  float *logits;                  /* [reveals, n_tokens + 1] of this pass */
  struct tt_fill_made *made;      /* [n] */
  int64_t total;                  /* ns to the right end, before it is stretched */
};

struct tt_fill_crowd { /* a hole with its candidates */
  struct tt_fill_site site;
  struct tt_fill_candidate *candidates; /* [k] */
  struct tt_rng rng;
  struct tt_fill_made *made; /* [k, n] */
};

struct tt_filler {                /* some holes at a time */
  const struct tt_masked *masked; /* with the counts of the holes' workload */
  const struct tt_fill_config *config;
  struct tt_fill_source source;
  struct tt_compute *compute;
  struct tt_transformer_rings rings, near; /* of the encoder; of what ret and dt are told */
  struct tt_replicas replicas;             /* for its system only */
  size_t k, n_slots, n_threads;
  struct tt_fill_candidate *candidates; /* [n_slots] */
  struct tt_fill_crowd *crowds;
  size_t n_crowds;
  float *constant;   /* logits of a network that says nothing: zeros, and the gate open */
  double *proposals; /* [n_slots, n_tokens] */
  double *weights;   /* [n_slots, 2 * (n_threads + 1)] */
  uint32_t *whos;    /* [n_slots, n_threads + 1] */
  struct tt_fill_candidate **due;
  size_t n_due;
};

static inline size_t tt_fill_slot(const struct tt_filler *f,
                                  const struct tt_fill_candidate *candidate) {
  return (size_t)(candidate - f->candidates);
}

static inline struct tt_fill_crowd *tt_fill_crowd_of(const struct tt_filler *f,
                                                     const struct tt_fill_candidate *candidate) {
  return &f->crowds[tt_fill_slot(f, candidate) / f->k];
}

static inline struct tt_stream_state *tt_fill_stream(const struct tt_fill_candidate *candidate) {
  return tt_replica_stream(&candidate->row);
}

static inline const struct tt_columns *tt_fill_columns(const struct tt_filler *f) {
  return tt_dataset_columns(f->source.data->dataset);
}

/* Of the hole and what is known after it. */
static inline size_t tt_fill_length(const struct tt_fill_crowd *crowd) {
  return crowd->site.hole->n + crowd->site.n_right;
}

static inline struct tt_masked_block_site
tt_fill_block_site(const struct tt_fill_candidate *candidate) {
  return (struct tt_masked_block_site){.history = &tt_fill_stream(candidate)->history,
                                       .thread = candidate->row.thread,
                                       .call = candidate->row.call,
                                       .cpu = candidate->row.cpu};
}

/* Who runs event e of the crowd goes into the row: `who` if it is the hole's, else as recorded. */
void tt_fill_tell_row(const struct tt_filler *f, const struct tt_fill_crowd *crowd, size_t e,
                      uint32_t who, struct tt_fill_candidate *candidate);
/* Draws who runs after `event`, when `left` more are to come before the hole's right end. */
void tt_fill_choose_next(struct tt_filler *f, struct tt_fill_candidate *candidate, uint16_t event,
                         size_t left);
/* The states of candidates whose last event has just happened. */
void tt_fill_look(struct tt_filler *f, struct tt_fill_candidate *const *list, size_t n);
/* Every candidate goes on by one event, weights brought up to date; false when all are done. */
bool tt_fill_step(struct tt_filler *f);

#endif
