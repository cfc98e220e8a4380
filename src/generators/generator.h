/* The one interface of all generators: train on a dataset, generate a twin of any length, save and
 * open as a folder. A new generator is a new folder and one line in the table of generator.c.
 *
 *   MODEL/model.json         {"format", "generator", "events", "comms", "training", ...} written by
 *                            this file, plus what the generator itself puts beside
 *   MODEL/model.safetensors  the generator's numbers
 *
 * A dataset's workload labels: generators with ops->labels learn each workload apart and make twins
 * of one of them or of all; the others take all rows for one.
 *
 * Thread safety: a trained or loaded generator is immutable while generating; any number of threads
 * may generate from it at once. */
#ifndef GENERATORS_GENERATOR_H
#define GENERATORS_GENERATOR_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/names.h"
#include "base/status.h"
#include "dataset/dataset.h"
#include "dataset/holes.h"
#include "dataset/streams.h"
#include "dataset/workloads.h"
#include "generators/tally.h"
#include "tracetwin/generator.h"
#include "tracetwin/progress.h"

struct tt_train_option { /* a setting of one generator only: --set NAME=VALUE */
  const char *name, *value;
};

struct tt_train_config {
  const struct tt_dataset *train;
  const struct tt_dataset *val; /* NULL: no validation */
  size_t context;               /* events per window; 0: the generator's own default */
  unsigned channels;            /* mask, TT_CHANNEL_BIT of dataset/channels.h; 0: all */
  const char *backbone;         /* NULL: the generator's own default */
  enum tt_stream_kind
      stream;     /* of each CPU (twins are merged by their generated time), or merged */
  double minutes; /* > 0: stop after that much training; else after `steps` */
  uint64_t steps; /* 0 and no minutes: the generator's own default */
  uint64_t seed;
  int threads; /* 0: all of OpenMP's */
  const struct tt_progress *progress;
  const char *checkpoint; /* folder for checkpoints; NULL: none */
  bool resume;            /* go on from `checkpoint` where it is there */
  /* Only rows of this workload label; NULL: all, and a generator with ops->labels tells them apart
   * unless they are `pooled`. */
  const char *label;
  bool pooled;
  const struct tt_train_option *options;
  size_t n_options;
};

struct tt_train_result {
  uint64_t parameters; /* numbers learned (weights; counts for markov) */
  uint64_t steps;
  double events_per_second, seconds;
  double loss, val_loss; /* nats per event or as the generator defines it; NaN: not measured */
  const char *precision; /* of its products: static "bf16" or "f32"; NULL: none, or not known */
};

struct tt_generate_config {
  uint64_t events; /* exactly so many are written */
  uint64_t seed;
  int threads; /* 0: all of OpenMP's */
  const struct tt_progress *progress;
  /* The workload to be made; NULL: all of them, each in its share of the training events, one after
   * the other. TT_USAGE where the generator doesn't know it. */
  const char *label;
  /* [tt_generator_parts, events] how many times as likely each event shall be, against the others,
   * wherever it may come (> 0); NULL: as learned. TT_USAGE where the generator has no `successors`.
   */
  const float *boost;
};

struct tt_fill_config {
  uint64_t seed;
  size_t candidates; /* ways to fill a hole that are weighed against each other; >= 1 */
  bool best;         /* the candidate that has most in common with all; else a draw */
  bool network;      /* false: by counting alone */
  bool right;        /* false: as if nothing were known of what comes after */
  const struct tt_progress *progress;
};

/* Where generated events go: in time order, `n` at a time; ids are those of the training dataset's
 * dictionaries. A status other than TT_OK stops the generation and is passed on. */
struct tt_event_sink {
  enum tt_status (*write)(void *user, const struct tt_event *events, size_t n);
  void *user;
};

struct tt_generator_ops;

/* What every generator has; the first member of each one's own struct. */
struct tt_generator {
  const struct tt_generator_ops *ops;
  struct tt_names events, comms; /* the training dataset's dictionaries (ids agree) */
  int64_t clock_origin_ns;       /* of the training dataset */
  int64_t begin_ns;              /* ts of its first event: twins begin there */
  size_t cpu_limit;              /* its highest CPU number + 1 */
  /* Workload labels that it tells apart, in order of first appearance ("": of sources without one),
   * and the training events of each; none where no source had a label. */
  struct tt_names labels;
  uint64_t *label_events; /* [labels.n] */
  enum tt_stream_kind stream;
  size_t context;
  unsigned channels;
  uint64_t seed; /* of the training */
  struct tt_train_result training;
};

