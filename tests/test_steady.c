/* Repeated measurements against scripts of what each repeat gives: rounds, spread, disturbance. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "node/steady.h"

#define N_OF(a) (sizeof(a) / sizeof *(a))

/* One letter a repeat, gone through again from the start: 'a' 1.00, 'b' 1.01 ... 'z' 1.25; upper
 * case: the same, disturbed; '1': 10 times as long; '!': fails. One letter a round: 'd' disturbed.
 */
typedef struct script {
    const char *repeats, *rounds; /* rounds NULL: none disturbed; beyond its end: not disturbed */
    size_t n_repeats, n_rounds;   /* taken so far */
} script;

static int repeat(void *context, mim_repeat *out)
{
    script *s = context;
    const char letter = s->repeats[s->n_repeats++ % strlen(s->repeats)];
    if (letter == '!')
        return mim_fail(MIM_EIO, "as scripted");
    out->is_disturbed = letter >= 'A' && letter <= 'Z';
    const int step = out->is_disturbed ? letter - 'A' : letter - 'a';
    out->op_s = letter == '1' ? 10.0 : 1.0 + 0.01 * step;
    out->cpu_s = 0.5 * out->op_s;
    out->bytes_per_s = 100.0 / out->op_s;
    return MIM_OK;
}

static void begin(void *context) { ((script *)context)->n_rounds++; }

static bool was_disturbed(void *context)
{
    const script *s = context;
    return s->rounds && s->n_rounds <= strlen(s->rounds) && s->rounds[s->n_rounds - 1] == 'd';
}

static const struct {
    const char *what;
    const char *repeats, *rounds;
    double max_spread;
    /* expected */
    double op_s, spread; /* NaN: any */
    size_t n_repeats, n_taken, n_disturbed;
    bool is_disturbed, is_unstable;
} cases[] = {
    {"all the same", "a", NULL, 0.1, 1.0, 0.0, 7, 7, 0, false, false},
    {"within the limit", "abcdefg", NULL, 0.1, 1.03, 0.03 / 1.03, 7, 7, 0, false, false},
    {"one outlier does not count", "aaa1aaa", NULL, 0.1, 1.0, 0.0, 7, 7, 0, false, false},
    {"two levels never agree", "a1", NULL, 0.1, NAN, NAN, 28, 49, 0, false, true},
    {"agreed in the second round", "aa11a11aaaaaaaaaaaaaaaaaaaaaa", NULL, 0.1, 1.0, 0.0, 14, 21, 0,
     false, false},
    {"disturbed repeats are taken again", "aBaCaDa", NULL, 0.1, 1.0, 0.0, 7, 12, 5, false, false},
    {"a disturbed figure is not used", "aaZaaaZ", NULL, 0.1, 1.0, 0.0, 7, 9, 2, false, false},
    {"disturbed all the time", "CDE", NULL, 0.1, 1.03, NAN, 21, 21, 21, true, false},
    {"disturbed most of the time", "aCCCC", NULL, 0.1, 1.02, NAN, 21, 21, 16, true, false},
    {"a disturbed round is taken again", "a", "d", 0.1, 1.0, 0.0, 7, 14, 0, false, false},
    {"two disturbed rounds", "a", "dd", 0.1, 1.0, 0.0, 7, 21, 0, false, false},
    {"all rounds disturbed", "a", "ddddddddd", 0.1, 1.0, 0.0, 7, 21, 0, true, false},
    {"disturbed and unstable: no more rounds", "Z1AZAA", NULL, 0.1, NAN, NAN, 21, 21, 17, true,
     true},
    {"without judgement the first round is taken", "Z1AZA1", "ddd", 0, NAN, NAN, 7, 7, 5, false,
     false},
};

static void test_scripts(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < N_OF(cases); i++) {
        script s = {cases[i].repeats, cases[i].rounds, 0, 0};
        const mim_steady_source source = {&s, repeat, begin, was_disturbed};
        const mim_steady_options options = {7, 3, cases[i].max_spread};
        mim_steady found = {0};
        if (mim_steady_measure(&options, &source, &found) != MIM_OK)
            fail_msg("%s: %s", cases[i].what, mim_error());
        if (found.n_repeats != cases[i].n_repeats || found.n_taken != cases[i].n_taken ||
            found.n_disturbed != cases[i].n_disturbed ||
            found.is_disturbed != cases[i].is_disturbed ||
            found.is_unstable != cases[i].is_unstable)
            fail_msg("%s: %zu of %zu repeats, %zu disturbed, %s, %s", cases[i].what,
                     found.n_repeats, found.n_taken, found.n_disturbed,
                     found.is_disturbed ? "disturbed" : "quiet",
                     found.is_unstable ? "unstable" : "stable");
        if (!isnan(cases[i].op_s) && fabs(found.op_s - cases[i].op_s) > 1e-12)
            fail_msg("%s: median %g, expected %g", cases[i].what, found.op_s, cases[i].op_s);
        if (!isnan(cases[i].spread) && fabs(found.spread - cases[i].spread) > 1e-12)
            fail_msg("%s: spread %g, expected %g", cases[i].what, found.spread, cases[i].spread);
        assert_true(fabs(found.cpu_s - 0.5 * found.op_s) < 1e-12);
    }
}

/* A source without rounds of its own, and the longest there is. */
static void test_bounds(void **unused)
{
    static const mim_steady_options bad[] = {{0, 1, 0.1}, {65, 1, 0.1}, {7, 0, 0.1}, {7, 11, 0.1}};
    script s = {"a1", NULL, 0, 0};
    const mim_steady_source source = {&s, repeat, NULL, NULL};
    mim_steady found = {.n_repeats = 99};
    (void)unused;
    for (size_t i = 0; i < N_OF(bad); i++)
        assert_int_equal(mim_steady_measure(&bad[i], &source, &found), MIM_EINVAL);
    assert_int_equal(found.n_repeats, 99);
    const mim_steady_options most = {MIM_STEADY_MAX_REPEATS, 3, 0.1};
    assert_int_equal(mim_steady_measure(&most, &source, &found), MIM_OK);
    assert_int_equal(found.n_repeats, MIM_STEADY_MAX_REPEATS);
    assert_int_equal(found.n_taken, 3 * MIM_STEADY_MAX_REPEATS);
    assert_true(found.is_unstable);
    s = (script){"Z", NULL, 0, 0};
    assert_int_equal(mim_steady_measure(&most, &source, &found), MIM_OK);
    assert_int_equal(found.n_repeats, 3 * MIM_STEADY_MAX_REPEATS);
    assert_true(found.is_disturbed);
}

static void test_failures_end_it(void **unused)
{
    script s = {"aaa!", NULL, 0, 0};
    const mim_steady_source source = {&s, repeat, begin, was_disturbed};
    const mim_steady_options options = {7, 3, 0.1};
    mim_steady found = {.n_repeats = 99};
    (void)unused;
    assert_int_equal(mim_steady_measure(&options, &source, &found), MIM_EIO);
    assert_string_equal(mim_error(), "as scripted");
    assert_int_equal(s.n_repeats, 4);
    assert_int_equal(found.n_repeats, 99);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scripts),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_failures_end_it),
    };
    return cmocka_run_group_tests_name("steady", tests, NULL, NULL);
}
