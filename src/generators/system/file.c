/* The folder of a model: what the generators with a network have in common. */
#include "generators/system/system.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/output.h"
#include "compute/model_file.h"
#include "dataset/json.h"
#include "generators/count_file.h"
#include "nn/transformer.h"

static void write_start(const struct tt_system *system, const struct tt_system_start *start,
                        int64_t *out) {
  const size_t cpus = system->base.cpu_limit;
  for (size_t i = 0; i < cpus * TT_SYSTEM_START_ROWS * TT_SYSTEM_INPUTS; i++)
    *out++ = start->ids[i];
  for (size_t i = 0; i < cpus; i++) {
    *out++ = start->rows[i];
    *out++ = start->thread[i] == TT_THREAD_ANY ? -1 : (int64_t)start->thread[i];
    *out++ = start->age[i];
    *out++ = start->state.busy[i];
  }
  *out++ = start->state.latest_cpu;
  *out++ = start->state.latest;
  *out++ = start->state.elsewhere;
  *out++ = start->since;
  *out++ = start->state.switches;
  for (size_t i = 0; i < tt_system_markov(system)->cast.n_threads; i++)
    *out++ = start->state.calls[i];
  for (size_t i = 0; i < tt_system_markov(system)->cast.n_threads; i++) {
    const struct tt_system_past *past = &start->state.past[i];
    *out++ = (int64_t)((uint64_t)past->left << 17 | (uint64_t)past->cpu << 1 | past->exiting);
  }
  for (size_t i = 0; i < tt_system_markov(system)->cast.n_threads; i++)
    *out++ = start->comm[i] == TT_COMM_NONE ? -1 : (int64_t)start->comm[i];
}

static bool within(int64_t value, int64_t low, size_t end) {
  return value >= low && (value < 0 || (uint64_t)value < end);
}

