#include "constraints/plan.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define WINDOW ((size_t)1 << 20)
#define SLACK ((size_t)1 << 16)
#define MARGIN 4u /* rows kept around a violation at first */
#define WIDEN 4u  /* factor when that is too narrow */
#define APART 3u  /* regions this close are solved as one (docs/constraints.md, lemma 3) */

struct region { /* rows first .. last of those loaded, both kept */
  size_t first, last;
  size_t first_bad, last_bad;
  size_t left, right; /* margins */
  bool open_left, open_right, fixed_left;
  bool deferred; /* needs rows behind the window */
  bool solved;
};

struct worker {
  struct tt_path_solver *solver;
  struct tt_path_row *rows; /* of the region, one more on each side */
  size_t rows_capacity;
  size_t *cpu_row;     /* [n_cpus] the last row of the CPU that was passed */
  uint32_t *cpu_stamp; /* [n_cpus] */
  uint32_t stamp;
};

struct tt_planner {
  const struct tt_constraints *c;
  const struct tt_binding *binding;
  const struct tt_rows *rows;
  struct tt_plan_options options;
  struct tt_path_graph graph;
  struct worker *workers; /* [n_workers] */
  size_t n_workers, n_cpus;
  size_t begin, end; /* the window */
  size_t lead;       /* rows before it that are loaded too: decided, but seen as neighbours */
  size_t origin;     /* begin - lead */
  uint16_t *labels;  /* [end - origin], as all below; indices count from `origin` */
  uint8_t *flags;
  struct tt_step *steps;
  size_t labels_capacity, flags_capacity, steps_capacity;
  struct region *regions;
  size_t n_regions, regions_capacity;
};

void tt_planner_free(struct tt_planner *p) {
  if (!p)
    return;
  for (size_t w = 0; p->workers && w < p->n_workers; w++) {
    tt_path_solver_free(p->workers[w].solver);
    tt_free(p->workers[w].rows);
    tt_free(p->workers[w].cpu_row);
    tt_free(p->workers[w].cpu_stamp);
  }
  tt_free(p->workers);
  tt_path_graph_release(&p->graph);
  tt_free(p->labels);
  tt_free(p->flags);
  tt_free(p->steps);
  tt_free(p->regions);
  tt_free(p);
}

static enum tt_status no_memory(void) {
  return tt_fail(TT_NO_MEMORY, "out of memory");
}

enum tt_status tt_planner_new(const struct tt_constraints *c, const struct tt_binding *binding,
                              const struct tt_rows *rows, const struct tt_plan_options *options,
                              struct tt_planner **ret) {
  struct tt_planner *p = tt_calloc(1, sizeof *p);
  if (!p)
    return no_memory();
  *p = (struct tt_planner){.c = c, .binding = binding, .rows = rows, .options = *options};
  if (!p->options.window)
    p->options.window = WINDOW;
  if (!p->options.slack)
    p->options.slack = SLACK;
  if (p->options.slack < TT_PLAN_NEAR)
    p->options.slack = TT_PLAN_NEAR; /* what lies behind a final row is seen, too */
  size_t n_cpus = p->n_cpus = rows->n_cpus;
  enum tt_status status = tt_path_graph_build(c, &p->graph);
  p->n_workers = (size_t)omp_get_max_threads();
  p->workers = status == TT_OK ? tt_calloc(p->n_workers, sizeof *p->workers) : NULL;
  bool complete = p->workers;
  for (size_t w = 0; complete && w < p->n_workers; w++) {
    p->workers[w].solver = tt_path_solver_new(&p->graph, options->history, options->bounded);
    p->workers[w].cpu_row = tt_alloc(n_cpus, sizeof *p->workers[w].cpu_row);
    p->workers[w].cpu_stamp = tt_calloc(n_cpus, sizeof *p->workers[w].cpu_stamp);
    complete = p->workers[w].solver && p->workers[w].cpu_row && p->workers[w].cpu_stamp;
  }
  if (!complete) {
    tt_planner_free(p);
    return no_memory();
  }
  *ret = p;
  return TT_OK;
}

/* ---- what is wrong where ---- */

