#include "corpus/import.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/fault.h"
#include "core/text.h"
#include "corpus/summary.h"
#include "plan/plan.h"
#include "trace/accept.h"

void mim_part_destroy(mim_part **part)
{
    if (!*part)
        return;
    mim_layout_destroy(&(*part)->layout);
    mim_samples_destroy(&(*part)->samples);
    free(*part);
    *part = NULL;
}

/* ---- listing -------------------------------------------------------------------------------- */

void mim_runs_free(size_t n, mim_run_files **runs)
{
    for (size_t i = 0; *runs && i < n; i++) {
        free((*runs)[i].plan);
        free((*runs)[i].stats);
        free((*runs)[i].result);
    }
    free(*runs);
    *runs = NULL;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const mim_run_files *)a)->stats, ((const mim_run_files *)b)->stats);
}

/* The plan beside the run or in the folder above; NULL when out of memory. A simulated run's name
 * is that of its plan with "simulated-" before it. */
static char *find_plan(const char *folder, const char *name, int n)
{
    static const char mark[] = "simulated-";
    const int n_mark = strncmp(name, mark, sizeof mark - 1) == 0 ? (int)sizeof mark - 1 : 0;
    char *path = NULL;
    for (int i = 0; i < (n_mark > 0 ? 4 : 2); i++) {
        const int skip = i < 2 ? 0 : n_mark;
        free(path);
        path = mim_format("%s%s%.*s.h5", folder, i % 2 ? "/../" : "/", n - skip, name + skip);
        if (!path || access(path, F_OK) == 0)
            break;
    }
    return path;
}

/* "stats-NAME.txt": fills in the three paths. */
static int describe_run(const char *folder, const char *file, mim_run_files *run)
{
    const int n = (int)strlen(file) - 10; /* of NAME */
    const char *name = file + 6;
    run->stats = mim_join_path(folder, file);
    run->plan = find_plan(folder, name, n);
    run->result = mim_format("%s/result-%.*s.h5", folder, n, name);
    if (!run->stats || !run->plan || !run->result)
        return mim_fail(MIM_ENOMEM, "%s: paths of its runs", folder);
    if (access(run->plan, F_OK) != 0)
        return mim_fail(MIM_EDATA,
                        "%s: its plan %.*s.h5 is neither beside it nor in the folder "
                        "above",
                        run->stats, n, name);
    if (access(run->result, F_OK) != 0) {
        free(run->result);
        run->result = NULL;
    }
    return MIM_OK;
}

static bool is_stats_name(const char *name)
{
    return strncmp(name, "stats-", 6) == 0 && strlen(name) > 10 && mim_has_suffix(name, ".txt");
}

int mim_runs_list(const char *folder, size_t *n, mim_run_files **runs)
{
    mim_run_files *made = NULL;
    size_t count = 0, capacity = 0;
    int rc = mim_fault(folder);
    DIR *dir = rc == MIM_OK ? opendir(folder) : NULL;
    if (rc == MIM_OK && !dir)
        rc = mim_fail(MIM_EIO, "%s: %s", folder, strerror(errno));
    for (struct dirent *entry; rc == MIM_OK && (entry = readdir(dir));) {
        if (!is_stats_name(entry->d_name))
            continue;
        if (count == capacity) {
            capacity = capacity ? 2 * capacity : 64;
            mim_run_files *grown = realloc(made, capacity * sizeof *made);
            if (!grown) {
                rc = mim_fail(MIM_ENOMEM, "%s: %zu runs", folder, capacity);
                break;
            }
            made = grown;
        }
        made[count] = (mim_run_files){NULL, NULL, NULL};
        rc = describe_run(folder, entry->d_name, &made[count++]);
    }
    if (dir)
        closedir(dir);
    if (rc == MIM_OK && count == 0)
        rc = mim_fail(MIM_EDATA, "%s: holds no run (stats-NAME.txt with its plan NAME.h5)", folder);
    if (rc != MIM_OK) {
        mim_runs_free(count, &made);
        return rc;
    }
    qsort(made, count, sizeof *made, by_path);
    *n = count;
    *runs = made;
    return MIM_OK;
}

