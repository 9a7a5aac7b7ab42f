/* mimesys_train: steps, and what is due between them. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/fault.h"
#include "core/signals.h"
#include "diffusion/train_folder.h"
#include "mpi/agree.h"
#include "mpi/train_job.h"

double mim_train_job_elapsed_s(const mim_train_job *j) { return MPI_Wtime() - j->begin_s; }

double mim_train_job_step_flop(const mim_train_job *j)
{
    return 3 * mim_network_flop(&j->model->architecture, j->plan.options.batch,
                                j->model->domain->n_threads);
}

bool mim_train_job_ran_out_of_patience(const mim_train_job *j)
{
    return j->plan.patience > 0 && j->model->course.n_since_best >= j->plan.patience;
}

bool mim_train_job_is_over(const mim_train_job *j)
{
    return j->model->step >= j->plan.n_steps || mim_train_job_ran_out_of_patience(j);
}

/* ---- figures -------------------------------------------------------------------------------- */

/* Rank 0 writes; an error is told to all at the next step. */
static int log_training(mim_train_job *j)
{
    const double n = (double)j->n_summed, s = j->step_s_sum, n_timed = (double)j->n_timed;
    const double wait_s = mim_feed_wait_s(j->feed);
    j->loss = n > 0 ? j->loss_sum / n : (double)NAN;
    json_t *line =
        json_pack("{s:I, s:o, s:o, s:o, s:I, s:I, s:o, s:o, s:o, s:o}", "step",
                  (json_int_t)j->model->step, "loss", mim_json_real(j->loss), "norm",
                  mim_json_real(n > 0 ? j->norm_sum / n : (double)NAN), "rate",
                  mim_json_real(mim_lr_at(&j->plan.options.rate, j->model->step - 1)), "mean_of",
                  (json_int_t)j->n_summed, "skipped", (json_int_t)j->model->course.n_skipped,
                  "examples_per_s", mim_json_real(n_timed * (double)j->plan.options.batch / s),
                  "gflop_per_s", mim_json_real(n_timed * mim_train_job_step_flop(j) * 1e-9 / s),
                  "input_wait_s", mim_json_real(wait_s - j->last_wait_s), "wall_s",
                  mim_json_real(mim_train_job_elapsed_s(j)));
    j->loss_sum = j->norm_sum = j->step_s_sum = 0;
    j->last_wait_s = wait_s;
    j->n_summed = j->n_timed = 0;
    if (j->rank != 0) {
        json_decref(line);
        return MIM_OK;
    }
    return mim_train_folder_log(j->folder, line);
}

static int log_validation(mim_train_job *j, double live, bool was_tried)
{
    if (j->rank != 0)
        return MIM_OK;
    mim_log_info(j->log, "train", "step=%" PRIu64 " loss=%.5g validation_loss=%.5g", j->model->step,
                 j->loss, j->validation_loss);
    json_t *line = json_pack("{s:I, s:o, s:o, s:I, s:o}", "step", (json_int_t)j->model->step,
                             "validation_loss", mim_json_real(j->validation_loss),
                             "validation_loss_without_average", mim_json_real(live), "best_step",
                             (json_int_t)j->model->course.best_step, "wall_s",
                             mim_json_real(mim_train_job_elapsed_s(j)));
    if (line && was_tried) {
        mim_log_info(j->log, "train", "step=%" PRIu64 " node=%s nl1_mean=%.5g", j->model->step,
                     mim_trial_node(j->trial), j->tried.nl1_mean);
        json_t *tried = mim_train_trial_json("nl1", &j->tried);
        json_object_set_new(line, "simulated_node", json_string(mim_trial_node(j->trial)));
        json_object_update(line, tried);
        json_decref(tried);
    }
    return mim_train_folder_log(j->folder, line);
}

/* ---- between steps -------------------------------------------------------------------------- */

/* Whether the validation is the best so far; its model is kept when training may end with it, by
 * rank 0, which has the whole moving average after a validation. */
static int judge_validation(mim_train_job *j)
{
    mim_course *c = &j->model->course;
    if (c->best_step > 0 && !(j->validation_loss < c->best_loss * (1 - j->plan.min_improvement))) {
        c->n_since_best++;
        return MIM_OK;
    }
    c->best_step = j->model->step;
    c->best_loss = j->validation_loss;
    c->n_since_best = 0;
    if (j->rank != 0 || j->plan.patience == 0)
        return MIM_OK;
    const mim_params_f *p = j->model->params;
    if (!j->model->best_ema)
        j->model->best_ema = calloc(p->n_values, sizeof *p->ema);
    if (!j->model->best_ema)
        return mim_fail(MIM_ENOMEM, "best of %zu parameters", p->n_values);
    memcpy(j->model->best_ema, p->ema, p->n_values * sizeof *p->ema);
    return MIM_OK;
}

