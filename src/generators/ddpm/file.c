/* The ddpm generator's folder: the network's numbers, the delays' quantiles and the real beginnings
 * in model.safetensors, the rest in model.json. */
#include <math.h>

#include "base/mem.h"
#include "base/output.h"
#include "compute/model_file.h"
#include "dataset/json.h"
#include "generators/ddpm/settings.h"

static json_t *real_array(const double *values, size_t n) {
  json_t *array = json_array();
  for (size_t i = 0; array && i < n; i++)
    if (json_array_append_new(array, json_real(values[i])) != 0) {
      json_decref(array);
      return NULL;
    }
  return array;
}

enum tt_status tt_ddpm_save(const struct tt_generator *generator, const char *folder,
                            json_t *model) {
  const struct tt_ddpm *ddpm = (const struct tt_ddpm *)generator;
  const struct tt_denoiser_config *net = &ddpm->denoiser.config;
  struct tt_model_writer writer;
  tt_model_writer_init(&writer);
  /* the contexts: their CPUs, then their ids */
  const size_t n_contexts =
      ddpm->n_contexts * (1 + (ddpm->base.context - ddpm->fresh) * net->n_channels);
  int64_t *integers = tt_alloc(n_contexts, sizeof *integers);
  char *path = tt_format("%s/model.safetensors", folder);
  enum tt_status status = path ? TT_OK : tt_fail(TT_NO_MEMORY, "out of memory");
  if (status == TT_OK)
    status = tt_params_save(&ddpm->denoiser.params, "", &writer);
  if (status == TT_OK)
    status = tt_delay_bins_save(&ddpm->bins, &writer);
  if (status == TT_OK && !integers)
    status = tt_fail(TT_NO_MEMORY, "out of memory");
  if (status == TT_OK && n_contexts > 0) {
    for (size_t i = 0; i < n_contexts; i++)
      integers[i] =
          i < ddpm->n_contexts ? ddpm->context_cpu[i] : ddpm->contexts[i - ddpm->n_contexts];
    status = tt_model_writer_add_integers(&writer, "contexts", integers, n_contexts);
  }
  if (status == TT_OK)
    status = tt_model_write(&writer, path);
  if (status == TT_OK)
    status = tt_ddpm_settings_save(ddpm, model);
  if (status == TT_OK) {
    /* a NULL member (memory is short) makes its json_object_set_new fail */
    int failed = json_object_set_new(model, "vocabulary", tt_vocabulary_to_json(ddpm->vocabulary));
    failed |= json_object_set_new(model, "cast", tt_cast_to_json(&ddpm->cast));
    failed |=
        json_object_set_new(model, "cpu_share", real_array(ddpm->cpu_share, ddpm->base.cpu_limit));
    if (failed)
      status = tt_fail(TT_NO_MEMORY, "out of memory");
  }
  tt_model_writer_release(&writer);
  tt_free(integers);
  tt_free(path);
  return status;
}

static enum tt_status load_contexts(struct tt_ddpm *ddpm, const struct tt_model_file *file) {
  const struct tt_denoiser_config *net = &ddpm->denoiser.config;
  const struct tt_model_tensor *t = tt_model_find(file, "contexts");
  size_t each = (ddpm->base.context - ddpm->fresh) * net->n_channels;
  if (!t || !t->integers || t->shape[0] == 0 || t->shape[0] % (1 + each) != 0)
    return tt_fail(TT_BAD_INPUT, "%s: no tensor contexts of the right size", tt_model_path(file));
  size_t n = t->shape[0] / (1 + each);
  ddpm->contexts = tt_alloc(n * each, sizeof *ddpm->contexts);
  ddpm->context_cpu = tt_alloc(n, sizeof *ddpm->context_cpu);
  if (!ddpm->contexts || !ddpm->context_cpu)
    return tt_fail(TT_NO_MEMORY, "out of memory");
  ddpm->n_contexts = n;
  for (size_t i = 0; i < t->shape[0]; i++) {
    const size_t channel = (i - n) % net->n_channels;
    size_t limit = i < n ? ddpm->base.cpu_limit : net->sizes[channel];
    bool number = i >= n && channel == ddpm->denoiser.scalar;
    if (number ? t->integers[i] != (int32_t)t->integers[i] ||
                     !isfinite(tt_number_of_id((int32_t)t->integers[i]))
               : t->integers[i] < 0 || (uint64_t)t->integers[i] >= limit)
      return tt_fail(TT_BAD_INPUT, "%s: contexts[%zu] is out of range", tt_model_path(file), i);
    *(i < n ? ddpm->context_cpu + i : ddpm->contexts + (i - n)) = (int32_t)t->integers[i];
  }
  return TT_OK;
}

static enum tt_status load_cpu_share(struct tt_ddpm *ddpm, const json_t *model) {
  const json_t *shares;
  size_t n = ddpm->base.cpu_limit;
  double sum = 0;
  enum tt_status status = tt_json_get_array(model, "cpu_share", n, &shares);
  if (status != TT_OK)
    return status;
  ddpm->cpu_share = tt_calloc(n, sizeof *ddpm->cpu_share);
  if (!ddpm->cpu_share)
    return tt_fail(TT_NO_MEMORY, "out of memory");
  for (size_t i = 0; i < json_array_size(shares); i++) {
    double share = json_number_value(json_array_get(shares, i));
    if (!(share >= 0 && share <= 1 + 1e-6))
      return tt_fail(TT_BAD_INPUT, "model.json: cpu_share[%zu] is not within 0 to 1", i);
    ddpm->cpu_share[i] = share;
    sum += share;
  }
  if (!(sum > 0.99))
    return tt_fail(TT_BAD_INPUT, "model.json: cpu_share does not sum to 1");
  return TT_OK;
}

enum tt_status tt_ddpm_load_tensors(struct tt_ddpm *ddpm, const char *folder, const json_t *model) {
  struct tt_model_file *file = NULL;
  char *path = tt_format("%s/model.safetensors", folder);
  enum tt_status status = path ? TT_OK : tt_fail(TT_NO_MEMORY, "out of memory");
  if (status == TT_OK)
    status = tt_model_open(path, &file);
  if (status == TT_OK)
    status = tt_params_load(&ddpm->denoiser.params, "", file);
  if (status == TT_OK)
    status = tt_delay_bins_load(file, &ddpm->bins);
  if (status == TT_OK && ddpm->fresh < ddpm->base.context)
    status = load_contexts(ddpm, file);
  if (status == TT_OK)
    status = load_cpu_share(ddpm, model);
  tt_model_close(file);
  tt_free(path);
  return status;
}
