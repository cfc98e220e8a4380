#include "dataset/vocabulary.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "dataset/counts.h"

/* dts below this many ns are counted by value, so that their logarithms are taken once each and
 * their sums are exact whatever the order. */
enum { DT_TABLE = 1 << 16, CHUNK = 1 << 20, DEFAULT_COUNTERS = 1 << 20 };

struct learning {
  struct tt_names events, comms; /* of all datasets, joined by name */
  uint64_t *event_counts, *comm_counts;
  size_t events_capacity, comms_capacity; /* of the two arrays */
  struct tt_counts rets;                  /* key: the value's bits */
  struct tt_counts threads;               /* key: tid << 32 | joined comm id */
  uint64_t *dt_counts;                    /* [DT_TABLE] */
  double dt_sum, dt_squares;              /* of log1p of the longer ones */
  uint64_t long_dts;
  struct tt_vocabulary *v;
};

static enum tt_status no_memory(void) {
  return tt_fail(TT_NO_MEMORY, "out of memory");
}

void tt_vocabulary_free(struct tt_vocabulary *v) {
  if (!v)
    return;
  tt_names_release(&v->events);
  tt_names_release(&v->comms);
  tt_free(v->event_counts);
  tt_free(v->comm_counts);
  tt_free(v->rets);
  tt_free(v->ret_counts);
  tt_free(v->unk_rets);
  tt_free(v->unk_ret_counts);
  tt_free(v->threads);
  tt_free(v);
}

/* ---- the pass ---- */

/* map[i] = joined id of names->names[i]; counts grow along, cleared. */
static uint32_t *join(const struct tt_names *names, struct tt_names *joined, uint64_t **counts,
                      size_t *capacity) {
  uint32_t *map = tt_alloc(names->n, sizeof *map);
  for (size_t i = 0; map && i < names->n; i++) {
    size_t before = joined->n;
    map[i] = tt_names_add(joined, names->names[i]);
    if (map[i] == TT_NAME_NONE || tt_grow(counts, capacity, joined->n, sizeof **counts)) {
      tt_free(map);
      return NULL;
    }
    if (joined->n > before)
      (*counts)[before] = 0;
  }
  return map;
}

/* What was the running thread of a CPU, and for how many rows in a row: threads are counted by
 * runs. */
struct run {
  uint64_t key, count;
};

struct pass {
  struct learning *l;
  const struct tt_dataset *dataset;
  const uint32_t *event_map, *comm_map;
  uint64_t *previous; /* [cpu limit] last row of each CPU, UINT64_MAX: none (CPU streams) */
  struct run *runs;   /* [cpu limit] */
};

static void count_dt(struct learning *l, int64_t ns) {
  if (ns < DT_TABLE) {
    l->dt_counts[ns]++;
  } else {
    double x = log1p((double)ns);
    l->dt_sum += x;
    l->dt_squares += x * x;
    l->long_dts++;
  }
  if (ns > l->v->dt_max)
    l->v->dt_max = ns;
}

static int count_rows(struct pass *p, size_t first, size_t n) {
  struct learning *l = p->l;
  const struct tt_columns *c = tt_dataset_columns(p->dataset);
  const bool per_cpu = l->v->stream == TT_STREAM_CPU;
  int failed = 0;
  for (size_t i = first; i < first + n; i++) {
    l->event_counts[p->event_map[c->event[i]]]++;
    uint32_t comm = c->comm[i] == TT_COMM_NONE ? TT_COMM_NONE : p->comm_map[c->comm[i]];
    if (comm != TT_COMM_NONE)
      l->comm_counts[comm]++;
    uint64_t key = (uint64_t)(uint32_t)c->tid[i] << 32 | comm;
    struct run *run = &p->runs[c->cpu[i]];
    if (run->key != key && run->count) {
      failed |= tt_counts_add(&l->threads, run->key, run->count);
      run->count = 0;
    }
    run->key = key;
    run->count++;
    if (c->ret[i] == TT_RET_NONE)
      l->v->no_rets++;
    else
      failed |= tt_counts_add(&l->rets, (uint64_t)c->ret[i], 1);
    if (per_cpu) {
      uint64_t *previous = &p->previous[c->cpu[i]];
      if (*previous != UINT64_MAX && !tt_dataset_gap_between(p->dataset, *previous, i))
        count_dt(l, c->ts[i] - c->ts[*previous]);
      *previous = i;
    } else if (i && !tt_dataset_gap_before(p->dataset, i)) {
      count_dt(l, c->ts[i] - c->ts[i - 1]);
    }
  }
  return failed;
}

