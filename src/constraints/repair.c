/* Repair: the plan (plan.h) says which event stands in which slot; here each one gets a legal CPU,
 * thread, command, return value and distance in time, in one pass in order. */
#include "constraints/repair.h"

#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

#define BATCH 16384u

/* Who ran last on a CPU, as written. */
struct running {
  int32_t tid;    /* TT_TID_NONE: nobody yet */
  uint32_t comm;  /* class */
  uint16_t label; /* of the last event there; TT_LABEL_NONE: none yet */
};

struct repairer {
  const struct tt_repair_job *job;
  const struct tt_constraints *c;
  struct tt_binding binding;
  size_t n_cpus;          /* highest CPU of rows and constraints + 1 */
  struct running *cpus;   /* [n_cpus] */
  uint16_t *after;        /* [n_cpus] see find_after */
  struct tt_event *batch; /* [BATCH] */
  size_t n_batch;
  size_t next_gap;
  struct tt_repair_log log;
};

/* ---- ids ---- */

/* A constraint id as an id of the dataset; names it lacks are added to its dictionary. */
static enum tt_status dataset_id(const struct tt_names *names, struct tt_names *dictionary,
                                 uint32_t *back, uint32_t id, size_t limit, uint32_t *ret) {
  if (back[id] == TT_NAME_NONE) {
    if (dictionary->n >= limit)
      return tt_fail(TT_FAILED, "no room for name \"%s\" in the dataset's dictionary",
                     names->names[id]);
    uint32_t added = tt_names_add(dictionary, names->names[id]);
    if (added == TT_NAME_NONE)
      return tt_fail(TT_NO_MEMORY, "out of memory");
    back[id] = added;
  }
  *ret = back[id];
  return TT_OK;
}

static enum tt_status set_comm(struct repairer *r, struct tt_event *event, uint32_t class) {
  event->comm = TT_COMM_NONE;
  if (class == r->c->comms.n)
    return TT_OK;
  return dataset_id(&r->c->comms, r->job->comms, r->binding.comm_back, class, TT_COMM_NONE,
                    &event->comm);
}

/* ---- CPU ---- */

/* The row that a slot gets; both count from the plan's begin. */
static size_t row_of(const struct tt_plan *plan, size_t slot) {
  uint8_t kind = plan->steps[slot].kind;
  return kind == TT_STEP_FIRST ? slot + 1 : kind == TT_STEP_SECOND ? slot - 1 : slot;
}

/* Sets `after` of every CPU to the label that follows there after `slot`, nearby; TT_LABEL_NONE:
 * none. */
static void find_after(const struct repairer *r, const struct tt_plan *plan, size_t slot) {
  const uint16_t *cpus = r->job->rows->columns.cpu + plan->begin;
  size_t end = plan->n + plan->ahead;
  end = end - slot > TT_PLAN_NEAR ? slot + TT_PLAN_NEAR + 1 : end;
  for (size_t cpu = 0; cpu < r->n_cpus; cpu++)
    r->after[cpu] = TT_LABEL_NONE;
  size_t k = slot + 1;
  while (k < end && !(plan->flags[k] & TT_ROW_CUT))
    k++;
  while (--k > slot) /* backwards: the nearest stays */
    r->after[cpus[row_of(plan, k)]] = plan->steps[k].label;
}

/* Of the allowed CPUs: one that the event's thread ran on last; then where the event stands between
 * legal neighbours on the CPU; then the nearest; ties to the lower number. */
static uint16_t choose_cpu(const struct repairer *r, const struct tt_plan *plan, size_t slot,
                           const struct tt_event *event) {
  const struct tt_relation *cpus = &r->c->cpu, *next = &r->c->next_cpu;
  uint16_t label = plan->steps[slot].label;
  uint32_t best = 0;
  uint64_t least = UINT64_MAX;
  find_after(r, plan, slot);
  for (size_t i = cpus->start[label]; i < cpus->start[label + 1u]; i++) {
    uint32_t cpu = cpus->column[i];
    const struct running *running = &r->cpus[cpu];
    uint16_t after = r->after[cpu];
    uint64_t rank = cpu > event->cpu ? cpu - event->cpu : event->cpu - cpu; /* < 2^16 */
    if (running->label != TT_LABEL_NONE && !tt_relation_has(next, running->label, label))
      rank += (uint64_t)1 << 16;
    if (after != TT_LABEL_NONE && !tt_relation_has(next, label, after))
      rank += (uint64_t)1 << 16;
    if (event->tid == TT_TID_NONE || running->tid != event->tid)
      rank += (uint64_t)1 << 32;
    if (rank < least) {
      least = rank;
      best = cpu;
    }
  }
  return (uint16_t)best;
}

