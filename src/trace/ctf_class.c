#include "trace/ctf_class.h"

#include <string.h>
#include <sys/prctl.h>

/* Events that speak of threads. `name` is LTTng's; perf has the same behind "subsystem:", and says
 * pid where LTTng says tid (so does the kernel: its pid is a thread's id). Empty: no such field. */
struct speaker {
  const char *name, *tid_a, *comm_a, *tid_b, *comm_b;
  enum tt_role role;
};

static const struct speaker speakers[] = {
    {"sched_switch", "prev_tid", "prev_comm", "next_tid", "next_comm", TT_ROLE_SWITCH},
    {"sched_process_fork", "parent_tid", "parent_comm", "child_tid", "child_comm", TT_ROLE_FORK},
    {"sched_process_exec", "", "", "tid", "filename", TT_ROLE_RENAME},
    {"task_newtask", "", "", "tid", "comm", TT_ROLE_FORK},
    {"task_rename", "", "oldcomm", "tid", "newcomm", TT_ROLE_RENAME},
    {"sched_wakeup", "", "", "tid", "comm", TT_ROLE_NAME},
    {"sched_wakeup_new", "", "", "tid", "comm", TT_ROLE_NAME},
    {"sched_waking", "", "", "tid", "comm", TT_ROLE_NAME},
    {"sched_migrate_task", "", "", "tid", "comm", TT_ROLE_NAME},
    {"sched_process_exit", "", "", "tid", "comm", TT_ROLE_NAME},
    {"sched_process_free", "", "", "tid", "comm", TT_ROLE_NAME},
    {"sched_stat_wait", "", "", "tid", "comm", TT_ROLE_NAME},
    {"sched_stat_sleep", "", "", "tid", "comm", TT_ROLE_NAME},
    {"sched_stat_iowait", "", "", "tid", "comm", TT_ROLE_NAME},
    {"sched_stat_blocked", "", "", "tid", "comm", TT_ROLE_NAME},
    {"sched_stat_runtime", "", "", "tid", "comm", TT_ROLE_NAME},
    {"lttng_statedump_process_state", "", "", "tid", "name", TT_ROLE_NAME},
};

/* perf's own records (tools/perf/util/data-convert-bt.c); a is the thread that did it. */
static const struct speaker sidebands[] = {
    {"perf_comm", "tid", "", "tid", "comm", TT_ROLE_RENAME},
    {"perf_fork", "ptid", "", "tid", "", TT_ROLE_FORK},
    {"perf_exit", "tid", "", "", "", TT_ROLE_SIDEBAND},
    {"perf_mmap", "tid", "", "", "", TT_ROLE_SIDEBAND},
    {"perf_mmap2", "tid", "", "", "", TT_ROLE_SIDEBAND},
};

struct tt_ctf_field tt_ctf_find_member(const bt_field_class *structure, const char *name,
                                       enum tt_ctf_scope scope) {
  struct tt_ctf_field none = {.scope = TT_SCOPE_NONE};
  if (!structure || !name[0])
    return none;
  uint64_t n = bt_field_class_structure_get_member_count(structure);
  for (uint64_t i = 0; i < n && i <= UINT16_MAX; i++) {
    const bt_field_class_structure_member *member =
        bt_field_class_structure_borrow_member_by_index_const(structure, i);
    if (strcmp(bt_field_class_structure_member_get_name(member), name) != 0)
      continue;
    bt_field_class_type type =
        bt_field_class_get_type(bt_field_class_structure_member_borrow_field_class_const(member));
    struct tt_ctf_field found = {.scope = (uint8_t)scope, .index = (uint16_t)i};
    if (bt_field_class_type_is(type, BT_FIELD_CLASS_TYPE_SIGNED_INTEGER))
      found.kind = TT_KIND_SIGNED;
    else if (bt_field_class_type_is(type, BT_FIELD_CLASS_TYPE_UNSIGNED_INTEGER))
      found.kind = TT_KIND_UNSIGNED;
    else if (bt_field_class_type_is(type, BT_FIELD_CLASS_TYPE_STRING))
      found.kind = TT_KIND_STRING;
    else
      return none;
    return found;
  }
  return none;
}

/* A payload member by LTTng's name, or by perf's: "tid" -> "pid", "prev_tid" -> "prev_pid". */
static struct tt_ctf_field payload_member(const bt_field_class *payload, const char *name) {
  struct tt_ctf_field found = tt_ctf_find_member(payload, name, TT_SCOPE_PAYLOAD);
  size_t n = strlen(name);
  if (found.scope == TT_SCOPE_NONE && n >= 3 && n < 32 && strcmp(name + n - 3, "tid") == 0) {
    char other[32];
    memcpy(other, name, n + 1);
    other[n - 3] = 'p';
    found = tt_ctf_find_member(payload, other, TT_SCOPE_PAYLOAD);
  }
  return found;
}

