/* safetensors. The data begin at a multiple of 64 bytes (the header is padded with spaces, as the
 * format allows), so that a mapped file's tensors are aligned. */
#include "compute/model_file.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/output.h"

#define HEADER_LIMIT ((uint64_t)100000000) /* the format's own */

/* ---- writing ---- */

void tt_model_writer_init(struct tt_model_writer *writer) {
  *writer = (struct tt_model_writer){0};
}

static void tensors_free(struct tt_model_tensor *tensors, size_t n) {
  for (size_t i = 0; i < n; i++)
    tt_free(tensors[i].name);
  tt_free(tensors);
}

static void meta_free(struct tt_model_meta *meta, size_t n) {
  for (size_t i = 0; i < n; i++) {
    tt_free(meta[i].key);
    tt_free(meta[i].value);
  }
  tt_free(meta);
}

void tt_model_writer_release(struct tt_model_writer *writer) {
  tensors_free(writer->tensors, writer->n_tensors);
  meta_free(writer->meta, writer->n_meta);
  tt_model_writer_init(writer);
}

static bool count_of(const size_t *shape, size_t rank, size_t *ret) {
  size_t count = 1;
  for (size_t i = 0; i < rank; i++)
    if (__builtin_mul_overflow(count, shape[i], &count))
      return false;
  *ret = count;
  return true;
}

/* Appends a tensor; its name is copied. */
static enum tt_status add(struct tt_model_writer *writer, const char *name,
                          struct tt_model_tensor tensor) {
  tensor.name = tt_strdup(name);
  if (!tensor.name || tt_grow(&writer->tensors, &writer->tensors_capacity, writer->n_tensors + 1,
                              sizeof *writer->tensors)) {
    tt_free(tensor.name);
    return tt_fail(TT_NO_MEMORY, "tensor %s", name);
  }
  writer->tensors[writer->n_tensors++] = tensor;
  return TT_OK;
}

enum tt_status tt_model_writer_add(struct tt_model_writer *writer, const char *name,
                                   const float *data, const size_t *shape, size_t rank) {
  size_t count;
  TT_ASSERT(rank <= TT_MODEL_MAX_RANK && count_of(shape, rank, &count) && count <= SIZE_MAX / 4);
  struct tt_model_tensor tensor = {.rank = rank, .data = data};
  for (size_t i = 0; i < rank; i++)
    tensor.shape[i] = shape[i];
  return add(writer, name, tensor);
}

enum tt_status tt_model_writer_add_integers(struct tt_model_writer *writer, const char *name,
                                            const int64_t *integers, size_t n) {
  TT_ASSERT(n <= SIZE_MAX / sizeof *integers);
  const struct tt_model_tensor tensor = {.rank = 1, .shape = {n}, .integers = integers};
  return add(writer, name, tensor);
}

enum tt_status tt_model_writer_meta(struct tt_model_writer *writer, const char *key,
                                    const char *value) {
  struct tt_model_meta meta = {tt_strdup(key), tt_strdup(value)};
  if (!meta.key || !meta.value ||
      tt_grow(&writer->meta, &writer->meta_capacity, writer->n_meta + 1, sizeof meta)) {
    tt_free(meta.key);
    tt_free(meta.value);
    return tt_fail(TT_NO_MEMORY, "metadata %s", key);
  }
  writer->meta[writer->n_meta++] = meta;
  return TT_OK;
}

static size_t tensor_bytes(const struct tt_model_tensor *t) {
  size_t count = 0;
  TT_ASSERT(count_of(t->shape, t->rank, &count));
  return count * (t->integers ? sizeof *t->integers : sizeof *t->data);
}

/* The order in the file: int64 vectors first, so that the data are aligned whatever their number.
 */
static const struct tt_model_tensor *in_file_order(const struct tt_model_writer *writer, size_t i) {
  for (int integers = 1; integers >= 0; integers--)
    for (size_t k = 0; k < writer->n_tensors; k++)
      if ((writer->tensors[k].integers != NULL) == integers && i-- == 0)
        return &writer->tensors[k];
  return NULL;
}

