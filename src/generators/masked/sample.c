/* Sampling (system/replicas.h): a stream's events are drawn a block at a time, when the block
 * before has happened and its thread is known; an event's return value and delay, when the event
 * before has happened. A step lets one event of every replica happen; of the streams whose blocks
 * are over, the encoder sees the events of these, the decoder draws the next, some places per pass.
 *
 * Remasking (after Wang et al. 2025, ReMDM: what turns out wrong is masked again and drawn anew):
 * what other CPUs do meanwhile isn't known when a block is drawn. Where its next event would come
 * right after one of another CPU that it never followed in the merged trace, the rest of the block
 * is masked again and drawn anew, beginning with an event that did; and where the thread has got
 * another name than when the block was drawn, under which threads never had that event. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "generators/masked/masked.h"
#include "generators/system/replicas.h"

struct unit { /* a stream's block; its arrays are parts of all streams' */
  struct tt_masked_block block;
  size_t n, at;                   /* events of the block; that which is pending */
  size_t seen;                    /* events that happened and the encoder hasn't seen */
  size_t tries;                   /* to draw the pending event anew */
  int64_t before;                 /* ts of the stream's last event */
  struct tt_replica_row row;      /* who runs */
  int32_t *ids;                   /* [block, TT_SYSTEM_INPUTS] of what happened in the block */
  int32_t last[TT_SYSTEM_INPUTS]; /* of the last event */
  float *context;                 /* [width] h before the block */
  float *state;                   /* [width] after the last event */
  float *decoded;                 /* [block, width] of the whole block */
  bool *begins;                   /* [n_events] what the next block is to begin with */
  bool anyhow;                    /* with anything */
  struct tt_masked_block_scratch *scratch;
};

struct sampler {
  const struct tt_masked *masked;
  struct tt_replicas *replicas;
  struct tt_transformer_rings rings, near; /* of the encoder; of what ret and dt are told */
  struct unit *units;                      /* [slots] */
  size_t n_units;
  bool *begins;
  int32_t *ids;
  float *contexts, *states, *decoded;
  struct unit **due, **open; /* [slots] whose blocks are to be drawn; that aren't all revealed */
  size_t n_due;
};

static struct unit *unit_of(const struct sampler *sampler, const struct tt_replica_row *row) {
  return &sampler->units[tt_replica_slot(sampler->replicas, row)];
}

/* ---- the encoder ---- */

/* What is known after the last event of the batch's row i goes to its stream. */
static struct unit *note(struct sampler *sampler, size_t i) {
  const struct tt_replicas *s = sampler->replicas;
  struct unit *unit = unit_of(sampler, &s->rows[i]);
  memcpy(unit->last, s->ids + i * TT_SYSTEM_INPUTS, sizeof unit->last);
  memcpy(unit->ids + unit->seen++ * TT_SYSTEM_INPUTS, unit->last, sizeof unit->last);
  unit->row = s->rows[i];
  return unit;
}

/* Lets the encoder see what happened in the streams that are due: their contexts are up to date. */
static void encode(struct sampler *sampler) {
  struct tt_compute *c = sampler->replicas->compute;
  const struct tt_masked_network *net = &sampler->masked->network;
  struct tt_masked_news *news = tt_arena(c, sampler->n_due, sizeof *news);
  for (size_t i = 0; i < sampler->n_due; i++) {
    struct unit *unit = sampler->due[i];
    uint64_t *position = &tt_replica_stream(&unit->row)->position;
    news[i] = (struct tt_masked_news){.ids = unit->ids,
                                      .n = unit->seen,
                                      .slot = (uint32_t)(unit - sampler->units),
                                      .position = *position,
                                      .ret = unit->context};
    *position += unit->seen;
    unit->seen = 0;
  }
  tt_masked_network_see(c, net, &net->encoder, &sampler->rings, news, sampler->n_due);
}

