/* info: finds out what a path holds and tells it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/output.h"
#include "constraints/constraints.h"
#include "jobs/jobs.h"

static enum tt_status has(const char *folder, const char *file, bool *ret) {
  char *path = tt_format("%s/%s", folder, file);
  if (!path)
    return tt_fail(TT_NO_MEMORY, "out of memory");
  *ret = access(path, F_OK) == 0;
  tt_free(path);
  return TT_OK;
}

static enum tt_status dataset_info(const char *path, struct tt_path_info *ret) {
  struct tt_dataset *dataset = NULL;
  enum tt_status status = tt_dataset_open(path, &dataset);
  if (status == TT_OK)
    *ret = (struct tt_path_info){.kind = TT_KIND_DATASET, .dataset = tt_jobs_dataset_info(dataset)};
  tt_dataset_close(dataset);
  return status;
}

static enum tt_status model_info(const char *path, struct tt_path_info *ret) {
  struct tt_generator *generator = NULL;
  enum tt_status status = tt_generator_load(path, &generator);
  if (status != TT_OK)
    return status;
  *ret = (struct tt_path_info){.kind = TT_KIND_MODEL,
                               .parameters = generator->training.parameters,
                               .steps = generator->training.steps,
                               .seed = generator->seed,
                               .loss = generator->training.loss,
                               .val_loss = generator->training.val_loss};
  snprintf(ret->generator, sizeof ret->generator, "%s", generator->ops->name);
  for (; ret->n_workloads < generator->labels.n; ret->n_workloads++) {
    struct tt_workload_info *workload = &ret->workloads[ret->n_workloads];
    snprintf(workload->label, sizeof workload->label, "%s",
             generator->labels.names[ret->n_workloads]);
    workload->events = generator->label_events[ret->n_workloads];
  }
  tt_generator_free(generator);
  return TT_OK;
}

static enum tt_status constraints_info(const char *path, struct tt_path_info *ret) {
  struct tt_constraints *c = NULL;
  enum tt_status status = tt_constraints_load(path, &c);
  if (status != TT_OK)
    return status;
  *ret = (struct tt_path_info){.kind = TT_KIND_CONSTRAINTS,
                               .transitions = c->next.start[c->next.rows],
                               .event_types = c->events.n,
                               .events = c->mined};
  tt_constraints_free(c);
  return TT_OK;
}

enum tt_status tt_job_info(const char *path, struct tt_path_info *ret) {
  struct stat file;
  bool dataset = false, model = false;
  if (stat(path, &file) != 0)
    return tt_fail(TT_BAD_INPUT, "%s: %s", path, strerror(errno));
  if (S_ISREG(file.st_mode))
    return constraints_info(path, ret);
  enum tt_status status = has(path, "dataset.json", &dataset);
  if (status == TT_OK)
    status = has(path, "model.json", &model);
  if (status != TT_OK)
    return status;
  if (dataset)
    return dataset_info(path, ret);
  if (model)
    return model_info(path, ret);
  return tt_fail(TT_BAD_INPUT, "%s: neither a dataset (dataset.json) nor a model (model.json)",
                 path);
}