/* The JSON header, padded; release with free(). */
static char *make_header(const struct tt_model_writer *writer) {
  json_t *root = json_object(), *meta = json_object();
  bool ok = root && meta;
  for (size_t i = 0; ok && i < writer->n_meta; i++)
    ok = json_object_set_new(meta, writer->meta[i].key, json_string(writer->meta[i].value)) == 0;
  if (ok && writer->n_meta)
    ok = json_object_set(root, "__metadata__", meta) == 0;
  size_t offset = 0;
  for (size_t i = 0; ok && i < writer->n_tensors; i++) {
    const struct tt_model_tensor *t = in_file_order(writer, i);
    TT_ASSERT(!json_object_get(root, t->name)); /* names are unique */
    json_t *shape = json_array();
    for (size_t k = 0; ok && k < t->rank; k++)
      ok = json_array_append_new(shape, json_integer((json_int_t)t->shape[k])) == 0;
    size_t end = offset + tensor_bytes(t);
    json_t *entry = json_pack("{s:s, s:o, s:[I, I]}", "dtype", t->integers ? "I64" : "F32", "shape",
                              shape, "data_offsets", (json_int_t)offset, (json_int_t)end);
    ok = ok && json_object_set_new(root, t->name, entry) == 0;
    offset = end;
  }
  char *text = ok ? json_dumps(root, JSON_COMPACT) : NULL;
  json_decref(root);
  json_decref(meta);
  if (!text)
    return NULL;
  size_t length = strlen(text), padded = (length + 8 + 63) / 64 * 64 - 8;
  char *header = realloc(text, padded + 1);
  if (!header) {
    free(text);
    return NULL;
  }
  memset(header + length, ' ', padded - length);
  header[padded] = 0;
  return header;
}

enum tt_status tt_model_write(const struct tt_model_writer *writer, const char *path) {
  struct tt_output output = {0};
  FILE *file = NULL;
  char *header = make_header(writer);
  if (!header)
    return tt_fail(TT_NO_MEMORY, "%s: header", path);
  enum tt_status status = tt_output_begin_file(path, true, &output);
  if (status != TT_OK)
    goto cleanup;
  file = fopen(output.temporary, "wb");
  uint64_t length = strlen(header);
  unsigned char bytes[8];
  for (int i = 0; i < 8; i++)
    bytes[i] = (unsigned char)(length >> (8 * i));
  bool ok = file && fwrite(bytes, 8, 1, file) == 1 && fwrite(header, length, 1, file) == 1;
  for (size_t i = 0; ok && i < writer->n_tensors; i++) {
    const struct tt_model_tensor *t = in_file_order(writer, i);
    size_t size = tensor_bytes(t);
    const void *data = t->integers ? (const void *)t->integers : t->data;
    ok = size == 0 || fwrite(data, size, 1, file) == 1;
  }
  if (file && fclose(file) != 0)
    ok = false;
  status = ok ? tt_output_commit(&output) : tt_fail(TT_IO, "%s: %s", path, strerror(errno));
cleanup:
  tt_output_abort(&output);
  free(header);
  return status;
}

/* ---- reading ---- */

struct tt_model_file {
  char *path;
  unsigned char *map;
  size_t size;
  void *copy; /* the data, where the file's are not aligned for numbers */
  struct tt_model_tensor *tensors;
  size_t n_tensors;
  struct tt_model_meta *meta;
  size_t n_meta;
};

void tt_model_close(struct tt_model_file *file) {
  if (!file)
    return;
  tensors_free(file->tensors, file->n_tensors);
  meta_free(file->meta, file->n_meta);
  if (file->map)
    munmap(file->map, file->size);
  tt_free(file->copy);
  tt_free(file->path);
  tt_free(file);
}

static enum tt_status bad(const struct tt_model_file *file, const char *name, const char *cause) {
  return tt_fail(TT_BAD_INPUT, "%s: %s%s%s", file->path, name, *name ? ": " : "", cause);
}

struct span {
  size_t begin, end;
};

static int by_begin(const void *a, const void *b) {
  const struct span *x = a, *y = b;
  if (x->begin != y->begin)
    return x->begin < y->begin ? -1 : 1;
  return (x->end > y->end) - (x->end < y->end);
}

/* A non-negative JSON integer. */
static bool size_value(const json_t *value, size_t *ret) {
  if (!json_is_integer(value) || json_integer_value(value) < 0)
    return false;
  *ret = (size_t)json_integer_value(value);
  return true;
}

