#include <tracetwin/tracetwin.h>

#include "commands.h"
#include "options.h"
#include "print.h"

int command_split(int argc, char **argv) {
  static const struct command_usage usage = {
      "split", "DATASET -o DIR [OPTION...]",
      "Splits a dataset by time into DIR/train, DIR/val and DIR/test, dropping events at each cut.",
      1, 1};
  struct common_options common = {0};
  struct tt_split_options job = {.train = 0.7, .val = 0.1, .test = 0.2};
  uint64_t gap = TT_SPLIT_GAP_DEFAULT;
  const struct option_spec specs[] = {
      COMMON_OPTIONS(common),
      {OPTION_STRING, 'o', "output", "DIR", "the folder to put them in", &job.output},
      {OPTION_FLAG, 'f', "force", NULL, "overwrite the output", &job.overwrite},
      {OPTION_NUMBER, 0, "train", "SHARE", "share of train (default 0.7)", &job.train},
      {OPTION_NUMBER, 0, "val", "SHARE", "share of val (default 0.1)", &job.val},
      {OPTION_NUMBER, 0, "test", "SHARE", "share of test (default 0.2)", &job.test},
      {OPTION_COUNT, 0, "gap", "N", "events dropped at each cut (default 4096)", &gap},
      END_OPTIONS};
  struct string_list operands;
  int code = options_parse(argc, argv, &usage, specs, &common, &operands);
  if (code >= 0)
    return code;
  if (!job.output)
    return usage_error(&usage, "-o DIR is missing");
  if (gap > INT64_MAX)
    return usage_error(&usage, "--gap is too large");
  job.dataset = operands.items[0];
  job.gap = (int64_t)gap;
  struct tt_split_result result;
  enum tt_status status = tt_job_split(&job, &result);
  code = finish("split", status);
  if (status == TT_OK) {
    const struct field fields[] = {F_COUNT("train", result.train), F_COUNT("val", result.val),
                                   F_COUNT("test", result.test), F_END};
    print_fields(fields, common.json);
  }
  return code;
}
