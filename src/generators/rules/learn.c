/* One pass over the rows in time order. Every thread has a stack of open calls, every CPU a stack
 * of what interrupts it; what happens on top of a stack becomes a sequence of its machine. A thread
 * that is interrupted goes on afterwards as if nothing had been: its own time stands still
 * meanwhile. Idle threads only wait for interrupts, so theirs belong to their own machine. */
#include "generators/rules/learn.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "generators/rules/rules.h"

#define BLOCK ((size_t)1 << 20) /* rows given back at a time */
#define DEPTH 24
#define PIECE 4096 /* tokens of a workload's own sequence that are handed over at a time */
#define TAIL 4     /* most events between an interrupt and its preemption */
#define NO_EVENT UINT16_MAX
#define MOST_TURNS ((size_t)1 << 16) /* per workload */
#define MOST_PAIRS ((size_t)1 << 22)

struct open_call {
  uint32_t machine, name;
  uint16_t entry;
  size_t begin; /* of its tokens */
};

struct context {                 /* a thread's, or what interrupts a CPU */
  struct open_call calls[DEPTH]; /* [0] is no call: the thread outside of calls, or the source */
  uint32_t depth;                /* 0: nothing yet */
  uint32_t comm;
  uint32_t *tokens;
  size_t n, capacity;
  int64_t since; /* own time since its last event */
  uint16_t last; /* NO_EVENT: unknown, no time is learned */
  bool known;    /* whether it is in a system call */
  bool exiting;
  bool begun; /* its first sequence has */
};

struct cpu {
  size_t last; /* row */
  bool begun;
  uint32_t thread; /* TT_THREAD_ANY: unknown */
  struct context *running;
  struct context interrupt; /* depth 0: none */
  uint16_t tail[TAIL];      /* what may turn out to be a preemption */
  int64_t tail_dt[TAIL];
  uint32_t n_tail;
  int64_t turn_begin, interrupted_at; /* of the turn: ts; at the last interrupt: ns into it */
  bool turn_known;
};

struct learner {
  struct tt_facts *facts;
  const struct tt_columns *columns;
  struct context *contexts; /* [n_threads + n_cpus]: the latter where the thread is unknown */
  struct cpu *cpus;         /* [n_cpus] */
  uint64_t *arrived;        /* [n_cpus * calls.n] busy time at the source's last interrupt */
};

/* ---- machines and their sequences ---- */

enum tt_status tt_facts_machine(struct tt_facts *facts, uint32_t comm, uint32_t frame,
                                uint16_t entry, uint16_t leaving, uint32_t *ret) {
  uint64_t key = (uint64_t)comm << 32 | frame;
  *ret = tt_map_get(&facts->index, key);
  if (*ret != TT_MAP_NONE)
    return TT_OK;
  if (tt_grow(&facts->machines, &facts->machines_capacity, facts->n_machines + 1,
              sizeof *facts->machines) != 0 ||
      tt_map_put(&facts->index, key, (uint32_t)facts->n_machines) != 0)
    return tt_fail(TT_NO_MEMORY, "%zu machines", facts->n_machines);
  facts->machines[facts->n_machines] =
      (struct tt_machine_facts){.comm = comm, .frame = frame, .entry = entry, .exit = leaving};
  *ret = (uint32_t)facts->n_machines++;
  return TT_OK;
}

static enum tt_status push(struct context *context, uint32_t token) {
  if (tt_grow(&context->tokens, &context->capacity, context->n + 1, sizeof *context->tokens) != 0)
    return tt_fail(TT_NO_MEMORY, "a sequence of %zu events", context->n);
  context->tokens[context->n++] = token;
  return TT_OK;
}

static enum tt_status open_call(struct learner *learner, struct context *context, uint32_t comm,
                                uint32_t frame, uint16_t entry, uint16_t leaving) {
  struct open_call *call = &context->calls[context->depth];
  enum tt_status status =
      tt_facts_machine(learner->facts, comm, frame, entry, leaving, &call->machine);
  if (status != TT_OK)
    return status;
  call->name = frame;
  call->entry = entry;
  call->begin = context->n;
  context->depth++;
  return push(context, TT_TOKEN_START);
}

