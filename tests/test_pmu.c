/* Units of processors as the made folders show them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "node/pmu.h"
#include "node/uncore_family.h"
#include "tests/support/sampled.h"

static void test_open(void **state)
{
    (void)state;
    static const struct {
        const char *machine, *name;
        int rc;
        uint32_t type;
        size_t n_cpus;
        int cpus[2];
    } cases[] = {
        {"skylake", "uncore_imc_1", MIM_OK, 15, 2, {0, 2}},
        {"skylake", "cpu", MIM_OK, 4, 0, {0}}, /* neither cpumask nor cpus */
        {"hybrid", "cpu_atom", MIM_OK, 10, 2, {2, 3}},
        {"skylake", "uncore_imc_2", MIM_EUNSUP, 0, 0, {0}},
        {"none", "cpu", MIM_EUNSUP, 0, 0, {0}},
        {"skylake",
         "a_name_that_is_longer_than_the_name_of_any_unit_may_be",
         MIM_EUNSUP,
         0,
         0,
         {0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *sys = mim_format(HARDWARE "/%s/sys", cases[i].machine);
        mim_pmu *pmu = NULL;
        assert_int_equal(mim_pmu_open(sys, cases[i].name, &pmu), cases[i].rc);
        if (cases[i].rc == MIM_OK) {
            assert_string_equal(pmu->name, cases[i].name);
            assert_int_equal(pmu->type, cases[i].type);
            assert_int_equal(pmu->n_cpus, cases[i].n_cpus);
            if (pmu->n_cpus > 0)
                assert_memory_equal(pmu->cpus, cases[i].cpus, pmu->n_cpus * sizeof(int));
        } else {
            assert_null(pmu);
        }
        mim_pmu_close(&pmu);
        mim_pmu_close(&pmu);
        free(sys);
    }
}

