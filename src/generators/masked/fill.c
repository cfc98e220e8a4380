/* Filling holes: sequential Monte Carlo over each hole.
 *
 * The model, read from left to right, gives p(lost events, what came after | what came before);
 * what is wanted is the lost events given both. Candidates (particles) grow side by side, an event
 * at a time: drawn from p times a look ahead (fill.h), weighted by what that draw leaves out, p psi
 * over q. Behind the hole nothing is drawn: the events that were recorded there weigh by their own
 * p, which takes the look ahead's place. Where few candidates carry the weight, they are drawn anew
 * in proportion to it (systematic resampling below half the effective number: Gordon, Salmond &
 * Smith 1993; Liu & Chen 1995; Doucet & Johansen 2009). As their number grows, draws become those
 * of the model's posterior. Instead of a draw one may ask for the candidate that agrees with all
 * others in most places by weight (minimum Bayes risk under Hamming loss, among the candidates).
 *
 * Blocks begin where the hole does and are read from left to right whatever the model's order: each
 * of its conditionals was trained (Hoogeboom et al. 2022 for any order). A block's return values
 * and delays are drawn when it is whole, given all of its events, those after the hole included;
 * the encoder is told of the events that other CPUs had at that time. The delays of a hole are
 * stretched to the time it took. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "generators/masked/fill.h"
#include "generators/merge.h"

enum { TOGETHER = 32 /* events of the past that the encoder sees at a time */ };

/* ---- resampling ---- */

static void copy_candidate(struct tt_filler *f, const struct tt_fill_candidate *from,
                           struct tt_fill_candidate *to) {
  const struct tt_fill_crowd *crowd = tt_fill_crowd_of(f, from);
  const size_t block = f->masked->block, d = f->masked->network.width;
  const struct tt_fill_candidate own = *to;
  const struct tt_rng rng = tt_fill_stream(to)->rng;
  const size_t first = crowd->site.n_rows - 1;
  const uint64_t position = tt_fill_stream(from)->position;
  *tt_fill_stream(to) = *tt_fill_stream(from);
  tt_fill_stream(to)->rng = rng;
  *to = *from;
  to->replica = own.replica;
  to->row.replica = &to->replica;
  to->scratch = own.scratch;
  to->ids = own.ids;
  to->calls = own.calls;
  to->context = own.context;
  to->state = own.state;
  to->decoded = own.decoded;
  to->logits = own.logits;
  to->made = own.made;
  memcpy(to->ids, from->ids, (block + 1) * TT_SYSTEM_INPUTS * sizeof *to->ids);
  memcpy(to->calls, from->calls, f->n_threads * sizeof *to->calls);
  memcpy(to->context, from->context, d * sizeof *to->context);
  memcpy(to->state, from->state, d * sizeof *to->state);
  memcpy(to->made, from->made, crowd->site.hole->n * sizeof *to->made);
  if (f->config->network) {
    memcpy(to->logits, from->logits,
           f->masked->reveals * (f->masked->bridge.n_tokens + 1) * sizeof *to->logits);
    if (position > first)
      tt_transformer_rings_copy(&f->rings, tt_fill_slot(f, from), tt_fill_slot(f, to), first,
                                position - first);
    tt_transformer_rings_copy(&f->near, tt_fill_slot(f, from), tt_fill_slot(f, to), first,
                              position + from->seen - first);
  }
  const struct tt_masked_block_site site = tt_fill_block_site(to);
  tt_masked_block_allow(f->masked, &site, to->scratch);
}

/* Weights as shares of 1, equal ones where all are 0; returns the effective number. */
static double normalise(const struct tt_filler *f, const struct tt_fill_crowd *crowd,
                        double *shares) {
  double max = -INFINITY, sum = 0, squares = 0;
  for (size_t i = 0; i < f->k; i++)
    max = fmax(max, crowd->candidates[i].weight);
  for (size_t i = 0; i < f->k; i++)
    sum += shares[i] = isfinite(max) ? exp(crowd->candidates[i].weight - max) : 1;
  for (size_t i = 0; i < f->k; i++) {
    shares[i] /= sum;
    squares += shares[i] * shares[i];
  }
  return 1 / squares;
}

