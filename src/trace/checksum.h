/* The SHA-256 of a trace's files, computed in a child process beside the decoders. */
#ifndef TRACE_CHECKSUM_H
#define TRACE_CHECKSUM_H

#include "trace/find.h"

struct tt_checksum_job {
  const char *path; /* what the user named; files are hashed under their path below it */
  const struct tt_trace_folders *folders;
};

/* For tt_sandbox_start(): user is a struct tt_checksum_job. Hashes, for every regular file in and
 * below the folders in name order: its path below `path`, a NUL, its size in decimal, a NUL, its
 * bytes. Writes 64 hex digits to fd and returns 0, or writes the cause and returns 1. */
int tt_trace_checksum(int fd, void *user);

#endif
