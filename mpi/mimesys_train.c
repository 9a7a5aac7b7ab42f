/* mimesys_train: supervised training of a diffusion model on a corpus, data parallel. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/atomic_file.h"
#include "core/fault.h"
#include "core/signals.h"
#include "core/summary.h"
#include "core/text.h"
#include "diffusion/checkpoint.h"
#include "diffusion/train_folder.h"
#include "diffusion/train_settings.h"
#include "mpi/agree.h"
#include "mpi/program_mpi.h"
#include "mpi/train_mpi.h"

static const mim_option *const tables[] = {mim_model_settings, mim_train_settings, NULL};

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
        "Run it under mpirun or srun: ranks share out the shards of each batch. The result "
        "depends\n"
        "on the seed and the settings, and not on the number of ranks, up to the rounding of sums\n"
        "in double precision. Set OMP_NUM_THREADS to the cores of a rank, which\n"
        "changes nothing but the time, and OMP_WAIT_POLICY=passive where others use them, too.\n\n"
        "SIGUSR1 and SIGTERM, or train.time_limit_s, end it after the step at hand with a\n"
        "checkpoint and exit status 75; --resume auto then goes on as if nothing had been.",
    .json_keys = "the summary (see FILES); its figures:\n"
                 "figures.step, parameters, train_samples, validation_samples: counts\n"
                 "figures.loss: mean over the last lines of metrics.jsonl, null before the first\n"
                 "figures.validation_loss: of the moving average, null without validation samples\n"
                 "figures.examples_per_s, gflop_per_s: of this run, over all ranks\n"
                 "figures.resumed_from_step: null when it began afresh\n"
                 "figures.checkpoint, model: files written, null if none",
    .files = "DIR/checkpoint-STEP.h5: everything needed to go on; the last two are kept\n"
             "DIR/model.h5: the finished model, for mimesys_generate --checkpoint\n"
             "DIR/metrics.jsonl: step, loss, norm of the gradient, rate, validation_loss\n"
             "DIR/summary.json: how it ended",
    .examples = "mimesys_train --corpus corpus.h5 --out model --dry-run\n"
                "mpirun -n 2 mimesys_train --corpus corpus.h5 --out model --resume auto",
};

typedef struct job {
    MPI_Comm comm;
    int rank, n_ranks;
    const mim_args *args;
    const mim_config *config;
    mim_log *log;
    const char *folder;
    mim_train_plan plan;
    mim_corpus *corpus;
    mim_lessons *lessons;
    mim_model *model;
    mim_trainer *trainer;
    mim_train_mpi *parallel;
    mim_summary *summary;
    double begin_s;
    uint64_t first_step; /* of this run */
    bool is_resumed;
    double loss_sum, norm_sum; /* since the last line */
    uint64_t n_summed;
    double loss, validation_loss; /* last known, else NaN */
    char *checkpoint;             /* last written */
} job;

/* ---- the model at the start ----------------------------------------------------------------- */

static int check_names(const char *what, size_t n, char *const *expected, size_t n_found,
                       char *const *found)
{
    if (n != n_found)
        return mim_fail(MIM_EUSAGE, "it has %zu %ss, the corpus %zu", n_found, what, n);
    for (size_t i = 0; i < n; i++)
        if (strcmp(expected[i], found[i]) != 0)
            return mim_fail(MIM_EUSAGE, "its %s %zu is %s, the corpus's %s", what, i, found[i],
                            expected[i]);
    return MIM_OK;
}

/* What follows from the corpus is compared by names, later. */
static int check_network(const mim_architecture *stored, const mim_train_plan *plan)
{
    mim_architecture wanted = plan->size;
    wanted.n_stressors = stored->n_stressors;
    wanted.n_threads = stored->n_threads;
    wanted.n_node_metrics = stored->n_node_metrics;
    wanted.n_sockets = stored->n_sockets;
    const size_t field = mim_architecture_difference(stored, &wanted);
    if (field == SIZE_MAX)
        return MIM_OK;
    char was[MIM_ARCHITECTURE_TEXT_BYTES], is[MIM_ARCHITECTURE_TEXT_BYTES];
    mim_architecture_text(stored, field, was);
    mim_architecture_text(&wanted, field, is);
    return mim_fail(MIM_EUSAGE, "it was made with model.%s = %s, the settings say %s",
                    mim_architecture_field(field), was, is);
}

