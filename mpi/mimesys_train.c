/* mimesys_train: supervised training of a diffusion model on a corpus, data parallel. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "diffusion/checkpoint.h"
#include "diffusion/train_folder.h"
#include "mpi/agree.h"
#include "mpi/program_mpi.h"
#include "mpi/train_job.h"

static const mim_option *const tables[] = {mim_model_settings, mim_train_settings,
                                           mim_examples_settings, mim_validate_settings, NULL};

static const mim_flag flags[] = {
    {"corpus", "CORPUS.h5", NULL, false, "training corpus, made by mimesys_dataset"},
    {"out", "DIR", NULL, false, "folder for checkpoints, figures and the model"},
    {"resume", "auto|none|FILE", NULL, false,
     "go on from the newest checkpoint in --out, if any, or from this one (default none)"},
    {"steps", "N", "train.steps", false, "training steps"},
    {NULL, NULL, NULL, false, NULL},
};

static const char *const synopsis[] = {
    "--corpus CORPUS.h5 --out DIR [--config INI] [--resume auto]",
    NULL,
};

static const mim_program program = {
    .name = "mimesys_train",
    .summary = "train a diffusion model that turns metrics into plans",
    .synopsis = synopsis,
    .flags = flags,
    .tables = tables,
    .min_arguments = 0,
    .max_arguments = 0,
    .description =
        "Learns from a corpus of measured plans which plan leads to which metrics, the other way\n"
        "round: a network (model.kind) trained to restore noised plans from the metrics, their\n"
        "masks and the plan of the slot before.\n\n"
        "A corpus larger than examples.in_memory is read as it is needed, by a thread that is "
        "some\n"
        "steps ahead; training comes to the same. One in memory is compared with its digests; one\n"
        "that is read as it is needed is not: check it with mimesys_dataset --check.\n\n"
        "Which examples come how often, and whether their threads are changed about, [examples]\n"
        "says.\n\n"
        "Every validate.every steps the samples that the corpus keeps aside are denoised, and the\n"
        "moving average of the parameters is judged by that. Of a corpus of a simulated node "
        "plans\n"
        "are made of the metrics of some of them, too, and run on that simulated node: nl1 is the\n"
        "normalised L1 between wanted and measured metrics, by family.\n\n"
        "A step whose gradient is not finite is left out and counted.\n\n"
        "Run it under mpirun or srun: ranks share out the shards of each batch. The result "
        "depends\n"
        "on the seed and the settings, and not on the number of ranks, up to the rounding of sums\n"
        "in double precision. Set OMP_NUM_THREADS to the cores of a rank, which\n"
        "changes nothing but the time, and OMP_WAIT_POLICY=passive where others use them, too.\n\n"
        "With train.shard_optimizer a rank keeps the optimiser's moments and the moving average "
        "of\n"
        "its part of the parameters only. What is learned stays the same, to the bit, and a\n"
        "checkpoint is whole: training goes on from it with or without, at any number of ranks.\n\n"
        "SIGUSR1 and SIGTERM, or train.time_limit_s, end it after the step at hand with a\n"
        "checkpoint and exit status 75; --resume auto then goes on as if nothing had been.",
    .json_keys =
        "the summary (see FILES); its figures:\n"
        "figures.step, parameters, train_samples, validation_samples: counts\n"
        "figures.loss: of the last line of metrics.jsonl, null when this run wrote none\n"
        "figures.validation_loss: of the moving average, null without validation samples\n"
        "figures.best_step, best_validation_loss: of the best validation, null before one\n"
        "figures.ended_by: train.patience, else null\n"
        "figures.skipped: steps left out as their gradient was not finite\n"
        "figures.simulated_node, nl1_mean, nl1: plans tried at the last validation: on which\n"
        "  simulated node, and normalised L1 over families and of each; null if none were\n"
        "figures.nl1_floor_mean, nl1_floor: the same of the plans that were measured: noise\n"
        "figures.examples_per_s, gflop_per_s: of this run, over all ranks\n"
        "figures.step_s, step_cpu_s: of a step of this run, on rank 0\n"
        "figures.input_wait_s: spent waiting for examples, on rank 0\n"
        "figures.in_memory: whether the corpus stayed there\n"
        "figures.resumed_from_step: null when it began afresh\n"
        "figures.checkpoint, model: files written, null if none",
    .files =
        "DIR/checkpoint-STEP.h5: everything needed to go on, every train.checkpoint_every and\n"
        "  train.milestone_every steps and at the end; the last two are kept, and those of\n"
        "  multiples of train.milestone_every. Training goes on while one is written: it takes\n"
        "  its name when it is whole, and only then the oldest goes, so there is room for\n"
        "  three beside the milestones\n"
        "DIR/model.h5: the finished model, for mimesys_generate --checkpoint\n"
        "DIR/metrics.jsonl: every train.log_every steps step, loss, norm of the gradient, rate,\n"
        "  mean_of (steps), skipped, examples_per_s, gflop_per_s, input_wait_s; at validations\n"
        "  step, validation_loss, validation_loss_without_average, best_step, and\n"
        "  simulated_node, nl1_mean, nl1 where plans were tried; wall_s since the start\n"
        "DIR/summary.json: how it ended",
    .examples = "mimesys_train --corpus corpus.h5 --out model --dry-run\n"
                "mpirun -n 2 mimesys_train --corpus corpus.h5 --out model --resume auto",
};

/* ---- what it takes -------------------------------------------------------------------------- */

