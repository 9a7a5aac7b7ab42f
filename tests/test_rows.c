/* corpus/rows, diffusion/lessons, diffusion/feed: examples of a corpus in memory and of one that is
 * read ahead are the same to the bit, and what happens to the file meanwhile is told. */
#define _GNU_SOURCE /* memmem */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/rng.h"
#include "corpus/corpus.h"
#include "corpus/rows.h"
#include "diffusion/feed.h"
#include "diffusion/lessons.h"
#include "tests/support/made_rows.h"

enum { N = 700, T = 2, S = 3, D = 4, CELLS = T * S };

static char folder[64], path[128];
static mim_layout *layout;
static const mim_corpus_info info = {
    .split_seed = 3, .validation_share = 0.2, .config = "", .source = "made by rule"};

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/mim_rows.XXXXXX");
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof path, "%s/c.h5", folder);
    return made_layout(&layout);
}

static int teardown(void **state)
{
    (void)state;
    mim_layout_destroy(&layout);
    unlink(path);
    return rmdir(folder);
}

/* CPU metrics are 0 to 100, the others larger. */
static void write_corpus(void)
{
    mim_samples *s = NULL;
    assert_int_equal(mim_samples_create(layout, N, &s), MIM_OK);
    for (size_t i = 0; i < N; i++) {
        s->plan_id[i] = i / 3;
        s->window[i] = (uint32_t)(i % 3);
        s->n_repeats[i] = 4;
        s->has_previous[i] = i % 3 > 0;
        s->is_validation[i] =
            mim_corpus_is_validation(s->plan_id[i], info.split_seed, info.validation_share);
        for (size_t c = 0; c < CELLS; c++) {
            s->action[i * CELLS + c] =
                (float)(mim_rng_u01(2, MIM_STREAM_TEST, i, (uint32_t)c, 0) / 3.0);
            if (s->has_previous[i])
                s->previous_action[i * CELLS + c] = s->action[(i - 1) * CELLS + c];
        }
        for (size_t m = 0; m < D; m++) {
            if (m == 3 && i % 2)
                continue;
            s->mask[i * D + m] = 1;
            s->metric[i * D + m] =
                (float)(100 * mim_rng_u01(4, MIM_STREAM_TEST, i, (uint32_t)m, 0));
            s->spread[i * D + m] = 0.5f;
        }
    }
    if (mim_corpus_write(path, layout, &info, s) != MIM_OK)
        fail_msg("%s", mim_error());
    mim_samples_destroy(&s);
}

static mim_corpus *open_corpus(void)
{
    mim_corpus *corpus = NULL;
    if (mim_corpus_open(path, &corpus) != MIM_OK)
        fail_msg("%s", mim_error());
    return corpus;
}

static void expect_same_row(const mim_samples *a, size_t i, const mim_samples *b, size_t k)
{
    assert_true(a->plan_id[i] == b->plan_id[k] && a->has_previous[i] == b->has_previous[k] &&
                a->is_validation[i] == b->is_validation[k]);
    assert_memory_equal(a->metric + i * D, b->metric + k * D, D * sizeof *a->metric);
    assert_memory_equal(a->mask + i * D, b->mask + k * D, D);
    assert_memory_equal(a->action + i * CELLS, b->action + k * CELLS, CELLS * sizeof *a->action);
    assert_memory_equal(a->previous_action + i * CELLS, b->previous_action + k * CELLS,
                        CELLS * sizeof *a->action);
}

/* In any order, also one of them twice: what the HDF5 library reads. */
static void test_rows(void **state)
{
    (void)state;
    static const size_t which[] = {699, 0, 5, 4, 5, 350, 1};
    enum { N_WHICH = sizeof which / sizeof *which };
    mim_corpus_rows *rows = NULL;
    mim_samples *all = NULL, *some = NULL;
    uint8_t has_previous[N], is_validation[N], mask[N * D];
    float metric[N * D];
    write_corpus();
    mim_corpus *corpus = open_corpus();
    assert_int_equal(mim_corpus_read(corpus, 0, N, &all), MIM_OK);
    assert_int_equal(mim_corpus_rows_open(corpus, &rows), MIM_OK);
    assert_int_equal(mim_samples_create(layout, N_WHICH, &some), MIM_OK);
    mim_corpus_rows_announce(rows, N_WHICH, which);
    assert_int_equal(mim_corpus_rows_read(rows, N_WHICH, which, some), MIM_OK);
    for (size_t i = 0; i < N_WHICH; i++)
        expect_same_row(all, which[i], some, i);
    assert_int_equal(mim_corpus_rows_scan(rows, 0, N, metric, mask, has_previous, is_validation),
                     MIM_OK);
    assert_memory_equal(metric, all->metric, sizeof metric);
    assert_memory_equal(mask, all->mask, sizeof mask);
    assert_memory_equal(has_previous, all->has_previous, N);
    assert_memory_equal(is_validation, all->is_validation, N);
    const size_t none[1] = {N};
    assert_int_equal(mim_corpus_rows_read(rows, 1, none, some), MIM_EINVAL);
    assert_non_null(strstr(mim_error(), "sample 700 of 700"));
    assert_int_equal(mim_corpus_rows_scan(rows, 1, N, metric, mask, has_previous, is_validation),
                     MIM_EINVAL);
    mim_corpus_rows_close(&rows);
    mim_samples_destroy(&all);
    mim_samples_destroy(&some);
    mim_corpus_destroy(&corpus);
}

