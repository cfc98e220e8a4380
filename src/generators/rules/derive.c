/* Facts -> rule file: machines that were seen too little share those of "*"; chains; counts become
 * weights; samples of times become few quantiles. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/output.h"
#include "dataset/json.h"
#include "generators/rules/learn.h"
#include "generators/rules/rules.h"
#include "generators/rules/text.h"

#define LEAST_TOKENS 100  /* for a machine of its own */
#define LEAST_REPEATS 8   /* for a chain */
#define LEAST_DELAYS 32   /* for times of its own */
#define LEAST_PREEMPTED 8 /* for a time slice of its own */
#define LEAST_ARRIVALS 16 /* for more than a mean */
#define MOST_RETS 256     /* return values of one call */
#define SLICE_QUANTILES 16
#define ANY UINT16_MAX

struct deriver {
  struct tt_facts *facts;
  const struct tt_names *events, *comms;
  size_t chains;    /* most per machine */
  uint32_t *counts; /* [n_machines] tokens before chaining */
  uint64_t *seen;   /* [delays.n] how often each kind of delay was seen */
  json_t **delays;  /* [n_machines] of each machine, NULL: none of its own */
  json_t *common_delays;
  bool failed; /* memory is short */
};

static void set(struct deriver *deriver, json_t *object, const char *key, json_t *value) {
  if (!key)
    json_decref(value);
  if (!key || json_object_set_new(object, key, value) != 0)
    deriver->failed = true;
}

static json_t *child(struct deriver *deriver, json_t *object, const char *key) {
  json_t *found = json_object_get(object, key);
  if (!found) {
    set(deriver, object, key, json_object());
    found = json_object_get(object, key);
  }
  return found;
}

/* ---- machines ---- */

static char *token_name(const struct deriver *deriver, uint32_t token) {
  if (token == TT_TOKEN_START)
    return tt_strdup("start");
  if (token == TT_TOKEN_END)
    return tt_strdup("end");
  if (token == TT_TOKEN_ENTER)
    return tt_strdup("running");
  if (token >= TT_TOKEN_CHAIN)
    return tt_format("#%u", token - TT_TOKEN_CHAIN + 1);
  return token >= TT_RULES_CALL
             ? tt_format("@%s", deriver->facts->calls.names[token - TT_RULES_CALL])
             : tt_strdup(deriver->events->names[token]);
}

static void set_count(struct deriver *deriver, json_t *object, uint32_t token, uint64_t count) {
  char *name = token_name(deriver, token);
  set(deriver, object, name, json_integer((json_int_t)count));
  tt_free(name);
}

static void spell(struct deriver *deriver, const struct tt_chains *chains, uint32_t token,
                  json_t *list) {
  if (token >= TT_TOKEN_CHAIN) {
    spell(deriver, chains, chains->chains[token - TT_TOKEN_CHAIN].left, list);
    spell(deriver, chains, chains->chains[token - TT_TOKEN_CHAIN].right, list);
    return;
  }
  char *name = token_name(deriver, token);
  if (!name || json_array_append_new(list, json_string(name)) != 0)
    deriver->failed = true;
  tt_free(name);
}

/* Who follows whom (rows by token), and how often a sequence was cut off after a token. */
static enum tt_status count_tokens(const struct tt_corpus *corpus, struct tt_tally *ret_pairs,
                                   struct tt_tally *ret_cuts) {
  enum tt_status status = TT_OK;
  for (size_t i = 1; i < corpus->n && status == TT_OK; i++) {
    uint32_t a = corpus->tokens[i - 1], b = corpus->tokens[i];
    if (b == TT_TOKEN_CUT)
      status = tt_tally_add(ret_cuts, a, 0);
    else if (a != TT_TOKEN_END && a != TT_TOKEN_CUT && b != TT_TOKEN_START && b != TT_TOKEN_ENTER)
      status = tt_tally_add(ret_pairs, a, b);
  }
  if (status == TT_OK)
    status = tt_tally_finish(ret_pairs);
  return status == TT_OK ? tt_tally_finish(ret_cuts) : status;
}

