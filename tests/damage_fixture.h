/* Models whose files are damaged. Include after cmocka.h. */
#ifndef TESTS_DAMAGE_FIXTURE_H
#define TESTS_DAMAGE_FIXTURE_H

#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "folder_fixture.h"
#include "generators/generator.h"

/* Each of these files of the model's folder, cut short, is told. */
static inline void damage_files(const struct tt_generator *generator, const char *const *files,
                                size_t n_files) {
  char *path = tt_format("%s/damaged", fixture_folder);
  struct tt_generator *loaded = NULL;
  for (size_t i = 0; i < n_files; i++)
    for (int cut = 0; cut < 3; cut++) {
      assert_int_equal(tt_generator_save(generator, path, true), TT_OK);
      char *name = tt_format("%s/%s", path, files[i]);
      FILE *file = fopen(name, "r+b");
      assert_non_null(file);
      fseek(file, 0, SEEK_END);
      long size = ftell(file);
      assert_int_equal(ftruncate(fileno(file), size * cut / 3), 0);
      fclose(file);
      assert_int_equal(tt_generator_load(path, &loaded), TT_BAD_INPUT);
      assert_true(tt_cause_count() > 0);
      tt_causes_clear();
      tt_free(name);
    }
  tt_free(path);
}

/* Those of a model with a prior. */
static inline void damage_system(const struct tt_generator *generator) {
  static const char *const files[] = {"model.safetensors", "model.json", "prior/model.json",
                                      "prior/model.safetensors"};
  damage_files(generator, files, sizeof files / sizeof *files);
}

#endif
