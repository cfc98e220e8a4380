#include "base/status.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_CAUSES = 32, CAUSE_LENGTH = 512 };

static _Thread_local char causes[MAX_CAUSES][CAUSE_LENGTH];
static _Thread_local size_t n_causes;
static volatile sig_atomic_t interrupt_requested;

int tt_status_exit_code(enum tt_status status) {
  switch (status) {
#define CASE(name, code, text)                                                                     \
  case TT_##name:                                                                                  \
    return code;
    TT_STATUS_TABLE(CASE)
#undef CASE
  }
  return 1;
}

const char *tt_status_text(enum tt_status status) {
  switch (status) {
#define CASE(name, code, text)                                                                     \
  case TT_##name:                                                                                  \
    return text;
    TT_STATUS_TABLE(CASE)
#undef CASE
  }
  return "unknown status";
}

size_t tt_cause_count(void) {
  return n_causes;
}

const char *tt_cause(size_t i) {
  return i < n_causes ? causes[i] : NULL;
}

void tt_causes_clear(void) {
  n_causes = 0;
}

enum tt_status tt_fail(enum tt_status status, const char *format, ...) {
  if (n_causes < MAX_CAUSES) {
    va_list args;
    va_start(args, format);
    vsnprintf(causes[n_causes++], CAUSE_LENGTH, format, args);
    va_end(args);
  }
  return status;
}

void tt_interrupt(void) {
  interrupt_requested = 1;
}

bool tt_interrupted(void) {
  return interrupt_requested != 0;
}

void tt_interrupt_reset(void) {
  interrupt_requested = 0;
}

void tt_assert_failed(const char *text, const char *file, int line, const char *function) {
  fprintf(stderr, "tracetwin: bug: %s:%d: %s: assertion failed: %s\n", file, line, function, text);
  abort();
}
