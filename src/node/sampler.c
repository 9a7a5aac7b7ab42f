#include "node/sampler.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "core/clock.h"
#include "core/text.h"
#include "node/sampler_source.h"

/* Devices that appear or go are looked for in every so many samples, after the sample. */
enum { REFRESH_EVERY = 16, MAX_SOURCES = 16, MAX_MISSING_BYTES = 128 };

typedef struct declared_type {
    char *type, *keys; /* copies */
    size_t n_values;
    mim_table *table; /* NULL: the caller gives the rows */
    bool is_written;  /* false for x_ types in a strict file */
} declared_type;

struct mim_sampler {
    mim_source *sources[MAX_SOURCES]; /* in the order of reading */
    size_t n_sources, n_types, n_samples;
    declared_type *types; /* [n_types], by name */
    char *job, *hostname, *machine, *contained, *proc_root;
    bool is_strict;
    char tiers[MIM_TIERS_TEXT_BYTES];
    mim_stats_writer *writer;
};

static bool is_own_type(const char *type) { return strncmp(type, "x_", 2) == 0; }

static int declare(mim_sampler *s, const char *type, const char *keys, mim_table *table)
{
    declared_type new = {.n_values = mim_count_keys(keys), .table = table};
    size_t at = 0;

    if (type[0] == 0 || strpbrk(type, " \t\n") || new.n_values == 0)
        return mim_fail(MIM_EINVAL, "type \"%s\" with keys \"%s\": expected a word and keys", type,
                        keys);
    for (; at < s->n_types && strcmp(s->types[at].type, type) <= 0; at++)
        if (strcmp(s->types[at].type, type) == 0)
            return mim_fail(MIM_EINVAL, "type %s is declared twice", type);
    declared_type *types = realloc(s->types, (s->n_types + 1) * sizeof *types);
    if (types)
        s->types = types;
    new.type = mim_strdup(type);
    new.keys = mim_strdup(keys);
    if (!types || !new.type || !new.keys) {
        free(new.type);
        free(new.keys);
        return mim_fail(MIM_ENOMEM, "type %s", type);
    }
    new.is_written = !(s->is_strict && (table == NULL || is_own_type(type)));
    memmove(types + at + 1, types + at, (s->n_types - at) * sizeof *types);
    types[at] = new;
    s->n_types++;
    return MIM_OK;
}

static int open_sources(mim_sampler *s, const mim_source_roots *roots)
{
    char missing[MAX_MISSING_BYTES] = "";

    for (size_t i = 0; i < MAX_SOURCES && mim_sources[i]; i++) {
        mim_source *source = NULL;
        int rc = mim_sources[i]->open(roots, &source);
        if (rc == MIM_EUNSUP) {
            size_t n = strlen(missing);
            snprintf(missing + n, sizeof missing - n, "%s%s", n ? " " : "", mim_sources[i]->name);
            continue;
        }
        if (rc != MIM_OK)
            return rc;
        s->sources[s->n_sources++] = source;
        for (size_t t = 0; t < source->n_tables; t++)
            if ((rc = declare(s, source->tables[t].type, source->tables[t].keys,
                              &source->tables[t])) != MIM_OK)
                return rc;
    }
    if (s->n_sources == 0)
        return mim_fail(MIM_EUNSUP, "no counters can be read below %s and %s", roots->proc,
                        roots->sys);
    mim_tiers_text(roots, missing, s->tiers);
    return MIM_OK;
}

static int copy_options(mim_sampler *s, const mim_sampler_options *options)
{
    struct utsname names;

    if (uname(&names) != 0)
        return mim_fail(MIM_EIO, "uname failed");
    s->is_strict = options->is_strict;
    s->job = mim_strdup(options->job ? options->job : "0");
    s->hostname = mim_strdup(options->hostname ? options->hostname : names.nodename);
    s->machine = options->machine ? mim_strdup(options->machine) : NULL;
    s->contained = options->contained ? mim_strdup(options->contained) : NULL;
    s->proc_root = mim_strdup(options->proc_root ? options->proc_root : "/proc");
    if (!s->job || !s->hostname || !s->proc_root || (options->machine && !s->machine) ||
        (options->contained && !s->contained))
        return mim_fail(MIM_ENOMEM, "sampler options");
    return MIM_OK;
}

int mim_sampler_create(const mim_sampler_options *options, mim_sampler **sampler)
{
    static const mim_sampler_options defaults = {.job = NULL};
    mim_sampler *s = calloc(1, sizeof *s);
    int rc = MIM_OK;

    if (!options)
        options = &defaults;
    if (!s) {
        rc = mim_fail(MIM_ENOMEM, "sampler");
        goto done;
    }
    mim_source_roots roots = {.proc = options->proc_root ? options->proc_root : "/proc",
                              .sys = options->sys_root ? options->sys_root : "/sys"};
    if ((rc = copy_options(s, options)) != MIM_OK || (rc = open_sources(s, &roots)) != MIM_OK ||
        (rc = mim_stats_writer_create(&s->writer)) != MIM_OK)
        goto done;
    for (size_t i = 0; options->extra_types && options->extra_types[i][0]; i++)
        if ((rc = declare(s, options->extra_types[i][0], options->extra_types[i][1], NULL)) !=
            MIM_OK)
            goto done;
    *sampler = s;
    s = NULL;
done:
    mim_sampler_destroy(&s);
    return rc;
}

