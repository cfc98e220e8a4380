/* The simulation, one event of one CPU at a time in merged order (merge.h). Every thread has a
 * stack of calls and, while it runs, its next event with the own time left until then; interrupts
 * come on top when their time is up, and the thread goes on afterwards. What a time slice's end
 * waits for is the end of an interrupt, or nothing where there are no sources. */
#include <string.h>

#include "base/mem.h"
#include "generators/decode.h"
#include "generators/merge.h"
#include "generators/rules/rules.h"

#define DEPTH 24           /* calls within calls; deeper ones are skipped */
#define DEFAULT_DELAY 1000 /* ns, where no rule has any */
#define NO_EVENT UINT16_MAX

struct call {                   /* open */
  uint32_t machine, definition; /* TT_RULES_NONE: no call but the context's own machine */
  uint32_t state;               /* TT_RULES_NONE: none yet; TT_RULES_END */
  uint32_t item;                /* next of the state */
  bool entered;
  bool running;  /* begins as what was there before the trace */
  int64_t begin; /* own time at its entry */
};

struct context { /* a thread's, or what interrupts a CPU */
  struct call calls[DEPTH];
  uint32_t depth; /* 0: nothing to do */
  uint32_t workload;
  int64_t clock; /* own time */
  uint16_t last; /* event */
  bool pending;  /* `event` is next, `left` from now */
  bool exiting;
  bool fresh; /* was there before the trace and hasn't run since */
  uint16_t event;
  int64_t ret, left;
};

struct source_state {
  int64_t due; /* on the clock it follows, TT_NEVER */
};

struct cpu_state {
  struct tt_rng rng;
  struct context interrupt; /* depth 0: none */
  uint32_t thread;
  bool preempting;
  int64_t now, busy;            /* ns since the twin's begin; of them not idle */
  int64_t slice_end;            /* on `now`; TT_NEVER */
  struct source_state *sources; /* [n_sources] */
};

struct sampler {
  const struct tt_rules *rules;
  const struct tt_generator *generator;
  struct tt_decoder *decoder;
  struct context *threads; /* [n_threads + n_cpus]: the latter where the thread is unknown */
  struct cpu_state *cpus;  /* [n_cpus] */
  uint16_t *streams;       /* which CPU each is */
};

/* ---- drawing ---- */

static int64_t choose(const struct tt_rules *rules, struct tt_rules_range range,
                      struct tt_rng *rng) {
  const struct tt_rules_choice *choices = rules->choices + range.first;
  double at = tt_rng_uniform(rng) * choices[range.n - 1].upto;
  size_t low = 0, high = range.n - 1;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (at < choices[middle].upto)
      high = middle;
    else
      low = middle + 1;
  }
  return choices[low].what;
}

static int64_t draw(const struct tt_rules *rules, uint32_t distribution, struct tt_rng *rng) {
  return tt_distribution_draw(&rules->distributions[distribution], rules->quantiles, rng);
}

/* From the machine's own rules to those of all, each from (previous, event) to event to "*". */
static int64_t draw_delay(const struct tt_rules *rules, uint32_t machine, uint16_t previous,
                          uint16_t event, struct tt_rng *rng) {
  const uint64_t keys[] = {tt_rules_delay_key(machine, previous, event),
                           tt_rules_delay_key(machine, TT_RULES_ANY, event),
                           tt_rules_delay_key(machine, TT_RULES_ANY, TT_RULES_ANY),
                           tt_rules_delay_key(TT_RULES_NONE, previous, event),
                           tt_rules_delay_key(TT_RULES_NONE, TT_RULES_ANY, event),
                           tt_rules_delay_key(TT_RULES_NONE, TT_RULES_ANY, TT_RULES_ANY)};
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    uint32_t distribution = tt_map_get(&rules->delays, keys[i]);
    if (distribution != TT_MAP_NONE)
      return draw(rules, distribution, rng);
  }
  return DEFAULT_DELAY;
}

/* ---- machines ---- */

static void begin_machine(struct context *context, uint32_t machine, bool running) {
  context->calls[0] = (struct call){
      .machine = machine, .definition = TT_RULES_NONE, .state = TT_RULES_NONE, .running = running};
  context->depth = 1;
}

