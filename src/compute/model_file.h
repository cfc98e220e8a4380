/* safetensors files of f32 tensors and vectors of int64
 * (https://github.com/huggingface/safetensors): 8 bytes little endian header length, a JSON header,
 * the data. Written atomically. On reading, every size is checked against the file's with
 * overflow-safe arithmetic before anything is allocated by it; no holes, overlaps or duplicate
 * names are accepted. */
#ifndef COMPUTE_MODEL_FILE_H
#define COMPUTE_MODEL_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "compute/params.h"

#define TT_MODEL_MAX_RANK 4

/* ---- writing: collect, then write ---- */
struct tt_model_tensor {
  char *name; /* owned */
  size_t rank, shape[TT_MODEL_MAX_RANK];
  /* One of the two, the other NULL; borrowed until written; when reading: inside the file's mapping
   * (a tensor whose offset isn't a multiple of its element's size is TT_BAD_INPUT). */
  const float *data;       /* dtype F32 */
  const int64_t *integers; /* dtype I64: counts and tables; rank 1 */
};
struct tt_model_meta {
  char *key, *value; /* owned */
};
struct tt_model_writer {
  struct tt_model_tensor *tensors;
  size_t n_tensors, tensors_capacity;
  struct tt_model_meta *meta;
  size_t n_meta, meta_capacity;
};

void tt_model_writer_init(struct tt_model_writer *writer);
void tt_model_writer_release(struct tt_model_writer *writer);
/* data: [product of shape], borrowed until tt_model_write returns. */
enum tt_status tt_model_writer_add(struct tt_model_writer *writer, const char *name,
                                   const float *data, const size_t *shape, size_t rank);
enum tt_status tt_model_writer_add_integers(struct tt_model_writer *writer, const char *name,
                                            const int64_t *integers, size_t n);
enum tt_status tt_model_writer_meta(struct tt_model_writer *writer, const char *key,
                                    const char *value);
/* Writes PATH whole or not at all, overwriting. int64 vectors come first, so that all is aligned.
 */
enum tt_status tt_model_write(const struct tt_model_writer *writer, const char *path);

/* ---- reading ---- */
struct tt_model_file; /* a private mapping of the file */
/* TT_BAD_INPUT with file and cause when anything is not as it must be. */
enum tt_status tt_model_open(const char *path, struct tt_model_file **ret);
void tt_model_close(struct tt_model_file *file); /* accepts NULL */
size_t tt_model_count(const struct tt_model_file *file);
const struct tt_model_tensor *tt_model_tensor_at(const struct tt_model_file *file, size_t i);
/* NULL when there is none of that name. */
const struct tt_model_tensor *tt_model_find(const struct tt_model_file *file, const char *name);
const char *tt_model_meta(const struct tt_model_file *file, const char *key);
const char *tt_model_path(const struct tt_model_file *file);

/* ---- parameters ---- */
/* Adds all parameters under their names with `prefix` ("" for none) before. */
enum tt_status tt_params_save(const struct tt_params *params, const char *prefix,
                              struct tt_model_writer *writer);
/* Fills all parameters (built before) from the file; a missing tensor or other shape is
 * TT_BAD_INPUT. Refreshes the bf16 copies. */
enum tt_status tt_params_load(struct tt_params *params, const char *prefix,
                              const struct tt_model_file *file);

#endif
