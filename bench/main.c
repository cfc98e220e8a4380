/* tracetwin-bench: verifies, then measures how near the compute engine comes to what the machine
 * can do. A readable table on stdout, the same as JSON in build/bench.json. See
 * docs/performance.md. */
#include <getopt.h>
#include <jansson.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/output.h"
#include "compute/dnn/matmul.h"
#include "measure.h"

enum { MAX_PRODUCTS = 6, MAX_TRAININGS = 4 };

struct bench {
  bool quick;
  struct bench_product products[MAX_PRODUCTS];
  size_t n_products;
  struct bench_training trainings[MAX_TRAININGS];
  size_t n_trainings;
  double load_begin, load_end; /* of the last minute, other programs' and ours */
  double seconds;
};

static const char *dtype_name(enum tt_dtype dtype) {
  return dtype == TT_BF16 ? "bf16" : "f32";
}

static double load(void) {
  double value[1];
  return getloadavg(value, 1) == 1 ? value[0] : -1;
}

/* Highest rate any product of this dtype reached; 0: none was measured. */
static double peak(const struct bench *bench, enum tt_dtype dtype) {
  double best = 0;
  for (size_t i = 0; i < bench->n_products; i++)
    if (bench->products[i].dtype == dtype && bench->products[i].gflops > best)
      best = bench->products[i].gflops;
  return best;
}

static double share(const struct bench *bench, const struct bench_training *training) {
  return training->flops / training->best / 1e9 / peak(bench, training->dtype);
}

static double events(const struct bench_training *training) {
  return (double)(training->shape.context * training->shape.windows);
}

