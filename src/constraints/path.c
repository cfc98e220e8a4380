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

struct row_price {         /* NEVER: not possible */
  uint64_t keep, exchange; /* the row as it is; the row and the one behind exchanged */
};

struct tt_path_solver {
  const struct tt_path_graph *graph;
  size_t n_labels;
  /* Of the row at hand, for every label and, at n_labels, a pending exchange. */
  uint64_t *least; /* cheapest way there before the price of being there; NEVER: none yet */
  uint32_t *from;  /* the open state it comes from */
  uint32_t *order; /* what was reached, in the order of the first way there */
  size_t n_order;
  /* States of the row reached last, and room for those of the next. */
  struct open_state *open, *next;
  size_t n_open, n_next;
  bool ghosts; /* the first row's substitution ghosts are open, too, but not listed */
  /* The way back: states of rows base..row, first[row - base] the index of each row's first. */
  struct state *history;
  size_t n_history, history_capacity, history_max;
  size_t *first, n_first, first_capacity;
  size_t base;                 /* rows before it are decided: their steps are written */
  bool ghost;                  /* what is decided begins at a ghost */
  uint32_t *marks, *set, mark; /* [labels + 2] */
  uint32_t *need;              /* [row] least field 1 still to be paid after it */
  size_t need_capacity;
  struct row_price *prices; /* [row + 1] from the row before the first on */
  size_t prices_capacity;
  uint64_t budget;
  bool failed; /* out of memory */
};

/* ---- graph ---- */

static unsigned rarity_of(const struct tt_relation *next, size_t row, size_t entry) {
  unsigned r = 0; /* floor(log2(total / count)) */
  while (r < RARITY_MAX && next->total[row] >> (r + 1) >= next->count[entry])
    r++;
  return r;
}

/* Edges to labels that no event with a predecessor can have are left out: no dt is legal there. */
enum tt_status tt_path_graph_build(const struct tt_constraints *c, struct tt_path_graph *ret) {
  const struct tt_relation *next = &c->next;
  size_t n = c->events.n, n_edges = next->start[next->rows];
  struct tt_path_graph graph = {.c = c};
  graph.between = n && n > SIZE_MAX / n ? NULL : tt_calloc(n * n, sizeof *graph.between);
  graph.start = tt_calloc(n + 1, sizeof *graph.start);
  graph.back_start = tt_calloc(n + 1, sizeof *graph.back_start);
  graph.edges = tt_alloc(n_edges, sizeof *graph.edges);
  graph.back = tt_alloc(n_edges, sizeof *graph.back);
  if (!graph.between || !graph.start || !graph.back_start || !graph.edges || !graph.back) {
    tt_path_graph_release(&graph);
    return tt_fail(TT_NO_MEMORY, "out of memory for the transitions of %zu events", n);
  }
  size_t kept = 0;
  for (size_t a = 0; a < n; a++) {
    for (size_t i = next->start[a]; i < next->start[a + 1]; i++) {
      uint16_t to = (uint16_t)next->column[i];
      if (!tt_dt_known(c, to))
        continue;
      unsigned r = rarity_of(next, a, i);
      graph.edges[kept++] = (struct tt_path_edge){to, (uint8_t)r};
      graph.between[a * n + to] = (uint8_t)(r + 1);
      graph.back_start[to + 1u]++;
    }
    graph.start[a + 1] = kept;
  }
  for (size_t b = 0; b < n; b++)
    graph.back_start[b + 1] += graph.back_start[b];
  for (size_t a = n; a-- > 0;) /* each list is filled from its end */
    for (size_t k = graph.start[a]; k < graph.start[a + 1]; k++)
      graph.back[--graph.back_start[graph.edges[k].label + 1u]] = (uint16_t)a;
  for (size_t b = 0; b < n; b++) /* each end has become its begin */
    graph.back_start[b] = graph.back_start[b + 1];
  graph.back_start[n] = kept;
  *ret = graph;
  return TT_OK;
}

void tt_path_graph_release(struct tt_path_graph *graph) {
  tt_free(graph->between);
  tt_free(graph->start);
  tt_free(graph->edges);
  tt_free(graph->back_start);
  tt_free(graph->back);
  memset(graph, 0, sizeof *graph);
}

