/* generators/masked: the network starts as the prior, the bridge is what summing over paths gives,
 * blocks are drawn as the model's own likelihood says, and the whole generator on a toy trace with
 * a dependency longer than any n-gram. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/output.h"
#include "damage_fixture.h"
#include "generators/masked/masked.h"
#include "generators/system/replicas.h"
#include "marker_trace.h"
#include "twin_fixture.h"

/* clang-format off */
#define SMALL {"width", "32"}, {"layers", "2"}, {"heads", "2"}
/* clang-format on */
static const struct tt_train_option LEFT[] = {SMALL, {"block", "4"}, {"views", "2"}};
static const struct tt_train_option RANDOM[] = {SMALL, {"block", "3"}, {"order", "random"}};

/* ---- the network ---- */

/* All heads are zero at first and the gates one: the loss is the prior's, whatever is masked. */
static void starts_as_the_prior(void **state) {
  (void)state;
  enum { WINDOWS = 2, LENGTH = 9, BLOCKS = 5, BLOCK = 3, TOKENS = 6, RETS = 5, TARGETS = 7 };
  struct tt_masked_network net = {.width = 32,
                                  .layers = 2,
                                  .heads = 2,
                                  .window = 8,
                                  .depth = 1,
                                  .block = BLOCK,
                                  .n_tokens = TOKENS,
                                  .n_rets = RETS};
  for (size_t k = 0; k < TT_SYSTEM_INPUTS; k++)
    net.sizes[k] = 9;
  assert_int_equal(tt_masked_network_init(&net, 3), TT_OK);
  int32_t ids[WINDOWS * LENGTH * TT_SYSTEM_INPUTS];
  int32_t tokens[BLOCKS * BLOCK], targets[TARGETS], rets[BLOCKS], delays[BLOCKS];
  uint32_t anchors[BLOCKS], target_rows[TARGETS], event_rows[BLOCKS], before[BLOCKS];
  float weights[TARGETS], priors[3][TARGETS * TT_DELAY_BINS];
  const size_t classes[3] = {TOKENS, RETS, TT_DELAY_BINS}, rows[3] = {TARGETS, BLOCKS, BLOCKS};
  int32_t *wanted[3] = {targets, rets, delays};
  double want[3] = {0, 0, 0}, got[TT_MASKED_HEADS];
  struct tt_rng rng;
  tt_rng_init(&rng, 1, 2);
  for (size_t i = 0; i < WINDOWS * LENGTH * TT_SYSTEM_INPUTS; i++)
    ids[i] = (int32_t)tt_rng_below(&rng, 10) - 1;
  for (size_t i = 0; i < BLOCKS * BLOCK; i++)
    tokens[i] = (int32_t)tt_rng_below(&rng, TOKENS + 1);
  for (size_t i = 0; i < BLOCKS; i++) {
    anchors[i] = (uint32_t)tt_rng_below(&rng, WINDOWS * LENGTH);
    event_rows[i] = (uint32_t)(i * BLOCK + i % BLOCK);
    before[i] = (uint32_t)tt_rng_below(&rng, WINDOWS * LENGTH);
  }
  for (size_t i = 0; i < TARGETS; i++) {
    target_rows[i] = (uint32_t)(2 * i);
    weights[i] = 1 + (float)i / 4;
  }
  for (size_t head = 0; head < 3; head++)
    for (size_t i = 0; i < rows[head]; i++) {
      float *prior = priors[head] + i * classes[head];
      double sum = 0;
      for (size_t v = 0; v < classes[head]; v++)
        sum += (double)(prior[v] = 0.01f + (float)tt_rng_uniform(&rng));
      for (size_t v = 0; v < classes[head]; v++)
        prior[v] = (float)log((double)prior[v] / sum);
      wanted[head][i] = head == 1 && i % 3 ? -1 : (int32_t)tt_rng_below(&rng, classes[head]);
      if (wanted[head][i] >= 0)
        want[head] -=
            (double)prior[wanted[head][i]] * (head == 0 ? (double)weights[i] / 4.5 : 1.0 / BLOCKS);
    }
  struct tt_masked_batch batch = {.windows = WINDOWS,
                                  .length = LENGTH,
                                  .ids = ids,
                                  .n = BLOCKS,
                                  .anchors = anchors,
                                  .tokens = tokens,
                                  .n_targets = TARGETS,
                                  .target_rows = target_rows,
                                  .targets = targets,
                                  .weights = weights,
                                  .event_prior = priors[0],
                                  .events = 4.5,
                                  .n_events = BLOCKS,
                                  .event_rows = event_rows,
                                  .before = before,
                                  .rets = rets,
                                  .delays = delays,
                                  .ret_prior = priors[1],
                                  .delay_prior = priors[2]};
  struct tt_compute *c;
  assert_int_equal(tt_compute_create(TT_PRECISION_F32, 1, &c), TT_OK);
  tt_compute_begin(c, false, 0);
  const double without = (double)tt_tensor_value(tt_masked_network_loss(c, &net, &batch, got));
  for (size_t head = 0; head < 3; head++)
    assert_true(fabs(got[head] - want[head]) < 1e-4);
  /* the next events that the encoder is to know are one more part of the loss */
  double next = 0;
  for (size_t i = 0; i < TARGETS; i++)
    next -= (double)priors[0][i * TOKENS + (size_t)targets[i]] / TARGETS;
  batch.n_next = TARGETS;
  batch.next_rows = target_rows; /* any rows */
  batch.next = targets;
  batch.next_prior = priors[0];
  const double with = (double)tt_tensor_value(tt_masked_network_loss(c, &net, &batch, got));
  assert_true(fabs(with - without - next) < 1e-4);
  tt_compute_free(c);
  tt_masked_network_release(&net);
}