static void set_pending(const struct sampler *sampler, struct context *context, uint32_t machine,
                        uint16_t event, struct tt_rng *rng) {
  uint32_t row = tt_map_get(&sampler->rules->returns, event);
  context->event = event;
  context->ret = row == TT_MAP_NONE ? TT_RET_NONE
                                    : choose(sampler->rules, sampler->rules->return_rows[row], rng);
  context->left = draw_delay(sampler->rules, machine, context->last, event, rng);
  context->pending = true;
}

/* The innermost call ends with its exit event. */
static void leave_call(const struct sampler *sampler, struct context *context, struct tt_rng *rng) {
  const struct tt_rules *rules = sampler->rules;
  const struct call *call = &context->calls[--context->depth];
  const struct tt_rules_call *definition = &rules->calls_def[call->definition];
  set_pending(sampler, context, call->machine, definition->exit, rng);
  if (definition->rets.n)
    context->ret = choose(rules, definition->rets, rng);
  if (definition->duration != TT_RULES_NONE) {
    int64_t duration = draw(rules, definition->duration, rng);
    int64_t done = context->clock - call->begin;
    context->left = duration > done ? duration - done : 0;
  }
}

/* The next state of the innermost call's machine, TT_RULES_END when it is done. */
static uint32_t next_state(const struct tt_rules *rules, struct call *call, struct tt_rng *rng) {
  const struct tt_rules_machine *machine = &rules->machines[call->machine];
  struct tt_rules_range range = call->running && machine->running.n ? machine->running
                                : call->state == TT_RULES_NONE      ? machine->start
                                                               : rules->states[call->state].next;
  call->running = false;
  return range.n ? (uint32_t)choose(rules, range, rng) : TT_RULES_END;
}

/* Makes the context's next event pending; nothing (depth 0) when its own machine has ended and
 * doesn't begin anew. Every turn of the loop enters a state, a call or leaves one, and states have
 * items, so that an event comes. */
static void step(const struct sampler *sampler, struct context *context, bool endless,
                 struct tt_rng *rng) {
  const struct tt_rules *rules = sampler->rules;
  while (!context->pending && context->depth > 0) {
    struct call *call = &context->calls[context->depth - 1];
    if (call->state < TT_RULES_END && call->item < rules->states[call->state].items.n) {
      uint32_t item = rules->items[rules->states[call->state].items.first + call->item++];
      if (item < TT_RULES_CALL) {
        set_pending(sampler, context, call->machine, (uint16_t)item, rng);
        return;
      }
      if (context->depth == DEPTH) {
        call->state = TT_RULES_END; /* so deep: enough of it */
        continue;
      }
      uint32_t id = rules->resolved[context->workload * rules->calls.n + (item - TT_RULES_CALL)];
      const struct tt_rules_call *definition = &rules->calls_def[id];
      context->calls[context->depth++] =
          (struct call){.machine = definition->machine, .definition = id, .state = TT_RULES_NONE};
      set_pending(sampler, context, call->machine, definition->entry, rng);
      return;
    }
    if (call->state != TT_RULES_END) {
      call->state = next_state(rules, call, rng);
      call->item = 0;
    }
    if (call->state == TT_RULES_END) {
      if (call->definition != TT_RULES_NONE)
        leave_call(sampler, context, rng);
      else if (endless)
        call->state = TT_RULES_NONE;
      else
        context->depth = 0;
    }
  }
}

/* ---- threads ---- */

static bool may_enter(const struct sampler *sampler, uint32_t thread, uint16_t cpu,
                      uint32_t leaving) {
  return (thread != leaving || !sampler->rules->cast.switches) &&
         tt_decoder_may_run(sampler->decoder, thread, cpu);
}

/* One of a row's threads that may run, by weight; TT_THREAD_ANY: none. */
static uint32_t choose_free(const struct sampler *sampler, uint64_t key, uint16_t cpu,
                            uint32_t leaving, struct tt_rng *rng) {
  const struct tt_rules *rules = sampler->rules;
  uint32_t id = tt_map_get(&rules->next, key), chosen = TT_THREAD_ANY;
  double total = 0, before = 0;
  if (id == TT_MAP_NONE)
    return TT_THREAD_ANY;
  const struct tt_rules_choice *choices = rules->choices + rules->next_rows[id].first;
  for (size_t i = 0; i < rules->next_rows[id].n; i++) {
    double weight = choices[i].upto - before;
    before = choices[i].upto;
    if (!may_enter(sampler, (uint32_t)choices[i].what, cpu, leaving))
      continue;
    total += weight;
    if (tt_rng_uniform(rng) * total < weight)
      chosen = (uint32_t)choices[i].what;
  }
  return chosen;
}

