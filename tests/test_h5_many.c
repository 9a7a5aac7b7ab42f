/* core/h5: one reader process for many files, good and bad. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <hdf5.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/h5.h"
#include "tests/support/h5_files.h"

/* Asks for what make_small wrote. */
static void expect_small(mim_h5_reader *reader, const char *name)
{
    mim_h5 *file = NULL;
    double *values = NULL;
    char **texts = NULL, *text = NULL;
    size_t shape[3], n = 0;
    assert_int_equal(mim_h5_open_with(reader, in_folder(name), &file), MIM_OK);
    assert_true(mim_h5_has(file, "v"));
    assert_int_equal(mim_h5_get_real(file, "v", 3, 10, shape, &values), MIM_OK);
    assert_true(values[0] == 1 && values[5] == 6);
    assert_int_equal(mim_h5_get_texts(file, "t", 2, &n, &texts), MIM_OK);
    assert_string_equal(texts[1], "bc");
    assert_int_equal(mim_h5_get_attribute_text(file, "v", "units", &text), MIM_OK);
    assert_string_equal(text, "u");
    mim_h5_destroy(&file);
    mim_h5_free_texts(n, &texts);
    free(values);
    free(text);
}

static void test_one_process_reads_many_files(void **state)
{
    (void)state;
    mim_h5_reader *reader = NULL;
    mim_h5 *first = NULL, *second = NULL;
    size_t n_fds = count_fds();
    make_small("m.h5");
    assert_int_equal(mim_h5_reader_create(&reader), MIM_OK);
    assert_no_child();
    expect_small(reader, "m.h5");
    const pid_t process = only_child();
    for (int i = 0; i < 100; i++)
        expect_small(reader, "m.h5");
    assert_int_equal(only_child(), process);
    /* one at a time; a file that cannot be opened leaves it free for the next */
    assert_int_equal(mim_h5_open_with(reader, in_folder("m.h5"), &first), MIM_OK);
    assert_int_equal(mim_h5_open_with(reader, in_folder("m.h5"), &second), MIM_EINVAL);
    assert_null(second);
    mim_h5_destroy(&first);
    assert_int_equal(mim_h5_open_with(reader, in_folder("absent"), &first), MIM_EIO);
    expect_small(reader, "m.h5");
    assert_int_equal(only_child(), process);
    mim_h5_reader_destroy(&reader);
    assert_null(reader);
    assert_int_equal(count_fds(), n_fds);
    assert_no_child();
}

static void test_a_bad_file_costs_the_others_nothing(void **state)
{
    (void)state;
    static char good[65536], bad[65536];
    mim_h5_reader *reader = NULL;
    uint32_t random = 4711;
    size_t n_fds = count_fds();
    make_small("good.h5");
    size_t n = file_bytes(in_folder("good.h5"), good, sizeof good);
    assert_int_equal(mim_h5_reader_create(&reader), MIM_OK);
    for (int trial = 0; trial < 300; trial++) {
        damage(trial, &random, n, good, bad);
        write_bytes(in_folder("bad.h5"), bad, trial % 10 == 0 ? n / 2 : n);
        read_all(reader, in_folder("bad.h5"));
        expect_small(reader, "good.h5");
    }
    mim_h5_reader_destroy(&reader);
    assert_int_equal(count_fds(), n_fds);
    assert_no_child();
}

