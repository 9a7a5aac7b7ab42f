/* What the executor sees while it runs: what its rows used, CPUs that are taken away, the load of
 * others in the closed loop. */
#define _GNU_SOURCE /* CPU sets */
#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "tests/support/executor_fixture.h"
#include "trace/series.h"

/* ---- records ---- */

static uint64_t value(const mim_stats *stats, size_t record, const char *type, const char *device,
                      const char *key)
{
    size_t t = mim_stats_find_type(stats, type);
    if (t == SIZE_MAX)
        fail_msg("no type %s", type);
    mim_row row = mim_stats_find_row(stats, record, t, mim_stats_find_device(stats, t, device));
    uint64_t found = 0;
    if (!mim_row_value(&row, mim_stats_find_key(stats, t, key), &found))
        fail_msg("record %zu: no %s of %s %s", record, key, type, device);
    return found;
}

static void test_records_tell_what_was_used(void **state)
{
    const bench *b = *state;
    mim_plan *plan = make_plan(b, 3, 2);
    mim_run_result *r = NULL;
    mim_stats *stats = NULL;
    char *text = NULL;
    size_t n_bytes = 0;
    for (size_t w = 0; w < 3; w++) {
        set(b, plan, w, 0, simd, 0.4);
        set(b, plan, w, 0, copy, 0.2);
        set(b, plan, w, 1, writes, 1.0);
    }
    mim_execute_options options = quarter;
    options.stats = open_memstream(&text, &n_bytes);
    assert_int_equal(mim_execute(plan, b->machine, b->calibration, b->scratch, &options, NULL, &r),
                     MIM_OK);
    fclose(options.stats);
    assert_int_equal(mim_stats_parse("run", text, n_bytes, &stats), MIM_OK);
    double ops = 0.0, bytes = 0.0, paced_bytes = 0.0, cpu_s = 0.0;
    for (size_t slot = 0; slot < 3; slot++) {
        cpu_s += r->cpu_s[slot * 2];
        for (size_t s = 0; s < r->n_stressors; s++) {
            ops += r->ops[(slot * 2) * r->n_stressors + s];
            bytes += r->bytes[(slot * 2) * r->n_stressors + s];
            paced_bytes += r->bytes[(slot * 2 + 1) * r->n_stressors + s];
        }
    }
    /* The last record is taken while the threads end the last slot: what it holds is at most what
     * was done, and not less than before. */
    assert_true((double)value(stats, 3, "x_thr", "0", "ops") <= ops);
    assert_true((double)value(stats, 3, "x_thr", "0", "bytes") <= bytes);
    assert_true((double)value(stats, 3, "x_thr", "1", "paced_bytes") <= paced_bytes);
    assert_true((double)value(stats, 3, "x_thr", "0", "cpu_us") <= 1e6 * cpu_s + 1.0);
    assert_int_equal(value(stats, 3, "x_thr", "1", "cpu_us"), 0);
    assert_int_equal(value(stats, 3, "x_thr", "0", "paced_ops"), 0);
    static const char *const grow[] = {"ops", "bytes", "cpu_us", "switches"};
    for (size_t k = 0; k < 4; k++)
        assert_true(value(stats, 3, "x_thr", "0", grow[k]) >
                    value(stats, 0, "x_thr", "0", grow[k]));
    for (size_t record = 0; record < 4; record++) {
        assert_int_equal(value(stats, record, "x_slot", "-", "slot"), record);
        assert_near((double)value(stats, record, "x_slot", "-", "planned_cpu_us"),
                    (double)record * 0.6 * 250000.0, 1.5);
        assert_int_equal(value(stats, record, "x_slot", "-", "length_us"), record ? 250000 : 0);
    }
    assert_int_equal(value(stats, 3, "x_slot", "-", "given_cpu_us"),
                     value(stats, 3, "x_thr", "0", "cpu_us"));
    mim_stats_destroy(&stats);
    free(text);
    mim_run_result_destroy(&r);
    mim_plan_destroy(&plan);
}

