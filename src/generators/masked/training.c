/* Training: windows of a CPU's stream, cut into blocks as the sampler cuts them; each block in a
 * few masks, and whole for return values and delays. What counting knows is computed without the
 * very observation that is to be predicted. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "generators/masked/masked.h"
#include "generators/system/fit.h"

struct fit {
  struct tt_masked *masked;
  struct tt_masked *workloads; /* [bridges] with the counts of each label */
  struct tt_system_fit common;
  struct tt_masked_batch batch;
};

struct piece {                         /* a block of a window */
  const struct tt_masked *masked;      /* with the counts of its workload */
  size_t window, anchor;               /* it begins after that event of the window */
  size_t n;                            /* events */
  int32_t tokens[TT_MASKED_MAX_BLOCK]; /* MASK: beyond the window, or where who runs isn't known */
  struct tt_system_moment moment;      /* at the anchor */
  struct tt_markov_history history;
};

struct view { /* a mask of it */
  size_t piece;
  bool left;                           /* the prior knows all before each place */
  int32_t tokens[TT_MASKED_MAX_BLOCK]; /* what the decoder sees */
  int32_t known[TT_MASKED_MAX_BLOCK];  /* what the prior knows (not left) */
  float weights[TT_MASKED_MAX_BLOCK];  /* 0: nothing to be learned there */
};

struct batch_maker {
  const struct fit *fit;
  const struct tt_system_source *source;
  const struct tt_batch *from;
  const uint64_t *rows; /* [windows, length + 1] of the dataset */
  bool training;
  struct piece *pieces;
  size_t n_pieces;
  struct view *views;
  size_t n_views;
};

/* With the counts of the window's workload. */
static const struct tt_masked *masked_of(const struct batch_maker *m, size_t window) {
  return &m->fit->workloads[tt_system_of_row(m->source, m->rows[window * m->from->length])->label];
}

/* ---- blocks ---- */

/* Where contexts are as long as in sampling. */
static size_t first_anchor(const struct batch_maker *m) {
  const size_t order = tt_system_markov(&m->fit->workloads[0].system)->order;
  const size_t first = order < 2 ? 0 : order - 2;
  return first < m->from->length - 1 ? first : 0;
}

/* Whether the thread that a switch (row) is of has the next event of the CPU too: afterwards it is
 * open who runs. */
static bool stays(const struct batch_maker *m, const struct tt_masked *masked, uint64_t row,
                  uint64_t next) {
  const uint32_t *thread = m->source->track.thread;
  return tt_markov_switches(tt_system_markov(&masked->system),
                            tt_dataset_columns(m->source->dataset)->event[row]) &&
         thread[row] == thread[next] && thread[row] != TT_THREAD_ANY;
}

/* The windows' blocks, one behind the other. */
static void cut_window(struct batch_maker *m, size_t w) {
  const struct tt_masked *masked = masked_of(m, w);
  const struct tt_bridge *bridge = &masked->bridge;
  const struct tt_columns *c = tt_dataset_columns(m->source->dataset);
  const size_t length = m->from->length - 1;
  const uint64_t *rows = m->rows + w * (length + 1);
  for (size_t at = first_anchor(m); at < length;) {
    struct piece *piece = &m->pieces[m->n_pieces];
    *piece = (struct piece){.masked = masked, .window = w, .anchor = at};
    const bool alone = stays(m, masked, rows[at], rows[at + 1]);
    bool ended = false, lost = false;
    for (size_t k = 0; k < masked->block; k++) {
      const size_t row = at + 1 + k;
      lost = lost || (alone && k > 0) ||
             (!ended && (row > length || c->event[rows[row]] >= bridge->n_events));
      piece->tokens[k] = (int32_t)(ended  ? bridge->n_events
                                   : lost ? bridge->n_tokens
                                          : c->event[rows[row]]);
      if (ended || lost)
        continue;
      piece->n++;
      ended = bridge->ends[piece->tokens[k]];
    }
    if (piece->n == 0) /* an event that training doesn't have */
      return;
    at += piece->n;
    m->n_pieces++;
  }
}

/* ---- masks ---- */

/* A pass from left to right, as the sampler makes it: places [k, k + reveals) are to be learned
 * from those before k, their priors from all before each. */
static void leave_left(const struct tt_masked *masked, const struct piece *piece, size_t k,
                       float weight, struct view *view) {
  view->left = true;
  for (size_t i = 0; i < masked->block; i++) {
    view->tokens[i] = i < k ? piece->tokens[i] : (int32_t)masked->bridge.n_tokens;
    view->weights[i] = i >= k && i < k + masked->reveals && i < piece->n ? weight : 0;
  }
}

