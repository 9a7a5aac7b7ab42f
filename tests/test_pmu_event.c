/* The texts of /sys/bus/event_source: what is accepted, as which numbers, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "node/pmu_event.h"

static void test_fields(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rc;
        unsigned word, bits;
        uint64_t mask;
    } cases[] = {
        {"config:0-7\n", MIM_OK, 0, 8, 0xff},
        {"config:0-7", MIM_OK, 0, 8, 0xff},
        {"config:18\n", MIM_OK, 0, 1, UINT64_C(1) << 18},
        {"config1:17-26\n", MIM_OK, 1, 10, UINT64_C(0x7fe0000)},
        {"config2:0-3\n", MIM_OK, 2, 4, 0xf},
        {"config:0-63\n", MIM_OK, 0, 64, UINT64_MAX},
        {"config:63\n", MIM_OK, 0, 1, UINT64_C(1) << 63},
        {"config:8-15,32-57\n", MIM_OK, 0, 34, UINT64_C(0x03ffffff0000ff00)},
        {"config:0-7,32-35,59-60\n", MIM_OK, 0, 14, UINT64_C(0x1800000f000000ff)},
        {"config3:0-7\n", MIM_EUNSUP, 0, 0, 0},
        {"config9:0\n", MIM_EUNSUP, 0, 0, 0},
        {"config10:0\n", MIM_EDATA, 0, 0, 0},
        {"config:0-64\n", MIM_EDATA, 0, 0, 0},
        {"config:64\n", MIM_EDATA, 0, 0, 0},
        {"config:7-0\n", MIM_EDATA, 0, 0, 0},
        {"config:0-7,7-9\n", MIM_EDATA, 0, 0, 0}, /* a bit twice */
        {"config:0-7,\n", MIM_EDATA, 0, 0, 0},
        {"config:,0\n", MIM_EDATA, 0, 0, 0},
        {"config:0-\n", MIM_EDATA, 0, 0, 0},
        {"config:-7\n", MIM_EDATA, 0, 0, 0},
        {"config:0x7\n", MIM_EDATA, 0, 0, 0},
        {"config:0-7 \n", MIM_EDATA, 0, 0, 0},
        {"config:0-7\n\n", MIM_EDATA, 0, 0, 0},
        {"config: 0-7\n", MIM_EDATA, 0, 0, 0},
        {"config:99999999999999999999\n", MIM_EDATA, 0, 0, 0},
        {"config:\n", MIM_EDATA, 0, 0, 0},
        {"config\n", MIM_EDATA, 0, 0, 0},
        {"confi", MIM_EDATA, 0, 0, 0},
        {"event:0-7\n", MIM_EDATA, 0, 0, 0},
        {"\n", MIM_EDATA, 0, 0, 0},
        {"", MIM_EDATA, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mim_pmu_field field = {.word = 42, .mask = 42};
        int rc = mim_pmu_field_parse(cases[i].text, &field);
        if (rc != cases[i].rc)
            fail_msg("\"%s\": %d instead of %d", cases[i].text, rc, cases[i].rc);
        if (rc == MIM_OK) {
            assert_int_equal(field.word, cases[i].word);
            assert_true(field.mask == cases[i].mask);
            assert_int_equal(mim_pmu_field_bits(&field), cases[i].bits);
        } else {
            assert_true(field.word == 42 && field.mask == 42);
        }
    }
}

