#include "command.h"

#include "print.h"

int command_execute(const struct command *command, int argc, char **argv) {
  struct call call;
  int code = options_parse(argc, argv, &command->usage, command->options, &call);
  if (code < 0 && command->check)
    code = command->check(&command->usage);
  if (code >= 0)
    return code;
  enum tt_status status = command->work(&call);
  progress_done();
  if (status == TT_OK || status == TT_NEGATIVE)
    command->print(call.json);
  else
    print_causes(command->usage.name, status);
  return tt_status_exit_code(status);
}
