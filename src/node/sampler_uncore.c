/* x_imc and x_llc: memory traffic and last-level cache lookups of every socket, summed over the
 * units that count them. Where others use the counters, too, counts are scaled by the part of the
 * time they ran. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "node/sampler_hardware.h"
#include "node/uncore_family.h"

typedef struct uncore_group {
    size_t row;
    int cpu;
    size_t n_events;
    mim_perf_event events[MIM_PERF_GROUP_MAX];
    unsigned keys[MIM_PERF_GROUP_MAX];
    double factors[MIM_PERF_GROUP_MAX];
    uint64_t counts[MIM_PERF_GROUP_MAX]; /* so far, scaled */
    mim_perf_group group;                /* n 0: to be opened again */
    mim_perf_reading last;
} uncore_group;

typedef struct uncore_source {
    mim_source base;
    const mim_perf_calls *calls;
    const char *proc, *sys; /* valid while it is opened */
    bool was_refused;       /* units and events are there, opening them failed */
    size_t n_groups;
    uncore_group *groups;
} uncore_source;

static void forget_groups(uncore_source *s)
{
    for (size_t i = 0; i < s->n_groups; i++)
        mim_perf_group_close(s->calls, &s->groups[i].group);
    s->n_groups = 0;
    mim_table_clear(&s->base.tables[0]);
}

static void uncore_close(mim_source *source)
{
    uncore_source *s = (uncore_source *)source;

    forget_groups(s);
    free(s->groups);
    mim_source_free(source);
}

/* ---- opening ----------------------------------------------------------------------------------
 */

/* Opens and reads once, so that the first sample has a difference. 0 or an errno. */
static int start_group(const mim_perf_calls *calls, uncore_group *g)
{
    int error = mim_perf_group_open(calls, g->cpu, g->n_events, g->events, &g->group);

    if (error == 0 && !mim_perf_group_read(calls, &g->group, &g->last)) {
        mim_perf_group_close(calls, &g->group);
        error = EIO;
    }
    return error;
}

static int keep_group(uncore_source *s, const uncore_group *g)
{
    uncore_group *groups = realloc(s->groups, (s->n_groups + 1) * sizeof *groups);

    if (!groups)
        return mim_fail(MIM_ENOMEM, "%zu groups of counters", s->n_groups + 1);
    s->groups = groups;
    groups[s->n_groups++] = *g;
    return MIM_OK;
}

/* All events in one group, or, for a unit that cannot do that, each in its own. */
static int start_events(uncore_source *s, const uncore_group *all)
{
    uncore_group g = *all;
    int error = start_group(s->calls, &g), rc = MIM_OK;

    if (error == 0) {
        rc = keep_group(s, &g);
        if (rc != MIM_OK)
            mim_perf_group_close(s->calls, &g.group);
        return rc;
    }
    if (error != EINVAL || all->n_events == 1) {
        s->was_refused = true;
        return mim_hardware_refused(s->proc, error);
    }
    for (size_t i = 0; rc == MIM_OK && i < all->n_events; i++) {
        uncore_group one = *all;
        one.n_events = 1;
        one.events[0] = all->events[i];
        one.keys[0] = all->keys[i];
        one.factors[0] = all->factors[i];
        rc = start_events(s, &one);
    }
    return rc;
}

/* The row of the CPU's socket, made when it is the first. */
static int row_of(uncore_source *s, int cpu, size_t *row)
{
    mim_table *table = &s->base.tables[0];
    unsigned socket = 0;
    char device[16];
    int rc = mim_cpu_socket(s->sys, cpu, &socket);

    if (rc != MIM_OK)
        return rc;
    snprintf(device, sizeof device, "%u", socket);
    *row = mim_table_find(table, device, strlen(device), SIZE_MAX);
    if (*row != SIZE_MAX)
        return MIM_OK;
    *row = table->n_rows;
    return mim_table_add(table, device);
}

/* All channels of a unit on each of its CPUs (one for each socket, or each part of one). */
static int add_unit(uncore_source *s, const mim_uncore_family *family, const mim_pmu *unit)
{
    const unsigned n_channels = family->n_channels ? family->n_channels : 1;
    int rc = MIM_OK;

    for (unsigned c = 0; rc == MIM_OK && c < n_channels; c++) {
        uncore_group g = {.n_events = family->n_events};
        for (size_t i = 0; rc == MIM_OK && i < family->n_events; i++) {
            g.keys[i] = family->events[i].key;
            rc = mim_uncore_event_of(family, unit, c, i, &g.events[i], &g.factors[i]);
        }
        for (size_t i = 0; rc == MIM_OK && i < unit->n_cpus; i++) {
            g.cpu = unit->cpus[i];
            if ((rc = row_of(s, g.cpu, &g.row)) == MIM_OK)
                rc = start_events(s, &g);
        }
    }
    return rc;
}

