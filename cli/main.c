/* The command: `tracetwin COMMAND ...`. Contract: docs/tracetwin.1. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <tracetwin/tracetwin.h>

#include "commands.h"

static const struct command *const commands[] = {
#define ENTRY(name) &command_##name,
    COMMAND_TABLE(ENTRY)
#undef ENTRY
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static void on_interrupt(int signal_number) {
  static volatile sig_atomic_t count;
  (void)signal_number;
  if (count++)
    _exit(130);
  tt_interrupt();
  static const char text[] = "\ntracetwin: stopping; again to leave at once\n";
  ssize_t ignored = write(STDERR_FILENO, text, sizeof text - 1);
  (void)ignored;
}

static void print_usage(FILE *out) {
  fputs("usage: tracetwin COMMAND [OPTION...]\n\ncommands:\n", out);
  for (size_t i = 0; i < N_COMMANDS; i++)
    fprintf(out, "  %-12s %s\n", commands[i]->usage.name, commands[i]->usage.brief);
  fputs("\n'tracetwin COMMAND --help' shows a command's options.\n"
        "exit codes: 0 done, 1 failure, 2 usage, 3 ran, verdict negative, 4 bad input file,\n"
        "            130 interrupted\n",
        out);
}

int main(int argc, char **argv) {
  if (argc < 2) {
    print_usage(stderr);
    return 2;
  }
  int code = 2;
  size_t i = 0;
  if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
    print_usage(stdout);
    code = 0;
  } else if (strcmp(argv[1], "--version") == 0) {
    printf("tracetwin %s\n", tt_version());
    code = 0;
  } else {
    while (i < N_COMMANDS && strcmp(argv[1], commands[i]->usage.name) != 0)
      i++;
    if (i == N_COMMANDS) {
      fprintf(stderr, "tracetwin: unknown command '%s'; see 'tracetwin --help'\n", argv[1]);
      return 2;
    }
    struct sigaction action = {.sa_handler = on_interrupt};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN); /* a closed stdout is an error below, not a death half way */
    signal(SIGXFSZ, SIG_IGN); /* so is a file beyond `ulimit -f` */
    code = command_execute(commands[i], argc - 1, argv + 1);
  }
  /* Results that nobody could read are a failure. */
  if ((fflush(stdout) != 0 || ferror(stdout)) && code == 0) {
    fprintf(stderr, "tracetwin: cannot write to standard output: %s\n", strerror(errno));
    code = 1;
  }
  return code;
}
