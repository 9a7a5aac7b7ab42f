#include "mpi/check.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/h5.h"
#include "core/text.h"
#include "corpus/campaign_internal.h"
#include "mpi/agree.h"
#include "mpi/tally.h"

/* Of a sound file. */
static int tell(char *sentence, int version, int digests_since, char **verdict)
{
    if (sentence && version < digests_since) {
        char *more = mim_format("%s; no digests (schema %d)", sentence, version);
        free(sentence);
        sentence = more;
    }
    if (!sentence)
        return mim_fail(MIM_ENOMEM, "verdict");
    *verdict = sentence;
    return MIM_OK;
}

/* ---- a corpus -------------------------------------------------------------------------------- */

static int check_samples(MPI_Comm comm, int rank, int n_ranks, mim_corpus *corpus)
{
    size_t first = 0, n = 0, block_rows = 0;
    mim_tally *tally = NULL;
    mim_corpus_digests(corpus, &block_rows);
    mim_share_of(mim_corpus_n_samples(corpus), rank, n_ranks, &first, &n);
    int checked = mim_tally_create(mim_corpus_layout(corpus), mim_corpus_n_samples(corpus),
                                   block_rows, &tally);
    if (checked == MIM_OK)
        checked = mim_corpus_tally(corpus, first, n, tally);
    int rc = mim_agree(comm, checked == MIM_ECHECK ? MIM_OK : checked);
    if (rc == MIM_OK) { /* all samples were added: the verdict is the same on all ranks */
        checked = mim_agree(comm, checked);
        mim_tally_reduce(comm, tally);
        mim_tally_finish(tally);
        rc = mim_corpus_judge(corpus, tally, checked);
    }
    mim_tally_destroy(&tally);
    return rc;
}

static int check_corpus(MPI_Comm comm, const char *path, char **verdict)
{
    int rank = 0, n_ranks = 0;
    mim_corpus *corpus = NULL;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &n_ranks);
    int rc = mim_agree(comm, mim_corpus_open(path, &corpus));
    if (rc == MIM_OK)
        rc = check_samples(comm, rank, n_ranks, corpus);
    if (rc == MIM_OK && rank == 0) {
        const mim_layout *l = mim_corpus_layout(corpus);
        rc = tell(mim_format("sound: %zu samples of %zu metrics, %zu threads, %zu stressors",
                             mim_corpus_n_samples(corpus), l->n_metrics, l->n_threads,
                             l->n_stressors),
                  mim_corpus_version(corpus), MIM_CORPUS_DIGESTS_SINCE, verdict);
    }
    mim_corpus_destroy(&corpus);
    return mim_agree(comm, rc);
}

/* ---- a campaign ------------------------------------------------------------------------------ */

/* Rank 0 first: the others then see at least its rows. */
static int open_in_turn(MPI_Comm comm, int rank, const char *path, mim_campaign **campaign)
{
    int rc = mim_agree(comm, rank == 0 ? mim_campaign_open(path, false, campaign) : MIM_OK);
    if (rc == MIM_OK)
        rc = mim_agree(comm, rank > 0 ? mim_campaign_open(path, false, campaign) : MIM_OK);
    return rc;
}

static int check_rows(MPI_Comm comm, int rank, int n_ranks, mim_campaign *campaign)
{
    unsigned long long n_rows = mim_campaign_n_rows(campaign), n_plans = 0;
    size_t first = 0, n = 0, n_mine = 0;
    MPI_Bcast(&n_rows, 1, MPI_UNSIGNED_LONG_LONG, 0, comm);
    mim_share_of((size_t)n_rows, rank, n_ranks, &first, &n);
    int rc = mim_agree(comm, mim_campaign_check_rows(campaign, first, n, (size_t)n_rows, &n_mine));
    n_plans = n_mine;
    MPI_Allreduce(MPI_IN_PLACE, &n_plans, 1, MPI_UNSIGNED_LONG_LONG, MPI_SUM, comm);
    if (rc == MIM_OK)
        rc = mim_agree(comm,
                       rank == 0 ? mim_campaign_check_plans(campaign, (size_t)n_plans) : MIM_OK);
    return rc;
}

static int check_campaign(MPI_Comm comm, const char *path, char **verdict)
{
    int rank = 0, n_ranks = 0;
    mim_campaign *campaign = NULL;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &n_ranks);
    int rc = open_in_turn(comm, rank, path, &campaign);
    if (rc == MIM_OK)
        rc = check_rows(comm, rank, n_ranks, campaign);
    if (rc == MIM_OK && rank == 0)
        rc = tell(mim_format("sound: %zu plans, %zu rows", mim_campaign_n_plans(campaign),
                             mim_campaign_n_rows(campaign)),
                  mim_campaign_version(campaign), MIM_CAMPAIGN_DIGESTS_SINCE, verdict);
    mim_campaign_destroy(&campaign);
    return mim_agree(comm, rc);
}

/* ---- either ---------------------------------------------------------------------------------- */

static int find_kind(const char *path, int *is_campaign)
{
    mim_h5 *file = NULL;
    char *schema = NULL;
    int rc = mim_h5_open(path, &file);
    if (rc == MIM_OK)
        rc = mim_h5_get_attribute_text(file, NULL, "schema", &schema);
    mim_h5_destroy(&file);
    *is_campaign = rc == MIM_OK && schema && strcmp(schema, MIM_CAMPAIGN_SCHEMA) == 0;
    free(schema);
    return rc;
}

int mim_check_file(MPI_Comm comm, const char *path, char **verdict)
{
    int rank = 0, is_campaign = 0;
    *verdict = NULL;
    MPI_Comm_rank(comm, &rank);
    int rc = mim_agree(comm, rank == 0 ? find_kind(path, &is_campaign) : MIM_OK);
    if (rc != MIM_OK)
        return rc;
    MPI_Bcast(&is_campaign, 1, MPI_INT, 0, comm);
    return is_campaign ? check_campaign(comm, path, verdict) : check_corpus(comm, path, verdict);
}
