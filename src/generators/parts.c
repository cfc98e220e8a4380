/* Twins of several workloads: one part after the other, each of one label. */
#include "base/mem.h"
#include "base/output.h"
#include "generators/generator.h"

size_t tt_generator_parts(const struct tt_generator *generator, const char *label) {
  return label || generator->labels.n < 2 ? 1 : generator->labels.n;
}

/* events * upto / all, rounded down. */
static uint64_t share(uint64_t events, uint64_t upto, uint64_t all) {
  return (uint64_t)((__extension__(unsigned __int128) events) * upto / all);
}

struct tt_generator_part tt_generator_part(const struct tt_generator *generator, const char *label,
                                           uint64_t events, size_t part) {
  if (tt_generator_parts(generator, label) == 1) {
    const char *own = generator->labels.n ? generator->labels.names[0] : "";
    const uint32_t which = label ? tt_names_find(&generator->labels, label) : 0;
    return (struct tt_generator_part){label ? label : own, which, events};
  }
  uint64_t before = 0, all = 0;
  for (size_t i = 0; i < generator->labels.n; i++) {
    before += i < part ? generator->label_events[i] : 0;
    all += generator->label_events[i];
  }
  return (struct tt_generator_part){generator->labels.names[part], part,
                                    share(events, before + generator->label_events[part], all) -
                                        share(events, before, all)};
}

enum tt_status tt_generator_check_label(const struct tt_generator *generator, const char *label) {
  if (!label || tt_names_find(&generator->labels, label) != TT_NAME_NONE)
    return TT_OK;
  if (!generator->ops->labels)
    return tt_fail(TT_USAGE, "the generator %s does not tell workloads apart",
                   generator->ops->name);
  if (generator->labels.n == 0)
    return tt_fail(TT_USAGE, "no workload '%s': the model was trained on data without labels",
                   label);
  char *known = tt_format("%s", generator->labels.names[0]);
  for (size_t i = 1; known && i < generator->labels.n; i++) {
    char *longer = tt_format("%s, %s", known, generator->labels.names[i]);
    tt_free(known);
    known = longer;
  }
  if (!known)
    return tt_fail(TT_NO_MEMORY, "the labels");
  enum tt_status status = tt_fail(TT_USAGE, "no workload '%s': the model knows %s", label, known);
  tt_free(known);
  return status;
}

struct part_sink { /* events of a part follow those of the one before in time */
  const struct tt_event_sink *inner;
  struct tt_event *events; /* [capacity] */
  size_t capacity;
  int64_t offset, last;
};

static enum tt_status write_part(void *user, const struct tt_event *events, size_t n) {
  struct part_sink *sink = user;
  if (tt_grow(&sink->events, &sink->capacity, n, sizeof *events) != 0)
    return tt_fail(TT_NO_MEMORY, "%zu events", n);
  for (size_t i = 0; i < n; i++) {
    sink->events[i] = events[i];
    if (__builtin_add_overflow(events[i].ts, sink->offset, &sink->events[i].ts))
      sink->events[i].ts = INT64_MAX;
    sink->last = sink->events[i].ts;
  }
  return sink->inner->write(sink->inner->user, sink->events, n);
}

struct part_progress {
  const struct tt_progress *inner;
  uint64_t before, all;
};

static void report_part(void *user, const struct tt_progress_report *report) {
  const struct part_progress *progress = user;
  struct tt_progress_report whole = *report;
  whole.done += progress->before;
  whole.total = progress->all;
  if (whole.rate > 0)
    whole.seconds_left = (double)(whole.total - whole.done) / whole.rate;
  progress->inner->report(progress->inner->user, &whole);
}

enum tt_status tt_generator_generate_parts(const struct tt_generator *generator,
                                           const struct tt_generate_config *config,
                                           const struct tt_event_sink *sink) {
  struct part_progress progress = {.inner = config->progress, .all = config->events};
  const struct tt_progress reported = {report_part, &progress};
  struct part_sink parts = {.inner = sink};
  const struct tt_event_sink shifted = {write_part, &parts};
  const size_t n = tt_generator_parts(generator, config->label);
  enum tt_status status = TT_OK;
  for (size_t i = 0; i < n && status == TT_OK; i++) {
    const struct tt_generator_part part =
        tt_generator_part(generator, config->label, config->events, i);
    struct tt_generate_config one = *config;
    one.events = part.events;
    one.label = part.label;
    one.boost = config->boost ? config->boost + i * generator->events.n : NULL;
    if (config->progress && config->progress->report)
      one.progress = &reported;
    if (part.events > 0)
      status = generator->ops->generate(generator, &one, &shifted);
    progress.before += part.events;
    if (part.events > 0)
      parts.offset = parts.last - generator->begin_ns;
  }
  tt_free(parts.events);
  return status;
}
