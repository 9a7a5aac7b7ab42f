/* The machine's description against what the system itself says, and against a synthetic topology.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <hwloc.h>

#include "node/cgroup.h"
#include "node/machine.h"

static mim_machine *create(size_t max_cpus)
{
    mim_machine *machine = NULL;

    if (mim_machine_create(max_cpus, &machine) != MIM_OK)
        fail_msg("%s", mim_error());
    assert_non_null(machine);
    return machine;
}

static void test_cpus_are_those_of_the_affinity_mask(void **unused)
{
    cpu_set_t mask;
    mim_machine *machine = create(0);

    (void)unused;
    assert_int_equal(sched_getaffinity(0, sizeof mask, &mask), 0);
    assert_int_equal(machine->n_cpus, CPU_COUNT(&mask));
    assert_true(machine->n_sockets >= 1 && machine->n_sockets <= machine->n_cpus);
    for (size_t i = 0; i < machine->n_cpus; i++) {
        const mim_cpu *cpu = &machine->cpus[i], *before = i > 0 ? cpu - 1 : NULL;

        assert_true(CPU_ISSET((size_t)cpu->os_index, &mask));
        assert_true(cpu->socket >= 0 && (size_t)cpu->socket < machine->n_sockets);
        assert_true(cpu->numa_node >= 0);
        if (before)
            assert_true(before->socket < cpu->socket ||
                        (before->socket == cpu->socket && before->os_index < cpu->os_index));
    }
    mim_machine_destroy(&machine);
    assert_null(machine);
}

/* As under a batch system that gave one CPU; the key stays, as costs were measured a thread. */
static void test_narrow_affinity_narrows_the_machine_but_not_its_key(void **unused)
{
    cpu_set_t mask, one;
    mim_machine *all = create(0), *narrow;
    int last = all->cpus[all->n_cpus - 1].os_index;

    (void)unused;
    assert_int_equal(sched_getaffinity(0, sizeof mask, &mask), 0);
    CPU_ZERO(&one);
    CPU_SET((size_t)last, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    narrow = create(0);
    assert_int_equal(sched_setaffinity(0, sizeof mask, &mask), 0);
    assert_int_equal(narrow->n_cpus, 1);
    assert_int_equal(narrow->cpus[0].os_index, last);
    assert_int_equal(narrow->cpus[0].socket, 0);
    assert_int_equal(narrow->n_sockets, 1);
    assert_string_equal(narrow->key, all->key);
    mim_machine_destroy(&narrow);
    mim_machine_destroy(&all);
}

static void test_max_cpus_takes_the_first_ones(void **unused)
{
    mim_machine *all = create(0), *one = create(1), *many = create(1000000);

    (void)unused;
    assert_int_equal(one->n_cpus, 1);
    assert_int_equal(one->cpus[0].os_index, all->cpus[0].os_index);
    assert_int_equal(many->n_cpus, all->n_cpus);
    assert_string_equal(one->key, all->key);
    mim_machine_destroy(&all);
    mim_machine_destroy(&one);
    mim_machine_destroy(&many);
}

static void test_names_and_memory_are_the_systems(void **unused)
{
    struct utsname name;
    char line[256];
    unsigned long long total_kib = 0, available_kib = 0;
    double left;
    mim_machine *machine = create(0);
    FILE *meminfo = fopen("/proc/meminfo", "r");

    (void)unused;
    assert_non_null(meminfo);
    while (fgets(line, sizeof line, meminfo)) {
        sscanf(line, "MemTotal: %llu", &total_kib);
        sscanf(line, "MemAvailable: %llu", &available_kib);
    }
    fclose(meminfo);
    assert_int_equal(uname(&name), 0);
    assert_string_equal(machine->kernel, name.release);
    assert_string_equal(machine->hostname, name.nodename);
    assert_true(strlen(machine->cpu_model) > 0);
    assert_true((double)machine->memory_bytes > 0.98 * 1024.0 * (double)total_kib);
    assert_true((double)machine->memory_bytes < 1.02 * 1024.0 * (double)total_kib);
    /* Others take and free memory between the readings; a job's limit may be far below. */
    left = (double)mim_cgroup_memory_left("");
    if (left > 1024.0 * (double)available_kib)
        left = 1024.0 * (double)available_kib;
    assert_true((double)machine->memory_available_bytes > 0.5 * left);
    assert_true(machine->memory_available_bytes <= machine->memory_bytes);
    assert_int_equal(strlen(machine->key), 16);
    assert_int_equal(strspn(machine->key, "0123456789abcdef"), 16);
    mim_machine_destroy(&machine);
}

/* Size in bytes of a cache of CPU 0 as sysfs says; 0 when it does not. */
static uint64_t sysfs_cache(int wanted_level, const char *unwanted_type)
{
    for (int i = 0; i < 8; i++) {
        char path[128], type[32] = "";
        int level = 0;
        unsigned long long kib = 0;
        FILE *file;

        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/level", i);
        if ((file = fopen(path, "r"))) {
            level = fscanf(file, "%d", &level) == 1 ? level : 0;
            fclose(file);
        }
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/type", i);
        if ((file = fopen(path, "r"))) {
            if (fscanf(file, "%31s", type) != 1)
                type[0] = '\0';
            fclose(file);
        }
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/size", i);
        if ((file = fopen(path, "r"))) {
            kib = fscanf(file, "%lluK", &kib) == 1 ? kib : 0;
            fclose(file);
        }
        if (level == wanted_level && strcmp(type, unwanted_type) != 0)
            return 1024 * kib;
    }
    return 0;
}

static void test_caches_are_those_of_sysfs(void **unused)
{
    uint64_t l1d = sysfs_cache(1, "Instruction"), l2 = sysfs_cache(2, ""), l3 = sysfs_cache(3, "");
    mim_machine *machine = create(0);

    (void)unused;
    if (l1d > 0)
        assert_int_equal(machine->l1d_bytes, l1d);
    if (l2 > 0)
        assert_int_equal(machine->l2_bytes, l2);
    if (l3 > 0)
        assert_int_equal(machine->l3_bytes, l3);
    mim_machine_destroy(&machine);
    if (l1d == 0)
        skip();
}

/* hwloc's description of a machine we do not have: two packages of four cores, numbered in turn. */
static void test_two_sockets(void **unused)
{
    mim_machine *real = create(0), *machine;

    (void)unused;
    setenv("HWLOC_SYNTHETIC",
           "numa:2 pack:1 l3:1(size=14417920) l2:4(size=1048576) l1d:1(size=32768) "
           "pu:1(indexes=0,2,4,6,1,3,5,7)",
           1);
    machine = create(0);
    unsetenv("HWLOC_SYNTHETIC");
    assert_int_equal(machine->n_cpus, 8);
    assert_int_equal(machine->n_sockets, 2);
    for (size_t i = 0; i < 8; i++) {
        static const int numbers[] = {0, 2, 4, 6, 1, 3, 5, 7};

        assert_int_equal(machine->cpus[i].os_index, numbers[i]);
        assert_int_equal(machine->cpus[i].socket, i / 4);
        assert_int_equal(machine->cpus[i].numa_node, i / 4);
    }
    assert_int_equal(machine->l1d_bytes, 32768);
    assert_int_equal(machine->l2_bytes, 1048576);
    assert_int_equal(machine->l3_bytes, 14417920);
    assert_string_not_equal(machine->key, real->key);
    mim_machine_destroy(&machine);
    mim_machine_destroy(&real);
}

/* A machine that hwloc is told of. */
static mim_machine *create_synthetic(const char *text)
{
    setenv("HWLOC_SYNTHETIC", text, 1);
    mim_machine *machine = create(0);
    unsetenv("HWLOC_SYNTHETIC");
    return machine;
}

static void test_unknown_parts(void **unused)
{
    static const struct {
        const char *text;
        size_t n_cpus, n_sockets;
        uint64_t l1d_bytes, l2_bytes, l3_bytes;
    } cases[] = {
        {"core:4 pu:1", 4, 1, 0, 0, 0}, /* neither packages nor caches */
        {"core:3 pu:2", 6, 1, 0, 0, 0},
        {"pu:1", 1, 1, 0, 0, 0},
        {"pack:2 core:2 pu:2", 8, 2, 0, 0, 0}, /* no caches */
        {"pack:1 l2:2(size=524288) core:1 pu:1", 2, 1, 0, 524288, 0},
        {"numa:4 core:2 pu:1", 8, 1, 0, 0, 0}, /* nodes are no packages */
        {"pack:2 numa:2 l3:2(size=16777216) core:4 pu:2", 64, 2, 0, 0, 16777216},
        {"pack:8 core:128 pu:2", 2048, 8, 0, 0, 0},
        {"pack:2 core:2048 pu:1", 4096, 2, 0, 0, 0},
    };
    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        mim_machine *m = create_synthetic(cases[i].text);
        if (m->n_cpus != cases[i].n_cpus || m->n_sockets != cases[i].n_sockets ||
            m->l1d_bytes != cases[i].l1d_bytes || m->l2_bytes != cases[i].l2_bytes ||
            m->l3_bytes != cases[i].l3_bytes)
            fail_msg("%s: %zu CPUs in %zu sockets, caches %llu %llu %llu", cases[i].text, m->n_cpus,
                     m->n_sockets, (unsigned long long)m->l1d_bytes,
                     (unsigned long long)m->l2_bytes, (unsigned long long)m->l3_bytes);
        for (size_t c = 0; c < m->n_cpus; c++)
            assert_true(m->cpus[c].os_index == (int)c && m->cpus[c].numa_node >= 0);
        assert_int_equal(strlen(m->key), 16);
        assert_true(*m->cpu_model);
        mim_machine_destroy(&m);
    }
}

