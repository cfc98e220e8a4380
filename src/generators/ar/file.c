#include "generators/ar/file.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/output.h"
#include "compute/model_file.h"
#include "dataset/json.h"
#include "generators/count_file.h"

enum { N_POINTS = TT_DELAY_BINS * TT_DELAY_POINTS + 1, N_LATEST = 3 };

/* Integers of one start: ids, rows, threads and ages of each CPU, busy flags, latest events, calls
 * and comms of each thread. */
static size_t start_size(const struct tt_ar *ar) {
  const size_t cpus = ar->base.cpu_limit;
  return cpus * (TT_AR_START_ROWS * TT_AR_INPUTS + 4) + N_LATEST +
         2 * tt_ar_markov(ar)->cast.n_threads;
}

static void write_start(const struct tt_ar *ar, const struct tt_ar_start *start, int64_t *out) {
  const size_t cpus = ar->base.cpu_limit;
  for (size_t i = 0; i < cpus * TT_AR_START_ROWS * TT_AR_INPUTS; i++)
    *out++ = start->ids[i];
  for (size_t i = 0; i < cpus; i++) {
    *out++ = start->rows[i];
    *out++ = start->thread[i] == TT_THREAD_ANY ? -1 : (int64_t)start->thread[i];
    *out++ = start->age[i];
    *out++ = start->system.busy[i];
  }
  *out++ = start->system.latest_cpu;
  *out++ = start->system.latest;
  *out++ = start->system.elsewhere;
  for (size_t i = 0; i < tt_ar_markov(ar)->cast.n_threads; i++)
    *out++ = start->system.calls[i];
  for (size_t i = 0; i < tt_ar_markov(ar)->cast.n_threads; i++)
    *out++ = start->comm[i] == TT_COMM_NONE ? -1 : (int64_t)start->comm[i];
}

static bool within(int64_t value, int64_t low, size_t end) {
  return value >= low && (value < 0 || (uint64_t)value < end);
}

/* False when a number is out of range. */
static bool read_start(const struct tt_ar *ar, const int64_t *in, struct tt_ar_start *start) {
  const size_t cpus = ar->base.cpu_limit, threads = tt_ar_markov(ar)->cast.n_threads;
  const size_t events = ar->base.events.n;
  bool ok = true;
  for (size_t i = 0; i < cpus * TT_AR_START_ROWS * TT_AR_INPUTS; i++, in++) {
    ok = ok && within(*in, -1, ar->network.sizes[i % TT_AR_INPUTS]);
    start->ids[i] = (int32_t)*in;
  }
  for (size_t i = 0; i < cpus; i++, in += 4) {
    ok = ok && within(in[0], 0, TT_AR_START_ROWS + 1) && within(in[1], -1, threads) && in[2] >= 0 &&
         within(in[3], 0, 2);
    start->rows[i] = (uint8_t)in[0];
    start->thread[i] = in[1] < 0 ? TT_THREAD_ANY : (uint32_t)in[1];
    start->age[i] = in[2];
    start->system.busy[i] = in[3] != 0;
    start->system.n_busy += in[3] != 0;
    for (size_t row = 0; ok && row < start->rows[i]; row++) /* rows that are there have an event */
      ok = start->ids[(i * TT_AR_START_ROWS + row) * TT_AR_INPUTS + TT_AR_event] >= 0;
  }
  ok = ok && within(in[0], -1, cpus) && within(in[1], -1, events) && within(in[2], -1, events);
  start->system.latest_cpu = (int32_t)in[0];
  start->system.latest = (int32_t)in[1];
  start->system.elsewhere = (int32_t)in[2];
  in += N_LATEST;
  for (size_t i = 0; i < threads; i++, in++) {
    ok =
        ok && (within(*in, 0, events) || *in == TT_MARKOV_NO_CALL || *in == TT_MARKOV_CALL_UNKNOWN);
    start->system.calls[i] = (uint32_t)*in;
  }
  for (size_t i = 0; i < threads; i++, in++) {
    ok = ok && within(*in, -1, ar->base.comms.n);
    start->comm[i] = *in < 0 ? TT_COMM_NONE : (uint32_t)*in;
  }
  return ok;
}

/* Adds flags as 0 and 1; *ret_buffer lives until the file is written. */
static enum tt_status add_seen(struct tt_model_writer *writer, const char *column,
                               const bool *flags, size_t n, int64_t **ret_buffer) {
  int64_t *wide = *ret_buffer = tt_alloc(n, sizeof *wide);
  if (!wide)
    return tt_fail(TT_NO_MEMORY, "out of memory");
  for (size_t i = 0; i < n; i++)
    wide[i] = flags[i];
  return tt_count_file_add(writer, "seen", column, wide, n);
}

