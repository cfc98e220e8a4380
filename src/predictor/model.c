#include "predictor/model.h"

#include "base/mem.h"
#include "predictor/windows.h"

enum tt_status tt_predictor_model_init(const struct tt_predictor_config *config,
                                       const struct tt_vocabulary *vocabulary,
                                       struct tt_predictor_model **ret) {
  struct tt_predictor_model *model = tt_calloc(1, sizeof *model);
  if (!model)
    return tt_fail(TT_NO_MEMORY, "a predictor");
  const char *names[TT_N_CHANNELS];
  size_t sizes[TT_N_CHANNELS], n = 0;
  for (unsigned channel = 0; channel < TT_N_CHANNELS; channel++) {
    if (!(config->channels >> channel & 1))
      continue;
    names[n] = tt_channel_name((enum tt_channel)channel);
    sizes[n++] = channel == TT_CHANNEL_dt ? TT_DT_BINS
                                          : tt_channel_size(vocabulary, (enum tt_channel)channel);
  }
  model->context = config->context;
  model->n_ids = n;
  model->n_classes = vocabulary->events.n;
  tt_params_init(&model->params);
  tt_embedding_init(&model->embedding, &model->params, "embedding", names, sizes, n, config->width,
                    -1);
  struct tt_transformer_config body = {.d = config->width,
                                       .heads = config->heads,
                                       .layers = config->layers,
                                       .rotary = true,
                                       .dropout = (float)config->dropout};
  tt_transformer_init(&model->body, &model->params, "body", &body);
  tt_linear_init(&model->head, &model->params, "head", config->width, model->n_classes, true, 0);
  enum tt_status status = tt_params_build(&model->params, config->seed);
  if (status == TT_OK)
    status = tt_compute_create(config->precision, config->seed, &model->compute);
  if (status == TT_OK)
    *ret = model;
  else
    tt_predictor_model_free(model);
  return status;
}

void tt_predictor_model_free(struct tt_predictor_model *model) {
  if (!model)
    return;
  tt_compute_free(model->compute);
  tt_params_release(&model->params);
  tt_free(model);
}

static struct tt_tensor *hidden(struct tt_predictor_model *model, size_t windows,
                                const int32_t *ids) {
  struct tt_compute *c = model->compute;
  struct tt_attention_spec spec = {
      .batch = windows, .length = model->context, .mask = TT_MASK_CAUSAL};
  struct tt_tensor *x = tt_embedding_forward(c, &model->embedding, ids, windows * model->context);
  return tt_transformer_forward(c, &model->body, x, &spec, NULL, NULL);
}

struct tt_tensor *tt_predictor_model_loss(struct tt_predictor_model *model, size_t windows,
                                          const int32_t *ids, const int32_t *targets,
                                          uint64_t step) {
  tt_compute_begin(model->compute, true, step);
  struct tt_tensor *x = hidden(model, windows, ids);
  return tt_op_head_loss(model->compute, x, model->head.weight, model->head.bias, targets, NULL, 0,
                         NULL);
}

const float *tt_predictor_model_logits(struct tt_predictor_model *model, size_t windows,
                                       const int32_t *ids) {
  tt_compute_begin(model->compute, false, 0);
  struct tt_tensor *x = hidden(model, windows, ids);
  return tt_op_linear_f32(model->compute, x, model->head.weight, model->head.bias)->data;
}
