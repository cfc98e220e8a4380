/* Emitting: the state as it is at the event. */
#include "trace/payload_window.h"

#define IDLE_LEAVE 4294967295
#define OBJECTS 0xffff888000000000u /* where x86-64 maps all memory */

static const unsigned char *comm_bytes(const struct tt_payload_state *state,
                                       const struct tt_payload_cpu *cpu, int32_t tid,
                                       uint32_t comm) {
  static const unsigned char nothing[TT_PAYLOAD_COMM];
  return comm != TT_COMM_NONE ? state->comms[comm] : tid == 0 ? cpu->swapper : nothing;
}

/* A thread that could be woken now: tid, comm. The event's own when none sleeps. */
static void some_sleeper(const struct tt_payload_state *state, const struct tt_payload_cpu *cpu,
                         struct tt_payload_slot *slot) {
  uint32_t sleeper = cpu->sleeper;
  if (sleeper == TT_NO_THREAD || !state->threads.list[sleeper].off)
    sleeper = state->sleeper;
  if (sleeper == TT_NO_THREAD || !state->threads.list[sleeper].off) {
    slot->other_tid = slot->event.tid;
    slot->other_comm = slot->event.comm;
  } else {
    slot->other_tid = state->threads.list[sleeper].tid;
    slot->other_comm = state->threads.list[sleeper].comm;
  }
  slot->other_cpu = slot->event.cpu;
  slot->from_cpu = slot->event.cpu;
}

static int32_t unused_tid(struct tt_payload_state *state) {
  while (tt_payload_threads_find(&state->threads, state->next_child) != TT_NO_THREAD)
    state->next_child--;
  return state->next_child--;
}

/* The kernel's softirq numbers in the order in which this writer raises them: timer, RCU,
 * scheduler, network, block, tasklet. */
static uint32_t raise_softirq(struct tt_payload_cpu *cpu) {
  static const uint8_t order[] = {1, 9, 7, 3, 4, 6};
  for (size_t i = 0; i < sizeof order; i++)
    if (!(cpu->raised & (1u << order[i]))) {
      cpu->raised |= 1u << order[i];
      return order[i];
    }
  return order[0];
}

/* The kernel serves the lowest number first. */
static uint32_t begin_softirq(struct tt_payload_cpu *cpu) {
  cpu->softirq = cpu->raised ? (uint32_t)__builtin_ctz(cpu->raised) : 1;
  cpu->raised &= ~(1u << cpu->softirq);
  return cpu->softirq;
}

static uint32_t irq_number(uint16_t cpu, uint32_t depth) {
  return 24 + 4u * cpu + (depth & 3);
}

/* The other thread of a wake-up, fork or burial that no later event has claimed. */
static void guess_other(struct tt_payload_state *state, struct tt_payload_cpu *cpu,
                        enum tt_payload_kind kind, struct tt_payload_slot *slot) {
  if (kind == TT_KIND_FORK) {
    slot->other_tid = unused_tid(state);
    slot->other_comm = slot->event.comm;
    slot->other_cpu = slot->event.cpu;
  } else if (kind == TT_KIND_NEWBORN && cpu->child_tid != TT_TID_NONE) {
    slot->other_tid = cpu->child_tid;
    slot->other_comm = cpu->child_comm;
    slot->other_cpu = slot->event.cpu;
  } else if (kind == TT_KIND_SWITCH && slot->event.tid != 0) { /* the CPU's last event */
    slot->other_tid = 0;
    slot->other_comm = TT_COMM_NONE;
  } else {
    some_sleeper(state, cpu, slot);
  }
}

static void bury(struct tt_payload_state *state, struct tt_payload_cpu *cpu,
                 struct tt_payload_slot *slot) {
  uint32_t dead = state->first_dead;
  if (dead == TT_NO_THREAD) {
    some_sleeper(state, cpu, slot);
    return;
  }
  slot->other_tid = state->threads.list[dead].tid;
  slot->other_comm = state->threads.list[dead].comm;
  state->first_dead = state->threads.list[dead].next_dead;
  state->threads.list[dead].queued = false;
}

static void die(struct tt_payload_state *state, uint32_t index) {
  struct tt_payload_thread *thread = &state->threads.list[index];
  if (thread->queued)
    return;
  thread->queued = true;
  thread->next_dead = TT_NO_THREAD;
  if (state->first_dead == TT_NO_THREAD)
    state->first_dead = index;
  else
    state->threads.list[state->last_dead].next_dead = index;
  state->last_dead = index;
}

static void after_switch(struct tt_payload_state *state, struct tt_payload_cpu *cpu,
                         struct tt_payload_slot *slot) {
  if (slot->thread != TT_NO_THREAD && slot->prev_state != TT_TASK_DEAD)
    state->sleeper = cpu->sleeper = slot->thread;
  cpu->current_tid = slot->other_tid == TT_TID_NONE ? 0 : slot->other_tid;
  cpu->current_comm = cpu->current_tid ? slot->other_comm : TT_COMM_NONE;
  cpu->runtime_from = slot->event.ts;
  cpu->idle = false;
}

