/* tracetwin-bench: verifies, then measures how near the compute engine comes to what the machine
 * can do. A readable table on stdout, the same as JSON in build/bench-engine.json, of which
 * bench.py makes build/bench.json. See docs/performance.md. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/output.h"
#include "compute/dnn/matmul.h"
#include "results.h"

static double load(void) {
  double value[1];
  return getloadavg(value, 1) == 1 ? value[0] : -1;
}

/* ---- the measurements ---- */

static enum tt_status verify(void) {
  const struct {
    const char *name;
    enum tt_precision precision;
    const struct tt_kernels *kernels;
    double tolerance;
  } ways[] = {{"f32", TT_PRECISION_F32, tt_kernels_dnn(), 1e-4},
              {"f32", TT_PRECISION_F32, tt_kernels_best(), 1e-4},
              {"bf16", TT_PRECISION_BF16, tt_kernels_best(), 3e-2}};
  printf("verified: loss and gradients of a small step against the f32 reference kernels\n");
  for (int kind = BENCH_DENOISER; kind <= BENCH_PREDICTOR; kind++) {
    const struct bench_shape small = {.kind = (enum bench_kind)kind,
                                      .width = 64,
                                      .layers = 2,
                                      .heads = 2,
                                      .context = 48,
                                      .windows = 3};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
      if (ways[i].precision == TT_PRECISION_BF16 && !tt_cpu_has_bf16())
        continue;
      double error;
      enum tt_status status =
          bench_model_verify(&small, ways[i].precision, ways[i].kernels, ways[i].tolerance, &error);
      if (status != TT_OK)
        return status;
      printf("  %-10s %-5s %-5s error %.1e (at most %.0e)\n", bench_kind_name(small.kind),
             ways[i].kernels->name, ways[i].name, error, ways[i].tolerance);
    }
  }
  return TT_OK;
}

static void list_products(struct bench *bench) {
  static const size_t large[2][3] = {{2048, 2048, 2048}, {16384, 1024, 1024}};
  static const size_t tiny[2][3] = {{128, 128, 128}, {256, 64, 64}};
  for (size_t i = 0; i < 2; i++) {
    const size_t *shape = bench->quick ? tiny[i] : large[i];
    struct bench_product product = {
        .kernels = tt_kernels_dnn(), .m = shape[0], .n = shape[1], .k = shape[2]};
    bench->products[bench->n_products++] = product; /* f32 */
    if (!tt_cpu_has_bf16())
      continue;
    product.dtype = TT_BF16;
    bench->products[bench->n_products++] = product;
    product.kernels = tt_kernels_simd();
    bench->products[bench->n_products++] = product;
  }
}

static enum tt_status measure_products(struct bench *bench) {
  enum tt_status status = TT_OK;
  fprintf(stderr, "measuring %zu products\n", bench->n_products);
  for (size_t i = 0; i < bench->n_products && status == TT_OK; i++)
    status = bench_product_measure(&bench->products[i], bench->quick ? 3 : 12);
  return status;
}

static const struct bench_shape full[] = {{BENCH_DENOISER, 256, 6, 8, 256, 64},
                                          {BENCH_DENOISER, 256, 6, 8, 1024, 16},
                                          {BENCH_DENOISER, 256, 6, 8, 4096, 4},
                                          {BENCH_PREDICTOR, 256, 4, 8, 128, 128}};
static const struct bench_shape quick[] = {{BENCH_DENOISER, 32, 2, 2, 32, 4},
                                           {BENCH_PREDICTOR, 32, 2, 2, 16, 8}};

static const struct bench_shape *shapes_of(bool is_quick, size_t *ret_n) {
  *ret_n = is_quick ? sizeof quick / sizeof *quick : sizeof full / sizeof *full;
  return is_quick ? quick : full;
}

static enum tt_status measure_trainings(struct bench *bench) {
  size_t n;
  const struct bench_shape *shapes = shapes_of(bench->quick, &n);
  enum tt_status status = TT_OK;
  for (size_t i = 0; i < n && status == TT_OK; i++) {
    fprintf(stderr, "measuring the %s at %zu events of context\n", bench_kind_name(shapes[i].kind),
            shapes[i].context);
    status = bench_training_measure(&shapes[i], bench->quick ? 0 : 10, &bench->trainings[i]);
    bench->n_trainings += status == TT_OK;
  }
  return status;
}

