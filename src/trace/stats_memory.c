#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "trace/stats_internal.h"

char *mim_stats_keep_text(mim_stats *stats, const char *text, size_t length)
{
    mim_arena_chunk *chunk = stats->arena;
    if (!chunk || chunk->size - chunk->used <= length) {
        size_t size = length + 1 > 16000 ? length + 1 : 16000;
        chunk = malloc(sizeof *chunk + size);
        if (!chunk)
            return NULL;
        *chunk = (mim_arena_chunk){.next = stats->arena, .size = size};
        stats->arena = chunk;
    }
    char *copy = chunk->bytes + chunk->used;
    memcpy(copy, text, length);
    copy[length] = '\0';
    chunk->used += length + 1;
    return copy;
}

int mim_stats_grow(void **items, size_t *capacity, size_t n, size_t size)
{
    if (n <= *capacity)
        return MIM_OK;
    size_t more = *capacity + *capacity / 2;
    if (more < n)
        more = n;
    if (more < 16)
        more = 16;
    void *grown = more > SIZE_MAX / 2 / size ? NULL : realloc(*items, more * size);
    if (!grown)
        return mim_fail(MIM_ENOMEM, "%zu items of %zu bytes", more, size);
    *items = grown;
    *capacity = more;
    return MIM_OK;
}

size_t mim_stats_memory_limit(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
    if (pages <= 0 || page_bytes <= 0)
        return SIZE_MAX / 4;
    return (size_t)pages / 2 * (size_t)page_bytes;
}

/* ---- devices by name --------------------------------------------------------------------------
 */

static uint64_t hash_name(const mim_stats *stats, size_t type, const char *name, size_t length)
{
    uint64_t h = stats->hash_seed ^ (uint64_t)type * UINT64_C(0x9e3779b97f4a7c15);
    while (length > 0) {
        uint64_t word = 0;
        size_t n = length < 8 ? length : 8;
        memcpy(&word, name, n);
        h = (h ^ word ^ (uint64_t)length << 56) * UINT64_C(0xd6e8feb86659fd93);
        h ^= h >> 32;
        name += n;
        length -= n;
    }
    h *= UINT64_C(0xd6e8feb86659fd93);
    return h ^ h >> 29;
}

static bool device_is(const mim_stats *stats, size_t device, size_t type, const char *name,
                      size_t length)
{
    const mim_device *d = &stats->devices[device];
    return d->type == type && d->name_length == length && memcmp(d->name, name, length) == 0;
}

size_t mim_stats_device_lookup(const mim_stats *stats, size_t type, const char *name, size_t length)
{
    if (stats->hash_size == 0)
        return SIZE_MAX;
    size_t mask = stats->hash_size - 1;
    size_t at = (size_t)hash_name(stats, type, name, length) & mask;
    for (; stats->hash[at] != 0; at = (at + 1) & mask)
        if (device_is(stats, stats->hash[at] - 1, type, name, length))
            return stats->hash[at] - 1;
    return SIZE_MAX;
}

static void hash_put(mim_stats *stats, size_t device)
{
    const mim_device *d = &stats->devices[device];
    size_t mask = stats->hash_size - 1;
    size_t at = (size_t)hash_name(stats, d->type, d->name, d->name_length) & mask;
    while (stats->hash[at] != 0)
        at = (at + 1) & mask;
    stats->hash[at] = (uint32_t)(device + 1);
}

/* Keeps the table at most half full. */
static int hash_reserve(mim_stats *stats)
{
    if (2 * (stats->n_devices + 1) <= stats->hash_size)
        return MIM_OK;
    size_t size = stats->hash_size ? 2 * stats->hash_size : 256;
    uint32_t *hash = calloc(size, sizeof *hash);
    if (!hash)
        return mim_fail(MIM_ENOMEM, "table of %zu devices", size);
    if (stats->hash_size == 0) {
        struct timespec now = {0};
        clock_gettime(CLOCK_MONOTONIC, &now);
        stats->hash_seed = (uint64_t)now.tv_nsec * UINT64_C(0x9e3779b97f4a7c15) ^
                           (uint64_t)now.tv_sec ^ (uint64_t)(uintptr_t)hash;
    }
    free(stats->hash);
    stats->hash = hash;
    stats->hash_size = size;
    for (size_t i = 0; i < stats->n_devices; i++)
        hash_put(stats, i);
    return MIM_OK;
}

int mim_stats_device_add(mim_stats *stats, size_t type, const char *name, size_t length,
                         size_t *device)
{
    mim_type *t = &stats->types[type];
    void *items = stats->devices;
    int rc = mim_stats_grow(&items, &stats->devices_capacity, stats->n_devices + 1,
                            sizeof *stats->devices);
    stats->devices = items;
    if (rc != MIM_OK)
        return rc;
    items = t->devices;
    rc = mim_stats_grow(&items, &t->devices_capacity, t->n_devices + 1, sizeof *t->devices);
    t->devices = items;
    if (rc != MIM_OK)
        return rc;
    rc = hash_reserve(stats);
    if (rc != MIM_OK)
        return rc;
    const char *copy = mim_stats_keep_text(stats, name, length);
    if (!copy)
        return mim_fail(MIM_ENOMEM, "name of a device");
    size_t id = stats->n_devices++;
    stats->devices[id] = (mim_device){.name = copy,
                                      .name_length = length,
                                      .type = (uint32_t)type,
                                      .index = (uint32_t)t->n_devices};
    t->devices[t->n_devices++] = (uint32_t)id;
    hash_put(stats, id);
    *device = id;
    return MIM_OK;
}