/* ---- the prior ---- */

static double chance(const struct tt_bridge *bridge, size_t k, size_t u, size_t v) {
  return exp((double)tt_bridge_logs(bridge, k, u)[v]);
}

/* Steps of two and three are steps of one, one after the other; END stays; a switch ends its block
 * but not the one after. */
static void bridge_sums_over_paths(void **state) {
  (void)state;
  struct tt_train_result result;
  const struct tt_train_config config = marker_config(1, LEFT, 5);
  struct tt_generator *generator = marker_train("masked", &config, &result);
  const struct tt_bridge *bridge = &((const struct tt_masked *)generator)->bridge;
  const size_t n = bridge->n_tokens;
  for (size_t u = 0; u < bridge->n_rows; u++)
    for (size_t k = 1; k <= bridge->block; k++) {
      double sum = 0;
      for (size_t w = 0; w < n; w++) {
        double paths = 0;
        for (size_t v = 0; k > 1 && v < n; v++)
          paths += chance(bridge, k - 1, u, v) * chance(bridge, 1, v, w);
        sum += chance(bridge, k, u, w);
        assert_true(k == 1 || fabs(paths - chance(bridge, k, u, w)) < 1e-5);
      }
      assert_true(fabs(sum - 1) < 1e-5);
    }
  assert_true(bridge->ends[SWITCH] && !bridge->ends[EXIT]);
  assert_true(fabs(chance(bridge, 1, SWITCH, bridge->n_events) - 1) < 1e-6);
  assert_true(fabs(chance(bridge, 1, bridge->begin[SWITCH], MARKER) - 0.5) < 0.1);
  assert_int_equal(bridge->begin[EXIT], EXIT);
  tt_generator_free(generator);
}

/* From left to right the prior is the n-gram's; between neighbours it is the bridge. */
static void prior_is_what_is_known(void **state) {
  (void)state;
  struct tt_train_result result;
  const struct tt_train_config config = marker_config(1, LEFT, 5);
  struct tt_generator *generator = marker_train("masked", &config, &result);
  const struct tt_masked *masked = (const struct tt_masked *)generator;
  const struct tt_bridge *bridge = &masked->bridge;
  const int32_t mask = (int32_t)bridge->n_tokens;
  enum { N = N_TYPES };
  float got[N + 1], want[N + 1];
  struct tt_markov_history history = {.n = 0}, longer;
  const uint16_t past[] = {MARKER, ENTRY, ENTRY + 1, ENTRY + 2, ENTRY + 3};
  for (size_t i = 0; i < 5; i++)
    tt_markov_push(&history, past[i]);
  const struct tt_masked_block_site site = {
      .history = &history, .thread = 0, .call = ENTRY, .cpu = 0};
  const int32_t left[] = {6, 7, mask, mask};
  tt_masked_block_prior(masked, &site, left, 2, UINT32_MAX, got);
  longer = history;
  tt_markov_push(&longer, 6);
  tt_markov_push(&longer, 7);
  tt_system_event_prior(&masked->system, &longer, 0, ENTRY, UINT32_MAX, want);
  for (size_t v = 0; v < N; v++)
    assert_true(got[v] == want[v]);
  assert_true(got[N] < -60); /* nothing has ended the block */
  /* between: place 1 of (?, ?, 8, ?) */
  const int32_t between[] = {mask, mask, EXIT, mask};
  tt_masked_block_prior(masked, &site, between, 1, UINT32_MAX, got);
  double p[N + 1], sum = 0, total = 0;
  for (size_t v = 0; v <= N; v++)
    sum += p[v] = chance(bridge, 2, past[4], v) * chance(bridge, 1, v, EXIT);
  for (size_t v = 0; v <= N; v++) {
    assert_true(fabs(exp((double)got[v]) - p[v] / sum) < 1e-4);
    total += exp((double)got[v]);
  }
  assert_true(fabs(total - 1) < 1e-4 && p[7] / sum > 0.9); /* 7 alone leads to the exit */
  tt_generator_free(generator);
}

