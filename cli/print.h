/* What commands print: a list of named fields, as aligned text or as one JSON object; failures with
 * their causes; progress. */
#ifndef CLI_PRINT_H
#define CLI_PRINT_H

#include <stdbool.h>
#include <stdint.h>

#include <tracetwin/evaluate.h>
#include <tracetwin/progress.h>
#include <tracetwin/status.h>

enum field_type { FIELD_COUNT, FIELD_NUMBER, FIELD_TEXT, FIELD_OBJECT, FIELD_END };

struct field {
  enum field_type type;
  const char *name;
  uint64_t count;
  double number; /* NaN prints as null */
  const char *text;
  const struct field *object;
};

#define F_COUNT(n, v)                                                                              \
  { FIELD_COUNT, n, v, 0, NULL, NULL }
#define F_NUMBER(n, v)                                                                             \
  { FIELD_NUMBER, n, 0, v, NULL, NULL }
#define F_TEXT(n, v)                                                                               \
  { FIELD_TEXT, n, 0, 0, v, NULL }
#define F_OBJECT(n, v)                                                                             \
  { FIELD_OBJECT, n, 0, 0, NULL, v }
#define F_END                                                                                      \
  { FIELD_END, NULL, 0, 0, NULL, NULL }

void print_fields(const struct field *fields, bool json);

/* Prints a report and releases it. */
void print_report(struct tt_report_text *report, bool json);

/* Prints the causes of a failure on stderr, outermost first. */
void print_causes(const char *command, enum tt_status status);

/* Progress on stderr: a live line on a terminal, else a line every 10 s; none when quiet. */
struct tt_progress progress_printer(bool quiet);
/* Ends the live line, if there is one. */
void progress_done(void);

#endif
