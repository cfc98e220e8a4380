/* Counts in model files: tables of integer vectors called TABLE.COLUMN. */
#ifndef GENERATORS_COUNT_FILE_H
#define GENERATORS_COUNT_FILE_H

#include "compute/model_file.h"
#include "generators/ngram.h"

/* One vector of int64 (or uint64 below 2^63), which must live until the file is written. */
enum tt_status tt_count_file_add(struct tt_model_writer *writer, const char *table,
                                 const char *column, const void *values, size_t n);
enum tt_status tt_count_file_add_tally(struct tt_model_writer *writer, const char *table,
                                       const struct tt_tally *tally);
/* *ret_buffer: to be released with tt_free once the file is written. */
enum tt_status tt_count_file_add_ngram(struct tt_model_writer *writer, const char *table,
                                       const struct tt_ngram *ngram, int64_t **ret_buffer);

struct tt_count_file_column { /* borrowed from the file */
  const int64_t *values;
  size_t n;
};

/* TT_BAD_INPUT with its cause when it isn't there or isn't what it should be. */
enum tt_status tt_count_file_get(const struct tt_model_file *file, const char *table,
                                 const char *column, struct tt_count_file_column *ret);
enum tt_status tt_count_file_get_tally(const struct tt_model_file *file, const char *table,
                                       struct tt_tally *ret);
/* Symbols are checked against n_symbols. */
enum tt_status tt_count_file_get_ngram(const struct tt_model_file *file, const char *table,
                                       uint32_t n_symbols, struct tt_ngram *ngram);

#endif
