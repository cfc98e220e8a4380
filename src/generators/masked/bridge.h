/* A Markov chain over a block's tokens: the events, and END after an event that ends the block.
 *
 * Bridge: where a token's neighbours within a block are masked, its probability given the nearest
 * revealed ones, u on the left a places before and w on the right b places after, is in proportion
 * to P^a(u, v) P^b(v, w), the product of what forward and backward passes through the transitions
 * would give (Doob's h-transform). P is the Witten-Bell bigram, so that every event is possible;
 * what was ever seen is kept beside. */
#ifndef GENERATORS_MASKED_BRIDGE_H
#define GENERATORS_MASKED_BRIDGE_H

#include "generators/markov/markov.h"

struct tt_bridge {
  size_t n_events, n_tokens; /* n_tokens = n_events + 1: END is n_events */
  size_t block;
  bool *ends;      /* [n_events] another thread may run after it */
  size_t n_rows;   /* of logs: the tokens, nothing known, then events that end, to begin a block */
  uint32_t *begin; /* [n_tokens + 1] the row of a token before the block; n_tokens: nothing known */
  float *logs;     /* [block, n_rows, n_tokens] log P^(k+1) */
  uint32_t *first; /* [n_events + 2] successors of u are next[first[u]..first[u + 1]); the last row:
                      all events that there were, which also serve where nothing ever followed */
  uint16_t *next;
  uint16_t end; /* n_events */
};

/* From the counts of a markov model. TT_USAGE when the block is too long for so many events. */
enum tt_status tt_bridge_init(const struct tt_markov *markov, size_t block, struct tt_bridge *ret);
void tt_bridge_release(struct tt_bridge *bridge);
/* log P of the tokens k >= 1 places after the token u of the same block, or after bridge->begin[u]
 * where u stands before the block: [n_tokens]. */
static inline const float *tt_bridge_logs(const struct tt_bridge *bridge, size_t k, size_t u) {
  return bridge->logs + ((k - 1) * bridge->n_rows + u) * bridge->n_tokens;
}
/* What was ever seen to follow u, an event or n_tokens (nothing is known). */
static inline const uint16_t *tt_bridge_followers(const struct tt_bridge *bridge, size_t u,
                                                  size_t *ret_n) {
  const size_t row = u < bridge->n_events ? u : bridge->n_events;
  *ret_n = bridge->first[row + 1] - bridge->first[row];
  return bridge->next + bridge->first[row];
}
/* What may follow the token u within a block. */
static inline const uint16_t *tt_bridge_inside(const struct tt_bridge *bridge, size_t u,
                                               size_t *ret_n) {
  if (u < bridge->n_events && !bridge->ends[u])
    return tt_bridge_followers(bridge, u, ret_n);
  *ret_n = 1;
  return &bridge->end;
}

#endif
