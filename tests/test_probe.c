/* What the probe tells, from what it was told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "node/probe.h"

typedef struct line {
    unsigned tier;
    const char *name, *types;
    bool is_read;
    const char *note;
} line;

static mim_probe *make(size_t n, const line *lines)
{
    mim_probe *probe = NULL;

    assert_int_equal(mim_probe_create(&probe), MIM_OK);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(mim_probe_add(probe, lines[i].tier, lines[i].name, lines[i].types,
                                       lines[i].is_read, lines[i].note),
                         MIM_OK);
    return probe;
}

static void test_tiers(void **state)
{
    (void)state;
    static const struct {
        size_t n;
        line lines[4];
        const char *expected;
    } cases[] = {
        {0, {{0}}, "1:no 2:no 3:no"},
        {1, {{1, "stat", "cpu", true, ""}}, "1:yes 2:no 3:no"},
        {2,
         {{1, "stat", "cpu", true, ""}, {1, "net", "net", false, "why"}},
         "1:yes(without net) 2:no 3:no"},
        {3,
         {{1, "a", "", false, "why"}, {1, "b", "", false, "why"}, {1, "c", "", true, ""}},
         "1:yes(without a b) 2:no 3:no"},
        {4,
         {{2, "perf", "", true, "all"},
          {2, "imc", "", false, "why"},
          {2, "llc", "", false, "why not"},
          {3, "msr", "", false, "not used"}},
         "1:no 2:yes(without imc: why; llc: why not) 3:no(msr: not used)"},
        {1, {{3, "msr", "", false, "line\none"}}, "1:no 2:no 3:no(msr: line?one)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mim_probe *probe = make(cases[i].n, cases[i].lines);
        char *text = mim_probe_tiers(probe);
        assert_string_equal(text, cases[i].expected);
        free(text);
        mim_probe_destroy(&probe);
        assert_null(probe);
        mim_probe_destroy(&probe);
    }
}

static void test_table(void **state)
{
    (void)state;
    static const line lines[] = {{3, "msr", "", false, "not used"},
                                 {1, "stat", "cpu x_cpu ps", true, ""},
                                 {2, "imc", "x_imc", true, "2 x uncore_imc"}};
    mim_probe *probe = make(3, lines);
    char *text = mim_probe_table(probe);

    assert_string_equal(text, "tier 1  stat      cpu x_cpu ps read\n"
                              "tier 2  imc       x_imc        read: 2 x uncore_imc\n"
                              "tier 3  msr                    not read: not used\n");
    free(text);
    mim_probe_destroy(&probe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_tiers), cmocka_unit_test(test_table)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
