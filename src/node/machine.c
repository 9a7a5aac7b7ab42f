#include "node/machine.h"

#include <hwloc.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "core/text.h"
#include "node/cgroup.h"

static void copy_text(char *target, size_t n_bytes, const char *text)
{
    snprintf(target, n_bytes, "%s", text ? text : "unknown");
}

static int compare_cpus(const void *a, const void *b)
{
    const mim_cpu *x = a, *y = b;

    if (x->socket != y->socket)
        return x->socket < y->socket ? -1 : 1;
    return (x->os_index > y->os_index) - (x->os_index < y->os_index);
}

/* Sockets are numbered 0.. over the CPUs in use: an allocation may hold the second package only. */
static size_t renumber_sockets(size_t n_cpus, mim_cpu *cpus)
{
    size_t n_sockets = 0;
    int previous = -1;

    for (size_t i = 0; i < n_cpus; i++) {
        if (i == 0 || cpus[i].socket != previous)
            n_sockets++;
        previous = cpus[i].socket;
        cpus[i].socket = (int)n_sockets - 1;
    }
    return n_sockets;
}

/* `usable`: CPUs this thread may run on. */
static int list_cpus(hwloc_topology_t topology, hwloc_const_bitmap_t usable, size_t max_cpus,
                     mim_machine *machine)
{
    hwloc_obj_t pu = NULL;
    int n_pus = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_PU);

    machine->cpus = calloc(n_pus > 0 ? (size_t)n_pus : 1, sizeof *machine->cpus);
    if (!machine->cpus)
        return mim_fail(MIM_ENOMEM, "list of %d CPUs", n_pus);
    while ((pu = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_PU, pu)) != NULL) {
        hwloc_obj_t package = hwloc_get_ancestor_obj_by_type(topology, HWLOC_OBJ_PACKAGE, pu);
        int node = pu->nodeset ? hwloc_bitmap_first(pu->nodeset) : 0;

        if (!hwloc_bitmap_isset(usable, pu->os_index))
            continue;
        machine->cpus[machine->n_cpus++] =
            (mim_cpu){.os_index = (int)pu->os_index,
                      .socket = package ? (int)package->logical_index : 0,
                      .numa_node = node < 0 ? 0 : node};
    }
    if (machine->n_cpus == 0)
        return mim_fail(MIM_EUNSUP, "none of this machine's %d CPUs may be used by this process",
                        n_pus);
    qsort(machine->cpus, machine->n_cpus, sizeof *machine->cpus, compare_cpus);
    if (max_cpus > 0 && max_cpus < machine->n_cpus)
        machine->n_cpus = max_cpus;
    machine->n_sockets = renumber_sockets(machine->n_cpus, machine->cpus);
    return MIM_OK;
}

static uint64_t cache_bytes(hwloc_topology_t topology, hwloc_obj_type_t type)
{
    hwloc_obj_t cache = hwloc_get_obj_by_type(topology, type, 0);

    return cache && cache->attr ? cache->attr->cache.size : 0;
}

/* Those this allocation may not use, too: sizes shall be the same in every one. */
static uint32_t l3_sharers(hwloc_topology_t topology)
{
    hwloc_obj_t cache = hwloc_get_obj_by_type(topology, HWLOC_OBJ_L3CACHE, 0);
    int n = cache && cache->complete_cpuset ? hwloc_bitmap_weight(cache->complete_cpuset) : 0;

    return n > 0 ? (uint32_t)n : 0;
}

/* A number of KiB in /proc/meminfo, in bytes; 0 when it is not there. hwloc sums the NUMA nodes,
 * whose totals lag behind in machines that are given memory while they run. */
static uint64_t meminfo_bytes(const char *label)
{
    char line[256];
    size_t n = strlen(label);
    uint64_t kib = 0;
    FILE *file = fopen("/proc/meminfo", "r");

    if (!file)
        return 0;
    while (kib == 0 && fgets(line, sizeof line, file))
        if (strncmp(line, label, n) != 0 || sscanf(line + n, ": %" SCNu64, &kib) != 1)
            kib = 0;
    fclose(file);
    return kib * 1024;
}

/* The key counts the CPUs of the whole machine, not of this allocation: costs of one thread are the
 * same in every allocation, and a calibration must be found again from the next job. */