/* One entry of the header; data_size bytes of data follow the header. */
static enum tt_status read_entry(struct tt_model_file *file, const char *name, const json_t *entry,
                                 const unsigned char *data, size_t data_size, struct span *span) {
  const json_t *dtype = json_object_get(entry, "dtype"), *shape = json_object_get(entry, "shape");
  const json_t *offsets = json_object_get(entry, "data_offsets");
  struct tt_model_tensor t = {.rank = json_array_size(shape)};
  if (!json_is_string(dtype) || !json_is_array(shape) || json_array_size(offsets) != 2)
    return bad(file, name, "not a tensor");
  bool integers = strcmp(json_string_value(dtype), "I64") == 0;
  if (!integers && strcmp(json_string_value(dtype), "F32") != 0)
    return bad(file, name, "neither F32 nor I64");
  if (integers && t.rank != 1)
    return bad(file, name, "I64, but not a vector");
  if (t.rank > TT_MODEL_MAX_RANK)
    return bad(file, name, "too many dimensions");
  for (size_t i = 0; i < t.rank; i++)
    if (!size_value(json_array_get(shape, i), &t.shape[i]))
      return bad(file, name, "shape");
  size_t count, bytes;
  if (!count_of(t.shape, t.rank, &count) ||
      __builtin_mul_overflow(count, integers ? sizeof(int64_t) : sizeof(float), &bytes))
    return bad(file, name, "shape is too large");
  if (!size_value(json_array_get(offsets, 0), &span->begin) ||
      !size_value(json_array_get(offsets, 1), &span->end) || span->begin > span->end ||
      span->end > data_size)
    return bad(file, name, "offsets lie outside the file");
  if (span->end - span->begin != bytes)
    return bad(file, name, "shape and offsets disagree");
  if (span->begin % (integers ? sizeof(int64_t) : sizeof(float)))
    return bad(file, name, "not aligned to its numbers");
  if (integers)
    t.integers = (const int64_t *)(const void *)(data + span->begin);
  else
    t.data = (const float *)(const void *)(data + span->begin);
  t.name = tt_strdup(name);
  if (!t.name)
    return tt_fail(TT_NO_MEMORY, "%s", file->path);
  file->tensors[file->n_tensors++] = t;
  return TT_OK;
}

static enum tt_status read_meta(struct tt_model_file *file, json_t *meta) {
  if (!json_is_object(meta))
    return bad(file, "__metadata__", "not an object");
  file->meta = tt_calloc(json_object_size(meta), sizeof *file->meta);
  if (!file->meta)
    return tt_fail(TT_NO_MEMORY, "%s", file->path);
  const char *key;
  json_t *value;
  json_object_foreach(meta, key, value) {
    if (!json_is_string(value))
      return bad(file, key, "metadata that is not a string");
    struct tt_model_meta *m = &file->meta[file->n_meta++];
    *m = (struct tt_model_meta){tt_strdup(key), tt_strdup(json_string_value(value))};
    if (!m->key || !m->value)
      return tt_fail(TT_NO_MEMORY, "%s", file->path);
  }
  return TT_OK;
}

static enum tt_status parse(struct tt_model_file *file) {
  uint64_t length = 0;
  if (file->size < 8)
    return bad(file, "", "too short for a safetensors file");
  for (int i = 0; i < 8; i++)
    length |= (uint64_t)file->map[i] << (8 * i);
  if (length > HEADER_LIMIT || length > file->size - 8)
    return bad(file, "", "header length lies outside the file");
  const unsigned char *data = file->map + 8 + length;
  const size_t data_size = file->size - 8 - length;
  json_error_t error;
  json_t *root = json_loadb((const char *)file->map + 8, length, JSON_REJECT_DUPLICATES, &error);
  if (!root)
    return tt_fail(TT_BAD_INPUT, "%s: header: %s", file->path, error.text);
  enum tt_status status = TT_OK;
  struct span *spans = NULL;
  if (!json_is_object(root)) {
    status = bad(file, "", "header is not an object");
    goto cleanup;
  }
  if ((uintptr_t)data % sizeof(int64_t)) { /* the format does not promise alignment */
    file->copy = tt_alloc(data_size, 1);
    if (!file->copy) {
      status = tt_fail(TT_NO_MEMORY, "%s", file->path);
      goto cleanup;
    }
    memcpy(file->copy, data, data_size);
    data = file->copy;
  }
  file->tensors = tt_calloc(json_object_size(root), sizeof *file->tensors);
  spans = tt_calloc(json_object_size(root), sizeof *spans);
  if (!file->tensors || !spans) {
    status = tt_fail(TT_NO_MEMORY, "%s", file->path);
    goto cleanup;
  }
  const char *name;
  json_t *entry;
  json_object_foreach(root, name, entry) {
    status = strcmp(name, "__metadata__") == 0
                 ? read_meta(file, entry)
                 : read_entry(file, name, entry, data, data_size, &spans[file->n_tensors]);
    if (status != TT_OK)
      goto cleanup;
  }
  qsort(spans, file->n_tensors, sizeof *spans, by_begin);
  size_t at = 0;
  for (size_t i = 0; i < file->n_tensors; i++) {
    if (spans[i].begin != at) {
      status = bad(file, "", spans[i].begin < at ? "tensors overlap" : "a hole between tensors");
      goto cleanup;
    }
    at = spans[i].end;
  }
  if (at != data_size)
    status = bad(file, "", "bytes after the last tensor");
cleanup:
  tt_free(spans);
  json_decref(root);
  return status;
}

