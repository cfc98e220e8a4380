#include "results.h"

#include <jansson.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/output.h"
#include "compute/dnn/matmul.h"

static const char *dtype_name(enum tt_dtype dtype) {
  return dtype == TT_BF16 ? "bf16" : "f32";
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

/* The times that a kernel's products and its traffic would take at the ceilings. */
static bool by_products(const struct bench *bench, const struct bench_kernel *k) {
  return k->flops / peak(bench, k->dtype) / 1e9 > k->bytes / k->bandwidth;
}

static double kernel_share(const struct bench *bench, const struct bench_kernel *k) {
  double bound =
      by_products(bench, k) ? k->flops / peak(bench, k->dtype) / 1e9 : k->bytes / k->bandwidth;
  return bound / k->seconds;
}

static double events(const struct bench_training *training) {
  return (double)(training->shape.context * training->shape.windows);
}

static size_t peak_rss(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (size_t)usage.ru_maxrss * 1024;
}

static void print_kernels(const struct bench *bench) {
  printf("\n%-18s %-24s %-5s %9s %9s %9s %10s %8s\n", "kernel", "shape", "dtype", "ms", "GFLOP/s",
         "GB/s", "bound by", "of bound");
  for (size_t i = 0; i < bench->n_kernels; i++) {
    const struct bench_kernel *k = &bench->kernels[i];
    printf("%-18s %-24s %-5s %9.3f %9.1f %9.1f %10s %7.1f%%\n", k->name, k->shape,
           dtype_name(k->dtype), 1e3 * k->seconds, 1e-9 * k->flops / k->seconds,
           1e-9 * k->bytes / k->seconds, by_products(bench, k) ? "products" : "memory",
           100 * kernel_share(bench, k));
  }
}

/* Where the fastest step's time went. */
static void print_profile(const struct bench_training *t) {
  double rest = t->best - t->optimizer;
  printf("\n%s, context %zu:", bench_kind_name(t->shape.kind), t->shape.context);
  for (int op = 0; op < TT_OP_COUNT; op++) {
    const struct tt_op_time *time = &t->profile[op];
    rest -= time->forward + time->backward;
    if (time->forward + time->backward >= 0.005 * t->best)
      printf(" %s %.1f+%.1f%%,", tt_op_name((enum tt_op)op), 100 * time->forward / t->best,
             100 * time->backward / t->best);
  }
  printf(" AdamW %.1f%%, rest %.1f%%\n", 100 * t->optimizer / t->best, 100 * rest / t->best);
}

static void print_data_paths(const struct bench *bench) {
  for (size_t i = 0; i < bench->n_data_paths; i++) {
    const struct bench_data_path *d = &bench->data_paths[i];
    printf("data path of the %s: %.2f%% of the time waiting for batches, %.2f%% drawing noise\n",
           bench_kind_name(d->shape.kind), 100 * d->waiting / d->seconds,
           100 * d->noise / d->seconds);
  }
}

void bench_print(const struct bench *bench) {
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
  print_kernels(bench);
  printf("\nwhere a step goes (forward+backward):");
  for (size_t i = 0; i < bench->n_trainings; i++)
    print_profile(&bench->trainings[i]);
  print_data_paths(bench);
  printf("\nmemory bandwidth (triad) %.1f GB/s\n", 1e-9 * bench->bandwidth);
  printf("peak RSS %.0f MB, %.0f s in all\n", 1e-6 * (double)peak_rss(), bench->seconds);
}

/* New references, NULL when memory is short; json_pack and json_array_append_new pass that on. */
static json_t *peak_json(const struct bench *bench, enum tt_dtype dtype) {
  double value = peak(bench, dtype);
  return value > 0 ? json_real(value) : json_null();
}

static json_t *profile_json(const struct bench_training *t) {
  json_t *profile = json_object();
  int bad = 0;
  for (int op = 0; op < TT_OP_COUNT; op++) {
    const struct tt_op_time *time = &t->profile[op];
    if (time->forward + time->backward > 0)
      bad |= json_object_set_new(profile, tt_op_name((enum tt_op)op),
                                 json_pack("[f, f]", time->forward, time->backward));
  }
  bad |= json_object_set_new(profile, "AdamW", json_pack("[f, f]", t->optimizer, 0.0));
  if (bad) {
    json_decref(profile);
    return NULL;
  }
  return profile;
}

static json_t *training_json(const struct bench *bench, const struct bench_training *t) {
  return json_pack(
      "{s:s, s:I, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:I, s:o}", "model",
      bench_kind_name(t->shape.kind), "context", (json_int_t)t->shape.context, "dtype",
      dtype_name(t->dtype), "kernels", t->kernels, "layers", (json_int_t)t->shape.layers, "heads",
      (json_int_t)t->shape.heads, "parameters", (json_int_t)t->parameters, "events_per_step",
      (json_int_t)(t->shape.context * t->shape.windows), "steps", (json_int_t)t->steps,
      "step_seconds", t->best, "step_seconds_median", t->median, "events_per_second",
      events(t) / t->best, "flops_per_event", t->flops / events(t), "share_of_peak",
      share(bench, t), "arena_bytes", (json_int_t)t->arena_bytes, "profile_seconds",
      profile_json(t));
}

static json_t *product_json(const struct bench_product *p) {
  return json_pack("{s:s, s:s, s:I, s:I, s:I, s:f}", "kernels", p->kernels->name, "dtype",
                   dtype_name(p->dtype), "m", (json_int_t)p->m, "n", (json_int_t)p->n, "k",
                   (json_int_t)p->k, "gflops", p->gflops);
}

static json_t *kernel_json(const struct bench *bench, const struct bench_kernel *k) {
  return json_pack("{s:s, s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:s, s:f}", "kernel", k->name, "shape",
                   k->shape, "dtype", dtype_name(k->dtype), "error", k->error, "seconds",
                   k->seconds, "flops", k->flops, "bytes", k->bytes, "triad_bytes_per_second",
                   k->bandwidth, "bound_by", by_products(bench, k) ? "products" : "memory",
                   "share_of_bound", kernel_share(bench, k));
}

static json_t *data_path_json(const struct bench_data_path *d) {
  return json_pack("{s:s, s:I, s:I, s:f, s:f, s:f}", "model", bench_kind_name(d->shape.kind),
                   "context", (json_int_t)d->shape.context, "steps", (json_int_t)d->steps,
                   "seconds", d->seconds, "waiting_share", d->waiting / d->seconds, "noise_share",
                   d->noise / d->seconds);
}

static json_t *to_json(const struct bench *bench) {
  json_t *products = json_array(), *kernels = json_array(), *train = json_array(),
         *data_paths = json_array();
  int bad = 0;
  for (size_t i = 0; i < bench->n_products; i++)
    bad |= json_array_append_new(products, product_json(&bench->products[i]));
  for (size_t i = 0; i < bench->n_kernels; i++)
    bad |= json_array_append_new(kernels, kernel_json(bench, &bench->kernels[i]));
  for (size_t i = 0; i < bench->n_trainings; i++)
    bad |= json_array_append_new(train, training_json(bench, &bench->trainings[i]));
  for (size_t i = 0; i < bench->n_data_paths; i++)
    bad |= json_array_append_new(data_paths, data_path_json(&bench->data_paths[i]));
  /* takes the arrays over, also where it fails */
  json_t *json =
      json_pack("{s:b, s:s, s:i, s:f, s:f, s:f, s:o, s:o, s:f, s:o, s:o, s:o, s:o, s:I}", "quick",
                bench->quick, "onednn", tt_dnn_version(), "threads", omp_get_max_threads(),
                "load_average_begin", bench->load_begin, "load_average_end", bench->load_end,
                "seconds", bench->seconds, "peak_bf16_gflops", peak_json(bench, TT_BF16),
                "peak_f32_gflops", peak_json(bench, TT_F32), "triad_bytes_per_second",
                bench->bandwidth, "products", products, "kernels", kernels, "train", train,
                "data_path", data_paths, "peak_rss_bytes", (json_int_t)peak_rss());
  if (bad) {
    json_decref(json);
    return NULL;
  }
  return json;
}

enum tt_status bench_write_json(const struct bench *bench, const char *path) {
  json_t *json = to_json(bench);
  char *text = json ? json_dumps(json, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) : NULL;
  json_decref(json);
  enum tt_status status = text ? tt_write_file(path, text, strlen(text))
                               : tt_fail(TT_NO_MEMORY, "out of memory for %s", path);
  free(text);
  return status;
}
