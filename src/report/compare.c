#include "report/compare.h"

#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "report/compare_model.h"
#include "trace/accept.h"

/* ---- creation: the wanted side -------------------------------------------------------------- */

static int note_gaps(mim_compare *compare, const mim_series *series, const char *name)
{
    char *gaps = NULL;
    int rc = mim_series_gap_note(series, &gaps);
    if (rc == MIM_OK && gaps)
        rc = mim_compare_note(compare, "%s: %s", name, gaps);
    free(gaps);
    return rc;
}

int mim_compare_create(const mim_series *wanted, const char *wanted_name,
                       const mim_node_limits *limits, mim_compare **compare)
{
    int rc = MIM_OK;
    mim_compare *made = calloc(1, sizeof *made);
    if (!made || !(made->wanted_name = mim_strdup(wanted_name))) {
        rc = mim_fail(MIM_ENOMEM, "a comparison");
        goto done;
    }
    made->limits = *limits;
    if ((rc = mim_adapt(wanted, limits, &made->adaptation)) != MIM_OK)
        goto done;
    made->wanted = made->adaptation->series;
    if (made->wanted->n_slots == 0 || made->wanted->n_metrics == 0) {
        rc = mim_fail(MIM_EDATA, "%s: no slot or no metric to compare", wanted_name);
        goto done;
    }
    if (!(made->ranges = calloc(made->wanted->n_metrics, sizeof *made->ranges))) {
        rc = mim_fail(MIM_ENOMEM, "a comparison");
        goto done;
    }
    for (size_t i = 0; i < made->adaptation->n_notes && rc == MIM_OK; i++)
        rc = mim_compare_note(made, "%s", made->adaptation->notes[i]);
    if (rc == MIM_OK)
        rc = note_gaps(made, made->wanted, wanted_name);
    if (rc == MIM_OK)
        rc = mim_compare_find_ranges(made, NULL);
    if (rc == MIM_OK) {
        *compare = made;
        made = NULL;
    }
done:
    mim_compare_destroy(&made);
    return rc;
}

static void clear_run(mim_compare_run *run)
{
    free(run->name);
    free(run->label);
    free(run->hostname);
    free(run->accepted);
    free(run->values);
    free(run->metrics);
}

void mim_compare_destroy(mim_compare **compare)
{
    if (!compare || !*compare)
        return;
    mim_compare *c = *compare;
    for (size_t i = 0; i < c->n_runs; i++)
        clear_run(&c->runs[i]);
    for (size_t i = 0; i < c->n_notes; i++)
        free(c->notes[i]);
    mim_adaptation_destroy(&c->adaptation);
    free(c->runs);
    free(c->notes);
    free(c->left_out);
    free(c->ranges);
    free(c->wanted_name);
    free(c);
    *compare = NULL;
}

void mim_compare_only_accepted(mim_compare *compare) { compare->only_accepted = true; }

int mim_compare_note(mim_compare *compare, const char *format, ...)
{
    char text[MIM_ERROR_TEXT_BYTES];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    mim_make_one_line(text); /* names of files and metrics may hold anything */
    for (size_t i = 0; i < compare->n_notes; i++)
        if (!strcmp(compare->notes[i], text))
            return MIM_OK;
    char *copy = mim_strdup(text);
    char **grown = realloc(compare->notes, (compare->n_notes + 1) * sizeof *compare->notes);
    if (grown)
        compare->notes = grown;
    if (!copy || !grown) {
        free(copy);
        return mim_fail(MIM_ENOMEM, "a note");
    }
    compare->notes[compare->n_notes++] = copy;
    return MIM_OK;
}

/* ---- adding a measured series --------------------------------------------------------------- */

/* Whether the cores of the wanted series are the plan's rows and the file tells where each ran.
 * With several rows on a CPU, none of them is what the CPU did. */
static bool is_paired_by_rows(const mim_series *measured)
{
    return measured->n_rows > 0 && mim_series_n_row_cpus(measured) == measured->n_rows;
}

static size_t find_core(const mim_series *measured, int core)
{
    for (size_t m = 0; m < measured->n_metrics; m++)
        if (measured->metrics[m].core == core)
            return m;
    return SIZE_MAX;
}

/* The CPU that has rows and is the rank-th such by number, -1 when there are fewer. */
static int used_cpu(const mim_series *measured, size_t rank)
{
    int cpu = -1;
    for (;; rank--) {
        int next = -1;
        for (size_t r = 0; r < measured->n_rows; r++)
            if (measured->row_cpus[r] > cpu && (next < 0 || measured->row_cpus[r] < next))
                next = measured->row_cpus[r];
        if (next < 0 || rank == 0)
            return next;
        cpu = next;
    }
}