/* False when a number is out of range. */
static bool read_start(const struct tt_system *system, const int64_t *in,
                       struct tt_system_start *start) {
  const size_t cpus = system->base.cpu_limit, threads = tt_system_markov(system)->cast.n_threads;
  const size_t events = system->base.events.n;
  bool ok = true;
  for (size_t i = 0; i < cpus * TT_SYSTEM_START_ROWS * TT_SYSTEM_INPUTS; i++, in++) {
    ok = ok && within(*in, -1, system->sizes[i % TT_SYSTEM_INPUTS]);
    start->ids[i] = (int32_t)*in;
  }
  for (size_t i = 0; i < cpus; i++, in += 4) {
    ok = ok && within(in[0], 0, TT_SYSTEM_START_ROWS + 1) && within(in[1], -1, threads) &&
         in[2] >= 0 && within(in[3], 0, 2);
    start->rows[i] = (uint8_t)in[0];
    start->thread[i] = in[1] < 0 ? TT_THREAD_ANY : (uint32_t)in[1];
    start->age[i] = in[2];
    start->state.busy[i] = in[3] != 0;
    start->state.n_busy += in[3] != 0;
    for (size_t row = 0; ok && row < start->rows[i]; row++) /* rows that are there have an event */
      ok = start->ids[(i * TT_SYSTEM_START_ROWS + row) * TT_SYSTEM_INPUTS + TT_SYSTEM_event] >= 0;
  }
  ok = ok && within(in[0], -1, cpus) && within(in[1], -1, events) && within(in[2], -1, events);
  start->state.latest_cpu = (int32_t)in[0];
  start->state.latest = (int32_t)in[1];
  start->state.elsewhere = (int32_t)in[2];
  start->since = in[3];
  ok = ok && in[4] >= 0 && in[4] <= UINT32_MAX;
  start->state.switches = (uint32_t)in[4];
  in += 5;
  for (size_t i = 0; i < threads; i++, in++) {
    ok =
        ok && (within(*in, 0, events) || *in == TT_MARKOV_NO_CALL || *in == TT_MARKOV_CALL_UNKNOWN);
    start->state.calls[i] = (uint32_t)*in;
  }
  for (size_t i = 0; i < threads; i++, in++) {
    const struct tt_system_past past = {(uint32_t)(*in >> 17), (uint16_t)(*in >> 1 & UINT16_MAX),
                                        *in & 1};
    ok = ok && *in >= 0 && past.left <= start->state.switches && past.cpu < cpus;
    start->state.past[i] = past;
  }
  for (size_t i = 0; i < threads; i++, in++) {
    ok = ok && within(*in, -1, system->base.comms.n);
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

enum { BUFFERS = 7 };
static enum tt_status add_counts(const struct tt_system *system, struct tt_model_writer *writer,
                                 int64_t **buffers) {
  const size_t events = system->base.events.n, each = tt_system_start_size(system);
  int64_t *starts = buffers[0] = tt_alloc(system->n_starts * each, sizeof *starts);
  if (!starts)
    return tt_fail(TT_NO_MEMORY, "out of memory");
  for (size_t i = 0; i < system->n_starts; i++)
    write_start(system, &system->starts[i], starts + i * each);
  enum tt_status status =
      tt_count_file_add(writer, "starts", "state", starts, system->n_starts * each);
  if (status == TT_OK)
    status = tt_count_file_add_ngram(writer, "rets", &system->rets, &buffers[1]);
  if (status == TT_OK)
    status = tt_count_file_add_ngram(writer, "delays", &system->delays, &buffers[2]);
  if (status == TT_OK)
    status =
        add_seen(writer, "on_cpu", system->on_cpu, system->base.cpu_limit * events, &buffers[3]);
  if (status == TT_OK)
    status = add_seen(writer, "follows", system->follows, events * events, &buffers[4]);
  if (status == TT_OK)
    status = add_seen(writer, "in_call", system->in_call, (events + 1) * events, &buffers[5]);
  if (status == TT_OK)
    status = tt_count_file_add_tally(writer, "named", &system->named);
  if (status == TT_OK)
    status = tt_count_file_add(writer, "seen", "soonest", system->soonest, events);
  if (status == TT_OK)
    status = tt_count_file_add(writer, "seen", "latest", system->latest, events);
  if (status == TT_OK)
    status = tt_clock_save(&system->clock, writer, &buffers[6]);
  if (status == TT_OK)
    status = tt_model_writer_add(writer, "rates", system->rates, &events, 1);
  if (status == TT_OK)
    status = tt_model_writer_add(writer, "turns.since", system->turns.since,
                                 &(size_t){TT_TURNS_SINCE}, 1);
  if (status == TT_OK)
    status = tt_model_writer_add(writer, "turns.calls", system->turns.calls,
                                 &(size_t){tt_turns_calls(events)}, 1);
  if (status == TT_OK)
    status = tt_model_writer_add(writer, "turns.pairs", system->turns.pairs,
                                 &(size_t){tt_turns_pairs(events)}, 1);
  return status;
}

/* model.safetensors and prior/ of a folder: what is counted, and `params` where they aren't NULL.
 */
static enum tt_status save_numbers(const struct tt_system *system, const struct tt_params *params,
                                   const char *folder) {
  struct tt_model_writer writer;
  int64_t *buffers[BUFFERS] = {NULL};
  tt_model_writer_init(&writer);
  char *path = tt_format("%s/model.safetensors", folder), *prior = tt_format("%s/prior", folder);
  enum tt_status status = path && prior ? TT_OK : tt_fail(TT_NO_MEMORY, "out of memory");
  if (status == TT_OK && params)
    status = tt_params_save(params, "", &writer);
  if (status == TT_OK && params)
    status = tt_delay_bins_save(&system->bins, &writer);
  if (status == TT_OK && system->n_workloads == 0)
    status = tt_generator_save(system->prior, prior, true);
  if (status == TT_OK && system->n_workloads == 0)
    status = add_counts(system, &writer, buffers);
  if (status == TT_OK)
    status = tt_model_write(&writer, path);
  tt_model_writer_release(&writer);
  for (size_t i = 0; i < BUFFERS; i++)
    tt_free(buffers[i]);
  tt_free(path);
  tt_free(prior);
  return status;
}

enum tt_status tt_system_save(const struct tt_system *system, const struct tt_params *params,
                              const char *folder, json_t *model) {
  enum tt_status status = save_numbers(system, params, folder);
  for (size_t i = 0; i < system->n_workloads && status == TT_OK; i++) {
    char *path = tt_format("%s/" TT_WORKLOAD_FOLDER, folder, i);
    status = path ? tt_make_folders(path) : tt_fail(TT_NO_MEMORY, "out of memory");
    if (status == TT_OK)
      status = save_numbers(&system->workloads[i], NULL, path);
    tt_free(path);
  }
  if (status != TT_OK)
    return status;
  json_t *architecture = json_pack("{s:I,s:I,s:I,s:b}", "width", (json_int_t)system->width,
                                   "layers", (json_int_t)system->layers, "heads",
                                   (json_int_t)system->heads, "prior", (int)system->use_prior);
  /* a NULL member (memory is short) makes its json_object_set_new fail */
  int failed = json_object_set_new(model, "architecture", architecture);
  failed |= json_object_set_new(model, "vocabulary", tt_vocabulary_to_json(system->vocabulary));
  return failed ? tt_fail(TT_NO_MEMORY, "out of memory") : TT_OK;
}

enum tt_status tt_system_load_measure(const json_t *model, const char *key, uint64_t low,
                                      uint64_t high, size_t *ret) {
  return tt_json_get_size(json_object_get(model, "architecture"), key, low, high, ret);
}

/* The prior is a markov model of the same trace. */
static enum tt_status load_prior(struct tt_system *system, const char *folder) {
  char *path = tt_format("%s/prior", folder);
  enum tt_status status = path ? TT_OK : tt_fail(TT_NO_MEMORY, "out of memory");
  if (status == TT_OK)
    status = tt_generator_load(path, &system->prior);
  if (status == TT_OK &&
      (!tt_markov_is_part(system->prior, &system->base) || system->prior->stream != TT_STREAM_CPU))
    status = tt_fail(TT_BAD_INPUT, "%s: not the prior of this model", path);
  tt_free(path);
  return status;
}

enum tt_status tt_system_load_settings(struct tt_system *system, const char *folder,
                                       const json_t *model, struct tt_generator *common) {
  tt_generator_adopt(&system->base, common);
  enum tt_status status = tt_system_check_window(system->base.context, TT_BAD_INPUT);
  if (status == TT_OK && system->base.stream != TT_STREAM_CPU)
    status =
        tt_fail(TT_BAD_INPUT, "model.json: %s models each CPU's stream", system->base.ops->name);
  if (status == TT_OK)
    status = tt_system_load_measure(model, "width", 16, TT_SYSTEM_MAX_WIDTH, &system->width);
  if (status == TT_OK)
    status = tt_system_load_measure(model, "layers", 1, TT_MAX_LAYERS, &system->layers);
  if (status == TT_OK)
    status = tt_system_load_measure(model, "heads", 1, 64, &system->heads);
  if (status == TT_OK)
    status = tt_json_get_bool(json_object_get(model, "architecture"), "prior", &system->use_prior);
  if (status == TT_OK && system->width % (2 * system->heads) != 0)
    status = tt_fail(TT_BAD_INPUT, "model.json: impossible architecture");
  if (status == TT_OK)
    status = tt_vocabulary_from_json(json_object_get(model, "vocabulary"), &system->vocabulary);
  if (status != TT_OK)
    return status;
  tt_system_set_sizes(system);
  status = tt_system_divide(system);
  if (status == TT_OK && system->n_workloads == 0)
    status = load_prior(system, folder);
  for (size_t i = 0; i < system->n_workloads && status == TT_OK; i++) {
    char *path = tt_format("%s/" TT_WORKLOAD_FOLDER, folder, i);
    status =
        path ? load_prior(&system->workloads[i], path) : tt_fail(TT_NO_MEMORY, "out of memory");
    tt_free(path);
  }
  return status;
}

/* Flags, as 0 and 1; some: at least one is set. */
static enum tt_status load_seen(const struct tt_model_file *file, const char *column, size_t n,
                                bool some, bool **ret) {
  struct tt_count_file_column seen = {0};
  enum tt_status status = tt_count_file_get(file, "seen", column, &seen);
  if (status != TT_OK)
    return status;
  bool *flags = *ret = tt_calloc(n, sizeof *flags), any = !some;
  if (!flags)
    return tt_fail(TT_NO_MEMORY, "out of memory");
  for (size_t i = 0; seen.n == n && i < n; i++)
    any |= flags[i] = seen.values[i] != 0;
  return any && seen.n == n ? TT_OK
                            : tt_fail(TT_BAD_INPUT, "%s: seen.%s: not %zu flags, or none is set",
                                      tt_model_path(file), column, n);
}

/* Times in ns, one for each event. */
static enum tt_status load_times(const struct tt_system *system, const struct tt_model_file *file,
                                 const char *name, int64_t **ret) {
  struct tt_count_file_column times = {0};
  const size_t n = system->base.events.n;
  enum tt_status status = tt_count_file_get(file, "seen", name, &times);
  if (status != TT_OK)
    return status;
  *ret = tt_alloc(n, sizeof **ret);
  if (!*ret)
    return tt_fail(TT_NO_MEMORY, "times of %zu events", n);
  for (size_t i = 0; i < n; i++) {
    if (times.n != n || times.values[i] < 0)
      return tt_fail(TT_BAD_INPUT, "%s: seen.%s: not %zu times", tt_model_path(file), name, n);
    (*ret)[i] = times.values[i];
  }
  return TT_OK;
}

/* A tensor of n numbers, none of which is above `most`, either way. */
static enum tt_status load_weights(const struct tt_model_file *file, const char *name, size_t n,
                                   double most, float **ret) {
  const struct tt_model_tensor *weights = tt_model_find(file, name);
  if (!weights || !weights->data || weights->rank != 1 || weights->shape[0] != n)
    return tt_fail(TT_BAD_INPUT, "%s: no tensor %s of %zu numbers", tt_model_path(file), name, n);
  *ret = tt_alloc(n, sizeof **ret);
  if (!*ret)
    return tt_fail(TT_NO_MEMORY, "%s of %zu numbers", name, n);
  for (size_t i = 0; i < n; i++) {
    (*ret)[i] = weights->data[i];
    if (!(fabsf((*ret)[i]) <= (float)most))
      return tt_fail(TT_BAD_INPUT, "%s: %s: %zu is not within %g", tt_model_path(file), name, i,
                     most);
  }
  return TT_OK;
}

static enum tt_status load_starts(struct tt_system *system, const struct tt_model_file *file) {
  struct tt_count_file_column state = {0};
  const size_t each = tt_system_start_size(system);
  enum tt_status status = tt_count_file_get(file, "starts", "state", &state);
  if (status != TT_OK)
    return status;
  if (state.n == 0 || state.n % each != 0)
    return tt_fail(TT_BAD_INPUT, "%s: starts.state has %zu numbers, not a multiple of %zu",
                   tt_model_path(file), state.n, each);
  system->starts = tt_calloc(state.n / each, sizeof *system->starts);
  if (!system->starts)
    return tt_fail(TT_NO_MEMORY, "out of memory");
  while (system->n_starts < state.n / each) {
    struct tt_system_start *start = &system->starts[system->n_starts];
    status = tt_system_start_init(system, start);
    if (status != TT_OK)
      return status;
    system->n_starts++;
    if (!read_start(system, state.values + (system->n_starts - 1) * each, start))
      return tt_fail(TT_BAD_INPUT, "%s: start %zu is out of range", tt_model_path(file),
                     system->n_starts - 1);
  }
  return TT_OK;
}

static enum tt_status load_counts(struct tt_system *system, const struct tt_model_file *file) {
  const size_t events = system->base.events.n;
  enum tt_status status =
      tt_count_file_get_ngram(file, "rets", (uint32_t)system->n_rets, &system->rets);
  if (status == TT_OK)
    status = tt_count_file_get_ngram(file, "delays", TT_DELAY_BINS, &system->delays);
  if (status == TT_OK)
    status = load_seen(file, "on_cpu", system->base.cpu_limit * events, true, &system->on_cpu);
  if (status == TT_OK)
    status = load_seen(file, "follows", events * events, false, &system->follows);
  if (status == TT_OK)
    status = load_seen(file, "in_call", (events + 1) * events, false, &system->in_call);
  if (status == TT_OK)
    status = tt_count_file_get_tally(file, "named", &system->named);
  if (status == TT_OK)
    status = load_times(system, file, "soonest", &system->soonest);
  if (status == TT_OK)
    status = load_times(system, file, "latest", &system->latest);
  if (status == TT_OK)
    status = tt_clock_load(file, events, &system->clock);
  if (status == TT_OK)
    status = load_weights(file, "rates", events, TT_SYSTEM_MOST_RATE, &system->rates);
  if (status == TT_OK)
    status = load_weights(file, "turns.since", TT_TURNS_SINCE, TT_TURNS_MOST, &system->turns.since);
  if (status == TT_OK)
    status = load_weights(file, "turns.calls", tt_turns_calls(events), TT_TURNS_MOST,
                          &system->turns.calls);
  if (status == TT_OK)
    status = load_weights(file, "turns.pairs", tt_turns_pairs(events), TT_TURNS_MOST,
                          &system->turns.pairs);
  if (status == TT_OK)
    status = load_starts(system, file);
  return status;
}

static enum tt_status load_workload(struct tt_system *system, const char *folder) {
  struct tt_model_file *file = NULL;
  char *path = tt_format("%s/" TT_WORKLOAD_FOLDER "/model.safetensors", folder, system->label);
  enum tt_status status =
      path ? tt_model_open(path, &file) : tt_fail(TT_NO_MEMORY, "out of memory");
  if (status == TT_OK)
    status = load_counts(system, file);
  tt_model_close(file);
  tt_free(path);
  return status;
}

enum tt_status tt_system_load_tensors(struct tt_system *system, struct tt_params *params,
                                      const char *folder) {
  struct tt_model_file *file = NULL;
  char *path = tt_format("%s/model.safetensors", folder);
  enum tt_status status =
      path ? tt_model_open(path, &file) : tt_fail(TT_NO_MEMORY, "out of memory");
  if (status == TT_OK)
    status = tt_params_load(params, "", file);
  if (status == TT_OK)
    status = tt_delay_bins_load(file, &system->bins);
  if (status == TT_OK && system->n_workloads == 0)
    status = load_counts(system, file);
  for (size_t i = 0; i < system->n_workloads && status == TT_OK; i++) {
    system->workloads[i].bins = system->bins;
    status = load_workload(&system->workloads[i], folder);
  }
  tt_model_close(file);
  tt_free(path);
  return status;
}
