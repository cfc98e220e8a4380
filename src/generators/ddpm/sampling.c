/* Sampling: windows are denoised from pure noise, each but a segment's first conditioned on the
 * tail of the one before; streams of samples are then merged by time (generators/merge.h).
 *
 * A stream (a CPU's, or the merged one) is made of segments. Segments of a stream are independent
 * of each other, so that many are denoised at once; a segment begins with a whole window and goes
 * on `fresh` positions at a time until it is long enough. The seams between segments are as rare as
 * segments are long (at most SEGMENT_MAX events).
 *
 * Reverse steps at `sample_steps` levels (tt_ddpm_level) down to 0, by one of
 *   ANCESTRAL: draw every channel of every unknown position from the predicted distribution, embed
 *     the draw as the estimate of h0, and draw x_s from q(x_s | x_t, h0): the generative process
 *     that the cross-entropies train (for discrete data, Austin et al. 2021 sec. 3);
 *   GAUSSIAN: h0 estimated from the network's eps (or h0) output, x_s from the same q (Ho et al.
 *     2020, algorithm 2; fewer than T levels: Nichol & Dhariwal 2021, eq. 19);
 *   DDIM: the same estimate, no fresh noise.
 * In each the events are drawn from the predicted distribution at the last level, in double
 * precision by inverse CDF; only what imitates the original takes its maximum (argmax). */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "generators/ddpm/ddpm.h"
#include "generators/merge.h"

enum { BATCH = 16 /* segments at once */, SEGMENT_MAX = 4096 };

struct queue {  /* sampled events of one stream not yet handed out */
  int32_t *ids; /* [n, n_channels] */
  size_t n, next, capacity;
  uint64_t refills;
};

struct sampler {
  const struct tt_ddpm *ddpm;
  const struct tt_generate_config *config;
  struct tt_compute *compute;
  struct queue *queues; /* [n_streams] */
  uint16_t *stream_cpu; /* [n_streams] */
  size_t n_streams;
  size_t segment;     /* events per segment */
  struct tt_rng rng;  /* of what is decided while merging */
  uint16_t *event_of; /* vocabulary event id -> dataset id */
  uint32_t *comm_of;  /* vocabulary comm id -> dataset id */
  /* one batch of windows */
  int32_t *ids;    /* [BATCH * length, n_channels] */
  int32_t *out;    /* [BATCH, segment + length, n_channels] */
  float *x, *h0;   /* [BATCH * length, width] */
  float *estimate; /* the same, for self-conditioning; else NULL */
  float *logits;   /* [BATCH * length, largest head] */
};

/* Draws an id from softmax(logits[0..n-1]). u in [0, 1). */
static int32_t draw(const float *logits, size_t n, double u) {
  float most = logits[0];
  for (size_t i = 1; i < n; i++)
    most = logits[i] > most ? logits[i] : most;
  double sum = 0;
  for (size_t i = 0; i < n; i++)
    sum += (double)expf(logits[i] - most);
  double target = u * sum, cumulative = 0;
  size_t last = 0;
  for (size_t i = 0; i < n; i++) {
    double p = (double)expf(logits[i] - most);
    cumulative += p;
    if (p > 0)
      last = i;
    if (target < cumulative)
      return (int32_t)i;
  }
  return (int32_t)last;
}

static int32_t largest(const float *logits, size_t n) {
  size_t most = 0;
  for (size_t i = 1; i < n; i++)
    most = logits[i] > logits[most] ? i : most;
  return (int32_t)most;
}

