/* The generator's table entry: options, training, the model folder. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/output.h"
#include "compute/model_file.h"
#include "dataset/json.h"
#include "generators/count_file.h"
#include "generators/markov/markov.h"

#define MEASURED ((uint64_t)1 << 20) /* events that the stated losses are taken over, at most */

static const char *const options[] = {
    "order=5: events that decide, the next one included (1-6)",
    "backoff=1: 0: the longest known context alone decides",
    "own=1: 1: the running thread's own n-gram comes before that of all (CPU streams)",
    "floor=1: contexts of no more events don't back off while drawing (1: no unseen transition)",
    NULL,
};

static void destroy(struct tt_generator *generator) {
  struct tt_markov *markov = (struct tt_markov *)generator;
  tt_generator_release_common(generator);
  tt_cast_release(&markov->cast);
  tt_ngram_release(&markov->common);
  tt_ngram_release(&markov->threads);
  tt_delays_release(&markov->delays);
  tt_tally_release(&markov->turns);
  tt_tally_release(&markov->rets);
  tt_tally_release(&markov->cpus);
  tt_free(markov->starts);
  tt_free(markov->idle);
  for (size_t i = 0; i < markov->n_workloads; i++)
    tt_generator_free(markov->workloads[i]);
  tt_free(markov->workloads);
  tt_free(markov);
}

/* ---- workloads ---- */

static const struct tt_markov *workload(const struct tt_generator *generator, size_t which) {
  const struct tt_markov *markov = (const struct tt_markov *)generator;
  return markov->n_workloads ? (const struct tt_markov *)markov->workloads[which] : markov;
}

static struct tt_tally_row successors(const struct tt_generator *generator, size_t label,
                                      uint16_t event) {
  return tt_markov_successors(workload(generator, label), event);
}

static enum tt_status generate(const struct tt_generator *generator,
                               const struct tt_generate_config *config,
                               const struct tt_event_sink *sink) {
  return tt_markov_generate_around(workload(generator, tt_generator_which(generator, config)), NULL,
                                   config, sink);
}

static bool same_names(const struct tt_names *a, const struct tt_names *b) {
  for (size_t i = 0; i < a->n && i < b->n; i++)
    if (strcmp(a->names[i], b->names[i]) != 0)
      return false;
  return a->n == b->n;
}

bool tt_markov_is_part(const struct tt_generator *counts, const struct tt_generator *whole) {
  return counts->ops == &tt_markov_ops && tt_generator_workloads(counts) == 0 &&
         counts->stream == whole->stream && counts->cpu_limit == whole->cpu_limit &&
         same_names(&counts->events, &whole->events) && same_names(&counts->comms, &whole->comms);
}

/* Adds a part's mean over n events to that of a sum's. */
static void add_mean(double part, double n, double all, double *sum) {
  *sum = n > 0 ? (isnan(*sum) ? 0 : *sum) + part * n / all : *sum;
}

static enum tt_status learn_workloads(struct tt_markov *markov,
                                      const struct tt_train_config *config,
                                      struct tt_train_result *result) {
  const struct tt_generator *base = &markov->base;
  const size_t n = tt_generator_workloads(base);
  struct tt_workloads val = {0};
  enum tt_status status = config->val ? tt_workloads_find(config->val, &val) : TT_OK;
  markov->workloads = tt_calloc(n, sizeof *markov->workloads);
  if (status == TT_OK && !markov->workloads)
    status = tt_fail(TT_NO_MEMORY, "%zu workloads", n);
  const double rows = (double)tt_dataset_columns(config->train)->n;
  const double val_rows = config->val ? (double)tt_dataset_columns(config->val)->n : 0;
  for (size_t i = 0; i < n && status == TT_OK; i++) {
    struct tt_train_config one = *config;
    struct tt_train_result log = {0};
    one.label = base->labels.names[i];
    status = tt_generator_train(base->ops->name, &one, &log, &markov->workloads[i]);
    if (status != TT_OK)
      break;
    markov->n_workloads++;
    result->parameters += log.parameters;
    result->steps += log.steps;
    result->seconds += log.seconds;
    add_mean(log.loss, (double)base->label_events[i], rows, &result->loss);
    const uint32_t in_val = tt_names_find(&val.labels, one.label);
    add_mean(log.val_loss, in_val == TT_NAME_NONE ? 0 : (double)val.events[in_val], val_rows,
             &result->val_loss);
  }
  tt_workloads_release(&val);
  result->events_per_second = (double)result->steps / fmax(result->seconds, 1e-9);
  return status;
}