/* Whether the token itself lets the machine out: its end, a call, or a switch to another thread. */
static bool lets_out(const struct deriver *deriver, const struct tt_chains *chains,
                     uint32_t token) {
  if (token >= TT_TOKEN_CHAIN && token < TT_TOKEN_START)
    return lets_out(deriver, chains, chains->chains[token - TT_TOKEN_CHAIN].left) ||
           lets_out(deriver, chains, chains->chains[token - TT_TOKEN_CHAIN].right);
  return token == TT_TOKEN_END || (token >= TT_RULES_CALL && token < TT_TOKEN_CHAIN) ||
         (token < TT_RULES_CALL && deriver->facts->cast.events[token].role == TT_ROLE_SWITCH);
}

/* ret[row]: no way leads from that token to one that lets out. Such are loops that the trace ended
 * in: a machine would never leave them. */
static void find_traps(const struct deriver *deriver, const struct tt_chains *chains,
                       const struct tt_tally *pairs, bool *ret) {
  for (size_t i = 0; i < pairs->n_rows; i++)
    ret[i] = !lets_out(deriver, chains, (uint32_t)pairs->keys[i]);
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t i = 0; i < pairs->n_rows; i++) {
      struct tt_tally_row row = tt_tally_row(pairs, i);
      for (size_t k = 0; k < row.n && ret[i]; k++) {
        uint32_t to = tt_map_get(&pairs->index, (uint64_t)row.values[k]);
        if (to == TT_MAP_NONE || !ret[to]) { /* without successors it ends */
          ret[i] = false;
          changed = true;
        }
      }
    }
  }
}

static bool only_ends(const struct tt_tally_row *row) {
  return row->n == 1 && row->values[0] == TT_TOKEN_END;
}

static void name_chains(struct deriver *deriver, const struct tt_corpus *corpus,
                        const struct tt_chains *chains, json_t *object) {
  bool *used = tt_calloc(chains->n, sizeof *used);
  for (size_t i = 0; used && i < corpus->n; i++)
    if (corpus->tokens[i] >= TT_TOKEN_CHAIN && corpus->tokens[i] < TT_TOKEN_START)
      used[corpus->tokens[i] - TT_TOKEN_CHAIN] = true;
  for (size_t k = 0; used && k < chains->n; k++) {
    if (!used[k])
      continue;
    char *name = token_name(deriver, TT_TOKEN_CHAIN + (uint32_t)k);
    json_t *list = json_array();
    spell(deriver, chains, TT_TOKEN_CHAIN + (uint32_t)k, list);
    set(deriver, object, name, list);
    tt_free(name);
  }
  deriver->failed |= !used;
  tt_free(used);
}

/* What a machine starts with where no sequence of it was seen from the beginning: anything. */
static void start_anywhere(struct deriver *deriver, const struct tt_corpus *corpus, json_t *next) {
  struct tt_tally all = {0};
  json_t *start = child(deriver, next, "start");
  enum tt_status status = TT_OK;
  for (size_t i = 0; i < corpus->n && status == TT_OK; i++)
    if (corpus->tokens[i] < TT_TOKEN_START)
      status = tt_tally_add(&all, 0, corpus->tokens[i]);
  if (status == TT_OK)
    status = tt_tally_finish(&all);
  struct tt_tally_row row = tt_tally_find(&all, 0);
  for (size_t k = 0; k < row.n; k++)
    set_count(deriver, start, (uint32_t)row.values[k], tt_tally_at(&row, k));
  deriver->failed |= status != TT_OK;
  tt_tally_release(&all);
}

