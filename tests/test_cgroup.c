/* Memory limits of control groups, on hand-made trees in both versions' forms. */
#define _XOPEN_SOURCE 700 /* nftw */
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/atomic_file.h"
#include "node/cgroup.h"

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

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *walk)
{
    (void)st, (void)kind, (void)walk;
    return remove(path);
}

static void put(const char *root, const char *name, const char *text)
{
    char path[512], *slash;

    snprintf(path, sizeof path, "%s/%s", root, name);
    slash = strrchr(path, '/');
    *slash = '\0';
    assert_int_equal(mim_make_folder(path), 0);
    *slash = '/';
    assert_int_equal(mim_atomic_write(path, text, strlen(text)), 0);
}

static void test_trees(void **unused)
{
    const char *parent = getenv("TMPDIR");

    (void)unused;
    for (size_t i = 0; i < sizeof trees / sizeof trees[0]; i++) {
        char root[256];
        uint64_t left;

        snprintf(root, sizeof root, "%s/mim-test-cgroup.XXXXXX", parent ? parent : "/tmp");
        assert_non_null(mkdtemp(root));
        if (trees[i].self)
            put(root, "proc/self/cgroup", trees[i].self);
        for (size_t k = 0; k < N_FILES && trees[i].files[k][0]; k++)
            put(root, trees[i].files[k][0], trees[i].files[k][1]);
        left = mim_cgroup_memory_left(root);
        assert_int_equal(nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
        if (left != trees[i].left)
            fail_msg("%s: %llu, expected %llu", trees[i].what, (unsigned long long)left,
                     (unsigned long long)trees[i].left);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_trees)};
    return cmocka_run_group_tests_name("cgroup", tests, NULL, NULL);
}