/* ---- blocks are drawn as the model says ---- */

enum { B = 3, TYPES = 6, STATES = (TYPES + 2) * (TYPES + 2) * (TYPES + 2), DRAWS = 20000 };

struct toy_model { /* logits of each state of a block, asked for once */
  struct tt_masked *masked;
  struct tt_masked_block_site site;
  struct tt_compute *c;
  float context[32];
  float *logits[STATES]; /* [B, n_tokens + 1] by key */
};

static size_t key_of(const struct tt_masked *masked, const int32_t *tokens) {
  size_t key = 0;
  for (size_t i = 0; i < B; i++)
    key = key * (masked->bridge.n_tokens + 1) + (size_t)tokens[i];
  assert_true(key < STATES);
  return key;
}

static struct tt_masked_block_logits logits_of(struct toy_model *m, const int32_t *tokens) {
  const size_t key = key_of(m->masked, tokens), n = B * (m->masked->bridge.n_tokens + 1);
  if (!m->logits[key]) {
    static const uint32_t rows[B] = {0, 1, 2};
    const struct tt_masked_network *net = &m->masked->network;
    tt_compute_begin(m->c, false, 0);
    struct tt_tensor *x =
        tt_masked_network_decode(m->c, net, tt_input(m->c, m->context, 1, 32), tokens);
    m->logits[key] = tt_alloc(n, sizeof(float));
    memcpy(m->logits[key], tt_masked_network_events(m->c, net, x, rows, B)->data,
           n * sizeof(float));
  }
  return (struct tt_masked_block_logits){m->logits[key], 0};
}

static bool follows(const struct toy_model *m, size_t before, bool begins, size_t token) {
  const struct tt_bridge *bridge = &m->masked->bridge;
  const struct tt_system *system = &m->masked->system;
  const struct tt_place place = {.system = system,
                                 .thread = tt_system_thread_events(system, m->site.thread),
                                 .cpu = m->site.cpu,
                                 .call = TT_MARKOV_CALL_UNKNOWN};
  const bool ended = !begins && (before == bridge->n_events || bridge->ends[before]);
  if (ended || token == bridge->n_events)
    return ended && token == bridge->n_events;
  const struct tt_tally_row row = tt_system_candidates(&m->masked->system, (uint16_t)before);
  return tt_tally_count(&row, (int64_t)token) && tt_place_and_thread_had(&place, (int64_t)token);
}

/* Some way through the block has what `tokens` reveals: all of them tried. */
static bool possible(const struct toy_model *m, const int32_t *tokens, size_t k, size_t before) {
  if (k == B)
    return true;
  for (size_t v = 0; v < m->masked->bridge.n_tokens; v++)
    if ((tokens[k] == (int32_t)m->masked->bridge.n_tokens || tokens[k] == (int32_t)v) &&
        follows(m, before, k == 0, v) && possible(m, tokens, k + 1, v))
      return true;
  return false;
}

