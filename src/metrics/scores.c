#include "metrics/scores.h"

#include "base/mem.h"

enum tt_status tt_scorer_init(struct tt_scorer *ret, size_t n_classes) {
  struct tt_class_score *classes = tt_calloc(n_classes, sizeof *classes);
  if (!classes)
    return tt_fail(TT_NO_MEMORY, "scores of %zu classes", n_classes);
  *ret = (struct tt_scorer){.n_classes = n_classes, .classes = classes};
  return TT_OK;
}

void tt_scorer_release(struct tt_scorer *scorer) {
  tt_free(scorer->classes);
  *scorer = (struct tt_scorer){0};
}

void tt_scorer_add(struct tt_scorer *scorer, size_t truth, size_t predicted, size_t rank) {
  TT_ASSERT(truth < scorer->n_classes && predicted < scorer->n_classes);
  scorer->classes[truth].support++;
  scorer->classes[predicted].predicted++;
  scorer->classes[truth].hits += truth == predicted;
  scorer->in5 += rank < 5;
  scorer->in10 += rank < 10;
  scorer->samples++;
}

struct tt_scores tt_scorer_result(struct tt_scorer *scorer) {
  struct tt_scores ret = {.samples = scorer->samples};
  if (scorer->samples == 0)
    return ret;
  double n = (double)scorer->samples, hits = 0;
  for (size_t i = 0; i < scorer->n_classes; i++) {
    struct tt_class_score *c = &scorer->classes[i];
    /* 2 precision recall / (precision + recall) without its divisions by zero */
    uint64_t sum = c->support + c->predicted;
    c->f1 = sum ? 2.0 * (double)c->hits / (double)sum : 0.0;
    hits += (double)c->hits;
    if (c->support == 0)
      continue;
    ret.classes++;
    ret.macro_f1 += c->f1;
    ret.weighted_f1 += c->f1 * (double)c->support;
  }
  ret.macro_f1 /= (double)ret.classes;
  ret.weighted_f1 /= n;
  ret.accuracy = hits / n;
  ret.top5 = (double)scorer->in5 / n;
  ret.top10 = (double)scorer->in10 / n;
  return ret;
}

size_t tt_rank_of(const float *score, size_t n, size_t truth) {
  float own = score[truth];
  size_t rank = 0;
  for (size_t i = 0; i < truth; i++)
    rank += score[i] >= own;
  for (size_t i = truth + 1; i < n; i++)
    rank += score[i] > own;
  return rank;
}
