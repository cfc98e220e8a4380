/* The generator `masked`: block-wise masked (absorbing) diffusion over each CPU's stream, on the
 * same prior and state as `ar` (system/system.h).
 *
 * The stream is cut into blocks of up to `block` events; a block ends early with the event after
 * which another thread may run, so that one thread runs throughout and its state is known. What
 * follows such an event within the block is the token END. Where a thread has one more event after
 * such a one (decode.h), that is all of a block; the rest stays masked.
 *
 *   encoder   ar's causal Transformer over what happened, with state: h after the last event before
 *             the block. It runs once per block, over the events of the one before: the keys and
 *             values of the past are read once per block instead of once per event.
 *   decoder   a small bidirectional Transformer over the block's places: embedding of the event, or
 *             of "masked", of the place, and a projection of h (encoder-decoder block diffusion:
 *             Arriola et al. 2025, E2D2; blocks: Arriola et al. 2025, BD3-LM).
 *   event     at a masked place softmax(network + gate * log prior), the prior given all that is
 *             revealed: what may stand left of it (the n-gram of `ar` where the neighbour is known,
 *             else the transitions from the last known event on) times what its right neighbour
 *             would be reached with (bridge.h). The network is zero at first: training starts
 *             there.
 *   ret, dt   when the event before has happened: given the decoder's output for the whole block
 *             and the state at that moment, told by one causal Transformer block over the last few
 *             events, which runs for each event (`recent`).
 *
 * Loss: the absorbing diffusion's bound on -log p (Sahoo et al. 2024, MDLM): masks at a rate t, 1/t
 * per masked event, t within a narrower range than 0 to 1 (BD3-LM, section 5.2). Where the model is
 * to be sampled from left to right, a share of the masks leaves the left part of the block, and the
 * events of the sampler's next pass are learned with the priors that they will have. Beside it, the
 * encoder alone learns the next event after every row. */
#ifndef GENERATORS_MASKED_MASKED_H
#define GENERATORS_MASKED_MASKED_H

#include "generators/masked/bridge.h"
#include "generators/system/heads.h"
#include "generators/system/system.h"
#include "nn/transformer.h"

enum {
  TT_MASKED_MAX_BLOCK = 32,
  TT_MASKED_RECENT = 32, /* events that ret and dt are told of as they happen */
};

/* X(name): in which order places are revealed. */
#define TT_MASKED_ORDER_TABLE(X)                                                                   \
  X(left)                                                                                          \
  X(random)                                                                                        \
  X(confidence) /* that where one event is likeliest */

enum tt_masked_order {
#define TT_MASKED_ENUM(name) TT_MASKED_##name,
  TT_MASKED_ORDER_TABLE(TT_MASKED_ENUM)
#undef TT_MASKED_ENUM
      TT_MASKED_ORDERS
};

/* ---- the network (network.c) ---- */

struct tt_masked_network {
  size_t width, layers, heads, window, depth, block;
  size_t sizes[TT_SYSTEM_INPUTS];
  size_t n_tokens, n_rets; /* tokens: the events and END; TT_DELAY_BINS of dt */
  struct tt_params params;
  struct tt_embedding inputs, places; /* places: token (MASK is one more), place */
  struct tt_transformer encoder, recent, decoder;
  struct tt_linear context;
  struct tt_system_heads ends;
};

/* Declares and builds; width to n_rets are set. */
enum tt_status tt_masked_network_init(struct tt_masked_network *network, uint64_t seed);
void tt_masked_network_release(struct tt_masked_network *network);

/* contexts: [n, d] h before each block; tokens: [n, block]; result: [n * block, d], the
 * decoder's output and its input summed. */
struct tt_tensor *tt_masked_network_decode(struct tt_compute *c,
                                           const struct tt_masked_network *network,
                                           struct tt_tensor *contexts, const int32_t *tokens);
/* Logits of the tokens at n rows of the decoder's output: [n, n_tokens + 1]. */
struct tt_tensor *tt_masked_network_events(struct tt_compute *c,
                                           const struct tt_masked_network *network,
                                           struct tt_tensor *decoded, const uint32_t *rows,
                                           size_t n);
