#include "generators/generator.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/output.h"
#include "dataset/json.h"
#include "generators/ar/ar.h"
#include "generators/ddpm/ddpm.h"
#include "generators/gan/gan.h"
#include "generators/markov/markov.h"
#include "generators/masked/masked.h"
#include "generators/rules/rules.h"

#define FORMAT 1 /* of model.json */

/* One line per generator; the first is the default. */
/* clang-format off */
static const struct tt_generator_ops *const generators[] = {
    &tt_masked_ops,
    &tt_ar_ops,
    &tt_ddpm_ops,
    &tt_markov_ops,
    &tt_rules_ops,
    &tt_seqgan_ops,
    &tt_maligan_ops,
};
/* clang-format on */

const struct tt_generator_ops *tt_generator_at(size_t i) {
  return i < sizeof generators / sizeof *generators ? generators[i] : NULL;
}

const struct tt_generator_ops *tt_generator_find(const char *name) {
  const struct tt_generator_ops *ops;
  for (size_t i = 0; (ops = tt_generator_at(i)); i++)
    if (strcmp(ops->name, name) == 0)
      return ops;
  return NULL;
}

/* ---- training ---- */

static bool has_option(const struct tt_generator_ops *ops, const char *name) {
  size_t n = strlen(name);
  for (const char *const *option = ops->options; option && *option; option++)
    if (strncmp(*option, name, n) == 0 && (*option)[n] == '=')
      return true;
  return false;
}

/* Whether labels are there to be told apart. */
static bool are_labels(const struct tt_train_config *config, const struct tt_workloads *train) {
  return !config->label && !config->pooled && (train->labels.n > 1 || *train->labels.names[0]);
}

/* Validation data are of workloads that are learned. */
static enum tt_status check_labels(const struct tt_train_config *config) {
  struct tt_workloads train = {0}, val = {0};
  enum tt_status status = tt_workloads_find(config->train, &train);
  if (status == TT_OK && config->val)
    status = tt_workloads_find(config->val, &val);
  if (status == TT_OK && are_labels(config, &train) && train.labels.n > TT_LABELS)
    status = tt_fail(TT_USAGE, "%s has %zu workload labels: more than %d",
                     tt_dataset_path(config->train), train.labels.n, TT_LABELS);
  for (size_t i = 0;
       status == TT_OK && train.labels.n > 1 && are_labels(config, &train) && i < val.labels.n; i++)
    if (tt_names_find(&train.labels, val.labels.names[i]) == TT_NAME_NONE)
      status = tt_fail(TT_BAD_INPUT, "%s has events of the workload '%s', which %s does not have",
                       tt_dataset_path(config->val), val.labels.names[i],
                       tt_dataset_path(config->train));
  tt_workloads_release(&train);
  tt_workloads_release(&val);
  return status;
}

enum tt_status tt_generator_train(const char *name, const struct tt_train_config *config,
                                  struct tt_train_result *result, struct tt_generator **ret) {
  const struct tt_generator_ops *ops = tt_generator_find(name);
  if (!ops)
    return tt_fail(TT_USAGE, "there is no generator called \"%s\"", name);
  for (size_t i = 0; i < config->n_options; i++)
    if (!has_option(ops, config->options[i].name))
      return tt_fail(TT_USAGE, "generator %s has no option \"%s\"", name, config->options[i].name);
  if (tt_dataset_columns(config->train)->n == 0)
    return tt_fail(TT_BAD_INPUT, "%s: no events to learn from", tt_dataset_path(config->train));
  if (config->val && tt_dataset_meta(config->val)->events.n > 0) {
    /* ids must agree: validation data come from a split of the same dataset */
    const struct tt_names *train = &tt_dataset_meta(config->train)->events;
    const struct tt_names *val = &tt_dataset_meta(config->val)->events;
    for (size_t i = 0; i < train->n && i < val->n; i++)
      if (strcmp(train->names[i], val->names[i]) != 0)
        return tt_fail(TT_BAD_INPUT, "%s and %s: event %zu is %s here, %s there (not one split)",
                       tt_dataset_path(config->train), tt_dataset_path(config->val), i,
                       train->names[i], val->names[i]);
  }
  struct tt_train_result log = {.loss = NAN, .val_loss = NAN};
  struct tt_generator *generator;
  enum tt_status status = ops->labels ? check_labels(config) : TT_OK;
  if (status == TT_OK)
    status = ops->train(config, &log, &generator);
  if (status != TT_OK)
    return tt_fail(status, "while training %s on %s", name, tt_dataset_path(config->train));
  generator->training = log;
  *result = log;
  *ret = generator;
  return TT_OK;
}

