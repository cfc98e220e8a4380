/* Reference sum of embeddings. */
#include "compute/ref/ref.h"

void tt_ref_embed_forward(const struct tt_k_embed *k) {
  for (size_t i = 0; i < k->rows; i++)
    for (size_t j = 0; j < k->d; j++) {
      float sum = 0;
      for (size_t c = 0; c < k->n; c++)
        if (k->ids[i * k->n + c] >= 0)
          sum += k->tables[c]->data[(size_t)k->ids[i * k->n + c] * k->d + j];
      ref_put(k->y, k->dtype, i * k->d + j, sum);
    }
}

void tt_ref_embed_backward(const struct tt_k_embed_backward *k) {
  const struct tt_k_embed *f = &k->forward;
  for (size_t i = 0; i < f->rows; i++)
    for (size_t c = 0; c < f->n; c++)
      for (size_t j = 0; j < f->d && f->ids[i * f->n + c] >= 0; j++)
        f->tables[c]->grad[(size_t)f->ids[i * f->n + c] * f->d + j] +=
            ref_get(k->dy, f->dtype, i * f->d + j);
}
