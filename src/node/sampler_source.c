#include "node/sampler_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/text.h"

const mim_source_ops *const mim_sources[] = {
    &mim_source_stat, &mim_source_block,   &mim_source_net,    &mim_source_perf,  &mim_source_imc,
    &mim_source_llc,  &mim_source_resctrl, &mim_source_energy, &mim_source_node,  &mim_source_vm,
    &mim_source_vfs,  &mim_source_shm,     &mim_source_psi,    &mim_source_tmpfs, NULL};

size_t mim_count_keys(const char *keys)
{
    size_t n = 0;

    for (const char *p = keys; *p; p++)
        n += *p != ' ' && (p == keys || p[-1] == ' ');
    return n;
}

size_t mim_find_key(const char *keys, const char *key)
{
    const size_t n = strlen(key);
    size_t at = 0;

    for (const char *p = keys; *p; at++) {
        const size_t n_word = strcspn(p, " ");
        if (strncmp(p, key, n) == 0 && strcspn(p, ", ") == n)
            return at;
        p += n_word;
        p += strspn(p, " ");
    }
    return SIZE_MAX;
}

void mim_table_init(mim_table *table, const char *type, const char *keys)
{
    *table = (mim_table){.type = type, .keys = keys, .n_values = mim_count_keys(keys)};
}

static void free_row(mim_table_row *row)
{
    free(row->device);
    free(row->values);
}

void mim_table_clear(mim_table *table)
{
    for (size_t i = 0; i < table->n_rows; i++)
        free_row(&table->rows[i]);
    free(table->rows);
    table->rows = NULL;
    table->n_rows = table->capacity = 0;
}

/* What a reader takes as the name of a device: no blanks, no control characters, not too long. */
static bool is_device_name(const char *name)
{
    size_t n = 0;

    while ((unsigned char)name[n] > ' ' && name[n] != 0x7f && n <= MIM_DEVICE_MAX_BYTES)
        n++;
    return n > 0 && n <= MIM_DEVICE_MAX_BYTES && name[n] == 0;
}

int mim_table_insert(mim_table *table, size_t at, const char *device)
{
    mim_table_row row = {.is_present = false};

    if (!is_device_name(device))
        return mim_fail(MIM_EDATA, "%s: not the name of a device: \"%.40s\"", table->type, device);
    if (table->n_rows == table->capacity) {
        size_t capacity = table->capacity ? 2 * table->capacity : 8;
        mim_table_row *rows = realloc(table->rows, capacity * sizeof *rows);
        if (!rows)
            goto no_memory;
        table->rows = rows;
        table->capacity = capacity;
    }
    row.device = mim_strdup(device);
    row.values = calloc(table->n_values, sizeof *row.values);
    if (!row.device || !row.values)
        goto no_memory;
    memmove(table->rows + at + 1, table->rows + at, (table->n_rows - at) * sizeof *table->rows);
    table->rows[at] = row;
    table->n_rows++;
    return MIM_OK;
no_memory:
    free_row(&row);
    return mim_fail(MIM_ENOMEM, "%s %s: row of %zu values", table->type, device, table->n_values);
}

int mim_table_add(mim_table *table, const char *device)
{
    return mim_table_insert(table, table->n_rows, device);
}

size_t mim_table_place(const mim_table *table, const char *device)
{
    size_t at = 0;

    while (at < table->n_rows && strcmp(table->rows[at].device, device) < 0)
        at++;
    return at;
}

void mim_table_remove(mim_table *table, size_t row)
{
    free_row(&table->rows[row]);
    table->n_rows--;
    memmove(table->rows + row, table->rows + row + 1, (table->n_rows - row) * sizeof *table->rows);
}

static bool is_device(const mim_table_row *row, const char *device, size_t n_bytes)
{
    return strncmp(row->device, device, n_bytes) == 0 && row->device[n_bytes] == 0;
}

size_t mim_table_find(const mim_table *table, const char *device, size_t n_bytes, size_t hint)
{
    if (hint < table->n_rows && is_device(&table->rows[hint], device, n_bytes))
        return hint;
    for (size_t i = 0; i < table->n_rows; i++)
        if (is_device(&table->rows[i], device, n_bytes))
            return i;
    return SIZE_MAX;
}

void mim_table_forget(mim_table *table)
{
    for (size_t i = 0; i < table->n_rows; i++)
        table->rows[i].is_present = false;
}

void *mim_source_new(size_t n_bytes, const mim_source_ops *ops)
{
    mim_source *source = calloc(1, n_bytes);

    if (source)
        source->ops = ops;
    else
        mim_fail(MIM_ENOMEM, "sampler source %s", ops->name);
    return source;
}

void mim_source_free(mim_source *source)
{
    if (!source)
        return;
    for (size_t i = 0; i < source->n_tables; i++)
        mim_table_clear(&source->tables[i]);
    free(source);
}

/* A chunk this short is the file's last: the kernel's line files hand out pages (4096 bytes) that
 * are full but for one record (below 1 KiB in every file read here). Saves the read that returns
 * nothing. */
enum { LAST_CHUNK_BYTES = 3072, FIRST_BUFFER_BYTES = 512 };

static int grow(mim_kept_file *file)
{
    size_t capacity = file->capacity ? 4 * file->capacity : FIRST_BUFFER_BYTES;
    char *text = realloc(file->text, capacity);

    if (!text)
        return mim_fail(MIM_ENOMEM, "buffer of %zu bytes", capacity);
    file->text = text;
    file->capacity = capacity;
    return MIM_OK;
}

