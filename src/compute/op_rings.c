/* Attention while sampling many sequences that advance at their own pace: one query each. Bound by
 * reading the rings, so rotation, append and attention are one pass over them per row. */
#include <math.h>
#include <omp.h>
#ifdef __AVX512F__
#include <immintrin.h>
#endif

#include "base/mem.h"
#include "compute/kernels.h"
#include "compute/vector_math.h"

enum { MAX_HEAD = 256, MAX_WINDOW = 4096, MAX_TOGETHER = 64 };
enum { LANES = 16, TOGETHER = 8 };

enum tt_status tt_kv_rings_create(const struct tt_compute *c, size_t slots, size_t window,
                                  size_t together, size_t d, struct tt_kv_rings *ret) {
  size_t positions;
  const size_t capacity = window + together - 1, stride = (capacity + LANES - 1) / LANES * LANES;
  struct tt_kv_rings rings = {.dtype = c->dtype,
                              .slots = slots,
                              .window = window,
                              .capacity = capacity,
                              .stride = stride,
                              .d = d};
  TT_ASSERT(window > 0 && window <= MAX_WINDOW && together > 0 && together <= MAX_TOGETHER);
  if (!__builtin_mul_overflow(slots, stride, &positions)) {
    rings.keys = tt_calloc(positions, d * tt_dtype_size(rings.dtype));
    rings.values = tt_calloc(positions, d * tt_dtype_size(rings.dtype));
  }
  if (!rings.keys || !rings.values) {
    tt_kv_rings_release(&rings);
    return tt_fail(TT_NO_MEMORY, "keys and values of %zu sequences of %zu positions", slots,
                   window);
  }
  *ret = rings;
  return TT_OK;
}

void tt_kv_rings_release(struct tt_kv_rings *rings) {
  tt_free(rings->keys);
  tt_free(rings->values);
  *rings = (struct tt_kv_rings){0};
}

/* Keys and values of n neighbouring places. */
static void copy_places(struct tt_kv_rings *rings, size_t from, size_t to, size_t at, size_t n) {
  const size_t d = rings->d, stride = rings->stride, size = tt_dtype_size(rings->dtype);
  char *keys = rings->keys, *values = rings->values;
  for (size_t j = 0; j < d; j++)
    memcpy(keys + ((to * d + j) * stride + at) * size, keys + ((from * d + j) * stride + at) * size,
           n * size);
  memcpy(values + (to * stride + at) * d * size, values + (from * stride + at) * d * size,
         n * d * size);
}

void tt_kv_rings_copy(struct tt_kv_rings *rings, size_t from, size_t to, uint64_t first,
                      uint64_t n) {
  TT_ASSERT(from < rings->slots && to < rings->slots && from != to);
  if (n >= rings->capacity) {
    copy_places(rings, from, to, 0, rings->capacity);
    return;
  }
  const size_t at = (size_t)(first % rings->capacity), end = at + (size_t)n;
  if (end > rings->capacity)
    copy_places(rings, from, to, 0, end - rings->capacity);
  copy_places(rings, from, to, at, (end > rings->capacity ? rings->capacity : end) - at);
}

/* Rotates the heads of x [n] in place, as tt_op_rotary does; frequencies: [head / 2]. */
static void rotate(float *x, size_t n, size_t head, const double *frequencies, uint64_t position) {
  const size_t half = head / 2;
  for (size_t j = 0; j < half; j++) {
    double angle = (double)position * frequencies[j];
    float co = (float)cos(angle), si = (float)sin(angle);
    for (size_t h = 0; h < n; h += head) {
      float a = x[h + j], b = x[h + j + half];
      x[h + j] = a * co - b * si;
      x[h + j + half] = b * co + a * si;
    }
  }
}

/* What a query sees of a ring: places [0, wrapped) and [begin, end). */
struct view {
  size_t wrapped, begin, end;
};

static struct view view_of(uint64_t position, size_t window, size_t capacity) {
  const size_t n = position < window ? (size_t)position + 1 : window;
  const size_t begin = (size_t)((position + 1 - n) % capacity), end = begin + n;
  return end > capacity ? (struct view){end - capacity, begin, capacity}
                        : (struct view){0, begin, end};
}

/* LANES numbers at a time, computed in f32; `half`: they are stored as bf16, the upper half of one.
 * A constant wherever it is passed, so that nothing asks for it in a loop. */
typedef float lanes __attribute__((vector_size(LANES * sizeof(float)), aligned(4)));
typedef uint32_t bits __attribute__((vector_size(LANES * sizeof(uint32_t)), aligned(4)));
typedef uint16_t halves __attribute__((vector_size(LANES * sizeof(uint16_t)), aligned(2)));
#define INLINE static inline __attribute__((always_inline))

