/* Constraints: what real traces are seen to obey, mined from one dataset, checked and enforced on
 * others (docs/constraints.md has definitions, file format and proofs).
 *
 *   D_trans      pairs of successive events never seen in that order (merged stream)
 *   D_time       events whose distance to the previous event is outside [min, max] of their type
 *   D_cpu        events on a CPU where their type was never seen
 *   D_attr       events whose thread bucket, command or return value was never seen with their type
 *   d_trans_cpu  as D_trans, within each CPU's own stream (stricter; reported, not repaired)
 *
 * Events and commands are known by NAME, so constraints of one dataset apply to any other; a
 * binding translates ids. Nothing is mined or judged across a lost-event gap.
 *
 * Values are grouped into classes where exact values cannot carry over to another trace:
 *   thread  tid % 256, and class 256 for TT_TID_NONE (the poster's tid channel)
 *   comm    the command's index in `comms`, and class comms.n for TT_COMM_NONE
 *   ret     index in `rets` (the 1024 most frequent return values), class n_rets for every other
 *           value, class n_rets + 1 for TT_RET_NONE
 *
 * Thread safety: constraints and bindings are immutable once made. */
#ifndef CONSTRAINTS_CONSTRAINTS_H
#define CONSTRAINTS_CONSTRAINTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/names.h"
#include "base/status.h"
#include "constraints/relation.h"
#include "dataset/dataset.h"

#define TT_CONSTRAINTS_VERSION 1
#define TT_TID_CLASSES 257u /* 256 buckets and "none" */
#define TT_TID_CLASS_NONE 256u
#define TT_RETS_MAX 1024u

struct tt_dt_bounds { /* ns; min > max: the event never had a predecessor, no dt is legal */
  int64_t min, max;
};

/* A real thread that stands for its bucket when repair needs a concrete tid. */
struct tt_constraint_thread {
  int32_t tid;   /* the bucket's most frequent tid; TT_TID_NONE: bucket never seen */
  uint32_t comm; /* its most frequent comm class */
};

struct tt_constraints {   /* read-only to users */
  struct tt_names events; /* E names: all that occurred */
  struct tt_names comms;  /* all that occurred */
  uint64_t *event_count;  /* [E] */
  uint64_t mined;         /* events mined */
  int64_t *rets;          /* [n_rets] most frequent first */
  size_t n_rets;
  struct tt_relation next;     /* [E, E] successor in the merged stream: the graph of D_trans */
  struct tt_relation next_cpu; /* [E, E] successor on the same CPU */
  struct tt_relation cpu;      /* [E, highest CPU + 1] */
  struct tt_relation tid;      /* [E, TT_TID_CLASSES] */
  struct tt_relation comm;     /* [E, comms.n + 1] */
  struct tt_relation ret;      /* [E, n_rets + 2] */
  struct tt_relation cpu_tid;  /* [highest CPU + 1, TT_TID_CLASSES] buckets seen on each CPU */
  struct tt_dt_bounds *dt;     /* [E] to the previous row of the merged stream */
  int64_t *ret_other; /* [E] an example of class n_rets; 0 where the class is not allowed */
  struct tt_constraint_thread thread[256];
  uint32_t *ret_slots; /* open addressing over rets: index + 1; 2^ret_bits slots */
  unsigned ret_bits;
};

/* ---- making, keeping ---- */
/* One pass over the dataset (and one over its ret column before, to choose `rets`), parallel; the
 * result does not depend on the number of threads. TT_BAD_INPUT: the dataset is empty. */
enum tt_status tt_constraints_mine(const struct tt_dataset *dataset, struct tt_constraints **ret);
void tt_constraints_free(struct tt_constraints *c); /* accepts NULL */
/* JSON (docs/constraints.md); the same constraints give the same bytes. TT_EXISTS unless overwrite.
 */
enum tt_status tt_constraints_save(const struct tt_constraints *c, const char *path,
                                   bool overwrite);
/* Everything is checked: a damaged or foreign file is TT_BAD_INPUT naming what is wrong where. */
enum tt_status tt_constraints_load(const char *path, struct tt_constraints **ret);

