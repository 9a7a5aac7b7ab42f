/* The control groups of a run, v1 and v2.
 *
 * v1 has a tree for each controller: a group below the process's own in each of them. v2 has one
 * tree, in which a group with processes cannot hand controllers on: the process first moves into
 * its new group, and the group it came from then hands on what it may, unless others are still in
 * it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/text.h"
#include "node/cgroup.h"
#include "node/contain_internal.h"

#define NAME_PREFIX "mimesys-run."

enum { PERIOD_US = 100000, MAX_WRITES = 3, VALUE_BYTES = 128, MAX_DEPTH = 16, MAX_SEEN = 20000 };

/* What is written into a group's files. */
typedef struct entry {
    const char *file;
    char value[VALUE_BYTES];
    const char *text; /* instead of `value` */
} entry;

static const struct {
    const char *v1, *v2;
} names[MIM_CONTAIN_N_CONTROLLERS] = {
    [MIM_CONTAIN_CPU] = {"cpu", "cpu"},          [MIM_CONTAIN_MEMORY] = {"memory", "memory"},
    [MIM_CONTAIN_TASKS] = {"pids", "pids"},      [MIM_CONTAIN_IO] = {"blkio", "io"},
    [MIM_CONTAIN_CPUSET] = {"cpuset", "cpuset"},
};

const char *mim_contain_controller_name(size_t controller) { return names[controller].v2; }

bool mim_contain_is_asked(const mim_contain_caps *caps, size_t controller)
{
    switch (controller) {
    case MIM_CONTAIN_CPU: /* the weight alone is no cap, but a group must have it */
        return caps->cpus > 0.0;
    case MIM_CONTAIN_MEMORY:
        return caps->memory_bytes > 0;
    case MIM_CONTAIN_TASKS:
        return caps->n_tasks > 0;
    case MIM_CONTAIN_IO:
        return caps->device[0] && (caps->read_bytes_per_s || caps->write_bytes_per_s);
    default:
        return caps->cpu_list != NULL;
    }
}

/* ---- what is written --------------------------------------------------------------------------
 */

static double within(double value, double min, double max)
{
    return value < min ? min : value > max ? max : value;
}

static entry number(const char *file, uint64_t value)
{
    entry e = {.file = file};
    snprintf(e.value, sizeof e.value, "%" PRIu64, value);
    return e;
}

static size_t list_v1(const mim_contain_caps *caps, size_t controller, entry entries[MAX_WRITES])
{
    size_t n = 0;
    const uint64_t rates[2] = {caps->read_bytes_per_s, caps->write_bytes_per_s};
    static const char *const rate_files[2] = {"blkio.throttle.read_bps_device",
                                              "blkio.throttle.write_bps_device"};
    switch (controller) {
    case MIM_CONTAIN_CPU:
        entries[n++] = number("cpu.cfs_period_us", PERIOD_US);
        entries[n++] = number("cpu.cfs_quota_us", (uint64_t)(caps->cpus * PERIOD_US));
        entries[n++] =
            number("cpu.shares", (uint64_t)within(round(1024.0 * caps->weight), 2, 262144));
        break;
    case MIM_CONTAIN_MEMORY:
        entries[n++] = number("memory.limit_in_bytes", caps->memory_bytes);
        break;
    case MIM_CONTAIN_TASKS:
        entries[n++] = number("pids.max", caps->n_tasks);
        break;
    case MIM_CONTAIN_IO:
        for (size_t i = 0; i < 2; i++)
            if (rates[i]) {
                entries[n] = (entry){.file = rate_files[i]};
                snprintf(entries[n].value, VALUE_BYTES, "%s %" PRIu64, caps->device, rates[i]);
                n++;
            }
        break;
    default:
        entries[n++] = (entry){.file = "cpuset.cpus", .text = caps->cpu_list};
    }
    return n;
}

static size_t list_v2(const mim_contain_caps *caps, size_t controller, entry entries[MAX_WRITES])
{
    size_t n = 0;
    int at;
    switch (controller) {
    case MIM_CONTAIN_CPU:
        entries[n] = (entry){.file = "cpu.max"};
        snprintf(entries[n++].value, VALUE_BYTES, "%" PRIu64 " %d",
                 (uint64_t)(caps->cpus * PERIOD_US), PERIOD_US);
        entries[n++] =
            number("cpu.weight", (uint64_t)within(round(100.0 * caps->weight), 1, 10000));
        break;
    case MIM_CONTAIN_MEMORY: /* slowed down at the cap, ended an eighth above it */
        entries[n++] = number("memory.high", caps->memory_bytes);
        entries[n++] = number("memory.max", caps->memory_bytes + caps->memory_bytes / 8);
        break;
    case MIM_CONTAIN_TASKS:
        entries[n++] = number("pids.max", caps->n_tasks);
        break;
    case MIM_CONTAIN_IO:
        entries[n] = (entry){.file = "io.max"};
        at = snprintf(entries[n].value, VALUE_BYTES, "%s", caps->device);
        if (caps->read_bytes_per_s)
            at += snprintf(entries[n].value + at, VALUE_BYTES - (size_t)at, " rbps=%" PRIu64,
                           caps->read_bytes_per_s);
        if (caps->write_bytes_per_s)
            snprintf(entries[n].value + at, VALUE_BYTES - (size_t)at, " wbps=%" PRIu64,
                     caps->write_bytes_per_s);
        n++;
        break;
    default:
        entries[n++] = (entry){.file = "cpuset.cpus", .text = caps->cpu_list};
    }
    return n;
}

