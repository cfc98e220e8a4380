/* A tree of contexts with the counts of what followed them: n-grams with back-off.
 *
 * A context is a list of symbols, the one to be kept longest first: for a plain n-gram the most
 * recent event, then the one before it, ...; whatever else is conditioned on (a thread, a state)
 * stands where it should be dropped. Every prefix of a context is a context of its own, counted as
 * well; prediction mixes them by Witten and Bell from the longest known one down (tally.h):
 *
 *   P(w | c) = (count(c, w) + T(c) P(w | c')) / (N(c) + T(c))
 *
 * with N(c) observations after context c, T(c) different symbols among them, c' the context less
 * its last symbol, and 1/V below the empty one (Witten & Bell, "The zero-frequency problem", 1991,
 * method C, interpolated as in Chen & Goodman 1998, section 2.3). Trees chain: the rows of a
 * second, more general tree may follow those of a first (tt_ngram_rows appends).
 *
 * Thread safety: immutable once finished. */
#ifndef GENERATORS_NGRAM_H
#define GENERATORS_NGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "generators/map.h"
#include "generators/tally.h"

#define TT_NGRAM_DEPTH 10 /* longest context */

struct tt_ngram_context {
  uint32_t symbols[TT_NGRAM_DEPTH]; /* [0]: kept longest */
  uint32_t n;
};

/* Rows of several trees, the most specific first. */
struct tt_ngram_rows {
  struct tt_tally_row rows[2 * (TT_NGRAM_DEPTH + 1)];
  size_t n;
};

struct tt_ngram {
  uint32_t n_symbols; /* V: what is counted is 0..V-1; context symbols may be any numbers */
  size_t max_nodes;   /* no contexts are added beyond; the known ones still count */
  size_t n_nodes, nodes_capacity;
  uint32_t *parents;      /* [n_nodes] the context less its last symbol; parents[0] = 0 (empty) */
  uint32_t *last;         /* [n_nodes] that symbol */
  struct tt_map children; /* parent << 32 | last -> node */
  struct tt_tally counts; /* key: node, value: symbol; row number == node once finished */
};

/* max_nodes 0: 2^25 (some 2 GiB at worst). */
enum tt_status tt_ngram_init(struct tt_ngram *ret, uint32_t n_symbols, size_t max_nodes);
void tt_ngram_release(struct tt_ngram *ngram);
/* Counts `symbol` after `context` and all its prefixes. TT_NO_MEMORY only. */
enum tt_status tt_ngram_add(struct tt_ngram *ngram, const struct tt_ngram_context *context,
                            uint16_t symbol);
enum tt_status tt_ngram_finish(struct tt_ngram *ngram);
/* Finishes a tree read from a file: n_symbols, n_nodes, parents, last and packed counts are set
 * (owned); checked. The ngram is released on failure. */
enum tt_status tt_ngram_restore(struct tt_ngram *ngram);

/* Appends the rows of the context's known prefixes, longest first, down to `shortest` symbols. */
void tt_ngram_rows(const struct tt_ngram *ngram, const struct tt_ngram_context *context,
                   uint32_t shortest, struct tt_ngram_rows *rows);
/* out[V] = log P(w | rows) for every w; leave_out: a symbol one of whose observations here is to be
 * taken out first (leave-one-out: training a network on top of counts of the same data), or
 * UINT32_MAX. O(V * rows). Single probabilities and draws: tt_backoff_* of tally.h. */
void tt_ngram_logprob(const struct tt_ngram_rows *rows, uint32_t n_symbols, uint32_t leave_out,
                      float *out);

#endif