enum tt_status tt_payload_emit(struct tt_payload_state *state, struct tt_payload_slot *slot) {
  const struct tt_event *e = &slot->event;
  struct tt_payload_cpu *cpu = state->cpus[e->cpu];
  struct tt_payload_thread *thread =
      slot->thread == TT_NO_THREAD ? NULL : &state->threads.list[slot->thread];
  enum tt_payload_kind kind = state->payload->classes[e->event].kind;
  struct tt_payload_facts *facts = &state->facts;
  int64_t *value = facts->value;
  if (thread) {
    thread->comm = e->comm;
    thread->off = kind == TT_KIND_SWITCH;
  }
  facts->event = e;
  facts->comm = comm_bytes(state, cpu, e->tid, e->comm);
  value[TT_SOURCE_now] = e->ts;
  value[TT_SOURCE_cpu] = e->cpu;
  value[TT_SOURCE_tid] = e->tid == TT_TID_NONE ? -1 : e->tid;
  value[TT_SOURCE_prio] = e->comm == TT_COMM_NONE ? 20 : state->prios[e->comm];
  value[TT_SOURCE_ret] = e->ret == TT_RET_NONE ? 0 : e->ret;
  value[TT_SOURCE_fd] = thread ? thread->fd : TT_FIRST_FD;
  value[TT_SOURCE_object] = (int64_t)(OBJECTS + 4096u * (uint64_t)e->cpu);
  bool other = false;
  switch (kind) {
  case TT_KIND_SWITCH:
  case TT_KIND_WAKING:
  case TT_KIND_WAKEUP:
  case TT_KIND_NEWBORN:
  case TT_KIND_MIGRATE:
  case TT_KIND_FORK:
    other = true;
    if (!slot->resolved)
      guess_other(state, cpu, kind, slot);
    break;
  case TT_KIND_DEATH:
    if (thread)
      die(state, slot->thread);
    break;
  case TT_KIND_BURIAL:
    other = true;
    bury(state, cpu, slot);
    break;
  case TT_KIND_CURRENT:
    other = true;
    slot->other_tid = cpu->current_tid;
    slot->other_comm = cpu->current_comm;
    break;
  case TT_KIND_DELAY:
    other = true;
    slot->other_tid = cpu->woken_tid == TT_TID_NONE ? e->tid : cpu->woken_tid;
    slot->other_comm = cpu->woken_tid == TT_TID_NONE ? e->comm : cpu->woken_comm;
    break;
  case TT_KIND_DUMP_THREAD:
    other = true;
    if (state->dumped < state->threads.n) {
      slot->other_tid = state->threads.list[state->dumped].tid;
      slot->other_comm = state->threads.list[state->dumped].comm;
      state->dumped++;
    } else {
      slot->other_tid = e->tid;
      slot->other_comm = e->comm;
    }
    break;
  case TT_KIND_RUNTIME:
    value[TT_SOURCE_runtime] = cpu->runtime_from < 0 ? 0 : e->ts - cpu->runtime_from;
    cpu->runtime_from = e->ts;
    break;
  case TT_KIND_SYSCALL:
    value[TT_SOURCE_size] = slot->will_return > 0 ? slot->will_return : 4096;
    break;
  case TT_KIND_RETURN_FD:
    if (thread && e->ret >= 0 && e->ret <= INT32_MAX)
      thread->fd = (int32_t)e->ret;
    break;
  case TT_KIND_IRQ_BEGIN:
    value[TT_SOURCE_irq] = irq_number(e->cpu, cpu->irq_depth++);
    break;
  case TT_KIND_IRQ_END:
    cpu->irq_depth -= cpu->irq_depth > 0;
    value[TT_SOURCE_irq] = irq_number(e->cpu, cpu->irq_depth);
    break;
  case TT_KIND_RAISE:
    value[TT_SOURCE_vec] = raise_softirq(cpu);
    break;
  case TT_KIND_SOFTIRQ_BEGIN:
    value[TT_SOURCE_vec] = begin_softirq(cpu);
    break;
  case TT_KIND_SOFTIRQ_END:
    value[TT_SOURCE_vec] = cpu->softirq ? cpu->softirq : 1;
    break;
  case TT_KIND_IDLE:
    value[TT_SOURCE_idle_state] = cpu->idle ? IDLE_LEAVE : 1;
    cpu->idle = !cpu->idle;
    break;
  case TT_KIND_PLAIN:
  case TT_KIND_RETURN:
    break;
  }
  if (other) {
    facts->other_comm = comm_bytes(state, cpu, slot->other_tid, slot->other_comm);
    value[TT_SOURCE_other_tid] = slot->other_tid == TT_TID_NONE ? -1 : slot->other_tid;
    value[TT_SOURCE_other_prio] =
        slot->other_comm == TT_COMM_NONE ? 20 : state->prios[slot->other_comm];
    value[TT_SOURCE_other_cpu] = slot->other_cpu;
    value[TT_SOURCE_from_cpu] = slot->from_cpu;
    value[TT_SOURCE_prev_state] = slot->prev_state;
    if (kind == TT_KIND_SWITCH) {
      after_switch(state, cpu, slot);
    } else if (kind == TT_KIND_FORK) {
      cpu->child_tid = slot->other_tid;
      cpu->child_comm = slot->other_comm;
    } else if (kind == TT_KIND_WAKING || kind == TT_KIND_WAKEUP) {
      cpu->woken_tid = slot->other_tid;
      cpu->woken_comm = slot->other_comm;
    }
  }
  return state->emit(state->user, facts);
}
