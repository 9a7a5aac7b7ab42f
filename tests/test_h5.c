/* core/h5: round trips, files made with the HDF5 library directly (as other programs make them),
 * and everything that is not what it should be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <hdf5.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/h5.h"
#include "tests/support/flipped.h"
#include "tests/support/h5_files.h"

/* ---- round trips --------------------------------------------------------------------------- */

static void test_round_trip_of_reals(void **state)
{
    (void)state;
    static const struct {
        size_t rank, shape[4], n;
    } cases[] = {
        {0, {0}, 1},           {1, {5}, 5},
        {2, {3, 4}, 12},       {3, {2, 3, 4}, 24},
        {4, {2, 1, 3, 2}, 12}, {1, {0}, 0},
        {3, {4, 0, 2}, 0},     {3, {300, 7, 200}, 420000}, /* in compressed chunks */
        {1, {300000}, 300000}, {2, {2, 200000}, 400000},   /* rows above a block */
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        mim_h5 *file = NULL;
        size_t shape[4] = {99, 99, 99, 99};
        double *values = calloc(cases[c].n + 1, sizeof *values), *read = NULL;
        for (size_t i = 0; i < cases[c].n; i++)
            values[i] = 1.0 / (double)(i + 1);
        assert_int_equal(mim_h5_create(in_folder("r.h5"), "test", 1, NULL, &file), MIM_OK);
        assert_int_equal(
            mim_h5_put_real(file, "x", cases[c].rank, cases[c].shape, values, "s", "d", "long"),
            MIM_OK);
        assert_int_equal(mim_h5_commit(&file), MIM_OK);
        assert_null(file);
        assert_int_equal(mim_h5_open(in_folder("r.h5"), &file), MIM_OK);
        if (mim_h5_get_real(file, "x", cases[c].rank, cases[c].n, shape, &read) != MIM_OK)
            fail_msg("case %zu: %s", c, mim_error());
        for (size_t d = 0; d < cases[c].rank; d++)
            assert_int_equal(shape[d], cases[c].shape[d]);
        assert_memory_equal(read, values, cases[c].n * sizeof *values);
        if (cases[c].n > 1)
            assert_int_equal(
                mim_h5_get_real(file, "x", cases[c].rank, cases[c].n - 1, shape, &read), MIM_EDATA);
        mim_h5_destroy(&file);
        free(values);
        free(read);
    }
    assert_no_child();
}

