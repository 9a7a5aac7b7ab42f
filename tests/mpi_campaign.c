/* mpi/campaign_mpi: the same rows over any number of ranks give the file that one process writes;
 * what is wrong on one rank is refused on all. */
#define _DEFAULT_SOURCE
#include "tests/support/mpi_test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/atomic_file.h"
#include "core/fault.h"
#include "corpus/table_internal.h"
#include "mpi/agree.h"
#include "mpi/campaign_mpi.h"
#include "mpi/check.h"
#include "tests/support/flipped.h"
#include "tests/support/made_rows.h"

static char folder[64], path[128], serial_path[128];
static mim_layout *layout;
static int rank, n_ranks;

static int begin(MPI_Comm comm)
{
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &n_ranks);
    strcpy(folder, "/tmp/mim_mpi_campaign.XXXXXX");
    mpi_check(comm, rank != 0 || mkdtemp(folder));
    MPI_Bcast(folder, sizeof folder, MPI_CHAR, 0, comm);
    snprintf(path, sizeof path, "%s/mpi.h5", folder);
    snprintf(serial_path, sizeof serial_path, "%s/serial.h5", folder);
    mpi_check(comm, made_layout(&layout) == MIM_OK);
    return 0;
}

static int end(MPI_Comm comm)
{
    mim_layout_destroy(&layout);
    if (rank == 0) {
        unlink(path);
        unlink(serial_path);
    }
    mpi_check(comm, rank != 0 || rmdir(folder) == 0); /* nothing was left behind */
    return 0;
}

static bool is_same_file(const char *a, const char *b)
{
    char *x = NULL, *y = NULL;
    size_t n = 0, m = 0;
    bool same = mim_read_file(a, 1 << 28, &x, &n) == MIM_OK &&
                mim_read_file(b, 1 << 28, &y, &m) == MIM_OK && n == m && memcmp(x, y, n) == 0;
    free(x);
    free(y);
    return same;
}

/* An empty store with room for 16 rows. */
static int create(const char *name)
{
    mim_campaign *campaign = NULL;
    unlink(name);
    int rc = mim_campaign_create(name, layout, 3, "", 16, &campaign);
    mim_campaign_destroy(&campaign);
    return rc;
}

/* Plans [first, first + n) dealt in order. */
static int append(mim_campaign_mpi *campaign, size_t first, size_t n)
{
    mim_campaign_rows *rows = NULL;
    size_t start = 0, count = 0;
    mim_share_of(n, rank, n_ranks, &start, &count);
    if (made_rows(layout, first + start, count, &rows) != MIM_OK)
        abort();
    int rc = mim_campaign_mpi_append(campaign, rows);
    mim_campaign_rows_destroy(&rows);
    return rc;
}

/* On rank 0: plans 0 .. n - 1 stand there, in order, as the rule says. */
static bool holds(size_t n)
{
    mim_campaign *campaign = NULL;
    mim_campaign_rows *rows = NULL;
    bool is_right =
        mim_campaign_open(path, false, &campaign) == MIM_OK &&
        mim_campaign_n_plans(campaign) == n &&
        mim_campaign_read(campaign, 0, mim_campaign_n_rows(campaign), &rows) == MIM_OK &&
        mim_campaign_check(campaign) == MIM_OK;
    for (size_t i = 0; is_right && i < rows->n; i++)
        is_right = made_row_is_right(layout, rows, i) &&
                   (i == 0 || rows->plan_id[i] >= rows->plan_id[i - 1]);
    mim_campaign_rows_destroy(&rows);
    mim_campaign_destroy(&campaign);
    return is_right;
}

/* Rounds of 1 plan (most ranks have none), 0, 2 and 60 (it grows); the serial store gets the same
 * appends. */