/* Hands over the sequence of the innermost call; it becomes one item of the one around it. */
static enum tt_status close_call(struct learner *learner, struct context *context, uint32_t end) {
  struct open_call *call = &context->calls[--context->depth];
  enum tt_status status = push(context, end);
  if (status == TT_OK)
    status = tt_corpus_add(&learner->facts->machines[call->machine].corpus,
                           context->tokens + call->begin, context->n - call->begin);
  context->n = call->begin;
  if (status == TT_OK && context->depth > 0)
    status = push(context, TT_RULES_CALL + call->name);
  return status;
}

static enum tt_status close_all(struct learner *learner, struct context *context, uint32_t end) {
  enum tt_status status = TT_OK;
  while (status == TT_OK && context->depth > 0)
    status = close_call(learner, context, end);
  return status;
}

/* Something was lost: what is open is cut off, and nothing is known of its state any more. */
static enum tt_status lose(struct learner *learner, struct context *context) {
  enum tt_status status = close_all(learner, context, TT_TOKEN_CUT);
  context->last = NO_EVENT;
  context->known = context->exiting = false;
  context->since = 0;
  return status;
}

static enum tt_status learn_delay(struct learner *learner, struct context *context,
                                  uint32_t machine, uint16_t event) {
  struct tt_delays *delays = &learner->facts->delays;
  int64_t dt = context->since;
  uint16_t previous = context->last;
  context->since = 0;
  context->last = event;
  if (previous == NO_EVENT)
    return TT_OK;
  enum tt_status status =
      tt_delays_add(delays, tt_fact_delay_key(machine + UINT64_C(1), previous, event), 256, dt);
  if (status == TT_OK)
    status = tt_delays_add(delays, tt_fact_delay_key(0, previous, event), 512, dt);
  if (status == TT_OK)
    status = tt_delays_add(delays, tt_fact_delay_key(0, NO_EVENT, event), 1024, dt);
  return status;
}

/* A new thread's first event is the end of the call that made it. */
static bool is_fork(const char *call) {
  return strstr(call, "clone") || strstr(call, "fork");
}

static enum tt_status learn_exit(struct learner *learner, struct context *context, uint16_t event,
                                 int64_t ret) {
  struct tt_facts *facts = learner->facts;
  const struct tt_frame_event *what = &facts->events[event];
  uint32_t depth = context->depth;
  while (depth > 1 && context->calls[depth - 1].entry != what->partner)
    depth--;
  enum tt_status status = TT_OK;
  if (depth > 1) {
    while (status == TT_OK && context->depth > depth)
      status = close_call(learner, context, TT_TOKEN_CUT);
    uint32_t machine = context->calls[depth - 1].machine;
    if (status == TT_OK)
      status = learn_delay(learner, context, machine, event);
    if (status == TT_OK && ret != TT_RET_NONE)
      status = tt_tally_add(&facts->rets, machine, ret);
    if (status == TT_OK && ret != TT_RET_NONE)
      status = tt_tally_add(&facts->rets, TT_FACT_ANY_WORKLOAD | what->name, ret);
    return status == TT_OK ? close_call(learner, context, TT_TOKEN_END) : status;
  }
  bool born = context->n == 1 && is_fork(facts->calls.names[what->name]);
  if (!context->known &&
      !born) { /* in there before the trace began: what came so far is no start */
    context->n = context->calls[0].begin;
    context->last = event;
    context->since = 0;
    context->known = true;
    return push(context, TT_TOKEN_ENTER);
  }
  if (born && !context->begun) {
    context->tokens[0] = TT_TOKEN_START;
    facts->born[context - learner->contexts] = true;
  }
  context->known = context->begun = true;
  status = learn_delay(learner, context, context->calls[context->depth - 1].machine, event);
  if (status == TT_OK && ret != TT_RET_NONE)
    status = tt_tally_add(&facts->returns, event, ret);
  return status == TT_OK ? push(context, event) : status;
}