/* A checkpoint goes on only as what it was. */
static int check_resumed(const job *j, const mim_model *m, const mim_domain *d)
{
    const mim_train_plan *p = &j->plan;
    const struct {
        const char *what;
        uint64_t stored, wanted;
    } parts[] = {{"model.timesteps", m->process.n_timesteps, p->process.n_timesteps},
                 {"train.seed", m->seed, p->seed}};
    int rc = check_network(&m->architecture, p);
    for (size_t i = 0; rc == MIM_OK && i < sizeof parts / sizeof *parts; i++)
        if (parts[i].stored != parts[i].wanted)
            rc =
                mim_fail(MIM_EUSAGE, "it was made with %s = %" PRIu64 ", the settings say %" PRIu64,
                         parts[i].what, parts[i].stored, parts[i].wanted);
    if (rc != MIM_OK)
        return rc;
    if (m->process.schedule != p->process.schedule ||
        m->process.prediction != p->process.prediction)
        return mim_fail(MIM_EUSAGE, "it was made with schedule %s and prediction %s",
                        mim_schedule_name(m->process.schedule),
                        mim_prediction_name(m->process.prediction));
    rc = check_names("metric", d->n_metrics, d->metrics, m->domain->n_metrics, m->domain->metrics);
    if (rc == MIM_OK)
        rc = check_names("stressor", d->n_stressors, d->actions, m->domain->n_stressors,
                         m->domain->actions);
    if (rc == MIM_OK && m->corpus_hash != mim_corpus_hash(j->corpus))
        rc = mim_fail(MIM_EUSAGE, "it was trained on another corpus");
    return rc;
}

/* Which checkpoint to go on from, the same on all ranks; NULL: none. Collective. */
static int choose_start(job *j, char **path)
{
    const char *resume = mim_args_value(j->args, "resume");
    const bool is_auto = resume && strcmp(resume, "auto") == 0;
    int rc = MIM_OK;
    size_t n = 0;
    uint64_t *steps = NULL;
    if (j->rank == 0 && is_auto)
        rc = mim_train_folder_newest(j->folder, j->log, path);
    else if (j->rank == 0 && resume && strcmp(resume, "none") != 0)
        rc = (*path = mim_strdup(resume)) ? MIM_OK : mim_fail(MIM_ENOMEM, "file name");
    else if (j->rank == 0 && (rc = mim_train_folder_steps(j->folder, &n, &steps)) == MIM_OK &&
             n > 0)
        rc = mim_fail(MIM_EUSAGE,
                      "%s holds the checkpoint of step %" PRIu64 ": go on with --resume auto, or "
                      "use another folder",
                      j->folder, steps[0]);
    free(steps);
    if ((rc = mim_agree(j->comm, rc)) != MIM_OK)
        return rc;
    if (j->rank == 0 && !*path) /* texts are shared, so "" stands for none */
        rc = (*path = mim_strdup("")) ? MIM_OK : mim_fail(MIM_ENOMEM, "file name");
    if ((rc = mim_agree(j->comm, rc)) == MIM_OK)
        rc = mim_share_text(j->comm, 0, path);
    return rc;
}

static int make_model(job *j, const char *path)
{
    mim_domain *domain = NULL;
    int rc = mim_domain_of_corpus(j->corpus, &domain);
    if (rc == MIM_OK && *path) {
        rc = mim_checkpoint_read(path, true, &j->model);
        if (rc == MIM_OK && (rc = check_resumed(j, j->model, domain)) != MIM_OK)
            rc = mim_fail_in(rc, "%s cannot be gone on from", path);
        j->is_resumed = true;
    } else if (rc == MIM_OK) {
        rc = mim_model_create(&domain, &j->plan.size, &j->plan.process, j->plan.seed, &j->model);
        if (rc == MIM_EINVAL) /* the settings do not go with the corpus */
            rc = mim_fail_in(MIM_EUSAGE, "[model]");
    }
    mim_domain_destroy(&domain);
    if (rc == MIM_OK) { /* of the corpus alone, so it is the same on all ranks and after a resume */
        mim_response_destroy(&j->model->response);
        rc = mim_response_fit(j->model->domain, &j->lessons->train, &j->model->response);
    }
    if (rc != MIM_OK)
        return rc;
    char *ini = mim_config_text_ini(j->config);
    if (!ini)
        return mim_fail(MIM_ENOMEM, "configuration text");
    free(j->model->config);
    j->model->config = ini;
    j->model->corpus_hash = mim_corpus_hash(j->corpus);
    j->first_step = j->model->step;
    return MIM_OK;
}

