/* Memory file systems: what each tmpfs mount holds. */
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/vfs.h>

#include "core/text.h"
#include "node/sampler_source.h"

typedef struct mount_point {
    char *path; /* the device's name without its \040 escapes */
    bool is_listed;
} mount_point;

typedef struct tmpfs_source {
    mim_source base;
    mim_kept_file mounts;
    size_t capacity;
    mount_point *points; /* [rows of the table] */
} tmpfs_source;

typedef struct word {
    const char *text;
    size_t n_bytes;
} word;

static void tmpfs_close(mim_source *source)
{
    tmpfs_source *s = (tmpfs_source *)source;

    for (size_t i = 0; i < source->tables[0].n_rows; i++)
        free(s->points[i].path);
    mim_kept_close(&s->mounts);
    free(s->points);
    mim_source_free(source);
}

static bool is_word(word w, const char *text)
{
    return w.n_bytes == strlen(text) && strncmp(w.text, text, w.n_bytes) == 0;
}

/* "source path type options 0 0": the path and the type. */
static bool scan_mount(const char *line, word *path, word *type)
{
    const char *p = line + strcspn(line, " \n");

    path->text = mim_skip_spaces(p);
    path->n_bytes = strcspn(path->text, " \n");
    type->text = mim_skip_spaces(path->text + path->n_bytes);
    type->n_bytes = strcspn(type->text, " \n");
    return path->n_bytes > 0 && path->text[0] == '/' && type->n_bytes > 0;
}

static bool is_below(word path, word folder)
{
    return folder.n_bytes > 1 && path.n_bytes > folder.n_bytes &&
           path.text[folder.n_bytes] == '/' && strncmp(path.text, folder.text, folder.n_bytes) == 0;
}

/* Asking for a path below a mount whose server is gone would hang the sampler. */
static bool may_hang(const char *mounts, word path)
{
    static const char *const local[] = {"ext2", "ext3",     "ext4",  "xfs",      "btrfs", "tmpfs",
                                        "zfs",  "devtmpfs", "sysfs", "cgroup",   "proc",  "cgroup2",
                                        "vfat", "overlay",  "f2fs",  "squashfs", "ramfs"};
    for (const char *p = mounts; *p; p = mim_next_line(p)) {
        word folder, type;
        bool is_local = false;
        if (!scan_mount(p, &folder, &type) || !is_below(path, folder))
            continue;
        for (size_t i = 0; i < sizeof local / sizeof *local; i++)
            is_local = is_local || is_word(type, local[i]);
        if (!is_local)
            return true;
    }
    return false;
}

/* "/mnt/a\040b" as "/mnt/a b", in place. */
static void unescape(char *path)
{
    char *to = path;

    for (const char *from = path; *from; to++) {
        unsigned code = 0, n = 0;
        if (*from == '\\')
            while (n < 3 && from[n + 1] >= '0' && from[n + 1] <= '7')
                code = code * 8 + (unsigned)(from[++n] - '0');
        if (n == 3)
            *to = (char)code;
        else
            *to = *from;
        from += n == 3 ? 4 : 1;
    }
    *to = 0;
}

static int add_mount(tmpfs_source *s, word path)
{
    mim_table *table = &s->base.tables[0];
    char *device = mim_format("%.*s", (int)path.n_bytes, path.text), *unescaped = NULL;
    int rc = MIM_OK;

    if (table->n_rows == s->capacity) {
        size_t capacity = s->capacity ? 2 * s->capacity : 8;
        mount_point *points = realloc(s->points, capacity * sizeof *points);
        if (!points) {
            rc = mim_fail(MIM_ENOMEM, "table of %zu mounts", capacity);
            goto done;
        }
        s->points = points;
        s->capacity = capacity;
    }
    if (!device || !(unescaped = mim_strdup(device))) {
        rc = mim_fail(MIM_ENOMEM, "mount point");
        goto done;
    }
    unescape(unescaped);
    size_t at = mim_table_place(table, device);
    if ((rc = mim_table_insert(table, at, device)) != MIM_OK)
        goto done;
    memmove(s->points + at + 1, s->points + at, (table->n_rows - 1 - at) * sizeof *s->points);
    s->points[at] = (mount_point){.path = unescaped, .is_listed = true};
    unescaped = NULL;
done:
    free(unescaped);
    free(device);
    return rc;
}

static void remove_mount(tmpfs_source *s, size_t row)
{
    mim_table *table = &s->base.tables[0];

    free(s->points[row].path);
    memmove(s->points + row, s->points + row + 1, (table->n_rows - row - 1) * sizeof *s->points);
    mim_table_remove(table, row);
}

static void list_mounts(tmpfs_source *s)
{
    mim_table *table = &s->base.tables[0];

    for (size_t i = 0; i < table->n_rows; i++)
        s->points[i].is_listed = false;
    for (const char *p = s->mounts.text; *p; p = mim_next_line(p)) {
        word path, type;
        if (!scan_mount(p, &path, &type) || !is_word(type, "tmpfs") ||
            may_hang(s->mounts.text, path))
            continue;
        size_t row = mim_table_find(table, path.text, path.n_bytes, SIZE_MAX);
        if (row != SIZE_MAX)
            s->points[row].is_listed = true;
        else
            add_mount(s, path); /* out of memory: it stays absent */
    }
    for (size_t i = table->n_rows; i-- > 0;)
        if (!s->points[i].is_listed)
            remove_mount(s, i);
}

static void tmpfs_refresh(mim_source *source)
{
    tmpfs_source *s = (tmpfs_source *)source;

    if (mim_kept_read(&s->mounts))
        list_mounts(s);
}

static int tmpfs_open(const mim_source_roots *roots, mim_source **source)
{
    tmpfs_source *s = mim_source_new(sizeof *s, &mim_source_tmpfs);
    int rc = MIM_ENOMEM;

    if (!s)
        goto done;
    mim_table_init(&s->base.tables[0], "tmpfs", "bytes_used,U=B files_used");
    s->base.n_tables = 1;
    if ((rc = mim_kept_open(&s->mounts, roots->proc, "self/mounts")) != MIM_OK)
        goto done;
    list_mounts(s);
    *source = &s->base;
    s = NULL;
done:
    if (s)
        tmpfs_close(&s->base);
    return rc;
}

/* Another file system on top of the same path, or no permission: absent. */
static void tmpfs_read(mim_source *source)
{
    tmpfs_source *s = (tmpfs_source *)source;

    for (size_t i = 0; i < source->tables[0].n_rows; i++) {
        mim_table_row *row = &source->tables[0].rows[i];
        struct statfs status;
        if (statfs(s->points[i].path, &status) != 0 || (long)status.f_type != TMPFS_MAGIC)
            continue;
        row->values[0] = (uint64_t)(status.f_blocks - status.f_bfree) * (uint64_t)status.f_bsize;
        row->values[1] = (uint64_t)(status.f_files - status.f_ffree);
        row->is_present = true;
    }
}

const mim_source_ops mim_source_tmpfs = {.name = "tmpfs",
                                         .tier = 1,
                                         .types = "tmpfs",
                                         .is_slow = true,
                                         .open = tmpfs_open,
                                         .read = tmpfs_read,
                                         .refresh = tmpfs_refresh,
                                         .close = tmpfs_close};
