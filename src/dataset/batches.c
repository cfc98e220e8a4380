#include "dataset/batches.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

/* Random draws of batches: a stream of numbers apart from those that other users of the same seed
 * (weights, noise) take. */
#define RNG_DOMAIN UINT64_C(0x6261746368657300) /* "batches" */

enum { SLOTS = 2 };

struct usable { /* a segment that holds whole windows */
  uint32_t part;
  struct tt_segment segment;
  uint64_t before; /* windows in the segments before this one */
};

struct tt_batches {
  struct tt_part *parts;
  struct tt_batches_options options;
  struct usable *segments;
  size_t n_segments, capacity;
  uint64_t windows; /* all there are */
  uint64_t used;    /* sequential: of them in a round (limit) */

  struct tt_batch slots[SLOTS];
  enum tt_status slot_status[SLOTS];
  pthread_t thread;
  bool running;
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  uint64_t made, taken; /* batches prepared and handed out; slot = number % SLOTS */
  bool held, stop;      /* held: the consumer still has batch taken - 1 */
};

static uint64_t windows_in(const struct tt_batches *b, uint64_t n) {
  if (n < b->options.length)
    return 0;
  return (n - b->options.length) / (b->options.sequential ? b->options.stride : 1) + 1;
}

static enum tt_status find_windows(struct tt_batches *b, size_t n_parts) {
  uint64_t longest = 0;
  for (size_t p = 0; p < n_parts; p++) {
    size_t n = 0;
    const struct tt_segment *segments = tt_streams_segments(b->parts[p].streams, &n);
    for (size_t i = 0; i < n; i++) {
      uint64_t windows = windows_in(b, segments[i].n);
      longest = segments[i].n > longest ? segments[i].n : longest;
      if (!windows)
        continue;
      if (tt_grow(&b->segments, &b->capacity, b->n_segments + 1, sizeof *b->segments))
        return tt_fail(TT_NO_MEMORY, "out of memory");
      b->segments[b->n_segments++] = (struct usable){(uint32_t)p, segments[i], b->windows};
      b->windows += windows;
    }
  }
  if (!b->windows)
    return tt_fail(TT_BAD_INPUT,
                   "%s: no stretch of %zu events without lost ones in between: the longest has "
                   "%llu",
                   n_parts ? tt_dataset_path(tt_streams_dataset(b->parts[0].streams)) : "no data",
                   b->options.length, (unsigned long long)longest);
  b->used = b->options.limit && b->options.limit < b->windows ? b->options.limit : b->windows;
  return TT_OK;
}

/* Window number k < windows. */
static struct tt_window window_at(const struct tt_batches *b, uint64_t k) {
  size_t low = 0, high = b->n_segments;
  while (high - low > 1) {
    size_t middle = low + (high - low) / 2;
    if (b->segments[middle].before <= k)
      low = middle;
    else
      high = middle;
  }
  const struct usable *u = &b->segments[low];
  uint64_t step = b->options.sequential ? b->options.stride : 1;
  return (struct tt_window){u->part, u->segment.stream, u->segment.first + (k - u->before) * step};
}

uint64_t tt_batches_windows(const struct tt_batches *b) {
  return b->options.sequential ? b->used : b->windows;
}

uint64_t tt_batches_count(const struct tt_batches *b) {
  return (b->used + b->options.windows - 1) / b->options.windows;
}

/* The step of the number-th batch this run makes; sequential rounds have one step more: the end. */
static uint64_t step_of(const struct tt_batches *b, uint64_t number) {
  uint64_t step = b->options.first_step + number;
  return b->options.sequential ? step % (tt_batches_count(b) + 1) : step;
}

/* Fills `batch`, a pure function of the step. n_windows = 0: the end of a round. */
static enum tt_status prepare(const struct tt_batches *b, uint64_t step, struct tt_batch *batch) {
  const size_t length = b->options.length;
  batch->step = step;
  batch->n_windows = b->options.windows;
  if (b->options.sequential) {
    uint64_t first = step * b->options.windows, left = first < b->used ? b->used - first : 0;
    batch->n_windows = left < b->options.windows ? (size_t)left : b->options.windows;
    for (size_t w = 0; w < batch->n_windows; w++) {
      /* evenly spread: floor(k * windows / used) */
      uint64_t k = (uint64_t)((unsigned __int128)(first + w) * b->windows / b->used);
      batch->windows[w] = window_at(b, k);
    }
  } else {
    struct tt_rng rng;
    tt_rng_init(&rng, b->options.seed ^ RNG_DOMAIN, step);
    for (size_t w = 0; w < batch->n_windows; w++)
      batch->windows[w] = window_at(b, tt_rng_below(&rng, b->windows));
  }
  batch->channels.n = batch->n_windows * length;
  for (size_t w = 0; w < batch->n_windows; w++) {
    const struct tt_window *window = &batch->windows[w];
    const struct tt_part *part = &b->parts[window->part];
    enum tt_status status = tt_encode_stream(part->encoder, part->streams, window->stream,
                                             window->first, length, &batch->channels, w * length);
    if (status != TT_OK)
      return status;
  }
  return TT_OK;
}

