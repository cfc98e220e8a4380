/* Every command, in the order of `tracetwin --help`: X(NAME) is cli/NAME.c. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "command.h"

#define COMMAND_TABLE(X)                                                                           \
  X(run)                                                                                           \
  X(import)                                                                                        \
  X(info)                                                                                          \
  X(split)                                                                                         \
  X(train)                                                                                         \
  X(generate)                                                                                      \
  X(fill)                                                                                          \
  X(constraints)                                                                                   \
  X(check)                                                                                         \
  X(repair)                                                                                        \
  X(predict)                                                                                       \
  X(evaluate)                                                                                      \
  X(export)

#define DECLARE(name) extern const struct command command_##name;
COMMAND_TABLE(DECLARE)
#undef DECLARE

#endif
