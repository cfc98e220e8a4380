#include "compute/scratch.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/status.h"

struct scratch {
  void *buffer[TT_SCRATCH_SLOTS];
  size_t bytes[TT_SCRATCH_SLOTS];
};

static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Thread_local struct scratch *mine;

static void release(void *p) {
  struct scratch *s = p;
  for (int i = 0; i < TT_SCRATCH_SLOTS; i++)
    free(s->buffer[i]);
  free(s);
}

static void make_key(void) {
  TT_ASSERT(pthread_key_create(&key, release) == 0);
}

void *tt_scratch(enum tt_scratch_slot slot, size_t bytes) {
  if (!mine) {
    pthread_once(&once, make_key);
    mine = calloc(1, sizeof *mine);
    TT_ASSERT(mine && pthread_setspecific(key, mine) == 0);
  }
  if (mine->bytes[slot] < bytes) {
    free(mine->buffer[slot]);
    mine->bytes[slot] = (bytes / 4096 + 1) * 4096;
    mine->buffer[slot] = aligned_alloc(64, mine->bytes[slot]);
    TT_ASSERT(mine->buffer[slot]); /* kernels have no way to fail */
  }
  return mine->buffer[slot];
}