/* Adds "chains" and "next" to `object`; nothing when the machine only ever ends. */
static enum tt_status derive_machine(struct deriver *deriver, struct tt_corpus *corpus,
                                     bool endless, json_t *object) {
  struct tt_chains chains = {0};
  struct tt_tally pairs = {0}, cuts = {0};
  bool *traps = NULL;
  enum tt_status status = tt_corpus_chain(corpus, deriver->chains, LEAST_REPEATS, &chains);
  if (status == TT_OK)
    status = count_tokens(corpus, &pairs, &cuts);
  if (status != TT_OK)
    goto cleanup;
  traps = tt_alloc(pairs.n_rows, sizeof *traps);
  if (!traps) {
    status = tt_fail(TT_NO_MEMORY, "%zu states", pairs.n_rows);
    goto cleanup;
  }
  find_traps(deriver, &chains, &pairs, traps);
  struct tt_tally_row start = tt_tally_find(&pairs, TT_TOKEN_START);
  if (start.n == 0 ? !endless : pairs.n_rows == 1 && only_ends(&start))
    goto cleanup;
  if (chains.n)
    name_chains(deriver, corpus, &chains, child(deriver, object, "chains"));
  json_t *next = child(deriver, object, "next");
  bool begun = tt_tally_find(&pairs, TT_TOKEN_ENTER).n > 0; /* stands in for the start */
  if (start.n == 0 && !begun)
    start_anywhere(deriver, corpus, next);
  for (size_t i = pairs.n_rows; i-- > 0;) { /* "start", then chains, the latest first */
    struct tt_tally_row row = tt_tally_row(&pairs, i);
    if (pairs.keys[i] != TT_TOKEN_START && only_ends(&row))
      continue;
    bool enters = pairs.keys[i] == TT_TOKEN_ENTER && start.n == 0;
    char *name = token_name(deriver, enters ? TT_TOKEN_START : (uint32_t)pairs.keys[i]);
    json_t *choices = name ? child(deriver, next, name) : NULL;
    for (size_t k = 0; k < row.n; k++)
      set_count(deriver, choices, (uint32_t)row.values[k], tt_tally_at(&row, k));
    struct tt_tally_row cut = tt_tally_find(&cuts, pairs.keys[i]);
    if (traps[i] && cut.n && pairs.keys[i] < TT_TOKEN_START)
      set_count(deriver, choices, TT_TOKEN_END, tt_tally_total(&cut));
    tt_free(name);
  }
cleanup:
  tt_free(traps);
  tt_tally_release(&cuts);
  tt_tally_release(&pairs);
  tt_chains_release(&chains);
  return status;
}

static json_t *derive_rets(const struct tt_tally *tally, uint64_t key) {
  struct tt_tally_row row = tt_tally_find(tally, key);
  if (row.n == 0)
    return NULL;
  if (row.n == 1)
    return json_integer(row.values[0]);
  json_t *object = json_object();
  char text[24];
  /* many: the frequent ones, and of the rest each k-th for all of them */
  size_t first = row.n <= MOST_RETS ? row.n : MOST_RETS / 2;
  size_t step = row.n <= MOST_RETS ? 1 : (row.n - first + MOST_RETS / 2 - 1) / (MOST_RETS / 2);
  for (size_t i = 0; i < row.n; i += i < first ? 1 : step) {
    uint64_t weight = 0;
    for (size_t k = i; k < row.n && k < (i < first ? i + 1 : i + step); k++)
      weight += tt_tally_at(&row, k);
    snprintf(text, sizeof text, "%lld", (long long)row.values[i]);
    json_object_set_new(object, text, json_integer((json_int_t)weight));
  }
  return object;
}

/* ---- times ---- */

/* Places every kind of delay where it belongs: with its machine, when that has enough of its own
 * and others had it too; else with all. */
static enum tt_status derive_delays(struct deriver *deriver) {
  struct tt_facts *facts = deriver->facts;
  struct tt_delays *delays = &facts->delays;
  size_t n = delays->n;
  deriver->seen = tt_alloc(n, sizeof *deriver->seen);
  deriver->delays = tt_calloc(facts->n_machines, sizeof *deriver->delays);
  deriver->common_delays = json_object();
  if (!deriver->seen || !deriver->delays || !deriver->common_delays)
    return tt_fail(TT_NO_MEMORY, "%zu kinds of delays", n);
  for (size_t i = 0; i < n; i++)
    deriver->seen[i] = delays->reservoirs[i].seen;
  enum tt_status status = tt_delays_finish(delays);
  if (status != TT_OK)
    return status;
  for (size_t i = 0; i < n; i++) {
    uint64_t key = delays->keys[i];
    size_t machine = (size_t)(key >> 32);
    uint16_t previous = (uint16_t)(key >> 16), event = (uint16_t)key;
    struct tt_delay_row row = tt_delays_find(delays, key);
    if (machine > 0) {
      uint32_t all = tt_map_get(&delays->index, tt_fact_delay_key(0, previous, event));
      bool shared = facts->machines[machine - 1].comm < facts->n_comms &&
                    deriver->counts[machine - 1] < LEAST_TOKENS;
      if (shared || deriver->seen[i] < LEAST_DELAYS ||
          (all != TT_MAP_NONE && deriver->seen[all] == deriver->seen[i]))
        continue;
      if (!deriver->delays[machine - 1])
        deriver->delays[machine - 1] = json_object();
    }
    char *key_text = previous == ANY ? tt_strdup(deriver->events->names[event])
                                     : tt_format("%s > %s", deriver->events->names[previous],
                                                 deriver->events->names[event]);
    set(deriver, machine ? deriver->delays[machine - 1] : deriver->common_delays, key_text,
        tt_distribution_fit(row.samples, row.n));
    tt_free(key_text);
  }
  return TT_OK;
}

