/* Setting up what the generators with a network share. */
#include <string.h>

#include "base/mem.h"
#include "generators/system/system.h"
#include "nn/transformer.h"

enum { WINDOW_MIN = 8, WINDOW_MAX = 4096 };
static const double DEFAULT_MINUTES = 5;

#define INPUT_NAME(name) #name,
const char *const TT_SYSTEM_INPUT_NAMES[] = {TT_SYSTEM_INPUT_TABLE(INPUT_NAME)};
#undef INPUT_NAME

static void release_counts(struct tt_system *system) {
  tt_generator_free(system->prior);
  tt_ngram_release(&system->rets);
  tt_ngram_release(&system->delays);
  tt_free(system->on_cpu);
  tt_free(system->follows);
  tt_free(system->in_call);
  tt_tally_release(&system->named);
  tt_free(system->soonest);
  tt_free(system->latest);
  tt_free(system->rates);
  tt_clock_release(&system->clock);
  tt_turns_release(&system->turns);
  for (size_t i = 0; i < system->n_starts; i++)
    tt_system_start_release(&system->starts[i]);
  tt_free(system->starts);
}

void tt_system_release(struct tt_system *system) {
  release_counts(system);
  for (size_t i = 0; i < system->n_workloads; i++)
    release_counts(&system->workloads[i]);
  tt_free(system->workloads);
  tt_vocabulary_free(system->vocabulary);
  tt_generator_release_common(&system->base);
}

void tt_system_set_sizes(struct tt_system *system) {
  const size_t events = system->base.events.n, comms = system->base.comms.n;
  system->n_events = events;
  system->n_rets = tt_vocabulary_rets(system->vocabulary);
  size_t *sizes = system->sizes;
  sizes[TT_SYSTEM_event] = sizes[TT_SYSTEM_other] = events;
  sizes[TT_SYSTEM_delay] = TT_DELAY_BINS;
  sizes[TT_SYSTEM_ret] = system->n_rets;
  const size_t workloads = tt_generator_workloads(&system->base);
  sizes[TT_SYSTEM_cpu] = system->base.cpu_limit * (workloads ? workloads : 1);
  sizes[TT_SYSTEM_thread] = TT_TID_BUCKETS;
  sizes[TT_SYSTEM_comm] = comms < TT_SYSTEM_COMMS ? comms + 1 : TT_SYSTEM_COMMS;
  sizes[TT_SYSTEM_call] = events + 2;
  sizes[TT_SYSTEM_busy] = TT_SYSTEM_BUSY;
}

enum tt_status tt_system_divide(struct tt_system *system) {
  const size_t n = tt_generator_workloads(&system->base);
  if (n == 0)
    return TT_OK;
  struct tt_system *workloads = tt_calloc(n, sizeof *workloads);
  if (!workloads)
    return tt_fail(TT_NO_MEMORY, "%zu workloads", n);
  for (size_t i = 0; i < n; i++) {
    workloads[i] = *system;
    workloads[i].label = i;
  }
  system->workloads = workloads;
  system->n_workloads = n;
  return TT_OK;
}

static enum tt_status read_settings(struct tt_system *system,
                                    const struct tt_train_config *config) {
  long long width, layers, heads, prior;
  enum tt_status status =
      tt_train_option_integer(config, "width", 16, TT_SYSTEM_MAX_WIDTH, 128, &width);
  if (status == TT_OK)
    status = tt_train_option_integer(config, "layers", 1, TT_MAX_LAYERS, 4, &layers);
  if (status == TT_OK)
    status = tt_train_option_integer(config, "heads", 1, 64, 4, &heads);
  if (status == TT_OK)
    status = tt_train_option_integer(config, "prior", 0, 1, 1, &prior);
  if (status != TT_OK)
    return status;
  if (width % (2 * heads) != 0)
    return tt_fail(TT_USAGE, "width %lld is not a multiple of twice the %lld heads", width, heads);
  system->width = (size_t)width;
  system->layers = (size_t)layers;
  system->heads = (size_t)heads;
  system->use_prior = prior != 0;
  return TT_OK;
}

enum tt_status tt_system_check_window(size_t context, enum tt_status otherwise) {
  if (context >= WINDOW_MIN && context <= WINDOW_MAX)
    return TT_OK;
  return tt_fail(otherwise, "context %zu is not within %d to %d", context, WINDOW_MIN, WINDOW_MAX);
}

static enum tt_status check_config(const struct tt_train_config *config, const char *name) {
  enum tt_status status = tt_system_check_window(config->context, TT_USAGE);
  if (status != TT_OK)
    return status;
  if (config->stream != TT_STREAM_CPU)
    return tt_fail(TT_USAGE, "%s models each CPU's stream (--stream cpu)", name);
  if (config->channels && config->channels != TT_CHANNELS_ALL)
    return tt_fail(TT_USAGE, "%s models all channels (--channels full)", name);
  if (config->backbone && strcmp(config->backbone, "transformer") != 0)
    return tt_fail(TT_USAGE, "%s has no backbone '%s' (transformer)", name, config->backbone);
  return TT_OK;
}

static enum tt_status train_prior(struct tt_system *system, const struct tt_train_config *config,
                                  const char *label) {
  struct tt_train_config counting = *config;
  struct tt_train_result result = {0};
  counting.context = 0;
  counting.val = NULL;
  counting.backbone = counting.checkpoint = NULL;
  counting.resume = false;
  counting.label = label;
  counting.pooled = !label;
  counting.options = NULL;
  counting.n_options = 0;
  return tt_generator_train("markov", &counting, &result, &system->prior);
}

/* All that is counted of one label's rows (NULL: of all). */
static enum tt_status count(struct tt_system *system, const struct tt_train_config *config,
                            const char *label) {
  enum tt_status status = train_prior(system, config, label);
  return status == TT_OK ? tt_system_count(system, config->train, label) : status;
}

enum tt_status tt_system_learn(struct tt_system *system, const struct tt_generator_ops *ops,
                               struct tt_train_config *config) {
  if (!config->context)
    config->context = TT_SYSTEM_WINDOW;
  if (!config->steps && !(config->minutes > 0))
    config->minutes = DEFAULT_MINUTES;
  enum tt_status status = check_config(config, ops->name);
  if (status != TT_OK)
    return status;
  config->channels = TT_CHANNELS_ALL;
  const struct tt_vocabulary_options options = {.stream = config->stream};
  status = tt_generator_init(&system->base, ops, config);
  if (status == TT_OK)
    status = read_settings(system, config);
  if (status == TT_OK)
    status = tt_vocabulary_learn(&config->train, 1, &options, &system->vocabulary);
  if (status == TT_OK)
    status = tt_delay_bins_fit(system->vocabulary, config->train, TT_STREAM_CPU, &system->bins);
  if (status != TT_OK)
    return status;
  tt_system_set_sizes(system);
  status = tt_system_divide(system);
  if (status == TT_OK && system->n_workloads == 0)
    status = count(system, config, NULL);
  for (size_t i = 0; i < system->n_workloads && status == TT_OK; i++)
    status = count(&system->workloads[i], config, system->base.labels.names[i]);
  return status;
}
