/* What is trained in the benchmark: the library's own denoiser and predictor on random events of
 * the six channels. The batch is made once; the data path is not part of a step here. */
#ifndef BENCH_MODEL_H
#define BENCH_MODEL_H

#include "compute/optimizer.h"
#include "compute/tape.h"

enum bench_kind { BENCH_DENOISER, BENCH_PREDICTOR };

struct bench_shape {
  enum bench_kind kind;
  size_t width, layers, heads;
  size_t context, windows; /* context * windows events per step */
};

struct bench_model;

const char *bench_kind_name(enum bench_kind kind);
/* Parameters are drawn, those that start at zero too, so that every gradient is alive. The same
 * shape gives the same parameters and batch. Free with bench_model_free (accepts NULL). */
enum tt_status bench_model_new(const struct bench_shape *shape, enum tt_precision precision,
                               struct bench_model **ret);
void bench_model_free(struct bench_model *model);

struct tt_compute *bench_model_compute(struct bench_model *model);
struct tt_params *bench_model_params(struct bench_model *model);
/* Begins a recorded step and runs it forward. */
struct tt_tensor *bench_model_loss(struct bench_model *model, uint64_t step);
/* Writes parameters, batch and the loss as one safetensors file, for the same step elsewhere
 * (torch_step.py): the parameters under their names, "batch.ids" [events, 6], "batch.targets"
 * [events], "batch.eps" [events, width], "batch.prefix", "batch.t" [windows], "loss" [1]. */
enum tt_status bench_model_dump(struct bench_model *model, const char *path);

#endif
