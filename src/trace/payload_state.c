#include "trace/payload_state.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "trace/payload_threads.h"

#define MASK (TT_PAYLOAD_WINDOW - 1)
#define ANY_CPU UINT32_MAX
#define CLAIM_STEPS 64    /* how far back a claim looks, in unclaimed events of the kind */
#define LATE_EVENTS 4     /* events after a switch that may still say the thread that left */
#define PID_LIMIT 4194304 /* Linux's PID_MAX_LIMIT on 64 bits */
#define STATE_SLEEPING 1
#define STATE_DEAD 64
#define IDLE_LEAVE 4294967295
#define OBJECTS 0xffff888000000000u /* where x86-64 maps all memory */

/* Positions count events from 1; 0 is none. */

struct slot {
  struct tt_event event;
  int64_t will_return; /* system call entry: TT_RET_NONE while unknown */
  uint64_t link;       /* the unclaimed event of the same kind before this */
  int32_t other_tid;
  uint32_t other_comm;
  uint32_t thread; /* the event's own */
  uint16_t other_cpu, from_cpu;
  uint8_t prev_state;
  bool resolved; /* other_* are set */
};

struct cpu {
  uint64_t open_switch; /* position of this CPU's last switch while its next thread is not known */
  uint64_t last_switch; /* position of the switch before that */
  unsigned late;        /* events since open_switch, all of the thread that left */
  struct slot held;     /* that switch, when it had to leave the window */
  bool holds, idle;
  int32_t cached_tid; /* of cached_thread */
  uint32_t cached_thread;
  uint32_t sleeper; /* thread that went to sleep here last */
  int32_t current_tid;
  uint32_t current_comm;
  int32_t child_tid, woken_tid; /* last forked, last woken; TT_TID_NONE: none yet */
  uint32_t child_comm, woken_comm;
  int64_t runtime_from;
  uint32_t irq_depth, raised, softirq;
  unsigned char swapper[TT_PAYLOAD_COMM];
};

/* Kinds whose events wait to be claimed. */
enum { LIST_WAKING, LIST_WAKEUP, LIST_NEWBORN, LIST_MIGRATE, LIST_FORK, N_LISTS };

struct tt_payload_state {
  const struct tt_payload *payload;
  enum tt_status (*emit)(void *user, const struct tt_payload_facts *facts);
  void *user;
  struct slot *window;                     /* [TT_PAYLOAD_WINDOW] position p stands at p & MASK */
  uint64_t first, next;                    /* positions in the window: first..next-1 */
  uint64_t lists[N_LISTS];                 /* latest unclaimed position */
  bool wakes, forks;                       /* the dictionary has events that wake, that fork */
  unsigned char (*comms)[TT_PAYLOAD_COMM]; /* [n_comms] */
  int8_t *prios;                           /* [n_comms] */
  size_t n_comms;
  struct tt_payload_threads threads;
  struct cpu **cpus; /* by number; NULL: not seen */
  size_t cpus_capacity;
  uint32_t sleeper, first_dead, last_dead;
  size_t dumped;
  int32_t next_child; /* an unused thread number, downwards */
  struct tt_payload_facts facts;
};

/* ---- threads and CPUs ---- */

static const unsigned char *comm_bytes(const struct tt_payload_state *state, const struct cpu *cpu,
                                       int32_t tid, uint32_t comm) {
  static const unsigned char nothing[TT_PAYLOAD_COMM];
  return comm != TT_COMM_NONE ? state->comms[comm] : tid == 0 ? cpu->swapper : nothing;
}

/* The thread's index, added when new; TT_NO_THREAD when memory is short. */
static uint32_t find_thread(struct tt_payload_state *state, struct cpu *cpu, int32_t tid) {
  if (cpu->cached_tid != tid) {
    uint32_t thread = tt_payload_threads_add(&state->threads, tid);
    if (thread == TT_NO_THREAD)
      return thread;
    cpu->cached_tid = tid;
    cpu->cached_thread = thread;
  }
  return cpu->cached_thread;
}

