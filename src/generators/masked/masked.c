/* The masked generator behind the common interface: settings, setting up, saving, freeing. */
#include "generators/masked/masked.h"

#include <string.h>

#include "base/mem.h"

#define ORDER_NAME(name) #name,
static const char *const ORDERS[] = {TT_MASKED_ORDER_TABLE(ORDER_NAME)};
#undef ORDER_NAME

static const char *const OPTIONS[] = {
    TT_SYSTEM_OPTIONS,
    "block=4: events per block, 1 to 32",
    "depth=1: Transformer blocks of the decoder",
    "order=left: left, random or confidence: in which order a block's events are revealed",
    "reveals=2: events that are revealed per pass of the decoder",
    "remask=2: tries to draw anew what the merged trace never had in that order",
    "views=2: masks per block and training step",
    "left=75: per cent of the masks that leave the left part of a block (order=left)",
    "mask_min=30: lowest rate of the other masks, per cent",
    "mask_max=80: highest rate of them, per cent",
    NULL};

static void masked_free(struct tt_generator *generator) {
  struct tt_masked *masked = (struct tt_masked *)generator;
  if (masked->built)
    tt_masked_network_release(&masked->network);
  for (size_t i = 0; i < masked->n_bridges; i++)
    tt_bridge_release(&masked->bridges[i]);
  tt_free(masked->bridges);
  tt_system_release(&masked->system);
  tt_free(masked);
}

static enum tt_status get_size(const struct tt_train_config *config, const char *name,
                               long long low, long long high, long long fallback, size_t *ret) {
  long long value;
  enum tt_status status = tt_train_option_integer(config, name, low, high, fallback, &value);
  if (status == TT_OK)
    *ret = (size_t)value;
  return status;
}

static enum tt_status read_settings(struct tt_masked *masked,
                                    const struct tt_train_config *config) {
  const struct {
    const char *name;
    long long low, high, fallback;
    size_t *ret;
  } settings[] = {{"block", 1, TT_MASKED_MAX_BLOCK, 4, &masked->block},
                  {"depth", 1, TT_MAX_LAYERS, 1, &masked->depth},
                  {"reveals", 1, TT_MASKED_MAX_BLOCK, 2, &masked->reveals},
                  {"remask", 0, 64, 2, &masked->remask},
                  {"views", 1, 16, 2, &masked->views},
                  {"left", 0, 100, 75, &masked->left},
                  {"mask_min", 1, 100, 30, &masked->mask_min},
                  {"mask_max", 1, 100, 80, &masked->mask_max}};
  enum tt_status status = TT_OK;
  for (size_t i = 0; i < sizeof settings / sizeof *settings && status == TT_OK; i++)
    status = get_size(config, settings[i].name, settings[i].low, settings[i].high,
                      settings[i].fallback, settings[i].ret);
  const char *order = tt_train_option_text(config, "order", ORDERS[0]);
  while (masked->order < TT_MASKED_ORDERS && strcmp(order, ORDERS[masked->order]) != 0)
    masked->order++;
  if (status == TT_OK && masked->order == TT_MASKED_ORDERS)
    status = tt_fail(TT_USAGE, "there is no order '%s' (left, random, confidence)", order);
  if (status == TT_OK && masked->mask_min > masked->mask_max)
    status =
        tt_fail(TT_USAGE, "mask_min %zu is above mask_max %zu", masked->mask_min, masked->mask_max);
  if (masked->order != TT_MASKED_left)
    masked->left = 0;
  return status;
}

static enum tt_status build_bridges(struct tt_masked *masked) {
  const size_t n = masked->system.n_workloads ? masked->system.n_workloads : 1;
  masked->bridges = tt_calloc(n, sizeof *masked->bridges);
  if (!masked->bridges)
    return tt_fail(TT_NO_MEMORY, "%zu workloads", n);
  enum tt_status status = TT_OK;
  for (; masked->n_bridges < n && status == TT_OK; masked->n_bridges += status == TT_OK)
    status =
        tt_bridge_init(tt_system_markov(tt_system_workload(&masked->system, masked->n_bridges)),
                       masked->block, &masked->bridges[masked->n_bridges]);
  masked->bridge = masked->bridges[0];
  return status;
}

struct tt_masked tt_masked_workload(const struct tt_masked *masked, size_t label) {
  struct tt_masked one = *masked;
  one.system = *tt_system_workload(&masked->system, label);
  one.bridge = masked->bridges[masked->n_bridges > 1 ? label : 0];
  return one;
}

