#include "generators/decode.h"

#include <string.h>

#include "base/mem.h"

#define N_BUCKETS 256
#define NO_EVENT UINT16_MAX

struct cpu_state {
  uint32_t thread; /* runs here, or ran last where open; TT_THREAD_ANY before the first */
  bool open;       /* the next event chooses */
  bool stays;      /* the one after the next does */
};

struct thread_state {
  int32_t on_cpu;  /* -1: nowhere */
  uint16_t inside; /* the entry of the system call it is in; NO_EVENT: none */
  uint8_t place;   /* in its list of comms */
  bool inside_known;
  bool exiting; /* its next switch is its last: it begins anew then */
};

struct group { /* threads with something in common, for drawing by turns */
  const uint32_t *threads;
  size_t n;
};

struct tt_decoder {
  const struct tt_cast *cast;
  struct tt_rng rng;
  struct cpu_state *cpus;       /* [n_cpus] */
  struct thread_state *threads; /* [n_threads] */
  uint32_t *by_bucket;          /* [n_threads] sorted by bucket */
  size_t bucket_first[N_BUCKETS + 1];
  uint32_t *by_comm;  /* sorted by comm, one entry for each comm a thread ever had */
  size_t *comm_first; /* [n_comms + 1] */
  size_t n_comms;     /* highest comm id + 1 */
  uint32_t *idle;     /* [n_cpus] the CPU's idle thread, or TT_THREAD_ANY */
  uint32_t *everyone; /* [n_threads] 0, 1, 2, ... */
};

static int bucket_of(int32_t tid) {
  return tid == TT_TID_NONE ? 0 : (int)((uint32_t)tid % N_BUCKETS);
}

/* Counting sort of the threads into buckets and comms. */
static void sort_threads(struct tt_decoder *decoder) {
  const struct tt_cast *cast = decoder->cast;
  for (size_t i = 0; i < cast->n_threads; i++) {
    const struct tt_cast_thread *thread = &cast->threads[i];
    decoder->bucket_first[bucket_of(thread->tid) + 1]++;
    for (uint32_t k = 0; k < thread->n_comms; k++)
      decoder->comm_first[thread->comms[k] + 1]++;
  }
  for (size_t i = 0; i < N_BUCKETS; i++)
    decoder->bucket_first[i + 1] += decoder->bucket_first[i];
  for (size_t i = 0; i < decoder->n_comms; i++)
    decoder->comm_first[i + 1] += decoder->comm_first[i];
  /* filled from the back, so that `first` ends up where it should */
  size_t bucket_end[N_BUCKETS];
  memcpy(bucket_end, decoder->bucket_first + 1, sizeof bucket_end);
  for (size_t i = cast->n_threads; i-- > 0;) {
    const struct tt_cast_thread *thread = &cast->threads[i];
    decoder->by_bucket[--bucket_end[bucket_of(thread->tid)]] = (uint32_t)i;
    decoder->everyone[i] = (uint32_t)i;
    if (thread->cpu >= 0)
      decoder->idle[thread->cpu] = (uint32_t)i;
  }
}

static void sort_comms(struct tt_decoder *decoder, size_t *end) {
  const struct tt_cast *cast = decoder->cast;
  memcpy(end, decoder->comm_first + 1, decoder->n_comms * sizeof *end);
  for (size_t i = cast->n_threads; i-- > 0;)
    for (uint32_t k = 0; k < cast->threads[i].n_comms; k++)
      decoder->by_comm[--end[cast->threads[i].comms[k]]] = (uint32_t)i;
}

