/* summary.json: what every job leaves behind, and what --json prints.
 *
 * {"schema": "mimesys_summary", "schema_version": 1, "program", "version", "status", "seed",
 *  "ranks", "config_hash", "wall_s", "figures": {...}}. Absent numbers are null, never 0. */
#ifndef MIM_CORE_SUMMARY_H
#define MIM_CORE_SUMMARY_H

#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "core/config.h"

typedef struct mim_summary mim_summary;

/* Starts the wall clock. `config` may be NULL. seed: at most INT64_MAX (what JSON readers hold). */
int mim_summary_create(const char *program, uint64_t seed, int n_ranks, const mim_config *config,
                       mim_summary **summary);
void mim_summary_destroy(mim_summary **summary);
/* Borrowed; add the job's own keys here. */
json_t *mim_summary_figures(mim_summary *summary);
/* status: "done", "stopped", "failed". */
int mim_summary_write(mim_summary *summary, const char *status, const char *path);
int mim_summary_print(mim_summary *summary, const char *status, FILE *out);

/* A finite number, or null. */
json_t *mim_json_real(double value);
/* Prints one JSON object and a newline; MIM_EIO when the stream fails. */
int mim_json_print(const json_t *object, FILE *out);
/* The same into a file that is whole or not there; MIM_EIO. */
int mim_json_write(const json_t *object, const char *path);

#endif