/* The states after the last events of units that had one. */
static void look(struct sampler *sampler, struct unit *const *units, size_t n) {
  struct tt_compute *c = sampler->replicas->compute;
  const struct tt_masked_network *net = &sampler->masked->network;
  struct tt_masked_news *news = tt_arena(c, n, sizeof *news);
  for (size_t i = 0; i < n; i++)
    news[i] = (struct tt_masked_news){.ids = units[i]->last,
                                      .n = 1,
                                      .slot = (uint32_t)(units[i] - sampler->units),
                                      .position = tt_replica_stream(&units[i]->row)->position +
                                                  units[i]->seen - 1,
                                      .ret = units[i]->state};
  tt_masked_network_see(c, net, &net->recent, &sampler->near, news, n);
}

/* ---- the decoder ---- */

static struct tt_tensor *decode(const struct sampler *sampler, struct unit *const *units,
                                size_t n) {
  const struct tt_masked_network *net = &sampler->masked->network;
  struct tt_compute *c = sampler->replicas->compute;
  const size_t d = net->width;
  float *contexts = tt_arena(c, n * d, sizeof *contexts);
  int32_t *tokens = tt_arena(c, n * net->block, sizeof *tokens);
  for (size_t i = 0; i < n; i++) {
    memcpy(contexts + i * d, units[i]->context, d * sizeof *contexts);
    memcpy(tokens + i * net->block, units[i]->block.tokens, net->block * sizeof *tokens);
  }
  return tt_masked_network_decode(c, net, tt_input(c, contexts, n, d), tokens);
}

static struct tt_masked_block_site site_of(const struct sampler *sampler, const struct unit *unit) {
  return (struct tt_masked_block_site){.history = &tt_replica_stream(&unit->row)->history,
                                       .thread = unit->row.thread,
                                       .call = unit->row.call,
                                       .cpu = unit->row.cpu,
                                       .first = unit->anyhow ? NULL : unit->begins,
                                       .boost = sampler->replicas->boost};
}

/* The places whose logits a pass needs: from left to right the next ones, else all. */
static size_t asked(const struct tt_masked *masked, const struct unit *unit, size_t *ret_first) {
  *ret_first = 0;
  if (unit->block.order != TT_MASKED_left)
    return masked->block;
  *ret_first = tt_masked_block_first(masked, &unit->block);
  const size_t left = masked->block - *ret_first;
  return masked->reveals < left ? masked->reveals : left;
}

/* One pass over the open blocks; those that are all revealed leave the list. */
static size_t reveal_open(struct sampler *sampler, size_t n) {
  const struct tt_masked *masked = sampler->masked;
  struct tt_compute *c = sampler->replicas->compute;
  struct unit **open = sampler->open;
  const size_t mark = tt_compute_mark(c);
  struct tt_tensor *decoded = decode(sampler, open, n);
  uint32_t *rows = tt_arena(c, n * masked->block, sizeof *rows);
  struct tt_masked_block_logits *logits = tt_arena(c, n, sizeof *logits);
  size_t *begin = tt_arena(c, n, sizeof *begin), n_rows = 0;
  bool *more = tt_arena(c, n, sizeof *more);
  for (size_t i = 0; i < n; i++) {
    begin[i] = n_rows;
    for (size_t k = 0, places = asked(masked, open[i], &logits[i].first); k < places; k++)
      rows[n_rows++] = (uint32_t)(i * masked->block + logits[i].first + k);
  }
  const float *data = tt_masked_network_events(c, &masked->network, decoded, rows, n_rows)->data;
  for (size_t i = 0; i < n; i++) {
    logits[i].data = data + begin[i] * (masked->bridge.n_tokens + 1);
    const struct tt_masked_block_site site = site_of(sampler, open[i]);
    more[i] = tt_masked_block_pass(masked, &site, &logits[i], open[i]->scratch, &open[i]->block,
                                   &tt_replica_stream(&open[i]->row)->rng);
  }
  size_t left = 0;
  for (size_t i = 0; i < n; i++)
    if (more[i])
      open[left++] = open[i];
  tt_compute_release_to(c, mark);
  return left;
}

