#include "generators/masked/fill.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "dataset/cuts.h"

static const double RETURNS = 0.02; /* least chance that a switch leads to who runs after */

/* ---- the dataset ---- */

static void find_chances(const struct tt_bridge *bridge, float *chances) {
  const size_t n = bridge->n_events;
#pragma omp parallel for schedule(static)
  for (size_t u = 0; u < n; u++) {
    const float *logs = tt_bridge_logs(bridge, 1, bridge->begin[u]);
    for (size_t w = 0; w < n; w++)
      chances[u * n + w] = expf(logs[w]);
  }
}

enum tt_status tt_fill_source_open(const struct tt_masked *masked,
                                   const struct tt_system_source *data, bool right,
                                   struct tt_fill_source *ret) {
  const struct tt_markov *markov = tt_system_markov(&masked->system);
  const size_t events = masked->bridge.n_events, threads = markov->cast.n_threads;
  *ret = (struct tt_fill_source){.masked = masked, .data = data, .right = right};
  ret->chances = tt_alloc(events * events, sizeof *ret->chances);
  ret->calls = tt_markov_new_calls(markov);
  ret->comms = tt_alloc(threads, sizeof *ret->comms);
  if (!ret->chances || !ret->calls || !ret->comms)
    return tt_fail(TT_NO_MEMORY, "%zu threads", threads);
  for (size_t i = 0; i < threads; i++)
    ret->comms[i] = TT_COMM_NONE;
  find_chances(&masked->bridge, ret->chances);
  return TT_OK;
}

void tt_fill_source_close(struct tt_fill_source *source) {
  tt_free(source->chances);
  tt_free(source->calls);
  tt_free(source->comms);
}

static const struct tt_columns *columns_of(const struct tt_fill_source *source) {
  return tt_dataset_columns(source->data->dataset);
}

static const struct tt_markov *markov_of(const struct tt_fill_site *site) {
  return tt_system_markov(&site->source->masked->system);
}

static bool of_workload(const struct tt_fill_source *source, uint64_t row) {
  return tt_system_of_row(source->data, row)->label == source->masked->system.label;
}

/* What is known of each thread before `row`. */
static void sweep(struct tt_fill_source *source, uint64_t row) {
  const struct tt_columns *c = columns_of(source);
  const struct tt_markov *markov = tt_system_markov(&source->masked->system);
  for (; source->row < row; source->row++) {
    const uint32_t thread = source->data->track.thread[source->row];
    if (thread == TT_THREAD_ANY || !of_workload(source, source->row))
      continue;
    source->comms[thread] = c->comm[source->row];
    tt_markov_follow_call(markov, source->calls, thread, c->event[source->row]);
  }
}

/* ---- what is around a hole ---- */

/* Something besides the hole itself (which may reach to the very time of the rows at its ends) lies
 * between two rows of the CPU on one side of it. */
static bool cut_between(const struct tt_fill_site *site, uint64_t a, uint64_t b) {
  const struct tt_hole *hole = site->hole;
  const struct tt_dataset *dataset = site->source->data->dataset;
  const struct tt_cuts *cuts = tt_dataset_cuts(dataset);
  const int64_t *ts = tt_dataset_columns(dataset)->ts;
  int64_t from = ts[a], to = ts[b];
  if (b <= hole->left && to >= hole->begin)
    to = hole->begin - 1;
  if (a >= hole->right && from <= hole->end)
    from = hole->end + 1;
  return (from <= to && tt_gap_index_touches(&cuts->cpu[hole->cpu], from, to)) ||
         tt_cuts_border_between(cuts, a, b);
}

/* Rows of the CPU without a cut between them: backwards from the left end, forwards from the right
 * one. */
