/* The ar generator behind the common interface: setting up, saving, freeing. */
#include "generators/ar/ar.h"

#include <string.h>

#include "base/mem.h"

static const char *const OPTIONS[] = {TT_SYSTEM_OPTIONS, NULL};

static void ar_free(struct tt_generator *generator) {
  struct tt_ar *ar = (struct tt_ar *)generator;
  if (ar->built)
    tt_ar_network_release(&ar->network);
  tt_system_release(&ar->system);
  tt_free(ar);
}

static enum tt_status build(struct tt_ar *ar) {
  const struct tt_system *system = &ar->system;
  ar->network = (struct tt_ar_network){.width = system->width,
                                       .layers = system->layers,
                                       .heads = system->heads,
                                       .window = system->base.context,
                                       .n_events = system->n_events,
                                       .n_rets = system->n_rets};
  memcpy(ar->network.sizes, system->sizes, sizeof system->sizes);
  ar->built = true;
  return tt_ar_network_init(&ar->network, system->base.seed);
}

static enum tt_status ar_train(const struct tt_train_config *given, struct tt_train_result *result,
                               struct tt_generator **ret) {
  struct tt_train_config config = *given;
  struct tt_ar *ar = tt_calloc(1, sizeof *ar);
  if (!ar)
    return tt_fail(TT_NO_MEMORY, "out of memory");
  enum tt_status status = tt_system_learn(&ar->system, &tt_ar_ops, &config);
  if (status == TT_OK)
    status = build(ar);
  if (status == TT_OK)
    status = tt_ar_fit(ar, &config, result);
  if (status == TT_OK)
    status = tt_system_fit_rates(&ar->system, &config, &result->seconds);
  if (status != TT_OK) {
    ar_free(&ar->system.base);
    return status;
  }
  *ret = &ar->system.base;
  return TT_OK;
}

static enum tt_status ar_save(const struct tt_generator *generator, const char *folder,
                              json_t *model) {
  const struct tt_ar *ar = (const struct tt_ar *)generator;
  return tt_system_save(&ar->system, &ar->network.params, folder, model);
}

static enum tt_status ar_load(const char *folder, const json_t *model, struct tt_generator *common,
                              struct tt_generator **ret) {
  struct tt_ar *ar = tt_calloc(1, sizeof *ar);
  if (!ar)
    return tt_fail(TT_NO_MEMORY, "out of memory");
  enum tt_status status = tt_system_load_settings(&ar->system, folder, model, common);
  if (status == TT_OK)
    status = build(ar);
  if (status == TT_OK)
    status = tt_system_load_tensors(&ar->system, &ar->network.params, folder);
  if (status != TT_OK) {
    ar_free(&ar->system.base);
    return status;
  }
  *ret = &ar->system.base;
  return TT_OK;
}

const struct tt_generator_ops tt_ar_ops = {
    .name = "ar",
    .summary =
        "autoregressive Transformer per CPU, on top of markov's n-gram and the kernel's state",
    .labels = true,
    .successors = tt_system_label_successors,
    .options = OPTIONS,
    .train = ar_train,
    .generate = tt_ar_generate,
    .save = ar_save,
    .load = ar_load,
    .free = ar_free,
};
