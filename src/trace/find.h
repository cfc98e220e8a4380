/* Finds the CTF traces at or below a path: every folder that holds a file named `metadata`. */
#ifndef TRACE_FIND_H
#define TRACE_FIND_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct tt_trace_folder {
  char *path;     /* as given by the user, then the way down */
  char uuid[33];  /* hex, in lower case; "" when the metadata has none. Folders of one UUID are
                     pieces of one trace (LTTng rotation). */
  size_t n_files; /* regular files beside the metadata: an upper bound of its streams */
  uint64_t bytes; /* their sizes, summed */
};

struct tt_trace_folders {
  struct tt_trace_folder *items; /* [n] sorted by path */
  size_t n, capacity;
};

/* TT_BAD_INPUT with one cause when there is none, or when a file can't be read. Looks no deeper
 * than 16 levels, not below a trace, and follows no symbolic link below `path`. */
enum tt_status tt_trace_find(const char *path, struct tt_trace_folders *ret);
/* The names in a folder, in byte order, without those that begin with a dot. Both the array and its
 * strings are the caller's (tt_free), on failure too. */
enum tt_status tt_trace_list(const char *path, char ***ret, size_t *ret_n);
void tt_trace_folders_release(struct tt_trace_folders *folders);

#endif
