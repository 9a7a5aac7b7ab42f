/* node/simulated: size, machine, calibration; every stressor does something; the stats text gives
 * the series; the result. (Its laws: test_simulated_laws.c; noise: test_simulated_noise.c.) */
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

#include "baseline/asked.h"
#include "node/simulated_constants.h"
#include "node/simulated_internal.h"
#include "tests/support/simulated_plans.h"
#include "trace/accept.h"

/* ---- what it is ---------------------------------------------------------------------------------
 */

static void test_size(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t n_sockets, n_cores; /* 0: refused */
    } cases[] = {
        {"1x2", 1, 2},
        {"2x10", 2, 10},
        {"2x96", 2, 96},
        {"1x1", 1, 1},
        {"64x64", 64, 64},
        {"1x4096", 1, 4096},
        {"", 0, 0},
        {"2", 0, 0},
        {"2x", 0, 0},
        {"x10", 0, 0},
        {"0x2", 0, 0},
        {"2x0", 0, 0},
        {"65x1", 0, 0},
        {"2x2049", 0, 0},
        {"2x10 ", 0, 0},
        {" 2x10", 0, 0},
        {"2X10", 0, 0},
        {"-2x10", 0, 0},
        {"2x10x2", 0, 0},
        {"00002x1", 0, 0},
        {"2.0x1", 0, 0},
        {"+2x1", 0, 0},
        {"2x99999999999999999999", 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mim_simulated_size size = {7, 7};
        int rc = mim_simulated_size_parse("simulated.size", cases[i].text, &size);
        if (cases[i].n_sockets) {
            assert_int_equal(rc, MIM_OK);
            assert_int_equal(size.n_sockets, cases[i].n_sockets);
            assert_int_equal(size.n_cores, cases[i].n_cores);
        } else {
            assert_int_equal(rc, MIM_EUSAGE);
            assert_non_null(strstr(mim_error(), "simulated.size: expected sockets x cores"));
            assert_int_equal(size.n_sockets, 7);
        }
    }
    const mim_simulated_options bad = {.size = {2, 5000}};
    mim_simulated *node = NULL;
    assert_int_equal(mim_simulated_create(&bad, &node), MIM_EINVAL);
    assert_null(node);
}

static void test_machine(void **state)
{
    (void)state;
    mim_simulated *node = make_node("2x10", false, false, 1);
    mim_simulated *buffered = make_node("2x10", true, true, 5), *other = make_node("1x2", 0, 0, 1);
    mim_machine *m = NULL, *b = NULL, *o = NULL;
    assert_int_equal(mim_simulated_machine(node, &m), MIM_OK);
    assert_int_equal(mim_simulated_machine(buffered, &b), MIM_OK);
    assert_int_equal(mim_simulated_machine(other, &o), MIM_OK);
    assert_int_equal(m->n_cpus, 20);
    assert_int_equal(m->n_sockets, 2);
    for (size_t i = 0; i < 20; i++) {
        assert_int_equal(m->cpus[i].os_index, i);
        assert_int_equal(m->cpus[i].socket, i / 10);
        assert_int_equal(m->cpus[i].numa_node, i / 10);
    }
    /* the original's node: 1 MiB of L2 a core, 13.75 MiB of LLC a socket, 115 GB/s */
    assert_int_equal(m->l2_bytes, 1 << 20);
    assert_int_equal(m->l3_bytes, 55 * (1 << 20) / 4);
    assert_true(fabs(mim_simulated_ceilings_of(node).peak_gb_s - 115.2) < 1e-9);
    assert_non_null(strstr(m->cpu_model, "simulated"));
    assert_string_equal(m->hostname, "simulated-2x10");
    assert_string_equal(mim_simulated_name(other), "simulated-1x2");
    assert_int_equal(strlen(m->key), 16);
    assert_string_not_equal(m->key, b->key); /* its I/O is another */
    assert_string_not_equal(m->key, o->key);
    char *host_class = mim_simulated_host_class(buffered);
    assert_non_null(strstr(host_class, "simulated node 2x10"));
    assert_non_null(strstr(host_class, "buffered"));
    free(host_class);
    mim_machine_destroy(&m);
    mim_machine_destroy(&b);
    mim_machine_destroy(&o);
    mim_simulated_destroy(&node);
    mim_simulated_destroy(&buffered);
    mim_simulated_destroy(&other);
}

/* ---- calibration --------------------------------------------------------------------------------
 */