/* Those with more than their share give copies to those with none. */
static void resample(struct tt_filler *f, struct tt_fill_crowd *crowd, double *shares) {
  if (normalise(f, crowd, shares) >= 0.5 * (double)f->k)
    return;
  const double step = 1 / (double)f->k;
  double at = tt_rng_uniform(&crowd->rng) * step, upto = 0;
  size_t copies[TT_FILL_SLOTS], taken = 0;
  for (size_t i = 0; i < f->k; i++) {
    upto += shares[i];
    copies[i] = 0;
    while (taken < f->k && (at < upto || i + 1 == f->k)) {
      copies[i]++;
      taken++;
      at += step;
    }
  }
  for (size_t i = 0, to = 0; i < f->k; i++)
    for (; copies[i] > 1; copies[i]--) {
      while (copies[to] > 0)
        to++;
      copy_candidate(f, &crowd->candidates[i], &crowd->candidates[to]);
      copies[to] = 1;
    }
  for (size_t i = 0; i < f->k; i++)
    crowd->candidates[i].weight = 0;
}

/* ---- a hole's end ---- */

/* The share of the weight that agrees with it, summed over its events. */
static double agreement(const struct tt_filler *f, const struct tt_fill_crowd *crowd,
                        const double *shares, const struct tt_fill_candidate *candidate) {
  double sum = 0;
  for (size_t i = 0; i < f->k; i++)
    for (size_t e = 0; e < crowd->site.hole->n; e++)
      if (crowd->candidates[i].made[e].event == candidate->made[e].event)
        sum += shares[i];
  return sum;
}

static const struct tt_fill_candidate *decide(const struct tt_filler *f,
                                              struct tt_fill_crowd *crowd, const double *shares) {
  const struct tt_fill_candidate *best = NULL;
  double most = -1, at = tt_rng_uniform(&crowd->rng);
  for (size_t i = 0; i < f->k; i++) {
    const struct tt_fill_candidate *candidate = &crowd->candidates[i];
    if (!(shares[i] > 0))
      continue;
    if (!f->config->best) {
      best = candidate;
      at -= shares[i];
      if (at < 0)
        break;
      continue;
    }
    const double agrees = agreement(f, crowd, shares, candidate);
    if (agrees > most) {
      most = agrees;
      best = candidate;
    }
  }
  return best;
}

/* Puts the candidate's events into the hole, its time stretched to the hole's; a thread that other
 * CPUs have before or after is here when it is not there. */
static void settle(const struct tt_filler *f, const struct tt_fill_crowd *crowd,
                   const struct tt_fill_candidate *candidate) {
  const struct tt_fill_site *site = &crowd->site;
  const struct tt_columns *c = tt_fill_columns(f);
  struct tt_hole *hole = site->hole;
  const int64_t left = c->ts[hole->left];
  const double whole = (double)(c->ts[hole->right] - left);
  bool switched = false, arrived = false;
  double total = (double)candidate->total;
  if (site->n_right == 0) /* the last delay isn't known */
    total += total / (double)hole->n;
  for (size_t e = 0; e < hole->n; e++) {
    const struct tt_fill_made *made = &candidate->made[e];
    const double share =
        total > 0 ? (double)made->after / total : (double)(e + 1) / (double)(hole->n + 1);
    int64_t ts = left + (int64_t)(share * whole);
    switched = switched || made->who != TT_FILL_BEFORE;
    arrived = arrived || (switched && tt_fill_is_after(site, made->who));
    if (!switched && ts > site->leaves)
      ts = site->leaves;
    if (arrived && ts < site->arrives)
      ts = site->arrives;
    if (e > 0 && ts < hole->events[e - 1].ts)
      ts = hole->events[e - 1].ts;
    ts = ts < hole->begin ? hole->begin : ts > hole->end ? hole->end : ts;
    hole->events[e] = (struct tt_event){.ts = ts,
                                        .ret = made->ret,
                                        .tid = tt_fill_tid(site, made->who),
                                        .comm = tt_fill_comm(site, made->who),
                                        .event = made->event,
                                        .cpu = hole->cpu};
  }
}

/* ---- a few holes at a time ---- */

