/* A Viterbi search (dynamic programming over (row, label, exchange pending)) on a sparse frontier,
 * in two passes as A* with a consistent heuristic would go (Hart, Nilsson & Raphael 1968): first,
 * from the right, lower bounds of the field 1 still to be paid from every state, for all labels at
 * once as sets of bits; then, from the left, the search itself, which drops every state that cannot
 * lead to a solution within a budget. The first budget is the bound of the whole stretch, which is
 * nearly always what the solution costs; it is raised until there is a solution: within it, nothing
 * dearer was lost (iterative deepening, Korf 1985).
 *
 * Of ways of equal cost to a state the one that comes from the lowest label is taken, a pending
 * exchange last: the solution does not depend on how it is found. */
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
#define HISTORY_MAX ((size_t)1 << 22)
#define NORMALIZE_ROWS 4096u
#define LEVELS 6u                    /* bounds are told apart up to a row's least + LEVELS */
#define BOUNDS_MAX ((size_t)1 << 20) /* rows * words of a stretch that gets bounds */
#define RAISE_MAX 8u                 /* of a budget at once */
#define OUT_OF_REACH (UINT32_MAX / 4)

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
  uint64_t *least;   /* cheapest way there before the price of being there; NEVER: none yet */
  uint32_t *from;    /* the open state it comes from */
  uint32_t *reached; /* what was reached */
  size_t n_reached;
  /* States of the row reached last, and room for those of the next. */
  struct open_state *open, *next;
  size_t n_open, n_next;
  /* The way back: states of rows base..row, first[row - base] the index of each row's first. */
  struct state *history;
  size_t n_history, history_capacity, history_max;
  size_t *first, n_first, first_capacity;
  size_t base;                 /* rows before it are decided: their steps are written */
  bool ghost;                  /* what is decided begins at a ghost */
  uint32_t *marks, *set, mark; /* [labels + 2] */
  /* Bounds of the field 1 still to be paid after a row. */
  uint64_t *sets;     /* [row, LEVELS, words] the labels whose bound is at most floor + level */
  uint64_t *reaching; /* [LEVELS, words] for one row, see find_bounds */
  uint32_t *floor, *pending; /* [row] the least of any label; of the pending exchange */
  size_t sets_capacity, floor_capacity, pending_capacity;
  struct row_price *prices; /* [row + 1] from the row before the first on */
  size_t prices_capacity;
  size_t bounded_max; /* rows */
  uint64_t budget;
  bool failed; /* out of memory */
};

/* Rarity of the transition, NEVER when there is none. */
static uint64_t rarity(const struct tt_path_graph *graph, uint16_t a, uint16_t b) {
  unsigned r = graph->between[(size_t)a * graph->c->events.n + b];
  return r ? r - 1 : NEVER;
}

/* ---- solver ---- */

void tt_path_solver_free(struct tt_path_solver *solver) {
  if (!solver)
    return;
  void *parts[] = {solver->least,    solver->from,  solver->reached, solver->open,  solver->next,
                   solver->history,  solver->first, solver->marks,   solver->set,   solver->sets,
                   solver->reaching, solver->floor, solver->pending, solver->prices};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
    tt_free(parts[i]);
  tt_free(solver);
}

