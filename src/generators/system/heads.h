/* The end of the networks of `ar` and `masked`: an event, its return value and its delay, each as
 * softmax(network + gate * log prior). A head has one row more than it has classes: the gate, which
 * begins at 1 while all else is 0, so that training starts at the prior. */
#ifndef GENERATORS_SYSTEM_HEADS_H
#define GENERATORS_SYSTEM_HEADS_H

#include "nn/layers.h"

struct tt_system_heads {
  struct tt_linear event, middle, ret, delay;
  struct tt_embedding next_ret;
};

/* Declares them; d: the width of what they read. */
void tt_system_heads_init(struct tt_system_heads *heads, struct tt_params *params, size_t d,
                          size_t n_events, size_t n_rets);
/* Builds the whole network, with the gates open. */
enum tt_status tt_system_heads_build(struct tt_system_heads *heads, struct tt_params *params,
                                     uint64_t seed);
/* Logits of head `event`, `ret` or `delay`: [x->rows, classes + 1] f32. */
struct tt_tensor *tt_system_logits(struct tt_compute *c, const struct tt_linear *head,
                                   struct tt_tensor *x);
/* What ret is read from: x knows the event. */
struct tt_tensor *tt_system_middle(struct tt_compute *c, const struct tt_system_heads *heads,
                                   struct tt_tensor *x);
/* What the delay is read from. rets: [rows] -1: none. */
struct tt_tensor *tt_system_with_ret(struct tt_compute *c, const struct tt_system_heads *heads,
                                     struct tt_tensor *middle, const int32_t *rets);
/* Mean cross-entropy of logits and prior ([rows, classes] log probabilities) over the rows that
 * have a target; *ret_per_event: its sum per row, in nats. */
struct tt_tensor *tt_system_entropy(struct tt_compute *c, struct tt_tensor *logits,
                                    const float *prior, const int32_t *targets,
                                    double *ret_per_event);

#endif
