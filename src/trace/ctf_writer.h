/* Writes events as a CTF 1.8 trace that reads as an LTTng kernel trace (lttng-modules 2.13): one
 * stream class, one stream file per CPU, LTTng's packet context and large event header (16-bit id,
 * 32-bit time stamp), event context procname, pid, tid. Names and payload fields are LTTng's
 * (payload_table.h); what the events themselves don't say comes from the scheduler state of the
 * events to be written (payload_state.h).
 *
 * Layout:  OUT/kernel/metadata, OUT/kernel/channel0_0, OUT/kernel/channel0_1, ...
 *
 * The same events, dictionaries and options give the same bytes. One pass, memory bounded by the
 * number of CPUs and threads, not by the number of events. */
#ifndef TRACE_CTF_WRITER_H
#define TRACE_CTF_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/names.h"
#include "base/status.h"
#include "trace/event_source.h"

struct tt_ctf_writer_options {
  const char *hostname;       /* NULL: "tracetwin" */
  const char *trace_name;     /* NULL: "tracetwin" */
  const char *kernel_release; /* NULL: "6.1.0" */
  uint64_t seed;              /* enters the trace's UUID, with the rest of the configuration */
  int64_t clock_origin_ns;    /* ts 0 in ns since the epoch, >= 0 */
};

/* Writes `output_folder` whole or not at all. ret_events, ret_bytes (may be NULL): events written
 * and the size of all files. Thread TT_TID_NONE is written as tid -1, a thread without a name with
 * an empty one (swapper/CPU for thread 0); names are cut to 15 bytes, bytes that are not UTF-8
 * become '?'. pid = tid, as a thread's group is not recorded in events. A gap becomes discarded
 * events of its CPU between two packets, where that CPU has events.
 * TT_EXISTS, TT_IO (disk full), TT_NO_MEMORY, TT_INTERRUPTED; TT_BAD_INPUT when time runs backwards
 * or an id is not in its dictionary. */
enum tt_status tt_ctf_export(const struct tt_event_source *source,
                             const struct tt_names *event_names, const struct tt_names *comms,
                             const struct tt_ctf_writer_options *options, const char *output_folder,
                             bool overwrite, uint64_t *ret_events, uint64_t *ret_bytes);

#endif
