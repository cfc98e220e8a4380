#include "generators/ngram.h"

#include <math.h>

#include "base/mem.h"

#define TRIES 16 /* of drawing an allowed symbol before the whole distribution is worked out */

enum tt_status tt_ngram_init(struct tt_ngram *ret, uint32_t order, uint32_t n_symbols,
                             size_t max_nodes) {
  TT_ASSERT(order >= 1 && order <= TT_NGRAM_MAX_ORDER && n_symbols >= 1 && n_symbols <= 65536);
  struct tt_ngram ngram = {
      .order = order, .n_symbols = n_symbols, .max_nodes = max_nodes ? max_nodes : (size_t)1 << 25};
  if (tt_grow(&ngram.parents, &ngram.nodes_capacity, 1024, sizeof *ngram.parents) != 0 ||
      !(ngram.oldest = tt_alloc(ngram.nodes_capacity, sizeof *ngram.oldest))) {
    tt_ngram_release(&ngram);
    return tt_fail(TT_NO_MEMORY, "starting an n-gram");
  }
  ngram.parents[0] = ngram.oldest[0] = 0;
  ngram.n_nodes = 1;
  *ret = ngram;
  return TT_OK;
}

void tt_ngram_release(struct tt_ngram *ngram) {
  tt_free(ngram->parents);
  tt_free(ngram->oldest);
  tt_map_release(&ngram->children);
  tt_tally_release(&ngram->counts);
  *ngram = (struct tt_ngram){0};
}

/* The symbol that leads from a context of `length` symbols to one longer, or TT_NGRAM_NONE. */
static uint32_t step(const struct tt_ngram *ngram, const struct tt_ngram_history *history,
                     uint32_t length) {
  if (length + 1 < ngram->order)
    return length < history->n ? history->symbols[length] : TT_NGRAM_NONE;
  if (length + 1 == ngram->order && history->anchor != TT_NGRAM_NO_ANCHOR)
    return ngram->n_symbols + history->anchor;
  return TT_NGRAM_NONE;
}

/* nodes[i]: the context of i symbols, as far as it is known. Returns how many, >= 1. */
static uint32_t walk(const struct tt_ngram *ngram, const struct tt_ngram_history *history,
                     uint32_t nodes[TT_NGRAM_MAX_ORDER + 1]) {
  uint32_t n = 1;
  nodes[0] = 0;
  for (uint32_t symbol; (symbol = step(ngram, history, n - 1)) != TT_NGRAM_NONE; n++) {
    nodes[n] = tt_map_get(&ngram->children, (uint64_t)nodes[n - 1] << 32 | symbol);
    if (nodes[n] == TT_MAP_NONE)
      break;
  }
  return n;
}

/* A new child, or TT_MAP_NONE when memory is short. */
static uint32_t grow(struct tt_ngram *ngram, uint32_t parent, uint32_t symbol) {
  if (ngram->n_nodes == ngram->nodes_capacity) {
    size_t capacity = ngram->nodes_capacity;
    uint32_t *oldest = tt_realloc(ngram->oldest, 2 * capacity, sizeof *oldest);
    if (!oldest)
      return TT_MAP_NONE;
    ngram->oldest = oldest;
    if (tt_grow(&ngram->parents, &ngram->nodes_capacity, 2 * capacity, sizeof *ngram->parents) != 0)
      return TT_MAP_NONE;
  }
  uint32_t node = (uint32_t)ngram->n_nodes;
  if (tt_map_put(&ngram->children, (uint64_t)parent << 32 | symbol, node) != 0)
    return TT_MAP_NONE;
  ngram->parents[node] = parent;
  ngram->oldest[node] = symbol;
  ngram->n_nodes++;
  return node;
}