static void examine(struct tt_planner *p, size_t begin, size_t end) {
  const struct tt_constraints *c = p->c;
  const struct tt_columns *columns = &p->rows->columns;
  size_t cursor = 0;
  uint16_t before = begin ? tt_label(p->binding, columns->event[begin - 1]) : TT_LABEL_NONE;
  for (size_t i = begin; i < end; i++) {
    uint16_t label = tt_label(p->binding, columns->event[i]);
    bool known = label != TT_LABEL_NONE, cut = i == 0 || tt_rows_cut(p->rows, i, &cursor);
    unsigned flags = cut ? TT_ROW_CUT : 0;
    if (!known || (!cut && !tt_dt_known(c, label))) {
      flags |= TT_ROW_EVENT;
    } else {
      if (!cut) {
        if (before != TT_LABEL_NONE && !tt_relation_has(&c->next, before, label))
          flags |= TT_ROW_PAIR;
        if (!tt_dt_legal(c, label, columns->ts[i] - columns->ts[i - 1]))
          flags |= TT_ROW_TIME;
      }
      if (!tt_relation_has(&c->cpu, label, columns->cpu[i]))
        flags |= TT_ROW_CPU;
      if (!tt_relation_has(&c->tid, label, tt_constraints_tid_class(columns->tid[i])) ||
          !tt_relation_has(&c->comm, label,
                           tt_binding_comm_class(c, p->binding, columns->comm[i])) ||
          !tt_relation_has(&c->ret, label, tt_constraints_ret_class(c, columns->ret[i])))
        flags |= TT_ROW_ATTR;
    }
    p->labels[i - p->origin] = label;
    p->flags[i - p->origin] = (uint8_t)flags;
    p->steps[i - p->origin] = (struct tt_step){label, TT_STEP_KEEP};
    before = label;
  }
}

static bool is_bad(uint8_t flags) {
  return flags & (TT_ROW_PAIR | TT_ROW_EVENT);
}

/* ---- regions ---- */

/* Sets first and last from the margins, within the stretch of judged pairs around the bad rows. */
static void place(const struct tt_planner *p, struct region *r) {
  size_t n = p->end - p->origin;
  bool more = p->end < p->rows->columns.n; /* rows behind the window */
  size_t want = r->first_bad > r->left + 1 ? r->first_bad - 1 - r->left : 0;
  want = want > p->lead ? want : p->lead;
  r->first = r->first_bad;
  while (r->first > want && !(p->flags[r->first] & TT_ROW_CUT))
    r->first--;
  r->open_left = p->flags[r->first] & TT_ROW_CUT;
  r->fixed_left = r->first == p->lead && !r->open_left;
  want = r->last_bad + r->right;
  r->last = r->last_bad;
  while (r->last < want && r->last + 1 < n && !(p->flags[r->last + 1] & TT_ROW_CUT))
    r->last++;
  r->deferred = r->last + 1 == n && more;
  r->open_right = r->last + 1 == n ? !more : p->flags[r->last + 1] & TT_ROW_CUT;
  r->solved = false;
}

static bool find_regions(struct tt_planner *p) {
  p->n_regions = 0;
  for (size_t i = p->lead; i < p->end - p->origin; i++) {
    if (!is_bad(p->flags[i]))
      continue;
    if (tt_grow(&p->regions, &p->regions_capacity, p->n_regions + 1, sizeof *p->regions))
      return false;
    struct region *r = &p->regions[p->n_regions++];
    *r = (struct region){.first_bad = i, .last_bad = i, .left = MARGIN, .right = MARGIN};
    place(p, r);
  }
  return true;
}

/* Regions of one stretch of judged pairs that overlap or nearly do. At a cut nearness means
 * nothing: there a region may end right where that of the next stretch begins. */
static bool touch(const struct region *r, const struct region *next) {
  return next->first < r->last + (r->open_right || next->open_left ? 1 : APART);
}

/* Joins neighbours that touch; what was solved and touches nothing stays solved. */
static void join_regions(struct tt_planner *p) {
  for (bool again = true; again;) { /* a joined region may reach back to the one before */
    size_t kept = 0;
    for (size_t i = 0; i < p->n_regions; i++) {
      struct region *next = &p->regions[i];
      struct region *r = kept ? &p->regions[kept - 1] : NULL;
      if (!r || !touch(r, next)) {
        p->regions[kept++] = *next;
        continue;
      }
      r->last_bad = next->last_bad;
      r->left = next->left > r->left ? next->left : r->left;
      r->right = next->right > r->right ? next->right : r->right;
      place(p, r);
    }
    again = kept < p->n_regions;
    p->n_regions = kept;
  }
}

