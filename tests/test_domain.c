/* diffusion/domain: who owns which metric, normalising, ranges, refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "diffusion/domain.h"

enum { D = 6, T = 4, S = 2 };

static const char *const metrics[D] = {"avg_cpu_utilizations_core_00",
                                       "avg_cpu_utilizations_core_01",
                                       "avg_cpu_utilizations_core_02",
                                       "avg_cpu_utilizations_core_09",
                                       "io_read",
                                       "io_write"};
static const char *const actions[S] = {"a", "b"};
static const double minimum[D] = {0, 10, 5, 0, 100, 7}, maximum[D] = {80, 100, 5, 50, 300, 7};

static mim_domain_parts usual(void)
{
    return (mim_domain_parts){.n_metrics = D,
                              .n_threads = T,
                              .n_stressors = S,
                              .n_sockets = 2,
                              .metrics = metrics,
                              .actions = actions,
                              .minimum = minimum,
                              .maximum = maximum,
                              .host_class = "a kind of host"};
}

static void test_owners(void **state)
{
    (void)state;
    const mim_domain_parts parts = usual();
    mim_domain *d = NULL;
    assert_int_equal(mim_domain_create(&parts, &d), MIM_OK);
    static const size_t owned[T] = {0, 1, 2, SIZE_MAX}, sockets[T] = {0, 0, 1, 1};
    assert_memory_equal(d->thread_metric, owned, sizeof owned);
    assert_memory_equal(d->socket, sockets, sizeof sockets);
    assert_int_equal(d->n_node_metrics, 3); /* core 9 is no thread's */
    assert_int_equal(d->node_metric[0], 3);
    assert_int_equal(d->node_metric[2], 5);
    assert_string_equal(d->metrics[5], "io_write");
    assert_string_equal(d->sizes, "original");
    /* threads share the widest range; the constant one stays constant, core 9 has its own */
    assert_true(d->minimum[0] == 0 && d->maximum[0] == 100);
    assert_true(d->minimum[1] == 0 && d->maximum[1] == 100);
    assert_true(d->minimum[2] == 5 && d->maximum[2] == 5 && d->maximum[3] == 50);
    mim_domain_destroy(&d);
    static const size_t other[T] = {3, SIZE_MAX, 0, 1};
    mim_domain_parts given = usual();
    given.thread_metric = other;
    given.socket = sockets;
    given.sizes = "node";
    assert_int_equal(mim_domain_create(&given, &d), MIM_OK);
    assert_string_equal(d->sizes, "node");
    assert_memory_equal(d->thread_metric, other, sizeof other);
    assert_int_equal(d->n_node_metrics, 3);
    assert_int_equal(d->node_metric[0], 2);
    mim_domain_destroy(&d);
}

static void test_normalising(void **state)
{
    (void)state;
    static const struct {
        size_t metric;
        double value, expected;
        float mask;
        bool is_outside;
    } cases[] = {
        {0, 50, 0, 1, false}, {0, 0, -1, 1, false},     {1, 100, 1, 1, false},
        {1, 120, 1, 1, true}, {0, NAN, 0, 0, false},    {2, 5, 0, 0, false},
        {2, 6, 0, 0, true},   {4, 150, -0.5, 1, false}, {4, 300.1, 1, 1, false},
        {4, 301, 1, 1, true}, {4, 99, -1, 1, true},     {4, INFINITY, 0, 0, false},
        {5, 7, 0, 0, false},
    };
    const mim_domain_parts parts = usual();
    mim_domain *d = NULL;
    assert_int_equal(mim_domain_create(&parts, &d), MIM_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double values[D] = {NAN, NAN, NAN, NAN, NAN, NAN};
        float cpu[T], cpu_mask[T], node[3], node_mask[3];
        const size_t m = cases[i].metric;
        values[m] = cases[i].value;
        mim_domain_normalise(d, values, (mim_normalised){cpu, cpu_mask, node, node_mask});
        const float value = m < 3 ? cpu[m] : node[m - 3];
        const float mask = m < 3 ? cpu_mask[m] : node_mask[m - 3];
        assert_true(fabs((double)value - cases[i].expected) < 1e-6);
        assert_true(mask == cases[i].mask);
        assert_true(mim_domain_is_outside(d, m, cases[i].value) == cases[i].is_outside);
        assert_true(cpu[3] == 0 && cpu_mask[3] == 0);
    }
    mim_domain_destroy(&d);
}

