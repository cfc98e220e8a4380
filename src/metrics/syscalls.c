#include "metrics/syscalls.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "metrics/table.h"

enum tt_syscall_side tt_syscall_parse(const char *event_name, const char **ret_call) {
  static const struct {
    const char *prefix;
    enum tt_syscall_side side;
    bool whole; /* the name ends here and does not say which call */
  } forms[] = {
      {"syscall_entry_", TT_SYSCALL_ENTRY, false},
      {"syscall_exit_", TT_SYSCALL_EXIT, false},
      {"compat_syscall_entry_", TT_SYSCALL_ENTRY, false},
      {"compat_syscall_exit_", TT_SYSCALL_EXIT, false},
      {"syscalls:sys_enter_", TT_SYSCALL_ENTRY, false},
      {"syscalls:sys_exit_", TT_SYSCALL_EXIT, false},
      {"raw_syscalls:sys_enter", TT_SYSCALL_ENTRY, true},
      {"raw_syscalls:sys_exit", TT_SYSCALL_EXIT, true},
      {"exit_syscall", TT_SYSCALL_EXIT, true},
      {"compat_exit_syscall", TT_SYSCALL_EXIT, true},
      {"sys_", TT_SYSCALL_ENTRY, false},
      {"compat_sys_", TT_SYSCALL_ENTRY, false},
  };
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
    size_t length = strlen(forms[i].prefix);
    if (strncmp(event_name, forms[i].prefix, length) != 0 ||
        (forms[i].whole && event_name[length] != '\0'))
      continue;
    *ret_call = event_name + length;
    return forms[i].side;
  }
  return TT_SYSCALL_NOT;
}

enum thread_state { THREAD_NEW, THREAD_OUTSIDE, THREAD_INSIDE }; /* of a system call */

struct event_kind {
  enum tt_syscall_side side;
  uint32_t call; /* id of the call's name, TT_NAME_NONE: unnamed */
};

static enum tt_status classify(const struct tt_alphabet *alphabet, struct event_kind **ret) {
  struct tt_names calls;
  tt_names_init(&calls);
  enum tt_status status = TT_OK;
  struct event_kind *kinds = tt_calloc(alphabet->events.n, sizeof *kinds);
  if (!kinds) {
    status = tt_fail(TT_NO_MEMORY, "%zu event kinds", alphabet->events.n);
    goto cleanup;
  }
  for (size_t i = 0; i < alphabet->events.n; i++) {
    const char *call = "";
    kinds[i].side = tt_syscall_parse(alphabet->events.names[i], &call);
    kinds[i].call = TT_NAME_NONE;
    if (kinds[i].side == TT_SYSCALL_NOT || *call == '\0')
      continue;
    kinds[i].call = tt_names_add(&calls, call);
    if (kinds[i].call == TT_NAME_NONE) {
      status = tt_fail(TT_NO_MEMORY, "names of system calls");
      goto cleanup;
    }
  }
cleanup:
  tt_names_release(&calls);
  if (status == TT_OK)
    *ret = kinds;
  else
    tt_free(kinds);
  return status;
}

enum tt_status tt_syscalls_pair(const struct tt_view *view, const struct tt_alphabet *alphabet,
                                struct tt_syscalls *ret) {
  struct tt_syscalls found = {0};
  struct tt_table threads; /* tid -> v[0]: see enum thread_state; v[1]: row of the open entry */
  tt_table_init(&threads);
  struct event_kind *kinds = NULL;
  size_t capacity = 0;
  enum tt_status status = classify(alphabet, &kinds);
  if (status != TT_OK)
    goto cleanup;
  for (size_t i = 0; i < view->n; i++) {
    if (view->merged_fresh[i])
      tt_table_clear(&threads); /* what was open before a gap may have ended within it */
    const struct event_kind *kind = &kinds[view->event[i]];
    if (kind->side == TT_SYSCALL_NOT || view->tid[i] == TT_TID_NONE)
      continue;
    struct tt_slot *thread = tt_table_at(&threads, (uint32_t)view->tid[i]);
    if (!thread || tt_grow(&found.latencies, &capacity, found.pairs + 1, sizeof *found.latencies)) {
      status = tt_fail(TT_NO_MEMORY, "open system calls");
      goto cleanup;
    }
    enum thread_state state = (enum thread_state)thread->v[0];
    if (kind->side == TT_SYSCALL_ENTRY) {
      found.entries += state == THREAD_INSIDE; /* the call that never ended */
      thread->v[0] = THREAD_INSIDE;
      thread->v[1] = i;
      continue;
    }
    thread->v[0] = THREAD_OUTSIDE;
    if (state == THREAD_NEW)
      continue; /* entered before the view begins */
    found.exits++;
    if (state == THREAD_OUTSIDE)
      continue;
    found.entries++;
    size_t entry = (size_t)thread->v[1];
    const struct event_kind *opened = &kinds[view->event[entry]];
    if (opened->call != TT_NAME_NONE && kind->call != TT_NAME_NONE && opened->call != kind->call)
      continue;
    found.latencies[found.pairs++] =
        (struct tt_latency){.call = view->event[entry], .ns = view->ts[i] - view->ts[entry]};
  }
cleanup:
  tt_table_release(&threads);
  tt_free(kinds);
  if (status == TT_OK)
    *ret = found;
  else
    tt_free(found.latencies);
  return status;
}

void tt_syscalls_release(struct tt_syscalls *syscalls) {
  tt_free(syscalls->latencies);
  *syscalls = (struct tt_syscalls){0};
}

double tt_syscalls_pairing_rate(const struct tt_syscalls *syscalls) {
  uint64_t sides = syscalls->entries + syscalls->exits;
  return sides ? 2.0 * (double)syscalls->pairs / (double)sides : NAN;
}
