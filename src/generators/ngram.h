/* An order-k n-gram over events with interpolated Witten-Bell back-off: the counts of all contexts
 * of 0..k-1 preceding symbols, as a tree from the most recent symbol to older ones.
 *
 *   P(w | c) = (count(c, w) + T(c) P(w | c')) / (N(c) + T(c))
 *
 * with N(c) observations after context c, T(c) different symbols among them, c' the context less
 * its oldest symbol, and 1/V below the empty one (Witten & Bell, "The zero-frequency problem",
 * 1991, method C, interpolated as in Chen & Goodman 1998, section 2.3).
 *
 * An anchor (which CPU, say) may be conditioned on as well: it counts as one symbol older than the
 * full context, so that it refines contexts of length k-1 and backs off to the anchor-free tree.
 *
 * Thread safety: immutable once finished. */
#ifndef GENERATORS_NGRAM_H
#define GENERATORS_NGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rng.h"
#include "base/status.h"
#include "generators/map.h"
#include "generators/tally.h"

#define TT_NGRAM_MAX_ORDER 8
#define TT_NGRAM_NO_ANCHOR UINT32_MAX
#define TT_NGRAM_NONE UINT32_MAX

struct tt_ngram_history {
  uint16_t symbols[TT_NGRAM_MAX_ORDER]; /* [0]: the most recent */
  uint32_t n;                           /* how many are known since the stream's last break */
  uint32_t anchor;                      /* TT_NGRAM_NO_ANCHOR, or 0.. */
};

static inline void tt_ngram_push(struct tt_ngram_history *history, uint16_t symbol) {
  for (int i = TT_NGRAM_MAX_ORDER - 1; i > 0; i--)
    history->symbols[i] = history->symbols[i - 1];
  history->symbols[0] = symbol;
  history->n += history->n < TT_NGRAM_MAX_ORDER;
}

struct tt_ngram {
  uint32_t order;     /* 1..TT_NGRAM_MAX_ORDER */
  uint32_t n_symbols; /* V */
  size_t max_nodes;   /* no contexts are added beyond; the known ones still count */
  size_t n_nodes, nodes_capacity;
  uint32_t *parents;      /* [n_nodes] the context less its oldest symbol; parents[0] = 0 (empty) */
  uint32_t *oldest;       /* [n_nodes] the oldest symbol; from V on: an anchor */
  struct tt_map children; /* parent << 32 | oldest -> node */
  struct tt_tally counts; /* key: node, value: symbol; row number == node once finished */
};

/* max_nodes 0: 2^25 (some 2 GiB at worst). */
enum tt_status tt_ngram_init(struct tt_ngram *ret, uint32_t order, uint32_t n_symbols,
                             size_t max_nodes);
void tt_ngram_release(struct tt_ngram *ngram);
/* Counts `symbol` after `history` and pushes it there. TT_NO_MEMORY only. */
enum tt_status tt_ngram_add(struct tt_ngram *ngram, struct tt_ngram_history *history,
                            uint16_t symbol);
enum tt_status tt_ngram_finish(struct tt_ngram *ngram);
/* Finishes a tree read from a file: order, n_symbols, n_nodes, parents, oldest and packed counts
 * are set (owned); checked. The ngram is released on failure. */
enum tt_status tt_ngram_restore(struct tt_ngram *ngram);

/* P(symbol | history). leave_out: this very observation is part of the counts and is to be taken
 * out first (leave-one-out: counts less one, a context seen only then doesn't exist). */
double tt_ngram_probability(const struct tt_ngram *ngram, const struct tt_ngram_history *history,
                            uint16_t symbol, bool leave_out);
/* out[V] = log P(w | history) for every w; leave_out: the symbol whose one observation here is to
 * be taken out, or TT_NGRAM_NONE. O(V * order). */
void tt_ngram_logprob(const struct tt_ngram *ngram, const struct tt_ngram_history *history,
                      uint32_t leave_out, float *out);
/* Draws the next symbol. Contexts no longer than `floor` symbols don't back off (0: never to
 * symbols that weren't seen at all; 1: never to a transition that wasn't seen); with `floor` at the
 * order, the longest known context alone decides. allowed[V], may be NULL: symbols with 0 aren't
 * drawn unless nothing else was ever seen (the distribution is that of the rest; where they make up
 * nearly all, that of the rest in the longest context that has any). */
uint16_t tt_ngram_draw(const struct tt_ngram *ngram, const struct tt_ngram_history *history,
                       uint32_t floor, const uint8_t *allowed, struct tt_rng *rng);

#endif
