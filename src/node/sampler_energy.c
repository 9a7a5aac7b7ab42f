/* x_energy: what packages and their parts used, from powercap, as counters that do not wrap. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/text.h"
#include "node/sampler_source.h"

enum { MAX_DOMAINS = 512, MAX_NAME_BYTES = 64 };

/* No domain draws more: after a longer time than its range lasts at this power, how often its
 * counter has wrapped is not known. */
static const uint64_t most_uj_per_s = 1000000000; /* 1 kW */

typedef struct energy_domain {
    mim_kept_file energy;
    uint64_t range_uj; /* the counter wraps behind it; 0 = not known */
    uint64_t last_uj, sum_uj;
    int64_t last_ns;
} energy_domain;

typedef struct energy_source {
    mim_source base;
    energy_domain *domains; /* [rows of the table] */
} energy_source;

static void energy_close(mim_source *source)
{
    energy_source *s = (energy_source *)source;

    for (size_t i = 0; i < source->tables[0].n_rows; i++)
        mim_kept_close(&s->domains[i].energy);
    free(s->domains);
    mim_source_free(source);
}

/* ---- domains ----------------------------------------------------------------------------------
 */

typedef char domain_folder[MAX_NAME_BYTES];

/* The same packages may be shown by several drivers (registers, memory mapped): those of
 * intel-rapl, which AMD uses, too, come first, and of others those with new names. */
static int compare_folders(const void *a, const void *b)
{
    static const char first[] = "intel-rapl:";
    const char *x = a, *y = b;
    const bool x_first = strncmp(x, first, strlen(first)) == 0;
    const bool y_first = strncmp(y, first, strlen(first)) == 0;

    return x_first != y_first ? y_first - x_first : strcmp(x, y);
}

/* Folders "intel-rapl:0", "intel-rapl:0:1" ... below `folder`. */
static size_t list_domains(const char *folder, domain_folder names[MAX_DOMAINS])
{
    DIR *listing = opendir(folder);
    size_t n = 0;

    for (struct dirent *e; listing && n < MAX_DOMAINS && (e = readdir(listing)) != NULL;) {
        const size_t n_bytes = strlen(e->d_name);
        if (strchr(e->d_name, ':') && n_bytes < MAX_NAME_BYTES)
            memcpy(names[n++], e->d_name, n_bytes + 1);
    }
    if (listing)
        closedir(listing);
    qsort(names, n, sizeof *names, compare_folders);
    return n;
}

/* Appends the domain's own name, "package-0", of one word. */
static bool append_name(const char *folder, const char *domain, char device[MAX_NAME_BYTES])
{
    char *path = mim_format("%s/%s", folder, domain);
    mim_kept_file file = {.fd = -1};
    const size_t at = strlen(device);
    bool is_named = path && mim_kept_open(&file, path, "name") == MIM_OK;

    if (is_named) {
        file.text[strcspn(file.text, "\n")] = 0;
        is_named = *file.text && !strpbrk(file.text, " \t\r:") &&
                   at + 1 + strlen(file.text) < MAX_NAME_BYTES;
    }
    if (is_named)
        snprintf(device + at, MAX_NAME_BYTES - at, "%s%s", at > 0 ? ":" : "", file.text);
    mim_kept_close(&file);
    free(path);
    return is_named;
}

/* "intel-rapl:0:1" is "package-0:dram": the names of all domains that it lies in. */
static bool name_device(const char *folder, const char *domain, char device[MAX_NAME_BYTES])
{
    char part[MAX_NAME_BYTES];
    const char *colon = strchr(domain, ':');

    device[0] = 0;
    while (colon) {
        colon = strchr(colon + 1, ':');
        const size_t n = colon ? (size_t)(colon - domain) : strlen(domain);
        memcpy(part, domain, n);
        part[n] = 0;
        if (!append_name(folder, part, device))
            return false;
    }
    return true;
}

/* "262143328850\n" */
static bool scan_energy(const char *text, uint64_t *value)
{
    const char *p = text;

    return mim_is_digit(*p) && mim_scan_u64(&p, value) && (*p == 0 || strcmp(p, "\n") == 0);
}

static uint64_t range_of(const char *folder)
{
    mim_kept_file file = {.fd = -1};
    uint64_t range = 0;

    if (mim_kept_open(&file, folder, "max_energy_range_uj") != MIM_OK ||
        !scan_energy(file.text, &range))
        range = 0;
    mim_kept_close(&file);
    return range;
}

/* Since 2020, energy is for root alone on most kernels. */
static bool is_refused(const char *folder, const char *name)
{
    char *path = mim_join_path(folder, name);
    bool is_there = path && access(path, F_OK) == 0, is_readable = path && access(path, R_OK) == 0;

    free(path);
    return is_there && !is_readable;
}

