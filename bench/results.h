/* All that one run of the benchmark measured, as a table and as JSON. */
#ifndef BENCH_RESULTS_H
#define BENCH_RESULTS_H

#include "data_path.h"
#include "kernels.h"
#include "measure.h"

enum { BENCH_MAX_PRODUCTS = 6, BENCH_MAX_TRAININGS = 4 };

struct bench {
  bool quick;
  struct bench_product products[BENCH_MAX_PRODUCTS];
  size_t n_products;
  struct bench_kernel kernels[BENCH_MAX_KERNELS];
  size_t n_kernels;
  struct bench_training trainings[BENCH_MAX_TRAININGS];
  size_t n_trainings;
  struct bench_data_path data_paths[2];
  size_t n_data_paths;         /* 0: no dataset was given */
  double bandwidth;            /* bytes per second of a triad far larger than the caches */
  double load_begin, load_end; /* of the last minute, other programs' and ours */
  double seconds;
};

void bench_print(const struct bench *bench);
enum tt_status bench_write_json(const struct bench *bench, const char *path);

#endif