enum { BUFFERS = 5 };
static enum tt_status add_tensors(const struct tt_ar *ar, struct tt_model_writer *writer,
                                  int64_t **buffers) {
  const size_t events = ar->base.events.n, each = start_size(ar), points = N_POINTS;
  int64_t *starts = buffers[0] = tt_alloc(ar->n_starts * each, sizeof *starts);
  if (!starts)
    return tt_fail(TT_NO_MEMORY, "out of memory");
  for (size_t i = 0; i < ar->n_starts; i++)
    write_start(ar, &ar->starts[i], starts + i * each);
  enum tt_status status = tt_count_file_add(writer, "starts", "state", starts, ar->n_starts * each);
  if (status == TT_OK)
    status = tt_params_save(&ar->network.params, "", writer);
  if (status == TT_OK)
    status = tt_model_writer_add(writer, "dt.quantiles", ar->bins.quantile, &points, 1);
  if (status == TT_OK)
    status = tt_count_file_add_ngram(writer, "rets", &ar->rets, &buffers[1]);
  if (status == TT_OK)
    status = tt_count_file_add_ngram(writer, "delays", &ar->delays, &buffers[2]);
  if (status == TT_OK)
    status = add_seen(writer, "on_cpu", ar->on_cpu, ar->base.cpu_limit * events, &buffers[3]);
  if (status == TT_OK)
    status = add_seen(writer, "follows", ar->follows, events * events, &buffers[4]);
  if (status == TT_OK)
    status = tt_count_file_add(writer, "seen", "soonest", ar->soonest, events);
  return status;
}

enum tt_status tt_ar_save(const struct tt_generator *generator, const char *folder, json_t *model) {
  const struct tt_ar *ar = (const struct tt_ar *)generator;
  struct tt_model_writer writer;
  int64_t *buffers[BUFFERS] = {NULL};
  tt_model_writer_init(&writer);
  char *path = tt_format("%s/model.safetensors", folder), *prior = tt_format("%s/prior", folder);
  enum tt_status status = path && prior ? TT_OK : tt_fail(TT_NO_MEMORY, "out of memory");
  if (status == TT_OK)
    status = tt_generator_save(ar->prior, prior, true);
  if (status == TT_OK)
    status = add_tensors(ar, &writer, buffers);
  if (status == TT_OK)
    status = tt_model_write(&writer, path);
  if (status == TT_OK) {
    json_t *architecture = json_pack("{s:I,s:I,s:I,s:b}", "width", (json_int_t)ar->network.width,
                                     "layers", (json_int_t)ar->network.layers, "heads",
                                     (json_int_t)ar->network.heads, "prior", (int)ar->use_prior);
    /* a NULL member (memory is short) makes its json_object_set_new fail */
    int failed = json_object_set_new(model, "architecture", architecture);
    failed |= json_object_set_new(model, "vocabulary", tt_vocabulary_to_json(ar->vocabulary));
    if (failed)
      status = tt_fail(TT_NO_MEMORY, "out of memory");
  }
  tt_model_writer_release(&writer);
  for (size_t i = 0; i < BUFFERS; i++)
    tt_free(buffers[i]);
  tt_free(path);
  tt_free(prior);
  return status;
}

static enum tt_status get_measure(const json_t *object, const char *key, uint64_t low,
                                  uint64_t high, size_t *ret) {
  uint64_t value;
  enum tt_status status = tt_json_get_u64(object, key, &value);
  if (status == TT_OK && (value < low || value > high))
    status = tt_fail(TT_BAD_INPUT, "model.json: %s is not within %llu to %llu", key,
                     (unsigned long long)low, (unsigned long long)high);
  if (status == TT_OK)
    *ret = (size_t)value;
  return status;
}

/* The prior is a markov model of the same trace. */
static enum tt_status load_prior(struct tt_ar *ar, const char *folder) {
  char *path = tt_format("%s/prior", folder);
  enum tt_status status = path ? TT_OK : tt_fail(TT_NO_MEMORY, "out of memory");
  if (status == TT_OK)
    status = tt_generator_load(path, &ar->prior);
  if (status == TT_OK &&
      (ar->prior->ops != &tt_markov_ops || ar->prior->events.n != ar->base.events.n ||
       ar->prior->comms.n != ar->base.comms.n || ar->prior->cpu_limit != ar->base.cpu_limit ||
       ar->prior->stream != TT_STREAM_CPU))
    status = tt_fail(TT_BAD_INPUT, "%s: not the prior of this model", path);
  tt_free(path);
  return status;
}

enum tt_status tt_ar_load_settings(struct tt_ar *ar, const char *folder, const json_t *model) {
  const json_t *architecture = json_object_get(model, "architecture");
  struct tt_ar_network *net = &ar->network;
  enum tt_status status = get_measure(architecture, "width", 16, TT_AR_MAX_WIDTH, &net->width);
  if (status == TT_OK)
    status = get_measure(architecture, "layers", 1, TT_MAX_LAYERS, &net->layers);
  if (status == TT_OK)
    status = get_measure(architecture, "heads", 1, 64, &net->heads);
  if (status == TT_OK)
    status = tt_json_get_bool(architecture, "prior", &ar->use_prior);
  if (status == TT_OK && net->width % (2 * net->heads) != 0)
    status = tt_fail(TT_BAD_INPUT, "model.json: impossible architecture");
  if (status == TT_OK)
    status = load_prior(ar, folder);
  if (status == TT_OK)
    status = tt_vocabulary_from_json(json_object_get(model, "vocabulary"), &ar->vocabulary);
  return status;
}

