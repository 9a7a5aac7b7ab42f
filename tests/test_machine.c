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
#include <unistd.h>

#include <cmocka.h>

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
        cmocka_unit_test(test_misuse),
    };
    return cmocka_run_group_tests_name("machine", tests, NULL, NULL);
}
