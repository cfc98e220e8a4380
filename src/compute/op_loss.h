/* What the losses share. */
#ifndef COMPUTE_OP_LOSS_H
#define COMPUTE_OP_LOSS_H

#include <stddef.h>
#include <stdint.h>

/* out[i] = w[i] / normalizer (<= 0: / sum of w), 0 for rows with a negative target; all 0 when
 * nothing counts. targets NULL: every row counts; targets >= classes: TT_ASSERT. */
void tt_loss_coefficients(float *out, const int32_t *targets, const float *weights, size_t rows,
                          size_t classes, double normalizer);
/* sum of coefficient * loss over rows, in order, in double. */
float tt_loss_sum(const float *coefficients, const float *losses, size_t rows);

#endif