static enum tt_status save_workloads(const struct tt_markov *markov, const char *folder) {
  enum tt_status status = TT_OK;
  for (size_t i = 0; i < markov->n_workloads && status == TT_OK; i++) {
    char *path = tt_format("%s/" TT_WORKLOAD_FOLDER, folder, i);
    status = path ? tt_generator_save(markov->workloads[i], path, true)
                  : tt_fail(TT_NO_MEMORY, "out of memory");
    tt_free(path);
  }
  return status;
}

static enum tt_status load_workloads(struct tt_markov *markov, const char *folder) {
  const size_t n = tt_generator_workloads(&markov->base);
  markov->workloads = tt_calloc(n, sizeof *markov->workloads);
  enum tt_status status = markov->workloads ? TT_OK : tt_fail(TT_NO_MEMORY, "%zu workloads", n);
  while (markov->n_workloads < n && status == TT_OK) {
    struct tt_generator **one = &markov->workloads[markov->n_workloads];
    char *path = tt_format("%s/" TT_WORKLOAD_FOLDER, folder, markov->n_workloads);
    status = path ? tt_generator_load(path, one) : tt_fail(TT_NO_MEMORY, "out of memory");
    markov->n_workloads += status == TT_OK;
    if (status == TT_OK && !tt_markov_is_part(*one, &markov->base))
      status = tt_fail(TT_BAD_INPUT, "%s: not a part of this model", path);
    tt_free(path);
  }
  return status;
}

/* ---- training ---- */

static enum tt_status count(struct tt_markov *markov, const struct tt_train_config *config,
                            struct tt_train_result *result) {
  struct tt_row_set rows = {0}, val = {0};
  const double started = tt_seconds();
  enum tt_status status = tt_markov_learn(markov, config);
  if (status == TT_OK)
    status = tt_row_set_of(config->train, config->label, &rows);
  if (status == TT_OK && config->val)
    status = tt_row_set_of(config->val, config->label, &val);
  if (status == TT_OK) {
    result->steps = rows.events;
    result->seconds = tt_seconds() - started;
    result->events_per_second = (double)result->steps / fmax(result->seconds, 1e-9);
    result->parameters = markov->common.counts.n_pairs + markov->threads.counts.n_pairs +
                         markov->delays.first[markov->delays.n] + markov->turns.n_pairs +
                         markov->rets.n_pairs + markov->cpus.n_pairs;
    result->loss = tt_markov_cross_entropy(markov, config->train, &rows, true, MEASURED);
    if (config->val)
      result->val_loss = tt_markov_cross_entropy(markov, config->val, &val, false, MEASURED);
  }
  tt_row_set_release(&rows);
  tt_row_set_release(&val);
  return status;
}

static enum tt_status train(const struct tt_train_config *config, struct tt_train_result *result,
                            struct tt_generator **ret) {
  long long order, backoff, own, floor;
  enum tt_status status;
  if (config->context > TT_MARKOV_MAX_ORDER)
    return tt_fail(TT_USAGE, "markov: an order of %zu, not 1 to %d", config->context,
                   TT_MARKOV_MAX_ORDER);
  if ((status = tt_train_option_integer(config, "order", 1, TT_MARKOV_MAX_ORDER,
                                        config->context ? (long long)config->context : 5,
                                        &order)) != TT_OK ||
      (status = tt_train_option_integer(config, "backoff", 0, 1, 1, &backoff)) != TT_OK ||
      (status = tt_train_option_integer(config, "own", 0, 1, 1, &own)) != TT_OK ||
      (status = tt_train_option_integer(config, "floor", 0, 6, 1, &floor)) != TT_OK)
    return status;
  struct tt_markov *markov = tt_calloc(1, sizeof *markov);
  if (!markov)
    return tt_fail(TT_NO_MEMORY, "a markov model");
  status = tt_generator_init(&markov->base, &tt_markov_ops, config);
  if (status != TT_OK)
    goto failed;
  markov->order = (uint32_t)order;
  markov->base.context = (size_t)order;
  markov->backoff = backoff != 0;
  markov->own = own != 0 && config->stream == TT_STREAM_CPU;
  markov->floor = (uint32_t)floor;
  status = tt_generator_workloads(&markov->base) ? learn_workloads(markov, config, result)
                                                 : count(markov, config, result);
  if (status != TT_OK)
    goto failed;
  *ret = &markov->base;
  return TT_OK;
failed:
  destroy(&markov->base);
  return status;
}