static void test_encode(void **state)
{
    (void)state;
    static const struct {
        const char *machine, *name, *text;
        int rc;
        mim_perf_event event;
    } cases[] = {
        {"skylake", "uncore_imc_0", "event=0x04,umask=0x03", MIM_OK, {14, 0x0304, 0, 0}},
        {"skylake", "uncore_imc_0", "umask=0x03,event=0x04,edge", MIM_OK, {14, 0x40304, 0, 0}},
        {"skylake",
         "uncore_cha_1",
         "event=0x34,filter_state=0x3ff",
         MIM_OK,
         {21, 0x34, 0x7fe0000, 0}},
        {"skylake",
         "uncore_cha_1",
         "config=0x11,config1=0x22,config2=0x33",
         MIM_OK,
         {21, 0x11, 0x22, 0x33}},
        {"zen4", "amd_df", "event=0x2df,umask=0xfff", MIM_OK, {11, UINT64_C(0x20f00ffdf), 0, 0}},
        {"skylake", "uncore_imc_0", "event=0x04,config3=1", MIM_EUNSUP, {0, 0, 0, 0}},
        {"skylake", "uncore_imc_0", "event=0x04,nothing=1", MIM_EUNSUP, {0, 0, 0, 0}},
        {"skylake", "uncore_imc_0", "event=0x04,umask=0x100", MIM_EDATA, {0, 0, 0, 0}},
        {"skylake", "uncore_imc_0", "event", MIM_OK, {14, 1, 0, 0}},
        {"skylake", "uncore_imc_0", "", MIM_EDATA, {0, 0, 0, 0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *sys = mim_format(HARDWARE "/%s/sys", cases[i].machine);
        mim_perf_event event = {.type = 42};
        mim_pmu *pmu = NULL;
        assert_int_equal(mim_pmu_open(sys, cases[i].name, &pmu), MIM_OK);
        if (mim_pmu_encode(pmu, cases[i].text, &event) != cases[i].rc)
            fail_msg("\"%s\": %s", cases[i].text, mim_error());
        if (cases[i].rc == MIM_OK)
            assert_true(
                event.type == cases[i].event.type && event.config == cases[i].event.config &&
                event.config1 == cases[i].event.config1 && event.config2 == cases[i].event.config2);
        else
            assert_int_equal(event.type, 42);
        mim_pmu_close(&pmu);
        free(sys);
    }
}

static void test_described_events(void **state)
{
    (void)state;
    const char *sys = HARDWARE "/icelake/sys";
    char unit[MIM_PMU_UNIT_BYTES] = "";
    mim_perf_event event;
    mim_pmu *pmu = NULL;
    double scale = 0;

    assert_int_equal(mim_pmu_open(sys, "uncore_imc_free_running_0", &pmu), MIM_OK);
    assert_int_equal(mim_pmu_event(pmu, "read", &event, &scale, unit), MIM_OK);
    assert_true(event.type == 40 && event.config == 0x20ff);
    assert_true(scale == 3.814697266e-6);
    assert_string_equal(unit, "MiB");
    assert_int_equal(mim_pmu_event(pmu, "reads", &event, &scale, unit), MIM_EUNSUP);
    assert_int_equal(mim_pmu_bits(pmu, "umask"), 8);
    assert_int_equal(mim_pmu_bits(pmu, "no such format"), 0);
    mim_pmu_close(&pmu);
    /* an event without scale and unit is no amount of bytes */
    assert_int_equal(mim_pmu_open(HARDWARE "/skylake/sys", "uncore_imc_0", &pmu), MIM_OK);
    assert_int_equal(mim_pmu_event(pmu, "clockticks", &event, &scale, unit), MIM_EUNSUP);
    mim_pmu_close(&pmu);
}

static void test_list(void **state)
{
    (void)state;
    char *folder = copy_hardware("skylake"), *sys = mim_join_path(folder, "sys");
    static const char *const expected[] = {"uncore_imc_0", "uncore_imc_1", "uncore_imc_2",
                                           "uncore_imc_10", "uncore_imc_11"};
    mim_pmu_name *names = NULL;
    size_t n = 0;

    shell("cd '%s'/bus/event_source/devices && mkdir uncore_imc_11 uncore_imc_2 uncore_imc_10 "
          "uncore_imc_ uncore_imc_x uncore_imc_1x uncore_imc_free_running_0 uncore_imc",
          sys);
    assert_int_equal(mim_pmu_list(sys, "uncore_imc_", &names, &n), MIM_OK);
    assert_int_equal(n, 5);
    for (size_t i = 0; i < n; i++)
        assert_string_equal(names[i], expected[i]);
    free(names);
    assert_int_equal(mim_pmu_list(sys, "uncore_imc", &names, &n), MIM_OK);
    assert_int_equal(n, 1);
    assert_string_equal(names[0], "uncore_imc");
    free(names);
    assert_int_equal(mim_pmu_list("/nonexistent", "uncore_imc_", &names, &n), MIM_OK);
    assert_int_equal(n, 0);
    free(names);
    free(sys);
    remove_copy(folder);
}

static void test_cpus(void **state)
{
    (void)state;
    const char *sys = HARDWARE "/skylake/sys";
    unsigned socket = 42;
    int *cpus = NULL;
    size_t n = 0;

    assert_int_equal(mim_online_cpus(sys, &cpus, &n), MIM_OK);
    assert_int_equal(n, 4);
    assert_int_equal(cpus[3], 3);
    free(cpus);
    assert_int_equal(mim_cpu_socket(sys, 1, &socket), MIM_OK);
    assert_int_equal(socket, 0);
    assert_int_equal(mim_cpu_socket(sys, 2, &socket), MIM_OK);
    assert_int_equal(socket, 1);
    assert_int_equal(mim_cpu_socket(sys, 4, &socket), MIM_EUNSUP);
    assert_int_equal(mim_online_cpus("/nonexistent", &cpus, &n), MIM_EUNSUP);
}

/* Every family of the table can be encoded where it fits, with a factor that is a whole number. */
static void test_families(void **state)
{
    (void)state;
    static const char *const machines[] = {"skylake", "icelake", "granite", "hybrid", "zen4"};
    size_t n_fitting = 0;

    for (size_t m = 0; m < sizeof machines / sizeof *machines; m++) {
        char *sys = mim_format(HARDWARE "/%s/sys", machines[m]);
        for (size_t f = 0; f < mim_uncore_n_imc + mim_uncore_n_llc; f++) {
            const mim_uncore_family *family =
                f < mim_uncore_n_imc ? &mim_uncore_imc[f] : &mim_uncore_llc[f - mim_uncore_n_imc];
            mim_pmu_name *names = NULL;
            size_t n = 0;
            assert_true(family->n_events >= 1 && family->n_events <= MIM_PERF_GROUP_MAX);
            assert_int_equal(mim_pmu_list(sys, family->units, &names, &n), MIM_OK);
            for (size_t u = 0; u < n; u++) {
                mim_pmu *pmu = NULL;
                mim_perf_event event;
                double factor = 0;
                assert_int_equal(mim_pmu_open(sys, names[u], &pmu), MIM_OK);
                if (mim_uncore_fits(family, pmu) &&
                    mim_uncore_event_of(family, pmu, 0, 0, &event, &factor) == MIM_OK) {
                    n_fitting++;
                    assert_true(factor == 64 || factor == 4 || factor == 1);
                }
                mim_pmu_close(&pmu);
            }
            free(names);
        }
        free(sys);
    }
    assert_int_equal(n_fitting, 2 + 2 + 1 + 1 + 1 + 1 + 1 + 2 + 1 + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open),
        cmocka_unit_test(test_encode),
        cmocka_unit_test(test_described_events),
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_cpus),
        cmocka_unit_test(test_families),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
