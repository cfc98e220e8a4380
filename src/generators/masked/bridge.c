#include "generators/masked/bridge.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

static const size_t MAX_LOGS = (size_t)1 << 26; /* 256 MiB */
static const float IMPOSSIBLE = 1e-30f;

void tt_bridge_release(struct tt_bridge *bridge) {
  tt_free(bridge->ends);
  tt_free(bridge->begin);
  tt_free(bridge->logs);
  tt_free(bridge->first);
  tt_free(bridge->next);
  *bridge = (struct tt_bridge){0};
}

/* What followed u (n_events: all that there was). */
static struct tt_tally_row followers(const struct tt_markov *markov, size_t u) {
  const struct tt_ngram_context context = {.symbols = {(uint32_t)u}, .n = 1};
  struct tt_ngram_rows rows = {.n = 0};
  if (u < markov->base.events.n)
    tt_ngram_rows(&markov->common, &context, 1, &rows);
  return rows.n ? rows.rows[0] : tt_tally_row(&markov->common.counts, 0);
}

static enum tt_status list_successors(const struct tt_markov *markov, struct tt_bridge *bridge) {
  size_t n = 0;
  for (size_t u = 0; u <= bridge->n_events; u++)
    n += followers(markov, u).n;
  bridge->first = tt_alloc(bridge->n_events + 2, sizeof *bridge->first);
  bridge->next = tt_alloc(n, sizeof *bridge->next);
  if (!bridge->first || !bridge->next || n > UINT32_MAX)
    return tt_fail(TT_NO_MEMORY, "%zu transitions", n);
  n = 0;
  for (size_t u = 0; u <= bridge->n_events; u++) {
    const struct tt_tally_row row = followers(markov, u);
    bridge->first[u] = (uint32_t)n;
    for (size_t i = 0; i < row.n; i++)
      bridge->next[n++] = (uint16_t)row.values[i];
  }
  bridge->first[bridge->n_events + 1] = (uint32_t)n;
  return TT_OK;
}

/* to = from P, both [n_tokens]: what was counted, and for the rest (Witten-Bell) the unigram.
 * inside: of one block. */
static void advance(const struct tt_markov *markov, const struct tt_bridge *bridge,
                    const double *unigram, bool inside, const double *from, double *to) {
  const size_t events = bridge->n_events;
  double rest = 0;
  memset(to, 0, bridge->n_tokens * sizeof *to);
  to[events] = from[events];
  for (size_t u = 0; u < events; u++) {
    if (from[u] <= 0)
      continue;
    if (inside && bridge->ends[u]) {
      to[events] += from[u];
      continue;
    }
    const struct tt_tally_row row = followers(markov, u);
    const double share = from[u] / (double)(tt_tally_total(&row) + row.n);
    for (size_t i = 0; i < row.n; i++)
      to[row.values[i]] += share * (double)tt_tally_at(&row, i);
    rest += share * (double)row.n;
  }
  for (size_t v = 0; v < events; v++)
    to[v] += rest * unigram[v];
}

static void find_unigram(const struct tt_markov *markov, size_t events, double *ret) {
  const struct tt_tally_row row = tt_tally_row(&markov->common.counts, 0);
  const double total = (double)(tt_tally_total(&row) + row.n);
  for (size_t v = 0; v < events; v++)
    ret[v] = (double)row.n / total / (double)events;
  for (size_t i = 0; i < row.n; i++)
    ret[row.values[i]] += (double)tt_tally_at(&row, i) / total;
}

/* All powers from one row's token on; now, then: [n_tokens] scratch. */
static void fill_row(const struct tt_markov *markov, const struct tt_bridge *bridge,
                     const double *unigram, size_t row, double *now, double *then) {
  const size_t tokens = bridge->n_tokens, n = tokens * sizeof *now;
  for (size_t k = 0; k < bridge->block; k++) {
    if (k == 0 && row == tokens) { /* nothing known */
      memcpy(now, unigram, n);
    } else if (k == 0) {
      size_t u = row < tokens ? row : 0;
      while (row > tokens && bridge->begin[u] != row)
        u++;
      memset(then, 0, n);
      then[u] = 1;
      advance(markov, bridge, unigram, row < tokens, then, now);
    } else {
      memcpy(then, now, n);
      advance(markov, bridge, unigram, true, then, now);
    }
    float *out = bridge->logs + (k * bridge->n_rows + row) * tokens;
    for (size_t v = 0; v < tokens; v++)
      out[v] = logf(fmaxf((float)now[v], IMPOSSIBLE));
  }
}

static enum tt_status find_powers(const struct tt_markov *markov, struct tt_bridge *bridge) {
  const size_t tokens = bridge->n_tokens;
  double *unigram = tt_calloc(tokens, sizeof *unigram);
  bridge->logs = tt_alloc(bridge->block * bridge->n_rows * tokens, sizeof *bridge->logs);
  bool ok = unigram && bridge->logs;
  if (ok) {
    find_unigram(markov, bridge->n_events, unigram);
#pragma omp parallel for schedule(static) reduction(&& : ok)
    for (size_t row = 0; row < bridge->n_rows; row++) {
      double *scratch = tt_calloc(2 * tokens, sizeof *scratch);
      ok = ok && scratch;
      if (scratch)
        fill_row(markov, bridge, unigram, row, scratch, scratch + tokens);
      tt_free(scratch);
    }
  }
  tt_free(unigram);
  return ok ? TT_OK : tt_fail(TT_NO_MEMORY, "transitions between %zu events", bridge->n_events);
}

/* Which events end a block, and the rows of tokens before one. */
static enum tt_status find_ends(const struct tt_markov *markov, struct tt_bridge *bridge) {
  bridge->ends = tt_calloc(bridge->n_events, sizeof *bridge->ends);
  bridge->begin = tt_alloc(bridge->n_tokens + 1, sizeof *bridge->begin);
  if (!bridge->ends || !bridge->begin)
    return tt_fail(TT_NO_MEMORY, "%zu events", bridge->n_events);
  bridge->n_rows = bridge->n_tokens + 1;
  for (size_t u = 0; u <= bridge->n_tokens; u++) {
    bridge->begin[u] = (uint32_t)u;
    if (u >= bridge->n_events)
      continue;
    bridge->ends[u] = !markov->cast.switches || tt_markov_switches(markov, (uint16_t)u);
    if (bridge->ends[u])
      bridge->begin[u] = (uint32_t)bridge->n_rows++;
  }
  return TT_OK;
}

enum tt_status tt_bridge_init(const struct tt_markov *markov, size_t block, struct tt_bridge *ret) {
  const size_t events = markov->base.events.n;
  struct tt_bridge bridge = {
      .n_events = events, .n_tokens = events + 1, .block = block, .end = (uint16_t)events};
  enum tt_status status = find_ends(markov, &bridge);
  if (status == TT_OK && bridge.n_rows * bridge.n_tokens > MAX_LOGS / block)
    status = tt_fail(TT_USAGE, "blocks of %zu are too long for %zu kinds of events", block, events);
  if (status == TT_OK)
    status = list_successors(markov, &bridge);
  if (status == TT_OK)
    status = find_powers(markov, &bridge);
  *ret = bridge;
  if (status != TT_OK)
    tt_bridge_release(ret);
  return status;
}
