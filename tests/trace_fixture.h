/* What the tests of the trace reader share: a folder of their own and a busy trace. */
#ifndef TESTS_TRACE_FIXTURE_H
#define TESTS_TRACE_FIXTURE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h> /* needs those above */

#include "base/rng.h"
#include "ctf_fixture.h"
#include "folder_fixture.h"
#include "trace/reader.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static inline char *path_of(const char *name) { /* owned */
  char *path = tt_format("%s/%s", fixture_folder, name);
  assert_non_null(path);
  return path;
}

/* No child may outlive its reader. */
static inline void assert_no_children(void) {
  assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
  assert_int_equal(errno, ECHILD);
}

/* Five CPUs, many equal time stamps, several packets each. */
static inline void make_busy(const char *path, unsigned char number, uint64_t seed) {
  struct ctf c;
  struct tt_rng rng;
  tt_rng_init(&rng, seed, 0);
  ctf_begin(&c, path, KIND_LTTNG, number, 1000000000);
  for (uint32_t cpu = 0; cpu < 5; cpu++) {
    uint64_t ts = tt_rng_below(&rng, 20);
    int running = 10 + (int)cpu;
    for (int packet = 0; packet < 4; packet++) {
      ctf_packet(&c, cpu, ts, 0);
      for (int i = 0; i < 150; i++, ts += tt_rng_below(&rng, 3)) {
        char comm[24], next_comm[24];
        int next = 10 + (int)tt_rng_below(&rng, 12);
        snprintf(comm, sizeof comm, "thread-%d", running);
        snprintf(next_comm, sizeof next_comm, "thread-%d", next);
        switch (tt_rng_below(&rng, 4)) {
        case 0:
          ctf_put(&c, cpu, ts, L_SWITCH, "cici", comm, running, next_comm, next);
          running = next;
          break;
        case 1:
          ctf_put(&c, cpu, ts, L_EXIT, "l", (int64_t)tt_rng_below(&rng, 100));
          break;
        case 2:
          ctf_put(&c, cpu, ts, L_WAKING, "ci", next_comm, next);
          break;
        default:
          ctf_put(&c, cpu, ts, L_IRQ, "i", 1);
        }
      }
      ctf_packet_end(&c, cpu, ts);
    }
  }
  ctf_end(&c);
}

#endif
