#include "print.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void json_string(const char *text) {
  putchar('"');
  for (; *text; text++) {
    unsigned char c = (unsigned char)*text;
    if (c == '"' || c == '\\')
      printf("\\%c", c);
    else if (c < 0x20)
      printf("\\u%04x", c);
    else
      putchar(c);
  }
  putchar('"');
}

static void json_object(const struct field *fields) {
  putchar('{');
  for (const struct field *f = fields; f->type != FIELD_END; f++) {
    if (f != fields)
      fputs(", ", stdout);
    json_string(f->name);
    fputs(": ", stdout);
    switch (f->type) {
    case FIELD_COUNT:
      printf("%llu", (unsigned long long)f->count);
      break;
    case FIELD_NUMBER:
      if (isfinite(f->number))
        printf("%.10g", f->number);
      else
        fputs("null", stdout);
      break;
    case FIELD_TEXT:
      json_string(f->text);
      break;
    case FIELD_OBJECT:
      json_object(f->object);
      break;
    case FIELD_END:
      break;
    }
  }
  putchar('}');
}

static void text_lines(const struct field *fields, const char *prefix) {
  for (const struct field *f = fields; f->type != FIELD_END; f++) {
    char name[96];
    snprintf(name, sizeof name, "%s%s%s", prefix, *prefix ? "." : "", f->name);
    switch (f->type) {
    case FIELD_COUNT:
      printf("%-20s %llu\n", name, (unsigned long long)f->count);
      break;
    case FIELD_NUMBER:
      if (isfinite(f->number))
        printf("%-20s %.6g\n", name, f->number);
      else
        printf("%-20s -\n", name);
      break;
    case FIELD_TEXT:
      printf("%-20s %s\n", name, f->text);
      break;
    case FIELD_OBJECT:
      text_lines(f->object, f->name);
      break;
    case FIELD_END:
      break;
    }
  }
}

void print_fields(const struct field *fields, bool json) {
  if (json) {
    json_object(fields);
    putchar('\n');
  } else {
    text_lines(fields, "");
  }
}

void print_report(struct tt_report_text *report, bool json) {
  fputs(json ? report->json : report->text, stdout);
  tt_report_release(report);
}

void print_causes(const char *command, enum tt_status status) {
  size_t n = tt_cause_count();
  if (n == 0)
    fprintf(stderr, "tracetwin %s: %s\n", command, tt_status_text(status));
  for (size_t i = n; i-- > 0;)
    fprintf(stderr, "tracetwin %s: %s%s\n", command, i + 1 < n ? "  because: " : "", tt_cause(i));
}

static struct {
  bool live; /* a line without its end stands on the terminal */
  double last;
  const char *stage;
} shown;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void show(void *user, const struct tt_progress_report *p) {
  (void)user;
  bool terminal = isatty(STDERR_FILENO);
  double t = now();
  bool new_stage = !shown.stage || strcmp(shown.stage, p->stage) != 0;
  if (!shown.stage)
    shown.last = t;
  shown.stage = p->stage;
  /* Elsewhere than on a terminal nothing is said of what takes less than ten seconds. */
  if (t - shown.last < (terminal ? 0.2 : 10.0) && !(terminal && new_stage))
    return;
  shown.last = t;
  if (new_stage)
    progress_done();
  char line[160];
  int n = snprintf(line, sizeof line, "%s: %llu", p->stage, (unsigned long long)p->done);
  if (p->total)
    n += snprintf(line + n, sizeof line - (size_t)n, "/%llu", (unsigned long long)p->total);
  n += snprintf(line + n, sizeof line - (size_t)n, " %s, %.3g/s", p->unit, p->rate);
  if (isfinite(p->loss))
    n += snprintf(line + n, sizeof line - (size_t)n, ", loss %.4g", p->loss);
  if (isfinite(p->seconds_left))
    snprintf(line + n, sizeof line - (size_t)n, ", %.0f s left", p->seconds_left);
  if (terminal) {
    fprintf(stderr, "\r\033[K%s", line);
    shown.live = true;
  } else {
    fprintf(stderr, "%s\n", line);
  }
}

void progress_done(void) {
  if (shown.live)
    fputc('\n', stderr);
  shown.live = false;
}

struct tt_progress progress_printer(bool quiet) {
  struct tt_progress progress = {quiet ? NULL : show, NULL};
  return progress;
}
