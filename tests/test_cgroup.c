/* Control groups on hand-made trees in both versions' forms: where they are, memory limits, CPU
 * sets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "node/cgroup.h"
#include "tests/support/tree.h"

#define N_FILES 8
#define V1 "sys/fs/cgroup/memory"
#define V2 "sys/fs/cgroup"

typedef struct tree {
    const char *what;
    const char *self; /* /proc/self/cgroup, NULL = no such file */
    const char *files[N_FILES][2];
    uint64_t left;
} tree;

static const tree trees[] = {
    {"nothing there", NULL, {{0}}, UINT64_MAX},
    {"empty", "", {{0}}, UINT64_MAX},
    {"garbage", "no colon\n:\n7:x\n", {{0}}, UINT64_MAX},
    {"v2 without a limit",
     "0::/job\n",
     {{V2 "/job/memory.max", "max\n"}, {V2 "/job/memory.current", "5\n"}},
     UINT64_MAX},
    {"v2",
     "0::/job\n",
     {{V2 "/job/memory.max", "1000\n"}, {V2 "/job/memory.current", "300\n"}},
     700},
    {"v2, cache counts as left",
     "0::/job\n",
     {{V2 "/job/memory.max", "1000\n"},
      {V2 "/job/memory.current", "300\n"},
      {V2 "/job/memory.stat", "anon 100\nfile 200\ninactive_file 150\n"}},
     850},
    {"v2, the group above is tighter",
     "0::/slurm/job_7/step_0\n",
     {{V2 "/slurm/job_7/step_0/memory.max", "max\n"},
      {V2 "/slurm/job_7/memory.max", "1000\n"},
      {V2 "/slurm/job_7/memory.current", "900\n"},
      {V2 "/slurm/memory.max", "5000\n"},
      {V2 "/slurm/memory.current", "4500\n"}},
     100},
    {"v2, used up",
     "0::/job\n",
     {{V2 "/job/memory.max", "1000\n"}, {V2 "/job/memory.current", "1200\n"}},
     0},
    {"v2 mounted beside v1",
     "1:cpu:/\n0::/job\n",
     {{V2 "/unified/job/memory.max", "1000\n"}, {V2 "/unified/job/memory.current", "1\n"}},
     999},
    {"v1",
     "9:name=systemd:/\n4:cpu,memory:/job\n1:cpu:/\n0::/\n",
     {{V1 "/job/memory.limit_in_bytes", "1000\n"},
      {V1 "/job/memory.usage_in_bytes", "400\n"},
      {V1 "/job/memory.stat", "inactive_file 1\ntotal_inactive_file 50\n"}},
     650},
    {"v1 without a limit",
     "4:memory:/\n",
     {{V1 "/memory.limit_in_bytes", "9223372036854771712\n"},
      {V1 "/memory.usage_in_bytes", "400\n"}},
     UINT64_MAX},
    {"v1 in a container that does not show its group",
     "4:memory:/docker/0123\n",
     {{V1 "/memory.limit_in_bytes", "1000\n"}, {V1 "/memory.usage_in_bytes", "400\n"}},
     600},
    {"a controller whose name only begins alike",
     "4:memory2:/job\n",
     {{V1 "/job/memory.limit_in_bytes", "1000\n"}, {V1 "/job/memory.usage_in_bytes", "400\n"}},
     UINT64_MAX},
    {"not a number",
     "0::/job\n",
     {{V2 "/job/memory.max", "many\n"}, {V2 "/job/memory.current", "1\n"}},
     UINT64_MAX},
};

static void test_trees(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof trees / sizeof trees[0]; i++) {
        char root[TREE_PATH_BYTES];
        tree_make(root);
        if (trees[i].self)
            tree_put(root, "proc/self/cgroup", trees[i].self);
        for (size_t k = 0; k < N_FILES && trees[i].files[k][0]; k++)
            tree_put(root, trees[i].files[k][0], trees[i].files[k][1]);
        const uint64_t left = mim_cgroup_memory_left(root);
        tree_remove(root);
        if (left != trees[i].left)
            fail_msg("%s: %llu, expected %llu", trees[i].what, (unsigned long long)left,
                     (unsigned long long)trees[i].left);
    }
}

/* ---- where groups are -------------------------------------------------------------------------
 */

#define ROOT_LINE "23 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"

