/* report/scaling_model: closed forms of rings and of buckets that overlap with computing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "report/scaling_model.h"

#define N_OF(a) (sizeof(a) / sizeof *(a))

static void assert_near(double value, double wanted)
{
    if (!(fabs(value - wanted) <= 1e-12 * fmax(1, fabs(wanted))))
        fail_msg("%.17g, expected %.17g", value, wanted);
}

static void rings(void **state)
{
    static const struct {
        size_t n_nodes;
        double n_bytes, bandwidth, latency_s, wanted_s;
    } cases[] = {
        {1, 1000, 10, 5, 0},           /* nothing to send */
        {2, 1000, 10, 0, 100},         /* each sends one half and gets the other's sum */
        {2, 0, 10, 5, 10},             /* latency alone: 2 messages */
        {4, 1000, 10, 0, 150},         /* 2 * 3/4 of the bytes */
        {4, 1000, 10, 5, 180},         /* and 6 messages */
        {1000, 1000, 10, 0, 2 * 99.9}, /* comes near to twice the bytes */
        {64, 64e6, 12.5e9, 2e-6, 126 * (2e-6 + 8e-5)},
    };
    (void)state;
    for (size_t i = 0; i < N_OF(cases); i++)
        assert_near(
            mim_ring_s(cases[i].n_nodes, cases[i].n_bytes, cases[i].bandwidth, cases[i].latency_s),
            cases[i].wanted_s);
}

/* Two nodes, 1 byte a second, no latency: a sum takes as many seconds as it has bytes. */
static void steps(void **state)
{
    static const struct {
        double ready_s[3], n_bytes[3], latency_s, speed, overlapped_s, blocking_s;
    } cases[] = {
        /* ready at the end: nothing overlaps, 10 + 6 + 1 */
        {{10, 10, 10}, {1, 2, 3}, 0, 1, 17, 17},
        /* all but the last are hidden behind computing */
        {{2, 5, 10}, {1, 2, 3}, 0, 1, 14, 17},
        /* all are hidden */
        {{2, 3, 7}, {1, 2, 3}, 0, 1, 11, 17},
        /* the network is what is waited for: 1 + 30 + 30 + 3 + 1 */
        {{1, 2, 10}, {30, 30, 3}, 0, 1, 65, 74},
        /* it idles between buckets: 6 + 5, then 11 + 3 + 1 */
        {{1, 6, 10}, {1, 5, 3}, 0, 1, 15, 20},
        /* 2 messages a bucket in place of 2 in all: 10 + 6 + 3 * 2 * 0.5 + 1 */
        {{10, 10, 10}, {1, 2, 3}, 0.5, 1, 20, 18},
        /* nodes twice as fast, the same network: 5 + 3 + 0.5, 5 + 6 + 0.5 */
        {{4, 5, 10}, {1, 1.5, 3}, 0, 2, 8.5, 11},
    };
    (void)state;
    for (size_t i = 0; i < N_OF(cases); i++) {
        const mim_scaling_model model = {.compute_s = 10,
                                         .update_s = 1,
                                         .n_buckets = 3,
                                         .ready_s = cases[i].ready_s,
                                         .n_bytes = cases[i].n_bytes,
                                         .speed = cases[i].speed,
                                         .bandwidth_bytes_per_s = 1,
                                         .latency_s = cases[i].latency_s};
        const double alone_s = 11 / cases[i].speed;
        assert_near(mim_scaling_step_s(&model, 2, true), cases[i].overlapped_s);
        assert_near(mim_scaling_step_s(&model, 2, false), cases[i].blocking_s);
        assert_near(mim_scaling_step_s(&model, 1, true), alone_s);
        assert_near(mim_scaling_step_s(&model, 1, false), alone_s);
        assert_near(mim_scaling_share(&model, 2, true), alone_s / cases[i].overlapped_s);
        assert_near(mim_scaling_share(&model, 2, false), alone_s / cases[i].blocking_s);
        assert_near(mim_scaling_share(&model, 1, true), 1);
    }
}

/* More nodes never do better, and a network without limits costs nothing. */
static void limits(void **state)
{
    static const double ready_s[] = {0.2, 0.7, 1}, n_bytes[] = {4e6, 4e6, 1e6};
    mim_scaling_model model = {1, 0.1, 3, ready_s, n_bytes, 1, 12.5e9, 2e-6};
    (void)state;
    for (int overlaps = 0; overlaps < 2; overlaps++)
        for (size_t n = 1; n < 64; n++)
            assert_true(mim_scaling_step_s(&model, n + 1, overlaps) >=
                        mim_scaling_step_s(&model, n, overlaps));
    model.bandwidth_bytes_per_s = INFINITY;
    model.latency_s = 0;
    for (int overlaps = 0; overlaps < 2; overlaps++)
        assert_near(mim_scaling_share(&model, 64, overlaps), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rings), cmocka_unit_test(steps),
                                       cmocka_unit_test(limits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