INLINE lanes load(const void *x, size_t at, bool half) {
  lanes v;
  if (half) {
#ifdef __AVX512F__ /* GCC 12 makes two halves of what is below, and puts them together */
    const __m256i upper = _mm256_loadu_si256((const __m256i *)((const uint16_t *)x + at));
    const __m512i whole = _mm512_slli_epi32(_mm512_cvtepu16_epi32(upper), 16);
#else
    halves upper;
    memcpy(&upper, (const uint16_t *)x + at, sizeof upper);
    const bits whole = __builtin_convertvector(upper, bits) << 16;
#endif
    memcpy(&v, &whole, sizeof v);
  } else {
    memcpy(&v, (const float *)x + at, sizeof v);
  }
  return v;
}

INLINE float load_one(const void *x, size_t at, bool half) {
  float v;
  if (half) {
    const uint32_t whole = (uint32_t)((const uint16_t *)x)[at] << 16;
    memcpy(&v, &whole, sizeof v);
  } else {
    v = ((const float *)x)[at];
  }
  return v;
}

/* out[k] = q . key k for all places, rounded up to LANES; keys: [head, stride] from `at` on. Sums
 * of every eighth product, then pairs of these: as a vectorised dot product has it. */
INLINE void score(float *out, const float *q, const void *keys, size_t at, size_t stride,
                  size_t head, float scale, bool half) {
  for (size_t k = 0; k < stride; k += LANES) {
    lanes s[8] = {0};
    size_t j = 0;
    for (; j + 8 <= head; j += 8)
      for (size_t l = 0; l < 8; l++)
        s[l] += q[j + l] * load(keys, at + (j + l) * stride + k, half);
    for (; j < head; j++)
      s[j % 8] += q[j] * load(keys, at + j * stride + k, half);
    s[0] = ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
    s[0] *= scale;
    memcpy(out + k, &s[0], sizeof s[0]);
  }
}

/* Weights from scores, [stride], of places that are seen: the same of the ring for every head. What
 * isn't seen gets none. */
static void softmax(float *weight, size_t stride, const struct view *view) {
  float most[LANES], max = -INFINITY, sum = 0;
  lanes sums = {0};
  for (size_t k = view->wrapped; k < view->begin; k++)
    weight[k] = -INFINITY;
  for (size_t k = view->end; k < stride; k++)
    weight[k] = -INFINITY;
  memcpy(most, weight, sizeof most);
  for (size_t k = LANES; k < stride; k += LANES)
    for (size_t l = 0; l < LANES; l++)
      most[l] = weight[k + l] > most[l] ? weight[k + l] : most[l];
  for (size_t l = 0; l < LANES; l++)
    max = most[l] > max ? most[l] : max;
  for (size_t k = 0; k < stride; k++)
    weight[k] = tt_exp(weight[k] - max); /* of -INFINITY about 1e-38 */
  for (size_t k = 0; k < stride; k += LANES)
    sums += load(weight, k, false);
  for (size_t l = 0; l < LANES; l++)
    sum += sums[l];
  for (size_t k = 0; k < stride; k++)
    weight[k] /= sum;
}

struct ring { /* of one sequence */
  const void *keys, *values;
  size_t stride, d, head;
};

/* out[n * LANES] = columns of the values from `column` on, weighted: those of a head by its row of
 * weights [heads, stride]. n: a constant wherever it is passed, or the sums are kept in memory. */
INLINE void weigh_lanes(float *out, const float *weights, const struct ring *ring, size_t column,
                        size_t n, const struct view *view, bool half) {
  const size_t begins[2] = {0, view->begin}, ends[2] = {view->wrapped, view->end};
  const float *weight[TOGETHER];
  lanes sums[TOGETHER] = {0};
  for (size_t i = 0; i < n; i++)
    weight[i] = weights + (column + i * LANES) / ring->head * ring->stride;
  for (size_t p = 0; p < 2; p++)
    for (size_t k = begins[p]; k < ends[p]; k++)
      for (size_t i = 0; i < n; i++)
        sums[i] += weight[i][k] * load(ring->values, k * ring->d + column + i * LANES, half);
  memcpy(out, sums, n * sizeof *sums);
}

static float weigh_one(const float *weight, const struct ring *ring, size_t column,
                       const struct view *view, bool half) {
  const size_t begins[2] = {0, view->begin}, ends[2] = {view->wrapped, view->end};
  float sum = 0;
  for (size_t p = 0; p < 2; p++)
    for (size_t k = begins[p]; k < ends[p]; k++)
      sum += weight[k] * load_one(ring->values, k * ring->d + column, half);
  return sum;
}

/* out[d] = softmax(q K^T) V over what is seen, head by head. Both are read from end to end, as the
 * processor foresees it: rings of many sequences are in memory, not in a cache. weights: scratch,
 * [heads, stride]. */
