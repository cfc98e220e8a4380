#include "generators/ddpm/settings.h"

#include <string.h>

#include "dataset/json.h"

enum { CONTEXT = 128, CONTEXT_ORIGINAL = 256, CONTEXT_MIN = 64, CONTEXT_MAX = 4096 };
enum { MAX_WIDTH = 1024, MAX_HEADS = 64 };
static const double DEFAULT_MINUTES = 5;

const char *const tt_ddpm_options[] = {
    "width=128: model width",
    "layers=4: Transformer blocks; with the U-Net its resolutions (1-8), each half of the one "
    "above",
    "heads=4: attention heads; width is a multiple of twice their number",
    "predict=eps: what the first loss term predicts, eps (the poster's) or x0",
    "self=0: 1: self-conditioning, the network sees its own last estimate",
    "lambda=1: weight of the channels' cross-entropies (the poster's: 0.1)",
    "signal=0.25: scale of the embedded events against the noise",
    "rate=0.002: learning rate",
    "levels=snr: noise levels, snr (equal steps of the log signal-to-noise ratio where it tells "
    "something) or all (1 to 1000 evenly)",
    "positions=1: 0: the Transformer doesn't see the order (as published)",
    "h0=norm: an event's embeddings, summed and normed, or only summed (sum, as published)",
    "dt=bins: 64 bins of log ns, or a regressed number, log seconds (seconds, as published)",
    "sampler=ancestral: ancestral (draws of the predicted distributions), ddpm (Gaussian steps "
    "back) "
    "or ddim",
    "decode=draw: the events are drawn from their distributions, or their maximum (argmax, as "
    "published)",
    "steps=8: noise levels visited when sampling, 1-1000",
    "fresh=CONTEXT/2: new positions per window when sampling, at most CONTEXT/2; the rest is the "
    "known past. CONTEXT: windows don't know each other",
    "original=0: 1: the published configuration, as the defaults of all that is not set",
    NULL};

static const char *const SAMPLERS[] = {
    [TT_DDPM_ANCESTRAL] = "ancestral", [TT_DDPM_GAUSSIAN] = "ddpm", [TT_DDPM_DDIM] = "ddim"};
enum { N_SAMPLERS = sizeof SAMPLERS / sizeof *SAMPLERS };

/* Settings with two values: where the second one stands in which structure. */
struct pair {
  const char *name, *first, *second;
  bool original; /* the original has the second */
  bool *flag;
};
enum { N_PAIRS = 7 };
static void pairs_of(struct tt_ddpm *ddpm, struct tt_denoiser_config *net,
                     struct pair pairs[N_PAIRS]) {
  const struct pair all[N_PAIRS] = {
      {"predict", "eps", "x0", false, &net->predict_x0},
      {"self", "0", "1", false, &net->self_condition},
      {"levels", "snr", "all", true, &ddpm->all_levels},
      {"positions", "1", "0", true, &net->no_positions},
      {"h0", "norm", "sum", true, &net->plain_sum},
      {"dt", "bins", "seconds", true, &net->scalar_dt},
      {"decode", "draw", "argmax", true, &ddpm->argmax},
  };
  memcpy(pairs, all, sizeof all);
}

static enum tt_status wants_original(const struct tt_train_config *config, bool *ret) {
  long long original;
  enum tt_status status = tt_train_option_integer(config, "original", 0, 1, 0, &original);
  if (status == TT_OK)
    *ret = original != 0;
  return status;
}

enum tt_status tt_ddpm_complete(struct tt_train_config *config) {
  bool original;
  enum tt_status status = wants_original(config, &original);
  if (status != TT_OK)
    return status;
  if (!config->context)
    config->context = original ? CONTEXT_ORIGINAL : CONTEXT;
  if (config->context < CONTEXT_MIN || config->context > CONTEXT_MAX)
    return tt_fail(TT_USAGE, "context %zu is not within %d to %d", config->context, CONTEXT_MIN,
                   CONTEXT_MAX);
  if (!config->channels)
    config->channels = TT_CHANNELS_ALL;
  if (!config->steps && !(config->minutes > 0))
    config->minutes = DEFAULT_MINUTES;
  return TT_OK;
}