static int print_dry_run(const mim_train_job *j)
{
    const mim_domain *d = j->model->domain;
    const double n = (double)j->model->params->n_values;
    const mim_train_options *o = &j->plan.options;
    char memory[MIM_BYTES_TEXT_BYTES];
    if (j->rank != 0)
        return MIM_OK;
    if (mim_args_has(j->args, "json")) {
        json_t *object = json_pack("{s:I, s:I, s:I, s:I, s:I, s:f, s:n}", "step",
                                   (json_int_t)j->model->step, "steps", (json_int_t)j->plan.n_steps,
                                   "parameters", (json_int_t)j->model->params->n_values,
                                   "train_samples", (json_int_t)j->lessons->n_train,
                                   "validation_samples", (json_int_t)j->lessons->n_validation,
                                   "step_gflop", mim_train_job_step_flop(j) * 1e-9, "checkpoint");
        const int rc = object ? mim_json_print(object, stdout) : mim_fail(MIM_ENOMEM, "JSON text");
        json_decref(object);
        return rc;
    }
    printf("corpus: %zu samples for training, %zu for validation; %zu metrics, %zu threads, %zu "
           "stressors, %zu socket%s\n",
           j->lessons->n_train, j->lessons->n_validation, d->n_metrics, d->n_threads,
           d->n_stressors, d->n_sockets, d->n_sockets == 1 ? "" : "s");
    printf("model: %.0f parameters, %s a checkpoint at most\n", n,
           mim_bytes_text(4 * 8 * n, memory));
    printf("batch: %zu examples, accumulated over %zu shards of %zu, %zu of them on a rank\n",
           o->batch, o->n_shards, o->batch / o->n_shards,
           (o->n_shards + (size_t)j->n_ranks - 1) / (size_t)j->n_ranks);
    printf("examples: %s, %s; threads %s\n", mim_bytes_text(mim_lessons_bytes(j->corpus), memory),
           j->lessons->samples ? "in memory" : "read as they are needed",
           o->permutes_threads ? "changed about within sockets" : "as they are");
    printf("training: steps %" PRIu64 " to %" PRIu64 ", %.3g GFLOP each, %.3g TFLOP in all\n",
           j->model->step, j->plan.n_steps, mim_train_job_step_flop(j) * 1e-9,
           mim_train_job_step_flop(j) * 1e-12 *
               (double)(j->plan.n_steps > j->model->step ? j->plan.n_steps - j->model->step : 0));
    printf("sbatch --ntasks=%d jobs/train.slurm", j->n_ranks);
    mim_args_print(j->args, false, stdout);
    printf("\nnothing written (dry run)\n");
    return MIM_OK;
}

/* ---- the end -------------------------------------------------------------------------------- */

static void put_counts(json_t *f, const mim_train_job *j)
{
    const struct {
        const char *name;
        size_t value;
    } counts[] = {{"step", (size_t)j->model->step},
                  {"parameters", j->model->params->n_values},
                  {"train_samples", j->lessons->n_train},
                  {"validation_samples", j->lessons->n_validation},
                  {"skipped", (size_t)j->model->course.n_skipped}};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        json_object_set_new(f, counts[i].name, json_integer((json_int_t)counts[i].value));
}

static void add_trial(json_t *f, const mim_train_job *j)
{
    json_t *tried =
        mim_train_trial_json("nl1", j->trial && !isnan(j->tried.nl1_mean) ? &j->tried : NULL);
    json_t *own = mim_train_trial_json("nl1_floor", j->trial ? &j->floor : NULL);
    json_object_set_new(f, "simulated_node",
                        j->trial ? json_string(mim_trial_node(j->trial)) : json_null());
    json_object_update(f, tried);
    json_object_update(f, own);
    json_decref(tried);
    json_decref(own);
}

static void add_figures(mim_train_job *j, const char *model)
{
    json_t *f = mim_summary_figures(j->summary);
    const double n = (double)(j->model->step - j->first_step), wall_s = mim_train_job_elapsed_s(j);
    const mim_course *c = &j->model->course;
    put_counts(f, j);
    const struct {
        const char *name;
        double value;
    } reals[] = {{"loss", j->loss},
                 {"validation_loss", j->validation_loss},
                 {"best_validation_loss", c->best_step ? c->best_loss : (double)NAN},
                 {"examples_per_s", n * (double)j->plan.options.batch / wall_s},
                 {"gflop_per_s", n * mim_train_job_step_flop(j) * 1e-9 / wall_s},
                 {"step_s", j->step_s / n},
                 {"step_cpu_s", j->step_cpu_s / n},
                 {"input_wait_s", j->feed ? mim_feed_wait_s(j->feed) : (double)NAN}};
    for (size_t i = 0; i < sizeof reals / sizeof *reals; i++)
        json_object_set_new(f, reals[i].name, mim_json_real(reals[i].value));
    json_object_set_new(f, "best_step",
                        c->best_step ? json_integer((json_int_t)c->best_step) : json_null());
    json_object_set_new(f, "ended_by",
                        mim_train_job_ran_out_of_patience(j) ? json_string("train.patience")
                                                             : json_null());
    json_object_set_new(f, "in_memory", json_boolean(j->lessons->samples != NULL));
    add_trial(f, j);
    json_object_set_new(f, "resumed_from_step",
                        j->is_resumed ? json_integer((json_int_t)j->first_step) : json_null());
    const char *checkpoint = mim_train_store_newest(j->store);
    json_object_set_new(f, "checkpoint",
                        checkpoint ? json_string(mim_basename(checkpoint)) : json_null());
    json_object_set_new(f, "model", model ? json_string(mim_basename(model)) : json_null());
}

