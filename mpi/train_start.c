/* mimesys_train: the corpus, and the model that training begins or goes on with. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/atomic_file.h"
#include "core/text.h"
#include "diffusion/checkpoint.h"
#include "diffusion/train_folder.h"
#include "mpi/agree.h"
#include "mpi/train_job.h"

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
static int check_resumed(const mim_train_job *j, const mim_model *m, const mim_domain *d)
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
        m->process.prediction != p->process.prediction || m->process.output != p->process.output)
        return mim_fail(MIM_EUSAGE, "it was made with schedule %s, prediction %s and output %s",
                        mim_schedule_name(m->process.schedule),
                        mim_prediction_name(m->process.prediction),
                        mim_output_name(m->process.output));
    if (m->domain->normalisation != d->normalisation)
        return mim_fail(MIM_EUSAGE, "it was made with normalisation %s",
                        mim_normalisation_name(m->domain->normalisation));
    rc = check_names("metric", d->n_metrics, d->metrics, m->domain->n_metrics, m->domain->metrics);
    if (rc == MIM_OK)
        rc = check_names("stressor", d->n_stressors, d->actions, m->domain->n_stressors,
                         m->domain->actions);
    if (rc == MIM_OK && m->corpus_hash != mim_corpus_hash(j->corpus))
        rc = mim_fail(MIM_EUSAGE, "it was trained on another corpus");
    return rc;
}

/* What a training that begins afresh would write over. */
static int check_unused(const mim_train_job *j)
{
    size_t n = 0;
    uint64_t *steps = NULL;
    int rc = mim_train_folder_steps(j->folder, &n, &steps);
    char *model = mim_join_path(j->folder, "model.h5");
    if (rc == MIM_OK && n > 0)
        rc = mim_fail(MIM_EUSAGE,
                      "%s holds the checkpoint of step %" PRIu64 ": go on with --resume auto, or "
                      "use another folder",
                      j->folder, steps[0]);
    else if (rc == MIM_OK && !model)
        rc = mim_fail(MIM_ENOMEM, "%s: file name", j->folder);
    else if (rc == MIM_OK && access(model, F_OK) == 0)
        rc = mim_fail(MIM_EUSAGE,
                      "%s: a finished model, of which no checkpoint is left to go on from: use "
                      "another folder",
                      model);
    free(model);
    free(steps);
    return rc;
}

/* Later checkpoints in the folder would be what it goes on from next time. */
static int check_latest(const mim_train_job *j)
{
    const char *resume = mim_args_value(j->args, "resume");
    size_t n = 0;
    uint64_t *steps = NULL;
    if (j->rank != 0 || !j->is_resumed || strcmp(resume, "auto") == 0)
        return MIM_OK;
    int rc = mim_train_folder_steps(j->folder, &n, &steps);
    if (rc == MIM_OK && n > 0 && steps[0] > j->model->step)
        rc = mim_fail(MIM_EUSAGE,
                      "%s holds the checkpoint of step %" PRIu64 ", later than %s: use another "
                      "folder, or move later ones away",
                      j->folder, steps[0], resume);
    free(steps);
    return rc;
}

/* Which checkpoint to go on from, the same on all ranks; "": none. Collective. */
static int choose_start(mim_train_job *j, char **path)
{
    const char *resume = mim_args_value(j->args, "resume");
    const bool is_file = resume && strcmp(resume, "none") != 0 && strcmp(resume, "auto") != 0;
    int rc = MIM_OK;
    if (j->rank == 0 && is_file)
        rc = (*path = mim_strdup(resume)) ? MIM_OK : mim_fail(MIM_ENOMEM, "file name");
    else if (j->rank == 0 && resume && strcmp(resume, "auto") == 0)
        rc = mim_train_folder_newest(j->folder, j->log, path);
    if (j->rank == 0 && rc == MIM_OK && !*path)
        rc = check_unused(j);
    if ((rc = mim_agree(j->comm, rc)) != MIM_OK)
        return rc;
    if (j->rank == 0 && !*path) /* texts are shared */
        rc = (*path = mim_strdup("")) ? MIM_OK : mim_fail(MIM_ENOMEM, "file name");
    if ((rc = mim_agree(j->comm, rc)) == MIM_OK)
        rc = mim_share_text(j->comm, 0, path);
    return rc;
}

