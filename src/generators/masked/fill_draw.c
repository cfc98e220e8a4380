/* Candidates growing by one event at a time (fill.c says why so): the event, who runs after it, and
 * for blocks that are whole the return values and delays. */
#include <math.h>
#include <string.h>

#include "generators/masked/fill.h"

enum { DELAY_TRIES = 8 };
static const double UNSEEN = 1e-3; /* share of what was never seen among events after a hole */
/* Weight of an event that nothing but the look ahead speaks for. */
static const double UNLIKELY = 1e-6;

/* ---- who runs next ---- */

void tt_fill_tell_row(const struct tt_filler *f, const struct tt_fill_crowd *crowd, size_t e,
                      uint32_t who, struct tt_fill_candidate *candidate) {
  struct tt_replica_row *row = &candidate->row;
  const size_t n = crowd->site.hole->n;
  if (e < n || e == tt_fill_length(crowd)) {
    row->thread = tt_fill_thread(&crowd->site, who);
    row->comm = tt_fill_comm(&crowd->site, who);
  } else {
    const uint64_t right = crowd->site.right[e - n];
    row->thread = f->source.data->track.thread[right];
    row->comm = tt_fill_columns(f)->comm[right];
  }
  row->call = row->thread == TT_THREAD_ANY ? TT_MARKOV_CALL_UNKNOWN : candidate->calls[row->thread];
}

static double log_of(double p) {
  return p > 0 ? log(p) : -INFINITY;
}

void tt_fill_choose_next(struct tt_filler *f, struct tt_fill_candidate *candidate, uint16_t event,
                         size_t left) {
  const struct tt_fill_site *site = &tt_fill_crowd_of(f, candidate)->site;
  const size_t wide = f->n_threads + 1, slot = tt_fill_slot(f, candidate);
  double *weights = f->weights + slot * 2 * wide, *p = weights + wide;
  uint32_t *who = f->whos + slot * wide;
  const size_t n = tt_fill_site_threads(site, &candidate->recent, candidate->who, weights, who, p);
  double sum = 0, all = 0, ahead = 0;
  for (size_t i = 0; i < n; i++) {
    sum += p[i];
    all += weights[i] = p[i] * tt_fill_site_ahead(site, left, who[i], event, true);
  }
  const double *by = all > 0 ? weights : p;
  double at = tt_rng_uniform(&tt_fill_stream(candidate)->rng) * (all > 0 ? all : sum);
  for (size_t i = 0; i < n; i++) {
    if (!(by[i] > 0))
      continue;
    candidate->next = who[i];
    at -= by[i];
    if (at < 0)
      break;
  }
  ahead = tt_fill_site_ahead(site, left, candidate->next, event, true);
  candidate->weight += log_of(all / sum) - candidate->ahead;
  candidate->ahead = ahead > 0 ? log(ahead) : 0;
}

/* ---- one event ---- */

/* Draws the event at the block's next place; p: of the tokens. */
static void draw_event(struct tt_filler *f, struct tt_fill_candidate *candidate, size_t e,
                       const double *p) {
  const struct tt_fill_site *site = &tt_fill_crowd_of(f, candidate)->site;
  const struct tt_bridge *bridge = &f->masked->bridge;
  const size_t n = bridge->n_events, left = site->hole->n - 1 - e;
  const uint16_t before = candidate->at > 0 ? (uint16_t)candidate->block.tokens[candidate->at - 1]
                          : site->history.n ? tt_fill_stream(candidate)->history.events[0]
                                            : 0;
  double *q = f->proposals + tt_fill_slot(f, candidate) * bridge->n_tokens, all = 0, shrink = 1;
  for (uint16_t v = 0; v < n; v++)
    all += q[v] = p[v] > 0 ? p[v] * tt_fill_site_ahead(site, left, candidate->who, v, false) : 0;
  if (!(all > 0)) { /* nothing that was ever seen here leads there: whatever does */
    shrink = UNLIKELY;
    for (uint16_t v = 0; v < n; v++)
      all += q[v] = (double)f->source.chances[before * n + v] *
                    tt_fill_site_ahead(site, left, candidate->who, v, false);
  }
  candidate->weight += log_of(all * shrink) - candidate->ahead;
  for (size_t v = 0; v < n; v++)
    q[v] = all > 0 ? q[v] / all : p[v];
  q[n] = 0;
  const uint16_t event =
      (uint16_t)tt_masked_block_draw(f->masked, q, &tt_fill_stream(candidate)->rng);
  const double ahead = tt_fill_site_ahead(site, left, candidate->who, event, false);
  candidate->ahead = ahead > 0 ? log(ahead) : 0;
  candidate->made[e] = (struct tt_fill_made){.event = event, .who = candidate->who};
  tt_masked_block_reveal(f->masked, &candidate->block, candidate->at, event);
  tt_markov_remember(&candidate->recent, event);
  candidate->whole = tt_fill_ends(site, event);
  candidate->next = candidate->who;
  if (candidate->whole)
    tt_fill_choose_next(f, candidate, event, left);
}

