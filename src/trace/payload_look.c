/* Looking ahead: what an event explains of earlier ones. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "trace/payload_window.h"

#define ANY_CPU UINT32_MAX
#define CLAIM_STEPS 64 /* how far back a claim looks, in unclaimed events of the kind */
#define LATE_EVENTS 4  /* events after a switch that may still say the thread that left */

/* ---- threads and CPUs ---- */

/* The thread's index, added when new; TT_NO_THREAD when memory is short. */
static uint32_t find_thread(struct tt_payload_state *state, struct tt_payload_cpu *cpu,
                            int32_t tid) {
  if (cpu->cached_tid != tid) {
    uint32_t thread = tt_payload_threads_add(&state->threads, tid);
    if (thread == TT_NO_THREAD)
      return thread;
    cpu->cached_tid = tid;
    cpu->cached_thread = thread;
  }
  return cpu->cached_thread;
}

static struct tt_payload_cpu *find_cpu(struct tt_payload_state *state, uint16_t number) {
  if (number < state->cpus_capacity && state->cpus[number])
    return state->cpus[number];
  size_t before = state->cpus_capacity;
  if (tt_grow(&state->cpus, &state->cpus_capacity, (size_t)number + 1, sizeof *state->cpus))
    return NULL;
  if (state->cpus_capacity > before)
    memset(state->cpus + before, 0, (state->cpus_capacity - before) * sizeof *state->cpus);
  struct tt_payload_cpu *cpu = tt_calloc(1, sizeof *cpu);
  if (!cpu)
    return NULL;
  cpu->sleeper = TT_NO_THREAD;
  cpu->child_tid = cpu->woken_tid = TT_TID_NONE;
  cpu->current_comm = TT_COMM_NONE;
  cpu->runtime_from = -1;
  char name[TT_PAYLOAD_COMM];
  snprintf(name, sizeof name, "swapper/%u", number);
  tt_payload_comm(name, cpu->swapper);
  return state->cpus[number] = cpu;
}

/* ---- claims ---- */

static struct tt_payload_slot *slot_at(struct tt_payload_state *state, uint64_t position) {
  return position >= state->first ? &state->window[position & TT_PAYLOAD_MASK] : NULL;
}

/* What a claim looks for: unclaimed events with lower < position <= upper. */
struct want {
  uint64_t lower, upper;
  uint64_t batch; /* of those after this position the earliest, else the latest */
  uint32_t cpu;   /* on this CPU, or ANY_CPU */
  uint32_t comm;  /* of a thread called so; TT_COMM_NONE: of any */
};

/* Takes an unclaimed event of a list; 0 when there is none as wanted. Events that have left the
 * window are out of reach, and so are all before them. */
static uint64_t claim(struct tt_payload_state *state, int list, struct want want) {
  uint64_t *at = &state->lists[list], *best = NULL;
  for (int step = 0; step<CLAIM_STEPS && * at> want.lower && *at >= state->first; step++) {
    struct tt_payload_slot *slot = &state->window[*at & TT_PAYLOAD_MASK];
    if (best && *at <= want.batch)
      break;
    if (*at <= want.upper && (want.cpu == ANY_CPU || slot->event.cpu == want.cpu) &&
        (want.comm == TT_COMM_NONE || slot->event.comm == want.comm))
      best = at;
    at = &slot->link;
  }
  if (!best)
    return 0;
  uint64_t position = *best;
  *best = state->window[position & TT_PAYLOAD_MASK].link;
  return position;
}

/* The wake-up of a thread that runs on `cpu`: there, else anywhere. */
static uint64_t claim_near(struct tt_payload_state *state, int list, struct want want) {
  uint64_t position = claim(state, list, want);
  want.cpu = ANY_CPU;
  want.batch = want.upper;
  return position ? position : claim(state, list, want);
}

static void resolve(struct tt_payload_state *state, uint64_t position, const struct tt_event *e) {
  struct tt_payload_slot *slot = &state->window[position & TT_PAYLOAD_MASK];
  slot->other_tid = e->tid;
  slot->other_comm = e->comm;
  slot->other_cpu = e->cpu;
  slot->resolved = true;
}

/* `e` is the first event of `thread` after the switch at position `at` to it. */
static void switched_in(struct tt_payload_state *state, struct tt_payload_thread *thread,
                        uint64_t at, const struct tt_event *e) {
  uint64_t since = thread->last_seen;
  struct want any = {
      .lower = since, .upper = at, .batch = at, .cpu = ANY_CPU, .comm = TT_COMM_NONE};
  if (thread->fresh) {
    struct want want = any;
    want.comm = e->comm;
    uint64_t fork = claim(state, TT_LIST_FORK, want);
    if (fork)
      resolve(state, fork, e);
    want = any;
    want.lower = fork;
    uint64_t newborn = fork || !state->forks ? claim(state, TT_LIST_NEWBORN, want) : 0;
    if (newborn)
      resolve(state, newborn, e);
    if (fork || newborn)
      return;
  }
  struct want near = any;
  near.cpu = e->cpu;
  near.batch = state->cpus[e->cpu]->last_switch;
  uint64_t wakeup = claim_near(state, TT_LIST_WAKEUP, near);
  if (wakeup) {
    resolve(state, wakeup, e);
    near.cpu = state->window[wakeup & TT_PAYLOAD_MASK].event.cpu;
    near.upper = near.batch = wakeup;
  }
  uint64_t waking = claim_near(state, TT_LIST_WAKING, near);
  if (waking)
    resolve(state, waking, e);
  if (since && thread->cpu != e->cpu) {
    uint64_t migrate = claim(state, TT_LIST_MIGRATE, any);
    if (migrate) {
      resolve(state, migrate, e);
      state->window[migrate & TT_PAYLOAD_MASK].from_cpu = thread->cpu;
    }
  }
  struct tt_payload_slot *out = thread->switched_out ? slot_at(state, thread->switched_out) : NULL;
  if (out && state->wakes && !wakeup && !waking && out->prev_state == TT_TASK_SLEEPING &&
      !(out->resolved && out->other_tid == 0))
    out->prev_state = 0;
}