/* An event of a thread itself, or of what interrupts it. */
static enum tt_status learn_event(struct learner *learner, struct context *context, uint16_t event,
                                  int64_t ret) {
  struct tt_facts *facts = learner->facts;
  const struct tt_frame_event *what = &facts->events[event];
  if (what->kind != TT_FRAME_NONE && !what->entry)
    return learn_exit(learner, context, event, ret);
  enum tt_status status = TT_OK;
  bool syscall = what->kind == TT_FRAME_SYSCALL;
  if (syscall) { /* the call before didn't return */
    while (status == TT_OK && context->depth > 1)
      status = close_call(learner, context, TT_TOKEN_CUT);
    context->known = true;
  }
  if (status == TT_OK)
    status = learn_delay(learner, context, context->calls[context->depth - 1].machine, event);
  if (status == TT_OK && ret != TT_RET_NONE)
    status = tt_tally_add(&facts->returns, event, ret);
  if (status != TT_OK)
    return status;
  if (what->kind != TT_FRAME_NONE && context->depth < DEPTH)
    return open_call(learner, context, syscall ? context->comm : (uint32_t)facts->n_comms,
                     what->name, event, what->partner);
  return push(context, event);
}

/* ---- threads ---- */

static enum tt_status learn_own(struct learner *learner, struct cpu *cpu, size_t i) {
  const struct tt_columns *c = learner->columns;
  struct tt_facts *facts = learner->facts;
  struct context *context = cpu->running;
  uint16_t event = c->event[i];
  uint32_t comm = c->comm[i] == TT_COMM_NONE ? (uint32_t)facts->n_comms : c->comm[i];
  enum tt_status status = TT_OK;
  if (context->depth == 1 && context->comm != comm) /* renamed */
    status = close_all(learner, context, TT_TOKEN_END);
  if (status == TT_OK && context->depth == 1 && context->n > PIECE) {
    status = close_all(learner, context, TT_TOKEN_CUT);
    if (status == TT_OK)
      status = open_call(learner, context, comm, TT_FRAME_USER, NO_EVENT, NO_EVENT);
    context->n = 0; /* this piece doesn't start anything */
  }
  if (status == TT_OK && context->depth == 0) {
    context->comm = comm;
    status = open_call(learner, context, comm, TT_FRAME_USER, NO_EVENT, NO_EVENT);
    if (status == TT_OK && !context->begun)
      context->tokens[0] = TT_TOKEN_ENTER;
  }
  if (status == TT_OK)
    status = learn_event(learner, context, event, c->ret[i]);
  context->begun = true;
  if (facts->cast.events[event].role == TT_ROLE_THREAD_EXIT)
    context->exiting = true;
  if (status == TT_OK && context->exiting && facts->cast.events[event].role == TT_ROLE_SWITCH) {
    status = lose(learner, context);
    context->last = event;
    context->known = true; /* whoever is called so next begins anew */
  }
  return status;
}

/* How long the turn lasted at its last interrupt; `preempted`: that one ended it. */
static enum tt_status learn_turn(struct learner *learner, struct cpu *cpu, int64_t preempted_at) {
  if (!cpu->turn_known || !cpu->running)
    return TT_OK;
  uint32_t comm = cpu->running->comm;
  struct tt_turns *turns = &learner->facts->turns[comm];
  if (turns->n == MOST_TURNS)
    return TT_OK;
  if (tt_grow(&turns->turns, &turns->capacity, turns->n + 1, sizeof *turns->turns) != 0)
    return tt_fail(TT_NO_MEMORY, "%zu turns", turns->n);
  int64_t upto = cpu->interrupted_at; /* the slice ended between two interrupts: halfway */
  turns->turns[turns->n++] = preempted_at >= 0
                                 ? (struct tt_turn){upto + (preempted_at - upto) / 2, false}
                                 : (struct tt_turn){upto, true};
  cpu->turn_known = false;
  return TT_OK;
}

/* ---- interrupts ---- */

