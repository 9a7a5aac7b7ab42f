#include "node/pmu.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "node/sampler_source.h"

static const char devices[] = "bus/event_source/devices";
enum { MAX_CPUS = 1 << 14, MAX_UNITS = 4096 };

/* The text of a small file, MIM_EUNSUP when it cannot be read or is empty. The caller frees it. */
static int read_small(const char *folder, const char *name, char **text)
{
    mim_kept_file file = {.fd = -1};
    int rc = mim_kept_open(&file, folder, name);

    if (rc == MIM_OK && !(*text = mim_strdup(file.text)))
        rc = mim_fail(MIM_ENOMEM, "%s/%s", folder, name);
    mim_kept_close(&file);
    return rc;
}

static int read_number(const char *folder, const char *name, uint64_t max, uint64_t *number)
{
    char *text = NULL;
    int rc = read_small(folder, name, &text);

    if (rc == MIM_OK) {
        const char *p = text;
        uint64_t value;
        if (!mim_scan_u64(&p, &value) || (*p && strcmp(p, "\n") != 0) || value > max)
            rc = mim_fail(MIM_EDATA, "%s/%s: expected a number, found \"%.40s\"", folder, name,
                          text);
        else
            *number = value;
    }
    free(text);
    return rc;
}

static int read_cpus(const char *folder, const char *name, int **cpus, size_t *n_cpus)
{
    char *text = NULL;
    int *found = malloc(MAX_CPUS * sizeof *found);
    size_t n = 0;
    int rc = found ? read_small(folder, name, &text)
                   : mim_fail(MIM_ENOMEM, "list of %d CPUs", (int)MAX_CPUS);

    if (rc == MIM_OK && (rc = mim_cpu_list_parse(text, MAX_CPUS, found, &n)) != MIM_OK)
        rc = mim_fail_in(rc, "%s/%s", folder, name);
    if (rc == MIM_OK) {
        *cpus = found;
        *n_cpus = n;
        found = NULL;
    }
    free(found);
    free(text);
    return rc;
}

int mim_online_cpus(const char *sys, int **cpus, size_t *n_cpus)
{
    char *folder = mim_join_path(sys, "devices/system/cpu");
    int rc = folder ? read_cpus(folder, "online", cpus, n_cpus)
                    : mim_fail(MIM_ENOMEM, "%s: list of CPUs", sys);

    free(folder);
    return rc;
}

int mim_cpu_socket(const char *sys, int cpu, unsigned *socket)
{
    char *folder = mim_format("%s/devices/system/cpu/cpu%d/topology", sys, cpu);
    uint64_t number = 0;
    int rc = folder ? read_number(folder, "physical_package_id", INT32_MAX, &number)
                    : mim_fail(MIM_ENOMEM, "%s: socket of a CPU", sys);

    if (rc == MIM_OK)
        *socket = (unsigned)number;
    free(folder);
    return rc;
}

/* ---- a unit -----------------------------------------------------------------------------------
 */

void mim_pmu_close(mim_pmu **pmu)
{
    if (!*pmu)
        return;
    free((*pmu)->folder);
    free((*pmu)->cpus);
    free(*pmu);
    *pmu = NULL;
}

int mim_pmu_open(const char *sys, const char *name, mim_pmu **pmu)
{
    mim_pmu *p = calloc(1, sizeof *p);
    uint64_t type = 0;
    int rc = MIM_OK;

    if (!p || !(p->folder = mim_format("%s/%s/%s", sys, devices, name))) {
        rc = mim_fail(MIM_ENOMEM, "counters of %s", name);
        goto done;
    }
    if (strlen(name) >= sizeof p->name) {
        rc = mim_fail(MIM_EUNSUP, "%s: a name of %zu characters", p->folder, strlen(name));
        goto done;
    }
    memcpy(p->name, name, strlen(name) + 1);
    if ((rc = read_number(p->folder, "type", UINT32_MAX, &type)) != MIM_OK)
        goto done;
    p->type = (uint32_t)type;
    /* units of a socket have a cpumask, those of some CPUs a list of them; others have neither */
    rc = read_cpus(p->folder, "cpumask", &p->cpus, &p->n_cpus);
    if (rc == MIM_EUNSUP)
        rc = read_cpus(p->folder, "cpus", &p->cpus, &p->n_cpus);
    if (rc == MIM_EUNSUP)
        rc = MIM_OK;
    if (rc == MIM_OK) {
        *pmu = p;
        p = NULL;
    }
done:
    mim_pmu_close(&p);
    return rc;
}

static int read_field(const mim_pmu *pmu, const char *format, mim_pmu_field *field)
{
    char *name = mim_format("format/%s", format), *text = NULL;
    int rc = name ? read_small(pmu->folder, name, &text) : mim_fail(MIM_ENOMEM, "a format");

    if (rc == MIM_OK && (rc = mim_pmu_field_parse(text, field)) != MIM_OK)
        rc = mim_fail_in(rc, "%s/%s", pmu->folder, name);
    free(text);
    free(name);
    return rc;
}

unsigned mim_pmu_bits(const mim_pmu *pmu, const char *format)
{
    mim_pmu_field field;

    return read_field(pmu, format, &field) == MIM_OK ? mim_pmu_field_bits(&field) : 0;
}

