/* What happened in one kind of machine (the body of one call, a workload outside of calls, ...), as
 * sequences of items, and the chains found in them. */
#ifndef GENERATORS_RULES_CORPUS_H
#define GENERATORS_RULES_CORPUS_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* Tokens that are no items: where a sequence begins, ends, or was cut off. Chains stand for several
 * items. Items are events and TT_RULES_CALL + name (rules.h), all below TT_TOKEN_CHAIN. */
#define TT_TOKEN_CHAIN UINT32_C(0x40000000)
#define TT_TOKEN_START UINT32_C(0x80000000)
#define TT_TOKEN_END UINT32_C(0x80000001)
#define TT_TOKEN_CUT UINT32_C(0x80000002)
#define TT_TOKEN_ENTER UINT32_C(0x80000003) /* what was going on when the trace began */

struct tt_corpus {
  uint32_t *tokens; /* [n] sequences: [START or ENTER] items (END or CUT) */
  size_t n, capacity;
  uint64_t seen, stride; /* sequences; every stride-th is kept */
};

struct tt_chain { /* of two tokens, each an item or an earlier chain */
  uint32_t left, right, length;
};

struct tt_chains {
  struct tt_chain *chains; /* [n]; number k is token TT_TOKEN_CHAIN + k */
  size_t n, capacity;
};

/* Appends a sequence with its end. Beyond 2^20 tokens every second sequence is dropped, and from
 * then on only every second one kept. TT_NO_MEMORY only. */
enum tt_status tt_corpus_add(struct tt_corpus *corpus, const uint32_t *tokens, size_t n);
void tt_corpus_release(struct tt_corpus *corpus);
/* Replaces the most frequent pair of neighbours by a new chain, again and again, until there are
 * `most` chains or no pair occurs `least` times (Re-Pair: Larsson & Moffat, "Off-line
 * dictionary-based compression", 2000). A chain makes the machine remember more than one item. */
enum tt_status tt_corpus_chain(struct tt_corpus *corpus, size_t most, uint32_t least,
                               struct tt_chains *ret);
void tt_chains_release(struct tt_chains *chains);

#endif