/* One of the passes that reveal a block from left to right, at random. */
static void leave_left_somewhere(const struct tt_masked *masked, const struct piece *piece,
                                 struct view *view, struct tt_rng *rng) {
  const size_t passes = (piece->n + masked->reveals - 1) / masked->reveals;
  leave_left(masked, piece, masked->reveals * (size_t)tt_rng_below(rng, passes), (float)passes,
             view);
}

/* What is masked after an event that ends the block, or END, is implied: it is revealed. */
static void imply(const struct tt_masked *masked, int32_t *tokens) {
  const int32_t mask = (int32_t)masked->bridge.n_tokens;
  bool ended = false;
  for (size_t i = 0; i < masked->block; i++) {
    if (ended)
      tokens[i] = (int32_t)masked->bridge.n_events;
    ended = ended || (tokens[i] != mask && ((size_t)tokens[i] >= masked->bridge.n_events ||
                                            masked->bridge.ends[tokens[i]]));
  }
}

/* Every place masked with a rate t drawn from its range; 1 / t per event, times the chance that t
 * masks any, which is given. */
static void mask_some(const struct tt_masked *masked, const struct piece *piece, struct view *view,
                      struct tt_rng *rng) {
  const int32_t mask = (int32_t)masked->bridge.n_tokens;
  const double low = (double)masked->mask_min / 100, high = (double)masked->mask_max / 100;
  const double t = low + (high - low) * tt_rng_uniform(rng);
  size_t known = 0, hidden = 0;
  bool learned = false;
  for (size_t i = 0; i < masked->block; i++)
    known += piece->tokens[i] != mask;
  while (hidden == 0) {
    for (size_t i = 0; i < masked->block; i++) {
      const bool hide = piece->tokens[i] != mask && tt_rng_uniform(rng) < t;
      view->tokens[i] = hide ? mask : piece->tokens[i];
      hidden += hide;
    }
  }
  imply(masked, view->tokens);
  view->left = false;
  memcpy(view->known, view->tokens, sizeof view->known);
  const float weight = (float)((1 - pow(1 - t, (double)known)) / t);
  for (size_t i = 0; i < masked->block; i++) {
    view->weights[i] = view->tokens[i] == mask && piece->tokens[i] != mask ? weight : 0;
    learned = learned || view->weights[i] > 0;
  }
  if (!learned) /* all that was masked is implied by the rest */
    leave_left_somewhere(masked, piece, view, rng);
}

static void add_training_views(struct batch_maker *m, size_t which, struct tt_rng *rng) {
  const struct piece *piece = &m->pieces[which];
  const struct tt_masked *masked = piece->masked;
  for (size_t i = 0; i < masked->views; i++) {
    struct view *view = &m->views[m->n_views++];
    view->piece = which;
    if (tt_rng_below(rng, 100) < masked->left)
      leave_left_somewhere(masked, piece, view, rng);
    else
      mask_some(masked, piece, view, rng);
  }
}

/* Views for each pass, in the order that the sampler has (confidence: a random one): together the
 * exact -log p of the block under that order. */
static void add_chain(struct batch_maker *m, size_t which, struct tt_rng *rng) {
  const struct piece *piece = &m->pieces[which];
  const struct tt_masked *masked = piece->masked;
  const int32_t mask = (int32_t)masked->bridge.n_tokens;
  if (masked->order == TT_MASKED_left) {
    for (size_t k = 0; k < piece->n; k += masked->reveals) {
      m->views[m->n_views].piece = which;
      leave_left(masked, piece, k, 1, &m->views[m->n_views++]);
    }
    return;
  }
  int32_t tokens[TT_MASKED_MAX_BLOCK], before[TT_MASKED_MAX_BLOCK];
  size_t places[TT_MASKED_MAX_BLOCK], known = 0, revealed = 0;
  for (size_t i = 0; i < masked->block; i++) {
    tokens[i] = mask;
    if (piece->tokens[i] != mask)
      places[known++] = i;
  }
  for (size_t i = known; i > 1; i--) {
    const size_t other = (size_t)tt_rng_below(rng, i), place = places[i - 1];
    places[i - 1] = places[other];
    places[other] = place;
  }
  for (size_t i = 0; i < known; i++) {
    if (tokens[places[i]] != mask)
      continue;
    if (revealed++ % masked->reveals == 0) /* a pass begins */
      memcpy(before, tokens, sizeof before);
    struct view *view = &m->views[m->n_views++];
    view->piece = which;
    view->left = false;
    memcpy(view->tokens, before, sizeof before);
    memcpy(view->known, tokens, sizeof tokens);
    for (size_t k = 0; k < masked->block; k++)
      view->weights[k] = k == places[i];
    tokens[places[i]] = piece->tokens[places[i]];
    imply(masked, tokens);
  }
}

