/* Reads a kernel trace (CTF: LTTng kernel traces, perf conversions, any other CTF with a cpu_id) as
 * one stream of event records, merged by time.
 *
 *   struct tt_trace_reader *reader;
 *   tt_trace_reader_open(path, NULL, &reader);
 *   while (!(status = tt_trace_reader_read(reader, buffer, capacity, &n)) && n > 0) ...
 *   tt_trace_reader_close(reader);
 *
 * What is an event. Every event that `babeltrace2 PATH` prints, with one exception: perf's
 * pseudo-events (`perf_comm`, `perf_fork`, `perf_mmap`, ... at time 0), which `perf data convert`
 * makes up to describe the machine before the recording. They feed the scheduler state, are counted
 * apart (tt_trace_reader_counts) and are not delivered. perf's side-band events with a real time
 * stamp are events, and so are LTTng's `lttng_statedump_*` (recorded while tracing, with real time
 * stamps); both update the state.
 *
 * Thread and name of every event. From the recorded context where there is one (LTTng `tid` and
 * `procname`, perf `perf_tid`, or `common_pid` when perf says -1: a thread that has just died),
 * else from the state machine of trace/sched_state.h, which looks ahead up to TT_SCHED_LOOKAHEAD
 * events where only the next sched_switch of the CPU tells who was running. What stays unknown is
 * TT_TID_NONE / TT_COMM_NONE.
 *
 * cpu is the packet's `cpu_id`, except for perf's side-band events: perf files all of them under
 * CPU 0; the reader puts them on the CPU where the thread they speak of is running, when it knows.
 *
 * Order. By time; at equal times by (trace UUID, trace name, stream class id, stream id), as
 * babeltrace2's muxer has it; within a stream as recorded. The result (ids included) does not
 * depend on `threads`.
 *
 * Failure. libbabeltrace2 runs in child processes, `threads` of them, each decoding a share of the
 * streams: a decoder that aborts, crashes, loops or eats memory becomes TT_BAD_INPUT with a cause
 * naming the input; nothing outlives tt_trace_reader_close(). Memory does not grow with the trace.
 * A reader may be used by one thread at a time. */
#ifndef TRACE_READER_H
#define TRACE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/names.h"
#include "base/status.h"
#include "trace/event.h"

struct tt_trace_reader;

struct tt_trace_reader_options {
  unsigned threads; /* decoders; 0: one per processor */
  bool checksum;    /* compute the SHA-256 beside the decoding, for tt_trace_reader_sha256() */
};

struct tt_trace_reader_counts { /* so far; final once read() has returned 0 events */
  uint64_t events;              /* delivered by read() */
  uint64_t pseudo_events;       /* perf's state dump at time 0, left out */
  uint64_t lost_events;         /* sum over the gaps whose size is known */
  uint64_t no_tid;              /* delivered with TT_TID_NONE */
  uint64_t no_comm;             /* delivered with TT_COMM_NONE */
  uint64_t moved;               /* side-band events put on the CPU of their thread */
  /* How far the state machine agrees with what was recorded (nothing is taken from it there). */
  uint64_t switches,
      switches_agree; /* sched_switch on a CPU of known state; prev_tid as expected */
  uint64_t contexts, contexts_agree; /* recorded tids on such a CPU; equal to the state's */
  uint64_t names, names_agree; /* sched_switch of a thread with a known name; prev_comm equal */
};

/* path: a CTF folder (it holds `metadata`) or a folder above one or several, which are merged.
 * options may be NULL. TT_BAD_INPUT when there is no trace or it can't be decoded. */
enum tt_status tt_trace_reader_open(const char *path, const struct tt_trace_reader_options *options,
                                    struct tt_trace_reader **ret);
/* The next events, at most `capacity` (>= 1), in time order; *ret_n = 0 at the end of the trace.
 * ids refer to the dictionaries below. After a failure every further read fails. */
enum tt_status tt_trace_reader_read(struct tt_trace_reader *reader, struct tt_event *buffer,
                                    size_t capacity, size_t *ret_n);
void tt_trace_reader_close(struct tt_trace_reader *reader); /* accepts NULL */

/* Dictionaries of the events delivered so far, in order of first appearance. perf's names are as
 * recorded ("sched:sched_switch"). Bytes of a name that are no printable UTF-8 are '?'. */
const struct tt_names *tt_trace_reader_events(const struct tt_trace_reader *reader);
const struct tt_names *tt_trace_reader_comms(const struct tt_trace_reader *reader);
/* Gaps seen so far, sorted by begin once the end is reached; borrowed until the next read. */
void tt_trace_reader_gaps(const struct tt_trace_reader *reader, const struct tt_gap **ret,
                          size_t *ret_n);
struct tt_trace_reader_counts tt_trace_reader_counts(const struct tt_trace_reader *reader);
/* "ctf-lttng", "ctf-perf", or "ctf". */
const char *tt_trace_reader_format(const struct tt_trace_reader *reader);
/* ts 0 in ns: since the epoch for clocks that know it (LTTng), since boot for perf. */
int64_t tt_trace_reader_clock_origin(const struct tt_trace_reader *reader);
/* The CTF folders being read, sorted. */
size_t tt_trace_reader_folders(const struct tt_trace_reader *reader);
const char *tt_trace_reader_folder(const struct tt_trace_reader *reader, size_t i);
/* SHA-256 in hex over every file of the CTF folders (for each, in name order: its path below
 * `path`, a NUL, its size in decimal, a NUL, its bytes). Needs options.checksum; waits for it. */
enum tt_status tt_trace_reader_sha256(struct tt_trace_reader *reader, char ret_hex[65]);

#endif
