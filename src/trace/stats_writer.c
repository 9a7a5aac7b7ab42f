#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "trace/stats.h"

typedef struct written_type {
    char *name;
    size_t n_keys;
} written_type;

struct mim_stats_writer {
    char *text;
    size_t n_bytes, capacity;
    written_type *types;
    size_t n_types;
    size_t last_type; /* rows of one type come together */
    bool has_header, has_record;
};

int mim_stats_writer_create(mim_stats_writer **writer)
{
    mim_stats_writer *w = calloc(1, sizeof *w);
    if (!w)
        return mim_fail(MIM_ENOMEM, "stats writer");
    *writer = w;
    return MIM_OK;
}

void mim_stats_writer_destroy(mim_stats_writer **writer)
{
    if (!writer || !*writer)
        return;
    for (size_t i = 0; i < (*writer)->n_types; i++)
        free((*writer)->types[i].name);
    free((*writer)->types);
    free((*writer)->text);
    free(*writer);
    *writer = NULL;
}

/* ---- text --------------------------------------------------------------------------------------
 */

static int reserve(mim_stats_writer *w, size_t more)
{
    if (w->capacity - w->n_bytes >= more)
        return MIM_OK;
    size_t capacity = 2 * w->capacity + more + 4096;
    char *text = realloc(w->text, capacity);
    if (!text)
        return mim_fail(MIM_ENOMEM, "%zu bytes of stats text", capacity);
    w->text = text;
    w->capacity = capacity;
    return MIM_OK;
}

/* What put_* writes has been reserved. */
static void put(mim_stats_writer *w, const char *text)
{
    size_t n = strlen(text);
    memcpy(w->text + w->n_bytes, text, n);
    w->n_bytes += n;
}