/* "config", "config1" and "config2" name whole words and have no format. */
static bool is_word(const char *name, mim_pmu_field *field)
{
    if (strncmp(name, "config", 6) != 0 || (name[6] && name[7]) || strchr("12", name[6]) == NULL)
        return false;
    *field = (mim_pmu_field){.word = name[6] ? (unsigned)(name[6] - '0') : 0, .mask = UINT64_MAX};
    return true;
}

int mim_pmu_encode(const mim_pmu *pmu, const char *text, mim_perf_event *event)
{
    mim_pmu_term terms[MIM_PMU_MAX_TERMS];
    mim_perf_event e = {.type = pmu->type};
    size_t n = 0;
    int rc = mim_pmu_terms_parse(text, terms, &n);

    for (size_t i = 0; rc == MIM_OK && i < n; i++) {
        mim_pmu_field field;
        if (!is_word(terms[i].name, &field))
            rc = read_field(pmu, terms[i].name, &field);
        if (rc == MIM_OK)
            rc = mim_pmu_field_put(&field, terms[i].value, &e);
    }
    if (rc != MIM_OK)
        return mim_fail_in(rc, "%s/%s", pmu->name, text);
    *event = e;
    return MIM_OK;
}

int mim_pmu_event(const mim_pmu *pmu, const char *name, mim_perf_event *event, double *scale,
                  char unit[MIM_PMU_UNIT_BYTES])
{
    char *path = mim_format("events/%s", name), *scale_path = mim_format("events/%s.scale", name);
    char *unit_path = mim_format("events/%s.unit", name);
    char *terms = NULL, *scale_text = NULL, *unit_text = NULL;
    mim_perf_event e;
    double s = 0;
    int rc = path && scale_path && unit_path ? MIM_OK : mim_fail(MIM_ENOMEM, "event %s", name);

    if (rc != MIM_OK || (rc = read_small(pmu->folder, path, &terms)) != MIM_OK ||
        (rc = read_small(pmu->folder, scale_path, &scale_text)) != MIM_OK ||
        (rc = read_small(pmu->folder, unit_path, &unit_text)) != MIM_OK)
        goto done;
    unit_text[strcspn(unit_text, "\n")] = 0;
    if (strlen(unit_text) >= MIM_PMU_UNIT_BYTES) {
        rc = mim_fail(MIM_EDATA, "%s/%s: expected a unit, found \"%.40s\"", pmu->folder, unit_path,
                      unit_text);
        goto done;
    }
    terms[strcspn(terms, "\n")] = 0; /* for sentences */
    if ((rc = mim_pmu_encode(pmu, terms, &e)) != MIM_OK)
        goto done;
    if ((rc = mim_pmu_scale_parse(scale_text, &s)) != MIM_OK) {
        rc = mim_fail_in(rc, "%s/%s", pmu->folder, scale_path);
        goto done;
    }
    *event = e;
    *scale = s;
    memcpy(unit, unit_text, strlen(unit_text) + 1);
done:
    free(path);
    free(scale_path);
    free(unit_path);
    free(terms);
    free(scale_text);
    free(unit_text);
    return rc;
}

/* ---- which units there are --------------------------------------------------------------------
 */

static bool is_called(const char *name, const char *prefix)
{
    const size_t n = strlen(prefix);
    const bool is_numbered = n > 0 && prefix[n - 1] == '_';

    if (strlen(name) >= MIM_PMU_NAME_BYTES || strncmp(name, prefix, n) != 0)
        return false;
    const char *rest = name + n;
    return is_numbered ? *rest && rest[strspn(rest, "0123456789")] == 0 : *rest == 0;
}

/* By length first: numbers without leading zeros then stand in their order. */
static int compare_names(const void *a, const void *b)
{
    const char *x = a, *y = b;
    const size_t n_x = strlen(x), n_y = strlen(y);

    return n_x != n_y ? (n_x > n_y) - (n_x < n_y) : strcmp(x, y);
}

int mim_pmu_list(const char *sys, const char *prefix, mim_pmu_name **names, size_t *n_names)
{
    char *folder = mim_join_path(sys, devices);
    DIR *listing = folder ? opendir(folder) : NULL;
    mim_pmu_name *found = malloc(sizeof *found);
    size_t n = 0;
    int rc = folder && found ? MIM_OK : mim_fail(MIM_ENOMEM, "list of %s", prefix);

    for (struct dirent *e; rc == MIM_OK && listing && (e = readdir(listing)) != NULL;) {
        if (!is_called(e->d_name, prefix) || n == MAX_UNITS)
            continue;
        mim_pmu_name *more = realloc(found, (n + 1) * sizeof *found);
        if (more)
            found = more;
        else
            rc = mim_fail(MIM_ENOMEM, "list of %s", prefix);
        if (rc == MIM_OK)
            memcpy(found[n++], e->d_name, strlen(e->d_name) + 1);
    }
    if (rc == MIM_OK) {
        qsort(found, n, sizeof *found, compare_names);
        *names = found;
        *n_names = n;
        found = NULL;
    }
    if (listing)
        closedir(listing);
    free(folder);
    free(found);
    return rc;
}
