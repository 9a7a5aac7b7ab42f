/* The campaign store's inside, for corpus/campaign*.c and for the collective append. */
#ifndef MIM_CORPUS_CAMPAIGN_INTERNAL_H
#define MIM_CORPUS_CAMPAIGN_INTERNAL_H

#include "corpus/campaign.h"
#include "corpus/table_internal.h"

enum {
    MIM_CAMPAIGN_N_COLUMNS = 11,                           /* of the rows */
    MIM_CAMPAIGN_N_DIGESTS = MIM_CAMPAIGN_N_COLUMNS + 1,   /* of a row, the last of the others */
    MIM_CAMPAIGN_MAX_COLUMNS = MIM_CAMPAIGN_N_COLUMNS + 1, /* with the digests */
    MIM_CAMPAIGN_DIGESTS_SINCE = 2,                        /* version of the schema */
};

struct mim_campaign {
    char *path, *config;
    mim_layout *layout;
    int version;
    uint64_t seed;
    size_t n_rows, capacity;
    size_t n_plans, plans_capacity;
    uint64_t *plans;             /* [n_plans] ids, rising */
    uint64_t count_place;        /* of the committed count in the file, bytes */
    uint64_t count_digest_place; /* of its two digests, from version 2 on */
    int slot;                    /* which of them is that of the count as it is */
    int fd;                      /* for appending: locked; else -1 */
    mim_table *table;            /* opened when first needed */
};

void mim_campaign_columns(const mim_layout *layout, mim_column columns[MIM_CAMPAIGN_N_COLUMNS]);
/* The arrays of rows [at, ...) in the order of the columns. */
void mim_campaign_buffers(const mim_layout *layout, const mim_campaign_rows *rows, size_t at,
                          void *buffers[MIM_CAMPAIGN_N_COLUMNS]);

/* MIM_EINVAL, naming the row: values out of range, plans that are not whole. */
int mim_campaign_rows_check(const mim_layout *layout, const mim_campaign_rows *rows);
/* The same for each row by itself, as where only a part of a plan was read; `first`: how sentences
 * call the first one. */
int mim_campaign_rows_check_each(const mim_layout *layout, const mim_campaign_rows *rows,
                                 size_t first);
/* That rows from `begin` on, and those after them, follow the row before: MIM_EINVAL otherwise, or
 * when they are the store's end and a plan is not whole. */
int mim_campaign_rows_check_order(const mim_campaign_rows *rows, size_t begin, size_t first,
                                  bool is_end);
/* The ids of the plans in checked rows, in their order; the caller frees *ids. */
int mim_campaign_rows_plans(const mim_campaign_rows *rows, size_t *n, uint64_t **ids);

/* ---- digests (campaign_digest.c), from version 2 of the schema on ---------------------------- */

/* All columns that a file of this version has; returns how many. */
size_t mim_campaign_all_columns(const mim_layout *layout, int version,
                                mim_column columns[MIM_CAMPAIGN_MAX_COLUMNS]);
/* Whose the digests are, into a file that has reserved all columns. */
int mim_campaign_put_digest_names(mim_h5 *file, const mim_column columns[MIM_CAMPAIGN_MAX_COLUMNS]);
/* Of rows that stand from `first` on: [n][MIM_CAMPAIGN_N_DIGESTS], the caller frees them. */
int mim_campaign_digests(const mim_layout *layout, const mim_campaign_rows *rows, size_t first,
                         uint64_t **digests);
/* MIM_EDATA, naming the dataset, the first damaged rows and their plan, unless the rows that stand
 * from `first` on have these digests. */
int mim_campaign_verify(const mim_layout *layout, const mim_campaign_rows *rows, size_t first,
                        const uint64_t *digests);
/* Two digests are stored for the count: that of the count, and that of the one before or after it.
 * So one of them fits whenever a writer ends. */
uint64_t mim_campaign_count_digest(uint64_t count);
/* Their places in the file; without digests `digest_place` is left alone. */
int mim_campaign_find_count(const char *path, int version, uint64_t *place, uint64_t *digest_place);
/* Reads the count once more, with its digests: sets n_rows and slot. MIM_EDATA: neither fits. */
int mim_campaign_verify_count(mim_campaign *campaign);
/* Writes the digest of a count to come into the other slot. */
int mim_campaign_write_count_digest(const mim_campaign *campaign, uint64_t count);

/* ---- looking through (campaign_check.c) ------------------------------------------------------ */

/* Reads like mim_campaign_read, but values that no store holds as well. */
int mim_campaign_read_any(mim_campaign *campaign, size_t first, size_t n, mim_campaign_rows **rows);
/* mim_campaign_check for the part [first, first + n) of the first n_rows rows, whole plans; adds
 * the plans that begin there to *n_plans. */
int mim_campaign_check_rows(mim_campaign *campaign, size_t first, size_t n, size_t n_rows,
                            size_t *n_plans);
/* The rest: no plan twice, and n_plans in all. */
int mim_campaign_check_plans(const mim_campaign *campaign, size_t n_plans);

/* ---- appending ------------------------------------------------------------------------------- */

/* The steps of appending, for rows that were checked; all on one process.
 * MIM_EINVAL when an id is in the store or stands twice. */
int mim_campaign_check_new(const mim_campaign *campaign, size_t n, const uint64_t *ids);
/* Makes room for n_rows in all; closes the table and may replace the file. */
int mim_campaign_grow(mim_campaign *campaign, size_t n_rows);
/* Brings what was written to the disk, then counts n_new rows and their plans. */
int mim_campaign_commit(mim_campaign *campaign, size_t n_new, size_t n, const uint64_t *ids);

#endif
