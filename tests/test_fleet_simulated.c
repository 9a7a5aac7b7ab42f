/* fleet/simulated and fleet/settings: any number of tasks pending, results keyed by task and in
 * order, nothing but the task decides them; plans measured over it. */
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/simulated_plans.h"

#include "core/clock.h"
#include "core/signals.h"
#include "explore/propose.h"
#include "fleet/measure.h"
#include "fleet/settings.h"

typedef struct bench {
    mim_actions *actions;
    mim_fleet_options options;
} bench;

static int set_up(void **state)
{
    static bench b;
    b.options.simulated =
        (mim_simulated_options){{2, 10}, .has_noise = true, .has_carry_over = true, .seed = 1};
    if (mim_actions_builtin("20", &b.actions) != MIM_OK)
        return 1;
    *state = &b;
    return 0;
}

static int tear_down(void **state)
{
    bench *b = *state;
    mim_actions_destroy(&b->actions);
    return 0;
}

static mim_fleet *open_fleet(const bench *b)
{
    mim_fleet *fleet = NULL;
    assert_int_equal(mim_fleet_open(mim_fleet_find("simulated"), &b->options, &fleet), MIM_OK);
    return fleet;
}

static int submit(mim_fleet *fleet, uint64_t id, const mim_plan *plan, size_t n_iters)
{
    const mim_fleet_task task = {
        .id = id, .plan = plan, .slot_s = 1, .n_iters = n_iters, .seed = 1};
    return mim_fleet_submit(fleet, &task);
}

static mim_fleet_result *next(mim_fleet *fleet)
{
    mim_fleet_result *result = NULL;
    assert_int_equal(mim_fleet_poll(fleet, 0, &result), MIM_OK);
    return result;
}

static void test_many_tasks_pending(void **state)
{
    enum { N = 500 };
    const bench *b = *state;
    mim_fleet *fleet = open_fleet(b);
    const int64_t begin_ns = mim_clock_mono_ns();
    assert_null(next(fleet));
    for (uint64_t id = 0; id < N; id++) {
        mim_plan *plan = random_plan(b->actions, 2, 20, id);
        assert_int_equal(submit(fleet, 1000 + id, plan, 3), MIM_OK);
        mim_plan_destroy(&plan); /* borrowed until submit returned */
    }
    assert_int_equal(mim_fleet_n_pending(fleet), N);
    for (uint64_t id = 0; id < N; id++) {
        mim_fleet_result *r = next(fleet);
        mim_simulated *node = make_node("2x10", true, true, 1);
        mim_plan *plan = random_plan(b->actions, 2, 20, id);
        mim_series *alone = run_series(node, NULL, 1000 + id, plan, NULL);
        assert_int_equal(r->task_id, 1000 + id);
        assert_int_equal(r->status, MIM_FLEET_DONE);
        assert_null(r->error);
        assert_string_equal(r->host, "simulated-2x10");
        assert_int_equal(r->series->n_slots, 6);
        assert_int_equal(r->n_slots, 6);
        assert_int_equal(r->n_threads, 20);
        assert_int_equal(r->n_stressors, 20);
        assert_true(r->given_share != NULL && r->written_bytes == 0);
        for (size_t i = 0; i < 6; i++)
            assert_true(r->is_accepted[i]);
        /* the first pass is what the plan alone gives */
        assert_memory_equal(r->series->values, alone->values,
                            2 * alone->n_metrics * sizeof *alone->values);
        mim_series_destroy(&alone);
        mim_plan_destroy(&plan);
        mim_simulated_destroy(&node);
        mim_fleet_result_destroy(&r);
    }
    assert_null(next(fleet));
    assert_int_equal(mim_fleet_n_pending(fleet), 0);
    assert_true(mim_clock_mono_ns() - begin_ns < INT64_C(300) * 1000000000); /* not 3000 s */
    mim_fleet_close(&fleet);
}

static void test_results_left_behind(void **state)
{
    const bench *b = *state;
    mim_fleet *fleet = open_fleet(b);
    mim_plan *plan = random_plan(b->actions, 1, 20, 1);
    for (uint64_t id = 0; id < 5; id++)
        assert_int_equal(submit(fleet, id, plan, 1), MIM_OK);
    mim_plan_destroy(&plan);
    mim_fleet_close(&fleet); /* leaks are seen by the sanitizer */
}

static void test_refused_tasks(void **state)
{
    const bench *b = *state;
    mim_fleet *fleet = open_fleet(b);
    mim_actions *strange = NULL;
    const char *const names[] = {"BM_NOBODY_KNOWS", "BM_DIRECTMEMSET_32MB_NoSleep"};
    assert_int_equal(mim_actions_from_names(2, names, &strange), MIM_OK);
    mim_plan *plan = make_plan(strange, 2, 1);
    assert_int_equal(submit(fleet, 1, plan, 0), MIM_EINVAL);
    mim_plan_row(plan, 1, 0)[1] = 0.5;
    assert_int_equal(submit(fleet, 1, plan, 1), MIM_EINVAL); /* begins idle and goes on */
    mim_plan_row(plan, 0, 0)[0] = 0.5;
    assert_int_equal(submit(fleet, 2, plan, 1), MIM_OK);
    mim_fleet_result *r = next(fleet);
    assert_int_equal(r->task_id, 2);
    assert_int_equal(r->status, MIM_FLEET_REFUSED);
    assert_non_null(strstr(r->error, "BM_NOBODY_KNOWS"));
    assert_null(r->series);
    mim_fleet_result_destroy(&r);
    mim_plan_destroy(&plan);
    mim_actions_destroy(&strange);
    mim_fleet_close(&fleet);
    mim_fleet_options bad = b->options;
    bad.simulated.size.n_cores = 0;
    assert_int_equal(mim_fleet_open(&mim_fleet_simulated, &bad, &fleet), MIM_EINVAL);
}

