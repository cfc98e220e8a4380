/* Streams, vocabularies and channels against their definitions, spelled out naively. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataset/channels.h"
#include "dataset/counts.h"
#include "dataset/streams.h"
#include "dataset/vocabulary.h"
#include "dataset_fixture.h"

/* ---- counting ---- */

static void test_counts(void **state) {
  (void)state;
  struct tt_counts c;
  struct tt_rng rng;
  uint64_t exact[5000] = {0}, total = 0;
  for (size_t limit = 10000; limit >= 100; limit /= 10) {
    memset(exact, 0, sizeof exact);
    total = 0;
    tt_rng_init(&rng, 5, limit);
    assert_int_equal(tt_counts_init(&c, limit), 0);
    for (size_t i = 0; i < 200000; i++) { /* a skewed distribution over 5000 keys */
      double u = tt_rng_uniform(&rng);
      uint64_t key = (uint64_t)(5000 * u * u * u * u), n = 1 + i % 3;
      assert_int_equal(tt_counts_add(&c, key, n), 0);
      exact[key] += n;
      total += n;
    }
    assert_true(c.n <= limit);
    if (limit == 10000)
      assert_int_equal(c.error, 0);
    else
      assert_true(c.error > 0 && c.error <= 2 * total / limit);
    size_t found = 0;
    for (size_t i = 0; i < c.n_slots; i++)
      if (c.counts[i]) {
        found++;
        assert_true(c.counts[i] <= exact[c.keys[i]]);
        assert_true(c.counts[i] + c.error >= exact[c.keys[i]]);
        exact[c.keys[i]] = 0;
      }
    assert_int_equal(found, c.n);
    for (size_t key = 0; key < 5000; key++) /* what isn't there was rare */
      assert_true(exact[key] <= c.error);
    tt_counts_release(&c);
  }
}

/* ---- streams ---- */

static void check_streams(const struct tt_dataset *d, enum tt_stream_kind kind) {
  const struct tt_columns *c = tt_dataset_columns(d);
  const bool per_cpu = kind == TT_STREAM_CPU;
  struct tt_streams *s = NULL;
  assert_int_equal(tt_streams_open(d, kind, &s), TT_OK);
  assert_int_equal(tt_streams_count(s), per_cpu ? tt_dataset_cpu_limit(d) : 1);
  uint64_t *rows = tt_alloc(c->n, sizeof *rows), *got = tt_alloc(c->n, sizeof *got);
  size_t n_segments = 0, next = 0;
  const struct tt_segment *segments = tt_streams_segments(s, &n_segments);
  struct tt_rng rng;
  tt_rng_init(&rng, 3, 3);
  for (size_t stream = 0; stream < tt_streams_count(s); stream++) {
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++) {
      if (i % 97 == 0)
        assert_int_equal(tt_streams_position(s, stream, i), n);
      if (!per_cpu || c->cpu[i] == stream)
        rows[n++] = i;
    }
    assert_int_equal(tt_streams_length(s, stream), n);
    assert_int_equal(tt_streams_position(s, stream, c->n), n);
    tt_streams_rows(s, stream, 0, n, got);
    assert_memory_equal(got, rows, n * sizeof *rows);
    tt_streams_rows(s, stream, n, 0, got);
    for (size_t trial = 0; n && trial < 50; trial++) {
      uint64_t first = tt_rng_below(&rng, n), m = tt_rng_below(&rng, n - first + 1);
      tt_streams_rows(s, stream, first, m, got);
      assert_memory_equal(got, rows + first, m * sizeof *rows);
    }
    /* segments: inside them no pair is cut; all other pairs are */
    char *joined = tt_calloc(n + 1, 1); /* position p follows p - 1 in a segment */
    for (uint64_t end = 0; next < n_segments && segments[next].stream == stream; next++) {
      assert_true(segments[next].n >= 1 && segments[next].first >= end);
      end = segments[next].first + segments[next].n;
      assert_true(end <= n);
      for (uint64_t p = segments[next].first + 1; p < end; p++)
        joined[p] = 1;
    }
    for (size_t p = 1; p < n; p++)
      assert_int_equal(joined[p],
                       !fixture_cut(d, rows[p - 1], rows[p], per_cpu ? (int)stream : -1));
    tt_free(joined);
  }
  assert_int_equal(next, n_segments);
  tt_free(rows);
  tt_free(got);
  tt_streams_close(s);
}

