#include <tracetwin/tracetwin.h>

#include "commands.h"
#include "dataset_fields.h"
#include "options.h"
#include "print.h"

int command_info(int argc, char **argv) {
  static const struct command_usage usage = {
      "info", "PATH [OPTION...]", "Tells what a dataset, a model or a constraints file holds.", 1,
      1};
  struct common_options common = {0};
  const struct option_spec specs[] = {COMMON_OPTIONS(common), END_OPTIONS};
  struct string_list operands;
  int code = options_parse(argc, argv, &usage, specs, &common, &operands);
  if (code >= 0)
    return code;
  struct tt_path_info info;
  enum tt_status status = tt_job_info(operands.items[0], &info);
  code = finish("info", status);
  if (status != TT_OK)
    return code;
  switch (info.kind) {
  case TT_KIND_DATASET: {
    const struct field fields[] = {F_TEXT("kind", "dataset"), DATASET_FIELDS(info.dataset), F_END};
    print_fields(fields, common.json);
    break;
  }
  case TT_KIND_MODEL: {
    const struct field fields[] = {F_TEXT("kind", "model"),
                                   F_TEXT("generator", info.generator),
                                   F_COUNT("parameters", info.parameters),
                                   F_COUNT("steps", info.steps),
                                   F_NUMBER("loss", info.loss),
                                   F_NUMBER("val_loss", info.val_loss),
                                   F_COUNT("seed", info.seed),
                                   F_END};
    print_fields(fields, common.json);
    break;
  }
  case TT_KIND_CONSTRAINTS: {
    const struct field fields[] = {
        F_TEXT("kind", "constraints"), F_COUNT("transitions", info.transitions),
        F_COUNT("event_types", info.event_types), F_COUNT("events", info.events), F_END};
    print_fields(fields, common.json);
    break;
  }
  }
  return code;
}