static const struct {
    const char *what;
    const char *self, *mounts;  /* NULL = no such file */
    const char *controller;     /* NULL = v2 */
    const char *mount, *folder; /* below the root; NULL = not found */
} places[] = {
    {"nothing there", NULL, NULL, "cpu", NULL, NULL},
    {"no such controller", "4:memory:/job\n", NULL, "cpu", NULL, NULL},
    {"no v2", "4:memory:/job\n", NULL, NULL, NULL, NULL},
    {"usual place", "4:memory:/job\n", NULL, "memory", "/sys/fs/cgroup/memory",
     "/sys/fs/cgroup/memory/job"},
    {"usual place, topmost group", "4:memory:/\n", NULL, "memory", "/sys/fs/cgroup/memory",
     "/sys/fs/cgroup/memory"},
    {"two controllers in one tree", "2:cpu,cpuacct:/job\n",
     ROOT_LINE
     "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n",
     "cpuacct", "/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/cpu,cpuacct/job"},
    {"another place", "2:cpu:/job\n1:cpuset:/\n",
     ROOT_LINE "33 31 0:30 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
               "34 31 0:31 / /cgroup/cpu rw,nosuid shared:7 master:1 - cgroup none rw,cpu\n",
     "cpu", "/cgroup/cpu", "/cgroup/cpu/job"},
    {"a container's own part", "2:cpu:/docker/01/task\n",
     "33 31 0:30 /docker/01 /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n", "cpu",
     "/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu/task"},
    {"another container's part is passed over", "2:cpu:/docker/012\n",
     "33 31 0:30 /docker/01 /elsewhere rw - cgroup cgroup rw,cpu\n", "cpu", "/sys/fs/cgroup/cpu",
     "/sys/fs/cgroup/cpu/docker/012"},
    {"v2", "0::/user.slice/a.scope\n",
     ROOT_LINE "41 31 0:38 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n", NULL,
     "/sys/fs/cgroup", "/sys/fs/cgroup/user.slice/a.scope"},
    {"v2 beside v1", "1:cpu:/\n0::/job\n",
     "33 31 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
     "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
     NULL, "/sys/fs/cgroup/unified", "/sys/fs/cgroup/unified/job"},
    {"garbage for mounts", "2:cpu:/job\n", "x\n - \n33 31 - cgroup cgroup rw,cpu\n", "cpu",
     "/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu/job"},
};

static void test_places(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        char root[TREE_PATH_BYTES];
        mim_cgroup group = {NULL, NULL};
        tree_make(root);
        if (places[i].self)
            tree_put(root, "proc/self/cgroup", places[i].self);
        if (places[i].mounts)
            tree_put(root, "proc/self/mountinfo", places[i].mounts);
        const bool is_found = mim_cgroup_find(root, places[i].controller, &group);
        tree_remove(root);
        if (is_found != (places[i].mount != NULL))
            fail_msg("%s: %s", places[i].what, is_found ? group.folder : "not found");
        if (is_found && (strcmp(group.mount + strlen(root), places[i].mount) != 0 ||
                         strcmp(group.folder + strlen(root), places[i].folder) != 0))
            fail_msg("%s: %s in %s", places[i].what, group.folder, group.mount);
        mim_cgroup_clear(&group);
    }
}

/* ---- CPU sets ---------------------------------------------------------------------------------
 */

#define SET "sys/fs/cgroup/cpuset"

static const struct {
    const char *what, *self;
    const char *files[3][2];
    const char *cpus; /* NULL = none can be seen */
} sets[] = {
    {"nothing there", NULL, {{0}}, NULL},
    {"v1", "3:cpuset:/job\n", {{SET "/job/cpuset.effective_cpus", "0-3,8\n"}}, "0-3,8"},
    {"v1 without effective sets", "3:cpuset:/job\n", {{SET "/job/cpuset.cpus", "2\n"}}, "2"},
    {"v1, effective before asked for",
     "3:cpuset:/job\n",
     {{SET "/job/cpuset.cpus", "0-7\n"}, {SET "/job/cpuset.effective_cpus", "4-7\n"}},
     "4-7"},
    {"v1, group not shown", "3:cpuset:/job\n", {{SET "/cpuset.effective_cpus", "0-1\n"}}, "0-1"},
    {"v2", "0::/a/b\n", {{V2 "/a/b/cpuset.cpus.effective", "1,3\n"}}, "1,3"},
    {"v2, the nearest group that tells",
     "0::/a/b\n",
     {{V2 "/a/cpuset.cpus.effective", "0-5\n"}, {V2 "/cpuset.cpus.effective", "0-63\n"}},
     "0-5"},
    {"v2, empty", "0::/a\n", {{V2 "/a/cpuset.cpus.effective", "\n"}}, NULL},
};

static void test_cpu_sets(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        char root[TREE_PATH_BYTES], cpus[MIM_CGROUP_CPUS_BYTES] = "";
        tree_make(root);
        if (sets[i].self)
            tree_put(root, "proc/self/cgroup", sets[i].self);
        for (size_t k = 0; k < 3 && sets[i].files[k][0]; k++)
            tree_put(root, sets[i].files[k][0], sets[i].files[k][1]);
        const bool is_found = mim_cgroup_cpus(root, cpus);
        tree_remove(root);
        if (is_found != (sets[i].cpus != NULL) || (is_found && strcmp(cpus, sets[i].cpus) != 0))
            fail_msg("%s: \"%s\"", sets[i].what, is_found ? cpus : "not found");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_trees), cmocka_unit_test(test_places),
                                       cmocka_unit_test(test_cpu_sets)};
    return cmocka_run_group_tests_name("cgroup", tests, NULL, NULL);
}
