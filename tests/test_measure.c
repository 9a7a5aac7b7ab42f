/* fleet/measure on hand-made results: repeats, disturbed slots again, tries, stored rows. The fleet
 * is a stand-in that records what it is asked for; nothing runs. */
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/signals.h"
#include "explore/propose.h"
#include "fleet/measure.h"

enum { N_WINDOWS = 3, N_METRICS = 2, MAX_SLOTS = 32 };

/* ---- a fleet that only notes its tasks ------------------------------------------------------- */

static size_t n_submitted, last_n_iters;

static int open_stand_in(const mim_fleet_options *options, void **state)
{
    (void)options;
    *state = NULL;
    n_submitted = last_n_iters = 0;
    return MIM_OK;
}

static int submit_stand_in(void *state, const mim_fleet_task *task)
{
    (void)state;
    n_submitted++;
    last_n_iters = task->n_iters;
    return MIM_OK;
}

static int poll_stand_in(void *state, mim_fleet_result **result)
{
    (void)state;
    (void)result;
    return MIM_OK;
}

static void close_stand_in(void *state) { (void)state; }

static const mim_fleet_kind stand_in = {"stand-in",    "notes tasks, for tests",
                                        open_stand_in, submit_stand_in,
                                        poll_stand_in, close_stand_in};

typedef struct bench {
    mim_actions *actions;
    mim_layout *layout;
    mim_plan *plan;
    mim_fleet *fleet;
    mim_measure_options options;
} bench;

static int set_up(void **state)
{
    bench *b = calloc(1, sizeof *b);
    mim_metric metrics[N_METRICS] = {{.name = "a", .unit = "%"}, {.name = "b", .unit = "KB/s"}};
    static const mim_fleet_options none;
    assert_non_null(b);
    assert_int_equal(mim_actions_builtin("20", &b->actions), MIM_OK);
    assert_int_equal(mim_layout_create(2, b->actions, N_METRICS, metrics, 1, "made up", &b->layout),
                     MIM_OK);
    assert_int_equal(mim_plan_create(N_WINDOWS, 2, b->actions, &b->plan), MIM_OK);
    mim_plan_row(b->plan, 0, 0)[4] = 0.5;
    mim_plan_row(b->plan, 1, 1)[0] = 0.25;
    assert_int_equal(mim_fleet_open(&stand_in, &none, &b->fleet), MIM_OK);
    b->options = (mim_measure_options){.n_repeats = 2, .max_tries = 3, .slot_s = 1, .seed = 1};
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    bench *b = *state;
    mim_fleet_close(&b->fleet);
    mim_plan_destroy(&b->plan);
    mim_layout_destroy(&b->layout);
    mim_actions_destroy(&b->actions);
    free(b);
    return 0;
}

/* ---- hand-made results ----------------------------------------------------------------------- */

typedef struct made_result {
    mim_fleet_result result;
    mim_series series;
    mim_metric metrics[N_METRICS];
    double values[MAX_SLOTS * N_METRICS], start_s[MAX_SLOTS];
    bool is_accepted[MAX_SLOTS];
} made_result;

/* Slot i has values 10 i + base and its negative; marks: 'a' accepted, 'd' disturbed, blanks skip.
 */
static mim_fleet_result *make_result(made_result *r, const char *marks, double base)
{
    size_t n = 0;
    memset(r, 0, sizeof *r);
    strcpy(r->metrics[0].name, "a");
    strcpy(r->metrics[1].name, "extra"); /* "b" is not measured on this node */
    for (; *marks; marks++) {
        if (*marks == ' ')
            continue;
        r->values[n * N_METRICS] = 10 * (double)n + base;
        r->start_s[n] = 1000 + base + (double)n;
        r->is_accepted[n++] = *marks == 'a';
    }
    r->series = (mim_series){.n_slots = n,
                             .n_metrics = N_METRICS,
                             .metrics = r->metrics,
                             .values = r->values,
                             .start_s = r->start_s};
    r->result = (mim_fleet_result){.task_id = 5,
                                   .status = MIM_FLEET_DONE,
                                   .host = "somewhere",
                                   .series = &r->series,
                                   .is_accepted = r->is_accepted,
                                   .written_bytes = 100};
    return &r->result;
}