/* The finished model: the one that training came to, or the best where it may end with that. */
static int write_model(const mim_train_job *j, const char *path)
{
    mim_model model = *j->model;
    mim_params_f params = *model.params;
    if (model.best_ema) {
        params.ema = model.best_ema;
        model.params = &params;
        model.step = model.course.best_step;
    }
    return mim_checkpoint_write(&model, true, path);
}

/* Figures that this run did not see are left out. */
static void print_done(const mim_train_job *j, const char *model)
{
    printf("done: %" PRIu64 " steps", j->model->step);
    if (!isnan(j->loss))
        printf(", loss %.5g", j->loss);
    if (!isnan(j->validation_loss))
        printf(", validation loss %.5g", j->validation_loss);
    printf("; model: %s\n", model);
}

/* Rank 0, after training: the model when it is done, the summary in any case. */
static int finish(mim_train_job *j, int trained)
{
    const char *status = trained == MIM_OK         ? "done"
                         : trained == MIM_ESTOPPED ? "stopped"
                                                   : "failed";
    char *model = mim_join_path(j->folder, "model.h5");
    char *summary = mim_join_path(j->folder, "summary.json");
    int rc = model && summary ? MIM_OK : mim_fail(MIM_ENOMEM, "file names");
    if (trained != MIM_OK && trained != MIM_ESTOPPED)
        mim_train_store_wait(j->store); /* else it was; why training failed counts */
    if (rc == MIM_OK && trained == MIM_OK)
        rc = write_model(j, model);
    if (rc == MIM_OK) {
        add_figures(j, trained == MIM_OK ? model : NULL);
        rc = mim_summary_write(j->summary, status, summary);
    }
    if (rc == MIM_OK && mim_args_has(j->args, "json"))
        rc = mim_summary_print(j->summary, status, stdout);
    else if (rc == MIM_OK && trained == MIM_OK)
        print_done(j, model);
    free(model);
    free(summary);
    return rc;
}

static int check_arguments(const mim_train_job *j)
{
    const char *corpus = mim_args_value(j->args, "corpus");
    if (!corpus || !*corpus)
        return mim_fail(MIM_EUSAGE, "expected --corpus CORPUS.h5");
    if (!j->folder || !*j->folder)
        return mim_fail(MIM_EUSAGE, "expected --out DIR");
    const char *resume = mim_args_value(j->args, "resume");
    if (resume && !*resume)
        return mim_fail(MIM_EUSAGE, "--resume is empty, expected auto, none or a file");
    return MIM_OK;
}

static int run(MPI_Comm comm, const mim_args *args, mim_log *log)
{
    mim_train_job j = {.comm = comm,
                       .args = args,
                       .config = mim_args_config(args),
                       .log = log,
                       .folder = mim_args_value(args, "out"),
                       .loss = NAN,
                       .validation_loss = NAN,
                       .tried = {.nl1_mean = NAN}};
    MPI_Comm_rank(comm, &j.rank);
    MPI_Comm_size(comm, &j.n_ranks);
    j.begin_s = MPI_Wtime();
    int rc = check_arguments(&j);
    if (rc == MIM_OK)
        rc = mim_train_plan_get(j.config, &j.plan);
    if (rc == MIM_OK)
        rc = mim_summary_create(program.name, j.plan.seed, j.n_ranks, j.config, &j.summary);
    rc = mim_agree(comm, rc);
    if (rc == MIM_OK)
        rc = mim_train_job_load(&j);
    if (rc == MIM_OK && mim_args_has(args, "dry-run")) {
        rc = mim_agree(comm, print_dry_run(&j));
        mim_train_job_clear(&j);
        return rc;
    }
    if (rc == MIM_OK)
        rc = mim_train_job_prepare(&j);
    if (rc == MIM_OK) {
        rc = mim_train_job_run(&j);
        char *why = mim_strdup(mim_error());
        const int finished = mim_agree(comm, j.rank == 0 ? finish(&j, rc) : MIM_OK);
        if (rc != MIM_OK) /* the first reason counts */
            mim_fail(rc, "%s", why ? why : "");
        else
            rc = finished;
        free(why);
    }
    mim_train_job_clear(&j);
    return rc;
}

int main(int argc, char **argv) { return mim_program_mpi_main(&program, argc, argv, run); }
