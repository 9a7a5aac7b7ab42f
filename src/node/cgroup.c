#include "node/cgroup.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"

/* v1 writes "no limit" as the largest whole number of pages. */
static const uint64_t no_limit_from = UINT64_C(1) << 62;

typedef struct names {
    const char *mounts[2]; /* where the hierarchy is usually mounted */
    const char *limit, *usage, *cache;
} names;

static const names v1 = {{"/sys/fs/cgroup/memory", NULL},
                         "memory.limit_in_bytes",
                         "memory.usage_in_bytes",
                         "total_inactive_file "};
static const names v2 = {
    {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}, "memory.max", "memory.current", "inactive_file "};

/* The number after `label` in folder/name ("" = the file's first word); false when there is none.
 */
static bool read_number(const char *folder, const char *name, const char *label, uint64_t *value)
{
    char line[256];
    bool is_found = false;
    char *path = mim_join_path(folder, name);
    FILE *file = path ? fopen(path, "r") : NULL;

    free(path);
    if (!file)
        return false;
    while (!is_found && fgets(line, sizeof line, file))
        is_found = strncmp(line, label, strlen(label)) == 0 &&
                   sscanf(line + strlen(label), "%" SCNu64, value) == 1;
    fclose(file);
    return is_found;
}

static uint64_t left_in(const char *folder, const names *n)
{
    uint64_t limit = 0, usage = 0, cache = 0, used;

    if (!read_number(folder, n->limit, "", &limit) || limit >= no_limit_from ||
        !read_number(folder, n->usage, "", &usage))
        return UINT64_MAX;
    (void)read_number(folder, "memory.stat", n->cache, &cache);
    used = usage > cache ? usage - cache : 0;
    return limit > used ? limit - used : 0;
}

/* The smallest over the group and those above it. A container may not show its own group's folder;
 * folders that are not there are passed over. */
static uint64_t left_up_from(const char *root, const char *mount, const char *group, const names *n)
{
    uint64_t least = UINT64_MAX;
    char *folder = mim_format("%s%s%s", root, mount, group), *slash;
    size_t n_top = strlen(root) + strlen(mount);

    while (folder) {
        uint64_t left = left_in(folder, n);

        least = left < least ? left : least;
        slash = strrchr(folder, '/');
        if (!slash || (size_t)(slash - folder) < n_top)
            break;
        *slash = '\0';
    }
    free(folder);
    return least;
}

/* "4:cpu,memory:/group" for v1, "0::/group" for v2. */
static uint64_t left_for_line(const char *root, char *line)
{
    uint64_t least = UINT64_MAX;
    char *controllers = strchr(line, ':'), *group, *word, *rest = NULL;
    const names *n = NULL;

    if (!controllers || !(group = strchr(controllers + 1, ':')))
        return least;
    *group++ = '\0';
    group[strcspn(group, "\n")] = '\0';
    controllers++;
    if (*controllers == '\0')
        n = &v2;
    for (word = strtok_r(controllers, ",", &rest); word && !n; word = strtok_r(NULL, ",", &rest))
        if (strcmp(word, "memory") == 0)
            n = &v1;
    for (size_t i = 0; n && i < 2 && n->mounts[i]; i++) {
        uint64_t left = left_up_from(root, n->mounts[i], group, n);

        least = left < least ? left : least;
    }
    return least;
}

uint64_t mim_cgroup_memory_left(const char *root)
{
    uint64_t least = UINT64_MAX;
    char line[4096 + 256];
    char *path = mim_format("%s/proc/self/cgroup", root);
    FILE *file = path ? fopen(path, "r") : NULL;

    free(path);
    if (!file)
        return least;
    while (fgets(line, sizeof line, file)) {
        uint64_t left = left_for_line(root, line);

        least = left < least ? left : least;
    }
    fclose(file);
    return least;
}