static void test_streams(void **state) {
  (void)state;
  for (uint64_t seed = 0; seed < 14; seed++) {
    struct tt_dataset *d = fixture_gappy(700, 3, seed);
    check_streams(d, TT_STREAM_MERGED);
    check_streams(d, TT_STREAM_CPU);
    tt_dataset_close(d);
  }
  struct tt_dataset *d = fixture_gappy(40000, 300, 6); /* several blocks, sparse CPUs */
  check_streams(d, TT_STREAM_CPU);
  tt_dataset_close(d);
  enum tt_stream_kind kind = TT_STREAM_MERGED;
  assert_int_equal(tt_stream_kind_parse("cpu", &kind), TT_OK);
  assert_int_equal(kind, TT_STREAM_CPU);
  assert_int_equal(tt_stream_kind_parse("merged", &kind), TT_OK);
  assert_int_equal(kind, TT_STREAM_MERGED);
  assert_int_equal(tt_stream_kind_parse("cpus", &kind), TT_USAGE);
  tt_causes_clear();
}

/* ---- vocabularies ---- */

static struct tt_dataset *by_hand(const struct tt_event *events, size_t n, const char *const *names,
                                  size_t n_names, const char *const *comms, size_t n_comms) {
  struct tt_dataset_meta meta;
  struct tt_dataset *d = NULL;
  char *path = fixture_path("hand");
  tt_dataset_meta_init(&meta);
  for (size_t i = 0; i < n_names; i++)
    tt_names_add(&meta.events, names[i]);
  for (size_t i = 0; i < n_comms; i++)
    tt_names_add(&meta.comms, comms[i]);
  fixture_write(path, events, n, 2048, &meta);
  assert_int_equal(tt_dataset_open(path, &d), TT_OK);
  tt_dataset_meta_release(&meta);
  tt_free(path);
  return d;
}