static void test_put(void **state)
{
    (void)state;
    static const struct {
        const char *format;
        uint64_t value, word;
        int rc;
    } cases[] = {
        {"config:0-7", 0x04, 0x04, MIM_OK},
        {"config:8-15", 0x03, 0x0300, MIM_OK},
        {"config:8-15", 0xff, 0xff00, MIM_OK},
        {"config:8-15", 0x100, 0, MIM_EDATA},
        {"config:18", 1, UINT64_C(1) << 18, MIM_OK},
        {"config:18", 2, 0, MIM_EDATA},
        {"config:8-15,32-57", 0x1fffff, UINT64_C(0x00001fff0000ff00), MIM_OK},
        {"config:0-7,32-37", 0x15f, UINT64_C(0x10000005f), MIM_OK},
        {"config:8-15,24-27", 0xffe, UINT64_C(0x0f00fe00), MIM_OK},
        {"config:0-63", UINT64_MAX, UINT64_MAX, MIM_OK},
        {"config:0-62", UINT64_MAX, 0, MIM_EDATA},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mim_perf_event event = {.type = 0};
        mim_pmu_field field;
        assert_int_equal(mim_pmu_field_parse(cases[i].format, &field), MIM_OK);
        assert_int_equal(mim_pmu_field_put(&field, cases[i].value, &event), cases[i].rc);
        if (event.config != cases[i].word)
            fail_msg("%s of 0x%llx: 0x%llx", cases[i].format, (unsigned long long)cases[i].value,
                     (unsigned long long)event.config);
    }
    /* the other words, and a second value in place of the first */
    mim_perf_event event = {.type = 0};
    const mim_pmu_field one = {.word = 1, .mask = 0xf0}, two = {.word = 2, .mask = 0x0f};
    assert_int_equal(mim_pmu_field_put(&one, 0xf, &event), MIM_OK);
    assert_int_equal(mim_pmu_field_put(&one, 0x5, &event), MIM_OK);
    assert_int_equal(mim_pmu_field_put(&two, 0x3, &event), MIM_OK);
    assert_true(event.config == 0 && event.config1 == 0x50 && event.config2 == 0x3);
}

static void test_terms(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rc;
        size_t n;
        mim_pmu_term terms[3];
    } cases[] = {
        {"event=0x04,umask=0x03\n", MIM_OK, 2, {{"event", 4}, {"umask", 3}}},
        {"event=0x04", MIM_OK, 1, {{"event", 4}}},
        {"event=4,umask=12", MIM_OK, 2, {{"event", 4}, {"umask", 12}}},
        {"event=0", MIM_OK, 1, {{"event", 0}}},
        {"event=0xff,edge,inv", MIM_OK, 3, {{"event", 255}, {"edge", 1}, {"inv", 1}}},
        {"config=0xffffffffffffffff", MIM_OK, 1, {{"config", UINT64_MAX}}},
        {"event=0x10000000000000000", MIM_EDATA, 0, {{"", 0}}},
        {"event=18446744073709551616", MIM_EDATA, 0, {{"", 0}}},
        {"event=?", MIM_EDATA, 0, {{"", 0}}},   /* a value that the caller is to give */
        {"event=010", MIM_EDATA, 0, {{"", 0}}}, /* 8 or 10? */
        {"event=-1", MIM_EDATA, 0, {{"", 0}}},
        {"event=+1", MIM_EDATA, 0, {{"", 0}}},
        {"event= 1", MIM_EDATA, 0, {{"", 0}}},
        {"event=", MIM_EDATA, 0, {{"", 0}}},
        {"event=0x", MIM_EDATA, 0, {{"", 0}}},
        {"event=0xg", MIM_EDATA, 0, {{"", 0}}},
        {"event=0x04,", MIM_EDATA, 0, {{"", 0}}},
        {",event=0x04", MIM_EDATA, 0, {{"", 0}}},
        {"event=0x04,,umask=1", MIM_EDATA, 0, {{"", 0}}},
        {"event=0x04 umask=1", MIM_EDATA, 0, {{"", 0}}},
        {"event=0x04,event=0x05", MIM_EDATA, 0, {{"", 0}}},
        {"event=0x04\n\n", MIM_EDATA, 0, {{"", 0}}},
        {"ev-ent=1", MIM_EDATA, 0, {{"", 0}}},
        {"=1", MIM_EDATA, 0, {{"", 0}}},
        {"\n", MIM_EDATA, 0, {{"", 0}}},
        {"", MIM_EDATA, 0, {{"", 0}}},
        {"a_name_that_is_longer_than_any_name_of_a_format_can_be=1", MIM_EDATA, 0, {{"", 0}}},
        {"a=1,b=1,c=1,d=1,e=1,f=1,g=1,h=1,i=1", MIM_EUNSUP, 0, {{"", 0}}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mim_pmu_term terms[MIM_PMU_MAX_TERMS];
        size_t n = 42;
        int rc = mim_pmu_terms_parse(cases[i].text, terms, &n);
        if (rc != cases[i].rc)
            fail_msg("\"%s\": %d instead of %d", cases[i].text, rc, cases[i].rc);
        assert_int_equal(n, rc == MIM_OK ? cases[i].n : 42);
        for (size_t t = 0; rc == MIM_OK && t < n; t++) {
            assert_string_equal(terms[t].name, cases[i].terms[t].name);
            assert_true(terms[t].value == cases[i].terms[t].value);
        }
    }
}

