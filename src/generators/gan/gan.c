/* Both GANs behind the common interface: settings, setting up, freeing. */
#include "generators/gan/gan.h"

#include <string.h>

#include "base/mem.h"
#include "dataset/channels.h"

enum { SEGMENT = 64, SEGMENT_MIN = 8, SEGMENT_MAX = 4096, GROUP = 8 };
static const double DEFAULT_MINUTES = 5;

/* What both have; the rest follows. */
#define COMMON_OPTIONS                                                                             \
  "width=128: units of the LSTM and numbers of an event's embedding",                              \
      "pretrain=0.6: share of the time (or steps) for maximum likelihood; 1: nothing else",        \
      "batch=64: sequences of a step of the rounds",                                               \
      "d_pretrain=150: steps of the discriminator before the first round",                         \
      "g_steps=1: steps of the generator in a round",                                              \
      "d_steps=5: steps of the discriminator in a round",                                          \
      "d_epochs=3: updates of the discriminator on the sequences of one of its steps",             \
      "d_floor=0.2: the discriminator doesn't learn from sequences that cost it less (nats)",      \
      "filters=64: of the discriminator, of each of its four widths",                              \
      "rate=0.0005: learning rate of the generator in the rounds"

static const char *const SEQGAN_OPTIONS[] = {
    COMMON_OPTIONS, "rollouts=16: completions drawn for the reward of an event",
    "every=4: events that share a reward", "baseline=0: share of the mean reward taken off", NULL};
static const char *const MALIGAN_OPTIONS[] = {
    COMMON_OPTIONS,
    "samples=BATCH: sequences that weights are normalised over (mixed: 8)",
    "clip=0.01: the discriminator's opinion is kept this far from 0 and 1",
    "baseline=1: share of the mean weight taken off",
    "mixed=0: 1: sequences begin with real events, fewer from round to round",
    NULL};

static void gan_free(struct tt_generator *generator) {
  struct tt_gan *gan = (struct tt_gan *)generator;
  tt_generator_free(gan->attributes);
  if (gan->built)
    tt_gan_policy_release(&gan->policy);
  tt_generator_release_common(generator);
  tt_free(gan);
}

enum tt_status tt_gan_allow(struct tt_gan *gan) {
  const struct tt_ngram_context nothing = {.n = 0};
  struct tt_ngram_rows rows = {.n = 0};
  bool any = false;
  memset(gan->policy.allowed, 0, gan->policy.n_events * sizeof *gan->policy.allowed);
  tt_ngram_rows(&tt_gan_markov(gan)->common, &nothing, 0, &rows);
  for (size_t i = 0; rows.n && i < rows.rows[0].n; i++) {
    gan->policy.allowed[rows.rows[0].values[i]] = 1;
    any = true;
  }
  return any ? TT_OK : tt_fail(TT_BAD_INPUT, "the model knows no event");
}

/* ---- settings ---- */

struct whole_setting {
  const char *name;
  long long low, high, fallback;
  size_t *ret;
};

static enum tt_status read_wholes(const struct tt_train_config *config,
                                  const struct whole_setting *settings, size_t n) {
  for (size_t i = 0; i < n; i++) {
    long long value;
    enum tt_status status = tt_train_option_integer(config, settings[i].name, settings[i].low,
                                                    settings[i].high, settings[i].fallback, &value);
    if (status != TT_OK)
      return status;
    *settings[i].ret = (size_t)value;
  }
  return TT_OK;
}

static enum tt_status read_settings(struct tt_gan *gan, const struct tt_train_config *config) {
  const bool maligan = tt_gan_is_maligan(gan);
  struct tt_gan_settings *s = &gan->settings;
  size_t mixed = 0;
  s->rollouts = s->every = 1;
  const struct whole_setting common[] = {{"width", 16, 1024, 128, &gan->policy.width},
                                         {"batch", 2, 1024, 64, &s->batch},
                                         {"d_pretrain", 0, 1000000, 150, &s->d_pretrain},
                                         {"g_steps", 1, 1000, 1, &s->g_steps},
                                         {"d_steps", 0, 1000, 5, &s->d_steps},
                                         {"d_epochs", 1, 100, 3, &s->d_epochs},
                                         {"filters", 1, 1024, 64, &s->filters}};
  enum tt_status status = read_wholes(config, common, sizeof common / sizeof *common);
  if (status == TT_OK && maligan) {
    const struct whole_setting first = {"mixed", 0, 1, 0, &mixed};
    status = read_wholes(config, &first, 1);
    const long long group = mixed && s->batch % GROUP == 0 ? GROUP : (long long)s->batch;
    const struct whole_setting second = {"samples", 1, 1024, group, &s->samples};
    if (status == TT_OK)
      status = read_wholes(config, &second, 1);
    if (status == TT_OK)
      status = tt_train_option_real(config, "clip", 1e-6, 0.499, 0.01, &s->clip);
  } else if (status == TT_OK) {
    const struct whole_setting own[] = {{"rollouts", 1, 256, 16, &s->rollouts},
                                        {"every", 1, SEGMENT_MAX, 4, &s->every}};
    status = read_wholes(config, own, 2);
    s->samples = 1;
  }
  s->mixed = mixed != 0;
  if (status == TT_OK)
    status = tt_train_option_real(config, "baseline", 0, 1, maligan ? 1 : 0, &s->baseline);
  if (status == TT_OK)
    status = tt_train_option_real(config, "pretrain", 0.01, 1, 0.6, &s->pretrain);
  if (status == TT_OK)
    status = tt_train_option_real(config, "d_floor", 0, 1, 0.2, &s->d_floor);
  if (status == TT_OK)
    status = tt_train_option_real(config, "rate", 1e-7, 1, 5e-4, &s->rate);
  if (status == TT_OK && s->batch % s->samples != 0)
    status =
        tt_fail(TT_USAGE, "samples=%zu does not divide the batch of %zu", s->samples, s->batch);
  return status;
}