/* ---- the batch ---- */

static struct tt_channels channels_of(const struct batch_maker *m, size_t window) {
  return tt_channels_slice(&m->from->channels, window * m->from->length, m->from->length);
}

static void fill_ids(const struct batch_maker *m, struct tt_masked_batch *b) {
  const struct tt_columns *c = tt_dataset_columns(m->source->dataset);
  const size_t length = b->length;
#pragma omp parallel for schedule(static, 16) collapse(2)
  for (size_t w = 0; w < b->windows; w++)
    for (size_t i = 0; i < length; i++) {
      const uint64_t *rows = m->rows + w * (length + 1);
      const struct tt_system *system = &masked_of(m, w)->system;
      const struct tt_channels channels = channels_of(m, w);
      const struct tt_system_moment moment = tt_system_recorded_moment(
          system, c, &m->source->track, &channels, i, rows[i], rows[i + 1]);
      tt_system_ids(system, &moment, b->ids + (w * length + i) * TT_SYSTEM_INPUTS);
    }
}

static void find_state(const struct batch_maker *m, struct piece *piece) {
  const struct tt_columns *c = tt_dataset_columns(m->source->dataset);
  const uint64_t *rows = m->rows + piece->window * m->from->length;
  const size_t at = piece->anchor;
  const struct tt_channels channels = channels_of(m, piece->window);
  piece->moment = tt_system_recorded_moment(&piece->masked->system, c, &m->source->track, &channels,
                                            at, rows[at], rows[at + 1]);
  for (size_t k = at + 1 > TT_MARKOV_MAX_ORDER ? at + 1 - TT_MARKOV_MAX_ORDER : 0; k <= at; k++)
    tt_markov_push(&piece->history, c->event[rows[k]]);
}

static struct tt_masked_block_site site_of(const struct piece *piece) {
  return (struct tt_masked_block_site){.history = &piece->history,
                                       .thread = piece->moment.thread,
                                       .call = piece->moment.call,
                                       .cpu = piece->moment.cpu};
}

/* The event after row i of a window, as the first of a block. */
static void fill_next(const struct batch_maker *m, struct tt_masked_batch *b, size_t w, size_t i,
                      size_t at) {
  struct piece piece = {.masked = masked_of(m, w), .window = w, .anchor = i};
  const struct tt_columns *c = tt_dataset_columns(m->source->dataset);
  const uint16_t event = c->event[m->rows[w * m->from->length + i + 1]];
  const size_t n_tokens = piece.masked->bridge.n_tokens;
  int32_t tokens[TT_MASKED_MAX_BLOCK];
  for (size_t k = 0; k < piece.masked->block; k++)
    tokens[k] = (int32_t)n_tokens;
  find_state(m, &piece);
  const struct tt_masked_block_site site = site_of(&piece);
  b->next_rows[at] = (uint32_t)(w * b->length + i);
  b->next[at] = event < piece.masked->bridge.n_events ? event : -1;
  tt_masked_block_prior(piece.masked, &site, tokens, 0,
                        b->next[at] < 0 ? UINT32_MAX : (uint32_t)event,
                        b->next_prior + at * n_tokens);
}

/* One target of a view: its prior. */
static void fill_target(const struct batch_maker *m, struct tt_masked_batch *b, size_t i) {
  const size_t row = b->target_rows[i];
  const struct view *view = &m->views[row / m->fit->masked->block];
  const struct piece *piece = &m->pieces[view->piece];
  const struct tt_masked *masked = piece->masked;
  const struct tt_masked_block_site site = site_of(piece);
  const size_t k = row % masked->block;
  int32_t known[TT_MASKED_MAX_BLOCK];
  for (size_t j = 0; j < masked->block; j++)
    known[j] = !view->left ? view->known[j]
               : j < k     ? piece->tokens[j]
                           : (int32_t)masked->bridge.n_tokens;
  tt_masked_block_prior(masked, &site, known, k, m->training ? (uint32_t)b->targets[i] : UINT32_MAX,
                        b->event_prior + i * masked->bridge.n_tokens);
}

