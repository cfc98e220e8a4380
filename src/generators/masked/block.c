/* One block: what counting says of a masked place, what may stand there, in which order places are
 * revealed. The same code computes priors while training, draws, and gives the probability of a
 * draw. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "generators/masked/masked.h"
#include "generators/system/replicas.h"

static const float FLOOR = -69; /* log of "impossible" where a network is to learn from it */

struct tt_masked_block_scratch {
  bool *allowed;         /* [n_events] of this thread and CPU */
  bool *reached, *leads; /* [block, n_tokens] from the left; to the right end */
  float *prior;          /* [n_tokens] */
  double *probabilities; /* [n_tokens] */
};

struct tt_masked_block_scratch *tt_masked_block_scratch_new(const struct tt_masked *masked) {
  const size_t tokens = masked->bridge.n_tokens, ways = masked->block * tokens;
  const size_t wide = tokens * (sizeof(double) + sizeof(float));
  struct tt_masked_block_scratch *scratch =
      tt_calloc(1, sizeof *scratch + wide + (tokens + 2 * ways) * sizeof(bool));
  if (!scratch)
    return NULL;
  scratch->probabilities = (double *)(scratch + 1);
  scratch->prior = (float *)(scratch->probabilities + tokens);
  scratch->allowed = (bool *)(scratch->prior + tokens);
  scratch->reached = scratch->allowed + tokens;
  scratch->leads = scratch->reached + ways;
  return scratch;
}

static int32_t end_of(const struct tt_masked *masked) {
  return (int32_t)masked->bridge.n_events;
}

static int32_t mask_of(const struct tt_masked *masked) {
  return (int32_t)masked->bridge.n_tokens;
}

/* What follows it within a block is END. */
static bool ends(const struct tt_masked *masked, size_t token) {
  return token >= masked->bridge.n_events || masked->bridge.ends[token];
}

/* The token before the block, n_tokens: nothing is known. */
static size_t token_before(const struct tt_masked *masked,
                           const struct tt_masked_block_site *site) {
  return site->history->n ? site->history->events[0] : masked->bridge.n_tokens;
}

/* The system call that the thread is in at place k, whose left neighbours are known from place
 * `from` on (0: all of the past is). */
static uint32_t call_at(const struct tt_masked *masked, const struct tt_masked_block_site *site,
                        const int32_t *tokens, size_t from, size_t k) {
  uint32_t call = from == 0 ? site->call : TT_MARKOV_CALL_UNKNOWN; /* one call of one thread */
  for (size_t i = from; i < k && site->thread != TT_THREAD_ANY; i++)
    tt_markov_follow_call(tt_system_markov(&masked->system), &call, 0, (uint16_t)tokens[i]);
  return call;
}

/* ---- the prior ---- */

/* The n-gram at k, whose left neighbours are known from place `from` on (0: all of the past is). */
static void ngram_prior(const struct tt_masked *masked, const struct tt_masked_block_site *site,
                        const int32_t *tokens, size_t from, size_t k, uint32_t leave_out,
                        float *out) {
  const struct tt_system *system = &masked->system;
  struct tt_markov_history history = *site->history;
  const uint32_t call = call_at(masked, site, tokens, from, k);
  if (from > 0)
    history.n = 0;
  for (size_t i = from; i < k; i++)
    tt_markov_push(&history, (uint16_t)tokens[i]);
  tt_system_event_prior(system, &history, site->thread, call, leave_out, out);
  out[end_of(masked)] = FLOOR;
}

/* log P(w | v) with one observation of it taken out. */
static float log_left_out(const struct tt_masked *masked, size_t v, size_t w) {
  const struct tt_markov *markov = tt_system_markov(&masked->system);
  const struct tt_ngram_context context = {.symbols = {(uint32_t)v}, .n = 1};
  struct tt_ngram_rows rows = {.n = 0};
  tt_ngram_rows(&markov->common, &context, 0, &rows);
  return (float)log(tt_backoff_probability(rows.rows, rows.n, (int64_t)w, true,
                                           1.0 / (double)masked->bridge.n_events));
}

