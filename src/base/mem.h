/* Allocation with checked products, and one hook so that a test can make the Nth call fail. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

/* count * size bytes; NULL (with a TT_NO_MEMORY cause recorded by the caller) when the product
 * overflows or memory is short. tt_alloc leaves the bytes unset, tt_calloc clears them. Zero-sized
 * requests return a valid pointer. Release with tt_free (accepts NULL). */
void *tt_alloc(size_t count, size_t size) __attribute__((malloc));
void *tt_calloc(size_t count, size_t size) __attribute__((malloc));
void *tt_realloc(void *old, size_t count, size_t size);
char *tt_strdup(const char *text);
void tt_free(void *p);

/* Grows *array (of element `size`) so that it holds at least `need` elements, doubling. Returns 0,
 * or -1 when memory is short; *array and *capacity are untouched then. */
int tt_grow(void *array_pointer, size_t *capacity, size_t need, size_t size);

/* Tests: the nth allocation from now on (1 = the next) fails, once; 0 = never. */
void tt_alloc_fail_at(size_t n);

#endif
