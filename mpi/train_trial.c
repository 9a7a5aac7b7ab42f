#include "mpi/train_trial.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/summary.h"
#include "mpi/agree.h"
#include "report/compare.h"

/* Each value is set by one rank and 0 elsewhere, so sums are exact. */
static int measure(MPI_Comm comm, mim_trial *trial, size_t n_metrics, bool are_own,
                   double *measured)
{
    int rank = 0, n_ranks = 0;
    size_t first = 0, count = 0;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &n_ranks);
    mim_share_of(mim_trial_n_groups(trial), rank, n_ranks, &first, &count);
    const int rc = mim_agree(comm, are_own ? mim_trial_run_own(trial, first, count, measured)
                                           : mim_trial_run(trial, first, count, measured));
    if (rc == MIM_OK)
        MPI_Allreduce(MPI_IN_PLACE, measured, (int)(mim_trial_n(trial) * n_metrics), MPI_DOUBLE,
                      MPI_SUM, comm);
    return rc;
}

/* What the comparison's JSON says of its only run. */
static int take(const mim_compare *compare, mim_train_trial *result)
{
    json_t *json = NULL;
    const int rc = mim_compare_json(compare, &json);
    if (rc != MIM_OK)
        return rc;
    const json_t *run = json_array_get(json_object_get(json, "files"), 0);
    const json_t *families = json_object_get(run, "families");
    const json_t *mean = json_object_get(run, "nl1_mean");
    result->nl1_mean = json_is_number(mean) ? json_number_value(mean) : (double)NAN;
    for (int f = 0; f < MIM_N_FAMILIES; f++) {
        const json_t *nl1 =
            json_object_get(json_object_get(families, mim_family_name((mim_family)f)), "nl1");
        result->nl1[f] = json_is_number(nl1) ? json_number_value(nl1) : (double)NAN;
    }
    json_decref(json);
    return MIM_OK;
}

static int compare_series(const mim_trial *trial, const mim_domain *d, const mim_series *wanted,
                          const mim_series *measured, mim_train_trial *result)
{
    const mim_node_limits limits = {.n_cores = mim_series_n_cores(wanted),
                                    .n_sockets = d->n_sockets,
                                    .io_read_max_kbs = NAN,
                                    .io_write_max_kbs = NAN};
    const mim_compare_ranges ranges = {.source = "the corpus",
                                       .n_metrics = d->n_metrics,
                                       .metrics = (const char *const *)d->metrics,
                                       .minimum = d->minimum,
                                       .maximum = d->maximum,
                                       .n_threads = d->n_threads,
                                       .thread_metric = d->thread_metric};
    mim_compare *compare = NULL;
    int rc = mim_compare_create(wanted, "samples kept aside", &limits, &compare);
    if (rc == MIM_OK)
        rc = mim_compare_use_ranges(compare, &ranges);
    if (rc == MIM_OK)
        rc = mim_compare_add(compare, measured, mim_trial_node(trial), mim_trial_node(trial));
    if (rc == MIM_OK)
        rc = take(compare, result);
    mim_compare_destroy(&compare);
    return rc;
}

int mim_train_mpi_try(MPI_Comm comm, mim_trial *trial, const mim_domain *domain, bool are_own,
                      mim_train_trial *result)
{
    mim_series *wanted = NULL, *measured = NULL;
    double *values = calloc(mim_trial_n(trial) * domain->n_metrics, sizeof *values);
    int rc = mim_agree(comm, values ? MIM_OK : mim_fail(MIM_ENOMEM, "trial of plans"));
    if (rc == MIM_OK)
        rc = measure(comm, trial, domain->n_metrics, are_own, values);
    if (rc == MIM_OK) {
        rc = mim_trial_series(trial, NULL, &wanted);
        if (rc == MIM_OK)
            rc = mim_trial_series(trial, values, &measured);
        if (rc == MIM_OK)
            rc = compare_series(trial, domain, wanted, measured, result);
        rc = mim_agree(comm, rc);
    }
    mim_series_destroy(&wanted);
    mim_series_destroy(&measured);
    free(values);
    return rc;
}

json_t *mim_train_trial_json(const char *key, const mim_train_trial *result)
{
    char mean[64];
    json_t *object = json_object(), *families = result ? json_object() : json_null();
    for (int f = 0; result && f < MIM_N_FAMILIES; f++)
        if (isfinite(result->nl1[f]))
            json_object_set_new(families, mim_family_name((mim_family)f),
                                json_real(result->nl1[f]));
    snprintf(mean, sizeof mean, "%s_mean", key);
    json_object_set_new(object, mean, result ? mim_json_real(result->nl1_mean) : json_null());
    json_object_set_new(object, key, families);
    return object;
}
