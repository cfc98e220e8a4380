#include "dataset/npy.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* magic, version 1.0, length of what follows (little-endian); then a Python dict literal. */
enum { PREFIX = 10, TEXT = TT_NPY_HEADER - PREFIX };
static const char prefix[PREFIX] = {
    '\x93', 'N', 'U', 'M', 'P', 'Y', 1, 0, (char)(TEXT & 255), (char)(TEXT >> 8)};

void tt_npy_header(const char *descr, uint64_t n, char ret[TT_NPY_HEADER]) {
  memset(ret, ' ', TT_NPY_HEADER);
  memcpy(ret, prefix, PREFIX);
  int length =
      snprintf(ret + PREFIX, TEXT,
               "{'descr': '%s', 'fortran_order': False, 'shape': (%" PRIu64 ",), }", descr, n);
  ret[PREFIX + length] = ' '; /* snprintf's NUL */
  ret[TT_NPY_HEADER - 1] = '\n';
}

struct cursor {
  const char *p, *end;
};

/* Steps over spaces and then `text`; false (only the spaces taken) when it isn't next. */
static bool take(struct cursor *c, const char *text) {
  while (c->p < c->end && *c->p == ' ')
    c->p++;
  size_t n = strlen(text);
  if ((size_t)(c->end - c->p) < n || memcmp(c->p, text, n) != 0)
    return false;
  c->p += n;
  return true;
}

static bool take_number(struct cursor *c, uint64_t *ret) {
  take(c, "");
  const char *start = c->p;
  uint64_t value = 0;
  for (; c->p < c->end && *c->p >= '0' && *c->p <= '9'; c->p++)
    if (__builtin_mul_overflow(value, 10, &value) ||
        __builtin_add_overflow(value, (uint64_t)(*c->p - '0'), &value))
      return false;
  *ret = value;
  return c->p > start;
}

enum tt_status tt_npy_check(const char header[TT_NPY_HEADER], const char *path, const char *descr,
                            uint64_t n) {
  if (memcmp(header, prefix, 6) != 0)
    return tt_fail(TT_BAD_INPUT, "%s: offset 0: not an .npy file", path);
  if (memcmp(header, prefix, PREFIX) != 0)
    return tt_fail(TT_BAD_INPUT, "%s: offset 6: not a version 1.0 header of %d bytes", path,
                   TT_NPY_HEADER);
  struct cursor c = {header + PREFIX, header + TT_NPY_HEADER - 1};
  bool seen_descr = false, seen_order = false, seen_shape = false;
  bool well = *c.end == '\n' && take(&c, "{");
  while (well && !take(&c, "}")) {
    uint64_t length = 0;
    char quoted[16];
    snprintf(quoted, sizeof quoted, "'%s'", descr);
    if (!seen_descr && take(&c, "'descr'")) {
      seen_descr = true;
      if (!take(&c, ":") || !take(&c, quoted))
        return tt_fail(TT_BAD_INPUT, "%s: offset %zd: the type is not '%s'", path, c.p - header,
                       descr);
    } else if (!seen_order && take(&c, "'fortran_order'")) {
      seen_order = true;
      if (!take(&c, ":") || (!take(&c, "False") && !take(&c, "True")))
        well = false; /* either order is the same in one dimension */
    } else if (!seen_shape && take(&c, "'shape'")) {
      seen_shape = true;
      if (!take(&c, ":") || !take(&c, "(") || !take_number(&c, &length) || !take(&c, ",") ||
          !take(&c, ")"))
        return tt_fail(TT_BAD_INPUT, "%s: offset %zd: the shape is not one-dimensional", path,
                       c.p - header);
      if (length != n)
        return tt_fail(TT_BAD_INPUT,
                       "%s: offset %zd: %" PRIu64 " events, but dataset.json makes it %" PRIu64,
                       path, c.p - header, length, n);
    } else {
      well = false;
    }
    if (well && !take(&c, ",")) {
      well = take(&c, "}");
      break;
    }
  }
  const char *stop = c.p;
  for (; well && c.p < c.end; c.p++)
    well = *c.p == ' ';
  if (!well || !seen_descr || !seen_order || !seen_shape)
    return tt_fail(TT_BAD_INPUT, "%s: offset %zd: malformed .npy header", path, stop - header);
  return TT_OK;
}
