#include "trace/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NOTE_SIZE = 1024, EXIT_STALLED = 101, PIPE_SIZE = 1 << 20 };

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HUGE_SHADOW 1 /* sanitizers reserve terabytes: no memory limit then */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HUGE_SHADOW 1
#endif
#endif

/* The child leaves by _exit, which skips what gcov does at exit: coverage builds ask for it here.
 */
void __gcov_dump(void) __attribute__((weak));

static volatile sig_atomic_t progress, progress_seen;
static char *child_note;

static void watchdog(int signal) {
  (void)signal;
  if (progress == progress_seen)
    _exit(EXIT_STALLED);
  progress_seen = progress;
}

void tt_sandbox_alive(void) {
  progress = (progress + 1) & 0xffffff;
}

void tt_sandbox_note(const char *text) {
  if (child_note)
    snprintf(child_note, NOTE_SIZE, "%s", text);
}

bool tt_sandbox_write(int fd, const void *data, size_t size) {
  const char *p = data;
  while (size > 0) {
    ssize_t n = write(fd, p, size);
    if (n < 0) {
      if (errno == EINTR)
        continue;
      return false;
    }
    p += n;
    size -= (size_t)n;
    tt_sandbox_alive();
  }
  return true;
}

static void limit_memory(void) {
#ifndef HUGE_SHADOW
  /* RLIMIT_DATA counts private writable memory, which the child shares with its parent by fork:
   * bound what it adds. /proc/self/statm: size resident shared text lib data (pages). */
  unsigned long data = 0;
  FILE *statm = fopen("/proc/self/statm", "re");
  if (!statm)
    return;
  int n = fscanf(statm, "%*u %*u %*u %*u %*u %lu", &data);
  fclose(statm);
  if (n != 1)
    return;
  rlim_t limit = (rlim_t)data * (rlim_t)sysconf(_SC_PAGESIZE) + TT_SANDBOX_MEMORY;
  setrlimit(RLIMIT_DATA, &(struct rlimit){limit, limit});
#endif
}

static int child_prepare(int fd, unsigned patience) {
  struct sigaction action = {.sa_handler = SIG_DFL};
  for (int s = 1; s < NSIG; s++)
    sigaction(s, &action, NULL); /* fails for SIGKILL and SIGSTOP, as it must */
  /* Ctrl-C reaches the whole process group: the parent decides, and stops us. */
  action.sa_handler = SIG_IGN;
  sigaction(SIGINT, &action, NULL);
  action.sa_handler = watchdog;
  action.sa_flags = SA_RESTART;
  sigaction(SIGPROF, &action, NULL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);

  int null = open("/dev/null", O_RDWR);
  if (null < 0)
    return -1;
  dup2(null, 0);
  dup2(null, 1);
  dup2(null, 2);
  if (fd != 3 && dup2(fd, 3) < 0)
    return -1;
  /* Above all the other decoders' pipes: held open here, their ends would never be seen. */
  if (close_range(4, ~0U, 0) != 0)
    return -1;
  setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
  limit_memory();
  progress = progress_seen = 0;
  setitimer(ITIMER_PROF, &(struct itimerval){{patience, 0}, {patience, 0}}, NULL);
  return 3;
}

enum tt_status tt_sandbox_start(int (*run)(int fd, void *user), void *user, unsigned patience,
                                struct tt_sandbox *ret) {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0)
    return tt_fail(TT_IO, "pipe for a decoder: %s", strerror(errno));
  fcntl(fds[1], F_SETPIPE_SZ, PIPE_SIZE); /* a wish: the default works too */
  char *note = mmap(NULL, NOTE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (note == MAP_FAILED) {
    close(fds[0]);
    close(fds[1]);
    return tt_fail(TT_NO_MEMORY, "page shared with a decoder: %s", strerror(errno));
  }
  pid_t pid = fork();
  if (pid < 0) {
    enum tt_status status = tt_fail(TT_FAILED, "cannot start a decoder: %s", strerror(errno));
    close(fds[0]);
    close(fds[1]);
    munmap(note, NOTE_SIZE);
    return status;
  }
  if (pid == 0) {
    child_note = note;
    int fd = child_prepare(fds[1], patience);
    int code = fd < 0 ? 100 : run(fd, user);
    if (__gcov_dump)
      __gcov_dump();
    _exit(code);
  }
  close(fds[1]);
  *ret = (struct tt_sandbox){.pid = pid, .fd = fds[0], .note = note};
  return TT_OK;
}

enum tt_status tt_sandbox_read(struct tt_sandbox *sandbox, void *buffer, size_t size,
                               size_t *ret_n) {
  if (sandbox->ended) {
    *ret_n = 0;
    return TT_OK;
  }
  for (;;) {
    if (tt_interrupted())
      return tt_fail(TT_INTERRUPTED, "interrupted");
    struct pollfd wait = {.fd = sandbox->fd, .events = POLLIN};
    int ready = poll(&wait, 1, 200);
    if (ready == 0 || (ready < 0 && errno == EINTR))
      continue;
    ssize_t n = ready < 0 ? -1 : read(sandbox->fd, buffer, size);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return tt_fail(TT_IO, "reading from a decoder: %s", strerror(errno));
    sandbox->ended = n == 0;
    *ret_n = (size_t)n;
    return TT_OK;
  }
}

void tt_sandbox_stop(struct tt_sandbox *sandbox, char *why, size_t why_size) {
  if (why_size > 0)
    why[0] = '\0';
  if (sandbox->pid <= 0)
    return;
  close(sandbox->fd);
  if (!sandbox->ended)
    kill(sandbox->pid, SIGKILL);
  int code = 0;
  while (waitpid(sandbox->pid, &code, 0) < 0 && errno == EINTR) {
  }
  if (why_size > 0) {
    sandbox->note[NOTE_SIZE - 1] = '\0';
    const char *at = sandbox->note[0] ? " at " : "";
    if (WIFSIGNALED(code))
      snprintf(why, why_size, "was killed by signal %d (%s)%s%s", WTERMSIG(code),
               strsignal(WTERMSIG(code)), at, sandbox->note);
    else if (WIFEXITED(code) && WEXITSTATUS(code) == EXIT_STALLED)
      snprintf(why, why_size, "runs in circles%s%s", at, sandbox->note);
    else if (WIFEXITED(code) && WEXITSTATUS(code) != 0)
      snprintf(why, why_size, "left with code %d%s%s", WEXITSTATUS(code), at, sandbox->note);
  }
  munmap(sandbox->note, NOTE_SIZE);
  *sandbox = (struct tt_sandbox){.fd = -1};
}