static void put_number(mim_stats_writer *w, uint64_t value)
{
    char digits[20];
    size_t n = 0;
    do {
        digits[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    while (n > 0)
        w->text[w->n_bytes++] = digits[--n];
}

enum { NUMBER_BYTES = 21 }; /* with the blank before it */

/* A name is one word; a text stays on its line. */
static bool is_name(const char *name) { return name && *name != '\0' && !strpbrk(name, " \t\r\n"); }

static bool is_line(const char *text) { return text && !strpbrk(text, "\r\n"); }

static int put_line(mim_stats_writer *w, const char *mark, const char *name, const char *text)
{
    int rc = reserve(w, strlen(mark) + strlen(name) + strlen(text) + 2);
    if (rc != MIM_OK)
        return rc;
    put(w, mark);
    put(w, name);
    if (*text != '\0')
        put(w, " ");
    put(w, text);
    put(w, "\n");
    return MIM_OK;
}

/* ---- header ------------------------------------------------------------------------------------
 */

int mim_stats_writer_header(mim_stats_writer *writer, const char *hostname, const char *uname_text,
                            uint64_t uptime_s)
{
    if (!is_name(hostname) || !is_line(uname_text))
        return mim_fail(MIM_EINVAL, "stats header: a host name of one word and a uname line");
    if (writer->has_header)
        return mim_fail(MIM_EINVAL, "stats header: begun twice");
    int rc = reserve(writer, strlen(hostname) + strlen(uname_text) + 128);
    if (rc != MIM_OK)
        return rc;
    put(writer, "$hpcperfstats 2.4\n$hostname ");
    put(writer, hostname);
    put(writer, "\n$uname ");
    put(writer, uname_text);
    put(writer, "\n$uptime ");
    put_number(writer, uptime_s);
    put(writer, "\n");
    writer->has_header = true;
    return MIM_OK;
}

int mim_stats_writer_property(mim_stats_writer *writer, const char *name, const char *value)
{
    if (!is_name(name) || !is_line(value))
        return mim_fail(MIM_EINVAL, "stats header: a $ line needs a name of one word and one line");
    if (!writer->has_header || writer->has_record)
        return mim_fail(MIM_EINVAL, "stats header: $%s outside of the header", name);
    return put_line(writer, "$", name, value);
}

static size_t count_words(const char *text)
{
    size_t n = 0;
    for (const char *p = text; *p; p++)
        n += *p != ' ' && (p == text || p[-1] == ' ');
    return n;
}

static size_t find_type(mim_stats_writer *w, const char *type)
{
    if (w->last_type < w->n_types && strcmp(w->types[w->last_type].name, type) == 0)
        return w->last_type;
    for (size_t i = 0; i < w->n_types; i++)
        if (strcmp(w->types[i].name, type) == 0)
            return w->last_type = i;
    return SIZE_MAX;
}

int mim_stats_writer_type(mim_stats_writer *writer, const char *type, const char *keys)
{
    if (!is_name(type) || !is_line(keys))
        return mim_fail(MIM_EINVAL, "stats header: a type needs a name of one word and its keys");
    if (!writer->has_header || writer->has_record)
        return mim_fail(MIM_EINVAL, "stats header: type %s outside of the header", type);
    if (find_type(writer, type) != SIZE_MAX)
        return mim_fail(MIM_EINVAL, "stats header: type %s twice", type);
    written_type *types = realloc(writer->types, (writer->n_types + 1) * sizeof *types);
    if (!types)
        return mim_fail(MIM_ENOMEM, "stats header");
    writer->types = types;
    size_t size = strlen(type) + 1;
    char *name = malloc(size);
    if (!name)
        return mim_fail(MIM_ENOMEM, "stats header");
    memcpy(name, type, size);
    int rc = put_line(writer, "!", type, keys);
    if (rc != MIM_OK) {
        free(name);
        return rc;
    }
    types[writer->n_types++] = (written_type){.name = name, .n_keys = count_words(keys)};
    return MIM_OK;
}

/* ---- records -----------------------------------------------------------------------------------
 */

int mim_stats_writer_record(mim_stats_writer *writer, double time_s, const char *job,
                            const char *hostname)
{
    char time_text[32];
    if (!is_name(job) || !is_name(hostname))
        return mim_fail(MIM_EINVAL, "stats record: job and host name are one word each");
    if (!(time_s >= 0 && time_s < 1e11))
        return mim_fail(MIM_EINVAL, "stats record: time %g s is out of range", time_s);
    if (!writer->has_header)
        return mim_fail(MIM_EINVAL, "stats record: before the header");
    int rc = reserve(writer, strlen(job) + strlen(hostname) + sizeof time_text + 4);
    if (rc != MIM_OK)
        return rc;
    snprintf(time_text, sizeof time_text, "\n%.6f ", time_s);
    put(writer, time_text);
    put(writer, job);
    put(writer, " ");
    put(writer, hostname);
    put(writer, "\n");
    writer->has_record = true;
    return MIM_OK;
}

int mim_stats_writer_mark(mim_stats_writer *writer, const char *mark)
{
    if (!is_line(mark) || !writer->has_record)
        return mim_fail(MIM_EINVAL, "stats mark: needs one line and a record before it");
    return put_line(writer, "%", mark, "");
}

int mim_stats_writer_row(mim_stats_writer *writer, const char *type, const char *device,
                         size_t n_values, const uint64_t *values)
{
    if (!writer->has_record)
        return mim_fail(MIM_EINVAL, "stats row of %s: before the first record", type);
    if (!is_name(device))
        return mim_fail(MIM_EINVAL, "stats row of %s: its device is not one word", type);
    size_t known = find_type(writer, type);
    if (known == SIZE_MAX)
        return mim_fail(MIM_EINVAL, "stats row: type %s was not declared", type);
    if (writer->types[known].n_keys != n_values)
        return mim_fail(MIM_EINVAL, "stats row of %s: expected %zu values, got %zu", type,
                        writer->types[known].n_keys, n_values);
    int rc = reserve(writer, strlen(type) + strlen(device) + n_values * NUMBER_BYTES + 2);
    if (rc != MIM_OK)
        return rc;
    put(writer, type);
    put(writer, " ");
    put(writer, device);
    for (size_t i = 0; i < n_values; i++) {
        put(writer, " ");
        put_number(writer, values[i]);
    }
    put(writer, "\n");
    return MIM_OK;
}

const char *mim_stats_writer_text(const mim_stats_writer *writer, size_t *n_bytes)
{
    *n_bytes = writer->n_bytes;
    return writer->text ? writer->text : "";
}

int mim_stats_writer_flush(mim_stats_writer *writer, FILE *out)
{
    if (fwrite(writer->text, 1, writer->n_bytes, out) != writer->n_bytes || fflush(out) != 0)
        return mim_fail(MIM_EIO, "stats text cannot be written: %s", strerror(errno));
    writer->n_bytes = 0;
    return MIM_OK;
}
