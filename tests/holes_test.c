/* dataset/holes: which gaps can be filled, and the dataset with what fills them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "dataset/holes.h"
#include "dataset/split.h"
#include "dataset_fixture.h"

enum { N = 12, LONGEST = 9 };

/* Two CPUs by turns at 100, 110, ... 210; rows 8 on are another source. */
static struct tt_dataset *make(const struct tt_gap *gaps, size_t n) {
  struct tt_event events[N];
  struct tt_dataset_meta meta;
  struct tt_dataset *d = NULL;
  char *path = fixture_path("holes");
  for (size_t i = 0; i < N; i++)
    events[i] = (struct tt_event){.ts = 100 + 10 * (int64_t)i,
                                  .ret = (int64_t)i,
                                  .tid = (int32_t)(20 + i % 2),
                                  .comm = (uint32_t)(i % 3),
                                  .event = (uint16_t)(i % FIXTURE_EVENTS),
                                  .cpu = (uint16_t)(i % 2)};
  fixture_meta(&meta);
  tt_dataset_meta_add_source(&meta, "one", "ctf-lttng", "", "", 0, 8);
  tt_dataset_meta_add_source(&meta, "two", "ctf-lttng", "", "", 8, N - 8);
  for (size_t i = 0; i < n; i++)
    tt_dataset_meta_add_gap(&meta, &gaps[i]);
  fixture_write(path, events, N, 2048, &meta);
  assert_int_equal(tt_dataset_open(path, &d), TT_OK);
  tt_dataset_meta_release(&meta);
  tt_free(path);
  return d;
}

static void finds_what_can_be_filled(void **state) {
  (void)state;
  static const struct {
    struct tt_gap gap;
    uint64_t left; /* UINT64_MAX: no hole */
  } cases[] = {
      {{101, 119, 3, 0}, 0},           /* between rows 0 and 2 */
      {{100, 120, 3, 0}, 0},           /* to the very ends */
      {{115, 125, 9, 1}, 1},           /* as long as may be */
      {{115, 125, 10, 1}, UINT64_MAX}, /* longer */
      {{101, 119, 0, 0}, UINT64_MAX},  /* nobody knows how many */
      {{90, 99, 2, 0}, UINT64_MAX},    /* nothing before */
      {{200, 260, 2, 0}, UINT64_MAX},  /* nothing after */
      {{101, 121, 2, 0}, UINT64_MAX},  /* a row inside */
      {{165, 175, 2, 0}, UINT64_MAX},  /* between sources */
      {{101, 119, 3, 7}, UINT64_MAX},  /* a CPU without rows */
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct tt_dataset *d = make(&cases[i].gap, 1);
    struct tt_holes holes;
    assert_int_equal(tt_holes_find(d, LONGEST, &holes), TT_OK);
    const bool is = cases[i].left != UINT64_MAX;
    assert_int_equal(holes.n, is);
    assert_int_equal(holes.n_gaps, is);
    assert_true(holes.is_hole[0] == is);
    assert_int_equal(holes.n_events, is ? cases[i].gap.lost : 0);
    if (is) {
      assert_int_equal(holes.list[0].left, cases[i].left);
      assert_int_equal(holes.list[0].right, cases[i].left + 2);
      assert_int_equal(holes.list[0].begin, cases[i].gap.begin);
      assert_int_equal(holes.list[0].end, cases[i].gap.end);
    }
    tt_holes_release(&holes);
    tt_dataset_close(d);
  }
}

