/* mpi/train_mpi: any number of ranks trains what one would. */
#include "tests/support/mpi_test.h"

#include <malloc.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/atomic_file.h"
#include "core/h5.h"
#include "diffusion/checkpoint.h"
#include "mpi/agree.h"
#include "mpi/train_mpi.h"
#include "mpi/train_trial.h"
#include "tests/support/simulated_lessons.h"
#include "tests/support/toy.h"

enum { N_STEPS = 30 };

static toy data;

/* 30 steps on all ranks; each rank has taken them alone, too. Stated rounding: 1e-6 of the largest
 * parameter (in the first steps usually none). */
static int agree_with(MPI_Comm comm, size_t bucket_bytes)
{
    mim_model *alone = toy_model(6, MIM_PREDICT_V), *together = toy_model(6, MIM_PREDICT_V);
    mim_train_options options = toy_options();
    mim_trainer *single = NULL, *shared = NULL;
    mim_train_mpi *job = NULL;
    double worst = 0, largest = 0;
    toy_fill(&data, 100);
    mpi_check(comm, alone && together);
    mpi_check(comm, mim_trainer_create(&options, alone, &data.examples, &single) == MIM_OK);
    mpi_check(comm, mim_trainer_create(&options, together, &data.examples, &shared) == MIM_OK);
    mpi_check(comm,
              mim_train_mpi_create(comm, shared, options.n_shards, bucket_bytes, &job) == MIM_OK);
    for (int i = 0; i < N_STEPS; i++) {
        double loss = 0, norm = 0, wanted_loss = 0, wanted_norm = 0;
        bool is_wished = true;
        mpi_check(comm, mim_trainer_step(single, &wanted_loss, &wanted_norm) == MIM_OK);
        mpi_check(comm, mim_train_mpi_step(job, MIM_OK, false, &loss, &norm, &is_wished) == MIM_OK);
        mpi_check(comm, !is_wished);
        mpi_check(comm, fabs(loss - wanted_loss) <= 1e-6 * wanted_loss);
        mpi_check(comm, fabs(norm - wanted_norm) <= 1e-5 * wanted_norm);
    }
    for (size_t i = 0; i < alone->params->n_values; i++) {
        worst = fmax(worst,
                     fabs((double)alone->params->values[i] - (double)together->params->values[i]));
        largest = fmax(largest, fabs((double)alone->params->values[i]));
    }
    mpi_check(comm, worst <= 1e-6 * largest);
    mpi_check(comm, mim_train_mpi_check_same(job, together) == MIM_OK);
    const double by_all = mim_train_mpi_validate(job, &data.examples, 3, true);
    const double by_one = mim_trainer_validate(single, &data.examples, 0, 100, 3, true) / 100;
    mpi_check(comm, fabs(by_all - by_one) <= 1e-5 * by_one);
    mim_examples none = data.examples;
    none.n = 0;
    mpi_check(comm, isnan(mim_train_mpi_validate(job, &none, 3, true)));
    mim_train_mpi_destroy(&job);
    mim_trainer_destroy(&single);
    mim_trainer_destroy(&shared);
    mim_model_destroy(&alone);
    mim_model_destroy(&together);
    return 0;
}

/* In one bucket, in some, and in as many as there may be. */
static int ranks_agree(MPI_Comm comm)
{
    return agree_with(comm, 0) || agree_with(comm, 4096) || agree_with(comm, 8);
}

/* Ranks with shards begin to sum up while they compute, whatever the network; those without have
 * nothing to begin with early. */