struct tt_generator_ops {
  const char *name;    /* "markov", "ddpm", ... */
  const char *summary; /* one line for --help and docs */
  bool labels;         /* it learns workloads apart: see tt_generator.labels */
  /* What followed the event on the same CPU (or in the merged stream, where that is what is
   * generated) in training events of one label (0 where there are none); NULL: it doesn't heed
   * tt_generate_config.boost. */
  struct tt_tally_row (*successors)(const struct tt_generator *generator, size_t label,
                                    uint16_t event);
  const char *const
      *options; /* "NAME=DEFAULT: what it does", NULL-terminated; other names are TT_USAGE */
  /* Calls tt_generator_init() on its own allocation, learns, stores it in *ret. On TT_INTERRUPTED a
   * checkpoint was written if there is a folder for it. */
  enum tt_status (*train)(const struct tt_train_config *config, struct tt_train_result *result,
                          struct tt_generator **ret);
  /* config->label is one of the generator's, or NULL where it has at most one. */
  enum tt_status (*generate)(const struct tt_generator *generator,
                             const struct tt_generate_config *config,
                             const struct tt_event_sink *sink);
  /* Draws the events of every hole of a dataset with the training data's dictionaries; NULL: it
   * can't. */
  enum tt_status (*fill)(const struct tt_generator *generator, struct tt_holes *holes,
                         const struct tt_fill_config *config);
  /* Writes folder/model.safetensors (and more files if need be) and puts its own members into
   * `model`, the object that becomes model.json. */
  enum tt_status (*save)(const struct tt_generator *generator, const char *folder, json_t *model);
  /* Opens what `save` wrote. `common` was read from model.json already: move it into the new
   * generator with tt_generator_adopt(). Every size is checked: TT_BAD_INPUT with its cause. */
  enum tt_status (*load)(const char *folder, const json_t *model, struct tt_generator *common,
                         struct tt_generator **ret);
  /* Frees all but the common part, then the allocation (through tt_generator_release_common). */
  void (*free)(struct tt_generator *generator);
};

/* ---- for commands and jobs ---- */
/* The table: i-th generator, NULL past the end; by name, NULL when there is none. */
const struct tt_generator_ops *tt_generator_at(size_t i);
const struct tt_generator_ops *tt_generator_find(const char *name);
/* Trains the generator called `name`; unknown names and options are TT_USAGE. */
enum tt_status tt_generator_train(const char *name, const struct tt_train_config *config,
                                  struct tt_train_result *result, struct tt_generator **ret);
/* Writes exactly config->events events to the sink (checked, as are ids and time order). */
enum tt_status tt_generator_generate(const struct tt_generator *generator,
                                     const struct tt_generate_config *config,
                                     const struct tt_event_sink *sink);
/* TT_USAGE where the generator can't; TT_BAD_INPUT where the dataset isn't of the same dictionaries
 * and CPUs. */
enum tt_status tt_generator_fill(const struct tt_generator *generator, struct tt_holes *holes,
                                 const struct tt_fill_config *config);
/* The model folder, whole or not at all; TT_EXISTS when it is there and not to be overwritten. */
enum tt_status tt_generator_save(const struct tt_generator *generator, const char *path,
                                 bool overwrite);
/* Opens any model folder: reads model.json, dispatches on its "generator". */
enum tt_status tt_generator_load(const char *path, struct tt_generator **ret);
void tt_generator_free(struct tt_generator *generator); /* accepts NULL */
/* A twin is made in parts: of one label each where the generator has several and none is asked for,
 * else a single one. Label and events of each (some may be 0): by the shares of the training
 * events. */
size_t tt_generator_parts(const struct tt_generator *generator, const char *label);
struct tt_generator_part {
  const char *label; /* "": none */
  size_t which;      /* of the generator's labels, 0 where it has none */
  uint64_t events;
};
struct tt_generator_part tt_generator_part(const struct tt_generator *generator, const char *label,
                                           uint64_t events, size_t part);
/* Generates each part with ops->generate: what tt_generator_generate does of several. */
enum tt_status tt_generator_generate_parts(const struct tt_generator *generator,
                                           const struct tt_generate_config *config,
                                           const struct tt_event_sink *sink);
/* TT_USAGE unless the generator makes twins of this workload (NULL: of all that it knows). */
enum tt_status tt_generator_check_label(const struct tt_generator *generator, const char *label);
/* The meta of a twin: dictionaries, clock, a source {path, "synthetic"} of each part; release with
 * tt_dataset_meta_release. */
enum tt_status tt_generator_meta(const struct tt_generator *generator, const char *model_path,
                                 const char *label, uint64_t events, uint64_t seed,
                                 struct tt_dataset_meta *ret);

/* ---- for generators ---- */
/* Fills the common part from the training configuration (dictionaries are copied; labels where
 * ops->labels). */
enum tt_status tt_generator_init(struct tt_generator *generator, const struct tt_generator_ops *ops,
                                 const struct tt_train_config *config);
/* Moves the common part from `from` (left empty) to `to`. */
void tt_generator_adopt(struct tt_generator *to, struct tt_generator *from);
void tt_generator_release_common(struct tt_generator *generator);
/* Of model folders: where a workload's own things are, by the number of its label. */
#define TT_WORKLOAD_FOLDER "workload-%zu"
/* How many workloads are to be learned apart: 0, or at least 2. */
static inline size_t tt_generator_workloads(const struct tt_generator *generator) {
  return generator->labels.n > 1 ? generator->labels.n : 0;
}
/* Which of the generator's labels is generated; 0 where there is nothing to choose from. */
static inline size_t tt_generator_which(const struct tt_generator *generator,
                                        const struct tt_generate_config *config) {
  return config->label && generator->labels.n > 1 ? tt_names_find(&generator->labels, config->label)
                                                  : 0;
}
/* The value of an option, or `fallback` when it wasn't given; out of [low, high] is TT_USAGE. */
const char *tt_train_option_text(const struct tt_train_config *config, const char *name,
                                 const char *fallback);
enum tt_status tt_train_option_integer(const struct tt_train_config *config, const char *name,
                                       long long low, long long high, long long fallback,
                                       long long *ret);
enum tt_status tt_train_option_real(const struct tt_train_config *config, const char *name,
                                    double low, double high, double fallback, double *ret);

#endif