/* All stressors of the catalogue, or one that a list names and the catalogue does not. */
static mim_actions *all_actions(void)
{
    const char *names[512];
    mim_actions *actions = NULL;
    size_t n = mim_stressor_count();
    assert_true(n < 500);
    for (size_t i = 0; i < n; i++)
        names[i] = mim_stressor_at(i)->name;
    names[n] = "BM_NOBODY_KNOWS";
    assert_int_equal(mim_actions_from_names(n + 1, names, &actions), MIM_OK);
    return actions;
}

/* Each stressor alone on a thread does what the calibration says, at any weight; everyone in the
 * catalogue does something that a metric shows. */
static void test_calibration_is_true(void **state)
{
    (void)state;
    mim_simulated *node = make_node("2x10", false, false, 1);
    mim_actions *actions = all_actions();
    mim_calibration *c = NULL;
    assert_int_equal(mim_simulated_calibration(node, actions, &c), MIM_OK);
    assert_int_equal(c->n_costs, mim_stressor_count());
    assert_string_equal(c->io_mode, "direct");
    mim_series *idle = run_series(node, actions, 1, NULL, NULL);
    for (size_t s = 0; s < mim_stressor_count(); s++) {
        const double weights[] = {0.05, 0.5, 1};
        for (size_t i = 0; i < 3; i++) {
            mim_plan *plan = make_plan(actions, 1, 1);
            mim_asked *asked = NULL;
            mim_plan_row(plan, 0, 0)[s] = weights[i];
            assert_int_equal(mim_asked_create(plan, c, &asked), MIM_OK);
            mim_series *series = run_series(node, NULL, 1, plan, NULL);
            const double background = metric(idle, 0, "avg_cpu_utilizations_core_00");
            expect_near(metric(series, 0, "io_read"), asked->read_kbs[0], 1e-3); /* a byte */
            expect_near(metric(series, 0, "io_write"), asked->write_kbs[0], 1e-3);
            expect_near(metric(series, 0, "avg_cpu_utilizations_core_00"),
                        fmin(100, asked->cpu_percent[0] + background), 1e-6);
            assert_true(metric(series, 0, "avg_cpu_utilizations_core_00") > background);
            assert_true(metric(series, 0, "pqos_ipc") > 0.05 && metric(series, 0, "pqos_ipc") < 4);
            mim_series_destroy(&series);
            mim_asked_destroy(&asked);
            mim_plan_destroy(&plan);
        }
    }
    mim_series_destroy(&idle);
    mim_calibration_destroy(&c);
    mim_actions_destroy(&actions);
    mim_simulated_destroy(&node);
}

/* It passes the checks of stored calibrations. */
static void test_calibration_can_be_stored(void **state)
{
    (void)state;
    char path[] = "/tmp/test_simulated-XXXXXX";
    mim_simulated *node = make_node("2x96", true, true, 1);
    mim_actions *actions = all_actions();
    mim_calibration *c = NULL, *read = NULL;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(mim_simulated_calibration(node, actions, &c), MIM_OK);
    assert_int_equal(mim_calibration_write(c, path), MIM_OK);
    if (mim_calibration_read(path, &read) != MIM_OK)
        fail_msg("%s", mim_error());
    assert_int_equal(read->n_costs, c->n_costs);
    assert_int_equal(read->n_cpus, 192);
    assert_string_equal(read->io_mode, "buffered");
    unlink(path);
    mim_calibration_destroy(&read);
    mim_calibration_destroy(&c);
    mim_actions_destroy(&actions);
    mim_simulated_destroy(&node);
}

