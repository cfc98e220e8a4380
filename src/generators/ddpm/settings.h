/* The ddpm generator's settings: `--set NAME=VALUE` when training, "architecture" and "sampling" in
 * model.json after. */
#ifndef GENERATORS_DDPM_SETTINGS_H
#define GENERATORS_DDPM_SETTINGS_H

#include "generators/ddpm/ddpm.h"

/* "NAME=DEFAULT: what it does", NULL-terminated. */
extern const char *const tt_ddpm_options[];

/* Fills in what of the configuration the user left to the generator (context, channels, minutes).
 * TT_USAGE. */
enum tt_status tt_ddpm_complete(struct tt_train_config *config);
/* Settings into `ddpm` (whose base is filled in) and the network's configuration, channels apart.
 * TT_USAGE. */
enum tt_status tt_ddpm_settings(struct tt_ddpm *ddpm, const struct tt_train_config *config,
                                struct tt_denoiser_config *net);
/* Adds "architecture" and "sampling" to `model`. */
enum tt_status tt_ddpm_settings_save(const struct tt_ddpm *ddpm, json_t *model);
enum tt_status tt_ddpm_settings_load(struct tt_ddpm *ddpm, const json_t *model,
                                     struct tt_denoiser_config *net);

#endif