/* The next block of every stream that is due. Where it isn't known who runs until the next event
 * happens, nothing beyond that is kept. */
static void draw_blocks(struct sampler *sampler) {
  const struct tt_masked *masked = sampler->masked;
  const size_t n = sampler->n_due, each = masked->block * masked->network.width;
  if (n == 0)
    return;
  encode(sampler);
  memcpy(sampler->open, sampler->due, n * sizeof *sampler->due);
  for (size_t i = 0; i < n; i++) {
    struct unit *unit = sampler->due[i];
    const struct tt_masked_block_site site = site_of(sampler, unit);
    tt_masked_block_begin(masked, &site, unit->scratch, &unit->block,
                          &tt_replica_stream(&unit->row)->rng);
  }
  for (size_t open = n; open > 0;)
    open = reveal_open(sampler, open);
  for (size_t i = 0; i < n; i++) {
    struct unit *unit = sampler->due[i];
    const struct tt_decoder *decoder = unit->row.replica->decoder;
    if (tt_decoder_stays(decoder, unit->row.cpu)) /* as in training */
      tt_masked_block_cut(masked, &unit->block, 1);
    unit->n = tt_masked_block_length(masked, &unit->block);
    if (tt_decoder_open(decoder, unit->row.cpu)) /* the thread isn't known yet */
      unit->n = 1;
    unit->at = 0;
    unit->anyhow = true;
  }
  const struct tt_tensor *decoded = decode(sampler, sampler->due, n);
  for (size_t i = 0; i < n; i++) {
    struct unit *unit = sampler->due[i];
    tt_convert_to_f32(unit->decoded,
                      (const char *)decoded->data + i * each * tt_dtype_size(decoded->dtype),
                      decoded->dtype, each);
  }
}

/* Return values and delays of the batch's rows, whose blocks are there. */
static void draw_pending(struct sampler *sampler) {
  struct tt_replicas *s = sampler->replicas;
  const struct tt_masked_network *net = &sampler->masked->network;
  const size_t d = net->width, classes = tt_system_widest(s->system);
  float *priors = tt_arena(s->compute, s->n * classes, sizeof *priors);
  float *decoded = tt_arena(s->compute, s->n * d, sizeof *decoded);
  float *states = tt_arena(s->compute, s->n * d, sizeof *states);
  for (size_t i = 0; i < s->n; i++) {
    struct unit *unit = unit_of(sampler, &s->rows[i]);
    memcpy(decoded + i * d, unit->decoded + unit->at * d, d * sizeof *decoded);
    memcpy(states + i * d, unit->state, d * sizeof *states);
    tt_replica_pend(&s->rows[i], (uint16_t)unit->block.tokens[unit->at]);
    unit->before = tt_replica_stream(&s->rows[i])->ts;
  }
  struct tt_tensor *x = tt_input(s->compute, decoded, s->n, d), *middle;
  struct tt_tensor *state = tt_input(s->compute, states, s->n, d);
  const float *logits = tt_masked_network_rets(s->compute, net, x, state, &middle)->data;
  for (size_t i = 0; i < s->n; i++)
    s->drawn[i] =
        tt_replica_draw_ret(s, &s->rows[i], logits + i * (net->n_rets + 1), priors + i * classes);
  logits = tt_masked_network_delays(s->compute, net, middle, s->drawn)->data;
  for (size_t i = 0; i < s->n; i++)
    tt_replica_draw_delay(s, &s->rows[i], logits + i * (TT_DELAY_BINS + 1), priors + i * classes);
}

/* ---- steps ---- */

/* The streams begin anew. */
static void restart(void *user) {
  struct sampler *sampler = user;
  for (size_t i = 0; i < sampler->n_units; i++) {
    struct unit *unit = &sampler->units[i];
    unit->n = unit->at = unit->seen = unit->tries = 0;
    unit->anyhow = true;
  }
}

