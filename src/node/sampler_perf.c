/* x_perf: cycles, instructions and last-level cache accesses of every CPU, counted by perf_event
 * for all that runs there. */
#include <dirent.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "node/pmu.h"
#include "node/sampler_hardware.h"

enum { N_ALL_EVENTS = 4, N_FEW_EVENTS = 2, N_TIMES = 2 };

static const char all_keys[] =
    "cycles,E instructions,E llc_refs,E llc_misses,E enabled_ns,E running_ns,E";
static const char few_keys[] = "cycles,E instructions,E enabled_ns,E running_ns,E";

/* A processor with two kinds of cores has a unit for each, and events name theirs. */
enum { MAX_CORE_UNITS = 8 };

typedef struct cpu_counters {
    int cpu;
    uint32_t unit;        /* 0: the only one */
    mim_perf_group group; /* n 0: the CPU is offline */
    uint64_t last_enabled_ns;
    uint64_t base[N_ALL_EVENTS + N_TIMES]; /* what earlier groups of this CPU had counted */
} cpu_counters;

typedef struct perf_source {
    mim_source base;
    const mim_perf_calls *calls;
    char *sys;
    size_t n_events; /* of a group */
    mim_perf_event events[N_ALL_EVENTS];
    size_t n_units;
    struct {
        uint32_t type;
        size_t n_cpus;
        int *cpus; /* n_cpus 0: all */
    } units[MAX_CORE_UNITS];
    int highest_cpu; /* that has a row, -1 = none */
    size_t capacity;
    cpu_counters *cpus; /* [rows of the table] */
} perf_source;

static void perf_close(mim_source *source)
{
    perf_source *s = (perf_source *)source;

    for (size_t i = 0; s->cpus && i < source->tables[0].n_rows; i++)
        mim_perf_group_close(s->calls, &s->cpus[i].group);
    for (size_t i = 0; i < s->n_units; i++)
        free(s->units[i].cpus);
    free(s->cpus);
    free(s->sys);
    mim_source_free(source);
}

/* ---- what to count ----------------------------------------------------------------------------
 */

/* The kernel's "cache references" are the last level's on Intel alone: elsewhere they are those of
 * the second level (AMD) or of the first (ARM). */
static bool is_intel(const char *proc)
{
    mim_kept_file file = {.fd = -1};
    bool is_found = mim_kept_open(&file, proc, "cpuinfo") == MIM_OK &&
                    strstr(file.text, "GenuineIntel") != NULL;

    mim_kept_close(&file);
    return is_found;
}

static uint64_t last_level(uint64_t result)
{
    return PERF_COUNT_HW_CACHE_LL | PERF_COUNT_HW_CACHE_OP_READ << 8 | result << 16;
}

static void choose_events(perf_source *s, const char *proc)
{
    const bool has_generic = is_intel(proc);
    const uint32_t type = has_generic ? PERF_TYPE_HARDWARE : PERF_TYPE_HW_CACHE;
    const uint64_t refs = has_generic ? (uint64_t)PERF_COUNT_HW_CACHE_REFERENCES
                                      : last_level(PERF_COUNT_HW_CACHE_RESULT_ACCESS);
    const uint64_t misses = has_generic ? (uint64_t)PERF_COUNT_HW_CACHE_MISSES
                                        : last_level(PERF_COUNT_HW_CACHE_RESULT_MISS);

    s->events[0] = (mim_perf_event){PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES, 0, 0};
    s->events[1] = (mim_perf_event){PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS, 0, 0};
    s->events[2] = (mim_perf_event){type, refs, 0, 0};
    s->events[3] = (mim_perf_event){type, misses, 0, 0};
}

/* Units of processor cores: cpu, cpu_core and cpu_atom, armv8_pmuv3_0 ... */
static int find_units(perf_source *s)
{
    char *folder = mim_join_path(s->sys, "bus/event_source/devices");
    DIR *listing = folder ? opendir(folder) : NULL;
    int rc = MIM_OK;

    for (struct dirent *e; listing && rc == MIM_OK && s->n_units < MAX_CORE_UNITS &&
                           (e = readdir(listing)) != NULL;) {
        mim_pmu *unit = NULL;
        if (strcmp(e->d_name, "cpu") != 0 && strncmp(e->d_name, "cpu_", 4) != 0 &&
            strncmp(e->d_name, "arm", 3) != 0)
            continue;
        rc = mim_pmu_open(s->sys, e->d_name, &unit);
        if (rc == MIM_OK) {
            s->units[s->n_units].type = unit->type;
            s->units[s->n_units].n_cpus = unit->n_cpus;
            s->units[s->n_units].cpus = unit->cpus;
            s->n_units++;
            unit->cpus = NULL;
        } else if (rc == MIM_EUNSUP) {
            rc = MIM_OK;
        }
        mim_pmu_close(&unit);
    }
    if (rc == MIM_OK && s->n_units == 0)
        rc = mim_fail(MIM_EUNSUP, "no hardware counters, the kernel offers software events only");
    if (listing)
        closedir(listing);
    free(folder);
    return rc;
}

