/* Event types as a kernel trace in LTTng's terms has them: name, meaning, and payload compiled to
 * bytes to copy and places to fill in. */
#ifndef TRACE_PAYLOAD_H
#define TRACE_PAYLOAD_H

#include <stddef.h>
#include <stdint.h>

#include "base/names.h"
#include "base/status.h"
#include "trace/payload_table.h"

#define TT_PAYLOAD_COMM 16 /* bytes of a command name in a trace, as in the kernel */

struct tt_payload_patch {
  uint16_t offset; /* in the payload */
  uint8_t size;    /* 1, 2, 4, 8: the low bytes of a value; 16: a command name */
  uint8_t source;  /* enum tt_payload_source */
};

struct tt_payload_class {
  char *name;           /* as exported, owned, unique within the trace */
  char *metadata;       /* its fields in TSDL, owned */
  unsigned char *bytes; /* [size] little-endian, owned: the payload but for the patches */
  struct tt_payload_patch *patches; /* [n_patches] owned */
  size_t size, n_patches;
  enum tt_payload_kind kind;
};

struct tt_payload {
  struct tt_payload_class *classes; /* [n] by event id */
  size_t n;
};

/* The exported name of an event ("sched:sched_switch" -> "sched_switch"); owned by the caller, NULL
 * when memory is short. Characters other than letters, digits and _ become _. */
char *tt_payload_name(const char *event_name);

/* Compiles the classes of all events of a dictionary. Two events that would have the same name get
 * _2, _3, ... in order of id. Release with tt_payload_release(), also after a failure. */
enum tt_status tt_payload_compile(const struct tt_names *event_names, struct tt_payload *ret);
void tt_payload_release(struct tt_payload *payload);

/* Cuts a name to TT_PAYLOAD_COMM - 1 bytes, NUL-padded; what is not UTF-8 becomes '?'. */
void tt_payload_comm(const char *name, unsigned char ret[TT_PAYLOAD_COMM]);
/* The priority of a thread of that name as LTTng counts it, from -100 (real time, highest) over 20
 * (nice 0) to 39. Only the kernel's own threads are told apart: names say that much. */
int8_t tt_payload_prio(const char *name);

#endif
