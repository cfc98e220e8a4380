/* Outputs appear whole or not at all: a file or folder is written under a temporary name beside its
 * target, fsynced, then renamed. On failure or interruption the temporary is removed, or kept under
 * a name that says so. */
#ifndef BASE_OUTPUT_H
#define BASE_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

struct tt_output {
  char *target;    /* owned */
  char *temporary; /* owned; write here. NULL once committed or aborted */
  bool overwrite;
};

/* Begins a folder (created empty) or a file (path only; open it yourself). TT_EXISTS when the
 * target is there and `overwrite` is false; TT_IO when the parent can't be written. */
enum tt_status tt_output_begin_folder(const char *target, bool overwrite, struct tt_output *ret);
enum tt_status tt_output_begin_file(const char *target, bool overwrite, struct tt_output *ret);
/* Begins a folder as TARGET.partial, for work long enough that what is finished of it is worth
 * having: see tt_output_keep(). Is that there already (left by an interruption, or being written),
 * it is TT_EXISTS, and removed when `overwrite` is true. */
enum tt_status tt_output_begin_partial(const char *target, bool overwrite, struct tt_output *ret);
/* fsyncs all that was written and puts it in place of the target (an old folder is exchanged
 * atomically, then removed). Releases `output` whether it succeeds or not. */
enum tt_status tt_output_commit(struct tt_output *output);
/* Removes what was written. Accepts a zeroed or finished output. */
void tt_output_abort(struct tt_output *output);
/* Leaves what was written under its temporary name; an empty folder is removed. Returns whether
 * something is left. Releases `output`. */
bool tt_output_keep(struct tt_output *output);

/* Writes a whole file atomically (begin_file, write, commit), overwriting. */
enum tt_status tt_write_file(const char *path, const void *data, size_t size);
/* Reads a whole file; *ret_data is NUL-terminated beyond *ret_size; release with tt_free. */
enum tt_status tt_read_file(const char *path, char **ret_data, size_t *ret_size);
/* Removes a file or a folder with all it holds; no complaint when it isn't there. */
enum tt_status tt_remove_tree(const char *path);
/* mkdir -p. */
enum tt_status tt_make_folders(const char *path);
/* asprintf-like; NULL when memory is short; release with tt_free. */
char *tt_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
