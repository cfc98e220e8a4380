/* What the decoder needs to know of an event class, found once per class: where its return value,
 * thread and names are (field indices: nothing is looked up by name per event), and what it tells
 * the scheduler state. Runs in the decoder's process only. */
#ifndef TRACE_CTF_CLASS_H
#define TRACE_CTF_CLASS_H

#include <babeltrace2/babeltrace.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/names.h"
#include "trace/wire.h"

enum tt_ctf_scope { TT_SCOPE_NONE, TT_SCOPE_PAYLOAD, TT_SCOPE_SPECIFIC, TT_SCOPE_COMMON };
enum tt_ctf_kind { TT_KIND_SIGNED, TT_KIND_UNSIGNED, TT_KIND_STRING };

struct tt_ctf_field { /* a member of one of the event's structures; scope NONE: there is none */
  uint8_t scope, kind;
  uint16_t index;
};

struct tt_ctf_class {
  const bt_event_class *key;
  uint16_t id;   /* in the decoder's event names */
  uint8_t role;  /* enum tt_role */
  bool sideband; /* perf's own record (perf_comm, ...): pseudo at time 0 */
  bool exec;     /* comm_b is the file's name without folders, cut like the kernel does */
  struct tt_ctf_field ret;
  struct tt_ctf_field tid, tid_fallback, comm; /* of the running thread, recorded with the event */
  struct tt_ctf_field cpu;                     /* where the packet does not say it */
  struct tt_ctf_field condition; /* of the role: when it is there, it must have this value */
  int64_t condition_value;
  struct tt_ctf_field tid_a, tid_b, comm_a, comm_b; /* as enum tt_role has them */
};

/* Fills in what `event_class` is; `is_perf`: the trace was made by perf. `id` is left 0. */
void tt_ctf_class_init(struct tt_ctf_class *ret, const bt_event_class *event_class, bool is_perf);
/* Finds an integer or string member of a structure class (NULL: none), by its name. */
struct tt_ctf_field tt_ctf_find_member(const bt_field_class *structure, const char *name,
                                       enum tt_ctf_scope scope);

/* The structure of an event that a field stands in; NULL when the event lacks it. */
static inline const bt_field *tt_ctf_borrow(const bt_event *event, struct tt_ctf_field f) {
  const bt_field *structure =
      f.scope == TT_SCOPE_PAYLOAD    ? bt_event_borrow_payload_field_const(event)
      : f.scope == TT_SCOPE_SPECIFIC ? bt_event_borrow_specific_context_field_const(event)
                                     : bt_event_borrow_common_context_field_const(event);
  return structure ? bt_field_structure_borrow_member_field_by_index_const(structure, f.index)
                   : NULL;
}

/* An integer member's value, `missing` when there is none. */
static inline int64_t tt_ctf_integer(const bt_event *event, struct tt_ctf_field f,
                                     int64_t missing) {
  if (f.scope == TT_SCOPE_NONE || f.kind == TT_KIND_STRING)
    return missing;
  const bt_field *field = tt_ctf_borrow(event, f);
  if (!field)
    return missing;
  return f.kind == TT_KIND_SIGNED ? bt_field_integer_signed_get_value(field)
                                  : (int64_t)bt_field_integer_unsigned_get_value(field);
}

/* A string member's value, or NULL. */
static inline const char *tt_ctf_string(const bt_event *event, struct tt_ctf_field f) {
  if (f.scope == TT_SCOPE_NONE || f.kind != TT_KIND_STRING)
    return NULL;
  const bt_field *field = tt_ctf_borrow(event, f);
  return field ? bt_field_string_get_value(field) : NULL;
}

#endif
