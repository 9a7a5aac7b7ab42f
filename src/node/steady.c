#include "node/steady.h"

#include <math.h>
#include <string.h>

#include "core/quantile.h"

enum { MAX_TAKEN = MIM_STEADY_MAX_TRIES * MIM_STEADY_MAX_REPEATS };

/* The repeats of a round: undisturbed ones in front. */
typedef struct round_of {
    size_t n_quiet, n;
    mim_repeat repeats[MAX_TAKEN];
} round_of;

static void add(round_of *r, const mim_repeat *repeat)
{
    r->repeats[r->n] = *repeat;
    if (!repeat->is_disturbed) {
        r->repeats[r->n] = r->repeats[r->n_quiet];
        r->repeats[r->n_quiet++] = *repeat;
    }
    r->n++;
}

static int take(const mim_steady_source *source, size_t n_wanted, size_t n_tries, bool is_judged,
                round_of *r, mim_steady *steady)
{
    int rc = MIM_OK;
    r->n_quiet = r->n = 0;
    if (source->begin)
        source->begin(source->context);
    while (r->n_quiet < n_wanted && r->n < n_tries * n_wanted) {
        mim_repeat repeat = {0};
        rc = source->repeat(source->context, &repeat);
        if (rc != MIM_OK)
            return rc;
        steady->n_taken++;
        steady->n_disturbed += repeat.is_disturbed;
        repeat.is_disturbed = repeat.is_disturbed && is_judged;
        add(r, &repeat);
    }
    return MIM_OK;
}

/* Takes rounds of one size until one was undisturbed as a whole, too; false: none was. */
static int take_quiet(const mim_steady_source *source, size_t n_wanted, size_t n_tries,
                      bool is_judged, round_of *r, mim_steady *steady, bool *is_quiet)
{
    *is_quiet = false;
    for (size_t i = 0; i < n_tries && !*is_quiet; i++) {
        const int rc = take(source, n_wanted, n_tries, is_judged, r, steady);
        if (rc != MIM_OK)
            return rc;
        if (r->n_quiet < n_wanted) /* it has had its tries */
            break;
        *is_quiet = !is_judged || !source->was_disturbed || !source->was_disturbed(source->context);
    }
    return MIM_OK;
}

/* Median and spread of the double at `offset` of the first n repeats. */
static int median_of(const mim_repeat *repeats, size_t n, size_t offset, double *median,
                     double *spread)
{
    double values[MAX_TAKEN], low = NAN, high = NAN;
    for (size_t i = 0; i < n; i++)
        memcpy(&values[i], (const char *)&repeats[i] + offset, sizeof values[i]);
    int rc = mim_quantile(values, n, 0.5, median);
    if (rc == MIM_OK && spread) {
        rc = mim_quantile(values, n, 0.25, &low);
        if (rc == MIM_OK)
            rc = mim_quantile(values, n, 0.75, &high);
        *spread = (high - low) / *median;
    }
    return rc;
}

static int summarise(const round_of *r, size_t n, mim_steady *steady)
{
    steady->n_repeats = n;
    int rc = median_of(r->repeats, n, offsetof(mim_repeat, op_s), &steady->op_s, &steady->spread);
    if (rc == MIM_OK)
        rc = median_of(r->repeats, n, offsetof(mim_repeat, cpu_s), &steady->cpu_s, NULL);
    if (rc == MIM_OK)
        rc =
            median_of(r->repeats, n, offsetof(mim_repeat, bytes_per_s), &steady->bytes_per_s, NULL);
    return rc;
}

int mim_steady_measure(const mim_steady_options *options, const mim_steady_source *source,
                       mim_steady *steady)
{
    mim_steady found = {0};
    round_of r;
    size_t n = options->n_repeats;
    const bool is_judged = options->max_spread > 0.0;
    int rc = MIM_OK;
    if (n < 1 || n > MIM_STEADY_MAX_REPEATS || options->n_tries < 1 ||
        options->n_tries > MIM_STEADY_MAX_TRIES)
        return mim_fail(MIM_EINVAL, "%zu repeats, %zu tries: expected 1 to %d, and 1 to %d", n,
                        options->n_tries, MIM_STEADY_MAX_REPEATS, MIM_STEADY_MAX_TRIES);
    for (size_t i = 0; rc == MIM_OK && i < options->n_tries; i++) {
        bool is_quiet = false;
        rc = take_quiet(source, n, options->n_tries, is_judged, &r, &found, &is_quiet);
        found.is_disturbed = !is_quiet;
        if (rc == MIM_OK)
            rc = summarise(&r, is_quiet ? r.n_quiet : r.n, &found);
        found.is_unstable = is_judged && !(found.spread <= options->max_spread);
        if (!found.is_unstable || found.is_disturbed)
            break;
        n = 2 * n < MIM_STEADY_MAX_REPEATS ? 2 * n : MIM_STEADY_MAX_REPEATS;
    }
    if (rc == MIM_OK)
        *steady = found;
    return rc;
}
