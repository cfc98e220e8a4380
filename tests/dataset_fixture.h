/* Small random datasets for the tests of src/dataset. Include after cmocka.h. */
#ifndef TESTS_DATASET_FIXTURE_H
#define TESTS_DATASET_FIXTURE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/output.h"
#include "base/rng.h"
#include "dataset/dataset.h"
#include "folder_fixture.h"

enum { FIXTURE_EVENTS = 12, FIXTURE_COMMS = 5, FIXTURE_TIDS = 40 };

static unsigned fixture_number;

/* A path that isn't there yet; release with tt_free. */
static char *fixture_path(const char *name) {
  return tt_format("%s/%u-%s", fixture_folder, fixture_number++, name);
}

/* Dictionaries: e0.. and c0.., comm 3 not being UTF-8. */
static void fixture_meta(struct tt_dataset_meta *meta) {
  char name[16];
  tt_dataset_meta_init(meta);
  for (int i = 0; i < FIXTURE_EVENTS; i++) {
    snprintf(name, sizeof name, "e%d", i);
    tt_names_add(&meta->events, name);
  }
  for (int i = 0; i < FIXTURE_COMMS; i++) {
    snprintf(name, sizeof name, i == 3 ? "c\xff%d" : "c%d", i);
    tt_names_add(&meta->comms, name);
  }
}

/* n events on `cpus` CPUs, time steps 0..3 ns mostly, ids skewed, some without tid, comm, ret. */
static struct tt_event *fixture_events(size_t n, uint16_t cpus, uint64_t seed) {
  struct tt_event *events = tt_alloc(n, sizeof *events);
  struct tt_rng rng;
  int64_t ts = 100;
  tt_rng_init(&rng, seed, 0);
  for (size_t i = 0; i < n; i++) {
    uint64_t dt = tt_rng_below(&rng, 50) ? tt_rng_below(&rng, 4) : tt_rng_below(&rng, 100000);
    ts += (int64_t)dt;
    uint64_t event = tt_rng_below(&rng, FIXTURE_EVENTS), other = tt_rng_below(&rng, FIXTURE_EVENTS);
    uint64_t tid = tt_rng_below(&rng, FIXTURE_TIDS + 1), comm = tt_rng_below(&rng, 6);
    uint64_t ret = tt_rng_below(&rng, 4);
    events[i] =
        (struct tt_event){.ts = ts,
                          .ret = ret ? TT_RET_NONE : (int64_t)tt_rng_below(&rng, 3000) - 100,
                          .tid = tid == FIXTURE_TIDS ? TT_TID_NONE : (int32_t)(tid * 100) - 300,
                          .comm = comm == FIXTURE_COMMS ? TT_COMM_NONE : (uint32_t)comm,
                          .event = (uint16_t)(event < other ? event : other),
                          .cpu = (uint16_t)tt_rng_below(&rng, cpus)};
  }
  return events;
}

/* meta NULL: the fixture's dictionaries and nothing else. */
static void fixture_write(const char *path, const struct tt_event *events, size_t n,
                          size_t shard_events, const struct tt_dataset_meta *meta) {
  struct tt_dataset_writer *writer = NULL;
  struct tt_dataset_meta own;
  fixture_meta(&own);
  assert_int_equal(tt_dataset_writer_begin_sharded(path, false, shard_events, &writer), TT_OK);
  for (size_t done = 0, m = 1; done < n; done += m, m = m * 3 + 1) { /* in pieces of all sizes */
    m = m < n - done ? m : n - done;
    assert_int_equal(tt_dataset_writer_append(writer, events + done, m), TT_OK);
  }
  assert_int_equal(tt_dataset_writer_finish(writer, meta ? meta : &own), TT_OK);
  tt_dataset_meta_release(&own);
}

/* A dataset of n events with random gaps (also of a CPU that has no rows, also overlapping) and two
 * or three sources, open. */
static inline struct tt_dataset *fixture_gappy(size_t n, uint16_t cpus, uint64_t seed) {
  struct tt_event *events = fixture_events(n, cpus, seed);
  struct tt_dataset_meta meta;
  struct tt_rng rng;
  struct tt_dataset *d = NULL;
  char *path = fixture_path("gappy");
  tt_rng_init(&rng, seed, 1);
  fixture_meta(&meta);
  for (size_t i = 0; i < seed % 7; i++) {
    int64_t begin = events[tt_rng_below(&rng, n)].ts + (int64_t)tt_rng_below(&rng, 5) - 2;
    int64_t length = (int64_t)tt_rng_below(&rng, i % 2 ? 3 : 300);
    tt_dataset_meta_add_gap(
        &meta, &(struct tt_gap){begin, begin + length, i, (uint16_t)tt_rng_below(&rng, cpus + 1u)});
  }
  uint64_t a = n / 3 + seed, b = n / 2 + seed;
  tt_dataset_meta_add_source(&meta, "one", "ctf-lttng", "", "", 0, a);
  if (seed % 2) {
    tt_dataset_meta_add_source(&meta, "two", "ctf-lttng", "", "", a, b - a);
    tt_dataset_meta_add_source(&meta, "three", "ctf-lttng", "", "", b, n - b);
  } else {
    tt_dataset_meta_add_source(&meta, "two", "ctf-lttng", "", "", a, n - a);
  }
  fixture_write(path, events, n, 2048, &meta);
  assert_int_equal(tt_dataset_open(path, &d), TT_OK);
  tt_dataset_meta_release(&meta);
  tt_free(events);
  tt_free(path);
  return d;
}

/* The definition of a cut between rows a < b: of CPU `cpu`'s stream, or -1: the merged one. */
static inline bool fixture_cut(const struct tt_dataset *d, size_t a, size_t b, int cpu) {
  const struct tt_columns *c = tt_dataset_columns(d);
  const struct tt_dataset_meta *m = tt_dataset_meta(d);
  for (size_t i = 0; i < m->n_gaps; i++)
    if ((cpu < 0 || m->gaps[i].cpu == cpu) && m->gaps[i].begin <= c->ts[b] &&
        m->gaps[i].end >= c->ts[a])
      return true;
  for (size_t i = 0; i < m->n_sources; i++)
    if (m->sources[i].first > a && m->sources[i].first <= b)
      return true;
  return false;
}

#endif
