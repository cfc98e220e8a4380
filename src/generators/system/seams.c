#include "generators/system/seams.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

static const uint32_t ANY_CALL = UINT32_MAX; /* a beginning doesn't tell */

/* What makes a seam worse. An order of events that was never seen is a violation of what is mined;
 * the others are odd; an event less is only a little work for nothing. */
static const double UNSEEN = 1e6, UNSEEN_ON_CPU = 10, BROKEN_CALL = 10, OTHER_THREAD = 2;
static const double EVENT = 0.01;

static const struct tt_cast *cast_of(const struct tt_seams *s) {
  return &tt_system_markov(s->system)->cast;
}

enum tt_status tt_seams_init(const struct tt_system *system, uint64_t events,
                             const struct tt_event_sink *sink, struct tt_seams *ret) {
  const size_t cpus = system->base.cpu_limit, threads = tt_system_markov(system)->cast.n_threads;
  const size_t n = system->base.events.n;
  *ret = (struct tt_seams){.system = system, .sink = sink, .left = events};
  ret->calls = tt_markov_new_calls(tt_system_markov(system));
  ret->last = tt_calloc(cpus, sizeof *ret->last);
  ret->begun = tt_calloc(cpus, sizeof *ret->begun);
  ret->on_cpu = tt_calloc(n * n, sizeof *ret->on_cpu);
  ret->first = tt_alloc(TT_SEAM_HEAD * cpus, sizeof *ret->first);
  ret->needs = tt_alloc(TT_SEAM_HEAD * TT_SEAM_REACH, sizeof *ret->needs);
  ret->needy = tt_alloc(TT_SEAM_REACH, sizeof *ret->needy);
  ret->place = tt_alloc(threads, sizeof *ret->place);
  ret->there = tt_alloc(cpus, sizeof *ret->there);
  ret->some = tt_alloc(cpus, sizeof *ret->some);
  if (!ret->calls || !ret->last || !ret->begun || !ret->on_cpu || !ret->first || !ret->needs ||
      !ret->needy || !ret->place || !ret->there || !ret->some)
    return tt_fail(TT_NO_MEMORY, "seams of %zu CPUs", cpus);
  for (size_t i = 0; i < threads; i++)
    ret->place[i] = -1;
  for (size_t i = 0; i < n; i++) {
    const struct tt_tally_row row = tt_system_successors(system, (uint16_t)i);
    for (size_t k = 0; k < row.n; k++)
      ret->on_cpu[i * n + (size_t)row.values[k]] = true;
  }
  return TT_OK;
}

void tt_seams_release(struct tt_seams *s) {
  tt_free(s->calls);
  tt_free(s->last);
  tt_free(s->begun);
  tt_free(s->on_cpu);
  tt_free(s->first);
  tt_free(s->needs);
  tt_free(s->needy);
  tt_free(s->place);
  tt_free(s->there);
  tt_free(s->some);
}

static uint32_t thread_of(const struct tt_seams *s, const struct tt_event *event) {
  return event->tid == TT_TID_NONE ? TT_THREAD_ANY
                                   : tt_cast_find(cast_of(s), event->tid, event->cpu);
}

/* ---- what a beginning takes for granted ---- */

/* What it takes to begin with events[at], from what it takes to begin with the next one: rows
 * at % TT_SEAM_HEAD and (at + 1) % TT_SEAM_HEAD of the tables. n: needy threads so far. */
