/* The fields that `import` and `info` print of a dataset. */
#ifndef CLI_DATASET_FIELDS_H
#define CLI_DATASET_FIELDS_H

#define DATASET_FIELDS(d)                                                                          \
  F_COUNT("events", (d).events), F_COUNT("event_types", (d).event_types),                          \
      F_COUNT("comms", (d).comms), F_COUNT("cpus", (d).cpus), F_COUNT("tids", (d).tids),           \
      F_COUNT("duration_ns", (uint64_t)(d).duration_ns), F_COUNT("lost_events", (d).lost_events)

#endif
