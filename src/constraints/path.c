/* A Viterbi search (dynamic programming over (row, label, exchange pending)) on a sparse frontier.
 * States that cannot lead to a solution within a budget of field 1 are dropped, the budget is
 * raised until there is a solution: within it, nothing dearer was lost (iterative deepening). */
#include "constraints/path.h"

#include <string.h>

#include "base/mem.h"

#define RARITY_BITS 18 /* field widths: at most 15, 9 and 1 a row for TT_PATH_EXACT rows */
#define SOFT_BITS 16
#define EDIT_BITS 13
#define SOFT ((uint64_t)1 << RARITY_BITS)
#define EDIT (SOFT << SOFT_BITS)
#define MAIN (EDIT << EDIT_BITS)
#define NEVER UINT64_MAX
#define NO_BUDGET UINT64_MAX
#define BUDGET_BAD_MAX 64u /* beyond, budgets would prune nothing */
#define RARITY_MAX 15u
#define HISTORY_MAX ((size_t)1 << 22)
#define NORMALIZE_ROWS 4096u

enum { KEPT, SUBSTITUTED, PENDING, SECOND, GHOST };

struct state {     /* remembered, for the way back */
  uint32_t parent; /* index among the states of the row before */
  uint16_t label;
  uint8_t kind;
};

struct open_state { /* of the row reached last */
  uint64_t cost;
  uint16_t label;
  bool pending;
};

struct tt_path_solver {
  const struct tt_path_graph *graph;
  size_t n_labels;
  /* Per label, valid for the row whose stamp they carry. */
  uint32_t stamp, *seen, *priced;
  uint64_t *best, *price; /* cheapest way there; cost of substituting it here */
  uint32_t *place;        /* index in `next` */
  struct open_state *open, *next;
  struct state *next_state;
  size_t n_open, n_next, pending; /* pending: its index in `next`, or SIZE_MAX */
  /* The way back: states of rows base..row, first[row - base] the index of each row's first. */
  struct state *history;
  size_t n_history, history_capacity, history_max;
  size_t *first, n_first, first_capacity;
  size_t base;                 /* rows before it are decided: their steps are written */
  bool ghost;                  /* what is decided begins at a ghost */
  uint32_t *marks, *set, mark; /* [labels + 2] */
  uint32_t *need;              /* [row] least field 1 still to be paid after it */
  size_t need_capacity;
  uint64_t budget;
  bool failed; /* out of memory */
};

/* ---- graph ---- */

enum tt_status tt_path_graph_build(const struct tt_constraints *c, struct tt_path_graph *ret) {
  const struct tt_relation *next = &c->next;
  uint8_t *rarity = tt_alloc(next->start[next->rows], sizeof *rarity);
  if (!rarity)
    return tt_fail(TT_NO_MEMORY, "out of memory");
  for (size_t a = 0; a < next->rows; a++)
    for (size_t i = next->start[a]; i < next->start[a + 1]; i++) {
      unsigned r = 0; /* floor(log2(total / count)) */
      while (r < RARITY_MAX && next->total[a] >> (r + 1) >= next->count[i])
        r++;
      rarity[i] = (uint8_t)r;
    }
  *ret = (struct tt_path_graph){c, rarity};
  return TT_OK;
}

void tt_path_graph_release(struct tt_path_graph *graph) {
  tt_free(graph->rarity);
  graph->rarity = NULL;
}

/* Rarity of the transition, NEVER when there is none. */
static uint64_t rarity(const struct tt_path_graph *graph, uint16_t a, uint16_t b) {
  size_t entry = tt_relation_find(&graph->c->next, a, b);
  return entry == TT_ENTRY_NONE ? NEVER : graph->rarity[entry];
}

/* ---- solver ---- */

void tt_path_solver_free(struct tt_path_solver *solver) {
  if (!solver)
    return;
  void *parts[] = {solver->seen,    solver->priced, solver->best,  solver->price,
                   solver->place,   solver->open,   solver->next,  solver->next_state,
                   solver->history, solver->first,  solver->marks, solver->set,
                   solver->need};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
    tt_free(parts[i]);
  tt_free(solver);
}

