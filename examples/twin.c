/* A kernel trace in, a CSV file of synthetic events out. Everything between stays in FOLDER.
 *
 * usage: twin TRACE FOLDER EVENTS */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <tracetwin/tracetwin.h>

static void on_signal(int number) {
  (void)number;
  tt_interrupt(); /* the call that is running returns TT_INTERRUPTED soon */
}

static void show(void *user, const struct tt_progress_report *progress) {
  (void)user;
  fprintf(stderr, "%s: %llu %s\n", progress->stage, (unsigned long long)progress->done,
          progress->unit);
}

struct paths {
  char dataset[4096], model[4096], constraints[4096], raw[4096], twin[4096], csv[4096];
};

static int make_paths(const char *folder, struct paths *ret) {
  char *const at[] = {ret->dataset, ret->model, ret->constraints, ret->raw, ret->twin, ret->csv};
  const char *const names[] = {"dataset", "model", "constraints.json", "raw", "twin", "twin.csv"};
  for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
    int n = snprintf(at[i], sizeof ret->dataset, "%s/%s", folder, names[i]);
    if (n < 0 || (size_t)n >= sizeof ret->dataset)
      return -1;
  }
  return 0;
}

static enum tt_status make_twin(const char *trace, const struct paths *paths, uint64_t events) {
  const struct tt_progress progress = {show, NULL};
  struct tt_dataset_info info;
  enum tt_status status = tt_job_import(
      &(struct tt_import_options){
          .inputs = &trace, .n_inputs = 1, .output = paths->dataset, .progress = progress},
      &info);
  if (status != TT_OK)
    return status;
  struct tt_train_summary model;
  status = tt_job_train(&(struct tt_train_options){.dataset = paths->dataset,
                                                   .output = paths->model,
                                                   .generator = "markov",
                                                   .seed = 1,
                                                   .progress = progress},
                        &model);
  if (status != TT_OK)
    return status;
  struct tt_generate_summary generated;
  status = tt_job_generate(&(struct tt_generate_options){.model = paths->model,
                                                         .output = paths->raw,
                                                         .events = events,
                                                         .seed = 1,
                                                         .progress = progress},
                           &generated);
  if (status != TT_OK)
    return status;
  /* The twin keeps the rules that the trace keeps. */
  struct tt_mine_result mined;
  status = tt_job_mine(
      &(struct tt_mine_options){.dataset = paths->dataset, .output = paths->constraints}, &mined);
  if (status != TT_OK)
    return status;
  struct tt_repair_summary repaired;
  status = tt_job_repair(&(struct tt_repair_options){.dataset = paths->raw,
                                                     .constraints = paths->constraints,
                                                     .output = paths->twin,
                                                     .seed = 1},
                         &repaired);
  if (status != TT_OK)
    return status;
  struct tt_export_result exported;
  status = tt_job_export(&(struct tt_export_options){.dataset = paths->twin,
                                                     .output = paths->csv,
                                                     .format = TT_EXPORT_CSV},
                         &exported);
  if (status == TT_OK)
    printf("%llu real events, %llu synthetic ones, %.2f %% of them repaired: %s\n",
           (unsigned long long)info.events, (unsigned long long)exported.events,
           100 * repaired.edit_rate, paths->csv);
  return status;
}

int main(int argc, char **argv) {
  struct paths paths;
  uint64_t events = argc == 4 ? strtoull(argv[3], NULL, 10) : 0;
  if (events == 0 || make_paths(argv[2], &paths) != 0) {
    fprintf(stderr, "usage: twin TRACE FOLDER EVENTS\n");
    return 2;
  }
  signal(SIGINT, on_signal);
  if (mkdir(argv[2], 0777) != 0) {
    perror(argv[2]);
    return 1;
  }
  enum tt_status status = make_twin(argv[1], &paths, events);
  if (status != TT_OK)
    for (size_t i = tt_cause_count(); i-- > 0;)
      fprintf(stderr, "twin: %s\n", tt_cause(i));
  return tt_status_exit_code(status);
}