/* All units of the family. *n_units: how many there are; the rest means nothing when it is 0. */
static int add_family(uncore_source *s, const mim_uncore_family *family, size_t *n_units)
{
    mim_pmu_name *names = NULL;
    size_t n = 0;
    int rc = mim_pmu_list(s->sys, family->units, &names, &n);

    *n_units = 0;
    for (size_t i = 0; rc == MIM_OK && i < n; i++) {
        mim_pmu *unit = NULL;
        rc = mim_pmu_open(s->sys, names[i], &unit);
        if (rc == MIM_OK && unit->n_cpus > 0 && mim_uncore_fits(family, unit)) {
            ++*n_units;
            rc = mim_hardware_files(unit->n_cpus * family->n_events *
                                    (family->n_channels ? family->n_channels : 1));
            if (rc == MIM_OK)
                rc = add_unit(s, family, unit);
        }
        mim_pmu_close(&unit);
    }
    free(names);
    return rc;
}

/* The first family that is there and can be counted. Without one the error is that of the first
 * that was refused, else of the first that is there. */
static int choose_family(uncore_source *s, const mim_uncore_family *families, size_t n_families,
                         const char *none)
{
    char reason[MIM_SOURCE_NOTE_BYTES] = "";

    for (size_t f = 0; f < n_families; f++) {
        size_t n_units = 0;
        const bool was_refused = s->was_refused;
        int rc = add_family(s, &families[f], &n_units);
        if (rc == MIM_OK && n_units > 0) {
            const char *name = families[f].units;
            const int n = (int)strlen(name) - (name[strlen(name) - 1] == '_');
            snprintf(s->base.note, sizeof s->base.note, "%zu x %.*s in %zu groups", n_units, n,
                     name, s->n_groups);
            return MIM_OK;
        }
        forget_groups(s);
        if (rc == MIM_ENOMEM || rc == MIM_EIO)
            return rc;
        if (n_units > 0 && (!*reason || (s->was_refused && !was_refused)))
            snprintf(reason, sizeof reason, "%s", mim_error());
    }
    return mim_fail(MIM_EUNSUP, "%s", *reason ? reason : none);
}

/* Why not, where there are units that are of no use here. */
static const char *reason_for_none(const char *sys, const char *unit, const char *text,
                                   const char *other)
{
    mim_pmu_name *names = NULL;
    size_t n = 0;

    if (mim_pmu_list(sys, unit, &names, &n) != MIM_OK)
        n = 0;
    free(names);
    return n > 0 ? text : other;
}

static int uncore_open(const mim_source_ops *ops, const mim_source_roots *roots, const char *keys,
                       const mim_uncore_family *families, size_t n_families, const char *none,
                       mim_source **source)
{
    uncore_source *s = NULL;
    int rc = mim_hardware_check(roots);

    if (rc != MIM_OK)
        return rc;
    if (!(s = mim_source_new(sizeof *s, ops)))
        return MIM_ENOMEM;
    s->calls = roots->perf;
    s->proc = roots->proc;
    s->sys = roots->sys;
    mim_table_init(&s->base.tables[0], ops->types, keys);
    s->base.n_tables = 1;
    if (!roots->perf)
        rc = mim_hardware_has_calls(roots);
    else
        rc = choose_family(s, families, n_families, none);
    if (rc == MIM_OK) {
        s->proc = s->sys = NULL;
        *source = &s->base;
        s = NULL;
    }
    if (s)
        uncore_close(&s->base);
    return rc;
}

static int imc_open(const mim_source_roots *roots, mim_source **source)
{
    const char *none =
        reason_for_none(roots->sys, "amd_df", "this processor counts reads and writes together",
                        "no counters of a memory controller");

    return uncore_open(&mim_source_imc, roots, "read_bytes,E,U=B write_bytes,E,U=B", mim_uncore_imc,
                       mim_uncore_n_imc, none, source);
}

