/* corpus/import: runs made by rule become the samples that the rule says. */
#define _DEFAULT_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/h5.h"
#include "corpus/import.h"
#include "tests/support/made_rows.h"
#include "tests/support/made_run.h"

static char folder[64];

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/mim_import.XXXXXX");
    return mkdtemp(folder) ? 0 : 1;
}

static void empty_folder(void)
{
    static const char *const names[] = {"a.h5",        "stats-a.txt", "result-a.h5", "b.h5",
                                        "stats-b.txt", "c.h5",        "stats-c.txt", "store.h5"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
}

static int teardown(void **state)
{
    (void)state;
    empty_folder();
    return rmdir(folder);
}

static const mim_import_options usual = {.idle_slot = MIM_IDLE_AUTO, .min_repeats = 1};

/* CPU 0: 10, 11, 12 ... by slot; CPU 1: 50; reads 0 but every third slot. */
static made_run make(size_t n_windows, size_t n_slots)
{
    made_run run = {
        .folder = folder, .name = "a", .n_windows = n_windows, .n_slots = n_slots, .seed = 5};
    for (size_t i = 0; i < n_slots; i++) {
        run.cpu[i][0] = 10 + (int)i;
        run.cpu[i][1] = 50;
        run.read_kbs[i] = i % 3 == 2 ? 3000 : 0;
    }
    return run;
}

static int import(const made_run *run, const mim_import_options *options, mim_part **part)
{
    mim_run_files *runs = NULL;
    size_t n = 0;
    assert_int_equal(made_run_write(run), MIM_OK);
    assert_int_equal(mim_runs_list(folder, &n, &runs), MIM_OK);
    assert_int_equal(n, 1);
    int rc = mim_run_import(NULL, &runs[0], options, part);
    mim_runs_free(n, &runs);
    return rc;
}

static void expect_action(const made_run *run, size_t window, const float *action)
{
    for (size_t t = 0; t < 2; t++)
        for (size_t s = 0; s < 3; s++)
            assert_true(fabs((double)action[t * 3 + s] - made_weight(run, window, t, s)) < 1e-7);
}

static float metric(const mim_part *part, size_t sample, const char *name)
{
    const size_t m = mim_layout_find_metric(part->layout, name);
    assert_true(m != SIZE_MAX);
    assert_int_equal(part->samples->mask[sample * part->layout->n_metrics + m], 1);
    return part->samples->metric[sample * part->layout->n_metrics + m];
}

static void expect_near(float value, double wanted)
{
    assert_true(fabs((double)value - wanted) < 1e-3 * fmax(1.0, fabs(wanted)));
}

#define CORE_0 "avg_cpu_utilizations_core_00"

/* ---- passes --------------------------------------------------------------------------------- */

static void one_pass(void **state)
{
    (void)state;
    const made_run run = make(4, 4);
    mim_part *part = NULL;
    const mim_import_options options = {.idle_slot = MIM_IDLE_NO, .min_repeats = 1};
    assert_int_equal(import(&run, &options, &part), MIM_OK);
    assert_int_equal(part->samples->n, 4);
    assert_int_equal(part->n_slots, 4);
    assert_false(part->is_unchecked);
    assert_true(part->n_bytes > 100);
    assert_true(part->layout->thread_cpus[0] == 0 && part->layout->thread_cpus[1] == 1);
    assert_string_equal(part->layout->host_class, "made by rule"); /* and not what was read there */
    assert_true(part->layout->slot_s == 1.0);
    for (size_t i = 0; i < 4; i++) {
        const float *previous = part->samples->previous_action + i * 6;
        expect_near(metric(part, i, CORE_0), 10.0 + (double)i);
        expect_near(metric(part, i, "io_read"), i == 2 ? 3000 : 0); /* a zero is a value */
        expect_action(&run, i, part->samples->action + i * 6);
        assert_int_equal(part->samples->window[i], i);
        assert_int_equal(part->samples->n_repeats[i], 1);
        assert_int_equal(part->samples->has_previous[i], i > 0);
        if (i > 0)
            expect_action(&run, i - 1, previous);
        for (size_t k = 0; i == 0 && k < 6; k++)
            assert_true(previous[k] == 0);
    }
    mim_part_destroy(&part);
}

/* 3 windows and an idle slot, 3 passes: medians of slots 0 4 8, 1 5 9, 2 6 10; the idle slots 3, 7,
 * 11 are no samples. */
static void passes_with_idle_slots(void **state)
{
    (void)state;
    made_run run = make(3, 12);
    run.cpu[5][0] = 99; /* an outlier that the median does not follow */
    run.is_stolen[6] = true;
    const mim_import_options options = {.idle_slot = MIM_IDLE_YES, .min_repeats = 1};
    mim_part *part = NULL;
    assert_int_equal(import(&run, &options, &part), MIM_OK);
    assert_int_equal(part->samples->n, 3);
    expect_near(metric(part, 0, CORE_0), 14);
    expect_near(metric(part, 1, CORE_0), 19); /* of 11, 99, 19 */
    expect_near(metric(part, 2, CORE_0), 16); /* of 12 and 20: slot 6 was disturbed */
    assert_int_equal(part->samples->n_repeats[0], 3);
    assert_int_equal(part->samples->n_repeats[2], 2);
    assert_int_equal(part->n_disturbed, 1);
    assert_int_equal(part->samples->has_previous[0], 0); /* the idle slot */
    const size_t m = mim_layout_find_metric(part->layout, CORE_0);
    expect_near(part->samples->spread[m], 4); /* of 10, 14, 18 */
    mim_part_destroy(&part);
}

/* 3 windows, passes follow directly: window 0 comes after window 2, its first pass is left out. */
static void passes_without_idle_slots(void **state)
{
    (void)state;
    const made_run run = make(3, 9);
    mim_part *part = NULL;
    assert_int_equal(import(&run, &usual, &part), MIM_OK); /* 9 slots tell: no idle slot */
    assert_int_equal(part->samples->n, 3);
    expect_near(metric(part, 0, CORE_0), 14.5); /* of slots 3 and 6 */
    expect_near(metric(part, 1, CORE_0), 14);   /* of slots 1, 4, 7 */
    assert_int_equal(part->samples->n_repeats[0], 2);
    assert_int_equal(part->samples->has_previous[0], 1);
    expect_action(&run, 2, part->samples->previous_action);
    mim_part_destroy(&part);
}

/* 12 slots of 3 windows: 4 passes, or 3 with an idle slot. Only the result file tells. */
static void the_result_file_tells(void **state)
{
    (void)state;
    const made_run run = make(3, 12);
    mim_part *part = NULL;
    assert_int_equal(import(&run, &usual, &part), MIM_EDATA);
    assert_non_null(strstr(mim_error(), "set dataset.idle_slot"));
    static const char *const words[2] = {"true", "false"};
    for (size_t i = 0; i < 2; i++) {
        char path[128], ini[128];
        mim_h5 *file = NULL;
        snprintf(path, sizeof path, "%s/result-a.h5", folder);
        snprintf(ini, sizeof ini, "[run]\nno_idle_slot = 7\nidle_slot = %s\n", words[i]);
        assert_int_equal(mim_h5_create(path, "mimesys_run_result", 1, ini, &file), MIM_OK);
        assert_int_equal(mim_h5_commit(&file), MIM_OK);
        assert_int_equal(import(&run, &usual, &part), MIM_OK);
        assert_int_equal(part->samples->n_repeats[1], i == 0 ? 3 : 4);
        mim_part_destroy(&part);
    }
    empty_folder();
}

static void the_result_file_tells_working_sets(void **state)
{
    (void)state;
    static const struct {
        const char *config, *sizes; /* NULL: refused */
    } cases[] = {{"[stressors]\nsizes = original\n", "original"},
                 {"[stressors]\nsizes = node\n", "node"},
                 {"[run]\nscratch_sizes = node\n", "original"},
                 {"[stressors]\nsizes = huge\n", NULL}};
    const made_run run = make(4, 4);
    const mim_import_options options = {.idle_slot = MIM_IDLE_NO, .min_repeats = 1};
    char path[128];
    snprintf(path, sizeof path, "%s/result-a.h5", folder);
    mim_part *part = NULL;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mim_h5 *file = NULL;
        assert_int_equal(mim_h5_create(path, "mimesys_run_result", 1, cases[i].config, &file),
                         MIM_OK);
        assert_int_equal(mim_h5_commit(&file), MIM_OK);
        assert_int_equal(import(&run, &options, &part), cases[i].sizes ? MIM_OK : MIM_EDATA);
        if (cases[i].sizes)
            assert_string_equal(part->layout->sizes, cases[i].sizes);
        else
            assert_non_null(strstr(mim_error(), "result-a.h5: stressors.sizes: expected original"));
        mim_part_destroy(&part);
    }
    empty_folder();
}