static int make_model(mim_train_job *j, const char *path)
{
    mim_domain *domain = NULL;
    int rc = mim_domain_of_corpus(j->corpus, &domain);
    if (rc == MIM_OK)
        domain->normalisation = j->plan.normalisation;
    if (rc == MIM_OK && *path) {
        rc = mim_checkpoint_read_part(path, &j->part, &j->model);
        if (rc == MIM_OK && (rc = check_resumed(j, j->model, domain)) != MIM_OK)
            rc = mim_fail_in(rc, "%s cannot be gone on from", path);
        j->is_resumed = true;
    } else if (rc == MIM_OK) {
        rc = mim_model_create_part(&domain, &j->plan.size, &j->plan.process, j->plan.seed, &j->part,
                                   &j->model);
        if (rc == MIM_EINVAL) /* the settings do not go with the corpus */
            rc = mim_fail_in(MIM_EUSAGE, "[model]");
    }
    mim_domain_destroy(&domain);
    if (rc == MIM_OK) { /* of the corpus alone, so it is the same on all ranks and after a resume */
        mim_response_destroy(&j->model->response);
        rc = mim_response_fit(j->model->domain, &j->lessons->fit, &j->model->response);
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

int mim_train_job_load(mim_train_job *j)
{
    const char *corpus = mim_args_value(j->args, "corpus");
    const bool has_parts = j->plan.shards_optimizer;
    char *start = NULL;
    j->part = has_parts ? (mim_part){(size_t)j->rank, (size_t)j->n_ranks} : (mim_part){0, 1};
    int rc = mim_corpus_open(corpus, &j->corpus);
    if (rc == MIM_OK)
        rc = mim_lessons_read(j->corpus, &j->plan.lessons, &j->lessons);
    rc = mim_agree(j->comm, rc);
    if (rc == MIM_OK)
        rc = choose_start(j, &start);
    if (rc == MIM_OK)
        rc = mim_agree(j->comm, make_model(j, start));
    if (rc == MIM_OK)
        rc = mim_agree(j->comm, check_latest(j));
    if (rc == MIM_OK && *start && !mim_args_has(j->args, "dry-run"))
        mim_log_info(j->log, "train", "going on from %s, step %" PRIu64, start, j->model->step);
    if (rc == MIM_OK && j->model->step > j->plan.n_steps)
        mim_log_warn(j->log, "train", "%s is of step %" PRIu64 ", beyond train.steps = %" PRIu64,
                     start, j->model->step, j->plan.n_steps);
    free(start);
    return rc;
}

/* ---- what steps need ------------------------------------------------------------------------ */

/* The best model so far is rank 0's to keep. A training that ends with it needs it; where the
 * checkpoint is of a training that did not, the best is looked for anew. */
static void check_best(mim_train_job *j)
{
    mim_course *c = &j->model->course;
    const bool is_kept = j->model->best_ema != NULL, is_needed = j->plan.patience > 0;
    if (!is_needed || j->rank != 0) {
        free(j->model->best_ema);
        j->model->best_ema = NULL;
    }
    if (!is_needed || is_kept || c->best_step == 0)
        return;
    mim_log_warn(j->log, "train",
                 "the checkpoint does not hold the best model so far (step %" PRIu64
                 "): looking for one anew",
                 c->best_step);
    c->best_step = c->n_since_best = 0;
}

static void tell_parts(const mim_train_job *j)
{
    const mim_params_f *p = j->model->params;
    const size_t n_bytes = sizeof *p->moment_1 + sizeof *p->moment_2 + sizeof *p->own_ema;
    char own[MIM_BYTES_TEXT_BYTES], whole[MIM_BYTES_TEXT_BYTES];
    if (j->part.n_parts > 1)
        mim_log_info(j->log, "train",
                     "the optimiser is cut into %zu parts: moments and moving average take %s a "
                     "rank instead of %s",
                     j->part.n_parts, mim_bytes_text((double)(p->n_own * n_bytes), own),
                     mim_bytes_text((double)(p->n_values * n_bytes), whole));
}

/* What this rank's shards are made of. */
static int make_feed(mim_train_job *j)
{
    const mim_train_options *o = &j->plan.options;
    mim_feed_options feed = {
        .n_batch = o->batch, .n_shards = o->n_shards, .n_ahead = j->plan.n_ahead};
    mim_lessons *l = j->lessons;
    mim_share_of(o->n_shards, j->rank, j->n_ranks, &feed.first, &feed.count);
    j->plan.options.n_lanes = mim_train_n_lanes(feed.count);
    if (!l->samples)
        return mim_feed_of_corpus(&feed, j->order, mim_corpus_layout(j->corpus), l->train_rows,
                                  l->rows, &j->feed);
    j->train = mim_examples_of_samples(l->samples);
    j->train.n = l->n_train;
    j->train.rows = l->train_rows;
    return mim_feed_of_examples(&feed, j->order, &j->train, &j->feed);
}

static int make_trainer(mim_train_job *j)
{
    int rc = mim_lessons_order(j->lessons, j->model->domain, &j->plan.weighting, j->model->seed,
                               &j->order);
    if (rc == MIM_OK)
        rc = make_feed(j);
    if (rc == MIM_OK && (rc = mim_trainer_create_fed(&j->plan.options, j->model, j->feed,
                                                     &j->trainer)) == MIM_EINVAL)
        rc = mim_fail_in(MIM_EUSAGE, "[examples]"); /* the settings do not go with the corpus */
    if (rc == MIM_OK)
        rc = mim_trial_create(j->model, &j->lessons->validation, j->plan.n_trials, &j->plan.trial,
                              mim_corpus_layout(j->corpus)->slot_s, &j->trial);
    return rc;
}

static int tell_early_stop(int rc)
{
    if (rc != MIM_ESTOPPED)
        return rc;
    return mim_fail(rc, "stopped before a step was made: this start saved nothing, run it again as "
                        "it was");
}

int mim_train_job_prepare(mim_train_job *j)
{
    int rc = MIM_OK;
    if ((size_t)j->n_ranks > j->plan.options.n_shards)
        mim_log_warn(j->log, "train", "%d ranks for %zu shards: some have nothing to do",
                     j->n_ranks, j->plan.options.n_shards);
    if (mim_gemm_precision(NULL, j->plan.options.precision) != j->plan.options.precision)
        mim_log_info(j->log, "train", "products run in f32, in which this processor is faster");
    if (j->plan.patience > 0 && j->lessons->validation.n == 0)
        rc = mim_fail(MIM_EUSAGE, "train.patience: the corpus has no samples for validation");
    if (rc == MIM_OK)
        rc = make_trainer(j);
    if ((rc = mim_agree(j->comm, rc)) != MIM_OK)
        return tell_early_stop(rc);
    if (j->rank == 0)
        rc = mim_make_folder(j->folder);
    if (rc == MIM_OK && j->rank == 0)
        rc = mim_train_store_create(j->folder, j->plan.milestone_every, &j->store);
    if (rc == MIM_OK && j->rank == 0)
        rc = mim_train_folder_check(j->folder);
    if (rc == MIM_OK && j->rank == 0)
        rc = mim_train_folder_cut_log(j->folder, j->model->step);
    if ((rc = mim_agree(j->comm, rc)) != MIM_OK)
        return rc;
    check_best(j);
    tell_parts(j);
    if (j->trial) {
        mim_log_info(j->log, "train", "plans are tried on node=%s, where nothing runs",
                     mim_trial_node(j->trial));
        rc = mim_train_mpi_try(j->comm, j->trial, j->model->domain, true, &j->floor);
        if (rc != MIM_OK)
            return tell_early_stop(rc);
    }
    return mim_train_mpi_create(j->comm, j->trainer, j->plan.options.n_shards, j->plan.bucket_bytes,
                                &j->parallel);
}

void mim_train_job_clear(mim_train_job *j)
{
    mim_train_mpi_destroy(&j->parallel);
    mim_trial_destroy(&j->trial);
    mim_trainer_destroy(&j->trainer);
    mim_feed_destroy(&j->feed);
    mim_order_destroy(&j->order);
    mim_model_destroy(&j->model);
    mim_lessons_destroy(&j->lessons);
    mim_corpus_destroy(&j->corpus);
    mim_summary_destroy(&j->summary);
    mim_train_store_destroy(&j->store);
}
