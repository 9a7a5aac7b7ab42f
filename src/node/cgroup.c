#include "node/cgroup.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/text.h"

/* v1 writes "no limit" as the largest whole number of pages. */
static const uint64_t no_limit_from = UINT64_C(1) << 62;

enum { LINE_BYTES = 8192 };

/* ---- where groups are -------------------------------------------------------------------------
 */

static bool has_word(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (strncmp(at, word, n) == 0 && (at[n] == ',' || at[n] == '\0' || at[n] == '\n'))
            return true;
    return false;
}

static FILE *open_below(const char *root, const char *name)
{
    char *path = mim_format("%s%s", root, name);
    FILE *file = path ? fopen(path, "r") : NULL;
    free(path);
    return file;
}

/* "4:cpu,memory:/group" for v1, "0::/group" for v2: the group of the hierarchy, NULL if none. */
static char *find_group(const char *root, const char *controller)
{
    char line[LINE_BYTES], *found = NULL;
    FILE *file = open_below(root, "/proc/self/cgroup");
    while (file && !found && fgets(line, sizeof line, file)) {
        char *names = strchr(line, ':'), *group = names ? strchr(names + 1, ':') : NULL;
        if (!group)
            continue;
        *group++ = '\0';
        group[strcspn(group, "\n")] = '\0';
        names++;
        if (controller ? has_word(names, controller) : *names == '\0')
            found = mim_strdup(group);
    }
    if (file)
        fclose(file);
    return found;
}

/* Of "id parent maj:min ROOT POINT options ... - type source OPTIONS": whether it is the hierarchy
 * and shows the group. Names with escapes are passed over: nobody mounts groups there. */
static bool is_mount_of(char *line, const char *controller, const char *group, char **top,
                        char **point)
{
    char *rest = NULL, *fields[5], *tail = strstr(line, " - ");
    char type[16] = "", options[512] = "";
    if (!tail || sscanf(tail, " - %15s %*s %511s", type, options) != 2)
        return false;
    *tail = '\0';
    for (size_t i = 0; i < 5; i++)
        if (!(fields[i] = strtok_r(i ? NULL : line, " ", &rest)))
            return false;
    *top = fields[3];
    *point = fields[4];
    if (controller ? strcmp(type, "cgroup") != 0 || !has_word(options, controller)
                   : strcmp(type, "cgroup2") != 0)
        return false;
    size_t n = strlen(*top);
    return !strchr(*point, '\\') &&
           (strcmp(*top, "/") == 0 ||
            (strncmp(group, *top, n) == 0 && (group[n] == '/' || group[n] == '\0')));
}

static bool find_mount(const char *root, const char *controller, const char *group,
                       mim_cgroup *found)
{
    char line[LINE_BYTES];
    FILE *file = open_below(root, "/proc/self/mountinfo");
    while (file && !found->mount && fgets(line, sizeof line, file)) {
        char *top = NULL, *point = NULL;
        if (!is_mount_of(line, controller, group, &top, &point))
            continue;
        const char *below = strcmp(top, "/") == 0 ? group : group + strlen(top);
        found->mount = mim_format("%s%s", root, point);
        found->folder = mim_format("%s%s%s", root, point, strcmp(below, "/") == 0 ? "" : below);
    }
    if (file)
        fclose(file);
    return found->mount && found->folder;
}

static bool guess_mount(const char *root, const char *controller, const char *group,
                        mim_cgroup *found)
{
    struct stat status;
    found->mount = controller ? mim_format("%s/sys/fs/cgroup/%s", root, controller)
                              : mim_format("%s/sys/fs/cgroup/unified", root);
    if (!controller && found->mount && stat(found->mount, &status) != 0)
        found->mount[strlen(found->mount) - strlen("/unified")] = '\0';
    if (found->mount)
        found->folder = mim_format("%s%s", found->mount, strcmp(group, "/") == 0 ? "" : group);
    return found->mount && found->folder;
}