static enum tt_status learn_from(struct learning *l, const struct tt_dataset *dataset) {
  const struct tt_dataset_meta *meta = tt_dataset_meta(dataset);
  const size_t n = tt_dataset_columns(dataset)->n, cpus = tt_dataset_cpu_limit(dataset);
  enum tt_status status = TT_OK;
  uint32_t *event_map = join(&meta->events, &l->events, &l->event_counts, &l->events_capacity);
  uint32_t *comm_map = join(&meta->comms, &l->comms, &l->comm_counts, &l->comms_capacity);
  struct pass pass = {.l = l,
                      .dataset = dataset,
                      .event_map = event_map,
                      .comm_map = comm_map,
                      .previous = tt_alloc(cpus, sizeof *pass.previous),
                      .runs = tt_calloc(cpus, sizeof *pass.runs)};
  if (!event_map || !comm_map || !pass.previous || !pass.runs)
    status = no_memory();
  for (size_t c = 0; status == TT_OK && c < cpus; c++)
    pass.previous[c] = UINT64_MAX;
  for (size_t first = 0; status == TT_OK && first < n; first += CHUNK) {
    size_t m = n - first < CHUNK ? n - first : CHUNK;
    if (tt_interrupted())
      status = tt_fail(TT_INTERRUPTED, "interrupted");
    else if (count_rows(&pass, first, m))
      status = no_memory();
    tt_dataset_done_with(dataset, first, m);
  }
  for (size_t c = 0; status == TT_OK && c < cpus; c++)
    if (pass.runs[c].count && tt_counts_add(&l->threads, pass.runs[c].key, pass.runs[c].count))
      status = no_memory();
  tt_free(event_map);
  tt_free(comm_map);
  tt_free(pass.previous);
  tt_free(pass.runs);
  l->v->rows += n;
  l->v->n_cpus = cpus > l->v->n_cpus ? cpus : l->v->n_cpus;
  return status;
}

/* ---- making ids of counts ---- */

struct ranked { /* a name with its count */
  const char *name;
  uint64_t count;
  uint32_t id; /* joined id */
};

static int by_rank(const void *a, const void *b) {
  const struct ranked *x = a, *y = b;
  if (x->count != y->count)
    return x->count > y->count ? -1 : 1;
  return strcmp(x->name, y->name);
}

/* Puts the names that occur, at most `max`, into *to by rank, with their counts; *ret_ids (if not
 * NULL) maps joined ids to ranks, UINT32_MAX: none. */
static enum tt_status rank_names(const struct tt_names *from, const uint64_t *counts, size_t max,
                                 struct tt_names *to, uint64_t **ret_counts, uint32_t **ret_ids) {
  enum tt_status status = TT_OK;
  size_t n = 0;
  struct ranked *ranked = tt_alloc(from->n, sizeof *ranked);
  uint32_t *ids = tt_alloc(from->n, sizeof *ids);
  uint64_t *ranked_counts = tt_alloc(from->n, sizeof *ranked_counts);
  if (!ranked || !ids || !ranked_counts) {
    status = no_memory();
    goto cleanup;
  }
  for (size_t i = 0; i < from->n; i++) {
    ids[i] = UINT32_MAX;
    if (counts[i])
      ranked[n++] = (struct ranked){from->names[i], counts[i], (uint32_t)i};
  }
  if (n)
    qsort(ranked, n, sizeof *ranked, by_rank);
  for (size_t i = 0; i < n && i < max; i++) {
    ids[ranked[i].id] = (uint32_t)i;
    ranked_counts[i] = ranked[i].count;
    if (tt_names_add(to, ranked[i].name) == TT_NAME_NONE) {
      status = no_memory();
      goto cleanup;
    }
  }
  *ret_counts = ranked_counts;
  ranked_counts = NULL;
  if (ret_ids) {
    *ret_ids = ids;
    ids = NULL;
  }
cleanup:
  tt_free(ranked);
  tt_free(ids);
  tt_free(ranked_counts);
  return status;
}