/* Sampling: new events of a stream, and where the output after the last of them goes. */
struct tt_masked_news {
  const int32_t *ids; /* [n, TT_SYSTEM_INPUTS] */
  size_t n;           /* at most `together` of the rings */
  uint32_t slot;
  uint64_t position; /* of the first */
  float *ret;        /* [width]; NULL: not wanted; untouched where n is 0 */
};
/* Lets a network's `encoder` or `recent` see the news of n streams, no two of the same slot. */
void tt_masked_network_see(struct tt_compute *c, const struct tt_masked_network *network,
                           const struct tt_transformer *by, struct tt_transformer_rings *rings,
                           const struct tt_masked_news *news, size_t n);
/* Rows of the decoder's output with the states that their events happen in ([rows, d]): what ret
 * and dt are read from. Logits of ret: [rows, n_rets + 1]. */
struct tt_tensor *tt_masked_network_rets(struct tt_compute *c,
                                         const struct tt_masked_network *network,
                                         struct tt_tensor *decoded, struct tt_tensor *states,
                                         struct tt_tensor **ret_middle);
/* rets: [rows]; logits: [rows, TT_DELAY_BINS + 1]. */
struct tt_tensor *tt_masked_network_delays(struct tt_compute *c,
                                           const struct tt_masked_network *network,
                                           struct tt_tensor *middle, const int32_t *rets);

struct tt_masked_batch { /* one training step */
  size_t windows, length;
  int32_t *ids; /* [windows * length, TT_SYSTEM_INPUTS] */
  /* blocks with their masks; a block comes in several views */
  size_t n;
  uint32_t *anchors; /* [n] the row after which it begins */
  int32_t *tokens;   /* [n, block] */
  /* masked places whose event is to be learned */
  size_t n_targets;
  uint32_t *target_rows; /* [n_targets] of tokens */
  int32_t *targets;      /* [n_targets] */
  float *weights;        /* [n_targets] */
  float *event_prior;    /* [n_targets, n_tokens] */
  double events;         /* what the sum of weighted losses is divided by */
  /* training: next events that the encoder is to know by itself, wherever blocks begin */
  size_t n_next;
  uint32_t *next_rows; /* [n_next] of ids */
  int32_t *next;       /* [n_next] */
  float *next_prior;   /* [n_next, n_tokens] */
  /* events whose ret and dt are to be learned, in blocks that are all revealed */
  size_t n_events;
  uint32_t *event_rows;           /* [n_events] of tokens */
  uint32_t *before;               /* [n_events] the rows of ids before them */
  int32_t *rets, *delays;         /* [n_events] -1: none */
  float *ret_prior, *delay_prior; /* [n_events, classes] */
};
enum { TT_MASKED_HEADS = 3 /* event, ret, delay */ };
/* Recorded forward pass; ret_loss[TT_MASKED_HEADS]: nats per event. The loss is their sum and that
 * of the next events. */
struct tt_tensor *tt_masked_network_loss(struct tt_compute *c,
                                         const struct tt_masked_network *network,
                                         const struct tt_masked_batch *batch, double *ret_loss);

/* ---- the model ---- */

struct tt_masked {
  struct tt_system system;
  struct tt_masked_network network;
  bool built;
  struct tt_bridge bridge;   /* borrowed: the workload's, else of the first */
  struct tt_bridge *bridges; /* [n_bridges] of each workload, or a single one */
  size_t n_bridges;
  size_t block, depth, order, reveals, remask;
  /* training only: views of each block, per cent of them that leave the left part, range of t in
   * per cent */
  size_t views, left, mask_min, mask_max;
};

extern const struct tt_generator_ops tt_masked_ops;

/* The model with the counts of one label: system and bridge; all is borrowed. */
struct tt_masked tt_masked_workload(const struct tt_masked *masked, size_t label);

enum tt_status tt_masked_fit(struct tt_masked *masked, const struct tt_train_config *config,
                             struct tt_train_result *ret);
enum tt_status tt_masked_generate(const struct tt_generator *generator,
                                  const struct tt_generate_config *config,
                                  const struct tt_event_sink *sink);

