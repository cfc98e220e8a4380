#include "base/output.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

char *tt_format(const char *format, ...) {
  va_list args;
  va_start(args, format);
  int n = vsnprintf(NULL, 0, format, args);
  va_end(args);
  char *text = n < 0 ? NULL : tt_alloc((size_t)n + 1, 1);
  if (!text)
    return NULL;
  va_start(args, format);
  vsnprintf(text, (size_t)n + 1, format, args);
  va_end(args);
  return text;
}

static enum tt_status no_memory(void) {
  return tt_fail(TT_NO_MEMORY, "out of memory");
}

#define TEMPORARY ".tmp-XXXXXX" /* for mkdtemp, mkstemp */

/* The names of an output; nothing is created. */
static enum tt_status begin(const char *target, const char *suffix, bool overwrite,
                            struct tt_output *ret) {
  struct stat info;
  if (!overwrite && lstat(target, &info) == 0)
    return tt_fail(TT_EXISTS, "%s: already exists (-f overwrites)", target);
  size_t n = strlen(target);
  while (n > 1 && target[n - 1] == '/')
    n--;
  struct tt_output output = {.overwrite = overwrite};
  output.target = tt_format("%.*s", (int)n, target);
  output.temporary = tt_format("%.*s%s", (int)n, target, suffix);
  if (!output.target || !output.temporary) {
    tt_free(output.target);
    tt_free(output.temporary);
    return no_memory();
  }
  *ret = output;
  return TT_OK;
}

static void release(struct tt_output *output) {
  tt_free(output->target);
  tt_free(output->temporary);
  memset(output, 0, sizeof *output);
}

/* Output folders and files get the rights that umask gives, not mkstemp's private ones. */
static mode_t rights(mode_t all) {
  mode_t mask = umask(0);
  umask(mask);
  return all & ~mask;
}

enum tt_status tt_output_begin_folder(const char *target, bool overwrite, struct tt_output *ret) {
  enum tt_status status = begin(target, TEMPORARY, overwrite, ret);
  if (status != TT_OK)
    return status;
  if (!mkdtemp(ret->temporary) || chmod(ret->temporary, rights(0777)) != 0) {
    status = tt_fail(TT_IO, "%s: cannot create: %s", target, strerror(errno));
    release(ret);
  }
  return status;
}

enum tt_status tt_output_begin_partial(const char *target, bool overwrite, struct tt_output *ret) {
  enum tt_status status = begin(target, ".partial", overwrite, ret);
  if (status != TT_OK)
    return status;
  if (overwrite)
    status = tt_remove_tree(ret->temporary);
  if (status == TT_OK && mkdir(ret->temporary, 0777) != 0)
    status =
        errno == EEXIST
            ? tt_fail(TT_EXISTS, "%s: left by an interruption (-f begins anew)", ret->temporary)
            : tt_fail(TT_IO, "%s: cannot create: %s", ret->temporary, strerror(errno));
  if (status != TT_OK)
    release(ret);
  return status;
}

enum tt_status tt_output_begin_file(const char *target, bool overwrite, struct tt_output *ret) {
  enum tt_status status = begin(target, TEMPORARY, overwrite, ret);
  if (status != TT_OK)
    return status;
  int fd = mkstemp(ret->temporary);
  if (fd < 0 || fchmod(fd, rights(0666)) != 0) {
    status = tt_fail(TT_IO, "%s: cannot create: %s", target, strerror(errno));
    release(ret);
  }
  if (fd >= 0)
    close(fd);
  return status;
}

static int sync_path(const char *path) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return -1;
  int result = fsync(fd);
  int saved = errno;
  close(fd);
  errno = saved;
  return result;
}

static int sync_entry(const char *path, const struct stat *info, int type, struct FTW *ftw) {
  (void)info;
  (void)ftw;
  return type == FTW_SL ? 0 : sync_path(path);
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *ftw) {
  (void)info;
  (void)type;
  (void)ftw;
  return remove(path);
}

