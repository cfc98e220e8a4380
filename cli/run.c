#include <tracetwin/tracetwin.h>

#include "commands.h"
#include "print.h"
#include "shared_options.h"

static struct string_list settings;
static bool original;
static struct tt_run_options job = {.settings = settings.items, .seed = 1};
static struct tt_report_text report;

static const struct option_spec options[] = {
    OUTPUT_OPTION("DIR", "the folder of all results", job),
    FORCE_OPTION(job),
    MODEL_OPTIONS(job, settings),
    ORIGINAL_OPTION(original),
    OPTION(COUNT, 0, "events", "N", "events of the twin (default 100000)", &job.events),
    SEED_OPTION(job),
    ARMS_OPTION(job),
    TRTR_OPTION(job),
    THREADS_OPTION(job),
    END_OPTIONS};

static int check(const struct command_usage *usage) {
  return take_original(original, &settings, &job.generator, &job.stream)
             ? -1
             : usage_error(usage, "too many settings");
}

static enum tt_status work(const struct call *call) {
  job.inputs = call->operands.items;
  job.n_inputs = call->operands.n;
  job.n_settings = settings.n;
  job.progress = progress_printer(call->quiet);
  return tt_job_run(&job, &report);
}

static void print(bool json) {
  print_report(&report, json);
}

const struct command command_run = {
    .usage =
        {.name = "run",
         .synopsis = "TRACE... -o DIR [OPTION...]",
         .brief = "from a trace to its evaluated synthetic twin",
         .summary =
             "All of it: import, split, constraints, train, generate, repair, export, evaluate.",
         .min_operands = 1,
         .max_operands = MAX_LIST},
    .options = options,
    .check = check,
    .work = work,
    .print = print};
