/* mpi/train_mpi: any number of ranks trains what one would. */
#include "tests/support/mpi_test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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

/* The wish of one is known to all, and so is its failure, which costs no step. */
static int one_stops_all(MPI_Comm comm)
{
    int rank = 0, n_ranks = 0;
    mim_model *model = toy_model(6, MIM_PREDICT_V);
    const mim_train_options options = toy_options();
    mim_trainer *trainer = NULL;
    mim_train_mpi *job = NULL;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &n_ranks);
    toy_fill(&data, 100);
    mpi_check(comm, model != NULL);
    mpi_check(comm, mim_trainer_create(&options, model, &data.examples, &trainer) == MIM_OK);
    mpi_check(comm, mim_train_mpi_create(comm, trainer, options.n_shards, 512, &job) == MIM_OK);
    for (int who = 0; who < n_ranks; who++) {
        double loss, norm;
        bool is_wished = false;
        mpi_check(comm,
                  mim_train_mpi_step(job, MIM_OK, rank == who, &loss, &norm, &is_wished) == MIM_OK);
        mpi_check(comm, is_wished);
        mpi_check(comm, model->step == (uint64_t)who + 1);
        const int local = rank == who ? mim_fail(MIM_EIO, "rank %d has no disk", who) : MIM_OK;
        char wanted[64];
        snprintf(wanted, sizeof wanted, "rank %d has no disk", who);
        mpi_check(comm, mim_train_mpi_step(job, local, false, &loss, &norm, &is_wished) == MIM_EIO);
        mpi_check(comm, strcmp(mim_error(), wanted) == 0);
        mpi_check(comm, model->step == (uint64_t)who + 1);
    }
    mim_train_mpi_destroy(&job);
    mim_trainer_destroy(&trainer);
    mim_model_destroy(&model);
    return 0;
}

/* A rank whose model has drifted by one bit is found. */
static int drift_is_found(MPI_Comm comm)
{
    int rank = 0, n_ranks = 0;
    mim_model *model = toy_model(6, MIM_PREDICT_V);
    const mim_train_options options = toy_options();
    mim_trainer *trainer = NULL;
    mim_train_mpi *job = NULL;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &n_ranks);
    mpi_check(comm, model != NULL);
    mpi_check(comm, mim_trainer_create(&options, model, &data.examples, &trainer) == MIM_OK);
    mpi_check(comm, mim_train_mpi_create(comm, trainer, options.n_shards, 0, &job) == MIM_OK);
    if (rank == n_ranks - 1)
        model->params->values[7] = nextafterf(model->params->values[7], 1);
    const int expected = n_ranks > 1 ? MIM_ECHECK : MIM_OK;
    mpi_check(comm, mim_train_mpi_check_same(job, model) == expected);
    mim_train_mpi_destroy(&job);
    mim_trainer_destroy(&trainer);
    mim_model_destroy(&model);
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
    static const mpi_test tests[] = {
        {"ranks_agree", ranks_agree},     {"buckets_are_cut", buckets_are_cut},
        {"one_stops_all", one_stops_all}, {"drift_is_found", drift_is_found},
        {"trials_agree", trials_agree},   {"a_feed_fails_on_all", a_feed_fails_on_all}};
    return mpi_test_main(argc, argv, sizeof tests / sizeof *tests, tests);
}
