/* mimesys_run's repetitions for windows that others disturbed. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/run_job.h"
#include "core/text.h"

static char *again_folder(const mim_run_job *j, size_t k)
{
    return mim_format("%s/again-%zu", j->output.folder, k);
}

int mim_run_again_clean(const mim_run_job *j)
{
    bool is_there = true;
    for (size_t k = 1; is_there; k++) {
        mim_run_output old = {.lock_fd = -1};
        char *folder = again_folder(j, k);
        int rc = folder ? mim_run_output_make(j, folder, &old) : mim_fail(MIM_ENOMEM, "again");
        char *plan = rc == MIM_OK ? mim_format("%s/%s.h5", folder, j->name) : NULL;
        if (plan && (is_there = access(folder, F_OK) == 0)) {
            const char *const files[] = {old.summary_path, old.stats_path, old.result_path, plan};
            for (size_t i = 0; i < sizeof files / sizeof *files; i++)
                unlink(files[i]);
            rmdir(folder); /* unless something else lies there */
        }
        bool is_complete = plan != NULL;
        free(plan);
        free(folder);
        mim_run_output_clear(&old);
        if (!is_complete)
            return rc != MIM_OK ? rc : mim_fail(MIM_ENOMEM, "again");
    }
    return MIM_OK;
}

/* ---- which windows lack an accepted slot ---- */

typedef struct tally {
    bool is_known;
    size_t n_windows, n_lacking, n_runs;
    bool *lacks; /* [n_windows] */
} tally;

static void count(tally *t, const mim_run_result *r)
{
    if (r->disturbance && r->disturbance->is_known && r->slot_windows)
        t->n_lacking =
            mim_disturbance_lacking(r->disturbance, r->slot_windows, t->n_windows, t->lacks);
    t->n_runs++;
}

static int begin(const mim_run_job *j, tally *t)
{
    *t = (tally){.is_known = j->result->disturbance && j->result->disturbance->is_known,
                 .n_windows = mim_plan_n_windows(j->plan)};
    if (!(t->lacks = calloc(t->n_windows, sizeof *t->lacks)))
        return mim_fail(MIM_ENOMEM, "%zu windows", t->n_windows);
    for (size_t w = mim_plan_first_window(j->plan); w < t->n_windows; w++)
        t->lacks[w] = true;
    count(t, j->result);
    return MIM_OK;
}

static int put_figures(mim_run_job *j, const tally *t)
{
    json_t *figures = mim_summary_figures(j->summary), *list = json_null();
    if (t->is_known) {
        list = json_array();
        for (size_t w = 0; w < t->n_windows; w++)
            if (t->lacks[w])
                json_array_append_new(list, json_integer((json_int_t)w));
    }
    json_object_set_new(figures, "n_runs", json_integer((json_int_t)t->n_runs));
    json_object_set_new(figures, "windows_lacking", list);
    return mim_summary_write(j->summary, mim_run_status(j), j->output.summary_path);
}

/* ---- once more ---- */

static int run_into(mim_run_job *sub, mim_run_output *output)
{
    char *plan = mim_format("%s/%s.h5", output->folder, sub->name);
    int rc = plan ? mim_run_output_open(sub, output) : mim_fail(MIM_ENOMEM, "again");
    if (rc == MIM_OK) /* beside its run, where readers of runs look for it */
        rc = mim_plan_write(sub->plan, plan);
    if (rc == MIM_OK)
        rc = mim_run_once(sub, output, false);
    if (rc == MIM_OK)
        rc = mim_run_store(sub, output);
    free(plan);
    return rc == MIM_OK ? mim_run_verdict(sub, output) : rc;
}

static int repeat(mim_run_job *j, size_t k, tally *t)
{
    mim_run_job sub = *j;
    mim_run_output output = {.lock_fd = -1};
    char *folder = again_folder(j, k);
    sub.result = NULL;
    sub.contain = NULL;
    sub.summary = NULL;
    int rc = folder ? mim_run_output_make(j, folder, &output) : mim_fail(MIM_ENOMEM, "again");
    if (rc == MIM_OK)
        rc = mim_summary_create(j->program, (uint64_t)mim_config_int(j->config, "run.seed"), 1,
                                j->config, &sub.summary);
    if (rc == MIM_OK)
        rc = run_into(&sub, &output);
    if (rc == MIM_OK)
        count(t, sub.result);
    mim_run_result_destroy(&sub.result);
    mim_contain_destroy(&sub.contain);
    mim_summary_destroy(&sub.summary);
    mim_run_output_clear(&output);
    free(folder);
    return rc;
}

int mim_run_again(mim_run_job *j)
{
    tally t;
    size_t most = (size_t)mim_config_int(j->config, "run.repeat_disturbed");
    int rc = begin(j, &t);
    bool may_repeat = rc == MIM_OK && t.is_known && mim_run_verdict(j, &j->output) == MIM_OK;
    for (size_t k = 1; rc == MIM_OK && may_repeat && k <= most && t.n_lacking > 0; k++) {
        mim_log_info(j->log, "run", "%zu of %zu windows have no undisturbed slot yet: run %zu",
                     t.n_lacking, t.n_windows, k + 1);
        rc = repeat(j, k, &t);
    }
    if (rc == MIM_OK || t.lacks) {
        char why[MIM_ERROR_TEXT_BYTES];
        snprintf(why, sizeof why, "%s", mim_error());
        int put = put_figures(j, &t);
        rc = rc == MIM_OK ? put : mim_fail(rc, "%s", why);
    }
    free(t.lacks);
    return rc;
}
