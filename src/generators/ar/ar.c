/* The ar generator behind the common interface: settings, setting up, freeing. */
#include "generators/ar/ar.h"

#include <string.h>

#include "base/mem.h"
#include "generators/ar/file.h"

enum { WINDOW = 128, WINDOW_MIN = 8, WINDOW_MAX = 4096 };
static const double DEFAULT_MINUTES = 5;

static const char *const OPTIONS[] = {
    "width=128: model width", "layers=4: Transformer blocks",
    "heads=4: attention heads; width is a multiple of twice their number",
    "prior=1: 0: without the n-gram that the network starts from", NULL};

static void ar_free(struct tt_generator *generator) {
  struct tt_ar *ar = (struct tt_ar *)generator;
  tt_generator_free(ar->prior);
  tt_vocabulary_free(ar->vocabulary);
  tt_ngram_release(&ar->rets);
  tt_ngram_release(&ar->delays);
  tt_free(ar->on_cpu);
  tt_free(ar->follows);
  tt_free(ar->soonest);
  for (size_t i = 0; i < ar->n_starts; i++)
    tt_ar_start_release(&ar->starts[i]);
  tt_free(ar->starts);
  if (ar->built)
    tt_ar_network_release(&ar->network);
  tt_generator_release_common(generator);
  tt_free(ar);
}

static void set_sizes(struct tt_ar *ar) {
  struct tt_ar_network *net = &ar->network;
  const size_t events = ar->base.events.n;
  net->n_events = events;
  net->n_rets = tt_vocabulary_rets(ar->vocabulary);
  net->window = ar->base.context;
  net->sizes[TT_AR_event] = net->sizes[TT_AR_other] = events;
  net->sizes[TT_AR_delay] = TT_DELAY_BINS;
  net->sizes[TT_AR_ret] = net->n_rets;
  net->sizes[TT_AR_cpu] = ar->base.cpu_limit;
  net->sizes[TT_AR_thread] = TT_TID_BUCKETS;
  net->sizes[TT_AR_comm] = ar->base.comms.n < TT_AR_COMMS ? ar->base.comms.n + 1 : TT_AR_COMMS;
  net->sizes[TT_AR_call] = events + 2;
  net->sizes[TT_AR_busy] = TT_AR_BUSY;
}

static enum tt_status read_settings(struct tt_ar *ar, const struct tt_train_config *config) {
  long long width, layers, heads, prior;
  enum tt_status status =
      tt_train_option_integer(config, "width", 16, TT_AR_MAX_WIDTH, 128, &width);
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
  ar->network.width = (size_t)width;
  ar->network.layers = (size_t)layers;
  ar->network.heads = (size_t)heads;
  ar->use_prior = prior != 0;
  return TT_OK;
}

static enum tt_status check_config(const struct tt_train_config *config) {
  if (config->context < WINDOW_MIN || config->context > WINDOW_MAX)
    return tt_fail(TT_USAGE, "context %zu is not within %d to %d", config->context, WINDOW_MIN,
                   WINDOW_MAX);
  if (config->stream != TT_STREAM_CPU)
    return tt_fail(TT_USAGE, "ar models each CPU's stream (--stream cpu)");
  if (config->channels && config->channels != TT_CHANNELS_ALL)
    return tt_fail(TT_USAGE, "ar models all channels (--channels full)");
  if (config->backbone && strcmp(config->backbone, "transformer") != 0)
    return tt_fail(TT_USAGE, "ar has no backbone '%s' (transformer)", config->backbone);
  return TT_OK;
}

static enum tt_status train_prior(struct tt_ar *ar, const struct tt_train_config *config) {
  struct tt_train_config counting = *config;
  struct tt_train_result result = {0};
  counting.context = 0;
  counting.val = NULL;
  counting.backbone = counting.checkpoint = NULL;
  counting.resume = false;
  counting.options = NULL;
  counting.n_options = 0;
  return tt_generator_train("markov", &counting, &result, &ar->prior);
}

static enum tt_status ar_train(const struct tt_train_config *given, struct tt_train_result *result,
                               struct tt_generator **ret) {
  struct tt_train_config config = *given;
  if (!config.context)
    config.context = WINDOW;
  if (!config.steps && !(config.minutes > 0))
    config.minutes = DEFAULT_MINUTES;
  enum tt_status status = check_config(&config);
  if (status != TT_OK)
    return status;
  config.channels = TT_CHANNELS_ALL;
  struct tt_ar *ar = tt_calloc(1, sizeof *ar);
  if (!ar)
    return tt_fail(TT_NO_MEMORY, "out of memory");
  const struct tt_vocabulary_options options = {.stream = config.stream};
  status = tt_generator_init(&ar->base, &tt_ar_ops, &config);
  if (status == TT_OK)
    status = read_settings(ar, &config);
  if (status == TT_OK)
    status = train_prior(ar, &config);
  if (status == TT_OK)
    status = tt_vocabulary_learn(&config.train, 1, &options, &ar->vocabulary);
  if (status == TT_OK)
    status = tt_delay_bins_fit(ar->vocabulary, config.train, TT_STREAM_CPU, &ar->bins);
  if (status == TT_OK) {
    set_sizes(ar);
    status = tt_ar_count(ar, config.train);
  }
  if (status == TT_OK) {
    ar->built = true;
    status = tt_ar_network_init(&ar->network, config.seed);
  }
  if (status == TT_OK)
    status = tt_ar_fit(ar, &config, result);
  if (status != TT_OK) {
    ar_free(&ar->base);
    return status;
  }
  *ret = &ar->base;
  return TT_OK;
}

static enum tt_status ar_load(const char *folder, const json_t *model, struct tt_generator *common,
                              struct tt_generator **ret) {
  struct tt_ar *ar = tt_calloc(1, sizeof *ar);
  if (!ar)
    return tt_fail(TT_NO_MEMORY, "out of memory");
  tt_generator_adopt(&ar->base, common);
  enum tt_status status = TT_OK;
  if (ar->base.context < WINDOW_MIN || ar->base.context > WINDOW_MAX ||
      ar->base.stream != TT_STREAM_CPU)
    status = tt_fail(TT_BAD_INPUT, "model.json: context or stream is not one of ar's");
  if (status == TT_OK)
    status = tt_ar_load_settings(ar, folder, model);
  if (status == TT_OK) {
    set_sizes(ar);
    ar->built = true;
    status = tt_ar_network_init(&ar->network, ar->base.seed);
  }
  if (status == TT_OK)
    status = tt_ar_load_tensors(ar, folder);
  if (status != TT_OK) {
    ar_free(&ar->base);
    return status;
  }
  *ret = &ar->base;
  return TT_OK;
}

const struct tt_generator_ops tt_ar_ops = {
    .name = "ar",
    .summary =
        "autoregressive Transformer per CPU, on top of markov's n-gram and the kernel's state",
    .options = OPTIONS,
    .train = ar_train,
    .generate = tt_ar_generate,
    .save = tt_ar_save,
    .load = ar_load,
    .free = ar_free,
};