static enum tt_status check_config(const struct tt_generator_ops *ops,
                                   const struct tt_train_config *config) {
  if (config->context < SEGMENT_MIN || config->context > SEGMENT_MAX)
    return tt_fail(TT_USAGE, "context %zu is not within %d to %d", config->context, SEGMENT_MIN,
                   SEGMENT_MAX);
  if (config->channels && config->channels != TT_CHANNELS_ALL)
    return tt_fail(TT_USAGE, "%s gives all channels (--channels full)", ops->name);
  if (config->backbone && strcmp(config->backbone, "lstm") != 0)
    return tt_fail(TT_USAGE, "%s has no backbone '%s' (lstm)", ops->name, config->backbone);
  return TT_OK;
}

/* Counts for all but the event types; of these only how many each thread had. */
static enum tt_status count_attributes(struct tt_gan *gan, const struct tt_train_config *config) {
  static const struct tt_train_option plain[] = {{"order", "1"}, {"own", "1"}};
  struct tt_train_config counting = *config;
  struct tt_train_result result = {0};
  counting.context = 0;
  counting.val = NULL;
  counting.backbone = counting.checkpoint = NULL;
  counting.resume = false;
  counting.pooled = true;
  counting.options = plain;
  counting.n_options = sizeof plain / sizeof *plain;
  return tt_generator_train("markov", &counting, &result, &gan->attributes);
}

static enum tt_status train(const struct tt_generator_ops *ops, const struct tt_train_config *given,
                            struct tt_train_result *result, struct tt_generator **ret) {
  struct tt_train_config config = *given;
  if (!config.context)
    config.context = SEGMENT;
  if (!config.steps && !(config.minutes > 0))
    config.minutes = DEFAULT_MINUTES;
  enum tt_status status = check_config(ops, &config);
  if (status != TT_OK)
    return status;
  config.channels = TT_CHANNELS_ALL;
  struct tt_gan *gan = tt_calloc(1, sizeof *gan);
  if (!gan)
    return tt_fail(TT_NO_MEMORY, "out of memory");
  status = tt_generator_init(&gan->base, ops, &config);
  if (status == TT_OK)
    status = read_settings(gan, &config);
  if (status == TT_OK)
    status = count_attributes(gan, &config);
  if (status == TT_OK) {
    gan->policy.n_events = gan->base.events.n;
    gan->policy.n_streams = tt_gan_streams(gan);
    gan->built = true;
    status = tt_gan_policy_init(&gan->policy, config.seed);
  }
  if (status == TT_OK)
    status = tt_gan_allow(gan);
  if (status == TT_OK)
    status = tt_gan_fit(gan, &config, result);
  if (status != TT_OK) {
    gan_free(&gan->base);
    return status;
  }
  *ret = &gan->base;
  return TT_OK;
}

static enum tt_status seqgan_train(const struct tt_train_config *config,
                                   struct tt_train_result *result, struct tt_generator **ret) {
  return train(&tt_seqgan_ops, config, result, ret);
}

static enum tt_status maligan_train(const struct tt_train_config *config,
                                    struct tt_train_result *result, struct tt_generator **ret) {
  return train(&tt_maligan_ops, config, result, ret);
}

static enum tt_status load(const char *folder, const json_t *model, struct tt_generator *common,
                           struct tt_generator **ret) {
  struct tt_gan *gan = tt_calloc(1, sizeof *gan);
  if (!gan)
    return tt_fail(TT_NO_MEMORY, "out of memory");
  tt_generator_adopt(&gan->base, common);
  enum tt_status status = tt_gan_load(gan, folder, model);
  if (status != TT_OK) {
    gan_free(&gan->base);
    return status;
  }
  *ret = &gan->base;
  return TT_OK;
}

const struct tt_generator_ops tt_seqgan_ops = {
    .name = "seqgan",
    .summary = "sequence GAN: an LSTM rewarded by a discriminator through Monte-Carlo rollouts",
    .options = SEQGAN_OPTIONS,
    .train = seqgan_train,
    .generate = tt_gan_generate,
    .save = tt_gan_save,
    .load = load,
    .free = gan_free,
};

const struct tt_generator_ops tt_maligan_ops = {
    .name = "maligan",
    .summary = "sequence GAN: an LSTM that learns its own sequences, weighted by a discriminator",
    .options = MALIGAN_OPTIONS,
    .train = maligan_train,
    .generate = tt_gan_generate,
    .save = tt_gan_save,
    .load = load,
    .free = gan_free,
};