/* ---- choices -------------------------------------------------------------------------------- */

static void disturbed_slots_by_choice(void **state)
{
    (void)state;
    made_run run = make(4, 4);
    mim_import_options options = {.idle_slot = MIM_IDLE_NO, .min_repeats = 1};
    mim_part *part = NULL;
    run.is_stolen[1] = true;
    assert_int_equal(import(&run, &options, &part), MIM_OK);
    assert_int_equal(part->samples->n, 3);
    assert_int_equal(part->n_lost, 1);
    assert_int_equal(part->samples->window[1], 2);
    expect_action(&run, 1, part->samples->previous_action + 6); /* it ran all the same */
    mim_part_destroy(&part);
    options.with_disturbed = true;
    assert_int_equal(import(&run, &options, &part), MIM_OK);
    assert_int_equal(part->samples->n, 4);
    mim_part_destroy(&part);
    options.min_repeats = 2;
    assert_int_equal(import(&run, &options, &part), MIM_OK);
    assert_int_equal(part->samples->n, 0);
    assert_int_equal(part->n_lost, 4);
    mim_part_destroy(&part);
}

static void metrics_by_choice(void **state)
{
    (void)state;
    const made_run run = make(4, 4);
    mim_import_options options = {.idle_slot = MIM_IDLE_NO, .min_repeats = 1};
    mim_part *part = NULL;
    assert_int_equal(import(&run, &options, &part), MIM_OK);
    assert_true(mim_layout_find_metric(part->layout, "steal_pct") == SIZE_MAX);
    const size_t n = part->layout->n_metrics;
    mim_part_destroy(&part);
    options.all_metrics = true;
    assert_int_equal(import(&run, &options, &part), MIM_OK);
    assert_true(mim_layout_find_metric(part->layout, "steal_pct") != SIZE_MAX);
    assert_true(part->layout->n_metrics > n);
    mim_part_destroy(&part);
}

