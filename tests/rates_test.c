/* generators/system/rates: twins have events as often as the trace, even of a network that learned
 * nothing. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "generators/system/system.h"
#include "stored_toy.h"
#include "twin_fixture.h"

/* Every other event is a turn; what comes after it is one of three, one of them seldom. */
enum { TURN, OFTEN, ALSO, SELDOM, TYPES };
enum { EVENTS = 20000, FEW = 8000 };
static const char *const NAMES[TYPES] = {"turn", "often", "also", "seldom"};

static struct tt_dataset *store(const char *name, size_t n) {
  const struct toy_names names = {NAMES, NULL, TYPES, 0};
  struct tt_event *events = tt_alloc(n, sizeof *events);
  struct tt_rng rng;
  tt_rng_init(&rng, 1, 1);
  for (size_t i = 0; i < n; i++) {
    const uint64_t drawn = tt_rng_below(&rng, 100);
    events[i] = (struct tt_event){.ts = (int64_t)(1000 * i + tt_rng_below(&rng, 9)),
                                  .ret = TT_RET_NONE,
                                  .tid = TT_TID_NONE,
                                  .comm = TT_COMM_NONE,
                                  .event = i % 2 == 0   ? TURN
                                           : drawn < 80 ? OFTEN
                                           : drawn < 95 ? ALSO
                                                        : SELDOM};
  }
  struct tt_dataset *ret = toy_store(name, &names, events, n);
  tt_free(events);
  assert_non_null(ret);
  return ret;
}

/* Without a prior and after one step the network takes all that may come for as likely. */
static struct tt_generator *train(const char *name, const struct tt_dataset *dataset) {
  static const struct tt_train_option options[] = {
      {"width", "16"}, {"layers", "1"}, {"heads", "1"}, {"prior", "0"}};
  const struct tt_train_config config = {.train = dataset,
                                         .context = 16,
                                         .stream = TT_STREAM_CPU,
                                         .steps = 1,
                                         .seed = 3,
                                         .options = options,
                                         .n_options = 4};
  struct tt_train_result result;
  struct tt_generator *generator = NULL;
  assert_int_equal(tt_generator_train(name, &config, &result, &generator), TT_OK);
  return generator;
}

/* Of each event, in a twin. */
static void measure(const struct tt_generator *generator, double shares[TYPES]) {
  enum { N = 40000 };
  struct twin twin = twin_generate(generator, N, 1);
  memset(shares, 0, TYPES * sizeof *shares);
  for (size_t i = 0; i < N; i++)
    shares[twin.events[i].event] += 1.0 / N;
  tt_free(twin.events);
}

static void check(const char *name) {
  struct tt_dataset *dataset = store(name, EVENTS);
  const struct tt_columns *c = tt_dataset_columns(dataset);
  struct tt_generator *generator = train(name, dataset), *loaded;
  struct tt_system *system = (struct tt_system *)generator; /* begins with one */
  double real[TYPES] = {0}, with[TYPES], saved[TYPES], without[TYPES];
  for (size_t i = 0; i < EVENTS; i++)
    real[c->event[i]] += 1.0 / EVENTS;
  measure(generator, with);
  char *path = tt_format("%s/model-%s", fixture_folder, name);
  assert_int_equal(tt_generator_save(generator, path, false), TT_OK);
  assert_int_equal(tt_generator_load(path, &loaded), TT_OK);
  measure(loaded, saved);
  memset(system->rates, 0, TYPES * sizeof *system->rates);
  measure(generator, without);
  print_message("%s: seldom %.5f, twin %.5f, without rates %.5f\n", generator->ops->name,
                real[SELDOM], with[SELDOM], without[SELDOM]);
  for (int i = 0; i < TYPES; i++) {
    assert_true(fabs(with[i] - real[i]) < 0.08 * real[i]);
    assert_true(saved[i] == with[i]);
  }
  assert_true(without[SELDOM] > 3 * real[SELDOM]);
  tt_free(path);
  tt_generator_free(loaded);
  tt_generator_free(generator);
  tt_dataset_close(dataset);
}

static void events_come_as_often(void **state) {
  (void)state;
  check("ar");
  check("masked");
}

/* Of too few events nothing is concluded. */
static void few_say_nothing(void **state) {
  (void)state;
  struct tt_dataset *dataset = store("few", FEW);
  struct tt_generator *generator = train("masked", dataset);
  for (int i = 0; i < TYPES; i++)
    assert_true(((struct tt_system *)generator)->rates[i] == 0);
  tt_generator_free(generator);
  tt_dataset_close(dataset);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(events_come_as_often),
                                     cmocka_unit_test(few_say_nothing)};
  return cmocka_run_group_tests_name("rates", tests, fixture_begin, fixture_end);
}