/* Draws every channel of the unknown positions into s->ids from the heads. */
static void draw_ids(struct sampler *s, struct tt_tensor *hidden, size_t windows, size_t length,
                     size_t prefix, uint64_t round, uint64_t level) {
  const struct tt_denoiser *net = &s->ddpm->denoiser;
  size_t n = net->config.n_channels, rows = windows * length;
  for (size_t k = 0; k < n; k++) {
    size_t mark = tt_compute_mark(s->compute), size = net->config.sizes[k];
    struct tt_tensor *logits =
        tt_op_linear_f32(s->compute, hidden, net->heads[k].weight, net->heads[k].bias);
    tt_tensor_read(logits, s->logits);
#pragma omp parallel for schedule(static)
    for (size_t row = 0; row < rows; row++) {
      if (row % length < prefix)
        continue;
      const float *of_row = s->logits + row * size;
      int32_t *id = &s->ids[row * n + k];
      if (k == net->scalar) {
        *id = tt_number_to_id(*of_row);
        continue;
      }
      if (s->ddpm->argmax) {
        *id = largest(of_row, size);
        continue;
      }
      struct tt_rng rng;
      tt_rng_init(&rng, s->config->seed ^ (round << 20 | level << 4 | k), row);
      *id = draw(of_row, size, tt_rng_uniform(&rng));
    }
    tt_compute_release_to(s->compute, mark);
  }
}

static size_t level_at(const struct tt_ddpm *ddpm, size_t i) { /* i: 0..sample_steps */
  return i == 0 ? 0 : tt_ddpm_level(ddpm, (double)i / (double)ddpm->sample_steps);
}

/* Denoises positions prefix..length-1 of every window; s->ids holds the prefix before, all after.
 */
static void denoise(struct sampler *s, size_t windows, size_t prefix, int32_t cpu, uint64_t round) {
  const struct tt_ddpm *ddpm = s->ddpm;
  const struct tt_denoiser *net = &ddpm->denoiser;
  size_t length = ddpm->base.context, d = net->config.width, rows = windows * length;
  int32_t cpus[BATCH];
  size_t prefixes[BATCH], levels[BATCH];
  for (size_t w = 0; w < windows; w++) {
    cpus[w] = cpu;
    prefixes[w] = prefix;
  }
  /* unknown ids are embedded too, and overwritten */
  for (size_t row = 0; row < rows; row++)
    if (row % length >= prefix)
      memset(s->ids + row * net->config.n_channels, 0, net->config.n_channels * sizeof *s->ids);
  tt_compute_begin(s->compute, false, 0);
  tt_tensor_read(tt_denoiser_embed(s->compute, net, s->ids, rows), s->x);
#pragma omp parallel for schedule(static)
  for (size_t row = 0; row < rows; row++) {
    if (row % length < prefix)
      continue;
    struct tt_rng rng;
    tt_rng_init(&rng, s->config->seed ^ 0x7374617274, round << 24 | row);
    for (size_t k = 0; k < d; k++)
      s->x[row * d + k] = (float)tt_rng_normal(&rng);
  }
  struct tt_denoiser_batch batch = {
      .windows = windows, .length = length, .cpus = cpus, .prefix = prefixes, .t = levels};
  for (size_t i = ddpm->sample_steps; i > 0; i--) {
    size_t t = level_at(ddpm, i), to = level_at(ddpm, i - 1);
    if (to == t) /* levels are whole numbers: a step too small to be one */
      continue;
    for (size_t w = 0; w < windows; w++)
      levels[w] = t;
    tt_compute_begin(s->compute, false, 0);
    struct tt_tensor *x = tt_input(s->compute, s->x, rows, d);
    struct tt_tensor *hidden = tt_denoiser_hidden(s->compute, net, x, &batch), *output = NULL;
    float a, b, scale = net->config.signal;
    tt_schedule_forward(&ddpm->schedule, t, &a, &b);
    struct tt_schedule_back back;
    if (ddpm->sampler == TT_DDPM_ANCESTRAL || i == 1)
      draw_ids(s, hidden, windows, length, prefix, round, i);
    if (i == 1)
      break;
    if (ddpm->sampler != TT_DDPM_ANCESTRAL || net->config.self_condition)
      output = tt_linear_forward(s->compute, &net->output, hidden, TT_ACT_NONE);
    if (net->config.self_condition) {
      tt_denoiser_estimate(s->compute, net, &ddpm->schedule, &batch, x, output, s->estimate);
      batch.estimate = s->estimate;
    }
    if (ddpm->sampler == TT_DDPM_ANCESTRAL) {
      back = tt_schedule_ddpm(&ddpm->schedule, t, to);
      tt_tensor_read(tt_denoiser_embed(s->compute, net, s->ids, rows), s->h0);
      back.from_h0 *= scale;
    } else {
      back = ddpm->sampler == TT_DDPM_DDIM ? tt_schedule_ddim(&ddpm->schedule, t, to)
                                           : tt_schedule_ddpm(&ddpm->schedule, t, to);
      tt_tensor_read(output, s->h0);
      if (net->config.predict_x0) {
        back.from_h0 *= scale;
      } else { /* signal * h0 = (x - b eps) / a */
        back.from_x += back.from_h0 / a;
        back.from_h0 *= -b / a;
      }
    }
#pragma omp parallel for schedule(static)
    for (size_t row = 0; row < rows; row++) {
      if (row % length < prefix)
        continue;
      struct tt_rng rng;
      tt_rng_init(&rng, s->config->seed ^ (0x6e6f69 + i), round << 24 | row);
      float *out = s->x + row * d;
      const float *h0 = s->h0 + row * d;
      for (size_t k = 0; k < d; k++) {
        out[k] = back.from_h0 * h0[k] + back.from_x * out[k];
        if (back.fresh > 0)
          out[k] += back.fresh * (float)tt_rng_normal(&rng);
      }
    }
  }
}