static struct cpu *find_cpu(struct tt_payload_state *state, uint16_t number) {
  if (number < state->cpus_capacity && state->cpus[number])
    return state->cpus[number];
  size_t before = state->cpus_capacity;
  if (tt_grow(&state->cpus, &state->cpus_capacity, (size_t)number + 1, sizeof *state->cpus))
    return NULL;
  if (state->cpus_capacity > before)
    memset(state->cpus + before, 0, (state->cpus_capacity - before) * sizeof *state->cpus);
  struct cpu *cpu = tt_calloc(1, sizeof *cpu);
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

/* ---- looking ahead: what an event explains of earlier ones ---- */

static struct slot *slot_at(struct tt_payload_state *state, uint64_t position) {
  return position >= state->first ? &state->window[position & MASK] : NULL;
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
    struct slot *slot = &state->window[*at & MASK];
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
  *best = state->window[position & MASK].link;
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
  struct slot *slot = &state->window[position & MASK];
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
    uint64_t fork = claim(state, LIST_FORK, want);
    if (fork)
      resolve(state, fork, e);
    want = any;
    want.lower = fork;
    uint64_t newborn = fork || !state->forks ? claim(state, LIST_NEWBORN, want) : 0;
    if (newborn)
      resolve(state, newborn, e);
    if (fork || newborn)
      return;
  }
  struct want near = any;
  near.cpu = e->cpu;
  near.batch = state->cpus[e->cpu]->last_switch;
  uint64_t wakeup = claim_near(state, LIST_WAKEUP, near);
  if (wakeup) {
    resolve(state, wakeup, e);
    near.cpu = state->window[wakeup & MASK].event.cpu;
    near.upper = near.batch = wakeup;
  }
  uint64_t waking = claim_near(state, LIST_WAKING, near);
  if (waking)
    resolve(state, waking, e);
  if (since && thread->cpu != e->cpu) {
    uint64_t migrate = claim(state, LIST_MIGRATE, any);
    if (migrate) {
      resolve(state, migrate, e);
      state->window[migrate & MASK].from_cpu = thread->cpu;
    }
  }
  struct slot *out = thread->switched_out ? slot_at(state, thread->switched_out) : NULL;
  if (out && state->wakes && !wakeup && !waking && out->prev_state == STATE_SLEEPING &&
      !(out->resolved && out->other_tid == 0))
    out->prev_state = 0;
}

static int list_of(enum tt_payload_kind kind) {
  switch (kind) {
  case TT_KIND_WAKING:
    return LIST_WAKING;
  case TT_KIND_WAKEUP:
    return LIST_WAKEUP;
  case TT_KIND_NEWBORN:
    return LIST_NEWBORN;
  case TT_KIND_MIGRATE:
    return LIST_MIGRATE;
  case TT_KIND_FORK:
    return LIST_FORK;
  default:
    return N_LISTS;
  }
}

static enum tt_status emit_slot(struct tt_payload_state *state, struct slot *slot);

/* `e` follows a switch on its CPU whose next thread is not known. It is the event's own, unless
 * that is the one that left: no thread is switched to itself, but perf's first events after a
 * switch (tlb:tlb_flush) still have the old one. */
static enum tt_status close_switch(struct tt_payload_state *state, struct cpu *cpu,
                                   struct tt_payload_thread *thread, const struct tt_event *e,
                                   enum tt_payload_kind kind) {
  struct slot *slot = cpu->holds ? &cpu->held : &state->window[cpu->open_switch & MASK];
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
  return emit_slot(state, &cpu->held);
}

