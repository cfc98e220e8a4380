#include "predictor/baseline.h"

#include "base/mem.h"
#include "metrics/table.h"

#define CHUNK 4096

/* Reads a segment's classes chunk by chunk and hands each position the `order` classes before it.
 */
typedef enum tt_status visit_fn(void *user, const int32_t *classes, size_t context, int32_t next);

static enum tt_status visit(const struct tt_source_slice *source, size_t order, visit_fn *fn,
                            void *user) {
  uint64_t *rows = tt_alloc(CHUNK, sizeof *rows);
  int32_t *classes = tt_alloc(CHUNK, sizeof *classes);
  enum tt_status status = TT_OK;
  if (!rows || !classes) {
    status = tt_fail(TT_NO_MEMORY, "a chunk of events");
    goto cleanup;
  }
  const uint16_t *event = tt_dataset_columns(source->dataset)->event;
  for (size_t s = 0; s < source->n_segments; s++) {
    const struct tt_segment *segment = &source->segments[s];
    for (uint64_t done = 0; done + 1 < segment->n;) {
      /* Chunks overlap by `order` positions, so that every context is whole. */
      uint64_t begin = done < order ? 0 : done + 1 - order;
      size_t n = segment->n - begin < CHUNK ? (size_t)(segment->n - begin) : CHUNK;
      tt_streams_rows(source->streams, segment->stream, segment->first + begin, n, rows);
      for (size_t i = 0; i < n; i++)
        classes[i] = source->class_of[event[rows[i]]];
      for (size_t i = (size_t)(done + 1 - begin); i < n; i++) {
        size_t context = i < order ? i : order;
        status = fn(user, classes + i - context, context, classes[i]);
        if (status != TT_OK)
          goto cleanup;
      }
      done = begin + n - 1;
    }
  }
cleanup:
  tt_free(rows);
  tt_free(classes);
  return status;
}

struct counter {
  struct tt_table pairs; /* (context, next) -> v[0]: count */
  struct tt_table best;  /* context -> v[0]: count of its most frequent successor, v[1]: it */
  size_t order;
  struct tt_scorer scorer;
};

static uint64_t context_key(const int32_t *classes, size_t n) {
  uint64_t key = n;
  for (size_t i = 0; i < n; i++)
    key = tt_mix(key, (uint64_t)classes[i]);
  return key;
}

static enum tt_status count(void *user, const int32_t *classes, size_t context, int32_t next) {
  struct counter *counter = user;
  for (size_t n = 0; n <= context; n++) {
    uint64_t key = context_key(classes + context - n, n);
    struct tt_slot *pair = tt_table_at(&counter->pairs, tt_mix(key, (uint64_t)next));
    struct tt_slot *best = tt_table_at(&counter->best, key);
    if (!pair || !best)
      return tt_fail(TT_NO_MEMORY, "counts of successors");
    if (++pair->v[0] > best->v[0]) {
      best->v[0] = pair->v[0];
      best->v[1] = (uint64_t)next;
    }
  }
  return TT_OK;
}

static enum tt_status predict(void *user, const int32_t *classes, size_t context, int32_t next) {
  struct counter *counter = user;
  const struct tt_slot *best = NULL;
  for (size_t n = context + 1; n-- > 0 && !best;)
    best = tt_table_find(&counter->best, context_key(classes + context - n, n));
  size_t predicted = best ? (size_t)best->v[1] : 0;
  tt_scorer_add(&counter->scorer, (size_t)next, predicted,
                predicted == (size_t)next ? 0 : TT_RANK_NEVER);
  return TT_OK;
}

enum tt_status tt_baseline_scores(const struct tt_source_slice *sources, size_t n_sources,
                                  const struct tt_source_slice *test, size_t order,
                                  size_t n_classes, struct tt_scores *ret) {
  struct counter counter = {.order = order};
  tt_table_init(&counter.pairs);
  tt_table_init(&counter.best);
  enum tt_status status = tt_scorer_init(&counter.scorer, n_classes);
  for (size_t i = 0; i < n_sources && status == TT_OK; i++)
    status = visit(&sources[i], order, count, &counter);
  if (status == TT_OK)
    status = visit(test, order, predict, &counter);
  if (status == TT_OK) {
    *ret = tt_scorer_result(&counter.scorer);
    ret->top5 = ret->top10 = 0;
  }
  tt_scorer_release(&counter.scorer);
  tt_table_release(&counter.pairs);
  tt_table_release(&counter.best);
  return status;
}
