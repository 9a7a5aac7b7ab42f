/* Writes a folder of runs by rule, nothing in them was measured: plans plan_000000 ... of 4 windows
 * and the stats text of 2 passes each. For the tests of programs.
 * usage: make_runs FOLDER N [KIND OF HOST]
 *        make_runs CAMPAIGN.h5 N    a campaign store with the plans of tests/support/made_rows.h */
#include <stdio.h>
#include <stdlib.h>

#include "core/atomic_file.h"
#include "core/text.h"
#include "tests/support/made_rows.h"
#include "tests/support/made_run.h"

static int make_campaign(const char *path, size_t n)
{
    mim_layout *layout = NULL;
    mim_campaign *campaign = NULL;
    mim_campaign_rows *rows = NULL;
    int rc = made_layout(&layout);
    if (rc == MIM_OK)
        rc = made_rows(layout, 0, n, &rows);
    if (rc == MIM_OK)
        rc = mim_campaign_create(path, layout, 1, "", 0, &campaign);
    if (rc == MIM_OK)
        rc = mim_campaign_append(campaign, rows);
    mim_campaign_destroy(&campaign);
    mim_campaign_rows_destroy(&rows);
    mim_layout_destroy(&layout);
    return rc;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    const bool is_campaign = mim_has_suffix(argv[1], ".h5");
    int rc = is_campaign ? make_campaign(argv[1], (size_t)atoi(argv[2])) : mim_make_folder(argv[1]);
    for (int i = 0; rc == MIM_OK && !is_campaign && i < atoi(argv[2]); i++) {
        char name[32];
        snprintf(name, sizeof name, "plan_%06d", i);
        made_run run = {.folder = argv[1],
                        .name = name,
                        .n_windows = 4,
                        .n_slots = 8,
                        .seed = (uint32_t)i,
                        .machine = argc > 3 ? argv[3] : NULL};
        for (int k = 0; k < 8; k++) {
            run.cpu[k][0] = (7 * i + 3 * k) % 100;
            run.cpu[k][1] = 50;
            run.read_kbs[k] = 100 * k;
        }
        rc = made_run_write(&run);
    }
    if (rc != MIM_OK)
        fprintf(stderr, "make_runs: %s\n", mim_error());
    return mim_exit_status(rc);
}