/* The same machine by hwloc's own file; and files that are none. */
static void test_topology_files(void **unused)
{
    static const char text[] = "pack:2 l3:1(size=16777216) core:4 pu:2";
    char path[] = "/tmp/mim-test-topology-XXXXXX";
    hwloc_topology_t topology;
    mim_machine *synthetic = create_synthetic(text), *machine = NULL;
    const int fd = mkstemp(path);
    (void)unused;
    assert_true(fd >= 0);
    assert_int_equal(hwloc_topology_init(&topology), 0);
    assert_int_equal(hwloc_topology_set_synthetic(topology, text), 0);
    assert_int_equal(hwloc_topology_load(topology), 0);
    assert_int_equal(hwloc_topology_export_xml(topology, path, 0), 0);
    hwloc_topology_destroy(topology);
    setenv("HWLOC_XMLFILE", path, 1);
    machine = create(0);
    assert_int_equal(machine->n_cpus, synthetic->n_cpus);
    assert_int_equal(machine->n_sockets, 2);
    assert_int_equal(machine->l3_bytes, 16777216);
    assert_string_equal(machine->key, synthetic->key);
    mim_machine_destroy(&machine);
    assert_int_equal(ftruncate(fd, 100), 0); /* cut: hwloc says so, or looks at this machine */
    if (mim_machine_create(0, &machine) == MIM_OK)
        assert_true(machine->n_cpus > 0);
    else
        assert_non_null(strstr(mim_error(), "topology"));
    unsetenv("HWLOC_XMLFILE");
    close(fd);
    unlink(path);
    mim_machine_destroy(&machine);
    mim_machine_destroy(&synthetic);
}