/* P(token) at place k, worked out anew: softmax(network + gate * prior) over what is possible. */
static void weigh(const struct toy_model *m, const struct tt_masked_block_logits *logits,
                  const int32_t *tokens, size_t k, double *p) {
  const size_t n = m->masked->bridge.n_tokens;
  const float *row = logits->data + k * (n + 1);
  float prior[TYPES + 1];
  double sum = 0;
  tt_masked_block_prior(m->masked, &m->site, tokens, k, UINT32_MAX, prior);
  for (size_t v = 0; v < n; v++) {
    int32_t with[B];
    memcpy(with, tokens, sizeof with);
    with[k] = (int32_t)v;
    sum += p[v] = possible(m, with, 0, m->site.history->events[0])
                      ? exp((double)row[v] + (double)row[n] * (double)prior[v])
                      : 0;
  }
  for (size_t v = 0; v < n; v++)
    p[v] /= sum;
}

/* Adds the probabilities of all blocks that may follow from here. */
static void walk(struct toy_model *m, const struct tt_masked_block *block,
                 const struct tt_masked_block_logits *logits, size_t revealed, double p,
                 double *ret) {
  const struct tt_masked *masked = m->masked;
  const int32_t mask = (int32_t)masked->bridge.n_tokens;
  struct tt_masked_block_logits fresh = *logits;
  size_t k = SIZE_MAX;
  double now[TYPES + 1], best = 0;
  if (tt_masked_block_first(masked, block) == B) {
    ret[key_of(masked, block->tokens)] += p;
    return;
  }
  if (revealed % masked->reveals == 0)
    fresh = logits_of(m, block->tokens);
  for (size_t i = 0; i < B; i++) {
    const size_t at = block->places[i];
    if (block->tokens[at] != mask)
      continue;
    if (k == SIZE_MAX)
      k = at;
    weigh(m, &fresh, block->tokens, at, now);
    for (int32_t v = 0; block->order == TT_MASKED_confidence && v < mask; v++)
      if (now[v] > best) {
        best = now[v];
        k = at;
      }
  }
  weigh(m, &fresh, block->tokens, k, now);
  for (int32_t v = 0; v < mask; v++)
    if (now[v] > 0) {
      struct tt_masked_block next = *block;
      tt_masked_block_reveal(masked, &next, k, v);
      walk(m, &next, &fresh, revealed + 1, p * now[v], ret);
    }
}

