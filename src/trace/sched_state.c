#include "trace/sched_state.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum { WAITS_TID = 1, WAITS_COMM = 2 };

struct waiting {
  struct tt_event event;
  uint8_t waits; /* WAITS_*; 0: complete */
};

struct cpu {
  bool known;         /* `running` holds */
  int32_t running;    /* thread id */
  uint32_t idle_comm; /* name of thread 0 here, or TT_COMM_NONE */
  int64_t gap_end;    /* events up to here may be inside a gap; INT64_MIN: none */
  size_t waiting;     /* events in the queue with WAITS_TID */
};

struct thread {
  int32_t tid; /* TT_TID_NONE: empty slot */
  uint32_t comm;
  bool renamed;   /* its name was given by an exec or a rename, not yet followed by EXECED */
  size_t waiting; /* events in the queue with WAITS_COMM */
};

struct tt_sched_state {
  uint32_t (*name_of)(void *user, const char *name);
  void *user;
  struct cpu *cpus; /* [n_cpus] */
  size_t n_cpus, cpus_capacity;
  struct thread *threads; /* [n_slots] open addressing */
  size_t n_threads, n_slots;
  struct waiting *queue; /* [TT_SCHED_LOOKAHEAD] ring; position p is at p % TT_SCHED_LOOKAHEAD */
  size_t head, tail;     /* positions: head <= tail <= head + TT_SCHED_LOOKAHEAD */
  bool finished;
  struct tt_sched_statistics statistics;
};

enum tt_status tt_sched_state_new(uint32_t (*name_of)(void *user, const char *name), void *user,
                                  struct tt_sched_state **ret) {
  struct tt_sched_state *s = tt_calloc(1, sizeof *s);
  struct waiting *queue = tt_alloc(TT_SCHED_LOOKAHEAD, sizeof *queue);
  if (!s || !queue) {
    tt_free(s);
    tt_free(queue);
    return tt_fail(TT_NO_MEMORY, "scheduler state: out of memory");
  }
  s->name_of = name_of;
  s->user = user;
  s->queue = queue;
  *ret = s;
  return TT_OK;
}

void tt_sched_state_free(struct tt_sched_state *s) {
  if (!s)
    return;
  tt_free(s->cpus);
  tt_free(s->threads);
  tt_free(s->queue);
  tt_free(s);
}

/* ---- CPUs and threads ---- */

static struct cpu *cpu_at(struct tt_sched_state *s, uint16_t cpu) {
  if (cpu >= s->n_cpus) {
    if (tt_grow(&s->cpus, &s->cpus_capacity, (size_t)cpu + 1, sizeof *s->cpus) != 0)
      return NULL;
    for (; s->n_cpus <= cpu; s->n_cpus++)
      s->cpus[s->n_cpus] =
          (struct cpu){.running = TT_TID_NONE, .idle_comm = TT_COMM_NONE, .gap_end = INT64_MIN};
  }
  return &s->cpus[cpu];
}

static struct thread *slot_of(struct thread *slots, size_t n_slots, int32_t tid) {
  size_t i = ((uint32_t)tid * 0x9e3779b1u >> 8) & (n_slots - 1);
  while (slots[i].tid != TT_TID_NONE && slots[i].tid != tid)
    i = (i + 1) & (n_slots - 1);
  return &slots[i];
}

/* The entry of a thread, made when new; NULL: out of memory. Valid until the next call. */
static struct thread *thread_at(struct tt_sched_state *s, int32_t tid) {
  if (s->n_slots) {
    struct thread *found = slot_of(s->threads, s->n_slots, tid);
    if (found->tid == tid)
      return found;
  }
  if (2 * (s->n_threads + 1) > s->n_slots) {
    size_t n_slots = s->n_slots ? 2 * s->n_slots : 1024;
    struct thread *slots = tt_alloc(n_slots, sizeof *slots);
    if (!slots)
      return NULL;
    for (size_t i = 0; i < n_slots; i++)
      slots[i].tid = TT_TID_NONE;
    for (size_t i = 0; i < s->n_slots; i++)
      if (s->threads[i].tid != TT_TID_NONE)
        *slot_of(slots, n_slots, s->threads[i].tid) = s->threads[i];
    tt_free(s->threads);
    s->threads = slots;
    s->n_slots = n_slots;
  }
  struct thread *slot = slot_of(s->threads, s->n_slots, tid);
  *slot = (struct thread){.tid = tid, .comm = TT_COMM_NONE};
  s->n_threads++;
  return slot;
}