static int equals_one_process(MPI_Comm comm)
{
    static const size_t rounds[] = {1, 0, 2, 60, 1};
    mim_campaign_mpi *campaign = NULL;
    mim_campaign *serial = NULL;
    size_t next = 0;
    mpi_check(comm, rank != 0 || (create(path) == MIM_OK && create(serial_path) == MIM_OK));
    mpi_check(comm, mim_campaign_mpi_open(comm, path, &campaign) == MIM_OK);
    mpi_check(comm,
              mim_layout_compare(layout, mim_campaign_mpi_layout(campaign), "it", true) == MIM_OK);
    mpi_check(comm, rank != 0 || mim_campaign_open(serial_path, true, &serial) == MIM_OK);
    for (size_t i = 0; i < sizeof rounds / sizeof *rounds; i++) {
        mim_campaign_rows *rows = NULL;
        mpi_check(comm, append(campaign, next, rounds[i]) == MIM_OK);
        mpi_check(comm, rank != 0 || (made_rows(layout, next, rounds[i], &rows) == MIM_OK &&
                                      mim_campaign_append(serial, rows) == MIM_OK));
        mim_campaign_rows_destroy(&rows);
        next += rounds[i];
        mpi_check(comm, rank != 0 || holds(next));
    }
    size_t n_rows = mim_campaign_mpi_n_rows(campaign), n_first = n_rows;
    MPI_Bcast(&n_first, 1, MPI_UNSIGNED_LONG, 0, comm);
    mpi_check(comm, n_rows == n_first && n_rows > 100);
    mim_campaign_mpi_destroy(&campaign);
    mim_campaign_destroy(&serial);
    mpi_check(comm, rank != 0 || is_same_file(path, serial_path));
    return 0;
}

/* The last rank brings a bad row, a plan that is there, a plan that rank 0 brings, too. */
static int one_bad_rank_stops_all(MPI_Comm comm)
{
    mim_campaign_mpi *campaign = NULL;
    mpi_check(comm, rank != 0 || create(path) == MIM_OK);
    mpi_check(comm, mim_campaign_mpi_open(comm, path, &campaign) == MIM_OK);
    mpi_check(comm, append(campaign, 0, 10) == MIM_OK);
    for (int how = 0; how < 3; how++) {
        mim_campaign_rows *rows = NULL;
        const bool is_last = rank == n_ranks - 1;
        const uint64_t plan = is_last && how == 1   ? 4
                              : is_last && how == 2 ? 100
                                                    : 100 + (uint64_t)rank;
        mpi_check(comm, made_rows(layout, plan, 1, &rows) == MIM_OK);
        if (is_last && how == 0)
            rows->action[0] = NAN;
        int rc = mim_campaign_mpi_append(campaign, rows);
        mim_campaign_rows_destroy(&rows);
        if (how == 2 && n_ranks == 1) { /* nobody else brings it */
            mpi_check(comm, rc == MIM_OK);
            break;
        }
        mpi_check(comm, rc == MIM_EINVAL);
        mpi_check(comm, strstr(mim_error(), how == 0   ? "row 0: thread 0 gives stressor 0"
                                            : how == 1 ? "plan 4 is in the store"
                                                       : "plan 100 is in the store"));
        mpi_check(comm, rank != 0 || holds(10));
    }
    if (n_ranks > 1) {
        mpi_check(comm, append(campaign, 10, 7) == MIM_OK);
        mpi_check(comm, rank != 0 || holds(17));
    }
    mim_campaign_mpi_destroy(&campaign);
    return 0;
}

/* Calls fail here and there, on other ranks at other times: all ranks end with the same sentence,
 * nothing is added, and the store stays usable. */