/* The recorded event after the hole weighs. */
static void weigh_event(struct tt_filler *f, struct tt_fill_candidate *candidate, size_t e,
                        const double *p) {
  const struct tt_fill_site *site = &tt_fill_crowd_of(f, candidate)->site;
  const struct tt_bridge *bridge = &f->masked->bridge;
  const size_t n = site->hole->n;
  const uint16_t event = tt_fill_columns(f)->event[site->right[e - n]];
  if (e == n && site->returns && !tt_fill_is_after(site, candidate->next))
    candidate->weight = -INFINITY;
  candidate->weight +=
      log((1 - UNSEEN) * p[event] + UNSEEN / (double)bridge->n_events) - candidate->ahead;
  candidate->ahead = 0;
  tt_masked_block_reveal(f->masked, &candidate->block, candidate->at, event);
  candidate->whole = tt_fill_ends(site, event);
}

static void next_event(struct tt_filler *f, struct tt_fill_candidate *candidate) {
  const struct tt_fill_crowd *crowd = tt_fill_crowd_of(f, candidate);
  const size_t e = candidate->begun + candidate->at, reveals = f->masked->reveals;
  const struct tt_masked_block_site site = tt_fill_block_site(candidate);
  const struct tt_masked_block_logits logits = {candidate->logits,
                                                candidate->at - candidate->at % reveals};
  const double *p = tt_masked_block_probabilities(f->masked, &site, &logits, candidate->scratch,
                                                  &candidate->block, candidate->at);
  if (e < crowd->site.hole->n)
    draw_event(f, candidate, e, p);
  else
    weigh_event(f, candidate, e, p);
  candidate->at++;
  candidate->whole = candidate->whole || candidate->at == f->masked->block ||
                     candidate->begun + candidate->at == tt_fill_length(crowd);
}

/* ---- the network ---- */

/* Lets the encoder see what the due candidates have that it hasn't seen. */
static void encode(struct tt_filler *f) {
  const struct tt_masked_network *net = &f->masked->network;
  struct tt_masked_news *news = tt_arena(f->compute, f->n_due, sizeof *news);
  for (size_t i = 0; i < f->n_due; i++) {
    const struct tt_fill_candidate *candidate = f->due[i];
    uint64_t *position = &tt_fill_stream(candidate)->position;
    news[i] = (struct tt_masked_news){.ids = candidate->ids,
                                      .n = candidate->seen,
                                      .slot = (uint32_t)tt_fill_slot(f, candidate),
                                      .position = *position,
                                      .ret = candidate->context};
    *position += candidate->seen;
  }
  tt_masked_network_see(f->compute, net, &net->encoder, &f->rings, news, f->n_due);
}

void tt_fill_look(struct tt_filler *f, struct tt_fill_candidate *const *list, size_t n) {
  const struct tt_masked_network *net = &f->masked->network;
  struct tt_masked_news *news = tt_arena(f->compute, n, sizeof *news);
  for (size_t i = 0; i < n; i++)
    news[i] =
        (struct tt_masked_news){.ids = list[i]->last,
                                .n = 1,
                                .slot = (uint32_t)tt_fill_slot(f, list[i]),
                                .position = tt_fill_stream(list[i])->position + list[i]->seen - 1,
                                .ret = list[i]->state};
  tt_masked_network_see(f->compute, net, &net->recent, &f->near, news, n);
}