/* ---- classes (inverse of what a dataset stores) ---- */
static inline uint32_t tt_constraints_tid_class(int32_t tid) {
  return tid == TT_TID_NONE ? TT_TID_CLASS_NONE : (uint32_t)tid % 256u;
}
static inline uint32_t tt_constraints_ret_class(const struct tt_constraints *c, int64_t ret) {
  if (ret == TT_RET_NONE)
    return (uint32_t)c->n_rets + 1;
  uint64_t i = ((uint64_t)ret * 0x9E3779B97F4A7C15u) >> (64 - c->ret_bits);
  for (uint32_t slot; (slot = c->ret_slots[i]); i = (i + 1) & (((uint64_t)1 << c->ret_bits) - 1))
    if (c->rets[slot - 1] == ret)
      return slot - 1;
  return (uint32_t)c->n_rets;
}

/* ---- binding: a dataset's (or vocabulary's) ids <-> the constraints' ids, by name ---- */
struct tt_binding {
  size_t n_events, n_comms; /* of the dictionaries bound */
  uint32_t *event;          /* [n_events] constraint id, or TT_NAME_NONE: unknown, always illegal */
  uint32_t *comm;           /* [n_comms] comm class, or TT_NAME_NONE */
  uint32_t *event_back;     /* [E] id in the dictionary, or TT_NAME_NONE: the dictionary lacks it */
  uint32_t *comm_back;      /* [comms.n] the same for commands */
};
enum tt_status tt_constraints_bind(const struct tt_constraints *c, const struct tt_names *events,
                                   const struct tt_names *comms, struct tt_binding *ret);
void tt_binding_release(struct tt_binding *binding);
/* The comm class of a dataset's comm id (TT_COMM_NONE included); TT_NAME_NONE: unknown. */
static inline uint32_t tt_binding_comm_class(const struct tt_constraints *c,
                                             const struct tt_binding *binding, uint32_t comm) {
  if (comm == TT_COMM_NONE)
    return (uint32_t)c->comms.n;
  return comm < binding->n_comms ? binding->comm[comm] : TT_NAME_NONE;
}

/* ---- checking ---- */
struct tt_distances {
  double d_trans, d_time, d_cpu, d_attr; /* fractions; exactly 0 when nothing is illegal */
  double d_trans_cpu;
  uint64_t events;
  uint64_t pairs, pairs_cpu; /* pairs judged: neighbours with no lost events between */
  uint64_t bad_trans, bad_time, bad_cpu, bad_attr, bad_trans_cpu; /* the numerators */
};
/* Parallel; the result does not depend on the number of threads. */
enum tt_status tt_constraints_check(const struct tt_constraints *c,
                                    const struct tt_dataset *dataset, struct tt_distances *ret);
/* True when D_trans, D_time, D_cpu and D_attr are all zero. */
bool tt_distances_zero(const struct tt_distances *distances);

/* ---- repairing ---- */
struct tt_repair_edits { /* events changed, per class; an event may stand in several */
  uint64_t events;       /* distinct events changed in any way */
  uint64_t substituted;  /* event replaced by another type */
  uint64_t exchanged;    /* re-timed: changed places with a neighbour of another CPU */
  uint64_t time;         /* dt moved into bounds (later events only shift: no edit of theirs) */
  uint64_t cpu;
  uint64_t tid, comm, ret;
};
struct tt_repair_result {
  struct tt_distances before, after; /* after: measured on what was written; the four are 0 */
  struct tt_repair_edits edits;
  double edit_rate; /* edits.events / events */
  uint64_t regions; /* stretches whose transitions had to be solved */
  int64_t shift_ns; /* how much later (or earlier) the last event is */
};
/* Writes to `path` a dataset that violates nothing, at the least cost 3 * substituted + exchanged
 * for its transitions (exact: docs/constraints.md). A dataset without violations comes out byte for
 * byte. `seed` decides the draws of thread, command and return values. TT_FAILED when the
 * transition graph admits no sequence of the length needed; TT_EXISTS unless overwrite. */
enum tt_status tt_constraints_repair(const struct tt_constraints *c,
                                     const struct tt_dataset *dataset, uint64_t seed,
                                     const char *path, bool overwrite,
                                     struct tt_repair_result *ret);

#endif
