/* The summary a person reads. */
#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "report/derived.h"

const struct tt_fidelity_row tt_fidelity_rows[] = {
    {"dt_jsd", "dt given event", offsetof(struct tt_fidelity, dt_jsd)},
    {"dt_cpu_jsd", "dt given event, per CPU", offsetof(struct tt_fidelity, dt_cpu_jsd)},
    {"cpu_jsd", "cpu given event", offsetof(struct tt_fidelity, cpu_jsd)},
    {"tid_jsd", "tid given event", offsetof(struct tt_fidelity, tid_jsd)},
    {"comm_jsd", "comm given event", offsetof(struct tt_fidelity, comm_jsd)},
    {"ret_jsd", "ret given event", offsetof(struct tt_fidelity, ret_jsd)},
    {"latency_jsd", "system call latency", offsetof(struct tt_fidelity, latency_jsd)},
    {"pairing_candidate", "system calls paired", offsetof(struct tt_fidelity, pairing_candidate)},
    {"memorised", "16-grams found in train", offsetof(struct tt_fidelity, memorised)},
    {"memorised_cpu", "16-grams found, per CPU", offsetof(struct tt_fidelity, memorised_cpu)},
    {"discriminator_auc_events", "discriminator AUC, events",
     offsetof(struct tt_fidelity, discriminator_auc_events)},
    {"discriminator_auc", "discriminator AUC, all channels",
     offsetof(struct tt_fidelity, discriminator_auc)},
};
const size_t tt_fidelity_rows_n = sizeof tt_fidelity_rows / sizeof *tt_fidelity_rows;

double tt_fidelity_row(const struct tt_fidelity *fidelity, size_t row) {
  double value;
  memcpy(&value, (const char *)fidelity + tt_fidelity_rows[row].offset, sizeof value);
  return value;
}

#define LABEL 34 /* width of the first column */
#define CELL 15

static void cell_fraction(FILE *file, double value) {
  if (isnan(value))
    fprintf(file, "%*s", CELL, "-");
  else
    fprintf(file, "%*.4f", CELL, value);
}

static void cell_percent(FILE *file, double value) {
  if (isnan(value))
    fprintf(file, "%10s", "-");
  else
    fprintf(file, "%8.3f %%", 100 * value);
}

/* 1234567 -> 1,234,567 */
static void count(FILE *file, uint64_t value) {
  char digits[32], out[48];
  int n = snprintf(digits, sizeof digits, "%" PRIu64, value), k = 0;
  for (int i = 0; i < n; i++) {
    if (i > 0 && (n - i) % 3 == 0)
      out[k++] = ',';
    out[k++] = digits[i];
  }
  out[k] = '\0';
  fputs(out, file);
}

static void counted(FILE *file, const char *before, uint64_t value, const char *after) {
  fputs(before, file);
  count(file, value);
  fputs(after, file);
}

static void write_trace(FILE *file, const struct tt_report_trace *trace) {
  for (size_t i = 0; i < trace->n_paths; i++)
    fprintf(file, "%s%s\n", i ? "           " : "trace      ", trace->paths[i]);
  counted(file, "           ", trace->events, " events of ");
  counted(file, "", trace->event_types, " types, ");
  counted(file, "", trace->tids, " threads, ");
  counted(file, "", trace->comms, " command names, ");
  counted(file, "", trace->cpus, " CPUs");
  fprintf(file, ", %.3f s, ", (double)trace->duration_ns / 1e9);
  counted(file, "", trace->lost_events, " events lost\n");
  if (trace->train_events) {
    counted(file, "           train ", trace->train_events, ", ");
    counted(file, "validation ", trace->val_events, ", ");
    counted(file, "test ", trace->test_events, "");
    counted(file, " (", trace->gap_events, " dropped at the cuts)\n");
  }
}

static void write_generator(FILE *file, const struct tt_report_generator *generator) {
  fprintf(file, "generator  %s", generator->name);
  if (generator->parameters)
    counted(file, ", ", generator->parameters, " parameters");
  if (generator->steps)
    counted(file, ", ", generator->steps, " steps");
  if (generator->context)
    counted(file, ", context ", generator->context, "");
  if (generator->stream)
    fprintf(file, ", %s stream", generator->stream);
  if (!isnan(generator->loss))
    fprintf(file, ", loss %.4f", generator->loss);
  if (!isnan(generator->val_loss))
    fprintf(file, ", validation %.4f", generator->val_loss);
  fputc('\n', file);
}

static void write_distances(FILE *file, const struct tt_report *report) {
  fprintf(file, "\n%-*s%10s%10s%10s%10s%10s\n", LABEL, "Constraints violated", "trans", "per CPU",
          "time", "cpu", "attr");
  for (size_t i = 0; i < report->n_distances; i++) {
    const struct tt_report_distance *d = &report->distances[i];
    fprintf(file, "  %-*s", LABEL - 2, d->name);
    const double values[] = {d->d_trans, d->d_trans_cpu, d->d_time, d->d_cpu, d->d_attr};
    for (size_t k = 0; k < sizeof values / sizeof *values; k++)
      cell_percent(file, values[k]);
    fputc('\n', file);
  }
}

static void write_repair(FILE *file, const struct tt_report_repair *repair) {
  counted(file, "  repair edited ", repair->edited_events, " of ");
  counted(file, "", repair->events, " events");
  if (repair->events)
    fprintf(file, " (%.2f %%)", 100 * (double)repair->edited_events / (double)repair->events);
  counted(file, ": order ", repair->edits_order, "");
  counted(file, ", event ", repair->edits_event, "");
  counted(file, ", time ", repair->edits_time, "");
  counted(file, ", cpu ", repair->edits_cpu, "");
  counted(file, ", attributes ", repair->edits_attr, "\n");
}