void mim_sampler_destroy(mim_sampler **sampler)
{
    mim_sampler *s = *sampler;

    if (!s)
        return;
    for (size_t i = 0; i < s->n_sources; i++)
        s->sources[i]->ops->close(s->sources[i]);
    for (size_t i = 0; i < s->n_types; i++) {
        free(s->types[i].type);
        free(s->types[i].keys);
    }
    mim_stats_writer_destroy(&s->writer);
    free(s->types);
    free(s->job);
    free(s->hostname);
    free(s->machine);
    free(s->contained);
    free(s->proc_root);
    free(s);
    *sampler = NULL;
}

/* Whole seconds since the boot, 0 when unknown. */
static uint64_t uptime_s(const mim_sampler *s)
{
    mim_kept_file file = {.fd = -1};
    uint64_t seconds = 0;

    if (mim_kept_open(&file, s->proc_root, "uptime") == MIM_OK) {
        file.text[strcspn(file.text, ".")] = 0;
        if (!mim_scan_u64_n(file.text, 1, &seconds))
            seconds = 0;
    }
    mim_kept_close(&file);
    return seconds;
}

int mim_sampler_header(mim_sampler *s)
{
    struct utsname names;
    char *text = NULL;
    int rc = MIM_OK;

    if (uname(&names) != 0 || !(text = mim_format("%s %s %s %s", names.sysname, names.machine,
                                                  names.release, names.version)))
        return mim_fail(MIM_ENOMEM, "text of uname");
    rc = mim_stats_writer_header(s->writer, s->hostname, text, uptime_s(s));
    if (rc == MIM_OK && !s->is_strict)
        rc = mim_stats_writer_property(s->writer, "x_tiers", s->tiers);
    if (rc == MIM_OK && !s->is_strict && s->machine)
        rc = mim_stats_writer_property(s->writer, "x_machine", s->machine);
    if (rc == MIM_OK && !s->is_strict && s->contained)
        rc = mim_stats_writer_property(s->writer, "x_contain", s->contained);
    for (size_t i = 0; rc == MIM_OK && i < s->n_types; i++)
        if (s->types[i].is_written)
            rc = mim_stats_writer_type(s->writer, s->types[i].type, s->types[i].keys);
    free(text);
    return rc;
}

static int check_rows(const mim_sampler *s, size_t n_rows, const mim_sampler_row *rows)
{
    for (size_t r = 0; r < n_rows; r++) {
        size_t t = 0;
        while (t < s->n_types && strcmp(s->types[t].type, rows[r].type) != 0)
            t++;
        if (t == s->n_types || s->types[t].table)
            return mim_fail(MIM_EINVAL, "row of type %s, which was not declared at create",
                            rows[r].type);
        if (rows[r].n_values != s->types[t].n_values)
            return mim_fail(MIM_EINVAL, "%s %s: expected %zu values, found %zu", rows[r].type,
                            rows[r].device, s->types[t].n_values, rows[r].n_values);
    }
    return MIM_OK;
}

static int write_type(mim_sampler *s, const declared_type *type, size_t n_rows,
                      const mim_sampler_row *rows)
{
    int rc = MIM_OK;

    if (!type->is_written)
        return MIM_OK;
    for (size_t i = 0; type->table && rc == MIM_OK && i < type->table->n_rows; i++) {
        const mim_table_row *row = &type->table->rows[i];
        if (row->is_present)
            rc = mim_stats_writer_row(s->writer, type->type, row->device, type->n_values,
                                      row->values);
    }
    for (size_t i = 0; !type->table && rc == MIM_OK && i < n_rows; i++)
        if (strcmp(rows[i].type, type->type) == 0)
            rc = mim_stats_writer_row(s->writer, type->type, rows[i].device, rows[i].n_values,
                                      rows[i].values);
    return rc;
}

/* After the sample, so that it delays no counter. */
static void refresh(mim_sampler *s)
{
    bool is_round = ++s->n_samples % REFRESH_EVERY == 0;

    for (size_t i = 0; i < s->n_sources; i++) {
        mim_source *source = s->sources[i];
        if (source->ops->refresh && (is_round || source->is_refresh_due)) {
            source->ops->refresh(source);
            source->is_refresh_due = false;
        }
    }
}

int mim_sampler_take(mim_sampler *s, const char *mark, size_t n_rows, const mim_sampler_row *rows)
{
    int rc = check_rows(s, n_rows, rows);

    if (rc != MIM_OK)
        return rc;
    for (size_t i = 0; i < s->n_sources; i++)
        for (size_t t = 0; t < s->sources[i]->n_tables; t++)
            mim_table_forget(&s->sources[i]->tables[t]);
    double time_s = (double)mim_clock_real_ns() / (double)MIM_NS_PER_S;
    for (size_t i = 0; i < s->n_sources; i++)
        s->sources[i]->ops->read(s->sources[i]);

    rc = mim_stats_writer_record(s->writer, time_s, s->job, s->hostname);
    if (rc == MIM_OK && mark)
        rc = mim_stats_writer_mark(s->writer, mark);
    for (size_t i = 0; rc == MIM_OK && i < s->n_types; i++)
        rc = write_type(s, &s->types[i], n_rows, rows);
    refresh(s);
    return rc;
}

int mim_sampler_flush(mim_sampler *s, FILE *out) { return mim_stats_writer_flush(s->writer, out); }

const char *mim_sampler_tiers(const mim_sampler *s) { return s->tiers; }
