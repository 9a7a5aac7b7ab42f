/* Speed of making a training corpus, at the number of ranks it is started with: text in, whole
 * build, beside the parser alone on the same files; and the collective HDF5 write, beside a raw
 * write of as many bytes by the same ranks to the same folder, both until they are on the disk.
 *
 * The runs are made by rule, nothing in them was measured: 2 CPUs, the types of text that a node
 * gives, the list of 20 stressors, a result file. Wall time, median of the repetitions, each beside
 * its peer; one JSON object a line.
 * usage: mpirun -n RANKS mpi_corpus [REPETITIONS]     files go to TMPDIR or /tmp */
#define _DEFAULT_SOURCE /* mkdtemp */
#include <errno.h>
#include <fcntl.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/quantile.h"
#include "core/rng.h"
#include "core/text.h"
#include "mpi/agree.h"
#include "mpi/campaign_mpi.h"
#include "mpi/dataset.h"
#include "tests/support/bench_mpi.h"
#include "tests/support/made_run.h"
#include "trace/stats.h"

enum { N_WINDOWS = 60, N_DEFAULT = 7, MAX_REPETITIONS = 100 };
enum { N_THREADS = 20, N_METRICS = 30, WRITE_BYTES = 128 << 20, BLOCK_BYTES = 4 << 20 };

static const struct {
    const char *name;
    size_t n_runs, n_slots;
} cases[] = {{"runs of 2 minutes", 400, 120}, {"runs of 200 minutes", 4, 12000}};

typedef struct bench {
    MPI_Comm comm;
    int rank, n_ranks;
    char folder[64], corpus[128];
    size_t n; /* repetitions */
    double value[MAX_REPETITIONS], peer[MAX_REPETITIONS];
} bench;

static void print_line(bench *b, const char *what, const char *unit, const char *peer)
{
    if (b->rank != 0)
        return;
    qsort(b->value, b->n, sizeof *b->value, mim_by_value);
    qsort(b->peer, b->n, sizeof *b->peer, mim_by_value);
    const double value = b->value[b->n / 2], other = b->peer[b->n / 2];
    printf("{\"bench\": \"%s, %d rank%s\", \"value\": %.1f, \"unit\": \"%s\", \"peer\": \"%s: "
           "%.1f MB/s\", \"ratio\": %.3f, \"n\": %zu, \"spread\": %.1f}\n",
           what, b->n_ranks, b->n_ranks == 1 ? "" : "s", value, unit, peer, other, value / other,
           b->n, b->value[b->n - 1] - b->value[0]);
    fflush(stdout);
}

/* Seconds since `begin_s` until the last rank is here. */
static double wait_for_all(const bench *b, double begin_s)
{
    MPI_Barrier(b->comm);
    return MPI_Wtime() - begin_s;
}

/* ---- text in ----------------------------------------------------------------------------------
 */

static made_run describe(const bench *b, size_t i, size_t n_slots, char name[32])
{
    made_run run = {.folder = b->folder,
                    .name = name,
                    .n_windows = N_WINDOWS,
                    .n_slots = n_slots,
                    .seed = (uint32_t)i,
                    .is_full = true};
    snprintf(name, 32, "plan_%06zu", i);
    for (size_t k = 0; k < MADE_MAX_SLOTS; k++) {
        run.cpu[k][0] = (int)((7 * i + 3 * k) % 100);
        run.cpu[k][1] = 50;
        run.read_kbs[k] = (int)(100 * k);
    }
    return run;
}

/* Each rank makes, and removes, its share. */
static int make_runs(const bench *b, size_t n_runs, size_t n_slots)
{
    char name[32];
    size_t first = 0, count = 0;
    int rc = MIM_OK;
    mim_share_of(n_runs, b->rank, b->n_ranks, &first, &count);
    for (size_t i = first; rc == MIM_OK && i < first + count; i++) {
        const made_run run = describe(b, i, n_slots, name);
        rc = made_run_write(&run);
    }
    return mim_agree(b->comm, rc);
}

static void remove_runs(const bench *b, size_t n_runs)
{
    size_t first = 0, count = 0;
    mim_share_of(n_runs, b->rank, b->n_ranks, &first, &count);
    for (size_t i = first; i < first + count; i++) {
        char name[128];
        snprintf(name, sizeof name, "%s/plan_%06zu.h5", b->folder, i);
        unlink(name);
        snprintf(name, sizeof name, "%s/stats-plan_%06zu.txt", b->folder, i);
        unlink(name);
        snprintf(name, sizeof name, "%s/result-plan_%06zu.h5", b->folder, i);
        unlink(name);
    }
}

