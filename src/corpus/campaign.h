/* The campaign store: every measured slot of a collection, in one HDF5 file that grows in place.
 *
 * A row is one window of one plan: what was asked for, what was measured (median and spread over
 * the repetitions), where and when. All windows of a plan stand in neighbouring rows, in order, and
 * are committed together; a plan id stands in the store once.
 *
 * File: schema "mimesys_campaign". Datasets over rows [capacity]: plan_id, window, n_windows,
 * action [thread][stressor], metric [metric], spread [metric], n_repeats, round, status, start_s,
 * host, digest [dataset] (core/digest.h); `committed`: the number of rows that count, and
 * committed_digest; action_names, metric_names, metric_units, thread_cpus, thread_sockets.
 * Attributes slot_s, host_class and stressor_sizes ("original", or "node": stressors.sizes; older
 * files, without it, are taken for the former). Datasets have a fixed place in the file, so that
 * appending changes values only, no structure of the file: rows are written, brought to the disk,
 * and then the committed count is. A kill or a power cut therefore leaves at most rows behind the
 * count, which the next append overwrites. A full file is copied into one of twice the size, which
 * replaces it by renaming.
 *
 * Damage: rows are compared with their digests whenever they are read, the small datasets (see
 * mim_h5_seal) and the count when the file is opened. Files of version 1, without digests, are read
 * and appended to as they are.
 *
 * These files are too large for the guarded reader of core/h5.h, which hands over whole datasets;
 * it still looks first: schema, version, names, shapes, count and size are checked there, in its
 * own process, before the HDF5 library of this process opens the file for its rows. */
#ifndef MIM_CORPUS_CAMPAIGN_H
#define MIM_CORPUS_CAMPAIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "corpus/layout.h"

#define MIM_CAMPAIGN_SCHEMA "mimesys_campaign"

enum { MIM_CAMPAIGN_VERSION = 2 };

typedef enum {
    MIM_SLOT_ACCEPTED,  /* use it */
    MIM_SLOT_DISTURBED, /* measured, but others used the machine; the action still was the one */
    MIM_SLOT_FAILED,    /* not measured: metrics are absent */
} mim_slot_status;

/* n rows, each array [n] or [n][shape]; T threads, S stressors, D metrics of the layout. */
typedef struct mim_campaign_rows {
    size_t n;
    uint64_t *plan_id;
    uint32_t *window;    /* 0 .. n_windows - 1 */
    uint32_t *n_windows; /* of the plan */
    float *action;       /* [n][T][S] shares of the slot */
    double *metric;      /* [n][D] median over the repetitions, NaN = absent */
    double *spread;      /* [n][D] median absolute deviation, same unit, NaN = absent */
    uint32_t *n_repeats; /* repetitions that went into the figures */
    uint32_t *round;
    uint8_t *status; /* mim_slot_status */
    double *start_s; /* since the epoch, of the first repetition's slot */
    char (*host)[MIM_HOST_NAME_BYTES];
} mim_campaign_rows;

/* Zeros; metric and spread absent. */
int mim_campaign_rows_create(const mim_layout *layout, size_t n, mim_campaign_rows **rows);
void mim_campaign_rows_destroy(mim_campaign_rows **rows);

typedef struct mim_campaign mim_campaign;

/* Creates the file (MIM_EIO when it is there) with room for `capacity` rows (0: some thousand);
 * `config`: the resolved configuration; `seed`: of the campaign. It is open for appending. */
int mim_campaign_create(const char *path, const mim_layout *layout, uint64_t seed,
                        const char *config, size_t capacity, mim_campaign **campaign);
/* MIM_EIO: cannot be opened, or (for_append) another process is appending; MIM_EDATA: another
 * schema or a later version, named, damaged, or not such a file. Readers need no lock and see the
 * rows that were committed at the open. */
int mim_campaign_open(const char *path, bool for_append, mim_campaign **campaign);
void mim_campaign_destroy(mim_campaign **campaign);

int mim_campaign_version(const mim_campaign *campaign); /* of the file's schema; 1: no digests */
const mim_layout *mim_campaign_layout(const mim_campaign *campaign);
uint64_t mim_campaign_seed(const mim_campaign *campaign);
const char *mim_campaign_config(const mim_campaign *campaign);
size_t mim_campaign_n_rows(const mim_campaign *campaign);  /* committed */
size_t mim_campaign_n_plans(const mim_campaign *campaign); /* committed */
bool mim_campaign_has(const mim_campaign *campaign, uint64_t plan_id);

/* Appends whole plans; when it returns MIM_OK they are on the disk. MIM_EINVAL: a plan is not whole
 * or in the store already, a value out of range. Otherwise (MIM_EIO) nothing was added. */
int mim_campaign_append(mim_campaign *campaign, const mim_campaign_rows *rows);
/* Rows [first, first + n) of the committed ones as new memory. MIM_EDATA: damaged, naming the
 * dataset and rows, or values no store holds. */
int mim_campaign_read(mim_campaign *campaign, size_t first, size_t n, mim_campaign_rows **rows);

/* Reads every committed row and checks digests, plans, windows, ranges. MIM_EDATA: damaged;
 * MIM_ECHECK, naming the row: stored like this, but not what a store may hold. */
int mim_campaign_check(mim_campaign *campaign);

#endif
