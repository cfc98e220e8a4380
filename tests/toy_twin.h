/* A twin of the toy (stored_toy.h), by a generator that knows hardly more than its counts. Include
 * after cmocka.h. */
#ifndef TESTS_TOY_TWIN_H
#define TESTS_TOY_TWIN_H

#include "stored_toy.h"
#include "twin_fixture.h"

/* name: `markov` (order 3), or one with a network, which has two steps. */
static inline struct twin toy_twin(const char *name, size_t n) {
  static const struct tt_train_option small[] = {{"width", "16"}, {"layers", "1"}, {"heads", "1"}};
  const bool network = strcmp(name, "markov") != 0;
  const struct tt_train_config config = {.train = toy,
                                         .context = network ? 16 : 3,
                                         .stream = TT_STREAM_CPU,
                                         .steps = network ? 2 : 0,
                                         .seed = 1,
                                         .options = small,
                                         .n_options = network ? 3 : 0};
  struct tt_train_result result;
  struct tt_generator *generator = NULL;
  assert_int_equal(tt_generator_train(name, &config, &result, &generator), TT_OK);
  const struct twin twin = twin_generate(generator, n, 2);
  tt_generator_free(generator);
  return twin;
}

#endif