enum tt_status tt_decoder_new(const struct tt_cast *cast, uint64_t seed, struct tt_decoder **ret) {
  size_t n_comms = 0, n_pairs = 0, *end = NULL;
  for (size_t i = 0; i < cast->n_threads; i++)
    for (uint32_t k = 0; k < cast->threads[i].n_comms; k++, n_pairs++)
      if (cast->threads[i].comms[k] >= n_comms)
        n_comms = (size_t)cast->threads[i].comms[k] + 1;
  struct tt_decoder *decoder = tt_calloc(1, sizeof *decoder);
  if (!decoder)
    goto no_memory;
  decoder->cast = cast;
  decoder->n_comms = n_comms;
  tt_rng_init(&decoder->rng, seed, UINT64_C(0xdec0de));
  decoder->cpus = tt_calloc(cast->n_cpus, sizeof *decoder->cpus);
  decoder->threads = tt_calloc(cast->n_threads, sizeof *decoder->threads);
  decoder->by_bucket = tt_alloc(cast->n_threads, sizeof *decoder->by_bucket);
  decoder->everyone = tt_alloc(cast->n_threads, sizeof *decoder->everyone);
  decoder->by_comm = tt_alloc(n_pairs, sizeof *decoder->by_comm);
  decoder->comm_first = tt_calloc(n_comms + 1, sizeof *decoder->comm_first);
  decoder->idle = tt_alloc(cast->n_cpus, sizeof *decoder->idle);
  end = tt_alloc(n_comms, sizeof *end);
  if (!decoder->cpus || !decoder->threads || !decoder->by_bucket || !decoder->everyone ||
      !decoder->by_comm || !decoder->comm_first || !decoder->idle || !end)
    goto no_memory;
  for (size_t i = 0; i < cast->n_cpus; i++) {
    decoder->cpus[i] = (struct cpu_state){.thread = TT_THREAD_ANY, .open = true};
    decoder->idle[i] = TT_THREAD_ANY;
  }
  for (size_t i = 0; i < cast->n_threads; i++)
    decoder->threads[i] = (struct thread_state){
        .on_cpu = -1, .inside = NO_EVENT, .place = (uint8_t)cast->threads[i].usual};
  sort_threads(decoder);
  sort_comms(decoder, end);
  tt_free(end);
  *ret = decoder;
  return TT_OK;
no_memory:
  tt_free(end);
  tt_decoder_free(decoder);
  return tt_fail(TT_NO_MEMORY, "a decoder for %zu threads", cast->n_threads);
}

void tt_decoder_free(struct tt_decoder *decoder) {
  if (!decoder)
    return;
  tt_free(decoder->cpus);
  tt_free(decoder->threads);
  tt_free(decoder->by_bucket);
  tt_free(decoder->everyone);
  tt_free(decoder->by_comm);
  tt_free(decoder->comm_first);
  tt_free(decoder->idle);
  tt_free(decoder);
}

bool tt_decoder_open(const struct tt_decoder *decoder, uint16_t cpu) {
  return decoder->cpus[cpu].open;
}

uint32_t tt_decoder_running(const struct tt_decoder *decoder, uint16_t cpu) {
  return decoder->cpus[cpu].thread;
}

bool tt_decoder_may_run(const struct tt_decoder *decoder, uint32_t thread, uint16_t cpu) {
  const struct tt_cast_thread *cast = &decoder->cast->threads[thread];
  if (cast->tid == TT_TID_NONE)
    return true;
  return cast->tid == 0 ? cast->cpu == cpu : decoder->threads[thread].on_cpu < 0;
}

void tt_decoder_enter(struct tt_decoder *decoder, uint16_t cpu, uint32_t thread) {
  TT_ASSERT(decoder->cpus[cpu].open && tt_decoder_may_run(decoder, thread, cpu));
  decoder->cpus[cpu] = (struct cpu_state){.thread = thread, .open = false};
  decoder->threads[thread].on_cpu = cpu;
}

void tt_decoder_stay(struct tt_decoder *decoder, uint16_t cpu) {
  tt_decoder_enter(decoder, cpu, decoder->cpus[cpu].thread);
  decoder->cpus[cpu].stays = true;
}

bool tt_decoder_stays(const struct tt_decoder *decoder, uint16_t cpu) {
  return decoder->cpus[cpu].stays;
}

uint16_t tt_decoder_inside(const struct tt_decoder *decoder, uint32_t thread, bool *ret_known) {
  *ret_known = decoder->threads[thread].inside_known;
  return decoder->threads[thread].inside;
}