/* The poster's table on a trace of ten events. */
static void test_by_hand(void **state) {
  (void)state;
  const char *names[] = {"never", "read", "switch", "irq"}, *comms[] = {"bash", "idle", "make"};
  const int64_t no = TT_RET_NONE;
  const struct tt_event events[] = {
      /* ts, ret, tid, comm, event, cpu */
      {0, no, 0, 1, 2, 0},   {10, 5, 300, 0, 1, 1},  {10, no, 0, 1, 2, 0},
      {30, 7, 300, 0, 1, 1}, {31, no, 300, 0, 3, 1}, {40, 5, TT_TID_NONE, TT_COMM_NONE, 1, 0},
      {90, no, 0, 1, 2, 0},  {91, no, 44, 2, 2, 1},  {99, no, 44, 0, 2, 1},
      {100, no, 0, 1, 2, 0}};
  struct tt_dataset *d = by_hand(events, 10, names, 4, comms, 3);
  struct tt_vocabulary *v = NULL;
  const struct tt_dataset *train[] = {d};
  struct tt_vocabulary_options options = {.stream = TT_STREAM_MERGED};
  assert_int_equal(tt_vocabulary_learn(train, 1, &options, &v), TT_OK);
  assert_int_equal(tt_vocabulary_events(v), 3); /* switch 6, read 3, irq 1; never: never */
  assert_string_equal(v->events.names[0], "switch");
  assert_string_equal(v->events.names[1], "read");
  assert_string_equal(v->events.names[2], "irq");
  assert_int_equal(v->event_counts[0], 6);
  assert_int_equal(tt_vocabulary_comms(v), 5); /* bash 4, idle 4: by name; make 1 */
  assert_string_equal(v->comms.names[0], "bash");
  assert_string_equal(v->comms.names[1], "idle");
  assert_int_equal(tt_vocabulary_rets(v), 5); /* PAD, UNK, 5, 7, none */
  assert_int_equal(tt_vocabulary_ret_none(v), 4);
  assert_int_equal(v->rets[0], 5);
  assert_int_equal(v->no_rets, 7);
  assert_int_equal(v->n_cpus, 2);
  assert_int_equal(v->rows, 10);
  assert_int_equal(v->dt_rows, 9);
  assert_int_equal(v->dt_max, 50);
  const double dts[] = {10, 0, 20, 1, 9, 50, 1, 8, 1};
  double mean = 0, variance = 0;
  for (size_t i = 0; i < 9; i++)
    mean += log1p(dts[i]) / 9;
  for (size_t i = 0; i < 9; i++)
    variance += (log1p(dts[i]) - mean) * (log1p(dts[i]) - mean) / 9;
  assert_true(fabs(v->dt_mean - mean) < 1e-12 && fabs(v->dt_std - sqrt(variance)) < 1e-12);

  /* threads: tid 300 and 44 share bucket 44; tid none and idle share bucket 0 */
  assert_int_equal(v->bucket_first[0], 0);
  assert_int_equal(v->bucket_first[1], 2);
  assert_int_equal(v->bucket_first[44], 2);
  assert_int_equal(v->bucket_first[256], 5);
  assert_true(v->threads[0].tid == 0 && v->threads[0].comm == 3 && v->threads[0].count == 4);
  assert_true(v->threads[1].tid == TT_TID_NONE && v->threads[1].comm == TT_ID_PAD);
  assert_true(v->threads[2].tid == 300 && v->threads[2].comm == 2 && v->threads[2].count == 3);
  struct tt_rng rng;
  struct tt_thread thread;
  tt_rng_init(&rng, 1, 1);
  size_t drawn_44 = 0;
  for (size_t i = 0; i < 4000; i++) {
    tt_vocabulary_draw_thread(v, 44, 4, &rng, &thread); /* make is always 44 */
    assert_true(thread.tid == 44 && thread.comm == 4);
    tt_vocabulary_draw_thread(v, 44, 2, &rng, &thread); /* bash: 300 three times in four */
    assert_true(thread.comm == 2);
    drawn_44 += thread.tid == 44;
    tt_vocabulary_draw_thread(v, 44, 3, &rng, &thread); /* idle isn't there: any of the bucket */
    assert_true(thread.tid == 44 || thread.tid == 300);
  }
  assert_true(drawn_44 > 850 && drawn_44 < 1150);
  tt_vocabulary_draw_thread(v, 7, 2, &rng, &thread);
  assert_true(thread.tid == 7 && thread.comm == 2 && thread.count == 0);
  assert_true(tt_vocabulary_ret_value(v, 2, &rng) == 5 && tt_vocabulary_ret_value(v, 3, &rng) == 7);
  assert_true(tt_vocabulary_ret_value(v, 4, &rng) == no &&
              tt_vocabulary_ret_value(v, 0, &rng) == no);
  assert_true(tt_vocabulary_ret_value(v, 1, &rng) == no); /* nothing to draw from */
  for (int64_t ns = 0; ns <= 50; ns++)
    assert_int_equal(tt_vocabulary_dt_ns(v, (double)tt_vocabulary_dt(v, ns)), ns);
  assert_int_equal(tt_vocabulary_dt_ns(v, 1e9), 50);
  assert_int_equal(tt_vocabulary_dt_ns(v, -1e9), 0);
  assert_int_equal(tt_vocabulary_dt_ns(v, (double)NAN), 0);
  struct tt_dataset_meta meta;
  tt_dataset_meta_init(&meta);
  assert_int_equal(tt_vocabulary_dictionaries(v, &meta), TT_OK);
  assert_string_equal(meta.comms.names[tt_vocabulary_comm_of(4)], "make");
  assert_int_equal(tt_vocabulary_comm_of(TT_ID_UNK), TT_COMM_NONE);
  tt_dataset_meta_release(&meta);

  /* another trace through it: other ids, unknown values */
  const char *other_names[] = {"fault", "irq", "switch"}, *other_comms[] = {"cc", "make"};
  const struct tt_event other[] = {
      {5, no, -1, 0, 0, 3}, {7, 6, 300, 1, 1, 1}, {9, 7, 0, TT_COMM_NONE, 2, 0}};
  struct tt_dataset *o = by_hand(other, 3, other_names, 3, other_comms, 2);
  struct tt_encoder *e = NULL;
  struct tt_channels ch;
  assert_int_equal(tt_encoder_new(v, o, &e), TT_OK);
  assert_int_equal(tt_channels_init(&ch, 3), TT_OK);
  tt_encode_range(e, 0, 3, &ch, 0);
  const uint16_t event[] = {2, 2, 0}, cpu[] = {1, 1, 0}, tid[] = {255, 44, 0};
  const uint16_t comm[] = {TT_ID_UNK, 4, TT_ID_PAD}, ret[] = {4, TT_ID_UNK, 3};
  assert_memory_equal(ch.event, event, sizeof event); /* fault: the rarest, irq */
  assert_memory_equal(ch.cpu, cpu, sizeof cpu);
  assert_memory_equal(ch.tid, tid, sizeof tid);
  assert_memory_equal(ch.comm, comm, sizeof comm);
  assert_memory_equal(ch.ret, ret, sizeof ret);
  assert_true(ch.dt[0] == 0.0f && ch.dt[1] == tt_vocabulary_dt(v, 2));
  assert_int_equal(tt_encode_event(e, 0), 2);
  assert_int_equal(tt_encode_comm(e, 1), 4);
  tt_encoder_free(e);
  tt_vocabulary_free(v);

  /* with an id for the unknown, capped comms, both traces */
  options = (struct tt_vocabulary_options){.unknown_event = true, .max_comms = 2};
  assert_int_equal(tt_vocabulary_learn(train, 1, &options, &v), TT_OK);
  assert_int_equal(tt_vocabulary_events(v), 4);
  assert_int_equal(tt_vocabulary_comms(v), 4);
  assert_int_equal(tt_encoder_new(v, o, &e), TT_OK);
  tt_encode_range(e, 0, 3, &ch, 0);
  assert_int_equal(ch.event[0], 3);
  assert_int_equal(ch.comm[1], TT_ID_UNK); /* make: beyond the cap */
  assert_int_equal(v->threads[3].comm, TT_ID_UNK);
  tt_encoder_free(e);
  tt_vocabulary_free(v);
  const struct tt_dataset *both[] = {o, d};
  options = (struct tt_vocabulary_options){0};
  assert_int_equal(tt_vocabulary_learn(both, 2, &options, &v), TT_OK);
  assert_int_equal(v->rows, 13);
  assert_string_equal(v->events.names[0], "switch");
  assert_int_equal(v->event_counts[0], 7);
  assert_string_equal(v->events.names[2], "irq"); /* 2, fault 1 */
  assert_int_equal(v->dt_rows, 11);
  tt_vocabulary_free(v);
  tt_channels_release(&ch);
  tt_dataset_close(o);

  struct tt_dataset *nothing = by_hand(events, 0, names, 4, comms, 3);
  const struct tt_dataset *empty[] = {nothing};
  assert_int_equal(tt_vocabulary_learn(empty, 1, &options, &v), TT_BAD_INPUT);
  tt_causes_clear();
  tt_dataset_close(nothing);
  tt_dataset_close(d);
}