static int load(job *j)
{
    const char *corpus = mim_args_value(j->args, "corpus");
    char *start = NULL;
    int rc = mim_corpus_open(corpus, &j->corpus);
    if (rc == MIM_OK && (rc = mim_lessons_read(j->corpus, &j->lessons)) != MIM_OK)
        rc = mim_fail_in(rc, "%s", corpus);
    rc = mim_agree(j->comm, rc);
    if (rc == MIM_OK)
        rc = choose_start(j, &start);
    if (rc == MIM_OK)
        rc = mim_agree(j->comm, make_model(j, start));
    if (rc == MIM_OK && *start && !mim_args_has(j->args, "dry-run"))
        mim_log_info(j->log, "train", "going on from %s, step %" PRIu64, start, j->model->step);
    free(start);
    return rc;
}

/* ---- what it takes -------------------------------------------------------------------------- */

/* Forward and backward of a step's whole batch. */
static double step_flop(const job *j)
{
    return 3 * mim_network_flop(&j->model->architecture, j->plan.options.batch,
                                j->model->domain->n_threads);
}

static int print_dry_run(const job *j)
{
    const mim_domain *d = j->model->domain;
    const double n = (double)j->model->params->n_values;
    char memory[MIM_BYTES_TEXT_BYTES];
    if (j->rank != 0)
        return MIM_OK;
    if (mim_args_has(j->args, "json")) {
        json_t *object = json_pack(
            "{s:I, s:I, s:I, s:I, s:I, s:f, s:n}", "step", (json_int_t)j->model->step, "steps",
            (json_int_t)j->plan.n_steps, "parameters", (json_int_t)j->model->params->n_values,
            "train_samples", (json_int_t)j->lessons->train.n, "validation_samples",
            (json_int_t)j->lessons->validation.n, "step_gflop", step_flop(j) * 1e-9, "checkpoint");
        const int rc = object ? mim_json_print(object, stdout) : mim_fail(MIM_ENOMEM, "JSON text");
        json_decref(object);
        return rc;
    }
    printf("corpus: %zu samples for training, %zu for validation; %zu metrics, %zu threads, %zu "
           "stressors, %zu socket%s\n",
           j->lessons->train.n, j->lessons->validation.n, d->n_metrics, d->n_threads,
           d->n_stressors, d->n_sockets, d->n_sockets == 1 ? "" : "s");
    printf("model: %.0f parameters, %s a checkpoint at most\n", n,
           mim_bytes_text(4 * 8 * n, memory));
    printf("training: steps %" PRIu64 " to %" PRIu64 ", %.3g GFLOP each, %.3g TFLOP in all\n",
           j->model->step, j->plan.n_steps, step_flop(j) * 1e-9,
           step_flop(j) * 1e-12 *
               (double)(j->plan.n_steps > j->model->step ? j->plan.n_steps - j->model->step : 0));
    printf("sbatch --ntasks=%d jobs/train.slurm --corpus %s --out %s\n", j->n_ranks,
           mim_args_value(j->args, "corpus"), j->folder);
    printf("nothing written (dry run)\n");
    return MIM_OK;
}

/* ---- training ------------------------------------------------------------------------------- */

static double elapsed_s(const job *j) { return MPI_Wtime() - j->begin_s; }

/* Rank 0 writes; an error is told to all at the next step. */
static int log_training(job *j)
{
    j->loss = j->loss_sum / (double)j->n_summed;
    json_t *line =
        json_pack("{s:I, s:o, s:o, s:o, s:I, s:o}", "step", (json_int_t)j->model->step, "loss",
                  mim_json_real(j->loss), "norm", mim_json_real(j->norm_sum / (double)j->n_summed),
                  "rate", mim_json_real(mim_lr_at(&j->plan.options.rate, j->model->step - 1)),
                  "mean_of", (json_int_t)j->n_summed, "wall_s", mim_json_real(elapsed_s(j)));
    j->loss_sum = j->norm_sum = 0;
    j->n_summed = 0;
    if (j->rank != 0) {
        json_decref(line);
        return MIM_OK;
    }
    return mim_train_folder_log(j->folder, line);
}