static void fill_row(const struct tt_planner *p, size_t i, struct tt_path_row *row) {
  const struct tt_columns *columns = &p->rows->columns;
  size_t at = p->origin + i;
  uint8_t flags = p->flags[i];
  *row = (struct tt_path_row){
      .dt = flags & TT_ROW_CUT ? -1 : columns->ts[at] - columns->ts[at - 1],
      .label = p->labels[i],
      .before_cpu = TT_LABEL_NONE,
      .after_cpu = TT_LABEL_NONE,
      .cpu = columns->cpu[at],
      .tid = tt_constraints_tid_class(columns->tid[at]),
      .comm = tt_binding_comm_class(p->c, p->binding, columns->comm[at]),
      .ret = tt_constraints_ret_class(p->c, columns->ret[at]),
      .broken = flags & (TT_ROW_CPU | TT_ROW_ATTR | TT_ROW_TIME),
  };
}

static void new_stamp(const struct tt_planner *p, struct worker *w) {
  if (++w->stamp == 0) {
    memset(w->cpu_stamp, 0, p->n_cpus * sizeof *w->cpu_stamp);
    w->stamp = 1;
  }
}

/* The labels before and after each row on its own CPU, at most TT_PLAN_NEAR rows away. */
static void fill_cpu_neighbours(const struct tt_planner *p, struct worker *w, size_t first,
                                size_t last, struct tt_path_row *rows) {
  const uint16_t *cpus = p->rows->columns.cpu + p->origin;
  size_t from = first, to = last, n = p->end - p->origin;
  while (from > 0 && first - from < TT_PLAN_NEAR && !(p->flags[from] & TT_ROW_CUT))
    from--;
  while (to + 1 < n && to - last < TT_PLAN_NEAR && !(p->flags[to + 1] & TT_ROW_CUT))
    to++;
  new_stamp(p, w);
  for (size_t i = from; i <= last; i++) {
    size_t *before = &w->cpu_row[cpus[i]];
    if (i >= first && w->cpu_stamp[cpus[i]] == w->stamp && i - *before <= TT_PLAN_NEAR)
      rows[i - first].before_cpu = p->labels[*before];
    w->cpu_stamp[cpus[i]] = w->stamp;
    *before = i;
  }
  new_stamp(p, w);
  for (size_t i = to + 1; i-- > first;) {
    size_t *after = &w->cpu_row[cpus[i]];
    if (i <= last && w->cpu_stamp[cpus[i]] == w->stamp && *after - i <= TT_PLAN_NEAR)
      rows[i - first].after_cpu = p->labels[*after];
    w->cpu_stamp[cpus[i]] = w->stamp;
    *after = i;
  }
}

static enum tt_path_verdict solve(struct tt_planner *p, struct worker *w, struct region *r) {
  size_t before = r->open_left || r->fixed_left ? 0 : 1, after = r->open_right ? 0 : 1;
  size_t first = r->first - before, n = r->last + after - first + 1;
  if (tt_grow(&w->rows, &w->rows_capacity, n, sizeof *w->rows))
    return TT_PATH_NO_MEMORY;
  for (size_t i = 0; i < n; i++)
    fill_row(p, first + i, &w->rows[i]);
  fill_cpu_neighbours(p, w, first, r->last + after, w->rows);
  struct tt_path_problem problem = {.rows = w->rows + before,
                                    .n = r->last - r->first + 1,
                                    .open_left = r->open_left,
                                    .open_right = r->open_right,
                                    .fixed_left = r->fixed_left};
  return tt_path_solve(w->solver, &problem, p->steps + r->first);
}

static enum tt_status impossible(const struct tt_planner *p, const struct region *r) {
  const char *from = r->open_left ? "its begin" : p->c->events.names[p->labels[r->first]];
  const char *to = r->open_right ? "its end" : p->c->events.names[p->labels[r->last]];
  return tt_fail(
      TT_FAILED,
      "events %zu to %zu: the constraints' transition graph has no sequence of %zu events "
      "from %s to %s",
      p->origin + r->first, p->origin + r->last, r->last - r->first + 1, from, to);
}