/* The distribution of a site's blocks under the masked->order. */
static void enumerate(struct toy_model *m, double *ret) {
  static const uint8_t orders[6][B] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                       {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
  const size_t n = m->masked->order == TT_MASKED_random ? 6 : 1;
  for (size_t i = 0; i < n; i++) {
    struct tt_masked_block block = {.order = (enum tt_masked_order)m->masked->order};
    for (size_t k = 0; k < B; k++) {
      block.tokens[k] = (int32_t)m->masked->bridge.n_tokens;
      block.places[k] = orders[i][k];
    }
    const struct tt_masked_block_logits none = {0};
    walk(m, &block, &none, 0, 1 / (double)n, ret);
  }
}

/* p: [STATES] is filled in. */
static void check_draws(struct toy_model *m, double *p) {
  const struct tt_masked *masked = m->masked;
  double *seen = tt_calloc(STATES, sizeof *seen);
  double sum = 0, chi = 0, cells = 0, rest = 0, rest_seen = 0;
  struct tt_masked_block_scratch *scratch = tt_masked_block_scratch_new(masked);
  struct tt_rng rng;
  tt_rng_init(&rng, 3, masked->order);
  enumerate(m, p);
  for (size_t i = 0; i < DRAWS; i++) {
    struct tt_masked_block block;
    tt_masked_block_begin(masked, &m->site, scratch, &block, &rng);
    assert_int_equal(block.order, masked->order);
    struct tt_masked_block_logits logits;
    do
      logits = logits_of(m, block.tokens);
    while (tt_masked_block_pass(masked, &m->site, &logits, scratch, &block, &rng));
    seen[key_of(masked, block.tokens)]++;
  }
  for (size_t i = 0; i < STATES; i++) {
    sum += p[i];
    if (p[i] * DRAWS < 5) {
      rest += p[i] * DRAWS;
      rest_seen += seen[i];
      assert_true(p[i] > 0 || seen[i] == 0);
      continue;
    }
    chi += (seen[i] - p[i] * DRAWS) * (seen[i] - p[i] * DRAWS) / (p[i] * DRAWS);
    cells++;
  }
  if (rest > 5) {
    chi += (rest_seen - rest) * (rest_seen - rest) / rest;
    cells++;
  }
  print_message("order %zu, %zu at a time: %.0f kinds of blocks, chi-square %.1f\n", masked->order,
                masked->reveals, cells, chi);
  assert_true(fabs(sum - 1) < 1e-9);
  assert_true(cells >= 20 && chi < cells + 4 * sqrt(2 * cells));
  tt_free(scratch);
  tt_free(seen);
}

/* Events of five kinds in any order but for a few, and switches. */
static struct tt_dataset *make_rich(void) {
  static const char *const names[TYPES] = {"a", "b", "c", "d", "e", "sched_switch"};
  static const char *const comm = "comm";
  enum { N = 4000 };
  const struct toy_names all = {names, &comm, TYPES, 1};
  struct tt_event *events = tt_alloc(N, sizeof *events);
  struct tt_rng rng;
  tt_rng_init(&rng, 4, 4);
  int32_t tid = 10;
  uint16_t last = 0;
  for (int64_t i = 0; i < N; i++) {
    uint16_t event;
    do
      event = (uint16_t)tt_rng_below(&rng, TYPES);
    while (event == last || event == (last + 2) % TYPES || (tid == 10 && event == 3));
    events[i] = (struct tt_event){.ts = 100 * i, .ret = TT_RET_NONE, .tid = tid, .event = event};
    if (event == TYPES - 1)
      tid = 21 - tid;
    last = event;
  }
  struct tt_dataset *ret = toy_store("rich", &all, events, N);
  assert_non_null(ret);
  tt_free(events);
  return ret;
}

static void draws_follow_the_likelihood(void **state) {
  (void)state;
  static struct toy_model m;
  struct tt_train_result result;
  struct tt_dataset *rich = make_rich();
  struct tt_train_config config = marker_config(8, RANDOM, 5);
  config.train = config.val = rich;
  struct tt_generator *generator = marker_train("masked", &config, &result);
  struct tt_markov_history history = {.n = 0};
  struct tt_rng rng;
  m.masked = (struct tt_masked *)generator;
  tt_rng_init(&rng, 9, 9);
  static const uint16_t past[] = {1, 2, 0, 4, 1};
  for (size_t i = 0; i < 5; i++)
    tt_markov_push(&history, past[i]);
  m.site = (struct tt_masked_block_site){
      .history = &history,
      .thread = tt_cast_find(&tt_system_markov(&m.masked->system)->cast, 10, 0),
      .call = TT_MARKOV_NO_CALL,
      .cpu = 0};
  for (size_t i = 0; i < 32; i++)
    m.context[i] = 0.2f * (float)tt_rng_normal(&rng);
  /* far from the prior, so that every order has its own distribution */
  struct tt_param *head = m.masked->network.ends.event.weight;
  struct tt_param *tokens = m.masked->network.places.tables[0];
  for (size_t i = 0; i < tokens->rows * tokens->cols; i++)
    tokens->data[i] *= 20;
  for (size_t i = 0; i < head->rows * head->cols; i++)
    head->data[i] += 0.14f * (float)tt_rng_normal(&rng);
  tt_params_refresh(&m.masked->network.params);
  assert_int_equal(tt_compute_create(TT_PRECISION_F32, 1, &m.c), TT_OK);
  static double p[TT_MASKED_ORDERS][B][STATES];
  for (m.masked->order = 0; m.masked->order < TT_MASKED_ORDERS; m.masked->order++)
    for (m.masked->reveals = 1; m.masked->reveals <= B; m.masked->reveals++)
      check_draws(&m, p[m.masked->order][m.masked->reveals - 1]);
  /* these are different distributions: the check above would tell */
  double chi[2] = {0, 0};
  for (size_t i = 0; i < STATES; i++)
    for (size_t k = 0; k < 2; k++) {
      const double *other = k ? p[TT_MASKED_left][B - 1] : p[TT_MASKED_random][0];
      if (other[i] > 0)
        chi[k] += pow(p[TT_MASKED_left][0][i] - other[i], 2) / other[i] * DRAWS;
    }
  print_message("left to right from random: chi-square %.0f; from all at once: %.0f\n", chi[0],
                chi[1]);
  assert_true(chi[0] > 100 && chi[1] > 100);
  for (size_t i = 0; i < STATES; i++)
    tt_free(m.logits[i]);
  tt_compute_free(m.c);
  tt_generator_free(generator);
  tt_dataset_close(rich);
}

/* ---- the whole ---- */

static struct marker_figures figures_of(const struct tt_generator *generator) {
  struct twin twin = twin_generate(generator, 9000, 1);
  const struct marker_figures figures = marker_measure(&twin);
  tt_free(twin.events);
  return figures;
}

/* Markers lost from another such trace: the event eight later tells them. Returns the share that is
 * filled in right. */
static double fill_markers(const struct tt_generator *generator, bool network) {
  enum { ROWS = 2400, EVERY = 4 * N_CPUS * CYCLE };
  const struct tt_columns *c = tt_dataset_columns(toy);
  struct tt_dataset_writer *writer;
  struct tt_dataset_meta meta;
  struct tt_dataset *gappy = NULL;
  struct tt_holes holes;
  double right = 0;
  char *path = tt_format("%s/gappy", fixture_folder);
  assert_int_equal(tt_dataset_meta_copy(tt_dataset_meta(toy), &meta), TT_OK);
  assert_int_equal(tt_dataset_writer_begin(path, true, &writer), TT_OK);
  for (size_t i = 0; i < ROWS; i++) {
    const struct tt_event e = tt_dataset_event(toy, i);
    if (i % EVERY == EVERY / 2)
      tt_dataset_meta_add_gap(&meta,
                              &(struct tt_gap){c->ts[i - N_CPUS], c->ts[i + N_CPUS], 1, c->cpu[i]});
    else
      assert_int_equal(tt_dataset_writer_append(writer, &e, 1), TT_OK);
  }
  assert_int_equal(tt_dataset_writer_finish(writer, &meta), TT_OK);
  assert_int_equal(tt_dataset_open(path, &gappy), TT_OK);
  assert_int_equal(tt_holes_find(gappy, 10, &holes), TT_OK);
  assert_int_equal(holes.n, ROWS / EVERY);
  const struct tt_fill_config config = {
      .seed = 1, .candidates = 16, .network = network, .right = true};
  assert_int_equal(tt_generator_fill(generator, &holes, &config), TT_OK);
  for (size_t i = 0; i < holes.n; i++)
    right += holes.events[i].event == c->event[EVERY / 2 + i * EVERY];
  right /= (double)holes.n;
  tt_holes_release(&holes);
  tt_dataset_close(gappy);
  tt_dataset_meta_release(&meta);
  tt_free(path);
  return right;
}

static void learns_what_counting_cannot(void **state) {
  (void)state;
  struct tt_train_result first, result;
  struct tt_train_config config = marker_config(1, LEFT, 5);
  tt_generator_free(marker_train("masked", &config, &first));
  config.steps = 300;
  struct tt_generator *generator = marker_train("masked", &config, &result);
  const struct marker_figures figures = figures_of(generator);
  print_message("validation %.3f, %.3f at first; legal %.4f, far dependency %.4f, ret of thread "
                "%.4f\n",
                result.val_loss, first.val_loss, figures.legal, figures.right, figures.rets);
  assert_true(result.val_loss < first.val_loss - 0.05);
  assert_true(figures.legal > 0.998); /* seams apart, always */
  assert_true(figures.right > 0.95);
  assert_true(figures.rets > 0.95);
  const double filled = fill_markers(generator, true), counted = fill_markers(generator, false);
  print_message("lost markers filled in right: %.2f, by counting %.2f\n", filled, counted);
  assert_true(filled > 0.9 && counted < 0.8);
  tt_generator_free(generator);
}

/* Other orders, several places at a time, other blocks: what may be drawn stays the same. */
static void other_orders_keep_the_rules(void **state) {
  (void)state;
  static const struct tt_train_option settings[][6] = {
      {SMALL, {"block", "5"}, {"order", "random"}, {"reveals", "2"}},
      {SMALL, {"block", "8"}, {"order", "confidence"}, {"reveals", "3"}},
      {SMALL, {"block", "1"}, {"left", "100"}, {"views", "1"}},
      {SMALL, {"block", "32"}, {"reveals", "32"}, {"views", "1"}}};
  for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
    struct tt_train_result result;
    const struct tt_train_config config = marker_config(12, settings[i], 6);
    struct tt_generator *generator = marker_train("masked", &config, &result);
    const struct marker_figures figures = figures_of(generator);
    print_message("block %s, %s: validation %.3f, legal %.4f\n", settings[i][3].value,
                  settings[i][4].value, result.val_loss, figures.legal);
    assert_true(figures.legal > 0.998 && isfinite(result.val_loss));
    tt_generator_free(generator);
  }
}