/* Collective. */
static int validate(mim_train_job *j)
{
    bool was_tried = false;
    if (j->lessons->validation.n == 0)
        return MIM_OK;
    const double live =
        mim_train_mpi_validate(j->parallel, &j->lessons->validation, j->plan.validate_draws, false);
    j->validation_loss =
        mim_train_mpi_validate(j->parallel, &j->lessons->validation, j->plan.validate_draws, true);
    if (j->trial) {
        const int rc = mim_train_mpi_try(j->comm, j->trial, j->model->domain, false, &j->tried);
        if (rc != MIM_OK && rc != MIM_ESTOPPED) /* a stop is for the next step to see */
            return rc;
        was_tried = rc == MIM_OK;
    }
    int rc = isfinite(j->validation_loss)
                 ? judge_validation(j)
                 : mim_fail(MIM_ECHECK,
                            "the validation after step %" PRIu64 " is not finite: a smaller "
                            "learning rate may help",
                            j->model->step);
    if (rc == MIM_OK)
        rc = log_validation(j, live, was_tried);
    return rc;
}

/* Collective. Training goes on while the checkpoint is written; how the one before went is told
 * here. */
static int store(mim_train_job *j)
{
    mim_whole_model whole;
    int rc = mim_train_mpi_check_same(j->parallel, j->model);
    if (rc == MIM_OK)
        mim_train_mpi_gather(j->parallel, j->model, &whole);
    if (rc == MIM_OK && j->rank == 0)
        rc = mim_train_store_put(j->store, &whole.model);
    return mim_agree(j->comm, rc);
}

static bool is_store_due(const mim_train_job *j)
{
    const mim_train_plan *p = &j->plan;
    return j->model->step % p->checkpoint_every == 0 ||
           (p->milestone_every > 0 && j->model->step % p->milestone_every == 0);
}

/* What is due after a step. Collective where all ranks come to the same conclusion. */
static int after_step(mim_train_job *j)
{
    const uint64_t step = j->model->step;
    const bool is_last = step == j->plan.n_steps;
    int local = MIM_OK;
    if (step % j->plan.log_every == 0 || is_last)
        local = log_training(j);
    if (step % j->plan.validate_every == 0 || is_last) {
        const int rc = validate(j);
        local = local == MIM_OK ? rc : local;
    }
    local = mim_agree(j->comm, local);
    if (local == MIM_OK && (is_store_due(j) || mim_train_job_is_over(j)))
        local = store(j);
    return local;
}

static bool is_due(const mim_train_job *j)
{
    const uint64_t step = j->model->step;
    return step % j->plan.log_every == 0 || step % j->plan.validate_every == 0 ||
           step == j->plan.n_steps || is_store_due(j);
}

/* ---- steps ---------------------------------------------------------------------------------- */

static int take_step(mim_train_job *j, bool *is_stopped)
{
    double loss = 0, norm = 0;
    const double begin_s = MPI_Wtime();
    const int64_t begin_cpu_ns = mim_clock_process_cpu_ns();
    const bool wishes =
        mim_signals_stop() != 0 ||
        (j->plan.time_limit_s > 0 && mim_train_job_elapsed_s(j) > j->plan.time_limit_s);
    const int rc = mim_train_mpi_step(j->parallel, mim_fault("training step"), wishes, &loss, &norm,
                                      is_stopped);
    const double took_s = MPI_Wtime() - begin_s;
    j->step_s += took_s;
    j->step_s_sum += took_s;
    j->step_cpu_s += 1e-9 * (double)(mim_clock_process_cpu_ns() - begin_cpu_ns);
    j->n_timed++;
    if (rc != MIM_OK)
        return rc;
    if (!isfinite(norm)) {
        mim_log_warn(j->log, "train", "step=%" PRIu64 ": its gradient is not finite; left out",
                     j->model->step);
        return MIM_OK;
    }
    j->loss_sum += loss;
    j->norm_sum += norm;
    j->n_summed++;
    return MIM_OK;
}

/* Figures of a model that was done before this start. Collective. */
static int look_again(mim_train_job *j)
{
    j->validation_loss =
        mim_train_mpi_validate(j->parallel, &j->lessons->validation, j->plan.validate_draws, true);
    return j->trial ? mim_train_mpi_try(j->comm, j->trial, j->model->domain, false, &j->tried)
                    : MIM_OK;
}

int mim_train_job_run(mim_train_job *j)
{
    mim_progress *progress = NULL;
    bool is_stopped = false;
    int rc = mim_agree(
        j->comm, mim_progress_create(j->log, "training", (size_t)j->plan.n_steps, 30, &progress));
    while (rc == MIM_OK && !is_stopped && !mim_train_job_is_over(j)) {
        rc = take_step(j, &is_stopped);
        if (rc == MIM_OK && is_due(j))
            rc = after_step(j);
        mim_progress_step(progress, (size_t)j->model->step);
    }
    mim_progress_destroy(&progress);
    const bool is_done = mim_train_job_is_over(j);
    if (rc == MIM_OK && is_done) /* of which the finished model is made */
        mim_train_mpi_gather_ema(j->parallel);
    if (rc == MIM_OK && is_done && j->model->step == j->first_step) /* nothing was left to do */
        rc = look_again(j);
    if (rc == MIM_OK && !is_done && j->model->step > j->first_step)
        rc = store(j);
    if (rc == MIM_OK) /* only what is whole may be told of */
        rc = mim_agree(j->comm, j->rank == 0 ? mim_train_store_wait(j->store) : MIM_OK);
    if (rc == MIM_OK && !is_done)
        rc = mim_fail(MIM_ESTOPPED,
                      "stopped after step %" PRIu64 " of %" PRIu64
                      ": go on with --resume auto; the checkpoint is in %s",
                      j->model->step, j->plan.n_steps, j->folder);
    return rc;
}