static void make_key(hwloc_topology_t topology, mim_machine *machine)
{
    char text[512];
    int n_all = hwloc_bitmap_weight(hwloc_topology_get_complete_cpuset(topology));

    snprintf(text, sizeof text, "%s|%d|%" PRIu64 "|%" PRIu64 "|%" PRIu64 "|%s", machine->cpu_model,
             n_all, machine->l1d_bytes, machine->l2_bytes, machine->l3_bytes, machine->kernel);
    snprintf(machine->key, sizeof machine->key, "%016" PRIx64,
             mim_hash_text(MIM_HASH_START, text, strlen(text)));
}

static int describe(hwloc_topology_t topology, mim_machine *machine)
{
    struct utsname name;
    uint64_t left;
    hwloc_obj_t root = hwloc_get_root_obj(topology);
    hwloc_obj_t package = hwloc_get_obj_by_type(topology, HWLOC_OBJ_PACKAGE, 0);
    const char *model = package ? hwloc_obj_get_info_by_name(package, "CPUModel") : NULL;

    if (uname(&name) != 0)
        return mim_fail(MIM_EIO, "the kernel's name and release cannot be read");
    if (!model)
        model = hwloc_obj_get_info_by_name(root, "CPUModel");
    copy_text(machine->cpu_model, sizeof machine->cpu_model, model);
    copy_text(machine->kernel, sizeof machine->kernel, name.release);
    copy_text(machine->hostname, sizeof machine->hostname, name.nodename);
    machine->l1d_bytes = cache_bytes(topology, HWLOC_OBJ_L1CACHE);
    machine->l2_bytes = cache_bytes(topology, HWLOC_OBJ_L2CACHE);
    machine->l3_bytes = cache_bytes(topology, HWLOC_OBJ_L3CACHE);
    machine->l3_sharers = l3_sharers(topology);
    if ((machine->memory_bytes = meminfo_bytes("MemTotal")) == 0)
        machine->memory_bytes = root->total_memory;
    /* Counts reclaimable cache too, which free memory does not. */
    machine->memory_available_bytes = meminfo_bytes("MemAvailable");
    if ((left = mim_cgroup_memory_left("")) < machine->memory_available_bytes)
        machine->memory_available_bytes = left;
    make_key(topology, machine);
    return MIM_OK;
}

int mim_machine_create(size_t max_cpus, mim_machine **machine)
{
    int rc = MIM_OK;
    bool has_topology = false;
    hwloc_topology_t topology;
    hwloc_bitmap_t usable = NULL;
    mim_machine *m = NULL;

    if (!machine)
        return mim_fail(MIM_EINVAL, "mim_machine_create: no place for the machine");
    if (!(m = calloc(1, sizeof *m)) || !(usable = hwloc_bitmap_alloc())) {
        rc = mim_fail(MIM_ENOMEM, "machine description");
        goto done;
    }
    if (hwloc_topology_init(&topology) != 0) {
        rc = mim_fail(MIM_ENOMEM, "hwloc topology");
        goto done;
    }
    has_topology = true;
    if (hwloc_topology_load(topology) != 0) {
        rc = mim_fail(MIM_EUNSUP, "hwloc cannot read this machine's topology");
        goto done;
    }
    if (hwloc_get_cpubind(topology, usable, HWLOC_CPUBIND_THREAD) != 0 ||
        hwloc_bitmap_iszero(usable))
        hwloc_bitmap_copy(usable, hwloc_topology_get_allowed_cpuset(topology));
    if ((rc = list_cpus(topology, usable, max_cpus, m)) != MIM_OK ||
        (rc = describe(topology, m)) != MIM_OK)
        goto done;
    *machine = m;
    m = NULL;
done:
    mim_machine_destroy(&m);
    hwloc_bitmap_free(usable);
    if (has_topology)
        hwloc_topology_destroy(topology);
    return rc;
}

void mim_machine_destroy(mim_machine **machine)
{
    if (!machine || !*machine)
        return;
    free((*machine)->cpus);
    free(*machine);
    *machine = NULL;
}

mim_caches mim_machine_caches(const mim_machine *machine)
{
    return (mim_caches){.l1d_bytes = machine->l1d_bytes,
                        .l2_bytes = machine->l2_bytes,
                        .llc_bytes = machine->l3_bytes,
                        .llc_sharers = machine->l3_sharers};
}