static void *work(void *argument) {
  struct tt_batches *b = argument;
  pthread_mutex_lock(&b->mutex);
  while (!b->stop) {
    if (b->made - (b->taken - b->held) == SLOTS) {
      pthread_cond_wait(&b->changed, &b->mutex);
      continue;
    }
    uint64_t number = b->made;
    pthread_mutex_unlock(&b->mutex);
    enum tt_status status = prepare(b, step_of(b, number), &b->slots[number % SLOTS]);
    pthread_mutex_lock(&b->mutex);
    b->slot_status[number % SLOTS] = status;
    b->made++;
    pthread_cond_broadcast(&b->changed);
  }
  pthread_mutex_unlock(&b->mutex);
  return NULL;
}

enum tt_status tt_batches_open(const struct tt_part *parts, size_t n_parts,
                               const struct tt_batches_options *options, struct tt_batches **ret) {
  TT_ASSERT(options->windows > 0 && options->length > 0 && n_parts < UINT32_MAX);
  struct tt_batches *b = tt_calloc(1, sizeof *b);
  if (!b)
    return tt_fail(TT_NO_MEMORY, "out of memory");
  pthread_mutex_init(&b->mutex, NULL);
  pthread_cond_init(&b->changed, NULL);
  b->options = *options;
  b->options.stride = options->stride ? options->stride : options->length;
  size_t rows = 0;
  b->parts = tt_alloc(n_parts, sizeof *b->parts);
  enum tt_status status = TT_OK;
  if (!b->parts || __builtin_mul_overflow(options->windows, options->length, &rows))
    status = tt_fail(TT_NO_MEMORY, "out of memory");
  if (status == TT_OK) {
    if (n_parts)
      memcpy(b->parts, parts, n_parts * sizeof *parts);
    status = find_windows(b, n_parts);
  }
  for (size_t i = 0; status == TT_OK && i < SLOTS; i++) {
    b->slots[i].length = options->length;
    b->slots[i].windows = tt_alloc(options->windows, sizeof *b->slots[i].windows);
    status = b->slots[i].windows ? tt_channels_init(&b->slots[i].channels, rows)
                                 : tt_fail(TT_NO_MEMORY, "out of memory");
  }
  if (status == TT_OK) {
    sigset_t all, old; /* signals go to the caller's threads */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int error = pthread_create(&b->thread, NULL, work, b);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    b->running = error == 0;
    if (error)
      status = tt_fail(TT_FAILED, "cannot start a thread: %s", strerror(error));
  }
  if (status != TT_OK) {
    tt_batches_close(b);
    return status;
  }
  *ret = b;
  return TT_OK;
}

void tt_batches_close(struct tt_batches *b) {
  if (!b)
    return;
  if (b->running) {
    pthread_mutex_lock(&b->mutex);
    b->stop = true;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->mutex);
    pthread_join(b->thread, NULL);
  }
  pthread_cond_destroy(&b->changed);
  pthread_mutex_destroy(&b->mutex);
  for (size_t i = 0; i < SLOTS; i++) {
    tt_channels_release(&b->slots[i].channels);
    tt_free(b->slots[i].windows);
  }
  tt_free(b->segments);
  tt_free(b->parts);
  tt_free(b);
}

enum tt_status tt_batches_next(struct tt_batches *b, const struct tt_batch **ret) {
  pthread_mutex_lock(&b->mutex);
  b->held = false;
  pthread_cond_broadcast(&b->changed);
  while (b->made == b->taken)
    pthread_cond_wait(&b->changed, &b->mutex);
  size_t slot = b->taken++ % SLOTS;
  b->held = true;
  enum tt_status status = b->slot_status[slot];
  pthread_mutex_unlock(&b->mutex);
  if (status != TT_OK) /* the thread's own causes are out of reach here */
    return tt_fail(status, "cannot prepare a batch: %s", tt_status_text(status));
  *ret = b->slots[slot].n_windows ? &b->slots[slot] : NULL;
  return TT_OK;
}
