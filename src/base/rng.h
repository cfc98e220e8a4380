/* Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as
 * 1, 2, 3", SC'11). The nth number of stream (seed, stream) is a pure function of the three, so
 * that results depend on neither timing nor thread count: give every parallel unit its own stream.
 */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

struct tt_rng {
  uint64_t seed, stream, counter; /* counter: next block of four words; save all to resume */
  uint32_t block[4];
  uint32_t used; /* words of `block` already handed out, 0..4 */
};

void tt_rng_init(struct tt_rng *rng, uint64_t seed, uint64_t stream);
uint32_t tt_rng_u32(struct tt_rng *rng);
uint64_t tt_rng_u64(struct tt_rng *rng);
/* Uniform in [0, 1), 53 bits. */
double tt_rng_uniform(struct tt_rng *rng);
/* Uniform in 0..n-1 without bias (Lemire); n > 0. */
uint64_t tt_rng_below(struct tt_rng *rng, uint64_t n);
/* Standard normal (Box-Muller in double). */
double tt_rng_normal(struct tt_rng *rng);
/* n standard normals (Box-Muller in float: none beyond 6.8) from the next (n + 3) / 4 blocks; words
 * left over from the block before are dropped. Others than tt_rng_normal's (normals.c). */
void tt_rng_normals(struct tt_rng *rng, float *out, size_t n);
/* Index drawn with probability weight[i] / sum by inverse CDF in double; weights >= 0, sum > 0. */
size_t tt_rng_pick(struct tt_rng *rng, const float *weight, size_t n);
/* The raw block function: out = Philox4x32-10(counter, key). */
void tt_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

#endif
