#include "trace/sha256.h"

#include <stdio.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

/* FIPS 180-4, 4.2.2 */
static const uint32_t constants[64] __attribute__((aligned(16))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static bool have_native(void) {
  unsigned a, b, c, d;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 29 & 1) &&
         __builtin_cpu_supports("sse4.1");
}

/* n whole blocks. The instructions want the state as (ABEF, CDGH) and do two rounds each; W of four
 * rounds is one register, extended as FIPS 180-4, 6.2.2 (Intel SDM, SHA256MSG1/MSG2). */
__attribute__((target("sha,sse4.1"))) static void blocks(uint32_t state[8], const uint8_t *data,
                                                         size_t n) {
  const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  __m128i dcba = _mm_loadu_si128((const __m128i *)state);
  __m128i hgfe = _mm_loadu_si128((const __m128i *)(state + 4));
  __m128i cdab = _mm_shuffle_epi32(dcba, 0xb1), efgh = _mm_shuffle_epi32(hgfe, 0x1b);
  __m128i abef = _mm_alignr_epi8(cdab, efgh, 8), cdgh = _mm_blend_epi16(efgh, cdab, 0xf0);
  for (; n > 0; n--, data += 64) {
    __m128i abef_0 = abef, cdgh_0 = cdgh, w[4];
    for (int i = 0; i < 4; i++)
      w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(data + 16 * i)), swap);
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) {
      if (i >= 4)
        w[i & 3] =
            _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(w[i & 3], w[(i + 1) & 3]),
                                               _mm_alignr_epi8(w[(i + 3) & 3], w[(i + 2) & 3], 4)),
                                 w[(i + 3) & 3]);
      __m128i wk = _mm_add_epi32(w[i & 3], _mm_load_si128((const __m128i *)(constants + 4 * i)));
      cdgh = _mm_sha256rnds2_epu32(cdgh, abef, wk);
      abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(wk, 0x0e));
    }
    abef = _mm_add_epi32(abef, abef_0);
    cdgh = _mm_add_epi32(cdgh, cdgh_0);
  }
  __m128i feba = _mm_shuffle_epi32(abef, 0x1b), dchg = _mm_shuffle_epi32(cdgh, 0xb1);
  _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(feba, dchg, 0xf0));
  _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}
#else
static bool have_native(void) {
  return false;
}
static void blocks(uint32_t state[8], const uint8_t *data, size_t n) {
  (void)state, (void)data, (void)n;
}
#endif

void tt_sha256_init(struct tt_sha256 *sha, bool native) {
  *sha = (struct tt_sha256){.native = native && have_native(),
                            .state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f,
                                      0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
  if (!sha->native)
    SHA256Init(&sha->portable);
}

void tt_sha256_add(struct tt_sha256 *sha, const void *data, size_t n) {
  if (!sha->native) {
    SHA256Update(&sha->portable, data, n);
    return;
  }
  const uint8_t *p = data;
  size_t held = sha->bytes % 64;
  sha->bytes += n;
  if (held > 0) {
    size_t k = n < 64 - held ? n : 64 - held;
    memcpy(sha->pending + held, p, k);
    p += k;
    n -= k;
    if (held + k < 64)
      return;
    blocks(sha->state, sha->pending, 1);
  }
  blocks(sha->state, p, n / 64);
  memcpy(sha->pending, p + n / 64 * 64, n % 64);
}

void tt_sha256_finish(struct tt_sha256 *sha, char ret_hex[65]) {
  uint8_t digest[32];
  if (sha->native) {
    uint64_t bits = sha->bytes * 8;
    uint8_t padding[72] = {0x80};
    size_t n = (sha->bytes % 64 < 56 ? 56 : 120) - sha->bytes % 64;
    for (size_t i = 0; i < 8; i++)
      padding[n + i] = (uint8_t)(bits >> (56 - 8 * i));
    tt_sha256_add(sha, padding, n + 8);
    for (size_t i = 0; i < 32; i++)
      digest[i] = (uint8_t)(sha->state[i / 4] >> (24 - 8 * (i % 4)));
  } else {
    SHA256Final(digest, &sha->portable);
  }
  for (size_t i = 0; i < 32; i++)
    snprintf(ret_hex + 2 * i, 3, "%02x", digest[i]);
}