/* Puts the event at position state->next. */
static enum tt_status look_ahead(struct tt_payload_state *state, const struct tt_event *e) {
  struct cpu *cpu = find_cpu(state, e->cpu);
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
  struct slot *slot = &state->window[position & MASK];
  *slot = (struct slot){.event = *e,
                        .will_return = TT_RET_NONE,
                        .thread = index,
                        .other_tid = TT_TID_NONE,
                        .other_comm = TT_COMM_NONE};
  int list = list_of(kind);
  if (list != N_LISTS) {
    slot->link = state->lists[list];
    state->lists[list] = position;
  }
  if (kind == TT_KIND_SWITCH) {
    cpu->open_switch = position;
    cpu->late = 0;
    slot->prev_state = thread ? STATE_SLEEPING : 0;
  }
  if (thread) {
    thread->fresh = false;
    if (kind == TT_KIND_SWITCH) {
      thread->switched_out = position;
      if (thread->dying) {
        slot->prev_state = STATE_DEAD;
        thread->fresh = true;
        thread->dying = false;
      }
    } else if (kind == TT_KIND_DEATH) {
      thread->dying = true;
    } else if (kind == TT_KIND_SYSCALL) {
      thread->entry = position;
    } else if (kind == TT_KIND_RETURN || kind == TT_KIND_RETURN_FD) {
      struct slot *entry = thread->entry ? slot_at(state, thread->entry) : NULL;
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

/* ---- emitting: state as it is at the event ---- */

/* A thread that could be woken now: tid, comm. The event's own when none sleeps. */
static void some_sleeper(const struct tt_payload_state *state, const struct cpu *cpu,
                         struct slot *slot) {
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
static uint32_t raise_softirq(struct cpu *cpu) {
  static const uint8_t order[] = {1, 9, 7, 3, 4, 6};
  for (size_t i = 0; i < sizeof order; i++)
    if (!(cpu->raised & (1u << order[i]))) {
      cpu->raised |= 1u << order[i];
      return order[i];
    }
  return order[0];
}

/* The kernel serves the lowest number first. */
static uint32_t begin_softirq(struct cpu *cpu) {
  cpu->softirq = cpu->raised ? (uint32_t)__builtin_ctz(cpu->raised) : 1;
  cpu->raised &= ~(1u << cpu->softirq);
  return cpu->softirq;
}

static uint32_t irq_number(uint16_t cpu, uint32_t depth) {
  return 24 + 4u * cpu + (depth & 3);
}

/* The other thread of a wake-up, fork or burial that no later event has claimed. */
static void guess_other(struct tt_payload_state *state, struct cpu *cpu, enum tt_payload_kind kind,
                        struct slot *slot) {
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

static void bury(struct tt_payload_state *state, struct cpu *cpu, struct slot *slot) {
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

static void after_switch(struct tt_payload_state *state, struct cpu *cpu, struct slot *slot) {
  if (slot->thread != TT_NO_THREAD && slot->prev_state != STATE_DEAD)
    state->sleeper = cpu->sleeper = slot->thread;
  cpu->current_tid = slot->other_tid == TT_TID_NONE ? 0 : slot->other_tid;
  cpu->current_comm = cpu->current_tid ? slot->other_comm : TT_COMM_NONE;
  cpu->runtime_from = slot->event.ts;
  cpu->idle = false;
}

static enum tt_status emit_slot(struct tt_payload_state *state, struct slot *slot) {
  const struct tt_event *e = &slot->event;
  struct cpu *cpu = state->cpus[e->cpu];
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

/* Lets the first event of the window go. */
static enum tt_status emit_first(struct tt_payload_state *state, bool last) {
  uint64_t position = state->first++;
  struct slot *slot = &state->window[position & MASK];
  struct cpu *cpu = state->cpus[slot->event.cpu];
  if (cpu->open_switch != position || last)
    return emit_slot(state, slot);
  if (cpu->late) { /* what follows must go too */
    cpu->last_switch = position;
    cpu->open_switch = 0;
    return emit_slot(state, slot);
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
      status = look_ahead(state, &events[i]);
  }
  return status;
}

enum tt_status tt_payload_state_finish(struct tt_payload_state *state) {
  enum tt_status status = TT_OK;
  for (size_t i = 0; i < state->cpus_capacity && status == TT_OK; i++)
    if (state->cpus[i] && state->cpus[i]->holds) {
      state->cpus[i]->holds = false;
      status = emit_slot(state, &state->cpus[i]->held);
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