/* Merged transitions that training never had. */
static double unseen(const struct tt_masked *masked) {
  struct twin twin = twin_generate(&masked->system.base, 9000, 1);
  double n = 0;
  for (size_t i = 1; i < twin.n; i++)
    n += !masked->system.follows[(size_t)twin.events[i - 1].event * N_TYPES + twin.events[i].event];
  tt_free(twin.events);
  return n / 9000;
}

/* No twin has what merged traces never had: without remasking because seams mend it, at the cost of
 * events that a CPU should have had in between. */
static void what_does_not_follow_is_drawn_anew(void **state) {
  (void)state;
  struct tt_train_result result;
  const struct tt_train_config config = marker_config(8, LEFT, 5);
  struct tt_generator *generator = marker_train("masked", &config, &result);
  struct tt_masked *masked = (struct tt_masked *)generator;
  for (size_t i = 0; i < N_TYPES; i++) /* one of two markers comes after nothing */
    masked->system.follows[i * N_TYPES + MARKER + 1] = false;
  masked->remask = 0;
  assert_true(unseen(masked) < 0.001);
  const double without = figures_of(generator).legal;
  masked->remask = 1;
  assert_true(unseen(masked) < 0.001);
  const double with = figures_of(generator).legal;
  print_message("transitions that a CPU had: %.4f, remasked %.4f\n", without, with);
  assert_true(without < 0.99 && with > 0.995);
  tt_generator_free(generator);
}

