/* Replicas in teams, one a thread, and the twin that their stretches make: short ones, each from
 * the real moment that comes next, so that the twin has each of the trace's situations about as
 * often as the trace. (A model left to itself seldom finds its way into what is rare: from starts
 * 2048 events apart, event types of less than 100 in 100,000 events had 0.5 to 0.8 of their share.)
 * Teams share nothing that they write, and a row of a network's batch doesn't depend on the others:
 * the twin is the same for any number of threads. (With threads that share each product of one
 * batch instead, two made fewer events a second than one: a step's products take microseconds.) */
#include <math.h>
#include <omp.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "generators/merge.h"
#include "generators/system/replicas.h"
#include "generators/system/seams.h"

enum {
  MAX_REPLICAS = 64,
  MAX_SLOTS = 512, /* key/value rings: replicas times CPUs */
  STRETCH = 128,   /* events of each CPU, on average */
  MIN_STRETCH = 512,
  MAX_STRETCH = 4096,
  ROUND = 16384, /* events that a replica makes before they are put together */
  MIN_TEAM = 4,  /* replicas: a product of fewer rows costs as much */
};

struct teams {
  const struct tt_replica_ops *ops;
  const struct tt_system *system; /* of the workload that is made */
  const struct tt_generate_config *config;
  size_t stretch; /* its events */
  /* of a round: replicas, and stretches of each; and the most of both */
  size_t n_replicas, n_stretches, most, most_stretches;
  size_t n;
  struct team {
    struct tt_replicas replicas;
    size_t most; /* its replicas; in a short round fewer take part */
    void *user;
  } * list; /* [n] */
};

/* ---- starts ---- */

/* Puts one of the start's rows of a CPU into the next row of the batch. */
static void add_past(struct tt_replicas *s, struct tt_replica *replica, size_t cpu, size_t at) {
  const int32_t *ids = replica->start->ids + (cpu * TT_SYSTEM_START_ROWS + at) * TT_SYSTEM_INPUTS;
  memcpy(s->ids + s->n * TT_SYSTEM_INPUTS, ids, TT_SYSTEM_INPUTS * sizeof *ids);
  tt_stream_remember(&replica->streams[cpu], (uint16_t)ids[TT_SYSTEM_event]);
  s->n++;
}

/* Puts a start's rows [at] of every CPU that has more than one left into the batch. */
static void gather_past(struct tt_replicas *s, size_t at) {
  s->n = 0;
  for (size_t r = 0; r < s->n_replicas; r++)
    for (size_t cpu = 0; cpu < s->n_cpus; cpu++)
      if (at + 1 < s->replicas[r].start->rows[cpu]) {
        s->rows[s->n] = (struct tt_replica_row){.replica = &s->replicas[r], .cpu = (uint16_t)cpu};
        add_past(s, &s->replicas[r], cpu, at);
      }
}

/* What threads go by at a start: those that come only later, or are gone and so may begin anew,
 * begin with their first name (a process with that of who forked it, and is renamed when it
 * executes another program). */
static void call_threads(const struct tt_cast *cast, const struct tt_system_start *start,
                         struct tt_decoder *decoder) {
  for (uint32_t i = 0; i < cast->n_threads; i++) {
    const struct tt_cast_thread *thread = &cast->threads[i];
    if (start->comm[i] != TT_COMM_NONE)
      tt_decoder_call_it(decoder, i, start->comm[i]);
    else if (thread->n_comms > 0)
      tt_decoder_call_it(decoder, i, thread->comms[0]);
  }
}

static enum tt_status begin_replica(const struct tt_replicas *s, struct tt_replica *replica,
                                    const struct tt_system_start *start, uint64_t stream) {
  const size_t cpus = s->n_cpus;
  tt_decoder_free(replica->decoder);
  replica->decoder = NULL;
  enum tt_status status = tt_decoder_new(&tt_system_markov(s->system)->cast,
                                         s->config->seed ^ stream << 20, &replica->decoder);
  if (status != TT_OK)
    return status;
  replica->start = start;
  replica->last = INT64_MIN;
  replica->made = 0;
  uint32_t *calls = replica->state.calls;
  struct tt_system_past *past = replica->state.past;
  bool *busy = replica->state.busy;
  replica->state = start->state;
  replica->state.calls = calls;
  replica->state.past = past;
  replica->state.busy = busy;
  memcpy(calls, start->state.calls, tt_system_markov(s->system)->cast.n_threads * sizeof *calls);
  memcpy(past, start->state.past, tt_system_markov(s->system)->cast.n_threads * sizeof *past);
  memcpy(busy, start->state.busy, cpus * sizeof *busy);
  call_threads(&tt_system_markov(s->system)->cast, start, replica->decoder);
  memset(replica->streams, 0, cpus * sizeof *replica->streams);
  for (size_t cpu = 0; cpu < cpus; cpu++) {
    memset(&replica->streams[cpu].recent, 0xff, sizeof replica->streams[cpu].recent);
    replica->streams[cpu].ts = -start->age[cpu];
    tt_rng_init(&replica->streams[cpu].rng, s->config->seed, stream << 16 | cpu);
    uint32_t thread = start->thread[cpu];
    if (thread != TT_THREAD_ANY && tt_decoder_may_run(replica->decoder, thread, (uint16_t)cpu))
      tt_decoder_enter(replica->decoder, (uint16_t)cpu, thread);
  }
  return TT_OK;
}

