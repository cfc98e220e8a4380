/* The model folder: model.json's own members, the policy's numbers, and ATTRIBUTES, a markov model.
 */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/output.h"
#include "compute/model_file.h"
#include "dataset/json.h"
#include "generators/gan/gan.h"

#define ATTRIBUTES "attributes"
static const float MOST = 1e4f; /* no trained weight is as large; sums of these stay finite */

static json_t *real_to_json(double value) {
  return isfinite(value) ? json_real(value) : json_null();
}

/* NULL when memory is short. */
static json_t *to_json(const struct tt_gan *gan) {
  const struct tt_gan_settings *s = &gan->settings;
  const struct tt_gan_record *r = &gan->record;
  json_t *object = json_pack(
      "{s:I, s:I, s:f, s:I, s:I, s:I, s:I, s:f, s:I, s:f, s:I, s:I, s:o, s:o, s:o, s:o}", "width",
      (json_int_t)gan->policy.width, "batch", (json_int_t)s->batch, "pretrain", s->pretrain,
      "d_pretrain", (json_int_t)s->d_pretrain, "g_steps", (json_int_t)s->g_steps, "d_steps",
      (json_int_t)s->d_steps, "d_epochs", (json_int_t)s->d_epochs, "d_floor", s->d_floor, "filters",
      (json_int_t)s->filters, "rate", s->rate, "pretrain_steps", (json_int_t)r->pretrain_steps,
      "rounds_steps", (json_int_t)r->rounds_steps, "pretrained_loss",
      real_to_json(r->pretrained_loss), "final_loss", real_to_json(r->final_loss),
      "discriminator_loss", real_to_json(r->discriminator_loss), "reward", real_to_json(r->reward));
  json_t *own = tt_gan_is_maligan(gan)
                    ? json_pack("{s:I, s:f, s:f, s:b}", "samples", (json_int_t)s->samples, "clip",
                                s->clip, "baseline", s->baseline, "mixed", (int)s->mixed)
                    : json_pack("{s:I, s:I, s:f}", "rollouts", (json_int_t)s->rollouts, "every",
                                (json_int_t)s->every, "baseline", s->baseline);
  int failed = !own || json_object_update(object, own) != 0;
  json_decref(own);
  if (!failed)
    return object;
  json_decref(object);
  return NULL;
}

enum tt_status tt_gan_save(const struct tt_generator *generator, const char *folder,
                           json_t *model) {
  const struct tt_gan *gan = (const struct tt_gan *)generator;
  struct tt_model_writer writer;
  tt_model_writer_init(&writer);
  char *path = tt_format("%s/model.safetensors", folder);
  char *attributes = tt_format("%s/" ATTRIBUTES, folder);
  enum tt_status status = path && attributes ? TT_OK : tt_fail(TT_NO_MEMORY, "out of memory");
  if (status == TT_OK)
    status = tt_generator_save(gan->attributes, attributes, true);
  if (status == TT_OK)
    status = tt_params_save(&gan->policy.params, "", &writer);
  if (status == TT_OK)
    status = tt_model_write(&writer, path);
  if (status == TT_OK && json_object_set_new(model, "gan", to_json(gan)) != 0)
    status = tt_fail(TT_NO_MEMORY, "describing the model");
  tt_model_writer_release(&writer);
  tt_free(path);
  tt_free(attributes);
  return status;
}

static enum tt_status load_attributes(struct tt_gan *gan, const char *folder) {
  char *path = tt_format("%s/" ATTRIBUTES, folder);
  enum tt_status status = path ? TT_OK : tt_fail(TT_NO_MEMORY, "out of memory");
  if (status == TT_OK)
    status = tt_generator_load(path, &gan->attributes);
  if (status == TT_OK && !tt_markov_is_part(gan->attributes, &gan->base))
    status = tt_fail(TT_BAD_INPUT, "%s: not the counts of this model", path);
  tt_free(path);
  return status;
}

static enum tt_status load_weights(struct tt_gan *gan, const char *folder) {
  struct tt_model_file *file = NULL;
  char *path = tt_format("%s/model.safetensors", folder);
  enum tt_status status = path ? TT_OK : tt_fail(TT_NO_MEMORY, "out of memory");
  if (status == TT_OK)
    status = tt_model_open(path, &file);
  if (status == TT_OK)
    status = tt_params_load(&gan->policy.params, "", file);
  for (size_t i = 0; status == TT_OK && i < gan->policy.params.total; i++)
    if (!(fabsf(gan->policy.params.data[i]) <= MOST))
      status = tt_fail(TT_BAD_INPUT, "%s: a weight is not within %g", path, (double)MOST);
  tt_model_close(file);
  tt_free(path);
  return status;
}

enum tt_status tt_gan_load(struct tt_gan *gan, const char *folder, const json_t *model) {
  const json_t *object = json_object_get(model, "gan");
  uint64_t width;
  enum tt_status status = tt_json_get_u64(object, "width", &width);
  if (status == TT_OK && (width < 16 || width > 1024 || gan->base.events.n == 0))
    status = tt_fail(TT_BAD_INPUT, "model.json: a width of %llu", (unsigned long long)width);
  if (status != TT_OK)
    return status;
  gan->policy = (struct tt_gan_policy){
      .n_events = gan->base.events.n, .n_streams = tt_gan_streams(gan), .width = (size_t)width};
  gan->built = true;
  status = tt_gan_policy_init(&gan->policy, gan->base.seed);
  if (status == TT_OK)
    status = load_attributes(gan, folder);
  if (status == TT_OK)
    status = load_weights(gan, folder);
  if (status == TT_OK)
    status = tt_gan_allow(gan);
  return status;
}