/* ---- the same lessons ----------------------------------------------------------------------- */

static void expect_same_examples(const mim_examples *a, const mim_examples *b)
{
    assert_int_equal(a->n, b->n);
    for (size_t i = 0; i < a->n; i++) {
        const size_t k = mim_examples_row(a, i), l = mim_examples_row(b, i);
        assert_memory_equal(a->metric + k * D, b->metric + l * D, D * sizeof *a->metric);
        assert_memory_equal(a->mask + k * D, b->mask + l * D, D);
        assert_memory_equal(a->action + k * CELLS, b->action + l * CELLS,
                            CELLS * sizeof *a->action);
        assert_memory_equal(a->previous + k * CELLS, b->previous + l * CELLS,
                            CELLS * sizeof *a->action);
        assert_int_equal(a->has_previous[k], b->has_previous[l]);
    }
}

static mim_lessons *read_lessons(mim_corpus *corpus, uint64_t max_bytes, size_t max_validation,
                                 size_t max_fit_rows)
{
    const mim_lessons_options o = {max_bytes, max_validation, max_fit_rows};
    mim_lessons *lessons = NULL;
    if (mim_lessons_read(corpus, &o, &lessons) != MIM_OK)
        fail_msg("%s", mim_error());
    assert_int_equal(lessons->samples == NULL, max_bytes == 0);
    return lessons;
}

static void test_lessons(void **state)
{
    (void)state;
    static const size_t limits[][2] = {{SIZE_MAX, SIZE_MAX}, {10, 20}, {1, 1}};
    write_corpus();
    mim_corpus *corpus = open_corpus();
    for (size_t i = 0; i < 3; i++) {
        mim_lessons *memory = read_lessons(corpus, 1 << 30, limits[i][0], limits[i][1]);
        mim_lessons *file = read_lessons(corpus, 0, limits[i][0], limits[i][1]);
        assert_int_equal(memory->n_train + memory->n_validation, N);
        assert_int_equal(memory->n_train, file->n_train);
        assert_true(memory->n_validation > N / 10 && memory->n_validation < N / 3);
        assert_memory_equal(memory->train_rows, file->train_rows,
                            memory->n_train * sizeof *memory->train_rows);
        expect_same_examples(&memory->validation, &file->validation);
        expect_same_examples(&memory->fit, &file->fit);
        if (i == 0) {
            assert_int_equal(memory->validation.n, memory->n_validation);
            assert_int_equal(memory->fit.n, memory->n_train);
        } else if (i == 1) {
            assert_int_equal(memory->validation.n, 10);
            assert_int_equal(memory->fit.n, 11); /* 20 / 2 threads and one */
        }
        mim_lessons_destroy(&memory);
        mim_lessons_destroy(&file);
    }
    mim_corpus_destroy(&corpus);
}

/* ---- the same batches ----------------------------------------------------------------------- */

static mim_feed *make_feed(const mim_lessons *l, const mim_order *order, mim_feed_options o,
                           mim_examples *all)
{
    mim_feed *feed = NULL;
    int rc;
    if (l->samples) {
        *all = mim_examples_of_samples(l->samples);
        all->n = l->n_train;
        all->rows = l->train_rows;
        rc = mim_feed_of_examples(&o, order, all, &feed);
    } else {
        rc = mim_feed_of_corpus(&o, order, layout, l->train_rows, l->rows, &feed);
    }
    if (rc != MIM_OK)
        fail_msg("%s", mim_error());
    return feed;
}

/* Whatever is read ahead, by however many, with and without weights: batches are those of memory,
 * step after step, and also when steps are asked for in another order. */