static enum tt_status load_quantiles(struct tt_ar *ar, const struct tt_model_file *file) {
  const struct tt_model_tensor *q = tt_model_find(file, "dt.quantiles");
  if (!q || !q->data || q->rank != 1 || q->shape[0] != N_POINTS)
    return tt_fail(TT_BAD_INPUT, "%s: no tensor dt.quantiles of %d numbers", tt_model_path(file),
                   N_POINTS);
  for (size_t i = 0; i < N_POINTS; i++) {
    if (!isfinite(q->data[i]) || (i && q->data[i] < q->data[i - 1]))
      return tt_fail(TT_BAD_INPUT, "%s: dt.quantiles do not ascend at %zu", tt_model_path(file), i);
    ar->bins.quantile[i] = q->data[i];
  }
  return TT_OK;
}

/* Flags, as 0 and 1; at least one is set. */
static enum tt_status load_seen(const struct tt_model_file *file, const char *column, size_t n,
                                bool **ret) {
  struct tt_count_file_column seen = {0};
  enum tt_status status = tt_count_file_get(file, "seen", column, &seen);
  if (status != TT_OK)
    return status;
  bool *flags = *ret = tt_calloc(n, sizeof *flags), any = false;
  if (!flags)
    return tt_fail(TT_NO_MEMORY, "out of memory");
  for (size_t i = 0; seen.n == n && i < n; i++)
    any |= flags[i] = seen.values[i] != 0;
  return any ? TT_OK
             : tt_fail(TT_BAD_INPUT, "%s: seen.%s: not %zu flags, or none is set",
                       tt_model_path(file), column, n);
}

static enum tt_status load_soonest(struct tt_ar *ar, const struct tt_model_file *file) {
  struct tt_count_file_column soonest = {0};
  const size_t n = ar->base.events.n;
  enum tt_status status = tt_count_file_get(file, "seen", "soonest", &soonest);
  if (status != TT_OK)
    return status;
  ar->soonest = tt_alloc(n, sizeof *ar->soonest);
  if (!ar->soonest)
    return tt_fail(TT_NO_MEMORY, "out of memory");
  for (size_t i = 0; i < n; i++) {
    if (soonest.n != n || soonest.values[i] < 0)
      return tt_fail(TT_BAD_INPUT, "%s: seen.soonest: not %zu times", tt_model_path(file), n);
    ar->soonest[i] = soonest.values[i];
  }
  return TT_OK;
}

static enum tt_status load_starts(struct tt_ar *ar, const struct tt_model_file *file) {
  struct tt_count_file_column state = {0};
  const size_t each = start_size(ar);
  enum tt_status status = tt_count_file_get(file, "starts", "state", &state);
  if (status != TT_OK)
    return status;
  if (state.n == 0 || state.n % each != 0)
    return tt_fail(TT_BAD_INPUT, "%s: starts.state has %zu numbers, not a multiple of %zu",
                   tt_model_path(file), state.n, each);
  ar->starts = tt_calloc(state.n / each, sizeof *ar->starts);
  if (!ar->starts)
    return tt_fail(TT_NO_MEMORY, "out of memory");
  while (ar->n_starts < state.n / each) {
    struct tt_ar_start *start = &ar->starts[ar->n_starts];
    status = tt_ar_start_init(ar, start);
    if (status != TT_OK)
      return status;
    ar->n_starts++;
    if (!read_start(ar, state.values + (ar->n_starts - 1) * each, start))
      return tt_fail(TT_BAD_INPUT, "%s: start %zu is out of range", tt_model_path(file),
                     ar->n_starts - 1);
  }
  return TT_OK;
}

enum tt_status tt_ar_load_tensors(struct tt_ar *ar, const char *folder) {
  struct tt_model_file *file = NULL;
  char *path = tt_format("%s/model.safetensors", folder);
  enum tt_status status = path ? TT_OK : tt_fail(TT_NO_MEMORY, "out of memory");
  if (status == TT_OK)
    status = tt_model_open(path, &file);
  if (status == TT_OK)
    status = tt_params_load(&ar->network.params, "", file);
  if (status == TT_OK)
    status = load_quantiles(ar, file);
  if (status == TT_OK)
    status = tt_count_file_get_ngram(file, "rets", (uint32_t)ar->network.n_rets, &ar->rets);
  if (status == TT_OK)
    status = tt_count_file_get_ngram(file, "delays", TT_DELAY_BINS, &ar->delays);
  if (status == TT_OK)
    status = load_seen(file, "on_cpu", ar->base.cpu_limit * ar->base.events.n, &ar->on_cpu);
  if (status == TT_OK)
    status = load_seen(file, "follows", ar->base.events.n * ar->base.events.n, &ar->follows);
  if (status == TT_OK)
    status = load_soonest(ar, file);
  if (status == TT_OK)
    status = load_starts(ar, file);
  tt_model_close(file);
  tt_free(path);
  return status;
}
