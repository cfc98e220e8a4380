#include <tracetwin/tracetwin.h>

#include "commands.h"
#include "print.h"
#include "shared_options.h"

static struct string_list settings;
static bool original;
static struct tt_train_options job = {.settings = settings.items, .seed = 1};
static struct tt_train_summary result;

static const struct option_spec options[] = {
    OUTPUT_OPTION("MODEL", "the model's folder", job),
    FORCE_OPTION(job),
    OPTION(STRING, 0, "val", "DATASET", "real validation data", &job.val),
    MODEL_OPTIONS(job, settings),
    ORIGINAL_OPTION(original),
    OPTION(COUNT, 0, "steps", "N", "optimiser steps, instead of --minutes", &job.steps),
    SEED_OPTION(job),
    THREADS_OPTION(job),
    OPTION(FLAG, 0, "resume", NULL, "go on from MODEL.checkpoint", &job.resume),
    END_OPTIONS};

static int check(const struct command_usage *usage) {
  if (job.steps && job.minutes > 0)
    return usage_error(usage, "--steps and --minutes exclude each other");
  if (!take_original(original, &settings, &job.generator, &job.stream))
    return usage_error(usage, "too many settings");
  return -1;
}

static enum tt_status work(const struct call *call) {
  job.dataset = call->operands.items[0];
  job.n_settings = settings.n;
  job.progress = progress_printer(call->quiet);
  return tt_job_train(&job, &result);
}

static void print(bool json) {
  const struct field fields[] = {F_TEXT("generator", result.generator),
                                 F_COUNT("parameters", result.parameters),
                                 F_COUNT("steps", result.steps),
                                 F_NUMBER("events_per_second", result.events_per_second),
                                 F_NUMBER("loss", result.loss),
                                 F_NUMBER("val_loss", result.val_loss),
                                 F_TEXT("precision", result.precision),
                                 F_COUNT("seed", result.seed),
                                 F_END};
  print_fields(fields, json);
}

const struct command command_train = {.usage = {.name = "train",
                                                .synopsis = "DATASET -o MODEL [OPTION...]",
                                                .brief = "train a generator",
                                                .summary = "Trains a generator on a dataset.",
                                                .min_operands = 1,
                                                .max_operands = 1},
                                      .options = options,
                                      .check = check,
                                      .work = work,
                                      .print = print};
