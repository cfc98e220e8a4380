/* The TRTR arm of an earlier report: it doesn't depend on the twin, so that several twins of one
 * trace need it trained once. Taken only from a report of the same real data, events and seed. */
#include <string.h>

#include "dataset/json.h"
#include "jobs/evaluation.h"

static enum tt_status read_scores(const json_t *arm, struct tt_scores *ret) {
  uint64_t classes;
  enum tt_status status = tt_json_get_real(arm, "macro_f1", &ret->macro_f1);
  if (status == TT_OK)
    status = tt_json_get_real(arm, "weighted_f1", &ret->weighted_f1);
  if (status == TT_OK)
    status = tt_json_get_real(arm, "accuracy", &ret->accuracy);
  if (status == TT_OK)
    status = tt_json_get_real(arm, "top5", &ret->top5);
  if (status == TT_OK)
    status = tt_json_get_real(arm, "top10", &ret->top10);
  if (status == TT_OK)
    status = tt_json_get_u64(arm, "classes", &classes);
  if (status == TT_OK)
    status = tt_json_get_u64(arm, "test_events", &ret->samples);
  if (status == TT_OK)
    ret->classes = (size_t)classes;
  return status;
}

static enum tt_status read_arm(const json_t *utility, struct tt_report_arm *ret) {
  const json_t *arms, *arm;
  enum tt_status status = tt_json_get_array(utility, "arms", 64, &arms);
  if (status != TT_OK)
    return status;
  arm = json_array_get(arms, 0);
  const char *name = json_string_value(json_object_get(arm, "name"));
  if (!name || strcmp(name, ret->name) != 0 || json_is_true(json_object_get(arm, "equal_steps")))
    return tt_fail(TT_BAD_INPUT, "the first arm is not %s to convergence", ret->name);
  status = read_scores(arm, &ret->scores);
  if (status == TT_OK)
    status = tt_json_get_u64(arm, "real_events", &ret->real_events);
  if (status == TT_OK)
    status = tt_json_get_u64(arm, "steps", &ret->steps);
  if (status == TT_OK)
    status = tt_json_get_u64(arm, "best_step", &ret->best_step);
  if (status == TT_OK)
    status = tt_json_get_real(arm, "epochs", &ret->epochs);
  if (status == TT_OK)
    status = tt_json_get_real(arm, "seconds", &ret->seconds);
  if (status == TT_OK)
    status = tt_json_get_real(arm, "val_loss", &ret->val_loss);
  if (status == TT_OK)
    status = tt_json_get_u64(arm, "seed", &ret->seed);
  return status;
}

static enum tt_status read_baselines(const json_t *utility, struct tt_report_baseline *baselines,
                                     size_t n) {
  const json_t *rows;
  enum tt_status status = tt_json_get_array(utility, "baselines", n, &rows);
  if (status == TT_OK && json_array_size(rows) != n)
    status = tt_fail(TT_BAD_INPUT, "%zu baselines, not %zu", json_array_size(rows), n);
  for (size_t i = 0; i < n && status == TT_OK; i++) {
    const json_t *row = json_array_get(rows, i);
    status = tt_json_get_real(row, "macro_f1", &baselines[i].macro_f1);
    if (status == TT_OK)
      status = tt_json_get_real(row, "accuracy", &baselines[i].accuracy);
  }
  return status;
}

/* The distances of held-out real data depend on every event of train and test. */
static enum tt_status same_data(const json_t *report, const struct tt_report_distance *held_out) {
  const struct {
    const char *name;
    double value;
  } figures[] = {{"d_trans", held_out->d_trans}, {"d_trans_cpu", held_out->d_trans_cpu},
                 {"d_time", held_out->d_time},   {"d_cpu", held_out->d_cpu},
                 {"d_attr", held_out->d_attr},   {"events", (double)held_out->events}};
  const json_t *row = json_array_get(json_object_get(report, "distances"), 0);
  for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
    double value;
    enum tt_status status = tt_json_get_real(row, figures[i].name, &value);
    if (status != TT_OK)
      return status;
    double off = value - figures[i].value, most = 1e-8 * figures[i].value; /* 9 digits are stored */
    if (off > most || off < -most)
      return tt_fail(TT_BAD_INPUT, "its real data are others (%s of held-out data: %.9g, not %.9g)",
                     figures[i].name, value, figures[i].value);
  }
  return TT_OK;
}

enum tt_status tt_jobs_read_real_arm(const char *path, uint64_t seed, uint64_t events,
                                     const struct tt_report_distance *held_out,
                                     struct tt_report_arm *arm,
                                     struct tt_report_baseline *baselines, size_t n_baselines) {
  json_error_t error;
  json_t *report = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
  if (!report)
    return tt_fail(TT_BAD_INPUT, "%s: line %d: %s", path, error.line, error.text);
  const json_t *utility = json_object_get(report, "utility");
  enum tt_status status = read_arm(utility, arm);
  if (status == TT_OK)
    status = read_baselines(utility, baselines, n_baselines);
  if (status == TT_OK)
    status = same_data(report, held_out);
  if (status == TT_OK && (arm->seed != seed || arm->real_events != events))
    status = tt_fail(TT_BAD_INPUT, "its %s has %llu events and seed %llu, not %llu and %llu",
                     arm->name, (unsigned long long)arm->real_events, (unsigned long long)arm->seed,
                     (unsigned long long)events, (unsigned long long)seed);
  json_decref(report);
  return status == TT_OK ? TT_OK : tt_fail(status, "%s can't give the TRTR arm", path);
}