struct pair {
  int64_t value;
  uint64_t count;
};

static int by_count(const void *a, const void *b) {
  const struct pair *x = a, *y = b;
  if (x->count != y->count)
    return x->count > y->count ? -1 : 1;
  return (x->value > y->value) - (x->value < y->value);
}

static void assert_same_vocabulary(const struct tt_vocabulary *a, const struct tt_vocabulary *b) {
  json_t *x = tt_vocabulary_to_json(a), *y = tt_vocabulary_to_json(b);
  assert_non_null(x);
  assert_true(json_equal(x, y));
  json_decref(x);
  json_decref(y);
  assert_true(a->dt_mean == b->dt_mean && a->dt_std == b->dt_std); /* bit for bit */
}

/* A naive count over random rows with gaps, on both streams. */
static void check_vocabulary(const struct tt_dataset *d, enum tt_stream_kind kind) {
  enum { RETS = 3000 };
  const struct tt_columns *c = tt_dataset_columns(d);
  struct tt_vocabulary *v = NULL;
  const struct tt_dataset *train[] = {d};
  struct tt_vocabulary_options options = {.stream = kind};
  assert_int_equal(tt_vocabulary_learn(train, 1, &options, &v), TT_OK);
  struct pair rets[RETS];
  uint64_t events[FIXTURE_EVENTS] = {0}, comms[FIXTURE_COMMS] = {0}, none = 0, n_dt = 0;
  long double sum = 0, squares = 0;
  int64_t longest = 0;
  size_t previous[8];
  for (size_t i = 0; i < 8; i++)
    previous[i] = SIZE_MAX;
  for (int64_t i = 0; i < RETS; i++)
    rets[i] = (struct pair){i - 100, 0};
  for (size_t i = 0; i < c->n; i++) {
    events[c->event[i]]++;
    if (c->comm[i] != TT_COMM_NONE)
      comms[c->comm[i]]++;
    if (c->ret[i] == TT_RET_NONE)
      none++;
    else
      rets[c->ret[i] + 100].count++;
    size_t *p = &previous[kind == TT_STREAM_CPU ? c->cpu[i] : 0];
    if (*p != SIZE_MAX && !fixture_cut(d, *p, i, kind == TT_STREAM_CPU ? c->cpu[i] : -1)) {
      int64_t ns = c->ts[i] - c->ts[*p];
      long double x = log1pl((long double)ns);
      sum += x;
      squares += x * x;
      n_dt++;
      longest = ns > longest ? ns : longest;
    }
    *p = i;
  }
  assert_int_equal(v->dt_rows, n_dt);
  assert_int_equal(v->dt_max, longest);
  assert_true(fabsl((long double)v->dt_mean - sum / n_dt) < 1e-10L);
  assert_true(fabsl((long double)v->dt_std - sqrtl(squares / n_dt - sum / n_dt * (sum / n_dt))) <
              1e-9L);
  assert_int_equal(v->no_rets, none);
  assert_int_equal(v->events.n, FIXTURE_EVENTS);
  for (size_t i = 0; i < v->events.n; i++) {
    assert_int_equal(v->event_counts[i], events[atoi(v->events.names[i] + 1)]);
    assert_true(!i || v->event_counts[i] <= v->event_counts[i - 1]);
  }
  for (size_t i = 0; i < v->comms.n; i++) {
    uint32_t id = tt_names_find(&tt_dataset_meta(d)->comms, v->comms.names[i]);
    assert_int_equal(v->comm_counts[i], comms[id]);
    assert_true(!i || v->comm_counts[i] <= v->comm_counts[i - 1]);
  }
  qsort(rets, RETS, sizeof *rets, by_count);
  size_t distinct = 0, total_rest = 0;
  while (distinct < RETS && rets[distinct].count)
    distinct++;
  assert_int_equal(v->n_rets, distinct < 1024 ? distinct : 1024);
  for (size_t i = 0; i < v->n_rets; i++)
    assert_true(v->rets[i] == rets[i].value && v->ret_counts[i] == rets[i].count);
  for (size_t i = 1024; i < distinct; i++)
    total_rest += rets[i].count;
  for (size_t i = 0; i < v->n_unk_rets; i++) {
    total_rest -= v->unk_ret_counts[i];
    assert_true(!i || v->unk_rets[i] > v->unk_rets[i - 1]);
  }
  assert_int_equal(total_rest, 0); /* all of the others are kept: fewer than 4096 */
  assert_int_equal(v->n_unk_rets, distinct > 1024 ? distinct - 1024 : 0);
  uint64_t in_threads = 0;
  for (size_t b = 0; b < TT_TID_BUCKETS; b++)
    for (size_t i = v->bucket_first[b]; i < v->bucket_first[b + 1]; i++) {
      const struct tt_thread *t = &v->threads[i];
      assert_int_equal((uint32_t)t->tid % 256, b);
      uint64_t count = 0;
      for (size_t k = 0; k < c->n; k++) {
        uint32_t comm = t->comm == TT_ID_PAD ? TT_COMM_NONE
                                             : tt_names_find(&tt_dataset_meta(d)->comms,
                                                             v->comms.names[t->comm - TT_ID_FIRST]);
        count += c->tid[k] == t->tid && c->comm[k] == comm;
      }
      assert_int_equal(t->count, count);
      in_threads += count;
    }
  assert_int_equal(in_threads, c->n);

  /* JSON and back, through text: the same to the bit */
  json_t *json = tt_vocabulary_to_json(v);
  char *text = json_dumps(json, 0);
  json_decref(json);
  json = json_loads(text, 0, NULL);
  struct tt_vocabulary *back = NULL;
  assert_int_equal(tt_vocabulary_from_json(json, &back), TT_OK);
  assert_same_vocabulary(v, back);
  assert_memory_equal(v->bucket_first, back->bucket_first, sizeof v->bucket_first);
  free(text);
  json_decref(json);
  tt_vocabulary_free(back);

  /* encoding, row by row: decoded ids give the row again */
  struct tt_encoder *e = NULL;
  struct tt_streams *s = NULL;
  struct tt_channels ch;
  assert_int_equal(tt_encoder_new(v, d, &e), TT_OK);
  assert_int_equal(tt_streams_open(d, kind, &s), TT_OK);
  assert_int_equal(tt_channels_init(&ch, c->n + 5), TT_OK);
  uint64_t *rows = tt_alloc(c->n, sizeof *rows);
  for (size_t stream = 0; stream < tt_streams_count(s); stream++) {
    size_t n = tt_streams_length(s, stream);
    tt_streams_rows(s, stream, 0, n, rows);
    for (size_t first = 0, m = 1; first < n; first += m, m = 2 * m + 1) { /* in pieces */
      m = m < n - first ? m : n - first;
      assert_int_equal(tt_encode_stream(e, s, stream, first, m, &ch, 5 + first), TT_OK);
    }
    for (size_t p = 0; p < n; p++) {
      struct tt_event x = tt_dataset_event(d, rows[p]);
      struct tt_channels one = tt_channels_slice(&ch, 5 + p, 1);
      const char *name = tt_dataset_meta(d)->events.names[x.event];
      assert_string_equal(v->events.names[*one.event], name);
      assert_int_equal(*one.cpu, x.cpu);
      assert_int_equal(*one.tid, (uint32_t)x.tid % 256);
      if (x.comm == TT_COMM_NONE)
        assert_int_equal(*one.comm, TT_ID_PAD);
      else
        assert_string_equal(v->comms.names[*one.comm - TT_ID_FIRST],
                            tt_dataset_meta(d)->comms.names[x.comm]);
      if (*one.ret == TT_ID_UNK) {
        for (size_t i = 0; i < v->n_rets; i++)
          assert_true(v->rets[i] != x.ret);
        assert_true(x.ret != TT_RET_NONE);
      } else {
        assert_true(tt_vocabulary_ret_value(v, *one.ret, NULL) == x.ret);
      }
      float dt = 0;
      if (p && !fixture_cut(d, rows[p - 1], rows[p], kind == TT_STREAM_CPU ? x.cpu : -1))
        dt = (float)((log1p((double)(x.ts - c->ts[rows[p - 1]])) - v->dt_mean) / v->dt_std);
      assert_true(*one.dt == dt);
    }
  }
  tt_free(rows);
  tt_channels_release(&ch);
  tt_streams_close(s);
  tt_encoder_free(e);
  tt_vocabulary_free(v);
}

