/* The model folder of `ar`: model.safetensors, and in prior/ a whole markov model. */
#ifndef GENERATORS_AR_FILE_H
#define GENERATORS_AR_FILE_H

#include "generators/ar/ar.h"

enum tt_status tt_ar_save(const struct tt_generator *generator, const char *folder, json_t *model);
/* The prior, the vocabulary and the network's measures, all checked. */
enum tt_status tt_ar_load_settings(struct tt_ar *ar, const char *folder, const json_t *model);
/* All numbers, into the network that was built. */
enum tt_status tt_ar_load_tensors(struct tt_ar *ar, const char *folder);

#endif