/* 0 or an errno. */
static int put(const char *folder, const char *file, const char *value)
{
    char *path = mim_join_path(folder, file);
    const size_t n = strlen(value);
    int error = 0, fd = path ? open(path, O_WRONLY | O_TRUNC | O_CLOEXEC) : -1;
    if (fd < 0)
        error = path ? errno : ENOMEM;
    else if (write(fd, value, n) != (ssize_t)n)
        error = errno ? errno : EIO;
    if (fd >= 0)
        close(fd);
    free(path);
    return error;
}

static bool put_all(const char *folder, size_t n, const entry *entries, char *reason)
{
    for (size_t i = 0; i < n; i++) {
        const int error =
            put(folder, entries[i].file, entries[i].text ? entries[i].text : entries[i].value);
        if (error) {
            snprintf(reason, MIM_CONTAIN_REASON_BYTES, "%s: %s", entries[i].file, strerror(error));
            return false;
        }
    }
    return true;
}

/* ---- groups -----------------------------------------------------------------------------------
 */

/* A group of that name is one that a dead process of the same number left. */
static bool make(mim_contain_group *group, char *reason)
{
    group->folder = mim_format("%s/" NAME_PREFIX "%ld", group->parent, (long)getpid());
    if (group->folder && (mkdir(group->folder, 0755) == 0 || errno == EEXIST))
        return true;
    snprintf(reason, MIM_CONTAIN_REASON_BYTES, "%s",
             group->folder ? strerror(errno) : "out of memory");
    free(group->folder);
    group->folder = NULL;
    return false;
}

static bool enter(mim_contain_group *group, char *reason)
{
    const int error = put(group->folder, "cgroup.procs", "0");
    if (error)
        snprintf(reason, MIM_CONTAIN_REASON_BYTES, "cgroup.procs: %s", strerror(error));
    group->is_entered = !error;
    return !error;
}

static void leave(mim_contain_group *group)
{
    if (group->is_entered)
        put(group->back ? group->back : group->parent, "cgroup.procs", "0");
    if (group->folder)
        rmdir(group->folder);
    free(group->parent);
    free(group->folder);
    free(group->back);
    *group = (mim_contain_group){NULL, NULL, NULL, false};
}

/* In the machine's root group every process competes for CPUs on its own; as a group they would get
 * another share. (Measured: threads of niceness 5 that got 0.30 of a busy CPU got 0.13 as a group
 * of the same weight.) */
static const char in_root[] = "in the root group it would change what the run gets";

static bool has_file(const char *folder, const char *name)
{
    char *path = mim_join_path(folder, name);
    const bool has = path && access(path, F_OK) == 0;
    free(path);
    return has;
}

/* A cpuset lets nobody in before it has memory nodes, too. */
static bool prepare_cpuset(const mim_contain_group *group, char *reason)
{
    char nodes[1024] = "";
    entry e = {.file = "cpuset.mems", .text = nodes};
    if (!mim_cgroup_read(group->parent, "cpuset.effective_mems", sizeof nodes, nodes) &&
        !mim_cgroup_read(group->parent, "cpuset.mems", sizeof nodes, nodes)) {
        snprintf(reason, MIM_CONTAIN_REASON_BYTES, "cpuset.mems: cannot be read");
        return false;
    }
    return put_all(group->folder, 1, &e, reason);
}

/* False: this machine has no such v1 tree. */
static bool enter_v1(const mim_contain_caps *caps, const char *root, size_t c,
                     mim_contain_groups *groups)
{
    mim_cgroup own;
    entry entries[MAX_WRITES];
    mim_contain_group *group = &groups->v1[c];
    char *reason = groups->reason[c];
    if (!mim_cgroup_find(root, names[c].v1, &own))
        return false;
    group->parent = own.folder;
    own.folder = NULL;
    mim_cgroup_clear(&own);
    const bool is_root = has_file(group->parent, "release_agent");
    if (is_root && c == MIM_CONTAIN_CPU && !caps->is_demanded) {
        snprintf(reason, MIM_CONTAIN_REASON_BYTES, "%s", in_root);
        leave(group);
        return true;
    }
    if (make(group, reason) && (c != MIM_CONTAIN_CPUSET || prepare_cpuset(group, reason)) &&
        put_all(group->folder, list_v1(caps, c, entries), entries, reason) && enter(group, reason))
        groups->version[c] = 1;
    else
        leave(group);
    return true;
}

