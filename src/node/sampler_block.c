/* Whole disks from /sys/block/NAME/stat: every disk but RAM disks and loop devices. */
#include <dirent.h>
#include <stdlib.h>

#include "core/text.h"
#include "node/sampler_source.h"

typedef struct disk {
    mim_kept_file stat;
    bool is_listed;
} disk;

typedef struct block_source {
    mim_source base;
    char *folder;
    DIR *listing; /* kept open: looking again allocates nothing */
    size_t capacity;
    disk *disks; /* [rows of the table] */
} block_source;

static void block_close(mim_source *source)
{
    block_source *s = (block_source *)source;

    for (size_t i = 0; i < source->tables[0].n_rows; i++)
        mim_kept_close(&s->disks[i].stat);
    if (s->listing)
        closedir(s->listing);
    free(s->disks);
    free(s->folder);
    mim_source_free(source);
}

static bool is_counted(const char *name)
{
    return name[0] != '.' && strncmp(name, "ram", 3) != 0 && strncmp(name, "loop", 4) != 0;
}

static int add_disk(block_source *s, const char *name)
{
    mim_table *table = &s->base.tables[0];
    char *folder = NULL;
    int rc = MIM_OK;
    disk new = {.is_listed = true};

    if (table->n_rows == s->capacity) {
        size_t capacity = s->capacity ? 2 * s->capacity : 8;
        disk *disks = realloc(s->disks, capacity * sizeof *disks);
        if (!disks)
            return mim_fail(MIM_ENOMEM, "table of %zu disks", capacity);
        s->disks = disks;
        s->capacity = capacity;
    }
    if (!(folder = mim_join_path(s->folder, name))) {
        rc = mim_fail(MIM_ENOMEM, "%s/%s", s->folder, name);
        goto done;
    }
    size_t at = mim_table_place(table, name);
    if ((rc = mim_kept_open(&new.stat, folder, "stat")) != MIM_OK ||
        (rc = mim_table_insert(table, at, name)) != MIM_OK)
        goto done;
    memmove(s->disks + at + 1, s->disks + at, (table->n_rows - 1 - at) * sizeof *s->disks);
    s->disks[at] = new;
    new = (disk){.is_listed = false};
done:
    mim_kept_close(&new.stat);
    free(folder);
    return rc;
}

static void remove_disk(block_source *s, size_t row)
{
    mim_table *table = &s->base.tables[0];

    mim_kept_close(&s->disks[row].stat);
    memmove(s->disks + row, s->disks + row + 1, (table->n_rows - row - 1) * sizeof *s->disks);
    mim_table_remove(table, row);
}

/* A disk that cannot be opened or has no memory is tried again at the next look. */
static void block_refresh(mim_source *source)
{
    block_source *s = (block_source *)source;
    mim_table *table = &source->tables[0];

    for (size_t i = 0; i < table->n_rows; i++)
        s->disks[i].is_listed = false;
    rewinddir(s->listing);
    for (struct dirent *entry; (entry = readdir(s->listing)) != NULL;) {
        if (!is_counted(entry->d_name))
            continue;
        size_t row = mim_table_find(table, entry->d_name, strlen(entry->d_name), SIZE_MAX);
        if (row != SIZE_MAX)
            s->disks[row].is_listed = true;
        else
            add_disk(s, entry->d_name);
    }
    for (size_t i = table->n_rows; i-- > 0;)
        if (!s->disks[i].is_listed)
            remove_disk(s, i);
}

static int block_open(const mim_source_roots *roots, mim_source **source)
{
    block_source *s = mim_source_new(sizeof *s, &mim_source_block);
    int rc = MIM_ENOMEM;

    if (!s)
        goto done;
    mim_table_init(&s->base.tables[0], "block",
                   "rd_ios,E rd_merges,E rd_sectors,E,U=512B rd_ticks,E,U=ms wr_ios,E wr_merges,E "
                   "wr_sectors,E,U=512B wr_ticks,E,U=ms in_flight io_ticks,E,U=ms "
                   "time_in_queue,E,U=ms");
    s->base.n_tables = 1;
    if (!(s->folder = mim_join_path(roots->sys, "block"))) {
        rc = mim_fail(MIM_ENOMEM, "%s/block", roots->sys);
        goto done;
    }
    if (!(s->listing = opendir(s->folder))) {
        rc = mim_fail(MIM_EUNSUP, "%s: cannot be read", s->folder);
        goto done;
    }
    block_refresh(&s->base);
    *source = &s->base;
    s = NULL;
    rc = MIM_OK;
done:
    if (s)
        block_close(&s->base);
    return rc;
}

static void block_read(mim_source *source)
{
    block_source *s = (block_source *)source;
    mim_table *table = &source->tables[0];

    for (size_t i = 0; i < table->n_rows; i++) {
        mim_table_row *row = &table->rows[i];
        bool is_read = mim_kept_read(&s->disks[i].stat);
        row->is_present =
            is_read && mim_scan_u64_n(s->disks[i].stat.text, table->n_values, row->values);
        if (!is_read)
            source->is_refresh_due = true;
    }
}

const mim_source_ops mim_source_block = {.name = "block",
                                         .tier = 1,
                                         .types = "block",
                                         .open = block_open,
                                         .read = block_read,
                                         .refresh = block_refresh,
                                         .close = block_close};