static enum tt_status read_numbers(struct tt_ddpm *ddpm, const struct tt_train_config *config,
                                   bool original, struct tt_denoiser_config *net) {
  long long width, layers, heads, steps, fresh;
  const long long context = (long long)ddpm->base.context;
  const bool unet = net->backbone == TT_BACKBONE_UNET;
  double lambda = 0, signal = 0;
  enum tt_status status =
      tt_train_option_integer(config, "width", 16, MAX_WIDTH, original ? 256 : 128, &width);
  if (status == TT_OK)
    status = tt_train_option_integer(config, "layers", 1, unet ? TT_UNET_MAX_LEVELS : TT_MAX_LAYERS,
                                     4, &layers);
  if (status == TT_OK)
    status = tt_train_option_integer(config, "heads", 1, MAX_HEADS, 4, &heads);
  if (status == TT_OK)
    status = tt_train_option_integer(config, "steps", 1, TT_DDPM_STEPS, original ? 50 : 8, &steps);
  if (status == TT_OK)
    status = tt_train_option_integer(config, "fresh", 1, context, original ? context : context / 2,
                                     &fresh);
  if (status == TT_OK)
    status = tt_train_option_real(config, "lambda", 0, 100, original ? 0.1 : 1, &lambda);
  if (status == TT_OK)
    status = tt_train_option_real(config, "signal", 1e-3, 10, original ? 1 : 0.25, &signal);
  if (status == TT_OK)
    status = tt_train_option_real(config, "rate", 1e-6, 1, original ? 2e-4 : 2e-3, &ddpm->rate);
  if (status != TT_OK)
    return status;
  if (width % (2 * heads) != 0)
    return tt_fail(TT_USAGE, "width %lld is not a multiple of twice the %lld heads", width, heads);
  if (fresh > context / 2 && fresh != context)
    return tt_fail(TT_USAGE, "fresh is at most %lld, or %lld: not %lld", context / 2, context,
                   fresh);
  net->width = (size_t)width;
  net->layers = (size_t)layers;
  net->heads = (size_t)heads;
  net->lambda = (float)lambda;
  net->signal = (float)signal;
  ddpm->sample_steps = (size_t)steps;
  ddpm->fresh = (size_t)fresh;
  return TT_OK;
}

static bool find_sampler(const char *name, enum tt_ddpm_sampler *ret) {
  for (int i = 0; i < N_SAMPLERS; i++)
    if (strcmp(name, SAMPLERS[i]) == 0) {
      *ret = (enum tt_ddpm_sampler)i;
      return true;
    }
  return false;
}

enum tt_status tt_ddpm_settings(struct tt_ddpm *ddpm, const struct tt_train_config *config,
                                struct tt_denoiser_config *net) {
  struct pair pairs[N_PAIRS];
  bool original;
  enum tt_status status = wants_original(config, &original);
  if (status != TT_OK)
    return status;
  net->backbone = TT_BACKBONE_TRANSFORMER;
  if (config->backbone && !tt_backbone_find(config->backbone, &net->backbone))
    return tt_fail(TT_USAGE, "ddpm has no backbone '%s' (transformer, unet)", config->backbone);
  pairs_of(ddpm, net, pairs);
  for (size_t i = 0; i < N_PAIRS; i++) {
    const struct pair *p = &pairs[i];
    const char *value =
        tt_train_option_text(config, p->name, original && p->original ? p->second : p->first);
    *p->flag = strcmp(value, p->second) == 0;
    if (!*p->flag && strcmp(value, p->first) != 0)
      return tt_fail(TT_USAGE, "%s is %s or %s, not '%s'", p->name, p->first, p->second, value);
  }
  /* Without a dt channel there is nothing to regress; a U-Net always sees the order. */
  net->scalar_dt = net->scalar_dt && ddpm->base.channels & TT_CHANNEL_BIT(dt);
  net->no_positions = net->no_positions && net->backbone == TT_BACKBONE_TRANSFORMER;
  const char *sampler = tt_train_option_text(config, "sampler", original ? "ddim" : "ancestral");
  if (!find_sampler(sampler, &ddpm->sampler))
    return tt_fail(TT_USAGE, "sampler is ancestral, ddpm or ddim, not '%s'", sampler);
  return read_numbers(ddpm, config, original, net);
}

