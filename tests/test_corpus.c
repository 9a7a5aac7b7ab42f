/* corpus/corpus and corpus/layout: round trips, the split, and what is refused. */
#define _DEFAULT_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/atomic_file.h"
#include "core/h5.h"
#include "core/rng.h"
#include "corpus/corpus_internal.h"
#include "tests/support/flipped.h"
#include "tests/support/made_rows.h"

enum { N = 500, T = 2, S = 3, D = 4 };

static char folder[64], path[128], csv[128];
static mim_layout *layout;
static const mim_corpus_info info = {.split_seed = UINT64_C(1) << 63,
                                     .validation_share = 0.25,
                                     .config = "[dataset]\nseed = 1\n",
                                     .source = "made by rule"};

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/mim_corpus.XXXXXX");
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof path, "%s/c.h5", folder);
    snprintf(csv, sizeof csv, "%s/c.csv", folder);
    return made_layout(&layout);
}

static int teardown(void **state)
{
    (void)state;
    mim_layout_destroy(&layout);
    unlink(path);
    unlink(csv);
    return rmdir(folder);
}

static mim_samples *make(void)
{
    mim_samples *s = NULL;
    assert_int_equal(mim_samples_create(layout, N, &s), MIM_OK);
    for (size_t i = 0; i < N; i++) {
        s->plan_id[i] = UINT64_MAX - i / 3;
        s->window[i] = (uint32_t)(i % 3);
        s->n_repeats[i] = 4;
        s->has_previous[i] = i % 3 > 0;
        s->is_validation[i] =
            mim_corpus_is_validation(s->plan_id[i], info.split_seed, info.validation_share);
        for (size_t c = 0; c < T * S; c++) {
            s->action[i * T * S + c] =
                (float)(mim_rng_u01(2, MIM_STREAM_TEST, i, (uint32_t)c, 0) / 3.0);
            if (s->has_previous[i])
                s->previous_action[i * T * S + c] = s->action[(i - 1) * T * S + c];
        }
        for (size_t m = 0; m < D - 1; m++) { /* the last metric is never there */
            if (m == 1 && i % 2)
                continue;
            s->mask[i * D + m] = 1;
            s->metric[i * D + m] = (float)i - 100.0f * (float)m;
            s->spread[i * D + m] = 0.5f;
        }
    }
    return s;
}

static void expect_equal(const mim_samples *a, const mim_samples *b, size_t first)
{
    void *x[MIM_CORPUS_N_COLUMNS], *y[MIM_CORPUS_N_COLUMNS];
    mim_column columns[MIM_CORPUS_N_COLUMNS];
    mim_corpus_columns(layout, columns);
    mim_corpus_buffers(layout, a, first, x);
    mim_corpus_buffers(layout, b, 0, y);
    for (size_t c = 0; c < MIM_CORPUS_N_COLUMNS; c++)
        assert_memory_equal(x[c], y[c], b->n * mim_column_row_bytes(&columns[c]));
}

static void round_trip(void **state)
{
    (void)state;
    mim_samples *samples = make(), *read = NULL;
    mim_corpus *corpus = NULL;
    assert_int_equal(mim_corpus_write(path, layout, &info, samples), MIM_OK);
    assert_int_equal(mim_corpus_open(path, &corpus), MIM_OK);
    assert_int_equal(mim_corpus_n_samples(corpus), N);
    assert_int_equal(mim_layout_compare(layout, mim_corpus_layout(corpus), "it", true), MIM_OK);
    const mim_corpus_info *about = mim_corpus_about(corpus);
    assert_true(about->split_seed == info.split_seed && about->validation_share == 0.25);
    assert_string_equal(about->config, info.config);
    assert_string_equal(about->source, info.source);
    assert_int_equal(mim_corpus_read(corpus, 0, N, &read), MIM_OK);
    expect_equal(samples, read, 0);
    mim_samples_destroy(&read);
    assert_int_equal(mim_corpus_read(corpus, 123, 45, &read), MIM_OK);
    assert_int_equal(read->n, 45);
    expect_equal(samples, read, 123);
    mim_samples_destroy(&read);
    assert_int_equal(mim_corpus_read(corpus, 400, 101, &read), MIM_EINVAL);
    assert_int_equal(mim_corpus_check(corpus), MIM_OK);

    const double *min = mim_corpus_range_min(corpus), *max = mim_corpus_range_max(corpus);
    assert_true(min[0] == 0 && max[0] == N - 1);
    assert_true(min[1] == -100 && max[1] == N - 2 - 100); /* present in even samples */
    assert_true(isnan(min[3]) && isnan(max[3]));
    mim_corpus_destroy(&corpus);
    mim_samples_destroy(&samples);
}