struct tt_path_solver *tt_path_solver_new(const struct tt_path_graph *graph, size_t history_max) {
  struct tt_path_solver *s = tt_calloc(1, sizeof *s);
  if (!s)
    return NULL;
  size_t n = s->n_labels = graph->c->events.n;
  s->graph = graph;
  s->history_max = history_max ? history_max : HISTORY_MAX;
  s->seen = tt_calloc(n, sizeof *s->seen);
  s->priced = tt_calloc(n, sizeof *s->priced);
  s->best = tt_alloc(n, sizeof *s->best);
  s->price = tt_alloc(n, sizeof *s->price);
  s->place = tt_alloc(n, sizeof *s->place);
  s->open = tt_alloc(n + 1, sizeof *s->open); /* every label, and one pending exchange */
  s->next = tt_alloc(n + 1, sizeof *s->next);
  s->next_state = tt_alloc(n + 1, sizeof *s->next_state);
  s->marks = tt_calloc(n + 1, sizeof *s->marks);
  s->set = tt_alloc(n + 1, sizeof *s->set);
  if (s->seen && s->priced && s->best && s->price && s->place && s->open && s->next &&
      s->next_state && s->marks && s->set)
    return s;
  tt_path_solver_free(s);
  return NULL;
}

/* ---- costs of one row ---- */

static unsigned cpu_pairs(const struct tt_constraints *c, const struct tt_path_row *row,
                          uint16_t label) {
  bool before =
      row->before_cpu == TT_LABEL_NONE || tt_relation_has(&c->next_cpu, row->before_cpu, label);
  bool after =
      row->after_cpu == TT_LABEL_NONE || tt_relation_has(&c->next_cpu, label, row->after_cpu);
  return (before ? 0u : 1u) + (after ? 0u : 1u);
}

/* NEVER: the label cannot stand here. */
static uint64_t keep_price(const struct tt_constraints *c, const struct tt_path_row *row) {
  if (row->label == TT_LABEL_NONE || (row->dt >= 0 && !tt_dt_known(c, row->label)))
    return NEVER;
  return (row->broken ? EDIT : 0) + SOFT * 2 * cpu_pairs(c, row, row->label);
}

static uint64_t substitute_price(const struct tt_constraints *c, const struct tt_path_row *row,
                                 uint16_t label) {
  if (row->dt >= 0 && !tt_dt_known(c, label))
    return NEVER;
  unsigned channels = tt_relation_has(&c->cpu, label, row->cpu) ? 0 : 1;
  channels += tt_relation_has(&c->tid, label, row->tid) ? 0 : 1;
  channels += tt_relation_has(&c->comm, label, row->comm) ? 0 : 1;
  channels += tt_relation_has(&c->ret, label, row->ret) ? 0 : 1;
  channels += row->dt < 0 || tt_dt_legal(c, label, row->dt) ? 0 : 1;
  return TT_PATH_SUBSTITUTE * MAIN + EDIT + SOFT * (2 * cpu_pairs(c, row, label) + channels);
}

/* Of exchanging row with the one behind it. */
static uint64_t exchange_price(const struct tt_constraints *c, const struct tt_path_row *row) {
  const struct tt_path_row *behind = row + 1;
  if (row->cpu == behind->cpu || row->label == behind->label || row->label == TT_LABEL_NONE ||
      behind->label == TT_LABEL_NONE || !tt_relation_has(&c->next, behind->label, row->label) ||
      (row->dt >= 0 && !tt_dt_legal(c, behind->label, row->dt)) ||
      !tt_dt_legal(c, row->label, behind->dt))
    return NEVER;
  return TT_PATH_EXCHANGE * MAIN + 2 * EDIT +
         SOFT * 2 * (cpu_pairs(c, row, row->label) + cpu_pairs(c, behind, behind->label));
}

/* ---- one row of the search ---- */

static bool too_dear(const struct tt_path_solver *s, uint64_t cost, uint32_t need) {
  return s->budget != NO_BUDGET && cost / MAIN + need > s->budget;
}

static void begin_row(struct tt_path_solver *s) {
  if (++s->stamp == 0) { /* wrapped: old stamps would look new */
    memset(s->seen, 0, s->n_labels * sizeof *s->seen);
    memset(s->priced, 0, s->n_labels * sizeof *s->priced);
    s->stamp = 1;
  }
  s->n_next = 0;
  s->pending = SIZE_MAX;
}