static void note_all(struct sampler *sampler) {
  const struct tt_replicas *s = sampler->replicas;
  for (sampler->n_due = 0; sampler->n_due < s->n; sampler->n_due++)
    sampler->due[sampler->n_due] = note(sampler, sampler->n_due);
  look(sampler, sampler->due, sampler->n_due);
}

static void see(void *user) {
  struct sampler *sampler = user;
  tt_compute_begin(sampler->replicas->compute, false, 0);
  note_all(sampler);
  encode(sampler);
}

static void draw(void *user) {
  struct sampler *sampler = user;
  tt_compute_begin(sampler->replicas->compute, false, 0);
  note_all(sampler);
  draw_blocks(sampler);
  draw_pending(sampler);
}

static struct unit *choose(struct sampler *sampler, struct tt_replica *replica, int64_t wait,
                           size_t *ret_cpu) {
  *ret_cpu = tt_replica_choose_cpu(sampler->replicas, replica, wait);
  return unit_of(sampler, &(struct tt_replica_row){.replica = replica, .cpu = (uint16_t)*ret_cpu});
}

/* The rest of the unit's block is masked again: to begin with what may come next in the merged
 * trace, and what a thread of this name had. */
static void mask_again(const struct sampler *sampler, struct unit *unit, const bool *follows) {
  const struct tt_system *system = &sampler->masked->system;
  for (size_t e = 0; e < system->base.events.n; e++)
    unit->begins[e] =
        (!follows || follows[e]) && tt_system_comm_had(system, unit->row.comm, (uint16_t)e);
  unit->anyhow = false;
  unit->n = unit->at;
  unit->tries++;
  tt_replica_stream(&unit->row)->ts = unit->before;
}

/* The replica's next event happens, or is to be drawn anew; row i of the batch is its stream. Where
 * drawing anew doesn't help, another CPU's event that may come now does, however late it is. */
static void happen(struct sampler *sampler, struct tt_replica *replica, size_t i) {
  struct tt_replicas *s = sampler->replicas;
  size_t cpu;
  struct unit *unit = choose(sampler, replica, TT_REPLICA_WAIT, &cpu);
  const bool *follows = tt_replica_successors(s, replica);
  const uint16_t event = replica->streams[cpu].pending.event;
  const bool in_order = !follows || follows[event];
  if (unit->tries < sampler->masked->remask &&
      (!in_order || !tt_system_comm_had(s->system, unit->row.comm, event))) {
    mask_again(sampler, unit, follows);
    s->rows[i] = unit->row;
    return;
  }
  if (!in_order)
    unit = choose(sampler, replica, INT64_MAX, &cpu);
  tt_replica_advance(s, replica, cpu, i, &replica->events[replica->made++]);
  note(sampler, i);
  unit->at++;
  unit->tries = 0;
}

static void step(void *user, size_t n) {
  struct sampler *sampler = user;
  struct tt_replicas *s = sampler->replicas;
  size_t rows = 0;
  for (size_t r = 0; r < s->n_replicas; r++) {
    s->rows[r].replica = NULL;
    if (s->replicas[r].made < n)
      happen(sampler, &s->replicas[r], r);
  }
  size_t n_new = 0;
  sampler->n_due = 0;
  for (size_t r = 0; r < s->n_replicas; r++) {
    if (!s->rows[r].replica)
      continue;
    struct unit *unit = unit_of(sampler, &s->rows[r]);
    if (unit->at == unit->n)
      sampler->due[sampler->n_due++] = unit;
    if (unit->tries == 0) /* it happened */
      sampler->open[n_new++] = unit;
    s->rows[rows++] = s->rows[r];
  }
  s->n = rows;
  tt_compute_begin(s->compute, false, 0);
  look(sampler, sampler->open, n_new);
  draw_blocks(sampler);
  draw_pending(sampler);
}

/* ---- all of it ---- */