static enum tt_status measure_data_paths(struct bench *bench, const char *dataset) {
  size_t n;
  const struct bench_shape *shapes = shapes_of(bench->quick, &n);
  fprintf(stderr, "measuring the data path\n");
  enum tt_status status = bench_data_path_measure(dataset, &shapes[0], &bench->data_paths[0]);
  if (status == TT_OK)
    status = bench_data_path_measure(dataset, &shapes[n - 1], &bench->data_paths[1]);
  bench->n_data_paths = 2;
  return status;
}

/* Each step that is timed here, to be taken by another engine: FOLDER/MODEL-CONTEXT.safetensors. */
static enum tt_status dump(const char *folder, bool is_quick) {
  size_t n;
  const struct bench_shape *shapes = shapes_of(is_quick, &n);
  enum tt_status status = tt_make_folders(folder);
  for (size_t i = 0; i < n && status == TT_OK; i++) {
    struct bench_model *model = NULL;
    char *path = tt_format("%s/%s-%zu.safetensors", folder, bench_kind_name(shapes[i].kind),
                           shapes[i].context);
    status = path ? bench_model_new(&shapes[i], TT_PRECISION_F32, &model)
                  : tt_fail(TT_NO_MEMORY, "a path");
    if (status == TT_OK)
      status = bench_model_dump(model, path);
    bench_model_free(model);
    tt_free(path);
  }
  return status;
}

/* The ceiling is taken before and after the steps: on a shared machine one moment is not enough. */
static enum tt_status measure(struct bench *bench, const char *dataset) {
  double begin = tt_seconds();
  bench->load_begin = load();
  list_products(bench);
  enum tt_status status = verify();
  if (status == TT_OK)
    status = measure_products(bench);
  bench->bandwidth = bench_bandwidth(bench->quick ? (size_t)1 << 22 : (size_t)3 << 28);
  if (status == TT_OK) {
    fprintf(stderr, "measuring single kernels\n");
    status = bench_kernels_measure(bench->quick, bench->kernels, &bench->n_kernels);
  }
  if (status == TT_OK)
    status = measure_trainings(bench);
  if (status == TT_OK && dataset)
    status = measure_data_paths(bench, dataset);
  if (status == TT_OK)
    status = measure_products(bench);
  bench->load_end = load();
  bench->seconds = tt_seconds() - begin;
  return status;
}

int main(int argc, char **argv) {
  static const char usage[] =
      "Usage: tracetwin-bench [--quick] [--dataset DATASET] [--dump FOLDER] [--output FILE]\n"
      "  --quick            tiny shapes: does it run at all?\n"
      "  --dataset DATASET  measures the data path from it\n"
      "  --dump FOLDER      writes the steps' parameters, batches and losses (torch_step.py)\n"
      "  --output FILE      results as JSON (default build/bench-engine.json)\n";
  static const struct option options[] = {
      {"quick", no_argument, NULL, 'q'},      {"dataset", required_argument, NULL, 'd'},
      {"dump", required_argument, NULL, 'u'}, {"output", required_argument, NULL, 'o'},
      {"help", no_argument, NULL, 'h'},       {0}};
  struct bench bench = {0};
  const char *output = "build/bench-engine.json", *dataset = NULL, *folder = NULL;
  for (int c; (c = getopt_long(argc, argv, "qd:u:o:h", options, NULL)) != -1;) {
    if (c == 'q') {
      bench.quick = true;
    } else if (c == 'd') {
      dataset = optarg;
    } else if (c == 'u') {
      folder = optarg;
    } else if (c == 'o') {
      output = optarg;
    } else {
      fputs(usage, c == 'h' ? stdout : stderr);
      return c == 'h' ? 0 : tt_status_exit_code(TT_USAGE);
    }
  }
  if (optind < argc) {
    fputs(usage, stderr);
    return tt_status_exit_code(TT_USAGE);
  }
  setvbuf(stdout, NULL, _IOLBF, 0);
  enum tt_status status = measure(&bench, dataset);
  if (status == TT_OK && folder)
    status = dump(folder, bench.quick);
  if (status == TT_OK) {
    bench_print(&bench);
    status = bench_write_json(&bench, output);
  }
  for (size_t i = tt_cause_count(); status != TT_OK && i-- > 0;)
    fprintf(stderr, "tracetwin-bench: %s\n", tt_cause(i));
  tt_dnn_clear();
  return tt_status_exit_code(status);
}