/* ---- one run -------------------------------------------------------------------------------- */

typedef struct import {
    mim_h5_reader *reader;
    const mim_run_files *run;
    const mim_import_options *options;
    char *config; /* that the run was made with, NULL: not known */
    mim_plan *plan;
    mim_stats *stats;
    mim_series *series;
    mim_accept *accept;
    size_t *columns;  /* [n_metrics] of the part in the series */
    size_t first;     /* window that ran first */
    size_t n_windows; /* that ran */
    size_t n_passes;  /* begun */
    bool has_idle;
    double *values; /* [n_passes][n_metrics] of one window */
    mim_part *part;
} import;

/* The executor tells the number of each slot; a record that was left out would shift the rest. */
static int check_slots(const import *x)
{
    const size_t type = mim_stats_find_type(x->stats, "x_slot");
    const size_t key = type == SIZE_MAX ? SIZE_MAX : mim_stats_find_key(x->stats, type, "slot");
    if (key == SIZE_MAX)
        return MIM_OK;
    const size_t n = mim_stats_n_records(x->stats);
    bool is_right = x->series->n_slots + 1 == n;
    for (size_t i = 0; is_right && i < n; i++) {
        mim_row row = mim_stats_find_row(x->stats, i, type, 0);
        uint64_t slot = 0;
        is_right = mim_row_value(&row, key, &slot) && slot == i;
    }
    return is_right ? MIM_OK
                    : mim_fail(MIM_EDATA, "%s: its records are not one at each slot's edge",
                               x->run->stats);
}

/* A setting's word, from a configuration as it is stored with results; NULL word: none. */
static int find_setting(const char *config, const char *key, char **word)
{
    const size_t n = strlen(key);
    *word = NULL;
    for (const char *at = config; at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL) {
        if (strncmp(at, key, n) != 0)
            continue;
        const char *text = at + n + strspn(at + n, " \t");
        if (*text != '=')
            continue;
        text += 1 + strspn(text + 1, " \t");
        *word = mim_format("%.*s", (int)strcspn(text, " \t\r\n"), text);
        return *word ? MIM_OK : mim_fail(MIM_ENOMEM, "setting");
    }
    return MIM_OK;
}

static int read_config(import *x)
{
    mim_h5 *file = NULL;
    int rc = x->run->result ? mim_h5_open_with(x->reader, x->run->result, &file) : MIM_OK;
    if (rc == MIM_OK && file)
        rc = mim_h5_get_attribute_text(file, NULL, "config", &x->config);
    mim_h5_destroy(&file);
    return rc;
}

static int ask_config(const import *x, bool *is_known, bool *has_idle)
{
    char *word = NULL;
    int rc = find_setting(x->config, "idle_slot", &word);
    *is_known = word && mim_parse_bool("idle_slot", word, has_idle) == MIM_OK;
    free(word);
    return rc;
}

/* Of the working sets; the original ones where nothing tells. */
static int take_sizes(import *x)
{
    char *word = NULL;
    int rc = find_setting(x->config, "sizes", &word);
    if (rc == MIM_OK && word && (rc = mim_layout_set_sizes(x->part->layout, word)) != MIM_OK)
        rc = mim_fail_in(rc, "%s: stressors.sizes", x->run->result);
    free(word);
    return rc;
}

/* Whether an idle slot follows each pass. */
static int find_idle(import *x)
{
    const size_t n = x->series->n_slots, w = x->n_windows;
    bool is_known = x->options->idle_slot != MIM_IDLE_AUTO;
    x->has_idle = x->options->idle_slot == MIM_IDLE_YES;
    if (!is_known) {
        int rc = ask_config(x, &is_known, &x->has_idle);
        if (rc != MIM_OK)
            return rc;
    }
    if (!is_known) {
        const bool without = n % w == 0, with = n % (w + 1) == 0;
        if (without == with)
            return mim_fail(MIM_EDATA,
                            "%s: %zu slots of a plan of %zu windows do not tell whether an idle "
                            "slot follows each pass; set dataset.idle_slot",
                            x->run->stats, n, w);
        x->has_idle = with;
    }
    const size_t pass = w + (x->has_idle ? 1 : 0);
    x->n_passes = (n + pass - 1) / pass;
    return MIM_OK;
}

