/* The transition graph as the search wants it: edges as lists and as a table, predecessors as sets.
 */
#include <string.h>

#include "base/mem.h"
#include "constraints/path.h"

#define RARITY_MAX 15u

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
  graph.edges = tt_alloc(n_edges, sizeof *graph.edges);
  graph.words = (n + 63) / 64;
  graph.before =
      n && graph.words > SIZE_MAX / n ? NULL : tt_calloc(n * graph.words, sizeof *graph.before);
  graph.before_twice = graph.before ? tt_calloc(n * graph.words, sizeof *graph.before) : NULL;
  graph.before_any = tt_calloc(graph.words, sizeof *graph.before);
  if (!graph.between || !graph.start || !graph.edges || !graph.before || !graph.before_twice ||
      !graph.before_any) {
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
      graph.before[to * graph.words + a / 64] |= (uint64_t)1 << (a % 64);
    }
    graph.start[a + 1] = kept;
  }
  const size_t words = graph.words;
  for (size_t a = 0; a < n; a++) /* what leads to a leads in two steps to what follows a */
    for (size_t k = graph.start[a]; k < graph.start[a + 1]; k++)
      tt_label_set_join(graph.before_twice + graph.edges[k].label * words, graph.before + a * words,
                        words);
  for (size_t b = 0; b < n; b++)
    tt_label_set_join(graph.before_any, graph.before + b * words, words);
  *ret = graph;
  return TT_OK;
}

void tt_path_graph_release(struct tt_path_graph *graph) {
  tt_free(graph->between);
  tt_free(graph->start);
  tt_free(graph->edges);
  tt_free(graph->before);
  tt_free(graph->before_twice);
  tt_free(graph->before_any);
  memset(graph, 0, sizeof *graph);
}
