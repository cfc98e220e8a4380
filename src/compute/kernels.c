#include "compute/kernels.h"

#include <omp.h>

#include "compute/loops/loops.h"
#include "compute/simd/simd.h"

const struct tt_kernels *tt_kernels_ref(void) {
  static const struct tt_kernels set = {.name = "ref",
#define X(kernel, args) .kernel = tt_ref_##kernel,
                                        TT_KERNELS(X)
#undef X
  };
  return &set;
}

const struct tt_kernels *tt_kernels_dnn(void) {
  static const struct tt_kernels set = {
      .name = "dnn",
      .linear_forward = tt_dnn_linear_forward,
      .linear_backward = tt_dnn_linear_backward,
      .linear_weight = tt_dnn_linear_weight,
      .norm_forward = tt_loop_norm_forward,
      .norm_backward = tt_loop_norm_backward,
      .embed_forward = tt_loop_embed_forward,
      .embed_backward = tt_loop_embed_backward,
      .lstm_forward = tt_loop_lstm_forward,
      .lstm_backward = tt_loop_lstm_backward,
      .attention_forward = tt_loop_attention_forward,
      .attention_backward = tt_loop_attention_backward,
      .conv1d_forward = tt_loop_conv1d_forward,
      .conv1d_backward = tt_loop_conv1d_backward,
      .group_norm_forward = tt_loop_group_norm_forward,
      .group_norm_backward = tt_loop_group_norm_backward,
      .head_loss = tt_dnn_head_loss,
  };
  return &set;
}

const struct tt_kernels *tt_kernels_simd(void) {
#if defined(__x86_64__)
  static const struct tt_kernels set = {
      .name = "simd",
      .linear_forward = tt_simd_linear_forward,
      .linear_backward = tt_simd_linear_backward,
      .linear_weight = tt_simd_linear_weight,
      .norm_forward = tt_loop_norm_forward,
      .norm_backward = tt_loop_norm_backward,
      .embed_forward = tt_loop_embed_forward,
      .embed_backward = tt_loop_embed_backward,
      .lstm_forward = tt_loop_lstm_forward,
      .lstm_backward = tt_loop_lstm_backward,
      .attention_forward = tt_simd_attention_forward,
      .attention_backward = tt_simd_attention_backward,
      .conv1d_forward = tt_loop_conv1d_forward,
      .conv1d_backward = tt_loop_conv1d_backward,
      .group_norm_forward = tt_loop_group_norm_forward,
      .group_norm_backward = tt_loop_group_norm_backward,
      .head_loss = tt_simd_head_loss,
  };
  return tt_cpu_has_bf16() ? &set : NULL;
#else
  return NULL;
#endif
}

size_t tt_threads(void) {
  return (size_t)omp_get_max_threads();
}

const struct tt_kernels *tt_kernels_best(void) {
  return tt_kernels_simd() ? tt_kernels_simd() : tt_kernels_dnn();
}
