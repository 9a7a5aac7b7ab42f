/* What beyond the unprivileged counters this node offers, and why not. Tier 2 is perf_event, tier 3
 * model-specific registers, resctrl and powercap. Neither is read yet: the records lack them even
 * where they could be had, and the text says which of the two it is. */
#define _GNU_SOURCE /* syscall() */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/text.h"
#include "node/sampler_source.h"

static const char not_read[] = "available but not read by this version";

typedef struct tier_text {
    char *text;
    size_t n_bytes;
} tier_text;

static void add(tier_text *t, const char *format, ...) MIM_PRINTF(2, 3);

static void add(tier_text *t, const char *format, ...)
{
    va_list values;

    va_start(values, format);
    vsnprintf(t->text + t->n_bytes, MIM_TIERS_TEXT_BYTES - t->n_bytes, format, values);
    va_end(values);
    t->n_bytes += strlen(t->text + t->n_bytes);
}

/* 0, or the reason as an errno. */
static int try_file(const char *folder, const char *name, int flags)
{
    char *path = mim_join_path(folder, name);
    int error = ENOMEM;

    if (path) {
        int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK);
        error = fd < 0 ? errno : 0;
        if (fd >= 0)
            close(fd);
        free(path);
    }
    return error;
}

static bool has_folder(const char *folder, const char *name)
{
    return try_file(folder, name, O_RDONLY | O_DIRECTORY) == 0;
}

/* Whether the kernel registered a processor's counters: cpu, cpu_core, armv8_pmuv3_0 ... */
static bool has_core_pmu(const mim_source_roots *roots)
{
    char *folder = mim_join_path(roots->sys, "bus/event_source/devices");
    DIR *listing = folder ? opendir(folder) : NULL;
    bool is_found = false;

    for (struct dirent *e; listing && !is_found && (e = readdir(listing)) != NULL;)
        is_found = strncmp(e->d_name, "cpu", 3) == 0 || strncmp(e->d_name, "arm", 3) == 0;
    if (listing)
        closedir(listing);
    free(folder);
    return is_found;
}

static bool is_this_node(const mim_source_roots *roots)
{
    return strcmp(roots->proc, "/proc") == 0 && strcmp(roots->sys, "/sys") == 0;
}

/* Cycles of this process in user mode: what an unprivileged user may count at most settings. */
static int try_cycles(void)
{
    struct perf_event_attr wanted;

    memset(&wanted, 0, sizeof wanted);
    wanted.size = sizeof wanted;
    wanted.type = PERF_TYPE_HARDWARE;
    wanted.config = PERF_COUNT_HW_CPU_CYCLES;
    wanted.disabled = 1;
    wanted.exclude_kernel = 1;
    wanted.exclude_hv = 1;
    long fd = syscall(SYS_perf_event_open, &wanted, 0, -1, -1, 0UL);
    if (fd < 0)
        return errno;
    close((int)fd);
    return 0;
}

static void add_tier_2(tier_text *t, const mim_source_roots *roots)
{
    mim_kept_file file = {.fd = -1};
    int paranoid = -1;

    if (mim_kept_open(&file, roots->proc, "sys/kernel/perf_event_paranoid") == MIM_OK)
        paranoid = (int)strtol(file.text, NULL, 10);
    bool has_perf = file.text != NULL;
    mim_kept_close(&file);
    int error = has_perf && has_core_pmu(roots) && is_this_node(roots) ? try_cycles() : 0;
    if (!has_perf)
        add(t, " 2:no(perf_event: not in this kernel)");
    else if (!has_core_pmu(roots))
        add(t, " 2:no(perf_event: software events only, no hardware counters)");
    else if (error == EACCES || error == EPERM)
        add(t, " 2:no(perf_event: not permitted, perf_event_paranoid is %d)", paranoid);
    else if (error)
        add(t, " 2:no(perf_event: cycles: %s)", strerror(error));
    else
        add(t, " 2:no(perf_event: %s)", not_read);
}

static void add_msr(tier_text *t, const mim_source_roots *roots)
{
    if (!has_folder(roots->sys, "class/msr"))
        add(t, "msr: no driver");
    else if (is_this_node(roots) && try_file("/dev/cpu/0", "msr", O_RDONLY) != 0)
        add(t, "msr: %s", strerror(try_file("/dev/cpu/0", "msr", O_RDONLY)));
    else
        add(t, "msr: %s", not_read);
}

static void add_resctrl(tier_text *t, const mim_source_roots *roots)
{
    mim_kept_file file = {.fd = -1};
    bool is_known = mim_kept_open(&file, roots->proc, "filesystems") == MIM_OK &&
                    strstr(file.text, "\tresctrl\n") != NULL;

    mim_kept_close(&file);
    if (!is_known)
        add(t, "resctrl: not in this kernel");
    else if (!has_folder(roots->sys, "fs/resctrl/info"))
        add(t, "resctrl: not mounted");
    else if (!has_folder(roots->sys, "fs/resctrl/mon_data"))
        add(t, "resctrl: no monitoring");
    else
        add(t, "resctrl: %s", not_read);
}

/* Domains are intel-rapl:0, intel-rapl:0:0 ...; their energy is for root alone on most kernels. */
static void add_powercap(tier_text *t, const mim_source_roots *roots)
{
    char *folder = mim_join_path(roots->sys, "class/powercap");
    DIR *listing = folder ? opendir(folder) : NULL;
    int error = ENOENT;

    for (struct dirent *e; listing && error && (e = readdir(listing)) != NULL;) {
        char name[300];
        if (!strchr(e->d_name, ':'))
            continue;
        snprintf(name, sizeof name, "%s/energy_uj", e->d_name);
        error = try_file(folder, name, O_RDONLY);
    }
    if (error == ENOENT)
        add(t, "powercap: no energy domain");
    else
        add(t, "powercap: %s", error ? strerror(error) : not_read);
    if (listing)
        closedir(listing);
    free(folder);
}

void mim_tiers_text(const mim_source_roots *roots, const char *missing,
                    char text[MIM_TIERS_TEXT_BYTES])
{
    tier_text t = {.text = text};

    add(&t, "1:yes");
    if (*missing)
        add(&t, "(without %s)", missing);
    add_tier_2(&t, roots);
    add(&t, " 3:no(");
    add_msr(&t, roots);
    add(&t, "; ");
    add_resctrl(&t, roots);
    add(&t, "; ");
    add_powercap(&t, roots);
    add(&t, ")");
}
