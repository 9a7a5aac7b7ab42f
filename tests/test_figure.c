#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "core/error.h"
#include "tests/support/figure.h"
#include "tests/support/judge.h"
#include "tests/support/values.h"

#define N_OF(a) (sizeof(a) / sizeof *(a))
#define assert_near(a, b, tolerance) assert_true(fabs((a) - (b)) <= (tolerance))

static void test_verdicts(void **state)
{
    (void)state;
    static const struct {
        double value, at_most, at_least, peer, allowance;
        size_t n, n_needed;
        figure_verdict expected;
    } cases[] = {
        {0.5, 1.0, NAN, NAN, NAN, 50, 0, FIGURE_MET},
        {1.0, 1.0, NAN, NAN, NAN, 50, 0, FIGURE_MET},
        {1.01, 1.0, NAN, NAN, NAN, 50, 0, FIGURE_MISSED},
        {0.5, 1.0, NAN, NAN, NAN, 49, 0, FIGURE_NOT_MEASURABLE}, /* 50 unless told otherwise */
        {5.0, 1.0, NAN, NAN, NAN, 49, 0, FIGURE_NOT_MEASURABLE},
        {0.5, 1.0, NAN, NAN, NAN, 5, 5, FIGURE_MET},
        {NAN, 1.0, NAN, NAN, NAN, 50, 0, FIGURE_NOT_MEASURABLE},
        {0.99, NAN, 0.98, NAN, NAN, 50, 0, FIGURE_MET},
        {0.97, NAN, 0.98, NAN, NAN, 50, 0, FIGURE_MISSED},
        {0.5, NAN, NAN, NAN, NAN, 50, 0, FIGURE_NO_GOAL},
        {0.5, NAN, NAN, 0.1, 0.1, 50, 0, FIGURE_NO_GOAL},
        {0.5, 1.0, NAN, 0.3, 0.1, 50, 0, FIGURE_MISSED}, /* behind the peer */
        {0.4, 1.0, NAN, 0.3, 0.125, 50, 0, FIGURE_MET},
        {0.5, 1.0, NAN, 0.3, NAN, 50, 0, FIGURE_MET}, /* only shown beside it */
        {0.5, 1.0, NAN, NAN, 0.1, 50, 0, FIGURE_MET}, /* no peer to be behind of */
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        figure f = figure_of("part", "unit", "case %zu", i);
        f.value = cases[i].value;
        f.at_most = cases[i].at_most;
        f.at_least = cases[i].at_least;
        f.peer_allowance = cases[i].allowance;
        f.n = cases[i].n;
        f.n_needed = cases[i].n_needed;
        figure_add_peer(&f, "peer", cases[i].peer, isnan(cases[i].peer) ? "not installed" : NULL);
        if (figure_judge(&f) != cases[i].expected)
            fail_msg("case %zu: %d, expected %d", i, figure_judge(&f), cases[i].expected);
    }
}

/* The row and the line of a figure; disturbed: nothing may be judged. */
static void print_to(const figure *f, int is_disturbed, char **table, char **line)
{
    size_t n_table = 0, n_line = 0;
    figure_report report = {.table = open_memstream(table, &n_table),
                            .lines = open_memstream(line, &n_line),
                            .is_disturbed = is_disturbed};
    figure_print(f, &report);
    fclose(report.table);
    fclose(report.lines);
}

static void test_row_and_line(void **state)
{
    (void)state;
    const double x[] = {1.0, 2.0}, y[] = {0.25, NAN};
    figure f = figure_of("cpu", "points", "error at %d %%", 10);
    char *table = NULL, *line = NULL, *label = NULL;
    double value, ratio, second;
    int n, is_null;
    f.value = 0.25;
    f.at_most = 1.0;
    f.peer_allowance = 0.5;
    f.n = 60;
    f.n_rejected = 7;
    f.chart = "CPU";
    f.panel = f.x_label = f.y_label = "";
    figure_add_peer(&f, "stress-ng", 0.5, NULL);
    figure_add_peer(&f, "fio", NAN, "not installed");
    figure_add_curve(&f, "ours \"1\"", 2, x, y);
    print_to(&f, 0, &table, &line);
    assert_non_null(strstr(table, "error at 10 % "));
    assert_non_null(strstr(table, " 0.25 points "));
    assert_non_null(strstr(table, " <= 1, <= stress-ng + 0.5 "));
    assert_non_null(strstr(table, " stress-ng 0.5, fio not installed "));
    assert_non_null(strstr(table, " 60 (7) "));
    assert_non_null(strstr(table, " met\n"));
    json_t *root = json_loads(line, 0, NULL);
    const json_t *curve = json_array_get(json_object_get(root, "curves"), 0);
    assert_int_equal(json_unpack(root, "{s:F, s:F, s:i, s:{s:F}}", "value", &value, "ratio", &ratio,
                                 "n_rejected", &n, "peers", "stress-ng", &second),
                     0);
    assert_near(value, 0.25, 0.0);
    assert_near(ratio, 0.5, 0.0);
    assert_near(second, 0.5, 0.0);
    assert_int_equal(n, 7);
    label = strdup(json_string_value(json_object_get(curve, "label")));
    is_null = json_is_null(json_array_get(json_object_get(curve, "y"), 1));
    assert_string_equal(label, "ours \"1\"");
    assert_true(is_null);
    assert_string_equal(json_string_value(json_object_get(root, "verdict")), "met");
    json_decref(root);
    free(table);
    free(line);
    free(label);
    print_to(&f, 1, &table, &line);
    assert_non_null(strstr(table, " not measurable now\n"));
    free(table);
    free(line);
}