static int load(import *x)
{
    struct stat status;
    int rc = mim_fault(x->run->stats);
    if (rc == MIM_OK)
        rc = mim_plan_read_with(x->reader, x->run->plan, NULL, &x->plan);
    if (rc == MIM_OK)
        rc = mim_stats_read(x->run->stats, &x->stats);
    if (rc == MIM_OK && (rc = mim_series_create(x->stats, NULL, &x->series)) != MIM_OK)
        mim_fail_in(rc, "%s", x->run->stats);
    if (rc == MIM_OK)
        rc = mim_accept_create(x->series, &x->accept);
    if (rc == MIM_OK)
        rc = check_slots(x);
    if (rc == MIM_OK)
        rc = read_config(x);
    if (rc != MIM_OK)
        return rc;
    x->first = mim_plan_first_window(x->plan);
    x->n_windows = mim_plan_n_windows(x->plan) - x->first;
    x->part->n_bytes = stat(x->run->stats, &status) == 0 ? (uint64_t)status.st_size : 0;
    x->part->n_slots = x->series->n_slots;
    x->part->is_unchecked = !x->accept->is_known;
    return find_idle(x);
}

static bool is_wanted(const import *x, const mim_metric *metric)
{
    return x->options->all_metrics || mim_family_is_target(metric->family);
}

/* The part's layout: wanted metrics, threads on the CPUs that the file tells. */
static int make_layout(import *x)
{
    const mim_series *s = x->series;
    size_t n = 0;
    mim_metric *metrics = malloc((s->n_metrics + 1) * sizeof *metrics);
    x->columns = malloc((s->n_metrics + 1) * sizeof *x->columns);
    if (!metrics || !x->columns) {
        free(metrics);
        return mim_fail(MIM_ENOMEM, "%zu metrics", s->n_metrics);
    }
    for (size_t m = 0; m < s->n_metrics; m++) {
        if (!is_wanted(x, &s->metrics[m]))
            continue;
        metrics[n] = s->metrics[m];
        x->columns[n++] = m;
    }
    const char *machine = mim_stats_property(x->stats, "x_machine");
    const double slot_s = round(1000.0 * mim_series_median_length_s(s)) / 1000.0;
    int rc = mim_layout_create(mim_plan_n_threads(x->plan), mim_plan_actions(x->plan), n, metrics,
                               slot_s, machine, &x->part->layout);
    free(metrics);
    if (rc == MIM_EINVAL)
        rc = mim_fail_in(MIM_EDATA, "%s", x->run->stats);
    if (rc == MIM_OK)
        rc = take_sizes(x);
    for (size_t t = 0; rc == MIM_OK && t < s->n_rows && t < x->part->layout->n_threads; t++)
        x->part->layout->thread_cpus[t] = (uint64_t)s->row_cpus[t];
    return rc;
}

/* Identity of what was asked for. */
static uint64_t plan_id(const mim_plan *plan)
{
    const size_t n = mim_plan_n_windows(plan) * mim_plan_n_threads(plan) *
                     mim_plan_n_stressors(plan) * sizeof(double);
    char sizes[64];
    int length = snprintf(sizes, sizeof sizes, "%zu %zu", mim_plan_n_windows(plan),
                          mim_plan_n_threads(plan));
    uint64_t hash = mim_hash_text(mim_actions_hash(mim_plan_actions(plan)), sizes, (size_t)length);
    return mim_hash_text(hash, (const char *)mim_plan_weights(plan, 0, 0), n);
}

static void copy_action(const import *x, size_t window, float *action)
{
    const double *weights = mim_plan_weights(x->plan, x->first + window, 0);
    const size_t n = mim_plan_n_threads(x->plan) * mim_plan_n_stressors(x->plan);
    for (size_t i = 0; i < n; i++)
        action[i] = (float)weights[i];
}