static void normalize(float *x, size_t n) {
  float max = -INFINITY;
  double sum = 0;
  for (size_t v = 0; v < n; v++)
    max = fmaxf(max, x[v]);
  for (size_t v = 0; v < n; v++)
    sum += (double)expf(x[v] - max);
  const float shift = max + (float)log(sum);
  for (size_t v = 0; v < n; v++)
    x[v] = fmaxf(x[v] - shift, FLOOR);
}

void tt_masked_block_prior(const struct tt_masked *masked, const struct tt_masked_block_site *site,
                           const int32_t *tokens, size_t k, uint32_t leave_out, float *out) {
  const struct tt_bridge *bridge = &masked->bridge;
  const size_t n = bridge->n_tokens;
  const int32_t mask = mask_of(masked);
  if (!masked->system.use_prior) {
    memset(out, 0, n * sizeof *out);
    return;
  }
  size_t left = k, right = k + 1; /* left: places [left, k) are revealed */
  while (left > 0 && tokens[left - 1] != mask)
    left--;
  while (right < masked->block && tokens[right] == mask)
    right++;
  if (left < k || k == 0) {
    ngram_prior(masked, site, tokens, left, k, leave_out, out);
  } else {
    size_t away = 1; /* to the nearest that is revealed */
    while (away <= k && tokens[k - away] == mask)
      away++;
    const size_t from =
        away <= k ? (size_t)tokens[k - away] : bridge->begin[token_before(masked, site)];
    memcpy(out, tt_bridge_logs(bridge, away, from), n * sizeof *out);
  }
  if (right == masked->block)
    return;
  const size_t to = (size_t)tokens[right];
  for (size_t v = 0; v < n; v++)
    out[v] += right == k + 1 && v == leave_out && v < bridge->n_events && !bridge->ends[v] &&
                      to < bridge->n_events
                  ? log_left_out(masked, v, to)
                  : tt_bridge_logs(bridge, right - k, v)[to];
  normalize(out, n);
}

/* ---- what may stand where ---- */

void tt_masked_block_allow(const struct tt_masked *masked, const struct tt_masked_block_site *site,
                           struct tt_masked_block_scratch *scratch) {
  const struct tt_system *system = &masked->system;
  bool *allowed = scratch->allowed;
  const struct tt_tally_row thread = tt_system_thread_events(system, site->thread);
  const bool *on_cpu = system->on_cpu + site->cpu * masked->bridge.n_events;
  if (thread.n == 0) {
    memcpy(allowed, on_cpu, masked->bridge.n_events * sizeof *allowed);
    return;
  }
  memset(allowed, 0, masked->bridge.n_events * sizeof *allowed);
  for (size_t i = 0; i < thread.n; i++)
    allowed[thread.values[i]] = on_cpu[thread.values[i]];
}

struct ways { /* through a block */
  const struct tt_masked *masked;
  const struct tt_masked_block_site *site;
  const int32_t *tokens;
  const bool *allowed;
};

static bool may_stand(const struct ways *w, size_t k, size_t token) {
  if (w->tokens[k] != mask_of(w->masked))
    return (size_t)w->tokens[k] == token;
  if (token >= w->masked->bridge.n_events)
    return true;
  return w->allowed[token] && (k > 0 || !w->site->first || w->site->first[token]);
}

/* Fills `reached` and `leads`; false when there is no way through the block. */
static bool find_ways(const struct ways *w, struct tt_masked_block_scratch *scratch) {
  const struct tt_bridge *bridge = &w->masked->bridge;
  const size_t block = w->masked->block, n = bridge->n_tokens;
  bool *reached = scratch->reached, *leads = scratch->leads;
  memset(reached, 0, block * n * sizeof *reached);
  memset(leads, 0, block * n * sizeof *leads);
  size_t n_next;
  const uint16_t *next = tt_bridge_followers(bridge, token_before(w->masked, w->site), &n_next);
  for (size_t i = 0; i < n_next; i++)
    reached[next[i]] = may_stand(w, 0, next[i]);
  for (size_t k = 1; k < block; k++)
    for (size_t u = 0; u < n; u++) {
      if (!reached[(k - 1) * n + u])
        continue;
      next = tt_bridge_inside(bridge, u, &n_next);
      for (size_t i = 0; i < n_next; i++)
        reached[k * n + next[i]] = reached[k * n + next[i]] || may_stand(w, k, next[i]);
    }
  bool any = false;
  for (size_t v = 0; v < n; v++)
    any |= leads[(block - 1) * n + v] = reached[(block - 1) * n + v];
  for (size_t k = block - 1; k-- > 0;)
    for (size_t u = 0; u < n; u++) {
      if (!reached[k * n + u])
        continue;
      next = tt_bridge_inside(bridge, u, &n_next);
      for (size_t i = 0; i < n_next && !leads[k * n + u]; i++)
        leads[k * n + u] = leads[(k + 1) * n + next[i]];
    }
  return any;
}