static void test_scales(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double value; /* 0 = refused */
    } cases[] = {{"6.103515625e-5\n", 6.103515625e-5},
                 {"3.814697266E-6\n", 3.814697266e-6},
                 {"2.3283064365386962890625e-10", 2.3283064365386962890625e-10},
                 {"64", 64},
                 {"1.0\n", 1},
                 {"0", 0},
                 {"-1", 0},
                 {"+1", 0},
                 {"1e999", 0},
                 {"1e-999", 0},
                 {"nan", 0},
                 {"inf", 0},
                 {"0x10", 0},
                 {"1.0 MiB", 0},
                 {"1.0e", 0},
                 {"1.2.3", 0},
                 {" 1", 0},
                 {"1\n\n", 0},
                 {"\n", 0},
                 {"", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double value = -1;
        int rc = mim_pmu_scale_parse(cases[i].text, &value);
        if ((rc == MIM_OK) != (cases[i].value > 0))
            fail_msg("\"%s\": %d", cases[i].text, rc);
        assert_true(rc == MIM_OK ? value == cases[i].value : value == -1 && rc == MIM_EDATA);
    }
}

static void test_cpu_lists(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rc;
        size_t n;
        int cpus[6];
    } cases[] = {{"0\n", MIM_OK, 1, {0}},
                 {"0,28\n", MIM_OK, 2, {0, 28}},
                 {"0-3,8\n", MIM_OK, 5, {0, 1, 2, 3, 8}},
                 {"0-1,4-5", MIM_OK, 4, {0, 1, 4, 5}},
                 {"65535", MIM_OK, 1, {65535}},
                 {"\n", MIM_OK, 0, {0}},
                 {"", MIM_OK, 0, {0}},
                 {"0-6\n", MIM_EUNSUP, 0, {0}}, /* more than asked for */
                 {"0-5,9", MIM_EUNSUP, 0, {0}},
                 {"0-60000", MIM_EUNSUP, 0, {0}},
                 {"65536", MIM_EDATA, 0, {0}},
                 {"3-1", MIM_EDATA, 0, {0}},
                 {"1,0", MIM_EDATA, 0, {0}},
                 {"0,0", MIM_EDATA, 0, {0}},
                 {"0-2,2", MIM_EDATA, 0, {0}},
                 {"0,", MIM_EDATA, 0, {0}},
                 {"0,\n", MIM_EDATA, 0, {0}},
                 {",0", MIM_EDATA, 0, {0}},
                 {"0-", MIM_EDATA, 0, {0}},
                 {"-1", MIM_EDATA, 0, {0}},
                 {"0 1", MIM_EDATA, 0, {0}},
                 {"0\n1", MIM_EDATA, 0, {0}},
                 {"f", MIM_EDATA, 0, {0}},
                 {"0-3:1/2", MIM_EDATA, 0, {0}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int cpus[6];
        size_t n = 42;
        int rc = mim_cpu_list_parse(cases[i].text, 6, cpus, &n);
        if (rc != cases[i].rc)
            fail_msg("\"%s\": %d instead of %d", cases[i].text, rc, cases[i].rc);
        assert_int_equal(n, rc == MIM_OK ? cases[i].n : 42);
        if (rc == MIM_OK)
            assert_memory_equal(cpus, cases[i].cpus, n * sizeof *cpus);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),    cmocka_unit_test(test_put),
        cmocka_unit_test(test_terms),     cmocka_unit_test(test_scales),
        cmocka_unit_test(test_cpu_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
