/* A folder of the test program's own: group set-up and tear-down. Include after cmocka.h. */
#ifndef TESTS_FOLDER_FIXTURE_H
#define TESTS_FOLDER_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>

#include "base/output.h"

static char fixture_folder[64];

static inline int fixture_begin(void **state) {
  (void)state;
  snprintf(fixture_folder, sizeof fixture_folder, "/tmp/tt-test-XXXXXX");
  return mkdtemp(fixture_folder) ? 0 : -1;
}

static inline int fixture_end(void **state) {
  (void)state;
  return tt_remove_tree(fixture_folder) == TT_OK ? 0 : -1;
}

#endif