static void test_vocabulary(void **state) {
  (void)state;
  for (uint64_t seed = 0; seed < 7; seed++) {
    struct tt_dataset *d = fixture_gappy(seed == 6 ? 20000 : 1500, 3, seed);
    check_vocabulary(d, TT_STREAM_MERGED);
    check_vocabulary(d, TT_STREAM_CPU);
    tt_dataset_close(d);
  }
}

/* The order of a dataset's dictionaries and of the datasets doesn't matter. */
static void test_order_of_ids(void **state) {
  (void)state;
  enum { N = 3000 };
  struct tt_event *events = fixture_events(N, 3, 9), *turned = fixture_events(N, 3, 9);
  const char *names[FIXTURE_EVENTS], *comms[FIXTURE_COMMS], *turned_names[FIXTURE_EVENTS],
      *turned_comms[FIXTURE_COMMS];
  struct tt_dataset_meta meta;
  fixture_meta(&meta);
  for (size_t i = 0; i < FIXTURE_EVENTS; i++) {
    names[i] = meta.events.names[i];
    turned_names[FIXTURE_EVENTS - 1 - i] = names[i];
  }
  for (size_t i = 0; i < FIXTURE_COMMS; i++) {
    comms[i] = meta.comms.names[i];
    turned_comms[FIXTURE_COMMS - 1 - i] = comms[i];
  }
  for (size_t i = 0; i < N; i++) {
    turned[i].event = (uint16_t)(FIXTURE_EVENTS - 1 - turned[i].event);
    if (turned[i].comm != TT_COMM_NONE)
      turned[i].comm = FIXTURE_COMMS - 1 - turned[i].comm;
  }
  struct tt_dataset *a = by_hand(events, N, names, FIXTURE_EVENTS, comms, FIXTURE_COMMS);
  struct tt_dataset *b =
      by_hand(turned, N, turned_names, FIXTURE_EVENTS, turned_comms, FIXTURE_COMMS);
  struct tt_dataset *c = fixture_gappy(500, 3, 2);
  const struct tt_dataset *one[] = {a, c}, *two[] = {c, b};
  struct tt_vocabulary *v = NULL, *w = NULL;
  struct tt_vocabulary_options options = {.stream = TT_STREAM_CPU};
  assert_int_equal(tt_vocabulary_learn(one, 2, &options, &v), TT_OK);
  assert_int_equal(tt_vocabulary_learn(two, 2, &options, &w), TT_OK);
  v->dt_mean = w->dt_mean; /* sums of the rare long dts, in another order: the last bit */
  v->dt_std = w->dt_std;
  assert_same_vocabulary(v, w);
  tt_vocabulary_free(v);
  tt_vocabulary_free(w);
  tt_dataset_close(a);
  tt_dataset_close(b);
  tt_dataset_close(c);
  tt_dataset_meta_release(&meta);
  tt_free(events);
  tt_free(turned);
}