static void plain_text_is_taken_unchecked(void **state)
{
    (void)state;
    made_run run = make(4, 4);
    run.is_plain = true;
    const mim_import_options options = {.idle_slot = MIM_IDLE_NO, .min_repeats = 1};
    mim_part *part = NULL;
    assert_int_equal(import(&run, &options, &part), MIM_OK);
    assert_int_equal(part->samples->n, 4);
    assert_true(part->is_unchecked);
    mim_part_destroy(&part);
}

/* ---- refusals ------------------------------------------------------------------------------- */

static void a_lost_record_is_noticed(void **state)
{
    (void)state;
    made_run run = make(4, 8);
    run.lost_record = 3; /* slots would shift by one from here on */
    mim_part *part = NULL;
    assert_int_equal(import(&run, &usual, &part), MIM_EDATA);
    assert_non_null(strstr(mim_error(), "stats-a.txt"));
    assert_null(part);
}

static void folders_without_runs(void **state)
{
    (void)state;
    mim_run_files *runs = NULL;
    size_t n = 0;
    char path[128];
    empty_folder();
    assert_int_equal(mim_runs_list(folder, &n, &runs), MIM_EDATA);
    assert_int_equal(mim_runs_list("/nonexistent/folder", &n, &runs), MIM_EIO);
    const made_run run = make(4, 4);
    assert_int_equal(made_run_write(&run), MIM_OK);
    snprintf(path, sizeof path, "%s/a.h5", folder);
    unlink(path);
    assert_int_equal(mim_runs_list(folder, &n, &runs), MIM_EDATA);
    assert_non_null(strstr(mim_error(), "its plan a.h5"));
    empty_folder();
}