static int compare_turns(const void *left, const void *right) {
  const struct tt_turn *a = left, *b = right;
  return a->ns != b->ns ? (a->ns < b->ns ? -1 : 1) : (int)a->censored - (int)b->censored;
}

/* The distribution of time slices from turns most of which ended before their slice did: the
 * product-limit estimate (Kaplan & Meier 1958), its tail "never". NULL: nobody was preempted. */
static json_t *derive_slice(struct tt_turns *turns) {
  double survival = 1, left = 1, done = 0;
  json_t *at = json_array(), *ns = json_array();
  int64_t last = 0;
  qsort(turns->turns, turns->n, sizeof *turns->turns, compare_turns);
  for (size_t i = 0; i < turns->n; i++)
    if (!turns->turns[i].censored)
      left *= 1 - 1 / (double)(turns->n - i);
  double share = 1 - left, step = share / SLICE_QUANTILES;
  for (size_t i = 0; i < turns->n; i++) {
    if (turns->turns[i].censored)
      continue;
    survival *= 1 - 1 / (double)(turns->n - i);
    last = turns->turns[i].ns;
    if (json_array_size(at) == 0 || 1 - survival - done >= step) {
      done = json_array_size(at) ? round((1 - survival) * 1e6) / 1e6 : 0;
      json_array_append_new(at, json_real(done));
      json_array_append_new(ns, json_integer(last));
    }
  }
  share = left > 1e-6 ? round(share * 1e6) / 1e6 : 1;
  json_array_append_new(at, json_real(fmax(share, done)));
  json_array_append_new(ns, json_integer(last));
  if (share < 1) {
    json_array_append_new(at, json_real(fmax(share, done)));
    json_array_append_new(ns, json_null());
    json_array_append_new(at, json_real(1));
    json_array_append_new(ns, json_null());
  }
  return json_pack("{s:o, s:o}", "at", at, "ns", ns);
}

static size_t preemptions(const struct tt_turns *turns) {
  size_t n = 0;
  for (size_t i = 0; i < turns->n; i++)
    n += !turns->turns[i].censored;
  return n;
}

/* Those with too few preemptions share one. */
static void derive_slices(struct deriver *deriver, json_t *workloads) {
  struct tt_facts *facts = deriver->facts;
  struct tt_turns *shared = &facts->turns[facts->n_comms];
  for (size_t i = 0; i < facts->n_comms; i++) {
    struct tt_turns *turns = &facts->turns[i];
    json_t *workload = json_object_get(workloads, deriver->comms->names[i]);
    if (workload && preemptions(turns) >= LEAST_PREEMPTED) {
      set(deriver, workload, "slice", derive_slice(turns));
    } else if (turns->n && tt_grow(&shared->turns, &shared->capacity, shared->n + turns->n,
                                   sizeof *turns->turns) == 0) {
      memcpy(shared->turns + shared->n, turns->turns, turns->n * sizeof *turns->turns);
      shared->n += turns->n;
    }
  }
  if (preemptions(shared) > 0)
    set(deriver, child(deriver, workloads, "*"), "slice", derive_slice(shared));
}

/* ---- sections ---- */

static bool is_utf8(const char *text) {
  json_t *json = json_string(text);
  json_decref(json);
  return json != NULL;
}