/* More distinct values than are kept: quantiles; more than counters: still the frequent ones. */
static void test_many_rets(void **state) {
  (void)state;
  enum { N = 60000 };
  struct tt_event *events = fixture_events(N, 2, 1);
  for (size_t i = 0; i < N; i++) {
    events[i].ret = i % 3 ? (int64_t)i * 1000 : (int64_t)(i / 3 % 7); /* 40000 once, 7 often */
    events[i].tid = (int32_t)(i % 50000);
  }
  char *path = fixture_path("rets");
  struct tt_dataset *d = NULL;
  fixture_write(path, events, N, 2048, NULL);
  assert_int_equal(tt_dataset_open(path, &d), TT_OK);
  const struct tt_dataset *train[] = {d};
  const size_t counters[] = {0, 5000};
  for (size_t round = 0; round < 2; round++) {
    struct tt_vocabulary *v = NULL;
    struct tt_vocabulary_options options = {.counters = counters[round]};
    assert_int_equal(tt_vocabulary_learn(train, 1, &options, &v), TT_OK);
    assert_true(round ? v->n_rets >= 7 : v->n_rets == 1024);
    uint64_t seen = 0;
    for (size_t i = 0; i < 7; i++) {
      assert_true(v->rets[i] >= 0 && v->rets[i] < 7);
      seen |= 1u << v->rets[i];
    }
    assert_int_equal(seen, 127);
    assert_true(v->n_unk_rets <= TT_VOCABULARY_UNK_RETS);
    for (size_t b = 0; b < TT_TID_BUCKETS; b++)
      assert_true(v->bucket_first[b + 1] - v->bucket_first[b] <= TT_VOCABULARY_BUCKET_THREADS);
    if (round == 0) { /* exact: quantiles follow the distribution */
      assert_int_equal(v->n_unk_rets, TT_VOCABULARY_UNK_RETS);
      int64_t middle = v->unk_rets[TT_VOCABULARY_UNK_RETS / 2];
      assert_true(middle > 29000000 && middle < 32000000);
      struct tt_rng rng;
      tt_rng_init(&rng, 1, 2);
      double sum = 0;
      for (size_t i = 0; i < 2000; i++)
        sum += (double)tt_vocabulary_ret_value(v, TT_ID_UNK, &rng) / 2000;
      assert_true(sum > 28.5e6 && sum < 32e6);
    }
    tt_vocabulary_free(v);
  }
  tt_dataset_close(d);
  tt_free(events);
  tt_free(path);
}