static void the_split_is_by_plan(void **state)
{
    (void)state;
    size_t n_in = 0, n_moved = 0;
    for (uint64_t plan = 0; plan < 10000; plan++) {
        const bool side = mim_corpus_is_validation(plan, 7, 0.2);
        n_in += side;
        n_moved += side != mim_corpus_is_validation(plan, 8, 0.2);
        assert_true(!side || mim_corpus_is_validation(plan, 7, 0.3)); /* grows, does not jump */
        assert_false(mim_corpus_is_validation(plan, 7, 0.0));
        assert_true(mim_corpus_is_validation(plan, 7, 1.0));
    }
    assert_in_range(n_in, 1840, 2160); /* 4 standard deviations */
    assert_in_range(n_moved, 3000, 3400);
}

static void refuses_bad_samples(void **state)
{
    (void)state;
    for (int how = 0; how < 9; how++) {
        mim_samples *s = make();
        switch (how) {
        case 0:
            s->is_validation[7] = !s->is_validation[7];
            break;
        case 1:
            s->metric[1 * D + 1] = 3; /* is said to be absent */
            break;
        case 2:
            s->metric[0] = NAN;
            break;
        case 3:
            s->mask[0] = 2;
            break;
        case 4:
            s->action[5] = 1.5f;
            break;
        case 5:
            s->previous_action[0] = 0.5f; /* has none */
            break;
        case 6:
            s->spread[0] = -1;
            break;
        case 7:
            s->has_previous[1] = 2;
            break;
        default:
            s->n = 0;
        }
        unlink(path);
        assert_int_equal(mim_corpus_write(path, layout, &info, s), MIM_EINVAL);
        assert_int_not_equal(access(path, F_OK), 0);
        s->n = N;
        mim_samples_destroy(&s);
    }
}

static void other_versions_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *schema;
        int version;
        const char *part;
    } table[] = {
        {MIM_CORPUS_SCHEMA, 3, "mimesys_corpus of version 3, this program knows versions 1 to 2"},
        {MIM_CORPUS_SCHEMA, 0, "mimesys_corpus of version 0, this program knows versions 1 to 2"},
        {"mimesys_campaign", 1, "holds \"mimesys_campaign\", expected a training corpus"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        mim_h5 *file = NULL;
        mim_corpus *corpus = NULL;
        assert_int_equal(mim_h5_create(path, table[i].schema, table[i].version, "", &file), MIM_OK);
        assert_int_equal(mim_h5_commit(&file), MIM_OK);
        assert_int_equal(mim_corpus_open(path, &corpus), MIM_EDATA);
        assert_non_null(strstr(mim_error(), path));
        assert_non_null(strstr(mim_error(), table[i].part));
    }
}

/* Overwrites rows of the file behind the module's back. */
static void tamper(mim_samples *s)
{
    mim_column columns[MIM_CORPUS_N_COLUMNS];
    void *buffers[MIM_CORPUS_N_COLUMNS];
    mim_table *table = NULL;
    mim_corpus_columns(layout, columns);
    mim_corpus_buffers(layout, s, 0, buffers);
    assert_int_equal(mim_table_open(path, true, H5P_DEFAULT, H5P_DEFAULT, MIM_CORPUS_N_COLUMNS,
                                    columns, N, &table),
                     MIM_OK);
    assert_int_equal(mim_table_write(table, 0, N, buffers), MIM_OK);
    assert_int_equal(mim_table_close(&table), MIM_OK);
}

/* A file of version 1, without digests. */
static void write_old(const mim_samples *s)
{
    mim_tally *tally = NULL;
    assert_int_equal(mim_tally_create(layout, N, 0, &tally), MIM_OK);
    mim_tally_add(tally, layout, s, 0);
    mim_tally_finish(tally);
    assert_int_equal(mim_corpus_make(path, layout, &info, N, tally), MIM_OK);
    mim_tally_destroy(&tally);
}

