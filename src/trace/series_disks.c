/* Whole disks: every byte is counted once. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trace/series_internal.h"

static bool all_digits(const char *text)
{
    for (const char *p = text; *p; p++)
        if (!isdigit((unsigned char)*p))
            return false;
    return *text != '\0';
}

/* Devices in memory, and those that pass their work on to other block devices. */
static bool is_virtual(const char *name)
{
    static const char *const prefixes[] = {"ram", "loop", "zram", "md"};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0 &&
            (isdigit((unsigned char)name[strlen(prefixes[i])]) || name[strlen(prefixes[i])] == '_'))
            return true;
    return strncmp(name, "dm-", 3) == 0;
}

static bool has_device(const mim_stats *stats, size_t type, const char *name, size_t length)
{
    char text[256];
    if (length == 0 || length >= sizeof text)
        return false;
    memcpy(text, name, length);
    text[length] = '\0';
    return mim_stats_find_device(stats, type, text) != SIZE_MAX;
}

/* sda1 of sda, nvme0n1p1 of nvme0n1, mmcblk0p2 of mmcblk0. */
static bool is_partition(const mim_stats *stats, size_t type, const char *name)
{
    size_t n = strlen(name);
    while (n > 0 && isdigit((unsigned char)name[n - 1]))
        n--;
    if (n == 0 || name[n] == '\0')
        return false;
    if (n > 1 && name[n - 1] == 'p' && isdigit((unsigned char)name[n - 2]))
        return has_device(stats, type, name, n - 1);
    return has_device(stats, type, name, n);
}

/* nvme3c2n1 is one path to nvme3n1, whose figures hold its own. */
static bool is_path(const mim_stats *stats, size_t type, const char *name)
{
    char whole[256];
    const char *c, *n;
    if (strncmp(name, "nvme", 4) != 0 || !(c = strchr(name, 'c')) || !(n = strchr(c, 'n')) ||
        strlen(name) >= sizeof whole || !all_digits(n + 1))
        return false;
    size_t head = (size_t)(c - name);
    memcpy(whole, name, head);
    strcpy(whole + head, n);
    return mim_stats_find_device(stats, type, whole) != SIZE_MAX;
}

static int no_such_disk(const mim_stats *stats, size_t type, const char *name, size_t length)
{
    char list[256] = "";
    size_t n = 0;
    for (size_t i = 0; i < mim_stats_n_devices(stats, type) && n < sizeof list; i++)
        n += (size_t)snprintf(list + n, sizeof list - n, " %s", mim_stats_device(stats, type, i));
    return mim_fail(MIM_EUSAGE, "disks: no block device '%.*s' in the file, only%s",
                    (int)(length < 40 ? length : 40), name, list);
}

static int choose_named(const mim_stats *stats, size_t type, const char *disks, bool *counted,
                        size_t *n_counted)
{
    for (const char *p = disks; *p;) {
        size_t length = strcspn(p, ",");
        char name[256] = "";
        if (length > 0 && length < sizeof name) {
            memcpy(name, p, length);
            name[length] = '\0';
        }
        size_t device = mim_stats_find_device(stats, type, name);
        if (device == SIZE_MAX)
            return no_such_disk(stats, type, p, length);
        *n_counted += !counted[device];
        counted[device] = true;
        p += length;
        p += *p == ',';
    }
    if (*n_counted == 0)
        return mim_fail(MIM_EUSAGE, "disks: expected names of block devices, found none");
    return MIM_OK;
}

int mim_series_choose_disks(const mim_stats *stats, size_t type, const char *disks, bool **counted,
                            size_t *n_counted)
{
    size_t n = mim_stats_n_devices(stats, type), n_chosen = 0;
    bool *chosen = calloc(n + 1, sizeof *chosen);
    if (!chosen)
        return mim_fail(MIM_ENOMEM, "%zu disks", n);
    if (disks) {
        int rc = choose_named(stats, type, disks, chosen, &n_chosen);
        if (rc != MIM_OK) {
            free(chosen);
            return rc;
        }
    }
    for (size_t i = 0; !disks && i < n; i++) {
        const char *name = mim_stats_device(stats, type, i);
        chosen[i] =
            !is_virtual(name) && !is_partition(stats, type, name) && !is_path(stats, type, name);
        n_chosen += chosen[i];
    }
    *counted = chosen;
    *n_counted = n_chosen;
    return MIM_OK;
}