/* What must be refused when a model's vocabulary is damaged: replace `from` by `to`. */
static void test_bad_json(void **state) {
  (void)state;
  static const struct {
    const char *from, *to, *says;
  } cases[] = {
      {"\"stream\"", "\"x\"", "\"stream\" is missing"},
      {"\"merged\"", "\"merge\"", "neither \"merged\" nor \"cpu\""},
      {"\"rows\": 3,", "\"rows\": -3,", "\"rows\" is not"},
      {"\"cpus\": 2", "\"cpus\": 0", "\"cpus\" is not within"},
      {"\"std\": ", "\"std\": -", "\"std\" must be above 0"},
      {"\"mean\"", "\"mean2\"", "\"mean\" is missing"},
      {"[\"a\", 2]", "[\"a\"]", "\"events\": entry 0"},
      {"[\"a\", 2]", "[\"b\", 2]", "\"events\": entry 1"},
      {"[[\"a\", 2], [\"b\", 1]]", "[]", "\"events\" is empty"},
      {"\"comms\": [", "\"comms\": [2, ", "\"comms\": entry 0"},
      {"[5, 1]", "[5, 0]", "\"rets\": entry 0"},
      {"[5, 1]", "[5.5, 1]", "\"rets\": entry 0"},
      {"\"other_rets\": []", "\"other_rets\": {}", "\"other_rets\" is not a list"},
      {"[1, 2, 2]", "[1, 3, 2]", "\"threads\": entry"},
      {"[1, 2, 2]", "[1, 2, 0]", "\"threads\": entry"},
      {"[1, 2, 2]", "[9, 2, 2]", "\"threads\": entry"}, /* buckets go down */
      {"[1, 2, 2]", "[5000000000, 2, 2]", "\"threads\": entry"},
  };
  const char *names[] = {"a", "b"}, *comms[] = {"c"};
  const struct tt_event events[] = {
      {0, 5, 1, 0, 0, 0}, {10, TT_RET_NONE, 1, 0, 1, 1}, {12, TT_RET_NONE, 7, 0, 0, 1}};
  struct tt_dataset *d = by_hand(events, 3, names, 2, comms, 1);
  const struct tt_dataset *train[] = {d};
  struct tt_vocabulary *v = NULL;
  assert_int_equal(tt_vocabulary_learn(train, 1, &(struct tt_vocabulary_options){0}, &v), TT_OK);
  json_t *json = tt_vocabulary_to_json(v);
  char *text = json_dumps(json, 0);
  json_decref(json);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char *at = strstr(text, cases[i].from);
    if (!at)
      fail_msg("case %zu: \"%s\" is not in %s", i, cases[i].from, text);
    char *bad =
        tt_format("%.*s%s%s", (int)(at - text), text, cases[i].to, at + strlen(cases[i].from));
    json = json_loads(bad, 0, NULL);
    assert_non_null(json);
    struct tt_vocabulary *refused = NULL;
    tt_causes_clear();
    enum tt_status status = tt_vocabulary_from_json(json, &refused);
    bool said = false;
    for (size_t c = 0; c < tt_cause_count(); c++)
      said = said || strstr(tt_cause(c), cases[i].says);
    if (status != TT_BAD_INPUT || !said)
      fail_msg("case %zu: %s: status %d, \"%s\"", i, bad, status,
               tt_cause_count() ? tt_cause(0) : "");
    json_decref(json);
    tt_free(bad);
  }
  json = json_integer(3);
  struct tt_vocabulary *refused = NULL;
  assert_int_equal(tt_vocabulary_from_json(json, &refused), TT_BAD_INPUT);
  json_decref(json);
  tt_causes_clear();
  free(text);
  tt_vocabulary_free(v);
  tt_dataset_close(d);
}

