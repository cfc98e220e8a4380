#include "generators/gan/reward.h"

#include <string.h>

#include "base/mem.h"

#define RNG_STREAM (UINT64_C(0x6) << 60) /* of this file's draws; step, place and row are added */

enum tt_status tt_gan_play_create(size_t batch, size_t length, size_t width,
                                  struct tt_gan_play *ret) {
  struct tt_gan_play play = {.batch = batch, .length = length};
  enum tt_status status = tt_lstm_state_create(batch, width, &play.start);
  play.streams = tt_calloc(batch, sizeof *play.streams);
  play.before = tt_alloc(batch, sizeof *play.before);
  play.events = tt_alloc(batch * length, sizeof *play.events);
  if (status == TT_OK && (!play.streams || !play.before || !play.events))
    status = tt_fail(TT_NO_MEMORY, "%zu sequences of %zu events", batch, length);
  if (status != TT_OK) {
    tt_gan_play_release(&play);
    return status;
  }
  *ret = play;
  return TT_OK;
}

void tt_gan_play_release(struct tt_gan_play *play) {
  tt_lstm_state_release(&play->start);
  tt_free(play->streams);
  tt_free(play->before);
  tt_free(play->events);
  *play = (struct tt_gan_play){0};
}

void tt_gan_play_inputs(const struct tt_gan_play *play, int32_t *ret) {
  for (size_t b = 0; b < play->batch; b++) {
    ret[b * play->length] = play->before[b];
    memcpy(ret + b * play->length + 1, play->events + b * play->length,
           (play->length - 1) * sizeof *ret);
  }
}

struct completions { /* of every sequence, N in a row */
  size_t n;          /* batch * N */
  struct tt_lstm_state state;
  int32_t *streams, *last; /* [n] */
  int32_t *events;         /* [n, length] */
  struct tt_rng *rngs;     /* [n] */
  float *scores;           /* [n] */
};

static enum tt_status completions_create(const struct tt_gan_play *play, size_t rollouts,
                                         struct completions *ret) {
  const size_t n = ret->n = play->batch * rollouts;
  enum tt_status status = tt_lstm_state_create(n, play->start.d, &ret->state);
  ret->streams = tt_alloc(n, sizeof *ret->streams);
  ret->last = tt_alloc(n, sizeof *ret->last);
  ret->events = tt_alloc(n * play->length, sizeof *ret->events);
  ret->rngs = tt_alloc(n, sizeof *ret->rngs);
  ret->scores = tt_alloc(n, sizeof *ret->scores);
  if (status == TT_OK &&
      (!ret->streams || !ret->last || !ret->events || !ret->rngs || !ret->scores))
    status = tt_fail(TT_NO_MEMORY, "%zu completions", n);
  return status;
}

static void completions_release(struct completions *all) {
  tt_lstm_state_release(&all->state);
  tt_free(all->streams);
  tt_free(all->last);
  tt_free(all->events);
  tt_free(all->rngs);
  tt_free(all->scores);
}

/* Copies what has happened up to event t, included, to all completions. */
static void branch(const struct tt_gan_play *play, const struct tt_lstm_state *state, size_t t,
                   const struct tt_gan_rollouts *how, struct completions *all) {
  const size_t d = state->d, length = play->length;
#pragma omp parallel for schedule(static)
  for (size_t i = 0; i < all->n; i++) {
    const size_t b = i / how->rollouts;
    memcpy(all->state.h + i * d, state->h + b * d, d * sizeof *state->h);
    memcpy(all->state.cell + i * d, state->cell + b * d, d * sizeof *state->cell);
    memcpy(all->events + i * length, play->events + b * length, (t + 1) * sizeof *all->events);
    all->streams[i] = play->streams[b];
    all->last[i] = play->events[b * length + t];
    tt_rng_init(&all->rngs[i], how->seed, RNG_STREAM | how->step << 36 | t << 22 | i);
  }
}

enum tt_status tt_gan_rollout_rewards(struct tt_compute *c, const struct tt_gan_policy *policy,
                                      const struct tt_gan_judge *judge,
                                      const struct tt_gan_play *play,
                                      const struct tt_gan_rollouts *how, float *ret) {
  const size_t batch = play->batch, length = play->length, d = play->start.d;
  TT_ASSERT(how->rollouts > 0 && how->every > 0 && length > 0);
  struct completions all = {0};
  struct tt_lstm_state state = {0};
  int32_t *inputs = tt_alloc(batch, sizeof *inputs);
  enum tt_status status = inputs ? TT_OK : tt_fail(TT_NO_MEMORY, "%zu sequences", batch);
  if (status == TT_OK)
    status = tt_lstm_state_create(batch, d, &state);
  if (status == TT_OK)
    status = completions_create(play, how->rollouts, &all);
  if (status != TT_OK)
    goto cleanup;
  memcpy(state.h, play->start.h, batch * d * sizeof *state.h);
  memcpy(state.cell, play->start.cell, batch * d * sizeof *state.cell);
  judge->score(judge->user, play->events, batch, length, all.scores);
  for (size_t b = 0; b < batch; b++)
    ret[b * length + length - 1] = all.scores[b];
  for (size_t t = 0, first = 0; t + 1 < length; t++) {
    for (size_t b = 0; b < batch; b++)
      inputs[b] = t ? play->events[b * length + t - 1] : play->before[b];
    tt_gan_policy_read(c, policy, inputs, play->streams, 1, &state);
    if ((t + 1) % how->every != 0)
      continue;
    branch(play, &state, t, how, &all);
    tt_gan_policy_draw(c, policy, all.last, all.streams, &all.state, length - 1 - t, all.rngs,
                       all.events + t + 1, length);
    judge->score(judge->user, all.events, all.n, length, all.scores);
    for (size_t b = 0; b < batch; b++) {
      double sum = 0;
      for (size_t i = 0; i < how->rollouts; i++)
        sum += (double)all.scores[b * how->rollouts + i];
      for (size_t k = first; k <= t; k++)
        ret[b * length + k] = (float)(sum / (double)how->rollouts);
    }
    first = t + 1;
  }
  for (size_t b = 0; b < batch; b++) /* the last stretch ends with the sequence */
    for (size_t k = length - 1; k-- > (length - 1) / how->every * how->every;)
      ret[b * length + k] = ret[b * length + length - 1];
cleanup:
  completions_release(&all);
  tt_lstm_state_release(&state);
  tt_free(inputs);
  return status;
}

void tt_gan_importance(const float *d, size_t n, size_t samples, double clip, double baseline,
                       float *ret) {
  TT_ASSERT(samples > 0 && n % samples == 0 && clip > 0 && clip < 0.5);
  for (size_t first = 0; first < n; first += samples) {
    double sum = 0;
    for (int pass = 0; pass < 2; pass++)
      for (size_t i = first; i < first + samples; i++) {
        double p = (double)d[i] < clip ? clip : (double)d[i] > 1 - clip ? 1 - clip : (double)d[i];
        double r = p / (1 - p);
        if (pass == 0)
          sum += r;
        else
          ret[i] = (float)(r / sum - baseline / (double)samples);
      }
  }
}
