/* constraints, check, repair. */
#include "constraints/constraints.h"

#include "jobs/evaluation.h"
#include "jobs/jobs.h"

struct tt_distance_summary tt_jobs_distances(const struct tt_distances *d) {
  return (struct tt_distance_summary){.d_trans = d->d_trans,
                                      .d_trans_cpu = d->d_trans_cpu,
                                      .d_time = d->d_time,
                                      .d_cpu = d->d_cpu,
                                      .d_attr = d->d_attr,
                                      .events = d->events};
}

enum tt_status tt_job_mine(const struct tt_mine_options *options, struct tt_mine_result *ret) {
  struct tt_dataset *dataset = NULL;
  struct tt_constraints *c = NULL;
  enum tt_status status = tt_dataset_open(options->dataset, &dataset);
  if (status == TT_OK)
    status = tt_constraints_mine(dataset, &c);
  if (status == TT_OK)
    status = tt_constraints_save(c, options->output, options->overwrite);
  if (status == TT_OK)
    *ret = (struct tt_mine_result){
        .transitions = c->next.start[c->next.rows], .event_types = c->events.n, .events = c->mined};
  tt_constraints_free(c);
  tt_dataset_close(dataset);
  return status;
}

static enum tt_status open_both(const char *dataset_path, const char *constraints_path,
                                struct tt_dataset **ret_dataset, struct tt_constraints **ret_c) {
  enum tt_status status = tt_constraints_load(constraints_path, ret_c);
  if (status == TT_OK)
    status = tt_dataset_open(dataset_path, ret_dataset);
  return status;
}

enum tt_status tt_job_check(const char *dataset_path, const char *constraints_path,
                            struct tt_distance_summary *ret) {
  struct tt_dataset *dataset = NULL;
  struct tt_constraints *c = NULL;
  struct tt_distances distances;
  enum tt_status status = open_both(dataset_path, constraints_path, &dataset, &c);
  if (status == TT_OK)
    status = tt_constraints_check(c, dataset, &distances);
  if (status == TT_OK) {
    *ret = tt_jobs_distances(&distances);
    if (!tt_distances_zero(&distances))
      status = TT_NEGATIVE;
  }
  tt_constraints_free(c);
  tt_dataset_close(dataset);
  return status;
}

enum tt_status tt_job_repair(const struct tt_repair_options *options,
                             struct tt_repair_summary *ret) {
  struct tt_dataset *dataset = NULL;
  struct tt_constraints *c = NULL;
  struct tt_repair_result r;
  enum tt_status status = open_both(options->dataset, options->constraints, &dataset, &c);
  if (status == TT_OK)
    status =
        tt_constraints_repair(c, dataset, options->seed, options->output, options->overwrite, &r);
  if (status == TT_OK)
    *ret = (struct tt_repair_summary){.before = tt_jobs_distances(&r.before),
                                      .after = tt_jobs_distances(&r.after),
                                      .events = r.after.events,
                                      .edited_events = r.edits.events,
                                      .edit_rate = r.edit_rate,
                                      .retimed_events = r.edits.exchanged,
                                      .event_edits = r.edits.substituted,
                                      .cpu_edits = r.edits.cpu,
                                      .dt_edits = r.edits.time,
                                      .tid_edits = r.edits.tid,
                                      .comm_edits = r.edits.comm,
                                      .ret_edits = r.edits.ret};
  tt_constraints_free(c);
  tt_dataset_close(dataset);
  return status;
}