uint32_t tt_decoder_comm(const struct tt_decoder *decoder, uint32_t thread) {
  const struct tt_cast_thread *cast = &decoder->cast->threads[thread];
  return cast->n_comms ? cast->comms[decoder->threads[thread].place] : TT_COMM_NONE;
}

void tt_decoder_call_it(struct tt_decoder *decoder, uint32_t thread, uint32_t comm) {
  const struct tt_cast_thread *cast = &decoder->cast->threads[thread];
  for (uint32_t i = 0; i < cast->n_comms; i++)
    if (cast->comms[i] == comm)
      decoder->threads[thread].place = (uint8_t)i;
}

/* ---- choosing who runs ---- */

struct wish {
  uint16_t cpu;
  uint32_t leaving; /* not this one; TT_THREAD_ANY: no such */
  uint32_t comm;    /* TT_COMM_NONE: whatever */
  int bucket;       /* -1: whatever */
};

static bool grants(const struct tt_decoder *decoder, uint32_t thread, const struct wish *wish) {
  const struct tt_cast_thread *cast = &decoder->cast->threads[thread];
  return thread != wish->leaving && cast->tid != TT_TID_NONE &&
         tt_decoder_may_run(decoder, thread, wish->cpu) &&
         (wish->comm == TT_COMM_NONE || tt_decoder_comm(decoder, thread) == wish->comm) &&
         (wish->bucket < 0 || bucket_of(cast->tid) == wish->bucket);
}

/* One of the group that grants the wish, in proportion to turns; TT_THREAD_ANY when none does. */
static uint32_t draw(struct tt_decoder *decoder, struct group group, const struct wish *wish) {
  uint64_t total = 0;
  for (size_t i = 0; i < group.n; i++)
    if (grants(decoder, group.threads[i], wish))
      total += decoder->cast->threads[group.threads[i]].turns + 1;
  if (total == 0)
    return TT_THREAD_ANY;
  uint64_t at = tt_rng_below(&decoder->rng, total);
  for (size_t i = 0; i < group.n; i++)
    if (grants(decoder, group.threads[i], wish)) {
      uint64_t turns = decoder->cast->threads[group.threads[i]].turns + 1;
      if (at < turns)
        return group.threads[i];
      at -= turns;
    }
  TT_ASSERT(false && "unreachable: the weights add up to the total");
  return TT_THREAD_ANY;
}

static uint32_t choose(struct tt_decoder *decoder, const struct tt_sample *sample) {
  const struct cpu_state *cpu = &decoder->cpus[sample->cpu];
  uint32_t leaving = decoder->cast->switches ? cpu->thread : TT_THREAD_ANY;
  if (sample->thread != TT_THREAD_ANY) {
    TT_ASSERT(sample->thread < decoder->cast->n_threads);
    if (tt_decoder_may_run(decoder, sample->thread, sample->cpu))
      return sample->thread;
  }
  bool has_comm = sample->comm < decoder->n_comms, has_bucket = sample->bucket >= 0;
  struct group bucket = {0}, comm = {0};
  if (has_bucket) {
    size_t b = (size_t)sample->bucket % N_BUCKETS;
    bucket = (struct group){decoder->by_bucket + decoder->bucket_first[b],
                            decoder->bucket_first[b + 1] - decoder->bucket_first[b]};
  }
  if (has_comm) {
    size_t first = decoder->comm_first[sample->comm];
    comm = (struct group){decoder->by_comm + first, decoder->comm_first[sample->comm + 1] - first};
  }
  struct wish wish = {sample->cpu, leaving, sample->comm, sample->bucket};
  uint32_t thread = TT_THREAD_ANY;
  if (has_bucket && has_comm)
    thread = draw(decoder, bucket, &wish);
  if (thread == TT_THREAD_ANY && has_comm) {
    wish.bucket = -1;
    thread = draw(decoder, comm, &wish);
  }
  if (thread == TT_THREAD_ANY && has_bucket) {
    wish = (struct wish){sample->cpu, leaving, TT_COMM_NONE, sample->bucket};
    thread = draw(decoder, bucket, &wish);
  }
  if (thread == TT_THREAD_ANY && cpu->thread == TT_THREAD_ANY) {
    thread = decoder->cast->first[sample->cpu];
    if (thread != TT_THREAD_ANY && !tt_decoder_may_run(decoder, thread, sample->cpu))
      thread = TT_THREAD_ANY;
  }
  if (thread == TT_THREAD_ANY) {
    wish = (struct wish){sample->cpu, leaving, TT_COMM_NONE, -1};
    thread = draw(decoder, (struct group){decoder->everyone, decoder->cast->n_threads}, &wish);
  }
  if (thread != TT_THREAD_ANY)
    return thread;
  /* everyone runs elsewhere: idle, else whoever ran, else the unknown */
  if (decoder->idle[sample->cpu] != TT_THREAD_ANY)
    return decoder->idle[sample->cpu];
  if (cpu->thread != TT_THREAD_ANY && tt_decoder_may_run(decoder, cpu->thread, sample->cpu))
    return cpu->thread;
  return tt_cast_find(decoder->cast, TT_TID_NONE, sample->cpu);
}