/* Entries of classes and kernels that the node has not heard of do something sane. */
static void test_strange_stressors(void **state)
{
    (void)state;
    const mim_stress_class strange = (mim_stress_class)99;
    const struct {
        mim_stressor stressor;
        double cpu, read_bytes, write_bytes; /* a second at weight 1 */
        bool uses_memory;
    } cases[] = {
        {{.kernel = "new", .stress_class = MIM_STRESS_CPU}, 1, 0, 0, false},
        {{.kernel = "new", .stress_class = MIM_STRESS_CPU, .op_bytes = 8 << 20}, 1, 0, 0, true},
        {{.kernel = "new", .stress_class = MIM_STRESS_MEMORY}, 1, 0, 0, true},
        {{.kernel = "new", .stress_class = MIM_STRESS_MEMORY, .op_bytes = 4096}, 1, 0, 0, false},
        {{.kernel = "new", .stress_class = strange, .op_bytes = 8 << 20}, 1, 0, 0, false},
        {{.kernel = "new", .stress_class = strange, .is_paced = true, .sleep_us = 9000},
         0.03,
         0,
         0,
         false},
        {{.kernel = "new", .stress_class = strange, .is_paced = true, .file_bytes = 1 << 20},
         0.3,
         0,
         0,
         false},
        /* a megabyte of each in 1.03 + 1.78 ms */
        {{.kernel = "new",
          .stress_class = MIM_STRESS_MIXED,
          .is_paced = true,
          .op_bytes = 1 << 20,
          .parameter = 50},
         0.09596,
         373.04e6,
         373.04e6,
         false},
        {{.kernel = "new", .stress_class = MIM_STRESS_READ, .is_paced = true, .op_bytes = 1 << 20},
         0.13052,
         1014.83e6,
         0,
         false},
    };
    mim_simulated *node = make_node("2x10", false, false, 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const mim_simulated_effect e = mim_simulated_effect_of(node, &cases[i].stressor);
        assert_true(e.is_known && e.ipc > 0.1);
        expect_near(e.cpu, cases[i].cpu, 1e-3 * cases[i].cpu);
        expect_near(e.read_bytes_per_s, cases[i].read_bytes, 1e-3 * cases[i].read_bytes);
        expect_near(e.write_bytes_per_s, cases[i].write_bytes, 1e-3 * cases[i].write_bytes);
        assert_true((e.bytes_per_s > 0) == cases[i].uses_memory);
        assert_true(e.ops_per_s > 0 && isfinite(e.ops_per_s) && e.op_s > 0);
    }
    mim_simulated_destroy(&node);
}

static void test_what_is_refused(void **state)
{
    (void)state;
    mim_simulated *node = make_node("1x2", true, true, 1);
    mim_actions *actions = all_actions();
    mim_plan *plan = make_plan(actions, 1, 2);
    mim_series *series = NULL;
    mim_run_result *result = NULL;
    const mim_simulated_outputs series_only = {.series = &series}, result_too = {.result = &result};
    mim_simulated_task task = {.plan = plan, .slot_s = 1, .n_iters = 1};
    mim_plan_row(plan, 0, 1)[mim_stressor_count()] = 0.1;
    assert_int_equal(mim_simulated_run(node, &task, &series_only), MIM_EUNSUP);
    assert_non_null(strstr(mim_error(), "BM_NOBODY_KNOWS"));
    mim_plan_row(plan, 0, 1)[mim_stressor_count()] = 0;
    mim_plan_row(plan, 0, 1)[0] = 0.1;
    static const struct {
        double slot_s;
        size_t n_iters;
        int rc;
    } cases[] = {{0, 1, MIM_EINVAL},   {NAN, 1, MIM_EINVAL},      {1, 0, MIM_EINVAL},
                 {1e6, 1, MIM_EINVAL}, {1, SIZE_MAX, MIM_EUNSUP}, {1, 100000000, MIM_EUNSUP}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        task.slot_s = cases[i].slot_s;
        task.n_iters = cases[i].n_iters;
        assert_int_equal(mim_simulated_run(node, &task, &result_too), cases[i].rc);
    }
    assert_null(series);
    assert_null(result);
    mim_plan_destroy(&plan);
    mim_actions_destroy(&actions);
    mim_simulated_destroy(&node);
}

/* ---- text and series ----------------------------------------------------------------------------
 */

static size_t n_cpus_of(const mim_simulated *node)
{
    mim_machine *machine = NULL;
    assert_int_equal(mim_simulated_machine(node, &machine), MIM_OK);
    const size_t n = machine->n_cpus;
    mim_machine_destroy(&machine);
    return n;
}

/* How far a figure of the text may be from that of the series: the steps of its counters, and of
 * its times, which are told to the microsecond. */
static double rounding(const mim_simulated *node, const char *name, double slot_s, double value)
{
    const double one = 1 / slot_s, ticks = slot_s * MIM_SIMULATED_TICKS_PER_S;
    if (strncmp(name, "avg_cpu", 7) ==
        0) /* of busy ticks, and of all when they are no whole number */
        return (ticks == rint(ticks) ? 100 : 200) / floor(ticks);
    const double of_time = 1e-6 * one * value;
    const double n_cpus = (double)n_cpus_of(node);
    if (strncmp(name, "io_", 3) == 0)
        return one / 2 + of_time; /* a sector */
    if (strncmp(name, "memory", 6) == 0)
        return n_cpus * one / (1e7 * mim_simulated_ceilings_of(node).peak_gb_s) + of_time;
    if (strcmp(name, "pqos_ipc") == 0)
        return 3e-5 * value; /* an idle core has some 1e5 cycles in the shortest slot */
    return (strcmp(name, "l3_cache_usage") == 0 ? 1e-6 : 1) * n_cpus * one + of_time;
}