/* Machines seen too little, and those of command names that JSON can't spell, join those of "*". */
static enum tt_status share_rare(struct deriver *deriver) {
  struct tt_facts *facts = deriver->facts;
  size_t n = facts->n_machines;
  uint32_t any = (uint32_t)facts->n_comms, user, most = TT_MAP_NONE;
  enum tt_status status = tt_facts_machine(facts, any, TT_FRAME_USER, ANY, ANY, &user);
  for (size_t i = 0; i < n && status == TT_OK; i++) {
    struct tt_machine_facts machine = facts->machines[i];
    uint32_t to;
    if (machine.comm == any)
      continue;
    if (machine.frame == TT_FRAME_USER &&
        (most == TT_MAP_NONE || machine.corpus.n > facts->machines[most].corpus.n))
      most = (uint32_t)i;
    if (machine.corpus.n >= LEAST_TOKENS && is_utf8(deriver->comms->names[machine.comm]))
      continue;
    status = tt_facts_machine(facts, any, machine.frame, machine.entry, machine.exit, &to);
    if (status == TT_OK)
      status = tt_corpus_add(&facts->machines[to].corpus, machine.corpus.tokens, machine.corpus.n);
  }
  if (status == TT_OK && facts->machines[user].corpus.n == 0 && most != TT_MAP_NONE)
    status = tt_corpus_add(&facts->machines[user].corpus, facts->machines[most].corpus.tokens,
                           facts->machines[most].corpus.n);
  deriver->counts = tt_alloc(facts->n_machines, sizeof *deriver->counts);
  if (status == TT_OK && !deriver->counts)
    status = tt_fail(TT_NO_MEMORY, "%zu machines", facts->n_machines);
  for (size_t i = 0; status == TT_OK && i < facts->n_machines; i++)
    deriver->counts[i] = (uint32_t)facts->machines[i].corpus.n;
  return status;
}

static json_t *derive_arrivals(const struct tt_facts *facts, uint16_t cpu, uint32_t name) {
  struct tt_delay_row row = tt_delays_find(&facts->arrivals, (uint64_t)cpu << 32 | name);
  if (row.n == 0)
    return NULL;
  double sum = 0, squares = 0, n = (double)row.n;
  for (size_t i = 0; i < row.n; i++) {
    sum += (double)row.samples[i];
    squares += (double)row.samples[i] * (double)row.samples[i];
  }
  double mean = sum / n, deviation = sqrt(fmax(squares / n - mean * mean, 0));
  if (row.n < LEAST_ARRIVALS)
    return json_pack("{s:I}", "exponential",
                     (json_int_t)((double)facts->busy[cpu] / n)); /* few: the rate alone */
  if (fabs(deviation / mean - 1) < 0.2)
    return json_pack("{s:I}", "exponential", (json_int_t)mean);
  return tt_distribution_fit(row.samples, row.n);
}

static enum tt_status derive_source(struct deriver *deriver, struct tt_machine_facts *machine,
                                    json_t *interrupts) {
  const struct tt_facts *facts = deriver->facts;
  uint32_t name = machine->frame - TT_FRAME_SOURCE;
  json_t *source = child(deriver, interrupts, facts->calls.names[name]);
  json_t *every = child(deriver, source, "every");
  char key[24];
  for (size_t cpu = 0; cpu < facts->n_cpus; cpu++) {
    json_t *times = derive_arrivals(facts, (uint16_t)cpu, name);
    snprintf(key, sizeof key, "%zu", cpu);
    if (times)
      set(deriver, every, key, times);
  }
  set(deriver, source, "idle", json_false());
  return derive_machine(deriver, &machine->corpus, true, source);
}

static enum tt_status derive_call(struct deriver *deriver, size_t id, json_t *workload) {
  const struct tt_facts *facts = deriver->facts;
  struct tt_machine_facts *machine = &deriver->facts->machines[id];
  json_t *call =
      child(deriver, child(deriver, workload, "calls"), facts->calls.names[machine->frame]);
  set(deriver, call, "entry", json_string(deriver->events->names[machine->entry]));
  set(deriver, call, "exit", json_string(deriver->events->names[machine->exit]));
  json_t *rets = derive_rets(
      &facts->rets, machine->comm < facts->n_comms ? id : TT_FACT_ANY_WORKLOAD | machine->frame);
  if (rets)
    set(deriver, call, "ret", rets);
  return derive_machine(deriver, &machine->corpus, false, call);
}