static void test_channel_sets(void **state) {
  (void)state;
  unsigned set = 0;
  assert_int_equal(tt_channel_set_parse(NULL, &set), TT_OK);
  assert_int_equal(set, TT_CHANNELS_ALL);
  assert_int_equal(tt_channel_set_parse("event", &set), TT_OK);
  assert_int_equal(set, TT_CHANNEL_BIT(event));
  assert_int_equal(tt_channel_set_parse("ret,event,dt", &set), TT_OK);
  assert_int_equal(set, TT_CHANNEL_BIT(event) | TT_CHANNEL_BIT(dt) | TT_CHANNEL_BIT(ret));
  assert_int_equal(tt_channel_set_parse("system", &set), TT_OK);
  assert_int_equal(set, 15);
  assert_int_equal(tt_channel_set_parse("full", &set), TT_OK);
  assert_int_equal(set, 63);
  const char *bad[] = {"", "dt", "event,", "event,tis", "event dt", ",event"};
  for (size_t i = 0; i < 6; i++)
    assert_int_equal(tt_channel_set_parse(bad[i], &set), TT_USAGE);
  assert_int_equal(set, 63);
  tt_causes_clear();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_counts),       cmocka_unit_test(test_streams),
      cmocka_unit_test(test_by_hand),      cmocka_unit_test(test_vocabulary),
      cmocka_unit_test(test_order_of_ids), cmocka_unit_test(test_many_rets),
      cmocka_unit_test(test_bad_json),     cmocka_unit_test(test_channel_sets),
  };
  return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