static size_t peak_rss(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (size_t)usage.ru_maxrss * 1024;
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

static enum tt_status measure_trainings(struct bench *bench) {
  static const struct bench_shape full[] = {{BENCH_DENOISER, 256, 6, 8, 256, 64},
                                            {BENCH_DENOISER, 256, 6, 8, 1024, 16},
                                            {BENCH_DENOISER, 256, 6, 8, 4096, 4},
                                            {BENCH_PREDICTOR, 256, 4, 8, 128, 128}};
  static const struct bench_shape quick[] = {{BENCH_DENOISER, 32, 2, 2, 32, 4},
                                             {BENCH_PREDICTOR, 32, 2, 2, 16, 8}};
  const struct bench_shape *shapes = bench->quick ? quick : full;
  size_t n = bench->quick ? sizeof quick / sizeof *quick : sizeof full / sizeof *full;
  enum tt_status status = TT_OK;
  for (size_t i = 0; i < n && status == TT_OK; i++) {
    fprintf(stderr, "measuring the %s at %zu events of context\n", bench_kind_name(shapes[i].kind),
            shapes[i].context);
    status = bench_training_measure(&shapes[i], bench->quick ? 0 : 10, &bench->trainings[i]);
    bench->n_trainings += status == TT_OK;
  }
  return status;
}

/* The ceiling is taken before and after the steps: on a shared machine one moment is not enough. */
static enum tt_status measure(struct bench *bench) {
  double begin = tt_seconds();
  bench->load_begin = load();
  list_products(bench);
  enum tt_status status = verify();
  if (status == TT_OK)
    status = measure_products(bench);
  if (status == TT_OK)
    status = measure_trainings(bench);
  if (status == TT_OK)
    status = measure_products(bench);
  bench->load_end = load();
  bench->seconds = tt_seconds() - begin;
  return status;
}

/* ---- the results ---- */

static void print_table(const struct bench *bench) {
  printf("\noneDNN %s, %d threads, load average %.1f at the beginning, %.1f at the end%s\n",
         tt_dnn_version(), omp_get_max_threads(), bench->load_begin, bench->load_end,
         bench->quick ? " (--quick: the figures mean nothing)" : "");
  printf("\n%-8s %-6s %22s %10s\n", "kernels", "dtype", "product m x n x k", "GFLOP/s");
  for (size_t i = 0; i < bench->n_products; i++) {
    const struct bench_product *p = &bench->products[i];
    char shape[64];
    snprintf(shape, sizeof shape, "%zu x %zu x %zu", p->m, p->n, p->k);
    printf("%-8s %-6s %22s %10.1f\n", p->kernels->name, dtype_name(p->dtype), shape, p->gflops);
  }
  printf("\n%-10s %7s %-5s %9s %9s %10s %11s %9s %8s %8s\n", "model", "context", "dtype", "best ms",
         "median ms", "events/s", "MFLOP/event", "GFLOP/s", "of peak", "arena MB");
  for (size_t i = 0; i < bench->n_trainings; i++) {
    const struct bench_training *t = &bench->trainings[i];
    printf("%-10s %7zu %-5s %9.1f %9.1f %10.0f %11.2f %9.1f %7.1f%% %8.0f\n",
           bench_kind_name(t->shape.kind), t->shape.context, dtype_name(t->dtype), 1e3 * t->best,
           1e3 * t->median, events(t) / t->best, 1e-6 * t->flops / events(t),
           1e-9 * t->flops / t->best, 100 * share(bench, t), 1e-6 * (double)t->arena_bytes);
  }
  printf("\npeak RSS %.0f MB, %.0f s in all\n", 1e-6 * (double)peak_rss(), bench->seconds);
}

/* New references, NULL when memory is short; json_pack and json_array_append_new pass that on. */
static json_t *peak_json(const struct bench *bench, enum tt_dtype dtype) {
  double value = peak(bench, dtype);
  return value > 0 ? json_real(value) : json_null();
}

static json_t *training_json(const struct bench *bench, const struct bench_training *t) {
  return json_pack("{s:s, s:I, s:s, s:s, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:I}",
                   "model", bench_kind_name(t->shape.kind), "context", (json_int_t)t->shape.context,
                   "dtype", dtype_name(t->dtype), "kernels", t->kernels, "layers",
                   (json_int_t)t->shape.layers, "parameters", (json_int_t)t->parameters,
                   "events_per_step", (json_int_t)(t->shape.context * t->shape.windows), "steps",
                   (json_int_t)t->steps, "step_seconds", t->best, "step_seconds_median", t->median,
                   "events_per_second", events(t) / t->best, "flops_per_event",
                   t->flops / events(t), "share_of_peak", share(bench, t), "arena_bytes",
                   (json_int_t)t->arena_bytes);
}

static json_t *to_json(const struct bench *bench) {
  json_t *products = json_array(), *train = json_array();
  int bad = !products || !train;
  for (size_t i = 0; i < bench->n_products && !bad; i++) {
    const struct bench_product *p = &bench->products[i];
    bad = json_array_append_new(products, json_pack("{s:s, s:s, s:I, s:I, s:I, s:f}", "kernels",
                                                    p->kernels->name, "dtype", dtype_name(p->dtype),
                                                    "m", (json_int_t)p->m, "n", (json_int_t)p->n,
                                                    "k", (json_int_t)p->k, "gflops", p->gflops));
  }
  for (size_t i = 0; i < bench->n_trainings && !bad; i++)
    bad = json_array_append_new(train, training_json(bench, &bench->trainings[i]));
  if (bad) {
    json_decref(products);
    json_decref(train);
    return NULL;
  }
  return json_pack("{s:b, s:s, s:i, s:f, s:f, s:f, s:o, s:o, s:o, s:o, s:I}", "quick", bench->quick,
                   "onednn", tt_dnn_version(), "threads", omp_get_max_threads(),
                   "load_average_begin", bench->load_begin, "load_average_end", bench->load_end,
                   "seconds", bench->seconds, "peak_bf16_gflops", peak_json(bench, TT_BF16),
                   "peak_f32_gflops", peak_json(bench, TT_F32), "products", products, "train",
                   train, "peak_rss_bytes", (json_int_t)peak_rss());
}

static enum tt_status write_json(const struct bench *bench, const char *path) {
  json_t *json = to_json(bench);
  char *text = json ? json_dumps(json, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) : NULL;
  json_decref(json);
  enum tt_status status = text ? tt_write_file(path, text, strlen(text))
                               : tt_fail(TT_NO_MEMORY, "out of memory for %s", path);
  free(text);
  return status;
}

int main(int argc, char **argv) {
  static const char usage[] = "Usage: tracetwin-bench [--quick] [--output FILE]\n"
                              "  --quick        tiny shapes: does it run at all?\n"
                              "  --output FILE  results as JSON (default build/bench.json)\n";
  static const struct option options[] = {{"quick", no_argument, NULL, 'q'},
                                          {"output", required_argument, NULL, 'o'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
  struct bench bench = {0};
  const char *output = "build/bench.json";
  for (int c; (c = getopt_long(argc, argv, "qo:h", options, NULL)) != -1;) {
    if (c == 'q') {
      bench.quick = true;
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
  enum tt_status status = measure(&bench);
  if (status == TT_OK) {
    print_table(&bench);
    status = write_json(&bench, output);
  }
  for (size_t i = tt_cause_count(); status != TT_OK && i-- > 0;)
    fprintf(stderr, "tracetwin-bench: %s\n", tt_cause(i));
  tt_dnn_clear();
  return tt_status_exit_code(status);
}
