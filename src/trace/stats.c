#include "trace/stats.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "core/atomic_file.h"
#include "trace/stats_internal.h"

int mim_stats_read(const char *path, mim_stats **stats)
{
    char *text = NULL;
    size_t n_bytes = 0;
    int rc = mim_read_file(path, mim_stats_memory_limit(), &text, &n_bytes);
    if (rc == MIM_OK)
        rc = mim_stats_parse(path, text, n_bytes, stats);
    free(text);
    return rc;
}

void mim_stats_destroy(mim_stats **stats)
{
    if (!stats || !*stats)
        return;
    mim_stats *s = *stats;
    for (size_t i = 0; i < s->n_types; i++) {
        free(s->types[i].keys);
        free(s->types[i].fast_keys);
        free(s->types[i].devices);
    }
    while (s->arena) {
        mim_arena_chunk *next = s->arena->next;
        free(s->arena);
        s->arena = next;
    }
    free(s->properties);
    free(s->types);
    free(s->devices);
    free(s->hash);
    free(s->records);
    free(s->rows);
    free(s->values);
    free(s->marks);
    free(s);
    *stats = NULL;
}

mim_dialect mim_stats_dialect(const mim_stats *stats) { return stats->dialect; }

bool mim_stats_is_truncated(const mim_stats *stats) { return stats->is_truncated; }

const char *mim_stats_property(const mim_stats *stats, const char *name)
{
    for (size_t i = 0; i < stats->n_properties; i++)
        if (strcmp(stats->properties[i].name, name) == 0)
            return stats->properties[i].value;
    return NULL;
}

size_t mim_stats_n_types(const mim_stats *stats) { return stats->n_types; }

const char *mim_stats_type_name(const mim_stats *stats, size_t type)
{
    assert(type < stats->n_types);
    return stats->types[type].name;
}

size_t mim_stats_n_keys(const mim_stats *stats, size_t type)
{
    assert(type < stats->n_types);
    return stats->types[type].n_keys;
}

const mim_key *mim_stats_key(const mim_stats *stats, size_t type, size_t key)
{
    assert(type < stats->n_types && key < stats->types[type].n_keys);
    return &stats->types[type].keys[key];
}

size_t mim_stats_n_devices(const mim_stats *stats, size_t type)
{
    assert(type < stats->n_types);
    return stats->types[type].n_devices;
}

const char *mim_stats_device(const mim_stats *stats, size_t type, size_t device)
{
    assert(type < stats->n_types && device < stats->types[type].n_devices);
    return stats->devices[stats->types[type].devices[device]].name;
}

size_t mim_stats_find_type(const mim_stats *stats, const char *name)
{
    return mim_stats_type_lookup(stats, name, strlen(name));
}

/* MemTotal and mem_total, HugePages_Free and huge_pages_free are the same key. */
static bool same_key(const char *a, const char *b)
{
    for (;;) {
        while (*a == '_')
            a++;
        while (*b == '_')
            b++;
        if (tolower((unsigned char)*a) != tolower((unsigned char)*b))
            return false;
        if (*a == '\0')
            return true;
        a++;
        b++;
    }
}

size_t mim_stats_find_key(const mim_stats *stats, size_t type, const char *name)
{
    assert(type < stats->n_types);
    const mim_type *t = &stats->types[type];
    for (size_t i = 0; i < t->n_keys; i++)
        if (strcmp(t->keys[i].name, name) == 0)
            return i;
    for (size_t i = 0; i < t->n_keys; i++)
        if (same_key(t->keys[i].name, name))
            return i;
    return SIZE_MAX;
}

size_t mim_stats_find_device(const mim_stats *stats, size_t type, const char *name)
{
    assert(type < stats->n_types);
    size_t id = mim_stats_device_lookup(stats, type, name, strlen(name));
    return id == SIZE_MAX ? SIZE_MAX : stats->devices[id].index;
}

size_t mim_stats_n_records(const mim_stats *stats) { return stats->n_records; }

double mim_stats_record_time_s(const mim_stats *stats, size_t record)
{
    assert(record < stats->n_records);
    return stats->records[record].time_s;
}

const char *mim_stats_record_job(const mim_stats *stats, size_t record)
{
    assert(record < stats->n_records);
    return stats->records[record].job;
}

/* The parser puts one more record after the last, which only holds the ends. */
size_t mim_stats_n_marks(const mim_stats *stats, size_t record)
{
    assert(record < stats->n_records);
    return stats->records[record + 1].first_mark - stats->records[record].first_mark;
}

const char *mim_stats_mark(const mim_stats *stats, size_t record, size_t i)
{
    assert(i < mim_stats_n_marks(stats, record));
    return stats->marks[stats->records[record].first_mark + i];
}

size_t mim_stats_n_rows(const mim_stats *stats, size_t record)
{
    assert(record < stats->n_records);
    return stats->records[record + 1].first_row - stats->records[record].first_row;
}

mim_row mim_stats_row(const mim_stats *stats, size_t record, size_t i)
{
    assert(i < mim_stats_n_rows(stats, record));
    const mim_row_entry *entry = &stats->rows[stats->records[record].first_row + i];
    const mim_device *device = &stats->devices[entry->device];
    return (mim_row){.type = device->type,
                     .device = device->index,
                     .n_values = entry->n_values,
                     .values = stats->values + entry->first_value,
                     .keys = entry->is_fast ? stats->types[device->type].fast_keys : NULL};
}

/* Rows keep their places from record to record, or nearly so: look around the device's last one. */
mim_row mim_stats_find_row(const mim_stats *stats, size_t record, size_t type, size_t device)
{
    assert(type < stats->n_types && device < stats->types[type].n_devices);
    uint32_t id = stats->types[type].devices[device];
    const mim_row_entry *rows = stats->rows + stats->records[record].first_row;
    size_t n = mim_stats_n_rows(stats, record);
    size_t up = stats->devices[id].last_row, down = up;
    if (up > n)
        up = down = n;
    while (up < n || down > 0) {
        if (up < n && rows[up].device == id)
            return mim_stats_row(stats, record, up);
        if (down > 0 && rows[down - 1].device == id)
            return mim_stats_row(stats, record, down - 1);
        up += up < n;
        down -= down > 0;
    }
    return (mim_row){.type = type, .device = device};
}

bool mim_row_value(const mim_row *row, size_t key, uint64_t *value)
{
    if (!row->keys) {
        if (key >= row->n_values)
            return false;
        *value = row->values[key];
        return true;
    }
    for (size_t i = 0; i < row->n_values && row->keys[i] <= key; i++) {
        if (row->keys[i] == key) {
            *value = row->values[i];
            return true;
        }
    }
    return false;
}