/* Weighs the tokens with allow(v): exp(logit), normalised; false when there is none. */
static bool weigh(const struct tt_scale *scale, const bool *may, size_t n, double *out) {
  double max = -INFINITY, sum = 0;
  for (size_t v = 0; v < n; v++)
    if (may[v])
      max = fmax(max, out[v] = tt_scale_logit(scale, v));
  for (size_t v = 0; v < n; v++)
    sum += out[v] = may[v] ? exp(out[v] - max) : 0;
  for (size_t v = 0; sum > 0 && v < n; v++)
    out[v] /= sum;
  return sum > 0;
}

/* From left to right nothing but the left neighbour and the system call decide, and where that
 * leaves nothing, what is asked for of the first event, the call, the thread and the CPU count no
 * more, in this order: as `ar`. */
static bool weigh_successors(const struct tt_masked *masked,
                             const struct tt_masked_block_site *site, const struct tt_scale *scale,
                             struct tt_masked_block_scratch *scratch,
                             const struct tt_masked_block *block, size_t k) {
  const struct tt_bridge *bridge = &masked->bridge;
  const bool *on_cpu = masked->system.on_cpu + site->cpu * bridge->n_events;
  size_t n_next;
  const uint16_t *next = tt_bridge_followers(
      bridge, k > 0 ? (size_t)block->tokens[k - 1] : token_before(masked, site), &n_next);
  bool found = false;
  const bool *first = k == 0 ? site->first : NULL;
  const uint32_t call = call_at(masked, site, block->tokens, 0, k);
  for (int rule = first ? 0 : 1; rule < 5 && !found; rule++) {
    memset(scratch->reached, 0, bridge->n_tokens * sizeof *scratch->reached);
    for (size_t i = 0; i < n_next; i++) {
      const size_t v = next[i];
      const bool in_call = rule > 1 || v >= bridge->n_events ||
                           tt_system_call_had(&masked->system, call, (uint16_t)v);
      scratch->reached[v] = rule == 0   ? in_call && scratch->allowed[v] && first[v]
                            : rule <= 2 ? in_call && scratch->allowed[v]
                            : rule == 3 ? on_cpu[v]
                                        : true;
    }
    found = weigh(scale, scratch->reached, bridge->n_tokens, scratch->probabilities);
  }
  return found;
}

const double *tt_masked_block_probabilities(const struct tt_masked *masked,
                                            const struct tt_masked_block_site *site,
                                            const struct tt_masked_block_logits *logits,
                                            struct tt_masked_block_scratch *scratch,
                                            const struct tt_masked_block *block, size_t k) {
  const size_t n = masked->bridge.n_tokens;
  tt_masked_block_prior(masked, site, block->tokens, k, UINT32_MAX, scratch->prior);
  struct tt_scale scale =
      tt_scale_of(logits->data + (k - logits->first) * (n + 1), scratch->prior, n);
  scale.boost = site->boost;
  if (block->order == TT_MASKED_left) {
    weigh_successors(masked, site, &scale, scratch, block, k);
    return scratch->probabilities;
  }
  const struct ways ways = {masked, site, block->tokens, scratch->allowed};
  find_ways(&ways, scratch);
  weigh(&scale, scratch->leads + k * n, n, scratch->probabilities);
  return scratch->probabilities;
}

/* ---- the order ---- */