static enum tt_status derive_machines(struct deriver *deriver, json_t *top) {
  struct tt_facts *facts = deriver->facts;
  json_t *workloads = child(deriver, top, "workloads");
  json_t *interrupts = child(deriver, top, "interrupts");
  json_t *scheduler = child(deriver, top, "scheduler");
  enum tt_status status = TT_OK;
  child(deriver, workloads, "*");
  for (size_t i = 0; i < facts->n_machines && status == TT_OK; i++) {
    struct tt_machine_facts *machine = &facts->machines[i];
    bool any = machine->comm == facts->n_comms;
    if (machine->corpus.n == 0 || (!any && (machine->corpus.n < LEAST_TOKENS ||
                                            !is_utf8(deriver->comms->names[machine->comm]))))
      continue;
    json_t *object, *workload = NULL;
    if (machine->frame == TT_FRAME_PREEMPT) {
      object = child(deriver, scheduler, "preempt");
      status = derive_machine(deriver, &machine->corpus, true, object);
    } else if (machine->frame >= TT_FRAME_SOURCE && machine->frame != TT_FRAME_USER) {
      object = child(deriver, interrupts, facts->calls.names[machine->frame - TT_FRAME_SOURCE]);
      status = derive_source(deriver, machine, interrupts);
    } else {
      workload = child(deriver, workloads, any ? "*" : deriver->comms->names[machine->comm]);
      if (machine->frame == TT_FRAME_USER) {
        object = child(deriver, workload, "user");
        status = derive_machine(deriver, &machine->corpus, true, object);
      } else {
        status = derive_call(deriver, i, workload);
        object =
            json_object_get(json_object_get(workload, "calls"), facts->calls.names[machine->frame]);
      }
    }
    if (deriver->delays[i])
      set(deriver, object, "delays", json_incref(deriver->delays[i]));
  }
  if (status == TT_OK)
    derive_slices(deriver, workloads);
  return status;
}

/* ---- threads ---- */

static char *label_of(const struct deriver *deriver, uint32_t thread) {
  const struct tt_cast_thread *cast = &deriver->facts->cast.threads[thread];
  if (cast->tid == TT_TID_NONE)
    return tt_strdup("unknown");
  if (cast->tid == 0)
    return tt_format("idle/%d", cast->cpu);
  const char *comm = cast->n_comms ? deriver->comms->names[cast->comms[0]] : "thread";
  return tt_format("%s-%d", is_utf8(comm) ? comm : "thread", cast->tid);
}

static void derive_threads(struct deriver *deriver, json_t *top) {
  const struct tt_cast *cast = &deriver->facts->cast;
  json_t *threads = child(deriver, top, "threads"), *renames = child(deriver, top, "renames");
  for (uint32_t i = 0; i < cast->n_threads; i++) {
    const struct tt_cast_thread *from = &cast->threads[i];
    char *label = label_of(deriver, i);
    json_t *thread = json_object(), *comms = json_array();
    set(deriver, thread, "tid", from->tid == TT_TID_NONE ? json_null() : json_integer(from->tid));
    if (from->tid == 0)
      set(deriver, thread, "cpu", json_integer(from->cpu));
    if (deriver->facts->born[i])
      set(deriver, thread, "new", json_true());
    set(deriver, thread, "weight", json_integer((json_int_t)from->turns));
    for (uint32_t k = 0; k < from->n_comms; k++)
      deriver->failed |=
          json_array_append_new(comms, tt_json_text(deriver->comms->names[from->comms[k]])) != 0;
    set(deriver, thread, "comms", comms);
    if (from->usual > 0 && !deriver->facts->born[i]) /* a new one begins with the first */
      set(deriver, thread, "at_first",
          tt_json_text(deriver->comms->names[from->comms[from->usual]]));
    set(deriver, threads, label, thread);
    tt_free(label);
  }
  for (size_t i = 0; i < cast->n_events; i++)
    if (cast->events[i].rename > 0)
      set(deriver, renames, deriver->events->names[i],
          json_real(round((double)cast->events[i].rename * 1e6) / 1e6));
}