/* Rarity of the transition, NEVER when there is none. */
static uint64_t rarity(const struct tt_path_graph *graph, uint16_t a, uint16_t b) {
  unsigned r = graph->between[(size_t)a * graph->c->events.n + b];
  return r ? r - 1 : NEVER;
}

/* ---- solver ---- */

void tt_path_solver_free(struct tt_path_solver *solver) {
  if (!solver)
    return;
  void *parts[] = {solver->least, solver->from,    solver->order, solver->open,
                   solver->next,  solver->history, solver->first, solver->marks,
                   solver->set,   solver->need,    solver->prices};
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
  s->least = tt_alloc(n + 1, sizeof *s->least);
  s->from = tt_alloc(n + 1, sizeof *s->from);
  s->order = tt_alloc(n + 1, sizeof *s->order);
  s->open = tt_alloc(n + 1, sizeof *s->open);
  s->next = tt_alloc(n + 1, sizeof *s->next);
  s->marks = tt_calloc(n + 1, sizeof *s->marks);
  s->set = tt_alloc(n + 1, sizeof *s->set);
  if (s->least && s->from && s->order && s->open && s->next && s->marks && s->set)
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

/* From the row before the first, where there is one, to the last. */
static bool find_prices(struct tt_path_solver *s, const struct tt_path_problem *p) {
  if (tt_grow(&s->prices, &s->prices_capacity, p->n + 1, sizeof *s->prices))
    return false;
  const struct tt_constraints *c = s->graph->c;
  bool before = !p->open_left && !p->fixed_left;
  s->prices[0] = (struct row_price){NEVER, before ? exchange_price(c, p->rows - 1) : NEVER};
  for (size_t t = 0; t < p->n; t++) {
    const struct tt_path_row *row = &p->rows[t];
    bool behind = t + 1 < p->n || !p->open_right;
    s->prices[t + 1] =
        (struct row_price){keep_price(c, row), behind ? exchange_price(c, row) : NEVER};
  }
  return true;
}

static const struct row_price *price_of(const struct tt_path_solver *s, size_t t) {
  return &s->prices[t + 1];
}

/* ---- one row of the search ---- */

static bool too_dear(const struct tt_path_solver *s, uint64_t cost, uint32_t need) {
  return s->budget != NO_BUDGET && cost / MAIN + need > s->budget;
}

/* Begins a row that may have up to `states` states. */
static bool begin_row(struct tt_path_solver *s, size_t states) {
  if (tt_grow(&s->history, &s->history_capacity, s->n_history + states, sizeof *s->history) ||
      tt_grow(&s->first, &s->first_capacity, s->n_first + 1, sizeof *s->first)) {
    s->failed = true;
    return false;
  }
  s->first[s->n_first++] = s->n_history;
  s->n_next = 0;
  return true;
}

/* Adds a state to the row begun, unless it is beyond the budget. */
static void add_state(struct tt_path_solver *s, uint64_t cost, uint32_t need, uint32_t parent,
                      uint16_t label, uint8_t kind, bool pending) {
  if (too_dear(s, cost, need))
    return;
  s->history[s->n_history++] = (struct state){parent, label, kind};
  s->next[s->n_next++] = (struct open_state){cost, label, pending};
}

/* Makes the row begun the open one. */
static void end_row(struct tt_path_solver *s) {
  struct open_state *open = s->open;
  s->open = s->next;
  s->next = open;
  s->n_open = s->n_next;
}

/* One less than corrections begun further left cost at least. */
#define GHOST_EXCHANGE ((TT_PATH_EXCHANGE - 1) * MAIN)
#define GHOST_SUBSTITUTE ((TT_PATH_SUBSTITUTE - 1) * MAIN)

/* Is there a substitution ghost of the label? The first row's own label is kept, that of the row
 * before may be an exchange's, which is cheaper. */
static bool is_ghost(const struct tt_path_solver *s, const struct tt_path_problem *p,
                     uint16_t label) {
  return label != p->rows->label && (p->rows->dt < 0 || tt_dt_known(s->graph->c, label)) &&
         !(s->prices[0].exchange != NEVER && label == p->rows[-1].label);
}

static void first_row(struct tt_path_solver *s, const struct tt_path_problem *p) {
  const struct tt_path_row *row = p->rows;
  const struct row_price *price = price_of(s, 0);
  uint32_t need = s->need[0], need_pending = p->n > 1 ? s->need[1] : 0;
  s->ghosts = false;
  if (!begin_row(s, s->n_labels + 1))
    return;
  if (price->keep != NEVER)
    add_state(s, price->keep, need, 0, row->label, KEPT, false);
  if (p->open_left) {
    if (price->exchange != NEVER)
      add_state(s, price->exchange, need_pending, 0, row[1].label, PENDING, true);
    for (size_t l = 0; l < s->n_labels && !too_dear(s, TT_PATH_SUBSTITUTE * MAIN, need); l++)
      if (l != row->label) {
        uint64_t cost = substitute_price(s->graph->c, row, (uint16_t)l);
        if (cost != NEVER)
          add_state(s, cost, need, 0, (uint16_t)l, SUBSTITUTED, false);
      }
  } else if (!p->fixed_left) {
    if (price->exchange != NEVER)
      add_state(s, GHOST_EXCHANGE, need_pending, 0, row[1].label, GHOST, true);
    if (s->prices[0].exchange != NEVER)
      add_state(s, GHOST_EXCHANGE, need, 0, row[-1].label, GHOST, false);
    /* Ghosts that cannot be followed by a substitution are looked up when they are needed. */
    s->ghosts = p->n > 1 && too_dear(s, GHOST_SUBSTITUTE + TT_PATH_SUBSTITUTE * MAIN, s->need[1]);
    for (size_t l = 0; l < s->n_labels && !s->ghosts && !too_dear(s, GHOST_SUBSTITUTE, need); l++)
      if (is_ghost(s, p, (uint16_t)l))
        add_state(s, GHOST_SUBSTITUTE, need, 0, (uint16_t)l, GHOST, false);
    s->ghosts = s->ghosts && !too_dear(s, GHOST_SUBSTITUTE, need);
  }
  end_row(s);
}

/* A way to a label (or the pending exchange): the first of the cheapest stays. */
static inline void reach(struct tt_path_solver *s, size_t to, uint64_t cost, uint32_t from) {
  if (cost >= s->least[to])
    return;
  if (s->least[to] == NEVER)
    s->order[s->n_order++] = (uint32_t)to;
  s->least[to] = cost;
  s->from[to] = from;
}

/* The first row's ghosts, label by label: those that lead to the second row's label or to its
 * exchange become states of the first row after all. */
static void reach_from_ghosts(struct tt_path_solver *s, const struct tt_path_problem *p) {
  const struct tt_path_graph *graph = s->graph;
  const struct tt_path_row *row = &p->rows[1];
  const struct row_price *price = price_of(s, 1);
  const uint16_t *keep = NULL, *keep_end = NULL, *exchange = NULL, *exchange_end = NULL;
  if (price->keep != NEVER) {
    keep = graph->back + graph->back_start[row->label];
    keep_end = graph->back + graph->back_start[row->label + 1u];
  }
  if (price->exchange != NEVER) {
    exchange = graph->back + graph->back_start[row[1].label];
    exchange_end = graph->back + graph->back_start[row[1].label + 1u];
  }
  while (keep < keep_end || exchange < exchange_end) {
    bool keeps = keep < keep_end && (exchange == exchange_end || *keep <= *exchange);
    bool exchanges = exchange < exchange_end && (keep == keep_end || *exchange <= *keep);
    uint16_t label = keeps ? *keep : *exchange;
    keep += keeps;
    exchange += exchanges;
    if (!is_ghost(s, p, label))
      continue;
    if (tt_grow(&s->history, &s->history_capacity, s->n_history + 1, sizeof *s->history)) {
      s->failed = true;
      return;
    }
    uint32_t state = (uint32_t)(s->n_history - s->first[0]);
    s->history[s->n_history++] = (struct state){0, label, GHOST};
    if (keeps)
      reach(s, row->label, GHOST_SUBSTITUTE + rarity(graph, label, row->label), state);
    if (exchanges)
      reach(s, s->n_labels, GHOST_SUBSTITUTE + rarity(graph, label, row[1].label), state);
  }
}

/* Prices are added at the end: they do not depend on where a way comes from. */
static void next_row(struct tt_path_solver *s, const struct tt_path_problem *p, size_t t) {
  const struct tt_path_graph *graph = s->graph;
  const struct tt_path_row *row = &p->rows[t];
  const struct row_price *price = price_of(s, t);
  const uint32_t need = s->need[t], need_pending = t + 1 < p->n ? s->need[t + 1] : 0;
  const size_t exchange = s->n_labels;
  uint64_t second = NEVER; /* the way that ends the exchange pending */
  uint32_t second_from = 0;
  memset(s->least, 0xff, (s->n_labels + 1) * sizeof *s->least); /* NEVER */
  s->n_order = 0;
  for (size_t i = 0; i < s->n_open; i++) {
    uint64_t cost = s->open[i].cost, r;
    uint16_t from = s->open[i].label;
    if (s->open[i].pending) {
      second = cost + rarity(graph, from, row[-1].label);
      second_from = (uint32_t)i;
      if (s->least[row[-1].label] == NEVER) { /* takes its place in the order */
        s->order[s->n_order++] = row[-1].label;
        s->least[row[-1].label] = NEVER - 1;
      }
      continue;
    }
    if (price->keep != NEVER && (r = rarity(graph, from, row->label)) != NEVER)
      reach(s, row->label, cost + r, (uint32_t)i);
    if (price->exchange != NEVER && (r = rarity(graph, from, row[1].label)) != NEVER)
      reach(s, exchange, cost + r, (uint32_t)i);
    if (too_dear(s, cost + TT_PATH_SUBSTITUTE * MAIN, need))
      continue;
    const struct tt_path_edge *edge = graph->edges + graph->start[from];
    for (const struct tt_path_edge *end = graph->edges + graph->start[from + 1u]; edge < end;
         edge++)
      reach(s, edge->label, cost + edge->rarity, (uint32_t)i);
  }
  if (t == 1 && s->ghosts)
    reach_from_ghosts(s, p);
  if (s->failed || !begin_row(s, s->n_order))
    return;
  for (size_t k = 0; k < s->n_order; k++) {
    size_t to = s->order[k];
    uint64_t cost = s->least[to];
    if (to == exchange) {
      add_state(s, cost + price->exchange, need_pending, s->from[to], row[1].label, PENDING, true);
      continue;
    }
    uint64_t here = cost >= NEVER - 1  ? NEVER
                    : to == row->label ? price->keep
                    : too_dear(s, cost + TT_PATH_SUBSTITUTE * MAIN, need)
                        ? NEVER
                        : substitute_price(graph->c, row, (uint16_t)to);
    cost = here == NEVER ? NEVER : cost + here;
    if (second != NEVER && to == row[-1].label &&
        (second < cost || (second == cost && second_from < s->from[to])))
      add_state(s, second, need, second_from, (uint16_t)to, SECOND, false);
    else if (cost != NEVER)
      add_state(s, cost, need, s->from[to], (uint16_t)to, to == row->label ? KEPT : SUBSTITUTED,
                false);
  }
  end_row(s);
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
  uint32_t *worth = s->need + p->n; /* [n + 3] */
  memset(worth, 0, (p->n + 3) * sizeof *worth);
  bool possible[3] = {false, false, false}; /* exchanges of rows t, t + 1 (and one, two on) */
  for (size_t t = p->n; t-- > 0;) {
    possible[2] = possible[1];
    possible[1] = possible[0];
    possible[0] = price_of(s, t)->exchange != NEVER;
    uint32_t best = worth[t + 1], exchange = 0;
    size_t b = t + 2; /* a bad row that an exchange may mend from here on */
    if (b < p->n && p->rows[b].bad && (possible[0] || possible[1] || possible[2]))
      exchange = TT_PATH_EXCHANGE + worth[b + 1];
    s->need[t] = exchange > best ? exchange : best;
    best = s->need[t];
    bool before = t > 0 && price_of(s, t - 1)->exchange != NEVER;
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
  s->failed = !find_prices(s, p) || !find_needs(s, p);
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