/* The decoder's output for the due candidates' blocks. */
static struct tt_tensor *decode(struct tt_filler *f) {
  const struct tt_masked_network *net = &f->masked->network;
  const size_t d = net->width, n = f->n_due;
  float *contexts = tt_arena(f->compute, n * d, sizeof *contexts);
  int32_t *tokens = tt_arena(f->compute, n * net->block, sizeof *tokens);
  for (size_t i = 0; i < n; i++) {
    memcpy(contexts + i * d, f->due[i]->context, d * sizeof *contexts);
    memcpy(tokens + i * net->block, f->due[i]->block.tokens, net->block * sizeof *tokens);
  }
  return tt_masked_network_decode(f->compute, net, tt_input(f->compute, contexts, n, d), tokens);
}

typedef bool wanted_fn(const struct tt_filler *f, const struct tt_fill_candidate *candidate);

/* The candidates that are due for something. */
static void gather(struct tt_filler *f, wanted_fn *wanted) {
  f->n_due = 0;
  for (size_t i = 0; i < f->n_crowds * f->k; i++)
    if (!f->candidates[i].done && wanted(f, &f->candidates[i]))
      f->due[f->n_due++] = &f->candidates[i];
}

static bool begins_pass(const struct tt_filler *f, const struct tt_fill_candidate *candidate) {
  return !candidate->whole && candidate->at % f->masked->reveals == 0;
}

static bool is_open(const struct tt_filler *f, const struct tt_fill_candidate *candidate) {
  (void)f;
  return !candidate->whole;
}

static bool is_whole(const struct tt_filler *f, const struct tt_fill_candidate *candidate) {
  (void)f;
  return candidate->whole;
}

static void begin_blocks(struct tt_filler *f) {
  gather(f, is_whole);
  if (f->config->network)
    encode(f);
#pragma omp parallel for schedule(static)
  for (size_t i = 0; i < f->n_due; i++) {
    struct tt_fill_candidate *candidate = f->due[i];
    const size_t e = candidate->begun + candidate->at;
    candidate->seen = 0;
    candidate->begun = e;
    candidate->at = 0;
    candidate->whole = false;
    candidate->who = candidate->next;
    tt_fill_tell_row(f, tt_fill_crowd_of(f, candidate), e, candidate->who, candidate);
    const struct tt_masked_block_site site = tt_fill_block_site(candidate);
    tt_masked_block_begin(f->masked, &site, candidate->scratch, &candidate->block,
                          &tt_fill_stream(candidate)->rng);
    candidate->block.order = TT_MASKED_left;
  }
}

static void run_passes(struct tt_filler *f) {
  const struct tt_masked *masked = f->masked;
  const size_t wide = masked->bridge.n_tokens + 1, block = masked->block;
  if (!f->config->network)
    return;
  gather(f, begins_pass);
  if (f->n_due == 0)
    return;
  struct tt_tensor *decoded = decode(f);
  uint32_t *rows = tt_arena(f->compute, f->n_due * masked->reveals, sizeof *rows);
  size_t n = 0;
  for (size_t i = 0; i < f->n_due; i++)
    for (size_t k = f->due[i]->at; k < f->due[i]->at + masked->reveals && k < block; k++)
      rows[n++] = (uint32_t)(i * block + k);
  const float *data =
      tt_masked_network_events(f->compute, &masked->network, decoded, rows, n)->data;
  n = 0;
  for (size_t i = 0; i < f->n_due; i++) {
    const size_t left = block - f->due[i]->at;
    const size_t places = masked->reveals < left ? masked->reveals : left;
    memcpy(f->due[i]->logits, data + n * wide, places * wide * sizeof *data);
    n += places;
  }
}

/* ---- return values and delays of whole blocks ---- */