static void test_round_trip_of_counts_texts_attributes(void **state)
{
    (void)state;
    mim_h5 *file = NULL;
    static const uint64_t counts[] = {0, 1, UINT64_MAX};
    static const char *const texts[] = {"one", "", "drei \xc3\xa4", "four and a bit longer"};
    size_t n = 3, shape[1], rank, any[MIM_H5_MAX_RANK];
    uint64_t *read = NULL;
    char **names = NULL, *text = NULL, *large = malloc(100001);
    double value = 0;
    bool is_there = false;
    memset(large, 'a', 100000); /* above the 64 KiB that old files could hold */
    large[100000] = 0;
    assert_int_equal(mim_h5_create(in_folder("c.h5"), "mine", 7, large, &file), MIM_OK);
    assert_int_equal(mim_h5_put_count(file, "n", 1, &n, counts, "1", "i", "numbers"), MIM_OK);
    assert_int_equal(mim_h5_put_texts(file, "t", 4, texts, "i", "words"), MIM_OK);
    assert_int_equal(mim_h5_put_texts(file, "none", 0, texts, "i", "no words"), MIM_OK);
    assert_int_equal(mim_h5_put_attribute_text(file, "n", "note", "hm"), MIM_OK);
    assert_int_equal(mim_h5_put_attribute_real(file, NULL, "pi", 3.25), MIM_OK);
    assert_int_equal(mim_h5_put_attribute_real(file, "absent", "pi", 3.25), MIM_EINVAL);
    assert_int_equal(mim_h5_put_count(file, "", 1, &n, counts, "", "", ""), MIM_EINVAL);
    assert_int_equal(mim_h5_put_count(file, "n", 1, &n, counts, "", "", ""), MIM_EIO);
    assert_int_equal(mim_h5_commit(&file), MIM_OK);

    assert_int_equal(mim_h5_open(in_folder("c.h5"), &file), MIM_OK);
    assert_true(mim_h5_has(file, "n"));
    assert_false(mim_h5_has(file, "absent"));
    assert_false(mim_h5_has(file, ""));
    assert_int_equal(mim_h5_get_shape(file, "t", &rank, any), MIM_OK);
    assert_int_equal(rank, 1);
    assert_int_equal(any[0], 4);
    assert_int_equal(mim_h5_get_count(file, "n", 1, 3, shape, &read), MIM_OK);
    assert_memory_equal(read, counts, sizeof counts);
    assert_int_equal(mim_h5_get_texts(file, "t", 4, &n, &names), MIM_OK);
    assert_int_equal(n, 4);
    for (size_t i = 0; i < n; i++)
        assert_string_equal(names[i], texts[i]);
    mim_h5_free_texts(n, &names);
    assert_null(names);
    assert_int_equal(mim_h5_get_texts(file, "t", 3, &n, &names), MIM_EDATA);
    assert_int_equal(mim_h5_get_texts(file, "none", 3, &n, &names), MIM_OK);
    assert_int_equal(n, 0);
    mim_h5_free_texts(n, &names);

    assert_int_equal(mim_h5_get_attribute_text(file, NULL, "config", &text), MIM_OK);
    assert_string_equal(text, large);
    free(text);
    assert_int_equal(mim_h5_get_attribute_text(file, NULL, "schema", &text), MIM_OK);
    assert_string_equal(text, "mine");
    free(text);
    assert_int_equal(mim_h5_get_attribute_text(file, "n", "units", &text), MIM_OK);
    assert_string_equal(text, "1");
    free(text);
    assert_int_equal(mim_h5_get_attribute_text(file, "n", "absent", &text), MIM_OK);
    assert_null(text);
    assert_int_equal(mim_h5_get_attribute_real(file, NULL, "schema_version", &is_there, &value),
                     MIM_OK);
    assert_true(is_there);
    assert_true(value == 7);
    assert_int_equal(mim_h5_get_attribute_real(file, NULL, "pi", &is_there, &value), MIM_OK);
    assert_true(value == 3.25);
    assert_int_equal(mim_h5_get_attribute_real(file, NULL, "absent", &is_there, &value), MIM_OK);
    assert_false(is_there);
    /* of another type */
    assert_int_equal(mim_h5_get_attribute_real(file, NULL, "schema", &is_there, &value), MIM_EDATA);
    assert_int_equal(mim_h5_get_attribute_text(file, NULL, "pi", &text), MIM_EDATA);
    mim_h5_destroy(&file);
    free(read);
    free(large);
    assert_no_child();
}

static void test_equal_content_makes_equal_files(void **state)
{
    (void)state;
    static char first[65536], second[65536];
    size_t n[2], shape[2] = {2, 2};
    static const double values[4] = {1, 2, 3, 4};
    for (int i = 0; i < 2; i++) {
        mim_h5 *file = NULL;
        if (i)
            sleep(1); /* time stamps have seconds */
        assert_int_equal(mim_h5_create(in_folder("e.h5"), "t", 1, "x", &file), MIM_OK);
        assert_int_equal(mim_h5_put_real(file, "v", 2, shape, values, "", "", ""), MIM_OK);
        assert_int_equal(mim_h5_commit(&file), MIM_OK);
        n[i] = file_bytes(in_folder("e.h5"), i ? second : first, sizeof first);
    }
    assert_int_equal(n[0], n[1]);
    assert_memory_equal(first, second, n[0]);
}