/* Digests tell that they were changed; without, their values may. */
static void check_finds_changed_values(void **state)
{
    (void)state;
    for (int how = 0; how < 8; how++) {
        mim_samples *s = make();
        mim_corpus *corpus = NULL;
        const bool has_digests = how >= 4;
        if (has_digests)
            assert_int_equal(mim_corpus_write(path, layout, &info, s), MIM_OK);
        else
            write_old(s);
        if (how % 4 == 0)
            s->metric[400 * D] = 1e6f; /* beyond the range that the file tells */
        else if (how % 4 == 1)
            s->mask[3 * D] = 7;
        else if (how % 4 == 2)
            s->action[0] = NAN;
        else
            s->is_validation[9] = !s->is_validation[9];
        tamper(s);
        assert_int_equal(mim_corpus_open(path, &corpus), MIM_OK);
        assert_int_equal(mim_corpus_version(corpus), has_digests ? 2 : 1);
        assert_int_equal(mim_corpus_check(corpus), has_digests ? MIM_EDATA : MIM_ECHECK);
        mim_corpus_destroy(&corpus);
        mim_samples_destroy(&s);
    }
}

static int look_through(void)
{
    mim_corpus *corpus = NULL;
    int rc = mim_corpus_open(path, &corpus);
    if (rc == MIM_OK)
        rc = mim_corpus_check(corpus);
    mim_corpus_destroy(&corpus);
    return rc;
}

/* One byte of any dataset, in turn; the block of samples is named. */
static void check_names_damaged_bytes(void **state)
{
    (void)state;
    enum { SAMPLE = 300 };
    flipped_place places[FLIPPED_MAX];
    mim_samples *s = make();
    assert_int_equal(mim_corpus_write(path, layout, &info, s), MIM_OK);
    mim_samples_destroy(&s);
    const size_t n = flipped_places(path, places);
    assert_int_equal(n, MIM_CORPUS_N_COLUMNS + 8);
    for (size_t i = 0; i < n; i++) {
        const bool has_samples = places[i].n_bytes >= N; /* the other ones are smaller */
        const size_t sample_bytes = places[i].n_bytes / N;
        const uint64_t place =
            places[i].place + (has_samples ? (SAMPLE + 1) * sample_bytes : places[i].n_bytes) - 1;
        assert_int_equal(flip_byte(path, place), 0);
        if (look_through() != MIM_EDATA || !strstr(mim_error(), path) ||
            !strstr(mim_error(), places[i].name) || !strstr(mim_error(), "is damaged") ||
            (has_samples && !strstr(mim_error(), "in samples 256 to 499:")))
            fail_msg("%s: \"%s\"", places[i].name, mim_error());
        assert_int_equal(flip_byte(path, place), 0);
        assert_int_equal(look_through(), MIM_OK);
    }
}

/* What mim_corpus_read says of samples [first, first + n). */
static int read_through(size_t first, size_t n)
{
    mim_corpus *corpus = NULL;
    mim_samples *samples = NULL;
    int rc = mim_corpus_open(path, &corpus);
    if (rc == MIM_OK)
        rc = mim_corpus_read(corpus, first, n, &samples);
    mim_samples_destroy(&samples);
    mim_corpus_destroy(&corpus);
    return rc;
}

/* One byte of any sample array: what is learned from is compared as mim_corpus_check does. */
static void reading_names_damaged_bytes(void **state)
{
    (void)state;
    enum { SAMPLE = 300 };
    static const struct {
        size_t first, n;
    } parts[] = {{0, N}, {10, N - 10}, {256, N - 256}}; /* with all of block 1 */
    flipped_place places[FLIPPED_MAX];
    mim_samples *s = make();
    size_t n_arrays = 0;
    assert_int_equal(mim_corpus_write(path, layout, &info, s), MIM_OK);
    mim_samples_destroy(&s);
    const size_t n = flipped_places(path, places);
    for (size_t i = 0; i < n; i++) {
        if (places[i].n_bytes < N)
            continue;
        const uint64_t place = places[i].place + (SAMPLE + 1) * (places[i].n_bytes / N) - 1;
        char sentence[MIM_ERROR_TEXT_BYTES];
        n_arrays++;
        assert_int_equal(flip_byte(path, place), 0);
        assert_int_equal(look_through(), MIM_EDATA);
        strcpy(sentence, mim_error());
        for (size_t k = 0; k < sizeof parts / sizeof *parts; k++)
            if (read_through(parts[k].first, parts[k].n) != MIM_EDATA ||
                strcmp(mim_error(), sentence) != 0)
                fail_msg("%s: \"%s\"", places[i].name, mim_error());
        assert_int_equal(read_through(0, 256), MIM_OK); /* the other block */
        assert_int_equal(flip_byte(path, place), 0);
        for (size_t k = 0; k < sizeof parts / sizeof *parts; k++)
            assert_int_equal(read_through(parts[k].first, parts[k].n), MIM_OK);
    }
    assert_int_equal(n_arrays, MIM_CORPUS_N_COLUMNS);
}

