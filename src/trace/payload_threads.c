#include "trace/payload_threads.h"

#include <string.h>

#include "base/mem.h"
#include "trace/event.h"

static size_t slot_of(const struct tt_payload_threads *threads, int32_t tid) {
  size_t i = ((uint32_t)tid * 2654435761u) & (threads->n_slots - 1); /* Knuth, vol. 3, 6.4 */
  while (threads->slots[i] && threads->list[threads->slots[i] - 1].tid != tid)
    i = (i + 1) & (threads->n_slots - 1);
  return i;
}

static int grow(struct tt_payload_threads *threads) {
  size_t n = threads->n_slots ? 2 * threads->n_slots : 1024;
  uint32_t *slots = tt_calloc(n, sizeof *slots);
  if (!slots)
    return -1;
  tt_free(threads->slots);
  threads->slots = slots;
  threads->n_slots = n;
  for (size_t i = 0; i < threads->n; i++)
    slots[slot_of(threads, threads->list[i].tid)] = (uint32_t)i + 1;
  return 0;
}

uint32_t tt_payload_threads_find(const struct tt_payload_threads *threads, int32_t tid) {
  uint32_t found = threads->n_slots ? threads->slots[slot_of(threads, tid)] : 0;
  return found ? found - 1 : TT_NO_THREAD;
}

uint32_t tt_payload_threads_add(struct tt_payload_threads *threads, int32_t tid) {
  if (2 * (threads->n + 1) > threads->n_slots && grow(threads))
    return TT_NO_THREAD;
  size_t at = slot_of(threads, tid);
  if (!threads->slots[at]) {
    if (tt_grow(&threads->list, &threads->capacity, threads->n + 1, sizeof *threads->list))
      return TT_NO_THREAD;
    threads->list[threads->n] = (struct tt_payload_thread){.tid = tid,
                                                           .comm = TT_COMM_NONE,
                                                           .next_dead = TT_NO_THREAD,
                                                           .fd = TT_FIRST_FD,
                                                           .fresh = true};
    threads->slots[at] = (uint32_t)++threads->n;
  }
  return threads->slots[at] - 1;
}

void tt_payload_threads_release(struct tt_payload_threads *threads) {
  tt_free(threads->list);
  tt_free(threads->slots);
  memset(threads, 0, sizeof *threads);
}