static bool starts(const char *text, const char *prefix) {
  return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* System call exits: LTTng syscall_exit_NAME and compat_..., exit_syscall before 2.3; perf
 * syscalls:sys_exit_NAME and raw_syscalls:sys_exit. */
static bool is_syscall_exit(const char *name) {
  return starts(name, "syscall_exit_") || starts(name, "compat_syscall_exit_") ||
         strcmp(name, "exit_syscall") == 0 || starts(name, "syscalls:sys_exit_") ||
         strcmp(name, "raw_syscalls:sys_exit") == 0;
}

static void set_speaker(struct tt_ctf_class *c, const struct speaker *s,
                        const bt_field_class *payload) {
  c->role = (uint8_t)s->role;
  c->tid_a = payload_member(payload, s->tid_a);
  c->comm_a = payload_member(payload, s->comm_a);
  c->tid_b = payload_member(payload, s->tid_b);
  c->comm_b = payload_member(payload, s->comm_b);
  c->exec = strcmp(s->comm_b, "filename") == 0;
  /* A switch that doesn't say who comes and goes is an event like any other. */
  if (s->role == TT_ROLE_SWITCH &&
      (c->tid_a.scope == TT_SCOPE_NONE || c->tid_b.scope == TT_SCOPE_NONE))
    c->role = TT_ROLE_NONE;
}

void tt_ctf_class_init(struct tt_ctf_class *ret, const bt_event_class *event_class, bool is_perf) {
  struct tt_ctf_class c = {.key = event_class};
  const char *name = bt_event_class_get_name(event_class);
  const bt_field_class *payload = bt_event_class_borrow_payload_field_class_const(event_class);
  const bt_field_class *specific =
      bt_event_class_borrow_specific_context_field_class_const(event_class);
  const bt_field_class *common = bt_stream_class_borrow_event_common_context_field_class_const(
      bt_event_class_borrow_stream_class_const(event_class));
  if (!name)
    name = "";

  if (is_perf) {
    c.tid = tt_ctf_find_member(payload, "perf_tid", TT_SCOPE_PAYLOAD);
    c.tid_fallback = tt_ctf_find_member(payload, "common_pid", TT_SCOPE_PAYLOAD);
    for (size_t i = 0; i < sizeof sidebands / sizeof *sidebands; i++)
      if (strcmp(name, sidebands[i].name) == 0) {
        set_speaker(&c, &sidebands[i], payload);
        c.sideband = true;
      }
  } else {
    c.tid = tt_ctf_find_member(common, "tid", TT_SCOPE_COMMON);
    if (c.tid.scope == TT_SCOPE_NONE)
      c.tid = tt_ctf_find_member(specific, "tid", TT_SCOPE_SPECIFIC);
    c.comm = tt_ctf_find_member(common, "procname", TT_SCOPE_COMMON);
    if (c.comm.scope == TT_SCOPE_NONE)
      c.comm = tt_ctf_find_member(specific, "procname", TT_SCOPE_SPECIFIC);
  }
  c.cpu = tt_ctf_find_member(common, "cpu_id", TT_SCOPE_COMMON);
  if (is_syscall_exit(name))
    c.ret = tt_ctf_find_member(payload, "ret", TT_SCOPE_PAYLOAD);

  /* LTTng says nothing when a thread renames itself (perf has perf_comm), and nothing of an exec
   * unless sched_process_exec is recorded: then the system calls tell at least that it happened. */
  if (!is_perf && strcmp(name, "syscall_entry_prctl") == 0) {
    c.condition = tt_ctf_find_member(payload, "option", TT_SCOPE_PAYLOAD);
    c.condition_value = PR_SET_NAME;
    c.role = c.condition.scope == TT_SCOPE_NONE ? TT_ROLE_NONE : TT_ROLE_FORGET;
  } else if (!is_perf && starts(name, "syscall_exit_execve") && c.ret.scope != TT_SCOPE_NONE) {
    c.condition = c.ret;
    c.role = TT_ROLE_EXECED;
  }

  const char *base = strchr(name, ':');
  base = base ? base + 1 : name;
  for (size_t i = 0; i < sizeof speakers / sizeof *speakers && !c.sideband; i++)
    if (strcmp(base, speakers[i].name) == 0)
      set_speaker(&c, &speakers[i], payload);
  *ret = c;
}
