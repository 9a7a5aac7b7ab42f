/* How long a training step's examples take from a corpus that is read as it is needed, by the size
 * of the corpus: read and nothing else, from the page cache and from the disk (pages dropped
 * first); and what a step has to wait for them when it computes for a while itself, as the reading
 * thread is some steps ahead. Peer: the same number of examples from a corpus of the smallest size.
 * The corpus is made by rule, nothing in it was measured. One JSON object a line. usage:
 * bench_input [STEPS]     the files, 1.3 GB at most, go to TMPDIR or /tmp */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/rng.h"
#include "core/text.h"
#include "corpus/corpus_internal.h"
#include "diffusion/feed.h"
#include "diffusion/lessons.h"
#include "tests/support/bench.h"

enum { T = 6, S = 20, D = T + 8, CELLS = T * S, BATCH = 256, AHEAD = 2, BLOCK = 10000 };
enum { N_DEFAULT = 101, N_MAX = 1000, STEP_NS = 50000000 };

static const struct {
    const char *name;
    size_t n;
} sizes[] = {{"1e4", 10000}, {"1e6", 1000000}};

static const mim_corpus_info info = {1, 0.1, "", "made by rule for benchmarks"};

/* ---- the corpus ----------------------------------------------------------------------------- */

static int make_layout(mim_layout **layout)
{
    static const char *const others[D - T] = {"io_read",
                                              "io_write",
                                              "l3_cache_usage",
                                              "memory_bandwidth_read",
                                              "memory_bandwidth_write",
                                              "pqos_ipc",
                                              "pqos_llc_kb",
                                              "pqos_misses"};
    mim_metric metrics[D];
    mim_actions *actions = NULL;
    for (int t = 0; t < T; t++)
        metrics[t] = mim_metric_of_core(t, T - 1);
    for (size_t m = 0; m < D - T; m++) {
        metrics[T + m] = (mim_metric){"", "", MIM_FAMILY_CACHE, MIM_TIER_PROC, -1};
        snprintf(metrics[T + m].name, sizeof metrics[T + m].name, "%s", others[m]);
    }
    int rc = mim_actions_builtin("20", &actions);
    if (rc == MIM_OK)
        rc = mim_layout_create(T, actions, D, metrics, 1, "made by rule", layout);
    mim_actions_destroy(&actions);
    return rc;
}

static void fill(size_t first, mim_samples *s)
{
    for (size_t i = 0; i < s->n; i++) {
        s->plan_id[i] = (first + i) / 2;
        s->is_validation[i] =
            mim_corpus_is_validation(s->plan_id[i], info.split_seed, info.validation_share);
        s->has_previous[i] = 1;
        for (size_t c = 0; c < CELLS; c++)
            s->action[i * CELLS + c] = s->previous_action[i * CELLS + c] =
                (float)((first + i + c) % 40) / 1000;
        for (size_t m = 0; m < D; m++) {
            s->mask[i * D + m] = 1;
            s->metric[i * D + m] = (float)((first + 7 * i + m) % 100);
        }
    }
}

/* A block at a time, so that the whole never stands in memory. */
static int make_corpus(const char *path, const mim_layout *layout, size_t n)
{
    double low[D] = {0}, high[D];
    const mim_tally ranges = {.min = low, .max = high}; /* without digests */
    mim_column columns[MIM_CORPUS_N_COLUMNS];
    void *buffers[MIM_CORPUS_N_COLUMNS];
    mim_samples *block = NULL;
    mim_table *table = NULL;
    for (size_t m = 0; m < D; m++)
        high[m] = 99;
    mim_corpus_columns(layout, columns);
    int rc = mim_corpus_make(path, layout, &info, n, &ranges);
    if (rc == MIM_OK)
        rc = mim_samples_create(layout, BLOCK, &block);
    if (rc == MIM_OK)
        rc = mim_table_open(path, true, H5P_DEFAULT, H5P_DEFAULT, MIM_CORPUS_N_COLUMNS, columns, n,
                            &table);
    for (size_t at = 0; rc == MIM_OK && at < n; at += BLOCK) {
        fill(at, block);
        mim_corpus_buffers(layout, block, 0, buffers);
        rc = mim_table_write(table, at, BLOCK, buffers);
    }
    if (rc == MIM_OK)
        rc = mim_table_close(&table);
    mim_table_close(&table);
    mim_samples_destroy(&block);
    return rc == MIM_OK ? mim_sync_path(path) : rc;
}

/* ---- measuring ------------------------------------------------------------------------------ */

typedef struct subject {
    const char *path;
    mim_corpus *corpus;
    mim_lessons *lessons;
    mim_order *order;
    mim_feed *feed;
} subject;

