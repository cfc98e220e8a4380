#include "metrics/fidelity.h"

#include <math.h>

#include "base/mem.h"
#include "metrics/conditional.h"
#include "metrics/discriminator.h"
#include "metrics/syscalls.h"
#include "metrics/table.h"

#define DEFAULT_MAX_EVENTS 2000000

/* A view read in one of its two orders. */
struct order {
  const struct tt_view *view;
  bool per_cpu;
};

static uint32_t row_at(const struct order *order, size_t k) {
  return order->per_cpu ? order->view->order[k] : (uint32_t)k;
}

static bool fresh_at(const struct order *order, size_t k) {
  return order->per_cpu ? order->view->cpu_fresh[k] : order->view->merged_fresh[k];
}

/* Key of the n events ending at position k. 64 bits are enough to tell a few million n-grams apart:
 * the chance of one collision among 4 million is below 1e-6. */
static uint64_t gram_key(const struct order *order, size_t k, size_t n) {
  uint64_t key = n;
  for (size_t i = k + 1 - n; i <= k; i++)
    key = tt_mix(key, order->view->event[row_at(order, i)]);
  return key;
}

/* Adds the n-grams of every run to v[side]. */
static enum tt_status count_grams(struct tt_table *table, int side, const struct order *order,
                                  size_t n) {
  for (size_t k = 0, run = 0; k < order->view->n; k++) {
    run = fresh_at(order, k) ? 1 : run + 1;
    if (run < n)
      continue;
    struct tt_slot *slot = tt_table_at(table, gram_key(order, k, n));
    if (!slot)
      return tt_fail(TT_NO_MEMORY, "%zu-grams", n);
    slot->v[side]++;
  }
  return TT_OK;
}

static enum tt_status measure_grams(const struct tt_view *reference,
                                    const struct tt_view *candidate, bool per_cpu,
                                    double ret[TT_NGRAM_MAX]) {
  struct order a = {reference, per_cpu}, b = {candidate, per_cpu};
  struct tt_table table;
  tt_table_init(&table);
  enum tt_status status = TT_OK;
  for (size_t n = 1; n <= TT_NGRAM_MAX && status == TT_OK; n++) {
    tt_table_clear(&table);
    status = count_grams(&table, 0, &a, n);
    if (status == TT_OK)
      status = count_grams(&table, 1, &b, n);
    if (status == TT_OK)
      ret[n - 1] = tt_table_jsd(&table);
  }
  tt_table_release(&table);
  return status;
}

static enum tt_status measure_memory(const struct tt_view *reference,
                                     const struct tt_view *candidate, bool per_cpu, double *ret) {
  struct order a = {reference, per_cpu}, b = {candidate, per_cpu};
  struct tt_table table;
  tt_table_init(&table);
  enum tt_status status = count_grams(&table, 0, &a, TT_MEMORY_NGRAM);
  uint64_t grams = 0, found = 0;
  for (size_t k = 0, run = 0; status == TT_OK && k < candidate->n; k++) {
    run = fresh_at(&b, k) ? 1 : run + 1;
    if (run < TT_MEMORY_NGRAM)
      continue;
    grams++;
    found += tt_table_find(&table, gram_key(&b, k, TT_MEMORY_NGRAM)) != NULL;
  }
  if (status == TT_OK)
    *ret = grams ? (double)found / (double)grams : NAN;
  tt_table_release(&table);
  return status;
}

/* Return values as categories: exact up to +-4095 (counts, descriptors, -errno), by sign and power
 * of two beyond (addresses and sizes rarely repeat). */
static int64_t ret_category(int64_t ret) {
  if (ret > -4096 && ret < 4096)
    return ret + 4096;
  uint64_t x = ret < 0 ? -(uint64_t)ret : (uint64_t)ret;
  int64_t bits = 0;
  while (x >>= 1)
    bits++;
  return 10000 + bits * 2 + (ret < 0);
}

enum attribute {
  ATTRIBUTE_DT,
  ATTRIBUTE_DT_CPU,
  ATTRIBUTE_CPU,
  ATTRIBUTE_TID,
  ATTRIBUTE_COMM,
  ATTRIBUTE_RET
};

/* The rows that have the attribute, as (event, value). */
static enum tt_status observe(const struct tt_view *view, enum attribute attribute,
                              struct tt_observation **ret, size_t *ret_n) {
  struct tt_observation *seen = tt_alloc(view->n, sizeof *seen);
  if (!seen)
    return tt_fail(TT_NO_MEMORY, "observations of %zu events", view->n);
  size_t n = 0;
  for (size_t i = 0; i < view->n; i++) {
    int64_t value = 0;
    bool there = true;
    switch (attribute) {
    case ATTRIBUTE_DT:
      there = view->dt_merged[i] != TT_DT_NONE;
      value = view->dt_merged[i];
      break;
    case ATTRIBUTE_DT_CPU:
      there = view->dt_cpu[i] != TT_DT_NONE;
      value = view->dt_cpu[i];
      break;
    case ATTRIBUTE_CPU:
      value = view->cpu[i];
      break;
    case ATTRIBUTE_TID:
      there = view->tid[i] != TT_TID_NONE;
      value = (uint32_t)view->tid[i];
      break;
    case ATTRIBUTE_COMM:
      there = view->comm[i] != TT_COMM_NONE;
      value = view->comm[i];
      break;
    case ATTRIBUTE_RET:
      there = view->ret[i] != TT_RET_NONE;
      value = there ? ret_category(view->ret[i]) : 0;
      break;
    }
    if (there)
      seen[n++] = (struct tt_observation){.key = view->event[i], .value = value};
  }
  *ret = seen;
  *ret_n = n;
  return TT_OK;
}