/* Collective. */
static int validate(job *j)
{
    const double live =
        mim_train_mpi_validate(j->parallel, &j->lessons->validation, j->plan.validate_draws, false);
    j->validation_loss =
        mim_train_mpi_validate(j->parallel, &j->lessons->validation, j->plan.validate_draws, true);
    if (j->rank != 0 || j->lessons->validation.n == 0)
        return MIM_OK;
    mim_log_info(j->log, "train", "step=%" PRIu64 " loss=%.5g validation_loss=%.5g", j->model->step,
                 j->loss, j->validation_loss);
    return mim_train_folder_log(
        j->folder,
        json_pack("{s:I, s:o, s:o, s:o}", "step", (json_int_t)j->model->step, "validation_loss",
                  mim_json_real(j->validation_loss), "validation_loss_without_average",
                  mim_json_real(live), "wall_s", mim_json_real(elapsed_s(j))));
}

/* Collective. */
static int store(job *j)
{
    int rc = mim_train_mpi_check_same(j->parallel, j->model);
    if (rc == MIM_OK && j->rank == 0)
        rc = mim_train_folder_store(j->folder, j->model);
    if ((rc = mim_agree(j->comm, rc)) != MIM_OK)
        return rc;
    free(j->checkpoint);
    j->checkpoint = mim_train_folder_checkpoint(j->folder, j->model->step);
    return MIM_OK;
}

/* What is due after a step. Collective where all ranks come to the same conclusion. */
static int after_step(job *j)
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
    if (local == MIM_OK && (step % j->plan.checkpoint_every == 0 || is_last))
        local = store(j);
    return local;
}

static bool is_due(const job *j)
{
    const uint64_t step = j->model->step;
    return step % j->plan.log_every == 0 || step % j->plan.validate_every == 0 ||
           step % j->plan.checkpoint_every == 0 || step == j->plan.n_steps;
}

static int train(job *j)
{
    mim_progress *progress = NULL;
    bool is_stopped = false;
    int rc = mim_agree(
        j->comm, mim_progress_create(j->log, "training", (size_t)j->plan.n_steps, 30, &progress));
    while (rc == MIM_OK && !is_stopped && j->model->step < j->plan.n_steps) {
        double loss = 0, norm = 0;
        const bool wishes = mim_signals_stop() != 0 ||
                            (j->plan.time_limit_s > 0 && elapsed_s(j) > j->plan.time_limit_s);
        rc = mim_train_mpi_step(j->parallel, mim_fault("training step"), wishes, &loss, &norm,
                                &is_stopped);
        j->loss_sum += loss;
        j->norm_sum += norm;
        j->n_summed++;
        if (rc == MIM_OK && is_due(j))
            rc = after_step(j);
        mim_progress_step(progress, (size_t)j->model->step);
    }
    mim_progress_destroy(&progress);
    const bool is_done = j->model->step >= j->plan.n_steps;
    if (rc == MIM_OK && is_done && j->model->step == j->first_step) /* nothing was left to do */
        j->validation_loss = mim_train_mpi_validate(j->parallel, &j->lessons->validation,
                                                    j->plan.validate_draws, true);
    if (rc == MIM_OK && !is_done && j->model->step > j->first_step)
        rc = store(j);
    if (rc == MIM_OK && !is_done)
        rc = mim_fail(MIM_ESTOPPED,
                      "stopped after step %" PRIu64 " of %" PRIu64
                      ": go on with --resume auto; the checkpoint is in %s",
                      j->model->step, j->plan.n_steps, j->folder);
    return rc;
}

/* ---- the end -------------------------------------------------------------------------------- */

static void add_figures(job *j, const char *model)
{
    json_t *f = mim_summary_figures(j->summary);
    const double n_steps = (double)(j->model->step - j->first_step), wall_s = elapsed_s(j);
    json_object_set_new(f, "step", json_integer((json_int_t)j->model->step));
    json_object_set_new(f, "parameters", json_integer((json_int_t)j->model->params->n_values));
    json_object_set_new(f, "train_samples", json_integer((json_int_t)j->lessons->train.n));
    json_object_set_new(f, "validation_samples",
                        json_integer((json_int_t)j->lessons->validation.n));
    json_object_set_new(f, "loss", mim_json_real(j->loss));
    json_object_set_new(f, "validation_loss", mim_json_real(j->validation_loss));
    json_object_set_new(f, "examples_per_s",
                        mim_json_real(n_steps * (double)j->plan.options.batch / wall_s));
    json_object_set_new(f, "gflop_per_s", mim_json_real(n_steps * step_flop(j) * 1e-9 / wall_s));
    json_object_set_new(f, "resumed_from_step",
                        j->is_resumed ? json_integer((json_int_t)j->first_step) : json_null());
    json_object_set_new(f, "checkpoint",
                        j->checkpoint ? json_string(mim_basename(j->checkpoint)) : json_null());
    json_object_set_new(f, "model", model ? json_string(mim_basename(model)) : json_null());
}

