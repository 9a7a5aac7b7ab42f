/* mimesys_run's results: stats text, result file, summary, and what the exit status tells. */
#define _DEFAULT_SOURCE /* flock */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "cmd/run_job.h"
#include "core/atomic_file.h"
#include "core/text.h"

int mim_run_output_make(const mim_run_job *j, const char *folder, mim_run_output *output)
{
    mim_run_output made = {.folder = mim_strdup(folder),
                           .stats_path = mim_format("%s/stats-%s.txt", folder, j->name),
                           .result_path = mim_format("%s/result-%s.h5", folder, j->name),
                           .summary_path = mim_format("%s/summary.json", folder),
                           .lock_fd = -1};
    if (!made.folder || !made.stats_path || !made.result_path || !made.summary_path) {
        mim_run_output_clear(&made);
        return mim_fail(MIM_ENOMEM, "output paths");
    }
    *output = made;
    return MIM_OK;
}

void mim_run_output_clear(mim_run_output *output)
{
    free(output->folder);
    free(output->stats_path);
    free(output->result_path);
    free(output->summary_path);
    if (output->lock_fd >= 0)
        close(output->lock_fd);
    *output = (mim_run_output){.lock_fd = -1};
}

int mim_run_output_open(const mim_run_job *j, mim_run_output *output)
{
    int rc = mim_make_folder(output->folder);
    if (rc != MIM_OK)
        return rc;
    output->lock_fd = open(output->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (output->lock_fd >= 0 && flock(output->lock_fd, LOCK_EX | LOCK_NB) != 0 &&
        errno == EWOULDBLOCK)
        return mim_fail(MIM_EIO, "%s: another run is writing there", output->folder);
    bool has_stats = mim_config_bool(j->config, "run.sample");
    const char *const paths[] = {output->result_path, output->summary_path,
                                 has_stats ? output->stats_path : NULL};
    for (size_t i = 0; rc == MIM_OK && i < sizeof paths / sizeof *paths && paths[i]; i++) {
        mim_atomic_file *probe = NULL;
        rc = mim_atomic_file_open(paths[i], &probe);
        mim_atomic_file_destroy(&probe);
    }
    return rc;
}

const char *mim_run_status(const mim_run_job *j)
{
    return j->result->is_stopped ? "stopped" : "done";
}

static json_t *text_or_null(const char *text) { return text ? json_string(text) : json_null(); }

int mim_run_add_figures(const mim_run_job *j, const mim_run_output *output, json_t *figures)
{
    mim_run_figures f;
    const mim_disturbance *d = j->result->disturbance;
    int rc = mim_run_result_figures(j->result, j->plan, &f);
    if (rc != MIM_OK)
        return rc;
    const struct {
        const char *key;
        double value;
    } numbers[] = {
        {"slot_s", j->slot_s},
        {"share_error_mean", f.share_error_mean},
        {"share_error_p95", f.share_error_p95},
        {"ops_ratio", f.ops_ratio},
        {"overshoot_p99", f.overshoot_p99},
        {"overshoot_max", f.overshoot_max},
        {"drift_s", f.drift_s},
        {"cpu_s", f.cpu_s},
        {"written_bytes", f.written_bytes},
    };
    json_object_set_new(figures, "n_slots", json_integer((json_int_t)j->result->n_slots));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        json_object_set_new(figures, numbers[i].key, mim_json_real(numbers[i].value));
    json_object_set_new(figures, "n_accepted",
                        d && d->is_known ? json_integer((json_int_t)d->n_accepted) : json_null());
    json_object_set_new(figures, "note", text_or_null(j->result->note));
    json_object_set_new(figures, "cpu_note", text_or_null(j->result->cpu_note));
    json_object_set_new(figures, "node", json_string(j->machine->hostname));
    json_object_set_new(figures, "contain", mim_run_contain_json(j));
    json_object_set_new(figures, "stats",
                        mim_config_bool(j->config, "run.sample")
                            ? json_string(mim_basename(output->stats_path))
                            : json_null());
    json_object_set_new(figures, "result", json_string(mim_basename(output->result_path)));
    return MIM_OK;
}

int mim_run_store(mim_run_job *j, const mim_run_output *output)
{
    char *ini = mim_config_text_ini(j->config);
    int rc = ini ? mim_run_result_write(j->result, j->plan, ini, output->result_path)
                 : mim_fail(MIM_ENOMEM, "configuration text");
    free(ini);
    if (rc == MIM_OK)
        rc = mim_run_add_figures(j, output, mim_summary_figures(j->summary));
    if (rc == MIM_OK)
        rc = mim_summary_write(j->summary, mim_run_status(j), output->summary_path);
    return rc;
}

int mim_run_verdict(const mim_run_job *j, const mim_run_output *output)
{
    const mim_run_result *r = j->result;
    if (r->failure)
        return mim_fail(MIM_EIO, "%s: %s; %zu slots are stored", output->stats_path, r->failure,
                        r->n_slots);
    if (!r->n_failed && !r->is_verified)
        return mim_fail(MIM_ECHECK, "a stressor's verification failed (see the log)");
    if (r->is_stopped)
        return mim_fail(MIM_ESTOPPED, "stopped by a signal after %zu slots; results are in %s",
                        r->n_slots, output->folder);
    if (r->n_failed)
        return mim_fail(MIM_EIO, "%zu stressors failed during the run (see the log)", r->n_failed);
    if (r->note)
        return mim_fail(MIM_EUNSUP, "some I/O was not done: %s", r->note);
    return MIM_OK;
}
