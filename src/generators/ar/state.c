/* What the kernel knows at a moment, followed event by event: the same code while training (over
 * recorded rows) and while sampling. */
#include <string.h>

#include "base/mem.h"
#include "generators/ar/ar.h"

enum tt_status tt_ar_system_init(const struct tt_ar *ar, struct tt_ar_system *ret) {
  struct tt_ar_system system = {.latest_cpu = -1, .latest = -1, .elsewhere = -1};
  system.busy = tt_calloc(ar->base.cpu_limit, sizeof *system.busy);
  system.calls = tt_markov_new_calls(tt_ar_markov(ar));
  *ret = system;
  if (system.busy && system.calls)
    return TT_OK;
  tt_ar_system_release(ret);
  return tt_fail(TT_NO_MEMORY, "the state of %zu CPUs", ar->base.cpu_limit);
}

void tt_ar_system_release(struct tt_ar_system *system) {
  tt_free(system->busy);
  tt_free(system->calls);
  *system = (struct tt_ar_system){0};
}

void tt_ar_system_follow(const struct tt_ar *ar, struct tt_ar_system *system, uint16_t cpu,
                         uint32_t thread, uint16_t event) {
  const struct tt_markov *markov = tt_ar_markov(ar);
  bool busy = thread != TT_THREAD_ANY && markov->cast.threads[thread].tid != 0;
  system->n_busy += (size_t)busy - (size_t)system->busy[cpu];
  system->busy[cpu] = busy;
  if (system->latest_cpu != cpu)
    system->elsewhere = system->latest;
  system->latest_cpu = cpu;
  system->latest = event;
  tt_markov_follow_call(markov, system->calls, thread, event);
}

void tt_ar_ids(const struct tt_ar *ar, const struct tt_ar_moment *m, int32_t *ret) {
  const struct tt_cast *cast = &tt_ar_markov(ar)->cast;
  const size_t events = ar->base.events.n;
  const bool known = m->thread != TT_THREAD_ANY;
  ret[TT_AR_event] = m->event;
  ret[TT_AR_delay] = (int32_t)m->delay;
  ret[TT_AR_ret] = m->ret;
  ret[TT_AR_cpu] = m->cpu;
  ret[TT_AR_thread] =
      known ? (int32_t)((uint32_t)cast->threads[m->thread].tid % TT_TID_BUCKETS) : -1;
  ret[TT_AR_comm] = m->comm == TT_COMM_NONE ? -1 : (int32_t)(m->comm % TT_AR_COMMS);
  ret[TT_AR_call] = (int32_t)(m->call == TT_MARKOV_NO_CALL        ? events
                              : m->call == TT_MARKOV_CALL_UNKNOWN ? events + 1
                                                                  : m->call);
  ret[TT_AR_other] = m->other;
  ret[TT_AR_busy] = (int32_t)(m->busy < TT_AR_BUSY ? m->busy : TT_AR_BUSY - 1);
}

void tt_ar_track_release(struct tt_ar_track *track) {
  tt_free(track->thread);
  tt_free(track->call);
  tt_free(track->other);
  tt_free(track->busy);
  *track = (struct tt_ar_track){0};
}

enum tt_status tt_ar_track_make(const struct tt_ar *ar, const struct tt_dataset *dataset,
                                struct tt_ar_track *ret) {
  const struct tt_columns *c = tt_dataset_columns(dataset);
  const struct tt_cast *cast = &tt_ar_markov(ar)->cast;
  struct tt_ar_system system;
  struct tt_ar_track track = {.thread = tt_alloc(c->n, sizeof *track.thread),
                              .call = tt_alloc(c->n, sizeof *track.call),
                              .other = tt_alloc(c->n, sizeof *track.other),
                              .busy = tt_alloc(c->n, sizeof *track.busy)};
  if (!track.thread || !track.call || !track.other || !track.busy) {
    tt_ar_track_release(&track);
    return tt_fail(TT_NO_MEMORY, "the state at each of %zu events", c->n);
  }
  enum tt_status status = tt_ar_system_init(ar, &system);
  if (status != TT_OK) {
    tt_ar_track_release(&track);
    return status;
  }
  for (size_t i = 0; i < c->n; i++) {
    uint16_t cpu = c->cpu[i];
    uint32_t thread = c->tid[i] == TT_TID_NONE ? TT_THREAD_ANY : tt_cast_find(cast, c->tid[i], cpu);
    track.thread[i] = thread;
    track.call[i] =
        (uint16_t)(thread == TT_THREAD_ANY ? TT_MARKOV_CALL_UNKNOWN : system.calls[thread]);
    tt_ar_system_follow(ar, &system, cpu, thread, c->event[i]);
    track.other[i] = system.elsewhere;
    size_t busy = system.n_busy - (size_t)system.busy[cpu];
    track.busy[i] = (uint8_t)(busy < TT_AR_BUSY ? busy : TT_AR_BUSY - 1);
  }
  tt_ar_system_release(&system);
  *ret = track;
  return TT_OK;
}

struct tt_ar_moment tt_ar_recorded_moment(const struct tt_ar *ar, const struct tt_columns *columns,
                                          const struct tt_ar_track *track,
                                          const struct tt_channels *channels, size_t at,
                                          uint64_t here, uint64_t next) {
  return (struct tt_ar_moment){.event = columns->event[here],
                               .cpu = columns->cpu[here],
                               .ret = channels->ret[at],
                               .delay = tt_delay_bins_of(&ar->bins, channels->dt[at]),
                               .thread = track->thread[next],
                               .comm = columns->comm[next],
                               .call = track->call[next],
                               .other = track->other[here],
                               .busy = track->busy[here]};
}
