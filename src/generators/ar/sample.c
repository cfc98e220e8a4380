/* Sampling (system/replicas.h): an event of a stream is drawn, with its return value and delay,
 * when the one before has happened. */
#include "base/mem.h"
#include "generators/ar/ar.h"
#include "generators/system/replicas.h"

struct sampler {
  const struct tt_ar *ar;
  struct tt_replicas *replicas;
  struct tt_transformer_rings rings;
};

static const float *see_rows(struct sampler *sampler, struct tt_tensor **ret_hidden) {
  struct tt_replicas *s = sampler->replicas;
  uint32_t *slots = tt_arena(s->compute, s->n, sizeof *slots);
  uint64_t *positions = tt_arena(s->compute, s->n, sizeof *positions);
  for (size_t i = 0; i < s->n; i++) {
    slots[i] = (uint32_t)tt_replica_slot(s, &s->rows[i]);
    positions[i] = tt_replica_stream(&s->rows[i])->position++;
  }
  return tt_ar_network_events(s->compute, &sampler->ar->network, &sampler->rings, s->ids, s->n,
                              slots, positions, ret_hidden);
}

static void see(void *user) {
  struct sampler *sampler = user;
  struct tt_tensor *hidden;
  tt_compute_begin(sampler->replicas->compute, false, 0);
  see_rows(sampler, &hidden);
}

/* The pending events of the batch's rows. */
static void draw(void *user) {
  struct sampler *sampler = user;
  struct tt_replicas *s = sampler->replicas;
  const struct tt_ar_network *net = &sampler->ar->network;
  const size_t classes = tt_system_widest(s->system);
  struct tt_tensor *hidden, *middle;
  tt_compute_begin(s->compute, false, 0);
  float *priors = tt_arena(s->compute, s->n * classes, sizeof *priors);
  const float *logits = see_rows(sampler, &hidden);
  for (size_t i = 0; i < s->n; i++) {
    uint16_t event = tt_replica_draw_event(s, &s->rows[i], logits + i * (net->n_events + 1),
                                           priors + i * classes);
    tt_replica_pend(&s->rows[i], event);
    s->drawn[i] = event;
  }
  logits = tt_ar_network_rets(s->compute, net, hidden, s->drawn, &middle);
  for (size_t i = 0; i < s->n; i++)
    s->drawn[i] =
        tt_replica_draw_ret(s, &s->rows[i], logits + i * (net->n_rets + 1), priors + i * classes);
  logits = tt_ar_network_delays(s->compute, net, middle, s->drawn);
  for (size_t i = 0; i < s->n; i++)
    tt_replica_draw_delay(s, &s->rows[i], logits + i * (TT_DELAY_BINS + 1), priors + i * classes);
}

/* One event of every replica. */
static void step(void *user, size_t n) {
  struct sampler *sampler = user;
  struct tt_replicas *s = sampler->replicas;
  (void)n; /* all are at the same event */
  s->n = s->n_replicas;
  for (size_t r = 0; r < s->n_replicas; r++) {
    struct tt_replica *replica = &s->replicas[r];
    const size_t cpu = tt_replica_choose_cpu(s, replica, TT_REPLICA_WAIT);
    tt_replica_advance(s, replica, cpu, r, &replica->events[replica->made++]);
  }
  draw(sampler);
}

static void close_team(void *user) {
  struct sampler *sampler = user;
  tt_transformer_rings_release(&sampler->rings);
  tt_free(sampler);
}

static enum tt_status open_team(const void *generator, struct tt_replicas *team, void **ret) {
  const struct tt_ar *ar = generator;
  struct sampler *sampler = tt_calloc(1, sizeof *sampler);
  *ret = sampler;
  if (!sampler)
    return tt_fail(TT_NO_MEMORY, "a team of replicas");
  *sampler = (struct sampler){.ar = ar, .replicas = team};
  return tt_transformer_rings_create(team->compute, &ar->network.body,
                                     team->n_replicas * team->n_cpus, ar->network.window, 1,
                                     &sampler->rings);
}

enum tt_status tt_ar_generate(const struct tt_generator *generator,
                              const struct tt_generate_config *config,
                              const struct tt_event_sink *sink) {
  static const struct tt_replica_ops ops = {
      .open = open_team, .close = close_team, .see = see, .draw = draw, .step = step};
  const struct tt_ar *ar = (const struct tt_ar *)generator;
  return tt_replicas_generate(&ar->system, ar, &ops, config, sink);
}
