/* Matrix products by oneDNN (2.x or 3.x), primitives kept by shape. */
#ifndef COMPUTE_DNN_MATMUL_H
#define COMPUTE_DNN_MATMUL_H

#include "compute/tensor.h"

/* C[m, n] (+)= A[m, k] B[k, n] + bias[n], any strides (in elements). */
struct tt_dnn_matmul {
  size_t m, n, k;
  enum tt_dtype in, out; /* of A and B; of C */
  const void *a, *b;
  size_t a_row, a_col, b_row, b_col;
  void *c;
  size_t c_row;
  const float *bias; /* NULL: none */
  bool accumulate;
};
void tt_dnn_matmul(const struct tt_dnn_matmul *args);
/* "2.6.3" */
const char *tt_dnn_version(void);
/* Releases all kept primitives. */
void tt_dnn_clear(void);

#endif