/* ---- what is derived ---- */

enum tt_status tt_markov_index(struct tt_markov *markov) {
  const struct tt_cast *cast = &markov->cast;
  size_t n_cpus = markov->base.cpu_limit;
  markov->idle = tt_alloc(n_cpus, sizeof *markov->idle);
  if (!markov->idle)
    return tt_fail(TT_NO_MEMORY, "%zu CPUs", n_cpus);
  for (size_t i = 0; i < n_cpus; i++)
    markov->idle[i] = tt_cast_find(cast, 0, (uint16_t)i);
  for (size_t i = 0; i < markov->turns.n_pairs; i++)
    if (markov->turns.values[i] != TT_MARKOV_IDLE && markov->turns.values[i] != TT_MARKOV_SAME &&
        (markov->turns.values[i] < 0 || (uint64_t)markov->turns.values[i] >= cast->n_threads))
      return tt_fail(TT_BAD_INPUT, "turns: thread %lld", (long long)markov->turns.values[i]);
  for (size_t i = 0; i < markov->cpus.n_pairs; i++)
    if (markov->cpus.values[i] < 0 || (uint64_t)markov->cpus.values[i] >= n_cpus)
      return tt_fail(TT_BAD_INPUT, "cpus: CPU %lld", (long long)markov->cpus.values[i]);
  return TT_OK;
}

/* ---- the model folder ---- */

/* The tallies, by name in the file. */
#define TALLIES(X) X(turns) X(rets) X(cpus)

static json_t *starts_to_json(const struct tt_markov *markov) {
  json_t *streams = json_array();
  int failed = !streams;
  for (size_t i = 0; i < markov->n_streams; i++) {
    json_t *starts = json_array();
    for (uint32_t k = 0; k < markov->starts[i].n; k++) {
      const struct tt_markov_start *start = &markov->starts[i].starts[k];
      json_t *symbols = json_array();
      for (uint32_t s = 0; s < start->history.n; s++)
        failed |= json_array_append_new(symbols, json_integer(start->history.events[s]));
      json_int_t thread = start->thread == TT_THREAD_ANY ? -1 : (json_int_t)start->thread;
      failed |=
          json_array_append_new(starts, json_pack("[i, I, o]", (int)start->cpu, thread, symbols));
    }
    failed |= json_array_append_new(streams, starts);
  }
  if (!failed)
    return streams;
  json_decref(streams);
  return NULL;
}

