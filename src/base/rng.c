#include "base/rng.h"

#include <math.h>
#include <string.h>

#include "base/status.h"

void tt_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
  uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
  uint32_t k0 = key[0], k1 = key[1];
  for (int round = 0; round < 10; round++) {
    uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
    uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
    c1 = (uint32_t)p1;
    c3 = (uint32_t)p0;
    c0 = n0;
    c2 = n2;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

void tt_rng_init(struct tt_rng *rng, uint64_t seed, uint64_t stream) {
  memset(rng, 0, sizeof *rng);
  rng->seed = seed;
  rng->stream = stream;
  rng->used = 4;
}

uint32_t tt_rng_u32(struct tt_rng *rng) {
  if (rng->used == 4) {
    const uint32_t counter[4] = {(uint32_t)rng->counter, (uint32_t)(rng->counter >> 32),
                                 (uint32_t)rng->stream, (uint32_t)(rng->stream >> 32)};
    const uint32_t key[2] = {(uint32_t)rng->seed, (uint32_t)(rng->seed >> 32)};
    tt_philox(counter, key, rng->block);
    rng->counter++;
    rng->used = 0;
  }
  return rng->block[rng->used++];
}

uint64_t tt_rng_u64(struct tt_rng *rng) {
  uint64_t high = tt_rng_u32(rng);
  return high << 32 | tt_rng_u32(rng);
}

double tt_rng_uniform(struct tt_rng *rng) {
  return (double)(tt_rng_u64(rng) >> 11) * 0x1p-53;
}

uint64_t tt_rng_below(struct tt_rng *rng, uint64_t n) {
  TT_ASSERT(n > 0);
  unsigned __int128 product = (unsigned __int128)tt_rng_u64(rng) * n;
  if ((uint64_t)product < n) {
    uint64_t threshold = -n % n;
    while ((uint64_t)product < threshold)
      product = (unsigned __int128)tt_rng_u64(rng) * n;
  }
  return (uint64_t)(product >> 64);
}

double tt_rng_normal(struct tt_rng *rng) {
  double radius = sqrt(-2.0 * log(1.0 - tt_rng_uniform(rng)));
  return radius * cos(6.283185307179586476925 * tt_rng_uniform(rng));
}

size_t tt_rng_pick(struct tt_rng *rng, const float *weight, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; i++)
    sum += (double)weight[i];
  TT_ASSERT(n > 0 && sum > 0);
  double target = tt_rng_uniform(rng) * sum, cumulative = 0;
  size_t last = 0;
  for (size_t i = 0; i < n; i++) {
    if (!(weight[i] > 0))
      continue;
    cumulative += (double)weight[i];
    last = i;
    if (target < cumulative)
      return i;
  }
  return last; /* rounding: the last index with weight */
}