static int injected_faults(MPI_Comm comm)
{
    int n_failed = 0;
    for (int seed = 0; seed < 24; seed++) {
        char text[32], sentence[MIM_ERROR_TEXT_BYTES] = "";
        mim_campaign_mpi *campaign = NULL;
        mpi_check(comm, rank != 0 || create(path) == MIM_OK);
        mpi_check(comm, mim_campaign_mpi_open(comm, path, &campaign) == MIM_OK);
        mpi_check(comm, append(campaign, 0, 4) == MIM_OK);
        snprintf(text, sizeof text, "12:%d", seed);
        setenv("MIMESYS_FAULT", text, 1);
        mpi_check(comm, mim_fault_start((uint32_t)rank) == MIM_OK);
        int rc = append(campaign, 4, 20);
        unsetenv("MIMESYS_FAULT");
        mpi_check(comm, mim_fault_start((uint32_t)rank) == MIM_OK);
        int first = rc;
        MPI_Bcast(&first, 1, MPI_INT, 0, comm);
        mpi_check(comm, rc == first && (rc == MIM_OK || rc == MIM_EIO));
        if (rc != MIM_OK) {
            n_failed++;
            strcpy(sentence, mim_error());
            MPI_Bcast(sentence, sizeof sentence, MPI_CHAR, 0, comm);
            mpi_check(comm, strcmp(sentence, mim_error()) == 0);
            mpi_check(comm, strstr(sentence, "injected fault"));
            mpi_check(comm, rank != 0 || holds(4));
            mpi_check(comm, append(campaign, 4, 20) == MIM_OK);
        }
        mim_campaign_mpi_destroy(&campaign);
        mpi_check(comm, rank != 0 || holds(24));
    }
    mpi_check(comm, n_failed >= 6);
    return 0;
}

/* ---- the corpus ----------------------------------------------------------------------------- */

enum { N_SAMPLES = 101 };

static const mim_corpus_info info = {
    .split_seed = 9, .validation_share = 0.3, .config = "", .source = "made by rule"};

/* Samples [first, first + n) by rule. */
static mim_samples *make_samples(size_t first, size_t n)
{
    mim_samples *s = NULL;
    if (mim_samples_create(layout, n, &s) != MIM_OK)
        abort();
    for (size_t i = 0; i < n; i++) {
        const size_t k = first + i, d = layout->n_metrics;
        s->plan_id[i] = k / 4;
        s->window[i] = (uint32_t)(k % 4);
        s->n_repeats[i] = 1;
        s->is_validation[i] =
            mim_corpus_is_validation(k / 4, info.split_seed, info.validation_share);
        for (size_t m = 0; m < d; m++) {
            s->mask[i * d + m] = (k + m) % 5 != 0;
            s->metric[i * d + m] = s->mask[i * d + m] ? sinf((float)(k * d + m)) : 0.0f;
        }
        s->action[i * 6] = (float)k / N_SAMPLES;
    }
    return s;
}

static int corpus_equals_one_process(MPI_Comm comm)
{
    size_t first = 0, n = 0;
    /* all samples on the last rank but one, too: the others take part with none */
    for (int how = 0; how < 2; how++) {
        mim_share_of(N_SAMPLES, rank, n_ranks, &first, &n);
        if (how == 1) {
            first = 0;
            n = rank == (n_ranks > 1 ? n_ranks - 2 : 0) ? N_SAMPLES : 0;
        }
        mim_samples *mine = make_samples(first, n), *all = make_samples(0, N_SAMPLES);
        double write_s = -1;
        mpi_check(comm, mim_corpus_mpi_write(comm, path, layout, &info, mine, &write_s) == MIM_OK);
        mpi_check(comm, write_s >= 0);
        mpi_check(comm, rank != 0 || mim_corpus_write(serial_path, layout, &info, all) == MIM_OK);
        mpi_check(comm, rank != 0 || is_same_file(path, serial_path));
        mim_samples_destroy(&mine);
        mim_samples_destroy(&all);
    }
    return 0;
}