enum tt_status tt_ngram_add(struct tt_ngram *ngram, struct tt_ngram_history *history,
                            uint16_t symbol) {
  TT_ASSERT(symbol < ngram->n_symbols);
  uint32_t node = 0;
  for (uint32_t length = 0;; length++) {
    enum tt_status status = tt_tally_add(&ngram->counts, node, symbol);
    if (status != TT_OK)
      return status;
    uint32_t older = step(ngram, history, length);
    if (older == TT_NGRAM_NONE)
      break;
    uint32_t child = tt_map_get(&ngram->children, (uint64_t)node << 32 | older);
    if (child == TT_MAP_NONE) {
      if (ngram->n_nodes == ngram->max_nodes)
        break;
      child = grow(ngram, node, older);
      if (child == TT_MAP_NONE)
        return tt_fail(TT_NO_MEMORY, "an n-gram of %zu contexts", ngram->n_nodes);
    }
    node = child;
  }
  tt_ngram_push(history, symbol);
  return TT_OK;
}

enum tt_status tt_ngram_finish(struct tt_ngram *ngram) {
  enum tt_status status = tt_tally_finish(&ngram->counts);
  if (status != TT_OK)
    return status;
  /* every node got a count when it was made, so row i is node i (but for an untrained root) */
  TT_ASSERT(ngram->counts.n_rows == ngram->n_nodes || ngram->counts.n_rows == 0);
  return ngram->counts.n_rows ? TT_OK : tt_fail(TT_BAD_INPUT, "no events to count");
}

enum tt_status tt_ngram_restore(struct tt_ngram *ngram) {
  enum tt_status status = TT_OK;
  if (ngram->order < 1 || ngram->order > TT_NGRAM_MAX_ORDER || ngram->n_nodes < 1 ||
      ngram->n_nodes >= TT_MAP_NONE || ngram->counts.n_rows != ngram->n_nodes)
    status = tt_fail(TT_BAD_INPUT, "n-gram: %zu contexts with %zu rows of counts", ngram->n_nodes,
                     ngram->counts.n_rows);
  for (size_t i = 0; status == TT_OK && i < ngram->n_nodes; i++) {
    if (ngram->counts.keys[i] != i || (i > 0 && ngram->parents[i] >= i))
      status = tt_fail(TT_BAD_INPUT, "n-gram: context %zu is out of order", i);
    else if (i > 0) {
      uint64_t key = (uint64_t)ngram->parents[i] << 32 | ngram->oldest[i];
      if (tt_map_get(&ngram->children, key) != TT_MAP_NONE)
        status = tt_fail(TT_BAD_INPUT, "n-gram: context %zu is there twice", i);
      else if (tt_map_put(&ngram->children, key, (uint32_t)i) != 0)
        status = tt_fail(TT_NO_MEMORY, "an n-gram of %zu contexts", ngram->n_nodes);
    }
  }
  for (size_t i = 0; status == TT_OK && i < ngram->counts.n_pairs; i++)
    if (ngram->counts.values[i] < 0 || ngram->counts.values[i] >= ngram->n_symbols)
      status = tt_fail(TT_BAD_INPUT, "n-gram: symbol %lld of %u",
                       (long long)ngram->counts.values[i], ngram->n_symbols);
  if (status != TT_OK)
    tt_ngram_release(ngram);
  return status;
}

double tt_ngram_probability(const struct tt_ngram *ngram, const struct tt_ngram_history *history,
                            uint16_t symbol, bool leave_out) {
  uint32_t nodes[TT_NGRAM_MAX_ORDER + 1], n = walk(ngram, history, nodes);
  double p = 1.0 / ngram->n_symbols;
  for (uint32_t i = 0; i < n; i++) {
    struct tt_tally_row row = tt_tally_row(&ngram->counts, nodes[i]);
    uint64_t count = tt_tally_count(&row, symbol), total = tt_tally_total(&row), distinct = row.n;
    if (leave_out && count > 0) {
      distinct -= count == 1;
      count--;
      total--;
    }
    if (total > 0)
      p = ((double)count + (double)distinct * p) / (double)(total + distinct);
  }
  return p;
}