static int build(const bench *b, mim_dataset_figures *figures)
{
    const char *const source = b->folder;
    const mim_dataset_options options = {
        .import = {.min_repeats = 1}, .split_seed = 42, .validation_share = 0.1, .config = ""};
    return mim_dataset_build(b->comm, 1, &source, b->corpus, &options, NULL, figures);
}

static int parse_share(const bench *b, size_t n, const mim_run_files *runs)
{
    size_t first = 0, count = 0;
    int rc = MIM_OK;
    mim_share_of(n, b->rank, b->n_ranks, &first, &count);
    for (size_t i = first; rc == MIM_OK && i < first + count; i++) {
        mim_stats *stats = NULL;
        rc = mim_stats_read(runs[i].stats, &stats);
        mim_stats_destroy(&stats);
    }
    return mim_agree(b->comm, rc);
}

static int bench_build(bench *b, size_t which)
{
    mim_run_files *runs = NULL;
    mim_dataset_figures figures = {0};
    size_t n = 0;
    char what[128];
    int rc = make_runs(b, cases[which].n_runs, cases[which].n_slots);
    if (rc == MIM_OK)
        rc = mim_agree(b->comm, mim_runs_list(b->folder, &n, &runs));
    if (rc == MIM_OK)
        rc = build(b, &figures); /* the files are in memory from now on */
    const double mb = (double)figures.bytes_in / 1e6;
    for (size_t i = 0; rc == MIM_OK && i < b->n; i++) {
        double begin_s = MPI_Wtime();
        rc = build(b, &figures);
        b->value[i] = mb / wait_for_all(b, begin_s);
        begin_s = MPI_Wtime();
        if (rc == MIM_OK)
            rc = parse_share(b, n, runs);
        b->peer[i] = mb / wait_for_all(b, begin_s);
    }
    if (rc == MIM_OK) {
        snprintf(what, sizeof what, "corpus_build: %zu made %s (%.0f KB of text each)", n,
                 cases[which].name, 1e3 * mb / (double)n);
        print_line(b, what, "MB/s of text", "the parser alone");
    }
    remove_runs(b, cases[which].n_runs);
    mim_runs_free(n, &runs);
    return rc;
}

/* ---- the write --------------------------------------------------------------------------------
 */

static int make_layout(mim_layout **layout)
{
    mim_metric metrics[N_METRICS];
    mim_actions *actions = NULL;
    for (size_t m = 0; m < N_METRICS; m++) {
        metrics[m] = (mim_metric){.unit = "1", .core = -1};
        snprintf(metrics[m].name, sizeof metrics[m].name, "made_%02zu", m);
    }
    int rc = mim_actions_builtin("20", &actions);
    if (rc == MIM_OK)
        rc = mim_layout_create(N_THREADS, actions, N_METRICS, metrics, 1.0, "made", layout);
    mim_actions_destroy(&actions);
    return rc;
}

/* This rank's share of about WRITE_BYTES. */
static int make_samples(const bench *b, const mim_layout *l, const mim_corpus_info *info,
                        mim_samples **samples)
{
    const size_t cells = l->n_threads * l->n_stressors;
    const size_t row_bytes = 18 + 9 * l->n_metrics + 8 * cells;
    size_t first = 0, count = 0;
    mim_samples *s = NULL;
    mim_share_of(WRITE_BYTES / row_bytes, b->rank, b->n_ranks, &first, &count);
    int rc = mim_samples_create(l, count, &s);
    if (rc != MIM_OK)
        return rc;
    for (size_t i = 0; i < count; i++) {
        s->plan_id[i] = first + i;
        s->n_repeats[i] = 1;
        s->has_previous[i] = 1;
        s->is_validation[i] =
            mim_corpus_is_validation(first + i, info->split_seed, info->validation_share);
        for (size_t k = 0; k < cells; k++) {
            const double u = mim_rng_u01(1, MIM_STREAM_TEST, first + i, (uint32_t)k, 0);
            s->action[i * cells + k] = (float)(u / N_THREADS);
            s->previous_action[i * cells + k] = (float)((1 - u) / N_THREADS);
        }
        for (size_t m = 0; m < l->n_metrics; m++) {
            s->metric[i * l->n_metrics + m] = s->action[i * cells + m];
            s->mask[i * l->n_metrics + m] = 1;
        }
    }
    *samples = s;
    return MIM_OK;
}

/* This rank's share of n_bytes, to where it belongs. */
static int write_share(const bench *b, const char *path, size_t n_bytes, const char *block)
{
    size_t at = 0, left = 0;
    int rc = MIM_OK, fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    mim_share_of(n_bytes, b->rank, b->n_ranks, &at, &left);
    while (fd >= 0 && left > 0) {
        const ssize_t n = pwrite(fd, block, left < BLOCK_BYTES ? left : BLOCK_BYTES, (off_t)at);
        if (n <= 0)
            break;
        at += (size_t)n;
        left -= (size_t)n;
    }
    if (fd < 0 || left > 0 || fsync(fd) != 0)
        rc = mim_fail(MIM_EIO, "%s: %s", path, strerror(errno));
    if (fd >= 0 && close(fd) != 0 && rc == MIM_OK)
        rc = mim_fail(MIM_EIO, "%s: %s", path, strerror(errno));
    return mim_agree(b->comm, rc);
}

