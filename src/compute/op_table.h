/* The one list of ops: enum, names, profile and gradient checks come from it. A new op is a line
 * here, a function in ops.h, and a check in tests/compute_test.c (without it the test does not
 * compile). */
#ifndef COMPUTE_OP_TABLE_H
#define COMPUTE_OP_TABLE_H

#define TT_OPS(X)                                                                                  \
  X(linear)                                                                                        \
  X(norm)                                                                                          \
  X(embed)                                                                                         \
  X(attention)                                                                                     \
  X(rotary)                                                                                        \
  X(conv1d)                                                                                        \
  X(group_norm)                                                                                    \
  X(upsample)                                                                                      \
  X(max_pool)                                                                                      \
  X(head_loss)                                                                                     \
  X(lstm)                                                                                          \
  X(cross_entropy)                                                                                 \
  X(prior)                                                                                         \
  X(mse)                                                                                           \
  X(add)                                                                                           \
  X(add_rows)                                                                                      \
  X(scale)                                                                                         \
  X(mul)                                                                                           \
  X(activation)                                                                                    \
  X(dropout)                                                                                       \
  X(axpby)                                                                                         \
  X(concat)                                                                                        \
  X(slice)                                                                                         \
  X(gather)                                                                                        \
  X(sum)

enum tt_op {
#define X(name) TT_OP_##name,
  TT_OPS(X)
#undef X
      TT_OP_COUNT
};

const char *tt_op_name(enum tt_op op);

#endif