static int sums_begin_early(MPI_Comm comm)
{
    mim_train_options options = toy_options();
    int rank = 0, n_ranks = 0;
    options.n_lanes = 1; /* of several, one may be behind until the end */
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &n_ranks);
    toy_fill(&data, 100);
    for (size_t k = 0; k < MIM_N_NETWORKS; k++) {
        mim_model *model = toy_model_of(&toy_networks[k], 6, MIM_PREDICT_V);
        mim_trainer *trainer = NULL;
        mim_train_mpi *job = NULL;
        double loss, norm;
        bool is_wished;
        mpi_check(comm, model != NULL);
        mpi_check(comm, mim_trainer_create(&options, model, &data.examples, &trainer) == MIM_OK);
        const size_t n = mim_trainer_n_values(trainer), n_bytes = n * sizeof(double) / 20;
        const size_t n_bucket = mim_train_mpi_n_bucket(n, n_bytes);
        const size_t n_buckets = (n + n_bucket - 1) / n_bucket;
        mpi_check(comm,
                  mim_train_mpi_create(comm, trainer, options.n_shards, n_bytes, &job) == MIM_OK);
        mpi_check(comm, mim_train_mpi_n_early(job) == 0);
        mpi_check(comm, mim_train_mpi_step(job, MIM_OK, false, &loss, &norm, &is_wished) == MIM_OK);
        const size_t n_early = mim_train_mpi_n_early(job);
        mpi_check(comm,
                  n_ranks == 1 ? n_early == 0 : 3 * n_early > 2 * n_buckets && n_early < n_buckets);
        const int local = rank == 0 ? mim_fail(MIM_EIO, "no disk") : MIM_OK;
        mpi_check(comm, mim_train_mpi_step(job, local, false, &loss, &norm, &is_wished) == MIM_EIO);
        mpi_check(comm, rank != 0 || mim_train_mpi_n_early(job) == 0);
        mim_train_mpi_destroy(&job);
        mim_trainer_destroy(&trainer);
        mim_model_destroy(&model);
    }
    return 0;
}

/* As long as asked for, but never too many of them, nor more in one than MPI counts. */
static int buckets_are_cut(MPI_Comm comm)
{
    static const struct {
        size_t n_values, bucket_bytes, wanted;
    } cases[] = {{1000, 0, 1000},
                 {1000, 4096, 512},
                 {1000, 8, 16}, /* 63 of them */
                 {1000, 7, 16},
                 {64, 8, 1},
                 {65, 8, 2},
                 {100, 1 << 20, 131072}, /* one, not full */
                 {(size_t)1 << 33, 0, 2147483647}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        mpi_check(comm, mim_train_mpi_n_bucket(cases[i].n_values, cases[i].bucket_bytes) ==
                            cases[i].wanted);
    return 0;
}

/* A training of the toy: `from` is a checkpoint, NULL = afresh. */
typedef struct training {
    mim_model *model;
    mim_trainer *trainer;
    mim_train_mpi *job;
} training;

static void end(training *t)
{
    mim_train_mpi_destroy(&t->job);
    mim_trainer_destroy(&t->trainer);
    mim_model_destroy(&t->model);
}

static int make(MPI_Comm comm, bool in_parts, const char *from, training *t)
{
    const mim_train_options options = toy_options();
    int rank = 0, n_ranks = 0, rc = MIM_OK;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &n_ranks);
    const mim_part part = in_parts ? (mim_part){(size_t)rank, (size_t)n_ranks} : (mim_part){0, 1};
    if (from)
        rc = mim_checkpoint_read_part(from, &part, &t->model);
    else if (!(t->model = toy_model(6, MIM_PREDICT_V)))
        rc = MIM_ENOMEM;
    else
        rc = mim_params_keep_part_f(&part, t->model->params);
    toy_fill(&data, 100);
    if (rc == MIM_OK)
        rc = mim_trainer_create(&options, t->model, &data.examples, &t->trainer);
    return mim_agree(comm, rc);
}

/* Collective; true on all ranks or on none. */
static bool begin(MPI_Comm comm, bool in_parts, const char *from, training *t)
{
    return make(comm, in_parts, from, t) == MIM_OK &&
           mim_train_mpi_create(comm, t->trainer, toy_options().n_shards, 512, &t->job) == MIM_OK;
}

