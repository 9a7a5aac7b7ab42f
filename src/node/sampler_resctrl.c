/* x_resctrl: what the last-level caches hold and move, of each cache, from resctrl's monitoring.
 *
 * A control group counts its own tasks (and those of the monitoring groups in it): the machine is
 * the sum over all control groups, of which the root is one. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/text.h"
#include "node/sampler_source.h"

enum { N_FILES = 3, MAX_DOMAINS = 256, MAX_GROUPS = 256 };

static const struct {
    const char *file, *key;
} figures[N_FILES] = {{"llc_occupancy", "llc_occupancy,U=B"},
                      {"mbm_total_bytes", "mbm_total_bytes,E,U=B"},
                      {"mbm_local_bytes", "mbm_local_bytes,E,U=B"}};

typedef struct control_group {
    char *name;           /* "" = the root */
    bool is_listed;       /* by the last look */
    bool is_gone;         /* its files cannot be read any more */
    mim_kept_file *files; /* [domains][figures] */
} control_group;

/* Counters of a group that goes are lost, those of a new one begin at 0: the record at which the
 * groups are others is left out, so that no difference spans the change. */
typedef struct resctrl_source {
    mim_source base;
    int folder_fd;
    nlink_t n_links; /* of the folder, changes with the number of groups; when they were listed */
    char *folder, *keys;
    size_t n_figures; /* that this machine has */
    size_t figures[N_FILES];
    size_t n_domains;
    unsigned domains[MAX_DOMAINS];
    size_t n_groups;
    control_group groups[MAX_GROUPS];
} resctrl_source;

static void close_group(resctrl_source *s, control_group *g)
{
    for (size_t i = 0; g->files && i < s->n_domains * s->n_figures; i++)
        mim_kept_close(&g->files[i]);
    free(g->files);
    free(g->name);
}

static void resctrl_close(mim_source *source)
{
    resctrl_source *s = (resctrl_source *)source;

    for (size_t i = 0; i < s->n_groups; i++)
        close_group(s, &s->groups[i]);
    if (s->folder_fd >= 0)
        close(s->folder_fd);
    free(s->folder);
    free(s->keys);
    mim_source_free(source);
}

/* ---- numbers ----------------------------------------------------------------------------------
 */

/* The kernel writes "Unavailable", "Error" or "Unassigned" where it has no number. */
static bool scan_figure(const char *text, uint64_t *value)
{
    const char *p = text;

    return mim_is_digit(*p) && mim_scan_u64(&p, value) && strcmp(p, "\n") == 0;
}

/* ---- what there is ----------------------------------------------------------------------------
 */

