/* The .npy v1.0 header (numpy/lib/format.py) of a one-dimensional little-endian array, padded with
 * spaces to one page so that the data behind it can be mapped. */
#ifndef DATASET_NPY_H
#define DATASET_NPY_H

#include <stdint.h>

#include "base/status.h"

enum { TT_NPY_HEADER = 4096 };

/* descr: as numpy has it, e.g. "<i8"; n: elements. */
void tt_npy_header(const char *descr, uint64_t n, char ret[TT_NPY_HEADER]);
/* Checks that a header says exactly this; TT_BAD_INPUT names `path` and the offset otherwise. Any
 * order of keys and spacing that numpy may write is understood. */
enum tt_status tt_npy_check(const char header[TT_NPY_HEADER], const char *path, const char *descr,
                            uint64_t n);

#endif