/* Rank 0, after training: the model when it is done, the summary in any case. */
static int finish(job *j, int trained)
{
    const char *status = trained == MIM_OK         ? "done"
                         : trained == MIM_ESTOPPED ? "stopped"
                                                   : "failed";
    char *model = mim_join_path(j->folder, "model.h5");
    char *summary = mim_join_path(j->folder, "summary.json");
    int rc = model && summary ? MIM_OK : mim_fail(MIM_ENOMEM, "file names");
    if (rc == MIM_OK && trained == MIM_OK)
        rc = mim_checkpoint_write(j->model, true, model);
    if (rc == MIM_OK) {
        add_figures(j, trained == MIM_OK ? model : NULL);
        rc = mim_summary_write(j->summary, status, summary);
    }
    if (rc == MIM_OK && mim_args_has(j->args, "json"))
        rc = mim_summary_print(j->summary, status, stdout);
    else if (rc == MIM_OK && trained == MIM_OK)
        printf("done: %" PRIu64 " steps, loss %.5g, validation loss %.5g; model: %s\n",
               j->model->step, j->loss, j->validation_loss, model);
    free(model);
    free(summary);
    return rc;
}

static int check_arguments(const job *j)
{
    const char *corpus = mim_args_value(j->args, "corpus");
    if (!corpus || !*corpus)
        return mim_fail(MIM_EUSAGE, "expected --corpus CORPUS.h5");
    if (!j->folder || !*j->folder)
        return mim_fail(MIM_EUSAGE, "expected --out DIR");
    return MIM_OK;
}

static int prepare(job *j)
{
    int rc = MIM_OK;
    if ((size_t)j->n_ranks > j->plan.options.n_shards)
        mim_log_warn(j->log, "train", "%d ranks for %zu shards: some have nothing to do",
                     j->n_ranks, j->plan.options.n_shards);
    if (j->rank == 0)
        rc = mim_make_folder(j->folder);
    if (rc == MIM_OK && j->rank == 0)
        rc = mim_train_folder_cut_log(j->folder, j->model->step);
    if (rc == MIM_OK)
        rc = mim_trainer_create(&j->plan.options, j->model, &j->lessons->train, &j->trainer);
    rc = mim_agree(j->comm, rc);
    return rc == MIM_OK
               ? mim_train_mpi_create(j->comm, j->trainer, j->plan.options.n_shards, &j->parallel)
               : rc;
}

static void job_clear(job *j)
{
    mim_train_mpi_destroy(&j->parallel);
    mim_trainer_destroy(&j->trainer);
    mim_model_destroy(&j->model);
    mim_lessons_destroy(&j->lessons);
    mim_corpus_destroy(&j->corpus);
    mim_summary_destroy(&j->summary);
    free(j->checkpoint);
}

static int run(MPI_Comm comm, const mim_args *args, mim_log *log)
{
    job j = {.comm = comm,
             .args = args,
             .config = mim_args_config(args),
             .log = log,
             .folder = mim_args_value(args, "out"),
             .loss = NAN,
             .validation_loss = NAN};
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
        rc = load(&j);
    if (rc == MIM_OK && mim_args_has(args, "dry-run")) {
        rc = mim_agree(comm, print_dry_run(&j));
        job_clear(&j);
        return rc;
    }
    if (rc == MIM_OK)
        rc = prepare(&j);
    if (rc == MIM_OK) {
        rc = train(&j);
        char *why = mim_strdup(mim_error());
        const int finished = mim_agree(comm, j.rank == 0 ? finish(&j, rc) : MIM_OK);
        if (rc != MIM_OK) /* the first reason counts */
            mim_fail(rc, "%s", why ? why : "");
        else
            rc = finished;
        free(why);
    }
    job_clear(&j);
    return rc;
}

int main(int argc, char **argv) { return mim_program_mpi_main(&program, argc, argv, run); }