/* The original's scales: 2000 KB/s of at most 488797. */
static void test_published_value(void **state)
{
    (void)state;
    mim_domain_parts parts = usual();
    static const double zeros[D] = {0}, largest[D] = {100, 100, 100, 100, 488797, 1};
    const double values[D] = {NAN, NAN, NAN, NAN, 2000, NAN};
    float cpu[T], cpu_mask[T], node[3], node_mask[3];
    mim_domain *d = NULL;
    parts.minimum = zeros;
    parts.maximum = largest;
    assert_int_equal(mim_domain_create(&parts, &d), MIM_OK);
    mim_domain_normalise(d, values, (mim_normalised){cpu, cpu_mask, node, node_mask});
    assert_true(fabs((double)node[1] - -0.99181664372) < 6e-8);
    mim_domain_destroy(&d);
    parts.normalisation = MIM_NORMALISE_LOG;
    assert_int_equal(mim_domain_create(&parts, &d), MIM_OK);
    mim_domain_normalise(d, values, (mim_normalised){cpu, cpu_mask, node, node_mask});
    assert_true(fabs((double)node[1] - 0.16054561068) < 6e-8);
    mim_domain_destroy(&d);
}

/* By the logarithm: ends stay ends, what is below or above is clipped, the order stays. */
static void test_logarithm(void **state)
{
    (void)state;
    static const struct {
        double value, expected;
    } cases[] = {{100, -1},
                 {300, 1},
                 {99, -1},
                 {0, -1},
                 {301, 1},
                 {1e9, 1},
                 {101, 2 * 0.69314718056 / 5.30330490806 - 1}}; /* ln 2 / ln 201 */
    mim_domain_parts parts = usual();
    mim_domain *d = NULL;
    mim_normalisation found = MIM_NORMALISE_LINEAR;
    parts.normalisation = MIM_NORMALISE_LOG;
    assert_int_equal(mim_domain_create(&parts, &d), MIM_OK);
    double last = -1;
    for (size_t i = 0; i < 200 + sizeof cases / sizeof *cases; i++) {
        const bool is_case = i >= 200;
        double values[D] = {NAN, NAN, NAN, NAN, NAN, NAN};
        float cpu[T], cpu_mask[T], node[3], node_mask[3];
        values[4] = is_case ? cases[i - 200].value : 101 + (double)i;
        mim_domain_normalise(d, values, (mim_normalised){cpu, cpu_mask, node, node_mask});
        assert_true(node_mask[1] == 1);
        if (is_case)
            assert_true(fabs((double)node[1] - cases[i - 200].expected) < 1e-6);
        else
            assert_true((double)node[1] > last);
        last = is_case ? last : (double)node[1];
    }
    mim_domain_destroy(&d);
    assert_int_equal(mim_normalisation_find("log", &found), MIM_OK);
    assert_int_equal(found, MIM_NORMALISE_LOG);
    assert_int_equal(mim_normalisation_find("ln", &found), MIM_EDATA);
}

static void expect(mim_domain_parts parts, const char *part)
{
    mim_domain *d = NULL;
    if (mim_domain_create(&parts, &d) != MIM_EDATA || !strstr(mim_error(), part))
        fail_msg("\"%s\" has no \"%s\"", mim_error(), part);
    assert_null(d);
}

static void test_refusals(void **state)
{
    (void)state;
    static const char *const twice[S] = {"a", "a"}, *const empty[S] = {"a", ""};
    static const double upside[D] = {0, 10, 5, 0, 400, 7}, endless[D] = {0, 10, 5, -INFINITY, 0, 7};
    static const double half[D] = {0, 10, 5, 0, NAN, 7};
    static const size_t far[T] = {0, 1, 2, D}, shared[T] = {0, 1, 1, 2}, sockets[T] = {0, 1, 2, 0};
    mim_domain_parts p = usual();
    p.n_metrics = 0;
    expect(p, "1 to 8192 metrics, found 0");
    p = usual();
    p.n_threads = MIM_DOMAIN_MAX_THREADS + 1;
    expect(p, "4096 threads, found 4097");
    p = usual();
    p.n_sockets = 5;
    expect(p, "5 sockets, but 4 threads");
    p = usual();
    p.actions = twice;
    expect(p, "action a is there twice");
    p.actions = empty;
    expect(p, "action 1 has no name");
    p = usual();
    p.minimum = upside;
    expect(p, "io_read: range 400 to 300");
    p.minimum = endless;
    expect(p, "core_09: range -inf");
    p.minimum = half;
    expect(p, "io_read: range nan");
    p = usual();
    p.thread_metric = far;
    expect(p, "metric 6 of 6");
    p.thread_metric = shared;
    expect(p, "another thread's");
    p = usual();
    p.socket = sockets;
    expect(p, "thread 2 is on socket 2 of 2");
    p = usual();
    p.sizes = "huge";
    expect(p, "stressor_sizes: expected original or node, found huge");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_owners),          cmocka_unit_test(test_normalising),
        cmocka_unit_test(test_published_value), cmocka_unit_test(test_logarithm),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
