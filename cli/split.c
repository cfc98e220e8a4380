#include <tracetwin/tracetwin.h>

#include "commands.h"
#include "print.h"
#include "shared_options.h"

static struct tt_split_options job = {.train = 0.7, .val = 0.1, .test = 0.2};
static uint64_t gap = TT_SPLIT_GAP_DEFAULT;
static struct tt_split_result result;

static const struct option_spec options[] = {
    OUTPUT_OPTION("DIR", "the folder to put them in", job),
    FORCE_OPTION(job),
    OPTION(NUMBER, 0, "train", "SHARE", "share of train (default 0.7)", &job.train),
    OPTION(NUMBER, 0, "val", "SHARE", "share of val (default 0.1)", &job.val),
    OPTION(NUMBER, 0, "test", "SHARE", "share of test (default 0.2)", &job.test),
    OPTION(COUNT, 0, "gap", "N", "events dropped at each cut (default 4096)", &gap),
    END_OPTIONS};

static int check(const struct command_usage *usage) {
  if (gap > INT64_MAX)
    return usage_error(usage, "--gap is too large");
  return -1;
}

static enum tt_status work(const struct call *call) {
  job.dataset = call->operands.items[0];
  job.gap = (int64_t)gap;
  return tt_job_split(&job, &result);
}

static void print(bool json) {
  const struct field fields[] = {F_COUNT("train", result.train), F_COUNT("val", result.val),
                                 F_COUNT("test", result.test), F_END};
  print_fields(fields, json);
}

const struct command command_split = {
    .usage = {.name = "split",
              .synopsis = "DATASET -o DIR [OPTION...]",
              .brief = "split a dataset by time into train, val and test",
              .summary = "Splits a dataset by time into DIR/train, DIR/val and DIR/test, dropping "
                         "events at each cut.",
              .min_operands = 1,
              .max_operands = 1},
    .options = options,
    .check = check,
    .work = work,
    .print = print};
