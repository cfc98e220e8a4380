/* report.json. The text summary is in text.c. */
#include "report/report.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/mem.h"
#include "base/output.h"
#include "report/derived.h"

uint64_t tt_report_peak_rss(void) {
  uint64_t peak = 0;
  const int who[] = {RUSAGE_SELF, RUSAGE_CHILDREN};
  for (size_t i = 0; i < 2; i++) {
    struct rusage usage;
    if (getrusage(who[i], &usage) == 0 && (uint64_t)usage.ru_maxrss * 1024 > peak)
      peak = (uint64_t)usage.ru_maxrss * 1024; /* Linux: KiB */
  }
  return peak;
}

const struct tt_report_arm *tt_report_find_arm(const struct tt_report *report, const char *name,
                                               bool equal_steps) {
  for (size_t i = 0; i < report->n_arms; i++)
    if (report->arms[i].equal_steps == equal_steps && strcmp(report->arms[i].name, name) == 0)
      return &report->arms[i];
  return NULL;
}

struct tt_report_utility tt_report_utility(const struct tt_report *report, bool equal_steps) {
  const struct tt_report_arm *real = tt_report_find_arm(report, "TRTR", equal_steps);
  const struct tt_report_arm *synthetic = tt_report_find_arm(report, "TSTR", equal_steps);
  const struct tt_report_arm *both = tt_report_find_arm(report, "COMBINED", equal_steps);
  struct tt_report_utility ret = {.delta_f1 = NAN, .tstr_share = NAN};
  if (real && both)
    ret.delta_f1 = both->scores.macro_f1 - real->scores.macro_f1;
  if (real && synthetic && real->scores.macro_f1 > 0)
    ret.tstr_share = synthetic->scores.macro_f1 / real->scores.macro_f1;
  return ret;
}

/* A builder that remembers the first failure, so that only the end is checked. */
struct json_builder {
  bool failed;
};

static void put(struct json_builder *b, json_t *object, const char *key, json_t *value) {
  if (json_object_set_new(object, key, value) != 0) /* value NULL fails too */
    b->failed = true;
}

/* Text that need not be UTF-8 (paths): what is not ASCII becomes '?' when the whole is not UTF-8.
 */
static json_t *text_json(const char *text) {
  json_t *value = json_string(text);
  if (value)
    return value;
  char *copy = tt_strdup(text);
  for (char *c = copy; c && *c; c++)
    if ((unsigned char)*c >= 0x80)
      *c = '?';
  value = copy ? json_string(copy) : NULL;
  tt_free(copy);
  return value;
}

static void put_text(struct json_builder *b, json_t *object, const char *key, const char *value) {
  if (value)
    put(b, object, key, text_json(value));
}

static void put_count(struct json_builder *b, json_t *object, const char *key, uint64_t value) {
  put(b, object, key, json_integer((json_int_t)value));
}

static void put_number(struct json_builder *b, json_t *object, const char *key, double value) {
  put(b, object, key, isfinite(value) ? json_real(value) : json_null());
}

static void append(struct json_builder *b, json_t *array, json_t *value) {
  if (json_array_append_new(array, value) != 0)
    b->failed = true;
}

static json_t *object(struct json_builder *b) {
  json_t *value = json_object();
  if (!value)
    b->failed = true;
  return value;
}

static json_t *array(struct json_builder *b) {
  json_t *value = json_array();
  if (!value)
    b->failed = true;
  return value;
}

static json_t *trace_json(struct json_builder *b, const struct tt_report_trace *trace) {
  json_t *o = object(b), *paths = array(b);
  for (size_t i = 0; i < trace->n_paths; i++)
    append(b, paths, text_json(trace->paths[i]));
  put(b, o, "paths", paths);
  put_text(b, o, "format", trace->format);
  put_count(b, o, "events", trace->events);
  put_count(b, o, "event_types", trace->event_types);
  put_count(b, o, "comms", trace->comms);
  put_count(b, o, "tids", trace->tids);
  put_count(b, o, "cpus", trace->cpus);
  put_count(b, o, "lost_events", trace->lost_events);
  put(b, o, "duration_ns", json_integer((json_int_t)trace->duration_ns));
  put_count(b, o, "train", trace->train_events);
  put_count(b, o, "val", trace->val_events);
  put_count(b, o, "test", trace->test_events);
  put_count(b, o, "dropped_at_cuts", trace->gap_events);
  return o;
}