static enum tt_status copy_labels(struct tt_generator *generator,
                                  const struct tt_train_config *config) {
  struct tt_workloads train;
  enum tt_status status = tt_workloads_find(config->train, &train);
  if (status != TT_OK)
    return status;
  if (are_labels(config, &train)) { /* moved */
    generator->labels = train.labels;
    generator->label_events = train.events;
    tt_names_init(&train.labels);
    train.events = NULL;
  }
  tt_workloads_release(&train);
  return TT_OK;
}

enum tt_status tt_generator_init(struct tt_generator *generator, const struct tt_generator_ops *ops,
                                 const struct tt_train_config *config) {
  const struct tt_dataset_meta *meta = tt_dataset_meta(config->train);
  const struct tt_columns *columns = tt_dataset_columns(config->train);
  memset(generator, 0, sizeof *generator);
  tt_names_init(&generator->events);
  tt_names_init(&generator->comms);
  tt_names_init(&generator->labels);
  for (size_t i = 0; i < meta->events.n; i++)
    if (tt_names_add(&generator->events, meta->events.names[i]) == TT_NAME_NONE)
      goto no_memory;
  for (size_t i = 0; i < meta->comms.n; i++)
    if (tt_names_add(&generator->comms, meta->comms.names[i]) == TT_NAME_NONE)
      goto no_memory;
  if (ops->labels && copy_labels(generator, config) != TT_OK)
    goto no_memory;
  generator->ops = ops;
  generator->clock_origin_ns = meta->clock_origin_ns;
  generator->begin_ns = columns->n > 0 ? columns->ts[0] : 0;
  generator->cpu_limit = tt_dataset_cpu_limit(config->train);
  generator->stream = config->stream;
  generator->context = config->context;
  generator->channels = config->channels;
  generator->seed = config->seed;
  generator->training = (struct tt_train_result){.loss = NAN, .val_loss = NAN};
  return TT_OK;
no_memory:
  tt_generator_release_common(generator);
  return tt_fail(TT_NO_MEMORY, "copying the dictionaries of %s", tt_dataset_path(config->train));
}

void tt_generator_adopt(struct tt_generator *to, struct tt_generator *from) {
  *to = *from;
  tt_names_init(&from->events);
  tt_names_init(&from->comms);
  tt_names_init(&from->labels);
  from->label_events = NULL;
}

void tt_generator_release_common(struct tt_generator *generator) {
  tt_names_release(&generator->events);
  tt_names_release(&generator->comms);
  tt_names_release(&generator->labels);
  tt_free(generator->label_events);
  tt_names_init(&generator->events);
  tt_names_init(&generator->comms);
  tt_names_init(&generator->labels);
  generator->label_events = NULL;
}

void tt_generator_free(struct tt_generator *generator) {
  if (generator)
    generator->ops->free(generator);
}

const char *tt_train_option_text(const struct tt_train_config *config, const char *name,
                                 const char *fallback) {
  const char *value = fallback;
  for (size_t i = 0; i < config->n_options; i++)
    if (strcmp(config->options[i].name, name) == 0)
      value = config->options[i].value; /* the last one given counts */
  return value;
}

enum tt_status tt_train_option_integer(const struct tt_train_config *config, const char *name,
                                       long long low, long long high, long long fallback,
                                       long long *ret) {
  const char *text = tt_train_option_text(config, name, NULL);
  if (!text) {
    *ret = fallback;
    return TT_OK;
  }
  char *end;
  errno = 0;
  long long value = strtoll(text, &end, 10);
  if (errno || end == text || *end || value < low || value > high)
    return tt_fail(TT_USAGE, "%s=%s: an integer from %lld to %lld is wanted", name, text, low,
                   high);
  *ret = value;
  return TT_OK;
}

enum tt_status tt_train_option_real(const struct tt_train_config *config, const char *name,
                                    double low, double high, double fallback, double *ret) {
  const char *text = tt_train_option_text(config, name, NULL);
  char *end = NULL;
  double value = text ? strtod(text, &end) : fallback;
  if (text && (end == text || *end || !(value >= low && value <= high)))
    return tt_fail(TT_USAGE, "setting %s: '%s' is not a number within %g to %g", name, text, low,
                   high);
  *ret = value;
  return TT_OK;
}

/* ---- generating ---- */

struct checked_sink {
  const struct tt_generator *generator;
  const struct tt_event_sink *inner;
  uint64_t left;
  int64_t last_ts;
};

