/* The generator `ar`: an autoregressive Transformer over each CPU's stream that starts from what
 * counting knows and keeps the state that the kernel has (system/system.h).
 *
 *   event    softmax(network + gate * log prior): prior is markov's n-gram of the running thread
 *            and of all (leave-one-out counts while training), gate a learned function of the
 *            context; the network's output is zero at first, so that it starts as the n-gram
 *   thread   who runs after a switch: markov's choice, never a thread that runs elsewhere
 *   ret      given the event, where it has one: network + gate * log n-gram of (event, comm, the
 *            event before)
 *   dt       given the event and ret: quantile bin from network + gate * log n-gram of (event, the
 *            event before, CPU), then a draw of the real values within the bin
 *
 * What the network sees of each past event is enum tt_system_input. Sampling advances many replicas
 * of the whole system side by side (system/replicas.h): within one, streams are merged by generated
 * time and each event is drawn knowing what runs elsewhere at that time. Transitions, CPUs, threads
 * and return values that training never had are never drawn. */
#ifndef GENERATORS_AR_AR_H
#define GENERATORS_AR_AR_H

#include "generators/system/heads.h"
#include "generators/system/system.h"
#include "nn/transformer.h"

enum { TT_AR_HEADS = 3 /* event, ret, delay */ };

/* ---- the network (network.c) ---- */

struct tt_ar_network {
  size_t width, layers, heads, window;
  size_t sizes[TT_SYSTEM_INPUTS];
  size_t n_events, n_rets; /* classes; TT_DELAY_BINS of dt */
  struct tt_params params;
  struct tt_embedding inputs, next_event;
  struct tt_transformer body;
  struct tt_system_heads ends;
};

/* Declares and builds; width to n_rets are set. */
enum tt_status tt_ar_network_init(struct tt_ar_network *network, uint64_t seed);
void tt_ar_network_release(struct tt_ar_network *network);

struct tt_ar_batch { /* one training step; row w * length + i */
  size_t windows, length;
  int32_t *ids;                                 /* [rows, TT_SYSTEM_INPUTS] */
  int32_t *events, *rets, *delays;              /* [rows] what comes next; -1: not to be learned */
  float *event_prior, *ret_prior, *delay_prior; /* [rows, classes] log probabilities */
};
/* Recorded forward pass. Loss: sum of the three mean cross-entropies, each over the rows that have
 * one; ret_loss[TT_AR_HEADS]: each times its rows per row of the batch, in nats per event. */
struct tt_tensor *tt_ar_network_loss(struct tt_compute *c, const struct tt_ar_network *network,
                                     const struct tt_ar_batch *batch, double *ret_loss);
/* Sampling, n rows of different sequences: after tt_compute_begin. ids: [n, TT_SYSTEM_INPUTS].
 * ret_hidden is for the second stage; result: [n, n_events + 1]. */
const float *tt_ar_network_events(struct tt_compute *c, const struct tt_ar_network *network,
                                  struct tt_transformer_rings *rings, const int32_t *ids, size_t n,
                                  const uint32_t *slots, const uint64_t *positions,
                                  struct tt_tensor **ret_hidden);
/* events: [n] drawn; result: [n, n_rets + 1]. */
const float *tt_ar_network_rets(struct tt_compute *c, const struct tt_ar_network *network,
                                struct tt_tensor *hidden, const int32_t *events,
                                struct tt_tensor **ret_middle);
/* rets: [n] drawn; result: [n, TT_DELAY_BINS + 1]. */
const float *tt_ar_network_delays(struct tt_compute *c, const struct tt_ar_network *network,
                                  struct tt_tensor *middle, const int32_t *rets);

/* ---- the model ---- */

struct tt_ar {
  struct tt_system system;
  struct tt_ar_network network;
  bool built;
};

extern const struct tt_generator_ops tt_ar_ops;

enum tt_status tt_ar_fit(struct tt_ar *ar, const struct tt_train_config *config,
                         struct tt_train_result *ret);
enum tt_status tt_ar_generate(const struct tt_generator *generator,
                              const struct tt_generate_config *config,
                              const struct tt_event_sink *sink);

#endif