static int add_domain(energy_source *s, const char *folder, const char *name, bool *is_forbidden)
{
    mim_table *table = &s->base.tables[0];
    char device[MAX_NAME_BYTES];
    energy_domain d = {.energy = {.fd = -1}};
    char *path = mim_join_path(folder, name);
    int rc = path ? MIM_OK : mim_fail(MIM_ENOMEM, "%s/%s", folder, name);

    if (rc != MIM_OK || !name_device(folder, name, device) ||
        mim_table_find(table, device, strlen(device), SIZE_MAX) != SIZE_MAX)
        goto done;
    rc = mim_kept_open(&d.energy, path, "energy_uj");
    if (rc == MIM_EUNSUP) { /* no counter (a domain for limits), or not permitted */
        *is_forbidden = *is_forbidden || is_refused(path, "energy_uj");
        rc = MIM_OK;
        goto done;
    }
    if (rc != MIM_OK || !scan_energy(d.energy.text, &d.last_uj))
        goto done;
    d.range_uj = range_of(path);
    d.sum_uj = d.last_uj;
    d.last_ns = mim_clock_mono_ns();
    energy_domain *domains = realloc(s->domains, (table->n_rows + 1) * sizeof *domains);
    if (!domains) {
        rc = mim_fail(MIM_ENOMEM, "%zu energy domains", table->n_rows + 1);
        goto done;
    }
    s->domains = domains;
    const size_t row = mim_table_place(table, device);
    if ((rc = mim_table_insert(table, row, device)) != MIM_OK) {
        rc = rc == MIM_EDATA ? MIM_OK : rc;
        goto done;
    }
    memmove(domains + row + 1, domains + row, (table->n_rows - 1 - row) * sizeof *domains);
    domains[row] = d;
    d = (energy_domain){.energy = {.fd = -1}};
done:
    mim_kept_close(&d.energy);
    free(path);
    return rc;
}

static int energy_open(const mim_source_roots *roots, mim_source **source)
{
    energy_source *s = mim_source_new(sizeof *s, &mim_source_energy);
    char *folder = mim_join_path(roots->sys, "class/powercap");
    domain_folder *names = malloc(MAX_DOMAINS * sizeof *names);
    bool is_forbidden = false;
    int rc = MIM_OK;

    if (!s || !folder || !names) {
        rc = mim_fail(MIM_ENOMEM, "energy domains");
        goto done;
    }
    mim_table_init(&s->base.tables[0], "x_energy", "energy_uj,E,U=uJ");
    s->base.n_tables = 1;
    const size_t n = list_domains(folder, names);
    for (size_t i = 0; rc == MIM_OK && i < n; i++)
        rc = add_domain(s, folder, names[i], &is_forbidden);
    if (rc == MIM_OK && s->base.tables[0].n_rows == 0) {
        rc = mim_fail(MIM_EUNSUP, "powercap %s",
                      is_forbidden ? "is there, reading energy_uj is not permitted"
                                   : "has no energy domain");
    }
    if (rc == MIM_OK) {
        *source = &s->base;
        s = NULL;
    }
done:
    free(names);
    free(folder);
    if (s)
        energy_close(&s->base);
    return rc;
}

/* ---- reading ----------------------------------------------------------------------------------
 */

/* Adds what was used since the last reading. False when that is not known. */
static bool count_on(energy_domain *d, uint64_t now_uj, int64_t now_ns)
{
    const uint64_t last_uj = d->last_uj;
    const uint64_t passed_ms = (uint64_t)(now_ns - d->last_ns) / 1000000;
    const bool may_wrap = d->range_uj > 0 && passed_ms > d->range_uj / (most_uj_per_s / 1000);

    d->last_uj = now_uj;
    d->last_ns = now_ns;
    if (may_wrap || (d->range_uj > 0 && now_uj > d->range_uj))
        return false;
    if (now_uj >= last_uj) {
        d->sum_uj += now_uj - last_uj;
        return true;
    }
    if (last_uj > d->range_uj) /* an unknown range is 0 */
        return false;
    d->sum_uj += now_uj + (d->range_uj - last_uj);
    return true;
}

static void energy_read(mim_source *source)
{
    energy_source *s = (energy_source *)source;

    for (size_t i = 0; i < source->tables[0].n_rows; i++) {
        energy_domain *d = &s->domains[i];
        mim_table_row *row = &source->tables[0].rows[i];
        uint64_t now_uj;
        if (!mim_kept_read(&d->energy) || !scan_energy(d->energy.text, &now_uj) ||
            !count_on(d, now_uj, mim_clock_mono_ns()))
            continue;
        row->values[0] = d->sum_uj;
        row->is_present = true;
    }
}

const mim_source_ops mim_source_energy = {.name = "energy",
                                          .tier = 3,
                                          .types = "x_energy",
                                          .is_own = true,
                                          .open = energy_open,
                                          .read = energy_read,
                                          .close = energy_close};
