/* Reference attention: one query at a time, its whole row of probabilities, nothing else kept. */
#include "compute/ref/ref.h"
#include "compute/scratch.h"

static float score(const struct tt_k_attention *k, size_t b, size_t h, size_t i, size_t j) {
  float sum = 0;
  for (size_t e = 0; e < k->head; e++)
    sum += ref_get(k->q, k->dtype, b * k->q_batch + i * k->q_row + h * k->head + e) *
           ref_get(k->k, k->dtype, b * k->kv_batch + j * k->kv_row + h * k->head + e);
  return sum / sqrtf((float)k->head);
}

static void keys_of(const struct tt_k_attention *k, size_t i, size_t *begin, size_t *end) {
  tt_mask_interval(&k->spec, k->query_first + i, begin, end);
  *end = *end < k->n_keys ? *end : k->n_keys;
}

void tt_ref_attention_forward(const struct tt_k_attention *k) {
  const size_t L = k->spec.length, H = k->spec.heads, E = k->head;
  float *p = tt_scratch(TT_SCRATCH_A, k->n_keys * sizeof *p);
  for (size_t b = 0; b < k->spec.batch; b++)
    for (size_t h = 0; h < H; h++)
      for (size_t i = 0; i < L; i++) {
        size_t begin, end;
        keys_of(k, i, &begin, &end);
        float max = -INFINITY, sum = 0;
        for (size_t j = begin; j < end; j++)
          max = fmaxf(max, p[j] = score(k, b, h, i, j));
        for (size_t j = begin; j < end; j++)
          sum += p[j] = expf(p[j] - max);
        if (k->lse)
          k->lse[(b * H + h) * L + i] = max + logf(sum);
        for (size_t e = 0; e < E; e++) {
          float out = 0;
          for (size_t j = begin; j < end; j++)
            out +=
                p[j] / sum * ref_get(k->v, k->dtype, b * k->kv_batch + j * k->kv_row + h * E + e);
          ref_put(k->out, k->dtype, (b * L + i) * H * E + h * E + e, out);
        }
      }
}

/* P = exp(S - lse); dS = P (dP - D) with dP = dO V^T, D = rowsum(dO O). */
void tt_ref_attention_backward(const struct tt_k_attention_backward *k) {
  const struct tt_k_attention *f = &k->forward;
  const size_t L = f->spec.length, H = f->spec.heads, E = f->head;
  float *dq = tt_scratch(TT_SCRATCH_A, 3 * L * E * sizeof *dq), *dk = dq + L * E, *dv = dk + L * E;
  for (size_t b = 0; b < f->spec.batch; b++)
    for (size_t h = 0; h < H; h++) {
      const size_t at = b * f->q_batch + h * E;
      memset(dq, 0, 3 * L * E * sizeof *dq);
      for (size_t i = 0; i < L; i++) {
        const size_t out_at = (b * L + i) * H * E + h * E;
        size_t begin, end;
        keys_of(f, i, &begin, &end);
        for (size_t j = begin; j < end; j++) {
          const float p = expf(score(f, b, h, i, j) - f->lse[(b * H + h) * L + i]);
          float dp = 0, D = 0;
          for (size_t e = 0; e < E; e++) {
            const float dout = ref_get(k->dout, f->dtype, out_at + e);
            dp += dout * ref_get(f->v, f->dtype, at + j * f->kv_row + e);
            D += dout * ref_get(f->out, f->dtype, out_at + e);
          }
          const float ds = p * (dp - D) / sqrtf((float)E);
          for (size_t e = 0; e < E; e++) {
            dq[i * E + e] += ds * ref_get(f->k, f->dtype, at + j * f->kv_row + e);
            dk[j * E + e] += ds * ref_get(f->q, f->dtype, at + i * f->q_row + e);
            dv[j * E + e] += p * ref_get(k->dout, f->dtype, out_at + e);
          }
        }
      }
      for (size_t i = 0; i < L; i++)
        for (size_t e = 0; e < E; e++) {
          ref_put(k->dq, f->dtype, at + i * f->q_row + e, dq[i * E + e]);
          ref_put(k->dk, f->dtype, at + i * f->q_row + e, dk[i * E + e]);
          ref_put(k->dv, f->dtype, at + i * f->q_row + e, dv[i * E + e]);
        }
    }
}