/* The unit that counts on a CPU; 0 when there is one kind only, UINT32_MAX when none does. */
static uint32_t unit_of(const perf_source *s, int cpu)
{
    if (s->n_units == 1)
        return 0;
    for (size_t u = 0; u < s->n_units; u++)
        for (size_t i = 0; i < s->units[u].n_cpus; i++)
            if (s->units[u].cpus[i] == cpu)
                return s->units[u].type;
    return UINT32_MAX;
}

static int open_group(perf_source *s, cpu_counters *c, size_t n_events)
{
    mim_perf_event events[N_ALL_EVENTS];

    for (size_t i = 0; i < n_events; i++) {
        events[i] = s->events[i];
        events[i].config |= (uint64_t)c->unit << 32; /* of both types, the upper half */
    }
    c->last_enabled_ns = 0;
    return mim_perf_group_open(s->calls, c->cpu, n_events, events, &c->group);
}

/* ---- CPUs -------------------------------------------------------------------------------------
 */

static int add_cpu(perf_source *s, int cpu)
{
    const size_t n = s->base.tables[0].n_rows;
    char device[16];

    if (n == s->capacity) {
        const size_t capacity = s->capacity ? 2 * s->capacity : 16;
        cpu_counters *cpus = realloc(s->cpus, capacity * sizeof *cpus);
        if (!cpus)
            return mim_fail(MIM_ENOMEM, "counters of %zu CPUs", capacity);
        s->cpus = cpus;
        s->capacity = capacity;
    }
    s->cpus[n] = (cpu_counters){.cpu = cpu, .unit = unit_of(s, cpu)};
    s->highest_cpu = cpu > s->highest_cpu ? cpu : s->highest_cpu;
    snprintf(device, sizeof device, "%d", cpu);
    return mim_table_add(&s->base.tables[0], device);
}

/* Whether a CPU has a row. `hint` is tried first; numbers beyond the highest are new. */
static bool is_known(const perf_source *s, int cpu, size_t hint)
{
    const size_t n = s->base.tables[0].n_rows;

    if (cpu > s->highest_cpu)
        return false;
    if (hint < n && s->cpus[hint].cpu == cpu)
        return true;
    for (size_t r = 0; r < n; r++)
        if (s->cpus[r].cpu == cpu)
            return true;
    return false;
}

/* Rows for all CPUs that are online; those that were seen before keep theirs. */
static int add_cpus(perf_source *s)
{
    int *online = NULL;
    size_t n = 0;
    int rc = mim_online_cpus(s->sys, &online, &n);

    for (size_t i = 0; rc == MIM_OK && i < n; i++)
        if (!is_known(s, online[i], i) && unit_of(s, online[i]) != UINT32_MAX)
            rc = add_cpu(s, online[i]);
    free(online);
    return rc;
}

/* Whether the group of this size can be opened on a CPU of each kind; 0 or an errno. */
static int try_events(perf_source *s, size_t n_events)
{
    const size_t n = s->base.tables[0].n_rows;
    uint32_t tried[MAX_CORE_UNITS];
    size_t n_tried = 0;
    int error = n > 0 ? 0 : ENODEV;

    for (size_t i = 0; i < n && !error && n_tried < MAX_CORE_UNITS; i++) {
        bool is_tried = false;
        for (size_t k = 0; k < n_tried; k++)
            is_tried = is_tried || tried[k] == s->cpus[i].unit;
        if (is_tried)
            continue;
        tried[n_tried++] = s->cpus[i].unit;
        error = open_group(s, &s->cpus[i], n_events);
        mim_perf_group_close(s->calls, &s->cpus[i].group);
    }
    return error;
}

/* MIM_EUNSUP with the reason when there is nothing to count; else s->n_events, and what is left out
 * in the note. */