static void test_values(void **state)
{
    (void)state;
    values v = {0};
    assert_true(isnan(values_mean(&v)));
    assert_true(isnan(values_median(&v)));
    assert_true(isnan(values_deviation(&v)));
    for (int i = 1; i <= 200; i++) /* grows on the way */
        assert_int_equal(values_add(&v, (double)(201 - i)), MIM_OK);
    assert_near(values_mean(&v), 100.5, 1e-12);
    assert_near(values_median(&v), 100.5, 1e-12);
    assert_near(values_max(&v), 200.0, 0.0);
    /* of 1..n: variance n (n + 1) / 12 */
    assert_near(values_deviation(&v), sqrt(200.0 * 201.0 / 12.0), 1e-9);
    assert_near(values_cv_pct(&v), 100.0 * sqrt(200.0 * 201.0 / 12.0) / 100.5, 1e-9);
    values_clear(&v);
    assert_int_equal(v.n, 0);
}

static void test_r2(void **state)
{
    (void)state;
    const double x[] = {1.0, 2.0, 3.0, 4.0}, line[] = {1.0, -1.0, -3.0, -5.0};
    const double bent[] = {1.0, 3.0, 2.0, 4.0}, flat[] = {2.0, 2.0, 2.0, 2.0};
    assert_near(values_r2(4, x, line), 1.0, 1e-12);
    assert_near(values_r2(4, x, bent), 0.64, 1e-12); /* sums of squares 5, 5, 4 */
    assert_true(isnan(values_r2(4, x, flat)));
    assert_true(isnan(values_r2(2, x, line)));
}

/* Slots of half a second are judged in pairs, the last ones together; '1' accepted, '0' not. */
static void test_judged_slots(void **state)
{
    (void)state;
    static const struct {
        double slot_s;
        bool is_io;
        double steal[7], others[7];
        const char *expected;
    } cases[] = {
        {1.0, false, {0}, {0}, "1111111"},
        {1.0, false, {1.0}, {2.0, 2.0}, "1111111"}, /* at the limits */
        {1.0, false, {0}, {0, 2.1}, "1001111"},     /* and the one after it */
        {1.0, false, {0, 0, 0, 0, 0, 0, 1.1}, {0}, "1111110"},
        {1.0, true, {0}, {10.0, 10.1, 0}, "1001111"}, /* the kernel may work for I/O */
        {1.0, false, {0}, {NAN}, "0011111"},          /* not known */
        {0.5, false, {0}, {0, 0, 3.9}, "1111111"},    /* 1.95 over a second */
        {0.5, false, {0}, {0, 0, 4.1}, "1100000"},    /* pair and the three left */
        {0.5, false, {0}, {4.1}, "0000111"},
        {0.5, false, {0}, {0, 0, 0, 0, 0, 0, 6.1}, "1111000"},
        {0.1, false, {0}, {13.9}, "1111111"}, /* too few for two stretches */
        {0.1, false, {0}, {14.1}, "0000000"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        bool is_accepted[7];
        char text[8] = "";
        judge_slots(7, cases[i].slot_s, cases[i].is_io, cases[i].steal, cases[i].others,
                    is_accepted);
        for (size_t k = 0; k < 7; k++)
            text[k] = is_accepted[k] ? '1' : '0';
        if (strcmp(text, cases[i].expected) != 0)
            fail_msg("case %zu: %s, expected %s", i, text, cases[i].expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verdicts),     cmocka_unit_test(test_row_and_line),
        cmocka_unit_test(test_values),       cmocka_unit_test(test_r2),
        cmocka_unit_test(test_judged_slots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