static void plan_ids_tell_plans_apart(void **state)
{
    (void)state;
    made_run run = make(4, 4);
    const mim_import_options options = {.idle_slot = MIM_IDLE_NO, .min_repeats = 1};
    mim_part *a = NULL, *again = NULL, *b = NULL;
    assert_int_equal(import(&run, &options, &a), MIM_OK);
    assert_int_equal(import(&run, &options, &again), MIM_OK);
    run.seed = 6;
    assert_int_equal(import(&run, &options, &b), MIM_OK);
    assert_true(a->samples->plan_id[0] == a->samples->plan_id[3]);
    assert_true(a->samples->plan_id[0] == again->samples->plan_id[0]);
    assert_true(a->samples->plan_id[0] != b->samples->plan_id[0]);
    mim_part_destroy(&a);
    mim_part_destroy(&again);
    mim_part_destroy(&b);
}

/* ---- campaigns and merging ------------------------------------------------------------------- */

static void campaign_rows_become_samples(void **state)
{
    (void)state;
    char path[128];
    mim_layout *layout = NULL;
    mim_campaign *campaign = NULL;
    mim_campaign_rows *rows = NULL;
    mim_part *part = NULL;
    snprintf(path, sizeof path, "%s/store.h5", folder);
    assert_int_equal(made_layout(&layout), MIM_OK);
    assert_int_equal(made_rows(layout, 0, 20, &rows), MIM_OK);
    assert_int_equal(mim_campaign_create(path, layout, 1, "", 0, &campaign), MIM_OK);
    assert_int_equal(mim_campaign_append(campaign, rows), MIM_OK);
    assert_int_equal(mim_campaign_import(campaign, 0, rows->n, &usual, &part), MIM_OK);
    const size_t d = layout->n_metrics;
    size_t k = 0;
    for (size_t i = 0; i < rows->n; i++) {
        if (rows->status[i] != MIM_SLOT_ACCEPTED)
            continue;
        const mim_samples *s = part->samples;
        assert_true(s->plan_id[k] == rows->plan_id[i] && s->window[k] == rows->window[i]);
        for (size_t m = 0; m < d; m++) {
            assert_int_equal(s->mask[k * d + m], !isnan(rows->metric[i * d + m]));
            assert_true(!s->mask[k * d + m] ||
                        s->metric[k * d + m] == (float)rows->metric[i * d + m]);
        }
        assert_memory_equal(s->action + k * 6, rows->action + i * 6, 6 * sizeof(float));
        if (rows->window[i] > 0) /* also when the slot before was disturbed */
            assert_memory_equal(s->previous_action + k * 6, rows->action + (i - 1) * 6,
                                6 * sizeof(float));
        assert_int_equal(s->has_previous[k], rows->window[i] > 0);
        k++;
    }
    assert_int_equal(part->samples->n, k);
    assert_int_equal(part->n_disturbed, rows->n - k);
    mim_part_destroy(&part);

    /* shares are cut where plans begin; plan p has 1 + p % 4 rows: 0 | 1 2 | 3 4 5 | 6 .. 9 | 10 */
    static const size_t starts[][2] = {{0, 0}, {1, 1}, {2, 3}, {3, 3}, {4, 6}, {7, 10}, {50, 50}};
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        size_t start = 99;
        assert_int_equal(mim_campaign_plan_start(campaign, starts[i][0], &start), MIM_OK);
        assert_int_equal(start, starts[i][1]);
    }
    assert_int_equal(mim_campaign_import(campaign, 2, 4, &usual, &part), MIM_EDATA);
    mim_campaign_rows_destroy(&rows);
    mim_campaign_destroy(&campaign);
    mim_layout_destroy(&layout);
    empty_folder();
}

