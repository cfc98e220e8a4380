#include "generators/ngram.h"

#include <math.h>

#include "base/mem.h"

enum tt_status tt_ngram_init(struct tt_ngram *ret, uint32_t n_symbols, size_t max_nodes) {
  TT_ASSERT(n_symbols >= 1 && n_symbols <= 65536);
  struct tt_ngram ngram = {.n_symbols = n_symbols,
                           .max_nodes = max_nodes ? max_nodes : (size_t)1 << 25};
  if (tt_grow(&ngram.parents, &ngram.nodes_capacity, 1024, sizeof *ngram.parents) != 0 ||
      !(ngram.last = tt_alloc(ngram.nodes_capacity, sizeof *ngram.last))) {
    tt_ngram_release(&ngram);
    return tt_fail(TT_NO_MEMORY, "starting an n-gram");
  }
  ngram.parents[0] = ngram.last[0] = 0;
  ngram.n_nodes = 1;
  *ret = ngram;
  return TT_OK;
}

void tt_ngram_release(struct tt_ngram *ngram) {
  tt_free(ngram->parents);
  tt_free(ngram->last);
  tt_map_release(&ngram->children);
  tt_tally_release(&ngram->counts);
  *ngram = (struct tt_ngram){0};
}

static uint64_t child_key(uint32_t parent, uint32_t last) {
  return (uint64_t)parent << 32 | last;
}

/* A new child, or TT_MAP_NONE when memory is short. */
static uint32_t grow(struct tt_ngram *ngram, uint32_t parent, uint32_t symbol) {
  if (ngram->n_nodes == ngram->nodes_capacity) {
    size_t capacity = ngram->nodes_capacity;
    uint32_t *last = tt_realloc(ngram->last, 2 * capacity, sizeof *last);
    if (!last)
      return TT_MAP_NONE;
    ngram->last = last;
    if (tt_grow(&ngram->parents, &ngram->nodes_capacity, 2 * capacity, sizeof *ngram->parents) != 0)
      return TT_MAP_NONE;
  }
  uint32_t node = (uint32_t)ngram->n_nodes;
  if (tt_map_put(&ngram->children, child_key(parent, symbol), node) != 0)
    return TT_MAP_NONE;
  ngram->parents[node] = parent;
  ngram->last[node] = symbol;
  ngram->n_nodes++;
  return node;
}

enum tt_status tt_ngram_add(struct tt_ngram *ngram, const struct tt_ngram_context *context,
                            uint16_t symbol) {
  TT_ASSERT(symbol < ngram->n_symbols && context->n <= TT_NGRAM_DEPTH);
  uint32_t node = 0;
  for (uint32_t length = 0;; length++) {
    enum tt_status status = tt_tally_add(&ngram->counts, node, symbol);
    if (status != TT_OK || length == context->n)
      return status;
    uint32_t child = tt_map_get(&ngram->children, child_key(node, context->symbols[length]));
    if (child == TT_MAP_NONE) {
      if (ngram->n_nodes >= ngram->max_nodes)
        return TT_OK;
      child = grow(ngram, node, context->symbols[length]);
      if (child == TT_MAP_NONE)
        return tt_fail(TT_NO_MEMORY, "an n-gram of %zu contexts", ngram->n_nodes);
    }
    node = child;
  }
}

enum tt_status tt_ngram_finish(struct tt_ngram *ngram) {
  enum tt_status status = tt_tally_finish(&ngram->counts);
  if (status != TT_OK)
    return status;
  if (ngram->counts.n_rows == 0)
    return tt_fail(TT_BAD_INPUT, "no events to count");
  TT_ASSERT(ngram->counts.n_rows == ngram->n_nodes); /* each got a count when it was made */
  return TT_OK;
}

enum tt_status tt_ngram_restore(struct tt_ngram *ngram) {
  enum tt_status status = TT_OK;
  if (ngram->n_nodes < 1 || ngram->n_nodes >= TT_MAP_NONE || ngram->counts.n_rows != ngram->n_nodes)
    status = tt_fail(TT_BAD_INPUT, "n-gram: %zu contexts with %zu rows of counts", ngram->n_nodes,
                     ngram->counts.n_rows);
  for (size_t i = 0; status == TT_OK && i < ngram->n_nodes; i++) {
    uint64_t key = child_key(ngram->parents[i], ngram->last[i]);
    if (ngram->counts.keys[i] != i || (i > 0 && ngram->parents[i] >= i))
      status = tt_fail(TT_BAD_INPUT, "n-gram: context %zu is out of order", i);
    else if (i > 0 && tt_map_get(&ngram->children, key) != TT_MAP_NONE)
      status = tt_fail(TT_BAD_INPUT, "n-gram: context %zu is there twice", i);
    else if (i > 0 && tt_map_put(&ngram->children, key, (uint32_t)i) != 0)
      status = tt_fail(TT_NO_MEMORY, "an n-gram of %zu contexts", ngram->n_nodes);
  }
  for (size_t i = 0; status == TT_OK && i < ngram->counts.n_pairs; i++)
    if (ngram->counts.values[i] < 0 || ngram->counts.values[i] >= ngram->n_symbols)
      status = tt_fail(TT_BAD_INPUT, "n-gram: symbol %lld of %u",
                       (long long)ngram->counts.values[i], ngram->n_symbols);
  if (status != TT_OK)
    tt_ngram_release(ngram);
  return status;
}

void tt_ngram_rows(const struct tt_ngram *ngram, const struct tt_ngram_context *context,
                   uint32_t shortest, struct tt_ngram_rows *rows) {
  uint32_t nodes[TT_NGRAM_DEPTH + 1] = {0}, n = 1;
  for (; n <= context->n; n++) {
    nodes[n] = tt_map_get(&ngram->children, child_key(nodes[n - 1], context->symbols[n - 1]));
    if (nodes[n] == TT_MAP_NONE)
      break;
  }
  for (uint32_t length = n; length-- > shortest;)
    rows->rows[rows->n++] = tt_tally_row(&ngram->counts, nodes[length]);
}

void tt_ngram_logprob(const struct tt_ngram_rows *rows, uint32_t n_symbols, uint32_t leave_out,
                      float *out) {
  for (uint32_t w = 0; w < n_symbols; w++)
    out[w] = 1.0f / (float)n_symbols;
  for (size_t i = rows->n; i-- > 0;) {
    const struct tt_tally_row *row = &rows->rows[i];
    uint64_t total = tt_tally_total(row), distinct = row->n, left_out = 0;
    if (leave_out < n_symbols && (left_out = tt_tally_count(row, leave_out)) > 0) {
      distinct -= left_out == 1;
      total--;
    }
    if (total == 0)
      continue;
    float share = 1.0f / (float)(total + distinct), keep = (float)distinct * share;
    for (uint32_t w = 0; w < n_symbols; w++)
      out[w] *= keep;
    for (size_t k = 0; k < row->n; k++) {
      uint64_t count = tt_tally_at(row, k);
      if (left_out && row->values[k] == leave_out)
        count--;
      out[row->values[k]] += (float)count * share;
    }
  }
  for (uint32_t w = 0; w < n_symbols; w++)
    out[w] = logf(fmaxf(out[w], 1e-30f));
}
