/* Options that several commands have: rows for their tables. `job` is the command's, with fields
 * of these names. */
#ifndef CLI_SHARED_OPTIONS_H
#define CLI_SHARED_OPTIONS_H

#include "options.h"

#define OUTPUT_OPTION(argument, help, job)                                                         \
  REQUIRED_OPTION(STRING, 'o', "output", argument, help, &(job).output, "-o " argument)
#define FORCE_OPTION(job) OPTION(FLAG, 'f', "force", NULL, "overwrite the output", &(job).overwrite)
#define CONSTRAINTS_OPTION(path)                                                                   \
  REQUIRED_OPTION(STRING, 'c', "constraints", "FILE", "the constraints file", &(path),             \
                  "--constraints FILE")
#define ARMS_OPTION(job)                                                                           \
  OPTION(STRING, 0, "arms", "LIST", "beside TRTR: tstr, combined (default: both)", &(job).arms)
#define TRTR_OPTION(job)                                                                           \
  OPTION(STRING, 0, "trtr", "REPORT", "take TRTR from a report of the same real data", &(job).trtr)
#define ORIGINAL_OPTION(flag)                                                                      \
  OPTION(FLAG, 0, "original", NULL, "ddpm as it was published, to compare with", &(flag))
#define SEED_OPTION(job) OPTION(COUNT, 0, "seed", "S", "seed (default 1)", &(job).seed)
#define THREADS_OPTION(job)                                                                        \
  OPTION(THREADS, 0, "threads", "N", "threads (default: all CPUs)", &(job).threads)

/* How a generator is trained; `settings` is a string_list. */
#define MODEL_OPTIONS(job, settings)                                                               \
  OPTION(STRING, 0, "generator", "NAME",                                                           \
         "masked (default), ar, ddpm, markov, rules, seqgan, maligan", &(job).generator),          \
      OPTION(STRING, 0, "backbone", "NAME", "ddpm: transformer (default) or unet",                 \
             &(job).backbone),                                                                     \
      OPTION(COUNT, 0, "context", "L",                                                             \
             "events per window (ddpm 64-4096, others 8-4096); markov: order (1-6)",               \
             &(job).context),                                                                      \
      OPTION(STRING, 0, "channels", "LIST", "base, system, full (default) or names",               \
             &(job).channels),                                                                     \
      OPTION(STRING, 0, "stream", "KIND", "windows from each 'cpu' stream or the 'merged' one",    \
             &(job).stream),                                                                       \
      OPTION(LIST, 0, "set", "NAME=VALUE", "a setting of the generator (repeatable)",              \
             &(settings)),                                                                         \
      OPTION(NUMBER, 0, "minutes", "M", "training time (default 5)", &(job).minutes)

/* What --original stands for: --generator ddpm --stream merged --set original=1, the first two
 * where nothing else was said. False when there are too many settings. */
static inline bool take_original(bool original, struct string_list *settings,
                                 const char **generator, const char **stream) {
  if (!original)
    return true;
  if (settings->n == MAX_LIST)
    return false;
  settings->items[settings->n++] = "original=1";
  *generator = *generator ? *generator : "ddpm";
  *stream = *stream ? *stream : "merged";
  return true;
}

#endif