static int corpus_is_whole_or_not_there(MPI_Comm comm)
{
    size_t first = 0, n = 0;
    int n_failed = 0;
    mim_share_of(N_SAMPLES, rank, n_ranks, &first, &n);
    mim_samples *mine = make_samples(first, n);
    for (int seed = 0; seed < 12; seed++) {
        char text[32];
        if (rank == 0)
            unlink(path);
        snprintf(text, sizeof text, "6:%d", seed);
        setenv("MIMESYS_FAULT", text, 1);
        mpi_check(comm, mim_fault_start((uint32_t)rank) == MIM_OK);
        int rc = mim_corpus_mpi_write(comm, path, layout, &info, mine, NULL);
        unsetenv("MIMESYS_FAULT");
        mpi_check(comm, mim_fault_start((uint32_t)rank) == MIM_OK);
        n_failed += rc != MIM_OK;
        mpi_check(comm, rc == MIM_OK || strstr(mim_error(), "injected fault"));
    }
    mpi_check(comm, n_failed >= 3);
    if (rank == n_ranks - 1 && n > 0)
        mine->metric[0] = NAN;
    mpi_check(comm, mim_corpus_mpi_write(comm, path, layout, &info, mine, NULL) == MIM_EINVAL);
    mine->n = 0;
    mpi_check(comm, mim_corpus_mpi_write(comm, path, layout, &info, mine, NULL) == MIM_EDATA);
    mine->n = n;
    mim_samples_destroy(&mine);
    return 0;
}

/* ---- looking through ------------------------------------------------------------------------ */

/* The file is sound; with a byte changed, `expected` is what all ranks say. */
static int finds_changed_byte(MPI_Comm comm, const char *sound, uint64_t place,
                              const char *expected)
{
    char *verdict = NULL;
    mpi_check(comm, mim_check_file(comm, path, &verdict) == MIM_OK);
    mpi_check(comm, rank == 0 ? verdict && strcmp(verdict, sound) == 0 : !verdict);
    free(verdict);
    MPI_Bcast(&place, 1, MPI_UINT64_T, 0, comm);
    mpi_check(comm, rank != 0 || flip_byte(path, place) == 0);
    mpi_check(comm, mim_check_file(comm, path, &verdict) == MIM_EDATA);
    mpi_check(comm, !verdict && strstr(mim_error(), expected) && strstr(mim_error(), path));
    return 0;
}

static int check_shares_the_samples(MPI_Comm comm)
{
    mim_samples *all = make_samples(0, N_SAMPLES);
    uint64_t place = 0;
    mpi_check(comm, rank != 0 || (mim_corpus_write(path, layout, &info, all) == MIM_OK &&
                                  mim_table_offset(path, "spread", &place) == MIM_OK));
    mim_samples_destroy(&all);
    place += 4 * layout->n_metrics * (N_SAMPLES - 1);
    return finds_changed_byte(comm, "sound: 101 samples of 4 metrics, 2 threads, 3 stressors",
                              place, "spread is damaged in samples 0 to 100");
}

/* The last row, and one in the middle. */
static int check_shares_the_rows(MPI_Comm comm)
{
    static const size_t rows[] = {22, 12};
    static const char *const expected[] = {"round is damaged in rows 22 to 22 (plan 9)",
                                           "round is damaged in rows 12 to 12 (plan 5)"};
    for (size_t i = 0; i < 2; i++) {
        mim_campaign_mpi *campaign = NULL;
        uint64_t place = 0;
        mpi_check(comm, rank != 0 || create(path) == MIM_OK);
        mpi_check(comm, mim_campaign_mpi_open(comm, path, &campaign) == MIM_OK);
        mpi_check(comm, append(campaign, 0, 10) == MIM_OK);
        mim_campaign_mpi_destroy(&campaign);
        mpi_check(comm, rank != 0 || mim_table_offset(path, "round", &place) == MIM_OK);
        if (finds_changed_byte(comm, "sound: 10 plans, 23 rows", place + 4 * rows[i], expected[i]))
            return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    static const mpi_test tests[] = {
        {"begin", begin},
        {"equals_one_process", equals_one_process},
        {"one_bad_rank_stops_all", one_bad_rank_stops_all},
        {"injected_faults", injected_faults},
        {"corpus_equals_one_process", corpus_equals_one_process},
        {"corpus_is_whole_or_not_there", corpus_is_whole_or_not_there},
        {"check_shares_the_samples", check_shares_the_samples},
        {"check_shares_the_rows", check_shares_the_rows},
        {"end", end},
    };
    return mpi_test_main(argc, argv, sizeof tests / sizeof *tests, tests);
}