static enum tt_status begin_interrupt(struct learner *learner, uint16_t id, uint16_t event) {
  struct tt_facts *facts = learner->facts;
  struct context *context = &learner->cpus[id].interrupt;
  uint32_t name = facts->events[event].name;
  uint64_t *arrived = &learner->arrived[id * facts->calls.n + name];
  int64_t between = (int64_t)(facts->busy[id] - *arrived);
  *arrived = facts->busy[id];
  context->last = NO_EVENT; /* it comes when it comes */
  context->known = true;
  context->since = 0;
  enum tt_status status = tt_delays_add(&facts->arrivals, (uint64_t)id << 32 | name, 4096, between);
  if (status == TT_OK)
    status = open_call(learner, context, (uint32_t)facts->n_comms, TT_FRAME_SOURCE + name, NO_EVENT,
                       NO_EVENT);
  return status == TT_OK ? learn_event(learner, context, event, TT_RET_NONE) : status;
}

/* What came after the interrupt belonged to it. */
static enum tt_status keep_tail(struct learner *learner, struct cpu *cpu) {
  enum tt_status status = TT_OK;
  for (uint32_t i = 0; i < cpu->n_tail && status == TT_OK; i++) {
    cpu->interrupt.since = cpu->tail_dt[i];
    status = learn_event(learner, &cpu->interrupt, cpu->tail[i], TT_RET_NONE);
  }
  cpu->n_tail = 0;
  return status;
}

static enum tt_status learn_preemption(struct learner *learner, struct cpu *cpu, size_t i,
                                       int64_t dt) {
  struct context *context = &cpu->interrupt;
  enum tt_status status = close_all(learner, context, TT_TOKEN_END);
  if (status == TT_OK)
    status = open_call(learner, context, (uint32_t)learner->facts->n_comms, TT_FRAME_PREEMPT,
                       NO_EVENT, NO_EVENT);
  if (status == TT_OK)
    status = keep_tail(learner, cpu);
  context->since = dt;
  if (status == TT_OK)
    status = learn_event(learner, context, learner->columns->event[i], TT_RET_NONE);
  if (status == TT_OK)
    status = close_all(learner, context, TT_TOKEN_END);
  return status == TT_OK ? learn_turn(learner, cpu, learner->columns->ts[i] - cpu->turn_begin)
                         : status;
}

/* While an interrupt is on: its events, those after it that may be its own or lead to a preemption,
 * or (*ret_mine false) the thread's again. */
static enum tt_status learn_interrupted(struct learner *learner, struct cpu *cpu, size_t i,
                                        int64_t dt, bool *ret_mine) {
  struct tt_facts *facts = learner->facts;
  struct context *context = &cpu->interrupt;
  uint16_t event = learner->columns->event[i];
  const struct tt_frame_event *what = &facts->events[event];
  bool switches = facts->cast.events[event].role == TT_ROLE_SWITCH;
  bool outside = context->depth == 1;
  enum tt_status status = TT_OK;
  *ret_mine = true;
  if (outside && switches)
    return learn_preemption(learner, cpu, i, dt);
  if (outside && what->scheduling && cpu->n_tail < TAIL) {
    cpu->tail[cpu->n_tail] = event;
    cpu->tail_dt[cpu->n_tail++] = dt;
    return TT_OK;
  }
  bool goes_on = !outside || what->starts || (what->entry && what->kind == TT_FRAME_SOFT);
  if (outside)
    status = keep_tail(learner, cpu);
  if (status == TT_OK && goes_on) {
    context->since = dt;
    status = learn_event(learner, context, event, learner->columns->ret[i]);
    if (status == TT_OK && switches)
      status = close_all(learner, context, TT_TOKEN_CUT);
    return status;
  }
  *ret_mine = false;
  cpu->interrupted_at = learner->columns->ts[i] - dt - cpu->turn_begin;
  return status == TT_OK ? close_all(learner, context, TT_TOKEN_END) : status;
}

/* ---- rows ---- */