static void test_a_reader_that_dies_is_replaced(void **state)
{
    (void)state;
    mim_h5_reader *reader = NULL;
    mim_h5 *file = NULL;
    double *values = NULL;
    size_t shape[3];
    make_small("dies.h5");
    assert_int_equal(mim_h5_reader_create(&reader), MIM_OK);
    expect_small(reader, "dies.h5");
    const pid_t process = only_child();
    if (process <= 0) {
        mim_h5_reader_destroy(&reader);
        skip(); /* a kernel without the children file */
    }
    kill(process, SIGKILL); /* between two files */
    expect_small(reader, "dies.h5");
    assert_int_not_equal(only_child(), process);
    /* within a file that is not its first: perhaps not this file's fault */
    assert_int_equal(mim_h5_open_with(reader, in_folder("dies.h5"), &file), MIM_OK);
    kill(only_child(), SIGSEGV);
    assert_int_equal(mim_h5_get_real(file, "v", 3, 10, shape, &values), MIM_OK);
    assert_true(values[5] == 6);
    free(values);
    values = NULL;
    kill(only_child(), SIGSEGV); /* in its first */
    assert_int_equal(mim_h5_get_real(file, "v", 3, 10, shape, &values), MIM_EDATA);
    assert_non_null(strstr(mim_error(), "crashed"));
    assert_null(values);
    mim_h5_destroy(&file);
    expect_small(reader, "dies.h5");
    mim_h5_reader_destroy(&reader);
    assert_no_child();
}

/* The soft limit as /proc tells it, -1 when it does not. */
static long limit_of(pid_t process, const char *name)
{
    char path[64], line[256];
    long value = -1;
    snprintf(path, sizeof path, "/proc/%d/limits", (int)process);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, name, strlen(name)) == 0)
            sscanf(line + strlen(name), "%ld", &value);
    if (f)
        fclose(f);
    return value;
}

static void test_a_reader_with_a_file_can_open_and_write_nothing(void **state)
{
    (void)state;
    mim_h5_reader *reader = NULL;
    mim_h5 *file = NULL;
    make_small("few.h5");
    assert_int_equal(mim_h5_reader_create(&reader), MIM_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(mim_h5_open_with(reader, in_folder("few.h5"), &file), MIM_OK);
        const pid_t process = only_child();
        if (process <= 0)
            break; /* a kernel without the children file */
        assert_int_equal(limit_of(process, "Max open files"), 0);
        assert_int_equal(limit_of(process, "Max file size"), 0);
        assert_int_equal(limit_of(process, "Max core file size"), 0);
        mim_h5_destroy(&file);
    }
    mim_h5_destroy(&file);
    mim_h5_reader_destroy(&reader);
}

/* Values never written are the library's to leave alone: they must not be those of another file. */
static void test_nothing_of_the_last_file_is_left(void **state)
{
    (void)state;
    hsize_t six = 6;
    size_t shape[1];
    double *values = NULL;
    mim_h5_reader *reader = NULL;
    mim_h5 *ours = NULL;
    make_small("full.h5");
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    hid_t file = H5Fcreate(in_folder("void.h5"), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_fill_time(properties, H5D_FILL_TIME_NEVER);
    hid_t space = H5Screate_simple(1, &six, NULL);
    hid_t dataset =
        H5Dcreate2(file, "v", H5T_IEEE_F64LE, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    assert_true(dataset >= 0);
    H5Dclose(dataset);
    H5Sclose(space);
    H5Pclose(properties);
    H5Fclose(file);
    assert_int_equal(mim_h5_reader_create(&reader), MIM_OK);
    expect_small(reader, "full.h5");
    assert_int_equal(mim_h5_open_with(reader, in_folder("void.h5"), &ours), MIM_OK);
    assert_int_equal(mim_h5_get_real(ours, "v", 1, 6, shape, &values), MIM_OK);
    for (int i = 0; i < 6; i++)
        assert_true(values[i] == 0);
    free(values);
    mim_h5_destroy(&ours);
    mim_h5_reader_destroy(&reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_process_reads_many_files),
        cmocka_unit_test(test_a_bad_file_costs_the_others_nothing),
        cmocka_unit_test(test_a_reader_that_dies_is_replaced),
        cmocka_unit_test(test_a_reader_with_a_file_can_open_and_write_nothing),
        cmocka_unit_test(test_nothing_of_the_last_file_is_left),
    };
    return cmocka_run_group_tests(tests, h5_make_folder, h5_remove_folder);
}
