/* Where an exporter gets its events from: a pull callback, asked once for every event, in order, so
 * that a stream will do and nothing has to fit in memory. */
#ifndef TRACE_EVENT_SOURCE_H
#define TRACE_EVENT_SOURCE_H

#include <stddef.h>
#include <stdint.h>

#include "base/names.h"
#include "base/status.h"
#include "trace/event.h"

struct tt_event_source {
  uint64_t n; /* events in all */
  /* Writes events first..first+count-1 to ret (first + count <= n). `first` is always the end of
   * the call before. */
  enum tt_status (*read)(void *user, uint64_t first, size_t count, struct tt_event *ret);
  void *user;
  const struct tt_gap *gaps; /* [n_gaps] sorted by begin; NULL: none */
  size_t n_gaps;
};

/* A source over an array that outlives it. */
struct tt_event_source tt_event_source_array(const struct tt_event *events, size_t n);

/* Checks `count` events just read from a source: ids within the dictionaries, time from 0 and never
 * decreasing. *last_ts: the time of the event before (0 at the start), moved on. TT_BAD_INPUT names
 * the first wrong event; `first` is its batch's number. */
enum tt_status tt_event_source_check(const struct tt_event *events, size_t count, uint64_t first,
                                     const struct tt_names *event_names,
                                     const struct tt_names *comms, int64_t *last_ts);

#endif