struct value {
  int64_t value;
  uint64_t count;
};

static int by_count(const void *a, const void *b) {
  const struct value *x = a, *y = b;
  if (x->count != y->count)
    return x->count > y->count ? -1 : 1;
  return (x->value > y->value) - (x->value < y->value);
}

static int by_value(const void *a, const void *b) {
  int64_t x = ((const struct value *)a)->value, y = ((const struct value *)b)->value;
  return (x > y) - (x < y);
}

/* out[..] = the quantiles (k + 1/2) / m of the distribution values[0..n), ascending; equal ones
 * joined. Returns how many there are, at most m. */
static size_t thin_out(const struct value *values, size_t n, size_t m, struct value *out) {
  uint64_t total = 0, below = 0; /* below: count of values before i */
  for (size_t i = 0; i < n; i++)
    total += values[i].count;
  size_t kept = 0, i = 0;
  for (size_t k = 0; k < m; k++) {
    uint64_t target = (uint64_t)((unsigned __int128)total * (2 * k + 1) / (2 * m));
    while (below + values[i].count <= target)
      below += values[i++].count;
    if (kept && out[kept - 1].value == values[i].value)
      out[kept - 1].count++;
    else
      out[kept++] = (struct value){values[i].value, 1};
  }
  return kept;
}

static enum tt_status rank_rets(const struct tt_counts *rets, struct tt_vocabulary *v) {
  struct value *values = tt_alloc(rets->n, sizeof *values);
  struct value *thinned = tt_alloc(TT_VOCABULARY_UNK_RETS, sizeof *thinned);
  if (!values || !thinned) {
    tt_free(values);
    tt_free(thinned);
    return no_memory();
  }
  size_t n = 0;
  for (size_t i = 0; i < rets->n_slots; i++)
    if (rets->counts[i])
      values[n++] = (struct value){(int64_t)rets->keys[i], rets->counts[i]};
  if (n)
    qsort(values, n, sizeof *values, by_count);
  v->n_rets = n < TT_VOCABULARY_RETS ? n : TT_VOCABULARY_RETS;
  struct value *rest = values + v->n_rets;
  size_t n_rest = n - v->n_rets;
  v->rets = tt_alloc(v->n_rets, sizeof *v->rets);
  v->ret_counts = tt_alloc(v->n_rets, sizeof *v->ret_counts);
  for (size_t i = 0; v->rets && v->ret_counts && i < v->n_rets; i++) {
    v->rets[i] = values[i].value;
    v->ret_counts[i] = values[i].count;
  }
  if (n_rest)
    qsort(rest, n_rest, sizeof *rest, by_value);
  if (n_rest > TT_VOCABULARY_UNK_RETS) {
    n_rest = thin_out(rest, n_rest, TT_VOCABULARY_UNK_RETS, thinned);
    rest = thinned;
  }
  v->n_unk_rets = n_rest;
  v->unk_rets = tt_alloc(n_rest, sizeof *v->unk_rets);
  v->unk_ret_counts = tt_alloc(n_rest, sizeof *v->unk_ret_counts);
  for (size_t i = 0; v->unk_rets && v->unk_ret_counts && i < n_rest; i++) {
    v->unk_rets[i] = rest[i].value;
    v->unk_ret_counts[i] = rest[i].count;
  }
  tt_free(values);
  tt_free(thinned);
  return v->rets && v->ret_counts && v->unk_rets && v->unk_ret_counts ? TT_OK : no_memory();
}

static size_t bucket_of(const struct tt_thread *thread) {
  return (uint32_t)thread->tid % TT_TID_BUCKETS;
}

static int by_bucket(const void *a, const void *b) {
  const struct tt_thread *x = a, *y = b;
  if (bucket_of(x) != bucket_of(y))
    return bucket_of(x) < bucket_of(y) ? -1 : 1;
  if (x->count != y->count)
    return x->count > y->count ? -1 : 1;
  if (x->tid != y->tid)
    return x->tid < y->tid ? -1 : 1;
  return (x->comm > y->comm) - (x->comm < y->comm);
}

