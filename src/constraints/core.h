/* Shared by the parts of this module: the same functions over plain rows, without a dataset. */
#ifndef CONSTRAINTS_CORE_H
#define CONSTRAINTS_CORE_H

#include "constraints/constraints.h"
#include "constraints/rows.h"

/* Labels of events inside the algorithms: constraint ids, or "unknown to the constraints". */
#define TT_LABEL_NONE UINT16_MAX

/* An empty set of constraints, zeroed; NULL: out of memory. */
struct tt_constraints *tt_constraints_new(void);
/* Fills ret_slots from rets. Fails on out of memory, and with TT_BAD_INPUT on a value twice. */
enum tt_status tt_constraints_index_rets(struct tt_constraints *c);

enum tt_status tt_mine_rows(const struct tt_rows *rows, const struct tt_names *events,
                            const struct tt_names *comms, struct tt_constraints **ret);
enum tt_status tt_check_rows(const struct tt_constraints *c, const struct tt_binding *binding,
                             const struct tt_rows *rows, struct tt_distances *ret);

static inline uint16_t tt_label(const struct tt_binding *binding, uint16_t event) {
  return (uint16_t)binding->event[event]; /* TT_NAME_NONE becomes TT_LABEL_NONE */
}
static inline bool tt_dt_known(const struct tt_constraints *c, uint16_t label) {
  return c->dt[label].min <= c->dt[label].max;
}
static inline bool tt_dt_legal(const struct tt_constraints *c, uint16_t label, int64_t dt) {
  return dt >= c->dt[label].min && dt <= c->dt[label].max;
}

#endif