static enum tt_status find_rows(struct tt_fill_site *site) {
  const struct tt_fill_source *source = site->source;
  const struct tt_hole *hole = site->hole;
  const struct tt_streams *streams = source->data->streams;
  const uint64_t at = tt_streams_position(streams, hole->cpu, hole->left);
  const uint64_t length = tt_streams_length(streams, hole->cpu);
  const size_t window = source->masked->network.window;
  size_t n = at + 1 < window ? (size_t)at + 1 : window;
  site->rows = tt_alloc(n, sizeof *site->rows);
  if (!site->rows)
    return tt_fail(TT_NO_MEMORY, "%zu rows", n);
  tt_streams_rows(streams, hole->cpu, at + 1 - n, n, site->rows);
  size_t first = n - 1;
  while (first > 0 && !cut_between(site, site->rows[first - 1], site->rows[first]))
    first--;
  site->n_rows = n - first;
  memmove(site->rows, site->rows + first, site->n_rows * sizeof *site->rows);
  if (!source->right)
    return TT_OK;
  n = length - (at + 1) < TT_FILL_RIGHT ? (size_t)(length - (at + 1)) : TT_FILL_RIGHT;
  tt_streams_rows(streams, hole->cpu, at + 1, n, site->right);
  site->n_right = 1;
  while (site->n_right < n &&
         !cut_between(site, site->right[site->n_right - 1], site->right[site->n_right]))
    site->n_right++;
  return TT_OK;
}

/* Who runs on other CPUs between the ends: those of rows there, and who ran on when it ended. */
static void find_elsewhere(struct tt_fill_site *site) {
  const struct tt_fill_source *source = site->source;
  const struct tt_hole *hole = site->hole;
  const struct tt_columns *c = columns_of(source);
  const int32_t before = c->tid[hole->left], after = c->tid[hole->right];
  site->leaves = hole->end;
  site->arrives = hole->begin;
  for (uint64_t row = hole->right; row-- > hole->left + 1;) {
    const uint32_t thread = source->data->track.thread[row];
    if (thread != TT_THREAD_ANY)
      site->elsewhere[thread] = true;
    if (c->tid[row] == before && before > 0 && c->ts[row] <= site->leaves)
      site->leaves = c->ts[row] - 1;
    if (c->tid[row] == after && after > 0 && c->ts[row] > site->arrives)
      site->arrives = c->ts[row];
  }
  for (size_t cpu = 0; cpu < tt_streams_count(source->data->streams); cpu++) {
    const uint64_t at = tt_streams_position(source->data->streams, cpu, hole->right);
    uint64_t row;
    if (cpu == hole->cpu || at == tt_streams_length(source->data->streams, cpu))
      continue;
    tt_streams_rows(source->data->streams, cpu, at, 1, &row);
    if (source->data->track.thread[row] != TT_THREAD_ANY && of_workload(source, row))
      site->elsewhere[source->data->track.thread[row]] = true;
  }
  site->leaves = site->leaves > hole->begin ? site->leaves : hole->begin;
  site->arrives = site->arrives < hole->end ? site->arrives : hole->end;
}

/* How often it was `after` that came to run on this CPU. */
static double chance_of_after(const struct tt_fill_site *site) {
  const struct tt_markov *markov = markov_of(site);
  const uint16_t cpu = site->hole->cpu;
  const struct tt_tally_row row =
      tt_tally_find(&markov->turns, tt_markov_turn_key(TT_MARKOV_TURN_LEVELS - 1, 0, cpu, 0, 0));
  double chance = RETURNS;
  for (size_t i = 0; i < row.n; i++)
    if (site->after != TT_THREAD_ANY &&
        tt_markov_thread_of(markov, row.values[i], cpu, TT_THREAD_ANY) == site->after)
      chance = (double)tt_tally_at(&row, i) / (double)tt_tally_total(&row);
  return fmin(fmax(chance, RETURNS), 1 - RETURNS);
}

/* Whether `after` was ever seen to come right after itself. */
static bool comes_again(const struct tt_fill_site *site) {
  const struct tt_markov *markov = markov_of(site);
  const uint16_t cpu = site->hole->cpu;
  for (uint16_t u = 0; site->after != TT_THREAD_ANY && u < site->source->masked->bridge.n_events;
       u++) {
    const struct tt_tally_row row =
        tt_tally_find(&markov->turns, tt_markov_turn_key(1, site->after, cpu, u, 0));
    for (size_t i = 0; i < row.n; i++)
      if (tt_markov_thread_of(markov, row.values[i], cpu, site->after) == site->after)
        return true;
  }
  return !markov->cast.switches;
}