enum tt_status tt_remove_tree(const char *path) {
  struct stat info;
  if (lstat(path, &info) != 0 && errno == ENOENT)
    return TT_OK;
  if (nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0)
    return tt_fail(TT_IO, "%s: cannot remove: %s", path, strerror(errno));
  return TT_OK;
}

enum tt_status tt_output_commit(struct tt_output *output) {
  enum tt_status status = TT_OK;
  struct stat info;
  if (nftw(output->temporary, sync_entry, 16, FTW_PHYS) != 0) {
    status = tt_fail(TT_IO, "%s: cannot write: %s", output->target, strerror(errno));
  } else if (lstat(output->target, &info) != 0) {
    if (renameat2(AT_FDCWD, output->temporary, AT_FDCWD, output->target, RENAME_NOREPLACE) != 0)
      status = tt_fail(TT_IO, "%s: cannot put in place: %s", output->target, strerror(errno));
  } else if (!output->overwrite) {
    status = tt_fail(TT_EXISTS, "%s: already exists (-f overwrites)", output->target);
  } else if (renameat2(AT_FDCWD, output->temporary, AT_FDCWD, output->target, RENAME_EXCHANGE) !=
             0) {
    status = tt_fail(TT_IO, "%s: cannot replace: %s", output->target, strerror(errno));
  } else {
    tt_remove_tree(output->temporary); /* now the old one */
  }
  if (status != TT_OK)
    tt_output_abort(output);
  else
    release(output);
  return status;
}

void tt_output_abort(struct tt_output *output) {
  if (output->temporary)
    nftw(output->temporary, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
  release(output);
}

bool tt_output_keep(struct tt_output *output) {
  bool empty = rmdir(output->temporary) == 0;
  release(output);
  return !empty;
}

enum tt_status tt_write_file(const char *path, const void *data, size_t size) {
  struct tt_output output;
  enum tt_status status = tt_output_begin_file(path, true, &output);
  if (status != TT_OK)
    return status;
  FILE *file = fopen(output.temporary, "wb");
  bool written = file && (size == 0 || fwrite(data, 1, size, file) == size);
  if ((file && fclose(file) != 0) || !written) {
    status = tt_fail(TT_IO, "%s: cannot write: %s", path, strerror(errno));
    tt_output_abort(&output);
    return status;
  }
  return tt_output_commit(&output);
}

enum tt_status tt_read_file(const char *path, char **ret_data, size_t *ret_size) {
  enum tt_status status = TT_OK;
  char *data = NULL;
  FILE *file = fopen(path, "rbe");
  struct stat info;
  if (!file || fstat(fileno(file), &info) != 0) {
    status = tt_fail(TT_BAD_INPUT, "%s: cannot open: %s", path, strerror(errno));
    goto cleanup;
  }
  if (!S_ISREG(info.st_mode)) {
    status = tt_fail(TT_BAD_INPUT, "%s: not a file", path);
    goto cleanup;
  }
  size_t size = (size_t)info.st_size;
  data = tt_alloc(size + 1, 1);
  if (!data) {
    status = no_memory();
    goto cleanup;
  }
  if (fread(data, 1, size, file) != size) {
    status = tt_fail(TT_IO, "%s: cannot read: %s", path, strerror(errno));
    goto cleanup;
  }
  data[size] = 0;
  *ret_data = data;
  *ret_size = size;
  data = NULL;
cleanup:
  if (file)
    fclose(file);
  tt_free(data);
  return status;
}

enum tt_status tt_make_folders(const char *path) {
  char *copy = tt_strdup(path);
  if (!copy)
    return no_memory();
  enum tt_status status = TT_OK;
  for (char *p = copy + 1;; p++) {
    if (*p != '/' && *p)
      continue;
    char end = *p;
    *p = 0;
    if (mkdir(copy, 0777) != 0 && errno != EEXIST) {
      status = tt_fail(TT_IO, "%s: cannot create: %s", copy, strerror(errno));
      break;
    }
    *p = end;
    if (!end)
      break;
  }
  tt_free(copy);
  return status;
}