/* The result's times of a stressor: CPU time adds up to that of the row, wall time is no less. */
static void test_times_of_stressors(void **state)
{
    const bench *b = *state;
    mim_plan *plan = make_plan(b, 3, 1);
    mim_run_result *r = NULL;
    for (size_t w = 0; w < 3; w++) {
        set(b, plan, w, 0, simd, 0.3);
        set(b, plan, w, 0, copy, 0.3);
        set(b, plan, w, 0, writes, 0.4);
    }
    assert_int_equal(mim_execute(plan, b->machine, b->calibration, b->scratch, &quarter, NULL, &r),
                     MIM_OK);
    for (size_t slot = 0; slot < 3; slot++) {
        double sum = 0.0;
        for (size_t s = 0; s < r->n_stressors; s++) {
            size_t at = slot * r->n_stressors + s;
            sum += r->stressor_cpu_s[at];
            /* the meter also charges what passes between turns */
            assert_true(r->stressor_wall_s[at] >= 0.5 * r->stressor_cpu_s[at]);
        }
        assert_near(sum, r->cpu_s[slot], 1e-9);
        size_t at = cell(b, r, slot, 0, simd);
        assert_near(r->share[at], r->stressor_cpu_s[at] / 0.25, 1e-9);
        assert_near(r->slot_begin_s[slot], 0.25 * (double)slot, 1e-9);
        assert_near(r->slot_length_s[slot], 0.25, 1e-9);
        assert_true(isnan(r->others_share[slot]));
    }
    mim_run_result_destroy(&r);
    mim_plan_destroy(&plan);
}

/* ---- the start, and where the caller waits ---- */

typedef struct agreement {
    int n_calls, rc, answer; /* rc: what it was told */
    int64_t start_ns;
    bool is_aside; /* CPU 0, which has the row, was not the caller's then */
    int row_cpu;
} agreement;

static int agree(void *context, int rc, int64_t *start_ns)
{
    agreement *a = context;
    cpu_set_t now;
    a->n_calls++;
    a->rc = rc;
    a->is_aside =
        sched_getaffinity(0, sizeof now, &now) == 0 && !CPU_ISSET((size_t)a->row_cpu, &now);
    if (rc != MIM_OK)
        return rc;
    if (a->answer != MIM_OK)
        return mim_fail(a->answer, "the others are not ready");
    *start_ns = a->start_ns = mim_clock_mono_ns() + 300000000;
    return MIM_OK;
}

static void test_an_agreed_start(void **state)
{
    const bench *b = *state;
    mim_plan *plan = make_plan(b, 2, 1);
    mim_run_result *r = NULL;
    cpu_set_t before, after;
    agreement a = {.answer = MIM_OK, .row_cpu = b->machine->cpus[0].os_index};
    mim_execute_options options = quarter;
    options.agree_start = agree;
    options.start_context = &a;
    set(b, plan, 0, 0, simd, 0.1);
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    for (int is_compat = 0; is_compat < 2; is_compat++) {
        a.n_calls = 0;
        options.is_compat = is_compat;
        assert_int_equal(mim_execute(plan, b->machine, NULL, NULL, &options, NULL, &r), MIM_OK);
        assert_int_equal(a.n_calls, 1);
        assert_int_equal(a.rc, MIM_OK);
        assert_true(mim_clock_mono_ns() >= a.start_ns + 400000000); /* two slots after it */
        assert_true(r->slot_begin_s[0] >= 0.0);
        assert_null(r->cpu_note);
        /* Spare CPUs are where the caller coordinates from; afterwards it has all of its own. */
        assert_true(b->machine->n_cpus < 2 || a.is_aside);
        assert_int_equal(sched_getaffinity(0, sizeof after, &after), 0);
        assert_true(CPU_EQUAL(&before, &after));
        mim_run_result_destroy(&r);
    }
    mim_plan_destroy(&plan);
}

static void test_no_agreement(void **state)
{
    const bench *b = *state;
    mim_plan *plan = make_plan(b, 1, 1);
    mim_run_result *r = NULL;
    agreement a = {.answer = MIM_EIO, .row_cpu = b->machine->cpus[0].os_index};
    mim_execute_options options = quarter;
    options.agree_start = agree;
    options.start_context = &a;
    set(b, plan, 0, 0, simd, 0.1);
    for (int is_compat = 0; is_compat < 2; is_compat++) {
        options.is_compat = is_compat;
        assert_int_equal(mim_execute(plan, b->machine, NULL, NULL, &options, NULL, &r), MIM_EIO);
        assert_string_equal(mim_error(), "the others are not ready");
    }
    /* Set-up that fails here is told to the others: reads without a scratch. */
    set(b, plan, 0, 0, reads, 0.1);
    options.is_compat = false;
    a.answer = MIM_OK;
    assert_int_equal(mim_execute(plan, b->machine, b->calibration, NULL, &options, NULL, &r),
                     MIM_EINVAL);
    assert_int_equal(a.rc, MIM_EINVAL);
    assert_int_equal(a.n_calls, 3);
    assert_null(r);
    mim_plan_destroy(&plan);
}