static enum tt_status checked_write(void *user, const struct tt_event *events, size_t n) {
  struct checked_sink *sink = user;
  TT_ASSERT(n <= sink->left);
  for (size_t i = 0; i < n; i++) {
    TT_ASSERT(events[i].ts >= sink->last_ts);
    TT_ASSERT(events[i].event < sink->generator->events.n);
    TT_ASSERT(events[i].cpu < sink->generator->cpu_limit);
    TT_ASSERT(events[i].comm == TT_COMM_NONE || events[i].comm < sink->generator->comms.n);
    sink->last_ts = events[i].ts;
  }
  sink->left -= n;
  return sink->inner->write(sink->inner->user, events, n);
}

enum tt_status tt_generator_generate(const struct tt_generator *generator,
                                     const struct tt_generate_config *config,
                                     const struct tt_event_sink *sink) {
  struct checked_sink checked = {
      .generator = generator, .inner = sink, .left = config->events, .last_ts = INT64_MIN};
  struct tt_event_sink wrapped = {checked_write, &checked};
  if (config->boost && !generator->ops->successors)
    return tt_fail(TT_USAGE, "the generator %s cannot make events likelier", generator->ops->name);
  enum tt_status status = tt_generator_check_label(generator, config->label);
  if (status != TT_OK)
    return status;
  if (tt_generator_parts(generator, config->label) > 1)
    status = tt_generator_generate_parts(generator, config, &wrapped);
  else
    status = generator->ops->generate(generator, config, &wrapped);
  if (status != TT_OK)
    return tt_fail(status, "while generating with %s", generator->ops->name);
  TT_ASSERT(checked.left == 0);
  return TT_OK;
}

static bool same_names(const struct tt_names *a, const struct tt_names *b) {
  for (size_t i = 0; a->n == b->n && i < a->n; i++)
    if (strcmp(a->names[i], b->names[i]) != 0)
      return false;
  return a->n == b->n;
}

enum tt_status tt_generator_fill(const struct tt_generator *generator, struct tt_holes *holes,
                                 const struct tt_fill_config *config) {
  const struct tt_dataset_meta *meta = tt_dataset_meta(holes->dataset);
  if (!generator->ops->fill)
    return tt_fail(TT_USAGE, "the generator %s cannot fill gaps", generator->ops->name);
  if (!same_names(&generator->events, &meta->events) ||
      !same_names(&generator->comms, &meta->comms) ||
      tt_dataset_cpu_limit(holes->dataset) > generator->cpu_limit)
    return tt_fail(TT_BAD_INPUT,
                   "%s: the model was trained on other event names, commands or CPUs (train it on "
                   "this dataset or on a part of a split of it)",
                   tt_dataset_path(holes->dataset));
  enum tt_status status = generator->ops->fill(generator, holes, config);
  return status == TT_OK ? TT_OK : tt_fail(status, "while filling with %s", generator->ops->name);
}

enum tt_status tt_generator_meta(const struct tt_generator *generator, const char *model_path,
                                 const char *label, uint64_t events, uint64_t seed,
                                 struct tt_dataset_meta *ret) {
  struct tt_dataset_meta meta;
  tt_dataset_meta_init(&meta);
  meta.clock_origin_ns = generator->clock_origin_ns;
  meta.seed = seed;
  meta.synthetic = true;
  enum tt_status status = TT_OK;
  for (size_t i = 0; i < generator->events.n && status == TT_OK; i++)
    if (tt_names_add(&meta.events, generator->events.names[i]) == TT_NAME_NONE)
      status = tt_fail(TT_NO_MEMORY, "copying event names");
  for (size_t i = 0; i < generator->comms.n && status == TT_OK; i++)
    if (tt_names_add(&meta.comms, generator->comms.names[i]) == TT_NAME_NONE)
      status = tt_fail(TT_NO_MEMORY, "copying command names");
  uint64_t first = 0;
  for (size_t i = 0; i < tt_generator_parts(generator, label) && status == TT_OK; i++) {
    const struct tt_generator_part part = tt_generator_part(generator, label, events, i);
    if (part.events > 0 || tt_generator_parts(generator, label) == 1)
      status = tt_dataset_meta_add_source(&meta, model_path, "synthetic", "", part.label, first,
                                          part.events);
    first += part.events;
  }
  if (status != TT_OK) {
    tt_dataset_meta_release(&meta);
    return status;
  }
  *ret = meta;
  return TT_OK;
}

/* ---- the model folder ---- */

static json_t *real_to_json(double value) {
  return isfinite(value) ? json_real(value) : json_null();
}

