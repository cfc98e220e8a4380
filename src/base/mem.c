#include "base/mem.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static atomic_size_t fail_countdown; /* 0: never fail */

static int must_fail(void) {
  size_t left = atomic_load_explicit(&fail_countdown, memory_order_relaxed);
  if (left == 0)
    return 0;
  return atomic_fetch_sub(&fail_countdown, 1) == 1;
}

void tt_alloc_fail_at(size_t n) {
  atomic_store(&fail_countdown, n);
}

void *tt_realloc(void *old, size_t count, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes) || must_fail())
    return NULL;
  return realloc(old, bytes ? bytes : 1);
}

void *tt_alloc(size_t count, size_t size) {
  return tt_realloc(NULL, count, size);
}

void *tt_calloc(size_t count, size_t size) {
  if (must_fail())
    return NULL;
  return calloc(count ? count : 1, size ? size : 1); /* calloc checks the product itself */
}

char *tt_strdup(const char *text) {
  size_t n = strlen(text) + 1;
  char *copy = tt_alloc(n, 1);
  return copy ? memcpy(copy, text, n) : NULL;
}

void tt_free(void *p) {
  free(p);
}

int tt_grow(void *array_pointer, size_t *capacity, size_t need, size_t size) {
  if (need <= *capacity)
    return 0;
  size_t wanted = *capacity < 8 ? 8 : *capacity;
  while (wanted < need)
    if (__builtin_mul_overflow(wanted, (size_t)2, &wanted))
      return -1;
  void *old;
  memcpy(&old, array_pointer, sizeof old); /* any T **: no aliasing rule is broken */
  void *grown = tt_realloc(old, wanted, size);
  if (!grown)
    return -1;
  memcpy(array_pointer, &grown, sizeof grown);
  *capacity = wanted;
  return 0;
}