static int llc_open(const mim_source_roots *roots, mim_source **source)
{
    static const char unknown[] = "its events for lookups are not known here";
    const char *none = reason_for_none(
        roots->sys, "uncore_cbox_", unknown,
        reason_for_none(roots->sys, "uncore_cha_", unknown, "no counters of the last-level cache"));

    return uncore_open(&mim_source_llc, roots, "lookups,E", mim_uncore_llc, mim_uncore_n_llc, none,
                       source);
}

/* ---- reading ----------------------------------------------------------------------------------
 */

static const long double max_sum = 1.8e19L; /* what 64 bits hold */

/* What was counted in part of the time, as if in all of it. False beyond 64 bits. */
static bool scale_up(uint64_t counted, uint64_t enabled, uint64_t running, uint64_t *all)
{
    const long double value = (long double)counted * (long double)enabled / (long double)running;

    *all = running >= enabled ? counted : value < max_sum ? (uint64_t)(value + 0.5L) : 0;
    return running >= enabled || value < max_sum;
}

typedef enum { COUNTED, NOT_COUNTED, DEAD } count_result;

/* Adds what was counted since the last reading. */
static count_result count_on(const mim_perf_calls *calls, uncore_group *g)
{
    uint64_t counts[MIM_PERF_GROUP_MAX];
    mim_perf_reading now;

    if (!mim_perf_group_read(calls, &g->group, &now) || now.enabled_ns <= g->last.enabled_ns ||
        now.running_ns < g->last.running_ns)
        return DEAD;
    const uint64_t enabled = now.enabled_ns - g->last.enabled_ns;
    const uint64_t running = now.running_ns - g->last.running_ns;
    if (running == 0) /* others had the counters all the time */
        return NOT_COUNTED;
    for (size_t i = 0; i < g->n_events; i++)
        if (now.values[i] < g->last.values[i] ||
            !scale_up(now.values[i] - g->last.values[i], enabled, running, &counts[i]))
            return DEAD;
    for (size_t i = 0; i < g->n_events; i++)
        g->counts[i] += counts[i];
    g->last = now;
    return COUNTED;
}

/* Over all units of the socket; false beyond 64 bits. */
static bool sum_up(const uncore_source *s, size_t row, unsigned key, uint64_t *value)
{
    long double sum = 0;

    for (size_t i = 0; i < s->n_groups; i++)
        for (size_t e = 0; e < s->groups[i].n_events; e++)
            if (s->groups[i].row == row && s->groups[i].keys[e] == key)
                sum += (long double)s->groups[i].counts[e] * s->groups[i].factors[e];
    if (!(sum < max_sum))
        return false;
    *value = (uint64_t)sum;
    return true;
}

/* A sum that lacks a unit would be a wrong one: then the socket is absent. */
static void uncore_read(mim_source *source)
{
    uncore_source *s = (uncore_source *)source;
    mim_table *table = &source->tables[0];

    for (size_t r = 0; r < table->n_rows; r++)
        table->rows[r].is_present = true;
    for (size_t i = 0; i < s->n_groups; i++) {
        uncore_group *g = &s->groups[i];
        const count_result result = g->group.n > 0 ? count_on(s->calls, g) : DEAD;
        if (result == DEAD && g->group.n > 0) {
            mim_perf_group_close(s->calls, &g->group);
            source->is_refresh_due = true;
        }
        if (result != COUNTED)
            table->rows[g->row].is_present = false;
    }
    for (size_t r = 0; r < table->n_rows; r++)
        for (unsigned k = 0; k < table->n_values; k++)
            if (!sum_up(s, r, k, &table->rows[r].values[k]))
                table->rows[r].is_present = false;
}

static void uncore_refresh(mim_source *source)
{
    uncore_source *s = (uncore_source *)source;

    for (size_t i = 0; i < s->n_groups; i++)
        if (s->groups[i].group.n == 0)
            start_group(s->calls, &s->groups[i]);
}

const mim_source_ops mim_source_imc = {.name = "imc",
                                       .tier = 2,
                                       .types = "x_imc",
                                       .is_own = true,
                                       .open = imc_open,
                                       .read = uncore_read,
                                       .refresh = uncore_refresh,
                                       .close = uncore_close};
const mim_source_ops mim_source_llc = {.name = "llc",
                                       .tier = 2,
                                       .types = "x_llc",
                                       .is_own = true,
                                       .open = llc_open,
                                       .read = uncore_read,
                                       .refresh = uncore_refresh,
                                       .close = uncore_close};