/* The wish of one is known to all, and so is its failure, which costs no step. */
static int one_stops_all_of(MPI_Comm comm, bool in_parts)
{
    int rank = 0, n_ranks = 0;
    training t = {0};
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &n_ranks);
    mpi_check(comm, begin(comm, in_parts, NULL, &t));
    for (int who = 0; who < n_ranks; who++) {
        double loss, norm;
        bool is_wished = false;
        mpi_check(comm, mim_train_mpi_step(t.job, MIM_OK, rank == who, &loss, &norm, &is_wished) ==
                            MIM_OK);
        mpi_check(comm, is_wished);
        mpi_check(comm, t.model->step == (uint64_t)who + 1);
        const int local = rank == who ? mim_fail(MIM_EIO, "rank %d has no disk", who) : MIM_OK;
        char wanted[64];
        snprintf(wanted, sizeof wanted, "rank %d has no disk", who);
        mpi_check(comm,
                  mim_train_mpi_step(t.job, local, false, &loss, &norm, &is_wished) == MIM_EIO);
        mpi_check(comm, strcmp(mim_error(), wanted) == 0);
        mpi_check(comm, t.model->step == (uint64_t)who + 1);
    }
    end(&t);
    return 0;
}

static int one_stops_all(MPI_Comm comm)
{
    return one_stops_all_of(comm, false) || one_stops_all_of(comm, true);
}

/* A rank whose model has drifted by one bit is found. */
static int drift_of_is_found(MPI_Comm comm, bool in_parts)
{
    int rank = 0, n_ranks = 0;
    training t = {0};
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &n_ranks);
    mpi_check(comm, begin(comm, in_parts, NULL, &t));
    if (rank == n_ranks - 1)
        t.model->params->values[7] = nextafterf(t.model->params->values[7], 1);
    const int expected = n_ranks > 1 ? MIM_ECHECK : MIM_OK;
    mpi_check(comm, mim_train_mpi_check_same(t.job, t.model) == expected);
    end(&t);
    return 0;
}

static int drift_is_found(MPI_Comm comm)
{
    return drift_of_is_found(comm, false) || drift_of_is_found(comm, true);
}

/* ---- each rank updates a part of the parameters --------------------------------------------- */

/* Collective: of both trainings the same bytes would be written now. */
static bool write_the_same(MPI_Comm comm, training *a, training *b)
{
    mim_whole_model wholes[2];
    void *images[2] = {NULL};
    size_t n_bytes[2] = {0};
    int rank = 0, is_same = 1;
    MPI_Comm_rank(comm, &rank);
    mim_train_mpi_gather(a->job, a->model, &wholes[0]);
    mim_train_mpi_gather(b->job, b->model, &wholes[1]);
    for (int i = 0; rank == 0 && i < 2; i++)
        is_same = is_same && mim_checkpoint_image(&wholes[i].model, false, "image", &images[i],
                                                  &n_bytes[i]) == MIM_OK;
    if (rank == 0)
        is_same =
            is_same && n_bytes[0] == n_bytes[1] && memcmp(images[0], images[1], n_bytes[0]) == 0;
    for (int i = 0; i < 2; i++)
        if (images[i])
            mim_h5_release_image(images[i], n_bytes[i]);
    MPI_Bcast(&is_same, 1, MPI_INT, 0, comm);
    return is_same;
}

typedef struct outcome {
    double loss, norm;
} outcome;

/* With `spoils` the step's gradient is not finite, so it is left out. */
static int step(training *t, bool spoils, outcome *o)
{
    float *value = &t->model->params->values[3];
    const float before = *value;
    bool is_wished;
    if (spoils)
        *value = NAN;
    const int rc = mim_train_mpi_step(t->job, MIM_OK, false, &o->loss, &o->norm, &is_wished);
    if (spoils)
        *value = before;
    return rc;
}