static void compare_text(const char *size, bool has_noise, bool has_carry_over, double slot_s,
                         size_t n_rows)
{
    mim_simulated *node = make_node(size, has_noise, has_carry_over, 3);
    mim_actions *actions = NULL;
    assert_int_equal(mim_actions_builtin("20", &actions), MIM_OK);
    mim_plan *plan = random_plan(actions, 6, n_rows, 17);
    mim_series *series = NULL, *parsed = NULL;
    char *text = NULL;
    size_t n_bytes = 0;
    FILE *stats = open_memstream(&text, &n_bytes);
    const mim_simulated_task task = {
        .plan_id = 5, .plan = plan, .slot_s = slot_s, .n_iters = 3, .idle_slot = true, .job = "j"};
    const mim_simulated_outputs outputs = {.series = &series, .stats = stats};
    if (mim_simulated_run(node, &task, &outputs) != MIM_OK)
        fail_msg("%s", mim_error());
    fclose(stats);
    parse_text(text, n_bytes, &parsed);
    assert_int_equal(parsed->n_slots, 7 * 3);
    assert_int_equal(series->n_slots, 7 * 3);
    assert_int_equal(parsed->n_metrics, series->n_metrics + 2); /* steal and others */
    assert_string_equal(parsed->hostname, series->hostname);
    for (size_t m = 0; m < series->n_metrics; m++) {
        const mim_metric *own = &series->metrics[m];
        const size_t at = mim_series_find(parsed, own->name);
        if (at == SIZE_MAX)
            fail_msg("the text has no %s", own->name);
        const mim_metric *found = &parsed->metrics[at];
        assert_string_equal(found->unit, own->unit);
        assert_true(found->family == own->family && found->core == own->core &&
                    found->tier == own->tier);
        for (size_t i = 0; i < series->n_slots; i++) {
            const double is = mim_series_at(parsed, i, at), expected = mim_series_at(series, i, m);
            const bool is_exact = has_noise && own->family == MIM_FAMILY_CPU;
            if (!(fabs(is - expected) <=
                  (is_exact ? 1e-9 : rounding(node, own->name, slot_s, expected))))
                fail_msg("%s, slot %zu, %s: %.17g in the text, %.17g in the series", size, i,
                         own->name, is, expected);
        }
    }
    for (size_t i = 0; i < series->n_slots; i++)
        assert_true(fabs(series->start_s[i] - parsed->start_s[i]) < 1e-5 &&
                    fabs(series->length_s[i] - parsed->length_s[i]) < 1e-5);
    mim_accept *accept = NULL;
    assert_int_equal(mim_accept_create(parsed, &accept), MIM_OK);
    assert_true(accept->is_known);
    assert_int_equal(accept->n_accepted, series->n_slots);
    mim_accept_destroy(&accept);
    assert_int_equal(parsed->n_rows, n_rows);
    for (size_t r = 0; r < n_rows; r++)
        assert_int_equal(parsed->row_cpus[r], r % mim_series_n_cores(series));
    free(text);
    mim_series_destroy(&series);
    mim_series_destroy(&parsed);
    mim_plan_destroy(&plan);
    mim_actions_destroy(&actions);
    mim_simulated_destroy(&node);
}

static void test_text_gives_the_series(void **state)
{
    (void)state;
    static const struct {
        const char *size;
        double slot_s;
        size_t n_rows;
    } cases[] = {{"1x2", 1, 2},   {"2x10", 1, 20},  {"2x10", 0.5, 7}, {"2x10", 0.333, 20},
                 {"2x10", 2, 45}, {"2x96", 1, 192}, {"1x1", 0.05, 3}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int options = 0; options < 4; options++)
            compare_text(cases[i].size, options & 1, options & 2, cases[i].slot_s, cases[i].n_rows);
}