enum tt_status tt_ddpm_settings_save(const struct tt_ddpm *ddpm, json_t *model) {
  struct tt_ddpm copy = *ddpm;
  struct tt_denoiser_config net = ddpm->denoiser.config;
  struct pair pairs[N_PAIRS];
  json_t *architecture =
      json_pack("{s:s,s:I,s:I,s:I,s:f,s:f,s:f,s:f}", "backbone", tt_backbone_name(net.backbone),
                "width", (json_int_t)net.width, "layers", (json_int_t)net.layers, "heads",
                (json_int_t)net.heads, "lambda", (double)net.lambda, "signal", (double)net.signal,
                "dt_mean", ddpm->dt_mean, "dt_std", ddpm->dt_std);
  json_t *sampling = json_pack("{s:s,s:I,s:I}", "sampler", SAMPLERS[ddpm->sampler], "steps",
                               (json_int_t)ddpm->sample_steps, "fresh", (json_int_t)ddpm->fresh);
  pairs_of(&copy, &net, pairs);
  int failed = 0; /* a NULL member (memory is short) makes its json_object_set_new fail */
  for (size_t i = 0; i < N_PAIRS; i++)
    failed |= json_object_set_new(architecture, pairs[i].name,
                                  json_string(*pairs[i].flag ? pairs[i].second : pairs[i].first));
  failed |= json_object_set_new(model, "architecture", architecture);
  failed |= json_object_set_new(model, "sampling", sampling);
  return failed ? tt_fail(TT_NO_MEMORY, "out of memory") : TT_OK;
}

enum tt_status tt_ddpm_settings_load(struct tt_ddpm *ddpm, const json_t *model,
                                     struct tt_denoiser_config *net) {
  const json_t *architecture = json_object_get(model, "architecture");
  const json_t *sampling = json_object_get(model, "sampling");
  const size_t context = ddpm->base.context;
  double lambda, signal;
  const char *backbone = "", *sampler = "";
  struct pair pairs[N_PAIRS];
  if (context < CONTEXT_MIN || context > CONTEXT_MAX)
    return tt_fail(TT_BAD_INPUT, "model.json: context is not within %d to %d", CONTEXT_MIN,
                   CONTEXT_MAX);
  enum tt_status status = tt_json_get_size(architecture, "width", 16, MAX_WIDTH, &net->width);
  if (status == TT_OK)
    status = tt_json_get_size(architecture, "layers", 1, TT_MAX_LAYERS, &net->layers);
  if (status == TT_OK)
    status = tt_json_get_size(architecture, "heads", 1, MAX_HEADS, &net->heads);
  if (status == TT_OK)
    status = tt_json_get_real(architecture, "lambda", &lambda);
  if (status == TT_OK)
    status = tt_json_get_real(architecture, "signal", &signal);
  if (status == TT_OK)
    status = tt_json_get_real(architecture, "dt_mean", &ddpm->dt_mean);
  if (status == TT_OK)
    status = tt_json_get_real(architecture, "dt_std", &ddpm->dt_std);
  if (status == TT_OK)
    status = tt_json_get_string(architecture, "backbone", &backbone);
  if (status == TT_OK)
    status = tt_json_get_string(sampling, "sampler", &sampler);
  if (status == TT_OK)
    status = tt_json_get_size(sampling, "steps", 1, TT_DDPM_STEPS, &ddpm->sample_steps);
  if (status == TT_OK)
    status = tt_json_get_size(sampling, "fresh", 1, context, &ddpm->fresh);
  pairs_of(ddpm, net, pairs);
  for (size_t i = 0; i < N_PAIRS && status == TT_OK; i++) {
    const char *value = "";
    status = tt_json_get_string(architecture, pairs[i].name, &value);
    *pairs[i].flag = strcmp(value, pairs[i].second) == 0;
    if (status == TT_OK && !*pairs[i].flag && strcmp(value, pairs[i].first) != 0)
      status = tt_fail(TT_BAD_INPUT, "model.json: %s is neither %s nor %s", pairs[i].name,
                       pairs[i].first, pairs[i].second);
  }
  if (status != TT_OK)
    return status;
  if (!tt_backbone_find(backbone, &net->backbone) || !find_sampler(sampler, &ddpm->sampler) ||
      net->width % (2 * net->heads) != 0 || !(signal > 0) || !(lambda >= 0) ||
      (net->backbone == TT_BACKBONE_UNET && net->layers > TT_UNET_MAX_LEVELS) ||
      (ddpm->fresh > context / 2 && ddpm->fresh != context) || !(ddpm->dt_std > 0) ||
      (net->scalar_dt && !(ddpm->base.channels & TT_CHANNEL_BIT(dt))))
    return tt_fail(TT_BAD_INPUT, "model.json: impossible architecture");
  net->lambda = (float)lambda;
  net->signal = (float)signal;
  return TT_OK;
}