static void reach(struct tt_path_solver *s, uint16_t label, uint64_t cost, size_t parent,
                  uint8_t kind) {
  if (s->seen[label] != s->stamp) {
    s->seen[label] = s->stamp;
    s->place[label] = (uint32_t)s->n_next++;
  } else if (cost >= s->best[label]) {
    return;
  }
  s->best[label] = cost;
  uint32_t at = s->place[label];
  s->next[at] = (struct open_state){cost, label, false};
  s->next_state[at] = (struct state){(uint32_t)parent, label, kind};
}

static void reach_pending(struct tt_path_solver *s, uint16_t label, uint64_t cost, size_t parent,
                          uint8_t kind) {
  if (s->pending == SIZE_MAX)
    s->pending = s->n_next++;
  else if (cost >= s->next[s->pending].cost)
    return;
  s->next[s->pending] = (struct open_state){cost, label, true};
  s->next_state[s->pending] = (struct state){(uint32_t)parent, label, kind};
}

static uint64_t price_here(struct tt_path_solver *s, const struct tt_path_row *row,
                           uint16_t label) {
  if (s->priced[label] != s->stamp) {
    s->priced[label] = s->stamp;
    s->price[label] = substitute_price(s->graph->c, row, label);
  }
  return s->price[label];
}

/* Makes `next` the open row and remembers its states; drops what is beyond the budget. */
static void end_row(struct tt_path_solver *s, uint32_t need, uint32_t need_pending) {
  if (tt_grow(&s->history, &s->history_capacity, s->n_history + s->n_next, sizeof *s->history) ||
      tt_grow(&s->first, &s->first_capacity, s->n_first + 1, sizeof *s->first)) {
    s->failed = true;
    return;
  }
  s->first[s->n_first++] = s->n_history;
  s->n_open = 0;
  for (size_t i = 0; i < s->n_next; i++) {
    if (too_dear(s, s->next[i].cost, s->next[i].pending ? need_pending : need))
      continue;
    s->history[s->n_history++] = s->next_state[i];
    s->open[s->n_open++] = s->next[i];
  }
}

/* Can rows t, t + 1 be exchanged as far as the stretch's end is concerned? */
static bool has_next(const struct tt_path_problem *p, size_t t) {
  return t + 1 < p->n || !p->open_right;
}

static void first_row(struct tt_path_solver *s, const struct tt_path_problem *p) {
  const struct tt_constraints *c = s->graph->c;
  const struct tt_path_row *row = p->rows;
  begin_row(s);
  uint64_t keep = keep_price(c, row), exchange = has_next(p, 0) ? exchange_price(c, row) : NEVER;
  if (keep != NEVER)
    reach(s, row->label, keep, 0, KEPT);
  if (p->open_left) {
    if (exchange != NEVER)
      reach_pending(s, row[1].label, exchange, 0, PENDING);
    for (size_t l = 0; l < s->n_labels && !too_dear(s, TT_PATH_SUBSTITUTE * MAIN, s->need[0]); l++)
      if (l != row->label) {
        uint64_t price = substitute_price(c, row, (uint16_t)l);
        if (price != NEVER)
          reach(s, (uint16_t)l, price, 0, SUBSTITUTED);
      }
  } else if (!p->fixed_left) { /* one less than corrections begun further left cost at least */
    if (exchange != NEVER)
      reach_pending(s, row[1].label, (TT_PATH_EXCHANGE - 1) * MAIN, 0, GHOST);
    if (exchange_price(c, row - 1) != NEVER)
      reach(s, row[-1].label, (TT_PATH_EXCHANGE - 1) * MAIN, 0, GHOST);
    uint64_t cost = (TT_PATH_SUBSTITUTE - 1) * MAIN;
    for (size_t l = 0; l < s->n_labels && !too_dear(s, cost, s->need[0]); l++)
      if (l != row->label && substitute_price(c, row, (uint16_t)l) != NEVER)
        reach(s, (uint16_t)l, cost, 0, GHOST);
  }
  end_row(s, s->need[0], p->n > 1 ? s->need[1] : 0);
}