/* ahead[left, s, u]: the chance of what comes after when `left` events follow u, s: `after` runs
 * them (the first of them, that is). */
static enum tt_status look_ahead(struct tt_fill_site *site) {
  const struct tt_fill_source *source = site->source;
  const size_t n = source->masked->bridge.n_events;
  const uint16_t right = columns_of(source)->event[site->hole->right];
  if (!source->right)
    return TT_OK;
  double *next = tt_alloc(n, 2 * sizeof *next); /* [2, n] after an event, whoever runs then */
  site->ahead = tt_alloc(site->hole->n + 1, 2 * n * sizeof *site->ahead);
  if (!site->ahead || !next) {
    tt_free(next);
    return tt_fail(TT_NO_MEMORY, "a gap of %zu events", site->hole->n);
  }
  for (size_t u = 0; u < n; u++) {
    site->ahead[n + u] = (double)source->chances[u * n + right];
    site->ahead[u] = site->returns ? 0 : site->ahead[n + u];
  }
  for (size_t left = 1; left <= site->hole->n; left++) {
    double *now = site->ahead + left * 2 * n, max = 0;
    for (uint16_t v = 0; v < n; v++) {
      next[v] = tt_fill_site_ahead(site, left - 1, TT_THREAD_ANY, v, false);
      next[n + v] = tt_fill_site_ahead(site, left - 1, TT_FILL_AFTER, v, false);
    }
    for (size_t s = 0; s < 2; s++)
      for (size_t u = 0; u < n; u++) {
        const float *chances = source->chances + u * n;
        double sum = 0;
        for (size_t v = 0; v < n; v++)
          sum += (double)chances[v] * next[s * n + v];
        now[s * n + u] = sum;
        max = fmax(max, sum);
      }
    for (size_t i = 0; i < 2 * n && max > 0; i++)
      now[i] /= max;
  }
  tt_free(next);
  return TT_OK;
}

double tt_fill_site_ahead(const struct tt_fill_site *site, size_t left, uint32_t who,
                          uint16_t event, bool chosen) {
  if (!site->source->right)
    return 1;
  const size_t n = site->source->masked->bridge.n_events;
  const double *other = site->ahead + left * 2 * n, *after = other + n;
  const bool is_after = tt_fill_is_after(site, who);
  if (chosen || !tt_fill_ends(site, event))
    return is_after ? after[event] : other[event];
  const double chance = is_after && !site->again ? 0 : site->chance;
  return chance * after[event] + (1 - chance) * other[event];
}

enum tt_status tt_fill_site_init(struct tt_fill_source *source, struct tt_hole *hole,
                                 struct tt_fill_site *ret) {
  const struct tt_columns *c = columns_of(source);
  const struct tt_markov *markov = tt_system_markov(&source->masked->system);
  const size_t threads = markov->cast.n_threads;
  *ret = (struct tt_fill_site){.source = source,
                               .hole = hole,
                               .before = source->data->track.thread[hole->left],
                               .after = source->data->track.thread[hole->right],
                               .same = c->tid[hole->left] == c->tid[hole->right],
                               .returns = c->tid[hole->right] != TT_TID_NONE};
  ret->calls = tt_alloc(threads, sizeof *ret->calls);
  ret->comms = tt_alloc(threads, sizeof *ret->comms);
  ret->elsewhere = tt_calloc(threads, sizeof *ret->elsewhere);
  if (!ret->calls || !ret->comms || !ret->elsewhere)
    return tt_fail(TT_NO_MEMORY, "%zu threads", threads);
  enum tt_status status = find_rows(ret);
  if (status != TT_OK)
    return status;
  sweep(source, hole->left + 1);
  memcpy(ret->calls, source->calls, threads * sizeof *ret->calls);
  memcpy(ret->comms, source->comms, threads * sizeof *ret->comms);
  memset(&ret->recent, 0xff, sizeof ret->recent); /* TT_MARKOV_NO_EVENT */
  for (size_t i = 0; i < ret->n_rows; i++) {
    tt_markov_push(&ret->history, c->event[ret->rows[i]]);
    tt_markov_remember(&ret->recent, c->event[ret->rows[i]]);
  }
  find_elsewhere(ret);
  ret->chance = chance_of_after(ret);
  ret->again = comes_again(ret);
  return look_ahead(ret);
}

