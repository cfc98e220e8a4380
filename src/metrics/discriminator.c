/* The classifier is linear on purpose: with a few hundred to a few thousand windows of sparse
 * counts an L2-regularised linear model is hard to beat, has one setting, and trains in a second.
 * AdaGrad (Duchi et al. 2011) gives every hashed feature its own rate, so that rare features (an
 * n-gram that only one side has) count as soon as they appear. */
#include "metrics/discriminator.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "metrics/table.h"

#define WINDOW 64
#define FOLDS 5
#define MIN_WINDOWS 10
#define MAX_WINDOWS 4000 /* of each side, evenly spaced */
#define DIMENSIONS ((size_t)1 << 14)
#define PASSES 20
#define RATE 0.3
#define L2 1e-4
/* per event: 3 n-grams, 1 per-CPU pair, dt, comm, ret, thread change */
#define FEATURES_PER_EVENT 8

struct sparse {
  uint32_t n;
  uint32_t index[WINDOW * FEATURES_PER_EVENT];
  float value[WINDOW * FEATURES_PER_EVENT];
};

static int compare_u32(const void *left, const void *right) {
  uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
  return a < b ? -1 : a > b;
}

/* log2 bin of a positive number, sign apart: coarse enough to be shared by many events. */
static uint64_t magnitude(int64_t value) {
  uint64_t x = value < 0 ? -(uint64_t)value : (uint64_t)value, bits = 0;
  while (x) {
    x >>= 1;
    bits++;
  }
  return bits * 2 + (value < 0);
}

/* before[row]: the row before it on its CPU, or UINT32_MAX. */
static void window_features(const struct tt_view *view, const uint32_t *before, size_t first,
                            enum tt_discriminator_features features, struct sparse *ret) {
  uint32_t raw[WINDOW * FEATURES_PER_EVENT];
  size_t n = 0;
  for (size_t i = first; i < first + WINDOW; i++) {
    uint64_t event = view->event[i], gram = 0;
    for (size_t k = 0; k < 3 && i - first >= k; k++) {
      gram = tt_mix(gram + k + 1, view->event[i - k]);
      raw[n++] = (uint32_t)(gram % DIMENSIONS);
    }
    if (before[i] != UINT32_MAX)
      raw[n++] = (uint32_t)(tt_mix(tt_mix(11, view->event[before[i]]), event) % DIMENSIONS);
    if (features == TT_FEATURES_EVENTS)
      continue;
    if (view->dt_merged[i] != TT_DT_NONE)
      raw[n++] = (uint32_t)(tt_mix(tt_mix(12, event), magnitude(view->dt_merged[i])) % DIMENSIONS);
    raw[n++] = (uint32_t)(tt_mix(tt_mix(13, event), view->comm[i]) % DIMENSIONS);
    if (view->ret[i] != TT_RET_NONE)
      raw[n++] = (uint32_t)(tt_mix(tt_mix(14, event), magnitude(view->ret[i])) % DIMENSIONS);
    if (before[i] != UINT32_MAX)
      raw[n++] =
          (uint32_t)(tt_mix(tt_mix(15, event), view->tid[i] != view->tid[before[i]]) % DIMENSIONS);
  }
  TT_ASSERT(n <= WINDOW * FEATURES_PER_EVENT);
  qsort(raw, n, sizeof *raw, compare_u32);
  double square = 0;
  ret->n = 0;
  for (size_t i = 0; i < n;) {
    size_t end = i;
    while (end < n && raw[end] == raw[i])
      end++;
    float value = log1pf((float)(end - i));
    ret->index[ret->n] = raw[i];
    ret->value[ret->n++] = value;
    square += (double)value * value;
    i = end;
  }
  float scale = (float)(1.0 / sqrt(square));
  for (size_t i = 0; i < ret->n; i++)
    ret->value[i] *= scale;
}

/* First rows of the windows of a view that no gap cuts, at most `limit`, evenly spaced. */
static enum tt_status find_windows(const struct tt_view *view, size_t **ret, size_t *ret_n) {
  size_t n = 0, *first = tt_alloc(view->n / WINDOW, sizeof *first);
  if (!first)
    return tt_fail(TT_NO_MEMORY, "windows of %zu events", view->n);
  for (size_t i = 0, run = 0; i < view->n; i++) {
    run = view->merged_fresh[i] ? 1 : run + 1;
    if (run == WINDOW) {
      first[n++] = i + 1 - WINDOW;
      run = 0;
    }
  }
  *ret = first;
  *ret_n = n;
  return TT_OK;
}

static enum tt_status rows_before(const struct tt_view *view, uint32_t **ret) {
  uint32_t *before = tt_alloc(view->n, sizeof *before);
  if (!before)
    return tt_fail(TT_NO_MEMORY, "predecessors of %zu events", view->n);
  for (size_t k = 0; k < view->n; k++)
    before[view->order[k]] = view->cpu_fresh[k] ? UINT32_MAX : view->order[k - 1];
  *ret = before;
  return TT_OK;
}

static double score(const float *weight, double bias, const struct sparse *x) {
  double sum = bias;
  for (size_t i = 0; i < x->n; i++)
    sum += (double)(weight[x->index[i]] * x->value[i]);
  return sum;
}

