#include "data_path.h"

#include "base/clock.h"
#include "base/mem.h"
#include "dataset/batches.h"
#include "predictor/windows.h"

enum { STEPS = 8 };

struct feed {
  const struct bench_shape *shape;
  struct tt_dataset *dataset;
  struct tt_vocabulary *vocabulary;
  /* denoiser */
  struct tt_streams *streams;
  struct tt_encoder *encoder;
  struct tt_batches *batches;
  float *noise;
  /* predictor */
  struct tt_classes classes;
  struct tt_source_slice slice;
  struct tt_starts starts;
  struct tt_window_reader reader;
  int32_t *ids, *targets;
};

static enum tt_status feed_open(const char *path, const struct bench_shape *shape,
                                struct feed *feed) {
  size_t events = shape->context * shape->windows;
  *feed = (struct feed){.shape = shape};
  tt_names_init(&feed->classes.unseen);
  enum tt_status status = tt_dataset_open(path, &feed->dataset);
  if (status == TT_OK) {
    const struct tt_vocabulary_options options = {.stream = TT_STREAM_CPU};
    status = tt_vocabulary_learn((const struct tt_dataset *[]){feed->dataset}, 1, &options,
                                 &feed->vocabulary);
  }
  if (status != TT_OK)
    return status;
  feed->classes.vocabulary = feed->vocabulary;
  if (shape->kind == BENCH_PREDICTOR) {
    status = tt_slice_open(feed->dataset, TT_STREAM_CPU, 0, 0, &feed->classes, &feed->slice);
    if (status == TT_OK)
      status = tt_starts_make(&feed->slice, 1, shape->context, &feed->starts);
    if (status == TT_OK)
      status = tt_window_reader_init(&feed->reader, (1u << TT_N_CHANNELS) - 1, shape->context);
    feed->ids = tt_alloc(events * TT_N_CHANNELS, sizeof *feed->ids);
    feed->targets = tt_alloc(events, sizeof *feed->targets);
    if (status == TT_OK && (!feed->ids || !feed->targets))
      status = tt_fail(TT_NO_MEMORY, "a batch of %zu events", events);
    return status;
  }
  status = tt_streams_open(feed->dataset, TT_STREAM_CPU, &feed->streams);
  if (status == TT_OK)
    status = tt_encoder_new(feed->vocabulary, feed->dataset, &feed->encoder);
  if (status != TT_OK)
    return status;
  const struct tt_part part = {feed->streams, feed->encoder};
  const struct tt_batches_options options = {
      .windows = shape->windows, .length = shape->context, .seed = 1};
  feed->noise = tt_alloc(events * shape->width, sizeof *feed->noise);
  return feed->noise ? tt_batches_open(&part, 1, &options, &feed->batches)
                     : tt_fail(TT_NO_MEMORY, "noise of %zu events", events);
}

static void feed_close(struct feed *feed) {
  tt_batches_close(feed->batches);
  tt_encoder_free(feed->encoder);
  tt_streams_close(feed->streams);
  tt_window_reader_release(&feed->reader);
  tt_starts_release(&feed->starts);
  tt_slice_close(&feed->slice);
  tt_names_release(&feed->classes.unseen);
  tt_vocabulary_free(feed->vocabulary);
  tt_dataset_close(feed->dataset);
  tt_free(feed->noise);
  tt_free(feed->ids);
  tt_free(feed->targets);
}

static enum tt_status next_batch(struct feed *feed, uint64_t step) {
  const struct tt_batch *batch;
  if (feed->batches)
    return tt_batches_next(feed->batches, &batch);
  const size_t context = feed->shape->context;
  struct tt_rng rng;
  tt_rng_init(&rng, 1, step);
  enum tt_status status = TT_OK;
  for (size_t i = 0; i < feed->shape->windows && status == TT_OK; i++) {
    struct tt_piece piece = tt_starts_draw(&feed->starts, &feed->slice, &rng);
    status = tt_window_read(&feed->reader, &feed->slice, &piece,
                            feed->ids + i * context * TT_N_CHANNELS, feed->targets + i * context);
  }
  return status;
}

static void draw_noise(struct feed *feed, uint64_t step) {
  const size_t events = feed->shape->context * feed->shape->windows, width = feed->shape->width;
#pragma omp parallel for schedule(static)
  for (size_t row = 0; row < events; row++) {
    struct tt_rng rng;
    tt_rng_init(&rng, 1, step << 24 | row);
    tt_rng_normals(&rng, feed->noise + row * width, width);
  }
}

enum tt_status bench_data_path_measure(const char *dataset, const struct bench_shape *shape,
                                       struct bench_data_path *ret) {
  struct tt_optimizer optimizer = {0};
  struct tt_optimizer_config config = tt_optimizer_defaults();
  struct bench_model *model = NULL;
  struct feed feed;
  double begin = 0;
  *ret = (struct bench_data_path){.shape = *shape};
  enum tt_status status = feed_open(dataset, shape, &feed);
  if (status == TT_OK)
    status = bench_model_new(shape, TT_PRECISION_AUTO, &model);
  if (status == TT_OK)
    status = tt_optimizer_init(&optimizer, bench_model_params(model), &config);
  for (uint64_t step = 0; step <= STEPS && status == TT_OK; step++) {
    double asked = tt_seconds();
    if (step == 1) /* the first step warms up */
      begin = asked;
    status = next_batch(&feed, step);
    double there = tt_seconds();
    if (feed.noise)
      draw_noise(&feed, step);
    double drawn = tt_seconds();
    tt_compute_backward(bench_model_compute(model), bench_model_loss(model, step));
    tt_optimizer_step(&optimizer, 1);
    if (step > 0) {
      ret->waiting += there - asked;
      ret->noise += drawn - there;
      ret->steps++;
    }
  }
  ret->seconds = tt_seconds() - begin;
  tt_optimizer_release(&optimizer);
  bench_model_free(model);
  feed_close(&feed);
  return status;
}
