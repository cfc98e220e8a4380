#include "trace/payload_state.h"

#include "base/mem.h"
#include "trace/payload_window.h"

#define PID_LIMIT 4194304 /* Linux's PID_MAX_LIMIT on 64 bits */

/* Lets the first event of the window go. */
static enum tt_status emit_first(struct tt_payload_state *state, bool last) {
  uint64_t position = state->first++;
  struct tt_payload_slot *slot = &state->window[position & TT_PAYLOAD_MASK];
  struct tt_payload_cpu *cpu = state->cpus[slot->event.cpu];
  if (cpu->open_switch != position || last)
    return tt_payload_emit(state, slot);
  if (cpu->late) { /* what follows must go too */
    cpu->last_switch = position;
    cpu->open_switch = 0;
    return tt_payload_emit(state, slot);
  }
  cpu->held = *slot;
  cpu->holds = true;
  return TT_OK;
}

enum tt_status tt_payload_state_push(struct tt_payload_state *state, const struct tt_event *events,
                                     size_t n) {
  enum tt_status status = TT_OK;
  for (size_t i = 0; i < n && status == TT_OK; i++) {
    if (state->next - state->first == TT_PAYLOAD_WINDOW)
      status = emit_first(state, false);
    if (status == TT_OK)
      status = tt_payload_look_ahead(state, &events[i]);
  }
  return status;
}

enum tt_status tt_payload_state_finish(struct tt_payload_state *state) {
  enum tt_status status = TT_OK;
  for (size_t i = 0; i < state->cpus_capacity && status == TT_OK; i++)
    if (state->cpus[i] && state->cpus[i]->holds) {
      state->cpus[i]->holds = false;
      status = tt_payload_emit(state, &state->cpus[i]->held);
    }
  while (state->first < state->next && status == TT_OK)
    status = emit_first(state, true);
  return status;
}

enum tt_status
tt_payload_state_create(const struct tt_payload *payload, const struct tt_names *comms,
                        enum tt_status (*emit)(void *user, const struct tt_payload_facts *facts),
                        void *user, struct tt_payload_state **ret) {
  struct tt_payload_state *state = tt_calloc(1, sizeof *state);
  if (!state)
    return tt_fail(TT_NO_MEMORY, "out of memory");
  state->payload = payload;
  state->emit = emit;
  state->user = user;
  state->first = state->next = 1;
  state->sleeper = state->first_dead = state->last_dead = TT_NO_THREAD;
  state->next_child = PID_LIMIT - 1;
  state->n_comms = comms->n;
  state->window = tt_alloc(TT_PAYLOAD_WINDOW, sizeof *state->window);
  state->comms = tt_alloc(comms->n, sizeof *state->comms);
  state->prios = tt_alloc(comms->n, sizeof *state->prios);
  if (!state->window || !state->comms || !state->prios) {
    tt_payload_state_destroy(state);
    return tt_fail(TT_NO_MEMORY, "out of memory for %zu command names", comms->n);
  }
  for (size_t i = 0; i < comms->n; i++) {
    tt_payload_comm(comms->names[i], state->comms[i]);
    state->prios[i] = tt_payload_prio(comms->names[i]);
  }
  for (size_t i = 0; i < payload->n; i++) {
    enum tt_payload_kind kind = payload->classes[i].kind;
    state->wakes |= kind == TT_KIND_WAKING || kind == TT_KIND_WAKEUP;
    state->forks |= kind == TT_KIND_FORK;
  }
  *ret = state;
  return TT_OK;
}

void tt_payload_state_destroy(struct tt_payload_state *state) {
  if (!state)
    return;
  for (size_t i = 0; i < state->cpus_capacity; i++)
    tt_free(state->cpus[i]);
  tt_free(state->cpus);
  tt_free(state->window);
  tt_free(state->comms);
  tt_free(state->prios);
  tt_payload_threads_release(&state->threads);
  tt_free(state);
}