struct tt_path_solver *tt_path_solver_new(const struct tt_path_graph *graph, size_t history_max,
                                          size_t bounded_max) {
  struct tt_path_solver *s = tt_calloc(1, sizeof *s);
  if (!s)
    return NULL;
  size_t n = s->n_labels = graph->c->events.n;
  s->graph = graph;
  s->history_max = history_max ? history_max : HISTORY_MAX;
  s->bounded_max = bounded_max && bounded_max < NORMALIZE_ROWS ? bounded_max : NORMALIZE_ROWS;
  s->least = tt_alloc(n + 1, sizeof *s->least);
  s->from = tt_alloc(n + 1, sizeof *s->from);
  s->reached = tt_alloc(n + 1, sizeof *s->reached);
  s->open = tt_alloc(n + 1, sizeof *s->open);
  s->next = tt_alloc(n + 1, sizeof *s->next);
  s->marks = tt_calloc(n + 1, sizeof *s->marks);
  s->set = tt_alloc(n + 1, sizeof *s->set);
  s->reaching = tt_alloc(LEVELS * graph->words, sizeof *s->reaching);
  if (s->least && s->from && s->reached && s->open && s->next && s->marks && s->set && s->reaching)
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

/* ---- bounds ---- */

static uint64_t *set_of(const struct tt_path_solver *s, size_t t, size_t level) {
  return s->sets + (t * LEVELS + level) * s->graph->words;
}

static bool holds(const uint64_t *set, size_t label) {
  return set[label / 64] >> (label % 64) & 1;
}

/* Field 1 still to be paid after row t when `label` stands there, at least. */
static uint32_t bound_of(const struct tt_path_solver *s, size_t t, uint16_t label) {
  if (s->budget == NO_BUDGET)
    return 0;
  uint32_t level = 0;
  while (level < LEVELS && !holds(set_of(s, t, level), label))
    level++;
  return s->floor[t] + level;
}

static uint32_t pending_bound(const struct tt_path_solver *s, size_t t) {
  return s->budget == NO_BUDGET ? 0 : s->pending[t];
}

/* What the sets of a row were made of, so that their predecessors need not be collected one by one:
 * from level first_level on they hold first, from second_level on second, below level `rest`
 * nothing else. */
struct parts {
  const uint64_t *before_first, *before_second; /* [words] predecessors of first, of second */
  size_t first_level, second_level, rest;
};

/* s->reaching[k]: the predecessors of the labels with a bound of at most floor + k at row t, for
 * k <= last. */
static void find_reaching(const struct tt_path_solver *s, size_t t, const struct parts *parts,
                          size_t last) {
  const size_t words = s->graph->words;
  for (size_t k = 0; k <= last; k++) {
    uint64_t *reaching = s->reaching + k * words;
    if (k)
      memcpy(reaching, reaching - words, words * sizeof *reaching);
    else
      memset(reaching, 0, words * sizeof *reaching);
    if (k == parts->first_level)
      tt_label_set_join(reaching, parts->before_first, words);
    if (k == parts->second_level)
      tt_label_set_join(reaching, parts->before_second, words);
    if (k < parts->rest)
      continue;
    const uint64_t *set = set_of(s, t, k), *below = k ? set_of(s, t, k - 1) : NULL;
    for (size_t w = 0; w < words; w++)
      for (uint64_t left = below ? set[w] & ~below[w] : set[w]; left; left &= left - 1) {
        size_t label = 64 * w + (size_t)__builtin_ctzll(left);
        tt_label_set_join(reaching, s->graph->before + label * words, words);
      }
  }
}

/* The bounds of all rows, from the right. What a row's bounds are made of: keeping the next event
 * (free), exchanging it, substituting it. Bounds from floor + LEVELS on are not told apart: they
 * are taken for floor + LEVELS, which keeps them lower bounds, as floor grows by no more than a
 * substitution costs from a row to the one before. (An event cannot be substituted by its own
 * label; that the bounds allow it takes nothing from them, as keeping it is cheaper, or at worst
 * makes them lower.) */
static bool find_bounds(struct tt_path_solver *s, const struct tt_path_problem *p) {
  const size_t words = s->graph->words, n = p->n;
  if (tt_grow(&s->sets, &s->sets_capacity, n * LEVELS * words, sizeof *s->sets) ||
      tt_grow(&s->floor, &s->floor_capacity, n, sizeof *s->floor) ||
      tt_grow(&s->pending, &s->pending_capacity, n, sizeof *s->pending))
    return false;
  memset(set_of(s, n - 1, 0), 0xff, LEVELS * words * sizeof *s->sets);
  for (size_t level = 0; s->n_labels % 64 && level < LEVELS; level++)
    set_of(s, n - 1, level)[words - 1] = ((uint64_t)1 << (s->n_labels % 64)) - 1;
  s->floor[n - 1] = s->pending[n - 1] = 0;
  struct parts parts = {s->graph->before_any, NULL, 0, LEVELS, LEVELS};
  for (size_t t = n - 1; t-- > 0;) {
    const struct row_price *price = price_of(s, t + 1);
    const uint32_t floor = s->floor[t + 1];
    const uint16_t label = p->rows[t + 1].label;
    uint32_t keep = OUT_OF_REACH, exchange = OUT_OF_REACH;
    if (price->keep != NEVER)
      keep = bound_of(s, t + 1, label);
    if (price->exchange != NEVER)
      exchange = TT_PATH_EXCHANGE + s->pending[t + 1];
    uint32_t least = floor + TT_PATH_SUBSTITUTE;
    least = keep < least ? keep : least;
    least = exchange < least ? exchange : least;
    s->floor[t] = least;
    bool known = p->rows[t].label != TT_LABEL_NONE;
    s->pending[t] = known ? bound_of(s, t + 1, p->rows[t].label) : OUT_OF_REACH;
    size_t substitute = floor + TT_PATH_SUBSTITUTE - least; /* the first level of substitutions */
    if (substitute < LEVELS)
      find_reaching(s, t + 1, &parts, LEVELS - 1 - substitute);
    parts = (struct parts){
        .first_level = keep - least, .second_level = exchange - least, .rest = substitute};
    if (keep != OUT_OF_REACH)
      parts.before_first = s->graph->before_twice + label * words;
    if (exchange != OUT_OF_REACH)
      parts.before_second = s->graph->before_twice + p->rows[t + 2].label * words;
    for (size_t level = 0; level < LEVELS; level++) {
      uint64_t *set = set_of(s, t, level);
      if (level >= substitute)
        memcpy(set, s->reaching + (level - substitute) * words, words * sizeof *set);
      else
        memset(set, 0, words * sizeof *set);
      if (keep <= least + level)
        tt_label_set_join(set, s->graph->before + label * words, words);
      if (exchange <= least + level)
        tt_label_set_join(set, s->graph->before + p->rows[t + 2].label * words, words);
    }
  }
  return true;
}

/* Field 1 of any solution, at least. */
static uint32_t bound_of_all(const struct tt_path_solver *s, const struct tt_path_problem *p) {
  uint32_t least = OUT_OF_REACH, exchange = TT_PATH_EXCHANGE, substitute = TT_PATH_SUBSTITUTE;
  if (price_of(s, 0)->keep != NEVER)
    least = bound_of(s, 0, p->rows->label);
  if (p->fixed_left)
    return least;
  if (!p->open_left) { /* ghosts */
    exchange--;
    substitute--;
    if (s->prices[0].exchange != NEVER && exchange + s->floor[0] < least)
      least = exchange + s->floor[0];
  }
  if (price_of(s, 0)->exchange != NEVER && exchange + s->pending[0] < least)
    least = exchange + s->pending[0];
  return substitute + s->floor[0] < least ? substitute + s->floor[0] : least;
}

/* ---- one row of the search ---- */

static bool too_dear(const struct tt_path_solver *s, uint64_t cost, uint32_t bound) {
  return s->budget != NO_BUDGET && cost / MAIN + bound > s->budget;
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
static void add_state(struct tt_path_solver *s, uint64_t cost, uint32_t bound, uint32_t parent,
                      uint16_t label, uint8_t kind, bool pending) {
  if (too_dear(s, cost, bound))
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

static void first_row(struct tt_path_solver *s, const struct tt_path_problem *p) {
  const struct tt_path_row *row = p->rows;
  const struct row_price *price = price_of(s, 0);
  const bool ghosts = !p->open_left && !p->fixed_left;
  if (!begin_row(s, s->n_labels + 1))
    return;
  if (price->keep != NEVER)
    add_state(s, price->keep, bound_of(s, 0, row->label), 0, row->label, KEPT, false);
  if (p->fixed_left) {
    end_row(s);
    return;
  }
  uint16_t taken = row->label; /* by an exchange ghost */
  if (price->exchange != NEVER)
    add_state(s, ghosts ? GHOST_EXCHANGE : price->exchange, pending_bound(s, 0), 0, row[1].label,
              ghosts ? GHOST : PENDING, true);
  if (ghosts && s->prices[0].exchange != NEVER) {
    taken = row[-1].label;
    add_state(s, GHOST_EXCHANGE, bound_of(s, 0, taken), 0, taken, GHOST, false);
  }
  uint64_t cost = ghosts ? GHOST_SUBSTITUTE : TT_PATH_SUBSTITUTE * MAIN;
  uint32_t floor = s->budget == NO_BUDGET ? 0 : s->floor[0];
  for (size_t l = 0; l < s->n_labels && !too_dear(s, cost, floor); l++) {
    uint32_t bound = bound_of(s, 0, (uint16_t)l);
    if (l == row->label || l == taken || too_dear(s, cost, bound))
      continue;
    uint64_t here = substitute_price(s->graph->c, row, (uint16_t)l);
    if (here != NEVER)
      add_state(s, ghosts ? cost : here, bound, 0, (uint16_t)l, ghosts ? GHOST : SUBSTITUTED,
                false);
  }
  end_row(s);
}

/* A way to a label (or the pending exchange): the cheapest stays, of equals that from the lowest
 * label. */
static inline void reach(struct tt_path_solver *s, size_t to, uint64_t cost, uint32_t from) {
  uint64_t least = s->least[to];
  if (cost > least || (cost == least && s->open[from].label > s->open[s->from[to]].label))
    return;
  if (least == NEVER)
    s->reached[s->n_reached++] = (uint32_t)to;
  s->least[to] = cost;
  s->from[to] = from;
}

/* Prices are added at the end: they do not depend on where a way comes from. */
static void next_row(struct tt_path_solver *s, const struct tt_path_problem *p, size_t t) {
  const struct tt_path_graph *graph = s->graph;
  const struct tt_path_row *row = &p->rows[t];
  const struct row_price *price = price_of(s, t);
  const uint32_t floor = s->budget == NO_BUDGET ? 0 : s->floor[t];
  const size_t exchange = s->n_labels;
  uint64_t second = NEVER; /* the way that ends the exchange pending */
  uint32_t second_from = 0;
  memset(s->least, 0xff, (s->n_labels + 1) * sizeof *s->least); /* NEVER */
  s->n_reached = 0;
  for (size_t i = 0; i < s->n_open; i++) {
    uint64_t cost = s->open[i].cost, r;
    uint16_t from = s->open[i].label;
    if (s->open[i].pending) {
      second = cost + rarity(graph, from, row[-1].label);
      second_from = (uint32_t)i;
      continue;
    }
    if (price->keep != NEVER && (r = rarity(graph, from, row->label)) != NEVER)
      reach(s, row->label, cost + r, (uint32_t)i);
    if (price->exchange != NEVER && (r = rarity(graph, from, row[1].label)) != NEVER)
      reach(s, exchange, cost + r, (uint32_t)i);
    if (too_dear(s, cost + TT_PATH_SUBSTITUTE * MAIN, floor))
      continue;
    const struct tt_path_edge *edge = graph->edges + graph->start[from];
    for (const struct tt_path_edge *end = graph->edges + graph->start[from + 1u]; edge < end;
         edge++)
      reach(s, edge->label, cost + edge->rarity, (uint32_t)i);
  }
  if (second != NEVER && s->least[row[-1].label] == NEVER)
    s->reached[s->n_reached++] = row[-1].label;
  if (!begin_row(s, s->n_reached))
    return;
  for (size_t k = 0; k < s->n_reached; k++) {
    size_t to = s->reached[k];
    uint64_t cost = s->least[to];
    if (to == exchange) {
      add_state(s, cost + price->exchange, pending_bound(s, t), s->from[to], row[1].label, PENDING,
                true);
      continue;
    }
    uint32_t bound = bound_of(s, t, (uint16_t)to);
    uint64_t here = NEVER;
    if (cost != NEVER) {
      if (to == row->label)
        here = price->keep;
      else if (!too_dear(s, cost + TT_PATH_SUBSTITUTE * MAIN, bound))
        here = substitute_price(graph->c, row, (uint16_t)to);
    }
    cost = here == NEVER ? NEVER : cost + here;
    if (second != NEVER && to == row[-1].label && second < cost)
      add_state(s, second, bound, second_from, (uint16_t)to, SECOND, false);
    else if (cost != NEVER)
      add_state(s, cost, bound, s->from[to], (uint16_t)to, to == row->label ? KEPT : SUBSTITUTED,
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
        (last == SIZE_MAX || s->open[i].cost < s->open[last].cost ||
         (s->open[i].cost == s->open[last].cost && s->open[i].label < s->open[last].label)))
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
  bool bounded = p->n <= s->bounded_max && p->n * s->graph->words <= BOUNDS_MAX;
  s->budget = 0; /* bounds are looked up from now on */
  s->failed = !find_prices(s, p) || (bounded && !find_bounds(s, p));
  if (!s->failed && bounded)
    s->budget = bound_of_all(s, p);
  for (uint32_t raise = 1; !s->failed && bounded && raise <= RAISE_MAX; raise *= 2) {
    if (search(s, p, steps, &verdict))
      return verdict;
    s->budget += raise;
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