/* Slurm that binds nothing leaves other jobs' CPUs in the mask. */
static void test_slurm_grants(void **unused)
{
    static const struct {
        const char *job, *list, *node; /* NULL = not set */
        size_t n_cpus;                 /* of 16 */
    } cases[] = {
        {NULL, "4", NULL, 16}, /* not in a job */
        {"7", NULL, NULL, 16},      {"7", "4", NULL, 4},
        {"7", "4", "0", 4},         {"7", "16", "0", 16},
        {"7", "64", "0", 16},       {"7", "2,6", "0", 2},
        {"7", "2,6", "1", 6},       {"7", "8(x2),3", "1", 8},
        {"7", "8(x2),3", "2", 3},   {"7", "8(x2),3", "3", 16}, /* does not say */
        {"7", "1,4(x3),2", "3", 4}, {"7", "1,4(x3),2", "4", 2},
        {"7", "", "0", 16},         {"7", "four", "0", 16},
        {"7", "0", "0", 16},        {"7", "4(x", "0", 16},
        {"7", "4(x2", "0", 16},     {"7", "4;5", "0", 16},
        {"7", "4", "one", 16},      {"7", "99999999999999999999", "0", 16},
    };
    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *const names[3] = {"SLURM_JOB_ID", "SLURM_JOB_CPUS_PER_NODE", "SLURM_NODEID"};
        const char *const values[3] = {cases[i].job, cases[i].list, cases[i].node};
        for (size_t v = 0; v < 3; v++)
            assert_int_equal(values[v] ? setenv(names[v], values[v], 1) : unsetenv(names[v]), 0);
        mim_machine *m = create_synthetic("pack:2 core:8 pu:1");
        for (size_t v = 0; v < 3; v++)
            unsetenv(names[v]);
        if (m->n_cpus != cases[i].n_cpus)
            fail_msg("\"%s\" on node %s: %zu CPUs, expected %zu", cases[i].list,
                     cases[i].node ? cases[i].node : "-", m->n_cpus, cases[i].n_cpus);
        assert_true((strstr(m->cpus_from, "Slurm") != NULL) == (cases[i].n_cpus < 16));
        assert_int_equal(m->cpus[m->n_cpus - 1].os_index, m->n_cpus - 1);
        mim_machine_destroy(&m);
    }
}

