#include <tracetwin/tracetwin.h>

#include "commands.h"
#include "print.h"
#include "shared_options.h"

static struct string_list train;
static struct tt_predict_options job = {.train = train.items, .seed = 1};
static struct tt_predict_result r;

static const struct option_spec options[] = {
    OPTION(LIST, 0, "train", "DATASET", "training data (repeatable)", &train),
    OPTION(STRING, 0, "val", "DATASET", "validation data (early stopping)", &job.val),
    OPTION(STRING, 0, "test", "DATASET", "test data", &job.test),
    OPTION(STRING, 0, "channels", "LIST", "base, system, full (default) or names", &job.channels),
    OPTION(STRING, 0, "stream", "KIND", "'merged' (default) or 'cpu'", &job.stream),
    OPTION(COUNT, 0, "steps", "N", "exactly N steps instead of early stopping", &job.steps),
    SEED_OPTION(job),
    THREADS_OPTION(job),
    END_OPTIONS};

static int check(const struct command_usage *usage) {
  if (!train.n || !job.val || !job.test)
    return usage_error(usage, "--train, --val and --test are needed");
  return -1;
}

static enum tt_status work(const struct call *call) {
  job.n_train = train.n;
  job.progress = progress_printer(call->quiet);
  return tt_job_predict(&job, &r);
}

static void print(bool json) {
  const struct field fields[] = {F_NUMBER("macro_f1", r.macro_f1),
                                 F_NUMBER("weighted_f1", r.weighted_f1),
                                 F_NUMBER("accuracy", r.accuracy),
                                 F_NUMBER("top5", r.top5),
                                 F_NUMBER("top10", r.top10),
                                 F_COUNT("classes", r.classes),
                                 F_COUNT("steps", r.steps),
                                 F_COUNT("seed", r.seed),
                                 F_END};
  print_fields(fields, json);
}

const struct command command_predict = {
    .usage = {.name = "predict",
              .synopsis =
                  "--train DATASET [--train DATASET...] --val DATASET --test DATASET [OPTION...]",
              .brief = "train and score the next-event predictor",
              .summary = "Trains the next-event predictor and scores it on test data.",
              .min_operands = 0,
              .max_operands = 0},
    .options = options,
    .check = check,
    .work = work,
    .print = print};