static size_t look_back(struct tt_seams *s, const struct tt_event *events, size_t at, size_t n) {
  const size_t cpus = s->system->base.cpu_limit;
  const size_t to = at % TT_SEAM_HEAD, from = (at + 1) % TT_SEAM_HEAD;
  const struct tt_cast_event *cast = &cast_of(s)->events[events[at].event];
  const uint32_t thread = thread_of(s, &events[at]);
  memcpy(s->first + to * cpus, s->first + from * cpus, cpus * sizeof *s->first);
  memcpy(s->needs + to * TT_SEAM_REACH, s->needs + from * TT_SEAM_REACH, n * sizeof *s->needs);
  s->first[to * cpus + events[at].cpu] = (int16_t)at;
  if (thread == TT_THREAD_ANY || (cast->role != TT_ROLE_ENTRY && cast->role != TT_ROLE_EXIT))
    return n;
  if (s->place[thread] < 0) {
    s->place[thread] = (int32_t)n;
    s->needy[n++] = thread;
  }
  uint32_t need = TT_MARKOV_NO_CALL;
  if (cast->role == TT_ROLE_EXIT)
    need = cast->partner == UINT16_MAX ? ANY_CALL : cast->partner;
  s->needs[to * TT_SEAM_REACH + (size_t)s->place[thread]] = need;
  return n;
}

/* Fills the tables; rows 0 to TT_SEAM_HEAD - 1 are what it takes to begin there. */
static size_t look_at(struct tt_seams *s, const struct tt_event *events, size_t n_events) {
  const size_t cpus = s->system->base.cpu_limit;
  size_t n = 0;
  for (size_t i = 0; i < TT_SEAM_HEAD * cpus; i++)
    s->first[i] = -1;
  for (size_t i = 0; i < TT_SEAM_HEAD * TT_SEAM_REACH; i++)
    s->needs[i] = ANY_CALL;
  for (size_t at = n_events < TT_SEAM_REACH ? n_events : TT_SEAM_REACH; at-- > 0;)
    n = look_back(s, events, at, n);
  return n;
}

/* ---- the seam ---- */

/* Of going on with events[begin] after `end` events of the tail, `calls` then being those of the
 * needy. No more is looked at than it takes to know that it isn't below `best`. */
static double cost_of(const struct tt_seams *s, size_t end, const struct tt_event *events,
                      size_t begin, const uint32_t *calls, size_t n_needy, double best) {
  const size_t n = s->system->base.events.n, cpus = s->system->base.cpu_limit;
  const int16_t *first = s->first + begin * cpus;
  const uint32_t *needs = s->needs + begin * TT_SEAM_REACH;
  double cost = EVENT * (double)(s->n_tail - end + begin);
  if (!s->system->follows[s->tail[end - 1].event * n + events[begin].event])
    cost += UNSEEN;
  for (size_t cpu = 0; cpu < cpus && cost < best; cpu++) {
    if (first[cpu] < 0 || !s->some[cpu])
      continue;
    const struct tt_event *a = &s->there[cpu], *b = &events[first[cpu]];
    if (!s->on_cpu[a->event * n + b->event])
      cost += UNSEEN_ON_CPU;
    if (a->tid != b->tid && cast_of(s)->events[a->event].role != TT_ROLE_SWITCH)
      cost += OTHER_THREAD;
  }
  for (size_t i = 0; i < n_needy && cost < best; i++)
    if (needs[i] != ANY_CALL && calls[i] != TT_MARKOV_CALL_UNKNOWN && needs[i] != calls[i])
      cost += BROKEN_CALL;
  return cost;
}

/* How much of the tail is kept, and where the stretch begins. False: there is no way to join them.
 */
static bool find(struct tt_seams *s, const struct tt_event *events, size_t n, size_t *ret_end,
                 size_t *ret_begin) {
  const size_t cpus = s->system->base.cpu_limit, n_needy = look_at(s, events, n);
  uint32_t calls[TT_SEAM_REACH];
  double best = INFINITY;
  memcpy(s->there, s->last, cpus * sizeof *s->there);
  memcpy(s->some, s->begun, cpus * sizeof *s->some);
  for (size_t i = 0; i < n_needy; i++)
    calls[i] = s->calls[s->needy[i]];
  for (size_t end = 1; end <= s->n_tail; end++) {
    const struct tt_event *event = &s->tail[end - 1];
    const uint32_t thread = thread_of(s, event);
    if (thread != TT_THREAD_ANY && s->place[thread] >= 0)
      tt_markov_follow_call(tt_system_markov(s->system), calls, (uint32_t)s->place[thread],
                            event->event);
    s->there[event->cpu] = *event;
    s->some[event->cpu] = true;
    /* something must be gained */
    for (size_t begin = 0; begin < TT_SEAM_HEAD && s->n_tail - end + begin < n; begin++) {
      const double cost = cost_of(s, end, events, begin, calls, n_needy, best);
      if (cost < best) {
        best = cost;
        *ret_end = end;
        *ret_begin = begin;
      }
    }
  }
  for (size_t i = 0; i < n_needy; i++)
    s->place[s->needy[i]] = -1;
  return best < UNSEEN;
}