static void derive_scheduler(struct deriver *deriver, json_t *top) {
  const struct tt_facts *facts = deriver->facts;
  json_t *scheduler = child(deriver, top, "scheduler");
  json_t *first = child(deriver, scheduler, "first"), *next = child(deriver, scheduler, "next");
  json_t *cpus = json_array();
  char key[24];
  for (size_t cpu = 0; cpu < facts->n_cpus; cpu++)
    if (facts->seen[cpu])
      deriver->failed |= json_array_append_new(cpus, json_integer((json_int_t)cpu)) != 0;
  set(deriver, scheduler, "cpus", cpus);
  for (size_t cpu = 0; cpu < facts->n_cpus; cpu++) {
    uint32_t thread = facts->cast.first[cpu];
    char *label = thread == TT_THREAD_ANY ? NULL : label_of(deriver, thread);
    snprintf(key, sizeof key, "%zu", cpu);
    if (label)
      set(deriver, first, key, json_string(label));
    tt_free(label);
  }
  for (size_t i = 0; i < facts->next.n_rows; i++) {
    uint16_t cpu = (uint16_t)(facts->next.keys[i] >> 32);
    uint32_t leaving = (uint32_t)facts->next.keys[i];
    struct tt_tally_row row = tt_tally_row(&facts->next, i);
    snprintf(key, sizeof key, "%u", (unsigned)cpu);
    json_t *rows = child(deriver, next, cpu == TT_RULES_ANY ? "*" : key);
    char *from = leaving == TT_THREAD_ANY ? tt_strdup("*") : label_of(deriver, leaving);
    json_t *choices = from ? child(deriver, rows, from) : NULL;
    for (size_t k = 0; k < row.n; k++) {
      char *to = label_of(deriver, (uint32_t)row.values[k]);
      set(deriver, choices, to, json_integer((json_int_t)tt_tally_at(&row, k)));
      tt_free(to);
    }
    tt_free(from);
  }
}

/* Names that the rule file's grammar has no room for. */
static enum tt_status check_names(const struct deriver *deriver) {
  for (size_t i = 0; i < deriver->events->n; i++) {
    const char *name = deriver->events->names[i];
    if (!is_utf8(name) || name[0] == '@' || name[0] == '#' || strstr(name, " > ") ||
        strcmp(name, "*") == 0 || strcmp(name, "start") == 0 || strcmp(name, "running") == 0 ||
        strcmp(name, "end") == 0)
      return tt_fail(TT_BAD_INPUT, "%s: no rule can be written for event %zu, called \"%s\"",
                     tt_dataset_path(deriver->facts->dataset), i, name);
  }
  return TT_OK;
}

enum tt_status tt_facts_derive(struct tt_facts *facts, size_t chains, char **ret_text,
                               size_t *ret_size) {
  const struct tt_dataset_meta *meta = tt_dataset_meta(facts->dataset);
  struct deriver deriver = {
      .facts = facts, .events = &meta->events, .comms = &meta->comms, .chains = chains};
  json_t *top = json_object();
  enum tt_status status = check_names(&deriver);
  if (status != TT_OK || (status = share_rare(&deriver)) != TT_OK ||
      (status = tt_tally_finish(&facts->rets)) != TT_OK ||
      (status = tt_tally_finish(&facts->returns)) != TT_OK ||
      (status = tt_tally_finish(&facts->next)) != TT_OK ||
      (status = tt_delays_finish(&facts->arrivals)) != TT_OK ||
      (status = derive_delays(&deriver)) != TT_OK)
    goto cleanup;
  set(&deriver, top, "format", json_string(TT_RULES_FORMAT));
  derive_threads(&deriver, top);
  derive_scheduler(&deriver, top);
  status = derive_machines(&deriver, top);
  json_t *returns = child(&deriver, top, "returns");
  for (size_t i = 0; i < facts->returns.n_rows; i++)
    set(&deriver, returns, meta->events.names[facts->returns.keys[i]],
        derive_rets(&facts->returns, facts->returns.keys[i]));
  set(&deriver, top, "delays", json_incref(deriver.common_delays));
  if (status == TT_OK && deriver.failed)
    status = tt_fail(TT_NO_MEMORY, "writing the rules");
  if (status == TT_OK)
    status = tt_rules_text(top, ret_text, ret_size);
cleanup:
  for (size_t i = 0; deriver.delays && i < facts->n_machines; i++)
    json_decref(deriver.delays[i]);
  json_decref(deriver.common_delays);
  json_decref(top);
  tt_free(deriver.delays);
  tt_free(deriver.seen);
  tt_free(deriver.counts);
  return status;
}
