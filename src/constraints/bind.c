#include <string.h>

#include "base/mem.h"
#include "constraints/constraints.h"

void tt_binding_release(struct tt_binding *binding) {
  tt_free(binding->event);
  tt_free(binding->comm);
  tt_free(binding->event_back);
  tt_free(binding->comm_back);
  memset(binding, 0, sizeof *binding);
}

/* there[i]: id in `to` of name i of `from`; TT_NAME_NONE when it lacks the name. */
static uint32_t *translate(const struct tt_names *from, const struct tt_names *to) {
  uint32_t *there = tt_alloc(from->n, sizeof *there);
  for (size_t i = 0; there && i < from->n; i++)
    there[i] = tt_names_find(to, from->names[i]);
  return there;
}

enum tt_status tt_constraints_bind(const struct tt_constraints *c, const struct tt_names *events,
                                   const struct tt_names *comms, struct tt_binding *ret) {
  struct tt_binding binding = {.n_events = events->n, .n_comms = comms->n};
  binding.event = translate(events, &c->events);
  binding.comm = translate(comms, &c->comms);
  binding.event_back = translate(&c->events, events);
  binding.comm_back = translate(&c->comms, comms);
  if (!binding.event || !binding.comm || !binding.event_back || !binding.comm_back) {
    tt_binding_release(&binding);
    return tt_fail(TT_NO_MEMORY, "out of memory");
  }
  *ret = binding;
  return TT_OK;
}
