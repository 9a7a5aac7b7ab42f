#include "trace/accept.h"

#include <math.h>
#include <stdlib.h>

int mim_accept_create(const mim_series *series, mim_accept **accept)
{
    mim_accept *a = calloc(1, sizeof *a);
    if (!a || !(a->is_accepted = calloc(series->n_slots + 1, sizeof *a->is_accepted))) {
        free(a);
        return mim_fail(MIM_ENOMEM, "marks of %zu slots", series->n_slots);
    }
    size_t steal = mim_series_find(series, "steal_pct");
    size_t others = mim_series_find(series, "others_cpu_pct");
    a->n_slots = series->n_slots;
    a->is_known = steal != SIZE_MAX && others != SIZE_MAX;
    for (size_t i = 0; a->is_known && i < a->n_slots; i++) {
        double stolen_pct = mim_series_at(series, i, steal);
        double others_pct = mim_series_at(series, i, others);
        a->n_stolen += stolen_pct > MIM_ACCEPT_MAX_STEAL_PCT;
        a->n_others += others_pct > MIM_ACCEPT_MAX_OTHERS_PCT;
        a->n_absent += isnan(stolen_pct) || isnan(others_pct);
        a->is_accepted[i] =
            stolen_pct <= MIM_ACCEPT_MAX_STEAL_PCT && others_pct <= MIM_ACCEPT_MAX_OTHERS_PCT;
        a->n_accepted += a->is_accepted[i];
    }
    *accept = a;
    return MIM_OK;
}

void mim_accept_destroy(mim_accept **accept)
{
    if (!accept || !*accept)
        return;
    free((*accept)->is_accepted);
    free(*accept);
    *accept = NULL;
}