/* ranks: joined comm id to rank, UINT32_MAX: not in the vocabulary. */
static enum tt_status rank_threads(const struct tt_counts *counts, const uint32_t *ranks,
                                   struct tt_vocabulary *v) {
  struct tt_thread *threads = v->threads = tt_alloc(counts->n, sizeof *threads);
  if (!threads)
    return no_memory();
  size_t n = 0, kept = 0;
  for (size_t i = 0; i < counts->n_slots; i++)
    if (counts->counts[i]) {
      uint32_t comm = (uint32_t)counts->keys[i];
      uint32_t rank = comm == TT_COMM_NONE ? UINT32_MAX : ranks[comm];
      threads[n++] =
          (struct tt_thread){.tid = (int32_t)(uint32_t)(counts->keys[i] >> 32),
                             .comm = (uint16_t)(comm == TT_COMM_NONE ? (uint32_t)TT_ID_PAD
                                                : rank == UINT32_MAX ? (uint32_t)TT_ID_UNK
                                                                     : rank + TT_ID_FIRST),
                             .count = counts->counts[i]};
    }
  if (n)
    qsort(threads, n, sizeof *threads, by_bucket);
  for (size_t bucket = 0, i = 0; bucket < TT_TID_BUCKETS; bucket++) {
    v->bucket_first[bucket] = kept;
    for (; i < n && bucket_of(&threads[i]) == bucket; i++)
      if (kept - v->bucket_first[bucket] < TT_VOCABULARY_BUCKET_THREADS)
        threads[kept++] = threads[i];
  }
  v->bucket_first[TT_TID_BUCKETS] = kept;
  return TT_OK;
}

static void standardise(const struct learning *l, struct tt_vocabulary *v) {
  double sum = l->dt_sum, squares = l->dt_squares;
  uint64_t n = l->long_dts;
  for (size_t ns = 0; ns < DT_TABLE; ns++)
    if (l->dt_counts[ns]) {
      double x = log1p((double)ns), count = (double)l->dt_counts[ns];
      sum += count * x;
      squares += count * x * x;
      n += l->dt_counts[ns];
    }
  v->dt_rows = n;
  v->dt_mean = n ? sum / (double)n : 0;
  double variance = n ? squares / (double)n - v->dt_mean * v->dt_mean : 0;
  v->dt_std = variance > 1e-12 ? sqrt(variance) : 1;
}

enum tt_status tt_vocabulary_learn(const struct tt_dataset *const *datasets, size_t n_datasets,
                                   const struct tt_vocabulary_options *options,
                                   struct tt_vocabulary **ret) {
  struct learning l = {0};
  uint32_t *ranks = NULL;
  enum tt_status status = TT_OK;
  size_t max_comms = options->max_comms ? options->max_comms : TT_VOCABULARY_COMMS;
  size_t counters = options->counters ? options->counters : DEFAULT_COUNTERS;
  TT_ASSERT(max_comms + TT_ID_FIRST <= UINT16_MAX);
  struct tt_vocabulary *v = l.v = tt_calloc(1, sizeof *v);
  l.dt_counts = tt_calloc(DT_TABLE, sizeof *l.dt_counts);
  if (!v || !l.dt_counts || tt_counts_init(&l.rets, counters) ||
      tt_counts_init(&l.threads, counters)) {
    status = no_memory();
    goto cleanup;
  }
  v->stream = options->stream;
  v->unknown_event = options->unknown_event;
  for (size_t i = 0; i < n_datasets && status == TT_OK; i++) {
    status = learn_from(&l, datasets[i]);
    if (status != TT_OK)
      status = tt_fail(status, "while learning the vocabulary of %s", tt_dataset_path(datasets[i]));
  }
  if (status == TT_OK && v->rows == 0)
    status = tt_fail(TT_BAD_INPUT, "no events to learn a vocabulary from");
  if (status == TT_OK)
    status = rank_names(&l.events, l.event_counts, SIZE_MAX, &v->events, &v->event_counts, NULL);
  if (status == TT_OK && tt_vocabulary_events(v) > UINT16_MAX)
    status = tt_fail(TT_BAD_INPUT, "%zu event names are too many", v->events.n);
  if (status == TT_OK)
    status = rank_names(&l.comms, l.comm_counts, max_comms, &v->comms, &v->comm_counts, &ranks);
  if (status == TT_OK)
    status = rank_rets(&l.rets, v);
  if (status == TT_OK)
    status = rank_threads(&l.threads, ranks, v);
  if (status == TT_OK) {
    standardise(&l, v);
    *ret = v;
    v = NULL;
  }
cleanup:
  tt_free(ranks);
  tt_names_release(&l.events);
  tt_names_release(&l.comms);
  tt_free(l.event_counts);
  tt_free(l.comm_counts);
  tt_counts_release(&l.rets);
  tt_counts_release(&l.threads);
  tt_free(l.dt_counts);
  tt_vocabulary_free(v);
  return status;
}