/* A real context to begin a segment of this CPU with: [length - fresh, n_channels]. */
static const int32_t *draw_context(const struct sampler *s, uint16_t cpu, uint64_t round) {
  const struct tt_ddpm *ddpm = s->ddpm;
  size_t each = (ddpm->base.context - ddpm->fresh) * ddpm->denoiser.config.n_channels;
  size_t same = 0, k = 0;
  for (size_t i = 0; i < ddpm->n_contexts; i++)
    same += ddpm->context_cpu[i] == cpu;
  bool any = ddpm->base.stream == TT_STREAM_MERGED || same == 0;
  struct tt_rng rng;
  tt_rng_init(&rng, s->config->seed ^ 0x636f6e74657874, round);
  size_t left = (size_t)tt_rng_below(&rng, any ? ddpm->n_contexts : same);
  while (!(any || ddpm->context_cpu[k] == cpu) || left-- > 0)
    k++;
  return ddpm->contexts + k * each;
}

/* Appends a round of segments to a stream's queue. */
static enum tt_status refill(struct sampler *s, size_t stream) {
  const struct tt_ddpm *ddpm = s->ddpm;
  struct queue *q = &s->queues[stream];
  size_t n = ddpm->denoiser.config.n_channels, length = ddpm->base.context;
  size_t fresh = ddpm->fresh, prefix = length - fresh, capacity = s->segment + length;
  uint64_t first_round = (uint64_t)stream << 32 | q->refills << 20;
  /* s->out: for each segment its context, then what is made */
  for (size_t w = 0; w < BATCH && prefix > 0; w++)
    memcpy(s->out + w * capacity * n,
           draw_context(s, s->stream_cpu[stream], first_round | (uint64_t)w),
           prefix * n * sizeof *s->ids);
  for (size_t made = 0; made < s->segment; made += fresh) {
    if (tt_interrupted())
      return tt_fail(TT_INTERRUPTED, "interrupted");
    for (size_t w = 0; w < BATCH; w++)
      memcpy(s->ids + w * length * n, s->out + (w * capacity + made) * n,
             prefix * n * sizeof *s->ids);
    denoise(s, BATCH, prefix, s->stream_cpu[stream], first_round + made / fresh);
    for (size_t w = 0; w < BATCH; w++)
      memcpy(s->out + (w * capacity + made + prefix) * n, s->ids + (w * length + prefix) * n,
             fresh * n * sizeof *s->ids);
  }
  q->refills++;
  q->n = q->next = 0;
  if (tt_grow(&q->ids, &q->capacity, BATCH * s->segment * n, sizeof *q->ids))
    return tt_fail(TT_NO_MEMORY, "out of memory");
  for (size_t w = 0; w < BATCH; w++)
    memcpy(q->ids + w * s->segment * n, s->out + (w * capacity + prefix) * n,
           s->segment * n * sizeof *q->ids);
  q->n = BATCH * s->segment;
  return TT_OK;
}