/* Of a campaign, too, only what a plan can be asked to imitate is learnt from, if not all is. */
static void campaigns_give_what_can_be_imitated(void **state)
{
    (void)state;
    char path[128];
    mim_layout *layout = NULL;
    mim_campaign *campaign = NULL;
    mim_campaign_rows *rows = NULL;
    mim_part *part = NULL;
    snprintf(path, sizeof path, "%s/store.h5", folder);
    assert_int_equal(made_layout(&layout), MIM_OK);
    assert_int_equal(mim_layout_find_metric(layout, "io_read"), 2);
    strcpy(layout->metric_names[2], "faults"); /* shorter, and sorted as before */
    assert_int_equal(made_rows(layout, 0, 20, &rows), MIM_OK);
    assert_int_equal(mim_campaign_create(path, layout, 1, "", 0, &campaign), MIM_OK);
    assert_int_equal(mim_campaign_append(campaign, rows), MIM_OK);
    mim_import_options options = usual;
    for (int all = 0; all < 2; all++) {
        options.all_metrics = all;
        assert_int_equal(mim_campaign_import(campaign, 0, rows->n, &options, &part), MIM_OK);
        const size_t d = part->layout->n_metrics, to = d - 1;
        assert_int_equal(d, all ? 4 : 3);
        assert_string_equal(part->layout->metric_names[to], "io_write");
        assert_string_equal(part->layout->metric_units[to], "KB/s");
        for (size_t i = 0, k = 0; i < rows->n; i++) {
            if (rows->status[i] != MIM_SLOT_ACCEPTED)
                continue;
            assert_int_equal(part->samples->mask[k * d + to], !isnan(rows->metric[i * 4 + 3]));
            assert_true(!part->samples->mask[k * d + to] ||
                        part->samples->metric[k * d + to] == (float)rows->metric[i * 4 + 3]);
            k++;
        }
        mim_part_destroy(&part);
    }
    mim_campaign_rows_destroy(&rows);
    mim_campaign_destroy(&campaign);
    mim_layout_destroy(&layout);
    empty_folder();
}

static void parts_with_other_metrics_join(void **state)
{
    (void)state;
    const made_run run = make(4, 4);
    mim_import_options options = {.idle_slot = MIM_IDLE_NO, .min_repeats = 1};
    mim_part *parts[2] = {NULL, NULL};
    mim_layout *merged = NULL, *other_way = NULL;
    mim_samples *samples = NULL;
    assert_int_equal(import(&run, &options, &parts[0]), MIM_OK);
    options.all_metrics = true;
    assert_int_equal(import(&run, &options, &parts[1]), MIM_OK);
    assert_int_equal(mim_layout_merge(parts[0]->layout, parts[1]->layout, "b", false, &merged),
                     MIM_OK);
    assert_int_equal(mim_layout_merge(parts[1]->layout, parts[0]->layout, "a", false, &other_way),
                     MIM_OK);
    assert_int_equal(mim_layout_compare(merged, other_way, "it", true), MIM_OK);
    assert_int_equal(merged->n_metrics, parts[1]->layout->n_metrics);
    assert_int_equal(mim_parts_join(2, parts, merged, 1, 0.5, &samples), MIM_OK);
    assert_int_equal(samples->n, 8);
    const size_t d = merged->n_metrics, own = mim_layout_find_metric(merged, "steal_pct"),
                 both = mim_layout_find_metric(merged, "io_read");
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(samples->mask[i * d + own], i >= 4);
        assert_int_equal(samples->mask[i * d + both], 1);
        expect_near(samples->metric[i * d + both], i % 4 == 2 ? 3000 : 0);
        assert_int_equal(samples->is_validation[i],
                         mim_corpus_is_validation(samples->plan_id[i], 1, 0.5));
    }
    mim_samples_destroy(&samples);
    mim_layout_destroy(&merged);
    mim_layout_destroy(&other_way);
    mim_part_destroy(&parts[0]);
    mim_part_destroy(&parts[1]);
}

