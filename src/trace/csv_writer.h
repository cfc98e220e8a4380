/* Writes events as CSV (RFC 4180 quoting, lines end in \n):
 *   timestamp_ns,cpu,tid,comm,event,ret
 * tid and comm are empty where the thread is unknown, ret where there is none. */
#ifndef TRACE_CSV_WRITER_H
#define TRACE_CSV_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/names.h"
#include "base/status.h"
#include "trace/event_source.h"

/* Writes `output_file` whole or not at all; errors as tt_ctf_export(). ret_* may be NULL. */
enum tt_status tt_csv_export(const struct tt_event_source *source,
                             const struct tt_names *event_names, const struct tt_names *comms,
                             const char *output_file, bool overwrite, uint64_t *ret_events,
                             uint64_t *ret_bytes);

#endif
