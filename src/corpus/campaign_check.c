/* Looking through a campaign store. */
#include <inttypes.h>

#include "corpus/campaign_internal.h"

enum { BLOCK_ROWS = 1024 };

/* Rows [first, first + n) of n_rows, read with the one before them, which they are to follow. */
static int check_block(mim_campaign *c, size_t first, size_t n, size_t n_rows, size_t *n_plans)
{
    const size_t before = first > 0 ? 1 : 0;
    mim_campaign_rows *rows = NULL;
    int rc = mim_campaign_read_any(c, first - before, n + before, &rows);
    if (rc != MIM_OK)
        return rc;
    rc = mim_campaign_rows_check_each(c->layout, rows, first - before);
    if (rc == MIM_OK)
        rc = mim_campaign_rows_check_order(rows, before, first - before, first + n == n_rows);
    for (size_t i = before; rc == MIM_OK && i < rows->n; i++)
        *n_plans += rows->window[i] == 0;
    mim_campaign_rows_destroy(&rows);
    return rc == MIM_EINVAL ? mim_fail_in(MIM_ECHECK, "%s", c->path) : rc;
}

int mim_campaign_check_rows(mim_campaign *c, size_t first, size_t n, size_t n_rows, size_t *n_plans)
{
    int rc = MIM_OK;
    for (size_t at = first; rc == MIM_OK && at < first + n; at += BLOCK_ROWS) {
        const size_t left = first + n - at;
        rc = check_block(c, at, left < BLOCK_ROWS ? left : BLOCK_ROWS, n_rows, n_plans);
    }
    return rc;
}

int mim_campaign_check_plans(const mim_campaign *c, size_t n_plans)
{
    for (size_t i = 1; i < c->n_plans; i++)
        if (c->plans[i] == c->plans[i - 1])
            return mim_fail(MIM_ECHECK, "%s: plan %" PRIu64 " stands twice", c->path, c->plans[i]);
    return n_plans == c->n_plans ? MIM_OK
                                 : mim_fail(MIM_ECHECK, "%s: %zu plans in rows, %zu known", c->path,
                                            n_plans, c->n_plans);
}

int mim_campaign_check(mim_campaign *c)
{
    size_t n_plans = 0;
    int rc = mim_campaign_check_rows(c, 0, c->n_rows, c->n_rows, &n_plans);
    return rc == MIM_OK ? mim_campaign_check_plans(c, n_plans) : rc;
}