/* ---- using it ---- */

size_t tt_vocabulary_events(const struct tt_vocabulary *v) {
  return v->events.n + v->unknown_event;
}

size_t tt_vocabulary_comms(const struct tt_vocabulary *v) {
  return v->comms.n + TT_ID_FIRST;
}

size_t tt_vocabulary_rets(const struct tt_vocabulary *v) {
  return v->n_rets + TT_ID_FIRST + 1;
}

uint16_t tt_vocabulary_ret_none(const struct tt_vocabulary *v) {
  return (uint16_t)(v->n_rets + TT_ID_FIRST);
}

float tt_vocabulary_dt(const struct tt_vocabulary *v, int64_t ns) {
  return (float)((log1p((double)ns) - v->dt_mean) / v->dt_std);
}

int64_t tt_vocabulary_dt_ns(const struct tt_vocabulary *v, double dt) {
  double ns = expm1(dt * v->dt_std + v->dt_mean);
  if (!(ns > 0))
    return 0;
  return ns < (double)v->dt_max ? (int64_t)llround(ns) : v->dt_max;
}

/* Draws i in proportion to weights[0..n), not all 0. */
static size_t draw(const uint64_t *weights, size_t n, struct tt_rng *rng) {
  uint64_t total = 0;
  for (size_t i = 0; i < n; i++)
    total += weights[i];
  uint64_t target = tt_rng_below(rng, total);
  size_t i = 0;
  for (; target >= weights[i]; i++)
    target -= weights[i];
  return i;
}

int64_t tt_vocabulary_ret_value(const struct tt_vocabulary *v, uint16_t id, struct tt_rng *rng) {
  if (id >= TT_ID_FIRST && id < TT_ID_FIRST + v->n_rets)
    return v->rets[id - TT_ID_FIRST];
  if (id == TT_ID_UNK && v->n_unk_rets)
    return v->unk_rets[draw(v->unk_ret_counts, v->n_unk_rets, rng)];
  return TT_RET_NONE;
}

void tt_vocabulary_draw_thread(const struct tt_vocabulary *v, uint16_t bucket, uint16_t comm,
                               struct tt_rng *rng, struct tt_thread *ret) {
  TT_ASSERT(bucket < TT_TID_BUCKETS);
  const struct tt_thread *threads = v->threads + v->bucket_first[bucket];
  const size_t n = v->bucket_first[bucket + 1] - v->bucket_first[bucket];
  uint64_t weights[TT_VOCABULARY_BUCKET_THREADS], named = 0;
  if (n == 0) {
    *ret = (struct tt_thread){.tid = bucket, .comm = comm};
    return;
  }
  for (size_t i = 0; i < n; i++)
    named += threads[i].comm == comm ? threads[i].count : 0;
  for (size_t i = 0; i < n; i++)
    weights[i] = !named || threads[i].comm == comm ? threads[i].count : 0;
  *ret = threads[draw(weights, n, rng)];
}

enum tt_status tt_vocabulary_dictionaries(const struct tt_vocabulary *v,
                                          struct tt_dataset_meta *meta) {
  TT_ASSERT(meta->events.n == 0 && meta->comms.n == 0);
  for (size_t i = 0; i < v->events.n; i++)
    if (tt_names_add(&meta->events, v->events.names[i]) == TT_NAME_NONE)
      return no_memory();
  for (size_t i = 0; i < v->comms.n; i++)
    if (tt_names_add(&meta->comms, v->comms.names[i]) == TT_NAME_NONE)
      return no_memory();
  return TT_OK;
}

uint32_t tt_vocabulary_comm_of(uint16_t comm) {
  return comm >= TT_ID_FIRST ? (uint32_t)comm - TT_ID_FIRST : TT_COMM_NONE;
}