void tt_fill_site_release(struct tt_fill_site *site) {
  tt_free(site->rows);
  tt_free(site->ahead);
  tt_free(site->calls);
  tt_free(site->comms);
  tt_free(site->elsewhere);
  *site = (struct tt_fill_site){0};
}

/* ---- who runs ---- */

uint32_t tt_fill_thread(const struct tt_fill_site *site, uint32_t who) {
  const uint32_t thread = who == TT_FILL_BEFORE  ? site->before
                          : who == TT_FILL_AFTER ? site->after
                                                 : who;
  return thread != TT_THREAD_ANY && markov_of(site)->cast.threads[thread].tid == TT_TID_NONE
             ? TT_THREAD_ANY
             : thread;
}

uint32_t tt_fill_comm(const struct tt_fill_site *site, uint32_t who) {
  const struct tt_columns *c = columns_of(site->source);
  if (who == TT_FILL_BEFORE || who == TT_FILL_AFTER)
    return c->comm[who == TT_FILL_BEFORE ? site->hole->left : site->hole->right];
  if (who == TT_THREAD_ANY)
    return TT_COMM_NONE;
  const struct tt_cast_thread *thread = &markov_of(site)->cast.threads[who];
  return site->comms[who] != TT_COMM_NONE ? site->comms[who]
         : thread->n_comms > 0            ? thread->comms[thread->usual]
                                          : TT_COMM_NONE;
}

int32_t tt_fill_tid(const struct tt_fill_site *site, uint32_t who) {
  const struct tt_columns *c = columns_of(site->source);
  if (who == TT_FILL_BEFORE || who == TT_FILL_AFTER)
    return c->tid[who == TT_FILL_BEFORE ? site->hole->left : site->hole->right];
  return who == TT_THREAD_ANY ? TT_TID_NONE : markov_of(site)->cast.threads[who].tid;
}

/* Adds `share` of the weights of those of a row who may run. */
static void add_row(const struct tt_fill_site *site, const struct tt_tally_row *row, double share,
                    uint32_t leaving, double *weights) {
  const struct tt_markov *markov = markov_of(site);
  for (size_t i = 0; i < row->n; i++) {
    const uint32_t thread = tt_markov_thread_of(markov, row->values[i], site->hole->cpu, leaving);
    if (thread == TT_THREAD_ANY ||
        (site->elsewhere[thread] && !(site->returns && thread == site->after)))
      continue;
    weights[thread] += share * (double)tt_tally_at(row, i) / (double)tt_tally_total(row);
  }
}

static double total_of(const double *weights, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; i++)
    sum += weights[i];
  return sum;
}

/* As tt_markov_choose_thread: the two most specific levels mixed (Witten-Bell); when nobody of
 * these is free, the next, then idle. */
static void weigh_threads(const struct tt_fill_site *site, const struct tt_markov_recent *recent,
                          uint32_t leaving, double *weights) {
  const struct tt_markov *markov = markov_of(site);
  const size_t n = markov->cast.n_threads;
  const uint16_t cpu = site->hole->cpu;
  struct tt_tally_row rows[TT_MARKOV_TURN_LEVELS];
  tt_markov_turn_rows(markov, leaving, cpu, tt_markov_before(markov, recent), rows);
  memset(weights, 0, n * sizeof *weights);
  const double seen = (double)tt_tally_total(&rows[0]), kinds = (double)rows[0].n;
  const double first = rows[1].n == 0 ? 1 : rows[0].n ? seen / (seen + kinds) : 0;
  add_row(site, &rows[0], first, leaving, weights);
  add_row(site, &rows[1], 1 - first, leaving, weights);
  for (unsigned level = TT_MARKOV_TURN_MIXED;
       level < TT_MARKOV_TURN_LEVELS && !(total_of(weights, n) > 0); level++)
    add_row(site, &rows[level], 1, leaving, weights);
  const uint32_t idle = markov->idle[cpu];
  if (!(total_of(weights, n) > 0) && idle != TT_THREAD_ANY && idle != leaving)
    weights[idle] = 1;
}

