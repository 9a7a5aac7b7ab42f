/* Memory of each NUMA node: types mem and numa, from /sys/devices/system/node/nodeN. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/text.h"
#include "node/sampler_source.h"

static const char *const mem_keys[] = {
    "MemTotal",  "MemFree",   "MemUsed",       "Active",          "Inactive",      "Dirty",
    "Writeback", "FilePages", "Mapped",        "AnonPages",       "PageTables",    "NFS_Unstable",
    "Bounce",    "Slab",      "AnonHugePages", "HugePages_Total", "HugePages_Free"};
static const char *const numa_keys[] = {"numa_hit",       "numa_miss",  "numa_foreign",
                                        "interleave_hit", "local_node", "other_node"};
enum {
    N_MEM_KEYS = sizeof mem_keys / sizeof *mem_keys,
    N_NUMA_KEYS = sizeof numa_keys / sizeof *numa_keys,
    MEM_REQUIRED = 7, /* MemTotal, MemFree, MemUsed */
    NUMA_REQUIRED = (1 << N_NUMA_KEYS) - 1,
    MAX_NODES = 1024,
};

typedef struct node_files {
    mim_kept_file meminfo, numastat;
    size_t prefix_bytes; /* of "Node 0 " */
} node_files;

typedef struct node_source {
    mim_source base; /* tables: mem, numa */
    size_t n_nodes;
    node_files *nodes; /* [n_nodes] */
    mim_keyed mem, numa;
} node_source;

static void node_close(mim_source *source)
{
    node_source *s = (node_source *)source;

    for (size_t i = 0; i < s->n_nodes; i++) {
        mim_kept_close(&s->nodes[i].meminfo);
        mim_kept_close(&s->nodes[i].numastat);
    }
    free(s->nodes);
    mim_source_free(source);
}

static int compare_numbers(const void *a, const void *b)
{
    const unsigned *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* Numbers of the nodes in rising order; 0 when there are none. */
static size_t list_nodes(const char *folder, unsigned numbers[MAX_NODES])
{
    DIR *listing = opendir(folder);
    size_t n = 0;

    for (struct dirent *entry; listing && n < MAX_NODES && (entry = readdir(listing)) != NULL;) {
        const char *p = entry->d_name + 4;
        uint64_t number;
        if (strncmp(entry->d_name, "node", 4) == 0 && mim_is_digit(*p) &&
            mim_scan_u64(&p, &number) && *p == 0 && number < UINT32_MAX)
            numbers[n++] = (unsigned)number;
    }
    if (listing)
        closedir(listing);
    qsort(numbers, n, sizeof *numbers, compare_numbers);
    return n;
}

/* A node whose files cannot be read (memory that was taken out) is left out. */
static int add_node(node_source *s, const char *nodes_folder, unsigned number)
{
    char *folder = mim_format("%s/node%u", nodes_folder, number);
    char device[16];
    node_files files = {.prefix_bytes = 0};
    int rc = MIM_OK;

    if (!folder)
        return mim_fail(MIM_ENOMEM, "%s/node%u", nodes_folder, number);
    snprintf(device, sizeof device, "%u", number);
    files.prefix_bytes = strlen("Node ") + strlen(device) + 1;
    if (mim_kept_open(&files.meminfo, folder, "meminfo") != MIM_OK ||
        mim_kept_open(&files.numastat, folder, "numastat") != MIM_OK)
        goto done;
    if ((rc = mim_table_add(&s->base.tables[0], device)) != MIM_OK ||
        (rc = mim_table_add(&s->base.tables[1], device)) != MIM_OK)
        goto done;
    s->nodes[s->n_nodes++] = files;
    files = (node_files){.prefix_bytes = 0};
done:
    mim_kept_close(&files.meminfo);
    mim_kept_close(&files.numastat);
    free(folder);
    return rc;
}

static int node_open(const mim_source_roots *roots, mim_source **source)
{
    node_source *s = mim_source_new(sizeof *s, &mim_source_node);
    char *folder = mim_join_path(roots->sys, "devices/system/node");
    unsigned numbers[MAX_NODES];
    size_t n = folder ? list_nodes(folder, numbers) : 0;
    int rc = MIM_ENOMEM;

    if (!s || !folder || !(s->nodes = calloc(n + 1, sizeof *s->nodes))) {
        rc = mim_fail(MIM_ENOMEM, "table of %zu NUMA nodes", n);
        goto done;
    }
    mim_table_init(&s->base.tables[0], "mem",
                   "MemTotal,U=KB MemFree,U=KB MemUsed,U=KB Active,U=KB Inactive,U=KB Dirty,U=KB "
                   "Writeback,U=KB FilePages,U=KB Mapped,U=KB AnonPages,U=KB PageTables,U=KB "
                   "NFS_Unstable,U=KB Bounce,U=KB Slab,U=KB AnonHugePages,U=KB HugePages_Total "
                   "HugePages_Free");
    mim_table_init(&s->base.tables[1], "numa",
                   "numa_hit,E numa_miss,E numa_foreign,E interleave_hit,E local_node,E "
                   "other_node,E");
    s->base.n_tables = 2;
    mim_keyed_init(&s->mem, mem_keys, N_MEM_KEYS, MEM_REQUIRED);
    mim_keyed_init(&s->numa, numa_keys, N_NUMA_KEYS, NUMA_REQUIRED);
    for (size_t i = 0; i < n; i++)
        if ((rc = add_node(s, folder, numbers[i])) != MIM_OK)
            goto done;
    if (s->n_nodes == 0) {
        rc = mim_fail(MIM_EUNSUP, "%s: no readable node", folder);
        goto done;
    }
    *source = &s->base;
    s = NULL;
    rc = MIM_OK;
done:
    free(folder);
    if (s)
        node_close(&s->base);
    return rc;
}

static void node_read(mim_source *source)
{
    node_source *s = (node_source *)source;

    for (size_t i = 0; i < s->n_nodes; i++) {
        node_files *files = &s->nodes[i];
        mim_table_row *mem = &source->tables[0].rows[i], *numa = &source->tables[1].rows[i];
        mem->is_present =
            mim_kept_read(&files->meminfo) &&
            mim_keyed_scan(&s->mem, files->meminfo.text, files->prefix_bytes, mem->values);
        numa->is_present = mim_kept_read(&files->numastat) &&
                           mim_keyed_scan(&s->numa, files->numastat.text, 0, numa->values);
    }
}

const mim_source_ops mim_source_node = {.name = "node",
                                        .tier = 1,
                                        .types = "mem numa",
                                        .open = node_open,
                                        .read = node_read,
                                        .close = node_close};
