#include <tracetwin/tracetwin.h>

#include "commands.h"
#include "distance_fields.h"
#include "options.h"
#include "print.h"

int command_constraints(int argc, char **argv) {
  static const struct command_usage usage = {
      "constraints", "DATASET -o FILE [OPTION...]",
      "Mines the constraints that a dataset obeys: transitions, time bounds, CPUs, attributes.", 1,
      1};
  struct common_options common = {0};
  struct tt_mine_options job = {0};
  const struct option_spec specs[] = {
      COMMON_OPTIONS(common),
      {OPTION_STRING, 'o', "output", "FILE", "the constraints file (JSON)", &job.output},
      {OPTION_FLAG, 'f', "force", NULL, "overwrite the output", &job.overwrite},
      END_OPTIONS};
  struct string_list operands;
  int code = options_parse(argc, argv, &usage, specs, &common, &operands);
  if (code >= 0)
    return code;
  if (!job.output)
    return usage_error(&usage, "-o FILE is missing");
  job.dataset = operands.items[0];
  struct tt_mine_result result;
  enum tt_status status = tt_job_mine(&job, &result);
  code = finish("constraints", status);
  if (status == TT_OK) {
    const struct field fields[] = {F_COUNT("transitions", result.transitions),
                                   F_COUNT("event_types", result.event_types),
                                   F_COUNT("events", result.events), F_END};
    print_fields(fields, common.json);
  }
  return code;
}

int command_check(int argc, char **argv) {
  static const struct command_usage usage = {
      "check", "DATASET --constraints FILE [OPTION...]",
      "Measures the four distances of a dataset; exit code 3 when any is above 0.", 1, 1};
  struct common_options common = {0};
  const char *constraints = NULL;
  const struct option_spec specs[] = {
      COMMON_OPTIONS(common),
      {OPTION_STRING, 'c', "constraints", "FILE", "the constraints file", &constraints},
      END_OPTIONS};
  struct string_list operands;
  int code = options_parse(argc, argv, &usage, specs, &common, &operands);
  if (code >= 0)
    return code;
  if (!constraints)
    return usage_error(&usage, "--constraints FILE is missing");
  struct tt_distance_summary result;
  enum tt_status status = tt_job_check(operands.items[0], constraints, &result);
  code = finish("check", status);
  if (status == TT_OK || status == TT_NEGATIVE) {
    const struct field fields[] = {DISTANCE_FIELDS(result), F_COUNT("events", result.events),
                                   F_END};
    print_fields(fields, common.json);
  }
  return code;
}

int command_repair(int argc, char **argv) {
  static const struct command_usage usage = {
      "repair", "DATASET --constraints FILE -o DATASET [OPTION...]",
      "Brings all four distances to 0 by the least change.", 1, 1};
  struct common_options common = {0};
  struct tt_repair_options job = {.seed = 1};
  const struct option_spec specs[] = {
      COMMON_OPTIONS(common),
      {OPTION_STRING, 'c', "constraints", "FILE", "the constraints file", &job.constraints},
      {OPTION_STRING, 'o', "output", "DATASET", "the repaired dataset's folder", &job.output},
      {OPTION_FLAG, 'f', "force", NULL, "overwrite the output", &job.overwrite},
      {OPTION_COUNT, 0, "seed", "S", "seed (default 1)", &job.seed},
      END_OPTIONS};
  struct string_list operands;
  int code = options_parse(argc, argv, &usage, specs, &common, &operands);
  if (code >= 0)
    return code;
  if (!job.constraints)
    return usage_error(&usage, "--constraints FILE is missing");
  if (!job.output)
    return usage_error(&usage, "-o DATASET is missing");
  job.dataset = operands.items[0];
  struct tt_repair_summary r;
  enum tt_status status = tt_job_repair(&job, &r);
  code = finish("repair", status);
  if (status == TT_OK) {
    const struct field before[] = {DISTANCE_FIELDS(r.before), F_END};
    const struct field after[] = {DISTANCE_FIELDS(r.after), F_END};
    const struct field edits[] = {
        F_COUNT("retimed", r.retimed_events), F_COUNT("event", r.event_edits),
        F_COUNT("cpu", r.cpu_edits),          F_COUNT("dt", r.dt_edits),
        F_COUNT("tid", r.tid_edits),          F_COUNT("comm", r.comm_edits),
        F_COUNT("ret", r.ret_edits),          F_END};
    const struct field fields[] = {
        F_OBJECT("before", before),         F_OBJECT("after", after),
        F_OBJECT("edits", edits),           F_COUNT("edited_events", r.edited_events),
        F_NUMBER("edit_rate", r.edit_rate), F_COUNT("events", r.events),
        F_COUNT("seed", job.seed),          F_END};
    print_fields(fields, common.json);
  }
  return code;
}