INLINE void attend(float *out, const float *q, const struct ring *ring, const struct view *view,
                   float *weights, bool half) {
  const size_t d = ring->d, head = ring->head, stride = ring->stride;
  for (size_t h = 0; h < d; h += head)
    score(weights + h / head * stride, q + h, ring->keys, h * stride, stride, head,
          1 / sqrtf((float)head), half);
  for (size_t h = 0; h < d; h += head)
    softmax(weights + h / head * stride, stride, view);
  size_t column = 0;
  if (head % LANES == 0) {
    for (; column + TOGETHER * LANES <= d; column += TOGETHER * LANES)
      weigh_lanes(out + column, weights, ring, column, TOGETHER, view, half);
    for (; column < d; column += LANES)
      weigh_lanes(out + column, weights, ring, column, 1, view, half);
  }
  for (; column < d; column++)
    out[column] = weigh_one(weights + column / head * stride, ring, column, view, half);
}

static void attend_f32(float *out, const float *q, const struct ring *ring, const struct view *view,
                       float *weights) {
  attend(out, q, ring, view, weights, false);
}

static void attend_bf16(float *out, const float *q, const struct ring *ring,
                        const struct view *view, float *weights) {
  attend(out, q, ring, view, weights, true);
}

/* Puts a row's key and value, [d] each, into place `at` of the ring; `row`: [d] scratch. */
static void append(void *keys, void *values, const struct tt_kv_rings *rings, size_t at,
                   const float *key, const float *value, void *row) {
  const size_t d = rings->d, stride = rings->stride;
  tt_convert_from_f32((char *)values + at * d * tt_dtype_size(rings->dtype), rings->dtype, value,
                      d);
  tt_convert_from_f32(row, rings->dtype, key, d);
  if (rings->dtype == TT_BF16)
    for (size_t j = 0; j < d; j++)
      ((uint16_t *)keys)[j * stride + at] = ((const uint16_t *)row)[j];
  else
    for (size_t j = 0; j < d; j++)
      ((float *)keys)[j * stride + at] = ((const float *)row)[j];
}

/* The rows of each sequence: group g is rows [first[g], first[g + 1]). */
static size_t group_rows(const uint32_t *slots, size_t n, size_t *first) {
  size_t groups = 0;
  for (size_t i = 0; i < n; i++)
    if (i == 0 || slots[i] != slots[i - 1])
      first[groups++] = i;
  first[groups] = n;
  return groups;
}

struct tt_tensor *tt_op_attention_rings(struct tt_compute *c, struct tt_tensor *qkv, size_t heads,
                                        bool rotary, struct tt_kv_rings *rings,
                                        const uint32_t *slots, const uint64_t *positions) {
  const size_t n = qkv->rows, d = rings->d, head = d / heads, size = tt_dtype_size(qkv->dtype);
  const size_t window = rings->window, capacity = rings->capacity, stride = rings->stride;
  TT_ASSERT(!c->record && qkv->cols == 3 * d && d % heads == 0 && head <= MAX_HEAD);
  double start = tt_op_start(c);
  struct tt_tensor *y = tt_tensor_new(c, qkv->dtype, n, d);
  float *rows = tt_arena(c, n * 4 * d, sizeof *rows); /* q, k, v, result of each row */
  size_t *first = tt_arena(c, n + 1, sizeof *first);
  float *scratch = tt_arena(c, (size_t)omp_get_max_threads() * heads * stride, sizeof *scratch);
  const size_t groups = group_rows(slots, n, first);
  double frequencies[MAX_HEAD / 2];
  for (size_t j = 0; j < head / 2; j++)
    frequencies[j] = pow(10000, -(double)j / (double)(head / 2));
#pragma omp parallel for schedule(static)
  for (size_t g = 0; g < groups; g++) {
    const size_t slot = slots[first[g]];
    TT_ASSERT(slot < rings->slots && first[g + 1] - first[g] <= capacity - window + 1);
    const size_t begin = slot * stride * d * tt_dtype_size(rings->dtype);
    void *keys = (char *)rings->keys + begin, *values = (char *)rings->values + begin;
    const struct ring ring = {keys, values, stride, d, head};
    float *weights = scratch + (size_t)omp_get_thread_num() * heads * stride;
    for (size_t i = first[g]; i < first[g + 1]; i++) {
      float *q = rows + i * 4 * d;
      tt_convert_to_f32(q, (const char *)qkv->data + i * 3 * d * size, qkv->dtype, 3 * d);
      if (rotary) /* queries and keys, side by side */
        rotate(q, 2 * d, head, frequencies, positions[i]);
      append(keys, values, rings, (size_t)(positions[i] % capacity), q + d, q + 2 * d, q + 3 * d);
    }
    for (size_t i = first[g]; i < first[g + 1]; i++) {
      float *q = rows + i * 4 * d, *out = q + 3 * d;
      const struct view view = view_of(positions[i], window, capacity);
      (rings->dtype == TT_BF16 ? attend_bf16 : attend_f32)(out, q, &ring, &view, weights);
      tt_convert_from_f32((char *)y->data + i * d * size, qkv->dtype, out, d);
    }
  }
  tt_op_stop(c, TT_OP_attention, start, 0);
  return y;
}
