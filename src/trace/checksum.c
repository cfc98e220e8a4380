#include "trace/checksum.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/output.h"
#include "trace/sandbox.h"
#include "trace/sha256.h"

enum { CHUNK = 1 << 18 };

static enum tt_status hash_file(struct tt_sha256 *sha, const char *path, const char *name,
                                off_t size) {
  static char chunk[CHUNK]; /* the process does nothing else */
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return tt_fail(TT_BAD_INPUT, "%s: %s", path, strerror(errno));
  char length[24];
  int n_length = snprintf(length, sizeof length, "%lld", (long long)size);
  tt_sha256_add(sha, name, strlen(name) + 1);
  tt_sha256_add(sha, length, (size_t)n_length + 1);
  ssize_t n;
  while ((n = read(fd, chunk, sizeof chunk)) > 0) {
    tt_sha256_add(sha, chunk, (size_t)n);
    tt_sandbox_alive();
  }
  int error = errno;
  close(fd);
  return n == 0 ? TT_OK : tt_fail(TT_IO, "%s: %s", path, strerror(error));
}

/* Everything in `path`; the names hashed are those after its first `skip` bytes. */
static enum tt_status hash_folder(struct tt_sha256 *sha, const char *path, size_t skip) {
  char **names = NULL;
  size_t n = 0;
  enum tt_status status = tt_trace_list(path, &names, &n);
  for (size_t i = 0; i < n; i++) {
    char *below = status ? NULL : tt_format("%s/%s", path, names[i]);
    struct stat about;
    if (!status && !below)
      status = tt_fail(TT_NO_MEMORY, "out of memory");
    else if (!status && stat(below, &about) != 0)
      status = tt_fail(TT_BAD_INPUT, "%s: %s", below, strerror(errno));
    else if (!status && S_ISREG(about.st_mode))
      status = hash_file(sha, below, below + skip, about.st_size);
    else if (!status && S_ISDIR(about.st_mode) && lstat(below, &about) == 0 &&
             S_ISDIR(about.st_mode))
      status = hash_folder(sha, below, skip);
    tt_free(below);
    tt_free(names[i]);
  }
  tt_free(names);
  return status;
}

int tt_trace_checksum(int fd, void *user) {
  const struct tt_checksum_job *job = user;
  struct tt_sha256 sha;
  tt_sha256_init(&sha, true);
  size_t skip = strlen(job->path);
  while (skip > 1 && job->path[skip - 1] == '/')
    skip--;
  for (size_t i = 0; i < job->folders->n; i++)
    if (hash_folder(&sha, job->folders->items[i].path, skip + 1)) {
      const char *cause = tt_cause(tt_cause_count() - 1);
      tt_sandbox_write(fd, cause, strlen(cause));
      return 1;
    }
  char hex[65];
  tt_sha256_finish(&sha, hex);
  return tt_sandbox_write(fd, hex, 64) ? 0 : 1;
}
