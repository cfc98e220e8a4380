/* What a command is: cli/NAME.c defines one `struct command` and holds only what is NAME's own;
 * command_execute() does what all commands do. A process runs one command, once: its options and
 * results may be static. */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include <stdbool.h>

#include <tracetwin/status.h>

#include "options.h"

struct command {
  struct command_usage usage;
  const struct option_spec *options; /* its own, besides those of every command */
  /* Options that do not fit together: what usage_error() returned, else -1. NULL: nothing to do. */
  int (*check)(const struct command_usage *usage);
  enum tt_status (*work)(const struct call *call);
  void (*print)(bool json); /* its results on stdout, when work gave TT_OK or TT_NEGATIVE */
};

/* Parses, checks, works, tells a failure with its causes on stderr or prints the results; returns
 * the exit code. argv[0] is the command's name. */
int command_execute(const struct command *command, int argc, char **argv);

#endif