/* To the bit what ranks with whole parameters come to, whatever is gathered in between. */
static int parts_come_to_the_same(MPI_Comm comm)
{
    training whole = {0}, parts = {0};
    mpi_check(comm, begin(comm, false, NULL, &whole));
    mpi_check(comm, begin(comm, true, NULL, &parts));
    const mim_params_f *w = whole.model->params, *p = parts.model->params;
    const size_t n_bytes = w->n_values * sizeof *w->values;
    for (int i = 0; i < N_STEPS; i++) {
        outcome a = {0, 0}, b = {0, 0};
        mpi_check(comm, step(&whole, i == 7, &a) == MIM_OK);
        mpi_check(comm, step(&parts, i == 7, &b) == MIM_OK);
        mpi_check(comm, isfinite(a.norm) == (i != 7) && isfinite(b.norm) == (i != 7));
        mpi_check(comm, i == 7 || memcmp(&a, &b, sizeof a) == 0);
        mpi_check(comm, memcmp(w->values, p->values, n_bytes) == 0);
        mpi_check(comm, i % 7 != 0 || write_the_same(comm, &whole, &parts));
        if (i % 5 != 0)
            continue;
        a.loss = mim_train_mpi_validate(whole.job, &data.examples, 1, true);
        b.loss = mim_train_mpi_validate(parts.job, &data.examples, 1, true);
        mpi_check(comm, memcmp(&a.loss, &b.loss, sizeof a.loss) == 0);
        mpi_check(comm, memcmp(w->ema, p->ema, n_bytes) == 0);
    }
    mpi_check(comm, mim_train_mpi_check_same(parts.job, parts.model) == MIM_OK);
    mpi_check(comm, whole.model->course.n_skipped == 1 && parts.model->course.n_skipped == 1);
    mpi_check(comm, write_the_same(comm, &whole, &parts));
    end(&whole);
    end(&parts);
    return 0;
}

/* Goes on from a file, if it is there, and leaves a checkpoint in its place. */
static bool go_on(MPI_Comm comm, bool in_parts, bool is_first, const char *path)
{
    training t = {0};
    mim_whole_model whole;
    outcome o;
    int rank = 0, rc = MIM_OK;
    if (comm == MPI_COMM_NULL)
        return true;
    MPI_Comm_rank(comm, &rank);
    if (!begin(comm, in_parts, is_first ? NULL : path, &t))
        return false;
    for (int i = 0; rc == MIM_OK && i < N_STEPS / 3; i++)
        rc = step(&t, false, &o);
    if (rc == MIM_OK)
        mim_train_mpi_gather(t.job, t.model, &whole);
    if (rc == MIM_OK && rank == 0)
        rc = mim_checkpoint_write(&whole.model, false, path);
    end(&t);
    return mim_agree(comm, rc) == MIM_OK;
}

/* The stated rounding of what one rank finds, without a stop. */
static bool is_near_one_rank(const char *path)
{
    training alone = {0};
    mim_model *found = NULL;
    outcome o;
    double worst = 0, largest = 0;
    bool is_well = begin(MPI_COMM_SELF, false, NULL, &alone) &&
                   mim_checkpoint_read(path, true, &found) == MIM_OK && found->step == N_STEPS;
    for (int i = 0; is_well && i < N_STEPS; i++)
        is_well = step(&alone, false, &o) == MIM_OK;
    for (size_t i = 0; is_well && i < found->params->n_values; i++) {
        const double wanted = (double)alone.model->params->values[i];
        worst = fmax(worst, fabs((double)found->params->values[i] - wanted));
        largest = fmax(largest, fabs(wanted));
    }
    end(&alone);
    mim_model_destroy(&found);
    return is_well && worst <= 1e-6 * largest;
}

static bool hold_the_same(const char *a, const char *b)
{
    char *bytes[2] = {NULL};
    size_t n[2] = {0};
    const bool is_same = mim_read_file(a, 1 << 26, &bytes[0], &n[0]) == MIM_OK &&
                         mim_read_file(b, 1 << 26, &bytes[1], &n[1]) == MIM_OK && n[0] == n[1] &&
                         memcmp(bytes[0], bytes[1], n[0]) == 0;
    free(bytes[0]);
    free(bytes[1]);
    return is_same;
}

