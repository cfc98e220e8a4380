/* A function run in a child process with one pipe back: whatever happens in there (abort, crash,
 * endless loop, runaway memory) stays there. The child starts with default signal handlers, no
 * inherited file but the pipe, stdout and stderr on /dev/null, no core dump, an address space
 * bounded to TT_SANDBOX_MEMORY above the parent's, and a watchdog that ends it after
 * TT_SANDBOX_PATIENCE to twice as many seconds of processor time without a call of
 * tt_sandbox_alive(). It dies by SIGPIPE when the parent is gone.
 */
#ifndef TRACE_SANDBOX_H
#define TRACE_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/status.h"

#define TT_SANDBOX_MEMORY ((size_t)2 << 30)

struct tt_sandbox {
  pid_t pid;  /* 0: not running */
  int fd;     /* read end, -1 when closed */
  char *note; /* page shared with the child: what it is working on */
  bool ended; /* the pipe is at its end */
};

#define TT_SANDBOX_PATIENCE 10

/* Runs `run(fd, user)` in a child; its result (0..99) is the child's exit code. patience: seconds,
 * normally TT_SANDBOX_PATIENCE. */
enum tt_status tt_sandbox_start(int (*run)(int fd, void *user), void *user, unsigned patience,
                                struct tt_sandbox *ret);
/* Reads what is there, at least one byte unless the pipe is at its end (*ret_n = 0). Waits;
 * TT_INTERRUPTED when tt_interrupt() is called meanwhile. */
enum tt_status tt_sandbox_read(struct tt_sandbox *sandbox, void *buffer, size_t size,
                               size_t *ret_n);
/* Kills the child unless it has closed its pipe, collects it, and frees what it held. Accepts a
 * zeroed sandbox. When `why` is given, writes there how it ended: "" after exit code 0, else words
 * such as "was killed by signal 6 (Aborted) at STREAM". */
void tt_sandbox_stop(struct tt_sandbox *sandbox, char *why, size_t why_size);

/* For the child: tells the watchdog that there is progress; what it is working on (truncated to 1
 * KiB); and write() of all bytes (false: the parent is gone). */
void tt_sandbox_alive(void);
void tt_sandbox_note(const char *text);
bool tt_sandbox_write(int fd, const void *data, size_t size);

#endif