/* Event k of a block: its return value and delay, and what is known before it. */
static void fill_event(const struct batch_maker *m, struct tt_masked_batch *b,
                       const struct piece *piece, size_t k, size_t i) {
  const struct tt_system *system = &piece->masked->system;
  const struct tt_columns *c = tt_dataset_columns(m->source->dataset);
  const uint64_t *rows = m->rows + piece->window * m->from->length;
  const struct tt_channels channels = channels_of(m, piece->window);
  const size_t at = piece->anchor + k; /* the event before */
  const uint16_t event = c->event[rows[at + 1]], previous = c->event[rows[at]];
  b->before[i] = (uint32_t)(piece->window * b->length + at);
  b->delays[i] = (int32_t)tt_delay_bins_of(&system->bins, channels.dt[at + 1]);
  tt_system_delay_prior(system, event, previous, piece->moment.cpu,
                        m->training ? (uint32_t)b->delays[i] : UINT32_MAX,
                        b->delay_prior + i * TT_DELAY_BINS);
  b->rets[i] = -1;
  float *ret_prior = b->ret_prior + i * system->n_rets;
  if (tt_system_markov(system)->cast.events[event].n_rets > 0) {
    b->rets[i] = channels.ret[at + 1];
    tt_system_ret_prior(system, event, c->comm[rows[at + 1]], previous,
                        m->training ? (uint32_t)b->rets[i] : UINT32_MAX, ret_prior);
  } else {
    memset(ret_prior, 0, system->n_rets * sizeof *ret_prior);
  }
}

/* Everything lives in the step's arena. */
static void allocate(struct tt_compute *c, const struct tt_masked *masked,
                     struct tt_masked_batch *b) {
  const size_t block = masked->block, rets = masked->system.n_rets;
  b->anchors = tt_arena(c, b->n, sizeof *b->anchors);
  b->tokens = tt_arena(c, b->n * block, sizeof *b->tokens);
  b->target_rows = tt_arena(c, b->n_targets, sizeof *b->target_rows);
  b->targets = tt_arena(c, b->n_targets, sizeof *b->targets);
  b->weights = tt_arena(c, b->n_targets, sizeof *b->weights);
  b->event_prior = tt_arena(c, b->n_targets * masked->bridge.n_tokens, sizeof *b->event_prior);
  b->next_rows = tt_arena(c, b->n_next, sizeof *b->next_rows);
  b->next = tt_arena(c, b->n_next, sizeof *b->next);
  b->next_prior = tt_arena(c, b->n_next * masked->bridge.n_tokens, sizeof *b->next_prior);
  b->event_rows = tt_arena(c, b->n_events, sizeof *b->event_rows);
  b->before = tt_arena(c, b->n_events, sizeof *b->before);
  b->rets = tt_arena(c, b->n_events, sizeof *b->rets);
  b->delays = tt_arena(c, b->n_events, sizeof *b->delays);
  b->ret_prior = tt_arena(c, b->n_events * rets, sizeof *b->ret_prior);
  b->delay_prior = tt_arena(c, b->n_events * TT_DELAY_BINS, sizeof *b->delay_prior);
}

static void count(const struct batch_maker *m, struct tt_masked_batch *b) {
  const struct tt_masked *masked = m->fit->masked;
  b->n = m->n_views + m->n_pieces; /* views first, then each block as a whole */
  b->n_targets = b->n_events = 0;
  for (size_t i = 0; i < m->n_views; i++)
    for (size_t k = 0; k < masked->block; k++)
      b->n_targets += m->views[i].weights[k] > 0;
  for (size_t i = 0; i < m->n_pieces; i++)
    b->n_events += m->pieces[i].n;
  b->n_next = m->training ? b->windows * (b->length - first_anchor(m)) : 0;
  b->events = (double)b->n_events * (m->training ? (double)masked->views : 1);
}

