/* Settings of programs that can take another place than this node for their plans: which fleet, and
 * what the simulated node is like. */
#ifndef MIM_FLEET_SETTINGS_H
#define MIM_FLEET_SETTINGS_H

#include "core/config.h"
#include "fleet/fleet.h"
#include "node/simulated.h"

/* Options of sections [fleet] and [simulated]. */
extern const mim_option mim_fleet_settings[];
extern const mim_option mim_simulated_settings[];

const mim_fleet_kind *mim_fleet_kind_get(const mim_config *config);
/* MIM_EUSAGE: a size out of range. */
int mim_simulated_options_get(const mim_config *config, mim_simulated_options *options);

#endif