/* Event k of the block has happened: what is known now. */
static void follow(struct tt_filler *f, struct tt_fill_candidate *candidate, size_t k) {
  const struct tt_fill_crowd *crowd = tt_fill_crowd_of(f, candidate);
  const struct tt_system *system = &f->masked->system;
  struct tt_stream_state *stream = tt_fill_stream(candidate);
  const size_t e = candidate->begun + k;
  const uint16_t event = (uint16_t)candidate->block.tokens[k];
  const struct tt_replica_row row = candidate->row;
  tt_markov_push(&stream->history, event);
  tt_markov_follow_call(tt_system_markov(system), candidate->calls, row.thread, event);
  struct tt_system_moment moment = {
      .event = event, .cpu = row.cpu, .ret = stream->ret, .delay = stream->delay};
  if (e < crowd->site.hole->n) {
    tt_fill_site_others(&crowd->site, stream->ts, &moment.other, &moment.busy);
  } else {
    const uint64_t right = crowd->site.right[e - crowd->site.hole->n];
    moment.other = f->source.data->track.other[right];
    moment.busy = f->source.data->track.busy[right];
  }
  if (k + 1 == candidate->at || e + 1 >= crowd->site.hole->n) /* else the same goes on */
    tt_fill_tell_row(f, crowd, e + 1, candidate->next, candidate);
  moment.thread = candidate->row.thread;
  moment.comm = candidate->row.comm;
  moment.call =
      moment.thread == TT_THREAD_ANY ? TT_MARKOV_CALL_UNKNOWN : candidate->calls[moment.thread];
  if (k + 1 < candidate->at)
    candidate->row = row;
  tt_system_ids(system, &moment, candidate->last);
  memcpy(candidate->ids + candidate->seen++ * TT_SYSTEM_INPUTS, candidate->last,
         sizeof candidate->last);
}

/* The return value of event e: drawn in the hole, then as recorded. */
static int32_t find_ret(struct tt_filler *f, struct tt_fill_candidate *candidate, size_t e,
                        uint16_t event, const float *logits, float *prior) {
  const struct tt_fill_crowd *crowd = tt_fill_crowd_of(f, candidate);
  const struct tt_cast_event *what = &tt_system_markov(&f->masked->system)->cast.events[event];
  struct tt_stream_state *stream = tt_fill_stream(candidate);
  tt_replica_pend(&candidate->row, event);
  if (e >= crowd->site.hole->n) {
    const uint64_t right = crowd->site.right[e - crowd->site.hole->n];
    stream->ret = tt_encode_ret(f->source.data->encoder, tt_fill_columns(f)->ret[right]);
    return what->n_rets > 0 ? stream->ret : -1;
  }
  const int32_t drawn = tt_replica_draw_ret(&f->replicas, &candidate->row, logits, prior);
  int64_t ret = stream->pending.ret;
  if (what->n_rets == 0)
    ret = TT_RET_NONE;
  else if (ret == TT_RET_DRAW || (ret == TT_RET_NONE && !(what->returns < 1)))
    ret = what->rets[tt_rng_below(&stream->rng, what->n_rets)];
  candidate->made[e].ret = ret;
  return drawn;
}

/* When event e happens, in time for the right end if tries allow; that of the right end itself is
 * drawn for the proportions. */
static void find_delay(struct tt_filler *f, struct tt_fill_candidate *candidate, size_t e,
                       const float *logits, float *prior) {
  const struct tt_fill_crowd *crowd = tt_fill_crowd_of(f, candidate);
  const struct tt_columns *c = tt_fill_columns(f);
  const struct tt_system *system = &f->masked->system;
  struct tt_stream_state *stream = tt_fill_stream(candidate);
  const struct tt_hole *hole = crowd->site.hole;
  const int64_t before = stream->ts, whole = c->ts[hole->right] - c->ts[hole->left];
  if (e <= hole->n)
    for (int try = 0; try < DELAY_TRIES && (try == 0 || stream->ts > whole); try++) {
      stream->ts = before;
      tt_replica_draw_delay(&f->replicas, &candidate->row, logits, prior);
    }
  if (e < hole->n)
    candidate->made[e].after = stream->ts;
  if (e <= hole->n)
    candidate->total = stream->ts;
  if (e < hole->n)
    return;
  const uint64_t row = crowd->site.right[e - hole->n];
  const int64_t dt = e > hole->n      ? c->ts[row] - c->ts[crowd->site.right[e - hole->n - 1]]
                     : whole > before ? whole - before
                                      : 0;
  stream->ts = c->ts[row] - c->ts[hole->left];
  stream->delay = tt_delay_bins_of(&system->bins, tt_vocabulary_dt(system->vocabulary, dt));
}

