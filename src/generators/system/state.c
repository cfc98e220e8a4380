/* What the kernel knows at a moment, followed event by event: the same code while training (over
 * recorded rows) and while sampling. */
#include <string.h>

#include "base/mem.h"
#include "generators/system/system.h"

enum tt_status tt_system_state_init(const struct tt_system *system, struct tt_system_state *ret) {
  struct tt_system_state state = {.latest_cpu = -1, .latest = -1, .elsewhere = -1};
  state.busy = tt_calloc(system->base.cpu_limit, sizeof *state.busy);
  state.calls = tt_markov_new_calls(tt_system_markov(system));
  state.past = tt_calloc(tt_system_markov(system)->cast.n_threads, sizeof *state.past);
  *ret = state;
  if (state.busy && state.calls && state.past)
    return TT_OK;
  tt_system_state_release(ret);
  return tt_fail(TT_NO_MEMORY, "the state of %zu CPUs", system->base.cpu_limit);
}

void tt_system_state_release(struct tt_system_state *state) {
  tt_free(state->busy);
  tt_free(state->calls);
  tt_free(state->past);
  *state = (struct tt_system_state){0};
}

/* A thread leaves its CPU. */
static void leave(struct tt_system_state *state, uint16_t cpu, uint32_t thread) {
  struct tt_system_past *past = &state->past[thread];
  state->switches++;
  *past = past->exiting ? (struct tt_system_past){0}
                        : (struct tt_system_past){.left = state->switches, .cpu = cpu};
}

void tt_system_state_follow(const struct tt_system *system, struct tt_system_state *state,
                            uint16_t cpu, uint32_t thread, uint16_t event) {
  const struct tt_markov *markov = tt_system_markov(system);
  bool busy = thread != TT_THREAD_ANY && markov->cast.threads[thread].tid != 0;
  state->n_busy += (size_t)busy - (size_t)state->busy[cpu];
  state->busy[cpu] = busy;
  if (state->latest_cpu != cpu)
    state->elsewhere = state->latest;
  state->latest_cpu = cpu;
  state->latest = event;
  tt_markov_follow_call(markov, state->calls, thread, event);
  if (thread == TT_THREAD_ANY)
    return;
  const uint8_t role = markov->cast.events[event].role;
  state->past[thread].exiting |= role == TT_ROLE_THREAD_EXIT;
  if (role == TT_ROLE_SWITCH || !markov->cast.switches)
    leave(state, cpu, thread);
}

void tt_system_ids(const struct tt_system *system, const struct tt_system_moment *m, int32_t *ret) {
  const struct tt_cast *cast = &tt_system_markov(system)->cast;
  const bool known = m->thread != TT_THREAD_ANY;
  ret[TT_SYSTEM_event] = m->event;
  ret[TT_SYSTEM_delay] = (int32_t)m->delay;
  ret[TT_SYSTEM_ret] = m->ret;
  ret[TT_SYSTEM_cpu] = tt_system_cpu_id(system, m->cpu);
  ret[TT_SYSTEM_thread] =
      known ? (int32_t)((uint32_t)cast->threads[m->thread].tid % TT_TID_BUCKETS) : -1;
  ret[TT_SYSTEM_comm] = m->comm == TT_COMM_NONE ? -1 : (int32_t)(m->comm % TT_SYSTEM_COMMS);
  ret[TT_SYSTEM_call] = (int32_t)tt_system_call_id(system, m->call);
  ret[TT_SYSTEM_other] = m->other;
  ret[TT_SYSTEM_busy] = (int32_t)(m->busy < TT_SYSTEM_BUSY ? m->busy : TT_SYSTEM_BUSY - 1);
}

void tt_system_track_release(struct tt_system_track *track) {
  tt_free(track->thread);
  tt_free(track->call);
  tt_free(track->other);
  tt_free(track->busy);
  *track = (struct tt_system_track){0};
}

/* Row i, in the state of its workload. */
static void track_row(const struct tt_system *system, const struct tt_columns *c, size_t i,
                      struct tt_system_state *state, struct tt_system_track *track) {
  const struct tt_cast *cast = &tt_system_markov(system)->cast;
  uint16_t cpu = c->cpu[i];
  uint32_t thread = c->tid[i] == TT_TID_NONE ? TT_THREAD_ANY : tt_cast_find(cast, c->tid[i], cpu);
  track->thread[i] = thread;
  track->call[i] =
      (uint16_t)(thread == TT_THREAD_ANY ? TT_MARKOV_CALL_UNKNOWN : state->calls[thread]);
  tt_system_state_follow(system, state, cpu, thread, c->event[i]);
  track->other[i] = state->elsewhere;
  size_t busy = state->n_busy - (size_t)state->busy[cpu];
  track->busy[i] = (uint8_t)(busy < TT_SYSTEM_BUSY ? busy : TT_SYSTEM_BUSY - 1);
}

enum tt_status tt_system_track_make(const struct tt_system_source *source,
                                    struct tt_system_track *ret) {
  const struct tt_columns *c = tt_dataset_columns(source->dataset);
  const size_t n_states = source->system->n_workloads ? source->system->n_workloads : 1;
  struct tt_system_state *states = tt_calloc(n_states, sizeof *states);
  struct tt_system_track track = {.thread = tt_alloc(c->n, sizeof *track.thread),
                                  .call = tt_alloc(c->n, sizeof *track.call),
                                  .other = tt_alloc(c->n, sizeof *track.other),
                                  .busy = tt_alloc(c->n, sizeof *track.busy)};
  enum tt_status status = TT_OK;
  if (!states || !track.thread || !track.call || !track.other || !track.busy)
    status = tt_fail(TT_NO_MEMORY, "the state at each of %zu events", c->n);
  for (size_t i = 0; i < n_states && status == TT_OK; i++)
    status = tt_system_state_init(tt_system_workload(source->system, i), &states[i]);
  for (size_t i = 0; i < c->n && status == TT_OK; i++) {
    const struct tt_system *system = tt_system_of_row(source, i);
    track_row(system, c, i, &states[system->label], &track);
  }
  for (size_t i = 0; states && i < n_states; i++)
    tt_system_state_release(&states[i]);
  tt_free(states);
  if (status != TT_OK) {
    tt_system_track_release(&track);
    return status;
  }
  *ret = track;
  return TT_OK;
}

struct tt_system_moment tt_system_recorded_moment(const struct tt_system *system,
                                                  const struct tt_columns *columns,
                                                  const struct tt_system_track *track,
                                                  const struct tt_channels *channels, size_t at,
                                                  uint64_t here, uint64_t next) {
  return (struct tt_system_moment){.event = columns->event[here],
                                   .cpu = columns->cpu[here],
                                   .ret = channels->ret[at],
                                   .delay = tt_delay_bins_of(&system->bins, channels->dt[at]),
                                   .thread = track->thread[next],
                                   .comm = columns->comm[next],
                                   .call = track->call[next],
                                   .other = track->other[here],
                                   .busy = track->busy[here]};
}
