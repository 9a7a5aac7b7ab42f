/* The ceilings on a run: which need meets which ceiling, what 0 means, and which setting the
 * refusal names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/config.h"
#include "node/limits.h"

#define N_OF(a) (sizeof(a) / sizeof *(a))

static const char *const settings[] = {"limits.memory", "limits.disk_write", "limits.time_s"};

/* Exactly the setting at fault is named; `numbers` are what was needed and what is allowed. */
static void expect_refusal(const char *setting, const char *numbers)
{
    for (size_t i = 0; i < N_OF(settings); i++) {
        const bool is_named = strstr(mim_error(), settings[i]) != NULL;
        if (is_named != (strcmp(settings[i], setting) == 0))
            fail_msg("expected %s to be named, found: %s", setting, mim_error());
    }
    if (!strstr(mim_error(), numbers))
        fail_msg("expected '%s' in: %s", numbers, mim_error());
}

static void test_check(void **state)
{
    (void)state;
    enum { KIB = 1024 };
    static const struct {
        uint64_t memory, written; /* ceilings, 0 = the default of each */
        double time_s;
        uint64_t available; /* memory of the machine, 0 = unknown */
        uint64_t needs_memory, needs_scratch;
        double duration_s;
        const char *setting, *numbers; /* of the refusal, NULL = none */
    } cases[] = {
        /* all at their ceilings */
        {8 * KIB, 4 * KIB, 60, 64 * KIB, 8 * KIB, 4 * KIB, 60, NULL, NULL},
        {8 * KIB, 4 * KIB, 60, 64 * KIB, 0, 0, 0, NULL, NULL},
        /* one beyond */
        {8 * KIB, 4 * KIB, 60, 64 * KIB, 9 * KIB, 4 * KIB, 60, "limits.memory",
         "9.0 KiB of memory, the ceiling is 8.0 KiB"},
        {8 * KIB, 4 * KIB, 60, 64 * KIB, 8 * KIB + 1, 0, 0, "limits.memory", "8.0 KiB"},
        {8 * KIB, 4 * KIB, 60, 64 * KIB, 8 * KIB, 5 * KIB, 60, "limits.disk_write",
         "5.0 KiB, the ceiling is 4.0 KiB"},
        {8 * KIB, 4 * KIB, 60, 64 * KIB, 8 * KIB, 4 * KIB, 61, "limits.time_s",
         "61 s, the ceiling is 60 s"},
        /* memory 0: half of what is available, whatever that is */
        {0, 4 * KIB, 60, 64 * KIB, 32 * KIB, 0, 0, NULL, NULL},
        {0, 4 * KIB, 60, 64 * KIB, 33 * KIB, 0, 0, "limits.memory",
         "33.0 KiB of memory, the ceiling is 32.0 KiB"},
        {0, 4 * KIB, 60, 0, UINT64_MAX, 0, 0, NULL, NULL}, /* not known: not refused */
        /* a ceiling that was set counts, even above what is available */
        {128 * KIB, 4 * KIB, 60, 64 * KIB, 128 * KIB, 0, 0, NULL, NULL},
        /* disk_write 0: no ceiling */
        {8 * KIB, 0, 60, 64 * KIB, 0, UINT64_MAX, 0, NULL, NULL},
        /* time 0 is a ceiling like any other */
        {8 * KIB, 4 * KIB, 0, 64 * KIB, 0, 0, 0, NULL, NULL},
        {8 * KIB, 4 * KIB, 0, 64 * KIB, 0, 0, 1, "limits.time_s", "1 s, the ceiling is 0 s"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        const mim_limits limits = {.max_memory_bytes = cases[i].memory,
                                   .max_written_bytes = cases[i].written,
                                   .max_time_s = cases[i].time_s};
        const mim_machine machine = {.memory_available_bytes = cases[i].available};
        const mim_plan_need need = {.memory_bytes = cases[i].needs_memory,
                                    .scratch_bytes = cases[i].needs_scratch};
        const int rc = mim_limits_check(&limits, &machine, &need, cases[i].duration_s);
        if (rc != (cases[i].setting ? MIM_EUNSUP : MIM_OK))
            fail_msg("case %zu: code %d", i, rc);
        if (cases[i].setting)
            expect_refusal(cases[i].setting, cases[i].numbers);
    }
}

static mim_config *make_config(void)
{
    const mim_option *const tables[] = {mim_limits_options, NULL};
    mim_config *config = NULL;
    assert_int_equal(mim_config_create(tables, &config), MIM_OK);
    return config;
}

/* As README and --help have them. */
static void test_defaults(void **state)
{
    (void)state;
    mim_config *config = make_config();
    mim_limits limits;
    memset(&limits, 0xff, sizeof limits);
    mim_limits_get(config, &limits);
    assert_int_equal(limits.max_cpus, 0);
    assert_int_equal(limits.max_memory_bytes, 0);
    assert_int_equal(limits.max_written_bytes, UINT64_C(16) << 30);
    assert_int_equal(limits.min_free_bytes, UINT64_C(2) << 30);
    assert_true(limits.max_time_s == 3600.0);
    assert_int_equal(limits.nice, 5);
    mim_config_destroy(&config);
}

/* Each setting reaches its own ceiling. */
static void test_settings(void **state)
{
    (void)state;
    static const char *const assignments[] = {"limits.cpus=3",        "limits.memory=5M",
                                              "limits.disk_write=7K", "limits.disk_free=11G",
                                              "limits.time_s=0.25",   "limits.nice=19"};
    mim_config *config = make_config();
    mim_limits limits;
    for (size_t i = 0; i < N_OF(assignments); i++)
        assert_int_equal(mim_config_set(config, "--set", assignments[i]), MIM_OK);
    mim_limits_get(config, &limits);
    assert_int_equal(limits.max_cpus, 3);
    assert_int_equal(limits.max_memory_bytes, 5u << 20);
    assert_int_equal(limits.max_written_bytes, 7u << 10);
    assert_int_equal(limits.min_free_bytes, UINT64_C(11) << 30);
    assert_true(limits.max_time_s == 0.25);
    assert_int_equal(limits.nice, 19);
    mim_config_destroy(&config);
}

/* A ceiling below nothing, or a priority that only root may have, is refused before a run. */
static void test_out_of_range(void **state)
{
    (void)state;
    static const char *const assignments[] = {
        "limits.cpus=-1",   "limits.cpus=65537", "limits.memory=-1", "limits.disk_write=-1K",
        "limits.time_s=-1", "limits.time_s=nan", "limits.nice=-1",   "limits.nice=20"};
    mim_config *config = make_config();
    for (size_t i = 0; i < N_OF(assignments); i++)
        if (mim_config_set(config, "--set", assignments[i]) != MIM_EUSAGE)
            fail_msg("%s: was taken", assignments[i]);
    mim_config_destroy(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_out_of_range),
    };
    return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