/* Who runs: sets cpu->running, counting who came after whom. */
static enum tt_status learn_thread(struct learner *learner, struct cpu *cpu, size_t i,
                                   bool follows) {
  struct tt_facts *facts = learner->facts;
  const struct tt_columns *c = learner->columns;
  uint16_t id = c->cpu[i];
  bool known = c->tid[i] != TT_TID_NONE;
  uint32_t thread = tt_cast_find(&facts->cast, c->tid[i], id);
  TT_ASSERT(thread != TT_THREAD_ANY);
  struct context *context = &learner->contexts[known ? thread : facts->cast.n_threads + id];
  bool switched = follows && (!facts->cast.switches ||
                              facts->cast.events[c->event[cpu->last]].role == TT_ROLE_SWITCH);
  enum tt_status status = TT_OK;
  if (switched && cpu->thread != TT_THREAD_ANY) {
    status = tt_tally_add(&facts->next, tt_rules_next_key(id, cpu->thread), thread);
    if (status == TT_OK)
      status = tt_tally_add(&facts->next, tt_rules_next_key(TT_RULES_ANY, cpu->thread), thread);
    if (status == TT_OK)
      status = tt_tally_add(&facts->next, tt_rules_next_key(id, TT_THREAD_ANY), thread);
  }
  if (status == TT_OK && (switched || context != cpu->running)) {
    status = learn_turn(learner, cpu, -1);
    cpu->turn_known = switched && facts->cast.switches && c->tid[i] != 0;
    cpu->turn_begin = follows ? c->ts[cpu->last] : c->ts[i];
    cpu->interrupted_at = 0;
  }
  cpu->running = context;
  cpu->thread = thread;
  return status;
}

static enum tt_status learn_row(struct learner *learner, size_t i) {
  struct tt_facts *facts = learner->facts;
  const struct tt_columns *c = learner->columns;
  uint16_t id = c->cpu[i], event = c->event[i];
  struct cpu *cpu = &learner->cpus[id];
  bool follows = cpu->begun && !tt_dataset_gap_between(facts->dataset, cpu->last, i);
  enum tt_status status = TT_OK;
  if (!follows) {
    cpu->turn_known = false;
    cpu->n_tail = 0;
    status = lose(learner, &cpu->interrupt);
    if (status == TT_OK && cpu->running)
      status = lose(learner, cpu->running);
  }
  if (status == TT_OK)
    status = learn_thread(learner, cpu, i, follows);
  if (status != TT_OK)
    return status;
  int64_t dt = follows ? c->ts[i] - c->ts[cpu->last] : 0;
  bool idle = c->tid[i] == 0;
  cpu->last = i;
  cpu->begun = facts->seen[id] = true;
  if (!idle)
    facts->busy[id] += (uint64_t)dt;
  if (cpu->interrupt.depth > 0) {
    bool mine;
    status = learn_interrupted(learner, cpu, i, dt, &mine);
    if (mine || status != TT_OK)
      return status;
  }
  struct context *context = cpu->running;
  context->since += dt;
  uint8_t inside = context->depth > 1 ? facts->events[context->calls[context->depth - 1].entry].kind
                                      : TT_FRAME_NONE;
  const struct tt_frame_event *what = &facts->events[event];
  if (!idle && what->starts && inside < TT_FRAME_SOFT)
    return begin_interrupt(learner, id, event);
  return learn_own(learner, cpu, i);
}

static enum tt_status learn_rows(struct learner *learner, const struct tt_progress *progress) {
  const struct tt_columns *c = learner->columns;
  enum tt_status status = TT_OK;
  for (size_t block = 0; block < c->n && status == TT_OK; block += BLOCK) {
    if (tt_interrupted())
      return tt_fail(TT_INTERRUPTED, "interrupted after %zu events", block);
    size_t end = c->n - block < BLOCK ? c->n : block + BLOCK;
    for (size_t i = block; i < end && status == TT_OK; i++)
      status = learn_row(learner, i);
    tt_dataset_done_with(learner->facts->dataset, block, end - block);
    struct tt_progress_report values = {.stage = "train",
                                        .done = end,
                                        .total = c->n,
                                        .unit = "events",
                                        .loss = NAN,
                                        .seconds_left = NAN};
    if (progress && progress->report)
      progress->report(progress->user, &values);
  }
  size_t n_contexts = learner->facts->cast.n_threads + learner->facts->n_cpus;
  for (size_t i = 0; i < n_contexts && status == TT_OK; i++)
    status = lose(learner, &learner->contexts[i]);
  for (size_t i = 0; i < learner->facts->n_cpus && status == TT_OK; i++)
    status = lose(learner, &learner->cpus[i].interrupt);
  return status;
}