static bool has_name(const char *list, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = list; (at = strstr(at, name)); at += n)
        if ((at == list || at[-1] == ' ') && (at[n] == '\0' || at[n] == ' '))
            return true;
    return false;
}

/* ---- v2 ---------------------------------------------------------------------------------------
 */

/* What v2's one tree offers here. */
typedef struct offer {
    char available[512], handed_on[512]; /* controllers; "" when there is no such tree */
    bool is_root;
} offer;

/* The group to make a new one in: the process's own or, when that is one of ours (its parent
 * process stepped aside), the one around it. */
static void find_v2(const char *root, mim_contain_groups *groups, offer *o)
{
    mim_cgroup own;
    mim_contain_group *group = &groups->v2;
    *o = (offer){"", "", false};
    if (!mim_cgroup_find(root, NULL, &own))
        return;
    char *slash = strrchr(own.folder, '/');
    if (slash && strncmp(slash + 1, NAME_PREFIX, strlen(NAME_PREFIX)) == 0) {
        group->back = mim_strdup(own.folder);
        *slash = '\0';
    }
    group->parent = own.folder;
    own.folder = NULL;
    mim_cgroup_clear(&own);
    (void)mim_cgroup_read(group->parent, "cgroup.controllers", sizeof o->available, o->available);
    (void)mim_cgroup_read(group->parent, "cgroup.subtree_control", sizeof o->handed_on,
                          o->handed_on);
    o->is_root = !has_file(group->parent, "cgroup.type"); /* all others have one */
    for (size_t c = 0; c < MIM_CONTAIN_N_CONTROLLERS; c++)
        groups->was_handed_on[c] = has_name(o->handed_on, names[c].v2);
}

/* Lets the parent hand the controller on. What the root hands on concerns all groups and is not
 * ours to change. */
static bool enable(mim_contain_groups *groups, size_t c, const offer *o)
{
    char *reason = groups->reason[c], word[32];
    if (groups->was_handed_on[c])
        return true;
    if (o->is_root) {
        snprintf(reason, MIM_CONTAIN_REASON_BYTES, "the root group does not hand it on");
        return false;
    }
    if (!groups->v2.is_entered && !enter(&groups->v2, reason))
        return false;
    snprintf(word, sizeof word, "+%s", names[c].v2);
    const int error = put(groups->v2.parent, "cgroup.subtree_control", word);
    if (error)
        snprintf(reason, MIM_CONTAIN_REASON_BYTES, "cgroup.subtree_control: %s",
                 error == EBUSY ? "other processes are in the group" : strerror(error));
    groups->is_enabled[c] = !error;
    return !error;
}

/* Nobody can come back into a group that hands controllers on: what this process or, after it
 * stepped aside, a child of it enabled ends here. */
static void leave_v2(mim_contain_groups *groups)
{
    char word[32], now[512] = "";
    mim_contain_group *group = &groups->v2;
    const bool is_last = group->is_entered && !group->back;
    if (is_last)
        (void)mim_cgroup_read(group->parent, "cgroup.subtree_control", sizeof now, now);
    for (size_t c = 0; c < MIM_CONTAIN_N_CONTROLLERS; c++)
        if (is_last && !groups->was_handed_on[c] &&
            (groups->is_enabled[c] || has_name(now, names[c].v2))) {
            snprintf(word, sizeof word, "-%s", names[c].v2);
            put(group->parent, "cgroup.subtree_control", word);
        }
    leave(group);
}

/* What could not be had for one reason. */
static void give_up_v2(mim_contain_groups *groups, const char *reason)
{
    for (size_t c = 0; c < MIM_CONTAIN_N_CONTROLLERS; c++)
        if (groups->version[c] == 2) {
            groups->version[c] = 0;
            snprintf(groups->reason[c], MIM_CONTAIN_REASON_BYTES, "%s", reason);
        }
    leave_v2(groups);
}