static json_t *training_to_json(const struct tt_train_result *training) {
  return json_pack("{s:I, s:I, s:o, s:o, s:o, s:o}", "parameters", (json_int_t)training->parameters,
                   "steps", (json_int_t)training->steps, "events_per_second",
                   real_to_json(training->events_per_second), "seconds",
                   real_to_json(training->seconds), "loss", real_to_json(training->loss),
                   "val_loss", real_to_json(training->val_loss));
}

/* [[label, events], ...]; NULL when memory is short. */
static json_t *labels_to_json(const struct tt_generator *generator) {
  json_t *labels = json_array();
  int failed = !labels;
  for (size_t i = 0; i < generator->labels.n; i++)
    failed |= json_array_append_new(labels, json_pack("[s, I]", generator->labels.names[i],
                                                      (json_int_t)generator->label_events[i]));
  if (!failed)
    return labels;
  json_decref(labels);
  return NULL;
}

static enum tt_status labels_from_json(const json_t *model, struct tt_generator *generator) {
  const json_t *labels;
  uint64_t all = 0;
  if (!generator->ops->labels || !json_object_get(model, "labels"))
    return TT_OK;
  enum tt_status status = tt_json_get_array(model, "labels", TT_LABELS, &labels);
  if (status != TT_OK)
    return status;
  const size_t n = json_array_size(labels);
  generator->label_events = tt_alloc(n, sizeof *generator->label_events);
  if (!generator->label_events)
    return tt_fail(TT_NO_MEMORY, "%zu labels", n);
  for (size_t i = 0; i < n; i++) {
    const char *name;
    json_int_t events;
    if (json_unpack(json_array_get(labels, i), "[s, I!]", &name, &events) != 0 || events < 1 ||
        tt_names_find(&generator->labels, name) != TT_NAME_NONE ||
        __builtin_add_overflow(all, (uint64_t)events, &all))
      return tt_fail(TT_BAD_INPUT, "\"labels\"[%zu] is not [label, events], or there twice", i);
    if (tt_names_add(&generator->labels, name) == TT_NAME_NONE)
      return tt_fail(TT_NO_MEMORY, "%zu labels", n);
    generator->label_events[i] = (uint64_t)events;
  }
  return TT_OK;
}

/* NULL when memory is short. */
static json_t *common_to_json(const struct tt_generator *generator) {
  return json_pack(
      "{s:i, s:s, s:s, s:I, s:I, s:o, s:I, s:I, s:I, s:o, s:o, s:o}", "format", FORMAT, "generator",
      generator->ops->name, "stream", tt_stream_kind_name(generator->stream), "context",
      (json_int_t)generator->context, "channels", (json_int_t)generator->channels, "seed",
      tt_json_u64(generator->seed), "clock_origin_ns", (json_int_t)generator->clock_origin_ns,
      "begin_ns", (json_int_t)generator->begin_ns, "cpu_limit", (json_int_t)generator->cpu_limit,
      "training", training_to_json(&generator->training), "events",
      tt_json_names(&generator->events), "comms", tt_json_names(&generator->comms));
}

enum tt_status tt_generator_save(const struct tt_generator *generator, const char *path,
                                 bool overwrite) {
  struct tt_output output = {0};
  char *file = NULL, *text = NULL;
  json_t *model = common_to_json(generator);
  enum tt_status status;
  if (!model || (generator->labels.n > 0 &&
                 json_object_set_new(model, "labels", labels_to_json(generator)) != 0)) {
    status = tt_fail(TT_NO_MEMORY, "describing the model");
    goto cleanup;
  }
  status = tt_output_begin_folder(path, overwrite, &output);
  if (status != TT_OK)
    goto cleanup;
  status = generator->ops->save(generator, output.temporary, model);
  if (status != TT_OK)
    goto cleanup;
  text = json_dumps(model, JSON_INDENT(1) | JSON_REAL_PRECISION(17));
  file = tt_format("%s/model.json", output.temporary);
  if (!text || !file) {
    status = tt_fail(TT_NO_MEMORY, "writing model.json");
    goto cleanup;
  }
  status = tt_write_file(file, text, strlen(text));
  if (status == TT_OK)
    status = tt_output_commit(&output);
cleanup:
  tt_output_abort(&output);
  json_decref(model);
  free(text); /* jansson's */
  tt_free(file);
  return status == TT_OK ? TT_OK : tt_fail(status, "while saving the model %s", path);
}

/* A number, or null for one that wasn't measured. */
static enum tt_status real_from_json(const json_t *object, const char *key, double *ret) {
  if (json_is_null(json_object_get(object, key))) {
    *ret = NAN;
    return TT_OK;
  }
  return tt_json_get_real(object, key, ret);
}

