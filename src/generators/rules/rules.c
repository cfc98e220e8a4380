/* The generator behind the interface: train (learn, or take a file), save, load. */
#include "generators/rules/rules.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/output.h"

static const char *const options[] = {
    "rules=: a rule file to use instead of learning one from the dataset",
    "chains=100: most chains of events learned per machine (0-1000)",
    NULL,
};

static void destroy(struct tt_generator *generator) {
  struct tt_rules_model *model = (struct tt_rules_model *)generator;
  tt_generator_release_common(generator);
  tt_rules_release(&model->rules);
  tt_free(model->text);
  tt_free(model);
}

static enum tt_status train(const struct tt_train_config *config, struct tt_train_result *result,
                            struct tt_generator **ret) {
  const char *file = tt_train_option_text(config, "rules", "");
  long long chains;
  enum tt_status status = tt_train_option_integer(config, "chains", 0, 1000, 100, &chains);
  if (status != TT_OK)
    return status;
  if (config->stream != TT_STREAM_CPU)
    return tt_fail(TT_USAGE, "rules: simulates CPUs, so \"merged\" is no stream of it");
  struct tt_rules_model *model = tt_calloc(1, sizeof *model);
  if (!model)
    return tt_fail(TT_NO_MEMORY, "a rule model");
  status = tt_generator_init(&model->base, &tt_rules_ops, config);
  if (status != TT_OK)
    goto failed;
  double started = tt_seconds();
  if (*file) {
    status = tt_read_file(file, &model->text, &model->size);
    if (status != TT_OK) {
      status = tt_fail(status == TT_NO_MEMORY ? status : TT_BAD_INPUT, "%s: no rule file", file);
      goto failed;
    }
  } else {
    status = tt_rules_learn(config, (size_t)chains, &model->text, &model->size);
    if (status != TT_OK)
      goto failed;
  }
  status = tt_rules_parse(*file ? file : "the learned rules", model->text, model->size,
                          &model->base, &model->rules);
  if (status != TT_OK)
    goto failed;
  result->steps = *file ? 0 : tt_dataset_columns(config->train)->n;
  result->seconds = tt_seconds() - started;
  result->events_per_second = (double)result->steps / fmax(result->seconds, 1e-9);
  result->parameters =
      model->rules.n_choices + model->rules.n_quantiles + model->rules.n_distributions;
  *ret = &model->base;
  return TT_OK;
failed:
  destroy(&model->base);
  return status;
}

static enum tt_status save(const struct tt_generator *generator, const char *folder,
                           json_t *object) {
  const struct tt_rules_model *model = (const struct tt_rules_model *)generator;
  char *path = tt_format("%s/rules.json", folder);
  json_t *own = json_pack("{s:s}", "file", "rules.json");
  enum tt_status status = path && own && json_object_set(object, "rules", own) == 0
                              ? tt_write_file(path, model->text, model->size)
                              : tt_fail(TT_NO_MEMORY, "describing the model");
  json_decref(own);
  tt_free(path);
  return status;
}

static enum tt_status load(const char *folder, const json_t *object, struct tt_generator *common,
                           struct tt_generator **ret) {
  (void)object;
  char *path = tt_format("%s/rules.json", folder);
  struct tt_rules_model *model = tt_calloc(1, sizeof *model);
  if (!model || !path) {
    tt_free(path);
    tt_free(model);
    return tt_fail(TT_NO_MEMORY, "a rule model");
  }
  tt_generator_adopt(&model->base, common);
  enum tt_status status = tt_read_file(path, &model->text, &model->size);
  if (status != TT_OK)
    status = tt_fail(status == TT_NO_MEMORY ? status : TT_BAD_INPUT, "%s: no rule file", path);
  else
    status = tt_rules_parse(path, model->text, model->size, &model->base, &model->rules);
  tt_free(path);
  if (status == TT_OK)
    *ret = &model->base;
  else
    destroy(&model->base);
  return status;
}

const struct tt_generator_ops tt_rules_ops = {
    .name = "rules",
    .summary =
        "state machines of calls, scheduler and interrupts from a rule file, given or learned",
    .options = options,
    .train = train,
    .generate = tt_rules_generate,
    .save = save,
    .load = load,
    .free = destroy,
};