/* ---- thread, command, return value ---- */

/* Draws a thread class by its frequency with the event, among those seen on the CPU if any. */
static uint32_t draw_tid_class(const struct repairer *r, uint16_t label, size_t cpu,
                               struct tt_rng *rng) {
  const struct tt_relation *tids = &r->c->tid;
  uint64_t total = 0;
  for (size_t i = tids->start[label]; cpu < r->c->cpu_tid.rows && i < tids->start[label + 1u]; i++)
    total += tt_relation_has(&r->c->cpu_tid, cpu, tids->column[i]) ? tids->count[i] : 0;
  if (total == 0)
    return tt_relation_draw(tids, label, rng);
  uint64_t at = tt_rng_below(rng, total);
  for (size_t i = tids->start[label];; i++) {
    uint64_t here = tt_relation_has(&r->c->cpu_tid, cpu, tids->column[i]) ? tids->count[i] : 0;
    if (at < here)
      return tids->column[i];
    at -= here;
  }
}

/* The name that a thread on this CPU goes by, as a class; TT_NAME_NONE: not known. */
static uint32_t own_comm(const struct repairer *r, int32_t tid, size_t cpu) {
  if (tid == TT_TID_NONE)
    return TT_NAME_NONE;
  if (r->cpus[cpu].tid == tid)
    return r->cpus[cpu].comm;
  const struct tt_constraint_thread *thread = &r->c->thread[tt_constraints_tid_class(tid)];
  return thread->tid == tid ? thread->comm : TT_NAME_NONE;
}

/* An illegal thread becomes the one running on the CPU where the event may have that, else one
 * drawn by frequency. The command follows the thread where it may, stays where it may, else is
 * drawn. */
static enum tt_status repair_attributes(struct repairer *r, uint16_t label, size_t row,
                                        struct tt_event *event, uint32_t *comm_class,
                                        unsigned *edited) {
  const struct tt_constraints *c = r->c;
  struct tt_rng rng;
  tt_rng_init(&rng, r->job->seed, row);
  bool bad_tid = !tt_relation_has(&c->tid, label, tt_constraints_tid_class(event->tid));
  if (bad_tid) {
    const struct running *running = &r->cpus[event->cpu];
    if (running->tid != TT_TID_NONE &&
        tt_relation_has(&c->tid, label, tt_constraints_tid_class(running->tid)) &&
        tt_relation_has(&c->comm, label, running->comm)) {
      event->tid = running->tid;
    } else {
      uint32_t class = draw_tid_class(r, label, event->cpu, &rng);
      event->tid = class == TT_TID_CLASS_NONE ? TT_TID_NONE : c->thread[class].tid;
    }
    r->log.edits.tid++;
    ++*edited;
  }
  uint32_t comm = *comm_class;
  bool bad_comm = !tt_relation_has(&c->comm, label, comm);
  if (bad_tid || bad_comm) {
    uint32_t own = own_comm(r, event->tid, event->cpu);
    if (own != TT_NAME_NONE && tt_relation_has(&c->comm, label, own))
      comm = own;
    else if (bad_comm)
      comm = tt_relation_draw(&c->comm, label, &rng);
    uint32_t before = event->comm;
    enum tt_status status = set_comm(r, event, comm);
    if (status != TT_OK)
      return status;
    *comm_class = comm;
    r->log.edits.comm += event->comm != before;
    *edited += event->comm != before;
  }
  if (!tt_relation_has(&c->ret, label, tt_constraints_ret_class(c, event->ret))) {
    uint32_t class = tt_relation_draw(&c->ret, label, &rng);
    event->ret = class < c->n_rets    ? c->rets[class]
                 : class == c->n_rets ? c->ret_other[label]
                                      : TT_RET_NONE;
    r->log.edits.ret++;
    ++*edited;
  }
  return TT_OK;
}