static int choose_size(perf_source *s, const char *proc)
{
    int error = try_events(s, N_ALL_EVENTS);

    s->n_events = N_ALL_EVENTS;
    if (error == ENOENT || error == EOPNOTSUPP || error == EINVAL || error == ENOSPC) {
        if (try_events(s, N_FEW_EVENTS) == 0) {
            snprintf(s->base.note, sizeof s->base.note,
                     "cycles and instructions; its last-level cache cannot be counted by CPU");
            s->n_events = N_FEW_EVENTS;
            error = 0;
        }
    }
    return error ? mim_hardware_refused(proc, error) : MIM_OK;
}

/* ---- the source -------------------------------------------------------------------------------
 */

static int open_groups(perf_source *s, const char *proc)
{
    mim_table *table = &s->base.tables[0];
    size_t n_open = 0;
    int error = 0;

    for (size_t i = 0; i < table->n_rows && error != EMFILE; i++) {
        int refused = open_group(s, &s->cpus[i], s->n_events);
        n_open += refused == 0;
        error = refused ? refused : error;
    }
    return n_open > 0 && error != EMFILE ? MIM_OK : mim_hardware_refused(proc, error);
}

static int perf_open(const mim_source_roots *roots, mim_source **source)
{
    perf_source *s = NULL;
    int rc = mim_hardware_check(roots);

    if (rc != MIM_OK)
        return rc;
    s = mim_source_new(sizeof *s, &mim_source_perf);
    if (!s || !(s->sys = mim_strdup(roots->sys))) {
        rc = mim_fail(MIM_ENOMEM, "counters of the CPUs");
        goto done;
    }
    s->calls = roots->perf;
    s->highest_cpu = -1;
    mim_table_init(&s->base.tables[0], "x_perf", all_keys);
    s->base.n_tables = 1;
    choose_events(s, roots->proc);
    if ((rc = find_units(s)) != MIM_OK || (rc = mim_hardware_has_calls(roots)) != MIM_OK ||
        (rc = add_cpus(s)) != MIM_OK ||
        (rc = mim_hardware_files(N_ALL_EVENTS * s->base.tables[0].n_rows)) != MIM_OK ||
        (rc = choose_size(s, roots->proc)) != MIM_OK ||
        (rc = open_groups(s, roots->proc)) != MIM_OK)
        goto done;
    if (s->n_events == N_FEW_EVENTS) {
        s->base.tables[0].keys = few_keys;
        s->base.tables[0].n_values = N_FEW_EVENTS + N_TIMES;
    }
    *source = &s->base;
    s = NULL;
done:
    if (s)
        perf_close(&s->base);
    return rc;
}

/* The counters of a CPU that went offline stand still, also after it came back: only the time that
 * they were enabled tells. */
static void perf_read(mim_source *source)
{
    perf_source *s = (perf_source *)source;

    for (size_t i = 0; i < source->tables[0].n_rows; i++) {
        cpu_counters *c = &s->cpus[i];
        mim_table_row *row = &source->tables[0].rows[i];
        mim_perf_reading now;
        if (c->group.n == 0)
            continue;
        if (!mim_perf_group_read(s->calls, &c->group, &now) ||
            now.enabled_ns <= c->last_enabled_ns || now.running_ns > now.enabled_ns) {
            memcpy(c->base, row->values, source->tables[0].n_values * sizeof *c->base);
            mim_perf_group_close(s->calls, &c->group);
            source->is_refresh_due = true;
            continue;
        }
        c->last_enabled_ns = now.enabled_ns;
        for (size_t k = 0; k < s->n_events; k++)
            row->values[k] = c->base[k] + now.values[k];
        row->values[s->n_events] = c->base[s->n_events] + now.enabled_ns;
        row->values[s->n_events + 1] = c->base[s->n_events + 1] + now.running_ns;
        row->is_present = true;
    }
}

/* Failures stay absent and are tried again at the next look. */
static void perf_refresh(mim_source *source)
{
    perf_source *s = (perf_source *)source;

    add_cpus(s);
    for (size_t i = 0; i < source->tables[0].n_rows; i++)
        if (s->cpus[i].group.n == 0)
            open_group(s, &s->cpus[i], s->n_events);
}

const mim_source_ops mim_source_perf = {.name = "perf",
                                        .tier = 2,
                                        .types = "x_perf",
                                        .is_own = true,
                                        .open = perf_open,
                                        .read = perf_read,
                                        .refresh = perf_refresh,
                                        .close = perf_close};