static enum tt_status measure_attribute(const struct tt_view *reference,
                                        const struct tt_view *candidate, enum attribute attribute,
                                        double *ret) {
  struct tt_observation *a = NULL, *b = NULL;
  size_t n_a = 0, n_b = 0;
  enum tt_status status = observe(reference, attribute, &a, &n_a);
  if (status == TT_OK)
    status = observe(candidate, attribute, &b, &n_b);
  if (status == TT_OK)
    status = attribute <= ATTRIBUTE_DT_CPU ? tt_conditional_jsd_numbers(a, n_a, b, n_b, ret)
                                           : tt_conditional_jsd_categories(a, n_a, b, n_b, ret);
  tt_free(a);
  tt_free(b);
  return status;
}

static enum tt_status latencies_of(const struct tt_view *view, const struct tt_alphabet *alphabet,
                                   struct tt_observation **ret, size_t *ret_n, double *ret_rate) {
  struct tt_syscalls calls;
  enum tt_status status = tt_syscalls_pair(view, alphabet, &calls);
  if (status != TT_OK)
    return status;
  struct tt_observation *seen = tt_alloc((size_t)calls.pairs, sizeof *seen);
  if (seen) {
    for (size_t i = 0; i < calls.pairs; i++)
      seen[i] = (struct tt_observation){calls.latencies[i].call, calls.latencies[i].ns};
    *ret = seen;
    *ret_n = (size_t)calls.pairs;
    *ret_rate = tt_syscalls_pairing_rate(&calls);
  } else {
    status = tt_fail(TT_NO_MEMORY, "%llu latencies", (unsigned long long)calls.pairs);
  }
  tt_syscalls_release(&calls);
  return status;
}

static enum tt_status measure_syscalls(const struct tt_view *reference,
                                       const struct tt_view *candidate,
                                       const struct tt_alphabet *alphabet,
                                       struct tt_fidelity *fidelity) {
  struct tt_observation *a = NULL, *b = NULL;
  size_t n_a = 0, n_b = 0;
  enum tt_status status = latencies_of(reference, alphabet, &a, &n_a, &fidelity->pairing_reference);
  if (status == TT_OK)
    status = latencies_of(candidate, alphabet, &b, &n_b, &fidelity->pairing_candidate);
  if (status == TT_OK)
    status = tt_conditional_jsd_numbers(a, n_a, b, n_b, &fidelity->latency_jsd);
  tt_free(a);
  tt_free(b);
  return status;
}

enum tt_status tt_fidelity_measure(const struct tt_view *reference, const struct tt_view *candidate,
                                   const struct tt_alphabet *alphabet, uint64_t seed,
                                   struct tt_fidelity *ret) {
  struct tt_fidelity f = {.reference_events = reference->n, .candidate_events = candidate->n};
  const struct {
    enum attribute attribute;
    double *into;
  } attributes[] = {{ATTRIBUTE_DT, &f.dt_jsd},     {ATTRIBUTE_DT_CPU, &f.dt_cpu_jsd},
                    {ATTRIBUTE_CPU, &f.cpu_jsd},   {ATTRIBUTE_TID, &f.tid_jsd},
                    {ATTRIBUTE_COMM, &f.comm_jsd}, {ATTRIBUTE_RET, &f.ret_jsd}};
  enum tt_status status = measure_grams(reference, candidate, false, f.ngram_jsd);
  if (status == TT_OK)
    status = measure_grams(reference, candidate, true, f.ngram_cpu_jsd);
  for (size_t i = 0; i < sizeof attributes / sizeof *attributes && status == TT_OK; i++)
    status = measure_attribute(reference, candidate, attributes[i].attribute, attributes[i].into);
  if (status == TT_OK)
    status = measure_syscalls(reference, candidate, alphabet, &f);
  if (status == TT_OK)
    status = measure_memory(reference, candidate, false, &f.memorised);
  if (status == TT_OK)
    status = measure_memory(reference, candidate, true, &f.memorised_cpu);
  if (status == TT_OK)
    status = tt_discriminator_auc(reference, candidate, TT_FEATURES_EVENTS, seed,
                                  &f.discriminator_auc_events);
  if (status == TT_OK)
    status =
        tt_discriminator_auc(reference, candidate, TT_FEATURES_ALL, seed, &f.discriminator_auc);
  if (status == TT_OK)
    *ret = f;
  return status;
}

static size_t smaller(size_t a, size_t b) {
  return a < b ? a : b;
}

enum tt_status tt_fidelity_compare(const struct tt_fidelity_config *config,
                                   const struct tt_dataset *train, const struct tt_dataset *heldout,
                                   const struct tt_dataset *synthetic,
                                   struct tt_fidelity *ret_heldout,
                                   struct tt_fidelity *ret_synthetic) {
  size_t limit = config->max_events ? config->max_events : DEFAULT_MAX_EVENTS;
  size_t each =
      smaller(limit, smaller(tt_dataset_columns(heldout)->n, tt_dataset_columns(synthetic)->n));
  struct tt_alphabet alphabet;
  struct tt_view reference = {0}, candidate = {0};
  struct tt_fidelity results[2];
  tt_alphabet_init(&alphabet);
  enum tt_status status = tt_view_make_middle(train, limit, &alphabet, &reference);
  for (int i = 0; i < 2 && status == TT_OK; i++) {
    tt_view_release(&candidate);
    status = tt_view_make_middle(i ? synthetic : heldout, each, &alphabet, &candidate);
    if (status == TT_OK)
      status = tt_fidelity_measure(&reference, &candidate, &alphabet, config->seed, &results[i]);
  }
  if (status == TT_OK) {
    *ret_heldout = results[0];
    *ret_synthetic = results[1];
  }
  tt_view_release(&reference);
  tt_view_release(&candidate);
  tt_alphabet_release(&alphabet);
  return status;
}