static int compare_numbers(const void *a, const void *b)
{
    const unsigned *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* mon_L3_00, mon_L3_01, ... */
static void list_domains(resctrl_source *s)
{
    static const char prefix[] = "mon_L3_";
    char *folder = mim_join_path(s->folder, "mon_data");
    DIR *listing = folder ? opendir(folder) : NULL;

    for (struct dirent *e; listing && s->n_domains < MAX_DOMAINS && (e = readdir(listing));) {
        const char *p = e->d_name + strlen(prefix);
        uint64_t number;
        if (strncmp(e->d_name, prefix, strlen(prefix)) == 0 && mim_is_digit(*p) &&
            mim_scan_u64(&p, &number) && *p == 0 && number < UINT32_MAX)
            s->domains[s->n_domains++] = (unsigned)number;
    }
    qsort(s->domains, s->n_domains, sizeof *s->domains, compare_numbers);
    if (listing)
        closedir(listing);
    free(folder);
}

/* Whether any cache's file has a number: which figures there are depends on the processor, and in
 * some modes of the kernel on what was assigned. */
static bool has_figure(const resctrl_source *s, const char *name)
{
    bool is_found = false;

    for (size_t d = 0; d < s->n_domains && !is_found; d++) {
        char *file = mim_format("mon_data/mon_L3_%02u/%s", s->domains[d], name);
        mim_kept_file kept = {.fd = -1};
        uint64_t value;
        is_found = file && mim_kept_open(&kept, s->folder, file) == MIM_OK &&
                   scan_figure(kept.text, &value);
        mim_kept_close(&kept);
        free(file);
    }
    return is_found;
}

static int choose_figures(resctrl_source *s)
{
    size_t n = 0;

    if (!(s->keys = mim_strdup("")))
        return mim_fail(MIM_ENOMEM, "keys of x_resctrl");
    for (size_t i = 0; i < N_FILES; i++) {
        if (!has_figure(s, figures[i].file)) {
            n += (size_t)snprintf(s->base.note + n, sizeof s->base.note - n, "%s%s",
                                  n ? ", " : "without ", figures[i].file);
            continue;
        }
        char *longer = mim_format("%s%s%s", s->keys, s->n_figures ? " " : "", figures[i].key);
        if (!longer)
            return mim_fail(MIM_ENOMEM, "keys of x_resctrl");
        free(s->keys);
        s->keys = longer;
        s->figures[s->n_figures++] = i;
    }
    return s->n_figures > 0
               ? MIM_OK
               : mim_fail(MIM_EUNSUP, "the kernel has no numbers for its %zu caches", s->n_domains);
}

/* ---- control groups ---------------------------------------------------------------------------
 */

static int add_group(resctrl_source *s, const char *name)
{
    control_group g = {.name = mim_strdup(name), .is_listed = true};
    int rc = MIM_OK;

    if (s->n_groups == MAX_GROUPS)
        rc = mim_fail(MIM_EUNSUP, "more than %d control groups", MAX_GROUPS);
    else if (!g.name || !(g.files = calloc(s->n_domains * s->n_figures, sizeof *g.files)))
        rc = mim_fail(MIM_ENOMEM, "control group %s", name);
    for (size_t i = 0; rc == MIM_OK && i < s->n_domains * s->n_figures; i++) {
        char *file =
            mim_format("%s%smon_data/mon_L3_%02u/%s", name, *name ? "/" : "",
                       s->domains[i / s->n_figures], figures[s->figures[i % s->n_figures]].file);
        rc = file ? mim_kept_open(&g.files[i], s->folder, file)
                  : mim_fail(MIM_ENOMEM, "control group %s", name);
        free(file);
    }
    if (rc == MIM_OK)
        s->groups[s->n_groups++] = g;
    else
        close_group(s, &g);
    return rc;
}

static void remove_group(resctrl_source *s, size_t at)
{
    close_group(s, &s->groups[at]);
    s->n_groups--;
    memmove(s->groups + at, s->groups + at + 1, (s->n_groups - at) * sizeof *s->groups);
}

/* Every folder but these is a control group. */
static bool is_group(const char *name)
{
    static const char *const others[] = {"info", "mon_data", "mon_groups"};

    if (name[0] == '.')
        return false;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(name, others[i]) == 0)
            return false;
    return true;
}

static bool is_folder(const char *folder, const char *name)
{
    char *path = mim_join_path(folder, name);
    DIR *listing = path ? opendir(path) : NULL;

    if (listing)
        closedir(listing);
    free(path);
    return listing != NULL;
}

static nlink_t count_links(const resctrl_source *s)
{
    struct stat status;

    return fstat(s->folder_fd, &status) == 0 ? status.st_nlink : 0;
}

/* Removes the groups that are gone and marks the others as not seen yet. The root may be gone, too:
 * resctrl was mounted anew. */
static int begin_list(resctrl_source *s)
{
    bool has_root = false;

    for (size_t i = s->n_groups; i-- > 0;) {
        s->groups[i].is_listed = s->groups[i].name[0] == 0;
        if (s->groups[i].is_gone)
            remove_group(s, i);
        else
            has_root = has_root || s->groups[i].is_listed;
    }
    return has_root ? MIM_OK : add_group(s, "");
}

/* A group that cannot be opened fails the whole: without it the sums are not the machine's. */
static int list_groups(resctrl_source *s)
{
    const nlink_t n_links = count_links(s); /* before, so that a change meanwhile is seen */
    DIR *listing = opendir(s->folder);
    int rc = listing ? begin_list(s) : mim_fail(MIM_EUNSUP, "%s: cannot be read", s->folder);

    for (struct dirent *e; rc == MIM_OK && (e = readdir(listing)) != NULL;) {
        bool is_known = false;
        if (!is_group(e->d_name) || !is_folder(s->folder, e->d_name))
            continue;
        for (size_t i = 0; i < s->n_groups; i++)
            if (strcmp(s->groups[i].name, e->d_name) == 0)
                is_known = s->groups[i].is_listed = true;
        if (!is_known)
            rc = add_group(s, e->d_name);
    }
    if (listing)
        closedir(listing);
    for (size_t i = s->n_groups; i-- > 0;)
        if (rc == MIM_OK && !s->groups[i].is_listed)
            remove_group(s, i);
    s->n_links = rc == MIM_OK ? n_links : 0;
    return rc;
}