/* After a verdict: widens the region where asked. */
static enum tt_status widen(struct tt_planner *p, struct region *r, unsigned verdict) {
  if (verdict == TT_PATH_NO_MEMORY)
    return no_memory();
  bool stuck = (r->open_left || r->fixed_left) && r->open_right;
  if (verdict == TT_PATH_IMPOSSIBLE) {
    if (stuck)
      return impossible(p, r);
    verdict = TT_PATH_WIDEN_BOTH;
  }
  if (verdict & TT_PATH_WIDEN_LEFT)
    r->left *= WIDEN;
  if (verdict & TT_PATH_WIDEN_RIGHT)
    r->right *= WIDEN;
  if (verdict == TT_PATH_SOLVED)
    r->solved = true;
  else
    place(p, r);
  return TT_OK;
}

/* Solves all regions of the window that lie within it. */
static enum tt_status solve_regions(struct tt_planner *p) {
  for (bool again = true; again;) {
    join_regions(p);
    again = false;
    enum tt_status status = TT_OK;
    unsigned char *verdicts = tt_calloc(p->n_regions, 1);
    if (!verdicts)
      return no_memory();
#pragma omp parallel for schedule(dynamic, 4)
    for (size_t i = 0; i < p->n_regions; i++)
      if (!p->regions[i].solved && !p->regions[i].deferred && !tt_interrupted())
        verdicts[i] = (unsigned char)solve(p, &p->workers[omp_get_thread_num()], &p->regions[i]);
    if (tt_interrupted())
      status = tt_fail(TT_INTERRUPTED, "while repairing");
    for (size_t i = 0; status == TT_OK && i < p->n_regions; i++) {
      struct region *r = &p->regions[i];
      if (r->solved || r->deferred)
        continue;
      status = widen(p, r, verdicts[i]);
      again = again || !r->solved;
    }
    tt_free(verdicts);
    if (status != TT_OK)
      return status;
  }
  return TT_OK;
}

/* ---- windows ---- */

/* Where the plan is final: a row that is kept, `slack` before anything that may still change.
 * p->lead when the window is too small for that. */
static size_t final_until(const struct tt_planner *p) {
  size_t n = p->end - p->origin, until = n;
  if (p->end == p->rows->columns.n)
    return n;
  for (size_t i = 0; i < p->n_regions; i++)
    if (p->regions[i].deferred && p->regions[i].first < until)
      until = p->regions[i].first;
  until = until > p->options.slack + p->lead ? until - p->options.slack : p->lead;
  for (size_t i = p->n_regions; i-- > 0;)
    if (p->regions[i].first <= until && until < p->regions[i].last + APART)
      until = p->regions[i].first;
  return until;
}

static enum tt_status load_window(struct tt_planner *p, size_t size) {
  size_t left = p->rows->columns.n - p->begin;
  p->end = p->begin + (left < size ? left : size);
  p->lead = p->begin < TT_PLAN_NEAR ? p->begin : TT_PLAN_NEAR;
  p->origin = p->begin - p->lead;
  size_t n = p->end - p->origin;
  if (tt_grow(&p->labels, &p->labels_capacity, n, sizeof *p->labels) ||
      tt_grow(&p->flags, &p->flags_capacity, n, sizeof *p->flags) ||
      tt_grow(&p->steps, &p->steps_capacity, n, sizeof *p->steps))
    return no_memory();
  size_t parts = p->n_workers;
#pragma omp parallel for schedule(static, 1)
  for (size_t t = 0; t < parts; t++)
    examine(p, p->origin + n / parts * t,
            t + 1 == parts ? p->end : p->origin + n / parts * (t + 1));
  return find_regions(p) ? TT_OK : no_memory();
}

enum tt_status tt_planner_next(struct tt_planner *p, struct tt_plan *ret) {
  struct tt_plan plan = {.begin = p->begin};
  for (size_t size = p->options.window; plan.n == 0 && p->begin < p->rows->columns.n; size *= 2) {
    enum tt_status status = load_window(p, size);
    if (status == TT_OK)
      status = solve_regions(p);
    if (status != TT_OK)
      return status;
    size_t until = final_until(p);
    plan.n = until - p->lead;
    plan.flags = p->flags + p->lead;
    plan.steps = p->steps + p->lead;
    plan.ahead = p->end - p->origin - until;
    plan.ahead = plan.ahead < TT_PLAN_NEAR ? plan.ahead : TT_PLAN_NEAR;
    plan.regions = 0;
    for (size_t i = 0; i < p->n_regions; i++)
      plan.regions += p->regions[i].first < until;
  }
  p->begin += plan.n;
  *ret = plan;
  return TT_OK;
}
