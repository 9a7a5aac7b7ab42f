/* Where the marks of an axis go and what they say: steps of 1, 2 or 5 times a power of ten in the
 * unit that keeps the numbers short (KB/s becomes MB/s; units without a ladder get k, M, G). */
#ifndef MIM_REPORT_TICKS_H
#define MIM_REPORT_TICKS_H

#include <stddef.h>

enum { MIM_TICK_TEXT_BYTES = 32 };

typedef struct mim_ticks {
    double first, step; /* in the data's unit; step > 0 */
    size_t n;           /* marks at first + i * step, i < n */
    double scale;       /* value / scale is what is shown */
    const char *unit;   /* the shown unit when the ladder has one, else the given one */
    const char *suffix; /* "k", "M" ... behind each number, "" with a ladder unit */
    int n_decimals;
} mim_ticks;

/* At most n_max (>= 2) marks in [low, high], both finite, low < high. `unit` may be NULL and must
 * outlive the result. */
mim_ticks mim_ticks_choose(double low, double high, size_t n_max, const char *unit);
double mim_ticks_at(const mim_ticks *ticks, size_t i);
const char *mim_ticks_text(const mim_ticks *ticks, size_t i, char text[MIM_TICK_TEXT_BYTES]);
/* The smallest whole number of steps at or above `value`: where an axis ends well. */
double mim_ticks_round_up(const mim_ticks *ticks, double value);

#endif