static void fill_batch(const struct batch_maker *m, struct tt_masked_batch *b) {
  const size_t block = m->fit->masked->block;
  size_t target = 0, event = 0;
  fill_ids(m, b);
#pragma omp parallel for schedule(static, 16)
  for (size_t i = 0; i < m->n_pieces; i++)
    find_state(m, &m->pieces[i]);
  for (size_t i = 0; i < b->n; i++) {
    const struct view *view = i < m->n_views ? &m->views[i] : NULL;
    const struct piece *piece = &m->pieces[view ? view->piece : i - m->n_views];
    b->anchors[i] = (uint32_t)(piece->window * b->length + piece->anchor);
    memcpy(b->tokens + i * block, view ? view->tokens : piece->tokens, block * sizeof *b->tokens);
    for (size_t k = 0; view && k < block; k++)
      if (view->weights[k] > 0) {
        b->target_rows[target] = (uint32_t)(i * block + k);
        b->targets[target] = piece->tokens[k];
        b->weights[target++] = view->weights[k];
      }
    for (size_t k = 0; !view && k < piece->n; k++)
      b->event_rows[event++] = (uint32_t)(i * block + k);
  }
  const size_t begin = first_anchor(m), each = b->length - begin;
#pragma omp parallel for schedule(static, 16)
  for (size_t i = 0; i < b->n_next; i++)
    fill_next(m, b, i / each, begin + i % each, i);
#pragma omp parallel for schedule(static, 16)
  for (size_t i = 0; i < b->n_targets; i++)
    fill_target(m, b, i);
#pragma omp parallel for schedule(static, 16)
  for (size_t i = 0; i < b->n_events; i++)
    fill_event(m, b, &m->pieces[b->event_rows[i] / block - m->n_views], b->event_rows[i] % block,
               i);
}

/* In the arena of a step that has begun; returns false when memory is short, or nothing is in the
 * windows that could be learned. */
static bool make_batch(struct fit *fit, const struct tt_system_source *source,
                       const struct tt_batch *from, bool training) {
  struct tt_masked_batch *b = &fit->batch;
  const struct tt_masked *masked = fit->masked;
  struct batch_maker m = {.fit = fit, .source = source, .from = from, .training = training};
  const size_t length = from->length - 1, most = from->n_windows * length;
  const size_t views = training && masked->views > 1 ? masked->views : 1;
  uint64_t *rows = tt_system_window_rows(source, from);
  if (!rows)
    return false;
  m.rows = rows;
  m.pieces = tt_arena(fit->common.compute, most, sizeof *m.pieces);
  for (size_t w = 0; w < from->n_windows; w++)
    cut_window(&m, w);
  const size_t each = training ? views : masked->block;
  m.views = tt_arena(fit->common.compute, m.n_pieces * each, sizeof *m.views);
  for (size_t i = 0; i < m.n_pieces; i++) {
    struct tt_rng rng;
    tt_rng_init(&rng, masked->system.base.seed ^ 0x6d61736b, from->step << 24 | i);
    if (training)
      add_training_views(&m, i, &rng);
    else
      add_chain(&m, i, &rng);
  }
  b->windows = from->n_windows;
  b->ids = tt_arena(fit->common.compute, most * TT_SYSTEM_INPUTS, sizeof *b->ids);
  count(&m, b);
  if (b->n_events > 0) {
    allocate(fit->common.compute, masked, b);
    fill_batch(&m, b);
  }
  tt_free(rows);
  return b->n_events > 0;
}

/* Nats per event, all three heads; of validation data, events exactly as the sampler draws them
 * (order=left), or under one random order. */
static enum tt_status forward(void *user, const struct tt_system_source *source,
                              const struct tt_batch *batch, bool training,
                              struct tt_tensor **ret_loss, double *ret_nats) {
  struct fit *fit = user;
  struct tt_compute *c = fit->common.compute;
  double nats[TT_MASKED_HEADS];
  if (!make_batch(fit, source, batch, training))
    return tt_fail(TT_NO_MEMORY, "a batch");
  *ret_loss = tt_masked_network_loss(c, &fit->masked->network, &fit->batch, nats);
  *ret_nats = nats[0] + nats[1] + nats[2];
  return TT_OK;
}

static enum tt_status make_workloads(struct fit *fit) {
  const size_t n = fit->masked->n_bridges;
  fit->workloads = tt_alloc(n, sizeof *fit->workloads);
  if (!fit->workloads)
    return tt_fail(TT_NO_MEMORY, "%zu workloads", n);
  for (size_t i = 0; i < n; i++)
    fit->workloads[i] = tt_masked_workload(fit->masked, i);
  return TT_OK;
}

enum tt_status tt_masked_fit(struct tt_masked *masked, const struct tt_train_config *config,
                             struct tt_train_result *ret) {
  struct fit fit = {.masked = masked};
  enum tt_status status = tt_system_fit_open(&masked->system, &masked->network.params,
                                             masked->network.window, config, &fit.common);
  fit.batch.length = fit.common.length;
  if (status == TT_OK)
    status = make_workloads(&fit);
  if (status == TT_OK)
    status = tt_system_fit_run(&fit.common, forward, &fit, ret);
  tt_system_fit_close(&fit.common);
  tt_free(fit.workloads);
  return status;
}
