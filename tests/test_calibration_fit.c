/* Whether a stored calibration still speaks of this machine: identities, ages, and stressors
 * measured again. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/clock.h"
#include "node/calibration_fit.h"

#define N_OF(a) (sizeof(a) / sizeof *(a))

static const char copy[] = "BM_LIBC_Memcpy_Fleet_L1";
static const char writes[] = "BM_STRESS_NG_HddWriteNF_1MB_BurstScaled";
static const char bursts[] = "BM_DIRECTMEMSET_32MB_WeightScaled_50ms";

typedef struct bench {
    mim_machine *machine;
    mim_scratch *scratch;
    mim_actions *actions, *sized; /* the same list; sized: by this node's caches */
} bench;

static int set_up(void **state)
{
    bench *b = calloc(1, sizeof *b);
    const mim_scratch_options options = {.folder = "/var/tmp", .io_mode = MIM_IO_BUFFERED};
    assert_non_null(b);
    assert_int_equal(mim_machine_create(1, &b->machine), MIM_OK);
    assert_int_equal(mim_scratch_create(&options, &b->scratch), MIM_OK);
    assert_int_equal(mim_actions_builtin("20", &b->actions), MIM_OK);
    assert_int_equal(mim_actions_copy(b->actions, &b->sized), MIM_OK);
    const mim_actions_node node = {.caches = mim_machine_caches(b->machine), .sizes_all = true};
    assert_int_equal(mim_actions_fit(b->sized, &node), MIM_OK);
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    bench *b = *state;
    mim_machine_destroy(&b->machine);
    mim_scratch_destroy(&b->scratch);
    mim_actions_destroy(&b->actions);
    mim_actions_destroy(&b->sized);
    free(b);
    return 0;
}

/* Of this machine and scratch, measured `age_days` ago. */
static mim_calibration own(const bench *b, double age_days)
{
    mim_calibration c = {.io_mode = "buffered", .scratch_folder = "/var/tmp", .sizes = "original"};
    strcpy(c.machine_key, b->machine->key);
    strcpy(c.kernel, b->machine->kernel);
    c.measured_real_s = (double)mim_clock_real_ns() * 1e-9 - 86400.0 * age_days;
    return c;
}

static void test_differences(void **state)
{
    const bench *b = *state;
    const mim_calibration_use use = {b->machine, b->scratch, b->actions},
                              no_scratch = {b->machine, NULL, b->actions},
                              sized = {b->machine, b->scratch, b->sized};
    char text[MIM_DIFFERENCE_BYTES];
    mim_calibration c = own(b, 0);
    assert_false(mim_calibration_differs(&c, &use, text));
    assert_false(mim_calibration_differs(&c, &no_scratch, text));
    assert_true(mim_calibration_differs(&c, &sized, text));
    assert_string_equal(text, "sizes original, this is node");
    strcpy(c.sizes, "node");
    assert_false(mim_calibration_differs(&c, &sized, text));
    assert_true(mim_calibration_differs(&c, &use, text));
    c = own(b, 0);
    strcpy(c.io_mode, "direct");
    assert_true(mim_calibration_differs(&c, &use, text));
    assert_string_equal(text, "I/O mode direct, this is buffered");
    assert_false(mim_calibration_differs(&c, &no_scratch, text));
    c = own(b, 0);
    strcpy(c.scratch_folder, "/elsewhere");
    assert_true(mim_calibration_differs(&c, &use, text));
    assert_string_equal(text, "scratch folder /elsewhere, this is /var/tmp");
    assert_false(mim_calibration_differs(&c, &no_scratch, text));
    c = own(b, 0);
    strcpy(c.machine_key, "0123456789abcdef");
    assert_true(mim_calibration_differs(&c, &no_scratch, text));
    assert_non_null(strstr(text, "machine 0123456789abcdef, this is "));
    strcpy(c.kernel, "2.4.18"); /* tells why the key is another */
    assert_true(mim_calibration_differs(&c, &use, text));
    assert_non_null(strstr(text, "kernel 2.4.18, this is "));
}

static void test_covers(void **state)
{
    static const char *const lists[][2] = {
        {copy, NULL}, {copy, bursts}, {copy, "BM_Nobody"}, {bursts, NULL}};
    static const bool is_covered[] = {true, false, true, false},
                      is_covered_by_all[] = {true, true, true, true};
    mim_cost cost = {.stressor = "BM_DIRECTMEMSET_32MB_WeightScaled_50ms"};
    mim_calibration none = {.n_costs = 0}, all = {.n_costs = 1, .costs = &cost};
    (void)state;
    for (size_t i = 0; i < N_OF(lists); i++) {
        mim_actions *actions = NULL;
        assert_int_equal(mim_actions_from_names(lists[i][1] ? 2 : 1, lists[i], &actions), MIM_OK);
        assert_int_equal(mim_calibration_covers(&none, actions, NULL), is_covered[i]);
        assert_int_equal(mim_calibration_covers(&all, actions, NULL), is_covered_by_all[i]);
        mim_actions_destroy(&actions);
    }
}

static void test_ages(void **state)
{
    const bench *b = *state;
    const mim_calibration_use use = {b->machine, NULL, b->actions};
    static const struct {
        double age_days, max_age_days;
        bool is_stale;
    } cases[] = {
        {0, 30, false},   {29, 30, false}, {31, 30, true},  {400, 0, false},
        {0.5, 0.4, true}, {-5, 30, false}, {NAN, 30, true}, {NAN, 0, false},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        const mim_calibration c = own(b, cases[i].age_days);
        const mim_calibrate_options options = {.max_age_days = cases[i].max_age_days};
        char text[MIM_DIFFERENCE_BYTES] = "";
        bool is_stale = !cases[i].is_stale;
        assert_int_equal(mim_calibration_is_stale(&c, &use, &options, NULL, &is_stale, text),
                         MIM_OK);
        if (is_stale != cases[i].is_stale)
            fail_msg("%g days, at most %g: %s", cases[i].age_days, cases[i].max_age_days, text);
        if (is_stale)
            assert_non_null(strstr(text, "measured"));
    }
    const mim_calibration ahead = own(b, -5);
    assert_true(mim_calibration_age_days(&ahead) == 0.0);
}