size_t tt_fill_site_threads(const struct tt_fill_site *site, const struct tt_markov_recent *recent,
                            uint32_t leaving, double *weights, uint32_t *ret_who, double *ret_p) {
  const struct tt_markov *markov = markov_of(site);
  const size_t n = markov->cast.n_threads;
  size_t found = 0;
  weigh_threads(site, recent, tt_fill_thread(site, leaving), weights);
  const double total = total_of(weights, n);
  const bool left = tt_fill_is_after(site, leaving) && markov->cast.switches;
  double after =
      site->returns && !left ? RETURNS : 0; /* it did run, whether counting knows or not */
  for (size_t i = 0; i < n && total > 0; i++) {
    if (!(weights[i] > 0))
      continue;
    if (site->returns && i == site->after) {
      after = fmax(after, weights[i] / total);
      continue;
    }
    ret_who[found] = (uint32_t)i;
    ret_p[found++] = weights[i] / total;
  }
  if (after > 0) {
    ret_who[found] = TT_FILL_AFTER;
    ret_p[found++] = after;
  }
  if (found == 0) {
    ret_who[found] = TT_THREAD_ANY;
    ret_p[found++] = 1;
  }
  return found;
}

/* ---- what the network is told ---- */

void tt_fill_site_others(const struct tt_fill_site *site, int64_t after, int32_t *ret_other,
                         size_t *ret_busy) {
  const struct tt_fill_source *source = site->source;
  const struct tt_system_track *track = &source->data->track;
  const struct tt_columns *c = columns_of(source);
  const struct tt_cast *cast = &markov_of(site)->cast;
  const uint64_t left = site->hole->left;
  uint64_t low = left + 1, high = site->hole->right; /* the first row that is later */
  while (low < high) {
    const uint64_t middle = low + (high - low) / 2;
    if (c->ts[middle] - c->ts[left] <= after)
      low = middle + 1;
    else
      high = middle;
  }
  const uint64_t row = low - 1;
  *ret_other = track->other[left];
  *ret_busy = track->busy[left];
  if (row == left)
    return;
  const uint32_t there = track->thread[row], here = track->thread[left];
  const size_t busy_there = there != TT_THREAD_ANY && cast->threads[there].tid != 0;
  const size_t busy_here = here != TT_THREAD_ANY && cast->threads[here].tid != 0;
  *ret_other = c->event[row];
  *ret_busy = track->busy[row] + busy_there;
  *ret_busy -= busy_here <= *ret_busy ? busy_here : *ret_busy;
}

enum tt_status tt_fill_site_past(const struct tt_fill_site *site, int32_t *ret_ids,
                                 struct tt_system_moment *ret_last) {
  const struct tt_fill_source *source = site->source;
  const struct tt_system *system = &source->masked->system;
  const struct tt_columns *c = columns_of(source);
  const size_t n = site->n_rows;
  const uint64_t left = site->rows[n - 1];
  struct tt_channels channels;
  enum tt_status status = tt_channels_init(&channels, n);
  if (status != TT_OK)
    return status;
  tt_encode_rows(source->data->encoder, TT_STREAM_CPU, UINT64_MAX, site->rows, n, &channels, 0);
  if (n > 1) /* the hole may begin at the very time of its left end */
    channels.dt[n - 1] =
        tt_vocabulary_dt(system->vocabulary, c->ts[left] - c->ts[site->rows[n - 2]]);
  for (size_t i = 0; i + 1 < n; i++) {
    const struct tt_system_moment moment = tt_system_recorded_moment(
        system, c, &source->data->track, &channels, i, site->rows[i], site->rows[i + 1]);
    tt_system_ids(system, &moment, ret_ids + i * TT_SYSTEM_INPUTS);
  }
  *ret_last =
      (struct tt_system_moment){.event = c->event[left],
                                .cpu = c->cpu[left],
                                .ret = channels.ret[n - 1],
                                .delay = tt_delay_bins_of(&system->bins, channels.dt[n - 1]),
                                .other = source->data->track.other[left],
                                .busy = source->data->track.busy[left]};
  tt_channels_release(&channels);
  return TT_OK;
}
