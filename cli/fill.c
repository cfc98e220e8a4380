#include <tracetwin/tracetwin.h>

#include "commands.h"
#include "print.h"
#include "shared_options.h"

static struct string_list without;
static struct tt_fill_options job = {
    .seed = 1, .candidates = 32, .longest = 1000, .without = without.items};
static struct tt_fill_summary result;

static const struct option_spec options[] = {
    REQUIRED_OPTION(STRING, 0, "model", "MODEL", "a model of the generator masked", &job.model,
                    "--model MODEL"),
    OUTPUT_OPTION("DATASET", "the filled dataset's folder", job),
    FORCE_OPTION(job),
    OPTION(COUNT, 0, "candidates", "K", "ways to fill each gap that are weighed (default 32)",
           &job.candidates),
    OPTION(FLAG, 0, "best", NULL, "the candidate closest to all others, not a draw", &job.best),
    OPTION(COUNT, 0, "longest", "N", "most lost events of a gap that is filled (default 1000)",
           &job.longest),
    OPTION(LIST, 0, "without", "WHAT", "do without the 'network' or the 'right' side, to compare",
           &without),
    SEED_OPTION(job),
    THREADS_OPTION(job),
    END_OPTIONS};

static enum tt_status work(const struct call *call) {
  job.dataset = call->operands.items[0];
  job.n_without = without.n;
  job.progress = progress_printer(call->quiet);
  return tt_job_fill(&job, &result);
}

static void print(bool json) {
  const struct field fields[] = {F_COUNT("gaps", result.gaps),
                                 F_COUNT("filled_gaps", result.filled_gaps),
                                 F_COUNT("filled_events", result.filled_events),
                                 F_COUNT("events", result.events),
                                 F_COUNT("seed", result.seed),
                                 F_END};
  print_fields(fields, json);
}

const struct command command_fill = {
    .usage = {.name = "fill",
              .synopsis = "DATASET --model MODEL -o DATASET [OPTION...]",
              .brief = "draw the events that the tracer lost",
              .summary = "Draws a dataset's lost events, given what came before and after.",
              .min_operands = 1,
              .max_operands = 1},
    .options = options,
    .work = work,
    .print = print};
