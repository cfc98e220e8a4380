/* Checking: counts of violations, over ranges of rows in parallel; integer sums, so the result does
 * not depend on the ranges. */
#include <omp.h>

#include "base/mem.h"
#include "constraints/core.h"

#define NEVER SIZE_MAX
#define POLL_ROWS ((size_t)1 << 20)

struct checker {
  const struct tt_constraints *c;
  const struct tt_binding *binding;
  const struct tt_rows *rows;
  size_t n_cpus;
};

struct counts {
  uint64_t pairs, pairs_cpu, trans, time, cpu, attr, trans_cpu;
};

static bool follows(const struct tt_relation *next, uint16_t a, uint16_t b) {
  return a != TT_LABEL_NONE && b != TT_LABEL_NONE && tt_relation_has(next, a, b);
}

/* first, last: [n_cpus] this range's first and last row of each CPU, NEVER at the start. */
static enum tt_status check_range(const struct checker *checker, size_t begin, size_t end,
                                  size_t *first, size_t *last, struct counts *ret) {
  const struct tt_constraints *c = checker->c;
  const struct tt_columns *columns = &checker->rows->columns;
  struct counts counts = {0};
  size_t cursor = 0, last_cut = 0;
  uint16_t before = begin > 0 ? tt_label(checker->binding, columns->event[begin - 1]) : 0;
  for (size_t i = begin; i < end; i++) {
    if ((i - begin) % POLL_ROWS == 0 && i > begin) {
      if (tt_interrupted())
        return TT_INTERRUPTED;
      tt_rows_done_with(checker->rows, i - POLL_ROWS, POLL_ROWS);
    }
    uint16_t label = tt_label(checker->binding, columns->event[i]);
    bool known = label != TT_LABEL_NONE;
    size_t cpu = columns->cpu[i];
    if (i > 0) {
      if (tt_rows_cut(checker->rows, i, &cursor)) {
        last_cut = i;
      } else {
        counts.pairs++;
        counts.trans += !follows(&c->next, before, label);
        counts.time += !known || !tt_dt_legal(c, label, columns->ts[i] - columns->ts[i - 1]);
      }
    }
    if (last[cpu] == NEVER) {
      first[cpu] = i;
    } else if (!(last_cut > last[cpu] && tt_rows_cpu_cut(checker->rows, last[cpu], i))) {
      uint16_t there = tt_label(checker->binding, columns->event[last[cpu]]);
      counts.pairs_cpu++;
      counts.trans_cpu += !follows(&c->next_cpu, there, label);
    }
    last[cpu] = i;
    counts.cpu += !known || !tt_relation_has(&c->cpu, label, cpu);
    counts.attr += !known ||
                   !tt_relation_has(&c->tid, label, tt_constraints_tid_class(columns->tid[i])) ||
                   !tt_relation_has(&c->comm, label,
                                    tt_binding_comm_class(c, checker->binding, columns->comm[i])) ||
                   !tt_relation_has(&c->ret, label, tt_constraints_ret_class(c, columns->ret[i]));
    before = label;
  }
  *ret = counts;
  return TT_OK;
}

static double share(uint64_t bad, uint64_t of) {
  return of ? (double)bad / (double)of : 0;
}

enum tt_status tt_check_rows(const struct tt_constraints *c, const struct tt_binding *binding,
                             const struct tt_rows *rows, struct tt_distances *ret) {
  const struct tt_columns *columns = &rows->columns;
  size_t n = columns->n, n_cpus = rows->n_cpus, n_ranges = (size_t)omp_get_max_threads();
  struct checker checker = {c, binding, rows, n_cpus};
  size_t *first = tt_alloc(n_ranges * n_cpus, sizeof *first);
  size_t *last = tt_alloc(n_ranges * n_cpus, sizeof *last);
  struct counts *counts = tt_calloc(n_ranges, sizeof *counts);
  enum tt_status status = first && last && counts ? TT_OK : TT_NO_MEMORY;
  for (size_t i = 0; status == TT_OK && i < n_ranges * n_cpus; i++)
    first[i] = last[i] = NEVER;
  if (status == TT_OK) {
    enum tt_status worst = TT_OK;
#pragma omp parallel for schedule(static, 1) reduction(max : worst)
    for (size_t r = 0; r < n_ranges; r++) {
      size_t end = r + 1 == n_ranges ? n : n / n_ranges * (r + 1);
      enum tt_status one = check_range(&checker, n / n_ranges * r, end, first + r * n_cpus,
                                       last + r * n_cpus, &counts[r]);
      worst = one > worst ? one : worst;
    }
    status = worst;
  }
  if (status == TT_OK) {
    struct tt_distances d = {.events = n};
    for (size_t r = 0; r < n_ranges; r++) {
      d.pairs += counts[r].pairs;
      d.pairs_cpu += counts[r].pairs_cpu;
      d.bad_trans += counts[r].trans;
      d.bad_time += counts[r].time;
      d.bad_cpu += counts[r].cpu;
      d.bad_attr += counts[r].attr;
      d.bad_trans_cpu += counts[r].trans_cpu;
    }
    for (size_t cpu = 0; cpu < n_cpus; cpu++) { /* pairs that straddle two ranges */
      size_t before = NEVER;
      for (size_t r = 0; r < n_ranges; r++) {
        size_t here = first[r * n_cpus + cpu];
        if (here == NEVER)
          continue;
        if (before != NEVER && !tt_rows_cpu_cut(rows, before, here)) {
          d.pairs_cpu++;
          d.bad_trans_cpu += !follows(&c->next_cpu, tt_label(binding, columns->event[before]),
                                      tt_label(binding, columns->event[here]));
        }
        before = last[r * n_cpus + cpu];
      }
    }
    d.d_trans = share(d.bad_trans, d.pairs);
    d.d_time = share(d.bad_time, n);
    d.d_cpu = share(d.bad_cpu, n);
    d.d_attr = share(d.bad_attr, n);
    d.d_trans_cpu = share(d.bad_trans_cpu, d.pairs_cpu);
    *ret = d;
  }
  tt_free(first);
  tt_free(last);
  tt_free(counts);
  if (status == TT_NO_MEMORY)
    return tt_fail(status, "out of memory");
  return status == TT_OK ? TT_OK : tt_fail(status, "while checking constraints");
}

bool tt_distances_zero(const struct tt_distances *distances) {
  return !(distances->bad_trans || distances->bad_time || distances->bad_cpu ||
           distances->bad_attr);
}

enum tt_status tt_constraints_check(const struct tt_constraints *c,
                                    const struct tt_dataset *dataset, struct tt_distances *ret) {
  const struct tt_dataset_meta *meta = tt_dataset_meta(dataset);
  struct tt_binding binding = {0};
  struct tt_rows rows = {0};
  enum tt_status status = tt_constraints_bind(c, &meta->events, &meta->comms, &binding);
  if (status == TT_OK)
    status = tt_rows_of(dataset, &rows);
  if (status == TT_OK)
    status = tt_check_rows(c, &binding, &rows, ret);
  tt_rows_release(&rows);
  tt_binding_release(&binding);
  return status;
}