static void next_row(struct tt_path_solver *s, const struct tt_path_problem *p, size_t t) {
  const struct tt_path_graph *graph = s->graph;
  const struct tt_relation *next = &graph->c->next;
  const struct tt_path_row *row = &p->rows[t];
  begin_row(s);
  uint64_t keep = keep_price(graph->c, row);
  uint64_t exchange = has_next(p, t) ? exchange_price(graph->c, row) : NEVER;
  for (size_t i = 0; i < s->n_open; i++) {
    uint64_t cost = s->open[i].cost, r;
    uint16_t from = s->open[i].label;
    if (s->open[i].pending) { /* the second half of the exchange */
      reach(s, row[-1].label, cost + rarity(graph, from, row[-1].label), i, SECOND);
      continue;
    }
    if (keep != NEVER && (r = rarity(graph, from, row->label)) != NEVER)
      reach(s, row->label, cost + keep + r, i, KEPT);
    if (exchange != NEVER && (r = rarity(graph, from, row[1].label)) != NEVER)
      reach_pending(s, row[1].label, cost + exchange + r, i, PENDING);
    if (too_dear(s, cost + TT_PATH_SUBSTITUTE * MAIN, s->need[t]))
      continue;
    for (size_t k = next->start[from]; k < next->start[from + 1]; k++) {
      uint16_t to = (uint16_t)next->column[k];
      uint64_t price = to == row->label ? NEVER : price_here(s, row, to);
      if (price != NEVER)
        reach(s, to, cost + price + graph->rarity[k], i, SUBSTITUTED);
    }
  }
  end_row(s, s->need[t], t + 1 < p->n ? s->need[t + 1] : 0);
}

/* ---- the way back ---- */

static void decide(struct tt_path_solver *s, size_t row, const struct state *state,
                   struct tt_step *steps) {
  static const uint8_t kinds[] = {[KEPT] = TT_STEP_KEEP,
                                  [SUBSTITUTED] = TT_STEP_SUBSTITUTE,
                                  [PENDING] = TT_STEP_FIRST,
                                  [SECOND] = TT_STEP_SECOND,
                                  [GHOST] = TT_STEP_KEEP};
  steps[row] = (struct tt_step){state->label, kinds[state->kind]};
  s->ghost = s->ghost || state->kind == GHOST;
}

static void walk_back(struct tt_path_solver *s, size_t row, size_t index, struct tt_step *steps) {
  for (;; row--) {
    const struct state *state = &s->history[s->first[row - s->base] + index];
    decide(s, row, state, steps);
    if (row == s->base)
      return;
    index = state->parent;
  }
}

/* When the ways back from all open states of `row` meet in one state, everything before it is
 * decided whatever follows: writes those steps and forgets their states. */
static void forget_decided(struct tt_path_solver *s, size_t row, struct tt_step *steps) {
  size_t n = s->n_open;
  for (size_t i = 0; i < n; i++)
    s->set[i] = (uint32_t)i;
  while (n > 1 && row > s->base) {
    if (++s->mark == 0) {
      memset(s->marks, 0, (s->n_labels + 1) * sizeof *s->marks);
      s->mark = 1;
    }
    size_t parents = 0;
    for (size_t i = 0; i < n; i++) {
      uint32_t parent = s->history[s->first[row - s->base] + s->set[i]].parent;
      if (s->marks[parent] != s->mark) {
        s->marks[parent] = s->mark;
        s->set[parents++] = parent; /* parents <= i: not read again */
      }
    }
    n = parents;
    row--;
  }
  if (n == 1 && row > s->base) {
    walk_back(s, row, s->set[0], steps);
    size_t drop_rows = row - s->base, drop = s->first[drop_rows];
    memmove(s->history, s->history + drop, (s->n_history - drop) * sizeof *s->history);
    s->n_history -= drop;
    s->n_first -= drop_rows;
    for (size_t i = 0; i < s->n_first; i++)
      s->first[i] = s->first[i + drop_rows] - drop;
    s->base = row;
  }
}

/* ---- the whole search ---- */

/* need[t]: field 1 that any state of row t has still to pay, at least (a pending exchange: that of
 * row t + 1). Each bad row b makes slot b - 1 or b deviate: by an exchange, charged where it
 * begins, in slot b - 2, b - 1 or b; or, where none of the three is possible, by a substitution in
 * slot b - 1 or b (an illegal row: in slot b). Charges in disjoint slots add up, so the most that
 * disjoint ranges of slots add up to is a lower bound (weighted interval scheduling, from the
 * right: worth[t] is that of ranges from slot t on). */