static uint16_t draw_cpu(struct sampler *s) {
  double u = tt_rng_uniform(&s->rng), sum = 0;
  size_t last = 0;
  for (size_t c = 0; c < s->ddpm->base.cpu_limit; c++) {
    sum += s->ddpm->cpu_share[c];
    if (s->ddpm->cpu_share[c] > 0)
      last = c;
    if (u < sum)
      break;
  }
  return (uint16_t)last;
}

/* The next sample of a stream (tt_sample_source.next). */
static enum tt_status next_sample(void *user, size_t stream, struct tt_sample *ret) {
  struct sampler *s = user;
  const struct tt_ddpm *ddpm = s->ddpm;
  const struct tt_vocabulary *v = ddpm->vocabulary;
  struct queue *q = &s->queues[stream];
  size_t n = ddpm->denoiser.config.n_channels;
  if (q->next == q->n) {
    enum tt_status status = refill(s, stream);
    if (status != TT_OK)
      return status;
  }
  const int32_t *row = q->ids + q->next++ * n;
  size_t dt = tt_ddpm_channel(ddpm, "dt"), cpu = tt_ddpm_channel(ddpm, "cpu");
  size_t tid = tt_ddpm_channel(ddpm, "tid"), comm = tt_ddpm_channel(ddpm, "comm");
  size_t ret_channel = tt_ddpm_channel(ddpm, "ret");
  *ret = (struct tt_sample){.event = s->event_of[row[0]],
                            .cpu = s->stream_cpu[stream],
                            .ret = TT_RET_NONE,
                            .comm = TT_COMM_NONE,
                            .thread = TT_THREAD_ANY,
                            .bucket = -1};
  if (ddpm->base.stream == TT_STREAM_MERGED)
    ret->cpu = cpu < n ? (uint16_t)row[cpu] : draw_cpu(s);
  if (dt < n && ddpm->denoiser.config.scalar_dt)
    ret->dt = tt_ddpm_number_ns(ddpm, (double)tt_number_of_id(row[dt]));
  else /* no such channel: any of the real delays */
    ret->dt = tt_vocabulary_dt_ns(
        v, (double)tt_delay_bins_draw(
               &ddpm->bins, dt < n ? (size_t)row[dt] : (size_t)tt_rng_below(&s->rng, TT_DELAY_BINS),
               &s->rng));
  if (tid < n)
    ret->bucket = (int16_t)row[tid];
  if (comm < n)
    ret->comm = s->comm_of[row[comm]];
  if (ret_channel < n)
    ret->ret = row[ret_channel] == TT_ID_UNK
                   ? TT_RET_DRAW
                   : tt_vocabulary_ret_value(v, (uint16_t)row[ret_channel], &s->rng);
  else if (tt_rng_uniform(&s->rng) < (double)ddpm->cast.events[ret->event].returns)
    ret->ret = TT_RET_DRAW;
  return TT_OK;
}

static enum tt_status make_maps(struct sampler *s) {
  const struct tt_vocabulary *v = s->ddpm->vocabulary;
  const struct tt_generator *base = &s->ddpm->base;
  size_t events = tt_vocabulary_events(v), comms = tt_vocabulary_comms(v);
  s->event_of = tt_alloc(events, sizeof *s->event_of);
  s->comm_of = tt_alloc(comms, sizeof *s->comm_of);
  if (!s->event_of || !s->comm_of)
    return tt_fail(TT_NO_MEMORY, "out of memory");
  for (size_t i = 0; i < events; i++) {
    uint32_t id = tt_names_find(&base->events, v->events.names[i]);
    if (id == TT_NAME_NONE)
      return tt_fail(TT_BAD_INPUT, "event '%s' of the vocabulary is not in the model's dictionary",
                     v->events.names[i]);
    s->event_of[i] = (uint16_t)id;
  }
  for (size_t i = 0; i < comms; i++)
    s->comm_of[i] = i < TT_ID_FIRST ? TT_COMM_NONE
                                    : tt_names_find(&base->comms, v->comms.names[i - TT_ID_FIRST]);
  return TT_OK; /* TT_NAME_NONE is TT_COMM_NONE: no hint */
}

