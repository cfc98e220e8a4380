/* Declared command-line options: a command gives a table, the parser fills the variables, and
 * --help is printed from the same table. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

enum option_type {
  OPTION_FLAG,    /* bool * */
  OPTION_STRING,  /* const char **: not empty */
  OPTION_LIST,    /* struct string_list *: may be repeated */
  OPTION_COUNT,   /* uint64_t *: a whole number >= 0 */
  OPTION_NUMBER,  /* double *: >= 0 */
  OPTION_THREADS, /* unsigned *: 0 (all CPUs) to MAX_THREADS */
  OPTION_END
};

struct option_spec {
  enum option_type type;
  char letter; /* 0: none */
  const char *name;
  const char *argument; /* what --help calls the value; NULL for flags */
  const char *help;
  void *value;
  const char *required; /* how it is called where it "is missing"; NULL: it may be */
};
/* Rows of a table: OPTION(STRING, 'o', "output", "DIR", "the folder", &variable). A required one is
 * missing while its variable is NULL (STRING) or 0 (COUNT). */
#define OPTION(type, letter, name, argument, help, value)                                          \
  { OPTION_##type, letter, name, argument, help, value, NULL }
#define REQUIRED_OPTION(type, letter, name, argument, help, value, as)                             \
  { OPTION_##type, letter, name, argument, help, value, as }
#define END_OPTIONS                                                                                \
  { OPTION_END, 0, NULL, NULL, NULL, NULL, NULL }

enum { MAX_LIST = 256, MAX_THREADS = 1024 };

struct string_list {
  const char *items[MAX_LIST];
  size_t n;
};

struct command_usage {
  const char *name;     /* "import" */
  const char *synopsis; /* "TRACE... -o DATASET" */
  const char *brief;    /* its line in `tracetwin --help` */
  const char *summary;  /* what its own --help says: a sentence */
  size_t min_operands, max_operands;
};

/* What the command line says to every command. */
struct call {
  bool help, json, quiet;
  struct string_list operands;
};

/* Fills `call` and the variables of `specs` (which lacks the options of every command: --help,
 * --json, --quiet). Returns -1 when the command should run, else the exit code to leave with: 0
 * after --help (printed on stdout), 2 after a usage error (told on stderr). */
int options_parse(int argc, char **argv, const struct command_usage *usage,
                  const struct option_spec *specs, struct call *call);

/* Tells a usage error on stderr; returns 2. */
int usage_error(const struct command_usage *usage, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