/* ---- writing ---- */

static enum tt_status write(struct tt_seams *s, const struct tt_event *events, size_t n) {
  if (n > s->left)
    n = (size_t)s->left;
  for (size_t i = 0; i < n; i++) {
    s->last[events[i].cpu] = events[i];
    s->begun[events[i].cpu] = true;
    tt_markov_follow_call(tt_system_markov(s->system), s->calls, thread_of(s, &events[i]),
                          events[i].event);
  }
  s->left -= n;
  return n > 0 ? s->sink->write(s->sink->user, events, n) : TT_OK;
}

/* The tail, and what overflows it is written. */
static enum tt_status append(struct tt_seams *s, const struct tt_event *events, size_t n) {
  const size_t over = s->n_tail + n > TT_SEAM_TAIL ? s->n_tail + n - TT_SEAM_TAIL : 0;
  const size_t old = over < s->n_tail ? over : s->n_tail, new = over - old;
  enum tt_status status = write(s, s->tail, old);
  if (status == TT_OK)
    status = write(s, events, new);
  memmove(s->tail, s->tail + old, (s->n_tail - old) * sizeof *s->tail);
  memcpy(s->tail + s->n_tail - old, events + new, (n - new) * sizeof *events);
  s->n_tail += n - over;
  return status;
}

/* The next events, of which each may follow the one before. `since`: when the one before happened,
 * in their own time. Few that fit nowhere are left out, unless they must not. */
static enum tt_status add(struct tt_seams *s, struct tt_event *events, size_t n, int64_t since,
                          bool must) {
  const struct tt_system *system = s->system;
  size_t end = 0, begin = 0;
  int64_t offset = system->base.begin_ns;
  if (s->n_tail > 0) {
    if (!find(s, events, n, &end, &begin) && n < TT_SEAM_HEAD && !must)
      return TT_OK;
    const struct tt_event *event = &events[begin];
    int64_t dt = event->ts - (begin > 0 ? events[begin - 1].ts : since);
    dt = dt < system->soonest[event->event] ? system->soonest[event->event] : dt;
    dt = dt > system->latest[event->event] ? system->latest[event->event] : dt;
    s->n_tail = end;
    offset = s->tail[end - 1].ts + dt - event->ts;
  }
  for (size_t i = begin; i < n; i++)
    if (__builtin_add_overflow(events[i].ts, offset, &events[i].ts))
      events[i].ts = INT64_MAX;
  return append(s, events + begin, n - begin);
}

enum tt_status tt_seams_add(struct tt_seams *s, struct tt_event *events, size_t n) {
  const size_t n_events = s->system->base.events.n;
  const uint64_t before = s->left - s->n_tail;
  enum tt_status status = TT_OK;
  int64_t since = 0;
  for (size_t at = 0, end; at < n && status == TT_OK; at = end) {
    end = at + 1;
    while (end < n && s->system->follows[events[end - 1].event * n_events + events[end].event])
      end++;
    const int64_t last = events[end - 1].ts;
    status = add(s, events + at, end - at, since, end == n && s->left - s->n_tail == before);
    since = last;
  }
  return status;
}

enum tt_status tt_seams_finish(struct tt_seams *s) {
  const size_t n = s->n_tail;
  s->n_tail = 0;
  return write(s, s->tail, n);
}
