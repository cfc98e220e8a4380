/* The options of generator training that `train` and `run` share. `job` has the fields, `settings`
 * is a string_list. */
#ifndef CLI_MODEL_OPTIONS_H
#define CLI_MODEL_OPTIONS_H

#define MODEL_OPTIONS(job)                                                                         \
  {OPTION_STRING, 0, "generator", "NAME", "which generator", &(job).generator},                    \
      {OPTION_STRING, 0, "backbone", "NAME", "ddpm: transformer", &(job).backbone},                \
      {OPTION_COUNT,  0, "context", "L", "events per window (64-4096); markov: order (1-6)",       \
       &(job).context},                                                                            \
      {OPTION_STRING,  0, "channels", "LIST", "base, system, full (default) or names",             \
       &(job).channels},                                                                           \
      {OPTION_STRING, 0, "stream", "KIND", "windows from each 'cpu' stream or the 'merged' one",   \
       &(job).stream},                                                                             \
      {OPTION_LIST, 0, "set", "NAME=VALUE", "a setting of the generator (repeatable)", &settings}, \
  {                                                                                                \
    OPTION_NUMBER, 0, "minutes", "M", "training time (default 5)", &(job).minutes                  \
  }

#endif
