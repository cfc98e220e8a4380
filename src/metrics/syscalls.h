/* System calls in a trace: which events open and close which call, how calls pair up on their
 * threads, and how long they take. Knows LTTng's names (syscall_entry_X / syscall_exit_X, compat_
 * variants, and exit_syscall / sys_X of LTTng before 2.6) and perf's (syscalls:sys_enter_X /
 * sys_exit_X, raw_syscalls:sys_enter / sys_exit). */
#ifndef METRICS_SYSCALLS_H
#define METRICS_SYSCALLS_H

#include "metrics/view.h"

enum tt_syscall_side { TT_SYSCALL_NOT, TT_SYSCALL_ENTRY, TT_SYSCALL_EXIT };

/* *ret_call: the call's name, "" where the event does not say (exit_syscall, raw_syscalls). */
enum tt_syscall_side tt_syscall_parse(const char *event_name, const char **ret_call);

struct tt_latency {
  uint32_t call; /* event id of the entry in the alphabet */
  int64_t ns;
};

struct tt_syscalls {
  uint64_t entries, exits, pairs;
  struct tt_latency *latencies; /* [pairs] owned, in order of the exits */
};

/* An exit pairs with its thread's open entry when the names agree (a side without a name agrees
 * with any). An entry whose thread enters another call first, or that a gap separates from its
 * exit, stays unpaired. Threads' calls still open at either end of the view are not counted
 * against it: exits before the thread's first entry, entries never followed on their thread. */
enum tt_status tt_syscalls_pair(const struct tt_view *view, const struct tt_alphabet *alphabet,
                                struct tt_syscalls *ret);
void tt_syscalls_release(struct tt_syscalls *syscalls);
/* 2 pairs / (entries + exits), NaN when there are none. */
double tt_syscalls_pairing_rate(const struct tt_syscalls *syscalls);

#endif
