/* The original's cost table: whole microseconds an "iteration" of a stressor, one a line.
 *
 * File (its profiling_cache.txt): line i belongs to stressor i of the action list; empty lines and
 * lines starting with # are skipped. Without a file the values that the original ships are used,
 * those of the catalogue. */
#ifndef MIM_NODE_COMPAT_COST_H
#define MIM_NODE_COMPAT_COST_H

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "plan/actions.h"

#define MIM_COMPAT_COST_FILE "profiling_cache.txt"

/* cost_us: [n of actions], written here. A stressor that the catalogue does not know costs 5000. */
void mim_compat_costs_shipped(const mim_actions *actions, uint32_t *cost_us);
/* *n_found: lines with a cost; where the file has fewer than stressors the rest costs 0 and never
 * runs. MIM_EDATA: a line that is no whole number from 0 to 4294967295, or more lines than
 * stressors; MIM_EIO. */
int mim_compat_costs_read(const char *path, const mim_actions *actions, uint32_t *cost_us,
                          size_t *n_found);
int mim_compat_costs_write(const char *path, const mim_actions *actions, const uint32_t *cost_us);

#endif
