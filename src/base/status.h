/* How library code reports failure: `return tt_fail(TT_IO, "%s: %s", path, strerror(errno));`.
 * A layer that passes a failure on adds its own words with the status it got:
 * `return tt_fail(status, "while importing %s", path);`. */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

#include <stdbool.h>

#include "tracetwin/status.h"

/* Appends a cause to this thread's list and returns `status`. Never fails: out of memory or beyond
 * 32 causes the text is dropped, the status stays. */
enum tt_status tt_fail(enum tt_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* True once tt_interrupt() was called. Long loops poll it and return tt_fail(TT_INTERRUPTED, ...).
 */
bool tt_interrupted(void);
/* Forgets the request (tests). */
void tt_interrupt_reset(void);

/* A broken contract of ours (never bad input): prints file, line and text, then aborts. Stays on in
 * release builds. */
#define TT_ASSERT(condition)                                                                       \
  ((condition) ? (void)0 : tt_assert_failed(#condition, __FILE__, __LINE__, __func__))
_Noreturn void tt_assert_failed(const char *text, const char *file, int line, const char *function);

#endif