/* The encoder sees each site's past once; the other candidates' rings are copies. */
static enum tt_status see_pasts(struct tt_filler *f, struct tt_system_moment *lasts) {
  const struct tt_masked_network *net = &f->masked->network;
  int32_t *ids[TT_FILL_SLOTS] = {NULL};
  enum tt_status status = TT_OK;
  for (size_t i = 0; i < f->n_crowds && status == TT_OK; i++) {
    ids[i] = tt_alloc(f->crowds[i].site.n_rows * TT_SYSTEM_INPUTS, sizeof *ids[i]);
    status = ids[i] ? tt_fill_site_past(&f->crowds[i].site, ids[i], &lasts[i])
                    : tt_fail(TT_NO_MEMORY, "the past of a gap");
  }
  bool more = f->config->network;
  for (size_t from = 0; more && status == TT_OK; from += TOGETHER) {
    struct tt_masked_news news[TT_FILL_SLOTS];
    more = false;
    for (size_t i = 0; i < f->n_crowds; i++) {
      const size_t past = f->crowds[i].site.n_rows - 1, left = past > from ? past - from : 0;
      news[i] = (struct tt_masked_news){.ids = ids[i] + (left > 0 ? from : 0) * TT_SYSTEM_INPUTS,
                                        .n = left < TOGETHER ? left : TOGETHER,
                                        .slot = (uint32_t)(i * f->k),
                                        .position = from};
      more = more || left > 0;
    }
    tt_compute_begin(f->compute, false, 0);
    tt_masked_network_see(f->compute, net, &net->encoder, &f->rings, news, f->n_crowds);
    tt_masked_network_see(f->compute, net, &net->recent, &f->near, news, f->n_crowds);
  }
  for (size_t i = 0; i < f->n_crowds; i++)
    tt_free(ids[i]);
  return status;
}

/* The candidate at the hole's left end, all equal but for their random numbers. */
static void begin_candidate(struct tt_filler *f, struct tt_fill_crowd *crowd, size_t which,
                            uint64_t number, const struct tt_system_moment *last) {
  const struct tt_fill_site *site = &crowd->site;
  const struct tt_hole *hole = site->hole;
  struct tt_fill_candidate *candidate = &crowd->candidates[which];
  const struct tt_fill_candidate own = *candidate;
  *candidate = (struct tt_fill_candidate){.replica = own.replica,
                                          .row = {.cpu = hole->cpu},
                                          .recent = site->recent,
                                          .who = TT_FILL_BEFORE,
                                          .next = TT_FILL_BEFORE,
                                          .whole = true,
                                          .scratch = own.scratch,
                                          .ids = own.ids,
                                          .calls = own.calls,
                                          .context = own.context,
                                          .state = own.state,
                                          .decoded = own.decoded,
                                          .logits = own.logits,
                                          .made = crowd->made + which * hole->n};
  candidate->row.replica = &candidate->replica;
  memcpy(candidate->calls, site->calls, f->n_threads * sizeof *site->calls);
  struct tt_stream_state *stream = tt_fill_stream(candidate);
  *stream = (struct tt_stream_state){.history = site->history, .position = site->n_rows - 1};
  tt_rng_init(&stream->rng, f->config->seed, number << 16 | which);
  if (tt_fill_ends(site, last->event))
    tt_fill_choose_next(f, candidate, last->event, hole->n);
  tt_fill_tell_row(f, crowd, 0, candidate->next, candidate);
  struct tt_system_moment moment = *last;
  moment.thread = candidate->row.thread;
  moment.comm = candidate->row.comm;
  moment.call = candidate->row.call;
  tt_system_ids(&f->masked->system, &moment, candidate->last);
  memcpy(candidate->ids, candidate->last, sizeof candidate->last);
  candidate->seen = 1;
}

static enum tt_status begin_crowds(struct tt_filler *f, struct tt_hole *holes, uint64_t number) {
  struct tt_system_moment lasts[TT_FILL_SLOTS];
  enum tt_status status = TT_OK;
  for (size_t i = 0; i < f->n_crowds && status == TT_OK; i++) {
    struct tt_fill_crowd *crowd = &f->crowds[i];
    status = tt_fill_site_init(&f->source, &holes[i], &crowd->site);
    crowd->candidates = f->candidates + i * f->k;
    crowd->made = tt_calloc(f->k * holes[i].n, sizeof *crowd->made);
    tt_rng_init(&crowd->rng, f->config->seed, (number + i) << 16 | 0xffff);
    if (status == TT_OK && !crowd->made)
      status = tt_fail(TT_NO_MEMORY, "candidates for %zu lost events", holes[i].n);
  }
  if (status == TT_OK)
    status = see_pasts(f, lasts);
  for (size_t i = 0; i < f->n_crowds && status == TT_OK; i++) {
    struct tt_fill_crowd *crowd = &f->crowds[i];
    for (size_t k = 0; k < f->k; k++)
      begin_candidate(f, crowd, k, number + i, &lasts[i]);
    for (size_t k = 1; k < f->k && f->config->network && crowd->site.n_rows > 1; k++) {
      tt_transformer_rings_copy(&f->rings, i * f->k, i * f->k + k, 0, crowd->site.n_rows - 1);
      tt_transformer_rings_copy(&f->near, i * f->k, i * f->k + k, 0, crowd->site.n_rows - 1);
    }
  }
  if (status == TT_OK && f->config->network) {
    tt_compute_begin(f->compute, false, 0);
    f->n_due = f->n_crowds * f->k;
    for (size_t i = 0; i < f->n_due; i++)
      f->due[i] = &f->candidates[i];
    tt_fill_look(f, f->due, f->n_due);
  }
  return status;
}