static enum tt_status training_from_json(const json_t *model, struct tt_train_result *ret) {
  const json_t *training = json_object_get(model, "training");
  enum tt_status status;
  if ((status = tt_json_get_u64(training, "parameters", &ret->parameters)) != TT_OK ||
      (status = tt_json_get_u64(training, "steps", &ret->steps)) != TT_OK ||
      (status = real_from_json(training, "events_per_second", &ret->events_per_second)) != TT_OK ||
      (status = real_from_json(training, "seconds", &ret->seconds)) != TT_OK ||
      (status = real_from_json(training, "loss", &ret->loss)) != TT_OK ||
      (status = real_from_json(training, "val_loss", &ret->val_loss)) != TT_OK)
    return tt_fail(status, "in \"training\"");
  return TT_OK;
}

/* The common part; `generator` is zeroed. What was filled is released by the caller on failure. */
static enum tt_status common_from_json(const json_t *model, struct tt_generator *generator) {
  uint64_t format, context, channels, cpus;
  const char *name, *stream;
  enum tt_status status;
  if ((status = tt_json_get_u64(model, "format", &format)) != TT_OK ||
      (status = tt_json_get_string(model, "generator", &name)) != TT_OK ||
      (status = tt_json_get_string(model, "stream", &stream)) != TT_OK ||
      (status = tt_json_get_u64(model, "context", &context)) != TT_OK ||
      (status = tt_json_get_u64(model, "channels", &channels)) != TT_OK ||
      (status = tt_json_get_u64(model, "seed", &generator->seed)) != TT_OK ||
      (status = tt_json_get_i64(model, "clock_origin_ns", &generator->clock_origin_ns)) != TT_OK ||
      (status = tt_json_get_i64(model, "begin_ns", &generator->begin_ns)) != TT_OK ||
      (status = tt_json_get_u64(model, "cpu_limit", &cpus)) != TT_OK ||
      (status = training_from_json(model, &generator->training)) != TT_OK ||
      (status = tt_json_get_names(model, "events", UINT16_MAX, &generator->events)) != TT_OK ||
      (status = tt_json_get_names(model, "comms", UINT32_MAX - 2, &generator->comms)) != TT_OK)
    return status;
  if (format != FORMAT)
    return tt_fail(TT_BAD_INPUT, "\"format\" is %llu; this version reads %d",
                   (unsigned long long)format, FORMAT);
  generator->ops = tt_generator_find(name);
  if (!generator->ops)
    return tt_fail(TT_BAD_INPUT, "\"generator\" is \"%s\", which this version doesn't have", name);
  if (tt_stream_kind_parse(stream, &generator->stream) != TT_OK)
    return tt_fail(TT_BAD_INPUT, "in \"stream\"");
  if (generator->events.n == 0 || cpus == 0 || cpus > UINT16_MAX + 1 || context > INT_MAX ||
      channels > UINT_MAX)
    return tt_fail(TT_BAD_INPUT, "no events, or \"cpu_limit\", \"context\" or \"channels\" out of "
                                 "range");
  generator->context = (size_t)context;
  generator->channels = (unsigned)channels;
  generator->cpu_limit = (size_t)cpus;
  return labels_from_json(model, generator);
}

enum tt_status tt_generator_load(const char *path, struct tt_generator **ret) {
  struct tt_generator common = {0}, *generator = NULL;
  json_t *model = NULL;
  json_error_t error;
  char *text = NULL;
  size_t size;
  tt_names_init(&common.events);
  tt_names_init(&common.comms);
  tt_names_init(&common.labels);
  enum tt_status status;
  char *file = tt_format("%s/model.json", path);
  if (!file)
    return tt_fail(TT_NO_MEMORY, "opening the model %s", path);
  status = tt_read_file(file, &text, &size);
  if (status != TT_OK) {
    status =
        tt_fail(status == TT_NO_MEMORY ? status : TT_BAD_INPUT, "%s: not a model folder", path);
    goto cleanup;
  }
  model = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
  if (!model) {
    status = tt_fail(TT_BAD_INPUT, "%s:%d:%d: %s", file, error.line, error.column, error.text);
    goto cleanup;
  }
  status = common_from_json(model, &common);
  if (status == TT_OK)
    status = common.ops->load(path, model, &common, &generator);
  if (status != TT_OK) {
    status = tt_fail(status, "while opening the model %s", path);
    goto cleanup;
  }
  *ret = generator;
cleanup:
  tt_generator_release_common(&common);
  json_decref(model);
  tt_free(text);
  tt_free(file);
  return status;
}