static void test_batches(void **state)
{
    (void)state;
    static const uint64_t steps[] = {5, 6, 7, 8, 9, 9, 10, 30, 31, 2, 3, 100, 99, 100};
    static const size_t parts[][2] = {{0, 4}, {0, 2}, {2, 2}, {3, 1}};
    const mim_weighting weighted = {.high_io = 3, .io_threshold_kbs = 50, .tail = 1, .previous = 2};
    write_corpus();
    mim_corpus *corpus = open_corpus();
    mim_domain *domain = NULL;
    assert_int_equal(mim_domain_of_corpus(corpus, &domain), MIM_OK);
    mim_lessons *memory = read_lessons(corpus, 1 << 30, 10, 10);
    for (size_t k = 0; k < 8; k++) {
        mim_lessons *file = read_lessons(corpus, 0, 10, 10);
        const mim_weighting *w = k % 2 ? &weighted : &mim_weighting_none;
        mim_order *of_memory = NULL, *of_file = NULL;
        mim_examples all, none, a, b;
        assert_int_equal(mim_lessons_order(memory, domain, w, 7, &of_memory), MIM_OK);
        assert_int_equal(mim_lessons_order(file, domain, w, 7, &of_file), MIM_OK);
        const mim_feed_options o = {32, 4, parts[k / 2][0], parts[k / 2][1], 1 + k % 3};
        mim_feed *from_memory = make_feed(memory, of_memory, o, &all);
        mim_feed *from_file = make_feed(file, of_file, o, &none);
        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
            for (size_t shard = o.first; shard < o.first + o.count; shard++) {
                assert_int_equal(mim_feed_shard(from_memory, steps[i], shard, &a), MIM_OK);
                assert_int_equal(mim_feed_shard(from_file, steps[i], shard, &b), MIM_OK);
                assert_int_equal(a.n, 8);
                expect_same_examples(&a, &b);
            }
        assert_true(mim_feed_wait_s(from_file) > 0 && mim_feed_wait_s(from_memory) == 0);
        mim_feed_destroy(&from_memory);
        mim_feed_destroy(&from_file);
        mim_order_destroy(&of_memory);
        mim_order_destroy(&of_file);
        mim_lessons_destroy(&file);
    }
    mim_lessons_destroy(&memory);
    mim_domain_destroy(&domain);
    mim_corpus_destroy(&corpus);
}

/* A corpus of which nothing stays in memory, and an order of its examples. */
typedef struct on_disk {
    mim_corpus *corpus;
    mim_lessons *lessons;
    mim_order *order;
} on_disk;

static on_disk open_on_disk(void)
{
    on_disk d = {NULL, NULL, NULL};
    write_corpus();
    d.corpus = open_corpus();
    d.lessons = read_lessons(d.corpus, 0, 10, 10);
    assert_int_equal(mim_order_create(1, d.lessons->n_train, NULL, &d.order), MIM_OK);
    return d;
}

static void close_on_disk(on_disk *d)
{
    mim_order_destroy(&d->order);
    mim_lessons_destroy(&d->lessons);
    mim_corpus_destroy(&d->corpus);
}

