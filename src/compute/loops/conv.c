/* Convolution as products of unfolded tiles: row i of a tile holds the `kernel` input positions
 * under output i side by side, so that y = tile W^T by the set's own linear kernel, dW += dz^T tile
 * by its weight kernel, and dtile = dz W by its backward. Tiles have a fixed number of rows: sums
 * do not depend on the number of threads. */
#include "compute/block.h"
#include "compute/loops/loops.h"
#include "compute/scratch.h"

#define ROWS ((size_t)512) /* outputs (backward: inputs) of a tile */

static size_t smaller(size_t a, size_t b) {
  return a < b ? a : b;
}

/* Unfolds outputs first..first+rows-1, counted over all sequences, into tile [rows, kernel * in].
 */
static void unfold(const struct tt_k_conv1d *k, size_t first, size_t rows, char *tile) {
  const size_t in = k->weight->cols / k->kernel, bytes = in * tt_dtype_size(k->dtype);
  const size_t pad = (k->kernel - 1) / 2;
#pragma omp parallel for schedule(static) if (rows * k->weight->cols > TT_PARALLEL_ELEMENTS)
  for (size_t r = 0; r < rows; r++) {
    const size_t b = (first + r) / k->out_length, middle = (first + r) % k->out_length * k->stride;
    char *to = tile + r * k->kernel * bytes;
    /* taps begin..end-1 lie inside the sequence */
    const size_t begin = middle < pad ? pad - middle : 0;
    const size_t end = smaller(k->kernel, k->length + pad - middle);
    memset(to, 0, begin * bytes);
    memcpy(to + begin * bytes, (const char *)k->x + (b * k->length + middle + begin - pad) * bytes,
           (end - begin) * bytes);
    memset(to + end * bytes, 0, (k->kernel - end) * bytes);
  }
}

static char *tile_of(const struct tt_k_conv1d *k, size_t rows) {
  return tt_scratch(TT_SCRATCH_TILE, rows * k->weight->cols * tt_dtype_size(k->dtype) + 128);
}

/* Row r of a matrix of `cols` columns. */
static void *row_at(void *p, enum tt_dtype dtype, size_t r, size_t cols) {
  return p ? (char *)p + r * cols * tt_dtype_size(dtype) : NULL;
}

void tt_loop_conv1d_forward(const struct tt_k_conv1d *k) {
  const size_t total = k->batch * k->out_length, out = k->weight->rows;
  char *tile = tile_of(k, smaller(ROWS, total));
  for (size_t first = 0; first < total; first += ROWS) {
    const size_t rows = smaller(ROWS, total - first);
    unfold(k, first, rows, tile);
    k->products->linear_forward(&(struct tt_k_linear){.dtype = k->dtype,
                                                      .y_dtype = k->dtype,
                                                      .rows = rows,
                                                      .x = tile,
                                                      .weight = k->weight,
                                                      .bias = k->bias,
                                                      .act = k->act,
                                                      .pre = row_at(k->pre, k->dtype, first, out),
                                                      .y = row_at(k->y, k->dtype, first, out)});
  }
}

/* The outputs that see input position reach - (kernel - 1) / 2: output i through tap
 * reach - i * stride. None where the first is past the last. */
static size_t first_output(const struct tt_k_conv1d *k, size_t reach) {
  return reach < k->kernel ? 0 : (reach - k->kernel) / k->stride + 1;
}

static size_t last_output(const struct tt_k_conv1d *k, size_t reach) {
  return smaller(k->out_length - 1, reach / k->stride);
}

/* dx of input `row`, counted over all sequences: the sum over the outputs that saw it, whose
 * unfolded gradients are in `tile` from output `base` on. */
static void fold_row(const struct tt_k_conv1d_backward *k, size_t row, const char *tile,
                     size_t base) {
  const struct tt_k_conv1d *f = &k->forward;
  const size_t in = f->weight->cols / f->kernel, size = tt_dtype_size(f->dtype);
  const size_t b = row / f->length, pad = (f->kernel - 1) / 2, reach = row % f->length + pad;
  const size_t first = first_output(f, reach), last = last_output(f, reach);
  char *to = (char *)k->dx + row * in * size;
  for (size_t from = 0; from < in; from += TT_BLOCK) {
    float sum[TT_BLOCK], u[TT_BLOCK];
    const size_t n = smaller(TT_BLOCK, in - from);
    if (k->dx_accumulate)
      tt_convert_to_f32(sum, to + from * size, f->dtype, n);
    else
      memset(sum, 0, n * sizeof *sum);
    for (size_t i = first; i <= last; i++) {
      const size_t at = b * f->out_length + i - base, tap = reach - i * f->stride;
      tt_convert_to_f32(u, tile + ((at * f->kernel + tap) * in + from) * size, f->dtype, n);
      for (size_t j = 0; j < n; j++)
        sum[j] += u[j];
    }
    tt_convert_from_f32(to + from * size, f->dtype, sum, n);
  }
}

static void input_gradient(const struct tt_k_conv1d_backward *k) {
  const struct tt_k_conv1d *f = &k->forward;
  const size_t total = f->batch * f->length, pad = (f->kernel - 1) / 2;
  const size_t most = ROWS + 2 * f->kernel; /* outputs that see a tile's inputs */
  char *tile = tile_of(f, most);
  for (size_t start = 0; start < total; start += ROWS) {
    const size_t rows = smaller(ROWS, total - start), end = start + rows - 1;
    const size_t b0 = start / f->length, b1 = end / f->length;
    const size_t last = b1 * f->out_length + last_output(f, end % f->length + pad);
    const size_t first =
        smaller(last, b0 * f->out_length + first_output(f, start % f->length + pad));
    TT_ASSERT(last - first < most);
    f->products->linear_backward(
        &(struct tt_k_linear_backward){.dtype = f->dtype,
                                       .rows = last - first + 1,
                                       .dy_stride = f->weight->rows,
                                       .dy = row_at(k->dy, f->dtype, first, f->weight->rows),
                                       .act = TT_ACT_NONE,
                                       .weight = f->weight,
                                       .dx = tile});
#pragma omp parallel for schedule(static) if (rows * f->weight->cols > TT_PARALLEL_ELEMENTS)
    for (size_t r = 0; r < rows; r++)
      fold_row(k, start + r, tile, first);
  }
}

void tt_loop_conv1d_backward(const struct tt_k_conv1d_backward *k) {
  const struct tt_k_conv1d *f = &k->forward;
  const size_t total = f->batch * f->out_length, out = f->weight->rows;
  if (f->act != TT_ACT_NONE) /* dy becomes dz */
    tt_block_activation_backward(k->dy, k->dy, f->pre, f->act, false, f->dtype, total * out);
  if (k->dx)
    input_gradient(k);
  char *tile = tile_of(f, smaller(ROWS, total));
  for (size_t first = 0; first < total; first += ROWS) {
    const size_t rows = smaller(ROWS, total - first);
    unfold(f, first, rows, tile);
    f->products->linear_weight(
        &(struct tt_k_linear_weight){.dtype = f->dtype,
                                     .rows = rows,
                                     .in = f->weight->cols,
                                     .out = out,
                                     .dz_stride = out,
                                     .x = tile,
                                     .dz = row_at(k->dy, f->dtype, first, out),
                                     .weight_grad = k->weight_grad,
                                     .bias_grad = k->bias_grad});
  }
}