bool mim_cgroup_find(const char *root, const char *controller, mim_cgroup *group)
{
    mim_cgroup found = {NULL, NULL};
    char *name = find_group(root, controller);
    bool is_found = name && (find_mount(root, controller, name, &found) ||
                             guess_mount(root, controller, name, &found));
    free(name);
    if (is_found)
        *group = found;
    else
        mim_cgroup_clear(&found);
    return is_found;
}

void mim_cgroup_clear(mim_cgroup *group)
{
    free(group->mount);
    free(group->folder);
    group->mount = group->folder = NULL;
}

/* ---- what they hold ---------------------------------------------------------------------------
 */

/* The rest of the first line that starts with `label`, without its end. */
static bool read_after(const char *folder, const char *name, const char *label, size_t n_bytes,
                       char *text)
{
    char line[LINE_BYTES];
    bool is_found = false;
    char *path = mim_join_path(folder, name);
    FILE *file = path ? fopen(path, "r") : NULL;
    free(path);
    while (file && !is_found && fgets(line, sizeof line, file)) {
        size_t n = strlen(label), n_line = strcspn(line, "\n");
        is_found = strncmp(line, label, n) == 0 && n_line >= n && n_line - n < n_bytes &&
                   (line[n_line] == '\n' || feof(file));
        line[n_line] = '\0';
        if (is_found)
            memcpy(text, line + n, n_line - n + 1);
    }
    if (file)
        fclose(file);
    return is_found;
}

bool mim_cgroup_read(const char *folder, const char *name, size_t n_bytes, char *text)
{
    return read_after(folder, name, "", n_bytes, text);
}

/* The number after `label` in folder/name ("" = the file's first word); false when there is none.
 */
static bool read_number(const char *folder, const char *name, const char *label, uint64_t *value)
{
    char text[64];
    return read_after(folder, name, label, sizeof text, text) &&
           sscanf(text, "%" SCNu64, value) == 1;
}

typedef struct names {
    const char *limit, *usage, *cache;
} names;

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

/* From the group up to the topmost one that can be seen; false after that. */
static bool go_up(mim_cgroup *group)
{
    char *slash = strrchr(group->folder, '/');
    if (!slash || (size_t)(slash - group->folder) < strlen(group->mount))
        return false;
    *slash = '\0';
    return true;
}

/* The smallest over the group and those above it. A container may not show its own group's folder;
 * folders that are not there are passed over. */
static uint64_t left_up_from(const char *root, const char *controller, const names *n)
{
    uint64_t least = UINT64_MAX;
    mim_cgroup group;
    if (!mim_cgroup_find(root, controller, &group))
        return least;
    do {
        uint64_t left = left_in(group.folder, n);

        least = left < least ? left : least;
    } while (go_up(&group));
    mim_cgroup_clear(&group);
    return least;
}

uint64_t mim_cgroup_memory_left(const char *root)
{
    static const names v1 = {"memory.limit_in_bytes", "memory.usage_in_bytes",
                             "total_inactive_file "},
                       v2 = {"memory.max", "memory.current", "inactive_file "};
    const uint64_t one = left_up_from(root, "memory", &v1), two = left_up_from(root, NULL, &v2);
    return one < two ? one : two;
}

/* The nearest group that tells. */
static bool cpus_of(const char *root, const char *controller, const char *name,
                    char cpus[MIM_CGROUP_CPUS_BYTES])
{
    mim_cgroup group;
    bool is_found = false;
    if (!mim_cgroup_find(root, controller, &group))
        return false;
    do
        is_found = mim_cgroup_read(group.folder, name, MIM_CGROUP_CPUS_BYTES, cpus) && *cpus;
    while (!is_found && go_up(&group));
    mim_cgroup_clear(&group);
    return is_found;
}

bool mim_cgroup_cpus(const char *root, char cpus[MIM_CGROUP_CPUS_BYTES])
{
    return cpus_of(root, "cpuset", "cpuset.effective_cpus", cpus) ||
           cpus_of(root, "cpuset", "cpuset.cpus", cpus) ||
           cpus_of(root, NULL, "cpuset.cpus.effective", cpus);
}