/* Place k of the due candidates' blocks, those that have one. */
static void draw_place(struct tt_filler *f, size_t k) {
  const struct tt_masked_network *net = &f->masked->network;
  const struct tt_system *system = &f->masked->system;
  const size_t d = net->width, classes = tt_system_widest(system), most = f->n_due;
  const bool network = f->config->network;
  struct tt_compute *c = f->compute;
  struct tt_fill_candidate **list = tt_arena(c, most, sizeof *list);
  float *decoded = tt_arena(c, most * d, sizeof *decoded);
  float *priors = tt_arena(c, most * classes, sizeof *priors);
  float *states = tt_arena(c, most * d, sizeof *states);
  int32_t *rets = tt_arena(c, most, sizeof *rets);
  size_t n = 0;
  for (size_t i = 0; i < most; i++) {
    struct tt_fill_candidate *candidate = f->due[i];
    if (k >= candidate->at)
      continue;
    memcpy(decoded + n * d, candidate->decoded + k * d, d * sizeof *decoded);
    memcpy(states + n * d, candidate->state, d * sizeof *states);
    list[n++] = candidate;
  }
  if (n == 0)
    return;
  struct tt_tensor *middle = NULL;
  const float *logits = f->constant + classes - net->n_rets;
  if (network)
    logits = tt_masked_network_rets(c, net, tt_input(c, decoded, n, d), tt_input(c, states, n, d),
                                    &middle)
                 ->data;
#pragma omp parallel for schedule(static)
  for (size_t i = 0; i < n; i++)
    rets[i] = find_ret(f, list[i], list[i]->begun + k, (uint16_t)list[i]->block.tokens[k],
                       logits + (network ? i * (net->n_rets + 1) : 0), priors + i * classes);
  logits = f->constant + classes - TT_DELAY_BINS;
  if (network)
    logits = tt_masked_network_delays(c, net, middle, rets)->data;
#pragma omp parallel for schedule(static)
  for (size_t i = 0; i < n; i++) {
    find_delay(f, list[i], list[i]->begun + k, logits + (network ? i * (TT_DELAY_BINS + 1) : 0),
               priors + i * classes);
    follow(f, list[i], k);
  }
  if (network)
    tt_fill_look(f, list, n);
}

static void finish_blocks(struct tt_filler *f) {
  const struct tt_masked_network *net = &f->masked->network;
  const size_t each = net->block * net->width;
  gather(f, is_whole);
  if (f->n_due == 0)
    return;
  if (f->config->network) {
    const struct tt_tensor *decoded = decode(f);
    const size_t size = tt_dtype_size(decoded->dtype);
    for (size_t i = 0; i < f->n_due; i++)
      tt_convert_to_f32(f->due[i]->decoded, (const char *)decoded->data + i * each * size,
                        decoded->dtype, each);
  }
  for (size_t k = 0; k < f->masked->block; k++)
    draw_place(f, k);
  for (size_t i = 0; i < f->n_due; i++) {
    struct tt_fill_candidate *candidate = f->due[i];
    candidate->done =
        candidate->begun + candidate->at == tt_fill_length(tt_fill_crowd_of(f, candidate));
  }
}

/* ---- all of it ---- */

bool tt_fill_step(struct tt_filler *f) {
  tt_compute_begin(f->compute, false, 0);
  begin_blocks(f);
  run_passes(f);
  gather(f, is_open);
  if (f->n_due == 0)
    return false;
#pragma omp parallel for schedule(static)
  for (size_t i = 0; i < f->n_due; i++)
    next_event(f, f->due[i]);
  finish_blocks(f);
  return true;
}
