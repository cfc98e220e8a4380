#include <tracetwin/tracetwin.h>

#include "commands.h"
#include "dataset_fields.h"
#include "print.h"

static struct tt_path_info info;

static const struct option_spec options[] = {END_OPTIONS};

static enum tt_status work(const struct call *call) {
  return tt_job_info(call->operands.items[0], &info);
}

static void print(bool json) {
  switch (info.kind) {
  case TT_KIND_DATASET: {
    const struct field fields[] = {F_TEXT("kind", "dataset"), DATASET_FIELDS(info.dataset), F_END};
    print_fields(fields, json);
    break;
  }
  case TT_KIND_MODEL: {
    struct field labels[TT_LABELS + 1];
    for (size_t i = 0; i < info.n_workloads; i++)
      labels[i] = (struct field)F_COUNT(info.workloads[i].label, info.workloads[i].events);
    labels[info.n_workloads] = (struct field)F_END;
    const struct field fields[] = {F_TEXT("kind", "model"),
                                   F_TEXT("generator", info.generator),
                                   F_COUNT("parameters", info.parameters),
                                   F_COUNT("steps", info.steps),
                                   F_NUMBER("loss", info.loss),
                                   F_NUMBER("val_loss", info.val_loss),
                                   F_COUNT("seed", info.seed),
                                   info.n_workloads ? (struct field)F_OBJECT("labels", labels)
                                                    : (struct field)F_END,
                                   F_END};
    print_fields(fields, json);
    break;
  }
  case TT_KIND_CONSTRAINTS: {
    const struct field fields[] = {
        F_TEXT("kind", "constraints"), F_COUNT("transitions", info.transitions),
        F_COUNT("event_types", info.event_types), F_COUNT("events", info.events), F_END};
    print_fields(fields, json);
    break;
  }
  }
}

const struct command command_info = {
    .usage = {.name = "info",
              .synopsis = "PATH [OPTION...]",
              .brief = "what a dataset, model or constraints file holds",
              .summary = "Tells what a dataset, a model or a constraints file holds.",
              .min_operands = 1,
              .max_operands = 1},
    .options = options,
    .work = work,
    .print = print};
