#include <tracetwin/tracetwin.h>

#include "commands.h"
#include "print.h"
#include "shared_options.h"

static struct string_list amplify, min_shares;
static struct tt_generate_options job = {
    .seed = 1, .amplify = amplify.items, .min_shares = min_shares.items};
static struct tt_generate_summary result;

static const struct option_spec options[] = {
    OUTPUT_OPTION("DATASET", "the dataset's folder", job),
    FORCE_OPTION(job),
    REQUIRED_OPTION(COUNT, 0, "events", "N", "how many events", &job.events, "--events N"),
    OPTION(STRING, 0, "label", "NAME", "this workload only, of those that the model was trained on",
           &job.label),
    OPTION(LIST, 0, "amplify", "EVENT=K", "EVENT K times as likely where it may come", &amplify),
    OPTION(LIST, 0, "min-share", "EVENT=S", "EVENT as likely as a share S of all needs",
           &min_shares),
    SEED_OPTION(job),
    THREADS_OPTION(job),
    END_OPTIONS};

static enum tt_status work(const struct call *call) {
  job.model = call->operands.items[0];
  job.n_amplify = amplify.n;
  job.n_min_shares = min_shares.n;
  job.progress = progress_printer(call->quiet);
  return tt_job_generate(&job, &result);
}

static void print(bool json) {
  struct field shares[TT_BOOSTS + 1], factors[TT_BOOSTS + 1];
  const size_t n = result.n_boosted;
  for (size_t i = 0; i < n; i++) {
    shares[i] = (struct field)F_NUMBER(result.boosted[i].event, result.boosted[i].share);
    factors[i] = (struct field)F_NUMBER(result.boosted[i].event, result.boosted[i].factor);
  }
  shares[n] = factors[n] = (struct field)F_END;
  const struct field fields[] = {F_COUNT("events", result.events),
                                 F_NUMBER("events_per_second", result.events_per_second),
                                 F_COUNT("seed", result.seed),
                                 n ? (struct field)F_OBJECT("shares", shares) : (struct field)F_END,
                                 F_OBJECT("factors", factors),
                                 F_END};
  print_fields(fields, json);
}

const struct command command_generate = {
    .usage = {.name = "generate",
              .synopsis = "MODEL -o DATASET --events N [OPTION...]",
              .brief = "make a synthetic dataset with a trained generator",
              .summary = "Makes a synthetic dataset of exactly N events.",
              .min_operands = 1,
              .max_operands = 1},
    .options = options,
    .work = work,
    .print = print};
