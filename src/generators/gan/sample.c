/* Twins: the policy draws the event types of all streams, ahead of time and side by side; the
 * counts of the attributes do the rest as time goes on (markov's sampler). */
#include <string.h>

#include "base/mem.h"
#include "generators/gan/gan.h"

enum { AHEAD = 128 /* events drawn at a time */, KEPT = 16 /* that are known ahead at least */ };
#define RNG_STREAM UINT64_C(0x67616e00000000)

struct stream {
  struct tt_rng rng;
  int32_t cpu;               /* whose it is; 0: of all */
  int32_t last;              /* not yet put in */
  int32_t events[2 * AHEAD]; /* drawn and not handed out: [first, first + n), a ring */
  size_t first, n;
};

struct source {
  const struct tt_gan *gan;
  uint64_t seed;
  struct tt_compute *compute;
  struct tt_lstm_state state; /* of all streams */
  struct stream *streams;     /* [n_streams] */
  size_t n_streams;
  /* of those that are drawn for at a time */
  struct tt_lstm_state some;
  size_t *which;        /* [n_streams] */
  int32_t *cpus, *last; /* [n_streams] */
  int32_t *out;         /* [n_streams, AHEAD] */
  struct tt_rng *rngs;  /* [n_streams] */
};

/* Draws AHEAD events for every stream that has room for them. */
static void fill(struct source *source) {
  const size_t d = source->state.d;
  size_t n = 0;
  for (size_t i = 0; i < source->n_streams; i++)
    if (source->streams[i].n <= AHEAD)
      source->which[n++] = i;
  struct tt_lstm_state some = {n, d, source->some.h, source->some.cell};
  for (size_t k = 0; k < n; k++) {
    const size_t i = source->which[k];
    memcpy(some.h + k * d, source->state.h + i * d, d * sizeof *some.h);
    memcpy(some.cell + k * d, source->state.cell + i * d, d * sizeof *some.cell);
    source->cpus[k] = source->streams[i].cpu;
    source->last[k] = source->streams[i].last;
    source->rngs[k] = source->streams[i].rng;
  }
  tt_gan_policy_draw(source->compute, &source->gan->policy, source->last, source->cpus, &some,
                     AHEAD, source->rngs, source->out, AHEAD);
  for (size_t k = 0; k < n; k++) {
    const size_t i = source->which[k];
    struct stream *stream = &source->streams[i];
    memcpy(source->state.h + i * d, some.h + k * d, d * sizeof *some.h);
    memcpy(source->state.cell + i * d, some.cell + k * d, d * sizeof *some.cell);
    stream->last = source->last[k];
    stream->rng = source->rngs[k];
    for (size_t e = 0; e < AHEAD; e++)
      stream->events[(stream->first + stream->n++) % (2 * AHEAD)] = source->out[k * AHEAD + e];
  }
}

static enum tt_status begin(void *user, const struct tt_markov_start *const *starts, size_t n) {
  struct source *source = user;
  const struct tt_gan_policy *policy = &source->gan->policy;
  const size_t d = policy->width;
  source->n_streams = n;
  source->streams = tt_calloc(n, sizeof *source->streams);
  source->which = tt_alloc(n, sizeof *source->which);
  source->cpus = tt_alloc(n, sizeof *source->cpus);
  source->last = tt_alloc(n, sizeof *source->last);
  source->out = tt_alloc(n * AHEAD, sizeof *source->out);
  source->rngs = tt_alloc(n, sizeof *source->rngs);
  if (!source->streams || !source->which || !source->cpus || !source->last || !source->out ||
      !source->rngs)
    return tt_fail(TT_NO_MEMORY, "%zu streams", n);
  enum tt_status status = tt_lstm_state_create(n, d, &source->state);
  if (status == TT_OK)
    status = tt_lstm_state_create(n, d, &source->some);
  for (size_t i = 0; status == TT_OK && i < n; i++) {
    /* the start, then all real events but the last, which waits to be put in */
    int32_t inputs[TT_MARKOV_MAX_ORDER] = {tt_gan_start(policy)};
    const struct tt_markov_history *history = &starts[i]->history;
    source->streams[i].cpu = policy->n_streams > 1 ? starts[i]->cpu : 0;
    struct tt_lstm_state one = {1, d, source->state.h + i * d, source->state.cell + i * d};
    for (uint32_t k = 1; k < history->n; k++)
      inputs[k] = history->events[history->n - k];
    tt_gan_policy_read(source->compute, policy, inputs, &source->streams[i].cpu, history->n, &one);
    source->streams[i].last = history->n ? history->events[0] : tt_gan_start(policy);
    tt_rng_init(&source->streams[i].rng, source->seed, RNG_STREAM | i);
  }
  if (status == TT_OK)
    fill(source);
  return status;
}

static enum tt_status next(void *user, size_t which, uint16_t *ret) {
  struct source *source = user;
  struct stream *stream = &source->streams[which];
  if (stream->n <= KEPT)
    fill(source);
  *ret = (uint16_t)stream->events[stream->first];
  stream->first = (stream->first + 1) % (2 * AHEAD);
  stream->n--;
  return TT_OK;
}

static bool peek(void *user, size_t which, size_t k, uint16_t *ret) {
  const struct source *source = user;
  const struct stream *stream = &source->streams[which];
  if (k >= stream->n)
    return false;
  *ret = (uint16_t)stream->events[(stream->first + k) % (2 * AHEAD)];
  return true;
}

enum tt_status tt_gan_generate(const struct tt_generator *generator,
                               const struct tt_generate_config *config,
                               const struct tt_event_sink *sink) {
  const struct tt_gan *gan = (const struct tt_gan *)generator;
  struct source source = {.gan = gan, .seed = config->seed};
  const struct tt_markov_events events = {&source, begin, next, peek};
  enum tt_status status = tt_compute_create(TT_PRECISION_AUTO, config->seed, &source.compute);
  if (status == TT_OK)
    status = tt_markov_generate_around(tt_gan_markov(gan), &events, config, sink);
  tt_compute_free(source.compute);
  tt_lstm_state_release(&source.state);
  tt_lstm_state_release(&source.some);
  tt_free(source.streams);
  tt_free(source.which);
  tt_free(source.cpus);
  tt_free(source.last);
  tt_free(source.out);
  tt_free(source.rngs);
  return status;
}