/* The controllers in `is_open`, in the one tree. */
static void enter_v2(const mim_contain_caps *caps, const char *root, const bool *is_open,
                     mim_contain_groups *groups)
{
    offer o;
    char reason[MIM_CONTAIN_REASON_BYTES] = "";
    bool is_capped = false;
    find_v2(root, groups, &o);
    const bool is_left = o.is_root && has_name(o.handed_on, "cpu") && !caps->is_demanded;
    if (is_left)
        snprintf(reason, sizeof reason, "%s", in_root);
    const bool is_made = *o.available && !is_left && make(&groups->v2, reason);
    for (size_t c = 0; c < MIM_CONTAIN_N_CONTROLLERS; c++) {
        entry entries[MAX_WRITES];
        if (!is_open[c])
            continue;
        if (!has_name(o.available, names[c].v2))
            snprintf(groups->reason[c], MIM_CONTAIN_REASON_BYTES, "no such controller here");
        else if (!is_made)
            memcpy(groups->reason[c], reason, sizeof reason);
        else if (enable(groups, c, &o) &&
                 put_all(groups->v2.folder, list_v2(caps, c, entries), entries, groups->reason[c]))
            groups->version[c] = 2;
        is_capped = is_capped || groups->version[c] == 2;
    }
    if (!is_capped || !(groups->v2.is_entered || enter(&groups->v2, reason)))
        give_up_v2(groups, reason);
}

/* No other process is in the group. */
static bool is_alone(const char *folder)
{
    char *path = mim_join_path(folder, "cgroup.procs");
    FILE *file = path ? fopen(path, "r") : NULL;
    long pid = 0, n = 0;
    bool is_own = true;
    free(path);
    while (file && fscanf(file, "%ld", &pid) == 1) {
        is_own = is_own && pid == (long)getpid();
        n++;
    }
    if (file)
        fclose(file);
    return n > 0 && is_own;
}

bool mim_contain_groups_step_aside(const char *root, mim_contain_groups *groups)
{
    offer o;
    char reason[MIM_CONTAIN_REASON_BYTES];
    mim_contain_group *group = &groups->v2;
    find_v2(root, groups, &o);
    if (*o.available && !o.is_root && !group->back && !*o.handed_on && is_alone(group->parent) &&
        make(group, reason) && enter(group, reason))
        return true;
    leave(group);
    return false;
}

void mim_contain_groups_enter(const mim_contain_caps *caps, const char *root,
                              mim_contain_groups *groups)
{
    bool is_open[MIM_CONTAIN_N_CONTROLLERS], is_any = false;
    for (size_t c = 0; c < MIM_CONTAIN_N_CONTROLLERS; c++) {
        is_open[c] = mim_contain_is_asked(caps, c) && !enter_v1(caps, root, c, groups);
        is_any = is_any || is_open[c];
    }
    if (is_any)
        enter_v2(caps, root, is_open, groups);
}

void mim_contain_groups_leave(mim_contain_groups *groups)
{
    leave_v2(groups);
    for (size_t c = 0; c < MIM_CONTAIN_N_CONTROLLERS; c++)
        leave(&groups->v1[c]);
}

/* ---- leftovers --------------------------------------------------------------------------------
 */

/* The pid in "mimesys-run.<pid>" when that process is gone, else 0. */
static long dead_pid(const char *name)
{
    char *end = NULL;
    const size_t n = strlen(NAME_PREFIX);
    if (strncmp(name, NAME_PREFIX, n) != 0 || name[n] < '1' || name[n] > '9')
        return 0;
    errno = 0;
    const long pid = strtol(name + n, &end, 10);
    if (errno != 0 || *end || (pid_t)pid != pid)
        return 0;
    return kill((pid_t)pid, 0) != 0 && errno == ESRCH ? pid : 0;
}

/* Depth and number of groups are bounded: a sweep is a courtesy. The kernel refuses to remove a
 * group that somebody is in, whatever its name says. */
static void sweep_below(const char *folder, int depth, size_t *n_seen)
{
    DIR *dir = opendir(folder);
    struct dirent *at;
    while (dir && (at = readdir(dir)) && *n_seen < MAX_SEEN) {
        struct stat status;
        if (at->d_name[0] == '.' || fstatat(dirfd(dir), at->d_name, &status, AT_SYMLINK_NOFOLLOW) ||
            !S_ISDIR(status.st_mode))
            continue;
        ++*n_seen;
        if (dead_pid(at->d_name) && status.st_uid == geteuid() &&
            unlinkat(dirfd(dir), at->d_name, AT_REMOVEDIR) == 0)
            continue;
        char *below = depth < MAX_DEPTH ? mim_join_path(folder, at->d_name) : NULL;
        if (below)
            sweep_below(below, depth + 1, n_seen);
        free(below);
    }
    if (dir)
        closedir(dir);
}

void mim_contain_sweep(const char *root)
{
    for (size_t c = 0; c <= MIM_CONTAIN_N_CONTROLLERS; c++) {
        mim_cgroup own;
        size_t n_seen = 0;
        if (!mim_cgroup_find(root, c < MIM_CONTAIN_N_CONTROLLERS ? names[c].v1 : NULL, &own))
            continue;
        sweep_below(own.mount, 0, &n_seen);
        mim_cgroup_clear(&own);
    }
}