/* The name of thread 0 on a CPU: every one runs its own, "swapper/N" (kernel/smpboot.c). */
static uint32_t idle_comm(struct tt_sched_state *s, uint16_t number) {
  struct cpu *cpu = &s->cpus[number];
  if (cpu->idle_comm == TT_COMM_NONE) {
    char name[24];
    snprintf(name, sizeof name, "swapper/%u", (unsigned)number);
    cpu->idle_comm = s->name_of(s->user, name);
  }
  return cpu->idle_comm;
}

/* ---- the queue ---- */

static struct waiting *at(struct tt_sched_state *s, size_t position) {
  return &s->queue[position & (TT_SCHED_LOOKAHEAD - 1)];
}

/* Gives the events of `tid` that wait for a name this one; TT_COMM_NONE: they wait in vain. */
static void settle_comm(struct tt_sched_state *s, struct thread *thread, uint32_t comm) {
  for (size_t p = s->head; p < s->tail && thread->waiting > 0; p++) {
    struct waiting *w = at(s, p);
    if ((w->waits & WAITS_COMM) && w->event.tid == thread->tid) {
      w->event.comm = comm;
      w->waits &= (uint8_t)~WAITS_COMM;
      thread->waiting--;
    }
  }
}

/* Tells the events of a CPU that wait for their thread who it was; TT_TID_NONE: never known. */
static enum tt_status settle_tid(struct tt_sched_state *s, uint16_t number, int32_t tid) {
  struct cpu *cpu = &s->cpus[number];
  uint32_t comm = TT_COMM_NONE;
  struct thread *thread = NULL;
  if (tid == 0) {
    comm = idle_comm(s, number);
  } else if (tid != TT_TID_NONE) {
    thread = thread_at(s, tid);
    if (!thread)
      return tt_fail(TT_NO_MEMORY, "scheduler state: out of memory");
    comm = thread->comm;
  }
  for (size_t p = s->head; p < s->tail && cpu->waiting > 0; p++) {
    struct waiting *w = at(s, p);
    if (!(w->waits & WAITS_TID) || w->event.cpu != number)
      continue;
    w->event.tid = tid;
    w->waits = 0;
    cpu->waiting--;
    if (w->event.comm == TT_COMM_NONE)
      w->event.comm = comm;
    if (thread && w->event.comm == TT_COMM_NONE) {
      w->waits = WAITS_COMM;
      thread->waiting++;
    }
  }
  return TT_OK;
}

/* ---- what events say ---- */

/* Thread `tid` is called `comm` now, and was since it was first seen unless `renamed`. */
static enum tt_status learn(struct tt_sched_state *s, int32_t tid, uint32_t comm, bool renamed) {
  if (tid == TT_TID_NONE || tid == 0 || comm == TT_COMM_NONE)
    return TT_OK;
  struct thread *thread = thread_at(s, tid);
  if (!thread)
    return tt_fail(TT_NO_MEMORY, "scheduler state: out of memory");
  if (thread->waiting > 0)
    settle_comm(s, thread, renamed ? TT_COMM_NONE : comm);
  thread->comm = comm;
  thread->renamed = renamed;
  return TT_OK;
}

/* Thread `tid` has another name from now on; whoever names it next says which. */
static enum tt_status forget(struct tt_sched_state *s, int32_t tid, bool unless_renamed) {
  if (tid == TT_TID_NONE || tid == 0)
    return TT_OK;
  struct thread *thread = thread_at(s, tid);
  if (!thread)
    return tt_fail(TT_NO_MEMORY, "scheduler state: out of memory");
  if (!unless_renamed || !thread->renamed) {
    if (thread->waiting > 0)
      settle_comm(s, thread, TT_COMM_NONE);
    thread->comm = TT_COMM_NONE;
  }
  thread->renamed = false;
  return TT_OK;
}

static void count(uint64_t *all, uint64_t *agree, bool agrees) {
  *all += 1;
  *agree += agrees;
}