/* Stopped twice and gone on with half of the ranks, then with all again, in parts or not: the same
 * files. */
static int parts_go_on(MPI_Comm comm)
{
    static const bool in_parts[][3] = {
        {false, false, false}, {true, false, true}, {false, true, false}};
    enum { N_WAYS = sizeof in_parts / sizeof *in_parts };
    char paths[N_WAYS][64];
    int rank = 0, n_ranks = 0, id = (int)getpid();
    MPI_Comm half = MPI_COMM_NULL;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &n_ranks);
    MPI_Comm_split(comm, rank < (n_ranks + 1) / 2 ? 0 : MPI_UNDEFINED, rank, &half);
    MPI_Bcast(&id, 1, MPI_INT, 0, comm);
    for (int way = 0; way < N_WAYS; way++) {
        snprintf(paths[way], sizeof paths[way], "/tmp/mimesys_mpi_train.%d.%d.h5", id, way);
        mpi_check(comm, go_on(comm, in_parts[way][0], true, paths[way]));
        mpi_check(comm, go_on(half, in_parts[way][1], false, paths[way]));
        mpi_check(comm, go_on(comm, in_parts[way][2], false, paths[way]));
        mpi_check(comm, rank != 0 || hold_the_same(paths[0], paths[way]));
    }
    mpi_check(comm, rank != 0 || is_near_one_rank(paths[0]));
    for (int way = 0; rank == 0 && way < N_WAYS; way++)
        remove(paths[way]);
    if (half != MPI_COMM_NULL)
        MPI_Comm_free(&half);
    return 0;
}

/* Of 12 bytes a value each rank has its share only. */
static int parts_take_less(MPI_Comm comm)
{
    training t = {0};
    int n_ranks = 0;
    MPI_Comm_size(comm, &n_ranks);
    mpi_check(comm, begin(comm, true, NULL, &t));
    const mim_params_f *p = t.model->params;
    unsigned long long sum = p->n_own;
    MPI_Allreduce(MPI_IN_PLACE, &sum, 1, MPI_UNSIGNED_LONG_LONG, MPI_SUM, comm);
    mpi_check(comm, sum == p->n_values);
    mpi_check(comm, p->n_own <= p->n_values / (size_t)n_ranks + 16);
    mpi_check(comm, malloc_usable_size(p->moment_1) <= 12 * p->n_own + 4096);
    end(&t);
    return 0;
}

/* One rank keeps all, so what the others keep are no parts of the rest. */
static int parts_must_fit(MPI_Comm comm)
{
    training t = {0};
    int rank = 0, n_ranks = 0;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &n_ranks);
    if (n_ranks == 1)
        return 0;
    mpi_check(comm, make(comm, false, NULL, &t) == MIM_OK);
    const mim_part part = {(size_t)rank, (size_t)n_ranks};
    mpi_check(comm, rank == 0 || mim_params_keep_part_f(&part, t.model->params) == MIM_OK);
    mpi_check(comm, mim_train_mpi_create(comm, t.trainer, toy_options().n_shards, 0, &t.job) ==
                        MIM_EINVAL);
    mpi_check(comm, t.job == NULL && strstr(mim_error(), "do not make up") != NULL);
    end(&t);
    return 0;
}