/* A changed byte of any small dataset of a sealed file is told when that is read; others are. */
static void test_seal(void **state)
{
    (void)state;
    static const float floats[3] = {1, 2, 3};
    static const uint64_t count = 7;
    static const char *const texts[] = {"a", "bc"};
    const size_t three = 3, none[2] = {0, 5};
    for (int is_sealed = 0; is_sealed < 2; is_sealed++) {
        flipped_place places[FLIPPED_MAX];
        mim_h5 *file = NULL;
        assert_int_equal(mim_h5_create(in_folder("s.h5"), "t", 1, NULL, &file), MIM_OK);
        if (is_sealed)
            mim_h5_seal(file);
        assert_int_equal(mim_h5_put_float(file, "f", 1, &three, floats, "", "", ""), MIM_OK);
        assert_int_equal(mim_h5_put_count(file, "c", 0, NULL, &count, "", "", ""), MIM_OK);
        assert_int_equal(mim_h5_put_texts(file, "t", 2, texts, "", ""), MIM_OK);
        assert_int_equal(mim_h5_put_real(file, "none", 2, none, NULL, "", "", ""), MIM_OK);
        assert_int_equal(mim_h5_commit(&file), MIM_OK);
        const size_t n = flipped_places(in_folder("s.h5"), places);
        assert_int_equal(n, 3);
        for (size_t i = 0; i <= n; i++) { /* the last time nothing is changed */
            size_t shape[2], n_texts = 0;
            double *reals = NULL;
            uint64_t *counts = NULL;
            char **read = NULL;
            const char changed = i < n ? places[i].name[0] : 'x';
            if (i < n)
                assert_int_equal(flip_byte(in_folder("s.h5"), places[i].place), 0);
            assert_int_equal(mim_h5_open(in_folder("s.h5"), &file), MIM_OK);
            assert_int_equal(mim_h5_get_real(file, "f", 1, 3, shape, &reals),
                             is_sealed && changed == 'f' ? MIM_EDATA : MIM_OK);
            assert_int_equal(mim_h5_get_count(file, "c", 0, 1, shape, &counts),
                             is_sealed && changed == 'c' ? MIM_EDATA : MIM_OK);
            assert_int_equal(mim_h5_get_texts(file, "t", 2, &n_texts, &read),
                             is_sealed && changed == 't' ? MIM_EDATA : MIM_OK);
            if (is_sealed && changed == 't')
                assert_non_null(strstr(mim_error(), "s.h5: t is damaged"));
            free(reals);
            free(counts);
            mim_h5_free_texts(n_texts, &read);
            assert_int_equal(mim_h5_get_real(file, "none", 2, 3, shape, &reals), MIM_OK);
            free(reals);
            mim_h5_destroy(&file);
            if (i < n)
                assert_int_equal(flip_byte(in_folder("s.h5"), places[i].place), 0);
        }
    }
}

/* An image taken is what commit writes, and refused of a file that lies on the disk already. */
static void test_image(void **state)
{
    (void)state;
    static char committed[1 << 16];
    static const double values[] = {1, 2, 3};
    const size_t n = 3;
    void *image = NULL;
    size_t n_image = 0;
    mim_h5 *file = NULL;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(mim_h5_create(in_folder("image.h5"), "t", 1, NULL, &file), MIM_OK);
        assert_int_equal(mim_h5_put_real(file, "x", 1, &n, values, NULL, NULL, NULL), MIM_OK);
        assert_int_equal(i ? mim_h5_take_image(&file, &image, &n_image) : mim_h5_commit(&file),
                         MIM_OK);
        assert_null(file);
    }
    assert_int_equal(file_bytes(in_folder("image.h5"), committed, sizeof committed), n_image);
    assert_memory_equal(image, committed, n_image);
    mim_h5_release_image(image, n_image);
    assert_int_equal(mim_h5_create_in_place(in_folder("image.h5"), "t", 1, NULL, &file), MIM_OK);
    assert_int_equal(mim_h5_take_image(&file, &image, &n_image), MIM_EINVAL);
    assert_null(file);
}

static void test_failed_write_leaves_the_old_file(void **state)
{
    (void)state;
    mim_h5 *file = NULL;
    assert_int_equal(mim_h5_create("/nonexistent-folder/x.h5", "t", 1, NULL, &file), MIM_OK);
    assert_int_equal(mim_h5_commit(&file), MIM_EIO);
    assert_null(file);
    write_bytes(in_folder("old.h5"), "old", 3);
    assert_int_equal(mim_h5_create(in_folder("old.h5"), "t", 1, NULL, &file), MIM_OK);
    mim_h5_destroy(&file); /* abandoned */
    char bytes[8];
    assert_int_equal(file_bytes(in_folder("old.h5"), bytes, sizeof bytes), 3);
}