/* What is derived: bridges and the network, from settings and counts. */
static enum tt_status build(struct tt_masked *masked) {
  const struct tt_system *system = &masked->system;
  enum tt_status status = build_bridges(masked);
  if (status != TT_OK)
    return status;
  masked->network = (struct tt_masked_network){.width = system->width,
                                               .layers = system->layers,
                                               .heads = system->heads,
                                               .window = system->base.context,
                                               .depth = masked->depth,
                                               .block = masked->block,
                                               .n_tokens = masked->bridge.n_tokens,
                                               .n_rets = system->n_rets};
  memcpy(masked->network.sizes, system->sizes, sizeof system->sizes);
  masked->built = true;
  return tt_masked_network_init(&masked->network, system->base.seed);
}

static enum tt_status masked_train(const struct tt_train_config *given,
                                   struct tt_train_result *result, struct tt_generator **ret) {
  struct tt_train_config config = *given;
  struct tt_masked *masked = tt_calloc(1, sizeof *masked);
  if (!masked)
    return tt_fail(TT_NO_MEMORY, "out of memory");
  enum tt_status status = read_settings(masked, &config);
  if (status == TT_OK)
    status = tt_system_learn(&masked->system, &tt_masked_ops, &config);
  if (status == TT_OK)
    status = build(masked);
  if (status == TT_OK)
    status = tt_masked_fit(masked, &config, result);
  if (status == TT_OK)
    status = tt_system_fit_rates(&masked->system, &config, &result->seconds);
  if (status != TT_OK) {
    masked_free(&masked->system.base);
    return status;
  }
  *ret = &masked->system.base;
  return TT_OK;
}

static enum tt_status masked_save(const struct tt_generator *generator, const char *folder,
                                  json_t *model) {
  const struct tt_masked *masked = (const struct tt_masked *)generator;
  enum tt_status status = tt_system_save(&masked->system, &masked->network.params, folder, model);
  if (status != TT_OK)
    return status;
  json_t *own = json_pack("{s:I,s:I,s:I,s:I,s:I}", "block", (json_int_t)masked->block, "depth",
                          (json_int_t)masked->depth, "order", (json_int_t)masked->order, "reveals",
                          (json_int_t)masked->reveals, "remask", (json_int_t)masked->remask);
  const bool failed = !own || json_object_update(json_object_get(model, "architecture"), own) != 0;
  json_decref(own);
  return failed ? tt_fail(TT_NO_MEMORY, "out of memory") : TT_OK;
}

static enum tt_status load_settings(struct tt_masked *masked, const json_t *model) {
  enum tt_status status =
      tt_system_load_measure(model, "block", 1, TT_MASKED_MAX_BLOCK, &masked->block);
  if (status == TT_OK)
    status = tt_system_load_measure(model, "depth", 1, TT_MAX_LAYERS, &masked->depth);
  if (status == TT_OK)
    status = tt_system_load_measure(model, "order", 0, TT_MASKED_ORDERS - 1, &masked->order);
  if (status == TT_OK)
    status = tt_system_load_measure(model, "reveals", 1, TT_MASKED_MAX_BLOCK, &masked->reveals);
  if (status == TT_OK)
    status = tt_system_load_measure(model, "remask", 0, 64, &masked->remask);
  return status;
}

static enum tt_status masked_load(const char *folder, const json_t *model,
                                  struct tt_generator *common, struct tt_generator **ret) {
  struct tt_masked *masked = tt_calloc(1, sizeof *masked);
  if (!masked)
    return tt_fail(TT_NO_MEMORY, "out of memory");
  enum tt_status status = tt_system_load_settings(&masked->system, folder, model, common);
  if (status == TT_OK)
    status = load_settings(masked, model);
  if (status == TT_OK) {
    status = build(masked);
    if (status == TT_USAGE)
      status = tt_fail(TT_BAD_INPUT, "model.json: impossible architecture");
  }
  if (status == TT_OK)
    status = tt_system_load_tensors(&masked->system, &masked->network.params, folder);
  if (status != TT_OK) {
    masked_free(&masked->system.base);
    return status;
  }
  *ret = &masked->system.base;
  return TT_OK;
}

const struct tt_generator_ops tt_masked_ops = {
    .name = "masked",
    .summary = "masked diffusion in blocks per CPU, on top of the n-gram and the kernel's state",
    .labels = true,
    .successors = tt_system_label_successors,
    .options = OPTIONS,
    .train = masked_train,
    .generate = tt_masked_generate,
    .fill = tt_masked_fill,
    .save = masked_save,
    .load = masked_load,
    .free = masked_free,
};