/* Puts the last row of its start into the batch, for every stream. */
static void begin_streams(struct tt_replicas *s) {
  s->n = 0;
  for (size_t r = 0; r < s->n_replicas; r++)
    for (size_t cpu = 0; cpu < s->n_cpus; cpu++) {
      if (!s->active[cpu])
        continue;
      struct tt_replica *replica = &s->replicas[r];
      const size_t rows = replica->start->rows[cpu];
      struct tt_replica_row *row = &s->rows[s->n];
      *row = (struct tt_replica_row){.replica = replica, .cpu = (uint16_t)cpu};
      tt_replica_tell_thread(s, tt_decoder_running(replica->decoder, (uint16_t)cpu), row);
      if (rows > 0) {
        add_past(s, replica, cpu, rows - 1);
        continue;
      }
      int32_t *ids = s->ids + s->n * TT_SYSTEM_INPUTS;
      for (size_t k = 0; k < TT_SYSTEM_INPUTS; k++)
        ids[k] = -1;
      ids[TT_SYSTEM_cpu] = tt_system_cpu_id(s->system, cpu);
      s->n++;
    }
}

/* The starts of the k-th stretches of a round. */
static enum tt_status begin_replicas(const struct teams *teams, struct tt_replicas *s,
                                     uint64_t round, size_t k) {
  const struct tt_system *system = s->system;
  const size_t n = teams->n_replicas * teams->n_stretches;
  for (size_t i = 0; i < s->n_replicas; i++) {
    const size_t at = (s->first + i) * teams->n_stretches + k;
    const uint64_t stream = round * MAX_REPLICAS * teams->most_stretches + at;
    struct tt_rng rng;
    tt_rng_init(&rng, s->config->seed ^ 0x7374617274, stream);
    const size_t start = (at * system->n_starts + tt_rng_below(&rng, system->n_starts)) / n;
    enum tt_status status = begin_replica(s, &s->replicas[i], &system->starts[start], stream);
    if (status != TT_OK)
      return status;
  }
  return TT_OK;
}

/* What happened before the starts, then what is pending. */
static void begin_team(const struct tt_replica_ops *ops, struct team *team) {
  struct tt_replicas *s = &team->replicas;
  if (ops->restart)
    ops->restart(team->user);
  for (size_t at = 0; at < TT_SYSTEM_START_ROWS; at++) {
    gather_past(s, at);
    if (s->n == 0)
      break;
    ops->see(team->user);
  }
  begin_streams(s);
  ops->draw(team->user);
}

/* ---- teams ---- */

/* What logits of events get: the model's rates, and what is asked for. */
static enum tt_status add_boosts(struct tt_replicas *s) {
  const size_t n = s->system->base.events.n;
  s->boost = tt_calloc(n + 1, sizeof *s->boost);
  if (!s->boost)
    return tt_fail(TT_NO_MEMORY, "factors of %zu events", n);
  for (size_t i = 0; i < n; i++)
    s->boost[i] = s->system->rates[i] + (s->config->boost ? logf(s->config->boost[i]) : 0);
  return TT_OK;
}

