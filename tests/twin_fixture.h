/* What a generator makes, kept in memory, and compared field by field. Include after cmocka.h. */
#ifndef TESTS_TWIN_FIXTURE_H
#define TESTS_TWIN_FIXTURE_H

#include <string.h>

#include "base/mem.h"
#include "generators/generator.h"

struct twin {
  struct tt_event *events; /* [n] tt_free it */
  size_t n, capacity;
};

static inline enum tt_status twin_keep(void *user, const struct tt_event *events, size_t n) {
  struct twin *twin = user;
  assert_true(twin->n + n <= twin->capacity);
  memcpy(twin->events + twin->n, events, n * sizeof *events);
  twin->n += n;
  return TT_OK;
}

/* Exactly n events, in order of time. */
static inline struct twin twin_generate(const struct tt_generator *generator, size_t n,
                                        uint64_t seed) {
  struct twin twin = {.events = tt_calloc(n, sizeof *twin.events), .capacity = n};
  const struct tt_generate_config config = {.events = n, .seed = seed};
  const struct tt_event_sink sink = {twin_keep, &twin};
  assert_int_equal(tt_generator_generate(generator, &config, &sink), TT_OK);
  assert_int_equal(twin.n, n);
  for (size_t i = 1; i < twin.n; i++)
    assert_true(twin.events[i].ts >= twin.events[i - 1].ts);
  return twin;
}

/* The first n events of both are the same; not by memcmp: there is padding. */
static inline bool twin_same(const struct tt_event *a, const struct tt_event *b, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (a[i].ts != b[i].ts || a[i].ret != b[i].ret || a[i].tid != b[i].tid ||
        a[i].comm != b[i].comm || a[i].event != b[i].event || a[i].cpu != b[i].cpu)
      return false;
  return true;
}

#endif
