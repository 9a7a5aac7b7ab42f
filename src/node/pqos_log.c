#include "node/pqos_log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/text.h"

static const double bytes_per_kb = 1024.0, bytes_per_mb = 1048576.0;

/* ---- text -------------------------------------------------------------------------------------
 */

static void misses_text(double misses, char *text, size_t n_bytes)
{
    if (misses >= 1e6)
        snprintf(text, n_bytes, "%.0fM", misses / 1e6);
    else if (misses >= 1e3)
        snprintf(text, n_bytes, "%.0fk", misses / 1e3);
    else
        snprintf(text, n_bytes, "%.0f", misses);
}

void mim_pqos_text(double time_s, const char *cpus, const mim_pqos_figures *figures,
                   char text[MIM_PQOS_TEXT_BYTES])
{
    const time_t seconds = (time_t)time_s;
    char time_text[32] = "", misses[32];
    struct tm utc;

    if (gmtime_r(&seconds, &utc))
        strftime(time_text, sizeof time_text, "%Y-%m-%d %H:%M:%S", &utc);
    misses_text(figures->misses, misses, sizeof misses);
    snprintf(text, MIM_PQOS_TEXT_BYTES,
             "TIME %s\n%9s  %10s  %10s  %10s  %10s  %10s\n%9s  %10.2f  %10s  %10.1f  %10.1f  "
             "%10.1f\n",
             time_text, "CORE", "IPC", "MISSES", "LLC[KB]", "MBL[MB/s]", "MBR[MB/s]", cpus,
             figures->ipc, misses, figures->llc_bytes / bytes_per_kb,
             figures->local_bytes / bytes_per_mb, figures->remote_bytes / bytes_per_mb);
}

/* ---- samples ----------------------------------------------------------------------------------
 */

enum { CYCLES, INSTRUCTIONS, MISSES, ENABLED, RUNNING, N_PERF };
enum { OCCUPANCY, TOTAL, LOCAL, N_CACHE };

static const char *const perf_keys[N_PERF] = {"cycles", "instructions", "llc_misses", "enabled_ns",
                                              "running_ns"};
static const char *const cache_keys[N_CACHE] = {"llc_occupancy", "mbm_total_bytes",
                                                "mbm_local_bytes"};
enum { MAX_KEYS = N_PERF };

typedef struct kept_row {
    bool is_present;
    uint64_t values[MAX_KEYS];
} kept_row;

/* The rows of a type in the sample before. */
typedef struct kept_type {
    const char *type;
    size_t n_keys;
    const char *const *keys;
    size_t n_rows;
    kept_row *rows;
} kept_type;

struct mim_pqos_log {
    char label[32];
    unsigned first_cpu, last_cpu;
    kept_type perf, cache;
};

/* "3" or "0-19"; nothing but digits around one dash. */
static bool scan_label(const char *cpus, unsigned *first, unsigned *last)
{
    const size_t n = strspn(cpus, "0123456789");
    const size_t n_last = cpus[n] == '-' ? strspn(cpus + n + 1, "0123456789") : 0;

    if (n == 0 || n > 5 || n_last > 5 || cpus[n + (n_last ? n_last + 1 : 0)] != 0)
        return false;
    *first = (unsigned)strtoul(cpus, NULL, 10);
    *last = n_last ? (unsigned)strtoul(cpus + n + 1, NULL, 10) : *first;
    return *first <= *last;
}

static unsigned cpu_of(const mim_sampler *sampler, size_t row)
{
    return (unsigned)strtoul(mim_sampler_device(sampler, "x_perf", row), NULL, 10);
}

static int choose_cpus(mim_pqos_log *log, const mim_sampler *sampler, const char *cpus)
{
    const size_t n = mim_sampler_n_rows(sampler, "x_perf");
    bool is_found = false;

    log->first_cpu = UINT32_MAX;
    for (size_t i = 0; !*cpus && i < n; i++) {
        const unsigned cpu = cpu_of(sampler, i);
        log->first_cpu = cpu < log->first_cpu ? cpu : log->first_cpu;
        log->last_cpu = cpu > log->last_cpu ? cpu : log->last_cpu;
    }
    if (*cpus && !scan_label(cpus, &log->first_cpu, &log->last_cpu))
        return mim_fail(MIM_EUSAGE, "expected a CPU or a range such as 0-19, found \"%s\"", cpus);
    for (size_t i = 0; i < n; i++)
        is_found = is_found ||
                   (cpu_of(sampler, i) >= log->first_cpu && cpu_of(sampler, i) <= log->last_cpu);
    if (!is_found)
        return mim_fail(MIM_EUSAGE, "none of CPUs %s is sampled", cpus);
    if (log->first_cpu == log->last_cpu)
        snprintf(log->label, sizeof log->label, "%u", log->first_cpu);
    else
        snprintf(log->label, sizeof log->label, "%u-%u", log->first_cpu, log->last_cpu);
    return MIM_OK;
}

/* Whether the sampler declares the type with all keys; else the reason. */
static int check_type(const mim_sampler *sampler, const char *source, const kept_type *kept)
{
    const mim_probe *probe = mim_sampler_probe(sampler);

    for (size_t i = 0; i < probe->n_sources; i++)
        if (strcmp(probe->sources[i].name, source) == 0 && !probe->sources[i].is_read)
            return mim_fail(MIM_EUNSUP, "needs %s, which is not read: %s", kept->type,
                            probe->sources[i].note);
    for (size_t k = 0; k < kept->n_keys; k++)
        if (!mim_sampler_has_key(sampler, kept->type, kept->keys[k]))
            return mim_fail(MIM_EUNSUP, "needs %s of %s, which this machine has not got",
                            kept->keys[k], kept->type);
    return MIM_OK;
}