static int list_of(enum tt_payload_kind kind) {
  switch (kind) {
  case TT_KIND_WAKING:
    return TT_LIST_WAKING;
  case TT_KIND_WAKEUP:
    return TT_LIST_WAKEUP;
  case TT_KIND_NEWBORN:
    return TT_LIST_NEWBORN;
  case TT_KIND_MIGRATE:
    return TT_LIST_MIGRATE;
  case TT_KIND_FORK:
    return TT_LIST_FORK;
  default:
    return TT_N_LISTS;
  }
}

/* `e` follows a switch on its CPU whose next thread is not known. It is the event's own, unless
 * that is the one that left: no thread is switched to itself, but perf's first events after a
 * switch (tlb:tlb_flush) still have the old one. */
static enum tt_status close_switch(struct tt_payload_state *state, struct tt_payload_cpu *cpu,
                                   struct tt_payload_thread *thread, const struct tt_event *e,
                                   enum tt_payload_kind kind) {
  struct tt_payload_slot *slot =
      cpu->holds ? &cpu->held : &state->window[cpu->open_switch & TT_PAYLOAD_MASK];
  bool other = slot->event.tid != e->tid;
  slot->other_tid = e->tid;
  slot->other_comm = e->comm;
  slot->resolved = true;
  if (!other && !cpu->holds && kind != TT_KIND_SWITCH && ++cpu->late < LATE_EVENTS)
    return TT_OK;
  if (other && thread)
    switched_in(state, thread, cpu->open_switch, e);
  cpu->last_switch = cpu->open_switch;
  cpu->open_switch = 0;
  if (!cpu->holds)
    return TT_OK;
  cpu->holds = false;
  return tt_payload_emit(state, &cpu->held);
}

/* Puts the event at position state->next. */
enum tt_status tt_payload_look_ahead(struct tt_payload_state *state, const struct tt_event *e) {
  struct tt_payload_cpu *cpu = find_cpu(state, e->cpu);
  uint64_t position = state->next;
  uint32_t index = TT_NO_THREAD;
  if (!cpu || (e->tid > 0 && (index = find_thread(state, cpu, e->tid)) == TT_NO_THREAD))
    return tt_fail(TT_NO_MEMORY, "out of memory for the state of %zu threads", state->threads.n);
  struct tt_payload_thread *thread = index == TT_NO_THREAD ? NULL : &state->threads.list[index];
  enum tt_payload_kind kind = state->payload->classes[e->event].kind;
  if (cpu->open_switch) {
    enum tt_status status = close_switch(state, cpu, thread, e, kind);
    if (status != TT_OK)
      return status;
  }
  struct tt_payload_slot *slot = &state->window[position & TT_PAYLOAD_MASK];
  *slot = (struct tt_payload_slot){.event = *e,
                                   .will_return = TT_RET_NONE,
                                   .thread = index,
                                   .other_tid = TT_TID_NONE,
                                   .other_comm = TT_COMM_NONE};
  int list = list_of(kind);
  if (list != TT_N_LISTS) {
    slot->link = state->lists[list];
    state->lists[list] = position;
  }
  if (kind == TT_KIND_SWITCH) {
    cpu->open_switch = position;
    cpu->late = 0;
    slot->prev_state = thread ? TT_TASK_SLEEPING : 0;
  }
  if (thread) {
    thread->fresh = false;
    if (kind == TT_KIND_SWITCH) {
      thread->switched_out = position;
      if (thread->dying) {
        slot->prev_state = TT_TASK_DEAD;
        thread->fresh = true;
        thread->dying = false;
      }
    } else if (kind == TT_KIND_DEATH) {
      thread->dying = true;
    } else if (kind == TT_KIND_SYSCALL) {
      thread->entry = position;
    } else if (kind == TT_KIND_RETURN || kind == TT_KIND_RETURN_FD) {
      struct tt_payload_slot *entry = thread->entry ? slot_at(state, thread->entry) : NULL;
      if (entry)
        entry->will_return = e->ret;
      thread->entry = 0;
    }
    thread->last_seen = position;
    thread->cpu = e->cpu;
  }
  state->next++;
  return TT_OK;
}
