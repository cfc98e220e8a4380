/* SHA-256 (FIPS 180-4), by the processor's SHA instructions where it has them (ten times libmd's
 * speed: hashing must not slow an import), else by libmd. */
#ifndef TRACE_SHA256_H
#define TRACE_SHA256_H

#include <sha2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tt_sha256 {
  bool native;
  uint32_t state[8];
  uint64_t bytes;      /* hashed so far, `pending` included */
  uint8_t pending[64]; /* [bytes % 64] */
  SHA2_CTX portable;
};

/* native = false: use libmd in any case (tests). */
void tt_sha256_init(struct tt_sha256 *sha, bool native);
void tt_sha256_add(struct tt_sha256 *sha, const void *data, size_t n);
/* Ends it; 64 hex digits and a NUL. */
void tt_sha256_finish(struct tt_sha256 *sha, char ret_hex[65]);

#endif
