#include <tracetwin/tracetwin.h>

#include "commands.h"
#include "print.h"
#include "shared_options.h"

static struct tt_evaluate_options job = {.seed = 1};
static struct tt_report_text report;

static const struct option_spec options[] = {
    OPTION(STRING, 0, "train", "DATASET", "real training data", &job.train),
    OPTION(STRING, 0, "val", "DATASET", "real validation data", &job.val),
    OPTION(STRING, 0, "test", "DATASET", "real test data", &job.test),
    OPTION(STRING, 0, "synthetic", "DATASET", "the twin", &job.synthetic),
    OPTION(STRING, 'o', "output", "DIR", "the folder of the report", &job.output),
    FORCE_OPTION(job),
    OPTION(STRING, 0, "channels", "LIST", "the predictor's: base, system, full (default)",
           &job.channels),
    OPTION(COUNT, 0, "steps", "N", "steps of the equal-steps arms", &job.steps),
    OPTION(FLAG, 0, "converged", NULL, "leave out the equal-steps arms", &job.converged),
    SEED_OPTION(job),
    ARMS_OPTION(job),
    TRTR_OPTION(job),
    THREADS_OPTION(job),
    END_OPTIONS};

static int check(const struct command_usage *usage) {
  if (!job.train || !job.val || !job.test || !job.synthetic || !job.output)
    return usage_error(usage, "--train, --val, --test, --synthetic and -o are needed");
  return -1;
}

static enum tt_status work(const struct call *call) {
  job.progress = progress_printer(call->quiet);
  return tt_job_evaluate(&job, &report);
}

static void print(bool json) {
  print_report(&report, json);
}

const struct command command_evaluate = {
    .usage = {.name = "evaluate",
              .synopsis = "--train D --val D --test D --synthetic D -o DIR [OPTION...]",
              .brief = "fidelity, utility and memorisation of a synthetic dataset",
              .summary = "Distances, fidelity, utility and memorisation of a synthetic dataset: "
                         "DIR/report.json.",
              .min_operands = 0,
              .max_operands = 0},
    .options = options,
    .check = check,
    .work = work,
    .print = print};