/* A sched_switch seen from before: a was running until now. */
static enum tt_status switch_from(struct tt_sched_state *s, const struct tt_event *e,
                                  const struct tt_wire_aux *aux) {
  struct cpu *cpu = &s->cpus[e->cpu];
  if (cpu->known)
    count(&s->statistics.switches, &s->statistics.switches_agree, cpu->running == aux->tid_a);
  if (aux->tid_a == TT_TID_NONE)
    return TT_OK;
  if (aux->tid_a == 0 && aux->comm_a != TT_COMM_NONE) {
    cpu->idle_comm = aux->comm_a;
  } else if (aux->tid_a != 0) {
    struct thread *thread = thread_at(s, aux->tid_a);
    if (!thread)
      return tt_fail(TT_NO_MEMORY, "scheduler state: out of memory");
    if (thread->comm != TT_COMM_NONE && aux->comm_a != TT_COMM_NONE)
      count(&s->statistics.names, &s->statistics.names_agree, thread->comm == aux->comm_a);
    enum tt_status status = learn(s, aux->tid_a, aux->comm_a, false);
    if (status)
      return status;
  }
  if (cpu->waiting > 0)
    return settle_tid(s, e->cpu, aux->tid_a);
  return TT_OK;
}

static void switch_to(struct tt_sched_state *s, uint16_t number, const struct tt_wire_aux *aux) {
  struct cpu *cpu = &s->cpus[number];
  cpu->known = aux->tid_b != TT_TID_NONE;
  cpu->running = aux->tid_b;
  if (aux->tid_b == 0 && aux->comm_b != TT_COMM_NONE)
    cpu->idle_comm = aux->comm_b;
}

/* perf files its own records under CPU 0; the thread they are about made them, wherever it runs. */
static void place_sideband(struct tt_sched_state *s, struct tt_event *e) {
  if (e->tid == TT_TID_NONE || e->tid == 0)
    return;
  struct cpu *here = &s->cpus[e->cpu];
  if (here->known && here->running == e->tid)
    return;
  for (size_t i = 0; i < s->n_cpus; i++)
    if (s->cpus[i].known && s->cpus[i].running == e->tid) {
      e->cpu = (uint16_t)i;
      s->statistics.moved++;
      return;
    }
}

/* Completes the event from the state as it is; what has to wait is returned as WAITS_*. */
static enum tt_status complete(struct tt_sched_state *s, struct tt_event *e, uint8_t *ret_waits) {
  struct cpu *cpu = &s->cpus[e->cpu];
  *ret_waits = 0;
  if (e->tid == TT_TID_NONE) {
    if (!cpu->known) {
      *ret_waits = e->ts <= cpu->gap_end ? 0 : WAITS_TID;
      return TT_OK;
    }
    e->tid = cpu->running;
  }
  if (e->comm != TT_COMM_NONE)
    return TT_OK;
  if (e->tid == 0) {
    e->comm = idle_comm(s, e->cpu);
    return TT_OK;
  }
  struct thread *thread = thread_at(s, e->tid);
  if (!thread)
    return tt_fail(TT_NO_MEMORY, "scheduler state: out of memory");
  e->comm = thread->comm;
  if (e->comm == TT_COMM_NONE)
    *ret_waits = WAITS_COMM;
  return TT_OK;
}

/* A recorded thread id: who runs here now, and since the last thing that was not known. */
static enum tt_status recorded(struct tt_sched_state *s, const struct tt_event *e) {
  struct cpu *cpu = &s->cpus[e->cpu];
  if (cpu->known) {
    count(&s->statistics.contexts, &s->statistics.contexts_agree, cpu->running == e->tid);
    if (cpu->running == e->tid)
      return TT_OK;
  }
  cpu->known = true;
  cpu->running = e->tid;
  return cpu->waiting > 0 ? settle_tid(s, e->cpu, e->tid) : TT_OK;
}

/* Roles whose news holds for the event itself already. */
static enum tt_status apply_before(struct tt_sched_state *s, const struct tt_event *e,
                                   enum tt_role role, const struct tt_wire_aux *aux) {
  switch (role) {
  case TT_ROLE_SWITCH:
    return switch_from(s, e, aux);
  case TT_ROLE_NAME:
    return learn(s, aux->tid_b, aux->comm_b, false);
  case TT_ROLE_RENAME:
    return aux->comm_a == TT_COMM_NONE ? learn(s, aux->tid_b, aux->comm_b, true)
                                       : learn(s, aux->tid_b, aux->comm_a, false);
  default:
    return TT_OK;
  }
}