/* ---- CPUs taken away ---- */

/* Moves every thread of the process to the CPU, from outside; gives how many there are. */
static size_t move_all(pid_t pid, int cpu)
{
    char path[64];
    size_t n = 0;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *dir = opendir(path);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        int tid = atoi(entry->d_name);
        n += tid > 0 && sched_setaffinity(tid, sizeof set, &set) == 0;
    }
    if (dir)
        closedir(dir);
    return n;
}

static int run_long(const bench *b, int ready)
{
    mim_plan *plan = NULL;
    mim_run_result *r = NULL;
    mim_log *log = NULL;
    char *text = NULL;
    size_t n_bytes = 0;
    FILE *stream = open_memstream(&text, &n_bytes);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (mim_plan_create(10, 1, b->actions, &plan) != MIM_OK ||
        mim_log_create(stream, MIM_LOG_WARN, 0, 1, &log) != MIM_OK)
        return 10;
    for (size_t w = 0; w < 10; w++)
        set(b, plan, w, 0, simd, 0.5);
    if (write(ready, "r", 1) != 1)
        return 11;
    if (mim_execute(plan, b->machine, NULL, NULL, &quarter, log, &r) != MIM_OK)
        return 12;
    if (r->n_slots != 10 || r->is_stopped || !r->is_verified)
        return 13;
    if (!r->cpu_note || !strstr(r->cpu_note, "row 0 lost CPU"))
        return 14;
    fflush(stream);
    if (!strstr(text, "was taken from this process during the run"))
        return 15;
    return r->ops[cell(b, r, 9, 0, simd)] > 0.0 ? 0 : 16;
}

static void test_a_revoked_cpu_is_told(void **state)
{
    const bench *b = *state;
    int ends[2], status = 0;
    char byte;
    if (b->machine->n_cpus < 2)
        skip(); /* there is no other CPU to go to */
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0)
        _exit(run_long(b, ends[1]));
    assert_int_equal(read(ends[0], &byte, 1), 1);
    usleep(900000);
    assert_true(move_all(child, b->machine->cpus[1].os_index) >= 2);
    assert_int_equal(waitpid(child, &status, 0), child);
    close(ends[0]);
    close(ends[1]);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- the closed loop ---- */

/* Keeps one CPU busy until it is killed. */
static pid_t start_hog(int cpu)
{
    pid_t child = fork();
    if (child == 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET((size_t)cpu, &set);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        sched_setaffinity(0, sizeof set, &set);
        for (volatile unsigned n = 0;; n++)
            ;
    }
    return child;
}

static void test_the_closed_loop_yields_to_others(void **state)
{
    const bench *b = *state;
    mim_plan *plan = make_plan(b, 12, 1);
    mim_run_result *r = NULL;
    for (size_t w = 0; w < 12; w++)
        set(b, plan, w, 0, simd, 0.5);
    mim_execute_options options = quarter;
    options.loop_gain = 1.0;
    pid_t hog = start_hog(b->machine->cpus[0].os_index);
    int rc = mim_execute(plan, b->machine, NULL, NULL, &options, NULL, &r);
    kill(hog, SIGKILL);
    waitpid(hog, NULL, 0);
    assert_int_equal(rc, MIM_OK);
    /* Others take all that is left to them: in the end more than the plan leaves room for. */
    double late = 0.0;
    for (size_t slot = 6; slot < 12; slot++)
        late += r->share[cell(b, r, slot, 0, simd)] / 6.0;
    assert_true(late < 0.2);
    assert_true(r->others_share[11] > 0.4);
    mim_run_result_destroy(&r);
    mim_plan_destroy(&plan);
}

static void test_gains_out_of_range(void **state)
{
    const bench *b = *state;
    static const double gains[] = {-0.1, 1.1, NAN};
    mim_plan *plan = make_plan(b, 1, 1);
    mim_run_result *r = NULL;
    for (size_t i = 0; i < 3; i++) {
        mim_execute_options options = quarter;
        options.loop_gain = gains[i];
        assert_int_equal(mim_execute(plan, b->machine, NULL, NULL, &options, NULL, &r), MIM_EINVAL);
    }
    mim_plan_destroy(&plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records_tell_what_was_used),
        cmocka_unit_test(test_times_of_stressors),
        cmocka_unit_test(test_an_agreed_start),
        cmocka_unit_test(test_no_agreement),
        cmocka_unit_test(test_a_revoked_cpu_is_told),
        cmocka_unit_test(test_the_closed_loop_yields_to_others),
        cmocka_unit_test(test_gains_out_of_range),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