static bool find_needs(struct tt_path_solver *s, const struct tt_path_problem *p) {
  if (tt_grow(&s->need, &s->need_capacity, 2 * (p->n + 3), sizeof *s->need))
    return false;
  const struct tt_constraints *c = s->graph->c;
  uint32_t *worth = s->need + p->n; /* [n + 3] */
  memset(worth, 0, (p->n + 3) * sizeof *worth);
  bool possible[3] = {false, false, false}; /* exchanges of rows t, t + 1 (and one, two on) */
  for (size_t t = p->n; t-- > 0;) {
    possible[2] = possible[1];
    possible[1] = possible[0];
    possible[0] = has_next(p, t) && exchange_price(c, &p->rows[t]) != NEVER;
    uint32_t best = worth[t + 1], exchange = 0;
    size_t b = t + 2; /* a bad row that an exchange may mend from here on */
    if (b < p->n && p->rows[b].bad && (possible[0] || possible[1] || possible[2]))
      exchange = TT_PATH_EXCHANGE + worth[b + 1];
    s->need[t] = exchange > best ? exchange : best;
    best = s->need[t];
    bool before = t > 0 && exchange_price(c, &p->rows[t - 1]) != NEVER;
    b = t + 1;
    if (b < p->n && p->rows[b].bad && !(before || possible[0] || possible[1]) &&
        TT_PATH_SUBSTITUTE + worth[b + 1] > best)
      best = TT_PATH_SUBSTITUTE + worth[b + 1];
    worth[t] = best;
  }
  return true;
}

/* One search within s->budget. False: nothing within it. */
static bool search(struct tt_path_solver *s, const struct tt_path_problem *p, struct tt_step *steps,
                   enum tt_path_verdict *ret) {
  s->n_history = s->n_first = s->base = 0;
  s->ghost = false;
  first_row(s, p);
  size_t history_limit = s->history_max;
  for (size_t t = 1; !s->failed && t < p->n && s->n_open; t++) {
    next_row(s, p, t);
    if (s->n_history > history_limit) {
      forget_decided(s, t, steps);
      history_limit = s->n_history > s->history_max / 2 ? 2 * s->n_history : s->history_max;
    }
    if (s->budget == NO_BUDGET && t % NORMALIZE_ROWS == 0 && s->n_open) {
      uint64_t least = NEVER; /* only differences matter */
      for (size_t i = 0; i < s->n_open; i++)
        least = s->open[i].cost < least ? s->open[i].cost : least;
      for (size_t i = 0; i < s->n_open; i++)
        s->open[i].cost -= least;
    }
  }
  if (s->failed || !s->n_open)
    return false;
  size_t last = SIZE_MAX;
  for (size_t i = 0; i < s->n_open; i++)
    if (!s->open[i].pending && (p->open_right || s->open[i].label == p->rows[p->n - 1].label) &&
        (last == SIZE_MAX || s->open[i].cost < s->open[last].cost))
      last = i;
  if (last == SIZE_MAX)
    return false;
  unsigned verdict = TT_PATH_SOLVED;
  for (size_t i = 0; !p->open_right && i < s->n_open; i++)
    if (i != last && s->open[i].cost / MAIN <= s->open[last].cost / MAIN)
      verdict |= TT_PATH_WIDEN_RIGHT;
  walk_back(s, p->n - 1, last, steps);
  if (s->ghost)
    verdict |= TT_PATH_WIDEN_LEFT;
  *ret = (enum tt_path_verdict)verdict;
  return true;
}

enum tt_path_verdict tt_path_solve(struct tt_path_solver *s, const struct tt_path_problem *p,
                                   struct tt_step *steps) {
  enum tt_path_verdict verdict = TT_PATH_IMPOSSIBLE;
  s->failed = !find_needs(s, p);
  static const unsigned above[] = {2, 5, 8}; /* room for no, one, two needless substitutions */
  bool bounded = p->n_bad <= BUDGET_BAD_MAX && p->n <= NORMALIZE_ROWS;
  for (size_t i = 0; !s->failed && bounded && i < sizeof above / sizeof *above; i++) {
    s->budget = s->need[p->n] + above[i]; /* worth[0] */
    if (search(s, p, steps, &verdict))
      return verdict;
  }
  s->budget = NO_BUDGET;
  if (!s->failed && search(s, p, steps, &verdict))
    return verdict;
  if (s->failed) {
    s->failed = false;
    return TT_PATH_NO_MEMORY;
  }
  return TT_PATH_IMPOSSIBLE;
}
