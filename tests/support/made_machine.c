#include "tests/support/made_machine.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

void machine_open(made_machine *m)
{
    const mim_sampler_options options = {.hostname = "fixture-node", .perf = &m->fake.calls};

    m->sampler = open_in(m->folder, &options);
    assert_int_equal(mim_sampler_header(m->sampler), MIM_OK);
}

void machine_prepare(made_machine *m, const char *name)
{
    m->folder = copy_hardware(name);
    m->sampler = NULL;
    fake_perf_init(&m->fake);
}

void machine_start(made_machine *m, const char *name)
{
    machine_prepare(m, name);
    machine_open(m);
}

void machine_end(made_machine *m)
{
    mim_sampler_destroy(&m->sampler);
    assert_int_equal(m->fake.n_open, 0); /* nothing leaks */
    remove_copy(m->folder);
}

void machine_pass(made_machine *m, unsigned ms)
{
    m->fake.now_ns += (uint64_t)ms * MADE_MS;
    take_sample(m->sampler);
}

void assert_note(made_machine *m, const char *source, bool is_read, const char *note)
{
    const mim_probe_source *s = find_source(m->sampler, source);

    if (s->is_read != is_read || !strstr(s->note, note))
        fail_msg("%s: expected %s with \"%s\", found %s with \"%s\"", source,
                 is_read ? "read" : "not read", note, s->is_read ? "read" : "not read", s->note);
}

bool has_row(const mim_stats *stats, size_t record, const char *type, const char *device)
{
    return find_row(stats, record, type, device) != NULL;
}

void assert_keys(const mim_stats *stats, const char *type, const char *expected)
{
    const size_t t = mim_stats_find_type(stats, type);
    char text[256] = "";

    assert_true(t != SIZE_MAX);
    for (size_t k = 0; k < mim_stats_n_keys(stats, t); k++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", k ? " " : "",
                 mim_stats_key(stats, t, k)->name);
    assert_string_equal(text, expected);
}