/* A batch job's cpuset, on a real v1 tree: this process has one CPU then, pinned or not. */
static void test_real_cpuset(void **unused)
{
    char folder[96], command[512];
    mim_machine *all = create(0);
    const int last = all->cpus[all->n_cpus - 1].os_index;
    (void)unused;
    snprintf(folder, sizeof folder, "/sys/fs/cgroup/cpuset/mim-test.%ld", (long)getpid());
    snprintf(command, sizeof command,
             "mkdir %s && cat /sys/fs/cgroup/cpuset/cpuset.mems >%s/cpuset.mems && "
             "echo %d >%s/cpuset.cpus",
             folder, folder, last, folder);
    if (geteuid() != 0 || access("/sys/fs/cgroup/cpuset/cpuset.cpus", W_OK) != 0 ||
        system(command) != 0) {
        mim_machine_destroy(&all);
        print_message("skipped: making a cpuset needs root and cgroup v1\n");
        skip();
    }
    const pid_t child = fork();
    if (child == 0) {
        char path[128], expected[64];
        mim_machine *m = NULL;
        snprintf(path, sizeof path, "%s/cgroup.procs", folder);
        FILE *file = fopen(path, "w");
        if (!file || fputs("0", file) < 0 || fclose(file) != 0)
            _exit(1);
        snprintf(expected, sizeof expected, "cpuset %d)", last);
        if (mim_machine_create(0, &m) != MIM_OK || m->n_cpus != 1 || m->cpus[0].os_index != last)
            _exit(2);
        if (!strstr(m->cpus_from, expected) || strcmp(m->key, all->key) != 0)
            _exit(3);
        _exit(0);
    }
    int how = 0;
    assert_int_equal(waitpid(child, &how, 0), child);
    const int left = rmdir(folder);
    mim_machine_destroy(&all);
    assert_int_equal(left, 0);
    assert_int_equal(how, 0);
}

static void test_misuse(void **unused)
{
    mim_machine *none = NULL;

    (void)unused;
    assert_int_equal(mim_machine_create(0, NULL), MIM_EINVAL);
    mim_machine_destroy(&none);
    mim_machine_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cpus_are_those_of_the_affinity_mask),
        cmocka_unit_test(test_narrow_affinity_narrows_the_machine_but_not_its_key),
        cmocka_unit_test(test_max_cpus_takes_the_first_ones),
        cmocka_unit_test(test_names_and_memory_are_the_systems),
        cmocka_unit_test(test_caches_are_those_of_sysfs),
        cmocka_unit_test(test_two_sockets),
        cmocka_unit_test(test_unknown_parts),
        cmocka_unit_test(test_topology_files),
        cmocka_unit_test(test_slurm_grants),
        cmocka_unit_test(test_real_cpuset),
        cmocka_unit_test(test_misuse),
    };
    return cmocka_run_group_tests_name("machine", tests, NULL, NULL);
}
