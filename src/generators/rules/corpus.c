#include "generators/rules/corpus.h"

#include <stdbool.h>
#include <string.h>

#include "base/mem.h"
#include "generators/map.h"

#define MOST_TOKENS ((size_t)1 << 20)
#define LONGEST_CHAIN 64  /* items */
#define MOST_SYMBOLS 2048 /* different tokens, so that pairs are counted in a matrix of 16 MiB */

/* Drops every second sequence. */
static void thin(struct tt_corpus *corpus) {
  size_t kept = 0;
  bool keep = true;
  for (size_t i = 0; i < corpus->n; i++) {
    if (keep)
      corpus->tokens[kept++] = corpus->tokens[i];
    if (corpus->tokens[i] == TT_TOKEN_END || corpus->tokens[i] == TT_TOKEN_CUT)
      keep = !keep;
  }
  corpus->n = kept;
  corpus->stride *= 2;
}

enum tt_status tt_corpus_add(struct tt_corpus *corpus, const uint32_t *tokens, size_t n) {
  if (corpus->stride == 0)
    corpus->stride = 1;
  if (corpus->seen++ % corpus->stride != 0)
    return TT_OK;
  if (tt_grow(&corpus->tokens, &corpus->capacity, corpus->n + n, sizeof *tokens) != 0)
    return tt_fail(TT_NO_MEMORY, "sequences of %zu events", corpus->n + n);
  memcpy(corpus->tokens + corpus->n, tokens, n * sizeof *tokens);
  corpus->n += n;
  if (corpus->n > MOST_TOKENS)
    thin(corpus);
  return TT_OK;
}

void tt_corpus_release(struct tt_corpus *corpus) {
  tt_free(corpus->tokens);
  *corpus = (struct tt_corpus){0};
}

void tt_chains_release(struct tt_chains *chains) {
  tt_free(chains->chains);
  *chains = (struct tt_chains){0};
}

struct chaining {
  struct tt_corpus *corpus; /* its tokens are symbols meanwhile; separators stay */
  uint32_t *tokens;         /* [n_symbols] what each symbol stands for */
  uint32_t *lengths;        /* [n_symbols] items */
  uint32_t *counts;         /* [limit * limit] of pairs */
  size_t n_symbols, limit;
};

/* Tokens -> symbols 0, 1, 2, ... in order of first appearance. */
static enum tt_status number_tokens(struct chaining *chaining, size_t most) {
  struct tt_corpus *corpus = chaining->corpus;
  struct tt_map index = {0};
  size_t capacity = 0;
  enum tt_status status = TT_OK;
  for (size_t i = 0; i < corpus->n && status == TT_OK; i++) {
    uint32_t token = corpus->tokens[i];
    if (token >= TT_TOKEN_START)
      continue;
    uint32_t symbol = tt_map_get(&index, token);
    if (symbol == TT_MAP_NONE) {
      symbol = (uint32_t)chaining->n_symbols;
      if (tt_grow(&chaining->tokens, &capacity, chaining->n_symbols + 1 + most,
                  sizeof *chaining->tokens) != 0 ||
          tt_map_put(&index, token, symbol) != 0)
        status = TT_NO_MEMORY;
      else
        chaining->tokens[chaining->n_symbols++] = token;
    }
    corpus->tokens[i] = symbol;
  }
  tt_map_release(&index);
  return status;
}

/* The most frequent pair that is short enough; runs of one symbol count each pair once. */
static uint32_t best_pair(struct chaining *chaining, uint32_t *ret_left, uint32_t *ret_right) {
  const struct tt_corpus *corpus = chaining->corpus;
  size_t n = chaining->n_symbols;
  memset(chaining->counts, 0, n * chaining->limit * sizeof *chaining->counts);
  for (size_t i = 1; i < corpus->n; i++) {
    uint32_t left = corpus->tokens[i - 1], right = corpus->tokens[i];
    if (left >= TT_TOKEN_START || right >= TT_TOKEN_START)
      continue;
    chaining->counts[left * chaining->limit + right]++;
    if (left == right && i + 1 < corpus->n && corpus->tokens[i + 1] == right)
      i++;
  }
  uint32_t most = 0;
  for (size_t left = 0; left < n; left++)
    for (size_t right = 0; right < n; right++) {
      uint32_t count = chaining->counts[left * chaining->limit + right];
      if (count > most && chaining->lengths[left] + chaining->lengths[right] <= LONGEST_CHAIN) {
        most = count;
        *ret_left = (uint32_t)left;
        *ret_right = (uint32_t)right;
      }
    }
  return most;
}

static void replace_pair(struct tt_corpus *corpus, uint32_t left, uint32_t right, uint32_t by) {
  size_t kept = 0;
  for (size_t i = 0; i < corpus->n; i++) {
    if (corpus->tokens[i] == left && i + 1 < corpus->n && corpus->tokens[i + 1] == right) {
      corpus->tokens[kept++] = by;
      i++;
    } else {
      corpus->tokens[kept++] = corpus->tokens[i];
    }
  }
  corpus->n = kept;
}

enum tt_status tt_corpus_chain(struct tt_corpus *corpus, size_t most, uint32_t least,
                               struct tt_chains *ret) {
  struct chaining chaining = {.corpus = corpus};
  struct tt_chains chains = {0};
  enum tt_status status = number_tokens(&chaining, most);
  size_t limit = chaining.limit = chaining.n_symbols + most;
  if (status == TT_OK && chaining.n_symbols > 0 && limit <= MOST_SYMBOLS) {
    chaining.counts = tt_alloc(limit * limit, sizeof *chaining.counts);
    chaining.lengths = tt_alloc(limit, sizeof *chaining.lengths);
    if (!chaining.counts || !chaining.lengths)
      status = TT_NO_MEMORY;
    for (size_t i = 0; status == TT_OK && i < limit; i++)
      chaining.lengths[i] = 1;
    while (status == TT_OK && chains.n < most) {
      uint32_t left = 0, right = 0, symbol = (uint32_t)chaining.n_symbols;
      if (best_pair(&chaining, &left, &right) < least)
        break;
      if (tt_grow(&chains.chains, &chains.capacity, chains.n + 1, sizeof *chains.chains) != 0) {
        status = TT_NO_MEMORY;
        break;
      }
      replace_pair(corpus, left, right, symbol);
      chaining.lengths[symbol] = chaining.lengths[left] + chaining.lengths[right];
      chains.chains[chains.n] = (struct tt_chain){chaining.tokens[left], chaining.tokens[right],
                                                  chaining.lengths[symbol]};
      chaining.tokens[chaining.n_symbols++] = TT_TOKEN_CHAIN + (uint32_t)chains.n++;
    }
  }
  for (size_t i = 0; i < corpus->n && status == TT_OK; i++)
    if (corpus->tokens[i] < TT_TOKEN_START)
      corpus->tokens[i] = chaining.tokens[corpus->tokens[i]];
  tt_free(chaining.tokens);
  tt_free(chaining.lengths);
  tt_free(chaining.counts);
  if (status != TT_OK) {
    tt_chains_release(&chains);
    return tt_fail(status, "finding chains among %zu events", corpus->n);
  }
  *ret = chains;
  return TT_OK;
}
