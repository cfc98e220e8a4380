/* Sum of embeddings. The backward gives each thread some columns of all tables and walks the rows
 * in order: no two threads write the same place, no sum depends on how many there are. */
#include "compute/block.h"
#include "compute/loops/loops.h"

#define COLUMNS ((size_t)64)

void tt_loop_embed_forward(const struct tt_k_embed *k) {
  const size_t d = k->d;
#pragma omp parallel for schedule(static) if (k->rows * d > TT_PARALLEL_ELEMENTS)
  for (size_t i = 0; i < k->rows; i++)
    for (size_t first = 0; first < d; first += TT_BLOCK) {
      float sum[TT_BLOCK];
      const size_t n = d - first < TT_BLOCK ? d - first : TT_BLOCK;
      memset(sum, 0, n * sizeof *sum);
      for (size_t c = 0; c < k->n; c++) {
        if (k->ids[i * k->n + c] < 0)
          continue;
        const float *row = k->tables[c]->data + (size_t)k->ids[i * k->n + c] * d + first;
        for (size_t j = 0; j < n; j++)
          sum[j] += row[j];
      }
      tt_convert_from_f32((char *)k->y + (i * d + first) * tt_dtype_size(k->dtype), k->dtype, sum,
                          n);
    }
}

void tt_loop_embed_backward(const struct tt_k_embed_backward *k) {
  const struct tt_k_embed *f = &k->forward;
  const size_t d = f->d, slices = (d + COLUMNS - 1) / COLUMNS;
#pragma omp parallel for schedule(static) if (f->rows * d > TT_PARALLEL_ELEMENTS)
  for (size_t s = 0; s < slices; s++) {
    const size_t first = s * COLUMNS, n = d - first < COLUMNS ? d - first : COLUMNS;
    float dy[COLUMNS];
    for (size_t i = 0; i < f->rows; i++) {
      tt_convert_to_f32(dy, (const char *)k->dy + (i * d + first) * tt_dtype_size(f->dtype),
                        f->dtype, n);
      for (size_t c = 0; c < f->n; c++) {
        if (f->ids[i * f->n + c] < 0)
          continue;
        float *row = f->tables[c]->grad + (size_t)f->ids[i * f->n + c] * d + first;
        for (size_t j = 0; j < n; j++)
          row[j] += dy[j];
      }
    }
  }
}
