/* Attention while sampling many sequences that advance at their own pace: one query each. Bound by
 * reading the rings, so rotation, append and attention are one pass over them per row. */
#include <math.h>

#include "base/mem.h"
#include "compute/kernels.h"
#include "compute/vector_math.h"

enum { MAX_HEAD = 256, MAX_WINDOW = 4096 };

enum tt_status tt_kv_rings_create(size_t slots, size_t window, size_t together, size_t d,
                                  struct tt_kv_rings *ret) {
  size_t positions;
  struct tt_kv_rings rings = {
      .slots = slots, .window = window, .capacity = window + together - 1, .d = d};
  TT_ASSERT(window > 0 && window <= MAX_WINDOW && together > 0);
  if (!__builtin_mul_overflow(slots, rings.capacity, &positions)) {
    rings.keys = tt_alloc(positions, d * sizeof *rings.keys);
    rings.values = tt_alloc(positions, d * sizeof *rings.values);
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

/* What a query sees of a ring: n positions from `begin` on, around its end. In the order of places
 * in the ring, which one piece or two make up. */
struct view {
  size_t begin, n, capacity;
};

static size_t place(const struct view *view, size_t k) {
  const size_t wrapped =
      view->begin + view->n > view->capacity ? view->begin + view->n - view->capacity : 0;
  return k < wrapped ? k : view->begin + k - wrapped;
}

/* One head: out[head] = softmax(q K^T) V over what is seen, rows d apart. */
static void attend(float *out, const float *q, const float *keys, const float *values,
                   const struct view *view, size_t d, size_t head) {
  float weight[MAX_WINDOW], max = -INFINITY, sum = 0;
  const float scale = 1 / sqrtf((float)head);
  const size_t n = view->n;
  for (size_t k = 0; k < n; k++) {
    const float *key = keys + place(view, k) * d;
    float dot = 0;
#pragma omp simd reduction(+ : dot)
    for (size_t j = 0; j < head; j++)
      dot += q[j] * key[j];
    weight[k] = dot * scale;
    max = weight[k] > max ? weight[k] : max;
  }
  for (size_t k = 0; k < n; k++) {
    weight[k] = tt_exp(weight[k] - max);
    sum += weight[k];
  }
  for (size_t j = 0; j < head; j++)
    out[j] = 0;
  for (size_t k = 0; k < n; k++) {
    const float *value = values + place(view, k) * d, share = weight[k] / sum;
#pragma omp simd
    for (size_t j = 0; j < head; j++)
      out[j] += share * value[j];
  }
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
  const size_t window = rings->window, capacity = rings->capacity;
  TT_ASSERT(!c->record && qkv->cols == 3 * d && d % heads == 0 && head <= MAX_HEAD);
  double start = tt_op_start(c);
  struct tt_tensor *y = tt_tensor_new(c, qkv->dtype, n, d);
  float *rows = tt_arena(c, n * 4 * d, sizeof *rows); /* q, k, v, result of each row */
  size_t *first = tt_arena(c, n + 1, sizeof *first);
  const size_t groups = group_rows(slots, n, first);
  double frequencies[MAX_HEAD / 2];
  for (size_t j = 0; j < head / 2; j++)
    frequencies[j] = pow(10000, -(double)j / (double)(head / 2));
#pragma omp parallel for schedule(static)
  for (size_t g = 0; g < groups; g++) {
    const size_t slot = slots[first[g]];
    TT_ASSERT(slot < rings->slots && first[g + 1] - first[g] <= capacity - window + 1);
    float *keys = rings->keys + slot * capacity * d, *values = rings->values + slot * capacity * d;
    for (size_t i = first[g]; i < first[g + 1]; i++) {
      float *q = rows + i * 4 * d;
      tt_convert_to_f32(q, (const char *)qkv->data + i * 3 * d * size, qkv->dtype, 3 * d);
      if (rotary) /* queries and keys, side by side */
        rotate(q, 2 * d, head, frequencies, positions[i]);
      const size_t at = (size_t)(positions[i] % capacity);
      memcpy(keys + at * d, q + d, d * sizeof *q);
      memcpy(values + at * d, q + 2 * d, d * sizeof *q);
    }
    for (size_t i = first[g]; i < first[g + 1]; i++) {
      const float *q = rows + i * 4 * d;
      float *out = rows + i * 4 * d + 3 * d;
      const size_t known = positions[i] < window ? (size_t)positions[i] + 1 : window;
      const struct view view = {(size_t)((positions[i] + 1 - known) % capacity), known, capacity};
      for (size_t h = 0; h < d; h += head)
        attend(out + h, q + h, keys + h, values + h, &view, d, head);
      tt_convert_from_f32((char *)y->data + i * d * size, qkv->dtype, out, d);
    }
  }
  tt_op_stop(c, TT_OP_attention, start, 0);
  return y;
}
