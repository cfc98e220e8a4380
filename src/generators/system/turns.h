/* Who runs next on a CPU: a conditional logit (McFadden 1974) over the threads that may run there.
 *
 *   P(thread) ~ counting(thread) exp(since + call + pair)
 *
 *   counting  P(thread | who leaves, CPU, the two events before), Witten-Bell over all levels of
 *             markov's `turns`
 *   since     how many switches ago it left, whether it ran on this CPU then, whether the idle
 *             thread leaves now; one that wasn't seen yet, or exited, is a case by itself
 *   call      the system call that it is in, and the event before the switch
 *   pair      the system calls that it and who leaves are in
 *
 * Counting alone knows threads by their identity: after the idle thread anyone comes who ever came
 * then, whether it waits for something, hasn't been born yet or left long ago. Whether the leaving
 * thread has one more event (decode.h) is left to counting. */
#ifndef GENERATORS_SYSTEM_TURNS_H
#define GENERATORS_SYSTEM_TURNS_H

#include "generators/decode.h"
#include "generators/markov/markov.h"

struct tt_system;
struct tt_system_source;
struct tt_system_state;

enum {
  TT_TURNS_EXACT = 8, /* bins of "switches ago": each number below, then two an octave; */
  TT_TURNS_BINS = 32, /* the last one: never */
  TT_TURNS_SINCE = 2 * 2 * TT_TURNS_BINS,
};
#define TT_TURNS_MOST 20.0 /* of a weight, either way */

struct tt_turns {
  float *since; /* [idle leaves, ran here, TT_TURNS_BINS] */
  float *calls; /* [n_events + 2, n_events + 1] call (none, unknown: the last two), event before
                   (the last: not known) */
  float *pairs; /* [n_events + 2, n_events + 2] call, that of who leaves */
};

static inline size_t tt_turns_calls(size_t n_events) {
  return (n_events + 2) * (n_events + 1);
}
static inline size_t tt_turns_pairs(size_t n_events) {
  return (n_events + 2) * (n_events + 2);
}
/* Learns the weights from the rows of the system's workload, each turn left out of the counts that
 * it is weighed by; the system has its prior. Freed with tt_turns_release, also after a failure. */
enum tt_status tt_turns_fit(struct tt_system *system, const struct tt_system_source *train,
                            const struct tt_row_set *rows);
void tt_turns_release(struct tt_turns *turns);
/* As tt_markov_choose_thread. scratch: [n_threads]. */
uint32_t tt_turns_choose(const struct tt_system *system, const struct tt_system_state *state,
                         const struct tt_decoder *decoder, const struct tt_markov_recent *recent,
                         uint16_t cpu, uint32_t leaving, float *scratch, struct tt_rng *rng);

#endif