static int open_subject(const char *path, subject *s)
{
    const mim_lessons_options o = {0, 1000, 1000};
    const mim_feed_options feed = {BATCH, 1, 0, 1, AHEAD};
    *s = (subject){.path = path};
    int rc = mim_corpus_open(path, &s->corpus);
    if (rc == MIM_OK)
        rc = mim_lessons_read(s->corpus, &o, &s->lessons);
    if (rc == MIM_OK)
        rc = mim_order_create(1, s->lessons->n_train, NULL, &s->order);
    return rc == MIM_OK ? mim_feed_of_corpus(&feed, s->order, mim_corpus_layout(s->corpus),
                                             s->lessons->train_rows, s->lessons->rows, &s->feed)
                        : rc;
}

static void close_subject(subject *s)
{
    mim_feed_destroy(&s->feed);
    mim_order_destroy(&s->order);
    mim_lessons_destroy(&s->lessons);
    mim_corpus_destroy(&s->corpus);
}

static void read_through(const char *path, bool then_drop)
{
    static char bytes[1 << 20];
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    while (!then_drop && fd >= 0 && read(fd, bytes, sizeof bytes) > 0)
        ;
    if (then_drop && fd >= 0)
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    if (fd >= 0)
        close(fd);
}

/* Computes for a while. */
static void compute(void)
{
    static volatile double x = 1;
    const int64_t until_ns = mim_clock_mono_ns() + STEP_NS;
    while (mim_clock_mono_ns() < until_ns)
        for (int i = 0; i < 1000; i++)
            x = x * 0.999 + 1;
}

/* Milliseconds that each of n steps waits. */
static int wait_of_steps(const char *path, bool computes, bool is_cached, size_t n, double *values)
{
    subject s;
    mim_examples examples;
    int rc = open_subject(path, &s);
    read_through(path, !is_cached);
    for (size_t step = 0; rc == MIM_OK && step < n + AHEAD; step++) {
        const double before_s = s.feed ? mim_feed_wait_s(s.feed) : 0;
        rc = mim_feed_shard(s.feed, step, 0, &examples);
        if (step >= AHEAD)
            values[step - AHEAD] = 1e3 * (mim_feed_wait_s(s.feed) - before_s);
        if (computes)
            compute();
    }
    close_subject(&s);
    return rc;
}

static int bench(const char *name, const char *path, const char *size, bool computes,
                 bool is_cached, size_t n, double *peer)
{
    double values[N_MAX], spread = 0;
    char text[96];
    int rc = wait_of_steps(path, computes, is_cached, n, values);
    if (rc != MIM_OK)
        return rc;
    const double value = bench_median(n, values, &spread);
    snprintf(text, sizeof text, "train_input_%s_%s", name, size);
    bench_line(text, value, "ms/step of 256", *peer, *peer > 0 ? value / *peer : 0, n, spread, "");
    if (!(*peer > 0))
        *peer = value;
    return MIM_OK;
}

static int run(const char *folder, size_t n)
{
    mim_layout *layout = NULL;
    double peers[3] = {0};
    int rc = make_layout(&layout);
    for (size_t i = 0; rc == MIM_OK && i < sizeof sizes / sizeof *sizes; i++) {
        char *path = mim_format("%s/corpus-%s.h5", folder, sizes[i].name);
        rc = path ? make_corpus(path, layout, sizes[i].n) : mim_fail(MIM_ENOMEM, "file name");
        if (rc == MIM_OK)
            rc = bench("cached", path, sizes[i].name, false, true, n, &peers[0]);
        if (rc == MIM_OK)
            rc = bench("disk", path, sizes[i].name, false, false, n, &peers[1]);
        if (rc == MIM_OK)
            rc = bench("beside_50ms", path, sizes[i].name, true, true, n / 4 + 1, &peers[2]);
        if (path)
            unlink(path);
        free(path);
    }
    mim_layout_destroy(&layout);
    return rc;
}

int main(int argc, char **argv)
{
    const char *parent = getenv("TMPDIR");
    const long n = argc > 1 ? strtol(argv[1], NULL, 10) : N_DEFAULT;
    char *folder = mim_format("%s/mim_input.XXXXXX", parent && *parent ? parent : "/tmp");
    if (n < 4 || n > N_MAX || !folder || !mkdtemp(folder)) {
        fprintf(stderr, "usage: bench_input [4 to %d STEPS]; files go to TMPDIR\n", N_MAX);
        free(folder);
        return 2;
    }
    const int rc = run(folder, (size_t)n);
    if (rc != MIM_OK)
        fprintf(stderr, "bench_input: %s\n", mim_error());
    rmdir(folder);
    free(folder);
    return rc == MIM_OK ? 0 : 1;
}
