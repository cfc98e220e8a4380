/* The decoder: CTF folders through libbabeltrace2 into wire records on a pipe. Runs in a child
 * process (trace/sandbox.h); several decoders share a trace by taking every nth stream each.
 *
 * The streams are merged with a binary heap over (time, stream), which is cheaper than
 * flt.utils.muxer's scan of all of them per message. */
#ifndef TRACE_CTF_DECODE_H
#define TRACE_CTF_DECODE_H

#include "trace/find.h"

struct tt_ctf_share {
  const struct tt_trace_folders *folders;
  unsigned part, parts; /* this decoder takes streams part, part + parts, ... in sorted order */
};

/* For tt_sandbox_start(): user is a struct tt_ctf_share. Writes the records of trace/wire.h to fd;
 * returns 0 when the last of them is END or ERROR. */
int tt_ctf_decode(int fd, void *user);

#endif