static enum tt_status fill_crowds(struct tt_filler *f, struct tt_hole *holes, uint64_t number) {
  double shares[TT_FILL_SLOTS];
  enum tt_status status = begin_crowds(f, holes, number);
  for (size_t e = 1; status == TT_OK && tt_fill_step(f); e++) {
    for (size_t i = 0; i < f->n_crowds; i++)
      if (e < tt_fill_length(&f->crowds[i]))
        resample(f, &f->crowds[i], shares);
    if (tt_interrupted())
      status = tt_fail(TT_INTERRUPTED, "interrupted after %llu gaps", (unsigned long long)number);
  }
  for (size_t i = 0; i < f->n_crowds && status == TT_OK; i++) {
    normalise(f, &f->crowds[i], shares);
    settle(f, &f->crowds[i], decide(f, &f->crowds[i], shares));
  }
  for (size_t i = 0; i < f->n_crowds; i++) {
    tt_fill_site_release(&f->crowds[i].site);
    tt_free(f->crowds[i].made);
    f->crowds[i] = (struct tt_fill_crowd){0};
  }
  return status;
}

/* ---- all of them ---- */

static enum tt_status make_candidate(const struct tt_filler *f, struct tt_fill_candidate *ret) {
  const struct tt_masked_network *net = &f->masked->network;
  ret->replica.streams = tt_calloc(f->masked->system.base.cpu_limit, sizeof *ret->replica.streams);
  ret->scratch = tt_masked_block_scratch_new(f->masked);
  ret->ids = tt_calloc((net->block + 1) * TT_SYSTEM_INPUTS, sizeof *ret->ids);
  ret->calls = tt_calloc(f->n_threads, sizeof *ret->calls);
  ret->context = tt_calloc(net->width, sizeof *ret->context);
  ret->state = tt_calloc(net->width, sizeof *ret->state);
  ret->decoded = tt_calloc(net->block * net->width, sizeof *ret->decoded);
  ret->logits = tt_calloc(f->masked->reveals * (net->n_tokens + 1), sizeof *ret->logits);
  return ret->replica.streams && ret->scratch && ret->ids && ret->calls && ret->context &&
                 ret->state && ret->decoded && ret->logits
             ? TT_OK
             : tt_fail(TT_NO_MEMORY, "%zu candidates", f->n_slots);
}

/* Where the network is to say nothing its logits are these, of any number of classes. */
static void say_nothing(struct tt_filler *f, size_t classes) {
  const size_t wide = f->masked->bridge.n_tokens + 1;
  f->constant[classes] = 1;
  for (size_t i = 0; i < f->n_slots; i++)
    for (size_t k = 0; k < f->masked->reveals; k++)
      f->candidates[i].logits[k * wide + wide - 1] = 1;
}