static void test_text_says_simulated(void **state)
{
    (void)state;
    mim_simulated *node = make_node("2x10", false, true, 9);
    mim_actions *actions = NULL;
    mim_stats *stats = NULL;
    char *text = NULL;
    size_t n_bytes = 0;
    FILE *out = open_memstream(&text, &n_bytes);
    assert_int_equal(mim_actions_builtin("20", &actions), MIM_OK);
    mim_plan *plan = make_plan(actions, 2, 1);
    const mim_simulated_task task = {.plan = plan, .slot_s = 1, .n_iters = 1};
    const mim_simulated_outputs outputs = {.stats = out};
    assert_int_equal(mim_simulated_run(node, &task, &outputs), MIM_OK);
    fclose(out);
    assert_int_equal(mim_stats_parse("text", text, n_bytes, &stats), MIM_OK);
    assert_string_equal(mim_stats_property(stats, "hostname"), "simulated-2x10");
    assert_non_null(strstr(mim_stats_property(stats, "x_machine"), "simulated"));
    assert_non_null(strstr(mim_stats_property(stats, "x_tiers"), "simulated"));
    assert_string_equal(mim_stats_property(stats, "x_peak_bandwidth_gb_s"), "115.2");
    assert_string_equal(mim_stats_property(stats, "x_simulated"),
                        "size=2x10 noise=false carry_over=true seed=9");
    assert_string_equal(mim_stats_mark(stats, 0, 0), "begin 0");
    assert_string_equal(mim_stats_mark(stats, 2, 0), "slot 1");
    mim_stats_destroy(&stats);
    free(text);
    /* a disk that cannot take it */
    FILE *full = fopen("/dev/full", "w");
    if (full) {
        const mim_simulated_outputs to_full = {.stats = full};
        assert_int_equal(mim_simulated_run(node, &task, &to_full), MIM_EIO);
        fclose(full);
    }
    mim_plan_destroy(&plan);
    mim_actions_destroy(&actions);
    mim_simulated_destroy(&node);
}

/* ---- the result ---------------------------------------------------------------------------------
 */

static void test_result(void **state)
{
    (void)state;
    mim_simulated *node = make_node("1x2", false, false, 1);
    mim_actions *actions = NULL;
    mim_run_result *r = NULL;
    mim_run_figures f;
    assert_int_equal(mim_actions_builtin("20", &actions), MIM_OK);
    mim_plan *plan = make_plan(actions, 3, 4); /* rows 0 and 2 share a core */
    const size_t simd = 4, write = 12;
    mim_plan_row(plan, 1, 0)[simd] = 0.9; /* window 0 is idle and is not run */
    mim_plan_row(plan, 1, 2)[simd] = 0.3;
    mim_plan_row(plan, 2, 1)[write] = 1;
    const mim_simulated_task task = {.plan = plan, .slot_s = 2, .n_iters = 2, .idle_slot = true};
    const mim_simulated_outputs outputs = {.result = &r};
    assert_int_equal(mim_simulated_run(node, &task, &outputs), MIM_OK);
    assert_int_equal(r->n_slots, 6);
    assert_true(r->is_verified && !r->is_stopped && r->n_failed == 0 && r->slot_s == 2);
    const double left = 1 - MIM_SIMULATED_IDLE_CPU;
    for (size_t pass = 0; pass < 2; pass++) {
        const double *share = r->share + pass * 3 * 4 * 20;
        expect_near(share[0 * 20 + simd], left - 0.3, 1e-12); /* who asks for less gets it all */
        expect_near(share[2 * 20 + simd], 0.3, 1e-12);
        expect_near(r->cpu_s[pass * 3 * 4], 2 * (left - 0.3), 1e-9);
        const size_t cell = (pass * 3 + 1) * 4 * 20 + 1 * 20 + write;
        const double op_s = 0.05 + MIM_SIMULATED_WRITE_OP_S + 1048576 / 0.6e9;
        expect_near(r->ops[cell], 2 / op_s, 1e-9);
        expect_near(r->planned_ops[cell], r->ops[cell], 1e-9);
        expect_near(r->bytes[cell], r->ops[cell] * 1048576, 1);
        assert_true(r->planned_share[cell] == 1 && r->share[cell] == 1);
        for (size_t i = 0; i < 4 * 20; i++) /* the idle slot */
            assert_true(r->share[(pass * 3 + 2) * 4 * 20 + i] == 0);
    }
    assert_true(isnan(r->planned_ops[simd]));
    assert_int_equal(mim_run_result_figures(r, plan, &f), MIM_OK);
    expect_near(f.ops_ratio, 1, 1e-12);
    assert_true(f.drift_s == 0 && f.overshoot_max == 0);
    mim_run_result_destroy(&r);
    mim_plan_destroy(&plan);
    mim_actions_destroy(&actions);
    mim_simulated_destroy(&node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_size),
        cmocka_unit_test(test_machine),
        cmocka_unit_test(test_calibration_is_true),
        cmocka_unit_test(test_calibration_can_be_stored),
        cmocka_unit_test(test_strange_stressors),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_text_gives_the_series),
        cmocka_unit_test(test_text_says_simulated),
        cmocka_unit_test(test_result),
    };
    return cmocka_run_group_tests_name("simulated", tests, NULL, NULL);
}
