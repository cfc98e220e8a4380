/* What events mean, told by their names: which begin and end a call or an interrupt, and which come
 * at any time. */
#include <string.h>

#include "base/mem.h"
#include "base/output.h"
#include "generators/rules/learn.h"

static const char *plain_name(const char *name) {
  const char *colon = strrchr(name, ':');
  return colon ? colon + 1 : name;
}

static enum tt_frame_kind interrupt_kind(const char *name) {
  if (strstr(name, "softirq_"))
    return TT_FRAME_SOFT;
  return strstr(name, "irq_handler_") || strstr(name, "irq_vectors") ||
                 strstr(name, "hrtimer_expire_")
             ? TT_FRAME_HARD
             : TT_FRAME_NONE;
}

/* "syscall_entry_read" -> "read", "irq_vectors:local_timer_entry" -> "local_timer". */
static char *call_name(const char *name, enum tt_frame_kind kind) {
  static const char *const prefixes[] = {"syscall_entry_", "sys_enter_", "x86_irq_vectors_"};
  const char *plain = plain_name(name);
  if (strncmp(plain, "compat_syscall_entry_", 21) == 0)
    return tt_format("compat_%s", plain + 21);
  for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
    if (strncmp(plain, prefixes[i], strlen(prefixes[i])) == 0) {
      plain += strlen(prefixes[i]);
      break;
    }
  int n = (int)strlen(plain);
  return kind == TT_FRAME_SYSCALL ? tt_strdup(plain) : tt_format("%.*s", n - 6, plain);
}

enum tt_status tt_facts_pair_events(struct tt_facts *facts, const struct tt_names *names) {
  bool timers = false;
  uint32_t soft = TT_NAME_NONE;
  facts->events = tt_calloc(names->n, sizeof *facts->events);
  if (!facts->events)
    return tt_fail(TT_NO_MEMORY, "%zu events", names->n);
  for (size_t i = 0; i < names->n; i++) {
    const char *name = names->names[i], *plain = plain_name(name);
    const struct tt_cast_event *event = &facts->cast.events[i];
    size_t length = strlen(name);
    facts->events[i].scheduling =
        strncmp(plain, "sched_", 6) == 0 || strncmp(plain, "rcu_", 4) == 0;
    enum tt_frame_kind kind = interrupt_kind(name);
    uint32_t partner = TT_NAME_NONE;
    if (event->role == TT_ROLE_ENTRY && event->partner != UINT16_MAX) {
      kind = TT_FRAME_SYSCALL;
      partner = event->partner;
    } else if (event->role == TT_ROLE_OTHER && kind != TT_FRAME_NONE && length > 6 &&
               strcmp(name + length - 6, "_entry") == 0) {
      char *other = tt_format("%.*s_exit", (int)length - 6, name);
      if (!other)
        return tt_fail(TT_NO_MEMORY, "pairing interrupts");
      partner = tt_names_find(names, other);
      tt_free(other);
    }
    if (partner == TT_NAME_NONE)
      continue;
    char *call = call_name(name, kind);
    bool taken = call && tt_names_find(&facts->calls, call) != TT_NAME_NONE;
    uint32_t id = call ? tt_names_add(&facts->calls, taken ? name : call) : TT_NAME_NONE;
    tt_free(call);
    if (id == TT_NAME_NONE)
      return tt_fail(TT_NO_MEMORY, "naming calls");
    struct tt_frame_event *entry = &facts->events[i], *leaving = &facts->events[partner];
    entry->kind = leaving->kind = (uint8_t)kind;
    entry->name = leaving->name = id;
    entry->entry = true;
    entry->starts = kind == TT_FRAME_HARD;
    entry->partner = (uint16_t)partner;
    leaving->partner = (uint16_t)i;
    timers |= kind == TT_FRAME_HARD && strstr(name, "timer");
    soft = kind == TT_FRAME_SOFT ? id : soft;
  }
  /* Without the timers' own interrupts their softirqs are all there is to see of them. */
  for (size_t i = 0; i < names->n && !timers && soft != TT_NAME_NONE; i++) {
    struct tt_frame_event *event = &facts->events[i];
    if (event->kind == TT_FRAME_SOFT && event->entry)
      event->starts = true;
    if (event->kind == TT_FRAME_NONE && interrupt_kind(names->names[i]) == TT_FRAME_SOFT) {
      event->starts = true; /* softirq_raise */
      event->name = soft;
    }
  }
  return TT_OK;
}