static enum tt_status open_filler(struct tt_filler *f, const struct tt_system_source *data,
                                  size_t n_holes) {
  const size_t crowds = TT_FILL_SLOTS / f->k < n_holes ? TT_FILL_SLOTS / f->k : n_holes;
  const size_t classes = tt_system_widest(&f->masked->system);
  f->n_threads = tt_system_markov(&f->masked->system)->cast.n_threads;
  f->n_slots = crowds * f->k;
  f->replicas.system = &f->masked->system;
  f->candidates = tt_calloc(f->n_slots, sizeof *f->candidates);
  f->crowds = tt_calloc(crowds, sizeof *f->crowds);
  f->constant = tt_calloc(classes + 1, sizeof *f->constant);
  f->weights = tt_alloc(f->n_slots, 2 * (f->n_threads + 1) * sizeof *f->weights);
  f->proposals = tt_alloc(f->n_slots, f->masked->bridge.n_tokens * sizeof *f->proposals);
  f->whos = tt_alloc(f->n_slots, (f->n_threads + 1) * sizeof *f->whos);
  f->due = tt_alloc(f->n_slots, sizeof(struct tt_fill_candidate *));
  if (!f->candidates || !f->crowds || !f->constant || !f->weights || !f->proposals || !f->whos ||
      !f->due)
    return tt_fail(TT_NO_MEMORY, "%zu candidates", f->n_slots);
  enum tt_status status = TT_OK;
  for (size_t i = 0; i < f->n_slots && status == TT_OK; i++)
    status = make_candidate(f, &f->candidates[i]);
  if (status != TT_OK)
    return status;
  say_nothing(f, classes);
  status = tt_compute_create(TT_PRECISION_AUTO, f->config->seed, &f->compute);
  if (status == TT_OK && f->config->network)
    status = tt_transformer_rings_create(f->compute, &f->masked->network.encoder, f->n_slots,
                                         f->masked->network.window, TOGETHER, &f->rings);
  if (status == TT_OK && f->config->network)
    status = tt_transformer_rings_create(f->compute, &f->masked->network.recent, f->n_slots,
                                         TT_MASKED_RECENT, TOGETHER, &f->near);
  return status == TT_OK ? tt_fill_source_open(f->masked, data, f->config->right, &f->source)
                         : status;
}

static void close_filler(struct tt_filler *f) {
  for (size_t i = 0; f->candidates && i < f->n_slots; i++) {
    struct tt_fill_candidate *candidate = &f->candidates[i];
    tt_free(candidate->replica.streams);
    tt_free(candidate->scratch);
    tt_free(candidate->ids);
    tt_free(candidate->calls);
    tt_free(candidate->context);
    tt_free(candidate->state);
    tt_free(candidate->decoded);
    tt_free(candidate->logits);
  }
  tt_transformer_rings_release(&f->rings);
  tt_transformer_rings_release(&f->near);
  tt_fill_source_close(&f->source);
  tt_compute_free(f->compute);
  tt_free(f->candidates);
  tt_free(f->crowds);
  tt_free(f->constant);
  tt_free(f->proposals);
  tt_free(f->weights);
  tt_free(f->whos);
  tt_free(f->due);
}

/* Holes [first, end), of one workload. */
static enum tt_status fill_workload(const struct tt_masked *masked,
                                    const struct tt_system_source *data, struct tt_holes *holes,
                                    size_t first, size_t end, const struct tt_fill_config *config) {
  const double begin = tt_seconds();
  struct tt_filler f = {.masked = masked, .config = config, .k = config->candidates};
  enum tt_status status = open_filler(&f, data, end - first);
  uint64_t events = 0;
  for (size_t i = first; i < end && status == TT_OK; i += f.n_crowds) {
    f.n_crowds = f.n_slots / f.k < end - i ? f.n_slots / f.k : end - i;
    status = fill_crowds(&f, holes->list + i, i);
    for (size_t k = 0; k < f.n_crowds; k++)
      events += holes->list[i + k].n;
    if (config->progress && config->progress->report)
      tt_merge_report(config->progress, events, holes->n_events, tt_seconds() - begin);
  }
  close_filler(&f);
  return status;
}

enum tt_status tt_masked_fill(const struct tt_generator *generator, struct tt_holes *holes,
                              const struct tt_fill_config *config) {
  const struct tt_masked *whole = (const struct tt_masked *)generator;
  struct tt_system_source data = {0};
  if (config->candidates == 0 || config->candidates > TT_FILL_SLOTS)
    return tt_fail(TT_USAGE, "%zu candidates: 1 to %d", config->candidates, TT_FILL_SLOTS);
  if (holes->n == 0)
    return TT_OK;
  enum tt_status status = tt_system_source_open(&whole->system, holes->dataset, &data);
  for (size_t first = 0, end; first < holes->n && status == TT_OK; first = end) {
    const size_t label = tt_system_of_row(&data, holes->list[first].left)->label;
    const struct tt_masked masked = tt_masked_workload(whole, label);
    for (end = first + 1;
         end < holes->n && tt_system_of_row(&data, holes->list[end].left)->label == label;)
      end++;
    status = fill_workload(&masked, &data, holes, first, end, config);
  }
  tt_system_source_close(&data);
  return status;
}