/* p[V]: the distribution after the n contexts of a walk. */
static void distribution(const struct tt_ngram *ngram, const uint32_t *nodes, uint32_t n,
                         uint32_t leave_out, float *p) {
  for (uint32_t w = 0; w < ngram->n_symbols; w++)
    p[w] = 1.0f / (float)ngram->n_symbols;
  for (uint32_t i = 0; i < n; i++) {
    struct tt_tally_row row = tt_tally_row(&ngram->counts, nodes[i]);
    uint64_t total = tt_tally_total(&row), distinct = row.n, left_out = 0;
    if (leave_out != TT_NGRAM_NONE && (left_out = tt_tally_count(&row, leave_out)) > 0) {
      distinct -= left_out == 1;
      total--;
    }
    if (total == 0)
      continue;
    float share = 1.0f / (float)(total + distinct), keep = (float)distinct * share;
    for (uint32_t w = 0; w < ngram->n_symbols; w++)
      p[w] *= keep;
    for (size_t k = 0; k < row.n; k++)
      p[row.values[k]] += (float)tt_tally_at(&row, k) * share;
    if (left_out)
      p[leave_out] = fmaxf(p[leave_out] - share, 0.0f);
  }
}

void tt_ngram_logprob(const struct tt_ngram *ngram, const struct tt_ngram_history *history,
                      uint32_t leave_out, float *out) {
  uint32_t nodes[TT_NGRAM_MAX_ORDER + 1], n = walk(ngram, history, nodes);
  distribution(ngram, nodes, n, leave_out, out);
  for (uint32_t w = 0; w < ngram->n_symbols; w++)
    out[w] = logf(fmaxf(out[w], 1e-30f));
}

/* Draws from the levels from the longest context down, exactly as they mix; the shortest, of
 * min(floor, n - 1) symbols, doesn't back off. */
static uint16_t draw_once(const struct tt_ngram *ngram, const uint32_t *nodes, uint32_t n,
                          uint32_t floor, struct tt_rng *rng) {
  struct tt_tally_row rows[TT_NGRAM_MAX_ORDER + 1];
  uint32_t n_rows = 0, last = floor < n - 1 ? floor : n - 1;
  for (uint32_t i = n; i-- > last;)
    rows[n_rows++] = tt_tally_row(&ngram->counts, nodes[i]);
  int64_t symbol = 0;
  bool drawn = tt_backoff_draw(rows, n_rows, rng, &symbol);
  TT_ASSERT(drawn);
  return (uint16_t)symbol;
}

uint16_t tt_ngram_draw(const struct tt_ngram *ngram, const struct tt_ngram_history *history,
                       uint32_t floor, const uint8_t *allowed, struct tt_rng *rng) {
  uint32_t nodes[TT_NGRAM_MAX_ORDER + 1], n = walk(ngram, history, nodes);
  uint16_t symbol = draw_once(ngram, nodes, n, floor, rng);
  if (!allowed || allowed[symbol])
    return symbol;
  for (int i = 1; i < TRIES; i++) {
    symbol = draw_once(ngram, nodes, n, floor, rng);
    if (allowed[symbol])
      return symbol;
  }
  /* What is allowed is rare here: from each level in turn, its allowed symbols alone. */
  for (uint32_t i = n; i-- > 0;) {
    struct tt_tally_row row = tt_tally_row(&ngram->counts, nodes[i]);
    uint64_t total = 0;
    for (size_t k = 0; k < row.n; k++)
      total += allowed[row.values[k]] ? tt_tally_at(&row, k) : 0;
    if (total == 0)
      continue;
    uint64_t at = tt_rng_below(rng, total);
    for (size_t k = 0; k < row.n; k++) {
      uint64_t count = allowed[row.values[k]] ? tt_tally_at(&row, k) : 0;
      if (at < count)
        return (uint16_t)row.values[k];
      at -= count;
    }
  }
  return symbol;
}