int mim_pqos_log_create(const mim_sampler *sampler, const char *cpus, mim_pqos_log **log)
{
    mim_pqos_log *l = calloc(1, sizeof *l);
    int rc = MIM_OK;

    if (!l)
        return mim_fail(MIM_ENOMEM, "log of pqos");
    l->perf = (kept_type){.type = "x_perf", .n_keys = N_PERF, .keys = perf_keys};
    l->cache = (kept_type){.type = "x_resctrl", .n_keys = N_CACHE, .keys = cache_keys};
    if ((rc = check_type(sampler, "perf", &l->perf)) == MIM_OK &&
        (rc = check_type(sampler, "resctrl", &l->cache)) == MIM_OK)
        rc = choose_cpus(l, sampler, cpus);
    if (rc == MIM_OK) {
        *log = l;
        l = NULL;
    }
    mim_pqos_log_destroy(&l);
    return rc;
}

void mim_pqos_log_destroy(mim_pqos_log **log)
{
    if (!*log)
        return;
    free((*log)->perf.rows);
    free((*log)->cache.rows);
    free(*log);
    *log = NULL;
}

static kept_row read_row(const mim_sampler *sampler, const kept_type *kept, size_t row)
{
    kept_row now = {.is_present = true};

    for (size_t k = 0; k < kept->n_keys; k++)
        now.is_present = now.is_present &&
                         mim_sampler_value(sampler, kept->type, row, kept->keys[k], &now.values[k]);
    return now;
}

/* Room for all rows; new ones were absent before. */
static int fit(kept_type *kept, size_t n_rows)
{
    if (n_rows <= kept->n_rows)
        return MIM_OK;
    kept_row *rows = realloc(kept->rows, n_rows * sizeof *rows);
    if (!rows)
        return mim_fail(MIM_ENOMEM, "%zu rows of %s", n_rows, kept->type);
    memset(rows + kept->n_rows, 0, (n_rows - kept->n_rows) * sizeof *rows);
    kept->rows = rows;
    kept->n_rows = n_rows;
    return MIM_OK;
}

/* Adds growth [n_keys] of a row to the sums. False when one of its counters fell. */
static bool growth_of(const kept_row *before, const kept_row *now, size_t n_keys, double *growth)
{
    for (size_t k = 0; k < n_keys; k++) {
        if (now->values[k] < before->values[k])
            return false;
        growth[k] = (double)(now->values[k] - before->values[k]);
    }
    return true;
}

/* The chosen CPUs' growth, each scaled by the part of the time its counters ran. */
static bool add_perf(mim_pqos_log *log, const mim_sampler *sampler, double sums[N_PERF])
{
    bool is_known = true;

    for (size_t i = 0; i < log->perf.n_rows; i++) {
        kept_row before = log->perf.rows[i], now = read_row(sampler, &log->perf, i);
        double growth[N_PERF];
        const unsigned cpu = cpu_of(sampler, i);
        log->perf.rows[i] = now;
        if (cpu < log->first_cpu || cpu > log->last_cpu || (!before.is_present && !now.is_present))
            continue;
        if (!before.is_present || !now.is_present || !growth_of(&before, &now, N_PERF, growth) ||
            !(growth[RUNNING] > 0)) {
            is_known = false;
            continue;
        }
        for (size_t k = 0; k < N_PERF; k++)
            sums[k] += growth[k] * growth[ENABLED] / growth[RUNNING];
    }
    return is_known && sums[CYCLES] > 0;
}

static bool add_caches(mim_pqos_log *log, const mim_sampler *sampler, double sums[N_CACHE])
{
    bool is_known = log->cache.n_rows > 0;

    for (size_t i = 0; i < log->cache.n_rows; i++) {
        kept_row before = log->cache.rows[i], now = read_row(sampler, &log->cache, i);
        const uint64_t held = now.values[OCCUPANCY];
        double growth[N_CACHE] = {0};
        log->cache.rows[i] = now;
        before.values[OCCUPANCY] = now.values[OCCUPANCY] = 0; /* no counter */
        is_known = is_known && before.is_present && now.is_present &&
                   growth_of(&before, &now, N_CACHE, growth);
        sums[OCCUPANCY] += (double)held;
        sums[TOTAL] += growth[TOTAL];
        sums[LOCAL] += growth[LOCAL];
    }
    return is_known;
}

int mim_pqos_log_add(mim_pqos_log *log, const mim_sampler *sampler, double time_s,
                     char text[MIM_PQOS_TEXT_BYTES])
{
    double perf[N_PERF] = {0}, cache[N_CACHE] = {0};
    int rc = fit(&log->perf, mim_sampler_n_rows(sampler, log->perf.type));

    if (rc == MIM_OK)
        rc = fit(&log->cache, mim_sampler_n_rows(sampler, log->cache.type));
    if (rc != MIM_OK)
        return rc;
    const bool has_perf = add_perf(log, sampler, perf);
    const bool has_caches = add_caches(log, sampler, cache);
    text[0] = 0;
    if (!has_perf || !has_caches)
        return MIM_OK;
    /* The two are read one after the other: a little more may be local than there was in all. */
    const double remote = cache[TOTAL] - cache[LOCAL];
    const mim_pqos_figures figures = {.ipc = perf[INSTRUCTIONS] / perf[CYCLES],
                                      .misses = perf[MISSES],
                                      .llc_bytes = cache[OCCUPANCY],
                                      .local_bytes = cache[LOCAL],
                                      .remote_bytes = remote > 0 ? remote : 0};
    mim_pqos_text(time_s, log->label, &figures, text);
    return MIM_OK;
}