/* ---- one slot ---- */

/* Moves dt to the nearest bound: all later events shift with it. */
static enum tt_status repair_time(struct repairer *r, uint16_t label, int64_t dt,
                                  unsigned *edited) {
  const struct tt_dt_bounds *bounds = &r->c->dt[label];
  int64_t to = dt < bounds->min ? bounds->min : dt > bounds->max ? bounds->max : dt;
  if (to == dt)
    return TT_OK;
  if (__builtin_add_overflow(r->log.shift_ns, to - dt, &r->log.shift_ns))
    return tt_fail(TT_FAILED, "the repaired trace's time would overflow");
  r->log.edits.time++;
  ++*edited;
  return TT_OK;
}

static enum tt_status flush(struct repairer *r) {
  size_t n = r->n_batch;
  r->n_batch = 0;
  return n ? r->job->sink.append(r->job->sink.user, r->batch, n) : TT_OK;
}

static int64_t shifted(int64_t t, int64_t by) {
  int64_t sum;
  return !__builtin_add_overflow(t, by, &sum) ? sum : by < 0 ? INT64_MIN : INT64_MAX;
}

/* No dt changes within a gap, so that it moves as a whole, with the events on either side. */
static void shift_next_gap(struct repairer *r) {
  struct tt_gap *gap = &r->job->gaps[r->next_gap++];
  gap->begin = shifted(gap->begin, r->log.shift_ns);
  gap->end = shifted(gap->end, r->log.shift_ns);
}

/* slot, row: in the plan; they differ when two events were exchanged. */
static enum tt_status repair_slot(struct repairer *r, const struct tt_plan *plan, size_t slot) {
  const struct tt_columns *columns = &r->job->rows->columns;
  struct tt_step step = plan->steps[slot];
  size_t row = row_of(plan, slot);
  size_t at = plan->begin + row, time_at = plan->begin + slot;
  uint8_t flags = plan->flags[row];
  bool changed = step.kind != TT_STEP_KEEP;
  unsigned edited = changed;
  enum tt_status status = TT_OK;
  struct tt_event event = {.ret = columns->ret[at],
                           .tid = columns->tid[at],
                           .comm = columns->comm[at],
                           .event = columns->event[at],
                           .cpu = columns->cpu[at]};
  uint32_t comm = tt_binding_comm_class(r->c, &r->binding, event.comm);
  if (step.kind == TT_STEP_SUBSTITUTE) {
    uint32_t id = 0;
    status = dataset_id(&r->c->events, r->job->events, r->binding.event_back, step.label,
                        UINT16_MAX + (size_t)1, &id);
    event.event = (uint16_t)id;
    r->log.edits.substituted++;
    flags |= TT_ROW_CPU | TT_ROW_ATTR; /* perhaps: they were judged as the old event's */
  } else {
    r->log.edits.exchanged += changed;
  }
  if (status == TT_OK && flags & TT_ROW_CPU &&
      !tt_relation_has(&r->c->cpu, step.label, event.cpu)) {
    event.cpu = choose_cpu(r, plan, slot, &event);
    r->log.edits.cpu++;
    edited++;
  }
  if (status == TT_OK && flags & TT_ROW_ATTR)
    status = repair_attributes(r, step.label, at, &event, &comm, &edited);
  if (status == TT_OK && !(plan->flags[slot] & TT_ROW_CUT) &&
      (changed || plan->flags[slot] & TT_ROW_TIME))
    status = repair_time(r, step.label, columns->ts[time_at] - columns->ts[time_at - 1], &edited);
  if (status != TT_OK)
    return status;
  if (__builtin_add_overflow(columns->ts[time_at], r->log.shift_ns, &event.ts))
    return tt_fail(TT_FAILED, "the repaired trace's time would overflow");
  while (r->next_gap < r->job->n_gaps && r->job->gaps[r->next_gap].begin <= columns->ts[time_at])
    shift_next_gap(r);
  r->cpus[event.cpu] = (struct running){event.tid, comm, step.label};
  r->log.edits.events += edited > 0;
  r->batch[r->n_batch++] = event;
  return r->n_batch == BATCH ? flush(r) : TT_OK;
}

/* ---- all ---- */

