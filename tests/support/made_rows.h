/* Campaign rows by rule, for tests: nothing in them was measured. */
#ifndef MIM_TESTS_MADE_ROWS_H
#define MIM_TESTS_MADE_ROWS_H

#include "corpus/campaign.h"

/* 2 threads, 3 stressors, 4 metrics. */
int made_layout(mim_layout **layout);
/* Plans [first, first + n): plan p has 1 + p % 4 windows, in rows by rule; every 7th window is
 * disturbed, metric 3 is absent in odd plans. */
int made_rows(const mim_layout *layout, uint64_t first, size_t n, mim_campaign_rows **rows);
/* Whether row i is what the rule says. */
int made_row_is_right(const mim_layout *layout, const mim_campaign_rows *rows, size_t i);

#endif
