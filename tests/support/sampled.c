#include "tests/support/sampled.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"

void shell(const char *format, ...)
{
    char command[1024];
    va_list values;

    va_start(values, format);
    vsnprintf(command, sizeof command, format, values);
    va_end(values);
    assert_int_equal(system(command), 0);
}

char *copy_fixture(void)
{
    const char *base = getenv("TMPDIR");
    char *folder = mim_format("%s/mim_sampler.XXXXXX", base && *base ? base : "/tmp");

    assert_non_null(mkdtemp(folder));
    shell("cp -r " FIXTURE "/proc " FIXTURE "/sys '%s'", folder);
    return folder;
}

char *copy_hardware(const char *machine)
{
    char *folder = copy_fixture();

    shell("cp -r " HARDWARE "/%s/. '%s'", machine, folder);
    return folder;
}

void remove_copy(char *folder)
{
    shell("rm -rf '%s'", folder);
    free(folder);
}

void put_file(const char *folder, const char *name, const char *text)
{
    char *path = mim_join_path(folder, name);
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
    free(path);
}

mim_sampler *open_in(const char *folder, const mim_sampler_options *base)
{
    mim_sampler_options options = base ? *base : (mim_sampler_options){.hostname = "fixture-node"};
    char *proc = mim_join_path(folder, "proc"), *sys = mim_join_path(folder, "sys");
    mim_sampler *sampler = NULL;

    options.proc_root = proc;
    options.sys_root = sys;
    int rc = mim_sampler_create(&options, &sampler);
    if (rc != MIM_OK)
        fail_msg("%s", mim_error());
    free(proc);
    free(sys);
    return sampler;
}

char *text_of(mim_sampler *sampler)
{
    char *text = NULL;
    size_t n = 0;
    FILE *stream = open_memstream(&text, &n);

    assert_non_null(stream);
    assert_int_equal(mim_sampler_flush(sampler, stream), MIM_OK);
    fclose(stream);
    return text;
}

mim_stats *parse(const char *text)
{
    mim_stats *stats = NULL;

    if (mim_stats_parse("sampler", text, strlen(text), &stats) != MIM_OK)
        fail_msg("%s", mim_error());
    return stats;
}

mim_stats *sample_in(const char *folder)
{
    mim_sampler *sampler = open_in(folder, NULL);

    assert_int_equal(mim_sampler_header(sampler), MIM_OK);
    assert_int_equal(mim_sampler_take(sampler, NULL, 0, NULL), MIM_OK);
    char *text = text_of(sampler);
    mim_stats *stats = parse(text);
    free(text);
    mim_sampler_destroy(&sampler);
    return stats;
}

void take_sample(mim_sampler *sampler)
{
    if (mim_sampler_take(sampler, NULL, 0, NULL) != MIM_OK)
        fail_msg("%s", mim_error());
}

mim_stats *stats_of(mim_sampler *sampler)
{
    char *text = text_of(sampler);
    mim_stats *stats = parse(text);

    free(text);
    return stats;
}

const mim_probe_source *find_source(const mim_sampler *sampler, const char *name)
{
    const mim_probe *probe = mim_sampler_probe(sampler);

    for (size_t i = 0; i < probe->n_sources; i++)
        if (strcmp(probe->sources[i].name, name) == 0)
            return &probe->sources[i];
    fail_msg("the probe knows no source %s", name);
    return NULL;
}

const uint64_t *find_row(const mim_stats *stats, size_t record, const char *type,
                         const char *device)
{
    size_t t = mim_stats_find_type(stats, type);

    for (size_t d = 0; t != SIZE_MAX && d < mim_stats_n_devices(stats, t); d++) {
        if (strcmp(mim_stats_device(stats, t, d), device) != 0)
            continue;
        mim_row row = mim_stats_find_row(stats, record, t, d);
        return row.n_values ? row.values : NULL;
    }
    return NULL;
}

uint64_t value_of(const mim_stats *stats, size_t record, const char *type, const char *device,
                  const char *key)
{
    const uint64_t *values = find_row(stats, record, type, device);
    size_t t = mim_stats_find_type(stats, type);

    if (!values)
        fail_msg("record %zu has no row %s %s", record, type, device);
    size_t k = mim_stats_find_key(stats, t, key);
    assert_true(k < mim_stats_n_keys(stats, t));
    return values[k];
}