static mim_measure *begin(const bench *b)
{
    mim_measure *m = NULL;
    n_submitted = 0;
    assert_int_equal(
        mim_measure_begin(b->fleet, b->layout, &b->options, b->plan, 5, MIM_ROUND_RANDOM, &m),
        MIM_OK);
    assert_int_equal(n_submitted, 1);
    assert_int_equal(last_n_iters, b->options.n_repeats);
    return m;
}

static bool take(mim_measure *m, const mim_fleet_result *result)
{
    bool is_over = false;
    assert_int_equal(mim_measure_take(m, result, &is_over), MIM_OK);
    return is_over;
}

static void test_undisturbed_at_once(void **state)
{
    const bench *b = *state;
    made_result r;
    mim_campaign_rows *rows = NULL;
    mim_measure *m = begin(b);
    assert_true(take(m, make_result(&r, "aaa aaa", 1)));
    assert_true(mim_measure_is_settled(m));
    assert_int_equal(mim_measure_rows(m, &rows), MIM_OK);
    assert_int_equal(rows->n, N_WINDOWS);
    for (size_t w = 0; w < N_WINDOWS; w++) {
        assert_int_equal(rows->plan_id[w], 5);
        assert_int_equal(rows->window[w], w);
        assert_int_equal(rows->n_windows[w], N_WINDOWS);
        assert_int_equal(rows->round[w], MIM_ROUND_RANDOM);
        assert_int_equal(rows->status[w], MIM_SLOT_ACCEPTED);
        assert_int_equal(rows->n_repeats[w], 2);
        assert_string_equal(rows->host[w], "somewhere");
        /* slots w and w + 3: 10 w + 1 and 10 w + 31 */
        assert_true(fabs(rows->metric[w * N_METRICS] - (10 * (double)w + 16)) < 1e-12);
        assert_true(fabs(rows->spread[w * N_METRICS] - 15) < 1e-12);
        assert_true(isnan(rows->metric[w * N_METRICS + 1])); /* not measured here: absent */
        assert_true(fabs(rows->start_s[w] - (1001 + (double)w)) < 1e-9);
    }
    assert_true(rows->action[4] == 0.5F && rows->action[(1 * 2 + 1) * 20] == 0.25F);
    double sum = 0;
    for (size_t i = 0; i < N_WINDOWS * 2 * 20; i++)
        sum += (double)rows->action[i];
    assert_true(sum == 0.75);
    mim_campaign_rows_destroy(&rows);
    mim_measure_destroy(&m);
}

static void test_disturbed_slots_again(void **state)
{
    const bench *b = *state;
    made_result r;
    mim_campaign_rows *rows = NULL;
    mim_measure *m = begin(b);
    assert_false(take(m, make_result(&r, "ada aad", 1))); /* window 1 and 2 lack one each */
    assert_int_equal(n_submitted, 2);
    assert_int_equal(last_n_iters, 1);
    assert_false(take(m, make_result(&r, "ada", 2))); /* window 1 still does */
    assert_int_equal(last_n_iters, 1);
    assert_true(take(m, make_result(&r, "dad", 3)));
    assert_int_equal(n_submitted, 3);
    mim_measure_figures f = mim_measure_look(m);
    assert_int_equal(f.n_tries, 3);
    assert_int_equal(f.n_accepted, 3);
    assert_true(f.written_bytes == 300);
    assert_int_equal(mim_measure_rows(m, &rows), MIM_OK);
    /* window 0: 1 and 31 of the first try; 1: 41 and 13; 2: 21 and 22 */
    const double expected[] = {16, 27, 21.5};
    for (size_t w = 0; w < N_WINDOWS; w++) {
        assert_true(fabs(rows->metric[w * N_METRICS] - expected[w]) < 1e-12);
        assert_int_equal(rows->n_repeats[w], 2);
    }
    mim_campaign_rows_destroy(&rows);
    mim_measure_destroy(&m);
}