static enum tt_status init_team(const struct teams *teams, size_t first, size_t end,
                                struct team *team) {
  const struct tt_system *system = teams->system;
  const size_t n_cpus = system->base.cpu_limit, n = end - first, slots = n * n_cpus;
  struct tt_replicas *s = &team->replicas;
  *team = (struct team){.most = n};
  *s = (struct tt_replicas){
      .system = system, .config = teams->config, .first = first, .n_replicas = n, .n_cpus = n_cpus};
  s->active = tt_calloc(n_cpus, sizeof *s->active);
  s->replicas = tt_calloc(n, sizeof *s->replicas);
  s->rows = tt_alloc(slots, sizeof *s->rows);
  s->ids = tt_alloc(slots * TT_SYSTEM_INPUTS, sizeof *s->ids);
  s->drawn = tt_alloc(slots, sizeof *s->drawn);
  s->turns = tt_alloc(tt_system_markov(system)->cast.n_threads, sizeof *s->turns);
  if (!s->active || !s->replicas || !s->rows || !s->ids || !s->drawn || !s->turns)
    return tt_fail(TT_NO_MEMORY, "%zu replicas of %zu CPUs", n, n_cpus);
  if (add_boosts(s) != TT_OK)
    return TT_NO_MEMORY;
  for (size_t i = 0; i < n_cpus * system->base.events.n; i++)
    s->active[i / system->base.events.n] |= system->on_cpu[i];
  for (size_t r = 0; r < n; r++) {
    struct tt_replica *replica = &s->replicas[r];
    enum tt_status status = tt_system_state_init(system, &replica->state);
    if (status != TT_OK)
      return status;
    replica->streams = tt_calloc(n_cpus, sizeof *replica->streams);
    replica->all = tt_alloc(teams->most_stretches * teams->stretch, sizeof *replica->all);
    if (!replica->streams || !replica->all)
      return tt_fail(TT_NO_MEMORY, "a replica of %d events", ROUND);
  }
  return tt_compute_create(TT_PRECISION_AUTO, teams->config->seed, &s->compute);
}

static void release_team(struct team *team) {
  struct tt_replicas *s = &team->replicas;
  for (size_t r = 0; s->replicas && r < team->most; r++) {
    tt_decoder_free(s->replicas[r].decoder);
    tt_system_state_release(&s->replicas[r].state);
    tt_free(s->replicas[r].streams);
    tt_free(s->replicas[r].all);
  }
  tt_compute_free(s->compute);
  tt_free(s->active);
  tt_free(s->boost);
  tt_free(s->replicas);
  tt_free(s->rows);
  tt_free(s->ids);
  tt_free(s->drawn);
  tt_free(s->turns);
}

/* Stretches that make so many events, their seams apart. */
static size_t stretches_of(const struct teams *teams, uint64_t events) {
  const uint64_t n = events / (teams->stretch - TT_SEAM_HEAD) + 1;
  const size_t most = MAX_REPLICAS * teams->most_stretches;
  return n < most ? (size_t)n : most;
}

static size_t stretch_of(const struct tt_system *system) {
  size_t n = 0;
  for (size_t cpu = 0; cpu < system->base.cpu_limit; cpu++)
    n += memchr(system->on_cpu + cpu * system->base.events.n, true, system->base.events.n) != NULL;
  n *= STRETCH;
  return n < MIN_STRETCH ? MIN_STRETCH : n > MAX_STRETCH ? MAX_STRETCH : n;
}

/* As many replicas as the twin's length and the memory of their streams allow. */
static enum tt_status open_teams(struct teams *teams, const void *generator) {
  const size_t n_cpus = teams->system->base.cpu_limit, threads = (size_t)omp_get_max_threads();
  teams->stretch = stretch_of(teams->system);
  teams->most_stretches = ROUND / teams->stretch;
  size_t n = stretches_of(teams, teams->config->events);
  if (n > MAX_REPLICAS)
    n = MAX_REPLICAS;
  if (n * n_cpus > MAX_SLOTS)
    n = MAX_SLOTS / n_cpus + (MAX_SLOTS < n_cpus);
  teams->most = n;
  const size_t n_teams = threads * MIN_TEAM <= n ? threads : n < MIN_TEAM ? 1 : n / MIN_TEAM;
  teams->list = tt_calloc(n_teams, sizeof *teams->list);
  if (!teams->list)
    return tt_fail(TT_NO_MEMORY, "%zu teams of replicas", n_teams);
  enum tt_status status = TT_OK;
  for (; status == TT_OK && teams->n < n_teams; teams->n++) {
    struct team *team = &teams->list[teams->n];
    status = init_team(teams, teams->n * n / n_teams, (teams->n + 1) * n / n_teams, team);
    if (status == TT_OK)
      status = teams->ops->open(generator, &team->replicas, &team->user);
  }
  return status;
}

static void close_teams(struct teams *teams) {
  for (size_t i = 0; i < teams->n; i++) {
    if (teams->list[i].user)
      teams->ops->close(teams->list[i].user);
    release_team(&teams->list[i]);
  }
  tt_free(teams->list);
}