enum tt_status tt_facts_gather(const struct tt_train_config *config, struct tt_facts *ret) {
  struct tt_facts *facts = ret;
  const struct tt_dataset_meta *meta = tt_dataset_meta(config->train);
  struct learner learner = {.facts = facts, .columns = tt_dataset_columns(config->train)};
  facts->dataset = config->train;
  facts->n_comms = meta->comms.n;
  facts->n_cpus = tt_dataset_cpu_limit(config->train);
  tt_names_init(&facts->calls);
  tt_delays_init(&facts->delays, config->seed, MOST_PAIRS);
  tt_delays_init(&facts->arrivals, config->seed + 1, MOST_PAIRS);
  facts->rets.max_pairs = facts->returns.max_pairs = facts->next.max_pairs = MOST_PAIRS;
  enum tt_status status = tt_cast_build(config->train, NULL, config->seed, &facts->cast);
  if (status == TT_OK)
    status = tt_facts_pair_events(facts, &meta->events);
  if (status != TT_OK)
    return status;
  size_t n_contexts = facts->cast.n_threads + facts->n_cpus;
  learner.contexts = tt_calloc(n_contexts, sizeof *learner.contexts);
  learner.cpus = tt_calloc(facts->n_cpus, sizeof *learner.cpus);
  learner.arrived = tt_calloc(facts->n_cpus * facts->calls.n, sizeof *learner.arrived);
  facts->turns = tt_calloc(facts->n_comms + 1, sizeof *facts->turns);
  facts->busy = tt_calloc(facts->n_cpus, sizeof *facts->busy);
  facts->seen = tt_calloc(facts->n_cpus, sizeof *facts->seen);
  facts->born = tt_calloc(n_contexts, sizeof *facts->born);
  if (learner.contexts && learner.cpus && learner.arrived && facts->turns && facts->busy &&
      facts->seen && facts->born) {
    for (size_t i = 0; i < n_contexts; i++)
      learner.contexts[i].last = NO_EVENT;
    for (size_t i = 0; i < facts->n_cpus; i++) {
      learner.cpus[i].thread = TT_THREAD_ANY;
      learner.cpus[i].interrupt.last = NO_EVENT;
    }
    status = learn_rows(&learner, config->progress);
  } else {
    status = tt_fail(TT_NO_MEMORY, "%zu threads", facts->cast.n_threads);
  }
  for (size_t i = 0; learner.contexts && i < n_contexts; i++)
    tt_free(learner.contexts[i].tokens);
  for (size_t i = 0; learner.cpus && i < facts->n_cpus; i++)
    tt_free(learner.cpus[i].interrupt.tokens);
  tt_free(learner.contexts);
  tt_free(learner.cpus);
  tt_free(learner.arrived);
  return status;
}

void tt_facts_release(struct tt_facts *facts) {
  for (size_t i = 0; i < facts->n_machines; i++)
    tt_corpus_release(&facts->machines[i].corpus);
  for (size_t i = 0; facts->turns && i <= facts->n_comms; i++)
    tt_free(facts->turns[i].turns);
  tt_cast_release(&facts->cast);
  tt_names_release(&facts->calls);
  tt_free(facts->events);
  tt_free(facts->machines);
  tt_map_release(&facts->index);
  tt_delays_release(&facts->delays);
  tt_delays_release(&facts->arrivals);
  tt_tally_release(&facts->rets);
  tt_tally_release(&facts->returns);
  tt_tally_release(&facts->next);
  tt_free(facts->turns);
  tt_free(facts->busy);
  tt_free(facts->seen);
  tt_free(facts->born);
}

enum tt_status tt_rules_learn(const struct tt_train_config *config, size_t chains, char **ret_text,
                              size_t *ret_size) {
  struct tt_facts facts = {0};
  enum tt_status status = tt_facts_gather(config, &facts);
  if (status == TT_OK)
    status = tt_facts_derive(&facts, chains, ret_text, ret_size);
  tt_facts_release(&facts);
  return status;
}
