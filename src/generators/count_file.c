#include "generators/count_file.h"

#include "base/mem.h"
#include "base/output.h"

enum tt_status tt_count_file_add(struct tt_model_writer *writer, const char *table,
                                 const char *column, const void *values, size_t n) {
  char *name = tt_format("%s.%s", table, column);
  if (!name)
    return tt_fail(TT_NO_MEMORY, "writing %s.%s", table, column);
  enum tt_status status = tt_model_writer_add_integers(writer, name, values, n);
  tt_free(name);
  return status;
}

enum tt_status tt_count_file_add_tally(struct tt_model_writer *writer, const char *table,
                                       const struct tt_tally *tally) {
  enum tt_status status;
  if ((status = tt_count_file_add(writer, table, "keys", tally->keys, tally->n_rows)) != TT_OK ||
      (status = tt_count_file_add(writer, table, "first", tally->first, tally->n_rows + 1)) !=
          TT_OK ||
      (status = tt_count_file_add(writer, table, "values", tally->values, tally->n_pairs)) !=
          TT_OK ||
      (status = tt_count_file_add(writer, table, "upto", tally->upto, tally->n_pairs)) != TT_OK)
    return status;
  return TT_OK;
}

enum tt_status tt_count_file_add_ngram(struct tt_model_writer *writer, const char *table,
                                       const struct tt_ngram *ngram, int64_t **ret_buffer) {
  int64_t *wide = tt_alloc(2 * ngram->n_nodes, sizeof *wide); /* lives until the file is written */
  if (!wide)
    return tt_fail(TT_NO_MEMORY, "writing %s", table);
  *ret_buffer = wide;
  for (size_t i = 0; i < ngram->n_nodes; i++) {
    wide[i] = ngram->parents[i];
    wide[ngram->n_nodes + i] = ngram->last[i];
  }
  enum tt_status status;
  if ((status = tt_count_file_add(writer, table, "parents", wide, ngram->n_nodes)) != TT_OK ||
      (status = tt_count_file_add(writer, table, "last", wide + ngram->n_nodes, ngram->n_nodes)) !=
          TT_OK)
    return status;
  return tt_count_file_add_tally(writer, table, &ngram->counts);
}

enum tt_status tt_count_file_get(const struct tt_model_file *file, const char *table,
                                 const char *column, struct tt_count_file_column *ret) {
  char *name = tt_format("%s.%s", table, column);
  if (!name)
    return tt_fail(TT_NO_MEMORY, "reading %s.%s", table, column);
  const struct tt_model_tensor *tensor = tt_model_find(file, name);
  tt_free(name);
  if (!tensor || !tensor->integers || tensor->rank != 1)
    return tt_fail(TT_BAD_INPUT, "%s: no int64 vector %s.%s", tt_model_path(file), table, column);
  *ret = (struct tt_count_file_column){tensor->integers, tensor->shape[0]};
  return TT_OK;
}

enum tt_status tt_count_file_get_tally(const struct tt_model_file *file, const char *table,
                                       struct tt_tally *ret) {
  struct tt_count_file_column keys = {0}, first = {0}, values = {0}, upto = {0};
  enum tt_status status;
  if ((status = tt_count_file_get(file, table, "keys", &keys)) != TT_OK ||
      (status = tt_count_file_get(file, table, "first", &first)) != TT_OK ||
      (status = tt_count_file_get(file, table, "values", &values)) != TT_OK ||
      (status = tt_count_file_get(file, table, "upto", &upto)) != TT_OK)
    return status;
  if (first.n != keys.n + 1 || upto.n != values.n)
    return tt_fail(TT_BAD_INPUT, "%s: %s: lengths don't agree", tt_model_path(file), table);
  status = tt_tally_from_arrays(keys.values, first.values, keys.n, values.values, upto.values,
                                values.n, ret);
  return status == TT_OK ? TT_OK : tt_fail(status, "%s: %s", tt_model_path(file), table);
}

enum tt_status tt_count_file_get_ngram(const struct tt_model_file *file, const char *table,
                                       uint32_t n_symbols, struct tt_ngram *ngram) {
  struct tt_count_file_column parents = {0}, last = {0};
  enum tt_status status;
  ngram->n_symbols = n_symbols;
  if ((status = tt_count_file_get_tally(file, table, &ngram->counts)) != TT_OK ||
      (status = tt_count_file_get(file, table, "parents", &parents)) != TT_OK ||
      (status = tt_count_file_get(file, table, "last", &last)) != TT_OK)
    return status;
  if (parents.n != last.n || parents.n == 0)
    return tt_fail(TT_BAD_INPUT, "%s: %s: lengths don't agree", tt_model_path(file), table);
  ngram->n_nodes = ngram->nodes_capacity = parents.n;
  ngram->parents = tt_alloc(parents.n, sizeof *ngram->parents);
  ngram->last = tt_alloc(parents.n, sizeof *ngram->last);
  if (!ngram->parents || !ngram->last)
    return tt_fail(TT_NO_MEMORY, "an n-gram of %zu contexts", parents.n);
  for (size_t i = 0; i < parents.n; i++) {
    if (parents.values[i] < 0 || parents.values[i] > UINT32_MAX || last.values[i] < 0 ||
        last.values[i] > UINT32_MAX)
      return tt_fail(TT_BAD_INPUT, "%s: %s: context %zu", tt_model_path(file), table, i);
    ngram->parents[i] = (uint32_t)parents.values[i];
    ngram->last[i] = (uint32_t)last.values[i];
  }
  status = tt_ngram_restore(ngram);
  return status == TT_OK ? TT_OK : tt_fail(status, "%s: %s", tt_model_path(file), table);
}
