/* Action lists: which stressor a plan's column stands for. Index = position in the list. */
#ifndef MIM_PLAN_ACTIONS_H
#define MIM_PLAN_ACTIONS_H

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "plan/stressor.h"

typedef struct mim_actions mim_actions;

/* The words for `which`, for sentences and help: "20 (the default), 19, ...". */
#define MIM_ACTIONS_WORDS "20, 19, 13, 13b, extended"
/* which: "20" (default list), "19" (the same without the last), "13" and "13b" (the older lists),
 * "extended" (the catalogue, without names that stand for the same work as an earlier one; begins
 * with the default list). MIM_EUSAGE for another word. */
int mim_actions_builtin(const char *which, mim_actions **actions);
/* A file with one name a line; empty lines and lines starting with # are skipped. MIM_EDATA when it
 * holds no name or a name twice. */
int mim_actions_read(const char *path, mim_actions **actions);
int mim_actions_from_names(size_t n, const char *const *names, mim_actions **actions);
/* A builtin word or else a path. */
int mim_actions_open(const char *which_or_path, mim_actions **actions);
/* Keeps the fit, as the next one does. */
int mim_actions_copy(const mim_actions *actions, mim_actions **copy);
/* The columns at `indices`, in that order. */
int mim_actions_subset(const mim_actions *actions, size_t n, const size_t *indices,
                       mim_actions **subset);
void mim_actions_destroy(mim_actions **actions);

/* What a node makes of the stressors of a list. */
typedef struct mim_actions_node {
    mim_caches caches;
    bool sizes_all;           /* the original's level-named ones are sized by these caches, too */
    const char *network_peer; /* "host:port"; NULL or "" when there is none. Copied. */
} mim_actions_node;
/* Before a list's stressors are run or calibrated: sizes those that follow the node's caches (see
 * mim_stressor_sized) and tells the network ones their peer. Pointers to the list's stressors that
 * were taken before are no longer valid. */
int mim_actions_fit(mim_actions *actions, const mim_actions_node *node);
/* "node" when all level-named ones were sized, else "original": what a calibration is of, and what
 * a plan's weights mean. */
const char *mim_actions_sizes(const mim_actions *actions);
/* MIM_EDATA for another word than these two. */
int mim_actions_check_sizes(const char *word);

size_t mim_actions_n(const mim_actions *actions);
const char *mim_actions_name(const mim_actions *actions, size_t i);
/* NULL when the catalogue does not know the name: such a column must be all zero to be run. */
const mim_stressor *mim_actions_stressor(const mim_actions *actions, size_t i);
size_t mim_actions_find(const mim_actions *actions, const char *name); /* SIZE_MAX if none */
uint64_t mim_actions_hash(const mim_actions *actions);                 /* FNV-1a over the names */

#endif