static enum tt_status begin(struct repairer *r) {
  size_t n_cpus = r->job->rows->n_cpus;
  if (n_cpus < r->c->cpu.columns)
    n_cpus = r->c->cpu.columns;
  r->cpus = tt_alloc(n_cpus, sizeof *r->cpus);
  r->batch = tt_alloc(BATCH, sizeof *r->batch);
  r->after = tt_alloc(n_cpus, sizeof *r->after);
  r->n_cpus = n_cpus;
  if (!r->cpus || !r->batch || !r->after)
    return tt_fail(TT_NO_MEMORY, "out of memory");
  for (size_t cpu = 0; cpu < n_cpus; cpu++)
    r->cpus[cpu] = (struct running){TT_TID_NONE, TT_NAME_NONE, TT_LABEL_NONE};
  return tt_constraints_bind(r->c, r->job->events, r->job->comms, &r->binding);
}

enum tt_status tt_repair_rows(const struct tt_repair_job *job, struct tt_repair_log *ret) {
  struct repairer r = {.job = job, .c = job->c};
  struct tt_planner *planner = NULL;
  enum tt_status status = begin(&r);
  if (status == TT_OK)
    status = tt_planner_new(job->c, &r.binding, job->rows, &job->options, &planner);
  while (status == TT_OK) {
    struct tt_plan plan;
    status = tt_planner_next(planner, &plan);
    if (status != TT_OK || plan.n == 0)
      break;
    r.log.regions += plan.regions;
    for (size_t i = 0; status == TT_OK && i < plan.n; i++)
      status = repair_slot(&r, &plan, i);
    tt_rows_done_with(job->rows, plan.begin, plan.n);
  }
  if (status == TT_OK)
    status = flush(&r);
  while (status == TT_OK && r.next_gap < job->n_gaps)
    shift_next_gap(&r);
  if (status == TT_OK)
    *ret = r.log;
  tt_planner_free(planner);
  tt_binding_release(&r.binding);
  tt_free(r.cpus);
  tt_free(r.after);
  tt_free(r.batch);
  return status;
}

static enum tt_status to_writer(void *user, const struct tt_event *events, size_t n) {
  return tt_dataset_writer_append(user, events, n);
}

enum tt_status tt_constraints_repair(const struct tt_constraints *c,
                                     const struct tt_dataset *dataset, uint64_t seed,
                                     const char *path, bool overwrite,
                                     struct tt_repair_result *ret) {
  struct tt_repair_result result = {0};
  struct tt_repair_log log = {0};
  struct tt_rows rows = {0};
  struct tt_dataset_meta meta;
  struct tt_dataset_writer *writer = NULL;
  struct tt_dataset *written = NULL;
  tt_dataset_meta_init(&meta);
  enum tt_status status = tt_constraints_check(c, dataset, &result.before);
  if (status == TT_OK)
    status = tt_rows_of(dataset, &rows);
  if (status == TT_OK)
    status = tt_dataset_meta_copy(tt_dataset_meta(dataset), &meta);
  if (status == TT_OK)
    status = tt_dataset_writer_begin(path, overwrite, &writer);
  if (status == TT_OK) {
    struct tt_repair_job job = {.c = c,
                                .rows = &rows,
                                .events = &meta.events,
                                .comms = &meta.comms,
                                .gaps = meta.gaps,
                                .n_gaps = meta.n_gaps,
                                .seed = seed,
                                .sink = {to_writer, writer}};
    status = tt_repair_rows(&job, &log);
  }
  if (status == TT_OK) {
    status = tt_dataset_writer_finish(writer, &meta);
    writer = NULL;
  }
  if (status == TT_OK)
    status = tt_dataset_open(path, &written);
  if (status == TT_OK)
    status = tt_constraints_check(c, written, &result.after);
  if (status == TT_OK) {
    TT_ASSERT(tt_distances_zero(&result.after));
    result.edits = log.edits;
    result.regions = log.regions;
    result.shift_ns = log.shift_ns;
    result.edit_rate =
        result.before.events ? (double)log.edits.events / (double)result.before.events : 0;
    *ret = result;
  }
  tt_dataset_close(written);
  tt_dataset_writer_abort(writer);
  tt_dataset_meta_release(&meta);
  tt_rows_release(&rows);
  return status == TT_OK ? TT_OK : tt_fail(status, "while repairing to %s", path);
}