void tt_masked_block_begin(const struct tt_masked *masked, const struct tt_masked_block_site *site,
                           struct tt_masked_block_scratch *scratch, struct tt_masked_block *block,
                           struct tt_rng *rng) {
  for (size_t k = 0; k < masked->block; k++)
    block->tokens[k] = mask_of(masked);
  tt_masked_block_allow(masked, site, scratch);
  const struct ways ways = {masked, site, block->tokens, scratch->allowed};
  block->order = (enum tt_masked_order)masked->order;
  if (block->order != TT_MASKED_left && !find_ways(&ways, scratch))
    block->order = TT_MASKED_left;
  for (size_t k = 0; k < masked->block; k++)
    block->places[k] = (uint8_t)k;
  if (block->order == TT_MASKED_random)
    for (size_t k = masked->block; k > 1; k--) {
      const size_t other = (size_t)tt_rng_below(rng, k);
      const uint8_t place = block->places[k - 1];
      block->places[k - 1] = block->places[other];
      block->places[other] = place;
    }
}

size_t tt_masked_block_next(const struct tt_masked *masked, const struct tt_masked_block_site *site,
                            const struct tt_masked_block_logits *logits,
                            struct tt_masked_block_scratch *scratch,
                            const struct tt_masked_block *block) {
  const size_t n = masked->bridge.n_tokens;
  double best = -1;
  size_t next = SIZE_MAX;
  for (size_t i = 0; i < masked->block; i++) {
    const size_t k = block->places[i];
    if (block->tokens[k] != mask_of(masked))
      continue;
    if (block->order != TT_MASKED_confidence)
      return k;
    const double *p = tt_masked_block_probabilities(masked, site, logits, scratch, block, k);
    for (size_t v = 0; v < n; v++)
      if (p[v] > best) {
        best = p[v];
        next = k;
      }
  }
  return next;
}

int32_t tt_masked_block_draw(const struct tt_masked *masked, const double *probabilities,
                             struct tt_rng *rng) {
  double at = tt_rng_uniform(rng);
  int32_t last = -1;
  for (size_t v = 0; v < masked->bridge.n_tokens; v++)
    if (probabilities[v] > 0) {
      last = (int32_t)v;
      at -= probabilities[v];
      if (at < 0)
        break;
    }
  TT_ASSERT(last >= 0);
  return last;
}

void tt_masked_block_reveal(const struct tt_masked *masked, struct tt_masked_block *block, size_t k,
                            int32_t token) {
  block->tokens[k] = token;
  if (ends(masked, (size_t)token))
    for (size_t i = k + 1; i < masked->block; i++)
      block->tokens[i] = end_of(masked);
}

size_t tt_masked_block_first(const struct tt_masked *masked, const struct tt_masked_block *block) {
  size_t k = 0;
  while (k < masked->block && block->tokens[k] != mask_of(masked))
    k++;
  return k;
}

bool tt_masked_block_pass(const struct tt_masked *masked, const struct tt_masked_block_site *site,
                          const struct tt_masked_block_logits *logits,
                          struct tt_masked_block_scratch *scratch, struct tt_masked_block *block,
                          struct tt_rng *rng) {
  for (size_t i = 0; i < masked->reveals; i++) {
    const size_t k = tt_masked_block_next(masked, site, logits, scratch, block);
    if (k == SIZE_MAX)
      return false;
    const double *p = tt_masked_block_probabilities(masked, site, logits, scratch, block, k);
    tt_masked_block_reveal(masked, block, k, tt_masked_block_draw(masked, p, rng));
  }
  return tt_masked_block_first(masked, block) < masked->block;
}

size_t tt_masked_block_length(const struct tt_masked *masked, const struct tt_masked_block *block) {
  size_t n = 0;
  while (n < masked->block && (size_t)block->tokens[n] < masked->bridge.n_events)
    n++;
  return n;
}

void tt_masked_block_cut(const struct tt_masked *masked, struct tt_masked_block *block, size_t n) {
  for (size_t k = n; k < masked->block; k++)
    block->tokens[k] = (int32_t)masked->bridge.n_tokens;
}
