/* What an LTTng kernel trace calls things: one table of event names as perf spells them, one of
 * events with their payload, one of system calls with their arguments. Field names and types are
 * those of lttng-modules 2.x (include/instrumentation/events, and the metadata of real traces);
 * lttng_statedump_* have the 2.8 layout, the one lttng-analyses reads. */
#ifndef TRACE_PAYLOAD_TABLE_H
#define TRACE_PAYLOAD_TABLE_H

#include <stdbool.h>
#include <stddef.h>

/* What an event means to the scheduler state (payload_state.h), X(name). */
#define TT_PAYLOAD_KINDS(X)                                                                        \
  X(PLAIN)     /* nothing */                                                                       \
  X(SWITCH)    /* sched_switch */                                                                  \
  X(WAKING)    /* sched_waking */                                                                  \
  X(WAKEUP)    /* sched_wakeup */                                                                  \
  X(NEWBORN)   /* sched_wakeup_new */                                                              \
  X(MIGRATE)   /* sched_migrate_task */                                                            \
  X(FORK)      /* sched_process_fork */                                                            \
  X(DEATH)     /* sched_process_exit */                                                            \
  X(BURIAL)    /* sched_process_free */                                                            \
  X(CURRENT)   /* names a thread that has been scheduled in before: sched_pi_setprio */            \
  X(RUNTIME)   /* sched_stat_runtime */                                                            \
  X(DELAY)     /* sched_stat_sleep and the like: about the thread last woken */                    \
  X(SYSCALL)   /* entry of a system call */                                                        \
  X(RETURN)    /* exit of a system call */                                                         \
  X(RETURN_FD) /* exit of a system call that returns a new file descriptor */                      \
  X(IRQ_BEGIN) /* irq_handler_entry */                                                             \
  X(IRQ_END)   /* irq_handler_exit */                                                              \
  X(RAISE)     /* irq_softirq_raise */                                                             \
  X(SOFTIRQ_BEGIN)                                                                                 \
  X(SOFTIRQ_END)                                                                                   \
  X(IDLE)        /* power_cpu_idle */                                                              \
  X(DUMP_THREAD) /* lttng_statedump_process_state */

enum tt_payload_kind {
#define TT_PAYLOAD_KIND_ENUM(name) TT_KIND_##name,
  TT_PAYLOAD_KINDS(TT_PAYLOAD_KIND_ENUM)
#undef TT_PAYLOAD_KIND_ENUM
};

/* Values that a payload field can take from the scheduler state, X(name): `name:type=source`.
 * "other" is the second thread of the event: the next one of a switch, the one woken, the child. */
#define TT_PAYLOAD_SOURCES(X)                                                                      \
  X(now) /* the event's time stamp, ns */                                                          \
  X(cpu)                                                                                           \
  X(tid) /* the running thread */                                                                  \
  X(prio)                                                                                          \
  X(ret)    /* return value of a system call; 0 where the event has none */                        \
  X(fd)     /* the file descriptor that this thread got last, 3 before */                          \
  X(size)   /* bytes asked for: what the call will return, or 4096 */                              \
  X(object) /* a kernel address of this CPU's own */                                               \
  X(other_tid)                                                                                     \
  X(other_prio)                                                                                    \
  X(other_cpu)  /* where the other thread will run */                                              \
  X(from_cpu)   /* where it ran before (sched_migrate_task) */                                     \
  X(prev_state) /* sched_switch: 0 still runnable, 1 sleeping, 64 dead */                          \
  X(irq)                                                                                           \
  X(vec)        /* soft interrupt's number */                                                      \
  X(idle_state) /* power_cpu_idle: 1, or 4294967295 on leaving */                                  \
  X(runtime)    /* ns since this CPU's last switch or sched_stat_runtime */

enum tt_payload_source {
#define TT_PAYLOAD_SOURCE_ENUM(name) TT_SOURCE_##name,
  TT_PAYLOAD_SOURCES(TT_PAYLOAD_SOURCE_ENUM)
#undef TT_PAYLOAD_SOURCE_ENUM
      TT_SOURCE_COUNT,
  TT_SOURCE_comm = TT_SOURCE_COUNT, /* char[16]: name of the running thread */
  TT_SOURCE_other_comm,             /* char[16]: name of the other thread */
  TT_SOURCE_constant
};

/* Names: the longest matching start `from` of an event's name becomes `to`. A name with a colon
 * that no rule matches becomes subsystem_event, or event where that starts with the subsystem. */
struct tt_payload_rename {
  const char *from, *to;
};
extern const struct tt_payload_rename tt_payload_renames[];
extern const size_t tt_payload_renames_n;

/* Fields, separated by spaces: NAME:TYPE[=VALUE].
 *   i8..i64, u8..u64, x8..x64 (hexadecimal)  VALUE a source above or a constant (0x allowed)
 *   comm                                     char[16]; VALUE comm or other_comm
 *   text, text32                             string, char[32]; VALUE 'in quotes'
 * Without VALUE: 0 or "". */
struct tt_payload_event {
  const char *name;
  enum tt_payload_kind kind;
  const char *fields;
};
extern const struct tt_payload_event tt_payload_events[];
extern const size_t tt_payload_events_n;

struct tt_payload_syscall {
  const char *name; /* without syscall_entry_ */
  bool returns_fd;
  const char *fields; /* of the entry */
};
extern const struct tt_payload_syscall tt_payload_syscalls[];
extern const size_t tt_payload_syscalls_n;

#endif