static uint32_t choose_thread(const struct sampler *sampler, uint16_t cpu, uint32_t leaving,
                              struct tt_rng *rng) {
  const struct tt_rules *rules = sampler->rules;
  if (leaving == TT_THREAD_ANY) {
    uint32_t first = rules->cast.first[cpu];
    if (first != TT_THREAD_ANY && may_enter(sampler, first, cpu, leaving))
      return first;
  }
  const uint64_t keys[] = {
      tt_rules_next_key(cpu, leaving), tt_rules_next_key(TT_RULES_ANY, leaving),
      tt_rules_next_key(cpu, TT_THREAD_ANY), tt_rules_next_key(TT_RULES_ANY, TT_THREAD_ANY)};
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    uint32_t thread = choose_free(sampler, keys[i], cpu, leaving, rng);
    if (thread != TT_THREAD_ANY)
      return thread;
  }
  uint32_t idle = tt_cast_find(&rules->cast, 0, cpu);
  if (idle != TT_THREAD_ANY && may_enter(sampler, idle, cpu, leaving))
    return idle;
  for (uint32_t i = 0; i < rules->cast.n_threads; i++) /* no rule, no idle thread: whoever can */
    if (may_enter(sampler, i, cpu, leaving))
      return i;
  return TT_THREAD_ANY;
}

static bool is_idle(const struct sampler *sampler, const struct cpu_state *cpu) {
  return cpu->thread != TT_THREAD_ANY && sampler->rules->cast.threads[cpu->thread].tid == 0;
}

/* Puts the next thread on an open CPU. */
static void settle(struct sampler *sampler, uint16_t id) {
  const struct tt_rules *rules = sampler->rules;
  struct cpu_state *cpu = &sampler->cpus[id];
  if (!tt_decoder_open(sampler->decoder, id))
    return;
  uint32_t leaving = tt_decoder_running(sampler->decoder, id);
  uint32_t thread = choose_thread(sampler, id, leaving, &cpu->rng);
  if (thread == TT_THREAD_ANY) /* everyone runs elsewhere */
    thread = leaving != TT_THREAD_ANY && tt_decoder_may_run(sampler->decoder, leaving, id)
                 ? leaving
                 : TT_THREAD_ANY;
  bool goes_on = thread == cpu->thread && !rules->cast.switches;
  if (thread != TT_THREAD_ANY)
    tt_decoder_enter(sampler->decoder, id, thread);
  cpu->thread = thread;
  if (goes_on)
    return;
  uint32_t comm =
      thread == TT_THREAD_ANY ? TT_COMM_NONE : tt_decoder_comm(sampler->decoder, thread);
  uint32_t slice = rules->workloads[comm == TT_COMM_NONE ? 0 : rules->workload_of[comm]].slice;
  int64_t length =
      slice == TT_RULES_NONE || is_idle(sampler, cpu) ? TT_NEVER : draw(rules, slice, &cpu->rng);
  cpu->slice_end = length < TT_NEVER - cpu->now ? cpu->now + length : TT_NEVER;
}

static struct context *context_of(struct sampler *sampler, uint16_t id) {
  uint32_t thread = sampler->cpus[id].thread;
  bool known = thread != TT_THREAD_ANY && sampler->rules->cast.threads[thread].tid != TT_TID_NONE;
  return &sampler->threads[known ? thread : sampler->rules->cast.n_threads + id];
}

/* The thread's next event is pending afterwards. */
static void step_thread(struct sampler *sampler, struct cpu_state *cpu, struct context *context) {
  const struct tt_rules *rules = sampler->rules;
  uint32_t comm =
      cpu->thread == TT_THREAD_ANY ? TT_COMM_NONE : tt_decoder_comm(sampler->decoder, cpu->thread);
  uint32_t workload = comm == TT_COMM_NONE ? 0 : rules->workload_of[comm];
  if (context->depth == 0 || (context->depth == 1 && context->workload != workload)) {
    uint32_t user = rules->workloads[workload].user;
    if (user == TT_RULES_NONE)
      user = rules->workloads[0].user;
    if (user == TT_RULES_NONE) /* no thread for this CPU */
      user = rules->any_user;
    context->workload = workload;
    begin_machine(context, user, context->fresh);
    context->fresh = false;
  }
  step(sampler, context, true, &cpu->rng);
}

