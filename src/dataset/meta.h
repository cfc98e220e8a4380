/* dataset.json: the description of a dataset, to and from JSON (docs/dataset.md). */
#ifndef DATASET_META_H
#define DATASET_META_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "dataset/dataset.h"

struct tt_dataset_header { /* the part of dataset.json that is about the rows */
  struct tt_dataset_counts counts;
  uint64_t shard_events, shards;
  size_t cpu_limit;
};

/* A new reference; NULL when memory is short. Gaps are written sorted by begin, lost_events as
 * their sum. */
json_t *tt_meta_to_json(const struct tt_dataset_meta *meta, const struct tt_dataset_header *header);
/* Checks every field; the caller adds the file's name to the cause. *ret_meta is to be released. */
enum tt_status tt_meta_from_json(const json_t *json, struct tt_dataset_meta *ret_meta,
                                 struct tt_dataset_header *ret_header);

#endif
