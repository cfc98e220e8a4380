#include "trace/find.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/output.h"

enum { MAX_DEPTH = 16, HEAD_SIZE = 16384 };

/* The trace's UUID from the head of its metadata: in packet headers (magic 0x75d11d57, then 16
 * bytes) or in the text (`trace { ... uuid = "..."`, the first one of the file). CTF 1.8, 7.1. */
static void read_uuid(const char *metadata, char uuid[33]) {
  static const unsigned char magic[2][4] = {{0x57, 0x1d, 0xd1, 0x75}, {0x75, 0xd1, 0x1d, 0x57}};
  unsigned char head[HEAD_SIZE + 1];
  uuid[0] = '\0';
  int fd = open(metadata, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return;
  ssize_t n = read(fd, head, HEAD_SIZE);
  close(fd);
  if (n < 20)
    return;
  head[n] = '\0';
  if (memcmp(head, magic[0], 4) == 0 || memcmp(head, magic[1], 4) == 0) {
    for (size_t i = 0; i < 16; i++)
      snprintf(uuid + 2 * i, 3, "%02x", head[4 + i]);
    return;
  }
  const char *p = strstr((char *)head, "uuid = \"");
  if (!p)
    return;
  size_t k = 0;
  for (p += 8; k < 32 && (isxdigit((unsigned char)*p) || *p == '-'); p++)
    if (*p != '-')
      uuid[k++] = (char)tolower((unsigned char)*p);
  uuid[k == 32 ? 32 : 0] = '\0';
}

static int by_name(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

enum tt_status tt_trace_list(const char *path, char ***ret, size_t *ret_n) {
  char **names = NULL;
  size_t n = 0, capacity = 0;
  enum tt_status status = TT_OK;
  DIR *dir = opendir(path);
  if (!dir)
    return tt_fail(TT_BAD_INPUT, "%s: %s", path, strerror(errno));
  struct dirent *entry;
  while ((entry = readdir(dir))) {
    if (entry->d_name[0] == '.')
      continue;
    char *name = tt_strdup(entry->d_name);
    if (!name || tt_grow(&names, &capacity, n + 1, sizeof *names) != 0) {
      tt_free(name);
      status = tt_fail(TT_NO_MEMORY, "%s: out of memory", path);
      break;
    }
    names[n++] = name;
  }
  closedir(dir);
  if (n > 0)
    qsort(names, n, sizeof *names, by_name);
  *ret = names;
  *ret_n = n;
  return status;
}

/* Sums up the files of a trace's folder and sees that they can be read. */
static enum tt_status measure(struct tt_trace_folder *folder, char *const *names, size_t n) {
  for (size_t i = 0; i < n; i++) {
    char *path = tt_format("%s/%s", folder->path, names[i]);
    if (!path)
      return tt_fail(TT_NO_MEMORY, "%s: out of memory", folder->path);
    struct stat about;
    enum tt_status status = TT_OK;
    if (stat(path, &about) != 0 || (S_ISREG(about.st_mode) && access(path, R_OK) != 0)) {
      status = tt_fail(TT_BAD_INPUT, "%s: %s", path, strerror(errno));
    } else if (strcmp(names[i], "metadata") == 0) {
      if (about.st_size == 0)
        status = tt_fail(TT_BAD_INPUT, "%s: empty", path);
      read_uuid(path, folder->uuid);
    } else if (S_ISREG(about.st_mode)) {
      folder->n_files++;
      folder->bytes += (uint64_t)about.st_size;
    }
    tt_free(path);
    if (status)
      return status;
  }
  return TT_OK;
}

static enum tt_status walk(const char *path, int depth, struct tt_trace_folders *found) {
  char **names = NULL;
  size_t n = 0;
  enum tt_status status = tt_trace_list(path, &names, &n);
  bool is_trace = false;
  for (size_t i = 0; i < n; i++)
    is_trace |= strcmp(names[i], "metadata") == 0;
  if (!status && is_trace) {
    struct tt_trace_folder folder = {.path = tt_strdup(path)};
    if (!folder.path ||
        tt_grow(&found->items, &found->capacity, found->n + 1, sizeof *found->items) != 0) {
      tt_free(folder.path);
      status = tt_fail(TT_NO_MEMORY, "%s: out of memory", path);
    } else {
      status = measure(&folder, names, n);
      found->items[found->n++] = folder;
    }
  }
  for (size_t i = 0; i < n; i++) {
    if (!status && !is_trace && depth < MAX_DEPTH) {
      char *below = tt_format("%s/%s", path, names[i]);
      struct stat about;
      if (!below)
        status = tt_fail(TT_NO_MEMORY, "%s: out of memory", path);
      else if (lstat(below, &about) == 0 && S_ISDIR(about.st_mode))
        status = walk(below, depth + 1, found);
      tt_free(below);
    }
    tt_free(names[i]);
  }
  tt_free(names);
  return status;
}

enum tt_status tt_trace_find(const char *path, struct tt_trace_folders *ret) {
  struct stat about;
  if (stat(path, &about) != 0)
    return tt_fail(TT_BAD_INPUT, "%s: %s", path, strerror(errno));
  if (!S_ISDIR(about.st_mode))
    return tt_fail(TT_BAD_INPUT, "%s: not a CTF trace (a trace is a folder with a file `metadata`)",
                   path);
  struct tt_trace_folders found = {0};
  char *start = tt_strdup(path);
  if (!start)
    return tt_fail(TT_NO_MEMORY, "%s: out of memory", path);
  for (size_t k = strlen(start); k > 1 && start[k - 1] == '/'; k--)
    start[k - 1] = '\0';
  enum tt_status status = walk(start, 0, &found);
  tt_free(start);
  if (!status && found.n == 0)
    status =
        tt_fail(TT_BAD_INPUT, "%s: no CTF trace in there (no folder with a file `metadata`)", path);
  if (status) {
    tt_trace_folders_release(&found);
    return status;
  }
  *ret = found;
  return TT_OK;
}

void tt_trace_folders_release(struct tt_trace_folders *folders) {
  for (size_t i = 0; i < folders->n; i++)
    tt_free(folders->items[i].path);
  tt_free(folders->items);
  *folders = (struct tt_trace_folders){0};
}
