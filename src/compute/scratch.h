/* Working memory of kernels: per thread, kept between calls, grown when asked for more. */
#ifndef COMPUTE_SCRATCH_H
#define COMPUTE_SCRATCH_H

#include <stddef.h>

/* At least `bytes`, 64-byte aligned, unset; valid until this thread's next call with the same slot.
 * Buffers of threads that end are released. */
enum tt_scratch_slot {
  TT_SCRATCH_A,
  TT_SCRATCH_B,
  TT_SCRATCH_C,
  TT_SCRATCH_D,
  TT_SCRATCH_TILE, /* of a kernel that calls other kernels: those don't use it */
  TT_SCRATCH_SLOTS
};
void *tt_scratch(enum tt_scratch_slot slot, size_t bytes);

#endif