static void same_seed_same_events(void **state) {
  (void)state;
  const struct tt_train_config config = marker_config(10, RANDOM, 5);
  marker_check_seeds("masked", &config);
}

static void few_and_many_events(void **state) {
  (void)state;
  const struct tt_train_config config = marker_config(2, LEFT, 5);
  marker_check_counts("masked", &config);
}

static void wrong_settings_are_told(void **state) {
  (void)state;
  struct tt_train_result result;
  struct tt_generator *generator = NULL;
  static const struct tt_train_option wrong[] = {
      {"block", "0"},  {"block", "33"},    {"order", "right"}, {"reveals", "0"},
      {"left", "101"}, {"mask_min", "90"}, {"heads", "5"},     {"sampler", "ddim"}};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    struct tt_train_config config = marker_config(1, &wrong[i], 1);
    assert_int_equal(tt_generator_train("masked", &config, &result, &generator), TT_USAGE);
  }
  struct tt_train_config config = marker_config(1, LEFT, 5);
  config.stream = TT_STREAM_MERGED;
  assert_int_equal(tt_generator_train("masked", &config, &result, &generator), TT_USAGE);
  tt_causes_clear();
}

static void damaged_models_are_told(void **state) {
  (void)state;
  struct tt_train_result result;
  const struct tt_train_config config = marker_config(1, LEFT, 5);
  struct tt_generator *generator = marker_train("masked", &config, &result), *loaded = NULL;
  damage_system(generator);
  /* a block that the network wasn't made for */
  struct tt_masked *masked = (struct tt_masked *)generator;
  char *path = tt_format("%s/damaged", fixture_folder);
  static const size_t blocks[] = {0, 3, 33};
  for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
    masked->block = blocks[i];
    assert_int_equal(tt_generator_save(generator, path, true), TT_OK);
    assert_int_equal(tt_generator_load(path, &loaded), TT_BAD_INPUT);
    tt_causes_clear();
  }
  tt_free(path);
  tt_generator_free(generator);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(starts_as_the_prior),
      cmocka_unit_test(bridge_sums_over_paths),
      cmocka_unit_test(prior_is_what_is_known),
      cmocka_unit_test(draws_follow_the_likelihood),
      cmocka_unit_test(learns_what_counting_cannot),
      cmocka_unit_test(other_orders_keep_the_rules),
      cmocka_unit_test(what_does_not_follow_is_drawn_anew),
      cmocka_unit_test(same_seed_same_events),
      cmocka_unit_test(few_and_many_events),
      cmocka_unit_test(wrong_settings_are_told),
      cmocka_unit_test(damaged_models_are_told),
  };
  return cmocka_run_group_tests_name("masked", tests, make_toy, toy_end);
}
