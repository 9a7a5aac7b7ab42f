#include "tests/support/judge.h"

#include <math.h>

#include "trace/accept.h"

/* The kernel counts idle time in steps of 10 ms: shorter slots are judged together. */
static const double least_judged_s = 1.0;
/* Kernel threads work for who asks for much block I/O, and count as others: so many times as much
 * of the CPUs may then be used (as in node/quiet.c). */
static const double io_others_factor = 5.0;

static double mean_of(size_t n, const double *numbers)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++)
        sum += numbers[i] / (double)n;
    return sum;
}

void judge_slots(size_t n_slots, double slot_s, bool is_io, const double *steal_pct,
                 const double *others_pct, bool *is_accepted)
{
    const double most_others = MIM_ACCEPT_MAX_OTHERS_PCT * (is_io ? io_others_factor : 1.0);
    const size_t wanted = (size_t)ceil(least_judged_s / slot_s - 1e-9);
    bool was_quiet = true;
    for (size_t first = 0, n; first < n_slots; first += n) {
        n = n_slots - first < 2 * wanted ? n_slots - first : wanted;
        const bool is_quiet = mean_of(n, steal_pct + first) <= MIM_ACCEPT_MAX_STEAL_PCT &&
                              mean_of(n, others_pct + first) <= most_others;
        for (size_t i = first; i < first + n; i++)
            is_accepted[i] = is_quiet && was_quiet;
        was_quiet = is_quiet;
    }
}