static enum tt_status make_streams(struct sampler *s) {
  const struct tt_ddpm *ddpm = s->ddpm;
  size_t cpus = ddpm->base.cpu_limit;
  s->stream_cpu = tt_calloc(cpus, sizeof *s->stream_cpu);
  if (!s->stream_cpu)
    return tt_fail(TT_NO_MEMORY, "out of memory");
  s->n_streams = 1;
  if (ddpm->base.stream == TT_STREAM_CPU) {
    s->n_streams = 0;
    for (size_t c = 0; c < cpus; c++)
      if (ddpm->cpu_share[c] > 0)
        s->stream_cpu[s->n_streams++] = (uint16_t)c;
  }
  s->queues = tt_calloc(s->n_streams, sizeof *s->queues);
  return s->queues ? TT_OK : tt_fail(TT_NO_MEMORY, "out of memory");
}

static enum tt_status make_buffers(struct sampler *s) {
  const struct tt_denoiser_config *net = &s->ddpm->denoiser.config;
  size_t length = s->ddpm->base.context, rows = BATCH * length, largest = 0;
  for (size_t k = 0; k < net->n_channels; k++)
    largest = net->sizes[k] > largest ? net->sizes[k] : largest;
  size_t want = (size_t)(s->config->events / (s->n_streams * BATCH)) + 1;
  s->segment = want < length ? length : want > SEGMENT_MAX ? SEGMENT_MAX : want;
  s->ids = tt_calloc(rows * net->n_channels, sizeof *s->ids);
  s->out = tt_alloc(BATCH * (s->segment + length) * net->n_channels, sizeof *s->out);
  s->x = tt_alloc(rows * net->width, sizeof *s->x);
  s->h0 = tt_alloc(rows * net->width, sizeof *s->h0);
  s->logits = tt_alloc(rows * largest, sizeof *s->logits);
  bool ok = s->ids && s->out && s->x && s->h0 && s->logits;
  if (net->self_condition)
    ok = (s->estimate = tt_alloc(rows * net->width, sizeof *s->estimate)) && ok;
  return ok ? TT_OK : tt_fail(TT_NO_MEMORY, "out of memory");
}

enum tt_status tt_ddpm_generate(const struct tt_generator *generator,
                                const struct tt_generate_config *config,
                                const struct tt_event_sink *sink) {
  struct sampler s = {.ddpm = (const struct tt_ddpm *)generator, .config = config};
  struct tt_decoder *decoder = NULL;
  int64_t *begin = NULL;
  tt_rng_init(&s.rng, config->seed, 0x6d65726765);
  enum tt_status status = make_maps(&s);
  if (status == TT_OK)
    status = make_streams(&s);
  if (status == TT_OK)
    status = make_buffers(&s);
  if (status == TT_OK)
    status = tt_compute_create(TT_PRECISION_AUTO, config->seed, &s.compute);
  if (status == TT_OK)
    status = tt_decoder_new(&s.ddpm->cast, config->seed, &decoder);
  if (status == TT_OK && !(begin = tt_alloc(s.n_streams, sizeof *begin)))
    status = tt_fail(TT_NO_MEMORY, "out of memory");
  if (status == TT_OK) {
    for (size_t i = 0; i < s.n_streams; i++)
      begin[i] = generator->begin_ns;
    const struct tt_sample_source source = {
        .user = &s, .n_streams = s.n_streams, .next = next_sample};
    status = tt_merge_run(&source, begin, decoder, config->events, config->progress, sink);
  }
  tt_decoder_free(decoder);
  tt_compute_free(s.compute);
  for (size_t i = 0; s.queues && i < s.n_streams; i++)
    tt_free(s.queues[i].ids);
  tt_free(s.queues);
  tt_free(s.stream_cpu);
  tt_free(s.event_of);
  tt_free(s.comm_of);
  tt_free(s.ids);
  tt_free(s.out);
  tt_free(s.x);
  tt_free(s.h0);
  tt_free(s.estimate);
  tt_free(s.logits);
  tt_free(begin);
  return status;
}
