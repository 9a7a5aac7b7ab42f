/* Settings shared by the programs that stress a node: where its scratch files go, how long it is
 * calibrated, how its stressors are sized. (Those of its ceilings are in node/limits.h.) */
#ifndef MIM_NODE_SETTINGS_H
#define MIM_NODE_SETTINGS_H

#include "core/config.h"
#include "node/calibration.h"
#include "node/limits.h"
#include "node/scratch.h"

/* Options of sections [scratch], [calibrate] and [stressors]. */
extern const mim_option mim_scratch_settings[];
extern const mim_option mim_calibrate_settings[];
extern const mim_option mim_stressor_settings[];

/* The folder is that of the setting, else /var/tmp; it lives as long as the configuration. */
void mim_scratch_options_get(const mim_config *config, const mim_limits *limits,
                             mim_scratch_options *options);
/* For mim_actions_fit and mim_plan_fit; its text lives as long as the configuration. */
void mim_actions_node_get(const mim_config *config, const mim_machine *machine,
                          mim_actions_node *node);
void mim_calibrate_options_get(const mim_config *config, bool has_ceilings,
                               mim_calibrate_options *options);

#endif