static void reading_takes_files_without_digests(void **state)
{
    (void)state;
    mim_samples *s = make();
    write_old(s);
    s->spread[7 * D] = 3; /* nothing tells */
    tamper(s);
    assert_int_equal(read_through(0, N), MIM_OK);
    s->action[0] = NAN;
    tamper(s);
    assert_int_equal(read_through(0, N), MIM_EDATA);
    mim_samples_destroy(&s);
}

/* However many samples, the digests stay few. */
static void blocks_are_few(void **state)
{
    (void)state;
    for (size_t n = 1; n < SIZE_MAX / 4; n = 3 * n + 1) {
        const size_t rows = mim_corpus_block_rows(n);
        assert_true(rows >= 1 && n / rows < 65536);
        assert_true(rows == 256 || n / rows >= 32768); /* not larger than needed */
    }
}

static void damaged_files_are_refused(void **state)
{
    (void)state;
    mim_samples *s = make();
    struct stat status;
    assert_int_equal(mim_corpus_write(path, layout, &info, s), MIM_OK);
    mim_samples_destroy(&s);
    assert_int_equal(stat(path, &status), 0);
    for (off_t size = status.st_size - 1; size > 0; size = size / 3 * 2) {
        mim_corpus *corpus = NULL;
        assert_int_equal(truncate(path, size), 0);
        const int rc = mim_corpus_open(path, &corpus);
        assert_true(rc == MIM_EDATA || rc == MIM_EIO);
    }
}

static void csv_has_every_sample(void **state)
{
    (void)state;
    mim_samples *s = make();
    mim_corpus *corpus = NULL;
    char *text = NULL;
    size_t n_bytes = 0, n_lines = 0;
    assert_int_equal(mim_corpus_write(path, layout, &info, s), MIM_OK);
    assert_int_equal(mim_corpus_open(path, &corpus), MIM_OK);
    assert_int_equal(mim_corpus_write_csv(corpus, csv), MIM_OK);
    assert_int_equal(mim_read_file(csv, 1 << 24, &text, &n_bytes), MIM_OK);
    for (char *at = text; *at; at++)
        n_lines += *at == '\n';
    assert_int_equal(n_lines, N + 1);
    assert_memory_equal(text, "plan_id,window,n_repeats,has_previous,is_validation,", 51);
    /* sample 1: metric 1 and 3 are absent, two empty fields each */
    char *second = strchr(strchr(text, '\n') + 1, '\n') + 1;
    assert_int_equal(strncmp(second, "18446744073709551615,1,4,1,", 27), 0);
    second[strcspn(second, "\n")] = 0;
    assert_non_null(strstr(second, ",1,0.5,,,-199,0.5,,,"));
    free(text);
    mim_corpus_destroy(&corpus);
    mim_samples_destroy(&s);
}

static void identity_follows_content(void **state)
{
    (void)state;
    mim_samples *s = make();
    uint64_t hashes[3];
    for (int i = 0; i < 3; i++) {
        mim_corpus *corpus = NULL;
        if (i == 2)
            s->metric[0] = -5;
        assert_int_equal(mim_corpus_write(path, layout, &info, s), MIM_OK);
        assert_int_equal(mim_corpus_open(path, &corpus), MIM_OK);
        hashes[i] = mim_corpus_hash(corpus);
        mim_corpus_destroy(&corpus);
    }
    assert_true(hashes[0] == hashes[1] && hashes[1] != hashes[2]);
    mim_samples_destroy(&s);
}

/* Attributes as older or broken writers leave them, without a seal; NULL: none. */
static void write_sizes(const mim_samples *s, const char *word)
{
    assert_int_equal(mim_corpus_write(path, layout, &info, s), MIM_OK);
    const hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    assert_true(file >= 0);
    assert_true(H5Adelete(file, "stressor_sizes") >= 0);
    if (word) {
        const hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
        assert_true(H5Tset_size(type, strlen(word) + 1) >= 0);
        const hid_t made =
            H5Acreate2(file, "stressor_sizes", type, space, H5P_DEFAULT, H5P_DEFAULT);
        assert_true(made >= 0 && H5Awrite(made, type, word) >= 0);
        H5Aclose(made);
        H5Sclose(space);
        H5Tclose(type);
    }
    assert_true(H5Fclose(file) >= 0);
}