enum tt_status tt_model_open(const char *path, struct tt_model_file **ret) {
  enum tt_status status = TT_OK;
  struct stat info;
  int fd = -1;
  struct tt_model_file *file = tt_calloc(1, sizeof *file);
  if (!file || !(file->path = tt_strdup(path))) {
    tt_free(file);
    return tt_fail(TT_NO_MEMORY, "%s", path);
  }
  fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || fstat(fd, &info) != 0) {
    status = tt_fail(TT_BAD_INPUT, "%s: %s", path, strerror(errno));
    goto cleanup;
  }
  if (!S_ISREG(info.st_mode) || info.st_size <= 0) {
    status = bad(file, "", "not a safetensors file");
    goto cleanup;
  }
  file->size = (size_t)info.st_size;
  file->map = mmap(NULL, file->size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (file->map == MAP_FAILED) {
    file->map = NULL;
    status = tt_fail(TT_BAD_INPUT, "%s: %s", path, strerror(errno));
    goto cleanup;
  }
  status = parse(file);
cleanup:
  if (fd >= 0)
    close(fd);
  if (status != TT_OK)
    tt_model_close(file);
  else
    *ret = file;
  return status;
}

size_t tt_model_count(const struct tt_model_file *file) {
  return file->n_tensors;
}

const struct tt_model_tensor *tt_model_tensor_at(const struct tt_model_file *file, size_t i) {
  TT_ASSERT(i < file->n_tensors);
  return &file->tensors[i];
}

const struct tt_model_tensor *tt_model_find(const struct tt_model_file *file, const char *name) {
  for (size_t i = 0; i < file->n_tensors; i++)
    if (strcmp(file->tensors[i].name, name) == 0)
      return &file->tensors[i];
  return NULL;
}

const char *tt_model_meta(const struct tt_model_file *file, const char *key) {
  for (size_t i = 0; i < file->n_meta; i++)
    if (strcmp(file->meta[i].key, key) == 0)
      return file->meta[i].value;
  return NULL;
}

const char *tt_model_path(const struct tt_model_file *file) {
  return file->path;
}

/* ---- parameters ---- */

enum tt_status tt_params_save(const struct tt_params *params, const char *prefix,
                              struct tt_model_writer *writer) {
  for (size_t i = 0; i < params->n; i++) {
    const struct tt_param *param = params->list[i];
    char *name = tt_format("%s%s", prefix, param->name);
    if (!name)
      return tt_fail(TT_NO_MEMORY, "parameter %s", param->name);
    const size_t shape[] = {param->rows, param->cols};
    enum tt_status status = tt_model_writer_add(writer, name, param->data, shape, 2);
    tt_free(name);
    if (status != TT_OK)
      return status;
  }
  return TT_OK;
}

enum tt_status tt_params_load(struct tt_params *params, const char *prefix,
                              const struct tt_model_file *file) {
  for (int pass = 0; pass < 2; pass++) /* all of it is there before any of it is taken */
    for (size_t i = 0; i < params->n; i++) {
      struct tt_param *param = params->list[i];
      char *name = tt_format("%s%s", prefix, param->name);
      if (!name)
        return tt_fail(TT_NO_MEMORY, "parameter %s", param->name);
      const struct tt_model_tensor *t = tt_model_find(file, name);
      tt_free(name);
      if (!t || !t->data || t->rank != 2 || t->shape[0] != param->rows ||
          t->shape[1] != param->cols)
        return tt_fail(TT_BAD_INPUT, "%s: %s%s is missing or not %zu x %zu", file->path, prefix,
                       param->name, param->rows, param->cols);
      if (pass == 1)
        memcpy(param->data, t->data, param->rows * param->cols * sizeof(float));
    }
  tt_params_refresh(params);
  return TT_OK;
}
