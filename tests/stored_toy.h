/* Made-up events as a dataset, in the test program's folder: for group set-ups. Include after
 * cmocka.h. */
#ifndef TESTS_STORED_TOY_H
#define TESTS_STORED_TOY_H

#include "base/mem.h"
#include "dataset/dataset.h"
#include "folder_fixture.h"

struct toy_names {
  const char *const *events, *const *comms;
  size_t n_events, n_comms;
};

/* The dataset, open; NULL: it failed. */
static inline struct tt_dataset *toy_store(const char *name, const struct toy_names *names,
                                           const struct tt_event *events, size_t n) {
  struct tt_dataset_writer *writer;
  struct tt_dataset_meta meta;
  struct tt_dataset *ret = NULL;
  char *path = tt_format("%s/%s", fixture_folder, name);
  tt_dataset_meta_init(&meta);
  for (size_t i = 0; i < names->n_events; i++)
    tt_names_add(&meta.events, names->events[i]);
  for (size_t i = 0; i < names->n_comms; i++)
    tt_names_add(&meta.comms, names->comms[i]);
  const bool done = tt_dataset_writer_begin(path, false, &writer) == TT_OK &&
                    tt_dataset_writer_append(writer, events, n) == TT_OK &&
                    tt_dataset_writer_finish(writer, &meta) == TT_OK &&
                    tt_dataset_open(path, &ret) == TT_OK;
  tt_dataset_meta_release(&meta);
  tt_free(path);
  return done ? ret : NULL;
}

static struct tt_dataset *toy; /* of the whole group */

/* Stores the events, which it frees. */
static inline int toy_begin(void **state, const struct toy_names *names, struct tt_event *events,
                            size_t n) {
  if (fixture_begin(state) == 0)
    toy = toy_store("toy", names, events, n);
  tt_free(events);
  return toy ? 0 : -1;
}

static inline int toy_end(void **state) {
  tt_dataset_close(toy);
  return fixture_end(state);
}

#endif
