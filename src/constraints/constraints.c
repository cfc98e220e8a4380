#include "constraints/constraints.h"

#include "base/mem.h"
#include "constraints/core.h"

struct tt_constraints *tt_constraints_new(void) {
  struct tt_constraints *c = tt_calloc(1, sizeof *c);
  if (c) {
    tt_names_init(&c->events);
    tt_names_init(&c->comms);
  }
  return c;
}

void tt_constraints_free(struct tt_constraints *c) {
  if (!c)
    return;
  tt_names_release(&c->events);
  tt_names_release(&c->comms);
  struct tt_relation *relations[] = {&c->next, &c->next_cpu, &c->cpu,    &c->tid,
                                     &c->comm, &c->ret,      &c->cpu_tid};
  for (size_t i = 0; i < sizeof relations / sizeof *relations; i++)
    tt_relation_release(relations[i]);
  tt_free(c->event_count);
  tt_free(c->rets);
  tt_free(c->dt);
  tt_free(c->ret_other);
  tt_free(c->ret_slots);
  tt_free(c);
}

enum tt_status tt_constraints_index_rets(struct tt_constraints *c) {
  c->ret_bits = 12; /* at most TT_RETS_MAX values: a quarter full */
  c->ret_slots = tt_calloc((size_t)1 << c->ret_bits, sizeof *c->ret_slots);
  if (!c->ret_slots)
    return tt_fail(TT_NO_MEMORY, "out of memory");
  for (size_t r = 0; r < c->n_rets; r++) {
    uint64_t i = ((uint64_t)c->rets[r] * 0x9E3779B97F4A7C15u) >> (64 - c->ret_bits);
    for (; c->ret_slots[i]; i = (i + 1) & (((uint64_t)1 << c->ret_bits) - 1))
      if (c->rets[c->ret_slots[i] - 1] == c->rets[r])
        return tt_fail(TT_BAD_INPUT, "return value %lld stands twice", (long long)c->rets[r]);
    c->ret_slots[i] = (uint32_t)r + 1;
  }
  return TT_OK;
}
