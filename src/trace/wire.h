/* What a decoder (child process) sends to the reader (parent) through its pipe: records of 32 bytes
 * in the machine's own byte order (both ends are one program).
 *
 *   hello   TRACE... STREAM... READY          once, before the first event
 *   body    EVENT [TT_AUX] | GAP | NAME_*     in the order of (ts, stream rank)
 *   end     END | ERROR                       always last; a pipe that closes without it: a crash
 *
 * Records with text (`ret` bytes of it) are followed by ceil(ret / 32) blocks that hold it. A name
 * precedes the first record that uses its id; ids are the decoder's own, counted from 0. */
#ifndef TRACE_WIRE_H
#define TRACE_WIRE_H

#include <stdint.h>

enum tt_wire_type {
  TT_WIRE_EVENT = 1,
  TT_WIRE_PSEUDO,     /* perf's state dump: updates the state, is not delivered */
  TT_WIRE_GAP,        /* ts..aux.end: events lost on `cpu`; ret: how many, 0 unknown */
  TT_WIRE_NAME_EVENT, /* text: the next event name's id is given to it */
  TT_WIRE_NAME_COMM,  /* text: the same for thread names */
  TT_WIRE_STREAM,     /* text: sort key of the next stream (its number: `stream`); ts: its clock's
                         origin in ns; role: enum tt_wire_format */
  TT_WIRE_READY,      /* the hello is over; ret: event streams of the whole trace */
  TT_WIRE_END,
  TT_WIRE_ERROR, /* text: why decoding failed; role: enum tt_status */
};

enum tt_wire_format { TT_FORMAT_CTF, TT_FORMAT_LTTNG, TT_FORMAT_PERF };

/* What an event says about threads. All but NONE carry a tt_wire_aux. */
enum tt_role {
  TT_ROLE_NONE,
  TT_ROLE_SWITCH, /* a leaves the CPU, b takes it */
  TT_ROLE_NAME,   /* thread b is called comm_b at this time */
  TT_ROLE_FORK,   /* a made b; comm_b may be unknown: a's */
  TT_ROLE_RENAME, /* b was comm_a (the event happens before; or unknown: it happens after) and is
                     comm_b from now on; tid_b may be unknown: the event's own thread */
  TT_ROLE_FORGET, /* the event's own thread is about to rename itself, nobody says how */
  TT_ROLE_EXECED, /* the event's own thread runs another program; its new name may have been said */
  TT_ROLE_SIDEBAND /* perf's record about thread a, filed under a CPU that says nothing */
};

struct tt_wire {
  int64_t ts;     /* ns from the clock's origin (LTTng: the epoch) */
  int64_t ret;    /* EVENT: return value or TT_RET_NONE */
  int32_t tid;    /* recorded in a context, or TT_TID_NONE */
  uint32_t comm;  /* recorded in a context, or TT_COMM_NONE */
  uint16_t event; /* decoder's id */
  uint16_t cpu;
  uint16_t stream; /* decoder's number */
  uint8_t type;    /* enum tt_wire_type */
  uint8_t role;    /* enum tt_role; GAP: 1 when the stream records sched_switch */
};

struct tt_wire_aux {
  int64_t end; /* GAP */
  int32_t tid_a, tid_b;
  uint32_t comm_a, comm_b;
  uint8_t sideband; /* the thread that did it is a, whatever the CPU (see TT_ROLE_SIDEBAND) */
  uint8_t unused[7];
};

_Static_assert(sizeof(struct tt_wire) == 32, "a record is one block");
_Static_assert(sizeof(struct tt_wire_aux) == 32, "its second half too");

#endif