bool mim_kept_read(mim_kept_file *file)
{
    ssize_t got = 0;

    file->n_bytes = 0;
    do {
        /* only a file that has grown fourfold since it was opened gets here a second time */
        if (file->n_bytes + 1 >= file->capacity && grow(file) != MIM_OK)
            break;
        size_t room = file->capacity - file->n_bytes - 1;
        got = pread(file->fd, file->text + file->n_bytes, room, (off_t)file->n_bytes);
        if (got > 0)
            file->n_bytes += (size_t)got;
        if (got > 0 && (size_t)got < room && got < LAST_CHUNK_BYTES)
            break;
    } while (got > 0 || (got < 0 && errno == EINTR));
    if (got < 0)
        file->n_bytes = 0;
    if (file->capacity > 0)
        file->text[file->n_bytes] = 0;
    return file->n_bytes > 0;
}

int mim_kept_open(mim_kept_file *file, const char *folder, const char *name)
{
    mim_kept_file f = {.fd = -1};
    int rc = MIM_OK;
    char *path = mim_join_path(folder, name);

    if (!path || grow(&f) != MIM_OK) {
        rc = mim_fail(MIM_ENOMEM, "%s/%s", folder, name);
        goto done;
    }
    /* O_NONBLOCK: whatever lies there, opening it does not wait */
    errno = 0;
    f.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (f.fd < 0 || !mim_kept_read(&f)) {
        bool is_short = errno == EMFILE || errno == ENFILE; /* not a property of the machine */
        rc = mim_fail(is_short ? MIM_EIO : MIM_EUNSUP, "%s: cannot be read: %s", path,
                      errno ? strerror(errno) : "it is empty");
        goto done;
    }
    /* room for twice as much, so that growing text needs no memory later */
    if (2 * f.n_bytes >= f.capacity && (rc = grow(&f)) != MIM_OK)
        goto done;
    *file = f;
    f = (mim_kept_file){.fd = -1};
done:
    mim_kept_close(&f);
    free(path);
    return rc;
}

void mim_kept_close(mim_kept_file *file)
{
    if (file->text && file->fd >= 0) /* a zeroed file is a closed one */
        close(file->fd);
    free(file->text);
    *file = (mim_kept_file){.fd = -1};
}

bool mim_scan_u64_n(const char *text, size_t n, uint64_t *values)
{
    for (size_t i = 0; i < n; i++)
        if (!mim_scan_u64(&text, &values[i]))
            return false;
    return true;
}

void mim_keyed_init(mim_keyed *keyed, const char *const *keys, size_t n_keys, uint32_t required)
{
    memset(keyed, 0, sizeof *keyed);
    keyed->keys = keys;
    keyed->n_keys = n_keys;
    keyed->required = required;
    for (size_t i = 0; i < n_keys; i++)
        keyed->key_bytes[i] = strlen(keys[i]);
}

/* The text behind the key, NULL when the line is of another key. */
static const char *after_key(const mim_keyed *keyed, size_t key, const char *line,
                             size_t prefix_bytes)
{
    size_t n = keyed->key_bytes[key];

    if (strnlen(line, prefix_bytes) < prefix_bytes ||
        strncmp(line + prefix_bytes, keyed->keys[key], n) != 0)
        return NULL;
    line += prefix_bytes + n;
    return *line == ' ' || *line == ':' ? line + 1 : NULL;
}

static void learn(mim_keyed *keyed, const char *text, size_t prefix_bytes)
{
    size_t n = 0;

    memset(keyed->wanted, 0, sizeof keyed->wanted);
    keyed->n_lines = 0;
    for (const char *p = text; *p && n < MIM_KEYED_MAX_LINES; p = mim_next_line(p), n++) {
        for (size_t k = 0; k < keyed->n_keys; k++) {
            if (after_key(keyed, k, p, prefix_bytes)) {
                keyed->wanted[n] = (uint8_t)(k + 1);
                keyed->n_lines = n + 1;
            }
        }
    }
}

typedef enum { SCAN_OK, SCAN_MOVED, SCAN_MALFORMED } scan_result;

static scan_result scan_known(const mim_keyed *keyed, const char *p, size_t prefix_bytes,
                              uint64_t *values)
{
    uint32_t found = 0;

    memset(values, 0, keyed->n_keys * sizeof *values);
    for (size_t line = 0; line < keyed->n_lines; line++, p = mim_next_line(p)) {
        size_t key = keyed->wanted[line];
        if (key-- == 0)
            continue;
        const char *value = after_key(keyed, key, p, prefix_bytes);
        if (!value)
            return SCAN_MOVED;
        if (!mim_scan_u64(&value, &values[key]))
            return SCAN_MALFORMED;
        found |= UINT32_C(1) << key;
    }
    return (found & keyed->required) == keyed->required ? SCAN_OK : SCAN_MOVED;
}

bool mim_keyed_scan(mim_keyed *keyed, const char *text, size_t prefix_bytes, uint64_t *values)
{
    scan_result result = SCAN_MOVED;

    if (keyed->n_lines > 0)
        result = scan_known(keyed, text, prefix_bytes, values);
    if (result == SCAN_MOVED) {
        learn(keyed, text, prefix_bytes);
        result = scan_known(keyed, text, prefix_bytes, values);
    }
    return result == SCAN_OK;
}