static void test_tries_end(void **state)
{
    const bench *b = *state;
    made_result r;
    mim_campaign_rows *rows = NULL;
    mim_measure *m = begin(b);
    assert_false(take(m, make_result(&r, "add ddd", 1)));
    assert_int_equal(last_n_iters, 2);
    assert_false(take(m, make_result(&r, "ddd ddd", 2)));
    assert_true(take(m, make_result(&r, "ddd ddd", 3)));
    mim_measure_figures f = mim_measure_look(m);
    assert_int_equal(f.n_accepted, 1);
    assert_int_equal(f.n_disturbed, 2);
    assert_int_equal(mim_measure_rows(m, &rows), MIM_OK);
    assert_int_equal(rows->status[0], MIM_SLOT_ACCEPTED);
    assert_int_equal(rows->n_repeats[0], 1); /* accepted ones only */
    assert_true(rows->metric[0] == 1 && rows->spread[0] == 0);
    assert_int_equal(rows->status[1], MIM_SLOT_DISTURBED);
    assert_int_equal(rows->n_repeats[1], 2);
    mim_campaign_rows_destroy(&rows);
    mim_measure_destroy(&m);
}

static void test_failed_tries(void **state)
{
    const bench *b = *state;
    made_result r;
    mim_campaign_rows *rows = NULL;
    mim_fleet_result crashed = {
        .task_id = 5, .status = MIM_FLEET_CRASHED, .error = (char *)"its process died"};
    mim_measure *m = begin(b);
    assert_false(take(m, &crashed));
    assert_false(take(m, make_result(&r, "aaa aad", 1)));
    assert_true(take(m, &crashed)); /* what was measured before stays */
    mim_measure_figures f = mim_measure_look(m);
    assert_int_equal(f.n_failed_tries, 2);
    assert_int_equal(f.n_accepted, 3);
    assert_string_equal(f.error, "crashed: its process died");
    mim_measure_destroy(&m);

    m = begin(b);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(take(m, &crashed), i == 2);
    assert_int_equal(mim_measure_rows(m, &rows), MIM_OK);
    for (size_t w = 0; w < N_WINDOWS; w++) {
        assert_int_equal(rows->status[w], MIM_SLOT_FAILED);
        assert_int_equal(rows->n_repeats[w], 0);
        assert_true(isnan(rows->metric[w * N_METRICS]));
    }
    assert_true(mim_measure_is_settled(m));
    mim_campaign_rows_destroy(&rows);
    mim_measure_destroy(&m);

    crashed.status = MIM_FLEET_REFUSED; /* no use in trying again */
    m = begin(b);
    assert_true(take(m, &crashed));
    assert_true(mim_measure_look(m).is_refused);
    assert_int_equal(n_submitted, 1);
    mim_measure_destroy(&m);
}

static void test_refusals(void **state)
{
    const bench *b = *state;
    mim_measure *m = NULL;
    for (size_t i = 0; i < 3; i++) {
        mim_measure_options o = b->options;
        o.n_repeats = i == 0 ? 0 : i == 1 ? 65 : 1;
        o.max_tries = i == 2 ? 0 : 1;
        assert_int_equal(mim_measure_begin(b->fleet, b->layout, &o, b->plan, 1, 0, &m), MIM_EINVAL);
    }
    assert_null(m);
}

/* Last, as a stop cannot be taken back. */
static void test_a_stop_ends_tries(void **state)
{
    const bench *b = *state;
    made_result r;
    mim_measure *settled = begin(b), *open_one = begin(b), *complete = begin(b);
    assert_int_equal(mim_signals_install(), MIM_OK);
    raise(SIGUSR1);
    n_submitted = 0;
    assert_true(take(settled, make_result(&r, "aaa daa", 1)));
    assert_true(mim_measure_is_settled(settled)); /* every window has something accepted */
    assert_true(take(open_one, make_result(&r, "ada ada", 1)));
    assert_false(mim_measure_is_settled(open_one)); /* better measured later */
    assert_true(take(complete, make_result(&r, "aaa aaa", 1)));
    assert_true(mim_measure_is_settled(complete));
    assert_int_equal(n_submitted, 0);
    mim_measure_destroy(&settled);
    mim_measure_destroy(&open_one);
    mim_measure_destroy(&complete);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_undisturbed_at_once),
        cmocka_unit_test(test_disturbed_slots_again),
        cmocka_unit_test(test_tries_end),
        cmocka_unit_test(test_failed_tries),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_a_stop_ends_tries),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
