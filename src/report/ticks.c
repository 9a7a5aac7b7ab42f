#include "report/ticks.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define N_RUNGS 4

/* 1 KB = 1024 B in all of this project's units. */
static const struct ladder {
    double factor;
    const char *rungs[N_RUNGS];
} ladders[] = {
    {1024.0, {"KB/s", "MB/s", "GB/s", "TB/s"}},
    {1024.0, {"KB", "MB", "GB", "TB"}},
};

static const struct ladder *find_ladder(const char *unit, size_t *rung)
{
    if (!unit)
        return NULL;
    for (size_t i = 0; i < sizeof ladders / sizeof ladders[0]; i++)
        for (*rung = 0; *rung < N_RUNGS; (*rung)++)
            if (!strcmp(unit, ladders[i].rungs[*rung]))
                return &ladders[i];
    return NULL;
}

static void choose_scale(mim_ticks *ticks, double largest, const char *unit)
{
    static const char *const suffixes[] = {"", "k", "M", "G", "T"};
    size_t rung = 0;
    const struct ladder *ladder = find_ladder(unit, &rung);

    ticks->scale = 1.0;
    ticks->unit = unit ? unit : "";
    ticks->suffix = "";
    if (ladder) {
        while (rung + 1 < N_RUNGS && largest / ticks->scale >= ladder->factor) {
            ticks->scale *= ladder->factor;
            ticks->unit = ladder->rungs[++rung];
        }
        return;
    }
    /* 1000 to 9999 read well without a suffix. */
    if (largest < 1e4)
        return;
    for (size_t i = 1; i < sizeof suffixes / sizeof suffixes[0]; i++)
        if (largest / ticks->scale >= 1e3) {
            ticks->scale *= 1e3;
            ticks->suffix = suffixes[i];
        }
}

mim_ticks mim_ticks_choose(double low, double high, size_t n_max, const char *unit)
{
    mim_ticks ticks = {0};
    choose_scale(&ticks, fmax(fabs(low), fabs(high)), unit);

    const double span = high / ticks.scale - low / ticks.scale;
    double power = pow(10.0, floor(log10(span / (double)n_max)));
    if (!(power > 0.0)) /* a span at the edge of what a double can tell apart */
        power = span;
    double step = power;
    static const double multiples[] = {1.0, 2.0, 5.0, 10.0, 20.0};
    for (size_t i = 0; i < sizeof multiples / sizeof multiples[0]; i++) {
        step = power * multiples[i];
        if (floor(span / step + 1e-9) + 1.0 <= (double)n_max)
            break;
    }
    const double first = ceil(low / ticks.scale / step - 1e-9);
    const double last = floor(high / ticks.scale / step + 1e-9);
    const double n = last - first + 1.0;
    ticks.step = step * ticks.scale;
    ticks.first = first * ticks.step;
    ticks.n = n >= 1.0 ? (size_t)fmin(n, (double)n_max) : 0;
    const double digits = ceil(-log10(step) - 1e-9);
    ticks.n_decimals = digits > 0.0 ? (int)fmin(digits, 9.0) : 0;
    return ticks;
}

double mim_ticks_at(const mim_ticks *ticks, size_t i)
{
    return ticks->first + (double)i * ticks->step;
}

const char *mim_ticks_text(const mim_ticks *ticks, size_t i, char text[MIM_TICK_TEXT_BYTES])
{
    double shown = mim_ticks_at(ticks, i) / ticks->scale;
    if (fabs(shown) < 1e-9 * ticks->step / ticks->scale)
        shown = 0.0; /* no "-0" */
    if (fabs(shown) >= 1e9 || ticks->n_decimals > 4)
        snprintf(text, MIM_TICK_TEXT_BYTES, "%.6g%s", shown, ticks->suffix);
    else
        snprintf(text, MIM_TICK_TEXT_BYTES, "%.*f%s", ticks->n_decimals, shown,
                 shown == 0.0 ? "" : ticks->suffix);
    return text;
}

double mim_ticks_round_up(const mim_ticks *ticks, double value)
{
    return ceil(value / ticks->step - 1e-9) * ticks->step;
}
