#include "trace/event_source.h"

#include <inttypes.h>
#include <string.h>

static enum tt_status read_array(void *user, uint64_t first, size_t count, struct tt_event *ret) {
  memcpy(ret, (const struct tt_event *)user + first, count * sizeof *ret);
  return TT_OK;
}

struct tt_event_source tt_event_source_array(const struct tt_event *events, size_t n) {
  return (struct tt_event_source){.n = n, .read = read_array, .user = (void *)(uintptr_t)events};
}

enum tt_status tt_event_source_check(const struct tt_event *events, size_t count, uint64_t first,
                                     const struct tt_names *event_names,
                                     const struct tt_names *comms, int64_t *last_ts) {
  int64_t last = *last_ts;
  for (size_t i = 0; i < count; i++) {
    const struct tt_event *e = &events[i];
    if (e->event >= event_names->n)
      return tt_fail(TT_BAD_INPUT, "event %" PRIu64 ": no event type %u", first + i, e->event);
    if (e->comm != TT_COMM_NONE && e->comm >= comms->n)
      return tt_fail(TT_BAD_INPUT, "event %" PRIu64 ": no command name %" PRIu32, first + i,
                     e->comm);
    if (e->ts < last)
      return tt_fail(TT_BAD_INPUT, "event %" PRIu64 ": time %" PRId64 " after %" PRId64, first + i,
                     e->ts, last);
    last = e->ts;
  }
  *last_ts = last;
  return TT_OK;
}
