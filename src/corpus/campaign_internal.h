/* The campaign store's inside, for corpus/campaign*.c and for the collective append. */
#ifndef MIM_CORPUS_CAMPAIGN_INTERNAL_H
#define MIM_CORPUS_CAMPAIGN_INTERNAL_H

#include "corpus/campaign.h"
#include "corpus/table_internal.h"

enum { MIM_CAMPAIGN_N_COLUMNS = 11 };

struct mim_campaign {
    char *path, *config;
    mim_layout *layout;
    uint64_t seed;
    size_t n_rows, capacity;
    size_t n_plans, plans_capacity;
    uint64_t *plans;  /* [n_plans] ids, rising */
    uint64_t place;   /* of the committed count in the file, bytes */
    int fd;           /* for appending: locked; else -1 */
    mim_table *table; /* opened when first needed */
};

void mim_campaign_columns(const mim_layout *layout, mim_column columns[MIM_CAMPAIGN_N_COLUMNS]);
/* The arrays of rows [at, ...) in the order of the columns. */
void mim_campaign_buffers(const mim_layout *layout, const mim_campaign_rows *rows, size_t at,
                          void *buffers[MIM_CAMPAIGN_N_COLUMNS]);

/* MIM_EINVAL, naming the row: values out of range, plans that are not whole. */
int mim_campaign_rows_check(const mim_layout *layout, const mim_campaign_rows *rows);
/* The same for each row by itself, as where only a part of a plan was read. */
int mim_campaign_rows_check_each(const mim_layout *layout, const mim_campaign_rows *rows);
/* The ids of the plans in checked rows, in their order; the caller frees *ids. */
int mim_campaign_rows_plans(const mim_campaign_rows *rows, size_t *n, uint64_t **ids);

/* The steps of appending, for rows that were checked; all on one process.
 * MIM_EINVAL when an id is in the store or stands twice. */
int mim_campaign_check_new(const mim_campaign *campaign, size_t n, const uint64_t *ids);
/* Makes room for n_rows in all; closes the table and may replace the file. */
int mim_campaign_grow(mim_campaign *campaign, size_t n_rows);
/* Brings what was written to the disk, then counts n_new rows and their plans. */
int mim_campaign_commit(mim_campaign *campaign, size_t n_new, size_t n, const uint64_t *ids);

#endif
