#define _DEFAULT_SOURCE /* flock */
#include "corpus/campaign.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/atomic_file.h"
#include "core/fault.h"
#include "core/text.h"
#include "corpus/campaign_internal.h"

enum { MIN_CAPACITY = 64, USUAL_CAPACITY = 4096, BLOCK_ROWS = 1024 };

static const size_t max_rows = (size_t)1 << 40;

static void free_handle(mim_campaign *c)
{
    if (!c)
        return;
    mim_table_close(&c->table); /* nothing uncommitted is worth an error */
    if (c->fd >= 0)
        close(c->fd);
    mim_layout_destroy(&c->layout);
    free(c->plans);
    free(c->config);
    free(c->path);
    free(c);
}

void mim_campaign_destroy(mim_campaign **campaign)
{
    free_handle(*campaign);
    *campaign = NULL;
}

static int create_handle(const char *path, mim_campaign **campaign)
{
    mim_campaign *c = calloc(1, sizeof *c);
    if (!c || !(c->path = mim_strdup(path))) {
        free(c);
        return mim_fail(MIM_ENOMEM, "%s: campaign handle", path);
    }
    c->fd = -1;
    *campaign = c;
    return MIM_OK;
}

/* ---- plans in the store --------------------------------------------------------------------- */

static int by_id(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

bool mim_campaign_has(const mim_campaign *campaign, uint64_t plan_id)
{
    return campaign->n_plans > 0 &&
           bsearch(&plan_id, campaign->plans, campaign->n_plans, sizeof plan_id, by_id) != NULL;
}

int mim_campaign_check_new(const mim_campaign *campaign, size_t n, const uint64_t *ids)
{
    uint64_t *sorted = malloc((n + 1) * sizeof *sorted);
    int rc = sorted ? MIM_OK : mim_fail(MIM_ENOMEM, "%zu plan ids", n);
    if (rc == MIM_OK && n > 0) {
        memcpy(sorted, ids, n * sizeof *sorted);
        qsort(sorted, n, sizeof *sorted, by_id);
    }
    for (size_t i = 0; rc == MIM_OK && i < n; i++)
        if (mim_campaign_has(campaign, sorted[i]) || (i > 0 && sorted[i] == sorted[i - 1]))
            rc = mim_fail(MIM_EINVAL, "%s: plan %" PRIu64 " is in the store already",
                          campaign->path, sorted[i]);
    free(sorted);
    return rc;
}

/* Room in memory for the ids, taken before anything is counted. */
static int reserve_plans(mim_campaign *c, size_t n)
{
    if (c->n_plans + n <= c->plans_capacity)
        return MIM_OK;
    const size_t capacity = 2 * (c->n_plans + n);
    uint64_t *grown = realloc(c->plans, capacity * sizeof *grown);
    if (!grown)
        return mim_fail(MIM_ENOMEM, "%zu plan ids", capacity);
    c->plans = grown;
    c->plans_capacity = capacity;
    return MIM_OK;
}

static void add_plans(mim_campaign *c, size_t n, const uint64_t *ids)
{
    if (n == 0)
        return;
    const bool is_rising = n == 1 && (c->n_plans == 0 || c->plans[c->n_plans - 1] < ids[0]);
    memcpy(c->plans + c->n_plans, ids, n * sizeof *ids);
    c->n_plans += n;
    if (!is_rising)
        qsort(c->plans, c->n_plans, sizeof *c->plans, by_id);
}

/* Reads the ids of the committed plans. */
static int load_plans(mim_campaign *c)
{
    mim_column all[MIM_CAMPAIGN_N_COLUMNS], columns[2];
    mim_table *table = NULL;
    int rc = MIM_OK;
    mim_campaign_columns(c->layout, all);
    columns[0] = all[0];
    columns[1] = all[1];
    uint64_t *ids = malloc((c->n_rows + 1) * sizeof *ids);
    uint32_t *windows = malloc((c->n_rows + 1) * sizeof *windows);
    if (!ids || !windows)
        rc = mim_fail(MIM_ENOMEM, "%s: %zu plan ids", c->path, c->n_rows);
    if (rc == MIM_OK)
        rc = mim_table_open(c->path, false, H5P_DEFAULT, H5P_DEFAULT, 2, columns, c->capacity,
                            &table);
    if (rc == MIM_OK)
        rc = mim_table_read(table, 0, c->n_rows, (void *[]){ids, windows});
    mim_table_close(&table);
    size_t n = 0;
    for (size_t i = 0; rc == MIM_OK && i < c->n_rows; i++)
        if (windows[i] == 0)
            ids[n++] = ids[i];
    if (rc == MIM_OK && (rc = reserve_plans(c, n)) == MIM_OK)
        add_plans(c, n, ids);
    free(ids);
    free(windows);
    return rc;
}

/* ---- making the file ------------------------------------------------------------------------ */

static size_t usual_capacity(const mim_layout *layout)
{
    mim_column columns[MIM_CAMPAIGN_N_COLUMNS];
    size_t row_bytes = 0, n = USUAL_CAPACITY;
    mim_campaign_columns(layout, columns);
    for (size_t c = 0; c < MIM_CAMPAIGN_N_COLUMNS; c++)
        row_bytes += mim_column_row_bytes(&columns[c]);
    while (n > MIN_CAPACITY && n * row_bytes > ((size_t)64 << 20))
        n /= 2;
    return n;
}

static int put_committed(mim_h5 *file, bool has_digests, uint64_t n_rows)
{
    const size_t one = 1, two = 2;
    const uint64_t digest = mim_campaign_count_digest(n_rows);
    int rc = mim_h5_put_count(file, "committed", 1, &one, &n_rows, "rows", "",
                              "rows that count; those behind are not there");
    return rc == MIM_OK && has_digests
               ? mim_h5_put_count(file, "committed_digest", 1, &two, (uint64_t[]){digest, digest},
                                  "", "", "one of them is that of committed")
               : rc;
}

/* An empty store with room for `capacity` rows that says it holds n_rows. */
static int make_file(const char *path, int version, const mim_layout *layout, uint64_t seed,
                     const char *config, size_t capacity, size_t n_rows)
{
    const bool has_digests = version >= MIM_CAMPAIGN_DIGESTS_SINCE;
    mim_column columns[MIM_CAMPAIGN_MAX_COLUMNS];
    const size_t n_columns = mim_campaign_all_columns(layout, version, columns);
    char seed_text[32];
    mim_h5 *file = NULL;
    snprintf(seed_text, sizeof seed_text, "%" PRIu64, seed);
    int rc = mim_h5_create_in_place(path, MIM_CAMPAIGN_SCHEMA, version, config, &file);
    if (rc == MIM_OK)
        rc = put_committed(file, has_digests, n_rows);
    if (rc == MIM_OK && has_digests)
        mim_h5_seal(file); /* but not what changes in place */
    if (rc == MIM_OK)
        rc = mim_h5_put_attribute_text(file, NULL, "seed", seed_text);
    if (rc == MIM_OK)
        rc = mim_layout_put(layout, file);
    if (rc == MIM_OK)
        rc = mim_table_reserve(file, n_columns, columns, capacity);
    if (rc == MIM_OK && has_digests)
        rc = mim_campaign_put_digest_names(file, columns);
    if (rc == MIM_OK)
        rc = mim_h5_commit(&file);
    mim_h5_destroy(&file);
    return rc;
}

/* The name under which the HDF5 library opens a file that has none yet. */
static char *unnamed_path(mim_atomic_file *file)
{
    return mim_format("/proc/self/fd/%d", fileno(mim_atomic_file_stream(file)));
}

static int publish_empty(const char *path, const mim_layout *layout, uint64_t seed,
                         const char *config, size_t capacity)
{
    mim_atomic_file *file = NULL;
    if (access(path, F_OK) == 0)
        return mim_fail(MIM_EIO, "%s: is there already; open it to go on, or move it away", path);
    int rc = mim_atomic_file_open(path, &file);
    if (rc != MIM_OK)
        return rc;
    char *name = unnamed_path(file);
    rc = name ? make_file(name, MIM_CAMPAIGN_VERSION, layout, seed, config, capacity, 0)
              : mim_fail(MIM_ENOMEM, "%s: file name", path);
    free(name);
    if (rc == MIM_OK)
        rc = mim_atomic_file_commit(&file);
    mim_atomic_file_destroy(&file);
    return rc;
}

int mim_campaign_create(const char *path, const mim_layout *layout, uint64_t seed,
                        const char *config, size_t capacity, mim_campaign **campaign)
{
    if (capacity > max_rows)
        return mim_fail(MIM_EINVAL, "%s: %zu rows", path, capacity);
    int rc =
        publish_empty(path, layout, seed, config, capacity ? capacity : usual_capacity(layout));
    return rc == MIM_OK ? mim_campaign_open(path, true, campaign) : rc;
}

/* ---- opening -------------------------------------------------------------------------------- */

static bool is_still_named(int fd, const char *path)
{
    struct stat mine, named;
    return fstat(fd, &mine) == 0 && stat(path, &named) == 0 && mine.st_dev == named.st_dev &&
           mine.st_ino == named.st_ino;
}

/* Opens and locks; once more when the file was replaced by a larger one meanwhile. */
static int lock_file(mim_campaign *c)
{
    for (int tries = 0; tries < 100; tries++) {
        c->fd = open(c->path, O_RDWR | O_CLOEXEC);
        if (c->fd < 0)
            return mim_fail(MIM_EIO, "%s: cannot be opened for appending: %s", c->path,
                            strerror(errno));
        if (flock(c->fd, LOCK_EX | LOCK_NB) != 0)
            return mim_fail(MIM_EIO, "%s: %s", c->path,
                            errno == EWOULDBLOCK ? "another process is appending to it"
                                                 : "cannot be locked for appending");
        if (is_still_named(c->fd, c->path))
            return MIM_OK;
        close(c->fd);
        c->fd = -1;
    }
    return mim_fail(MIM_EIO, "%s: is being replaced again and again", c->path);
}

static int read_header(mim_campaign *c, mim_h5 *file)
{
    mim_column columns[MIM_CAMPAIGN_MAX_COLUMNS];
    char *seed = NULL;
    uint64_t *committed = NULL;
    size_t n = 0;
    int rc = mim_table_check_schema(file, c->path, "a campaign store", MIM_CAMPAIGN_SCHEMA,
                                    MIM_CAMPAIGN_VERSION, &c->version);
    if (rc == MIM_OK)
        rc = mim_layout_get(file, c->path, &c->layout);
    if (rc == MIM_OK) {
        const size_t n_columns = mim_campaign_all_columns(c->layout, c->version, columns);
        rc = mim_table_check_columns(file, c->path, n_columns, columns, &c->capacity);
    }
    if (rc == MIM_OK)
        rc = mim_h5_get_count(file, "committed", 1, 1, &n, &committed);
    if (rc == MIM_OK && (n != 1 || c->capacity > max_rows || committed[0] > c->capacity))
        rc = mim_fail(MIM_EDATA, "%s: committed says %llu rows, there is room for %zu", c->path,
                      n ? (unsigned long long)committed[0] : 0, c->capacity);
    if (rc == MIM_OK)
        c->n_rows = (size_t)committed[0];
    if (rc == MIM_OK)
        rc = mim_h5_get_attribute_text(file, NULL, "config", &c->config);
    if (rc == MIM_OK && !c->config && !(c->config = mim_strdup("")))
        rc = mim_fail(MIM_ENOMEM, "%s: configuration", c->path);
    if (rc == MIM_OK)
        rc = mim_h5_get_attribute_text(file, NULL, "seed", &seed);
    if (rc == MIM_OK) {
        char *end = NULL;
        errno = 0;
        c->seed = seed ? strtoull(seed, &end, 10) : 0;
        if (!seed || errno != 0 || end == seed || *end)
            rc = mim_fail(MIM_EDATA, "%s: has no seed", c->path);
    }
    free(seed);
    free(committed);
    return rc;
}

static int need_table(mim_campaign *c)
{
    mim_column columns[MIM_CAMPAIGN_MAX_COLUMNS];
    if (c->table)
        return MIM_OK;
    const size_t n_columns = mim_campaign_all_columns(c->layout, c->version, columns);
    return mim_table_open(c->path, c->fd >= 0, H5P_DEFAULT, H5P_DEFAULT, n_columns, columns,
                          c->capacity, &c->table);
}

static int open_once(const char *path, bool for_append, mim_campaign **campaign)
{
    mim_campaign *c = NULL;
    mim_h5 *file = NULL;
    int rc = create_handle(path, &c);
    if (rc == MIM_OK && for_append)
        rc = lock_file(c);
    if (rc == MIM_OK)
        rc = mim_h5_open(path, &file);
    if (rc == MIM_OK)
        rc = read_header(c, file);
    mim_h5_destroy(&file);
    if (rc == MIM_OK)
        rc = mim_campaign_find_count(path, c->version, &c->count_place, &c->count_digest_place);
    if (rc == MIM_OK)
        rc = mim_campaign_verify_count(c);
    if (rc == MIM_OK)
        rc = load_plans(c);
    if (rc == MIM_OK && !for_append)
        rc = need_table(c); /* now: the name may go to a larger file any time */
    if (rc == MIM_OK) {
        *campaign = c;
        c = NULL;
    }
    free_handle(c);
    return rc;
}

int mim_campaign_open(const char *path, bool for_append, mim_campaign **campaign)
{
    int rc = MIM_OK;
    for (int tries = 0; rc == MIM_OK && tries < 100; tries++) {
        struct stat before, after;
        mim_campaign *made = NULL;
        const bool is_there = stat(path, &before) == 0;
        rc = open_once(path, for_append, &made);
        /* Under the lock nobody replaces it; a reader that met two files looks again. */
        if (for_append || !is_there || stat(path, &after) != 0 ||
            (before.st_ino == after.st_ino && before.st_dev == after.st_dev)) {
            if (rc == MIM_OK)
                *campaign = made;
            return rc;
        }
        free_handle(made);
        rc = MIM_OK;
    }
    return rc == MIM_OK ? mim_fail(MIM_EIO, "%s: is being replaced again and again", path) : rc;
}

int mim_campaign_version(const mim_campaign *campaign) { return campaign->version; }
const mim_layout *mim_campaign_layout(const mim_campaign *campaign) { return campaign->layout; }
uint64_t mim_campaign_seed(const mim_campaign *campaign) { return campaign->seed; }
const char *mim_campaign_config(const mim_campaign *campaign) { return campaign->config; }
size_t mim_campaign_n_rows(const mim_campaign *campaign) { return campaign->n_rows; }
size_t mim_campaign_n_plans(const mim_campaign *campaign) { return campaign->n_plans; }

/* ---- appending ------------------------------------------------------------------------------ */

/* The committed rows with their digests, as they are, into the larger file. */
static int copy_rows(mim_campaign *c, const char *path, size_t capacity)
{
    mim_column columns[MIM_CAMPAIGN_MAX_COLUMNS];
    void *buffers[MIM_CAMPAIGN_MAX_COLUMNS];
    mim_campaign_rows *block = NULL;
    mim_table *larger = NULL;
    const size_t n_columns = mim_campaign_all_columns(c->layout, c->version, columns);
    uint64_t *digests = malloc(BLOCK_ROWS * MIM_CAMPAIGN_N_DIGESTS * sizeof *digests);
    int rc = digests ? need_table(c) : mim_fail(MIM_ENOMEM, "%s: digests", c->path);
    if (rc == MIM_OK)
        rc = mim_campaign_rows_create(c->layout, BLOCK_ROWS, &block);
    if (rc == MIM_OK)
        rc = mim_table_open(path, true, H5P_DEFAULT, H5P_DEFAULT, n_columns, columns, capacity,
                            &larger);
    for (size_t at = 0; rc == MIM_OK && at < c->n_rows; at += BLOCK_ROWS) {
        const size_t n = c->n_rows - at < BLOCK_ROWS ? c->n_rows - at : BLOCK_ROWS;
        mim_campaign_buffers(c->layout, block, 0, buffers);
        buffers[MIM_CAMPAIGN_N_COLUMNS] = digests;
        rc = mim_table_read(c->table, at, n, buffers);
        if (rc == MIM_OK)
            rc = mim_table_write(larger, at, n, buffers);
    }
    if (rc == MIM_OK)
        rc = mim_table_close(&larger);
    mim_table_close(&larger);
    mim_campaign_rows_destroy(&block);
    free(digests);
    return rc;
}

/* Locks the larger file before it takes the name, so that no other process gets in between. */
static int replace_file(mim_campaign *c, mim_atomic_file **file, size_t capacity)
{
    char *name = unnamed_path(*file);
    uint64_t place = 0, digest_place = 0;
    int fd = -1, rc = MIM_OK;
    if (!name || (fd = open(name, O_RDWR | O_CLOEXEC)) < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0)
        rc = mim_fail(MIM_EIO, "%s: a larger file cannot be locked: %s", c->path, strerror(errno));
    if (rc == MIM_OK)
        rc = mim_campaign_find_count(name, c->version, &place, &digest_place);
    free(name);
    if (rc == MIM_OK)
        rc = mim_atomic_file_commit(file);
    if (rc != MIM_OK) {
        if (fd >= 0)
            close(fd);
        return rc;
    }
    mim_table_close(&c->table);
    close(c->fd);
    c->fd = fd;
    c->count_place = place;
    c->count_digest_place = digest_place;
    c->slot = 0; /* both are that of the count */
    c->capacity = capacity;
    return MIM_OK;
}

int mim_campaign_grow(mim_campaign *c, size_t n_rows)
{
    size_t capacity = c->capacity ? c->capacity : MIN_CAPACITY;
    mim_atomic_file *file = NULL;
    if (n_rows <= c->capacity)
        return MIM_OK;
    if (n_rows > max_rows)
        return mim_fail(MIM_EINVAL, "%s: %zu rows", c->path, n_rows);
    while (capacity < n_rows)
        capacity *= 2;
    int rc = mim_atomic_file_open(c->path, &file);
    if (rc != MIM_OK)
        return rc;
    char *name = unnamed_path(file);
    rc = name ? make_file(name, c->version, c->layout, c->seed, c->config, capacity, c->n_rows)
              : mim_fail(MIM_ENOMEM, "%s: file name", c->path);
    if (rc == MIM_OK)
        rc = copy_rows(c, name, capacity);
    free(name);
    if (rc == MIM_OK)
        rc = replace_file(c, &file, capacity);
    mim_atomic_file_destroy(&file);
    mim_table_close(&c->table);
    return rc;
}

/* The count is 8 bytes at a fixed place, written by one call: old or new, nothing between. */
static int write_count(const mim_campaign *c, uint64_t count)
{
    unsigned char bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(count >> (8 * i));
    int rc = mim_fault(c->path);
    if (rc == MIM_OK && pwrite(c->fd, bytes, sizeof bytes, (off_t)c->count_place) != sizeof bytes)
        rc = mim_fail(MIM_EIO, "%s: the count of its rows could not be written: %s", c->path,
                      strerror(errno));
    return rc;
}

static int sync_file(const mim_campaign *c)
{
    int rc = mim_fault(c->path);
    if (rc == MIM_OK && fsync(c->fd) != 0)
        rc =
            mim_fail(MIM_EIO, "%s: could not be brought to the disk: %s", c->path, strerror(errno));
    return rc;
}

int mim_campaign_commit(mim_campaign *c, size_t n_new, size_t n, const uint64_t *ids)
{
    const bool has_digests = c->version >= MIM_CAMPAIGN_DIGESTS_SINCE;
    int rc = reserve_plans(c, n);
    if (rc == MIM_OK && has_digests)
        rc = mim_campaign_write_count_digest(c, c->n_rows + n_new);
    if (rc == MIM_OK)
        rc = sync_file(c);
    if (rc == MIM_OK && (rc = write_count(c, c->n_rows + n_new)) == MIM_OK &&
        (rc = sync_file(c)) != MIM_OK) {
        char sentence[MIM_ERROR_TEXT_BYTES];
        strcpy(sentence, mim_error());
        write_count(c, c->n_rows); /* what is not known to be there is not to count */
        mim_fail(rc, "%s", sentence);
    }
    if (rc == MIM_OK) {
        c->n_rows += n_new;
        c->slot = has_digests ? !c->slot : 0;
        add_plans(c, n, ids);
    }
    return rc;
}

/* Behind the committed ones. */
static int write_rows(mim_campaign *c, const mim_campaign_rows *rows)
{
    void *buffers[MIM_CAMPAIGN_MAX_COLUMNS];
    uint64_t *digests = NULL;
    int rc = mim_campaign_digests(c->layout, rows, c->n_rows, &digests);
    if (rc == MIM_OK) {
        mim_campaign_buffers(c->layout, rows, 0, buffers);
        buffers[MIM_CAMPAIGN_N_COLUMNS] = digests;
        rc = mim_table_write(c->table, c->n_rows, rows->n, buffers);
    }
    free(digests);
    return rc == MIM_OK ? mim_table_flush(c->table) : rc;
}

int mim_campaign_append(mim_campaign *c, const mim_campaign_rows *rows)
{
    uint64_t *ids = NULL;
    size_t n = 0;
    if (c->fd < 0)
        return mim_fail(MIM_EINVAL, "%s: was opened for reading", c->path);
    int rc = mim_campaign_rows_check(c->layout, rows);
    if (rc == MIM_OK)
        rc = mim_campaign_rows_plans(rows, &n, &ids);
    if (rc == MIM_OK)
        rc = mim_campaign_check_new(c, n, ids);
    if (rc == MIM_OK)
        rc = mim_campaign_grow(c, c->n_rows + rows->n);
    if (rc == MIM_OK)
        rc = need_table(c);
    if (rc == MIM_OK)
        rc = write_rows(c, rows);
    if (rc == MIM_OK)
        rc = mim_campaign_commit(c, rows->n, n, ids);
    free(ids);
    return rc;
}

/* ---- reading -------------------------------------------------------------------------------- */

int mim_campaign_read_any(mim_campaign *c, size_t first, size_t n, mim_campaign_rows **rows)
{
    const bool has_digests = c->version >= MIM_CAMPAIGN_DIGESTS_SINCE;
    void *buffers[MIM_CAMPAIGN_MAX_COLUMNS];
    mim_campaign_rows *made = NULL;
    uint64_t *digests = NULL;
    if (first > c->n_rows || n > c->n_rows - first)
        return mim_fail(MIM_EINVAL, "%s: rows %zu to %zu of %zu", c->path, first, first + n,
                        c->n_rows);
    int rc = need_table(c);
    if (rc == MIM_OK)
        rc = mim_campaign_rows_create(c->layout, n, &made);
    if (rc == MIM_OK && !(digests = calloc(n + 1, MIM_CAMPAIGN_N_DIGESTS * sizeof *digests)))
        rc = mim_fail(MIM_ENOMEM, "%s: digests of %zu rows", c->path, n);
    if (rc == MIM_OK) {
        mim_campaign_buffers(c->layout, made, 0, buffers);
        buffers[MIM_CAMPAIGN_N_COLUMNS] = digests;
        rc = mim_table_read(c->table, first, n, buffers);
    }
    if (rc == MIM_OK && has_digests)
        rc = mim_campaign_verify(c->layout, made, first, digests);
    free(digests);
    if (rc == MIM_OK) {
        *rows = made;
        made = NULL;
    } else if (rc == MIM_EDATA) {
        mim_fail_in(rc, "%s", c->path);
    }
    mim_campaign_rows_destroy(&made);
    return rc;
}

int mim_campaign_read(mim_campaign *c, size_t first, size_t n, mim_campaign_rows **rows)
{
    mim_campaign_rows *made = NULL;
    int rc = mim_campaign_read_any(c, first, n, &made);
    if (rc == MIM_OK && mim_campaign_rows_check_each(c->layout, made, first) != MIM_OK)
        rc = mim_fail_in(MIM_EDATA, "%s", c->path);
    if (rc == MIM_OK) {
        *rows = made;
        made = NULL;
    }
    mim_campaign_rows_destroy(&made);
    return rc;
}