/* ---- CPUs ---- */

/* The source whose interrupt is next, and the time until then; NULL: none before TT_NEVER. */
static struct source_state *next_source(const struct sampler *sampler, const struct cpu_state *cpu,
                                        int64_t *ret_left) {
  struct source_state *next = NULL;
  bool idle = is_idle(sampler, cpu);
  *ret_left = TT_NEVER;
  for (size_t i = 0; i < sampler->rules->n_sources; i++) {
    const struct tt_rules_source *source = &sampler->rules->sources[i];
    struct source_state *state = &cpu->sources[i];
    if (state->due == TT_NEVER || (idle && !source->idle))
      continue;
    int64_t clock = source->idle ? cpu->now : cpu->busy;
    int64_t left = state->due > clock ? state->due - clock : 0;
    if (left < *ret_left) {
      *ret_left = left;
      next = state;
    }
  }
  return next;
}

static void schedule_source(const struct sampler *sampler, uint16_t id, size_t i) {
  const struct tt_rules_source *source = &sampler->rules->sources[i];
  struct cpu_state *cpu = &sampler->cpus[id];
  int64_t clock = source->idle ? cpu->now : cpu->busy;
  int64_t wait = source->every[id] == TT_RULES_NONE
                     ? TT_NEVER
                     : draw(sampler->rules, source->every[id], &cpu->rng);
  cpu->sources[i].due = wait < TT_NEVER - clock ? clock + wait : TT_NEVER;
}

static void begin_interrupt(struct sampler *sampler, uint16_t id, uint32_t machine) {
  struct cpu_state *cpu = &sampler->cpus[id];
  cpu->interrupt.last = NO_EVENT;
  cpu->interrupt.clock = 0;
  cpu->interrupt.workload = 0;
  begin_machine(&cpu->interrupt, machine, false);
  step(sampler, &cpu->interrupt, false, &cpu->rng);
}

static enum tt_status hand_over(struct sampler *sampler, uint16_t id, struct context *context,
                                struct tt_sample *ret) {
  struct cpu_state *cpu = &sampler->cpus[id];
  const struct tt_cast_event *what = &sampler->rules->cast.events[context->event];
  int64_t dt = context->left < TT_NEVER - cpu->now ? context->left : TT_NEVER - cpu->now;
  *ret = (struct tt_sample){.dt = dt,
                            .ret = context->ret,
                            .comm = TT_COMM_NONE,
                            .thread = TT_THREAD_ANY,
                            .bucket = -1,
                            .event = context->event,
                            .cpu = id};
  bool idle = is_idle(sampler, cpu);
  cpu->now += dt;
  if (!idle)
    cpu->busy += dt;
  context->clock = context->clock < TT_NEVER - dt ? context->clock + dt : TT_NEVER;
  context->last = context->event;
  context->pending = false;
  struct call *call = &context->calls[context->depth ? context->depth - 1 : 0];
  if (context->depth > 0 && !call->entered) {
    call->entered = true;
    call->begin = context->clock;
  }
  if (what->role == TT_ROLE_THREAD_EXIT)
    context->exiting = true;
  if (what->role != TT_ROLE_SWITCH)
    return TT_OK;
  if (context == &cpu->interrupt) /* preempted: the thread goes on where it is when it is back */
    context->depth = 0;
  else if (context->exiting)
    *context = (struct context){.last = context->event};
  cpu->preempting = false;
  return TT_OK;
}