/* Plans tried by all ranks: to the bit what one rank finds alone, and finite. */
static int trials_agree(MPI_Comm comm)
{
    static const mim_generation how = {
        .sampling = {MIM_SOLVER_DPMPP, 4, 7}, .guidance = 1, .smallest = 0.005, .n_candidates = 1};
    simulated_lessons lessons;
    mim_trial *trial = NULL;
    mim_train_trial alone = {.nl1_mean = NAN}, together = {.nl1_mean = NAN};
    mpi_check(comm, simulated_lessons_make(70, &lessons) == MIM_OK);
    mpi_check(comm,
              mim_trial_create(lessons.model, &lessons.examples, 70, &how, 1, &trial) == MIM_OK);
    mpi_check(comm, trial != NULL && mim_trial_n_groups(trial) == 5);
    mpi_check(comm, mim_train_mpi_try(MPI_COMM_SELF, trial, lessons.model->domain, false, &alone) ==
                        MIM_OK);
    mpi_check(comm,
              mim_train_mpi_try(comm, trial, lessons.model->domain, false, &together) == MIM_OK);
    mpi_check(comm, alone.nl1_mean > 0 && alone.nl1_mean < 10);
    mpi_check(comm, memcmp(&alone.nl1_mean, &together.nl1_mean, sizeof alone.nl1_mean) == 0);
    for (int f = 0; f < MIM_N_FAMILIES; f++) {
        mpi_check(comm, isfinite(alone.nl1[f]) == mim_family_is_target((mim_family)f));
        mpi_check(comm, isnan(alone.nl1[f]) ||
                            memcmp(&alone.nl1[f], &together.nl1[f], sizeof alone.nl1[f]) == 0);
    }
    mpi_check(comm,
              mim_train_mpi_try(comm, trial, lessons.model->domain, true, &together) == MIM_OK);
    mpi_check(comm, together.nl1_mean >= 0 && together.nl1_mean < 1e-6); /* there is no noise */
    mim_trial_destroy(&trial);
    simulated_lessons_clear(&lessons);
    return 0;
}

/* Examples that one rank cannot get are everyone's error, and no step is taken. */
static int a_feed_fails_on_all(MPI_Comm comm)
{
    int rank = 0, n_ranks = 0;
    mim_model *model = toy_model(6, MIM_PREDICT_V);
    const mim_train_options options = toy_options();
    mim_trainer *trainer = NULL;
    mim_train_mpi *job = NULL;
    mim_order *order = NULL;
    mim_feed *feed = NULL;
    double loss, norm;
    bool is_wished;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &n_ranks);
    toy_fill(&data, 100);
    /* the last rank's feed has half of the shards, so not that rank's last */
    const size_t n_shards = rank == n_ranks - 1 ? options.n_shards / 2 : options.n_shards;
    const mim_feed_options o = {options.batch / options.n_shards * n_shards, n_shards, 0, 0, 1};
    mpi_check(comm, model != NULL);
    mpi_check(comm, mim_order_create(6, 100, NULL, &order) == MIM_OK);
    mpi_check(comm, mim_feed_of_examples(&o, order, &data.examples, &feed) == MIM_OK);
    mpi_check(comm, mim_trainer_create_fed(&options, model, feed, &trainer) == MIM_OK);
    mpi_check(comm, mim_train_mpi_create(comm, trainer, options.n_shards, 0, &job) == MIM_OK);
    mpi_check(comm, mim_train_mpi_step(job, MIM_OK, false, &loss, &norm, &is_wished) == MIM_EINVAL);
    mpi_check(comm, strstr(mim_error(), "of 2") != NULL);
    mpi_check(comm, model->step == 0);
    mim_train_mpi_destroy(&job);
    mim_trainer_destroy(&trainer);
    mim_feed_destroy(&feed);
    mim_order_destroy(&order);
    mim_model_destroy(&model);
    return 0;
}

int main(int argc, char **argv)
{
    static const mpi_test tests[] = {{"ranks_agree", ranks_agree},
                                     {"sums_begin_early", sums_begin_early},
                                     {"buckets_are_cut", buckets_are_cut},
                                     {"one_stops_all", one_stops_all},
                                     {"drift_is_found", drift_is_found},
                                     {"trials_agree", trials_agree},
                                     {"a_feed_fails_on_all", a_feed_fails_on_all},
                                     {"parts_come_to_the_same", parts_come_to_the_same},
                                     {"parts_go_on", parts_go_on},
                                     {"parts_take_less", parts_take_less},
                                     {"parts_must_fit", parts_must_fit}};
    return mpi_test_main(argc, argv, sizeof tests / sizeof *tests, tests);
}
