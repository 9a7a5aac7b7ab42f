/* libFuzzer target: any bytes are refused with a sentence or give stats and a series that can be
 * walked. Run with -max_len=4096 -timeout=5 -rss_limit_mb=2048 tests/fuzz/corpus_stats. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "trace/accept.h"
#include "trace/adapt.h"
#include "trace/series.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool is_true)
{
    if (!is_true)
        abort();
}

/* Every row is found by its names and has the values that it shows. */
static void walk_stats(const mim_stats *stats)
{
    for (size_t r = 0; r < mim_stats_n_records(stats); r++) {
        for (size_t i = 0; i < mim_stats_n_marks(stats, r); i++)
            check(mim_stats_mark(stats, r, i) != NULL);
        for (size_t i = 0; i < mim_stats_n_rows(stats, r); i++) {
            mim_row row = mim_stats_row(stats, r, i);
            mim_row found = mim_stats_find_row(stats, r, row.type, row.device);
            check(row.n_values <= mim_stats_n_keys(stats, row.type));
            check(found.values == row.values && found.n_values == row.n_values);
            for (size_t k = 0; k < row.n_values; k++) {
                uint64_t value = 0;
                check(mim_row_value(&row, row.keys ? row.keys[k] : k, &value));
                check(value == row.values[k]);
            }
        }
    }
}

static void walk_series(const mim_series *series)
{
    for (size_t m = 0; m < series->n_metrics; m++) {
        mim_metric_figures f = mim_series_figures(series, m);
        check(f.n_absent <= series->n_slots && !(f.min > f.max));
        check(mim_series_find(series, series->metrics[m].name) == m);
    }
    mim_adaptation *adaptation = NULL;
    mim_node_limits limits = {.n_cores = 3, .n_sockets = 2, .io_read_max_kbs = 1};
    if (mim_adapt(series, &limits, &adaptation) == MIM_OK)
        mim_adaptation_destroy(&adaptation);
    mim_accept *accept = NULL;
    if (mim_accept_create(series, &accept) == MIM_OK)
        mim_accept_destroy(&accept);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mim_stats *stats = NULL;
    mim_series *series = NULL;
    if (mim_stats_parse("fuzz", (const char *)data, size, &stats) != MIM_OK) {
        check(stats == NULL && *mim_error() != '\0' && !strchr(mim_error(), '\n'));
        return 0;
    }
    walk_stats(stats);
    if (mim_series_create(stats, NULL, &series) == MIM_OK)
        walk_series(series);
    mim_series_destroy(&series);
    mim_stats_destroy(&stats);
    return 0;
}