static void other_working_sets_are_refused(void **state)
{
    (void)state;
    const made_run run = make(4, 4);
    const mim_import_options options = {.idle_slot = MIM_IDLE_NO, .min_repeats = 1};
    mim_part *a = NULL, *b = NULL;
    mim_layout *merged = NULL;
    assert_int_equal(import(&run, &options, &a), MIM_OK);
    assert_int_equal(import(&run, &options, &b), MIM_OK);
    assert_string_equal(a->layout->sizes, "original");
    assert_int_equal(mim_layout_set_sizes(b->layout, "node"), MIM_OK);
    assert_int_equal(mim_layout_merge(a->layout, b->layout, "b.txt", true, &merged), MIM_EDATA);
    assert_string_equal(mim_error(),
                        "b.txt: stressors have working sets \"node\", expected \"original\"");
    assert_int_equal(mim_layout_set_sizes(a->layout, "node"), MIM_OK);
    assert_int_equal(mim_layout_merge(a->layout, b->layout, "b.txt", true, &merged), MIM_OK);
    assert_string_equal(merged->sizes, "node");
    mim_layout_destroy(&merged);
    mim_part_destroy(&a);
    mim_part_destroy(&b);
}

static void other_hosts_are_refused(void **state)
{
    (void)state;
    made_run run = make(4, 4);
    const mim_import_options options = {.idle_slot = MIM_IDLE_NO, .min_repeats = 1};
    mim_part *a = NULL, *b = NULL;
    mim_layout *merged = NULL;
    assert_int_equal(import(&run, &options, &a), MIM_OK);
    run.machine = "another kind";
    assert_int_equal(import(&run, &options, &b), MIM_OK);
    assert_int_equal(mim_layout_merge(a->layout, b->layout, "b.txt", false, &merged), MIM_EDATA);
    assert_non_null(strstr(mim_error(), "b.txt"));
    assert_non_null(strstr(mim_error(), "another kind"));
    assert_int_equal(mim_layout_merge(a->layout, b->layout, "b.txt", true, &merged), MIM_OK);
    assert_string_equal(merged->host_class, "mixed");
    mim_layout_destroy(&merged);
    mim_part_destroy(&a);
    mim_part_destroy(&b);
}

/* Measured lengths are never quite the same. */
static void slots_may_differ_a_little(void **state)
{
    (void)state;
    const made_run run = make(4, 4);
    const mim_import_options options = {.idle_slot = MIM_IDLE_NO, .min_repeats = 1};
    static const struct {
        double slot_s;
        int rc;
    } cases[] = {{1.0, MIM_OK},      {0.951, MIM_OK},  {1.049, MIM_OK}, {0.949, MIM_EDATA},
                 {1.051, MIM_EDATA}, {2.0, MIM_EDATA}, {0, MIM_EDATA}};
    mim_part *a = NULL, *b = NULL;
    mim_layout *merged = NULL;
    assert_int_equal(import(&run, &options, &a), MIM_OK);
    assert_int_equal(import(&run, &options, &b), MIM_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        b->layout->slot_s = cases[i].slot_s;
        assert_int_equal(mim_layout_compare_slots(a->layout, b->layout, "b.txt"), cases[i].rc);
        if (cases[i].rc != MIM_OK)
            assert_non_null(strstr(mim_error(), "b.txt: has slots of"));
        assert_int_equal(mim_layout_merge(a->layout, b->layout, "b.txt", false, &merged), MIM_OK);
        assert_true(merged->slot_s == 1.0);
        mim_layout_destroy(&merged);
    }
    mim_part_destroy(&a);
    mim_part_destroy(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_pass),
        cmocka_unit_test(passes_with_idle_slots),
        cmocka_unit_test(passes_without_idle_slots),
        cmocka_unit_test(the_result_file_tells),
        cmocka_unit_test(the_result_file_tells_working_sets),
        cmocka_unit_test(disturbed_slots_by_choice),
        cmocka_unit_test(metrics_by_choice),
        cmocka_unit_test(plain_text_is_taken_unchecked),
        cmocka_unit_test(a_lost_record_is_noticed),
        cmocka_unit_test(folders_without_runs),
        cmocka_unit_test(plan_ids_tell_plans_apart),
        cmocka_unit_test(campaign_rows_become_samples),
        cmocka_unit_test(campaigns_give_what_can_be_imitated),
        cmocka_unit_test(parts_with_other_metrics_join),
        cmocka_unit_test(other_hosts_are_refused),
        cmocka_unit_test(other_working_sets_are_refused),
        cmocka_unit_test(slots_may_differ_a_little),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