/* Several rows on some CPU, and as many CPUs with rows as there are wanted cores. */
static bool is_paired_by_used(const mim_series *measured, size_t n_wanted)
{
    return measured->n_rows > 0 && !is_paired_by_rows(measured) &&
           mim_series_n_row_cpus(measured) == n_wanted;
}

/* The core of this rank; a series has its cores in the order of their numbers. */
static size_t find_rank(const mim_series *measured, size_t rank)
{
    for (size_t m = 0; m < measured->n_metrics; m++)
        if (measured->metrics[m].core >= 0 && rank-- == 0)
            return m;
    return SIZE_MAX;
}

/* The measured column for a wanted metric, SIZE_MAX when there is none. Cores by the CPU of their
 * row, by rank or by number, not by name: how many digits a name has depends on the number of
 * cores. */
static size_t find_partner(const mim_compare *compare, const mim_series *measured, size_t metric)
{
    const mim_series *wanted = compare->wanted;
    const int core = wanted->metrics[metric].core;
    if (core < 0)
        return mim_series_find(measured, wanted->metrics[metric].name);
    size_t rank = 0;
    for (size_t m = 0; m < metric; m++)
        rank += wanted->metrics[m].core >= 0;
    if (is_paired_by_rows(measured))
        return rank < measured->n_rows ? find_core(measured, measured->row_cpus[rank]) : SIZE_MAX;
    if (is_paired_by_used(measured, mim_series_n_cores(wanted)))
        return find_core(measured, used_cpu(measured, rank));
    if (mim_series_n_cores(measured) == mim_series_n_cores(wanted))
        return find_rank(measured, rank);
    return find_core(measured, core);
}

static int judge_slots(const mim_series *measured, mim_compare_run *run)
{
    mim_accept *accept = NULL;
    int rc = mim_accept_create(measured, &accept);
    if (rc != MIM_OK)
        return rc;
    run->is_judged = accept->is_known;
    for (size_t i = 0; i < run->n_slots; i++) {
        run->accepted[i] = accept->is_known ? accept->is_accepted[i] : true;
        run->n_accepted += run->accepted[i];
    }
    mim_accept_destroy(&accept);
    return MIM_OK;
}

static int fill_run(const mim_compare *compare, const mim_series *measured, mim_compare_run *run)
{
    const size_t n_metrics = compare->wanted->n_metrics;
    const size_t n_values = run->n_slots * n_metrics; /* not above the wanted series' own */
    run->accepted = malloc((run->n_slots + 1) * sizeof *run->accepted);
    run->values = malloc((n_values + 1) * sizeof *run->values);
    run->metrics = calloc(n_metrics, sizeof *run->metrics);
    if (!run->accepted || !run->values || !run->metrics)
        return mim_fail(MIM_ENOMEM, "%zu slots of %zu metrics", run->n_slots, n_metrics);
    for (size_t m = 0; m < n_metrics; m++) {
        const size_t partner = find_partner(compare, measured, m);
        for (size_t i = 0; i < run->n_slots; i++)
            run->values[i * n_metrics + m] =
                partner == SIZE_MAX ? NAN : mim_series_at(measured, i, partner);
    }
    return MIM_OK;
}

/* Whether anything can be compared at all: a target metric that some slot has on both sides. */
static bool has_common_metric(const mim_compare *compare, const mim_compare_run *run)
{
    const mim_series *wanted = compare->wanted;
    for (size_t i = 0; i < run->n_slots; i++)
        for (size_t m = 0; m < wanted->n_metrics; m++)
            if (mim_family_is_target(wanted->metrics[m].family) &&
                isfinite(mim_series_at(wanted, i, m)) &&
                isfinite(run->values[i * wanted->n_metrics + m]))
                return true;
    return false;
}

/* How the cores were paired, where that is not one to one. */
static int note_cores(mim_compare *compare, const mim_series *measured, const char *name)
{
    const size_t n_wanted = mim_series_n_cores(compare->wanted);
    const size_t n_cores = mim_series_n_cores(measured), n_rows = measured->n_rows;
    int rc = MIM_OK;
    if (is_paired_by_rows(measured)) {
        if (n_rows != n_wanted)
            rc = mim_compare_note(compare,
                                  "%s: %zu row%s, wanted for %zu core%s: row i is paired with core "
                                  "i",
                                  name, n_rows, n_rows == 1 ? "" : "s", n_wanted,
                                  n_wanted == 1 ? "" : "s");
        if (rc == MIM_OK && n_cores > n_rows)
            rc = mim_compare_note(compare, "%s: %zu of %zu CPUs had no row and are left out of cpu",
                                  name, n_cores - n_rows, n_cores);
        return rc;
    }
    const size_t n_used = mim_series_n_row_cpus(measured);
    const bool is_by_used = is_paired_by_used(measured, n_wanted);
    if (n_rows > 0)
        rc =
            mim_compare_note(compare,
                             "%s: %zu rows on %zu CPU%s: which core a row imitates cannot be told, "
                             "paired by %s",
                             name, n_rows, n_used, n_used == 1 ? "" : "s",
                             is_by_used            ? "rank among these CPUs"
                             : n_cores == n_wanted ? "core rank"
                                                   : "core number");
    if (rc == MIM_OK && n_cores != n_wanted && !is_by_used)
        rc = mim_compare_note(compare, "%s: %zu core%s, wanted for %zu: paired by core number",
                              name, n_cores, n_cores == 1 ? "" : "s", n_wanted);
    return rc;
}