static json_t *generator_json(struct json_builder *b, const struct tt_report_generator *generator) {
  json_t *o = object(b);
  put_text(b, o, "name", generator->name);
  put_text(b, o, "stream", generator->stream);
  put_text(b, o, "channels", generator->channels);
  put_count(b, o, "context", generator->context);
  put_count(b, o, "parameters", generator->parameters);
  put_count(b, o, "steps", generator->steps);
  put_number(b, o, "train_events_per_second", generator->train_events_per_second);
  put_number(b, o, "generate_events_per_second", generator->generate_events_per_second);
  put_number(b, o, "loss", generator->loss);
  put_number(b, o, "val_loss", generator->val_loss);
  return o;
}

static json_t *distances_json(struct json_builder *b, const struct tt_report *report) {
  json_t *rows = array(b);
  for (size_t i = 0; i < report->n_distances; i++) {
    const struct tt_report_distance *d = &report->distances[i];
    json_t *o = object(b);
    put_text(b, o, "name", d->name);
    put_number(b, o, "d_trans", d->d_trans);
    put_number(b, o, "d_trans_cpu", d->d_trans_cpu);
    put_number(b, o, "d_time", d->d_time);
    put_number(b, o, "d_cpu", d->d_cpu);
    put_number(b, o, "d_attr", d->d_attr);
    put_count(b, o, "events", d->events);
    append(b, rows, o);
  }
  return rows;
}

static json_t *repair_json(struct json_builder *b, const struct tt_report_repair *repair) {
  json_t *o = object(b);
  put_count(b, o, "events", repair->events);
  put_count(b, o, "edited_events", repair->edited_events);
  put_number(b, o, "edit_rate",
             repair->events ? (double)repair->edited_events / (double)repair->events : NAN);
  put_count(b, o, "edits_event", repair->edits_event);
  put_count(b, o, "edits_time", repair->edits_time);
  put_count(b, o, "edits_cpu", repair->edits_cpu);
  put_count(b, o, "edits_attr", repair->edits_attr);
  put_count(b, o, "edits_order", repair->edits_order);
  return o;
}

static json_t *numbers_json(struct json_builder *b, const double *values, size_t n) {
  json_t *numbers = array(b);
  for (size_t i = 0; i < n; i++)
    append(b, numbers, isfinite(values[i]) ? json_real(values[i]) : json_null());
  return numbers;
}

static json_t *fidelity_json(struct json_builder *b, const struct tt_report *report) {
  json_t *rows = array(b);
  for (size_t i = 0; i < report->n_fidelity; i++) {
    const struct tt_fidelity *f = &report->fidelity[i].figures;
    json_t *o = object(b);
    put_text(b, o, "name", report->fidelity[i].name);
    put_count(b, o, "reference_events", f->reference_events);
    put_count(b, o, "candidate_events", f->candidate_events);
    put(b, o, "ngram_jsd", numbers_json(b, f->ngram_jsd, TT_NGRAM_MAX));
    put(b, o, "ngram_cpu_jsd", numbers_json(b, f->ngram_cpu_jsd, TT_NGRAM_MAX));
    for (size_t k = 0; k < tt_fidelity_rows_n; k++)
      put_number(b, o, tt_fidelity_rows[k].key, tt_fidelity_row(f, k));
    put_number(b, o, "pairing_reference", f->pairing_reference);
    append(b, rows, o);
  }
  return rows;
}

static json_t *arm_json(struct json_builder *b, const struct tt_report_arm *arm) {
  json_t *o = object(b);
  put_text(b, o, "name", arm->name);
  put_text(b, o, "training", arm->training);
  put(b, o, "equal_steps", json_boolean(arm->equal_steps));
  put_count(b, o, "real_events", arm->real_events);
  put_count(b, o, "synthetic_events", arm->synthetic_events);
  put_number(b, o, "macro_f1", arm->scores.macro_f1);
  put_number(b, o, "weighted_f1", arm->scores.weighted_f1);
  put_number(b, o, "accuracy", arm->scores.accuracy);
  put_number(b, o, "top5", arm->scores.top5);
  put_number(b, o, "top10", arm->scores.top10);
  put_count(b, o, "classes", arm->scores.classes);
  put_count(b, o, "test_events", arm->scores.samples);
  put_count(b, o, "steps", arm->steps);
  put_count(b, o, "best_step", arm->best_step);
  put_number(b, o, "epochs", arm->epochs);
  put_number(b, o, "val_loss", arm->val_loss);
  put_number(b, o, "seconds", arm->seconds);
  put_count(b, o, "seed", arm->seed);
  return o;
}

