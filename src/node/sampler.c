#include "node/sampler.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "core/clock.h"
#include "core/text.h"
#include "node/sampler_source.h"

/* Devices that appear or go are looked for in every so many samples, after the sample. */
enum { REFRESH_EVERY = 16, MAX_SOURCES = 16 };

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
    double slow_s, peak_bandwidth_gb_s;
    int64_t slow_ns; /* when the slow sources were read last, 0 = never */
    bool is_strict, is_broken;
    mim_probe *probe;
    char *tiers;
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

/* The types of an open source, "cpu x_cpu ps". */
static char *types_of(const mim_source *source)
{
    char *text = mim_strdup("");

    for (size_t t = 0; text && t < source->n_tables; t++) {
        char *longer = mim_format("%s%s%s", text, t ? " " : "", source->tables[t].type);
        free(text);
        text = longer;
    }
    return text;
}

/* Opens the source, declares its types and tells the probe. A source that is not offered here is no
 * failure. */
static int open_source(mim_sampler *s, const mim_source_ops *ops, const mim_source_roots *roots)
{
    mim_source *source = NULL;
    int rc = ops->open(roots, &source);

    if (rc == MIM_EUNSUP || rc == MIM_EDATA)
        return mim_probe_add(s->probe, ops->tier, ops->name, ops->types, false, mim_error());
    if (rc != MIM_OK)
        return rc;
    s->sources[s->n_sources++] = source;
    for (size_t t = 0; t < source->n_tables; t++)
        if ((rc = declare(s, source->tables[t].type, source->tables[t].keys, &source->tables[t])) !=
            MIM_OK)
            return rc;
    char *types = types_of(source);
    rc = types ? mim_probe_add(s->probe, ops->tier, ops->name, types, true, source->note)
               : mim_fail(MIM_ENOMEM, "sampler source %s", ops->name);
    free(types);
    return rc;
}

static int open_sources(mim_sampler *s, const mim_source_roots *roots)
{
    int rc = mim_probe_create(&s->probe);

    for (size_t i = 0; rc == MIM_OK && i < MAX_SOURCES && mim_sources[i]; i++)
        rc = open_source(s, mim_sources[i], roots);
    if (rc == MIM_OK && s->n_sources == 0)
        rc = mim_fail(MIM_EUNSUP, "no counters can be read below %s and %s", roots->proc,
                      roots->sys);
    if (rc == MIM_OK)
        rc = mim_probe_add(s->probe, 3, "msr", "", false,
                           "not used, the other sources give the same figures");
    if (rc == MIM_OK && !(s->tiers = mim_probe_tiers(s->probe)))
        rc = mim_fail(MIM_ENOMEM, "text of the tiers");
    return rc;
}