/* The CPU stressor as it is measured now. */
static mim_cost measure(const bench *b)
{
    static const char *const names[] = {copy};
    const mim_calibrate_options options = {.seconds_each = 0.1, .n_repeats = 5};
    mim_actions *actions = NULL;
    mim_calibration *c = NULL;
    assert_int_equal(mim_actions_from_names(1, names, &actions), MIM_OK);
    assert_int_equal(mim_calibrate(b->machine, actions, NULL, &options, NULL, &c), MIM_OK);
    const mim_cost cost = c->costs[0];
    mim_calibration_destroy(&c);
    mim_actions_destroy(&actions);
    return cost;
}

/* What is stored agrees within a wide spread, and cannot agree when it is ten times off; how busy
 * the machine is may only turn "changed" into "cannot be told". */
static void test_spots(void **state)
{
    const bench *b = *state;
    const mim_calibration_use use = {b->machine, NULL, b->actions};
    mim_calibration c = own(b, 1);
    mim_cost cost = measure(b);
    mim_spot_check check;
    c.n_costs = 1;
    c.costs = &cost;
    cost.spread = 3.0;
    assert_int_equal(mim_calibration_spot_check(&c, &use, &check), MIM_OK);
    assert_int_equal(check.verdict, MIM_SPOT_HOLDS);
    assert_int_equal(check.n_spots, 1);
    assert_string_equal(check.spots[0].stressor, copy);
    assert_true(check.spots[0].stored_s == cost.op_s && check.spots[0].found_s > 0.0);
    assert_true(fabs(check.spots[0].allowed - 3.1) < 1e-12);
    assert_string_equal(check.text, "");
    cost.spread = 0.01;
    cost.op_s *= 10.0;
    assert_int_equal(mim_calibration_spot_check(&c, &use, &check), MIM_OK);
    assert_true(check.verdict == MIM_SPOT_CHANGED || check.verdict == MIM_SPOT_UNKNOWN);
    assert_non_null(strstr(check.text, copy));
    print_message("%s\n", check.text);

    /* The same by its age: not looked at before its time. */
    mim_calibrate_options options = {.max_age_days = 30, .check_after_h = 25};
    char text[MIM_DIFFERENCE_BYTES] = "";
    bool is_stale = true;
    assert_int_equal(mim_calibration_is_stale(&c, &use, &options, NULL, &is_stale, text), MIM_OK);
    assert_false(is_stale);
    assert_string_equal(text, "");
    options.check_after_h = 23;
    assert_int_equal(mim_calibration_is_stale(&c, &use, &options, NULL, &is_stale, text), MIM_OK);
    assert_true(*text);        /* one or the other */
    options.check_after_h = 0; /* never */
    assert_int_equal(mim_calibration_is_stale(&c, &use, &options, NULL, &is_stale, text), MIM_OK);
    assert_false(is_stale);
}

/* I/O is looked at when there is a scratch folder, and nothing of it stays. */
static void test_spots_with_files(void **state)
{
    const bench *b = *state;
    const mim_calibration_use use = {b->machine, b->scratch, b->actions};
    mim_calibration c = own(b, 1);
    mim_cost costs[2] = {measure(b), {.op_s = 1e-3, .spread = 1000.0}};
    mim_spot_check check;
    costs[0].spread = 3.0;
    strcpy(costs[1].stressor, writes);
    c.n_costs = 2;
    c.costs = costs;
    assert_int_equal(mim_calibration_spot_check(&c, &use, &check), MIM_OK);
    assert_int_equal(check.n_spots, 2);
    assert_string_equal(check.spots[1].stressor, writes);
    assert_int_equal(check.verdict, MIM_SPOT_HOLDS);
}

static void test_nothing_to_compare(void **state)
{
    const bench *b = *state;
    const mim_calibration_use use = {b->machine, b->scratch, b->actions};
    mim_calibration c = own(b, 1);
    mim_cost cost = {.stressor = "BM_Nobody", .op_s = 1e-3};
    mim_spot_check check;
    assert_int_equal(mim_calibration_spot_check(&c, &use, &check), MIM_OK);
    assert_int_equal(check.verdict, MIM_SPOT_UNKNOWN);
    c.n_costs = 1;
    c.costs = &cost;
    assert_int_equal(mim_calibration_spot_check(&c, &use, &check), MIM_OK);
    assert_int_equal(check.verdict, MIM_SPOT_UNKNOWN);
    strcpy(cost.stressor, copy);
    cost.op_s = NAN; /* not measured */
    assert_int_equal(mim_calibration_spot_check(&c, &use, &check), MIM_OK);
    assert_int_equal(check.verdict, MIM_SPOT_UNKNOWN);
    assert_int_equal(check.n_spots, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_differences),
        cmocka_unit_test(test_covers),
        cmocka_unit_test(test_ages),
        cmocka_unit_test(test_spots),
        cmocka_unit_test(test_spots_with_files),
        cmocka_unit_test(test_nothing_to_compare),
    };
    return cmocka_run_group_tests_name("calibration_fit", tests, set_up, tear_down);
}