/* ---- events ---- */

static int64_t choose_ret(struct tt_decoder *decoder, const struct tt_sample *sample) {
  const struct tt_cast_event *event = &decoder->cast->events[sample->event];
  if (event->n_rets == 0)
    return TT_RET_NONE;
  if (sample->ret != TT_RET_DRAW && (sample->ret != TT_RET_NONE || event->returns < 1))
    return sample->ret;
  return event->rets[tt_rng_below(&decoder->rng, event->n_rets)];
}

/* What the event does to the thread that was running and to its CPU. */
static void follow(struct tt_decoder *decoder, const struct tt_sample *sample, uint32_t running) {
  const struct tt_cast_event *event = &decoder->cast->events[sample->event];
  struct cpu_state *cpu = &decoder->cpus[sample->cpu];
  cpu->open = event->role == TT_ROLE_SWITCH || !decoder->cast->switches || cpu->stays;
  cpu->stays = false;
  if (running == TT_THREAD_ANY)
    return;
  struct thread_state *thread = &decoder->threads[running];
  const struct tt_cast_thread *cast = &decoder->cast->threads[running];
  switch ((enum tt_role)event->role) {
  case TT_ROLE_ENTRY:
    thread->inside = sample->event;
    thread->inside_known = true;
    break;
  case TT_ROLE_EXIT:
    thread->inside = NO_EVENT;
    thread->inside_known = true;
    break;
  case TT_ROLE_THREAD_EXIT:
    thread->exiting = true;
    thread->inside = NO_EVENT;
    thread->inside_known = false;
    break;
  case TT_ROLE_SWITCH:
  case TT_ROLE_OTHER:
    break;
  }
  if ((uint32_t)thread->place + 1 < cast->n_comms && event->rename > 0 &&
      tt_rng_uniform(&decoder->rng) < (double)event->rename)
    thread->place++;
  if (cpu->open) {
    thread->on_cpu = -1;
    if (thread->exiting && event->role == TT_ROLE_SWITCH)
      *thread = (struct thread_state){.on_cpu = -1, .inside = NO_EVENT};
  }
}

void tt_decoder_next(struct tt_decoder *decoder, int64_t ts, const struct tt_sample *sample,
                     struct tt_event *ret) {
  TT_ASSERT(sample->cpu < decoder->cast->n_cpus && sample->event < decoder->cast->n_events);
  struct cpu_state *cpu = &decoder->cpus[sample->cpu];
  if (cpu->open) {
    cpu->thread = choose(decoder, sample);
    cpu->open = false;
    if (cpu->thread != TT_THREAD_ANY)
      decoder->threads[cpu->thread].on_cpu = sample->cpu;
  }
  uint32_t running = cpu->thread;
  *ret = (struct tt_event){
      .ts = ts,
      .ret = choose_ret(decoder, sample),
      .tid = running == TT_THREAD_ANY ? TT_TID_NONE : decoder->cast->threads[running].tid,
      .comm = running == TT_THREAD_ANY ? TT_COMM_NONE : tt_decoder_comm(decoder, running),
      .event = sample->event,
      .cpu = sample->cpu,
  };
  follow(decoder, sample, running);
}