/* ---- the source -------------------------------------------------------------------------------
 */

static int is_offered(const mim_source_roots *roots)
{
    mim_kept_file file = {.fd = -1};
    bool is_known = mim_kept_open(&file, roots->proc, "filesystems") == MIM_OK &&
                    strstr(file.text, "\tresctrl\n") != NULL;

    mim_kept_close(&file);
    if (!is_known)
        return mim_fail(MIM_EUNSUP, "not in this kernel");
    if (!is_folder(roots->sys, "fs/resctrl/info"))
        return mim_fail(MIM_EUNSUP, "not mounted");
    if (!is_folder(roots->sys, "fs/resctrl/mon_data"))
        return mim_fail(MIM_EUNSUP, "this processor has no monitoring");
    return MIM_OK;
}

static int resctrl_open(const mim_source_roots *roots, mim_source **source)
{
    resctrl_source *s = NULL;
    int rc = is_offered(roots);

    if (rc != MIM_OK)
        return rc;
    if ((s = mim_source_new(sizeof *s, &mim_source_resctrl)))
        s->folder_fd = -1;
    if (!s || !(s->folder = mim_join_path(roots->sys, "fs/resctrl"))) {
        rc = mim_fail(MIM_ENOMEM, "resctrl");
        goto done;
    }
    s->folder_fd = open(s->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    list_domains(s);
    if (s->n_domains == 0) {
        rc = mim_fail(MIM_EUNSUP, "no cache that can be read");
        goto done;
    }
    if ((rc = choose_figures(s)) != MIM_OK || (rc = list_groups(s)) != MIM_OK)
        goto done;
    mim_table_init(&s->base.tables[0], "x_resctrl", s->keys);
    s->base.n_tables = 1;
    for (size_t d = 0; rc == MIM_OK && d < s->n_domains; d++) {
        char device[16];
        snprintf(device, sizeof device, "%u", s->domains[d]);
        rc = mim_table_add(&s->base.tables[0], device);
    }
    if (rc == MIM_OK) {
        *source = &s->base;
        s = NULL;
    }
done:
    if (s)
        resctrl_close(&s->base);
    return rc;
}

/* One group's figures of a cache, added to the row. */
static bool add_figures(resctrl_source *s, size_t group, size_t domain, uint64_t *values)
{
    control_group *g = &s->groups[group];
    bool is_known = true;

    for (size_t i = 0; i < s->n_figures; i++) {
        mim_kept_file *file = &g->files[domain * s->n_figures + i];
        uint64_t value = 0;
        if (!mim_kept_read(file))
            g->is_gone = true;
        if (g->is_gone || !scan_figure(file->text, &value) ||
            __builtin_add_overflow(values[i], value, &values[i]))
            is_known = false;
    }
    s->base.is_refresh_due = s->base.is_refresh_due || g->is_gone;
    return is_known;
}

static void resctrl_read(mim_source *source)
{
    resctrl_source *s = (resctrl_source *)source;
    const bool is_changed = s->n_links == 0 || count_links(s) != s->n_links;

    source->is_refresh_due = source->is_refresh_due || is_changed;
    for (size_t d = 0; d < s->n_domains && !is_changed; d++) {
        mim_table_row *row = &source->tables[0].rows[d];
        memset(row->values, 0, s->n_figures * sizeof *row->values);
        row->is_present = true;
        for (size_t g = 0; g < s->n_groups; g++)
            row->is_present = add_figures(s, g, d, row->values) && row->is_present;
    }
}

static void resctrl_refresh(mim_source *source)
{
    list_groups((resctrl_source *)source); /* what fails is tried again */
}

const mim_source_ops mim_source_resctrl = {.name = "resctrl",
                                           .tier = 3,
                                           .types = "x_resctrl",
                                           .open = resctrl_open,
                                           .read = resctrl_read,
                                           .refresh = resctrl_refresh,
                                           .close = resctrl_close};