/* Both ways one after the other: MB/s of each, and MB in the file. */
static int write_both(bench *b, const mim_layout *layout, const mim_corpus_info *info,
                      const mim_samples *samples, double *ours, double *raw, double *mb)
{
    char path[128];
    double write_s = 0;
    struct stat status = {0};
    snprintf(path, sizeof path, "%s/raw", b->folder);
    int rc = mim_corpus_mpi_write(b->comm, b->corpus, layout, info, samples, &write_s);
    if (rc == MIM_OK && stat(b->corpus, &status) != 0)
        rc = mim_fail(MIM_EIO, "%s: %s", b->corpus, strerror(errno));
    if ((rc = mim_agree(b->comm, rc)) != MIM_OK)
        return rc;
    *mb = (double)status.st_size / 1e6;
    *ours = *mb / write_s;
    const double begin_s = MPI_Wtime();
    rc = write_share(b, path, (size_t)status.st_size, (const char *)samples->action);
    *raw = *mb / wait_for_all(b, begin_s);
    if (b->rank == 0)
        unlink(path);
    MPI_Barrier(b->comm);
    return rc;
}

static int compare_writes(bench *b, const mim_layout *layout, const mim_corpus_info *info,
                          const mim_samples *samples)
{
    double mb = 0;
    char what[64];
    /* the first one makes room in memory, for both */
    int rc = write_both(b, layout, info, samples, &b->value[0], &b->peer[0], &mb);
    for (size_t i = 0; rc == MIM_OK && i < b->n; i++)
        rc = write_both(b, layout, info, samples, &b->value[i], &b->peer[i], &mb);
    if (rc == MIM_OK) {
        snprintf(what, sizeof what, "corpus_write: %.0f MB", mb);
        print_line(b, what, "MB/s", "pwrite and fsync");
    }
    return rc;
}

static int bench_write(bench *b)
{
    const mim_corpus_info info = {
        .split_seed = 42, .validation_share = 0.1, .config = "", .source = "made by rule"};
    mim_layout *layout = NULL;
    mim_samples *samples = NULL;
    int rc = make_layout(&layout);
    if (rc == MIM_OK)
        rc = make_samples(b, layout, &info, &samples);
    rc = mim_agree(b->comm, rc);
    if (rc == MIM_OK)
        rc = compare_writes(b, layout, &info, samples);
    mim_samples_destroy(&samples);
    mim_layout_destroy(&layout);
    return rc;
}

/* ---- the whole --------------------------------------------------------------------------------
 */

static int make_folder(bench *b)
{
    const char *base = getenv("TMPDIR");
    int rc = MIM_OK;
    snprintf(b->folder, sizeof b->folder, "%s/bench_corpus.XXXXXX",
             base && strlen(base) < 40 ? base : "/tmp");
    if (b->rank == 0 && !mkdtemp(b->folder))
        rc = mim_fail(MIM_EIO, "%s: %s", b->folder, strerror(errno));
    MPI_Bcast(b->folder, sizeof b->folder, MPI_CHAR, 0, b->comm);
    snprintf(b->corpus, sizeof b->corpus, "%s/corpus.h5", b->folder);
    return mim_agree(b->comm, rc);
}

static int measure(bench *b)
{
    int rc = make_folder(b);
    if (rc != MIM_OK)
        return rc;
    for (size_t i = 0; rc == MIM_OK && i < sizeof cases / sizeof *cases; i++)
        rc = bench_build(b, i);
    if (rc == MIM_OK)
        rc = bench_write(b);
    MPI_Barrier(b->comm);
    if (b->rank == 0) {
        unlink(b->corpus);
        rmdir(b->folder);
    }
    return rc;
}

static int run(MPI_Comm comm, int rank, int n_ranks, size_t n)
{
    bench *b = calloc(1, sizeof *b);
    int rc = mim_agree(comm, b ? MIM_OK : mim_fail(MIM_ENOMEM, "benchmark"));
    if (rc == MIM_OK) {
        b->comm = comm;
        b->rank = rank;
        b->n_ranks = n_ranks;
        b->n = n;
        rc = measure(b);
    }
    free(b);
    return rc;
}

int main(int argc, char **argv)
{
    static const int64_t range[2] = {1, MAX_REPETITIONS};
    return bench_mpi_main(argc, argv, "mpi_corpus", "repetitions", range, N_DEFAULT, run);
}