static json_t *utility_json(struct json_builder *b, const struct tt_report *report) {
  json_t *o = object(b), *arms = array(b), *baselines = array(b);
  for (size_t i = 0; i < report->n_arms; i++)
    append(b, arms, arm_json(b, &report->arms[i]));
  put(b, o, "arms", arms);
  struct tt_report_utility converged = tt_report_utility(report, false);
  struct tt_report_utility equal = tt_report_utility(report, true);
  put_number(b, o, "delta_f1", converged.delta_f1);
  put_number(b, o, "tstr_share", converged.tstr_share);
  put_number(b, o, "delta_f1_equal_steps", equal.delta_f1);
  put_number(b, o, "tstr_share_equal_steps", equal.tstr_share);
  for (size_t i = 0; i < report->n_baselines; i++) {
    json_t *row = object(b);
    put_text(b, row, "name", report->baselines[i].name);
    put_number(b, row, "macro_f1", report->baselines[i].macro_f1);
    put_number(b, row, "accuracy", report->baselines[i].accuracy);
    append(b, baselines, row);
  }
  if (report->n_baselines)
    put(b, o, "baselines", baselines);
  else
    json_decref(baselines);
  return o;
}

static json_t *times_json(struct json_builder *b, const struct tt_report *report) {
  json_t *rows = array(b);
  for (size_t i = 0; i < report->n_times; i++) {
    const struct tt_report_time *t = &report->times[i];
    json_t *o = object(b);
    put_text(b, o, "stage", t->stage);
    put_number(b, o, "seconds", t->seconds);
    if (t->events) {
      put_count(b, o, "events", t->events);
      put_number(b, o, "events_per_second", t->seconds > 0 ? (double)t->events / t->seconds : NAN);
    }
    append(b, rows, o);
  }
  return rows;
}

static json_t *build(const struct tt_report *report) {
  struct json_builder b = {false};
  json_t *o = object(&b), *versions = object(&b);
  put_text(&b, versions, "tracetwin", TT_VERSION);
  put_text(&b, versions, "compiler", __VERSION__);
  put_text(&b, versions, "jansson", JANSSON_VERSION);
  put(&b, o, "versions", versions);
  put_text(&b, o, "command", report->command);
  put_count(&b, o, "seed", report->seed);
  put_count(&b, o, "threads", report->threads > 0 ? (uint64_t)report->threads : 0);
  if (report->trace.present)
    put(&b, o, "trace", trace_json(&b, &report->trace));
  if (report->generator.present)
    put(&b, o, "generator", generator_json(&b, &report->generator));
  if (report->n_distances)
    put(&b, o, "distances", distances_json(&b, report));
  if (report->repair.present)
    put(&b, o, "repair", repair_json(&b, &report->repair));
  if (report->n_fidelity)
    put(&b, o, "fidelity", fidelity_json(&b, report));
  if (report->n_arms)
    put(&b, o, "utility", utility_json(&b, report));
  if (report->n_times)
    put(&b, o, "times", times_json(&b, report));
  put_count(&b, o, "peak_rss_bytes", tt_report_peak_rss());
  if (report->n_files) {
    json_t *files = object(&b);
    for (size_t i = 0; i < report->n_files; i++)
      put_text(&b, files, report->files[i].what, report->files[i].path);
    put(&b, o, "files", files);
  }
  if (report->n_notes) {
    json_t *notes = array(&b);
    for (size_t i = 0; i < report->n_notes; i++)
      append(&b, notes, text_json(report->notes[i]));
    put(&b, o, "notes", notes);
  }
  if (b.failed) {
    json_decref(o);
    return NULL;
  }
  return o;
}

enum tt_status tt_report_json(const struct tt_report *report, char **ret_text) {
  json_t *json = build(report);
  char *dumped = json ? json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;
  char *text = dumped ? tt_format("%s\n", dumped) : NULL;
  free(dumped);
  json_decref(json);
  if (!text)
    return tt_fail(TT_NO_MEMORY, "the report as JSON");
  *ret_text = text;
  return TT_OK;
}

enum tt_status tt_report_write_json(const struct tt_report *report, const char *path) {
  char *text = NULL;
  enum tt_status status = tt_report_json(report, &text);
  if (status != TT_OK)
    return status;
  status = tt_write_file(path, text, strlen(text));
  tt_free(text);
  return status;
}