/* A feed that was never asked, or is destroyed while it reads. */
static void test_ends(void **state)
{
    (void)state;
    on_disk d = open_on_disk();
    mim_examples examples;
    for (uint64_t i = 0; i < 20; i++) {
        mim_feed *feed =
            make_feed(d.lessons, d.order, (mim_feed_options){64, 1, 0, 1, 1 + i}, &examples);
        if (i % 2)
            assert_int_equal(mim_feed_shard(feed, i, 0, &examples), MIM_OK);
        mim_feed_destroy(&feed);
    }
    mim_feed *feed = make_feed(d.lessons, d.order, (mim_feed_options){64, 4, 1, 2, 2}, &examples);
    assert_int_equal(mim_feed_shard(feed, 0, 0, &examples), MIM_EINVAL); /* another's shard */
    assert_int_equal(mim_feed_shard(feed, 0, 4, &examples), MIM_EINVAL);
    mim_feed_destroy(&feed);
    static const mim_feed_options bad[] = {
        {0, 1, 0, 1, 1}, {10, 3, 0, 3, 1}, {8, 2, 1, 2, 1}, {8, 2, 3, 0, 1}, {8, 2, 0, 2, 0}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(mim_feed_of_corpus(&bad[i], d.order, layout, d.lessons->train_rows,
                                            d.lessons->rows, &feed),
                         MIM_EINVAL);
    assert_null(feed);
    close_on_disk(&d);
}

/* Steps after the one asked for come to be there without being asked for, and no more than that. */
static void test_reads_ahead(void **state)
{
    (void)state;
    enum { N_AHEAD = 3 };
    const struct timespec pause = {0, 1000 * 1000};
    on_disk d = open_on_disk();
    mim_examples examples;
    mim_feed *feed =
        make_feed(d.lessons, d.order, (mim_feed_options){64, 1, 0, 1, N_AHEAD}, &examples);
    assert_int_equal(mim_feed_n_ahead(feed), 0);
    for (uint64_t step = 0; step < 3; step++) {
        const int64_t end_ns = mim_clock_mono_ns() + 10 * MIM_NS_PER_S;
        assert_int_equal(mim_feed_shard(feed, step, 0, &examples), MIM_OK);
        while (mim_feed_n_ahead(feed) < N_AHEAD && mim_clock_mono_ns() < end_ns)
            nanosleep(&pause, NULL);
        assert_int_equal(mim_feed_n_ahead(feed), N_AHEAD);
    }
    mim_feed_destroy(&feed);
    close_on_disk(&d);
}

/* ---- what happens to the file --------------------------------------------------------------- */

/* Steps until one fails; what was read ahead is still given. */
static int step_until_failure(mim_feed *feed)
{
    mim_examples examples;
    int rc = MIM_OK;
    for (uint64_t step = 1; rc == MIM_OK && step < 50; step++)
        rc = mim_feed_shard(feed, step, 0, &examples);
    return rc;
}

static void cut(void) { assert_int_equal(truncate(path, 3000), 0); }

static void scribble(void)
{
    const int fd = open(path, O_WRONLY);
    assert_true(fd >= 0 && pwrite(fd, "x", 1, 2000) == 1 && close(fd) == 0);
}

static void touch_it(void)
{
    const struct timespec times[2] = {{1000, 0}, {1000, 0}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void test_changed_file(void **state)
{
    (void)state;
    static const struct {
        void (*change)(void);
        const char *part;
    } cases[] = {{cut, "c.h5: was "},
                 {scribble, "changed while it was in use"},
                 {touch_it, "changed while it was in use"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        on_disk d = open_on_disk();
        mim_examples examples;
        mim_feed *feed =
            make_feed(d.lessons, d.order, (mim_feed_options){64, 2, 0, 2, 2}, &examples);
        assert_int_equal(mim_feed_shard(feed, 0, 1, &examples), MIM_OK);
        cases[i].change();
        assert_int_equal(step_until_failure(feed), MIM_EDATA);
        if (!strstr(mim_error(), cases[i].part))
            fail_msg("%s", mim_error());
        mim_feed_destroy(&feed);
        close_on_disk(&d);
    }
}

/* Another file of the same name is another file: the one that was opened goes on. */
static void test_replaced_file(void **state)
{
    (void)state;
    on_disk d = open_on_disk();
    mim_examples examples;
    mim_feed *feed = make_feed(d.lessons, d.order, (mim_feed_options){64, 2, 0, 2, 2}, &examples);
    write_corpus(); /* atomic */
    assert_int_equal(step_until_failure(feed), MIM_OK);
    mim_feed_destroy(&feed);
    close_on_disk(&d);
}

/* Values that no corpus holds are found where they are read: a share of 2 in sample 4. */
static void test_bad_values(void **state)
{
    (void)state;
    static const size_t fine[] = {3, 5}, bad[] = {4};
    mim_corpus_rows *rows = NULL;
    mim_samples *all = NULL, *some = NULL;
    write_corpus();
    mim_corpus *corpus = open_corpus();
    assert_int_equal(mim_corpus_read(corpus, 4, 1, &all), MIM_OK);
    mim_corpus_destroy(&corpus);
    const int fd = open(path, O_RDWR);
    struct stat about;
    assert_true(fd >= 0 && fstat(fd, &about) == 0);
    char *bytes = malloc((size_t)about.st_size);
    assert_non_null(bytes);
    assert_true(pread(fd, bytes, (size_t)about.st_size, 0) == about.st_size);
    char *place = memmem(bytes, (size_t)about.st_size, all->action, CELLS * sizeof *all->action);
    assert_non_null(place);
    const float two = 2;
    assert_true(pwrite(fd, &two, sizeof two, place - bytes) == sizeof two && close(fd) == 0);
    free(bytes);
    corpus = open_corpus();
    assert_int_equal(mim_corpus_rows_open(corpus, &rows), MIM_OK);
    assert_int_equal(mim_samples_create(layout, 2, &some), MIM_OK);
    assert_int_equal(mim_corpus_rows_read(rows, 2, fine, some), MIM_OK);
    assert_int_equal(mim_corpus_rows_read(rows, 1, bad, some), MIM_EDATA);
    assert_non_null(strstr(mim_error(), "c.h5: sample 4: action of thread 0, stressor 0 is 2"));
    mim_corpus_rows_close(&rows);
    mim_samples_destroy(&all);
    mim_samples_destroy(&some);
    mim_corpus_destroy(&corpus);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),         cmocka_unit_test(test_lessons),
        cmocka_unit_test(test_batches),      cmocka_unit_test(test_ends),
        cmocka_unit_test(test_changed_file), cmocka_unit_test(test_replaced_file),
        cmocka_unit_test(test_reads_ahead),  cmocka_unit_test(test_bad_values),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