static enum tt_status apply_after(struct tt_sched_state *s, const struct tt_event *e,
                                  enum tt_role role, const struct tt_wire_aux *aux) {
  switch (role) {
  case TT_ROLE_SWITCH:
    switch_to(s, e->cpu, aux);
    return learn(s, aux->tid_b, aux->comm_b, false);
  case TT_ROLE_RENAME:
    return learn(s, aux->tid_b == TT_TID_NONE ? e->tid : aux->tid_b, aux->comm_b, true);
  case TT_ROLE_FORGET:
    return forget(s, e->tid, false);
  case TT_ROLE_EXECED:
    return forget(s, e->tid, true);
  case TT_ROLE_FORK: {
    uint32_t comm = aux->comm_b;
    if (comm == TT_COMM_NONE && aux->tid_a != TT_TID_NONE && aux->tid_a != 0) {
      struct thread *parent = thread_at(s, aux->tid_a);
      if (!parent)
        return tt_fail(TT_NO_MEMORY, "scheduler state: out of memory");
      comm = parent->comm;
    }
    return learn(s, aux->tid_b, comm, true);
  }
  default:
    return TT_OK;
  }
}

enum tt_status tt_sched_state_push(struct tt_sched_state *s, const struct tt_event *record,
                                   enum tt_role role, const struct tt_wire_aux *aux, bool deliver) {
  TT_ASSERT(s->tail - s->head < TT_SCHED_LOOKAHEAD);
  struct tt_event e = *record;
  if (!cpu_at(s, e.cpu))
    return tt_fail(TT_NO_MEMORY, "scheduler state: out of memory");
  enum tt_status status = TT_OK;
  bool sideband = role != TT_ROLE_NONE && aux->sideband;
  if (role != TT_ROLE_NONE && (status = apply_before(s, &e, role, aux)))
    return status;
  if (deliver) {
    if (sideband) {
      e.tid = aux->tid_a;
      place_sideband(s, &e);
    } else {
      if (e.tid != TT_TID_NONE && (status = recorded(s, &e)))
        return status;
      if (e.tid == TT_TID_NONE && role == TT_ROLE_SWITCH)
        e.tid = aux->tid_a;
      if (role == TT_ROLE_SWITCH && e.tid == aux->tid_a && e.comm == TT_COMM_NONE)
        e.comm = aux->comm_a;
    }
    struct waiting *w = at(s, s->tail);
    uint8_t waits;
    if ((status = complete(s, &e, &waits)))
      return status;
    *w = (struct waiting){.event = e, .waits = waits};
    s->tail++;
    if (waits & WAITS_TID)
      s->cpus[e.cpu].waiting++;
    if (waits & WAITS_COMM)
      thread_at(s, e.tid)->waiting++;
  }
  return role == TT_ROLE_NONE ? TT_OK : apply_after(s, &e, role, aux);
}

enum tt_status tt_sched_state_gap(struct tt_sched_state *s, uint16_t number, int64_t end) {
  struct cpu *cpu = cpu_at(s, number);
  if (!cpu)
    return tt_fail(TT_NO_MEMORY, "scheduler state: out of memory");
  cpu->known = false;
  cpu->running = TT_TID_NONE;
  if (end > cpu->gap_end)
    cpu->gap_end = end;
  return settle_tid(s, number, TT_TID_NONE);
}

void tt_sched_state_finish(struct tt_sched_state *s) {
  s->finished = true;
}

bool tt_sched_state_pop(struct tt_sched_state *s, struct tt_event *ret) {
  if (s->head == s->tail)
    return false;
  struct waiting *w = at(s, s->head);
  if (w->waits) {
    if (s->tail - s->head < TT_SCHED_LOOKAHEAD && !s->finished)
      return false;
    if (w->waits & WAITS_TID)
      s->cpus[w->event.cpu].waiting--;
    if (w->waits & WAITS_COMM)
      thread_at(s, w->event.tid)->waiting--;
  }
  *ret = w->event;
  s->head++;
  return true;
}

struct tt_sched_statistics tt_sched_state_statistics(const struct tt_sched_state *s) {
  return s->statistics;
}