enum tt_status tt_masked_fill(const struct tt_generator *generator, struct tt_holes *holes,
                              const struct tt_fill_config *config);

/* ---- one block (block.c) ---- */

struct tt_masked_block_site { /* where a block begins */
  const struct tt_markov_history *history;
  uint32_t thread, call; /* as tt_system_event_prior */
  uint16_t cpu;
  const bool *first;  /* [n_events] what is to stand first, if anything can; NULL: any */
  const float *boost; /* [n_tokens] added to logits; NULL: nothing */
};

/* log P(token) at place k, given what `tokens` reveals: [n_tokens], normalised but for the floor
 * under impossible ones; zeros where priors aren't used. leave_out: as tt_system_event_prior. */
void tt_masked_block_prior(const struct tt_masked *masked, const struct tt_masked_block_site *site,
                           const int32_t *tokens, size_t k, uint32_t leave_out, float *out);

struct tt_masked_block { /* one that is being drawn */
  int32_t tokens[TT_MASKED_MAX_BLOCK];
  uint8_t places[TT_MASKED_MAX_BLOCK]; /* the order of places, where it is known beforehand */
  enum tt_masked_order order;
};
/* Scratch for one block at a time; tt_free. */
struct tt_masked_block_scratch;
struct tt_masked_block_scratch *tt_masked_block_scratch_new(const struct tt_masked *masked);
/* All masked. The order of places is drawn where it is random; where what may stand here has no way
 * through the block, it is left to right. */
void tt_masked_block_begin(const struct tt_masked *masked, const struct tt_masked_block_site *site,
                           struct tt_masked_block_scratch *scratch, struct tt_masked_block *block,
                           struct tt_rng *rng);
/* Makes the scratch that of a block begun elsewhere. */
void tt_masked_block_allow(const struct tt_masked *masked, const struct tt_masked_block_site *site,
                           struct tt_masked_block_scratch *scratch);
/* Logits of places from `first` on: [places, n_tokens + 1]. */
struct tt_masked_block_logits {
  const float *data;
  size_t first;
};
/* The place to be revealed next, SIZE_MAX: none is masked. logits: of all masked places
 * (confidence only). */
size_t tt_masked_block_next(const struct tt_masked *masked, const struct tt_masked_block_site *site,
                            const struct tt_masked_block_logits *logits,
                            struct tt_masked_block_scratch *scratch,
                            const struct tt_masked_block *block);
/* Probabilities of the tokens at masked place k: [n_tokens], owned by the scratch. Only what was
 * seen to follow the left neighbour, here and of this thread (as far as anything is left), and
 * leaves a way to the right. */
const double *tt_masked_block_probabilities(const struct tt_masked *masked,
                                            const struct tt_masked_block_site *site,
                                            const struct tt_masked_block_logits *logits,
                                            struct tt_masked_block_scratch *scratch,
                                            const struct tt_masked_block *block, size_t k);
/* One in proportion to them, by inverse CDF. */
int32_t tt_masked_block_draw(const struct tt_masked *masked, const double *probabilities,
                             struct tt_rng *rng);
/* Reveals `token` at k and what it implies. */
void tt_masked_block_reveal(const struct tt_masked *masked, struct tt_masked_block *block, size_t k,
                            int32_t token);
/* One pass of the decoder: reveals up to `reveals` places. Beyond the first, the network's part is
 * of before the pass; the prior and what may stand are exact. False when all is revealed. */
bool tt_masked_block_pass(const struct tt_masked *masked, const struct tt_masked_block_site *site,
                          const struct tt_masked_block_logits *logits,
                          struct tt_masked_block_scratch *scratch, struct tt_masked_block *block,
                          struct tt_rng *rng);
/* The first masked place; `block` when there is none. */
size_t tt_masked_block_first(const struct tt_masked *masked, const struct tt_masked_block *block);
/* Events up to the end of a block that is revealed, or was cut. */
size_t tt_masked_block_length(const struct tt_masked *masked, const struct tt_masked_block *block);
/* Masks what comes after its first n events. */
void tt_masked_block_cut(const struct tt_masked *masked, struct tt_masked_block *block, size_t n);

#endif