/* ---- all of it ---- */

static bool all_made(const struct tt_replicas *s, size_t n) {
  for (size_t r = 0; r < s->n_replicas; r++)
    if (s->replicas[r].made < n)
      return false;
  return true;
}

/* The k-th stretch of the team's replicas, unless interrupted. */
static void run_team(const struct teams *teams, struct team *team, size_t k) {
  const struct tt_replicas *s = &team->replicas;
  if (s->n_replicas == 0)
    return;
  for (size_t r = 0; r < s->n_replicas; r++)
    s->replicas[r].events = s->replicas[r].all + k * teams->stretch;
  begin_team(teams->ops, team);
  while (!all_made(s, teams->stretch) && !tt_interrupted())
    teams->ops->step(team->user, teams->stretch);
}

/* So many replicas make so many stretches each that the twin is whole, if one round can do it. */
static void plan_round(struct teams *teams, uint64_t events) {
  const size_t n = stretches_of(teams, events);
  const size_t each = (n + teams->most - 1) / teams->most;
  teams->n_stretches = each < teams->most_stretches ? each : teams->most_stretches;
  const size_t replicas = (n + teams->n_stretches - 1) / teams->n_stretches;
  teams->n_replicas = replicas < teams->most ? replicas : teams->most;
  for (size_t i = 0; i < teams->n; i++) {
    struct team *team = &teams->list[i];
    const size_t first = team->replicas.first;
    const size_t n_left = teams->n_replicas > first ? teams->n_replicas - first : 0;
    team->replicas.n_replicas = n_left < team->most ? n_left : team->most;
  }
}

/* The stretches of every replica. `before`: events that are there. */
static enum tt_status run_round(const struct teams *teams, uint64_t round, uint64_t before,
                                double begin) {
  const struct tt_generate_config *config = teams->config;
  for (size_t k = 0; k < teams->n_stretches; k++) {
    for (size_t i = 0; i < teams->n; i++) {
      enum tt_status status = begin_replicas(teams, &teams->list[i].replicas, round, k);
      if (status != TT_OK)
        return status;
    }
#pragma omp parallel for schedule(static, 1)
    for (size_t i = 0; i < teams->n; i++)
      run_team(teams, &teams->list[i], k);
    const uint64_t made = before + (k + 1) * teams->n_replicas * teams->stretch;
    if (tt_interrupted())
      return tt_fail(TT_INTERRUPTED, "interrupted after %llu generated events",
                     (unsigned long long)before);
    if (config->progress && config->progress->report)
      tt_merge_report(config->progress, made < config->events ? made : config->events,
                      config->events, tt_seconds() - begin);
  }
  return TT_OK;
}

static enum tt_status join_round(const struct teams *teams, struct tt_seams *seams) {
  enum tt_status status = TT_OK;
  for (size_t i = 0; i < teams->n; i++)
    for (size_t r = 0; r < teams->list[i].replicas.n_replicas; r++)
      for (size_t k = 0; k < teams->n_stretches && status == TT_OK; k++)
        if (!tt_seams_enough(seams))
          status = tt_seams_add(seams, teams->list[i].replicas.replicas[r].all + k * teams->stretch,
                                teams->stretch);
  return status;
}

static enum tt_status run(struct teams *teams, struct tt_seams *seams) {
  const double begin = tt_seconds();
  enum tt_status status = TT_OK;
  for (uint64_t round = 0; status == TT_OK && !tt_seams_enough(seams); round++) {
    plan_round(teams, seams->left);
    status = run_round(teams, round, teams->config->events - seams->left, begin);
    if (status == TT_OK)
      status = join_round(teams, seams);
  }
  return status == TT_OK ? tt_seams_finish(seams) : status;
}

enum tt_status tt_replicas_generate(const struct tt_system *whole, const void *generator,
                                    const struct tt_replica_ops *ops,
                                    const struct tt_generate_config *config,
                                    const struct tt_event_sink *sink) {
  struct teams teams = {.ops = ops,
                        .system =
                            tt_system_workload(whole, tt_generator_which(&whole->base, config)),
                        .config = config};
  struct tt_seams seams;
  enum tt_status status = tt_seams_init(teams.system, config->events, sink, &seams);
  if (status == TT_OK)
    status = open_teams(&teams, generator);
  if (status == TT_OK)
    status = run(&teams, &seams);
  close_teams(&teams);
  tt_seams_release(&seams);
  return status;
}