static enum tt_status save(const struct tt_generator *generator, const char *folder,
                           json_t *model) {
  const struct tt_markov *markov = (const struct tt_markov *)generator;
  const struct tt_delays *delays = &markov->delays;
  int64_t *buffers[2] = {NULL, NULL};
  struct tt_model_writer writer;
  enum tt_status status;
  tt_model_writer_init(&writer);
  char *path = tt_format("%s/model.safetensors", folder);
  json_t *object =
      json_pack("{s:I, s:b, s:b, s:I}", "order", (json_int_t)markov->order, "backoff",
                (int)markov->backoff, "own", (int)markov->own, "floor", (json_int_t)markov->floor);
  const bool one = markov->n_workloads == 0;
  if (!path || !object ||
      (one && (json_object_set_new(object, "starts", starts_to_json(markov)) != 0 ||
               json_object_set_new(object, "cast", tt_cast_to_json(&markov->cast)) != 0)) ||
      json_object_set(model, "markov", object) != 0) {
    status = tt_fail(TT_NO_MEMORY, "describing the model");
    goto cleanup;
  }
  if (!one) {
    status = save_workloads(markov, folder);
    goto cleanup;
  }
  if ((status = tt_count_file_add_ngram(&writer, "common", &markov->common, &buffers[0])) !=
          TT_OK ||
      (markov->own && (status = tt_count_file_add_ngram(&writer, "threads", &markov->threads,
                                                        &buffers[1])) != TT_OK) ||
      (status = tt_count_file_add(&writer, "delays", "keys", delays->keys, delays->n)) != TT_OK ||
      (status = tt_count_file_add(&writer, "delays", "first", delays->first, delays->n + 1)) !=
          TT_OK ||
      (status = tt_count_file_add(&writer, "delays", "samples", delays->samples,
                                  delays->first[delays->n])) != TT_OK)
    goto cleanup;
#define ADD(name)                                                                                  \
  if ((status = tt_count_file_add_tally(&writer, #name, &markov->name)) != TT_OK)                  \
    goto cleanup;
  TALLIES(ADD)
#undef ADD
  status = tt_model_write(&writer, path);
cleanup:
  tt_model_writer_release(&writer);
  json_decref(object);
  tt_free(buffers[0]);
  tt_free(buffers[1]);
  tt_free(path);
  return status;
}

static enum tt_status get_delays(const struct tt_model_file *file, struct tt_delays *ret) {
  struct tt_count_file_column keys = {0}, first = {0}, samples = {0};
  enum tt_status status;
  if ((status = tt_count_file_get(file, "delays", "keys", &keys)) != TT_OK ||
      (status = tt_count_file_get(file, "delays", "first", &first)) != TT_OK ||
      (status = tt_count_file_get(file, "delays", "samples", &samples)) != TT_OK)
    return status;
  if (first.n != keys.n + 1)
    return tt_fail(TT_BAD_INPUT, "%s: delays: lengths don't agree", tt_model_path(file));
  status = tt_delays_from_arrays(keys.values, first.values, keys.n, samples.values, samples.n, ret);
  return status == TT_OK ? TT_OK : tt_fail(status, "%s: delays", tt_model_path(file));
}

static enum tt_status get_start(const json_t *json, const struct tt_markov *markov, size_t stream,
                                struct tt_markov_start *ret) {
  json_int_t cpu, thread;
  json_t *symbols;
  struct tt_markov_start start = {0};
  if (json_unpack((json_t *)json, "[I, I, o!]", &cpu, &thread, &symbols) != 0 || cpu < 0 ||
      (size_t)cpu >= markov->base.cpu_limit || thread < -1 ||
      thread >= (json_int_t)markov->cast.n_threads || !json_is_array(symbols) ||
      json_array_size(symbols) == 0 || json_array_size(symbols) > TT_MARKOV_MAX_ORDER)
    return tt_fail(TT_BAD_INPUT, "\"starts\"[%zu] holds what is no start", stream);
  for (size_t i = 0; i < json_array_size(symbols); i++) {
    const json_t *symbol = json_array_get(symbols, i);
    if (!json_is_integer(symbol) || json_integer_value(symbol) < 0 ||
        (uint64_t)json_integer_value(symbol) >= markov->base.events.n)
      return tt_fail(TT_BAD_INPUT, "\"starts\"[%zu]: an event is out of range", stream);
    start.history.events[start.history.n++] = (uint16_t)json_integer_value(symbol);
  }
  start.thread = thread < 0 ? TT_THREAD_ANY : (uint32_t)thread;
  start.cpu = (uint16_t)cpu;
  *ret = start;
  return TT_OK;
}

static enum tt_status get_starts(const json_t *object, struct tt_markov *markov) {
  const json_t *streams;
  size_t n = 0;
  enum tt_status status = tt_json_get_array(object, "starts", markov->n_streams, &streams);
  if (status != TT_OK)
    return status;
  if (json_array_size(streams) != markov->n_streams)
    return tt_fail(TT_BAD_INPUT, "\"starts\" has %zu streams, not %zu", json_array_size(streams),
                   markov->n_streams);
  markov->starts = tt_calloc(markov->n_streams, sizeof *markov->starts);
  if (!markov->starts)
    return tt_fail(TT_NO_MEMORY, "%zu streams", markov->n_streams);
  for (size_t i = 0; i < markov->n_streams; i++) {
    const json_t *starts = json_array_get(streams, i);
    if (!json_is_array(starts) || json_array_size(starts) > TT_MARKOV_STARTS)
      return tt_fail(TT_BAD_INPUT, "\"starts\"[%zu] is not a list of starts", i);
    for (size_t k = 0; k < json_array_size(starts); k++, n++) {
      status = get_start(json_array_get(starts, k), markov, i, &markov->starts[i].starts[k]);
      if (status != TT_OK)
        return status;
      markov->starts[i].n++;
    }
  }
  return n ? TT_OK : tt_fail(TT_BAD_INPUT, "\"starts\" is empty");
}

static enum tt_status load(const char *folder, const json_t *model, struct tt_generator *common,
                           struct tt_generator **ret) {
  struct tt_model_file *file = NULL;
  const json_t *object = json_object_get(model, "markov");
  uint64_t order, floor;
  enum tt_status status;
  char *path = tt_format("%s/model.safetensors", folder);
  struct tt_markov *markov = tt_calloc(1, sizeof *markov);
  if (!markov || !path) {
    tt_free(path);
    tt_free(markov);
    return tt_fail(TT_NO_MEMORY, "a markov model");
  }
  tt_generator_adopt(&markov->base, common);
  markov->n_streams = markov->base.stream == TT_STREAM_MERGED ? 1 : markov->base.cpu_limit;
  if ((status = tt_json_get_u64(object, "order", &order)) != TT_OK ||
      (status = tt_json_get_u64(object, "floor", &floor)) != TT_OK ||
      (status = tt_json_get_bool(object, "backoff", &markov->backoff)) != TT_OK ||
      (status = tt_json_get_bool(object, "own", &markov->own)) != TT_OK)
    goto cleanup;
  if (order < 1 || order > TT_MARKOV_MAX_ORDER || floor > TT_MARKOV_MAX_ORDER ||
      (markov->own && markov->base.stream == TT_STREAM_MERGED)) {
    status = tt_fail(TT_BAD_INPUT, "\"order\", \"floor\" or \"own\" is out of range");
    goto cleanup;
  }
  markov->floor = (uint32_t)floor;
  markov->order = (uint32_t)order;
  if (tt_generator_workloads(&markov->base) > 0) {
    status = load_workloads(markov, folder);
    goto cleanup;
  }
  uint32_t n_events = (uint32_t)markov->base.events.n;
  if ((status = tt_cast_from_json(json_object_get(object, "cast"), &markov->base.events,
                                  markov->base.comms.n, markov->base.cpu_limit, &markov->cast)) !=
          TT_OK ||
      (status = get_starts(object, markov)) != TT_OK ||
      (status = tt_model_open(path, &file)) != TT_OK ||
      (status = tt_count_file_get_ngram(file, "common", n_events, &markov->common)) != TT_OK ||
      (markov->own &&
       (status = tt_count_file_get_ngram(file, "threads", n_events, &markov->threads)) != TT_OK) ||
      (status = get_delays(file, &markov->delays)) != TT_OK)
    goto cleanup;
#define GET(name)                                                                                  \
  if ((status = tt_count_file_get_tally(file, #name, &markov->name)) != TT_OK)                     \
    goto cleanup;
  TALLIES(GET)
#undef GET
  status = tt_markov_index(markov);
cleanup:
  tt_model_close(file);
  tt_free(path);
  if (status == TT_OK)
    *ret = &markov->base;
  else
    destroy(&markov->base);
  return status;
}

const struct tt_generator_ops tt_markov_ops = {
    .name = "markov",
    .summary = "order-k n-gram with back-off per CPU, all channels conditional on it: counts only",
    .labels = true,
    .successors = successors,
    .options = options,
    .train = train,
    .generate = generate,
    .save = save,
    .load = load,
    .free = destroy,
};
