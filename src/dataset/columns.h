/* The columns of a dataset, once: every list of them is made from this table. */
#ifndef DATASET_COLUMNS_H
#define DATASET_COLUMNS_H

#include <stddef.h>
#include <stdint.h>

/* X(name, C type, .npy type) */
#define TT_COLUMN_TABLE(X)                                                                         \
  X(ts, int64_t, "<i8")                                                                            \
  X(ret, int64_t, "<i8")                                                                           \
  X(tid, int32_t, "<i4")                                                                           \
  X(comm, uint32_t, "<u4")                                                                         \
  X(event, uint16_t, "<u2")                                                                        \
  X(cpu, uint16_t, "<u2")

enum tt_column {
#define TT_COLUMN_ENUM(name, type, descr) TT_COLUMN_##name,
  TT_COLUMN_TABLE(TT_COLUMN_ENUM)
#undef TT_COLUMN_ENUM
      TT_N_COLUMNS
};

struct tt_column_type {
  const char *name, *descr;
  size_t size; /* bytes of one element */
};

static const struct tt_column_type tt_column_types[TT_N_COLUMNS] = {
#define TT_COLUMN_TYPE(name, type, descr) {#name, descr, sizeof(type)},
    TT_COLUMN_TABLE(TT_COLUMN_TYPE)
#undef TT_COLUMN_TYPE
};

/* What the on-disk format fixes (docs/dataset.md). */
#define TT_DATASET_FORMAT "tracetwin-dataset"
#define TT_DATASET_VERSION 1
#define TT_DATASET_PAGE ((size_t)4096)
#define TT_SHARD_UNIT ((size_t)2048)              /* events: a page of the narrowest column */
#define TT_SHARD_EVENTS_MAX ((uint64_t)1 << 32)   /* per shard */
#define TT_DATASET_EVENTS_MAX ((uint64_t)1 << 40) /* in all: no product of sizes overflows */

#endif