/* Two gaps at one place are one hole, unless that of either can't be. */
static void gaps_at_one_place(void **state) {
  (void)state;
  for (uint64_t second = 0; second < 8; second++) {
    const struct tt_gap gaps[] = {{101, 105, 4, 0}, {107, 118, second, 0}, {111, 129, 2, 1}};
    struct tt_dataset *d = make(gaps, 3);
    struct tt_holes holes;
    assert_int_equal(tt_holes_find(d, LONGEST, &holes), TT_OK);
    const bool one = second > 0 && second <= LONGEST - 4;
    assert_int_equal(holes.n, one ? 2 : 1);
    assert_int_equal(holes.n_gaps, one ? 3 : 1);
    assert_int_equal(holes.list[holes.n - 1].cpu, 1);
    if (one) {
      assert_int_equal(holes.list[0].n, 4 + second);
      assert_int_equal(holes.list[0].begin, 101);
      assert_int_equal(holes.list[0].end, 118);
    }
    tt_holes_release(&holes);
    tt_dataset_close(d);
  }
}

static void writes_among_the_rows(void **state) {
  (void)state;
  const struct tt_gap gaps[] = {{100, 120, 3, 0}, {111, 129, 2, 1}, {165, 175, 5, 0}};
  struct tt_dataset *d = make(gaps, 3), *filled = NULL, *part = NULL;
  struct tt_holes holes;
  char *path = fixture_path("filled"), *again = fixture_path("again");
  assert_int_equal(tt_holes_find(d, LONGEST, &holes), TT_OK);
  assert_int_equal(holes.n, 2);
  static const int64_t times[] = {100, 112, 120, 112, 129};
  for (size_t i = 0; i < 5; i++)
    holes.events[i] = (struct tt_event){.ts = times[i],
                                        .ret = TT_RET_NONE,
                                        .tid = 99,
                                        .comm = 4,
                                        .event = (uint16_t)(5 + i),
                                        .cpu = i < 3 ? 0 : 1};
  assert_int_equal(tt_holes_write(&holes, 7, path, false), TT_OK);
  assert_int_equal(tt_dataset_open(path, &filled), TT_OK);
  const struct tt_columns *c = tt_dataset_columns(filled);
  const struct tt_dataset_meta *meta = tt_dataset_meta(filled);
  /* row of the whole, or 100 + which of the new ones: after what isn't later, before the right end
   */
  static const int want[] = {0, 100, 1, 101, 103, 102, 2, 104, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  assert_int_equal(c->n, N + 5);
  for (size_t i = 0; i < c->n; i++) {
    const struct tt_event got = tt_dataset_event(filled, i);
    const struct tt_event is =
        want[i] < 100 ? tt_dataset_event(d, (size_t)want[i]) : holes.events[want[i] - 100];
    assert_true(got.ts == is.ts && got.ret == is.ret && got.tid == is.tid && got.comm == is.comm &&
                got.event == is.event && got.cpu == is.cpu);
  }
  assert_int_equal(meta->n_gaps, 1);
  assert_int_equal(meta->gaps[0].lost, 5);
  assert_int_equal(meta->lost_events, 5);
  assert_int_equal(meta->n_filled, 2);
  assert_true(meta->filled[0].begin == 100 && meta->filled[1].lost == 2);
  assert_int_equal(meta->seed, 7);
  assert_false(meta->synthetic);
  assert_true(meta->sources[0].first == 0 && meta->sources[0].events == 13);
  assert_true(meta->sources[1].first == 13 && meta->sources[1].events == 4);
  assert_false(tt_dataset_gap_between(filled, 0, 1)); /* learned from again */
  uint64_t events[3];
  assert_int_equal(tt_dataset_split(filled, 0.5, 0.25, 0.25, 0, again, false, events), TT_OK);
  char *train = tt_format("%s/train", again);
  assert_int_equal(tt_dataset_open(train, &part), TT_OK);
  assert_true(tt_dataset_meta(part)->n_filled > 0);
  tt_dataset_close(part);
  tt_dataset_close(filled);
  tt_dataset_close(d);
  tt_holes_release(&holes);
  tt_free(train);
  tt_free(path);
  tt_free(again);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(finds_what_can_be_filled),
      cmocka_unit_test(gaps_at_one_place),
      cmocka_unit_test(writes_among_the_rows),
  };
  return cmocka_run_group_tests_name("holes", tests, fixture_begin, fixture_end);
}
