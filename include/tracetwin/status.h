/* Status codes and causes: every function that can fail returns an enum tt_status; what went wrong
 * stands in a per-thread list of causes, the deepest layer's first, each layer adding its own
 * words. The library never prints or exits. */
#ifndef TRACETWIN_STATUS_H
#define TRACETWIN_STATUS_H

#include <stddef.h>

#if defined(__GNUC__)
#define TT_API __attribute__((visibility("default")))
#else
#define TT_API
#endif

/* X(name, exit code of the command, text) */
#define TT_STATUS_TABLE(X)                                                                         \
  X(OK, 0, "done")                                                                                 \
  X(FAILED, 1, "failed")                                                                           \
  X(NO_MEMORY, 1, "out of memory")                                                                 \
  X(IO, 1, "input/output error")                                                                   \
  X(EXISTS, 1, "output exists")                                                                    \
  X(USAGE, 2, "wrong usage")                                                                       \
  X(NEGATIVE, 3, "verdict negative")                                                               \
  X(BAD_INPUT, 4, "bad input file")                                                                \
  X(INTERRUPTED, 130, "interrupted")

enum tt_status {
#define TT_STATUS_ENUM(name, code, text) TT_##name,
  TT_STATUS_TABLE(TT_STATUS_ENUM)
#undef TT_STATUS_ENUM
};

/* The command's exit code for a status, and its text (static). */
TT_API int tt_status_exit_code(enum tt_status status);
TT_API const char *tt_status_text(enum tt_status status);

/* The calling thread's causes since the last tt_causes_clear(), oldest (deepest) first. The strings
 * live until the next clear on this thread. tt_cause() returns NULL when i is out of range. */
TT_API size_t tt_cause_count(void);
TT_API const char *tt_cause(size_t i);
TT_API void tt_causes_clear(void);

/* Asks every long-running call of the process to stop at its next safe point with TT_INTERRUPTED
 * (training writes a checkpoint first). Async-signal-safe. */
TT_API void tt_interrupt(void);

#endif
