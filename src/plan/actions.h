/* Action lists: which stressor a plan's column stands for. Index = position in the list. */
#ifndef MIM_PLAN_ACTIONS_H
#define MIM_PLAN_ACTIONS_H

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "plan/stressor.h"

typedef struct mim_actions mim_actions;

/* which: "20" (default list), "19" (the same without the last), "13" and "13b" (the older lists).
 * MIM_EUSAGE for another word. */
int mim_actions_builtin(const char *which, mim_actions **actions);
/* A file with one name a line; empty lines and lines starting with # are skipped. MIM_EDATA when it
 * holds no name or a name twice. */
int mim_actions_read(const char *path, mim_actions **actions);
int mim_actions_from_names(size_t n, const char *const *names, mim_actions **actions);
/* A builtin word or else a path. */
int mim_actions_open(const char *which_or_path, mim_actions **actions);
int mim_actions_copy(const mim_actions *actions, mim_actions **copy);
void mim_actions_destroy(mim_actions **actions);

size_t mim_actions_n(const mim_actions *actions);
const char *mim_actions_name(const mim_actions *actions, size_t i);
/* NULL when the catalogue does not know the name: such a column must be all zero to be run. */
const mim_stressor *mim_actions_stressor(const mim_actions *actions, size_t i);
size_t mim_actions_find(const mim_actions *actions, const char *name); /* SIZE_MAX if none */
uint64_t mim_actions_hash(const mim_actions *actions);                 /* FNV-1a over the names */

#endif