/* Trains on every window but those of `fold`; the window order is shuffled once per pass. */
static void train_fold(const struct sparse *windows, const uint8_t *label, uint32_t *permutation,
                       size_t n, size_t fold, struct tt_rng *rng, float *weight, float *squares,
                       double *ret_bias) {
  double bias = 0, bias_squares = 1e-6;
  memset(weight, 0, DIMENSIONS * sizeof *weight);
  for (size_t i = 0; i < DIMENSIONS; i++)
    squares[i] = 1e-6f;
  for (int pass = 0; pass < PASSES; pass++) {
    for (size_t i = n; i > 1; i--) { /* Fisher-Yates */
      size_t j = (size_t)tt_rng_below(rng, i);
      uint32_t swap = permutation[i - 1];
      permutation[i - 1] = permutation[j];
      permutation[j] = swap;
    }
    for (size_t k = 0; k < n; k++) {
      size_t w = permutation[k];
      if (w / 2 % FOLDS == fold)
        continue;
      const struct sparse *x = &windows[w];
      double error = 1 / (1 + exp(-score(weight, bias, x))) - label[w];
      for (size_t i = 0; i < x->n; i++) {
        uint32_t f = x->index[i];
        float g = (float)error * x->value[i] + (float)L2 * weight[f];
        squares[f] += g * g;
        weight[f] -= (float)RATE * g / sqrtf(squares[f]);
      }
      bias_squares += error * error;
      bias -= RATE * error / sqrt(bias_squares);
    }
  }
  *ret_bias = bias;
}

enum tt_status tt_discriminator_auc(const struct tt_view *a, const struct tt_view *b,
                                    enum tt_discriminator_features features, uint64_t seed,
                                    double *ret_auc) {
  const struct tt_view *views[2] = {a, b};
  size_t *first[2] = {NULL, NULL}, have[2] = {0, 0};
  uint32_t *before[2] = {NULL, NULL}, *permutation = NULL;
  struct sparse *windows = NULL;
  uint8_t *label = NULL, *fold_label = NULL;
  float *weight = NULL, *squares = NULL;
  double *scores = NULL;
  enum tt_status status = TT_OK;
  for (int side = 0; side < 2 && status == TT_OK; side++) {
    status = find_windows(views[side], &first[side], &have[side]);
    if (status == TT_OK)
      status = rows_before(views[side], &before[side]);
  }
  if (status != TT_OK)
    goto cleanup;
  size_t each = have[0] < have[1] ? have[0] : have[1];
  each = each < MAX_WINDOWS ? each : MAX_WINDOWS;
  if (each < MIN_WINDOWS) {
    *ret_auc = NAN;
    goto cleanup;
  }
  size_t n = 2 * each;
  windows = tt_alloc(n, sizeof *windows);
  label = tt_alloc(n, sizeof *label);
  fold_label = tt_alloc(n, sizeof *fold_label);
  permutation = tt_alloc(n, sizeof *permutation);
  weight = tt_alloc(DIMENSIONS, sizeof *weight);
  squares = tt_alloc(DIMENSIONS, sizeof *squares);
  scores = tt_alloc(n, sizeof *scores);
  if (!windows || !label || !fold_label || !permutation || !weight || !squares || !scores) {
    status = tt_fail(TT_NO_MEMORY, "a discriminator of %zu windows", n);
    goto cleanup;
  }
  for (size_t w = 0; w < n; w++) { /* sides alternate, so that folds are balanced: w / 2 % FOLDS */
    size_t side = w % 2, i = w / 2 * have[side] / each;
    window_features(views[side], before[side], first[side][i], features, &windows[w]);
    label[w] = (uint8_t)side;
    permutation[w] = (uint32_t)w;
  }
  double sum = 0;
  struct tt_rng rng;
  tt_rng_init(&rng, seed, 0);
  for (size_t fold = 0; fold < FOLDS; fold++) {
    double bias, auc;
    train_fold(windows, label, permutation, n, fold, &rng, weight, squares, &bias);
    size_t held = 0;
    for (size_t w = 0; w < n; w++)
      if (w / 2 % FOLDS == fold) {
        scores[held] = score(weight, bias, &windows[w]);
        fold_label[held++] = label[w];
      }
    status = tt_auc(scores, fold_label, held, &auc);
    if (status != TT_OK)
      goto cleanup;
    sum += auc;
  }
  *ret_auc = sum / FOLDS;
cleanup:
  for (int side = 0; side < 2; side++) {
    tt_free(first[side]);
    tt_free(before[side]);
  }
  tt_free(windows);
  tt_free(label);
  tt_free(fold_label);
  tt_free(permutation);
  tt_free(weight);
  tt_free(squares);
  tt_free(scores);
  return status;
}

struct scored {
  double score;
  uint8_t positive;
};

static int by_score(const void *left, const void *right) {
  const struct scored *a = left, *b = right;
  return a->score < b->score ? -1 : a->score > b->score;
}

enum tt_status tt_auc(const double *score_of, const uint8_t *positive, size_t n, double *ret_auc) {
  struct scored *sorted = tt_alloc(n, sizeof *sorted);
  if (!sorted)
    return tt_fail(TT_NO_MEMORY, "ranking %zu scores", n);
  for (size_t i = 0; i < n; i++)
    sorted[i] = (struct scored){score_of[i], positive[i]};
  qsort(sorted, n, sizeof *sorted, by_score);
  /* pairs (positive above negative), ties half */
  double won = 0, negatives = 0, positives = 0;
  for (size_t i = 0; i < n;) {
    double tied[2] = {0, 0};
    size_t end = i;
    for (; end < n && !(sorted[end].score > sorted[i].score); end++)
      tied[sorted[end].positive != 0]++;
    won += tied[1] * (negatives + tied[0] / 2);
    negatives += tied[0];
    positives += tied[1];
    i = end;
  }
  *ret_auc = negatives > 0 && positives > 0 ? won / (negatives * positives) : NAN;
  tt_free(sorted);
  return TT_OK;
}