/* What a reader must know about how this file was lined up with the wanted series. */
static int note_differences(mim_compare *compare, const mim_series *measured,
                            const mim_compare_run *run)
{
    const mim_series *wanted = compare->wanted;
    const double wanted_s = mim_series_median_length_s(wanted);
    const double measured_s = mim_series_median_length_s(measured);
    int rc = MIM_OK;
    if (measured->n_slots != wanted->n_slots)
        rc = mim_compare_note(compare,
                              "%s: %zu slot%s measured, %zu wanted: the first %zu %s compared",
                              run->name, measured->n_slots, measured->n_slots == 1 ? "" : "s",
                              wanted->n_slots, run->n_slots, run->n_slots == 1 ? "is" : "are");
    if (rc == MIM_OK && fabs(measured_s - wanted_s) > 0.1 * wanted_s)
        rc = mim_compare_note(compare, "%s: slots of %.3g s, the wanted ones are of %.3g s",
                              run->name, measured_s, wanted_s);
    if (rc == MIM_OK)
        rc = note_gaps(compare, measured, run->name);
    if (rc == MIM_OK)
        rc = note_cores(compare, measured, run->name);
    if (rc == MIM_OK && compare->only_accepted && !run->is_judged)
        rc = mim_compare_note(
            compare, "%s: does not tell which slots were undisturbed, all are counted", run->name);
    return rc;
}

static const char *why_left_out(const mim_compare *compare, const mim_series *measured,
                                const mim_compare_run *run, size_t metric)
{
    if (find_partner(compare, measured, metric) == SIZE_MAX)
        return "not in the measured file";
    if (compare->only_accepted && run->is_judged && run->n_accepted == 0)
        return "no accepted slot: others disturbed every one";
    return "no slot in which both sides are present";
}

static int list_left_out(mim_compare *compare, const mim_series *measured,
                         const mim_compare_run *run)
{
    int rc = MIM_OK;
    for (size_t m = 0; m < compare->wanted->n_metrics && rc == MIM_OK; m++)
        if (compare->ranges[m] > 0.0 && run->metrics[m].is_left_out)
            rc = mim_compare_leave_out(compare, m, compare->n_runs,
                                       why_left_out(compare, measured, run, m));
    return rc;
}

int mim_compare_add(mim_compare *compare, const mim_series *measured, const char *name,
                    const char *label)
{
    const size_t n_notes = compare->n_notes, n_left_out = compare->n_left_out;
    mim_compare_run run = {0};
    mim_compare_run *grown = realloc(compare->runs, (compare->n_runs + 1) * sizeof *compare->runs);
    if (grown)
        compare->runs = grown;
    run.name = mim_strdup(name);
    run.label = mim_strdup(label);
    run.hostname = mim_strdup(measured->hostname ? measured->hostname : "");
    run.n_slots =
        measured->n_slots < compare->wanted->n_slots ? measured->n_slots : compare->wanted->n_slots;
    int rc = MIM_OK;
    if (!grown || !run.name || !run.label || !run.hostname)
        rc = mim_fail(MIM_ENOMEM, "a comparison");
    if (rc == MIM_OK)
        rc = fill_run(compare, measured, &run);
    if (rc == MIM_OK && !has_common_metric(compare, &run))
        rc = mim_fail(MIM_EDATA,
                      "%s: has no metric in common with %s: no CPU, I/O, memory or "
                      "cache figure is in both",
                      name, compare->wanted_name);
    if (rc == MIM_OK)
        rc = judge_slots(measured, &run);
    if (rc == MIM_OK)
        rc = mim_compare_measure(compare, &run);
    if (rc == MIM_OK)
        rc = note_differences(compare, measured, &run);
    if (rc == MIM_OK)
        rc = list_left_out(compare, measured, &run);
    if (rc != MIM_OK) {
        clear_run(&run);
        while (compare->n_notes > n_notes)
            free(compare->notes[--compare->n_notes]);
        compare->n_left_out = n_left_out;
        return rc;
    }
    compare->runs[compare->n_runs++] = run;
    return MIM_OK;
}