static enum tt_status next(void *user, size_t which, struct tt_sample *ret) {
  struct sampler *sampler = user;
  const struct tt_rules *rules = sampler->rules;
  uint16_t id = sampler->streams[which];
  struct cpu_state *cpu = &sampler->cpus[id];
  settle(sampler, id);
  if (cpu->interrupt.depth > 0) {
    step(sampler, &cpu->interrupt, false, &cpu->rng);
    if (cpu->interrupt.pending)
      return hand_over(sampler, id, &cpu->interrupt, ret);
    bool over = !cpu->preempting && cpu->now >= cpu->slice_end && rules->preempt != TT_RULES_NONE;
    if (over) {
      uint16_t last = cpu->interrupt.last;
      begin_interrupt(sampler, id, rules->preempt);
      cpu->preempting = true;
      cpu->slice_end = TT_NEVER;
      cpu->interrupt.left =
          draw_delay(rules, rules->preempt, last, cpu->interrupt.event, &cpu->rng);
      return hand_over(sampler, id, &cpu->interrupt, ret);
    }
    cpu->preempting = false;
  }
  struct context *context = context_of(sampler, id);
  step_thread(sampler, cpu, context);
  int64_t until;
  struct source_state *source = next_source(sampler, cpu, &until);
  bool slice_alone =
      rules->n_sources == 0 && rules->preempt != TT_RULES_NONE && cpu->slice_end < TT_NEVER;
  if (slice_alone)
    until = cpu->slice_end > cpu->now ? cpu->slice_end - cpu->now : 0;
  if (until >= context->left)
    return hand_over(sampler, id, context, ret);
  context->left -= until;
  context->clock += until;
  if (slice_alone) {
    begin_interrupt(sampler, id, rules->preempt);
    cpu->preempting = true;
    cpu->slice_end = TT_NEVER;
  } else {
    size_t i = (size_t)(source - cpu->sources);
    begin_interrupt(sampler, id, rules->sources[i].does);
  }
  cpu->interrupt.left = until;
  enum tt_status status = hand_over(sampler, id, &cpu->interrupt, ret);
  if (!slice_alone)
    schedule_source(sampler, id, (size_t)(source - cpu->sources));
  return status;
}

enum tt_status tt_rules_generate(const struct tt_generator *generator,
                                 const struct tt_generate_config *config,
                                 const struct tt_event_sink *sink) {
  const struct tt_rules *rules = &((const struct tt_rules_model *)generator)->rules;
  struct sampler sampler = {.rules = rules, .generator = generator};
  size_t n_cpus = generator->cpu_limit, n_streams = 0;
  enum tt_status status;
  int64_t *begin = tt_alloc(n_cpus, sizeof *begin);
  sampler.threads = tt_calloc(rules->cast.n_threads + n_cpus, sizeof *sampler.threads);
  sampler.cpus = tt_calloc(n_cpus, sizeof *sampler.cpus);
  sampler.streams = tt_alloc(n_cpus, sizeof *sampler.streams);
  if (!begin || !sampler.threads || !sampler.cpus || !sampler.streams) {
    status = tt_fail(TT_NO_MEMORY, "%zu threads", rules->cast.n_threads);
    goto cleanup;
  }
  for (size_t i = 0; i < rules->cast.n_threads + n_cpus; i++)
    sampler.threads[i] = (struct context){
        .last = NO_EVENT, .fresh = i >= rules->cast.n_threads || !rules->newborn[i]};
  for (size_t i = 0; i < n_cpus; i++) {
    struct cpu_state *cpu = &sampler.cpus[i];
    begin[i] = generator->begin_ns;
    tt_rng_init(&cpu->rng, config->seed, i);
    cpu->thread = TT_THREAD_ANY;
    cpu->slice_end = TT_NEVER;
    cpu->sources = tt_calloc(rules->n_sources, sizeof *cpu->sources);
    if (!cpu->sources) {
      status = tt_fail(TT_NO_MEMORY, "%zu CPUs", n_cpus);
      goto cleanup;
    }
    for (size_t k = 0; k < rules->n_sources; k++)
      schedule_source(&sampler, (uint16_t)i, k);
    if (rules->takes_part[i])
      sampler.streams[n_streams++] = (uint16_t)i;
  }
  status = tt_decoder_new(&rules->cast, config->seed, &sampler.decoder);
  if (status != TT_OK)
    goto cleanup;
  struct tt_sample_source source = {&sampler, n_streams, next};
  status = tt_merge_run(&source, begin, sampler.decoder, config->events, config->progress, sink);
cleanup:
  tt_decoder_free(sampler.decoder);
  for (size_t i = 0; sampler.cpus && i < n_cpus; i++)
    tt_free(sampler.cpus[i].sources);
  tt_free(sampler.cpus);
  tt_free(sampler.threads);
  tt_free(sampler.streams);
  tt_free(begin);
  return status;
}