static enum tt_status make_units(struct sampler *sampler) {
  const struct tt_masked *masked = sampler->masked;
  const size_t n = sampler->replicas->n_replicas * sampler->replicas->n_cpus;
  const struct tt_compute *c = sampler->replicas->compute;
  const size_t block = masked->block, d = masked->network.width;
  sampler->units = tt_calloc(n, sizeof *sampler->units);
  sampler->begins = tt_calloc(n * masked->system.base.events.n, sizeof *sampler->begins);
  sampler->ids = tt_calloc(n * block * TT_SYSTEM_INPUTS, sizeof *sampler->ids);
  sampler->contexts = tt_calloc(n * d, sizeof *sampler->contexts);
  sampler->states = tt_calloc(n * d, sizeof *sampler->states);
  sampler->decoded = tt_calloc(n * block * d, sizeof *sampler->decoded);
  sampler->due = tt_alloc(n, sizeof *sampler->due);
  sampler->open = tt_alloc(n, sizeof *sampler->open);
  if (!sampler->units || !sampler->begins || !sampler->ids || !sampler->contexts ||
      !sampler->states || !sampler->decoded || !sampler->due || !sampler->open)
    return tt_fail(TT_NO_MEMORY, "blocks of %zu streams", n);
  for (sampler->n_units = 0; sampler->n_units < n; sampler->n_units++) {
    struct unit *unit = &sampler->units[sampler->n_units];
    unit->begins = sampler->begins + sampler->n_units * masked->system.base.events.n;
    unit->anyhow = true;
    unit->ids = sampler->ids + sampler->n_units * block * TT_SYSTEM_INPUTS;
    unit->context = sampler->contexts + sampler->n_units * d;
    unit->state = sampler->states + sampler->n_units * d;
    unit->decoded = sampler->decoded + sampler->n_units * block * d;
    unit->scratch = tt_masked_block_scratch_new(masked);
    if (!unit->scratch)
      return tt_fail(TT_NO_MEMORY, "blocks of %zu streams", n);
  }
  enum tt_status status = tt_transformer_rings_create(
      c, &masked->network.encoder, n, masked->network.window, block, &sampler->rings);
  if (status == TT_OK)
    status = tt_transformer_rings_create(c, &masked->network.recent, n, TT_MASKED_RECENT, 1,
                                         &sampler->near);
  return status;
}

static void close_team(void *user) {
  struct sampler *sampler = user;
  for (size_t i = 0; i < sampler->n_units; i++)
    tt_free(sampler->units[i].scratch);
  tt_transformer_rings_release(&sampler->rings);
  tt_transformer_rings_release(&sampler->near);
  tt_free(sampler->units);
  tt_free(sampler->begins);
  tt_free(sampler->ids);
  tt_free(sampler->contexts);
  tt_free(sampler->states);
  tt_free(sampler->decoded);
  tt_free(sampler->due);
  tt_free(sampler->open);
  tt_free(sampler);
}

static enum tt_status open_team(const void *generator, struct tt_replicas *team, void **ret) {
  struct sampler *sampler = tt_calloc(1, sizeof *sampler);
  *ret = sampler;
  if (!sampler)
    return tt_fail(TT_NO_MEMORY, "a team of replicas");
  *sampler = (struct sampler){.masked = generator, .replicas = team};
  return make_units(sampler);
}

enum tt_status tt_masked_generate(const struct tt_generator *generator,
                                  const struct tt_generate_config *config,
                                  const struct tt_event_sink *sink) {
  static const struct tt_replica_ops ops = {.open = open_team,
                                            .close = close_team,
                                            .see = see,
                                            .draw = draw,
                                            .restart = restart,
                                            .step = step};
  const struct tt_masked *whole = (const struct tt_masked *)generator;
  const struct tt_masked masked = tt_masked_workload(whole, tt_generator_which(generator, config));
  if (config->boost && masked.order != TT_MASKED_left)
    return tt_fail(TT_USAGE, "a masked model makes events likelier only with order=left");
  return tt_replicas_generate(&whole->system, &masked, &ops, config, sink);
}