static int copy_options(mim_sampler *s, const mim_sampler_options *options)
{
    struct utsname names;

    if (uname(&names) != 0)
        return mim_fail(MIM_EIO, "uname failed");
    s->is_strict = options->is_strict;
    s->slow_s = options->is_strict ? 0.0 : options->slow_s;
    s->peak_bandwidth_gb_s = options->peak_bandwidth_gb_s;
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
    const bool is_this_node = !options->proc_root && !options->sys_root;
    mim_source_roots roots = {.proc = options->proc_root ? options->proc_root : "/proc",
                              .sys = options->sys_root ? options->sys_root : "/sys",
                              .perf = options->perf  ? options->perf
                                      : is_this_node ? &mim_perf_kernel
                                                     : NULL};
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
    mim_probe_destroy(&s->probe);
    free(s->tiers);
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

static bool is_slow_type(const mim_sampler *s, const declared_type *type)
{
    for (size_t i = 0; i < s->n_sources; i++)
        for (size_t t = 0; t < s->sources[i]->n_tables; t++)
            if (&s->sources[i]->tables[t] == type->table)
                return s->sources[i]->ops->is_slow;
    return false;
}

/* "10 sysv_shm tmpfs vfs", of the types that there are. */
static int put_slow(mim_sampler *s)
{
    char *text = mim_format("%.6g", s->slow_s);

    for (size_t i = 0; text && i < s->n_types; i++) {
        if (!is_slow_type(s, &s->types[i]))
            continue;
        char *longer = mim_format("%s %s", text, s->types[i].type);
        free(text);
        text = longer;
    }
    int rc = text ? mim_stats_writer_property(s->writer, "x_slow_s", text)
                  : mim_fail(MIM_ENOMEM, "list of slow types");
    free(text);
    return rc;
}

/* Header lines that the original does not know. */
static int put_own_properties(mim_sampler *s)
{
    char peak[32];
    int rc = mim_stats_writer_property(s->writer, "x_tiers", s->tiers);

    if (rc == MIM_OK && s->machine)
        rc = mim_stats_writer_property(s->writer, "x_machine", s->machine);
    if (rc == MIM_OK && s->contained)
        rc = mim_stats_writer_property(s->writer, "x_contain", s->contained);
    if (rc == MIM_OK && s->peak_bandwidth_gb_s > 0) {
        snprintf(peak, sizeof peak, "%.6g", s->peak_bandwidth_gb_s);
        rc = mim_stats_writer_property(s->writer, "x_peak_bandwidth_gb_s", peak);
    }
    if (rc == MIM_OK && s->slow_s > 0)
        rc = put_slow(s);
    return rc;
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
        rc = put_own_properties(s);
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

/* Whether it is time for the slow sources; a little early is in time, as a schedule has jitter. */
static bool is_slow_due(mim_sampler *s)
{
    const int64_t now = mim_clock_mono_ns();
    const double passed_s = (double)(now - s->slow_ns) / (double)MIM_NS_PER_S;

    if (s->slow_ns != 0 && passed_s < 0.95 * s->slow_s)
        return false;
    s->slow_ns = now;
    return true;
}

static void read_sources(mim_sampler *s)
{
    const bool is_slow_read = is_slow_due(s);

    for (size_t i = 0; i < s->n_sources; i++)
        if (is_slow_read || !s->sources[i]->ops->is_slow)
            s->sources[i]->ops->read(s->sources[i]);
}

static void forget_own(mim_sampler *s)
{
    for (size_t i = 0; i < s->n_sources; i++)
        for (size_t t = 0; s->sources[i]->ops->is_own && t < s->sources[i]->n_tables; t++)
            mim_table_forget(&s->sources[i]->tables[t]);
    s->is_broken = false;
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
    read_sources(s);
    if (s->is_broken)
        forget_own(s);

    rc = mim_stats_writer_record(s->writer, time_s, s->job, s->hostname);
    if (rc == MIM_OK && mark)
        rc = mim_stats_writer_mark(s->writer, mark);
    for (size_t i = 0; rc == MIM_OK && i < s->n_types; i++)
        rc = write_type(s, &s->types[i], n_rows, rows);
    refresh(s);
    return rc;
}

/* ---- looking at the last sample ------------------------------------------------------------ */

static const mim_table *table_of(const mim_sampler *s, const char *type)
{
    for (size_t i = 0; i < s->n_types; i++)
        if (strcmp(s->types[i].type, type) == 0)
            return s->types[i].table;
    return NULL;
}

size_t mim_sampler_n_rows(const mim_sampler *s, const char *type)
{
    const mim_table *table = table_of(s, type);

    return table ? table->n_rows : 0;
}

const char *mim_sampler_device(const mim_sampler *s, const char *type, size_t row)
{
    const mim_table *table = table_of(s, type);

    assert(table && row < table->n_rows);
    return table->rows[row].device;
}

bool mim_sampler_has_key(const mim_sampler *s, const char *type, const char *key)
{
    const mim_table *table = table_of(s, type);

    return table && mim_find_key(table->keys, key) < table->n_values;
}

bool mim_sampler_value(const mim_sampler *s, const char *type, size_t row, const char *key,
                       uint64_t *value)
{
    const mim_table *table = table_of(s, type);
    const size_t k = table ? mim_find_key(table->keys, key) : SIZE_MAX;

    if (k == SIZE_MAX || row >= table->n_rows || !table->rows[row].is_present)
        return false;
    *value = table->rows[row].values[k];
    return true;
}

void mim_sampler_break(mim_sampler *s) { s->is_broken = true; }

int mim_sampler_flush(mim_sampler *s, FILE *out) { return mim_stats_writer_flush(s->writer, out); }

const mim_probe *mim_sampler_probe(const mim_sampler *s) { return s->probe; }

const char *mim_sampler_tiers(const mim_sampler *s) { return s->tiers; }