/* ---- files of others ----------------------------------------------------------------------- */

static hid_t raw_create(const char *name)
{
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    hid_t file = H5Fcreate(in_folder(name), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(file >= 0);
    return file;
}

static void raw_put(hid_t file, const char *name, hid_t type, hid_t memory_type, int rank,
                    const hsize_t *shape, hid_t properties, const void *values)
{
    hid_t space = H5Screate_simple(rank, shape, NULL);
    hid_t dataset = H5Dcreate2(file, name, type, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    assert_true(dataset >= 0);
    assert_true(H5Dwrite(dataset, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    H5Dclose(dataset);
    H5Sclose(space);
}

static hid_t half_float(void)
{
    hid_t type = H5Tcopy(H5T_IEEE_F32LE);
    assert_true(H5Tset_fields(type, 15, 10, 5, 0, 10) >= 0);
    assert_true(H5Tset_size(type, 2) >= 0);
    assert_true(H5Tset_ebias(type, 15) >= 0);
    return type;
}

static void test_any_float_is_widened(void **state)
{
    (void)state;
    static const double values[6] = {0, 0.5, 0.25, 1, 0.125, NAN};
    hsize_t shape[2] = {3, 2}, chunk[2] = {2, 1};
    hid_t file = raw_create("f.h5"), half = half_float();
    hid_t chunked = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(chunked, 2, chunk);
    H5Pset_deflate(chunked, 6);
    raw_put(file, "f64", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 2, shape, H5P_DEFAULT, values);
    raw_put(file, "f64be", H5T_IEEE_F64BE, H5T_NATIVE_DOUBLE, 2, shape, H5P_DEFAULT, values);
    raw_put(file, "f32", H5T_IEEE_F32LE, H5T_NATIVE_DOUBLE, 2, shape, chunked, values);
    raw_put(file, "f16", half, H5T_NATIVE_DOUBLE, 2, shape, H5P_DEFAULT, values);
    raw_put(file, "ld", H5T_NATIVE_LDOUBLE, H5T_NATIVE_DOUBLE, 2, shape, chunked, values);
    H5Tclose(half);
    H5Pclose(chunked);
    H5Fclose(file);

    static const char *const names[] = {"f64", "f64be", "f32", "f16", "ld"};
    mim_h5 *ours = NULL;
    assert_int_equal(mim_h5_open(in_folder("f.h5"), &ours), MIM_OK);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t found[2];
        double *read = NULL;
        assert_int_equal(mim_h5_get_real(ours, names[i], 2, 6, found, &read), MIM_OK);
        for (size_t v = 0; v < 6; v++)
            assert_true(read[v] == values[v] || (isnan(read[v]) && isnan(values[v])));
        free(read);
    }
    mim_h5_destroy(&ours);
}

static void test_integers_and_variable_texts(void **state)
{
    (void)state;
    static const int16_t small[3] = {1, 2, 300}, negative[3] = {1, -2, 3};
    static const char *const texts[2] = {"variable", "texts"};
    hsize_t three = 3, two = 2;
    hid_t file = raw_create("i.h5"), variable = H5Tcopy(H5T_C_S1);
    H5Tset_size(variable, H5T_VARIABLE);
    raw_put(file, "small", H5T_STD_I16BE, H5T_NATIVE_INT16, 1, &three, H5P_DEFAULT, small);
    raw_put(file, "negative", H5T_STD_I16LE, H5T_NATIVE_INT16, 1, &three, H5P_DEFAULT, negative);
    raw_put(file, "texts", variable, variable, 1, &two, H5P_DEFAULT, texts);
    H5Tclose(variable);
    H5Fclose(file);

    mim_h5 *ours = NULL;
    size_t shape[1], n;
    uint64_t *counts = NULL;
    double *reals = NULL;
    char **words = NULL;
    assert_int_equal(mim_h5_open(in_folder("i.h5"), &ours), MIM_OK);
    assert_int_equal(mim_h5_get_count(ours, "small", 1, 3, shape, &counts), MIM_OK);
    assert_int_equal(counts[2], 300);
    free(counts);
    assert_int_equal(mim_h5_get_count(ours, "negative", 1, 3, shape, &counts), MIM_EDATA);
    assert_int_equal(mim_h5_get_real(ours, "small", 1, 3, shape, &reals), MIM_EDATA);
    assert_non_null(strstr(mim_error(), "expected floating-point numbers"));
    assert_int_equal(mim_h5_get_texts(ours, "texts", 5, &n, &words), MIM_OK);
    assert_string_equal(words[0], "variable");
    assert_string_equal(words[1], "texts");
    mim_h5_free_texts(n, &words);
    mim_h5_destroy(&ours);
}

/* ---- what is refused ----------------------------------------------------------------------- */

static void test_content_elsewhere_is_refused(void **state)
{
    (void)state;
    static const double value = 1;
    hsize_t one = 1;
    size_t shape[1];
    double *read = NULL;
    mim_h5 *ours = NULL;
    write_bytes(in_folder("secret"), "12345678", 8);
    hid_t other = raw_create("other.h5");
    raw_put(other, "x", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 1, &one, H5P_DEFAULT, &value);
    H5Fclose(other);
    hid_t file = raw_create("links.h5"), external = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_external(external, in_folder("secret"), 0, 8);
    hid_t space = H5Screate_simple(1, &one, NULL);
    hid_t dataset = H5Dcreate2(file, "stored_outside", H5T_IEEE_F64LE, space, H5P_DEFAULT, external,
                               H5P_DEFAULT);
    assert_true(dataset >= 0);
    H5Dclose(dataset);
    assert_true(H5Lcreate_external(in_folder("other.h5"), "/x", file, "linked", H5P_DEFAULT,
                                   H5P_DEFAULT) >= 0);
    assert_true(H5Lcreate_soft("/nowhere", file, "dangling", H5P_DEFAULT, H5P_DEFAULT) >= 0);
    H5Gclose(H5Gcreate2(file, "group", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Sclose(space);
    H5Pclose(external);
    H5Fclose(file);
    static const char *const names[] = {"stored_outside", "linked", "dangling", "group", "absent"};
    assert_int_equal(mim_h5_open(in_folder("links.h5"), &ours), MIM_OK);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_int_equal(mim_h5_get_real(ours, names[i], 1, 10, shape, &read), MIM_EDATA);
        assert_null(read);
    }
    mim_h5_destroy(&ours);
}

static void test_not_a_file_of_ours(void **state)
{
    (void)state;
    mim_h5 *file = NULL;
    write_bytes(in_folder("empty"), "", 0);
    write_bytes(in_folder("text"), "hello, this is no HDF5 file\n", 28);
    write_bytes(in_folder("signature"), "\211HDF\r\n\032\n", 8);
    assert_int_equal(mkfifo(in_folder("fifo"), 0600), 0);
    static const struct {
        const char *name;
        int rc;
    } cases[] = {{"absent", MIM_EIO}, {"empty", MIM_EDATA},     {"text", MIM_EDATA},
                 {"fifo", MIM_EIO},   {"signature", MIM_EDATA}, {".", MIM_EIO}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(mim_h5_open(in_folder(cases[i].name), &file), cases[i].rc);
        assert_null(file);
        assert_non_null(strstr(mim_error(), cases[i].name));
    }
    assert_no_child();
}

static void test_damaged_files_do_no_harm(void **state)
{
    (void)state;
    static char good[65536], bad[65536];
    uint32_t random = 12345;
    make_small("good.h5");
    size_t n = file_bytes(in_folder("good.h5"), good, sizeof good);
    size_t n_fds = count_fds();
    for (size_t cut = 0; cut < n; cut += 61) {
        write_bytes(in_folder("bad.h5"), good, cut);
        mim_h5 *file = NULL;
        assert_int_equal(mim_h5_open(in_folder("bad.h5"), &file), MIM_EDATA);
    }
    for (int trial = 0; trial < 300; trial++) {
        damage(trial, &random, n, good, bad);
        write_bytes(in_folder("bad.h5"), bad, n);
        read_all(NULL, in_folder("bad.h5"));
    }
    assert_int_equal(count_fds(), n_fds);
    assert_no_child();
}

static void test_dead_reader_is_an_error(void **state)
{
    (void)state;
    mim_h5 *file = NULL;
    double *values = NULL;
    size_t shape[3];
    make_small("dead.h5");
    assert_int_equal(mim_h5_open(in_folder("dead.h5"), &file), MIM_OK);
    pid_t reader = only_child();
    if (reader <= 0) {
        mim_h5_destroy(&file);
        skip(); /* a kernel without the children file */
    }
    kill(reader, SIGSEGV);
    assert_int_equal(mim_h5_get_real(file, "v", 3, 10, shape, &values), MIM_EDATA);
    assert_non_null(strstr(mim_error(), "crashed"));
    assert_no_child();
    assert_int_equal(mim_h5_get_real(file, "v", 3, 10, shape, &values), MIM_EDATA);
    assert_false(mim_h5_has(file, "v"));
    assert_null(values);
    mim_h5_destroy(&file);
}

/* 'Z' or 0 when the process has ended. */
static char state_of(pid_t pid)
{
    char path[64], state = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "r");
    if (!f)
        return 0;
    if (fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
        state = 0;
    fclose(f);
    return state;
}

static void test_reader_ends_with_its_killed_parent(void **state)
{
    (void)state;
    int pair[2];
    pid_t reader = 0;
    make_small("k.h5");
    assert_int_equal(pipe(pair), 0);
    pid_t parent = fork();
    if (parent == 0) {
        mim_h5 *first = NULL, *second = NULL; /* the second reader must not keep the first alive */
        mim_h5_open(in_folder("k.h5"), &first);
        reader = only_child();
        mim_h5_open(in_folder("k.h5"), &second);
        if (write(pair[1], &reader, sizeof reader) > 0)
            pause();
        _exit(0);
    }
    assert_int_equal(read(pair[0], &reader, sizeof reader), sizeof reader);
    kill(parent, SIGKILL);
    assert_int_equal(waitpid(parent, NULL, 0), parent);
    close(pair[0]);
    close(pair[1]);
    if (reader <= 0)
        skip();
    for (int i = 0; i < 1000 && state_of(reader) != 0 && state_of(reader) != 'Z'; i++)
        poll(NULL, 0, 10);
    assert_true(state_of(reader) == 0 || state_of(reader) == 'Z');
}

static void test_several_files_at_once(void **state)
{
    (void)state;
    mim_h5 *files[3] = {NULL};
    double *values = NULL;
    size_t shape[3], n_fds = count_fds();
    make_small("a.h5");
    for (int i = 0; i < 3; i++)
        assert_int_equal(mim_h5_open(in_folder("a.h5"), &files[i]), MIM_OK);
    mim_h5_destroy(&files[1]);
    for (int i = 0; i < 3; i += 2) {
        assert_int_equal(mim_h5_get_real(files[i], "v", 3, 10, shape, &values), MIM_OK);
        assert_true(values[5] == 6);
        free(values);
        mim_h5_destroy(&files[i]);
    }
    assert_int_equal(count_fds(), n_fds);
    assert_no_child();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip_of_reals),
        cmocka_unit_test(test_round_trip_of_counts_texts_attributes),
        cmocka_unit_test(test_equal_content_makes_equal_files),
        cmocka_unit_test(test_image),
        cmocka_unit_test(test_seal),
        cmocka_unit_test(test_failed_write_leaves_the_old_file),
        cmocka_unit_test(test_any_float_is_widened),
        cmocka_unit_test(test_integers_and_variable_texts),
        cmocka_unit_test(test_content_elsewhere_is_refused),
        cmocka_unit_test(test_not_a_file_of_ours),
        cmocka_unit_test(test_damaged_files_do_no_harm),
        cmocka_unit_test(test_dead_reader_is_an_error),
        cmocka_unit_test(test_reader_ends_with_its_killed_parent),
        cmocka_unit_test(test_several_files_at_once),
    };
    return cmocka_run_group_tests(tests, h5_make_folder, h5_remove_folder);
}
