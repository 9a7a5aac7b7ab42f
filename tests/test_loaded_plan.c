/* A plan as a node will run it: which slot length counts, how long it takes, what it needs with its
 * results, and what is refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/executor.h"
#include "node/loaded_plan.h"
#include "tests/support/h5_files.h"

#define N_OF(a) (sizeof(a) / sizeof *(a))
enum { N_WINDOWS = 5, N_THREADS = 2 };

/* The first window is empty and is not run; both threads are busy in the others. */
static void make_plan(const char *path, double slot_s)
{
    mim_actions *actions = NULL;
    mim_plan *plan = NULL;
    assert_int_equal(mim_actions_builtin("20", &actions), MIM_OK);
    assert_int_equal(mim_plan_create(N_WINDOWS, N_THREADS, actions, &plan), MIM_OK);
    for (size_t w = 1; w < N_WINDOWS; w++)
        for (size_t t = 0; t < N_THREADS; t++)
            mim_plan_row(plan, w, t)[0] = 0.75;
    mim_plan_set_slot_s(plan, slot_s);
    assert_int_equal(mim_plan_write(plan, path), MIM_OK);
    mim_plan_destroy(&plan);
    mim_actions_destroy(&actions);
}

static const mim_machine machine = {.n_cpus = 2, .memory_available_bytes = UINT64_C(1) << 40};

static const mim_actions_node node = {.sizes_all = false};

static void test_slots_and_length(void **state)
{
    (void)state;
    static const struct {
        double in_plan_s, asked_s;
        size_t n_iters;
        bool idle_slot;
        double slot_s, duration_s;
    } cases[] = {
        {0, 0, 1, false, 1, 4},     {2, 0, 1, false, 2, 8}, {2, 0.5, 1, false, 0.5, 2},
        {0, 0.5, 3, false, 0.5, 6}, {2, 0, 3, true, 2, 30}, {0.01, 0, 1, false, 0.01, 0.04},
        {0, 60, 1, true, 60, 300},
    };
    const mim_limits limits = {.max_time_s = 1e6};
    for (size_t i = 0; i < N_OF(cases); i++) {
        const char *path = in_folder("plan.h5");
        const mim_plan_pace pace = {.slot_s = cases[i].asked_s,
                                    .usual_slot_s = 1,
                                    .n_iters = cases[i].n_iters,
                                    .idle_slot = cases[i].idle_slot,
                                    .n_runs = 2,
                                    .before_s = 0.5};
        mim_loaded_plan loaded = {0};
        mim_plan_need bare;
        make_plan(path, cases[i].in_plan_s);
        assert_int_equal(
            mim_loaded_plan_read(path, NULL, &node, &pace, &machine, &limits, NULL, &loaded),
            MIM_OK);
        assert_true(loaded.slot_s == cases[i].slot_s);
        assert_float_equal(loaded.duration_s, cases[i].duration_s, 1e-9);
        assert_true(fabs(loaded.longest_s - (2 * cases[i].duration_s + 1)) < 1e-9);
        assert_int_equal(mim_plan_n_windows(loaded.plan), N_WINDOWS);
        assert_int_equal(mim_plan_needs(loaded.plan, &bare), MIM_OK);
        assert_int_equal(
            loaded.need.memory_bytes - bare.memory_bytes,
            (uint64_t)mim_run_result_bytes(loaded.plan, cases[i].duration_s / cases[i].slot_s));
        mim_plan_need_clear(&bare);
        mim_loaded_plan_clear(&loaded);
        assert_null(loaded.plan);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        double slot_s, max_time_s;
        uint64_t max_memory_bytes;
        int code;
        const char *part;
    } cases[] = {
        {"plan.h5", 0, 4, 0, MIM_OK, NULL},
        {"plan.h5", 0, 3.9, 0, MIM_EUNSUP, "limits.time_s"},
        {"plan.h5", 1.1, 4, 0, MIM_EUNSUP, "limits.time_s"},
        {"plan.h5", 0, 4, 1, MIM_EUNSUP, "limits.memory"},
        {"plan.h5", 0.009, 4, 0, MIM_EUSAGE, "slot_s: expected 0 or at least 0.01 s, found 0.009"},
        {"none.h5", 0, 4, 0, MIM_EIO, "none.h5"},
        {"text.h5", 0, 4, 0, MIM_EDATA, "text.h5"},
    };
    make_plan(in_folder("plan.h5"), 0);
    write_bytes(in_folder("text.h5"), "no plan", 7);
    for (size_t i = 0; i < N_OF(cases); i++) {
        const mim_limits limits = {.max_time_s = cases[i].max_time_s,
                                   .max_memory_bytes = cases[i].max_memory_bytes};
        const mim_plan_pace pace = {
            .slot_s = cases[i].slot_s, .usual_slot_s = 1, .n_iters = 1, .n_runs = 1};
        mim_loaded_plan loaded = {0};
        const int rc = mim_loaded_plan_read(in_folder(cases[i].name), NULL, &node, &pace, &machine,
                                            &limits, NULL, &loaded);
        if (rc != cases[i].code || (cases[i].part && !strstr(mim_error(), cases[i].part)))
            fail_msg("case %zu: code %d: %s", i, rc, mim_error());
        assert_true((loaded.plan != NULL) == (rc == MIM_OK));
        mim_loaded_plan_clear(&loaded);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slots_and_length),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests_name("loaded_plan", tests, h5_make_folder, h5_remove_folder);
}