/* Whether the first window follows the last one of the pass before. */
static bool is_ring(const import *x) { return !x->has_idle && x->n_passes > 1; }

/* The usable repetitions of a window, their values one after the other. */
static size_t gather_repeats(import *x, size_t window)
{
    const size_t pass = x->n_windows + (x->has_idle ? 1 : 0), n = x->part->layout->n_metrics;
    size_t count = 0;
    for (size_t k = window == 0 && is_ring(x) ? 1 : 0; k < x->n_passes; k++) {
        const size_t slot = k * pass + window;
        if (slot >= x->series->n_slots)
            break;
        if (!x->options->with_disturbed && x->accept->is_known && !x->accept->is_accepted[slot]) {
            x->part->n_disturbed++;
            continue;
        }
        for (size_t m = 0; m < n; m++)
            x->values[count * n + m] = mim_series_at(x->series, slot, x->columns[m]);
        count++;
    }
    return count;
}

/* Puts figures and masks; absent ones stay 0. */
static void put_figures(size_t n, const double *median, const double *spread, mim_samples *s,
                        size_t at)
{
    for (size_t m = 0; m < n; m++) {
        if (isnan(median[m]))
            continue;
        s->metric[at * n + m] = (float)median[m];
        s->spread[at * n + m] = (float)spread[m];
        s->mask[at * n + m] = 1;
    }
}

static int add_window(import *x, size_t window, uint64_t id, double *figures)
{
    mim_samples *s = x->part->samples;
    const size_t n = x->part->layout->n_metrics, at = s->n;
    const size_t cells = x->part->layout->n_threads * x->part->layout->n_stressors;
    const size_t n_repeats = gather_repeats(x, window);
    if (n_repeats < x->options->min_repeats || n_repeats == 0) {
        x->part->n_lost++;
        return MIM_OK;
    }
    int rc = mim_summarize_slot(n_repeats, n, n, x->values, figures, figures + n);
    if (rc != MIM_OK)
        return rc;
    put_figures(n, figures, figures + n, s, at);
    s->plan_id[at] = id;
    s->window[at] = (uint32_t)(x->first + window);
    s->n_repeats[at] = (uint32_t)n_repeats;
    copy_action(x, window, s->action + at * cells);
    s->has_previous[at] = window > 0 || is_ring(x);
    if (s->has_previous[at])
        copy_action(x, window > 0 ? window - 1 : x->n_windows - 1, s->previous_action + at * cells);
    s->n++;
    return MIM_OK;
}

int mim_run_import(mim_h5_reader *reader, const mim_run_files *run,
                   const mim_import_options *options, mim_part **part)
{
import x = {.reader = reader, .run = run, .options = options };
    double *figures = NULL;
    int rc = (x.part = calloc(1, sizeof *x.part)) ? load(&x) : mim_fail(MIM_ENOMEM, "part");
    if (rc == MIM_OK)
        rc = make_layout(&x);
    if (rc == MIM_OK)
        rc = mim_samples_create(x.part->layout, x.n_windows, &x.part->samples);
    if (rc == MIM_OK) {
        const size_t n = x.part->layout->n_metrics;
        x.part->samples->n = 0;
        x.values = malloc(x.n_passes * n * sizeof *x.values);
        figures = malloc(2 * n * sizeof *figures);
        if (!x.values || !figures)
            rc = mim_fail(MIM_ENOMEM, "%zu passes of %zu metrics", x.n_passes, n);
    }
    const uint64_t id = rc == MIM_OK ? plan_id(x.plan) : 0;
    for (size_t w = 0; rc == MIM_OK && w < x.n_windows; w++)
        rc = add_window(&x, w, id, figures);
    if (rc == MIM_OK) {
        *part = x.part;
        x.part = NULL;
    }
    free(figures);
    free(x.values);
    free(x.columns);
    free(x.config);
    mim_accept_destroy(&x.accept);
    mim_series_destroy(&x.series);
    mim_stats_destroy(&x.stats);
    mim_plan_destroy(&x.plan);
    mim_part_destroy(&x.part);
    return rc;
}