static void working_sets_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *word, *expected; /* NULL: none */
    } cases[] = {
        {"original", "original"}, {"node", "node"}, {NULL, "original"}, {"", NULL}, {"huge", NULL}};
    mim_samples *s = make();
    mim_corpus *corpus = NULL;
    uint64_t hash = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_sizes(s, cases[i].word);
        assert_int_equal(mim_corpus_open(path, &corpus), cases[i].expected ? MIM_OK : MIM_EDATA);
        if (!cases[i].expected) {
            assert_non_null(strstr(mim_error(), path));
            assert_non_null(strstr(mim_error(), "stressor_sizes: expected original or node"));
            continue;
        }
        assert_string_equal(mim_corpus_layout(corpus)->sizes, cases[i].expected);
        if (i == 0)
            hash = mim_corpus_hash(corpus);
        assert_int_equal(mim_corpus_hash(corpus) == hash,
                         strcmp(cases[i].expected, "original") == 0);
        mim_corpus_destroy(&corpus);
    }
    mim_samples_destroy(&s);
}

/* ---- layout --------------------------------------------------------------------------------- */

static void layouts_survive_texts(void **state)
{
    (void)state;
    char *text = NULL;
    mim_layout *copy = NULL;
    layout->thread_cpus[1] = 1;
    assert_int_equal(mim_layout_to_text(layout, &text), MIM_OK);
    assert_int_equal(mim_layout_from_text(text, &copy), MIM_OK);
    assert_int_equal(mim_layout_compare(layout, copy, "it", true), MIM_OK);
    copy->thread_sockets[1] = 1;
    assert_int_equal(mim_layout_compare(layout, copy, "it", true), MIM_EDATA);
    mim_layout_destroy(&copy);
    free(text);
    assert_int_equal(mim_layout_set_sizes(layout, "huge"), MIM_EDATA);
    assert_string_equal(layout->sizes, "original");
    assert_int_equal(mim_layout_set_sizes(layout, "node"), MIM_OK);
    assert_int_equal(mim_layout_to_text(layout, &text), MIM_OK);
    assert_int_equal(mim_layout_from_text(text, &copy), MIM_OK);
    assert_string_equal(copy->sizes, "node");
    assert_int_equal(mim_layout_set_sizes(layout, "original"), MIM_OK);
    assert_int_equal(mim_layout_compare_columns(layout, copy, "it", false), MIM_EDATA);
    assert_string_equal(mim_error(),
                        "it: stressors have working sets \"node\", expected \"original\"");
    mim_layout_destroy(&copy);
    memcpy(strstr(text, "\"node\""), "\"ode\" ", 6);
    assert_int_equal(mim_layout_from_text(text, &copy), MIM_EDATA);
    text[strlen(text) / 2] = 0;
    assert_int_equal(mim_layout_from_text(text, &copy), MIM_EDATA);
    assert_int_equal(mim_layout_from_text("{}", &copy), MIM_EDATA);
    assert_null(copy);
    free(text);
}

static void layouts_know_their_cores(void **state)
{
    (void)state;
    assert_int_equal(mim_layout_metric_core(layout, 0), 0);
    assert_int_equal(mim_layout_metric_core(layout, 1), 1);
    assert_int_equal(mim_layout_metric_core(layout, 2), -1);
    assert_int_equal(mim_layout_core_metric(layout, 1), 1);
    layout->thread_cpus[1] = 5;
    assert_true(mim_layout_core_metric(layout, 1) == SIZE_MAX);
    layout->thread_cpus[1] = 1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(the_split_is_by_plan),
        cmocka_unit_test(refuses_bad_samples),
        cmocka_unit_test(other_versions_are_refused_by_name),
        cmocka_unit_test(check_finds_changed_values),
        cmocka_unit_test(check_names_damaged_bytes),
        cmocka_unit_test(reading_names_damaged_bytes),
        cmocka_unit_test(reading_takes_files_without_digests),
        cmocka_unit_test(blocks_are_few),
        cmocka_unit_test(damaged_files_are_refused),
        cmocka_unit_test(csv_has_every_sample),
        cmocka_unit_test(identity_follows_content),
        cmocka_unit_test(working_sets_are_told),
        cmocka_unit_test(layouts_survive_texts),
        cmocka_unit_test(layouts_know_their_cores),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