/* In a process of its own: after a stop request tasks are not begun. */
static void test_stop(void **state)
{
    const bench *b = *state;
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        mim_fleet *fleet = NULL;
        mim_fleet_result *r = NULL;
        mim_plan *plan = random_plan(b->actions, 1, 20, 1);
        int rc = mim_signals_install();
        if (rc == MIM_OK)
            rc = mim_fleet_open(&mim_fleet_simulated, &b->options, &fleet);
        raise(SIGTERM);
        if (rc == MIM_OK)
            rc = submit(fleet, 1, plan, 1);
        if (rc == MIM_OK)
            rc = mim_fleet_poll(fleet, 0, &r);
        _exit(rc == MIM_OK && r && r->status == MIM_FLEET_STOPPED ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* What is stored of a plan: medians and spreads over the passes, all metrics there. */
static void test_measuring(void **state)
{
    const bench *b = *state;
    mim_simulated *node = make_node("2x10", true, true, 1);
    mim_fleet *fleet = open_fleet(b);
    mim_plan *plan = random_plan(b->actions, 3, 20, 5);
    mim_series *series = run_series(node, NULL, 9, plan, NULL);
    mim_layout *layout = NULL;
    mim_measure *measure = NULL;
    mim_campaign_rows *rows = NULL;
    bool is_over = false;
    const mim_measure_options options = {.n_repeats = 5, .max_tries = 2, .slot_s = 1, .seed = 1};
    char *host_class = mim_simulated_host_class(node);
    assert_int_equal(mim_layout_create(20, b->actions, series->n_metrics, series->metrics, 1,
                                       host_class, &layout),
                     MIM_OK);
    assert_int_equal(mim_measure_begin(fleet, layout, &options, plan, 9, 1, &measure), MIM_OK);
    mim_fleet_result *r = next(fleet);
    assert_int_equal(mim_measure_take(measure, r, &is_over), MIM_OK);
    assert_true(is_over);
    assert_int_equal(mim_measure_rows(measure, &rows), MIM_OK);
    assert_int_equal(rows->n, 3);
    for (size_t w = 0; w < 3; w++) {
        assert_int_equal(rows->status[w], MIM_SLOT_ACCEPTED);
        assert_int_equal(rows->n_repeats[w], 5);
        assert_string_equal(rows->host[w], "simulated-2x10");
        for (size_t m = 0; m < 28; m++) {
            const double *value = &rows->metric[w * 28 + m];
            size_t n_below = 0;
            assert_true(isfinite(*value) && rows->spread[w * 28 + m] >= 0);
            for (size_t i = 0; i < 5; i++)
                n_below += mim_series_at(r->series, i * 3 + w, m) < *value;
            assert_true(n_below <= 2); /* it is the median */
        }
        assert_true(rows->spread[w * 28 + 25] > 0); /* IPC is noisy */
    }
    free(host_class);
    mim_campaign_rows_destroy(&rows);
    mim_fleet_result_destroy(&r);
    mim_measure_destroy(&measure);
    mim_layout_destroy(&layout);
    mim_series_destroy(&series);
    mim_plan_destroy(&plan);
    mim_fleet_close(&fleet);
    mim_simulated_destroy(&node);
}

static void test_settings(void **state)
{
    (void)state;
    static const mim_option *const tables[] = {mim_fleet_settings, mim_simulated_settings, NULL};
    mim_config *config = NULL;
    mim_simulated_options o = {{9, 9}, false, false, 9};
    assert_int_equal(mim_config_create(tables, &config), MIM_OK);
    assert_ptr_equal(mim_fleet_kind_get(config), &mim_fleet_local);
    assert_int_equal(mim_simulated_options_get(config, &o), MIM_OK);
    assert_true(o.size.n_sockets == 2 && o.size.n_cores == 10 && o.has_noise && o.has_carry_over &&
                o.seed == 1);
    static const char *const set[] = {"fleet.kind=simulated", "simulated.size=2x96",
                                      "simulated.noise=no", "simulated.carry_over=off",
                                      "simulated.seed=77"};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(mim_config_set(config, "--set", set[i]), MIM_OK);
    assert_ptr_equal(mim_fleet_kind_get(config), &mim_fleet_simulated);
    assert_int_equal(mim_simulated_options_get(config, &o), MIM_OK);
    assert_true(o.size.n_sockets == 2 && o.size.n_cores == 96 && !o.has_noise &&
                !o.has_carry_over && o.seed == 77);
    assert_int_equal(mim_config_set(config, "--set", "simulated.size=96"), MIM_OK);
    assert_int_equal(mim_simulated_options_get(config, &o), MIM_EUSAGE);
    assert_int_equal(o.size.n_cores, 96);
    assert_int_equal(mim_config_set(config, "--set", "fleet.kind=cloud"), MIM_EUSAGE);
    mim_config_destroy(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_tasks_pending), cmocka_unit_test(test_results_left_behind),
        cmocka_unit_test(test_refused_tasks),      cmocka_unit_test(test_stop),
        cmocka_unit_test(test_measuring),          cmocka_unit_test(test_settings),
    };
    return cmocka_run_group_tests_name("fleet_simulated", tests, set_up, tear_down);
}
