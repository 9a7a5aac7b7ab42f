/* diffusion/weighting: each factor by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "diffusion/weighting.h"

enum { D = 7, T = 2 };

static const char *const names[D] = {"avg_cpu_utilizations_core_00",
                                     "avg_cpu_utilizations_core_01",
                                     "io_read",
                                     "io_write",
                                     "l3_cache_usage",
                                     "memory_bandwidth_read",
                                     "mem_used_mb"};
static const double minimum[D] = {0, 0, 0, 0, 100, 0, 0};
static const double maximum[D] = {100, 100, 1e5, 1e5, 300, 80, 1e4};
static mim_domain *domain;

static int setup(void **state)
{
    static const char *const actions[1] = {"a"};
    const mim_domain_parts parts = {.n_metrics = D,
                                    .n_threads = T,
                                    .n_stressors = 1,
                                    .n_sockets = 1,
                                    .metrics = names,
                                    .actions = actions,
                                    .minimum = minimum,
                                    .maximum = maximum};
    (void)state;
    return mim_domain_create(&parts, &domain) == MIM_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    mim_domain_destroy(&domain);
    return 0;
}

static const uint8_t all[D] = {1, 1, 1, 1, 1, 1, 1};

static void test_factors(void **state)
{
    (void)state;
    const mim_weighting none = {.high_io = 1, .tail = 1, .previous = 1};
    const mim_weighting io = {.high_io = 3, .io_threshold_kbs = 1000, .tail = 1, .previous = 1};
    const mim_weighting tail = {.high_io = 1, .tail = 4, .tail_from = 0.5, .previous = 1};
    const mim_weighting before = {.high_io = 1, .tail = 1, .previous = 2};
    const mim_weighting active = {
        .high_io = 1, .tail = 1, .previous = 1, .min_active_cores = 2, .active_percent = 20};
    const mim_weighting target = {
        .high_io = 1, .tail = 1, .previous = 1, .target_percent = 50, .target_sigma = 10};
    const mim_weighting everything = {3, 1000, 4, 0.5, 2, 1, 20, 50, 10};
    static const uint8_t no_cpu[D] = {0, 0, 1, 1, 1, 1, 1}, no_io[D] = {1, 1, 0, 0, 1, 1, 1};
    static const uint8_t one_cpu[D] = {1, 0, 1, 1, 1, 1, 1}, no_cache[D] = {1, 1, 1, 1, 0, 0, 1};
    const struct {
        const mim_weighting *w;
        float metric[D];
        const uint8_t *mask;
        bool has_previous;
        double expected;
    } cases[] = {
        {&none, {50, 50, 9e4f, 0, 300, 80, 0}, all, true, 1},
        {&io, {50, 50, 600, 399, 100, 0, 0}, all, true, 1},
        {&io, {50, 50, 600, 400, 100, 0, 0}, all, true, 3}, /* 1000 in all */
        {&io, {50, 50, 600, 400, 100, 0, 0}, no_io, true, 1},
        {&tail, {50, 50, 0, 0, 199, 39, 9000}, all, true, 1}, /* memory in use is no target */
        {&tail, {50, 50, 0, 0, 200, 0, 0}, all, true, 4},     /* half of 100 to 300 */
        {&tail, {50, 50, 0, 0, 100, 40, 0}, all, true, 4},
        {&tail, {50, 50, 0, 0, 200, 40, 0}, no_cache, true, 1},
        {&before, {50, 50, 0, 0, 100, 0, 0}, all, true, 2},
        {&before, {50, 50, 0, 0, 100, 0, 0}, all, false, 1},
        {&active, {20, 100, 0, 0, 100, 0, 0}, all, true, 1},
        {&active, {19, 100, 0, 0, 100, 0, 0}, all, true, 0},
        {&active, {90, 90, 0, 0, 100, 0, 0}, one_cpu, true, 0},
        {&target, {40, 60, 0, 0, 100, 0, 0}, all, true, 1},
        {&target, {50, 70, 0, 0, 100, 0, 0}, all, true, 0.60653065971},       /* one sigma */
        {&target, {30, 99, 0, 0, 100, 0, 0}, one_cpu, true, 0.13533528324},   /* two */
        {&target, {0, 0, 0, 0, 100, 0, 0}, all, true, 3.7266531720786709e-6}, /* five */
        {&target, {100, 100, 0, 0, 100, 0, 0}, no_cpu, true, 1e-6},
        {&everything, {50, 70, 1000, 0, 300, 0, 0}, all, true, 24 * 0.60653065971},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const double weight = mim_weighting_of(cases[i].w, domain, cases[i].metric, cases[i].mask,
                                               cases[i].has_previous);
        if (!(fabs(weight - cases[i].expected) <= 1e-9 * fmax(1e-3, cases[i].expected)))
            fail_msg("case %zu: %.12g instead of %.12g", i, weight, cases[i].expected);
    }
    const mim_weighting far = {
        .high_io = 1, .tail = 1, .previous = 1, .target_percent = 50, .target_sigma = 5};
    const float idle[D] = {0};
    assert_true(mim_weighting_of(&far, domain, idle, all, true) == 1e-6); /* at least */
}

static void test_uniform(void **state)
{
    (void)state;
    mim_weighting w = mim_weighting_none;
    assert_true(mim_weighting_is_uniform(&w));
    w.io_threshold_kbs = 7; /* of no factor */
    assert_true(mim_weighting_is_uniform(&w));
    w.high_io = 2;
    assert_false(mim_weighting_is_uniform(&w));
    w = mim_weighting_none;
    w.min_active_cores = 1;
    assert_false(mim_weighting_is_uniform(&w));
    w = mim_weighting_none;
    w.target_percent = 1;
    assert_false(mim_weighting_is_uniform(&w));
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        mim_weighting w;
        const char *part;
    } cases[] = {{{.high_io = -1}, "high_io"},         {{.tail = NAN}, "tail:"},
                 {{.tail_from = 2}, "tail_from"},      {{.previous = -2}, "previous"},
                 {{.active_percent = 101}, "active"},  {{.target_percent = -1}, "target"},
                 {{.target_percent = 50}, "deviation"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(mim_weighting_check(&cases[i].w), MIM_EINVAL);
        assert_non_null(strstr(mim_error(), cases[i].part));
    }
    assert_int_equal(mim_weighting_check(&mim_weighting_none), MIM_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_factors),
        cmocka_unit_test(test_uniform),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