static void write_fidelity(FILE *file, const struct tt_report *report) {
  fprintf(file, "\n%-*s", LABEL, "Likeness to train (JSD: 0 = equal)");
  for (size_t i = 0; i < report->n_fidelity; i++)
    fprintf(file, "%*s", CELL, report->fidelity[i].name);
  fputc('\n', file);
  for (size_t n = 0; n < 2 * TT_NGRAM_MAX; n++) {
    bool per_cpu = n >= TT_NGRAM_MAX;
    char label[48];
    snprintf(label, sizeof label, "%zu-grams%s", n % TT_NGRAM_MAX + 1, per_cpu ? ", per CPU" : "");
    fprintf(file, "  %-*s", LABEL - 2, label);
    for (size_t i = 0; i < report->n_fidelity; i++) {
      const struct tt_fidelity *f = &report->fidelity[i].figures;
      cell_fraction(file, (per_cpu ? f->ngram_cpu_jsd : f->ngram_jsd)[n % TT_NGRAM_MAX]);
    }
    fputc('\n', file);
  }
  for (size_t row = 0; row < tt_fidelity_rows_n; row++) {
    fprintf(file, "  %-*s", LABEL - 2, tt_fidelity_rows[row].label);
    for (size_t i = 0; i < report->n_fidelity; i++)
      cell_fraction(file, tt_fidelity_row(&report->fidelity[i].figures, row));
    fputc('\n', file);
  }
}

static void write_arms(FILE *file, const struct tt_report *report, bool equal_steps) {
  bool any = false;
  for (size_t i = 0; i < report->n_arms; i++) {
    const struct tt_report_arm *arm = &report->arms[i];
    if (arm->equal_steps != equal_steps)
      continue;
    if (!any)
      fprintf(file, "\n%-*s%9s%9s%9s%8s%8s%8s%8s%8s\n", LABEL,
              equal_steps ? "Next event, equal steps" : "Next event, tested on unseen real data",
              "macro-F1", "weighted", "accuracy", "top-5", "top-10", "steps", "epochs", "time");
    any = true;
    char label[64];
    snprintf(label, sizeof label, "%s (%s)", arm->name, arm->training ? arm->training : "");
    fprintf(file, "  %-*s%9.4f%9.4f%9.4f%8.4f%8.4f%8" PRIu64 "%8.1f%6.0f s\n", LABEL - 2, label,
            arm->scores.macro_f1, arm->scores.weighted_f1, arm->scores.accuracy, arm->scores.top5,
            arm->scores.top10, arm->steps, arm->epochs, arm->seconds);
  }
  struct tt_report_utility utility = tt_report_utility(report, equal_steps);
  if (!isnan(utility.delta_f1) || !isnan(utility.tstr_share)) {
    fputs("  ", file);
    if (!isnan(utility.delta_f1))
      fprintf(file, "COMBINED - TRTR = %+.4f", utility.delta_f1);
    if (!isnan(utility.tstr_share))
      fprintf(file, "%sTSTR / TRTR = %.3f", isnan(utility.delta_f1) ? "" : ", ",
              utility.tstr_share);
    fputc('\n', file);
  }
}

static void write_baselines(FILE *file, const struct tt_report *report) {
  fprintf(file, "  %-*s%9s%9s%9s\n", LABEL - 2, "by counting alone:", "macro-F1", "", "accuracy");
  for (size_t i = 0; i < report->n_baselines; i++)
    fprintf(file, "    %-*s%9.4f%9s%9.4f\n", LABEL - 4, report->baselines[i].name,
            report->baselines[i].macro_f1, "", report->baselines[i].accuracy);
}

static void write_times(FILE *file, const struct tt_report *report) {
  fputs("\nTimes\n", file);
  for (size_t i = 0; i < report->n_times; i++) {
    const struct tt_report_time *t = &report->times[i];
    fprintf(file, "  %-*s%9.1f s", LABEL - 2, t->stage, t->seconds);
    if (t->events && t->seconds > 0)
      counted(file, "  ", (uint64_t)((double)t->events / t->seconds + 0.5), " events/s");
    fputc('\n', file);
  }
  fprintf(file, "  %-*s%7.0f MiB\n", LABEL - 2, "peak memory",
          (double)tt_report_peak_rss() / 1048576.0);
}

enum tt_status tt_report_write_text(const struct tt_report *report, FILE *file) {
  fprintf(file, "tracetwin %s, seed %" PRIu64 ", %d thread%s\n", TT_VERSION, report->seed,
          report->threads, report->threads == 1 ? "" : "s");
  if (report->trace.present)
    write_trace(file, &report->trace);
  if (report->generator.present)
    write_generator(file, &report->generator);
  if (report->n_distances)
    write_distances(file, report);
  if (report->repair.present)
    write_repair(file, &report->repair);
  if (report->n_fidelity)
    write_fidelity(file, report);
  write_arms(file, report, false);
  if (report->n_baselines)
    write_baselines(file, report);
  write_arms(file, report, true);
  if (report->n_times)
    write_times(file, report);
  if (report->n_files)
    fputs("\nFiles\n", file);
  for (size_t i = 0; i < report->n_files; i++)
    fprintf(file, "  %-36s %s\n", report->files[i].what, report->files[i].path);
  for (size_t i = 0; i < report->n_notes; i++)
    fprintf(file, "%snote: %s\n", i ? "" : "\n", report->notes[i]);
  if (ferror(file))
    return tt_fail(TT_IO, "writing the report");
  return TT_OK;
}
